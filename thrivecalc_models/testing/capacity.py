"""The capacity that the simulated service reports as consumed.

Source: "DynamoDB read and write operations", Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

from typing import Any

import attrs

from thrivecalc_models import table
from thrivecalc_models.testing.refusals import Invalid
from thrivecalc_models.wire import Item, write_units


@attrs.frozen
class Consumed:
    """Capacity units of one request on the table and on its index."""

    table: float = 0.0
    index: float = 0.0

    def __add__(self, other: Consumed) -> Consumed:
        return Consumed(self.table + other.table, self.index + other.index)

    def times(self, factor: int) -> Consumed:
        """As many units, so many times: a transaction costs twice."""
        return Consumed(self.table * factor, self.index * factor)


def cost_of_write(old: Item | None, old_size: int, new: Item | None, new_size: int) -> Consumed:
    """Units of one write: the larger of old and new, and the same again where the index changes.

    An item whose data type changes is deleted from the index and put into it. An item that stays
    as it was leaves the index alone.
    """
    on_table = float(write_units(max(old_size, new_size)))
    old_type = None if old is None else old.get(table.DATA_TYPE)
    new_type = None if new is None else new.get(table.DATA_TYPE)
    if old == new or (old_type is None and new_type is None):
        return Consumed(on_table)
    if old_type == new_type:
        return Consumed(on_table, on_table)
    deleted = write_units(old_size) if old_type is not None else 0
    put = write_units(new_size) if new_type is not None else 0
    return Consumed(on_table, float(deleted + put))


def wanted_capacity(request: dict[str, Any]) -> str:
    """Which report a request asks for: NONE, TOTAL or INDEXES."""
    wanted = request.get("ReturnConsumedCapacity", "NONE")
    if wanted not in ("NONE", "TOTAL", "INDEXES"):
        raise Invalid("ReturnConsumedCapacity must be one of INDEXES, TOTAL, NONE")
    return str(wanted)


def reported(
    consumed: Consumed, request: dict[str, Any], table_name: str, *, by_index: bool = False
) -> dict[str, Any] | None:
    """The ConsumedCapacity of a reply, or None if the request asks for none."""
    wanted = wanted_capacity(request)
    if wanted == "NONE":
        return None
    report: dict[str, Any] = {
        "TableName": table_name,
        "CapacityUnits": consumed.table + consumed.index,
    }
    if wanted == "INDEXES":
        report["Table"] = {"CapacityUnits": consumed.table}
        if consumed.index or by_index:
            report["GlobalSecondaryIndexes"] = {table.INDEX_NAME: {"CapacityUnits": consumed.index}}
    return report
