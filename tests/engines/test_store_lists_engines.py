"""Many records on every engine: by keys, in lists, one by one, and in pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import (
    HOUR,
    IN_FEWER_EXAMPLES,
    Table,
    goal,
    ids,
    new_user_id,
    stored_goal,
)

from thrivecalc_models import (
    Budget,
    BudgetData,
    DataStore,
    InvalidKeyError,
    IsolationError,
    Profile,
    RecordExistsError,
    SavingsGoal,
    UserRecord,
)

pytestmark = pytest.mark.usefixtures("shell")

RECORD_IDS = ["é", "a", "Z", "😀", "a#b", "10", "2", "￿"]


@pytest.fixture
def filled(user: Any) -> Any:
    """A user with goals, a budget and an unknown record."""
    with user.unit_of_work() as work:
        for number, record_id in enumerate(RECORD_IDS):
            work.put(goal(target=number), record_id=record_id)
        work.put(BudgetData(name="Food", period="monthly"), record_id="food")
        work.put("savings-goal-of-a-former-version", {"x": 1}, record_id="1")
    return user


def test_get_many(user: Any) -> None:
    """The answer is as long as the question and in its order, with None where nothing is."""
    with user.unit_of_work() as work:
        for number in range(120):
            work.put(goal(target=number), record_id=str(number))
        work.put(BudgetData(name="Food", period="monthly"), record_id="food")
    wanted = [(SavingsGoal, str(number)) for number in reversed(range(125))]
    found = user.get_many([*wanted, ("budget", "food"), wanted[-1]])
    assert len(found) == 127
    assert found[:5] == [None] * 5
    assert [record.data.target_amount for record in found[5:125]] == list(reversed(range(120)))
    assert isinstance(found[125], Budget)
    assert found[126] is found[124]
    assert user.get_many([]) == []


NUMBERS = {record_id: number for number, record_id in enumerate(RECORD_IDS)}
IN_ORDER = sorted(RECORD_IDS, key=str.encode)
TARGET = SavingsGoal.data.target_amount


@pytest.mark.parametrize("consistent", [False, True])
def test_reading_with_conditions(filled: Any, consistent: bool) -> None:
    """Lists, iterations, pages and counts have the records that a condition holds for."""
    large = [record_id for record_id in IN_ORDER if NUMBERS[record_id] > 3]
    how: dict[str, Any] = {"where": TARGET > 3, "consistent": consistent}
    assert ids(filled.list(SavingsGoal, **how)) == large
    assert sorted(ids(filled.iterate(SavingsGoal, **how))) == sorted(large)
    assert filled.count(SavingsGoal, **how) == len(large)
    assert ids(filled.list(SavingsGoal, **how, limit=2)) == large[:2]
    assert ids(filled.list(SavingsGoal, **how, reverse=True)) == large[::-1]
    by_target = sorted(large, key=lambda record_id: -NUMBERS[record_id])
    assert ids(filled.list(SavingsGoal, **how, order_by="-data.target_amount")) == by_target
    found: list[str] = []
    cursor = None
    for _ in RECORD_IDS:
        page = filled.page(SavingsGoal, **how, limit=3, cursor=cursor, reverse=True)
        found += ids(page.records)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == large[::-1]
    assert filled.count(consistent=consistent) == len(RECORD_IDS) + 2
    goals = UserRecord.data["targetAmount"].exists()
    assert filled.count(where=goals, consistent=consistent) == len(RECORD_IDS)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (SavingsGoal.record_id == "a", lambda record_id: record_id == "a"),
        (SavingsGoal.record_id.startswith("a"), lambda record_id: record_id.startswith("a")),
        (SavingsGoal.record_id.between("2", "a"), lambda record_id: "2" <= record_id <= "a"),
        (SavingsGoal.record_id < "a", lambda record_id: record_id < "a"),
        (SavingsGoal.record_id <= "a#b", lambda record_id: record_id <= "a#b"),
        (
            (SavingsGoal.record_id > "2") & (SavingsGoal.record_id < "é"),
            lambda record_id: "2" < record_id < "é",
        ),
        (SavingsGoal.record_id > "a", lambda record_id: record_id > "a"),
    ],
)
def test_conditions_on_the_record_id(filled: Any, where: Any, found: Any) -> None:
    """Whether it becomes a key condition or a filter, a condition on the record id holds."""
    expected = [record_id for record_id in IN_ORDER if found(record_id)]
    assert ids(filled.list(SavingsGoal, where=where)) == expected
    assert filled.count("savings-goal", where=where) == len(expected)


def test_a_units_lists_with_conditions(filled: Any) -> None:
    """A unit lists what a condition holds for with its pending changes, and commits them."""
    large = {record_id for record_id in IN_ORDER if NUMBERS[record_id] > 3}
    work = filled.unit_of_work()
    work.get(SavingsGoal, "a").data.target_amount = 9
    work.get(SavingsGoal, "2").data.target_amount = 0
    work.add(goal(target=5), record_id="new")
    work.delete(SavingsGoal, "10")
    expected = sorted((large | {"a", "new"}) - {"2", "10"}, key=str.encode)
    assert ids(work.list(SavingsGoal, where=TARGET > 3)) == expected
    assert work.count(SavingsGoal, where=TARGET > 3) == len(expected)
    work.commit()
    assert ids(filled.list(SavingsGoal, where=TARGET > 3, consistent=True)) == expected
    work.close()


@pytest.mark.parametrize("consistent", [False, True])
def test_list(filled: Any, consistent: bool) -> None:
    """A list has the records of its type only, in the order of their keys' UTF-8 bytes."""
    goals = filled.list(SavingsGoal, consistent=consistent)
    assert ids(goals) == sorted(RECORD_IDS, key=str.encode)
    assert ids(filled.list("savings-goal", consistent=consistent)) == ids(goals)
    assert ids(filled.list("savings-goal-of-a-former-version", consistent=consistent)) == ["1"]
    assert filled.list(Profile, consistent=consistent) == []
    everything = filled.list_all(consistent=consistent)
    assert ids(everything) == ["food", *ids(goals), "1"]


def test_orders(user: Any, table: Table) -> None:
    """Lists go by either stamp, in either direction."""
    for number, (created, updated) in enumerate([(3, 4), (1, 6), (2, 5)]):
        stamps = {
            "createdAt": {"S": f"2025-01-0{created}T00:00:00.000Z"},
            "updatedAt": {"S": f"2025-01-0{updated}T00:00:00.000Z"},
        }
        table.put(stored_goal(user.user_id, str(number), **stamps))
    assert ids(user.list(SavingsGoal, order_by="created_at")) == ["1", "2", "0"]
    assert ids(user.list(SavingsGoal, order_by="-created_at")) == ["0", "2", "1"]
    assert ids(user.list_all(order_by="updated_at")) == ["0", "2", "1"]
    assert ids(user.list_all(order_by="-updated_at")) == ["1", "2", "0"]


@pytest.mark.parametrize("consistent", [False, True])
def test_iterate(filled: Any, consistent: bool) -> None:
    """Iterating gives what the list has."""
    assert sorted(ids(filled.iterate(SavingsGoal, consistent=consistent))) == sorted(RECORD_IDS)
    assert len(list(filled.iterate(consistent=consistent))) == len(RECORD_IDS) + 2


@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("data_type", [SavingsGoal, None])
@pytest.mark.parametrize("limit", [1, 3, 8, 50])
def test_pages_are_the_list(filled: Any, data_type: Any, limit: int, consistent: bool) -> None:
    """Pages of any size, put together, are the list: nothing twice and nothing left out."""
    found: list[UserRecord] = []
    cursor = None
    while True:
        page = filled.page(data_type, limit=limit, cursor=cursor, consistent=consistent)
        assert len(page.records) <= limit
        found += page.records
        cursor = page.cursor
        if cursor is None:
            break
    listed = filled.list(data_type) if data_type else filled.list_all()
    assert sorted(record.record_key for record in found) == [r.record_key for r in listed]


def test_cursors_are_bound(filled: Any, store: DataStore) -> None:
    """A cursor goes on for its own user and query only."""
    cursor = filled.page(SavingsGoal, limit=2).cursor
    assert cursor is not None
    with pytest.raises(IsolationError):
        store.user(new_user_id()).page(SavingsGoal, limit=2, cursor=cursor)
    for other in ({"data_type": Budget}, {"data_type": None}, {"consistent": True}):
        with pytest.raises(InvalidKeyError):
            filled.page(**{"data_type": SavingsGoal, "cursor": cursor, **other})
    with pytest.raises(InvalidKeyError):
        filled.page(SavingsGoal, cursor="rubbish")


def test_a_list_longer_than_a_page(user: Any) -> None:
    """A list of several MB is whole, and comes page by page when iterated."""
    with user.unit_of_work() as work:
        for number in range(9):
            work.put(goal("x" * 380_000, target=number), record_id=str(number))
    for consistent in (False, True):
        goals = user.list(SavingsGoal, consistent=consistent)
        assert [record.data.target_amount for record in goals] == list(range(9))
    assert len(list(user.iterate(SavingsGoal))) == 9
    found = user.get_many([(SavingsGoal, str(number)) for number in range(9)])
    assert [record.data.target_amount for record in found] == list(range(9))


def test_expired_records(user: Any, table: Table) -> None:
    """An expired record is absent unless asked for, and its key is still taken."""
    past = datetime.now(UTC) - HOUR
    user.add(goal("Old"), record_id="old", ttl=past)
    user.add(goal("New"), record_id="new", ttl=past + 2 * HOUR)
    assert table.items(user.user_id)["savings-goal#old"]["ttl"]["N"] >= int(past.timestamp())
    keys = [(SavingsGoal, "new"), (SavingsGoal, "old")]
    for shown, include in ((["new"], False), (["new", "old"], True)):
        asked = {"include_expired": include}
        assert ids(user.list(SavingsGoal, **asked)) == shown
        assert ids(user.list_all(consistent=True, **asked)) == shown
        assert sorted(ids(user.iterate(SavingsGoal, **asked))) == shown
        assert sorted(ids(user.page(SavingsGoal, **asked).records)) == shown
        assert ids(filter(None, user.get_many(keys, **asked))) == shown
        assert (user.get(SavingsGoal, "old", **asked) is not None) is include
        with user.unit_of_work(**asked) as work:
            assert ids(work.list(SavingsGoal)) == shown
            assert ids(filter(None, work.get_many(keys))) == shown
    with pytest.raises(RecordExistsError) as caught:
        user.add(goal("Again"), record_id="old")
    assert caught.value.stored.data.name == "Old"
    user.put(goal("Again"), record_id="old")
    assert user.get(SavingsGoal, "old").data.name == "Again"


@given(
    sizes=st.lists(st.sampled_from([10, 1000, 200_000]), max_size=9),
    limit=st.integers(1, 10),
    consistent=st.booleans(),
    hidden=st.sets(st.integers(0, 8)),
)
@IN_FEWER_EXAMPLES
def test_any_pages_are_the_list(
    store: DataStore, sizes: list[int], limit: int, consistent: bool, hidden: set[int]
) -> None:
    """Pages put together are the list, whatever their size and however many of them are empty."""
    user = store.user(new_user_id())
    past = datetime.now(UTC) - HOUR
    with user.unit_of_work() as work:
        for number, size in enumerate(sizes):
            ttl = past if number in hidden else None
            work.put(goal("x" * size), record_id=str(number), ttl=ttl)
    found: list[str] = []
    cursor = None
    while True:
        page = user.page(SavingsGoal, limit=limit, cursor=cursor, consistent=consistent)
        found += ids(page.records)
        cursor = page.cursor
        if cursor is None:
            break
    expected = [str(number) for number in range(len(sizes)) if number not in hidden]
    assert sorted(found) == expected
    assert ids(user.list(SavingsGoal, consistent=consistent)) == expected
