"""What many threads on one store cost.

    python -m benchmarks.threads [--seconds 3] [--latency 0.005]

Threads add records one by one, as the workers of a web server do. Prints a table: calls a second,
the time of a call in milliseconds, connections in the middle and at the end, and what the process
grew by, in MB. Needs Linux's /proc.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from pathlib import Path

from benchmarks import endpoint
from thrivecalc_models import DataStore, SavingsGoalData

THREADS = (1, 8, 40, 200)
PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024


def resident() -> float:
    """KB in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KB


def connections() -> int:
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(link) and "socket:" in os.readlink(link) for link in links)


def measure(url: str, transport: str, count: int, seconds: float) -> str:
    took: list[float] = []
    with DataStore(endpoint=url, transport=transport) as store:
        store.user("u0").add(goal())  # imports and the first connection
        before, sockets = resident(), connections()
        end = time.monotonic() + seconds

        def work(number: int) -> None:
            user = store.user(f"u{number}")
            while (began := time.monotonic()) < end:
                user.add(goal())
                took.append(time.monotonic() - began)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 2)
        busy, grown = connections() - sockets + 1, (resident() - before) / 1024
        for thread in threads:
            thread.join()
        kept = connections() - sockets + 1
    took.sort()
    middle, late = statistics.median(took) * 1000, took[int(len(took) * 0.99)] * 1000
    rate = len(took) / seconds
    return (
        f"| {transport} | {count} | {rate:,.0f} | {middle:.1f} | {late:.1f} | {busy} | {kept}"
        f" | {grown:.1f} |"
    )


def goal() -> SavingsGoalData:
    return SavingsGoalData(name="Emergency Fund", target_amount=20000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--latency", type=float, default=0.005)
    given = parser.parse_args()
    print(
        "| transport | threads | calls a second | median, ms | 99 %, ms | connections | kept"
        " | MB more |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    with endpoint.running(given.latency) as url:
        for transport in ("direct", "botocore"):
            for count in THREADS:
                print(measure(url, transport, count, given.seconds))


if __name__ == "__main__":
    main()
