"""Decide whether to send a request again, and how long to wait before."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

import attrs

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import (
    Failure,
    FailureKind,
    Flow,
    Operation,
    Received,
    Reply,
    Result,
    Send,
    Wait,
    is_answer,
)
from thrivecalc_models.protocol.failures import ServiceFailure
from thrivecalc_models.value import frozen

_STALE_CONNECTIONS = 40  # as many as a store keeps (8 + 32): all of them may be stale


def _positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigurationError(f"RetryPolicy.{attribute.name} takes a number above 0")


@frozen(kw_only=True)
class RetryPolicy:
    """How long to persist: tries, and seconds, without progress.

    Waits have full jitter: a random part of a ceiling that starts at `base` seconds (25 ms; 1 s
    after throttling) and doubles with each try up to `ceiling`.
    Source: "Error retries and exponential backoff in AWS" and "Exponential backoff and jitter".
    """

    attempts: int = attrs.field(default=8, validator=_positive)
    deadline: float = attrs.field(default=20.0, validator=_positive)
    base: float = attrs.field(default=0.025, validator=_positive)
    throttled_base: float = attrs.field(default=1.0, validator=_positive)
    ceiling: float = attrs.field(default=5.0, validator=_positive)


@attrs.define(eq=False, repr=False)
class Backoff:
    """The budget of one request or of a group of them: tries, and seconds, without progress."""

    policy: RetryPolicy
    rng: random.Random
    tries: int = 0
    since: float | None = None
    stale: int = 0

    def progress(self, at: float) -> None:
        """Something was done: the budget is whole again, and this try uses none of it."""
        self.tries = -1
        self.since = at

    def next_wait(self, failure: Failure, at: float) -> float | None:
        """Seconds to wait before the next try, or None if tries or time are spent.

        A stale connection uses no try: the next one follows at once, over a new connection.
        """
        if self.since is None:
            self.since = at
        if failure.stale and self.stale < _STALE_CONNECTIONS:
            self.stale += 1
            return 0.0 if at - self.since <= self.policy.deadline else None
        self.tries += 1
        if self.tries >= self.policy.attempts:
            return None
        slow = failure.kind in (FailureKind.THROTTLED, FailureKind.TRANSACTION_IN_PROGRESS)
        base = self.policy.throttled_base if slow else self.policy.base
        wait = full_jitter(self.policy, base, max(self.tries - 1, 0), self.rng)
        if at + wait - self.since > self.policy.deadline:
            return None
        return wait

    def out_of_time(self) -> bool:
        """Whether the deadline, and not the number of tries, ended it."""
        return self.tries < self.policy.attempts


def full_jitter(policy: RetryPolicy, base: float, doublings: int, rng: random.Random) -> float:
    """Seconds to wait: a random part of `base` doubled so many times, at most of the ceiling."""
    # Sixty doublings of any base are above any ceiling, and still a float.
    return rng.uniform(0.0, min(policy.ceiling, base * 2 ** min(doublings, 60)))


@attrs.define(eq=False, repr=False)
class Rounds:
    """The rounds of one protocol: requests sent at the same time, then those that are left.

    After `silence` seconds without any answer no more requests are started. An answer to one of
    them is enough: the service is there, and a long round may go on.
    """

    policy: RetryPolicy
    rng: random.Random
    silence: float = math.inf
    attempt: int = 1
    began: float | None = None
    _quiet_since: float | None = None

    def send(self, operations: Sequence[Operation]) -> Flow[Received]:
        """Send one round, and note whether anything answered."""
        received = yield Send(tuple(operations), self.attempt, self.silence, self._quiet_since)
        if self.began is None:
            self.began = received.since
        if any(map(is_answer, received.results)):
            self._quiet_since = received.at
        elif self._quiet_since is None:
            self._quiet_since = received.since
        return received

    def wait(self, seconds: float, operation: str, code: str) -> Flow[Received]:
        """Wait before the next round, which is one more attempt."""
        resumed = yield Wait(seconds, operation, self.attempt, code)
        self.attempt += 1
        return resumed

    def backoff(self) -> Backoff:
        """A budget that counts from the first round."""
        return Backoff(self.policy, self.rng, since=self.began)


def send_until_done(
    left: Collection[object],
    operations: Callable[[], Sequence[Operation]],
    take: Callable[[Any, Result], Failure | None],
    policy: RetryPolicy,
    rng: random.Random,
) -> Flow[None]:
    """Send operations in rounds until nothing is `left`; while that shrinks, the budget is whole.

    `take` removes from `left` what a result settles, and returns why the rest is left. Raises
    ServiceFailure if another try cannot succeed or the budget is spent.
    """
    rounds = Rounds(policy, rng, policy.deadline)
    backoff: Backoff | None = None
    name, failure = "", None
    while left:
        before = len(left)
        sent = operations()
        received = yield from rounds.send(sent)
        for operation, result in zip(sent, received.results, strict=True):
            failed = take(operation, result)
            if failed is None or failed.kind is FailureKind.NOT_STARTED:
                continue
            name, failure = operation.name, failed
            if not failed.again:
                raise ServiceFailure(name, failed)
        if not left or failure is None:
            continue
        backoff = backoff or rounds.backoff()
        if len(left) < before:
            backoff.progress(received.at)
        seconds = backoff.next_wait(failure, received.at)
        if seconds is None:
            raise ServiceFailure(name, failure)
        yield from rounds.wait(seconds, name, failure.code)


def pause(seconds: float) -> Flow[None]:
    """Wait for so many seconds."""
    yield Wait(seconds)


def persist(
    operation: Operation, policy: RetryPolicy, rng: random.Random, *, twice: bool = True
) -> Flow[Reply | Failure]:
    """Send until it succeeds, cannot succeed, or the budget is spent; return the last result.

    An operation that must not be applied `twice` is not sent again once it may have been applied.
    A failure says whether any try, not only the last, may have been applied.
    """
    rounds = Rounds(policy, rng)
    backoff: Backoff | None = None
    maybe = False
    while True:
        received = yield from rounds.send((operation,))
        result: Result = received.results[0]
        if isinstance(result, Reply):
            return result
        maybe = maybe or result.applied_maybe
        result = attrs.evolve(result, applied_maybe=maybe)
        if not result.again or (maybe and not twice):
            return result
        backoff = backoff or rounds.backoff()
        wait = backoff.next_wait(result, received.at)
        if wait is None:
            return result
        yield from rounds.wait(wait, operation.name, result.code)
