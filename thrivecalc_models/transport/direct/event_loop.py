"""The direct transport of an event loop: libcurl says which sockets to watch, and the loop does.

libcurl calls back while it works, and must not be called then: a callback only tells the loop what
to watch. Whatever may take a while, such as to find credentials, is done in a thread.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import pycurl

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.beginning import Abandon, Beginner, Ended
from thrivecalc_models.transport.direct.connections import Handle
from thrivecalc_models.transport.direct.lane import Lane
from thrivecalc_models.transport.direct.route import Route, find_route
from thrivecalc_models.transport.failures import LOST, failure_of, not_sent
from thrivecalc_models.transport.kept import MAX_IDLE_SECONDS
from thrivecalc_models.transport.loops import PerLoop
from thrivecalc_models.transport.process import PerProcess
from thrivecalc_models.transport.reports import NOT_STARTED
from thrivecalc_models.transport.signing import Credentials

_NO_MORE_WAITED_FOR: Final = failure_of(LOST, "ReadTimeoutError")


class EventLoopTransport(Beginner):
    """Requests straight to the service, signed here, over connections kept open.

    `timeout` is in seconds, for all of a request. The connections belong to one event loop and one
    process; after `close()` the next request makes others.
    """

    name = "direct"

    def __init__(self, settings: Settings, *, timeout: float, max_concurrency: int) -> None:
        def find() -> Route:
            return find_route(settings, timeout=timeout, max_concurrency=max_concurrency)

        self._route = PerProcess(find)  # the next loop's, too
        self._requests = PerLoop(
            lambda loop: _Requests(loop, self._route.get, timeout, max_concurrency),
            leave=_Requests.close,
        )

    def begin(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        """Start a request on the running loop."""
        return self._requests.get().begin(operation, body, ended)

    async def close(self) -> None:
        self._requests.get().close()


class _Requests:
    """The requests of one event loop. The first ones wait for the route and for credentials."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        find: Callable[[], Route],
        timeout: float,
        max_concurrency: int,
    ) -> None:
        self._loop = loop
        self._find = find
        self._timeout = timeout
        self._max_concurrency = max_concurrency
        self._route: Route | None = None
        self._lane: Lane
        self._credentials: Credentials
        self._waiting: dict[Ended, tuple[str, bytes]] = {}
        self._preparing = False
        self._current: Watched | None = None
        self._open: set[Watched] = set()

    def begin(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        if self._preparing or self._route is None or self._route.due():
            self._waiting[ended] = operation, body
            self._prepare()
            return partial(self._leave, ended)
        return self._start(operation, body, ended)

    def close(self) -> None:
        """Close the connections: at once if the loop is closed, else when nothing is in flight."""
        self._forget()
        for watched in list(self._open):
            watched.retire()

    def _start(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        current = self._current
        if current is None or not current.is_fit():
            self._forget()
            current = self._current = Watched(self._loop, self._lane, self._open.discard)
            self._open.add(current)
        return current.start(operation, body, ended)

    def _forget(self) -> None:
        """Use none of the open connections for another request."""
        current, self._current = self._current, None
        if current is not None:
            current.retire()

    # --- before requests ---

    def _prepare(self) -> None:
        if self._preparing:
            return
        self._preparing = True
        try:
            threading.Thread(target=self._find_all, name="thrivecalc-route").start()
        except RuntimeError:  # no thread can be started
            self._find_all()

    def _find_all(self) -> None:
        """Find the route and its credentials, in a thread."""
        found: tuple[Route, Credentials] | Failure
        try:
            route = self._find()
            found = route, route.credentials()
        except Exception as error:  # noqa: BLE001 - of any kind: nothing was sent
            found = not_sent(error)
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._found, found)

    def _found(self, found: tuple[Route, Credentials] | Failure) -> None:
        self._preparing = False
        waiting, self._waiting = self._waiting, {}
        if isinstance(found, Failure):
            for ended in waiting:
                ended(found)
            return
        route, self._credentials = found
        if self._route is None:
            self._route = route
            self._lane = Lane(
                route,
                self._timeout,
                self._max_concurrency,
                credentials=lambda: self._credentials,
                forget=self._forget,
            )
        for ended, (operation, body) in waiting.items():
            begun = self._start(operation, body, ended)
            if isinstance(begun, Failure):
                ended(begun)

    def _leave(self, ended: Ended) -> None:
        """Nobody waits for a request any more."""
        if self._waiting.pop(ended, None) is not None:
            self._loop.call_soon(ended, NOT_STARTED)
        for watched in self._open:
            watched.abandon(ended)


class Watched:
    """Connections whose sockets the event loop watches, until they are retired and idle."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lane: Lane,
        closed: Callable[[Watched], object],
    ) -> None:
        self.connections = lane.connect()
        self._loop = loop
        self._lane = lane
        self._closed = closed
        self._retired = self._is_closed = self._at_once = False
        self._ends: dict[Handle, Ended] = {}
        self._over: deque[tuple[Handle, int, str]] = deque()
        self._sockets: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        multi = self.connections.multi
        multi.setopt(pycurl.M_SOCKETFUNCTION, self.watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def start(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        handle = self.connections.handle(0, operation, body)
        failure = self._lane.start(self.connections, handle)
        if failure is not None:
            return failure
        self._ends[handle] = ended
        return partial(self.abandon, ended)

    def is_fit(self) -> bool:
        """Whether a further request may use these connections."""
        connections = self.connections
        if not self._lane.trusts(connections):
            return False
        return bool(self._ends) or connections.used > time.monotonic() - MAX_IDLE_SECONDS

    def abandon(self, ended: Ended) -> None:
        """Break off a request that nobody waits for any more."""
        for handle, end in self._ends.items():
            if end is ended:
                self.connections.drop(handle)
                self._loop.call_soon(self._drop, handle)
                return

    def retire(self) -> None:
        """Close the connections when nothing is in flight; at once if the loop is closed."""
        self._retired = True
        if not self._ends or self._loop.is_closed():
            self._close()

    # --- called by libcurl, which must not be called meanwhile ---

    def watch(self, what: int, socket: int, multi: object, data: object) -> None:
        wanted = 0 if what == pycurl.POLL_REMOVE else what
        changed = wanted ^ self._sockets.pop(socket, 0)
        if wanted:
            self._sockets[socket] = wanted
        loop = self._loop
        if changed & pycurl.POLL_IN:
            if wanted & pycurl.POLL_IN:
                loop.add_reader(socket, self._act, socket, pycurl.CSELECT_IN)
            else:
                loop.remove_reader(socket)
        if changed & pycurl.POLL_OUT:
            if wanted & pycurl.POLL_OUT:
                loop.add_writer(socket, self._act, socket, pycurl.CSELECT_OUT)
            else:
                loop.remove_writer(socket)

    def _set_timer(self, milliseconds: int) -> None:
        if milliseconds == 0:  # requests that are started together go together
            if not self._at_once:
                self._at_once = True
                self._loop.call_soon(self._begin)
            return
        self._due = math.inf if milliseconds < 0 else self._loop.time() + milliseconds / 1000
        if self._due < math.inf and (self._timer is None or self._timer.when() > self._due):
            self._set_alarm()

    def _set_alarm(self) -> None:
        """Have one timer run until `_due`, or for less: most are put off before they end."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._alarm)

    # --- called by the loop ---

    def _begin(self) -> None:
        self._at_once = False
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _alarm(self) -> None:
        self._timer = None
        if self._due <= self._loop.time():
            self._act(pycurl.SOCKET_TIMEOUT, 0)
        elif self._due < math.inf:
            self._set_alarm()

    def _act(self, socket: int, what: int) -> None:
        """Have libcurl do what can be done now, and give the results that there are then."""
        if self._is_closed:
            return
        connections = self.connections
        try:
            _, running = connections.multi.socket_action(socket, what)
        except pycurl.error as error:  # as after an exception in a callback
            self._break_off(error)
            return
        if running < connections.in_flight:
            self._over.extend(connections.ended())
            self._end()

    def _end(self) -> None:
        """Give the results of requests that have ended."""
        over = self._over
        try:
            while over:
                handle, code, text = over.popleft()
                result = self._lane.result(self.connections, handle, code, text)
                if result is not None:
                    self._ends.pop(handle)(result)
        finally:
            if over:  # an interrupt goes on, and so do the others
                self._loop.call_soon(self._end)
        self._close_if_idle()

    def _drop(self, handle: Handle) -> None:
        self._ends.pop(handle)(_NO_MORE_WAITED_FOR)
        self._close_if_idle()

    def _break_off(self, error: pycurl.error) -> None:
        """libcurl is beyond use: what is in flight is lost."""
        self.connections.distrust()
        ends, self._ends = self._ends, {}
        self._close()
        for ended in ends.values():
            self._loop.call_soon(ended, failure_of(LOST, "ConnectionClosedError", str(error)))

    def _close_if_idle(self) -> None:
        if self._ends:
            return
        self.connections.used = time.monotonic()
        if self._retired or not self._lane.trusts(self.connections):
            self._close()

    def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        multi = self.connections.multi
        multi.setopt(pycurl.M_SOCKETFUNCTION, None)
        multi.setopt(pycurl.M_TIMERFUNCTION, None)
        if self._timer is not None:
            self._timer.cancel()
        if not self._loop.is_closed():
            for socket in self._sockets:
                self._loop.remove_reader(socket)
                self._loop.remove_writer(socket)
        self._sockets.clear()
        self.connections.close()
        self._closed(self)
