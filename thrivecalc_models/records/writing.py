"""Convert records to writes: the changed fields, the whole item, and the lock condition."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from thrivecalc_models import codec, table
from thrivecalc_models.codec.values import plain_element
from thrivecalc_models.errors import InvalidKeyError, InvalidRecordError, IsolationError
from thrivecalc_models.operations import (
    Absent,
    AllOf,
    AnyOf,
    Condition,
    Equal,
    Exists,
    IsMap,
    Key,
    Path,
    PutItem,
    UpdateItem,
)
from thrivecalc_models.payloads import fields_of
from thrivecalc_models.payloads.kinds import convert_mapping
from thrivecalc_models.protocol import PendingWrite
from thrivecalc_models.records.state import UNREAD, RecordState, state_of
from thrivecalc_models.value import internal
from thrivecalc_models.wire import (
    AttributeValue,
    Item,
    WriteTime,
    check_size,
    describe,
    format_timestamp,
    format_ttl,
    later,
    next_stamp,
    same_value,
    value_at,
)

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord


@internal
class Changes:
    """The attributes that differ from the snapshot: new forms by path, and removed paths."""

    sets: tuple[tuple[Path, AttributeValue], ...] = attrs.field(repr=False)
    removes: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths that are set or removed."""
        return tuple(path for path, _ in self.sets) + self.removes

    def __bool__(self) -> bool:
        return bool(self.sets or self.removes)


def key_of(record: UserRecord) -> Key:
    """Return the key of a write of the record. Raises InvalidKeyError without a user id.

    Raises IsolationError for another key than that of the record's scope and of the stored item.
    The attributes are fixed, so this does not happen; isolation does not rely on that alone.
    """
    state, user_id = state_of(record), record.user_id
    stored, key = state.stored, state.key
    if user_id is None:
        raise InvalidKeyError(
            f"{describe(key)} has no user id; give one, or write it through a user's scope",
            path=table.USER_ID,
        )
    same = state.scope in (None, user_id)
    if stored is not None:
        same = same and stored[table.USER_ID] == {"S": user_id}
        same = same and stored[table.RECORD_KEY] == {"S": key}
    if not same:
        raise IsolationError(
            f"the key of {describe(key)} was changed after its user's scope took it;"
            " nothing was sent, make another record instead"
        )
    return Key(user_id, key)


def is_stored(record: UserRecord) -> bool:
    """Whether the record was read from the table or written to it."""
    return state_of(record).has_snapshot


def has_snapshot(record: UserRecord) -> bool:
    """Whether a lock can be made: the record is stored, and was not deleted through itself."""
    return is_stored(record) and state_of(record).stored is not state_of(record).deleted


def snapshot_of(record: UserRecord) -> Item:
    """Return the stored item. Raises InvalidRecordError for a record never stored."""
    stored = state_of(record).stored
    if stored is None:
        raise InvalidRecordError(
            f"{describe(record.record_key)} was never stored; use add or put", path=table.DATA
        )
    return stored


def stamp_for(record: UserRecord, at: WriteTime) -> str:
    """Return the `updatedAt` of a write: always later than the one that was read.

    A write is recognised by its stamp, so it must differ even if the clock stands or goes back.
    """
    if is_stored(record):
        return format_timestamp(next_stamp(at, record.updated_at))
    return _first_stamp(at.now)


@functools.lru_cache(maxsize=1)
def _first_stamp(now: datetime) -> str:
    """Return the stamp of new records, formatted once for all writes of a commit."""
    return format_timestamp(now)


def is_unchanged(record: UserRecord) -> bool:
    """Whether a stored record was surely not edited; only simple values are compared."""
    state = state_of(record)
    if not state.has_snapshot or state.touched or state.rebased:
        return False
    if state.extra_attributes is not None:
        return False
    return not _ttl_differs(record)


def is_edited(record: UserRecord, *, js_safe: bool) -> bool:
    """Whether a stored record differs from its snapshot; a value that cannot be written does."""
    if not is_stored(record) or is_unchanged(record):
        return False
    try:
        return bool(changes(record, js_safe=js_safe))
    except InvalidRecordError:
        return True


def changes(record: UserRecord, *, js_safe: bool) -> Changes:
    """Return what differs from the snapshot. Raises InvalidRecordError for bad values."""
    stored = snapshot_of(record)
    sets: list[tuple[Path, AttributeValue]] = []
    removes: list[Path] = []

    def compare(prefix: Path, old: Item, new: Item) -> None:
        for name, form in new.items():
            # Not equal may still be the same to DynamoDB, as sets in another order are.
            if old.get(name) != form and not same_value(old.get(name), form):
                sets.append(((*prefix, name), form))
        removes.extend((*prefix, name) for name in old if name not in new)

    if state_of(record).touched or state_of(record).rebased:
        compare((table.DATA,), stored[table.DATA]["M"], data_map(record, js_safe=js_safe))
    compare((), _outer(stored), _outer_now(record, js_safe=js_safe))
    return Changes(tuple(sets), tuple(removes))


def data_map(record: UserRecord, *, js_safe: bool) -> Item:
    """Return the map under `data` to be written, with unchanged fields in their stored form.

    Raises InvalidRecordError for bad values, and for a record without data.
    """
    state = state_of(record)
    base = state.data_map()
    if base is not None and not state.touched:
        return base
    payload = record.data
    if payload is None:
        raise InvalidRecordError(
            f"{describe(record.record_key)} has no data; give it a payload", path=table.DATA
        )
    payload_class = state.payload_class
    if payload_class is None:
        convert_mapping(payload, table.DATA, prefix=f"{table.DATA}.")
        return codec.encode_plain_map(payload, base or {}, table.DATA, _encoding(state, js_safe))
    extras = state.extra_data
    encoding = _encoding(state, js_safe)
    content = codec.encode_data(payload, extras or {}, base, state.origins, encoding)
    if extras is None and base is not None:  # never read, so they are as stored
        content |= _undeclared_forms(type(payload), base)
    return content


def _encoding(state: RecordState, js_safe: bool) -> codec.Encoding:
    """Return how a record is encoded: the numbers of its base stay, even unsafe ones."""
    encoding = codec.encoding_of(js_safe)
    return encoding if state.base is None else encoding.also(state.base)


def item_now(record: UserRecord, *, js_safe: bool) -> Item:
    """Return the item with the record's edits, without the stamp of a write.

    Raises InvalidRecordError.
    """
    state = state_of(record)
    values = state.attribute_values
    key, data_type = key_of(record), state.data_type
    item: Item = {
        table.USER_ID: {"S": key.user_id},
        table.RECORD_KEY: {"S": key.record_key},
        table.DATA_TYPE: {"S": data_type},
        table.RECORD_ID: {"S": key.record_key[len(data_type) + 1 :]},
        table.DATA: {"M": data_map(record, js_safe=js_safe)},
    }
    given = values.get(table.CREATED_AT)
    if state.stored is None and given is not None:
        item[table.CREATED_AT] = {"S": format_timestamp(given)}
    elif state.stored is not None and table.CREATED_AT in state.stored:
        item[table.CREATED_AT] = state.stored[table.CREATED_AT]
    if state.base is not None or state.extra_attributes or table.TTL in values:
        item |= _outer_now(record, js_safe=js_safe)
    return item


def whole_item(record: UserRecord, *, at: WriteTime, js_safe: bool) -> tuple[Item, bytes]:
    """Return the item that a put stores, checked and stamped, and its JSON.

    Raises InvalidRecordError.
    """
    state, stamp = state_of(record), stamp_for(record, at)
    state.check_changeable()
    item = item_now(record, js_safe=js_safe)
    if state.stored is None:
        item.setdefault(table.CREATED_AT, {"S": stamp})
    item[table.UPDATED_AT] = {"S": stamp}
    keep_for = record.keep_for
    if keep_for is not None and state.stored is None and table.TTL not in item:
        item[table.TTL] = {"N": format_ttl(later(at.now, keep_for, path=table.TTL))}
    return item, check_size(item, describe=lambda: describe(record.record_key))


def item_after(record: UserRecord, changed: Changes, stamp: str) -> Item:
    """Return the snapshot with the changes and the stamp. Raises ItemTooLargeError."""
    stored = snapshot_of(record)
    item = dict(stored)
    if any(path[0] == table.DATA for path in changed.paths):
        item[table.DATA] = {"M": dict(stored[table.DATA]["M"])}
    for path, form in changed.sets:
        _parent(item, path)[path[-1]] = form
    for path in changed.removes:
        del _parent(item, path)[path[-1]]
    item[table.UPDATED_AT] = {"S": stamp}
    check_size(item, describe=lambda: describe(record.record_key))
    return item


def _parent(item: Item, path: Path) -> Item:
    parent: Item = item if len(path) == 1 else item[path[0]]["M"]
    return parent


def update_of(
    record: UserRecord, changed: Changes, *, at: WriteTime, lock: bool, whole: bool = False
) -> tuple[UpdateItem, Item]:
    """Return the UpdateItem of the changed fields, and the item after it.

    With `whole` the lock is on all of `data`, not only on the changed fields. Without the lock the
    item must exist. If the fields do not fit one expression, `data` is set at once.
    Raises InvalidRecordError, and CorruptItemError for a malformed record.
    """
    state_of(record).check_changeable()
    stamp = stamp_for(record, at)
    after = item_after(record, changed, stamp)
    stamped = (*changed.sets, ((table.UPDATED_AT,), {"S": stamp}))
    locked = (*changed.paths, (table.DATA,)) if whole else changed.paths
    condition = lock_condition(record, locked) if lock else _exists(changed.paths)
    update = UpdateItem(
        key=key_of(record), sets=stamped, removes=changed.removes, condition=condition
    )
    if not update.fits():
        update = _whole_data_update(record, changed, after, lock=lock)
    return update, after


def _whole_data_update(
    record: UserRecord, changed: Changes, after: Item, *, lock: bool
) -> UpdateItem:
    """Return the update that sets `data` at once: DynamoDB takes 4 KB of expression.

    Even without the lock `data` must be as it was read, since all of it is written.
    """
    outer = [path for path in changed.paths if path[0] != table.DATA]
    names = [(table.DATA,), *outer]
    guard = lock_condition(record, names) if lock else AllOf((_exists(()), *_still(record, names)))
    update = UpdateItem(
        key=key_of(record),
        sets=(
            *((path, form) for path, form in changed.sets if path[0] != table.DATA),
            ((table.DATA,), after[table.DATA]),
            ((table.UPDATED_AT,), after[table.UPDATED_AT]),
        ),
        removes=tuple(path for path in changed.removes if path[0] != table.DATA),
        condition=guard,
    )
    if not update.fits():
        raise InvalidRecordError(
            f"{describe(record.record_key)} has more changed top-level attributes than one update"
            " holds (4 KB of expression); use put",
        )
    return update


def put_of(
    record: UserRecord, *, at: WriteTime, js_safe: bool, condition: Condition | None = None
) -> PutItem:
    """Return the PutItem of the whole record. Raises InvalidRecordError."""
    item, encoded = whole_item(record, at=at, js_safe=js_safe)
    return PutItem(item=item, condition=condition, encoded=encoded)


KEY_IS_FREE: Condition = Absent((table.RECORD_KEY,))


def lock_condition(record: UserRecord, paths: tuple[Path, ...] | list[Path] = ()) -> AllOf:
    """Return the condition that stamp and fields are as they were read.

    The fields are compared too: two hosts whose clocks disagree can write the same stamp.
    """
    parts = [_exists(paths), *_still(record, [(table.UPDATED_AT,), *paths])]
    return AllOf(tuple(parts))


def unchanged_condition(record: UserRecord) -> AllOf:
    """Return the condition that stamp and `data` are as they were read."""
    return lock_condition(record, [(table.DATA,)])


def unchanged_or_gone(record: UserRecord) -> AnyOf:
    """Return the condition of a delete: absent is what it wants, also after a lost reply."""
    return AnyOf((KEY_IS_FREE, unchanged_condition(record)))


def _exists(paths: tuple[Path, ...] | list[Path]) -> Condition:
    """Return the condition that the item exists, with a map for the paths below `data`.

    Without it an UpdateItem would create the item; and one that sets a path in something else than
    a map is refused as invalid, not as a failed condition.
    """
    exists = Exists((table.RECORD_KEY,))
    if any(len(path) > 1 for path in paths):
        return AllOf((exists, IsMap((table.DATA,))))
    return exists


def _still(record: UserRecord, paths: list[Path]) -> list[Condition]:
    """Return the conditions that the paths have the forms that were read."""
    conditions: list[Condition] = []
    for path in paths:
        form = value_at(snapshot_of(record), path)
        conditions.append(Absent(path) if form is None else Equal(path, form))
    return conditions


# --- the top level of the item --------------------------------------------------------------------


_OURS = table.DECLARED - {table.TTL}


def _outer(item: Item) -> Item:
    """Return the top-level attributes that callers may change: `ttl` and the undeclared ones."""
    return {name: form for name, form in item.items() if name not in _OURS}


def _outer_now(record: UserRecord, *, js_safe: bool) -> Item:
    state = state_of(record)
    base = {} if state.base is None else _outer(state.base)
    ttl = base.pop(table.TTL, None)
    if state.extra_attributes is not None:
        base = _extras_now(state.extra_attributes, base, _encoding(state, js_safe))
    form = _ttl_form(record, ttl)
    return base if form is None else base | {table.TTL: form}


def _extras_now(extras: dict[str, Any], base: Item, encoding: codec.Encoding) -> Item:
    encoded: Item = {}
    convert_mapping(extras, "extra_attributes", prefix="")
    for name, value in extras.items():
        if name in table.DECLARED:
            raise InvalidRecordError(
                f"{name} is a declared attribute and cannot be among the extra attributes; set it"
                " on the record",
                path=name,
            )
        if name not in base:
            codec.check_name(name, name)
        encoded[name] = plain_element(value, name, encoding, base.get(name), 1)
    return encoded


def _ttl_form(record: UserRecord, stored: AttributeValue | None) -> AttributeValue | None:
    if not _ttl_differs(record):
        return stored
    value = record.attribute_values[table.TTL]
    return None if value is None else {"N": format_ttl(value)}


def _ttl_differs(record: UserRecord) -> bool:
    """Whether `ttl` was set to another value than its stored form reads as."""
    state = state_of(record)
    values = state.values
    if values is None or table.TTL not in values:
        return False
    value, stored = values[table.TTL], state.form(table.TTL)
    if stored is None:
        return value is not None
    return bool(value != type(record).ttl.read(stored))


# --- after a write --------------------------------------------------------------------------------


def attempt_of(record: UserRecord) -> PendingWrite | None:
    """Return the write of the record whose outcome is unknown, None if its key has changed."""
    attempt: PendingWrite | None = state_of(record).attempt
    return attempt if attempt is not None and attempt.write.key == key_of(record) else None


def applied(record: UserRecord, write: PendingWrite, item: Item | None) -> None:
    """Make a record its own snapshot after a put or an update; `item` is stored, if seen."""
    state_of(record).attempt = None
    if write.call is None or isinstance(write.write, PutItem):
        if write.after is not None:
            absorb(record, write.after if item is None else item, write.after)
    elif item is not None and is_stored(record):
        # PynamoDB's actions changed the stored item, not the record: its edits since the snapshot
        # are still to be written.
        absorb(record, item, snapshot_of(record))
    elif item is not None:
        restore(record, item)


def deleted(record: UserRecord) -> None:
    """Note that a record was deleted through itself; its values stay, and can be put anew."""
    state = state_of(record)
    state.deleted = state.stored
    state.attempt = None
    state.leaving = False
    state.outdated = ""


def absorb(record: UserRecord, item: Item, written: Item) -> None:
    """Make `item` the snapshot after a write; what was edited since stays edited.

    `written` is the item as it was encoded for the write. Between that and the reply the caller may
    edit the record, as a hook or another thread does: a field that differs from `written` keeps its
    value, as a further change. Every other field takes the stored value, which differs from
    `written` if an update left attributes of another writer in place.
    """
    state = state_of(record)
    if item is written or (item == written and _holds_as_stored(state)):
        state.keep_as_stored(item)  # the record has these very values, but for later edits
        return
    _start_over(record, item, _edits_since(state, written))


def _holds_as_stored(state: RecordState) -> bool:
    """Whether a record's values are what reading them from its own item would give.

    That is so where each value has one form only. A datetime is finer than its form, as the ttl is,
    and extras may be floats.
    """
    payload_class = state.payload_class
    return (
        payload_class is not None
        and type(state.payload) is payload_class
        and not codec.has_origins(payload_class)
        and state.extra_data is None
        and state.extra_attributes is None
        and table.TTL not in (state.values or ())
    )


def restore(record: UserRecord, item: Item) -> None:
    """Make `item` the snapshot, and give every value what is stored; edits are dropped."""
    _start_over(record, item, _Edits())


def replace_data(record: UserRecord, content: Item) -> None:
    """Make a checked map all of the record's `data`, as an edit that is still to be written.

    Raises CorruptItemError for a malformed record.
    """
    state = state_of(record)
    state.check_changeable()
    before = state.give_data(content)
    _read_again(state, before, frozenset(), frozenset())


@internal
class _Edits:
    """What differs from the written item: fields by wire name, names of extras, a new ttl."""

    data: frozenset[str] = frozenset()
    extra_data: frozenset[str] = frozenset()
    extra_attributes: frozenset[str] = frozenset()
    ttl: tuple[datetime | None, ...] = ()


def _edits_since(state: RecordState, written: Item) -> _Edits:
    """Return what the caller edited after `written` was encoded."""
    content = written[table.DATA]["M"]
    outer = _outer(written)
    ttl_then = state.record_class.ttl.read(outer.pop(table.TTL, None))
    ttl_now = state.attribute_values.get(table.TTL, ttl_then)
    return _Edits(
        data=_edited_payload(state.payload, content, state.origins),
        extra_data=codec.edited_names(
            state.extra_data, _undeclared_forms(state.payload_class, content)
        ),
        extra_attributes=codec.edited_names(state.extra_attributes, outer),
        ttl=() if ttl_now == ttl_then else (ttl_now,),
    )


def _edited_payload(payload: Any, content: Item, origins: codec.Origins) -> frozenset[str]:
    if payload is UNREAD:
        return frozenset()
    if isinstance(payload, dict):
        return codec.edited_names(payload, content)
    return codec.edited_fields(payload, content, origins)


def _undeclared_forms(payload_class: type | None, content: Item) -> Item:
    if payload_class is None:
        return {}
    return {name: content[name] for name in codec.undeclared_names(payload_class, content)}


def _start_over(record: UserRecord, item: Item, edited: _Edits) -> None:
    """Make `item` the snapshot, and keep the edits and the caller's own objects.

    The payload and the dicts of extras are updated in place: callers hold references to them.
    """
    state = state_of(record)
    before = state.start_over(item)
    if edited.ttl:
        state.attribute_values[table.TTL] = edited.ttl[0]
    if record.malformed:  # it can be deleted only, so that edits have no use
        return
    _read_again(state, before, edited.data, edited.extra_data)
    if before.extra_attributes is not None:
        _merge(before.extra_attributes, state.read_extra_attributes(), edited.extra_attributes)
        state.extra_attributes = before.extra_attributes


def _read_again(
    state: RecordState, before: RecordState, edited: frozenset[str], extras: frozenset[str]
) -> None:
    """Update the caller's payload and extras, of the state before, to what is now in the base."""
    if before.payload is not UNREAD:
        _refresh_payload(state, before, edited)
    if before.extra_data is not None:
        _merge(before.extra_data, state.read_extra_data(), extras)
        state.extra_data = before.extra_data


def _refresh_payload(state: RecordState, before: RecordState, edited: frozenset[str]) -> None:
    """Give the caller's payload, of the state before, the stored values, except edited fields.

    A converter or a default of the class's author may give another value at each reading: then
    the value that was read stays while its stored form is the same.
    """
    fresh, payload, content = state.get_payload(), before.payload, state.data_map() or {}
    state.payload = payload
    if isinstance(payload, dict):
        _merge(payload, fresh, edited)
        return
    keep = edited | codec.kept_as_read(payload, content, before.origins)
    for field in fields_of(type(fresh)):  # the payload may be of a class that derives from that
        value = getattr(fresh, field.name)
        if field.wire_name not in keep and not _alike(getattr(payload, field.name), value):
            object.__setattr__(payload, field.name, value)  # as read: converted once
    state.hold(payload)
    state.origins.learn(payload, content, edited)


def _merge(kept: dict[str, Any], fresh: dict[str, Any], edited: frozenset[str]) -> None:
    """Update a caller's dict to what is stored, in place, except the edited names."""
    for name in [name for name in kept if name not in fresh and name not in edited]:
        del kept[name]
    for name, value in fresh.items():
        if name not in edited and not _alike(kept.get(name, UNREAD), value):
            kept[name] = value


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are equal and stored alike: True equals 1 in Python, not in the table."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)
