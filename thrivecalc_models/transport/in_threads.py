"""Transports that block, used from an event loop: each request in a thread of ours."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import copy_context

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.transport.base import Transport
from thrivecalc_models.transport.beginning import Abandon, Beginner, Ended, Sent
from thrivecalc_models.transport.process import PerProcess
from thrivecalc_models.transport.reports import NOT_STARTED
from thrivecalc_models.transport.threads import helpers


class InThreads(Beginner):
    """Calls a synchronous transport in up to `most` threads."""

    def __init__(self, transport: Transport, most: int) -> None:
        self.name = transport.name
        self.transport = transport
        self._pool = PerProcess(lambda: helpers(most))
        self._running: set[_Call] = set()

    def begin(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        call = _Call(self, operation, body, ended)
        self._running.add(call)
        try:
            self._pool.get().submit(copy_context().run, call.run)
        except RuntimeError:  # no thread can be started: this one sends
            call.run()
        return call.abandon

    def end(self, call: _Call, ended: Ended, sent: Sent) -> None:
        """Called on the loop when a call has ended."""
        self._running.discard(call)
        ended(sent)

    async def close(self) -> None:
        pool = self._pool.take()
        if pool is not None:
            pool.shutdown(wait=not self._running)  # one that was given up may take its time
        self.transport.close()


class _Call:
    """One request. Whoever takes it first sends it: a thread, the loop's own, or nobody."""

    def __init__(self, threads: InThreads, operation: str, body: bytes, ended: Ended) -> None:
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._waiting = [(operation, body)]

    def run(self) -> None:
        try:
            operation, body = self._waiting.pop()
        except IndexError:  # a pool that cannot start a thread may run this later all the same
            return
        sent: Sent
        try:
            sent = self._threads.transport.send(operation, body)
        except BaseException as error:  # noqa: BLE001 - given to the driver
            sent = error
        self._end(sent)

    def abandon(self) -> None:
        """Do not send it, if no thread has begun to."""
        with suppress(IndexError):
            self._waiting.pop()
            self._end(NOT_STARTED)

    def _end(self, sent: Sent) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._threads.end, self, self._ended, sent)
