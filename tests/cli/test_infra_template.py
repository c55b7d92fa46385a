"""The CloudFormation template makes the table as it should be, and its alarms watch it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import attrs
import pytest
from cli import on_moto
from engines import SESSION

from thrivecalc_models import operations, table
from thrivecalc_models.infra import alarms_template, table_template
from thrivecalc_models.infra.alarms import READS, STATEMENTS, WRITES, alarms

ON_MOTO = "ignore:Tried to parse AWS..CloudWatch..Alarm"  # moto knows none in stacks


def service(engine, name):
    """Another service of the same moto, on loopback."""
    return SESSION.create_client(
        name,
        region_name=engine.region,
        endpoint_url=engine.endpoint,
        aws_access_key_id=engine.access_key,
        aws_secret_access_key=engine.secret_key,
    )


def resolved(value, names):
    """A part of the template with its references replaced."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            return names[value["Ref"]]
        if set(value) == {"Fn::If"}:
            return resolved(value["Fn::If"][1], names)
        return {name: resolved(each, names) for name, each in value.items()}
    return [resolved(each, names) for each in value] if isinstance(value, list) else value


def test_cfn_lint_has_nothing_to_say(tmp_path):
    """Both templates pass cfn-lint without an error or a warning."""
    for name, template in {
        "table": table_template("t-1"),
        "alarms": alarms_template("t-1"),
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(template), encoding="utf-8")
    lint = [sys.executable, "-c", "from cfnlint.runner import main; main()", "--include-checks"]
    files = sorted(map(str, tmp_path.glob("*.json")))
    done = subprocess.run([*lint, "I", "--", *files], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@on_moto
@pytest.mark.filterwarnings(ON_MOTO)
def test_a_stack_gives_the_table_that_check_wants(place):
    """CloudFormation makes the table from the template, and `table check` finds no difference."""
    template = table_template(place.name)
    stacks = service(place.engine, "cloudformation")
    stacks.create_stack(StackName=place.name, TemplateBody=json.dumps(template))
    (stack,) = stacks.describe_stacks(StackName=place.name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    described = place.client.describe_table(TableName=place.name)["Table"]
    assert outputs == {"TableName": place.name, "TableArn": described["TableArn"]}

    # moto makes stacks without these two; they are set from the template, as CloudFormation does.
    properties = template["Resources"]["UserData"]["Properties"]
    place.client.update_time_to_live(
        TableName=place.name, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
    )
    place.client.update_continuous_backups(
        TableName=place.name,
        PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"],
    )
    aspects = place.json("table", "check")["aspects"]
    assert {each["name"] for each in aspects if each["state"] != "ok"} <= {"encryption"}
    assert {"ttl", "point-in-time recovery", "deletion protection", "projection"} <= {
        each["name"] for each in aspects if each["state"] == "ok"
    }


def test_the_table_outlives_its_stack():
    """Neither deleting the stack nor replacing the table deletes what is stored."""
    made = table_template("t-1")["Resources"]["UserData"]
    assert made["DeletionPolicy"] == made["UpdateReplacePolicy"] == "Retain"
    assert made["Properties"]["DeletionProtectionEnabled"] is True
    assert made["Properties"]["SSESpecification"] == {"SSEEnabled": True}


@on_moto
def test_cloudwatch_takes_the_alarms(engine):
    """Every alarm is accepted as it is, names the table, and tells the topic."""
    cloudwatch = service(engine, "cloudwatch")
    topic = "arn:aws:sns:us-east-1:111122223333:on-call"
    names = {"TableName": "t-1", "AlarmTopic": topic, "AWS::NoValue": None}
    for name, resource in alarms_template("t-1")["Resources"].items():
        properties = resolved(resource["Properties"], names)
        cloudwatch.put_metric_alarm(AlarmName=f"taken-{name}", **properties)
    taken = cloudwatch.describe_alarms(AlarmNamePrefix="taken-")["MetricAlarms"]
    assert len(taken) == 5
    for alarm in taken:
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]
        assert any(
            {"Name": "TableName", "Value": "t-1"} in metric["MetricStat"]["Metric"]["Dimensions"]
            for metric in alarm["Metrics"]
            if "MetricStat" in metric
        )


def properties_of(name):
    return alarms({"Ref": "TableName"})[name]["Properties"]


@pytest.mark.parametrize(
    "name", ["ReadErrors", "WriteErrors", "BatchedWriteErrors", "RefusedRequests", "Throttling"]
)
def test_an_alarm_stays_within_the_limits(name):
    """Ten metrics at most, one returned value, ids of their own, and each in the expression."""
    expression, *metrics = properties_of(name)["Metrics"]
    assert 1 <= len(metrics) <= 10
    assert expression["ReturnData"] is True
    assert not any(metric["ReturnData"] for metric in metrics)
    ids = [metric["Id"] for metric in metrics]
    assert len({expression["Id"], *ids}) == len(ids) + 1
    assert all(re.fullmatch("[a-z][a-zA-Z0-9_]*", each) for each in ids)
    assert set(re.findall(r"FILL\((\w+), 0\)", expression["Expression"])) == set(ids)


def value_of(name, measured):
    """The alarm's value in a minute; None is missing, as after a division by zero."""
    expression, *metrics = properties_of(name)["Metrics"]
    values = {}
    for metric in metrics:
        stat = metric["MetricStat"]["Metric"]
        dimensions = {each["Name"]: each["Value"] for each in stat.get("Dimensions", [])}
        at = dimensions.get("Operation") or dimensions.get("GlobalSecondaryIndexName")
        values[metric["Id"]] = measured.get((stat["MetricName"], at))
    fill = {"FILL": lambda value, other: other if value is None else value}
    try:
        return eval(expression["Expression"], fill, values)
    except ZeroDivisionError:
        return None


def is_alarm(name, measured):
    properties = properties_of(name)
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    assert properties["TreatMissingData"] == "notBreaching"
    value = value_of(name, measured)
    return value is not None and value > properties["Threshold"]


@pytest.mark.parametrize(("failed", "alarmed"), [(0, False), (1, False), (2, True), (100, True)])
@pytest.mark.parametrize(
    ("name", "names"),
    [("ReadErrors", READS), ("WriteErrors", WRITES), ("BatchedWriteErrors", STATEMENTS)],
)
def test_more_than_one_per_cent(name, names, failed, alarmed):
    """One failed request of a hundred is no alarm, two are, whichever operations they are of."""
    measured = {("SystemErrors", names[0]): failed} if failed else {}
    if failed < 100:
        measured["SuccessfulRequestLatency", names[-1]] = 100 - failed
    assert is_alarm(name, measured) is alarmed


def test_refused_requests():
    """Refusals are measured on the table's own requests, reads and writes."""
    asked = {
        ("SuccessfulRequestLatency", "Query"): 500,
        ("SuccessfulRequestLatency", "PutItem"): 490,
    }
    assert not is_alarm("RefusedRequests", asked)
    assert value_of("RefusedRequests", {**asked, ("UserErrors", None): 10}) == 1
    assert is_alarm("RefusedRequests", {**asked, ("UserErrors", None): 11})


@pytest.mark.parametrize("index", [None, "DataTypeIndex"])
@pytest.mark.parametrize("metric", ["ReadThrottleEvents", "WriteThrottleEvents"])
def test_any_throttling(metric, index):
    """One throttled event is an alarm, in the table as in its index; none is not."""
    assert not is_alarm("Throttling", {})
    assert is_alarm("Throttling", {(metric, index): 1})


def test_a_quiet_table_alarms_nobody():
    """Where nothing is asked there is no error rate, and no alarm."""
    for name in ("ReadErrors", "WriteErrors", "BatchedWriteErrors", "RefusedRequests"):
        assert value_of(name, {}) is None


def test_every_request_of_a_service_is_watched():
    """The error rates are over all operations that a store sends for users."""
    values = [each for each in vars(operations).values() if attrs.has(each)]
    sent = {each.name for each in values if isinstance(getattr(each, "name", None), str)}
    assert sent - {"ConditionCheck", "Scan"} == {*READS, *WRITES, *STATEMENTS}


def test_the_table_is_described_once():
    """The template has what the command makes and checks: `table.schema()`."""
    properties = table_template("t-1")["Resources"]["UserData"]["Properties"]
    assert {name: properties[name] for name in table.schema()} == table.schema()
    assert properties["TimeToLiveSpecification"]["AttributeName"] == table.TTL
