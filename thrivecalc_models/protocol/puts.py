"""Write items one by one, each with its own outcome: for filling a table from outside."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Sequence

import attrs

from thrivecalc_models import table
from thrivecalc_models.operations import (
    Absent,
    Failure,
    FailureKind,
    Protocol,
    PutItem,
    Reply,
    Result,
    Wait,
    consumed_units,
)
from thrivecalc_models.protocol.failures import ServiceFailure
from thrivecalc_models.protocol.retry import Backoff, RetryPolicy, Silence, wait_for_rest
from thrivecalc_models.value import Value
from thrivecalc_models.wire import Item, item_size, same_item, write_units

Same = Callable[[Item, Item], bool]


class PutOutcome(enum.Enum):
    """What came of one put."""

    WRITTEN = "written"
    SAME = "the same item was there"
    TAKEN = "another item was there, and is there still"
    REFUSED = "the service found it invalid"


@attrs.frozen(eq=False, repr=False)
class Puts(Value):
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
) -> Protocol[Puts]:
    """Put items of distinct keys, with `only_free` those whose key nobody has.

    `same` says of the stored item and of the one to be put whether there is nothing to write: so a
    put whose reply was lost meets itself. Raises ServiceFailure, and then any of the items may
    have been written.
    """
    condition = Absent((table.USER_ID,)) if only_free else None
    puts = [PutItem(item=item, condition=condition) for item in items]
    outcomes: dict[int, PutOutcome] = {}
    units = 0.0
    started = yield Wait(0.0)
    backoff = Backoff(policy, rng, since=started.at)
    silence = Silence(policy.deadline)
    failure: Failure | None = None
    attempt = 1
    while open_ := [number for number in range(len(puts)) if number not in outcomes]:
        received = yield silence.send([puts[number] for number in open_], attempt)
        silence.heard(received)
        for number, result in zip(open_, received.results, strict=True):
            outcome = _outcome(puts[number], result, same)
            if outcome is not None:
                outcomes[number] = outcome
                units += _units(puts[number], result)
            elif isinstance(result, Failure) and result.kind is not FailureKind.NOT_STARTED:
                if not result.again:
                    raise ServiceFailure(PutItem.name, result)
                failure = result
        if failure is not None and len(outcomes) < len(puts):
            progress = len(outcomes) > len(puts) - len(open_)
            yield wait_for_rest(
                backoff, PutItem.name, failure, received, attempt, progress=progress
            )
        attempt += 1
    return Puts([outcomes[number] for number in range(len(puts))], units)


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
