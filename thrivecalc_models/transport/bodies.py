"""Convert requests to bodies and bodies to results, the same for every transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from thrivecalc_models.operations.reading import understood
from thrivecalc_models.operations.replies import CONSUMED, Failure, FailureKind, Reply, Result
from thrivecalc_models.operations.requests import BatchGet, Call, GetItem, Operation, Query
from thrivecalc_models.transport.advice import UNFIT
from thrivecalc_models.transport.base import ReplyBody
from thrivecalc_models.wire.json_text import decode, encode, encode_strictly

Json = dict[str, Any]


def write_request(operation: Operation, table_name: str) -> bytes | Failure:
    """The body of a request, or a failure if it has a value that JSON does not have."""
    request = operation.request(table_name)
    try:
        return encode_strictly(request) if isinstance(operation, Call) else encode(request)
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
    read = _READERS.get(type(operation), object_in)
    result = understood(operation, _reply(sent, read))
    if isinstance(result, Failure) and isinstance(sent, ReplyBody):
        sent.distrust()
    return result


def _reply(sent: object, read: Callable[[bytes], Json | None]) -> Reply | str:
    """The reply in a body, or a text that says what is wrong with it."""
    if not isinstance(sent, bytes):
        return f"the transport returned {type(sent).__name__} instead of bytes or a Failure"
    content = read(sent)
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


class _Item(msgspec.Struct, gc=False):
    """The reply to a GetItem, whose item stays bytes."""

    ConsumedCapacity: Any = msgspec.UNSET
    Item: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Page(msgspec.Struct, gc=False):
    """The reply to a Query, whose items stay bytes."""

    ConsumedCapacity: Any = msgspec.UNSET
    Items: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    Count: Any = msgspec.UNSET
    LastEvaluatedKey: Any = msgspec.UNSET


class _Batch(msgspec.Struct, gc=False):
    """The reply to a BatchGetItem, whose items stay bytes."""

    ConsumedCapacity: Any = msgspec.UNSET
    Responses: dict[str, list[msgspec.Raw]] | msgspec.UnsetType = msgspec.UNSET
    UnprocessedKeys: Any = msgspec.UNSET


def _reader(reply: type[msgspec.Struct]) -> Callable[[bytes], Json | None]:
    decode_typed = msgspec.json.Decoder(reply).decode
    names = reply.__struct_fields__

    def read(body: bytes) -> Json | None:
        try:
            content = decode_typed(body)
        except msgspec.ValidationError:
            return object_in(body)  # a member is malformed: the checks say which
        except (ValueError, RecursionError):
            return None
        found: Json = {}
        for name in names:
            value = getattr(content, name)
            if value is not msgspec.UNSET:
                found[name] = value
        return found

    return read


_READERS: dict[type, Callable[[bytes], Json | None]] = {
    GetItem: _reader(_Item),
    Query: _reader(_Page),
    BatchGet: _reader(_Batch),
}
