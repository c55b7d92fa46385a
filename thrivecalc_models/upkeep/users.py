"""The users of the table: counts and sizes by user and type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import attrs

from thrivecalc_models import table
from thrivecalc_models.wire import Item, item_size, split_key

NO_TYPE = "(none)"
"""Stands for the type of an item that has none, neither in `dataType` nor in its key."""


@attrs.define
class Usage:
    """How many items, and how many bytes as DynamoDB counts them."""

    items: int = 0
    size: int = 0

    def add(self, items: int, size: int) -> None:
        """Add a number of items and their bytes."""
        self.items += items
        self.size += size


@attrs.define
class Survey:
    """Counts and sizes of items, by user and type; the items themselves are not kept."""

    by_user: dict[str, dict[str, Usage]] = attrs.field(factory=dict, repr=False)

    def add(self, items: Iterable[Item]) -> None:
        """Count items under their user and type."""
        for item in items:
            types = self.by_user.setdefault(item[table.USER_ID]["S"], {})
            types.setdefault(type_of(item), Usage()).add(1, item_size(item))

    def by_type(self) -> dict[str, Usage]:
        """Return the sums over all users, by type."""
        found: defaultdict[str, Usage] = defaultdict(Usage)
        for types in self.by_user.values():
            for data_type, usage in types.items():
                found[data_type].add(usage.items, usage.size)
        return dict(sorted(found.items()))


def total(usages: Iterable[Usage]) -> Usage:
    """Return the sum of several."""
    found = Usage()
    for usage in usages:
        found.add(usage.items, usage.size)
    return found


def type_of(item: Item) -> str:
    """Return the type in `dataType`, else the one in the key, else `NO_TYPE`."""
    data_type = item.get(table.DATA_TYPE, {}).get("S")
    if data_type is None:
        parts = split_key(item[table.RECORD_KEY]["S"])
        data_type = parts[0] if parts else None
    return data_type or NO_TYPE
