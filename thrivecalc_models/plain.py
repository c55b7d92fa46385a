"""Convert a caller's value of a subclass to the built-in type that is stored.

An enum of text becomes its text and an `IntEnum` its number. A `numpy.float64`, an `OrderedDict` or
a pandas `Timestamp` becomes Python's own type of it, and a `numpy.int64` an int. Nothing here calls
`__str__` of the subclass: the stored value must not depend on it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral
from typing import Any, Final


def plain_text(text: str) -> str:
    """Return the text as a `str`, not of a subclass."""
    return text if type(text) is str else str.__str__(text)


def plain_value(value: Any) -> Any:
    """Return a value of a subclass of a built-in type as that type, and others as they are.

    Members of containers stay as they are. So does a value that the built-in type cannot hold, such
    as pandas' `NaT`.
    """
    kind = type(value)
    if kind in _BUILT_IN:
        return value
    for base, plain in _PLAIN.items():
        # Not isinstance: a proxy that pretends to be text is refused by the functions below.
        if issubclass(kind, base):
            return plain(value)
    return operator.index(value) if isinstance(value, Integral) else value


def is_plain(value: object) -> bool:
    """Return whether a value is of a built-in type that the table holds, not of a subclass."""
    return type(value) in _BUILT_IN


def _plain_moment(value: datetime) -> Any:
    try:
        return datetime(
            value.year,
            value.month,
            value.day,
            value.hour,
            value.minute,
            value.second,
            value.microsecond,
            value.tzinfo,
            fold=value.fold,
        )
    except (TypeError, ValueError):  # without a date, such as NaT
        return value


def _plain_bytes(value: bytes) -> bytes:
    return bytes(memoryview(value))


# In this order: every bool is an int, every datetime a date.
_PLAIN: Final[dict[type, Callable[[Any], Any]]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
    Decimal: Decimal,
    datetime: _plain_moment,
    date: lambda value: date(value.year, value.month, value.day),
    bytes: _plain_bytes,
    bytearray: _plain_bytes,
    dict: dict,
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
}
_BUILT_IN: Final = frozenset({*_PLAIN, bool, type(None)})
