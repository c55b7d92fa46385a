"""Requests and replies as values on one side of a transport, where it has bytes."""

from __future__ import annotations

from typing import Any

from thrivecalc_models.operations import Call, Failure, Reply, Result
from thrivecalc_models.transport import ReplyBody, Transport
from thrivecalc_models.transport.bodies import read_reply, write_request
from thrivecalc_models.wire.json_text import encode


def ask(transport: Transport, operation: str, request: dict[str, Any]) -> Result:
    """Send a request as the driver does, and read its reply."""
    body = write_request(Call(operation, request), "-")
    if isinstance(body, Failure):
        return body
    sent = transport.send(operation, body)
    return sent if isinstance(sent, Failure) else read_reply(Call(operation, request), sent)


def returned(result: Result) -> bytes | Failure:
    """What a transport returns for a result."""
    return ReplyBody(encode(result.body)) if isinstance(result, Reply) else result
