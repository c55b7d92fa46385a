"""The names that a record has, and the nearest one to a wrong name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from types import FunctionType
from typing import TYPE_CHECKING, Any

from thrivecalc_models.payloads import fields_of

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord


def declares(cls: type[UserRecord], name: str) -> bool:
    """Whether records of the class can have an attribute set: one that a class of theirs declares.

    Annotations, properties and slots of a service's own count. A method does not where the payload
    has a field of its name: that is what was meant.
    """
    if (cls, name) not in _DECLARED and _is_declared(cls, name):
        _DECLARED.add((cls, name))
    return (cls, name) in _DECLARED


_DECLARED: set[tuple[type, str]] = set()


def _is_declared(cls: type[UserRecord], name: str) -> bool:
    for base in cls.__mro__:
        if name in vars(base):
            return not (_cannot_be_set(vars(base)[name]) and name in _fields(cls))
        if name in vars(base).get("__annotations__", ()):
            return True
    return False


def no_attribute(cls: type[UserRecord], name: str) -> str:
    """What to say of a name that records of the class do not have."""
    return f"{cls.__name__} has no attribute {name!r}{_meant(cls, name)}"


def _meant(cls: type[UserRecord], name: str) -> str:
    fields, record = _fields(cls), _as_variable(cls)
    if name.startswith("_"):
        return ""
    if cls.payload_class() is None:
        return f"; what is stored in it is in {record}.data, a dict"
    found = fields.get(name) or _close(name, fields)
    if found is not None:
        return f"; it is in the payload: {record}.data.{found}"
    own = _close(name, {each: each for each in cls.get_attributes()})
    return "" if own is None else f"; its name is {own}"


def _close(name: str, known: dict[str, str]) -> str | None:
    """The value under the name that is nearest to one that is not known."""
    nearest = get_close_matches(name, known, n=1, cutoff=0.8)
    return known[nearest[0]] if nearest else None


def _fields(cls: type[UserRecord]) -> dict[str, str]:
    """The names of the payload's fields, by themselves and by what they are called in the table."""
    payload_class = cls.payload_class()
    fields = () if payload_class is None else fields_of(payload_class)
    return {spelling: each.name for each in fields for spelling in (each.wire_name, each.name)}


def _cannot_be_set(attribute: Any) -> bool:
    if isinstance(attribute, property):
        return attribute.fset is None
    return isinstance(attribute, FunctionType | classmethod | staticmethod)


def _as_variable(cls: type[UserRecord]) -> str:
    """What one would call a record of the class: `goal` for SavingsGoal."""
    words: list[str] = re.findall(r"[A-Z]?[a-z]+|[A-Z]", cls.__name__)
    return words[-1].lower() if words else "record"
