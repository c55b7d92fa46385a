"""The record that is measured: the guide's savings goal, as stored and as plain values."""

from __future__ import annotations

import re
from typing import Any

TABLE = "thrivecalc-user-data"
REGION = "us-east-1"
ACCESS_KEY = SECRET_KEY = "thrivecalc"
PREFIX = "savings-goal#"

STAMPS = {"createdAt": "2025-01-01T00:00:00.000Z", "updatedAt": "2025-01-07T12:30:00.000Z"}
DATA: dict[str, Any] = {
    "name": "Emergency Fund",
    "targetAmount": 20000,
    "currentAmount": 15000,
    "targetDate": "2025-12-31",
    "monthlyContribution": 500,
}


def user_id(records: int) -> str:
    """The user who has so many records."""
    return f"google-oauth2|{records}"


def records_of(user: str) -> int:
    return int(re.sub(r"\D", "", user.rpartition("|")[2]) or 0)


def record_id(number: int) -> str:
    return f"550e8400-e29b-41d4-a716-{number:012d}"


def number_of(record_key: str) -> int:
    return int(record_key[-12:])


def item(user: str, number: int) -> dict[str, Any]:
    """The item in DynamoDB's JSON."""
    return {
        "userId": {"S": user},
        "recordKey": {"S": PREFIX + record_id(number)},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": record_id(number)},
        "data": {
            "M": {
                name: {"N": str(value)} if isinstance(value, int) else {"S": value}
                for name, value in DATA.items()
            }
        },
        **{name: {"S": stamp} for name, stamp in STAMPS.items()},
    }


def plain(user: str, number: int) -> dict[str, Any]:
    """The same in values of Python."""
    return {
        "userId": user,
        "recordKey": PREFIX + record_id(number),
        "dataType": "savings-goal",
        "recordId": record_id(number),
        "data": dict(DATA),
        **STAMPS,
    }
