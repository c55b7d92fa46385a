"""What the body of a reply says, read the same way on both transports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from thrivecalc_models.operations.reading import CONSUMED
from thrivecalc_models.operations.replies import TOO_LARGE, Failure, Reason, Reply
from thrivecalc_models.transport.advice import reply_advice
from thrivecalc_models.transport.checks import check_promised, check_refusal
from thrivecalc_models.transport.failures import GarbledReplyError, classify_error

Json = dict[str, Any]


def object_of(body: bytes, parse: Callable[[bytes], Any]) -> Json | None:
    """The JSON object in a body, None where it holds none."""
    try:
        content = parse(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def needed(content: Json | None, status: int) -> Json:
    """The object of a body that must have one. Raises GarbledReplyError."""
    if content is None:
        raise GarbledReplyError(
            f"HTTP {status} with a body that is no JSON object", advice=reply_advice(status)
        )
    return content


def reply_of(
    operation: str, request: Mapping[str, Any], content: Json, request_id: str | None
) -> Reply:
    """A successful reply. Raises GarbledReplyError."""
    proven = CONSUMED in content
    if None in content.values():
        content = {name: value for name, value in content.items() if value is not None}
    check_promised(operation, request, content)
    return Reply(body=content, request_id=request_id, proven=proven)


def refusal_of(content: Json | None, status: int, request_id: str | None) -> Failure:
    """The failure that an error reply stands for. Raises GarbledReplyError."""
    if content is None and (status >= 500 or status == TOO_LARGE):
        content = {}
    content = needed(content, status)
    check_refusal(status, content)
    message = content.get("message") or content.get("Message")
    return classify_error(
        code_of(content, status),
        status,
        message if isinstance(message, str) else "",
        item=content.get("Item"),
        reasons=[
            Reason(code=reason.get("Code") or "None", item=reason.get("Item"))
            for reason in content.get("CancellationReasons") or ()
        ],
        request_id=request_id,
    )


def code_of(content: Mapping[str, Any], status: int) -> str:
    """`AccessDeniedException` of `com.amazonaws...#AccessDeniedException`; else the HTTP status."""
    kind = content.get("__type")
    code = kind.partition(":")[0].rpartition("#")[2] if isinstance(kind, str) else ""
    return code or str(status)
