"""The library and its peers, each doing the same things as its own documentation shows.

Here are the synchronous clients; `benchmarks/async_clients.py` has those of asyncio.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib.util
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from benchmarks import goal
from benchmarks.async_clients import Aiodynamo, Dynamoxy
from benchmarks.goal import Goal

GROUP = 25  # writes of a BatchWriteItem
KEYS = 100  # keys of a BatchGetItem

T = TypeVar("T")


class Client(Protocol):
    """Each call ends when all is done, and has looked at the target amount of what it read.

    A synchronous client's calls return what they read, an asynchronous client's are coroutines;
    `run` is the same for both.
    """

    name: str

    def run(self, call: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]: ...
    def get(self, one: Goal) -> Any: ...
    def list(self, user: str) -> Any: ...
    def put(self, one: Goal) -> Any: ...
    def write(self, many: Sequence[Goal]) -> Any: ...
    def read(self, many: Sequence[Goal]) -> Any: ...
    def keep(self, user: str) -> Any: ...
    def close(self) -> None: ...


class Synchronous:
    def run(self, call: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]:
        """Call with each argument, one after the other."""
        return [call(argument) for argument in arguments]

    def close(self) -> None:
        """Close what is kept open."""


class ThriveCalc(Synchronous):
    def __init__(self, endpoint: str, transport: str, **options: Any) -> None:
        from thrivecalc_models import DataStore, SavingsGoal, SavingsGoalData

        self.name = f"thrivecalc_models, {transport}"
        self.store = DataStore(
            endpoint=endpoint,
            region=goal.REGION,
            table_name=goal.TABLE,
            transport=transport,
            **options,
        )
        self._goal, self._data = SavingsGoal, SavingsGoalData

    def _new(self, one: Goal) -> Any:
        return self._data(
            name=one.name,
            target_amount=one.target_amount,
            current_amount=one.current_amount,
            target_date=one.target_date,
            monthly_contribution=one.monthly_contribution,
        )

    def get(self, one: Goal) -> Any:
        return self.store.user(one.user).get(self._goal, one.record_id).data.target_amount

    def list(self, user: str) -> Any:
        return sum(record.data.target_amount for record in self.store.user(user).list(self._goal))

    def put(self, one: Goal) -> Any:
        self.store.user(one.user).put(self._new(one), record_id=one.record_id)

    def write(self, many: Sequence[Goal]) -> Any:
        with self.store.user(many[0].user).unit_of_work() as work:
            for one in many:
                work.add(self._new(one))

    def read(self, many: Sequence[Goal]) -> Any:
        keys = [(self._goal, one.record_id) for one in many]
        with self.store.user(many[0].user).unit_of_work() as work:
            return sum(record.data.target_amount for record in work.get_many(keys))

    def keep(self, user: str) -> Any:
        found = self.store.user(user).list(self._goal)
        return found, sum(record.data.target_amount for record in found)

    def committing(self, user: str) -> Callable[[], Any]:
        """Change each record of a user, and return the call that stores that as one commit."""
        work = self.store.user(user).unit_of_work()
        for record in work.list(self._goal):
            record.data.current_amount += 1
        return work.commit

    def updating(self, user: str) -> Callable[[], Any]:
        """The same without a unit: one update after the other."""
        owner = self.store.user(user)
        changed = owner.list(self._goal)
        for record in changed:
            record.data.current_amount += 1
        return lambda: [owner.update(record) for record in changed]

    def close(self) -> None:
        self.store.close()


class PynamoDB(Synchronous):
    def __init__(self, endpoint: str) -> None:
        from pynamodb.attributes import MapAttribute, NumberAttribute, UnicodeAttribute
        from pynamodb.models import Model

        class Data(MapAttribute[str, Any]):
            name = UnicodeAttribute()
            targetAmount = NumberAttribute()
            currentAmount = NumberAttribute()
            targetDate = UnicodeAttribute()
            monthlyContribution = NumberAttribute()

        class Record(Model):
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
        self._record, self._data = Record, Data

    def _new(self, one: Goal) -> Any:
        values = goal.plain(one)
        return self._record(**values | {"data": self._data(**values["data"])})

    def _query(self, user: str) -> Any:
        return self._record.query(user, self._record.recordKey.startswith(goal.PREFIX))

    def get(self, one: Goal) -> Any:
        return self._record.get(one.user, one.record_key).data.targetAmount

    def list(self, user: str) -> Any:
        return sum(record.data.targetAmount for record in self._query(user))

    def put(self, one: Goal) -> Any:
        self._new(one).save()

    def write(self, many: Sequence[Goal]) -> Any:
        with self._record.batch_write() as batch:
            for one in many:
                batch.save(self._new(one))

    def read(self, many: Sequence[Goal]) -> Any:
        keys = [(one.user, one.record_key) for one in many]
        return sum(record.data.targetAmount for record in self._record.batch_get(keys))

    def keep(self, user: str) -> Any:
        return list(self._query(user))

    def updating(self, user: str) -> Callable[[], Any]:
        """Change each record of a user; return the call that saves them one after the other."""
        changed = list(self._query(user))
        was = [record.updatedAt for record in changed]
        for record in changed:
            record.data.currentAmount += 1
            record.updatedAt = "2026-01-01T00:00:00.000Z"

        def save() -> None:
            for record, before in zip(changed, was, strict=True):
                record.save(condition=self._record.updatedAt == before)

        return save


class Boto3(Synchronous):
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

    def get(self, one: Goal) -> Any:
        return _amount(self._client.get_item(TableName=goal.TABLE, Key=goal.key(one))["Item"])

    def list(self, user: str) -> Any:
        return sum(map(_amount, self.keep(user)))

    def put(self, one: Goal) -> Any:
        self._client.put_item(TableName=goal.TABLE, Item=goal.item(one))

    def write(self, many: Sequence[Goal]) -> Any:
        for some in _groups(many, GROUP):
            self._client.batch_write_item(RequestItems=_puts(some))

    def read(self, many: Sequence[Goal]) -> Any:
        total = 0
        for some in _groups(many, KEYS):
            reply = self._client.batch_get_item(RequestItems=_keys(some))
            total += sum(map(_amount, reply["Responses"][goal.TABLE]))
        return total

    def keep(self, user: str) -> Any:
        return _pages(lambda request: self._client.query(**request), user)

    def close(self) -> None:
        self._client.close()


class Pydynox(Synchronous):
    def __init__(self, endpoint: str) -> None:
        from pydynox import DynamoDBClient, Model, ModelConfig, SyncBatchWriter
        from pydynox.attributes import MapAttribute, StringAttribute

        connection = DynamoDBClient(
            region=goal.REGION,
            access_key=goal.ACCESS_KEY,
            secret_key=goal.SECRET_KEY,
            endpoint_url=endpoint,
        )

        class Record(Model):
            model_config = ModelConfig(table=goal.TABLE, client=connection)
            userId = StringAttribute(partition_key=True)
            recordKey = StringAttribute(sort_key=True)
            dataType = StringAttribute()
            recordId = StringAttribute()
            data = MapAttribute()
            createdAt = StringAttribute()
            updatedAt = StringAttribute()

        self.name = f"pydynox {version('pydynox')}"
        self._client, self._record, self._writer = connection, Record, SyncBatchWriter

    def _query(self, user: str) -> Any:
        condition = self._record.recordKey.begins_with(goal.PREFIX)
        return self._record.sync_query(user, sort_key_condition=condition)

    def get(self, one: Goal) -> Any:
        found = self._record.sync_get(userId=one.user, recordKey=one.record_key)
        return found.data["targetAmount"]

    def list(self, user: str) -> Any:
        return sum(record.data["targetAmount"] for record in self._query(user))

    def put(self, one: Goal) -> Any:
        self._record(**goal.plain(one)).sync_save()

    def write(self, many: Sequence[Goal]) -> Any:
        with self._writer(self._client, goal.TABLE) as batch:
            for one in many:
                batch.put(goal.plain(one))

    def read(self, many: Sequence[Goal]) -> Any:
        found = self._record.sync_batch_get([goal.plain_key(one) for one in many])
        return sum(record.data["targetAmount"] for record in found)

    def keep(self, user: str) -> Any:
        return list(self._query(user))


class RawSocket(Synchronous):
    """What no client can be much cheaper than: a signature, a socket and a JSON parser."""

    name = "raw socket, orjson (plain dicts)"

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

    def get(self, one: Goal) -> Any:
        reply = self._call("GetItem", {"TableName": goal.TABLE, "Key": goal.key(one)})
        return _amount(reply["Item"])

    def list(self, user: str) -> Any:
        return sum(map(_amount, self.keep(user)))

    def put(self, one: Goal) -> Any:
        self._call("PutItem", {"TableName": goal.TABLE, "Item": goal.item(one)})

    def write(self, many: Sequence[Goal]) -> Any:
        for some in _groups(many, GROUP):
            self._call("BatchWriteItem", {"RequestItems": _puts(some)})

    def read(self, many: Sequence[Goal]) -> Any:
        total = 0
        for some in _groups(many, KEYS):
            reply = self._call("BatchGetItem", {"RequestItems": _keys(some)})
            total += sum(map(_amount, reply["Responses"][goal.TABLE]))
        return total

    def keep(self, user: str) -> Any:
        return _pages(lambda request: self._call("Query", request), user)

    def close(self) -> None:
        self._socket.close()


def _amount(item: dict[str, Any]) -> int:
    return int(item["data"]["M"]["targetAmount"]["N"])


def _groups(many: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (many[start : start + size] for start in range(0, len(many), size))


def _puts(some: Sequence[Goal]) -> dict[str, Any]:
    return {goal.TABLE: [{"PutRequest": {"Item": goal.item(one)}} for one in some]}


def _keys(some: Sequence[Goal]) -> dict[str, Any]:
    return {goal.TABLE: {"Keys": [goal.key(one) for one in some]}}


def _pages(send: Callable[[dict[str, Any]], dict[str, Any]], user: str) -> list[dict[str, Any]]:
    request = goal.query(user)
    reply = send(request)
    items: list[dict[str, Any]] = reply["Items"]
    while last := reply.get("LastEvaluatedKey"):
        reply = send(request | {"ExclusiveStartKey": last})
        items += reply["Items"]
    return items


CLIENTS: dict[str, tuple[str, Callable[[str], Client]]] = {
    "direct": ("pycurl", lambda endpoint: ThriveCalc(endpoint, "direct")),
    "botocore": ("botocore", lambda endpoint: ThriveCalc(endpoint, "botocore")),
    "PynamoDB": ("pynamodb", PynamoDB),
    "boto3": ("boto3", Boto3),
    "pydynox": ("pydynox", Pydynox),
    "dynamoxy": ("dynamoxy", Dynamoxy),
    "aiodynamo": ("aiodynamo", Aiodynamo),
    "raw socket": ("orjson", RawSocket),
}
"""By a short name: the package that it needs, and what makes it for an endpoint."""


def present() -> list[str]:
    """The short names of the clients whose package is installed here."""
    return [name for name, (package, _) in CLIENTS.items() if importlib.util.find_spec(package)]


@contextlib.contextmanager
def opened(endpoint: str) -> Iterator[dict[str, Client]]:
    """Every client whose package is installed, by its short name."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Client] = {}
        for name, (package, make) in CLIENTS.items():
            if name in present():
                made[name] = stack.enter_context(contextlib.closing(make(endpoint)))
            else:
                print(f"without {package}, which is not installed here", file=sys.stderr)
        yield made
