"""A DataStore on a simulated table."""

from __future__ import annotations

import random
from typing import Any

from thrivecalc_models.protocol import RetryPolicy
from thrivecalc_models.records import Session
from thrivecalc_models.signals import Observer
from thrivecalc_models.store import DataStore
from thrivecalc_models.table import Settings
from thrivecalc_models.testing.simulation import SimulatedTable
from thrivecalc_models.transport import Driver


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
    table.stores += 1
    driver = Driver(
        table,
        table.table_name,
        max_concurrency=1,
        monotonic=table.monotonic,
        sleep=table.sleep,
        observer=observer,
    )
    settings = Settings(
        table_name=table.table_name, region="us-east-1", endpoint="http://localhost:1"
    )
    session = Session(
        settings=settings,
        driver=driver,
        retry=retry or RetryPolicy(),
        js_safe_numbers=js_safe_numbers,
        batch_updates=batch_updates,
        observer=observer,
        rng=random.Random(f"{seed} {table.stores}"),  # not a secret
        **({"clock": table.clock} | options),
    )
    return DataStore.of_session(session)
