"""An item as the bytes that the table sent: read when it is wanted, and only as far as that.

Most records of a list are looked at once, and most of what is in them never. Their bytes are one
object each, which the garbage collector need not follow; the dicts of an item are some fifty.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from thrivecalc_models import table
from thrivecalc_models.wire.item import AttributeValue, Item


class Text(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A text in DynamoDB's JSON."""

    S: str


class Number(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A number in DynamoDB's JSON."""

    N: str


class Flag(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """True or false in DynamoDB's JSON."""

    BOOL: bool


class _Envelope(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """An item with the attributes of the table, and no others; its data is not looked at."""

    user_id: Text = msgspec.field(name=table.USER_ID)
    record_key: Text = msgspec.field(name=table.RECORD_KEY)
    data_type: Text = msgspec.field(name=table.DATA_TYPE)
    record_id: Text = msgspec.field(name=table.RECORD_ID)
    data: msgspec.Raw = msgspec.field(name=table.DATA)
    created_at: Text | msgspec.UnsetType = msgspec.field(
        name=table.CREATED_AT, default=msgspec.UNSET
    )
    updated_at: Text | msgspec.UnsetType = msgspec.field(
        name=table.UPDATED_AT, default=msgspec.UNSET
    )
    ttl: Number | msgspec.UnsetType = msgspec.field(name=table.TTL, default=msgspec.UNSET)


_envelope = msgspec.json.Decoder(_Envelope).decode
_plain = msgspec.json.Decoder().decode


class StoredItem:
    """One item of a reply, with what is known of it before it is read.

    `raw` is its JSON, None where it was read at once. `regular` says that its key attributes agree,
    and that it has no attribute beside those of the table; `expires` that it has a ttl.
    """

    __slots__ = ("_item", "data_type", "expires", "raw", "record_key", "regular", "user_id")

    _item: Item
    raw: bytes | None
    user_id: str
    record_key: str
    data_type: str | None
    regular: bool
    expires: bool

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredItem) and self.item == other.item

    __hash__ = None  # type: ignore[assignment]  # its item is mutable

    @classmethod
    def read(cls, raw: bytes, is_regular: Callable[[str, bytes], bool]) -> StoredItem | None:
        """The item in these bytes; None where it is odd, or has an undeclared attribute.

        `is_regular(data_type, data)` says whether that holds of what is under `data`.
        """
        try:
            envelope = _envelope(raw)
        except msgspec.MsgspecError:
            return None
        if not is_regular(envelope.data_type.S, envelope.data):
            return None
        item = object.__new__(cls)
        item.raw = raw
        item.user_id = envelope.user_id.S
        item.record_key = key = envelope.record_key.S
        item.data_type = data_type = envelope.data_type.S
        record_id = envelope.record_id.S
        item.expires = envelope.ttl is not msgspec.UNSET
        item.regular = (
            key == f"{data_type}#{record_id}"
            and "#" not in data_type
            and data_type != ""
            and record_id != ""
        )
        return item

    @classmethod
    def of(cls, content: Item) -> StoredItem:
        """An item that was read already. Raises KeyError where it has no key."""
        item = object.__new__(cls)
        item._item = content
        item.raw = None
        item.user_id = content[table.USER_ID]["S"]
        item.record_key = content[table.RECORD_KEY]["S"]
        item.data_type = content.get(table.DATA_TYPE, {}).get("S")
        item.expires = table.TTL in content
        item.regular = False
        return item

    @property
    def item(self) -> Item:
        """The item in DynamoDB's JSON; not kept where it is read from bytes."""
        item: Item = self._item if self.raw is None else _plain(self.raw)
        return item

    def form(self, name: str) -> AttributeValue | None:
        """The form of a stamp or the ttl; None where there is none. The data is not read."""
        if self.raw is None:
            return self._item.get(name)
        envelope = _envelope(self.raw)
        if name == table.TTL:
            return None if envelope.ttl is msgspec.UNSET else {"N": envelope.ttl.N}
        text = envelope.created_at if name == table.CREATED_AT else envelope.updated_at
        return None if text is msgspec.UNSET else {"S": text.S}
