"""The largest item on every engine: stored at 409,600 bytes, refused at one more."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from proxy import FaultyProxy
from stored import (
    IN_FEWER_EXAMPLES,
    Table,
    goal,
    new_user_id,
)

from thrivecalc_models import (
    DataStore,
    ItemTooLargeError,
    SavingsGoal,
    SavingsGoalData,
)
from thrivecalc_models.testing import strategies
from thrivecalc_models.wire import MAX_ITEM_SIZE, item_size


def of_size(user_id: str, record_id: str, size: int, **fields: Any) -> SavingsGoalData:
    """A payload of whose record the item has exactly so many bytes."""
    empty = {
        "userId": {"S": user_id},
        "recordKey": {"S": SavingsGoal.key(record_id)},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": record_id},
        "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
        "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
        "data": {
            "M": {
                "name": {"S": ""},
                "targetAmount": {"N": "12.5"},
                "currentAmount": {"N": "0"},
                **fields,
            }
        },
    }
    return goal("x" * (size - item_size(empty)), "12.5")


@pytest.mark.not_on("moto", reason="refuses an item of exactly 409,600 bytes")
@pytest.mark.parametrize("record_id", ["a", "é😀"])
def test_the_largest_item(user: Any, table: Table, proxy: FaultyProxy, record_id: str) -> None:
    """An item of 409,600 bytes is stored, by every way of writing; one of a byte more is refused
    with its size before anything is sent, and the engine would refuse it too."""
    largest = of_size(user.user_id, record_id, MAX_ITEM_SIZE)
    user.add(largest, record_id=record_id)
    record = user.get(SavingsGoal, record_id)
    assert item_size(record.item) == MAX_ITEM_SIZE
    record.data.name = record.data.name[:-1] + "y"
    user.update(record)
    user.put(record)
    proxy.schedule = None
    too_large = of_size(user.user_id, record_id, MAX_ITEM_SIZE + 1)
    record.data.name += "z"
    for call in (
        lambda: user.add(too_large, record_id=record_id),
        lambda: user.put(too_large, record_id=record_id),
        lambda: user.update(record),
    ):
        with pytest.raises(ItemTooLargeError) as caught:
            call()
        assert caught.value.size == MAX_ITEM_SIZE + 1
    assert proxy.sent() == 0
    item = user.get(SavingsGoal, record_id).item
    item["data"]["M"]["name"]["S"] += "z"
    with pytest.raises(ClientError, match="size"):
        table.put(item)


@pytest.mark.parametrize("engine", ["dynamodb-local"], indirect=True)
@given(data=st.data())
@IN_FEWER_EXAMPLES
def test_sizes_of_generated_items(store: DataStore, table: Table, data: st.DataObject) -> None:
    """An item of generated content is stored at 409,600 bytes as we count them, not at one more."""
    user = store.user(new_user_id())
    record = data.draw(strategies.records(user_id=user.user_id))
    record.extra_attributes["padding"] = ""
    user.put(record)
    left = MAX_ITEM_SIZE - item_size(record.item)
    record.extra_attributes["padding"] = "x" * left
    user.put(record)
    assert item_size(record.item) == MAX_ITEM_SIZE
    record.extra_attributes["padding"] += "x"
    with pytest.raises(ItemTooLargeError):
        user.put(record)
    item = record.item
    item["padding"]["S"] += "x"
    with pytest.raises(ClientError, match="size"):
        table.put(item)
