"""The driver: performs what protocols ask for, in this thread and a few helpers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn, TypeVar
from weakref import WeakSet

import attrs

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations.effects import Emit, Protocol, Received, Send, Wait
from thrivecalc_models.operations.replies import (
    FATAL,
    READS,
    Failure,
    Kind,
    Reply,
    Result,
    consumed_units,
)
from thrivecalc_models.operations.requests import Operation
from thrivecalc_models.signals import LOGGER, Observer, RequestEvent, RetryEvent, notify
from thrivecalc_models.transport.process import PerProcess
from thrivecalc_models.transport.seam import Request, SendMany, Transport
from thrivecalc_models.transport.shield import Shield
from thrivecalc_models.value import Value

R = TypeVar("R")

_NOT_STARTED = Failure(kind=Kind.NOT_STARTED, code="NotStarted")
_IN_DOUBT = Failure(kind=Kind.INTERRUPTED, code="Interrupted", applied_maybe=True)


def _doubt(error: BaseException) -> Failure:
    return attrs.evolve(_IN_DOUBT, code=type(error).__name__)


class Driver:
    """Runs protocols over a transport, with up to `max_concurrency` requests at a time.

    Operations become JSON for `table_name` at the moment they are sent. `on_request` is called
    after every request that came back, in the thread that sent it. `sleep` replaces every real
    wait, as `monotonic` the clock: both for virtual time.
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
        self._exchange = _Exchange(transport, table_name, monotonic, observer)
        self._observer = observer
        self._closed = False
        self._max_concurrency = max_concurrency
        self._sleep = sleep
        self._helpers = PerProcess(
            lambda: ThreadPoolExecutor(max_concurrency, thread_name_prefix="thrivecalc")
        )
        self._flights: PerProcess[WeakSet[_Flight]] = PerProcess(WeakSet)

    def perform(self, operation: Operation, *, shield: Shield | None = None) -> Received:
        """What comes of one operation, which needs no protocol while all goes well."""
        self._check_open()
        since = self.monotonic()
        result = self._try(operation, 1, shield)
        interrupt = None if shield is None else shield.interrupt
        return Received((result,), self.monotonic(), interrupt, since)

    def run(
        self,
        protocol: Protocol[R],
        *,
        shield: Shield | None = None,
        first: Received | None = None,
    ) -> R:
        """What the protocol returns; `first` is what came of its first `Send`, if that is done.

        Without a shield an exception of the transport passes through, once nothing is in flight.
        With one it becomes a failure of the kind INTERRUPTED, nothing more is started, and the
        protocol is told, so that it can end with its account.
        """
        self._check_open()
        received: Any = None  # which begins it
        try:
            if first is not None:
                next(protocol)
                received = first
            while True:
                try:
                    effect = protocol.send(received)
                except StopIteration as end:
                    returned: R = end.value
                    return returned
                if isinstance(effect, Emit):
                    raise TypeError("this protocol emits results on its way: use stream()")
                received = self._perform(effect, shield)
        finally:
            protocol.close()

    def stream(self, protocol: Protocol[Any]) -> Iterator[Any]:
        """The values that the protocol emits, each as soon as it is there and wanted.

        Where the protocol lets it, a helper gets the next one while the caller works on this one.
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
        self, protocol: Protocol[Any], wanted: Callable[[], bool] = lambda: True
    ) -> Emit[Any] | None:
        """What the protocol emits next; None at its end, or once nobody wants it any more."""
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
        return self._exchange.transport

    def monotonic(self) -> float:
        """The clock of this driver's protocols, in seconds."""
        return self._exchange.monotonic()

    def shield(self) -> Shield:
        """A context for one `run` that must end with its account, whatever interrupts it."""
        return Shield()

    def close(self) -> None:
        """Let the helpers finish and end, and close the transport. Nothing runs afterwards."""
        self._closed = True
        helpers = self._helpers.take()
        if helpers is not None:
            helpers.shutdown()
        self._exchange.transport.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigurationError("this store is closed; make another one")

    def _perform(self, effect: Send | Wait, shield: Shield | None) -> Received:
        monotonic = self._exchange.monotonic
        since = monotonic()
        results: tuple[Result, ...] = ()
        if isinstance(effect, Send):
            workers = min(len(effect.operations), self._max_concurrency)
            if workers > 1:
                results = self._send_side_by_side(effect, workers, shield)
            else:
                results = self._send_in_turn(effect, shield)
        else:
            if effect.operation:
                self._tell_retry(effect)
            self._wait(effect.seconds, shield)
        interrupt = None if shield is None else shield.interrupt
        return Received(results, monotonic(), interrupt, since)

    def _send_side_by_side(
        self, send: Send, workers: int, shield: Shield | None
    ) -> tuple[Result, ...]:
        flight = _Flight(self._exchange, send, shield)
        try:
            self._work_side_by_side(flight, workers)
        except BaseException as error:  # noqa: BLE001 - raised below, or by the owner of the shield
            flight.stop(error)
        if flight.error is not None:
            if shield is None:
                raise flight.error
            shield.keep(flight.error)
        return tuple(flight.results)

    def _send_in_turn(self, send: Send, shield: Shield | None) -> tuple[Result, ...]:
        """In this thread, one after the other."""
        results: list[Result] = []
        stopped = False
        for operation in send.operations:
            result = _NOT_STARTED if stopped else self._try(operation, send.attempt, shield)
            stopped = stopped or _is_fatal(result)
            results.append(result)
        return tuple(results)

    def _try(self, operation: Operation, attempt: int, shield: Shield | None) -> Result:
        if shield is None:
            return self._exchange.send(operation, attempt, _raise)
        if shield.interrupt is not None:
            return _NOT_STARTED
        return self._exchange.send(operation, attempt, shield.keep)

    def _work_side_by_side(self, flight: _Flight, workers: int) -> None:
        """By helpers, even where one of them does it all: signals do not interrupt a helper."""
        send_many = getattr(self.transport, "send_many", None)
        flights = self._flights.get()
        flights.add(flight)
        try:
            helpers = self._helpers.get()
            if send_many is None:
                for _ in range(workers):
                    helpers.submit(flight.work)
            else:
                # Flights of several threads share what may be in flight.
                helpers.submit(
                    flight.work_alone,
                    send_many,
                    lambda: max(1, self._max_concurrency // len(flights)),
                )
        except BaseException as error:  # noqa: BLE001 - kept by the flight
            flight.stop(error)
        flight.wait()
        flights.discard(flight)

    def _tell_retry(self, wait: Wait) -> None:
        LOGGER.info(
            "%s failed at try %d (%s), next try in %.3f s",
            wait.operation,
            wait.attempt,
            wait.code,
            wait.seconds,
        )
        if self._observer is not None:
            event = RetryEvent(
                operation=wait.operation, attempt=wait.attempt, wait=wait.seconds, code=wait.code
            )
            notify(self._observer, event)

    def _wait(self, seconds: float, shield: Shield | None) -> None:
        if seconds <= 0:
            return
        if shield is None:
            (self._sleep or time.sleep)(seconds)
        elif shield.interrupt is None:
            try:
                (self._sleep or shield.wait)(seconds)
            except BaseException as error:  # noqa: BLE001 - kept for the shield's owner
                shield.keep(error)


def _raise(error: BaseException) -> NoReturn:
    raise error


def _is_fatal(result: Result) -> bool:
    """Whether nothing more should be started after this result."""
    return isinstance(result, Failure) and result.kind in FATAL


@attrs.frozen(eq=False, repr=False)
class _Exchange(Value):
    """One operation to the transport and back."""

    transport: Transport
    table_name: str
    monotonic: Callable[[], float]
    observer: Observer | None

    def send(
        self, operation: Operation, attempt: int, keep: Callable[[BaseException], object]
    ) -> Result:
        """Send an operation: what came of it, or that nobody knows; `keep` gets what was raised."""
        result: Result = _NOT_STARTED
        try:
            request = operation.request(self.table_name)
            started = self.monotonic() if self.observer is not None else 0.0
            result = _IN_DOUBT  # until we know better
            result = self.transport.send(operation.name, request)
            if self.observer is not None:
                self.report(operation.name, result, started, attempt)
        except BaseException as error:  # noqa: BLE001 - raised, or kept for the shield's owner
            if result is _IN_DOUBT:
                result = _doubt(error)
            keep(error)
        return result

    def report(self, name: str, result: Result, started: float, attempt: int) -> None:
        if self.observer is None:
            return
        units = consumed_units(result.body) if isinstance(result, Reply) else 0.0
        event = RequestEvent(
            operation=name,
            duration=self.monotonic() - started,
            attempt=attempt,
            outcome="ok" if isinstance(result, Reply) else result.code,
            applied_maybe=isinstance(result, Failure) and result.applied_maybe,
            read_units=units if name in READS else 0.0,
            write_units=0.0 if name in READS else units,
            request_id=result.request_id,
        )
        notify(self.observer, event)


class _Ahead:
    """What a protocol emits next, got by a helper."""

    def __init__(
        self,
        helpers: ThreadPoolExecutor,
        advance: Callable[[Callable[[], bool]], Emit[Any] | None],
    ) -> None:
        self._wanted = True
        self._pid = os.getpid()
        self._future = helpers.submit(advance, lambda: self._wanted)

    def result(self) -> Emit[Any] | None:
        if os.getpid() != self._pid:
            raise ConfigurationError(
                "this iteration began before the process forked, and its next page is on its way to"
                " the parent; begin another one"
            )
        return self._future.result()

    def abandon(self, protocol: Protocol[Any]) -> None:
        """Start nothing more; the protocol is closed as soon as nothing of it is in flight."""
        self._wanted = False
        if os.getpid() == self._pid:
            self._future.add_done_callback(lambda _: protocol.close())


class _Flight:
    """The operations of one `Send` on their way, taken by workers one after the other."""

    def __init__(self, exchange: _Exchange, send: Send, shield: Shield | None) -> None:
        self.results: list[Result] = [_NOT_STARTED] * len(send.operations)
        self.error: BaseException | None = None
        self._exchange = exchange
        self._operations = send.operations
        self._attempt = send.attempt
        self._shield = shield
        self._next = 0
        self._running = 0
        self._stopped = False
        self._changed = threading.Condition()

    def work(self) -> None:
        """Take and send operations until none is left or nothing more may be started."""
        while (index := self._take()) is not None:
            operation = self._operations[index]
            try:
                self.results[index] = self._exchange.send(operation, self._attempt, self.stop)
            finally:
                self._stopped = self._stopped or _is_fatal(self.results[index])
                self._leave()

    def work_alone(self, send_many: SendMany, limit: Callable[[], int]) -> None:
        """The same with one worker, over a transport that keeps several requests in flight."""
        started = [0.0] * len(self._operations)
        try:
            for index, result in send_many(self._requests(started), limit):
                self.results[index] = result
                self._stopped = self._stopped or _is_fatal(result)
                name = self._operations[index].name
                self._exchange.report(name, result, started[index], self._attempt)
                self._leave()
        except BaseException as error:  # noqa: BLE001 - the driver decides who raises it
            doubt = _doubt(error)
            self.results = [doubt if one is _IN_DOUBT else one for one in self.results]
            self.stop(error)
        finally:
            self._leave(all_of_them=True)

    def _requests(self, started: list[float]) -> Iterator[Request]:
        while (index := self._take()) is not None:
            operation = self._operations[index]
            try:
                request = operation.request(self._exchange.table_name)
            except BaseException as error:  # noqa: BLE001 - what is in flight goes on
                self.stop(error)
                return
            started[index] = self._exchange.monotonic() if self._exchange.observer else 0.0
            self.results[index] = _IN_DOUBT  # until we know better
            yield index, operation.name, request

    def stop(self, error: BaseException) -> None:
        """Start nothing more because of `error`; the first one counts."""
        with self._changed:
            if self.error is None:
                self.error = error
            self._stopped = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Until nothing is in flight, and nothing will be; interrupts do not cut it short."""
        while True:
            try:
                with self._changed:
                    while self._running or not self._stopped:
                        self._changed.wait()
                return
            except BaseException as error:  # noqa: BLE001 - kept; requests in flight are awaited
                self.stop(error)

    def _take(self) -> int | None:
        with self._changed:
            if self._next == len(self._operations) or (
                self._shield is not None and self._shield.interrupt is not None
            ):
                self._stopped = True
            if self._stopped:
                self._changed.notify_all()
                return None
            index = self._next
            self._next += 1
            self._running += 1
            return index

    def _leave(self, *, all_of_them: bool = False) -> None:
        with self._changed:
            self._running = 0 if all_of_them else self._running - 1
            self._changed.notify_all()
