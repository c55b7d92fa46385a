"""Lost replies and failed commits, one sentence of the design at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from leaks import USER
from machines import goal_data
from shells import store_on

from thrivecalc_models import (
    CommitError,
    ConflictError,
    OutcomeUnknownError,
    RetryPolicy,
    SavingsGoal,
    ThrottledError,
    UnitOfWork,
    UnitOfWorkStateError,
    UserData,
)
from thrivecalc_models.testing import SimulatedTable
from thrivecalc_models.testing.faults import (
    Denied,
    Fault,
    Interrupt,
    Late,
    LoseReply,
    OtherWriter,
    Overtaken,
    Partial,
    Throttle,
    TransactionConflict,
)

pytestmark = pytest.mark.usefixtures("shell")

LOST = LoseReply(applied=True)


@pytest.fixture
def user(table: SimulatedTable) -> UserData:
    return store_on(table, retry=RetryPolicy(attempts=3)).user(USER)


@pytest.fixture
def goal(user: UserData) -> SavingsGoal:
    stored = user.add(goal_data(), record_id="car")
    assert isinstance(stored, SavingsGoal)
    return stored


def amount(table: SimulatedTable, key: str = "savings-goal#car") -> str | None:
    item = table.get(USER, key)
    return None if item is None else str(item["data"]["M"]["currentAmount"]["N"])


def meddle(value: int, key: str = "savings-goal#car") -> Callable[[SimulatedTable], None]:
    """Another program changes the amount, with a stamp of its own."""

    def act(table: SimulatedTable) -> None:
        item = table.get(USER, key)
        assert item is not None
        item["data"]["M"]["currentAmount"] = {"N": str(value)}
        table.put(item | {"updatedAt": {"S": "2025-01-07T12:59:59.000Z"}})

    return act


def failed(work: UnitOfWork) -> CommitError:
    with pytest.raises(CommitError) as caught:
        work.commit()
    return caught.value


def requests(table: SimulatedTable, operation: str) -> list[Any]:
    return [entry.request for entry in table.log if entry.operation == operation]


# --- lost replies ---------------------------------------------------------------------------------


def test_a_write_meets_itself(user: UserData, goal: SavingsGoal, table: SimulatedTable) -> None:
    """Our stamp and content found: an update applied before the reply was lost is applied."""
    goal.data.current_amount = Decimal(500)
    table.fail_next(LOST, "UpdateItem")
    user.update(goal)
    assert table.sent("UpdateItem") == 2
    assert amount(table) == "500"
    assert table.applied_writes(goal.record_key) == 2  # the add, and this


def test_gone_after_a_delete(user: UserData, goal: SavingsGoal, table: SimulatedTable) -> None:
    """A deletion that finds nothing when it is sent again was applied."""
    table.fail_next(LOST, "DeleteItem")
    user.delete(goal)
    assert table.sent("DeleteItem") == 2
    assert not table.items


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(seconds=5)])
def test_a_lost_update_is_not_told_as_applied(ahead: timedelta) -> None:
    """Of two clients who write the same over the same reading one is told, but for one in 16.

    The stamp that both read is not earlier than their clocks; the second one's first request never
    arrives, and its retry finds what the first one wrote.
    """
    told_twice = 0
    for seed in range(100):
        table = SimulatedTable(latency=0.0)
        one, other = (store_on(table, seed=seed).user(USER) for _ in range(2))
        table.set_clock(table.clock() + ahead)
        one.add(goal_data(100), record_id="car")
        table.set_clock(table.clock() - ahead)
        goals = [client.get(SavingsGoal, "car", consistent=True) for client in (one, other)]
        for goal in goals:
            assert goal is not None
            goal.data.current_amount = Decimal(101)
        one.update(goals[0])
        table.fail_next(LoseReply(applied=False), "UpdateItem")
        try:
            other.update(goals[1])
        except OutcomeUnknownError:
            continue
        told_twice += 1
    assert 0 < told_twice < 20


@pytest.mark.parametrize("applied", [False, True])
def test_another_stamp_after_a_lost_reply(
    user: UserData, goal: SavingsGoal, table: SimulatedTable, applied: bool
) -> None:
    """A third stamp leaves an update unknown, never a conflict: ours may have been between."""
    goal.data.current_amount = Decimal(500)
    table.fail_next(LoseReply(applied=applied), "UpdateItem")
    table.fail_next(OtherWriter(meddle(7)), "UpdateItem")
    with pytest.raises(OutcomeUnknownError) as caught:
        user.update(goal)
    assert caught.value.outcome == "unknown"
    assert caught.value.record is goal
    assert isinstance(caught.value.stored, SavingsGoal)
    assert caught.value.stored.data.current_amount == 7


def test_gone_after_an_update(user: UserData, goal: SavingsGoal, table: SimulatedTable) -> None:
    """A record that is gone when an update is sent again leaves it unknown."""
    goal.data.current_amount = Decimal(500)
    table.fail_next(LOST, "UpdateItem")
    table.fail_next(OtherWriter(lambda each: each.delete(USER, goal.record_key)), "UpdateItem")
    with pytest.raises(OutcomeUnknownError):
        user.update(goal)


def test_a_transaction_is_answered_for_certain(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """A transaction sent again with its token is applied once, whatever others did in between."""
    table.fail_next(LOST, "TransactWriteItems")
    table.fail_next(OtherWriter(meddle(7)), "TransactWriteItems")
    with user.unit_of_work(atomic=True) as work:
        mine = work.get(SavingsGoal, "car")
        assert mine is not None
        mine.data.current_amount = Decimal(500)
    first, second = requests(table, "TransactWriteItems")
    assert first == second
    assert amount(table) == "7"


def test_generated_adds_go_again_if_their_keys_are_free(
    user: UserData, table: SimulatedTable
) -> None:
    """After a lost batch each generated add is a PutItem on a free key; taken means it was ours."""
    table.fail_next(LOST, "BatchWriteItem")
    with user.unit_of_work() as work:
        records = [work.add(goal_data()) for _ in range(3)]
    assert [entry.operation for entry in table.log] == ["BatchWriteItem", *["PutItem"] * 3]
    assert all("ConditionExpression" in request for request in requests(table, "PutItem"))
    assert [table.applied_writes(record.record_key) for record in records] == [1, 1, 1]


def test_an_add_under_a_given_id_knows_itself(user: UserData, table: SimulatedTable) -> None:
    """Our stamp and content under a given id: it is ours, and no RecordExistsError."""
    table.fail_next(LOST, "PutItem")
    user.add(goal_data(), record_id="car")
    assert table.sent("PutItem") == 2


def test_an_add_under_a_given_id_meets_another(user: UserData, table: SimulatedTable) -> None:
    """Another content under a given id, after a lost reply, leaves the add unknown."""
    table.fail_next(LOST, "PutItem")
    table.fail_next(OtherWriter(meddle(7)), "PutItem")
    with pytest.raises(OutcomeUnknownError):
        user.add(goal_data(), record_id="car")


def test_unconditional_writes_go_again_as_they_are(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """`put`, and `delete` by id, are sent again without a change."""
    table.fail_next(LOST, "PutItem")
    user.put(goal)
    _, first, second = requests(table, "PutItem")
    assert first == second
    table.fail_next(LOST, "DeleteItem")
    user.delete(SavingsGoal, "car")
    first, second = requests(table, "DeleteItem")
    assert first == second


# --- after a failed commit ------------------------------------------------------------------------


def test_a_failed_unit_is_open_for_mending(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """After a failed commit only refresh, expunge, plan, commit and rollback are open."""
    work = user.unit_of_work()
    mine = work.get(SavingsGoal, "car")
    assert mine is not None
    mine.data.current_amount = Decimal(500)
    table.fail_next(OtherWriter(meddle(7)), "UpdateItem")
    with pytest.raises(CommitError), work:
        pass
    for call in (
        lambda: work.get(SavingsGoal, "car"),
        lambda: work.add(goal_data()),
        lambda: work.delete(mine),
        lambda: work.put(mine),
    ):
        with pytest.raises(UnitOfWorkStateError):
            call()
    assert len(work.plan()) == 1
    work.refresh(mine)
    assert mine.data.current_amount == 7
    assert work.commit().applied == []


def test_what_is_unknown_goes_first_as_it_was(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """The next commit sends the unknown write exactly as before, and later edits as a change."""
    work = user.unit_of_work()
    mine = work.get(SavingsGoal, "car")
    assert mine is not None
    mine.data.current_amount = Decimal(500)
    table.fail_next(LoseReply(applied=False), "UpdateItem", times=3)
    assert failed(work).unknown == [goal.record_key]
    mine.data.name = "Boat"
    table.sleep(60)
    assert work.commit().applied == [goal.record_key]
    *tries, again, further = requests(table, "UpdateItem")
    assert all(each == again for each in tries)
    assert again != further
    assert '"Boat"' not in str(again)
    item = table.get(USER, goal.record_key)
    assert item is not None
    assert item["data"]["M"]["name"] == {"S": "Boat"}
    assert amount(table) == "500"


def test_what_was_not_applied_gets_a_new_stamp(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """What certainly was not applied is encoded anew."""
    work = user.unit_of_work()
    mine = work.get(SavingsGoal, "car")
    assert mine is not None
    mine.data.current_amount = Decimal(500)
    table.fail_next(Throttle(), "UpdateItem", times=3)
    error = failed(work)
    assert error.not_applied == [goal.record_key]
    assert isinstance(error.causes[goal.record_key], ThrottledError)
    table.sleep(60)
    work.commit()
    *_, before, last = requests(table, "UpdateItem")
    assert before["ExpressionAttributeValues"] != last["ExpressionAttributeValues"]


def test_a_further_change_that_conflicts(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """A key counts by its last write; its snapshot is the write that was resolved before."""
    work = user.unit_of_work()
    mine = work.get(SavingsGoal, "car")
    assert mine is not None
    mine.data.current_amount = Decimal(500)
    table.fail_next(LOST, "UpdateItem", times=3)
    failed(work)
    mine.data.current_amount = Decimal(600)
    asked = table.sent()
    table.faults = {asked + 2: OtherWriter(meddle(7))}
    error = failed(work)
    assert error.not_applied == [goal.record_key]
    assert isinstance(error.causes[goal.record_key], ConflictError)
    assert mine.item is not None
    assert mine.item["data"]["M"]["currentAmount"] == {"N": "500"}


def test_an_edit_of_an_unknown_add_sees_others(user: UserData, table: SimulatedTable) -> None:
    """Where someone changed our add before we knew that it was there, a later edit conflicts."""
    work = user.unit_of_work()
    mine = work.add(goal_data())
    table.fail_next(LOST, "PutItem", times=3)
    assert failed(work).unknown == [mine.record_key]
    meddle(7, mine.record_key)(table)
    mine.data.current_amount = Decimal(600)
    error = failed(work)
    assert isinstance(error.causes[mine.record_key], ConflictError)
    assert amount(table, mine.record_key) == "7"


@pytest.mark.parametrize("applied", [False, True])
def test_an_interrupt_carries_the_account(
    user: UserData, table: SimulatedTable, applied: bool
) -> None:
    """KeyboardInterrupt passes through, nothing more is started, and its cause is the account."""
    work = user.unit_of_work()
    for name in "abc":
        work.add(goal_data(), record_id=name)
    table.faults = {2: Interrupt(applied=applied)}
    with pytest.raises(KeyboardInterrupt) as caught:
        work.commit()
    error = caught.value.__cause__
    assert isinstance(error, CommitError)
    assert (error.applied, error.unknown, error.not_applied) == (
        ["savings-goal#a"],
        ["savings-goal#b"],
        ["savings-goal#c"],
    )
    assert table.sent() == 2
    assert sorted(work.commit().applied) == ["savings-goal#b", "savings-goal#c"]
    assert [table.applied_writes(f"savings-goal#{name}") for name in "abc"] == [1, 1, 1]


def test_an_interrupt_while_an_account_is_read(user: UserData, table: SimulatedTable) -> None:
    """`delete_all` says what it deleted, also when it is interrupted while it reads."""
    for name in "abc":
        user.add(goal_data(), record_id=name)
    table.fail_next(OtherWriter(lambda _: None), "Query")
    table.fail_next(Interrupt(applied=False), "Query")
    with pytest.raises(KeyboardInterrupt) as caught:
        user.delete_all()
    assert isinstance(caught.value.__cause__, CommitError)
    assert len(caught.value.__cause__.applied) == 3


def test_denied_midway_starts_nothing_more(user: UserData, table: SimulatedTable) -> None:
    """Denied access ends the commit: what was not started is not applied and has no cause."""
    work = user.unit_of_work()
    for name in "abc":
        work.add(goal_data(), record_id=name)
    table.faults = {2: Denied()}
    error = failed(work)
    assert table.sent() == 2
    assert error.applied == ["savings-goal#a"]
    assert error.not_applied == ["savings-goal#b", "savings-goal#c"]
    assert list(error.causes) == ["savings-goal#b"]


def test_a_batch_that_shrinks_goes_on(table: SimulatedTable) -> None:
    """Tries with progress are not counted: one entry at a time, a batch ends."""
    user = store_on(table, retry=RetryPolicy(attempts=1)).user(USER)
    table.fail_always(Partial(keep=1))
    with user.unit_of_work() as work:
        for _ in range(8):
            work.add(goal_data())
    assert len(table.items) == 8


def test_a_batch_that_stands_still_ends(user: UserData, table: SimulatedTable) -> None:
    """A batch of which nothing is processed ends in ThrottledError, with nothing applied."""
    table.fail_always(Partial(keep=0))
    work = user.unit_of_work()
    for _ in range(3):
        work.add(goal_data())
    error = failed(work)
    assert table.sent("BatchWriteItem") == 3
    assert len(error.not_applied) == 3
    assert all(isinstance(cause, ThrottledError) for cause in error.causes.values())


@pytest.mark.parametrize("fault", [LOST, LoseReply(applied=False), Overtaken()])
def test_a_key_that_was_taken_by_another_is_existing(
    user: UserData, table: SimulatedTable, fault: Fault
) -> None:
    """With exist_ok a key that holds what our add did not create was there, whatever was lost.

    So an import that is run twice ends, and says what was there.
    """
    user.add(goal_data(), record_id="car")
    table.sleep(1)
    table.fail_next(fault, "PutItem")
    work = user.unit_of_work()
    work.add(goal_data(), record_id="car", exist_ok=True)
    assert work.commit().existing == ["savings-goal#car"]
    assert table.sent("PutItem") == 3
    assert table.applied_writes("savings-goal#car") == 1


def test_an_add_that_was_edited_since_is_unknown(user: UserData, table: SimulatedTable) -> None:
    """With exist_ok what was created when our add was may be our add, edited by another since."""
    work = user.unit_of_work()
    work.add(goal_data(), record_id="car", exist_ok=True)
    table.fail_next(LOST, "PutItem")
    table.fail_next(OtherWriter(meddle(7)), "PutItem")
    assert failed(work).unknown == ["savings-goal#car"]


# --- transactions ---------------------------------------------------------------------------------


def atomic_pair(user: UserData) -> tuple[UnitOfWork, list[Any]]:
    work = user.unit_of_work(atomic=True)
    return work, [work.add(goal_data(), record_id=name) for name in "ab"]


def test_a_token_lasts_over_commits(user: UserData, table: SimulatedTable) -> None:
    """An unknown transaction is sent by the next commit with the same token and content."""
    work, records = atomic_pair(user)
    table.fail_next(LOST, "TransactWriteItems", times=3)
    assert len(failed(work).unknown) == 2
    assert len(work.commit().applied) == 2
    sent = requests(table, "TransactWriteItems")
    assert all(request == sent[0] for request in sent)
    assert [table.applied_writes(record.record_key) for record in records] == [1, 1]


def test_a_token_is_not_used_past_ten_minutes(user: UserData, table: SimulatedTable) -> None:
    """After ten minutes an unknown transaction stays unknown, and is not sent again."""
    work, _ = atomic_pair(user)
    table.fail_next(LOST, "TransactWriteItems", times=3)
    failed(work)
    table.sleep(601)
    asked = table.sent()
    assert len(failed(work).unknown) == 2
    assert table.sent() == asked


def test_an_unknown_transaction_comes_before_others(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """While a transaction is unknown no other is started, so that its keys are not forgotten."""
    work = user.unit_of_work(atomic=True)
    other = work.get(SavingsGoal, "car")
    assert other is not None
    mine = work.add(goal_data(), record_id="b")
    table.fail_next(LOST, "TransactWriteItems", times=3)
    failed(work)
    table.sleep(601)
    other.data.current_amount = Decimal(500)
    for _ in range(2):
        error = failed(work)
        assert (error.unknown, error.not_applied) == ([mine.record_key], [goal.record_key])
    work.expunge(mine)
    assert work.commit().applied == [goal.record_key]


def test_edits_since_an_unknown_transaction_are_kept(user: UserData, table: SimulatedTable) -> None:
    """What was edited while a transaction was unknown is written as a further change."""
    work, (first, second) = atomic_pair(user)
    table.fail_next(LOST, "TransactWriteItems", times=3)
    failed(work)
    first.data.current_amount = Decimal(600)
    assert sorted(work.commit().applied) == [first.record_key, second.record_key]
    assert amount(table, first.record_key) == "600"


def test_a_conflict_does_not_settle_an_earlier_try(user: UserData, table: SimulatedTable) -> None:
    """The conflict may be with our own earlier try: a fresh token would apply it twice."""
    work, records = atomic_pair(user)
    table.faults = {
        1: Late(after=3),
        2: TransactionConflict(),
        3: TransactionConflict(),
    }
    assert len(failed(work).unknown) == 2
    work.commit()
    assert [table.applied_writes(record.record_key) for record in records] == [1, 1]


def taken(name: str) -> OtherWriter:
    """Another program takes the key."""
    other = store_on(SimulatedTable()).user(USER).add(goal_data(7), record_id=name)
    return OtherWriter(lambda table: table.put(other.item))


def test_a_transaction_that_a_taken_key_cancelled_may_still_arrive(
    user: UserData, table: SimulatedTable
) -> None:
    """A key that is taken can be free again when the lost first request comes: it is unknown."""
    work, records = atomic_pair(user)
    table.fail_next(Overtaken(), "TransactWriteItems")
    table.fail_next(taken("b"), "TransactWriteItems")
    error = failed(work)
    assert error.unknown == [record.record_key for record in records]
    assert all(isinstance(cause, OutcomeUnknownError) for cause in error.causes.values())
    table.delete(USER, "savings-goal#b")
    table.deliver_late()
    assert amount(table, "savings-goal#a") == amount(table, "savings-goal#b") == "10"
    assert sorted(work.commit().applied) == ["savings-goal#a", "savings-goal#b"]
    assert [table.applied_writes(record.record_key) for record in records] == [1, 1]


def test_a_token_tells_twins_apart(table: SimulatedTable) -> None:
    """Two atomic units that write the very same are two: the one that was lost is told so."""
    table.latency = 0.0
    ahead = table.clock() + timedelta(seconds=5)
    table.set_clock(ahead)
    users = [store_on(table, seed=seed).user(USER) for seed in range(40)]
    users[0].add(goal_data(), record_id="car")
    table.set_clock(ahead - timedelta(seconds=5))
    works = [user.unit_of_work(atomic=True) for user in users]
    for work in works:
        mine = work.get(SavingsGoal, "car")
        assert mine is not None
        mine.data.current_amount = Decimal(500)
    works[0].commit()
    for work in works[1:]:
        table.fail_next(LoseReply(applied=False), "TransactWriteItems")
        assert failed(work).not_applied == ["savings-goal#car"]
    sent = {str(each["TransactItems"]) for each in requests(table, "TransactWriteItems")}
    assert len(sent) <= 16  # of forty writers some write the same


@pytest.mark.parametrize("kind", ["update", "check"])
def test_a_transaction_whose_stamp_is_gone_never_arrives(
    user: UserData, goal: SavingsGoal, table: SimulatedTable, kind: str
) -> None:
    """Stamps do not return: where the condition of an update or a check failed, it is certain."""
    work = user.unit_of_work(atomic=True)
    mine = work.get(SavingsGoal, "car")
    assert mine is not None
    if kind == "check":
        work.check(mine)
    else:
        mine.data.current_amount = Decimal(500)
    work.add(goal_data(), record_id="b")
    table.fail_next(Overtaken(), "TransactWriteItems")
    table.fail_next(OtherWriter(meddle(7)), "TransactWriteItems")
    error = failed(work)
    assert sorted(error.not_applied) == ["savings-goal#b", "savings-goal#car"]
    assert list(error.causes) == ["savings-goal#car"]
    table.deliver_late()
    assert table.get(USER, "savings-goal#b") is None


def test_an_update_without_its_lock_may_still_arrive(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """Without the lock an update needs a record, not its stamp: one that is gone can come back."""
    work = user.unit_of_work(atomic=True, lock=False)
    mine = work.get(SavingsGoal, "car")
    assert mine is not None
    mine.data.current_amount = Decimal(500)
    table.fail_next(Overtaken(), "TransactWriteItems")
    table.fail_next(OtherWriter(lambda each: each.delete(USER, goal.record_key)))
    assert failed(work).unknown == [goal.record_key]


def test_a_deletion_that_conflicts_may_still_arrive(
    user: UserData, goal: SavingsGoal, table: SimulatedTable
) -> None:
    """A deletion goes through where the record is gone, which it can be when it arrives."""
    work = user.unit_of_work(atomic=True)
    mine = work.get(SavingsGoal, "car")
    assert mine is not None
    work.delete(mine)
    work.add(goal_data(), record_id="b")
    table.fail_next(Overtaken(), "TransactWriteItems")
    table.fail_next(OtherWriter(meddle(7)), "TransactWriteItems")
    assert sorted(failed(work).unknown) == ["savings-goal#b", goal.record_key]


@pytest.mark.parametrize("applied", [False, True])
def test_the_rest_of_an_unknown_transaction(
    user: UserData, table: SimulatedTable, applied: bool
) -> None:
    """What is left when a record is expunged is applied once, and never conflicts with itself."""
    work, (first, second) = atomic_pair(user)
    table.fail_next(LoseReply(applied=applied), "TransactWriteItems", times=3)
    failed(work)
    work.expunge(first)
    assert work.commit().applied == [second.record_key]
    assert table.applied_writes(second.record_key) == 1
    assert (table.get(USER, first.record_key) is not None) == applied


def test_the_rest_of_an_unknown_transaction_that_met_others(
    user: UserData, table: SimulatedTable
) -> None:
    """Where others wrote since, the rest of an unknown transaction stays unknown."""
    work, (first, second) = atomic_pair(user)
    table.fail_next(LOST, "TransactWriteItems", times=3)
    failed(work)
    work.expunge(first)
    meddle(7, second.record_key)(table)
    assert failed(work).unknown == [second.record_key]
    assert amount(table, second.record_key) == "7"
