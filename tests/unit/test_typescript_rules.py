"""The conformance tests themselves: each rule, once broken, is found and named."""

from __future__ import annotations

import sys
import uuid
from decimal import Decimal

import pytest
from conformance import Sides, check_record

from thrivecalc_models import DataStore, SavingsGoalData
from thrivecalc_models.codec import decode_payload, encode_data
from thrivecalc_models.payloads import fields_of
from thrivecalc_models.wire import format_timestamp, number_text, record_key


def slashes(data_type, record_id):
    return f"{data_type}/{record_id}"


def in_python_spelling(payload, *args, **options):
    names = {field.wire_name: field.name for field in fields_of(type(payload))}
    encoded = encode_data(payload, *args, **options)
    return {names.get(name, name): form for name, form in encoded.items()}


def from_python_spelling(payload_class, content, *args, **options):
    names = {field.name: field.wire_name for field in fields_of(payload_class)}
    renamed = {names.get(name, name): form for name, form in content.items()}
    return decode_payload(payload_class, renamed, *args, **options)


def with_an_offset(moment, *, path=None):
    return moment.isoformat(timespec="milliseconds")


def whatever_dynamodb_takes(value, *, path, js_safe=True):
    return number_text(value, path=path, js_safe=False)


def null_for_none(payload, *args, **options):
    nulls = {field.wire_name: {"NULL": True} for field in fields_of(type(payload))}
    return nulls | encode_data(payload, *args, **options)


# Each rule, and what is put in the place of what to break it.
BROKEN = {
    "key format": {record_key: slashes},
    "field spelling": {encode_data: in_python_spelling, decode_payload: from_python_spelling},
    "timestamp form": {format_timestamp: with_an_offset},
    "number rule": {number_text: whatever_dynamodb_takes},
    "NULL handling": {encode_data: null_for_none},
}
UNSAFE = Decimal("12345678901234567890.5")


@pytest.fixture
def replace(monkeypatch):
    """Put one function in the place of another wherever the library has imported it."""

    def replaced(function, other):
        for name, module in list(sys.modules.items()):
            if name.startswith("thrivecalc_models"):
                for attribute, value in list(vars(module).items()):
                    if value is function:
                        monkeypatch.setattr(module, attribute, other)

    return replaced


@pytest.fixture
def sides(engine, peer):
    with DataStore(endpoint=engine.endpoint, table_name=f"rules-{uuid.uuid4().hex}") as store:
        store.create_table()
        client = engine.client()
        yield Sides(peer, store, client)
        client.close()


@pytest.mark.parametrize("engine", ["dynoxide"], indirect=True)
@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_named(sides, replace, rule):
    """What is broken in the codec is found on TypeScript's side, under the name of its rule."""
    check_record(sides, sides.user().put(SavingsGoalData(name="x", target_amount=1)))
    for function, other in BROKEN[rule].items():
        replace(function, other)
    amount = UNSAFE if rule == "number rule" else 1
    record = sides.user().put(SavingsGoalData(name="x", target_amount=amount))
    with pytest.raises(AssertionError, match=f"^{rule}: "):
        check_record(sides, record)
