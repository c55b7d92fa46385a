"""Update actions of callers: check them, and calculate what they leave in an item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Context, Decimal
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
"""The stored forms at some paths, None for an absent one."""


def check_actions(record: UserRecord, actions: list[Action], *, js_safe: bool) -> None:
    """Raise InvalidRecordError, with the path, for an action that would break the record.

    Refused are keys and stamps, numbers that JavaScript cannot hold, and constants that do not fit
    their declared field. A value that the service calculates is not known here.
    """
    if not isinstance(actions, list) or not actions:
        raise TypeError("the value of `actions` is expected to be a non-empty list")
    for action in actions:
        names, whole = target(action)
        _check_constants(record, action, names, whole, js_safe)
        problem = _misfit(record, action, names) if whole else None
        if problem is not None:
            raise InvalidRecordError(
                f"{problem.path} {problem.reason}; {type(record).__name__} does not take that",
                path=problem.path,
            )


def _check_constants(
    record: UserRecord, action: Action, names: Names, whole: bool, js_safe: bool
) -> None:
    path = ".".join(names)
    if names[0] in table.IDENTITY:
        raise InvalidRecordError(
            f"{path} is set by the library when the record is written; leave it out of the actions",
            path=path,
        )
    kind = _kind_at(record, names)
    for operand in _operands(action.values[1:]):
        if isinstance(operand, Value):
            form = with_text(operand.value)
            codec.check_form(kind if whole else None, form, path)
            value = codec.decode_plain(form, path)
            codec.encode_plain(value, path, encoding=encoding_of(js_safe))


def target(action: Action) -> tuple[Names, bool]:
    """Return the names of the path that an action changes, and whether it has no list index."""
    return _names(cast(Path, action.values[0]))


def touched(actions: list[Action]) -> list[Names]:
    """Return the paths that actions change or read, up to their first list index."""
    operands = (operand for action in actions for operand in _operands(action.values))
    paths = (_names(operand)[0] for operand in operands if isinstance(operand, Path))
    return list(dict.fromkeys(paths))


def results(actions: list[Action], before: Item | None) -> Left | None:
    """Return what actions leave at their paths, given the item before; None if it is not known.

    Without an item it is known of constants only: they are the same however often they are set.
    """
    try:
        return {target(action)[0]: _result(action, before) for action in actions}
    except _NotShown:
        return None


# --- paths and operands ---------------------------------------------------------------------------


def _names(path: Path) -> tuple[Names, bool]:
    """Return the names of a path up to its first list index, and whether that is all of it."""
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
    """Return the declared kind at a path, if any. Raises InvalidRecordError for a Python name."""
    payload_class = type(record).payload_class()
    if names[0] != table.DATA or payload_class is None:
        return None
    kind: FieldKind | None = Nested(payload_class)
    for index, name in enumerate(names[1:], 1):
        kind = codec.kind_below(kind, name, ".".join(names[:index]))
    return kind


# --- what fits ------------------------------------------------------------------------------------


def _misfit(record: UserRecord, action: Action, names: Names) -> Unfit | None:
    """Return what is wrong with a constant, or with a removal, at a declared path."""
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
    """The result of an action depends on something that is not known here."""


def _result(action: Action, before: Item | None) -> AttributeValue | None:
    _, whole = target(action)
    match action:
        case RemoveAction() if whole:
            return None
        case SetAction(values=(_, operand)) if whole:
            return _value(operand, before)
        case AddAction(values=(path, added)) if whole:
            return _value(_Increment(_IfNotExists(path, Value({"N": "0"})), added), before)
    raise _NotShown


def _value(operand: Any, before: Item | None) -> AttributeValue:
    """Return the value of an operand, given the item before; raise _NotShown for sets."""
    if isinstance(operand, Value):
        return cast("AttributeValue", with_text(operand.value))
    if before is None:
        raise _NotShown
    match operand:
        case Path():
            form = _stored(operand, before)
            if form is None:
                raise _NotShown
            return form
        case _IfNotExists(values=(path, other)):
            return _stored(path, before) or _value(other, before)
        case _Increment(values=parts):
            return {"N": format(_EXACT.add(*_numbers(parts, before)), "f")}
        case _Decrement(values=parts):
            return {"N": format(_EXACT.subtract(*_numbers(parts, before)), "f")}
        case _ListAppend(values=parts):
            return {"L": [form for part in parts for form in _content(part, "L", before)]}
    raise _NotShown


def _stored(path: Path, before: Item) -> AttributeValue | None:
    """Return the stored form at a path; raise _NotShown for an element of a list."""
    names, whole = _names(path)
    if not whole:
        raise _NotShown
    return value_at(before, names)


def _numbers(operands: Iterable[Any], before: Item) -> list[Decimal]:
    try:
        return [parse_number(_content(each, "N", before)) for each in operands]
    except ValueError:
        raise _NotShown from None


def _content(operand: Any, tag: str, before: Item) -> Any:
    form = _value(operand, before)
    if tag not in form:
        raise _NotShown
    return form[tag]
