"""Send requests: transports behind one interface, and the driver that uses them.

Derive from `Transport` to write your own, or wrap one that `make_transport` makes, and use it with
`DataStore(transport=...)`. `classify` reads an error reply of the service.
"""

from __future__ import annotations

from thrivecalc_models.operations.replies import Failure, FailureKind, Reason
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.base import (
    AsyncTransport,
    ReplyBody,
    Request,
    Transport,
    as_transport,
)
from thrivecalc_models.transport.driver import Driver
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.transport.shield import Shield

__all__ = [
    "AsyncTransport",
    "Driver",
    "Failure",
    "FailureKind",
    "Reason",
    "ReplyBody",
    "Request",
    "Shield",
    "Transport",
    "as_async_transport",
    "as_transport",
    "classify",
    "make_async_transport",
    "make_transport",
]


def make_transport(
    name: str, settings: Settings, *, timeout: float = 10.0, max_concurrency: int = 8
) -> Transport:
    """Make the transport of "auto", "botocore" or "direct"; `timeout` is in seconds a request.

    Raises ConfigurationError for any other name, for "direct" without the extra `fast`, and for
    settings that botocore refuses.
    """
    with forks_wait:
        from thrivecalc_models.transport import auto  # imports botocore, which is slow

    return auto.make_transport(name, settings, timeout=timeout, max_concurrency=max_concurrency)


def make_async_transport(
    name: str, settings: Settings, *, timeout: float = 10.0, max_concurrency: int = 8
) -> AsyncTransport:
    """Make the asynchronous transport of "auto", "botocore" or "direct", as `make_transport` does.

    "botocore" sends in threads. "direct" uses the event loop, or threads on a loop that watches no
    sockets.
    """
    with forks_wait:
        from thrivecalc_models.transport import async_auto

    return async_auto.make_async_transport(
        name, settings, timeout=timeout, max_concurrency=max_concurrency
    )


def as_async_transport(given: object, *, max_concurrency: int = 8) -> AsyncTransport:
    """The object itself if its `send` is to be awaited, else a transport that calls it in threads.

    Raises ConfigurationError for an object without `send`.
    """
    from thrivecalc_models.transport import own_async  # imports asyncio, which takes a while

    return own_async.as_async_transport(given, max_concurrency=max_concurrency)


def classify(status: int, body: bytes) -> Failure:
    """Classify an error reply of the service: an HTTP status of 300 or more, and its body."""
    with forks_wait:
        from thrivecalc_models.transport import failures  # imports botocore, too

    return failures.classify(status, body)
