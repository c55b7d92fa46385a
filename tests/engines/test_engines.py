"""The engines themselves, and the account that a run gives of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import engines
import pytest

A_TEST_ON_EACH = """
    import pytest

    def test_one(engine):
        assert engine.endpoint.startswith("http://127.0.0.1:")

    @pytest.mark.not_on("moto", reason="gets this wrong")
    def test_two(engine):
        raise AssertionError("on purpose")
"""


def closing_table(result: pytest.RunResult) -> dict[str, list[str]]:
    """The rows under "engines", by engine: the words that stand after its name."""
    rows = [line.split() for line in result.outlines]
    return {words[0]: words[1:] for words in rows if words and words[0] in engines.ENGINES}


def test_an_engine_stores_an_item(engine):
    """Every engine creates a table, stores an item and gives it back."""
    client, table = engine.client(), f"table-{uuid.uuid4()}"
    item = {"userId": {"S": "google-oauth2|1"}, "recordKey": {"S": "budget#1"}, "n": {"N": "1"}}
    client.create_table(
        TableName=table,
        AttributeDefinitions=[
            {"AttributeName": "userId", "AttributeType": "S"},
            {"AttributeName": "recordKey", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "userId", "KeyType": "HASH"},
            {"AttributeName": "recordKey", "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName=table, Item=item)
    key = {name: item[name] for name in ("userId", "recordKey")}
    assert client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"] == item


def test_an_engine_is_started_once(engine, request):
    """All tests of a run that need an engine share one."""
    assert request.getfixturevalue("engine") is engine
    assert engine.version[0].isdigit()


def test_the_environment_has_no_credentials(engine):
    """An engine needs nothing from the environment, so tests of credentials find it empty."""
    assert engine.client().list_tables()["TableNames"] is not None
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} & os.environ.keys()


@pytest.mark.parametrize("engine", ["dynoxide"], indirect=True)
def test_no_engine_outlives_a_run_that_is_killed(engine, pytestconfig):
    """An engine ends with the run that started it, even if nobody could stop it."""
    program = (
        "import engines, pathlib, signal, sys\n"
        "with engines.dynoxide(pathlib.Path(sys.argv[1])) as engine:\n"
        "    print(engine.endpoint, flush=True)\n"
        "    signal.pause()\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program, pytestconfig.getoption("--engines")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(engines.__file__).parent,
    )
    with run:
        address = urlsplit(run.stdout.readline().strip())
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            run.send_signal(signal.SIGKILL)
            assert connection.recv(1) == b""


def test_the_closing_table_counts(pytester, monkeypatch):
    """The closing table says how many tests ran on each engine, and how they ended."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile(A_TEST_ON_EACH)
    result = pytester.runpytest_inprocess("-p", "engines", "-k", "moto")
    version, *counts = closing_table(result)["moto"]
    assert version[0].isdigit()
    assert counts == ["1", "1", "0", "1"]
    assert " ".join(closing_table(result)["dynoxide"]) == "- 0 0 0 0 no test of this run needs it"


def test_a_missing_engine_is_named(pytester, monkeypatch):
    """Without its engines a run passes, and says which were missing and how to get them."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile(A_TEST_ON_EACH)
    result = pytester.runpytest_inprocess("-p", "engines", "--engines", "nowhere", "-rs")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(passed=1, skipped=5)
    result.stdout.fnmatch_lines(["SKIPPED*dynoxide is missing: *`make engines` fetches it"])
    assert " ".join(closing_table(result)["dynamodb-local"]).startswith(
        "- 0 0 0 2 missing: its jars"
    )


def test_a_missing_engine_fails_ci(pytester, monkeypatch):
    """With CI=true a run on which an engine was missing does not pass."""
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(A_TEST_ON_EACH)
    result = pytester.runpytest_inprocess("-p", "engines", "--engines", "nowhere", "-k", "one")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["dynoxide*missing: its program is not here*"])
