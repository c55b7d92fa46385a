"""Conditions as values, and their conversion to expression texts with placeholders."""

from __future__ import annotations

import attrs

from thrivecalc_models.value import internal
from thrivecalc_models.wire import AttributeValue, Item, same_value, value_at

Path = tuple[str, ...]
"""Attribute names from the top of the item down: `("data", "targetAmount")`."""


@internal
class Exists:
    """The attribute is stored."""

    path: Path


@internal
class Absent:
    """The attribute is not stored."""

    path: Path


@internal
class IsMap:
    """The attribute is a map."""

    path: Path


@internal
class Equal:
    """The attribute has this value."""

    path: Path
    value: AttributeValue = attrs.field(repr=False)


@internal
class AllOf:
    """All of the parts hold."""

    parts: tuple[Condition, ...]


@internal
class AnyOf:
    """At least one of the parts holds."""

    parts: tuple[Condition, ...]


Condition = Exists | Absent | IsMap | Equal | AllOf | AnyOf


def fixes(condition: Condition, path: Path) -> bool:
    """Whether a condition can hold only if the attribute at `path` has one certain value."""
    match condition:
        case Equal(fixed):
            return fixed == path
        case AllOf(parts):
            return any(fixes(part, path) for part in parts)
        case AnyOf(parts):
            return all(fixes(part, path) for part in parts)
        case _:
            return False


def holds(condition: Condition, stored: Item | None) -> bool:
    """Whether it holds for the stored item; None stands for no item."""
    item = stored or {}
    match condition:
        case Exists(path):
            return value_at(item, path) is not None
        case Absent(path):
            return value_at(item, path) is None
        case IsMap(path):
            return "M" in (value_at(item, path) or {})
        case Equal(path, value):
            return same_value(value_at(item, path), value)
        case AllOf(parts):
            return all(holds(part, stored) for part in parts)
        case AnyOf(parts):
            return any(holds(part, stored) for part in parts)


class Expressions:
    """Expression texts of one request, which share their placeholders.

    Names and values never stand in the text itself: some names are reserved words, and values
    must not be able to change what a condition means.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._paths: dict[Path, str] = {}
        self._values: list[AttributeValue] = []
        self.operators = 0

    def path(self, path: Path) -> str:
        """Return placeholders for a path."""
        text = self._paths.get(path)
        if text is None:  # an update names most paths in its condition, too
            names = [self._names.setdefault(name, f"#{len(self._names)}") for name in path]
            text = self._paths[path] = ".".join(names)
        return text

    def value(self, value: AttributeValue) -> str:
        """Return a placeholder for a value."""
        self._values.append(value)
        return f":{len(self._values) - 1}"

    def condition(self, condition: Condition) -> str:
        """Return the text of a condition."""
        self.operators += 1
        match condition:
            case Exists(path):
                return f"attribute_exists({self.path(path)})"
            case Absent(path):
                return f"attribute_not_exists({self.path(path)})"
            case IsMap(path):
                return f"attribute_type({self.path(path)}, {self.value({'S': 'M'})})"
            case Equal(path, value):
                return f"{self.path(path)} = {self.value(value)}"
            case AllOf(parts):
                return " AND ".join(self._part(part) for part in parts)
            case AnyOf(parts):
                return " OR ".join(self._part(part) for part in parts)

    def _part(self, condition: Condition) -> str:
        self.operators += 1
        text = self.condition(condition)
        return f"({text})" if isinstance(condition, AllOf | AnyOf) else text

    def update(
        self, sets: tuple[tuple[Path, AttributeValue], ...], removes: tuple[Path, ...]
    ) -> str:
        """Return the text of an update: attributes to set, and to remove."""
        self.operators += len(sets) + len(removes)
        clauses = []
        if sets:
            assignments = (f"{self.path(path)} = {self.value(value)}" for path, value in sets)
            clauses.append("SET " + ", ".join(assignments))
        if removes:
            clauses.append("REMOVE " + ", ".join(self.path(path) for path in removes))
        return " ".join(clauses)

    def placeholders(self) -> dict[str, dict[str, object]]:
        """The request members that say what the placeholders stand for."""
        members: dict[str, dict[str, object]] = {}
        if self._names:
            members["ExpressionAttributeNames"] = {
                placeholder: name for name, placeholder in self._names.items()
            }
        if self._values:
            members["ExpressionAttributeValues"] = {
                f":{number}": value for number, value in enumerate(self._values)
            }
        return members
