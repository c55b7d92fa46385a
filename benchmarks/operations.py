"""CPU and wall time of five operations, for the library and its peers, in one run.

    python -m benchmarks.operations [--write]

Every client takes its turn in every round, so that a slow minute of the machine is everybody's. All
of them and the endpoint share a processor: wall time has the endpoint's work in it.
`--write` puts the tables into docs/performance.md.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import report
from benchmarks.clients import Client, open_clients
from benchmarks.endpoint import running

ROUNDS = 5
RECORDS = 1000
SAMPLE = 0.25  # seconds of CPU at least: longer than the machine's own ups and downs
COLUMNS = ("get", "list", "put", "batch write", "batch get")
HEADER = ("", "get", "list, an item", "put", "batch write, an item", "batch get, an item")

GOALS = {
    "get": (0.10, 1 / 3.5, 1.7),
    "put": (0.10, 1 / 3.5, 1.7),
    "list": (0.10, 1 / 3, 2.3),
    "batch get": (0.10, 1 / 3, 2.3),
    "batch write": (0.10, 1 / 2.5, 2.2),
}
"""At most these multiples of the CPU of PynamoDB, of pydynox and of a raw socket."""

PEERS = ("PynamoDB", "pydynox", "raw socket")

Times = dict[str, dict[str, list[tuple[float, float]]]]
"""By client and operation: CPU and wall, in microseconds."""


def operations(client: Client) -> dict[str, tuple[Callable[[], Any], int]]:
    """What is called, and how many items each call handles."""
    return {
        "get": (client.get, 1),
        "list": (partial(client.list, RECORDS), RECORDS),
        "put": (client.put, 1),
        "batch write": (partial(client.write, RECORDS), RECORDS),
        "batch get": (partial(client.read, RECORDS), RECORDS),
    }


def measure(clients: list[Client]) -> Times:
    times: Times = {client.name: {column: [] for column in COLUMNS} for client in clients}
    for column in COLUMNS:
        for client in clients:
            operations(client)[column][0]()  # connections, caches
        gc.collect()
        gc.freeze()  # what one client keeps is no work for another's garbage collection
        for _ in range(ROUNDS):
            for client in clients:
                times[client.name][column].append(_timed(*operations(client)[column]))
    return times


def _timed(call: Callable[[], Any], items: int) -> tuple[float, float]:
    """Microseconds of CPU and wall time for an item."""
    gc.collect()
    calls = 0
    wall, cpu = time.perf_counter(), time.process_time()
    while (taken := time.process_time() - cpu) < SAMPLE:
        call()
        calls += 1
    wall = time.perf_counter() - wall
    return taken / calls / items * 1e6, wall / calls / items * 1e6


def rows(times: Times, which: int) -> list[list[str]]:
    return [
        [name, *(report.number(_median(columns[column], which)) for column in COLUMNS)]
        for name, columns in times.items()
    ]


def ratios(times: Times) -> list[list[str]]:
    """The CPU of the direct transport as a part of everybody else's."""
    ours, *others = times
    return [
        [
            f"against {name}",
            *(
                f"{_median(times[ours][column], 0) / _median(times[name][column], 0):.2f}"
                for column in COLUMNS
            ),
        ]
        for name in others
    ]


def goals(times: Times) -> list[list[str]]:
    """What each goal is, and what this run reached."""
    ours, *others = times
    names = [next((name for name in others if name.startswith(peer)), None) for peer in PEERS]
    rows = []
    for title, column in zip(HEADER[1:], COLUMNS, strict=True):
        row = [title]
        for goal, name in zip(GOALS[column], names, strict=True):
            reached = "not measured"
            if name is not None:
                ratio = _median(times[ours][column], 0) / _median(times[name][column], 0)
                reached = f"{ratio:.2f}"
            row.append(f"{goal:.2f}, {reached}")
        rows.append(row)
    return rows


def without_the_extra(times: Times) -> list[str]:
    """The CPU of the transport over botocore as a part of PynamoDB's."""
    names = [next(name for name in times if wanted in name) for wanted in ("botocore", "PynamoDB")]
    ours, theirs = (times[name] for name in names)
    row = [f"{_median(ours[column], 0) / _median(theirs[column], 0):.2f}" for column in COLUMNS]
    return ["without the extra, against PynamoDB", *row]


def _median(samples: list[tuple[float, float]], which: int) -> float:
    return statistics.median(sample[which] for sample in samples)


def main() -> None:
    report.share_a_processor()
    with running() as endpoint:
        clients = open_clients(endpoint)
        try:
            times = measure(clients)
        finally:
            for client in clients:
                client.close()
    header = ("", *(f"against {peer}: goal, reached" for peer in PEERS))
    report.publish(
        "goals",
        f"{report.table(header, goals(times))}\n\n"
        "Without the extra `fast` the goal is at most 1.00:\n\n"
        f"{report.table(HEADER, [without_the_extra(times)])}",
    )
    report.publish(
        "operations",
        "\n\n".join(
            [
                f"{report.machine()}; median of {ROUNDS}, microseconds of CPU:",
                report.table(HEADER, rows(times, 0)),
                "The same in wall time:",
                report.table(HEADER, rows(times, 1)),
                f"The CPU of {next(iter(times))}, as a multiple:",
                report.table(HEADER, ratios(times)),
            ]
        ),
    )


if __name__ == "__main__":
    main()
