"""Writes that need no unit of work of the caller's: edits, upsert, and delete everything."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

from thrivecalc_models.errors import (
    CommitError,
    ConflictError,
    RecordExistsError,
    RecordNotFoundError,
    ThriveCalcError,
)
from thrivecalc_models.operations import DeleteItem, Key, Query, UpdateItem
from thrivecalc_models.protocol import (
    CommitReport,
    Intent,
    PendingWrite,
    WriteStatus,
)
from thrivecalc_models.records import UserRecord, edits, reading, writing
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.transport import Shield
from thrivecalc_models.unit_of_work.core import Unit
from thrivecalc_models.unit_of_work.outcomes import (
    CommitResult,
    commit_error,
    not_found,
    publish,
    result,
    write_error,
)
from thrivecalc_models.unit_of_work.single import (
    before_write,
    commit_one,
    unless_outrun,
    write_one,
)
from thrivecalc_models.wire import StoredItem, describe
from thrivecalc_models.words import plural


async def replace_data(scope: Scope, key: Key, data: Any, if_version: str | None) -> UserRecord:
    """Replace all of `data` of a stored record by a camelCase mapping; return the record.

    Raises InvalidRecordError, RecordNotFoundError, and what a write raises; with a version
    ConflictError instead of RecordNotFoundError.
    """
    with before_write(key.record_key):
        update = edits.replacement(scope, key, data)
        if if_version is not None:
            record = await _of_version(scope, key, if_version)
            update = edits.locked_replacement(scope, record, data)
    return await _edit(scope, update, locked=if_version is not None)


async def set_fields(scope: Scope, key: Key, payload: Any) -> UserRecord:
    """Write the declared fields of a payload over a stored record; return the record.

    Raises as `replace_data`, and ConflictError if the stored `data` is no map.
    """
    with before_write(key.record_key):
        update = edits.field_update(scope, key, payload)
    return await _edit(scope, update)


async def upsert(scope: Scope, record: UserRecord) -> UserRecord:
    """Write the declared fields of a new record over what is stored, or store it; return it.

    Raises as `set_fields`, but for RecordNotFoundError.
    """
    key = writing.key_of(record)

    async def write() -> UserRecord:
        if writing.attempt_of(record) is None:  # else it is to be found out first
            with before_write(key.record_key, record):
                update = edits.field_update(scope, key, record.data)
            try:
                return await _edit(scope, update, record)
            except RecordNotFoundError:
                pass
        work = Unit(scope)
        work.add(record)
        await commit_one(work, record)
        return record

    return await unless_outrun(scope, key.record_key, write, RecordExistsError)


async def patch(scope: Scope, key: Key, given: Any, if_version: str | None) -> UserRecord:
    """Merge a JSON Merge Patch into the `data` of a stored record; return the record.

    Raises as `replace_data`.
    """
    with before_write(key.record_key):
        checked = edits.read_patch(scope, key, given)
        if if_version is not None:
            record = await _of_version(scope, key, if_version)
            edits.merge(scope, record, checked)
    if if_version is not None:
        return await _update(scope, record)

    async def write() -> UserRecord:
        update = edits.merge_update(scope, key, checked)
        stored: UserRecord | None = None
        if update is not None:
            try:
                return await _edit(scope, update)
            except ConflictError as conflict:  # a map that the patch merges into is not stored
                stored = cast("UserRecord | None", conflict.stored)
        with before_write(key.record_key):
            stored = stored or await _stored(scope, key)
            if stored is None:
                raise not_found(key.record_key)
            edits.merge(scope, stored, checked)
        return await _update(scope, stored)

    return await unless_outrun(scope, key.record_key, write, ConflictError)


async def delete_version(scope: Scope, key: Key, if_version: str) -> None:
    """Delete a stored record if it still has a version. Raises ConflictError."""
    with before_write(key.record_key):
        record = await _of_version(scope, key, if_version)
    work = Unit(scope)
    work.delete(record)
    await commit_one(work, record)


async def _stored(scope: Scope, key: Key) -> UserRecord | None:
    item = await reading.fetch(scope, key, consistent=True)
    return None if item is None else reading.seen(scope, item, include_expired=True)


async def _of_version(scope: Scope, key: Key, version: str) -> UserRecord:
    """Read a record. Raises ConflictError if it has another version, or is gone."""
    record = await _stored(scope, key)
    if record is None or record.version != version:
        was = "is gone" if record is None else "has another version"
        raise ConflictError(
            f"{describe(key.record_key)} {was} since it was read; get it and try again",
            record_key=key.record_key,
            stored=record,
        )
    return record


async def _update(scope: Scope, record: UserRecord) -> UserRecord:
    """Write the edits of a record under its lock; return it."""
    work = Unit(scope)
    work.attach(record)
    await commit_one(work, record)
    return record


async def _edit(
    scope: Scope, update: UpdateItem, record: UserRecord | None = None, *, locked: bool = False
) -> UserRecord:
    return await write_one(_send_edit(scope, update, record, locked), record)


async def _send_edit(
    scope: Scope, update: UpdateItem, record: UserRecord | None, locked: bool
) -> UserRecord:
    key = update.key.record_key
    write = PendingWrite(key=key, intent=Intent.UPDATE, write=update)
    scope.check_write(update, key)
    session = scope.session
    began = session.driver.monotonic()
    with session.driver.shield() as shield:
        report = await session.commit([write], shield)
        shield.guard(publish, scope, report, session.driver.monotonic() - began)
    cause = write_error(scope, key, report.outcomes[key], record=record)
    if isinstance(cause, ConflictError) and cause.stored is None and not locked:
        cause = not_found(key)
        cause.outcome = "not applied"
    shield.conclude(commit_error(report, {} if cause is None else {key: cause}))
    item = report.outcomes[key].item
    assert item is not None  # an update has the whole item returned
    return reading.record(scope, item)


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
