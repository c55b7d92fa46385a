"""A commit on every engine leaves what was meant, and its account says what did not apply."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxy import FaultyProxy
from stored import (
    IN_FEWER_EXAMPLES,
    Table,
    goal,
    ids,
    keys_of,
    new_user_id,
)

from thrivecalc_models import (
    Budget,
    BudgetData,
    CommitError,
    ConflictError,
    DataStore,
    Profile,
    ProfileData,
    RecordExistsError,
    SavingsGoal,
    Transaction,
    TransactionData,
)

pytestmark = pytest.mark.usefixtures("shell")


def test_a_unit_of_many_kinds(user: Any, table: Table, proxy: FaultyProxy) -> None:
    """A unit with every kind of write leaves the table that was meant, in the requests planned."""
    for name in ("edited", "deleted", "dropped", "replaced"):
        user.add(goal(name), record_id=name)
    proxy.schedule = None
    with user.unit_of_work() as work:
        loaded = {record.record_id: record for record in work.list(SavingsGoal)}
        loaded["edited"].data.current_amount += 5
        work.delete(loaded["deleted"])
        work.delete(SavingsGoal, "dropped")
        work.put(goal("put"), record_id="replaced")
        added = [work.add(TransactionData(date=date(2025, 1, 7), amount=-n)) for n in range(30)]
        work.add(goal("given"), record_id="given")
        planned = [(request.operation, set(request.keys)) for request in work.plan().requests]
        assert proxy.sent() == 1  # the list; planning sends nothing
        result = work.commit()
    sent = [(operation, keys_of(request)) for operation, request in proxy.requests[1:]]
    assert sorted(sent, key=str) == sorted(planned, key=str)
    assert [operation for operation, _ in planned] == [
        "BatchWriteItem",
        "BatchWriteItem",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
    ]
    assert result.requests == len(sent)
    assert len(result.applied) == 35
    found = {record.record_id: record for record in user.list_all(consistent=True)}
    assert found.keys() == {"edited", "replaced", "given", *ids(added)}
    assert found["edited"].data.current_amount == 5
    assert found["replaced"].data.name == "put"
    assert found["edited"].version == loaded["edited"].version
    loaded["edited"].data.current_amount += 5
    user.update(loaded["edited"])  # a committed record is its own snapshot


def test_an_atomic_unit(user: Any, proxy: FaultyProxy) -> None:
    """An atomic unit is one transaction: all of it, or after a conflict nothing of it."""
    user.add(goal("one"), record_id="one")
    user.add(goal("two"), record_id="two")
    user.add(ProfileData(display_name="Ann"), record_id="me")
    work = user.unit_of_work(atomic=True)
    one, two = work.list(SavingsGoal)
    profile = work.get(Profile, "me")
    one.data.current_amount -= 5
    two.data.current_amount += 5
    work.check(profile)
    work.add(TransactionData(date=date(2025, 1, 7), amount=-5), record_id="pay-1")
    theirs = user.get(SavingsGoal, "two")
    theirs.data.name = "other"
    user.update(theirs)
    proxy.schedule = None
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert [operation for operation, _ in proxy.requests] == ["TransactWriteItems"]
    assert len(caught.value.not_applied) == 4
    assert set(caught.value.causes) == {two.record_key}
    assert caught.value.causes[two.record_key].stored.data.name == "other"
    assert user.get(Transaction, "pay-1") is None
    assert user.get(SavingsGoal, "one").data.current_amount == 0
    work.refresh(two)
    two.data.current_amount += 5
    assert len(work.commit().applied) == 4
    assert [r.data.current_amount for r in user.list(SavingsGoal)] == [-5, 5]
    assert user.get(Transaction, "pay-1") is not None


def test_a_failed_check(user: Any) -> None:
    """A checked record that changed since it was read fails the commit and is its cause."""
    user.add(goal("one"), record_id="one")
    work = user.unit_of_work(atomic=True)
    seen = work.get(SavingsGoal, "one")
    work.check(seen)
    work.add(BudgetData(name="Food", period="monthly"))
    user.put(goal("changed"), record_id="one")
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert isinstance(caught.value.causes[seen.record_key], ConflictError)
    assert user.list(Budget) == []
    work.rollback()


def test_conflicts_do_not_stop_the_rest(user: Any) -> None:
    """In a unit that is not atomic the others apply, and the account says which did not and why."""
    for name in ("one", "two", "three"):
        user.add(goal(name), record_id=name)
    user.add(goal("taken"), record_id="taken")
    work = user.unit_of_work()
    records = {record.record_id: record for record in work.list(SavingsGoal)}
    for name in ("one", "two"):
        records[name].data.current_amount = 9
    work.delete(records["three"])
    new = work.add(BudgetData(name="Food", period="monthly"), record_id="b")
    other = user.unit_of_work()
    theirs = other.get(SavingsGoal, "one")
    theirs.data.name = "changed"
    other.delete(SavingsGoal, "two")
    other.get(SavingsGoal, "three").data.name = "changed"
    other.put(BudgetData(name="Other", period="weekly"), record_id="b")
    other.commit()
    work.add(TransactionData(date=date(2025, 1, 7), amount=1), record_id="fine")
    with pytest.raises(CommitError) as caught:
        work.commit()
    error = caught.value
    assert error.applied == ["transaction#fine"]
    assert set(error.not_applied) == {
        records["one"].record_key,
        records["two"].record_key,
        records["three"].record_key,
        new.record_key,
    }
    causes = error.causes
    assert causes["savings-goal#one"].stored.data.name == "changed"
    assert causes["savings-goal#two"].stored is None
    assert causes["savings-goal#three"].stored.data.name == "changed"
    assert isinstance(causes["budget#b"], RecordExistsError)
    assert causes["budget#b"].stored.data.name == "Other"
    work.refresh(records["one"])
    records["one"].data.current_amount = 10
    for record in (records["two"], records["three"], new):
        work.expunge(record)
    assert work.commit().applied == ["savings-goal#one"]
    final = user.get(SavingsGoal, "one").data
    assert (final.name, final.current_amount) == ("changed", 10)


def test_exist_ok(user: Any) -> None:
    """With exist_ok a taken key is left as it is and named, a free one is written."""
    user.add(goal("First"), record_id="one")
    with user.unit_of_work() as work:
        work.add(goal("Second"), record_id="one", exist_ok=True)
        work.add(goal("Second"), record_id="two", exist_ok=True)
        result = work.commit()
    assert result.existing == ["savings-goal#one"]
    assert result.applied == ["savings-goal#two"]
    assert [record.data.name for record in user.list(SavingsGoal)] == ["First", "Second"]


def test_the_last_writer_wins_field_by_field(user: Any) -> None:
    """Without the lock a change is written over others', whose other fields stay; a record that is
    gone stays gone."""
    for name in ("one", "two", "three"):
        user.add(goal(name), record_id=name)
    work = user.unit_of_work(lock=False)
    one, three, two = work.list(SavingsGoal)
    one.data.current_amount = 1
    two.data.current_amount = 1
    work.delete(three)
    with user.unit_of_work() as other:
        theirs = other.get(SavingsGoal, "one")
        theirs.data.current_amount, theirs.data.name = 2, "changed"
        other.get(SavingsGoal, "three").data.name = "changed"
        other.delete(SavingsGoal, "two")
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert caught.value.not_applied == ["savings-goal#two"]
    assert caught.value.causes["savings-goal#two"].stored is None
    assert (one.data.name, one.data.current_amount) == ("changed", 1)
    (left,) = user.list(SavingsGoal)
    assert (left.data.name, left.data.current_amount) == ("changed", 1)


KEYS = st.sampled_from(["a", "b", "c", "d", "e"])

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "add given", "put", "edit", "delete", "delete loaded", "check", "edit deep"]
        ),
        KEYS,
        st.integers(1, 99),
    ),
    max_size=12,
)


@given(
    there=st.sets(KEYS), steps=STEPS, atomic=st.booleans(), lock=st.booleans(), many=st.booleans()
)
@IN_FEWER_EXAMPLES
def test_a_commit_leaves_what_was_meant(
    store: DataStore, there: set[str], steps: Any, atomic: bool, lock: bool, many: bool
) -> None:
    """After a commit the table has what the unit showed before it, and nothing else has changed."""
    user = store.user(new_user_id())
    with user.unit_of_work() as first:
        for name in there:
            first.put(BudgetData(name=name, period="monthly", limits={"food": 1}), record_id=name)
    work = user.unit_of_work(atomic=atomic, lock=lock)
    for step, name, number in steps:
        data = BudgetData(name=name, period=str(number))
        loaded = work.get(Budget, name)
        # What the design refuses at the call is refused here too, and leaves the unit as it was.
        with suppress(RecordExistsError, RuntimeError):
            match step:
                case "add":
                    work.add(data)
                case "add given":
                    if loaded is None and name not in there:
                        work.add(data, record_id=name)
                case "put":
                    if loaded is None:
                        work.put(data, record_id=name)
                    else:
                        loaded.data.period = str(number)
                        work.put(loaded)
                case "delete":
                    work.delete(Budget, name)
        if loaded is None:
            continue
        match step:
            case "edit":
                loaded.data.period = str(number)
            case "edit deep" if loaded.data.limits:
                loaded.data.limits["food"] = number
            case "delete loaded":
                work.delete(loaded)
            case "check" if atomic and loaded.version:
                work.check(loaded)
    if many and not atomic:
        for number in range(30):
            work.add(BudgetData(name="many", period=str(number)))
    meant = {record.record_key: record.data for record in work.list_all()}
    planned = work.plan().requests
    assert work.commit().requests == len(planned)
    found = {record.record_key: record for record in user.list_all(consistent=True)}
    assert {key: record.data for key, record in found.items()} == meant
    for record in work.list_all():
        assert record.version == found[record.record_key].version
    assert work.plan().requests == ()
