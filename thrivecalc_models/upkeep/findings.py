"""Every kind of problem of a stored item, reported without values."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs

from thrivecalc_models import codec, table
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.records import UnknownRecord, UserRecord
from thrivecalc_models.records.model import class_of_item
from thrivecalc_models.records.state import identity_problems
from thrivecalc_models.wire import (
    MAX_ITEM_SIZE,
    AttributeValue,
    Item,
    describe,
    format_timestamp,
    item_size,
    masked_user,
    number_text,
    parse_number,
    parse_timestamp,
    parse_ttl,
    record_key,
    split_key,
)

NEAR = MAX_ITEM_SIZE * 9 // 10
"""Bytes. An item of this size or more is close to DynamoDB's limit."""

TTL_LOOKS_BACK = timedelta(days=5 * 365)
"""A ttl further in the past removes nothing.

Source: "Using time to live (TTL) in DynamoDB", Amazon DynamoDB Developer Guide.
"""

CLOCKS_MAY_DIFFER = timedelta(days=1)


class FindingKind(enum.StrEnum):
    """What an audit looks for."""

    MALFORMED = "malformed"
    KEY_DISAGREEMENT = "key-disagreement"
    UNKNOWN_TYPE = "unknown-type"
    SPELLING = "spelling"
    UNSAFE_NUMBER = "unsafe-number"
    TTL = "ttl"
    TIMESTAMP = "timestamp"
    LARGE = "large"


MEANING = {
    FindingKind.MALFORMED: "the payload does not fit its type, and cannot be read",
    FindingKind.KEY_DISAGREEMENT: "dataType or recordId is not what recordKey says",
    FindingKind.UNKNOWN_TYPE: "no record class is defined for the type",
    FindingKind.SPELLING: (
        "a name that the table spells otherwise, and the web application does not read"
    ),
    FindingKind.UNSAFE_NUMBER: "a number that JavaScript cannot hold",
    FindingKind.TTL: "a ttl that will never expire",
    FindingKind.TIMESTAMP: "createdAt or updatedAt is missing or odd",
    FindingKind.LARGE: "over 90 % of the 400 KB that an item may have",
}


@attrs.frozen
class Finding:
    """One problem of one item. `user` is masked; `what` names paths and shows no values."""

    kind: FindingKind
    user: str
    record_key: str
    what: str


def findings(item: Item, now: datetime) -> list[Finding]:
    """Return every problem of a stored item."""
    user = masked_user(item[table.USER_ID]["S"])
    key = item[table.RECORD_KEY]["S"]
    return [Finding(kind, user, key, what) for kind, what in _problems(item, now)]


def _problems(item: Item, now: datetime) -> Iterator[tuple[FindingKind, str]]:
    for path, reason in identity_problems(item):
        yield FindingKind.KEY_DISAGREEMENT, f"{path} {reason}"
    record = UserRecord.from_item(_with_agreeing_keys(item))
    if record.malformed:
        yield FindingKind.MALFORMED, record.problems[0]
    if isinstance(record, UnknownRecord):
        yield FindingKind.UNKNOWN_TYPE, "no record class is defined for it"
    for what in _misspelt_names(item):
        yield FindingKind.SPELLING, what
    for path in _unsafe_numbers(item):
        yield FindingKind.UNSAFE_NUMBER, f"{path} is a number that JavaScript cannot hold"
    ttl = item.get(table.TTL)
    never = None if ttl is None else why_never(ttl, now)
    if never is not None:
        yield FindingKind.TTL, f"{table.TTL} {never}"
    for what in _odd_timestamps(item, now):
        yield FindingKind.TIMESTAMP, what
    size = item_size(item)
    if size >= NEAR:
        yield FindingKind.LARGE, f"has {size:,} of {MAX_ITEM_SIZE:,} bytes"


def _with_agreeing_keys(item: Item) -> Item:
    """Return the item with keys that agree, so that only its payload is judged."""
    if not identity_problems(item):
        return item
    data_type = class_of_item(item).own_data_type() or "unknown"
    return item | {
        table.DATA_TYPE: {"S": data_type},
        table.RECORD_ID: {"S": "-"},
        table.RECORD_KEY: {"S": record_key(data_type, "-")},
    }


def _misspelt_names(item: Item) -> Iterator[str]:
    """Yield the undeclared names that are Python's spelling of a field."""
    payload_class = class_of_item(item).payload_class()
    content = item.get(table.DATA, {}).get("M")
    if payload_class is None or content is None:
        return
    for path, meant in codec.misspelt(payload_class, content):
        yield f"{describe(path)} is spelt {meant} in the table"


# --- numbers --------------------------------------------------------------------------------------


def _unsafe_numbers(item: Item) -> Iterator[str]:
    """Yield the paths of numbers that JavaScript changes or cannot read."""
    waiting: list[tuple[str, AttributeValue]] = list(item.items())
    while waiting:
        path, form = waiting.pop()
        ((kind, content),) = form.items()
        if kind == "M":
            waiting += [(f"{path}.{name}", value) for name, value in content.items()]
        elif kind == "L":
            waiting += [(f"{path}[{index}]", value) for index, value in enumerate(content)]
        elif kind in ("N", "NS"):
            numbers = [content] if kind == "N" else content
            if not all(_is_safe(text) for text in numbers):
                yield describe(path)


def _is_safe(text: str) -> bool:
    try:
        number_text(text, path="")
    except InvalidRecordError:
        return False
    return True


# --- times ----------------------------------------------------------------------------------------


def why_never(ttl: AttributeValue, now: datetime) -> str | None:
    """Return why DynamoDB will never remove an item with this ttl; None if it will."""
    if "N" not in ttl:
        return "is no number"
    moment = parse_ttl(ttl["N"])
    if moment is not None:
        return None if moment >= now - TTL_LOOKS_BACK else "is over five years past"
    try:
        number = parse_number(ttl["N"])
    except ValueError:
        return "is no number that DynamoDB can hold"
    if number < 0:
        return "is before 1970"
    return "is beyond the year 9999, as a time in milliseconds is"


def _odd_timestamps(item: Item, now: datetime) -> Iterator[str]:
    moments = {}
    for name in (table.CREATED_AT, table.UPDATED_AT):
        text = item.get(name, {}).get("S")
        moment = moments[name] = parse_timestamp(text)
        if name not in item:
            yield f"{name} is missing"
        elif moment is None:
            yield f"{name} is no timestamp"
        elif format_timestamp(moment) != text:
            yield f"{name} is not as toISOString() prints it"
        elif moment > now + CLOCKS_MAY_DIFFER:
            yield f"{name} is in the future"
    created, updated = moments.values()
    if created and updated and updated < created:
        yield f"{table.UPDATED_AT} is before {table.CREATED_AT}"


def key_parts(item: Item) -> tuple[str, str] | None:
    """Return the type and the record id in the record key; None unless it has both."""
    parts = split_key(item[table.RECORD_KEY]["S"])
    return parts if parts and all(parts) else None
