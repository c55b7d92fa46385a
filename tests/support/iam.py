"""What IAM would say of a request: which actions on which resources it needs, and who has those.

Only what the policies here use: statements that allow, wildcards, and the two conditions on
`dynamodb:LeadingKeys`. Sources: "Actions, resources, and condition keys for Amazon DynamoDB",
Service Authorization Reference; "Using IAM with DynamoDB backup and restore", Amazon DynamoDB
Developer Guide; "IAM JSON policy elements: condition operators", IAM User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

Json = dict[str, Any]

ENTRIES = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
STATEMENT = re.compile(r'(UPDATE|DELETE)(?: FROM)? "([^"]+)"')
ON_A_RESTORED_TABLE = (
    *("BatchWriteItem", "PutItem", "UpdateItem", "DeleteItem"),
    *("GetItem", "Query", "Scan"),
)


def needs(operation: str, request: Json, place: str) -> Iterator[tuple[str, str]]:
    """Action and resource, each of them; `place` is an ARN up to the account."""

    def on(action: str, table: str, index: str | None = None) -> tuple[str, str]:
        return action, f"{place}:table/{table}" + (f"/index/{index}" if index else "")

    if operation.startswith("Transact"):
        for entry in request["TransactItems"]:
            for member, content in entry.items():
                yield on(ENTRIES[member], content["TableName"])
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        for table in request["RequestItems"]:
            yield on(operation, table)
    elif operation == "BatchExecuteStatement":
        for entry in request["Statements"]:
            verb, name = STATEMENT.match(entry["Statement"]).groups()
            yield on(f"PartiQL{verb.capitalize()}", name)
    elif operation in ("ListTables", "ListBackups"):
        yield operation, "*"
    elif operation == "DescribeBackup":
        yield operation, request["BackupArn"]
    elif operation.startswith("Restore"):
        source = request.get("BackupArn") or on("", request["SourceTableName"])[1]
        yield operation, source
        for action in (operation, *ON_A_RESTORED_TABLE):
            yield on(action, request["TargetTableName"])
    else:
        yield on(operation, request["TableName"], request.get("IndexName"))


def leading_keys(operation: str, request: Json) -> set[str]:
    """The partition keys that a request names."""
    if operation == "BatchGetItem":
        found = [key for each in request["RequestItems"].values() for key in each["Keys"]]
    elif operation == "BatchWriteItem":
        writes = [write for each in request["RequestItems"].values() for write in each]
        found = [
            write["PutRequest"]["Item"] if "PutRequest" in write else write["DeleteRequest"]["Key"]
            for write in writes
        ]
    elif operation == "TransactWriteItems":
        contents = [content for entry in request["TransactItems"] for content in entry.values()]
        found = [content.get("Key") or content["Item"] for content in contents]
    elif operation == "BatchExecuteStatement":
        found = [{"userId": _user_of(entry)} for entry in request["Statements"]]
    elif operation == "Query":
        (name,) = [
            name for name, to in request["ExpressionAttributeNames"].items() if to == "userId"
        ]
        condition = request["KeyConditionExpression"].split(" AND ")
        (value,) = [part.split(" = ")[1] for part in condition if part.startswith(f"{name} = ")]
        found = [{"userId": request["ExpressionAttributeValues"][value]}]
    else:
        found = [key for key in (request.get("Key"), request.get("Item")) if key]
    return {key["userId"]["S"] for key in found}


def _user_of(entry: Json) -> Any:
    """The user id is the first value of a statement's condition."""
    before, _, _ = entry["Statement"].partition(" WHERE ")
    return entry["Parameters"][before.count("?")]


def allows(policy: Json, operation: str, request: Json, place: str) -> bool:
    """Whether every action that the request needs is allowed."""
    return all(
        any(
            _allowed(statement, action, resource, operation, request)
            for statement in policy["Statement"]
        )
        for action, resource in needs(operation, request, place)
    )


def _allowed(statement: Json, action: str, resource: str, operation: str, request: Json) -> bool:
    assert statement["Effect"] == "Allow"
    return (
        any(fnmatchcase(f"dynamodb:{action}", each) for each in statement["Action"])
        and any(fnmatchcase(resource, each) for each in statement["Resource"])
        and _holds(statement.get("Condition"), operation, request)
    )


def _holds(condition: Json | None, operation: str, request: Json) -> bool:
    if condition is None:
        return True
    assert set(condition) == {"ForAllValues:StringEquals", "Null"}
    assert condition["Null"] == {"dynamodb:LeadingKeys": "false"}
    keys = leading_keys(operation, request)
    return bool(keys) and keys <= set(
        condition["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
    )
