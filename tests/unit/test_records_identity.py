"""Whose a record is cannot change once a store, a scope or a unit has it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from leaks import USER
from machines import goal_item
from pynamodb.transactions import TransactWrite

from thrivecalc_models import (
    InvalidKeyError,
    InvalidRecordError,
    IsolationError,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    TransactionData,
)

OTHER = "google-oauth2|998877665544332212"
THEN = datetime(2020, 1, 1, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("a_stored_goal")


def goal():
    return SavingsGoalData(name="x", target_amount=1)


def theirs():
    return goal_item("theirs") | {"userId": {"S": OTHER}}


# --- the first guard: assignment ------------------------------------------------------------------

TAKEN = {
    "queued by a unit": lambda user: user.unit_of_work().add(goal()),
    "queued for a put": lambda user: user.unit_of_work().put(goal(), record_id="new"),
    "queued in an atomic unit": lambda user: user.unit_of_work(atomic=True).add(goal()),
    "queued as a mapping": lambda user: user.unit_of_work().add(
        "savings-goal", {"name": "x", "targetAmount": 1}
    ),
    "queued as an unknown type": lambda user: user.unit_of_work().add("x-thing", {"a": 1}),
    "added": lambda user: user.add(goal()),
    "read": lambda user: user.get(SavingsGoal, "g"),
    "read by a unit": lambda user: user.unit_of_work().get(SavingsGoal, "g"),
}

WAYS = {
    "user_id": lambda record: setattr(record, "user_id", OTHER),
    "record_id": lambda record: setattr(record, "record_id", "another"),
    "created_at": lambda record: setattr(record, "created_at", THEN),
    "updated_at": lambda record: setattr(record, "updated_at", THEN),
    "attribute_values[userId]": lambda record: record.attribute_values.update(userId=OTHER),
    "attribute_values[recordId]": lambda record: record.attribute_values.pop("recordId"),
    "attribute_values[createdAt]": lambda record: record.attribute_values.__setitem__(
        "createdAt", THEN
    ),
    "attribute_values |=": lambda record: record.attribute_values.__ior__({"userId": OTHER}),
    "attribute_values.setdefault": lambda record: (
        record.attribute_values.setdefault("updatedAt", THEN) and record.attribute_values.popitem()
    ),
    "attribute_values.clear": lambda record: record.attribute_values.clear(),
    "attribute_values": lambda record: setattr(record, "attribute_values", {"userId": OTHER}),
    "PynamoDB's attribute": lambda record: type(record).user_id.__set__(record, OTHER),
    "PynamoDB's _set_attributes": lambda record: record._set_attributes(user_id=OTHER),
    "deserialize": lambda record: record.deserialize(theirs()),
    "from_dynamodb_dict": lambda record: record.from_dynamodb_dict(theirs()),
    "from_simple_dict": lambda record: record.from_simple_dict(
        {"userId": OTHER, "recordKey": "savings-goal#g", "data": {}}
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("taken", TAKEN)
def test_an_identity_is_fixed_once_a_store_has_it(table, user, taken, way):
    """A key or a stamp of a record that a store has cannot change, by whatever way it is tried."""
    record = TAKEN[taken](user)
    before, sent = (record.user_id, record.record_key, record.record_id), table.sent()
    with pytest.raises(InvalidKeyError) as caught:
        WAYS[way](record)
    assert caught.value.path
    assert OTHER not in str(caught.value)
    assert (record.user_id, record.record_key, record.record_id) == before
    assert table.sent() == sent


def test_an_identity_can_be_chosen_before_a_store_has_it(table, user):
    """A record that no store has yet takes its user, its id and when it was created."""
    record = SavingsGoal("nobody", data=goal())
    record.user_id, record.record_id = USER, "mine"
    record.created_at = THEN
    assert user.add(record) is record
    assert table.get(USER, "savings-goal#mine")["createdAt"] == {"S": "2020-01-01T00:00:00.000Z"}


def test_a_record_without_a_user_takes_the_scopes_own(table, user):
    """A record made without a user id becomes the scope's; without a scope it is not written."""
    record = user.add(Transaction(data=TransactionData(date="2025-01-07", amount=-5)))
    assert record.user_id == USER
    assert table.get(USER, record.record_key) == record.item
    with user.unit_of_work() as work:
        assert work.put(SavingsGoal(record_id="put", data=goal())).user_id == USER
    assert table.get(USER, "savings-goal#put")


@pytest.mark.usefixtures("configured_store")
def test_a_record_without_any_user_is_not_written(table):
    """PynamoDB's methods name the user id that is missing before anything is sent."""
    with pytest.raises(InvalidKeyError) as caught:
        SavingsGoal(data=goal()).save()
    assert caught.value.path == "userId"
    assert table.sent() == 0


@pytest.mark.usefixtures("configured_store")
def test_a_queued_batch_or_transaction_keeps_its_keys(table):
    """What waits in PynamoDB's batch or transaction keeps the key that it was queued with."""
    batch, record = SavingsGoal.batch_write(), SavingsGoal(USER, data=goal())
    batch.save(record)
    with pytest.raises(InvalidKeyError):
        record.user_id = OTHER
    batch.commit()
    with TransactWrite(connection=SavingsGoal._get_connection().connection) as transaction:
        other = SavingsGoal(USER, data=goal())
        transaction.save(other)
        with pytest.raises(InvalidKeyError):
            other.record_id = "another"
    assert table.get(USER, record.record_key)
    assert table.get(USER, other.record_key)


# --- the second guard: the key of each write ------------------------------------------------------


@pytest.fixture
def forge():
    """Change the user of a record although its attributes are fixed."""

    def forge(record):
        dict.__setitem__(record.attribute_values, "userId", OTHER)
        assert record.user_id == OTHER

    return forge


def edited(record):
    record.data.name += "!"
    return record


WRITES = {
    "update": lambda user, record: user.update(record),
    "put": lambda user, record: user.put(record),
    "delete": lambda user, record: user.delete(record),
    "save": lambda user, record: record.save(),
    "PynamoDB's update": lambda user, record: record.update(
        [SavingsGoal.data["currentAmount"].set(1)]
    ),
    "PynamoDB's delete": lambda user, record: record.delete(),
    "batch": lambda user, record: SavingsGoal.batch_write().save(record),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("taken", ["added", "read"])
def test_a_single_write_under_a_forged_key_is_not_sent(table, user, forge, taken, write):
    """A record whose user was changed behind its back is not written anywhere."""
    record = edited(TAKEN[taken](user))
    forge(record)
    sent = table.sent()
    with pytest.raises(IsolationError):
        WRITES[write](user, record)
    assert table.sent() == sent
    assert table.get(OTHER, record.record_key) is None


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("act", ["add", "put", "get", "delete", "check"])
def test_a_unit_sends_nothing_if_one_key_is_forged(table, user, forge, act, atomic):
    """One write of a unit under another user's key stops the whole commit before it begins."""
    work = user.unit_of_work(atomic=atomic)
    work.add(goal())
    if act in ("add", "put"):
        record = getattr(work, act)(goal(), record_id="n")
    else:
        record = edited(work.get(SavingsGoal, "g"))
    if act == "delete":
        work.delete(record)
    if act == "check" and atomic:
        work.check(record)
    sent = table.sent()
    forge(record)
    with pytest.raises(IsolationError):
        work.commit()
    assert table.sent() == sent
    assert table.get(OTHER, record.record_key) is None


def test_a_function_that_runs_in_a_unit_cannot_forge_a_key(table, user, forge):
    """What `run` calls can write for the user of its scope only."""
    with pytest.raises(IsolationError):
        user.run(lambda work: forge(work.add(goal())))
    assert table.sent() == 0


SUBCLASSES = """
from pynamodb.attributes import UnicodeAttribute
from thrivecalc_models import *
from thrivecalc_models.testing import SimulatedTable, simulated_store

class Renamed(SavingsGoal, discriminator="x-renamed"):
    user_id = UnicodeAttribute(hash_key=True, attr_name="userId")

class Turncoat(SavingsGoal, discriminator="x-turncoat"):
    _pretends = "me"

    @property
    def user_id(self):
        return self._pretends

    @user_id.setter
    def user_id(self, value):
        self._pretends = value

table = SimulatedTable()
for record_class, refusal in (Renamed, InvalidKeyError), (Turncoat, IsolationError):
    work = simulated_store(table).user("me").unit_of_work()
    record = work.add(record_class("me", data=SavingsGoalData(name="x", target_amount=1)))
    try:
        record.user_id = "other"
        work.commit()
    except refusal:
        print("refused", table.sent())
"""


def test_a_subclass_cannot_open_the_identity():
    """Neither an attribute that a subclass declares anew nor a property lets the user change."""
    # In a process of its own: such classes are not for the other tests to draw.
    run = subprocess.run([sys.executable, "-c", SUBCLASSES], capture_output=True, text=True)
    assert run.stdout.splitlines() == ["refused 0", "refused 0"], run.stderr


def test_a_scope_never_takes_another_users_record(user):
    """A record of another user is refused at the call."""
    for call in (user.add, user.put, user.unit_of_work().add):
        with pytest.raises(IsolationError):
            call(SavingsGoal(OTHER, data=goal()))
    with pytest.raises(InvalidRecordError):
        user.delete(SavingsGoal(USER, data=goal()))
