"""A name that is not known is refused where it is given, with the one that was meant."""

from __future__ import annotations

from typing import Any
from unittest import mock

import attrs
import pytest
from leaks import USER
from pynamodb.expressions.operand import Path

from thrivecalc_models import (
    Amount,
    InvalidRecordError,
    PayloadAttribute,
    SavingsGoal,
    SavingsGoalData,
    UnknownRecord,
    UnknownTypeWarning,
    UserRecord,
    payload,
)


@pytest.fixture
def goal(user):
    return user.add(SavingsGoalData(name="x", target_amount=1))


# --- attributes of a record -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("current_amount", "goal.data.current_amount"),
        ("currentAmount", "goal.data.current_amount"),
        ("curent_amount", "goal.data.current_amount"),
        ("updatedAt", "updated_at"),
        ("colour", "'colour'"),
    ],
)
def test_a_record_refuses_names_that_it_does_not_have(goal, name, meant):
    """A field of the payload is not set on the record: it would never be written."""
    with pytest.raises(AttributeError, match=meant):
        setattr(goal, name, 500)
    with pytest.raises(AttributeError, match=meant):
        getattr(goal, name)
    with pytest.raises(TypeError, match=meant):
        SavingsGoal(USER, **{name: 500})
    assert not hasattr(goal, name)


@payload
class CounterData:
    count: int = 0
    version: str | None = None


class Base(UserRecord):
    __slots__ = ("slotted",)


class Counter(Base, discriminator="x-counter"):
    data: PayloadAttribute[CounterData] = PayloadAttribute(CounterData)
    annotated: str
    constant = 5
    _seen = 0

    @property
    def seen(self) -> int:
        return self._seen

    @seen.setter
    def seen(self, value: int) -> None:
        self._seen = value


def test_what_a_subclass_declares_is_free(user):
    """Annotations, properties, slots and values of a service's class, and `_names`, can be set."""
    record = user.add(Counter(data=CounterData()))
    for name in ("slotted", "annotated", "constant", "seen", "_private"):
        setattr(record, name, 7)
        assert getattr(record, name) == 7
    user.update(record)
    assert "seen" not in record.item


@pytest.mark.parametrize("name", ["count", "version"])
def test_a_field_that_is_called_like_a_method_is_meant(user, name):
    """A method or read-only property of a record does not hide a field of the payload."""
    record = user.add(Counter(data=CounterData()))
    with pytest.raises(AttributeError, match=rf"counter\.data\.{name}"):
        setattr(record, name, 3)


def test_a_record_of_an_unknown_type_says_where_its_data_is(user):
    """The data of a type without a class is a dict."""
    record = user.add("x-unregistered", {"colour": "red"})
    assert isinstance(record, UnknownRecord)
    with pytest.raises(AttributeError, match="data, a dict"):
        record.colour = "blue"


def test_methods_of_a_record_can_be_mocked(goal):
    """A test may put a mock in the place of a method."""
    with mock.patch.object(goal, "save") as save:
        goal.save()
    save.assert_called_once_with()
    assert "save" not in vars(goal)


# --- names in the table ---------------------------------------------------------------------------


@payload
class PartData:
    part_name: str
    unit_price: Amount | None = None


@payload
class OrderData:
    first_part: PartData
    more_parts: list[PartData] = attrs.field(factory=list)
    by_name: dict[str, PartData] = attrs.field(factory=dict)
    note: Any = None


class Order(UserRecord, discriminator="x-order"):
    data: PayloadAttribute[OrderData] = PayloadAttribute(OrderData)


PART = {"partName": "a"}
WRONG = {"partName": "a", "unit_price": 5}
MAPPINGS = [
    ("savings-goal", {"name": "x", "targetAmount": 1, "target_date": "2025-12-31"}, "target_date"),
    ("savings-goal", {"name": "x", "target_amount": 1}, "target_amount"),
    ("x-order", {"firstPart": WRONG}, "firstPart.unit_price"),
    ("x-order", {"firstPart": PART, "moreParts": [PART, WRONG]}, "moreParts[1].unit_price"),
    ("x-order", {"firstPart": PART, "byName": {"a": WRONG}}, "byName.a.unit_price"),
]


@pytest.mark.parametrize(("data_type", "data", "path"), MAPPINGS)
def test_a_mapping_in_pythons_spelling_is_refused(table, user, data_type, data, path):
    """A mapping whose name is Python's for a declared field is refused, with the table's name."""
    name = path.rpartition(".")[2]
    for call in (
        lambda: user.add(data_type, data),
        lambda: user.put(data_type, data),
        lambda: user.replace_data(data_type, "1", data),
        lambda: user.unit_of_work().add(data_type, data),
    ):
        with pytest.raises(InvalidRecordError) as caught:
            call()
        assert caught.value.path == f"data.{path}"
        assert f"spelt {camel(name)}" in str(caught.value)
    assert table.sent() == 0


def camel(name):
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def test_an_extra_in_pythons_spelling_is_refused(table, goal, user):
    """A new name of `extra_data` that is Python's for a declared field is refused when written."""
    goal.extra_data["target_date"] = "2025-12-31"
    sent = table.sent()
    with pytest.raises(InvalidRecordError) as caught:
        user.update(goal)
    assert caught.value.path == "data.target_date"
    assert table.sent() == sent


def test_a_name_that_was_read_stays(table, user, goal):
    """What another program stored in Python's spelling is an extra, and is written back."""
    item = goal.item
    item["data"]["M"]["target_date"] = {"S": "2025-12-31"}
    table.put(item)
    read = user.get(SavingsGoal, goal.record_id)
    read.extra_data["target_date"] = "2026-12-31"
    read.data.name = "y"
    user.update(read)
    user.put(read)
    assert table.get(USER, goal.record_key)["data"]["M"]["target_date"] == {"S": "2026-12-31"}
    del read.extra_data["target_date"]
    user.update(read)
    assert "target_date" not in table.get(USER, goal.record_key)["data"]["M"]


PATHS = {
    "target_amount": lambda: SavingsGoal.data["target_amount"] > 5,
    "firstPart.unit_price": lambda: Order.data["firstPart"]["unit_price"].exists(),
    "moreParts[0].unit_price": lambda: Order.data["moreParts"][0]["unit_price"].set(5),
    "byName.a.unit_price": lambda: Order.data["byName"]["a"]["unit_price"].remove(),
}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_pythons_spelling_is_refused(path):
    """A condition or an action on Python's name of a field would find nothing, or write a stray."""
    with pytest.raises(InvalidRecordError, match="spelt") as caught:
        PATHS[path]()
    assert caught.value.path == f"data.{path}"


def test_paths_in_the_tables_spelling_are_as_before():
    """Declared names, undeclared ones and names below `Any` are paths."""
    assert Order.data["firstPart"]["unitPrice"].path == ["data", "firstPart", "unitPrice"]
    assert Order.data["moreParts"][0]["colour"].path == ["data", "moreParts[0]", "colour"]
    assert Order.data["note"]["unit_price"].path == ["data", "note", "unit_price"]
    assert UserRecord.data["target_amount"].path == ["data", "target_amount"]


@pytest.mark.parametrize(
    ("action", "path"),
    [
        (Path("data.firstPart.unit_price").set(5), "data.firstPart.unit_price"),
        (Path("data.first_part").remove(), "data.first_part"),
        (Order.data["firstPart"].set(WRONG), "data.firstPart.unit_price"),
        (Order.data.set({"firstPart": WRONG}), "data.firstPart.unit_price"),
    ],
)
def test_an_action_in_pythons_spelling_is_refused(table, user, action, path):
    """An action whose path or value has Python's name of a field is refused, and not sent."""
    order = user.add("x-order", {"firstPart": PART})
    sent = table.sent()
    with pytest.raises(InvalidRecordError, match="spelt") as caught:
        order.update([action])
    assert caught.value.path == path
    assert table.sent() == sent


# --- types ----------------------------------------------------------------------------------------

CALLS = {
    "get": lambda user: user.get("savings_goal", "1"),
    "get_many": lambda user: user.get_many([("SavingsGoal", "1")]),
    "get_many by key": lambda user: user.get_many(["saving-goal#1"]),
    "list": lambda user: user.list("savings_goal"),
    "iterate": lambda user: list(user.iterate("savings-goals")),
    "page": lambda user: user.page("savings_goal"),
    "add": lambda user: user.add("saving-goal", {"name": "x"}),
    "add a tuple": lambda user: user.add(("savingsGoal", {"name": "x"})),
    "put": lambda user: user.put("budgets", {"name": "x"}),
    "delete": lambda user: user.delete("savings_goal", "1"),
    "a unit's delete": lambda user: user.unit_of_work().delete("savings_goal", "1"),
    "a unit's get": lambda user: user.unit_of_work().get("savings_goal", "1"),
    "a unit's list": lambda user: user.unit_of_work().list("savings_goal"),
    "UnknownRecord": lambda user: UnknownRecord(USER, data_type="savings_goal", data={}),
    "a condition": lambda user: UserRecord.data_type == "savings_goal",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_type_that_is_nearly_one_is_warned_of(user, call):
    """A type that nobody registered but that is close to one that is gets one warning, here."""
    with pytest.warns(UnknownTypeWarning, match="'(savings-goal|budget)'") as caught:
        CALLS[call](user)
    own = [each for each in caught if each.category is UnknownTypeWarning]
    assert [warning.filename for warning in own] == [__file__]


def test_other_types_are_not_warned_of(user):
    """A type that is like no other is a type of somebody else's; a registered one is known."""
    for data_type in ("note", "x-unregistered", "goal", "savings-goal", "audit-log"):
        user.list(data_type)
