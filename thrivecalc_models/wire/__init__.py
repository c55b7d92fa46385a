"""How values are stored in the table, and what DynamoDB counts and refuses: pure functions."""

from __future__ import annotations

from thrivecalc_models.plain import is_plain, plain_text, plain_value
from thrivecalc_models.wire.binary import given_item, with_bytes, with_text
from thrivecalc_models.wire.compare import same_item, same_value
from thrivecalc_models.wire.durations import (
    format_duration,
    parse_duration,
    parse_time,
    parse_uuid,
)
from thrivecalc_models.wire.item import AttributeValue, Item, Json, are_values, is_item, value_at
from thrivecalc_models.wire.keys import (
    check_data_type,
    check_record_id,
    check_user_id,
    describe,
    fresh_id,
    masked_user,
    record_key,
    split_key,
)
from thrivecalc_models.wire.numbers import number_text, parse_number, to_decimal
from thrivecalc_models.wire.sizes import (
    MAX_ITEM_SIZE,
    check_item,
    check_size,
    encoded_size,
    encodes_within,
    item_size,
    most_encoded,
    name_fault,
    nesting_depth,
    read_units,
    value_size,
    write_units,
)
from thrivecalc_models.wire.stored import StoredItem
from thrivecalc_models.wire.timestamps import (
    MAX_SKIP,
    WriteTime,
    floor_ms,
    format_timestamp,
    format_ttl,
    is_lifetime,
    later,
    next_stamp,
    parse_date,
    parse_timestamp,
    parse_ttl,
)

__all__ = [
    "MAX_ITEM_SIZE",
    "MAX_SKIP",
    "AttributeValue",
    "Item",
    "Json",
    "StoredItem",
    "WriteTime",
    "are_values",
    "check_data_type",
    "check_item",
    "check_record_id",
    "check_size",
    "check_user_id",
    "describe",
    "encoded_size",
    "encodes_within",
    "floor_ms",
    "format_duration",
    "format_timestamp",
    "format_ttl",
    "fresh_id",
    "given_item",
    "is_item",
    "is_lifetime",
    "is_plain",
    "item_size",
    "later",
    "masked_user",
    "most_encoded",
    "name_fault",
    "nesting_depth",
    "next_stamp",
    "number_text",
    "parse_date",
    "parse_duration",
    "parse_number",
    "parse_time",
    "parse_timestamp",
    "parse_ttl",
    "parse_uuid",
    "plain_text",
    "plain_value",
    "read_units",
    "record_key",
    "same_item",
    "same_value",
    "split_key",
    "to_decimal",
    "value_at",
    "value_size",
    "with_bytes",
    "with_text",
    "write_units",
]
