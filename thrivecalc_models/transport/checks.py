"""Checks of replies on both transports: whole, unchanged, and not sent twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from thrivecalc_models.wire import is_item

_IDS_KEPT = 256
_ID_LENGTH = 32  # shorter ids are those of mocks, which may repeat them


class GarbledReplyError(Exception):
    """A reply that is cut short, was changed in transit, or is not DynamoDB's."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice or message


class Answered:
    """The request ids of the last replies.

    The service uses no id twice. An id that comes again belongs to a reply that was sent twice, and
    was taken for the reply to the next request on the same connection.
    """

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._ids: set[str] = set()

    def check(self, request_id: str | None) -> None:
        """Remember the id of a reply. Raises GarbledReplyError if it came before."""
        if request_id is None or len(request_id) < _ID_LENGTH:
            return
        if request_id in self._ids:
            raise GarbledReplyError("this reply came before, to another request")
        self._ids.add(request_id)
        self._order.append(request_id)
        if len(self._order) > _IDS_KEPT:
            self._ids.discard(self._order.popleft())


def check_sum(expected: str | None, body: bytes, *, encoding: Callable[[], str | None]) -> None:
    """Compare `x-amz-crc32`, unless the body was encoded in transit, which changes its sum."""
    if expected is None or expected.strip() == str(crc32(body)):
        return
    if encoding() in (None, "identity"):
        raise GarbledReplyError("the body does not match its x-amz-crc32")


def check_refusal(status: int, content: Mapping[str, Any]) -> None:
    """Refuse an error reply that is not from DynamoDB: without a type, or malformed."""
    if 400 <= status < 500 and status not in _SAYS_ENOUGH and not _is_text(content.get("__type")):
        raise GarbledReplyError(f"HTTP {status} without the type of the error")
    if content.get("Item") is not None and not is_item(content["Item"]):
        raise GarbledReplyError(f"HTTP {status} with an item that is not in DynamoDB's form")
    reasons = content.get("CancellationReasons")
    if reasons is not None and not (isinstance(reasons, list) and all(map(_is_reason, reasons))):
        raise GarbledReplyError(f"HTTP {status} with malformed CancellationReasons")


_SAYS_ENOUGH = frozenset({407, 413, 429})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_reason(reason: object) -> bool:
    if not isinstance(reason, dict) or not isinstance(reason.get("Code"), str | None):
        return False
    return reason.get("Item") is None or is_item(reason["Item"])
