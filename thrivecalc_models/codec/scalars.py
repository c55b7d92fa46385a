"""The simple kinds of value, one row each: how one is stored, and how a schema describes it.

A new kind of value that is stored as text, a number, a bool or binary is a class in
`payloads.kinds` and a row here; codec, JSON Schema, TypeScript and files read this table.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import attrs

from thrivecalc_models.codec.numbers import Encoding, number_form
from thrivecalc_models.payloads import kinds
from thrivecalc_models.wire import (
    AttributeValue,
    format_duration,
    format_timestamp,
    parse_date,
    parse_duration,
    parse_number,
    parse_time,
    parse_uuid,
    plain_text,
)
from thrivecalc_models.wire.durations import DURATION_PATTERN, TIME_PATTERN
from thrivecalc_models.wire.numbers import ALWAYS_EXACT_DIGITS, MAX_SAFE_INTEGER
from thrivecalc_models.wire.timestamps import parse_timestamp


@attrs.frozen(eq=False, repr=False)
class Scalar:
    """How a simple kind is stored and described.

    `reading` and `writing` are expressions in Python, which `codec.compiled` puts into the code of
    a payload class. `reading` is the value of the content `stored` under `tag`. It is None for
    content that does not fit, for the reason `unfit`, or raises ValueError, for the reason that the
    tag has; with no reason `unfit` it is never None. An expression may name what is in `NAMES` and,
    as `own`, the row's `own` object. `writing` is the content for `value`, which
    messages name by `path`, by the rules of `encoding`.

    `exact` says that values which are written alike are equal.
    """

    tag: str
    reading: str
    writing: str
    schema: Mapping[str, Any]
    typescript: str
    unfit: str = ""
    exact: bool = True
    own: Any = None
    read: Callable[[Any], Any] = attrs.field(init=False)
    content: Callable[[Any, str, Encoding], Any] = attrs.field(init=False)

    @read.default
    def _read(self) -> Any:
        return eval(f"lambda stored: {self.reading}", NAMES | {"own": self.own})

    @content.default
    def _content(self) -> Any:
        return eval(f"lambda value, path, encoding: {self.writing}", NAMES)

    def form(self, value: Any, path: str, encoding: Encoding) -> AttributeValue:
        """Return a value as it is stored, with its tag."""
        return {self.tag: self.content(value, path, encoding)}


def scalar_of(kind: kinds.FieldKind) -> Scalar | None:
    """Return the row of a simple kind, or None for every other kind."""
    if type(kind) in _CHOICES:
        return _choice(kind)
    return _SCALARS.get(type(kind))


_CHOICES = (kinds.MemberOf, kinds.OneOf)


@cache
def _choice(kind: kinds.Choice) -> Scalar:
    texts = [*kind.by_text]
    return Scalar(
        tag="S",
        reading="own.get(stored)",
        writing="plain_text(value.value)" if isinstance(kind, kinds.MemberOf) else "value",
        schema={"type": "string", "enum": texts},
        typescript=" | ".join(map(json.dumps, texts)),
        unfit="is none of the texts that it can be",
        own=kind.by_text,
    )


def whole(text: str) -> int | None:
    """Read a stored number as an int, or as None if it has a fraction."""
    number = parse_number(text)  # of at most 126 digits, so that int() is quick
    return int(number) if number == number.to_integral_value() else None


def binary(content: str | bytes) -> bytes:
    """Decode base64 text; some readers of replies have made bytes of it already."""
    return content if isinstance(content, bytes) else b64decode(content)


NAMES: dict[str, Any] = {
    "Decimal": Decimal,
    "b64encode": b64encode,
    "binary": binary,
    "format_duration": format_duration,
    "format_timestamp": format_timestamp,
    "number_form": number_form,
    "parse_date": parse_date,
    "parse_duration": parse_duration,
    "parse_number": parse_number,
    "parse_time": parse_time,
    "parse_timestamp": parse_timestamp,
    "parse_uuid": parse_uuid,
    "plain_text": plain_text,
    "whole": whole,
}
"""What the expressions of the rows name."""

_NUMBER = "number_form(value, path, encoding)"

# As `parse_number`, without calling it for the most common numbers: half the time of an amount.
_EXACT = (
    f"Decimal(stored) if len(stored) <= {ALWAYS_EXACT_DIGITS} and stored.isascii()"
    " and stored.replace('.', '', 1).isdigit()"
    " else parse_number(stored)"
)

_SAFE_RANGE = {"minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER}

_SCALARS: dict[type, Scalar] = {
    kinds.Text: Scalar(
        tag="S",
        reading="stored",
        writing="value",
        schema={"type": "string"},
        typescript="string",
    ),
    kinds.AmountKind: Scalar(
        tag="N",
        reading=_EXACT,
        writing=_NUMBER,
        schema={"type": "number", **_SAFE_RANGE},
        typescript="number",
    ),
    kinds.Float: Scalar(
        tag="N",
        reading="float(parse_number(stored))",
        writing=_NUMBER,
        schema={"type": "number", **_SAFE_RANGE},
        typescript="number",
    ),
    kinds.Integer: Scalar(
        tag="N",
        reading="whole(stored)",
        writing=_NUMBER,
        schema={"type": "integer", **_SAFE_RANGE},
        typescript="number",
        unfit="is no whole number",
    ),
    kinds.Boolean: Scalar(
        tag="BOOL",
        reading="stored",
        writing="value",
        schema={"type": "boolean"},
        typescript="boolean",
    ),
    kinds.Date: Scalar(
        tag="S",
        reading="parse_date(stored)",
        writing="value.isoformat()",
        schema={"type": "string", "format": "date"},
        typescript="DateText",
        unfit="is not a date",
    ),
    kinds.DateTime: Scalar(
        tag="S",
        reading="parse_timestamp(stored)",
        writing="format_timestamp(value)",
        schema={"type": "string", "format": "date-time"},
        typescript="TimestampText",
        unfit="is not a date-time with its zone",
        exact=False,  # what is finer than a millisecond is not written
    ),
    # The formats `time` and `duration` of JSON Schema ask for a zone, and refuse fractions.
    kinds.TimeOfDay: Scalar(
        tag="S",
        reading="parse_time(stored)",
        writing="value.isoformat()",
        schema={"type": "string", "pattern": TIME_PATTERN},
        typescript="string",
        unfit="is not a time of day",
    ),
    kinds.Duration: Scalar(
        tag="S",
        reading="parse_duration(stored)",
        writing="format_duration(value)",
        schema={"type": "string", "pattern": DURATION_PATTERN},
        typescript="string",
        unfit="is not a duration",
    ),
    kinds.Uuid: Scalar(
        tag="S",
        reading="parse_uuid(stored)",
        writing="str(value)",
        schema={"type": "string", "format": "uuid"},
        typescript="string",
        unfit="is not a UUID",
    ),
    kinds.Binary: Scalar(
        tag="B",
        reading="binary(stored)",
        writing="b64encode(value).decode()",
        schema={"type": "string", "contentEncoding": "base64"},
        typescript="Uint8Array",
    ),
}
