"""What imports take, and what reading 100,000 records holds; each in a process of its own.

python -m benchmarks.memory
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import goal, report
from benchmarks.clients import present
from benchmarks.endpoint import PAGE, running

RECORDS = 100_000
NO_CACHES = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
PEER = "pynamodb.models"
IMPORTS = (
    PEER,
    "thrivecalc_models",
    "boto3",
    "pydynox",
    "dynamoxy",
    "aiodynamo.client",
)
LISTED = "list, no payload looked at"
ITERATED = "iterate, no record kept"
ONE_OF_EACH_PAGE = "iterate, one record of each page kept"

IMPORTING = """
import time
from benchmarks.peak import peak
before = peak()
started = time.perf_counter()
import {module}
print(time.perf_counter() - started, peak() - before)
"""
READING = """
from thrivecalc_models import SavingsGoal
from benchmarks import goal
from benchmarks.clients import CLIENTS
from benchmarks.peak import peak
client, user = CLIENTS["{name}"][1]("{endpoint}"), "{user}"
client.run(client.get, [goal.goal(user, 0)])
before = peak()
{read}
print(peak() - before)
client.close()
"""
LISTING = "kept = client.run(client.keep, [user])"
OURS = {
    LISTED: "kept = client.store.user(user).list(SavingsGoal)",
    ITERATED: """
for record in client.store.user(user).iterate(SavingsGoal):
    record.data.target_amount
""",
    ONE_OF_EACH_PAGE: f"""
kept = []
for number, record in enumerate(client.store.user(user).iterate(SavingsGoal)):
    record.data.target_amount
    if number % {PAGE} == 0:
        kept.append(record)
""",
}


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


def imports(rounds: int) -> dict[str, list[float]]:
    """Milliseconds and MB, by module."""
    names = [name for name in IMPORTS if importlib.util.find_spec(name.partition(".")[0])]
    taken: dict[str, list[list[float]]] = {name: [] for name in names}
    for name in names:
        run(IMPORTING.format(module=name))  # from here on its bytecode is there, as in production
    for _ in range(rounds):
        for name in names:
            taken[name].append(run(IMPORTING.format(module=name)))
    return {
        name: [
            statistics.median(seconds for seconds, _ in samples) * 1000,
            statistics.median(megabytes for _, megabytes in samples),
        ]
        for name, samples in taken.items()
    }


def listing(endpoint: str, records: int) -> dict[str, float]:
    """MB that the peak grows by while a client lists the records and looks at each, by client."""
    return {name: _reading(endpoint, records, name, LISTING) for name in present()}


def ours(endpoint: str, records: int) -> dict[str, float]:
    """The same of other ways to read them with the library."""
    return {title: _reading(endpoint, records, present()[0], read) for title, read in OURS.items()}


def _reading(endpoint: str, records: int, name: str, read: str) -> float:
    values = {"name": name, "endpoint": endpoint, "user": goal.user_id(records), "read": read}
    return run(READING.format(**values))[0]


def collect(*, rounds: int = 7, records: int = RECORDS) -> dict[str, Any]:
    with running() as endpoint:
        listed, others = listing(endpoint, records), ours(endpoint, records)
    return {"imports": imports(rounds), "listing": listed, "ours": others}


def imports_table(taken: dict[str, list[float]]) -> str:
    rows = [
        [f"`import {name}`", f"{ms:.0f}", f"{mb:.0f}", f"{ms / taken[PEER][0]:.2f}"]
        for name, (ms, mb) in taken.items()
    ]
    return report.table(("", "ms", "MB", "times PynamoDB's"), rows)


def reading_table(names: dict[str, str], taken: dict[str, Any]) -> str:
    rows = [
        *([f"list, {names[short]}", f"{mb:,.0f}"] for short, mb in taken["listing"].items()),
        *([f"{title}, thrivecalc_models", f"{mb:,.0f}"] for title, mb in taken["ours"].items()),
    ]
    return report.table(("", "MB"), rows)


if __name__ == "__main__":
    report.share_a_processor()
    found = collect()
    print(imports_table(found["imports"]))
    print(reading_table({name: name for name in present()}, found))
