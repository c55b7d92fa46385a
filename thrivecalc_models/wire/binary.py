"""Binary values at the border to botocore: base64 text in our JSON, bytes in its parameters.

A dict of exactly one key B that holds text or bytes, or BS that holds a list, is always a binary
value: an attribute of that name would hold a dict. What has no binary value in it comes back as it
is, not as a copy.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Any

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.plain import plain_value
from thrivecalc_models.wire.item import Item
from thrivecalc_models.wire.sizes import MAX_NESTING

Convert = Callable[[Any], Any]


def with_bytes(request: Any) -> Any:
    """Our JSON with bytes for the base64 text of every binary value."""
    return _converted(request, _to_bytes)


def with_text(reply: Any) -> Any:
    """What botocore returned, with base64 text for the bytes of every binary value."""
    return _converted(reply, _to_text)


def given_item(item: dict[Any, Any]) -> Item:
    """A copy of an item as callers give it: every text plain, binary values as base64 text.

    What is not in DynamoDB's JSON stays as it is, for others to refuse. Raises InvalidRecordError
    for maps and lists more than 31 deep in an attribute, which no stored item can have.
    """
    return {plain_value(name): _given(value, name, 0) for name, value in item.items()}


def _given(value: Any, at: object, depth: int) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((tag, content),) = value.items()
    if isinstance(content, dict | list) and depth == MAX_NESTING:
        raise InvalidRecordError(
            f"{at} is nested deeper than {MAX_NESTING} maps and lists; flatten it", path=f"{at}"
        )
    match tag, content:
        case "M", dict():
            return {
                "M": {plain_value(name): _given(v, at, depth + 1) for name, v in content.items()}
            }
        case "L", list():
            return {"L": [_given(member, at, depth + 1) for member in content]}
        case "B" | "BS", _:
            return with_text(value)
        case _, list():
            return {tag: [plain_value(member) for member in content]}
    return {tag: plain_value(content)}


def _to_bytes(value: Any) -> Any:
    return b64decode(value, validate=True) if isinstance(value, str) else value


def _to_text(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, (bytes, bytearray)) else value


def _converted(value: Any, convert: Convert) -> Any:
    if isinstance(value, dict):
        if len(value) == 1:
            ((name, inner),) = value.items()
            if name == "B" and isinstance(inner, (str, bytes, bytearray)):
                return {"B": convert(inner)}
            if name == "BS" and isinstance(inner, (list, tuple, set, frozenset)):
                return {"BS": [convert(member) for member in inner]}
            if isinstance(inner, str):
                return value
        return _converted_members(value, value.items(), convert)
    if isinstance(value, list):
        return _converted_members(value, enumerate(value), convert)
    return value


def _converted_members(value: Any, members: Iterable[tuple[Any, Any]], convert: Convert) -> Any:
    copied = value
    for key, member in members:
        if isinstance(member, (dict, list)):
            if (
                len(member) == 1
                and isinstance(member, dict)
                and isinstance(member.get("S") or member.get("N"), str)
            ):
                continue  # text or a number, as most are
            converted = _converted(member, convert)
            if converted is not member:
                if copied is value:
                    copied = value.copy()
                copied[key] = converted
    return copied
