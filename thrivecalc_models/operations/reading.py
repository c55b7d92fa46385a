"""Check that a reply answers its request, once, before it is used.

A proxy, a cache or a mock between us and the service can answer anything. A reply that does not
answer its request becomes a failure here, like a lost reply: the request may have been applied, and
no other request is affected. The texts say what was wrong, and show no content.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
import msgspec

from thrivecalc_models.codec import is_regular
from thrivecalc_models.operations.conditions import Condition
from thrivecalc_models.operations.partiql import BatchStatements, is_of_the_whole
from thrivecalc_models.operations.replies import (
    CONSUMED,
    READS,
    Failure,
    FailureKind,
    Reply,
    Result,
)
from thrivecalc_models.operations.requests import (
    BatchGet,
    BatchWrite,
    Call,
    DeleteItem,
    GetItem,
    Key,
    Operation,
    PutItem,
    Query,
    Scan,
    TransactWrite,
    UpdateItem,
    shows,
)
from thrivecalc_models.table import DATA_TYPE, RECORD_KEY, USER_ID
from thrivecalc_models.value import internal
from thrivecalc_models.wire import Item, Json, StoredItem, is_item
from thrivecalc_models.wire.structs import stored_item
from thrivecalc_models.words import plural


class _NotUnderstood(Exception):
    """A reply that is no answer to its request; the text says why."""


class _OfAnother(Exception):
    """An item with a key that was not asked for; `path` is the part of the key that differs."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def understood(operation: Operation, result: Result | str) -> Result:
    """Return the result if it is an answer to this operation, else a failure that says why not.

    A text in place of a result is the reason why a body could not be read.
    """
    try:
        if isinstance(result, Failure):
            if result.kind in _WITH_ITEMS or result.reasons:
                _check_refusal(operation, result)
            if operation.__class__ is BatchStatements and is_of_the_whole(result):
                return attrs.evolve(result, applied_maybe=True)
        elif isinstance(result, Reply):
            _check_reply(operation, result)
        else:
            raise _NotUnderstood(result)
    except _NotUnderstood as problem:
        return _no_answer(operation, result, FailureKind.NOT_UNDERSTOOD, str(problem))
    except _OfAnother as other:
        what = f"it has an item with another {other.path} than was asked for"
        failure = _no_answer(operation, result, FailureKind.ITEM_OF_ANOTHER, what)
        return attrs.evolve(failure, again=False, path=other.path)
    return result


def _no_answer(
    operation: Operation, result: Result | str, kind: FailureKind, advice: str
) -> Failure:
    return Failure(
        kind=kind,
        code=_CODES[kind],
        applied_maybe=operation.name not in READS,
        again=True,
        advice=advice,
        request_id=getattr(result, "request_id", None),
    )


_CODES: Final = {
    FailureKind.NOT_UNDERSTOOD: "ReplyNotUnderstood",
    FailureKind.ITEM_OF_ANOTHER: "ItemOfAnother",
}


# --- items ----------------------------------------------------------------------------------------


def _check_key(item: Any, user_id: str | None, record_key: str | None = None) -> str:
    """Return the record key of an item; raise if it has none, or one that was not asked for."""
    try:
        owner, key = item[USER_ID]["S"], item[RECORD_KEY]["S"]
    except (KeyError, TypeError):
        raise _NotUnderstood("it has an item without its key") from None
    if owner.__class__ is not str or key.__class__ is not str or not key:
        raise _NotUnderstood("it has an item whose key can be none")
    if user_id is not None and owner != user_id:
        raise _OfAnother(USER_ID)
    if record_key is not None and key != record_key:
        raise _OfAnother(RECORD_KEY)
    return key


def _check_item(item: Any, user_id: str | None, record_key: str | None = None) -> str:
    """Check an item to its last value, and return its record key."""
    key = _check_key(item, user_id, record_key)
    _check_form(item)
    return key


def _stored_item(
    raw: msgspec.Raw, user_id: str | None, record_key: str | None = None
) -> StoredItem:
    """The item in these bytes, which has the key that was asked for."""
    item = stored_item(bytes(raw), is_regular)
    if item is None:
        try:
            content = msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            raise _NotUnderstood("it has an item that is no JSON") from None
        _check_item(content, user_id, record_key)
        return StoredItem.of(content)
    if user_id is not None:
        if item.user_id != user_id:
            raise _OfAnother(USER_ID)
        item.user_id = user_id  # one text for all of a list
    if record_key is not None and item.record_key != record_key:
        raise _OfAnother(RECORD_KEY)
    return item


def _check_form(item: Any) -> None:
    if not is_item(item):
        raise _NotUnderstood("it has an item that is not in DynamoDB's form")


def _member(body: Json, name: str, kind: type) -> Any:
    """A member that every reply to this operation has."""
    content = body.get(name)
    if content.__class__ is not kind:
        raise _NotUnderstood(f"it has no {name}" if content is None else f"its {name} is malformed")
    return content


def _of_kind(body: Json, name: str, kind: type) -> Any:
    """A member that may be absent."""
    return None if body.get(name) is None else _member(body, name, kind)


# --- replies --------------------------------------------------------------------------------------


def _check_reply(operation: Operation, reply: Reply) -> None:
    body: Any = reply.body
    if body.__class__ is not dict:
        raise _NotUnderstood("it is no JSON object")
    check = _CHECKS.get(operation.__class__)
    if check is None:
        return
    if CONSUMED not in body and not reply.proven and _must_have_capacity(operation):
        raise _NotUnderstood(f"it has no {CONSUMED}, which was asked for")
    check(operation, body)


def _must_have_capacity(operation: Operation) -> bool:
    """DynamoDB Local reports none for statements; their replies have enough else to judge."""
    if isinstance(operation, Call):
        asked: object = operation.parameters.get("ReturnConsumedCapacity", "NONE")
        return asked != "NONE"
    return operation.__class__ is not BatchStatements


def _check_nothing(operation: Any, body: Json) -> None:
    """Accept the reply to a put, a deletion or a transaction: it has no more than its capacity."""


def _check_get(get: GetItem, body: Json) -> None:
    raw = body.pop("Item", None)
    if raw is not None and bytes(raw) != b"null":
        body["Item"] = _stored_item(raw, get.key.user_id, get.key.record_key)


def _check_update(update: UpdateItem, body: Json) -> None:
    """Check that the reply has the updated item, with its key and with what was set."""
    _check_written(_member(body, "Attributes", dict), update)


def _check_written(item: Any, update: UpdateItem) -> None:
    _check_item(item, update.key.user_id, update.key.record_key)
    if not shows(item, update):
        raise _NotUnderstood("its item does not have what was written")


def _check_query(query: Query, body: Json) -> None:
    user_id, data_type = query.user_id, query.data_type
    listed = _counted(body) if query.counts else _listed(body)
    items = [_stored_item(raw, user_id) for raw in listed]
    if data_type is not None:
        prefix = f"{data_type}#"
        for item in items:
            if query.by_index and not query.keys_only:
                if item.data_type != data_type:
                    raise _OfAnother(DATA_TYPE)
            elif not item.record_key.startswith(prefix):
                raise _OfAnother(RECORD_KEY)
    last = _last_key(body)
    if last is not None and _check_key(last, user_id) == query.after:
        raise _NotUnderstood("its LastEvaluatedKey is where the page began")
    body["Items"] = items


def _check_scan(scan: Scan, body: Json) -> None:
    for item in _listed(body):
        _check_key(item, None)
        _check_form(item)
    if (last := _last_key(body)) is not None and last == scan.after:
        raise _NotUnderstood("its LastEvaluatedKey is where the page began")


def _listed(body: Json) -> list[Any]:
    items: list[Any] = _member(body, "Items", list)
    if body.get("Count", len(items)) != len(items):
        raise _NotUnderstood("its Count is not the number of its Items")
    return items


def _counted(body: Json) -> list[Any]:
    """Return no items, once the reply to a query that only counts has its count."""
    count = body.get("Count")
    if type(count) is not int or count < 0 or body.get("Items"):
        raise _NotUnderstood("it has no Count, or has Items that were not asked for")
    return []


def _last_key(body: Json) -> Json | None:
    last: Json | None = _of_kind(body, "LastEvaluatedKey", dict)
    if last is not None and not last:
        raise _NotUnderstood("its LastEvaluatedKey is empty")
    return last


def _check_batch_get(batch: BatchGet, body: Json) -> None:
    asked = {(key.user_id, key.record_key) for key in batch.keys}
    answered = [_asked(key, asked) for key in _unprocessed_keys(body)]
    items = [_stored_item(raw, None) for part in _of_tables(body, "Responses") for raw in part]
    for item in items:
        key = item.user_id, item.record_key
        if key not in asked:
            raise _not_asked(key, asked)
        answered.append(key)
    if len(set(answered)) != len(answered):
        raise _NotUnderstood("it has one key twice")
    body["Items"] = items


def _unprocessed_keys(body: Json) -> Iterable[Any]:
    for rest in _member(body, "UnprocessedKeys", dict).values():
        if rest.__class__ is not dict:
            raise _NotUnderstood("its UnprocessedKeys is malformed")
        yield from _member(rest, "Keys", list)


def _check_batch_write(batch: BatchWrite, body: Json) -> None:
    keys = [write.key for write in batch.writes]  # made by each put when it is asked
    asked = {(key.user_id, key.record_key) for key in keys}
    for entries in _of_tables(body, "UnprocessedItems"):
        for entry in entries:
            _asked(_written(entry), asked)


def _check_statements(batch: BatchStatements, body: Json) -> None:
    """For each statement its error, or its table; for an update its item as it is after it."""
    responses = _member(body, "Responses", list)
    if len(responses) != len(batch.writes):
        raise _NotUnderstood("its Responses are not as many as the statements")
    for write, response in zip(batch.writes, responses, strict=True):
        if response.__class__ is not dict:
            raise _NotUnderstood("its Responses are malformed")
        error = _of_kind(response, "Error", dict)
        if error is None:
            _member(response, "TableName", str)
            if isinstance(write, UpdateItem):
                _check_written(_member(response, "Item", dict), write)
        else:
            _member(error, "Code", str)
            if error.get("Item") is not None:
                _check_item(error["Item"], write.key.user_id, write.key.record_key)


def _written(entry: Any) -> Any:
    """The item or key in an entry of UnprocessedItems."""
    if entry.__class__ is dict and len(entry) == 1:
        ((kind, content),) = entry.items()
        if kind in _BATCHED and content.__class__ is dict:
            return content.get(_BATCHED[kind])
    raise _NotUnderstood("its UnprocessedItems is malformed")


_BATCHED: Final = {"PutRequest": "Item", "DeleteRequest": "Key"}


def _of_tables(body: Json, name: str) -> Iterable[list[Any]]:
    """The list of each table in a member."""
    for content in _member(body, name, dict).values():
        if content.__class__ is not list:
            raise _NotUnderstood(f"its {name} is malformed")
        yield content


def _asked(item: Any, asked: set[tuple[str, str]]) -> tuple[str, str]:
    """Return the key of an item; raise if it was not asked for."""
    record_key = _check_key(item, None)
    key = item[USER_ID]["S"], record_key
    if key not in asked:
        raise _not_asked(key, asked)
    return key


def _not_asked(key: tuple[str, str], asked: set[tuple[str, str]]) -> _OfAnother:
    known = any(key[0] == user_id for user_id, _ in asked)
    return _OfAnother(RECORD_KEY if known else USER_ID)


def _check_call(call: Call, body: Json) -> None:
    """Check the reply to a request that is given as JSON."""
    parameters = call.parameters
    match call.name:
        case "GetItem":
            if body.get("Item") is not None:
                _check_in_part(body["Item"], parameters["Key"])
        case "UpdateItem" if parameters.get("ReturnValues") == "ALL_NEW":
            wanted = Key.of(parameters["Key"])
            _check_item(_member(body, "Attributes", dict), wanted.user_id, wanted.record_key)
        case "Query" | "Scan":
            _member(body, "Count", int)
            _member(body, "ScannedCount", int)
            _last_key(body)
            key = _scope_of(parameters)
            for item in () if parameters.get("Select") == "COUNT" else _listed(body):
                _check_in_part(item, key)
        case "BatchGetItem":
            (part,) = parameters["RequestItems"].values()
            asked = {(each[USER_ID]["S"], each[RECORD_KEY]["S"]) for each in part["Keys"]}
            found = [item for items in _of_tables(body, "Responses") for item in items]
            for item in [*found, *_unprocessed_keys(body)]:
                _asked(item, asked)
                _check_form(item)
            body["Items"] = [StoredItem.of(item) for item in found]
        case "TransactGetItems":
            _check_responses(parameters["TransactItems"], _member(body, "Responses", list))
        case "BatchWriteItem":
            for entries in _of_tables(body, "UnprocessedItems"):
                for entry in entries:
                    _check_key(_written(entry), None)
        case name:
            _check_table_call(name, body)


def _check_table_call(name: str, body: Json) -> None:
    """A request about the table itself, or its backups."""
    if name in _MEMBERS:
        _member(body, *_MEMBERS[name])
    match name:
        case "DescribeBackup":
            _member(_member(body, "BackupDescription", dict), "BackupDetails", dict)
        case "DescribeTable":
            _check_description(_member(body, "Table", dict))
        case "DescribeTimeToLive":
            _check_time_to_live(_of_kind(body, "TimeToLiveDescription", dict) or {})
        case "DescribeContinuousBackups":
            backups = _of_kind(body, "ContinuousBackupsDescription", dict) or {}
            recovery = _of_kind(backups, "PointInTimeRecoveryDescription", dict) or {}
            _of_kind(recovery, "PointInTimeRecoveryStatus", str)


_MEMBERS: Final[dict[str, tuple[str, type]]] = {
    "ListTables": ("TableNames", list),
    "ListBackups": ("BackupSummaries", list),
    "CreateBackup": ("BackupDetails", dict),
    "CreateTable": ("TableDescription", dict),
    "UpdateTable": ("TableDescription", dict),
}


def _scope_of(parameters: Json) -> Item:
    """The partition key of a query, with which its condition begins; empty for a scan."""
    values = parameters.get("ExpressionAttributeValues", {})
    equal = _EQUAL.search(parameters.get("KeyConditionExpression", ""))
    return {} if equal is None else {USER_ID: values[equal[1]]}


_EQUAL: Final = re.compile(r"(?<![<>])= *(:\w+)")


def _check_description(table: Json) -> None:
    """Check what is read of a table's description: its keys, its indexes and their status."""
    _member(table, "TableStatus", str)
    used = _key_names(table)
    for members in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        for index in _dicts(members, _of_kind(table, members, list) or []):
            _member(index, "IndexName", str)
            _of_kind(index, "IndexStatus", str)
            used |= _key_names(index)
    # DynamoDB takes no definition that no key uses: a key that a reply lost shows here.
    defined = _member(table, "AttributeDefinitions", list)
    names = {
        _member(each, "AttributeName", str) for each in _dicts("AttributeDefinitions", defined)
    }
    if names != used:
        raise _NotUnderstood("its AttributeDefinitions are not those of its keys")
    for name in ("BillingModeSummary", "ProvisionedThroughput"):
        _of_kind(table, name, dict)


def _key_names(described: Json) -> set[str]:
    """The attributes of the key of a table or an index."""
    keys = list(_dicts("KeySchema", _member(described, "KeySchema", list)))
    names = [_member(key, "AttributeName", str) for key in keys]
    if [_member(key, "KeyType", str) for key in keys] != ["HASH", "RANGE"][: len(keys)] or (
        len(set(names)) < len(names)
    ):
        raise _NotUnderstood("its KeySchema is malformed")
    return set(names)


def _dicts(name: str, members: list[Any]) -> Iterable[Json]:
    """The members of a list, each of which must be an object."""
    for member in members:
        if member.__class__ is not dict:
            raise _NotUnderstood(f"its {name} is malformed")
        yield member


def _check_time_to_live(description: Json) -> None:
    """Check that the attribute of TTL is named if TTL is on, or will be."""
    if _of_kind(description, "TimeToLiveStatus", str) in ("ENABLED", "ENABLING"):
        _member(description, "AttributeName", str)


def _check_responses(entries: list[Json], responses: list[Any]) -> None:
    if len(entries) != len(responses):
        raise _NotUnderstood("its Responses are not as many as the keys")
    for entry, response in zip(entries, responses, strict=True):
        if response.__class__ is not dict:
            raise _NotUnderstood("its Responses are malformed")
        if response.get("Item") is not None:
            _check_in_part(response["Item"], entry["Get"]["Key"])


def _check_in_part(item: Any, key: Item) -> None:
    """Check an item of which perhaps only a part was asked for, by what it has of its key."""
    _check_form(item)
    for name in (USER_ID, RECORD_KEY):
        if name in item and name in key and item[name] != key[name]:
            raise _OfAnother(name)


_CHECKS: Final[dict[type, Callable[[Any, Json], None]]] = {
    GetItem: _check_get,
    BatchGet: _check_batch_get,
    Query: _check_query,
    Scan: _check_scan,
    PutItem: _check_nothing,
    UpdateItem: _check_update,
    DeleteItem: _check_nothing,
    BatchWrite: _check_batch_write,
    BatchStatements: _check_statements,
    TransactWrite: _check_nothing,
    Call: _check_call,
}


# --- refusals -------------------------------------------------------------------------------------

_WITH_ITEMS: Final = frozenset({FailureKind.CONDITION_FAILED, FailureKind.TRANSACTION_CANCELLED})


@internal
class _Entry:
    """The key of one write in a request, and whether it has a condition that can fail."""

    key: Key
    conditional: bool


def _entry(key: Key, condition: Condition | str | None) -> _Entry:
    return _Entry(key, condition is not None)


def _check_refusal(operation: Operation, failure: Failure) -> None:
    """Check that only conditional writes failed by a condition, and that items are theirs."""
    if failure.kind is FailureKind.CONDITION_FAILED:
        entry = _single_entry(operation)
        if entry is None or not entry.conditional:
            raise _NotUnderstood("it says that a condition failed, and none was sent")
        if failure.item is not None:
            _check_item(failure.item, entry.key.user_id, entry.key.record_key)
        return
    entries = _entries(operation)
    if entries is None:
        raise _NotUnderstood("it says that a transaction was cancelled, and none was sent")
    if len(entries) != len(failure.reasons):
        raise _NotUnderstood(
            f"it has {plural(len(failure.reasons), 'reason')} for {plural(len(entries), 'write')}"
        )
    if all(reason.code == "None" for reason in failure.reasons):
        raise _NotUnderstood("it says of no write why the transaction was cancelled")
    for entry, reason in zip(entries, failure.reasons, strict=True):
        if reason.code == "ConditionalCheckFailed" and not entry.conditional:
            raise _NotUnderstood("it says that a condition failed, and none was sent")
        if reason.item is not None:
            _check_item(reason.item, entry.key.user_id, entry.key.record_key)


def _single_entry(operation: Operation) -> _Entry | None:
    if isinstance(operation, PutItem | UpdateItem | DeleteItem):
        return _entry(operation.key, operation.condition)
    if isinstance(operation, Call) and operation.name in ("PutItem", "UpdateItem", "DeleteItem"):
        return _entry_of_json(operation.parameters)
    return None


def _entries(operation: Operation) -> list[_Entry] | None:
    if isinstance(operation, TransactWrite):
        return [_entry(write.key, write.condition) for write in operation.writes]
    if isinstance(operation, Call) and operation.name.startswith("Transact"):
        parts = operation.parameters["TransactItems"]
        return [_entry_of_json(content) for part in parts for content in part.values()]
    return None


def _entry_of_json(content: Json) -> _Entry:
    key = Key.of(content.get("Key") or content["Item"])
    return _entry(key, content.get("ConditionExpression"))
