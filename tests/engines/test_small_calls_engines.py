"""The small calls on every engine, through both shells: what they do, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from proxy import FaultyProxy
from shells import Blocking
from small_calls import COSTS, prepare
from stored import Table, comparable, goal, new_user_id, stored_goal

from thrivecalc_models import (
    AsyncDataStore,
    Budget,
    BudgetData,
    ConflictError,
    DataStore,
    RecordNotFoundError,
    SavingsGoal,
    SavingsGoalData,
)


@pytest.fixture(scope="module", params=["DataStore", "AsyncDataStore"])
def either(
    request: pytest.FixtureRequest, engine: Any, store: DataStore, proxy: FaultyProxy
) -> Iterator[Any]:
    """A store through each shell."""
    if request.param == "DataStore":
        yield store
        return
    with Blocking(
        AsyncDataStore(endpoint=proxy.endpoint, region=engine.region, table_name=store.table_name)
    ) as awaited:
        yield awaited


@pytest.fixture
def user(either: Any, proxy: FaultyProxy) -> Any:
    """A user of whom nothing is stored; no request is counted yet."""
    proxy.schedule = None
    return either.user(new_user_id())


@pytest.mark.parametrize("call", COSTS)
def test_requests(user: Any, proxy: FaultyProxy, call: str) -> None:
    """Each small call sends the requests that are stated for it."""
    prepare(user)
    proxy.schedule = None
    COSTS[call].call(user)
    assert tuple(operation for operation, _ in proxy.requests) == COSTS[call].requests


@pytest.mark.not_on("moto", reason="reports constant capacity")
@pytest.mark.parametrize("call", COSTS)
def test_capacity(engine: Any, store: DataStore, call: str) -> None:
    """Each small call consumes the capacity that is stated for it."""
    events: list[Any] = []
    settings = {"endpoint": engine.endpoint, "region": engine.region}
    with DataStore(table_name="store-engines", observer=events.append, **settings) as observed:
        user = observed.user(new_user_id())
        prepare(user)
        events.clear()
        COSTS[call].call(user)
    sent = [event for event in events if hasattr(event, "operation")]
    assert sum(event.read_units for event in sent) == COSTS[call].read_units
    assert sum(event.write_units for event in sent) == COSTS[call].write_units


def test_exists(user: Any) -> None:
    """A record that is stored exists; another does not."""
    user.add(goal(), record_id="one")
    assert user.exists(SavingsGoal, "one", consistent=True)
    assert not user.exists(SavingsGoal, "two", consistent=True)


def test_patch(user: Any, table: Table) -> None:
    """A merge patch sets, removes and merges, in maps that are stored and in those that are not;
    what it leaves out stays."""
    limits = {"M": {"food": {"N": "250"}, "rent": {"N": "900"}}}
    data = {"name": {"S": "n"}, "period": {"S": "monthly"}, "colour": {"S": "teal"}}
    for record_id, more in (("stored", {"limits": limits}), ("absent", {})):
        item = stored_goal(user.user_id, record_id) | {
            "recordKey": {"S": f"budget#{record_id}"},
            "dataType": {"S": "budget"},
            "data": {"M": data | more},
        }
        table.put(item)
        patch = {"limits": {"food": 300, "rent": None, "a b.c": 1}, "period": "weekly", "x": None}
        record = user.patch("budget", record_id, patch)
        merged = data | {"period": {"S": "weekly"}}
        merged["limits"] = {"M": {"food": {"N": "300"}, "a b.c": {"N": "1"}}}
        stored = table.items(user.user_id)[f"budget#{record_id}"]
        assert stored["data"] == comparable({"M": merged})
        assert comparable({"M": record.item}) == {"M": stored}
    with pytest.raises(RecordNotFoundError):
        user.patch(Budget, "none", {"limits": {"food": 1}})
    assert len(table.items(user.user_id)) == 2


def test_a_version_decides(user: Any) -> None:
    """Writes with the stored version go through, with another one they are conflicts."""
    first = user.add(BudgetData(name="n", period="p"), record_id="b")
    second = user.patch(Budget, "b", {"period": "q"}, if_version=first.version)
    third = user.replace_data(Budget, "b", {"name": "m", "period": "r"}, if_version=second.version)
    for call in (
        lambda: user.patch(Budget, "b", {"name": "x"}, if_version=second.version),
        lambda: user.replace_data(
            Budget, "b", {"name": "x", "period": "x"}, if_version=second.version
        ),
        lambda: user.delete(Budget, "b", if_version=second.version),
    ):
        with pytest.raises(ConflictError) as refused:
            call()
        assert refused.value.stored.version == third.version
    user.delete(Budget, "b", if_version=third.version)
    with pytest.raises(ConflictError) as refused:
        user.delete(Budget, "b", if_version=third.version)
    assert refused.value.stored is None


def test_upsert(user: Any, table: Table) -> None:
    """An upsert keeps what its class does not declare, and stores what is not there."""
    table.put(stored_goal(user.user_id, "one"))
    before = table.items(user.user_id)["savings-goal#one"]["data"]["M"]
    given = SavingsGoalData(name="New", target_amount=2)
    for record_id in ("one", "two"):
        user.upsert(given, record_id=record_id)
    items = table.items(user.user_id)
    new = comparable(
        {"M": {"name": {"S": "New"}, "targetAmount": {"N": "2"}, "currentAmount": {"N": "0"}}}
    )["M"]
    assert items["savings-goal#one"]["data"]["M"] == before | new
    assert items["savings-goal#two"]["data"]["M"] == new


def test_many(user: Any, table: Table) -> None:
    """What add_many stores delete_many deletes."""
    records = user.add_many([goal(target=number) for number in range(30)])
    assert len(table.items(user.user_id)) == 30
    user.delete_many((SavingsGoal, record.record_id) for record in records)
    assert table.items(user.user_id) == {}


def test_edits_in_a_unit(user: Any, table: Table) -> None:
    """A unit patches and replaces what it reads, and writes it with the rest."""
    user.add_many([SavingsGoal(record_id=each, data=goal()) for each in "ab"])
    with user.unit_of_work() as work:
        work.patch(SavingsGoal, "a", {"name": "Boat", "targetDate": None, "x": {"y": [1]}})
        work.replace_data(SavingsGoal, "b", {"name": "Ship", "targetAmount": 3})
    items = table.items(user.user_id)
    assert items["savings-goal#a"]["data"]["M"]["x"] == comparable(
        {"M": {"y": {"L": [{"N": "1"}]}}}
    )
    assert items["savings-goal#b"]["data"] == comparable(
        {"M": {"name": {"S": "Ship"}, "targetAmount": {"N": "3"}}}
    )
