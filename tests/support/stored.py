"""A table on each engine, a store of it through a proxy, and what tests store there."""

from __future__ import annotations

import itertools
import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from places import DATA
from proxy import FaultyProxy
from shells import Blocking, is_async

from thrivecalc_models import (
    AsyncDataStore,
    DataStore,
    SavingsGoalData,
)

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


@pytest.fixture(scope="module")
def async_store(store: DataStore) -> Iterator[Any]:
    """An asynchronous store of the same table, which is called like a synchronous one."""
    settings = {"region": store.region, "table_name": store.table_name}
    with Blocking(AsyncDataStore(endpoint=store.endpoint, **settings)) as called:
        yield called


@pytest.fixture
def user(store: DataStore, proxy: FaultyProxy, request: pytest.FixtureRequest) -> Any:
    """A user of whom nothing is stored, through the shell of this run; no request is counted."""
    proxy.schedule = None
    used = request.getfixturevalue("async_store") if is_async() else store
    return used.user(new_user_id())


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


@pytest.fixture(scope="module")
def table(engine: Any, store: DataStore) -> Iterator[Table]:
    table = Table(engine, store.table_name)
    yield table
    table.close()


def without(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: form for name, form in item.items() if name not in names}


def but_stamp(item: dict[str, Any]) -> dict[str, Any]:
    """An item without the time of its last write."""
    return without(item, "updatedAt")


def touch(record: Any) -> Any:
    """Read everything a record has, so that all of it is compared on writing."""
    return record.data, record.extra_data, record.extra_attributes, record.ttl, record.problems


def new_user_id() -> str:
    return f"google-oauth2|{next(COUNTER):012}"


def goal(name: str = "Car", target: Any = 1000, **fields: Any) -> SavingsGoalData:
    return SavingsGoalData(name=name, target_amount=target, **fields)


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


def ids(records: Any) -> list[str]:
    return [record.record_id for record in records]


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
