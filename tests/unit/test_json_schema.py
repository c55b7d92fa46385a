"""The JSON Schema that the library prints takes what is in the table, and finds what is odd."""

from __future__ import annotations

import json
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from places import DATA
from printed import RECORDS, plain, printed, without_extras

from thrivecalc_models import json_schema, read_item
from thrivecalc_models.records import UserRecord
from thrivecalc_models.testing import strategies

ODD = [json.loads(line) for line in (DATA / "odd-items.jsonl").read_text().splitlines()]

some = settings(
    max_examples=max(50, settings.default.max_examples // 4),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)

# Where the schema finds each odd item wrong. m09, whose recordKey and recordId disagree, is beyond
# what a schema can compare.
WRONG_AT = {
    "m01": {""},
    "m02": {"/data"},
    "m03": {"/data"},
    "m04": {"/data"},
    "m05": {"/data"},
    "m06": {"/data/targetAmount"},
    "m07": {""},
    "m08": {"/recordKey", "/data"},
    "m09": set(),
    "m10": {"/recordKey"},
    "m11": set(),
    "m12": set(),
    "m13": {"/data/targetAmount"},
    "m14": set(),
    "m15": {"/ttl"},
    "m16": {"/ttl"},
    "m17": {"/ttl"},
    "m18": {"/createdAt", "/updatedAt"},
    "m19": {""},
    "m20": {"/data/targetDate"},
    "a#b": set(),
    "m22": set(),
}


def odd_id(case):
    return case["Item"].get("recordId", {}).get("S").replace("other", "m09")


@pytest.fixture(scope="module")
def schema():
    """As it is printed, whatever types other tests have defined in this process."""
    return json.loads(printed("json_schema", "--import", "own_types"))


@pytest.fixture(scope="module")
def python_says(schema):
    """Where `jsonschema` finds an instance wrong."""
    validator = jsonschema.Draft202012Validator
    check = validator(schema, format_checker=validator.FORMAT_CHECKER)

    def wrong_at(instance):
        return {
            "".join(f"/{part}" for part in error.absolute_path)
            for error in check.iter_errors(instance)
        }

    return wrong_at


def test_the_schema_is_one(schema):
    """What is printed is valid JSON Schema 2020-12, whose every reference leads somewhere."""
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    text = json.dumps(schema)
    for reference in text.split('"$ref": "')[1:]:
        assert reference.split('"')[0].removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize("as_it_is", [plain, without_extras])
def test_real_records_are_valid(python_says, as_it_is):
    """Every real record validates, with its extras and without."""
    assert len(RECORDS) == 331
    for item in RECORDS:
        assert python_says(as_it_is(item)) == set(), item["recordKey"]["S"]


@pytest.mark.parametrize("as_it_is", [plain, without_extras])
def test_real_records_are_valid_for_ajv(peer, schema, as_it_is):
    """Every real record validates in TypeScript, too."""
    found = peer.call("validate", schema, "", [as_it_is(item) for item in RECORDS])
    assert found == [[]] * 331


@pytest.mark.parametrize("case", ODD, ids=odd_id)
def test_odd_items_fail_where_they_should(python_says, case):
    """An odd item is found wrong exactly where it is odd."""
    assert python_says(plain(case["Item"])) == WRONG_AT[odd_id(case)], case["why"]


def test_odd_items_fail_for_ajv(peer, schema):
    """TypeScript finds the odd items wrong at the same places."""
    found = peer.call("validate", schema, "", [plain(case["Item"]) for case in ODD])
    for case, errors in zip(ODD, found, strict=True):
        places = {place for place, keyword in errors if keyword not in ("if", "anyOf")}
        assert places == WRONG_AT[odd_id(case)], case["why"]


@given(item=strategies.stored_items(odd=False))
@some
def test_whatever_python_writes_is_valid(python_says, item):
    """Any item as the library writes it validates, of a service's own types, too."""
    assert python_says(plain(item)) == set()


@given(item=strategies.odd_items())
@some
def test_payloads_that_do_not_fit_are_invalid(schema, python_says, item):
    """An item whose data does not fit its class is invalid, unless only JSON makes it fit."""
    record = read_item(item)
    assert record.malformed
    same_type = item.get("dataType", {}).get("S") == record.data_type
    described = type(record).__name__ in schema["$defs"]
    if same_type and described and is_told_apart_by_json(record):
        assert python_says(plain(item)) != set()


def is_told_apart_by_json(record):
    """JSON has one text for text, dates and bytes, and one array for lists and sets; and a schema
    cannot compare recordKey and recordId."""
    problem = record.problems[0]
    kept_apart = " but SS", " but NS", " but BS", " but B", " but L", " but S"
    return not problem.startswith("record") and not problem.endswith(kept_apart)


def test_a_field_is_what_its_class_says(schema):
    """Names, optionality, docs, defaults and formats are those of the payload class."""
    goal = schema["$defs"]["SavingsGoalData"]
    assert goal["description"] == "An amount to be saved, by a date."
    assert goal["required"] == ["name", "targetAmount"]
    date_or_null = {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
    assert goal["properties"]["targetDate"] == date_or_null
    assert goal["properties"]["currentAmount"]["default"] == 0
    assert goal["properties"]["targetAmount"]["type"] == "number"
    everything = schema["$defs"]["EverythingData"]["properties"]
    assert everything["moment"] == {"type": "string", "format": "date-time"}
    assert everything["whole"]["type"] == "integer"
    assert everything["colour"]["anyOf"][0] == {"type": "string", "enum": ["red", "dark blue"]}
    assert everything["colour"]["default"] == "red"
    assert everything["token"]["anyOf"][0]["format"] == "uuid"
    assert everything["people"]["anyOf"][0]["items"] == {"$ref": "#/$defs/Person"}


def test_numbers_are_those_of_javascript(python_says):
    """2^53 - 1 is the last valid number, on either side of zero."""
    for number, places in [(2**53 - 1, set()), (2**53, {"/data/targetAmount"})]:
        for sign in (1, -1):
            item = plain(RECORDS[1])
            item["data"]["targetAmount"] = Decimal(sign * number)
            assert python_says(item) == places


def test_the_command_prints_types_of_your_own(schema):
    """`--import` names a module whose types are described, too."""
    own = {"Household", "HouseholdData", "Person"}
    assert own | {"SavingsGoal", "SavingsGoalData"} <= set(schema["$defs"])
    assert own.isdisjoint(json.loads(printed("json_schema"))["$defs"])


def test_every_type_is_described():
    """Each registered type has a definition, and so has its payload."""
    defined = json_schema.document()["$defs"]
    for record_class in UserRecord.data_type.get_registered_subclasses(UserRecord):
        if record_class.own_data_type() is not None:
            assert record_class.__name__ in defined
            assert record_class.payload_class().__name__ in defined
