"""Choose the transport of an asynchronous store: on the event loop, or in threads."""

from __future__ import annotations

import asyncio
from typing import Any

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.auto import Choosing, checked, make_direct, no_direct
from thrivecalc_models.transport.base import AsyncTransport
from thrivecalc_models.transport.beginning import Abandon, Beginner, Ended
from thrivecalc_models.transport.botocore import BotocoreTransport
from thrivecalc_models.transport.hooks import Watch
from thrivecalc_models.transport.in_threads import InThreads
from thrivecalc_models.transport.process import forks_wait


def make_async_transport(name: str, settings: Settings, **options: Any) -> AsyncTransport:
    """Make the asynchronous transport of "auto", "botocore" or "direct".

    Options as of BotocoreTransport. Raises ConfigurationError for any other name, for "direct"
    without the extra `fast`, and for settings that botocore refuses.
    """
    settings = checked(name, settings)
    if name == "auto":
        return AsyncAutoTransport(settings, **options)
    if name == "botocore":
        return _botocore(settings, **options)
    try:
        return _Direct(settings, **options)
    except ImportError as missing:
        raise no_direct() from missing


class AsyncAutoTransport(Choosing[Beginner], Beginner):
    """The direct transport, as for an AutoTransport, on an event loop that watches sockets.

    Else botocore's, in threads. Options as of BotocoreTransport.
    """

    name = "auto"

    def __init__(self, settings: Settings, **options: Any) -> None:
        super().__init__(
            direct=lambda: _on_loop(settings, **options),
            botocore=lambda: _botocore(settings, **options),
        )
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        return self.chosen().begin(operation, body, ended)

    async def close(self) -> None:
        for transport in self.made():
            await transport.close()

    def chosen(self) -> Beginner:
        loop = _running_loop()
        if loop is not self._loop:  # the next one may be of another kind
            self._loop, self._watch = loop, Watch()
        return super().chosen()

    def _choose(self) -> tuple[Beginner, str]:
        if not _watches_sockets(self._loop):
            return self._make("botocore"), "the event loop watches no sockets"
        return super()._choose()


class _Direct(Beginner):
    """The direct transport on the event loop, or in threads if the loop watches no sockets."""

    name = "direct"

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._on_loop = _on_loop(settings, **options)
        self._in_threads = InThreads(make_direct(settings, **options), options["max_concurrency"])

    def begin(self, operation: str, body: bytes, ended: Ended) -> Failure | Abandon:
        on_loop = _watches_sockets(asyncio.get_running_loop())
        return (self._on_loop if on_loop else self._in_threads).begin(operation, body, ended)

    async def close(self) -> None:
        await self._on_loop.close()
        await self._in_threads.close()


def _on_loop(settings: Settings, **options: Any) -> Beginner:
    with forks_wait:
        from thrivecalc_models.transport.direct.event_loop import EventLoopTransport

    return EventLoopTransport(settings, **options)


def _botocore(settings: Settings, **options: Any) -> Beginner:
    return InThreads(BotocoreTransport(settings, **options), options["max_concurrency"])


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _watches_sockets(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Whether a loop has `add_reader`, as all have but that of Windows."""
    return loop is None or type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader
