"""Records in another process: they are pickled as items, and arrive without a store."""

from __future__ import annotations

from thrivecalc_models import table
from thrivecalc_models.errors import InvalidRecordError, IsolationError
from thrivecalc_models.records import writing
from thrivecalc_models.records.model import UserRecord
from thrivecalc_models.records.state import AttributeValues, key_values, state_of
from thrivecalc_models.wire import Item

Parts = tuple[Item | None, Item | None, bool]


def parts(record: UserRecord) -> Parts:
    """Return the stored item, the item with the edits, and whether it was read in part.

    The first is None for a record never stored, the second without edits or with unfit ones.
    """
    if record.item is None:
        return None, _edited(record) or _bare(record), False
    projected = state_of(record).projected
    if record.malformed or projected or writing.is_unchanged(record):
        return record.item, None, projected
    return record.item, _edited(record), False


def rebuild(stored: Item | None, now: Item | None, projected: bool) -> UserRecord:
    """Make the record of these parts."""
    if stored is None:
        record = UserRecord.from_item(now or {})
        state = state_of(record)
        keys = key_values(now or {}) | {table.DATA_TYPE: record.data_type}
        state.values = AttributeValues(keys | {table.CREATED_AT: record.created_at})
        state.stored = None
        return record
    record = UserRecord.from_item(stored, projected=projected)
    if now is not None:
        edited = UserRecord.from_item(now)
        record.data = edited.data
        state = state_of(record)
        state.extra_data = edited.extra_data
        state.extra_attributes = edited.extra_attributes
        record.attribute_values[table.TTL] = edited.ttl
    return record


def _edited(record: UserRecord) -> Item | None:
    try:
        return writing.item_now(record, js_safe=False)
    except (InvalidRecordError, IsolationError):
        return None


def _bare(record: UserRecord) -> Item:
    """Return the identity of a record whose content cannot be stored."""
    return {
        table.USER_ID: {"S": record.user_id},
        table.RECORD_KEY: {"S": record.record_key},
        table.DATA_TYPE: {"S": record.data_type},
        table.RECORD_ID: {"S": record.record_id},
    }
