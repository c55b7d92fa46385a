"""Threads that keep several requests of one `send_many` in flight, for transports that block."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.transport.base import Request
from thrivecalc_models.transport.process import PerProcess

_THREAD = threading.local()


def helpers(most: int) -> ThreadPoolExecutor:
    """A pool of up to `most` threads, in which `is_helper` is true."""
    return ThreadPoolExecutor(most, "thrivecalc", _mark)


def is_helper() -> bool:
    """Whether this thread belongs to a pool of ours, and so must not wait for the pool's end."""
    return getattr(_THREAD, "helps", False)


def _mark() -> None:
    _THREAD.helps = True


class Threads:
    """Sends requests side by side, each in a thread; after `close()` the next one makes others."""

    def __init__(self, most: int) -> None:
        self._pool = PerProcess(lambda: helpers(most))

    def send_many(
        self,
        send: Callable[[str, bytes], bytes | Failure],
        requests: Iterable[Request],
        limit: Callable[[], int],
    ) -> Iterator[tuple[int, bytes | Failure]]:
        """Keep up to `limit()` requests in flight; yield each one's number with its result.

        If `send` raises, nothing more is started, and the exception is raised after the results of
        what is in flight. If no thread can be started, this one sends.
        """
        waiting: deque[Request] = deque()
        ended: SimpleQueue[tuple[int, bytes | Failure | BaseException]] = SimpleQueue()

        def send_next() -> None:
            # A pool that cannot start a thread may run this later all the same, and must find
            # nothing then: no request is sent twice.
            try:
                number, operation, body = waiting.popleft()
            except IndexError:
                return
            try:
                ended.put((number, send(operation, body)))
            except BaseException as error:  # noqa: BLE001 - raised at the end
                ended.put((number, error))

        source = iter(requests)
        raised: BaseException | None = None
        flying = 0
        try:
            while True:
                while raised is None and flying < limit() and (request := next(source, None)):
                    waiting.append(request)
                    flying += 1
                    try:
                        self._pool.get().submit(send_next)
                    except RuntimeError:
                        send_next()
                if not flying:
                    break
                number, result = ended.get()
                flying -= 1
                if isinstance(result, BaseException):
                    raised = raised or result
                else:
                    yield number, result
        finally:
            with suppress(IndexError):
                while True:
                    waiting.popleft()
                    flying -= 1
            for _ in range(flying):
                ended.get()
        if raised is not None:
            raise raised

    def close(self) -> None:
        pool = self._pool.take()
        if pool is not None:
            pool.shutdown(wait=not is_helper())
