"""Convert the map under `data` to a payload with its undeclared rest, and back.

This module keeps the promise of losslessness. Encoding starts from the map that was read (`base`).
It keeps the stored form of every unchanged field, and everything that the class does not declare.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any, Protocol

from thrivecalc_models.codec.fields import encode_field, is_absent, read_field
from thrivecalc_models.codec.numbers import EXACT, SAFE, Encoding, encoding_of
from thrivecalc_models.codec.plans import ClassPlan, FieldPlan, Values, plan_of
from thrivecalc_models.codec.spelling import check_spelling, misspelt, wrong_spelling
from thrivecalc_models.codec.values import (
    NestedCodec,
    Unfit,
    decode_plain,
    encode,
    encode_plain,
    misfits,
)
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import FieldKind, fields_of, is_payload_class, kinds
from thrivecalc_models.payloads.faults import together
from thrivecalc_models.payloads.origins import Origin, origin_of, set_origin
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import AttributeValue, Item


def _is_as_read(
    origin: Origin, step: FieldPlan, payload: Any, base: Item, nested: NestedCodec
) -> bool:
    """Return whether a field has the value that reading made from its form in `base`."""
    made, name = origin.made, step.wire_name
    if made is None or name not in made or base.get(name) != origin.content.get(name):
        return False
    return bool(_own_form(step, payload, nested) == made[name])


def _own_form(step: FieldPlan, payload: Any, nested: NestedCodec) -> AttributeValue | str | None:
    """Return the form of a field regardless of what is stored, or why its value is refused."""
    try:
        return encode_field(step, payload, None, nested, EXACT, DATA, 1)
    except InvalidRecordError as error:
        return str(error)


class Origins(NestedCodec):
    """The codec of one user's payloads, each of which has the stored map it was read from.

    That map is the payload's origin. Undeclared attributes, and the stored forms of unchanged
    values, move with the payload object, and never to another payload or another user's record.
    """

    def __init__(self, user_id: str | None = None) -> None:
        self._user_id = user_id

    def decode(self, payload_class: type, content: Item, path: str) -> Any:
        payload = decode_payload(payload_class, content, self, path)
        undeclared(payload_class, content, path)  # raises Unfit for a number that is none
        self.note(payload, content)
        return payload

    def misfits(
        self, payload_class: type, content: Item, path: str, *, but: Set[str] = frozenset()
    ) -> Iterator[InvalidRecordError]:
        """Return an error for every place of a given map that does not fit, `but` some names."""
        plan, fits = plan_of(payload_class), not but
        for step in plan.steps:
            if step.wire_name in but:
                continue
            form = content.get(step.wire_name)
            for error in _misfits_of(step, form, self, path):
                fits = False
                yield error
        if fits and not plan.plain_init:
            yield from _refused(payload_class, _arguments(plan, content, self, path), path)

    def encode(self, value: Any, path: str, encoding: Encoding, depth: int) -> Item:
        base = self.nested_map(value)
        if base is None:
            return encode_fields(value, None, self, encoding, path, depth)
        encoded = encode_fields(value, base, self, encoding.also(base), path, depth)
        return encoded | {name: base[name] for name in undeclared_names(type(value), base)}

    def learn(self, payload: Any, content: Item, edited: frozenset[str] = frozenset()) -> None:
        """Set the origins of a payload's current values, place by place, from a stored map.

        In the `edited` fields, by wire name, members may have moved: they keep their origins.
        """
        self._learn_within(payload, content, edited)
        if not plan_of(type(payload)).reads_alike:
            self.note(payload, content, edited, nested=False)

    def _learn_within(
        self, payload: Any, content: Item, edited: frozenset[str] = frozenset()
    ) -> None:
        for step in plan_of(type(payload)).others:
            if step.wire_name not in edited:
                self._learn_value(step.get(payload), content.get(step.wire_name))

    def _learn_value(self, value: Any, form: AttributeValue | None) -> None:
        if form is None:
            return
        if is_payload_class(type(value)) and "M" in form:
            self._learn_within(value, form["M"])
            self.note(value, form["M"])
        elif isinstance(value, list | tuple) and "L" in form:
            for inner, inner_form in zip(value, form["L"], strict=False):
                self._learn_value(inner, inner_form)
        elif isinstance(value, dict) and "M" in form:
            for name, inner in value.items():
                self._learn_value(inner, form["M"].get(name))

    def note(
        self,
        payload: Any,
        content: Item,
        edited: frozenset[str] = frozenset(),
        *,
        nested: bool = True,
    ) -> None:
        """Set the stored map, of which all but the `edited` fields were made, as the origin."""
        plan = plan_of(type(payload))
        made = None
        if not plan.reads_alike:
            steps = [step for step in plan.steps if step.wire_name not in edited]
            made = {step.wire_name: _own_form(step, payload, self) for step in steps}
        set_origin(payload, Origin(self._user_id, content, made, nested))

    def of(self, payload: Any) -> Origin | None:
        origin = origin_of(payload)
        return origin if origin is not None and origin.user_id == self._user_id else None

    def nested_map(self, payload: Any) -> Item | None:
        """Return the stored map of a payload that was read within the data of a record."""
        origin = self.of(payload)
        return origin.content if origin is not None and origin.nested else None


def _misfits_of(
    step: FieldPlan, form: AttributeValue | None, nested: NestedCodec, path: str
) -> Iterator[InvalidRecordError]:
    if form is not None and not is_absent(form):
        yield from misfits(step.field.kind, form, f"{path}.{step.wire_name}", nested)
    elif step.field.required:
        try:
            read_field(step, form, nested, path)
        except Unfit as unfit:
            yield unfit.as_input()


def _refused(cls: type, values: dict[str, Any], path: str) -> Iterator[InvalidRecordError]:
    """Return the errors of a service's own validators and converters, with the payload's path."""
    try:
        cls(**values)
    except InvalidRecordError as error:
        for inner, each in error.errors.items():
            at = path + inner.removeprefix(DATA)
            yield InvalidRecordError(str(each).replace(inner, at, 1), path=at)
    except (TypeError, ValueError):
        yield InvalidRecordError(f"{path} is refused by {cls.__name__}", path=path)


def decode_payload(cls: type, content: Item, nested: NestedCodec, path: str = DATA) -> Any:
    """Decode a stored map as a payload. Raises Unfit with the path of what does not fit."""
    return (
        _read(plan_of(cls), content, nested, path) or decode_plainly(cls, content, nested, path)
    )[0]


def _read(
    plan: ClassPlan, content: Item, nested: NestedCodec, path: str
) -> tuple[Any, Values | None] | None:
    """Read a stored map by the generated code; None if the general code has to.

    Members that the class does not declare, or that are NULL, are left out first: they read as if
    they were absent.
    """
    declared = plan.wire_names
    if any(name not in declared or "NULL" in form for name, form in content.items()):
        content = {
            name: form for name, form in content.items() if name in declared and "NULL" not in form
        }
    try:
        return plan.read(plan.convert(content), nested, path)
    except ValueError:  # something is missing or of another type; msgspec.ValidationError is one
        return None


class HasOrigins(Protocol):
    """An object that makes its Origins on first use, such as a record's state."""

    @property
    def origins(self) -> Origins:
        """The origins of its user's payloads."""


def decode_data(cls: type, content: Item, holder: HasOrigins) -> tuple[Any, Values | None]:
    """Decode the payload of a record, and return its values too if none can change in place.

    While each field holds the very same object, nothing was edited. Raises Unfit.
    """
    plan = plan_of(cls)
    nested = holder.origins if plan.others else no_origins
    read = _read(plan, content, nested, DATA) or decode_plainly(cls, content, nested)
    payload, values = read
    if plan.reads_alike:
        set_origin(payload, None)
    else:
        holder.origins.note(payload, content, nested=False)
    return payload, values


no_origins = Origins()  # for payloads that hold no others


def decode_plainly(
    cls: type, content: Item, nested: NestedCodec, path: str = DATA
) -> tuple[Any, Values | None]:
    """Do what the generated code does, field by field, for every stored form."""
    plan = plan_of(cls)
    if plan.plain_init:
        payload: Any = object.__new__(cls)
        for step in plan.steps:
            value = read_field(step, content.get(step.wire_name), nested, path)
            step.put(payload, value)
    else:
        payload = _initialised(cls, plan, content, nested, path)
    values = [step.get(payload) for step in plan.steps]
    pairs = zip(plan.steps, values, strict=True)
    fixed = all(step.scalar is not None or value is None for step, value in pairs)
    return payload, tuple(values) if fixed else None


def _initialised(cls: type, plan: ClassPlan, content: Item, nested: NestedCodec, path: str) -> Any:
    """Make a payload of a stored map by `__init__`, which also makes the defaults."""
    values = _arguments(plan, content, nested, path)
    try:
        return cls(**values)
    except (TypeError, ValueError):  # what a service's own validators raise
        pass
    raise Unfit(path, f"is refused by {cls.__name__}")


def _arguments(plan: ClassPlan, content: Item, nested: NestedCodec, path: str) -> dict[str, Any]:
    """Return the arguments of `__init__` for a stored map. Raises Unfit."""
    values: dict[str, Any] = {}
    for step in plan.steps:
        form = content.get(step.wire_name)
        if not (step.field.has_default and is_absent(form)):
            values[step.field.name] = read_field(step, form, nested, path)
    return values


def has_values(payload: Any, values: Values) -> bool:
    """Return whether the fields of a payload still hold these very objects."""
    return plan_of(type(payload)).same(payload, values)


def has_origins(cls: type) -> bool:
    """Return whether payloads of the class need origins."""
    plan = plan_of(cls)
    return bool(plan.others) or not plan.reads_alike


def kept_as_read(payload: Any, content: Item, nested: NestedCodec) -> frozenset[str]:
    """Return the wire names of fields with the value that reading made from their stored form.

    It is empty for a class whose fields read alike each time.
    """
    origin = nested.of(payload)
    if origin is None:
        return frozenset()
    steps = plan_of(type(payload)).steps
    return frozenset(
        step.wire_name for step in steps if _is_as_read(origin, step, payload, content, nested)
    )


def undeclared_names(cls: type, content: Item) -> list[str]:
    """Return the names in a stored map that are not fields of the class."""
    declared = plan_of(cls).wire_names
    if declared.issuperset(content):  # as most maps are
        return []
    return [name for name in content if name not in declared]


def undeclared(cls: type, content: Item, path: str = DATA) -> dict[str, Any]:
    """Decode what a stored map holds beyond the fields of the class. Raises Unfit."""
    return {
        name: decode_plain(content[name], f"{path}.{name}")
        for name in undeclared_names(cls, content)
    }


def encode_data(
    payload: Any,
    extras: dict[str, Any],
    base: Item | None,
    nested: NestedCodec,
    encoding: Encoding = SAFE,
) -> Item:
    """Encode declared fields and extras; unchanged ones keep their form in `base`.

    Without a base every default is written. With one, a field that was absent and still has its
    default stays absent. Raises InvalidRecordError, UnsafeNumberError for a number that JavaScript
    cannot hold.
    """
    encoded = None
    origin = nested.of(payload)
    if origin is not None:
        encoding = encoding.also(origin.content)
    if base is None:
        try:
            encoded = plan_of(type(payload)).write(payload, nested, encoding)
        except InvalidRecordError:  # the general code reports every wrong field
            encoded = None
    if encoded is None:
        encoded = encode_fields(payload, base, nested, encoding, DATA, 1)
    if not extras:
        return encoded
    declared = plan_of(type(payload)).wire_names
    kinds.convert_mapping(extras, DATA, prefix=f"{DATA}.")
    for name in extras:
        if name in declared:
            raise InvalidRecordError(
                f"{DATA}.{name} is a declared field; set it on the payload, not in extra_data",
                path=f"{DATA}.{name}",
            )
    check_spelling(type(payload), {name: {} for name in extras if name not in (base or {})})
    return encoded | encode_plain_map(extras, base or {}, DATA, encoding)


def encode_plain_map(
    values: dict[str, Any], base: Item, path: str, encoding: Encoding = SAFE
) -> Item:
    """Encode plain Python values by name; unchanged ones keep their form in `base`."""
    encoded = encode_plain(values, path, encoding=encoding, base={"M": base})
    content: Item = encoded["M"]
    return content


def edited_fields(payload: Any, content: Item, nested: NestedCodec) -> frozenset[str]:
    """Return the wire names of the changed fields; a value that no longer fits is a change."""
    edited = set()
    origin = nested.of(payload)
    for step in plan_of(type(payload)).steps:
        if origin is not None and _is_as_read(origin, step, payload, content, nested):
            continue
        try:
            form = encode_field(step, payload, content, nested, EXACT, DATA, 1)
        except InvalidRecordError:
            edited.add(step.wire_name)
        else:
            if form != content.get(step.wire_name):
                edited.add(step.wire_name)
    return frozenset(edited)


def edited_names(values: dict[str, Any] | None, content: Item) -> frozenset[str]:
    """Return the names of changed, added and removed values; none if `values` were not read."""
    if values is None:
        return frozenset()
    edited = {name for name in content if name not in values}
    for name, value in values.items():
        try:
            form = encode_plain_map({name: value}, content, "", EXACT)[name]
        except InvalidRecordError:
            edited.add(name)
        else:
            if form != content.get(name):
                edited.add(name)
    return frozenset(edited)


def encode_fields(
    payload: Any, base: Item | None, nested: NestedCodec, encoding: Encoding, path: str, depth: int
) -> Item:
    """Encode the declared fields. Raises one error of all that cannot be stored."""
    encoded: Item = {}
    errors: list[InvalidRecordError] = []
    origin = nested.of(payload)
    for step in plan_of(type(payload)).steps:
        if (
            base is not None
            and origin is not None
            and _is_as_read(origin, step, payload, base, nested)
        ):
            if step.wire_name in base:
                encoded[step.wire_name] = base[step.wire_name]
            continue
        try:
            form = encode_field(step, payload, base, nested, encoding, path, depth)
        except InvalidRecordError as error:
            errors.append(error.with_traceback(None))
        else:
            if form is not None:
                encoded[step.wire_name] = form
    if errors:
        raise together(errors)
    return encoded


def check_mapping(cls: type | None, mapping: dict[str, Any], *, js_safe: bool = True) -> Item:
    """Check a camelCase mapping against the class and encode it exactly as given.

    None becomes NULL, and absent fields stay absent. Declared fields may be given as Python
    values of their kind (a date) or as stored (its text). Raises InvalidRecordError with the path.
    """
    if not isinstance(mapping, dict):
        raise InvalidRecordError(
            f"{DATA} takes a mapping in the table's spelling, not {type(mapping).__name__}",
            path=DATA,
        )
    mapping = kinds.plain_names(mapping, DATA)
    declared = {} if cls is None else {field.wire_name: field for field in fields_of(cls)}
    nested = Origins()
    content: Item = {}
    errors: list[InvalidRecordError] = []
    for name, value in mapping.items():
        field = declared.get(name)
        try:
            if field is None:
                content |= encode_plain_map({name: value}, {}, DATA, encoding_of(js_safe))
            else:
                path = f"{DATA}.{name}"
                content[name] = form_given(field.kind, value, path, nested, encoding_of(js_safe))
        except InvalidRecordError as error:
            errors.append(error.with_traceback(None))
    if cls is not None:
        errors += _errors_of_given(cls, content, nested, refused=mapping.keys() - content.keys())
    if errors:
        raise together(errors)
    return content


def _errors_of_given(
    cls: type, content: Item, nested: Origins, *, refused: Set[str]
) -> list[InvalidRecordError]:
    """Return where a given map does not fit its class, except in fields already refused."""
    spelt = dict(misspelt(cls, content))
    errors = [wrong_spelling(path, meant) for path, meant in spelt.items()]
    if not errors and not refused:
        return errors_of_class(cls, content, nested)
    return [*errors, *nested.misfits(cls, content, DATA, but={*refused, *spelt.values()})]


def errors_of_class(cls: type, content: Item, nested: Origins) -> list[InvalidRecordError]:
    """Return where a map does not fit its class."""
    try:
        decode_payload(cls, content, nested)
    except Unfit as unfit:
        return [*nested.misfits(cls, content, DATA)] or [unfit.as_input()]
    return []


def form_given(
    kind: FieldKind,
    value: Any,
    path: str,
    nested: NestedCodec,
    encoding: Encoding,
    depth: int = 2,
) -> AttributeValue:
    """Encode what a caller gave for a kind: as stored, or as a Python value of the kind."""
    try:
        return encode_plain(value, path, encoding=encoding, depth=depth)
    except InvalidRecordError as error:
        if type(error) is not InvalidRecordError:
            raise
    given = kind.convert(value, path)
    return encode(kind, given, path, nested, encoding=encoding, depth=depth)
