"""The strategies generate what they say, for the six types and for a service's own."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_types import NEW_TYPES, Branch, EverythingData, Household, HouseholdData

from thrivecalc_models import (
    Amount,
    BudgetData,
    PayloadAttribute,
    SavingsGoal,
    SavingsGoalData,
    UnknownRecord,
    UserRecord,
    payload,
    read_item,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own
from thrivecalc_models.wire import check_item

# Here the variety counts, not the number.
FEWER = settings(max_examples=min(100, settings.default.max_examples))


@FEWER
@given(own.any_payload())
def test_every_registered_type_has_payloads(payload):
    """A payload of any registered type can be stored as it is generated."""
    user = simulated_store(SimulatedTable()).user("u")
    assert user.add(payload).data is payload


@FEWER
@given(own.records())
def test_records_can_be_stored(record):
    """A generated record, with its extras, ttl and id, is accepted and read back the same."""
    table = SimulatedTable()
    user = simulated_store(table).user(record.user_id)
    user.add(record)
    again = user.get(type(record), record.record_id, include_expired=True)
    assert again.data == record.data
    assert again.extra_data == record.extra_data
    assert again.extra_attributes == record.extra_attributes
    assert again.ttl == record.ttl or record.ttl is None


@FEWER
@given(st.data())
def test_a_record_is_of_the_class_and_user_asked_for(data):
    """A class and a user id that are given are those of the record."""
    record = data.draw(own.records(SavingsGoal, "u-1"))
    assert type(record) is SavingsGoal
    assert record.user_id == "u-1"
    item = data.draw(own.stored_items(Household, "u-1", record_id="r-1"))
    assert item["userId"] == {"S": "u-1"}
    assert item["recordKey"] == {"S": "x-household#r-1"}
    malformed = read_item(data.draw(own.odd_items(Household, st.just("u-2"))))
    assert malformed.user_id == "u-2"


@FEWER
@given(own.stored_items())
def test_stored_items_are_readable_and_storable(item):
    """A stored item reads as a record that is not malformed, and DynamoDB would take it."""
    check_item(item, describe="the item")
    SimulatedTable().put(item)
    record = read_item(item)
    assert not record.malformed
    assert record.data is not None


@FEWER
@given(own.stored_items(odd=False))
def test_items_without_oddities_have_no_problems(item):
    """With odd=False there are only items such as this library writes."""
    record = read_item(item)
    assert record.problems == []
    assert record.extra_attributes == {}
    assert record.extra_data == {}


@FEWER
@given(own.odd_items())
def test_odd_items_are_malformed(item):
    """An odd item is in the table and reads as a malformed record."""
    SimulatedTable().put(item)
    record = read_item(item)
    assert record.malformed
    assert record.problems


def test_odd_items_are_of_every_sort():
    """The oddities of the samples all come up: none is a promise on paper only."""
    reasons = set()

    @settings(max_examples=600, database=None, derandomize=True, deadline=None)
    @given(own.odd_items(SavingsGoal))
    def collect(item):
        record = read_item(item)
        reasons.update(problem.split(" ", 1)[1] for problem in record.problems)

    collect()
    for wanted in [
        "is missing",
        "is missing, but required",
        "is NULL, but required",
        "disagrees with recordKey",
        "has no # between type and record id",
        "is no map but",
        "is not a number but",
        "is no text",
    ]:
        assert any(reason.startswith(wanted) for reason in reasons), wanted


@FEWER
@given(own.amounts())
def test_amounts_are_safe_for_javascript(amount):
    """A generated amount is what JavaScript's Number makes of its text."""
    assert abs(amount) <= 2**53 - 1
    assert Decimal(repr(float(str(amount)))) == amount


@FEWER
@given(own.timestamps())
def test_timestamps_are_aware(moment):
    """A generated timestamp names a moment of the years 1 to 9999."""
    assert isinstance(moment, datetime)
    assert moment.utcoffset() is not None


@FEWER
@given(own.payloads(SavingsGoalData, name=st.just("fixed")))
def test_a_field_can_be_given(goal):
    """A field given by name is drawn from that strategy."""
    assert goal.name == "fixed"


def test_unknown_fields_and_classes_are_refused():
    """A misspelt field, or a class that is no payload class, is a TypeError."""
    with pytest.raises(TypeError, match="nome"):
        own.payloads(SavingsGoalData, nome=st.just("x"))
    with pytest.raises(TypeError, match="no payload class"):
        own.payloads(dict)
    with pytest.raises(TypeError, match="UnknownRecord"):
        own.records(UnknownRecord, "u")


@payload
class EvenData:
    """A payload with a rule of its own."""

    count: int

    def __attrs_post_init__(self):
        if self.count % 2:
            raise ValueError("even only")


@FEWER
@given(own.payloads(EvenData))
def test_a_class_with_rules_of_its_own(even):
    """What the class refuses with a ValueError is not generated."""
    assert even.count % 2 == 0


@FEWER
@given(own.payloads(Branch))
def test_a_class_that_contains_itself(branch):
    """A payload class that contains itself has payloads that end."""
    depth = 0
    while branch is not None:
        branch, depth = branch.trunk, depth + 1
    assert depth <= 5


@FEWER
@given(own.payloads(EverythingData), own.payloads(HouseholdData))
def test_every_kind_of_field(everything, household):
    """Every field has a value of its kind."""
    assert isinstance(everything.amount, Decimal)
    assert all(isinstance(limit, Decimal) for limit in household.limits.values())


def test_types_defined_later_are_found():
    """A strategy made before a type was defined generates it, too."""
    strategy = own.any_payload()

    @payload
    class LateData:
        late: Amount

    class Late(UserRecord, discriminator=next(NEW_TYPES)):
        data: PayloadAttribute[LateData] = PayloadAttribute(LateData)

    found = []

    @settings(max_examples=300, database=None, derandomize=True, deadline=None)
    @given(strategy)
    def search(each):
        found.append(type(each))

    search()
    assert LateData in found


def test_without_hypothesis_the_way_out_is_named():
    """Without hypothesis only this module fails, and it says what to install."""
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import thrivecalc_models.testing\n"
        "try:\n    import thrivecalc_models.testing.strategies\n"
        "except ImportError as error:\n    print(error)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert 'pip install "thrivecalc-models[test]"' in shown


@payload
class _NoteData:
    written_at: datetime
    fee: Amount
    marks: set[str] = frozenset()


@FEWER
@given(
    st.from_type(SavingsGoalData),
    st.from_type(_NoteData),
    st.builds(SavingsGoalData, name=st.just("x")),
    st.builds(BudgetData, limits=...),
    st.builds(_NoteData, marks=...),
)
def test_hypothesis_knows_payloads(goal, note, built, budget, built_note):
    """`st.from_type` and `st.builds` make payloads of any class without more, and they can be
    stored. (Where this fails, install the package anew: Hypothesis reads its entry point.)"""
    user = simulated_store(SimulatedTable()).user("u")
    for data in (goal, built, budget):
        record = user.add(data)
        assert user.get(type(record), record.record_id).data == data
    assert built.name == "x"
    for data in (note, built_note):
        assert type(data.fee) is Decimal
        assert isinstance(data.written_at, datetime)


def test_ids_are_drawn():
    """The same choices of Hypothesis make the same records, ids included, so that a failure can be
    replayed."""
    seen = []

    @settings(max_examples=20, derandomize=True, database=None)
    @given(own.records())
    def collect(record):
        seen.append((record.user_id, record.record_key))

    collect()
    first = seen[:]
    seen.clear()
    collect()
    assert seen == first


def even(instance, attribute, value):
    if value % 2:
        raise ValueError("odd")


@payload
class EvenData:
    number: int = attrs.field(validator=even)


class Even(UserRecord, discriminator="x-even"):
    data: PayloadAttribute[EvenData] = PayloadAttribute(EvenData)


@FEWER
@given(own.stored_items(Even))
def test_what_a_class_refuses_is_not_drawn_for_the_table_either(item):
    """Items of a class with validators read as records, as those of any other class do."""
    record = read_item(item)
    assert not record.malformed
    assert record.data.number % 2 == 0


def test_a_strategy_prints_as_its_name():
    """Hypothesis prints strategies in its reports, and warns where one is long."""
    for strategy in (own.any_payload(), own.payloads(EverythingData), own.stored_items(Even)):
        assert len(repr(strategy)) < 2000
