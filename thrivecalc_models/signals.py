"""Events for an observer, and a logger.

Events and log lines carry no personal data; a user appears as a short hash of the user id.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Final

from thrivecalc_models.value import frozen

LOGGER: Final = logging.getLogger("thrivecalc_models")
LOGGER.addHandler(logging.NullHandler())


@frozen(kw_only=True)
class RequestEvent:
    """One request has ended.

    `operation` is DynamoDB's name, `duration` in seconds, `attempt` counts from 1, units are those
    that the service reported, `outcome` is "ok" or the error code, `applied_maybe` says that a
    failed write may have been applied.
    """

    operation: str
    duration: float
    attempt: int
    outcome: str
    applied_maybe: bool = False
    read_units: float = 0.0
    write_units: float = 0.0
    request_id: str | None = None


@frozen(kw_only=True)
class RetryEvent:
    """A request will be sent again after `wait` seconds; `code` is the reason."""

    operation: str
    attempt: int
    wait: float
    code: str


@frozen(kw_only=True)
class CommitEvent:
    """A commit has ended: the number of writes by outcome, what they consumed, and the seconds.

    `user` is a short hash of the user id.
    """

    user: str
    applied: int
    existing: int
    not_applied: int
    unknown: int
    requests: int
    read_units: float
    write_units: float
    duration: float


Event = RequestEvent | RetryEvent | CommitEvent
Observer = Callable[[Event], object]


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line that called the library, however many of its own calls are in between."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_inside(module: str) -> bool:
    # weakref calls the finalizer of a unit that is dropped.
    return module.partition(".")[0] in ("thrivecalc_models", "pynamodb", "weakref")


def log(level: int, message: str, *arguments: object) -> None:
    """Log a line. If a filter or handler raises, only the type of its exception is logged.

    The exception's text may contain personal data.
    """
    try:
        LOGGER.log(level, message, *arguments)
    except Exception as error:  # noqa: BLE001 - a host's logging may not break what it logs
        with contextlib.suppress(Exception):
            LOGGER.error("logging raised %s", type(error).__name__)


def notify(observer: Observer | None, event: Event) -> None:
    """Call the observer with an event; if it raises, the type of its exception is logged."""
    if observer is None:
        return
    try:
        observer(event)
    except Exception as error:  # noqa: BLE001 - an observer may not break what it observes
        log(logging.ERROR, "the observer raised %s", type(error).__name__)
