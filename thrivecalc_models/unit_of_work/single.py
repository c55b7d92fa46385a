"""The errors of a single write: its cause instead of the CommitError."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from thrivecalc_models.errors import CommitError, ThriveCalcError
from thrivecalc_models.protocol import full_jitter, pause
from thrivecalc_models.records import UserRecord
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.unit_of_work.core import Unit, finish
from thrivecalc_models.unit_of_work.outcomes import CommitResult
from thrivecalc_models.wire import describe

T = TypeVar("T")


def commit_one(work: Unit, record: UserRecord | None) -> Coroutine[Any, Any, CommitResult]:
    """Commit a unit of one write and end it. Raises as `write_one`."""
    return write_one(finish(work), record)


async def write_one(commit: Coroutine[Any, Any, T], record: UserRecord | None = None) -> T:
    """Await the commit of one write and return its result.

    Raises the cause of a CommitError in its place. Every error has `record` and `outcome`.
    """
    try:
        return await commit
    except CommitError as failed:
        _describe(failed, record)
        error: ThriveCalcError = next(iter(failed.causes.values()), failed)
        interrupt = failed.__cause__
    except ThriveCalcError as refused:  # before anything was sent
        refused.record, refused.outcome = record, "not applied"
        raise
    except BaseException as passing:
        if isinstance(passing.__cause__, CommitError):
            _describe(passing.__cause__, record)
        raise
    raise error from interrupt


@contextmanager
def before_write(key: str, record: UserRecord | None = None) -> Iterator[None]:
    """Let errors and interrupts of the block say that the write that follows is not applied."""
    try:
        yield
    except ThriveCalcError as refused:
        refused.record, refused.outcome = record, "not applied"
        raise
    except Exception:
        raise
    except BaseException as interrupt:
        account = CommitError(
            f"the write of {describe(key)} was interrupted before it was sent; repeat the call",
            not_applied=[key],
        )
        _describe(account, record)
        raise interrupt from account


async def unless_outrun(
    scope: Scope,
    key: str,
    write: Callable[[], Coroutine[Any, Any, T]],
    outrun: type[ThriveCalcError],
) -> T:
    """Await a write that reads first, again after another writer came in between.

    The error that shows this is `outrun`. There are as many tries as for a request, with the same
    waits with full jitter between them; the error of the last one is raised.
    """
    session = scope.session
    for tried in range(session.retry.attempts - 1):
        try:
            return await write()
        except outrun:
            seconds = full_jitter(session.retry, session.retry.base, tried, session.rng)
        with before_write(key):
            await session.run(pause(seconds))
    return await write()


def _describe(failed: CommitError, record: UserRecord | None) -> None:
    failed.record, failed.outcome = record, "unknown" if failed.unknown else "not applied"
