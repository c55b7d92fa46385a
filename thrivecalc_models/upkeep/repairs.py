"""Repair what follows from an item itself, unless someone else changed it first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import InvalidRecordError, ThriveCalcError
from thrivecalc_models.operations import FailureKind, Key, UpdateItem
from thrivecalc_models.protocol import (
    CommitReport,
    Intent,
    PendingWrite,
    WriteOutcome,
    WriteStatus,
    service_error,
)
from thrivecalc_models.records import UserRecord
from thrivecalc_models.records.writing import lock_condition
from thrivecalc_models.store import DataStore
from thrivecalc_models.upkeep.findings import key_parts, why_never
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    WriteTime,
    describe,
    format_timestamp,
    format_ttl,
    masked_user,
    next_stamp,
    parse_number,
    parse_timestamp,
    parse_ttl,
)

MILLISECONDS_FROM = datetime(2000, 1, 1, tzinfo=UTC)
MILLISECONDS_UNTIL = datetime(2200, 1, 1, tzinfo=UTC)
"""A ttl is taken for milliseconds where that is a time in between."""


@attrs.frozen(kw_only=True)
class Repair:
    """The repair of an item: attributes to set, on condition that it is as it was read."""

    item: Item = attrs.field(repr=False)
    changes: dict[str, AttributeValue]

    @property
    def user(self) -> str:
        return masked_user(self.item[table.USER_ID]["S"])

    @property
    def record_key(self) -> str:
        return str(self.item[table.RECORD_KEY]["S"])

    def descriptions(self, now: datetime) -> list[str]:
        """The changes as texts: parts of the key, and when the item expires."""
        return [_description(name, form, now) for name, form in self.changes.items()]


@attrs.frozen
class Repaired:
    """What became of a repair: "applied", "not applied" or "unknown", and why not.

    `item` is the item as it was seen last: after the repair, or where somebody else was first.
    """

    repair: Repair
    outcome: str
    why: str = ""
    item: Item | None = attrs.field(default=None, repr=False)


def repair_of(item: Item, now: datetime) -> Repair | None:
    """What follows from the item itself; None where nothing does.

    That is a `dataType` or `recordId` which is missing and stands in the key, and a ttl in
    milliseconds. Nothing that is there is taken for wrong but that ttl.
    """
    changes: dict[str, AttributeValue] = {}
    parts = key_parts(item)
    if parts is not None:
        for name, text in zip((table.DATA_TYPE, table.RECORD_ID), parts, strict=True):
            if name not in item:
                changes[name] = {"S": text}
    expires = _expiry_of_milliseconds(item.get(table.TTL))
    if expires is not None:
        form = {"N": format_ttl(expires)}
        if why_never(form, now) is None:
            changes[table.TTL] = form
    return Repair(item=item, changes=changes) if changes else None


def _expiry_of_milliseconds(ttl: AttributeValue | None) -> datetime | None:
    if ttl is None or "N" not in ttl or parse_ttl(ttl["N"]) is not None:
        return None
    try:
        number = parse_number(ttl["N"])
    except ValueError:
        return None
    whole = int(number)
    seconds = -(-(whole + (whole != number)) // 1000)
    moment = parse_ttl(str(seconds))
    if moment is None or not MILLISECONDS_FROM <= moment < MILLISECONDS_UNTIL:
        return None
    return moment


def _description(name: str, form: AttributeValue, now: datetime) -> str:
    if name != table.TTL:
        return f"{name} = {describe(form['S'])}"
    moment = parse_ttl(form["N"])
    assert moment is not None
    gone = ", which is past: it expires at once" if moment < now else ""
    return f"{table.TTL} = {format_timestamp(moment)} in seconds{gone}"


# --- performing them ------------------------------------------------------------------------------


def perform(
    store: DataStore, repairs: Sequence[Repair]
) -> tuple[list[Repaired], BaseException | None]:
    """Send repairs, each one conditional UpdateItem; what became of each, and what ended it early.

    The condition is the lock of every write: the item exists, `updatedAt` and the attributes that
    change are as they were read. `updatedAt` is set as by every write. A repair that may have been
    applied is sent again only in that form, and never called not applied.
    """
    session = store.session
    refused: dict[int, Repaired] = {}
    writes = []
    for number, repair in enumerate(repairs):
        try:
            write = _update(repair, session.write_time())
        except InvalidRecordError as error:
            refused[number] = Repaired(repair, WriteStatus.NOT_APPLIED.value, str(error))
        else:
            writes.append(PendingWrite(key=str(number), intent=Intent.UPDATE, write=write))
    with session.driver.shield() as shield:
        report = session.commit(writes, shield)
    done = [
        refused.get(number) or _repaired(repair, report.outcomes[str(number)])
        for number, repair in enumerate(repairs)
    ]
    return done, shield.interrupt or _end_of(store, report)


def _update(repair: Repair, at: WriteTime) -> UpdateItem:
    item = repair.item
    stamp = next_stamp(at, parse_timestamp(item.get(table.UPDATED_AT, {}).get("S")))
    sets = {**repair.changes, table.UPDATED_AT: {"S": format_timestamp(stamp)}}
    return UpdateItem(
        key=Key.of(item),
        sets=tuple(((name,), form) for name, form in sets.items()),
        condition=lock_condition(UserRecord.from_item(item), [(name,) for name in repair.changes]),
    )


def _repaired(repair: Repair, outcome: WriteOutcome) -> Repaired:
    return Repaired(repair, outcome.state.value, _why(outcome), outcome.item)


def _why(outcome: WriteOutcome) -> str:
    if outcome.state is WriteStatus.APPLIED:
        return ""
    failure = outcome.failure
    if failure is None:
        return "not started"
    if failure.kind is not FailureKind.CONDITION_FAILED:
        return failure.code
    return "is gone" if outcome.item is None else "was changed since it was read"


def _end_of(store: DataStore, report: CommitReport) -> ThriveCalcError | None:
    """The public error of trouble with the service, which further repairs would meet, too.

    Where the item was seen after a lost reply, the service answers again.
    """
    for outcome in report.outcomes.values():
        if outcome.failure is None or outcome.item is not None:
            continue
        if outcome.failure.kind not in _OF_ONE_ITEM:
            return service_error(outcome.operation, outcome.failure, store.settings)
    return None


_OF_ONE_ITEM = (
    FailureKind.CONDITION_FAILED,
    FailureKind.INVALID,
    FailureKind.NOT_STARTED,
    FailureKind.INTERRUPTED,
)
