"""PynamoDB attributes of the table, which read from the state of a record."""

from __future__ import annotations

import difflib
import functools
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, overload
from uuid import UUID

from pynamodb.attributes import Attribute, DiscriminatorAttribute, TTLAttribute, UnicodeAttribute
from pynamodb.constants import MAP, STRING
from pynamodb.expressions.update import RemoveAction, SetAction

from thrivecalc_models.errors import InvalidKeyError, InvalidRecordError, UnknownTypeWarning
from thrivecalc_models.payloads import FieldKind, is_payload, is_payload_class, why_no_payload_class
from thrivecalc_models.payloads.kinds import Anything, Nested, Text
from thrivecalc_models.records.paths import (
    Condition,
    StoredPath,
    ValueRules,
    encode_value,
    field_path,
)
from thrivecalc_models.records.state import state_of
from thrivecalc_models.signals import warn
from thrivecalc_models.table import DATA
from thrivecalc_models.value import frozen
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

    # --- conditions, which its path builds --------------------------------------------------------

    @property
    def _path(self) -> StoredPath:
        return StoredPath(self, rules=self._rules())

    def _rules(self) -> ValueRules:
        raise NotImplementedError

    def __eq__(self, other: Any) -> Condition:  # type: ignore[override]
        return self._path.compared("=", other)

    def __ne__(self, other: Any) -> Condition:  # type: ignore[override]
        return self._path.compared("<>", other)

    def __lt__(self, other: Any) -> Condition:
        return self._path.compared("<", other)

    def __le__(self, other: Any) -> Condition:
        return self._path.compared("<=", other)

    def __gt__(self, other: Any) -> Condition:
        return self._path.compared(">", other)

    def __ge__(self, other: Any) -> Condition:
        return self._path.compared(">=", other)

    __hash__ = None  # type: ignore[assignment]  # as that of PynamoDB's attributes

    def between(self, lower: Any, upper: Any) -> Condition:
        """The value is one of the bounds or between them."""
        return self._path.between(lower, upper)

    def is_in(self, *values: Any) -> Condition:
        """The value is one of these, which are 1 to 100."""
        return self._path.is_in(*values)

    def exists(self) -> Condition:
        """Something is stored."""
        return self._path.exists()

    def does_not_exist(self) -> Condition:
        """Nothing is stored."""
        return self._path.does_not_exist()

    def startswith(self, prefix: Any) -> Condition:
        """The stored text begins with this."""
        return self._path.startswith(prefix)

    def contains(self, item: Any) -> Condition:
        """The stored text has this part."""
        return self._path.contains(item)


@frozen
class _TextRules:
    """A value that is text: of keys."""

    tag: str = "S"
    ordered: bool = True
    parts: FieldKind | None = Text()

    def form(self, value: Any, path: str) -> AttributeValue:
        return {"S": Text().convert(str(value) if isinstance(value, UUID) else value, path)}


@frozen
class _TypeRules:
    """A data type, given as text or as a record class."""

    serialize: Callable[[Any], str]
    tag: str = "S"
    ordered: bool = True
    parts: FieldKind | None = Text()

    def form(self, value: Any, path: str) -> AttributeValue:
        return {"S": self.serialize(value)}


@frozen
class _StampRules:
    """A moment, given as an aware datetime or as the text that is stored."""

    tag: str = "S"
    ordered: bool = True
    parts: FieldKind | None = None

    def form(self, value: Any, path: str) -> AttributeValue:
        given = plain_value(value)
        read = parse_timestamp(given)
        moment = given if read is None else read
        if type(moment) is not datetime or moment.utcoffset() is None:
            raise InvalidRecordError(f"{path} takes a datetime with a time zone", path=path)
        return {"S": format_timestamp(moment, path=path)}


@frozen
class _ExpiryRules:
    """A moment in Unix seconds, given as an aware datetime or as a timedelta from now."""

    tag: str = "N"
    ordered: bool = True
    parts: FieldKind | None = None

    def form(self, value: Any, path: str) -> AttributeValue:
        given = plain_value(value)
        if isinstance(given, timedelta):
            given = later(datetime.now(UTC), given, path=path)
        if type(given) is not datetime:
            raise InvalidRecordError(
                f"{path} takes a datetime with a time zone, or a timedelta from now", path=path
            )
        return {"N": format_ttl(given)}


@frozen
class _DataRules:
    """A whole payload."""

    tag: str = "M"
    ordered: bool = False
    parts: FieldKind | None = None

    def form(self, value: Any, path: str) -> AttributeValue:
        return encode_value(value, path)


class KeyAttribute(_RecordValue[str], UnicodeAttribute):
    """Part of a record's identity: set at construction, fixed once the record is stored."""

    def _rules(self) -> ValueRules:
        return _TextRules()

    def _value(self, instance: Any) -> str:
        return cast("str", instance.attribute_values.get(self.attr_name))

    def __set__(self, instance: Any, value: Any) -> None:
        state_of(instance).set_identity(self.attr_name, value)


class DerivedKeyAttribute(_RecordValue[str], UnicodeAttribute):
    """`recordKey`, which follows from the type and the record id."""

    def _rules(self) -> ValueRules:
        return _TextRules()

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
        self._extended: dict[type, type[UserRecord]] = {}

    def register_class(self, cls: type, discriminator: Any) -> None:
        data_type = check_data_type(discriminator)
        taken = self._discriminator_map.get(data_type)
        if extends(cls) and taken in cls.__mro__[1:]:
            del self._discriminator_map[self._class_map.pop(taken)]
            taken = None
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
        if extends(cls):
            of_type = {
                base for base, own in self._extended.items() if own.own_data_type() == data_type
            }
            for base in {
                *of_type,
                *(each for each in cls.__mro__[1:] if _type_of(each) == data_type),
            }:
                self._extended[base] = cast("type[UserRecord]", cls)

    def _rules(self) -> ValueRules:
        return _TypeRules(self.serialize)

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
                payload: [cls for cls in classes if DATA in vars(cls) or extends(cls)] or classes
                for payload, classes in found.items()
            }
            self._classes_known = len(self._class_map)
        return self._by_payload_class.get(payload_class, [])

    def class_of(self, data_type: str | None) -> type[UserRecord] | None:
        """Return the record class of a data type, None for an unregistered one."""
        return self._discriminator_map.get(data_type)

    def extension_of(self, cls: type) -> type[UserRecord] | None:
        """Return the class that took the place of a record class by `extends=True`, if any."""
        return self._extended.get(cls)

    def extension_with(self, payload_class: type) -> type[UserRecord] | None:
        """Return the class that took the place of one with this payload, if its own is another."""
        for base, own in self._extended.items():
            held = cast("type[UserRecord]", base).payload_class()
            if held is payload_class and own.payload_class() is not payload_class:
                return own
        return None

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
        data_type = self.get_discriminator(self._extended.get(value, value))
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


def extends(cls: type) -> bool:
    """Whether a record class takes the place of its base: it was defined with `extends=True`."""
    return bool(vars(cls).get("_extends"))


def _type_of(cls: type) -> str | None:
    return cast("str | None", vars(cls).get("_own_data_type"))


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

    def _rules(self) -> ValueRules:
        return _StampRules()

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

    def _rules(self) -> ValueRules:
        return _ExpiryRules()

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


class MapAttribute(_RecordValue[T], Attribute[T]):
    """`data` as a dict, of a type without a payload class.

    On the class it is the beginning of paths: `UserRecord.data["note"]`, with the names of the
    table.
    """

    attr_type = MAP

    # On the class it is this attribute itself, and can what a path can.
    @overload  # type: ignore[override]
    def __get__(self, instance: None, owner: Any) -> StoredPath: ...
    @overload
    def __get__(self, instance: Any, owner: Any) -> T: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else self._value(instance)

    def _rules(self) -> ValueRules:
        return _DataRules()

    @property
    def _path(self) -> StoredPath:
        return StoredPath([self.attr_name], rules=self._rules())

    def _kind(self) -> FieldKind | None:
        """Return the kind of `data`, if a payload class declares it."""
        return None

    def __getattr__(self, name: str) -> StoredPath:
        if name.startswith("_") or "attr_path" not in vars(self):  # the latter while it is made
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return field_path(self._path, self._kind(), name)

    def __getitem__(self, item: int | str) -> StoredPath:
        return StoredPath([self.attr_name], self._kind())[str(plain_value(item))]

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
    """`data` as a payload of one class: `PayloadAttribute(SavingsGoalData)`.

    On the class it is the beginning of conditions, `SavingsGoal.data.target_amount > 5`, with the
    Python names of the fields. A field that is called like an attribute or a method of PynamoDB's
    (`default`, `null`, `set`, `path`, ...) has no such path: use its name in the table there,
    `MyRecord.data["default"]`.
    """

    def __init__(self, payload_class: type[T]) -> None:
        if not is_payload_class(payload_class):
            raise TypeError(why_no_payload_class(payload_class))
        super().__init__(attr_name=DATA)
        self.payload_class = payload_class

    def _kind(self) -> FieldKind | None:
        return Nested(self.payload_class)

    def check(self, value: Any) -> Any:
        if not isinstance(value, self.payload_class):
            raise InvalidRecordError(
                f"{DATA} takes {self.payload_class.__name__}, not {type(value).__name__}",
                path=DATA,
            )
        is_payload(value, DATA)  # raises for a class that was not decorated
        return value
