"""Schedules of single calls and of reads: what `UserData` promises without a unit of work."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
from leaks import AMOUNT, NAME, USER
from schedules import (
    WRITES,
    Item,
    Tally,
    Trouble,
    World,
    keys_of,
    law,
    made_policy,
    made_trouble,
    make_unit,
    may_have_applied,
    nothing_after_the_end,
    play_unit,
    stored_goal,
)
from schedules_rivals import make_rivals, play_rivals

from thrivecalc_models import (
    CommitError,
    ConflictError,
    RecordExistsError,
    RecordNotFoundError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ThriveCalcError,
    ThrottledError,
    read_item,
)
from thrivecalc_models.errors import ServiceError
from thrivecalc_models.operations import Failure, Reply
from thrivecalc_models.testing.faults import Late, Overtaken, Partial

SINGLE = (
    "add",
    "add",
    "add given",
    "put",
    "update",
    "delete loaded",
    "delete",
    "replace_data",
    "patch",
    "patch what is absent",
    "patch a version",
    "replace a version",
    "delete a version",
    "upsert",
    "upsert anew",
)
WITHOUT_RECORD = ("delete", "replace_data", "patch", "patch what is absent", "replace a version")
"""Calls whose errors have no record to repeat, or need none."""

ANOTHER = (*WITHOUT_RECORD, "upsert", "upsert anew")
"""Calls of which each repetition is another write of the same content."""

ONCE = (
    "add",
    "add given",
    "update",
    "delete loaded",
    "patch a version",
    "delete a version",
    "upsert anew",
)
NEW = ("add", "add given", "upsert anew")
WHOLE = ("delete_all", "run", "run in steps")
READS = (
    "list",
    "list consistent",
    "list_all",
    "iterate",
    "page",
    "get",
    "get_many",
    "unit list",
    "unit get_many",
)
KEY = "savings-goal#id-0"


@attrs.frozen
class Calls:
    """One call of UserData that is repeated, as its errors say, until it succeeds."""

    kind: str
    policy: RetryPolicy
    troubles: tuple[Trouble, ...]
    items: int
    amount: int
    seed: int
    batched: bool = False
    shown: bool = True


def make_calls(rng: random.Random, *, batched: bool = False) -> Calls:
    kind = rng.choice(SINGLE if rng.random() < 0.7 else WHOLE)
    count = rng.randrange(1, 4) if rng.random() < 0.95 else rng.randrange(24, 32)
    return Calls(
        kind=kind,
        policy=made_policy(rng),
        troubles=tuple(
            made_trouble(rng, count, batched=batched) for _ in range(rng.choice((1, 1, 2)))
        ),
        items=count if kind in WHOLE else 1,
        amount=rng.randrange(1, 90),
        seed=rng.randrange(1 << 16),
        batched=batched,
        shown=not batched or rng.random() < 0.6,
    )


def play_calls(schedule: Calls, tally: Tally | None = None) -> None:
    """Perform a schedule and hold the library to its laws. Raises LawBroken."""
    world = World(schedule.policy, schedule.seed, batched=schedule.batched, shown=schedule.shown)
    if schedule.kind not in NEW:
        for number in range(schedule.items):
            world.seed(stored_goal(number))
    world.heal()
    player = {"delete_all": _DeleteAll, "run": _Run, "run in steps": _Run}.get(
        schedule.kind, _Single
    )(world, schedule)
    try:
        player.play()
    finally:
        if tally is not None:
            tally.schedules[schedule.kind] += 1
            tally.outcomes.update(player.outcomes)
            tally.faults.update(world.injected)
            tally.requests += world.table.sent()


class _Player:
    def __init__(self, world: World, schedule: Calls) -> None:
        self.world = world
        self.schedule = schedule
        self.outcomes: list[str] = []
        self.base = len(world.versions(KEY))

    def play(self) -> None:
        keys = [f"savings-goal#id-{number}" for number in range(self.schedule.items)]
        for trouble in self.schedule.troubles:
            self.world.trouble(trouble, keys)
            if self.turn():
                break
        else:
            self.world.heal()
            self.finish()
        self.world.heal()
        self.end()

    def turn(self) -> bool:
        """One call in trouble; whether it succeeded."""
        raise NotImplementedError

    def finish(self) -> None:
        """The same call in peace."""
        raise NotImplementedError

    def end(self) -> None:
        """What holds when all is done."""

    def log_of(self, call: Callable[[], Any]) -> tuple[list[Any], BaseException | None, Any]:
        table = self.world.table
        first, error, value = len(table.log), None, None
        table.interrupted_at = None
        try:
            value = call()
        except (ThriveCalcError, KeyboardInterrupt) as raised:
            error = raised
        log = table.log[first:]
        self.world.give_back()
        nothing_after_the_end(log, table.interrupted_at, first)
        self.outcomes.append("returned" if error is None else type(error).__name__)
        return log, error, value

    def late(self, key: str | None = None) -> bool:
        return any(
            entry.number in self.world.late and key in (None, *keys_of(entry))
            for entry in self.world.table.log
            if entry.operation in WRITES
        )


class _Single(_Player):
    """A single write, repeated with the record of its error."""

    def __init__(self, world: World, schedule: Calls) -> None:
        super().__init__(world, schedule)
        self.record: Any = None
        if schedule.kind in ("update", "delete loaded"):
            self.record = world.user.get(SavingsGoal, "id-0")
        if schedule.kind == "update":
            self.record.data.current_amount = Decimal(schedule.amount)
        self.unknown = self.doubt = False
        self.ended = False

    @property
    def content(self) -> Item | None:
        amount = {"N": str(self.schedule.amount)}
        if self.schedule.kind.startswith("delete"):
            return None
        stored = stored_goal(0)["data"]["M"]
        if self.schedule.kind == "update":
            return stored | {"currentAmount": amount}
        if self.schedule.kind in ("patch", "patch a version"):
            note = {"M": {"by": {"S": "x"}}}
            return stored | {"currentAmount": amount, "note": note}
        if self.schedule.kind == "patch what is absent":
            return stored | {"more": {"M": {"x": amount}}}
        new = {"name": {"S": NAME}, "targetAmount": {"N": AMOUNT}, "currentAmount": amount}
        return stored | new if self.schedule.kind == "upsert" else new

    @property
    def key(self) -> str:
        if self.schedule.kind != "add":
            return KEY
        return "savings-goal#fresh-1" if self.record is None else str(self.record.record_key)

    def call(self) -> Any:
        user, kind = self.world.user, self.schedule.kind
        amount = self.schedule.amount
        if kind == "update":
            return user.update(self.record)
        if kind == "delete loaded":
            return user.delete(self.record)
        if kind == "delete":
            return user.delete(SavingsGoal, "id-0")
        if kind.endswith("a version") and kind not in WITHOUT_RECORD and self.record is not None:
            return (user.delete if kind.startswith("delete") else user.update)(self.record)
        version = {"if_version": self.version()} if kind.endswith("a version") else {}
        if kind == "delete a version":
            return user.delete(SavingsGoal, "id-0", **version)
        if kind.startswith("replace"):
            content = {"name": NAME, "targetAmount": Decimal(AMOUNT), "currentAmount": amount}
            return user.replace_data(SavingsGoal, "id-0", content, **version)
        if kind == "patch what is absent":
            return user.patch(SavingsGoal, "id-0", {"more": {"x": amount, "y": None}})
        if kind.startswith("patch"):
            patch = {"currentAmount": amount, "note": {"colour": None, "by": "x"}}
            return user.patch(SavingsGoal, "id-0", patch, **version)
        if kind.startswith("upsert") and self.record is None:
            given = SavingsGoalData(name=NAME, target_amount=AMOUNT, current_amount=amount)
            return user.upsert(given, record_id="id-0")
        if kind.startswith("upsert"):
            return user.upsert(self.record)
        write = user.put if kind == "put" else user.add
        if self.record is not None:
            return write(self.record)
        given = SavingsGoalData(name=NAME, target_amount=AMOUNT, current_amount=amount)
        return write(given, record_id=None if kind == "add" else "id-0")

    def version(self) -> str:
        """The version that is stored now, as a caller may have got it."""
        item = self.world.table.get(USER, self.key)
        return "none" if item is None else read_item(item).version

    def alone(self) -> bool:
        return not self.world.touched(self.key, self.base)

    def turn(self) -> bool:
        since = len(self.world.versions(self.key))
        log, error, value = self.log_of(self.call)
        if error is None:
            self.ended = True
            if value is not None:
                self.record = value
            return True
        if isinstance(error, KeyboardInterrupt):
            cause = error.__cause__
            law("an interrupt carries the account", isinstance(cause, CommitError), repr(cause))
            error = next(iter(cause.causes.values()), cause)
        self.judge(log, error, since)
        return False

    def judge(self, log: list[Any], error: Any, since: int) -> None:
        """An error of a single write says what became of it."""
        outcome = error.outcome
        if isinstance(error, CommitError):  # nothing was sent: there is no culprit
            outcome = "unknown" if error.unknown else "not applied"
        law("a single write says its outcome", outcome in ("not applied", "unknown"), repr(error))
        # Where each call is another write, the late write of an earlier one is another's.
        another = self.schedule.kind in ANOTHER and self.late()
        if outcome == "not applied":
            law(
                "what may have been applied is never called not applied",
                not self.unknown,
                repr(error),
            )
            self.world.table.deliver_late()
            law(
                "not applied is not in the table, and never will be",
                another or not self.world.ours(self.key, since),
                repr(error),
            )
        else:
            doubtful = any(may_have_applied(entry) for entry in log if entry.operation in WRITES)
            law("unknown only what may have been applied", doubtful or self.doubt, repr(error))
        if isinstance(error, ConflictError | RecordExistsError | RecordNotFoundError):
            law("a write never conflicts with itself", another or not self.alone(), repr(error))
        if error.record is not None:
            self.record = error.record
        elif outcome == "unknown" and self.schedule.kind not in WITHOUT_RECORD:
            law("an error of a single write has its record", False, repr(error))
        self.doubt = outcome == "unknown" and self.schedule.kind not in WITHOUT_RECORD
        self.unknown = self.doubt and self.schedule.kind not in ANOTHER

    def finish(self) -> None:
        if self.schedule.kind in ("replace a version", "patch what is absent"):
            self.world.table.deliver_late()  # between reading and writing it would be a conflict
        since = len(self.world.versions(self.key))
        log, error, value = self.log_of(self.call)
        if error is None:
            self.ended = True
            self.record = self.record if value is None else value
            return
        law("repeating the call is the same write", not self.alone(), repr(error))
        self.judge(log, error, since)

    def end(self) -> None:
        world = self.world
        late = self.late()
        world.table.deliver_late()
        if not self.alone():
            return
        law("repeating the call is the same write", self.ended, self.schedule.kind)
        if self.schedule.kind == "add":
            made = [key for _, key in world.table.items if "fresh" in key]
            law("never a duplicate", len(made) == 1, made)
        item = world.table.get(USER, self.key)
        said = None if item is None else item["data"]["M"]
        law("exactly the intended state", said == self.content, said)
        if self.schedule.kind in ONCE and not late:
            count = world.table.applied_writes(self.key)
            law("each operation once", count == 1, f"{self.key} was written {count} times")


class _DeleteAll(_Player):
    """Closing an account, until nothing is left."""

    def turn(self) -> bool:
        log, error, _ = self.log_of(self.world.user.delete_all)
        if error is None:
            if not self.late():
                law("nothing is left", not self._left(log), list(self.world.table.items))
            return True
        if isinstance(error, KeyboardInterrupt):
            error = error.__cause__
        nothing = not any(entry.operation in WRITES for entry in log)
        if not (nothing and isinstance(error, ServiceError)):
            law("delete_all says what was deleted", isinstance(error, CommitError), repr(error))
            self._agrees(error)
        return False

    def _left(self, log: list[Any]) -> bool:
        *_, last = [entry for entry in log if entry.operation == "Query"]
        return bool(last.result.body["Items"])

    def _agrees(self, error: Any) -> None:
        items = {key for _, key in self.world.table.items}
        lists = [error.applied, error.existing, error.not_applied, error.unknown]
        every = [key for keys in lists for key in keys]
        law("the lists partition the pending keys", len(every) == len(set(every)), error)
        law("every unknown key has a cause", set(error.unknown) <= set(error.causes), error)
        for key in error.applied:
            if not self.world.touched(key, 1):
                law("applied is in the table", key not in items, key)
        self.world.table.deliver_late()
        items = {key for _, key in self.world.table.items}
        for key in error.not_applied:
            if not self.world.touched(key, 1):
                name = "not applied is not in the table, and never will be"
                law(name, key in items, key)

    def finish(self) -> None:
        self.world.table.deliver_late()
        _, error, _ = self.log_of(self.world.user.delete_all)
        law("a second call finishes the rest", error is None, repr(error))
        law("nothing is left", not self.world.table.items, list(self.world.table.items))


class _Run(_Player):
    """`run`: a transfer that must happen once, or not at all."""

    calls = 0

    def move(self, work: Any) -> str:
        self.calls += 1
        goal = work.get(SavingsGoal, "id-0")
        if goal is not None:
            goal.data.current_amount += self.schedule.amount
        work.add(SavingsGoalData(name=NAME, target_amount=AMOUNT), record_id=None)
        return f"call {self.calls}"

    def receipts(self) -> int:
        return sum("fresh" in key for _, key in self.world.table.items)

    def turn(self) -> bool:
        before, self.calls = self.receipts(), 0
        atomic = self.schedule.kind == "run"
        _, error, value = self.log_of(lambda: self.world.user.run(self.move, atomic=atomic))
        law("run calls at most so many times", self.calls <= 3, self.calls)
        done = self.receipts() - before
        law("run applies once or not at all", done in (0, 1), f"{done} receipts")
        if error is None:
            law("run applies what it returns", done == 1, f"{done} receipts")
            law("run returns what its last call did", value == f"call {self.calls}", value)
            return True
        cause = error.__cause__ if isinstance(error, KeyboardInterrupt) else error
        if isinstance(cause, CommitError) and not cause.unknown:
            fresh = [key for key in cause.applied if "fresh" in key]
            law("applied is in the table", done == len(fresh), f"{done} receipts, {cause.applied}")
            self.world.table.deliver_late()
            later = self.receipts() - before
            if atomic and self.late():
                return True
            law("run applies once or not at all", later == done, f"{later} receipts later")
        return True

    def finish(self) -> None:
        """Nothing: to call it again would be another transfer."""


# --- reads ----------------------------------------------------------------------------------------


@attrs.frozen
class Reads:
    """One read of a table with so many items, in pages of so many bytes."""

    kind: str
    policy: RetryPolicy
    trouble: Trouble
    items: int
    page_bytes: int
    seed: int


def make_reads(rng: random.Random, *, batched: bool = False) -> Reads:
    trouble = made_trouble(rng, 1, batched=batched)
    lasting = (
        trouble.lasting if not isinstance(trouble.lasting, Late | Overtaken) else Partial(keep=0)
    )
    if rng.random() < 0.1:
        lasting = Partial(keep=rng.randrange(2))
    kind = rng.choice(READS)
    many = kind.endswith("get_many") and rng.random() < 0.02
    return Reads(
        kind=kind,
        policy=made_policy(rng),
        trouble=attrs.evolve(trouble, others={}, lasting=lasting),
        items=rng.randrange(99, 104) if many else rng.randrange(7),
        page_bytes=rng.choice((200, 600, 10_000)),
        seed=rng.randrange(1 << 16),
    )


def play_reads(schedule: Reads, tally: Tally | None = None) -> None:
    """A read is whole or an error, however it goes. Raises LawBroken."""
    world = World(schedule.policy, schedule.seed)
    world.table.page_bytes = schedule.page_bytes
    for number in range(schedule.items):
        world.seed(stored_goal(number))
    world.trouble(schedule.trouble, [KEY])
    outcome = "returned"
    try:
        found = _read(world, schedule)
    except (ServiceError, KeyboardInterrupt) as error:
        outcome = type(error).__name__
        if isinstance(error, ServiceError):
            _failed_well(world, schedule, error)
        else:
            interrupted = world.table.interrupted_at is not None
            law("only an interrupt interrupts", interrupted or _interrupted(world), error)
    else:
        expected = sorted(f"savings-goal#id-{number}" for number in range(schedule.items))
        law("a list is whole", sorted(found) == expected[: len(expected)], f"{found}")
        if schedule.kind not in ("iterate", "page"):
            law("a list is in order", found == sorted(found) or "get" in schedule.kind, found)
    _retried_as_before(world, schedule)
    if tally is not None:
        tally.schedules["read"] += 1
        tally.outcomes[outcome] += 1
        tally.faults.update(world.injected)
        tally.requests += world.table.sent()


def _interrupted(world: World) -> bool:
    return world.table.log[-1].result is None


def _read(world: World, schedule: Reads) -> list[str]:
    user = world.user
    wanted: list[tuple[Any, str]] = [(SavingsGoal, f"id-{n}") for n in range(schedule.items)]
    match schedule.kind:
        case "list":
            found: Any = user.list(SavingsGoal)
        case "list consistent":
            found = user.list(SavingsGoal, consistent=True)
        case "list_all":
            found = user.list_all()
        case "iterate":
            found = list(user.iterate("savings-goal"))
        case "page":
            found, page = [], user.page(SavingsGoal, limit=2)
            found += page.records
            while page.cursor is not None:
                page = user.page(SavingsGoal, limit=2, cursor=page.cursor)
                found += page.records
        case "get":
            found = [user.get(*pair, consistent=True) for pair in wanted]
        case "get_many":
            found = user.get_many(wanted, consistent=True)
        case "unit list":
            found = user.unit_of_work().list(SavingsGoal)
        case _:
            found = user.unit_of_work().get_many(wanted)
    law("a list is whole", None not in found, schedule.kind)
    return [record.record_key for record in found]


def _failed_well(world: World, schedule: Reads, error: ServiceError) -> None:
    log, policy = world.table.log, schedule.policy
    last = log[-1]
    if schedule.items > 100:  # two requests at a time
        last = next(entry for entry in log[-2:] if _failed(entry))
    law("an error has its reason", _failed(last), repr(error))
    if last.operation == "Query" and schedule.kind != "page":
        read = sum(isinstance(entry.result, Reply) for entry in log)
        law("an error names the page", f"page {read + 1}" in str(error), f"{read} read: {error}")
    if _unprocessed(last) and schedule.items <= 100:
        law("unprocessed keys end in ThrottledError", isinstance(error, ThrottledError), error)
        tries = 0
        for entry in reversed(log):
            if not _stuck(entry):
                break
            tries += 1
        waited = world.table.now - world.times[len(log) - 1 - tries] if tries < len(log) else 1e9
        spent = tries >= policy.attempts or waited + policy.ceiling >= policy.deadline
        law("progress makes the budget whole", spent, f"given up after {tries} tries")


def _failed(entry: Any) -> bool:
    return isinstance(entry.result, Failure) or _unprocessed(entry)


def _unprocessed(entry: Any) -> bool:
    return isinstance(entry.result, Reply) and bool(entry.result.body.get("UnprocessedKeys"))


def _stuck(entry: Any) -> bool:
    if isinstance(entry.result, Reply):
        return _unprocessed(entry) and not any(entry.result.body["Responses"].values())
    return True


def _retried_as_before(world: World, schedule: Reads) -> None:
    consistent = schedule.kind in ("list consistent", "get", "get_many") or "unit" in schedule.kind
    before: Any = None
    for entry in world.table.log:
        request = entry.request
        if entry.operation == "BatchGetItem":
            [request] = request["RequestItems"].values()
        law(
            "a retry carries ConsistentRead",
            bool(request.get("ConsistentRead")) == consistent,
            f"{entry.operation} {entry.number}",
        )
        if (
            isinstance(getattr(before, "result", None), Failure)
            and entry.operation != "BatchGetItem"
        ):
            law("a retry is the same request", entry.request == before.request, entry.number)
        before = entry


# --- all of them ----------------------------------------------------------------------------------

KINDS: dict[str, tuple[Callable[..., Any], Callable[[Any, Tally | None], None]]] = {
    "units": (make_unit, play_unit),
    "calls": (make_calls, play_calls),
    "reads": (make_reads, play_reads),
    "rivals": (make_rivals, play_rivals),
}
MIX = (*["units"] * 12, *["calls"] * 4, *["reads"] * 3, "rivals")


def play_seed(seed: int, tally: Tally | None = None, *, batched: bool = False) -> None:
    """The schedule of a seed: three of five are units of work. Raises LawBroken."""
    make, play = KINDS[MIX[seed % len(MIX)]]
    play(make(random.Random(seed), batched=batched), tally)  # a schedule, not a secret
