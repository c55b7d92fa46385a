"""`thrivecalc infra`: templates and policies on standard output, for the table that is named."""

from __future__ import annotations

import json
import sys

import pytest
import yaml
from cli import run, run_alone
from places import ROOT

from thrivecalc_models.infra import alarms_template, policy, table_template

HERE = ("--table", "t-1", "--region", "eu-west-1")


@pytest.mark.parametrize(
    ("command", "template"), [("cloudformation", table_template), ("alarms", alarms_template)]
)
def test_templates(command, template):
    """The template is printed as JSON or as YAML, the same in both, without references."""
    assert json.loads(run("infra", command, *HERE).stdout) == template("t-1")
    assert json.loads(run("infra", command, *HERE, "--json").stdout) == template("t-1")
    text = run("infra", command, *HERE, "--format", "yaml").stdout
    assert yaml.safe_load(text) == template("t-1")
    assert text.startswith("AWSTemplateFormatVersion: '2010-09-09'\n")
    assert "&id" not in text
    assert "*id" not in text


def test_yaml_without_pyyaml(monkeypatch):
    """Where PyYAML is not installed it says so, and that JSON will do."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    result = run("infra", "alarms", "--format", "yaml", exit_code=2)
    assert "pip install pyyaml" in result.stderr
    assert "--format json" in result.stderr
    assert run("infra", "alarms").stdout


def test_the_table_of_the_environment(monkeypatch):
    """Table and region come from the environment, as for every command."""
    monkeypatch.setenv("DYNAMODB_TABLE_NAME", "from-there")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    template = json.loads(run("infra", "cloudformation").stdout)
    assert template["Parameters"]["TableName"]["Default"] == "from-there"
    document = run("infra", "iam-policy").stdout
    assert "arn:aws:dynamodb:eu-central-1:*:table/from-there" in document


@pytest.mark.parametrize("role", ["service", "user", "reader", "operator"])
def test_policies(role):
    """The policy of each role is printed as IAM takes it."""
    account = ("--account", "111122223333")
    printed = json.loads(run("infra", "iam-policy", "--for", role, *HERE, *account).stdout)
    expected = policy(role, table_name="t-1", region="eu-west-1", account="111122223333")
    assert printed == expected


@pytest.mark.parametrize("role", ["service", "user", "operator"])
def test_policies_of_batched_updates(role):
    """With --batch-updates a role that writes may send statements, too."""
    printed = json.loads(run("infra", "iam-policy", "--for", role, "--batch-updates", *HERE).stdout)
    expected = policy(role, table_name="t-1", region="eu-west-1", batch_updates=True)
    assert printed == expected
    assert "dynamodb:PartiQLUpdate" in printed["Statement"][0]["Action"]


def test_a_user_of_a_policy():
    """The policy of one user has the user id that was given."""
    printed = run("infra", "iam-policy", "--for", "user", "--user", "google-oauth2|1").stdout
    (statement,) = json.loads(printed)["Statement"]
    assert statement["Condition"]["ForAllValues:StringEquals"] == {
        "dynamodb:LeadingKeys": ["google-oauth2|1"]
    }


def test_alone():
    """It runs as a command, without network or credentials."""
    done = run_alone("infra", "iam-policy")
    assert json.loads(done.stdout) == policy(
        "service", table_name="thrivecalc-user-data", region="us-east-1"
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("iam-policy", "--for", "admin"), "admin"),
        (("iam-policy", "--account", "12"), "12 digits"),
        (("iam-policy", "--table", "a*"), "letters"),
        (("iam-policy", "--region", "everywhere"), "region"),
        (("iam-policy", "--user", "google-oauth2|1"), "--for user"),
        (("iam-policy", "--for", "reader", "--batch-updates"), "roles that write"),
        (("iam-policy", "--for", "user", "--user", ""), "user id"),
        (("cloudformation", "--format", "xml"), "xml"),
        (("cloudformation", "--table", "a/b"), "letters"),
        (("alarms", "--table", "ab"), "letters"),
        (("alarms", "--endpoint", "nowhere"), "nowhere"),
    ],
    ids=str,
)
def test_wrong_options(options, named):
    """A wrong name or role is one line of error, and exit code 2."""
    result = run("infra", *options, exit_code=2)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert named in line
    assert result.stdout == ""


@pytest.mark.parametrize("command", [(), ("cloudformation",), ("alarms",), ("iam-policy",)])
def test_help_fits(command):
    """The help reads well on 80 columns."""
    lines = run("infra", *command, "--help").stdout.splitlines()
    assert max(map(len, lines)) <= 80


# --- the pages ------------------------------------------------------------------------------------


def shown_after(page, command):
    """The block of output below a command on a page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"$ {command}\n")
    assert found, f"{page} does not show {command!r}"
    return rest.partition("\n```")[0]


@pytest.mark.parametrize(
    "command",
    [
        "thrivecalc infra iam-policy --account 111122223333",
        "thrivecalc infra iam-policy --for user --user 'google-oauth2|123456789'"
        " --account 111122223333",
    ],
)
def test_the_policies_of_the_security_page(command):
    """docs/security.md shows the policies that the command prints."""
    import shlex

    printed = run(*shlex.split(command)[1:]).stdout
    assert json.loads(shown_after("security.md", command)) == json.loads(printed)
