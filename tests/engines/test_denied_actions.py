"""What was denied is the operation that was sent, with the actions that it needs."""

from __future__ import annotations

import pytest
from leaks import USER
from machines import goal_data
from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite
from simulated import configured

from thrivecalc_models import (
    AccessDeniedError,
    CommitError,
    SavingsGoal,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing.faults import Denied, Partial, StatementFailed

LACKING = "the guide's policy has no"


@pytest.fixture
def table():
    return SimulatedTable()


@pytest.fixture
def user(table):
    with configured(simulated_store(table)) as store:  # for PynamoDB's own transactions
        yield store.user(USER)


def denied(work, count):
    """The one public error of a commit of so many writes, all of them denied."""
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert len(caught.value.not_applied) == count
    return list(caught.value.causes.values())


def test_a_batch_is_denied_as_a_batch(user, table):
    """A denied batch names BatchWriteItem, its action, and that the guide's policy lacks it."""
    work = user.unit_of_work()
    for _ in range(25):
        work.add(goal_data())
    table.fail_always(Denied())
    causes = denied(work, 25)
    for cause in causes:
        assert isinstance(cause, AccessDeniedError)
        assert cause.operation == "BatchWriteItem"
        assert cause.action == "dynamodb:BatchWriteItem"
        assert f"{LACKING} dynamodb:BatchWriteItem" in str(cause)
        assert "PutItem" not in str(cause)
    work.rollback()


@pytest.mark.parametrize("method", ["add", "put"])
def test_a_single_write_is_denied_as_itself(user, table, method):
    """A denied single write names its own action, which the guide's policy has."""
    table.fail_always(Denied())
    with pytest.raises(AccessDeniedError) as caught:
        getattr(user, method)(goal_data())
    assert caught.value.operation == "PutItem"
    assert caught.value.action == "dynamodb:PutItem"
    assert LACKING not in str(caught.value)


def test_a_transaction_is_denied_by_its_parts(user, table):
    """A denied transaction names the action of each of its parts, and no other."""
    user.add(goal_data(), record_id="a")
    user.add(goal_data(), record_id="b")
    work = user.unit_of_work(atomic=True)
    work.get(SavingsGoal, "a").data.current_amount += 5
    work.check(work.get(SavingsGoal, "b"))
    table.fail_always(Denied())
    for cause in denied(work, 2):
        assert cause.operation == "TransactWriteItems"
        assert cause.action == "dynamodb:ConditionCheckItem"
        assert "dynamodb:UpdateItem" in str(cause)
        assert f"{LACKING} dynamodb:ConditionCheckItem" in str(cause)
        assert "PutItem" not in str(cause)
        assert "DeleteItem" not in str(cause)
    work.rollback()


def test_statements_are_denied_by_their_own_actions(table):
    """A denied batch of statements names for each write its action, and what needs it."""
    user = simulated_store(table, batch_updates=True).user(USER)
    for name in ("a", "b", "c"):
        user.add(goal_data(), record_id=name)
    work = user.unit_of_work()
    first, second, third = work.list(SavingsGoal)
    first.data.current_amount += 5
    second.data.current_amount += 5
    work.delete(third)
    table.fail_always(Denied())
    causes = denied(work, 3)
    assert {cause.operation for cause in causes} == {"BatchExecuteStatement"}
    assert [cause.action for cause in causes] == [
        "dynamodb:PartiQLUpdate",
        "dynamodb:PartiQLUpdate",
        "dynamodb:PartiQLDelete",
    ]
    for cause in causes:
        assert f"{LACKING} {cause.action}, which batch_updates=True needs" in str(cause)
        assert "iam-policy --batch-updates" in str(cause)
    work.rollback()


def test_one_denied_statement_starts_nothing_more(table):
    """If one statement of a batch is denied, no further batch is sent, and the others are told."""
    user = simulated_store(table, batch_updates=True).user(USER)
    for number in range(60):
        user.add(goal_data(), record_id=f"{number:02}")
    work = user.unit_of_work()
    for goal in work.list(SavingsGoal):
        goal.data.current_amount += 5
    table.fail_next(StatementFailed(code="AccessDenied"), "BatchExecuteStatement")
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert table.sent("BatchExecuteStatement") == 1
    assert len(caught.value.applied) == 24
    (cause,) = caught.value.causes.values()
    assert isinstance(cause, AccessDeniedError)
    work.rollback()


def test_a_transaction_of_the_guides_parts(user, table):
    """A denied transaction of puts needs what the guide's policy has, and says no more."""
    work = user.unit_of_work(atomic=True)
    work.add(goal_data())
    table.fail_always(Denied())
    (cause,) = denied(work, 1)
    assert cause.operation == "TransactWriteItems"
    assert cause.action == "dynamodb:PutItem"
    assert LACKING not in str(cause)
    work.rollback()


def test_pynamodbs_transaction_is_denied_by_its_parts(user, table):
    """PynamoDB's own transaction, denied, names the action of each of its parts."""
    goal = user.add(goal_data(), record_id="a")
    other = user.add(goal_data(), record_id="b")
    table.fail_always(Denied())

    def write():
        with TransactWrite(connection=goal._get_connection().connection) as transaction:
            transaction.delete(goal)
            transaction.condition_check(
                SavingsGoal, USER, other.record_key, condition=SavingsGoal.user_id.exists()
            )

    with pytest.raises(TransactWriteError) as caught:
        write()
    said = str(caught.value.cause)
    assert f"{LACKING} dynamodb:ConditionCheckItem" in said
    assert "dynamodb:DeleteItem" in said
    assert "dynamodb:PutItem" not in said


def test_what_was_sent_last_is_what_was_denied(user, table):
    """Of a batch one put is left and goes by itself: where that is denied, it is PutItem."""
    work = user.unit_of_work()
    goals = [work.add(goal_data()) for _ in range(25)]
    table.faults = {1: Partial(keep=24), 2: Denied()}
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert caught.value.not_applied == [goals[-1].record_key]
    cause = caught.value.causes[goals[-1].record_key]
    assert cause.operation == "PutItem"
    assert cause.action == "dynamodb:PutItem"
    assert [entry.operation for entry in table.log] == ["BatchWriteItem", "PutItem"]
    work.rollback()
