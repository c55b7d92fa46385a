"""The unit of work: one object per key, detected changes, one commit that reports every outcome."""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, NoReturn, TypeVar, cast, overload
from weakref import WeakSet, finalize

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import (
    CommitError,
    InvalidRecordError,
    RecordExistsError,
    RecordNotFoundError,
    UnattachedRecordWarning,
    UnitOfWorkStateError,
)
from thrivecalc_models.operations import Key, Query
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
    transact,
)
from thrivecalc_models.records import UserRecord, creation, reading, writing
from thrivecalc_models.records.constructors import makes_record
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId, Scope, distinct
from thrivecalc_models.records.state import state_of
from thrivecalc_models.signals import warn
from thrivecalc_models.transport import Shield
from thrivecalc_models.unit_of_work import beside
from thrivecalc_models.unit_of_work.entries import (
    Action,
    Entry,
    action_of,
    check_transaction,
    pending_writes,
)
from thrivecalc_models.unit_of_work.outcomes import (
    CommitResult,
    commit_error,
    publish,
    result,
    write_error,
)
from thrivecalc_models.unit_of_work.watch import has_pending, warn_of_loss, watch
from thrivecalc_models.value import even_half_made
from thrivecalc_models.wire import Item, describe
from thrivecalc_models.words import plural

R = TypeVar("R", bound=UserRecord)
M = TypeVar("M", bound=Callable[..., Any])

# Inside UnitOfWork, `list` is the method.
ListOf = list


_APPLIED = WriteOutcome(state=WriteStatus.APPLIED)
_UNKNOWN = WriteOutcome(state=WriteStatus.UNKNOWN)


def _exclusive(method: M) -> M:
    """Allow one call at a time: refuse a second thread instead of making it wait."""

    @functools.wraps(method)
    def call(self: UnitOfWork, *args: Any, **kwargs: Any) -> Any:
        if not self._busy.acquire(False):
            raise UnitOfWorkStateError(
                "this unit of work is in use by another thread; give each thread its own"
            )
        try:
            return method(self, *args, **kwargs)
        finally:
            self._busy.release()

    return cast("M", call)


class UnitOfWork:
    """Reads and writes of one user that are committed together.

    As a context manager it commits at the end of the block, and sends nothing if the block raised.
    With `atomic` all is one transaction. `lock=False` makes the last writer win, field by field.
    `consistent` and `include_expired` hold for its reads. It may move between threads but not be
    used by two at once.
    """

    def __init__(
        self,
        scope: Scope,
        *,
        atomic: bool = False,
        lock: bool = True,
        consistent: bool = True,
        include_expired: bool = False,
    ) -> None:
        self._scope = scope
        self._atomic = atomic
        self._lock = lock
        self._consistent = consistent
        self._include_expired = include_expired
        self._entries: dict[str, Entry] = {}
        self._transaction: AtomicWrites | None = None
        self._state: Literal["open", "failed", "closed"] = "open"
        self._ended = False
        self.has_applied = False
        self._known_existing: list[str] = []
        self._under_way: dict[str, PendingWrite] = {}
        self._watch: finalize[..., object] | None = None
        self._busy = threading.Lock()
        self._beside: WeakSet[UserRecord] | None = None

    @property
    def user_id(self) -> str:
        return self._scope.user_id

    @even_half_made
    def __repr__(self) -> str:
        return f"<UnitOfWork {self._state}, {plural(len(self._entries), 'record')}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a unit of work cannot be pickled or copied; make another one")

    # --- the block --------------------------------------------------------------------------------

    def __enter__(self) -> UnitOfWork:
        self._check_open()
        beside.enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        beside.leave(self)
        self._ended = True
        if error is not None:
            if self._state != "failed":
                self._end("closed")
            return
        if self._state != "closed":
            self.commit()

    @_exclusive
    def close(self) -> None:
        """End the unit. Pending changes are not sent; they cause a ResourceWarning."""
        if self._state == "open" and self._has_pending():
            warn_of_loss("closed")
        self._end("closed")

    def _end(self, state: Literal["failed", "closed"]) -> None:
        """Enter a final or failed state, in which no warning of lost changes is needed."""
        self._ended = self._ended or state == "closed"
        self._state = state
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.detach()
            self._watch = None

    def note_beside(self, scope: Scope, record: UserRecord) -> None:
        """Note a record that a scope returned in the block of this unit."""
        if scope.user_id == self.user_id and scope.session is self._scope.session:
            self._beside = self._beside or WeakSet()
            self._beside.add(record)

    def _warn_of_unattached(self) -> None:
        """Warn of records that were edited in the block as if they were the unit's."""
        js_safe = self._scope.session.js_safe_numbers
        while self._beside:
            record = self._beside.pop()
            entry = self._entries.get(record.record_key)
            if (entry is None or entry.record is not record) and writing.is_edited(
                record, js_safe=js_safe
            ):
                warn(
                    f"{describe(record.record_key)} was edited in the block of a unit of work that"
                    " has not got it, so the edit is not written; read it with the unit's own get,"
                    " or write it with update",
                    UnattachedRecordWarning,
                )

    def _check_open(self) -> None:
        if self._state == "closed":
            raise UnitOfWorkStateError("this unit of work is closed; open another one")
        if self._state == "failed":
            raise UnitOfWorkStateError(
                "this unit of work has a failed commit; refresh or expunge records, then commit"
                " again, or roll back"
            )
        if self._watch is None:
            self._watch = watch(self, self._entries, self._scope, lock=self._lock)

    def _check_not_closed(self) -> None:
        if self._state == "closed":
            raise UnitOfWorkStateError("this unit of work is closed; open another one")

    # --- reading ----------------------------------------------------------------------------------

    @overload
    def get(self, data_type: type[R], record_id: RecordId) -> R | None: ...
    @overload
    def get(self, data_type: str, record_id: RecordId) -> UserRecord | None: ...
    @_exclusive
    def get(self, data_type: DataTypeLike, record_id: RecordId) -> Any:
        """Return the record, or None if it does not exist or its deletion is pending."""
        self._check_open()
        return self._get_many([self._scope.key(data_type, record_id)])[0]

    @overload
    def get_many(self, keys: Iterable[tuple[type[R], RecordId]]) -> ListOf[R | None]: ...
    @overload
    def get_many(self, keys: Iterable[KeyLike]) -> ListOf[UserRecord | None]: ...
    @_exclusive
    def get_many(self, keys: Iterable[KeyLike]) -> Any:
        """Return the records of keys in their order; None for each that does not exist.

        A key is a pair of type and record id, or the text of a record key. At most 100 keys a
        request, without duplicates, the requests at the same time.
        """
        self._check_open()
        return self._get_many([self._scope.key_of(each) for each in keys], batch=True)

    def _get_many(self, keys: Sequence[Key], *, batch: bool = False) -> ListOf[UserRecord | None]:
        entries = self._entries
        unseen = distinct([key for key in keys if key.record_key not in entries])
        if batch:
            found = reading.fetch_many(
                self._scope,
                unseen,
                consistent=self._consistent,
                include_expired=self._include_expired,
            )
            for name in unseen:
                record = found.get(name)
                if record is not None:
                    entries[name] = Entry(name, record)
        else:
            for key in unseen.values():
                item = reading.fetch(self._scope, key, consistent=self._consistent)
                if item is not None:
                    self._take(item)
        return [self._visible(key.record_key) for key in keys]

    @overload
    def list(self, data_type: type[R]) -> ListOf[R]: ...
    @overload
    def list(self, data_type: str) -> ListOf[UserRecord]: ...
    @_exclusive
    def list(self, data_type: DataTypeLike) -> Any:
        """Return a type's records by record key, with the unit's adds, without its deletes."""
        self._check_open()
        return self._list(self._scope.data_type(data_type))

    @_exclusive
    def list_all(self) -> ListOf[UserRecord]:
        """Return the user's records by record key, with the unit's adds, without its deletes."""
        self._check_open()
        return self._list(None)

    def _list(self, data_type: str | None) -> ListOf[UserRecord]:
        query = Query(
            user_id=self.user_id,
            data_type=data_type,
            by_index=data_type is not None and not self._consistent,
            consistent=self._consistent,
        )
        keys = set()
        for page in reading.pages(self._scope, query):
            for item in page.items:
                key = item[table.RECORD_KEY]["S"]
                if key not in self._entries:
                    self._take(item)
                keys.add(key)
        keys |= {
            key
            for key, entry in self._entries.items()
            if entry.action in ("add", "put")
            and entry.record is not None
            and data_type in (None, entry.record.data_type)
        }
        visible = (self._visible(key) for key in sorted(keys))
        return [record for record in visible if record is not None]

    def _take(self, item: Item) -> None:
        """Put a record that was read into the identity map, unless it is expired."""
        record = reading.seen(self._scope, item, include_expired=self._include_expired)
        if record is not None:
            self._entries[record.record_key] = Entry(record.record_key, record)

    def _visible(self, key: str) -> UserRecord | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.action is None and entry.attempt is None:  # as most of them are
            return entry.record
        return None if entry.deleted else entry.record

    # --- queueing ---------------------------------------------------------------------------------

    @makes_record
    @_exclusive
    def add(
        self,
        given: Any,
        data: Any = None,
        /,
        *,
        record_id: RecordId | None = None,
        ttl: datetime | timedelta | None = None,
        exist_ok: bool = False,
    ) -> UserRecord:
        """Queue a new record: a payload, a record, or a type and a camelCase mapping.

        Under a given id it is written if the key is free; with `exist_ok` a taken key is left as
        it is. Returns the record.
        """
        self._check_open()
        if exist_ok and self._atomic:
            raise UnitOfWorkStateError(
                "exist_ok cannot hold in an atomic unit: a taken key fails the whole transaction;"
                " leave it out, or use a unit that is not atomic"
            )
        record = creation.make(self._scope, given, data, record_id=record_id, ttl=ttl)
        key = record.record_key
        if writing.has_snapshot(record):
            raise RecordExistsError(
                f"{describe(key)} is stored already; edit it, or use put", record_key=key
            )
        known = self._entries.get(key)
        if known is not None:
            if exist_ok and known.record is not None and not known.deleted:
                if known.action is None and key not in self._known_existing:
                    self._known_existing.append(key)
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
        if known.record is record:
            return
        raise RecordExistsError(
            f"{describe(record.record_key)} is in this unit already; edit it, or use put",
            record_key=record.record_key,
        )

    @makes_record
    @_exclusive
    def put(
        self,
        given: Any,
        data: Any = None,
        /,
        *,
        record_id: RecordId | None = None,
        ttl: datetime | timedelta | None = None,
    ) -> UserRecord:
        """Queue a record to be created or replaced as a whole, without a condition; return it."""
        self._check_open()
        record = creation.make(self._scope, given, data, record_id=record_id, ttl=ttl)
        state_of(record).check_changeable()
        if writing.is_stored(record):
            self._check_same_object(record)
        self._enter(Entry(record.record_key, record, "put"), (Intent.PUT,))
        return record

    def _check_same_object(self, record: UserRecord) -> None:
        known = self._entries.get(record.record_key)
        if known is not None and known.record is not None and known.record is not record:
            raise UnitOfWorkStateError(
                f"another object of {describe(record.record_key)} is in this unit; use that one, or"
                " expunge it first"
            )

    @overload
    def delete(self, target: UserRecord, /) -> None: ...
    @overload
    def delete(self, target: DataTypeLike, record_id: RecordId, /) -> None: ...
    @_exclusive
    def delete(
        self, target: UserRecord | DataTypeLike, record_id: RecordId | None = None, /
    ) -> None:
        """Queue a deletion: of a loaded record if unchanged, or of the record of a key."""
        self._check_open()
        if isinstance(target, UserRecord):
            self._delete_record(target)
            return
        if record_id is None:
            raise TypeError("delete takes a record, or a type and a record id")
        key = self._scope.key(target, record_id).record_key
        known = self._entries.get(key)
        if known is not None and known.action == "add" and known.generated:
            del self._entries[key]
            return
        self._enter(Entry(key, known.record if known else None, "delete any"), ())

    def _delete_record(self, record: UserRecord) -> None:
        self._scope.check_owner(record)
        self._check_same_object(record)
        known = self._entries.get(record.record_key)
        attempt = writing.attempt_of(record)
        if known is not None and known.action == "add" and attempt is None:
            del self._entries[record.record_key]
            return
        action: Action = "delete" if self._lock and writing.is_stored(record) else "delete any"
        if not writing.is_stored(record) and known is None and attempt is None:
            raise InvalidRecordError(
                f"{describe(record.record_key)} was never stored; there is nothing to delete",
                path=table.RECORD_KEY,
            )
        self._enter(Entry(record.record_key, record, action), (Intent.DELETE, Intent.DELETE_ANY))

    @_exclusive
    def check(self, record: UserRecord) -> None:
        """Make an atomic commit fail if this loaded record has changed since it was read."""
        self._check_open()
        if not self._atomic:
            raise UnitOfWorkStateError("check needs an atomic unit: unit_of_work(atomic=True)")
        self._scope.check_owner(record)
        writing.snapshot_of(record)
        self._check_same_object(record)
        known = self._entries.get(record.record_key)
        if known is None or known.action is None:
            self._enter(Entry(record.record_key, record, "check"), ())

    def attach(self, record: UserRecord) -> None:
        """Add a loaded record of this user to the unit, so that its changes are committed."""
        self._check_open()
        self._scope.check_owner(record)
        if writing.attempt_of(record) is None:
            writing.snapshot_of(record)
        self._check_same_object(record)
        if record.record_key not in self._entries:
            self._enter(Entry(record.record_key, record), ())

    def _enter(self, entry: Entry, same: tuple[Intent, ...]) -> None:
        """Queue an entry in the place of its key; an unknown attempt of the same is that write."""
        entries, key = self._entries, entry.key
        attempt = writing.attempt_of(entry.record) if entry.record is not None else None
        if attempt is not None:
            entry.attempt = attempt
            if attempt.intent in same:
                entry.action = None
        if entry.action is not None and key in entries and entries[key].action is None:
            del entries[key]  # it is first queued now
        entries[key] = entry

    # --- the plan ---------------------------------------------------------------------------------

    @_exclusive
    def plan(self) -> Plan:
        """Return what commit would send; send nothing. Raises InvalidRecordError."""
        self._check_not_closed()
        attempts = self._attempts()
        pending = self._pending()
        if not self._atomic:
            return Plan((*plan_requests(attempts), *plan_requests(pending)))
        unknown = self._transaction.writes if self._transaction is not None else ()
        return Plan((*plan_transaction(unknown), *plan_transaction(pending)))

    def _attempts(self) -> ListOf[PendingWrite]:
        for entry in self._entries.values():
            if entry.attempt is None and entry.record is not None:
                entry.attempt = writing.attempt_of(entry.record)  # by PynamoDB's methods, since
        attempts = [entry.attempt for entry in self._entries.values() if entry.attempt is not None]
        for attempt in attempts:
            self._scope.check_write(attempt.write, attempt.key)
        return attempts

    def _pending(self) -> ListOf[PendingWrite]:
        """Encode and check every pending write, except those that wait for an unknown attempt."""
        unknown = self._transaction.writes if self._transaction is not None else ()
        writes = pending_writes(
            self._entries.values(),
            self._scope,
            lock=self._lock,
            in_doubt={write.key for write in unknown},
        )
        if self._atomic:
            check_transaction(writes)
        return writes

    # --- the commit -------------------------------------------------------------------------------

    @_exclusive
    def commit(self) -> CommitResult:
        """Send what is pending. Raises InvalidRecordError before anything is sent, or CommitError.

        After a CommitError: what is unknown goes first, exactly as before, then what was not
        applied, with a new stamp.
        """
        if self._state == "closed":
            if self._has_pending():
                self._check_not_closed()
            return CommitResult()
        report = CommitReport()
        try:
            driver = self._scope.session.driver
            began = driver.monotonic()
            with driver.shield() as shield:
                pending = self._pending()
                self._warn_of_unattached()
                shield.guard(self._send, pending, report, shield)
                if shield.interrupt is not None:
                    self._settle_rest(report)
                shield.guard(publish, self._scope, report, driver.monotonic() - began)
            return self._conclude(report, shield)
        except BaseException as error:
            if self._ended and self._state == "open":
                self._end("failed")
            if isinstance(error, Exception) or error.__cause__ is not None:
                raise
            self._settle_rest(report)
            raise error from self._commit_error(report)

    def _settle_rest(self, report: CommitReport) -> None:
        """Give every key an outcome if an exception came between two steps of a commit.

        What was under way then, and did not get into the map, is unknown to it: the next commit
        asks for that first. What is still pending by the map is not applied.
        """
        for write in list(self._under_way.values()):
            report.outcomes.setdefault(write.key, _UNKNOWN)
            self._apply(write, _UNKNOWN)
        in_doubt = self._transaction.writes if self._transaction is not None else ()
        for write in (*self._attempts(), *in_doubt):
            report.outcomes.setdefault(write.key, _UNKNOWN)
        for key in self._pending_keys():
            if report.outcomes.get(key, _APPLIED).state is WriteStatus.APPLIED:
                report.outcomes[key] = WriteOutcome(state=WriteStatus.NOT_APPLIED)

    def _pending_keys(self) -> ListOf[str]:
        """Return the keys of pending changes, or of queued ones if those cannot be encoded."""
        try:
            return [write.key for write in self._pending()]
        except BaseException:  # noqa: BLE001 - the host's clock, too, may be what interrupts
            return [entry.key for entry in self._entries.values() if entry.action is not None]

    def _has_pending(self) -> bool:
        return has_pending(self._entries.values(), self._scope, lock=self._lock)

    def _send(self, pending: ListOf[PendingWrite], report: CommitReport, shield: Shield) -> None:
        """Send unknown writes first, then pending ones; the first may add to the second."""
        attempts = self._attempts()
        if self._transaction is not None or attempts:
            shield.hold_signals()  # more requests may follow
        if self._transaction is not None:
            self._run_transaction(self._transaction, report, shield)
            pending = self._pending()
        elif attempts:
            self._run(attempts, report, shield)
            pending = self._pending()
        if report.halted or self._transaction is not None:
            for write in pending:
                report.outcomes[write.key] = WriteOutcome(state=WriteStatus.NOT_APPLIED)
        elif pending and self._atomic:
            self._transaction = AtomicWrites(writes=tuple(pending), token=str(uuid.uuid4()))
            self._run_transaction(self._transaction, report, shield)
        elif pending:
            self._run(pending, report, shield)

    def _run(self, writes: Sequence[PendingWrite], report: CommitReport, shield: Shield) -> None:
        session = self._scope.session
        self._under_way = {write.key: write for write in writes}
        found = session.commit(writes, shield)
        report.merge(found)
        for write in writes:
            shield.guard(self._apply, write, found.outcomes[write.key])

    def _run_transaction(
        self, transaction: AtomicWrites, report: CommitReport, shield: Shield
    ) -> None:
        session = self._scope.session
        self._under_way = {write.key: write for write in transaction.writes}
        found = session.driver.run(transact(transaction, session.retry, session.rng), shield=shield)
        report.merge(found)
        for write in transaction.writes:
            shield.guard(self._apply, write, found.outcomes[write.key])
        if not self._under_way and not found.keys(WriteStatus.UNKNOWN):
            self._transaction = None

    def _apply(self, write: PendingWrite, outcome: WriteOutcome) -> None:
        """Record the outcome of a write in the identity map, unless it is still in flight."""
        entry = self._entries.get(write.key)
        if entry is not None:
            self._apply_to(entry, write, outcome)
        self._under_way.pop(write.key, None)

    def _apply_to(self, entry: Entry, write: PendingWrite, outcome: WriteOutcome) -> None:
        if outcome.state is WriteStatus.UNKNOWN:
            if not self._atomic:
                entry.action = entry.action if write.intent is Intent.UPDATE else None
                entry.remember(attrs.evolve(write, maybe=True))
            return
        was_attempt = entry.attempt is not None
        entry.remember(None)
        if outcome.state is WriteStatus.NOT_APPLIED:
            if was_attempt:
                entry.action = action_of(write.intent)
            return
        deleted = write.intent in (Intent.DELETE, Intent.DELETE_ANY)
        if deleted and entry.record is not None:
            writing.deleted(entry.record)
        if outcome.state is WriteStatus.EXISTING or deleted:
            if not was_attempt or entry.action is None:
                del self._entries[write.key]
            return
        if not was_attempt or write.intent is not Intent.UPDATE:
            entry.action = None if entry.action in ("add", "put", "check") else entry.action
        if write.intent is not Intent.CHECK and entry.record is not None:
            writing.applied(entry.record, write, outcome.item)
            state_of(entry.record).belong_to(self._scope.session)

    def _conclude(self, report: CommitReport, shield: Shield) -> CommitResult:
        error = self._commit_error(report)
        self.has_applied = self.has_applied or report.has_applied
        self._state = "failed" if error is not None else "closed" if self._ended else "open"
        self._unwatch()
        shield.conclude(error)
        known = [key for key in self._known_existing if key not in report.outcomes]
        self._known_existing = []
        return result(report, known)

    def _commit_error(self, report: CommitReport) -> CommitError | None:
        if report.complete:
            return None
        causes = {}
        for key, outcome in report.outcomes.items():
            entry = self._entries.get(key)
            cause = write_error(
                self._scope,
                key,
                outcome,
                record=entry.record if entry is not None else None,
                adding=entry is not None and entry.action == "add",
            )
            if cause is not None:
                causes[key] = cause
        return commit_error(report, causes)

    # --- after a failed commit --------------------------------------------------------------------

    @_exclusive
    def refresh(self, record: UserRecord) -> None:
        """Read a record again and drop its pending change. Raises RecordNotFoundError if gone."""
        self._check_not_closed()
        entry = self._own_entry(record)
        item = reading.fetch(self._scope, writing.key_of(record), consistent=True)
        self._forget(entry)
        if item is None:
            raise RecordNotFoundError(
                f"{describe(record.record_key)} is gone; it has left the unit and nothing is"
                " pending for it",
                record_key=record.record_key,
            )
        writing.restore(record, item)
        state_of(record).belong_to(self._scope.session)
        self._entries[entry.key] = Entry(entry.key, record)

    @_exclusive
    def expunge(self, record: UserRecord) -> None:
        """Remove a record from the unit; its pending change is not sent."""
        self._check_not_closed()
        self._forget(self._own_entry(record))

    @_exclusive
    def rollback(self) -> None:
        """Restore loaded records to their snapshots in place, forget the rest; sends nothing."""
        self._check_not_closed()
        for entry in list(self._entries.values()):
            self._forget(entry)
            if entry.record is not None and writing.is_stored(entry.record):
                writing.restore(entry.record, writing.snapshot_of(entry.record))
        self._transaction = None
        self._state = "closed" if self._ended else "open"
        self._unwatch()

    def _own_entry(self, record: UserRecord) -> Entry:
        self._scope.check_owner(record)
        entry = self._entries.get(record.record_key)
        if entry is None or entry.record is not record:
            raise UnitOfWorkStateError(
                f"{describe(record.record_key)} is not in this unit; read it here first"
            )
        return entry

    def _forget(self, entry: Entry) -> None:
        entry.remember(None)
        del self._entries[entry.key]
        if entry.key in self._known_existing:
            self._known_existing.remove(entry.key)
        if self._transaction is not None:
            self._transaction = self._transaction.without(entry.key, str(uuid.uuid4()))
