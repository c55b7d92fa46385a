"""What callers put into lists, sets and dicts is converted as the fields themselves are."""

from __future__ import annotations

import enum
from collections import OrderedDict, defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_types import Everything, EverythingData, Person

from thrivecalc_models import (
    BudgetData,
    InvalidRecordError,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UnknownRecord,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own


class Category(enum.StrEnum):
    FOOD = "food"


class Word(str, enum.Enum):  # noqa: UP042 - its str() is not its text
    MONTHLY = "monthly"


def everything(**fields: Any) -> EverythingData:
    required: dict[str, Any] = {
        "text": Word.MONTHLY,
        "whole": 1,
        "flag": True,
        "amount": 0.1,
        "day": "2025-1-7",
        "moment": datetime(2025, 1, 7, 1, 2, 3, 4567, tzinfo=UTC),
        "blob": bytearray(b"a"),
        "words": [],
        "marks": {"x"},
        "limits": {},
        "person": Person(name="a"),
        "anything": None,
        "maybe_without_default": None,
    }
    return EverythingData(**(required | fields))


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return isinstance(one, int | Decimal) and isinstance(other, int | Decimal) and one == other
    if attrs.has(type(one)):
        names = [field.name for field in attrs.fields(type(one))]
        return all(alike(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, dict):
        return list(map(type, one)) == list(map(type, other)) and all(
            name in other and alike(inner, other[name]) for name, inner in one.items()
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


GIVEN = {
    "words": [(), ("a", Word.MONTHLY), [Category.FOOD]],
    "marks": [frozenset("ab"), {Word.MONTHLY}],
    "limits": [
        {"food": 0.1, "x": "5"},
        OrderedDict({Category.FOOD: 1}),
        defaultdict(int, rent=1e-7),
        {Word.MONTHLY: Decimal("1.50")},
    ],
    "days": [("2025-1-7", date(2025, 1, 7), "2025-01-07T10:00:00Z")],
    "moments": [[datetime(2025, 1, 7, 1, 2, 3, 4567, tzinfo=UTC)]],
    "amounts": [(1, "2", 0.3, Decimal(4))],
    "blobs": [(b"a", bytearray(b"b"), memoryview(b"c"))],
    "tag_sets": [(frozenset("a"), {"b"})],
    "teams": [{"a": (Person(name="b"),)}],
    "grid": [((0.1,), ["2"]), [[]]],
    "gaps": [(0.1, None)],
    "anything": [
        0.1,
        (0.1, [0.2], {"a": (0.3,)}),
        {Word.MONTHLY: Category.FOOD},
        {0.1, 2},
        bytearray(b"a"),
        [OrderedDict(a=defaultdict(list, b=(1,)))],
        Word.MONTHLY,
    ],
}
CASES = [
    pytest.param(name, value, id=f"{name} {number}")
    for name, values in GIVEN.items()
    for number, value in enumerate(values)
]


def stored(user: Any, record: Any) -> Any:
    return user.get(record.data_type, record.record_id)


@pytest.mark.parametrize(("name", "value"), CASES)
def test_containers_are_converted_when_they_are_given(name, value):
    """Given at construction or assigned, a container reads as it will be read from the table."""
    user = simulated_store(SimulatedTable()).user("u")
    built, assigned = everything(**{name: value}), everything()
    setattr(assigned, name, value)
    assert alike(built, assigned)
    assert getattr(built, name) is not value or not isinstance(value, list | dict | set)
    record = user.add(built)
    read = stored(user, record).data
    assert alike(read, record.data)
    assert alike(read, assigned)


def test_sums_over_what_was_given_are_right():
    """Amounts of a dict are Decimals at once, whatever they were given as."""
    budget = BudgetData(name="n", period="monthly", limits={"food": 0.1, "x": "5"})
    assert sum(budget.limits.values()) == Decimal("5.1")
    budget.limits = {"food": "0.2"}
    assert budget.limits["food"] + 1 == Decimal("1.2")


EDITS = {
    "limits": lambda data: data.limits.update({"food": 0.1, Category.FOOD: "5"}),
    "words": lambda data: data.words.append(Word.MONTHLY),
    "marks": lambda data: data.marks.add(Word.MONTHLY),
    "days": lambda data: data.days.append("2025-1-7"),
    "amounts": lambda data: data.amounts.extend([0.1, "5"]),
    "grid": lambda data: data.grid.append((0.1, "5")),
    "teams": lambda data: data.teams.update(a=(Person(name="b"),)),
    "tag_sets": lambda data: data.tag_sets.append(frozenset("a")),
    "anything": lambda data: data.anything.update(a=(0.1, {"b": 0.2}), b={0.5}),
    "people": lambda data: data.people.append(Person(name="a", share=0.1)),
}
WRITES = {
    "add": lambda user, record: user.add(record),
    "put": lambda user, record: user.put(record),
    "update": lambda user, record: user.update(record),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", EDITS)
def test_what_is_put_into_a_container_is_converted_at_the_write(name, write):
    """After a write the record says what the next reader finds; its containers stay the objects."""
    user = simulated_store(SimulatedTable()).user("u")
    record = Everything("u", data=everything(anything={}), record_id="1")
    if write == "update":
        record = user.add(record)
    before = getattr(record.data, name)
    EDITS[name](record.data)
    WRITES[write](user, record)
    assert getattr(record.data, name) is before
    assert alike(stored(user, record).data, record.data)


def test_undeclared_values_are_converted_at_the_write():
    """Extras of data and of the item, and the dict of an unregistered type, read as stored."""
    user = simulated_store(SimulatedTable()).user("u")
    given = {"a": (0.1,), Category.FOOD: 1}
    unknown = UnknownRecord("u", data_type="x-unheard-of", record_id="1", data=given)
    goal = SavingsGoal("u", data=SavingsGoalData(name="n", target_amount=1), record_id="1")
    for record in (unknown, goal):
        record.extra_attributes[Word.MONTHLY] = (0.1, {"a": 0.2})
    goal.extra_data[Word.MONTHLY] = [0.1, (1,)]
    unknown.data["later"] = {"b": 0.5}
    for record in (unknown, goal):
        extras = record.extra_attributes
        user.add(record)
        again = stored(user, record)
        assert alike(again.data, record.data)
        assert alike(again.extra_data, record.extra_data)
        assert alike(again.extra_attributes, record.extra_attributes)
        assert record.extra_attributes is extras
    assert given == {"a": (0.1,), "food": 1}


def test_a_caller_keeps_the_container_that_was_given():
    """What a caller does to a container after giving it does not change the payload."""
    tags = ["a"]
    spent = TransactionData(date="2025-01-07", amount=1, tags=tags)
    other = TransactionData(date="2025-01-07", amount=1, tags=tags)
    tags.append("b")
    spent.tags.append("c")
    assert (spent.tags, other.tags, tags) == (["a", "c"], ["a"], ["a", "b"])


def test_a_container_that_holds_itself_is_refused():
    """A list or dict within itself is an InvalidRecordError at the write, not an endless loop."""
    user = simulated_store(SimulatedTable()).user("u")
    circle: list[Any] = []
    circle += [circle, circle]
    ring: dict[str, Any] = {}
    ring["a"] = ring["b"] = ring
    for value in (circle, ring):
        with pytest.raises(InvalidRecordError):
            user.add(everything(anything=value))


@given(st.data())
def test_after_an_add_a_record_says_what_is_stored(data):
    """Whatever payload is added, the record's data equals what get returns."""
    user = simulated_store(SimulatedTable()).user("u")
    record = user.add(data.draw(own.payloads(EverythingData)))
    assert alike(stored(user, record).data, record.data)
