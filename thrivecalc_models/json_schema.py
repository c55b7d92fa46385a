"""Print the registered types as JSON Schema 2020-12: one document with a definition of each.

    python -m thrivecalc_models.json_schema > records.schema.json
    python -m thrivecalc_models.json_schema --import my_service.types > records.schema.json

It describes a record as JSON: sets are arrays, bytes are base64 text. The document accepts any
record, and checks those of registered types by their definitions under `$defs`. Undeclared names
are allowed everywhere, as in the table. Validators check `date` and `date-time` if they are set to
assert formats. That `recordKey` is `dataType#recordId` is checked as far as a schema can compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from thrivecalc_models.catalogue import (
    Catalogue,
    PayloadType,
    RecordType,
    catalogue,
    defaults_of,
    parse_arguments,
    print_document,
)
from thrivecalc_models.codec import scalar_of
from thrivecalc_models.payloads import Field, kinds
from thrivecalc_models.stdio import json_text

Schema = dict[str, Any]

MAX_TTL = 253_402_300_799  # 9999-12-31T23:59:59Z
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
_ENVELOPE = "RecordEnvelope"


def document() -> Schema:
    """Return the schema for all types that are registered now."""
    types = catalogue(reserved=[_ENVELOPE])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "UserRecord",
        "description": "A record of any type; one of a known type has the data of that type.",
        "type": "object",
        "$ref": _reference(_ENVELOPE),
        "allOf": [_condition(each) for each in types.records],
        "$defs": {
            _ENVELOPE: _envelope(),
            **{each.name: _record(each) for each in types.records},
            **{each.name: _payload(each, types) for each in types.payloads},
        },
    }


def _condition(record: RecordType) -> Schema:
    """The rule that a record with the type's `dataType` must match its definition."""
    of_type = {
        "type": "object",
        "properties": {"dataType": {"const": record.data_type}},
        "required": ["dataType"],
    }
    return {"if": of_type, "then": {"$ref": _reference(record.name)}}


def _envelope() -> Schema:
    """The definition of what every record has around its data; only `ttl` may be absent."""
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


def _record(record: RecordType) -> Schema:
    data = {"type": "object"} if record.payload is None else {"$ref": _reference(record.payload)}
    return _described(record.doc) | {
        "type": "object",
        "$ref": _reference(_ENVELOPE),
        "properties": {
            "recordKey": {"type": "string", "pattern": f"^{_literal(record.data_type)}#"},
            "dataType": {"const": record.data_type},
            "data": data,
        },
    }


def _payload(payload: PayloadType, types: Catalogue) -> Schema:
    """The definition of a payload class, with the defaults of its fields."""
    defaults = defaults_of(payload.cls)
    properties = {}
    for field in payload.fields:
        schema = _of_field(field, types)
        if field.wire_name in defaults:
            schema = schema | {"default": defaults[field.wire_name]}
        properties[field.wire_name] = schema | _described(field.doc)
    required = [field.wire_name for field in payload.fields if field.required]
    return _described(payload.doc) | {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _of_field(field: Field, types: Catalogue) -> Schema:
    """The schema of a field's value: one that is not required may be null."""
    kind = field.kind
    if isinstance(kind, kinds.Anything):
        return {"not": {"type": "null"}} if field.required else {}
    return _of_kind(kind if field.required else kinds.Optional(kinds.unwrapped(kind)), types)


def _of_kind(kind: kinds.FieldKind, types: Catalogue) -> Schema:
    scalar = scalar_of(kind)
    if scalar is not None:
        return dict(scalar.schema)
    match kind:
        case kinds.SetOfText():
            return {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
        case kinds.ListOf(element) | kinds.TupleOf(element):
            return {"type": "array", "items": _of_kind(element, types)}
        case kinds.DictOf(element):
            return {"type": "object", "additionalProperties": _of_kind(element, types)}
        case kinds.Nested(payload_class):
            return {"$ref": _reference(types.name_of(payload_class))}
        case kinds.Optional(inner):
            return {"anyOf": [_of_kind(inner, types), {"type": "null"}]}
    return {}


def _described(doc: str) -> Schema:
    return {"description": doc} if doc else {}


def _reference(name: str) -> str:
    return f"#/$defs/{name}"


def _literal(text: str) -> str:
    """The text as a regular expression of ECMAScript, which has fewer escapes than Python."""
    return re.sub(r"([\^$\\.*+?()\[\]{}|/])", r"\\\1", text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the schema; the arguments are those of the process by default."""
    parse_arguments("Print the registered types as JSON Schema 2020-12.", arguments)
    print_document(f"{json_text(document())}\n")


if __name__ == "__main__":
    main()
