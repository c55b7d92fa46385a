"""After each write by PynamoDB's methods a record is its own snapshot, or says that it is not."""

from __future__ import annotations

import pytest
from leaks import USER
from machines import changed, goal_item
from pynamodb.exceptions import PutError, TransactWriteError, UpdateError
from pynamodb.transactions import TransactWrite

from thrivecalc_models import (
    ConflictError,
    InvalidRecordError,
    RecordExistsError,
    SavingsGoal,
)
from thrivecalc_models.testing import faults

KEY = "savings-goal#g"
CURRENT = SavingsGoal.data["currentAmount"]


pytestmark = pytest.mark.usefixtures("a_stored_goal", "configured_store")


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


# --- deleted by a transaction ---------------------------------------------------------------------


def transact_delete(record, connection=None):
    connection = connection or SavingsGoal._get_connection().connection
    with TransactWrite(connection=connection) as transaction:
        transaction.delete(record)


DELETES = {
    "its own": lambda record, user: record.delete(),
    "a transaction": lambda record, user: transact_delete(record),
    "its user": lambda record, user: user.delete(record),
}


@pytest.mark.parametrize("delete", DELETES)
def test_a_record_knows_that_it_was_deleted(table, user, delete):
    """However a record was deleted, `save` stores it anew with a plain put, and goes on from it."""
    record = user.get(SavingsGoal, "g")
    DELETES[delete](record, user)
    assert table.get(USER, KEY) is None
    record.data.current_amount = 7
    record.save()
    assert "ConditionExpression" not in table.log[-1].request
    stored = table.get(USER, KEY)
    assert stored["data"]["M"]["currentAmount"] == {"N": "7"}
    assert stored["data"]["M"]["colour"] == {"S": "green"}
    record.save()
    assert "ConditionExpression" in table.log[-1].request
    user.delete(record)
    assert table.get(USER, KEY) is None


@pytest.mark.parametrize("delete", DELETES)
def test_what_can_be_done_with_a_deleted_record(table, user, delete):
    """A deleted record can be put, added, or deleted again; an update names the deletion."""

    def deleted():
        table.put(goal_item())
        record = user.get(SavingsGoal, "g")
        DELETES[delete](record, user)
        return record

    for store in (user.put, user.add):
        record = deleted()
        store(record)
        assert table.get(USER, KEY) == record.item
        with pytest.raises(RecordExistsError):
            user.add(record)
    record = deleted()
    for again in (record.delete, lambda: transact_delete(record), lambda: user.delete(record)):
        again()
        assert table.get(USER, KEY) is None
    with pytest.raises(UpdateError):
        record.update([CURRENT.set(8)])
    with pytest.raises(record.DoesNotExist):
        record.refresh()
    record.data.current_amount = 9
    with pytest.raises(ConflictError, match="was deleted through this record; put it") as caught:
        user.update(record)
    assert caught.value.stored is None
    table.put(goal_item())
    record.refresh()
    assert record.data.current_amount == 100
    record.save()
    assert "ConditionExpression" in table.log[-1].request


def test_a_deletion_that_was_not_applied_changes_nothing(table, user):
    """A record whose transaction was refused, or never sent, is as it was, and is saved as such."""
    record, before = user.get(SavingsGoal, "g"), table.get(USER, KEY)
    table.put(changed(goal_item(), name={"S": "theirs"}))
    with pytest.raises(TransactWriteError):
        transact_delete(record)
    with pytest.raises(PutError, match=r"conditional request failed$"):
        record.save()
    table.put(before)
    with pytest.raises(ZeroDivisionError):
        never_sent(record)
    assert record.item == before
    record.data.current_amount = 7
    record.save()
    assert table.get(USER, KEY)["data"]["M"]["currentAmount"] == {"N": "7"}


def never_sent(record):
    with TransactWrite(connection=SavingsGoal._get_connection().connection) as transaction:
        transaction.delete(record)
        raise ZeroDivisionError


ENTRIES = {
    "delete": lambda transaction, record: transaction.delete(record),
    "save": lambda transaction, record: transaction.save(record),
    "update": lambda transaction, record: transaction.update(record, [CURRENT.set(7)]),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("applied", [True, False])
def test_a_transaction_of_unknown_end_asks_for_a_refresh(table, user, entry, applied):
    """Where nobody knows whether a transaction was applied, its records must be read again."""
    record = user.get(SavingsGoal, "g")
    table.fail_always(faults.LoseReply(applied=applied))
    transaction = TransactWrite(connection=SavingsGoal._get_connection().connection)
    ENTRIES[entry](transaction, record)
    with pytest.raises(TransactWriteError), transaction:
        pass
    table.heal()
    sent = table.sent()
    for write in (record.save, record.delete, lambda: user.put(record)):
        with pytest.raises(InvalidRecordError, match="may have been applied or not; refresh it"):
            write()
    assert table.sent() == sent
    if applied and entry == "delete":
        with pytest.raises(record.DoesNotExist):
            record.refresh()
    else:
        record.refresh()
    record.save()
    assert table.get(USER, KEY) == record.item


def test_an_interrupted_transaction_asks_for_a_refresh(table, user):
    """The same after an exception that came while the transaction was on its way."""
    record = user.get(SavingsGoal, "g")
    table.fail_next(faults.Interrupt(applied=True), "TransactWriteItems")
    with pytest.raises(KeyboardInterrupt):
        transact_delete(record)
    with pytest.raises(InvalidRecordError, match="refresh"):
        record.save()
