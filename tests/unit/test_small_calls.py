"""Calls that spare a unit of work: exists, add_many, delete_many, in both shells."""

from __future__ import annotations

import pytest
from leaks import USER
from machines import EXPIRED, goal_item, item, payment, requests
from simulated import in_shell

from thrivecalc_models import (
    Budget,
    CommitError,
    CommitResult,
    InvalidKeyError,
    InvalidRecordError,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
)
from thrivecalc_models.testing import faults, simulated_store

KEY = "savings-goal#g"

pytestmark = pytest.mark.usefixtures("a_stored_goal")


@pytest.fixture(params=["UserData", "AsyncUserData"])
def user(request, table):
    """The data of a user through each shell."""
    return in_shell(request.param, simulated_store(table), USER)


def goal(amount=1):
    return SavingsGoalData(name="n", target_amount=amount)


# --- exists ---------------------------------------------------------------------------------------


def test_exists_is_one_reading(table, user):
    """exists is one GetItem, and says whether get would give a record."""
    table.put(goal_item("old", ttl=EXPIRED))
    assert user.exists(SavingsGoal, "g") is True
    assert user.exists("savings-goal", "none") is False
    assert user.exists(SavingsGoal, "old") is False
    assert user.exists(SavingsGoal, "old", consistent=True, include_expired=True) is True
    assert [operation for operation, _ in requests(table)] == ["GetItem"] * 4
    assert [bool(entry.request.get("ConsistentRead")) for entry in table.log] == [
        False,
        False,
        False,
        True,
    ]


def test_a_malformed_record_exists(table, user):
    """What cannot be read as its class exists all the same."""
    table.put(item("savings-goal", "bad", {}))
    assert user.exists(SavingsGoal, "bad")


# --- add_many -------------------------------------------------------------------------------------


def test_add_many_is_one_unit(table, user):
    """60 records are 3 BatchWriteItem, and come back in order, each stored."""
    records = user.add_many(goal(amount) for amount in range(60))
    assert [operation for operation, _ in requests(table)] == ["BatchWriteItem"] * 3
    assert sorted(len(keys) for _, keys in requests(table)) == [10, 25, 25]
    assert [record.data.target_amount for record in records] == list(range(60))
    for record in records:
        assert table.get(USER, record.record_key) == record.item


def test_add_many_takes_what_add_takes(table, user):
    """Payloads, records, and pairs of a type and a mapping may stand side by side."""
    given = Transaction(data=payment())
    records = user.add_many([goal(), given, ("budget", {"name": "n", "period": "p", "x": 1})])
    assert [type(record) for record in records] == [SavingsGoal, Transaction, Budget]
    assert records[1] is given
    assert table.get(USER, records[2].record_key)["data"]["M"]["x"] == {"N": "1"}


def test_add_many_of_nothing(table, user):
    """No records are no request."""
    assert user.add_many([]) == []
    assert table.sent() == 0


def test_add_many_checks_everything_first(table, user):
    """One bad record of three is refused before anything is sent."""
    with pytest.raises(InvalidRecordError):
        user.add_many([goal(), goal(2**60), goal()])
    assert table.sent() == 0


def test_add_many_says_what_was_not_added(table, user):
    """A taken key does not stop the rest; the CommitError has every key in its place."""
    taken = SavingsGoal(record_id="g", data=goal())
    with pytest.raises(CommitError) as failed:
        user.add_many([goal(), taken, goal()])
    assert len(failed.value.applied) == 2
    assert failed.value.not_applied == [KEY]
    assert failed.value.causes[KEY].record is taken
    assert table.get(USER, KEY) == goal_item()


# --- delete_many ----------------------------------------------------------------------------------


def test_delete_many_is_one_unit(table, user):
    """30 keys, of which some are not stored or named twice, are 2 BatchWriteItem."""
    names = [str(number) for number in range(28)]
    for name in names[:20]:
        table.put(goal_item(name))
    keys = [(SavingsGoal, name) for name in names]
    result = user.delete_many([*keys, ("savings-goal", "g"), KEY, ("budget", "b"), keys[0]])
    assert isinstance(result, CommitResult)
    assert len(result.applied) == 30
    assert result.requests == 2
    assert [operation for operation, _ in requests(table)] == ["BatchWriteItem"] * 2
    assert table.items == {}


def test_delete_many_of_one_and_of_none(table, user):
    """One key is a DeleteItem, as the guide's policy allows; none is no request."""
    assert user.delete_many([]) == CommitResult()
    assert user.delete_many([(SavingsGoal, "g")]).applied == [KEY]
    assert requests(table) == [("DeleteItem", (KEY,))]


@pytest.mark.parametrize("key", ["text", ("savings-goal",), ("savings-goal", ""), 5])
def test_delete_many_refuses_a_bad_key(table, user, key):
    """What is no key is refused before anything is sent."""
    with pytest.raises(InvalidKeyError):
        user.delete_many([(SavingsGoal, "g"), key])
    assert table.sent() == 0


def test_lost_replies_of_many(table, user):
    """Replies that are lost are found again: nothing is twice, and nothing is unknown."""
    table.fail_next(faults.LoseReply(applied=True), "BatchWriteItem", 2)
    records = user.add_many([goal(), goal()])
    assert len(table.items) == 3
    table.fail_next(faults.LoseReply(applied=True), "BatchWriteItem", 1)
    result = user.delete_many([record.record_key for record in records])
    assert len(result.applied) == 2
    assert set(table.items) == {(USER, KEY)}
