"""The table with its settings and connections, for synchronous callers and for those of asyncio."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Generic, NoReturn, Self, TypedDict, TypeVar, Unpack

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.protocol import RetryPolicy
from thrivecalc_models.records import Session
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.records.session import connect, connect_async, local_closed, local_opened
from thrivecalc_models.signals import Observer
from thrivecalc_models.store.async_user_data import AsyncUserData
from thrivecalc_models.store.user_data import UserData
from thrivecalc_models.synchronous import documented_as, drive
from thrivecalc_models.table import Settings, resolve_settings
from thrivecalc_models.transport import AsyncTransport, Driver, Transport
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.value import even_half_made

TR = TypeVar("TR")


class LocalOptions(TypedDict, total=False):
    """The options of `DataStore` but `endpoint`."""

    table_name: str | None
    region: str | None
    transport: str
    max_concurrency: int
    timeout: float
    retry: RetryPolicy | None
    js_safe_numbers: bool
    batch_updates: bool
    allow_http: bool
    observer: Observer | None
    clock: Callable[[], datetime] | None
    new_id: Callable[[], str] | None


class _Store(Generic[TR]):
    """What both kinds of store do alike; `TR` is the transport of a caller's own."""

    _connect: ClassVar[Callable[..., Session]]

    session: Session
    """Driver, retry policy and clock, for the modules of this package that send."""

    def __init__(
        self,
        *,
        table_name: str | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        transport: str | TR = "auto",
        max_concurrency: int = 8,
        timeout: float = 10.0,
        retry: RetryPolicy | None = None,
        js_safe_numbers: bool = True,
        batch_updates: bool = False,
        allow_http: bool = False,
        observer: Observer | None = None,
        clock: Callable[[], datetime] | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        settings = resolve_settings(
            table_name=table_name, region=region, endpoint=endpoint, allow_http=allow_http
        )
        _check_options(max_concurrency, timeout)
        _check_plain(observer=observer, clock=clock, new_id=new_id)
        options = {"retry": retry, "clock": clock, "new_id": new_id}
        self.session = self._connect(
            settings,
            transport=transport,
            timeout=timeout,
            max_concurrency=max_concurrency,
            observer=observer,
            js_safe_numbers=js_safe_numbers,
            batch_updates=batch_updates,
            **{name: value for name, value in options.items() if value is not None},
        )

    @classmethod
    def local(cls, **options: Unpack[LocalOptions]) -> Self:
        """Return a store on an embedded engine in this process, with its table created.

        Takes the options of DataStore except `endpoint`. `close()` ends the engine, and its data
        are gone. Raises ConfigurationError if the extra `local` is not installed, and for
        `batch_updates=True`, since the engine does not know BatchExecuteStatement.
        """
        if options.get("batch_updates"):
            raise ConfigurationError(
                "the embedded engine does not know BatchExecuteStatement; leave batch_updates out,"
                " or use DynamoDB Local with endpoint=..."
            )
        with forks_wait:
            from thrivecalc_models.local import EmbeddedEngine  # for development and tests only

        engine = EmbeddedEngine()
        try:
            store = cls(endpoint=engine.endpoint, **options)
            store.session.engine = engine
            local_opened(store.session)
            store._create_local_table(engine.endpoint)
        except BaseException:
            engine.close()
            raise
        return store

    @classmethod
    def of_session(cls, session: Session) -> Self:
        """Return a store that uses a session, such as that of a simulated table."""
        store = cls.__new__(cls)
        store.session = session
        return store

    @property
    def settings(self) -> Settings:
        """The settings in use: table name, region, endpoint, and where the endpoint comes from."""
        return self.session.settings

    @property
    def table_name(self) -> str:
        """The name of the table."""
        return self.settings.table_name

    @property
    def region(self) -> str:
        """The AWS region of the table."""
        return self.settings.region

    @property
    def endpoint(self) -> str | None:
        """The endpoint in use; None stands for the real service."""
        return self.settings.endpoint

    @property
    def transport(self) -> str:
        """The transport in use, and why: "direct: ...", "botocore: ...", or the name of your own.

        With `transport="auto"` it is direct if the extra `fast` is installed and nothing hooks
        botocore.
        """
        with forks_wait:
            from thrivecalc_models.transport.auto import explain

        return explain(self.session.driver.transport)

    @even_half_made
    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.table_name} in {self.region} at {self.settings.place}>"
        )

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} has connections and cannot be pickled; make one per process"
        )

    def _create_local_table(self, endpoint: str) -> None:
        """Create the table of an embedded engine."""
        raise NotImplementedError

    def _close_engine(self) -> None:
        if self.session.engine is not None:
            local_closed(self.session)
            self.session.engine.close()


class DataStore(_Store[Transport]):
    """The table: its settings, its connections, and access to each user's data.

    - `table_name`, `region`, `endpoint`: if not given, they come from the environment
      (`DYNAMODB_TABLE_NAME`, `AWS_REGION`, `AWS_ENDPOINT`).
    - `transport`: "auto", "botocore", "direct", or a Transport of your own (see
      `thrivecalc_models.transport`), which `close()` closes.
    - `max_concurrency`: how many requests may be under way at once, at least 1.
    - `timeout`: seconds that a request may take.
    - `retry`: how often, and how long without progress, requests are tried again.
    - `js_safe_numbers`: whether numbers are refused that JavaScript cannot hold.
    - `batch_updates`: whether the conditional updates and deletes of a commit share requests, 25 a
      BatchExecuteStatement. It needs `dynamodb:PartiQLUpdate` and `dynamodb:PartiQLDelete`.
    - `allow_http`: whether plain HTTP may leave this machine and its neighbours.
    - `observer`: called with an event of `thrivecalc_models.signals` for each request, retry and
      commit.
    - `clock`, `new_id`: functions that return an aware datetime, and a record id.

    A store may be shared by threads; after a fork the child opens its own connections. Use it as a
    context manager, or call `close()`. Raises ConfigurationError for settings that cannot work.
    """

    _connect = staticmethod(connect)

    def user(self, user_id: str) -> UserData:
        """Return the data of one user; sends nothing.

        Raises InvalidKeyError unless the id is text of 1 to 2,048 bytes in UTF-8.
        """
        return UserData(Scope(self.session, user_id))

    def create_table(self) -> None:
        """Create the table with its index, TTL and point-in-time recovery, or what is missing.

        Returns when all of it is active. A local engine without point-in-time recovery goes without
        it. Raises ServiceError, and ConfigurationError for a table with other keys.
        """
        with forks_wait:  # few programs create the table
            from thrivecalc_models.protocol.tables import ensure_table

        session = self.session
        drive(session.execute(ensure_table(self.table_name, session.retry, session.rng)))

    def close(self) -> None:
        """Close the connections, and an embedded engine with all its data."""
        self.session.blocking_driver().close()
        self._close_engine()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _create_local_table(self, endpoint: str) -> None:
        self.create_table()


@documented_as(DataStore)
class AsyncDataStore(_Store[AsyncTransport | Transport]):
    """A `DataStore` whose calls are awaited: `async with AsyncDataStore() as store`.

    It takes the options of DataStore. `max_concurrency` bounds the requests of all tasks together;
    a `transport` of your own is an AsyncTransport, or a Transport, which is then called in threads.

    A store belongs to the event loop on which it is first used, until that loop is closed. On
    another loop, in another thread and after `close()` its calls raise ConfigurationError. A call
    that is cancelled starts nothing more, awaits what is in flight for at most `timeout` seconds,
    and then raises CancelledError.
    """

    _connect = staticmethod(connect_async)

    def user(self, user_id: str) -> AsyncUserData:
        return AsyncUserData(Scope(self.session, user_id))

    async def create_table(self) -> None:
        with forks_wait:  # few programs create the table
            from thrivecalc_models.protocol.tables import ensure_table

        session = self.session
        await session.execute(ensure_table(self.table_name, session.retry, session.rng))

    async def close(self) -> None:
        driver = self.session.driver
        assert not isinstance(driver, Driver)
        try:
            await driver.close()
        finally:
            self._close_engine()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _create_local_table(self, endpoint: str) -> None:
        # Not on the event loop: there may be none yet, and the store is to belong to none.
        with DataStore(
            endpoint=endpoint, table_name=self.table_name, region=self.region
        ) as synchronous:
            synchronous.create_table()


def _check_options(max_concurrency: int, timeout: float) -> None:
    """Raise ConfigurationError for values that no driver can work with."""
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
        raise ConfigurationError("max_concurrency takes a whole number of requests")
    if max_concurrency < 1:
        raise ConfigurationError("max_concurrency takes at least 1")
    if not timeout > 0:
        raise ConfigurationError("timeout takes seconds above 0")


def _check_plain(**functions: Callable[..., object] | None) -> None:
    """Raise ConfigurationError for a coroutine function, which would be called and never run."""
    for name, function in functions.items():
        for each in (function, getattr(function, "__call__", None)):  # noqa: B004 - it may be async
            if inspect.iscoroutinefunction(each):
                raise ConfigurationError(
                    f"{name} takes a plain function, in an AsyncDataStore too; a coroutine function"
                    " would be called, but never awaited"
                )
