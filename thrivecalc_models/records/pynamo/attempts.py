"""Single writes of a record by PynamoDB's methods, sent by the commit that sends all other writes.

A record remembers a write whose outcome is unknown. As in a unit of work, that write is sent again
first, exactly as before. A repeated call is therefore the same write, and another locked write is
made from the item that the first one left. So a record never conflicts with itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from pynamodb.exceptions import DeleteError, PutError, PynamoDBConnectionError, UpdateError

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import (
    CONSUMED,
    DeleteItem,
    Failure,
    FailureKind,
    UpdateItem,
)
from thrivecalc_models.protocol import PendingWrite, WriteOutcome, WriteStatus
from thrivecalc_models.records import writing
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.records.pynamo.dicts import record_of
from thrivecalc_models.records.session import Session, default_session
from thrivecalc_models.records.state import state_of
from thrivecalc_models.synchronous import drive
from thrivecalc_models.wire import WriteTime, describe

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

Json = dict[str, Any]
Make = Callable[[WriteTime], PendingWrite]
"""Encodes and checks a write as of a time. Raises InvalidRecordError."""


def perform(record: UserRecord, make: Make, *, lock: bool) -> Json:
    """Send a write and return the reply; an unknown write is sent again if it is the same.

    Raises PutError, UpdateError or DeleteError with `.record` and `.outcome`.
    """
    unknown = writing.attempt_of(record)
    # Compared as of the time of the first try: its stamps are part of the request.
    if unknown is not None and unknown.at is not None and make(unknown.at).call == unknown.call:
        return _send(record, unknown)
    return _send(record, after_unknown(record, make, lock=lock))


def after_unknown(record: UserRecord, make: Make, *, lock: bool) -> PendingWrite:
    """Make the write as of now; if it is locked, send an unknown write again before."""
    session = session_of(record)
    write = make(session.write_time())  # first, so that nothing is sent for a bad record
    unknown = writing.attempt_of(record)
    if unknown is None or not lock:
        return write
    _send(record, unknown)
    return make(session.write_time())  # again, since the snapshot to lock is another one now


def session_of(record: UserRecord) -> Session:
    """Return the session of the record's store, or the default one of a new record."""
    return state_of(record).session or default_session()


def blocking(model: Any, instead: str) -> UserRecord:
    """Return a model as a record of a synchronous store.

    Raises ConfigurationError, with what to use instead, for one of an asynchronous store.
    """
    record = record_of(model)
    if session_of(record).is_async:
        raise ConfigurationError(
            f"{describe(record.record_key)} belongs to an AsyncDataStore, and this method of"
            f" PynamoDB's does not await; use {instead}"
        )
    return record


def was_applied(
    record: UserRecord, write: PendingWrite, session: Session, outcome: WriteOutcome
) -> None:
    """Update the record after a write; what was edited since it was encoded stays edited."""
    state = state_of(record)
    state.belong_to(session)
    if isinstance(write.write, DeleteItem):
        writing.deleted(record)
    else:
        writing.applied(record, write, outcome.item)


def _send(record: UserRecord, write: PendingWrite) -> Json:
    session, state = session_of(record), state_of(record)
    connection = table_of(session).connection
    with session.driver.shield() as shield:
        before = state.attempt
        if write.repeatable:
            # Noted before the request: an exception on its way leaves the outcome unknown.
            state.attempt = attrs.evolve(write, maybe=True)
        name = write.operation().name
        report = connection.signalling(name, lambda: drive(session.commit([write], shield)))
        outcome = report.outcomes[write.key]
        if outcome.state is WriteStatus.APPLIED:
            was_applied(record, write, session, outcome)
        elif outcome.state is WriteStatus.EXISTING:  # left by a unit, with exist_ok
            state.attempt = None
        elif outcome.state is WriteStatus.NOT_APPLIED:
            state.attempt = before
    shield.conclude(_error(record, write, outcome, session))
    units = {"TableName": session.settings.table_name, "CapacityUnits": report.write_units}
    stored = {"Attributes": outcome.item} if isinstance(write.write, UpdateItem) else {}
    return {CONSUMED: units} | stored


_ERRORS: dict[str, tuple[type[PynamoDBConnectionError], str]] = {
    "PutItem": (PutError, "Failed to put item"),
    "UpdateItem": (UpdateError, "Failed to update item"),
    "DeleteItem": (DeleteError, "Failed to delete item"),
}
_NO_REPLY = Failure(kind=FailureKind.UNAVAILABLE, code="NoReply")
_LEAVING = (
    "; the record is gone, as a TransactWrite was to delete it, which did not say whether it was"
    " applied; refresh the record before it is written again"
)
_NOT_STARTED = Failure(kind=FailureKind.NOT_STARTED, code="NotStarted")


def failure_of(outcome: WriteOutcome) -> Failure:
    """Return why a write is not applied or unknown; `applied_maybe` says which."""
    unknown = outcome.state is WriteStatus.UNKNOWN
    failure = outcome.failure or (_NO_REPLY if unknown else _NOT_STARTED)
    return attrs.evolve(failure, applied_maybe=unknown)


def _error(
    record: UserRecord, write: PendingWrite, outcome: WriteOutcome, session: Session
) -> PynamoDBConnectionError | None:
    """Return PynamoDB's error for one write, None if it was applied; its `cause` has `.failure`."""
    if outcome.state is WriteStatus.APPLIED:
        return None
    operation, failure = write.operation().name, failure_of(outcome)
    cause = table_of(session).connection.exception(operation, failure)
    error_class, what = _ERRORS[operation]
    gone = failure.kind is FailureKind.CONDITION_FAILED and outcome.item is None
    advice = _LEAVING if gone and state_of(record).leaving else ""
    error = error_class(f"{what}: {cause}{advice}", cause)
    error.__cause__ = cause
    vars(error).update(record=record, outcome="unknown" if failure.applied_maybe else "not applied")
    return error
