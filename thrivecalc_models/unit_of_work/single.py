"""The errors of a single write: its cause instead of the CommitError."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from thrivecalc_models.errors import CommitError, ThriveCalcError
from thrivecalc_models.records import UserRecord
from thrivecalc_models.unit_of_work.core import Unit, leave

T = TypeVar("T")


async def commit_one(work: Unit, record: UserRecord | None) -> None:
    """Commit a unit of one write and end it. Raises as `write_one`."""
    await write_one(leave(work, None), record)


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


def _describe(failed: CommitError, record: UserRecord | None) -> None:
    failed.record, failed.outcome = record, "unknown" if failed.unknown else "not applied"
