"""Keys: what can be one, what is refused, and what messages show."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrivecalc_models.errors import InvalidKeyError
from thrivecalc_models.wire import (
    check_data_type,
    check_record_id,
    check_user_id,
    describe,
    fresh_id,
    keys_agree,
    masked_user,
    record_key,
    split_key,
)

TEXT = st.text(min_size=1, max_size=40)
TYPES = TEXT.filter(lambda text: "#" not in text)
WRONG = [None, 1, b"bytes", True, "", "half \ud800 pair"]


@given(TYPES, TEXT)
def test_key_splits_into_what_it_was_joined_from(data_type, record_id):
    """A type and any record id, `#` included, come back from the key they make."""
    assert split_key(record_key(data_type, record_id)) == (data_type, record_id)


@pytest.mark.parametrize(
    ("key", "data_type", "record_id", "agree"),
    [
        ("a#b", "a", "b", True),
        ("a#b#c", "a", "b#c", True),
        ("a#b#c", "a#b", "c", False),
        ("a#b", "a", "c", False),
        ("#b", "", "b", False),
        ("a#", "a", "", False),
    ],
)
def test_keys_agree_as_they_split(key, data_type, record_id, agree):
    """Type and record id agree with a key that splits into them, at its first `#`."""
    assert keys_agree(key, data_type, record_id) is agree


def test_text_without_separator_is_no_key():
    """A sort key without `#` has neither type nor record id."""
    assert split_key("savings-goal") is None


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
    ("check", "path"),
    [
        (check_user_id, "userId"),
        (check_data_type, "dataType"),
        (lambda value: check_record_id(value, "budget"), "recordId"),
    ],
)
def test_what_is_no_text_is_no_key(check, path, wrong):
    """Wrong types, nothing, and text that is not Unicode are refused, with the attribute's name."""
    with pytest.raises(InvalidKeyError) as caught:
        check(wrong)
    assert caught.value.path == path
    assert caught.value.__context__ is None


@given(TEXT)
def test_ordinary_text_is_a_user_id_and_a_record_id(text):
    """Any short text passes unchanged."""
    assert check_user_id(text) == text
    assert check_record_id(text, "budget") == text


@pytest.mark.parametrize("letter", ["x", "é", "日", "😀"])
def test_limits_are_bytes_of_utf_8(letter):
    """A user id has up to 2,048 bytes, a type and a whole record key up to 1,024."""
    size = len(letter.encode())
    user_id, data_type = letter * (2048 // size), letter * (1024 // size)
    assert check_user_id(user_id) == user_id
    assert check_data_type(data_type) == data_type
    record_id = letter * ((1024 - len("budget#")) // size)
    assert check_record_id(record_id, "budget") == record_id
    for check, value in [
        (check_user_id, user_id + letter),
        (check_data_type, data_type + letter),
        (lambda value: check_record_id(value, "budget"), record_id + letter),
    ]:
        with pytest.raises(InvalidKeyError, match="bytes in UTF-8"):
            check(value)


def test_separator_is_refused_in_a_type():
    """A type with `#` would move the border of the key."""
    with pytest.raises(InvalidKeyError, match="separates"):
        check_data_type("savings#goal")


@pytest.mark.parametrize("user_id", ["secret-7" * 300, "secret-7\ud800", 77, b"secret-7"])
def test_messages_never_show_the_user_id(user_id):
    """A refused user id is nowhere in the error."""
    with pytest.raises(InvalidKeyError) as caught:
        check_user_id(user_id)
    assert "secret" not in repr(caught.value)
    assert "77" not in str(caught.value)


def test_masked_user_is_stable_and_says_nothing():
    """One user has one mask of twelve hex digits, whatever the process, even if not Unicode."""
    assert masked_user("google-oauth2|123456789") == "805ebe24e691"
    assert len(masked_user("\ud800")) == 12


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=200))
def test_described_key_is_one_short_printable_line(key):
    """A key in a message has at most 60 characters, all of which can be printed and encoded."""
    shown = describe(key)
    assert len(shown) <= 60
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    if len(key) <= 60 and key.isprintable():
        assert shown == key


def test_fresh_ids_are_random_uuids():
    """A new id is a version 4 UUID in its usual form; each free bit takes both values."""
    ids = [fresh_id() for _ in range(500)]
    parsed = [uuid.UUID(each) for each in ids]
    assert [str(each) for each in parsed] == ids
    assert {(each.version, each.variant) for each in parsed} == {(4, uuid.RFC_4122)}
    ones, zeros = 0, 0
    for each in parsed:
        ones |= each.int
        zeros |= ~each.int
    free = 2**128 - 1 - (0xF << 76) - (0b11 << 62)
    assert ones & free == zeros & free == free
    assert len(set(ids)) == len(ids)
