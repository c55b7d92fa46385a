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
from thrivecalc_models.transport.direct.connections import Connections
from thrivecalc_models.transport.direct.lane import Lane
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
    """The connections of a process: a thread takes some and gives them back."""

    def __init__(self, route: Route, timeout: float, max_concurrency: int) -> None:
        self._lane = Lane(
            route,
            timeout,
            max_concurrency,
            credentials=route.credentials,
            forget=self._begin_generation,
        )
        self._max_concurrency = max_concurrency
        self._free: list[Connections] = []
        self._closed = False
        self._new_ones = 0

    def take(self) -> Connections:
        if self._new_ones:
            self._new_ones -= 1
        elif (connections := self._pop(-1)) is not None:
            if connections.used > time.monotonic() - MAX_IDLE_SECONDS:
                return connections
            connections.close()
        return self._lane.connect()

    def give_back(self, connections: Connections) -> None:
        if (
            self._closed
            or not self._lane.trusts(connections)
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

    def _begin_generation(self) -> None:
        self._new_ones += 1  # the next try gets new connections
        self._close_free()

    def send_all(
        self, connections: Connections, requests: Iterator[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, bytes | Failure]]:
        """Send requests on these connections, up to `limit()` at a time."""
        in_flight = 0
        while True:
            while in_flight < limit() and (request := next(requests, None)) is not None:
                handle = connections.handle(*request)
                failure = self._lane.start(connections, handle)
                if failure is None:
                    in_flight += 1
                else:
                    yield handle.number, failure
            if not in_flight:
                return
            for handle, code, text in connections.wait():
                number = handle.number
                result = self._lane.result(connections, handle, code, text)
                if result is not None:
                    in_flight -= 1
                    yield number, result
