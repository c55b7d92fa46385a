"""The faults of a request to the simulated table: one class for each kind.

A fault says what the caller sees; the ones with `applied` also say what happened in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from thrivecalc_models.value import frozen

if TYPE_CHECKING:
    from thrivecalc_models.testing.simulation import SimulatedTable


@frozen
class Throttle:
    """The service asks to slow down; nothing is applied."""


@frozen
class ServerError:
    """HTTP 500 or 503, which says nothing about whether the request was applied."""

    status: int = 500
    applied: bool = attrs.field(default=False, kw_only=True)


@frozen(kw_only=True)
class LoseReply:
    """The connection is lost after the request was sent: before or after it was applied."""

    applied: bool


@frozen(kw_only=True)
class Late:
    """The reply is lost now, and the write still on its way.

    It is performed just before the `after`-th later request, under its condition as it is then.
    """

    after: int = attrs.field(default=1, validator=attrs.validators.ge(1))


@frozen
class Overtaken:
    """The reply is lost now, and the write arrives after its retry was answered.

    It is performed before the first request that follows a later one about the same keys, under
    its condition as it is then.
    """


@frozen(kw_only=True)
class Partial:
    """A batch of which the first `keep` entries are processed, and the rest named as not.

    Statements that are not processed end with `ProvisionedThroughputExceeded`.
    """

    keep: int = attrs.field(default=0, validator=attrs.validators.ge(0))


@frozen
class Denied:
    """The credentials may not do this."""


@frozen
class ExpiredCredentials:
    """The credentials are not valid any more."""


@frozen
class NoTable:
    """There is no such table, for this request."""


@frozen
class TransactionConflict:
    """Another transaction is busy with an item; nothing is applied.

    A transaction is cancelled with `code` as the reason of its first entry: "TransactionConflict",
    "ThrottlingError" or "ProvisionedThroughputExceeded". In a batch of statements it is the error
    of the first one, and the others are performed.
    """

    code: str = "TransactionConflict"


@frozen(kw_only=True)
class StatementFailed:
    """One statement of a batch, counted from 0, ends with this code; the others are performed.

    `applied` says whether it is performed all the same, as with "InternalServerError".
    """

    code: str = "InternalServerError"
    at: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    applied: bool = False


@frozen(kw_only=True)
class BatchRefused:
    """A batch of statements is refused as a whole as invalid, before or after it was applied."""

    applied: bool


@frozen(kw_only=True)
class TransactionInProgress:
    """A transaction with this token is being worked on; `applied` says whether it comes through."""

    applied: bool = False


@frozen
class Refused:
    """No connection can be made: nothing was sent."""


@frozen(kw_only=True)
class Interrupt:
    """KeyboardInterrupt out of the request, before or after it was applied."""

    applied: bool


@frozen
class OtherWriter:
    """Someone else acts just before the request: `act` is called with the table."""

    act: Callable[[SimulatedTable], object]


Fault = (
    Throttle
    | ServerError
    | LoseReply
    | Late
    | Overtaken
    | Partial
    | Denied
    | ExpiredCredentials
    | NoTable
    | TransactionConflict
    | TransactionInProgress
    | StatementFailed
    | BatchRefused
    | Refused
    | Interrupt
    | OtherWriter
)

Schedule = Callable[[int, str, dict[str, Any]], Fault | None]
"""Gives the fault of a request from its number, operation and JSON."""

_BATCHES = frozenset({"BatchGetItem", "BatchWriteItem", "BatchExecuteStatement"})
_CONFLICTING = frozenset(
    {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "TransactWriteItems",
        "TransactGetItems",
        "BatchExecuteStatement",
    }
)


def concerns(fault: Fault, operation: str) -> bool:
    """Whether this fault can happen to this operation; where it cannot, nothing goes wrong."""
    match fault:
        case Partial():
            return operation in _BATCHES
        case TransactionInProgress():
            return operation == "TransactWriteItems"
        case TransactionConflict():
            return operation in _CONFLICTING
        case StatementFailed() | BatchRefused():
            return operation == "BatchExecuteStatement"
        case _:
            return True
