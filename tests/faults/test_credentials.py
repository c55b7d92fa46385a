"""Credentials that cannot be had: nothing is sent, and who gave none is named, with the way out."""

from __future__ import annotations

import json
import os
import sys

import pytest
from pynamodb.exceptions import PutError
from simulated import configured

from thrivecalc_models import (
    AccessDeniedError,
    CommitError,
    ConfigurationError,
    DataStore,
    SavingsGoal,
    SavingsGoalData,
)
from thrivecalc_models.upkeep.doctor import diagnose

AWAY = "https://db.example.com"
GOAL = SavingsGoalData(name="x", target_amount=1)
SECRET = "wJalrXUtnFEMI"


@pytest.fixture
def surroundings(monkeypatch, tmp_path, config):
    """Puts a case's variables and configuration file in place."""

    def put(case):
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing leaves this machine
        monkeypatch.setenv("HOME", str(tmp_path))
        for name, value in case.get("env", {}).items():
            monkeypatch.setenv(name, value.format(folder=tmp_path))
        if "config" in case:
            names = {"python": sys.executable, "script": tmp_path / "script.py"}
            config(case["config"].format(folder=tmp_path, **names))
        if "script" in case:
            (tmp_path / "script.py").write_text(case["script"])

    return put


def printing(**keys):
    content = {"Version": 1, "AccessKeyId": "AKID", "SecretAccessKey": SECRET} | keys
    return f"print({json.dumps(content)!r})"


PROCESS = """
    [profile dev]
    credential_process = {python} {script}
"""
CASES = {
    "sso without login": {
        "env": {"AWS_PROFILE": "dev"},
        "config": """
            [profile dev]
            sso_session = corp
            sso_account_id = 123456789012
            sso_role_name = reader
            [sso-session corp]
            sso_region = us-east-1
            sso_start_url = https://corp.awsapps.com/start
        """,
        "says": ["IAM Identity Center", "aws sso login --profile dev"],
    },
    "sso of the old form": {
        "env": {"AWS_PROFILE": "dev"},
        "config": """
            [profile dev]
            sso_start_url = https://corp.awsapps.com/start
            sso_region = us-east-1
            sso_account_id = 123456789012
            sso_role_name = reader
        """,
        "says": ["IAM Identity Center", "aws sso login --profile dev"],
    },
    "no token file": {
        "env": {
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "{folder}/token",
        },
        "says": ["a web identity", "/token cannot be used: No such file", "AWS_WEB_IDENTITY"],
    },
    "no program": {
        "env": {"AWS_PROFILE": "dev"},
        "config": "[profile dev]\ncredential_process = /no/such/program\n",
        "says": ["a credential process", "/no/such/program", "credential_process of profile dev"],
    },
    "a program that fails": {
        "env": {"AWS_PROFILE": "dev"},
        "config": PROCESS,
        "script": f"import sys; sys.exit({SECRET!r})",
        "says": ["a credential process", "credential_process of profile dev"],
    },
    "a program that prints nonsense": {
        "env": {"AWS_PROFILE": "dev"},
        "config": PROCESS,
        "script": f"print({SECRET!r})",
        "says": ["a credential process", "credential_process of profile dev"],
    },
    "a program whose keys have ended": {
        "env": {"AWS_PROFILE": "dev"},
        "config": PROCESS,
        "script": printing(SessionToken="t", Expiration="2020-01-01T00:00:00Z"),
        "says": ["a credential process", "expired already", "credential_process of profile dev"],
    },
    "a container's keys of nowhere": {
        "env": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/keys"},
        "says": ["the role of this container", "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
    },
    "a container that does not answer": {
        "env": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/keys"},
        "says": ["the role of this container", "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
    },
    "half a key in the environment": {
        "env": {"AWS_ACCESS_KEY_ID": "AKID"},
        "says": ["environment variables", "AWS_SECRET_ACCESS_KEY"],
    },
    "half a key in a file": {
        "config": "[default]\naws_access_key_id = AKID\n",
        "says": ["the AWS configuration file", "aws_secret_access_key"],
    },
    "a role that cannot be assumed": {
        "env": {
            "AWS_PROFILE": "dev",
            "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
            "AWS_MAX_ATTEMPTS": "1",
        },
        "config": """
            [profile base]
            aws_access_key_id = AKID
            aws_secret_access_key = wJalrXUtnFEMI
            [profile dev]
            role_arn = arn:aws:iam::123456789012:role/x
            source_profile = base
        """,
        "says": ["an assumed role", "could not be reached", "role_arn"],
    },
    "none": {"says": ["no credentials were found", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"]},
}


@pytest.fixture(params=CASES)
def case(request, surroundings):
    surroundings(CASES[request.param])
    return CASES[request.param]


def test_no_provider_gives_any(case, transport):
    """Whatever a provider raises, the write is denied and not applied; who failed and the way out
    are named, and nothing that was received is shown."""
    with DataStore(endpoint=AWAY, transport=transport) as store:
        with pytest.raises(AccessDeniedError) as caught:
            store.user("u").add(GOAL, record_id="g")
        with pytest.raises(AccessDeniedError, match="was not sent"):
            store.user("u").get(SavingsGoal, "g")
    message = str(caught.value)
    assert message.startswith("PutItem was not sent (")
    for words in case["says"]:
        assert words in message
    assert "network" not in message
    assert "the service does not know" not in message
    assert SECRET not in message
    assert caught.value.outcome == "not applied"


def test_a_commit_without_credentials(surroundings, transport):
    """A commit of many has every key as not applied, and sent nothing."""
    surroundings(CASES["sso without login"])
    with DataStore(endpoint=AWAY, transport=transport) as store:
        work = store.user("u").unit_of_work()
        for number in range(30):
            work.add(GOAL, record_id=f"{number}")
        with pytest.raises(CommitError) as caught:
            work.commit()
    assert len(caught.value.not_applied) == 30
    assert caught.value.unknown == []


def test_doctor_says_the_same(case):
    """`thrivecalc doctor` has one row of it, with the way out, and no traceback."""
    rows = {row.check: row for row in diagnose({"endpoint": AWAY}).rows}
    assert "settings" not in rows
    row = rows["credentials"]
    assert row.state == "trouble"
    assert row.way_out
    if case is not CASES["none"]:
        for words in case["says"]:
            assert words in row.what + row.way_out
    assert SECRET not in repr(rows)


def test_a_line_break_in_what_a_provider_gives(surroundings, transport):
    """Keys that no header can carry are a matter of the settings, and nothing is sent."""
    surroundings(
        {
            "env": {"AWS_PROFILE": "dev"},
            "config": PROCESS,
            "script": printing(SessionToken="token\n"),
        }
    )
    with (
        DataStore(endpoint=AWAY, transport=transport) as store,
        pytest.raises(ConfigurationError, match=r"a credential process .* line break") as caught,
    ):
        store.user("u").add(GOAL)
    assert caught.value.outcome == "not applied"
    assert "token\n" not in str(caught.value)


def test_local_tables_need_none(surroundings):
    """A table on this machine needs no credentials, whatever the environment lacks."""
    surroundings({})
    assert "AWS_ACCESS_KEY_ID" not in os.environ
    with DataStore.local() as store:
        store.user("u").add(GOAL)


def test_pynamodbs_methods_say_the_same(surroundings, transport):
    """PynamoDB's own exceptions have the sentence, too."""
    surroundings(CASES["sso without login"])
    refused = pytest.raises(PutError, match="aws sso login --profile dev")
    with DataStore(endpoint=AWAY, transport=transport) as store, configured(store), refused:
        SavingsGoal("u", data=GOAL).save()
