"""What reading and writing a payload class takes, worked out once per class.

Most fields are text, amounts, dates, numbers and bools. Those are read and written here without
going through the kinds again; everything else goes the plain way of `codec.values`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs

from thrivecalc_models.codec.values import Encoding
from thrivecalc_models.payloads import Field, fields_of, has_plain_init, kinds
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import AttributeValue, number_text, parse_date

Form = Callable[[Any, str, Encoding], AttributeValue]


@attrs.frozen(eq=False, repr=False)
class Scalar:
    """How a simple kind is stored: its type tag, and both ways.

    `read` gives None for what does not fit, and the plain way then says why.
    """

    tag: str
    read: Callable[[Any], Any]
    form: Form


@attrs.frozen(eq=False, repr=False)
class FieldPlan:
    """How one field of a class is read and written; `path` is where it is at the top of `data`."""

    field: Field
    wire_name: str
    path: str
    scalar: Scalar | None
    get: Callable[[Any], Any]
    put: Callable[[Any, Any], None]


@attrs.frozen(eq=False, repr=False)
class ClassPlan:
    """The fields of a class in order, and whether instances can be made without `__init__`.

    `readers` has what reading a field takes: wire name, type tag and reader of a simple kind (of
    others a tag that is none), how to set it, and its step. `all_scalar` says that no field is of
    another than a simple kind; `scalars` then has what writing takes: wire name, path, how to get
    it, and its form.
    """

    steps: tuple[FieldPlan, ...]
    wire_names: frozenset[str]
    plain_init: bool
    readers: tuple[Reader, ...]
    all_scalar: bool
    scalars: tuple[tuple[str, str, Callable[[Any], Any], Form], ...]


Reader = tuple[str, str, Callable[[Any], Any], Callable[[Any, Any], None], FieldPlan]


def plan_of(cls: type) -> ClassPlan:
    plan = _PLANS.get(cls)
    if plan is None:
        plan = _PLANS[cls] = _plan(cls)
    return plan


_PLANS: dict[type, ClassPlan] = {}


def _plan(cls: type) -> ClassPlan:
    steps = tuple(_field_plan(cls, field) for field in fields_of(cls))
    return ClassPlan(
        steps=steps,
        wire_names=frozenset(step.wire_name for step in steps),
        plain_init=has_plain_init(cls),
        readers=tuple(
            (step.wire_name, "", _same, step.put, step)
            if step.scalar is None
            else (step.wire_name, step.scalar.tag, step.scalar.read, step.put, step)
            for step in steps
        ),
        all_scalar=all(step.scalar is not None for step in steps),
        scalars=tuple(
            (step.wire_name, step.path, step.get, step.scalar.form)
            for step in steps
            if step.scalar is not None
        ),
    )


def _field_plan(cls: type, field: Field) -> FieldPlan:
    kind = field.kind.kind if isinstance(field.kind, kinds.Optional) else field.kind
    slot = getattr(cls, field.name)
    return FieldPlan(
        field=field,
        wire_name=field.wire_name,
        path=f"{DATA}.{field.wire_name}",
        scalar=_SCALARS.get(type(kind)),
        get=slot.__get__,
        put=slot.__set__,
    )


def _same(value: Any) -> Any:
    return value


def _whole(text: str) -> int | None:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else None


def _number(value: Any, path: str, encoding: Encoding) -> AttributeValue:
    return {"N": number_text(value, path=path, js_safe=encoding.js_safe)}


_SCALARS: dict[type, Scalar] = {
    kinds.Text: Scalar("S", _same, lambda value, path, encoding: {"S": value}),
    kinds.AmountKind: Scalar("N", Decimal, _number),
    kinds.Integer: Scalar("N", _whole, _number),
    kinds.Boolean: Scalar("BOOL", _same, lambda value, path, encoding: {"BOOL": value}),
    kinds.Date: Scalar("S", parse_date, lambda value, path, encoding: {"S": value.isoformat()}),
}
