"""Schedules: random work, random faults, other writers, and the laws that hold whatever happens.

A schedule is made from a `random.Random`, so that a seed, or Hypothesis, can stand behind it.
`play` performs it on a simulated table in virtual time and raises `LawBroken` with the name of the
law. Nothing here looks inside the library: what is judged is what it says, what it sent, and what
is in the table.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import attrs
from leaks import AMOUNT, EMAIL, NAME, USER
from machines import key_of_statement
from shells import Calls, store_on

from thrivecalc_models import (
    CommitError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ThrottledError,
    UnavailableError,
)
from thrivecalc_models.operations import FATAL, Failure, FailureKind, Reply
from thrivecalc_models.testing import SimulatedTable
from thrivecalc_models.testing.faults import (
    BatchRefused,
    Denied,
    ExpiredCredentials,
    Fault,
    Interrupt,
    Late,
    LoseReply,
    NoTable,
    Overtaken,
    Partial,
    Refused,
    ServerError,
    StatementFailed,
    Throttle,
    TransactionConflict,
    TransactionInProgress,
    concerns,
)

STATEMENTS = "BatchExecuteStatement"
WRITES = (
    *("PutItem", "UpdateItem", "DeleteItem"),
    *("BatchWriteItem", "TransactWriteItems", STATEMENTS),
)
TOKEN_SECONDS = 600.0

Item = dict[str, Any]


class LawBroken(AssertionError):
    """What was promised did not hold; `law` names the promise."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"{law}: {what}")
        self.law = law


def law(name: str, holds: object, what: object = "") -> None:
    if not holds:
        raise LawBroken(name, str(what))


# --- what a schedule is ---------------------------------------------------------------------------

TRANSIENT: tuple[Callable[[random.Random], Fault], ...] = (
    lambda rng: Throttle(),
    lambda rng: ServerError(500),
    lambda rng: ServerError(503, applied=True),
    lambda rng: LoseReply(applied=False),
    lambda rng: LoseReply(applied=True),
    lambda rng: LoseReply(applied=True),
    lambda rng: Late(after=rng.randrange(1, 4)),
    lambda rng: Overtaken(),
    lambda rng: Partial(keep=rng.randrange(3)),
    lambda rng: Partial(keep=1),
    lambda rng: Refused(),
    lambda rng: TransactionConflict(),
    lambda rng: TransactionConflict(code="ThrottlingError"),
    lambda rng: TransactionInProgress(applied=rng.random() < 0.5),
)
OF_STATEMENTS: tuple[Callable[[random.Random], Fault], ...] = (
    lambda rng: StatementFailed(at=rng.randrange(3), applied=rng.random() < 0.5),
    lambda rng: StatementFailed(at=rng.randrange(3), applied=True),
    lambda rng: StatementFailed(at=rng.randrange(3), code="ThrottlingError"),
    lambda rng: StatementFailed(at=rng.randrange(3), code="ValidationError"),
    lambda rng: StatementFailed(at=rng.randrange(3), code="TransactionConflict"),
    lambda rng: StatementFailed(at=rng.randrange(3), code="AccessDenied"),
    lambda rng: StatementFailed(at=rng.randrange(3), code="NewToUs", applied=rng.random() < 0.5),
    lambda rng: BatchRefused(applied=True),
    lambda rng: BatchRefused(applied=rng.random() < 0.5),
)
FINAL: tuple[Callable[[random.Random], Fault], ...] = (
    lambda rng: Denied(),
    lambda rng: ExpiredCredentials(),
    lambda rng: NoTable(),
    lambda rng: Interrupt(applied=False),
    lambda rng: Interrupt(applied=True),
)

LOADED = ("update", "put loaded", "delete loaded", "check")
STORED = (*LOADED, "update", "delete", "put", "add ok", "add taken")
NEW = ("add", "add", "add given", "add ok", "put", "delete", "add")


@attrs.frozen
class Task:
    """One operation of the work, on the key of that number, under which a record may be stored."""

    kind: str
    number: int
    stored: bool
    amount: int


@attrs.frozen
class Meddling:
    """What another writer does just before a request, or with the clock."""

    kind: str
    number: int


@attrs.frozen
class Trouble:
    """What goes wrong during one commit, by the number of the request (or wait) in it."""

    faults: dict[int, Fault]
    lasting: Fault | None
    others: dict[int, Meddling]
    interrupted_wait: int | None


@attrs.frozen
class Schedule:
    """Work of one unit, trouble for its first commits, and what happens in between.

    With `batched` the store has `batch_updates`; without `shown` no item comes with a failed
    condition of a statement.
    """

    atomic: bool
    lock: bool
    policy: RetryPolicy
    tasks: tuple[Task, ...]
    troubles: tuple[Trouble, ...]
    edits: tuple[tuple[int, int], ...]
    expunged: int | None
    pause: float
    deliver_first: bool
    seed: int
    batched: bool = False
    shown: bool = True


def transient(*, batched: bool) -> tuple[Callable[[random.Random], Fault], ...]:
    """What may pass; a store with `batch_updates` meets the faults of statements, too."""
    return (*TRANSIENT, *OF_STATEMENTS) if batched else TRANSIENT


def _fault(rng: random.Random, *, batched: bool) -> Fault:
    return rng.choice(transient(batched=batched) if rng.random() < 0.85 else FINAL)(rng)


def made_trouble(rng: random.Random, keys: int, *, batched: bool = False) -> Trouble:
    faults = {
        rng.randrange(1, 7): _fault(rng, batched=batched)
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4)))
    }
    others = {
        rng.randrange(1, 5): Meddling(
            rng.choice(("change", "change", "same stamp", "delete", "clock back")),
            rng.randrange(keys),
        )
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2)))
    }
    return Trouble(
        faults=faults,
        lasting=rng.choice(transient(batched=batched))(rng) if rng.random() < 0.15 else None,
        others=others,
        interrupted_wait=rng.randrange(1, 6) if rng.random() < 0.08 else None,
    )


def made_taken(trouble: Trouble, number: int) -> Trouble:
    """A key is taken before the first request's retry, which that request comes after."""
    return attrs.evolve(
        trouble,
        faults=trouble.faults | {1: Overtaken()},
        others=trouble.others | {2: Meddling("take", number)},
    )


def made_policy(rng: random.Random) -> RetryPolicy:
    return RetryPolicy(
        attempts=rng.choice((1, 2, 3, 4, 8)), deadline=rng.choice((0.05, 2.0, 20.0, 20.0))
    )


def make_unit(rng: random.Random, *, batched: bool = False) -> Schedule:
    """A unit of one to five operations, rarely of more than a batch holds.

    With `batched` most of them are such that share a batch of statements.
    """
    atomic = rng.random() < (0.1 if batched else 0.35)
    count = rng.randrange(1, 6) if rng.random() < 0.985 else rng.randrange(24, 40)
    kinds = (*STORED, *["update"] * 8, *["delete loaded"] * 4) if batched else STORED
    tasks = []
    for number in range(count):
        stored = rng.random() < (0.85 if batched else 0.6)
        kind = rng.choice(kinds if stored else NEW)
        if not atomic and kind == "check":
            kind = "update"
        if atomic and kind == "add ok":
            kind = "update" if stored else "add given"
        tasks.append(Task(kind, number, stored, rng.randrange(1, 90)))
    edits = tuple(
        (number, rng.randrange(100, 190)) for number in range(count) if rng.random() < 0.2
    )
    troubles = [made_trouble(rng, count, batched=batched) for _ in range(rng.choice((1, 1, 1, 2)))]
    added = [task.number for task in tasks if task.kind in ("add given", "put", "delete loaded")]
    if added and rng.random() < 0.15:
        troubles[0] = made_taken(troubles[0], rng.choice(added))
    return Schedule(
        atomic=atomic,
        lock=rng.random() < 0.7,
        policy=made_policy(rng),
        tasks=tuple(tasks),
        troubles=tuple(troubles),
        edits=edits,
        expunged=rng.randrange(count) if rng.random() < 0.15 else None,
        pause=rng.choice((0.0, 0.0, 0.0, 1.0, 580.0, 700.0)),
        deliver_first=rng.random() < 0.5,
        seed=rng.randrange(1 << 16),
        batched=batched,
        shown=not batched or rng.random() < 0.6,
    )


# --- the world it plays in ------------------------------------------------------------------------


class Table(SimulatedTable):
    """A simulated table that can be interrupted while its client waits.

    An interrupt of an asynchronous call is a cancellation of its task.
    """

    interrupted_wait: int | None = None
    interrupted_at: int | None = None

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        try:
            return super().send(operation, body)
        except KeyboardInterrupt:
            if Calls.cancel():
                raise asyncio.CancelledError from None  # its reply is lost, too
            raise

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.interrupted_wait is None:
            return
        self.interrupted_wait -= 1
        if self.interrupted_wait == 0:
            self.interrupted_wait = None
            self.interrupted_at = len(self.log)
            if not Calls.cancel():
                raise KeyboardInterrupt

    def heal(self) -> None:
        super().heal()
        self.interrupted_wait = None


def stored_goal(number: int, *, amount: int = 0, updated: str = "2025-01-07T12:00:00.000Z") -> Item:
    """A goal as TypeScript wrote it, with things that this library does not know."""
    record_id = f"id-{number}"
    return {
        "userId": {"S": USER},
        "recordKey": {"S": f"savings-goal#{record_id}"},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": record_id},
        "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
        "updatedAt": {"S": updated},
        "data": {
            "M": {
                "name": {"S": EMAIL},
                "targetAmount": {"N": AMOUNT},
                "currentAmount": {"N": str(amount)},
                "note": {"M": {"colour": {"S": "red"}}},
            }
        },
        "legacy": {"L": [{"N": "1"}]},
    }


class World:
    """A table, a store on it, and a memory of what others did and when each request was sent."""

    def __init__(
        self, policy: RetryPolicy, seed: int, *, batched: bool = False, shown: bool = True
    ) -> None:
        self.table = Table(shows_stored=shown)
        ids = itertools.count(1)
        self.store = store_on(
            self.table,
            retry=policy,
            seed=seed,
            batch_updates=batched,
            new_id=lambda: f"fresh-{next(ids)}",
            observer=None if seed % 2 else lambda event: None,
        )
        self.user = self.store.user(USER)
        self.policy = policy
        self.foreign: dict[str, set[int]] = {}
        self.times: list[float] = []
        self.late: set[int] = set()
        self.taken: list[str] = []
        self.injected: Counter[str] = Counter()

    def versions(self, key: str) -> list[Item | None]:
        return self.table.versions(USER, key)

    def seed(self, item: Item) -> None:
        self._by_another(item["recordKey"]["S"], lambda: self.table.put(item))

    def meddle(self, act: Meddling, key: str) -> None:
        if act.kind == "clock back":
            self.table.set_clock(self.table.clock() - timedelta(hours=1))
            return
        if "fresh" in key and not self.versions(key):
            return  # nobody else can know this id before it is written
        if act.kind == "delete":
            self._by_another(key, lambda: self.table.delete(USER, key))
            return
        if act.kind == "take":
            if self.table.get(USER, key) is None:
                taken = stored_goal(act.number) | {"recordKey": {"S": key}}
                self._by_another(key, lambda: self.table.put(taken))
                self.taken.append(key)
            return
        now = self.table.get(USER, key) or (stored_goal(act.number) | {"recordKey": {"S": key}})
        data = now["data"]["M"] | {"currentAmount": {"N": "777"}, "theirs": {"BOOL": True}}
        changed = now | {"data": {"M": data}}
        if act.kind == "change":
            changed["updatedAt"] = {"S": _stamp(self.table)}
        self._by_another(key, lambda: self.table.put(changed))

    def give_back(self) -> None:
        """The other writer deletes what it took."""
        for key in self.taken:
            self._by_another(key, lambda key=key: self.table.delete(USER, key))  # type: ignore[misc]
        self.taken.clear()

    def _by_another(self, key: str, act: Callable[[], object]) -> None:
        before = len(self.versions(key))
        act()
        if len(self.versions(key)) > before:
            self.foreign.setdefault(key, set()).add(before)

    def ours(self, key: str, since: int) -> list[Item | None]:
        """The versions that the library wrote, from that number of versions on."""
        foreign = self.foreign.get(key, set())
        return [
            item
            for number, item in enumerate(self.versions(key))
            if number >= since and number not in foreign
        ]

    def touched(self, key: str, since: int) -> bool:
        return any(number >= since for number in self.foreign.get(key, ()))

    def trouble(self, trouble: Trouble, keys: list[str]) -> None:
        """Let this go wrong from the next request on."""
        first = len(self.table.log)
        meddled: set[int] = set()

        def schedule(number: int, operation: str, request: Item) -> Fault | None:
            self.times.append(self.table.now)
            mine = number - first
            act = trouble.others.get(mine)
            if act is not None and mine not in meddled:
                meddled.add(mine)
                self.injected["OtherWriter"] += 1
                self.meddle(act, keys[act.number % len(keys)])
            fault = trouble.faults.get(mine, trouble.lasting)
            if fault is not None and concerns(fault, operation):
                self.injected[name_of(fault)] += 1
                if isinstance(fault, Late | Overtaken) and operation in WRITES:
                    self.late.add(number)
            return fault

        self.table.faults = schedule
        self.table.interrupted_wait = trouble.interrupted_wait

    def heal(self) -> None:
        self.table.heal()
        self.table.faults = self._note_time

    def _note_time(self, number: int, operation: str, request: Item) -> None:
        self.times.append(self.table.now)


def _stamp(table: SimulatedTable) -> str:
    return table.clock().strftime("%Y-%m-%dT%H:%M:%S.") + f"{table.clock().microsecond // 1000:03}Z"


def name_of(fault: Fault) -> str:
    applied = getattr(fault, "applied", None)
    suffix = {None: "", True: " after apply", False: " before apply"}[applied]
    return type(fault).__name__ + suffix


# --- what was said --------------------------------------------------------------------------------


@attrs.frozen
class Said:
    """How a commit ended, as its caller sees it."""

    applied: list[str]
    existing: list[str] = attrs.field(factory=list)
    not_applied: list[str] = attrs.field(factory=list)
    unknown: list[str] = attrs.field(factory=list)
    causes: dict[str, Any] = attrs.field(factory=dict)
    how: str = "result"

    @property
    def all_keys(self) -> list[str]:
        return [*self.applied, *self.existing, *self.not_applied, *self.unknown]


def said_by(commit: Callable[[], Any]) -> Said:
    """The account of a commit, in whatever way it comes."""
    try:
        result = commit()
    except CommitError as error:
        return _of_error(error, "CommitError")
    except KeyboardInterrupt as interrupt:
        cause = interrupt.__cause__
        law("an interrupt carries the account", isinstance(cause, CommitError), repr(cause))
        assert isinstance(cause, CommitError)
        return _of_error(cause, "KeyboardInterrupt")
    return Said(result.applied, result.existing)


def _of_error(error: CommitError, how: str) -> Said:
    return Said(error.applied, error.existing, error.not_applied, error.unknown, error.causes, how)


# --- the work of a unit ---------------------------------------------------------------------------


@attrs.define
class Pending:
    """One key of the work: what was queued, and the content that it should end with.

    `base` is the number of versions when the unit was made. `content` None stands for a deletion.
    """

    key: str
    kind: str
    base: int
    record: Any
    content: Item | None
    locked: bool
    edited: bool = False

    @property
    def writes(self) -> bool:
        return self.kind != "check"

    @property
    def repeatable(self) -> bool:
        """Whether it is unconditional, so that it may be applied twice and cannot be fenced."""
        if self.locked:
            return self.kind in ("put", "put loaded", "delete")
        return self.edited or self.kind not in ("add", "add given", "add ok", "add taken")


def _queue(world: World, work: Any, task: Task, *, locked: bool) -> Pending:
    key = f"savings-goal#id-{task.number}"
    record = work.get(SavingsGoal, f"id-{task.number}") if task.kind in LOADED else None
    base = len(world.versions(key))
    content: Item | None = None
    match task.kind:
        case "update":
            content = _edit(record, task.amount)
        case "put loaded":
            content = _edit(work.put(record), task.amount)
        case "delete loaded":
            work.delete(record)
        case "delete":
            work.delete(SavingsGoal, f"id-{task.number}")
        case "check":
            work.check(record)
        case _:
            content = _data(task.amount)
            given = SavingsGoalData(name=NAME, target_amount=AMOUNT, current_amount=task.amount)
            record = _queue_new(work, task, given)
            key = record.record_key
    return Pending(key, task.kind, base, record, content, locked)


def _queue_new(work: Any, task: Task, given: SavingsGoalData) -> Any:
    record_id = f"id-{task.number}"
    if task.kind == "add":
        return work.add(given)
    if task.kind == "put":
        return work.put(given, record_id=record_id)
    return work.add(given, record_id=record_id, exist_ok=task.kind == "add ok")


def _data(amount: int) -> Item:
    return {
        "name": {"S": NAME},
        "targetAmount": {"N": AMOUNT},
        "currentAmount": {"N": str(amount)},
    }


def _edit(record: Any, amount: int) -> Item:
    """Change a field, now and then also one that nobody declared; gives the content then."""
    item = record.item
    record.data.current_amount = Decimal(amount)
    content = dict(item["data"]["M"]) | {"currentAmount": {"N": str(amount)}}
    if amount % 3 == 0:
        record.extra_data["note"]["colour"] = f"shade {amount}"
        content["note"] = {"M": {"colour": {"S": f"shade {amount}"}}}
    return content


def _edit_again(pending: Pending, amount: int) -> None:
    pending.record.data.current_amount = Decimal(amount)
    assert pending.content is not None
    pending.content = pending.content | {"currentAmount": {"N": str(amount)}}
    pending.edited = True


# --- playing it -----------------------------------------------------------------------------------


@attrs.define
class Tally:
    """What a run of schedules met."""

    schedules: Counter[str] = attrs.field(factory=Counter)
    outcomes: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)
    requests: int = 0


def play_unit(schedule: Schedule, tally: Tally | None = None) -> None:
    """Perform a schedule and hold the library to its laws. Raises LawBroken."""
    world = World(schedule.policy, schedule.seed, batched=schedule.batched, shown=schedule.shown)
    for task in schedule.tasks:
        if task.stored:
            world.seed(stored_goal(task.number))
    world.heal()
    work = world.user.unit_of_work(atomic=schedule.atomic, lock=schedule.lock)
    pending = [_queue(world, work, task, locked=schedule.lock) for task in schedule.tasks]
    players = _Players(world, work, pending, schedule)
    try:
        players.play()
    finally:
        if tally is not None:
            tally.schedules["atomic" if schedule.atomic else "unit"] += 1
            tally.outcomes.update(players.outcomes)
            tally.faults.update(world.injected)
            tally.requests += world.table.sent()


class _Players:
    """The course of one schedule: commits in trouble, edits between them, one commit in peace."""

    def __init__(self, world: World, work: Any, pending: list[Pending], schedule: Schedule) -> None:
        self.world = world
        self.work = work
        self.all = {each.key: each for each in pending}
        self.open = dict(self.all)
        self.schedule = schedule
        self.outcomes: Counter[str] = Counter()
        self.unknown: set[str] = set()
        self.late_keys: set[str] = set()
        self.aged = False
        self.expunged: set[str] = set()

    def play(self) -> None:
        for trouble in self.schedule.troubles:
            self.world.trouble(trouble, list(self.all))
            said = self.commit()
            if said.how == "result":
                break
            self._between()
        self.world.heal()
        if self.schedule.deliver_first:
            self.world.table.deliver_late()
        if self.open:
            said = self.commit()
            self._finished(said)
        self.world.heal()
        self.world.table.deliver_late()
        self._final_state()
        self._stamps()
        self._tokens()

    def commit(self) -> Said:
        world, table = self.world, self.world.table
        first = len(table.log)
        since = {key: len(world.versions(key)) for key in self.all}
        began = table.now
        table.interrupted_at = None
        said = said_by(self.work.commit)
        self.outcomes[said.how] += 1
        for name in ("applied", "existing", "not_applied", "unknown"):
            self.outcomes[name.replace("_", " ")] += len(getattr(said, name))
        log = table.log[first:]
        world.give_back()
        self._note_late(log)
        self._partition(said)
        self._agrees(said, since, log)
        self._causes(said)
        nothing_after_the_end(log, table.interrupted_at, first)
        _budget(world, said, log, first, began)
        self._never_unknown_to_not_applied(said)
        self._advance(said)
        return said

    def _note_late(self, log: list[Any]) -> None:
        """Keys with a write still on its way (or once so), which nothing can fence."""
        for entry in log:
            if entry.number in self.world.late:
                self.late_keys.update(keys_of(entry))

    def _advance(self, said: Said) -> None:
        self.unknown = set(said.unknown)
        for key in (*said.applied, *said.existing):
            done = self.open.pop(key)
            if done.content is None or key in said.existing:
                done.edited = False

    def _between(self) -> None:
        """What the caller does after a failed commit: edits, waits."""
        table = self.world.table
        if self.schedule.deliver_first:
            table.deliver_late()
        table.interrupted_wait = None
        table.sleep(self.schedule.pause)
        self.aged = self.aged or self.schedule.pause > 500
        pending = list(self.all.values())
        if self.schedule.expunged is not None:
            self._expunge(pending[self.schedule.expunged])
        for number, amount in self.schedule.edits:
            each = pending[number]
            if each.key in self.expunged:
                continue
            if each.content is None or each.record is None or each.edited:
                continue
            if each.key not in self.open and each.kind in ("add ok",):
                continue
            _edit_again(each, amount)
            self.open[each.key] = each

    def _expunge(self, pending: Pending) -> None:
        """The caller gives up on a key; nothing is promised of it any more."""
        if pending.record is not None and pending.key in self.open:
            self.work.expunge(pending.record)
            del self.open[pending.key]
            self.unknown.discard(pending.key)
            self.expunged.add(pending.key)

    # The laws of one commit

    def _partition(self, said: Said) -> None:
        law(
            "the lists partition the pending keys",
            sorted(said.all_keys) == sorted(self.open),
            f"{said} of {sorted(self.open)}",
        )

    def _agrees(self, said: Said, since: dict[str, int], log: list[Any]) -> None:
        for key in said.applied:
            self._is_applied(self.open[key])
        for key in said.existing:
            law("existing was taken", not self.world.ours(key, self.open[key].base), key)
            law("existing was taken", any(self.world.versions(key)), key)
        for key in said.not_applied:
            self._is_not_applied(self.open[key], since[key])
        if self.schedule.deliver_first:
            self.world.table.deliver_late()
            for key in said.not_applied:
                self._is_not_applied(self.open[key], since[key])
        if self.schedule.atomic and not (self.unknown or self.expunged):
            law("all or nothing", not said.applied or not (said.not_applied or said.unknown), said)
        doubtful = {key for entry in log for key in doubtful_keys(entry)}
        for key in said.unknown:
            law(
                "unknown only what may have been applied",
                key in doubtful or key in self.unknown,
                key,
            )

    def _is_applied(self, pending: Pending) -> None:
        world, key = self.world, pending.key
        name = "applied is in the table"
        if pending.kind == "check":
            law(name, not world.ours(key, pending.base), f"a check wrote {key}")
        elif pending.content is None:
            lives = world.versions(key)[max(pending.base - 1, 0) :]
            law(name, not lives or None in lives or pending.base == 0, f"{key} is not gone")
        else:
            mine = world.ours(key, pending.base)
            law(name, any(self._has(item, pending) for item in mine), f"{key}: {mine}")
            if not world.touched(key, pending.base) and key not in self.late_keys:
                law(name, _says(world.table.get(USER, key), pending.content), key)

    def _has(self, item: Item | None, pending: Pending) -> bool:
        """Whether an item says what was meant; without the lock, fields of others may stay."""
        if item is None or pending.content is None or pending.locked:
            return _says(item, pending.content)
        if not self.world.touched(pending.key, pending.base):
            return _says(item, pending.content)
        name = "currentAmount"
        return bool(item["data"]["M"][name] == pending.content[name])

    def _is_not_applied(self, pending: Pending, since: int) -> None:
        name = "not applied is not in the table, and never will be"
        mine = self.world.ours(pending.key, since)
        if pending.content is None:
            law(name, None not in mine and (pending.writes or not mine), pending.key)
        else:
            law(name, not any(_says(item, pending.content) for item in mine), pending.key)

    def _causes(self, said: Said) -> None:
        failed = {*said.not_applied, *said.unknown}
        law("every cause has its key", set(said.causes) <= failed, said)
        law("every unknown key has a cause", set(said.unknown) <= set(said.causes), said)
        if said.how == "CommitError":
            law("there is a culprit", said.causes, said)
        for key, cause in said.causes.items():
            expected = "unknown" if key in said.unknown else "not applied"
            law("a cause says the outcome", cause.outcome == expected, (key, cause.outcome))

    def _never_unknown_to_not_applied(self, said: Said) -> None:
        if self.schedule.atomic:
            return
        edited = {key for key, each in self.all.items() if each.edited}
        turned = (self.unknown & set(said.not_applied)) - edited
        law("what may have been applied is never called not applied", not turned, turned)

    # The laws of the whole

    def _alone(self, key: str) -> bool:
        """Whether nobody else touched what this key's fate depends on."""
        keys = self.all if self.schedule.atomic else (key,)
        return not any(self.world.touched(each, self.all[each].base) for each in keys) and not any(
            self.all[each].kind in ("add taken", "add ok") and self.all[each].base for each in keys
        )

    def _finished(self, said: Said) -> None:
        """After the faults stop, one more commit finishes what nobody else was in the way of."""
        if self.schedule.atomic and self.aged:
            return
        for key in (*said.not_applied, *said.unknown):
            law(
                "a second commit finishes the rest",
                not self._alone(key),
                f"{key} ({self.all[key].kind}): {said.causes.get(key)!r}",
            )

    def _final_state(self) -> None:
        for key, pending in self.all.items():
            if not self._alone(key) or (not pending.writes and not pending.edited):
                continue
            if key in self.expunged:
                continue
            if key in self.open or (self.schedule.atomic and self.open):
                continue
            if key in self.late_keys and (pending.repeatable or pending.kind == "add"):
                continue
            if key in self.late_keys and self.schedule.atomic:
                continue
            stored = self.world.table.get(USER, key)
            count = self.world.table.applied_writes(key, user_id=USER)
            if pending.kind == "add ok" and pending.base:
                law("each operation once", count == 0, f"{key} existed")
                continue
            law("exactly the intended state", _says(stored, pending.content), f"{key}: {stored}")
            if pending.repeatable:
                continue
            most = 2 if pending.edited else 1
            law("each operation once", count <= most, f"{key} was written {count} times")
            if pending.content is not None and not pending.edited:
                law("each operation once", count == 1, f"{key} was written {count} times")

    def _stamps(self) -> None:
        for key, pending in self.all.items():
            if self.world.touched(key, pending.base) or key in self.late_keys:
                continue
            if pending.kind == "put":  # replaces what nobody has read
                continue
            versions = self.world.versions(key)[max(pending.base - 1, 0) :]
            for before, after in itertools.pairwise(versions):
                if before is None or after is None:
                    continue
                one, two = before["updatedAt"]["S"], after["updatedAt"]["S"]
                same = before == after and pending.repeatable
                law("updatedAt never goes back", one < two or same, f"{key}: {one}, then {two}")

    def _tokens(self) -> None:
        """One payload, one token, within ten minutes; another only when the answer was certain."""
        seen: dict[str, tuple[Any, float]] = {}
        for entry, at in zip(self.world.table.log, self.world.times, strict=True):
            if entry.operation != "TransactWriteItems":
                continue
            token, payload = entry.request["ClientRequestToken"], entry.request["TransactItems"]
            known, first = seen.setdefault(token, (payload, at))
            law("a token belongs to one payload", known == payload, token)
            law("a token is not used past ten minutes", at - first < TOKEN_SECONDS, at - first)
        doubtful: str | None = None
        for entry in self.world.table.log:
            if entry.operation != "TransactWriteItems":
                continue
            token = entry.request["ClientRequestToken"]
            law(
                "a fresh token only when the answer was certain",
                doubtful in (None, token) or self.aged or bool(self.expunged),
                token,
            )
            if isinstance(entry.result, Reply) or (
                isinstance(entry.result, Failure)
                and entry.result.kind is FailureKind.TRANSACTION_CANCELLED
            ):
                doubtful = None
            elif may_have_applied(entry):
                doubtful = token


def _says(item: Item | None, content: Item | None) -> bool:
    if item is None or content is None:
        return item is content
    return bool(item["data"]["M"] == content)


def keys_of(entry: Any) -> list[str]:
    """The record keys that a request of a commit is about."""
    request = entry.request
    match entry.operation:
        case "BatchWriteItem":
            [contents] = request["RequestItems"].values()
            parts = [part for content in contents for part in content.values()]
        case "BatchGetItem":
            [content] = request["RequestItems"].values()
            return [key["recordKey"]["S"] for key in content["Keys"]]
        case "BatchExecuteStatement":
            return [key_of_statement(statement) for statement in request["Statements"]]
        case "TransactWriteItems":
            parts = [part for content in request["TransactItems"] for part in content.values()]
        case _:
            parts = [request]
    return [(part.get("Item") or part["Key"])["recordKey"]["S"] for part in parts]


def statement_codes(entry: Any) -> dict[str, str]:
    """The error codes of the statements in a reply, by record key; "" for none."""
    if entry.operation != STATEMENTS or not isinstance(entry.result, Reply):
        return {}
    codes = [each.get("Error", {}).get("Code", "") for each in entry.result.body["Responses"]]
    return dict(zip(keys_of(entry), codes, strict=True))


def doubtful_keys(entry: Any) -> list[str]:
    """The record keys of which nobody can say by this reply alone whether they were written."""
    if may_have_applied(entry):
        return keys_of(entry)
    said = ("InternalServerError", "NewToUs")
    return [key for key, code in statement_codes(entry).items() if code in said]


def may_have_applied(entry: Any) -> bool:
    if entry.result is None:
        return True
    if not isinstance(entry.result, Failure):
        return False
    whole = entry.operation == STATEMENTS and entry.result.kind is FailureKind.INVALID
    return entry.result.applied_maybe or whole


def nothing_after_the_end(log: list[Any], interrupted_at: int | None, first: int) -> None:
    for number, entry in enumerate(log):
        if _is_fatal(entry) or entry.result is None:
            law(
                "nothing is started after the end",
                number == len(log) - 1,
                f"{len(log) - number - 1} requests after {entry.result}",
            )
    if interrupted_at is not None:
        law(
            "nothing is started after the end",
            first + len(log) == interrupted_at,
            "requests after an interrupted wait",
        )


def _budget(world: World, said: Said, log: list[Any], first: int, began: float) -> None:
    """Tries without progress are counted, those with progress are not; time is bounded by both."""
    policy, times = world.policy, world.times[first:]
    tries: Counter[str] = Counter()
    since: dict[str, float] = {}
    progress = 1
    for entry, at in zip(log, times, strict=True):
        keys = keys_of(entry)
        left = _left_of(entry)
        moved = left is not None and len(left) < len(keys)
        progress += moved
        for key in keys:
            tries[key] = 0 if moved else tries[key] + 1
            if moved or key not in since:
                since[key] = at
            law(
                "no more tries than the policy allows without progress",
                tries[key] <= 2 * policy.attempts,
                f"{key}: {tries[key]} tries",
            )
    limit = 2 * progress * (policy.deadline + 0.01 * (len(log) + 1))
    law("time is bounded by the policy", world.table.now - began <= limit, world.table.now - began)
    if said.how != "CommitError" or any(_is_fatal(entry) for entry in log):
        return
    waited = {key: world.table.now - start for key, start in since.items()}
    if any(time + policy.ceiling >= policy.deadline for time in waited.values()):
        return
    for key in (*said.not_applied, *said.unknown):
        if isinstance(said.causes.get(key), ThrottledError | UnavailableError):
            law(
                "progress makes the budget whole",
                tries[key] >= policy.attempts,
                f"{key} was given up after {tries[key]} tries, {waited} s without progress",
            )


def _is_fatal(entry: Any) -> bool:
    if "AccessDenied" in statement_codes(entry).values():
        return True
    return isinstance(entry.result, Failure) and entry.result.kind in FATAL


def _left_of(entry: Any) -> list[Any] | None:
    """The entries of a batch that came back, None where nothing was answered."""
    if not isinstance(entry.result, Reply):
        return None
    body = entry.result.body
    if entry.operation == STATEMENTS:
        return [code for code in statement_codes(entry).values() if code in PASSING]
    if entry.operation == "BatchGetItem":
        return [key for rest in body["UnprocessedKeys"].values() for key in rest["Keys"]]
    return [item for items in body.get("UnprocessedItems", {}).values() for item in items]


PASSING = (
    *("InternalServerError", "TransactionConflict"),
    *("ThrottlingError", "ProvisionedThroughputExceeded"),
)
"""Codes of statements that are sent again."""
