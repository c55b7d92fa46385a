"""Generate code that reads, compares and writes the payloads of one class.

The general code in `codec.data` looks up the kind of each field every time. The code generated here
handles the values that most items and payloads hold. Stored maps come as a struct made for the
class, which says that each attribute is declared and in the form of its kind. For
`SavingsGoalData` the code that reads begins with:

    def read(stored_map, nested, path):
        stored = stored_map.f0.S
        v0 = stored
        stored = stored_map.f1.N
        v1 = Decimal(stored)
        form = stored_map.f2
        if form is UNSET: v2 = default2()
        else:
            stored = form.N
            v2 = Decimal(stored)

What does not fit the struct, or raises ValueError, the general code reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import msgspec

from thrivecalc_models.codec.fields import encode_field, read_field
from thrivecalc_models.codec.numbers import Encoding
from thrivecalc_models.codec.plans import FieldPlan, field_plan
from thrivecalc_models.codec.scalars import NAMES
from thrivecalc_models.codec.values import NestedCodec
from thrivecalc_models.payloads import converts_on_setting, fields_of, has_plain_init
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import Flag, Item, Number, Text

Values = tuple[Any, ...]


@attrs.frozen(eq=False, repr=False)
class ClassPlan:
    """The fields of a class in order, and the functions generated for them.

    `others` are the fields that hold more than a simple value. With `plain_init`, instances can be
    made without `__init__`. With `reads_alike`, the same map always reads as equal payloads, since
    no function of the class's author is called.

    `stored_map` is the struct of a stored map whose attributes are all declared, each in the form
    of its kind; `other_names` are its fields that the general code reads. `read_data` reads it from
    the JSON under `data`, as attribute M, and `read_item` from that of a whole item, as attribute
    data.M. `read(stored_map, nested, path)` returns a payload and its values, or None instead of
    values that can change in place. All of these raise ValueError for what the general code has to
    read.
    `same(payload, values)` returns whether the fields hold these very objects.
    `write(payload, nested, encoding)` returns the map of a new payload.
    """

    steps: tuple[FieldPlan, ...]
    others: tuple[FieldPlan, ...]
    other_names: tuple[str, ...]
    wire_names: frozenset[str]
    plain_init: bool
    reads_alike: bool
    stored_map: type[msgspec.Struct]
    read_data: Callable[[bytes], Any]
    read_item: Callable[[bytes], Any]
    read: Callable[[Any, NestedCodec, str], tuple[Any, Values | None]]
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
    stored_map = _struct(cls, steps)
    data = msgspec.defstruct("Data", [("M", stored_map)], gc=False, forbid_unknown_fields=True)
    item = msgspec.defstruct("Item", [(DATA, data)], gc=False)
    source = "\n".join([*reading, *_comparing(steps), *_writing(steps)])
    names = NAMES | {
        "UNSET": msgspec.UNSET,
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
        other_names=tuple(f"f{n}" for n, step in enumerate(steps) if _form_of(step) is Any),
        wire_names=frozenset(step.wire_name for step in steps),
        stored_map=stored_map,
        read_data=msgspec.json.Decoder(data).decode,
        read_item=msgspec.json.Decoder(item).decode,
        plain_init=plain_init,
        reads_alike=plain_init
        and all(field.fixed_default or not field.has_default for field in fields),
        read=names["read"],
        same=names["same"],
        write=names["write"],
    )


_FORMS: dict[str, type] = {"S": Text, "N": Number, "BOOL": Flag}


def _form_of(step: FieldPlan) -> Any:
    """The type of a field's stored form; Any for what the general code reads."""
    return Any if step.scalar is None else _FORMS.get(step.scalar.tag, Any)


def _struct(cls: type, steps: Sequence[FieldPlan]) -> type[msgspec.Struct]:
    """A struct of the stored map of a class: its fields are called f0, f1, … in order."""
    fields: list[Any] = []
    for n, step in enumerate(steps):
        form = _form_of(step)
        if step.field.required:
            fields.append((f"f{n}", form, msgspec.field(name=step.wire_name)))
        else:
            absent = msgspec.field(name=step.wire_name, default=msgspec.UNSET)
            fields.append((f"f{n}", form | msgspec.UnsetType, absent))
    return msgspec.defstruct(
        cls.__name__, fields, gc=False, forbid_unknown_fields=True, kw_only=True
    )


_NO_READING = ["def read(stored_map, nested, path):", " raise ValueError"]


def _reading(steps: Sequence[FieldPlan]) -> list[str]:
    lines = ["def read(stored_map, nested, path):"]
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
    scalar = step.scalar
    if scalar is None or scalar.tag not in _FORMS:
        form = f"form = stored_map.f{n}"
        return [form, f"v{n} = read_field(step{n}, None if form is UNSET else form, nested, path)"]
    reading = [f"v{n} = {scalar.reading}"]
    if scalar.unfit:
        reading.append(f"if v{n} is None: raise ValueError")
    if step.field.required:
        return [f"stored = stored_map.f{n}.{scalar.tag}", *reading]
    return [
        f"form = stored_map.f{n}",
        f"if form is UNSET: v{n} = default{n}()",
        "else:",
        f" stored = form.{scalar.tag}",
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
