"""An item as DynamoDB's JSON, with binary values as base64 text, and a value in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

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
