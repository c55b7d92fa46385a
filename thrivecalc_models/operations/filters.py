"""Conditions that callers build on stored attributes, as values: filters of what is read.

`matches` judges an item in memory; `Expressions.filter` writes the text that DynamoDB judges by.
"""

from __future__ import annotations

import attrs

from thrivecalc_models.operations import evaluate
from thrivecalc_models.value import internal
from thrivecalc_models.wire import AttributeValue, Item, value_at

PathTo = tuple[str | int, ...]
"""Names, and positions in lists, from the top of the item down."""


@internal
class At:
    """What is stored at a path."""

    path: PathTo


@internal
class Fixed:
    """A value that the caller gave."""

    value: AttributeValue = attrs.field(repr=False)


@internal
class SizeOf:
    """The size of what is stored at a path."""

    path: PathTo


Operand = At | Fixed | SizeOf


@internal
class Compared:
    """`=`, `<>`, `<`, `<=`, `>`, `>=`."""

    sign: str
    left: Operand
    right: Operand


@internal
class Between:
    """Between two bounds, which count."""

    operand: Operand
    low: Operand
    high: Operand


@internal
class In:
    """Equal to one of the choices."""

    operand: Operand
    choices: tuple[Operand, ...]


@internal
class Begins:
    """Text or binary with a prefix."""

    operand: Operand
    prefix: Operand


@internal
class Contains:
    """Text with a part, a list or a set with an element."""

    operand: Operand
    part: Operand


@internal
class OfType:
    """Stored under this type of DynamoDB's."""

    operand: Operand
    tag: str


@internal
class IsStored:
    """Something is stored at the path, or nothing if it is not `wanted`."""

    path: PathTo
    wanted: bool = True


@internal
class Every:
    """All of the parts hold."""

    parts: tuple[Filter, ...]


@internal
class Some:
    """At least one of the parts holds."""

    parts: tuple[Filter, ...]


@internal
class Not:
    """The part does not hold."""

    part: Filter


Filter = Compared | Between | In | Begins | Contains | OfType | IsStored | Every | Some | Not


def matches(condition: Filter, item: Item) -> bool:
    """Whether it holds for a stored item."""

    def read(operand: Operand) -> AttributeValue | None:
        return _read(operand, item)

    match condition:
        case Compared(sign, left, right):
            return evaluate.compare(sign, read(left), read(right))
        case Between(operand, low, high):
            return evaluate.is_between(read(operand), read(low), read(high))
        case In(operand, choices):
            return evaluate.is_in(read(operand), map(read, choices))
        case Begins(operand, prefix):
            return evaluate.begins_with(read(operand), read(prefix))
        case Contains(operand, part):
            return evaluate.contains(read(operand), read(part))
        case OfType(operand, tag):
            return tag in (read(operand) or {})
        case IsStored(path, wanted):
            return (value_at(item, path) is not None) is wanted
        case Every(parts):
            return all(matches(part, item) for part in parts)
        case Some(parts):
            return any(matches(part, item) for part in parts)
        case Not(part):
            return not matches(part, item)


def _read(operand: Operand, item: Item) -> AttributeValue | None:
    match operand:
        case At(path):
            return value_at(item, path)
        case Fixed(value):
            return value
        case SizeOf(path):
            return evaluate.size_of(value_at(item, path))
