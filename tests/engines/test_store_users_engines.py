"""One user on every engine: apart from others, closed, in repeated units, by the functions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from stored import (
    HOUR,
    ODD,
    Table,
    goal,
    ids,
    new_user_id,
)

from thrivecalc_models import (
    BudgetData,
    CommitError,
    ConflictError,
    DataStore,
    IsolationError,
    RecordNotFoundError,
    SavingsGoal,
    data_store,
)


def test_users_are_apart(store: DataStore) -> None:
    """What one user has no other sees, lists or deletes, whatever the ids have in common."""
    one_id = new_user_id()
    one, other = store.user(one_id), store.user(one_id + "0")
    mine = one.add(goal("Mine"), record_id="same")
    other.add(goal("Theirs"), record_id="same")
    assert one.get(SavingsGoal, "same").data.name == "Mine"
    assert [record.data.name for record in one.list_all()] == ["Mine"]
    for call in (other.update, other.delete, other.put, other.add):
        with pytest.raises(IsolationError):
            call(mine)
    one.delete_all()
    assert [record.data.name for record in other.list_all()] == ["Theirs"]


def test_delete_all(user: Any, table: Table) -> None:
    """Closing an account leaves nothing: expired, unknown and malformed items go too."""
    with user.unit_of_work() as work:
        for number in range(60):
            work.add(goal(target=number))
        work.add("strange", {"x": 1})
        work.add(goal(), ttl=datetime.now(UTC) - HOUR)
    table.put(*(row["Item"] | {"userId": {"S": user.user_id}} for row in ODD))
    keys = set(table.items(user.user_id))
    result = user.delete_all()
    assert set(result.applied) == keys
    assert table.items(user.user_id) == {}
    assert user.delete_all().applied == []


def test_run(user: Any) -> None:
    """A function is run again after a conflict, with what is stored by then, and its result
    returned."""
    user.add(goal(), record_id="one")
    user.add(goal(), record_id="two")
    calls = []

    def move(work: Any) -> str:
        one, two = work.get(SavingsGoal, "one"), work.get(SavingsGoal, "two")
        if not calls:
            theirs = user.get(SavingsGoal, "one")
            theirs.data.current_amount = 40
            user.update(theirs)
        calls.append(one.data.current_amount)
        one.data.current_amount -= 10
        two.data.current_amount += 10
        return "moved"

    assert user.run(move) == "moved"
    assert calls == [0, 40]
    amounts = [record.data.current_amount for record in user.list(SavingsGoal)]
    assert amounts == [30, 10]

    def always_late(work: Any) -> None:
        one = work.get(SavingsGoal, "one")
        theirs = user.get(SavingsGoal, "one")
        theirs.data.current_amount += 1
        user.update(theirs)
        one.data.current_amount = 0

    with pytest.raises(CommitError) as caught:
        user.run(always_late, attempts=2, atomic=False)
    assert caught.value.not_applied == ["savings-goal#one"]
    assert isinstance(caught.value.causes["savings-goal#one"], ConflictError)
    assert user.get(SavingsGoal, "one").data.current_amount == 32


def test_the_functions(store: DataStore) -> None:
    """The guide's six functions do what their names say, on the store that was configured."""
    user_id = new_user_id()
    data_store.configure(store)
    try:
        record_id = data_store.save_user_data(
            user_id, "savings-goal", {"name": "Car", "targetAmount": 5, "colour": "red"}
        )
        record = data_store.get_user_data(user_id, SavingsGoal, record_id)
        assert record is not None
        assert record.data == goal(target=5)
        updated = data_store.update_user_data(user_id, SavingsGoal, record_id, goal("Boat", 6))
        assert updated.data == goal("Boat", 6)
        assert updated.extra_data == {"colour": "red"}
        data_store.update_user_data(
            user_id, "savings-goal", record_id, {"name": "Bus", "targetAmount": 7}
        )
        (listed,) = data_store.list_user_data(user_id, "savings-goal")
        assert (listed.data, listed.extra_data) == (goal("Bus", 7), {})
        budget = BudgetData(name="Food", period="monthly")
        other = data_store.save_user_data(user_id, "budget", budget)
        assert ids(data_store.list_all_user_data(user_id)) == [other, record_id]
        data_store.delete_user_data(user_id, "budget", other)
        data_store.delete_user_data(user_id, "budget", other)
        assert data_store.get_user_data(user_id, "budget", other) is None
        for data in ({"name": "x", "targetAmount": 1}, goal()):
            with pytest.raises(RecordNotFoundError):
                data_store.update_user_data(user_id, "savings-goal", "none", data)
    finally:
        data_store.configure(None)
