"""The driver of an event loop: sends and waits as protocols ask, in the task that asks.

A cancellation is an interrupt: nothing more is started, and the CancelledError goes on once nothing
is in flight, at the latest `timeout` seconds later.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeVar

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations.effects import Emit, Flow, Received, Send, Wait
from thrivecalc_models.operations.partiql import is_fatal
from thrivecalc_models.operations.replies import Failure, Result, is_answer
from thrivecalc_models.signals import Observer
from thrivecalc_models.transport.base import AsyncTransport
from thrivecalc_models.transport.beginning import Abandon, Sent, begins
from thrivecalc_models.transport.bodies import read_reply, write_request
from thrivecalc_models.transport.loops import Hold, PerLoop
from thrivecalc_models.transport.reports import (
    CLOSED,
    IN_DOUBT,
    NOT_STARTED,
    Reports,
    in_doubt,
)
from thrivecalc_models.transport.shield import Shield

R = TypeVar("R")


class AsyncDriver:
    """Runs protocols over a transport, with up to `max_concurrency` requests in flight in all.

    It belongs to the event loop on which it is first used, until that loop is closed. `observer` is
    called on the loop, as by a `Driver`. `monotonic` and `sleep` replace the loop's clock and every
    real wait: both for virtual time. `sleep` may return an awaitable.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        table_name: str,
        *,
        max_concurrency: int = 8,
        timeout: float = 10.0,
        monotonic: Callable[[], float] | None = None,
        sleep: Callable[[float], object] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.transport = transport
        self._begins = begins(transport)
        self._table_name = table_name
        self._max_concurrency = max_concurrency
        self._timeout = timeout
        self._given_monotonic = monotonic
        self._sleep = sleep
        self._reports = Reports(observer, self.monotonic)
        self._closed = False
        self._traffic = PerLoop(lambda loop: _Traffic(loop, max_concurrency))

    async def run(self, protocol: Flow[R], *, shield: Shield | None = None) -> R:
        """Run a protocol and return its result.

        Without a shield a cancellation, or an exception of the transport, goes on once nothing is
        in flight. With one nothing more is started, and the protocol receives the interrupt, so
        that it can return its report. If the store is closed meanwhile, requests that were not
        started end as failures of the kind CLOSED.
        """
        try:
            traffic = self._traffic.get()
            if shield is None:
                self._check_open()
            received: Any = None  # begins the protocol
            while True:
                try:
                    effect = protocol.send(received)
                except StopIteration as end:
                    returned: R = end.value
                    return returned
                if isinstance(effect, Emit):
                    raise TypeError("this protocol emits results: use stream()")
                received = await self._perform(traffic, effect, shield)
        finally:
            protocol.close()

    async def stream(self, protocol: Flow[Any]) -> AsyncGenerator[Any, None]:
        """Yield the values that a protocol emits.

        If the protocol allows it, a task gets the next value while the caller works on this one. An
        iteration that is left early has the task cancelled, and awaits it.
        """
        ahead: asyncio.Task[Emit[Any] | None] | None = None
        try:
            traffic = self._traffic.get()
            self._check_open()
            emitted = await self._advance(traffic, protocol)
            while emitted is not None:
                if emitted.ahead and self._max_concurrency > 1:
                    ahead = traffic.loop.create_task(self._advance(traffic, protocol))
                yield emitted.value
                self._check_same(traffic)
                self._check_open()
                if ahead is None:
                    emitted = await self._advance(traffic, protocol)
                else:
                    emitted = await ahead
                    ahead = None
        finally:
            if ahead is not None and not ahead.get_loop().is_closed():
                await _gone(ahead)
            protocol.close()

    async def _advance(self, traffic: _Traffic, protocol: Flow[Any]) -> Emit[Any] | None:
        """What the protocol emits next; None at its end."""
        received: Received | None = None
        while True:
            try:
                effect = next(protocol) if received is None else protocol.send(received)
            except StopIteration:
                return None
            if isinstance(effect, Emit):
                return effect
            received = await self._perform(traffic, effect, None)

    def monotonic(self) -> float:
        """The clock of this driver's protocols, in seconds: the running loop's."""
        given = self._given_monotonic
        return asyncio.get_running_loop().time() if given is None else given()

    def shield(self) -> Shield:
        """A context for work that must end with its report even if it is interrupted.

        Raises ConfigurationError if the store is closed, or belongs to another loop. If it is
        closed later, the work ends with its report.
        """
        self._traffic.get()
        self._check_open()
        return Shield()

    async def close(self) -> None:
        """Start nothing more, wait for what is in flight, and close the transport."""
        traffic = self._traffic.get()
        first, self._closed = not self._closed, True
        try:
            await traffic.close()
        finally:
            if first:
                await self.transport.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigurationError("this store is closed; make another one")

    def _check_same(self, traffic: _Traffic) -> None:
        if self._traffic.get() is not traffic:
            raise ConfigurationError(
                "this iteration began on another event loop, which is closed; begin another one"
            )

    async def _perform(
        self, traffic: _Traffic, effect: Send | Wait, shield: Shield | None
    ) -> Received:
        since = self.monotonic()
        results: list[Result] = []
        try:
            if isinstance(effect, Send):
                results = [NOT_STARTED] * len(effect.operations)
                since = await self._send(traffic, effect, results, shield)
            else:
                await self._pause(traffic, effect, shield)
        except BaseException as error:
            if shield is None:
                raise
            shield.keep(error)
        interrupt = None if shield is None else shield.interrupt
        return Received(tuple(results), self.monotonic(), interrupt, since)

    async def _send(
        self, traffic: _Traffic, send: Send, results: list[Result], shield: Shield | None
    ) -> float:
        """Fill in the results; return the clock when the first request was started.

        Raises an interrupt only after nothing is in flight.
        """
        round_ = _Round(self, traffic, send, results)
        if shield is not None and shield.interrupt is not None:
            round_.stop()
        interrupt: BaseException | None = None
        try:
            traffic.ask(round_)
        except BaseException as error:  # noqa: BLE001 - raised below
            interrupt = error
            round_.cancel()
        while not round_.done():
            try:
                await round_
            except GeneratorExit:  # the loop ended before the requests
                raise
            except BaseException as error:  # noqa: BLE001 - raised below
                interrupt = interrupt or error
                round_.cancel()
        if traffic.closed:
            results[:] = [CLOSED if one is NOT_STARTED else one for one in results]
        interrupt = interrupt or round_.error
        if interrupt is not None:
            raise interrupt
        return round_.since

    async def _pause(self, traffic: _Traffic, wait: Wait, shield: Shield | None) -> None:
        if wait.operation:
            self._reports.retry(wait)
        if wait.seconds <= 0 or (shield is not None and shield.interrupt is not None):
            return
        if self._sleep is None:
            await traffic.sleep(wait.seconds)
            return
        slept = self._sleep(wait.seconds)
        # Virtual time, too, gives other tasks their turn, and a cancellation its moment.
        await (slept if inspect.isawaitable(slept) else asyncio.sleep(0))


class _Traffic:
    """The requests of a driver on one event loop, and the rounds that wait to start some.

    Rounds take turns: whoever waits for one request does not wait for another's hundred.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self.loop = loop
        self.closed = False
        self._free = most
        self._most = most
        self._waiting: deque[_Round] = deque()
        self._sleeping: set[asyncio.Future[None]] = set()
        self._closers: list[Hold] = []
        self._serving = False

    def ask(self, asking: _Round) -> None:
        """Start the requests of a round as soon as it is their turn."""
        self._waiting.append(asking)
        self._serve()

    def give_back(self) -> None:
        """A request has ended."""
        self._free += 1
        self._serve()
        if self._free == self._most:
            for closer in self._closers:
                closer.release()

    def _serve(self) -> None:
        while self._free and self._waiting:
            served = self._waiting.popleft()
            if served.start_next():
                self._free -= 1
                if served.has_more():
                    self._waiting.append(served)

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds, or until the store is closed."""
        if self.closed:
            return
        done = self.loop.create_future()
        timer = self.loop.call_later(seconds, _wake, done)
        self._sleeping.add(done)
        try:
            await done
        finally:
            timer.cancel()
            self._sleeping.discard(done)

    async def close(self) -> None:
        """Start nothing more, and wait until nothing is in flight."""
        self.closed = True
        for waiting in self._waiting:
            waiting.stop()
        self._waiting.clear()
        for sleeper in self._sleeping:
            _wake(sleeper)
        if self._free < self._most:
            closer = Hold(loop=self.loop)
            self._closers.append(closer)
            await closer


class _Round(Hold):
    """The operations of one `Send`; done when nothing of them is in flight, or will be.

    Its results are those of the operations. A cancellation of the task that awaits it stops it.
    """

    def __init__(
        self, driver: AsyncDriver, traffic: _Traffic, send: Send, results: list[Result]
    ) -> None:
        super().__init__(loop=traffic.loop)
        self.error: BaseException | None = None
        self.since = driver.monotonic()
        self._driver = driver
        self._traffic = traffic
        self._send = send
        self._results = results
        self._context: Context = copy_context()
        self._next = 0
        self._begun = False
        self._stopped = False
        self._flying: dict[int, Abandon | None] = {}
        self._limit: asyncio.TimerHandle | None = None
        self._quiet_since = self.since if send.quiet_since is None else send.quiet_since

    def cancel(self, msg: object = None) -> bool:
        """Start nothing more, and be done when nothing is in flight, within the time limit."""
        if self._limit is None and self._flying:
            self._limit = self._traffic.loop.call_later(self._driver._timeout, self._give_up)
        self.stop()
        return False

    def stop(self, error: BaseException | None = None) -> None:
        """Start nothing more; the first error counts."""
        if self.error is None:
            self.error = error
        self._stopped = True
        self._end_if_over()

    def has_more(self) -> bool:
        return not self._stopped and self._next < len(self._results)

    def start_next(self) -> bool:
        """Start the next operation; False if none was started."""
        while self.has_more() and not self._must_stop():
            index = self._next
            self._next += 1
            if self._context.run(self._start, index):
                return True
        self._end_if_over()
        return False

    def _start(self, index: int) -> bool:
        driver, operation = self._driver, self._send.operations[index]
        started = driver._reports.started()
        begun: Failure | Abandon
        try:
            body = write_request(operation, driver._table_name)
            if isinstance(body, Failure):
                begun = body
            else:
                self._results[index] = IN_DOUBT  # until we know better
                self._flying[index] = None
                ended = partial(self._ended, index, started)
                begun = driver._begins.begin(operation.name, body, ended)
        except BaseException as error:  # noqa: BLE001 - what is in flight goes on
            self._flying.pop(index, None)
            if self._results[index] is IN_DOUBT:
                self._results[index] = in_doubt(error)
            self.stop(error)
            return False
        if isinstance(begun, Failure):
            self._flying.pop(index, None)
            self._note(index, begun, started)
            return False
        self._flying[index] = begun
        return True

    def _ended(self, index: int, started: float, sent: Sent) -> None:
        """One request has ended: note its result, and let the next one begin."""
        try:
            if index in self._flying:  # else it was given up
                self._context.run(self._read, index, started, sent)
                del self._flying[index]
        finally:
            self._traffic.give_back()
            self._end_if_over()

    def _read(self, index: int, started: float, sent: Sent) -> None:
        try:
            if isinstance(sent, BaseException):
                raise sent
            result = read_reply(self._send.operations[index], sent)
        except BaseException as error:  # noqa: BLE001 - raised by the driver
            self._results[index] = in_doubt(error)
            self.stop(error)
        else:
            self._note(index, result, started)

    def _note(self, index: int, result: Result, started: float) -> None:
        """Note the result of one operation, and report it."""
        self._results[index] = result
        if is_answer(result):
            self._quiet_since = self._driver.monotonic()
        operation = self._send.operations[index]
        if is_fatal(operation, result):
            self._stopped = True
        try:
            self._driver._reports.ended(operation.name, result, started, self._send.attempt)
        except BaseException as error:  # noqa: BLE001 - what is in flight is awaited
            self.stop(error)

    def _must_stop(self) -> bool:
        """Whether nothing more may be started: closed, or nothing has answered."""
        now = self._driver.monotonic()
        if not self._begun:  # waiting for one's turn is no silence of the service
            self._begun = True
            self._quiet_since += now - self.since
            self.since = now
        if self._traffic.closed or now - self._quiet_since > self._send.deadline:
            self._stopped = True
        return self._stopped

    def _end_if_over(self) -> None:
        if self._flying or self.has_more() or self.done():
            return
        if self._limit is not None:
            self._limit.cancel()
        self.release()

    def _give_up(self) -> None:
        """Wait no longer for what is in flight: it is in doubt."""
        flying, self._flying = self._flying, {}
        for index in flying:
            self._results[index] = in_doubt(asyncio.CancelledError())
        self._end_if_over()
        for abandon in flying.values():
            if abandon is not None:
                abandon()


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


async def _gone(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and return when it has ended, in whatever way."""
    gone = Hold(loop=task.get_loop())
    task.add_done_callback(lambda _: gone.release())
    task.cancel()
    await gone
