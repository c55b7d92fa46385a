"""Change the code in small ways and count the changes that the tests notice: `make mutate`.

mutmut writes the mutants: each function with one change at a time, behind a switch that decides at
every call. A seed draws some of them. The tests are collected once; then each mutant has a fork of
this process, which runs the tests that reach its function, quickest first, until one fails or they
have taken `--patience` seconds. So what runs only while modules are imported is never changed.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from mutmut.mutation import trampoline
from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name, mangled_name_from_mutant_name

TREE = Path("build/mutants")
MEASURED = TREE / "measured.json"
OTHER_PROCESSES = {"engine", "peer", "pytester"}  # fixtures of tests that mutants would not be in
MEMORY = 8 << 30  # bytes, for a mutant that collects without end
DONE, FAILED = 0, 1


@attrs.frozen
class Mutant:
    """One change of a function, with the lines before and after."""

    name: str
    path: Path
    before: list[str]
    after: list[str]

    @property
    def function(self) -> str:
        return mangled_name_from_mutant_name(self.name)

    def __str__(self) -> str:
        changed = list(difflib.unified_diff(self.before, self.after, lineterm="", n=1))[2:]
        return "\n".join([f"{self.path} {self.name.rpartition('.')[2]}", *changed])


@attrs.frozen
class Tests:
    """What was measured: the CPU seconds of each test, and the tests that reach each function."""

    seconds: dict[str, float] = attrs.field(factory=dict)
    reaching: dict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    unsteady: list[str] = attrs.field(factory=list)

    def of(self, function: str, patience: float) -> list[str]:
        """The tests to run for a function, quickest first."""
        chosen, total = [], 0.0
        for test in sorted(self.reaching.get(function, []), key=self.seconds.__getitem__):
            total += self.seconds[test]
            if total > patience:
                break
            if test not in self.unsteady:
                chosen.append(test)
        return chosen


def write_mutants() -> Iterator[Mutant]:
    """Copy the package to `TREE`, with every mutant of the modules that setup.cfg names."""
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree("thrivecalc_models", TREE / "thrivecalc_models")
    for path in sorted(walk_mutatable_files()):
        mutated = mutate_file_contents(str(path), path.read_text())
        (TREE / path).write_text(mutated.code)
        for name in mutated.mutant_names:
            original = f"{mangled_name_from_mutant_name(name)}__mutmut_orig"
            before, after = (list(lines(mutated, each)) for each in (original, name))
            yield Mutant(get_mutant_name(path, name), path, before, after)


def lines(mutated: MutatedFile, name: str) -> Iterator[str]:
    """The lines of a generated function, under the name that the function has in the package."""
    span = mutated.line_span_by_function_name[name]
    plain = name.partition("__mutmut_")[0].rpartition("ǁ")[2].removeprefix("x_")
    for line in mutated.code.splitlines()[span.start - 1 : span.end]:
        yield line.replace(name, plain)


class Callers:
    """In place of mutmut's record of callers, with which the interpreter has crashed here."""

    @staticmethod
    def get() -> tuple[None, int]:
        return None, 0

    @staticmethod
    def set(caller: object) -> None:
        pass

    reset = set


class Run:
    """A plugin of pytest that runs mutants where pytest would run tests."""

    def __init__(self, mutants: list[Mutant], *, jobs: int, patience: float) -> None:
        self.mutants, self.jobs, self.patience = mutants, jobs, patience
        self.outcomes: Counter[str] = Counter()

    def pytest_configure(self) -> None:
        from hypothesis import HealthCheck, Phase, settings  # imports the package, so not above

        settings.register_profile(
            "mutants",
            max_examples=25,
            deadline=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        )
        settings.load_profile("mutants")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if OTHER_PROCESSES.isdisjoint(item.fixturenames)]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        os.waitpid(forked(lambda: self.measure(session.items)), 0)
        tests = Tests(**json.loads(MEASURED.read_text()))
        show(f"{len(tests.seconds):,} tests in {sum(tests.seconds.values()):.0f} s of CPU")
        for test in tests.unsteady:
            show(f"left out, since it does not pass twice in one process: {test}")
        items = {item.nodeid: item for item in session.items}
        for mutant, status in self.attempts(items, tests):
            outcome = "survived" if status == DONE else "caught"
            if status in (-signal.SIGXCPU, -signal.SIGKILL):
                outcome = "timed out"
            self.outcomes[outcome] += 1
            if outcome == "survived":
                reached = "" if mutant.function in tests.reaching else " (no test reaches it)"
                number = f"{self.outcomes.total()} of {len(self.mutants)}"
                show(f"\n{number} survived{reached}: {mutant}")
        return True

    def measure(self, items: Iterable[Any]) -> int:
        """Measure every test, and run those that are needed again, in the order of an attempt."""
        tests, hit, started = Tests(), set[str](), list[str]()
        sys.addaudithook(lambda event, _: started.append(event) if "Popen" in event else None)
        trampoline.record_trampoline_hit = lambda name, caller=None: hit.add(name)
        trampoline.MutmutCallStack = Callers
        trampoline.set_mutant_under_test("stats")
        for item in items:
            hit.clear()
            started.clear()
            before = time.process_time()
            if passes(item) and not started:
                tests.seconds[item.nodeid] = time.process_time() - before
                for function in hit:
                    tests.reaching[function].append(item.nodeid)
        trampoline.set_mutant_under_test("")
        functions = {mutant.function for mutant in self.mutants}
        used = {test for function in functions for test in tests.of(function, self.patience)}
        again = sorted(
            (item for item in items if item.nodeid in used),
            key=lambda item: tests.seconds[item.nodeid],
        )
        tests.unsteady.extend(item.nodeid for item in again if not passes(item))
        MEASURED.write_text(json.dumps(attrs.asdict(tests)))
        return DONE

    def attempts(self, items: dict[str, Any], tests: Tests) -> Iterator[tuple[Mutant, int]]:
        """Run the mutants, `jobs` at a time; give each with the exit status of its process."""
        waiting, running = list(self.mutants), dict[int, tuple[Mutant, float]]()
        while waiting or running:
            while waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                chosen = [items[test] for test in tests.of(mutant.function, self.patience)]
                pid = forked(lambda mutant=mutant, chosen=chosen: self.attempt(mutant, chosen))
                running[pid] = mutant, time.monotonic() + 60 + 5 * self.patience
            time.sleep(0.02)
            for pid, (mutant, deadline) in list(running.items()):
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del running[pid]
                    yield mutant, os.waitstatus_to_exitcode(status)

    def attempt(self, mutant: Mutant, items: list[Any]) -> int:
        limit = 10 + int(3 * self.patience)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        trampoline.set_mutant_under_test(mutant.name)
        return DONE if all(map(passes, items)) else FAILED


def passes(item: Any) -> bool:
    """Run one test, with its fixtures put up and taken down."""
    before = item.session.testsfailed
    item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
    return bool(item.session.testsfailed == before)


def forked(work: Callable[[], int]) -> int:
    """Do something in a fork of this process, unseen; return its id."""
    if pid := os.fork():
        return pid
    code = FAILED
    try:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        code = work()
    finally:
        os._exit(code)


def show(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--patience", type=float, default=10, help="CPU seconds of tests a mutant")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("tests", nargs="*", default=["tests/unit", "tests/faults"])
    given = parser.parse_args()
    mutants = list(write_mutants())
    drawn = random.Random(given.seed).sample(mutants, min(given.count, len(mutants)))
    show(f"seed {given.seed}: {len(drawn):,} of {len(mutants):,} mutants")
    sys.path.insert(0, str(TREE.resolve()))
    run = Run(drawn, jobs=given.jobs, patience=given.patience)
    with tempfile.TemporaryDirectory() as tempfile.tempdir:
        status = pytest.main(["-qq", "-s", "-p", "no:cacheprovider", *given.tests], plugins=[run])
    if not run.outcomes:
        sys.exit(status)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(run.outcomes.items()))
    noticed = 1 - run.outcomes["survived"] / run.outcomes.total()
    show(f"\nseed {given.seed}: {counts}; the tests notice {noticed:.1%}")


if __name__ == "__main__":
    main()
