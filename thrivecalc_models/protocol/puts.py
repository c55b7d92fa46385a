"""Put whole items of any user: for filling a table from outside, not for serving users."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterable, Sequence

from thrivecalc_models import table
from thrivecalc_models.operations import (
    ITEMS_LEFT,
    Absent,
    Failure,
    FailureKind,
    Flow,
    Key,
    PutItem,
    Reply,
    Result,
    consumed_units,
)
from thrivecalc_models.protocol.commit import commit
from thrivecalc_models.protocol.failures import ServiceFailure
from thrivecalc_models.protocol.plan import Intent, PendingWrite
from thrivecalc_models.protocol.retry import RetryPolicy, send_until_done
from thrivecalc_models.value import frozen
from thrivecalc_models.wire import Item, item_size, same_item, write_units

Same = Callable[[Item, Item], bool]


class PutOutcome(enum.Enum):
    """What came of one put."""

    WRITTEN = "written"
    SAME = "the same item was there"
    TAKEN = "another item was there, and is there still"
    REFUSED = "the service found it invalid"


def put_items(items: Iterable[Item], policy: RetryPolicy, rng: random.Random) -> Flow[float]:
    """Put items of distinct keys, until none is unprocessed; ends with the write units.

    What may have been applied is sent again: a put of the same item twice is the same as once.
    Raises ServiceFailure, and then any of the items may have been written.
    """
    writes = [
        PendingWrite(key=str(number), intent=Intent.PUT, write=PutItem(item=item), after=item)
        for number, item in enumerate(items)
    ]
    account = yield from commit(writes, policy, rng)
    if account.complete:
        return account.write_units
    failed = [each for each in account.outcomes.values() if each.failure is not None]
    raise ServiceFailure(failed[0].operation, failed[0].failure or ITEMS_LEFT)


@frozen
class Puts:
    """What came of each item, in their order, and the write units of all."""

    outcomes: list[PutOutcome]
    units: float


def put_each(
    items: Sequence[Item],
    *,
    only_free: bool,
    policy: RetryPolicy,
    rng: random.Random,
    same: Same = same_item,
) -> Flow[Puts]:
    """Put items of distinct keys, with `only_free` only those whose key is free.

    `same` says of the stored item and of the one to be put whether there is nothing to write: so a
    put whose reply was lost meets itself. Raises ServiceFailure, and then any of the items may
    have been written.
    """
    condition = Absent((table.USER_ID,)) if only_free else None
    puts = {Key.of(item): PutItem(item=item, condition=condition) for item in items}
    left = dict(puts)
    outcomes: dict[Key, PutOutcome] = {}
    units = 0.0

    def take(put: PutItem, result: Result) -> Failure | None:
        nonlocal units
        outcome = _outcome(put, result, same)
        if outcome is None:
            assert isinstance(result, Failure)
            return result
        outcomes[put.key] = outcome
        units += _units(put, result)
        del left[put.key]
        return None

    yield from send_until_done(left, lambda: list(left.values()), take, policy, rng)
    return Puts([outcomes[key] for key in puts], units)


def _outcome(put: PutItem, result: Result, same: Same) -> PutOutcome | None:
    """What came of a put, or None where that is not known yet."""
    if isinstance(result, Reply):
        return PutOutcome.WRITTEN
    if result.kind is FailureKind.CONDITION_FAILED:
        known = result.item is not None and same(result.item, put.item)
        return PutOutcome.SAME if known else PutOutcome.TAKEN
    return PutOutcome.REFUSED if result.kind is FailureKind.INVALID else None


def _units(put: PutItem, result: Result) -> float:
    """As reported; a failed condition costs, too, and reports nothing."""
    if isinstance(result, Reply):
        return consumed_units(result.body)
    return (
        float(write_units(item_size(put.item)))
        if result.kind is FailureKind.CONDITION_FAILED
        else 0.0
    )
