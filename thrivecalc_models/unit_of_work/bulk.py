"""Writes that need no unit of work: update without reading, and delete everything of a user."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from thrivecalc_models.errors import (
    CommitError,
    ConflictError,
    RecordNotFoundError,
    ThriveCalcError,
)
from thrivecalc_models.operations import DeleteItem, Key, Query, UpdateItem
from thrivecalc_models.protocol import (
    CommitReport,
    Intent,
    PendingWrite,
    WriteOutcome,
    WriteStatus,
)
from thrivecalc_models.records import UserRecord, edits, reading
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.transport import Shield
from thrivecalc_models.unit_of_work.outcomes import (
    CommitResult,
    commit_error,
    publish,
    result,
    write_error,
)
from thrivecalc_models.unit_of_work.single import write_one
from thrivecalc_models.wire import StoredItem, describe
from thrivecalc_models.words import plural


async def replace_data(scope: Scope, key: Key, data: Any) -> UserRecord:
    """Replace all of `data` of a stored record by a camelCase mapping; return the record.

    Raises InvalidRecordError, RecordNotFoundError, and what a write raises.
    """
    return await _edit(scope, edits.replacement(scope, key, data))


async def set_fields(scope: Scope, key: Key, payload: Any) -> UserRecord:
    """Write the declared fields of a payload over a stored record; return the record.

    Raises as `replace_data`, and ConflictError if the stored `data` is no map.
    """
    return await _edit(scope, edits.field_update(scope, key, payload))


async def _edit(scope: Scope, update: UpdateItem) -> UserRecord:
    return await write_one(_send_edit(scope, update))


async def _send_edit(scope: Scope, update: UpdateItem) -> UserRecord:
    key = update.key.record_key
    write = PendingWrite(key=key, intent=Intent.UPDATE, write=update)
    scope.check_write(update, key)
    session = scope.session
    began = session.driver.monotonic()
    with session.driver.shield() as shield:
        report = await session.commit([write], shield)
        shield.guard(publish, scope, report, session.driver.monotonic() - began)
    outcome = report.outcomes[key]
    cause = _edit_error(scope, key, outcome)
    shield.conclude(commit_error(report, {} if cause is None else {key: cause}))
    assert outcome.item is not None  # an update has the whole item returned
    return reading.record(scope, outcome.item)


def _edit_error(scope: Scope, key: str, outcome: WriteOutcome) -> ThriveCalcError | None:
    error = write_error(scope, key, outcome)
    if isinstance(error, ConflictError) and error.stored is None:
        error = RecordNotFoundError(
            f"there is no {describe(key)} to be updated; add it instead", record_key=key
        )
        error.outcome = "not applied"
    return error


async def delete_everything(scope: Scope) -> CommitResult:
    """Delete all items of the user until a whole reading finds none.

    Raises ServiceError if nothing was deleted, else CommitError with what was.
    """
    report = CommitReport()
    session = scope.session
    began = session.driver.monotonic()
    with session.driver.shield() as shield:
        shield.guard(shield.hold_signals)
        problem = await _delete_passes(scope, report, shield)
        shield.guard(publish, scope, report, session.driver.monotonic() - began)
    if problem is not None:
        if not report.outcomes and shield.interrupt is None:
            raise problem
        shield.keep(problem)
    failed = commit_error(report, _causes(scope, report))
    if failed is None and shield.interrupt is not None:
        why = "" if problem is None else f": {problem}"
        failed = CommitError(
            f"{plural(len(report.outcomes), 'record')} deleted, but not all{why}; call it again",
            applied=report.keys(WriteStatus.APPLIED),
        )
    shield.conclude(failed)
    return result(report)


async def _delete_passes(
    scope: Scope, report: CommitReport, shield: Shield
) -> ThriveCalcError | None:
    """Delete pass after pass; return the error of a reading that failed."""
    try:
        while await _delete_pass(scope, report, shield):
            pass
    except ThriveCalcError as error:
        return error.with_traceback(None)
    except BaseException as error:  # noqa: BLE001 - raised by the shield, with the report
        shield.keep(error)
    return None


async def _delete_pass(scope: Scope, report: CommitReport, shield: Shield) -> bool:
    """Read all keys and delete them; return whether another pass is needed."""
    found = False
    query = Query(user_id=scope.user_id, consistent=True, keys_only=True)
    async with aclosing(reading.pages(scope, query)) as pages:
        async for page in pages:
            if shield.interrupt is not None:
                return False
            report.requests += 1
            report.read_units += page.units
            writes = [_deletion(scope, item) for item in page.items]
            if writes:
                found = True
                report.merge(await scope.session.commit(writes, shield))
                if report.halted or not report.complete:
                    return False
    return found


def _deletion(scope: Scope, item: StoredItem) -> PendingWrite:
    key = Key(item.user_id, item.record_key)
    write = DeleteItem(key=key)
    scope.check_write(write, key.record_key)
    return PendingWrite(key=key.record_key, intent=Intent.DELETE_ANY, write=write)


def _causes(scope: Scope, report: CommitReport) -> dict[str, ThriveCalcError]:
    found = ((key, write_error(scope, key, each)) for key, each in report.outcomes.items())
    return {key: cause for key, cause in found if cause is not None}
