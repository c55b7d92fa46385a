"""`to_json` and `from_json`: records and payloads as JSON over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from thrivecalc_models.codec.json_data import (
    Unknown,
    item_to_json,
    payload_from_json,
    payload_to_json,
)
from thrivecalc_models.payloads import is_payload_class
from thrivecalc_models.records import writing
from thrivecalc_models.records.model import UserRecord
from thrivecalc_models.records.state import state_of
from thrivecalc_models.table import UPDATED_AT

P = TypeVar("P")


def to_json(record_or_payload: Any) -> dict[str, Any]:
    """Convert a record or a payload to what `JSON.stringify` gives of it in the web application.

    Names are in camelCase, numbers are ints, or floats that print as the same decimal, dates are
    text, sets are arrays, bytes are base64 text, and undeclared names are included. A record has
    its keys, stamps and ttl around its data, with the edits of it that were not written yet.

    Raises UnsafeNumberError, with the path, for a number that no float prints, CorruptItemError for
    a malformed record, and TypeError for anything else than a record or a payload.
    """
    if isinstance(record_or_payload, UserRecord):
        return _record_to_json(record_or_payload)
    if not is_payload_class(type(record_or_payload)):
        raise TypeError(
            f"to_json takes a record or a payload, not {type(record_or_payload).__name__}"
        )
    return payload_to_json(record_or_payload)


def _record_to_json(record: UserRecord) -> dict[str, Any]:
    state = state_of(record)
    state.refuse_malformed("shown as JSON")
    stored = state.snapshot() or {}
    if writing.is_unchanged(record):
        return item_to_json(stored)
    item = writing.item_now(record, js_safe=False)
    if UPDATED_AT in stored:
        item[UPDATED_AT] = stored[UPDATED_AT]
    return item_to_json(item)


def from_json(payload_class: type[P], mapping: Mapping[str, Any], unknown: Unknown = "error") -> P:
    """Make a payload of a JSON object in the table's spelling, as `json.loads` gives it.

    null and what is absent read as the default. A name that the class does not declare is an error,
    unless `unknown` is "ignore". Raises InvalidRecordError, whose `errors` has everything that is
    wrong by its path; paths begin with `data.`.
    """
    given = dict(mapping) if isinstance(mapping, Mapping) else mapping
    return payload_from_json(payload_class, given, unknown=unknown)
