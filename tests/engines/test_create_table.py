"""`create_table` makes the whole table, or what is missing of it, and refuses another's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from thrivecalc_models import (
    ConfigurationError,
    DataStore,
    SavingsGoal,
    SavingsGoalData,
    TableNotFoundError,
)

COUNTER = itertools.count()
KEYS = (("userId", "HASH"), ("recordKey", "RANGE"))


@pytest.fixture
def name() -> str:
    return f"made-{next(COUNTER)}"


@pytest.fixture
def client(engine: Any, name: str) -> Iterator[Any]:
    client = engine.client()
    yield client
    if name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)
    client.close()


@pytest.fixture
def store(engine: Any, client: Any, name: str) -> Iterator[DataStore]:
    with DataStore(endpoint=engine.endpoint, region=engine.region, table_name=name) as store:
        yield store


def make(client: Any, name: str, *, keys: Any = KEYS, index: bool = True, **options: Any) -> None:
    """A table as other tools make it."""
    attributes = [attribute for attribute, _ in keys] + ["dataType"] * index
    if index:
        schema = [("userId", "HASH"), ("dataType", "RANGE")]
        options["GlobalSecondaryIndexes"] = [
            {
                "IndexName": "DataTypeIndex",
                "KeySchema": key_schema(schema),
                "Projection": {"ProjectionType": "ALL"},
            }
        ]
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in attributes],
        KeySchema=key_schema(keys),
        **{"BillingMode": "PAY_PER_REQUEST", **options},
    )


def key_schema(keys: Any) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys]


def ttl_of(client: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    return found


def check_whole(client: Any, name: str) -> None:
    """Keys, index and TTL as the design has them, all of it active."""
    table = client.describe_table(TableName=name)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["KeySchema"] == key_schema(KEYS)
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "DataTypeIndex"
    assert index["IndexStatus"] == "ACTIVE"
    assert index["KeySchema"] == key_schema([("userId", "HASH"), ("dataType", "RANGE")])
    assert index["Projection"]["ProjectionType"] == "ALL"
    assert ttl_of(client, name)["AttributeName"] == "ttl"
    assert ttl_of(client, name)["TimeToLiveStatus"] == "ENABLED"


def check_usable(store: DataStore) -> None:
    user = store.user("somebody else")
    goal = user.add(SavingsGoalData(name="Car", target_amount=5))
    assert [record.record_id for record in user.list(SavingsGoal)] == [goal.record_id]
    user.delete_all()


def test_the_whole_table(client: Any, name: str, store: DataStore) -> None:
    """From nothing comes the table with its index and TTL, on demand, ready to be used."""
    store.create_table()
    check_whole(client, name)
    table = client.describe_table(TableName=name)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    check_usable(store)


def test_twice(client: Any, name: str, store: DataStore) -> None:
    """A second call changes nothing, and what is stored stays."""
    store.create_table()
    goal = store.user("somebody").add(SavingsGoalData(name="Car", target_amount=5))
    before = client.describe_table(TableName=name)["Table"]
    store.create_table()
    check_whole(client, name)
    after = client.describe_table(TableName=name)["Table"]
    assert after["CreationDateTime"] == before["CreationDateTime"]
    assert store.user("somebody").get(SavingsGoal, goal.record_id) is not None


@pytest.mark.not_on("dynamodb-local", reason="has no point-in-time recovery")
@pytest.mark.not_on("dynoxide", reason="has no point-in-time recovery")
def test_recovery(client: Any, name: str, store: DataStore) -> None:
    """Where the engine has point-in-time recovery, it is on."""
    store.create_table()
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("ttl", [False, True])
def test_what_is_missing(client: Any, name: str, store: DataStore, index: bool, ttl: bool) -> None:
    """A table made without its index, or without TTL, gets what it lacks, and its items are
    listed."""
    make(client, name, index=index)
    if ttl:
        specification = {"AttributeName": "ttl", "Enabled": True}
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)
    store.user("somebody").put(SavingsGoalData(name="Old", target_amount=1), record_id="old")
    store.create_table()
    check_whole(client, name)
    assert [record.record_id for record in store.user("somebody").list(SavingsGoal)] == ["old"]
    check_usable(store)


@pytest.mark.not_on("dynoxide", reason="forgets the capacity of an index that is added")
def test_provisioned_capacity(client: Any, name: str, store: DataStore) -> None:
    """The index of a table with provisioned capacity gets the capacity of its table."""
    capacity = {"ReadCapacityUnits": 3, "WriteCapacityUnits": 2}
    make(client, name, index=False, BillingMode="PROVISIONED", ProvisionedThroughput=capacity)
    store.create_table()
    check_whole(client, name)
    (index,) = client.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]
    found = index["ProvisionedThroughput"]
    assert {unit: found[unit] for unit in capacity} == capacity


@pytest.mark.parametrize(
    "keys",
    [
        (("userId", "HASH"),),
        (("recordKey", "HASH"), ("userId", "RANGE")),
        (("pk", "HASH"), ("sk", "RANGE")),
    ],
    ids=["no sort key", "the other way round", "other names"],
)
def test_other_keys(client: Any, name: str, store: DataStore, keys: Any) -> None:
    """A table with other keys is somebody else's: refused by name, and left as it was."""
    make(client, name, keys=keys, index=False)
    with pytest.raises(ConfigurationError, match=name):
        store.create_table()
    table = client.describe_table(TableName=name)["Table"]
    assert not table.get("GlobalSecondaryIndexes")
    assert ttl_of(client, name).get("TimeToLiveStatus", "DISABLED") == "DISABLED"


def test_ttl_on_another_attribute(client: Any, name: str, store: DataStore) -> None:
    """TTL on another attribute is refused and stays as it was, since switching it would delete
    items by another rule."""
    make(client, name)
    specification = {"AttributeName": "expires", "Enabled": True}
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)
    with pytest.raises(ConfigurationError, match="expires"):
        store.create_table()
    assert ttl_of(client, name)["AttributeName"] == "expires"


@pytest.mark.parametrize(
    "call",
    [
        lambda user: user.get(SavingsGoal, "a"),
        lambda user: user.get_many([(SavingsGoal, "a")]),
        lambda user: user.list(SavingsGoal),
        lambda user: user.add(SavingsGoalData(name="Car", target_amount=5)),
        lambda user: user.delete(SavingsGoal, "a"),
        lambda user: user.replace_data(SavingsGoal, "a", {"name": "x", "targetAmount": 1}),
        lambda user: user.delete_all(),
    ],
    ids=["get", "get_many", "list", "add", "delete", "replace_data", "delete_all"],
)
def test_no_table(engine: Any, store: DataStore, call: Any) -> None:
    """Without the table every call says so, with the table's name, the region and the endpoint in
    use, and the call that makes it."""
    with pytest.raises(TableNotFoundError) as caught:
        call(store.user("somebody"))
    for advice in (store.table_name, engine.region, engine.endpoint, "create_table()"):
        assert advice in str(caught.value)
