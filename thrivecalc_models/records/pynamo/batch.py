"""PynamoDB's batch writer, which loses nothing: a write that is not applied is named."""

from __future__ import annotations

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
from thrivecalc_models.operations import DeleteItem
from thrivecalc_models.protocol import (
    CommitReport,
    Intent,
    PendingWrite,
    WriteOutcome,
    WriteStatus,
    batch_entry,
    service_error,
)
from thrivecalc_models.records import writing
from thrivecalc_models.records.pynamo.attempts import failure_of, was_applied
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.records.session import Session, default_session
from thrivecalc_models.records.state import state_of
from thrivecalc_models.synchronous import drive
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


class RecordBatch(BatchWrite[R]):
    """Collects saves and deletes, and sends up to 25 of them in a request.

    A later operation on a key replaces an earlier one that is not sent yet. Writes are
    unconditional; a record that was saved is stamped, and its own snapshot afterwards. After an
    exception in the `with` block nothing more is sent.
    """

    def save(self, put_item: R) -> None:
        """Queue a record to be stored whole, over any stored item."""
        self._add(SAVE, cast("UserRecord", put_item))

    def delete(self, del_item: R) -> None:
        """Queue a record to be deleted, without a condition."""
        self._add(DELETE, cast("UserRecord", del_item))

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        if exc_type is None:
            self.commit()

    def commit(self) -> None:
        """Send the pending writes, in one request if they fit.

        Raises InvalidRecordError before anything is sent if a record is bad, and BatchWriteError
        (a CommitError and a PutError), which names the writes that are not applied or unknown.
        """
        if not self.pending_operations:
            return
        session = default_session()
        connection = table_of(session).connection
        writes = self._writes(session)
        with session.driver.shield() as shield:
            report = connection.signalling(
                BatchWriteItem.name, lambda: drive(session.commit(writes, shield))
            )
            operations, self.pending_operations = self.pending_operations, []
            for operation, write in zip(operations, writes, strict=True):
                outcome = report.outcomes[write.key]
                if outcome.state is WriteStatus.APPLIED:
                    was_applied(operation["item"], write, session, outcome)
        if report.complete:
            return shield.conclude(None)
        self.failed_operations = [
            batch_entry(write).write_request()
            for write in writes
            if report.outcomes[write.key].state is not WriteStatus.APPLIED
        ]
        shield.conclude(_error(writes, report, session))

    def _add(self, action: str, record: UserRecord) -> None:
        key = writing.key_of(record)
        if state_of(record).session is None:
            state_of(record).belong_to(default_session())
        for operation in self.pending_operations:
            if writing.key_of(operation["item"]) == key:
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
        """Encode and check every pending operation. Raises InvalidRecordError."""
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


def _write(name: str, action: str, record: UserRecord, session: Session) -> PendingWrite:
    """Return the write of one operation, `name` in the report: a record key may be two users'."""
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
    keys: dict[WriteStatus, list[str]] = {status: [] for status in WriteStatus}
    for write in writes:
        keys[report.outcomes[write.key].state].append(write.write.key.record_key)
    not_applied, unknown = keys[WriteStatus.NOT_APPLIED], keys[WriteStatus.UNKNOWN]
    failed = _first_failed(report)
    operation, failure = failed.operation or BatchWriteItem.name, failure_of(failed)
    cause = service_error(operation, failure, session.settings)
    left = not_applied + unknown
    error = BatchWriteError(
        f"of {plural(len(writes), 'write')} of the batch {len(not_applied)} not applied,"
        f" {len(unknown)} unknown ({', '.join(map(describe, left[:3]))}"
        f"{', …' if len(left) > 3 else ''}): {cause}",
        applied=keys[WriteStatus.APPLIED],
        not_applied=not_applied,
        unknown=unknown,
        causes=dict.fromkeys(not_applied[:1], cause) | {key: _unknown(key) for key in unknown},
    )
    error.cause = table_of(session).connection.exception(operation, failure)
    return error


def _first_failed(report: CommitReport) -> WriteOutcome:
    """Return the first outcome with a failure; without any, the first that is not applied."""
    failed = [each for each in report.outcomes.values() if each.state is not WriteStatus.APPLIED]
    return next((each for each in failed if each.failure is not None), failed[0])


def _unknown(record_key: str) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"{describe(record_key)}: the reply was lost, so it is unknown whether the write was"
        " applied; read it, or write it again",
        record_key=record_key,
    )
