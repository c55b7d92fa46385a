"""What the calls of one user do: written once, and awaited or driven by the shells of `user_data`.

`expired` says whether records are wanted whose ttl has passed.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, TypeVar

import attrs

from thrivecalc_models import table
from thrivecalc_models.cursors import make_cursor, read_cursor
from thrivecalc_models.errors import InvalidKeyError, InvalidRecordError, RecordExistsError
from thrivecalc_models.operations import Query
from thrivecalc_models.payloads import is_payload
from thrivecalc_models.protocol import ItemPage
from thrivecalc_models.records import UserRecord, creation, reading, where, writing
from thrivecalc_models.records.listing import Listing, Order, Wanted, check_limit
from thrivecalc_models.records.scope import DataTypeLike, KeyLike, RecordId, Scope, distinct
from thrivecalc_models.store.pages import Page
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.unit_of_work import CommitResult
from thrivecalc_models.unit_of_work.core import Unit, finish
from thrivecalc_models.unit_of_work.single import commit_one
from thrivecalc_models.unit_of_work.unattached import note_returned
from thrivecalc_models.wire import describe

R = TypeVar("R", bound=UserRecord)
TimeToLive = datetime | timedelta | None

# --- reading --------------------------------------------------------------------------------------


async def get(
    scope: Scope, data_type: DataTypeLike, record_id: RecordId, consistent: bool, expired: bool
) -> Any:
    """Return the record, or None."""
    item = await reading.fetch(scope, scope.key(data_type, record_id), consistent=consistent)
    if item is None:
        return None
    record = reading.seen(scope, item, include_expired=expired)
    note_returned(scope, [record])
    return record


async def exists(
    scope: Scope, data_type: DataTypeLike, record_id: RecordId, consistent: bool, expired: bool
) -> bool:
    """Return whether `get` would return a record."""
    item = await reading.fetch(scope, scope.key(data_type, record_id), consistent=consistent)
    return item is not None and reading.seen(scope, item, include_expired=expired) is not None


async def get_many(scope: Scope, keys: Iterable[KeyLike], consistent: bool, expired: bool) -> Any:
    """Return the records of keys in their order, None for each that `get` returns None for."""
    wanted = [scope.key_of(each) for each in keys]
    found = await reading.fetch_many(
        scope, distinct(wanted), consistent=consistent, include_expired=expired
    )
    note_returned(scope, found.values())
    return [found.get(key.record_key) for key in wanted]


async def list_type(scope: Scope, data_type: DataTypeLike, listing: Listing) -> Any:
    """Return the records of a type in an order. Raises InvalidKeyError for no type."""
    if data_type is None:
        raise InvalidKeyError(
            "list takes a type, such as SavingsGoal; list_all lists every type",
            path=table.DATA_TYPE,
        )
    return await list_records(scope, data_type, listing)


async def list_records(
    scope: Scope, data_type: DataTypeLike | None, listing: Listing
) -> list[UserRecord]:
    """Return the records of a type, or of all types, in an order."""
    wanted, limit = listing.wanted, listing.limit
    order = Order.of(data_type, listing.order_by, reverse=wanted.reverse)
    if limit is not None:
        check_limit(limit)
    early = limit is not None and listing.order_by is None
    query = _query(scope, data_type, wanted, by_key=early)
    if limit is not None and early:
        records = await _first(scope, query, limit, wanted.expired)
    else:
        records = await reading.records(scope, query, include_expired=wanted.expired)
        records = order.of_records(records)[:limit]
    note_returned(scope, records)
    return records


async def _first(scope: Scope, query: Query, limit: int, expired: bool) -> list[UserRecord]:
    """Read page after page, none of them ahead, until there are enough records."""
    found: list[UserRecord] = []
    after: str | None = None
    while True:
        # DynamoDB's limit counts what it reads, before the filter.
        size = limit - len(found) if query.where is None else None
        page = await reading.page(scope, attrs.evolve(query, limit=size, after=after))
        found += reading.all_seen(scope, page.items, include_expired=expired)
        after = page.after
        if after is None or len(found) >= limit:
            return found[:limit]


def record_pages(
    scope: Scope, data_type: DataTypeLike | None, wanted: Wanted
) -> AsyncGenerator[Iterator[Any], None]:
    """Check the arguments, and return pages of records, each record made when it is asked for."""
    return _record_pages(scope, _query(scope, data_type, wanted), wanted.expired)


async def _record_pages(
    scope: Scope, query: Query, expired: bool
) -> AsyncGenerator[Iterator[UserRecord], None]:
    async with aclosing(reading.pages(scope, query)) as pages:
        async for page in pages:
            yield _records_of(scope, page, expired)


def _records_of(scope: Scope, page: ItemPage, expired: bool) -> Iterator[UserRecord]:
    for item in page.items:
        record = reading.seen(scope, item, include_expired=expired)
        if record is not None:
            note_returned(scope, [record])
            yield record


async def page(
    scope: Scope,
    data_type: DataTypeLike | None,
    limit: int,
    cursor: str | None,
    wanted: Wanted,
) -> Any:
    """Return a page of at most `limit` records after a cursor."""
    check_limit(limit)
    query = attrs.evolve(_query(scope, data_type, wanted), limit=limit)
    if cursor is not None:
        query = attrs.evolve(query, after=read_cursor(query, cursor))
    found = await reading.page(scope, query)
    records = list(_records_of(scope, found, wanted.expired))
    return Page(records, None if found.after is None else make_cursor(query, found.after))


async def count(scope: Scope, data_type: DataTypeLike | None, wanted: Wanted) -> int:
    """Return how many records a list would have."""
    query = attrs.evolve(_query(scope, data_type, wanted), counts=True)
    if not wanted.expired:
        # A ttl is in whole seconds, and has passed if it is less than now.
        passed = math.ceil(scope.session.clock().timestamp()) - 1
        query = attrs.evolve(query, where=where.both(query.where, where.not_expired(passed)))
    total = 0
    async with aclosing(reading.pages(scope, query)) as pages:
        async for page in pages:
            total += page.count
    return total


def _query(
    scope: Scope, data_type: DataTypeLike | None, wanted: Wanted, *, by_key: bool = False
) -> Query:
    text = None if data_type is None else scope.data_type(data_type)
    return reading.query_of(scope, text, wanted, by_key=by_key)


# --- writing --------------------------------------------------------------------------------------


async def add(
    scope: Scope, given: Any, data: Any, record_id: RecordId | None, ttl: TimeToLive
) -> Any:
    """Create a record and return it."""
    work = Unit(scope)
    record = work.add(given, data, record_id=record_id, ttl=ttl)
    await commit_one(work, record)
    note_returned(scope, [record])
    return record


async def put(
    scope: Scope, given: Any, data: Any, record_id: RecordId | None, ttl: TimeToLive
) -> Any:
    """Create or replace the whole item, and return the record."""
    work = Unit(scope)
    record = work.put(given, data, record_id=record_id, ttl=ttl)
    await commit_one(work, record)
    note_returned(scope, [record])
    return record


async def add_many(scope: Scope, given: Iterable[Any]) -> list[Any]:
    """Create records in one unit of work, and return them in order."""
    work = Unit(scope)
    records = [work.add(each) for each in given]
    await finish(work)
    note_returned(scope, records)
    return records


async def delete_many(scope: Scope, keys: Iterable[KeyLike]) -> CommitResult:
    """Delete what is stored under keys in one unit of work."""
    work = Unit(scope)
    for key in keys:
        work.delete(*scope.pair_of(key))
    return await finish(work)


async def update(scope: Scope, record: R) -> R:
    """Write the fields that changed since the record was read, and return the record."""
    work = Unit(scope)
    work.attach(record)
    await commit_one(work, record)
    return record


async def delete(
    scope: Scope,
    target: UserRecord | DataTypeLike,
    record_id: RecordId | None,
    if_version: str | None,
) -> None:
    """Delete a record, given by itself or by its type and record id."""
    if if_version is not None:
        if isinstance(target, UserRecord) or record_id is None:
            raise TypeError("if_version goes with a type and a record id")
        await _bulk().delete_version(scope, scope.key(target, record_id), if_version)
        return
    work = Unit(scope)
    work.delete(target, record_id)  # type: ignore[arg-type]  # the same overloads
    await commit_one(work, target if isinstance(target, UserRecord) else None)


async def upsert(scope: Scope, given: Any, record_id: RecordId | None) -> Any:
    """Write the declared fields of a payload over what is stored, or store it."""
    if not (isinstance(given, UserRecord) or is_payload(given, table.DATA)):
        raise InvalidRecordError(
            f"upsert takes a payload, whose declared fields it writes, not {type(given).__name__};"
            " put and replace_data take a mapping",
            path=table.DATA,
        )
    if not isinstance(given, UserRecord) and record_id is None:
        raise InvalidKeyError(
            "upsert takes the record_id of what it creates or replaces; add generates one",
            path=table.RECORD_ID,
        )
    record = creation.make(scope, given, record_id=record_id)
    if writing.is_stored(record):
        raise RecordExistsError(
            f"{describe(record.record_key)} is stored already; use update, or put",
            record_key=record.record_key,
        )
    record = await _bulk().upsert(scope, record)
    note_returned(scope, [record])
    return record


async def patch(
    scope: Scope,
    data_type: DataTypeLike,
    record_id: RecordId,
    merge_patch: dict[str, Any],
    if_version: str | None,
) -> Any:
    """Merge a JSON Merge Patch into `data` of a stored record."""
    return await _bulk().patch(scope, scope.key(data_type, record_id), merge_patch, if_version)


async def replace_data(
    scope: Scope,
    data_type: DataTypeLike,
    record_id: RecordId,
    data: dict[str, Any],
    if_version: str | None,
) -> Any:
    """Replace all of `data` of a stored record by a mapping."""
    return await _bulk().replace_data(scope, scope.key(data_type, record_id), data, if_version)


async def set_fields(
    scope: Scope, data_type: DataTypeLike, record_id: RecordId, payload: Any
) -> UserRecord:
    """Write the declared fields of a payload over a stored record."""
    key = scope.key(data_type, record_id)
    record: UserRecord = await _bulk().set_fields(scope, key, payload)
    return record


async def delete_all(scope: Scope) -> CommitResult:
    """Delete every item of the user."""
    deleted: CommitResult = await _bulk().delete_everything(scope)
    return deleted


def _bulk() -> ModuleType:
    """Import the module of writes that most programs do without."""
    with forks_wait:
        from thrivecalc_models.unit_of_work import bulk

    return bulk
