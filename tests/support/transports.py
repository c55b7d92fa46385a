"""Which transport the tests run on, and which tests have requests that travel at all.

A store that is not told takes the direct transport. With `--transport botocore` there is a handler
on botocore in this process and in all that it starts, so that such a store takes botocore's. Only
the tests that need one then run: those in which the last run on the direct transport saw a store
choose, or a process start. Where there was no such run, all do.

`--part` takes the tests of the library, or those of the command `thrivecalc` and of what only it
uses: `make test` runs these beside the others, and once, since they stand on stores.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from thrivecalc_models.transport.auto import Choosing

ON_BOTOCORE = Path(__file__).parent / "on_botocore"
TRAVELLED = "thrivecalc/travelled"
OF_THE_COMMAND = ("tests/cli/", "tests/docs/test_operations")


class Watch:
    """Notes the test during which a store chooses its transport, or a process starts."""

    def __init__(self) -> None:
        self.test = ""
        self.ran: set[str] = set()
        self.travelled: set[str] = set()

    def note(self) -> None:
        self.travelled.add(self.test)

    def audit(self, event: str, arguments: Any) -> None:
        called = event == "socket.connect" and isinstance(arguments[1], str)  # see warm.py
        if called or event == "subprocess.Popen":
            self.note()


WATCH = pytest.StashKey[Watch]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=["auto", "botocore"],
        default="auto",
        help="what stores take that may choose; auto is the direct one",
    )
    parser.addoption(
        "--part",
        choices=["all", "library", "base", "faults", "command"],
        default="all",
        help="the tests of the library, which are base and faults, or those of the command",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--transport") == "botocore":
        paths = [str(ON_BOTOCORE), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        runpy.run_path(str(ON_BOTOCORE / "sitecustomize.py"))
        return
    watch = config.stash[WATCH] = Watch()
    choose = Choosing.chosen

    def chosen(self: Choosing[Any]) -> Any:
        watch.note()
        return choose(self)

    Choosing.chosen = chosen  # type: ignore[method-assign]
    sys.addaudithook(watch.audit)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    cache = getattr(config, "cache", None)  # none with -p no:cacheprovider
    travelled = cache.get(TRAVELLED, None) if cache else None
    on_auto = config.getoption("--transport") == "auto"
    part = config.getoption("--part")

    def wanted(item: pytest.Item) -> bool:
        if part not in ("all", *_parts_of(item.nodeid)):
            return False
        return on_auto or travelled is None or item.nodeid in travelled

    kept = [item for item in items if wanted(item)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
        items[:] = kept


def _parts_of(test: str) -> tuple[str, ...]:
    """The parts that have a test."""
    if test.startswith(OF_THE_COMMAND):
        return ("command",)
    return "library", "faults" if test.startswith("tests/faults/") else "base"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    watch = item.config.stash.get(WATCH, None)
    if watch is not None:
        watch.test = item.nodeid
        watch.ran.add(item.nodeid)
    return (yield)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    config = session.config
    chosen = config.getoption("--part") != "all" or config.getoption("--transport") != "auto"
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and chosen:
        session.exitstatus = pytest.ExitCode.OK  # what was asked for is in another run
    watch = config.stash.get(WATCH, None)
    cache = getattr(config, "cache", None)
    if watch is not None and cache and config.getoption("--part") != "command":
        before = set(cache.get(TRAVELLED, []))
        cache.set(TRAVELLED, sorted(before - watch.ran | watch.travelled & watch.ran))


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("--transport") == "auto":
        return "transport: direct, where a store may choose"
    return "transport: botocore, where a store may choose; tests without requests are left out"
