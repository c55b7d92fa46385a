"""Wall time against a service that takes 5 ms a request.

    python -m benchmarks.latency

A commit of 1,000 new records and a get_many of 1,000, for every client; and a commit of 300 records
that were read and changed, against updating them one after the other.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

from benchmarks import goal, report
from benchmarks.clients import CLIENTS, Client, PynamoDB, ThriveCalc, present
from benchmarks.endpoint import running

LATENCY = 0.005  # seconds
RECORDS = 1000
CHANGED = 300
IN_FLIGHT = (1, 8, 16)
TITLES = (f"commit of {RECORDS:,}", f"get_many of {RECORDS:,}")
ALONE = "one after the other"

Seconds = dict[str, list[float]]


def bulk(endpoint: str, rounds: int) -> Seconds:
    """Seconds to write and to read the records, by client; ours with 1, 8 and 16 in flight."""
    made: dict[str, Callable[[], Any]] = {}
    for name in present():
        if name in ("direct", "botocore"):
            for limit in IN_FLIGHT:
                made[f"thrivecalc_models, {name}, {limit} in flight"] = _store(
                    endpoint, name, max_concurrency=limit
                )
        else:
            made[name] = partial(CLIENTS[name][1], endpoint)
    users = [goal.user_id(RECORDS, which) for which in range(rounds + 1)]
    for user in users:
        goal.goals(user)
    taken: Seconds = {}
    for name, make in made.items():
        with closing(make()) as client:
            taken[name] = [_median(client, call, users) for call in (client.write, client.read)]
    return taken


def _median(client: Client, call: Callable[[Any], Any], users: list[str]) -> float:
    """The first user opens connections and fills caches."""

    def seconds() -> Iterator[float]:
        for user in users:
            started = time.perf_counter()
            client.run(call, [goal.goals(user)])
            yield time.perf_counter() - started

    return statistics.median(list(seconds())[1:])


def updates(endpoint: str, rounds: int) -> dict[str, float]:
    """Seconds to store the changed records, without the time to read and to change them."""
    taken = {}
    for title, make, call in _ways(endpoint):
        with closing(make()) as client:
            samples = []
            for which in range(rounds + 1):
                store_all = call(client)(goal.user_id(CHANGED, which))
                started = time.perf_counter()
                store_all()
                samples.append(time.perf_counter() - started)
        taken[title] = statistics.median(samples[1:])
    return taken


def _ways(
    endpoint: str,
) -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], Callable[[str], Any]]]]:
    yield f"PynamoDB, {ALONE}", lambda: PynamoDB(endpoint), lambda client: client.updating
    for name in ("direct", "botocore"):
        if name not in present():
            continue
        ours = f"thrivecalc_models, {name}"
        yield f"{ours}, {ALONE}", _store(endpoint, name), lambda client: client.updating
        for batched in (False, True):
            for limit in IN_FLIGHT[:2]:
                kind = "a commit with batch_updates" if batched else "a commit"
                yield (
                    f"{ours}, {kind}, {limit} in flight",
                    _store(endpoint, name, max_concurrency=limit, batch_updates=batched),
                    lambda client: client.committing,
                )


def _store(endpoint: str, transport: str, **options: Any) -> Callable[[], Any]:
    return lambda: ThriveCalc(endpoint, transport, **options)


def collect(*, rounds: int = 3) -> dict[str, Any]:
    with running(LATENCY) as endpoint:
        return {"bulk": bulk(endpoint, rounds), "updates": updates(endpoint, rounds)}


def bulk_table(taken: Seconds) -> str:
    base = taken["PynamoDB"]
    rows = [
        [
            name,
            *(
                f"{one * 1000:,.0f} ({other / one:.1f} times faster)"
                if name.startswith("thrivecalc")
                else f"{one * 1000:,.0f}"
                for one, other in zip(seconds, base, strict=True)
            ),
        ]
        for name, seconds in taken.items()
    ]
    return report.table(("ms", *TITLES), rows)


def updates_table(taken: dict[str, float]) -> str:
    base = taken[alone(taken)]
    rows = [
        [name, f"{seconds * 1000:,.0f}", f"{base / seconds:.1f}"] for name, seconds in taken.items()
    ]
    header = ("", "ms", f"times faster than {alone(taken)}")
    return report.table(header, rows)


def alone(taken: dict[str, float]) -> str:
    """Our own single updates, on the transport that is there."""
    return next(name for name in taken if ALONE in name and name.startswith("thrivecalc"))


if __name__ == "__main__":
    report.share_a_processor()
    found = collect()
    print(bulk_table(found["bulk"]), updates_table(found["updates"]), sep="\n\n")
