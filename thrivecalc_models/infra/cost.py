"""The cost of a user in a month, and of a million of each operation.

Amounts are Decimal and in USD, with every digit; the caller rounds them. A GB has 2^30 bytes.
A free tier, taxes and data sent to the internet are not included. Source: "DynamoDB read and write
operations", Amazon DynamoDB Developer Guide, and the pricing page.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import attrs

from thrivecalc_models.infra.prices import Prices

MILLION: Final = Decimal(1_000_000)
GB: Final = Decimal(2**30)

ONE = Decimal(1)
HALF = Decimal("0.5")


@attrs.frozen(kw_only=True)
class Usage:
    """What one user does in a month: items read and written, and bytes stored in the table.

    `read_units` are those of reading an item consistently, `write_units` those of writing one in
    the table; both 1 for items up to 1 KB.
    """

    reads: Decimal
    writes: Decimal
    bytes: Decimal
    read_units: Decimal = ONE
    write_units: Decimal = ONE


@attrs.frozen(kw_only=True)
class Estimate:
    """USD of one user and month, part by part, and what other ways of working would change."""

    reads: Decimal
    writes: Decimal
    storage: Decimal
    index_writes: Decimal
    index_storage: Decimal
    recovery: Decimal

    @property
    def simple(self) -> Decimal:
        """As the guide reckons: consistent reads, no index, no recovery."""
        return self.reads + self.writes + self.storage

    @property
    def index(self) -> Decimal:
        """What the index adds: every item is written and stored once more."""
        return self.index_writes + self.index_storage

    @property
    def total(self) -> Decimal:
        """The table as it should be, all reads consistent."""
        return self.simple + self.index + self.recovery

    @property
    def if_eventually_consistent(self) -> Decimal:
        """Added by reading all eventually consistently: half a unit for 4 KB, so less than 0."""
        return -self.reads * HALF

    @property
    def if_atomic(self) -> Decimal:
        """Added by making every write part of a transaction: it takes twice the units.

        Those of the index are doubled too, which is as dear as it can get.
        """
        return self.writes + self.index_writes

    @property
    def if_batched(self) -> Decimal:
        """Added by batches: an item takes the units that it takes alone."""
        return Decimal(0)


def estimate(usage: Usage, prices: Prices) -> Estimate:
    """The cost of one user and month."""
    writes = usage.writes * usage.write_units * prices.write_million / MILLION
    gigabytes = usage.bytes / GB
    return Estimate(
        reads=usage.reads * usage.read_units * prices.read_million / MILLION,
        writes=writes,
        storage=gigabytes * prices.storage_gb_month,
        index_writes=writes,
        index_storage=gigabytes * prices.storage_gb_month,
        recovery=gigabytes * prices.recovery_gb_month,
    )


@attrs.frozen(kw_only=True)
class OperationCost:
    """A kind of request: its units, of which those of the index, and USD for a million of it."""

    operation: str
    what: str
    units: Decimal
    of_index: Decimal
    usd_million: Decimal


def operation_costs(
    prices: Prices,
    *,
    read_units: Decimal = ONE,
    write_units: Decimal = ONE,
    list_units: Decimal | None = None,
    list_all_units: Decimal | None = None,
) -> list[OperationCost]:
    """A million requests of each operation, for items of these units.

    `list_units` and `list_all_units` are those of reading all records of a user, of a type or of
    every type, consistently with one Query; they are left out where they are unknown.
    """
    reads = [
        ("GetItem", "a record", read_units * HALF),
        ("GetItem", "a record, consistent", read_units),
        ("BatchGetItem", "100 records", 100 * read_units * HALF),
        ("Query", "a user's records of one type", _half(list_units)),
        ("Query", "all records of a user", _half(list_all_units)),
    ]
    writes = [
        ("PutItem", "a record", write_units),
        ("UpdateItem", "a record", write_units),
        ("DeleteItem", "a record", write_units),
        ("BatchWriteItem", "25 records", 25 * write_units),
        ("TransactWriteItems", "2 records", 2 * 2 * write_units),
    ]
    return [
        OperationCost(
            operation=operation,
            what=what,
            units=units,
            of_index=Decimal(0),
            usd_million=units * prices.read_million,
        )
        for operation, what, units in reads
        if units is not None
    ] + [
        OperationCost(
            operation=operation,
            what=what,
            units=2 * units,
            of_index=units,
            usd_million=2 * units * prices.write_million,
        )
        for operation, what, units in writes
    ]


def _half(units: Decimal | None) -> Decimal | None:
    return None if units is None else units * HALF
