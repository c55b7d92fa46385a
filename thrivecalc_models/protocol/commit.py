"""Commit pending writes: send, wait, send again, and report the outcome of each.

Every write ends as exactly one of APPLIED, EXISTING, NOT_APPLIED, UNKNOWN. Once a try may have
been applied, a write is never reported as not applied: it is sent again in a form that cannot harm.
If its condition then fails, the stored item that comes back with the failure decides.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence

import attrs

from thrivecalc_models.operations import (
    FATAL,
    ITEMS_LEFT,
    AnyOf,
    BatchGet,
    BatchStatements,
    Condition,
    DeleteItem,
    Failure,
    FailureKind,
    Flow,
    Key,
    Operation,
    PutItem,
    Reason,
    Received,
    Reply,
    Result,
    TransactWrite,
    UpdateItem,
    Wait,
    action_of,
    consumed_units,
    fixes,
    holds,
    is_too_large,
    results_of,
    shows,
    unprocessed_writes,
)
from thrivecalc_models.protocol.plan import BATCH_WRITES, Group, Intent, PendingWrite, groups_of
from thrivecalc_models.protocol.reads import (
    BATCH_GET_KEYS,
    KEYS_LEFT,
    items_read,
    unprocessed_keys,
)
from thrivecalc_models.protocol.retry import Backoff, RetryPolicy, Rounds
from thrivecalc_models.table import CREATED_AT, UPDATED_AT
from thrivecalc_models.value import internal
from thrivecalc_models.wire import Item, item_size, same_item

TOKEN_SECONDS = 590.0
"""How long a transaction's token protects from applying it twice: ten minutes, less a margin.

Source: TransactWriteItems, ClientRequestToken, Amazon DynamoDB API Reference.
"""


class WriteStatus(enum.Enum):
    """What a commit knows of one write at its end; EXISTING is an add that left a taken key."""

    APPLIED = "applied"
    EXISTING = "existing"
    NOT_APPLIED = "not applied"
    UNKNOWN = "unknown"


@internal(kw_only=True)
class WriteOutcome:
    """The end of one write.

    `item` is the stored item where a reply showed it: after an update, or with a failed condition.
    `failure` is the last failure, None if the write did not cause one. `operation` names the
    request that was sent last, which is another one than the write if that went in a batch or a
    transaction; `parts` are then the operations in that transaction. `size` is the item's, in
    DynamoDB's bytes, if the request was too large.
    """

    state: WriteStatus
    item: Item | None = attrs.field(default=None, repr=False)
    failure: Failure | None = None
    operation: str = ""
    parts: tuple[str, ...] = ()
    size: int = 0


@attrs.define(kw_only=True, eq=False, repr=False)
class CommitReport:
    """The end of a commit: an outcome for every key, the requests sent and the capacity consumed.

    `halted` says that nothing more may be started: the service refuses every request, the time is
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
        done = (WriteStatus.APPLIED, WriteStatus.EXISTING)
        return all(outcome.state in done for outcome in self.outcomes.values())

    @property
    def has_applied(self) -> bool:
        """Whether any write is known to be applied."""
        return any(outcome.state is WriteStatus.APPLIED for outcome in self.outcomes.values())

    def keys(self, state: WriteStatus) -> list[str]:
        """Return the record keys of the writes in this state."""
        return [key for key, outcome in self.outcomes.items() if outcome.state is state]

    def count(self, result: Result, *, read: bool = False) -> None:
        """Count one request, unless it was not started."""
        if isinstance(result, Reply):
            self.requests += 1
            units = consumed_units(result.body)
            self.read_units += units if read else 0.0
            self.write_units += 0.0 if read else units
        elif result.kind is not FailureKind.NOT_STARTED:
            self.requests += 1

    def note_interrupt(self, received: Received) -> None:
        """Start nothing more if an interrupt came."""
        if received.interrupt is not None:
            self.interrupt = received.interrupt
            self.halted = True

    def merge(self, later: CommitReport) -> None:
        """Add a later report: a key counts by its last write."""
        self.outcomes |= later.outcomes
        self.requests += later.requests
        self.read_units += later.read_units
        self.write_units += later.write_units
        self.halted = self.halted or later.halted
        self.interrupt = self.interrupt or later.interrupt


@attrs.define(eq=False, repr=False)
class _Job:
    """A write that is being sent. `last` is its last failure, `lost` the last ambiguous one.

    A failure is ambiguous if its try may have been applied. `answer` is the answer to a statement
    that does not say enough: the stored item is to be read. `maybe_before` is then what `maybe` was
    before that try.
    """

    write: PendingWrite
    maybe: bool
    backoff: Backoff | None = None
    last: Failure | None = None
    lost: Failure | None = None
    sent_as: str = ""
    answer: Failure | None = None
    maybe_before: bool = False

    def pending(self) -> PendingWrite:
        """The write for the next round.

        Once a try may have been applied the write carries `maybe`. So the plan takes a generated
        add out of the batches: sent again without a condition, a put would undo what another
        writer has changed since the first try.
        """
        write = self.write
        return write if write.maybe == self.maybe else attrs.evolve(write, maybe=self.maybe)

    def fail(self, failure: Failure, operation: str) -> None:
        """Remember why it failed, and whether this try may have been applied."""
        self.last, self.sent_as, self.maybe_before = failure, operation, self.maybe
        if failure.applied_maybe:
            self.maybe, self.lost = True, failure


def commit(
    writes: Sequence[PendingWrite],
    policy: RetryPolicy,
    rng: random.Random,
    *,
    statements_on: str | None = None,
) -> Flow[CommitReport]:
    """Send writes of distinct keys, all at the same time, and report the outcome of each.

    With the name of their table in `statements_on`, conditional updates and deletes share requests.
    """
    work = _Commit(
        # The deadline counts silence, not the length of the commit: a large one may take long
        # while the service answers, but nothing more is started once it has stopped answering.
        rounds=Rounds(policy, rng, policy.deadline),
        jobs={write.key: _Job(write, write.maybe) for write in writes},
        statements_on=statements_on,
    )
    while work.jobs and not work.report.halted:
        yield from work.send_round()
    while work.jobs:
        work.give_up(next(iter(work.jobs.values())))
    outcomes = work.report.outcomes
    work.report.outcomes = {write.key: outcomes[write.key] for write in writes}
    return work.report


_OURS = (FailureKind.NOT_STARTED, FailureKind.INTERRUPTED)
"""Failures that say nothing about the service: they use no try, and the next one may follow."""

_NextTry = tuple[float, str, str]
"""Seconds to wait before it, the operation that failed, and the code of its failure."""


_AT_ONCE: _NextTry = (0.0, "", "")
"""Where nothing is to be tried again, only stored items are to be read."""


@attrs.define(kw_only=True, eq=False, repr=False)
class _Commit:
    """The writes of a commit that have no outcome yet, and the report on the others."""

    rounds: Rounds
    jobs: dict[str, _Job]
    statements_on: str | None = None
    report: CommitReport = attrs.field(factory=CommitReport)
    most: int = BATCH_WRITES

    def send_round(self) -> Flow[None]:
        """Send every write that is left, note the results, and wait before the next round."""
        report, before = self.report, self.report.requests
        groups = groups_of(
            [job.pending() for job in self.jobs.values() if job.answer is None],
            most=self.most,
            statements_on=self.statements_on,
        )
        writes = [group.operation() for group in groups]
        looks = self._looks()
        received = yield from self.rounds.send([*looks, *writes])
        report.note_interrupt(received)
        tries: list[_NextTry] = []
        for look, result in zip(looks, received.results, strict=False):
            tries += self._note_look(look, result, received.at)
        for group, operation, result in zip(
            groups, writes, received.results[len(looks) :], strict=True
        ):
            tries += self._note_result(group, operation, result, received.at)
        if report.requests == before:
            report.halted = True  # the deadline had passed before the first of them
        if self.jobs and not report.halted:
            # Writes of different requests wait together, for the longest of their waits: so they
            # share batches in the next round, which makes fewer requests.
            longest = max(tries, key=lambda each: each[0], default=_AT_ONCE)
            report.note_interrupt((yield from self.rounds.wait(*longest)))

    def _note_result(
        self, group: Group, sent: Operation, result: Result, at: float
    ) -> list[_NextTry]:
        """Note what the result of one request says of its writes; the next try of what is left."""
        self.report.count(result)
        operation = sent.name
        jobs = [self.jobs[write.key] for write in group.writes]
        if isinstance(sent, BatchStatements) and isinstance(result, Reply):
            left = self._note_statements(jobs, sent, result)
        elif isinstance(result, Reply):
            left = self._note_reply(jobs, operation, result)
        elif is_too_large(result) and len(jobs) > 1:
            # Something before the service may take less than DynamoDB's 16 MB, and does not say
            # how much. Halves come down to one write in five rounds, so that only an item that is
            # itself too large fails. Nothing of the batch was applied, and it used no try.
            self.most = min(self.most, len(jobs) // 2)
            return [(0.0, operation, result.code)]
        else:
            left = self._note_failure(jobs, operation, result)
        if not left:
            return []
        progress = len(left) < len(jobs)
        seconds = max([self._next_wait(job, job.last, progress, at) for job in left])
        last = left[0].last
        return [(seconds, operation, last.code if last else "")]

    def _note_reply(self, jobs: list[_Job], operation: str, reply: Reply) -> list[_Job]:
        """All are applied but those that a batch hands back as unprocessed: these are left."""
        unprocessed = unprocessed_writes(reply.body) if len(jobs) > 1 else ()
        left = [job for job in jobs if job.write.write.key in unprocessed] if unprocessed else []
        for job in left:
            job.fail(ITEMS_LEFT, operation)
        applied = WriteOutcome(state=WriteStatus.APPLIED, item=reply.body.get("Attributes"))
        for job in jobs:
            if job not in left:
                self._settle(job, applied)
        return left

    def _note_statements(
        self, jobs: list[_Job], batch: BatchStatements, reply: Reply
    ) -> list[_Job]:
        """Each statement has an outcome of its own; left are those that did not end."""
        left = []
        for job, result in zip(jobs, results_of(batch, reply), strict=True):
            if isinstance(result, Reply):
                self._note_reply([job], batch.name, result)
            elif result.kind is FailureKind.INVALID or _lacks_item(result):
                job.fail(result, batch.name)
                job.answer = result
            else:
                left += self._note_failure([job], batch.name, result)
        return left

    def _note_failure(self, jobs: list[_Job], operation: str, failure: Failure) -> list[_Job]:
        """All are left if the failure may pass and they may be sent again, else none."""
        if failure.kind is not FailureKind.NOT_STARTED:
            for job in jobs:
                job.fail(failure, operation)
        if failure.kind is FailureKind.CONDITION_FAILED:
            self._settle(jobs[0], _judge(jobs[0], failure.item))
            return []
        if failure.kind is FailureKind.INVALID and failure.applied_maybe:  # a batch of statements
            for job in jobs:
                job.answer = failure
            return []
        if failure.kind in FATAL:
            self.report.halted = True
        again = failure.again or failure.kind in _OURS
        if again and all(job.write.repeatable or not job.maybe for job in jobs):
            return jobs
        for job in jobs:
            self.give_up(job)
        return []

    # --- statements whose answer does not say enough ----------------------------------------------

    def _looks(self) -> list[BatchGet]:
        """The reads that show what is stored under the keys of such statements."""
        keys = [job.write.write.key for job in self.jobs.values() if job.answer is not None]
        return [
            BatchGet(keys=tuple(keys[start : start + BATCH_GET_KEYS]), consistent=True)
            for start in range(0, len(keys), BATCH_GET_KEYS)
        ]

    def _note_look(self, look: BatchGet, result: Result, at: float) -> list[_NextTry]:
        """Settle the writes whose items were read; the next try of the others."""
        self.report.count(result, read=True)
        jobs = {job.write.write.key: job for job in self.jobs.values()}
        left = [jobs[key] for key in look.keys]
        failure = KEYS_LEFT
        if isinstance(result, Reply):
            unprocessed = unprocessed_keys(result.body)
            stored = {
                Key(each.user_id, each.record_key): each.item for each in items_read(result.body)
            }
            for key in look.keys:
                if key not in unprocessed:
                    self._settle(jobs[key], _judge_seen(jobs[key], stored.get(key)))
            left = [jobs[key] for key in unprocessed]
        else:
            failure = result
            self.report.halted = self.report.halted or result.kind in FATAL
            if not (result.again or result.kind in _OURS):
                for job in left:
                    self.give_up(job)
                return []
        if not left:
            return []
        progress = len(left) < len(look.keys)
        seconds = max([self._next_wait(job, failure, progress, at) for job in left])
        return [(seconds, look.name, failure.code)]

    # --- the ends of a write ----------------------------------------------------------------------

    def _next_wait(self, job: _Job, failure: Failure | None, progress: bool, at: float) -> float:
        """Seconds to wait before the next try of a write; ends it if its budget is spent."""
        if failure is None or failure.kind in _OURS:
            return 0.0
        if job.backoff is None:
            job.backoff = self.rounds.backoff()
        if progress:
            job.backoff.progress(at)
        seconds = job.backoff.next_wait(failure, at)
        if seconds is not None:
            return seconds
        self.give_up(job)
        if job.backoff.out_of_time():
            self.report.halted = True
        return 0.0

    def give_up(self, job: _Job) -> None:
        """Send nothing more for this write: its outcome is what is known."""
        self._settle(job, _ended(job))

    def _settle(self, job: _Job, outcome: WriteOutcome) -> None:
        self.report.outcomes[job.write.key] = outcome
        del self.jobs[job.write.key]


def _ended(job: _Job, stored: Item | None = None) -> WriteOutcome:
    """The outcome of a write that is not sent again, as far as it is known."""
    seen = job.answer is not None and job.maybe
    return WriteOutcome(
        state=WriteStatus.UNKNOWN if job.maybe else WriteStatus.NOT_APPLIED,
        item=stored,
        failure=job.lost if seen else job.last,
        operation=job.sent_as,
        parts=_statement_actions(job),
        size=_size(job.write, job.last),
    )


def _statement_actions(job: _Job) -> tuple[str, ...]:
    """What IAM calls the write, if it was sent as a statement."""
    write = job.write.write
    if job.sent_as == BatchStatements.name and isinstance(write, UpdateItem | DeleteItem):
        return (action_of(write),)
    return ()


def _lacks_item(failure: Failure) -> bool:
    """Whether a condition failed and nothing says what is stored: no item, or none was sent."""
    return failure.kind is FailureKind.CONDITION_FAILED and failure.item is None


def _size(write: PendingWrite, failure: Failure | None) -> int:
    """The bytes of an item that was refused for its length; 0 if it was not."""
    if failure is None or not is_too_large(failure):
        return 0
    if write.after is not None:
        return item_size(write.after)
    if isinstance(write.write, UpdateItem):
        return item_size({path[-1]: form for path, form in write.write.sets})
    return 0


def _judge(job: _Job, stored: Item | None) -> WriteOutcome:
    """The outcome of a write whose condition failed, by the stored item that came back with it.

    If no earlier try can have been applied, the failed condition is the answer. Otherwise it may
    have failed because an earlier try was applied, whose reply was lost: our own write would then
    look like another's. Only the stored item can tell the two apart.
    """
    write = job.write
    failed = WriteOutcome(
        state=WriteStatus.NOT_APPLIED, item=stored, failure=job.last, operation=job.sent_as
    )
    existing = attrs.evolve(failed, state=WriteStatus.EXISTING)
    if not job.maybe:
        return existing if write.exist_ok and write.intent in _ADDS else failed
    gone = stored is None and write.intent in (Intent.DELETE, Intent.DELETE_ANY)
    if gone or is_ours(write, stored):
        return WriteOutcome(state=WriteStatus.APPLIED, item=stored)
    if write.exist_ok and _was_made_by_another(write, stored):
        return existing
    if write.intent is Intent.ADD_FRESH:
        # A generated id is taken by our own add alone; another writer has changed the item since.
        return WriteOutcome(state=WriteStatus.APPLIED)
    # Another's item now, or none: ours may have been there in between.
    return attrs.evolve(failed, state=WriteStatus.UNKNOWN, failure=job.lost)


def _judge_seen(job: _Job, stored: Item | None) -> WriteOutcome:
    """The outcome of a statement by what is stored, read consistently after its answer.

    A statement that was refused as invalid may only have met a condition that has no text in
    PartiQL. A batch that was refused as a whole may have been applied; it was not if the stamp that
    was read is still stored, since stamps never return.
    """
    write, answer = job.write, job.answer
    condition = write.write.condition
    assert answer is not None
    gone = stored is None and write.intent is Intent.DELETE
    if job.maybe and (gone or is_ours(write, stored)):
        return WriteOutcome(state=WriteStatus.APPLIED, item=stored)
    if answer.kind is FailureKind.CONDITION_FAILED:
        return _judge(job, stored)
    if condition is not None and not holds(condition, stored):
        job.last = attrs.evolve(answer, kind=FailureKind.CONDITION_FAILED)
        return _judge(job, stored)
    if answer.applied_maybe and stored is not None and _has_a_stamp(condition):
        job.maybe = job.maybe_before
    return _ended(job, stored)


def _has_a_stamp(condition: Condition | None) -> bool:
    """Whether the condition can hold for a stored item only while it has the stamp that was read.

    That of a delete also holds where no item is stored.
    """
    if isinstance(condition, AnyOf):
        return any(fixes(part, (UPDATED_AT,)) for part in condition.parts)
    return condition is not None and fixes(condition, (UPDATED_AT,))


_ADDS = (Intent.ADD, Intent.ADD_FRESH)


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
    """Whether a taken key holds an item that our add did not create, by its `createdAt`."""
    if stored is None or write.after is None:
        return False
    return stored.get(CREATED_AT) != write.after.get(CREATED_AT)


# --- all or nothing -------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False, repr=False)
class AtomicWrites:
    """One transaction: its writes, its token, and when (monotonic seconds) it was first sent.

    `maybe` says that it may have been applied, by an earlier try or as a part of the transaction
    whose rest it is. The service recognises only its own token, so it cannot say that of a rest.
    """

    writes: tuple[PendingWrite, ...]
    token: str
    first_sent: float | None = None
    maybe: bool = False
    is_rest: bool = False

    def without(self, key: str, token: str) -> AtomicWrites | None:
        """The rest of it without one write, which is not to be sent again; None if that is all."""
        left = tuple(write for write in self.writes if write.key != key)
        if len(left) == len(self.writes):
            return self
        if not left:
            return None
        return AtomicWrites(writes=left, token=token, maybe=True, is_rest=True)


def transact(
    transaction: AtomicWrites, policy: RetryPolicy, rng: random.Random
) -> Flow[CommitReport]:
    """Send one transaction, always with its own token, for at most ten minutes."""
    report = CommitReport()
    writes = tuple(write.write for write in transaction.writes)
    operation = TransactWrite(writes=writes, token=transaction.token)
    at = (yield Wait(0.0)).at  # the clock, before the first request
    if transaction.first_sent is None:
        transaction.first_sent = at
    rounds, backoff = Rounds(policy, rng), Backoff(policy, rng, since=at)
    last = _TOKEN_EXPIRED
    # With an older token the service would apply a transaction a second time.
    while not report.halted and at - transaction.first_sent < TOKEN_SECONDS:
        received = yield from rounds.send((operation,))
        result, at = received.results[0], received.at
        report.note_interrupt(received)
        report.count(result)
        if isinstance(result, Reply):
            applied = WriteOutcome(state=WriteStatus.APPLIED)
            report.outcomes = {write.key: applied for write in transaction.writes}
            return report
        last = result
        transaction.maybe = transaction.maybe or result.applied_maybe
        if result.kind is FailureKind.TRANSACTION_CANCELLED:
            _cancelled(report, transaction, result)
            return report
        wait = backoff.next_wait(result, at) if result.again else None
        if wait is None:
            report.halted = True
        elif not report.halted:
            resumed = yield from rounds.wait(wait, operation.name, result.code)
            report.note_interrupt(resumed)
            at = resumed.at
    _abandon(report, transaction, operation, last)
    return report


_TOKEN_EXPIRED = Failure(kind=FailureKind.UNAVAILABLE, code="TokenExpired", applied_maybe=True)


def _abandon(
    report: CommitReport, transaction: AtomicWrites, operation: TransactWrite, last: Failure
) -> None:
    """Send nothing more of a transaction that has no answer."""
    state = WriteStatus.UNKNOWN if transaction.maybe else WriteStatus.NOT_APPLIED
    for write in transaction.writes:
        report.outcomes[write.key] = WriteOutcome(
            state=state,
            failure=last,
            operation=operation.name,
            parts=operation.parts,
            size=_size(write, last),
        )


def _cancelled(report: CommitReport, transaction: AtomicWrites, failure: Failure) -> None:
    """Nothing of this try was applied. What that says of an earlier one depends on the reasons.

    An earlier try may still be on its way to the service. It can never be applied if a stamp that
    was read is gone, since stamps do not return; but a taken key can be free again when it arrives.
    The stored items say nothing: had it been applied, the service would have recognised its token.
    Only for a rest, whose token is not that of the whole, the stored items decide.
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
    if fails_for_ever:
        transaction.maybe = False
    for write, reason in pairs:
        report.outcomes[write.key] = _entry_outcome(reason, failure, maybe=transaction.maybe)


_CONDITION_FAILED = "ConditionalCheckFailed"


def needs_a_stamp(write: PendingWrite) -> bool:
    """Whether a write goes through only while the stamp that was read is stored."""
    if write.intent not in (Intent.UPDATE, Intent.CHECK):
        return False
    condition = write.write.condition
    return condition is not None and fixes(condition, (UPDATED_AT,))


def _entry_outcome(reason: Reason, failure: Failure, *, maybe: bool) -> WriteOutcome:
    """The outcome of one write of a cancelled transaction, which may have been applied before."""
    if not maybe and reason.code == "None":
        return WriteOutcome(state=WriteStatus.NOT_APPLIED)
    if not maybe:
        kind = FailureKind.CONDITION_FAILED if reason.code == _CONDITION_FAILED else failure.kind
        failure = attrs.evolve(failure, kind=kind, code=reason.code, reasons=())
    return WriteOutcome(
        state=WriteStatus.UNKNOWN if maybe else WriteStatus.NOT_APPLIED,
        item=reason.item,
        failure=failure,
        operation=TransactWrite.name,
    )
