"""Schedules of clients who write the same record, with clocks that differ by seconds."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import attrs
from leaks import USER
from schedules import (
    Item,
    Table,
    Tally,
    law,
    made_policy,
    name_of,
    stored_goal,
    transient,
)
from shells import is_async, store_on

from thrivecalc_models import CommitError, RetryPolicy, SavingsGoal, ThriveCalcError
from thrivecalc_models.testing.faults import Fault, LoseReply, Overtaken

KEY = "savings-goal#id-0"
ROUNDS = 8
MANY = 4
"""So many rounds of which two writers may write the same: one of sixteen does, where clocks lag."""


@attrs.frozen
class Turn:
    """What one client writes in a round, and what goes wrong, by the number of its request."""

    amount: int
    faults: dict[int, Fault]


@attrs.frozen
class Rivals:
    """Rounds in which every client reads the record, and then every one writes it.

    `skews` are the seconds that each client's clock is off. `ahead` are, for each round, the
    seconds by which the stamp that all of them read is ahead of the table's clock. With `batched`
    each unit also writes a record of its client's own, in the same batch of statements.
    """

    how: str
    policy: RetryPolicy
    skews: tuple[float, ...]
    ahead: tuple[float, ...]
    rounds: tuple[tuple[Turn, ...], ...]
    seed: int
    batched: bool = False
    shown: bool = True


def make_rivals(rng: random.Random, *, batched: bool = False) -> Rivals:
    clients = rng.choice((2, 2, 3))
    return Rivals(
        how="unit" if batched else rng.choice(("update", "unit", "save", "atomic")),
        policy=made_policy(rng),
        skews=tuple(rng.choice((0.0, 0.0, -3.0, 2.0, 5.0)) for _ in range(clients)),
        ahead=tuple(rng.choice((-60.0, 0.0, 5.0, 5.0, 5.0, 3600.0)) for _ in range(ROUNDS)),
        rounds=tuple(_made_round(rng, clients, batched=batched) for _ in range(ROUNDS)),
        seed=rng.randrange(1 << 16),
        batched=batched,
        shown=not batched or rng.random() < 0.6,
    )


def _made_round(rng: random.Random, clients: int, *, batched: bool) -> tuple[Turn, ...]:
    amounts = [101] * clients if rng.random() < 0.8 else [101 + n for n in range(clients)]
    return tuple(Turn(amount, _made_faults(rng, batched=batched)) for amount in amounts)


def _made_faults(rng: random.Random, *, batched: bool) -> dict[int, Fault]:
    chance = rng.random()
    if chance < 0.4:
        return {1: LoseReply(applied=False)}
    if chance < 0.5:
        return {1: Overtaken()}
    faults = transient(batched=batched)
    return {rng.randrange(1, 4): rng.choice(faults)(rng) for _ in range(rng.randrange(3))}


def play_rivals(schedule: Rivals, tally: Tally | None = None) -> None:
    """Perform a schedule and hold the library to its laws. Raises LawBroken."""
    table = Table(shows_stored=schedule.shown)
    clients = [
        store_on(
            table,
            retry=schedule.policy,
            seed=schedule.seed,
            batch_updates=schedule.batched,
            clock=partial(_skewed, table, skew),
        ).user(USER)
        for skew in schedule.skews
    ]
    told_twice = 0
    for ahead, turns in zip(schedule.ahead, schedule.rounds, strict=True):
        told_twice += _play_round(table, clients, schedule, ahead, turns, tally)
    law("two writers rarely write the same", told_twice <= MANY, f"in {told_twice} of {ROUNDS}")
    if tally is not None:
        tally.schedules["rivals"] += 1
        tally.requests += table.sent()


def _skewed(table: Table, seconds: float) -> Any:
    return table.clock() + timedelta(seconds=seconds)


def _play_round(
    table: Table,
    clients: list[Any],
    schedule: Rivals,
    ahead: float,
    turns: tuple[Turn, ...],
    tally: Tally | None,
) -> bool:
    """One round; whether more callers were told that they wrote than wrote, and had to be."""
    stamp = (table.clock() + timedelta(seconds=ahead)).isoformat(timespec="milliseconds")
    table.put(stored_goal(0, amount=100, updated=stamp.replace("+00:00", "Z")))
    how, before = schedule.how, table.applied_writes(KEY)
    readings = [_read(user, how) for user in clients]
    if schedule.batched:
        for number, (work, _) in enumerate(readings, 1):
            table.put(stored_goal(number))
            work.get(SavingsGoal, f"id-{number}").data.current_amount += 1
    told = unknown = 0
    sent: list[list[Item]] = []
    for turn, reading in zip(turns, readings, strict=True):
        first = len(table.log)
        table.faults = {first + number: fault for number, fault in turn.faults.items()}
        outcome = _write(reading, how, turn.amount)
        sent.append([entry.request for entry in table.log[first:]])
        told += outcome == "applied"
        unknown += outcome == "unknown"
        if tally is not None:
            tally.outcomes[outcome] += 1
            tally.faults.update(map(name_of, turn.faults.values()))
    table.heal()
    written = table.applied_writes(KEY) - before
    doubled = told > written
    twins = how != "atomic" and _have_twins(sent)  # a token tells even those apart
    law("no write is told to two callers", not doubled or twins, f"{told}: {written}")
    table.deliver_late()
    written = table.applied_writes(KEY) - before
    law(
        "what was written was told or unknown",
        written <= told + unknown,
        f"{told} and {unknown}: {written}",
    )
    return doubled


def _read(user: Any, how: str) -> tuple[Any, Any]:
    if how not in ("unit", "atomic"):
        return user, user.get(SavingsGoal, "id-0", consistent=True)
    work = user.unit_of_work(atomic=how == "atomic")
    return work, work.get(SavingsGoal, "id-0")


def _write(reading: tuple[Any, Any], how: str, amount: int) -> str:
    """Write an amount; what its caller is told."""
    scope, goal = reading
    goal.data.current_amount = Decimal(amount)
    try:
        match how:
            case "unit" | "atomic":
                scope.commit()
            case "save" if not is_async():
                goal.save()
            case _:
                scope.update(goal)
    except CommitError as error:
        outcomes = {"unknown": error.unknown, "applied": error.applied}
        return next((name for name, keys in outcomes.items() if KEY in keys), "not applied")
    except ThriveCalcError as error:
        return str(error.outcome)
    except Exception as error:  # noqa: BLE001 - PynamoDB's own, of `save`
        return str(vars(error)["outcome"])
    return "applied"


def _have_twins(sent: list[list[Item]]) -> bool:
    """Whether two of the clients sent the very same write, which no stamp can tell apart."""
    writes = [[write for request in requests for write in _writes(request)] for requests in sent]
    return any(
        write in theirs for ours, theirs in itertools.combinations(writes, 2) for write in ours
    )


def _writes(request: Item) -> list[Item]:
    statements: list[Item] = request.get("Statements", [request])
    return statements
