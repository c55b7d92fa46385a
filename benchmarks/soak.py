"""A bounded soak: threads work on one store for a minute while a tenth of the requests fail.

    python benchmarks/soak.py [--seconds 60] [--threads 8] [--faults 0.1] [--engine dynoxide]

Prints memory and open files every few seconds, then what was done. Ends with 1 where they grew, or
where a record was found that nobody wrote. The engine and the proxy that makes the faults run in a
process of their own, so that what is measured is the library alone. Needs Linux's /proc, the extra
`test`, and `make engines` for engines other than moto.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from engines import ENGINES  # noqa: E402
from proxy import Fault, FaultyProxy, Truncated, WrongChecksum  # noqa: E402

from thrivecalc_models import (  # noqa: E402
    CommitError,
    DataStore,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ThriveCalcError,
)
from thrivecalc_models.testing import faults  # noqa: E402

FAULTS: list[Fault] = [
    faults.LoseReply(applied=True),
    faults.LoseReply(applied=False),
    faults.ServerError(500, applied=True),
    faults.ServerError(503),
    faults.Throttle(),
    faults.Partial(keep=5),
    WrongChecksum(),
    Truncated(),
]
RETRY = RetryPolicy(attempts=4, base=0.002, throttled_base=0.005, ceiling=0.05)
WARM_UP = 0.25  # of the time: what grows until then is caches and pools
MEMORY_MAY_GROW = 4 * 1024  # KB
FILES_MAY_GROW = 4  # a connection more or less is a matter of the moment


def serve(pipe: Any, engine_name: str, share: float) -> None:
    """An engine behind a proxy, until the pipe is closed."""
    rng = random.Random(1)

    def schedule(number: int, operation: str, request: dict[str, Any]) -> Fault | None:
        del proxy.requests[:], proxy.forwarded[:]  # nobody looks at them
        return rng.choice(FAULTS) if rng.random() < share else None

    with (
        ENGINES[engine_name](ROOT / ".engines") as engine,
        FaultyProxy(engine.endpoint) as proxy,
    ):
        with DataStore(endpoint=engine.endpoint) as store:
            store.create_table()
        proxy.schedule = schedule
        pipe.send(proxy.endpoint)
        pipe.poll(None)


class Work:
    """What the threads do, and what came of it."""

    def __init__(self, store: DataStore) -> None:
        self.store = store
        self.stop = threading.Event()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def run(self, number: int) -> None:
        round_number = 0
        while not self.stop.is_set():
            user = self.store.user(f"soak|{number}|{round_number}")
            try:
                self._one_round(user, number)
            except CommitError:
                self.count("commits that gave up")
            except ThriveCalcError as error:
                self.count(f"gave up: {type(error).__name__}")
            self._finish(user)
            self.count("rounds")
            round_number += 1

    def _one_round(self, user: Any, number: int) -> None:
        with user.unit_of_work() as work:
            for _ in range(40):
                work.add(SavingsGoalData(name="Goal", target_amount=number + 1))
        with user.unit_of_work() as work:
            goals = work.list(SavingsGoal)
            for goal in goals[:5]:
                goal.data.current_amount += 1
            for goal in goals[5:10]:
                work.delete(goal)
        found = user.get_many([(SavingsGoal, goal.record_id) for goal in goals])
        for goal in (*filter(None, found), *user.iterate(SavingsGoal)):
            if goal.user_id != user.user_id or goal.data.target_amount != number + 1:
                self.wrong.append(goal.record_key)
        with user.unit_of_work(atomic=True) as work:
            for goal in work.list(SavingsGoal)[:5]:
                goal.data.current_amount += 1

    def _finish(self, user: Any) -> None:
        while True:
            try:
                user.delete_all()
            except ThriveCalcError:
                self.count("delete_all called again")
            else:
                return


def memory() -> int:
    """Resident memory in KB."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def main() -> int:
    parser = argparse.ArgumentParser(description="A bounded soak of one store.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--faults", type=float, default=0.1, metavar="SHARE")
    parser.add_argument("--engine", choices=list(ENGINES), default="dynoxide")
    options = parser.parse_args()

    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    server = processes.Process(target=serve, args=(theirs, options.engine, options.faults))
    server.start()
    theirs.close()
    requests: Counter[str] = Counter()

    def observe(event: Any) -> None:
        if type(event).__name__ in ("RequestEvent", "RetryEvent"):
            requests[type(event).__name__] += 1

    try:
        with DataStore(endpoint=ours.recv(), retry=RETRY, timeout=5, observer=observe) as store:
            work, grown = soak(store, options.seconds, options.threads)
    finally:
        ours.close()
        server.join(30)
    print(f"\n{requests['RequestEvent']} requests, {requests['RetryEvent']} sent again")
    for name, count in sorted(work.counts.items()):
        print(f"{count:>8}  {name}")
    print(f"{len(work.wrong):>8}  records of somebody else")
    print("memory and open files:", "grown" if grown else "flat")
    return int(grown or bool(work.wrong))


def soak(store: DataStore, seconds: float, threads: int) -> tuple[Work, bool]:
    """Work for so many seconds; whether memory or open files grew after the warm-up."""
    work = Work(store)
    running = [threading.Thread(target=work.run, args=(number,)) for number in range(threads)]
    began = time.monotonic()
    for thread in running:
        thread.start()
    print(f"{'seconds':>8}{'memory KB':>12}{'open files':>12}{'rounds':>8}")
    samples = []
    try:
        while (passed := time.monotonic() - began) < seconds:
            time.sleep(min(seconds / 12, seconds - passed))
            passed = time.monotonic() - began
            sample = (memory(), open_files())
            print(f"{passed:8.0f}{sample[0]:12}{sample[1]:12}{work.counts['rounds']:8}", flush=True)
            if passed > WARM_UP * seconds:
                samples.append(sample)
    finally:
        work.stop.set()
        for thread in running:
            thread.join()
    half = len(samples) // 2
    first, last = samples[:half], samples[half:]
    grown_memory = max(m for m, _ in last) - max(m for m, _ in first)
    grown_files = max(f for _, f in last) - max(f for _, f in first)
    return work, grown_memory > MEMORY_MAY_GROW or grown_files > FILES_MAY_GROW


if __name__ == "__main__":
    sys.exit(main())
