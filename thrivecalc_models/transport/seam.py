"""The one seam to the outside world."""

from __future__ import annotations

from typing import Any, Protocol

from thrivecalc_models.operations import Result


class Transport(Protocol):
    """Something that takes one request to DynamoDB and brings back what came of it, classified.

    `operation` is DynamoDB's name ("GetItem"), `request` its JSON with binary values as base64
    text. It never raises for what the service or the network does: that is a `Failure`. It never
    tries twice. Safe to call from several threads.
    """

    name: str

    def send(self, operation: str, request: dict[str, Any]) -> Result: ...

    def close(self) -> None: ...
