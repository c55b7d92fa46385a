"""Writes of the models whose replies are lost: applied, not applied or unknown, and truly so."""

from __future__ import annotations

import signal
import traceback

import pytest
from leaks import EMAIL, NAME, USER
from pynamodb.exceptions import (
    DeleteError,
    GetError,
    PutError,
    TableDoesNotExist,
    TransactWriteError,
    UpdateError,
)
from pynamodb.transactions import TransactWrite

from thrivecalc_models import CommitError, SavingsGoal, SavingsGoalData, UserRecord
from thrivecalc_models.records import default_session
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.testing import SimulatedTable, faults, simulated_store

KEY = "savings-goal#g1"


@pytest.fixture
def loaded(service):
    """A goal that was saved and read."""
    goal = SavingsGoal(USER, data=SavingsGoalData(name=NAME, target_amount=100), record_id="g1")
    goal.save()
    service.log.clear()
    return SavingsGoal.get(USER, KEY)


def other_writer(table):
    """Another program changes the goal, with a stamp of its own."""
    item = table.get(USER, KEY)
    item["data"]["M"]["name"] = {"S": "theirs"}
    item["updatedAt"] = {"S": "2025-03-01T00:00:00.000Z"}
    table.put(item)


@pytest.mark.parametrize("applied", [True, False])
def test_a_save_meets_itself(service, loaded, applied):
    """A save whose reply was lost is sent again, and found applied where it was."""
    loaded.data.name = EMAIL
    service.fail_next(faults.LoseReply(applied=applied), "PutItem")
    loaded.save()
    assert service.sent("PutItem") == 2
    assert service.get(USER, KEY)["data"]["M"]["name"] == {"S": EMAIL}
    loaded.data.name = "Car"
    loaded.save()


@pytest.mark.parametrize("applied", [True, False])
def test_an_update_meets_itself(service, loaded, applied):
    """An update under the lock counts once, even `add`, and the record is what is stored."""
    service.fail_next(faults.LoseReply(applied=applied), "UpdateItem")
    reply = loaded.update([SavingsGoal.data["targetAmount"].add(5)])
    assert service.sent("UpdateItem") == 2
    assert reply["Attributes"]["data"]["M"]["targetAmount"] == {"N": "105"}
    assert loaded.data.target_amount == 105
    assert service.applied_writes(KEY) == 2


@pytest.mark.parametrize("applied", [True, False])
def test_a_delete_meets_itself(service, loaded, applied):
    """A delete is done when the item is gone."""
    service.fail_next(faults.LoseReply(applied=applied), "DeleteItem")
    loaded.delete()
    assert service.get(USER, KEY) is None


@pytest.mark.parametrize(
    ("error", "write"),
    [
        (PutError, lambda record: record.save()),
        (UpdateError, lambda record: record.update([SavingsGoal.data["name"].set("mine")])),
        (DeleteError, lambda record: record.delete()),
    ],
)
def test_what_another_writer_hides_is_unknown(service, loaded, error, write):
    """Somebody else's stamp after a lost reply leaves the outcome unknown, never a conflict."""
    service.fail_next(faults.LoseReply(applied=error is not DeleteError))
    service.fail_next(faults.OtherWriter(other_writer))
    with pytest.raises(error) as caught:
        write(loaded)
    assert caught.value.outcome == "unknown"
    assert caught.value.record is loaded
    assert caught.value.cause_response_code != "ConditionalCheckFailedException"


@pytest.mark.parametrize("applied", [True, False])
def test_adding_without_the_lock_is_sent_once(service, loaded, applied):
    """`add` is not the same twice: without the lock it is not sent again after a lost reply."""
    service.fail_next(faults.LoseReply(applied=applied), "UpdateItem")
    with pytest.raises(UpdateError) as caught:
        loaded.update([SavingsGoal.data["targetAmount"].add(5)], add_version_condition=False)
    assert service.sent("UpdateItem") == 1
    assert caught.value.outcome == "unknown"


@pytest.mark.parametrize(
    "action",
    [
        SavingsGoal.data["tags"].set(SavingsGoal.data["tags"].append(["a"])),
        SavingsGoal.data["targetAmount"].set(SavingsGoal.data["targetAmount"] + 1),
        SavingsGoal.data["tags"][0].remove(),
        SavingsGoal.data["tags"][5].set("a"),
    ],
)
def test_what_counts_twice_is_sent_once(service, loaded, action):
    """Actions whose result depends on what is stored are not sent again without the lock."""
    service.fail_next(faults.LoseReply(applied=False), "UpdateItem")
    with pytest.raises(UpdateError):
        loaded.update([action], add_version_condition=False)
    assert service.sent("UpdateItem") == 1


def test_setting_without_the_lock_is_sent_again(service, loaded):
    """Setting a value is the same twice."""
    service.fail_next(faults.LoseReply(applied=True), "UpdateItem")
    loaded.update([SavingsGoal.data["name"].set(EMAIL)], add_version_condition=False)
    assert service.sent("UpdateItem") == 2


def test_a_condition_that_our_own_try_made_false(service, loaded):
    """A condition that fails because the first try was applied is no failure."""
    service.fail_next(faults.LoseReply(applied=True), "UpdateItem")
    loaded.update(
        [SavingsGoal.data["name"].set(EMAIL)],
        condition=SavingsGoal.data["name"] == NAME,
        add_version_condition=False,
    )
    assert loaded.data.name == EMAIL


def lose(service, call, *, applied, error):
    """Make a call whose every reply is lost, after which the service is well again."""
    service.fail_always(faults.LoseReply(applied=applied))
    with pytest.raises(error) as caught:
        call()
    assert getattr(caught.value, "outcome", "unknown") == "unknown"
    service.heal()
    service.log.clear()


def edit(goal, **fields):
    for name, value in fields.items():
        setattr(goal.data, name, value)


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize(
    ("error", "write", "left"),
    [
        (PutError, lambda goal: goal.save(), (EMAIL, 100)),
        (
            UpdateError,
            lambda goal: goal.update([SavingsGoal.data["targetAmount"].add(5)]),
            (NAME, 105),
        ),
        (DeleteError, lambda goal: goal.delete(), None),
    ],
)
def test_a_call_repeated_is_the_same_write(service, loaded, applied, error, write, left):
    """After an unknown outcome the same call sends the same request, and counts once."""
    edit(loaded, name=EMAIL)
    lose(service, lambda: write(loaded), applied=applied, error=error)
    before = service.get(USER, KEY)
    write(loaded)
    assert service.sent() == 1
    if applied:
        assert service.get(USER, KEY) == before
    found = list(SavingsGoal.query(USER))
    assert [(goal.data.name, goal.data.target_amount) for goal in found] == [left] * bool(left)


@pytest.mark.parametrize("applied", [True, False])
def test_edits_after_an_unknown_save_are_a_further_write(service, loaded, applied):
    """What is unknown goes first, exactly as before, then what was edited since."""
    edit(loaded, name=EMAIL)
    lose(service, loaded.save, applied=applied, error=PutError)
    edit(loaded, target_amount=7)
    loaded.save()
    first, second = (entry.request["Item"] for entry in service.log)
    assert first["data"]["M"]["targetAmount"] == {"N": "100"}
    assert first["updatedAt"]["S"] < second["updatedAt"]["S"]
    assert service.get(USER, KEY) == second
    assert loaded.item == second


@pytest.mark.parametrize("applied", [True, False])
def test_a_save_after_an_unknown_update_keeps_it(service, loaded, applied):
    """A save does not undo an update whose reply was lost."""
    add = [SavingsGoal.data["targetAmount"].add(5)]
    lose(service, lambda: loaded.update(add), applied=applied, error=UpdateError)
    edit(loaded, name=EMAIL)
    loaded.save()
    stored = service.get(USER, KEY)["data"]["M"]
    assert (stored["name"], stored["targetAmount"]) == ({"S": EMAIL}, {"N": "105"})


@pytest.mark.parametrize(
    "action",
    [
        SavingsGoal.data["targetAmount"].set(SavingsGoal.data["targetAmount"] - 1),
        SavingsGoal.data["tags"].set((SavingsGoal.data["tags"] | ["a"]).append(["b"])),
        SavingsGoal.data["photo"].set(b"\x00"),
        SavingsGoal.data["name"].set(EMAIL),
        SavingsGoal.ttl.remove(),
    ],
)
def test_an_update_knows_what_it_leaves(service, loaded, action):
    """Numbers, lists and constants are recognised as our own."""
    lose(service, lambda: loaded.update([action]), applied=True, error=UpdateError)
    loaded.update([action])
    assert service.applied_writes(KEY) == 2


@pytest.mark.parametrize("applied", [True, False])
def test_a_create_repeated_is_no_conflict(service, applied):
    """Create-if-free, repeated with an edit after an unknown outcome, is the record's own item."""
    goal = _goal(1)
    free = UserRecord.record_key.does_not_exist()
    lose(service, lambda: goal.save(free), applied=applied, error=PutError)
    goal.save(free)
    created = service.get(USER, "savings-goal#1")["createdAt"]
    lose(service, goal.save, applied=applied, error=PutError)
    edit(goal, name=EMAIL)
    goal.save()
    assert service.get(USER, "savings-goal#1")["createdAt"] == created


def test_what_stays_unknown_is_never_a_conflict(service, loaded):
    """Somebody else's item leaves an unknown write unknown, until the record is refreshed."""
    edit(loaded, name=EMAIL)
    lose(service, loaded.save, applied=True, error=PutError)
    other_writer(service)
    for write in (loaded.save, loaded.save):
        with pytest.raises(PutError) as caught:
            write()
        assert caught.value.outcome == "unknown"
        edit(loaded, target_amount=8)
    loaded.refresh()
    edit(loaded, name=EMAIL)
    loaded.save()
    assert service.get(USER, KEY)["data"]["M"]["name"] == {"S": EMAIL}


def test_without_the_lock_nothing_is_asked(service, loaded):
    """`add_version_condition=False` writes over what is unknown, which ends the doubt."""
    edit(loaded, name=EMAIL)
    lose(service, loaded.save, applied=True, error=PutError)
    other_writer(service)
    loaded.save(add_version_condition=False)
    loaded.save()
    assert service.sent() == 2


def test_a_doubt_ends_with_its_snapshot(service, loaded):
    """An unknown write is forgotten once the record has another snapshot, or another key."""
    edit(loaded, name=EMAIL)
    lose(service, loaded.save, applied=False, error=PutError)
    simulated_store(service).user(USER).update(loaded)
    loaded.save()
    assert service.sent() == 2
    new = _goal(1)
    lose(service, new.save, applied=False, error=PutError)
    new.record_id = "2"
    new.save()
    assert service.get(USER, "savings-goal#1") is None


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize(
    ("error", "write"),
    [
        (PutError, lambda goal: goal.save()),
        (UpdateError, lambda goal: goal.update([SavingsGoal.data["targetAmount"].add(5)])),
        (DeleteError, lambda goal: goal.delete()),
    ],
)
@pytest.mark.parametrize("unit_write", ["update", "put", "delete", "add"])
def test_what_a_unit_left_unknown_goes_first(service, loaded, applied, error, write, unit_write):
    """A method is no conflict with a write that a unit of work left unknown."""
    user = simulated_store(service).user(USER)
    goal = _goal(1) if unit_write == "add" else loaded
    edit(goal, name=EMAIL)
    lose(service, lambda: getattr(user, unit_write)(goal), applied=applied, error=Exception)
    if unit_write == "delete" and error is UpdateError:
        with pytest.raises(error):
            write(goal)
        assert service.get(USER, KEY) is None
        return
    write(goal)
    stored = service.get(USER, goal.record_key)
    assert (stored is None) == (error is DeleteError)
    if stored is not None:
        assert stored["data"]["M"]["name"] == {"S": EMAIL}
        user.update(goal)
        goal.save()


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize(
    ("error", "write", "left"),
    [
        (PutError, lambda goal: goal.save(), {"name": EMAIL, "targetAmount": "7"}),
        (
            UpdateError,
            lambda goal: goal.update([SavingsGoal.data["currentAmount"].add(5)]),
            {"name": EMAIL, "targetAmount": "7", "currentAmount": "5"},
        ),
        (DeleteError, lambda goal: goal.delete(), None),
    ],
)
@pytest.mark.parametrize("unit_write", ["update", "put", "delete"])
def test_what_a_method_left_unknown_goes_first_in_a_unit(
    service, loaded, applied, error, write, left, unit_write
):
    """A unit of work is no conflict with a write that a method of the record left unknown."""
    user = simulated_store(service).user(USER)
    edit(loaded, name=EMAIL)
    lose(service, lambda: write(loaded), applied=applied, error=error)
    if left is not None:
        edit(loaded, target_amount=7)
    getattr(user, unit_write)(loaded)
    stored = service.get(USER, KEY)
    is_gone = unit_write == "delete" or (left is None and unit_write == "update")
    assert (stored is None) == is_gone
    if left is not None and not is_gone:
        content = stored["data"]["M"]
        assert {name: next(iter(content[name].values())) for name in left} == left
        assert loaded.item == stored


@pytest.mark.parametrize("applied", [True, False])
def test_the_update_of_an_unknown_save_is_that_save(service, loaded, applied):
    """`user.update(record)` after an unknown `record.save()` is one request, and the same write."""
    edit(loaded, name=EMAIL)
    service.log.clear()
    service.fail_always(faults.LoseReply(applied=applied))
    with pytest.raises(PutError):
        loaded.save()
    service.heal()
    simulated_store(service).user(USER).update(loaded)
    assert len({str(entry.request) for entry in service.log}) == 1
    assert loaded.item == service.get(USER, KEY)


@pytest.mark.parametrize("applied", [True, False])
def test_a_save_in_the_block_of_a_unit(service, applied):
    """A commit comes after what a method of one of its records left unknown in the block."""
    with simulated_store(service).user(USER).unit_of_work() as work:
        work.add(SavingsGoalData(name=NAME, target_amount=100), record_id="g1")
    with simulated_store(service).user(USER).unit_of_work() as work:
        goal = work.get(SavingsGoal, "g1")
        edit(goal, name=EMAIL)
        lose(service, goal.save, applied=applied, error=PutError)
        edit(goal, target_amount=7)
    content = service.get(USER, KEY)["data"]["M"]
    assert (content["name"], content["targetAmount"]) == ({"S": EMAIL}, {"N": "7"})


@pytest.mark.parametrize("write", ["save", "delete", "update"])
def test_a_retry_of_a_method_is_told(service, loaded, write):
    """An observer hears of every request of a method, and of every retry."""
    events = []
    goal = simulated_store(service, observer=events.append).user(USER).get(SavingsGoal, "g1")
    events.clear()
    service.fail_next(faults.Throttle())
    arguments = [[SavingsGoal.data["name"].set(EMAIL)]] if write == "update" else []
    getattr(goal, write)(*arguments)
    assert [type(event).__name__ for event in events] == [
        "RequestEvent",
        "RetryEvent",
        "RequestEvent",
    ]


@pytest.mark.parametrize("applied", [True, False])
def test_a_transaction_comes_after_what_is_unknown(service, loaded, applied):
    """An entry of TransactWrite is made over what came of an unknown save."""
    edit(loaded, name=EMAIL)
    lose(service, loaded.save, applied=applied, error=PutError)
    with TransactWrite(connection=table_of(default_session()).connection) as transaction:
        transaction.update(loaded, [SavingsGoal.data["targetAmount"].add(1)])
    stored = service.get(USER, KEY)["data"]["M"]
    assert (stored["name"], stored["targetAmount"]) == ({"S": EMAIL}, {"N": "101"})


@pytest.mark.parametrize("applied", [True, False])
def test_an_interrupted_save_is_in_doubt(service, loaded, applied):
    """After KeyboardInterrupt out of a save, whose cause says so, the next one is that save."""
    edit(loaded, name=EMAIL)
    service.log.clear()
    service.fail_next(faults.Interrupt(applied=applied), "PutItem")
    with pytest.raises(KeyboardInterrupt) as caught:
        loaded.save()
    assert isinstance(caught.value.__cause__, PutError)
    assert caught.value.__cause__.outcome == "unknown"
    assert caught.value.__cause__.record is loaded
    loaded.save()
    first, second = (entry.request["Item"] for entry in service.log)
    assert first == second


def test_an_interrupt_after_a_save_has_no_cause(service, loaded):
    """KeyboardInterrupt once a save was answered passes through without a cause: it was applied."""
    edit(loaded, name=EMAIL)
    send = service.send

    def pressed_afterwards(operation, request):
        result = send(operation, request)
        if operation == "PutItem":
            signal.raise_signal(signal.SIGINT)
        return result

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    service.fail_next(faults.Throttle(), "PutItem")  # from the retry on Ctrl-C is only noted
    throttled = service.sent()
    service.send = lambda *request: (
        send(*request) if service.sent() == throttled else pressed_afterwards(*request)
    )
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            loaded.save()
    finally:
        signal.signal(signal.SIGINT, before)
        service.send = send
    assert caught.value.__cause__ is None
    assert service.get(USER, KEY)["data"]["M"]["name"] == {"S": EMAIL}
    service.log.clear()
    edit(loaded, name="after")
    loaded.save()
    assert service.sent("PutItem") == 1


def test_a_conflict_is_not_applied(service, loaded):
    """A stale record is refused, with the stored item at hand and nothing changed."""
    other_writer(service)
    with pytest.raises(PutError) as caught:
        loaded.save()
    assert caught.value.outcome == "not applied"
    assert caught.value.cause_response_code == "ConditionalCheckFailedException"
    assert service.sent("PutItem") == 1
    assert service.get(USER, KEY)["data"]["M"]["name"] == {"S": "theirs"}


def test_a_reply_lost_for_good_is_unknown(service, loaded):
    """Where every reply is lost the outcome is unknown, after a bounded number of tries."""
    service.fail_always(faults.ServerError(), "PutItem")
    with pytest.raises(PutError) as caught:
        loaded.save()
    assert caught.value.outcome == "unknown"
    assert 1 < service.sent("PutItem") < 20


def test_throttling_is_waited_for(service, loaded):
    """A throttled write is sent again, and one that stays throttled is not applied."""
    service.fail_next(faults.Throttle(), "UpdateItem", times=2)
    loaded.update([SavingsGoal.data["targetAmount"].add(1)], add_version_condition=False)
    assert service.sent("UpdateItem") == 3
    service.fail_always(faults.Throttle(), "PutItem")
    with pytest.raises(PutError) as caught:
        loaded.save()
    assert caught.value.outcome == "not applied"


def test_errors_show_nothing_personal(service, loaded, caplog):
    """No user id, name or amount is in a message, a cause, a context or a log line."""
    caplog.set_level("DEBUG")
    loaded.data.name = "Mum's operation"
    for fault in (faults.Denied(), faults.NoTable(), faults.ServerError(), faults.Refused()):
        service.heal()
        service.fail_always(fault)
        with pytest.raises(PutError) as caught:
            loaded.save()
        text = "".join(traceback.format_exception(caught.value, limit=0))
        assert "Mum" not in text
        assert USER not in text
    assert "Mum" not in caplog.text
    assert USER not in caplog.text


def test_denied_access_names_the_missing_action(service):
    """PynamoDB's error carries the guide's advice."""
    service.fail_always(faults.Denied())
    with pytest.raises(GetError, match="dynamodb:GetItem") as caught:
        SavingsGoal.get(USER, KEY)
    assert caught.value.cause_response_code == "AccessDeniedException"


def test_half_a_batch_is_sent_again(service):
    """What a batch leaves unprocessed is sent again, and progress makes the budget whole."""
    for keep in (1, 1, 1, 1, 1, 1, 1, 1, 1):
        service.fail_next(faults.Partial(keep=keep), "BatchWriteItem")
    with SavingsGoal.batch_write() as batch:
        for number in range(20):
            batch.save(_goal(number))
    assert len(service.items) == 20


def test_a_batch_accounts_for_every_record(service):
    """What is not applied is named as that, what is in doubt as unknown, the rest is applied."""
    service.faults = {
        1: faults.Partial(keep=2),
        2: faults.LoseReply(applied=True),
        3: faults.Partial(keep=1),
    }
    service.fail_always(faults.Denied())
    batch = SavingsGoal.batch_write(auto_commit=False)
    for number in range(5):
        batch.save(_goal(number))
    with pytest.raises(CommitError) as caught:
        batch.commit()
    error = caught.value
    assert isinstance(error, PutError)
    assert error.applied == [f"savings-goal#{number}" for number in (0, 1, 2)]
    assert error.unknown == [f"savings-goal#{number}" for number in (3, 4)]
    assert error.not_applied == []
    assert set(error.causes) == set(error.unknown)
    assert len(batch.failed_operations) == 2


def test_a_failing_batch_names_what_was_not_sent(service):
    """When a full batch cannot be sent, the record that made it go is named too."""
    service.fail_always(faults.Throttle(), "BatchWriteItem")

    def save_thirty():
        with SavingsGoal.batch_write() as batch:
            for number in range(30):
                batch.save(_goal(number))

    with pytest.raises(CommitError) as caught:
        save_thirty()
    assert len(caught.value.not_applied) == 26
    assert not service.items


def _goal(number):
    data = SavingsGoalData(name=NAME, target_amount=number)
    return SavingsGoal(USER, data=data, record_id=str(number))


def test_a_missing_table_is_pynamodbs_error(service):
    """`describe_table` and `exists` say that there is no table as PynamoDB does."""
    service.fail_always(faults.NoTable())
    assert not UserRecord.exists()
    with pytest.raises(TableDoesNotExist):
        UserRecord.describe_table()


def test_transactions_have_a_token_of_their_own(service, loaded):
    """A transaction through our connection is applied once, however often it is sent."""
    service.fail_next(faults.LoseReply(applied=True), "TransactWriteItems")
    with TransactWrite(connection=table_of(default_session()).connection) as transaction:
        transaction.update(loaded, [SavingsGoal.data["targetAmount"].add(1)])
    assert service.sent("TransactWriteItems") == 2
    assert service.get(USER, KEY)["data"]["M"]["targetAmount"] == {"N": "101"}


def test_a_cancelled_transaction_gives_its_reasons(service, loaded):
    """The reasons of a cancelled transaction come in order, with the item that was asked for."""
    other_writer(service)

    def save_both():
        with TransactWrite(connection=table_of(default_session()).connection) as transaction:
            transaction.save(loaded, return_values="ALL_OLD")
            transaction.save(_goal(7))

    with pytest.raises(TransactWriteError) as caught:
        save_both()
    first, second = caught.value.cancellation_reasons
    assert first.code == "ConditionalCheckFailed"
    assert first.raw_item["data"]["M"]["name"] == {"S": "theirs"}
    assert second is None


def test_a_transaction_that_is_cancelled_when_it_is_sent_again(service):
    """After a lost request nobody can say that nothing was applied: it may arrive later."""
    goal, other = (
        SavingsGoal(USER, data=SavingsGoalData(name=NAME, target_amount=100), record_id="g1")
        for _ in range(2)
    )
    taken = simulated_store(SimulatedTable()).user(USER).put(other).item
    service.fail_next(faults.Overtaken(), "TransactWriteItems")
    service.fail_next(faults.OtherWriter(lambda table: table.put(taken)), "TransactWriteItems")
    transaction = TransactWrite(connection=table_of(default_session()).connection)
    transaction.save(goal, condition=UserRecord.record_key.does_not_exist())
    with pytest.raises(TransactWriteError) as caught, transaction:
        pass
    assert "whether its first request is applied is unknown" in str(caught.value.cause)
    assert "nothing was applied" not in str(caught.value.cause)
    assert service.sent("TransactWriteItems") == 2
    service.delete(USER, KEY)
    service.deliver_late()
    assert service.get(USER, KEY) is not None


def test_what_was_there_before_an_unknown_add_is_not_put_over(service, loaded):
    """A save after an unknown add with `exist_ok` leaves what another program has there."""
    user = simulated_store(service).user(USER)
    work = user.unit_of_work()
    goal = work.add(SavingsGoalData(name=EMAIL, target_amount=1), record_id="g1", exist_ok=True)
    service.fail_always(faults.LoseReply(applied=False))
    with pytest.raises(CommitError) as failed:
        work.commit()
    assert failed.value.unknown == [KEY]
    service.heal()
    before = service.get(USER, KEY)
    with pytest.raises(PutError) as caught:
        goal.save()
    assert caught.value.outcome == "not applied"
    assert service.get(USER, KEY) == before
    work.rollback()
