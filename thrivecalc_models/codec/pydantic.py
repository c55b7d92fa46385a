"""What pydantic, and FastAPI with it, knows of payload classes: to_json, from_json, the schema.

Pydantic is imported when it calls, since only then it is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from thrivecalc_models.codec.json_data import payload_from_json, payload_to_json
from thrivecalc_models.codec.json_schema import Schema, payload_schema
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import is_payload_class, why_no_payload_class
from thrivecalc_models.payloads.hooks import HOOKS
from thrivecalc_models.table import DATA


def core_schema(cls: type, read: Callable[[Any], Any], show: Callable[[Any], Any]) -> Any:
    """Return pydantic's schema of a class that `read` makes, and `show` makes JSON of."""
    from pydantic_core import core_schema as made

    return made.no_info_plain_validator_function(
        partial(_validated, cls, read),
        ref=_reference(cls),
        serialization=made.plain_serializer_function_ser_schema(show),
    )


def _reference(cls: type) -> str:
    """The text by which pydantic knows a class; the last name in it is that of the definition."""
    return f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"


def _validated(cls: type, read: Callable[[Any], Any], value: Any) -> Any:
    """Read a value. Raises pydantic's error of all that is wrong, which shows no values."""
    from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

    if isinstance(value, cls):
        return value
    try:
        return read(value)
    except InvalidRecordError as error:
        details = [
            InitErrorDetails(
                type=PydanticCustomError("invalid_record", str(each)),
                loc=_location(path),
                input=None,
            )
            for path, each in error.errors.items()
        ]
    raise ValidationError.from_exception_data(cls.__name__, details)


def _location(path: str) -> tuple[str | int, ...]:
    """The place of a path below `data`, as pydantic names places: `("tags", 1)`."""
    parts = re.findall(r"\.([^.\[]+)|\[([0-9]+)\]", path.removeprefix(DATA))
    return tuple(int(index) if index else name for name, index in parts)


def schema_of(cls: type, handler: Any) -> Schema:
    """Return what refers to the definition of a payload class in pydantic's document."""
    from pydantic import TypeAdapter
    from pydantic_core import core_schema as made

    known = cls in _ENTERED.get()
    inner: Any = (
        made.definition_reference_schema(_reference(cls)) if known else TypeAdapter(cls).core_schema
    )
    # Of what is within a list pydantic makes the definition, and here it says where that is.
    items: Schema = handler(made.list_schema(inner))["items"]
    return items


_ENTERED: ContextVar[tuple[type, ...]] = ContextVar("entered", default=())
"""The payload classes whose definitions are being made."""


@contextmanager
def _entering(cls: type) -> Iterator[None]:
    token = _ENTERED.set((*_ENTERED.get(), cls))
    try:
        yield
    finally:
        _ENTERED.reset(token)


def _payload_core_schema(cls: type) -> Any:
    if not is_payload_class(cls):
        raise TypeError(why_no_payload_class(cls))
    return core_schema(cls, partial(payload_from_json, cls), payload_to_json)


def _payload_json_schema(cls: type, schema: Any, handler: Any) -> Schema:
    with _entering(cls):
        return payload_schema(cls, partial(schema_of, handler=handler))


def fill_hooks() -> None:
    """Say what the methods of payload classes do."""
    HOOKS.core_schema = _payload_core_schema
    HOOKS.json_schema = _payload_json_schema
