"""Repair attributes whose right value follows from the item itself, unless it has changed."""

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
from thrivecalc_models.synchronous import drive
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
"""A ttl counts as milliseconds if it is then a time in this range."""


@attrs.frozen(kw_only=True)
class Repair:
    """The attributes to set in an item, on condition that it is as it was read."""

    item: Item = attrs.field(repr=False)
    changes: dict[str, AttributeValue]

    @property
    def user(self) -> str:
        """The masked user id."""
        return masked_user(self.item[table.USER_ID]["S"])

    @property
    def record_key(self) -> str:
        """The record key, as it is stored."""
        return str(self.item[table.RECORD_KEY]["S"])

    def descriptions(self, now: datetime) -> list[str]:
        """Return the changes as texts: parts of the key, and when the item expires."""
        return [_description(name, form, now) for name, form in self.changes.items()]


@attrs.frozen
class Repaired:
    """The outcome of a repair: "applied", "not applied" or "unknown", and why.

    `item` is the item as it was seen last: after the repair, or after another writer's change.
    """

    repair: Repair
    outcome: str
    why: str = ""
    item: Item | None = attrs.field(default=None, repr=False)


def repair_of(item: Item, now: datetime) -> Repair | None:
    """Return the repair that follows from the item itself; None if there is none.

    A missing `dataType` or `recordId` is taken from the key, and a ttl in milliseconds is converted
    to seconds. No other attribute is changed.
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
    """Send each repair as a conditional UpdateItem; return the outcomes, and what ended it early.

    The condition is the lock of every write: the item exists, and `updatedAt` and the attributes to
    be changed are as they were read. A repair that may have been applied is sent again unchanged,
    and is never reported as not applied.
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
        report = drive(session.commit(writes, shield))
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
    """Return the error of a failure that further repairs would meet, too; None if there is none.

    If an item was seen after a lost reply, the service answers again.
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
