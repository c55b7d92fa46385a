"""When comparisons of stored values hold: DynamoDB's rules, in memory.

Values are in DynamoDB's JSON; None is an absent one. A unit of work judges its pending records by
these rules, and the simulated table its items.

Source: "Condition and filter expressions, operators, and functions", Amazon DynamoDB Developer
Guide.
"""

from __future__ import annotations

import operator
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from thrivecalc_models.wire import AttributeValue, parse_number, same_value

ORDERED_TYPES: Final = frozenset({"S", "N", "B"})
SETS: Final[Mapping[str, str]] = {"SS": "S", "NS": "N", "BS": "B"}
"""Each kind of set, and the type of its members."""

Value = AttributeValue | None


def compare(sign: str, left: Value, right: Value) -> bool:
    """`=`, `<>`, `<`, `<=`, `>`, `>=`: what is absent differs from everything and has no order."""
    if left is None or right is None:
        return sign == "<>"
    if sign == "=":
        return same_value(left, right)
    if sign == "<>":
        return not same_value(left, right)
    if left.keys() != right.keys() or ORDERED_TYPES.isdisjoint(left):
        return False
    return ORDERINGS[sign](order(left), order(right))


def is_between(value: Value, low: Value, high: Value) -> bool:
    """`BETWEEN`, with both bounds; False unless all are of one type that has an order."""
    if value is None or low is None or high is None:
        return False
    return compare(">=", value, low) and compare("<=", value, high)


def is_in(value: Value, choices: Iterable[Value]) -> bool:
    """`IN`: equal to one of the choices."""
    return value is not None and any(
        choice is not None and same_value(value, choice) for choice in choices
    )


def begins_with(value: Value, prefix: Value) -> bool:
    """`begins_with`, for text and binary."""
    if value is None or prefix is None or value.keys() != prefix.keys():
        return False
    if "S" not in value and "B" not in value:
        return False
    return bool(order(value).startswith(order(prefix)))


def contains(value: Value, part: Value) -> bool:
    """`contains`: an element of a list or set, or a part of text or binary."""
    if value is None or part is None:
        return False
    [(kind, content)] = value.items()
    if kind == "L":
        return any(same_value(element, part) for element in content)
    if kind in SETS:
        member = SETS[kind]
        return member in part and any(same_value({member: each}, part) for each in content)
    return kind in ("S", "B") and kind in part and order(part) in order(value)


def size_of(value: Value) -> Value:
    """`size`: UTF-16 units of text, bytes of binary, elements of the others; None of a number."""
    if value is None:
        return None
    [(kind, content)] = value.items()
    if kind == "S":
        return {"N": str(len(content.encode("utf-16-le")) // 2)}
    if kind == "B":
        return {"N": str(len(order(value)))}
    return {"N": str(len(content))} if kind in SETS or kind in ("M", "L") else None


def order(value: AttributeValue) -> Any:
    """Return what S, N and B are ordered by: text by its UTF-8 bytes, which is by code points."""
    [(kind, content)] = value.items()
    if kind == "N":
        return _number(content)
    return a2b_base64(content) if kind == "B" else content


ORDERINGS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_number = lru_cache(maxsize=65_536)(parse_number)  # tests compare the same numbers again and again
