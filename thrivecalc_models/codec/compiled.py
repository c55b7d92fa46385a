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

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from thrivecalc_models.codec.fields import encode_field, read_field
from thrivecalc_models.codec.plans import ClassPlan, FieldPlan, field_plan
from thrivecalc_models.codec.scalars import NAMES
from thrivecalc_models.payloads import converts_on_setting, fields_of, has_plain_init
from thrivecalc_models.table import DATA
from thrivecalc_models.wire.structs import Flag, Number, Text


def compiled(cls: type) -> ClassPlan:
    """Return the plan of a payload class, with the code generated for it."""
    fields = fields_of(cls)
    plain_init = has_plain_init(cls)
    converts = frozenset(converts_on_setting(cls) if plain_init else ())
    steps = tuple(field_plan(cls, field, converted=field.name in converts) for field in fields)
    reading = _reading(steps) if plain_init else _NO_READING
    stored_map = _struct(cls, steps)
    other_names = [f"f{n}" for n, step in enumerate(steps) if _form_of(step) is Any]
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
            f"own{n}": step.scalar and step.scalar.own,
            f"put{n}": step.put,
            f"step{n}": step,
        }
    exec(compile(source, f"<codec of {cls.__name__}>", "exec"), names)
    return ClassPlan(
        steps=steps,
        others=tuple(step for step in steps if step.scalar is None),
        wire_names=frozenset(step.wire_name for step in steps),
        convert=partial(msgspec.convert, type=stored_map),
        read_data=msgspec.json.Decoder(data).decode,
        read_item=msgspec.json.Decoder(item).decode,
        plain_init=plain_init,
        reads_alike=plain_init
        and all(field.fixed_default or not field.has_default for field in fields),
        general_forms=partial(_general_forms, other_names),
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


def _general_forms(names: Sequence[str], content: Any) -> list[Any]:
    forms = (getattr(content, name) for name in names)
    return [form for form in forms if form is not msgspec.UNSET]


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
    reading = [f"own = own{n}"] if scalar.own is not None else []
    reading.append(f"v{n} = {scalar.reading}")
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
