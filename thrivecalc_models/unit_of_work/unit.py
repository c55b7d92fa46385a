"""The unit of work: one object per key, detected changes, one commit that reports every outcome."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, NoReturn, TypeVar, cast, overload
from weakref import finalize

from thrivecalc_models.errors import RecordExistsError, RecordNotFoundError, UnitOfWorkStateError
from thrivecalc_models.protocol import Plan
from thrivecalc_models.records import UserRecord, creation, reading, writing
from thrivecalc_models.records.constructors import makes_record
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId, Scope, distinct
from thrivecalc_models.records.state import state_of
from thrivecalc_models.transport import Shield
from thrivecalc_models.unit_of_work.commits import Commit
from thrivecalc_models.unit_of_work.identity_map import IdentityMap
from thrivecalc_models.unit_of_work.outcomes import CommitResult, publish, result
from thrivecalc_models.unit_of_work.unattached import Unattached
from thrivecalc_models.unit_of_work.watch import warn_of_loss, watch
from thrivecalc_models.value import even_half_made
from thrivecalc_models.wire import StoredItem, describe
from thrivecalc_models.words import plural

R = TypeVar("R", bound=UserRecord)
M = TypeVar("M", bound=Callable[..., Any])

# Inside UnitOfWork, `list` is the method.
ListOf = list


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

    `user.unit_of_work()` makes one. As a context manager it commits at the end of the block, and
    sends nothing if the block raised. It returns one object per record key; edits of that object
    are noticed without a call. Reads see the unit's own adds, puts and deletes.

    With `atomic`, a commit is one transaction of at most 100 records and 4 MB. With `lock=False`
    a changed field overwrites what others wrote to it. `consistent` and `include_expired` apply to
    the unit's reads. After a failed commit only `refresh`, `expunge`, `plan`, `commit`, `rollback`
    and `close` are allowed.

    A unit may move between threads, but two threads must not use it at once. Every method may raise
    UnitOfWorkStateError; those that read raise ServiceError.
    """

    has_applied = False
    """Whether any commit of this unit applied a write."""

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
        self._consistent = consistent
        self._include_expired = include_expired
        self._map = IdentityMap(scope, atomic=atomic, lock=lock)
        self._state: Literal["open", "failed", "closed"] = "open"
        self._ended = False  # no more reads and writes: the block is left, or close() was called
        self._watch: finalize[..., object] | None = None
        self._busy = threading.Lock()
        self._unattached: Unattached | None = None

    @property
    def user_id(self) -> str:
        """The user whose records the unit reads and writes."""
        return self._scope.user_id

    @even_half_made
    def __repr__(self) -> str:
        return f"<UnitOfWork {self._state}, {plural(len(self._map.entries), 'record')}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a unit of work cannot be pickled or copied; make another one")

    # --- the block --------------------------------------------------------------------------------

    def __enter__(self) -> UnitOfWork:
        self._check_open()
        self._unattached = Unattached(self._map)
        self._unattached.enter_block()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._unattached is not None:
            self._unattached.leave_block()
        self._ended = True
        if error is not None:
            if self._state != "failed":
                self._end("closed")
            return
        if self._state != "closed":
            self.commit()

    @_exclusive
    def close(self) -> None:
        """End the unit without sending anything. Pending changes cause a ResourceWarning."""
        if self._state == "open" and self._map.has_pending():
            warn_of_loss("closed")
        self._end("closed")

    def _end(self, state: Literal["failed", "closed"]) -> None:
        """Enter a state in which no warning of lost changes is needed."""
        self._ended = self._ended or state == "closed"
        self._state = state
        self._unwatch()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.detach()
            self._watch = None

    def _check_open(self) -> None:
        self._check_not_closed()
        if self._state == "failed":
            raise UnitOfWorkStateError(
                "this unit of work has a failed commit; refresh or expunge records, then commit"
                " again, or roll back"
            )
        if self._watch is None:
            self._watch = watch(self, self._map)

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
        """Return the record; None if it does not exist, has expired or is to be deleted here.

        A record that the unit has already is returned without a request, with its edits.
        """
        self._check_open()
        key = self._scope.key(data_type, record_id)
        if key.record_key not in self._map.entries:
            item = reading.fetch(self._scope, key, consistent=self._consistent)
            if item is not None:
                self._take(item)
        return self._map.visible(key.record_key)

    @overload
    def get_many(self, keys: Iterable[tuple[type[R], RecordId]]) -> ListOf[R | None]: ...
    @overload
    def get_many(self, keys: Iterable[KeyLike]) -> ListOf[UserRecord | None]: ...
    @_exclusive
    def get_many(self, keys: Iterable[KeyLike]) -> Any:
        """Return the records of keys in their order; None for each that `get` returns None for.

        A key is a pair of type and record id, or the text of a record key. Requests have at most
        100 keys, each key once, and are sent at the same time.
        """
        self._check_open()
        wanted = [self._scope.key_of(each) for each in keys]
        unseen = distinct(key for key in wanted if key.record_key not in self._map.entries)
        found = reading.fetch_many(
            self._scope,
            unseen,
            consistent=self._consistent,
            include_expired=self._include_expired,
        )
        for name in unseen:
            if name in found:
                self._map.take(found[name])
        return [self._map.visible(key.record_key) for key in wanted]

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
        query = reading.query(self._scope, data_type, consistent=self._consistent)
        keys = self._map.added_keys(data_type)
        for page in reading.pages(self._scope, query):
            for item in page.items:
                key = item.record_key
                if key not in self._map.entries:
                    self._take(item)
                keys.add(key)
        visible = (self._map.visible(key) for key in sorted(keys))
        return [record for record in visible if record is not None]

    def _take(self, item: StoredItem) -> None:
        """Put the record of an item into the map, unless it has expired."""
        record = reading.seen(self._scope, item, include_expired=self._include_expired)
        if record is not None:
            self._map.take(record)

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
        """Queue a new record and return it: a payload, a record, or a type and a camelCase mapping.

        Without a `record_id` one is generated. `ttl` is when the record expires: an aware datetime,
        or a timedelta from now. If the key turns out to be taken, the commit reports a
        RecordExistsError; with `exist_ok` it leaves the stored record as it is and lists the key
        under `existing`.

        Raises InvalidRecordError, IsolationError for a record of another user, and
        RecordExistsError for a record that was loaded or a key that the unit has.
        """
        self._check_open()
        if exist_ok and self._map.atomic:
            raise UnitOfWorkStateError(
                "exist_ok cannot hold in an atomic unit: a taken key fails the whole transaction;"
                " leave it out, or use a unit that is not atomic"
            )
        record = creation.make(self._scope, given, data, record_id=record_id, ttl=ttl)
        if writing.has_snapshot(record):
            raise RecordExistsError(
                f"{describe(record.record_key)} is stored already; edit it, or use put",
                record_key=record.record_key,
            )
        return self._map.add(record, exist_ok=exist_ok)

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
        """Queue a record to be created or replaced as a whole, without a condition; return it.

        Takes what `add` takes, and loaded records. Raises InvalidRecordError, IsolationError, and
        CorruptItemError for a malformed record.
        """
        self._check_open()
        record = creation.make(self._scope, given, data, record_id=record_id, ttl=ttl)
        state_of(record).check_changeable()
        self._map.put(record)
        return record

    @overload
    def delete(self, target: UserRecord, /) -> None: ...
    @overload
    def delete(self, target: DataTypeLike, record_id: RecordId, /) -> None: ...
    @_exclusive
    def delete(
        self, target: UserRecord | DataTypeLike, record_id: RecordId | None = None, /
    ) -> None:
        """Queue the deletion of a record, given by itself or by its type and record id.

        A loaded record is deleted only if it is unchanged since it was read, unless the unit has
        `lock=False`. A record that is gone already counts as deleted.
        """
        self._check_open()
        if isinstance(target, UserRecord):
            self._scope.check_owner(target)
            self._map.delete(target)
        elif record_id is None:
            raise TypeError("delete takes a record, or a type and a record id")
        else:
            self._map.delete_key(self._scope.key(target, record_id).record_key)

    @_exclusive
    def check(self, record: UserRecord) -> None:
        """Make an atomic commit fail if this loaded record has changed since it was read.

        Raises UnitOfWorkStateError if the unit is not atomic, InvalidRecordError if the record was
        never stored.
        """
        self._check_open()
        if not self._map.atomic:
            raise UnitOfWorkStateError("check needs an atomic unit: unit_of_work(atomic=True)")
        self._scope.check_owner(record)
        self._map.check(record)

    def attach(self, record: UserRecord) -> None:
        """Add a loaded record of this user to the unit, so that its changes are committed."""
        self._check_open()
        self._scope.check_owner(record)
        self._map.attach(record)

    # --- the commit -------------------------------------------------------------------------------

    @_exclusive
    def plan(self) -> Plan:
        """Return the requests that a commit would send, without sending any.

        Raises InvalidRecordError if a record cannot be written.
        """
        self._check_not_closed()
        return self._map.plan()

    @_exclusive
    def commit(self) -> CommitResult:
        """Send what is pending, and return what was applied.

        Raises InvalidRecordError, with `errors` by record key, before anything is sent, or
        CommitError, which has every pending key in one of `applied`, `existing`, `not_applied` and
        `unknown`.

        A commit after a CommitError sends what is unknown first, exactly as before, then what was
        not applied, with a new `updated_at`. KeyboardInterrupt passes through with the CommitError
        as its cause.
        """
        if self._state == "closed":
            if self._map.has_pending():
                self._check_not_closed()
            return CommitResult()
        sending = Commit(self._map)
        try:
            return self._send(sending)
        except BaseException as error:
            if self._ended and self._state == "open":
                self._end("failed")
            if isinstance(error, Exception) or error.__cause__ is not None:
                raise
            # An interrupt that the shield did not catch, since it came just outside of it.
            sending.settle_rest()
            raise error from sending.error()

    def _send(self, sending: Commit) -> CommitResult:
        driver = self._scope.session.driver
        began = driver.monotonic()
        with driver.shield() as shield:
            pending = self._map.pending_writes()
            if self._unattached is not None:
                self._unattached.warn_of_edits()
            shield.guard(sending.send, pending, shield)
            if shield.interrupt is not None:
                sending.settle_rest()
            shield.guard(publish, self._scope, sending.report, driver.monotonic() - began)
        return self._conclude(sending, shield)

    def _conclude(self, sending: Commit, shield: Shield) -> CommitResult:
        error, report = sending.error(), sending.report
        self.has_applied = self.has_applied or report.has_applied
        self._state = "failed" if error is not None else "closed" if self._ended else "open"
        self._unwatch()
        shield.conclude(error)
        return result(report, self._map.take_known_existing(report))

    # --- after a failed commit --------------------------------------------------------------------

    @_exclusive
    def refresh(self, record: UserRecord) -> None:
        """Read a record of the unit again, in place, and drop its pending change.

        Raises RecordNotFoundError if it is gone; it has then left the unit.
        """
        self._check_not_closed()
        entry = self._map.entry_of(record)
        item = reading.fetch(self._scope, writing.key_of(record), consistent=True)
        self._map.forget(entry)
        if item is None:
            raise RecordNotFoundError(
                f"{describe(record.record_key)} is gone; it has left the unit and nothing is"
                " pending for it",
                record_key=record.record_key,
            )
        writing.restore(record, item.item)
        state_of(record).belong_to(self._scope.session)
        self._map.take(record)

    @_exclusive
    def expunge(self, record: UserRecord) -> None:
        """Remove a record from the unit; its pending change is not sent."""
        self._check_not_closed()
        self._map.forget(self._map.entry_of(record))

    @_exclusive
    def rollback(self) -> None:
        """Restore loaded records to their snapshots in place, and empty the unit. Sends nothing."""
        self._check_not_closed()
        self._map.rollback()
        self._state = "closed" if self._ended else "open"
        self._unwatch()
