"""What the fuzzers share: their options, and the engine that they run on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import engines
from places import ROOT

SIMULATION = "simulation"
TRANSPORTS = ("direct", "botocore")


def options(doc: str | None) -> argparse.Namespace:
    """`engine`, `seconds`, `seed` and `engines`, from the command line."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument(
        "--engine", choices=[SIMULATION, *engines.ENGINES], default=SIMULATION, help="on which"
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long, in all")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--engines", type=Path, default=ROOT / ".engines", help="where they are")
    return parser.parse_args()


@contextmanager
def started(options: argparse.Namespace) -> Iterator[engines.Engine | None]:
    """The engine that was asked for, until it is stopped; None for the simulation."""
    if options.engine == SIMULATION:
        yield None
        return
    with engines.ENGINES[options.engine](options.engines) as engine:
        yield engine
