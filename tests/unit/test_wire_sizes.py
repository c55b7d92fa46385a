"""Sizes: what DynamoDB counts, as measured on DynamoDB Local 3.1.0, and what it refuses."""

import base64
import enum
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrivecalc_models.errors import InvalidRecordError, ItemTooLargeError
from thrivecalc_models.wire import (
    MAX_ITEM_SIZE,
    check_item,
    check_size,
    encoded_size,
    item_size,
    most_encoded,
    nesting_depth,
    read_units,
    value_size,
    write_units,
)

NUMBERS = st.builds(
    lambda digits, exponent, sign: f"{sign}{digits}E{exponent}",
    st.integers(0, 10**38 - 1),
    st.integers(-130, 87),
    st.sampled_from(["", "-"]),
)
UNICODE = st.text(max_size=5)
BINARY = st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode())
VALUES = st.recursive(
    st.one_of(
        st.fixed_dictionaries({"S": UNICODE}),
        st.fixed_dictionaries({"N": NUMBERS}),
        st.fixed_dictionaries({"B": BINARY}),
        st.fixed_dictionaries({"BOOL": st.booleans()}),
        st.just({"NULL": True}),
        st.fixed_dictionaries({"SS": st.lists(UNICODE, min_size=1, max_size=3, unique=True)}),
        st.fixed_dictionaries({"BS": st.lists(BINARY, min_size=1, max_size=3, unique=True)}),
        st.fixed_dictionaries({"NS": st.lists(NUMBERS, min_size=1, max_size=3, unique_by=Decimal)}),
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"L": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries(
            {"M": st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3)}
        ),
    ),
    max_leaves=15,
)


def nested(kinds, leaf):
    """A value inside maps (M) and lists (L), the first kind outermost."""
    for kind in reversed(kinds):
        leaf = {"M": {"k": leaf}} if kind == "M" else {"L": [leaf]}
    return leaf


def number_size(text):
    """The measured rule, told in base 100: pairs of digits between the outermost non-zero ones."""
    number = Decimal(text)
    if not number:
        return 1
    sign, digits, exponent = number.as_tuple()
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return min(21, 1 + number.adjusted() // 2 - (exponent + zeros) // 2 + 1 + sign)


def expected_size(value):
    """The rules of the guide, told recursively."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return number_size(content)
        case "B":
            return len(base64.b64decode(content))
        case "BOOL" | "NULL":
            return 1
        case "SS" | "NS" | "BS":
            return sum(expected_size({kind[0]: member}) for member in content)
        case "L":
            return 3 + sum(1 + expected_size(member) for member in content)
        case "M":
            return 3 + sum(
                1 + len(name.encode()) + expected_size(member) for name, member in content.items()
            )


@given(VALUES)
def test_sizes_follow_the_guide(value):
    """Every kind of value counts what the guide says, and its attribute's name in UTF-8."""
    assert value_size(value) == expected_size(value)
    assert item_size({"é": value, "a": {"S": ""}}) == 2 + expected_size(value) + 1
    assert check_item({"é": value}, describe="x") == 2 + expected_size(value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 1),
        ("1", 2),
        ("-1", 3),
        ("10", 2),
        ("100", 2),
        ("123", 3),
        ("1000", 2),
        ("1200", 2),
        ("12000", 3),
        ("120000", 2),
        ("0.1", 2),
        ("0.01", 2),
        ("0.001", 2),
        ("0.0012", 2),
        ("0.00123", 3),
        ("0.000123", 3),
        ("12.345", 4),
        ("123.45", 4),
        ("1.2345", 4),
        ("100.5", 4),
        ("1000.5", 4),
        ("-5.5", 4),
        ("-0.001", 3),
        ("1.50", 3),
        ("1E-130", 2),
        ("-1E-130", 3),
        ("1.5E-100", 3),
        ("1E+125", 2),
        ("1.5E+101", 2),
        ("9" * 38, 20),
        ("-" + "9" * 38, 21),
        ("1.2345678901234567890123456789012345678", 21),
        ("-1.2345678901234567890123456789012345678", 21),
        ("9." + "9" * 37 + "E+125", 20),
        ("9." + "9" * 37 + "E+124", 21),
    ],
)
def test_sizes_of_numbers_as_measured(text, size):
    """A number takes a byte, one a pair of digits, one for a minus, and 21 at most."""
    assert value_size({"N": text}) == size == number_size(text)


@pytest.mark.parametrize("kinds", ["M", "L", "ML", "LM", "MLL"])
def test_nesting_as_measured(kinds):
    """31 maps and lists around a scalar pass, an empty map or list is a level too, 32 do not."""
    for leaf, own in [({"S": "a"}, 0), ({"NS": ["1"]}, 0), ({"M": {}}, 1), ({"L": []}, 1)]:
        outer = (kinds * 32)[: 31 - own]
        value = nested(outer, leaf)
        assert nesting_depth(value) == 31
        check_item({"data": value}, describe="x")
        deeper = {"L": [value]}
        assert nesting_depth(deeper) == 32
        with pytest.raises(InvalidRecordError, match="deeper than 31") as caught:
            check_item({"data": deeper}, describe="x")
        assert caught.value.path.startswith("data[0]")


def test_nothing_is_too_deep_to_be_refused():
    """A value 10,000 levels deep is measured and refused like any other, with a short message."""
    value = nested("ML" * 5000, {"S": ""})
    assert nesting_depth(value) == 10_000
    assert value_size(value) == 5000 * 5 + 5000 * 4
    with pytest.raises(InvalidRecordError) as caught:
        check_item({"data": value}, describe="goal#1")
    assert caught.value.path == "data" + ".k[0]" * 15 + ".k"
    assert len(str(caught.value)) < 300


def test_largest_item():
    """An item of 409,600 bytes passes and one more byte is an error that knows the size."""
    item = {"a": {"S": "x" * (MAX_ITEM_SIZE - 1)}}
    assert check_item(item, describe="goal#1") == MAX_ITEM_SIZE
    item["a"]["S"] += "x"
    with pytest.raises(ItemTooLargeError, match=r"goal#1 would have 409,601 bytes") as caught:
        check_item(item, describe="goal#1")
    assert caught.value.size == 409_601


@given(st.dictionaries(st.text(min_size=1, max_size=5), VALUES, max_size=8))
def test_json_is_never_shorter_than_the_size(item):
    """What lets most items pass without an exact count does not let a large one pass."""
    encoded = check_size(item, describe=lambda: "x")
    assert json.loads(encoded) == item
    assert len(encoded) >= item_size(item)


@given(st.dictionaries(st.text(min_size=1, max_size=5), VALUES, max_size=8))
def test_compact_json_bounds_every_spelling(item):
    """No transport writes more bytes for an item than its compact JSON allows for."""
    encoded = check_size(item, describe=lambda: "x")
    assert most_encoded([encoded]) >= encoded_size({"PutRequest": {"Item": item}}) - 40


@pytest.mark.parametrize("too_much", [0, 1])
@pytest.mark.parametrize("letter", ["x", "ü", "\N{MONEY BAG}"])
def test_check_size_is_exact_at_the_border(letter, too_much):
    """An item that was encoded already may have 409,600 bytes, and not one more."""
    item = {
        "text": {"S": letter * ((MAX_ITEM_SIZE - 40) // len(letter.encode()))},
        "pad": {"S": ""},
    }
    item["pad"] = {"S": "x" * (MAX_ITEM_SIZE - item_size(item) + too_much)}
    if not too_much:
        check_size(item, describe=lambda: "x")
        return
    with pytest.raises(ItemTooLargeError) as caught:
        check_size(item, describe=lambda: "x")
    assert caught.value.size == MAX_ITEM_SIZE + 1


def test_text_of_an_own_class_has_a_size():
    """Members of a string enum are text like any other."""
    item = {"id": {"S": enum.Enum("Colour", {"RED": "red"}, type=str).RED}}
    assert len(check_size(item, describe=lambda: "x")) >= item_size(item) == 5


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"S": "secret\ud800"}, "data"),
        ({"M": {"limits": {"M": {"food": {"S": "secret\udfff"}}}}}, "data.limits.food"),
        ({"M": {"tags": {"L": [{"S": "ok"}, {"S": "secret\ud800"}]}}}, "data.tags[1]"),
        ({"M": {"tags": {"SS": ["ok", "secret\ud800"]}}}, "data.tags"),
        ({"M": {"half\ud800": {"S": "secret"}}}, "data.half\\ud800"),
        ({"M": {"": {"S": "secret"}}}, "data."),
        ({"M": {"x" * 65_536: {"S": "secret"}}}, "data." + "x" * 65_536),
        ({"M": {"a": {"SS": []}}}, "data.a"),
        ({"M": {"a": {"SS": ["secret", "secret"]}}}, "data.a"),
        ({"M": {"a": {"NS": ["7771", "7771.0"]}}}, "data.a"),
        ({"M": {"a": {"N": "777" * 13}}}, "data.a"),
        ({"M": {"a": {"N": "secret"}}}, "data.a"),
        ({"M": {"a": {"N": "1E777777"}}}, "data.a"),
        ({"M": {"a": {"B": "secret!"}}}, "data.a"),
        ({"M": {"a": {"NULL": False}}}, "data.a"),
        ({"M": {"a": {"S": 777}}}, "data.a"),
        ({"M": {"a": {"SS": [777]}}}, "data.a"),
        ({"M": {"a": {"X": "secret"}}}, "data.a"),
        ({"M": {"a": {}}}, "data.a"),
        ({"M": {"a": "secret"}}, "data.a"),
        ({"M": {"a": {"M": {7: {"S": "secret"}}}}}, "data.a"),
    ],
)
def test_what_dynamodb_refuses_is_found_with_its_path(value, path):
    """What no table would take is an error that names the record and the path, but no value."""
    with pytest.raises(InvalidRecordError, match=r"^goal#1: data") as caught:
        check_item({"data": value}, describe="goal#1")
    assert caught.value.path == path
    assert "secret" not in str(caught.value)
    assert "777" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert caught.value.__context__ is None
    str(caught.value).encode()


@pytest.mark.parametrize(("text", "size"), [("soon", 5), ("1E777777", 9), ("1E" + "7" * 99, 21)])
def test_size_of_a_text_that_is_no_number(text, size):
    """What some engine stored as a number is counted as one of its length, and never fails."""
    assert value_size({"N": text}) == size


@pytest.mark.parametrize("value", [{}, {"X": "a"}, {"S": 1}, {"S": "a", "N": "1"}])
def test_size_of_what_is_no_value(value):
    """Counting refuses what is not in DynamoDB's JSON with a ValueError."""
    with pytest.raises(ValueError, match="DynamoDB"):
        value_size(value)


@pytest.mark.parametrize(
    ("size", "write", "read"),
    [
        (0, 1, 1),
        (1, 1, 1),
        (1024, 1, 1),
        (1025, 2, 1),
        (4096, 4, 1),
        (4097, 5, 2),
        (409_600, 400, 100),
    ],
)
def test_capacity_units(size, write, read):
    """Writes are counted by the KB, reads by 4 KB, half of it if not consistent, and never 0."""
    assert write_units(size) == write
    assert read_units(size, consistent=True) == read
    assert read_units(size, consistent=False) == read / 2
