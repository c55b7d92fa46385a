"""Convert requests to bodies and bodies to results, the same for every transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thrivecalc_models.operations.reading import CONSUMED, understood
from thrivecalc_models.operations.replies import Failure, FailureKind, Reply, Result
from thrivecalc_models.operations.requests import Operation
from thrivecalc_models.transport.advice import UNFIT
from thrivecalc_models.transport.base import ReplyBody
from thrivecalc_models.transport.encoding import decode, encode

Json = dict[str, Any]


def write_request(request: Mapping[str, Any]) -> bytes | Failure:
    """The body of a request, or a failure if it has a value that JSON does not have."""
    try:
        return encode(request)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return Failure(
            kind=FailureKind.INVALID, code=type(error).__name__, message=str(error), advice=UNFIT
        )


def read_reply(operation: Operation, sent: object) -> Result:
    """Convert what a transport returned to a reply to this operation, or to a failure.

    A connection on which a reply was no answer to its request is not used again.
    """
    if isinstance(sent, Failure):
        return understood(operation, sent)
    result = understood(operation, _reply(sent))
    if isinstance(result, Failure) and isinstance(sent, ReplyBody):
        sent.distrust()
    return result


def _reply(sent: object) -> Reply | str:
    """The reply in a body, or a text that says what is wrong with it."""
    if not isinstance(sent, bytes):
        return f"the transport returned {type(sent).__name__} instead of bytes or a Failure"
    content = object_in(sent)
    if content is None:
        return "its body is no JSON object"
    believed, request_id = False, None
    if isinstance(sent, ReplyBody):
        believed, request_id = sent.believed, sent.request_id
    proven = believed or CONSUMED in content
    if None in content.values():
        content = {name: value for name, value in content.items() if value is not None}
    return Reply(body=content, request_id=request_id, proven=proven)


def object_in(body: bytes) -> Json | None:
    """The JSON object in a body, or None."""
    try:
        content = decode(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
