"""The entries of the identity map, and the pending write of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import attrs

from thrivecalc_models.errors import CorruptItemError, InvalidRecordError
from thrivecalc_models.operations import ConditionCheck, DeleteItem, Key
from thrivecalc_models.protocol import Intent, PendingWrite
from thrivecalc_models.records import UserRecord, writing
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.records.state import state_of
from thrivecalc_models.wire import WriteTime, describe, item_size

MAX_TRANSACTION_WRITES = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
"""Source: TransactWriteItems, Amazon DynamoDB API Reference."""

Action = Literal["add", "put", "delete", "delete any", "check"]


@attrs.define(eq=False, repr=False)
class Entry:
    """One key of the identity map, and what is to be done with it.

    `action` is what was queued, None where only noticed changes count. `attempt` is a write whose
    outcome is unknown; it goes before anything else.
    """

    key: str
    record: UserRecord | None
    action: Action | None = None
    generated: bool = False
    exist_ok: bool = False
    attempt: PendingWrite | None = None

    @property
    def deleted(self) -> bool:
        return self.action in ("delete", "delete any") or (
            self.attempt is not None and self.attempt.intent in (Intent.DELETE, Intent.DELETE_ANY)
        )

    def remember(self, attempt: PendingWrite | None) -> None:
        """Keep an attempt, on the record too: another unit may be the one to repeat it."""
        self.attempt = attempt
        if self.record is not None:
            state_of(self.record).attempt = attempt


def pending_writes(
    entries: Iterable[Entry], scope: Scope, *, lock: bool, in_doubt: set[str]
) -> list[PendingWrite]:
    """Every pending write, encoded and checked, but for what waits on an unknown attempt.

    Raises InvalidRecordError with `.errors`, CorruptItemError where a malformed record was changed,
    IsolationError for a key of another user.
    """
    session = scope.session
    now = session.clock()
    first = WriteTime(now, 1)  # of new records, which have no stamp to go past
    writes: list[PendingWrite] = []
    errors: dict[str, Exception] = {}
    for entry in list(entries):
        if entry.action is None and entry.record is not None and writing.is_unchanged(entry.record):
            continue  # as most of what was only read
        try:
            stored = entry.record is not None and writing.is_stored(entry.record)
            at = session.write_time(now) if stored else first
            write = write_of(entry, scope, at, lock=lock)
        except (InvalidRecordError, CorruptItemError) as error:
            errors[entry.key] = error
        else:
            if write is None:
                continue
            scope.check_write(write.write, entry.key)
            if entry.attempt is None and entry.key not in in_doubt:
                writes.append(write)
    if len(errors) == 1:
        raise _alone(errors)
    if errors:
        raise _all_invalid(errors)
    return writes


def write_of(entry: Entry, scope: Scope, at: WriteTime, *, lock: bool) -> PendingWrite | None:
    """The write that an entry is waiting for; None where nothing changed."""
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
    js_safe = scope.session.js_safe_numbers
    if entry.action in ("add", "put") or not writing.is_stored(record):
        return _whole(entry, record, at, js_safe=js_safe)
    return _noticed(entry, record, at, js_safe=js_safe, lock=lock)


def _whole(entry: Entry, record: UserRecord, at: WriteTime, *, js_safe: bool) -> PendingWrite:
    if entry.action == "put":
        put = writing.put_of(record, at=at, js_safe=js_safe)
        return PendingWrite(key=entry.key, intent=Intent.PUT, write=put, after=put.item)
    put = writing.put_of(record, at=at, js_safe=js_safe, condition=writing.KEY_IS_FREE)
    return PendingWrite(
        key=entry.key,
        intent=Intent.ADD_FRESH if entry.generated else Intent.ADD,
        write=put,
        exist_ok=entry.exist_ok,
        after=put.item,
    )


def _noticed(
    entry: Entry, record: UserRecord, at: WriteTime, *, js_safe: bool, lock: bool
) -> PendingWrite | None:
    checked = entry.action == "check"
    if not writing.is_unchanged(record):
        changed = writing.changes(record, js_safe=js_safe)
        if changed:
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
    """Raises InvalidRecordError for more than one transaction holds."""
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


def action_of(intent: Intent) -> Action | None:
    actions: dict[Intent, Action] = {
        Intent.ADD: "add",
        Intent.ADD_FRESH: "add",
        Intent.PUT: "put",
        Intent.DELETE: "delete",
        Intent.DELETE_ANY: "delete any",
        Intent.CHECK: "check",
    }
    return actions.get(intent)


def _alone(errors: dict[str, Exception]) -> Exception:
    """The one error of a unit, which knows the key that it is about."""
    (error,) = errors.values()
    if isinstance(error, InvalidRecordError):
        several = dict(error.errors) if len(error.errors) > 1 else {}
        error.errors = errors | several
    return error.with_traceback(None)


def _all_invalid(errors: dict[str, Exception]) -> InvalidRecordError:
    lines = "; ".join(f"{describe(key)}: {error}" for key, error in errors.items())
    return InvalidRecordError(
        f"{len(errors)} records cannot be written, and nothing was sent: {lines}", errors=errors
    )
