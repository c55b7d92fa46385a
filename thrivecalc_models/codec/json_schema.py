"""JSON Schema of one payload class, and of what a record has around its data."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from thrivecalc_models.codec.data import Origins
from thrivecalc_models.codec.json_data import form_to_json
from thrivecalc_models.codec.numbers import EXACT
from thrivecalc_models.codec.scalars import scalar_of
from thrivecalc_models.codec.values import encode
from thrivecalc_models.payloads import Field, fields_of, kinds
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import AttributeValue, parse_number

Schema = dict[str, Any]

Refer = Callable[[type], Schema]
"""Returns the schema that stands for a nested payload class: a reference to its definition."""

MAX_TTL = 253_402_300_799  # 9999-12-31T23:59:59Z
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"


def payload_schema(payload_class: type, refer: Refer) -> Schema:
    """Return the schema of a payload class, with the defaults and the words of its fields."""
    defaults, fields = defaults_of(payload_class), fields_of(payload_class)
    properties = {}
    for field in fields:
        schema = _of_field(field, refer)
        if field.wire_name in defaults:
            schema = schema | {"default": defaults[field.wire_name]}
        properties[field.wire_name] = schema | described(field.doc)
    required = [field.wire_name for field in fields if field.required]
    return described(doc_of(payload_class)) | {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _of_field(field: Field, refer: Refer) -> Schema:
    """The schema of a field's value: one that is not required may be null."""
    kind = field.kind
    if isinstance(kind, kinds.Anything):
        return {"not": {"type": "null"}} if field.required else {}
    return _of_kind(kind if field.required else kinds.Optional(kinds.unwrapped(kind)), refer)


def _of_kind(kind: kinds.FieldKind, refer: Refer) -> Schema:
    scalar = scalar_of(kind)
    if scalar is not None:
        return dict(scalar.schema)
    match kind:
        case kinds.SetOfText():
            return {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
        case kinds.ListOf(element) | kinds.TupleOf(element):
            return {"type": "array", "items": _of_kind(element, refer)}
        case kinds.DictOf(element):
            return {"type": "object", "additionalProperties": _of_kind(element, refer)}
        case kinds.Nested(payload_class):
            return refer(payload_class)
        case kinds.Optional(inner):
            return {"anyOf": [_of_kind(inner, refer), {"type": "null"}]}
    return {}


def envelope_schema() -> Schema:
    """Return the schema of what every record has around its data; only `ttl` may be absent."""
    text = {"type": "string", "minLength": 1}
    stamp = {"type": "string", "format": "date-time", "pattern": _TIMESTAMP}
    seconds = {
        "description": "When DynamoDB may remove the record, in Unix seconds.",
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_TTL,
    }
    required = {
        "userId": text,
        "recordKey": {"type": "string", "pattern": "^[^#]+#"},
        "dataType": {"type": "string", "pattern": "^[^#]+$"},
        "recordId": text,
        "data": {"type": "object"},
        "createdAt": stamp,
        "updatedAt": stamp,
    }
    return {
        "description": "What every record has around its data.",
        "type": "object",
        "properties": required | {"ttl": seconds},
        "required": list(required),
    }


def own_properties(data_type: str, data: Schema) -> Schema:
    """Return the properties in which a record of a type differs from others."""
    return {
        "recordKey": {"type": "string", "pattern": f"^{_literal(data_type)}#"},
        "dataType": {"const": data_type},
        "data": data,
    }


def described(doc: str) -> Schema:
    """Return the part of a schema that says what it is for; empty if there are no words."""
    return {"description": doc} if doc else {}


def doc_of(cls: type) -> str:
    """Return the docstring of a class itself, not one that it inherits."""
    own = vars(cls).get("__doc__")
    return inspect.cleandoc(own) if own else ""


def _literal(text: str) -> str:
    """The text as a regular expression of ECMAScript, which has fewer escapes than Python."""
    return re.sub(r"([\^$\\.*+?()\[\]{}|/])", r"\\\1", text)


def defaults_of(payload_class: type) -> dict[str, Any]:
    """Return what absent fields read as, by wire name, as JSON values.

    It omits None and the empty set, which is never stored, and defaults that a function makes,
    which may differ each time.
    """
    return {
        field.wire_name: as_json(
            encode(field.kind, field.default(), field.wire_name, Origins(), encoding=EXACT)
        )
        for field in fields_of(payload_class)
        if field.fixed_default and field.default() not in (None, set())
    }


def as_json(form: AttributeValue) -> Any:
    """Convert a stored value to JSON: sets are arrays, bytes are base64 text."""
    return form_to_json(form, DATA, _nearest_number)


def _nearest_number(text: str, path: str) -> int | float:
    """Convert a stored number to an int or to the nearest float, however many digits it has."""
    number = parse_number(text)
    return int(number) if number == int(number) else float(number)
