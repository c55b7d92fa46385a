"""The simple kinds of value, one row each: how one is stored, and how a schema describes it.

A new kind of value that is stored as text, a number, a bool or binary is a class in
`payloads.kinds` and a row here; codec, JSON Schema, TypeScript and files read this table.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import attrs

from thrivecalc_models.codec.numbers import Encoding, number_form
from thrivecalc_models.payloads import kinds
from thrivecalc_models.wire import AttributeValue, format_timestamp, parse_date, parse_number
from thrivecalc_models.wire.numbers import ALWAYS_EXACT_DIGITS, MAX_SAFE_INTEGER
from thrivecalc_models.wire.timestamps import parse_timestamp


@attrs.frozen(eq=False, repr=False)
class Compiled:
    """A scalar as source code for `codec.compiled`.

    `reading` is what `Scalar.read` returns for `stored`, or raises ValueError; `writing` is what
    `Scalar.content` returns for `value`, `path` and `js_safe`. `always_fits` says that `reading`
    is never None.
    """

    reading: str
    writing: str
    always_fits: bool = False


@attrs.frozen(eq=False, repr=False)
class Scalar:
    """How a simple kind is stored and described.

    `read` returns the value of the content under `tag`. Content that does not fit gives None, for
    the reason `unfit`, or a ValueError, for the reason that the tag has. `content` is the way back.
    `compiled` is None for kinds that are too rare to be compiled.
    """

    tag: str
    read: Callable[[Any], Any]
    content: Callable[[Any, str, Encoding], Any]
    schema: Mapping[str, Any]
    typescript: str
    unfit: str = ""
    compiled: Compiled | None = None

    def form(self, value: Any, path: str, encoding: Encoding) -> AttributeValue:
        return {self.tag: self.content(value, path, encoding)}


def scalar_of(kind: kinds.FieldKind) -> Scalar | None:
    """The row of a simple kind, None for every other."""
    return _SCALARS.get(type(kind))


def whole(text: str) -> int | None:
    number = parse_number(text)  # of at most 126 digits, so that int() is quick
    return int(number) if number == number.to_integral_value() else None


def binary(content: str | bytes) -> bytes:
    """The bytes of base64 text; some readers have made bytes of it already."""
    return content if isinstance(content, bytes) else b64decode(content)


def _same(value: Any) -> Any:
    return value


def _as_it_is(value: Any, path: str, encoding: Encoding) -> Any:
    return value


def _iso(value: date, path: str, encoding: Encoding) -> str:
    return value.isoformat()


# As `number_text`, without calling it for the most common numbers.
_NUMBER = (
    f"text if len(text := str(value)) <= {ALWAYS_EXACT_DIGITS}"
    " and (text.isdigit() or is_canonical(text))"
    " else wire.number_text(value, path=path, js_safe=js_safe)"
)

# As `parse_number`, without calling it for the most common numbers.
_EXACT = (
    f"Decimal(stored) if len(stored) <= {ALWAYS_EXACT_DIGITS} and stored.isascii()"
    " and stored.replace('.', '', 1).isdigit()"
    " else wire.parse_number(stored)"
)

# As `parse_date`, without calling it for the form that all of ours have.
_DAY = (
    "date_of(stored) if len(stored) == 10 and stored[4] == stored[7] == '-' else parse_date(stored)"
)

_SAFE_RANGE = {"minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER}

_SCALARS: dict[type, Scalar] = {
    kinds.Text: Scalar(
        tag="S",
        read=_same,
        content=_as_it_is,
        schema={"type": "string"},
        typescript="string",
        compiled=Compiled("stored", "value", always_fits=True),
    ),
    kinds.AmountKind: Scalar(
        tag="N",
        read=parse_number,
        content=number_form,
        schema={"type": "number", **_SAFE_RANGE},
        typescript="number",
        compiled=Compiled(_EXACT, _NUMBER, always_fits=True),
    ),
    kinds.Integer: Scalar(
        tag="N",
        read=whole,
        content=number_form,
        schema={"type": "integer", **_SAFE_RANGE},
        typescript="number",
        unfit="is no whole number",
        compiled=Compiled("whole(stored)", _NUMBER),
    ),
    kinds.Boolean: Scalar(
        tag="BOOL",
        read=_same,
        content=_as_it_is,
        schema={"type": "boolean"},
        typescript="boolean",
        compiled=Compiled("stored", "value", always_fits=True),
    ),
    kinds.Date: Scalar(
        tag="S",
        read=parse_date,
        content=_iso,
        schema={"type": "string", "format": "date"},
        typescript="DateText",
        unfit="is not a date",
        compiled=Compiled(_DAY, "value.isoformat()"),
    ),
    kinds.DateTime: Scalar(
        tag="S",
        read=parse_timestamp,
        content=lambda value, path, encoding: format_timestamp(value),
        schema={"type": "string", "format": "date-time"},
        typescript="TimestampText",
        unfit="is not a date-time with its zone",
    ),
    kinds.Binary: Scalar(
        tag="B",
        read=binary,
        content=lambda value, path, encoding: b64encode(value).decode(),
        schema={"type": "string", "contentEncoding": "base64"},
        typescript="Uint8Array",
    ),
}
