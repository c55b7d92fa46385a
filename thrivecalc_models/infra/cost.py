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
    """The usage of one user in a month: items read and written, and bytes stored in the table.

    `read_units` is the cost of reading an item consistently, `write_units` that of writing one to
    the table; both are 1 for items of up to 1 KB.
    """

    reads: Decimal
    writes: Decimal
    bytes: Decimal
    read_units: Decimal = ONE
    write_units: Decimal = ONE


@attrs.frozen(kw_only=True)
class Estimate:
    """USD for one user and month, part by part, and what other kinds of requests would change."""

    reads: Decimal
    writes: Decimal
    storage: Decimal
    index_writes: Decimal
    index_storage: Decimal
    recovery: Decimal

    @property
    def simple(self) -> Decimal:
        """The guide's estimate: consistent reads, no index, no recovery."""
        return self.reads + self.writes + self.storage

    @property
    def index(self) -> Decimal:
        """The cost of the index: every item is written and stored once more."""
        return self.index_writes + self.index_storage

    @property
    def total(self) -> Decimal:
        """The cost of the table as it should be, with all reads consistent."""
        return self.simple + self.index + self.recovery

    @property
    def if_eventually_consistent(self) -> Decimal:
        """The change if all reads are eventually consistent, at half the units: below 0."""
        return -self.reads * HALF

    @property
    def if_atomic(self) -> Decimal:
        """The change if every write is part of a transaction, at twice the units.

        The units of the index are doubled too, which is the upper bound.
        """
        return self.writes + self.index_writes

    @property
    def if_batched(self) -> Decimal:
        """The change if all requests are batches: 0, since an item costs the same units."""
        return Decimal(0)


def estimate(usage: Usage, prices: Prices) -> Estimate:
    """Return the cost of one user and month."""
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


@attrs.frozen
class OperationCost:
    """A request: its capacity units, those of the index among them, and USD for a million."""

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
    """Return the cost of a million requests of each operation, for items of these units.

    `list_units` and `list_all_units` are those of reading all records of a user, of a type or of
    every type, consistently with one Query; None leaves that row out.
    """
    reads = [
        ("GetItem", "a record", read_units * HALF),
        ("GetItem", "a record, consistent", read_units),
        ("BatchGetItem", "100 records", 100 * read_units * HALF),
    ]
    for what, units in (
        ("a user's records of one type", list_units),
        ("all records of a user", list_all_units),
    ):
        if units is not None:
            reads.append(("Query", what, units * HALF))
    writes = [
        ("PutItem", "a record", write_units),
        ("UpdateItem", "a record", write_units),
        ("DeleteItem", "a record", write_units),
        ("BatchWriteItem", "25 records", 25 * write_units),
        ("TransactWriteItems", "2 records", 2 * 2 * write_units),
    ]
    zero = Decimal(0)
    return [
        OperationCost(operation, what, units, zero, units * prices.read_million)
        for operation, what, units in reads
    ] + [
        OperationCost(operation, what, 2 * units, units, 2 * units * prices.write_million)
        for operation, what, units in writes
    ]
