"""The TypeScript peer itself, and what a run says where it cannot be had."""

from __future__ import annotations

from decimal import Decimal

import engines
import pytest
from hypothesis import given
from peer import UNDEFINED, BigInt, TypeScriptError, from_javascript, to_javascript

from thrivecalc_models.testing import strategies

A_TEST = """
    def test_one(peer):
        assert peer.version
"""


def row_of_the_peer(result):
    rows = [line.split() for line in result.outlines]
    return next(" ".join(words) for words in rows if words and words[0] == "typescript")


def test_a_missing_peer_is_named(pytester, monkeypatch):
    """Without the peer a run passes, and says what was missing and how to get it."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile(A_TEST)
    result = pytester.runpytest_inprocess("-p", "engines", "--engines", "nowhere", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*typescript is missing: *"])
    assert row_of_the_peer(result).startswith("typescript - 0 0 0 1 missing: ")


def test_a_missing_node_is_named(pytester, monkeypatch):
    """Where Node is not installed, that is what is said."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile(A_TEST)
    result = pytester.runpytest_inprocess("-p", "engines")
    assert row_of_the_peer(result) == "typescript - 0 0 0 1 missing: node is not installed"


def test_a_missing_peer_fails_ci(pytester, monkeypatch):
    """With CI=true a run without the peer does not pass."""
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(A_TEST)
    result = pytester.runpytest_inprocess("-p", "engines", "--engines", "nowhere")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_the_peer_is_started_once(peer, request):
    """All tests of a run share one peer, which `engines` starts and stops."""
    assert request.getfixturevalue("peer") is peer
    assert "typescript" in engines.STARTED


@given(strategies.plain_values())
def test_values_travel_unharmed(value):
    """A value is the same on its way to the peer and back."""
    assert from_javascript(to_javascript(value)) == value


def test_what_json_lacks_travels():
    """undefined, bigint and numbers of any size travel, too."""
    value = {"a": UNDEFINED, "b": BigInt(2**70), "c": Decimal("1E-130"), "d": {b"\xff"}}
    assert from_javascript(to_javascript(value)) == value


def test_what_the_peer_throws_is_raised(peer):
    """An error of the peer is an error here, with its name, and the peer goes on."""
    with pytest.raises(TypeScriptError, match="no call is called x"):
        peer.call("x")
    assert peer.call("numbers", ["1.50"]) == ["1.5"]
