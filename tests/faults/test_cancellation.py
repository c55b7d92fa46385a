"""A cancelled call says what became of each write, and leaves a store that works.

A call is cancelled after so many turns of the loop, for each number of turns until it is complete:
before anything is sent, between requests, within one, and during a wait.
"""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from fakes import MOMENT
from leaks import USER
from loops import runs, turns
from machines import goal_data, goal_item

from thrivecalc_models import CommitError, SavingsGoal
from thrivecalc_models.testing import SimulatedTable, simulated_async_store
from thrivecalc_models.testing.faults import LoseReply, ServerError, Throttle

FAULTS = {
    "no": [],
    "throttled": [Throttle(), Throttle()],
    "lost after apply": [LoseReply(applied=True)],
    "lost before apply": [LoseReply(applied=False), ServerError(500)],
}
HOW = pytest.mark.parametrize(
    ("again", "timeout"),
    [(False, MOMENT), (True, MOMENT), (False, 0.0)],
    ids=["once", "at every turn", "not waiting for replies"],
)
TROUBLE = pytest.mark.parametrize("trouble", FAULTS.values(), ids=FAULTS)


async def cancelled(call, after, *, again=False):
    """Cancel a call after some turns, and perhaps at every turn that follows.

    Returns the CancelledError, or None with what the call returned if it was complete.
    """
    task = asyncio.ensure_future(call)
    await turns(after)
    task.cancel()
    while again and not task.done():
        await turns(1)
        task.cancel()
    try:
        return None, await task
    except asyncio.CancelledError as error:
        return error, None


def made(*, trouble=(), **options):
    """A table with two goals, and a user of it who is about to meet trouble."""
    table = SimulatedTable()
    for record_id in ("stored", "other"):
        table.put(goal_item(record_id))
    user = simulated_async_store(table, **options).user(USER)
    return table, user, lambda: [table.fail_next(fault) for fault in trouble]


def may_be_unknown(trouble, timeout):
    """Whether a reply was lost, or was not waited for."""
    return not timeout or not all(isinstance(fault, Throttle) for fault in trouble)


async def nothing_is_in_flight(table, timeout=MOMENT):
    """Nothing is sent after a call has ended, unless it was not to wait for replies."""
    sent = table.sent()
    await turns(10)
    assert table.sent() == sent or not timeout


# --- units ----------------------------------------------------------------------------------------


async def add_one(work):
    work.add(goal_data(), record_id="a")


async def add_many(work):
    for _ in range(30):
        work.add(goal_data())


async def change(work):
    (await work.get(SavingsGoal, "stored")).data.current_amount += 5


async def everything(work):
    await change(work)
    work.add(goal_data(), record_id="a")
    work.add(goal_data(), record_id="b")
    work.delete(await work.get(SavingsGoal, "other"))


@HOW
@TROUBLE
@pytest.mark.parametrize(
    ("queue", "atomic", "max_concurrency"),
    [
        (add_one, False, 1),
        (add_many, False, 2),
        (change, False, 1),
        (everything, False, 1),
        (everything, False, 8),
        (everything, True, 1),
    ],
    ids=["one add", "batches", "a change", "everything", "at a time", "atomic"],
)
@runs
async def test_a_cancelled_commit_has_a_true_account(
    queue, atomic, max_concurrency, trouble, again, timeout
):
    """Its cause agrees with the table; another commit does the rest, and only that."""
    causes = 0
    for after in count(1):
        table, user, meet_trouble = made(
            trouble=trouble, max_concurrency=max_concurrency, timeout=timeout
        )
        before = table.items
        work = user.unit_of_work(atomic=atomic)
        await queue(work)
        keys = {key for request in work.plan().requests for key in request.keys}
        meet_trouble()
        error, result = await cancelled(work.commit(), after, again=again)
        await nothing_is_in_flight(table, timeout)
        done = {key for key in keys if before.get((USER, key)) != table.items.get((USER, key))}
        if error is None:
            assert {*result.applied} == keys == done
            break
        account = error.__cause__
        if account is None:
            assert done == keys
            assert len(work.plan()) == 0
        else:
            causes += 1
            assert isinstance(account, CommitError)
            assert {*account.applied, *account.not_applied, *account.unknown} == keys
            assert len([*account.applied, *account.not_applied, *account.unknown]) == len(keys)
            assert {*account.applied} <= done
            assert not {*account.not_applied} & done
            assert not account.unknown or may_be_unknown(trouble, timeout)
        table.heal()
        await work.commit()
        assert len(work.plan()) == 0
        for key in keys:
            assert table.applied_writes(key) == 1
            assert before.get((USER, key)) != table.items.get((USER, key))
    assert causes > 0 or (timeout and not trouble)  # one request, whose reply was awaited


@runs
async def test_a_cancelled_block_sends_nothing():
    """A task that is cancelled within the block leaves it by an exception: nothing is sent."""
    table, user, _ = made()

    async def block():
        async with user.unit_of_work() as work:
            work.add(goal_data())
            await asyncio.Event().wait()

    error, _ = await cancelled(block(), 3)
    assert error is not None
    assert table.sent() == 0


# --- single calls ---------------------------------------------------------------------------------


@HOW
@TROUBLE
@pytest.mark.parametrize("kind", ["add", "add given", "put", "update", "delete", "replace"])
@runs
async def test_a_cancelled_write_says_its_outcome(kind, trouble, again, timeout):
    """Its cause has `record` and `outcome`; without a cause it was applied. Repeated it is one."""
    causes = 0
    for after in count(1):
        table, user, meet_trouble = made(trouble=trouble, timeout=timeout)
        goal = await user.get(SavingsGoal, "stored")
        goal.data.current_amount += 5
        before = table.items
        given = {"name": "x", "targetAmount": 7}

        def call(record, user=user, goal=goal, given=given):
            match kind:
                case "add" | "add given":
                    identity = None if kind == "add" or record else "a"
                    return user.add(record or goal_data(), record_id=identity)
                case "put":
                    return user.put(goal)
                case "update":
                    return user.update(goal)
                case "delete":
                    return user.delete(goal)
            return user.replace_data(SavingsGoal, "stored", given)

        meet_trouble()
        error, _ = await cancelled(call(None), after, again=again)
        await nothing_is_in_flight(table, timeout)
        if error is None:
            break
        account = error.__cause__
        if account is None:
            assert before != table.items
            continue
        causes += 1
        assert account.outcome in ("not applied", "unknown")
        if account.outcome == "not applied":
            assert before == table.items
        else:
            assert may_be_unknown(trouble, timeout)
        assert kind == "replace" or account.record is not None
        table.heal()
        await call(account.record)
        assert before != table.items
        assert len(table.items) == {"delete": 1, "add": 3, "add given": 3}.get(kind, 2)
    assert causes > 0 or (timeout and not trouble)  # one request, whose reply was awaited


@runs
async def test_a_cancelled_delete_all_says_what_is_gone():
    """Its cause has the deleted records as applied; a second call deletes the rest."""
    for after in count(1):
        table, user, _ = made()
        for number in range(60):
            table.put(goal_item(str(number)))
        error, result = await cancelled(user.delete_all(), after)
        await nothing_is_in_flight(table)
        if error is None:
            assert len(result.applied) == 62
            break
        left = {key for _, key in table.items}
        if left:
            assert len(error.__cause__.applied) + len(left) == 62
            assert not left & {*error.__cause__.applied}
        await user.delete_all()
        assert not table.items


@runs
async def test_a_cancelled_run_happens_once_or_not_at_all():
    """Wherever `run` is cancelled, its function is applied whole or not, and not again later."""
    applied = set()
    for after in count(1):
        table, user, _ = made()
        table.fail_next(ServerError(500), "TransactWriteItems")

        async def move(work):
            await change(work)
            work.add(goal_data())

        before = len(table.items)
        error, _ = await cancelled(user.run(move), after)
        await nothing_is_in_flight(table)
        made_now = len(table.items) - before
        assert table.applied_writes("savings-goal#stored") == made_now
        applied.add(made_now)
        if error is None:
            break
        if error.__cause__ is not None:
            assert made_now == 0 or error.__cause__.unknown
    assert applied == {0, 1}


# --- readings -------------------------------------------------------------------------------------


async def iterated(user):
    return [record.record_id async for record in user.iterate(SavingsGoal)]


READS = {
    "get": lambda user: user.get(SavingsGoal, "0"),
    "get_many": lambda user: user.get_many([(SavingsGoal, str(n)) for n in range(101)]),
    "list": lambda user: user.list(SavingsGoal),
    "iterate": iterated,
    "unit list": lambda user: user.unit_of_work().list(SavingsGoal),
}


@HOW
@pytest.mark.parametrize("trouble", [[], [Throttle(), Throttle()]], ids=["no", "throttled"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
@runs
async def test_a_cancelled_read_leaves_the_store_usable(read, trouble, again, timeout):
    """It has no cause, nothing of it goes on, and the same read is whole afterwards."""
    for after in count(1):
        table, user, meet_trouble = made(trouble=trouble, max_concurrency=2, timeout=timeout)
        table.page_bytes = 1000
        for number in range(20):
            table.put(goal_item(str(number)))
        meet_trouble()
        error, found = await cancelled(read(user), after, again=again)
        await nothing_is_in_flight(table, timeout)
        assert len(asyncio.all_tasks()) == 1
        table.heal()
        whole = await read(user)
        assert whole is not None
        if error is None:
            assert str(found) == str(whole)
            break
        assert error.__cause__ is None


@runs
async def test_an_iteration_that_is_left_early_ends():
    """Once it is closed, nothing of the next page goes on, and no task is left."""
    table, user, _ = made(max_concurrency=2)
    table.page_bytes = 1
    records = user.iterate(SavingsGoal)
    assert await anext(records) is not None
    await records.aclose()
    await nothing_is_in_flight(table)
    assert len(asyncio.all_tasks()) == 1


# --- whoever cancels ------------------------------------------------------------------------------


@runs
async def test_a_timeout_has_the_account_behind_it():
    """`asyncio.timeout` raises TimeoutError; its cause is the cancellation, and that has ours."""
    table, user, _ = made()
    table.fail_always(LoseReply(applied=True))
    work = user.unit_of_work()
    goal = work.add(goal_data(), record_id="a")
    with pytest.raises(TimeoutError) as caught:  # noqa: PT012 - the block is what times out
        async with asyncio.timeout(None) as limit:
            loop = asyncio.get_running_loop()
            loop.call_soon(limit.reschedule, loop.time())
            await work.commit()
    account = caught.value.__cause__.__cause__
    assert isinstance(account, CommitError)
    assert account.unknown == [goal.record_key]
    table.heal()
    assert (await work.commit()).applied == [goal.record_key]


@runs
async def test_a_task_group_ends_its_commits():
    """When one task of a group fails, the commits of the others end with their accounts."""
    table, user, _ = made()
    accounts = []

    async def commit():
        try:
            async with user.unit_of_work() as work:
                await add_many(work)
        except asyncio.CancelledError as error:
            accounts.append(error.__cause__)
            raise

    async def fail():
        await turns(4)
        raise ValueError

    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the group raises at its end
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(commit())
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    await nothing_is_in_flight(table)
    failed = [account for account in accounts if account is not None]
    applied = [key for account in failed for key in account.applied]
    assert failed
    assert len(table.items) == 2 + len(applied) + 30 * (3 - len(failed))


def test_the_end_of_a_loop_ends_its_commits():
    """A commit that is under way when the loop ends is known to its unit, on the next loop."""
    table, user, _ = made()
    work = user.unit_of_work()
    tasks = []

    async def begin():
        await everything(work)
        tasks.append(asyncio.ensure_future(work.commit()))
        await turns(3)

    asyncio.run(begin())
    assert tasks[0].cancelled()
    asyncio.run(work.commit())
    assert table.get(USER, "savings-goal#other") is None
    for key in ("savings-goal#a", "savings-goal#b", "savings-goal#stored", "savings-goal#other"):
        assert table.applied_writes(key) == 1


# --- many tasks -----------------------------------------------------------------------------------


@runs
async def test_a_thousand_tasks_share_a_store():
    """Of 50 users' tasks, a third cancelled: each gets its own user's records, and none is lost."""
    table = SimulatedTable()
    store = simulated_async_store(table, max_concurrency=8)

    async def one(number):
        user = store.user(f"user-{number % 50}")
        goal = await user.add(goal_data(number + 1), record_id=str(number))
        read = await user.get(SavingsGoal, str(number))
        assert read.data.current_amount == number + 1
        if number % 10 == 0:
            listed = await user.list(SavingsGoal)
            assert {record.user_id for record in listed} == {user.user_id}
            assert goal.record_key in [record.record_key for record in listed]
        return number

    tasks = [asyncio.ensure_future(one(number)) for number in range(1000)]
    for number, task in enumerate(tasks):
        if number % 3 == 0:
            await turns(1)
            task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    kept = [result for result in ended if not isinstance(result, asyncio.CancelledError)]
    assert set(range(1000)) - {*range(0, 1000, 3)} <= set(kept)
    assert len(table.items) >= len(kept)
    await nothing_is_in_flight(table)
