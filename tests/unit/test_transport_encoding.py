"""JSON as bytes: the standard library and orjson take and refuse the same."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from typing import Any

import pytest

from thrivecalc_models.transport import encoding

Library = dict[str, Callable[[Any], Any]]


@pytest.fixture(params=["orjson", "json"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Library:
    """The module as it is where orjson is installed, and where it is not."""
    if request.param == "json":
        monkeypatch.setitem(sys.modules, "orjson", None)
    return runpy.run_path(encoding.__file__)


def test_what_is_written_is_read(library: Library) -> None:
    """Text is UTF-8 without spaces, and comes back as it was; so do bodies of a subclass."""
    content = {"a": {"S": "é"}, "b": [1, 1.5, True, None]}
    body = library["encode"](content)
    assert body == '{"a":{"S":"é"},"b":[1,1.5,true,null]}'.encode()
    assert library["decode"](body) == content
    assert library["decode"](type("Body", (bytes,), {})(body)) == content


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[Infinity]", b"1e999", b'"\xff"', b"{}{}"])
def test_what_is_no_json_is_refused(library: Library, body: bytes) -> None:
    """What is not JSON in UTF-8 is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - each library has its own words
        library["decode"](body)


@pytest.mark.parametrize("content", [object(), "\ud800", {"a": b"b"}])
def test_what_json_cannot_say_is_refused(library: Library, content: object) -> None:
    """A value that JSON does not have, or half of a surrogate pair, is not written."""
    with pytest.raises((TypeError, ValueError)):
        library["encode"](content)
