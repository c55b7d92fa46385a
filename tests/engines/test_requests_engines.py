"""What calls and commits cost on every engine: requests and capacity."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from proxy import FaultyProxy
from stored import (
    COUNTER,
    goal,
    keys_of,
)

from thrivecalc_models import (
    ConflictError,
    SavingsGoal,
)


def test_sixty_adds(user: Any, proxy: FaultyProxy) -> None:
    """60 adds are 3 BatchWriteItem."""
    with user.unit_of_work() as work:
        for number in range(60):
            work.add(goal(target=number))
    assert [operation for operation, _ in proxy.requests] == ["BatchWriteItem"] * 3
    assert sorted(len(keys_of(request)) for _, request in proxy.requests) == [10, 25, 25]


def test_250_keys(user: Any, proxy: FaultyProxy) -> None:
    """250 keys with duplicates are 3 BatchGetItem, no key twice; a second look is no request."""
    keys = [(SavingsGoal, str(number)) for number in range(250)]
    user.get_many([*keys, *keys[:30]])
    assert [operation for operation, _ in proxy.requests] == ["BatchGetItem"] * 3
    asked = [key for _, request in proxy.requests for key in keys_of(request)]
    assert len(asked) == len(set(asked)) == 250
    with user.unit_of_work() as work:
        work.put(goal(), record_id="1")
    proxy.schedule = None
    with user.unit_of_work() as work:
        for _ in range(2):
            assert work.get(SavingsGoal, "1") is work.get_many([(SavingsGoal, "1")])[0]
    assert proxy.sent() == 1


def test_nothing_changed(user: Any, proxy: FaultyProxy) -> None:
    """A unit that read and changed nothing, or changed it back, sends nothing at its end."""
    user.add(goal(current_amount="1.50"), record_id="1")
    proxy.schedule = None
    with user.unit_of_work() as work:
        (record,) = work.list(SavingsGoal)
        record.data.current_amount = Decimal("1.5")
        record.data.name = "Boat"
        record.data.name = "Car"
    assert [operation for operation, _ in proxy.requests] == ["Query"]


def test_one_changed_field(user: Any, proxy: FaultyProxy) -> None:
    """One changed field is one UpdateItem that carries that field, the stamp, and the condition on
    both."""
    user.add(goal(), record_id="1")
    proxy.schedule = None
    with user.unit_of_work() as work:
        work.get(SavingsGoal, "1").data.current_amount += 500
    (_, (operation, request)) = proxy.requests
    assert operation == "UpdateItem"
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    assert set(names.values()) == {"data", "currentAmount", "updatedAt", "recordKey"}
    assert request["UpdateExpression"].startswith("SET ")
    assert request["UpdateExpression"].count("=") == 2
    assert request["ConditionExpression"].count("=") == 2
    assert {"N": "500"} in values.values()
    assert {"N": "0"} in values.values()
    assert request["ReturnValues"] == "ALL_NEW"
    assert request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"


def test_single_calls(user: Any, proxy: FaultyProxy) -> None:
    """Each single call is one request of the operation that the guide's IAM policy allows."""
    added = user.add(goal())
    user.add(goal(), record_id="given")
    user.put(goal(), record_id="put")
    added.data.name = "Boat"
    user.update(added)
    user.update(added)
    user.get(SavingsGoal, "put")
    user.list(SavingsGoal)
    user.list(SavingsGoal, consistent=True)
    user.replace_data(SavingsGoal, "put", {"name": "x", "targetAmount": 1})
    user.delete(added)
    user.delete(SavingsGoal, "put")
    assert [operation for operation, _ in proxy.requests] == [
        "PutItem",
        "PutItem",
        "PutItem",
        "UpdateItem",
        "GetItem",
        "Query",
        "Query",
        "UpdateItem",
        "DeleteItem",
        "DeleteItem",
    ]
    by_index, by_table = (request for name, request in proxy.requests if name == "Query")
    assert by_index["IndexName"] == "DataTypeIndex"
    assert "FilterExpression" not in by_index
    assert "begins_with" in by_table["KeyConditionExpression"]
    assert by_table["ConsistentRead"] is True


@pytest.mark.not_on("moto", reason="reports constant capacity")
def test_capacity(user: Any) -> None:
    """A commit reports the capacity units that the service counted, on the table and its index."""

    def units(name_size: int) -> float:
        with user.unit_of_work() as work:
            work.add(goal("x" * name_size), record_id=str(next(COUNTER)))
            return work.commit().capacity.write_units

    assert units(100) == 2  # 1 KB on the table, and the same on the index
    assert units(1500) == 4
    record = user.add(goal(), record_id="1")
    with user.unit_of_work() as work:
        work.get(SavingsGoal, "1").data.name = "x" * 2100
        result = work.commit()
    assert result.capacity.write_units == 6
    assert result.capacity.read_units == 0
    with user.unit_of_work() as work:
        (loaded,) = (r for r in work.list(SavingsGoal) if r.record_id == "1")
        work.delete(loaded)
        assert work.commit().capacity.write_units == 6
    record.data.name = "late"
    with pytest.raises(ConflictError):
        user.update(record)
