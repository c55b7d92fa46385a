"""Wall time against a service that takes 5 ms a request, with 1, 8 and 16 in flight.

python -m benchmarks.latency [--write]
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import report
from benchmarks.clients import Client, PynamoDB, ThriveCalc
from benchmarks.endpoint import running

LATENCY = 0.005  # seconds
IN_FLIGHT = (1, 8, 16)
SIZES = (1000, 10_000)
ROUNDS = 3


def seconds(call: Callable[[int], Any], records: int) -> float:
    def once() -> float:
        started = time.perf_counter()
        call(records)
        return time.perf_counter() - started

    return statistics.median(once() for _ in range(ROUNDS))


def row(name: str, client: Client, against: list[float] | None) -> tuple[list[str], list[float]]:
    client.get()
    taken = [seconds(call, size) for call in (client.write, client.read) for size in SIZES]
    texts = [
        f"{one:.3f}" + (f" ({other / one:.1f} times faster)" if against else "")
        for one, other in zip(taken, against or taken, strict=True)
    ]
    client.close()
    return [name, *texts], taken


def main() -> None:
    rows = []
    with running(LATENCY) as endpoint:
        first, pynamodb = row("PynamoDB", PynamoDB(endpoint), None)
        rows.append(first)
        for transport in ("direct", "botocore"):
            if transport == "direct" and importlib.util.find_spec("pycurl") is None:
                continue
            for limit in IN_FLIGHT:
                client = ThriveCalc(endpoint, transport, max_concurrency=limit)
                name = f"thrivecalc_models, {transport}, {limit} in flight"
                rows.append(row(name, client, pynamodb)[0])
    header = ["", *(f"{what} of {size:,}" for what in ("commit", "get_many") for size in SIZES)]
    report.publish(
        "latency",
        f"{report.machine()}; median of {ROUNDS}, seconds; {LATENCY * 1000:.0f} ms a request; the"
        f" goal is 6 times faster for 1,000:\n\n{report.table(header, rows)}",
    )


if __name__ == "__main__":
    main()
