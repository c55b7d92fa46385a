"""The session of a store: settings, driver, retry policy, clock, and the errors of failures."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

import attrs

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import Flow
from thrivecalc_models.protocol import (
    CommitReport,
    PendingWrite,
    RetryPolicy,
    ServiceFailure,
    commit,
    service_error,
)
from thrivecalc_models.signals import Observer, log
from thrivecalc_models.table import Settings, resolve_settings
from thrivecalc_models.transport import (
    AsyncTransport,
    Driver,
    Shield,
    Transport,
    as_async_transport,
    as_transport,
    make_async_transport,
    make_transport,
)
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.wire import MAX_SKIP, WriteTime, fresh_id, masked_user

if TYPE_CHECKING:
    from thrivecalc_models.transport.async_driver import AsyncDriver  # imports asyncio

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.define(kw_only=True, eq=False, repr=False)
class Session:
    """What every sender of a store shares: settings, driver, retry policy, clock, ids, randomness.

    `DataStore.session` is the one of a store. A record keeps the session that read or wrote it.
    With a synchronous driver nothing suspends the coroutines: see `thrivecalc_models.synchronous`.
    """

    settings: Settings
    driver: Driver | AsyncDriver
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    js_safe_numbers: bool = True
    batch_updates: bool = False
    clock: Callable[[], datetime] = _now
    new_id: Callable[[], str] = fresh_id
    rng: random.Random = attrs.field(factory=random.SystemRandom)  # a fork does not copy its state
    observer: Observer | None = None
    engine: Any = None
    """An embedded engine, which lives as long as anything that can reach its table."""

    def write_time(self, now: datetime | None = None) -> WriteTime:
        """Return the time of a write that is made now, with a random part."""
        skip = 1 + int(self.rng.random() * MAX_SKIP)
        return WriteTime(self.clock() if now is None else now, skip)

    async def run(self, protocol: Flow[T], *, shield: Shield | None = None) -> T:
        """Run a protocol and return its result. Raises ServiceFailure."""
        driver = self.driver
        if isinstance(driver, Driver):
            return driver.run(protocol, shield=shield)
        return await driver.run(protocol, shield=shield)

    async def execute(self, protocol: Flow[T], *, user_id: str | None = None) -> T:
        """Run a protocol and return its result.

        Raises the public error of the request that failed; the log names the user, if one is given.
        """
        driver = self.driver
        try:
            if isinstance(driver, Driver):
                return driver.run(protocol)
            return await driver.run(protocol)
        except ServiceFailure as failure:
            error = self._public(failure, user_id)
        raise error

    async def stream(
        self, protocol: Flow[None], *, user_id: str | None = None
    ) -> AsyncGenerator[Any, None]:
        """Give the values that a protocol emits, each as it comes; errors as of `execute`."""
        driver = self.driver
        try:
            if isinstance(driver, Driver):
                for value in driver.stream(protocol):
                    yield value
            else:
                async with aclosing(driver.stream(protocol)) as emitted:
                    async for value in emitted:
                        yield value
        except ServiceFailure as failure:
            error = self._public(failure, user_id)
        else:
            return
        raise error

    async def commit(self, writes: Sequence[PendingWrite], shield: Shield) -> CommitReport:
        """Send writes of distinct keys and return the outcome of each; raises nothing.

        `shield` keeps an interrupt until the report is complete.
        """
        protocol = commit(writes, self.retry, self.rng, statements_on=self.statements_on)
        driver = self.driver
        if isinstance(driver, Driver):
            return driver.run(protocol, shield=shield)
        return await driver.run(protocol, shield=shield)

    @property
    def is_async(self) -> bool:
        """Whether the store is an AsyncDataStore."""
        return not isinstance(self.driver, Driver)

    def blocking_driver(self) -> Driver:
        """Return the driver of a synchronous store.

        Raises ConfigurationError for an asynchronous one.
        """
        if isinstance(self.driver, Driver):
            return self.driver
        raise ConfigurationError(
            "this is synchronous, and the store is an AsyncDataStore; make a DataStore for it"
        )

    @property
    def statements_on(self) -> str | None:
        """The table whose conditional updates and deletes share requests; None if they do not."""
        return self.settings.table_name if self.batch_updates else None

    def _public(self, failure: ServiceFailure, user_id: str | None) -> Exception:
        if user_id is not None:
            log(
                logging.WARNING,
                "gave up %s%s for user %s (%s)",
                failure.operation,
                failure.where,
                masked_user(user_id),
                failure.failure.code,
            )
        return service_error(failure.operation, failure.failure, self.settings, where=failure.where)


class _Default:
    """The session of class methods: given, or made from the environment when first needed."""

    session: Session | None = None
    of_environment = False


_LOCAL: WeakSet[Session] = WeakSet()


def default_session() -> Session:
    """Return the session of class methods and of new records.

    Raises ConfigurationError if it would be the real service by the environment's settings while a
    store on an embedded engine is open: a test is not to write to the real table.
    """
    if _Default.session is None:
        set_default_session(connect(resolve_settings()), of_environment=True)
    session = _Default.session
    assert session is not None
    if _Default.of_environment and _LOCAL and session.settings.endpoint is None:
        raise ConfigurationError(
            "class methods of the models and the functions of data_store would go to the real"
            " service here, while a DataStore.local() is open in this process; for them to use that"
            " one, call data_store.configure(store), or name an endpoint in AWS_ENDPOINT"
        )
    return session


def set_default_session(session: Session | None, *, of_environment: bool = False) -> None:
    """Set the session of class methods; None goes back to the environment.

    Raises ConfigurationError for the session of an asynchronous store.
    """
    if session is not None:
        session.blocking_driver()
    _Default.session, _Default.of_environment = session, of_environment


def local_opened(session: Session) -> None:
    """Note that a store on an embedded engine is open, until `local_closed` or its deletion."""
    _LOCAL.add(session)


def local_closed(session: Session) -> None:
    """Note that a store on an embedded engine is closed."""
    _LOCAL.discard(session)


def connect(
    settings: Settings,
    *,
    transport: str | Transport = "auto",
    timeout: float = 10.0,
    max_concurrency: int = 8,
    observer: Observer | None = None,
    **options: Any,
) -> Session:
    """Make the session of some settings; `options` are further fields of Session.

    Raises ConfigurationError, as `make_transport` does.
    """
    if isinstance(transport, str):
        settings = _configured(settings)
        transport = make_transport(
            transport, settings, timeout=timeout, max_concurrency=max_concurrency
        )
    driver = Driver(
        as_transport(transport),
        settings.table_name,
        max_concurrency=max_concurrency,
        observer=observer,
    )
    return Session(settings=settings, driver=driver, observer=observer, **options)


def connect_async(
    settings: Settings,
    *,
    transport: str | Transport | AsyncTransport = "auto",
    timeout: float = 10.0,
    max_concurrency: int = 8,
    observer: Observer | None = None,
    **options: Any,
) -> Session:
    """Make the session of an asynchronous store, as `connect` does of a synchronous one."""
    with forks_wait:  # imports asyncio
        from thrivecalc_models.transport.async_driver import AsyncDriver

    if isinstance(transport, str):
        settings = _configured(settings)
        transport = make_async_transport(
            transport, settings, timeout=timeout, max_concurrency=max_concurrency
        )
    driver = AsyncDriver(
        as_async_transport(transport, max_concurrency=max_concurrency),
        settings.table_name,
        max_concurrency=max_concurrency,
        timeout=timeout,
        observer=observer,
    )
    return Session(settings=settings, driver=driver, observer=observer, **options)


def _configured(settings: Settings) -> Settings:
    with forks_wait:  # not needed to define models
        from thrivecalc_models.transport.configuration import configured

    return configured(settings)
