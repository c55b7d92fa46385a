"""An item as the bytes that the table sent: read when it is wanted, and only as far as that.

Most records of a list are looked at once, and most of what is in them never. Their bytes are one
object each, which the garbage collector need not follow; the dicts of an item are some fifty.
"""

from __future__ import annotations

from thrivecalc_models import table
from thrivecalc_models.wire.item import AttributeValue, Item
from thrivecalc_models.wire.late import json_text


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
        if self.raw is None:
            return self._item
        item: Item = json_text().decode(self.raw)
        return item

    def form(self, name: str) -> AttributeValue | None:
        """The form of a stamp or the ttl; None where there is none. The data is not read."""
        if self.raw is None:
            return self._item.get(name)
        from thrivecalc_models.wire.structs import form_in

        return form_in(self.raw, name)
