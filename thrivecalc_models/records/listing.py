"""What a list is of, in which order, and how many of it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from pynamodb.expressions.condition import Condition

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import fields_of, kinds
from thrivecalc_models.records.model import DATA_TYPES, UserRecord
from thrivecalc_models.records.state import record_key_of
from thrivecalc_models.value import frozen


@frozen
class Wanted:
    """Which records a reading is of, beside their type; `expired` ones are those of a ttl past."""

    where: Condition | None = None
    reverse: bool = False
    consistent: bool = False
    expired: bool = False


@frozen
class Listing:
    """What a list is of, in which order, and how many of it."""

    wanted: Wanted
    order_by: str | None = None
    limit: int | None = None


def check_limit(limit: int) -> None:
    """Raise InvalidRecordError for what is no number of records."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidRecordError("limit takes a whole number of records, at least 1", path="limit")


@frozen
class Order:
    """An order of a list: by a value of records, or by record key alone if there is none."""

    value_of: Callable[[UserRecord], Any] | None
    falling: bool

    @classmethod
    def of(cls, data_type: object, order_by: str | None, *, reverse: bool) -> Order:
        """Return the order that is asked for. Raises InvalidRecordError if there is none such."""
        if order_by is None:
            return cls(None, reverse)
        if reverse:
            raise InvalidRecordError(
                "reverse is the order of record keys; with order_by, write a - before the name",
                path="reverse",
            )
        name = order_by.removeprefix("-") if isinstance(order_by, str) else None
        falling = name != order_by
        if name in _TIMES:
            return cls(operator.attrgetter(name), falling)
        if name is None or not name.startswith("data."):
            raise InvalidRecordError(
                f"order_by takes {', '.join(_TIMES)} or data.<field>, each also with a - before it,"
                f" not {order_by!r}",
                path="order_by",
            )
        return cls(_field_reader(data_type, name.removeprefix("data.")), falling)

    def of_records(self, records: list[UserRecord]) -> list[UserRecord]:
        """Order records by their values; equal ones by record key, and those without one last."""
        value_of = self.value_of
        records.sort(key=record_key_of, reverse=value_of is None and self.falling)
        if value_of is None:
            return records
        values = [(value_of(record), record) for record in records]
        having = [pair for pair in values if pair[0] is not None]
        having.sort(key=operator.itemgetter(0), reverse=self.falling)
        return [
            *(record for _, record in having),
            *(record for value, record in values if value is None),
        ]


def _field_reader(data_type: object, name: str) -> Callable[[UserRecord], Any]:
    """Return what reads a field of a record, None where it has none, or is malformed."""
    cls = data_type if isinstance(data_type, type) else DATA_TYPES.class_of(str(data_type))
    payload_class = None
    if cls is not None and issubclass(cls, UserRecord):
        payload_class = cls.payload_class()
    if payload_class is None:
        raise InvalidRecordError(
            "order_by takes data.<field> for a type whose payload class declares the field",
            path=f"data.{name}",
        )
    fields = {field.name: field for field in fields_of(payload_class)}
    if name not in fields:
        nearest = get_close_matches(name, fields, n=1)
        meant = f"; its nearest field is {nearest[0]}" if nearest else ""
        raise InvalidRecordError(
            f"order_by: {payload_class.__name__} has no field {name!r}{meant}", path=f"data.{name}"
        )
    field = fields[name]
    if not isinstance(kinds.unwrapped(field.kind), _ORDERED):
        raise InvalidRecordError(
            f"order_by: data.{field.wire_name} has no order", path=f"data.{field.wire_name}"
        )
    return lambda record: None if record.malformed else getattr(record.data, name)


_TIMES = ("created_at", "updated_at")
_ORDERED = (
    kinds.Text,
    kinds.Integer,
    kinds.AmountKind,
    kinds.Float,
    kinds.Date,
    kinds.DateTime,
    kinds.TimeOfDay,
    kinds.Duration,
    kinds.Uuid,
    kinds.Binary,
)
