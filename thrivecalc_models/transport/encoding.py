"""JSON as bytes, by orjson if it is installed, else by the standard library."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from thrivecalc_models.transport.process import forks_wait


def encode(content: Any) -> bytes:
    """Write JSON in UTF-8. Raises TypeError or ValueError for values that JSON does not have."""
    return _library().dumps(content)


def decode(body: bytes) -> Any:
    """Read JSON in UTF-8. Raises ValueError or RecursionError for anything else."""
    return _library().loads(body)


class _Library(NamedTuple):
    dumps: Callable[[Any], bytes]
    loads: Callable[[bytes], Any]


@functools.cache
def _library() -> _Library:
    with forks_wait:
        try:
            import orjson  # of the extra `fast`
        except ImportError:
            return _Library(_dumps, _loads)
    # A view, since orjson takes no subclass of bytes.
    return _Library(orjson.dumps, lambda body: orjson.loads(memoryview(body)))


# The standard library behaves here as orjson does: only UTF-8, and only numbers that JSON has.


def _dumps(content: Any) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _loads(body: bytes) -> Any:
    return json.loads(body.decode(), parse_constant=_no_number, parse_float=_finite)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)
