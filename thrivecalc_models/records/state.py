"""The state of a record: the item it was read from, the values used since, and its store."""

from __future__ import annotations

import copy
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from thrivecalc_models import codec, table
from thrivecalc_models.codec import Origins, Unfit
from thrivecalc_models.errors import CorruptItemError, InvalidKeyError, InvalidRecordError
from thrivecalc_models.payloads.origins import (
    copied,
    origin_of,
    owner_of,
    set_origin,
    set_owner,
    take,
)
from thrivecalc_models.records.session import Session
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    StoredItem,
    check_record_id,
    check_user_id,
    describe,
    record_key,
    split_key,
)

if TYPE_CHECKING:
    from thrivecalc_models.protocol import PendingWrite
    from thrivecalc_models.records.model import UserRecord

UNREAD: Final = object()


class AttributeValues(dict[str, Any]):
    """PynamoDB's dict of attribute values; once `fixed`, keys and stamps cannot change in it.

    PynamoDB and callers write to it past the attributes of the class, so it guards them itself.
    """

    fixed = False

    # Those of dict would not call `__setitem__` and `__delitem__`.
    clear = MutableMapping.clear
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update

    def keep(self, name: str, value: Any) -> None:
        """Set a value that was read, which is no change."""
        super().__setitem__(name, value)

    def drop(self, name: str) -> None:
        """Forget a value; it is read again at its next use."""
        super().pop(name, None)

    def __setitem__(self, name: str, value: Any) -> None:
        self._check(name)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        self._check(name)
        super().__delitem__(name)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]  # as update()
        self.update(other)
        return self

    def _check(self, name: str) -> None:
        if self.fixed and name in _FIXED:
            raise fixed_identity(name)


# PynamoDB's own attributes, which a subclass may declare, keep values under Python's names.
_PYTHON_NAMES = ("user_id", "record_key", "data_type", "record_id", "created_at", "updated_at")
_FIXED = table.IDENTITY.union(_PYTHON_NAMES)


def fixed_identity(name: str) -> InvalidKeyError:
    """Return the error for an assignment to a key or a stamp of a record that a store has."""
    return InvalidKeyError(
        f"{name} cannot change once a store has the record; make another record instead",
        path=name,
    )


class RecordState:
    """The state of one record, kept apart so that names of a subclass cannot clash with ours.

    `key` is the record key, `session` the session of the record's store, `scope` the user whose
    scope took it. `has_fresh_id` says that its record id was generated.

    `stored` is the snapshot: the item as it was last read or written, None for a record never
    stored. `unread` is that item as it came, until something in it is wanted. `base` is the item
    whose forms are kept on writing: the snapshot, or one with a given map under `data`.

    `payload`, `extra_data` and `extra_attributes` are read from `base` at their first use;
    `as_read` are the values of the payload's fields as read, if none of them can change in place.
    `values` is PynamoDB's dict of attribute values, made at its first use.

    `attempt` is a write with an unknown outcome, which is sent again before any other. `outdated`
    says why the snapshot may not be what is stored: the reply to a write did not show it.
    `projected` marks a record read in part, which must not be written. `sound` says that the key
    attributes of the snapshot are known to agree. `deleted` is the item that was deleted through
    this record. `when_applied` is called when PynamoDB's TransactWrite was applied; `leaving` says
    that one was to delete the record and did not report its end.
    """

    # Slots: a long list has one state for each record, and a dict takes more memory.
    __slots__ = (
        "_base",
        "_stored",
        "as_read",
        "attempt",
        "deleted",
        "examined",
        "extra_attributes",
        "extra_data",
        "has_fresh_id",
        "key",
        "leaving",
        "outdated",
        "payload",
        "projected",
        "record_class",
        "scope",
        "session",
        "sound",
        "unfit",
        "unread",
        "values",
        "when_applied",
    )

    def __init__(
        self,
        record_class: type[UserRecord],
        key: str = "",
        session: Session | None = None,
        stored: Item | StoredItem | None = None,
        projected: bool = False,
        sound: bool = False,
    ) -> None:
        self.record_class = record_class
        self.key = key
        self.session = session
        self.projected = projected
        self.sound = sound
        self.scope: str | None = None
        self.has_fresh_id = False
        self.attempt: PendingWrite | None = None
        self.deleted: Item | None = None
        self.when_applied: Callable[[], None] | None = None
        self.unread: StoredItem | None = None
        self._stored: Item | None = None
        self._base: Item | None = None
        if isinstance(stored, StoredItem):
            self.unread = stored
        else:
            self._stored = self._base = stored
        self._drop_what_was_read()

    def _drop_what_was_read(self) -> None:
        """Forget what is read from the snapshot; it is read again when it is wanted."""
        self.payload: Any = UNREAD
        self.examined = self.leaving = False
        self.outdated = ""
        self.unfit: Unfit | None = None
        self.as_read: tuple[Any, ...] | None = None
        self.extra_data: dict[str, Any] | None = None
        self.extra_attributes: dict[str, Any] | None = None
        self.values: AttributeValues | None = None

    # --- the snapshot -----------------------------------------------------------------------------

    @property
    def has_snapshot(self) -> bool:
        """Whether the record was read from the table or written to it."""
        return self.unread is not None or self._stored is not None

    def snapshot(self) -> Item | None:
        """Return the snapshot for a look at it; it is not kept if it is read from bytes."""
        return self._stored if self.unread is None else self.unread.item

    @property
    def stored(self) -> Item | None:
        """The snapshot, None for a record never stored."""
        self._read_item()
        return self._stored

    @stored.setter
    def stored(self, item: Item | None) -> None:
        self._read_item()
        self._stored = item

    @property
    def base(self) -> Item | None:
        """The item whose forms are kept on writing."""
        self._read_item()
        return self._base

    @base.setter
    def base(self, item: Item | None) -> None:
        self._read_item()
        self._base = item

    def _read_item(self) -> None:
        """Read the snapshot from its bytes."""
        if self.unread is not None:
            self._stored = self._base = self.unread.item
            self.unread = None

    def start_over(self, item: Item) -> RecordState:
        """Make an item the snapshot, as if it was just read; return a copy of the state before."""
        before = copy.copy(self)
        self._drop_what_was_read()
        self.unread = None
        self._stored = self._base = item
        self.projected = self.sound = False
        self.key = item.get(table.RECORD_KEY, {}).get("S", "")
        return before

    @property
    def rebased(self) -> bool:
        """Whether another map than the snapshot's was given to be written under `data`."""
        return self.unread is None and self._base is not self._stored

    def give_data(self, content: Item) -> RecordState:
        """Make a map the one to be written under `data`; return a copy of the state before."""
        before = copy.copy(self)
        self.payload, self.as_read, self.extra_data = UNREAD, None, None
        self.base = {**(self.base or {}), table.DATA: {"M": content}}
        return before

    # --- identity ---------------------------------------------------------------------------------

    @property
    def user_id(self) -> str | None:
        """The owner of the record, None if it is not known."""
        if self.values is not None:
            return self.values.get(table.USER_ID)
        if self.unread is not None:
            return self.unread.user_id
        user_id: str | None = (self.stored or {}).get(table.USER_ID, {}).get("S")
        return user_id

    @property
    def data_type(self) -> str:
        """The type of the record's class, else the stored type, else that of the key."""
        own = self.record_class.own_data_type()
        if own is not None:
            return own
        if self.stored is None:
            return str(self.attribute_values.get(table.DATA_TYPE, ""))
        text = self.stored.get(table.DATA_TYPE, {}).get("S")
        parts = split_key(self.key)
        return str(text) if text is not None else (parts[0] if parts else "")

    @property
    def attribute_values(self) -> AttributeValues:
        """PynamoDB's dict of the values set or read so far, by the table's names."""
        if self.values is None and self.unread is not None:
            _, _, record_id = self.key.partition("#")
            self.values = _fixed_values(self.unread.user_id, record_id)
        elif self.values is None:
            self.values = key_values(self.stored or {})
        return self.values

    @property
    def identity_is_fixed(self) -> bool:
        """Whether a store has the record, or a unit of work is to write it."""
        return self.has_snapshot or self.session is not None

    def check_identity_is_free(self, name: str) -> None:
        """Raise InvalidKeyError for an assignment to a key or a stamp that is fixed."""
        if self.identity_is_fixed:
            raise fixed_identity(name)

    def set_identity(self, name: str, value: Any) -> None:
        """Set the user id or the record id, and the key that follows. Raises InvalidKeyError."""
        self.check_identity_is_free(name)
        if name == table.USER_ID:
            text = check_user_id(value)
        else:
            data_type = self.data_type
            text = check_record_id(value, data_type)
            self.has_fresh_id = False
            self.key = record_key(data_type, text)
        self.attribute_values[name] = text

    def belong_to(self, session: Session, user_id: str | None = None) -> None:
        """Bind the record to a store, and to the scope of a user if one takes it."""
        self.session = session
        self.scope = user_id or self.scope
        if self.values is not None:
            self.values.fixed = True

    def now(self) -> datetime:
        """Return the time by the store's clock."""
        return datetime.now(UTC) if self.session is None else self.session.clock()

    # --- the payload ------------------------------------------------------------------------------

    @property
    def origins(self) -> Origins:
        """The codec of this user's payloads."""
        return Origins(self.user_id)

    @property
    def payload_class(self) -> type | None:
        """The payload class of the record's class."""
        return self.record_class.payload_class()

    @property
    def touched(self) -> bool:
        """Whether anything under `data` may differ from the base.

        Values that can change in place, and extras once read, always may.
        """
        if self.extra_data is not None:
            return True
        if self.payload is UNREAD:
            return False
        return self.as_read is None or not codec.has_values(self.payload, self.as_read)

    def form(self, name: str) -> AttributeValue | None:
        """Return the form of a top-level attribute in the base."""
        if self.unread is not None and name in _STAMPS:
            return self.unread.form(name)
        return (self.base or {}).get(name)

    def data_map(self) -> Item | None:
        """Return the map under `data` in the base, None if there is none."""
        if self.base is None or table.DATA not in self.base:
            return None
        content: Item | None = self.base[table.DATA].get("M")
        return content

    def get_payload(self) -> Any:
        """Return the record's data, which is read at its first use. Raises CorruptItemError."""
        if self.payload is UNREAD:
            self.refuse_malformed("read")  # it reads the payload, except of a record read in part
            if self.payload is UNREAD:
                if self.base is None or table.DATA not in self.base:
                    return None
                self._read_in_part()
        return self.payload

    def _read_in_part(self) -> None:
        try:
            return self._read_payload()
        except Unfit as problem:
            unfit = problem
        # A whole record was refused as malformed before; of this one a part may be missing.
        raise InvalidRecordError(
            f"{describe(self.key)} was read in part, and {unfit.path} is not in it; fetch"
            " all of data, or look at record.item",
            path=unfit.path,
        )

    def _read_payload(self) -> None:
        """Read the payload from the base. Raises Unfit if it does not fit its class."""
        payload_class = self.payload_class
        if self.unread is not None and self.unread.raw is not None and payload_class is not None:
            read = codec.decode_stored(payload_class, self.unread.raw, self)
            if read is not None:
                self.payload, self.as_read = read
                self.hold(self.payload)
                return
        content = self.data_map()
        if content is None:
            form = self.form(table.DATA)
            reason = "is missing" if form is None else f"is no map but {codec.kind_name(form)}"
            raise Unfit(table.DATA, reason)
        if payload_class is None:
            self.payload = codec.decode_plain({"M": content}, table.DATA)
        else:
            self.payload, self.as_read = codec.decode_data(payload_class, content, self)
            self.hold(self.payload)

    def set_payload(self, value: Any) -> None:
        """Replace the record's data. Raises InvalidRecordError and CorruptItemError."""
        self.check_changeable()
        attribute: Any = self.record_class.data  # which type checkers take for a path
        self.payload = self.own(attribute.check(value))
        self.as_read = None  # the values of the payload before

    def own(self, given: Any) -> Any:
        """Return a given payload, or a copy if another record or payload has it already.

        A payload read as a nested one brings its undeclared attributes; the record's own stay.
        Raises InvalidRecordError if both have one of the same name.
        """
        if given is self.payload:
            return given
        if isinstance(given, dict):
            return copied(given)
        origin = origin_of(given)
        is_nested = origin is not None and origin.nested
        if is_nested or owner_of(given) not in (None, id(self)):
            given = copied(given)
        if origin is not None and is_nested and origin.user_id == self.user_id:
            self._bring(codec.undeclared(type(given), origin.content))
            set_origin(given, attrs.evolve(origin, made=None, nested=False))
        self.hold(given)
        return given

    def hold(self, payload: Any) -> None:
        """Make this record the owner of its payload and of the payloads within."""
        if codec.has_origins(type(payload)):
            take(payload, id(self))
        else:  # nothing within is a payload
            set_owner(payload, id(self))

    def _bring(self, undeclared: dict[str, Any]) -> None:
        """Add the undeclared attributes that come with a payload to the extras."""
        extras = self.read_extra_data()
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

    # --- what no class declares -------------------------------------------------------------------

    def read_extra_data(self) -> dict[str, Any]:
        """Return the undeclared attributes in `data`. Raises CorruptItemError."""
        if self.extra_data is None:
            self.refuse_malformed("read")
            payload_class, content = self.payload_class, self.data_map()
            known = payload_class is not None and content is not None
            self.extra_data = codec.undeclared(payload_class, content) if known else {}  # type: ignore[arg-type]
        return self.extra_data

    def read_extra_attributes(self) -> dict[str, Any]:
        """Return the undeclared top-level attributes. Raises CorruptItemError."""
        if self.extra_attributes is not None:
            return self.extra_attributes
        if self.unread is not None:
            self.extra_attributes = {}
            return self.extra_attributes
        try:
            self.extra_attributes = undeclared_attributes(self.base or {})
        except Unfit as problem:
            unfit = problem
        else:
            return self.extra_attributes
        raise self._corrupt(unfit, "read")

    # --- what is odd, and what must not be changed ------------------------------------------------

    def examine(self) -> Unfit | None:
        """Return where the stored item does not fit its class, if anywhere; examine it once."""
        if not self.has_snapshot or self.examined or self.projected:
            return self.unfit
        identity = None if self.sound else identity_problems(self.stored or {})
        if identity:
            self.unfit = Unfit(*identity[0])
        elif self.payload is UNREAD:
            try:
                self._read_payload()
                if self.unread is None:
                    self._check_undeclared()
            except Unfit as unfit:
                self.unfit, self.payload = unfit.with_traceback(None), UNREAD
        self.examined = True
        return self.unfit

    def _check_undeclared(self) -> None:
        """Raise Unfit for a number, in what no class declares, that DynamoDB cannot hold."""
        payload_class, content = self.payload_class, self.data_map()
        if payload_class is not None and content is not None:
            codec.undeclared(payload_class, content)
        undeclared_attributes(self.base or {})

    def refuse_malformed(self, verb: str) -> None:
        """Raise CorruptItemError if the stored item does not fit its class."""
        unfit = self.examine()
        if unfit is not None:
            raise self._corrupt(unfit, verb)

    def _corrupt(self, unfit: Unfit, verb: str) -> CorruptItemError:
        return CorruptItemError(
            f"{describe(self.key)} cannot be {verb}: {unfit.path} {unfit.reason}; look at"
            " record.item, correct it in the table or delete it",
            record_key=self.key,
            path=unfit.path,
            item=copy.deepcopy(self.stored),
        )

    def check_changeable(self) -> None:
        """Raise CorruptItemError, or InvalidRecordError, for a record that must not be changed."""
        if self.has_snapshot:
            self.refuse_malformed("changed")
            self.check_whole()

    def check_whole(self) -> None:
        """Raise InvalidRecordError for a record read in part, or with an outdated snapshot."""
        if self.projected:
            raise InvalidRecordError(
                f"{describe(self.key)} was read in part (attributes_to_get) and is"
                " read-only; read it whole to change it"
            )
        if self.outdated:
            raise InvalidRecordError(
                f"{describe(self.key)} {self.outdated}; refresh it before it is changed or"
                " written again"
            )

    # --- after a write ----------------------------------------------------------------------------

    def keep_as_stored(self, item: Item) -> None:
        """Make an item the snapshot that was encoded from the record's own values.

        Nothing is read again, as after most writes. The payload's nested objects and kept values
        take their new origins from the item.
        """
        self.unread = None
        self._stored = self._base = item
        self.as_read = None
        self.leaving = False
        values = self.values
        if values is not None:
            values.drop(table.CREATED_AT)
            values.drop(table.UPDATED_AT)
            if table.TTL in values and values[table.TTL] is None:
                del values[table.TTL]  # the type's keep_for may have given one
        payload_class = self.payload_class
        if payload_class is None or self.payload is UNREAD:
            return
        if codec.has_origins(payload_class):
            content, origins = item[table.DATA]["M"], self.origins
            self.hold(self.payload)
            # Edits since the item was encoded: their objects are not in it.
            edited = codec.edited_fields(self.payload, content, origins)
            origins.learn(self.payload, content, edited)


_STAMPS = frozenset({table.CREATED_AT, table.UPDATED_AT, table.TTL})

_NAME = "_record_state"

state_of: Callable[[UserRecord], RecordState] = attrgetter(_NAME)
"""The state of a record, for this package's own modules."""


record_key_of: Callable[[UserRecord], str] = attrgetter(f"{_NAME}.key")
"""The record key of a record: half the time of the attribute, for sorting."""


def give_state(record: UserRecord, state: RecordState) -> None:
    """Give a new record its state, without the checks of `__setattr__`."""
    object.__setattr__(record, _NAME, state)  # which makes no dict of its attributes


def undeclared_attributes(item: Item) -> dict[str, Any]:
    """Return the undeclared attributes of an item, as plain Python. Raises Unfit."""
    return {
        name: codec.decode_plain(form, name)
        for name, form in item.items()
        if name not in table.DECLARED
    }


def key_values(stored: Item) -> AttributeValues:
    """Return the user id and the record id of an item, as far as it has them."""
    key = stored.get(table.RECORD_KEY, {}).get("S", "")
    parts = split_key(key)
    own: AttributeValue = stored.get(table.RECORD_ID, {})
    record_id = str(own.get("S", parts[1] if parts else key))
    return _fixed_values(stored.get(table.USER_ID, {}).get("S"), record_id)


def _fixed_values(user_id: str | None, record_id: str) -> AttributeValues:
    values = AttributeValues({table.USER_ID: user_id, table.RECORD_ID: record_id})
    values.fixed = True
    return values


def identity_problems(item: Item) -> list[tuple[str, str]]:
    """Return what is wrong with an item's key attributes, as (path, reason)."""
    key = item.get(table.RECORD_KEY, {}).get("S")
    parts = split_key(key) if isinstance(key, str) else None
    if parts is None:
        return [(table.RECORD_KEY, "has no # between type and record id")]
    problems = []
    for name, expected in zip((table.DATA_TYPE, table.RECORD_ID), parts, strict=True):
        form = item.get(name)
        if form is None:
            problems.append((name, "is missing"))
        elif form.get("S") != expected:
            problems.append((name, "disagrees with recordKey" if "S" in form else "is no text"))
    if not all(parts):
        problems.append((table.RECORD_KEY, "has an empty type or record id"))
    return problems


def stamp_problems(item: Item, readable: dict[str, bool]) -> list[tuple[str, str]]:
    """Return what is wrong with timestamps and ttl: they read as None, and their form is kept."""
    problems = []
    for name in (table.CREATED_AT, table.UPDATED_AT):
        if name not in item:
            problems.append((name, "is missing"))
        elif not readable[name]:
            problems.append((name, "is no timestamp"))
    if table.TTL in item and not readable[table.TTL]:
        problems.append((table.TTL, "is no time in seconds between 1970 and 9999"))
    return problems
