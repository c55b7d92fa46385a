"""Entries of the identity map, and the conversion of each to its pending write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import attrs

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.operations import ConditionCheck, DeleteItem, Key
from thrivecalc_models.protocol import Intent, PendingWrite
from thrivecalc_models.records import UserRecord, writing
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.records.state import state_of
from thrivecalc_models.wire import WriteTime, item_size

MAX_TRANSACTION_WRITES = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
"""Source: TransactWriteItems, Amazon DynamoDB API Reference."""

Action = Literal["add", "put", "delete", "delete any", "check"]

DELETIONS = (Intent.DELETE, Intent.DELETE_ANY)


@attrs.define(eq=False, repr=False)
class Entry:
    """One key of the identity map, with the record and the queued action, if any.

    With no action, the changes of the record are what is pending. `generated` says that the record
    id was generated, `exist_ok` that a taken key is left as it is.
    """

    key: str
    record: UserRecord | None
    action: Action | None = None
    generated: bool = False
    exist_ok: bool = False
    _attempt: PendingWrite | None = attrs.field(default=None, init=False)

    @property
    def attempt(self) -> PendingWrite | None:
        """A write of unknown outcome, which goes before any other.

        It is kept by the record, if there is one: another unit, or PynamoDB's `save`, may be the
        one to repeat it.
        """
        return self._attempt if self.record is None else writing.attempt_of(self.record)

    @attempt.setter
    def attempt(self, attempt: PendingWrite | None) -> None:
        if self.record is None:
            self._attempt = attempt
        else:
            state_of(self.record).attempt = attempt

    @property
    def deleted(self) -> bool:
        """Whether a deletion is queued, or was sent and its outcome is unknown."""
        attempt = self.attempt
        return self.action in ("delete", "delete any") or (
            attempt is not None and attempt.intent in DELETIONS
        )


def action_of(intent: Intent) -> Action | None:
    """Return the action that queues a write of this intent; None for an update."""
    actions: dict[Intent, Action] = {
        Intent.ADD: "add",
        Intent.ADD_FRESH: "add",
        Intent.PUT: "put",
        Intent.DELETE: "delete",
        Intent.DELETE_ANY: "delete any",
        Intent.CHECK: "check",
    }
    return actions.get(intent)


def write_of(entry: Entry, scope: Scope, now: datetime, *, lock: bool) -> PendingWrite | None:
    """Encode and check the pending write of an entry; None if nothing changed.

    Raises InvalidRecordError, and CorruptItemError if a malformed record was changed.
    """
    record = entry.record
    if entry.action == "delete any":
        delete = DeleteItem(key=Key(scope.user_id, entry.key))
        return PendingWrite(key=entry.key, intent=Intent.DELETE_ANY, write=delete)
    if record is None:
        return None
    if entry.action == "delete":
        state_of(record).check_whole()
        delete = DeleteItem(key=writing.key_of(record), condition=writing.unchanged_or_gone(record))
        return PendingWrite(key=entry.key, intent=Intent.DELETE, write=delete)
    if entry.action in ("add", "put") or not writing.is_stored(record):
        return _whole(entry, record, scope, now)
    return _noticed(entry, record, scope, now, lock=lock)


def _whole(entry: Entry, record: UserRecord, scope: Scope, now: datetime) -> PendingWrite:
    """Encode an add or a put."""
    session = scope.session
    # A new record has no stamp to go past, so all of a commit share one.
    at = session.write_time(now) if writing.is_stored(record) else WriteTime(now, 1)
    if entry.action == "put":
        put = writing.put_of(record, at=at, js_safe=session.js_safe_numbers)
        return PendingWrite(key=entry.key, intent=Intent.PUT, write=put, after=put.item)
    put = writing.put_of(
        record, at=at, js_safe=session.js_safe_numbers, condition=writing.KEY_IS_FREE
    )
    return PendingWrite(
        key=entry.key,
        intent=Intent.ADD_FRESH if entry.generated else Intent.ADD,
        write=put,
        exist_ok=entry.exist_ok,
        after=put.item,
    )


def _noticed(
    entry: Entry, record: UserRecord, scope: Scope, now: datetime, *, lock: bool
) -> PendingWrite | None:
    """Encode the changes of a stored record, or its check if it has none."""
    session, checked = scope.session, entry.action == "check"
    if not writing.is_unchanged(record):
        changed = writing.changes(record, js_safe=session.js_safe_numbers)
        if changed:
            at = session.write_time(now)
            update, after = writing.update_of(
                record, changed, at=at, lock=lock or checked, whole=checked
            )
            return PendingWrite(key=entry.key, intent=Intent.UPDATE, write=update, after=after)
    if not checked:
        return None
    check = ConditionCheck(
        key=writing.key_of(record), condition=writing.unchanged_condition(record)
    )
    return PendingWrite(key=entry.key, intent=Intent.CHECK, write=check)


def check_transaction(writes: Sequence[PendingWrite]) -> None:
    """Raise InvalidRecordError if the writes do not fit one transaction (100 items, 4 MB)."""
    if len(writes) > MAX_TRANSACTION_WRITES:
        raise InvalidRecordError(
            f"an atomic unit holds at most {MAX_TRANSACTION_WRITES} operations, this one has"
            f" {len(writes)}; commit in smaller units"
        )
    size = sum(item_size(write.after) for write in writes if write.after is not None)
    if size > MAX_TRANSACTION_BYTES:
        raise InvalidRecordError(
            f"an atomic unit holds at most 4 MB of items, this one has {size} bytes; commit in"
            " smaller units"
        )
