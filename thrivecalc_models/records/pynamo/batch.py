"""PynamoDB's batch writer, which loses nothing: each write is applied, or named as not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pynamodb.exceptions import PutError
from pynamodb.models import BatchWrite, Model

from thrivecalc_models.errors import (
    CommitError,
    InvalidRecordError,
    OutcomeUnknownError,
    ThriveCalcError,
)
from thrivecalc_models.operations import BatchWrite as BatchWriteItem
from thrivecalc_models.operations import Call, DeleteItem, Key
from thrivecalc_models.protocol import (
    CommitReport,
    Intent,
    PendingWrite,
    WriteStatus,
    batch_entry,
    service_error,
)
from thrivecalc_models.records import writing
from thrivecalc_models.records.pynamo.attempts import NOT_STARTED, was_applied
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.records.session import Session, default_session
from thrivecalc_models.records.state import state_of
from thrivecalc_models.wire import describe
from thrivecalc_models.words import plural

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

R = TypeVar("R", bound=Model)

SAVE, DELETE = "save", "delete"


class BatchWriteError(CommitError, PutError):
    """A batch that was not applied completely: a CommitError, and PynamoDB's PutError.

    Record keys are in `.applied`, `.not_applied` and `.unknown`, errors in `.causes`.
    """

    def __init__(
        self,
        message: str = "",
        facts: object = None,
        /,
        *,
        cause: Exception | None = None,
        applied: Sequence[str] = (),
        not_applied: Sequence[str] = (),
        unknown: Sequence[str] = (),
        causes: Mapping[str, ThriveCalcError] | None = None,
    ) -> None:
        CommitError.__init__(
            self,
            message,
            facts,
            applied=applied,
            not_applied=not_applied,
            unknown=unknown,
            causes=causes,
        )
        self.msg = message
        self.cause = cause


class RecordBatch(BatchWrite[R]):
    """Collects saves and deletes, and sends them 25 to a request.

    One operation for each key: a later one takes the place of an earlier one that was not sent
    yet. Writes are unconditional; every record saved is stamped, and its own snapshot afterwards.
    After an exception in the `with` block nothing more is sent.
    """

    def save(self, put_item: R) -> None:
        """Queue a record to be stored whole, over whatever is there."""
        self._add(SAVE, cast("UserRecord", put_item))

    def delete(self, del_item: R) -> None:
        """Queue a record to be deleted, whatever is there."""
        self._add(DELETE, cast("UserRecord", del_item))

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        if exc_type is None:
            self.commit()

    def commit(self) -> None:
        """Send what is pending, in one request where the service takes it.

        Raises InvalidRecordError before anything is sent if a record is bad, and BatchWriteError
        (a CommitError and a PutError), which names what was not sent and what is in doubt.
        """
        if not self.pending_operations:
            return
        session = default_session()
        records = [operation["item"] for operation in self.pending_operations]
        writes = self._writes(session)
        connection = table_of(session).connection
        with session.driver.shield() as shield:
            report = connection.signalling(
                BatchWriteItem.name, lambda: session.commit(writes, shield)
            )
        self.pending_operations = []
        for record, write in zip(records, writes, strict=True):
            outcome = report.outcomes[write.key]
            if outcome.state is WriteStatus.APPLIED:
                was_applied(record, write, session, outcome)
        if not report.complete:
            self.failed_operations = [
                batch_entry(write).write_request()
                for write in writes
                if report.outcomes[write.key].state is not WriteStatus.APPLIED
            ]
        shield.conclude(None if report.complete else _error(writes, report, session))

    def _add(self, action: str, record: UserRecord) -> None:
        key = _key(record)
        if state_of(record).session is None:
            state_of(record).belong_to(default_session())
        for operation in self.pending_operations:
            if _key(operation["item"]) == key:
                operation.update(action=action, item=record)
                return
        if len(self.pending_operations) == self.max_operations:
            if not self.auto_commit:
                raise ValueError("DynamoDB allows a maximum of 25 batch operations")
            self._commit_before(record)
        self.pending_operations.append({"action": action, "item": record})

    def _commit_before(self, record: UserRecord) -> None:
        try:
            self.commit()
        except CommitError as error:
            error.not_applied.append(record.record_key)
            raise

    def _writes(self, session: Session) -> list[PendingWrite]:
        """Every pending operation, encoded and checked. Raises InvalidRecordError."""
        writes: list[PendingWrite] = []
        errors: dict[str, Exception] = {}
        for operation in self.pending_operations:
            record = operation["item"]
            try:
                writes.append(_write(str(len(writes)), operation["action"], record, session))
            except ThriveCalcError as error:
                errors[record.record_key] = error
        if len(errors) == 1:
            raise next(iter(errors.values()))
        if errors:
            listed = "; ".join(f"{describe(key)}: {error}" for key, error in errors.items())
            raise InvalidRecordError(
                f"{len(errors)} records of the batch are bad, nothing of it was sent: {listed}",
                errors=errors,
            )
        return writes


def _key(record: UserRecord) -> Key:
    return writing.key_of(record)


def _write(name: str, action: str, record: UserRecord, session: Session) -> PendingWrite:
    """The write of one operation, by a name of its own: two users may have one record key."""
    own = state_of(record).session
    if own is not None and own.settings != session.settings:
        raise InvalidRecordError(
            f"{describe(record.record_key)} belongs to another store than batch_write() writes to;"
            " write it through its own, or make a record of this one with read_item(record.item)"
        )
    if action == DELETE:
        return PendingWrite(
            key=name, intent=Intent.DELETE_ANY, write=DeleteItem(key=writing.key_of(record))
        )
    put = writing.put_of(record, at=session.write_time(), js_safe=session.js_safe_numbers)
    return PendingWrite(key=name, intent=Intent.PUT, write=put, after=put.item)


def _error(writes: list[PendingWrite], report: CommitReport, session: Session) -> BatchWriteError:
    keys: dict[WriteStatus, list[str]] = {state: [] for state in WriteStatus}
    causes: dict[str, ThriveCalcError] = {}
    failed = None
    for write in writes:
        outcome, record_key = report.outcomes[write.key], write.write.key.record_key
        keys[outcome.state].append(record_key)
        if failed is None and outcome.failure is not None:
            failed = outcome
        if outcome.state is WriteStatus.UNKNOWN:
            causes[record_key] = OutcomeUnknownError(
                f"{describe(record_key)}: the reply was lost, and nobody can say whether it was"
                " applied; read it, or write it again",
                record_key=record_key,
            )
    failure = NOT_STARTED if failed is None or failed.failure is None else failed.failure
    operation = BatchWriteItem.name if failed is None else failed.operation
    cause = service_error(operation, failure, session.settings)
    not_applied, unknown = keys[WriteStatus.NOT_APPLIED], keys[WriteStatus.UNKNOWN]
    causes = dict.fromkeys(not_applied[:1], cause) | causes
    left = not_applied + unknown
    return BatchWriteError(
        f"of {plural(len(writes), 'write')} of the batch {len(not_applied)} not applied,"
        f" {len(unknown)} unknown ({', '.join(map(describe, left[:3]))}"
        f"{', …' if len(left) > 3 else ''}): {cause}",
        cause=table_of(session).connection.exception(
            Call(operation, {"TableName": session.settings.table_name}), failure
        ),
        applied=keys[WriteStatus.APPLIED],
        not_applied=not_applied,
        unknown=unknown,
        causes=causes,
    )
