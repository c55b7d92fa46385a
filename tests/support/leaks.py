"""Canaries, and the watch that no run of the tests may end with one in the wrong place.

Tests that use these values in their data make the whole suite a proof: at the end of its life every
exception of the library is looked at, and with it everything in its chain of `__cause__` and
`__context__`; so is every line that the library logs, below its level too, and every event that an
observer is given. A canary in one of them fails the run, and the summary says where.
"""

from __future__ import annotations

import gc
import itertools
import logging
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pynamodb.exceptions import PynamoDBException

from thrivecalc_models import ThriveCalcError, signals
from thrivecalc_models.protocol import ServiceFailure

AMOUNT = "73421.19"
UNSAFE_AMOUNT = "73421.1900000000000000001"
HUGE_AMOUNT = "7342119" + "0" * 20
NAME = "Wilhelmina Zwitscher"
EMAIL = "wilhelmina.zwitscher@canary.example"
USER = "google-oauth2|998877665544332211"

# As they are, as a float or Decimal prints them, with separators; few enough digits would be found
# in a random id.
CANARY = re.compile(
    r"73[,_]?421\.19|7342119(?:0000|[eE.])|7\.342119|[Zz]witscher|998877665544332211"
)

_WATCHED = (ThriveCalcError, PynamoDBException, ServiceFailure)
_SHOWN = 10
_EVERYTHING = 1  # a level that nobody else sets


class Watch:
    """Looks for canaries in what a service's logs, error tracker and metrics would get to see."""

    def __init__(self) -> None:
        self.leaks: list[str] = []
        self.during = "the collection"
        self.errors = self.lines = self.events = 0

    def error(self, error: BaseException) -> None:
        """An exception, everything that led to it, and the records that it carries."""
        self.errors += 1
        for each in chain_of(error):
            self._look(f"{type(each).__name__}{_place_of(each)}", shown_by(each))

    def line(self, record: logging.LogRecord) -> None:
        self.lines += 1
        self._look("a log line", f"{record.getMessage()} {record.args!r}")
        if record.exc_info and record.exc_info[1]:
            self.error(record.exc_info[1])

    def event(self, event: object) -> None:
        self.events += 1
        self._look("an event", repr(event))

    def _look(self, what: str, text: str) -> None:
        if CANARY.search(text):
            self.leaks.append(f"{what}, during {self.during}: {text[:500]}")


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and those it came from, suppressed ones too: error trackers show them all."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        waiting.extend(one for one in (each.__cause__, each.__context__) if one is not None)


def shown_by(error: BaseException) -> str:
    """What is shown of an exception, and of the records that it carries."""
    carried = [getattr(error, name, None) for name in ("record", "stored")]
    return f"{error} {error!r} {getattr(error, '__notes__', '')} {carried}"


def _place_of(error: BaseException) -> str:
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


# --- over the whole suite -------------------------------------------------------------------------


class _Everything(logging.Filter):
    """Shows the watch every line of the library, and to others what they would see without it."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def filter(self, record: logging.LogRecord) -> bool:
        self.watch.line(record)
        if signals.LOGGER.level != _EVERYTHING:
            return True  # a test has set a level of its own
        return record.levelno >= logging.getLogger().getEffectiveLevel()


class _Plugin:
    def __init__(self) -> None:
        self.watch = watch = Watch()
        self.patch = pytest.MonkeyPatch()
        # An exception is looked at when it dies: only then is it certain what it came from.
        for base in _WATCHED:
            self.patch.setattr(base, "__del__", lambda error: watch.error(error), raising=False)
        for event_class in typing.get_args(signals.Event):
            self.patch.setattr(event_class, "__init__", _seen(event_class.__init__, watch.event))
        self.lines = _Everything(watch)
        signals.LOGGER.addFilter(self.lines)
        signals.LOGGER.setLevel(_EVERYTHING)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.watch.during = nodeid

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        gc.collect()
        for alive in gc.get_objects():
            if issubclass(type(alive), _WATCHED):
                self.watch.error(alive)
        if self.watch.leaks and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        watch = self.watch
        looked = f"{watch.errors:,} errors, {watch.lines:,} log lines, {watch.events:,} events"
        if not watch.leaks:
            terminalreporter.write_line(f"no leaks in {looked}")
            return
        terminalreporter.section("leaks", red=True)
        for leak in itertools.islice(dict.fromkeys(watch.leaks), _SHOWN):
            terminalreporter.write_line(leak)
        terminalreporter.write_line(f"{len(watch.leaks):,} in {looked}")

    def pytest_unconfigure(self) -> None:
        signals.LOGGER.removeFilter(self.lines)
        signals.LOGGER.setLevel(logging.NOTSET)
        self.patch.undo()


def _seen(init: Any, tell: Any) -> Any:
    def seen(self: object, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        tell(self)

    return seen


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Plugin(), "leaks-watch")
