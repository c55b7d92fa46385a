"""Conditions as values, and their conversion to expression texts with placeholders."""

from __future__ import annotations

import attrs

from thrivecalc_models.operations import filters
from thrivecalc_models.operations.filters import Filter, PathTo
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
        self._paths: dict[PathTo, str] = {}
        self._values: list[AttributeValue] = []
        self.operators = 0

    def path(self, path: PathTo) -> str:
        """Return placeholders for a path."""
        text = self._paths.get(path)
        if text is None:  # an update names most paths in its condition, too
            parts = map(self._part_of_path, path)
            text = self._paths[path] = ".".join(parts).replace(".[", "[")
        return text

    def _part_of_path(self, part: str | int) -> str:
        if isinstance(part, int):
            return f"[{part}]"
        return self._names.setdefault(part, f"#{len(self._names)}")

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

    def filter(self, condition: Filter) -> str:
        """Return the text of a condition of a caller's."""
        if isinstance(condition, filters.Every | filters.Some):
            self.operators += len(condition.parts) - 1
        else:
            self.operators += 1
        match condition:
            case filters.Compared(sign, left, right):
                return f"{self._operand(left)} {sign} {self._operand(right)}"
            case filters.Between(operand, low, high):
                bounds = f"{self._operand(low)} AND {self._operand(high)}"
                return f"{self._operand(operand)} BETWEEN {bounds}"
            case filters.In(operand, choices):
                texts = ", ".join(map(self._operand, choices))
                return f"{self._operand(operand)} IN ({texts})"
            case filters.Begins(operand, prefix):
                return f"begins_with({self._operand(operand)}, {self._operand(prefix)})"
            case filters.Contains(operand, part):
                return f"contains({self._operand(operand)}, {self._operand(part)})"
            case filters.OfType(operand, tag):
                return f"attribute_type({self._operand(operand)}, {self.value({'S': tag})})"
            case filters.IsStored(path, wanted):
                name = "attribute_exists" if wanted else "attribute_not_exists"
                return f"{name}({self.path(path)})"
            case filters.Every(parts):
                return " AND ".join(map(self._filter_part, parts))
            case filters.Some(parts):
                return " OR ".join(map(self._filter_part, parts))
            case filters.Not(part):
                return f"NOT ({self.filter(part)})"

    def _filter_part(self, condition: Filter) -> str:
        text = self.filter(condition)
        joined = isinstance(condition, filters.Every | filters.Some | filters.Not)
        return f"({text})" if joined else text

    def _operand(self, operand: filters.Operand) -> str:
        match operand:
            case filters.At(path):
                return self.path(path)
            case filters.Fixed(value):
                return self.value(value)
            case filters.SizeOf(path):
                self.operators += 1
                return f"size({self.path(path)})"

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
