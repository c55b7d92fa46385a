"""The result of a request: a reply, or a failure that says what may have happened."""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs

from thrivecalc_models.value import frozen, internal
from thrivecalc_models.wire import Item


class FailureKind(enum.Enum):
    """Why a request failed, as far as it decides what to do next."""

    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    CONDITION_FAILED = "condition failed"
    TRANSACTION_CANCELLED = "transaction cancelled"
    TRANSACTION_CONFLICT = "transaction conflict"
    TRANSACTION_IN_PROGRESS = "transaction in progress"
    TOKEN_MISMATCH = "token mismatch"
    INVALID = "invalid"
    NO_TABLE = "no table"
    DENIED = "denied"
    CREDENTIALS = "credentials"
    NOT_UNDERSTOOD = "reply not understood"
    ITEM_OF_ANOTHER = "item of another"
    INTERRUPTED = "interrupted"
    NOT_STARTED = "not started"
    CLOSED = "closed"


FATAL = frozenset(
    {FailureKind.NO_TABLE, FailureKind.DENIED, FailureKind.CREDENTIALS, FailureKind.CLOSED}
)
"""After one of these nothing more is started: every further request would fail likewise."""


@internal(kw_only=True)
class Reply:
    """A successful answer: DynamoDB's JSON, with binary values as base64 text.

    `proven` says that the consumed capacity that was asked for is in it, or that a mock answered in
    place of the network, which is believed without it.
    """

    body: dict[str, Any] = attrs.field(repr=False)
    request_id: str | None = None
    proven: bool = attrs.field(default=False, eq=False)


@frozen(kw_only=True)
class Reason:
    """Why one entry of a transaction was cancelled; code "None" if it was not the cause."""

    code: str
    item: Item | None = attrs.field(default=None, repr=False)


@frozen(kw_only=True)
class Failure:
    """A request that did not succeed.

    `applied_maybe` is False if nothing of this try can have been applied. `again` says whether the
    same request can succeed later. `item` is the stored item that came with a failed condition
    (None: no item is stored, or it was not asked for). `message` is the service's own text, which
    may repeat what was sent: it is an attribute of errors, never part of a message. `advice` is our
    sentence about the cause and the remedy, if more is known than the code. `stale` says that a
    connection kept from an earlier request broke before the first byte of a reply: it may have been
    dead for long, so this try counts only for `applied_maybe`. `path` is the part of the key that
    differs in an item with another key.
    """

    kind: FailureKind
    code: str
    applied_maybe: bool = False
    again: bool = False
    stale: bool = False
    message: str = attrs.field(default="", repr=False)
    item: Item | None = attrs.field(default=None, repr=False)
    reasons: tuple[Reason, ...] = ()
    path: str | None = None
    request_id: str | None = None
    status: int | None = None
    advice: str = ""


Result = Reply | Failure


TOO_LARGE = 413
"""The HTTP status of a request that is too long for the service or for a proxy before it."""


def is_too_large(result: Result) -> bool:
    """Whether the request was refused for its length; then nothing of it was applied."""
    return isinstance(result, Failure) and result.status == TOO_LARGE


def is_answer(result: Result) -> bool:
    """Whether the service answered, even with a failure."""
    if isinstance(result, Reply) or result.status is not None:
        return True
    return result.kind not in _SILENT


_SILENT = frozenset(
    {
        FailureKind.UNAVAILABLE,
        FailureKind.NOT_UNDERSTOOD,
        FailureKind.ITEM_OF_ANOTHER,
        FailureKind.INTERRUPTED,
        FailureKind.NOT_STARTED,
        FailureKind.CLOSED,
    }
)


ITEMS_LEFT = Failure(kind=FailureKind.THROTTLED, code="UnprocessedItems", again=True)
"""The failure of each write that a BatchWriteItem did not process."""


READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"})


CONSUMED: Final = "ConsumedCapacity"


def consumed_units(body: dict[str, Any]) -> float:
    """The read or write units that a reply reports; 0 if it reports none that can be read."""
    consumed = body.get(CONSUMED)
    return sum(map(_units, consumed)) if isinstance(consumed, list) else _units(consumed)


def _units(consumed: Any) -> float:
    units = consumed.get("CapacityUnits") if isinstance(consumed, dict) else None
    if isinstance(units, int | float) and 0 <= units <= _MOST_UNITS:
        return float(units)
    return 0.0


_MOST_UNITS = 1e9
"""Far above what one request can consume."""
