"""Read and write one field of a payload: the general code, for every stored form."""

from __future__ import annotations

from typing import Any

from thrivecalc_models.codec.numbers import EXACT, Encoding
from thrivecalc_models.codec.plans import FieldPlan
from thrivecalc_models.codec.values import NestedCodec, Unfit, decode, encode, keep_form
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import Field
from thrivecalc_models.payloads.kinds import SetOfText, converted_within, unwrapped
from thrivecalc_models.wire import AttributeValue, Item


def is_absent(form: AttributeValue | None) -> bool:
    """Return whether a field reads as its default: nothing is stored, or NULL."""
    return form is None or "NULL" in form


def read_field(step: FieldPlan, form: AttributeValue | None, nested: NestedCodec, path: str) -> Any:
    """Return the value of a stored form, None for an absent one. Raises Unfit."""
    if form is None or "NULL" in form:
        if step.field.required:
            missing = "is missing" if form is None else "is NULL"
            raise Unfit(f"{path}.{step.wire_name}", f"{missing}, but required")
        try:
            return step.field.default()
        except InvalidRecordError:  # of a factory that a service wrote
            pass
        raise Unfit(f"{path}.{step.wire_name}", "has a default that cannot be made")
    return decode(step.field.kind, form, f"{path}.{step.wire_name}", nested)


def encode_field(
    step: FieldPlan,
    payload: Any,
    base: Item | None,
    nested: NestedCodec,
    encoding: Encoding,
    path: str,
    depth: int,
) -> AttributeValue | None:
    """Return the form of one field of a payload, or None if it is to be absent."""
    try:
        value = step.get(payload)
    except AttributeError:  # of an old pickle, for one
        missing = True
    else:
        missing = False
    if missing:
        at = f"{path}.{step.wire_name}"
        raise InvalidRecordError(f"{at} is missing, but required; give it a value", path=at)
    stored = None if base is None else base.get(step.wire_name)
    scalar = step.scalar
    if not step.converted:
        converted = converted_within(step.field.kind, value, f"{path}.{step.wire_name}")
        if converted is not value:
            step.put(payload, converted)
            value = converted
    if scalar is not None and stored is not None and scalar.tag in stored:
        if value is None:
            return None
        # The value was converted to the field's type, so that == is exact.
        if scalar.read(stored[scalar.tag]) == value:
            return stored
        return scalar.form(value, f"{path}.{step.wire_name}", encoding)
    if scalar is not None and base is None:
        return None if value is None else scalar.form(value, f"{path}.{step.wire_name}", encoding)
    return _encode_any_field(step.field, value, base, nested, encoding, path, depth)


def _encode_any_field(
    field: Field,
    value: Any,
    base: Item | None,
    nested: NestedCodec,
    encoding: Encoding,
    path: str,
    depth: int,
) -> AttributeValue | None:
    at = f"{path}.{field.wire_name}"
    stored = None if base is None else base.get(field.wire_name)
    if value is not None:
        value = converted_within(field.kind, value, at)

    def own_form(given: Any, how: Encoding, form: AttributeValue | None) -> AttributeValue | None:
        if given is None or _is_default_empty_set(field, given):
            return None
        return encode(field.kind, given, at, nested, encoding=how, base=form, depth=depth + 1)

    if base is None:
        return own_form(value, encoding, None)
    if stored is None or is_absent(stored):
        # Both read as the default: while the value is still that, what is stored stays.
        unchanged = own_form(value, EXACT, None) == own_form(field.default(), EXACT, None)
        return stored if unchanged else own_form(value, encoding, None)
    if value is None or _is_default_empty_set(field, value):
        return None
    return keep_form(
        stored,
        decode=lambda form: decode(field.kind, form, at, nested),
        encode=lambda given, how, form: encode(
            field.kind, given, at, nested, encoding=how, base=form, depth=depth + 1
        ),
        value=value,
        encoding=encoding,
    )


def _is_default_empty_set(field: Field, value: Any) -> bool:
    """Return whether a value is an empty set, which DynamoDB lacks, and absence reads as one."""
    is_set = isinstance(unwrapped(field.kind), SetOfText)
    return is_set and value == set() and field.default() == set()
