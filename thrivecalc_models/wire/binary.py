"""Convert binary values for botocore: base64 text in our JSON, bytes in its parameters.

A dict of exactly one key B that holds text or bytes, or BS that holds a list, is always a binary
value: an attribute of that name would hold a dict. A value without binary parts is returned as it
is, not as a copy.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Any

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.plain import plain_value
from thrivecalc_models.wire.item import Item
from thrivecalc_models.wire.sizes import MAX_NESTING, check_item

Convert = Callable[[Any], Any]


def with_bytes(request: Any) -> Any:
    """Return a request in our JSON with bytes for the base64 text of every binary value."""
    return _converted(request, _to_bytes)


def with_text(reply: Any) -> Any:
    """Return a reply of botocore with base64 text for the bytes of every binary value."""
    return _converted(reply, _to_text)


def given_item(item: dict[Any, Any]) -> Item:
    """Copy an item that a caller gave, with plain text and with base64 text for binary values.

    Raises InvalidRecordError, with the path, for a value that is not in DynamoDB's JSON, and for
    maps and lists more than 31 deep in an attribute, which no stored item can have.
    """
    try:
        return {_plain(name, str): _given(value, 0) for name, value in item.items()}
    except _NoValueError:
        pass
    check_item(item, describe="the item")  # its error has the path
    raise InvalidRecordError("the item is not in DynamoDB's JSON, such as {'name': {'S': 'text'}}")


class _NoValueError(Exception):
    """A part of an item is not a value in DynamoDB's JSON."""


def _given(value: Any, depth: int) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        raise _NoValueError
    ((tag, content),) = value.items()
    match tag, plain_value(content):
        case "M" | "L", dict() | list() if depth == MAX_NESTING:
            raise _NoValueError
        case "M", dict():
            return {
                "M": {_plain(name, str): _given(form, depth + 1) for name, form in content.items()}
            }
        case "L", list():
            return {"L": [_given(member, depth + 1) for member in content]}
        case "SS" | "NS", list():
            return {tag: [_plain(member, str) for member in content]}
        case "BS", list() | tuple() | set() | frozenset():
            return {"BS": [_binary(member) for member in content]}
        case "B", _:
            return {"B": _binary(content)}
        case "S" | "N", text:
            return {tag: _plain(text, str)}
        case "BOOL" | "NULL", truth:
            return {tag: _plain(truth, bool)}
    raise _NoValueError


def _plain(value: Any, kind: type) -> Any:
    plain = plain_value(value)
    if type(plain) is not kind:
        raise _NoValueError
    return plain


def _binary(value: Any) -> str:
    text = _plain(_to_text(value), str)
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise _NoValueError from None
    return str(text)


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
