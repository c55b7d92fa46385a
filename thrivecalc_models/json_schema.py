"""Print the registered types as JSON Schema 2020-12: one document with a definition of each.

    python -m thrivecalc_models.json_schema > records.schema.json
    python -m thrivecalc_models.json_schema --import my_service.types > records.schema.json

It describes a record as JSON: sets are arrays, bytes are base64 text. The document accepts any
record, and checks those of registered types by their definitions under `$defs`. Undeclared names
are allowed everywhere, as in the table. Validators check `date` and `date-time` if they are set to
assert formats. That `recordKey` is `dataType#recordId` is checked as far as a schema can compare.
"""

from __future__ import annotations

from collections.abc import Sequence

from thrivecalc_models.catalogue import (
    Catalogue,
    PayloadType,
    RecordType,
    catalogue,
    parse_arguments,
    print_document,
)
from thrivecalc_models.codec.json_schema import (
    Schema,
    described,
    envelope_schema,
    own_properties,
    payload_schema,
)
from thrivecalc_models.stdio import json_text

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
            _ENVELOPE: envelope_schema(),
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


def _record(record: RecordType) -> Schema:
    data = {"type": "object"} if record.payload is None else {"$ref": _reference(record.payload)}
    return described(record.doc) | {
        "type": "object",
        "$ref": _reference(_ENVELOPE),
        "properties": own_properties(record.data_type, data),
    }


def _payload(payload: PayloadType, types: Catalogue) -> Schema:
    """The definition of a payload class, with the defaults of its fields."""
    return payload_schema(payload.cls, lambda cls: {"$ref": _reference(types.name_of(cls))})


def _reference(name: str) -> str:
    return f"#/$defs/{name}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the schema; the arguments are those of the process by default."""
    parse_arguments("Print the registered types as JSON Schema 2020-12.", arguments)
    print_document(f"{json_text(document())}\n")


if __name__ == "__main__":
    main()
