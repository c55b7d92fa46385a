"""`UserData`: one user's records, and the calls that read and write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar, overload

import attrs

from thrivecalc_models.cursors import make_cursor, read_cursor
from thrivecalc_models.errors import InvalidKeyError, InvalidRecordError
from thrivecalc_models.operations import Query
from thrivecalc_models.records import UserRecord, reading
from thrivecalc_models.records.constructors import makes_record
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId, Scope, distinct
from thrivecalc_models.store.pages import Page, check_order, ordered
from thrivecalc_models.store.running import run
from thrivecalc_models.table import DATA_TYPE
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.unit_of_work import CommitResult, UnitOfWork
from thrivecalc_models.unit_of_work.single import commit_one
from thrivecalc_models.unit_of_work.unattached import note_returned
from thrivecalc_models.value import even_half_made

R = TypeVar("R", bound=UserRecord)
T = TypeVar("T")

# Inside UserData, `list` is the method.
ListOf = list
Records = list[UserRecord]


class UserData:
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

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def user_id(self) -> str:
        """The user that every call is bound to."""
        return self._scope.user_id

    @even_half_made
    def __repr__(self) -> str:
        return f"<UserData of {self._scope.session.settings.table_name}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("UserData belongs to its store and cannot be pickled")

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
    ) -> UserRecord | None:
        """Return the record; None if it does not exist or has expired."""
        key = self._scope.key(data_type, record_id)
        item = reading.fetch(self._scope, key, consistent=consistent)
        if item is None:
            return None
        record = reading.seen(self._scope, item, include_expired=include_expired)
        note_returned(self._scope, [record])
        return record

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
        wanted = [self._scope.key_of(each) for each in keys]
        found = reading.fetch_many(
            self._scope, distinct(wanted), consistent=consistent, include_expired=include_expired
        )
        note_returned(self._scope, found.values())
        return [found.get(key.record_key) for key in wanted]

    @overload
    def list(
        self,
        data_type: type[R],
        *,
        order_by: str | None = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> ListOf[R]: ...
    @overload
    def list(
        self,
        data_type: str,
        *,
        order_by: str | None = ...,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Records: ...
    def list(
        self,
        data_type: DataTypeLike,
        *,
        order_by: str | None = None,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Any:
        """Return all records of a type, ordered by record key.

        `order_by` is "created_at" or "updated_at", or one of them with "-" for the latest first;
        records without that time come last. Reads the index, or with `consistent` the table, since
        DynamoDB's indexes cannot be read consistently.
        """
        if data_type is None:
            raise InvalidKeyError(
                "list takes a type, such as SavingsGoal; list_all lists every type", path=DATA_TYPE
            )
        return self._listed(data_type, order_by, consistent, include_expired)

    def list_all(
        self,
        *,
        order_by: str | None = None,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Records:
        """Return all records of the user, of every type. `order_by` is that of `list`."""
        return self._listed(None, order_by, consistent, include_expired)

    def _listed(
        self,
        data_type: DataTypeLike | None,
        order_by: str | None,
        consistent: bool,
        include_expired: bool,
    ) -> Records:
        check_order(order_by)
        query = self._query(data_type, consistent)
        records = reading.records(self._scope, query, include_expired=include_expired)
        note_returned(self._scope, records)
        return ordered(records, order_by)

    @overload
    def iterate(
        self,
        data_type: type[R],
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Iterator[R]: ...
    @overload
    def iterate(
        self,
        data_type: str | None = ...,
        *,
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Iterator[UserRecord]: ...
    def iterate(
        self,
        data_type: DataTypeLike | None = None,
        *,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Iterator[Any]:
        """Yield the records of a type, or of all types, in the service's order.

        Holds one page of at most 1 MB at a time, and reads the next one meanwhile.
        """
        query = self._query(data_type, consistent)
        return self._iterated(query, include_expired)

    def _iterated(self, query: Query, include_expired: bool) -> Iterator[UserRecord]:
        for page in reading.pages(self._scope, query):
            for item in page.items:
                record = reading.seen(self._scope, item, include_expired=include_expired)
                if record is not None:
                    note_returned(self._scope, [record])
                    yield record

    @overload
    def page(
        self,
        data_type: type[R],
        *,
        limit: int = ...,
        cursor: str | None = ...,
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
        consistent: bool = ...,
        include_expired: bool = ...,
    ) -> Page[UserRecord]: ...
    def page(
        self,
        data_type: DataTypeLike | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        consistent: bool = False,
        include_expired: bool = False,
    ) -> Any:
        """Return at most `limit` records after a cursor, in the service's order, by one request.

        Without a cursor it is the first page; `page.cursor` is the cursor of the next one. Raises
        IsolationError for another user's cursor, and InvalidKeyError for a cursor of another query
        or for text that is none.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidRecordError("limit takes a whole number of records, at least 1")
        query = attrs.evolve(self._query(data_type, consistent), limit=limit)
        if cursor is not None:
            query = attrs.evolve(query, after=read_cursor(query, cursor))
        page = reading.page(self._scope, query)
        seen = (
            reading.seen(self._scope, item, include_expired=include_expired) for item in page.items
        )
        records = [record for record in seen if record is not None]
        note_returned(self._scope, records)
        return Page(records, None if page.after is None else make_cursor(query, page.after))

    def _query(self, data_type: DataTypeLike | None, consistent: bool) -> Query:
        text = None if data_type is None else self._scope.data_type(data_type)
        return reading.query(self._scope, text, consistent=consistent)

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
        work = UnitOfWork(self._scope)
        record = work.add(given, data, record_id=record_id, ttl=ttl)
        commit_one(work, record)
        note_returned(self._scope, [record])
        return record

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
        work = UnitOfWork(self._scope)
        record = work.put(given, data, record_id=record_id, ttl=ttl)
        commit_one(work, record)
        note_returned(self._scope, [record])
        return record

    def update(self, record: R) -> R:
        """Write the fields that changed since the record was read, and return the record.

        Nothing is sent if nothing changed. Afterwards the record has its new stamp, and fields that
        were not changed here are as they are stored. Raises InvalidRecordError before anything is
        sent, and ConflictError, with `stored`, if the record was changed or deleted since it was
        read.
        """
        work = UnitOfWork(self._scope)
        work.attach(record)
        commit_one(work, record)
        return record

    @overload
    def delete(self, target: UserRecord, /) -> None: ...
    @overload
    def delete(self, target: DataTypeLike, record_id: RecordId, /) -> None: ...
    def delete(
        self, target: UserRecord | DataTypeLike, record_id: RecordId | None = None, /
    ) -> None:
        """Delete a record, given by itself or by its type and record id.

        A loaded record is deleted only if it is unchanged since it was read, else ConflictError is
        raised. A record that is gone already is no error.
        """
        work = UnitOfWork(self._scope)
        work.delete(target, record_id)  # type: ignore[arg-type]  # the same overloads
        commit_one(work, target if isinstance(target, UserRecord) else None)

    def replace_data(
        self, data_type: DataTypeLike, record_id: RecordId, data: dict[str, Any]
    ) -> UserRecord:
        """Replace all of `data` by a camelCase mapping, without reading; return the record.

        Raises InvalidRecordError before anything is sent, and RecordNotFoundError if there is no
        such record.
        """
        with forks_wait:  # most programs load records and edit them
            from thrivecalc_models.unit_of_work import bulk

        return bulk.replace_data(self._scope, self._scope.key(data_type, record_id), data)

    def set_fields(self, data_type: DataTypeLike, record_id: RecordId, payload: Any) -> UserRecord:
        """Write the declared fields of a payload over a stored record; return the record.

        What the class does not declare stays stored. Raises as `replace_data`.
        """
        with forks_wait:
            from thrivecalc_models.unit_of_work import bulk

        return bulk.set_fields(self._scope, self._scope.key(data_type, record_id), payload)

    def delete_all(self) -> CommitResult:
        """Delete every item of the user, also expired, unknown and malformed ones.

        Reads and deletes until nothing is left. Raises CommitError with what was deleted so far, or
        ServiceError if nothing was.
        """
        with forks_wait:
            from thrivecalc_models.unit_of_work import bulk

        return bulk.delete_everything(self._scope)

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
        return run(self._scope, function, attempts=attempts, atomic=atomic)
