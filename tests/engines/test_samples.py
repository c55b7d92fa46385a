"""Every sample, from the web application and from other programs, reads as said and survives."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from places import DATA
from stored import but_stamp, touch

from thrivecalc_models import CorruptItemError, UnknownRecord, UserRecord, read_item
from thrivecalc_models.testing import SimulatedTable, simulated_store


def lines(name):
    text = (DATA / name).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


RECORDS = [line["Item"] for line in lines("records.jsonl")]
ODD = {line["Item"]["recordKey"]["S"]: line for line in lines("odd-items.jsonl")}
ODD_IDS = [f"{key} {line['why']}" for key, line in ODD.items()]


def filled(items):
    table = SimulatedTable()
    for item in items:
        table.put(item)
    return table, simulated_store(table)


def users(items):
    return sorted({item["userId"]["S"] for item in items})


def test_every_record_is_read():
    """All 331 records of 7 users are listed, each in its class, none with a problem."""
    _, store = filled(RECORDS)
    found = [
        record
        for user_id in users(RECORDS)
        for record in store.user(user_id).list_all(include_expired=True)
    ]
    assert len(found) == len(RECORDS) == 331
    assert len(users(RECORDS)) == 7
    for record in found:
        own = UserRecord.data_type.class_of(record.data_type)
        assert type(record) is (own or UnknownRecord)
        assert record.problems == []
        assert record.data is not None
        assert record.created_at <= record.updated_at


def test_every_record_survives():
    """Each record of the samples is put back as it was, but for updatedAt, and then not sent."""
    table, store = filled(RECORDS)
    for user_id in users(RECORDS):
        with store.user(user_id).unit_of_work(include_expired=True) as work:
            for record in work.list_all():
                touch(record)
            assert not work.plan().requests
            for record in work.list_all():
                work.put(record)
    for item in RECORDS:
        after = table.get(item["userId"]["S"], item["recordKey"]["S"])
        assert but_stamp(after) == but_stamp(item)
        assert after["updatedAt"]["S"] > item["updatedAt"]["S"]


def test_the_guides_two_records():
    """The two records of the guide read as it shows them."""
    _, store = filled(RECORDS)
    user = store.user("google-oauth2|123456789")
    goal = user.get("savings-goal", "550e8400-e29b-41d4-a716-446655440000")
    holding = user.get("portfolio-holding", "abc123")
    assert goal.data.name == "Emergency Fund"
    assert goal.data.target_amount == Decimal(20000)
    assert goal.data.target_date == date(2025, 12, 31)
    assert goal.updated_at == datetime(2025, 1, 7, 12, 30, tzinfo=UTC)
    assert holding.data.symbol == "VTI"
    assert holding.data.shares == Decimal(100)


@pytest.mark.parametrize("line", ODD.values(), ids=ODD_IDS)
def test_odd_items_read_as_their_row_says(line):
    """Each odd item is readable, unknown or malformed, as its row says."""
    record = read_item(line["Item"])
    if line["reads_as"] == "malformed":
        assert record.malformed
        with pytest.raises(CorruptItemError):
            record.data  # noqa: B018
    else:
        assert not record.malformed
        assert record.data is not None
        assert isinstance(record, UnknownRecord) == (line["reads_as"] == "unknown")
    assert record.item == line["Item"]


@pytest.mark.parametrize("line", ODD.values(), ids=ODD_IDS)
def test_odd_items_survive(line):
    """No odd item is changed by reading and writing back; a malformed one cannot be written."""
    item = line["Item"]
    table, store = filled([item])
    user = store.user(item["userId"]["S"])
    (record,) = user.list_all(include_expired=True)
    if line["reads_as"] == "malformed":
        with pytest.raises(CorruptItemError):
            user.put(record)
    else:
        touch(record)
        user.update(record)
        assert table.sent() == 1
        user.put(record)
    after = table.get(item["userId"]["S"], item["recordKey"]["S"])
    assert but_stamp(after) == but_stamp(item)


def test_odd_items_break_no_list():
    """All odd items are listed together, but for those that the index does not have."""
    items = [line["Item"] for line in ODD.values()]
    _, store = filled(items)
    user = store.user(users(items)[0])
    assert len(user.list_all(include_expired=True)) == len(items)
    assert {r.record_key for r in user.list_all()} == ODD.keys() - {"savings-goal#m22"}
    indexed = [item for item in items if item.get("dataType") == {"S": "savings-goal"}]
    assert len(user.list("savings-goal", include_expired=True)) == len(indexed)
    with user.unit_of_work(include_expired=True) as work:
        assert len(work.list_all()) == len(items)


def test_what_odd_items_say():
    """The odd values read as design says: as written, rounded up, or None with a problem."""
    records = {key.split("#")[-1]: read_item(line["Item"]) for key, line in ODD.items()}
    assert records["m13"].data.target_amount == Decimal("12345678901234567890.123456789012345678")
    assert records["m14"].data.target_date is None
    assert records["m15"].ttl is None
    assert records["m15"].problems
    assert records["m16"].ttl == datetime(2030, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert records["m17"].ttl is None
    assert records["m18"].updated_at == datetime(2025, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)
    assert records["m18"].created_at == datetime(2025, 1, 1, tzinfo=UTC)
    assert records["m19"].updated_at is None
    assert records["m20"].data.target_date == date(2025, 12, 31)
    assert read_item(ODD["savings-goal#a#b"]["Item"]).record_id == "a#b"
    assert records["m12"].extra_data["legacy"]["a"] == [None, False, Decimal("1E-7"), ""]
    assert records["m12"].extra_data["tags"] == {"a"}
    assert records["m12"].extra_attributes == {"source": "import", "flags": {1, 2}}
    assert records["m11"].data["bin"] == b"\x00\x01\x02"


def test_problems_show_no_values():
    """What is odd is told without showing what is stored."""
    for line in ODD.values():
        told = " ".join(read_item(line["Item"]).problems)
        for value in ("soon", "1893456000", "555000111222333444", '"x"', "12345678901234567890"):
            assert value not in told
