"""Single writes of a record by PynamoDB's methods, sent by the commit that sends all other writes.

A record remembers a write whose outcome is unknown until it is known. As in a unit of work, what is
unknown goes first, exactly as before: calling again what failed is the same write, and any other
locked write is made over what has come of it. So no write is a conflict with an earlier one of the
same record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from pynamodb.exceptions import DeleteError, PutError, PynamoDBConnectionError, UpdateError

from thrivecalc_models.operations import (
    CONSUMED,
    Call,
    DeleteItem,
    Failure,
    FailureKind,
    UpdateItem,
)
from thrivecalc_models.protocol import PendingWrite, WriteOutcome, WriteStatus
from thrivecalc_models.records import writing
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.records.session import Session, default_session
from thrivecalc_models.records.state import state_of
from thrivecalc_models.wire import WriteTime

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

Json = dict[str, Any]
Make = Callable[[WriteTime], PendingWrite]
"""Encodes and checks a write as of a time. Raises InvalidRecordError."""


def perform(record: UserRecord, make: Make, *, lock: bool) -> Json:
    """Send a write, or the unknown one if that is the same; returns the reply.

    Raises PutError, UpdateError or DeleteError with `.record` and `.outcome`.
    """
    unknown = writing.attempt_of(record)
    if unknown is not None and unknown.at is not None and make(unknown.at).call == unknown.call:
        return _send(record, unknown)
    return _send(record, after_unknown(record, make, lock=lock))


def after_unknown(record: UserRecord, make: Make, *, lock: bool) -> PendingWrite:
    """The write as of now; under the lock only once it is known what came of an earlier one.

    It is checked before that is sent again, and made anew afterwards.
    """
    session = session_of(record)
    write = make(session.write_time())
    unknown = writing.attempt_of(record)
    if unknown is None or not lock:
        return write
    _send(record, unknown)
    return make(session.write_time())


def session_of(record: UserRecord) -> Session:
    return state_of(record).session or default_session()


def was_applied(
    record: UserRecord, write: PendingWrite, session: Session, outcome: WriteOutcome
) -> None:
    """Make the record its own snapshot: what was edited since it was encoded stays edited."""
    state_of(record).belong_to(session)
    if isinstance(write.write, DeleteItem):
        writing.deleted(record)
    else:
        writing.applied(record, write, outcome.item)


def _send(record: UserRecord, write: PendingWrite) -> Json:
    session = session_of(record)
    connection = table_of(session).connection
    with session.driver.shield() as shield:
        before = state_of(record).attempt
        if write.repeatable:  # until it is known, whatever comes out of the request
            state_of(record).attempt = attrs.evolve(write, maybe=True)
        name = write.operation().name
        report = connection.signalling(name, lambda: session.commit([write], shield))
        outcome = report.outcomes[write.key]
        if outcome.state is WriteStatus.APPLIED:
            was_applied(record, write, session, outcome)
        elif outcome.state is WriteStatus.EXISTING:  # left by a unit, with exist_ok
            state_of(record).attempt = None
        elif outcome.state is WriteStatus.NOT_APPLIED:
            state_of(record).attempt = before
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
NOT_STARTED = Failure(kind=FailureKind.NOT_STARTED, code="NotStarted")


def _error(
    record: UserRecord, write: PendingWrite, outcome: WriteOutcome, session: Session
) -> PynamoDBConnectionError | None:
    """The error of PynamoDB for one write, None if it was applied; its `cause` has `.failure`."""
    if outcome.state is WriteStatus.APPLIED:
        return None
    unknown = outcome.state is WriteStatus.UNKNOWN
    failure = outcome.failure or (_NO_REPLY if unknown else NOT_STARTED)
    operation = write.operation().name
    cause = table_of(session).connection.exception(
        Call(operation, {"TableName": session.settings.table_name}),
        attrs.evolve(failure, applied_maybe=unknown),
    )
    error_class, what = _ERRORS[operation]
    gone = failure.kind is FailureKind.CONDITION_FAILED and outcome.item is None
    advice = _LEAVING if gone and state_of(record).leaving else ""
    error = error_class(f"{what}: {cause}{advice}", cause)
    error.__cause__ = cause
    vars(error).update(record=record, outcome="unknown" if unknown else "not applied")
    return error
