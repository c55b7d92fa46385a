"""What pydantic, and FastAPI with it, knows of record classes: responses, and no bodies."""

from __future__ import annotations

from typing import Any, NoReturn

from thrivecalc_models.codec.json_schema import (
    Schema,
    described,
    doc_of,
    envelope_schema,
    own_properties,
)
from thrivecalc_models.codec.pydantic import core_schema, schema_of
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.records.json_records import to_json
from thrivecalc_models.table import DATA


def record_core_schema(cls: Any) -> Any:
    """Return pydantic's schema of a record class, which takes records alone."""

    def refuse(value: Any) -> NoReturn:
        raise InvalidRecordError(_refusal(cls), path=DATA)

    return core_schema(cls, refuse, to_json)


def record_json_schema(cls: Any, handler: Any) -> Schema:
    """Return the schema of a response. Raises PydanticInvalidForJsonSchema for a body."""
    if handler.mode == "validation":
        from pydantic.errors import PydanticInvalidForJsonSchema

        raise PydanticInvalidForJsonSchema(_refusal(cls))
    schema = envelope_schema() | described(doc_of(cls))
    payload_class, data_type = cls.payload_class(), cls.own_data_type()
    if data_type is not None:
        data = {"type": "object"} if payload_class is None else schema_of(payload_class, handler)
        schema["properties"] = schema["properties"] | own_properties(data_type, data)
    return schema


def _refusal(cls: Any) -> str:
    held = cls.payload_class()
    wanted = "its data" if held is None else held.__name__
    return (
        f"{cls.__name__} is a response and no body, since it names its user; take {wanted} as the"
        " body"
    )
