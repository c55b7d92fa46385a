"""Counter-proof: break a piece of the protocol, and a law must notice."""

from __future__ import annotations

import importlib
import random
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from schedules import LawBroken
from schedules_calls import play_seed
from schedules_rivals import make_rivals, play_rivals

from thrivecalc_models.operations import (
    BatchStatements,
    Failure,
    Reply,
    TransactWrite,
    reading,
    results_of,
)
from thrivecalc_models.protocol import retry
from thrivecalc_models.records import session
from thrivecalc_models.transport import reports

SCHEDULES = 1_500


def laws_broken(*, batched: bool = False) -> Counter[str]:
    broken: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        _note(broken, lambda seed=seed: play_seed(seed, batched=batched))
    return broken


def laws_broken_by_rivals() -> Counter[str]:
    broken: Counter[str] = Counter()
    for seed in range(SCHEDULES // 10):
        schedule = make_rivals(random.Random(seed))
        _note(broken, lambda schedule=schedule: play_rivals(schedule))
    return broken


def _note(broken: Counter[str], play: Callable[[], object]) -> None:
    try:
        play()
    except LawBroken as caught:
        broken[caught.law] += 1


@pytest.fixture
def break_token_reuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every try of a transaction gets a token of its own, as an SDK would do it."""
    request = TransactWrite.request

    def with_another_token(self: TransactWrite, table_name: str) -> dict[str, Any]:
        return request(self, table_name) | {"ClientRequestToken": str(uuid.uuid4())}

    monkeypatch.setattr(TransactWrite, "request", with_another_token)


@pytest.fixture
def break_own_write_recognition(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored item that comes back with a failed condition is not looked at."""
    commit = importlib.import_module("thrivecalc_models.protocol.commit")  # not the function
    monkeypatch.setattr(commit, "is_ours", lambda write, stored: False)


@pytest.fixture
def break_random_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where now is not later than what was read, a stamp is the one that was read, plus 1 ms."""
    monkeypatch.setattr(session, "MAX_SKIP", 1)


@pytest.fixture
def break_doubt_about_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled transaction is not applied, whatever the condition was that failed."""
    commit = importlib.import_module("thrivecalc_models.protocol.commit")
    monkeypatch.setattr(commit, "needs_a_stamp", lambda write: True)


@pytest.fixture
def break_progress_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every try uses up the budget, whether a batch shrinks or not."""
    monkeypatch.setattr(retry.Backoff, "progress", lambda self, at: None)


@pytest.fixture
def break_interrupt_handling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that was interrupted counts as one that did not happen."""
    harmless = attrs.evolve(reports.IN_DOUBT, applied_maybe=False)
    monkeypatch.setattr(reports, "IN_DOUBT", harmless)


@pytest.fixture
def break_doubt_about_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that failed counts as not applied, whatever its code."""
    commit = importlib.import_module("thrivecalc_models.protocol.commit")

    def trusted(batch: BatchStatements, reply: Reply) -> list[Any]:
        return [
            attrs.evolve(result, applied_maybe=False) if isinstance(result, Failure) else result
            for result in results_of(batch, reply)
        ]

    monkeypatch.setattr(commit, "results_of", trusted)


@pytest.fixture
def break_doubt_about_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of statements that was refused as a whole counts as not applied."""
    monkeypatch.setattr(reading, "is_of_the_whole", lambda failure: False)


@pytest.fixture
def break_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a batch that was refused as a whole, what is stored is taken to be unchanged."""
    commit = importlib.import_module("thrivecalc_models.protocol.commit")
    monkeypatch.setattr(commit, "is_ours", lambda write, stored: False)
    monkeypatch.setattr(commit, "holds", lambda condition, stored: True)


@pytest.mark.parametrize("batched", [False, True])
def test_the_laws_hold_when_nothing_is_broken(batched: bool) -> None:
    """The same schedules break no law on the protocol as it is."""
    assert not laws_broken(batched=batched)


@pytest.mark.usefixtures("break_doubt_about_statements")
def test_trusting_a_failed_statement_is_caught() -> None:
    """A statement that ended with an internal error was applied, and is called not applied."""
    assert "not applied is not in the table, and never will be" in laws_broken(batched=True)


@pytest.mark.usefixtures("break_doubt_about_batches")
def test_trusting_a_refused_batch_is_caught() -> None:
    """A batch that was refused as a whole was applied, and is called not applied."""
    assert "not applied is not in the table, and never will be" in laws_broken(batched=True)


@pytest.mark.usefixtures("break_looking")
def test_not_looking_is_caught() -> None:
    """What is stored after a refused batch is another's, or ours, and is not recognised."""
    assert "not applied is not in the table, and never will be" in laws_broken(batched=True)


@pytest.mark.usefixtures("break_token_reuse")
def test_a_fresh_token_for_every_try_is_caught() -> None:
    """Without token reuse a transaction conflicts with itself, and the token law says so."""
    broken = laws_broken()
    assert "a fresh token only when the answer was certain" in broken
    assert "not applied is not in the table, and never will be" in broken


@pytest.mark.usefixtures("break_own_write_recognition")
def test_not_knowing_ones_own_write_is_caught() -> None:
    """Without recognition an applied write stays unknown, and no second commit finishes it."""
    broken = laws_broken()
    assert "a second commit finishes the rest" in broken
    assert "repeating the call is the same write" in broken


@pytest.mark.usefixtures("break_random_stamps")
def test_stamps_that_two_writers_share_are_caught() -> None:
    """With stamps that are not random two clients take one write for their own."""
    assert set(laws_broken_by_rivals()) == {"two writers rarely write the same"}


@pytest.mark.usefixtures("break_doubt_about_transactions")
def test_trusting_a_taken_key_is_caught() -> None:
    """A transaction that a taken key cancelled arrives late, once the key is free again."""
    assert "not applied is not in the table, and never will be" in laws_broken()


@pytest.mark.usefixtures("break_progress_counting")
def test_counting_tries_with_progress_is_caught() -> None:
    """Without progress counting a batch that shrinks is given up too early."""
    assert set(laws_broken()) == {"progress makes the budget whole"}


@pytest.mark.usefixtures("break_interrupt_handling")
def test_forgetting_what_was_interrupted_is_caught() -> None:
    """A request that was applied and then interrupted may not be called not applied."""
    assert "not applied is not in the table, and never will be" in laws_broken()
