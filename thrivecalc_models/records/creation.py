"""Create records from what callers give: payloads, records, or a type with a mapping."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from thrivecalc_models import codec, table
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import is_payload
from thrivecalc_models.records.model import DATA_TYPES, UnknownRecord, UserRecord
from thrivecalc_models.records.scope import RecordId, Scope, type_text
from thrivecalc_models.records.state import AttributeValues, RecordState, give_state, state_of
from thrivecalc_models.wire import check_record_id, later, record_key


def make(
    scope: Scope,
    given: Any,
    data: Any = None,
    *,
    record_id: RecordId | None = None,
    ttl: datetime | timedelta | None = None,
) -> UserRecord:
    """Make the record of a payload or of a type with a camelCase mapping; take over a record.

    Raises InvalidRecordError, InvalidKeyError, and IsolationError for another user's record.
    """
    if isinstance(given, UserRecord):
        if data is not None or record_id is not None:
            raise TypeError("a record has its own data and record id; give no others")
        if not given.user_id:
            given.user_id = scope.user_id
        _check_not_extended(type(given))
        scope.check_owner(given)
        record = given
    else:
        generated = record_id is None
        record = _new(scope, given, data, scope.session.new_id() if generated else record_id)
        state_of(record).has_fresh_id = generated
    if isinstance(ttl, timedelta):
        ttl = later(scope.session.clock(), ttl, path=table.TTL)
    if ttl is not None:
        record.ttl = ttl
    state = state_of(record)
    state.belong_to(state.session or scope.session, scope.user_id)
    return record


def _new(scope: Scope, given: Any, data: Any, record_id: Any) -> UserRecord:
    if data is None:
        if is_payload(given, table.DATA):
            return _of_payload(_class_of_payload(type(given)), scope.user_id, record_id, given)
        if isinstance(given, tuple) and len(given) == 2:
            given, data = given
    if data is None:
        raise InvalidRecordError(
            "give a payload, a record, or a type and a mapping in the table's spelling, not"
            f" {type(given).__name__}",
            path=table.DATA,
        )
    return _of_type(scope, type_text(given), data, record_id)


def _of_type(scope: Scope, data_type: str, data: Any, record_id: Any) -> UserRecord:
    record_class = UserRecord.data_type.class_of(data_type)
    if record_class is None:
        record: UserRecord = UnknownRecord(scope.user_id, data_type=data_type, record_id=record_id)
    else:
        record = record_class(scope.user_id, record_id=record_id)
    if is_payload(data, table.DATA):
        record.data = data
    else:
        content = codec.check_mapping(
            record.payload_class(), data, js_safe=scope.session.js_safe_numbers
        )
        state_of(record).base = {table.DATA: {"M": content}}
    return record


def _of_payload(
    record_class: type[UserRecord], user_id: str, record_id: str, payload: Any
) -> UserRecord:
    """Make a record of a checked user id and of a payload of exactly this class."""
    if record_class.__init__ is not UserRecord.__init__:
        return record_class(user_id, record_id=record_id, data=payload)
    data_type = record_class.own_data_type() or ""
    text = check_record_id(record_id, data_type)
    state = RecordState(record_class, record_key(data_type, text))
    state.values = AttributeValues({table.USER_ID: user_id, table.RECORD_ID: text})
    state.payload = state.own(payload)
    record = record_class.__new__(record_class)
    give_state(record, state)
    return record


def _check_not_extended(record_class: type[UserRecord]) -> None:
    own = DATA_TYPES.extension_of(record_class)
    if own is not None:
        raise InvalidRecordError(
            f"{own.__name__} takes the place of {record_class.__name__} in this process; make a"
            f" {own.__name__}",
            path=table.DATA_TYPE,
        )


def _class_of_payload(payload_class: type) -> type[UserRecord]:
    own = DATA_TYPES.extension_with(payload_class)
    if own is not None:
        data_class: Any = own.payload_class()
        raise InvalidRecordError(
            f"{own.__name__} takes the place of the class with {payload_class.__name__} in this"
            f" process; give a {data_class.__name__}",
            path=table.DATA,
        )
    classes = DATA_TYPES.classes_of_payload(payload_class)
    if len(classes) != 1:
        found = "no record class has" if not classes else "several record classes have"
        raise InvalidRecordError(
            f"{found} the payload {payload_class.__name__}; give the type, too", path=table.DATA
        )
    return classes[0]
