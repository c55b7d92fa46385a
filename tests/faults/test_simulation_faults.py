"""Every fault of the simulated table: what the sender is told, and what the table then holds."""

from __future__ import annotations

from typing import Any

import pytest

from thrivecalc_models.operations import Failure, FailureKind, Reply
from thrivecalc_models.testing import faults
from thrivecalc_models.testing.faults import Fault
from thrivecalc_models.testing.simulation import SimulatedTable

Json = dict[str, Any]
TABLE = "thrivecalc-user-data"


def key(record_key: str) -> Json:
    return {"userId": {"S": "ann"}, "recordKey": {"S": record_key}}


def put(table: SimulatedTable, record_key: str = "goal#1", **more: Any) -> Any:
    return table.answer("PutItem", {"TableName": TABLE, "Item": key(record_key)} | more)


def transact(table: SimulatedTable, *record_keys: str) -> Any:
    entries = [{"Put": {"TableName": TABLE, "Item": key(each)}} for each in record_keys]
    request = {"TransactItems": entries, "ClientRequestToken": "token"}
    return table.answer("TransactWriteItems", request)


@pytest.mark.parametrize(
    ("fault", "kind", "again", "applied_maybe", "applied"),
    [
        (faults.Throttle(), FailureKind.THROTTLED, True, False, False),
        (faults.ServerError(), FailureKind.UNAVAILABLE, True, True, False),
        (faults.ServerError(503, applied=True), FailureKind.UNAVAILABLE, True, True, True),
        (faults.LoseReply(applied=False), FailureKind.UNAVAILABLE, True, True, False),
        (faults.LoseReply(applied=True), FailureKind.UNAVAILABLE, True, True, True),
        (faults.Late(after=1), FailureKind.UNAVAILABLE, True, True, False),
        (faults.Denied(), FailureKind.DENIED, False, False, False),
        (faults.ExpiredCredentials(), FailureKind.CREDENTIALS, False, False, False),
        (faults.NoTable(), FailureKind.NO_TABLE, False, False, False),
        (faults.TransactionConflict(), FailureKind.TRANSACTION_CONFLICT, True, False, False),
        (faults.Refused(), FailureKind.UNAVAILABLE, True, False, False),
    ],
)
def test_a_fault_tells_and_does_what_it_says(
    table: SimulatedTable,
    fault: Fault,
    kind: FailureKind,
    again: bool,
    applied_maybe: bool,
    applied: bool,
) -> None:
    """The failure has the classification of the real one, and only an applied fault writes."""
    table.fail_next(fault)
    failure = put(table)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.again, failure.applied_maybe) == (kind, again, applied_maybe)
    assert bool(table.items) is applied
    assert table.log[0].result == failure
    assert isinstance(put(table), Reply)


def test_an_interrupt_leaves_the_request_in_the_log(table: SimulatedTable) -> None:
    """KeyboardInterrupt comes out of the request, before or after it was applied."""
    for applied in (False, True):
        table.fail_next(faults.Interrupt(applied=applied))
        with pytest.raises(KeyboardInterrupt):
            put(table)
        assert bool(table.items) is applied
    assert [entry.result for entry in table.log] == [None, None]


def test_a_late_write_meets_its_condition_later(table: SimulatedTable) -> None:
    """A write on its way is performed before a later request, under its condition as it is then."""
    condition = {"ConditionExpression": "attribute_not_exists(userId)"}
    table.fail_next(faults.Late(after=2))
    put(table, "goal#1", **condition)
    put(table, "goal#2")
    assert list(table.items) == [("ann", "goal#2")]
    put(table, "goal#3")
    assert table.get("ann", "goal#1") == key("goal#1")

    table.fail_next(faults.Late(after=1))
    put(table, "goal#4", **condition)
    table.put(key("goal#4") | {"n": {"N": "1"}})
    put(table, "goal#5")
    assert table.get("ann", "goal#4") == key("goal#4") | {"n": {"N": "1"}}
    assert table.applied_writes("goal#4") == 0


def test_late_writes_survive_healing(table: SimulatedTable) -> None:
    """Healing plans no new fault, but what is on its way still arrives."""
    table.fail_always(faults.Late(after=100))
    put(table)
    table.heal()
    assert isinstance(put(table, "goal#2"), Reply)
    table.deliver_late()
    assert table.applied_writes("goal#1") == 1


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_a_partial_batch_names_the_rest(table: SimulatedTable, keep: int) -> None:
    """Entries past the kept ones are not processed and come back as they were sent."""
    writes = [{"PutRequest": {"Item": key(f"goal#{number}")}} for number in range(3)]
    table.fail_next(faults.Partial(keep=keep))
    reply = table.answer("BatchWriteItem", {"RequestItems": {TABLE: writes}})
    assert isinstance(reply, Reply)
    assert reply.body["UnprocessedItems"] == {TABLE: writes[keep:]}
    assert len(table.items) == keep

    keys = [key(f"goal#{number}") for number in range(3)]
    wanted = {"RequestItems": {TABLE: {"Keys": keys, "ConsistentRead": True}}}
    table.fail_next(faults.Partial(keep=keep))
    reply = table.answer("BatchGetItem", wanted)
    assert isinstance(reply, Reply)
    assert reply.body["UnprocessedKeys"] == {TABLE: {"Keys": keys[keep:], "ConsistentRead": True}}
    assert len(reply.body["Responses"][TABLE]) == keep


def test_a_partial_fault_waits_for_a_batch(table: SimulatedTable) -> None:
    """A fault that cannot happen to an operation is kept for one to which it can."""
    table.fail_next(faults.Partial(keep=0))
    assert isinstance(put(table), Reply)
    writes = [{"DeleteRequest": {"Key": key("goal#1")}}]
    reply = table.answer("BatchWriteItem", {"RequestItems": {TABLE: writes}})
    assert isinstance(reply, Reply)
    assert reply.body["UnprocessedItems"] == {TABLE: writes}


@pytest.mark.parametrize("applied", [False, True])
def test_a_transaction_in_progress_answers_in_the_end(table: SimulatedTable, applied: bool) -> None:
    """Sent again with its token, a transaction in progress is applied once, either way."""
    table.fail_next(faults.TransactionInProgress(applied=applied))
    failure = transact(table, "goal#1")
    assert (failure.kind, failure.again) == (FailureKind.TRANSACTION_IN_PROGRESS, True)
    assert isinstance(transact(table, "goal#1"), Reply)
    assert table.applied_writes("goal#1") == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("TransactionConflict", FailureKind.TRANSACTION_CONFLICT),
        ("ThrottlingError", FailureKind.THROTTLED),
    ],
)
def test_a_conflict_cancels_a_transaction(
    table: SimulatedTable, code: str, kind: FailureKind
) -> None:
    """The reason stands at the first entry, nothing is applied, and it can go again."""
    table.fail_next(faults.TransactionConflict(code))
    failure = transact(table, "goal#1", "goal#2")
    assert [reason.code for reason in failure.reasons] == [code, "None"]
    assert (failure.kind, failure.again, failure.applied_maybe) == (kind, True, False)
    assert table.items == {}


def test_another_writer_comes_first(table: SimulatedTable) -> None:
    """The other writer's requests are performed before ours, unnumbered, and meet no fault."""

    def act(seen: SimulatedTable) -> None:
        assert isinstance(put(seen, "goal#1", ReturnValues="NONE"), Reply)

    table.fail_next(faults.OtherWriter(act))
    failure = put(table, "goal#1", ConditionExpression="attribute_not_exists(userId)")
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.CONDITION_FAILED
    assert len(table.log) == 1


def test_faults_follow_a_schedule(table: SimulatedTable) -> None:
    """A schedule is a mapping from request numbers or a function, and comes before other faults."""
    table.faults = {2: faults.Denied()}
    table.fail_always(faults.Throttle(), "GetItem")
    assert isinstance(put(table), Reply)
    assert put(table).kind is FailureKind.DENIED
    get = {"TableName": TABLE, "Key": key("goal#1")}
    assert [getattr(table.answer("GetItem", get), "kind", None) for _ in range(2)] == [
        FailureKind.THROTTLED
    ] * 2
    table.heal()
    table.faults = lambda number, operation, request: (
        faults.Refused() if operation == "PutItem" else None
    )
    assert isinstance(table.answer("GetItem", get), Reply)
    assert put(table).kind is FailureKind.UNAVAILABLE


def test_next_faults_queue_up(table: SimulatedTable) -> None:
    """Each call of fail_next adds to the queue of its operation."""
    table.fail_next(faults.Throttle(), "PutItem", times=2)
    table.fail_next(faults.Refused(), "PutItem")
    kinds = [getattr(put(table), "kind", None) for _ in range(4)]
    assert kinds == [FailureKind.THROTTLED, FailureKind.THROTTLED, FailureKind.UNAVAILABLE, None]


def test_the_same_story_has_the_same_end() -> None:
    """The same requests and faults give the same replies, times and versions."""

    def story() -> SimulatedTable:
        table = SimulatedTable(faults={2: faults.LoseReply(applied=True), 4: faults.Late(after=1)})
        for number in range(6):
            put(table, f"goal#{number % 3}")
        return table

    first, second = story(), story()
    assert first.log == second.log
    assert (first.now, first.items) == (second.now, second.items)
