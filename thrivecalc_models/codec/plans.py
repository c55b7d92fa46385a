"""How to read and write each field of a payload class, determined once.

Most fields are text, amounts, dates, numbers and bools. Those are read and written without looking
at the kinds again; everything else uses the general code of `codec.values`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from types import MemberDescriptorType
from typing import Any

import attrs

from thrivecalc_models.codec.scalars import Scalar, scalar_of
from thrivecalc_models.payloads import Field, kinds
from thrivecalc_models.table import DATA


@attrs.frozen(eq=False, repr=False)
class FieldPlan:
    """How one field of a class is read and written; `path` is its path at the top of `data`.

    `scalar` is None for fields that need the general code. With `converted`, each value of the
    field was converted when it was set.
    """

    field: Field
    wire_name: str
    path: str
    scalar: Scalar | None
    converted: bool
    get: Callable[[Any], Any]
    put: Callable[[Any, Any], None]


def field_plan(cls: type, field: Field, *, converted: bool) -> FieldPlan:
    """Return the plan of a field of a payload class."""
    scalar = scalar_of(kinds.unwrapped(field.kind))
    return FieldPlan(
        field=field,
        wire_name=field.wire_name,
        path=f"{DATA}.{field.wire_name}",
        scalar=scalar if scalar is not None and scalar.exact else None,
        converted=converted,
        get=attrgetter(field.name),
        put=_setter(cls, field.name),
    )


def _setter(cls: type, name: str) -> Callable[[Any, Any], None]:
    """Return the function that sets a field through its slot, without converting the value."""
    slot = getattr(cls, name, None)
    if isinstance(slot, MemberDescriptorType):
        return slot.__set__
    # A class that came from another process by value (cloudpickle) has no slots.
    return lambda payload, value: object.__setattr__(payload, name, value)
