"""Stores on a simulated table, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Any

from thrivecalc_models.protocol import RetryPolicy
from thrivecalc_models.records import Session
from thrivecalc_models.signals import Observer
from thrivecalc_models.store import AsyncDataStore, DataStore
from thrivecalc_models.table import Settings
from thrivecalc_models.testing.simulation import SimulatedTable
from thrivecalc_models.transport import Driver
from thrivecalc_models.transport.async_driver import AsyncDriver
from thrivecalc_models.transport.beginning import Abandon, Beginner, Ended, Sent


def simulated_store(
    table: SimulatedTable,
    *,
    retry: RetryPolicy | None = None,
    js_safe_numbers: bool = True,
    batch_updates: bool = False,
    seed: int = 0,
    observer: Observer | None = None,
    **options: Any,
) -> DataStore:
    """A store whose requests go to `table`, one at a time, in its virtual time.

    `seed` fixes what the store draws: the jitter of its waits, and the random part of its stamps.
    Several stores on one table draw different numbers. `options` are `clock` and `new_id`, as of
    DataStore.
    """
    driver = Driver(
        table,
        table.table_name,
        max_concurrency=1,
        monotonic=table.monotonic,
        sleep=table.sleep,
        observer=observer,
    )
    return DataStore.of_session(
        _session(
            table,
            driver,
            seed=seed,
            retry=retry or RetryPolicy(),
            js_safe_numbers=js_safe_numbers,
            batch_updates=batch_updates,
            observer=observer,
            **options,
        )
    )


def simulated_async_store(
    table: SimulatedTable,
    *,
    retry: RetryPolicy | None = None,
    js_safe_numbers: bool = True,
    batch_updates: bool = False,
    seed: int = 0,
    observer: Observer | None = None,
    max_concurrency: int = 1,
    timeout: float = 10.0,
    **options: Any,
) -> AsyncDataStore:
    """An asynchronous store whose requests go to `table`, in its virtual time.

    Each request and each wait gives other tasks a turn, and so may be cancelled: a request before
    it is performed, and again before its reply arrives. The other options are of `simulated_store`
    and of AsyncDataStore.
    """
    driver = AsyncDriver(
        _OnLoop(table),
        table.table_name,
        max_concurrency=max_concurrency,
        timeout=timeout,
        monotonic=table.monotonic,
        sleep=table.sleep,
        observer=observer,
    )
    return AsyncDataStore.of_session(
        _session(
            table,
            driver,
            seed=seed,
            retry=retry or RetryPolicy(),
            js_safe_numbers=js_safe_numbers,
            batch_updates=batch_updates,
            observer=observer,
            **options,
        )
    )


def _session(
    table: SimulatedTable, driver: Driver | AsyncDriver, *, seed: int, **options: Any
) -> Session:
    table.stores += 1
    settings = Settings(
        table_name=table.table_name, region="us-east-1", endpoint="http://localhost:1"
    )
    return Session(
        settings=settings,
        driver=driver,
        rng=random.Random(f"{seed} {table.stores}"),  # not a secret
        **({"clock": table.clock} | options),
    )


class _OnLoop(Beginner):
    """A simulated table on an event loop: it performs a request, and replies, in turns of these."""

    def __init__(self, table: SimulatedTable) -> None:
        self.name = table.name
        self.table = table

    def begin(self, operation: str, body: bytes, ended: Ended) -> Abandon:
        loop = asyncio.get_running_loop()
        loop.call_soon(self._perform, loop, operation, body, ended)
        return _nothing

    def _perform(
        self, loop: asyncio.AbstractEventLoop, operation: str, body: bytes, ended: Ended
    ) -> None:
        sent: Sent
        try:
            sent = self.table.send(operation, body)
        except BaseException as error:  # noqa: BLE001 - an interrupt comes out of the request
            sent = error
        loop.call_soon(partial(ended, sent))


def _nothing() -> None:
    """A request of a simulated table that nobody waits for is performed all the same."""
