"""Write whole items of any user, unconditionally: for filling a table, not for serving users."""

from __future__ import annotations

import random
from collections.abc import Iterable

from thrivecalc_models.operations import ITEMS_LEFT, Protocol, PutItem
from thrivecalc_models.protocol.commit import commit
from thrivecalc_models.protocol.failures import ServiceFailure
from thrivecalc_models.protocol.plan import Intent, PendingWrite
from thrivecalc_models.protocol.retry import RetryPolicy
from thrivecalc_models.wire import Item


def put_items(items: Iterable[Item], policy: RetryPolicy, rng: random.Random) -> Protocol[float]:
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
