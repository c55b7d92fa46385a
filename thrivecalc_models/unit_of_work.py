"""The unit of work: one object per key, changes noticed, one commit with an honest account."""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, NoReturn, TypeVar, cast, overload

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import (
    CommitError,
    ConflictError,
    CorruptItemError,
    InvalidKeyError,
    InvalidRecordError,
    IsolationError,
    OutcomeUnknownError,
    RecordExistsError,
    RecordNotFoundError,
    ThriveCalcError,
    UnitOfWorkStateError,
)
from thrivecalc_models.operations import (
    ConditionCheck,
    DeleteItem,
    Key,
    Kind,
    Query,
)
from thrivecalc_models.protocol import (
    Account,
    Intent,
    Outcome,
    PendingWrite,
    Plan,
    State,
    Transaction,
    commit,
    plan_requests,
    plan_transaction,
    service_error,
    transact,
)
from thrivecalc_models.records import UserRecord, writing
from thrivecalc_models.records.access import Access, DataTypeLike, Given
from thrivecalc_models.records.edits import Edit
from thrivecalc_models.signals import LOGGER, CommitEvent, notify
from thrivecalc_models.transport import Shield
from thrivecalc_models.wire import Item, describe, item_size, masked_user

R = TypeVar("R", bound=UserRecord)
M = TypeVar("M", bound=Callable[..., Any])

# Inside UnitOfWork, `list` is the method.
ListOf = list

MAX_TRANSACTION_WRITES = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
"""Source: TransactWriteItems, Amazon DynamoDB API Reference."""


@attrs.frozen
class Capacity:
    """Capacity units that the service says a commit consumed."""

    read_units: float = 0.0
    write_units: float = 0.0


@attrs.frozen
class CommitResult:
    """A commit that applied completely: record keys, requests sent, capacity consumed."""

    applied: list[str] = attrs.field(factory=list)
    existing: list[str] = attrs.field(factory=list)
    requests: int = 0
    capacity: Capacity = attrs.field(factory=Capacity)


Action = Literal["add", "put", "delete", "delete any", "check"]


@attrs.define(eq=False)
class _Entry:
    """One key of the identity map, and what is to be done with it.

    `action` is what was queued, None where only noticed changes count. `attempt` is a write whose
    outcome is unknown; it goes before anything else.
    """

    key: str
    record: UserRecord | None
    action: Action | None = None
    generated: bool = False
    exist_ok: bool = False
    attempt: PendingWrite | None = None

    @property
    def deleted(self) -> bool:
        return self.action in ("delete", "delete any") or (
            self.attempt is not None and self.attempt.intent in (Intent.DELETE, Intent.DELETE_ANY)
        )

    def remember(self, attempt: PendingWrite | None) -> None:
        """Keep an attempt, on the record too: another unit may be the one to repeat it."""
        self.attempt = attempt
        if self.record is not None:
            self.record._attempt = attempt


def _exclusive(method: M) -> M:
    """One call at a time: a second thread inside is refused, not made to wait."""

    @functools.wraps(method)
    def call(self: UnitOfWork, *args: Any, **kwargs: Any) -> Any:
        if not self._busy.acquire(blocking=False):
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
        access: Access,
        *,
        atomic: bool = False,
        lock: bool = True,
        consistent: bool = True,
        include_expired: bool = False,
    ) -> None:
        self._access = access
        self._atomic = atomic
        self._lock = lock
        self._consistent = consistent
        self._include_expired = include_expired
        self._entries: dict[str, _Entry] = {}
        self._transaction: Transaction | None = None
        self._state: Literal["open", "failed", "closed"] = "open"
        self._ended = False
        self._has_applied = False
        self._known_existing: list[str] = []
        self._busy = threading.Lock()

    @property
    def user_id(self) -> str:
        return self._access.user_id

    def __repr__(self) -> str:
        return f"<UnitOfWork {self._state}, {len(self._entries)} records>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a unit of work cannot be pickled or copied; make another one")

    # --- the block --------------------------------------------------------------------------------

    def __enter__(self) -> UnitOfWork:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended = True
        if error is not None:
            if self._state != "failed":
                self._state = "closed"
            return
        if self._state != "closed":
            self.commit()

    @_exclusive
    def close(self) -> None:
        """End the unit; what is pending is not sent."""
        self._ended = True
        self._state = "closed"

    def _check_open(self) -> None:
        if self._state == "closed":
            raise UnitOfWorkStateError("this unit of work is closed; open another one")
        if self._state == "failed":
            raise UnitOfWorkStateError(
                "this unit of work has a failed commit; refresh or expunge records, then commit"
                " again, or roll back"
            )

    def _check_not_closed(self) -> None:
        if self._state == "closed":
            raise UnitOfWorkStateError("this unit of work is closed; open another one")

    # --- reading ----------------------------------------------------------------------------------

    @overload
    def get(self, data_type: type[R], record_id: str) -> R | None: ...
    @overload
    def get(self, data_type: str, record_id: str) -> UserRecord | None: ...
    @_exclusive
    def get(self, data_type: DataTypeLike, record_id: str) -> Any:
        """The record, or None where there is none, or its deletion is pending."""
        self._check_open()
        return self._get_many([self._access.key(data_type, record_id)])[0]

    @_exclusive
    def get_many(self, keys: Iterable[tuple[DataTypeLike, str]]) -> ListOf[UserRecord | None]:
        """The records of (type, record id) pairs in the order asked for; None where there is none.

        At most 100 keys a request, without duplicates, the requests at the same time.
        """
        self._check_open()
        return self._get_many([self._access.key(*pair) for pair in keys], batch=True)

    def _get_many(self, keys: Sequence[Key], *, batch: bool = False) -> ListOf[UserRecord | None]:
        unseen = list(dict.fromkeys(key for key in keys if key.record_key not in self._entries))
        if batch:
            items = self._access.fetch_many(unseen, consistent=self._consistent)
        else:
            fetched = [self._access.fetch(key, consistent=self._consistent) for key in unseen]
            items = [item for item in fetched if item is not None]
        found = {item[table.RECORD_KEY]["S"]: item for item in items}
        for key in unseen:
            if key.record_key in found:
                self._take(found[key.record_key])
        return [self._visible(key.record_key) for key in keys]

    @overload
    def list(self, data_type: type[R]) -> ListOf[R]: ...
    @overload
    def list(self, data_type: str) -> ListOf[UserRecord]: ...
    @_exclusive
    def list(self, data_type: DataTypeLike) -> Any:
        """All records of a type, with this unit's adds and without its deletes, by record key."""
        self._check_open()
        return self._list(self._access.data_type(data_type))

    @_exclusive
    def list_all(self) -> ListOf[UserRecord]:
        """All records of the user, with this unit's adds and without its deletes, by record key."""
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
        for page in self._access.pages(query):
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
        """Put what was read into the map, unless it is expired."""
        record = self._access.record(item)
        if self._include_expired or not self._access.is_expired(record):
            self._entries[record.record_key] = _Entry(record.record_key, record)

    def _visible(self, key: str) -> UserRecord | None:
        entry = self._entries.get(key)
        return None if entry is None or entry.deleted else entry.record

    # --- queueing ---------------------------------------------------------------------------------

    @_exclusive
    def add(
        self,
        given: Any,
        data: Any = None,
        /,
        *,
        record_id: str | None = None,
        ttl: datetime | None = None,
        exist_ok: bool = False,
    ) -> UserRecord:
        """Queue a new record: a payload, a record, or a type and a camelCase mapping.

        Under a given id it is written if the key is free; with `exist_ok` a taken key is left as
        it is. Returns the record.
        """
        self._check_open()
        if exist_ok and self._atomic:
            raise UnitOfWorkStateError(
                "exist_ok cannot hold in an atomic unit: a taken key fails the whole transaction"
            )
        made: Given = self._access.make(given, data, record_id=record_id, ttl=ttl)
        record = made.record
        if writing.is_stored(record):
            raise RecordExistsError(
                f"{describe(record.record_key)} is stored already; edit it, or use put",
                record_key=record.record_key,
            )
        known = self._entries.get(record.record_key)
        if exist_ok and known is not None and known.record is not None and not known.deleted:
            if known.action is None and known.key not in self._known_existing:
                self._known_existing.append(known.key)
            return known.record
        self._check_free(record)
        entry = _Entry(
            record.record_key, record, "add", generated=made.generated, exist_ok=exist_ok
        )
        self._enter(entry, (Intent.ADD, Intent.ADD_FRESH))
        return record

    def _check_free(self, record: UserRecord) -> None:
        known = self._entries.get(record.record_key)
        if known is not None and known.deleted:
            raise UnitOfWorkStateError(
                f"{describe(record.record_key)} is being deleted in this unit; use put, which"
                " replaces it"
            )
        if known is None or known.record is record:
            return
        raise RecordExistsError(
            f"{describe(record.record_key)} is in this unit already; edit it, or use put",
            record_key=record.record_key,
        )

    @_exclusive
    def put(
        self,
        given: Any,
        data: Any = None,
        /,
        *,
        record_id: str | None = None,
        ttl: datetime | None = None,
    ) -> UserRecord:
        """Queue a record to be created or replaced as a whole, whatever is there. Returns it."""
        self._check_open()
        record = self._access.make(given, data, record_id=record_id, ttl=ttl).record
        record._check_changeable(table.DATA)
        if writing.is_stored(record):
            self._check_same_object(record)
        self._enter(_Entry(record.record_key, record, "put"), (Intent.PUT,))
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
    def delete(self, target: DataTypeLike, record_id: str, /) -> None: ...
    @_exclusive
    def delete(self, target: UserRecord | DataTypeLike, record_id: str | None = None, /) -> None:
        """Queue a deletion: of a loaded record if unchanged, or of whatever is under a key."""
        self._check_open()
        if isinstance(target, UserRecord):
            self._delete_record(target)
            return
        if record_id is None:
            raise TypeError("delete takes a record, or a type and a record id")
        key = self._access.key(target, record_id).record_key
        known = self._entries.get(key)
        if known is not None and known.action == "add" and known.generated:
            del self._entries[key]
            return
        self._enter(_Entry(key, known.record if known else None, "delete any"), ())

    def _delete_record(self, record: UserRecord) -> None:
        self._access.check_owner(record)
        self._check_same_object(record)
        known = self._entries.get(record.record_key)
        if known is not None and known.action == "add" and record._attempt is None:
            del self._entries[record.record_key]
            return
        action: Action = (
            "delete" if self._lock and writing.is_stored(record) else "delete any"
        )
        if not writing.is_stored(record) and known is None and record._attempt is None:
            raise InvalidRecordError(
                f"{describe(record.record_key)} was never stored; there is nothing to delete",
                path=table.RECORD_KEY,
            )
        self._enter(
            _Entry(record.record_key, record, action), (Intent.DELETE, Intent.DELETE_ANY)
        )

    @_exclusive
    def check(self, record: UserRecord) -> None:
        """Make the commit of an atomic unit fail if this loaded record changed since it was read."""
        self._check_open()
        if not self._atomic:
            raise UnitOfWorkStateError("check needs an atomic unit: unit_of_work(atomic=True)")
        self._access.check_owner(record)
        writing.snapshot_of(record)
        self._check_same_object(record)
        known = self._entries.get(record.record_key)
        if known is None or known.action is None:
            self._enter(_Entry(record.record_key, record, "check"), ())

    def attach(self, record: UserRecord) -> None:
        """Bring a loaded record of this user into the map, so that its changes are committed."""
        self._check_open()
        self._access.check_owner(record)
        if record._attempt is None:
            writing.snapshot_of(record)
        self._check_same_object(record)
        if record.record_key not in self._entries:
            self._enter(_Entry(record.record_key, record), ())

    def _enter(self, entry: _Entry, same: tuple[Intent, ...]) -> None:
        """Queue an entry in the place of its key; an unknown attempt of the same is that write."""
        known = self._entries.get(entry.key)
        if entry.record is not None and entry.record._attempt is not None:
            entry.attempt = entry.record._attempt
            if entry.attempt.intent in same:
                entry.action = None
        if known is not None and known.action is None and entry.action is not None:
            del self._entries[entry.key]  # it is first queued now
        self._entries[entry.key] = entry

    # --- the plan ---------------------------------------------------------------------------------

    @_exclusive
    def plan(self) -> Plan:
        """What commit would send, as a value; sends nothing. Raises InvalidRecordError."""
        self._check_not_closed()
        attempts = self._attempts()
        pending = self._pending()
        if not self._atomic:
            return Plan((*plan_requests(attempts), *plan_requests(pending)))
        unknown = self._transaction.writes if self._transaction is not None else ()
        return Plan((*plan_transaction(unknown), *plan_transaction(pending)))

    def _attempts(self) -> ListOf[PendingWrite]:
        return [entry.attempt for entry in self._entries.values() if entry.attempt is not None]

    def _pending(self) -> ListOf[PendingWrite]:
        """Every pending write, encoded and checked, but for what waits on an unknown attempt."""
        now = self._access.binding.clock()
        in_doubt = {write.key for write in self._transaction.writes} if self._transaction else set()
        writes: ListOf[PendingWrite] = []
        errors: dict[str, Exception] = {}
        for entry in list(self._entries.values()):
            try:
                write = self._write_of(entry, now)
            except (InvalidRecordError, CorruptItemError) as error:
                errors[entry.key] = error
            else:
                if write is not None and entry.attempt is None and entry.key not in in_doubt:
                    writes.append(write)
        if len(errors) == 1:
            raise _alone(errors)
        if errors:
            raise _all_invalid(errors)
        self._check_transaction(writes)
        return writes

    def _write_of(self, entry: _Entry, now: datetime) -> PendingWrite | None:
        record, key = entry.record, Key(self.user_id, entry.key)
        if entry.action == "delete any":
            return PendingWrite(
                key=entry.key, intent=Intent.DELETE_ANY, write=DeleteItem(key=key)
            )
        if record is None:
            return None
        js_safe = self._access.binding.js_safe_numbers
        if entry.action == "delete":
            condition = writing.unchanged_or_gone(record)
            return PendingWrite(
                key=entry.key,
                intent=Intent.DELETE,
                write=DeleteItem(key=key, condition=condition),
            )
        if entry.action in ("add", "put") or not writing.is_stored(record):
            adding = entry.action != "put"
            put = writing.put_of(
                record,
                now=now,
                js_safe=js_safe,
                condition=writing.KEY_IS_FREE if adding else None,
            )
            fresh = Intent.ADD_FRESH if entry.generated else Intent.ADD
            return PendingWrite(
                key=entry.key,
                intent=fresh if adding else Intent.PUT,
                write=put,
                exist_ok=entry.exist_ok,
                after=put.item,
            )
        return self._noticed(entry, record, now, js_safe)

    def _noticed(
        self, entry: _Entry, record: UserRecord, now: datetime, js_safe: bool
    ) -> PendingWrite | None:
        changed = (
            writing.changes(record, js_safe=js_safe) if writing.may_have_changed(record) else None
        )
        if changed:
            checked = entry.action == "check"
            update, after = writing.update_of(
                record, changed, now=now, lock=self._lock or checked, whole=checked
            )
            return PendingWrite(key=entry.key, intent=Intent.UPDATE, write=update, after=after)
        if entry.action == "check":
            condition = writing.unchanged_condition(record)
            check = ConditionCheck(key=writing.key_of(record), condition=condition)
            return PendingWrite(key=entry.key, intent=Intent.CHECK, write=check)
        return None

    def _check_transaction(self, writes: Sequence[PendingWrite]) -> None:
        if not self._atomic:
            return
        if len(writes) > MAX_TRANSACTION_WRITES:
            raise InvalidRecordError(
                f"an atomic unit holds at most {MAX_TRANSACTION_WRITES} operations, this one has"
                f" {len(writes)}; commit in smaller units"
            )
        size = sum(item_size(write.after) for write in writes if write.after is not None)
        if size > MAX_TRANSACTION_BYTES:
            raise InvalidRecordError(
                f"an atomic unit holds at most 4 MB of items, this one has {size} bytes; commit in"
                " smaller units"
            )

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
        try:
            pending = self._pending()
        except (InvalidRecordError, CorruptItemError):
            if self._ended:
                self._state = "failed"
            raise
        driver = self._access.binding.driver
        began = driver.monotonic()
        with driver.shield() as shield:
            account = self._send(pending, shield)
        _tell(self._access, account, driver.monotonic() - began)
        return self._conclude(account, shield.interrupt)

    def _has_pending(self) -> bool:
        try:
            return bool(self._attempts() or self._pending())
        except (InvalidRecordError, CorruptItemError):
            return True  # something that cannot be written

    def _send(self, pending: ListOf[PendingWrite], shield: Shield) -> Account:
        """First what is unknown, then what is pending, which may be more once that is known."""
        account = Account()
        attempts = self._attempts()
        if self._transaction is not None:
            account.merge(self._run_transaction(self._transaction, shield))
            pending = self._pending()
        elif attempts:
            account.merge(self._run(attempts, shield))
            pending = self._pending()
        if account.halted or self._transaction is not None:
            for write in pending:
                account.outcomes[write.key] = Outcome(state=State.NOT_APPLIED)
        elif pending and self._atomic:
            transaction = Transaction(writes=tuple(pending), token=str(uuid.uuid4()))
            account.merge(self._run_transaction(transaction, shield))
        elif pending:
            account.merge(self._run(pending, shield))
        return account

    def _run(self, writes: Sequence[PendingWrite], shield: Shield) -> Account:
        binding = self._access.binding
        account = binding.driver.run(commit(writes, binding.retry, binding.rng), shield=shield)
        for write in writes:
            self._apply(write, account.outcomes[write.key])
        return account

    def _run_transaction(self, transaction: Transaction, shield: Shield) -> Account:
        binding = self._access.binding
        account = binding.driver.run(
            transact(transaction, binding.retry, binding.rng), shield=shield
        )
        for write in transaction.writes:
            self._apply(write, account.outcomes[write.key])
        self._transaction = transaction if account.keys(State.UNKNOWN) else None
        return account

    def _apply(self, write: PendingWrite, outcome: Outcome) -> None:
        """Take what became of a write into the map."""
        entry = self._entries[write.key]
        if outcome.state is State.UNKNOWN:
            if not self._atomic:
                entry.action = entry.action if write.intent is Intent.UPDATE else None
                entry.remember(attrs.evolve(write, maybe=True))
            return
        was_attempt = entry.attempt is not None
        entry.remember(None)
        if outcome.state is State.NOT_APPLIED:
            if was_attempt:
                entry.action = _action_of(write.intent)
            return
        if outcome.state is State.EXISTING or write.intent in (Intent.DELETE, Intent.DELETE_ANY):
            if not was_attempt or entry.action is None:
                del self._entries[write.key]
            return
        if not was_attempt or write.intent is not Intent.UPDATE:
            entry.action = None if entry.action in ("add", "put", "check") else entry.action
        if write.after is not None and entry.record is not None:
            item = write.after if outcome.item is None else outcome.item
            self._access.check_item(item, writing.key_of(entry.record))
            sent_before = was_attempt or self._transaction is not None
            writing.absorb(entry.record, item, write.after, edited_since=sent_before)
            entry.record._binding = self._access.binding

    def _conclude(self, account: Account, interrupt: BaseException | None) -> CommitResult:
        error = self._commit_error(account)
        self._has_applied = self._has_applied or bool(account.keys(State.APPLIED))
        self._state = "failed" if error is not None else "closed" if self._ended else "open"
        if interrupt is not None:
            raise interrupt from error
        if error is not None:
            raise error
        known, self._known_existing = self._known_existing, []
        return _result(account, known)

    def _commit_error(self, account: Account) -> CommitError | None:
        causes = {}
        for key, outcome in account.outcomes.items():
            entry = self._entries.get(key)
            cause = _write_error(
                self._access,
                key,
                outcome,
                record=entry.record if entry is not None else None,
                adding=entry is not None and entry.action == "add",
            )
            if cause is not None:
                causes[key] = cause
        return _commit_error(account, causes)

    # --- after a failed commit --------------------------------------------------------------------

    @_exclusive
    def refresh(self, record: UserRecord) -> None:
        """Read a record again and drop its pending change. RecordNotFoundError if it is gone."""
        self._check_not_closed()
        entry = self._own_entry(record)
        item = self._access.fetch(writing.key_of(record), consistent=True)
        self._forget(entry)
        if item is None:
            raise RecordNotFoundError(
                f"{describe(record.record_key)} is gone; it has left the unit and nothing is"
                " pending for it",
                record_key=record.record_key,
            )
        writing.restore(record, item)
        record._binding = self._access.binding
        self._entries[entry.key] = _Entry(entry.key, record)

    @_exclusive
    def expunge(self, record: UserRecord) -> None:
        """Take a record out of the unit; its pending change is not sent."""
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

    def _own_entry(self, record: UserRecord) -> _Entry:
        self._access.check_owner(record)
        entry = self._entries.get(record.record_key)
        if entry is None or entry.record is not record:
            raise UnitOfWorkStateError(f"{describe(record.record_key)} is not in this unit")
        return entry

    def _forget(self, entry: _Entry) -> None:
        entry.remember(None)
        del self._entries[entry.key]
        if self._transaction is not None:
            self._transaction = self._transaction.without(entry.key, str(uuid.uuid4()))


# --- the account, in public terms ------------------------------------------------------------------


def _commit_error(
    account: Account, causes: dict[str, ThriveCalcError]
) -> CommitError | None:
    not_applied, unknown = account.keys(State.NOT_APPLIED), account.keys(State.UNKNOWN)
    if not not_applied and not unknown:
        return None
    first = next(iter(causes.values()), None)
    return CommitError(
        f"the commit is not complete: {len(account.outcomes)} writes,"
        f" {len(not_applied)} not applied, {len(unknown)} unknown"
        + (f"; the first: {first}" if first is not None else "")
        + ". .causes has them all; commit again to finish, or refresh, expunge or roll back",
        applied=account.keys(State.APPLIED),
        existing=account.keys(State.EXISTING),
        not_applied=not_applied,
        unknown=unknown,
        causes=causes,
    )


def _tell(access: Access, account: Account, duration: float) -> None:
    """Tell the log and the observer how a commit ended; nothing was sent, nothing is told."""
    counts = {state: len(account.keys(state)) for state in State}
    if account.halted or counts[State.UNKNOWN] or any(map(_given_up, account.outcomes.values())):
        LOGGER.warning(
            "a commit of user %s ended with %d writes not applied and %d unknown",
            masked_user(access.user_id),
            counts[State.NOT_APPLIED],
            counts[State.UNKNOWN],
        )
    if access.binding.observer is None or not account.outcomes:
        return
    event = CommitEvent(
        user=masked_user(access.user_id),
        applied=counts[State.APPLIED],
        existing=counts[State.EXISTING],
        not_applied=counts[State.NOT_APPLIED],
        unknown=counts[State.UNKNOWN],
        requests=account.requests,
        read_units=account.read_units,
        write_units=account.write_units,
        duration=duration,
    )
    notify(access.binding.observer, event)


def _given_up(outcome: Outcome) -> bool:
    """Whether a write failed for more than a condition that did not hold."""
    failure = outcome.failure
    return (
        outcome.state is State.NOT_APPLIED
        and failure is not None
        and failure.kind is not Kind.CONDITION_FAILED
    )


def _result(account: Account, known_existing: Sequence[str] = ()) -> CommitResult:
    return CommitResult(
        applied=account.keys(State.APPLIED),
        existing=[*account.keys(State.EXISTING), *known_existing],
        requests=account.requests,
        capacity=Capacity(account.read_units, account.write_units),
    )


def _write_error(
    access: Access,
    key: str,
    outcome: Outcome,
    *,
    record: UserRecord | None = None,
    adding: bool = False,
) -> ThriveCalcError | None:
    """The public error of one write; None where it went well or was not the culprit."""
    if outcome.state is State.UNKNOWN:
        error = _unknown(access, key, outcome)
        error.outcome = "unknown"
    elif (
        outcome.state is not State.NOT_APPLIED
        or outcome.failure is None
        or outcome.failure.kind is Kind.NOT_STARTED
    ):
        return None
    else:
        error = _refusal(access, key, outcome, adding=adding)
        error.outcome = "not applied"
    error.record = record
    return error


def _stored(access: Access, outcome: Outcome) -> UserRecord | None:
    return None if outcome.item is None else access.record(outcome.item)


def _unknown(access: Access, key: str, outcome: Outcome) -> ThriveCalcError:
    code = outcome.failure.code if outcome.failure is not None else "no reply"
    return OutcomeUnknownError(
        f"nobody can say whether the write of {describe(key)} was applied ({code}); commit again"
        " to find out, or refresh it",
        record_key=key,
        stored=_stored(access, outcome),
    )


def _refusal(access: Access, key: str, outcome: Outcome, *, adding: bool) -> ThriveCalcError:
    assert outcome.failure is not None
    if outcome.failure.kind is not Kind.CONDITION_FAILED:
        return service_error(outcome.operation, outcome.failure, access.binding.settings)
    stored = _stored(access, outcome)
    if adding:
        return RecordExistsError(
            f"{describe(key)} exists already; use another record id, exist_ok=True, or put",
            record_key=key,
            stored=stored,
        )
    changed = "is gone" if stored is None else "was changed"
    return ConflictError(
        f"{describe(key)} {changed} since it was read; refresh it and try again",
        record_key=key,
        stored=stored,
    )


# --- writes without a unit -------------------------------------------------------------------------


def perform_edit(access: Access, edit: Edit) -> UserRecord:
    """Send one update of a record that was not read; returns the record as it is afterwards.

    Raises RecordNotFoundError if there is none, ConflictError where its data is no map.
    """
    key = edit.key.record_key
    write = PendingWrite(key=key, intent=Intent.UPDATE, write=edit.update)
    binding = access.binding
    began = binding.driver.monotonic()
    with binding.driver.shield() as shield:
        account = binding.driver.run(commit([write], binding.retry, binding.rng), shield=shield)
    _tell(access, account, binding.driver.monotonic() - began)
    outcome = account.outcomes[key]
    error = _write_error(access, key, outcome)
    if isinstance(error, ConflictError) and error.stored is None:
        error = RecordNotFoundError(
            f"there is no {describe(key)} to be updated; add it instead", record_key=key
        )
        error.outcome = "not applied"
    if shield.interrupt is not None:
        raise shield.interrupt from _commit_error(account, {key: error} if error else {})
    if error is not None:
        raise error
    assert outcome.item is not None
    return access.record(access.check_item(outcome.item, edit.key))


def delete_everything(access: Access) -> CommitResult:
    """Delete all items of the user until a whole reading finds none."""
    account = Account()
    binding = access.binding
    began = binding.driver.monotonic()
    problem: ThriveCalcError | None = None
    with binding.driver.shield() as shield:
        try:
            while _delete_pass(access, account, shield):
                pass
        except ThriveCalcError as error:
            problem = error.with_traceback(None)
        except BaseException as error:  # noqa: BLE001 - raised below, with the account
            shield.keep(error)
    _tell(access, account, binding.driver.monotonic() - began)
    causes = {
        key: cause
        for key, outcome in account.outcomes.items()
        if (cause := _write_error(access, key, outcome)) is not None
    }
    failed = _commit_error(account, causes)
    if failed is None and (problem is not None or shield.interrupt is not None):
        failed = CommitError(
            f"{len(account.outcomes)} records were deleted, then it ended before nothing was left"
            + (f": {problem}" if problem is not None else ""),
            applied=account.keys(State.APPLIED),
        )
    if shield.interrupt is not None:
        raise shield.interrupt from failed
    if problem is not None and not account.outcomes:
        raise problem  # it did not even begin
    if failed is not None:
        raise failed from problem
    return _result(account)


def _delete_pass(access: Access, account: Account, shield: Shield) -> bool:
    """Read all keys and delete them; whether another pass is needed."""
    binding = access.binding
    found = False
    for page in access.pages(Query(user_id=access.user_id, consistent=True, keys_only=True)):
        if shield.interrupt is not None:
            return False
        account.requests += 1
        account.read_units += page.units
        writes = [_deletion(access, item) for item in page.items]
        if not writes:
            continue
        found = True
        account.merge(
            binding.driver.run(commit(writes, binding.retry, binding.rng), shield=shield)
        )
        if account.halted or account.keys(State.NOT_APPLIED) or account.keys(State.UNKNOWN):
            return False
    return found


def _deletion(access: Access, item: Item) -> PendingWrite:
    key = Key(access.user_id, item[table.RECORD_KEY]["S"])
    return PendingWrite(
        key=key.record_key, intent=Intent.DELETE_ANY, write=DeleteItem(key=key)
    )


def _action_of(intent: Intent) -> Action | None:
    actions: dict[Intent, Action] = {
        Intent.ADD: "add",
        Intent.ADD_FRESH: "add",
        Intent.PUT: "put",
        Intent.DELETE: "delete",
        Intent.DELETE_ANY: "delete any",
        Intent.CHECK: "check",
    }
    return actions.get(intent)


def _alone(errors: dict[str, Exception]) -> Exception:
    """The one error of a unit, which knows the key that it is about."""
    (error,) = errors.values()
    if isinstance(error, InvalidRecordError):
        error.errors = errors
    return error.with_traceback(None)


def _all_invalid(errors: dict[str, Exception]) -> InvalidRecordError:
    lines = "; ".join(f"{describe(key)}: {error}" for key, error in errors.items())
    return InvalidRecordError(
        f"{len(errors)} records cannot be written, and nothing was sent: {lines}", errors=errors
    )
