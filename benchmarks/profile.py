"""Where the CPU of the five operations goes, in the library on its direct transport.

    python -m benchmarks.profile

A timer interrupts the operations at every tick of the CPU time they take, and what the main thread
is at then is counted for the module that it is in, or was called from: times as they are in
context, with the caches cold from waiting. One request at a time, since only the main thread is
looked at. What runs in C until it returns (libcurl, the kernel, msgspec) counts for its caller.
"""

from __future__ import annotations

import collections
import gc
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from benchmarks import goal, report
from benchmarks.clients import ThriveCalc
from benchmarks.endpoint import running
from benchmarks.operations import HEADER, OPERATIONS, USERS

SECONDS = 4.0  # of CPU for each operation
TICK = 0.001  # seconds; the kernel may take its own, longer ones

PARTS = {
    "libcurl and the system": ("transport/direct/connections",),
    "signature": ("transport/signing",),
    "JSON, and what makes a reply of it": (
        "transport/direct",
        "transport/checks",
        "transport/bodies",
        "transport/encoding",
    ),
    "values, sizes and payloads": ("codec/", "wire/", "payloads/"),
    "records": ("records/",),
    "unit of work, plan, account, driver": ("",),  # and the rest of the library
}
CALLER = "the caller, who makes payloads and reads them"
ALL = "all of it"
COLLECTION = "garbage collection"


class Sampler:
    """Counts what the main thread is at, tick by tick."""

    def __init__(self) -> None:
        self.ticks: collections.Counter[str] = collections.Counter()

    def run(self, call: Callable[[], Any], seconds: float) -> tuple[int, float]:
        """How often it was called, and the seconds of CPU that this took."""
        calls, began = 0, time.process_time()
        signal.signal(signal.SIGPROF, self._tick)
        signal.setitimer(signal.ITIMER_PROF, TICK, TICK)
        gc.callbacks.append(_collected)
        try:
            while (taken := time.process_time() - began) < seconds:
                call()
                calls += 1
        finally:
            gc.callbacks.remove(_collected)
            signal.setitimer(signal.ITIMER_PROF, 0)
        return calls, taken

    def _tick(self, signum: int, frame: FrameType | None) -> None:
        self.ticks[_part(frame)] += 1


def _collected(phase: str, info: dict[str, int]) -> None:
    """The first Python code after a collection: here a tick that came in it is noticed."""


def _part(frame: FrameType | None) -> str:
    while frame is not None:
        if frame.f_code is _collected.__code__:
            return COLLECTION
        _, ours, module = frame.f_code.co_filename.rpartition("thrivecalc_models/")
        if ours:
            return next(
                part
                for part, beginnings in PARTS.items()
                if any(module.startswith(beginning) for beginning in beginnings)
            )
        frame = frame.f_back
    return CALLER


def parts(endpoint: str, column: str, seconds: float) -> dict[str, float]:
    """Microseconds an item, by part."""
    operation = OPERATIONS[column]
    client = ThriveCalc(endpoint, "direct", max_concurrency=1)
    sampler, turns = Sampler(), operation.arguments()
    try:
        call = operation.call(client)
        call(next(turns))  # connections, caches
        gc.collect()
        calls, taken = sampler.run(lambda: call(next(turns)), seconds)
    finally:
        client.close()
    all_of_it = taken / calls / operation.items * 1e6
    ticks = sampler.ticks.total()
    shares = {part: sampler.ticks[part] / ticks for part in (*PARTS, COLLECTION, CALLER)}
    return {ALL: all_of_it} | {part: share * all_of_it for part, share in shares.items()}


def collect(*, seconds: float = SECONDS) -> dict[str, dict[str, float]]:
    """By part and operation."""
    for user in USERS:
        goal.goals(user)
    with running() as endpoint:
        columns = {column: parts(endpoint, column, seconds) for column in OPERATIONS}
    return {
        part: {column: columns[column][part] for column in columns}
        for part in (ALL, *PARTS, COLLECTION, CALLER)
    }


def table(taken: dict[str, dict[str, float]]) -> str:
    rows = [
        [part, *(report.number(columns[column]) for column in OPERATIONS)]
        for part, columns in taken.items()
    ]
    return report.table(HEADER, rows)


if __name__ == "__main__":
    report.share_a_processor()
    print(table(collect()))
