"""Update expressions: SET, REMOVE, ADD and DELETE, read and applied to a copy of an item.

Every operand is read from the item before the update, and list positions count in the old list.
Source: "Update expressions", Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Context, Decimal, Inexact
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, Final

import attrs

from thrivecalc_models.operations.evaluate import SETS
from thrivecalc_models.testing.conditions import Operand, PathOperand
from thrivecalc_models.testing.expressions import Parser, checked_text
from thrivecalc_models.testing.paths import Path, check_apart
from thrivecalc_models.testing.placeholders import Parsed, Placeholders
from thrivecalc_models.testing.refusals import Invalid
from thrivecalc_models.testing.values import copied, decimal, member_order, normalised
from thrivecalc_models.wire import AttributeValue, Item

_INVALID_PATH: Final = "The document path provided in the update expression is invalid for update"
_WRONG_TYPE: Final = "An operand in the update expression has an incorrect data type"
_MISSING: Final = "The provided expression refers to an attribute that does not exist in the item"
_ADDABLE: Final = frozenset({"N", *SETS})


@attrs.frozen
class Plain:
    """What an operand is, which must be in the item."""

    operand: Operand

    def value(self, item: Item, placeholders: Placeholders) -> AttributeValue:
        """The value to be set; raises Invalid for an item that lacks an operand."""
        value = self.operand.read(item, placeholders)
        if value is None:
            raise Invalid(_MISSING)
        return value


@attrs.frozen
class IfNotExists:
    """`if_not_exists(…)`: what is at a path, or else another value."""

    path: PathOperand
    otherwise: SetValue

    def value(self, item: Item, placeholders: Placeholders) -> AttributeValue:
        found = self.path.read(item, placeholders)
        return self.otherwise.value(item, placeholders) if found is None else found


@attrs.frozen
class ListAppend:
    """`list_append(…)`: two lists, one after the other."""

    first: SetValue
    second: SetValue

    def value(self, item: Item, placeholders: Placeholders) -> AttributeValue:
        lists = [part.value(item, placeholders) for part in (self.first, self.second)]
        if not all("L" in each for each in lists):
            raise Invalid(_WRONG_TYPE)
        return {"L": [element for each in lists for element in each["L"]]}


@attrs.frozen
class Sum:
    """Two numbers added, or subtracted with a sign of -1."""

    left: SetValue
    sign: int
    right: SetValue

    def value(self, item: Item, placeholders: Placeholders) -> AttributeValue:
        left = self.left.value(item, placeholders)
        right = self.right.value(item, placeholders)
        if "N" not in left or "N" not in right:
            raise Invalid(_WRONG_TYPE)
        return _sum(decimal(left["N"]), self.sign * decimal(right["N"]))


SetValue = Plain | IfNotExists | ListAppend | Sum


@attrs.frozen
class Action:
    """One thing an update does at a path; `value` is None for REMOVE."""

    clause: str
    path: PathOperand
    value: SetValue | None


@attrs.frozen
class Update:
    """An update expression with the paths it touches, ready to be applied."""

    actions: tuple[tuple[Action, Path], ...]
    placeholders: Placeholders

    def touched(self) -> set[str]:
        """Names of the attributes of the item that it writes to."""
        return {str(path[0]) for _, path in self.actions}

    def applied(self, item: Item) -> Item:
        """A new item; raises Invalid where the item does not fit. `item` stays as it is."""
        changed = dict(item)
        for _, path in self.actions:
            # Operands are read from `item` as it was, so that nothing within it may be edited.
            if len(path) > 1 and path[0] in item:
                changed[str(path[0])] = copied(item[str(path[0])])
        edits = _Edits()
        for action, path in self.actions:
            container = _container(changed, path)
            edits.add(container, path[-1], self._outcome(action, path, container, item))
        edits.perform()
        return changed

    def _outcome(
        self, action: Action, path: Path, container: Any, item: Item
    ) -> AttributeValue | None:
        if action.value is None:
            return None
        value = action.value.value(item, self.placeholders)
        if action.clause == "SET":
            return value
        present = _element(container, path[-1])
        return _added(present, value) if action.clause == "ADD" else _deleted(present, value)


def parse_update(text: str) -> Parsed:
    """An update expression: its tree is a tuple of actions."""
    return _parse_update(checked_text(text, "update"))


def bound_update(text: str, placeholders: Placeholders) -> Update:
    """The update of a request; raises Invalid for overlapping paths and hopeless operands."""
    parsed = parse_update(text)
    placeholders.bind(parsed)
    actions = tuple((action, action.path.resolve(placeholders)) for action in parsed.tree)
    check_apart(tuple(path for _, path in actions))
    for action, _ in actions:
        _check_operands(action, placeholders)
    return Update(actions, placeholders)


class _Edits:
    """Changes to maps and lists, made only when all of them are known."""

    def __init__(self) -> None:
        self._containers: dict[int, tuple[Any, list[tuple[Any, AttributeValue | None]]]] = {}

    def add(self, container: Any, part: str | int, value: AttributeValue | None) -> None:
        self._containers.setdefault(id(container), (container, []))[1].append((part, value))

    def perform(self) -> None:
        for container, edits in self._containers.values():
            if isinstance(container, dict):
                _edit_map(container, edits)
            else:
                _edit_list(container, edits)


def _edit_map(container: dict[str, Any], edits: list[tuple[Any, AttributeValue | None]]) -> None:
    for name, value in edits:
        if value is None:
            container.pop(name, None)
        else:
            container[name] = value


def _edit_list(container: list[Any], edits: list[tuple[Any, AttributeValue | None]]) -> None:
    # Positions count in the old list; one behind its end appends, in the order of positions.
    length = len(container)
    removed = {at for at, value in edits if value is None}
    for at, value in sorted((at, value) for at, value in edits if value is not None):
        if at < length:
            container[at] = value
        else:
            container.append(value)
    container[:] = [
        value for at, value in enumerate(container) if at >= length or at not in removed
    ]


def _container(item: Item, path: Path) -> Any:
    container: Any = item
    for part, following in pairwise(path):
        inner = _element(container, part)
        kind = "L" if isinstance(following, int) else "M"
        if inner is None or kind not in inner:
            raise Invalid(_INVALID_PATH)
        container = inner[kind]
    return container


def _element(container: Any, part: str | int) -> AttributeValue | None:
    found: AttributeValue | None
    if isinstance(part, int):
        found = container[part] if part < len(container) else None
    else:
        found = container.get(part)
    return found


def _added(present: AttributeValue | None, value: AttributeValue) -> AttributeValue:
    if present is None:
        return value
    [(kind, content)] = value.items()
    if kind not in present:
        raise Invalid(_WRONG_TYPE)
    if kind == "N":
        return _sum(decimal(present["N"]), decimal(content))
    return _sorted_set(kind, {*present[kind], *content})


def _deleted(present: AttributeValue | None, value: AttributeValue) -> AttributeValue | None:
    [(kind, content)] = value.items()
    if present is None:
        return None
    if kind not in present:
        raise Invalid(_WRONG_TYPE)
    left = set(present[kind]) - set(content)
    return _sorted_set(kind, left) if left else None


def _sorted_set(kind: str, members: set[str]) -> AttributeValue:
    return {kind: sorted(members, key=lambda member: member_order(kind, member))}


def _sum(left: Decimal, right: Decimal) -> AttributeValue:
    # The service refuses a sum that it would have to round.
    try:
        total = Context(prec=38, traps=[Inexact]).add(left, right)
    except Inexact:
        raise Invalid("Attempting to store more than 38 significant digits in a Number") from None
    return normalised({"N": str(total)})


def _check_operands(action: Action, placeholders: Placeholders) -> None:
    allowed = {"ADD": _ADDABLE, "DELETE": frozenset(SETS)}.get(action.clause)
    if allowed is not None and isinstance(action.value, Plain):
        _check_kind(action.value, allowed, placeholders)
    for value in _parts(action.value):
        if isinstance(value, Sum):
            _check_kind(value.left, frozenset({"N"}), placeholders)
            _check_kind(value.right, frozenset({"N"}), placeholders)
        elif isinstance(value, ListAppend):
            _check_kind(value.first, frozenset({"L"}), placeholders)
            _check_kind(value.second, frozenset({"L"}), placeholders)


def _check_kind(value: SetValue, allowed: frozenset[str], placeholders: Placeholders) -> None:
    if isinstance(value, Plain):
        kind = value.operand.known_type(placeholders)
        if kind is not None and kind not in allowed:
            raise Invalid(f"Incorrect operand type for operator or function; operand type: {kind}")


def _parts(value: SetValue | None) -> Iterator[SetValue]:
    if value is None:
        return
    yield value
    if isinstance(value, IfNotExists):
        yield from _parts(value.otherwise)
    elif isinstance(value, ListAppend):
        yield from _parts(value.first)
        yield from _parts(value.second)
    elif isinstance(value, Sum):
        yield from _parts(value.left)
        yield from _parts(value.right)


@lru_cache(maxsize=2048)
def _parse_update(text: str) -> Parsed:
    parser = Parser(text, "update")
    actions: list[Action] = []
    met: set[str] = set()
    while parser.token:
        clause = parser.keyword
        if clause not in _CLAUSES:
            raise parser.syntax_error()
        if clause in met:
            raise parser.error(f'The "{clause}" section can only be used once')
        met.add(clause)
        parser.take()
        actions += parser.separated(partial(_CLAUSES[clause], parser))
    return parser.parsed(tuple(actions))


def _set(parser: Parser) -> Action:
    path = parser.path()
    parser.expect("=")
    return Action("SET", path, _set_value(parser))


def _remove(parser: Parser) -> Action:
    return Action("REMOVE", parser.path(), None)


def _add(parser: Parser) -> Action:
    return Action("ADD", parser.path(), Plain(parser.value()))


def _delete(parser: Parser) -> Action:
    return Action("DELETE", parser.path(), Plain(parser.value()))


_CLAUSES: Final[dict[str, Callable[[Parser], Action]]] = {
    "SET": _set,
    "REMOVE": _remove,
    "ADD": _add,
    "DELETE": _delete,
}


def _set_value(parser: Parser) -> SetValue:
    if parser.accept("("):
        inside = _set_value(parser)
        parser.expect(")")
        return inside
    left = _set_operand(parser)
    for sign in ("+", "-"):
        if parser.accept(sign):
            parser.count_operator()
            return Sum(left, 1 if sign == "+" else -1, _set_operand(parser))
    return left


def _set_operand(parser: Parser) -> SetValue:
    if parser.token.startswith(":"):
        return Plain(parser.value())
    if not parser.calls_function():
        return Plain(parser.path())
    name = parser.take()
    if name == "if_not_exists":
        path, otherwise = parser.arguments(2, lambda: _set_operand(parser))
        if not isinstance(path, Plain) or not isinstance(path.operand, PathOperand):
            raise parser.error("if_not_exists requires a document path")
        return IfNotExists(path.operand, otherwise)
    if name == "list_append":
        return ListAppend(*parser.arguments(2, lambda: _set_operand(parser)))
    raise parser.error(f"Invalid function name; function: {name}")
