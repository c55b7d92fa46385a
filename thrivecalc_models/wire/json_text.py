"""JSON as bytes, by msgspec."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import Raw

__all__ = ["Raw", "decode", "encode", "encode_strictly"]


def _as_json(value: Any) -> Any:
    """The text or number that an instance of a subclass is; msgspec knows the classes alone."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


encode = msgspec.json.Encoder(enc_hook=_as_json).encode
"""Write JSON in UTF-8. Raises TypeError or ValueError for half of a surrogate pair."""

decode = msgspec.json.Decoder().decode
"""Read JSON in UTF-8. Raises ValueError or RecursionError for anything else."""


def encode_strictly(content: Any) -> bytes:
    """The same for values that somebody else made. Raises TypeError or ValueError.

    msgspec also writes what JSON does not have: NaN as null, bytes as base64, sets as arrays.
    """
    _check(content)
    return encode(content)


def _check(content: Any) -> None:
    if isinstance(content, dict):
        for name, value in content.items():
            if not isinstance(name, str):
                raise TypeError(f"a name is {type(name).__name__}, not text")
            _check(value)
    elif isinstance(content, list | tuple):
        for value in content:
            _check(value)
    elif isinstance(content, float):
        if not math.isfinite(content):
            raise ValueError("a number is not finite")
    elif content is not None and not isinstance(content, str | int):
        raise TypeError(f"{type(content).__name__} is not JSON")
