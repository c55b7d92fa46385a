"""`UserRecord`, the PynamoDB model of the table, and `read_item`."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast
from uuid import UUID

from pynamodb.models import MetaModel, Model

from thrivecalc_models import codec, table
from thrivecalc_models.errors import (
    InvalidKeyError,
    Rebuilding,
)
from thrivecalc_models.records import names
from thrivecalc_models.records.attributes import (
    DataTypeAttribute,
    DerivedKeyAttribute,
    ExpiryAttribute,
    KeyAttribute,
    MapAttribute,
    PayloadAttribute,
    TimestampAttribute,
)
from thrivecalc_models.records.index import DataTypeIndex
from thrivecalc_models.records.pynamo import PynamoReads, PynamoWrites
from thrivecalc_models.records.pynamo.lookups import whole
from thrivecalc_models.records.session import Session, default_session
from thrivecalc_models.records.state import (
    AttributeValues,
    RecordState,
    give_state,
    identity_problems,
    stamp_problems,
    state_of,
)
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.value import even_half_made
from thrivecalc_models.wire import (
    Item,
    StoredItem,
    check_data_type,
    check_item,
    check_record_id,
    fresh_id,
    in_order,
    is_lifetime,
    keys_agree,
    plain_text,
    record_key,
    split_key,
)

_NOT_GIVEN: Any = object()


class _LazySettings(type):
    """PynamoDB's `Meta`, which reads the environment at its first use."""

    @property
    def table_name(cls) -> str:
        return default_session().settings.table_name


class RecordMeta(MetaModel):
    """Metaclass of records: checks and registers a record class when it is defined."""

    _own_data_type: str | None
    _extends: bool

    def __setattr__(cls, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_payload_class":
            codec.PAYLOAD_CLASSES.forget()
        # cloudpickle makes a class empty and then sets what it had that its base has not: it is
        # registered only now.
        if name == "_extends" and "_own_data_type" in vars(cls):
            cls._own_data_type = next(each for each in map(_own_type, cls.__mro__) if each)
        if name == "_own_data_type" and value is not None and not DATA_TYPES.knows(cls):
            cls._initialize_attributes(cls, value)  # type: ignore[no-untyped-call]

    def __new__(
        mcs,
        name: str,
        bases: Any,
        namespace: Any,
        discriminator: str | None = None,
        extends: bool = False,
    ) -> RecordMeta:
        made = super().__new__(mcs, name, bases, namespace, discriminator)  # type: ignore[no-untyped-call]
        return cast("RecordMeta", made)

    def __init__(
        cls,
        name: str,
        bases: Any,
        namespace: Any,
        discriminator: str | None = None,
        extends: bool = False,
    ) -> None:
        if extends:
            discriminator = _extended_type(name, bases, namespace, discriminator)
            cls._extends = True
        keep_for = namespace.get("keep_for")
        if keep_for is not None and not is_lifetime(keep_for):
            raise TypeError(f"{name}.keep_for takes a positive timedelta of at most 5,000 years")
        super().__init__(name, bases, namespace, discriminator)
        attribute = cls._attributes["data"]
        cls._own_data_type = discriminator
        cls._payload_class: type | None = (
            attribute.payload_class if isinstance(attribute, PayloadAttribute) else None
        )


def _own_type(cls: type) -> Any:
    return vars(cls).get("_own_data_type")


def _extended_type(name: str, bases: Any, namespace: Any, discriminator: str | None) -> str:
    """Return the type of the class that a new one extends. Raises TypeError if it cannot."""
    if discriminator is not None:
        raise TypeError(f"{name} has the type of what it extends; give no discriminator")
    base = next((each for each in bases if getattr(each, "_own_data_type", None)), None)
    if base is None:
        raise TypeError(f"{name} extends no type; derive it from a record class, as SavingsGoal")
    held, data = base._payload_class, namespace.get(table.DATA)
    own = data.payload_class if isinstance(data, PayloadAttribute) else None
    if data is not None and (held is None or own is None or not issubclass(own, held)):
        wanted = "a dict" if held is None else f"{held.__name__} or a class derived from it"
        raise TypeError(f"{name}.data extends that of {base.__name__}; it holds {wanted}")
    return str(base._own_data_type)


class UserRecord(PynamoReads, PynamoWrites, Model, metaclass=RecordMeta):
    """One record of one user: an item of the table with its payload.

    `SavingsGoal(user_id, data=SavingsGoalData(...))` makes a new one with a fresh record id;
    `record_id=` sets one. Records compare by identity, payloads by value. A record belongs to the
    store that read or wrote it.
    """

    class Meta(metaclass=_LazySettings):
        region = None
        host = None
        billing_mode = "PAY_PER_REQUEST"

    user_id: KeyAttribute = KeyAttribute(hash_key=True, attr_name=table.USER_ID)
    record_key = DerivedKeyAttribute(range_key=True, attr_name=table.RECORD_KEY)
    data_type = DataTypeAttribute(attr_name=table.DATA_TYPE)
    record_id: KeyAttribute = KeyAttribute(attr_name=table.RECORD_ID)
    # Without an annotation: pyright would require it of subclasses too.
    data = MapAttribute[Any](attr_name=table.DATA)
    created_at = TimestampAttribute(attr_name=table.CREATED_AT)
    updated_at = TimestampAttribute(attr_name=table.UPDATED_AT)
    ttl = ExpiryAttribute(attr_name=table.TTL)

    by_type = DataTypeIndex()

    keep_for: ClassVar[timedelta | None] = None

    # --- construction -----------------------------------------------------------------------------

    def __init__(
        self,
        hash_key: str = _NOT_GIVEN,
        range_key: str | None = None,
        _user_instantiated: bool = True,
        **attributes: Any,
    ) -> None:
        state = RecordState(type(self))
        state.values = AttributeValues()
        give_state(self, state)
        if not _user_instantiated:
            return
        known = self.get_attributes()
        unknown = [name for name in attributes if name not in known]
        if unknown:
            raise TypeError(names.no_attribute(type(self), min(unknown)))
        self._set_type(attributes.pop("data_type", None))
        user_id = attributes.pop("user_id", hash_key)
        if user_id is not _NOT_GIVEN:  # else it takes the scope's own
            self.user_id = user_id
        given_id = attributes.pop("record_id", None)
        range_key = attributes.pop("record_key", range_key)
        self.record_id = self._id_of(range_key) if given_id is None else given_id
        state.has_fresh_id = given_id is None and range_key is None
        for name, value in attributes.items():
            setattr(self, name, value)

    def _set_type(self, data_type: str | None) -> None:
        own = type(self).own_data_type()
        if own is None:
            raise TypeError(
                f"{type(self).__name__} has no data type; define the class with discriminator=..."
            )
        if data_type not in (None, own):
            raise InvalidKeyError(
                f"a {type(self).__name__} is of the type {own!r}", path="dataType"
            )

    def _id_of(self, range_key: str | None) -> str:
        if range_key is None:
            return fresh_id()
        parts = split_key(plain_text(range_key))
        if parts is None or parts[0] != self.data_type:
            raise InvalidKeyError(
                f"a record key of {type(self).__name__} starts with {self.data_type}#",
                path=table.RECORD_KEY,
            )
        return parts[1]

    @classmethod
    def own_data_type(cls) -> str | None:
        """Return the `dataType` of this class; None for UserRecord and UnknownRecord."""
        return cls._own_data_type

    @classmethod
    def key(cls, record_id: str | UUID) -> str:
        """Return the record key of a record id of this type. Raises InvalidKeyError."""
        data_type = cls.own_data_type()
        if data_type is None:
            raise InvalidKeyError(
                f"{cls.__name__} has no data type, so its keys cannot be made from a record id",
                path=table.DATA_TYPE,
            )
        return record_key(data_type, check_record_id(record_id, data_type))

    @classmethod
    def payload_class(cls) -> type | None:
        """Return the payload class of this type, None if `data` is a dict."""
        return cls._payload_class

    @property
    def attribute_values(self) -> AttributeValues:
        """PynamoDB's dict of the values set or read so far, by the table's names."""
        return state_of(self).attribute_values

    @attribute_values.setter
    def attribute_values(self, values: dict[str, Any]) -> None:
        state = state_of(self)
        state.check_identity_is_free(table.USER_ID)
        state.values = AttributeValues(values)

    # --- what was read ----------------------------------------------------------------------------

    @property
    def extra_data(self) -> dict[str, Any]:
        """The undeclared attributes in `data`; changes are written with the record."""
        return state_of(self).read_extra_data()

    @property
    def extra_attributes(self) -> dict[str, Any]:
        """The undeclared top-level attributes; changes are written with the record."""
        return state_of(self).read_extra_attributes()

    @property
    def item(self) -> Item | None:
        """The stored item in DynamoDB's JSON (a copy); None for a record that was never stored."""
        return copy.deepcopy(state_of(self).snapshot())

    @property
    def version(self) -> str:
        """Opaque text that changes with every write; empty for a record never stored."""
        stored = state_of(self).snapshot()
        if stored is None:
            return ""
        text = json.dumps(in_order(stored), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    # --- what is odd ------------------------------------------------------------------------------

    @property
    def malformed(self) -> bool:
        """Whether the stored item does not fit its class, so that it can only be deleted."""
        return state_of(self).examine() is not None

    @property
    def problems(self) -> list[str]:
        """The irregularities of the stored item, as texts without values."""
        state = state_of(self)
        unfit, stored = state.examine(), state.stored
        if stored is None:
            return []
        readable = {
            table.CREATED_AT: self.created_at is not None,
            table.UPDATED_AT: self.updated_at is not None,
            table.TTL: self.ttl is not None,
        }
        found = identity_problems(stored) if not state.projected else []
        if unfit is not None and (unfit.path, unfit.reason) not in found:
            found.append((unfit.path, unfit.reason))
        if not state.projected:
            found += stamp_problems(stored, readable)
        return [f"{path} {reason}" for path, reason in found]

    # --- what it shows, and what it refuses -------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:1] != "_" and not names.declares(type(self), name):
            raise AttributeError(names.no_attribute(type(self), name), name=name)
        object.__setattr__(self, name, value)

    if not TYPE_CHECKING:  # type checkers know the attributes

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(names.no_attribute(type(self), name), name=name)

    @even_half_made
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.attribute_values.get(table.RECORD_ID, '?')}>"

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a record belongs to its store and cannot be pickled or copied; hand over record.item"
            " and use read_item"
        )

    def rebuilding(self) -> Rebuilding:
        """Return how another process makes this record again: from its items, without a store."""
        with forks_wait:
            from thrivecalc_models.records.rebuilding import parts, rebuild  # seldom used

        return rebuild, parts(self)

    # --- for pydantic -----------------------------------------------------------------------------

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from thrivecalc_models.records.pydantic import record_core_schema  # with pydantic alone

        return record_core_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        from thrivecalc_models.records.pydantic import record_json_schema

        return record_json_schema(cls, handler)

    # --- from items -------------------------------------------------------------------------------

    @classmethod
    def from_item(
        cls, item: Item, *, session: Session | None = None, projected: bool = False
    ) -> UserRecord:
        """Make the record of a stored item; its class follows the stored type.

        `projected` says that the item was read in part.
        """
        try:
            data_type, record_id = item[table.DATA_TYPE]["S"], item[table.RECORD_ID]["S"]
            key = item[table.RECORD_KEY]["S"]
        except KeyError:
            record_class, key = class_of_item(item), item.get(table.RECORD_KEY, {}).get("S", "")
            sound = False
        else:
            record_class = DATA_TYPES.class_of(data_type) or UnknownRecord
            sound = keys_agree(key, data_type, record_id)
        return _with_state(RecordState(record_class, key, session, item, projected, sound))

    @classmethod
    def from_stored(cls, item: StoredItem, session: Session) -> UserRecord:
        """Make the record of an item of a reply; its payload is read when it is first touched."""
        if not item.regular:
            return cls.from_item(item.item, session=session)
        record_class = DATA_TYPES.class_of(item.data_type) or UnknownRecord
        return _with_state(RecordState(record_class, item.record_key, session, item, sound=True))


def _with_state(state: RecordState) -> UserRecord:
    """Make a record, of the class in its state."""
    record_class = state.record_class
    if record_class.__init__ is UserRecord.__init__:
        # `__init__` would only make a state that is replaced below, in 2 of 5 µs.
        record = object.__new__(record_class)
    else:
        record = record_class(_user_instantiated=False)
    give_state(record, state)
    return record


DATA_TYPES = UserRecord.data_type


class UnknownRecord(UserRecord):
    """A record of a type without a class; its `data` is a dict."""

    data: MapAttribute[dict[str, Any]] = MapAttribute(attr_name=table.DATA)

    def _set_type(self, data_type: str | None) -> None:
        if data_type is None:
            raise TypeError("an UnknownRecord needs data_type=")
        data_type = check_data_type(data_type)
        if UserRecord.data_type.class_of(data_type) is not None:
            raise InvalidKeyError(
                f"the data type {data_type!r} has a class of its own; use that", path="dataType"
            )
        UserRecord.data_type.warn_if_unknown(data_type)
        self.attribute_values[table.DATA_TYPE] = data_type


def _payload_class_of(data_type: str) -> type | None:
    record_class = DATA_TYPES.class_of(data_type)
    return None if record_class is None else record_class.payload_class()


codec.PAYLOAD_CLASSES.ask(_payload_class_of)


def class_of_item(item: Item) -> type[UserRecord]:
    """Return the class of a stored item: by `dataType`, else by its key, else UnknownRecord."""
    try:
        data_type = item[table.DATA_TYPE]["S"]
    except KeyError:
        parts = split_key(item.get(table.RECORD_KEY, {}).get("S", ""))
        data_type = parts[0] if parts else None
    return DATA_TYPES.class_of(data_type) or UnknownRecord


def read_item(item: Item) -> UserRecord:
    """Make a record from an item in DynamoDB's JSON, such as a stream image or an export line.

    Binary values may be base64 text or bytes. Raises InvalidKeyError for an item without `userId`
    and `recordKey`, InvalidRecordError for one that DynamoDB cannot store.
    """
    item = whole(item)
    check_item(item, describe="the item")
    return UserRecord.from_item(item)
