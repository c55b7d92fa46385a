"""A caller's update actions: what they touch, what they leave, and what would break a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Context
from typing import TYPE_CHECKING, Any, cast

from pynamodb.expressions.operand import (
    Path,
    Value,
    _Decrement,
    _IfNotExists,
    _Increment,
    _ListAppend,
)
from pynamodb.expressions.update import Action, AddAction, RemoveAction, SetAction

from thrivecalc_models import codec, table
from thrivecalc_models.codec import Origins, Unfit
from thrivecalc_models.codec.numbers import encoding_of
from thrivecalc_models.codec.values import decode
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import FieldKind, fields_of
from thrivecalc_models.payloads.kinds import Nested
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    parse_number,
    parse_ttl,
    value_at,
    with_text,
)

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

Names = tuple[str, ...]
Left = dict[Names, AttributeValue | None]
"""What is at some paths; None where nothing is."""


def check_actions(record: UserRecord, actions: list[Action], *, js_safe: bool) -> None:
    """Refuse what would break the record, as far as it shows before the update is performed.

    That is: keys and stamps, numbers that JavaScript cannot hold, and constants that do not fit the
    declared field they are for. Raises InvalidRecordError with the path.
    """
    if not isinstance(actions, list) or not actions:
        raise TypeError("the value of `actions` is expected to be a non-empty list")
    for action in actions:
        names, whole = target(action)
        path = ".".join(names)
        if names[0] in table.IDENTITY:
            raise InvalidRecordError(
                f"{path} is set by the library when the record is written; leave it out of the"
                " actions",
                path=path,
            )
        kind = _kind_at(record, names)
        for operand in _operands(action.values[1:]):
            if isinstance(operand, Value):
                codec.check_form(kind if whole else None, with_text(operand.value), path)
                value = codec.decode_plain(with_text(operand.value), path)
                codec.encode_plain(value, path, encoding=encoding_of(js_safe))
        problem = _misfit(record, action, names) if whole else None
        if problem is not None:
            raise InvalidRecordError(
                f"{problem.path} {problem.reason}; {type(record).__name__} does not take that",
                path=problem.path,
            )


def target(action: Action) -> tuple[Names, bool]:
    """The names of the path that an action changes, and whether that is the whole path."""
    return _names(cast(Path, action.values[0]))


def touched(actions: list[Action]) -> list[Names]:
    """The attributes that actions change or read."""
    operands = (operand for action in actions for operand in _operands(action.values))
    paths = (_names(operand)[0] for operand in operands if isinstance(operand, Path))
    return list(dict.fromkeys(paths))


def results(actions: list[Action], before: Item | None) -> Left | None:
    """What actions leave at their paths, given the item before; None where that does not show.

    Without an item only constants show: what is the same however often it is performed.
    """
    try:
        return {target(action)[0]: _result(action, before) for action in actions}
    except _NotShown:
        return None


# --- paths and operands ---------------------------------------------------------------------------


def _names(path: Path) -> tuple[Names, bool]:
    """The attribute names of a path up to its first list index, and whether that is all of it."""
    names = []
    for segment in path.path:
        name, index, _ = segment.partition("[")
        names.append(name)
        if index:
            return tuple(names), False
    return tuple(names), True


def _operands(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield value
        if not isinstance(value, Path | Value):
            yield from _operands(value.values)


def _kind_at(record: UserRecord, names: Names) -> FieldKind | None:
    """What the payload class declares at a path. Raises InvalidRecordError for a wrong spelling."""
    payload_class = type(record).payload_class()
    if names[0] != table.DATA or payload_class is None:
        return None
    kind: FieldKind | None = Nested(payload_class)
    for index, name in enumerate(names[1:], 1):
        kind = codec.kind_below(kind, name, ".".join(names[:index]))
    return kind


# --- what fits ------------------------------------------------------------------------------------


def _misfit(record: UserRecord, action: Action, names: Names) -> Unfit | None:
    """What is wrong with a constant, or a removal, at a declared path."""
    if isinstance(action, RemoveAction):
        form = None
    elif isinstance(action.values[1], Value):
        form = with_text(action.values[1].value)
    else:
        return None
    payload_class = type(record).payload_class()
    try:
        if names == (table.TTL,):
            _check_ttl(action, form)
        elif names == (table.DATA,):
            _check_data(payload_class, form)
        elif names[0] == table.DATA and len(names) == 2 and payload_class is not None:
            _check_field(payload_class, names[1], form)
    except Unfit as unfit:
        return unfit.with_traceback(None)
    return None


def _check_ttl(action: Action, form: Any) -> None:
    if isinstance(action, SetAction) and ("N" not in form or parse_ttl(form["N"]) is None):
        raise Unfit(table.TTL, "takes a time between 1970 and 9999, in seconds")


def _check_data(payload_class: type | None, form: Any) -> None:
    if form is None:
        raise Unfit(table.DATA, "cannot be removed")
    if "M" not in form:
        raise Unfit(table.DATA, f"is no map but {next(iter(form))}")
    if payload_class is not None:
        codec.decode_payload(payload_class, form["M"], Origins())


def _check_field(payload_class: type, name: str, form: AttributeValue | None) -> None:
    for field in fields_of(payload_class):
        path = f"{table.DATA}.{name}"
        if field.wire_name != name:
            continue
        if form is not None and "NULL" not in form:
            decode(field.kind, form, path, Origins())
        elif field.required:
            raise Unfit(path, "is required, and cannot be removed or NULL")


# --- what actions leave ---------------------------------------------------------------------------

_EXACT = Context(prec=38)


class _NotShown(Exception):
    """What an action leaves depends on what is not known here."""


def _result(action: Action, before: Item | None) -> AttributeValue | None:
    _, whole = target(action)
    if whole and isinstance(action, RemoveAction):
        return None
    if whole and isinstance(action, SetAction):
        return _value(action.values[1], before)
    if whole and isinstance(action, AddAction):
        path, added = action.values
        return _value(_Increment(_IfNotExists(path, Value({"N": "0"})), added), before)
    raise _NotShown


def _value(operand: Any, before: Item | None) -> AttributeValue:
    """What an operand is, given the item before: numbers and lists are reckoned, sets are not."""
    if isinstance(operand, Value):
        return cast("AttributeValue", with_text(operand.value))
    if before is None:
        raise _NotShown
    match operand:
        case Path():
            names, whole = _names(operand)
            form = value_at(before, names) if whole else None
            if form is None:
                raise _NotShown
            return form
        case _IfNotExists(values=(path, other)):
            names, whole = _names(path)
            form = value_at(before, names) if whole else None
            return form or _value(other if whole else path, before)
        case _Increment(values=parts) | _Decrement(values=parts):
            try:
                one, other = (parse_number(_content(part, "N", before)) for part in parts)
            except ValueError:
                raise _NotShown from None
            reckon = _EXACT.add if isinstance(operand, _Increment) else _EXACT.subtract
            return {"N": format(reckon(one, other), "f")}
        case _ListAppend(values=parts):
            return {"L": [form for part in parts for form in _content(part, "L", before)]}
    raise _NotShown


def _content(operand: Any, tag: str, before: Item) -> Any:
    form = _value(operand, before)
    if tag not in form:
        raise _NotShown
    return form[tag]
