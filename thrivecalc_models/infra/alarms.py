"""CloudWatch alarms on DynamoDB's metrics of the table.

Sources: "DynamoDB metrics and dimensions", Amazon DynamoDB Developer Guide; "Using metric math",
Amazon CloudWatch User Guide. A metric has no value for a minute without events, hence FILL. Without
requests the rate is a division by zero, which has no value either; missing values are not
breaching. An alarm takes at most 10 metrics, hence one alarm each for reads and writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from thrivecalc_models import table
from thrivecalc_models.infra.names import (
    LONGEST,
    SHORTEST,
    TABLE_NAME_CHARACTERS,
    check_table_name,
)
from thrivecalc_models.wire import Json

ERROR_RATE: Final = 1
"""The highest rate of failed requests without an alarm, in per cent."""

MAX_METRICS: Final = 10

READS: Final = ("GetItem", "BatchGetItem", "Query")
WRITES: Final = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
STATEMENTS: Final = ("BatchExecuteStatement",)
"""The writes of `batch_updates`: an alarm of their own, since one takes ten metrics."""

_PERIOD = 300  # seconds
_ERROR_PERIODS = 3  # two of three breach, so that one failed request in a quiet night is no alarm

TOPIC = "AlarmTopic"
HAS_TOPIC = "HasAlarmTopic"

TOPIC_PARAMETER: Final[Mapping[str, Json]] = {
    TOPIC: {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+)?",
        "ConstraintDescription": "the ARN of an SNS topic, or nothing",
        "Description": "ARN of the SNS topic that receives the alarms; empty for none.",
    }
}
TOPIC_CONDITION: Final[Mapping[str, Json]] = {
    HAS_TOPIC: {"Fn::Not": [{"Fn::Equals": [{"Ref": TOPIC}, ""]}]}
}


def alarms(table_name: Json) -> dict[str, Json]:
    """Return the alarms as resources of a template, by logical name; `table_name` is a `Ref`."""
    refused = (
        "requests were refused (HTTP 400: denied, invalid, no table; not failed conditions or"
        " throttling), measured on this table's requests. DynamoDB counts refusals by account"
        " and region, so other tables' count too"
    )
    user_errors = [_metric("errors", "UserErrors", "Sum", None)]
    every = READS + WRITES + STATEMENTS
    return {
        "ReadErrors": _service_errors(table_name, "reads", READS),
        "WriteErrors": _service_errors(table_name, "writes", WRITES),
        "BatchedWriteErrors": _service_errors(table_name, "batched writes", STATEMENTS),
        "RefusedRequests": _error_rate(table_name, refused, every, user_errors),
        "Throttling": _throttling(table_name),
    }


def alarms_template(table_name: str) -> Json:
    """Return a CloudFormation template of the alarms alone, for an existing table."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Alarms on the table of ThriveCalc's records",
        "Parameters": {**table_name_parameter(table_name), **TOPIC_PARAMETER},
        "Conditions": dict(TOPIC_CONDITION),
        "Resources": alarms({"Ref": TABLE_NAME}),
    }


TABLE_NAME = "TableName"


def table_name_parameter(default: str) -> dict[str, Json]:
    """Return the template's parameter that names the table. Raises ConfigurationError."""
    return {
        TABLE_NAME: {
            "Type": "String",
            "Default": check_table_name(default),
            "MinLength": SHORTEST,
            "MaxLength": LONGEST,
            "AllowedPattern": f"{TABLE_NAME_CHARACTERS}+",
            "Description": "Name of the table, as in DYNAMODB_TABLE_NAME.",
        }
    }


def _service_errors(table_name: Json, noun: str, operations: Sequence[str]) -> Json:
    """The alarm on operations that fail in the service."""
    errors = [
        _metric("errors", "SystemErrors", "Sum", table_name, operation=name) for name in operations
    ]
    what = f"of the table's {noun} failed in the service (HTTP 500)"
    return _error_rate(table_name, what, operations, errors)


def _error_rate(
    table_name: Json, what: str, operations: Sequence[str], errors: Sequence[Json]
) -> Json:
    """The alarm on failed requests in per cent of all: DynamoDB counts latency once a success."""
    answered = [
        _metric("answered", "SuccessfulRequestLatency", "SampleCount", table_name, operation=name)
        for name in operations
    ]
    metrics = _numbered([*errors, *answered])
    failed = _sum(metrics[: len(errors)])
    rate = f"100 * ({failed}) / ({_sum(metrics)})"
    return _alarm(
        f"More than {ERROR_RATE} % {what}.",
        [_expression("rate", rate, "Error rate (%)"), *metrics],
        threshold=ERROR_RATE,
        periods=_ERROR_PERIODS,
        breaching=_ERROR_PERIODS - 1,
    )


def _throttling(table_name: Json) -> Json:
    """The alarm on throttled reads and writes.

    It counts events, not requests: a batch is a throttled request only if all of it was throttled.
    """
    metrics = _numbered(
        [
            _metric(name, f"{name}ThrottleEvents", "Sum", table_name, index=index)
            for index in (None, table.INDEX_NAME)
            for name in ("Read", "Write")
        ]
    )
    return _alarm(
        "Reads or writes of the table or its index were throttled.",
        [_expression("throttled", _sum(metrics), "Throttled reads and writes"), *metrics],
        threshold=0,
        periods=1,
        breaching=1,
    )


def _alarm(
    description: str, metrics: list[Json], *, threshold: int, periods: int, breaching: int
) -> Json:
    actions = {"Fn::If": [HAS_TOPIC, [{"Ref": TOPIC}], {"Ref": "AWS::NoValue"}]}
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": description,
            "Metrics": metrics,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": threshold,
            "EvaluationPeriods": periods,
            "DatapointsToAlarm": breaching,
            "TreatMissingData": "notBreaching",
            "AlarmActions": actions,
            "OKActions": actions,
        },
    }


def _expression(identifier: str, expression: str, label: str) -> Json:
    return {"Id": identifier, "Expression": expression, "Label": label, "ReturnData": True}


def _metric(
    prefix: str,
    name: str,
    statistic: str,
    table_name: Json | None,
    *,
    operation: str | None = None,
    index: str | None = None,
) -> Json:
    values = {
        "TableName": table_name,
        "Operation": operation,
        "GlobalSecondaryIndexName": index,
    }
    metric: Json = {"Namespace": "AWS/DynamoDB", "MetricName": name}
    dimensions = [{"Name": each, "Value": value} for each, value in values.items() if value]
    if dimensions:
        metric["Dimensions"] = dimensions
    return {
        "Id": prefix.lower(),
        "MetricStat": {"Metric": metric, "Period": _PERIOD, "Stat": statistic},
        "ReturnData": False,
    }


def _numbered(metrics: Sequence[Json]) -> list[Json]:
    return [
        metric | {"Id": f"{metric['Id']}{number}"} for number, metric in enumerate(metrics, start=1)
    ]


def _sum(metrics: Sequence[Json]) -> str:
    return " + ".join(f"FILL({metric['Id']}, 0)" for metric in metrics)
