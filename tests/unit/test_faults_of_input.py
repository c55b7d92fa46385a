"""All that is wrong with one payload or one mapping is told at once, each with its path."""

from __future__ import annotations

import inspect
from typing import Any

import attrs
import pytest

from thrivecalc_models import (
    Amount,
    BudgetData,
    InvalidRecordError,
    PayloadAttribute,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UnsafeNumberError,
    UserRecord,
    payload,
)

BAD_GOAL = {"name": 5, "target_amount": "a lot", "target_date": "tomorrow"}
GOAL_PATHS = ["data.name", "data.targetAmount", "data.targetDate"]


class OddError(Exception):
    """What a service raises that follows no rule."""


def in_stock(instance: Any, attribute: Any, value: Any) -> None:
    if value > 10:
        raise OddError("more than there is in stock")


def silent(instance: Any, attribute: Any, value: Any) -> None:
    raise RuntimeError


@payload
class LineData:
    label: str
    amount: Amount = attrs.field(default=0, validator=attrs.validators.ge(0))


@payload
class OrderData:
    pieces: int = attrs.field(validator=in_stock)
    code: str = attrs.field(default="a", converter=lambda value: value.strip())
    kind: Any = attrs.field(default=None, validator=attrs.validators.optional(silent))
    first: int = 0
    last: int = attrs.field(default=9)
    lines: list[LineData] = attrs.field(factory=list)
    by_name: dict[str, LineData] | None = None

    @last.validator
    def _after_first(self, attribute: Any, value: int) -> None:
        if value < self.first:
            raise ValueError("ends before it begins")


class Order(UserRecord, discriminator="order-of-input"):
    data = PayloadAttribute(OrderData)


def refused(call: Any, *args: Any, **given: Any) -> InvalidRecordError:
    with pytest.raises(InvalidRecordError) as caught:
        call(*args, **given)
    error = caught.value
    assert error.path == next(iter(error.errors))
    for path, each in error.errors.items():
        assert isinstance(each, InvalidRecordError)
        assert each.path == path
        assert path in str(each)
    return error


def test_a_payload_names_every_field_that_is_wrong() -> None:
    """Construction raises one error for all fields, containers and their members included."""
    error = refused(SavingsGoalData, **BAD_GOAL)
    assert list(error.errors) == GOAL_PATHS
    for path in GOAL_PATHS:
        assert path in str(error)
    limits = {"food": "x", "rent": 5, "fun": None}
    error = refused(BudgetData, name="a", period=None, limits=limits)
    assert list(error.errors) == ["data.period", "data.limits.food", "data.limits.fun"]
    error = refused(TransactionData, date="2025-01-07", amount=1, tags=["a", 1, None])
    assert list(error.errors) == ["data.tags[1]", "data.tags[2]"]


def test_one_error_names_itself() -> None:
    """Of one wrong value `.errors` has that error, at construction as at assignment."""
    error = refused(SavingsGoalData, name=5, target_amount=1)
    assert error.errors == {"data.name": error}
    goal = SavingsGoalData(name="x", target_amount=1)
    error = refused(setattr, goal, "target_amount", "a lot")
    assert error.errors == {"data.targetAmount": error}
    with pytest.raises(TypeError, match="nmae"):
        SavingsGoalData(nmae="x", target_amount=1)


def test_a_mapping_names_every_field_that_is_wrong(user: Any) -> None:
    """A camelCase mapping raises one error for all of its fields: wrong, missing, unfit, unsafe."""
    error = refused(user.add, "savings-goal", {"name": 5, "targetAmount": "x", "targetDate": "y"})
    assert list(error.errors) == GOAL_PATHS
    error = refused(user.add, "savings-goal", {"targetDate": object(), "extra": object()})
    assert set(error.errors) == {"data.targetDate", "data.extra", "data.name", "data.targetAmount"}
    error = refused(user.add, "savings-goal", {"name": 1, "target_amount": 1})
    assert set(error.errors) == {"data.name", "data.target_amount"}
    error = refused(user.add, "note", {"a": object(), "b": [1, {"c": object()}]})
    assert list(error.errors) == ["data.a", "data.b[1].c"]
    unsafe = {"name": "x", "targetAmount": 2**60, "currentAmount": 2**61}
    error = refused(user.replace_data, "savings-goal", "a", unsafe)
    assert type(error) is UnsafeNumberError
    assert list(error.errors) == ["data.targetAmount", "data.currentAmount"]
    lines = [{"label": "a"}, {"label": 5, "amount": "x"}, {"amount": -1}]
    error = refused(user.add, Order, {"pieces": 1, "lines": lines})
    paths = ["data.lines[1].label", "data.lines[1].amount", "data.lines[2].label"]
    assert list(error.errors) == paths


def test_what_is_written_names_every_value_that_is_wrong(user: Any) -> None:
    """What was put into containers later is told at once, too, before anything is sent."""
    budget = user.add(BudgetData(name="a", period="monthly", limits={}, start_date=None))
    budget.data.limits.update({"food": "x", "rent": None, "fun": 5})
    with pytest.raises(InvalidRecordError) as caught:
        user.update(budget)
    assert {"data.limits.food", "data.limits.rent"} <= set(caught.value.errors)
    goal = SavingsGoalData(name="x", target_amount=2**60, current_amount=2**61)
    with pytest.raises(UnsafeNumberError) as unsafe:
        user.add(goal)
    assert {"data.targetAmount", "data.currentAmount"} <= set(unsafe.value.errors)


def test_what_a_validator_raises_is_told_with_its_words(user: Any) -> None:
    """A service's own validator or converter that raises is an InvalidRecordError with its path."""
    error = refused(OrderData, pieces=11, first=5, last=3)
    assert str(error.errors["data.pieces"]) == "data.pieces is refused: more than there is in stock"
    assert str(error.errors["data.last"]) == "data.last is refused: ends before it begins"
    error = refused(OrderData, pieces=1, code=5, kind=1)
    assert "has no attribute 'strip'" in str(error.errors["data.code"])
    assert str(error.errors["data.kind"]) == "data.kind is refused: RuntimeError"
    error = refused(OrderData, pieces="x", first="y", last=3)
    assert list(error.errors) == ["data.pieces", "data.first"]
    order = OrderData(pieces=1)
    assert "in stock" in str(refused(setattr, order, "pieces", 12))
    assert order.pieces == 1
    error = refused(user.add, Order, {"pieces": 11, "last": -1})
    assert [str(each) for each in error.errors.values()] == [
        "data.pieces is refused: more than there is in stock",
        "data.last is refused: ends before it begins",
    ]
    error = refused(user.add, Order, {"pieces": 1, "byName": {"x": {"label": "a", "amount": -1}}})
    assert list(error.errors) == ["data.byName.x.amount"]


def test_a_payload_class_still_shows_its_signature() -> None:
    """The names and annotations of a payload's fields can be asked of its `__init__`."""
    assert list(inspect.signature(SavingsGoalData).parameters)[:2] == ["name", "target_amount"]
    assert SavingsGoalData.__init__.__qualname__ == "SavingsGoalData.__init__"
    assert SavingsGoal("u", data=SavingsGoalData(name="x", target_amount=1)).data.name == "x"
