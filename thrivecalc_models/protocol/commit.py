"""Commit pending writes: send, wait, send again, and report the outcome of each.

Every write ends as exactly one of APPLIED, EXISTING, NOT_APPLIED, UNKNOWN. Once a try may have
been applied, a write is never reported as not applied: it is sent again in a form that cannot harm.
If its condition then fails, the stored item that comes back with the failure decides.
"""

from __future__ import annotations

import enum
import functools
import random
from collections.abc import Callable, Sequence

import attrs

from thrivecalc_models.operations import (
    FATAL,
    ITEMS_LEFT,
    Failure,
    FailureKind,
    Flow,
    PutItem,
    Received,
    Reply,
    Result,
    TransactWrite,
    UpdateItem,
    Wait,
    consumed_units,
    fixes,
    is_too_large,
    shows,
    unprocessed_writes,
)
from thrivecalc_models.protocol.plan import BATCH_WRITES, Intent, PendingWrite, groups_of
from thrivecalc_models.protocol.retry import Backoff, RetryPolicy, Rounds
from thrivecalc_models.table import CREATED_AT, UPDATED_AT
from thrivecalc_models.value import Value, value
from thrivecalc_models.wire import Item, item_size, same_item

TOKEN_SECONDS = 590.0
"""How long a transaction's token surely protects from applying twice: ten minutes, less a margin.

Source: TransactWriteItems, ClientRequestToken, Amazon DynamoDB API Reference.
"""


class WriteStatus(enum.Enum):
    APPLIED = "applied"
    EXISTING = "existing"
    NOT_APPLIED = "not applied"
    UNKNOWN = "unknown"


@value(kw_only=True)
class WriteOutcome(Value):
    """What became of one write.

    `item` is the stored item where it was seen: after an update, or with a failed condition.
    `failure` is what it failed with last, None where it was not its fault; `operation` what was
    sent then, which is not the write itself where that went in a batch or in a transaction, and
    `parts` the names of what that transaction consisted of. `size` is that of the item, in
    DynamoDB's bytes, where the request was too large.
    """

    state: WriteStatus
    item: Item | None = attrs.field(default=None, repr=False)
    failure: Failure | None = None
    operation: str = ""
    parts: tuple[str, ...] = ()
    size: int = 0


@attrs.define(kw_only=True, eq=False, repr=False)
class CommitReport:
    """The end of a commit: an outcome for every key, and what it took.

    `halted` says that nothing more may be started: the service will not have it, the time is
    spent, or `interrupt` came.
    """

    outcomes: dict[str, WriteOutcome] = attrs.field(factory=dict)
    requests: int = 0
    read_units: float = 0.0
    write_units: float = 0.0
    halted: bool = False
    interrupt: BaseException | None = None

    @property
    def complete(self) -> bool:
        """Whether every write is applied, or left a taken key as it is."""
        for outcome in self.outcomes.values():
            if (
                outcome.state is not WriteStatus.APPLIED
                and outcome.state is not WriteStatus.EXISTING
            ):
                return False
        return True

    @property
    def has_applied(self) -> bool:
        return any(outcome.state is WriteStatus.APPLIED for outcome in self.outcomes.values())

    def keys(self, state: WriteStatus) -> list[str]:
        return [key for key, outcome in self.outcomes.items() if outcome.state is state]

    def count(self, result: Result) -> None:
        if isinstance(result, Failure) and result.kind is FailureKind.NOT_STARTED:
            return
        self.requests += 1
        if isinstance(result, Reply):
            self.write_units += consumed_units(result.body)

    def merge(self, later: CommitReport) -> None:
        """Add what came after: a key counts by its last write."""
        self.outcomes |= later.outcomes
        self.requests += later.requests
        self.read_units += later.read_units
        self.write_units += later.write_units
        self.halted = self.halted or later.halted
        self.interrupt = self.interrupt or later.interrupt


@attrs.define(eq=False, repr=False)
class _Job:
    """A write on its way; its backoff begins with its first failure.

    `last` is how it failed last, `lost` how a try failed that may have been applied.
    """

    write: PendingWrite
    maybe: bool
    backoff: Backoff | None = None
    last: Failure | None = None
    lost: Failure | None = None
    sent_as: str = ""

    def pending(self) -> PendingWrite:
        write = self.write
        return write if write.maybe == self.maybe else attrs.evolve(write, maybe=self.maybe)


def commit(
    writes: Sequence[PendingWrite], policy: RetryPolicy, rng: random.Random
) -> Flow[CommitReport]:
    """Send writes of distinct keys, those that can together, all at the same time."""
    report = CommitReport()
    jobs = {write.key: _Job(write, write.maybe) for write in writes}
    rounds = Rounds(policy, rng, policy.deadline)
    at: float | None = None
    most = BATCH_WRITES
    while jobs and not report.halted:
        groups = groups_of([job.pending() for job in jobs.values()], most=most)
        operations = [group.operation() for group in groups]
        received = yield from rounds.send(operations)
        _note_interrupt(report, received)
        if all(map(_was_not_started, received.results)):
            report.halted = True  # the deadline has passed in silence
        since = received.since if at is None else at
        at = received.at
        waits: list[tuple[float, str, str]] = []
        remaining: list[_Job] = []
        for group, operation, result in zip(groups, operations, received.results, strict=True):
            report.count(result)
            members = [jobs[write.key] for write in group.writes]
            if is_too_large(result) and len(members) > 1:  # in smaller parts, and at once
                most = min(most, len(members) // 2)
                waits.append((0.0, operation.name, _code_of(result)))
                remaining += members
                continue
            left = _settle(report, members, operation.name, result)
            if left:
                begun = functools.partial(Backoff, policy, rng, since=since)
                seconds = _wait_for(report, left, len(members), begun, at)
                last = left[0].last
                waits.append((seconds, operation.name, last.code if last else ""))
                remaining += left
        jobs = {job.write.key: job for job in remaining if job.write.key not in report.outcomes}
        if jobs and not report.halted:
            resumed = yield from rounds.wait(*max(waits, key=lambda wait: wait[0]))
            _note_interrupt(report, resumed)
    for job in jobs.values():
        _end(report, job)
    return _in_order(report, writes)


def _code_of(result: Result) -> str:
    return result.code if isinstance(result, Failure) else ""


def _was_not_started(result: Result) -> bool:
    return isinstance(result, Failure) and result.kind is FailureKind.NOT_STARTED


def _note_interrupt(report: CommitReport, received: Received) -> bool:
    if received.interrupt is not None:
        report.interrupt = received.interrupt
        report.halted = True
    return report.halted


def _settle(
    report: CommitReport, members: list[_Job], operation: str, result: Result
) -> list[_Job]:
    """Note what a result settles; returns the jobs that are still to be done."""
    if isinstance(result, Reply):
        left = _unprocessed(members, result) if len(members) > 1 else []
        done = WriteOutcome(state=WriteStatus.APPLIED, item=result.body.get("Attributes"))
        for job in [job for job in members if job not in left] if left else members:
            report.outcomes[job.write.key] = done
        for job in left:
            job.last, job.sent_as = ITEMS_LEFT, operation
        return left
    for job in members:
        if result.kind is not FailureKind.NOT_STARTED:
            job.last, job.sent_as = result, operation
        if result.applied_maybe:
            job.maybe, job.lost = True, result
    if result.kind is FailureKind.CONDITION_FAILED:
        job = members[0]
        report.outcomes[job.write.key] = _judge(job, result.item)
        return []
    report.halted = report.halted or result.kind in FATAL
    again = result.again or result.kind in (FailureKind.NOT_STARTED, FailureKind.INTERRUPTED)
    left = [job for job in members if again and (job.write.repeatable or not job.maybe)]
    for job in members if not left else ():
        _end(report, job)
    return left


def _unprocessed(members: list[_Job], reply: Reply) -> list[_Job]:
    left = unprocessed_writes(reply.body)
    return [job for job in members if job.write.write.key in left] if left else []


def _wait_for(
    report: CommitReport, left: list[_Job], sent: int, begun: Callable[[], Backoff], at: float
) -> float:
    """The wait before the next try of what is left of a request; ends what has spent its budget."""
    longest = 0.0
    for job in left:
        if job.last is None or job.last.kind in (FailureKind.NOT_STARTED, FailureKind.INTERRUPTED):
            continue
        if job.backoff is None:
            job.backoff = begun()
        if len(left) < sent:
            job.backoff.progress(at)
        wait = job.backoff.next_wait(job.last, at)
        if wait is not None:
            longest = max(longest, wait)
            continue
        _end(report, job)
        if job.backoff.out_of_time(at):
            report.halted = True
    return longest


def _end(report: CommitReport, job: _Job) -> None:
    """Nothing more is sent for this write: say what is known."""
    state = WriteStatus.UNKNOWN if job.maybe else WriteStatus.NOT_APPLIED
    report.outcomes[job.write.key] = WriteOutcome(
        state=state, failure=job.last, operation=job.sent_as, size=_size(job.write, job.last)
    )


def _size(write: PendingWrite, failure: Failure | None) -> int:
    """The bytes of what was refused for its length; 0 where it was not."""
    if failure is None or not is_too_large(failure):
        return 0
    if write.after is None and isinstance(write.write, UpdateItem):
        return item_size({path[-1]: form for path, form in write.write.sets})
    return 0 if write.after is None else item_size(write.after)


def _judge(job: _Job, stored: Item | None) -> WriteOutcome:
    """What a failed condition means, by the stored item that came back with it."""
    write = job.write
    failed = WriteOutcome(
        state=WriteStatus.NOT_APPLIED, item=stored, failure=job.last, operation=job.sent_as
    )
    if not job.maybe:
        taken = write.intent in (Intent.ADD, Intent.ADD_FRESH)
        return (
            attrs.evolve(failed, state=WriteStatus.EXISTING) if taken and write.exist_ok else failed
        )
    gone = stored is None and write.intent in (Intent.DELETE, Intent.DELETE_ANY)
    if gone or is_ours(write, stored):
        return WriteOutcome(state=WriteStatus.APPLIED, item=stored)
    if write.exist_ok and _was_made_by_another(write, stored):
        return attrs.evolve(failed, state=WriteStatus.EXISTING)
    if write.intent is Intent.ADD_FRESH:  # ours it was; what is stored by now is someone else's
        return WriteOutcome(state=WriteStatus.APPLIED)
    return attrs.evolve(failed, state=WriteStatus.UNKNOWN, failure=job.lost)


def is_ours(write: PendingWrite, stored: Item | None) -> bool:
    """Whether the stored item shows that an earlier try of this write was applied."""
    if stored is None:
        return False
    if isinstance(write.write, PutItem):
        return same_item(stored, write.write.item)
    if not isinstance(write.write, UpdateItem) or not write.write.sets:
        return False
    return shows(stored, write.write)


def _was_made_by_another(write: PendingWrite, stored: Item | None) -> bool:
    """Whether a taken key holds what was there before our add: it was not created by it."""
    if stored is None or write.after is None:
        return False
    return stored.get(CREATED_AT) != write.after.get(CREATED_AT)


def _in_order(report: CommitReport, writes: Sequence[PendingWrite]) -> CommitReport:
    if len(writes) > 1:
        report.outcomes = {write.key: report.outcomes[write.key] for write in writes}
    return report


# --- all or nothing -------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False, repr=False)
class AtomicWrites:
    """One transaction: its writes, its token, and when (monotonic seconds) it was first sent.

    `maybe` says that it may have been applied: an earlier try of it, or the whole of which it is
    the rest. The service answers for certain only for its own token, so not for a rest.
    """

    writes: tuple[PendingWrite, ...]
    token: str
    first_sent: float | None = None
    maybe: bool = False
    is_rest: bool = False

    def without(self, key: str, token: str) -> AtomicWrites | None:
        """What is left of it, if anything, when a write is not to be sent again."""
        left = tuple(write for write in self.writes if write.key != key)
        if len(left) == len(self.writes):
            return self
        if not left:
            return None
        return AtomicWrites(writes=left, token=token, maybe=True, is_rest=True)


def transact(
    transaction: AtomicWrites, policy: RetryPolicy, rng: random.Random
) -> Flow[CommitReport]:
    """Send one transaction, always with its own token, which is never used past ten minutes."""
    report = CommitReport()
    operation = TransactWrite(
        writes=tuple(write.write for write in transaction.writes), token=transaction.token
    )
    at = (yield Wait(0.0)).at
    if transaction.first_sent is None:
        transaction.first_sent = at
    rounds, backoff = Rounds(policy, rng), Backoff(policy, rng, since=at)
    last: Failure | None = None
    while at - transaction.first_sent < TOKEN_SECONDS:
        received = yield from rounds.send((operation,))
        at = received.at
        _note_interrupt(report, received)
        result = received.results[0]
        report.count(result)
        if isinstance(result, Reply):
            for write in transaction.writes:
                report.outcomes[write.key] = WriteOutcome(state=WriteStatus.APPLIED)
            return report
        last = result
        transaction.maybe = transaction.maybe or result.applied_maybe
        if result.kind is FailureKind.TRANSACTION_CANCELLED:
            _cancelled(report, transaction, result)
            return report
        wait = backoff.next_wait(result, at) if result.again else None
        if wait is None or report.halted:
            report.halted = True
            break
        resumed = yield from rounds.wait(wait, operation.name, result.code)
        at = resumed.at
        if _note_interrupt(report, resumed):
            break
    state = WriteStatus.UNKNOWN if transaction.maybe else WriteStatus.NOT_APPLIED
    for write in transaction.writes:
        report.outcomes[write.key] = WriteOutcome(
            state=state,
            failure=last or _TOKEN_OLD,
            operation=operation.name,
            parts=operation.parts,
            size=_size(write, last),
        )
    return report


_TOKEN_OLD = Failure(kind=FailureKind.UNAVAILABLE, code="TokenExpired", applied_maybe=True)


def _cancelled(report: CommitReport, transaction: AtomicWrites, failure: Failure) -> None:
    """Nothing of this try was applied; what that says of an earlier one depends on what failed.

    The earlier one may still be on its way. It can never be applied where a stamp that was read is
    gone, since stamps do not return; a taken key can be free again when it arrives. What is stored
    says nothing about it: had it been applied, the service would know its token. Only of a rest,
    whose token is another than that of the whole, the stored items have to tell.
    """
    pairs = list(zip(transaction.writes, failure.reasons, strict=True))
    if transaction.is_rest and any(is_ours(write, reason.item) for write, reason in pairs):
        for write, reason in pairs:
            stored = reason.item if is_ours(write, reason.item) else None
            report.outcomes[write.key] = WriteOutcome(state=WriteStatus.APPLIED, item=stored)
        return
    fails_for_ever = not transaction.is_rest and any(
        needs_a_stamp(write) for write, reason in pairs if reason.code == _CONDITION_FAILED
    )
    if not transaction.maybe or fails_for_ever:
        transaction.maybe = False
        _refused(report, transaction, failure)
        return
    for write, reason in pairs:
        report.outcomes[write.key] = WriteOutcome(
            state=WriteStatus.UNKNOWN,
            item=reason.item,
            failure=failure,
            operation=TransactWrite.name,
        )


_CONDITION_FAILED = "ConditionalCheckFailed"


def needs_a_stamp(write: PendingWrite) -> bool:
    """Whether it goes through only while the stamp that was read is there."""
    if write.intent not in (Intent.UPDATE, Intent.CHECK):
        return False
    condition = write.write.condition
    return condition is not None and fixes(condition, (UPDATED_AT,))


def _refused(report: CommitReport, transaction: AtomicWrites, failure: Failure) -> None:
    for write, reason in zip(transaction.writes, failure.reasons, strict=True):
        if reason.code == "None":
            report.outcomes[write.key] = WriteOutcome(state=WriteStatus.NOT_APPLIED)
            continue
        kind = FailureKind.CONDITION_FAILED if reason.code == _CONDITION_FAILED else failure.kind
        report.outcomes[write.key] = WriteOutcome(
            state=WriteStatus.NOT_APPLIED,
            item=reason.item,
            failure=attrs.evolve(failure, kind=kind, code=reason.code, reasons=()),
            operation=TransactWrite.name,
        )
