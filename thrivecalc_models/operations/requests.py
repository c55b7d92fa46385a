"""Requests to DynamoDB as frozen values, converted to its JSON just before they are sent.

Their reprs, like all in the library, show no user id and no content: error trackers collect them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import attrs

from thrivecalc_models import table
from thrivecalc_models.operations.conditions import Condition, Expressions, Path
from thrivecalc_models.operations.filters import Filter
from thrivecalc_models.value import internal
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    Json,
    describe,
    masked_user,
    same_value,
    value_at,
)
from thrivecalc_models.wire.late import json_text

MAX_EXPRESSION_BYTES = 4096
MAX_OPERATORS = 300


class Operation(Protocol):
    """A request: DynamoDB's name for it, and its JSON for a table."""

    @property
    def name(self) -> str: ...

    def request(self, table_name: str) -> Json:
        """Return the JSON of the request for a table of this name."""


@internal
class Key:
    """The primary key of an item."""

    user_id: str = attrs.field(repr=False)
    record_key: str

    @classmethod
    def of(cls, item: Item) -> Key:
        """The key of an item, or of the part of one that a reply shows."""
        return cls(item[table.USER_ID]["S"], item[table.RECORD_KEY]["S"])

    def __repr__(self) -> str:
        return f"Key({masked_user(self.user_id)}, {describe(self.record_key)})"

    def item(self) -> Item:
        """Return the key attributes, as a request names them."""
        return {table.USER_ID: {"S": self.user_id}, table.RECORD_KEY: {"S": self.record_key}}


@internal(kw_only=True)
class GetItem:
    """Read one item."""

    name: ClassVar[str] = "GetItem"
    key: Key
    consistent: bool = False

    def request(self, table_name: str) -> Json:
        return {
            "TableName": table_name,
            "Key": self.key.item(),
            "ConsistentRead": self.consistent,
            "ReturnConsumedCapacity": "TOTAL",
        }


@internal(kw_only=True)
class BatchGet:
    """Up to 100 distinct keys of one table."""

    name: ClassVar[str] = "BatchGetItem"
    keys: tuple[Key, ...]
    consistent: bool = False

    def request(self, table_name: str) -> Json:
        return {
            "RequestItems": {
                table_name: {
                    "Keys": [key.item() for key in self.keys],
                    "ConsistentRead": self.consistent,
                }
            },
            "ReturnConsumedCapacity": "TOTAL",
        }


@internal(kw_only=True)
class Query:
    """Read one page of a user's items: all of them, or of one type, from the table or the index.

    The page starts after the record key `after`. `keys_only` leaves out all but the keys, `counts`
    leaves out the items. `keys` is a condition on the record key, for a type read from the table;
    `where` filters what was read. `reverse` reads from the last key on.
    """

    name: ClassVar[str] = "Query"
    user_id: str = attrs.field(repr=False)
    data_type: str | None = None
    by_index: bool = False
    consistent: bool = False
    limit: int | None = None
    after: str | None = None
    keys_only: bool = False
    counts: bool = False
    keys: Filter | None = None
    where: Filter | None = None
    reverse: bool = False

    def request(self, table_name: str) -> Json:
        expressions = Expressions()
        condition = self._key_condition(expressions)
        request: Json = {
            "TableName": table_name,
            "KeyConditionExpression": condition,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if self.keys_only:
            request["ProjectionExpression"] = ", ".join(
                expressions.path((name,)) for name in (table.USER_ID, table.RECORD_KEY)
            )
        if self.where is not None:
            request["FilterExpression"] = expressions.filter(self.where)
        if self.counts:
            request["Select"] = "COUNT"
        if self.reverse:
            request["ScanIndexForward"] = False
        if self.by_index:
            request["IndexName"] = table.INDEX_NAME
        else:
            request["ConsistentRead"] = self.consistent
        if self.limit is not None:
            request["Limit"] = self.limit
        if self.after is not None:
            request["ExclusiveStartKey"] = self._start_key(self.after)
        return request | expressions.placeholders()

    def _key_condition(self, expressions: Expressions) -> str:
        def path(name: str) -> str:
            return expressions.path((name,))

        condition = f"{path(table.USER_ID)} = {expressions.value({'S': self.user_id})}"
        if self.data_type is None:
            return condition
        if self.by_index:
            data_type = expressions.value({"S": self.data_type})
            return f"{condition} AND {path(table.DATA_TYPE)} = {data_type}"
        if self.keys is not None:
            return f"{condition} AND {expressions.filter(self.keys)}"
        key, prefix = path(table.RECORD_KEY), expressions.value({"S": f"{self.data_type}#"})
        return f"{condition} AND begins_with({key}, {prefix})"

    def _start_key(self, after: str) -> Item:
        key = Key(self.user_id, after).item()
        if self.by_index and self.data_type is not None:
            key[table.DATA_TYPE] = {"S": self.data_type}
        return key


@internal(kw_only=True)
class Scan:
    """Read one page of one segment of the table, with every user's items.

    Segments are numbered from 0. The page starts after the key `after`, which the page before it
    named.
    """

    name: ClassVar[str] = "Scan"
    segment: int = 0
    segments: int = 1
    consistent: bool = False
    limit: int | None = None
    after: Item | None = attrs.field(default=None, repr=False)

    def request(self, table_name: str) -> Json:
        request: Json = {
            "TableName": table_name,
            "Segment": self.segment,
            "TotalSegments": self.segments,
            "ConsistentRead": self.consistent,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if self.limit is not None:
            request["Limit"] = self.limit
        if self.after is not None:
            request["ExclusiveStartKey"] = self.after
        return request


@internal(kw_only=True)
class PutItem:
    """Create or replace an item. `encoded` is its JSON, if it was encoded already."""

    name: ClassVar[str] = "PutItem"
    member: ClassVar[str] = "Put"
    item: Item = attrs.field(repr=False)
    condition: Condition | None = None
    encoded: bytes | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def key(self) -> Key:
        """The primary key of the item."""
        return Key.of(self.item)

    def request(self, table_name: str) -> Json:
        return _single(self.entry(table_name))

    def entry(self, table_name: str) -> Json:
        """Return what stands for the operation in a transaction."""
        expressions = Expressions()
        entry = {"TableName": table_name, "Item": self.content}
        return entry | _condition(self.condition, expressions) | expressions.placeholders()

    def write_request(self) -> Json:
        """Return what stands for the operation in a batch."""
        return {"PutRequest": {"Item": self.item}}

    def batched(self) -> Json:
        """Return the same to be sent, with the item as it was encoded."""
        return {"PutRequest": {"Item": self.content}}

    @property
    def content(self) -> Any:
        """The item as a part of JSON that is to be encoded."""
        if self.encoded is None:
            return self.item
        return json_text().Raw(self.encoded)


@internal(kw_only=True)
class UpdateItem:
    """Set and remove attributes. The reply has the whole item as it is afterwards."""

    name: ClassVar[str] = "UpdateItem"
    member: ClassVar[str] = "Update"
    key: Key
    sets: tuple[tuple[Path, AttributeValue], ...] = attrs.field(repr=False)
    removes: tuple[Path, ...] = ()
    condition: Condition | None = None
    _made: tuple[Json, int] | None = attrs.field(default=None, init=False, eq=False, repr=False)

    def request(self, table_name: str) -> Json:
        return _single(self.entry(table_name)) | {"ReturnValues": "ALL_NEW"}

    def entry(self, table_name: str) -> Json:
        return {"TableName": table_name, "Key": self.key.item()} | self._expressions()[0]

    def fits(self) -> bool:
        """Whether DynamoDB takes expressions of this length (4 KB each, 300 operators)."""
        members, operators = self._expressions()
        return (
            len(members["UpdateExpression"]) <= MAX_EXPRESSION_BYTES
            and len(members.get("ConditionExpression", "")) <= MAX_EXPRESSION_BYTES
            and operators <= MAX_OPERATORS
        )

    def _expressions(self) -> tuple[Json, int]:
        """Return the members of the request that are expressions, made once, and the operators."""
        if self._made is None:
            expressions = Expressions()
            members = {"UpdateExpression": expressions.update(self.sets, self.removes)}
            members |= _condition(self.condition, expressions)
            made = members | expressions.placeholders(), expressions.operators
            object.__setattr__(self, "_made", made)
            return made
        return self._made


def shows(item: Item, update: UpdateItem) -> bool:
    """Whether an item has what an update writes."""
    return all(same_value(value_at(item, path), form) for path, form in update.sets) and all(
        value_at(item, path) is None for path in update.removes
    )


@internal(kw_only=True)
class DeleteItem:
    """Delete an item; it need not be stored."""

    name: ClassVar[str] = "DeleteItem"
    member: ClassVar[str] = "Delete"
    key: Key
    condition: Condition | None = None

    def request(self, table_name: str) -> Json:
        return _single(self.entry(table_name))

    def entry(self, table_name: str) -> Json:
        return _keyed_entry(self.key, self.condition, table_name)

    def write_request(self) -> Json:
        return {"DeleteRequest": {"Key": self.key.item()}}

    batched = write_request


@internal(kw_only=True)
class ConditionCheck:
    """A condition in a transaction, on an item that the transaction does not write."""

    name: ClassVar[str] = "ConditionCheck"
    member: ClassVar[str] = "ConditionCheck"
    key: Key
    condition: Condition

    def entry(self, table_name: str) -> Json:
        return _keyed_entry(self.key, self.condition, table_name)


WriteOperation = PutItem | UpdateItem | DeleteItem | ConditionCheck


@internal(kw_only=True)
class BatchWrite:
    """Up to 25 unconditional puts and deletes of distinct keys."""

    name: ClassVar[str] = "BatchWriteItem"
    writes: tuple[PutItem | DeleteItem, ...]

    def request(self, table_name: str) -> Json:
        return {
            "RequestItems": {table_name: [write.batched() for write in self.writes]},
            "ReturnConsumedCapacity": "TOTAL",
        }


def unprocessed_writes(body: Json) -> set[Key]:
    """The keys of the writes that a BatchWriteItem did not process."""
    return {
        Key.of(content.get("Item") or content["Key"])
        for entries in body.get("UnprocessedItems", {}).values()
        for entry in entries
        for content in entry.values()
    }


@internal(kw_only=True)
class TransactWrite:
    """Apply up to 100 writes or none; at most once per token within ten minutes."""

    name: ClassVar[str] = "TransactWriteItems"
    writes: tuple[WriteOperation, ...]
    token: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The operations in it, each once, as IAM names them."""
        return tuple(dict.fromkeys(f"{write.member}Item" for write in self.writes))

    def request(self, table_name: str) -> Json:
        return {
            "TransactItems": [
                {
                    write.member: write.entry(table_name)
                    | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
                }
                for write in self.writes
            ],
            "ClientRequestToken": self.token,
            "ReturnConsumedCapacity": "TOTAL",
        }


@internal
class Call:
    """A request whose JSON is given: an operation on the table itself, or made by PynamoDB."""

    name: str
    parameters: Json = attrs.field(repr=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """The operations in a transaction, each once, as IAM names them; none for other calls."""
        entries = self.parameters.get("TransactItems", ())
        return tuple(dict.fromkeys(f"{member}Item" for entry in entries for member in entry))

    def request(self, table_name: str) -> Json:
        return self.parameters


def _single(entry: Json) -> Json:
    request = entry | {"ReturnConsumedCapacity": "TOTAL"}
    if "ConditionExpression" in entry:
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return request


def _condition(condition: Condition | None, expressions: Expressions) -> Json:
    if condition is None:
        return {}
    return {"ConditionExpression": expressions.condition(condition)}


def _keyed_entry(key: Key, condition: Condition | None, table_name: str) -> Json:
    expressions = Expressions()
    entry = {"TableName": table_name, "Key": key.item()}
    return entry | _condition(condition, expressions) | expressions.placeholders()
