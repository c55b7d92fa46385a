"""Payload classes: what they take, what they refuse and where they say it is, and how they show."""

from __future__ import annotations

import dataclasses
import enum
import functools
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from own_types import EverythingData, Person

from thrivecalc_models import (
    Amount,
    BudgetData,
    InvalidKeyError,
    InvalidRecordError,
    PayloadAttribute,
    PortfolioHoldingData,
    ProfileData,
    RetirementPlanData,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UserRecord,
    payload,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own

HALF = "canary \ud83d"
NAIVE = datetime(2025, 1, 7, 12, 30)


def goal(**fields: Any) -> SavingsGoalData:
    return SavingsGoalData(**({"name": "x", "target_amount": 1} | fields))


# --- what is taken --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (20000, Decimal(20000)),
        (0.1, Decimal("0.1")),
        ("1.50", Decimal("1.5")),
        (Decimal("-2.5"), Decimal("-2.5")),
        (1e16, Decimal("1E+16")),
        ("1e3", Decimal(1000)),
    ],
)
def test_amounts_take_any_number(given, read):
    """An Amount takes int, Decimal, numeric text, or a float by its shortest repr."""
    made = goal(target_amount=given)
    assert type(made.target_amount) is Decimal
    assert made.target_amount == read
    made.current_amount = given
    assert made.current_amount == read


def test_the_defaults():
    """Defaults are those of the design, and amounts among them are Decimals."""
    assert goal().current_amount == 0
    assert type(goal().current_amount) is Decimal
    assert goal().target_date is None
    assert ProfileData().currency == "USD"
    assert TransactionData(date=date(2025, 1, 7), amount=-5).description == ""
    plan = RetirementPlanData(name="x", current_age=30, retirement_age=67)
    assert plan.current_savings == plan.monthly_contribution == 0
    assert PortfolioHoldingData(symbol="VTI", shares="1.5").name is None
    assert BudgetData(name="b", period="fortnightly").limits is None


def test_dates_take_iso_text():
    """A date field takes a date, or ISO text, with one digit or a time as well."""
    for text in ("2025-01-07", "2025-1-7", "2025-01-07T23:00:00.000Z"):
        assert goal(target_date=text).target_date == date(2025, 1, 7)
    assert goal(target_date=date(2025, 1, 7)).target_date == date(2025, 1, 7)


def test_datetimes_are_kept_as_fine_as_the_table_has_them():
    """A datetime is read in UTC and down to the millisecond, as it will be stored."""

    @payload
    class Moment:
        at: datetime

    given = datetime(2025, 1, 7, 12, 30, 0, 1999, tzinfo=timezone(timedelta(hours=2)))
    assert Moment(at=given).at == datetime(2025, 1, 7, 10, 30, 0, 1000, tzinfo=UTC)


@given(own.any_payload())
def test_payloads_are_equal_by_value(payload):
    """A payload equals another with the same values, and only of its class."""
    again = attrs.evolve(payload)
    assert again == payload
    assert again is not payload
    assert payload != object()


def test_keyword_only_mutable_slotted():
    """Payloads take keywords only, can be changed, and hold no misspelt attribute."""
    with pytest.raises(TypeError):
        SavingsGoalData("x", 1)  # type: ignore[misc]
    made = goal()
    made.name = "y"
    assert made.name == "y"
    with pytest.raises(AttributeError):
        made.nmae = "z"


# --- what is refused ------------------------------------------------------------------------------

BAD_VALUES = [
    (SavingsGoalData, "target_amount", "soon", "data.targetAmount"),
    (SavingsGoalData, "target_amount", "", "data.targetAmount"),
    (SavingsGoalData, "target_amount", " 1", "data.targetAmount"),
    (SavingsGoalData, "target_amount", "1_000", "data.targetAmount"),
    (SavingsGoalData, "target_amount", "\u0661", "data.targetAmount"),  # an Arabic-Indic digit
    (SavingsGoalData, "target_amount", "NaN", "data.targetAmount"),
    (SavingsGoalData, "target_amount", "Infinity", "data.targetAmount"),
    (SavingsGoalData, "target_amount", float("nan"), "data.targetAmount"),
    (SavingsGoalData, "target_amount", float("inf"), "data.targetAmount"),
    (SavingsGoalData, "target_amount", Decimal("NaN"), "data.targetAmount"),
    (SavingsGoalData, "target_amount", Decimal("sNaN"), "data.targetAmount"),
    (SavingsGoalData, "target_amount", Decimal("-Infinity"), "data.targetAmount"),
    (SavingsGoalData, "target_amount", True, "data.targetAmount"),
    (SavingsGoalData, "target_amount", None, "data.targetAmount"),
    (SavingsGoalData, "target_amount", [1], "data.targetAmount"),
    (SavingsGoalData, "target_amount", 1 + 2j, "data.targetAmount"),
    (SavingsGoalData, "target_amount", 10**5000, "data.targetAmount"),
    (SavingsGoalData, "current_amount", None, "data.currentAmount"),
    (SavingsGoalData, "name", None, "data.name"),
    (SavingsGoalData, "name", 5, "data.name"),
    (SavingsGoalData, "name", b"x", "data.name"),
    (SavingsGoalData, "name", HALF, "data.name"),
    (SavingsGoalData, "target_date", "soon", "data.targetDate"),
    (SavingsGoalData, "target_date", "2025-02-30", "data.targetDate"),
    (SavingsGoalData, "target_date", 20250107, "data.targetDate"),
    (SavingsGoalData, "target_date", datetime(2025, 1, 7, tzinfo=UTC), "data.targetDate"),
    (RetirementPlanData, "current_age", 30.0, "data.currentAge"),
    (RetirementPlanData, "current_age", "30", "data.currentAge"),
    (RetirementPlanData, "current_age", True, "data.currentAge"),
    (TransactionData, "tags", "food", "data.tags"),
    (TransactionData, "tags", {"food": 1}, "data.tags"),
    (TransactionData, "tags", ["food", 5], "data.tags[1]"),
    (TransactionData, "tags", ("food", HALF), "data.tags[1]"),
    (BudgetData, "limits", ["food"], "data.limits"),
    (BudgetData, "limits", {"food": "canary"}, "data.limits.food"),
    (BudgetData, "limits", {"food": True}, "data.limits.food"),
    (BudgetData, "limits", {"food": float("nan")}, "data.limits.food"),
    (BudgetData, "limits", {"food": None}, "data.limits.food"),
    (BudgetData, "limits", {5: 1}, "data.limits"),
    (EverythingData, "days", ["2025-01-07", "soon"], "data.days[1]"),
    (EverythingData, "grid", [[1], [1, "soon"]], "data.grid[1][1]"),
    (EverythingData, "teams", {"a": [Person(name="a"), "b"]}, "data.teams.a[1]"),
    (EverythingData, "marks", {"a", 5}, "data.marks"),
    (EverythingData, "flag", 1, "data.flag"),
    (EverythingData, "moment", NAIVE, "data.moment"),
    (EverythingData, "moment", date(2025, 1, 7), "data.moment"),
    (EverythingData, "moment", "2025-01-07T12:30:00Z", "data.moment"),
    (EverythingData, "blob", "text", "data.blob"),
    (EverythingData, "marks", ["a"], "data.marks"),
    (EverythingData, "person", {"name": "x"}, "data.person"),
    (EverythingData, "person", None, "data.person"),
]


@pytest.mark.parametrize(
    ("payload_class", "name", "value", "path"),
    BAD_VALUES,
    ids=[f"{bad[3]} {number}" for number, bad in enumerate(BAD_VALUES)],
)
def test_bad_values_are_refused_where_they_are_given(payload_class, name, value, path):
    """A bad value is an InvalidRecordError with its path, at construction and at assignment."""
    required = {
        SavingsGoalData: {"name": "x", "target_amount": 1},
        RetirementPlanData: {"name": "x", "current_age": 1, "retirement_age": 2},
        TransactionData: {"date": "2025-01-07", "amount": 1},
        BudgetData: {"name": "x", "period": "monthly"},
        EverythingData: {
            "text": "",
            "whole": 1,
            "flag": True,
            "amount": 1,
            "day": "2025-01-07",
            "moment": datetime(2025, 1, 7, tzinfo=UTC),
            "blob": b"",
            "words": [],
            "marks": {"x"},
            "limits": {},
            "person": Person(name=""),
            "anything": None,
            "maybe_without_default": None,
        },
    }[payload_class]
    good = payload_class(**required)
    before = getattr(good, name)
    for attempt in (
        lambda: payload_class(**(required | {name: value})),
        lambda: setattr(good, name, value),
    ):
        with pytest.raises(InvalidRecordError) as caught:
            attempt()
        assert caught.value.path == path
        assert path in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert "canary" not in str(caught.value)
    assert getattr(good, name) == before


def test_argument_names():
    """A wrong argument name, and a missing required field, is a TypeError."""
    with pytest.raises(TypeError, match="targetAmount"):
        goal(targetAmount=1)
    with pytest.raises(TypeError, match="target_amount"):
        SavingsGoalData(name="x")  # type: ignore[call-arg]


# --- class definitions ----------------------------------------------------------------------------


class Number(enum.Enum):
    ONE = 1
    TWO = "two"


class Nothing(enum.Enum):
    """An enum without a member."""


@pytest.mark.parametrize(
    "annotation",
    [
        Decimal,
        complex,
        tuple[str],
        tuple[str, int],
        tuple,
        set[int],
        frozenset[str],
        dict[int, str],
        dict[str, complex],
        list[Decimal],
        list,
        dict,
        str | int,
        str | int | None,
        object,
        Number,
        Nothing,
        enum.IntEnum,
        Literal[1, "a"],
        frozenset[float],
        list[str | int],
        SavingsGoal,
    ],
)
def test_annotations_the_table_cannot_hold(annotation):
    """A field that the table cannot hold is a TypeError that names what it can hold."""
    with pytest.raises(TypeError, match="use str, int, bool, Amount"):
        payload(type("Bad", (), {"__annotations__": {"field": annotation}}))


def test_two_fields_with_one_name_in_the_table():
    """Two fields that camelCase makes one are a TypeError."""
    with pytest.raises(TypeError, match="same name"):

        @payload
        class Twice:
            target_amount: Amount
            targetAmount: Amount


def test_defaults_that_do_not_fit():
    """A default that its field would refuse, or that needs the other fields, is an error."""
    with pytest.raises(InvalidRecordError):
        payload(type("Bad", (), {"__annotations__": {"field": Amount}, "field": "soon"}))
    with pytest.raises(TypeError, match="other fields"):

        @payload
        class Dependent:
            one: str
            two: str = attrs.field(default=attrs.Factory(lambda self: self.one, takes_self=True))


def test_a_class_that_names_a_later_one():
    """An annotation may name a class that is defined further down."""
    assert Early(later=[Later(name="x")]).later[0].name == "x"


@payload
class Early:
    later: list[Later]


@payload
class Later:
    name: str


@payload
class PlainData:
    name: str


@pytest.mark.parametrize("data_type", ["savings-goal", "", "a#b", "#", "x" * 1025, "\ud83d", 5])
def test_types_that_cannot_be_defined(data_type):
    """A taken type, an empty one, one with '#' or too long is an error at class definition."""
    with pytest.raises(InvalidKeyError) as caught:

        class Bad(UserRecord, discriminator=data_type):
            data: PayloadAttribute[PlainData] = PayloadAttribute(PlainData)

    assert caught.value.path == "dataType"
    assert UserRecord.data_type.class_of("savings-goal") is SavingsGoal


@pytest.mark.parametrize("keep_for", [0, 30, timedelta(0), timedelta(days=-1), "1 day"])
def test_keep_for_takes_a_positive_timedelta(keep_for):
    """A keep_for that is no positive timedelta is an error at class definition."""
    name = f"x-keep-{keep_for}"
    with pytest.raises(TypeError, match="keep_for"):
        type(UserRecord)(
            "Kept",
            (UserRecord,),
            {
                "__module__": __name__,
                "data": PayloadAttribute(PlainData),
                "keep_for": keep_for,
            },
            discriminator=name,
        )
    assert UserRecord.data_type.class_of(name) is None


def test_a_payload_attribute_needs_a_payload_class():
    """PayloadAttribute takes classes made by @payload only."""
    for wrong in (dict, SavingsGoal, "PlainData"):
        with pytest.raises(TypeError, match="payload class"):
            PayloadAttribute(wrong)


def test_a_class_is_decorated_once():
    """`@payload` over attrs.define, a dataclass or another `@payload` is a TypeError."""

    def plain(name):
        return type(name, (), {"__annotations__": {"name": str}, "__module__": __name__})

    for made, words in (
        (attrs.define(plain("One")), "@attrs.define already"),
        (dataclasses.dataclass(plain("Two")), "@dataclass already"),
        (payload(plain("Three")), "@payload already"),
    ):
        with pytest.raises(TypeError, match=words):
            payload(made)


def test_a_payload_class_may_be_wrapped():
    """A class whose methods somebody else wraps, `__repr__` too, stays a payload class."""

    def wrapping(method):
        @functools.wraps(method)
        def wrapped(*args, **kwargs):
            return method(*args, **kwargs)

        return wrapped

    @payload
    class Wrapped:
        name: str

    for name in ("__init__", "__repr__", "__eq__"):
        setattr(Wrapped, name, wrapping(getattr(Wrapped, name)))

    @payload
    class Outer:
        inner: Wrapped

    assert Outer(inner=Wrapped(name="a")).inner.name == "a"
    assert PayloadAttribute(Wrapped).payload_class is Wrapped


class Forgotten(PlainData):
    more: str = ""


def test_a_forgotten_decorator_is_told():
    """A subclass of a payload class without `@payload` is refused, and the message says why."""
    for attempt in (
        lambda: PayloadAttribute(Forgotten),
        lambda: payload(type("Outer", (), {"__annotations__": {"inner": Forgotten}})),
        lambda: own.payloads(Forgotten),
    ):
        with pytest.raises(TypeError, match=r"Forgotten derives .* decorate it with @payload"):
            attempt()


@payload
class HoldingPlainData:
    plain: PlainData


class HoldingPlain(UserRecord, discriminator="x-holding-plain"):
    data = PayloadAttribute[HoldingPlainData](HoldingPlainData)


class Plain(UserRecord, discriminator="x-plain"):
    data = PayloadAttribute[PlainData](PlainData)


def test_a_payload_whose_class_was_not_decorated_is_refused():
    """Where one is given as a value, it is an InvalidRecordError with the same words."""
    table = SimulatedTable()
    user = simulated_store(table).user("u")
    record = user.add(PlainData(name="a"), record_id="1")
    sent = table.sent()
    for attempt in (
        lambda: user.add(Forgotten(name="a")),
        lambda: user.put(Forgotten(name="a")),
        lambda: user.add("x-plain", Forgotten(name="a")),
        lambda: user.set_fields("x-plain", "1", Forgotten(name="a")),
        lambda: Plain("u", data=Forgotten(name="a")),
        lambda: setattr(record, "data", Forgotten(name="a")),
        lambda: HoldingPlainData(plain=Forgotten(name="a")),
    ):
        with pytest.raises(InvalidRecordError, match=r"Forgotten derives .* @payload") as caught:
            attempt()
        assert caught.value.path is not None
        assert caught.value.path.startswith("data")
    assert table.sent() == sent


# --- what is shown --------------------------------------------------------------------------------


@given(own.any_payload())
def test_the_repr_shows_no_values(payload):
    """A payload's repr is its class, whatever is in it."""
    assert repr(payload) == f"<{type(payload).__name__}>"
    assert str(payload) == repr(payload)
