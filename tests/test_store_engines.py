"""Every call of a store, of the data-store functions and of a unit of work, on every engine."""

from __future__ import annotations

import enum
import itertools
import json
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proxy import FaultyProxy

from thrivecalc_models import (
    Budget,
    BudgetData,
    CommitError,
    ConflictError,
    CorruptItemError,
    DataStore,
    InvalidKeyError,
    IsolationError,
    ItemTooLargeError,
    PortfolioHoldingData,
    Profile,
    ProfileData,
    RecordExistsError,
    RecordNotFoundError,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    TransactionData,
    UnknownRecord,
    UserRecord,
    data_store,
)
from thrivecalc_models.testing import strategies
from thrivecalc_models.wire import MAX_ITEM_SIZE, item_size

DATA = Path(__file__).parent / "data"
EXAMPLES = min(settings.default.max_examples // 5, 40)
COUNTER = itertools.count()
IN_FEWER_EXAMPLES = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck)
)
HOUR = timedelta(hours=1)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


RECORDS = [row["Item"] for row in rows("records.jsonl")]
ODD = rows("odd-items.jsonl")


@pytest.fixture(scope="module")
def proxy(engine: Any) -> Iterator[FaultyProxy]:
    """Between store and engine, where it counts the requests."""
    with FaultyProxy(engine.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def store(engine: Any, proxy: FaultyProxy) -> Iterator[DataStore]:
    with DataStore(
        endpoint=proxy.endpoint, region=engine.region, table_name="store-engines"
    ) as store:
        store.create_table()
        yield store


@pytest.fixture
def user(store: DataStore, proxy: FaultyProxy) -> Any:
    """A user of whom nothing is stored; no request is counted yet."""
    proxy.schedule = None
    return store.user(new_user_id())


class Table:
    """The items of the table, past the library's reading and writing of them."""

    def __init__(self, engine: Any, name: str) -> None:
        self.name = name
        self._client = engine.client()
        self._client.meta.events.register("before-parse.dynamodb", self._keep)
        self._raw: Any = None

    def _keep(self, response_dict: Any, **_: Any) -> None:
        self._raw = json.loads(response_dict["body"])

    def put(self, *items: dict[str, Any]) -> None:
        raw = [with_raw_bytes({"M": item})["M"] for item in items]
        for start in range(0, len(raw), 25):
            writes = [{"PutRequest": {"Item": item}} for item in raw[start : start + 25]]
            reply = self._client.batch_write_item(RequestItems={self.name: writes})
            assert not reply["UnprocessedItems"]

    def items(self, user_id: str) -> dict[str, Any]:
        """A user's items by record key, in a form in which equal items are equal."""
        found = {}
        start: dict[str, Any] = {}
        while True:
            self._client.query(
                TableName=self.name,
                ConsistentRead=True,
                KeyConditionExpression="userId = :u",
                ExpressionAttributeValues={":u": {"S": user_id}},
                **start,
            )
            for item in self._raw["Items"]:
                found[item["recordKey"]["S"]] = comparable({"M": item})["M"]
            if "LastEvaluatedKey" not in self._raw:
                return found
            start = {"ExclusiveStartKey": self._raw["LastEvaluatedKey"]}

    def close(self) -> None:
        self._client.close()


def with_raw_bytes(value: Any) -> Any:
    """A value as botocore takes it, which makes base64 of bytes itself."""
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {"B": b64decode(content)}
        case "BS":
            return {"BS": [b64decode(member) for member in content]}
        case "M":
            return {"M": {name: with_raw_bytes(member) for name, member in content.items()}}
        case "L":
            return {"L": [with_raw_bytes(member) for member in content]}
    return value


def comparable(value: Any) -> Any:
    """Sets have no order, and a number may be spelled in more than one way."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return {"N": Decimal(content)}
        case "NS":
            return {"NS": {Decimal(member) for member in content}}
        case "SS" | "BS":
            return {kind: set(content)}
        case "M":
            return {"M": {name: comparable(member) for name, member in content.items()}}
        case "L":
            return {"L": [comparable(member) for member in content]}
    return value


def without(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: form for name, form in item.items() if name not in names}


@pytest.fixture(scope="module")
def table(engine: Any, store: DataStore) -> Iterator[Table]:
    table = Table(engine, store.table_name)
    yield table
    table.close()


def new_user_id() -> str:
    return f"google-oauth2|{next(COUNTER):012}"


def goal(name: str = "Car", target: Any = 1000, **fields: Any) -> SavingsGoalData:
    return SavingsGoalData(name=name, target_amount=target, **fields)


def ids(records: Any) -> list[str]:
    return [record.record_id for record in records]


# One record


def test_add_and_get(user: Any) -> None:
    """What is added is read back equal, under a fresh id, with its stamps, by class or by type."""
    added = user.add(goal(current_amount="12.5", target_date=date(2030, 1, 7)))
    assert isinstance(added, SavingsGoal)
    for found in (
        user.get(SavingsGoal, added.record_id),
        user.get("savings-goal", added.record_id, consistent=True),
    ):
        assert type(found) is SavingsGoal
        assert found.data == added.data
        assert found.data.current_amount == Decimal("12.5")
        assert found.created_at == found.updated_at == added.updated_at
        assert found.version == added.version
        assert found.user_id == user.user_id
        assert found.record_key == f"savings-goal#{added.record_id}"
    assert user.get(Budget, added.record_id) is None
    assert user.get(SavingsGoal, "another") is None


def test_add_of_a_mapping(user: Any, table: Table) -> None:
    """A camelCase mapping is stored as given, undeclared keys, NULL and absence included."""
    given = {"name": "Car", "targetAmount": 5, "targetDate": None, "colour": {"hex": ["#fff"]}}
    added = user.add("savings-goal", given, record_id="a#b")
    (item,) = table.items(user.user_id).values()
    assert item["data"] == comparable(
        {
            "M": {
                "name": {"S": "Car"},
                "targetAmount": {"N": "5"},
                "targetDate": {"NULL": True},
                "colour": {"M": {"hex": {"L": [{"S": "#fff"}]}}},
            }
        }
    )
    assert item["recordKey"] == {"S": "savings-goal#a#b"}
    found = user.get(SavingsGoal, "a#b")
    assert found.extra_data == {"colour": {"hex": ["#fff"]}}
    assert found.data == added.data
    unknown = user.add("net-worth-snapshot", {"assets": 7})
    assert isinstance(user.get("net-worth-snapshot", unknown.record_id), UnknownRecord)


def test_a_taken_id(user: Any) -> None:
    """A record id can be taken once: the second add changes nothing and shows what is there."""
    user.add(goal("First"), record_id="one")
    with pytest.raises(RecordExistsError) as caught:
        user.add(goal("Second"), record_id="one")
    assert caught.value.outcome == "not applied"
    assert caught.value.stored.data.name == "First"
    assert user.get(SavingsGoal, "one").data.name == "First"
    user.add(BudgetData(name="Food", period="monthly"), record_id="one")


def test_update(user: Any, table: Table) -> None:
    """An update writes what changed and moves the stamp forward; nothing changed is no request."""
    added = user.add(goal(), record_id="one")
    before = table.items(user.user_id)[added.record_key]
    assert user.update(added) is added
    assert table.items(user.user_id)[added.record_key] == before
    added.data.current_amount += 500
    user.update(added)
    after = table.items(user.user_id)[added.record_key]
    assert after["data"]["M"] == before["data"]["M"] | {"currentAmount": {"N": Decimal(500)}}
    assert after["updatedAt"]["S"] > before["updatedAt"]["S"]
    assert without(after, "data", "updatedAt") == without(before, "data", "updatedAt")
    added.data.target_date = date(2031, 2, 3)
    user.update(added)
    added.data.target_date = None
    user.update(added)
    assert "targetDate" not in table.items(user.user_id)[added.record_key]["data"]["M"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_conflict(user: Any, gone: bool) -> None:
    """An update of what somebody changed or deleted is refused and shows what is there now."""
    user.add(goal(), record_id="one")
    mine, theirs = user.get(SavingsGoal, "one"), user.get(SavingsGoal, "one")
    if gone:
        user.delete(SavingsGoal, "one")
    else:
        theirs.data.name = "Boat"
        user.update(theirs)
    mine.data.current_amount = 1
    with pytest.raises(ConflictError) as caught:
        user.update(mine)
    assert caught.value.outcome == "not applied"
    assert caught.value.record is mine
    assert caught.value.record_key == "savings-goal#one"
    if gone:
        assert caught.value.stored is None
        assert user.get(SavingsGoal, "one") is None
    else:
        assert caught.value.stored.data.name == "Boat"
        assert user.get(SavingsGoal, "one").data.current_amount == 0


def test_a_conflict_under_an_old_stamp(user: Any, table: Table) -> None:
    """A writer whose clock made the very stamp that was read is noticed by the field it changed."""
    added = user.add(goal(), record_id="one")
    stored = added.item
    stored["data"]["M"]["currentAmount"] = {"N": "7"}
    table.put(stored)
    added.data.current_amount = 1
    with pytest.raises(ConflictError) as caught:
        user.update(added)
    assert caught.value.stored.data.current_amount == 7


def test_replace_data(user: Any, table: Table) -> None:
    """All of `data` is replaced, the rest of the item stays; a record must be there."""
    table.put(stored_goal(user.user_id, "one", colour={"S": "red"}))
    record = user.replace_data("savings-goal", "one", {"name": "New", "targetAmount": 2})
    assert record.data == goal("New", 2)
    (item,) = table.items(user.user_id).values()
    assert item["data"] == comparable({"M": {"name": {"S": "New"}, "targetAmount": {"N": "2"}}})
    assert item["colour"] == {"S": "red"}
    with pytest.raises(RecordNotFoundError):
        user.replace_data(SavingsGoal, "two", {"name": "New", "targetAmount": 2})
    assert len(table.items(user.user_id)) == 1


def test_put(user: Any) -> None:
    """A put creates or replaces the whole item, whoever wrote it last."""
    user.put(goal("First"), record_id="one")
    stale = user.get(SavingsGoal, "one")
    user.put(goal("Second"), record_id="one")
    assert user.get(SavingsGoal, "one").data.name == "Second"
    stale.data.name = "Third"
    user.put(stale)
    assert user.get(SavingsGoal, "one").data.name == "Third"


def test_text_of_an_own_class(store: DataStore) -> None:
    """User ids, record ids and texts that are members of a string enum are text like any other."""

    class Word(enum.StrEnum):
        ONE = "one"

    user = store.user(Word.ONE)
    user.put(BudgetData(name=Word.ONE, period=Word.ONE), record_id=Word.ONE)
    stored = store.user("one").get(Budget, "one")
    assert stored.data == BudgetData(name="one", period="one")


def test_delete(user: Any) -> None:
    """A key is deleted whatever is there; a loaded record only if unchanged, and gone is fine."""
    user.add(goal(), record_id="one")
    stale, fresh = user.get(SavingsGoal, "one"), user.get(SavingsGoal, "one")
    fresh.data.name = "Boat"
    user.update(fresh)
    with pytest.raises(ConflictError) as caught:
        user.delete(stale)
    assert caught.value.stored.data.name == "Boat"
    user.delete(fresh)
    user.delete(fresh)
    assert user.get(SavingsGoal, "one") is None
    user.delete(SavingsGoal, "one")
    user.delete("savings-goal", "never")
    user.add(goal(), record_id="two")
    user.delete("savings-goal", "two")
    assert user.list_all() == []


def stored_goal(user_id: str, record_id: str, **attributes: Any) -> dict[str, Any]:
    """A savings goal as TypeScript stores it."""
    return {
        "userId": {"S": user_id},
        "recordKey": {"S": f"savings-goal#{record_id}"},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": record_id},
        "data": {"M": {"name": {"S": "Stored"}, "targetAmount": {"N": "1"}}},
        "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
        "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
        **attributes,
    }


# Many records


def test_get_many(user: Any) -> None:
    """The answer is as long as the question and in its order, with None where nothing is."""
    with user.unit_of_work() as work:
        for number in range(120):
            work.put(goal(target=number), record_id=str(number))
        work.put(BudgetData(name="Food", period="monthly"), record_id="food")
    wanted = [(SavingsGoal, str(number)) for number in reversed(range(125))]
    found = user.get_many([*wanted, ("budget", "food"), wanted[-1]])
    assert len(found) == 127
    assert found[:5] == [None] * 5
    assert [record.data.target_amount for record in found[5:125]] == list(reversed(range(120)))
    assert isinstance(found[125], Budget)
    assert found[126] is found[124]
    assert user.get_many([]) == []


RECORD_IDS = ["é", "a", "Z", "😀", "a#b", "10", "2", "￿"]


@pytest.fixture
def filled(user: Any) -> Any:
    """A user with goals, a budget and an unknown record."""
    with user.unit_of_work() as work:
        for number, record_id in enumerate(RECORD_IDS):
            work.put(goal(target=number), record_id=record_id)
        work.put(BudgetData(name="Food", period="monthly"), record_id="food")
        work.put("savings-goal-of-a-former-version", {"x": 1}, record_id="1")
    return user


@pytest.mark.parametrize("consistent", [False, True])
def test_list(filled: Any, consistent: bool) -> None:
    """A list has the records of its type only, in the order of their keys' UTF-8 bytes."""
    goals = filled.list(SavingsGoal, consistent=consistent)
    assert ids(goals) == sorted(RECORD_IDS, key=str.encode)
    assert ids(filled.list("savings-goal", consistent=consistent)) == ids(goals)
    assert ids(filled.list("savings-goal-of-a-former-version", consistent=consistent)) == ["1"]
    assert filled.list(Profile, consistent=consistent) == []
    everything = filled.list_all(consistent=consistent)
    assert ids(everything) == ["food", *ids(goals), "1"]


def test_orders(user: Any, table: Table) -> None:
    """Lists go by either stamp, in either direction."""
    for number, (created, updated) in enumerate([(3, 4), (1, 6), (2, 5)]):
        stamps = {
            "createdAt": {"S": f"2025-01-0{created}T00:00:00.000Z"},
            "updatedAt": {"S": f"2025-01-0{updated}T00:00:00.000Z"},
        }
        table.put(stored_goal(user.user_id, str(number), **stamps))
    assert ids(user.list(SavingsGoal, order_by="created_at")) == ["1", "2", "0"]
    assert ids(user.list(SavingsGoal, order_by="-created_at")) == ["0", "2", "1"]
    assert ids(user.list_all(order_by="updated_at")) == ["0", "2", "1"]
    assert ids(user.list_all(order_by="-updated_at")) == ["1", "2", "0"]


@pytest.mark.parametrize("consistent", [False, True])
def test_iterate(filled: Any, consistent: bool) -> None:
    """Iterating gives what the list has."""
    assert sorted(ids(filled.iterate(SavingsGoal, consistent=consistent))) == sorted(RECORD_IDS)
    assert len(list(filled.iterate(consistent=consistent))) == len(RECORD_IDS) + 2


@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("data_type", [SavingsGoal, None])
@pytest.mark.parametrize("limit", [1, 3, 8, 50])
def test_pages_are_the_list(filled: Any, data_type: Any, limit: int, consistent: bool) -> None:
    """Pages of any size, put together, are the list: nothing twice and nothing left out."""
    found: list[UserRecord] = []
    cursor = None
    while True:
        page = filled.page(data_type, limit=limit, cursor=cursor, consistent=consistent)
        assert len(page.records) <= limit
        found += page.records
        cursor = page.cursor
        if cursor is None:
            break
    listed = filled.list(data_type) if data_type else filled.list_all()
    assert sorted(record.record_key for record in found) == [r.record_key for r in listed]


def test_cursors_are_bound(filled: Any, store: DataStore) -> None:
    """A cursor goes on for its own user and query only."""
    cursor = filled.page(SavingsGoal, limit=2).cursor
    assert cursor is not None
    with pytest.raises(IsolationError):
        store.user(new_user_id()).page(SavingsGoal, limit=2, cursor=cursor)
    for other in ({"data_type": Budget}, {"data_type": None}, {"consistent": True}):
        with pytest.raises(InvalidKeyError):
            filled.page(**{"data_type": SavingsGoal, "cursor": cursor, **other})
    with pytest.raises(InvalidKeyError):
        filled.page(SavingsGoal, cursor="rubbish")


def test_a_list_longer_than_a_page(user: Any) -> None:
    """A list of several MB is whole, and comes page by page when iterated."""
    with user.unit_of_work() as work:
        for number in range(9):
            work.put(goal("x" * 380_000, target=number), record_id=str(number))
    for consistent in (False, True):
        goals = user.list(SavingsGoal, consistent=consistent)
        assert [record.data.target_amount for record in goals] == list(range(9))
    assert len(list(user.iterate(SavingsGoal))) == 9
    found = user.get_many([(SavingsGoal, str(number)) for number in range(9)])
    assert [record.data.target_amount for record in found] == list(range(9))


def test_users_are_apart(store: DataStore) -> None:
    """What one user has no other sees, lists or deletes, whatever the ids have in common."""
    one_id = new_user_id()
    one, other = store.user(one_id), store.user(one_id + "0")
    mine = one.add(goal("Mine"), record_id="same")
    other.add(goal("Theirs"), record_id="same")
    assert one.get(SavingsGoal, "same").data.name == "Mine"
    assert [record.data.name for record in one.list_all()] == ["Mine"]
    for call in (other.update, other.delete, other.put, other.add):
        with pytest.raises(IsolationError):
            call(mine)
    one.delete_all()
    assert [record.data.name for record in other.list_all()] == ["Theirs"]


def test_expired_records(user: Any, table: Table) -> None:
    """An expired record is absent unless asked for, and its key is still taken."""
    past = datetime.now(UTC) - HOUR
    user.add(goal("Old"), record_id="old", ttl=past)
    user.add(goal("New"), record_id="new", ttl=past + 2 * HOUR)
    assert table.items(user.user_id)["savings-goal#old"]["ttl"]["N"] >= int(past.timestamp())
    keys = [(SavingsGoal, "new"), (SavingsGoal, "old")]
    for shown, include in ((["new"], False), (["new", "old"], True)):
        asked = {"include_expired": include}
        assert ids(user.list(SavingsGoal, **asked)) == shown
        assert ids(user.list_all(consistent=True, **asked)) == shown
        assert sorted(ids(user.iterate(SavingsGoal, **asked))) == shown
        assert sorted(ids(user.page(SavingsGoal, **asked).records)) == shown
        assert ids(filter(None, user.get_many(keys, **asked))) == shown
        assert (user.get(SavingsGoal, "old", **asked) is not None) is include
        with user.unit_of_work(**asked) as work:
            assert ids(work.list(SavingsGoal)) == shown
            assert ids(filter(None, work.get_many(keys))) == shown
    with pytest.raises(RecordExistsError) as caught:
        user.add(goal("Again"), record_id="old")
    assert caught.value.stored.data.name == "Old"
    user.put(goal("Again"), record_id="old")
    assert user.get(SavingsGoal, "old").data.name == "Again"


def test_delete_all(user: Any, table: Table) -> None:
    """Closing an account leaves nothing: expired, unknown and malformed items go too."""
    with user.unit_of_work() as work:
        for number in range(60):
            work.add(goal(target=number))
        work.add("strange", {"x": 1})
        work.add(goal(), ttl=datetime.now(UTC) - HOUR)
    table.put(*(row["Item"] | {"userId": {"S": user.user_id}} for row in ODD))
    keys = set(table.items(user.user_id))
    result = user.delete_all()
    assert set(result.applied) == keys
    assert table.items(user.user_id) == {}
    assert user.delete_all().applied == []


def test_run(user: Any) -> None:
    """A function is run again after a conflict, with what is stored by then, and its result
    returned."""
    user.add(goal(), record_id="one")
    user.add(goal(), record_id="two")
    calls = []

    def move(work: Any) -> str:
        one, two = work.get(SavingsGoal, "one"), work.get(SavingsGoal, "two")
        if not calls:
            theirs = user.get(SavingsGoal, "one")
            theirs.data.current_amount = 40
            user.update(theirs)
        calls.append(one.data.current_amount)
        one.data.current_amount -= 10
        two.data.current_amount += 10
        return "moved"

    assert user.run(move) == "moved"
    assert calls == [0, 40]
    amounts = [record.data.current_amount for record in user.list(SavingsGoal)]
    assert amounts == [30, 10]

    def always_late(work: Any) -> None:
        one = work.get(SavingsGoal, "one")
        theirs = user.get(SavingsGoal, "one")
        theirs.data.current_amount += 1
        user.update(theirs)
        one.data.current_amount = 0

    with pytest.raises(CommitError) as caught:
        user.run(always_late, attempts=2, atomic=False)
    assert caught.value.not_applied == ["savings-goal#one"]
    assert isinstance(caught.value.causes["savings-goal#one"], ConflictError)
    assert user.get(SavingsGoal, "one").data.current_amount == 32


def test_the_functions(store: DataStore) -> None:
    """The guide's six functions do what their names say, on the store that was configured."""
    user_id = new_user_id()
    data_store.configure(store)
    try:
        record_id = data_store.save_user_data(
            user_id, "savings-goal", {"name": "Car", "targetAmount": 5, "colour": "red"}
        )
        record = data_store.get_user_data(user_id, SavingsGoal, record_id)
        assert record is not None
        assert record.data == goal(target=5)
        updated = data_store.update_user_data(user_id, SavingsGoal, record_id, goal("Boat", 6))
        assert updated.data == goal("Boat", 6)
        assert updated.extra_data == {"colour": "red"}
        data_store.update_user_data(
            user_id, "savings-goal", record_id, {"name": "Bus", "targetAmount": 7}
        )
        (listed,) = data_store.list_user_data(user_id, "savings-goal")
        assert (listed.data, listed.extra_data) == (goal("Bus", 7), {})
        budget = BudgetData(name="Food", period="monthly")
        other = data_store.save_user_data(user_id, "budget", budget)
        assert ids(data_store.list_all_user_data(user_id)) == [other, record_id]
        data_store.delete_user_data(user_id, "budget", other)
        data_store.delete_user_data(user_id, "budget", other)
        assert data_store.get_user_data(user_id, "budget", other) is None
        for data in ({"name": "x", "targetAmount": 1}, goal()):
            with pytest.raises(RecordNotFoundError):
                data_store.update_user_data(user_id, "savings-goal", "none", data)
    finally:
        data_store.configure(None)


# Units of work


def test_a_unit_of_many_kinds(user: Any, table: Table, proxy: FaultyProxy) -> None:
    """A unit with every kind of write leaves the table that was meant, in the requests planned."""
    for name in ("edited", "deleted", "dropped", "replaced"):
        user.add(goal(name), record_id=name)
    proxy.schedule = None
    with user.unit_of_work() as work:
        loaded = {record.record_id: record for record in work.list(SavingsGoal)}
        loaded["edited"].data.current_amount += 5
        work.delete(loaded["deleted"])
        work.delete(SavingsGoal, "dropped")
        work.put(goal("put"), record_id="replaced")
        added = [work.add(TransactionData(date=date(2025, 1, 7), amount=-n)) for n in range(30)]
        work.add(goal("given"), record_id="given")
        planned = [(request.operation, set(request.keys)) for request in work.plan().requests]
        assert proxy.sent() == 1  # the list; planning sends nothing
        result = work.commit()
    sent = [(operation, keys_of(request)) for operation, request in proxy.requests[1:]]
    assert sorted(sent, key=str) == sorted(planned, key=str)
    assert [operation for operation, _ in planned] == [
        "BatchWriteItem",
        "BatchWriteItem",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
    ]
    assert result.requests == len(sent)
    assert len(result.applied) == 35
    found = {record.record_id: record for record in user.list_all(consistent=True)}
    assert found.keys() == {"edited", "replaced", "given", *ids(added)}
    assert found["edited"].data.current_amount == 5
    assert found["replaced"].data.name == "put"
    assert found["edited"].version == loaded["edited"].version
    loaded["edited"].data.current_amount += 5
    user.update(loaded["edited"])  # a committed record is its own snapshot


def keys_of(request: dict[str, Any]) -> set[str]:
    """The record keys that a write is about."""
    if "RequestItems" in request:
        ((_, wanted),) = request["RequestItems"].items()
        if isinstance(wanted, dict):
            return {key["recordKey"]["S"] for key in wanted["Keys"]}
        return {key for entry in wanted for key in keys_of(next(iter(entry.values())))}
    if "TransactItems" in request:
        entries = request["TransactItems"]
        return {key for entry in entries for key in keys_of(next(iter(entry.values())))}
    return {(request.get("Item") or request["Key"])["recordKey"]["S"]}


def test_an_atomic_unit(user: Any, proxy: FaultyProxy) -> None:
    """An atomic unit is one transaction: all of it, or after a conflict nothing of it."""
    user.add(goal("one"), record_id="one")
    user.add(goal("two"), record_id="two")
    user.add(ProfileData(display_name="Ann"), record_id="me")
    work = user.unit_of_work(atomic=True)
    one, two = work.list(SavingsGoal)
    profile = work.get(Profile, "me")
    one.data.current_amount -= 5
    two.data.current_amount += 5
    work.check(profile)
    work.add(TransactionData(date=date(2025, 1, 7), amount=-5), record_id="pay-1")
    theirs = user.get(SavingsGoal, "two")
    theirs.data.name = "other"
    user.update(theirs)
    proxy.schedule = None
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert [operation for operation, _ in proxy.requests] == ["TransactWriteItems"]
    assert len(caught.value.not_applied) == 4
    assert set(caught.value.causes) == {two.record_key}
    assert caught.value.causes[two.record_key].stored.data.name == "other"
    assert user.get(Transaction, "pay-1") is None
    assert user.get(SavingsGoal, "one").data.current_amount == 0
    work.refresh(two)
    two.data.current_amount += 5
    assert len(work.commit().applied) == 4
    assert [r.data.current_amount for r in user.list(SavingsGoal)] == [-5, 5]
    assert user.get(Transaction, "pay-1") is not None


def test_a_failed_check(user: Any) -> None:
    """A checked record that changed since it was read fails the commit and is its cause."""
    user.add(goal("one"), record_id="one")
    work = user.unit_of_work(atomic=True)
    seen = work.get(SavingsGoal, "one")
    work.check(seen)
    work.add(BudgetData(name="Food", period="monthly"))
    user.put(goal("changed"), record_id="one")
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert isinstance(caught.value.causes[seen.record_key], ConflictError)
    assert user.list(Budget) == []
    work.rollback()


def test_conflicts_do_not_stop_the_rest(user: Any) -> None:
    """In a unit that is not atomic the others apply, and the account says which did not and why."""
    for name in ("one", "two", "three"):
        user.add(goal(name), record_id=name)
    user.add(goal("taken"), record_id="taken")
    work = user.unit_of_work()
    records = {record.record_id: record for record in work.list(SavingsGoal)}
    for name in ("one", "two"):
        records[name].data.current_amount = 9
    work.delete(records["three"])
    new = work.add(BudgetData(name="Food", period="monthly"), record_id="b")
    other = user.unit_of_work()
    theirs = other.get(SavingsGoal, "one")
    theirs.data.name = "changed"
    other.delete(SavingsGoal, "two")
    other.get(SavingsGoal, "three").data.name = "changed"
    other.put(BudgetData(name="Other", period="weekly"), record_id="b")
    other.commit()
    work.add(TransactionData(date=date(2025, 1, 7), amount=1), record_id="fine")
    with pytest.raises(CommitError) as caught:
        work.commit()
    error = caught.value
    assert error.applied == ["transaction#fine"]
    assert set(error.not_applied) == {
        records["one"].record_key,
        records["two"].record_key,
        records["three"].record_key,
        new.record_key,
    }
    causes = error.causes
    assert causes["savings-goal#one"].stored.data.name == "changed"
    assert causes["savings-goal#two"].stored is None
    assert causes["savings-goal#three"].stored.data.name == "changed"
    assert isinstance(causes["budget#b"], RecordExistsError)
    assert causes["budget#b"].stored.data.name == "Other"
    work.refresh(records["one"])
    records["one"].data.current_amount = 10
    for record in (records["two"], records["three"], new):
        work.expunge(record)
    assert work.commit().applied == ["savings-goal#one"]
    final = user.get(SavingsGoal, "one").data
    assert (final.name, final.current_amount) == ("changed", 10)


def test_exist_ok(user: Any) -> None:
    """With exist_ok a taken key is left as it is and named, a free one is written."""
    user.add(goal("First"), record_id="one")
    with user.unit_of_work() as work:
        work.add(goal("Second"), record_id="one", exist_ok=True)
        work.add(goal("Second"), record_id="two", exist_ok=True)
        result = work.commit()
    assert result.existing == ["savings-goal#one"]
    assert result.applied == ["savings-goal#two"]
    assert [record.data.name for record in user.list(SavingsGoal)] == ["First", "Second"]


def test_the_last_writer_wins_field_by_field(user: Any) -> None:
    """Without the lock a change is written over others', whose other fields stay; a record that is
    gone stays gone."""
    for name in ("one", "two", "three"):
        user.add(goal(name), record_id=name)
    work = user.unit_of_work(lock=False)
    one, three, two = work.list(SavingsGoal)
    one.data.current_amount = 1
    two.data.current_amount = 1
    work.delete(three)
    with user.unit_of_work() as other:
        theirs = other.get(SavingsGoal, "one")
        theirs.data.current_amount, theirs.data.name = 2, "changed"
        other.get(SavingsGoal, "three").data.name = "changed"
        other.delete(SavingsGoal, "two")
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert caught.value.not_applied == ["savings-goal#two"]
    assert caught.value.causes["savings-goal#two"].stored is None
    assert (one.data.name, one.data.current_amount) == ("changed", 1)
    (left,) = user.list(SavingsGoal)
    assert (left.data.name, left.data.current_amount) == ("changed", 1)


# Odd items


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


# Laws, in fewer examples than on the simulated table


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


@given(payload=strategies.any_payload())
@IN_FEWER_EXAMPLES
def test_payloads_survive(store: DataStore, payload: Any) -> None:
    """Every payload is read back equal from an engine."""
    user = store.user(new_user_id())
    added = user.add(payload)
    found = user.get(type(added), added.record_id, include_expired=True)
    assert found.data == payload


@given(
    sizes=st.lists(st.sampled_from([10, 1000, 200_000]), max_size=9),
    limit=st.integers(1, 10),
    consistent=st.booleans(),
    hidden=st.sets(st.integers(0, 8)),
)
@IN_FEWER_EXAMPLES
def test_any_pages_are_the_list(
    store: DataStore, sizes: list[int], limit: int, consistent: bool, hidden: set[int]
) -> None:
    """Pages put together are the list, whatever their size and however many of them are empty."""
    user = store.user(new_user_id())
    past = datetime.now(UTC) - HOUR
    with user.unit_of_work() as work:
        for number, size in enumerate(sizes):
            ttl = past if number in hidden else None
            work.put(goal("x" * size), record_id=str(number), ttl=ttl)
    found: list[str] = []
    cursor = None
    while True:
        page = user.page(SavingsGoal, limit=limit, cursor=cursor, consistent=consistent)
        found += ids(page.records)
        cursor = page.cursor
        if cursor is None:
            break
    expected = [str(number) for number in range(len(sizes)) if number not in hidden]
    assert sorted(found) == expected
    assert ids(user.list(SavingsGoal, consistent=consistent)) == expected


KEYS = st.sampled_from(["a", "b", "c", "d", "e"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "add given", "put", "edit", "delete", "delete loaded", "check", "edit deep"]
        ),
        KEYS,
        st.integers(1, 99),
    ),
    max_size=12,
)


@given(
    there=st.sets(KEYS), steps=STEPS, atomic=st.booleans(), lock=st.booleans(), many=st.booleans()
)
@IN_FEWER_EXAMPLES
def test_a_commit_leaves_what_was_meant(
    store: DataStore, there: set[str], steps: Any, atomic: bool, lock: bool, many: bool
) -> None:
    """After a commit the table has what the unit showed before it, and nothing else has changed."""
    user = store.user(new_user_id())
    with user.unit_of_work() as first:
        for name in there:
            first.put(BudgetData(name=name, period="monthly", limits={"food": 1}), record_id=name)
    work = user.unit_of_work(atomic=atomic, lock=lock)
    for step, name, number in steps:
        data = BudgetData(name=name, period=str(number))
        loaded = work.get(Budget, name)
        # What the design refuses at the call is refused here too, and leaves the unit as it was.
        with suppress(RecordExistsError, RuntimeError):
            match step:
                case "add":
                    work.add(data)
                case "add given":
                    if loaded is None and name not in there:
                        work.add(data, record_id=name)
                case "put":
                    if loaded is None:
                        work.put(data, record_id=name)
                    else:
                        loaded.data.period = str(number)
                        work.put(loaded)
                case "delete":
                    work.delete(Budget, name)
        if loaded is None:
            continue
        match step:
            case "edit":
                loaded.data.period = str(number)
            case "edit deep" if loaded.data.limits:
                loaded.data.limits["food"] = number
            case "delete loaded":
                work.delete(loaded)
            case "check" if atomic and loaded.version:
                work.check(loaded)
    if many and not atomic:
        for number in range(30):
            work.add(BudgetData(name="many", period=str(number)))
    meant = {record.record_key: record.data for record in work.list_all()}
    planned = work.plan().requests
    assert work.commit().requests == len(planned)
    found = {record.record_key: record for record in user.list_all(consistent=True)}
    assert {key: record.data for key, record in found.items()} == meant
    for record in work.list_all():
        assert record.version == found[record.record_key].version
    assert work.plan().requests == ()


# What it costs


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


# Sizes


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


def test_other_payloads(user: Any) -> None:
    """Holdings and profiles keep their decimals, text and dates on every engine."""
    holding = PortfolioHoldingData(symbol="VTI", shares="0.1", purchase_price=0.1)
    profile = ProfileData(display_name="Zoë 😀", date_of_birth=date(1990, 2, 28))
    added = [user.add(holding), user.add(profile)]
    found = user.get_many([(type(record), record.record_id) for record in added])
    assert [record.data for record in found] == [holding, profile]
