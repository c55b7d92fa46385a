"""Conditions on fields: what they become, and what is refused while they are built."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from leaks import USER
from pynamodb.expressions.condition import size

from thrivecalc_models import (
    Amount,
    Budget,
    InvalidRecordError,
    PayloadAttribute,
    Profile,
    RetirementPlan,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    UserRecord,
    field,
    payload,
)

NOON = datetime(2025, 1, 7, 12, 30, tzinfo=UTC)


@payload
class CoverData:
    insurer: str
    paid: Amount


@payload
class PolicyData:
    cover: CoverData
    covers: list[CoverData] | None = None
    by_name: dict[str, CoverData] | None = None
    marks: set[str] | None = None
    photo: bytes | None = None
    active: bool | None = None
    signed_at: datetime | None = None
    note: Any = None
    default: Amount | None = None
    short: str | None = field(stored_as="s", default=None)


class Policy(UserRecord, discriminator="x-conditions-policy"):
    data = PayloadAttribute(PolicyData)


WRITTEN = {
    "data.targetAmount > {'N': '5'}": lambda: SavingsGoal.data.target_amount > 5,
    "data.targetAmount <= {'N': '5.5'}": lambda: SavingsGoal.data.target_amount <= "5.5",
    "data.targetAmount = {'N': '0.1'}": lambda: SavingsGoal.data.target_amount == 0.1,
    "data.targetAmount <> {'N': '1'}": lambda: SavingsGoal.data.target_amount != Decimal("1.0"),
    "data.currentAge >= {'N': '30'}": lambda: RetirementPlan.data.current_age >= 30,
    "data.date BETWEEN {'S': '2025-01-01'} AND {'S': '2025-01-31'}": lambda: (
        Transaction.data.date.between("2025-1-1", date(2025, 1, 31))
    ),
    "data.category IN ({'S': 'food'}, {'S': 'rent'})": lambda: Transaction.data.category.is_in(
        "food", "rent"
    ),
    "begins_with (data.description, {'S': 'a'})": lambda: Transaction.data.description.startswith(
        "a"
    ),
    "begins_with (data.date, {'S': '2025-01'})": lambda: Transaction.data.date.startswith(
        "2025-01"
    ),
    "contains (data.description, {'S': 'a'})": lambda: Transaction.data.description.contains("a"),
    "contains (data.tags, {'S': 'a'})": lambda: Transaction.data.tags.contains("a"),
    "contains (data.marks, {'S': 'a'})": lambda: Policy.data.marks.contains("a"),
    "attribute_exists (data.limits.food)": lambda: Budget.data.limits["food"].exists(),
    "attribute_not_exists (data.email)": lambda: Profile.data.email.does_not_exist(),
    "attribute_type (data.email, {'S': 'NULL'})": lambda: Profile.data.email.is_type("NULL"),
    "data.limits.food < {'N': '300'}": lambda: Budget.data.limits["food"] < 300,
    "data.currentAmount >= data.targetAmount": lambda: (
        SavingsGoal.data.current_amount >= SavingsGoal.data.target_amount
    ),
    "(data.name = {'S': 'a'} AND (NOT data.currency = {'S': 'USD'}))": lambda: (
        (SavingsGoal.data.name == "a") & ~(Profile.data.currency == "USD")
    ),
    "(data.name = {'S': 'a'} OR attribute_exists (ttl))": lambda: (
        (SavingsGoal.data.name == "a") | UserRecord.ttl.exists()
    ),
    "data.cover.insurer = {'S': 'a'}": lambda: Policy.data.cover.insurer == "a",
    "data.covers[0].paid > {'N': '5'}": lambda: Policy.data.covers[0].paid > 5,
    "data.byName.x.paid > {'N': '5'}": lambda: Policy.data.by_name["x"].paid > 5,
    "data.cover = {'M': {'insurer': {'S': 'a'}, 'paid': {'N': '5'}}}": lambda: (
        Policy.data.cover == CoverData(insurer="a", paid=5)
    ),
    "data.photo > {'B': b'\\x00'}": lambda: Policy.data.photo > b"\x00",
    "data.active = {'BOOL': True}": lambda: Policy.data.active == True,  # noqa: E712
    "data.signedAt < {'S': '2025-01-07T12:30:00.000Z'}": lambda: Policy.data.signed_at < NOON,
    "data.s = {'S': 'a'}": lambda: Policy.data.short == "a",
    "data.note.a = {'N': '5'}": lambda: Policy.data.note["a"] == 5,
    "data.default > {'N': '5'}": lambda: Policy.data["default"] > "5",
    "data.anyName = {'S': 'a'}": lambda: SavingsGoal.data["anyName"] == "a",
    "data.targetDate = {'S': '2025-01-07'}": lambda: SavingsGoal.data["targetDate"] == "2025-1-7",
    "data.targetDate = {'S': '2025-1-7'}": lambda: (
        SavingsGoal.data["targetDate"] == {"S": "2025-1-7"}
    ),
    "createdAt >= {'S': '2025-01-07T12:30:00.000Z'}": lambda: UserRecord.created_at >= NOON,
    "updatedAt < {'S': '2025-01-07T12:30:00.000Z'}": lambda: SavingsGoal.updated_at < NOON,
    "ttl <= {'N': '1736253001'}": lambda: UserRecord.ttl <= NOON + timedelta(milliseconds=1),
    "begins_with (recordId, {'S': 'a'})": lambda: SavingsGoal.record_id.startswith("a"),
    "recordId = {'S': '00000000-0000-0000-0000-000000000005'}": lambda: (
        SavingsGoal.record_id == UUID(int=5)
    ),
    "size (data.tags) > {'N': '5'}": lambda: size(Transaction.data.tags) > 5,
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_condition_is_about_the_stored_name_and_form(written):
    """Fields are named as in Python; names and values in the condition are as they are stored."""
    assert str(WRITTEN[written]()) == written


MISSPELT = {
    "target_amount": lambda: SavingsGoal.data.target_amuont,
    "target_date": lambda: SavingsGoal.data.targetDate,
    "insurer": lambda: Policy.data.cover.insurr,
    "paid": lambda: Policy.data.covers[0].payd,
    "\\['food'\\]": lambda: Budget.data.limits.food,
    "\\['note'\\]": lambda: UserRecord.data.note,
}


@pytest.mark.parametrize("meant", MISSPELT)
def test_a_wrong_name_is_an_attribute_error(meant):
    """A name that is no field's is an AttributeError with the nearest one."""
    with pytest.raises(AttributeError, match=meant):
        MISSPELT[meant]()


def test_a_name_that_is_near_nothing_is_an_attribute_error_too():
    """Where no field is near, none is suggested."""
    with pytest.raises(AttributeError, match=r"SavingsGoalData has no field 'zebra'$"):
        _ = SavingsGoal.data.zebra
    assert not hasattr(SavingsGoal.data.name, "_repr_html_")


REFUSED = [
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount > "much"),
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount == True),  # noqa: E712
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount < float("nan")),
    ("data.targetAmount", lambda: SavingsGoal.data["targetAmount"] > "much"),
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount.startswith("5")),
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount.contains(5)),
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount.between(5, 4)),
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount.between(5, "x")),
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount > SavingsGoal.data.name),
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount == SavingsGoal.updated_at),
    ("data.targetAmount", lambda: SavingsGoal.data.target_amount < SavingsGoal.data.target_amount),
    ("data.currentAge", lambda: RetirementPlan.data.current_age > 30.5),
    ("data.targetDate", lambda: SavingsGoal.data.target_date < "soon"),
    ("data.targetDate", lambda: SavingsGoal.data.target_date == None),  # noqa: E711
    ("data.targetDate", lambda: SavingsGoal.data.target_date.contains("2025")),
    ("data.name", lambda: SavingsGoal.data.name == 5),
    ("data.name", lambda: SavingsGoal.data.name.is_in()),
    ("data.name", lambda: SavingsGoal.data.name.is_in(["a", "b"])),
    ("data.name", lambda: SavingsGoal.data.name.is_in(*map(str, range(101)))),
    ("data.name", lambda: SavingsGoal.data.name.is_type("X")),
    ("data.name.x", lambda: SavingsGoal.data.name["x"]),
    ("data.name", lambda: SavingsGoal.data.name.startswith(5)),
    ("data.tags", lambda: Transaction.data.tags == ["a"]),
    ("data.tags", lambda: Transaction.data.tags != ["a"]),
    ("data.tags", lambda: Transaction.data.tags.is_in(["a"])),
    ("data.tags", lambda: Transaction.data.tags < ["a"]),
    ("data.tags", lambda: Transaction.data.tags.startswith("a")),
    ("data.tags", lambda: Transaction.data.tags.contains(5)),
    ("data.tags", lambda: Transaction.data.tags.contains(None)),
    ("data.tags.x", lambda: Transaction.data.tags["x"]),
    ("data.limits", lambda: Budget.data.limits.contains("food")),
    ("data.limits", lambda: Budget.data.limits > 5),
    ("data.limits.food", lambda: Budget.data.limits["food"] == "much"),
    ("data.limits", lambda: Budget.data.limits["a[0]"]),
    ("data.limits[0]", lambda: Budget.data.limits[0]),
    ("data.active", lambda: Policy.data.active > False),
    ("data.marks", lambda: Policy.data.marks < {"a"}),
    ("data.signedAt", lambda: Policy.data.signed_at < datetime(2025, 1, 7)),
    ("data.cover", lambda: Policy.data.cover == {"insurer": "a"}),
    ("data.x", lambda: SavingsGoal.data["x"] < True),
    ("data.x", lambda: SavingsGoal.data["x"].startswith(5)),
    ("data.x", lambda: SavingsGoal.data["x"].between("a", 5)),
    ("data.target_amount", lambda: SavingsGoal.data["target_amount"] > 5),
    ("data", lambda: SavingsGoal.data > 5),
    ("createdAt", lambda: UserRecord.created_at > "yesterday"),
    ("createdAt", lambda: UserRecord.created_at > datetime(2025, 1, 7)),
    ("updatedAt", lambda: UserRecord.updated_at == None),  # noqa: E711
    ("ttl", lambda: UserRecord.ttl < 5),
    ("ttl", lambda: UserRecord.ttl.startswith("5")),
    ("recordId", lambda: UserRecord.record_id == 5),
    ("recordId", lambda: UserRecord.record_id.between("b", "a")),
    ("data.name", lambda: SavingsGoal.data.name.set(5)),
    ("data.name", lambda: SavingsGoal.data.name + 5),
    ("data.currentAmount", lambda: SavingsGoal.data.current_amount - "x"),
    ("data.name", lambda: SavingsGoal.data.name.set(None)),
]


@pytest.mark.parametrize(("path", "build"), REFUSED)
def test_a_wrong_condition_is_refused_while_it_is_built(path, build):
    """A value of another kind, or a comparison that means nothing, has the path in its error."""
    with pytest.raises(InvalidRecordError) as caught:
        build()
    assert caught.value.path == path


def test_conditions_show_no_values_in_errors():
    """The error of a refused value says what the field takes and not what was given."""
    with pytest.raises(InvalidRecordError) as caught:
        _ = SavingsGoal.data.target_amount > "secret"
    assert "secret" not in str(caught.value)


def test_a_field_called_like_a_method_is_reached_by_its_stored_name():
    """`data["default"]` is the field, as `data.default` is PynamoDB's."""
    assert Policy.data.default is None
    assert (Policy.data["default"] == 5).values[0].path == ["data", "default"]


# --- PynamoDB's calls -----------------------------------------------------------------------------


def stored(service: Any, record_id: str = "g", **fields: Any) -> SavingsGoal:
    data = SavingsGoalData(**{"name": "House", "target_amount": 100} | fields)
    goal = SavingsGoal(USER, data=data, record_id=record_id)
    goal.save()
    return goal


def test_a_query_and_a_scan_filter_by_a_field(service):
    """`query`, `scan` and `count` take a condition on a field as their filter."""
    stored(service, "a", target_amount=5)
    stored(service, "b", target_amount=50)
    large = SavingsGoal.data.target_amount > 5
    assert [goal.record_id for goal in SavingsGoal.query(USER, filter_condition=large)] == ["b"]
    assert [goal.record_id for goal in SavingsGoal.scan(large)] == ["b"]
    assert SavingsGoal.count(USER, filter_condition=large) == 1
    assert service.log[-1].request["Select"] == "COUNT"


def test_typed_paths_are_operands_of_actions(service):
    """`set`, `+` and `-` on fields calculate in the table, on values converted as the field's."""
    goal = stored(service, current_amount=10)
    current = SavingsGoal.data.current_amount
    goal.update(
        actions=[current.set(current + "500"), SavingsGoal.data.target_date.set("2025-1-7")]
    )
    assert (goal.data.current_amount, goal.data.target_date) == (510, date(2025, 1, 7))
    goal.update(
        actions=[current.set(current - 0.5), SavingsGoal.data.target_date.set(None)],
        condition=SavingsGoal.data.target_date.exists() & (current == 510),
    )
    form = service.get(USER, goal.record_key)["data"]["M"]
    assert form["currentAmount"] == {"N": "509.5"}
    assert "targetDate" not in form
    goal.update(actions=[current.set(SavingsGoal.data.target_amount)])
    assert goal.data.current_amount == 100
