"""`DataStore` and `UserData`: the table, and one user's part of it."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypedDict, TypeVar, Unpack, overload

import attrs

from thrivecalc_models.cursors import make_cursor, read_cursor
from thrivecalc_models.errors import (
    CommitError,
    ConfigurationError,
    ConflictError,
    InvalidKeyError,
    InvalidRecordError,
    RecordExistsError,
    ThriveCalcError,
)
from thrivecalc_models.operations import Query
from thrivecalc_models.protocol import (
    RetryPolicy,
    full_jitter,
    pause,
)
from thrivecalc_models.records import Session, UserRecord, reading
from thrivecalc_models.records.constructors import makes_record
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId, Scope, distinct
from thrivecalc_models.records.session import local_closed, local_opened
from thrivecalc_models.signals import Observer
from thrivecalc_models.table import DATA_TYPE, Settings, resolve_settings
from thrivecalc_models.transport import Driver, Transport, as_transport, make_transport
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.unit_of_work import CommitResult, UnitOfWork
from thrivecalc_models.unit_of_work.unattached import note_returned
from thrivecalc_models.value import Value, even_half_made

R = TypeVar("R", bound=UserRecord)
if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    P = TypeVarWithDefault("P", bound=UserRecord, default=UserRecord, covariant=True)
else:
    P = TypeVar("P", bound=UserRecord, covariant=True)
T = TypeVar("T")

# Inside UserData, `list` is the method.
ListOf = list
Records = list[UserRecord]

_ORDERS = ("created_at", "updated_at", "-created_at", "-updated_at")


@attrs.frozen(eq=False, repr=False)
class Page(Value, Generic[P]):
    """Some records, and the cursor of the next page: None at the end.

    A page may be empty while a cursor remains.
    """

    records: list[P]
    cursor: str | None


class LocalOptions(TypedDict, total=False):
    """The options of `DataStore` but `endpoint`."""

    table_name: str | None
    region: str | None
    transport: str
    max_concurrency: int
    timeout: float
    retry: RetryPolicy | None
    js_safe_numbers: bool
    allow_http: bool
    observer: Observer | None
    clock: Callable[[], datetime] | None
    new_id: Callable[[], str] | None


class DataStore:
    """The table: its settings, its connections, and access to each user's data.

    Settings not given come from the environment (`DYNAMODB_TABLE_NAME`, `AWS_REGION`,
    `AWS_ENDPOINT`). `transport` is "auto", "botocore", "direct", or a Transport of your own (see
    `thrivecalc_models.transport`), which `close()` closes. `timeout` is in seconds a request;
    `retry` bounds tries and seconds without progress. `observer` is called with an event (see
    `thrivecalc_models.signals`) for each request, retry and commit. `clock` returns an aware
    datetime, `new_id` a record id. Safe to share between
    threads; after a fork the child opens connections of its own. Raises ConfigurationError.
    """

    session: Session
    """What senders of this package use of the store."""

    def __init__(
        self,
        *,
        table_name: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        transport: str | Transport = "auto",
        max_concurrency: int = 8,
        timeout: float = 10.0,
        retry: RetryPolicy | None = None,
        js_safe_numbers: bool = True,
        allow_http: bool = False,
        observer: Observer | None = None,
        clock: Callable[[], datetime] | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        settings = resolve_settings(
            table_name=table_name, region=region, endpoint=endpoint, allow_http=allow_http
        )
        _check_options(max_concurrency, timeout)
        if isinstance(transport, str):
            with forks_wait:  # not needed to define models
                from thrivecalc_models.transport.configuration import configured

            settings = configured(settings)
            transport = make_transport(
                transport, settings, timeout=timeout, max_concurrency=max_concurrency
            )
        driver = Driver(
            as_transport(transport),
            settings.table_name,
            max_concurrency=max_concurrency,
            observer=observer,
        )
        given = {"clock": clock, "new_id": new_id}
        self.session = Session(
            settings=settings,
            driver=driver,
            retry=retry or RetryPolicy(),
            js_safe_numbers=js_safe_numbers,
            observer=observer,
            **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
        )

    @classmethod
    def local(cls, **options: Unpack[LocalOptions]) -> Self:
        """Return a store on an embedded engine in this process, with its table, until `close()`.

        Takes the options of DataStore but `endpoint`. Raises ConfigurationError where the extra
        `local` is not installed.
        """
        with forks_wait:
            from thrivecalc_models.local import EmbeddedEngine  # for development and tests only

        engine = EmbeddedEngine()
        try:
            store = cls(endpoint=engine.endpoint, **options)
            store.session.engine = engine
            local_opened(store.session)
            store.create_table()
        except BaseException:
            engine.close()
            raise
        return store

    @classmethod
    def of_session(cls, session: Session) -> Self:
        """Make a store of a session, as simulated tables do."""
        store = cls.__new__(cls)
        store.session = session
        return store

    @property
    def settings(self) -> Settings:
        return self.session.settings

    @property
    def table_name(self) -> str:
        return self.settings.table_name

    @property
    def region(self) -> str:
        return self.settings.region

    @property
    def endpoint(self) -> str | None:
        """The endpoint in use; None is the real service."""
        return self.settings.endpoint

    @property
    def transport(self) -> str:
        """The transport in use, and why: "direct: ..." or "botocore: ...", or the name of your own.

        With `transport="auto"` that is direct where the extra `fast` is installed and nothing hooks
        botocore.
        """
        with forks_wait:
            from thrivecalc_models.transport.auto import explain

        return explain(self.session.driver.transport)

    def user(self, user_id: str) -> UserData:
        """Return the data of one user. Raises InvalidKeyError for an id that no user can have."""
        return UserData(Scope(self.session, user_id))

    def create_table(self) -> None:
        """Make the table with its index, TTL and point-in-time recovery, or its missing parts.

        Waits until all is active. An engine without point-in-time recovery goes without it.
        """
        with forks_wait:
            from thrivecalc_models.protocol.tables import (
                ensure_table,  # few programs make the table
            )

        session = self.session
        session.execute(ensure_table(self.table_name, session.retry, session.rng))

    def close(self) -> None:
        """Close the connections, and an embedded engine with all its data."""
        self.session.driver.close()
        if self.session.engine is not None:
            local_closed(self.session)
            self.session.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @even_half_made
    def __repr__(self) -> str:
        return f"<DataStore {self.table_name} in {self.region} at {self.settings.place}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a DataStore has connections and cannot be pickled; make one per process")


def _check_options(max_concurrency: int, timeout: float) -> None:
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
        raise ConfigurationError("max_concurrency takes a whole number of requests")
    if max_concurrency < 1:
        raise ConfigurationError("max_concurrency takes at least 1")
    if not timeout > 0:
        raise ConfigurationError("timeout takes seconds above 0")


class UserData:
    """One user's records. No method can reach another user's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def user_id(self) -> str:
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
        """Return the record, or None if it does not exist or has expired."""
        item = reading.fetch(
            self._scope, self._scope.key(data_type, record_id), consistent=consistent
        )
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
        """Return the records of keys in their order; None for each that does not exist.

        A key is a pair of type and record id, or the text of a record key. One that is asked for
        twice gives the same object twice.
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
        """Return all records of a type, by record key (UTF-8 bytes) or as `order_by` says.

        `order_by` is `created_at` or `updated_at`, with `-` for the latest first; records without
        that time come last. A consistent list reads the table, since no index can be read so.
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
        """Return all records of the user, of every type, in the order of `list`."""
        return self._listed(None, order_by, consistent, include_expired)

    def _listed(
        self,
        data_type: DataTypeLike | None,
        order_by: str | None,
        consistent: bool,
        include_expired: bool,
    ) -> Records:
        _check_order(order_by)
        query = self._query(data_type, consistent)
        records = reading.records(self._scope, query, include_expired=include_expired)
        note_returned(self._scope, records)
        return _ordered(records, order_by)

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
        """Yield the records of a type, or of all types, page by page in the service's order."""
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
        """Return at most `limit` records after a cursor, in the service's order: one request.

        Raises IsolationError for another user's cursor, InvalidKeyError for any other wrong one.
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
        """Create a record from a payload, a record, or a type and a mapping, and return it.

        Raises RecordExistsError where a given record id is taken.
        """
        work = self._unit()
        record = work.add(given, data, record_id=record_id, ttl=ttl)
        _commit_one(work, record)
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
        """Create or replace the whole item, without any condition, and return the record."""
        work = self._unit()
        record = work.put(given, data, record_id=record_id, ttl=ttl)
        _commit_one(work, record)
        note_returned(self._scope, [record])
        return record

    def update(self, record: R) -> R:
        """Write what changed since the record was read; send nothing if nothing changed.

        Raises ConflictError if someone else was first.
        """
        work = self._unit()
        work.attach(record)
        _commit_one(work, record)
        return record

    @overload
    def delete(self, target: UserRecord, /) -> None: ...
    @overload
    def delete(self, target: DataTypeLike, record_id: RecordId, /) -> None: ...
    def delete(
        self, target: UserRecord | DataTypeLike, record_id: RecordId | None = None, /
    ) -> None:
        """Delete the record of a key, or a loaded record if unchanged; gone already is fine."""
        work = self._unit()
        work.delete(target, record_id)  # type: ignore[arg-type]  # the overloads, once more
        _commit_one(work, target if isinstance(target, UserRecord) else None)

    def replace_data(
        self, data_type: DataTypeLike, record_id: RecordId, data: dict[str, Any]
    ) -> UserRecord:
        """Replace all of `data` by a camelCase mapping.

        Raises RecordNotFoundError if there is no record.
        """
        with forks_wait:
            from thrivecalc_models.records import edits  # programs that load records need neither
            from thrivecalc_models.unit_of_work.bulk import perform_edit

        key = self._scope.key(data_type, record_id)
        return perform_edit(self._scope, edits.replacement(self._scope, key, data))

    def set_fields(self, data_type: DataTypeLike, record_id: RecordId, payload: Any) -> UserRecord:
        """Write the declared fields of a payload over a stored record; its extras stay.

        RecordNotFoundError if there is no record.
        """
        with forks_wait:
            from thrivecalc_models.records import edits  # programs that load records need neither
            from thrivecalc_models.unit_of_work.bulk import perform_edit

        key = self._scope.key(data_type, record_id)
        return perform_edit(self._scope, edits.field_update(self._scope, key, payload))

    def delete_all(self) -> CommitResult:
        """Delete every item of the user, expired, unknown and malformed ones too.

        Reads and deletes until nothing is left. Raises CommitError with what was deleted so far.
        """
        with forks_wait:
            from thrivecalc_models.unit_of_work.bulk import (
                delete_everything,  # seldom needed
            )

        return delete_everything(self._scope)

    # --- units of work ----------------------------------------------------------------------------

    def unit_of_work(
        self,
        *,
        atomic: bool = False,
        lock: bool = True,
        consistent: bool = True,
        include_expired: bool = False,
    ) -> UnitOfWork:
        """Return a unit of work: it commits its writes together at the end of a `with` block."""
        return UnitOfWork(
            self._scope,
            atomic=atomic,
            lock=lock,
            consistent=consistent,
            include_expired=include_expired,
        )

    def _unit(self) -> UnitOfWork:
        return UnitOfWork(self._scope)

    def run(
        self, function: Callable[[UnitOfWork], T], *, attempts: int = 8, atomic: bool = True
    ) -> T:
        """Call `function(work)` in a fresh unit of work, again after conflicts; return its result.

        It is called again, after a wait with full jitter, only if nothing was applied and nothing
        is unknown. After the last attempt the CommitError is raised, with the message of the
        conflict if there is but one. Raises TypeError for a function that would be awaited or
        iterated, and nothing is sent.
        """
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise InvalidRecordError("attempts takes a whole number, at least 1")
        _check_plain(function)
        session = self._scope.session
        for tried in range(attempts):
            work = self.unit_of_work(atomic=atomic)
            try:
                with work:
                    result = function(work)
                    _check_done(result)
            except CommitError as error:
                if work.has_applied or not _only_conflicts(error):
                    raise
                if tried + 1 == attempts:
                    if len(error.causes) == 1:
                        error.args = tuple(map(str, error.causes.values()))
                    raise
            else:
                return result
            seconds = full_jitter(session.retry, session.retry.base, tried, session.rng)
            session.driver.run(pause(seconds))
        raise AssertionError("unreachable: the last attempt returns or raises")


def _check_plain(function: Callable[..., object]) -> None:
    """Raise TypeError for a function whose call only makes a coroutine or a generator."""
    for each in (function, getattr(function, "__call__", None)):  # noqa: B004 - it may be async
        if (
            inspect.iscoroutinefunction(each)
            or inspect.isgeneratorfunction(each)
            or inspect.isasyncgenfunction(each)
        ):
            raise TypeError(
                "run() calls a plain function; an async function or a generator would not have run"
                " when its unit is committed"
            )


def _check_done(result: object) -> None:
    """Raise TypeError for a result that shows that the function has not done its work yet."""
    if inspect.isawaitable(result) or inspect.isasyncgen(result):
        if inspect.iscoroutine(result):
            result.close()  # it will never be awaited
        raise TypeError(
            "the function of run() returned something to be awaited, so its work is not done, and"
            " nothing was sent; give a plain function"
        )


def _commit_one(work: UnitOfWork, record: UserRecord | None) -> None:
    """Commit a unit of one write; raise its cause instead of the CommitError."""
    try:
        work.__exit__(None, None, None)  # as at the end of a block: commit, and that is its end
    except CommitError as failed:
        _is_of(failed, record)
        error: ThriveCalcError = next(iter(failed.causes.values()), failed)
    except ThriveCalcError as refused:  # before anything was sent
        refused.record, refused.outcome = record, "not applied"
        raise
    except BaseException as interrupt:
        if isinstance(interrupt.__cause__, CommitError):
            _is_of(interrupt.__cause__, record)
        raise
    else:
        return
    raise error


def _is_of(failed: CommitError, record: UserRecord | None) -> None:
    """Return the outcome of a single write, with the facts of its errors."""
    failed.record, failed.outcome = record, "unknown" if failed.unknown else "not applied"


def _only_conflicts(error: CommitError) -> bool:
    return not (error.applied or error.existing or error.unknown) and all(
        isinstance(cause, ConflictError | RecordExistsError) for cause in error.causes.values()
    )


def _check_order(order_by: str | None) -> None:
    if order_by is not None and order_by not in _ORDERS:
        raise InvalidRecordError(f"order_by takes one of {', '.join(_ORDERS)}, not {order_by!r}")


def _ordered(records: list[UserRecord], order_by: str | None) -> list[UserRecord]:
    records.sort(key=operator.attrgetter("record_key"))
    if order_by is None:
        return records
    name = order_by.removeprefix("-")
    timed = [record for record in records if getattr(record, name) is not None]
    timeless = [record for record in records if getattr(record, name) is None]
    timed.sort(key=lambda record: getattr(record, name), reverse=order_by.startswith("-"))
    return timed + timeless
