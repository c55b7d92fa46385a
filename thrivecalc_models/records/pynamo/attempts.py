"""Single writes of a record, and those whose outcome is unknown.

A record remembers a write that nobody answered for, for as long as it has the snapshot that the
write was made over. As in a unit of work, what is unknown goes first, exactly as before: calling
again what failed is the same write, and any other locked write is made over what has come of it.
So no write is a conflict with an earlier one of the same record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from pynamodb.exceptions import PynamoDBException

from thrivecalc_models.operations import ConditionCheck, Failure, FailureKind, Key, UpdateItem
from thrivecalc_models.protocol import PendingWrite
from thrivecalc_models.records import writing
from thrivecalc_models.records.pynamo.actions import form_at
from thrivecalc_models.records.pynamo.connection import IsOurs, failure_of, single_write, table_of
from thrivecalc_models.records.session import Session, default_session
from thrivecalc_models.wire import Item, WriteTime, same_item, same_value

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

Json = dict[str, Any]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Write:
    """One write of one record: its request, what shows that it was applied, and what follows.

    `at` is the time of its stamps, `item` what is stored afterwards, None where that does not show
    before. Without `repeatable` it must not be
    sent twice.
    """

    operation: str
    request: Json
    is_ours: IsOurs
    applied: Callable[[Json], None]
    repeatable: bool = True
    at: WriteTime | None = None
    item: Item | None = None


Make = Callable[[WriteTime], Write]
"""Encodes and checks a write as of a time. Raises InvalidRecordError."""


@attrs.frozen(eq=False, repr=False)
class Doubt:
    """A write of unknown outcome, the key and the snapshot it was made over, and how it failed."""

    write: Write
    key: Key
    over: Item | None
    failure: Failure

    def is_of(self, make: Make) -> bool:
        """Whether this would be made again, had it the same time."""
        at = self.write.at
        return at is not None and make(at).request == self.write.request


def perform(record: UserRecord, make: Make, *, lock: bool) -> Json:
    """Send a write, or the one in doubt if that is the same; returns the reply.

    Raises PutError, UpdateError or DeleteError with `.record` and `.outcome`.
    """
    doubt = _doubt_about(record)
    if doubt is not None and doubt.is_of(make):
        return _send(record, doubt.write, lost=doubt.failure)
    return _send(record, undoubted(record, make, lock=lock))


def undoubted(record: UserRecord, make: Make, *, lock: bool) -> Write:
    """The write as of now; under the lock only once it is known what came of an earlier one.

    It is checked before that is sent again, and made anew afterwards.
    """
    binding = binding_of(record)
    write = make(binding.write_time())
    doubt = _doubt_about(record)
    if doubt is None or not lock:
        return write
    _send(record, doubt.write, lost=doubt.failure)
    return make(binding.write_time())


def binding_of(record: UserRecord) -> Session:
    return record._session or default_session()


def has_snapshot(record: UserRecord) -> bool:
    """Whether there is a snapshot to lock: not of a new record, nor once it was deleted here."""
    return writing.is_stored(record) and record._state.stored is not record._deleted


def was_stored(record: UserRecord, item: Item) -> None:
    """Make a stored item the snapshot: what was edited since it was encoded stays edited."""
    writing.absorb(record, item, item)
    settle(record)


def was_deleted(record: UserRecord) -> None:
    record._deleted = record._state.stored
    settle(record)


def settle(record: UserRecord) -> None:
    """Nothing is in doubt any more."""
    record._doubt = record._attempt = None


def _send(record: UserRecord, write: Write, *, lost: Failure | None = None) -> Json:
    binding = binding_of(record)
    connection = table_of(binding).connection
    reply: Json = {}
    failed: PynamoDBException | None = None
    with binding.driver.shield() as shield:
        before = record._doubt
        if write.repeatable:  # until it is known, whatever comes out of the request
            record._doubt = Doubt(
                write, writing.key_of(record), record._state.stored, lost or _NO_REPLY
            )
        try:
            reply = connection.write(
                single_write(write.operation, write.request),
                repeatable=write.repeatable,
                is_ours=write.is_ours,
                shield=shield,
                lost=lost,
            )
        except PynamoDBException as error:
            failure = failure_of(error)
            in_doubt = failure is not None and failure.applied_maybe
            if not in_doubt:
                record._doubt = before
            vars(error).update(record=record, outcome="unknown" if in_doubt else "not applied")
            failed = error
        else:
            record._belong_to(binding)
            settle(record)
            write.applied(reply)
    shield.conclude(failed)
    return reply


_NO_REPLY = Failure(kind=FailureKind.UNAVAILABLE, code="NoReply", applied_maybe=True)


def _doubt_about(record: UserRecord) -> Doubt | None:
    """The record's write of unknown outcome: a method's own, else what a unit of work left."""
    doubt, attempt = record._doubt, record._attempt
    key, over = writing.key_of(record), record._state.stored
    if doubt is not None and doubt.over is over and doubt.key == key:
        return doubt
    if attempt is None or attempt.write.key != key:
        return None
    return Doubt(_write_of_unit(record, attempt), key, over, _NO_REPLY)


def _write_of_unit(record: UserRecord, attempt: PendingWrite) -> Write:
    """A unit of work's write, to be sent again exactly as before."""
    write, after = attempt.write, attempt.after

    def is_ours(stored: Item | None) -> bool:
        if stored is None or after is None:
            return stored is after  # gone after a delete
        if not isinstance(write, UpdateItem):
            return same_item(stored, after)
        paths = [path for path, _ in write.sets] + list(write.removes)
        return all(same_value(form_at(stored, path), form_at(after, path)) for path in paths)

    def applied(reply: Json) -> None:
        if after is None:
            was_deleted(record)
        else:
            writing.absorb(record, reply.get("Attributes", after), after)

    assert not isinstance(write, ConditionCheck)  # which only a transaction has
    request = write.request(binding_of(record).settings.table_name)
    return Write(operation=write.name, request=request, is_ours=is_ours, applied=applied)
