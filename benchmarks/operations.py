"""CPU and wall time of five operations, for the library and its peers, in one run.

    python -m benchmarks.operations

Every client takes its turn in every round, so that a slow minute of the machine is everybody's. All
of them and the endpoint share a processor: wall time has the endpoint's work in it. Sixteen users
with 1,000 records each take turns, so that no call meets the values of the one before it.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import goal, report
from benchmarks.clients import Client, opened
from benchmarks.endpoint import running

RECORDS = 1000
USERS = tuple(goal.user_id(RECORDS, which) for which in range(16))


@dataclass(frozen=True)
class Operation:
    title: str
    call: Callable[[Client], Callable[[Any], Any]]
    arguments: Callable[[], Iterator[Any]]
    items: int = 1
    calls: int = 1
    """How many between two looks at the clock, which takes time as well."""


def _records() -> Iterator[goal.Goal]:
    return itertools.chain.from_iterable(_all_of_a_user())


def _all_of_a_user() -> Iterator[list[goal.Goal]]:
    return (goal.goals(user) for user in itertools.cycle(USERS))


OPERATIONS = {
    "get": Operation("get", lambda client: client.get, _records, calls=50),
    "put": Operation("put", lambda client: client.put, _records, calls=50),
    "list": Operation(
        "list, an item", lambda client: client.list, lambda: itertools.cycle(USERS), items=RECORDS
    ),
    "batch get": Operation(
        "batch get, an item", lambda client: client.read, _all_of_a_user, items=RECORDS
    ),
    "batch write": Operation(
        "batch write, an item", lambda client: client.write, _all_of_a_user, items=RECORDS
    ),
}
HEADER = ("", *(operation.title for operation in OPERATIONS.values()))

Times = dict[str, dict[str, float]]
"""By client and operation, in microseconds an item."""


def measure(clients: dict[str, Client], *, rounds: int, sample: float) -> tuple[Times, Times]:
    """CPU and wall time: the medians of so many samples, of so many seconds of CPU each."""
    first = next(iter(clients.values()))
    for user in USERS:  # the endpoint has made all its items before anyone is measured
        first.run(first.list, [user])
        first.run(first.read, [goal.goals(user)])
    cpu: Times = {name: {} for name in clients}
    wall: Times = {name: {} for name in clients}
    for column, operation in OPERATIONS.items():
        turns = {name: operation.arguments() for name in clients}
        for name, client in clients.items():  # connections, caches
            client.run(operation.call(client), itertools.islice(turns[name], operation.calls))
        gc.collect()
        gc.freeze()  # what one client keeps is no work for another's garbage collection
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
        for _ in range(rounds):
            for name, client in clients.items():
                samples[name].append(_sample(client, operation, turns[name], sample))
        for name, taken in samples.items():
            cpu[name][column] = statistics.median(one for one, _ in taken)
            wall[name][column] = statistics.median(one for _, one in taken)
    return cpu, wall


def _sample(
    client: Client, operation: Operation, turns: Iterator[Any], seconds: float
) -> tuple[float, float]:
    """Microseconds of CPU and wall time for an item."""
    call = operation.call(client)
    gc.collect()
    items = 0
    wall, cpu = time.perf_counter(), time.process_time()
    while (taken := time.process_time() - cpu) < seconds:
        client.run(call, itertools.islice(turns, operation.calls))
        items += operation.calls * operation.items
    wall = time.perf_counter() - wall
    return taken / items * 1e6, wall / items * 1e6


def collect(*, rounds: int = 5, sample: float = 0.25) -> dict[str, Any]:
    """`sample` is longer than the machine's own ups and downs."""
    with running() as endpoint, opened(endpoint) as clients:
        cpu, wall = measure(clients, rounds=rounds, sample=sample)
        names = {short: client.name for short, client in clients.items()}
    return {"names": names, "cpu": cpu, "wall": wall}


def table(names: dict[str, str], times: Times) -> str:
    rows = [
        [names[short], *(report.number(columns[column]) for column in OPERATIONS)]
        for short, columns in times.items()
    ]
    return report.table(HEADER, rows)


if __name__ == "__main__":
    report.share_a_processor()
    found = collect()
    for times in ("cpu", "wall"):
        print(f"{times}, microseconds:\n\n{table(found['names'], found[times])}\n")
