"""`UserRecord`: the PynamoDB model of the table, and the record that remembers what it read."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn
from uuid import UUID

import attrs
from pynamodb.models import MetaModel, Model

from thrivecalc_models import codec, table
from thrivecalc_models.codec import Unfit
from thrivecalc_models.errors import (
    CorruptItemError,
    InvalidKeyError,
    InvalidRecordError,
    Rebuilding,
)
from thrivecalc_models.payloads.origins import copied, origin_of, owner_of, set_origin
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
    UNREAD,
    AttributeValues,
    State,
    check_undeclared,
    fixed_identity,
    identity_problems,
    key_values,
    own,
    read_payload,
    stamp_problems,
    undeclared_attributes,
)
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.value import even_half_made
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    check_data_type,
    check_item,
    check_record_id,
    check_user_id,
    describe,
    fresh_id,
    is_lifetime,
    plain_text,
    record_key,
    split_key,
)

_NOT_GIVEN: Any = object()


class _LazySettings(type):
    """PynamoDB's `Meta`, whose settings are read when they are first asked for."""

    @property
    def table_name(cls) -> str:
        return default_session().settings.table_name


class RecordMeta(MetaModel):
    """Checks a record class when it is defined."""

    def __setattr__(cls, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        # A class that travels by value (cloudpickle) is made empty, and then given what it had.
        if name == "_own_data_type" and value is not None and not DATA_TYPES.knows(cls):
            # Registers it, with the attributes of this process.
            cls._initialize_attributes(cls, value)  # type: ignore[no-untyped-call]

    def __init__(
        cls, name: str, bases: Any, namespace: Any, discriminator: str | None = None
    ) -> None:
        keep_for = namespace.get("keep_for")
        if keep_for is not None and not is_lifetime(keep_for):
            raise TypeError(f"{name}.keep_for takes a positive timedelta of at most 5,000 years")
        super().__init__(name, bases, namespace, discriminator)
        attribute = cls._attributes["data"]
        cls._own_data_type: str | None = discriminator
        cls._payload_class: type | None = (
            attribute.payload_class if isinstance(attribute, PayloadAttribute) else None
        )


class UserRecord(PynamoReads, PynamoWrites, Model, metaclass=RecordMeta):
    """One record of one user: an item of the table with its payload.

    `SavingsGoal(user_id, data=SavingsGoalData(...))` makes a new one with a fresh record id;
    `record_id=` sets one. It compares by identity, its payload by value. A record belongs to the
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
    # Without an annotation, which pyright would hold the types of subclasses to.
    data = MapAttribute[Any](attr_name=table.DATA)
    created_at = TimestampAttribute(attr_name=table.CREATED_AT)
    updated_at = TimestampAttribute(attr_name=table.UPDATED_AT)
    ttl = ExpiryAttribute(attr_name=table.TTL)

    by_type = DataTypeIndex()

    keep_for: ClassVar[timedelta | None] = None

    _session: Session | None = None
    _scope: str | None = None
    _attempt: Any = None
    _has_fresh_id = False
    _key = ""

    # --- construction -----------------------------------------------------------------------------

    def __init__(
        self,
        hash_key: str = _NOT_GIVEN,
        range_key: str | None = None,
        _user_instantiated: bool = True,
        **attributes: Any,
    ) -> None:
        self._state = State()
        self._state.values = AttributeValues()
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
        self._has_fresh_id = given_id is None and range_key is None
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
        """The `dataType` of this class; None for UserRecord itself and for UnknownRecord."""
        return cls._own_data_type

    @classmethod
    def key(cls, record_id: str | UUID) -> str:
        """The record key of a record id of this type. Raises InvalidKeyError."""
        data_type = cls.own_data_type()
        if data_type is None:
            raise InvalidKeyError(
                f"{cls.__name__} has no data type, so its keys cannot be made from a record id",
                path=table.DATA_TYPE,
            )
        return record_key(data_type, check_record_id(record_id, data_type))

    @classmethod
    def payload_class(cls) -> type | None:
        """The payload class of this type, None where `data` is a plain dict."""
        return cls._payload_class

    @classmethod
    def _of_payload(cls, user_id: str, record_id: str, payload: Any) -> UserRecord:
        """A new record of a valid user id and of a payload of this very class."""
        if cls.__init__ is not UserRecord.__init__:
            return cls(user_id, record_id=record_id, data=payload)
        data_type = cls._own_data_type or ""
        record = cls.__new__(cls)
        text = check_record_id(record_id, data_type)
        fields = record.__dict__  # past `__setattr__`, as in `from_item`
        fields["_key"] = record_key(data_type, text)
        fields["_state"] = state = State()
        state.values = AttributeValues({table.USER_ID: user_id, table.RECORD_ID: text})
        state.payload = record._own(payload)
        return record

    @property
    def attribute_values(self) -> AttributeValues:
        """PynamoDB's dict of the values that were set or read so far, by the table's names."""
        state = self._state
        if state.values is None:
            state.values = key_values(state.stored or {})
        return state.values

    @attribute_values.setter
    def attribute_values(self, values: dict[str, Any]) -> None:
        if self._identity_is_fixed():
            raise fixed_identity(table.USER_ID)
        self._state.values = AttributeValues(values)

    # --- identity ---------------------------------------------------------------------------------

    def _set_identity(self, name: str, value: Any) -> None:
        if self._identity_is_fixed():
            raise fixed_identity(name)
        if name == table.USER_ID:
            text = check_user_id(value)
        else:
            data_type = self.data_type
            text = check_record_id(value, data_type)
            self._has_fresh_id = False
            self._key = record_key(data_type, text)
        self.attribute_values[name] = text

    def _identity_is_fixed(self) -> bool:
        """Whether a store has the record, or waits for it to be written."""
        return self._state.stored is not None or self._session is not None

    def _belong_to(self, session: Session, user_id: str | None = None) -> None:
        """Belong to a store from now on, and to the scope of a user where one takes the record."""
        fields = self.__dict__  # past `__setattr__`: thousands are queued in a commit
        fields["_session"] = session
        fields["_scope"] = user_id or self._scope
        if self._state.values is not None:
            self._state.values.fixed = True

    def _data_type(self) -> str:
        return type(self).own_data_type() or ""

    # --- what was read ----------------------------------------------------------------------------

    def _form(self, name: str) -> AttributeValue | None:
        return (self._state.base or {}).get(name)

    def _payload(self) -> Any:
        state = self._state
        if state.payload is UNREAD:
            if self._examine() is not None:  # which reads the payload of a whole stored item
                self._refuse_malformed("read")
            if state.payload is UNREAD:
                if state.base is None or table.DATA not in state.base:
                    return None
                self._read_payload()
        return state.payload

    def _read_payload(self) -> None:
        try:
            return read_payload(self._state, type(self).payload_class(), owner=id(self))
        except Unfit as problem:
            unfit = problem
        # Only of a record read in part; a whole one was refused as malformed before.
        raise InvalidRecordError(
            f"{describe(self.record_key)} was read in part, and {unfit.path} is not in it; fetch"
            " all of data, or look at record.item",
            path=unfit.path,
        )

    def _set_payload(self, value: Any) -> None:
        self._check_changeable(table.DATA)
        checked = type(self).data.check(value)
        if self._state.extra_data is None and self._state.data_map() is not None:
            self._state.extra_data = self.extra_data  # read now, so that the extras stay
        self._state.payload = self._own(checked)

    def _now(self) -> datetime:
        return datetime.now(UTC) if self._session is None else self._session.clock()

    def _own(self, given: Any) -> Any:
        """What is given as this record's data, or a copy where something else has it already.

        A payload that was read within the data of a record brings its undeclared attributes along;
        the record's own stay. Raises InvalidRecordError where both have one of the same name.
        """
        if given is self._state.payload:
            return given
        if isinstance(given, dict):
            return copied(given)
        origin = origin_of(given)
        is_nested = origin is not None and origin.nested
        if is_nested or owner_of(given) not in (None, id(self)):
            given = copied(given)
        if origin is not None and is_nested and origin.user_id == self._state.user_id:
            self._bring(codec.undeclared(type(given), origin.content))
            set_origin(given, attrs.evolve(origin, made=None, nested=False))
        own(given, id(self))
        return given

    def _bring(self, undeclared: dict[str, Any]) -> None:
        """Take over undeclared attributes that come with a payload."""
        extras = self.extra_data
        for name, value in undeclared.items():
            if name in extras and extras[name] != value:
                path = f"{table.DATA}.{name}"
                raise InvalidRecordError(
                    f"{path} is stored with this record's data and with the payload that takes its"
                    f" place, and one of them would be lost; delete record.extra_data[{name!r}], or"
                    " give a new payload",
                    path=path,
                )
        extras.update(undeclared)

    def _set_stamp(self, name: str, value: datetime | None) -> None:
        if self._identity_is_fixed():
            raise fixed_identity(name)
        self.attribute_values[name] = value

    @property
    def extra_data(self) -> dict[str, Any]:
        """What `data` holds beyond the declared fields; changes are written with the record."""
        state = self._state
        if state.extra_data is None:
            self._refuse_malformed("read")
            payload_class = type(self).payload_class()
            content = state.data_map()
            known = payload_class is not None and content is not None
            state.extra_data = codec.undeclared(payload_class, content) if known else {}  # type: ignore[arg-type]
        return state.extra_data

    @property
    def extra_attributes(self) -> dict[str, Any]:
        """The item's top-level attributes beyond the declared ones."""
        state = self._state
        if state.extra_attributes is not None:
            return state.extra_attributes
        try:
            state.extra_attributes = undeclared_attributes(state.base or {})
        except Unfit as problem:
            unfit = problem
        else:
            return state.extra_attributes
        raise self._corrupt(unfit, "read")

    @property
    def item(self) -> Item | None:
        """The stored item in DynamoDB's JSON (a copy); None for a record that was never stored."""
        return copy.deepcopy(self._state.stored)

    @property
    def version(self) -> str:
        """Opaque text that changes with every write; empty for a record never stored."""
        if self._state.stored is None:
            return ""
        text = json.dumps(self._state.stored, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    # --- what is odd ------------------------------------------------------------------------------

    @property
    def malformed(self) -> bool:
        """Whether the stored item does not fit its class: `data` cannot be read, only deleted."""
        return self._examine() is not None

    @property
    def problems(self) -> list[str]:
        """What is odd about the stored item, as texts without values."""
        unfit = self._examine()
        stored = self._state.stored
        if stored is None:
            return []
        readable = {
            table.CREATED_AT: self.created_at is not None,
            table.UPDATED_AT: self.updated_at is not None,
            table.TTL: self.ttl is not None,
        }
        found = identity_problems(stored) if not self._state.projected else []
        if unfit is not None and (unfit.path, unfit.reason) not in found:
            found.append((unfit.path, unfit.reason))
        if not self._state.projected:
            found += stamp_problems(stored, readable)
        return [f"{path} {reason}" for path, reason in found]

    def _examine(self) -> Unfit | None:
        state = self._state
        if state.stored is None or state.examined or state.projected:
            return state.unfit
        identity = None if state.sound else identity_problems(state.stored)
        if identity:
            state.unfit = Unfit(*identity[0])
        elif state.payload is UNREAD:
            try:
                read_payload(state, type(self)._payload_class, owner=id(self))
                check_undeclared(state, type(self)._payload_class)
            except Unfit as unfit:
                state.unfit, state.payload = unfit.with_traceback(None), UNREAD
        state.examined = True
        return state.unfit

    def _refuse_malformed(self, verb: str) -> None:
        unfit = self._examine()
        if unfit is not None:
            raise self._corrupt(unfit, verb)

    def _corrupt(self, unfit: Unfit, verb: str) -> CorruptItemError:
        key = self.record_key
        return CorruptItemError(
            f"{describe(key)} cannot be {verb}: {unfit.path} {unfit.reason}; look at record.item,"
            " mend it in the table or delete it",
            record_key=key,
            path=unfit.path,
            item=self.item,
        )

    def _check_changeable(self, name: str) -> None:
        if self._state.stored is not None:
            self._refuse_malformed("changed")
            self.check_whole()

    def check_whole(self) -> None:
        """Raises InvalidRecordError unless the record is what the table is known to have."""
        if self._state.projected:
            raise InvalidRecordError(
                f"{describe(self.record_key)} was read in part (attributes_to_get) and is"
                " read-only; read it whole to change it"
            )
        if self._state.outdated:
            raise InvalidRecordError(
                f"{describe(self.record_key)} was updated by a transaction, and what is stored now"
                " did not come back; refresh it before it is changed or written again"
            )

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
        """How this record is made again in another process: of its items, and unbound."""
        with forks_wait:
            from thrivecalc_models.records.rebuilding import (  # only errors ask for it
                parts,
                rebuild,
            )

        return rebuild, parts(self)

    # --- from items -------------------------------------------------------------------------------

    @classmethod
    def from_item(
        cls, item: Item, *, session: Session | None = None, projected: bool = False
    ) -> UserRecord:
        """The record of a stored item, in the class that its type says."""
        try:
            data_type, record_id = item[table.DATA_TYPE]["S"], item[table.RECORD_ID]["S"]
            key = item[table.RECORD_KEY]["S"]
        except KeyError:
            record_class, key = class_of_item(item), item.get(table.RECORD_KEY, {}).get("S", "")
            sound = False
        else:
            record_class = DATA_TYPES.class_of(data_type) or UnknownRecord
            sound = key == f"{data_type}#{record_id}" and "#" not in data_type
            sound = sound and data_type != "" and record_id != ""
        if record_class.__init__ is UserRecord.__init__:
            record = object.__new__(record_class)  # what that would set is set below
        else:
            record = record_class(_user_instantiated=False)
        fields = record.__dict__  # past `__setattr__`: thousands are made of a list
        fields["_session"] = session
        fields["_state"] = State(item, UNREAD, projected, sound)
        fields["_key"] = key
        return record

    def _keep_as_stored(self, item: Item) -> None:
        """Take an item as the snapshot of what the record says already."""
        state = self._state
        state.keep(item)
        values = state.values
        if values is not None:
            values.drop(table.CREATED_AT)
            values.drop(table.UPDATED_AT)
            if table.TTL in values and values[table.TTL] is None:
                del values[table.TTL]  # the type's keep_for may have given one
        payload_class = type(self)._payload_class
        if payload_class is None or state.payload is UNREAD:
            return
        if codec.has_origins(payload_class):
            content, origins = item[table.DATA]["M"], state.origins
            own(state.payload, id(self))
            edited = codec.edited_fields(state.payload, content, origins)  # since it was encoded
            origins.learn(state.payload, content, edited)

    def _remember(self, state: State) -> None:
        """Start over from a state, as if just read."""
        self._state = state
        self._key = (state.stored or {}).get(table.RECORD_KEY, {}).get("S", "")


DATA_TYPES = UserRecord.data_type


class UnknownRecord(UserRecord):
    """A record of a type that no class is defined for; its `data` is a plain dict."""

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

    def _data_type(self) -> str:
        stored = self._state.stored
        if stored is None:
            return str(self.attribute_values[table.DATA_TYPE])
        text = stored.get(table.DATA_TYPE, {}).get("S")
        parts = split_key(self.record_key)
        return str(text) if text is not None else (parts[0] if parts else "")


def class_of_item(item: Item) -> type[UserRecord]:
    """The class of a stored item: by its `dataType`, else by its key, else UnknownRecord."""
    try:
        data_type = item[table.DATA_TYPE]["S"]
    except KeyError:
        parts = split_key(item.get(table.RECORD_KEY, {}).get("S", ""))
        data_type = parts[0] if parts else None
    return DATA_TYPES.class_of(data_type) or UnknownRecord


def read_item(item: Item) -> UserRecord:
    """Make a record from an item in DynamoDB's JSON, such as a stream image or an export line.

    Binary values may be base64 text or bytes. Raises InvalidKeyError for something that has no
    `userId` and `recordKey` and so cannot be an item of this table, InvalidRecordError for what
    DynamoDB cannot store.
    """
    item = whole(item)
    check_item(item, describe="the item")
    return UserRecord.from_item(item)
