"""Convert single values between DynamoDB's JSON and the cells of typed columns.

A cell holds plain Python: str, int, Decimal, bool, bytes, date, datetime, list, dict. Reading a
cell accepts other forms of the same value (a float for an amount, a date-time for a date) and
refuses the rest. A stored value gets a cell only if reading the cell returns exactly that value.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import attrs

from thrivecalc_models.codec import encoding_of, scalar_of
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.exchange.jsontext import Number
from thrivecalc_models.exchange.rows import RowProblem
from thrivecalc_models.payloads import Field, fields_of, kinds
from thrivecalc_models.wire import (
    AttributeValue,
    floor_ms,
    format_timestamp,
    number_text,
    parse_date,
    parse_timestamp,
)


class NoCell(Exception):
    """Raised for a stored value that a cell cannot hold exactly."""


# --- cells to stored values -----------------------------------------------------------------------


def form_of(kind: kinds.FieldKind, value: Any, path: str, *, js_safe: bool) -> AttributeValue:
    """Convert a cell of a column of this kind to the stored value. Raises RowProblem.

    With `js_safe`, numbers that JavaScript cannot hold are refused.
    """

    def inner(kind: kinds.FieldKind, member: Any, place: str) -> AttributeValue:
        return form_of(kind, member, path + place, js_safe=js_safe)

    scalar = scalar_of(kind)
    if scalar is not None:
        read = SCALARS[type(kind)].read
        given = _as_field(kind, value, path) if read is None else read(value, path, js_safe)
        return {scalar.tag: given}
    match kind:
        case kinds.Optional(held):
            return {"NULL": True} if value is None else inner(held, value, "")
        case kinds.SetOfText():
            members = _of_type(value, list | set | frozenset, "a list of text", path)
            return {"SS": [_of_type(member, str, "text", path) for member in members]}
        case kinds.ListOf(element) | kinds.TupleOf(element):
            members = _of_type(value, list, "a list", path)
            return {"L": [inner(element, each, f"[{at}]") for at, each in enumerate(members)]}
        case kinds.DictOf(element):
            named = _named(value, path)
            if not isinstance(element, kinds.Optional):
                named = _without_none(named)
            return {"M": {name: inner(element, each, f".{name}") for name, each in named.items()}}
        case kinds.Nested(payload_class):
            return {"M": _nested(payload_class, value, path, js_safe=js_safe)}
    raise RowProblem(f"{path} has no typed column; put it in the column of JSON")


def _nested(
    payload_class: type, value: Any, path: str, *, js_safe: bool
) -> dict[str, AttributeValue]:
    given = _without_none(_named(value, path))
    known = {field.wire_name: field for field in fields_of(payload_class)}
    for name in given:
        if name not in known:
            raise RowProblem(f"{path}.{name} is not a field of {payload_class.__name__}")
    return {
        name: form_of(known[name].kind, member, f"{path}.{name}", js_safe=js_safe)
        for name, member in given.items()
    }


def _without_none(named: dict[str, Any]) -> dict[str, Any]:
    """The members that are present: Arrow gives absent ones as None."""
    return {name: member for name, member in named.items() if member is not None}


def _of_type(value: Any, wanted: Any, words: str, path: str) -> Any:
    """Return the value if it has the type, which `words` name. Raises RowProblem."""
    if not isinstance(value, wanted) or isinstance(value, Number):
        raise RowProblem(f"{path} takes {words}, not {_kind_of(value)}")
    return value


def _kind_of(value: Any) -> str:
    if isinstance(value, Number | int | float | Decimal) and not isinstance(value, bool):
        return "a number"
    words = {"str": "text", "NoneType": "nothing", "dict": "a map", "list": "a list"}
    name = type(value).__name__
    return words.get(name, name)


def _text(value: Any, path: str, js_safe: bool) -> str:
    text: str = _of_type(value, str, "text", path)
    return text


_COMMA = re.compile(r"\s*[-+]?[0-9][0-9.,'\s]*,[0-9]+[0-9.,'\s]*")


def _number(value: Any, path: str, js_safe: bool) -> str:
    given = str(value) if isinstance(value, Number) else value
    if isinstance(given, str) and _COMMA.fullmatch(given):
        raise RowProblem(
            f"{path} is text that is no number: it has a decimal comma, or commas between"
            " thousands; write it with a point and without separators, as 1234.56"
        )
    try:
        return number_text(given, path=path, js_safe=js_safe)
    except InvalidRecordError as error:
        raise RowProblem(str(error)) from None


def _integer(value: Any, path: str, js_safe: bool) -> str:
    text = _number(value, path, js_safe)
    if "." in text:
        raise RowProblem(f"{path} takes a whole number")
    return text


def _date(value: Any, path: str, js_safe: bool) -> str:
    if isinstance(value, datetime):
        if value.time() != time():
            raise RowProblem(
                f"{path} takes a date, and this one has a time of day; cast the column to a date,"
                " in the time zone whose day is meant"
            )
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    read = parse_date(value) if isinstance(value, str) else None
    if read is None:
        raise RowProblem(f"{path} takes a date such as 2025-12-31")
    return read.isoformat()


def _timestamp(value: Any, path: str, js_safe: bool) -> str:
    moment = parse_timestamp(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise RowProblem(f"{path} takes a date-time with its zone, such as 2025-01-07T12:30:00Z")
    try:
        return format_timestamp(floor_ms(moment), path=path)
    except InvalidRecordError as error:
        raise RowProblem(str(error)) from None


def _boolean(value: Any, path: str, js_safe: bool) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise RowProblem(f"{path} takes true or false")
    return bool(value == "true")


def _binary(value: Any, path: str, js_safe: bool) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    text = _of_type(value, str, "base64 text", path)
    try:
        return b64encode(b64decode(text, validate=True)).decode()
    except ValueError:
        raise RowProblem(f"{path} takes base64 text") from None


def _as_field(kind: kinds.FieldKind, value: Any, path: str) -> Any:
    """Read a cell as a field of the kind takes it: its Python value, or its text."""
    scalar = scalar_of(kind)
    assert scalar is not None
    if isinstance(value, Number):
        raise RowProblem(f"{path} takes text, not a number")
    try:
        return scalar.content(kind.convert(value, path), path, encoding_of(False))
    except InvalidRecordError as error:
        raise RowProblem(str(error)) from None


Reader = Callable[[Any, str, bool], Any]
"""Reads a scalar cell, with its path and `js_safe`; returns the stored content without its tag."""

AMOUNT_DIGITS, AMOUNT_DECIMALS = 38, 18


@attrs.frozen
class ScalarColumn:
    """How files hold a simple kind: what reads its cells, and its type in pyarrow, the module.

    `read` is None for cells that are read as a field of the kind takes its value. With `as_text`,
    a typed cell holds the stored text.
    """

    read: Reader | None
    arrow: Callable[[Any], Any]
    as_text: bool = False


SCALARS: dict[type, ScalarColumn] = {
    kinds.Text: ScalarColumn(_text, lambda pa: pa.string()),
    kinds.AmountKind: ScalarColumn(
        _number, lambda pa: pa.decimal128(AMOUNT_DIGITS, AMOUNT_DECIMALS)
    ),
    kinds.Float: ScalarColumn(_number, lambda pa: pa.float64()),
    kinds.Integer: ScalarColumn(_integer, lambda pa: pa.int64()),
    kinds.Boolean: ScalarColumn(_boolean, lambda pa: pa.bool_()),
    kinds.Date: ScalarColumn(_date, lambda pa: pa.date32()),
    kinds.DateTime: ScalarColumn(_timestamp, lambda pa: pa.timestamp("ms", "UTC")),
    kinds.TimeOfDay: ScalarColumn(None, lambda pa: pa.time64("us")),
    kinds.Duration: ScalarColumn(None, lambda pa: pa.string(), as_text=True),
    kinds.Uuid: ScalarColumn(None, lambda pa: pa.string(), as_text=True),
    kinds.MemberOf: ScalarColumn(None, lambda pa: pa.string(), as_text=True),
    kinds.OneOf: ScalarColumn(None, lambda pa: pa.string(), as_text=True),
    kinds.Binary: ScalarColumn(_binary, lambda pa: pa.binary()),
}
"""The simple kinds, as `codec.scalars` has them."""


def _named(value: Any, path: str) -> dict[str, Any]:
    """The members of a map: a dict, or the list of pairs that Arrow returns for one."""
    if isinstance(value, dict):
        return value
    pairs = _of_type(value, list, "a map", path)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise RowProblem(f"{path} takes a map, not a list")
    named = dict(pairs)
    if len(named) < len(pairs):
        raise RowProblem(f"{path} has a name twice")
    return named


# --- stored values to cells -----------------------------------------------------------------------

ScalarCell = Callable[[kinds.FieldKind, AttributeValue], Any]
"""How a format holds a scalar; it may raise NoCell, ValueError or ArithmeticError."""


def cell_of(kind: kinds.FieldKind, form: AttributeValue, scalar: ScalarCell) -> Any:
    """Return the cell that holds a stored value exactly. Raises NoCell if there is none."""
    try:
        cell = _cell(kind, form, scalar)
        again = form_of(kind, cell, "", js_safe=False)
    except (RowProblem, ValueError, ArithmeticError, KeyError):
        again = None
    if again != form:
        raise NoCell
    return cell


def _cell(kind: kinds.FieldKind, form: AttributeValue, scalar: ScalarCell) -> Any:
    match kind:
        case kinds.Optional(inner):
            return None if "NULL" in form else _cell(inner, form, scalar)
        case kinds.ListOf(element) | kinds.TupleOf(element):
            return [_cell(element, member, scalar) for member in form["L"]]
        case kinds.DictOf(element):
            return {name: _cell(element, member, scalar) for name, member in form["M"].items()}
        case kinds.SetOfText():
            return list(form["SS"])
        case kinds.Nested(payload_class):
            return _nested_cell(fields_of(payload_class), form["M"], scalar)
        case kinds.Anything():
            raise NoCell
    return scalar(kind, form)


def _nested_cell(
    fields: tuple[Field, ...], content: dict[str, AttributeValue], scalar: ScalarCell
) -> dict[str, Any]:
    known = {field.wire_name: field.kind for field in fields}
    return {name: _cell(known[name], member, scalar) for name, member in content.items()}


def python_scalar(kind: kinds.FieldKind, form: AttributeValue) -> Any:
    """Return a scalar as Python's type: Decimal, int, date, aware datetime, bytes, bool, str."""
    scalar = scalar_of(kind)
    if scalar is None:
        raise NoCell
    content = form[scalar.tag]
    return content if SCALARS[type(kind)].as_text else scalar.read(content)


def text_scalar(kind: kinds.FieldKind, form: AttributeValue) -> Any:
    """Return a scalar as JSON text holds it: numbers with all their digits, binary as base64."""
    ((tag, content),) = form.items()
    return Number(content) if tag == "N" else content
