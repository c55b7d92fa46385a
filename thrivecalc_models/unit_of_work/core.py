"""The state of a unit of work: one object per key, detected changes, one commit, every outcome.

`unit_of_work.unit` has the two shells: one for synchronous callers, one for callers of asyncio.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import aclosing
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, Literal, NoReturn, TypeVar, cast, overload
from weakref import finalize

import attrs
from pynamodb.expressions.condition import Condition

from thrivecalc_models.errors import RecordExistsError, RecordNotFoundError, UnitOfWorkStateError
from thrivecalc_models.operations import Key
from thrivecalc_models.protocol import Plan
from thrivecalc_models.records import UserRecord, creation, reading, where, writing
from thrivecalc_models.records.constructors import makes_record
from thrivecalc_models.records.listing import Listing, Order, Wanted, check_limit
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId, Scope, distinct
from thrivecalc_models.records.state import state_of
from thrivecalc_models.transport import Shield
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.unit_of_work.commits import Commit
from thrivecalc_models.unit_of_work.identity_map import IdentityMap
from thrivecalc_models.unit_of_work.outcomes import CommitResult, not_found, publish, result
from thrivecalc_models.unit_of_work.unattached import Unattached
from thrivecalc_models.unit_of_work.watch import warn_of_loss, watch
from thrivecalc_models.value import even_half_made
from thrivecalc_models.wire import StoredItem, describe
from thrivecalc_models.words import plural

M = TypeVar("M", bound=Callable[..., Any])


def _exclusive(method: M) -> M:
    """Allow one call at a time: refuse a second thread or task instead of making it wait."""

    @functools.wraps(method)
    def call(self: Unit, *args: Any, **kwargs: Any) -> Any:
        self._enter_call()
        try:
            return method(self, *args, **kwargs)
        finally:
            self._busy.release()

    return cast("M", call)


def _awaited_exclusively(method: M) -> M:
    """Allow one call at a time, as `_exclusive`, for a coroutine function."""

    @functools.wraps(method)
    async def call(self: Unit, *args: Any, **kwargs: Any) -> Any:
        self._check_place()
        self._enter_call()
        try:
            return await method(self, *args, **kwargs)
        finally:
            self._busy.release()

    return cast("M", call)


class Unit:
    """What both kinds of unit do alike: what sends nothing, and the coroutines of what sends."""

    has_applied = False
    """Whether any commit of this unit applied a write."""

    _callers = "thread"
    """Of what only one may use the unit at a time."""

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
        return f"<{type(self).__name__} {self._state}, {plural(len(self._map.entries), 'record')}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a unit of work cannot be pickled or copied; make another one")

    def _check_place(self) -> None:
        """Raise UnitOfWorkStateError where the unit's store cannot be used, if it is known."""

    def _enter_call(self) -> None:
        """Take the unit for one call. Raises UnitOfWorkStateError if another call has it."""
        if not self._busy.acquire(False):
            who = self._callers
            raise UnitOfWorkStateError(
                f"this unit of work is in use by another {who}; give each {who} its own"
            )

    # --- states -----------------------------------------------------------------------------------

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

    @_awaited_exclusively
    async def _get(self, data_type: DataTypeLike, record_id: RecordId) -> Any:
        self._check_open()
        return await self._read(self._scope.key(data_type, record_id))

    async def _read(self, key: Key) -> UserRecord | None:
        if key.record_key not in self._map.entries:
            item = await reading.fetch(self._scope, key, consistent=self._consistent)
            if item is not None:
                self._take(item)
        return self._map.visible(key.record_key)

    @_awaited_exclusively
    async def _get_many(self, keys: Iterable[KeyLike]) -> Any:
        self._check_open()
        wanted = [self._scope.key_of(each) for each in keys]
        unseen = distinct(key for key in wanted if key.record_key not in self._map.entries)
        found = await reading.fetch_many(
            self._scope,
            unseen,
            consistent=self._consistent,
            include_expired=self._include_expired,
        )
        for name in unseen:
            if name in found:
                self._map.take(found[name])
        return [self._map.visible(key.record_key) for key in wanted]

    @_awaited_exclusively
    async def _list(self, data_type: DataTypeLike, listing: Listing) -> Any:
        self._check_open()
        return await self._listed(self._scope.data_type(data_type), listing)

    @_awaited_exclusively
    async def _list_all(self, listing: Listing) -> list[UserRecord]:
        self._check_open()
        return await self._listed(None, listing)

    @_awaited_exclusively
    async def _count(self, data_type: DataTypeLike | None, condition: Condition | None) -> int:
        self._check_open()
        text = None if data_type is None else self._scope.data_type(data_type)
        return len(await self._listed(text, Listing(Wanted(condition))))

    async def _listed(self, data_type: str | None, listing: Listing) -> list[UserRecord]:
        wanted = attrs.evolve(listing.wanted, consistent=self._consistent)
        order = Order.of(data_type, listing.order_by, reverse=wanted.reverse)
        if listing.limit is not None:
            check_limit(listing.limit)
        condition = None if wanted.where is None else where.filter_of(wanted.where)
        query = reading.query_of(self._scope, data_type, wanted, by_key=False)
        # The table judges what it has by the condition, and the unit what it had before.
        judged = set(self._map.entries) if condition is not None else set()
        keys = self._map.added_keys(data_type)
        if condition is not None:
            keys |= self._map.edited_keys(data_type)
        async with aclosing(reading.pages(self._scope, query)) as pages:
            async for page in pages:
                for item in page.items:
                    key = item.record_key
                    if key not in self._map.entries:
                        self._take(item)
                    keys.add(key)
        if condition is not None:
            keys = {key for key in keys if key not in judged or self._map.holds(key, condition)}
        visible = (self._map.visible(key) for key in keys)
        records = [record for record in visible if record is not None]
        return order.of_records(records)[: listing.limit]

    def _take(self, item: StoredItem) -> None:
        """Put the record of an item into the map, unless it has expired."""
        record = reading.seen(self._scope, item, include_expired=self._include_expired)
        if record is not None:
            self._map.take(record)

    # --- editing by mappings ----------------------------------------------------------------------

    @_awaited_exclusively
    async def _patch(self, data_type: DataTypeLike, record_id: RecordId, merge_patch: Any) -> Any:
        self._check_open()
        key = self._scope.key(data_type, record_id)
        edits = _edits()
        patch = edits.read_patch(self._scope, key, merge_patch)
        record = await self._read_stored(key)
        edits.merge(self._scope, record, patch)
        return record

    @_awaited_exclusively
    async def _replace_data(self, data_type: DataTypeLike, record_id: RecordId, data: Any) -> Any:
        self._check_open()
        key = self._scope.key(data_type, record_id)
        content = _edits().read_data(self._scope, key, data)
        record = await self._read_stored(key)
        writing.replace_data(record, content)
        return record

    async def _read_stored(self, key: Key) -> UserRecord:
        """Read a record that is to be edited. Raises RecordNotFoundError."""
        record = await self._read(key)
        if record is None:
            raise not_found(key.record_key)
        return record

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

    @_awaited_exclusively
    async def _commit(self) -> CommitResult:
        if self._state == "closed":
            if self._map.has_pending():
                self._check_not_closed()
            return CommitResult()
        sending = Commit(self._map)
        try:
            return await self._send(sending)
        except BaseException as error:
            if self._ended and self._state == "open":
                self._end("failed")
            if isinstance(error, Exception) or error.__cause__ is not None:
                raise
            # An interrupt that the shield did not catch, since it came just outside of it.
            sending.settle_rest()
            raise error from sending.error()

    async def _send(self, sending: Commit) -> CommitResult:
        driver = self._scope.session.driver
        began = driver.monotonic()
        with driver.shield() as shield:
            pending = self._map.pending_writes()
            if self._unattached is not None:
                self._unattached.warn_of_edits()
            try:
                await sending.send(pending, shield)
            except BaseException as error:  # noqa: BLE001 - raised by the shield, with the report
                shield.keep(error)
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

    @_awaited_exclusively
    async def _refresh(self, record: UserRecord) -> None:
        self._check_not_closed()
        entry = self._map.entry_of(record)
        item = await reading.fetch(self._scope, writing.key_of(record), consistent=True)
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


def _edits() -> ModuleType:
    """Import the module of edits by mappings, which most programs do without."""
    with forks_wait:
        from thrivecalc_models.records import edits

    return edits


# --- the block ------------------------------------------------------------------------------------


def enter(unit: Unit) -> None:
    """Begin the block of a unit. Raises UnitOfWorkStateError."""
    unit._check_open()
    unit._unattached = Unattached(unit._map)
    unit._unattached.enter_block()


async def leave(unit: Unit, error: BaseException | None) -> None:
    """End the block of a unit: commit, or send nothing if the block raised `error`."""
    if unit._unattached is not None:
        unit._unattached.leave_block()
    unit._ended = True
    if error is not None:
        if unit._state != "failed":
            unit._end("closed")
        return
    if unit._state != "closed":
        await finish(unit)


def finish(unit: Unit) -> Coroutine[Any, Any, CommitResult]:
    """Commit a unit and end it. Raises CommitError."""
    unit._ended = True
    return unit._commit()
