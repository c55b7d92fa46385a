"""PynamoDB's dicts: a record as botocore's form, DynamoDB's JSON or plain JSON, and back."""

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
    """A record as it would be written, but with the stamps it has."""

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        """The item in botocore's form. Raises InvalidRecordError where there is no data."""
        item: dict[str, dict[str, Any]] = with_bytes(_current_item(_of(self), null_check))
        return item

    def deserialize(self, attribute_values: dict[str, dict[str, Any]]) -> None:
        """Become what an item in botocore's form says, as if just read."""
        _become(_of(self), whole(attribute_values))

    def to_dynamodb_dict(self) -> dict[str, dict[str, Any]]:
        """The item in DynamoDB's JSON, with binary values as base64 text."""
        return _current_item(_of(self), null_check=False)

    def from_dynamodb_dict(self, d: dict[str, dict[str, Any]]) -> None:
        """Become what an item in DynamoDB's JSON says, as if just read."""
        self.deserialize(d)

    def to_simple_dict(self, *, force: bool = False) -> dict[str, Any]:
        """The item as plain JSON: int and float where they are exact.

        Raises ValueError for a number that a float cannot hold, and unless `force` for sets and
        binary values: `to_dynamodb_dict()` has them all.
        """
        item = _current_item(_of(self), null_check=False)
        return {name: _simple(form, name, force) for name, form in item.items()}

    def from_simple_dict(self, d: dict[str, Any]) -> None:
        """Become what such a mapping says, as if just read."""
        item = {name: codec.encode_plain(value, name, encoding=EXACT) for name, value in d.items()}
        _become(_of(self), whole(item))


def _of(model: PynamoDicts) -> UserRecord:
    return cast("UserRecord", model)


def _become(record: UserRecord, item: Item) -> None:
    """Take an item over; of a record that a store has, only one of the same key."""
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
        item = writing.whole_item(record, at=WriteTime(datetime.now(UTC), 1), js_safe=False)
    for name in (table.CREATED_AT, table.UPDATED_AT):
        item.pop(name, None)
        given = record.attribute_values.get(name)
        if stored is not None and name in stored:
            item[name] = stored[name]
        elif stored is None and given is not None:
            item[name] = {"S": format_timestamp(given)}
    if stored is None and record.ttl is None:
        item.pop(table.TTL, None)  # it is reckoned when the record is written
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
