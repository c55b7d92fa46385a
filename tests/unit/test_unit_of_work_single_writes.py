"""Single writes, the guide's calls, `run` and `delete_all`: units of work that nobody sees."""

from __future__ import annotations

import itertools
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import EXPIRED, USER, changed, goal_item, item, payment, requests, user_of
from simulated import configured

from thrivecalc_models import (
    Budget,
    Capacity,
    CommitError,
    ConflictError,
    InvalidRecordError,
    ItemTooLargeError,
    RecordExistsError,
    RecordNotFoundError,
    SavingsGoal,
    SavingsGoalData,
    UnknownRecord,
    data_store,
)
from thrivecalc_models.signals import CommitEvent, RequestEvent
from thrivecalc_models.testing import SimulatedTable, faults, simulated_store

KEY = "savings-goal#g"


pytestmark = pytest.mark.usefixtures("shell", "a_stored_goal")


def field(table, name, key=KEY):
    return table.get(USER, key)["data"]["M"].get(name)


WRITES = {
    "add": lambda user, goal: user.add(payment(), record_id="p"),
    "put": lambda user, goal: user.put(goal),
    "update": lambda user, goal: user.update(goal),
    "delete": lambda user, goal: user.delete(goal),
    "delete by id": lambda user, goal: user.delete(SavingsGoal, "g"),
    "replace_data": lambda user, goal: user.replace_data(
        SavingsGoal, "g", {"name": "n", "targetAmount": 1}
    ),
    "patch": lambda user, goal: user.patch(SavingsGoal, "g", {"name": "n", "colour": None}),
    "upsert": lambda user, goal: user.upsert(
        SavingsGoalData(name="n", target_amount=1), record_id="g"
    ),
}


@pytest.mark.parametrize("write", WRITES)
def test_ctrl_c_within_a_single_write(monkeypatch, write):
    """Ctrl-C during a single write passes through; its cause says that the outcome is unknown."""
    table = SimulatedTable()
    table.put(goal_item())
    user = user_of(table)
    goal = user.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    send = table.send
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupted(operation, request):
        result = send(operation, request)
        signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(table, "send", interrupted)
    stored = dict(table.items)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            WRITES[write](user, goal)
    finally:
        signal.signal(signal.SIGINT, before)
    account = caught.value.__cause__
    assert isinstance(account, CommitError)
    assert account.outcome == "unknown"
    assert account.unknown == [account.record.record_key if account.record else KEY]
    assert table.items != stored
    assert table.sent() == 2  # the reading, and the write


@pytest.mark.parametrize("write", WRITES)
def test_the_end_of_a_single_write_is_told(table, write):
    """An observer hears of a single write that is done, as of any other commit."""
    events = []
    user = user_of(table, observer=events.append)
    goal = user.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    events.clear()
    WRITES[write](user, goal)
    request, commit = events
    assert isinstance(request, RequestEvent)
    assert isinstance(commit, CommitEvent)
    assert (commit.applied, commit.requests) == (1, 1)
    assert commit.write_units == request.write_units > 0


def test_each_single_write_is_one_request(table, user):
    """add, put, update and delete send one request each, and update none if nothing changed."""
    goal = user.add(SavingsGoalData(name="n", target_amount=1))
    given = user.add(payment(), record_id="p")
    assert user.update(goal) is goal
    goal.data.current_amount = 7
    assert user.update(goal) is goal
    assert user.put(goal) is goal
    user.delete(goal)
    user.delete("transaction", "p")
    assert requests(table) == [
        ("PutItem", (goal.record_key,)),
        ("PutItem", (given.record_key,)),
        ("UpdateItem", (goal.record_key,)),
        ("PutItem", (goal.record_key,)),
        ("DeleteItem", (goal.record_key,)),
        ("DeleteItem", ("transaction#p",)),
    ]
    assert set(table.items) == {(USER, KEY)}


@pytest.mark.parametrize("write", ["put", "update"])
def test_a_value_set_back_after_a_write_is_a_change(table, user, write):
    """A value that was read, replaced and written, then set again, is written again."""
    goal = user.get(SavingsGoal, "g")
    as_read = goal.data.name
    goal.data.name = "another"
    getattr(user, write)(goal)
    goal.data.name = as_read
    user.update(goal)
    assert field(table, "name") == {"S": as_read}
    assert table.sent("UpdateItem") == 1 + (write == "update")


def test_delete_is_idempotent(table, user):
    """Deleting what is gone is fine, by id and by record."""
    goal = user.get(SavingsGoal, "g")
    for _ in range(2):
        user.delete(goal)
        user.delete(SavingsGoal, "g")
    assert table.items == {}


def test_a_conflict_names_record_and_outcome(table, user):
    """The error of a single update is the conflict itself, with the record and "not applied"."""
    goal = user.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    table.put(changed(goal_item()))
    for call in (user.update, user.delete):
        with pytest.raises(ConflictError) as refused:
            call(goal)
        assert refused.value.record is goal
        assert refused.value.outcome == "not applied"
        assert refused.value.stored.item == table.get(USER, KEY)


def test_a_taken_key_names_record_and_outcome(table, user):
    """add under a taken id raises RecordExistsError with the record that was to be written."""
    with pytest.raises(RecordExistsError) as refused:
        user.add(SavingsGoalData(name="n", target_amount=1), record_id="g")
    assert refused.value.record.data.name == "n"
    assert refused.value.outcome == "not applied"
    assert refused.value.stored.item == goal_item()
    table.delete(USER, KEY)
    user.add(refused.value.record)
    assert field(table, "name") == {"S": "n"}


def test_bad_input_of_a_single_write_is_not_applied(table, user):
    """What is refused before anything is sent has the record and the outcome, too."""
    with pytest.raises(ItemTooLargeError) as refused:
        user.add(payment(description="x" * 410_000))
    assert refused.value.outcome == "not applied"
    refused.value.record.data.description = "short"
    assert table.sent() == 0
    user.add(refused.value.record)
    assert table.sent() == 1


def test_a_record_added_again_exists(user):
    """A record that was stored cannot be added a second time."""
    goal = user.add(SavingsGoalData(name="n", target_amount=1))
    with pytest.raises(RecordExistsError):
        user.add(goal)


def test_a_mapping_is_stored_as_given(table, user):
    """A camelCase mapping keeps its undeclared keys and its None, of any type."""
    goal = user.add("savings-goal", {"name": "n", "targetAmount": 1, "x": [1], "targetDate": None})
    assert isinstance(goal, SavingsGoal)
    assert table.get(USER, goal.record_key)["data"]["M"] == {
        "name": {"S": "n"},
        "targetAmount": {"N": "1"},
        "x": {"L": [{"N": "1"}]},
        "targetDate": {"NULL": True},
    }
    note = user.put(("note", {"text": None}), record_id="n")
    assert isinstance(note, UnknownRecord)
    assert table.get(USER, "note#n")["data"]["M"] == {"text": {"NULL": True}}


# --- replacing and setting fields -----------------------------------------------------------------


def test_replace_data_sets_all_of_data(table, user):
    """replace_data is one UpdateItem of data and updatedAt, and returns the record."""
    record = user.replace_data("savings-goal", "g", {"name": "n", "targetAmount": 3})
    assert requests(table) == [("UpdateItem", (KEY,))]
    stored = table.get(USER, KEY)
    assert stored == goal_item() | {
        "data": {"M": {"name": {"S": "n"}, "targetAmount": {"N": "3"}}},
        "updatedAt": {"S": "2025-01-07T12:30:00.000Z"},
    }
    assert record.item == stored


def test_replace_data_mends_what_is_malformed(table, user):
    """All of data can be replaced where it is no map."""
    table.put(goal_item() | {"data": {"S": "oops"}})
    assert not user.replace_data(SavingsGoal, "g", {"name": "n", "targetAmount": 3}).malformed


def test_replacing_what_is_not_there(table, user):
    """Replacing a missing record is a RecordNotFoundError, and creates nothing."""
    data = {"name": "n", "period": "p"}
    for call in (
        lambda: user.replace_data(Budget, "none", data),
        lambda: data_store.update_user_data(USER, "budget", "none", data),
        lambda: data_store.update_user_data(USER, "transaction", "none", payment()),
    ):
        with configured(simulated_store(table)), pytest.raises(RecordNotFoundError) as refused:
            call()
        assert isinstance(refused.value, LookupError)
        assert refused.value.outcome == "not applied"
    assert set(table.items) == {(USER, KEY)}


@pytest.mark.parametrize("data", [{"name": "n"}, {"name": 5, "targetAmount": 1}, "text", None])
def test_data_that_does_not_fit_is_refused(table, user, data):
    """A mapping that its payload class cannot read is refused before anything is sent."""
    with pytest.raises(InvalidRecordError):
        user.replace_data(SavingsGoal, "g", data)
    assert table.sent() == 0


def test_update_user_data_with_a_payload_sets_its_fields(table):
    """A payload writes its declared fields, removes those that are None, and leaves the rest."""
    table.put(changed(goal_item(), monthlyContribution={"N": "5"}))
    with configured(simulated_store(table)):
        data_store.update_user_data(
            USER, "savings-goal", "g", SavingsGoalData(name="n", target_amount=1)
        )
    assert table.get(USER, KEY)["data"]["M"] == {
        "name": {"S": "n"},
        "targetAmount": {"N": "1"},
        "currentAmount": {"N": "0"},
        "colour": {"S": "green"},
    }


# --- run ------------------------------------------------------------------------------------------


def meddle(table, times):
    """Let another program change the goal just before each of the next transactions."""

    def act(_):
        stored = table.get(USER, KEY)
        amount = int(stored["data"]["M"]["currentAmount"]["N"]) + 1000
        stamp = f"2025-01-06T00:00:00.{amount % 999:03}Z"
        table.put(changed(stored, stamp=stamp, currentAmount={"N": str(amount)}))

    table.fail_next(faults.OtherWriter(act), "TransactWriteItems", times)


def save(calls):
    def function(work):
        goal = work.get(SavingsGoal, "g")
        goal.data.current_amount += 1
        calls.append(work)
        return goal.data.current_amount

    return function


def test_run_returns_the_result(table, user):
    """run calls the function with a fresh atomic unit, commits, and returns its result."""
    calls = []
    assert user.run(save(calls)) == 101
    assert len(calls) == 1
    assert requests(table)[1:] == [("TransactWriteItems", (KEY,))]


def test_run_begins_again_after_a_conflict(table, user):
    """After a conflict the function is called again in a fresh unit, on what is stored now."""
    calls = []
    meddle(table, 2)
    assert user.run(save(calls)) == 2101
    assert len({id(work) for work in calls}) == 3
    assert field(table, "currentAmount") == {"N": "2101"}


@pytest.mark.parametrize("attempts", [1, 2])
def test_run_gives_up(table, user, attempts):
    """After the last attempt the CommitError comes through, in the words of its one conflict."""
    calls = []
    meddle(table, 10)
    with pytest.raises(CommitError) as failed:
        user.run(save(calls), attempts=attempts)
    assert isinstance(failed.value.causes[KEY], ConflictError)
    assert str(failed.value) == str(failed.value.causes[KEY])
    assert failed.value.not_applied == [KEY]
    assert len(calls) == attempts


def test_run_waits_between_its_attempts(table, user):
    """run calls the function eight times, after waits with full jitter: none at the end."""
    calls, times = [], []
    meddle(table, 10)

    def function(work):
        times.append(table.now)
        return save(calls)(work)

    with pytest.raises(CommitError):
        user.run(function)
    requests_take = 2 * table.latency  # a reading and a transaction
    waits = [b - a - requests_take for a, b in itertools.pairwise(times)]
    ceilings = [0.025 * 2**n for n in range(7)]
    assert len(calls) == 8
    assert all(0 < wait < ceiling for wait, ceiling in zip(waits, ceilings, strict=True))
    assert sum(waits) > 0.1
    assert table.now == pytest.approx(times[-1] + requests_take)


def test_run_does_not_repeat_what_was_applied_in_part(table, user):
    """Where a part was applied, the function is not called again: that would apply it twice."""
    calls = []

    def function(work):
        calls.append(work)
        work.get(SavingsGoal, "g").data.current_amount += 1
        work.add(payment())

    table.fail_next(faults.OtherWriter(lambda _: table.put(changed(goal_item()))), "UpdateItem")
    with pytest.raises(CommitError) as failed:
        user.run(function, atomic=False)
    assert len(calls) == 1
    assert len(failed.value.applied) == 1


def test_run_does_not_repeat_what_the_function_committed(table, user):
    """Where the function itself committed something, a later conflict does not call it again."""
    calls = []

    def function(work):
        calls.append(work)
        work.add(payment())
        work.commit()
        work.get(SavingsGoal, "g").data.current_amount += 1
        meddle(table, 1)

    with pytest.raises(CommitError):
        user.run(function)
    assert len(calls) == 1
    assert len(table.items) == 2


@pytest.mark.parametrize("fault", [faults.Denied(), faults.NoTable()])
def test_run_repeats_only_conflicts(table, user, fault):
    """A refusal that is no conflict comes through at once."""
    calls = []
    table.fail_always(fault, "TransactWriteItems")
    with pytest.raises(CommitError):
        user.run(save(calls))
    assert len(calls) == 1


def test_run_passes_the_functions_errors_on(table, user):
    """An exception of the function ends it, and nothing is sent."""

    def function(work):
        work.add(payment())
        raise KeyError("mine")

    with pytest.raises(KeyError):
        user.run(function)
    assert table.sent() == 0


@pytest.mark.parametrize("attempts", [0, -1, True, 2.0])
def test_run_takes_a_whole_number_of_attempts(user, attempts):
    """Attempts are a whole number from 1."""
    with pytest.raises(InvalidRecordError):
        user.run(lambda work: None, attempts=attempts)


# --- delete_all -----------------------------------------------------------------------------------


def odd_items():
    return [
        goal_item("old", ttl=EXPIRED),
        item("note", "n", {}),
        item("budget", "bad", {}),
        item("budget", "odd", {}, dataType={"S": "else"}, recordId={"N": "1"}),
    ]


@given(count=st.integers(0, 120), page_bytes=st.sampled_from([1, 500, 9_000, 1 << 20]))
def test_delete_all_leaves_nothing(count, page_bytes):
    """Every item of the user goes, odd ones too, and nothing of anybody else's."""
    table = SimulatedTable(page_bytes=page_bytes)
    for number in range(count):
        table.put(goal_item(str(number)))
    for each in odd_items():
        table.put(each)
        table.put(each | {"userId": {"S": "another"}})
    result = user_of(table).delete_all()
    assert {user_id for user_id, _ in table.items} == {"another"}
    assert len(table.items) == 4
    assert len(result.applied) == len(set(result.applied)) == count + 4
    if page_bytes == 1 << 20:
        assert table.sent("Query") == 2
        assert table.sent("BatchWriteItem") + table.sent("DeleteItem") == -(-(count + 4) // 25)


def test_delete_all_of_nothing(table):
    """A user without records is one reading and nothing to delete."""
    result = user_of(table, "nobody").delete_all()
    assert result.applied == []
    assert [operation for operation, _ in requests(table)] == ["Query"]


def test_delete_all_repeats_while_others_write(table, user):
    """What another program adds meanwhile is deleted too, until a whole reading finds none."""
    table.put(goal_item("h"))
    for name in "xyz":
        act = faults.OtherWriter(lambda there, name=name: there.put(goal_item(name)))
        table.fail_next(act, "BatchWriteItem" if name == "x" else "DeleteItem")
    result = user.delete_all()
    assert table.items == {}
    assert sorted(result.applied) == [f"savings-goal#{name}" for name in "ghxyz"]


def test_delete_all_counts_its_requests(table, user):
    """The result counts the requests that read and deleted, and what they consumed."""
    result = user.delete_all()
    assert result.requests == table.sent() == 3  # read, delete, read again
    assert result.capacity == Capacity(read_units=2.0, write_units=2.0)


def test_delete_all_fetches_only_keys(table, user):
    """The items that `delete_all` reads before it deletes them do not travel; their keys do."""
    user.delete_all()
    request = table.log[0].request
    names = request["ExpressionAttributeNames"]
    fetched = {names[each] for each in request["ProjectionExpression"].split(", ")}
    assert fetched == {"userId", "recordKey"}
