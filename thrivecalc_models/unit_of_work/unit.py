"""Units of work: the shell for synchronous callers, and its twin for callers of asyncio.

Each method is one line over a coroutine of `Unit`, which has all that is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from pynamodb.expressions.condition import Condition

from thrivecalc_models.errors import ConfigurationError, UnitOfWorkStateError
from thrivecalc_models.records import UserRecord
from thrivecalc_models.records.listing import Listing, Wanted
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId
from thrivecalc_models.synchronous import documented_as, drive
from thrivecalc_models.unit_of_work.core import Unit, enter, leave
from thrivecalc_models.unit_of_work.outcomes import CommitResult

R = TypeVar("R", bound=UserRecord)

# Inside a unit of work, `list` is the method.
ListOf = list


class UnitOfWork(Unit):
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

    def __enter__(self) -> Self:
        enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        drive(leave(self, error))

    @overload
    def get(self, data_type: type[R], record_id: RecordId) -> R | None: ...
    @overload
    def get(self, data_type: str, record_id: RecordId) -> UserRecord | None: ...
    def get(self, data_type: DataTypeLike, record_id: RecordId) -> Any:
        """Return the record; None if it does not exist, has expired or is to be deleted here.

        A record that the unit has already is returned without a request, with its edits.
        """
        return drive(self._get(data_type, record_id))

    @overload
    def get_many(self, keys: Iterable[tuple[type[R], RecordId]]) -> ListOf[R | None]: ...
    @overload
    def get_many(self, keys: Iterable[KeyLike]) -> ListOf[UserRecord | None]: ...
    def get_many(self, keys: Iterable[KeyLike]) -> Any:
        """Return the records of keys in their order; None for each that `get` returns None for.

        A key is a pair of type and record id, or the text of a record key. Requests have at most
        100 keys, each key once, and are sent at the same time.
        """
        return drive(self._get_many(keys))

    @overload
    def list(
        self,
        data_type: type[R],
        *,
        where: Condition | None = ...,
        order_by: str | None = ...,
        limit: int | None = ...,
        reverse: bool = ...,
    ) -> ListOf[R]: ...
    @overload
    def list(
        self,
        data_type: str,
        *,
        where: Condition | None = ...,
        order_by: str | None = ...,
        limit: int | None = ...,
        reverse: bool = ...,
    ) -> ListOf[UserRecord]: ...
    def list(
        self,
        data_type: DataTypeLike,
        *,
        where: Condition | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Any:
        """Return a type's records by record key, with the unit's adds, without its deletes.

        `where`, `order_by`, `limit` and `reverse` are those of `UserData.list`; the table is read
        as far as without them, but for a key condition. What the unit has is judged by `where` in
        memory, as a commit would leave it. Raises InvalidRecordError for an order or a condition
        that cannot be, and for such a record that cannot be written.
        """
        listing = Listing(Wanted(where, reverse), order_by, limit)
        return drive(self._list(data_type, listing))

    def list_all(
        self,
        *,
        where: Condition | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> ListOf[UserRecord]:
        """Return the user's records by record key, with the unit's adds, without its deletes.

        The arguments are those of `list`; `order_by` takes no "data.<field>".
        """
        listing = Listing(Wanted(where, reverse), order_by, limit)
        return drive(self._list_all(listing))

    def count(
        self, data_type: DataTypeLike | None = None, *, where: Condition | None = None
    ) -> int:
        """Return the length of the unit's list of a type, or of all types; it reads them."""
        return drive(self._count(data_type, where))

    @overload
    def patch(self, data_type: type[R], record_id: RecordId, merge_patch: dict[str, Any]) -> R: ...
    @overload
    def patch(
        self, data_type: str, record_id: RecordId, merge_patch: dict[str, Any]
    ) -> UserRecord: ...
    def patch(
        self, data_type: DataTypeLike, record_id: RecordId, merge_patch: dict[str, Any]
    ) -> Any:
        """Merge a JSON Merge Patch (RFC 7396) into `data` of a record, as an edit; return it.

        The record is read as `get` does, unless the unit has it; its edits stay. The patch is that
        of `UserData.patch`. Raises InvalidRecordError, RecordNotFoundError for what `get` does not
        find, and CorruptItemError for a malformed record.
        """
        return drive(self._patch(data_type, record_id, merge_patch))

    @overload
    def replace_data(self, data_type: type[R], record_id: RecordId, data: dict[str, Any]) -> R: ...
    @overload
    def replace_data(
        self, data_type: str, record_id: RecordId, data: dict[str, Any]
    ) -> UserRecord: ...
    def replace_data(
        self, data_type: DataTypeLike, record_id: RecordId, data: dict[str, Any]
    ) -> Any:
        """Replace all of `data` of a record by a camelCase mapping, as an edit; return the record.

        Reads and raises as `patch`. What was edited under `data` before is replaced, too.
        """
        return drive(self._replace_data(data_type, record_id, data))

    def commit(self) -> CommitResult:
        """Send what is pending, and return what was applied.

        Raises InvalidRecordError, with `errors` by record key, before anything is sent, or
        CommitError, which has every pending key in one of `applied`, `existing`, `not_applied` and
        `unknown`.

        A commit after a CommitError sends what is unknown first, exactly as before, then what was
        not applied, with a new `updated_at`. KeyboardInterrupt, and in asyncio
        CancelledError, passes through with the CommitError as its cause.
        """
        return drive(self._commit())

    def refresh(self, record: UserRecord) -> None:
        """Read a record of the unit again, in place, and drop its pending change.

        Raises RecordNotFoundError if it is gone; it has then left the unit.
        """
        return drive(self._refresh(record))


@documented_as(UnitOfWork)
class AsyncUnitOfWork(Unit):
    """A `UnitOfWork` whose reads and commit are awaited: `async with user.unit_of_work() as work`.

    What sends nothing is not awaited: `add`, `put`, `delete`, `check`, `plan`, `expunge`,
    `rollback` and `close`. A unit serves one task at a time, on one event loop. A commit that is
    cancelled awaits what is in flight, and raises CancelledError with the CommitError as its cause,
    or with none if all was applied.
    """

    _callers = "task"

    def _check_place(self) -> None:
        if self._state == "closed":
            return
        try:
            self._scope.session.driver.shield()
        except ConfigurationError as error:
            raise UnitOfWorkStateError(f"this unit of work cannot be used here: {error}") from None

    async def __aenter__(self) -> Self:
        enter(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await leave(self, error)

    @overload
    async def get(self, data_type: type[R], record_id: RecordId) -> R | None: ...
    @overload
    async def get(self, data_type: str, record_id: RecordId) -> UserRecord | None: ...
    async def get(self, data_type: DataTypeLike, record_id: RecordId) -> Any:
        return await self._get(data_type, record_id)

    @overload
    async def get_many(self, keys: Iterable[tuple[type[R], RecordId]]) -> ListOf[R | None]: ...
    @overload
    async def get_many(self, keys: Iterable[KeyLike]) -> ListOf[UserRecord | None]: ...
    async def get_many(self, keys: Iterable[KeyLike]) -> Any:
        return await self._get_many(keys)

    @overload
    async def list(
        self,
        data_type: type[R],
        *,
        where: Condition | None = ...,
        order_by: str | None = ...,
        limit: int | None = ...,
        reverse: bool = ...,
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
    ) -> ListOf[UserRecord]: ...
    async def list(
        self,
        data_type: DataTypeLike,
        *,
        where: Condition | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Any:
        listing = Listing(Wanted(where, reverse), order_by, limit)
        return await self._list(data_type, listing)

    async def list_all(
        self,
        *,
        where: Condition | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> ListOf[UserRecord]:
        listing = Listing(Wanted(where, reverse), order_by, limit)
        return await self._list_all(listing)

    async def count(
        self, data_type: DataTypeLike | None = None, *, where: Condition | None = None
    ) -> int:
        return await self._count(data_type, where)

    @overload
    async def patch(
        self, data_type: type[R], record_id: RecordId, merge_patch: dict[str, Any]
    ) -> R: ...
    @overload
    async def patch(
        self, data_type: str, record_id: RecordId, merge_patch: dict[str, Any]
    ) -> UserRecord: ...
    async def patch(
        self, data_type: DataTypeLike, record_id: RecordId, merge_patch: dict[str, Any]
    ) -> Any:
        return await self._patch(data_type, record_id, merge_patch)

    @overload
    async def replace_data(
        self, data_type: type[R], record_id: RecordId, data: dict[str, Any]
    ) -> R: ...
    @overload
    async def replace_data(
        self, data_type: str, record_id: RecordId, data: dict[str, Any]
    ) -> UserRecord: ...
    async def replace_data(
        self, data_type: DataTypeLike, record_id: RecordId, data: dict[str, Any]
    ) -> Any:
        return await self._replace_data(data_type, record_id, data)

    async def commit(self) -> CommitResult:
        return await self._commit()

    async def refresh(self, record: UserRecord) -> None:
        return await self._refresh(record)
