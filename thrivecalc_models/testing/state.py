"""The contents of the simulated table: items in order, its index, and every past version."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from typing import NamedTuple
from zlib import crc32

import attrs

from thrivecalc_models import table
from thrivecalc_models.wire import Item

Key = tuple[str, str]
"""User id and record key."""


class Entry(NamedTuple):
    """A place in the order of one user's items: text is ordered by UTF-8 bytes, as code points are.

    `tie` orders index entries of one data type: the service promises no order among them, so they
    come in an order that no caller would rely on.
    """

    sort: str
    tie: int
    record_key: str


def table_entry(record_key: str) -> Entry:
    """The place of an item in the table, by its record key."""
    return Entry(record_key, 0, record_key)


def index_entry(data_type: str, record_key: str) -> Entry:
    """The place of an item in the index, by its data type."""
    return Entry(data_type, crc32(record_key.encode()), record_key)


class TableState:
    """Items with their sizes. A stored item is never changed: a write puts another in its place."""

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self.sizes: dict[Key, int] = {}
        self.versions: dict[Key, list[Item | None]] = {}
        self.applied: Counter[Key] = Counter()
        self._order: dict[str, list[Entry]] = {}
        self._index_order: dict[str, list[Entry]] = {}
        self._undo: list[tuple[Key, Item | None, int]] = []

    def users(self) -> list[str]:
        """Every user with items, in the order of a scan: by hash, as partitions lie."""
        users = {user for user, entries in self._order.items() if entries}
        return sorted(users, key=lambda user: (crc32(user.encode()), user))

    def entries(self, user_id: str, *, by_index: bool) -> list[Entry]:
        """A user's entries in the order of the table or of the index."""
        return (self._index_order if by_index else self._order).get(user_id, [])

    def write(self, key: Key, item: Item | None, size: int, *, by_request: bool) -> None:
        """Store an item, or delete it; what a request does counts in `applied`."""
        before = self.items.get(key)
        if before is None and item is None:
            return
        self._undo.append((key, before, self.sizes.get(key, 0)))
        self._replace(key, item, size)
        self.versions.setdefault(key, []).append(item)
        if by_request:
            self.applied[key] += 1

    def before_the_last(self, writes: int) -> TableState:
        """The state as it was that many writes ago, to be read only."""
        undone = self._undo[-writes:] if writes > 0 else []
        if not undone:
            return self
        past = TableState()
        past.items, past.sizes = dict(self.items), dict(self.sizes)
        # Only the lists that undoing changes are copied: this runs at every stale read.
        users = {user_id for (user_id, _), _, _ in undone}
        past._order = _with_own_lists(self._order, users)
        past._index_order = _with_own_lists(self._index_order, users)
        for key, item, size in reversed(undone):
            past._replace(key, item, size)
        return past

    def _replace(self, key: Key, item: Item | None, size: int) -> None:
        user_id, record_key = key
        before = self.items.get(key)
        if item is None:
            self.items.pop(key, None)
            self.sizes.pop(key, None)
        else:
            self.items[key] = item
            self.sizes[key] = size
        entry = table_entry(record_key)
        _move(self._order, user_id, entry if before else None, entry if item else None)
        _move(self._index_order, user_id, _indexed(record_key, before), _indexed(record_key, item))


def _indexed(record_key: str, item: Item | None) -> Entry | None:
    if item is None or table.DATA_TYPE not in item:
        return None
    return index_entry(item[table.DATA_TYPE]["S"], record_key)


def _move(
    order: dict[str, list[Entry]], user_id: str, before: Entry | None, after: Entry | None
) -> None:
    if before == after:
        return
    entries = order.setdefault(user_id, [])
    if before is not None:
        del entries[bisect_left(entries, before)]
    if after is not None:
        insort(entries, after)


def _with_own_lists(order: dict[str, list[Entry]], users: set[str]) -> dict[str, list[Entry]]:
    return order | {user: list(order[user]) for user in users if user in order}


@attrs.define
class Storage:
    """The state of one table, and how it is to be read."""

    table_name: str
    page_bytes: int
    stale_reads: int = 0
    state: TableState = attrs.field(factory=TableState)

    def view(self, *, consistent: bool) -> TableState:
        """The state that a read sees: an eventually consistent one may be behind."""
        return self.state if consistent else self.state.before_the_last(self.stale_reads)
