"""Numbers: exact decimals in Python, canonical text in the table, none that JavaScript misreads.

Nothing here depends on the decimal context of the caller: values are built, compared and printed,
never used in arithmetic. No message shows a value, since amounts are personal.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

from thrivecalc_models.errors import InvalidRecordError, UnsafeNumberError
from thrivecalc_models.plain import is_plain, plain_value

MAX_SAFE_INTEGER: Final = 2**53 - 1
MAX_DIGITS: Final = 38
MIN_EXPONENT: Final = -130
MAX_EXPONENT: Final = 125

_NUMERIC = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?0*[0-9]{1,6})?")
ALWAYS_EXACT_DIGITS: Final = 15
"""DBL_DIG: a double returns any decimal of up to so many digits."""
is_canonical: Final = re.compile(r"-?[1-9][0-9]*(?:\.[0-9]*[1-9])?|0|-?0\.[0-9]*[1-9]").fullmatch
"""Whether a text is a number in plain notation, as DynamoDB gives it back."""

_LONGEST_NUMBER = 400  # characters, more than any number of 38 digits takes in plain notation
_LONGEST_INT_BITS = 4096  # far above 1E126, and short enough to become a Decimal at once


def number_text(value: int | Decimal | float | str, *, path: str, js_safe: bool = True) -> str:
    """Print a number as DynamoDB returns it: plain notation, no exponent, outer zeros or `-0`.

    Raises InvalidRecordError for what is not a finite number, for more than 38 significant digits
    and for a magnitude outside 1E-130 to 9.99…E+125 ("Supported data types and naming rules in
    Amazon DynamoDB", Developer Guide). Raises UnsafeNumberError, if `js_safe`, above 2^53 - 1 in
    magnitude or where JavaScript's `Number(text)` would be another number.
    """
    if type(value) is int and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return str(value)
    if type(value) is Decimal:
        plain = str(value)
        # Most amounts: so short that every double gives them back, and already in plain notation.
        if len(plain) <= ALWAYS_EXACT_DIGITS and (plain.isdigit() or is_canonical(plain)):
            return plain
    number = to_decimal(value, path=path)
    if not number:
        return "0"
    if not MIN_EXPONENT <= number.adjusted() <= MAX_EXPONENT:
        raise InvalidRecordError(
            f"{path} is outside the magnitudes DynamoDB stores, 1E-130 to 9.99E+125;"
            " check its unit, or store it as text",
            path=path,
        )
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    digits = len(text.lstrip("-").replace(".", "").strip("0"))
    if digits > MAX_DIGITS:
        raise InvalidRecordError(
            f"{path} has {digits} significant digits, DynamoDB stores {MAX_DIGITS}; round it",
            path=path,
        )
    if js_safe:
        _check_js_safe(number, text, digits, path=path)
    return text


def to_decimal(value: object, *, path: str) -> Decimal:
    """Convert an `int`, `Decimal`, `float` or numeric text to an exact Decimal.

    A float counts by its shortest repr, as JavaScript writes it. Text is ASCII: a sign, digits, a
    point, an exponent. Raises InvalidRecordError for bool, NaN, infinity and everything else.
    """
    if type(value) is Decimal and value.is_finite():
        return value
    plain, number = plain_value(value), None
    match plain:
        case bool():  # which is an int, too
            pass
        case _ if not is_plain(plain):  # a proxy may say that it is a number
            pass
        case Decimal():
            number = plain if plain.is_finite() else None
        case int():
            number = Decimal(plain) if plain.bit_length() <= _LONGEST_INT_BITS else None
        case float():
            number = Decimal(repr(plain)) if math.isfinite(plain) else None
        case str():
            number = _decimal_of(plain)
    if number is None:
        raise _not_a_number(value, path=path)
    return number


def parse_number(text: str) -> Decimal:
    """Read a stored number as an exact Decimal, with all its digits.

    Raises ValueError, which does not show the text, for what DynamoDB cannot hold: anything but
    ASCII digits with a sign, a point and an exponent, over 38 digits, a magnitude outside 1E-130 to
    9.99E+125.
    """
    if _is_short(text):
        return Decimal(text)
    number = _decimal_of(text) if len(text) <= _LONGEST_NUMBER else None
    if number is None or not _is_storable(number):
        raise ValueError("the text of a stored number is none that DynamoDB can hold")
    return number


def _is_short(text: str) -> bool:
    """Return whether a text is a number of so few digits that DynamoDB holds it."""
    return (
        len(text) <= MAX_DIGITS
        and text.isascii()
        and text.removeprefix("-").replace(".", "", 1).isdigit()
    )


def _is_storable(number: Decimal) -> bool:
    if not number:
        return True
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    return len(digits) <= MAX_DIGITS and MIN_EXPONENT <= number.adjusted() <= MAX_EXPONENT


def _decimal_of(text: str) -> Decimal | None:
    # The constructor keeps every digit whatever the context, and nothing that matches makes it
    # signal: an exponent of six digits is far from where a Decimal ends.
    return Decimal(text) if _NUMERIC.fullmatch(text) else None


def _check_js_safe(number: Decimal, text: str, digits: int, *, path: str) -> None:
    if not -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER:
        reason = "is above 2^53 - 1 in magnitude, which JavaScript cannot hold"
        way_out = "check its unit, store it as text"
    elif digits > ALWAYS_EXACT_DIGITS and Decimal(repr(float(text))) != number:
        reason = "has more digits than JavaScript's Number keeps"
        way_out = "round it"
    else:
        return
    raise UnsafeNumberError(
        f"{path} {reason}; {way_out}, or open the store with js_safe_numbers=False", path=path
    )


def _not_a_number(value: object, *, path: str) -> InvalidRecordError:
    if isinstance(value, str):
        reason = "is text that is no number of ASCII digits"
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        reason = "is NaN, infinite or beyond all range"
    else:
        reason = f"is of type {type(value).__name__}"
    return InvalidRecordError(
        f"{path} {reason}; give a finite int, Decimal, float or numeric text", path=path
    )
