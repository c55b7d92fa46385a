"""Writing whole items of any user, unconditionally: for filling a table, not for serving users."""

from __future__ import annotations

import random
from collections.abc import Iterable

from thrivecalc_models.operations import (
    ITEMS_LEFT,
    BatchWrite,
    DeleteItem,
    Failure,
    Kind,
    Protocol,
    PutItem,
    Reply,
    Wait,
    consumed_units,
    unprocessed_writes,
)
from thrivecalc_models.protocol.failures import ServiceFailure
from thrivecalc_models.protocol.plan import BATCH_WRITES
from thrivecalc_models.protocol.retry import Backoff, RetryPolicy, Silence, wait_for_rest
from thrivecalc_models.wire import Item


def put_items(items: Iterable[Item], policy: RetryPolicy, rng: random.Random) -> Protocol[float]:
    """Put items of distinct keys, 25 a request, until none is unprocessed; ends with write units.

    All requests of a round go at the same time. What may have been applied is sent again: a put of
    the same item twice is the same as once. Raises ServiceFailure, and then any of the items may
    have been written.
    """
    remaining: list[PutItem | DeleteItem]
    remaining = [PutItem(item=item) for item in items]
    units = 0.0
    started = yield Wait(0.0)
    backoff = Backoff(policy, rng, since=started.at)
    silence = Silence(policy.deadline)
    failure: Failure | None = None
    attempt = 1
    while remaining:
        batches = [
            BatchWrite(writes=tuple(remaining[start : start + BATCH_WRITES]))
            for start in range(0, len(remaining), BATCH_WRITES)
        ]
        received = yield silence.send(batches, attempt)
        silence.heard(received)
        sent = len(remaining)
        remaining = []
        for batch, result in zip(batches, received.results, strict=True):
            if isinstance(result, Reply):
                units += consumed_units(result.body)
                left = unprocessed_writes(result.body)
                remaining += [put for put in batch.writes if put.key in left]
                failure = ITEMS_LEFT if left else failure
            elif result.again:
                remaining += batch.writes
                failure = result
            elif result.kind is Kind.NOT_STARTED:
                remaining += batch.writes
            else:
                raise ServiceFailure(BatchWrite.name, result)
        if remaining and failure is not None:
            progress = len(remaining) < sent
            yield wait_for_rest(
                backoff, BatchWrite.name, failure, received, attempt, progress=progress
            )
        attempt += 1
    return units
