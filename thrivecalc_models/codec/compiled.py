"""Generate code that reads, compares and writes the payloads of one class.

The general code in `codec.data` looks up the kind of each field every time. The code generated here
handles the values that most items and payloads hold. For `SavingsGoalData` it begins with:

    def read(content, nested, path):
        get = content.get
        stored = content['name']['S']
        v0 = stored
        stored = content['targetAmount']['N']
        v1 = Decimal(stored)
        form = get('currentAmount')
        if form is None: v2 = default2()
        else:
            stored = form['N']
            v2 = Decimal(stored)

A KeyError or ValueError means that something else is stored; the general code then reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from thrivecalc_models.codec.fields import encode_field, read_field
from thrivecalc_models.codec.numbers import Encoding
from thrivecalc_models.codec.plans import FieldPlan, field_plan
from thrivecalc_models.codec.scalars import NAMES
from thrivecalc_models.codec.values import NestedCodec
from thrivecalc_models.payloads import converts_on_setting, fields_of, has_plain_init
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import Item

Values = tuple[Any, ...]


@attrs.frozen(eq=False, repr=False)
class ClassPlan:
    """The fields of a class in order, and the functions generated for them.

    `others` are the fields that hold more than a simple value. With `plain_init`, instances can be
    made without `__init__`. With `reads_alike`, the same map always reads as equal payloads, since
    no function of the class's author is called.

    `read(content, nested, path)` returns a payload and its values, or None instead of values that
    can change in place; it raises KeyError or ValueError for what the general code has to read.
    `same(payload, values)` returns whether the fields hold these very objects.
    `write(payload, nested, encoding)` returns the map of a new payload.
    """

    steps: tuple[FieldPlan, ...]
    others: tuple[FieldPlan, ...]
    wire_names: frozenset[str]
    plain_init: bool
    reads_alike: bool
    read: Callable[[Item, NestedCodec, str], tuple[Any, Values | None]]
    same: Callable[[Any, Values], bool]
    write: Callable[[Any, NestedCodec, Encoding], Item]


def plan_of(cls: type) -> ClassPlan:
    """Return the plan of a payload class, which is made when it is first asked for."""
    plan = _PLANS.get(cls)
    if plan is None:
        plan = _PLANS[cls] = _plan(cls)
    return plan


_PLANS: dict[type, ClassPlan] = {}


def _plan(cls: type) -> ClassPlan:
    fields = fields_of(cls)
    plain_init = has_plain_init(cls)
    converts = frozenset(converts_on_setting(cls) if plain_init else ())
    steps = tuple(field_plan(cls, field, converted=field.name in converts) for field in fields)
    reading = _reading(steps) if plain_init else _NO_READING
    source = "\n".join([*reading, *_comparing(steps), *_writing(steps)])
    names = NAMES | {
        "cls": cls,
        "encode_field": encode_field,
        "new": object.__new__,
        "read_field": read_field,
    }
    for n, step in enumerate(steps):
        names |= {
            f"default{n}": step.field.default,
            f"put{n}": step.put,
            f"step{n}": step,
        }
    exec(compile(source, f"<codec of {cls.__name__}>", "exec"), names)
    return ClassPlan(
        steps=steps,
        others=tuple(step for step in steps if step.scalar is None),
        wire_names=frozenset(step.wire_name for step in steps),
        plain_init=plain_init,
        reads_alike=plain_init
        and all(field.fixed_default or not field.has_default for field in fields),
        read=names["read"],
        same=names["same"],
        write=names["write"],
    )


_NO_READING = ["def read(content, nested, path):", " raise KeyError"]


def _reading(steps: Sequence[FieldPlan]) -> list[str]:
    lines = ["def read(content, nested, path):", " get = content.get"]
    for n, step in enumerate(steps):
        lines += [f" {line}" for line in _reading_of(n, step)]
    values = "(" + "".join(f"v{n}, " for n in range(len(steps))) + ")"
    mutable = [f"v{n} is None" for n, step in enumerate(steps) if step.scalar is None]
    if mutable:
        values += f" if {' and '.join(mutable)} else None"
    return [
        *lines,
        " payload = new(cls)",
        *(f" put{n}(payload, v{n})" for n in range(len(steps))),
        f" return payload, {values}",
    ]


def _reading_of(n: int, step: FieldPlan) -> list[str]:
    name, scalar = step.wire_name, step.scalar
    if scalar is None:
        return [f"v{n} = read_field(step{n}, get({name!r}), nested, path)"]
    reading = [f"v{n} = {scalar.reading}"]
    if scalar.unfit:
        reading.append(f"if v{n} is None: raise KeyError")
    if step.field.required:
        return [f"stored = content[{name!r}][{scalar.tag!r}]", *reading]
    return [
        f"form = get({name!r})",
        f"if form is None: v{n} = default{n}()",
        "else:",
        f" stored = form[{scalar.tag!r}]",
        *(f" {line}" for line in reading),
    ]


def _comparing(steps: Sequence[FieldPlan]) -> list[str]:
    fields = [f"payload.{step.field.name} is values[{n}]" for n, step in enumerate(steps)]
    return ["def same(payload, values):", f" return {' and '.join(fields) or True}"]


def _writing(steps: Sequence[FieldPlan]) -> list[str]:
    lines = [
        "def write(payload, nested, encoding):",
        " content = {}",
    ]
    for n, step in enumerate(steps):
        value = f"payload.{step.field.name}"
        scalar = step.scalar
        if scalar is None or not step.converted:
            value = f"encode_field(step{n}, payload, None, nested, encoding, {DATA!r}, 1)"
            form = "value"
        else:
            form = f"{{{scalar.tag!r}: {scalar.writing}}}"
        lines += [
            f" path, value = {step.path!r}, {value}",
            f" if value is not None: content[{step.wire_name!r}] = {form}",
        ]
    return [*lines, " return content"]
