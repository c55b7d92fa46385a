"""PynamoDB's batch writer, which loses nothing: each write is applied, or named as not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
from pynamodb.exceptions import PutError
from pynamodb.models import BatchWrite, Model

from thrivecalc_models.errors import (
    CommitError,
    InvalidRecordError,
    OutcomeUnknownError,
    ThriveCalcError,
)
from thrivecalc_models.operations import (
    ITEMS_LEFT,
    DeleteItem,
    Failure,
    Key,
    Protocol,
    PutItem,
    Reply,
    Send,
    Wait,
    unprocessed_writes,
)
from thrivecalc_models.operations import BatchWrite as BatchWriteItem
from thrivecalc_models.protocol import Backoff, RetryPolicy, service_error
from thrivecalc_models.records import writing
from thrivecalc_models.records.binding import Binding, default_binding
from thrivecalc_models.records.pynamo.attempts import was_deleted, was_stored
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.value import Value
from thrivecalc_models.wire import describe
from thrivecalc_models.words import plural

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

R = TypeVar("R", bound=Model)
Entry = PutItem | DeleteItem

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


@attrs.frozen(eq=False, repr=False)
class Left(Value):
    """What a batch left undone: its entries, those of them in doubt, and the last failure."""

    entries: tuple[Entry, ...] = ()
    doubtful: frozenset[Key] = frozenset()
    failure: Failure | None = None


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
        binding = default_binding()
        queued = {_key(op["item"]): op["item"] for op in self.pending_operations}
        entries = self._entries(binding)
        left: Left = table_of(binding).connection.perform(
            BatchWriteItem.name, write_batch(entries, binding.retry, binding.rng)
        )
        self.pending_operations = []
        remaining = {entry.key for entry in left.entries}
        for entry in entries:
            if entry.key not in remaining:
                record = queued[entry.key]
                record._belong_to(binding)
                if isinstance(entry, PutItem):
                    was_stored(record, entry.item)
                else:
                    was_deleted(record)
        if left.failure is not None:
            self.failed_operations = [entry.write_request() for entry in left.entries]
            raise _error(entries, left, left.failure, binding)

    def _add(self, action: str, record: UserRecord) -> None:
        key = _key(record)
        if record._binding is None:
            record._belong_to(default_binding())
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

    def _entries(self, binding: Binding) -> tuple[Entry, ...]:
        """Every pending operation, encoded and checked. Raises InvalidRecordError."""
        entries: list[Entry] = []
        errors: dict[str, Exception] = {}
        for operation in self.pending_operations:
            record = operation["item"]
            try:
                entries.append(_entry(operation["action"], record, binding))
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
        return tuple(entries)


def _key(record: UserRecord) -> Key:
    return writing.key_of(record)


def _entry(action: str, record: UserRecord, binding: Binding) -> Entry:
    if record._binding is not None and record._binding.settings != binding.settings:
        raise InvalidRecordError(
            f"{describe(record.record_key)} belongs to another store than batch_write() writes to;"
            " write it through its own, or make a record of this one with read_item(record.item)"
        )
    if action == DELETE:
        return DeleteItem(key=_key(record))
    return writing.put_of(record, at=binding.write_time(), js_safe=binding.js_safe_numbers)


def write_batch(entries: tuple[Entry, ...], policy: RetryPolicy, rng: Any) -> Protocol[Left]:
    """Send up to 25 unconditional writes of distinct keys until none is left or it is hopeless.

    Each is the same when sent twice. While some are processed, the budget is whole.
    """
    started = yield Wait(0.0)
    backoff = Backoff(policy, rng, since=started.at)
    left = Left(entries)
    attempt = 1
    while True:
        received = yield Send((BatchWriteItem(writes=left.entries),), attempt)
        before, left = left, _after(left, received.results[0])
        if not left.entries:
            return Left()
        if len(left.entries) < len(before.entries):
            backoff.progress(received.at)
        failure = left.failure
        if failure is None or not failure.again:
            return left
        wait = backoff.next_wait(failure, received.at)
        if wait is None:
            return left
        yield Wait(wait, BatchWriteItem.name, attempt, failure.code)
        attempt += 1


def _after(left: Left, result: Reply | Failure) -> Left:
    if isinstance(result, Reply):
        keys = frozenset(unprocessed_writes(result.body))
        rest = tuple(entry for entry in left.entries if entry.key in keys)
        return Left(rest, left.doubtful & keys, ITEMS_LEFT if rest else None)
    doubtful = left.doubtful
    if result.applied_maybe:
        doubtful |= {entry.key for entry in left.entries}
    return Left(left.entries, doubtful, result)


def _error(
    entries: tuple[Entry, ...], left: Left, failure: Failure, binding: Binding
) -> BatchWriteError:
    remaining = {entry.key for entry in left.entries}
    unknown = [e.key.record_key for e in left.entries if e.key in left.doubtful]
    not_applied = [e.key.record_key for e in left.entries if e.key not in left.doubtful]
    cause = service_error(BatchWriteItem.name, failure, binding.settings)
    causes = dict.fromkeys(not_applied[:1], cause)
    for key in unknown:
        causes[key] = OutcomeUnknownError(
            f"{describe(key)}: the reply was lost, and nobody can say whether it was applied;"
            " read it, or write it again",
            record_key=key,
        )
    shown = ", ".join(describe(key) for key in (not_applied + unknown)[:3])
    return BatchWriteError(
        f"of {plural(len(entries), 'write')} of the batch {len(not_applied)} not applied,"
        f" {len(unknown)} unknown ({shown}{', …' if len(remaining) > 3 else ''}): {cause}",
        cause=table_of(binding).connection.exception(
            BatchWriteItem.name, failure, {"TableName": binding.settings.table_name}
        ),
        applied=[e.key.record_key for e in entries if e.key not in remaining],
        not_applied=not_applied,
        unknown=unknown,
        causes=causes,
    )
