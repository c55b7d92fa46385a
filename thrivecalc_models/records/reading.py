"""Reads of one user: run the reading protocols, and make records of the items."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping

import attrs

from thrivecalc_models.operations import GetItem, Key, Query
from thrivecalc_models.protocol import ItemPage, get_item, get_many, read_page, read_pages
from thrivecalc_models.records import where
from thrivecalc_models.records.listing import Wanted
from thrivecalc_models.records.model import UserRecord
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.records.state import record_key_of
from thrivecalc_models.wire import Item, StoredItem


def record(scope: Scope, item: Item) -> UserRecord:
    """Make the record of an item."""
    return UserRecord.from_item(item, session=scope.session)


def seen(scope: Scope, item: StoredItem, *, include_expired: bool) -> UserRecord | None:
    """Make the record of an item, or return None if its ttl has passed.

    DynamoDB deletes expired items some days later.
    """
    record = UserRecord.from_stored(item, scope.session)
    if include_expired or not item.expires:
        return record
    ttl = record.ttl
    return None if ttl is not None and ttl < scope.session.clock() else record


def query(scope: Scope, data_type: str | None, *, consistent: bool) -> Query:
    """The query of a user's records of one type, or of all; no index can be read consistently."""
    by_index = data_type is not None and not consistent
    return Query(
        user_id=scope.user_id, data_type=data_type, by_index=by_index, consistent=consistent
    )


def query_of(scope: Scope, data_type: str | None, wanted: Wanted, *, by_key: bool) -> Query:
    """The query of what is wanted. `by_key` reads a type in the order of its keys."""
    plain = query(scope, data_type, consistent=wanted.consistent)
    condition = None if wanted.where is None else where.filter_of(wanted.where)
    keys = None
    if data_type is not None and condition is not None:
        keys, condition = where.by_key(condition, data_type)
    if by_key or wanted.reverse or keys is not None:
        plain = attrs.evolve(plain, by_index=False)  # whose order within a type is no promise
    return attrs.evolve(plain, keys=keys, where=condition, reverse=wanted.reverse)


async def fetch(scope: Scope, key: Key, *, consistent: bool) -> StoredItem | None:
    """Read the item under a key, None if it is absent."""
    operation, session = GetItem(key=key, consistent=consistent), scope.session
    reading = get_item(operation, session.retry, session.rng)
    return await session.execute(reading, user_id=scope.user_id)


async def fetch_many(
    scope: Scope, keys: Mapping[str, Key], *, consistent: bool, include_expired: bool
) -> dict[str, UserRecord]:
    """Read the records of some keys; keys and result are by record key, without absent ones."""
    session, wanted = scope.session, keys.values()
    reading = get_many(wanted, consistent=consistent, policy=session.retry, rng=session.rng)
    items = await session.execute(reading, user_id=scope.user_id)
    found = all_seen(scope, items, include_expired=include_expired)
    return {record_key_of(record): record for record in found}


async def records(scope: Scope, query: Query, *, include_expired: bool) -> list[UserRecord]:
    """Read all pages of a query, and return the records whose ttl has not passed."""
    found: list[UserRecord] = []
    all_pages = pages(scope, query)
    try:
        async for page in all_pages:
            found += all_seen(scope, page.items, include_expired=include_expired)
    finally:
        await all_pages.aclose()
    return found


def all_seen(
    scope: Scope, items: Iterable[StoredItem], *, include_expired: bool
) -> list[UserRecord]:
    """Make the records of items, without those whose ttl has passed."""
    found = [
        seen(scope, item, include_expired=include_expired)
        if item.expires
        else UserRecord.from_stored(item, scope.session)
        for item in items
    ]
    return [record for record in found if record is not None]


def pages(scope: Scope, query: Query) -> AsyncGenerator[ItemPage, None]:
    """Read the pages of a query, one after the other."""
    session = scope.session
    return session.stream(read_pages(query, session.retry, session.rng), user_id=scope.user_id)


async def page(scope: Scope, query: Query) -> ItemPage:
    """Read one page of a query."""
    session = scope.session
    return await session.execute(
        read_page(query, session.retry, session.rng), user_id=scope.user_id
    )
