"""An item as DynamoDB's JSON, with binary values as base64 text, and a value in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

AttributeValue: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, AttributeValue]
Json: TypeAlias = dict[str, Any]
"""The JSON of a request or a reply."""


def value_at(item: Item, path: Sequence[str | int]) -> AttributeValue | None:
    """Return the value at a path of attribute names and positions in lists, or None."""
    value = item.get(str(path[0]))
    for part in path[1:]:
        if value is None:
            return None
        if isinstance(part, str):
            value = value["M"].get(part) if "M" in value else None
        else:
            elements = value.get("L", ())
            value = elements[part] if part < len(elements) else None
    return value


MAX_LEVELS: Final = 32
"""How deep values are nested at most. Source: Limits, Amazon DynamoDB Developer Guide."""


def is_item(item: Any) -> bool:
    """Whether this is an item in DynamoDB's JSON, to its last value."""
    return item.__class__ is dict and are_values(item.values())


def are_values(forms: Iterable[Any], level: int = 1) -> bool:
    """Whether these are values in DynamoDB's JSON, no deeper than the service stores them."""
    for form in forms:
        if form.__class__ is not dict or len(form) != 1:
            return False
        (kind,) = form
        content = form[kind]
        if content.__class__ is str:  # first of all, as most are
            if kind not in _TEXTS:
                return False
        elif kind == "M":
            if content.__class__ is not dict or level == MAX_LEVELS:
                return False
            if not are_values(content.values(), level + 1):
                return False
        elif kind == "L":
            if content.__class__ is not list or level == MAX_LEVELS:
                return False
            if not are_values(content, level + 1):
                return False
        elif kind in _SETS:
            if content.__class__ is not list or any(each.__class__ is not str for each in content):
                return False
        elif content.__class__ is not bool or kind not in _FLAGS:
            return False
    return True


_TEXTS: Final = frozenset({"S", "N", "B"})
_FLAGS: Final = frozenset({"BOOL", "NULL"})
_SETS: Final = frozenset({"SS", "NS", "BS"})
