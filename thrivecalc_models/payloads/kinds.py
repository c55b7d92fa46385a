"""The kinds of value a payload field can have, and what each takes at assignment.

A kind is a small value made from an annotation: `list[Amount] | None` is
`Optional(ListOf(AmountKind()))`. What a kind looks like in the table is the codec's business.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import attrs

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads.aliases import Amount
from thrivecalc_models.value import Value
from thrivecalc_models.wire import floor_ms, parse_date, plain_value, to_decimal


class Text(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> str:
        text = plain_value(value)
        if type(text) is not str:
            raise wrong_type(path, "text", value)
        if not text.isascii():
            check_encodable(text, path)
        return text


class Integer(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> int:
        number = plain_value(value)
        if type(number) is not int:
            raise wrong_type(path, "an int", value)
        return number


class Boolean(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> bool:
        if not isinstance(value, bool):
            raise wrong_type(path, "a bool", value)
        return value


class AmountKind(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> Decimal:
        return to_decimal(value, path=path)


class Date(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> date:
        day = plain_value(value)
        if type(day) is date:
            return day
        read = parse_date(day)
        if read is None:
            way_out = "; give its .date()" if isinstance(day, datetime) else ""
            wanted = "a date or text such as 2025-12-31"
            raise wrong_type(path, wanted, value, way_out=way_out)
        return read


class DateTime(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> datetime:
        """The instant in UTC, down to the millisecond, which is all that the table keeps."""
        moment = plain_value(value)
        if type(moment) is not datetime or moment.utcoffset() is None:
            raise wrong_type(path, "a datetime with a time zone", value)
        return floor_ms(moment)


class Binary(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise wrong_type(path, "bytes", value)
        return bytes(value)


@attrs.frozen(eq=False, repr=False)
class ListOf(Value):
    element: Kind

    def convert(self, value: Any, path: str) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise wrong_type(path, "a list", value)
        return value if isinstance(value, list) else list(value)


class SetOfText(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> set[str]:
        if not isinstance(value, set | frozenset):
            raise wrong_type(path, "a set of text", value)
        return value if isinstance(value, set) else set(value)


@attrs.frozen(eq=False, repr=False)
class DictOf(Value):
    element: Kind

    def convert(self, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong_type(path, "a dict", value)
        return value


@attrs.frozen(eq=False, repr=False)
class Nested(Value):
    payload_class: type

    def convert(self, value: Any, path: str) -> Any:
        if not isinstance(value, self.payload_class):
            raise wrong_type(path, self.payload_class.__name__, value)
        return value


@attrs.frozen(eq=False, repr=False)
class Optional(Value):
    kind: Kind

    def convert(self, value: Any, path: str) -> Any:
        return None if value is None else self.kind.convert(value, path)


class Anything(Value):
    __slots__ = ()

    def convert(self, value: Any, path: str) -> Any:
        return value


Kind = (
    Text
    | Integer
    | Boolean
    | AmountKind
    | Date
    | DateTime
    | Binary
    | ListOf
    | SetOfText
    | DictOf
    | Nested
    | Optional
    | Anything
)

_SIMPLE: dict[Any, Kind] = {
    str: Text(),
    int: Integer(),
    bool: Boolean(),
    Amount: AmountKind(),
    date: Date(),
    datetime: DateTime(),
    bytes: Binary(),
    Any: Anything(),
}


def kind_of(annotation: Any, is_payload_class: typing.Callable[[Any], bool]) -> Kind:
    """The kind that an annotation stands for. TypeError for one that the table cannot hold."""
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if is_payload_class(annotation):
        return Nested(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        others = [argument for argument in arguments if argument is not type(None)]
        if len(others) == 1 and len(arguments) == 2:
            return Optional(kind_of(others[0], is_payload_class))
    elif origin is list and len(arguments) == 1:
        return ListOf(kind_of(arguments[0], is_payload_class))
    elif origin is set and arguments == (str,):
        return SetOfText()
    elif origin is dict and len(arguments) == 2 and arguments[0] is str:
        return DictOf(kind_of(arguments[1], is_payload_class))
    raise TypeError(
        f"a payload field cannot be {annotation!r}; use str, int, bool, Amount, date, datetime,"
        " bytes, list[...], set[str], dict[str, ...], another payload class, one of them or None,"
        " or Any"
    )


def converter(kind: Kind, path: str) -> Callable[[Any], Any]:
    """`kind.convert` with its path, and with a short way for what most values are."""
    optional = isinstance(kind, Optional)
    convert = kind.convert

    def text(value: Any) -> Any:
        if (type(value) is str and value.isascii()) or (optional and value is None):
            return value
        return convert(value, path)

    def amount(value: Any) -> Any:
        if type(value) is int and -_SHORT_INT < value < _SHORT_INT:
            return Decimal(value)
        if optional and value is None:
            return None
        return convert(value, path)

    def day(value: Any) -> Any:
        if type(value) is date or (optional and value is None):
            return value
        return convert(value, path)

    def other(value: Any) -> Any:
        return convert(value, path)

    match kind.kind if isinstance(kind, Optional) else kind:
        case Text():
            return text
        case AmountKind():
            return amount
        case Date():
            return day
    return other


_SHORT_INT = 10**18  # far below where an int takes long to become a Decimal


def wrong_type(path: str, wanted: str, value: Any, *, way_out: str = "") -> InvalidRecordError:
    return InvalidRecordError(f"{path} takes {wanted}, not {_kind_name(value)}{way_out}", path=path)


def plain_name(name: Any, path: str) -> str:
    """The plain text of a key of a dict. Raises InvalidRecordError for what is no text."""
    text = plain_value(name)
    if type(text) is not str:
        raise InvalidRecordError(
            f"{path} has a key that is no text but {type(name).__name__}", path=path
        )
    return text


def check_encodable(value: str, path: str) -> None:
    """Refuse text that UTF-8 cannot hold: a surrogate without its pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        encodable = False
    else:
        encodable = True
    if not encodable:
        raise InvalidRecordError(
            f"{path} has half of a surrogate pair, which UTF-8 cannot hold; mend the text",
            path=path,
        )


def _kind_name(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        return "a datetime without a time zone"
    if isinstance(value, str):
        return "this text"
    return f"{type(value).__name__}"
