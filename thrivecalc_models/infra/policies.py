"""IAM policies for a service, for one user's credentials, for reading, and for the command."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from thrivecalc_models import table
from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.infra.names import check_table_name
from thrivecalc_models.protocol.failures import SERVICE_ACTIONS, STATEMENT_ACTIONS
from thrivecalc_models.wire import Json, check_user_id

ROLES: Final = ("service", "user", "reader", "operator")

SIGNED_IN_WITH_GOOGLE: Final = "google-oauth2|${accounts.google.com:sub}"
"""A policy variable: the user id of the person whose Google token gave the credentials."""

_DESCRIBE = frozenset({"DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups"})
_READ = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})
_CHANGE_TABLE = frozenset(
    {"CreateTable", "UpdateTable", "UpdateTimeToLive", "UpdateContinuousBackups"}
)
_BACK_UP = frozenset({"CreateBackup", "RestoreTableToPointInTime", "RestoreTableFromBackup"})
_OF_A_BACKUP = frozenset({"DescribeBackup", "RestoreTableFromBackup"})
_OF_NO_TABLE = frozenset({"ListBackups", "ListTables"})

_ACCOUNT = re.compile(r"[0-9]{12}|\*")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")


def policy(
    role: str,
    *,
    table_name: str,
    region: str,
    account: str = "*",
    user_id: str | None = None,
    batch_updates: bool = False,
) -> Json:
    """Return the IAM policy document of a role on the table and its index.

    `service` reads and writes users' records. `user` does the same for one partition key only:
    `user_id`, else that of the person signed in with Google. `reader` reads the whole table and its
    settings. `operator` does what the command does: it also makes and changes the table, backs it
    up, and restores into tables whose names begin with this one's and a `-`. With `batch_updates`
    the roles that write may do so through a store with that option. The account `*` is any account.
    Raises ConfigurationError for names that AWS would refuse, InvalidKeyError for such a user id.
    """
    arn = _table_arn(table_name, region, account)
    records = SERVICE_ACTIONS | (STATEMENT_ACTIONS if batch_updates else frozenset())
    if role == "service":
        statements = [_allow("Records", records, _with_index(arn))]
    elif role == "user":
        statements = [_of_one_user(arn, records, user_id)]
    elif role == "reader":
        statements = [_allow("Read", _READ | _DESCRIBE, _with_index(arn))]
    else:
        statements = _of_operator(arn, records)
    return {"Version": "2012-10-17", "Statement": statements}


def _table_arn(table_name: str, region: str, account: str) -> str:
    """The table's ARN. Raises ConfigurationError."""
    check_table_name(table_name)
    if _REGION.fullmatch(region) is None:
        raise ConfigurationError("a region has a name such as us-east-1; this one has not")
    if _ACCOUNT.fullmatch(account) is None:
        raise ConfigurationError("an account has 12 digits, such as 111122223333; give those")
    return f"arn:{_partition(region)}:dynamodb:{region}:{account}:table/{table_name}"


def _partition(region: str) -> str:
    """The partition of a region.

    Source: "Amazon Resource Names (ARNs)", AWS Identity and Access Management User Guide.
    """
    for prefix, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(prefix):
            return partition
    return "aws"


def _with_index(arn: str) -> list[str]:
    return [arn, f"{arn}/index/{table.INDEX_NAME}"]


def _allow(sid: str, actions: Iterable[str], resources: list[str]) -> Json:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": [f"dynamodb:{action}" for action in sorted(actions)],
        "Resource": resources,
    }


def _of_one_user(arn: str, records: frozenset[str], user_id: str | None) -> Json:
    """The statement for one partition key.

    ForAllValues alone also allows a request that names no key; the condition Null refuses that.

    Source: "Using IAM policy conditions for fine-grained access control", Amazon DynamoDB
    Developer Guide.
    """
    key = SIGNED_IN_WITH_GOOGLE if user_id is None else _literal(check_user_id(user_id))
    return _allow("OwnRecords", records, _with_index(arn)) | {
        "Condition": {
            "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [key]},
            "Null": {"dynamodb:LeadingKeys": "false"},
        }
    }


def _literal(text: str) -> str:
    """Escape the dollar signs, so that IAM sees no policy variable in the text.

    Source: "IAM policy elements: Variables and tags", AWS Identity and Access Management User
    Guide.
    """
    return text.replace("$", "${$}")


def _of_operator(arn: str, records: frozenset[str]) -> list[Json]:
    # A restore needs the right to read and write the new table as well: "Using IAM with DynamoDB
    # backup and restore", Amazon DynamoDB Developer Guide.
    restored = f"{arn}-*"
    everything = records | _READ | _DESCRIBE | _CHANGE_TABLE | _BACK_UP
    return [
        _allow("Table", everything, [*_with_index(arn), *_with_index(restored)]),
        _allow("Backups", _OF_A_BACKUP, [f"{arn}/backup/*"]),
        _allow("Lists", _OF_NO_TABLE, ["*"]),
    ]
