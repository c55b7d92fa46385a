"""Synchronous and asynchronous callers have the same calls, and each is refused the other's."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import threading
import typing

import pytest
from leaks import USER
from loops import runs
from machines import goal_data, goal_item, payment

import thrivecalc_models
from thrivecalc_models import (
    AsyncDataStore,
    AsyncUnitOfWork,
    AsyncUserData,
    ConfigurationError,
    DataStore,
    SavingsGoal,
    UnattachedRecordWarning,
    UnitOfWork,
    UnitOfWorkStateError,
    UserData,
    data_store,
)
from thrivecalc_models.testing import SimulatedTable, simulated_async_store
from thrivecalc_models.whole_table import WholeTable

PAIRS = [(DataStore, AsyncDataStore), (UserData, AsyncUserData), (UnitOfWork, AsyncUnitOfWork)]
SENDS_NOTHING = {
    DataStore: {"local", "of_session", "user", "settings", "table_name", "region", "endpoint"}
    | {"transport"},
    UserData: {"iterate", "unit_of_work", "user_id"},
    UnitOfWork: {"add", "put", "delete", "check", "attach", "plan", "expunge", "rollback", "close"}
    | {"user_id", "has_applied"},
}

# --- the same calls -------------------------------------------------------------------------------


def public(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


def shown(function):
    """The signature of a function, with its annotations as text; of the synchronous twin."""
    text = str(inspect.signature(function)).replace("Awaitable[T]]", "T]")
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_twins_have_the_same_methods(one, other):
    """Names, arguments, annotations and overloads of both shells are the same."""
    assert public(one) == public(other)
    assert shown(one.__init__) == shown(other.__init__)
    for name in public(one):
        ours, theirs = inspect.getattr_static(one, name), inspect.getattr_static(other, name)
        if not inspect.isfunction(ours):
            assert type(ours) is type(theirs)
            continue
        assert shown(ours) == shown(theirs), name
        assert [*map(shown, typing.get_overloads(ours))] == [
            *map(shown, typing.get_overloads(theirs))
        ]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_twins_have_the_same_docstrings(one, other):
    """Each method of both shells has a docstring, and it is the same one."""
    for name in public(one):
        ours, theirs = inspect.getattr_static(one, name), inspect.getattr_static(other, name)
        assert ours.__doc__, name
        assert ours.__doc__ == theirs.__doc__, name


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_what_sends_is_awaited(one, other):
    """Of the asynchronous twin exactly the calls that send are coroutine functions."""
    awaited = {name for name in public(other) if inspect.iscoroutinefunction(getattr(other, name))}
    assert awaited == public(one) - SENDS_NOTHING[one]
    assert not any(inspect.iscoroutinefunction(getattr(one, name)) for name in public(one))


# --- a function for the other shell ---------------------------------------------------------------


async def coroutine_function(work):
    work.add(payment())


def generator_function(work):
    yield work.add(payment())


async def async_generator_function(work):
    yield work.add(payment())


class AsyncCallable:
    async def __call__(self, work):
        work.add(payment())


@pytest.mark.parametrize(
    "function",
    [
        coroutine_function,
        generator_function,
        async_generator_function,
        functools.partial(coroutine_function),
        AsyncCallable(),
    ],
    ids=["coroutine", "generator", "asynchronous generator", "partial", "callable"],
)
def test_run_takes_a_plain_function(table, user, function):
    """A function that would have to be awaited or iterated is a TypeError at the call."""
    with pytest.raises(TypeError, match="plain function"):
        user.run(function)
    assert table.sent() == 0


@pytest.mark.parametrize("function", [coroutine_function, async_generator_function])
def test_run_refuses_what_is_to_be_awaited(table, user, function):
    """A function that gives a coroutine all the same is a TypeError, and nothing is sent."""

    def plain(work):
        work.add(payment())
        return function(work)

    with pytest.raises(TypeError, match="await"):
        user.run(plain)
    assert table.sent() == 0


def plain_function(work):
    work.add(payment())


@pytest.mark.parametrize(
    "function",
    [plain_function, generator_function, async_generator_function, lambda work: None],
    ids=["plain", "generator", "asynchronous generator", "lambda"],
)
@runs
async def test_run_of_an_asynchronous_store_takes_an_async_function(function):
    """A function whose result cannot be awaited is a TypeError, and nothing is sent."""
    table = SimulatedTable()
    with pytest.raises(TypeError, match="awaits an async function"):
        await simulated_async_store(table).user(USER).run(function)
    assert table.sent() == 0


async def coroutine_callback(*arguments):
    raise AssertionError(arguments)


class CoroutineCallback:
    async def __call__(self, *arguments):
        raise AssertionError(arguments)


@pytest.mark.parametrize("store", [DataStore, AsyncDataStore])
@pytest.mark.parametrize("option", ["observer", "clock", "new_id"])
@pytest.mark.parametrize(
    "function",
    [coroutine_callback, CoroutineCallback(), functools.partial(coroutine_callback, 1)],
    ids=["function", "callable", "partial"],
)
def test_a_coroutine_function_is_no_option(store, option, function):
    """An observer, a clock or an id function that would never be awaited is refused at once."""
    with pytest.raises(ConfigurationError, match=f"^{option} takes a plain function"):
        store(**{option: function})


# --- the wrong place ------------------------------------------------------------------------------


@runs
async def test_an_asynchronous_store_is_no_synchronous_context():
    """`with` on an asynchronous store or unit is Python's own TypeError."""
    store = simulated_async_store(SimulatedTable())
    for each in (store, store.user(USER).unit_of_work()):
        with pytest.raises(TypeError, match="context manager"), each:
            pass


@runs
async def test_a_closed_store_refuses():
    """After close() a call of the store is a ConfigurationError, one of a unit of its own kind."""
    async with simulated_async_store(SimulatedTable()) as store:
        user = store.user(USER)
        work = user.unit_of_work()
    with pytest.raises(ConfigurationError, match="closed"):
        await user.get(SavingsGoal, "g")
    with pytest.raises(ConfigurationError, match="closed"):
        await user.add(goal_data())
    with pytest.raises(ConfigurationError, match="closed"):
        await anext(user.iterate())
    with pytest.raises(UnitOfWorkStateError, match="closed"):
        await work.get(SavingsGoal, "g")


def test_a_store_belongs_to_its_loop():
    """Another open loop is refused, whatever its thread; once the first one is closed it is not."""
    table = SimulatedTable()
    table.put(goal_item())
    user = simulated_async_store(table).user(USER)
    work = user.unit_of_work()
    refused = []

    async def read():
        return await user.get(SavingsGoal, "g"), await work.get(SavingsGoal, "g")

    async def attempt(call):
        with pytest.raises((ConfigurationError, UnitOfWorkStateError), match="loop") as caught:
            await call(SavingsGoal, "g")
        refused.append(type(caught.value))

    def elsewhere():
        asyncio.run(attempt(user.get))
        asyncio.run(attempt(work.get))

    async def main():
        found = await read()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        return found

    assert None not in asyncio.run(main())
    assert refused == [ConfigurationError, UnitOfWorkStateError]
    assert None not in asyncio.run(read())


@runs
async def test_a_unit_serves_one_task_at_a_time():
    """While one task awaits a call, every call of another one is a UnitOfWorkStateError."""
    table = SimulatedTable()
    table.put(goal_item())
    work = simulated_async_store(table).user(USER).unit_of_work()
    reading = asyncio.ensure_future(work.get(SavingsGoal, "g"))
    await asyncio.sleep(0)
    with pytest.raises(UnitOfWorkStateError, match="in use by another task"):
        await work.list(SavingsGoal)
    with pytest.raises(UnitOfWorkStateError, match="in use by another task"):
        work.add(goal_data())
    goal = await reading
    assert await work.list_all() == [goal]


def test_a_forgotten_await_is_named():
    """Python's own warning says which call was not awaited."""
    user = simulated_async_store(SimulatedTable()).user(USER)
    with pytest.warns(RuntimeWarning, match=r"AsyncUserData\.add' was never awaited"):
        user.add(goal_data())
    with pytest.warns(RuntimeWarning, match=r"AsyncUnitOfWork\.commit' was never awaited"):
        user.unit_of_work().commit()


@runs
async def test_methods_of_pynamodb_name_the_call_to_await():
    """A record of an asynchronous store refuses PynamoDB's methods; nothing is sent."""
    table = SimulatedTable()
    table.put(goal_item())
    goal = await simulated_async_store(table).user(USER).get(SavingsGoal, "g")
    goal.data.current_amount += 1
    actions = [SavingsGoal.data["currentAmount"].set(1)]
    sent = table.sent()
    for call, instead in [
        (goal.save, "await user.update(record)"),
        (lambda: goal.update(actions), "await user.update(record)"),
        (goal.delete, "await user.delete(record)"),
        (goal.refresh, "await user.get("),
        (goal.get_save_kwargs_from_instance, "async with user.unit_of_work(atomic=True)"),
        (lambda: goal.get_update_kwargs_from_instance(actions), "async with user.unit_of_work"),
        (goal.get_delete_kwargs_from_instance, "async with user.unit_of_work"),
    ]:
        with pytest.raises(ConfigurationError, match=re.escape(instead)):
            call()
    assert table.sent() == sent


def test_synchronous_modules_refuse_an_asynchronous_store():
    """`data_store` and `WholeTable` say at once that they need a DataStore."""
    store = simulated_async_store(SimulatedTable())
    for call in (data_store.configure, WholeTable):
        with pytest.raises(ConfigurationError, match="make a DataStore"):
            call(store)


# --- only of the asynchronous shell ---------------------------------------------------------------


@runs
async def test_a_warning_is_at_the_line_of_the_caller():
    """The edit of a record that the unit has not got is warned of at the end of its own block."""
    table = SimulatedTable()
    table.put(goal_item())
    user = simulated_async_store(table).user(USER)
    with pytest.warns(UnattachedRecordWarning) as warned:  # noqa: PT031 - the block is the call
        async with user.unit_of_work():
            goal = await user.get(SavingsGoal, "g")
            goal.data.current_amount += 1
    assert warned[0].filename == __file__


@runs
async def test_blocks_of_tasks_are_apart():
    """A record that another task reads meanwhile is none of this task's block."""
    table = SimulatedTable()
    table.put(goal_item())
    user = simulated_async_store(table).user(USER)

    async def edit():
        goal = await user.get(SavingsGoal, "g")
        goal.data.current_amount += 1
        return goal

    async with asyncio.TaskGroup() as group:
        other = group.create_task(edit())
        async with user.unit_of_work() as work:
            await work.get(SavingsGoal, "g")
    assert (await user.update(await other)).data.current_amount == 101


def test_names_of_both_shells_are_exported():
    """The asynchronous twin of each class is imported from where the class is."""
    for one, other in PAIRS:
        assert getattr(thrivecalc_models, other.__name__) is other
        assert other.__name__ == f"Async{one.__name__}"


@runs
async def test_a_local_store_is_asynchronous_too():
    """`AsyncDataStore.local()` has its table, and takes many tasks at a time."""
    async with AsyncDataStore.local(table_name="mine") as store:
        user = store.user(USER)
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(user.add(goal_data(), record_id=str(number)))
        assert len(await user.list(SavingsGoal)) == 20
        assert store.table_name == "mine"
        assert [record.record_id async for record in user.iterate()] == sorted(
            str(number) for number in range(20)
        )
