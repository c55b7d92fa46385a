"""A name that is not known is refused where it is given, with the one that was meant."""

from __future__ import annotations

from unittest import mock

import pytest
from leaks import USER
from machines import user_of

from thrivecalc_models import (
    PayloadAttribute,
    SavingsGoal,
    SavingsGoalData,
    UnknownRecord,
    UserRecord,
    payload,
)
from thrivecalc_models.testing import SimulatedTable


@pytest.fixture
def table():
    return SimulatedTable()


@pytest.fixture
def user(table):
    return user_of(table)


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
