"""Singular and plural of counts in messages."""

from __future__ import annotations

from decimal import Decimal


def plural(count: int | Decimal, noun: str) -> str:
    """A count with its noun: "1 record", "1,024 records"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
