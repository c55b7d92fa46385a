"""The library and its peers, each doing the same five things in the way its own docs show."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import importlib.util
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import date
from importlib.metadata import version
from typing import Any, Protocol
from urllib.parse import urlsplit

from benchmarks import goal

GROUP = 25  # writes of a BatchWriteItem
KEYS = 100  # keys of a BatchGetItem
ONE = goal.user_id(1)


class Client(Protocol):
    """Each method returns when all is done, having looked at the target amount of what it read."""

    name: str

    def get(self) -> Any: ...
    def list(self, records: int) -> Any: ...
    def put(self) -> Any: ...
    def write(self, records: int) -> Any: ...
    def read(self, records: int) -> Any: ...
    def close(self) -> None: ...


class ThriveCalc:
    def __init__(self, endpoint: str, transport: str, **options: Any) -> None:
        from thrivecalc_models import DataStore, SavingsGoal, SavingsGoalData

        self.name = f"thrivecalc_models, {transport}"
        self._store = DataStore(
            endpoint=endpoint,
            region=goal.REGION,
            table_name=goal.TABLE,
            transport=transport,
            **options,
        )
        self._goal, self._data = SavingsGoal, SavingsGoalData

    def _new(self) -> Any:
        return self._data(
            name=goal.DATA["name"],
            target_amount=goal.DATA["targetAmount"],
            current_amount=goal.DATA["currentAmount"],
            target_date=date(2025, 12, 31),
            monthly_contribution=goal.DATA["monthlyContribution"],
        )

    def get(self) -> Any:
        return self._store.user(ONE).get(self._goal, goal.record_id(0)).data.target_amount

    def list(self, records: int) -> Any:
        found = self._store.user(goal.user_id(records)).list(self._goal)
        return sum(record.data.target_amount for record in found)

    def put(self) -> Any:
        self._store.user(ONE).put(self._new(), record_id=goal.record_id(0))

    def write(self, records: int) -> Any:
        with self._store.user(ONE).unit_of_work() as work:
            for _ in range(records):
                work.add(self._new())

    def read(self, records: int) -> Any:
        keys = [(self._goal, goal.record_id(number)) for number in range(records)]
        with self._store.user(goal.user_id(records)).unit_of_work() as work:
            return sum(record.data.target_amount for record in work.get_many(keys))

    def close(self) -> None:
        self._store.close()


class PynamoDB:
    def __init__(self, endpoint: str) -> None:
        from pynamodb.attributes import MapAttribute, NumberAttribute, UnicodeAttribute
        from pynamodb.models import Model

        class Data(MapAttribute[str, Any]):
            name = UnicodeAttribute()
            targetAmount = NumberAttribute()
            currentAmount = NumberAttribute()
            targetDate = UnicodeAttribute()
            monthlyContribution = NumberAttribute()

        class Goal(Model):
            class Meta:
                table_name = goal.TABLE
                region = goal.REGION
                host = endpoint
                aws_access_key_id = goal.ACCESS_KEY
                aws_secret_access_key = goal.SECRET_KEY

            userId = UnicodeAttribute(hash_key=True)
            recordKey = UnicodeAttribute(range_key=True)
            dataType = UnicodeAttribute()
            recordId = UnicodeAttribute()
            data = Data()
            createdAt = UnicodeAttribute()
            updatedAt = UnicodeAttribute()

        self.name = f"PynamoDB {version('pynamodb')}"
        self._goal, self._data = Goal, Data

    def _new(self, number: int) -> Any:
        values = goal.plain(ONE, number)
        return self._goal(**values | {"data": self._data(**values["data"])})

    def get(self) -> Any:
        return self._goal.get(ONE, goal.PREFIX + goal.record_id(0)).data.targetAmount

    def list(self, records: int) -> Any:
        condition = self._goal.recordKey.startswith(goal.PREFIX)
        found = self._goal.query(goal.user_id(records), condition)
        return sum(record.data.targetAmount for record in found)

    def put(self) -> Any:
        self._new(0).save()

    def write(self, records: int) -> Any:
        with self._goal.batch_write() as batch:
            for number in range(records):
                batch.save(self._new(number))

    def read(self, records: int) -> Any:
        user = goal.user_id(records)
        keys = [(user, goal.PREFIX + goal.record_id(number)) for number in range(records)]
        return sum(record.data.targetAmount for record in self._goal.batch_get(keys))

    def close(self) -> None:
        pass


class Boto3:
    def __init__(self, endpoint: str) -> None:
        import boto3

        self.name = f"boto3 {version('boto3')} (plain dicts)"
        self._client = boto3.client(
            "dynamodb",
            region_name=goal.REGION,
            endpoint_url=endpoint,
            aws_access_key_id=goal.ACCESS_KEY,
            aws_secret_access_key=goal.SECRET_KEY,
        )

    def get(self) -> Any:
        reply = self._client.get_item(TableName=goal.TABLE, Key=_key(ONE, 0))
        return reply["Item"]["data"]["M"]["targetAmount"]["N"]

    def list(self, records: int) -> Any:
        reply = self._client.query(**_query(records))
        return sum(int(item["data"]["M"]["targetAmount"]["N"]) for item in reply["Items"])

    def put(self) -> Any:
        self._client.put_item(TableName=goal.TABLE, Item=goal.item(ONE, 0))

    def write(self, records: int) -> Any:
        for numbers in _chunks(range(records), GROUP):
            self._client.batch_write_item(RequestItems=_puts(numbers))

    def read(self, records: int) -> Any:
        total = 0
        for numbers in _chunks(range(records), KEYS):
            reply = self._client.batch_get_item(RequestItems=_keys(records, numbers))
            for item in reply["Responses"][goal.TABLE]:
                total += int(item["data"]["M"]["targetAmount"]["N"])
        return total

    def close(self) -> None:
        self._client.close()


class Pydynox:
    def __init__(self, endpoint: str) -> None:
        from pydynox import DynamoDBClient, Model, ModelConfig, SyncBatchWriter
        from pydynox.attributes import MapAttribute, StringAttribute

        connection = DynamoDBClient(
            region=goal.REGION,
            access_key=goal.ACCESS_KEY,
            secret_key=goal.SECRET_KEY,
            endpoint_url=endpoint,
        )

        class Goal(Model):
            model_config = ModelConfig(table=goal.TABLE, client=connection)
            userId = StringAttribute(partition_key=True)
            recordKey = StringAttribute(sort_key=True)
            dataType = StringAttribute()
            recordId = StringAttribute()
            data = MapAttribute()
            createdAt = StringAttribute()
            updatedAt = StringAttribute()

        self.name = f"pydynox {version('pydynox')}"
        self._client, self._goal, self._writer = connection, Goal, SyncBatchWriter

    def get(self) -> Any:
        found = self._goal.sync_get(userId=ONE, recordKey=goal.PREFIX + goal.record_id(0))
        return found.data["targetAmount"]

    def list(self, records: int) -> Any:
        condition = self._goal.recordKey.begins_with(goal.PREFIX)
        found = self._goal.sync_query(goal.user_id(records), sort_key_condition=condition)
        return sum(record.data["targetAmount"] for record in found)

    def put(self) -> Any:
        self._goal(**goal.plain(ONE, 0)).sync_save()

    def write(self, records: int) -> Any:
        with self._writer(self._client, goal.TABLE) as batch:
            for number in range(records):
                batch.put(goal.plain(ONE, number))

    def read(self, records: int) -> Any:
        user = goal.user_id(records)
        keys = [
            {"userId": user, "recordKey": goal.PREFIX + goal.record_id(number)}
            for number in range(records)
        ]
        return sum(record.data["targetAmount"] for record in self._goal.sync_batch_get(keys))

    def close(self) -> None:
        pass


class Asynchronous:
    """Runs coroutines in an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = contextlib.AsyncExitStack()

    def _run(self, awaitable: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(awaitable)

    def close(self) -> None:
        self._run(self._stack.aclose())
        self._loop.close()


class Aiodynamo(Asynchronous):
    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.name = f"aiodynamo {version('aiodynamo')} (plain dicts)"
        self._client = self._run(self._open(endpoint))

    async def _open(self, endpoint: str) -> Any:
        from aiodynamo.client import Client as AiodynamoClient
        from aiodynamo.credentials import Key, StaticCredentials
        from aiodynamo.http.aiohttp import AIOHTTP
        from aiohttp import ClientSession
        from yarl import URL

        session = await self._stack.enter_async_context(ClientSession())
        keys = StaticCredentials(Key(goal.ACCESS_KEY, goal.SECRET_KEY))
        return AiodynamoClient(AIOHTTP(session), keys, goal.REGION, URL(endpoint))

    def get(self) -> Any:
        key = {"userId": ONE, "recordKey": goal.PREFIX + goal.record_id(0)}
        return self._run(self._client.get_item(goal.TABLE, key))["data"]["targetAmount"]

    def list(self, records: int) -> Any:
        from aiodynamo.expressions import HashKey, RangeKey

        condition = HashKey("userId", goal.user_id(records)) & RangeKey("recordKey").begins_with(
            goal.PREFIX
        )

        async def total() -> Any:
            found = self._client.query(goal.TABLE, condition)
            return sum([item["data"]["targetAmount"] async for item in found])

        return self._run(total())

    def put(self) -> Any:
        self._run(self._client.put_item(goal.TABLE, goal.plain(ONE, 0)))

    def write(self, records: int) -> Any:
        from aiodynamo.models import BatchWriteRequest

        async def all_of_them() -> None:
            for numbers in _chunks(range(records), GROUP):
                items = [goal.plain(ONE, number) for number in numbers]
                request = BatchWriteRequest(items_to_put=items)
                await self._client.batch_write({goal.TABLE: request})

        self._run(all_of_them())

    def read(self, records: int) -> Any:
        from aiodynamo.models import BatchGetRequest

        async def total() -> Any:
            found = 0
            for numbers in _chunks(range(records), KEYS):
                keys = [
                    {
                        "userId": goal.user_id(records),
                        "recordKey": goal.PREFIX + goal.record_id(number),
                    }
                    for number in numbers
                ]
                reply = await self._client.batch_get({goal.TABLE: BatchGetRequest(keys=keys)})
                found += sum(item["data"]["targetAmount"] for item in reply.items[goal.TABLE])
            return found

        return self._run(total())


class Dynamoxy(Asynchronous):
    def __init__(self, endpoint: str) -> None:
        super().__init__()
        import dynamoxy

        from benchmarks.dynamoxy_model import Goal

        self.name = f"dynamoxy {version('dynamoxy')}"
        self._goal = Goal
        client = dynamoxy.Client(
            region=goal.REGION,
            endpoint_url=endpoint,
            credentials=dynamoxy.Credentials(goal.ACCESS_KEY, goal.SECRET_KEY),
        )
        self._client = self._run(self._stack.enter_async_context(client))
        self._goals = self._client.repository(Goal)

    def get(self) -> Any:
        found = self._run(self._goals.get(ONE, goal.PREFIX + goal.record_id(0)))
        return found.data["targetAmount"]

    def list(self, records: int) -> Any:
        async def total() -> Any:
            found = self._goals.query(userId=goal.user_id(records))
            return sum([record.data["targetAmount"] async for record in found])

        return self._run(total())

    def put(self) -> Any:
        self._run(self._goals.put(self._goal(**goal.plain(ONE, 0))))

    def write(self, records: int) -> Any:
        new = [self._goal(**goal.plain(ONE, number)) for number in range(records)]
        self._run(self._goals.batch_put(new))

    def read(self, records: int) -> Any:
        user = goal.user_id(records)
        keys = [(user, goal.PREFIX + goal.record_id(number)) for number in range(records)]
        return sum(one.data["targetAmount"] for one in self._run(self._goals.batch_get(keys)))


class RawSocket:
    """What no client can be much cheaper than: a signature, a socket and a JSON parser."""

    name = "raw socket (plain dicts)"

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._host = parts.netloc
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._day, self._key = "", b""

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        import orjson

        body = orjson.dumps(request)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{stamp[:8]}/{goal.REGION}/dynamodb/aws4_request"
        if stamp[:8] != self._day:
            self._day, self._key = stamp[:8], f"AWS4{goal.SECRET_KEY}".encode()
            for part in scope.split("/"):
                self._key = hmac.digest(self._key, part.encode(), "sha256")
        canonical = (
            "POST\n/\n\ncontent-type:application/x-amz-json-1.0\n"
            f"host:{self._host}\nx-amz-date:{stamp}\nx-amz-target:DynamoDB_20120810.{operation}\n\n"
            f"content-type;host;x-amz-date;x-amz-target\n{hashlib.sha256(body).hexdigest()}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        self._socket.sendall(
            (
                f"POST / HTTP/1.1\r\nHost: {self._host}\r\n"
                "Content-Type: application/x-amz-json-1.0\r\n"
                f"X-Amz-Target: DynamoDB_20120810.{operation}\r\nX-Amz-Date: {stamp}\r\n"
                f"Authorization: AWS4-HMAC-SHA256 Credential={goal.ACCESS_KEY}/{scope},"
                " SignedHeaders=content-type;host;x-amz-date;x-amz-target,"
                f" Signature={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode()
            + body
        )
        data = self._socket.recv(262_144)
        head, _, content = data.partition(b"\r\n\r\n")
        start = head.index(b"Content-Length:") + 15
        length = int(head[start : head.find(b"\r", start)])
        if len(content) < length:
            parts = [content]
            left = length - len(content)
            while left:
                parts.append(self._socket.recv(262_144))
                left -= len(parts[-1])
            content = b"".join(parts)
        return orjson.loads(content)  # type: ignore[no-any-return]

    def get(self) -> Any:
        reply = self._call("GetItem", {"TableName": goal.TABLE, "Key": _key(ONE, 0)})
        return reply["Item"]["data"]["M"]["targetAmount"]["N"]

    def list(self, records: int) -> Any:
        items = self._call("Query", _query(records))["Items"]
        return sum(int(item["data"]["M"]["targetAmount"]["N"]) for item in items)

    def put(self) -> Any:
        self._call("PutItem", {"TableName": goal.TABLE, "Item": goal.item(ONE, 0)})

    def write(self, records: int) -> Any:
        for numbers in _chunks(range(records), GROUP):
            self._call("BatchWriteItem", {"RequestItems": _puts(numbers)})

    def read(self, records: int) -> Any:
        total = 0
        for numbers in _chunks(range(records), KEYS):
            reply = self._call("BatchGetItem", {"RequestItems": _keys(records, numbers)})
            for item in reply["Responses"][goal.TABLE]:
                total += int(item["data"]["M"]["targetAmount"]["N"])
        return total

    def close(self) -> None:
        self._socket.close()


def _chunks(numbers: range, size: int) -> Iterator[range]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def _key(user: str, number: int) -> dict[str, Any]:
    return {"userId": {"S": user}, "recordKey": {"S": goal.PREFIX + goal.record_id(number)}}


def _puts(numbers: Sequence[int]) -> dict[str, Any]:
    return {goal.TABLE: [{"PutRequest": {"Item": goal.item(ONE, number)}} for number in numbers]}


def _keys(records: int, numbers: Sequence[int]) -> dict[str, Any]:
    return {goal.TABLE: {"Keys": [_key(goal.user_id(records), number) for number in numbers]}}


def _query(records: int) -> dict[str, Any]:
    return {
        "TableName": goal.TABLE,
        "KeyConditionExpression": "userId = :u AND begins_with(recordKey, :k)",
        "ExpressionAttributeValues": {
            ":u": {"S": goal.user_id(records)},
            ":k": {"S": goal.PREFIX},
        },
    }


_CLIENTS: list[tuple[str, Callable[[str], Client]]] = [
    ("pycurl", lambda endpoint: ThriveCalc(endpoint, "direct")),
    ("botocore", lambda endpoint: ThriveCalc(endpoint, "botocore")),
    ("pynamodb", PynamoDB),
    ("boto3", Boto3),
    ("pydynox", Pydynox),
    ("aiodynamo", Aiodynamo),
    ("dynamoxy", Dynamoxy),
    ("orjson", RawSocket),
]


def open_clients(endpoint: str) -> list[Client]:
    """Every client whose package is installed here."""
    made = []
    for package, make in _CLIENTS:
        if importlib.util.find_spec(package) is None:
            print(f"without {package}, which is not installed here", file=sys.stderr)
        else:
            made.append(make(endpoint))
    return made
