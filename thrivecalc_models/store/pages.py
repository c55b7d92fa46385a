"""Pages of records, and the orders of a list."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Generic, TypeVar

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.records import UserRecord
from thrivecalc_models.records.state import record_key_of
from thrivecalc_models.value import frozen

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    P = TypeVarWithDefault("P", bound=UserRecord, default=UserRecord, covariant=True)
else:
    P = TypeVar("P", bound=UserRecord, covariant=True)

_ORDERS = ("created_at", "updated_at", "-created_at", "-updated_at")


@frozen
class Page(Generic[P]):
    """Some records, and the cursor of the next page, which is None at the end.

    A page may be empty while a cursor remains: expired records are left out.
    """

    records: list[P]
    cursor: str | None


def check_order(order_by: str | None) -> None:
    """Raise InvalidRecordError unless a list can be ordered so."""
    if order_by is not None and order_by not in _ORDERS:
        raise InvalidRecordError(f"order_by takes one of {', '.join(_ORDERS)}, not {order_by!r}")


def ordered(records: list[UserRecord], order_by: str | None) -> list[UserRecord]:
    """Order records by record key, or by a time and then by record key; those without it last."""
    records.sort(key=record_key_of)
    if order_by is None:
        return records
    time_of = operator.attrgetter(order_by.removeprefix("-"))
    timed = [record for record in records if time_of(record) is not None]
    timeless = [record for record in records if time_of(record) is None]
    timed.sort(key=time_of, reverse=order_by.startswith("-"))
    return timed + timeless
