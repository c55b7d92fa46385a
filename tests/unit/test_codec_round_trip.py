"""What is written is read back: payloads of every kind, and every number in them."""

from __future__ import annotations

import decimal
from datetime import date
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_types import NEW_TYPES, Branch, EverythingData, HouseholdData, Person

from thrivecalc_models import (
    Budget,
    BudgetData,
    PayloadAttribute,
    SavingsGoal,
    SavingsGoalData,
    UserRecord,
    payload,
)
from thrivecalc_models.codec import Origins, Unfit, decode_payload, encode_data
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own
from thrivecalc_models.wire import same_value


def numbers_in(value):
    """The texts of all numbers in DynamoDB's JSON."""
    if isinstance(value, list):
        return [text for each in value for text in numbers_in(each)]
    if not isinstance(value, dict):
        return []
    if value.keys() == {"N"} and isinstance(value["N"], str):
        return [value["N"]]
    if value.keys() == {"NS"} and isinstance(value["NS"], list):
        return value["NS"]
    return [text for each in value.values() for text in numbers_in(each)]


def encoded(payload):
    return encode_data(payload, {}, None, Origins())


@given(
    st.one_of(
        own.any_payload(),
        own.payloads(EverythingData),
        own.payloads(HouseholdData),
        own.payloads(Branch),
    )
)
def test_decode_undoes_encode(payload):
    """Every payload of every class is read back equal to what was written."""
    assert decode_payload(type(payload), encoded(payload), Origins()) == payload


@given(own.any_payload())
def test_a_stored_payload_is_read_back(payload):
    """A payload that was added is what another reader finds, without a problem."""
    table = SimulatedTable()
    user = simulated_store(table).user("u")
    added = user.add(payload)
    found = user.get(type(added), added.record_id)
    assert found.data == payload
    assert found.problems == []
    assert found.extra_data == {}


@given(own.any_payload())
def test_javascript_can_read_every_number(payload):
    """Every number that is written is the same number to JavaScript."""
    for text in numbers_in(encoded(payload)):
        assert abs(Decimal(text)) <= 2**53 - 1
        assert Decimal(repr(float(text))) == Decimal(text)


@given(own.amounts())
def test_amounts_come_back_exactly(amount):
    """An amount is read back as the number that was given, as Decimal."""
    goal = SavingsGoalData(name="", target_amount=amount)
    again = decode_payload(SavingsGoalData, encoded(goal), Origins())
    assert isinstance(again.target_amount, Decimal)
    assert again.target_amount == amount


@given(st.floats(-(2**53 - 1), 2**53 - 1).filter(lambda f: f == 0 or abs(f) > 1e-130))
def test_floats_count_by_their_shortest_repr(number):
    """A float is stored as JavaScript would write it: 0.1 is 0.1."""
    goal = SavingsGoalData(name="", target_amount=number)
    assert goal.target_amount == Decimal(repr(number))
    assert float(encoded(goal)["targetAmount"]["N"]) == number


@given(own.stored_numbers())
def test_38_digits_are_exact_where_javascript_does_not_matter(number):
    """With js_safe_numbers=False a store writes and reads 38 digits."""
    table = SimulatedTable()
    user = simulated_store(table, js_safe_numbers=False).user("u")
    goal = user.add(SavingsGoalData(name="", target_amount=number))
    assert user.get(SavingsGoal, goal.record_id).data.target_amount == number


@given(own.stored_values())
def test_any_stored_value_is_read_and_written_back(value):
    """Plain Python stands for every value of DynamoDB, and gives it back."""
    table = SimulatedTable()
    user = simulated_store(table, js_safe_numbers=False).user("u")
    made = user.add(("x-note", {"given": plain(value)}), record_id="1")
    assert same_value(made.item["data"]["M"]["given"], value)
    assert user.get("x-note", "1").data == {"given": plain(value)}


def plain(value):
    """DynamoDB's JSON as plain Python: written again here, as a check of the library's."""
    from base64 import b64decode

    ((tag, content),) = value.items()
    return {
        "S": lambda: content,
        "BOOL": lambda: content,
        "NULL": lambda: None,
        "N": lambda: Decimal(content),
        "B": lambda: b64decode(content),
        "L": lambda: [plain(each) for each in content],
        "M": lambda: {name: plain(each) for name, each in content.items()},
        "SS": lambda: set(content),
        "NS": lambda: {Decimal(each) for each in content},
        "BS": lambda: {b64decode(each) for each in content},
    }[tag]()


# --- spelling -------------------------------------------------------------------------------------


def test_the_six_types_are_spelled_as_typescript_has_them():
    """snake_case here is camelCase there; absent fields stay absent, defaults are written."""
    goal = SavingsGoalData(name="x", target_amount="20000.50", target_date="2025-1-7")
    assert encoded(goal) == {
        "name": {"S": "x"},
        "targetAmount": {"N": "20000.5"},
        "currentAmount": {"N": "0"},
        "targetDate": {"S": "2025-01-07"},
    }
    assert encoded(BudgetData(name="b", period="monthly", limits={"food": 1})) == {
        "name": {"S": "b"},
        "period": {"S": "monthly"},
        "limits": {"M": {"food": {"N": "1"}}},
    }


@pytest.mark.parametrize(
    ("name", "spelled"),
    [("a", "a"), ("target_amount", "targetAmount"), ("line_2_text", "line2Text"), ("aB", "aB")],
)
def test_names_in_the_table(name, spelled):
    """Words are joined, each after the first with a capital."""
    made = payload(type("Named", (), {"__annotations__": {name: str}}))
    assert list(encoded(made(**{name: "x"}))) == [spelled]


# --- details that the laws rest on ----------------------------------------------------------------


def test_none_in_a_required_any_field_is_a_value():
    """An `Any` field without a default holds None like any other value."""

    @payload
    class Loose:
        anything: Any

    assert decode_payload(Loose, encoded(Loose(anything=None)), Origins()).anything is None


def test_an_empty_set_that_is_the_default_is_absent():
    """DynamoDB has no empty sets, so the default of a set is stored by its absence."""

    @payload
    class Tagged:
        tags: set[str] = attrs.field(factory=set)

    assert encoded(Tagged()) == {}
    assert decode_payload(Tagged, {}, Origins()) == Tagged()


def test_decoding_never_shares_defaults():
    """Two payloads read with a default never share a list: no data goes from user to user."""

    @payload
    class Shared:
        plain: list[str] = []  # noqa: RUF012
        made: list[str] = attrs.field(factory=list)
        person: Person = Person(name="nobody")

    one, other = decode_payload(Shared, {}, Origins()), decode_payload(Shared, {}, Origins())
    for first, second in ((one, other), (Shared(), Shared()), (Shared(), one)):
        assert first == second
        assert first.plain is not second.plain
        assert first.made is not second.made
        assert first.person is not second.person


def test_a_hostile_decimal_context_changes_nothing():
    """Precision and traps that a program sets for its own sums do not touch what is stored."""
    amount = Decimal("1234567890123.45")
    with decimal.localcontext(decimal.Context(prec=3, traps=[decimal.Inexact])):
        content = encoded(SavingsGoalData(name="", target_amount=amount))
        again = decode_payload(SavingsGoalData, content, Origins())
    assert content["targetAmount"] == {"N": "1234567890123.45"}
    assert again.target_amount == amount


def test_deeply_nested_payloads_take_no_time():
    """Noticing a change deep in a nested payload costs by its size, not by a power of its depth."""

    @payload
    class TreeData:
        root: Branch

    class Tree(UserRecord, discriminator=next(NEW_TYPES)):
        data: PayloadAttribute[TreeData] = PayloadAttribute(TreeData)

    leaf = branch = Branch(label="0")
    for _ in range(28):
        branch = Branch(label="x", trunk=branch)
    table = SimulatedTable()
    user = simulated_store(table).user("u")
    key = user.add(TreeData(root=branch)).record_id
    tree = user.get(Tree, key)
    assert user.update(tree) is tree
    assert table.sent("UpdateItem") == 0
    leaf = tree.data.root
    while leaf.trunk is not None:
        leaf = leaf.trunk
    leaf.weight = 5
    user.update(tree)
    assert user.get(Tree, key).data == tree.data


def test_dates_are_read_as_written():
    """One-digit months and days, and date-times, read as the date that is written there."""
    for text in ["2025-01-07", "2025-1-7", "2025-01-07T23:30:00.000-05:00", "2025-01-07 12:30"]:
        stored = {"name": {"S": ""}, "targetAmount": {"N": "1"}, "targetDate": {"S": text}}
        read = decode_payload(SavingsGoalData, stored, Origins())
        assert read.target_date == date(2025, 1, 7)


def test_conditions_take_decimals_on_stored_paths():
    """`SavingsGoal.data["currentAmount"] > 5` is a condition on the path in the table."""
    assert "data" in str(SavingsGoal.data["currentAmount"] > Decimal("5.50"))
    assert "limits" in str(Budget.data["limits"]["food"] == 5)


@pytest.mark.parametrize("number", ["٣", "1_000", "NaN", "abc", "1e999999"])
def test_a_number_that_is_none_in_a_nested_rest_is_found(number):
    """A number that is none is named by its path where a nested payload does not declare it."""
    content = encoded(HouseholdData(people=[Person(name="a")]))
    content["people"]["L"][0]["M"]["more"] = {"L": [{"N": number}]}
    with pytest.raises(Unfit) as caught:
        decode_payload(HouseholdData, content, Origins())
    assert caught.value.path == "data.people[0].more[0]"
