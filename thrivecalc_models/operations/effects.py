"""The effects that a protocol yields to its driver, and what it receives for them.

A protocol is a generator. It yields `Send` or `Wait`, and is resumed with `Received` or with the
time. A protocol with intermediate results yields them as `Emit`. It never does I/O, and the driver
never decides anything.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, Generic, TypeVar

import attrs

from thrivecalc_models.operations.replies import Result
from thrivecalc_models.operations.requests import Operation
from thrivecalc_models.value import internal

T = TypeVar("T")
R = TypeVar("R")


@internal
class Send:
    """Send operations at the same time; resumed with `Received` once all have ended.

    The driver starts no more of them after a failure of a kind in `FATAL`, an interrupt, or
    `deadline` seconds without an answer (since `quiet_since`, or since the effect was yielded).
    Those not started come back as failures of the kind NOT_STARTED.
    """

    operations: tuple[Operation, ...]
    attempt: int = 1
    deadline: float = math.inf
    quiet_since: float | None = None


@internal
class Wait:
    """Wait for so many seconds; resumed with `Received` without results.

    Before a retry, `operation`, `attempt` (counted from 1) and `code` describe the failure. With an
    `attempt` alone other requests follow than retries.
    """

    seconds: float
    operation: str = ""
    attempt: int = 0
    code: str = ""


@internal
class Emit(Generic[T]):
    """An intermediate result; resumed with None when the next one is wanted.

    With `ahead` the protocol may be resumed earlier, to have the next result ready.
    """

    value: T
    ahead: bool = False


@internal
class Received:
    """The results in the order of the operations, and the clock (monotonic seconds) after them.

    `since` is the clock before them. `interrupt` is the exception (KeyboardInterrupt, SystemExit,
    …) that asks the protocol to end: it must start nothing more and return its report.
    """

    results: tuple[Result, ...]
    at: float
    interrupt: BaseException | None = None
    since: float = attrs.field(default=0.0, eq=False)


Flow = Generator[Send | Wait | Emit[Any], Received, R]
