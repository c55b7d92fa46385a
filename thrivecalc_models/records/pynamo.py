"""PynamoDB's methods of models, each made right for this table.

`PynamoReads` and `PynamoWrites` are the two halves of what `UserRecord` offers beside its
attributes. Class methods use the default binding, instance methods the record's own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import reduce
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
from pynamodb.attributes import Attribute
from pynamodb.connection.base import BOTOCORE_EXCEPTIONS
from pynamodb.exceptions import PynamoDBException, TableError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import (
    Path,
    Value,
    _Decrement,
    _IfNotExists,
    _Increment,
    _ListAppend,
)
from pynamodb.expressions.update import (
    Action,
    AddAction,
    DeleteAction,
    RemoveAction,
    SetAction,
)
from pynamodb.models import Model
from pynamodb.pagination import PageIterator, ResultIterator

from thrivecalc_models import codec, operations, table
from thrivecalc_models.codec import Origins, Unfit
from thrivecalc_models.codec.values import Encoding, decode, encode_plain
from thrivecalc_models.errors import InvalidKeyError, InvalidRecordError, IsolationError
from thrivecalc_models.operations import Call, Key, Operation, Protocol, Send
from thrivecalc_models.payloads import fields_of
from thrivecalc_models.protocol import get_many
from thrivecalc_models.protocol.reads import BATCH_GET_KEYS
from thrivecalc_models.records import writing
from thrivecalc_models.records.batch import RecordBatch
from thrivecalc_models.records.binding import Binding, default_binding
from thrivecalc_models.records.connection import StoreTable, failure_of, table_of
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    check_data_type,
    check_item,
    check_record_id,
    check_user_id,
    describe,
    number_text,
    parse_number,
    parse_ttl,
    same_value,
    split_key,
    with_bytes,
    with_text,
)

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

R = TypeVar("R", bound="PynamoReads")
Json = dict[str, Any]
Names = tuple[str, ...]

KEYS_AT_ONCE = 8 * BATCH_GET_KEYS
"""Keys of a `batch_get` that are asked for at the same time, so that memory stays flat."""

SECONDS_BETWEEN_LOOKS = 2.0
"""Between looks at a table that is being made or deleted."""


class PynamoReads(Model):
    """Reading: every stored item becomes a record of the class that its type says."""

    @classmethod
    def get(
        cls: type[R],
        hash_key: str,
        range_key: str | None = None,
        consistent_read: bool = False,
        attributes_to_get: Sequence[str] | None = None,
    ) -> R:
        """The record under a user id and a record key, such as `SavingsGoal.key(record_id)`.

        Raises DoesNotExist; InvalidKeyError, before anything is sent, for what can be no key. What
        is stored under the key comes back in the class that its own type says.
        """
        binding = default_binding()
        key = checked_key(hash_key, range_key)
        reply = table_of(binding).get_item(
            key.user_id, key.record_key, consistent_read, projection(attributes_to_get)
        )
        item = reply.get("Item")
        if item is None:
            raise cls.DoesNotExist(_absent(_class(cls), key.record_key))
        return _record(cls, item, binding, attributes_to_get)

    @classmethod
    def batch_get(
        cls: type[R],
        items: Iterable[Any],
        consistent_read: bool | None = None,
        attributes_to_get: Sequence[str] | None = None,
    ) -> Iterator[R]:
        """The records under (user id, record key) pairs, in no order; absent ones are left out.

        A key given twice is read once. Raises GetError where the service leaves keys unprocessed
        for longer than the retry policy allows.
        """
        binding = default_binding()
        keys = iter(dict.fromkeys(_pairs(items)))
        return _many(cls, keys, bool(consistent_read), attributes_to_get, binding)

    @classmethod
    def query(
        cls: type[R],
        hash_key: str,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        index_name: str | None = None,
        scan_index_forward: bool | None = None,
        limit: int | None = None,
        last_evaluated_key: Json | None = None,
        attributes_to_get: Iterable[str] | None = None,
        page_size: int | None = None,
        rate_limit: float | None = None,
    ) -> ResultIterator[R]:
        """A user's records of this type; of every type from `UserRecord`.

        A range key condition takes the place of the one on the type, which is then filtered.
        """
        binding = default_binding()
        asked = _query(
            _class(cls),
            hash_key,
            range_key_condition,
            filter_condition,
            index_name,
            consistent_read,
        )
        _check_start(hash_key, last_evaluated_key)
        return ResultIterator(
            table_of(binding).query,
            (hash_key,),
            asked
            | {
                "exclusive_start_key": last_evaluated_key,
                "scan_index_forward": scan_index_forward,
                "limit": limit if page_size is None else page_size,
                "attributes_to_get": projection(attributes_to_get),
            },
            map_fn=lambda item: _record(cls, item, binding, attributes_to_get),
            limit=limit,
            rate_limit=rate_limit,
        )

    @classmethod
    def scan(
        cls: type[R],
        filter_condition: Condition | None = None,
        segment: int | None = None,
        total_segments: int | None = None,
        limit: int | None = None,
        last_evaluated_key: Json | None = None,
        page_size: int | None = None,
        consistent_read: bool | None = None,
        index_name: str | None = None,
        rate_limit: float | None = None,
        attributes_to_get: Sequence[str] | None = None,
    ) -> ResultIterator[R]:
        """Every user's records of this type, by reading the whole table or index and filtering."""
        binding = default_binding()
        _check_index(_class(cls), index_name, consistent_read)
        data_type = _type_of_reads(_class(cls))
        if data_type is not None:
            filter_condition = _both(filter_condition, _is_of(data_type))
        return ResultIterator(
            table_of(binding).scan,
            (),
            {
                "filter_condition": filter_condition,
                "exclusive_start_key": last_evaluated_key,
                "segment": segment,
                "limit": limit if page_size is None else page_size,
                "total_segments": total_segments,
                "consistent_read": consistent_read,
                "index_name": index_name,
                "attributes_to_get": projection(attributes_to_get),
            },
            map_fn=lambda item: _record(cls, item, binding, attributes_to_get),
            limit=limit,
            rate_limit=rate_limit,
        )

    @classmethod
    def count(
        cls: type[R],
        hash_key: str | None = None,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        index_name: str | None = None,
        limit: int | None = None,
        rate_limit: float | None = None,
    ) -> int:
        """How many records `query` would give, at most `limit`.

        Without a user id `UserRecord.count()` is the table's own counter, which DynamoDB updates
        about every six hours; there is none for one type.
        """
        if hash_key is None:
            return _count_of_table(_class(cls), filter_condition)
        asked = _query(
            _class(cls),
            hash_key,
            range_key_condition,
            filter_condition,
            index_name,
            consistent_read,
        )
        pages: PageIterator[Json] = PageIterator(
            table_of(default_binding()).query,
            (hash_key,),
            asked | {"limit": limit, "select": "COUNT"},
            rate_limit,
        )
        total = 0
        for page in pages:
            total += page["Count"]
            if limit is not None and total >= limit:
                return limit
        return total

    @classmethod
    def batch_write(cls: type[R], auto_commit: bool = True) -> RecordBatch[R]:
        """A context manager that writes 25 records to a request and accounts for each of them."""
        return RecordBatch(cls, auto_commit=auto_commit)

    @classmethod
    def from_raw_data(cls: type[R], data: Json) -> R:
        """The record of an item in botocore's form, in the class that its type says."""
        if data is None:
            raise ValueError("Received no data to construct object")
        return cast(R, _class(cls).from_item(_whole(with_text(data))))

    @classmethod
    def get_operation_kwargs_from_class(
        cls,
        hash_key: str,
        range_key: str | None = None,
        condition: Condition | None = None,
    ) -> Json:
        """Arguments of one entry of PynamoDB's `TransactGet`, or of a condition check."""
        key = checked_key(hash_key, range_key)
        return cls._get_connection().get_operation_kwargs(
            key.user_id, range_key=key.record_key, condition=condition
        )

    # --- the table itself -------------------------------------------------------------------------

    @classmethod
    def _get_connection(cls) -> StoreTable:
        return table_of(default_binding())

    @classmethod
    def create_table(
        cls,
        wait: bool = False,
        read_capacity_units: int | None = None,
        write_capacity_units: int | None = None,
        billing_mode: str | None = None,
        ignore_update_ttl_errors: bool = False,
    ) -> None:
        """Make the table with its index, on-demand billing and TTL, unless it exists.

        It returns when the table is active, with or without `wait`, since TTL needs that.
        """
        capacity = (read_capacity_units, write_capacity_units)
        if capacity != (None, None) or billing_mode not in (None, "PAY_PER_REQUEST"):
            raise ValueError(
                "this table is billed on demand; make one with provisioned capacity by your"
                " infrastructure code"
            )
        connection = cls._get_connection()
        if not cls.exists():
            schema = cls._get_schema()
            connection.create_table(
                attribute_definitions=schema["attribute_definitions"],
                key_schema=schema["key_schema"],
                global_secondary_indexes=schema["global_secondary_indexes"],
                billing_mode="PAY_PER_REQUEST",
            )
        while connection.describe_table().get("TableStatus") != "ACTIVE":
            connection.connection.wait(SECONDS_BETWEEN_LOOKS)
        cls.update_ttl(ignore_update_ttl_errors)

    @classmethod
    def update_ttl(cls, ignore_update_ttl_errors: bool) -> None:
        """Have DynamoDB remove what has expired, by the attribute `ttl`."""
        connection = cls._get_connection()
        try:
            if not _expires(connection):
                connection.update_time_to_live(table.TTL)
        except TableError:
            if not ignore_update_ttl_errors:
                raise

    @classmethod
    def delete_table(cls, *, wait: bool = False) -> Any:
        """Delete the table and everything in it; with `wait`, until it is gone."""
        connection = cls._get_connection()
        result = connection.delete_table()
        while wait and cls.exists():
            connection.connection.wait(SECONDS_BETWEEN_LOOKS)
        return result


class PynamoWrites(Model):
    """Writing: stamped, checked before it is sent, and only over what was read."""

    _sent: Item | None = None
    """The item that PynamoDB's TransactWrite sends, until it says that it was applied."""

    def save(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Json:
        """Store the whole item; a loaded record only over what was read.

        The record is its own snapshot afterwards. PutError has `.record` and `.outcome`: "not
        applied" or "unknown". Raises InvalidRecordError before anything is sent.
        """
        record = _of(self)
        binding = _binding(record)
        item = _whole_item(record, binding)
        kwargs = _save_kwargs(record, binding, item, condition, lock=add_version_condition)
        reply = _write(
            record,
            "PutItem",
            kwargs,
            repeatable=True,
            is_ours=lambda stored: stored is not None and _same_item(stored, item),
        )
        writing.absorb(record, item, item)
        return reply

    def update(
        self,
        actions: list[Action],
        condition: Condition | None = None,
        *,
        add_version_condition: bool = True,
    ) -> Any:
        """Apply actions to the stored item, which the record then is.

        A loaded record is updated only if it, and what the actions touch, is as it was read.
        Otherwise an item that is absent is created if the actions set the whole of `data`, and
        UpdateError says so if they do not. `updatedAt` is set in any case. Edits that are no part
        of the actions stay edits.
        """
        record = _of(self)
        if not isinstance(actions, list) or not actions:
            raise TypeError("the value of `actions` is expected to be a non-empty list")
        binding = _binding(record)
        update = _Update.of(record, actions, binding, lock=add_version_condition)
        kwargs = update.kwargs(condition, binding) | {"ReturnValues": "ALL_NEW"}
        reply = _write(
            record, "UpdateItem", kwargs, repeatable=update.repeatable, is_ours=update.is_ours
        )
        item: Item = reply["Attributes"]
        if writing.is_stored(record):
            # What was edited differs from the old snapshot; what the actions changed does not.
            writing.absorb(record, item, writing.snapshot_of(record))
        else:
            writing.restore(record, item)
        return with_bytes(reply)

    def delete(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Any:
        """Delete the item; of a loaded record only if it is as it was read.

        DeleteError has `.record` and `.outcome`: "not applied" or "unknown".
        """
        record = _of(self)
        kwargs = _delete_kwargs(record, condition, lock=add_version_condition)
        return _write(
            record, "DeleteItem", kwargs, repeatable=True, is_ours=lambda stored: stored is None
        )

    def refresh(self, consistent_read: bool = False) -> None:
        """Read the item again and drop what was edited. Raises DoesNotExist."""
        record = _of(self)
        binding = _binding(record)
        key = writing.key_of(record)
        reply = table_of(binding).get_item(key.user_id, key.record_key, consistent_read)
        item = reply.get("Item")
        if item is None:
            raise record.DoesNotExist(_absent(type(record), key.record_key))
        record._binding = binding
        writing.restore(record, item)

    # --- entries of PynamoDB's TransactWrite ------------------------------------------------------

    def get_save_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
    ) -> Json:
        """Arguments of a Put in PynamoDB's `TransactWrite`, with the stamps it will have."""
        record = _of(self)
        binding = _binding(record)
        item = _whole_item(record, binding)
        kwargs = _save_kwargs(record, binding, item, condition, lock=True)
        record._sent = item
        return kwargs | _on_failure(return_values_on_condition_failure)

    def get_update_kwargs_from_instance(
        self,
        actions: list[Action],
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
        *,
        add_version_condition: bool = True,
    ) -> Json:
        """Arguments of an Update in PynamoDB's `TransactWrite`.

        What is stored afterwards does not come back, so the record keeps its old snapshot and its
        next write is refused as a conflict: refresh it before.
        """
        record = _of(self)
        binding = _binding(record)
        update = _Update.of(record, actions, binding, lock=add_version_condition)
        record._sent = None
        return update.kwargs(condition, binding) | _on_failure(return_values_on_condition_failure)

    def get_delete_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
        *,
        add_version_condition: bool = True,
    ) -> Json:
        """Arguments of a Delete in PynamoDB's `TransactWrite`."""
        kwargs = _delete_kwargs(_of(self), condition, lock=add_version_condition)
        return kwargs | _on_failure(return_values_on_condition_failure)

    def update_local_version_attribute(self) -> None:
        """Told by PynamoDB that its transaction was applied: the item sent is the snapshot."""
        record = _of(self)
        if record._sent is not None:
            writing.absorb(record, record._sent, record._sent)
            record._sent = None

    # --- as dicts ---------------------------------------------------------------------------------

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        """The item in botocore's form: as it would be written, but with the stamps it has."""
        item: dict[str, dict[str, Any]] = with_bytes(_current_item(_of(self), null_check))
        return item

    def deserialize(self, attribute_values: dict[str, dict[str, Any]]) -> None:
        """Become what an item in botocore's form says, as if just read."""
        writing.restore(_of(self), _whole(with_text(attribute_values)))

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
        exact = Encoding(js_safe=False)
        item = {name: encode_plain(value, name, encoding=exact) for name, value in d.items()}
        writing.restore(_of(self), _whole(item))


# --- keys and what is asked for -------------------------------------------------------------------


def checked_key(user_id: Any, record_key: Any) -> Key:
    """A user id and the whole text of a record key. Raises InvalidKeyError."""
    check_user_id(user_id)
    if record_key is None:
        raise InvalidKeyError(
            "a record is found by user id and record key; give both, such as"
            " SavingsGoal.get(user_id, SavingsGoal.key(record_id))",
            path=table.RECORD_KEY,
        )
    parts = split_key(record_key) if isinstance(record_key, str) else None
    if parts is not None and all(parts):
        check_record_id(parts[1], parts[0])
    else:
        # No record of ours, but such an item can exist, and be read and deleted.
        check_data_type(record_key.replace("#", "-") if parts else record_key)
    return Key(user_id, record_key)


def _pairs(items: Iterable[Any]) -> Iterator[Key]:
    for item in items:
        pair = None if isinstance(item, str | bytes) else tuple(item)
        if pair is None or len(pair) != 2:
            raise InvalidKeyError(
                "batch_get takes pairs of user id and record key", path=table.RECORD_KEY
            )
        yield checked_key(*pair)


def projection(attributes_to_get: Any) -> list[Any] | None:
    """What to fetch of an item read in part: its keys and type too, so that its class is known."""
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


def _record(cls: type[R], item: Item, binding: Binding, attributes_to_get: Any) -> R:
    projected = attributes_to_get is not None
    return cast(R, _class(cls).from_item(item, binding=binding, projected=projected))


def _whole(item: Item) -> Item:
    for name in (table.USER_ID, table.RECORD_KEY):
        if not isinstance(item.get(name, {}).get("S"), str):
            raise InvalidKeyError(f"an item of this table has text under {name}", path=name)
    return item


def _absent(cls: type[UserRecord], record_key: str) -> str:
    whole = "" if split_key(record_key) else "; a record key is type#id, see key(record_id)"
    return f"{describe(record_key)} does not exist ({cls.__name__}){whole}"


def _many(
    cls: type[R], keys: Iterator[Key], consistent: bool, attributes_to_get: Any, binding: Binding
) -> Iterator[R]:
    while chunk := list(islice(keys, KEYS_AT_ONCE)):
        reading = get_many(chunk, consistent=consistent, policy=binding.retry, rng=binding.rng)
        names = projection(attributes_to_get)
        if names is not None:
            reading = _projected(reading, names, binding)
        for item in table_of(binding).connection.read_many(reading):
            yield _record(cls, item, binding, attributes_to_get)


def _projected(
    reading: Protocol[list[Item]], names: list[Any], binding: Binding
) -> Protocol[list[Item]]:
    """The same reading, with only some attributes asked for in each request."""
    shape = table_of(binding).get_operation_kwargs("-", "-", attributes_to_get=names)
    members = {name: shape[name] for name in ("ProjectionExpression", "ExpressionAttributeNames")}

    def narrowed(operation: Operation) -> Call:
        table_name = binding.settings.table_name
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
            return cast("list[Item]", end.value)


# --- queries --------------------------------------------------------------------------------------


def _type_of_reads(cls: type[UserRecord]) -> str | None:
    """The type that a class reads, None for UserRecord, which reads all."""
    data_type = cls.own_data_type()
    if data_type is None and PynamoReads not in cls.__bases__:
        raise InvalidKeyError(
            f"{cls.__name__} has no data type to look for; use UserRecord.query(user_id,"
            " UserRecord.record_key.startswith('type#'))",
            path=table.DATA_TYPE,
        )
    return data_type


def _is_of(data_type: str) -> Condition:
    return Path([table.DATA_TYPE]) == {"S": data_type}


def _query(
    cls: type[UserRecord],
    user_id: Any,
    range_key_condition: Condition | None,
    filter_condition: Condition | None,
    index_name: str | None,
    consistent_read: bool,
) -> Json:
    """Which key condition and which filter find the records of a class."""
    check_user_id(user_id)
    _check_index(cls, index_name, consistent_read)
    data_type = _type_of_reads(cls)
    if data_type is not None and index_name is not None:
        # DynamoDB refuses a filter on an index key, and takes one condition on each.
        if range_key_condition is not None and not _same(range_key_condition, _is_of(data_type)):
            raise InvalidRecordError(
                f"{cls.__name__}.by_type reads {data_type!r} only, and that is the key condition;"
                " use UserRecord.by_type.query(user_id, UserRecord.data_type == …) for another",
                path=table.DATA_TYPE,
            )
        range_key_condition = _is_of(data_type)
    elif data_type is not None and range_key_condition is None:
        range_key_condition = Path([table.RECORD_KEY]).startswith(f"{data_type}#")
    elif data_type is not None:
        filter_condition = _both(filter_condition, _is_of(data_type))
    return {
        "range_key_condition": range_key_condition,
        "filter_condition": filter_condition,
        "index_name": index_name,
        "consistent_read": consistent_read,
    }


def _check_index(cls: type[UserRecord], index_name: str | None, consistent: bool | None) -> None:
    if index_name is None:
        return
    if index_name != table.INDEX_NAME:
        raise InvalidRecordError(
            f"the table has no index {index_name!r}; its only one is {table.INDEX_NAME}"
        )
    if consistent:
        raise InvalidRecordError(
            f"{table.INDEX_NAME} cannot be read consistently; use {cls.__name__}.query(user_id,"
            " consistent_read=True), which reads the table"
        )


def _both(given: Condition | None, own: Condition) -> Condition:
    return own if given is None else given & own


def _same(one: Condition, other: Condition) -> bool:
    def parts(condition: Condition) -> tuple[str, Json, Json]:
        names: Json = {}
        values: Json = {}
        return condition.serialize(names, values), names, values

    return parts(one) == parts(other)


def _check_start(user_id: str, start: Any) -> None:
    if isinstance(start, Mapping) and start.get(table.USER_ID, {}).get("S", user_id) != user_id:
        raise IsolationError("last_evaluated_key comes from a query of another user")


def _count_of_table(cls: type[UserRecord], filter_condition: Condition | None) -> int:
    if filter_condition is not None:
        raise ValueError("A hash_key must be given to use filters")
    if _type_of_reads(cls) is not None:
        raise InvalidKeyError(
            f"{cls.__name__}.count() needs a user id: the table's own counter knows no types;"
            " UserRecord.count() is the number of all items",
            path=table.USER_ID,
        )
    return int(cls.describe_table().get("ItemCount", 0))


def _expires(connection: StoreTable) -> bool:
    try:
        reply = connection.connection.dispatch(
            "DescribeTimeToLive", {"TableName": connection.table_name}
        )
    except BOTOCORE_EXCEPTIONS as error:
        raise TableError(f"Failed to describe TTL: {error}", error) from error
    status = reply.get("TimeToLiveDescription", {}).get("TimeToLiveStatus")
    return status in ("ENABLED", "ENABLING")


# --- single writes --------------------------------------------------------------------------------


def _class(half: type[PynamoReads]) -> type[UserRecord]:
    return cast("type[UserRecord]", half)


def _of(half: PynamoWrites) -> UserRecord:
    return cast("UserRecord", half)


def _binding(record: UserRecord) -> Binding:
    return record._binding or default_binding()


def _whole_item(record: UserRecord, binding: Binding) -> Item:
    return writing.whole_item(record, now=binding.clock(), js_safe=binding.js_safe_numbers)


def _save_kwargs(
    record: UserRecord, binding: Binding, item: Item, condition: Condition | None, *, lock: bool
) -> Json:
    if lock and writing.is_stored(record):
        condition = _both(condition, to_condition(writing.unchanged_condition(record)))
    rest = {
        name: form for name, form in item.items() if name not in (table.USER_ID, table.RECORD_KEY)
    }
    return table_of(binding).get_operation_kwargs(
        record.user_id,
        record.record_key,
        key="Item",
        attributes=with_bytes(rest),
        condition=condition,
    )


def _delete_kwargs(record: UserRecord, condition: Condition | None, *, lock: bool) -> Json:
    record._refuse_projected()
    if lock and writing.is_stored(record):
        condition = _both(condition, to_condition(writing.unchanged_condition(record)))
    key = writing.key_of(record)
    return table_of(_binding(record)).get_operation_kwargs(
        key.user_id, key.record_key, condition=condition
    )


def _on_failure(return_values: str | None) -> Json:
    if return_values is None:
        return {}
    return {"ReturnValuesOnConditionCheckFailure": return_values.upper()}


def _write(
    record: UserRecord,
    operation: str,
    kwargs: Json,
    *,
    repeatable: bool,
    is_ours: Callable[[Item | None], bool],
) -> Json:
    binding = _binding(record)
    try:
        reply = table_of(binding).connection.write(
            operation, kwargs, repeatable=repeatable, is_ours=is_ours
        )
    except PynamoDBException as error:
        failure = failure_of(error)
        in_doubt = failure is not None and failure.applied_maybe
        vars(error).update(record=record, outcome="unknown" if in_doubt else "not applied")
        raise
    record._binding = binding
    return reply


def _same_item(one: Item, other: Item) -> bool:
    return same_value({"M": one}, {"M": other})


def to_condition(condition: operations.Condition) -> Condition:
    """A condition of ours as one of PynamoDB's, so that all are serialised together."""
    match condition:
        case operations.Exists(path):
            return Path(list(path)).exists()
        case operations.Absent(path):
            return Path(list(path)).does_not_exist()
        case operations.IsMap(path):
            return Path(list(path)).is_type("M")
        case operations.Equal(path, value):
            equal: Condition = Path(list(path)) == with_bytes(value)
            return equal
        case operations.AllOf(parts):
            return reduce(lambda one, other: one & other, map(to_condition, parts))
        case operations.AnyOf(parts):
            return reduce(lambda one, other: one | other, map(to_condition, parts))


# --- updates --------------------------------------------------------------------------------------

FIXED = frozenset(
    {
        table.USER_ID,
        table.RECORD_KEY,
        table.DATA_TYPE,
        table.RECORD_ID,
        table.CREATED_AT,
        table.UPDATED_AT,
    }
)


@attrs.frozen(kw_only=True)
class _Update:
    """The caller's actions on one record, checked, with the stamp and what must still hold."""

    record: UserRecord
    actions: list[Action]
    stamp: str
    locked: bool

    @classmethod
    def of(
        cls, record: UserRecord, actions: list[Action], binding: Binding, *, lock: bool
    ) -> _Update:
        record._check_changeable(table.DATA)
        for action in actions:
            _check_action(record, action, js_safe=binding.js_safe_numbers)
        stamp = writing.stamp_for(record, binding.clock())
        update = cls(
            record=record,
            actions=list(actions),
            stamp=stamp,
            locked=lock and writing.is_stored(record),
        )
        update._check_size()
        return update

    def kwargs(self, condition: Condition | None, binding: Binding) -> Json:
        guard = self._guard()
        if guard is not None:
            condition = _both(condition, to_condition(guard))
        key = writing.key_of(self.record)
        return table_of(binding).get_operation_kwargs(
            key.user_id,
            key.record_key,
            actions=[*self.actions, *self._own_actions(binding)],
            condition=condition,
        )

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice is the same as once.

        With the lock it is: once applied, the stamp is ours and no longer the one that was read.
        """
        return self.locked or all(map(_is_constant, self.actions))

    def is_ours(self, stored: Item | None) -> bool:
        if stored is None or stored.get(table.UPDATED_AT) != {"S": self.stamp}:
            return False
        expected = self._expected()
        return expected is not None and all(
            same_value(_form_at(stored, names), form) for names, form in expected.items()
        )

    def _expected(self) -> dict[Names, AttributeValue | None] | None:
        """What the actions leave at their paths, None where only the service can say."""
        before = writing.snapshot_of(self.record) if self.locked else None
        expected = {}
        for action in self.actions:
            names, whole = _target(action)
            if not whole:
                return None
            try:
                expected[names] = _result(action, before)
            except _OnlyTheServiceKnows:
                return None
        return expected

    def _guard(self) -> operations.Condition | None:
        if self.locked:
            return writing.lock_condition(self.record, _touched(self.actions))
        if any(_target(action) == ((table.DATA,), True) for action in self.actions):
            return None
        # An item made by this update would have no data, and no class would fit it.
        return operations.Exists((table.DATA,))

    def _own_actions(self, binding: Binding) -> list[Action]:
        stamped = Path([table.UPDATED_AT]).set({"S": self.stamp})
        if self.locked:
            return [stamped]
        record = self.record
        made = {table.DATA_TYPE: record.data_type, table.RECORD_ID: record.record_id}
        made[table.CREATED_AT] = self.stamp
        given = [Path([name]).set(Path([name]) | {"S": text}) for name, text in made.items()]
        return [stamped, *given]

    def _check_size(self) -> None:
        expected = self._expected() if self.locked else None
        if expected is None:
            return
        item = copy.deepcopy(writing.snapshot_of(self.record))
        for names, form in expected.items():
            parent = item
            for name in names[:-1]:
                parent = parent.get(name, {}).get("M", {})
            parent.pop(names[-1], None)
            if form is not None:
                parent[names[-1]] = form
        check_item(item, describe=describe(self.record.record_key))


class _OnlyTheServiceKnows(Exception):
    """The result of an action depends on what is not known here."""


def _names(path: Path) -> tuple[Names, bool]:
    """The attribute names of a path up to its first list index, and whether that is all of it."""
    names = []
    for segment in path.path:
        name, index, _ = segment.partition("[")
        names.append(name)
        if index:
            return tuple(names), False
    return tuple(names), True


def _target(action: Action) -> tuple[Names, bool]:
    return _names(cast(Path, action.values[0]))


def _operands(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield value
        if not isinstance(value, Path | Value):
            yield from _operands(value.values)


def _touched(actions: list[Action]) -> list[Names]:
    """The attributes that actions change or read."""
    paths = (
        operand
        for action in actions
        for operand in _operands(action.values)
        if isinstance(operand, Path)
    )
    return list(dict.fromkeys(_names(path)[0] for path in paths))


def _is_constant(action: Action) -> bool:
    """Whether an action leaves the same, however often it is performed."""
    target, whole = _target(action)
    if not whole or isinstance(action, AddAction | DeleteAction):
        return False
    if isinstance(action, RemoveAction):
        return True
    value = action.values[1]
    if isinstance(value, _IfNotExists):
        path, value = value.values
        if _names(path) != (target, True):
            return False
    return isinstance(value, Value)


def _check_action(record: UserRecord, action: Action, *, js_safe: bool) -> None:
    """Refuse what would break the record. Raises InvalidRecordError with the path."""
    names, whole = _target(action)
    where = ".".join(names)
    if names[0] in FIXED:
        raise InvalidRecordError(
            f"{where} is set by the library when the record is written; leave it out of the"
            " actions",
            path=where,
        )
    for operand in _operands(action.values[1:]):
        if isinstance(operand, Value):
            _check_numbers(with_text(operand.value), where, js_safe=js_safe)
    if whole and names[0] == table.DATA and len(names) <= 2:
        problem = _misfit(record, action, names)
        if problem is not None:
            raise InvalidRecordError(
                f"{problem.path} {problem.reason}; {type(record).__name__} does not take that",
                path=problem.path,
            )
    if whole and names == (table.TTL,) and not _is_time(action):
        raise InvalidRecordError(
            "ttl takes a time between 1970 and 9999, in seconds", path=table.TTL
        )


def _check_numbers(form: AttributeValue, path: str, *, js_safe: bool) -> None:
    ((tag, content),) = form.items()
    match tag:
        case "N":
            number_text(content, path=path, js_safe=js_safe)
        case "NS":
            for text in content:
                number_text(text, path=path, js_safe=js_safe)
        case "M":
            for name, inner in content.items():
                _check_numbers(inner, f"{path}.{name}", js_safe=js_safe)
        case "L":
            for index, inner in enumerate(content):
                _check_numbers(inner, f"{path}[{index}]", js_safe=js_safe)


def _is_time(action: Action) -> bool:
    if isinstance(action, SetAction) and isinstance(action.values[1], Value):
        form = action.values[1].value
        return "N" in form and parse_ttl(form["N"]) is not None
    return True


def _misfit(record: UserRecord, action: Action, names: Names) -> Unfit | None:
    """What would not fit the record's class if the action were performed, as far as it shows."""
    payload_class = type(record).payload_class()
    if isinstance(action, RemoveAction) and len(names) == 1:
        return Unfit(table.DATA, "cannot be removed")
    if isinstance(action, RemoveAction):
        form = None
    elif isinstance(action.values[1], Value):
        form = with_text(action.values[1].value)
    else:
        return None
    try:
        if len(names) == 1:
            _check_data(payload_class, form)
        elif payload_class is not None:
            _check_field(payload_class, names[1], form)
    except Unfit as unfit:
        return unfit.with_traceback(None)
    return None


def _check_data(payload_class: type | None, form: Any) -> None:
    if "M" not in form:
        raise Unfit(table.DATA, f"is no map but {next(iter(form))}")
    if payload_class is not None:
        codec.decode_payload(payload_class, form["M"], Origins())


def _check_field(payload_class: type, name: str, form: AttributeValue | None) -> None:
    for field in fields_of(payload_class):
        if field.wire_name != name:
            continue
        path = f"{table.DATA}.{name}"
        if form is not None and "NULL" not in form:
            decode(field.kind, form, path, Origins())
        elif field.required:
            raise Unfit(path, "is required, and cannot be removed or NULL")


_EXACT = Context(prec=38)


def _result(action: Action, before: Item | None) -> AttributeValue | None:
    """What an action leaves at its path, given the item before, None where that is not known."""
    if isinstance(action, RemoveAction):
        return None
    if isinstance(action, SetAction):
        return _evaluated(action.values[1], before)
    if before is None:
        raise _OnlyTheServiceKnows
    old = _form_at(before, _target(action)[0])
    given = _evaluated(action.values[1], before)
    ((tag, content),) = given.items()
    if isinstance(action, AddAction) and tag == "N":
        return _sum(old or {"N": "0"}, given, sign=1)
    members = set((old or {}).get(tag, ()))
    rest = members | set(content) if isinstance(action, AddAction) else members - set(content)
    return cast("AttributeValue", {tag: sorted(rest)}) if rest else None


def _evaluated(operand: Any, before: Item | None) -> AttributeValue:
    if isinstance(operand, Value):
        return cast("AttributeValue", with_text(operand.value))
    if before is None:
        raise _OnlyTheServiceKnows
    if isinstance(operand, _IfNotExists):
        names, whole = _names(operand.values[0])
        found = _form_at(before, names) if whole else None
        return _evaluated(operand.values[1], before) if whole and found is None else found or _no()
    if isinstance(operand, Path):
        names, whole = _names(operand)
        return (_form_at(before, names) if whole else None) or _no()
    if isinstance(operand, _Increment | _Decrement | _ListAppend):
        one, other = (_evaluated(value, before) for value in operand.values)
        if isinstance(operand, _ListAppend):
            return {"L": one.get("L", []) + other.get("L", [])}
        return _sum(one, other, sign=1 if isinstance(operand, _Increment) else -1)
    raise _OnlyTheServiceKnows


def _no() -> AttributeValue:
    raise _OnlyTheServiceKnows


def _sum(one: AttributeValue, other: AttributeValue, *, sign: int) -> AttributeValue:
    if "N" not in one or "N" not in other:
        raise _OnlyTheServiceKnows
    total = _EXACT.add(
        parse_number(one["N"]), _EXACT.multiply(Decimal(sign), parse_number(other["N"]))
    )
    return {"N": format(total, "f")}


def _form_at(item: Item, names: Names) -> AttributeValue | None:
    form = item.get(names[0])
    for name in names[1:]:
        form = (form or {}).get("M", {}).get(name)
    return form


# --- as dicts -------------------------------------------------------------------------------------


def _current_item(record: UserRecord, null_check: bool) -> Item:
    """What the record says now, with the stamps that it has."""
    stored = record.item
    if stored is not None and (record._state.projected or record.malformed):
        return stored
    if not null_check and record.data is None:
        item: Item = {
            table.USER_ID: {"S": record.user_id},
            table.RECORD_KEY: {"S": record.record_key},
            table.DATA_TYPE: {"S": record.data_type},
            table.RECORD_ID: {"S": record.record_id},
        }
    else:
        item = writing.whole_item(record, now=datetime.now(UTC), js_safe=False)
    for name in (table.CREATED_AT, table.UPDATED_AT):
        form = _stamp_form(record, stored, name)
        item.pop(name, None)
        if form is not None:
            item[name] = form
    if stored is None and record.ttl is None:
        item.pop(table.TTL, None)
    return item


def _stamp_form(record: UserRecord, stored: Item | None, name: str) -> AttributeValue | None:
    if stored is not None:
        return stored.get(name)
    given = record.attribute_values.get(name)
    return None if given is None else {"S": record.get_attributes()["created_at"].serialize(given)}


def _simple(form: AttributeValue, path: str, force: bool) -> Any:
    ((tag, content),) = form.items()
    match tag:
        case "M":
            return {
                name: _simple(inner, f"{path}.{name}", force) for name, inner in content.items()
            }
        case "L":
            return [
                _simple(inner, f"{path}[{index}]", force) for index, inner in enumerate(content)
            ]
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
