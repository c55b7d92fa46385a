"""How to read and write each field of a payload class, determined once.

Most fields are text, amounts, dates, numbers and bools. Those are read and written without looking
at the kinds again; everything else uses the general code of `codec.values`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

import attrs

from thrivecalc_models.codec.numbers import Encoding
from thrivecalc_models.codec.scalars import Scalar, scalar_of
from thrivecalc_models.payloads import Field, kinds
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import Item

if TYPE_CHECKING:
    from thrivecalc_models.codec.values import NestedCodec


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


Values = tuple[Any, ...]


@attrs.frozen(eq=False, repr=False)
class ClassPlan:
    """The fields of a class in order, and the functions generated for them.

    `others` are the fields that hold more than a simple value. With `plain_init`, instances can be
    made without `__init__`. With `reads_alike`, the same map always reads as equal payloads, since
    no function of the class's author is called.

    A stored map whose attributes are all declared, each in the form of its kind, is also read as a
    struct, from a map by `convert`. `read_data` reads it from the JSON under `data`, as attribute
    M, and `read_item` from that of a whole item, as attribute data.M.
    `read(stored_map, nested, path)` returns a payload and its values, or None instead of values
    that can change in place. All of these raise ValueError for what the general code has to read.
    `general_forms` are the forms in a struct that the general code reads.
    `same(payload, values)` returns whether the fields hold these very objects.
    `write(payload, nested, encoding)` returns the map of a new payload.
    """

    steps: tuple[FieldPlan, ...]
    others: tuple[FieldPlan, ...]
    wire_names: frozenset[str]
    plain_init: bool
    reads_alike: bool
    convert: Callable[[Item], Any]
    read_data: Callable[[bytes], Any]
    read_item: Callable[[bytes], Any]
    general_forms: Callable[[Any], list[Any]]
    read: Callable[[Any, NestedCodec, str], tuple[Any, Values | None]]
    same: Callable[[Any, Values], bool]
    write: Callable[[Any, NestedCodec, Encoding], Item]


def plan_of(cls: type) -> ClassPlan:
    """Return the plan of a payload class, which is made when it is first asked for."""
    plan = _PLANS.get(cls)
    if plan is None:
        from thrivecalc_models.codec.compiled import compiled  # not needed to define models

        plan = _PLANS[cls] = compiled(cls)
    return plan


_PLANS: dict[type, ClassPlan] = {}


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
