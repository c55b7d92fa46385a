"""Edits that callers give as mappings: updates without reading, and edits of a record."""

from __future__ import annotations

from typing import Any

import attrs

from thrivecalc_models import codec, table
from thrivecalc_models.codec import merging
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.operations import AllOf, Condition, Exists, IsMap, Key, UpdateItem
from thrivecalc_models.payloads import fields_of, is_payload
from thrivecalc_models.records import writing
from thrivecalc_models.records.model import UserRecord
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.wire import Item, check_item, describe, floor_ms, format_timestamp, split_key

_IS_STORED: Condition = Exists((table.RECORD_KEY,))


def replacement(scope: Scope, key: Key, data: Any) -> UpdateItem:
    """Return the update of a stored record that replaces `data` by a camelCase mapping.

    Raises InvalidRecordError for a mapping that does not fit the type's payload class.
    """
    sets = (((table.DATA,), {"M": read_data(scope, key, data)}), _stamp(scope))
    return UpdateItem(key=key, sets=sets, condition=_IS_STORED)


def read_data(scope: Scope, key: Key, data: Any) -> Item:
    """Check a camelCase mapping as the `data` under a key. Raises InvalidRecordError."""
    content = codec.check_mapping(_payload_class(key), data, js_safe=scope.session.js_safe_numbers)
    _check_size(key, content)
    return content


def field_update(scope: Scope, key: Key, payload: Any) -> UpdateItem:
    """Return the update that sets the declared fields of a payload and removes those of None.

    Raises InvalidRecordError for another payload class, and for too many fields for one update.
    """
    _check_class(key, payload)
    encoding = codec.encoding_of(scope.session.js_safe_numbers)
    content = codec.encode_data(payload, {}, None, codec.Origins(scope.user_id), encoding)
    _check_size(key, content)
    names = [field.wire_name for field in fields_of(type(payload))]
    sets = [((table.DATA, name), content[name]) for name in names if name in content]
    update = UpdateItem(
        key=key,
        sets=(*sets, _stamp(scope)),
        removes=tuple((table.DATA, name) for name in names if name not in content),
        condition=AllOf((_IS_STORED, IsMap((table.DATA,)))),
    )
    if not update.fits():
        raise InvalidRecordError(
            f"{describe(key.record_key)} has more fields than one update holds (4 KB of"
            " expression); give a mapping, which replaces all of data",
            path=table.DATA,
        )
    return update


def read_patch(scope: Scope, key: Key, given: Any) -> merging.MergePatch:
    """Check a JSON Merge Patch of the `data` under a key. Raises InvalidRecordError."""
    js_safe = scope.session.js_safe_numbers
    patch = merging.read_patch(_payload_class(key), given, js_safe=js_safe)
    _check_size(key, merging.apply_patch(patch, {}))
    return patch


def merge_update(scope: Scope, key: Key, patch: merging.MergePatch) -> UpdateItem | None:
    """Return the update that merges a patch where the maps that it enters are stored.

    DynamoDB refuses a path into a map that is absent. None if the record is to be read first: to
    check the whole result, to find out what a patch of nothing is for, or since the expression
    would be too long.
    """
    if patch.needs_whole or not (patch.sets or patch.removes):
        return None
    within = {path[:-1] for path in patch.maps if path}
    deepest = [path for path in patch.maps if path not in within]  # those above are maps, then
    update = UpdateItem(
        key=key,
        sets=(*(((table.DATA, *path), form) for path, form in patch.sets), _stamp(scope)),
        removes=tuple((table.DATA, *path) for path in patch.removes),
        condition=AllOf((_IS_STORED, *(IsMap((table.DATA, *path)) for path in deepest))),
    )
    return update if update.fits() else None


def merge(scope: Scope, record: UserRecord, patch: merging.MergePatch) -> None:
    """Merge a patch into the `data` of a record, as an edit that is still to be written.

    Raises InvalidRecordError if the result does not fit, CorruptItemError for a malformed record.
    """
    content = writing.data_map(record, js_safe=scope.session.js_safe_numbers)
    writing.replace_data(record, merging.merged(record.payload_class(), content, patch))


def locked_replacement(scope: Scope, record: UserRecord, data: Any) -> UpdateItem:
    """Return the update that replaces `data`, if stamp and `data` are as they were read."""
    update = replacement(scope, writing.key_of(record), data)
    stamp = writing.stamp_for(record, scope.session.write_time())
    return attrs.evolve(
        update,
        sets=(*update.sets[:-1], ((table.UPDATED_AT,), {"S": stamp})),
        condition=writing.unchanged_condition(record),
    )


def _check_class(key: Key, payload: Any) -> None:
    expected = _payload_class(key)
    if not is_payload(payload, table.DATA) or type(payload) is not expected:
        wanted = expected.__name__ if expected else "a mapping"
        raise InvalidRecordError(
            f"{describe(key.record_key)} takes {wanted}, not {type(payload).__name__}",
            path=table.DATA,
        )


def _check_size(key: Key, content: Item) -> None:
    """Raise ItemTooLargeError if key and `data` exceed 400 KB; the service checks the rest."""
    check_item(key.item() | {table.DATA: {"M": content}}, describe=describe(key.record_key))


def _stamp(scope: Scope) -> tuple[tuple[str], dict[str, str]]:
    return ((table.UPDATED_AT,), {"S": format_timestamp(floor_ms(scope.session.clock()))})


def _payload_class(key: Key) -> type | None:
    parts = split_key(key.record_key)
    record_class = UserRecord.data_type.class_of(parts[0]) if parts else None
    return None if record_class is None else record_class.payload_class()
