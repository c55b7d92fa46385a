"""One operation per key: what queueing twice, undoing and editing in between come to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from leaks import NAME
from machines import EXPIRED, USER, changed, goal_item, item, payment, planned, requests, user_of

from thrivecalc_models import (
    Budget,
    BudgetData,
    CommitError,
    CorruptItemError,
    InvalidRecordError,
    IsolationError,
    RecordExistsError,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    UnitOfWorkStateError,
)

KEY = "savings-goal#g"


pytestmark = pytest.mark.usefixtures("shell", "a_stored_goal")


def test_put_then_delete_is_a_delete(work, table):
    """A record that was put and then deleted is only deleted."""
    record = work.put(payment(), record_id="p")
    work.delete(record)
    assert work.get(Transaction, "p") is None
    assert work.commit().applied == ["transaction#p"]
    assert requests(table) == [("DeleteItem", ("transaction#p",))]


def test_put_then_delete_by_id_is_a_delete(work, table):
    """Deleting by id whatever was put under a key is only a deletion."""
    work.put(payment(), record_id="p")
    work.delete(Transaction, "p")
    work.commit()
    assert requests(table) == [("DeleteItem", ("transaction#p",))]


def test_delete_then_put_is_a_put(work, table):
    """A key that is deleted and then put is put: unconditionally, as a whole."""
    goal = work.get(SavingsGoal, "g")
    work.delete(goal)
    assert work.put(goal) is goal
    assert work.get(SavingsGoal, "g") is goal
    table.put(changed(goal_item(), name={"S": "theirs"}))
    work.commit()
    assert requests(table)[1:] == [("PutItem", (KEY,))]
    assert "ConditionExpression" not in table.log[-1].request
    assert table.get(USER, KEY)["data"] == goal_item()["data"]


def test_delete_by_id_then_put_of_a_payload_is_a_put(work, table):
    """Another payload may take the place of a key that is being deleted."""
    work.delete(SavingsGoal, "g")
    goal = work.put(SavingsGoalData(name="new", target_amount=1), record_id="g")
    assert work.get(SavingsGoal, "g") is goal
    work.commit()
    assert requests(table) == [("PutItem", (KEY,))]


@pytest.mark.parametrize("call", ["add", "put", "delete"])
def test_the_same_object_twice_is_one_write(work, table, call):
    """Queueing the same object again changes nothing."""
    record = work.get(SavingsGoal, "g") if call == "delete" else work.add(payment())
    for _ in range(3):
        getattr(work, call)(record)
    sent = table.sent()
    assert work.commit().applied == [record.record_key]
    assert table.sent() - sent == 1


def test_adding_again_keeps_the_batch(work, table):
    """A record with a generated id that is added twice still travels in a batch."""
    added = [work.add(payment()) for _ in range(3)]
    for record in added:
        work.add(record)
    work.commit()
    assert [operation for operation, _ in requests(table)] == ["BatchWriteItem"]


def test_a_record_added_after_a_rollback_keeps_the_batch(work, table):
    """A generated id stays a generated one, also for a unit that is started over."""
    added = [work.add(payment()) for _ in range(3)]
    work.rollback()
    assert work.commit().requests == 0
    for record in added:
        work.add(record)
    work.commit()
    assert [operation for operation, _ in requests(table)] == ["BatchWriteItem"]


@pytest.mark.parametrize("by_id", [True, False])
def test_deleting_a_pending_add_cancels_both(work, table, by_id):
    """An add under a generated id that is deleted again is never sent."""
    record = work.add(payment())
    if by_id:
        work.delete(Transaction, record.record_id)
    else:
        work.delete(record)
    assert work.list(Transaction) == []
    assert len(work.plan()) == 0
    assert work.commit().applied == []
    assert table.sent("BatchWriteItem") == table.sent("PutItem") == table.sent("DeleteItem") == 0


def test_an_add_of_a_given_id_deleted_by_id_is_a_delete(work, table):
    """Under a given id something else may be stored: the deletion by id is sent."""
    work.add(payment(), record_id="p")
    work.delete(Transaction, "p")
    work.commit()
    assert requests(table) == [("DeleteItem", ("transaction#p",))]


def test_add_after_delete_is_refused(work, table):
    """A key that is being deleted takes no add: put replaces it."""
    work.delete(SavingsGoal, "g")
    with pytest.raises(UnitOfWorkStateError, match="use put"):
        work.add(SavingsGoalData(name="new", target_amount=1), record_id="g")
    assert planned(work.plan()) == [("DeleteItem", (KEY,))]
    assert table.sent() == 0


def test_add_after_delete_of_the_same_object_is_refused(work):
    """The object whose key is being deleted cannot be added again either."""
    record = work.put(payment(), record_id="p")
    work.delete(record)
    with pytest.raises(UnitOfWorkStateError, match="use put"):
        work.add(record)
    assert planned(work.plan()) == [("DeleteItem", ("transaction#p",))]


def test_add_of_a_loaded_record_is_refused(work, user):
    """A record that was read, by this unit or elsewhere, exists already."""
    for record in (work.get(SavingsGoal, "g"), user.get(SavingsGoal, "g")):
        with pytest.raises(RecordExistsError) as refused:
            work.add(record)
        assert refused.value.record_key == KEY
    assert len(work.plan()) == 0


def test_add_of_a_key_in_the_unit_is_refused(work):
    """A key that this unit has read or added takes no second record."""
    work.get(SavingsGoal, "g")
    work.add(payment(), record_id="p")
    with pytest.raises(RecordExistsError):
        work.add(SavingsGoalData(name="new", target_amount=1), record_id="g")
    with pytest.raises(RecordExistsError):
        work.add(payment(), record_id="p")


def test_edits_after_delete_do_not_count(work, table):
    """A record that is being deleted is deleted, whatever is edited on it."""
    goal = work.get(SavingsGoal, "g")
    work.delete(goal)
    goal.data.current_amount = 7
    assert planned(work.plan()) == [("DeleteItem", (KEY,))]
    work.commit()
    assert table.items == {}


def test_edits_before_delete_do_not_count(work, table):
    """The condition of a deletion is about what was read, not about the edits."""
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    work.delete(goal)
    work.commit()
    assert table.items == {}


def test_put_of_an_unchanged_record_is_sent(work, table):
    """A put is a put: it is sent with a new stamp even if nothing changed."""
    goal = work.get(SavingsGoal, "g")
    work.put(goal)
    work.commit()
    assert requests(table)[1:] == [("PutItem", (KEY,))]
    stored = table.get(USER, KEY)
    assert stored == goal_item() | {"updatedAt": {"S": "2025-01-07T12:30:00.005Z"}}


def test_edits_after_put_are_in_it(work, table):
    """What is edited after put or add is part of that one write."""
    put = work.put(work.get(SavingsGoal, "g"))
    added = work.add(payment())
    put.data.current_amount = 7
    added.data.description = "later"
    sent = table.sent()
    work.commit()
    assert requests(table, sent) == [("BatchWriteItem", (KEY, added.record_key))]
    assert table.get(USER, KEY)["data"]["M"]["currentAmount"] == {"N": "7"}
    assert table.get(USER, added.record_key)["data"]["M"]["description"] == {"S": "later"}


def test_an_applied_add_is_edited_as_a_loaded_record(work, table):
    """After its commit an added record is its own snapshot: a further edit is an update."""
    record = work.add(payment())
    work.commit()
    assert len(work.plan()) == 0
    record.data.amount = -6
    work.commit()
    assert requests(table) == [
        ("PutItem", (record.record_key,)),
        ("UpdateItem", (record.record_key,)),
    ]


def test_two_objects_of_one_key_are_refused(work, user):
    """A second object of a key that the unit has cannot be queued beside the first."""
    work.get(SavingsGoal, "g")
    other = user.get(SavingsGoal, "g")
    for call in (work.put, work.delete):
        with pytest.raises(UnitOfWorkStateError, match="another object"):
            call(other)


def test_deleting_what_was_never_stored_is_refused(work):
    """A record that no table has seen and no unit has queued cannot be deleted."""
    with pytest.raises(InvalidRecordError, match="never stored"):
        work.delete(SavingsGoal(USER, data=SavingsGoalData(name="n", target_amount=1)))


# --- ids ------------------------------------------------------------------------------------------


def test_a_record_with_a_generated_id_is_batched(work, table):
    """A record made without an id has a fresh one, which needs no condition."""
    for _ in range(2):
        work.add(SavingsGoal(USER, data=SavingsGoalData(name="n", target_amount=1)))
    work.commit()
    assert [operation for operation, _ in requests(table)] == ["BatchWriteItem"]


@pytest.mark.parametrize("late", [True, False])
def test_a_record_with_a_given_id_never_overwrites(work, table, late):
    """An id given at construction or set later is written only if the key is free."""
    data = SavingsGoalData(name="n", target_amount=1)
    if late:
        goal = SavingsGoal(USER, data=data)
        goal.record_id = "g"
    else:
        goal = SavingsGoal(USER, record_id="g", data=data)
    for given in (goal, payment(), payment()):
        work.add(given)
    with pytest.raises(CommitError) as failed:
        work.commit()
    assert isinstance(failed.value.causes[KEY], RecordExistsError)
    assert failed.value.causes[KEY].stored.item == goal_item()
    assert table.get(USER, KEY) == goal_item()


def test_exist_ok_leaves_a_taken_key_as_it_is(work, table):
    """With exist_ok a taken key is listed under existing, and is not an error."""
    work.add(payment(), record_id="p", exist_ok=True)
    taken = work.add(SavingsGoalData(name="n", target_amount=1), record_id="g", exist_ok=True)
    result = work.commit()
    assert (result.applied, result.existing) == (["transaction#p"], [KEY])
    assert table.get(USER, KEY) == goal_item()
    assert work.get(SavingsGoal, "g") is not taken
    assert work.get(SavingsGoal, "g").data.name == NAME


def test_exist_ok_counts_a_key_once(work):
    """A key of the map that exist_ok finds is listed as existing, unless it is written as well."""
    goal = work.get(SavingsGoal, "g")
    asked = SavingsGoalData(name="n", target_amount=1)
    assert work.add(asked, record_id="g", exist_ok=True) is goal
    assert work.add(asked, record_id="g", exist_ok=True) is goal
    assert work.commit().existing == [KEY]
    assert work.add(asked, record_id="g", exist_ok=True) is goal
    goal.data.current_amount += 1
    done = work.commit()
    assert (done.applied, done.existing) == ([KEY], [])


def test_exist_ok_is_forgotten_with_the_record(work):
    """What exist_ok found is forgotten by rollback and expunge, as everything else is."""
    asked = SavingsGoalData(name="n", target_amount=1)
    goal = work.get(SavingsGoal, "g")
    work.add(asked, record_id="g", exist_ok=True)
    work.expunge(goal)
    assert work.commit().existing == []
    work.get(SavingsGoal, "g")
    work.add(asked, record_id="g", exist_ok=True)
    work.rollback()
    assert work.commit().existing == []


def test_exist_ok_has_no_place_in_an_atomic_unit(user, table):
    """In a transaction a taken key fails everything, so exist_ok is refused at the call."""
    with user.unit_of_work(atomic=True) as work, pytest.raises(UnitOfWorkStateError):
        work.add(payment(), record_id="p", exist_ok=True)
    assert table.sent() == 0


def test_a_taken_key_does_not_stop_the_rest(work, table):
    """One taken key fails alone: everything else of the unit is applied."""
    work.add(SavingsGoalData(name="n", target_amount=1), record_id="g")
    work.add(payment(), record_id="p")
    fresh = work.add(payment())
    with pytest.raises(CommitError) as failed:
        work.commit()
    assert failed.value.not_applied == [KEY]
    assert sorted(failed.value.applied) == sorted(["transaction#p", fresh.record_key])
    assert list(failed.value.causes) == [KEY]


@pytest.mark.parametrize("atomic", [True, False])
def test_an_expired_key_is_still_taken(user, table, atomic):
    """An expired record is absent to reads, but its key is not free."""
    table.put(goal_item("old", ttl=EXPIRED))
    work = user.unit_of_work(atomic=atomic)
    assert work.get(SavingsGoal, "old") is None
    assert [goal.record_id for goal in work.list(SavingsGoal)] == ["g"]
    work.add(SavingsGoalData(name="n", target_amount=1), record_id="old")
    with pytest.raises(CommitError) as failed:
        work.commit()
    assert isinstance(failed.value.causes["savings-goal#old"], RecordExistsError)


def test_an_object_in_the_map_stays_visible(table):
    """Expiry is judged when an item is read; a record does not vanish under the unit's hands."""
    table.put(goal_item("soon", ttl={"N": str(int(table.clock().timestamp()) + 60)}))
    work = user_of(table).unit_of_work()
    goal = work.get(SavingsGoal, "soon")
    table.sleep(120)
    assert work.get(SavingsGoal, "soon") is goal
    assert goal in work.list(SavingsGoal)
    assert user_of(table).get(SavingsGoal, "soon") is None


def test_include_expired_shows_expired_records(user, table):
    """A unit that asks for expired records reads and changes them like any other."""
    table.put(goal_item("old", ttl=EXPIRED))
    with user.unit_of_work(include_expired=True) as work:
        work.get(SavingsGoal, "old").data.current_amount = 7
    assert table.get(USER, "savings-goal#old")["ttl"] == EXPIRED
    assert table.get(USER, "savings-goal#old")["data"]["M"]["currentAmount"] == {"N": "7"}


# --- reading back ---------------------------------------------------------------------------------


def test_reads_see_what_is_pending(work, table):
    """Lists and gets show the unit's own adds and puts, and hide its deletes."""
    table.put(goal_item("h"))
    added = work.add(SavingsGoalData(name="n", target_amount=1), record_id="a")
    put = work.put(SavingsGoalData(name="n", target_amount=1), record_id="z")
    work.delete(SavingsGoal, "h")
    assert work.get(SavingsGoal, "a") is added
    assert work.get_many([(SavingsGoal, "z"), (SavingsGoal, "h")]) == [put, None]
    ids = [goal.record_id for goal in work.list(SavingsGoal)]
    assert ids == ["a", "g", "z"]
    assert [record.record_id for record in work.list_all()] == ids


def test_one_object_per_key(work, table):
    """Every way of reading a key gives the same object, and never overwrites its edits."""
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    table.put(changed(goal_item(), currentAmount={"N": "8"}))
    assert work.get("savings-goal", "g") is goal
    assert work.get_many([(SavingsGoal, "g"), ("savings-goal", "g")]) == [goal, goal]
    assert work.list(SavingsGoal) == [goal]
    assert work.list_all() == [goal]
    assert goal.data.current_amount == 7


def test_a_known_key_is_not_read_again(work, table):
    """What the unit has is answered without a request."""
    goal = work.get(SavingsGoal, "g")
    assert work.get(SavingsGoal, "g") is work.get_many([(SavingsGoal, "g")])[0] is goal
    assert table.sent() == 1


# --- what is refused before anything is sent ------------------------------------------------------


def test_another_users_record_is_refused(work, table):
    """No call takes a record of another user, and a payload takes the unit's."""
    theirs = user_of(table, "another").add(SavingsGoalData(name="n", target_amount=1))
    sent = table.sent()
    for call in (work.add, work.put, work.delete, work.refresh, work.expunge):
        with pytest.raises(IsolationError) as refused:
            call(theirs)
        assert "another" not in str(refused.value).replace("another user", "")
    assert work.add(payment()).user_id == USER
    assert table.sent() == sent


def test_check_of_another_users_record_is_refused(user, table):
    """A check, too, is for the unit's own user only."""
    theirs = user_of(table, "another").add(payment())
    with pytest.raises(IsolationError):
        user.unit_of_work(atomic=True).check(theirs)


def test_check_needs_an_atomic_unit(work):
    """Outside a transaction nothing could be checked together with the writes."""
    with pytest.raises(UnitOfWorkStateError, match="atomic=True"):
        work.check(work.get(SavingsGoal, "g"))


def test_all_bad_records_are_named(work, table):
    """One bad record in a unit of sixty: nothing is sent; of several, all are listed."""
    added = [work.add(payment(tags=[])) for _ in range(60)]
    added[7].data.tags.append(7)
    with pytest.raises(InvalidRecordError) as alone:
        work.commit()
    assert alone.value.path == "data.tags[0]"
    added[9].data.tags.append(b"")
    with pytest.raises(InvalidRecordError) as several:
        work.commit()
    bad = [added[7].record_key, added[9].record_key]
    assert list(several.value.errors) == bad
    assert all(key.partition("#")[2][:8] in str(several.value) for key in bad)
    assert table.sent() == 0
    for record in (added[7], added[9]):
        record.data.tags.clear()
    assert len(work.commit().applied) == 60


def test_a_bad_record_at_the_end_of_the_block_can_be_mended(user, table):
    """When the end of the block finds bad input, the unit can be mended and committed."""
    bad = payment(tags=[])
    bad.tags.append(7)
    with pytest.raises(InvalidRecordError), user.unit_of_work() as work:
        record = work.add(bad)
    assert table.sent() == 0
    record.data.tags = ["x"]
    assert work.commit().applied == [record.record_key]
    with pytest.raises(UnitOfWorkStateError):
        work.get(SavingsGoal, "g")


def test_malformed_records_can_only_be_deleted(work, table):
    """A record that does not fit its class refuses put and edits, and can be deleted."""
    table.put(item("budget", "bad", {"name": {"S": "n"}}))
    bad = work.get(Budget, "bad")
    assert bad.malformed
    with pytest.raises(CorruptItemError):
        work.put(bad)
    with pytest.raises(CorruptItemError):
        bad.data = BudgetData(name="n", period="monthly")
    with pytest.raises(CorruptItemError):
        bad.ttl = None
    assert len(work.plan()) == 0
    work.delete(bad)
    work.commit()
    assert table.get(USER, "budget#bad") is None


def test_changing_the_extras_of_a_malformed_record_is_refused(user, table):
    """Nothing of a malformed record is written, and the unit is open to be rolled back."""
    table.put(item("budget", "bad", {"name": {"S": "n"}}, source={"S": "web"}))
    with pytest.raises(CorruptItemError) as refused, user.unit_of_work() as work:  # noqa: PT012
        work.get(Budget, "bad").extra_attributes["source"] = "mine"
        sent = table.sent()
    assert refused.value.record_key == "budget#bad"
    assert table.sent() == sent
    with pytest.raises(UnitOfWorkStateError):
        work.get(SavingsGoal, "g")
    work.rollback()


# --- rollback, refresh, expunge -------------------------------------------------------------------


def test_rollback_restores_in_place(work, table):
    """Loaded records say again what was read, in place; adds and deletes are forgotten."""
    table.put(
        item(
            "budget",
            "b",
            {
                "name": {"S": "Home"},
                "period": {"S": "monthly"},
                "limits": {"M": {"food": {"N": "1"}}},
                "flag": {"N": "1"},
            },
            ttl={"N": "1893456000"},
            source={"S": "web"},
        )
    )
    budget = work.get(Budget, "b")
    data, extras = budget.data, budget.extra_data
    data.limits["food"] = True
    data.limits["rent"] = 9
    data.start_date = date(2025, 1, 1)
    extras["flag"] = True
    extras["more"] = []
    budget.extra_attributes.clear()
    budget.ttl = None
    work.delete(work.get(SavingsGoal, "g"))
    work.add(payment())
    sent = table.sent()
    work.rollback()
    assert work.commit().applied == []
    assert table.sent() == sent
    assert budget.data is data
    assert budget.extra_data is extras
    assert repr(data.limits) == "{'food': Decimal('1')}"
    assert repr(extras) == "{'flag': Decimal('1')}"
    assert data.start_date is None
    assert budget.extra_attributes == {"source": "web"}
    assert budget.ttl == datetime(2030, 1, 1, tzinfo=UTC)
    assert work.get(Budget, "b") is not budget


def test_refresh_drops_the_pending_change(work, table):
    """A refreshed record says what is stored now, in place, and nothing is pending for it."""
    goal = work.get(SavingsGoal, "g")
    data = goal.data
    data.current_amount = 7
    table.put(changed(goal_item(), currentAmount={"N": "8"}))
    work.refresh(goal)
    assert goal.data is data
    assert data.current_amount == 8
    assert len(work.plan()) == 0
    data.current_amount = 9
    work.commit()
    assert table.get(USER, KEY)["data"]["M"]["currentAmount"] == {"N": "9"}


def test_refresh_undoes_a_delete(work, table):
    """A record whose deletion was queued is shown again after refresh."""
    goal = work.get(SavingsGoal, "g")
    work.delete(goal)
    work.refresh(goal)
    assert work.get(SavingsGoal, "g") is goal
    assert len(work.plan()) == 0


def test_an_expunged_record_is_not_written(work, table):
    """A record taken out of the unit keeps its edits, and they are not sent."""
    goal = work.get(SavingsGoal, "g")
    goal.data.current_amount = 7
    work.expunge(goal)
    assert work.commit().applied == []
    assert goal.data.current_amount == 7
    assert work.get(SavingsGoal, "g") is not goal


def test_containers_keep_their_identity_over_a_commit(work, table):
    """A list or dict that the caller holds is still the record's after a commit."""
    record = work.add(payment(tags=["a"]))
    tags = record.data.tags
    work.commit()
    tags.append("b")
    work.commit()
    assert table.get(USER, record.record_key)["data"]["M"]["tags"] == {
        "L": [{"S": "a"}, {"S": "b"}]
    }


def test_the_version_is_that_of_the_stored_item(work, user):
    """A record that was just written has the version that a reader of it sees."""
    goal = work.add(SavingsGoalData(name="n", target_amount="1.50"))
    work.commit()
    assert goal.version == user.get(SavingsGoal, goal.record_id, consistent=True).version
    goal.data.current_amount = "2.00"
    work.commit()
    assert goal.version == user.get(SavingsGoal, goal.record_id, consistent=True).version


def test_keep_for_and_ttl(work, table):
    """A ttl that is given is stored in seconds, fractions rounded up."""
    record = work.add(payment(), ttl=datetime(2030, 1, 1, tzinfo=UTC) - timedelta(milliseconds=1))
    work.commit()
    assert table.get(USER, record.record_key)["ttl"] == {"N": "1893456000"}
    assert record.ttl == datetime(2030, 1, 1, tzinfo=UTC)
