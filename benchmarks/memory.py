"""What imports take, and what reading 100,000 records holds; each in a process of its own.

python -m benchmarks.memory [--write]
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import goal, report
from benchmarks.endpoint import running

ROUNDS = 9
RECORDS = 100_000
NO_CACHES = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
IMPORTS = (
    "pynamodb.models",
    "thrivecalc_models",
    "boto3",
    "pydynox",
    "aiodynamo.client",
    "dynamoxy",
)

IMPORTING = """
import resource, sys, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
import {module}
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
READING = """
import resource
from thrivecalc_models import DataStore, SavingsGoal
store = DataStore(endpoint="{endpoint}", table_name="{table}", transport="{transport}")
store.user("{one}").get(SavingsGoal, "{record_id}")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
total = 0
for record in store.user("{user}").{read}:
    total += record.data.target_amount
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def run(script: str) -> list[float]:
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[1],
        env={name: value for name, value in os.environ.items() if name not in NO_CACHES},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [float(word) for word in ran.stdout.split()]


def import_rows() -> list[list[str]]:
    present = [name for name in IMPORTS if importlib.util.find_spec(name.partition(".")[0])]
    taken: dict[str, list[list[float]]] = {name: [] for name in present}
    for name in present:
        run(IMPORTING.format(module=name))  # from here on its bytecode is there, as in production
    for _ in range(ROUNDS):
        for name in present:
            taken[name].append(run(IMPORTING.format(module=name)))
    base = statistics.median(seconds for seconds, _ in taken[IMPORTS[0]])
    rows = []
    for name, samples in taken.items():
        seconds = statistics.median(sample[0] for sample in samples)
        kilobytes = statistics.median(sample[1] for sample in samples)
        rows.append(
            [
                f"`import {name}`",
                f"{seconds * 1000:.0f}",
                f"{kilobytes / 1024:.0f}",
                f"{seconds / base:.2f}",
            ]
        )
    return rows


def reading_rows(endpoint: str) -> list[list[str]]:
    transports = ["direct"] if importlib.util.find_spec("pycurl") else []
    rows = []
    for transport in [*transports, "botocore"]:
        for read in ("iterate(SavingsGoal)", "list(SavingsGoal)"):
            (kilobytes,) = run(
                READING.format(
                    endpoint=endpoint,
                    table=goal.TABLE,
                    transport=transport,
                    read=read,
                    one=goal.user_id(1),
                    record_id=goal.record_id(0),
                    user=goal.user_id(RECORDS),
                )
            )
            rows.append([f"`{read}`, {transport}", f"{kilobytes / 1024:.0f}"])
    return rows


def main() -> None:
    with running() as endpoint:
        reading = reading_rows(endpoint)
    report.publish(
        "memory",
        "\n\n".join(
            [
                f"{report.machine()}; median of {ROUNDS}; the goal for imports is 1.20:",
                report.table(("", "ms", "MB", "times PynamoDB's"), import_rows()),
                f"Peak memory that reading {RECORDS:,} records adds, of a page of 2,000 at a time:",
                report.table(("", "MB"), reading),
            ]
        ),
    )


if __name__ == "__main__":
    main()
