"""Writing whole items of any user, unconditionally: for filling a table, not for serving users."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from thrivecalc_models import table
from thrivecalc_models.operations import (
    BatchWrite,
    DeleteItem,
    Failure,
    Key,
    Kind,
    Protocol,
    PutItem,
    Reply,
    Send,
    Wait,
    consumed_units,
)
from thrivecalc_models.protocol.failures import ServiceFailure
from thrivecalc_models.protocol.retry import Backoff, RetryPolicy
from thrivecalc_models.wire import Item

BATCH_WRITES = 25
"""Source: BatchWriteItem, Amazon DynamoDB API Reference."""


def put_items(items: Iterable[Item], policy: RetryPolicy, rng: random.Random) -> Protocol[float]:
    """Put items of distinct keys, 25 a request, until none is unprocessed; ends with write units.

    All requests of a round go at the same time. What may have been applied is sent again: a put of
    the same item twice is the same as once. Raises ServiceFailure, and then any of the items may
    have been written.
    """
    remaining: list[PutItem | DeleteItem]
    remaining = [PutItem(key=_key_of(item), item=item) for item in items]
    units = 0.0
    started = yield Wait(0.0)
    backoff = Backoff(policy, rng, since=started.at)
    attempt = 1
    while remaining:
        batches = [
            BatchWrite(writes=tuple(remaining[start : start + BATCH_WRITES]))
            for start in range(0, len(remaining), BATCH_WRITES)
        ]
        received = yield Send(tuple(batches), attempt)
        sent = len(remaining)
        remaining, failure = [], None
        for batch, result in zip(batches, received.results, strict=True):
            if isinstance(result, Reply):
                units += consumed_units(result.body)
                left = _unprocessed(result.body)
                remaining += [put for put in batch.writes if put.key in left]
                failure = failure or (_ITEMS_LEFT if left else None)
            elif result.again:
                remaining += batch.writes
                failure = result
            elif result.kind is not Kind.NOT_STARTED:
                raise ServiceFailure(BatchWrite.name, result)
        if failure is not None:
            if len(remaining) < sent:
                backoff.progress(received.at)
            wait = backoff.next_wait(failure, received.at)
            if wait is None:
                raise ServiceFailure(BatchWrite.name, failure)
            yield Wait(wait, BatchWrite.name, attempt, failure.code)
        attempt += 1
    return units


_ITEMS_LEFT = Failure(kind=Kind.THROTTLED, code="UnprocessedItems", again=True)


def _key_of(item: Item) -> Key:
    return Key(item[table.USER_ID]["S"], item[table.RECORD_KEY]["S"])


def _unprocessed(body: dict[str, Any]) -> set[Key]:
    return {
        _key_of(entry["PutRequest"]["Item"])
        for entries in body.get("UnprocessedItems", {}).values()
        for entry in entries
    }
