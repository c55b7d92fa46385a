"""When to send a request again, and how long to wait before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import attrs

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import (
    Failure,
    FailureKind,
    Operation,
    Protocol,
    Received,
    Reply,
    Result,
    Send,
    Wait,
    is_answer,
)
from thrivecalc_models.protocol.failures import ServiceFailure
from thrivecalc_models.value import Value

_STALE_CONNECTIONS = 40  # about as many as a store keeps; all of them may be


def _positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigurationError(f"RetryPolicy.{attribute.name} takes a number above 0")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RetryPolicy(Value):
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
    """The tries without progress of one request or of one group of them."""

    policy: RetryPolicy
    rng: random.Random
    tries: int = 0
    since: float | None = None
    stale: int = 0

    def progress(self, at: float) -> None:
        """Something was done: the budget is whole again, and this try did not use it."""
        self.tries = -1
        self.since = at

    def next_wait(self, failure: Failure, at: float) -> float | None:
        """Seconds to wait before the next try, or None where tries or time are spent.

        A stale connection is no try: the next one goes at once, over a new connection.
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

    def out_of_time(self, at: float) -> bool:
        """Whether it was the deadline, and not the number of tries, that ended it."""
        return self.tries < self.policy.attempts


def full_jitter(policy: RetryPolicy, base: float, doublings: int, rng: random.Random) -> float:
    """Seconds to wait: a random part of `base`, doubled so often, and at most the ceiling."""
    # Sixty doublings of anything that one would wait for are above any ceiling, and still a float.
    return rng.uniform(0.0, min(policy.ceiling, base * 2 ** min(doublings, 60)))


@attrs.define(eq=False, repr=False)
class Silence:
    """Since when nothing has answered, over several rounds of requests."""

    deadline: float
    since: float | None = None

    def send(self, operations: Sequence[Operation], attempt: int) -> Send:
        """A round of which nothing is started any more once the deadline has passed in silence."""
        return Send(tuple(operations), attempt, self.deadline, self.since)

    def heard(self, received: Received) -> None:
        if any(map(is_answer, received.results)):
            self.since = received.at
        elif self.since is None:
            self.since = received.since


def wait_for_rest(
    backoff: Backoff,
    operation: str,
    failure: Failure,
    received: Received,
    attempt: int,
    *,
    progress: bool,
) -> Wait:
    """The wait before what is left of a round is sent again; with `progress` the budget is whole.

    Raises ServiceFailure where it is spent.
    """
    if progress:
        backoff.progress(received.at)
    seconds = backoff.next_wait(failure, received.at)
    if seconds is None:
        raise ServiceFailure(operation, failure)
    return Wait(seconds, operation, attempt, failure.code)


def pause(seconds: float) -> Protocol[None]:
    """Do nothing for so many seconds."""
    yield Wait(seconds)


def persist(
    operation: Operation, policy: RetryPolicy, rng: random.Random, *, twice: bool = True
) -> Protocol[Reply | Failure]:
    """Send until it succeeds, cannot succeed, or the budget is spent; ends with the last result.

    What must not be applied `twice` is not sent again once it may have been applied. A failure says
    whether any try may have been applied.
    """
    backoff: Backoff | None = None
    maybe = False
    attempt = 1
    while True:
        received = yield Send((operation,), attempt)
        result: Result = received.results[0]
        if isinstance(result, Reply):
            return result
        maybe = maybe or result.applied_maybe
        result = attrs.evolve(result, applied_maybe=maybe)
        if not result.again or (maybe and not twice):
            return result
        if backoff is None:
            backoff = Backoff(policy, rng, since=received.since)
        wait = backoff.next_wait(result, received.at)
        if wait is None:
            return result
        yield Wait(wait, operation.name, attempt, result.code)
        attempt += 1
