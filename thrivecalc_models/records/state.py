"""What a record remembers: the item it was read from, and what was touched since."""

from __future__ import annotations

from typing import Any, Final, Self

from thrivecalc_models import codec, table
from thrivecalc_models.codec import Origins, Unfit
from thrivecalc_models.errors import InvalidKeyError
from thrivecalc_models.payloads.origins import set_owner, take
from thrivecalc_models.wire import Item, split_key

UNREAD: Final = object()


class AttributeValues(dict[str, Any]):
    """PynamoDB's dict of attribute values; once `fixed`, keys and stamps cannot change in it."""

    fixed = False

    def keep(self, name: str, value: Any) -> None:
        """Set a value that was read: no change of what is stored."""
        super().__setitem__(name, value)

    def drop(self, name: str) -> None:
        """Forget a value; it is read again when it is next wanted."""
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

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        self._check(name)
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        name = next(reversed(self))
        return name, self.pop(name)

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def _check(self, name: str) -> None:
        if self.fixed and name in _FIXED:
            raise fixed_identity(name)


# PynamoDB's own attributes, which a subclass may declare, keep values under Python's names.
_PYTHON_NAMES = ("user_id", "record_key", "data_type", "record_id", "created_at", "updated_at")
_FIXED = table.IDENTITY.union(_PYTHON_NAMES)


def fixed_identity(name: str) -> InvalidKeyError:
    """The error for an assignment to a key or a stamp of a record that a store has."""
    return InvalidKeyError(
        f"{name} cannot change once a store has the record; make another record instead",
        path=name,
    )


class State:
    """The memory of one record.

    `stored` is the item as the table is known to have it, None for a record never seen there.
    `base` is the item whose forms are kept on writing: `stored`, or what a mapping gave.
    `payload`, `extra_data` and `extra_attributes` are read from `base` when first touched;
    `as_read` are the simple values that `base` gave the payload, if all of them are simple.
    `outdated` says that a write of ours left something else than `stored`, which nobody has seen.
    `projected` marks a record read in part, which must not be written. `sound` says that the key
    attributes of `stored` are known to agree. `values` is PynamoDB's dict
    of attribute values, made when it is first wanted.
    """

    __slots__ = (
        "as_read",
        "base",
        "examined",
        "extra_attributes",
        "extra_data",
        "outdated",
        "payload",
        "projected",
        "sound",
        "stored",
        "unfit",
        "values",
    )

    def __init__(
        self,
        stored: Item | None = None,
        payload: Any = UNREAD,
        projected: bool = False,
        sound: bool = False,
    ) -> None:
        self.stored = stored
        self.base = stored
        self.payload = payload
        self.projected = projected
        self.sound = sound
        self.examined = False
        self.outdated = False
        self.unfit: Unfit | None = None
        self.as_read: tuple[Any, ...] | None = None
        self.extra_data: dict[str, Any] | None = None
        self.extra_attributes: dict[str, Any] | None = None
        self.values: AttributeValues | None = None

    @property
    def origins(self) -> Origins:
        """The codec of this user's payloads."""
        return Origins(self.user_id)

    @property
    def user_id(self) -> str | None:
        """Whose the record is, as far as that is known."""
        if self.values is not None:
            return self.values.get(table.USER_ID)
        user_id: str | None = (self.stored or {}).get(table.USER_ID, {}).get("S")
        return user_id

    @property
    def touched(self) -> bool:
        """Whether anything under `data` may differ from what was read."""
        if self.extra_data is not None:
            return True
        if self.payload is UNREAD:
            return False
        return self.as_read is None or not codec.has_values(self.payload, self.as_read)

    def keep(self, item: Item) -> None:
        """Take an item as what the table has, and as the forms to be kept."""
        self.stored = self.base = item
        self.as_read = None

    def data_map(self) -> Item | None:
        """The stored map under `data`, None where there is none."""
        if self.base is None or table.DATA not in self.base:
            return None
        content: Item | None = self.base[table.DATA].get("M")
        return content


def read_payload(state: State, payload_class: type | None, *, owner: int) -> None:
    """Read the payload of a record from the base. Raises Unfit where it does not fit its class."""
    content = state.data_map()
    if content is None:
        form = (state.base or {}).get(table.DATA)
        raise Unfit(
            table.DATA, "is missing" if form is None else f"is no map but {codec.kind_name(form)}"
        )
    if payload_class is None:
        state.payload = codec.decode_plain({"M": content}, table.DATA)
    else:
        state.payload, state.as_read = codec.decode_data(payload_class, content, state)
        own(state.payload, owner)


def own(payload: Any, owner: int) -> None:
    """Make a record, by its `id`, the owner of its payload and of those within."""
    if codec.has_origins(type(payload)):
        take(payload, owner)
    else:  # nothing within is a payload
        set_owner(payload, owner)


def check_undeclared(state: State, payload_class: type | None) -> None:
    """Raises Unfit for a number, in what no class declares, that DynamoDB cannot hold."""
    content = state.data_map()
    if payload_class is not None and content is not None:
        codec.undeclared(payload_class, content)
    undeclared_attributes(state.base or {})


def undeclared_attributes(item: Item) -> dict[str, Any]:
    """The attributes of an item that no class declares, as plain Python. Raises Unfit."""
    if table.DECLARED.issuperset(item):  # as of most items
        return {}
    return {
        name: codec.decode_plain(form, name)
        for name, form in item.items()
        if name not in table.DECLARED
    }


def key_values(stored: Item) -> AttributeValues:
    """Whose an item is, and its record id, as far as it says so."""
    key = stored.get(table.RECORD_KEY, {}).get("S", "")
    parts = split_key(key)
    values = AttributeValues(
        {
            table.USER_ID: stored.get(table.USER_ID, {}).get("S"),
            table.RECORD_ID: stored.get(table.RECORD_ID, {}).get("S", parts[1] if parts else key),
        }
    )
    values.fixed = True
    return values


def identity_problems(item: Item) -> list[tuple[str, str]]:
    """What is wrong with an item's key attributes, as (path, reason)."""
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
    """What is odd about timestamps and ttl: they read as None, and their stored form is kept."""
    problems = []
    for name in (table.CREATED_AT, table.UPDATED_AT):
        if name not in item:
            problems.append((name, "is missing"))
        elif not readable[name]:
            problems.append((name, "is no timestamp"))
    if table.TTL in item and not readable[table.TTL]:
        problems.append((table.TTL, "is no time in seconds between 1970 and 9999"))
    return problems
