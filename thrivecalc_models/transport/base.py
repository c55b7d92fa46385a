"""The interface to the network: requests go out through a transport, and replies come back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations.replies import Failure

Request = tuple[int, str, bytes]
"""The number of the request, DynamoDB's name for the operation, and DynamoDB's JSON."""


def _nothing() -> None:
    """Do nothing: a reply that came over no connection has none to close."""


class ReplyBody(bytes):
    """A reply's body with what its transport knows besides; plain bytes are enough without that.

    `request_id` is the service's id of the reply. `believed` says that a mock answered in place of
    the network: its reply needs no proof. `distrust` is called if the body is no answer to its
    request, so that the connection that brought it is not used again.
    """

    request_id: str | None
    believed: bool
    distrust: Callable[[], object]

    def __new__(
        cls,
        body: bytes = b"",
        *,
        request_id: str | None = None,
        believed: bool = False,
        distrust: Callable[[], object] = _nothing,
    ) -> ReplyBody:
        made = super().__new__(cls, body)
        made.request_id, made.believed, made.distrust = request_id, believed, distrust
        return made

    def __repr__(self) -> str:
        return f"<reply of {len(self)} bytes>"  # a crash report shows no data


@runtime_checkable
class Transport(Protocol):
    """Sends requests to DynamoDB. Derive from it to write a transport of your own.

    `operation` is DynamoDB's name ("GetItem"); bodies are DynamoDB's JSON. `send` may be called
    from several threads. It returns a `Failure` for what goes wrong with the service or the
    network; if it raises, the outcome of its write is unknown. It never sends again what may have
    been applied.
    """

    name: str = "custom"

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        """Send one request; return the body of its reply, or what may have happened."""
        ...

    def send_many(
        self, requests: Iterable[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, bytes | Failure]]:
        """Send requests, and yield the number of each with its result as soon as it has ended.

        A transport of yours may keep up to `limit()` requests in flight, and take the next one
        whenever there are fewer. By default they are sent one after the other.
        """
        for number, operation, body in requests:
            yield number, self.send(operation, body)

    def close(self) -> None:
        """Close what is open; by default nothing is."""
        return None


@runtime_checkable
class AsyncTransport(Protocol):
    """Sends requests to DynamoDB from an event loop. Derive from it to write one of your own.

    It is `Transport` with `send` and `close` awaited, and the same rules hold: `send` returns a
    `Failure` instead of raising, and never sends again what may have been applied. Several tasks
    of one loop may await it at a time. If a task is cancelled, its write is unknown.
    """

    name: str = "custom"

    async def send(self, operation: str, body: bytes) -> bytes | Failure:
        """Send one request; return the body of its reply, or what may have happened."""
        ...

    async def close(self) -> None:
        """Close what is open; by default nothing is."""
        return None


class _Adapted(Transport):
    """A transport that calls an object which has `send`, but not all of a Transport."""

    def __init__(self, given: Any) -> None:
        self.name = getattr(given, "name", type(given).__name__)
        self._given = given

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        sent: bytes | Failure = self._given.send(operation, body)
        return sent

    def close(self) -> None:
        if hasattr(self._given, "close"):
            self._given.close()


def as_transport(given: object) -> Transport:
    """The object itself if it has all of a Transport, else a transport that calls its `send`.

    Raises ConfigurationError for an object without `send`, and for one whose `send` is to be
    awaited.
    """
    check_sends(given)
    if is_asynchronous(given):
        raise ConfigurationError(
            f"the `send` of this {type(given).__name__} is to be awaited: it is a transport of an"
            " AsyncDataStore, and a DataStore takes one of the kind"
            " thrivecalc_models.transport.Transport"
        )
    return given if isinstance(given, Transport) else _Adapted(given)


def check_sends(given: object) -> None:
    """Raise ConfigurationError for an object without `send`."""
    if isinstance(given, type) or not callable(getattr(given, "send", None)):
        raise ConfigurationError(
            f"transport takes 'auto', 'botocore', 'direct', or an object with `send` (see"
            f" thrivecalc_models.transport.Transport); this {type(given).__name__} has none"
        )


def is_asynchronous(given: object) -> bool:
    """Whether the `send` of a transport is to be awaited."""
    return AsyncTransport in type(given).__mro__ or inspect.iscoroutinefunction(
        getattr(given, "send", None)
    )
