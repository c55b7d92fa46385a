"""Write to a stored record without reading it: all of its data, or its declared fields."""

from __future__ import annotations

from typing import Any

import attrs

from thrivecalc_models import codec, table
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.operations import AllOf, Condition, Exists, IsMap, Key, UpdateItem
from thrivecalc_models.payloads import fields_of, is_payload
from thrivecalc_models.records.model import UserRecord
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.value import Value
from thrivecalc_models.wire import check_item, describe, floor_ms, format_timestamp, split_key

_IS_THERE: Condition = Exists((table.RECORD_KEY,))


@attrs.frozen(eq=False, repr=False)
class Edit(Value):
    """One update of a key, if there is a record under it."""

    key: Key
    update: UpdateItem


def replacement(scope: Scope, key: Key, data: Any) -> Edit:
    """All of `data` from a camelCase mapping, once it fits the type's payload class."""
    content = codec.check_mapping(_payload_class(key), data, js_safe=scope.session.js_safe_numbers)
    check_item(key.item() | {table.DATA: {"M": content}}, describe=describe(key.record_key))
    stamp = _stamp(scope)
    sets = (((table.DATA,), {"M": content}), stamp)
    return Edit(key, UpdateItem(key=key, sets=sets, condition=_IS_THERE))


def field_update(scope: Scope, key: Key, payload: Any) -> Edit:
    """The declared fields of a payload; None removes one."""
    expected = _payload_class(key)
    if not is_payload(payload, table.DATA) or type(payload) is not expected:
        wanted = expected.__name__ if expected else "a mapping"
        raise InvalidRecordError(
            f"{describe(key.record_key)} takes {wanted}, not {type(payload).__name__}",
            path=table.DATA,
        )
    content = codec.encode_data(
        payload,
        {},
        None,
        codec.Origins(scope.user_id),
        codec.encoding_of(scope.session.js_safe_numbers),
    )
    check_item(key.item() | {table.DATA: {"M": content}}, describe=describe(key.record_key))
    names = [field.wire_name for field in fields_of(type(payload))]
    update = UpdateItem(
        key=key,
        sets=(
            *(((table.DATA, name), content[name]) for name in names if name in content),
            _stamp(scope),
        ),
        removes=tuple((table.DATA, name) for name in names if name not in content),
        condition=AllOf((_IS_THERE, IsMap((table.DATA,)))),
    )
    if not update.fits():
        raise InvalidRecordError(
            f"{describe(key.record_key)} has more fields than one update holds (4 KB of"
            " expression); give a mapping, which replaces all of data",
            path=table.DATA,
        )
    return Edit(key, update)


def _stamp(scope: Scope) -> tuple[tuple[str], dict[str, str]]:
    return ((table.UPDATED_AT,), {"S": format_timestamp(floor_ms(scope.session.clock()))})


def _payload_class(key: Key) -> type | None:
    parts = split_key(key.record_key)
    record_class = UserRecord.data_type.class_of(parts[0]) if parts else None
    return None if record_class is None else record_class.payload_class()
