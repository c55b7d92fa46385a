"""PynamoDB attributes of the table, which read from the state of a record."""

from __future__ import annotations

import difflib
import functools
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, overload

from pynamodb.attributes import Attribute, DiscriminatorAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.constants import MAP, STRING
from pynamodb.expressions.condition import Comparison
from pynamodb.expressions.operand import Path, Value
from pynamodb.expressions.update import RemoveAction, SetAction

from thrivecalc_models.codec import Origins, encode_data, encode_plain, kind_below
from thrivecalc_models.codec.numbers import EXACT
from thrivecalc_models.errors import InvalidKeyError, InvalidRecordError, UnknownTypeWarning
from thrivecalc_models.payloads import FieldKind, is_payload, is_payload_class, why_no_payload_class
from thrivecalc_models.payloads.kinds import Anything, Nested
from thrivecalc_models.records.state import state_of
from thrivecalc_models.signals import warn
from thrivecalc_models.table import DATA
from thrivecalc_models.value import even_half_made
from thrivecalc_models.wire import (
    AttributeValue,
    check_data_type,
    describe,
    format_timestamp,
    format_ttl,
    later,
    parse_timestamp,
    parse_ttl,
    plain_text,
    plain_value,
    with_bytes,
)

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

T = TypeVar("T")


class _RecordValue(Generic[T]):
    """A value of a record; on the class it is the attribute itself, for conditions."""

    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: Any, owner: Any) -> T: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else self._value(instance)

    def _value(self, instance: Any) -> T:
        raise NotImplementedError


class KeyAttribute(_RecordValue[str], UnicodeAttribute):
    """Part of a record's identity: set at construction, fixed once the record is stored."""

    def _value(self, instance: Any) -> str:
        return cast("str", instance.attribute_values.get(self.attr_name))

    def __set__(self, instance: Any, value: Any) -> None:
        state_of(instance).set_identity(self.attr_name, value)


class DerivedKeyAttribute(_RecordValue[str], UnicodeAttribute):
    """`recordKey`, which follows from the type and the record id."""

    def _value(self, instance: Any) -> str:
        return state_of(instance).key

    def __set__(self, instance: Any, value: Any) -> None:
        raise InvalidKeyError(
            "recordKey is derived from the type and the record id; give record_id instead",
            path="recordKey",
        )


class DataTypeAttribute(_RecordValue[str], DiscriminatorAttribute):  # type: ignore[misc]
    """The discriminator: text on records, text or a record class in conditions."""

    def __init__(self, attr_name: str | None = None) -> None:
        super().__init__(attr_name=attr_name)
        self._by_payload_class: dict[Any, list[type]] = {}
        self._classes_known = 0

    def register_class(self, cls: type, discriminator: Any) -> None:
        data_type = check_data_type(discriminator)
        taken = self._discriminator_map.get(data_type)
        if taken is not None and taken is not cls and not _is_defined_again(taken, cls):
            raise InvalidKeyError(
                f"the data type {data_type!r} is taken by {taken.__name__}; choose another one",
                path="dataType",
            )
        for known in [each for each in self._class_map if _is_replaced(each, cls, taken)]:
            del self._discriminator_map[self._class_map.pop(known)]
            warn(
                f"{cls.__module__}.{cls.__qualname__} is defined again; records read from now on"
                " are of the new class",
                RuntimeWarning,
            )
        super().register_class(cls, data_type)
        self._classes_known = 0

    def __reduce__(self) -> Any:
        """Unpickle as the one of that process, in which the class is then registered."""
        return _registry, ()

    def classes_of_payload(self, payload_class: type) -> list[type[UserRecord]]:
        """Return the record classes whose `data` is of a payload class.

        Those that declare `data` themselves come alone; if there are none, those that inherit it.
        """
        if self._classes_known != len(self._class_map):
            found = defaultdict(list)
            for cls in self._class_map:
                found[cls.payload_class()].append(cls)  # type: ignore[attr-defined]  # all are record classes
            self._by_payload_class = {
                payload: [cls for cls in classes if DATA in vars(cls)] or classes
                for payload, classes in found.items()
            }
            self._classes_known = len(self._class_map)
        return self._by_payload_class.get(payload_class, [])

    def class_of(self, data_type: str | None) -> type[UserRecord] | None:
        """Return the record class of a data type, None for an unregistered one."""
        return self._discriminator_map.get(data_type)

    def knows(self, cls: type) -> bool:
        """Whether a class is registered and was not replaced since."""
        return cls in self._class_map

    def nearest(self, data_type: str) -> str | None:
        """Return the registered type that is close to another text, if one is."""
        return close_type(data_type, tuple(self._discriminator_map))

    def warn_if_unknown(self, data_type: str) -> None:
        """Warn of an unregistered type that is close to a registered one, by UnknownTypeWarning."""
        if data_type in self._discriminator_map:
            return
        meant = self.nearest(data_type)
        if meant is not None:
            warn(
                f"no class is registered for the data type {describe(data_type)!r}; if {meant!r} is"
                " meant, write that",
                UnknownTypeWarning,
            )

    def _value(self, instance: Any) -> str:
        return state_of(instance).data_type

    def __set__(self, instance: Any, value: Any) -> None:
        raise InvalidKeyError(
            "dataType follows from the record's class; make a record of another class",
            path="dataType",
        )

    def serialize(self, value: Any) -> str:
        """Return the text of a type given as text or as a record class."""
        if isinstance(value, str):
            self.warn_if_unknown(text := plain_text(value))
            return text
        data_type = self.get_discriminator(value)
        if data_type is None:
            raise InvalidKeyError(
                f"{getattr(value, '__name__', value)!r} has no data type of its own",
                path="dataType",
            )
        return cast("str", data_type)

    def deserialize(self, value: Any) -> Any:
        return value


def _registry() -> DataTypeAttribute:
    from thrivecalc_models.records.model import DATA_TYPES  # which is made with this class

    return DATA_TYPES


def _is_defined_again(one: type, other: type) -> bool:
    """Whether one class is a new definition of the other: a cell or a module was run again."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def _is_replaced(known: type, cls: type, taken: type | None) -> bool:
    """Whether a new class replaces a known one.

    A function may define several classes of one name; they replace each other by their type only.
    """
    if known is cls:
        return False
    return known is taken or (_is_defined_again(known, cls) and "<locals>" not in cls.__qualname__)


@functools.lru_cache(maxsize=256)
def close_type(data_type: str, known: tuple[str, ...]) -> str | None:
    """Return the known type that is close to one, without regard to case and separators."""
    plain = {_letters(each): each for each in known}
    nearest = difflib.get_close_matches(_letters(data_type), plain, n=1, cutoff=0.8)
    return plain[nearest[0]] if nearest else None


def _letters(data_type: str) -> str:
    return "".join(filter(str.isalnum, data_type)).casefold()


class _ReadWhenTouched(_RecordValue[datetime | None]):
    """A time that is read from the stored form at its first use."""

    attr_name: str

    def read(self, form: AttributeValue | None) -> datetime | None:
        """Return the value of a stored form, None if it cannot be read."""
        raise NotImplementedError

    def _check(self, value: Any) -> datetime | None:
        raise NotImplementedError

    def _value(self, instance: Any) -> datetime | None:
        state = state_of(instance)
        values = state.attribute_values
        if self.attr_name not in values:
            values.keep(self.attr_name, self.read(state.form(self.attr_name)))
        return cast("datetime | None", values[self.attr_name])


class TimestampAttribute(_ReadWhenTouched, Attribute[datetime]):  # type: ignore[misc]
    """`createdAt` and `updatedAt`: aware datetimes, stored as JavaScript's toISOString() prints."""

    attr_type = STRING
    null = True

    def __set__(self, instance: Any, value: Any) -> None:
        moment, state = self._check(value), state_of(instance)
        state.check_identity_is_free(self.attr_name)
        state.attribute_values[self.attr_name] = moment

    def _check(self, value: Any) -> datetime | None:
        if value is None:
            return None
        moment = plain_value(value)
        if type(moment) is not datetime or moment.utcoffset() is None:
            raise InvalidRecordError(
                f"{self.attr_name} takes a datetime with a time zone", path=self.attr_name
            )
        return moment

    def read(self, form: AttributeValue | None) -> datetime | None:
        return parse_timestamp(form["S"]) if form and "S" in form else None

    def serialize(self, value: Any) -> Any:
        return format_timestamp(value) if isinstance(value, datetime) else value

    def deserialize(self, value: Any) -> Any:
        return parse_timestamp(value)


class ExpiryAttribute(_ReadWhenTouched, TTLAttribute):  # type: ignore[misc]
    """`ttl`: an aware datetime, stored in Unix seconds, rounded up."""

    null = True

    def __set__(self, instance: Any, value: Any) -> None:
        state = state_of(instance)
        state.check_changeable()
        if isinstance(value, timedelta):
            value = later(state.now(), value, path=self.attr_name)
        state.attribute_values[self.attr_name] = self._check(value)

    def _check(self, value: Any) -> datetime | None:
        if value is None:
            return None
        moment = plain_value(value)
        if type(moment) is not datetime:
            raise InvalidRecordError(
                "ttl takes a datetime with a time zone, or a timedelta from now",
                path=self.attr_name,
            )
        return parse_ttl(format_ttl(moment))

    def read(self, form: AttributeValue | None) -> datetime | None:
        return parse_ttl(form["N"]) if form and "N" in form else None

    def serialize(self, value: Any) -> Any:
        if isinstance(value, timedelta):
            value = later(datetime.now(UTC), value, path=self.attr_name)
        return format_ttl(value) if isinstance(value, datetime) else str(value)

    def deserialize(self, value: Any) -> Any:
        return parse_ttl(value)


class StoredPath(Path):
    """A path into stored attributes, whose values are encoded as in this table.

    `kind` is the kind that a payload class declares there, if any. Names are the table's.
    """

    def __init__(self, path: Any, kind: FieldKind | None = None) -> None:
        super().__init__(path)
        self._kind = kind

    @even_half_made
    def __repr__(self) -> str:
        return super().__repr__()

    def __getitem__(self, item: int | str) -> StoredPath:
        item = plain_value(item)
        kind = kind_below(self._kind, item, ".".join(self.path))
        return StoredPath(super().__getitem__(item).path, kind)

    def _to_value(self, value: Any) -> Value:
        return Value(encode_value(value, ".".join(self.path)))


class MapAttribute(_RecordValue[T], Attribute[T]):
    """`data` as a dict, of a type without a payload class."""

    attr_type = MAP

    def __getitem__(self, item: int | str) -> StoredPath:
        return StoredPath([self.attr_name, str(plain_value(item))])

    def __eq__(self, other: Any) -> Comparison:  # type: ignore[override]
        return cast("Comparison", StoredPath([self.attr_name]) == other)

    def __ne__(self, other: Any) -> Comparison:  # type: ignore[override]
        return cast("Comparison", StoredPath([self.attr_name]) != other)

    def set(self, value: Any) -> SetAction | RemoveAction:
        return StoredPath([self.attr_name]).set(value)

    def _value(self, instance: Any) -> T:
        return cast("T", state_of(instance).get_payload())

    def __set__(self, instance: Any, value: T) -> None:  # type: ignore[override]  # never None
        state_of(instance).set_payload(value)

    def check(self, value: Any) -> Any:
        """Return the value, converted. Raises InvalidRecordError if it cannot be `data`."""
        if not isinstance(value, dict):
            raise InvalidRecordError(f"{DATA} takes a dict, not {type(value).__name__}", path=DATA)
        return Anything().convert(value, DATA)


class PayloadAttribute(MapAttribute[T]):
    """`data` as a payload of one class: `PayloadAttribute(SavingsGoalData)`."""

    def __init__(self, payload_class: type[T]) -> None:
        if not is_payload_class(payload_class):
            raise TypeError(why_no_payload_class(payload_class))
        super().__init__(attr_name=DATA)
        self.payload_class = payload_class

    def __getitem__(self, item: int | str) -> StoredPath:
        name = str(plain_value(item))
        return StoredPath(
            [self.attr_name, name], kind_below(Nested(self.payload_class), name, DATA)
        )

    def check(self, value: Any) -> Any:
        if not isinstance(value, self.payload_class):
            raise InvalidRecordError(
                f"{DATA} takes {self.payload_class.__name__}, not {type(value).__name__}",
                path=DATA,
            )
        is_payload(value, DATA)  # raises for a class that was not decorated
        return value


def encode_value(value: Any, path: str) -> AttributeValue:
    """Encode a value of a condition or an update action in botocore's form, with binary as bytes.

    A condition takes any number of DynamoDB's; the numbers of an update are checked when it is
    sent.
    """
    value = plain_value(value)
    if isinstance(value, datetime):
        return {"S": format_timestamp(value)}
    if hasattr(value, "isoformat"):
        return {"S": value.isoformat()}
    if is_payload(value, path):
        content = encode_data(value, {}, None, Origins(), EXACT)
        return cast("AttributeValue", with_bytes({"M": content}))
    if _is_form(value):
        return cast("AttributeValue", value)
    return cast("AttributeValue", with_bytes(encode_plain(value, path, encoding=EXACT)))


_CONTENTS: dict[str, tuple[type, ...]] = {
    "S": (str,),
    "N": (str,),
    "B": (str, bytes),
    "SS": (list, set),
    "NS": (list, set),
    "BS": (list, set),
    "M": (dict,),
    "L": (list,),
    "BOOL": (bool,),
    "NULL": (bool,),
}


def _is_form(value: Any) -> bool:
    """Whether a value is in DynamoDB's JSON already, which PynamoDB lets callers write."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((tag, content),) = value.items()
    return isinstance(content, _CONTENTS.get(tag, ()))
