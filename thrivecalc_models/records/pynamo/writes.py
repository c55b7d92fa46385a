"""PynamoDB's methods that write: stamped, checked before they are sent, only over what was read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path
from pynamodb.expressions.update import Action

from thrivecalc_models import operations, table
from thrivecalc_models.records import writing
from thrivecalc_models.records.pynamo.actions import (
    Names,
    check_actions,
    form_at,
    results,
    target,
    touched,
)
from thrivecalc_models.records.pynamo.attempts import (
    Doubt,
    Write,
    binding_of,
    has_snapshot,
    perform,
    settle,
    undoubted,
    was_deleted,
    was_stored,
)
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.records.pynamo.dicts import PynamoDicts
from thrivecalc_models.records.pynamo.lookups import absent
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    WriteTime,
    same_item,
    same_value,
    with_bytes,
)

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord

Json = dict[str, Any]


class PynamoWrites(PynamoDicts):
    """Writing a record.

    Errors are PynamoDB's, with `.record` and `.outcome`: "not applied" or "unknown". What is
    unknown goes first, exactly as before: repeating the call is the same write, and another one
    comes after what the first left, so that a record is never in conflict with itself. If that
    stays unknown (somebody else wrote since), so does the outcome; `refresh()` ends the doubt.

    `add_version_condition=False` writes over all of that: the last writer wins. There an action
    such as `add(1)` is sent once, and counts again when it is called again.
    """

    _doubt: Doubt | None = None
    _deleted: Item | None = None
    _when_applied: Callable[[], None] | None = None
    """What PynamoDB's TransactWrite has to do once it says that the write was applied."""

    def save(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Json:
        """Store the whole item; a loaded record only over what was read.

        The record is its own snapshot afterwards. A new one, or one that was deleted by `delete()`,
        is put whatever is there. Raises InvalidRecordError before anything is sent, and PutError.
        """
        record, lock = _of(self), add_version_condition
        return perform(record, lambda at: _put(record, condition, lock, at), lock=lock)

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
        record, lock = _of(self), add_version_condition
        reply = perform(record, lambda at: _update(record, actions, condition, lock, at), lock=lock)
        return with_bytes(reply)

    def delete(
        self, condition: Condition | None = None, *, add_version_condition: bool = True
    ) -> Any:
        """Delete the item; of a loaded record only if it is as it was read, or gone already.

        Raises DeleteError.
        """
        record, lock = _of(self), add_version_condition
        return perform(record, lambda at: _delete(record, condition, lock, at), lock=lock)

    def refresh(self, consistent_read: bool = False) -> None:
        """Read the item again; what was edited, or in doubt, is dropped. Raises DoesNotExist."""
        record = _of(self)
        binding = binding_of(record)
        key = writing.key_of(record)
        reply = table_of(binding).get_item(key.user_id, key.record_key, consistent_read)
        item = reply.get("Item")
        if item is None:
            raise record.DoesNotExist(absent(type(record), key.record_key))
        record._belong_to(binding)
        settle(record)
        writing.restore(record, item)

    # --- entries of PynamoDB's TransactWrite ------------------------------------------------------

    def get_save_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
    ) -> Json:
        """Arguments of a Put in PynamoDB's `TransactWrite`, with the stamps it will have.

        As in `save()`, what is unknown of an earlier write is sent first; so with the other two.
        """
        record = _of(self)
        write = undoubted(record, lambda at: _put(record, condition, True, at), lock=True)
        item = write.item
        assert item is not None  # of a put
        record._when_applied = lambda: was_stored(record, item)
        return _entry(record, write, return_values_on_condition_failure)

    def get_update_kwargs_from_instance(
        self,
        actions: list[Action],
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
        *,
        add_version_condition: bool = True,
    ) -> Json:
        """Arguments of an Update in PynamoDB's `TransactWrite`.

        What is stored afterwards does not come back. Where it follows from the actions and from
        what was read, the record is its own snapshot; else it says that it must be refreshed before
        it is written again.
        """
        record, lock = _of(self), add_version_condition
        write = undoubted(
            record, lambda at: _update(record, actions, condition, lock, at), lock=lock
        )
        record._when_applied = lambda: _updated_unseen(record, write)
        return _entry(record, write, return_values_on_condition_failure)

    def get_delete_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
        *,
        add_version_condition: bool = True,
    ) -> Json:
        """Arguments of a Delete in PynamoDB's `TransactWrite`."""
        record, lock = _of(self), add_version_condition
        write = undoubted(record, lambda at: _delete(record, condition, lock, at), lock=lock)
        return _entry(record, write, return_values_on_condition_failure)

    def update_local_version_attribute(self) -> None:
        """Told by PynamoDB that its transaction was applied: the record is its own snapshot."""
        record = _of(self)
        if record._when_applied is not None:
            record._when_applied()
            record._when_applied = None


def _of(model: PynamoWrites) -> UserRecord:
    return cast("UserRecord", model)


def _put(record: UserRecord, condition: Condition | None, lock: bool, at: WriteTime) -> Write:
    binding = binding_of(record)
    item = writing.whole_item(record, at=at, js_safe=binding.js_safe_numbers)
    key = writing.key_of(record)
    if lock and has_snapshot(record):
        condition &= _to_condition(writing.unchanged_condition(record))
    request = table_of(binding).get_operation_kwargs(
        key.user_id,
        key.record_key,
        key="Item",
        attributes=with_bytes({n: form for n, form in item.items() if n not in key.item()}),
        condition=condition,
    )
    return Write(
        operation="PutItem",
        request=request,
        is_ours=lambda stored: stored is not None and same_item(stored, item),
        applied=lambda reply: was_stored(record, item),
        at=at,
        item=item,
    )


def _delete(record: UserRecord, condition: Condition | None, lock: bool, at: WriteTime) -> Write:
    record.check_whole()
    if lock and writing.is_stored(record):
        condition &= _to_condition(writing.unchanged_or_gone(record))
    key = writing.key_of(record)
    return Write(
        operation="DeleteItem",
        request=table_of(binding_of(record)).get_operation_kwargs(
            key.user_id, key.record_key, condition=condition
        ),
        is_ours=lambda stored: stored is None,
        applied=lambda reply: was_deleted(record),
        at=at,
    )


def _update(
    record: UserRecord,
    actions: list[Action],
    condition: Condition | None,
    lock: bool,
    at: WriteTime,
) -> Write:
    binding = binding_of(record)
    record._check_changeable(table.DATA)
    check_actions(record, actions, js_safe=binding.js_safe_numbers)
    stamp = writing.stamp_for(record, at)
    locked = lock and has_snapshot(record)
    guard = _guard(record, actions, locked)
    if guard is not None:
        condition &= _to_condition(guard)
    key = writing.key_of(record)
    request = table_of(binding).get_operation_kwargs(
        key.user_id,
        key.record_key,
        actions=[*actions, *_own_actions(record, stamp, locked)],
        condition=condition,
    )
    before = writing.snapshot_of(record) if locked else None
    left = results(actions, before)

    def is_ours(stored: Item | None) -> bool:
        if stored is None or left is None or stored.get(table.UPDATED_AT) != {"S": stamp}:
            return False
        return all(same_value(form_at(stored, names), form) for names, form in left.items())

    def applied(reply: Json) -> None:
        if writing.is_stored(record):
            # What was edited differs from the old snapshot; what the actions changed does not.
            writing.absorb(record, reply["Attributes"], writing.snapshot_of(record))
        else:
            writing.restore(record, reply["Attributes"])

    return Write(
        operation="UpdateItem",
        request=request,
        is_ours=is_ours,
        applied=applied,
        # Once it was applied the stamp that was read is gone, so the lock lets it through once.
        repeatable=locked or left is not None,
        at=at,
        item=_item_after(before, left, stamp),
    )


def _updated_unseen(record: UserRecord, write: Write) -> None:
    """An update was applied, and nobody has said what is stored now."""
    if write.item is None:
        record._state.outdated = True
    else:
        write.applied({"Attributes": write.item})
    settle(record)


def _item_after(
    before: Item | None, left: dict[Names, AttributeValue | None] | None, stamp: str
) -> Item | None:
    """The item that was read, with what the actions leave in it; None where that is not known."""
    if before is None or left is None:
        return None
    item = copy.deepcopy(before)
    for names, form in left.items():
        parent = item if len(names) == 1 else (form_at(item, names[:-1]) or {}).get("M")
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
    """The stamp, and what a whole item needs, in case there is none yet."""
    made = {
        table.DATA_TYPE: record.data_type,
        table.RECORD_ID: record.record_id,
        table.CREATED_AT: stamp,
    }
    given = [Path([name]).set(Path([name]) | {"S": text}) for name, text in made.items()]
    return [Path([table.UPDATED_AT]).set({"S": stamp}), *([] if locked else given)]


def _entry(record: UserRecord, write: Write, return_values: str | None) -> Json:
    """The write as an entry of a transaction, which the record waits for from now on."""
    record._belong_to(binding_of(record))
    if return_values is None:
        return write.request
    return write.request | {"ReturnValuesOnConditionCheckFailure": return_values.upper()}


def _to_condition(condition: operations.Condition) -> Condition:
    """A condition of ours in PynamoDB's terms, to be serialised with a caller's."""
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
