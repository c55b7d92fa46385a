"""Requests that are begun on an event loop, and whose end is a call: no task for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.transport.base import AsyncTransport

Sent = bytes | Failure | BaseException
"""What a transport's `send` returns or raises."""

Ended = Callable[[Sent], object]
"""Called once, later and on the event loop, when a request has ended."""

Abandon = Callable[[], object]
"""Called if nobody waits for a request any more; `Ended` is called all the same."""


class Begins(Protocol):
    """Begins requests on the running loop."""

    def begin(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        """Begin a request. A failure means that it was not started, and `ended` is not called."""
        ...


class Beginner(AsyncTransport):
    """An asynchronous transport that begins requests, and so can be awaited, too."""

    def begin(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        raise NotImplementedError

    async def send(self, operation: str, body: bytes) -> bytes | Failure:
        future: asyncio.Future[bytes | Failure] = asyncio.get_running_loop().create_future()
        begun = self.begin(operation, body, partial(_settle, future))
        if isinstance(begun, Failure):
            return begun
        try:
            return await future
        finally:
            if future.cancelled():
                begun()


class Awaited:
    """Begins requests of a transport that has only `send`: each in a task."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def begin(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        task = asyncio.get_running_loop().create_task(self._send(operation, body))
        task.add_done_callback(partial(_report, ended))
        return task.cancel

    async def _send(self, operation: str, body: bytes) -> bytes | Failure:
        return await self._transport.send(operation, body)


def begins(transport: AsyncTransport) -> Begins:
    """The transport itself if it begins requests, else one that awaits its `send`."""
    if callable(getattr(transport, "begin", None)):
        return cast(Begins, transport)
    return Awaited(transport)


def _settle(future: asyncio.Future[bytes | Failure], sent: Sent) -> None:
    if future.done():
        return  # cancelled
    if isinstance(sent, BaseException):
        future.set_exception(sent)
    else:
        future.set_result(sent)


def _report(ended: Ended, task: asyncio.Task[bytes | Failure]) -> None:
    if task.cancelled():
        ended(asyncio.CancelledError())
    else:
        ended(task.exception() or task.result())
