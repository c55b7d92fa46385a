"""Arguments of reads: keys, parts of items, and the conditions that select records of a type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs
from pynamodb.attributes import Attribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.models import Model

from thrivecalc_models import table
from thrivecalc_models.errors import InvalidKeyError, InvalidRecordError, IsolationError
from thrivecalc_models.operations import Call, Flow, Key, Operation, Send
from thrivecalc_models.wire import (
    Item,
    StoredItem,
    check_data_type,
    check_record_id,
    check_user_id,
    describe,
    given_item,
    plain_value,
    split_key,
)

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

Json = dict[str, Any]


def checked_key(user_id: Any, record_key: Any) -> Key:
    """Return the key of a user id and the text of a record key. Raises InvalidKeyError."""
    user_id, record_key = check_user_id(user_id), plain_value(record_key)
    if record_key is None:
        raise InvalidKeyError(
            "a record is found by user id and record key; give both, such as"
            " SavingsGoal.get(user_id, SavingsGoal.key(record_id))",
            path=table.RECORD_KEY,
        )
    parts = split_key(record_key) if type(record_key) is str else None
    if parts is not None and all(parts):
        check_record_id(parts[1], parts[0])
    else:
        # No record of ours, but such an item can exist, and be read and deleted.
        check_data_type(record_key.replace("#", "-") if parts else record_key)
    return Key(user_id, record_key)


def checked_pairs(items: Iterable[Any]) -> Iterator[Key]:
    """Give the keys of (user id, record key) pairs. Raises InvalidKeyError."""
    for item in items:
        pair = None if isinstance(item, str | bytes) else tuple(item)
        if pair is None or len(pair) != 2:
            raise InvalidKeyError(
                "batch_get takes pairs of user id and record key", path=table.RECORD_KEY
            )
        yield checked_key(*pair)


def absent(cls: type[Model], record_key: str) -> str:
    """Return the message for a key under which nothing is stored."""
    whole = "" if split_key(record_key) else "; a record key is type#id, see key(record_id)"
    return f"{describe(record_key)} does not exist ({cls.__name__}){whole}"


def whole(given: Any) -> Item:
    """Copy an item that a caller gives, once it has a key of this table.

    Raises InvalidKeyError, and InvalidRecordError for an item that is nested too deep.
    """
    if not isinstance(given, dict):
        raise InvalidKeyError(
            "an item is a dict in DynamoDB's JSON, such as {'userId': {'S': 'u'}, ...}, not"
            f" {type(given).__name__}",
            path=table.RECORD_KEY,
        )
    item = given_item(given)
    for name in (table.USER_ID, table.RECORD_KEY):
        form = item.get(name)
        if not isinstance(form, dict) or not isinstance(form.get("S"), str):
            raise InvalidKeyError(f"an item of this table has text under {name}", path=name)
    return item


# --- conditions -----------------------------------------------------------------------------------


def query_arguments(
    cls: type[Model],
    range_key_condition: Condition | None,
    filter_condition: Condition | None,
    index_name: str | None,
    consistent_read: bool,
) -> Json:
    """Return the arguments of a query for a user's records of a class.

    Raises InvalidRecordError for a key condition or an index that it cannot have.
    """
    check_index(cls, index_name, consistent_read)
    data_type = type_read_by(cls)
    if data_type is not None and index_name is not None:
        range_key_condition = _on_index(cls, data_type, range_key_condition)
    elif data_type is not None and range_key_condition is None:
        range_key_condition = Path([table.RECORD_KEY]).startswith(f"{data_type}#")
    elif data_type is not None:
        filter_condition &= is_of_type(data_type)
    return {
        "range_key_condition": range_key_condition,
        "filter_condition": filter_condition,
        "index_name": index_name,
        "consistent_read": consistent_read,
    }


def _on_index(cls: type[Model], data_type: str, given: Condition | None) -> Condition:
    # DynamoDB refuses a filter on an index key, and takes one condition on each.
    own = is_of_type(data_type)
    if given is not None and str(given) != str(own):
        raise InvalidRecordError(
            f"{cls.__name__}.by_type reads {data_type!r} only, and that is the key condition;"
            " use UserRecord.by_type.query(user_id, UserRecord.data_type == …) for another",
            path=table.DATA_TYPE,
        )
    return own


def type_read_by(cls: type[Model]) -> str | None:
    """Return the data type that a class reads, None for UserRecord, which reads all.

    Raises InvalidKeyError for another class without a data type.
    """
    data_type = cast("type[UserRecord]", cls).own_data_type()
    if data_type is None and Model not in cls.__bases__:  # UserRecord has that itself
        raise InvalidKeyError(
            f"{cls.__name__} has no data type to look for; use UserRecord.query(user_id,"
            " UserRecord.record_key.startswith('type#'))",
            path=table.DATA_TYPE,
        )
    return data_type


def is_of_type(data_type: str) -> Condition:
    """Return the condition that `dataType` is this one."""
    condition: Condition = Path([table.DATA_TYPE]) == {"S": data_type}
    return condition


def check_index(cls: type[Model], index_name: str | None, consistent: bool | None) -> None:
    """Raise InvalidRecordError for an unknown index, or for a consistent read of ours."""
    if index_name not in (None, table.INDEX_NAME):
        raise InvalidRecordError(
            f"the table has no index {index_name!r}; its only one is {table.INDEX_NAME}"
        )
    if index_name is not None and consistent:
        raise InvalidRecordError(
            f"{table.INDEX_NAME} cannot be read consistently; use {cls.__name__}.query("
            "user_id, consistent_read=True), which reads the table"
        )


def check_start(user_id: str, start: Any) -> None:
    """Raise IsolationError for a `last_evaluated_key` of another user."""
    if isinstance(start, Mapping) and start.get(table.USER_ID, {}).get("S", user_id) != user_id:
        raise IsolationError(
            "last_evaluated_key comes from a query of another user; start without one"
        )


# --- parts of items -------------------------------------------------------------------------------


def projection(attributes_to_get: Any) -> list[Any] | None:
    """Return the attributes to fetch of an item read in part; key and type give its class."""
    if attributes_to_get is None:
        return None
    if isinstance(attributes_to_get, str | Attribute | Path):
        attributes_to_get = [attributes_to_get]
    wanted = list(attributes_to_get)
    named = {_top_name(attribute) for attribute in wanted}
    keys = (table.USER_ID, table.RECORD_KEY, table.DATA_TYPE)
    return wanted + [name for name in keys if name not in named]


def _top_name(attribute: Any) -> str:
    if isinstance(attribute, Attribute):
        return str(attribute.attr_name)
    path = attribute.path if isinstance(attribute, Path) else attribute.split(".")
    return str(path[0])


def projected(
    reading: Flow[list[StoredItem]], members: Json, table_name: str
) -> Flow[list[StoredItem]]:
    """Run a reading protocol with these members added to every BatchGetItem that it sends."""

    def narrowed(operation: Operation) -> Call:
        request = operation.request(table_name)
        asked = request["RequestItems"][table_name] | members
        return Call(operation.name, request | {"RequestItems": {table_name: asked}})

    effect = next(reading)
    while True:
        if isinstance(effect, Send):
            effect = attrs.evolve(effect, operations=tuple(map(narrowed, effect.operations)))
        received = yield effect
        try:
            effect = reading.send(received)
        except StopIteration as end:
            items: list[StoredItem] = end.value
            return items
