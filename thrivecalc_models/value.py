"""The base of frozen values: equality, hash and repr, by their fields."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

# Thousands are made of some values: those are frozen to type checkers only, since a class that is
# frozen at run time, too, takes more than twice as long to make. What callers can get hold of is
# frozen there as well, by `attrs.frozen`.
if TYPE_CHECKING:
    from attrs import frozen as value
else:
    value = functools.partial(attrs.define, eq=False, repr=False)

__all__ = ["Value", "even_half_made", "value"]


def even_half_made(describe: Callable[[Any], str]) -> Callable[[Any], str]:
    """Decorate a `__repr__` for objects whose `__init__` has not come to its end.

    A crash report that shows the local variables of every frame shows them, too.
    """

    @functools.wraps(describe)
    def __repr__(self: Any) -> str:
        try:
            return describe(self)
        except AttributeError:
            return f"<{type(self).__qualname__}, half made>"

    return __repr__


class Value:
    """The base of frozen attrs classes that leave equality and repr to it (`eq=False, repr=False`).

    It compares, hashes and prints as attrs does, and heeds `eq` and `repr` of a field. But attrs
    writes and compiles code for each class whenever it is imported, which took most of the time.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        compared = _compared(self.__class__)
        return bool(compared(self) == compared(other))

    def __hash__(self) -> int:
        return hash((self.__class__, _compared(self.__class__)(self)))

    @even_half_made
    def __repr__(self) -> str:
        shown = [f"{each.name}={getattr(self, each.name)!r}" for each in _fields(self) if each.repr]
        return f"{type(self).__qualname__}({', '.join(shown)})"


def _compared(cls: type) -> Callable[[Any], Any]:
    """What gets the fields of an instance that count."""
    known = _COMPARED.get(cls)
    if known is None:
        names = [each.name for each in _fields(cls) if each.eq]
        known = _COMPARED[cls] = operator.attrgetter(*names) if names else _nothing
    return known


_COMPARED: dict[type, Callable[[Any], Any]] = {}


def _nothing(value: Value) -> tuple[()]:
    return ()


def _fields(value: object) -> tuple[attrs.Attribute[Any], ...]:
    return getattr(value, "__attrs_attrs__", ())  # a value without fields need not be attrs' class
