"""Thousands of schedules of faults, and the laws that every one of them must keep."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from schedules import Tally
from schedules_calls import KINDS, play_seed

CI = os.environ.get("CI") == "true"
SCHEDULES = 20_000 if CI else 400
PARTS = 10

pytestmark = pytest.mark.usefixtures("shell")

RANDOMS = st.randoms(use_true_random=False)


@pytest.fixture(params=[False, True], ids=["one by one", "batched"], scope="module")
def batched(request: pytest.FixtureRequest) -> bool:
    """Whether the stores have `batch_updates`."""
    return bool(request.param)


@pytest.mark.parametrize("part", range(PARTS))
def test_seeded_schedules_keep_the_laws(part: int, shell: str) -> None:
    """Whatever fails, whenever: the account agrees with the table, and a second commit finishes.

    In every second schedule the stores have `batch_updates`.
    """
    tally = Tally()
    for number, seed in enumerate(range(part, SCHEDULES, PARTS)):
        batched = number % 2 == 1
        try:
            play_seed(seed, tally, batched=batched)
        except Exception as broken:
            option = f"{' --batched' * batched} --shell {shell}"
            broken.add_note(
                f"seed {seed}: python benchmarks/schedules.py --schedules 1 --seed {seed}{option}"
            )
            raise
    assert tally.requests > SCHEDULES // PARTS


def _holds(kind: str, rng: random.Random, *, batched: bool) -> None:
    make, play = KINDS[kind]
    schedule: Any = make(rng, batched=batched)
    note(repr(schedule))
    play(schedule, None)


@given(RANDOMS)
def test_units_of_work_keep_the_laws(batched: bool, rng: random.Random) -> None:
    """Applied, not applied and unknown are true of the table, and each operation happens once."""
    _holds("units", rng, batched=batched)


@given(RANDOMS)
def test_single_calls_keep_the_laws(batched: bool, rng: random.Random) -> None:
    """A call repeated with the record of its error is the same write."""
    _holds("calls", rng, batched=batched)


@given(RANDOMS)
def test_rivals_keep_the_laws(batched: bool, rng: random.Random) -> None:
    """Whose clock is off by how much, whatever is lost: no write is told to two callers."""
    _holds("rivals", rng, batched=batched)


@given(RANDOMS)
def test_reads_keep_the_laws(rng: random.Random) -> None:
    """A read is whole or an error that says why."""
    _holds("reads", rng, batched=False)
