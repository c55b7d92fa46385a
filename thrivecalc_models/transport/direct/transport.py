"""The direct transport: libcurl, for a fraction of the work of botocore's pipeline.

botocore still says where requests go and with which credentials; see `direct.route`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.base import Request, Transport
from thrivecalc_models.transport.botocore import SPARE_CONNECTIONS
from thrivecalc_models.transport.checks import Answered, GarbledReplyError
from thrivecalc_models.transport.clock import Clock
from thrivecalc_models.transport.direct.connections import Connections, Handle, fixed_headers
from thrivecalc_models.transport.direct.replies import (
    field_of,
    head_of,
    result_of,
    transfer_failure,
)
from thrivecalc_models.transport.direct.route import Route, find_route
from thrivecalc_models.transport.failures import not_sent
from thrivecalc_models.transport.kept import MAX_IDLE_SECONDS
from thrivecalc_models.transport.process import PerProcess


class DirectTransport(Transport):
    """Requests straight to the service, signed here, over connections kept open.

    `timeout` is in seconds, for all of a request. The connections are made by the first requests of
    each process; after `close()` the next request makes others.
    """

    name = "direct"

    def __init__(
        self,
        settings: Settings,
        *,
        timeout: float,
        max_concurrency: int,
    ) -> None:
        def open_pool() -> _Pool:
            route = find_route(settings, timeout=timeout, max_concurrency=max_concurrency)
            return _Pool(route, timeout, max_concurrency)

        self._pool: PerProcess[_Pool] = PerProcess(open_pool)

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        ((_, result),) = self.send_many([(0, operation, body)], lambda: 1)
        return result

    def send_many(
        self, requests: Iterable[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, bytes | Failure]]:
        """Keep up to `limit()` requests in flight; yield each one's number with its result."""
        try:
            pool = self._pool.get()
            connections = pool.take()
        except Exception as error:  # noqa: BLE001 - of any kind: nothing was sent
            failure = not_sent(error)
            for number, _, _ in requests:
                yield number, failure
            return
        try:
            yield from pool.send_all(connections, iter(requests), limit)
        except BaseException:
            connections.close()
            raise
        pool.give_back(connections)

    def close(self) -> None:
        pool = self._pool.take()
        if pool is not None:
            pool.close()


class _Pool:
    """The connections of a process: a thread takes some and gives them back.

    After a kept connection broke without a reply, or none could be made, a new generation begins
    and no connection of an earlier one is used again: a server that forgot one of them has probably
    forgotten all. The next try gets new ones.
    """

    def __init__(self, route: Route, timeout: float, max_concurrency: int) -> None:
        self._route = route
        self._timeout = timeout
        self._max_concurrency = max_concurrency
        self._headers = fixed_headers(route)
        self._free: list[Connections] = []
        self._closed = False
        self._generation = 0
        self._new_ones = 0
        self._clock = Clock()
        self._answered = Answered()

    def take(self) -> Connections:
        if self._new_ones:
            self._new_ones -= 1
        elif (connections := self._pop(-1)) is not None:
            if connections.used > time.monotonic() - MAX_IDLE_SECONDS:
                return connections
            connections.close()
        return Connections(
            self._route, self._timeout, self._max_concurrency, generation=self._generation
        )

    def give_back(self, connections: Connections) -> None:
        if (
            self._closed
            or not self._trusts(connections)
            or len(self._free) >= self._max_concurrency + SPARE_CONNECTIONS
        ):
            connections.close()
            return
        connections.used = time.monotonic()
        self._free.append(connections)
        with suppress(IndexError):  # another thread was faster
            while self._free[0].used < connections.used - MAX_IDLE_SECONDS:
                self._close_one(0)

    def close(self) -> None:
        """Close what is free, and what is given back from now on."""
        self._closed = True
        self._close_free()

    def _close_free(self) -> None:
        while self._free:
            self._close_one(-1)

    def _close_one(self, index: int) -> None:
        if (connections := self._pop(index)) is not None:
            connections.close()

    def _pop(self, index: int) -> Connections | None:
        try:
            return self._free.pop(index)
        except IndexError:  # another thread was faster
            return None

    def _trusts(self, connections: Connections) -> bool:
        return connections.trusted and connections.generation == self._generation

    def _begin_generation(self) -> None:
        self._generation += 1
        self._new_ones += 1
        self._close_free()

    def send_all(
        self, connections: Connections, requests: Iterator[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, bytes | Failure]]:
        """Send requests on these connections, up to `limit()` at a time."""
        in_flight = 0
        while True:
            while in_flight < limit() and (request := next(requests, None)) is not None:
                handle = connections.handle(*request)
                failure = self.start(connections, handle)
                if failure is None:
                    in_flight += 1
                else:
                    yield handle.number, failure
            if not in_flight:
                return
            for handle, code, text in connections.wait():
                number = handle.number
                result = self.result(connections, handle, code, text)
                if result is not None:
                    in_flight -= 1
                    yield number, result

    def start(self, connections: Connections, handle: Handle) -> Failure | None:
        """Sign and start a request. A failure means that it was not started."""
        if not self._trusts(connections):
            connections.distrust()
        try:
            self._load(handle)
            connections.start(handle)
        except Exception as error:  # noqa: BLE001 - of any kind: nothing was sent
            connections.put_back(handle)
            return not_sent(error)
        return None

    def result(
        self, connections: Connections, handle: Handle, code: int, text: str
    ) -> bytes | Failure | None:
        """The result of a request that has ended; None if it was sent again with a better time."""
        if code:
            stale = handle.stale
            if stale or not handle.begun:
                self._begin_generation()
            failure = transfer_failure(
                code,
                text,
                begun=handle.begun,
                stale=stale,
                proxy=self._route.proxy,
                proxy_status=handle.proxy_status,
            )
            connections.put_back(handle)
            return failure
        head = head_of(handle.lines)
        result = result_of(head, handle.reply(), self._answered, connections.distrust)
        if isinstance(result, Failure):
            if result.code == GarbledReplyError.__name__:
                connections.distrust()
            if not handle.signed_anew and self._clock.signs_anew(
                result, field_of(head, b"\ndate:"), handle.skew
            ):
                handle.signed_anew = True
                return self.start(connections, handle)
        connections.put_back(handle)
        return result

    def _load(self, handle: Handle) -> None:
        skew = self._clock.skew
        signed = self._route.signer.headers(
            handle.operation, handle.body, self._route.credentials(), self._clock.now()
        )
        handle.load(self._headers + signed, skew)
