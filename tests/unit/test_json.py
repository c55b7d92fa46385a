"""JSON over HTTP: what `to_json` gives, `from_json` reads back, and every fault has its path."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import own_types  # whose classes are drawn
import pytest
from hypothesis import HealthCheck, given, settings
from places import DATA
from printed import RECORDS

from thrivecalc_models import (
    BudgetData,
    InvalidRecordError,
    ProfileData,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UnsafeNumberError,
    UserRecord,
    from_json,
    read_item,
    to_json,
)
from thrivecalc_models.errors import CorruptItemError
from thrivecalc_models.payloads import fields_of, kinds
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own

some = settings(suppress_health_check=list(HealthCheck), deadline=None)
ODD = [json.loads(line)["Item"] for line in (DATA / "odd-items.jsonl").read_text().splitlines()]
GOAL = next(item for item in RECORDS if item["dataType"]["S"] == "savings-goal")


def untold(kind: Any, value: Any) -> bool:
    """Whether a value of `Any` holds bytes or a set, of which JSON does not tell the type."""
    match kind:
        case kinds.Optional(inner):
            return untold(inner, value)
        case kinds.ListOf(inner) | kinds.DictOf(inner) if value is not None:
            return any(untold(inner, each) for each in _members(value))
        case kinds.Nested(payload_class) if value is not None:
            return any(
                untold(each.kind, getattr(value, each.name)) for each in fields_of(payload_class)
            )
        case kinds.Anything():
            return isinstance(value, bytes | set) or any(
                untold(kind, one) for one in _members(value)
            )
    return False


def _members(value: Any) -> list[Any]:
    return list(
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    )


@some
@given(own.any_payload())
def test_a_payload_comes_back(drawn):
    """Every payload is read back from its JSON as it was, through JSON text too."""
    try:
        found = to_json(drawn)
    except UnsafeNumberError:
        return  # of a number that JavaScript cannot hold
    again = from_json(type(drawn), json.loads(json.dumps(found, allow_nan=False)))
    assert again == drawn or untold(kinds.Nested(type(drawn)), drawn)


def test_a_goal_is_as_the_web_application_has_it():
    """Names are the table's, amounts are numbers, days are text, and what is None is absent."""
    goal = SavingsGoalData(name="Fund", target_amount="20000", current_amount="0.10")
    assert to_json(goal) == {"name": "Fund", "targetAmount": 20000, "currentAmount": 0.1}
    day = TransactionData(date="2025-01-07", amount=-500)
    assert to_json(day)["date"] == "2025-01-07"


def test_numbers_print_as_the_same_decimal():
    """A whole number is an int, another one the float that prints as it is stored."""
    assert (
        json.dumps(to_json(SavingsGoalData(name="", target_amount="1E+2"))["targetAmount"]) == "100"
    )
    shown = to_json(SavingsGoalData(name="", target_amount=Decimal("0.30")))["targetAmount"]
    assert repr(shown) == "0.3"


@pytest.mark.parametrize("amount", ["9007199254740993", "0.1234567890123456789", "1E+125"])
def test_a_number_that_no_float_prints_is_refused(amount):
    """A number that JavaScript would show as another one is refused, with its path."""
    item = GOAL | {"data": {"M": GOAL["data"]["M"] | {"targetAmount": {"N": amount}}}}
    if amount == "1E+125":
        assert to_json(read_item(item))["data"]["targetAmount"] == 10**125
        return
    with pytest.raises(UnsafeNumberError) as caught:
        to_json(read_item(item))
    assert caught.value.path == "data.targetAmount"
    assert amount not in str(caught.value)


# --- records --------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", RECORDS[::5], ids=lambda item: item["recordKey"]["S"])
def test_a_record_has_its_envelope(item):
    """A record has keys, type, stamps and data, under the table's names."""
    shown = to_json(read_item(item))
    assert shown.keys() == item.keys()
    assert shown["recordKey"] == item["recordKey"]["S"]
    assert shown["createdAt"] == item["createdAt"]["S"]
    assert shown["data"].keys() == item["data"]["M"].keys()


def test_a_record_shows_its_edits_and_what_is_undeclared():
    """An edit is shown before it is written, beside undeclared names and the stored stamp."""
    item = GOAL | {
        "data": {"M": GOAL["data"]["M"] | {"colour": {"S": "red"}, "gone": {"NULL": True}}},
        "source": {"S": "import"},
    }
    record = read_item(item)
    record.data.name = "Other"
    record.extra_data["colour"] = "blue"
    shown = to_json(record)
    assert (shown["data"]["name"], shown["data"]["colour"]) == ("Other", "blue")
    assert shown["data"]["gone"] is None
    assert shown["source"] == "import"
    assert shown["updatedAt"] == item["updatedAt"]["S"]


def test_a_listed_record_is_shown_from_its_bytes():
    """What a store reads is shown as what `read_item` makes of the same item."""
    table = SimulatedTable()
    table.put(GOAL)
    (record,) = simulated_store(table).user(GOAL["userId"]["S"]).list(SavingsGoal)
    assert to_json(record) == to_json(read_item(GOAL))
    record.data.current_amount += 1
    assert to_json(record)["data"]["currentAmount"] == to_json(record.data)["currentAmount"]


def test_a_new_record_has_no_stamps():
    """A record that was never stored has its keys and its data."""
    shown = to_json(SavingsGoal("u", record_id="g", data=SavingsGoalData(name="", target_amount=1)))
    assert shown == {
        "userId": "u",
        "recordKey": "savings-goal#g",
        "dataType": "savings-goal",
        "recordId": "g",
        "data": {"name": "", "targetAmount": 1, "currentAmount": 0},
    }


@pytest.mark.parametrize("item", ODD, ids=lambda item: item["recordId"].get("S", "?"))
def test_odd_items_are_shown_or_refused(item):
    """A malformed record is refused; any other odd one is shown, and JSON takes it."""
    record = UserRecord.from_item(item)
    if record.malformed:
        with pytest.raises(CorruptItemError):
            to_json(record)
        return
    with suppress(UnsafeNumberError):
        assert json.loads(json.dumps(to_json(record), allow_nan=False))["userId"] == record.user_id


def test_other_things_are_refused():
    """What is neither a record nor a payload is a TypeError."""
    with pytest.raises(TypeError, match="takes a record or a payload"):
        to_json({"name": "x"})
    with pytest.raises(TypeError, match="takes a payload class"):
        from_json(dict, {})


# --- reading --------------------------------------------------------------------------------------


def refused(payload_class: type, mapping: Any, **options: Any) -> dict[str, str]:
    with pytest.raises(InvalidRecordError) as caught:
        from_json(payload_class, mapping, **options)
    return {path: str(error) for path, error in caught.value.errors.items()}


def test_all_wrong_fields_are_in_one_error():
    """Every fault has its path, in the table's spelling, and shows no value."""
    found = refused(
        SavingsGoalData,
        {"name": 5, "targetAmount": "12", "targetDate": "soon", "monthlyContribution": [1]},
    )
    assert list(found) == [
        "data.name",
        "data.targetAmount",
        "data.targetDate",
        "data.monthlyContribution",
    ]
    assert "12" not in found["data.targetAmount"]


def test_what_is_required_is_asked_for():
    """A required field that is absent, or null, is an error of its own."""
    found = refused(SavingsGoalData, {"targetAmount": None})
    assert found["data.name"].startswith("data.name is missing, but required")
    assert found["data.targetAmount"].startswith("data.targetAmount is null, but required")


def test_null_reads_as_the_default():
    """null and what is absent read alike, as in the table."""
    goal = from_json(SavingsGoalData, {"name": "", "targetAmount": 1, "currentAmount": None})
    assert goal == SavingsGoalData(name="", target_amount=1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("target_amount", "spelt targetAmount"),
        ("targetAmmount", "is targetAmount meant?"),
        ("zzz", 'unknown="ignore"'),
    ],
)
def test_an_unknown_name_is_an_error(name, hint):
    """A name that the class does not declare is refused, with the one that is near."""
    mapping = {"name": "", "targetAmount": 1, name: 2}
    found = refused(SavingsGoalData, mapping)
    assert hint in found[f"data.{name}"]
    assert from_json(SavingsGoalData, mapping, unknown="ignore").target_amount == 1


def test_an_unknown_name_within_is_an_error_too():
    """The same holds for nested payloads, whose names have their path."""
    household = own_types.HouseholdData(people=[own_types.Person(name="a")])
    shown = to_json(household)
    shown["people"][0]["nmae"] = 1
    assert list(refused(own_types.HouseholdData, shown)) == ["data.people[0].nmae"]
    assert from_json(own_types.HouseholdData, shown, unknown="ignore") == household


@pytest.mark.parametrize(
    ("payload_class", "mapping", "path"),
    [
        (BudgetData, {"name": "", "period": "", "limits": {"food": "x"}}, "data.limits.food"),
        (TransactionData, {"date": "2025-01-07", "amount": 1, "tags": ["a", 1]}, "data.tags[1]"),
        (ProfileData, {"displayName": True}, "data.displayName"),
        (SavingsGoalData, [], "data"),
    ],
)
def test_a_fault_within_has_its_path(payload_class, mapping, path):
    """Members of objects and arrays are named by where they are."""
    assert path in refused(payload_class, mapping)


def test_another_word_for_unknown_is_refused():
    """`unknown` takes two words."""
    with pytest.raises(InvalidRecordError, match="'error' or 'ignore'"):
        from_json(SavingsGoalData, {}, unknown="drop")  # type: ignore[arg-type]
