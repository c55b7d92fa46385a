"""Python and TypeScript on one table, and the rules that neither may break.

What JavaScript should see of a Python value is said here once more, by other means than the
codec's: a change there is found here. Every complaint begins with the name of its rule:

    key format        dataType#recordId, split at the first #
    field spelling    snake_case in Python, camelCase in the table
    timestamp form    what toISOString() prints
    number rule       what Number(text) keeps, and nothing else
    NULL handling     null is NULL, undefined is absent, None of an optional field is absent
    JSON              JSON.stringify gives what to_json gives
    value             anything else that is not the same on both sides
"""

from __future__ import annotations

import enum
import json
import re
import uuid
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import attrs
from peer import UNDEFINED, Peer, TypeScriptError

from thrivecalc_models import DataStore, UserData, UserRecord, to_json
from thrivecalc_models.wire import AttributeValue, Item, with_bytes, with_text

ISO_STRING = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@attrs.frozen
class Sides:
    """One table with both sides on it, and a low-level client for what is really stored."""

    peer: Peer
    store: DataStore
    client: Any

    def user(self) -> UserData:
        """A user without records."""
        return self.store.user(f"google-oauth2|{uuid.uuid4().int}")

    def typescript(self, call: str, *args: Any) -> Any:
        return self.peer.on_table(call, *args, at=self.settings)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "tableName": self.store.table_name,
            "region": self.store.region,
            "endpoint": str(self.store.endpoint),
        }

    def stored(self, user_id: str, record_key: str) -> Item:
        key = {"userId": {"S": user_id}, "recordKey": {"S": record_key}}
        reply = self.client.get_item(TableName=self.store.table_name, Key=key, ConsistentRead=True)
        item: Item = with_text(reply["Item"])
        return item

    def leave(self, item: Item) -> None:
        """Store an item as another program might."""
        self.client.put_item(TableName=self.store.table_name, Item=with_bytes(item))

    def check_json(self, record: UserRecord, shown: Any) -> None:
        """JSON.stringify gives what `to_json` gives; sets and bytes it cannot say."""
        item = {"M": self.stored(record.user_id, record.record_key)}
        found = [*_json_differences(item, shown, to_json(record), "record")]
        assert not found, f"JSON: {found[0]}"

    def as_typescript_sees(self, record: UserRecord) -> dict[str, Any]:
        """The record as `getUserData` gives it, also put through JSON.stringify.

        Raises AssertionError, by rule, where TypeScript cannot find it or read it.
        """
        key = (record.user_id, record.data_type, record.record_id)
        try:
            seen = self.typescript("getUserData", *key)
            shown = self.typescript("stringify", *key)
        except TypeScriptError as error:
            raise AssertionError(f"number rule: TypeScript cannot read it: {error}") from error
        if seen is None:
            listed = self.typescript("listAllUserData", record.user_id)
            keys = [each.get("recordKey") for each in listed]
            wanted = f"{record.data_type}#{record.record_id}"
            raise AssertionError(f"key format: nothing is under {wanted!r}, there is {keys}")
        self.check_json(record, json.loads(shown))
        assert isinstance(seen, dict)
        return seen


def _json_differences(form: AttributeValue, shown: Any, ours: Any, path: str) -> Iterator[str]:
    ((tag, content),) = form.items()
    if tag == "M":
        if shown.keys() != ours.keys():
            yield f"{path} has other names"
            return
        for name, inner in content.items():
            yield from _json_differences(inner, shown[name], ours[name], f"{path}.{name}")
    elif tag == "L":
        for n, inner in enumerate(content):
            yield from _json_differences(inner, shown[n], ours[n], f"{path}[{n}]")
    elif tag not in ("B", "SS", "NS", "BS") and (
        shown != ours or isinstance(shown, bool) is not isinstance(ours, bool)
    ):
        yield f"{path} is {ours!r}, not {shown!r}"


def check_record(sides: Sides, record: UserRecord) -> None:
    """TypeScript sees of this record what Python has. Raises AssertionError by rule."""
    seen = sides.as_typescript_sees(record)
    assert_same(envelope(record), seen)


def assert_same(expected: Any, seen: Any) -> None:
    found = differences(expected, seen)
    assert not found, "\n".join(found)


# --- what JavaScript should see -------------------------------------------------------------------


def envelope(record: UserRecord) -> dict[str, Any]:
    """A record as JavaScript should see it."""
    whole = {
        "userId": record.user_id,
        "recordKey": f"{record.data_type}#{record.record_id}",
        "dataType": record.data_type,
        "recordId": record.record_id,
        "data": data(record),
        "createdAt": iso_string(record.created_at),
        "updatedAt": iso_string(record.updated_at),
        **record.extra_attributes,
    }
    if record.ttl is not None:
        whole["ttl"] = Decimal(int(record.ttl.timestamp()))
    return whole


def data(record: UserRecord) -> dict[str, Any]:
    if isinstance(record.data, dict):
        return record.data
    return of_payload(record.data) | record.extra_data


OF_LEGACY = {"amount": "amt", "label": "Label Text", "parts": "p's"}
OTHER_NAMES = {
    "LegacyPartData": OF_LEGACY,
    "LegacyData": OF_LEGACY,
    "LaterData": OF_LEGACY,
    "PolicyData": {"short": "s"},
}
"""Names in the table that classes of the tests give with `stored_as`."""


def of_payload(payload: Any) -> dict[str, Any]:
    values = {field.name: getattr(payload, field.name) for field in attrs.fields(type(payload))}
    others = OTHER_NAMES.get(type(payload).__name__, {})
    return {
        others.get(name) or camel_case(name): of_value(value)
        for name, value in values.items()
        if value is not None and value != set()
    }


def camel_case(name: str) -> str:
    return re.sub("_([a-z])", lambda match: match[1].upper(), name)


def of_value(value: Any) -> Any:
    match value:
        case enum.Enum():
            return value.value
        case datetime():
            return iso_string(value)
        case date():
            return f"{value.year:04}-{value.month:02}-{value.day:02}"
        case time() | uuid.UUID():
            return str(value)
        case timedelta():
            return iso_duration(value)
        case float():
            return Decimal(repr(value))
        case list() | tuple():
            return [of_value(inner) for inner in value]
        case dict():
            return {name: of_value(inner) for name, inner in value.items()}
        case None | bool() | str() | bytes() | set() | int() | Decimal():
            return value
    return of_payload(value)


def iso_duration(length: timedelta) -> str:
    """Days, hours, minutes and seconds, each that is not 0, of which the last may have a point."""
    left = abs(length) // timedelta(microseconds=1)
    parts = [f"{'-' if length < timedelta() else ''}P"]
    for word, unit in ("D", 86400), ("H", 3600), ("M", 60), ("S", 1):
        count, left = divmod(left, unit * 10**6)
        if word == "S" and left:
            parts.append(f"{count}.{left:06}".rstrip("0") + "S")
        elif count:
            parts.append(f"{count}{word}")
        if word == "D":
            parts.append("T")
    text = "".join(parts).removesuffix("T")
    return "PT0S" if text == "P" else text


def iso_string(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    assert moment.utcoffset().total_seconds() == 0
    return (
        f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:{moment.minute:02}:"
        f"{moment.second:02}.{moment.microsecond // 1000:03}Z"
    )


# --- what is not the same -------------------------------------------------------------------------


def differences(expected: Any, seen: Any, path: str = "record") -> list[str]:
    """Where two values of JavaScript differ, each by the rule that it breaks."""
    if is_number(expected) and is_number(seen):
        return [] if expected == seen else [f"number rule: {path} should be {expected}, is {seen}"]
    if type(expected) is not type(seen):
        rule = "NULL handling" if None in (expected, seen) else "value"
        if is_number(expected) or is_number(seen):
            rule = "number rule"
        return [f"{rule}: {path} should be {expected!r}, is {seen!r}"]
    if isinstance(expected, dict):
        return differences_of_maps(expected, seen, path)
    if isinstance(expected, list) and len(expected) == len(seen):
        pairs = zip(expected, seen, strict=True)
        return [
            found
            for index, (one, other) in enumerate(pairs)
            for found in differences(one, other, f"{path}[{index}]")
        ]
    if expected == seen:
        return []
    return [f"{rule_of_text(expected, path)}: {path} should be {expected!r}, is {seen!r}"]


def is_null(value: Any) -> bool:
    """null, as a value and in DynamoDB's JSON."""
    return value is None or value == {"NULL": True}


def is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def rule_of_text(expected: Any, path: str) -> str:
    if path in ("record.recordKey", "record.recordKey.S"):
        return "key format"
    if path.endswith(".N"):
        return "number rule"
    return "timestamp form" if ISO_STRING.fullmatch(str(expected)) else "value"


def differences_of_maps(expected: dict[str, Any], seen: dict[str, Any], path: str) -> list[str]:
    expected = without_undefined(expected)
    found = []
    for name in expected.keys() - seen.keys():
        if is_null(expected[name]):
            found.append(f"NULL handling: {path}.{name} should be null, is absent")
        else:
            others = sorted(seen.keys() - expected.keys())
            found.append(f"field spelling: {path}.{name} is absent; there is {others}")
    for name in seen.keys() - expected.keys():
        if is_null(seen[name]):
            found.append(f"NULL handling: {path}.{name} should be absent, is null")
        else:
            found.append(f"field spelling: nothing should be called {path}.{name}")
    for name in sorted(expected.keys() & seen.keys()):
        found += differences(expected[name], seen[name], f"{path}.{name}")
    return sorted(found, key=lambda each: each.startswith("value"))


def without_undefined(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value is not UNDEFINED}
