"""The peers of asyncio. A client of one's own goes here too: derive it from `Asynchronous`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any

from benchmarks import goal
from benchmarks.goal import Goal

GROUP = 25  # writes of a BatchWriteItem
KEYS = 100  # keys of a BatchGetItem


class Asynchronous:
    """Runs coroutines in an event loop of its own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()

    def run(self, call: Callable[[Any], Awaitable[Any]], arguments: Iterable[Any]) -> list[Any]:
        """Await with each argument, one after the other, in one task, as a program does."""

        async def one_task() -> list[Any]:
            return [await call(argument) for argument in arguments]

        return self._runner.run(one_task())

    def close(self) -> None:
        with self._runner:
            self._runner.run(self._stack.aclose())


class Aiodynamo(Asynchronous):
    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.name = f"aiodynamo {version('aiodynamo')} (plain dicts)"
        self._client = self._runner.run(self._open(endpoint))

    async def _open(self, endpoint: str) -> Any:
        from aiodynamo.client import Client
        from aiodynamo.credentials import Key, StaticCredentials
        from aiodynamo.http.aiohttp import AIOHTTP
        from aiohttp import ClientSession
        from yarl import URL

        session = await self._stack.enter_async_context(ClientSession())
        keys = StaticCredentials(Key(goal.ACCESS_KEY, goal.SECRET_KEY))
        return Client(AIOHTTP(session), keys, goal.REGION, URL(endpoint))

    def _query(self, user: str) -> Any:
        from aiodynamo.expressions import HashKey, RangeKey

        key = HashKey("userId", user) & RangeKey("recordKey").begins_with(goal.PREFIX)
        return self._client.query(goal.TABLE, key)

    async def get(self, one: Goal) -> Any:
        item = await self._client.get_item(goal.TABLE, goal.plain_key(one))
        return item["data"]["targetAmount"]

    async def list(self, user: str) -> Any:
        return sum([item["data"]["targetAmount"] async for item in self._query(user)])

    async def put(self, one: Goal) -> Any:
        await self._client.put_item(goal.TABLE, goal.plain(one))

    async def write(self, many: Sequence[Goal]) -> Any:
        from aiodynamo.models import BatchWriteRequest

        for start in range(0, len(many), GROUP):
            items = [goal.plain(one) for one in many[start : start + GROUP]]
            request = BatchWriteRequest(items_to_put=items)
            await self._client.batch_write({goal.TABLE: request})

    async def read(self, many: Sequence[Goal]) -> Any:
        from aiodynamo.models import BatchGetRequest

        total = 0
        for start in range(0, len(many), KEYS):
            keys = [goal.plain_key(one) for one in many[start : start + KEYS]]
            reply = await self._client.batch_get({goal.TABLE: BatchGetRequest(keys=keys)})
            total += sum(item["data"]["targetAmount"] for item in reply.items[goal.TABLE])
        return total

    async def keep(self, user: str) -> Any:
        return [item async for item in self._query(user)]


class Dynamoxy(Asynchronous):
    def __init__(self, endpoint: str) -> None:
        super().__init__()
        import dynamoxy

        from benchmarks.dynamoxy_model import Record

        self.name = f"dynamoxy {version('dynamoxy')}"
        self._record = Record
        client = dynamoxy.Client(
            region=goal.REGION,
            endpoint_url=endpoint,
            credentials=dynamoxy.Credentials(goal.ACCESS_KEY, goal.SECRET_KEY),
        )
        opened = self._runner.run(self._stack.enter_async_context(client))
        self._records = opened.repository(Record)

    async def get(self, one: Goal) -> Any:
        return (await self._records.get(one.user, one.record_key)).data["targetAmount"]

    async def list(self, user: str) -> Any:
        found = self._records.query(userId=user)
        return sum([record.data["targetAmount"] async for record in found])

    async def put(self, one: Goal) -> Any:
        await self._records.put(self._record(**goal.plain(one)))

    async def write(self, many: Sequence[Goal]) -> Any:
        await self._records.batch_put([self._record(**goal.plain(one)) for one in many])

    async def read(self, many: Sequence[Goal]) -> Any:
        found = await self._records.batch_get([(one.user, one.record_key) for one in many])
        return sum(record.data["targetAmount"] for record in found)

    async def keep(self, user: str) -> Any:
        return [record async for record in self._records.query(userId=user)]
