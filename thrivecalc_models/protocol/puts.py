"""Put whole items of any user, to fill a table from outside."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterable, Sequence

from thrivecalc_models import table
from thrivecalc_models.operations import (
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
from thrivecalc_models.value import internal
from thrivecalc_models.wire import Item, item_size, same_item, write_units

Same = Callable[[Item, Item], bool]


class PutOutcome(enum.Enum):
    """The end of one put."""

    WRITTEN = "written"
    SAME = "the same item was stored"
    TAKEN = "another item was stored, and still is"
    REFUSED = "the service found it invalid"


def put_items(items: Iterable[Item], policy: RetryPolicy, rng: random.Random) -> Flow[float]:
    """Put items of distinct keys in batches, and return the write units.

    Raises ServiceFailure, and then any of the items may have been written.
    """
    writes = [
        PendingWrite(key=str(number), intent=Intent.PUT, write=PutItem(item=item), after=item)
        for number, item in enumerate(items)
    ]
    report = yield from commit(writes, policy, rng)
    if report.complete:
        return report.write_units
    ends = report.outcomes.values()
    operation, failure = next((end.operation, end.failure) for end in ends if end.failure)
    raise ServiceFailure(operation, failure)


@internal
class Puts:
    """The end of each put, in the order of the items, and the write units of all."""

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
    """Put items of distinct keys one by one, with `only_free` only if the key is free.

    Unlike in a commit, an item that the service finds invalid does not end the others, and the
    budget is whole while any of them is written. `same` says whether the stored item and the one
    to be put are the same: so a put whose reply was lost recognises its own item. Raises
    ServiceFailure, and then any of the items may have been written.
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
    """The end of a put, or None if it is not known yet."""
    if isinstance(result, Reply):
        return PutOutcome.WRITTEN
    if result.kind is FailureKind.CONDITION_FAILED:
        known = result.item is not None and same(result.item, put.item)
        return PutOutcome.SAME if known else PutOutcome.TAKEN
    return PutOutcome.REFUSED if result.kind is FailureKind.INVALID else None


def _units(put: PutItem, result: Result) -> float:
    """Write units as reported; a failed condition consumes them, too, and reports nothing."""
    if isinstance(result, Reply):
        return consumed_units(result.body)
    failed = result.kind is FailureKind.CONDITION_FAILED
    return float(write_units(item_size(put.item))) if failed else 0.0
