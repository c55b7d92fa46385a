"""Estimate sizes and counts of the whole table from a sample, by user and by type."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import attrs

from thrivecalc_models import table
from thrivecalc_models.wire import Item, item_size, read_units, split_key, write_units

ITEM_OVERHEAD = 100
"""Bytes that are charged for each stored item beside its size, in the table and in each index.

Source: "Amazon DynamoDB pricing", on data storage.
"""

_NO_TYPE = "(none)"


@attrs.define
class Counted:
    """Items, their bytes, and the units of reading (consistently) and writing each of them once.

    `together` is the read units of one consistent Query of each user's items.
    """

    items: int = 0
    bytes: int = 0
    read_units: int = 0
    write_units: int = 0
    together: int = 0
    users: int = 0

    def add(self, sizes: list[int]) -> None:
        """Count the items of one more user, by their sizes in bytes."""
        self.users += 1
        self.items += len(sizes)
        self.bytes += sum(sizes)
        self.read_units += sum(_read_units(size) for size in sizes)
        self.write_units += sum(map(write_units, sizes))
        self.together += _read_units(sum(sizes))

    @property
    def stored(self) -> int:
        """Bytes that storage is charged for."""
        return self.bytes + ITEM_OVERHEAD * self.items


@attrs.define
class Sample:
    """Counts of whole users. They arrive one after the other, as in a scan of one segment."""

    all: Counted = attrs.field(factory=Counted)
    by_type: dict[str, Counted] = attrs.field(factory=dict)
    _user: str | None = attrs.field(default=None, repr=False)
    _sizes: dict[str, list[int]] = attrs.field(factory=dict)

    def add(self, items: Iterable[Item]) -> None:
        """Count the next page of the scan."""
        for item in items:
            user = item[table.USER_ID]["S"]
            if user != self._user:
                self._close_user()
                self._user = user
            self._sizes.setdefault(_type_of(item), []).append(item_size(item))

    def end(self, *, complete: bool) -> None:
        """End the scan. Unless it is complete, leave out the last of several users, who may have
        more items.
        """
        if complete or not self.all.users:
            self._close_user()
        self._sizes = {}

    @property
    def types(self) -> list[tuple[str, Counted]]:
        """The types and their counts, the one with most bytes first."""
        return sorted(self.by_type.items(), key=lambda each: (-each[1].bytes, each[0]))

    def _close_user(self) -> None:
        if self._sizes:
            self.all.add([size for sizes in self._sizes.values() for size in sizes])
        for name, sizes in self._sizes.items():
            self.by_type.setdefault(name, Counted()).add(sizes)
        self._sizes = {}


def mean(total: int, count: int) -> Decimal:
    """Return the mean, or 0 for a count of 0."""
    return Decimal(total) / count if count else Decimal(0)


def _read_units(size: int) -> int:
    return int(read_units(size, consistent=True))


def _type_of(item: Item) -> str:
    """The item's `dataType`, else the type in its key."""
    stored = item.get(table.DATA_TYPE, {}).get("S")
    if stored is None:
        parts = split_key(item[table.RECORD_KEY]["S"])
        stored = parts[0] if parts else _NO_TYPE
    return str(stored)
