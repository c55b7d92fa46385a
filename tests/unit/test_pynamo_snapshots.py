"""After each write by PynamoDB's methods a record is its own snapshot, or says that it is not."""

from __future__ import annotations

import pytest
from leaks import USER
from machines import changed, goal_item
from pynamodb.transactions import TransactWrite

from thrivecalc_models import InvalidRecordError, SavingsGoal, data_store
from thrivecalc_models.testing import SimulatedTable, simulated_store

KEY = "savings-goal#g"
CURRENT = SavingsGoal.data["currentAmount"]


@pytest.fixture
def table():
    table = SimulatedTable()
    table.put(goal_item())
    return table


@pytest.fixture
def user(table):
    store = simulated_store(table)
    data_store.configure(store)
    yield store.user(USER)
    data_store.configure(None)


def transact(record, actions, **options):
    connection = SavingsGoal._get_connection().connection
    with TransactWrite(connection=connection) as transaction:
        transaction.update(record, actions, **options)


KNOWN = {
    "set": [CURRENT.set(250)],
    "add": [CURRENT.add(150)],
    "set to a sum": [CURRENT.set(CURRENT + 150)],
    "remove": [SavingsGoal.data["colour"].remove(), CURRENT.set(250)],
    "set of a name at the top": [CURRENT.set(250), SavingsGoal.ttl.remove()],
}


@pytest.mark.parametrize("actions", KNOWN)
def test_a_record_follows_its_own_transaction(table, user, actions):
    """After an update in a TransactWrite the record has what is stored, and can be written."""
    record = user.get(SavingsGoal, "g")
    record.data.name = "edited before"
    transact(record, KNOWN[actions])
    assert record.item == table.get(USER, KEY)
    assert record.data.current_amount == 250
    assert record.updated_at is not None
    user.update(record)  # the edit that was no part of the actions
    assert table.get(USER, KEY)["data"]["M"]["name"] == {"S": "edited before"}
    sent = table.sent()
    user.update(record)
    assert table.sent() == sent
    record.save()
    record.update([CURRENT.set(300)])
    user.delete(record)
    assert table.get(USER, KEY) is None


def test_a_record_that_cannot_know_what_is_stored_says_so(table, user):
    """Where the result did not come back, a write says so, and not that others changed it."""
    record = user.get(SavingsGoal, "g")
    transact(record, [CURRENT.set(7)], add_version_condition=False)
    sent = table.sent()
    for write in (
        lambda: user.put(record),
        lambda: user.delete(record),
        record.save,
        lambda: record.update([CURRENT.set(8)]),
        record.delete,
        lambda: setattr(record, "ttl", None),
    ):
        with pytest.raises(InvalidRecordError, match="refresh"):
            write()
    record.data.current_amount = 9
    with pytest.raises(InvalidRecordError, match="refresh"):
        user.update(record)
    assert table.sent() == sent
    record.refresh()
    assert record.data.current_amount == 7
    record.data.current_amount = 9
    user.update(record)
    assert table.get(USER, KEY)["data"]["M"]["currentAmount"] == {"N": "9"}


def test_a_transaction_that_was_not_applied_changes_nothing(table, user):
    """A record whose transaction was refused is as it was before."""
    record = user.get(SavingsGoal, "g")
    before = record.item
    table.put(changed(goal_item(), name={"S": "theirs"}))
    with pytest.raises(Exception, match="transaction"):
        transact(record, [CURRENT.set(7)])
    assert record.item == before
    assert record.data.current_amount == 100
