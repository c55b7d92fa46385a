"""One user's records: the shell for callers of asyncio, over the same `calls`."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload

from pynamodb.expressions.condition import Condition

from thrivecalc_models.records import UserRecord
from thrivecalc_models.records.constructors import makes_record_awaited
from thrivecalc_models.records.listing import Listing, Wanted
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId
from thrivecalc_models.store import calls
from thrivecalc_models.store.pages import Page
from thrivecalc_models.store.running import run_async
from thrivecalc_models.store.user_data import OfUser, UserData
from thrivecalc_models.synchronous import documented_as
from thrivecalc_models.unit_of_work import AsyncUnitOfWork, CommitResult

R = TypeVar("R", bound=UserRecord)
T = TypeVar("T")

# Inside the classes, `list` is the method.
ListOf = list
Records = list[UserRecord]


@documented_as(UserData)
class AsyncUserData(OfUser):
    """The records of one user, as `UserData`: `store.user(user_id)` of an `AsyncDataStore`.

    What sends requests is awaited, and `iterate` is for `async for`. A single write that is
    cancelled awaits its request, and raises CancelledError with its CommitError, which has `record`
    and `outcome`, as the cause, or with none if it was applied.
    """

    # --- reading ----------------------------------------------------------------------------------

    @overload
    async def get(
        self,
        data_type: type[R],
        record_id: RecordId,
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> R | None: ...
    @overload
    async def get(
        self,
        data_type: str,
        record_id: RecordId,
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> UserRecord | None: ...
    async def get(
        self,
        data_type: DataTypeLike,
        record_id: RecordId,
        *,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Any:
        return await calls.get(self._scope, data_type, record_id, consistent, include_expired)

    async def exists(
        self,
        data_type: DataTypeLike,
        record_id: RecordId,
        *,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> bool:
        return await calls.exists(self._scope, data_type, record_id, consistent, include_expired)

    @overload
    async def get_many(
        self,
        keys: Iterable[tuple[type[R], RecordId]],
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> ListOf[R | None]: ...
    @overload
    async def get_many(
        self,
        keys: Iterable[KeyLike],
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> ListOf[UserRecord | None]: ...
    async def get_many(
        self,
        keys: Iterable[KeyLike],
        *,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Any:
        return await calls.get_many(self._scope, keys, consistent, include_expired)

    @overload
    async def list(
        self,
        data_type: type[R],
        *,
        where: Condition | None = ...,
        order_by: str | None = ...,
        limit: int | None = ...,
        reverse: bool = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> ListOf[R]: ...
    @overload
    async def list(
        self,
        data_type: str,
        *,
        where: Condition | None = ...,
        order_by: str | None = ...,
        limit: int | None = ...,
        reverse: bool = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Records: ...
    async def list(
        self,
        data_type: DataTypeLike,
        *,
        where: Condition | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Any:
        listing = Listing(Wanted(where, reverse, consistent, include_expired), order_by, limit)
        return await calls.list_type(self._scope, data_type, listing)

    async def list_all(
        self,
        *,
        where: Condition | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Records:
        listing = Listing(Wanted(where, reverse, consistent, include_expired), order_by, limit)
        return await calls.list_records(self._scope, None, listing)

    @overload
    def iterate(
        self,
        data_type: type[R],
        *,
        where: Condition | None = ...,
        reverse: bool = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> AsyncIterator[R]: ...
    @overload
    def iterate(
        self,
        data_type: str | None = ...,
        *,
        where: Condition | None = ...,
        reverse: bool = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> AsyncIterator[UserRecord]: ...
    def iterate(
        self,
        data_type: DataTypeLike | None = None,
        *,
        where: Condition | None = None,
        reverse: bool = False,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> AsyncIterator[Any]:
        wanted = Wanted(where, reverse, consistent, include_expired)
        return _each_awaited(calls.record_pages(self._scope, data_type, wanted))

    @overload
    async def page(
        self,
        data_type: type[R],
        *,
        limit: int = ...,
        cursor: str | None = ...,
        where: Condition | None = ...,
        reverse: bool = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Page[R]: ...
    @overload
    async def page(
        self,
        data_type: str | None = ...,
        *,
        limit: int = ...,
        cursor: str | None = ...,
        where: Condition | None = ...,
        reverse: bool = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Page[UserRecord]: ...
    async def page(
        self,
        data_type: DataTypeLike | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        where: Condition | None = None,
        reverse: bool = False,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Any:
        wanted = Wanted(where, reverse, consistent, include_expired)
        return await calls.page(self._scope, data_type, limit, cursor, wanted)

    async def count(
        self,
        data_type: DataTypeLike | None = None,
        *,
        where: Condition | None = None,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> int:
        wanted = Wanted(where, False, consistent, include_expired)
        return await calls.count(self._scope, data_type, wanted)

    # --- writing ----------------------------------------------------------------------------------

    @makes_record_awaited
    async def add(
        self,
        given: Any,
        data: Any = None,
        /,
        *,
        record_id: RecordId | None = None,
        ttl: datetime | timedelta | None = None,
    ) -> Any:
        return await calls.add(self._scope, given, data, record_id, ttl)

    @makes_record_awaited
    async def put(
        self,
        given: Any,
        data: Any = None,
        /,
        *,
        record_id: RecordId | None = None,
        ttl: datetime | timedelta | None = None,
    ) -> Any:
        return await calls.put(self._scope, given, data, record_id, ttl)

    @overload
    async def add_many(self, given: Iterable[R], /) -> ListOf[R]: ...
    @overload
    async def add_many(self, given: Iterable[object], /) -> Records: ...
    async def add_many(self, given: Iterable[Any], /) -> Any:
        return await calls.add_many(self._scope, given)

    async def update(self, record: R) -> R:
        return await calls.update(self._scope, record)

    @overload
    async def delete(self, target: UserRecord, /) -> None: ...
    @overload
    async def delete(
        self, target: DataTypeLike, record_id: RecordId, /, *, if_version: str | None = ...
    ) -> None: ...
    async def delete(
        self,
        target: UserRecord | DataTypeLike,
        record_id: RecordId | None = None,
        /,
        *,
        if_version: str | None = None,
    ) -> None:
        return await calls.delete(self._scope, target, record_id, if_version)

    @makes_record_awaited
    async def upsert(self, given: Any, /, *, record_id: RecordId | None = None) -> Any:
        return await calls.upsert(self._scope, given, record_id)

    @overload
    async def patch(
        self,
        data_type: type[R],
        record_id: RecordId,
        merge_patch: dict[str, Any],
        *,
        if_version: str | None = ...,
    ) -> R: ...
    @overload
    async def patch(
        self,
        data_type: str,
        record_id: RecordId,
        merge_patch: dict[str, Any],
        *,
        if_version: str | None = ...,
    ) -> UserRecord: ...
    async def patch(
        self,
        data_type: DataTypeLike,
        record_id: RecordId,
        merge_patch: dict[str, Any],
        *,
        if_version: str | None = None,
    ) -> Any:
        return await calls.patch(self._scope, data_type, record_id, merge_patch, if_version)

    @overload
    async def replace_data(
        self,
        data_type: type[R],
        record_id: RecordId,
        data: dict[str, Any],
        *,
        if_version: str | None = ...,
    ) -> R: ...
    @overload
    async def replace_data(
        self,
        data_type: str,
        record_id: RecordId,
        data: dict[str, Any],
        *,
        if_version: str | None = ...,
    ) -> UserRecord: ...
    async def replace_data(
        self,
        data_type: DataTypeLike,
        record_id: RecordId,
        data: dict[str, Any],
        *,
        if_version: str | None = None,
    ) -> Any:
        return await calls.replace_data(self._scope, data_type, record_id, data, if_version)

    async def set_fields(
        self, data_type: DataTypeLike, record_id: RecordId, payload: Any
    ) -> UserRecord:
        return await calls.set_fields(self._scope, data_type, record_id, payload)

    async def delete_many(self, keys: Iterable[KeyLike], /) -> CommitResult:
        return await calls.delete_many(self._scope, keys)

    async def delete_all(self) -> CommitResult:
        return await calls.delete_all(self._scope)

    # --- units of work ----------------------------------------------------------------------------

    def unit_of_work(
        self,
        *,
        atomic: bool = False,
        lock: bool = True,
        consistent: bool = True,
        include_expired: bool = False,
    ) -> AsyncUnitOfWork:
        return AsyncUnitOfWork(
            self._scope,
            atomic=atomic,
            lock=lock,
            consistent=consistent,
            include_expired=include_expired,
        )

    async def run(
        self,
        function: Callable[[AsyncUnitOfWork], Awaitable[T]],
        *,
        attempts: int = 8,
        atomic: bool = True,
    ) -> T:
        return await run_async(self._scope, function, attempts=attempts, atomic=atomic)


async def _each_awaited(pages: AsyncGenerator[Iterator[R], None]) -> AsyncIterator[R]:
    async with aclosing(pages):
        async for page in pages:
            for record in page:
                yield record
