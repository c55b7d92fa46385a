"""One text of a test over both shells: an asynchronous store that is called without `await`.

A module that asks for the fixture `shell` runs twice. `store_on` and `user_of` then give the store,
or the user, of a simulated table through the shell of that run: `DataStore`, or `AsyncDataStore`
with an event loop that runs for the time of each call.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import copy_context
from typing import Any

import attrs
import pytest

from thrivecalc_models import AsyncUnitOfWork, AsyncUserData, UserData
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.testing import SimulatedTable, simulated_async_store, simulated_store
from thrivecalc_models.transport import Driver

SHELLS = ("sync", "async")


class _Current:
    shell = "sync"


def set_shell(name: str) -> None:
    """Let `store_on` give stores of this shell from now on."""
    _Current.shell = name


def is_async() -> bool:
    """Whether stores are asynchronous in this run."""
    return _Current.shell == "async"


@pytest.fixture(params=SHELLS, scope="module")
def shell(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of each shell in turn, for all tests of a module."""
    set_shell(request.param)
    yield request.param
    set_shell("sync")


def store_on(table: SimulatedTable, **options: Any) -> Any:
    """A store on a simulated table, through the shell of this run."""
    if is_async():
        return Blocking(simulated_async_store(table, **options))
    return simulated_store(table, **options)


class Calls:
    """The event loop of the calls, and the task of the one that is running."""

    loop: asyncio.AbstractEventLoop | None = None
    task: asyncio.Task[Any] | None = None
    context = copy_context()

    @classmethod
    def run(cls, call: Coroutine[Any, Any, Any]) -> Any:
        """The result of a call. A cancellation comes out as Ctrl-C does of a synchronous call."""
        if cls.loop is None:
            cls.loop = asyncio.new_event_loop()
            atexit.register(cls.loop.close)
        cls.task = cls.loop.create_task(call, context=cls.context)
        try:
            return cls.loop.run_until_complete(cls.task)
        except asyncio.CancelledError as cancelled:
            raise KeyboardInterrupt from cancelled.__cause__
        finally:
            cls.task = None

    @classmethod
    def run_alone(cls, call: Coroutine[Any, Any, Any]) -> Any:
        """As `run`; nothing of the call goes on when it has ended."""
        try:
            return cls.run(call)
        finally:
            assert cls.loop is None or not asyncio.all_tasks(cls.loop)

    @classmethod
    def cancel(cls) -> bool:
        """Cancel the call that is running; False if none is."""
        return cls.task is not None and cls.task.cancel()


class Blocking:
    """An asynchronous store, user or unit that is called like its synchronous twin."""

    def __init__(
        self,
        target: Any,
        run: Callable[[Coroutine[Any, Any, Any]], Any] = Calls.run_alone,
        *,
        store: Any = None,
    ) -> None:
        self._target = target
        self._run = run
        self._store = store  # of which a user is

    def __getattr__(self, name: str) -> Any:
        target = self._target
        if Calls.task is not None and self._run == Calls.run_alone:
            target = _at_once(target, self._store)  # another writer's call, from within a request
        member = getattr(target, name)
        if not inspect.ismethod(member):
            return member
        if name == "run":
            return lambda function, **options: self._run(member(_awaited(function), **options))

        def call(*args: Any, **kwargs: Any) -> Any:
            given = member(*args, **kwargs)
            if inspect.iscoroutine(given):
                return self._run(given)
            if inspect.isasyncgen(given):
                return self._each(given)
            wrapped = isinstance(given, AsyncUserData | AsyncUnitOfWork)
            return Blocking(given, self._run, store=target) if wrapped else given

        return call

    def _each(self, generator: Any) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(generator)

        # Between two steps the next page may be on its way.
        run = Calls.run if self._run == Calls.run_alone else self._run

        try:
            while True:
                try:
                    value = run(following())
                except StopAsyncIteration:
                    return
                yield value
        finally:
            self._run(generator.aclose())

    def __enter__(self) -> Blocking:
        self._run(self._target.__aenter__())
        return self

    def __exit__(self, *error: Any) -> None:
        self._run(self._target.__aexit__(*error))

    def __repr__(self) -> str:
        return repr(self._target)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._target.__reduce_ex__(protocol)


def _at_once(target: Any, store: Any) -> Any:
    """A synchronous user for an asynchronous one of a store; anything else as it is."""
    if not isinstance(target, AsyncUserData):
        return target
    session = store.session
    table: Any = session.driver.transport.table
    driver = Driver(
        table,
        table.table_name,
        monotonic=table.monotonic,
        sleep=table.sleep,
        observer=session.observer,
    )
    return UserData(Scope(attrs.evolve(session, driver=driver), target.user_id))


def _awaited(function: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
    """A function of a unit as a coroutine function, in whose task all of its calls are awaited.

    The function is run by a thread, which hands each coroutine over and waits for its result.
    """

    async def call(work: AsyncUnitOfWork) -> Any:
        loop = asyncio.get_running_loop()
        asked: asyncio.Queue[tuple[Any, _Answer]] = asyncio.Queue()

        def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
            answer = _Answer()
            loop.call_soon_threadsafe(asked.put_nowait, (coroutine, answer))
            return answer.wait()

        def work_through() -> None:
            end = _Answer()
            end.of(lambda: function(Blocking(work, run)))
            loop.call_soon_threadsafe(asked.put_nowait, (None, end))

        thread = threading.Thread(target=work_through)
        thread.start()
        try:
            while True:
                coroutine, answer = await asked.get()
                if coroutine is None:
                    return answer.wait()
                try:
                    answer.result = await coroutine
                except BaseException as error:  # noqa: BLE001 - raised in the thread
                    answer.error = error
                answer.given.set()
        finally:
            thread.join()

    return call


class _Answer:
    """What a call came to, handed from one thread to another."""

    def __init__(self) -> None:
        self.given = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None

    def of(self, call: Callable[[], Any]) -> None:
        try:
            self.result = call()
        except BaseException as error:  # noqa: BLE001 - raised by `wait`
            self.error = error
        self.given.set()

    def wait(self) -> Any:
        self.given.wait()
        if self.error is not None:
            raise self.error
        return self.result
