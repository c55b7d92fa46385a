"""Records as dicts, by PynamoDB's methods: botocore's form, DynamoDB's JSON and plain JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from thrivecalc_models import codec, table
from thrivecalc_models.codec.numbers import EXACT
from thrivecalc_models.operations import Key
from thrivecalc_models.records import writing
from thrivecalc_models.records.pynamo.lookups import whole
from thrivecalc_models.records.state import fixed_identity, state_of
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    WriteTime,
    format_timestamp,
    parse_number,
    with_bytes,
)

if TYPE_CHECKING:
    from pynamodb.models import Model

    from thrivecalc_models.records.model import UserRecord
else:
    Model = object  # a part of UserRecord, not a model that PynamoDB would have to examine, too


class PynamoDicts(Model):
    """PynamoDB's methods for dicts: the item as it would be written, with the present stamps."""

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        """Return the item in botocore's form. Raises InvalidRecordError without data."""
        item: dict[str, dict[str, Any]] = with_bytes(_current_item(record_of(self), null_check))
        return item

    def deserialize(self, attribute_values: dict[str, dict[str, Any]]) -> None:
        """Take over an item in botocore's form, as if it was read."""
        _become(record_of(self), whole(attribute_values))

    def to_dynamodb_dict(self) -> dict[str, dict[str, Any]]:
        """Return the item in DynamoDB's JSON, with binary values as base64 text."""
        return _current_item(record_of(self), null_check=False)

    def from_dynamodb_dict(self, d: dict[str, dict[str, Any]]) -> None:
        """Take over an item in DynamoDB's JSON, as if it was read."""
        self.deserialize(d)

    def to_simple_dict(self, *, force: bool = False) -> dict[str, Any]:
        """Return the item as plain JSON; numbers are int or float.

        Raises ValueError for a number that a float cannot hold exactly, and for sets and binary
        values unless `force` is set: `to_dynamodb_dict()` has them all.
        """
        item = _current_item(record_of(self), null_check=False)
        return {name: _simple(form, name, force) for name, form in item.items()}

    def from_simple_dict(self, d: dict[str, Any]) -> None:
        """Take over such a mapping, as if it was read."""
        item = {name: codec.encode_plain(value, name, encoding=EXACT) for name, value in d.items()}
        _become(record_of(self), whole(item))


def record_of(model: PynamoDicts) -> UserRecord:
    """Type a part of `UserRecord` as the record that it is."""
    return cast("UserRecord", model)


def _become(record: UserRecord, item: Item) -> None:
    """Take over an item; for a record that a store has, one of the same key only."""
    fixed = state_of(record).identity_is_fixed
    if fixed and (not writing.is_stored(record) or Key.of(item) != writing.key_of(record)):
        raise fixed_identity(table.RECORD_KEY)
    writing.restore(record, item)


def _current_item(record: UserRecord, null_check: bool) -> Item:
    stored = record.item
    if stored is not None and (state_of(record).projected or record.malformed):
        return stored
    if not null_check and record.data is None:
        item = writing.key_of(record).item() | {
            table.DATA_TYPE: {"S": record.data_type},
            table.RECORD_ID: {"S": record.record_id},
        }
    else:
        item, _ = writing.whole_item(record, at=WriteTime(datetime.now(UTC), 1), js_safe=False)
    for name in (table.CREATED_AT, table.UPDATED_AT):
        item.pop(name, None)
        given = record.attribute_values.get(name)
        if stored is not None and name in stored:
            item[name] = stored[name]
        elif stored is None and given is not None:
            item[name] = {"S": format_timestamp(given)}
    if stored is None and record.ttl is None:
        item.pop(table.TTL, None)  # from `keep_for`, which counts from the time of the write
    return item


def _simple(form: AttributeValue, path: str, force: bool) -> Any:
    ((tag, content),) = form.items()
    match tag:
        case "M":
            return {n: _simple(inner, f"{path}.{n}", force) for n, inner in content.items()}
        case "L":
            return [_simple(inner, f"{path}[{i}]", force) for i, inner in enumerate(content)]
        case "N":
            return _simple_number(content, path)
        case "NULL":
            return None
        case "S" | "BOOL":
            return content
    if not force:
        raise ValueError(f"{path} is a set or binary, which plain JSON has not; pass force=True")
    return [_simple_number(text, path) for text in content] if tag == "NS" else content


def _simple_number(text: str, path: str) -> int | float:
    number = parse_number(text)
    if number == number.to_integral_value():
        return int(number)
    if Decimal(repr(float(number))) != number:
        raise ValueError(f"{path} has more digits than a float; use to_dynamodb_dict()")
    return float(number)
