"""Convert the outcomes of a commit to results, errors, log lines and events."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import attrs

from thrivecalc_models.errors import (
    CommitError,
    ConflictError,
    ItemTooLargeError,
    OutcomeUnknownError,
    RecordExistsError,
    RecordNotFoundError,
    ThriveCalcError,
)
from thrivecalc_models.operations import TOO_LARGE, Failure, FailureKind, is_too_large
from thrivecalc_models.protocol import CommitReport, WriteOutcome, WriteStatus, service_error
from thrivecalc_models.records import UserRecord, reading, writing
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.signals import CommitEvent, log, notify
from thrivecalc_models.value import frozen
from thrivecalc_models.wire import describe, masked_user
from thrivecalc_models.words import plural


@frozen
class Capacity:
    """Capacity units that a commit consumed, as the service reported them."""

    read_units: float = 0.0
    write_units: float = 0.0


@frozen
class CommitResult:
    """A commit that was applied completely.

    `applied` lists the record keys that were written, `existing` those that `exist_ok` left as they
    were. `requests` counts what was sent, retries included.
    """

    applied: list[str] = attrs.field(factory=list)
    existing: list[str] = attrs.field(factory=list)
    requests: int = 0
    capacity: Capacity = attrs.field(factory=Capacity)


def result(report: CommitReport, known_existing: Sequence[str] = ()) -> CommitResult:
    """Return the result of a complete report."""
    return CommitResult(
        applied=report.keys(WriteStatus.APPLIED),
        existing=[*report.keys(WriteStatus.EXISTING), *known_existing],
        requests=report.requests,
        capacity=Capacity(report.read_units, report.write_units),
    )


def commit_error(report: CommitReport, causes: dict[str, ThriveCalcError]) -> CommitError | None:
    """Return the error of an incomplete report; None if it is complete."""
    if report.complete:
        return None
    not_applied, unknown = report.keys(WriteStatus.NOT_APPLIED), report.keys(WriteStatus.UNKNOWN)
    first = next(iter(causes.values()), None)
    return CommitError(
        f"the commit is not complete: {plural(len(report.outcomes), 'write')},"
        f" {len(not_applied)} not applied, {len(unknown)} unknown"
        + (f"; the first: {first}" if first is not None else "")
        + ". .causes has them all; commit again to finish, or refresh, expunge or roll back",
        applied=report.keys(WriteStatus.APPLIED),
        existing=report.keys(WriteStatus.EXISTING),
        not_applied=not_applied,
        unknown=unknown,
        causes=causes,
    )


def write_error(
    scope: Scope,
    key: str,
    outcome: WriteOutcome,
    *,
    record: UserRecord | None = None,
    adding: bool = False,
) -> ThriveCalcError | None:
    """Return the error to raise for one write; None if applied, or not the cause of the failure."""
    if outcome.state is WriteStatus.UNKNOWN:
        error = _unknown(scope, key, outcome)
        error.outcome = "unknown"
    elif (
        outcome.state is not WriteStatus.NOT_APPLIED
        or outcome.failure is None
        or outcome.failure.kind is FailureKind.NOT_STARTED
    ):
        return None
    else:
        error = _refusal(scope, key, outcome, record=record, adding=adding)
        error.outcome = "not applied"
    error.record = record
    return error


def _stored(scope: Scope, outcome: WriteOutcome) -> UserRecord | None:
    return None if outcome.item is None else reading.record(scope, outcome.item)


def _unknown(scope: Scope, key: str, outcome: WriteOutcome) -> ThriveCalcError:
    return OutcomeUnknownError(
        f"it is unknown whether the write of {describe(key)} was applied"
        f" ({_why_unknown(outcome.failure)}); commit again to find out, or refresh it",
        record_key=key,
        stored=_stored(scope, outcome),
    )


def _why_unknown(failure: Failure | None) -> str:
    if failure is None:
        return "no reply"
    if failure.kind in (FailureKind.NOT_UNDERSTOOD, FailureKind.ITEM_OF_ANOTHER):
        return f"the reply cannot be understood: {failure.advice}"
    return f"{failure.code}: {failure.advice}" if failure.advice else failure.code


def _refusal(
    scope: Scope, key: str, outcome: WriteOutcome, *, record: UserRecord | None, adding: bool
) -> ThriveCalcError:
    """Return the error of a write that the service refused, or did not take in time."""
    assert outcome.failure is not None
    if is_too_large(outcome.failure):
        return _too_large(key, outcome)
    if outcome.failure.kind is not FailureKind.CONDITION_FAILED:
        return service_error(
            outcome.operation, outcome.failure, scope.session.settings, parts=outcome.parts
        )
    stored = _stored(scope, outcome)
    if adding:
        return RecordExistsError(
            f"{describe(key)} exists already; use another record id, exist_ok=True, or put",
            record_key=key,
            stored=stored,
        )
    return ConflictError(
        f"{describe(key)} {_conflict(record, stored)}",
        record_key=key,
        stored=stored,
    )


def not_found(key: str) -> RecordNotFoundError:
    """Return the error of an edit of a record that is not stored."""
    return RecordNotFoundError(
        f"there is no {describe(key)} to be updated; add it instead", record_key=key
    )


def _too_large(key: str, outcome: WriteOutcome) -> ItemTooLargeError:
    return ItemTooLargeError(
        f"{outcome.operation} of {describe(key)} was refused for its length (HTTP {TOO_LARGE}),"
        " nothing of it was applied; shorten it, split it into several records, or commit in"
        " smaller units",
        size=outcome.size,
    )


def _conflict(record: UserRecord | None, stored: UserRecord | None) -> str:
    if stored is not None:
        return "was changed since it was read; refresh it and try again"
    if record is not None and writing.is_stored(record) and not writing.has_snapshot(record):
        return "was deleted through this record; put it to store it again"
    return "is gone since it was read; refresh it and try again"


def publish(scope: Scope, report: CommitReport, duration: float) -> None:
    """Send a CommitEvent to the observer, and log a warning if the service failed the commit."""
    observer = scope.session.observer
    if observer is None and report.complete:
        return
    counts = {status: len(report.keys(status)) for status in WriteStatus}
    user, unknown = masked_user(scope.user_id), counts[WriteStatus.UNKNOWN]
    if report.halted or unknown or any(map(_given_up, report.outcomes.values())):
        log(
            logging.WARNING,
            "a commit of user %s ended with %s not applied and %d unknown",
            user,
            plural(counts[WriteStatus.NOT_APPLIED], "write"),
            unknown,
        )
    if observer is not None and report.outcomes:
        event = CommitEvent(
            user=user,
            **{status.name.lower(): count for status, count in counts.items()},
            requests=report.requests,
            read_units=report.read_units,
            write_units=report.write_units,
            duration=duration,
        )
        notify(observer, event)


def _given_up(outcome: WriteOutcome) -> bool:
    """Whether a write failed for another reason than its condition."""
    return (
        outcome.state is WriteStatus.NOT_APPLIED
        and outcome.failure is not None
        and outcome.failure.kind is not FailureKind.CONDITION_FAILED
    )
