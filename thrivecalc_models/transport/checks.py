"""What a reply must be, whichever way it came: whole, unchanged, and an answer to its request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from thrivecalc_models.operations.reading import CONSUMED
from thrivecalc_models.transport.failures import GarbledReplyError

_PROMISED = {
    "BatchGetItem": "Responses",
    "BatchWriteItem": "UnprocessedItems",
    "CreateTable": "TableDescription",
    "DescribeTable": "Table",
    "Query": "Items",
    "Scan": "Items",
    "TransactGetItems": "Responses",
    "UpdateItem": "Attributes",
    "UpdateTable": "TableDescription",
}


def check_sum(expected: str | None, body: bytes, *, encoding: Callable[[], str | None]) -> None:
    """Compare `x-amz-crc32`; of a body that was encoded on its way nobody knows the sum."""
    if expected is None or expected.strip() == str(crc32(body)):
        return
    if encoding() in (None, "identity"):
        raise GarbledReplyError("the body does not match its x-amz-crc32")


def without_nulls(content: Mapping[str, Any]) -> dict[str, Any]:
    """A reply's members, but for those that say nothing; the capacity proves a reply as it is."""
    return {name: value for name, value in content.items() if value is not None or name == CONSUMED}


def check_promised(operation: str, request: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Refuse a reply that lacks the member without which it cannot be whole."""
    promised = _PROMISED.get(operation)
    if promised is None:
        return
    if operation in ("Query", "Scan") and request.get("Select") == "COUNT":
        promised = "Count"
    elif operation == "UpdateItem" and request.get("ReturnValues") != "ALL_NEW":
        return
    if promised not in body:
        raise GarbledReplyError(f"the reply to {operation} lacks {promised}")
