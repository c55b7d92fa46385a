"""One user's records: the shell for synchronous callers; its twin is in `async_user_data`.

Each method is one line over a function of `calls`, which has all that is done.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar, overload

from pynamodb.expressions.condition import Condition

from thrivecalc_models.records import UserRecord
from thrivecalc_models.records.constructors import makes_record
from thrivecalc_models.records.listing import Listing, Wanted
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId, Scope
from thrivecalc_models.store import calls
from thrivecalc_models.store.pages import Page
from thrivecalc_models.store.running import run
from thrivecalc_models.synchronous import drive, drive_each
from thrivecalc_models.unit_of_work import CommitResult, UnitOfWork
from thrivecalc_models.value import even_half_made

R = TypeVar("R", bound=UserRecord)
T = TypeVar("T")

# Inside the classes, `list` is the method.
ListOf = list
Records = list[UserRecord]


class OfUser:
    """What both shells do alike."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def user_id(self) -> str:
        """The user that every call is bound to."""
        return self._scope.user_id

    @even_half_made
    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._scope.session.settings.table_name}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} belongs to its store and cannot be pickled")


class UserData(OfUser):
    """The records of one user: `store.user(user_id)`.

    Every key is made for this user, so no method can reach another user's records. A type is a
    record class or its data type as text: `SavingsGoal` or `"savings-goal"`.

    - Readings take `consistent`: with it they see every write that ended before, at twice the
      price. With `include_expired` they also return records whose `ttl` has passed and which
      DynamoDB has not removed yet.
    - Single writes raise the error of that write, with `record` and `outcome` ("not applied" or
      "unknown"). If the outcome is unknown, repeat the call with `error.record`: it is the same
      write, and is applied once.
    - All raise InvalidKeyError for a type or record id that cannot be, and ServiceError if the
      service or the network fails.
    """

    # --- reading ----------------------------------------------------------------------------------

    @overload
    def get(
        self,
        data_type: type[R],
        record_id: RecordId,
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> R | None: ...
    @overload
    def get(
        self,
        data_type: str,
        record_id: RecordId,
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> UserRecord | None: ...
    def get(
        self,
        data_type: DataTypeLike,
        record_id: RecordId,
        *,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Any:
        """Return the record; None if it does not exist or has expired."""
        return drive(calls.get(self._scope, data_type, record_id, consistent, include_expired))

    def exists(
        self,
        data_type: DataTypeLike,
        record_id: RecordId,
        *,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> bool:
        """Return whether `get` would return a record; one GetItem."""
        return drive(calls.exists(self._scope, data_type, record_id, consistent, include_expired))

    @overload
    def get_many(
        self,
        keys: Iterable[tuple[type[R], RecordId]],
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> ListOf[R | None]: ...
    @overload
    def get_many(
        self,
        keys: Iterable[KeyLike],
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> ListOf[UserRecord | None]: ...
    def get_many(
        self,
        keys: Iterable[KeyLike],
        *,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Any:
        """Return the records of keys in their order; None for each that `get` returns None for.

        A key is a pair of type and record id, or the text of a record key. A key that occurs twice
        gives the same object twice. Requests have at most 100 keys, and are sent at the same time.
        """
        return drive(calls.get_many(self._scope, keys, consistent, include_expired))

    @overload
    def list(
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
    def list(
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
    def list(
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
        """Return the records of a type, ordered by record key.

        `where` is a condition, such as `SavingsGoal.data.target_amount > 5`. DynamoDB filters what
        it read: that saves transfer, not read units, unless it is about the `record_id`.
        `order_by` is "created_at", "updated_at" or "data.<field>", or one of them with "-" for the
        largest first; records without that value come last. With `limit` and no `order_by` the
        reading stops early. `reverse` begins at the last record key.

        Reads the index. Reads the table with `consistent`, since DynamoDB's indexes cannot be read
        consistently, with `limit` and no `order_by`, with `reverse`, and if a part of `where` is a
        condition on the key.

        Raises InvalidRecordError for an order or a condition that cannot be.
        """
        listing = Listing(Wanted(where, reverse, consistent, include_expired), order_by, limit)
        return drive(calls.list_type(self._scope, data_type, listing))

    def list_all(
        self,
        *,
        where: Condition | None = None,
        order_by: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Records:
        """Return the records of the user, of every type. The arguments are those of `list`.

        `order_by` takes no "data.<field>", as types have their own.
        """
        listing = Listing(Wanted(where, reverse, consistent, include_expired), order_by, limit)
        return drive(calls.list_records(self._scope, None, listing))

    @overload
    def iterate(
        self,
        data_type: type[R],
        *,
        where: Condition | None = ...,
        reverse: bool = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Iterator[R]: ...
    @overload
    def iterate(
        self,
        data_type: str | None = ...,
        *,
        where: Condition | None = ...,
        reverse: bool = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Iterator[UserRecord]: ...
    def iterate(
        self,
        data_type: DataTypeLike | None = None,
        *,
        where: Condition | None = None,
        reverse: bool = False,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Iterator[Any]:
        """Yield the records of a type, or of all types, in the service's order.

        Holds one page of at most 1 MB at a time, and reads the next one meanwhile. `where` is that
        of `list`; with `reverse` the order is that of record keys, from the last one.
        """
        wanted = Wanted(where, reverse, consistent, include_expired)
        return _each(calls.record_pages(self._scope, data_type, wanted))

    @overload
    def page(
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
    def page(
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
    def page(
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
        """Return at most `limit` records after a cursor, in the service's order, by one request.

        Without a cursor it is the first page; `page.cursor` is the cursor of the next one. `where`
        is that of `list`, and is judged after `limit` records were read, so that a page may be
        empty; with `reverse` the order is that of record keys, from the last one. Raises
        IsolationError for another user's cursor, and InvalidKeyError for a cursor of another query
        or for text that is none.
        """
        wanted = Wanted(where, reverse, consistent, include_expired)
        return drive(calls.page(self._scope, data_type, limit, cursor, wanted))

    def count(
        self,
        data_type: DataTypeLike | None = None,
        *,
        where: Condition | None = None,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> int:
        """Return how many records of a type, or of all types, a list would have.

        Reads no items (Select=COUNT), but costs the read units of the list, filter or not.
        """
        wanted = Wanted(where, False, consistent, include_expired)
        return drive(calls.count(self._scope, data_type, wanted))

    # --- writing ----------------------------------------------------------------------------------

    @makes_record
    def add(
        self,
        given: Any,
        data: Any = None,
        /,
        *,
        record_id: RecordId | None = None,
        ttl: datetime | timedelta | None = None,
    ) -> Any:
        """Create a record and return it: from a payload, a record, or a type and a mapping.

        A mapping is in camelCase, as in the table. Without a `record_id` one is generated. `ttl` is
        when the record expires: an aware datetime, or a timedelta from now. Raises
        InvalidRecordError before anything is sent, and RecordExistsError if a given record id is
        taken.
        """
        return drive(calls.add(self._scope, given, data, record_id, ttl))

    @makes_record
    def put(
        self,
        given: Any,
        data: Any = None,
        /,
        *,
        record_id: RecordId | None = None,
        ttl: datetime | timedelta | None = None,
    ) -> Any:
        """Create or replace the whole item, without any condition, and return the record.

        Takes what `add` takes, and loaded records. Raises InvalidRecordError, and CorruptItemError
        for a malformed record, before anything is sent.
        """
        return drive(calls.put(self._scope, given, data, record_id, ttl))

    @overload
    def add_many(self, given: Iterable[R], /) -> ListOf[R]: ...
    @overload
    def add_many(self, given: Iterable[object], /) -> Records: ...
    def add_many(self, given: Iterable[Any], /) -> Any:
        """Create records in one unit of work, and return them in order.

        Takes payloads, records and pairs of a type and a mapping, each as `add` does; they get
        fresh ids, 25 to a request. Raises InvalidRecordError before anything is sent, and
        CommitError, whose `applied`, `not_applied` and `unknown` are record keys.
        """
        return drive(calls.add_many(self._scope, given))

    def update(self, record: R) -> R:
        """Write the fields that changed since the record was read, and return the record.

        Nothing is sent if nothing changed. Afterwards the record has its new stamp, and fields that
        were not changed here are as they are stored. Raises InvalidRecordError before anything is
        sent, and ConflictError, with `stored`, if the record was changed or deleted since it was
        read.
        """
        return drive(calls.update(self._scope, record))

    @overload
    def delete(self, target: UserRecord, /) -> None: ...
    @overload
    def delete(
        self, target: DataTypeLike, record_id: RecordId, /, *, if_version: str | None = ...
    ) -> None: ...
    def delete(
        self,
        target: UserRecord | DataTypeLike,
        record_id: RecordId | None = None,
        /,
        *,
        if_version: str | None = None,
    ) -> None:
        """Delete a record, given by itself or by its type and record id.

        A loaded record is deleted only if it is unchanged since it was read, else ConflictError is
        raised. A record that is gone already is no error, but with `if_version`, which is that of
        `patch`.
        """
        return drive(calls.delete(self._scope, target, record_id, if_version))

    @makes_record
    def upsert(self, given: Any, /, *, record_id: RecordId | None = None) -> Any:
        """Write a payload over what is stored under a record id, or store it; return the record.

        Where a record is stored, one UpdateItem sets the declared fields and removes those of None;
        what the class does not declare stays. Where none is, a PutItem follows, if the key is still
        free. Takes a payload with a `record_id`, or a record that was never stored. Raises
        InvalidRecordError before anything is sent, and ConflictError if the stored `data` is no
        map.
        """
        return drive(calls.upsert(self._scope, given, record_id))

    @overload
    def patch(
        self,
        data_type: type[R],
        record_id: RecordId,
        merge_patch: dict[str, Any],
        *,
        if_version: str | None = ...,
    ) -> R: ...
    @overload
    def patch(
        self,
        data_type: str,
        record_id: RecordId,
        merge_patch: dict[str, Any],
        *,
        if_version: str | None = ...,
    ) -> UserRecord: ...
    def patch(
        self,
        data_type: DataTypeLike,
        record_id: RecordId,
        merge_patch: dict[str, Any],
        *,
        if_version: str | None = None,
    ) -> Any:
        """Merge a JSON Merge Patch (RFC 7396) into `data` of a stored record; return the record.

        The patch has camelCase names, as the table. None removes a field, a mapping is merged into
        the stored one, and any other value, lists included, replaces what is stored. It is one
        UpdateItem; where a map that it merges into is not stored, a second one follows, under the
        lock of `update`. A payload class with validators or converters of its own is read first.

        With `if_version`, a record's `version`, the record is read, consistently, and written only
        if it has that version; otherwise ConflictError is raised, with `stored`, which is None if
        the record is gone. Without it RecordNotFoundError is raised if there is no such record.
        Raises InvalidRecordError for names and values that the table should not have.
        """
        return drive(calls.patch(self._scope, data_type, record_id, merge_patch, if_version))

    @overload
    def replace_data(
        self,
        data_type: type[R],
        record_id: RecordId,
        data: dict[str, Any],
        *,
        if_version: str | None = ...,
    ) -> R: ...
    @overload
    def replace_data(
        self,
        data_type: str,
        record_id: RecordId,
        data: dict[str, Any],
        *,
        if_version: str | None = ...,
    ) -> UserRecord: ...
    def replace_data(
        self,
        data_type: DataTypeLike,
        record_id: RecordId,
        data: dict[str, Any],
        *,
        if_version: str | None = None,
    ) -> Any:
        """Replace all of `data` by a camelCase mapping, without reading; return the record.

        Raises InvalidRecordError before anything is sent, and RecordNotFoundError if there is no
        such record. `if_version` is that of `patch`.
        """
        return drive(calls.replace_data(self._scope, data_type, record_id, data, if_version))

    def set_fields(self, data_type: DataTypeLike, record_id: RecordId, payload: Any) -> UserRecord:
        """Write the declared fields of a payload over a stored record; return the record.

        What the class does not declare stays stored. Raises as `replace_data`.
        """
        return drive(calls.set_fields(self._scope, data_type, record_id, payload))

    def delete_many(self, keys: Iterable[KeyLike], /) -> CommitResult:
        """Delete what is stored under keys in one unit of work, 25 to a request.

        A key is that of `get_many`; one under which nothing is stored counts as deleted. Raises
        CommitError if not all were deleted.
        """
        return drive(calls.delete_many(self._scope, keys))

    def delete_all(self) -> CommitResult:
        """Delete every item of the user, also expired, unknown and malformed ones.

        Reads and deletes until nothing is left. Raises CommitError with what was deleted so far, or
        ServiceError if nothing was.
        """
        return drive(calls.delete_all(self._scope))

    # --- units of work ----------------------------------------------------------------------------

    def unit_of_work(
        self,
        *,
        atomic: bool = False,
        lock: bool = True,
        consistent: bool = True,
        include_expired: bool = False,
    ) -> UnitOfWork:
        """Return a unit of work, whose writes are committed together at the end of its block.

        With `atomic` they are one transaction: all are applied, or none. With `lock=False` a
        changed field overwrites what others wrote to it since. `consistent` and `include_expired`
        apply to the unit's own reads.
        """
        return UnitOfWork(
            self._scope,
            atomic=atomic,
            lock=lock,
            consistent=consistent,
            include_expired=include_expired,
        )

    def run(
        self, function: Callable[[UnitOfWork], T], *, attempts: int = 8, atomic: bool = True
    ) -> T:
        """Call `function(work)` in a fresh unit of work, commit it, and return the result.

        After a conflict the function is called again, up to `attempts` times in all, with a random
        wait before each call. It is not called again once anything was applied or is unknown. The
        last CommitError is raised; if it has a single cause, with the message of that.

        Raises TypeError, and sends nothing, for an async function or a generator.
        """
        return drive(run(self._scope, function, attempts=attempts, atomic=atomic))


def _each(pages: AsyncGenerator[Iterator[R], None]) -> Iterator[R]:
    with closing(drive_each(pages)) as driven:
        for page in driven:
            yield from page
