"""The one seam to the outside world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from thrivecalc_models.operations import Result

Request = tuple[int, str, dict[str, Any]]
"""A number to tell it by, DynamoDB's name for the operation, and its JSON."""


class Transport(Protocol):
    """Something that takes one request to DynamoDB and brings back what came of it, classified.

    `operation` is DynamoDB's name ("GetItem"), `request` its JSON with binary values as base64
    text. It never raises for what the service or the network does: that is a `Failure`. It never
    tries twice what may have been applied. Safe to call from several threads.
    """

    name: str

    def send(self, operation: str, request: dict[str, Any]) -> Result: ...

    def close(self) -> None: ...


class SendMany(Protocol):
    """What a transport may offer as `send_many`: several requests in flight by one thread.

    `requests` is asked for the next one whenever fewer than `limit()` are in flight; after its end
    the results of what was started still come. They come as requests end, by their numbers.
    """

    def __call__(
        self, requests: Iterable[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, Result]]: ...
