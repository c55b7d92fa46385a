"""With `batch_updates` the conditional writes of a commit share requests, and nothing else changes.

What holds under faults is in `tests/faults/test_faults_schedules.py`, for both settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaks import USER
from machines import LATER, STAMP, changed, goal_data, goal_item, planned, requests, user_of

from thrivecalc_models import (
    AccessDeniedError,
    CommitError,
    ConfigurationError,
    ConflictError,
    DataStore,
    OutcomeUnknownError,
    RefusedError,
    RetryPolicy,
    SavingsGoal,
    TableNotFoundError,
    ThrottledError,
)
from thrivecalc_models.testing import SimulatedTable
from thrivecalc_models.testing.faults import (
    BatchRefused,
    Denied,
    Interrupt,
    LoseReply,
    OtherWriter,
    Overtaken,
    Partial,
    StatementFailed,
    Throttle,
)
from thrivecalc_models.transport import Failure

pytestmark = pytest.mark.usefixtures("shell")

STATEMENTS = "BatchExecuteStatement"


def key(record_id: str) -> str:
    return f"savings-goal#{record_id}"


def stocked(count: int = 3, **options: Any) -> tuple[SimulatedTable, Any]:
    """A table with so many goals, and its user, whose updates are batched."""
    table = SimulatedTable(**options)
    for number in range(count):
        table.put(goal_item(f"{number:03}"))
    return table, user_of(table, batch_updates=True)


def edited(user: Any) -> tuple[Any, list[Any]]:
    """A unit in which every stored goal was changed, and its goals."""
    work = user.unit_of_work()
    goals = work.list(SavingsGoal)
    for goal in goals:
        goal.data.current_amount += 5
    return work, goals


def sent(table: SimulatedTable) -> list[str]:
    """The names of the requests of the commit, which come after one query."""
    return [entry.operation for entry in table.log[1:]]


def failed(work: Any) -> CommitError:
    with pytest.raises(CommitError) as caught:
        work.commit()
    return caught.value


# --- what is sent ---------------------------------------------------------------------------------


def test_300_changed_records_are_12_requests():
    """300 changed records are 12 requests of 25 statements, as planned, and all of them applied."""
    table, user = stocked(300)
    work, goals = edited(user)
    keys = [goal.record_key for goal in goals]
    expected = [(STATEMENTS, tuple(keys[start : start + 25])) for start in range(0, 300, 25)]
    assert planned(work.plan()) == expected
    result = work.commit()
    assert requests(table, 1) == expected
    assert result.requests == 12
    assert result.applied == keys
    assert result.capacity.write_units == 600  # one for each item, one for each entry of the index
    assert {item["data"]["M"]["currentAmount"]["N"] for item in table.items.values()} == {"105"}
    assert not work.plan().requests


def test_without_the_option_they_are_300_requests():
    """By default each changed record is a request of its own, which the guide's policy allows."""
    table, _ = stocked(30)
    work, _ = edited(user_of(table))
    assert work.commit().requests == 30
    assert set(sent(table)) == {"UpdateItem"}


def test_the_statements_of_a_commit():
    """A statement has the changed fields, its key, its condition, and values as parameters only."""
    table, user = stocked(2)
    work = user.unit_of_work()
    first, second = work.list(SavingsGoal)
    first.data.current_amount += 5
    first.data.monthly_contribution = 7
    del first.extra_data["colour"]
    work.delete(second)
    work.commit()
    (entry,) = table.log[1:]
    update, delete = entry.request["Statements"]
    stamp = table.get(USER, key("000"))["updatedAt"]
    assert update == {
        "Statement": (
            'UPDATE "thrivecalc-user-data" SET "data"."currentAmount" = ?,'
            ' "data"."monthlyContribution" = ?, "updatedAt" = ? REMOVE "data"."colour"'
            ' WHERE "userId" = ? AND "recordKey" = ? AND "updatedAt" = ?'
            ' AND "data"."currentAmount" = ? AND "data"."monthlyContribution" IS MISSING'
            ' AND "data"."colour" = ? RETURNING ALL NEW *'
        ),
        "Parameters": [
            {"N": "105"},
            {"N": "7"},
            stamp,
            {"S": USER},
            {"S": key("000")},
            {"S": STAMP},
            {"N": "100"},
            {"S": "green"},
        ],
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    assert delete == {
        "Statement": (
            'DELETE FROM "thrivecalc-user-data" WHERE "userId" = ? AND "recordKey" = ?'
            ' AND "updatedAt" = ? AND "data" = ?'
        ),
        "Parameters": [
            {"S": USER},
            {"S": key("001")},
            {"S": STAMP},
            goal_item("001")["data"],
        ],
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    assert entry.request["ReturnConsumedCapacity"] == "TOTAL"


def test_the_order_of_the_plan():
    """Statements stand where updates and deletes stood: updates first, each as first queued."""
    table, user = stocked(5)
    work = user.unit_of_work()
    zero, one, two, three, four = work.list(SavingsGoal)
    work.delete(three)
    work.delete(SavingsGoal, two.record_id)
    work.add(goal_data(), record_id="given")
    added = [work.add(goal_data()).record_key for _ in range(2)]
    four.data.name = one.data.name = "other"
    work.delete(zero)
    expected = [
        ("BatchWriteItem", (key("002"), *added)),
        ("PutItem", (key("given"),)),
        (STATEMENTS, (key("001"), key("004"), key("003"), key("000"))),
    ]
    assert planned(work.plan()) == expected
    work.commit()
    assert requests(table, 1) == expected


def test_a_single_one_goes_as_itself():
    """One update or delete that shares no request goes as UpdateItem or DeleteItem."""
    table, user = stocked(26)
    work, goals = edited(user)
    work.commit()
    assert sent(table) == [STATEMENTS, "UpdateItem"]
    work.delete(goals[0])
    work.commit()
    user.update(edited(user)[1][0])
    assert sent(table)[2:] == ["DeleteItem", "Query", "UpdateItem"]


def long_statements(table_name: str) -> tuple[SimulatedTable, int]:
    """A commit of two updates with long names, and the bytes that a statement of it takes.

    Each name stands in a statement twice, that of the table once.
    """
    table = SimulatedTable(table_name=table_name)
    for record_id in ("000", "001"):
        table.put(goal_item(record_id))
    with user_of(table, batch_updates=True).unit_of_work() as work:
        for goal in work.list(SavingsGoal):
            goal.extra_data["é" * 990] = 1
            goal.extra_data["è" * 980] = 2
    for statement in table.log[-1].request.get("Statements", ()):
        assert len(statement["Statement"].encode()) <= 8192
        return table, len(statement["Statement"].encode())
    return table, 0


def test_a_statement_longer_than_8192_bytes_goes_alone():
    """Statements of 8,192 bytes share a request; each that is longer goes as UpdateItem."""
    _, size = long_statements("ttt")
    room = 8192 - size
    table, size = long_statements("ttt" + "t" * room)
    assert size == 8192
    assert sent(table) == [STATEMENTS]
    table, _ = long_statements("tttt" + "t" * room)
    assert sent(table) == ["UpdateItem", "UpdateItem"]


def test_statements_are_cut_to_16_mb():
    """Old and new values travel: a batch of large ones is cut where a request would be too long."""
    table = SimulatedTable()
    for number in range(25):
        table.put(goal_item(f"{number:03}", note={"S": f"{number}" + "x" * 370_000}))
    with user_of(table, batch_updates=True).unit_of_work() as work:
        for goal in work.list_all():
            goal.extra_attributes["note"] = "y" * 370_000
    written = [entry for entry in table.log if entry.operation != "Query"]
    assert [entry.operation for entry in written] == [STATEMENTS, STATEMENTS]
    assert all(len(json.dumps(entry.request)) <= 16 * 1024 * 1024 for entry in written)
    assert len(written[0].request["Statements"]) + len(written[1].request["Statements"]) == 25


def test_an_atomic_unit_is_a_transaction_still():
    """The option changes nothing in an atomic unit."""
    table, user = stocked(3)
    with user.unit_of_work(atomic=True) as work:
        for goal in work.list(SavingsGoal):
            goal.data.current_amount += 5
    assert sent(table) == ["TransactWriteItems"]


def test_without_the_lock():
    """Without the lock an update has no condition but that the item exists."""
    table, user = stocked(2)
    with user.unit_of_work(lock=False) as work:
        for goal in work.list(SavingsGoal):
            goal.data.current_amount += 5
    (statement, _) = table.log[-1].request["Statements"]
    assert statement["Statement"] == (
        'UPDATE "thrivecalc-user-data" SET "data"."currentAmount" = ?, "updatedAt" = ?'
        ' WHERE "userId" = ? AND "recordKey" = ? RETURNING ALL NEW *'
    )


@given(st.text(min_size=1, max_size=6), st.text(min_size=1, max_size=6))
def test_any_name_may_be_updated(name, other):
    """Names of every text are written as they are: quotation marks, dots, signs, keywords."""
    try:
        name.encode(), other.encode()
    except UnicodeEncodeError:
        return
    table, user = stocked(2)
    with user.unit_of_work() as work:
        for goal in work.list(SavingsGoal):
            goal.extra_data[f'"{name}'] = other
            goal.extra_attributes[f'{other}"'] = name
    alone = any(each.startswith(("#", ":")) for each in (name, other))
    assert alone or sent(table) == [STATEMENTS]
    for item in table.items.values():
        assert item["data"]["M"][f'"{name}'] == {"S": other}
        assert item[f'{other}"'] == {"S": name}


@pytest.mark.parametrize("name", ["#a", ":a", "#", ":"])
def test_a_name_like_a_placeholder_goes_alone(name):
    """A name that begins with # or : has no place in a statement: its record goes by itself."""
    table, user = stocked(3)
    with user.unit_of_work() as work:
        for goal in work.list(SavingsGoal):
            goal.extra_data["x"] = 1
        goal.extra_data[name] = 1
    assert sent(table) == [STATEMENTS, "UpdateItem"]
    assert table.get(USER, key("002"))["data"]["M"][name] == {"N": "1"}


# --- what comes of it -----------------------------------------------------------------------------


def test_each_statement_has_its_own_outcome():
    """A conflict is that of its record alone; the others of its batch are applied."""
    table, user = stocked(4)
    work, goals = edited(user)
    work.delete(goals[3])
    table.put(changed(goal_item("001"), name={"S": "theirs"}))
    table.delete(USER, key("002"))
    table.put(changed(goal_item("003")))
    error = failed(work)
    assert error.applied == [key("000")]
    assert error.not_applied == [key("001"), key("002"), key("003")]
    causes = error.causes
    assert all(isinstance(cause, ConflictError) for cause in causes.values())
    assert causes[key("001")].stored.data.name == "theirs"
    assert causes[key("002")].stored is None
    assert "gone" in str(causes[key("002")])
    assert causes[key("003")].stored.updated_at is not None
    work.rollback()


def test_a_record_that_is_gone_is_deleted():
    """A delete of a record that is gone already counts as applied."""
    table, user = stocked(2)
    work = user.unit_of_work()
    for goal in work.list(SavingsGoal):
        work.delete(goal)
    table.delete(USER, key("000"))
    assert work.commit().applied == [key("000"), key("001")]
    assert not table.items


def test_an_update_takes_on_what_is_stored():
    """Fields that were not edited take on what is stored, from the item that comes back."""
    table, user = stocked(2)
    work, goals = edited(user)
    for number in range(2):
        item = goal_item(f"{number:03}")
        item["data"]["M"]["colour"] = {"S": "theirs"}
        table.put(item)  # with the stamp that was read
    work.commit()
    assert [goal.extra_data["colour"] for goal in goals] == ["theirs", "theirs"]


def test_data_that_is_no_map_any_more_is_a_conflict():
    """Where `data` is no map any more the statement is invalid, and what is stored says why."""
    table, user = stocked(2)
    work = user.unit_of_work()
    for goal in work.list(SavingsGoal):
        goal.data.monthly_contribution = 7
    table.put(goal_item("000") | {"data": {"S": "text"}})  # with the stamp that was read
    error = failed(work)
    assert error.applied == [key("001")]
    assert isinstance(error.causes[key("000")], ConflictError)
    assert error.causes[key("000")].stored.malformed
    assert sent(table) == [STATEMENTS, "BatchGetItem"]
    work.rollback()


@pytest.mark.parametrize("shows_stored", [True, False])
def test_what_is_stored_is_read_where_no_item_comes(shows_stored):
    """Where no item comes with a failed condition, all of them are read by one consistent read."""
    table, user = stocked(5, shows_stored=shows_stored)
    work, _ = edited(user)
    for record_id in ("001", "003"):
        table.put(changed(goal_item(record_id), name={"S": "theirs"}))
    error = failed(work)
    assert error.applied == [key("000"), key("002"), key("004")]
    for record_id in ("001", "003"):
        assert error.causes[key(record_id)].stored.data.name == "theirs"
    reads = [] if shows_stored else [("BatchGetItem", (key("001"), key("003")))]
    assert requests(table, 1)[1:] == reads
    for entry in table.log[2:]:
        (content,) = entry.request["RequestItems"].values()
        assert content["ConsistentRead"]
    work.rollback()


def test_the_read_is_sent_again_and_counted():
    """That read is tried again as others are; its requests and units are in the account."""
    table, user = stocked(3, shows_stored=False)
    work, _ = edited(user)
    table.fail_next(LoseReply(applied=True), STATEMENTS)
    table.fail_next(Throttle(), "BatchGetItem")
    table.fail_next(Partial(keep=1), "BatchGetItem")
    result = work.commit()
    assert sent(table) == [STATEMENTS, STATEMENTS, *["BatchGetItem"] * 3]
    assert result.requests == 5
    assert result.capacity.read_units == 3
    assert len(result.applied) == 3
    assert table.applied_writes(key("000")) == 1


@pytest.mark.parametrize("lost", [False, True])
def test_where_nothing_can_be_read(lost):
    """If that read is denied a conflict stays one, and what may have been applied is unknown."""
    table, user = stocked(2, shows_stored=False)
    work, _ = edited(user)
    table.put(changed(goal_item("000")))
    table.put(changed(goal_item("001")))
    if lost:
        table.fail_next(LoseReply(applied=False), STATEMENTS)
    table.fail_always(Denied(), "BatchGetItem")
    error = failed(work)
    if lost:
        assert error.unknown == [key("000"), key("001")]
        assert all(isinstance(each, OutcomeUnknownError) for each in error.causes.values())
    else:
        assert error.not_applied == [key("000"), key("001")]
        assert all(isinstance(each, ConflictError) for each in error.causes.values())
    work.rollback()


# --- what may have been applied -------------------------------------------------------------------


@pytest.mark.parametrize("shows_stored", [True, False])
def test_a_batch_meets_itself(shows_stored):
    """A batch whose reply was lost after it was applied is applied, each of it once."""
    table, user = stocked(30, shows_stored=shows_stored)
    work, _ = edited(user)
    table.fail_next(LoseReply(applied=True), STATEMENTS)
    result = work.commit()
    assert len(result.applied) == 30
    assert all(table.applied_writes(record_key) == 1 for _, record_key in table.items)


def test_a_late_batch_is_unknown_where_another_wrote():
    """Where another wrote after a lost reply, nobody can say whether ours was there in between."""
    table, user = stocked(2)
    work, _ = edited(user)
    theirs = changed(goal_item("001"), stamp="2025-02-01T00:00:00.000Z")
    table.fail_next(LoseReply(applied=False), STATEMENTS)
    table.fail_next(OtherWriter(lambda table: table.put(theirs)), STATEMENTS)
    error = failed(work)
    assert error.applied == [key("000")]
    assert error.unknown == [key("001")]
    work.rollback()


def test_a_batch_that_arrives_after_its_retry_changes_nothing():
    """A batch that was lost and arrives later meets its own stamps, and is applied once."""
    table, user = stocked(3)
    work, _ = edited(user)
    table.fail_next(Overtaken(), STATEMENTS)
    work.commit()
    table.deliver_late()
    assert all(table.applied_writes(key(f"{number:03}")) == 1 for number in range(3))


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("code", ["InternalServerError", "ACodeOfTomorrow"])
def test_a_statement_of_unknown_outcome(code, applied):
    """An internal error, or a code that nobody knows, leaves its statement unknown, never lost."""
    table, user = stocked(3)
    work, _ = edited(user)
    table.fail_always(StatementFailed(code=code, at=1, applied=applied), STATEMENTS)
    if code == "InternalServerError":  # sent again, as itself, it meets itself
        assert len(work.commit().applied) == 3
        assert sent(table) == [STATEMENTS, "UpdateItem"]
    else:
        error = failed(work)
        assert error.unknown == [key("001")]
        assert error.applied == [key("000"), key("002")]
        table.heal()
        assert work.commit().applied == [key("001")]
    assert table.applied_writes(key("001")) == 1


REFUSED = {
    "ValidationError": RefusedError,
    "ItemCollectionSizeLimitExceeded": RefusedError,
    "AccessDenied": AccessDeniedError,
    "ResourceNotFound": TableNotFoundError,
    "ConditionalCheckFailed": ConflictError,
    "DuplicateItem": ConflictError,
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_statement_that_is_refused(code):
    """A statement that was refused is not applied, and its error says why; the others are."""
    table, user = stocked(3)
    work, _ = edited(user)
    table.fail_next(StatementFailed(code=code, at=1), STATEMENTS)
    error = failed(work)
    assert error.applied == [key("000"), key("002")]
    assert error.not_applied == [key("001")]
    (cause,) = error.causes.values()
    assert type(cause) is REFUSED[code]
    assert sent(table).count("UpdateItem") == 0
    assert work.commit().applied == [key("001")]


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "TransactionConflict",
    ],
)
def test_a_statement_that_may_go_again(code):
    """A statement that was throttled or in a transaction's way is sent again, and only that."""
    table, user = stocked(4)
    work, _ = edited(user)
    table.fail_next(StatementFailed(code=code, at=2), STATEMENTS)
    assert len(work.commit().applied) == 4
    assert requests(table, 1)[1:] == [("UpdateItem", (key("002"),))]


def test_a_batch_that_shrinks_is_progress():
    """While statements of a batch come through, the tries of the others are not used up."""
    table, _ = stocked(9)
    user = user_of(table, batch_updates=True, retry=RetryPolicy(attempts=2))
    work, _ = edited(user)
    table.fail_always(Partial(keep=2), STATEMENTS)
    assert len(work.commit().applied) == 9
    assert sent(table) == [*[STATEMENTS] * 4, "UpdateItem"]


def test_a_throttled_batch_is_given_up():
    """A batch that is throttled at every try ends as ThrottledError; nothing was applied."""
    table, _ = stocked(3)
    work, _ = edited(user_of(table, batch_updates=True, retry=RetryPolicy(attempts=3)))
    table.fail_always(Partial(keep=0), STATEMENTS)
    error = failed(work)
    assert sent(table) == [STATEMENTS] * 3
    assert len(error.not_applied) == 3
    assert all(isinstance(cause, ThrottledError) for cause in error.causes.values())
    work.rollback()


# --- a batch that is refused as a whole -----------------------------------------------------------


def test_a_refused_batch_that_was_applied():
    """A batch that was refused as a whole and applied all the same is applied: the items say so."""
    table, user = stocked(3)
    work, goals = edited(user)
    work.delete(goals[2])
    table.fail_next(BatchRefused(applied=True), STATEMENTS)
    result = work.commit()
    assert result.applied == [key("000"), key("001"), key("002")]
    assert sent(table) == [STATEMENTS, "BatchGetItem"]
    assert all(table.applied_writes(key(f"{number:03}")) == 1 for number in range(3))
    goals[0].data.current_amount += 1
    user.update(goals[0])  # a committed record is its own snapshot


def test_a_refused_batch_that_was_not_applied():
    """One that was not applied is not applied, as the stamps that were read are still stored."""
    table, user = stocked(3)
    work, goals = edited(user)
    work.delete(goals[2])
    table.fail_next(BatchRefused(applied=False), STATEMENTS)
    error = failed(work)
    assert len(error.not_applied) == 3
    assert all(isinstance(cause, RefusedError) for cause in error.causes.values())
    assert sent(table) == [STATEMENTS, "BatchGetItem"]
    assert len(work.commit().applied) == 3


def test_a_refused_batch_where_another_wrote():
    """Where another stamp is stored after it, nobody can say whether ours was there in between."""
    table, user = stocked(2)
    work, _ = edited(user)
    theirs = changed(goal_item("001"), stamp=LATER)
    table.fail_next(BatchRefused(applied=True), STATEMENTS)
    table.fail_next(OtherWriter(lambda table: table.put(theirs)), "BatchGetItem")
    error = failed(work)
    assert error.applied == [key("000")]
    assert error.unknown == [key("001")]
    assert error.causes[key("001")].stored is not None
    work.rollback()


def test_a_refused_batch_without_the_lock():
    """Without the lock no stamp says that nothing was applied: another may have written since."""
    table, user = stocked(2)
    work = user.unit_of_work(lock=False)
    for goal in work.list(SavingsGoal):
        goal.data.current_amount += 5
    theirs = changed(goal_item("001"), stamp=LATER)
    table.fail_next(BatchRefused(applied=True), STATEMENTS)
    table.fail_next(OtherWriter(lambda table: table.put(theirs)), "BatchGetItem")
    error = failed(work)
    assert error.applied == [key("000")]
    assert error.unknown == [key("001")]
    work.rollback()


def test_a_refused_batch_after_a_lost_reply():
    """What an earlier try may have applied stays unknown, whatever a later refusal shows."""
    table, user = stocked(2)
    work, _ = edited(user)
    table.fail_next(LoseReply(applied=False), STATEMENTS)
    table.fail_next(BatchRefused(applied=False), STATEMENTS)
    error = failed(work)
    assert error.unknown == [key("000"), key("001")]
    assert len(work.commit().applied) == 2


def test_a_refused_batch_that_nobody_can_look_into():
    """If nothing can be read after it, it is unknown."""
    table, user = stocked(2)
    work, _ = edited(user)
    table.fail_next(BatchRefused(applied=False), STATEMENTS)
    table.fail_always(LoseReply(applied=False), "BatchGetItem")
    error = failed(work)
    assert error.unknown == [key("000"), key("001")]
    work.rollback()


@pytest.mark.parametrize("refused", [True, False])
def test_an_interrupt_before_what_is_stored_was_read(refused):
    """An interrupt then leaves a refused batch unknown, and a failed condition a conflict."""
    table, user = stocked(2, shows_stored=False)
    work, _ = edited(user)
    table.put(changed(goal_item("000")))
    table.put(changed(goal_item("001")))
    if refused:
        table.fail_next(BatchRefused(applied=False), STATEMENTS)
    table.fail_next(Interrupt(applied=False), "BatchGetItem")
    with pytest.raises(KeyboardInterrupt) as caught:
        work.commit()
    account = caught.value.__cause__
    assert isinstance(account, CommitError)
    keys = [key("000"), key("001")]
    assert (account.unknown if refused else account.not_applied) == keys
    assert sent(table) == [STATEMENTS, "BatchGetItem"]
    work.rollback()


# --- what proves a reply --------------------------------------------------------------------------


class Amending(SimulatedTable):
    """A table of which somebody changes the next reply to a batch of statements."""

    amend: Callable[[Any], object] | None = None

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        reply = super().send(operation, body)
        if operation != STATEMENTS or self.amend is None or not isinstance(reply, bytes):
            return reply
        content = json.loads(reply)
        self.amend(content)
        self.amend = None
        return json.dumps(content).encode()


def amended(amend: Callable[[Any], object]) -> tuple[Amending, Any]:
    table = Amending()
    for record_id in ("000", "001", "002"):
        table.put(goal_item(record_id))
    work, goals = edited(user_of(table, batch_updates=True))
    work.delete(goals[2])
    table.amend = amend
    return table, work


NO_ANSWERS = {
    "no Responses": lambda body: body.pop("Responses"),
    "Responses that are no list": lambda body: body.update(Responses={}),
    "too few": lambda body: body["Responses"].pop(),
    "too many": lambda body: body["Responses"].append({"TableName": "t"}),
    "one that is no map": lambda body: body["Responses"].__setitem__(0, "ok"),
    "one without its table": lambda body: body["Responses"][2].clear(),
    "an update without its item": lambda body: body["Responses"][0].pop("Item"),
    "an item without its key": lambda body: body["Responses"][0]["Item"].pop("userId"),
    "an item before the update": lambda body: body["Responses"][0].update(Item=goal_item("000")),
    "an item in another form": lambda body: body["Responses"][0]["Item"].update(x="text"),
    "an error that is no map": lambda body: body["Responses"][1].update(Error="no"),
    "an error without a code": lambda body: body["Responses"][1].update(Error={"Message": "no"}),
    "an error's item without its key": lambda body: body["Responses"][1].update(
        Error={"Code": "ConditionalCheckFailed", "Item": {"x": {"S": "y"}}}
    ),
}


@pytest.mark.parametrize("amend", NO_ANSWERS)
def test_what_is_no_answer_counts_as_lost(amend):
    """A reply that does not answer each statement counts as lost: sent again, it meets itself."""
    table, work = amended(NO_ANSWERS[amend])
    assert len(work.commit().applied) == 3
    assert sent(table) == [STATEMENTS, STATEMENTS]
    assert all(table.applied_writes(key(f"{number:03}")) == 1 for number in range(3))


def test_no_capacity_is_an_answer_all_the_same():
    """DynamoDB Local reports no capacity for statements: their replies have enough else."""
    table, work = amended(lambda body: body.pop("ConsumedCapacity"))
    assert work.commit().requests == 1
    assert sent(table) == [STATEMENTS]


@pytest.mark.parametrize("name", ["userId", "recordKey"])
@pytest.mark.parametrize("in_error", [False, True])
def test_the_item_of_another(name, in_error):
    """Another's item in a reply is final at once: unknown, and nothing of that item is shown."""

    def amend(body):
        item = goal_item("000") | {name: {"S": "savings-goal#another"}}
        error = {"Code": "ConditionalCheckFailed", "Item": item}
        body["Responses"][0].update({"Error": error} if in_error else {"Item": item})

    table, work = amended(amend)
    error = failed(work)
    assert len(error.unknown) == 3
    assert all(cause.stored is None for cause in error.causes.values())
    assert sent(table) == [STATEMENTS]
    work.rollback()


# --- settings -------------------------------------------------------------------------------------


def test_the_embedded_engine_has_no_statements():
    """`DataStore.local` says that its engine does not know them, and opens nothing."""
    with pytest.raises(ConfigurationError, match="does not know BatchExecuteStatement"):
        DataStore.local(batch_updates=True)
