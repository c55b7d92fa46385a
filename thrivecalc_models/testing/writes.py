"""Write to the simulated table: PutItem, UpdateItem, DeleteItem, and many of them at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import attrs

from thrivecalc_models import table
from thrivecalc_models.operations import TOO_LARGE, Reason
from thrivecalc_models.testing.capacity import Consumed, cost_of_write, reported
from thrivecalc_models.testing.conditions import Condition, ValueOperand
from thrivecalc_models.testing.expressions import bound_condition
from thrivecalc_models.testing.placeholders import Placeholders
from thrivecalc_models.testing.refusals import (
    CONDITION_FAILED,
    NO_REASON,
    TOKEN_MISMATCH,
    VALIDATION_ERROR,
    ConditionFailed,
    Invalid,
    Refusal,
    cancelled,
)
from thrivecalc_models.testing.requests import (
    KEY_NAMES,
    MAX_REQUEST_BYTES,
    REPEATED_IN_BATCH,
    REPEATED_IN_TRANSACTION,
    check_distinct,
    check_index_key,
    check_parameters,
    check_table,
    check_transaction_size,
    check_updated,
    key_of,
    list_of,
    one_of,
    only_table,
    stored_item,
    transaction_entries,
)
from thrivecalc_models.testing.state import Key, Storage, TableState
from thrivecalc_models.testing.updates import Plain, Update, bound_update
from thrivecalc_models.wire import Item, Json, read_units

MAX_BATCH_WRITE: Final = 25
MAX_TOKEN_LENGTH: Final = 36
TOKEN_SECONDS: Final = 600.0

_CONDITIONED: Final = (
    "TableName",
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValuesOnConditionCheckFailure",
)
_ENTRY: Final = {
    "Put": (*_CONDITIONED, "Item"),
    "Update": (*_CONDITIONED, "Key", "UpdateExpression"),
    "Delete": (*_CONDITIONED, "Key"),
    "ConditionCheck": (*_CONDITIONED, "Key"),
}
_SINGLE: Final = ("ReturnValues", "ReturnConsumedCapacity", "ReturnItemCollectionMetrics")
_SEVERAL: Final = ("ReturnConsumedCapacity", "ReturnItemCollectionMetrics")


@attrs.frozen
class WriteRequest:
    """One write of a request, checked as far as it can be without the stored item.

    `change` gives the new item and its size from the old one, or None for no item.
    """

    key: Key
    change: Callable[[Item | None], tuple[Item | None, int]]
    condition: Condition | None
    placeholders: Placeholders
    returns_stored: bool
    touched: frozenset[str]
    payload: int
    changes: bool = True


@attrs.frozen
class Change:
    """What a write will do, decided and not yet done."""

    write: WriteRequest
    old: Item | None
    old_size: int
    new: Item | None
    new_size: int

    @property
    def cost(self) -> Consumed:
        """Capacity units of the write."""
        return cost_of_write(self.old, self.old_size, self.new, self.new_size)

    def apply(self, state: TableState) -> None:
        """Write the new item, unless this only checks a condition."""
        if self.write.changes:
            state.write(self.write.key, self.new, self.new_size, by_request=True)


def put_item(storage: Storage, request: Json) -> Json:
    """Store an item under its condition, whether there was one before or not."""
    return _single(storage, request, "Put", ("NONE", "ALL_OLD"))


def delete_item(storage: Storage, request: Json) -> Json:
    """Delete an item under its condition; there may be none."""
    return _single(storage, request, "Delete", ("NONE", "ALL_OLD"))


def update_item(storage: Storage, request: Json) -> Json:
    """Update an item under its condition, or create it."""
    returns = ("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
    return _single(storage, request, "Update", returns)


def batch_write_item(storage: Storage, request: Json, *, keep: int | None = None) -> Json:
    """Puts and deletes, each on its own; those past `keep` come back as not processed."""
    check_parameters(request, ("RequestItems", *_SEVERAL), required=("RequestItems",))
    of_table = only_table(request["RequestItems"], storage.table_name)
    entries = list_of(of_table, "RequestItems", at_most=MAX_BATCH_WRITE)
    writes = [_batch_entry(entry) for entry in entries]
    check_distinct([write.key for write in writes], REPEATED_IN_BATCH)
    _check_request_size(request, sum(write.payload for write in writes))
    consumed = Consumed()
    for write in writes[:keep]:
        change = decided(storage.state, write)
        change.apply(storage.state)
        consumed += change.cost
    left = [] if keep is None else entries[keep:]
    body: Json = {"UnprocessedItems": {storage.table_name: left} if left else {}}
    capacity = reported(consumed, request, storage.table_name)
    return body if capacity is None else body | {"ConsumedCapacity": [capacity]}


class Tokens:
    """Tokens of transactions that came through, each good for ten minutes.

    Source: "TransactWriteItems", Amazon DynamoDB API Reference, ClientRequestToken.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, str]] = {}

    def is_repeated(self, token: str, payload: str, now: float) -> bool:
        """Whether this transaction came through before; raises Refusal for another payload."""
        first, known = self._known.get(token, (now, None))
        if known is None or now - first >= TOKEN_SECONDS:
            return False
        if known != payload:
            raise Refusal(TOKEN_MISMATCH)
        return True

    def remember(self, token: str, payload: str, now: float) -> None:
        """Remember a transaction that came through."""
        self._known[token] = (now, payload)


def transact_write_items(storage: Storage, request: Json, tokens: Tokens, now: float) -> Json:
    """All writes or none; a token seen again with the same payload changes nothing."""
    known = ("TransactItems", "ClientRequestToken", *_SEVERAL)
    check_parameters(request, known, required=("TransactItems",))
    entries = transaction_entries(request)
    writes = [_transaction_entry(storage, entry) for entry in entries]
    check_distinct([write.key for write in writes], REPEATED_IN_TRANSACTION)
    token = _token(request)
    payload = json.dumps(entries, sort_keys=True)
    # Before the conditions are looked at: after its own first arrival they need not hold.
    if token is not None and tokens.is_repeated(token, payload, now):
        return _repeated(storage, request, writes)
    changes = _all_decided(storage.state, writes)  # all, before the first is applied
    written = (change for change in changes if change.write.changes)
    check_transaction_size(sum(change.new_size or change.write.payload for change in written))
    consumed = Consumed()
    for change in changes:
        change.apply(storage.state)
        consumed += change.cost.times(2)  # to prepare, and to commit
    if token is not None:
        tokens.remember(token, payload, now)
    return _transaction_body(storage, request, consumed, "WriteCapacityUnits")


def _single(storage: Storage, request: Json, member: str, returns: tuple[str, ...]) -> Json:
    check_parameters(request, (*_ENTRY[member], *_SINGLE))
    check_table(request.get("TableName"), storage.table_name)
    wanted = one_of(request, "ReturnValues", returns)
    write = write_of(member, request)
    if member == "Put":
        check_index_key(request["Item"])
    change = decided(storage.state, write)
    capacity = reported(change.cost, request, storage.table_name)
    change.apply(storage.state)
    body: Json = {} if capacity is None else {"ConsumedCapacity": capacity}
    attributes = _returned(change, wanted)
    return body | {"Attributes": attributes} if attributes else body


def _returned(change: Change, wanted: str) -> Item | None:
    item = change.new if wanted.endswith("NEW") else change.old
    if wanted == "NONE" or item is None:
        return None
    if wanted.startswith("UPDATED"):
        return {name: value for name, value in item.items() if name in change.write.touched}
    return item


def write_of(member: str, entry: Json) -> WriteRequest:
    """Read one write; raises Invalid for what is wrong with it, whatever is stored."""
    placeholders = Placeholders.of(entry, ("ConditionExpression", "UpdateExpression"))
    condition_text = entry.get("ConditionExpression")
    condition = None if condition_text is None else bound_condition(condition_text, placeholders)
    touched: frozenset[str] = frozenset()
    size = 0
    if member == "Put":
        key, item, size = stored_item(entry.get("Item"))
        change = _putting(item, size)
    elif member != "Update":
        key, change = key_of(entry.get("Key")), _deleting
    else:
        key = key_of(entry.get("Key"))
        update = _update(entry, placeholders)
        touched = frozenset(update.touched())
        change = _updating(key, update)
    placeholders.check_all_used()
    stored = one_of(entry, "ReturnValuesOnConditionCheckFailure", ("NONE", "ALL_OLD"))
    return WriteRequest(
        key=key,
        change=change,
        condition=condition,
        placeholders=placeholders,
        returns_stored=stored == "ALL_OLD",
        touched=touched,
        payload=size,
        changes=member != "ConditionCheck",
    )


def _update(entry: Json, placeholders: Placeholders) -> Update:
    text = entry.get("UpdateExpression")
    update = Update((), placeholders) if text is None else bound_update(text, placeholders)
    for action, path in update.actions:
        value = action.value
        if (
            path == (table.DATA_TYPE,)
            and isinstance(value, Plain)
            and isinstance(value.operand, ValueOperand)
            and placeholders.value(value.operand.placeholder).get("S") == ""
        ):
            raise Invalid("an index key cannot be updated to an empty string value")
    return update


def _putting(item: Item, size: int) -> Callable[[Item | None], tuple[Item | None, int]]:
    def change(old: Item | None) -> tuple[Item | None, int]:
        check_index_key(item)  # here, so that in a transaction it is the reason of one entry
        return item, size

    return change


def _deleting(old: Item | None) -> tuple[Item | None, int]:
    return None, 0


def _updating(key: Key, update: Update) -> Callable[[Item | None], tuple[Item | None, int]]:
    def change(old: Item | None) -> tuple[Item | None, int]:
        touched = update.touched()
        for name in KEY_NAMES:
            if name in touched:
                raise Invalid(f"Cannot update attribute {name}. This attribute is part of the key")
        user_id, record_key = key
        fresh = {table.USER_ID: {"S": user_id}, table.RECORD_KEY: {"S": record_key}}
        item = update.applied(fresh if old is None else old)
        if table.DATA_TYPE in touched:
            check_index_key(item)
        return item, check_updated(item, touched)

    return change


def decided(state: TableState, write: WriteRequest) -> Change:
    """What a write does to the item as it is now; raises Refusal where it may not."""
    old = state.items.get(write.key)
    if write.condition is not None and not write.condition.holds(old or {}, write.placeholders):
        raise ConditionFailed(old if write.returns_stored else None)
    old_size = state.sizes.get(write.key, 0)
    if not write.changes:
        return Change(write, old, old_size, old, old_size)
    new, new_size = write.change(old)
    return Change(write, old, old_size, new, new_size)


def _all_decided(state: TableState, writes: list[WriteRequest]) -> list[Change]:
    """The changes of a transaction; raises Refusal, with a reason for each entry, if one fails."""
    changes: list[Change] = []
    reasons: list[Reason] = []
    for write in writes:
        try:
            changes.append(decided(state, write))
        except ConditionFailed as refusal:
            reasons.append(Reason(code=CONDITION_FAILED, item=refusal.failure.item))
        except Invalid:
            reasons.append(Reason(code=VALIDATION_ERROR))
        else:
            reasons.append(Reason(code=NO_REASON))
    if len(changes) != len(writes):
        raise Refusal(cancelled(tuple(reasons)))
    return changes


def _batch_entry(entry: Any) -> WriteRequest:
    check_parameters(entry, ("PutRequest", "DeleteRequest"))
    if len(entry) != 1:
        raise Invalid("A write request is either a put or a delete")
    [(name, content)] = entry.items()
    member, field = {"PutRequest": ("Put", "Item"), "DeleteRequest": ("Delete", "Key")}[name]
    write = write_of(member, check_parameters(content, (field,), required=(field,)))
    if member == "Put":
        check_index_key(content["Item"])
    return write


def _transaction_entry(storage: Storage, entry: Any) -> WriteRequest:
    check_parameters(entry, tuple(_ENTRY))
    if len(entry) != 1:
        raise Invalid("TransactItems can only contain one of Check, Put, Update or Delete")
    [(member, content)] = entry.items()
    required = {"Update": ("UpdateExpression",), "ConditionCheck": ("ConditionExpression",)}
    check_parameters(content, _ENTRY[member], required=required.get(member, ()))
    check_table(content.get("TableName"), storage.table_name)
    return write_of(member, content)


def _token(request: Json) -> str | None:
    token = request.get("ClientRequestToken")
    if token is None:
        return None
    if not isinstance(token, str) or not 1 <= len(token) <= MAX_TOKEN_LENGTH:
        raise Invalid(f"clientRequestToken must have a length of 1 to {MAX_TOKEN_LENGTH}")
    return token


def _repeated(storage: Storage, request: Json, writes: list[WriteRequest]) -> Json:
    sizes = (storage.state.sizes.get(write.key, 0) for write in writes)
    units = 2 * sum(read_units(size, consistent=True) for size in sizes)
    return _transaction_body(storage, request, Consumed(units), "ReadCapacityUnits")


def _transaction_body(storage: Storage, request: Json, consumed: Consumed, units_name: str) -> Json:
    capacity = reported(consumed, request, storage.table_name)
    if capacity is None:
        return {}
    return {"ConsumedCapacity": [capacity | {units_name: capacity["CapacityUnits"]}]}


def _check_request_size(request: Json, payload: int) -> None:
    # JSON is at most a few times as long as what DynamoDB counts: only large ones are measured.
    if payload > MAX_REQUEST_BYTES // 8 and len(json.dumps(request)) > MAX_REQUEST_BYTES:
        message = "The request exceeds the 16 MB limit"
        raise Invalid(message, code="RequestEntityTooLarge", status=TOO_LARGE)
