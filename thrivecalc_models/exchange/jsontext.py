"""JSON text of items and cells, by orjson if it is installed, else by the standard library."""

from __future__ import annotations

import json
from typing import Any

try:
    import orjson

    FAST = True
except ImportError:  # the extra `fast` is not there
    FAST = False


class NotJsonError(ValueError):
    """Text that is no JSON, or a value that JSON text cannot hold."""


class Number(str):
    """A number as JSON text has it: not yet rounded to anything."""

    __slots__ = ()


def dumps(value: Any) -> bytes:
    """JSON in UTF-8, on one line. Raises NotJsonError for halves of surrogate pairs."""
    try:
        if FAST:
            return orjson.dumps(value)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, UnicodeEncodeError, RecursionError):
        reason = "holds text that UTF-8 cannot hold"
    raise NotJsonError(reason)


def loads(text: bytes | str) -> Any:
    """The value of JSON text. Raises NotJsonError, without the text."""
    try:
        if FAST:
            return orjson.loads(text)
        return json.loads(text.decode() if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        reason = "is no JSON"
    raise NotJsonError(reason)


def loads_exactly(text: str) -> Any:
    """The same, with numbers as `Number`."""
    try:
        return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        reason = "is no JSON"
    raise NotJsonError(reason)


def _refuse(constant: str) -> None:
    raise ValueError("NaN and infinities are no JSON")
