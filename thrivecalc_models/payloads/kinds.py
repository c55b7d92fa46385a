"""The kinds of value that a payload field can have, and what each accepts at assignment.

A kind is a small value made from an annotation: `list[Amount] | None` is
`Optional(ListOf(AmountKind()))`. A new simple kind is a class here and an entry in `_SIMPLE`; how
it is stored and drawn is a row each in `codec.scalars`, `exchange.cells` and
`testing.strategies.fields`.
"""

from __future__ import annotations

import enum
import functools
import math
import types
import typing
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, NewType, Protocol, TypeVar
from uuid import UUID

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads.aliases import Amount
from thrivecalc_models.payloads.faults import each
from thrivecalc_models.payloads.marks import (
    derives_from_one,
    is_payload,
    is_payload_class,
    why_no_payload_class,
)
from thrivecalc_models.value import frozen
from thrivecalc_models.wire import (
    describe,
    floor_ms,
    parse_date,
    parse_duration,
    parse_time,
    parse_uuid,
    plain_text,
    plain_value,
    to_decimal,
)
from thrivecalc_models.wire.sizes import MAX_NESTING
from thrivecalc_models.wire.text import HALF_PAIR, utf8_size


class FieldKind(Protocol):
    """A kind of value. Kinds are values themselves: equal and hashable by what they hold."""

    def __hash__(self) -> int: ...

    def convert(self, value: Any, path: str) -> Any:
        """Return a given value as the field holds it. Raises InvalidRecordError with the path."""


@frozen
class Text:
    """Text that UTF-8 can hold."""

    def convert(self, value: Any, path: str) -> str:
        if type(value) is str and value.isascii():  # as most are
            return value
        text = plain_value(value)
        if type(text) is not str:
            raise wrong_type(path, "text", value)
        check_encodable(text, path)
        return text


@frozen
class Integer:
    """A whole number of at most 126 digits."""

    def convert(self, value: Any, path: str) -> int:
        number = plain_value(value)
        if type(number) is not int:
            raise wrong_type(path, "an int", value)
        if number.bit_length() > _LONGEST_INT_BITS:
            raise InvalidRecordError(
                f"{path} has more digits than any number in the table; check its unit", path=path
            )
        return number


@frozen
class Boolean:
    """True or False."""

    def convert(self, value: Any, path: str) -> bool:
        if not isinstance(value, bool):
            raise wrong_type(path, "a bool", value)
        return value


@frozen
class AmountKind:
    """An exact decimal number, given as a number or as text."""

    def convert(self, value: Any, path: str) -> Decimal:
        if type(value) is int and -_SHORT_INT < value < _SHORT_INT:
            return Decimal(value)
        return to_decimal(value, path=path)


@frozen
class Float:
    """A float, given as a number or as text."""

    def convert(self, value: Any, path: str) -> float:
        if type(value) is float and math.isfinite(value):
            return value
        number = float(to_decimal(value, path=path))
        if not math.isfinite(number):
            raise InvalidRecordError(f"{path} is larger than any float; check its unit", path=path)
        return number


@frozen
class Date:
    """A day, given as a date or as text."""

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


@frozen
class DateTime:
    """A moment in UTC, rounded down to the millisecond, as fine as the table keeps it."""

    def convert(self, value: Any, path: str) -> datetime:
        moment = plain_value(value)
        if type(moment) is not datetime or moment.utcoffset() is None:
            raise wrong_type(path, "a datetime with a time zone", value)
        return floor_ms(moment)


@frozen
class TimeOfDay:
    """A time of day without a zone, given as a time or as text."""

    def convert(self, value: Any, path: str) -> time:
        read = value if issubclass(type(value), time) else parse_time(plain_value(value))
        if read is None or read.tzinfo is not None:
            raise wrong_type(path, "a time without a zone, or text such as 12:30:00", value)
        return time(read.hour, read.minute, read.second, read.microsecond)


@frozen
class Duration:
    """A length of time, given as a timedelta or as ISO 8601 text."""

    def convert(self, value: Any, path: str) -> timedelta:
        read = value if issubclass(type(value), timedelta) else parse_duration(plain_value(value))
        if read is None:
            raise wrong_type(path, "a timedelta or text such as P1DT2H", value)
        return timedelta(read.days, read.seconds, read.microseconds)


@frozen
class Uuid:
    """A UUID, given as one or as its text."""

    def convert(self, value: Any, path: str) -> UUID:
        read = value if isinstance(value, UUID) else parse_uuid(plain_value(value))
        if read is None:
            raise wrong_type(path, "a UUID or its text", value)
        return read


@frozen
class MemberOf:
    """A member of an enum whose values are texts, given as one or as its text."""

    enum_class: type[enum.Enum]

    @property
    def by_text(self) -> dict[str, Any]:
        """The members by the text that the table holds."""
        return _members_by_text(self.enum_class)

    def convert(self, value: Any, path: str) -> Any:
        if type(value) is self.enum_class:
            return value
        text = plain_value(value)
        member = self.by_text.get(text) if type(text) is str else None
        if member is None:
            wanted = f"a {self.enum_class.__name__} or the text of one"
            raise wrong_type(path, wanted, value)
        return member


@frozen
class OneOf:
    """One of the texts of a `Literal`."""

    texts: tuple[str, ...]

    @property
    def by_text(self) -> dict[str, Any]:
        """Each text by itself."""
        return {text: text for text in self.texts}

    def convert(self, value: Any, path: str) -> str:
        text = plain_value(value)
        if type(text) is not str or text not in self.texts:
            raise wrong_type(path, f"one of {', '.join(map(repr, self.texts))}", value)
        return text


Choice = MemberOf | OneOf
"""The kinds that hold one of a few texts."""


@functools.cache
def _members_by_text(enum_class: type[enum.Enum]) -> dict[str, Any]:
    return {plain_text(member.value): member for member in enum_class}


@frozen
class Binary:
    """Bytes, given as any object that has them."""

    def convert(self, value: Any, path: str) -> bytes:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise wrong_type(path, "bytes", value)
        return bytes(value)


@frozen
class ListOf:
    """A list whose members are all of one kind."""

    element: FieldKind

    def convert(self, value: Any, path: str) -> list[Any]:
        """Return a new list of the converted members."""
        if not isinstance(value, list | tuple):
            raise wrong_type(path, "a list", value)
        return _members_of_list(self.element.convert, value, path)

    def convert_members(self, value: Any, path: str) -> list[Any]:
        """Convert the members in place. A value of another type than list is converted anew."""
        if type(value) is not list:
            return self.convert(value, path)
        convert = functools.partial(converted_within, self.element)
        value[:] = _members_of_list(convert, value, path)
        return value


@frozen
class TupleOf:
    """A tuple of any length whose members are all of one kind."""

    element: FieldKind

    def convert(self, value: Any, path: str) -> tuple[Any, ...]:
        """Return a new tuple of the converted members."""
        if not isinstance(value, list | tuple):
            raise wrong_type(path, "a tuple", value)
        return tuple(_members_of_list(self.element.convert, value, path))

    def convert_members(self, value: Any, path: str) -> tuple[Any, ...]:
        """Convert what is within the members in place, and return the same tuple if it fits."""
        if type(value) is not tuple:
            return self.convert(value, path)
        convert = functools.partial(converted_within, self.element)
        converted = tuple(_members_of_list(convert, value, path))
        same = all(one is other for one, other in zip(value, converted, strict=True))
        return value if same else converted


@frozen
class SetOfText:
    """A set of text."""

    def convert(self, value: Any, path: str) -> set[str]:
        """Return a new set of the members as plain text."""
        if not isinstance(value, set | frozenset):
            raise wrong_type(path, "a set of text", value)
        return {_TEXT.convert(member, path) for member in value}

    def convert_members(self, value: Any, path: str) -> set[str]:
        converted = self.convert(value, path)
        if type(value) is not set:
            return converted
        _replace_members(value, converted)
        return value


@frozen
class DictOf:
    """A dict from text to values of one kind."""

    element: FieldKind

    def convert(self, value: Any, path: str) -> dict[str, Any]:
        """Return a new dict of the converted members."""
        if not isinstance(value, dict):
            raise wrong_type(path, "a dict", value)
        return _members_of_dict(self.element.convert, plain_names(value, path), path)

    def convert_members(self, value: Any, path: str) -> dict[str, Any]:
        if type(value) is not dict or not all(type(name) is str for name in value):
            return self.convert(value, path)
        convert = functools.partial(converted_within, self.element)
        value.update(_members_of_dict(convert, value, path))
        return value


Convert = Callable[[Any, str], Any]


def _members_of_list(convert: Convert, members: Sequence[Any], path: str) -> list[Any]:
    """Convert the members of a list; only if one fails, again with the path of each."""
    try:
        return [convert(member, path) for member in members]
    except InvalidRecordError:
        pass
    return each(convert, ((member, f"{path}[{n}]") for n, member in enumerate(members)))


def _members_of_dict(convert: Convert, members: dict[str, Any], path: str) -> dict[str, Any]:
    try:
        return {name: convert(member, path) for name, member in members.items()}
    except InvalidRecordError:
        pass
    named = ((member, f"{path}.{name}") for name, member in members.items())
    return dict(zip(members, each(convert, named), strict=True))


@frozen
class Nested:
    """A payload of a class."""

    payload_class: type

    def convert(self, value: Any, path: str) -> Any:
        if not isinstance(value, self.payload_class):
            raise wrong_type(path, self.payload_class.__name__, value)
        is_payload(value, path)  # raises for a class that was not decorated
        return value


@frozen
class Optional:
    """None, or a value of another kind."""

    kind: FieldKind

    def convert(self, value: Any, path: str) -> Any:
        return None if value is None else self.kind.convert(value, path)

    def convert_members(self, value: Any, path: str) -> Any:
        return None if value is None else converted_within(self.kind, value, path)


@frozen
class Anything:
    """Any value that the table can hold."""

    def convert(self, value: Any, path: str) -> Any:
        """Return new containers and what the table reads back: a list, a Decimal, plain text.

        A value that the table cannot hold stays as it is; it is refused when it is written.
        """
        try:
            return _plain(value, path, 1)
        except InvalidRecordError:
            return value

    def convert_members(self, value: Any, path: str) -> Any:
        return _plain_within(value, path, 1)


_TEXT = Text()

_SIMPLE: dict[Any, FieldKind] = {
    str: _TEXT,
    int: Integer(),
    bool: Boolean(),
    Amount: AmountKind(),
    float: Float(),
    date: Date(),
    datetime: DateTime(),
    time: TimeOfDay(),
    timedelta: Duration(),
    UUID: Uuid(),
    bytes: Binary(),
    Any: Anything(),
}


def kind_of(annotation: Any, aliases: tuple[Any, ...] = ()) -> FieldKind:
    """Return the kind of an annotation. Raises TypeError for one that the table cannot hold.

    `aliases` are the `type` aliases that led to it. Raises NameError for an alias whose names are
    not defined.
    """
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if is_payload_class(annotation):
        return Nested(annotation)
    if isinstance(annotation, type) and derives_from_one(annotation):
        raise TypeError(why_no_payload_class(annotation))
    if _is_enum_of_text(annotation):
        return MemberOf(annotation)
    if isinstance(annotation, NewType):
        return kind_of(annotation.__supertype__, aliases)
    if hasattr(annotation, "__value__"):  # of `type X = ...`, or of typing_extensions' own
        if annotation in aliases:
            raise TypeError(
                f"a payload field cannot be {annotation!r}, which holds itself; use Any"
            )
        return kind_of(annotation.__value__, (*aliases, annotation))
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        others = [argument for argument in arguments if argument is not type(None)]
        if len(others) == 1 and len(arguments) == 2:
            inner = kind_of(others[0], aliases)
            return inner if isinstance(inner, Optional) else Optional(inner)
    elif origin is Literal and all(type(text) is str for text in arguments if text is not None):
        return _literal(arguments)
    elif origin is list and len(arguments) == 1:
        return ListOf(kind_of(arguments[0], aliases))
    elif origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return TupleOf(kind_of(arguments[0], aliases))
    elif origin is set and len(arguments) == 1 and kind_of(arguments[0], aliases) == _TEXT:
        return SetOfText()
    elif origin is dict and len(arguments) == 2 and kind_of(arguments[0], aliases) == _TEXT:
        return DictOf(kind_of(arguments[1], aliases))
    raise TypeError(
        f"a payload field cannot be {annotation!r}; use str, int, bool, Amount, float, date,"
        " datetime, time, timedelta, UUID, bytes, an enum or a Literal of text, list[...],"
        " tuple[..., ...], set[str], dict[str, ...], another payload class, one of them or None,"
        " or Any"
    )


def _is_enum_of_text(annotation: Any) -> bool:
    """Whether it is an enum that has members, whose values are all text that UTF-8 can hold."""
    if not (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return False
    texts = [plain_value(member.value) for member in annotation]
    return bool(texts) and all(type(each) is str and utf8_size(each) is not None for each in texts)


def _literal(values: tuple[str | None, ...]) -> FieldKind:
    texts = OneOf(tuple(text for text in values if text is not None))
    return Optional(texts) if None in values else texts


def unwrapped(kind: FieldKind) -> FieldKind:
    """Return the kind of the values that are not None."""
    return kind.kind if isinstance(kind, Optional) else kind


def converted_within(kind: FieldKind, value: Any, path: str) -> Any:
    """Convert a value in place: members may have been added since it was assigned.

    Lists, sets and dicts stay the same objects if they have the kind's type. Nested payloads are
    not entered, as they convert their own fields.
    """
    convert: Convert = getattr(kind, "convert_members", kind.convert)
    return convert(value, path)


def check_depth(depth: int, path: str) -> None:
    """Refuse more levels of maps and lists than DynamoDB takes. Raises InvalidRecordError."""
    if depth > MAX_NESTING:
        raise InvalidRecordError(
            f"{path.split('.')[0]} is nested more than {MAX_NESTING} levels deep, which DynamoDB"
            " refuses; flatten it",
            path=path if len(path) < 200 else path[:200] + "…",
        )


def _plain(value: Any, path: str, depth: int) -> Any:
    match value:
        case dict():
            check_depth(depth, path)
            return {
                name: _plain(member, f"{path}.{name}", depth + 1)
                for name, member in plain_names(value, path).items()
            }
        case list() | tuple():
            check_depth(depth, path)
            return [
                _plain(member, f"{path}[{index}]", depth + 1) for index, member in enumerate(value)
            ]
        case set() | frozenset():
            return {_plain(member, path, depth + 1) for member in value}
        case float() if math.isfinite(value):
            return to_decimal(value, path=path)
        case bytearray():
            return bytes(value)
    return plain_value(value)


def _plain_within(value: Any, path: str, depth: int) -> Any:
    """Convert as `_plain` does, but lists, sets and dicts stay the same objects."""
    if type(value) is list:
        check_depth(depth, path)
        for index, member in enumerate(value):
            value[index] = _plain_within(member, f"{path}[{index}]", depth + 1)
    elif type(value) is dict and all(type(name) is str for name in value):
        check_depth(depth, path)
        for name, member in value.items():
            value[name] = _plain_within(member, f"{path}.{name}", depth + 1)
    elif type(value) is set:
        _replace_members(value, {_plain(member, path, depth + 1) for member in value})
    else:
        return _plain(value, path, depth)
    return value


def _replace_members(members: set[Any], by: set[Any]) -> None:
    if {id(member) for member in members} != {id(member) for member in by}:
        members.clear()
        members.update(by)


def converter(kind: FieldKind, path: str) -> Callable[[Any], Any]:
    """Return `kind.convert` with its path, as attrs calls it."""
    convert = kind.convert

    def convert_at_path(value: Any) -> Any:
        return convert(value, path)

    return taking_anything(convert_at_path)


F = TypeVar("F", bound=Callable[..., Any])


def taking_anything(converter: F) -> F:
    """Annotate a converter with `Any` itself, which attrs copies to the `__init__` of a class.

    As text, "Any" would be looked up in the module of that class, which may not import it.
    """
    converter.__annotations__ = dict.fromkeys(converter.__annotations__, Any)
    return converter


_LONGEST_INT_BITS = 420  # those of 1E126, which DynamoDB refuses
_SHORT_INT = 10**18  # far below where an int takes long to become a Decimal


def wrong_type(path: str, wanted: str, value: Any, *, way_out: str = "") -> InvalidRecordError:
    """Return the error for a value of another type; it names the type and not the value."""
    return InvalidRecordError(f"{path} takes {wanted}, not {_kind_name(value)}{way_out}", path=path)


def plain_name(name: Any, path: str) -> str:
    """Return a key of a dict as plain text. Raises InvalidRecordError for any other type."""
    text = plain_value(name)
    if type(text) is not str:
        raise InvalidRecordError(
            f"{path} has a key that is no text but {type(name).__name__}; use its text", path=path
        )
    return text


def plain_names(value: dict[Any, Any], path: str) -> dict[str, Any]:
    """Copy a dict with its keys as plain text. Raises InvalidRecordError for two equal texts."""
    if type(value) is dict and all(type(name) is str for name in value):
        return value.copy()
    named: dict[str, Any] = {}
    for given, inner in value.items():
        name = plain_name(given, path)
        if name in named:
            raise InvalidRecordError(
                f"{path} has two keys of the text {describe(name)}; give one", path=path
            )
        named[name] = inner
    return named


def convert_mapping(values: dict[Any, Any], path: str, *, prefix: str) -> None:
    """Convert a caller's dict of anything in place; a member's path is `prefix` and its name."""
    for name, value in plain_names(values, path).items():
        values[name] = _plain_within(value, f"{prefix}{name}", 1)
    if any(type(name) is not str for name in values):
        plain = plain_names(values, path)
        values.clear()
        values.update(plain)


def check_encodable(value: str, path: str) -> None:
    """Refuse text that UTF-8 cannot hold: a surrogate without its pair."""
    if utf8_size(value) is None:
        raise InvalidRecordError(
            f"{path} has {HALF_PAIR}, which UTF-8 cannot hold; repair the text",
            path=path,
        )


def _kind_name(value: Any) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        return "a datetime without a time zone"
    if isinstance(value, str):
        return "this text"
    return f"{type(value).__name__}"
