"""What the simulated table promises beside the rules that engines can confirm."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrivecalc_models.operations import Failure, FailureKind, Reply
from thrivecalc_models.testing.simulation import SimulatedTable

Json = dict[str, Any]
TABLE = "thrivecalc-user-data"


def key(record_key: str, user_id: str = "ann") -> Json:
    return {"userId": {"S": user_id}, "recordKey": {"S": record_key}}


def goal(record_id: str, **attributes: Any) -> Json:
    return key(f"savings-goal#{record_id}") | {"dataType": {"S": "savings-goal"}} | attributes


def body(result: Any) -> Json:
    assert isinstance(result, Reply), result
    return result.body


def put(table: SimulatedTable, item: Json, **more: Any) -> Any:
    return table.answer("PutItem", {"TableName": TABLE, "Item": item} | more)


def read_page(table: SimulatedTable, **more: Any) -> Json:
    request = {
        "TableName": TABLE,
        "KeyConditionExpression": "userId = :u",
        "ExpressionAttributeValues": {":u": {"S": "ann"}},
    }
    return body(table.answer("Query", request | more))


def transact(table: SimulatedTable, *items: Json, token: str | None = None) -> Any:
    request: Json = {
        "TransactItems": [{"Put": {"TableName": TABLE, "Item": item}} for item in items]
    }
    return table.answer(
        "TransactWriteItems", request | ({"ClientRequestToken": token} if token else {})
    )


def test_numbers_come_back_normalised(table: SimulatedTable) -> None:
    """A number loses outer zeros and the sign of zero, as in DynamoDB."""
    put(table, goal("1", n={"N": "1.50"}, z={"N": "-0"}, e={"N": "1E3"}))
    stored = table.get("ann", "savings-goal#1")
    assert stored == goal("1", n={"N": "1.5"}, z={"N": "0"}, e={"N": "1000"})


@given(
    count=st.integers(0, 12),
    limit=st.none() | st.integers(1, 5),
    page_bytes=st.integers(1, 200),
    by_index=st.booleans(),
    forward=st.booleans(),
)
def test_pages_put_together_are_everything(
    count: int, limit: int | None, page_bytes: int, by_index: bool, forward: bool
) -> None:
    """However small the pages, each item comes once, and the last page names no key."""
    table = SimulatedTable(page_bytes=page_bytes)
    for number in range(count):
        put(table, goal(str(number)))
    request: Json = {"ScanIndexForward": forward}
    request |= {"IndexName": "DataTypeIndex"} if by_index else {}
    request |= {"Limit": limit} if limit else {}
    found = []
    while True:
        page = read_page(table, **request)
        assert len(page["Items"]) <= (limit or count)
        found += [item["recordKey"]["S"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    assert len(found) == len(set(found)) == count
    if not by_index:
        assert found == sorted(found, reverse=not forward)


@given(count=st.integers(0, 12), limit=st.integers(1, 5), segments=st.integers(1, 4))
def test_segments_put_together_are_the_table(count: int, limit: int, segments: int) -> None:
    """A parallel scan meets every item of every user once."""
    table = SimulatedTable()
    for number in range(count):
        put(table, key("a#1", f"user-{number}"))
    found = []
    for segment in range(segments):
        request: Json = {"TableName": TABLE, "Limit": limit}
        request |= {"Segment": segment, "TotalSegments": segments}
        while request:
            page = body(table.answer("Scan", request))
            found += [item["userId"]["S"] for item in page["Items"]]
            last = page.get("LastEvaluatedKey")
            request = request | {"ExclusiveStartKey": last} if last else {}
    assert sorted(found) == sorted(f"user-{number}" for number in range(count))


def test_a_page_is_read_before_it_is_filtered(table: SimulatedTable) -> None:
    """A page may be empty and still name a key, also when it ends exactly at its limit."""
    put(table, goal("1"))
    page = read_page(table, Limit=1, FilterExpression="attribute_exists(n)")
    assert (page["Items"], page["ScannedCount"]) == ([], 1)
    assert page["LastEvaluatedKey"] == key("savings-goal#1")


def test_the_index_has_no_order_of_its_own(table: SimulatedTable) -> None:
    """Items of one type come from the index in an order that is not that of their keys."""
    for number in range(9):
        put(table, goal(str(number)))
    items = read_page(table, IndexName="DataTypeIndex")["Items"]
    found = [item["recordKey"]["S"] for item in items]
    assert sorted(found) != found
    assert len(found) == 9


def test_an_item_without_a_type_is_not_in_the_index(table: SimulatedTable) -> None:
    """What has no dataType is stored, and missing from the index."""
    put(table, key("savings-goal#1"))
    assert read_page(table)["Count"] == 1
    assert read_page(table, IndexName="DataTypeIndex")["Count"] == 0


def test_a_batch_get_may_be_partial(table: SimulatedTable) -> None:
    """Past a page of one user the rest is unprocessed, with the request's own ConsistentRead."""
    table.page_bytes = 150
    for number in range(3):
        put(table, goal(str(number)))
    keys = [key(f"savings-goal#{number}") for number in range(3)]
    request = {"RequestItems": {TABLE: {"Keys": keys, "ConsistentRead": True}}}
    reply = body(table.answer("BatchGetItem", request))
    left = reply["UnprocessedKeys"][TABLE]
    assert left["ConsistentRead"] is True
    assert len(reply["Responses"][TABLE]) + len(left["Keys"]) == 3
    assert left["Keys"]


def test_a_transaction_over_4_mb_is_refused(table: SimulatedTable) -> None:
    """Eleven items of 400 kB do not fit into a transaction, ten do."""
    items = [goal(str(number), s={"S": "x" * 400_000}) for number in range(11)]
    assert transact(table, *items).kind is FailureKind.INVALID
    assert table.items == {}
    assert isinstance(transact(table, *items[:10]), Reply)


def test_a_token_is_good_for_ten_minutes(table: SimulatedTable) -> None:
    """A transaction sent again with its token changes nothing until ten minutes have passed."""
    record_key = "savings-goal#1"
    for pause, times in ((0.0, 1), (599.0, 1), (1.0, 2)):
        table.sleep(pause)
        assert isinstance(transact(table, goal("1"), token="t"), Reply)
        assert table.applied_writes(record_key) == times
    mismatch = transact(table, goal("2"), token="t")
    assert mismatch.kind is FailureKind.TOKEN_MISMATCH
    assert not mismatch.applied_maybe


def test_a_cancelled_transaction_says_why(table: SimulatedTable) -> None:
    """Reasons come in the order of the entries, with the stored item where it was asked for."""
    put(table, goal("1"))
    entry = {
        "TableName": TABLE,
        "Item": goal("1", n={"N": "1"}),
        "ConditionExpression": "attribute_not_exists(userId)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    other = {"Put": {"TableName": TABLE, "Item": goal("2")}}
    failure = table.answer("TransactWriteItems", {"TransactItems": [other, {"Put": entry}]})
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.again) == (FailureKind.TRANSACTION_CANCELLED, False)
    assert [reason.code for reason in failure.reasons] == ["None", "ConditionalCheckFailed"]
    assert failure.reasons[1].item == goal("1")
    assert list(table.items) == [("ann", "savings-goal#1")]


@pytest.mark.parametrize(
    ("before", "after", "on_table", "on_index"),
    [
        (None, goal("1"), 1, 1),
        (goal("1"), goal("1"), 1, 0),
        (goal("1"), goal("1", s={"S": "x" * 1900}), 2, 2),
        (goal("1", s={"S": "x" * 1900}), goal("1"), 2, 2),
        (goal("1"), goal("1") | {"dataType": {"S": "budget"}}, 1, 2),
        (key("savings-goal#1"), goal("1"), 1, 1),
        (goal("1"), key("savings-goal#1"), 1, 1),
        (None, key("savings-goal#1"), 1, 0),
    ],
)
def test_a_write_costs_the_larger_of_old_and_new(
    before: Json | None, after: Json, on_table: float, on_index: float
) -> None:
    """Units are counted on the table and again on the index; a transaction doubles both."""
    table = SimulatedTable()
    for factor in (1, 2):
        table.delete("ann", "savings-goal#1")
        if before is not None:
            table.put(before)
        if factor == 1:
            reply = body(put(table, after, ReturnConsumedCapacity="INDEXES"))
            consumed = reply["ConsumedCapacity"]
        else:
            write = {"Put": {"TableName": TABLE, "Item": after}}
            request = {"TransactItems": [write], "ReturnConsumedCapacity": "INDEXES"}
            [consumed] = body(table.answer("TransactWriteItems", request))["ConsumedCapacity"]
        index = consumed.get("GlobalSecondaryIndexes", {}).get("DataTypeIndex", {})
        assert consumed["Table"]["CapacityUnits"] == factor * on_table
        assert index.get("CapacityUnits", 0) == factor * on_index
        assert consumed["CapacityUnits"] == factor * (on_table + on_index)


def test_stale_reads_are_behind_by_so_many_writes(table: SimulatedTable) -> None:
    """The index and eventually consistent reads may miss the last writes; consistent ones not."""
    put(table, goal("1"))
    put(table, goal("2"))
    put(table, goal("1", n={"N": "1"}))
    table.stale_reads = 2
    assert read_page(table)["Items"] == [goal("1")]
    assert read_page(table, IndexName="DataTypeIndex")["Items"] == [goal("1")]
    assert read_page(table, ConsistentRead=True)["Count"] == 2
    table.stale_reads = 0
    assert read_page(table)["Count"] == 2


def test_time_is_virtual(table: SimulatedTable) -> None:
    """A request takes its latency; the clock goes on with time and can be set back without it."""
    start = table.clock()
    put(table, goal("1"))
    table.sleep(10)
    assert table.monotonic() == table.now == pytest.approx(10.005)
    assert table.clock() - start == timedelta(seconds=table.now)
    table.set_clock(datetime(2020, 1, 1, tzinfo=UTC))
    table.sleep(1)
    assert table.clock() == datetime(2020, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert table.now == pytest.approx(11.005)
    with pytest.raises(ValueError, match="aware"):
        table.set_clock(datetime(2020, 1, 1))


def test_everything_can_be_looked_at(table: SimulatedTable) -> None:
    """The log has every request with its result; versions and counts say what took effect."""
    put(table, goal("1"))
    table.put(goal("1", n={"N": "1"}))
    for _ in range(2):
        table.answer("DeleteItem", {"TableName": TABLE, "Key": key("savings-goal#1")})
    assert [entry.operation for entry in table.log] == ["PutItem", "DeleteItem", "DeleteItem"]
    assert [entry.number for entry in table.log] == [1, 2, 3]
    assert table.log[0].request == {"TableName": TABLE, "Item": goal("1")}
    assert (table.sent("DeleteItem"), table.sent("Query"), table.sent()) == (2, 0, 3)
    assert table.applied_writes("savings-goal#1") == 2
    assert table.applied_writes("savings-goal#1", user_id="bob") == 0
    assert table.versions("ann", "savings-goal#1") == [goal("1"), goal("1", n={"N": "1"}), None]


def test_what_was_given_back_is_the_callers(table: SimulatedTable) -> None:
    """Changing a request or a reply afterwards changes neither the table nor the log."""
    item = goal("1", m={"M": {"x": {"N": "1"}}})
    put(table, item)
    item["m"]["M"].clear()
    read_page(table)["Items"][0]["m"]["M"].clear()
    stored = table.get("ann", "savings-goal#1")
    assert stored is not None
    stored["m"]["M"].clear()
    assert table.items["ann", "savings-goal#1"]["m"] == {"M": {"x": {"N": "1"}}}
    assert table.log[0].request["Item"]["m"] == {"M": {"x": {"N": "1"}}}


def test_another_program_cannot_store_what_dynamodb_refuses(table: SimulatedTable) -> None:
    """`put` raises for an item that could not be there."""
    with pytest.raises(ValueError, match="empty string"):
        table.put(key(""))


def test_a_parameter_that_does_not_exist_is_refused(table: SimulatedTable) -> None:
    """A misspelt parameter fails here as it does in botocore, not silently."""
    request = {"TableName": TABLE, "Key": key("a"), "ConsistentReads": True}
    failure = table.answer("GetItem", request)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.code) == (FailureKind.INVALID, "ParamValidationError")


def test_the_table_describes_itself(table: SimulatedTable) -> None:
    """DescribeTable names keys and index, all active."""
    put(table, goal("1"))
    put(table, key("odd#1"))
    described = body(table.answer("DescribeTable", {"TableName": TABLE}))["Table"]
    [index] = described["GlobalSecondaryIndexes"]
    assert (described["TableStatus"], described["ItemCount"]) == ("ACTIVE", 2)
    assert (index["IndexName"], index["ItemCount"]) == ("DataTypeIndex", 1)


def test_threads_share_a_table(table: SimulatedTable) -> None:
    """Requests of several threads are performed one at a time, none lost."""
    request = {
        "TableName": TABLE,
        "Key": key("counter#1"),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }

    def count() -> None:
        for _ in range(50):
            table.answer("UpdateItem", request)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.items["ann", "counter#1"]["n"] == {"N": "200"}
    assert table.sent() == 200
