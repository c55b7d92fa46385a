"""The table as a CloudFormation template."""

from __future__ import annotations

from thrivecalc_models import table
from thrivecalc_models.infra.alarms import (
    TABLE_NAME,
    TOPIC_CONDITION,
    TOPIC_PARAMETER,
    alarms,
    table_name_parameter,
)
from thrivecalc_models.wire import Json

TABLE = "UserData"


def table_template(table_name: str) -> Json:
    """Return a CloudFormation template of the table, its index and its alarms.

    The table outlives its stack, and its deletion protection must be off before it can be deleted.
    """
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The table of ThriveCalc's records, and alarms on it",
        "Parameters": {**table_name_parameter(table_name), **TOPIC_PARAMETER},
        "Conditions": dict(TOPIC_CONDITION),
        "Resources": {TABLE: _table(), **alarms({"Ref": TABLE})},
        "Outputs": {
            "TableName": {
                "Description": "The value of DYNAMODB_TABLE_NAME for services",
                "Value": {"Ref": TABLE},
            },
            "TableArn": {
                "Description": "The ARN for IAM policies",
                "Value": {"Fn::GetAtt": [TABLE, "Arn"]},
            },
        },
    }


def _table() -> Json:
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "TableName": {"Ref": TABLE_NAME},
            **table.schema(),
            "TimeToLiveSpecification": {"AttributeName": table.TTL, "Enabled": True},
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {"SSEEnabled": True},
            "DeletionProtectionEnabled": True,
        },
    }
