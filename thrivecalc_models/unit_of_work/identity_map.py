"""The identity map of a unit of work: one object per record key, and what is pending for each."""

from __future__ import annotations

import uuid

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import (
    CorruptItemError,
    InvalidRecordError,
    IsolationError,
    RecordExistsError,
    UnitOfWorkStateError,
)
from thrivecalc_models.operations import Filter, matches
from thrivecalc_models.protocol import (
    AtomicWrites,
    CommitReport,
    Intent,
    PendingWrite,
    Plan,
    WriteOutcome,
    WriteStatus,
    plan_requests,
    plan_transaction,
)
from thrivecalc_models.records import UserRecord, writing
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.records.state import state_of
from thrivecalc_models.unit_of_work.entries import (
    DELETIONS,
    Action,
    Entry,
    action_of,
    check_transaction,
    write_of,
)
from thrivecalc_models.wire import Item, describe
from thrivecalc_models.words import plural


@attrs.define(eq=False, repr=False)
class IdentityMap:
    """The entries of one unit by record key, in the order in which a commit sends them.

    `transaction` is an atomic commit of unknown outcome. `known_existing` lists the keys of records
    in the map that were added again with `exist_ok`.
    """

    scope: Scope
    atomic: bool
    lock: bool
    entries: dict[str, Entry] = attrs.field(factory=dict, init=False)
    transaction: AtomicWrites | None = attrs.field(default=None, init=False)
    known_existing: list[str] = attrs.field(factory=list, init=False)

    # --- what is in it ----------------------------------------------------------------------------

    def has(self, record: UserRecord) -> bool:
        """Whether this very object is in the map."""
        entry = self.entries.get(record.record_key)
        return entry is not None and entry.record is record

    def visible(self, key: str) -> UserRecord | None:
        """Return the record of a key; None if the map has none, or its deletion is pending."""
        entry = self.entries.get(key)
        return None if entry is None or entry.deleted else entry.record

    def added_keys(self, data_type: str | None) -> set[str]:
        """Return the keys of queued adds and puts, of one type or of all."""
        return {
            key
            for key, entry in self.entries.items()
            if entry.action in ("add", "put")
            and entry.record is not None
            and data_type in (None, entry.record.data_type)
        }

    def edited_keys(self, data_type: str | None) -> set[str]:
        """Return the keys of records that were changed since they were read."""
        return {
            key
            for key, entry in self.entries.items()
            if entry.record is not None
            and data_type in (None, entry.record.data_type)
            and writing.is_stored(entry.record)
            and not writing.is_unchanged(entry.record)
        }

    def holds(self, key: str, condition: Filter) -> bool:
        """Whether a condition holds for a record as a commit would leave it.

        Raises InvalidRecordError if it cannot be written.
        """
        entry = self.entries[key]
        if entry.deleted or entry.record is None:
            return False
        now = self.scope.session.clock()
        write = write_of(entry, self.scope, now, lock=self.lock)
        after = None if write is None else write.after
        return matches(condition, writing.snapshot_of(entry.record) if after is None else after)

    def take(self, record: UserRecord) -> None:
        """Put a stored record into the map, with nothing queued."""
        self.entries[record.record_key] = Entry(record.record_key, record)

    def forget(self, entry: Entry) -> None:
        """Remove an entry, and its write from a transaction of unknown outcome."""
        entry.attempt = None
        del self.entries[entry.key]
        if entry.key in self.known_existing:
            self.known_existing.remove(entry.key)
        if self.transaction is not None:
            self.transaction = self.transaction.without(entry.key, str(uuid.uuid4()))

    def entry_of(self, record: UserRecord) -> Entry:
        """Return the entry of this object. Raises UnitOfWorkStateError, IsolationError."""
        self.scope.check_owner(record)
        entry = self.entries.get(record.record_key)
        if entry is None or entry.record is not record:
            raise UnitOfWorkStateError(
                f"{describe(record.record_key)} is not in this unit; read it here first"
            )
        return entry

    def check_same_object(self, record: UserRecord) -> None:
        """Raise UnitOfWorkStateError if the map has another object of the record's key."""
        known = self.entries.get(record.record_key)
        if known is not None and known.record is not None and known.record is not record:
            raise UnitOfWorkStateError(
                f"another object of {describe(record.record_key)} is in this unit; use that one, or"
                " expunge it first"
            )

    # --- queueing ---------------------------------------------------------------------------------

    def add(self, record: UserRecord, *, exist_ok: bool) -> UserRecord:
        """Queue a new record; with `exist_ok`, return the one that the map has of its key."""
        key = record.record_key
        known = self.entries.get(key)
        if known is not None:
            if exist_ok and known.record is not None and not known.deleted:
                if known.action is None and key not in self.known_existing:
                    self.known_existing.append(key)
                return known.record
            self._check_free(known, record)
        entry = Entry(key, record, "add", state_of(record).has_fresh_id, exist_ok)
        self._enter(entry, (Intent.ADD, Intent.ADD_FRESH))
        return record

    def _check_free(self, known: Entry, record: UserRecord) -> None:
        if known.deleted:
            raise UnitOfWorkStateError(
                f"{describe(record.record_key)} is being deleted in this unit; use put, which"
                " replaces it"
            )
        if known.record is not record:
            raise RecordExistsError(
                f"{describe(record.record_key)} is in this unit already; edit it, or use put",
                record_key=record.record_key,
            )

    def put(self, record: UserRecord) -> None:
        """Queue a record to be written as a whole."""
        if writing.is_stored(record):
            self.check_same_object(record)
        self._enter(Entry(record.record_key, record, "put"), (Intent.PUT,))

    def delete_key(self, key: str) -> None:
        """Queue a deletion of whatever is stored under a key."""
        known = self.entries.get(key)
        if known is not None and known.action == "add" and known.generated:
            del self.entries[key]  # nothing can be stored under an id that was just generated
            return
        self._enter(Entry(key, known.record if known else None, "delete any"))

    def delete(self, record: UserRecord) -> None:
        """Queue the deletion of a record, on condition that it is unchanged if `lock` is on."""
        self.check_same_object(record)
        key, stored = record.record_key, writing.is_stored(record)
        known, attempt = self.entries.get(key), writing.attempt_of(record)
        if known is not None and known.action == "add" and attempt is None:
            del self.entries[key]
            return
        if not stored and known is None and attempt is None:
            raise InvalidRecordError(
                f"{describe(key)} was never stored; there is nothing to delete",
                path=table.RECORD_KEY,
            )
        action: Action = "delete" if self.lock and stored else "delete any"
        self._enter(Entry(key, record, action), DELETIONS)

    def check(self, record: UserRecord) -> None:
        """Queue the check that a stored record is unchanged, unless a write is queued for it."""
        writing.snapshot_of(record)
        self.check_same_object(record)
        known = self.entries.get(record.record_key)
        if known is None or known.action is None:
            self._enter(Entry(record.record_key, record, "check"))

    def attach(self, record: UserRecord) -> None:
        """Put a record into the map whose changes are to be committed."""
        if writing.attempt_of(record) is None:
            writing.snapshot_of(record)
        self.check_same_object(record)
        if record.record_key not in self.entries:
            self._enter(Entry(record.record_key, record))

    def _enter(self, entry: Entry, same: tuple[Intent, ...] = ()) -> None:
        """Queue an entry in place of its key's.

        `same` are the intents of the action: an unknown attempt with one of them is that write.
        """
        attempt, key = entry.attempt, entry.key
        if attempt is not None and attempt.intent in same:
            entry.action = None
        if entry.action is not None and key in self.entries and self.entries[key].action is None:
            del self.entries[key]  # it is first queued now
        self.entries[key] = entry

    # --- what is pending --------------------------------------------------------------------------

    @property
    def unknown_writes(self) -> tuple[PendingWrite, ...]:
        """The writes of a transaction of unknown outcome."""
        return () if self.transaction is None else self.transaction.writes

    def attempts(self) -> list[PendingWrite]:
        """Return the single writes of unknown outcome. Raises IsolationError."""
        found = [entry.attempt for entry in self.entries.values()]
        attempts = [attempt for attempt in found if attempt is not None]
        for attempt in attempts:
            self.scope.check_write(attempt.write, attempt.key)
        return attempts

    def pending_writes(self) -> list[PendingWrite]:
        """Encode and check every pending write, but return none that waits for an unknown attempt.

        Raises InvalidRecordError with `.errors` by record key, CorruptItemError if a malformed
        record was changed, IsolationError for a key of another user.
        """
        now = self.scope.session.clock()
        unknown = {write.key for write in self.unknown_writes}
        writes: list[PendingWrite] = []
        errors: dict[str, Exception] = {}
        for entry in list(self.entries.values()):
            try:
                write = write_of(entry, self.scope, now, lock=self.lock)
            except (InvalidRecordError, CorruptItemError) as error:
                errors[entry.key] = error
                continue
            if write is not None:
                self.scope.check_write(write.write, entry.key)
                if entry.attempt is None and entry.key not in unknown:
                    writes.append(write)
        if errors:
            raise _invalid(errors)
        if self.atomic:
            check_transaction(writes)
        return writes

    def pending_keys(self) -> list[str]:
        """Return the keys of pending changes, or of queued ones if those cannot be encoded."""
        try:
            return [write.key for write in self.pending_writes()]
        except BaseException:  # noqa: BLE001 - the caller's clock, too, may be what interrupts
            return [entry.key for entry in self.entries.values() if entry.action is not None]

    def has_pending(self) -> bool:
        """Whether anything waits to be sent; a change that cannot be written counts."""
        try:
            if self.attempts() or self.unknown_writes:
                return True
            return bool(self.entries and self.pending_writes())
        except (InvalidRecordError, CorruptItemError, IsolationError):
            return True

    def plan(self) -> Plan:
        """Return the requests that a commit would send."""
        attempts, pending = self.attempts(), self.pending_writes()
        if self.atomic:
            return Plan((*plan_transaction(self.unknown_writes), *plan_transaction(pending)))
        table_name = self.scope.session.statements_on
        return Plan(
            (
                *plan_requests(attempts, statements_on=table_name),
                *plan_requests(pending, statements_on=table_name),
            )
        )

    # --- after a write ----------------------------------------------------------------------------

    def settle(self, write: PendingWrite, outcome: WriteOutcome) -> None:
        """Enter the outcome of a write: what is applied is no longer pending."""
        entry = self.entries.get(write.key)
        if entry is None:
            return
        if outcome.state is WriteStatus.UNKNOWN:
            if not self.atomic:  # an atomic unit keeps its transaction instead
                entry.action = entry.action if write.intent is Intent.UPDATE else None
                entry.attempt = attrs.evolve(write, maybe=True)
            return
        was_attempt = entry.attempt is not None
        entry.attempt = None
        if outcome.state is WriteStatus.NOT_APPLIED:
            entry.action = action_of(write.intent) if was_attempt else entry.action
        elif outcome.state is WriteStatus.EXISTING or write.intent in DELETIONS:
            if write.intent in DELETIONS and entry.record is not None:
                writing.deleted(entry.record)
            if not was_attempt or entry.action is None:
                del self.entries[write.key]
        else:
            self._settle_applied(entry, write, outcome.item, was_attempt=was_attempt)

    def _settle_applied(
        self, entry: Entry, write: PendingWrite, item: Item | None, *, was_attempt: bool
    ) -> None:
        # An action that was queued after an unknown update is still to be sent.
        if entry.action in ("add", "put", "check") and not (
            was_attempt and write.intent is Intent.UPDATE
        ):
            entry.action = None
        if write.intent is not Intent.CHECK and entry.record is not None:
            writing.applied(entry.record, write, item)
            state_of(entry.record).belong_to(self.scope.session)

    def take_known_existing(self, report: CommitReport) -> list[str]:
        """Return and forget the keys that were added again and are not in a report."""
        keys, self.known_existing = self.known_existing, []
        return [key for key in keys if key not in report.outcomes]

    def rollback(self) -> None:
        """Restore stored records to their snapshots, and forget every entry."""
        for entry in list(self.entries.values()):
            self.forget(entry)
            if entry.record is not None and writing.is_stored(entry.record):
                writing.restore(entry.record, writing.snapshot_of(entry.record))
        self.transaction = None


def _invalid(errors: dict[str, Exception]) -> Exception:
    """Return the error of a unit: the only one, with its key, or one that names them all."""
    if len(errors) > 1:
        lines = "; ".join(f"{describe(key)}: {error}" for key, error in errors.items())
        return InvalidRecordError(
            f"{plural(len(errors), 'record')} cannot be written, and nothing was sent: {lines}",
            errors=errors,
        )
    (error,) = errors.values()
    if isinstance(error, InvalidRecordError):
        several = dict(error.errors) if len(error.errors) > 1 else {}
        error.errors = errors | several
    return error.with_traceback(None)
