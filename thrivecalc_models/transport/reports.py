"""Results of requests without a reply, and what observers and logs are told of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from thrivecalc_models.operations.effects import Wait
from thrivecalc_models.operations.replies import (
    READS,
    Failure,
    FailureKind,
    Reply,
    Result,
    consumed_units,
)
from thrivecalc_models.signals import Observer, RequestEvent, RetryEvent, log, notify

NOT_STARTED = Failure(kind=FailureKind.NOT_STARTED, code="NotStarted")
CLOSED = Failure(kind=FailureKind.CLOSED, code="StoreClosed")
IN_DOUBT = Failure(kind=FailureKind.INTERRUPTED, code="Interrupted", applied_maybe=True)
"""The result of a request in flight, until more is known."""


def in_doubt(error: BaseException) -> Failure:
    """The result of a request that ended with an exception, or that nobody waits for any more."""
    return attrs.evolve(IN_DOUBT, code=type(error).__name__)


class Reports:
    """Events for an observer, if there is one."""

    def __init__(self, observer: Observer | None, monotonic: Callable[[], float]) -> None:
        self._observer = observer
        self._monotonic = monotonic

    def started(self) -> float:
        """The clock before a request, if an observer wants to know how long it takes."""
        return 0.0 if self._observer is None else self._monotonic()

    def ended(self, name: str, result: Result, started: float, attempt: int) -> None:
        """Report a request that has ended."""
        if self._observer is None:
            return
        units = consumed_units(result.body) if isinstance(result, Reply) else 0.0
        event = RequestEvent(
            operation=name,
            duration=self._monotonic() - started,
            attempt=attempt,
            outcome="ok" if isinstance(result, Reply) else result.code,
            applied_maybe=isinstance(result, Failure) and result.applied_maybe,
            read_units=units if name in READS else 0.0,
            write_units=0.0 if name in READS else units,
            request_id=result.request_id,
        )
        notify(self._observer, event)

    def retry(self, wait: Wait) -> None:
        """Report and log a request that will be sent again."""
        log(
            logging.INFO,
            "%s failed at try %d (%s), next try in %.3f s",
            wait.operation,
            wait.attempt,
            wait.code,
            wait.seconds,
        )
        event = RetryEvent(
            operation=wait.operation, attempt=wait.attempt, wait=wait.seconds, code=wait.code
        )
        notify(self._observer, event)
