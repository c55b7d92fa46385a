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
from thrivecalc_models.transport.direct.connections import Handle, Lane, fixed_headers
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
        def open_lanes() -> _Lanes:
            route = find_route(settings, timeout=timeout, max_concurrency=max_concurrency)
            return _Lanes(route, timeout, max_concurrency)

        self._lanes: PerProcess[_Lanes] = PerProcess(open_lanes)

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        try:
            lanes = self._lanes.get()
            lane = lanes.take()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was sent
            return not_sent(error)
        try:
            handle = lane.handle(0, operation, body)
            result: bytes | Failure | None = lanes.start(lane, handle)
            while result is None:
                for ended in lane.wait():
                    result = lanes.result(lane, *ended)
        except BaseException:
            lane.close()
            raise
        lanes.give_back(lane)
        return result

    def send_many(
        self, requests: Iterable[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, bytes | Failure]]:
        """Keep up to `limit()` requests in flight; each one's number with its result."""
        source = iter(requests)
        try:
            lanes = self._lanes.get()
            lane = lanes.take()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was sent
            failure: Failure | None = not_sent(error)
            unsent = not_sent(error)
            for number, _, _ in source:
                yield number, unsent
            return
        flying = 0
        try:
            while True:
                while flying < limit() and (wanted := next(source, None)) is not None:
                    handle = lane.handle(*wanted)
                    failure = lanes.start(lane, handle)
                    if failure is None:
                        flying += 1
                    else:
                        yield handle.tag, failure
                if not flying:
                    break
                for ended in lane.wait():
                    tag = ended[0].tag
                    result = lanes.result(lane, *ended)
                    if result is not None:
                        flying -= 1
                        yield tag, result
        except BaseException:
            lane.close()
            raise
        lanes.give_back(lane)

    def close(self) -> None:
        lanes = self._lanes.take()
        if lanes is not None:
            lanes.close()


class _Lanes:
    """All connections of a process; a thread takes a lane and gives it back.

    After a kept connection broke without a reply, or none could be made, a new generation begins,
    and no connection of an earlier one is used again: who forgot one of them, forgot them all. The
    try that follows gets a lane without connections.
    """

    def __init__(self, route: Route, timeout: float, max_concurrency: int) -> None:
        self._route = route
        self._timeout = timeout
        self._max_concurrency = max_concurrency
        self._headers = fixed_headers(route)
        self._free: list[Lane] = []
        self._closed = False
        self._generation = 0
        self._new_ones = 0
        self._clock = Clock()
        self._answered = Answered()

    def take(self) -> Lane:
        if self._new_ones:
            self._new_ones -= 1
        elif (lane := self._pop(-1)) is not None:
            if lane.used > time.monotonic() - MAX_IDLE_SECONDS:
                return lane
            lane.close()
        return Lane(self._route, self._timeout, self._max_concurrency, generation=self._generation)

    def give_back(self, lane: Lane) -> None:
        if (
            self._closed
            or not self._trusts(lane)
            or len(self._free) >= self._max_concurrency + SPARE_CONNECTIONS
        ):
            lane.close()
            return
        lane.used = time.monotonic()
        self._free.append(lane)
        with suppress(IndexError):  # another thread was faster
            while self._free[0].used < lane.used - MAX_IDLE_SECONDS:
                self._close_one(0)

    def close(self) -> None:
        """Close what is free, and what is given back from now on."""
        self._closed = True
        self._close_free()

    def _close_free(self) -> None:
        while self._free:
            self._close_one(-1)

    def _close_one(self, index: int) -> None:
        if (lane := self._pop(index)) is not None:
            lane.close()

    def _pop(self, index: int) -> Lane | None:
        try:
            return self._free.pop(index)
        except IndexError:  # another thread was faster
            return None

    def _trusts(self, lane: Lane) -> bool:
        return lane.trusted and lane.generation == self._generation

    def _begin_generation(self) -> None:
        self._generation += 1
        self._new_ones += 1
        self._close_free()

    def start(self, lane: Lane, handle: Handle) -> Failure | None:
        """Sign and start the handle's request. A failure means that it was not started."""
        if not self._trusts(lane):
            lane.distrust()
        try:
            self._load(handle)
            lane.start(handle)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was sent
            lane.put_back(handle)
            return not_sent(error)
        return None

    def result(self, lane: Lane, handle: Handle, code: int, text: str) -> bytes | Failure | None:
        """What an ended request came to; None where it is on its way again with a better time."""
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
            lane.put_back(handle)
            return failure
        head = head_of(handle.lines)
        result = result_of(head, handle.reply(), self._answered, lane.distrust)
        if isinstance(result, Failure):
            if result.code == GarbledReplyError.__name__:
                lane.distrust()
            if not handle.tried and self._clock.signs_anew(
                result, field_of(head, b"\ndate:"), handle.skew
            ):
                handle.tried = True
                return self.start(lane, handle)
        lane.put_back(handle)
        return result

    def _load(self, handle: Handle) -> None:
        skew = self._clock.skew
        signed = self._route.signer.headers(
            handle.operation, handle.body, self._route.credentials(), self._clock.now()
        )
        handle.load(self._headers + signed, skew)
