"""JSON as bytes: UTF-8 alone, and only the values that JSON has."""

from __future__ import annotations

import enum

import pytest

from thrivecalc_models.wire.json_text import decode, encode, encode_strictly


class Text(str):
    """Text of another class, as PynamoDB and its callers may hand over."""


class Level(enum.IntEnum):
    LOW = 1


def test_what_is_written_is_read() -> None:
    """Text is UTF-8 without spaces, and comes back as it was; so do bodies of a subclass."""
    content = {"a": {"S": "é"}, "b": [1, 1.5, True, None]}
    body = encode(content)
    assert body == '{"a":{"S":"é"},"b":[1,1.5,true,null]}'.encode()
    assert encode_strictly(content) == body
    assert decode(body) == content
    assert decode(type("Body", (bytes,), {})(body)) == content


def test_subclasses_are_written_as_what_they_hold() -> None:
    """Text and numbers of subclasses are written as text and numbers."""
    assert encode_strictly({Text("a"): [Text("b"), Level.LOW]}) == b'{"a":["b",1]}'


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[Infinity]", b"1e999", b'"\xff"', b"{}{}"])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """What is not JSON in UTF-8 is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - the library has words of its own
        decode(body)


@pytest.mark.parametrize(
    "content",
    [object(), "\ud800", {"a": b"b"}, [float("nan")], {1: "a"}, [{1, 2}], {"a": (object(),)}],
    ids=repr,
)
def test_what_json_cannot_say_is_refused(content: object) -> None:
    """A value that JSON does not have, or half of a surrogate pair, is not written."""
    with pytest.raises((TypeError, ValueError)):
        encode_strictly(content)
