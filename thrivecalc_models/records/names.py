"""The names of a record's attributes, and the nearest one to a wrong name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from types import FunctionType
from typing import TYPE_CHECKING, Any

from thrivecalc_models.payloads import fields_of

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord


def declares(cls: type[UserRecord], name: str) -> bool:
    """Whether an attribute of records of the class can be set: a class of theirs declares it.

    Annotations, properties and slots of a subclass count. A method does not if the payload has a
    field of its name: the field was meant.
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
    """Return the message for a name that records of the class do not have."""
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
    """Return the value under the known name that is nearest to an unknown one."""
    nearest = get_close_matches(name, known, n=1, cutoff=0.8)
    return known[nearest[0]] if nearest else None


def _fields(cls: type[UserRecord]) -> dict[str, str]:
    """Return the Python names of the payload's fields, by Python name and by wire name."""
    payload_class = cls.payload_class()
    fields = () if payload_class is None else fields_of(payload_class)
    return {spelling: each.name for each in fields for spelling in (each.wire_name, each.name)}


def _cannot_be_set(attribute: Any) -> bool:
    if isinstance(attribute, property):
        return attribute.fset is None
    return isinstance(attribute, FunctionType | classmethod | staticmethod)


def _as_variable(cls: type[UserRecord]) -> str:
    """Return a variable name for a record of the class: `goal` for SavingsGoal."""
    words: list[str] = re.findall(r"[A-Z]?[a-z]+|[A-Z]", cls.__name__)
    return words[-1].lower() if words else "record"
