"""Attribute values as the simulated service takes and gives them back.

A value that has gone through `normalised` has one spelling: numbers without outer zeros, sets
sorted, base64 canonical. Two such values are equal for DynamoDB exactly if Python says so.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.operations.evaluate import SETS, order
from thrivecalc_models.testing.refusals import Invalid
from thrivecalc_models.wire import AttributeValue, Item, number_text, parse_number

MAX_CONTAINERS: Final = 31
"""Maps and lists around a scalar: 32 levels, the scalar being one ("Service quotas")."""

TYPES: Final = frozenset({"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"})


def copied(value: Any) -> Any:
    """The same JSON in new dicts and lists."""
    kind = type(value)
    if kind is dict:
        return {name: copied(inner) for name, inner in value.items()}
    if kind is list:
        return [copied(inner) for inner in value]
    return value


def normalised_item(item: object) -> Item:
    """A copy of an item as it would be stored; raises Invalid where DynamoDB refuses it."""
    if not isinstance(item, dict):
        raise _serialization("an item is a map of attribute values")
    return {_name(name): normalised(value) for name, value in item.items()}


def normalised(value: object, containers: int = 0) -> AttributeValue:
    """A copy of one value as it would be stored; `containers` is how many are around it already."""
    if not isinstance(value, dict):
        raise _serialization("an attribute value is a map of one type to its value")
    if len(value) != 1:
        raise Invalid("Supplied AttributeValue must contain exactly one of the supported datatypes")
    [(kind, content)] = value.items()
    if kind in ("M", "L"):
        return {kind: _members(kind, content, containers)}
    if kind in SETS:
        return {kind: _set(kind, content)}
    if kind not in _SCALARS:
        raise Invalid(
            "Supplied AttributeValue is empty, must contain exactly one supported datatype"
        )
    return {kind: _SCALARS[kind](content)}


def member_order(kind: str, member: str) -> Any:
    """What the members of a set are sorted by."""
    return order({SETS[kind]: member})


@lru_cache(maxsize=65_536)
def decimal(text: str) -> Decimal:
    """The value of a number that `normalised` has checked."""
    return parse_number(text)


def _name(name: object) -> str:
    if name == "":
        raise Invalid("Empty attribute name")
    return _text(name)


def _text(content: object) -> str:
    if not isinstance(content, str):
        raise _serialization("text is expected")
    if not content.isascii():
        try:
            content.encode()
        except UnicodeEncodeError:
            raise _serialization("text that is no UTF-8") from None
    return content


def _number(content: object) -> str:
    if not isinstance(content, str):
        raise _serialization("a number travels as text")
    return _number_spelling(content)


@lru_cache(maxsize=65_536)  # tests write the same numbers again and again
def _number_spelling(text: str) -> str:
    try:
        return number_text(text, path="the number", js_safe=False)
    except InvalidRecordError as error:
        raise Invalid(f"A value provided cannot be stored as a number: {error}") from None


def _binary(content: object) -> str:
    try:
        raw = base64.b64decode(_text(content), validate=True)
    except (binascii.Error, ValueError):
        raise _serialization("binary values travel as base64") from None
    return base64.b64encode(raw).decode()


def _bool(content: object) -> bool:
    if not isinstance(content, bool):
        raise _serialization("a bool is expected")
    return content


def _null(content: object) -> bool:
    if content is not True:
        raise Invalid("Null attribute value types must have the value of true")
    return True


_SCALARS: Final[dict[str, Callable[[object], Any]]] = {
    "S": _text,
    "N": _number,
    "B": _binary,
    "BOOL": _bool,
    "NULL": _null,
}


def _members(kind: str, content: object, containers: int) -> Any:
    if containers >= MAX_CONTAINERS:
        raise Invalid("Nesting Levels have exceeded supported limits")
    if kind == "M" and isinstance(content, dict):
        return {_name(name): normalised(value, containers + 1) for name, value in content.items()}
    if kind == "L" and isinstance(content, list):
        return [normalised(value, containers + 1) for value in content]
    raise _serialization(f"the content of {kind} is of another JSON type")


def _set(kind: str, content: object) -> list[str]:
    if not isinstance(content, list):
        raise _serialization(f"the content of {kind} is a list")
    members = [_SCALARS[SETS[kind]](member) for member in content]
    if not members:
        raise Invalid("One or more parameter values were invalid: a set may not be empty")
    if len(set(members)) != len(members):
        raise Invalid("Input collection contains duplicates")
    return sorted(members, key=lambda member: member_order(kind, member))


def _serialization(message: str) -> Invalid:
    return Invalid(message, code="SerializationException")
