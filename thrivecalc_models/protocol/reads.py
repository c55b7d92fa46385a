"""Read one item, many items, or page after page. A read is complete or an error, never short."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from thrivecalc_models import table
from thrivecalc_models.operations import (
    BatchGet,
    Emit,
    Failure,
    FailureKind,
    Flow,
    GetItem,
    Key,
    Query,
    Reply,
    Result,
    Scan,
    consumed_units,
)
from thrivecalc_models.protocol.failures import PageError, SegmentError, ServiceFailure
from thrivecalc_models.protocol.retry import Backoff, RetryPolicy, Rounds, persist, send_until_done
from thrivecalc_models.value import internal
from thrivecalc_models.wire import Item, StoredItem

BATCH_GET_KEYS = 100
"""Source: BatchGetItem, Amazon DynamoDB API Reference."""


@internal
class ItemPage:
    """One page of a query. `after` is the record key that the next page starts after, or None.

    `units` are the read units that it cost, `count` its number of items, also where none are sent.
    """

    items: list[StoredItem] = attrs.field(repr=False)
    after: str | None
    units: float
    count: int


def get_item(
    operation: GetItem, policy: RetryPolicy, rng: random.Random
) -> Flow[StoredItem | None]:
    """Read the item under a key, or None. Raises ServiceFailure."""
    result = yield from persist(operation, policy, rng)
    if isinstance(result, Failure):
        raise ServiceFailure(operation.name, result)
    return result.body.get("Item")


def read_pages(query: Query, policy: RetryPolicy, rng: random.Random) -> Flow[None]:
    """Emit page after page until the service names no next key; an empty page is not the end.

    Raises PageError with the number of the page that could not be read.
    """
    number = 1
    while True:
        page = yield from read_page(query, policy, rng, number=number)
        yield Emit(page, ahead=page.after is not None)
        if page.after is None:
            return
        query = attrs.evolve(query, after=page.after)
        number += 1


def read_page(
    query: Query, policy: RetryPolicy, rng: random.Random, *, number: int = 1
) -> Flow[ItemPage]:
    """Read one page. Raises PageError."""
    result = yield from persist(query, policy, rng)
    if isinstance(result, Failure):
        raise PageError(query.name, result, number)
    last: Item | None = result.body.get("LastEvaluatedKey")
    after = None if last is None else last[table.RECORD_KEY]["S"]
    items = result.body["Items"]
    count = result.body["Count"] if query.counts else len(items)
    return ItemPage(items, after, consumed_units(result.body), count)


@internal
class Segment:
    """One page of one parallel segment of the table, with every user's items.

    `after` is the key that the next page starts after, None at the end of the segment. `units` are
    the read units that the page cost.
    """

    number: int
    items: list[Item] = attrs.field(repr=False)
    after: Item | None = attrs.field(repr=False)
    units: float


def scan_segments(
    scan: Scan, after: Mapping[int, Item | None], policy: RetryPolicy, rng: random.Random
) -> Flow[None]:
    """Emit the pages of all segments: each round sends the next page of every unfinished one.

    A segment that `after` names goes on after that key, or is finished if it is None; the others
    begin. A page that may succeed later is sent again, each segment with its own budget. Raises
    SegmentError for a page that cannot be read, after the pages of the other segments.
    """
    numbers = [number for number in range(scan.segments) if after.get(number, True) is not None]
    pages = [attrs.evolve(scan, segment=number, after=after.get(number)) for number in numbers]
    rounds = Rounds(policy, rng, policy.deadline)
    backoffs: dict[int, Backoff] = {}
    failed: Failure | None = None
    while pages:
        received = yield from rounds.send(pages)
        lost: SegmentError | None = None
        longest: tuple[float, str] | None = None
        following: list[Scan] = []
        for page, result in zip(pages, received.results, strict=True):
            backoff = backoffs.setdefault(page.segment, rounds.backoff())
            if isinstance(result, Reply):
                backoff.progress(received.at)
                last: Item | None = result.body.get("LastEvaluatedKey")
                units = consumed_units(result.body)
                yield Emit(Segment(page.segment, result.body["Items"], last, units))
                if last is not None:
                    following.append(attrs.evolve(page, after=last))
                continue
            following.append(page)
            if result.kind is not FailureKind.NOT_STARTED:
                failed = result
            if failed is None:
                continue
            # A page that was not started shares the fate of one that was.
            seconds = backoff.next_wait(failed, received.at) if failed.again else None
            if seconds is None:
                lost = lost or SegmentError(scan.name, failed, page.segment, scan.segments)
            elif longest is None or seconds >= longest[0]:
                longest = (seconds, failed.code)
        del received, result  # two rounds at once would take twice the memory
        if lost is not None:
            raise lost
        if longest is None:
            rounds.attempt = 1
        else:
            yield from rounds.wait(longest[0], scan.name, longest[1])
        pages = following


def get_many(
    keys: Iterable[Key], *, consistent: bool, policy: RetryPolicy, rng: random.Random
) -> Flow[list[StoredItem]]:
    """Read the items under distinct keys, in no order; a key without an item is left out.

    A request has at most 100 keys, and all are sent at the same time. Unprocessed keys are asked
    for again, in as few requests as they fit in. While items come, the budget is whole. Raises
    ServiceFailure (THROTTLED if keys stay unprocessed).
    """
    left = dict.fromkeys(keys)
    items: list[StoredItem] = []

    def take(batch: BatchGet, result: Result) -> Failure | None:
        if isinstance(result, Failure):
            return result
        items.extend(items_read(result.body))
        unprocessed = unprocessed_keys(result.body)
        for key in set(batch.keys) - unprocessed:
            del left[key]
        return KEYS_LEFT if unprocessed else None

    yield from send_until_done(left, lambda: _batches(list(left), consistent), take, policy, rng)
    return items


def _batches(keys: list[Key], consistent: bool) -> list[BatchGet]:
    return [
        BatchGet(keys=tuple(keys[start : start + BATCH_GET_KEYS]), consistent=consistent)
        for start in range(0, len(keys), BATCH_GET_KEYS)
    ]


KEYS_LEFT = Failure(kind=FailureKind.THROTTLED, code="UnprocessedKeys", again=True)
"""The failure of each read that a BatchGetItem returns as unprocessed."""


def items_read(body: dict[str, Any]) -> list[StoredItem]:
    """The items in the reply to a BatchGetItem."""
    items: list[StoredItem] = body["Items"]
    return items


def unprocessed_keys(body: dict[str, Any]) -> set[Key]:
    """The keys that the reply to a BatchGetItem hands back."""
    return {
        Key.of(key)
        for rest in body.get("UnprocessedKeys", {}).values()
        for key in rest.get("Keys", ())
    }
