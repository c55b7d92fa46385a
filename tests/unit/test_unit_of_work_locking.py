"""Other writers: what is a conflict, what is not, and which stamps are written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import STAMP, USER, changed, goal_item, item, requests, stamp_text, user_of

from thrivecalc_models import (
    Budget,
    CommitError,
    ConflictError,
    InvalidRecordError,
    PayloadAttribute,
    RecordNotFoundError,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UnitOfWorkStateError,
    UserRecord,
    payload,
)
from thrivecalc_models.testing import SimulatedTable, faults

KEY = "savings-goal#g"
MS = timedelta(milliseconds=1)


pytestmark = pytest.mark.usefixtures("shell", "a_stored_goal")


def stored(table, key=KEY):
    return table.get(USER, key)


def field(table, name, key=KEY):
    return stored(table, key)["data"]["M"].get(name)


def conflict(work, key=KEY):
    """Commit, and the conflict that it must end with."""
    with pytest.raises(CommitError) as failed:
        work.commit()
    error = failed.value
    assert error.not_applied == list(error.causes) == [key]
    assert error.applied == error.existing == error.unknown == []
    assert isinstance(error.causes[key], ConflictError)
    assert error.causes[key].record_key == key
    assert error.causes[key].outcome == "not applied"
    return error.causes[key]


OTHERS = {
    "another stamp": lambda there: changed(there),
    "another stamp and field": lambda there: changed(there, currentAmount={"N": "8"}),
    "the same field with the same stamp": lambda there: changed(
        there, stamp=None, currentAmount={"N": "8"}
    ),
    "an odd stamp": lambda there: there | {"updatedAt": {"S": "just now"}},
    "no stamp": lambda there: {name: there[name] for name in there if name != "updatedAt"},
    "data that is no map": lambda there: there | {"data": {"S": "oops"}},
    "no data": lambda there: {name: there[name] for name in there if name != "data"},
}


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("theirs", OTHERS.values(), ids=OTHERS)
def test_a_record_changed_by_others_is_a_conflict(table, user, theirs, atomic):
    """An update fails if the stamp or a changed field is not what was read; `stored` is what is."""
    work = user.unit_of_work(atomic=atomic)
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    table.put(theirs(goal_item()))
    now = stored(table)
    error = conflict(work)
    assert error.stored.item == now == stored(table)
    assert error.record is goal
    assert goal.data.current_amount == 7


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("lock", [False, True])
def test_a_vanished_record_is_a_conflict(table, user, lock, atomic):
    """An update never brings back a record that someone else deleted."""
    work = user.unit_of_work(lock=lock, atomic=atomic)
    work.get(SavingsGoal, "g").data.current_amount = 7
    table.delete(USER, KEY)
    assert conflict(work).stored is None
    assert table.items == {}


@pytest.mark.parametrize("atomic", [False, True])
def test_the_same_stamp_and_another_field_is_no_conflict(table, user, atomic):
    """Two hosts that write the same stamp do not disturb each other in different fields."""
    with user.unit_of_work(atomic=atomic) as work:
        work.get(SavingsGoal, "g").data.current_amount = 7
        table.put(changed(goal_item(), stamp=None, name={"S": "theirs"}))
    assert field(table, "currentAmount") == {"N": "7"}
    assert field(table, "name") == {"S": "theirs"}


def test_two_hosts_with_the_same_stamp_conflict_on_the_same_field():
    """Of two hosts whose clocks agree to the millisecond, only one changes a field."""
    table = SimulatedTable(latency=0.0)
    table.put(goal_item())
    one, two = user_of(table).unit_of_work(), user_of(table).unit_of_work()
    one.get(SavingsGoal, "g").data.current_amount += 1
    two.get(SavingsGoal, "g").data.current_amount += 10
    three = user_of(table).unit_of_work()
    three.get(SavingsGoal, "g").data.name = "third"
    one.commit()
    assert conflict(two).stored.data.current_amount == 101
    conflict(three)  # the stamp went on, to what none of them had read


def test_a_number_written_otherwise_is_the_same_field(table, user):
    """The lock compares numbers by value, as DynamoDB does."""
    table.put(goal_item(current="1E+2"))
    with user.unit_of_work() as work:
        work.get(SavingsGoal, "g").data.current_amount += 1
    assert field(table, "currentAmount") == {"N": "101"}


def test_a_conflict_does_not_stop_the_rest(table, user):
    """Everything else of the unit is applied, and the account says what."""
    table.put(goal_item("h"))
    work = user.unit_of_work()
    for goal in work.list(SavingsGoal):
        goal.data.current_amount = 7
    added = work.add(TransactionData(date=date(2025, 1, 7), amount=1))
    table.put(changed(goal_item()))
    with pytest.raises(CommitError) as failed:
        work.commit()
    assert sorted(failed.value.applied) == sorted(["savings-goal#h", added.record_key])
    assert failed.value.not_applied == [KEY]
    assert field(table, "currentAmount", "savings-goal#h") == {"N": "7"}


def test_a_conflict_stops_everything_of_an_atomic_unit(table, user):
    """In a transaction one conflict leaves every other write unapplied, without a cause."""
    table.put(goal_item("h"))
    work = user.unit_of_work(atomic=True)
    for goal in work.list(SavingsGoal):
        goal.data.current_amount = 7
    table.put(changed(goal_item()))
    with pytest.raises(CommitError) as failed:
        work.commit()
    assert failed.value.not_applied == [KEY, "savings-goal#h"]
    assert list(failed.value.causes) == [KEY]
    assert stored(table, "savings-goal#h") == goal_item("h")


def test_refresh_resolves_a_conflict(table, user):
    """After a refresh the edit can be made again on what is stored, in the same unit."""
    work = user.unit_of_work()
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount += 7
    table.put(changed(goal_item(), currentAmount={"N": "1000"}))
    conflict(work)
    work.refresh(goal)
    goal.data.current_amount += 7
    assert work.commit().applied == [KEY]
    assert field(table, "currentAmount") == {"N": "1007"}
    assert work.get(SavingsGoal, "g") is goal


def test_refresh_of_a_vanished_record(table, user):
    """A record that is gone leaves the unit with RecordNotFoundError, and nothing is pending."""
    work = user.unit_of_work()
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount += 7
    table.delete(USER, KEY)
    conflict(work)
    with pytest.raises(RecordNotFoundError):
        work.refresh(goal)
    assert work.commit().applied == []
    assert work.get(SavingsGoal, "g") is None


# --- deleting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [False, True])
def test_a_loaded_record_is_deleted_if_unchanged(table, user, atomic):
    """The deletion of a record that someone changed is a conflict, and it stays."""
    work = user.unit_of_work(atomic=atomic)
    work.delete(work.get(SavingsGoal, "g"))
    table.put(changed(goal_item()))
    assert conflict(work).stored.item == stored(table)
    assert work.plan().requests[0].keys == (KEY,)


def test_a_delete_compares_the_data_too(table, user):
    """A change with the same stamp is not deleted unseen."""
    work = user.unit_of_work()
    work.delete(work.get(SavingsGoal, "g"))
    table.put(changed(goal_item(), stamp=None, colour={"S": "red"}))
    conflict(work)


@pytest.mark.parametrize("atomic", [False, True])
def test_gone_already_counts_as_deleted(table, user, atomic):
    """Deleting what someone else deleted first is applied."""
    work = user.unit_of_work(atomic=atomic)
    goal = work.get(SavingsGoal, "g")
    work.delete(goal)
    table.delete(USER, KEY)
    assert work.commit().applied == [KEY]
    assert work.get(SavingsGoal, "g") is None


def test_without_lock_a_delete_is_unconditional(table, user):
    """With lock=False the deletion of a record is that of its key, in a batch with others."""
    table.put(goal_item("h"))
    work = user.unit_of_work(lock=False)
    for goal in work.list(SavingsGoal):
        work.delete(goal)
    table.put(changed(goal_item()))
    work.commit()
    assert requests(table)[1:] == [("BatchWriteItem", (KEY, "savings-goal#h"))]
    assert table.items == {}


# --- without the lock -----------------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [False, True])
def test_without_lock_the_last_writer_wins_field_by_field(table, user, atomic):
    """With lock=False an edited field is set whatever is there, and the others' fields stay."""
    work = user.unit_of_work(lock=False, atomic=atomic)
    work.get(SavingsGoal, "g").data.current_amount = 7
    theirs = changed(goal_item(), currentAmount={"N": "8"}, name={"S": "theirs"})
    table.put(theirs | {"source": {"S": "web"}})
    work.commit()
    assert field(table, "currentAmount") == {"N": "7"}
    assert field(table, "name") == {"S": "theirs"}
    assert stored(table)["source"] == {"S": "web"}


def test_without_lock_data_that_is_no_map_is_a_conflict(table, user):
    """There is no field to be set in data that is no map any more."""
    work = user.unit_of_work(lock=False)
    work.get(SavingsGoal, "g").data.current_amount = 7
    table.put(goal_item() | {"data": {"S": "oops"}})
    assert conflict(work).stored.malformed


def test_an_over_long_change_is_locked_even_without_lock(table, user):
    """Where data has to be set whole, others' fields would be lost: it must be what was read."""
    fields = {f"field{number:03}": {"N": "1"} for number in range(300)}
    table.put(item("note", "n", fields))
    work = user.unit_of_work(lock=False)
    note = work.get("note", "n")
    note.data = dict.fromkeys(note.data, 2)
    table.put(changed(item("note", "n", fields), theirs={"S": "x"}))
    conflict(work, "note#n")


# --- checks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize("edited", [True, False])
@pytest.mark.parametrize(
    "theirs", [changed, lambda there: changed(there, stamp=None, x={"N": "1"})]
)
def test_a_check_holds_the_commit_to_what_was_read(table, user, lock, edited, theirs):
    """An atomic unit fails if a checked record changed, whatever else is done with it."""
    table.put(goal_item("h"))
    work = user.unit_of_work(atomic=True, lock=lock)
    checked = work.get(SavingsGoal, "g")
    work.check(checked)
    if edited:
        checked.data.current_amount = 7
    work.get(SavingsGoal, "h").data.current_amount = 7
    table.put(theirs(goal_item()))
    with pytest.raises(CommitError) as failed:
        work.commit()
    assert set(failed.value.not_applied) == {KEY, "savings-goal#h"}
    assert list(failed.value.causes) == [KEY]
    assert stored(table, "savings-goal#h") == goal_item("h")


def test_a_check_that_holds_changes_nothing(table, user):
    """A checked record that is as it was read is applied, and not written."""
    work = user.unit_of_work(atomic=True)
    work.check(work.get(SavingsGoal, "g"))
    assert work.commit().applied == [KEY]
    assert stored(table) == goal_item()
    assert len(work.plan()) == 0


# --- what comes back ------------------------------------------------------------------------------


def test_an_update_takes_on_what_is_stored(table, user):
    """The fields that were not edited here say what the update brought back (ALL_NEW)."""
    work = user.unit_of_work(lock=False)
    goal = work.get(SavingsGoal, "g")
    data, extras = goal.data, goal.extra_data
    data.current_amount = 7
    theirs = changed(goal_item(), name={"S": "theirs"}, colour={"S": "red"})
    table.put(theirs | {"source": {"S": "web"}})
    work.commit()
    assert goal.data is data
    assert goal.extra_data is extras
    assert (data.name, data.current_amount, extras) == ("theirs", 7, {"colour": "red"})
    assert goal.extra_attributes == {"source": "web"}
    assert goal.item == stored(table)
    assert len(work.plan()) == 0


def test_an_edit_after_a_commit_is_a_further_change(table, user):
    """What is edited once an update was applied is compared with what that update stored."""
    work = user.unit_of_work()
    goal = work.get(SavingsGoal, "g")
    for amount in (7, 8, 8):
        goal.data.current_amount = amount
        sent = table.sent()
        applied = work.commit().applied
        assert len(applied) == table.sent() - sent
    assert table.sent("UpdateItem") == 2
    assert field(table, "currentAmount") == {"N": "8"}


# --- stamps ---------------------------------------------------------------------------------------


def test_stamps_of_a_new_record(table, user):
    """A new record is created and updated at the same moment, to the millisecond."""
    with user.unit_of_work() as work:
        goal = work.add(SavingsGoalData(name="n", target_amount=1))
        assert goal.created_at is None
    assert goal.created_at == goal.updated_at == datetime(2025, 1, 7, 12, 30, tzinfo=UTC)
    assert stored(table, goal.record_key)["createdAt"] == {"S": "2025-01-07T12:30:00.000Z"}


def test_created_at_never_changes(table, user):
    """Updates and puts of a loaded record keep its createdAt, odd or missing as it may be."""
    missing = goal_item("h")
    del missing["createdAt"]
    table.put(missing)
    table.put(goal_item("i", createdAt={"S": "2025"}))
    for call in ("edit", "put"):
        with user.unit_of_work() as work:
            for goal in work.list(SavingsGoal):
                goal.data.current_amount += 1
                if call == "put":
                    work.put(goal)
        assert stored(table)["createdAt"] == {"S": STAMP}
        assert "createdAt" not in stored(table, "savings-goal#h")
        assert stored(table, "savings-goal#i")["createdAt"] == {"S": "2025"}


@pytest.mark.parametrize("back", [timedelta(0), timedelta(hours=1), timedelta(days=400)])
def test_a_stamp_never_goes_back(back):
    """With the clock set back, or within a millisecond, a write is 1 to 16 ms after the last."""
    table = SimulatedTable(latency=0.0)
    table.put(goal_item(updatedAt={"S": stamp_text(table.clock())}))
    last = table.clock()
    table.set_clock(last - back)
    work = user_of(table).unit_of_work()
    goal = work.get(SavingsGoal, "g")
    for step in range(1, 6):
        if step == 3:
            work.put(goal)
        goal.data.current_amount += 1
        work.commit()
        assert last + MS <= goal.updated_at <= last + 16 * MS
        assert stored(table)["updatedAt"] == {"S": stamp_text(goal.updated_at)}
        last = goal.updated_at


def test_a_stamp_in_the_future_goes_on(table, user):
    """A record stamped by a host whose clock is ahead is stamped after it, not before."""
    table.put(goal_item(updatedAt={"S": "2031-01-01T00:00:00.000Z"}))
    with user.unit_of_work() as work:
        work.get(SavingsGoal, "g").data.current_amount = 7
    assert (
        "2031-01-01T00:00:00.001Z" <= stored(table)["updatedAt"]["S"] <= "2031-01-01T00:00:00.016Z"
    )


def test_writers_who_read_the_same_rarely_write_the_same():
    """Where now is not later than what was read, the stamp goes 1 to 16 ms past it, at random."""
    table = SimulatedTable()
    ahead = datetime(2031, 1, 1, tzinfo=UTC)
    written = set()
    for seed in range(200):
        table.put(goal_item(updatedAt={"S": stamp_text(ahead)}))
        user = user_of(table, seed=seed)
        goal = user.get(SavingsGoal, "g")
        goal.data.current_amount = 7
        written.add((user.update(goal).updated_at - ahead) // MS)
    assert written == set(range(1, 17))


def test_stores_on_one_table_draw_different_numbers():
    """Two writers with the same clock and seed, who read the same record, differ in most stamps."""
    same = 0
    for seed in range(100):
        table = SimulatedTable(latency=0.0)
        table.put(goal_item(updatedAt={"S": "2031-01-01T00:00:00.000Z"}))
        users = [user_of(table, seed=seed) for _ in range(2)]
        goals = [user.get(SavingsGoal, "g") for user in users]
        stamps = []
        for user, goal in zip(users, goals, strict=True):
            table.put(goal_item(updatedAt={"S": "2031-01-01T00:00:00.000Z"}))
            goal.data.current_amount = 7
            stamps.append(user.update(goal).updated_at)
        same += stamps[0] == stamps[1]
    assert same < 20


def test_the_last_stamp_of_all_is_refused(table, user):
    """Nothing can follow the very end of the year 9999: that is said before anything is sent."""
    table.put(goal_item(updatedAt={"S": "9999-12-31T23:59:59.999Z"}))
    with pytest.raises(InvalidRecordError) as refused, user.unit_of_work() as work:
        work.get(SavingsGoal, "g").data.current_amount = 7
    assert refused.value.path == "updatedAt"
    assert table.sent() == 1


@given(
    now=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
    read=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
)
def test_the_stamp_is_the_later_of_now_and_after_what_was_read(now, read):
    """updatedAt of a write is now, or 1 to 16 ms after what was read; record and table agree."""
    table = SimulatedTable(latency=0.0)
    read = read.replace(microsecond=read.microsecond // 1000 * 1000)
    table.put(goal_item(updatedAt={"S": stamp_text(read)}))
    table.set_clock(now)
    with user_of(table).unit_of_work() as work:
        goal = work.get(SavingsGoal, "g")
        goal.data.current_amount = 7
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    first, last = (now, now) if now > read else (read + MS, read + 16 * MS)
    assert first <= goal.updated_at <= last
    assert stored(table)["updatedAt"] == {"S": stamp_text(goal.updated_at)}


def test_a_retried_commit_has_a_new_stamp(table, user):
    """What was not applied is sent again with the time of the commit that sends it."""
    work = user.unit_of_work()
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    table.fail_next(faults.Denied(), "UpdateItem")
    with pytest.raises(CommitError):
        work.commit()
    table.sleep(60)
    work.commit()
    assert goal.updated_at > datetime(2025, 1, 7, 12, 31, tzinfo=UTC)


# --- through the block ----------------------------------------------------------------------------


def test_the_block_commits_once_and_closes(table, user):
    """At the end of the block the edits are committed; after it every call is refused."""
    with user.unit_of_work() as work:
        goal = work.get(SavingsGoal, "g")
        goal.data.current_amount = Decimal(7)
    assert field(table, "currentAmount") == {"N": "7"}
    assert work.commit().requests == 0
    for call in (
        lambda: work.get(SavingsGoal, "g"),
        lambda: work.get_many([]),
        lambda: work.list(Budget),
        lambda: work.list_all(),
        lambda: work.add(SavingsGoalData(name="n", target_amount=1)),
        lambda: work.put(goal),
        lambda: work.delete(goal),
        lambda: work.check(goal),
        lambda: work.refresh(goal),
        lambda: work.expunge(goal),
        lambda: work.plan(),
        lambda: work.rollback(),
        lambda: work.__enter__(),
    ):
        with pytest.raises(UnitOfWorkStateError, match="closed"):
            call()


@pytest.mark.parametrize("ending", ["block", "close"])
@pytest.mark.parametrize("pending", ["edit", "bad"])
def test_a_closed_unit_never_forgets_silently(table, user, ending, pending):
    """commit() of a closed unit with something pending is refused: it would not be sent."""
    if ending == "block":
        with user.unit_of_work() as work:
            goal = work.get(SavingsGoal, "g")
    else:
        work = user.unit_of_work()
        goal = work.get(SavingsGoal, "g")
        work.close()
    if pending == "bad":
        goal.extra_data["colour"] = object()
    else:
        goal.data.current_amount = 7
    with pytest.raises(UnitOfWorkStateError):
        work.commit()
    assert stored(table) == goal_item()


def test_an_exception_in_the_block_sends_nothing(table, user):
    """A block that raised leaves the table as it was, and its unit is closed."""
    with pytest.raises(KeyError), user.unit_of_work() as work:  # noqa: PT012
        work.get(SavingsGoal, "g").data.current_amount = 7
        work.add(SavingsGoalData(name="n", target_amount=1))
        raise KeyError("mine")
    assert table.sent() == 1
    with pytest.raises(UnitOfWorkStateError):
        work.commit()


def test_a_commit_that_fails_at_the_end_of_the_block_can_be_finished(table, user):
    """After the failing end of a block the unit is open for mending and for another commit."""
    with pytest.raises(CommitError), user.unit_of_work() as work:  # noqa: PT012
        goal = work.get(SavingsGoal, "g")
        goal.data.current_amount = 7
        table.put(changed(goal_item()))
    with pytest.raises(UnitOfWorkStateError, match="failed commit"):
        work.get(SavingsGoal, "g")
    work.refresh(goal)
    goal.data.current_amount = 7
    assert work.commit().applied == [KEY]
    with pytest.raises(UnitOfWorkStateError, match="closed"):
        work.get(SavingsGoal, "g")


def test_a_rollback_ends_a_failed_unit(table, user):
    """Rolling back after a failed commit restores the record and opens the unit again."""
    work = user.unit_of_work()
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    table.put(changed(goal_item()))
    conflict(work)
    with pytest.raises(UnitOfWorkStateError, match="failed commit"):
        work.list_all()
    work.rollback()
    assert goal.data.current_amount == 100
    assert work.get(SavingsGoal, "g").updated_at > goal.updated_at


@payload
class SealedData:
    """A payload with a field that nobody may change once it is made."""

    name: str
    seal: str = attrs.field(default="", on_setattr=attrs.setters.frozen)


class Sealed(UserRecord, discriminator="sealed"):
    data = PayloadAttribute(SealedData)


def test_a_class_that_refuses_what_is_stored_ends_no_commit():
    """What was written is written: a setter that raises takes no other write's outcome with it."""
    table = SimulatedTable()
    for name in "abc":
        table.put(item("sealed", name, {"name": {"S": "x"}, "seal": {"S": "s"}}))
    work = user_of(table).unit_of_work(lock=False)
    records = work.list(Sealed)
    for record in records:
        record.data.name = "y"
    stored = table.get(USER, "sealed#b")
    table.put(changed(stored, seal={"S": "another"}))
    result = work.commit()
    assert result.applied == ["sealed#a", "sealed#b", "sealed#c"]
    assert [(record.data.name, record.data.seal) for record in records] == [
        ("y", "s"),
        ("y", "another"),
        ("y", "s"),
    ]
    assert len(work.plan()) == 0


@pytest.mark.parametrize("edited", [True, False])
def test_what_is_edited_while_an_update_travels_is_a_further_change(monkeypatch, edited):
    """An edit made between sending an update and its reply stays, and is what is sent next."""
    table = SimulatedTable()
    table.put(goal_item())
    user = user_of(table)
    goal = user.get(SavingsGoal, "g")
    goal.data.current_amount = Decimal(7)
    name = "later" if edited else goal.data.name
    send = table.send

    def edit_and_send(operation, body):
        goal.data.name = name
        return send(operation, body)

    with monkeypatch.context() as patched:
        patched.setattr(table, "send", edit_and_send)
        user.update(goal)
    assert (goal.data.name, goal.data.current_amount) == (name, Decimal(7))
    before = len(table.log)
    user.update(goal)
    assert len(table.log) - before == edited
    assert user.get(SavingsGoal, "g").data == goal.data
