"""Nonsense for replies: whatever comes back, the account of a commit agrees with the table."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import pytest
from fuzz_replies import play, served, simulated
from machines import USER, goal_item

from thrivecalc_models import (
    CommitError,
    CorruptItemError,
    OutcomeUnknownError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ServiceError,
    UserData,
)
from thrivecalc_models.operations import Call, Failure, FailureKind, Reason, Reply
from thrivecalc_models.operations.reading import understood
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing.refusals import LOST_REPLY
from thrivecalc_models.transport import bodies

CI = os.environ.get("CI") == "true"
ROUNDS = 4_000 if CI else 500
ROUNDS_ON_A_WIRE = 400 if CI else 80
PARTS = 5

KEY = "savings-goal#g"


@pytest.fixture(params=[False, True], ids=["one by one", "batched"])
def batched(request: pytest.FixtureRequest) -> bool:
    """Whether the store has `batch_updates`."""
    return bool(request.param)


@pytest.mark.parametrize("part", range(PARTS))
def test_nonsense_for_replies(part: int, batched: bool) -> None:
    """Every write keeps its true outcome, and what is raised after sending has one."""
    tally: Counter[str] = Counter()
    world = simulated(random.Random(part), batched=batched)
    for seed in range(part, ROUNDS, PARTS):
        play(world, seed, tally)
    assert tally["replies spoilt"] > ROUNDS // PARTS


@pytest.mark.parametrize("transport", ["direct", "botocore"])
def test_nonsense_on_a_wire(transport: str, batched: bool) -> None:
    """The same over HTTP, whichever transport reads it."""
    tally: Counter[str] = Counter()
    table = SimulatedTable(table_name="fuzzed")
    with served(table, random.Random(0), transport, batched=batched) as world:
        for seed in range(ROUNDS_ON_A_WIRE):
            play(world, seed, tally)
    assert tally["replies spoilt"] > ROUNDS_ON_A_WIRE // 2


def test_replies_that_are_believed_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the one place that judges replies the same rounds fail."""
    broken = 0

    def believed(operation: Any, result: Any) -> Any:
        return LOST_REPLY if isinstance(result, str) else result

    monkeypatch.setattr(bodies, "understood", believed)
    world = simulated(random.Random(0))
    for seed in range(100):
        try:
            play(world, seed, Counter())
        except Exception:  # noqa: BLE001 - whatever comes out of it
            broken += 1
    assert broken > 10


# --- one reply at a time --------------------------------------------------------------------------


class Answering(SimulatedTable):
    """A simulated table that performs what it is asked, and then says something else."""

    def __init__(self, operation: str, *said: Any) -> None:
        super().__init__()
        self.put(goal_item())
        self.operation = operation
        self.said = list(said)

    def answer(self, operation: str, request: dict[str, Any]) -> Any:
        result = super().answer(operation, request)
        if operation != self.operation or not self.said:
            return result
        said = self.said.pop(0)
        return said(result) if callable(said) else said


def user_of(table: SimulatedTable, attempts: int = 2) -> UserData:
    return simulated_store(table, retry=RetryPolicy(attempts=attempts)).user(USER)


def body(**members: Any) -> Any:
    """The same reply, but for some members; None leaves one out."""

    def said(result: Any) -> Reply:
        changed = result.body | members
        return Reply(body={name: value for name, value in changed.items() if value is not None})

    return said


def item_with(**attributes: Any) -> Any:
    return lambda result: Reply(
        body=result.body | {"Attributes": result.body["Attributes"] | attributes}
    )


FOREIGN = {"userId": {"S": "google-oauth2|another"}}
NOT_AN_UPDATE = [
    Reply(body={}),
    Reply(body={"ConsumedCapacity": None}),
    body(Attributes=[]),
    body(Attributes={}),
    body(Attributes="x"),
    body(ConsumedCapacity=None),
    item_with(updatedAt={"N": "5"}),
    item_with(updatedAt={"S": "2025-01-01T00:00:00.000Z"}),
    item_with(legacy={"S": 5}),
    item_with(legacy="x"),
    item_with(recordKey={"S": 5}),
    "nothing of the kind",
]


@pytest.mark.parametrize("said", NOT_AN_UPDATE)
def test_a_reply_that_is_none_makes_its_own_write_unknown(said: Any) -> None:
    """An update whose replies cannot be understood is unknown, and the others keep their end."""
    table = Answering("UpdateItem", said)
    user = user_of(table, attempts=1)
    work = user.unit_of_work()
    goal = work.get(SavingsGoal, "g")
    assert goal is not None
    goal.data.current_amount = 7
    added = [work.add(SavingsGoalData(name="n", target_amount=1)) for _ in range(3)]
    with pytest.raises(CommitError) as caught:
        work.commit()
    error = caught.value
    assert (error.unknown, error.not_applied) == ([KEY], [])
    assert sorted(error.applied) == sorted(record.record_key for record in added)
    cause = error.causes[KEY]
    assert isinstance(cause, OutcomeUnknownError)
    assert cause.stored is None
    assert "the reply cannot be understood" in str(cause)
    assert work.commit().applied == [KEY]


@pytest.mark.parametrize("said", NOT_AN_UPDATE)
def test_a_reply_that_is_none_counts_as_a_lost_one(said: Any) -> None:
    """It is sent again, and what was applied at the first try is found to be ours."""
    table = Answering("UpdateItem", said)
    user = user_of(table)
    goal = user.get(SavingsGoal, "g")
    assert goal is not None
    goal.data.current_amount = 7
    user.update(goal)
    assert table.sent("UpdateItem") == 2
    assert table.applied_writes(KEY) == 1


@pytest.mark.parametrize("path", ["userId", "recordKey"])
def test_an_item_of_another_is_final(path: str) -> None:
    """Another's item ends a write at once: unknown, and nothing of the item is shown."""
    table = Answering("UpdateItem", item_with(**{path: {"S": "another"}}))
    user = user_of(table, attempts=5)
    goal = user.get(SavingsGoal, "g")
    assert goal is not None
    goal.data.current_amount = 7
    with pytest.raises(OutcomeUnknownError) as caught:
        user.update(goal)
    assert caught.value.stored is None
    assert table.sent("UpdateItem") == 1
    assert f"another {path}" in str(caught.value)


def failed(item: Any, kind: FailureKind = FailureKind.CONDITION_FAILED) -> Failure:
    return Failure(kind=kind, code="ConditionalCheckFailedException", item=item, status=400)


@pytest.mark.parametrize("other", [{}, FOREIGN, {"recordKey": {"S": "savings-goal#h"}}])
def test_the_item_of_a_failed_condition_is_the_one_that_was_asked_for(other: Any) -> None:
    """An error never carries another user's record, nor another record."""
    table = Answering("PutItem", failed(goal_item() | other))
    user = user_of(table)
    with pytest.raises(OutcomeUnknownError if other else Exception) as caught:
        user.add(SavingsGoalData(name="n", target_amount=1), record_id="g")
    stored = getattr(caught.value, "stored", None)
    assert (stored is None) == bool(other)


@pytest.mark.parametrize("item", ["x", [], {}, None, {"userId": "x"}])
def test_a_condition_that_was_not_sent_cannot_fail(item: Any) -> None:
    """A failed condition in answer to a batch is no answer: the batch is sent again."""
    table = Answering("BatchWriteItem", failed(item))
    with user_of(table).unit_of_work() as work:
        added = [work.add(SavingsGoalData(name="n", target_amount=1)) for _ in range(3)]
    assert [table.applied_writes(record.record_key) for record in added] == [1, 1, 1]
    table = Answering("BatchWriteItem", failed(item), failed(item))
    table.put(goal_item("h"))
    with pytest.raises(CommitError) as caught:
        user_of(table).delete_all()
    assert sorted(caught.value.unknown) == [KEY, "savings-goal#h"]


def cancelled(*reasons: Reason) -> Failure:
    code = "TransactionCanceledException"
    return Failure(kind=FailureKind.TRANSACTION_CANCELLED, code=code, reasons=reasons, status=400)


FAILED = Reason(code="ConditionalCheckFailed")
INNOCENT = Reason(code="None")


@pytest.mark.parametrize(
    "said",
    [
        cancelled(),
        cancelled(FAILED),
        cancelled(FAILED, INNOCENT, INNOCENT),
        cancelled(INNOCENT, INNOCENT),
        cancelled(Reason(code="None", item="x"), FAILED),
        Failure(
            kind=FailureKind.TRANSACTION_CONFLICT,
            code="TransactionCanceledException",
            again=True,
            reasons=(Reason(code="TransactionConflict"),),
        ),
        Reply(body={"status": "maintenance"}),
    ],
)
def test_a_transaction_is_cancelled_with_a_reason_for_each_write(said: Any) -> None:
    """Otherwise it may have been applied: it is sent again with its token, and answered."""
    table = Answering("TransactWriteItems", said)
    with user_of(table).unit_of_work(atomic=True) as work:
        work.add(SavingsGoalData(name="n", target_amount=1), record_id="a")
        work.add(SavingsGoalData(name="n", target_amount=1), record_id="b")
    assert table.sent("TransactWriteItems") == 2
    assert [table.applied_writes(f"savings-goal#{name}") for name in "ab"] == [1, 1]
    table = Answering("TransactWriteItems", said, said)
    work = user_of(table).unit_of_work(atomic=True)
    work.add(SavingsGoalData(name="n", target_amount=1), record_id="a")
    work.add(SavingsGoalData(name="n", target_amount=1), record_id="b")
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert sorted(caught.value.unknown) == ["savings-goal#a", "savings-goal#b"]
    assert sorted(work.commit().applied) == ["savings-goal#a", "savings-goal#b"]
    assert [table.applied_writes(f"savings-goal#{name}") for name in "ab"] == [1, 1]


@pytest.mark.parametrize(
    "capacity", ["x", 5, [], ["x"], {"CapacityUnits": "x"}, {"CapacityUnits": -1}, {"x": None}]
)
def test_capacity_is_never_a_reason_to_fail(capacity: Any) -> None:
    """What was consumed is telemetry: what cannot be read of it counts as nothing."""
    table = Answering("PutItem", body(ConsumedCapacity=capacity))
    work = user_of(table).unit_of_work()
    work.add(SavingsGoalData(name="n", target_amount=1))
    assert work.commit().capacity.write_units == 0.0


READS: dict[str, tuple[str, Any]] = {
    "get": ("GetItem", lambda user: user.get(SavingsGoal, "g")),
    "get of nothing": ("GetItem", lambda user: user.get(SavingsGoal, "no")),
    "get_many": ("BatchGetItem", lambda user: user.get_many([(SavingsGoal, "g")])),
    "list": ("Query", lambda user: user.list(SavingsGoal)),
    "list_all": ("Query", lambda user: user.list_all()),
    "page": ("Query", lambda user: user.page(SavingsGoal, limit=1)),
    "iterate": ("Query", lambda user: list(user.iterate())),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("said", [{}, [], "x", {"status": "maintenance"}, {"Items": []}])
def test_a_reading_that_cannot_be_understood(name: str, said: Any) -> None:
    """It is read again, and ends in a ServiceError that says what was wrong with the reply."""
    operation, read = READS[name]
    table = Answering(operation, Reply(body=said))
    read(user_of(table))
    assert table.sent(operation) == 2
    table = Answering(operation, *[Reply(body=said)] * 2)
    with pytest.raises(ServiceError, match="cannot be understood") as caught:
        read(user_of(table))
    assert type(caught.value) is ServiceError


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("get", {"Item": "x"}),
        ("get", {"Item": {}}),
        ("get", {"Item": {"userId": {"S": USER}}}),
        ("get_many", {"UnprocessedKeys": []}),
        ("get_many", {"UnprocessedKeys": {"t": {"Keys": [{}]}}}),
        ("get_many", {"UnprocessedKeys": None}),
        ("get_many", {"Responses": {"t": [goal_item(), goal_item()]}}),
        ("list", {"Items": [goal_item(), goal_item()]}),
        ("list", {"Count": "1"}),
        ("list", {"LastEvaluatedKey": {}}),
        ("list", {"LastEvaluatedKey": "x"}),
        ("list_all", {"Items": [goal_item(legacy={"S": 5})]}),
    ],
)
def test_a_member_that_cannot_be_understood(name: str, members: dict[str, Any]) -> None:
    """A reading is whole, or read again; it is never short for what a reply lacks."""
    operation, read = READS[name]
    table = Answering(operation, body(**members))
    assert read(user_of(table))
    assert table.sent(operation) == 2


@pytest.mark.parametrize("name", ["get", "get_many", "list", "list_all", "page", "iterate"])
def test_an_item_of_another_user_ends_a_reading(name: str) -> None:
    """CorruptItemError, at once, with nothing of the item."""
    operation, read = READS[name]
    other = goal_item() | FOREIGN
    said = {
        "GetItem": {"Item": other},
        "BatchGetItem": {"Responses": {"t": [other]}},
        "Query": {"Items": [other]},
    }[operation]
    table = Answering(operation, body(**said))
    with pytest.raises(CorruptItemError) as caught:
        read(user_of(table))
    assert caught.value.path == "userId"
    assert caught.value.item is None
    assert table.sent(operation) == 1


@pytest.mark.parametrize("left", [[], "no", {"t": [{}]}, {"t": {}}, {"t": [{"PutRequest": 5}]}])
def test_what_a_batch_left_undone_can_be_understood(left: Any) -> None:
    """A batch whose UnprocessedItems have no form may have been applied: it is sent again."""
    table = Answering("BatchWriteItem", body(UnprocessedItems=left))
    with user_of(table).unit_of_work() as work:
        added = [work.add(SavingsGoalData(name="n", target_amount=1)) for _ in range(3)]
    assert [table.applied_writes(record.record_key) for record in added] == [1, 1, 1]


def test_what_a_batch_left_undone_is_its_own() -> None:
    """UnprocessedItems of other keys make the batch unknown, and none of its neighbours."""
    other = {"t": [{"PutRequest": {"Item": goal_item("other")}}]}
    table = Answering("BatchWriteItem", body(UnprocessedItems=other))
    work = user_of(table).unit_of_work()
    added = [work.add(SavingsGoalData(name="n", target_amount=1)) for _ in range(3)]
    work.add(SavingsGoalData(name="n", target_amount=1), record_id="given")
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert sorted(caught.value.unknown) == sorted(record.record_key for record in added)
    assert caught.value.applied == ["savings-goal#given"]


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("DescribeTimeToLive", {"TimeToLiveDescription": "x"}),
        ("DescribeTimeToLive", {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED"}}),
        ("DescribeTimeToLive", {"TimeToLiveDescription": {"TimeToLiveStatus": ["ENABLED"]}}),
        (
            "DescribeTimeToLive",
            {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": {"x": "t"}}},
        ),
        (
            "DescribeContinuousBackups",
            {
                "ContinuousBackupsDescription": {
                    "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": {}}
                }
            },
        ),
    ],
)
def test_a_description_that_cannot_be_understood_is_no_setting(operation: str, said: Any) -> None:
    """Nonsense about TTL or recovery is a lost reply, never a wrong setting of the table."""
    failure = understood(Call(operation, {}), Reply(body=said))
    assert isinstance(failure, Failure)
    assert failure.again


def test_a_description_that_lost_a_key_is_not_of_another_table() -> None:
    """A table whose description names attributes that no key uses has lost a key on the way."""
    described = {
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": "userId", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "userId", "AttributeType": "S"}],
    }
    call = Call("DescribeTable", {})
    assert isinstance(understood(call, Reply(body={"Table": described})), Reply)
    described["AttributeDefinitions"].append({"AttributeName": "recordKey", "AttributeType": "S"})
    failure = understood(call, Reply(body={"Table": described}))
    assert isinstance(failure, Failure)
    assert failure.again


@pytest.mark.parametrize("again", ["RANGE", "HASH"])
def test_a_description_with_a_key_twice_is_not_of_another_table(again: str) -> None:
    """A key that a description names twice was doubled on the way."""
    names = ("userId", "recordKey")
    keys = [
        {"AttributeName": name, "KeyType": kind}
        for name, kind in zip((*names, "recordKey"), ("HASH", "RANGE", again), strict=True)
    ]
    described = {
        "TableStatus": "ACTIVE",
        "KeySchema": keys,
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
    }
    failure = understood(Call("DescribeTable", {}), Reply(body={"Table": described}))
    assert isinstance(failure, Failure)
    described["KeySchema"] = keys[:2]
    assert isinstance(
        understood(Call("DescribeTable", {}), Reply(body={"Table": described})), Reply
    )
