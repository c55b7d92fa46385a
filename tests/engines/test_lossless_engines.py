"""Reading and writing back on every engine changes nothing: samples, odd and generated items."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import (
    COUNTER,
    IN_FEWER_EXAMPLES,
    ODD,
    RECORDS,
    Table,
    comparable,
    goal,
    ids,
    new_user_id,
    stored_goal,
    without,
)

from thrivecalc_models import (
    CorruptItemError,
    DataStore,
    UnknownRecord,
)
from thrivecalc_models.testing import strategies


@pytest.mark.parametrize("row", ODD, ids=[row["why"] for row in ODD])
def test_odd_items(user: Any, table: Table, row: dict[str, Any]) -> None:
    """An odd item reads as its row says, breaks no list, and is changed by no reading and writing
    back but for its stamp."""
    item = row["Item"] | {"userId": {"S": user.user_id}}
    table.put(item, stored_goal(user.user_id, "plain"))
    before = table.items(user.user_id)
    everything = user.list_all(include_expired=True)
    assert len(everything) == 2
    (record,) = (r for r in everything if r.record_id != "plain")
    assert record.malformed == (row["reads_as"] == "malformed")
    assert isinstance(record, UnknownRecord) == (row["reads_as"] == "unknown")
    if record.malformed:
        record.extra_attributes["mended"] = True
        for touch in (
            lambda: record.data,
            lambda: setattr(record, "data", goal()),
            lambda: user.update(record),
            lambda: user.put(record),
        ):
            with pytest.raises(CorruptItemError) as caught:
                touch()
            assert caught.value.record_key == record.record_key
        assert table.items(user.user_id) == before
    else:
        user.update(record)
        assert table.items(user.user_id) == before
        user.put(record)
        after = table.items(user.user_id)
        assert without(after[record.record_key], "updatedAt") == without(
            before[record.record_key], "updatedAt"
        )
    user.delete(record)
    assert ids(user.list_all()) == ["plain"]


def test_the_samples(store: DataStore, table: Table) -> None:
    """Every record that TypeScript wrote is read and listed under its type, and changed by no
    reading and writing back but for its stamp."""
    mark = f"sample {next(COUNTER)}|"
    owners = defaultdict(list)
    for item in RECORDS:
        owners[item["userId"]["S"]].append(item | {"userId": {"S": mark + item["userId"]["S"]}})
    for owner, items in owners.items():
        user = store.user(mark + owner)
        table.put(*items)
        before = table.items(user.user_id)
        assert len(before) == len(items)
        with user.unit_of_work(include_expired=True) as work:
            records = work.list_all()
            assert [record for record in records if record.malformed or record.problems] == []
            assert {r.record_key: comparable({"M": r.item})["M"] for r in records} == before
            assert work.commit().requests == 0
            for record in records:
                work.put(record)
            assert len(work.commit().applied) == len(items)
        after = table.items(user.user_id)
        assert after.keys() == before.keys()
        for key, item in before.items():
            assert without(after[key], "updatedAt") == without(item, "updatedAt")
        for data_type in {record.data_type for record in records}:
            expected = [record.record_id for record in records if record.data_type == data_type]
            assert ids(user.list(data_type, include_expired=True)) == expected


@given(data=st.data())
@IN_FEWER_EXAMPLES
def test_writing_back(store: DataStore, table: Table, data: st.DataObject) -> None:
    """Reading any item that the table can hold and writing it back changes nothing but its
    stamp; without a change nothing is written at all."""
    user = store.user(new_user_id())
    item = data.draw(
        strategies.stored_items(user_id=user.user_id) | strategies.odd_items(user_id=user.user_id)
    )
    if not is_indexable(item):
        return
    table.put(item)
    before = table.items(user.user_id)
    (record,) = user.list_all(include_expired=True)
    assert comparable({"M": record.item})["M"] == before[record.record_key]
    if record.malformed:
        with pytest.raises(CorruptItemError):
            user.put(record)
        user.delete(record)
        assert table.items(user.user_id) == {}
        return
    user.update(record)
    assert table.items(user.user_id) == before
    user.put(record)
    (after,) = table.items(user.user_id).values()
    assert without(after, "updatedAt") == without(before[record.record_key], "updatedAt")


def is_indexable(item: dict[str, Any]) -> bool:
    """Whether the service takes it at all: `dataType` is a key of the index."""
    form = item.get("dataType", {"S": "x"})
    return bool(form.get("S"))
