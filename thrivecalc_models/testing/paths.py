"""Paths in an item, as expressions name them: remove them, and compare them with each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from thrivecalc_models.testing.refusals import Invalid
from thrivecalc_models.wire import AttributeValue, Item

Path = tuple[str | int, ...]
"""Where something is in an item: attribute names, and positions in lists."""


def project(item: Item, paths: Iterable[Path]) -> Item:
    """The parts of an item at these paths, in their places; list elements close up."""
    wanted: dict[str | int, Any] = {}
    for path in paths:
        level = wanted
        for part in path[:-1]:
            level = level.setdefault(part, {})
        level[path[-1]] = None
    return _projected_map(item, wanted)


def check_apart(paths: tuple[Path, ...]) -> None:
    """Raise Invalid if one path lies within another, or two disagree on map or list."""
    seen: dict[str | int, Any] = {}
    for path in paths:
        level = seen
        for depth, part in enumerate(path):
            last = depth == len(path) - 1
            if any(type(other) is not type(part) for other in level):
                raise Invalid("Two document paths conflict with each other")
            if part in level and (last or level[part] is None):
                raise Invalid("Two document paths overlap with each other")
            if last:
                level[part] = None
            else:
                level = level.setdefault(part, {})


def _projected_map(
    attributes: Mapping[str, Any], wanted: Mapping[str | int, Any]
) -> dict[str, Any]:
    found = {}
    for name, inner in wanted.items():
        value = attributes.get(name) if isinstance(name, str) else None
        part = None if value is None else _projected(value, inner)
        if part is not None:
            found[str(name)] = part
    return found


def _projected(
    value: AttributeValue, wanted: Mapping[str | int, Any] | None
) -> AttributeValue | None:
    if wanted is None:
        return value
    if "M" in value:
        found = _projected_map(value["M"], wanted)
        return {"M": found} if found else None
    elements = value.get("L", ())
    parts = [
        _projected(elements[at], wanted[at])
        for at in sorted(at for at in wanted if isinstance(at, int))
        if at < len(elements)
    ]
    kept = [part for part in parts if part is not None]
    return {"L": kept} if kept else None
