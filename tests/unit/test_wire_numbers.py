"""Numbers: exact, canonical, and safe for JavaScript."""

import decimal
import enum
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrivecalc_models.errors import InvalidRecordError, UnsafeNumberError
from thrivecalc_models.wire import number_text, parse_number, to_decimal

SAFE = 2**53 - 1
CANONICAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
HOSTILE = decimal.Context(
    prec=1, Emax=1, Emin=-1, capitals=0, clamp=1, traps=list(decimal.Context().flags)
)


@st.composite
def storable(draw):
    """A Decimal that DynamoDB can hold, of up to 38 digits, in any spelling."""
    digits = draw(st.integers(1, 38).flatmap(lambda n: st.integers(0, 10**n - 1)))
    exponent = draw(st.integers(-130, 125 - len(str(digits)) + 1))
    return Decimal((draw(st.integers(0, 1)), tuple(map(int, str(digits))), exponent))


@given(storable())
def test_numbers_come_back_exactly(number):
    """A number of 38 digits is written without loss, in plain notation, in one spelling only."""
    text = number_text(number, path="data.amount", js_safe=False)
    assert parse_number(text) == number
    assert CANONICAL.fullmatch(text)
    assert text != "-0"
    assert number_text(text, path="data.amount", js_safe=False) == text


@given(storable())
def test_the_decimal_context_does_not_matter(number):
    """Precision and traps that a program sets for its own sums change nothing here."""
    outside = number_text(number, path="data.amount", js_safe=False)
    with decimal.localcontext(HOSTILE):
        inside = number_text(str(number), path="data.amount", js_safe=False)
        assert to_decimal(number, path="data.amount").as_tuple() == number.as_tuple()
        for wrong in ["soon", "1E" + "9" * 30, "NaN", Decimal("sNaN"), 10**200]:
            with pytest.raises(InvalidRecordError):
                number_text(wrong, path="data.amount")
        with pytest.raises(UnsafeNumberError):
            number_text(Decimal("0.12345678901234567890"), path="data.amount")
    assert inside == outside


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50", "1.5"),
        ("-0", "0"),
        (-0.0, "0"),
        (Decimal("0E+900"), "0"),
        (Decimal("1E+3"), "1000"),
        ("+007", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-1e-7", "-0.0000001"),
        (0.1, "0.1"),
        (1e-07, "0.0000001"),
        (20000, "20000"),
        (SAFE, "9007199254740991"),
        (-SAFE, "-9007199254740991"),
        ("1" + "." + "0" * 60, "1"),
    ],
)
def test_canonical_text(value, text):
    """The text is the one that DynamoDB gives back."""
    assert number_text(value, path="data.amount") == text


def test_subclasses_count_by_their_value():
    """An enum member, or a float with a repr of its own (as NumPy's), is the number that it is."""

    class Size(enum.IntEnum):
        LARGE = 3

    class Loud(float):
        def __repr__(self):
            return "loud"

    assert number_text(Size.LARGE, path="data.size") == "3"
    assert number_text(Loud(0.25), path="data.size") == "0.25"


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        b"1",
        1j,
        [],
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        "",
        " 1",
        "1\n",
        "1_0",
        "NaN",
        "Infinity",
        "٣",
        "1e",
        ".",
        "0x1",
        "1,5",
        "1E99999999999999999999",
        pytest.param(10**5000, id="huge"),
    ],
)
def test_what_is_no_number_is_refused(value):
    """Bool, NaN, infinity, loose text and other types are errors that name the path."""
    for convert in (to_decimal, number_text):
        with pytest.raises(InvalidRecordError) as caught:
            convert(value, path="data.amount")
        assert caught.value.path == "data.amount"
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("1E-130", True),
        ("1." + "2" * 37 + "E-130", True),
        ("9.9E-131", False),
        ("9." + "9" * 37 + "E+125", True),
        ("1E+126", False),
        ("1" * 38, True),
        ("1" * 39, False),
        ("1" * 38 + "0" * 50, True),
        ("0." + "0" * 90 + "1" * 38, True),
        ("1" + "0" * 37 + "1", False),
        (Decimal("1E+999999"), False),
        (Decimal("1E-999999"), False),
    ],
)
def test_range_and_digits_of_dynamodb(value, fits):
    """38 digits and 1E-130 to 9.99E+125 are stored; one more of either is an error."""
    if fits:
        assert parse_number(number_text(value, path="n", js_safe=False)) == Decimal(value)
    else:
        with pytest.raises(InvalidRecordError) as caught:
            number_text(value, path="n", js_safe=False)
        assert not isinstance(caught.value, UnsafeNumberError)


@given(st.floats(-SAFE, SAFE).filter(lambda value: value == 0 or abs(value) >= 1e-130))
def test_floats_that_javascript_wrote_are_safe(value):
    """Every float within 2^53 - 1 goes by its shortest repr and survives `Number(text)`."""
    assert float(number_text(value, path="data.amount")) == value


@given(storable())
def test_unsafe_is_what_javascript_would_change(number):
    """Exactly what exceeds 2^53 - 1, or comes back from `Number(text)` as another, is unsafe."""
    text = number_text(number, path="data.amount", js_safe=False)
    safe = -SAFE <= number <= SAFE and Decimal(repr(float(text))) == number
    if safe:
        assert number_text(number, path="data.amount") == text
    else:
        with pytest.raises(UnsafeNumberError) as caught:
            number_text(number, path="data.amount")
        assert caught.value.path == "data.amount"


@pytest.mark.parametrize(
    "value", [SAFE + 1, -SAFE - 1, "9007199254740991.5", "12345678901234567890.5", "1e21"]
)
def test_unsafe_magnitudes(value):
    """Above 2^53 - 1 nothing is safe, not even what a double could hold."""
    with pytest.raises(UnsafeNumberError, match="js_safe_numbers=False"):
        number_text(value, path="data.amount")


@pytest.mark.parametrize("value", ["777777777777777777777", "0.77777777777777777777", "7" * 39])
def test_messages_show_no_amount(value):
    """An error about a number says what is wrong, never which number."""
    with pytest.raises(InvalidRecordError) as caught:
        number_text(value, path="data.amount")
    assert "777" not in repr(caught.value)


@given(st.text(max_size=10))
def test_stored_text_is_read_exactly_or_refused(text):
    """A stored number is read with all its digits, and what is none is refused unseen."""
    numeric = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?", text)
    number = Decimal(text) if numeric else Decimal("NaN")
    if number == 0 or (numeric and -130 <= number.adjusted() <= 125):
        assert parse_number(text) == number
    else:
        with pytest.raises(ValueError, match=r"^the text of a stored number is none that"):
            parse_number(text)
