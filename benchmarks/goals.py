"""What the library is to reach, and whether a run reached it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import memory

Result = dict[str, Any]

TYPED = ("pydynox", "dynamoxy")


@dataclass(frozen=True)
class Goal:
    what: str
    relation: str  # "at most", "less than" or "at least"
    limit: float
    value: Callable[[Result], float]

    def verdict(self, result: Result) -> str:
        """The value and whether it reaches the goal; a dash where nothing to compare was there."""
        try:
            value = self.value(result)
        except KeyError:
            return "-"
        return f"{value:.2f} reached" if self.reached(value) else f"**{value:.2f} missed**"

    def reached(self, value: float) -> bool:
        match self.relation:
            case "at most":
                return value <= self.limit
            case "less than":
                return value < self.limit
            case _:
                return value >= self.limit

    @property
    def text(self) -> str:
        return f"{self.relation} {self.limit:g}"


def _cpu(column: str, peers: tuple[str, ...], ours: str = "direct") -> Callable[[Result], float]:
    """Our CPU as a multiple of the best of the peers that were measured."""

    def value(result: Result) -> float:
        cpu = result["cpu"]
        found = [cpu[peer][column] for peer in peers if peer in cpu]
        if not found:
            raise KeyError(peers)
        return float(cpu[ours][column] / min(found))

    return value


def _cpu_goals() -> list[Goal]:
    """For each operation the limits against the best typed peer, aiodynamo and a raw socket."""
    limits = {
        "list": (0.5, 1.0, 1.2),
        "batch get": (0.5, 1.0, 1.2),
        "batch write": (1.0, 0.8, 3.0),
        "get": (0.36, 0.31, 3.0),
        "put": (0.55, 0.42, 4.0),
    }
    peers = {
        "the best typed peer (pydynox, dynamoxy)": TYPED,
        "aiodynamo's plain dicts": ("aiodynamo",),
        "a raw socket with plain dicts": ("raw socket",),
    }
    return [
        Goal(
            f"CPU of {column} against {title}",
            "less than" if limit == 1.0 else "at most",
            limit,
            _cpu(column, names),
        )
        for column, of_peers in limits.items()
        for (title, names), limit in zip(peers.items(), of_peers, strict=True)
    ]


def _without_the_extra() -> list[Goal]:
    return [
        Goal(
            f"CPU of {column} on botocore, without the extra `fast`, against PynamoDB",
            "less than",
            1.0,
            _cpu(column, ("PynamoDB",), ours="botocore"),
        )
        for column in ("list", "batch get", "batch write", "get", "put")
    ]


def _bulk(which: int) -> Callable[[Result], float]:
    def value(result: Result) -> float:
        bulk = result["latency"]["bulk"]
        ours = bulk["thrivecalc_models, direct, 8 in flight"]
        return float(bulk["PynamoDB"][which] / ours[which])

    return value


def _updates(slow: str, fast: str) -> Callable[[Result], float]:
    def value(result: Result) -> float:
        taken = result["latency"]["updates"]
        ours = "thrivecalc_models, direct, "
        return float(taken[ours + slow] / taken[ours + fast])

    return value


def _imports(result: Result) -> float:
    taken = result["memory"]["imports"]
    return float(taken["thrivecalc_models"][0] / taken[memory.PEER][0])


def _kept(result: Result) -> float:
    ours = result["memory"]["ours"]
    return float(ours[memory.ONE_OF_EACH_PAGE] - ours[memory.ITERATED])


_ALONE, _BATCHED = "one after the other", "a commit with batch_updates"

GOALS = [
    *_cpu_goals(),
    Goal(
        "300 changed records: a commit with `batch_updates`, 1 in flight, times faster than single"
        " updates one after the other",
        "at least",
        10,
        _updates(_ALONE, f"{_BATCHED}, 1 in flight"),
    ),
    Goal(
        "300 changed records, 8 in flight: a commit with `batch_updates`, times faster than one"
        " without",
        "at least",
        2,
        _updates("a commit, 8 in flight", f"{_BATCHED}, 8 in flight"),
    ),
    Goal("commit of 1,000, times faster than PynamoDB", "at least", 6, _bulk(0)),
    Goal("get_many of 1,000, times faster than PynamoDB", "at least", 6, _bulk(1)),
    Goal("time of the import, against PynamoDB's", "at most", 1.2, _imports),
    Goal(
        "MB of 100,000 listed records, no payload looked at",
        "at most",
        107,
        lambda result: float(result["memory"]["ours"][memory.LISTED]),
    ),
    Goal(
        "MB of 100,000 listed records, each payload looked at",
        "at most",
        107,
        lambda result: float(result["memory"]["listing"]["direct"]),
    ),
    Goal("MB more while one record of each of 50 pages is kept", "at most", 2, _kept),
    *_without_the_extra(),
]


def reached(result: Result) -> tuple[int, int]:
    """How many goals are reached, and how many could be judged."""
    verdicts = [goal.verdict(result) for goal in GOALS]
    judged = [verdict for verdict in verdicts if verdict != "-"]
    return sum(verdict.endswith("reached") for verdict in judged), len(judged)
