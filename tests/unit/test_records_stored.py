"""A record of a reply is read from the bytes of its item, and says what one of the dict says."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import DATA
from printed import RECORDS

from thrivecalc_models import (
    DataStore,
    PayloadAttribute,
    SavingsGoal,
    SavingsGoalData,
    UserRecord,
    payload,
    read_item,
)
from thrivecalc_models.codec import is_regular
from thrivecalc_models.errors import CorruptItemError
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own
from thrivecalc_models.transport import Transport
from thrivecalc_models.wire import is_item

GOAL = next(item for item in RECORDS if item["dataType"]["S"] == "savings-goal")
ODD = [
    msgspec.json.decode(line)["Item"]
    for line in (DATA / "odd-items.jsonl").read_bytes().splitlines()
]


def told(record: UserRecord) -> list[Any]:
    """What a record says, each member asked for in turn."""
    found: list[Any] = [record.record_key, record.data_type, record.user_id, record.record_id]
    for name in ("created_at", "updated_at", "ttl", "problems", "malformed", "version", "item"):
        found.append(getattr(record, name))
    for name in ("data", "extra_data", "extra_attributes"):
        try:
            found.append(getattr(record, name))
        except CorruptItemError as error:
            found.append((error.path, str(error)))
    return found


class Canned(Transport):
    """A transport that answers each Query with one page of one item, and each GetItem with it."""

    name = "canned"

    def __init__(self, item: Any) -> None:
        self._page = {"Items": [item], "Count": 1, "ConsumedCapacity": {"CapacityUnits": 1}}
        self._one = {"Item": item, "ConsumedCapacity": {"CapacityUnits": 1}}

    def send(self, operation: str, body: bytes) -> bytes:
        assert operation in ("Query", "GetItem")
        return msgspec.json.encode(self._page if operation == "Query" else self._one)


def listed(item: Any) -> UserRecord:
    """The record of an item as a list gives it."""
    with DataStore(transport=Canned(item), region="us-east-1") as store:
        (record,) = store.user(item["userId"]["S"]).list_all(include_expired=True)
    return record


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(own.stored_items())
def test_both_ways_say_the_same(item):
    """Whatever is stored, a record read from bytes says what one that was read from a dict says."""
    assert is_item(item)
    assert told(listed(item)) == told(read_item(item))


@pytest.mark.parametrize("item", [*RECORDS, *ODD], ids=lambda item: item["recordKey"]["S"])
def test_every_sample_says_the_same(item):
    """The same holds for what the web application wrote, and for what is odd on purpose."""
    assert told(listed(item)) == told(read_item(item))


@pytest.mark.parametrize("form", [{"N": "٣"}, {"N": "1_0"}, {"S": "x"}, {"L": [{"N": "abc"}]}])
def test_what_is_undeclared_is_looked_at(form):
    """An undeclared number that is none makes the record malformed, as of a dict."""
    item = next(item for item in RECORDS if item["dataType"]["S"] == "savings-goal")
    item = item | {"data": {"M": item["data"]["M"] | {"undeclared": form}}}
    assert told(listed(item)) == told(UserRecord.from_item(item))


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(own.stored_items(), st.permutations(range(14)))
def test_the_order_of_asking_changes_nothing(item, order):
    """Whatever of a record is asked for first, it says the same afterwards."""
    record, plain = listed(item), read_item(item)
    names = ["created_at", "ttl", "problems", "malformed", "version", "item", "updated_at"]
    for index in order:
        if index < len(names):
            assert getattr(record, names[index]) == getattr(plain, names[index])
    assert told(record) == told(plain)


@pytest.mark.filterwarnings("ignore:.*is defined again")
def test_a_class_that_is_defined_again_is_the_one_that_counts():
    """What is regular is asked of the class that is registered now."""

    def define(payload_class: type) -> None:
        class Again(UserRecord, discriminator="x-again"):
            data = PayloadAttribute(payload_class)

    @payload
    class OneData:
        one: str

    @payload
    class TwoData:
        two: str

    define(OneData)
    assert is_regular("x-again", b'{"M":{"one":{"S":"a"}}}')

    define(TwoData)
    assert not is_regular("x-again", b'{"M":{"one":{"S":"a"}}}')
    assert is_regular("x-again", b'{"M":{"two":{"S":"a"}}}')


def goals(count: int) -> Any:
    user = simulated_store(SimulatedTable()).user("google-oauth2|1")
    with user.unit_of_work() as work:
        for number in range(count):
            work.put(
                SavingsGoalData(name=f"Goal {number}", target_amount=number, current_amount="0.5"),
                record_id=f"g{number}",
            )
    return user


def test_a_listed_record_is_small():
    """A record that nobody has looked into takes little more than the bytes of its item."""
    user = goals(1_000)
    (one,) = user.list(SavingsGoal)[:1]
    size = len(msgspec.json.encode(one.item))
    gc.collect()
    tracemalloc.start()
    try:
        records = user.list(SavingsGoal)
        kept = tracemalloc.get_traced_memory()[0] / len(records)
    finally:
        tracemalloc.stop()
    assert kept < size + 700


def test_one_record_does_not_keep_its_page():
    """What is kept of a page is the records that are kept, not its other items."""
    user = goals(1_000)
    gc.collect()
    tracemalloc.start()
    try:
        (kept,) = user.list(SavingsGoal)[-1:]
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 20_000
        assert kept.data.current_amount * 2 == 1
    finally:
        tracemalloc.stop()


def test_an_item_is_not_followed_by_the_collector():
    """The bytes of an item are one object, in which the garbage collector has nothing to do."""
    user = goals(1_000)
    user.list(SavingsGoal)
    gc.collect()
    before = len(gc.get_objects())
    records = user.list(SavingsGoal)
    assert (len(gc.get_objects()) - before) / len(records) <= 6


@pytest.mark.parametrize("kind", ["regular", "odd"])
def test_bytes_of_another_user_are_refused(kind):
    """An item of another user in a reply is no record of this one, however it is read."""
    item = GOAL if kind == "regular" else GOAL | {"undeclared": {"S": "x"}}
    with (
        DataStore(transport=Canned(item), region="us-east-1") as store,
        pytest.raises(CorruptItemError) as caught,
    ):
        store.user("google-oauth2|somebody-else").list(SavingsGoal)
    assert caught.value.item is None


def test_bytes_of_another_record_are_refused():
    """An item under another key than was asked for is not the record that was asked for."""
    with DataStore(transport=Canned(GOAL), region="us-east-1") as store:
        user = store.user(GOAL["userId"]["S"])
        assert user.get(SavingsGoal, GOAL["recordId"]["S"]) is not None
        with pytest.raises(CorruptItemError):
            user.get(SavingsGoal, "another")
