"""One record on every engine: added, read, updated, replaced, put and deleted."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from stored import (
    IN_FEWER_EXAMPLES,
    Table,
    comparable,
    goal,
    new_user_id,
    stored_goal,
    without,
)

from thrivecalc_models import (
    Budget,
    BudgetData,
    ConflictError,
    DataStore,
    PortfolioHoldingData,
    ProfileData,
    RecordExistsError,
    RecordNotFoundError,
    SavingsGoal,
    UnknownRecord,
)
from thrivecalc_models.testing import strategies

pytestmark = pytest.mark.usefixtures("shell")


def test_add_and_get(user: Any) -> None:
    """What is added is read back equal, under a fresh id, with its stamps, by class or by type."""
    added = user.add(goal(current_amount="12.5", target_date=date(2030, 1, 7)))
    assert isinstance(added, SavingsGoal)
    for found in (
        user.get(SavingsGoal, added.record_id),
        user.get("savings-goal", added.record_id, consistent=True),
    ):
        assert type(found) is SavingsGoal
        assert found.data == added.data
        assert found.data.current_amount == Decimal("12.5")
        assert found.created_at == found.updated_at == added.updated_at
        assert found.version == added.version
        assert found.user_id == user.user_id
        assert found.record_key == f"savings-goal#{added.record_id}"
    assert user.get(Budget, added.record_id) is None
    assert user.get(SavingsGoal, "another") is None


def test_add_of_a_mapping(user: Any, table: Table) -> None:
    """A camelCase mapping is stored as given, undeclared keys, NULL and absence included."""
    given = {"name": "Car", "targetAmount": 5, "targetDate": None, "colour": {"hex": ["#fff"]}}
    added = user.add("savings-goal", given, record_id="a#b")
    (item,) = table.items(user.user_id).values()
    assert item["data"] == comparable(
        {
            "M": {
                "name": {"S": "Car"},
                "targetAmount": {"N": "5"},
                "targetDate": {"NULL": True},
                "colour": {"M": {"hex": {"L": [{"S": "#fff"}]}}},
            }
        }
    )
    assert item["recordKey"] == {"S": "savings-goal#a#b"}
    found = user.get(SavingsGoal, "a#b")
    assert found.extra_data == {"colour": {"hex": ["#fff"]}}
    assert found.data == added.data
    unknown = user.add("net-worth-snapshot", {"assets": 7})
    assert isinstance(user.get("net-worth-snapshot", unknown.record_id), UnknownRecord)


def test_a_taken_id(user: Any) -> None:
    """A record id can be taken once: the second add changes nothing and shows what is there."""
    user.add(goal("First"), record_id="one")
    with pytest.raises(RecordExistsError) as caught:
        user.add(goal("Second"), record_id="one")
    assert caught.value.outcome == "not applied"
    assert caught.value.stored.data.name == "First"
    assert user.get(SavingsGoal, "one").data.name == "First"
    user.add(BudgetData(name="Food", period="monthly"), record_id="one")


def test_update(user: Any, table: Table) -> None:
    """An update writes what changed and moves the stamp forward; nothing changed is no request."""
    added = user.add(goal(), record_id="one")
    before = table.items(user.user_id)[added.record_key]
    assert user.update(added) is added
    assert table.items(user.user_id)[added.record_key] == before
    added.data.current_amount += 500
    user.update(added)
    after = table.items(user.user_id)[added.record_key]
    assert after["data"]["M"] == before["data"]["M"] | {"currentAmount": {"N": Decimal(500)}}
    assert after["updatedAt"]["S"] > before["updatedAt"]["S"]
    assert without(after, "data", "updatedAt") == without(before, "data", "updatedAt")
    added.data.target_date = date(2031, 2, 3)
    user.update(added)
    added.data.target_date = None
    user.update(added)
    assert "targetDate" not in table.items(user.user_id)[added.record_key]["data"]["M"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_conflict(user: Any, gone: bool) -> None:
    """An update of what somebody changed or deleted is refused and shows what is there now."""
    user.add(goal(), record_id="one")
    mine, theirs = user.get(SavingsGoal, "one"), user.get(SavingsGoal, "one")
    if gone:
        user.delete(SavingsGoal, "one")
    else:
        theirs.data.name = "Boat"
        user.update(theirs)
    mine.data.current_amount = 1
    with pytest.raises(ConflictError) as caught:
        user.update(mine)
    assert caught.value.outcome == "not applied"
    assert caught.value.record is mine
    assert caught.value.record_key == "savings-goal#one"
    if gone:
        assert caught.value.stored is None
        assert user.get(SavingsGoal, "one") is None
    else:
        assert caught.value.stored.data.name == "Boat"
        assert user.get(SavingsGoal, "one").data.current_amount == 0


def test_a_conflict_under_an_old_stamp(user: Any, table: Table) -> None:
    """A writer whose clock made the very stamp that was read is noticed by the field it changed."""
    added = user.add(goal(), record_id="one")
    stored = added.item
    stored["data"]["M"]["currentAmount"] = {"N": "7"}
    table.put(stored)
    added.data.current_amount = 1
    with pytest.raises(ConflictError) as caught:
        user.update(added)
    assert caught.value.stored.data.current_amount == 7


def test_replace_data(user: Any, table: Table) -> None:
    """All of `data` is replaced, the rest of the item stays; a record must be there."""
    table.put(stored_goal(user.user_id, "one", colour={"S": "red"}))
    record = user.replace_data("savings-goal", "one", {"name": "New", "targetAmount": 2})
    assert record.data == goal("New", 2)
    (item,) = table.items(user.user_id).values()
    assert item["data"] == comparable({"M": {"name": {"S": "New"}, "targetAmount": {"N": "2"}}})
    assert item["colour"] == {"S": "red"}
    with pytest.raises(RecordNotFoundError):
        user.replace_data(SavingsGoal, "two", {"name": "New", "targetAmount": 2})
    assert len(table.items(user.user_id)) == 1


def test_put(user: Any) -> None:
    """A put creates or replaces the whole item, whoever wrote it last."""
    user.put(goal("First"), record_id="one")
    stale = user.get(SavingsGoal, "one")
    user.put(goal("Second"), record_id="one")
    assert user.get(SavingsGoal, "one").data.name == "Second"
    stale.data.name = "Third"
    user.put(stale)
    assert user.get(SavingsGoal, "one").data.name == "Third"


def test_text_of_an_own_class(store: DataStore) -> None:
    """User ids, record ids and texts that are members of a string enum are text like any other."""

    class Word(enum.StrEnum):
        ONE = "one"

    user = store.user(Word.ONE)
    user.put(BudgetData(name=Word.ONE, period=Word.ONE), record_id=Word.ONE)
    stored = store.user("one").get(Budget, "one")
    assert stored.data == BudgetData(name="one", period="one")


def test_delete(user: Any) -> None:
    """A key is deleted whatever is there; a loaded record only if unchanged, and gone is fine."""
    user.add(goal(), record_id="one")
    stale, fresh = user.get(SavingsGoal, "one"), user.get(SavingsGoal, "one")
    fresh.data.name = "Boat"
    user.update(fresh)
    with pytest.raises(ConflictError) as caught:
        user.delete(stale)
    assert caught.value.stored.data.name == "Boat"
    user.delete(fresh)
    user.delete(fresh)
    assert user.get(SavingsGoal, "one") is None
    user.delete(SavingsGoal, "one")
    user.delete("savings-goal", "never")
    user.add(goal(), record_id="two")
    user.delete("savings-goal", "two")
    assert user.list_all() == []


def test_other_payloads(user: Any) -> None:
    """Holdings and profiles keep their decimals, text and dates on every engine."""
    holding = PortfolioHoldingData(symbol="VTI", shares="0.1", purchase_price=0.1)
    profile = ProfileData(display_name="Zoë 😀", date_of_birth=date(1990, 2, 28))
    added = [user.add(holding), user.add(profile)]
    found = user.get_many([(type(record), record.record_id) for record in added])
    assert [record.data for record in found] == [holding, profile]


@given(payload=strategies.any_payload())
@IN_FEWER_EXAMPLES
def test_payloads_survive(store: DataStore, payload: Any) -> None:
    """Every payload is read back equal from an engine."""
    user = store.user(new_user_id())
    added = user.add(payload)
    found = user.get(type(added), added.record_id, include_expired=True)
    assert found.data == payload
