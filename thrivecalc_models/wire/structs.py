"""Items of replies as structs of msgspec. It is imported late: models are defined without it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from thrivecalc_models import table
from thrivecalc_models.wire.item import AttributeValue
from thrivecalc_models.wire.keys import keys_agree
from thrivecalc_models.wire.stored import StoredItem


class Text(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A text in DynamoDB's JSON."""

    S: str


class Number(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A number in DynamoDB's JSON."""

    N: str


class Flag(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """True or false in DynamoDB's JSON."""

    BOOL: bool


class Envelope(msgspec.Struct, gc=False, forbid_unknown_fields=True):
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


read_envelope = msgspec.json.Decoder(Envelope).decode
"""Read the JSON of an item. Raises msgspec.MsgspecError for an odd one, or one with more."""


def stored_item(raw: bytes, is_regular: Callable[[str, bytes], bool]) -> StoredItem | None:
    """Return the item in these bytes; None where it is odd, or has an undeclared attribute.

    `is_regular(data_type, data)` says whether that holds of what is under `data`.
    """
    try:
        envelope = read_envelope(raw)
    except msgspec.MsgspecError:
        return None
    if not is_regular(envelope.data_type.S, envelope.data):
        return None
    item = object.__new__(StoredItem)
    item.raw = raw
    item.user_id = envelope.user_id.S
    item.record_key = key = envelope.record_key.S
    item.data_type = data_type = sys.intern(envelope.data_type.S)  # one text for all of a list
    record_id = envelope.record_id.S
    item.expires = envelope.ttl is not msgspec.UNSET
    item.regular = keys_agree(key, data_type, record_id)
    return item


def form_in(raw: bytes, name: str) -> AttributeValue | None:
    """Return the form of a stamp or the ttl of a regular item; None where there is none."""
    envelope = read_envelope(raw)
    if name == table.TTL:
        return None if envelope.ttl is msgspec.UNSET else {"N": envelope.ttl.N}
    text = envelope.created_at if name == table.CREATED_AT else envelope.updated_at
    return None if text is msgspec.UNSET else {"S": text.S}
