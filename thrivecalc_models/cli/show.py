"""`thrivecalc show`: the records of one user, masked."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from thrivecalc_models import codec, table
from thrivecalc_models.catalogue import catalogue
from thrivecalc_models.cli.common import Findings, Session, table_options
from thrivecalc_models.errors import UnknownTypeWarning
from thrivecalc_models.payloads import fields_of
from thrivecalc_models.records import UserRecord
from thrivecalc_models.wire import AttributeValue, Item, format_timestamp, item_size
from thrivecalc_models.words import plural


def _types(ctx: click.Context, option: click.Parameter, incomplete: str) -> list[str]:
    """The registered types, those of --types included, for a shell to complete."""
    names = (record.data_type for record in catalogue().records)
    return [name for name in names if name.startswith(incomplete)]


@click.command(
    help="""Show the records of USER, expired and malformed ones too.

    Shows only the names of the payload's fields, unless --reveal is given. With --type the records
    are those whose key begins with the type. Exits with 1 if there is no record.
    """
)
@click.argument("user")
@click.option(
    "--type",
    "data_type",
    metavar="TYPE",
    shell_complete=_types,
    help="Records of one type only.",
)
@click.option("--reveal", is_flag=True, help="Show the payload: amounts, names, e-mails, texts.")
@table_options
def show(session: Session, user: str, data_type: str | None, reveal: bool) -> None:
    """Print the records of a user as a table or as JSON."""
    session.leaves("nothing was changed; run the same command again.")
    records = _records(session, user, data_type)
    now = datetime.now(UTC)
    if session.json:
        found = [_as_json(record, now, reveal=reveal) for record in records]
        session.emit(found)
        if not found:
            raise Findings
        return
    rows = [_row(record, now, reveal=reveal) for record in records]
    if rows:
        columns = ["record key", "updated", "bytes", "notes", "data"]
        session.table("", columns, rows, keep={"record key", "updated"})
    session.say(plural(len(rows), "record"))
    if not rows:
        raise Findings


def _records(session: Session, user: str, data_type: str | None) -> Iterator[UserRecord]:
    """The records of a user, after a note about a type that is probably misspelt."""
    data = session.store().user(user)
    with warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always", UnknownTypeWarning)
        records = data.iterate(data_type, consistent=True, include_expired=True)
    for warning in noticed:
        session.note(f"warning: {warning.message}")
    return records


def _row(record: UserRecord, now: datetime, *, reveal: bool) -> tuple[object, ...]:
    item = _item(record)
    return (
        record.record_key,
        f"{record.updated_at:%Y-%m-%d %H:%M}" if record.updated_at else "",
        item_size(item),
        _notes(record, now),
        _revealed(record, item) if reveal else _masked(record, item),
    )


def _as_json(record: UserRecord, now: datetime, *, reveal: bool) -> dict[str, object]:
    item = _item(record)
    names, others = _field_names(record, item)
    shown: dict[str, object] = {
        "recordKey": record.record_key,
        "dataType": record.data_type,
        "recordId": record.record_id,
        "createdAt": _time(record.created_at),
        "updatedAt": _time(record.updated_at),
        "ttl": _time(record.ttl),
        "expired": _is_expired(record, now),
        "bytes": item_size(item),
        "malformed": record.malformed,
        "problems": record.problems,
        "fields": names,
        "otherFields": others,
    }
    return shown | {"item": item} if reveal else shown


def _item(record: UserRecord) -> Item:
    item = record.item
    assert item is not None  # the record was read
    return item


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_timestamp(moment)


def _is_expired(record: UserRecord, now: datetime) -> bool:
    return record.ttl is not None and record.ttl < now


def _notes(record: UserRecord, now: datetime) -> list[str]:
    notes = []
    if record.ttl is not None:
        verb = "expired" if _is_expired(record, now) else "expires"
        notes.append(f"{verb} {record.ttl:%Y-%m-%d}")
    prefix = "malformed: " if record.malformed else ""
    return notes + [f"{prefix}{problem}" for problem in record.problems]


# --- the payload ----------------------------------------------------------------------------------


def _field_names(record: UserRecord, item: Item) -> tuple[list[str], int]:
    """The stored fields that the type declares, in its order, and the number of other fields.

    The others are not named: their names may be personal.
    """
    content = item.get(table.DATA, {}).get("M", {})
    payload_class = type(record).payload_class()
    declared = () if payload_class is None else fields_of(payload_class)
    names = [field.wire_name for field in declared if field.wire_name in content]
    return names, len(content) - len(names)


def _masked(record: UserRecord, item: Item) -> str:
    names, others = _field_names(record, item)
    return ", ".join([*names, plural(others, "other")] if others else names)


def _revealed(record: UserRecord, item: Item) -> list[str]:
    """A line for each field, declared ones first, and for each undeclared attribute."""
    form = item.get(table.DATA, {"M": {}})
    if "M" in form:
        known = _field_names(record, item)[0]
        names = known + sorted(form["M"].keys() - set(known))
        lines = [f"{name}: {_plain(form['M'][name])}" for name in names]
    else:
        lines = [_plain(form)]
    extras = sorted(item.keys() - table.DECLARED)
    return lines + [f"({name}): {_plain(item[name])}" for name in extras]


def _plain(form: AttributeValue) -> str:
    """A stored value as text; containers are JSON."""
    try:
        value = codec.decode_plain(form, table.DATA)
    except codec.Unfit:  # an invalid number is shown as it is stored
        return json.dumps(form, ensure_ascii=False)
    if isinstance(value, str | Decimal):
        return str(value)
    return json.dumps(value, default=_text, ensure_ascii=False)


def _text(value: Any) -> object:
    """What JSON has no form for: a set as a list, and a number with all its digits as text."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)
