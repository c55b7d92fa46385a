"""The driver: sends and waits as protocols ask, in the calling thread and a few helpers."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import ModuleType
from typing import Any, TypeVar
from weakref import WeakSet

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations.effects import Emit, Flow, Received, Send, Wait
from thrivecalc_models.operations.partiql import is_fatal
from thrivecalc_models.operations.replies import Failure, Result, is_answer
from thrivecalc_models.signals import Observer
from thrivecalc_models.transport.base import Request, Transport
from thrivecalc_models.transport.gate import Gate
from thrivecalc_models.transport.process import PerProcess, forks_wait
from thrivecalc_models.transport.reports import (
    CLOSED,
    IN_DOUBT,
    NOT_STARTED,
    Reports,
    in_doubt,
)
from thrivecalc_models.transport.shield import Shield
from thrivecalc_models.transport.threads import helpers, is_helper
from thrivecalc_models.value import internal

R = TypeVar("R")

Sent = tuple[int, bytes | Failure]
SendMany = Callable[[Iterable[Request]], Iterator[Sent]]

_SLICE = 0.05  # seconds until a wait notices an interrupt or the closing of the store


class Driver:
    """Runs protocols over a transport, with up to `max_concurrency` requests at a time.

    Operations become JSON for `table_name` at the moment they are sent. `observer` is called with
    an event after every request that came back, in the thread that sent it, and before every retry.
    `sleep` replaces every real wait, as `monotonic` the clock: both for virtual time.
    """

    def __init__(
        self,
        transport: Transport,
        table_name: str,
        *,
        max_concurrency: int = 8,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        observer: Observer | None = None,
    ) -> None:
        with forks_wait:  # msgspec and what needs it, without which models are defined
            from thrivecalc_models.codec import compiled  # noqa: F401 - needed by the first payload
            from thrivecalc_models.transport import bodies

        reports = Reports(observer, monotonic)
        self._exchange = _Exchange(transport, table_name, monotonic, reports, bodies)
        self._gate = Gate()
        self._must_end = False
        self._max_concurrency = max_concurrency
        self._sleep = sleep
        self._helpers = PerProcess(lambda: helpers(max_concurrency))
        self._flights: PerProcess[WeakSet[_Flight]] = PerProcess(WeakSet)

    def run(self, protocol: Flow[R], *, shield: Shield | None = None) -> R:
        """Run a protocol and return its result.

        Without a shield an exception of the transport passes through, once nothing is in flight.
        With one the request ends as a failure of the kind INTERRUPTED, nothing more is started, and
        the protocol receives the interrupt, so that it can return its report. If the store is
        closed meanwhile, requests that were not started end as failures of the kind CLOSED.
        """
        if shield is None:
            self._check_open()
        received: Any = None  # begins the protocol
        try:
            while True:
                try:
                    effect = protocol.send(received)
                except StopIteration as end:
                    returned: R = end.value
                    return returned
                if isinstance(effect, Emit):
                    raise TypeError("this protocol emits results: use stream()")
                received = self._perform(effect, shield)
        finally:
            protocol.close()

    def stream(self, protocol: Flow[Any]) -> Generator[Any, None, None]:
        """Yield the values that a protocol emits.

        If the protocol allows it, a helper gets the next value while the caller works on this one.
        """
        self._check_open()
        ahead: _Ahead | None = None
        try:
            emitted = self._advance(protocol)
            while emitted is not None:
                if emitted.ahead and self._max_concurrency > 1:
                    ahead = _Ahead(self._helpers.get(), partial(self._advance, protocol))
                yield emitted.value
                self._check_open()
                emitted = self._advance(protocol) if ahead is None else ahead.result()
                ahead = None
        finally:
            if ahead is None:
                protocol.close()
            else:
                ahead.abandon(protocol)

    def _advance(
        self, protocol: Flow[Any], wanted: Callable[[], bool] = lambda: True
    ) -> Emit[Any] | None:
        """What the protocol emits next; None at its end, or once it is not wanted any more."""
        received: Received | None = None
        while wanted():
            try:
                effect = next(protocol) if received is None else protocol.send(received)
            except StopIteration:
                return None
            if isinstance(effect, Emit):
                return effect
            received = self._perform(effect, None)
        return None

    @property
    def transport(self) -> Transport:
        """The transport that requests are sent through."""
        return self._exchange.transport

    def monotonic(self) -> float:
        """The clock of this driver's protocols, in seconds."""
        return self._exchange.monotonic()

    def shield(self) -> Shield:
        """A context for work that must end with its report even if it is interrupted.

        Raises ConfigurationError if the store is closed. If it is closed later, the work ends with
        its report.
        """
        self._check_open()
        return Shield()

    def close(self) -> None:
        """Start nothing more, wait for what is in flight, and close threads and connections.

        A call from within a request, by an observer or a signal handler, cannot wait; the
        transport is then closed by the request that ends last.
        """
        wait = not (self._gate.is_inside() or is_helper())
        self._gate.close(wait=wait)
        self._helpers.get().shutdown(wait=wait)  # not taken away: a new pool would be made
        self._must_end = True
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._must_end and self._gate.is_empty():
            self._must_end = False
            self._exchange.transport.close()

    def _check_open(self) -> None:
        if self._gate.closed:
            raise ConfigurationError("this store is closed; make another one")

    def _perform(self, effect: Send | Wait, shield: Shield | None) -> Received:
        since = self.monotonic()
        results: list[Result] = []
        try:
            if isinstance(effect, Send):
                results = [NOT_STARTED] * len(effect.operations)
                if shield is not None and len(results) > 1:
                    shield.hold_signals()
                self._send(effect, results, shield)
            else:
                self._pause(effect, shield)
        except BaseException as error:
            if shield is None:
                raise
            shield.keep(error)
        interrupt = None if shield is None else shield.interrupt
        return Received(tuple(results), self.monotonic(), interrupt, since)

    def _send(self, send: Send, results: list[Result], shield: Shield | None) -> None:
        """Fill in the results. Raises an interrupt only after nothing is in flight."""
        own = self._gate.new_pass()
        try:
            self._gate.enter(own)
            if len(results) == 1:
                self._send_one(send, results, shield)
            else:
                self._send_many(send, results, shield)
        finally:
            if self._gate.closed:
                results[:] = [CLOSED if one is NOT_STARTED else one for one in results]
            self._gate.leave(own)
            self._end_if_idle()

    def _send_one(self, send: Send, results: list[Result], shield: Shield | None) -> None:
        """Send in the calling thread, as most requests are: a helper would only cost time."""
        if self._gate.closed or (shield is not None and shield.interrupt is not None):
            return
        exchange, operation = self._exchange, send.operations[0]
        body = exchange.bodies.write_request(operation, exchange.table_name)
        started = exchange.reports.started()
        if isinstance(body, Failure):
            results[0] = body
        else:
            try:
                results[0] = IN_DOUBT  # until we know better
                sent = exchange.transport.send(operation.name, body)
                results[0] = exchange.bodies.read_reply(operation, sent)
            except BaseException as error:
                results[0] = in_doubt(error)
                raise
        exchange.reports.ended(operation.name, results[0], started, send.attempt)

    def _send_many(self, send: Send, results: list[Result], shield: Shield | None) -> None:
        flight = _Flight(self._exchange, send, results, shield, self._gate)
        try:
            if self._max_concurrency > 1:
                self._hand_over(flight)
            else:
                flight.send_all(self._one_by_one)
        except BaseException as error:  # noqa: BLE001 - raised below
            flight.stop(error)
        flight.wait()
        if flight.error is not None:
            raise flight.error

    def _hand_over(self, flight: _Flight) -> None:
        """Let a helper send, since signals do not interrupt it.

        If no helper can be started, at the end of the process or at a limit of the system, this
        thread sends.
        """
        flights = self._flights.get()
        flights.add(flight)

        def limit() -> int:  # flights of several threads share what may be in flight
            return max(1, self._max_concurrency // len(flights))

        try:
            send_many = partial(self.transport.send_many, limit=limit)
            self._helpers.get().submit(flight.help, send_many)
        except RuntimeError:
            flight.send_all(self._one_by_one)
        finally:
            flight.wait()
            flights.discard(flight)

    def _one_by_one(self, requests: Iterable[Request]) -> Iterator[Sent]:
        """Send as a transport does by default: in this thread, one after the other."""
        return Transport.send_many(self.transport, requests, lambda: 1)

    def _pause(self, wait: Wait, shield: Shield | None) -> None:
        if wait.attempt and shield is not None:
            shield.hold_signals()  # more requests follow
        if wait.operation:
            self._exchange.reports.retry(wait)
        if self._sleep is not None:
            if wait.seconds > 0 and (shield is None or shield.interrupt is None):
                self._sleep(wait.seconds)
            return
        # In slices: an Event that a signal handler sets can lock its own thread, and
        # SimpleQueue.get(timeout=...) of Python 3.11 and 3.12 can block for ever.
        end = time.monotonic() + wait.seconds
        while (left := end - time.monotonic()) > 0:
            if self._gate.closed or (shield is not None and shield.interrupt is not None):
                return
            time.sleep(min(left, _SLICE))


@internal
class _Exchange:
    """What a request needs besides its operation: the transport, the table, clock and reports.

    `bodies` is the module that converts requests and replies.
    """

    transport: Transport
    table_name: str
    monotonic: Callable[[], float]
    reports: Reports
    bodies: ModuleType


class _Ahead:
    """What a protocol emits next: a helper gets it, or the caller if no helper has begun."""

    def __init__(
        self,
        helpers: ThreadPoolExecutor,
        advance: Callable[[Callable[[], bool]], Emit[Any] | None],
    ) -> None:
        self._wanted = True
        self._pid = os.getpid()
        self._advance = advance
        self._future: Future[Emit[Any] | None] = Future()
        with contextlib.suppress(RuntimeError):  # no thread can be started
            helpers.submit(self._run)

    def result(self) -> Emit[Any] | None:
        if os.getpid() != self._pid:
            raise ConfigurationError(
                "this iteration began before the process forked, and its next page is on its way to"
                " the parent; begin another one"
            )
        if self._future.cancel():
            return self._advance(lambda: True)
        return self._future.result()

    def abandon(self, protocol: Flow[Any]) -> None:
        """Start nothing more, and close the protocol once nothing of it is in flight."""
        self._wanted = False
        if os.getpid() == self._pid:
            self._future.cancel()
            self._future.add_done_callback(lambda _: protocol.close())

    def _run(self) -> None:
        if not self._future.set_running_or_notify_cancel():
            return
        try:
            self._future.set_result(self._advance(lambda: self._wanted))
        except BaseException as error:  # noqa: BLE001 - raised where the value is asked for
            self._future.set_exception(error)


class _Flight:
    """The operations of one `Send`, sent by a helper or by the calling thread."""

    def __init__(
        self,
        exchange: _Exchange,
        send: Send,
        results: list[Result],
        shield: Shield | None,
        gate: Gate,
    ) -> None:
        self.size = len(send.operations)
        self.error: BaseException | None = None
        self._exchange = exchange
        self._send = send
        self._results = results
        self._shield = shield
        self._gate = gate
        self._next = 0
        self._helping = 0
        self._stopped = False
        self._quiet_since = exchange.monotonic() if send.quiet_since is None else send.quiet_since
        self._changed = threading.Condition()

    def help(self, send_many: SendMany) -> None:
        """Send all in a helper, for which `wait` waits from its first step to its last."""
        with self._changed:
            if self._is_over():
                return  # the caller has sent them itself
            self._helping += 1
        try:
            self.send_all(send_many)
        finally:
            with self._changed:
                self._helping -= 1
                self._changed.notify_all()

    def send_all(self, send_many: SendMany) -> None:
        """Send the operations until none is left or nothing more may be started."""
        started = [0.0] * self.size
        try:
            for index, sent in send_many(self._requests(started)):
                result = self._exchange.bodies.read_reply(self._send.operations[index], sent)
                self._end(index, result, started[index])
        except BaseException as error:  # noqa: BLE001 - the driver decides who raises it
            for index, result in enumerate(self._results):
                if result is IN_DOUBT:
                    self._results[index] = in_doubt(error)
            self.stop(error)

    def _requests(self, started: list[float]) -> Iterator[Request]:
        """Take the requests to send, one after the other, and note when each was started."""
        while (index := self._take()) is not None:
            operation = self._send.operations[index]
            try:
                body = self._exchange.bodies.write_request(operation, self._exchange.table_name)
            except BaseException as error:  # noqa: BLE001 - what is in flight goes on
                self.stop(error)
                return
            started[index] = self._exchange.reports.started()
            if isinstance(body, Failure):
                self._end(index, body, started[index])
                continue
            self._results[index] = IN_DOUBT  # until we know better
            yield index, operation.name, body

    def _end(self, index: int, result: Result, started: float) -> None:
        """Note the result of one operation, and report it."""
        self._results[index] = result
        if is_answer(result):
            self._quiet_since = self._exchange.monotonic()
        operation = self._send.operations[index]
        if is_fatal(operation, result):
            self._stopped = True
        try:
            self._exchange.reports.ended(operation.name, result, started, self._send.attempt)
        except BaseException as error:  # noqa: BLE001 - what is in flight is awaited
            self.stop(error)

    def stop(self, error: BaseException) -> None:
        """Start nothing more because of `error`; the first one counts."""
        with self._changed:
            if self.error is None:
                self.error = error
            self._stopped = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until nothing is in flight and nothing will be; interrupts do not end the wait."""
        while True:
            try:
                with self._changed:
                    while self._helping or not self._is_over():
                        # In slices: a signal that comes just before a wait without an end is
                        # handled only after it.
                        self._changed.wait(_SLICE)
                return
            except BaseException as error:  # noqa: BLE001 - kept; requests in flight are awaited
                self.stop(error)

    def _is_over(self) -> bool:
        return self._stopped or self._next == self.size

    def _take(self) -> int | None:
        with self._changed:
            if self._is_over() or self._must_stop():
                self._stopped = True
                self._changed.notify_all()
                return None
            index = self._next
            self._next += 1
            return index

    def _must_stop(self) -> bool:
        """Whether nothing more may be started: interrupted, closed, or nothing has answered."""
        if self._gate.closed or (self._shield is not None and self._shield.interrupt is not None):
            return True
        return self._exchange.monotonic() - self._quiet_since > self._send.deadline
