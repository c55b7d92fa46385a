"""Writes that need no unit of work: update without reading, and delete everything of a user."""

from __future__ import annotations

from thrivecalc_models.errors import (
    CommitError,
    ConflictError,
    RecordNotFoundError,
    ThriveCalcError,
)
from thrivecalc_models.operations import DeleteItem, Key, Query
from thrivecalc_models.protocol import CommitReport, Intent, PendingWrite, WriteStatus
from thrivecalc_models.records import UserRecord, reading
from thrivecalc_models.records.edits import Edit
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.transport import Shield
from thrivecalc_models.unit_of_work.outcomes import (
    CommitResult,
    commit_error,
    publish,
    result,
    write_error,
)
from thrivecalc_models.wire import Item, describe
from thrivecalc_models.words import plural


def perform_edit(scope: Scope, edit: Edit) -> UserRecord:
    """Send one update of a record that was not read; returns the record as it is afterwards.

    Raises RecordNotFoundError if there is none, ConflictError where its data is no map.
    """
    key = edit.key.record_key
    write = PendingWrite(key=key, intent=Intent.UPDATE, write=edit.update)
    scope.check_write(write.write, key)
    session = scope.session
    began = session.driver.monotonic()
    with session.driver.shield() as shield:
        report = session.commit([write], shield)
        shield.guard(publish, scope, report, session.driver.monotonic() - began)
    outcome = report.outcomes[key]
    error = write_error(scope, key, outcome)
    if isinstance(error, ConflictError) and error.stored is None:
        error = RecordNotFoundError(
            f"there is no {describe(key)} to be updated; add it instead", record_key=key
        )
        error.outcome = "not applied"
    failed = commit_error(report, {key: error} if error is not None else {})
    if failed is not None and error is not None:
        failed.outcome = error.outcome
    interrupt = shield.interrupt
    if interrupt is not None and (error is None or not isinstance(interrupt, Exception)):
        raise interrupt from failed
    if error is not None:
        raise error from interrupt
    assert outcome.item is not None
    return reading.record(scope, outcome.item)


def delete_everything(scope: Scope) -> CommitResult:
    """Delete all items of the user until a whole reading finds none."""
    report = CommitReport()
    session = scope.session
    began = session.driver.monotonic()
    problem: ThriveCalcError | None = None
    with session.driver.shield() as shield:
        shield.guard(shield.hold_signals)
        try:
            while _delete_pass(scope, report, shield):
                pass
        except ThriveCalcError as error:
            problem = error.with_traceback(None)
        except BaseException as error:  # noqa: BLE001 - raised below, with the report
            shield.keep(error)
        shield.guard(publish, scope, report, session.driver.monotonic() - began)
    causes = {
        key: cause
        for key, outcome in report.outcomes.items()
        if (cause := write_error(scope, key, outcome)) is not None
    }
    failed = commit_error(report, causes)
    if failed is None and (problem is not None or shield.interrupt is not None):
        failed = CommitError(
            f"{plural(len(report.outcomes), 'record')} deleted, then it ended before nothing"
            " was left" + (f": {problem}" if problem is not None else ""),
            applied=report.keys(WriteStatus.APPLIED),
        )
    if problem is not None and not report.outcomes and shield.interrupt is None:
        raise problem  # it did not even begin
    if problem is not None:
        shield.keep(problem)
    shield.conclude(failed)
    return result(report)


def _delete_pass(scope: Scope, report: CommitReport, shield: Shield) -> bool:
    """Read all keys and delete them; whether another pass is needed."""
    session = scope.session
    found = False
    for page in reading.pages(scope, Query(user_id=scope.user_id, consistent=True, keys_only=True)):
        if shield.interrupt is not None:
            return False
        report.requests += 1
        report.read_units += page.units
        writes = [_deletion(scope, item) for item in page.items]
        if not writes:
            continue
        found = True
        report.merge(session.commit(writes, shield))
        if (
            report.halted
            or report.keys(WriteStatus.NOT_APPLIED)
            or report.keys(WriteStatus.UNKNOWN)
        ):
            return False
    return found


def _deletion(scope: Scope, item: Item) -> PendingWrite:
    key = Key.of(item)
    write = DeleteItem(key=key)
    scope.check_write(write, key.record_key)
    return PendingWrite(key=key.record_key, intent=Intent.DELETE_ANY, write=write)
