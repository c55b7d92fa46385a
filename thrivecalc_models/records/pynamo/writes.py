"""PynamoDB's methods that write: checked and stamped, and locked on the item that was read."""

from __future__ import annotations

import copy
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from thrivecalc_models import operations, table
from thrivecalc_models.operations import Call, DeleteItem, Key, UpdateItem
from thrivecalc_models.protocol import Intent, PendingWrite
from thrivecalc_models.records import writing
from thrivecalc_models.records.pynamo.actions import (
    Left,
    check_actions,
    results,
    target,
    touched,
)
from thrivecalc_models.records.pynamo.attempts import (
    after_unknown,
    blocking,
    perform,
    session_of,
)
from thrivecalc_models.records.pynamo.connection import Entry, table_of
from thrivecalc_models.records.pynamo.dicts import PynamoDicts, record_of
from thrivecalc_models.records.pynamo.lookups import absent
from thrivecalc_models.records.state import state_of
from thrivecalc_models.wire import (
    Item,
    WriteTime,
    value_at,
    with_bytes,
    with_text,
)

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

Json = dict[str, Any]

# What to use instead for a record of an AsyncDataStore.
_SAVE = "`await user.update(record)`, or `await user.put(record)`"
_UPDATE = "assignments to its fields and `await user.update(record)`"
_DELETE = "`await user.delete(record)`"
_REFRESH = "`await user.get(...)`, or `await work.refresh(record)` in a unit of work"
_TRANSACT = "`async with user.unit_of_work(atomic=True)`"


class PynamoWrites(PynamoDicts):
    """PynamoDB's methods that write one record.

    Errors are PynamoDB's, with `.record` and `.outcome`: "not applied" or "unknown". An unknown
    write is sent again first, exactly as before. A repeated call is the same write; another one
    comes after it, so a record never conflicts with itself. If another writer was there since,
    the outcome stays unknown until `refresh()`.

    `add_version_condition=False` writes without the lock: the last writer wins. An action such as
    `add(1)` is then sent once, and another call adds again.
    """

    def save(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Json:
        """Store the whole item; of a loaded record only over the item that was read.

        The record is its own snapshot afterwards. A new record, or one that was deleted through
        itself (`delete()`, a batch, a transaction, its user), replaces any stored item. Raises
        InvalidRecordError before anything is sent, and PutError.
        """
        record, lock = blocking(self, _SAVE), add_version_condition
        return perform(record, lambda at: _put(record, condition, lock, at), lock=lock)

    def update(
        self,
        actions: list[Action],
        condition: Condition | None = None,
        *,
        add_version_condition: bool = True,
    ) -> Any:
        """Apply actions to the stored item, and make the result the record's snapshot.

        A loaded record is updated only if its stamp, and the attributes of the actions, are as
        they were read. Without that lock an absent item is created if the actions set all of
        `data`; else UpdateError is raised. `updatedAt` is always set. Edits of the record that are
        not in the actions stay edits.
        """
        record, lock = blocking(self, _UPDATE), add_version_condition
        reply = perform(record, lambda at: _update(record, actions, condition, lock, at), lock=lock)
        return with_bytes(reply)

    def delete(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Any:
        """Delete the item; of a loaded record only if it is as it was read, or absent.

        Raises DeleteError.
        """
        record, lock = blocking(self, _DELETE), add_version_condition
        return perform(record, lambda at: _delete(record, condition, lock, at), lock=lock)

    def refresh(self, consistent_read: bool = False) -> None:
        """Read the item again, and drop edits and an unknown write. Raises DoesNotExist.

        If a `TransactWrite` was to delete the record and the item is absent, it counts as deleted.
        """
        record = blocking(self, _REFRESH)
        session, state, key = session_of(record), state_of(record), writing.key_of(record)
        reply = table_of(session).get_item(key.user_id, key.record_key, consistent_read)
        item = reply.get("Item")
        if item is None:
            if state.leaving:
                writing.deleted(record)
            raise record.DoesNotExist(absent(type(record), key.record_key))
        state.belong_to(session)
        state.attempt = None
        writing.restore(record, item)

    # --- entries of PynamoDB's TransactWrite ------------------------------------------------------

    def get_save_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
    ) -> Json:
        """Return the arguments of a Put in PynamoDB's `TransactWrite`, with its stamps.

        As in `save()`, an unknown earlier write is sent first; the other two methods do the same.
        """
        record = blocking(self, _TRANSACT)
        write = after_unknown(record, lambda at: _put(record, condition, True, at), lock=True)
        state_of(record).when_applied = lambda: writing.applied(record, write, None)
        return _entry(record, write, return_values_on_condition_failure)

    def get_update_kwargs_from_instance(
        self,
        actions: list[Action],
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
        *,
        add_version_condition: bool = True,
    ) -> Json:
        """Return the arguments of an Update in PynamoDB's `TransactWrite`.

        The reply does not have the new item. If it follows from the actions and from the item that
        was read, it becomes the record's snapshot; else the record must be refreshed before it is
        written again.
        """
        record, lock = blocking(self, _TRANSACT), add_version_condition
        write = after_unknown(
            record, lambda at: _update(record, actions, condition, lock, at), lock=lock
        )
        state_of(record).when_applied = lambda: _updated_unseen(record, write)
        return _entry(record, write, return_values_on_condition_failure)

    def get_delete_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
        *,
        add_version_condition: bool = True,
    ) -> Json:
        """Arguments of a Delete in PynamoDB's `TransactWrite`.

        Once that was applied over a connection of this library the record is as after `delete()`.
        PynamoDB's own does not say what came of a delete: there a later write that finds the record
        gone says that it must be refreshed.
        """
        record, lock = blocking(self, _TRANSACT), add_version_condition
        write = after_unknown(record, lambda at: _delete(record, condition, lock, at), lock=lock)
        state_of(record).leaving = writing.is_stored(record)
        return _entry(record, write, return_values_on_condition_failure)

    def update_local_version_attribute(self) -> None:
        """Told by PynamoDB that its transaction was applied: the record is its own snapshot."""
        state = state_of(record_of(self))
        if state.when_applied is not None:
            state.when_applied()
            state.when_applied = None


def _put(
    record: UserRecord, condition: Condition | None, lock: bool, at: WriteTime
) -> PendingWrite:
    put = writing.put_of(record, at=at, js_safe=session_of(record).js_safe_numbers)
    if lock and writing.has_snapshot(record):
        condition &= _to_condition(writing.unchanged_condition(record))
    attributes = {n: form for n, form in put.item.items() if n not in put.key.item()}
    request = _request(record, condition, key="Item", attributes=with_bytes(attributes))
    return PendingWrite(
        key=put.key.record_key,
        intent=Intent.PUT,
        write=put,
        after=put.item,
        call=Call(put.name, request),
        at=at,
    )


def _delete(
    record: UserRecord, condition: Condition | None, lock: bool, at: WriteTime
) -> PendingWrite:
    state_of(record).check_whole()
    if lock and writing.is_stored(record):
        condition &= _to_condition(writing.unchanged_or_gone(record))
    delete = DeleteItem(key=writing.key_of(record))
    return PendingWrite(
        key=delete.key.record_key,
        intent=Intent.DELETE,
        write=delete,
        call=Call(delete.name, _request(record, condition)),
        at=at,
    )


def _update(
    record: UserRecord,
    actions: list[Action],
    condition: Condition | None,
    lock: bool,
    at: WriteTime,
) -> PendingWrite:
    state_of(record).check_changeable()
    check_actions(record, actions, js_safe=session_of(record).js_safe_numbers)
    stamp = writing.stamp_for(record, at)
    locked = lock and writing.has_snapshot(record)
    guard = _guard(record, actions, locked)
    if guard is not None:
        condition &= _to_condition(guard)
    request = _request(record, condition, actions=[*actions, *_own_actions(record, stamp, locked)])
    before = writing.snapshot_of(record) if locked else None
    left = results(actions, before)
    update = _what_is_left(writing.key_of(record), left, stamp)
    return PendingWrite(
        key=update.key.record_key,
        intent=Intent.UPDATE,
        write=update,
        after=_item_after(before, left, stamp),
        call=Call(update.name, request | {"ReturnValues": "ALL_NEW"}),
        at=at,
        # Once it was applied the stamp that was read is gone, so the lock lets it through once.
        repeatable=locked or left is not None,
    )


def _request(record: UserRecord, condition: Condition | None, **options: Any) -> Json:
    """Return PynamoDB's request for one write; if its condition fails, the item comes back."""
    key = writing.key_of(record)
    request = table_of(session_of(record)).get_operation_kwargs(
        key.user_id, key.record_key, condition=condition, **options
    )
    request["ReturnConsumedCapacity"] = "TOTAL"
    if condition is not None:
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return cast("Json", with_text(request))


def _what_is_left(key: Key, left: Left | None, stamp: str) -> UpdateItem:
    """Return an update that sets what another one leaves; nothing if that is not known."""
    if left is None:
        return UpdateItem(key=key, sets=())
    sets = [(path, form) for path, form in left.items() if form is not None]
    return UpdateItem(
        key=key,
        sets=(*sets, ((table.UPDATED_AT,), {"S": stamp})),
        removes=tuple(path for path, form in left.items() if form is None),
    )


def _updated_unseen(record: UserRecord, write: PendingWrite) -> None:
    """Update a record after an update whose reply does not have the new item."""
    state = state_of(record)
    if write.after is None:
        state.outdated = "was updated by a transaction, and what is stored now did not come back"
        state.attempt = None
    else:
        writing.applied(record, write, write.after)


def _item_after(before: Item | None, left: Left | None, stamp: str) -> Item | None:
    """Return the item that was read after the actions; None if it is not known."""
    if before is None or left is None:
        return None
    item = copy.deepcopy(before)
    for names, form in left.items():
        parent = item if len(names) == 1 else (value_at(item, names[:-1]) or {}).get("M")
        if parent is None:  # the service refuses that
            return None
        parent.pop(names[-1], None)
        if form is not None:
            parent[names[-1]] = form
    return item | {table.UPDATED_AT: {"S": stamp}}


def _guard(record: UserRecord, actions: list[Action], locked: bool) -> operations.Condition | None:
    if locked:
        return writing.lock_condition(record, touched(actions))
    if ((table.DATA,), True) in map(target, actions):
        return None
    # An item made by this update would have no data, and no class would fit it.
    return operations.Exists((table.DATA,))


def _own_actions(record: UserRecord, stamp: str, locked: bool) -> list[Action]:
    """Return the actions of the stamp and, without the lock, of what a new item needs."""
    made = {
        table.DATA_TYPE: record.data_type,
        table.RECORD_ID: record.record_id,
        table.CREATED_AT: stamp,
    }
    given = [Path([name]).set(Path([name]) | {"S": text}) for name, text in made.items()]
    return [Path([table.UPDATED_AT]).set({"S": stamp}), *([] if locked else given)]


_OF_SINGLE_WRITES = {
    "ReturnConsumedCapacity",
    "ReturnValues",
    "ReturnValuesOnConditionCheckFailure",
}


def _entry(record: UserRecord, write: PendingWrite, return_values: str | None) -> Json:
    """Return the entry of a write for a transaction, whose end is reported to the record."""
    assert write.call is not None
    state_of(record).belong_to(session_of(record))
    parameters = write.call.parameters
    entry = {name: each for name, each in parameters.items() if name not in _OF_SINGLE_WRITES}
    if return_values is not None:
        entry["ReturnValuesOnConditionCheckFailure"] = return_values.upper()
    # PynamoDB's own connection wants bytes.
    return Entry(cast("Json", with_bytes(entry)), lambda applied: _ended(record, write, applied))


def _ended(record: UserRecord, write: PendingWrite, applied: bool | None) -> None:
    """The transaction of a write has ended; of a put and an update PynamoDB tells what is next."""
    state = state_of(record)
    if applied and isinstance(write.write, DeleteItem):
        writing.deleted(record)
    elif applied is None and writing.is_stored(record):
        state.outdated = "is of a transaction that may have been applied or not"
    elif not applied:
        state.leaving = False
    if not applied:
        state.when_applied = None


def _to_condition(condition: operations.Condition) -> Condition:
    """Translate a condition of ours for PynamoDB, which serialises it with a caller's."""
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
            return reduce(lambda one, other: one & other, map(_to_condition, parts))
        case operations.AnyOf(parts):
            return reduce(lambda one, other: one | other, map(_to_condition, parts))
