"""A transport of one's own for an asynchronous store."""

from __future__ import annotations

from typing import Any

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.transport.base import (
    AsyncTransport,
    as_transport,
    check_sends,
    is_asynchronous,
)
from thrivecalc_models.transport.in_threads import InThreads


def as_async_transport(given: Any, *, max_concurrency: int) -> AsyncTransport:
    """The object itself if its `send` is to be awaited, else a transport that calls it in threads.

    Raises ConfigurationError for an object without `send`.
    """
    check_sends(given)
    if not is_asynchronous(given):
        return InThreads(as_transport(given), max_concurrency)
    return given if isinstance(given, AsyncTransport) else _Adapted(given)


class _Adapted(AsyncTransport):
    """A transport that awaits an object which has `send`, but not all of an AsyncTransport."""

    def __init__(self, given: Any) -> None:
        self.name = getattr(given, "name", type(given).__name__)
        self._given = given

    async def send(self, operation: str, body: bytes) -> bytes | Failure:
        sent: bytes | Failure = await self._given.send(operation, body)
        return sent

    async def close(self) -> None:
        if hasattr(self._given, "close"):
            await self._given.close()
