"""Conditions as trees: their parts, when they hold, and which are invalid.

Source: "Condition and filter expressions, operators, and functions", Amazon DynamoDB Developer
Guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from thrivecalc_models.operations import evaluate
from thrivecalc_models.operations.evaluate import ORDERED_TYPES, SETS
from thrivecalc_models.testing.paths import Path
from thrivecalc_models.testing.placeholders import Placeholders
from thrivecalc_models.testing.refusals import Invalid
from thrivecalc_models.testing.values import TYPES
from thrivecalc_models.wire import AttributeValue, Item, value_at

SIZED_TYPES: Final = frozenset({"S", "B", "L", "M", *SETS})


@attrs.frozen
class PathOperand:
    """A document path as written: `#name` placeholders are looked up when it meets a request."""

    parts: tuple[str | int, ...]

    def resolve(self, placeholders: Placeholders) -> Path:
        """The attribute names and positions, with placeholders replaced."""
        return tuple(
            placeholders.name(part) if isinstance(part, str) and part[0] == "#" else part
            for part in self.parts
        )

    def read(self, item: Item, placeholders: Placeholders) -> AttributeValue | None:
        """What the operand is for this item; None if that is nothing."""
        return value_at(item, self.resolve(placeholders))

    def known_type(self, placeholders: Placeholders) -> str | None:
        """The type that it has for every item; None if that depends on the item."""
        return None


@attrs.frozen
class ValueOperand:
    """A `:value` placeholder."""

    placeholder: str

    def read(self, item: Item, placeholders: Placeholders) -> AttributeValue | None:
        return placeholders.value(self.placeholder)

    def known_type(self, placeholders: Placeholders) -> str | None:
        return next(iter(placeholders.value(self.placeholder)))


@attrs.frozen
class SizeOperand:
    """`size(…)`: UTF-16 units of text, bytes of binary, elements of the others; not of a number."""

    of: Operand

    def read(self, item: Item, placeholders: Placeholders) -> AttributeValue | None:
        return evaluate.size_of(self.of.read(item, placeholders))

    def known_type(self, placeholders: Placeholders) -> str | None:
        return "N"


Operand = PathOperand | ValueOperand | SizeOperand


@attrs.frozen
class Condition:
    """The base of trees that hold for an item or do not. Their fields are operands and trees."""

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        """Whether the condition is true of this item."""
        raise NotImplementedError

    def check(self, placeholders: Placeholders) -> None:
        """Raise Invalid for operands that are wrong for every item."""
        for part in self._parts():
            if isinstance(part, Condition):
                part.check(placeholders)

    def operands(self) -> Iterator[Operand]:
        """All operands, in the order in which they are written."""
        for part in self._parts():
            if isinstance(part, Condition):
                yield from part.operands()
            elif isinstance(part, Operand):
                yield part

    def _parts(self) -> Iterator[object]:
        for value in attrs.astuple(self, recurse=False):
            yield from value if isinstance(value, tuple) else (value,)


@attrs.frozen
class Every(Condition):
    """Conditions joined by `AND`."""

    conditions: tuple[Condition, ...]

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        return all(condition.holds(item, placeholders) for condition in self.conditions)


@attrs.frozen
class Some(Condition):
    """Conditions joined by `OR`."""

    conditions: tuple[Condition, ...]

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        return any(condition.holds(item, placeholders) for condition in self.conditions)


@attrs.frozen
class Not(Condition):
    """`NOT` and the condition behind it."""

    condition: Condition

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        return not self.condition.holds(item, placeholders)


@attrs.frozen
class Compare(Condition):
    """`=`, `<>`, `<`, `<=`, `>`, `>=`; what is missing differs from everything."""

    left: Operand
    operator: str
    right: Operand

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        left = self.left.read(item, placeholders)
        return evaluate.compare(self.operator, left, self.right.read(item, placeholders))

    def check(self, placeholders: Placeholders) -> None:
        _check_distinct(self.operator, self.left, (self.right,), placeholders)
        if self.operator in evaluate.ORDERINGS:
            check_types(self.operator, self.operands(), ORDERED_TYPES, placeholders)


@attrs.frozen
class Between(Condition):
    """`BETWEEN … AND …`; False unless all three are of one type that has an order."""

    operand: Operand
    low: Operand
    high: Operand

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        value = self.operand.read(item, placeholders)
        low, high = self.low.read(item, placeholders), self.high.read(item, placeholders)
        return evaluate.is_between(value, low, high)

    def check(self, placeholders: Placeholders) -> None:
        _check_distinct("BETWEEN", self.operand, (self.low, self.high), placeholders)
        check_types("BETWEEN", self.operands(), ORDERED_TYPES, placeholders)
        if isinstance(self.low, ValueOperand) and isinstance(self.high, ValueOperand):
            low = placeholders.value(self.low.placeholder)
            high = placeholders.value(self.high.placeholder)
            if low.keys() != high.keys():
                raise Invalid("The BETWEEN operator requires same data type for both bounds")
            if not evaluate.compare("<=", low, high):
                raise Invalid("The BETWEEN operator requires upper bound not below lower bound")


@attrs.frozen
class In(Condition):
    """`IN (…)`: equal to one of the choices."""

    operand: Operand
    choices: tuple[Operand, ...]

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        value = self.operand.read(item, placeholders)
        return evaluate.is_in(value, (each.read(item, placeholders) for each in self.choices))

    def check(self, placeholders: Placeholders) -> None:
        _check_distinct("IN", self.operand, self.choices, placeholders)


@attrs.frozen
class Exists(Condition):
    """`attribute_exists(…)`, or `attribute_not_exists(…)` if it is not `wanted`."""

    path: PathOperand
    wanted: bool

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        return (self.path.read(item, placeholders) is not None) == self.wanted


@attrs.frozen
class HasType(Condition):
    """`attribute_type(…)`: of the type whose name is a value of the request."""

    operand: Operand
    kind: ValueOperand

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        value = self.operand.read(item, placeholders)
        return value is not None and placeholders.value(self.kind.placeholder)["S"] in value

    def check(self, placeholders: Placeholders) -> None:
        kind = placeholders.value(self.kind.placeholder)
        if kind.get("S") not in TYPES:
            raise Invalid("Invalid attribute type name found")


@attrs.frozen
class BeginsWith(Condition):
    """`begins_with(…)`, for text and binary."""

    operand: Operand
    prefix: Operand

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        value = self.operand.read(item, placeholders)
        return evaluate.begins_with(value, self.prefix.read(item, placeholders))

    def check(self, placeholders: Placeholders) -> None:
        _check_distinct("begins_with", self.operand, (self.prefix,), placeholders)
        check_types("begins_with", self.operands(), frozenset({"S", "B"}), placeholders)


@attrs.frozen
class Contains(Condition):
    """`contains(…)`: an element of a list or set, or a part of text or binary."""

    operand: Operand
    part: Operand

    def holds(self, item: Item, placeholders: Placeholders) -> bool:
        value = self.operand.read(item, placeholders)
        return evaluate.contains(value, self.part.read(item, placeholders))

    def check(self, placeholders: Placeholders) -> None:
        _check_distinct("contains", self.operand, (self.part,), placeholders)


def top_names(condition: Condition, placeholders: Placeholders) -> set[str | int]:
    """The attributes of the item that a condition looks at."""
    names: set[str | int] = set()
    for operand in condition.operands():
        while isinstance(operand, SizeOperand):
            operand = operand.of
        if isinstance(operand, PathOperand):
            names.add(operand.resolve(placeholders)[0])
    return names


def _check_distinct(
    operator: str, first: Operand, rest: Iterable[Operand], placeholders: Placeholders
) -> None:
    if isinstance(first, PathOperand) and any(
        isinstance(other, PathOperand)
        and other.resolve(placeholders) == first.resolve(placeholders)
        for other in rest
    ):
        raise Invalid(f"The first operand must be distinct from the remaining ones: {operator}")


def check_types(
    operator: str, operands: Iterable[Operand], allowed: frozenset[str], placeholders: Placeholders
) -> None:
    """Raise Invalid for an operand that is known to be of a type that is not allowed."""
    for operand in operands:
        kind = operand.known_type(placeholders)
        if kind is not None and kind not in allowed:
            raise Invalid(
                f"Incorrect operand type for operator or function: {operator}, operand type: {kind}"
            )
