"""Read and write the JSON of items and cells."""

from __future__ import annotations

import json
from typing import Any

from thrivecalc_models.wire.json_text import decode, encode_strictly


class NotJsonError(ValueError):
    """Raised for text that is not JSON, and for a value that JSON in UTF-8 cannot hold."""


class Number(str):
    """The text of a number in JSON, with all its digits."""

    __slots__ = ()


def dumps(value: Any) -> bytes:
    """Return a value as one line of JSON in UTF-8. Raises NotJsonError for unpaired surrogates."""
    try:
        return encode_strictly(value)
    except (TypeError, UnicodeEncodeError, RecursionError):
        reason = "holds text that UTF-8 cannot hold"
    raise NotJsonError(reason)


def loads(text: bytes | str) -> Any:
    """Return the value of JSON text. Raises NotJsonError, which does not show the text."""
    try:
        return decode(text)
    except (ValueError, RecursionError):
        reason = "is not JSON"
    raise NotJsonError(reason)


def loads_exactly(text: str) -> Any:
    """Return the value of JSON text with its numbers as `Number`. Raises NotJsonError."""
    try:
        return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        reason = "is not JSON"
    raise NotJsonError(reason)


def _refuse(constant: str) -> None:
    raise ValueError("NaN and infinities are not JSON")
