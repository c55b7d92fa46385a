"""The records that are measured: savings goals that differ in every value, as real ones do.

Equal values would let a client answer from what it has computed before: a parsed date, a cached
string, a form that it has encoded already. A value depends on the user and the number only, so the
endpoint and the clients make the same ones.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

TABLE = "thrivecalc-user-data"
REGION = "us-east-1"
ACCESS_KEY = SECRET_KEY = "thrivecalc"
PREFIX = "savings-goal#"

_PLANS = ("Emergency fund", "House in Lisbon", "New bicycle", "Summer holiday", "Piano lessons")
_FIRST_DAY, _FIRST_MOMENT = date(2026, 1, 1), datetime(2024, 1, 1)
_DAYS, _SECONDS = 20 * 365, 365 * 86_400


@dataclass(frozen=True, slots=True)
class Goal:
    """A savings goal in values of Python, as a program has them before it calls a client."""

    user: str
    record_id: str
    record_key: str
    name: str
    target_amount: int
    current_amount: int
    target_date: date
    target_day: str  # the date as it is stored
    monthly_contribution: int
    created_at: str
    updated_at: str


def user_id(records: int, which: int = 0) -> str:
    """A user who has so many records; another `which` is another user, with other values."""
    return f"google-oauth2|{which:012d}-{records}"


def records_of(name: str) -> int:
    """The number that a name of a user, or of a table, ends with."""
    found = re.search(r"\d+$", name)
    return int(found[0]) if found else 0


def number_of(record_key: str) -> int:
    return int(record_key[-12:])


@cache
def goal(user: str, number: int) -> Goal:
    values = random.Random(f"{user} {number}")
    # Ascending, since a query returns items in the order of their keys.
    first = number * 20_011 + values.randrange(20_011)
    middle = f"{values.randrange(65_536):04x}-4{values.randrange(4_096):03x}"
    record_id = f"{first:08x}-{middle}-a{values.randrange(4_096):03x}-{number:012d}"
    target_date = _FIRST_DAY + timedelta(days=values.randrange(_DAYS))
    created = _FIRST_MOMENT + timedelta(seconds=values.randrange(_SECONDS * 1000) / 1000)
    updated = created + timedelta(seconds=values.randrange(_SECONDS * 1000) / 1000)
    return Goal(
        user=user,
        record_id=record_id,
        record_key=PREFIX + record_id,
        name=f"{values.choice(_PLANS)}, no. {values.randrange(1_000_000)}",
        target_amount=values.randrange(10_000, 999_999),
        current_amount=values.randrange(1_000, 99_999),
        target_date=target_date,
        target_day=target_date.isoformat(),
        monthly_contribution=values.randrange(50, 4_999),
        created_at=_stored(created),
        updated_at=_stored(updated),
    )


def _stored(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds") + "Z"


@cache
def goals(user: str) -> list[Goal]:
    """All the records of a user."""
    return [goal(user, number) for number in range(records_of(user))]


def item(one: Goal) -> dict[str, Any]:
    """The item in DynamoDB's JSON."""
    return {
        "userId": {"S": one.user},
        "recordKey": {"S": one.record_key},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": one.record_id},
        "data": {
            "M": {
                "name": {"S": one.name},
                "targetAmount": {"N": str(one.target_amount)},
                "currentAmount": {"N": str(one.current_amount)},
                "targetDate": {"S": one.target_day},
                "monthlyContribution": {"N": str(one.monthly_contribution)},
            }
        },
        "createdAt": {"S": one.created_at},
        "updatedAt": {"S": one.updated_at},
    }


def plain(one: Goal) -> dict[str, Any]:
    """The same in values of Python."""
    return {
        "userId": one.user,
        "recordKey": one.record_key,
        "dataType": "savings-goal",
        "recordId": one.record_id,
        "data": {
            "name": one.name,
            "targetAmount": one.target_amount,
            "currentAmount": one.current_amount,
            "targetDate": one.target_day,
            "monthlyContribution": one.monthly_contribution,
        },
        "createdAt": one.created_at,
        "updatedAt": one.updated_at,
    }


def plain_key(one: Goal) -> dict[str, Any]:
    return {"userId": one.user, "recordKey": one.record_key}


def key(one: Goal) -> dict[str, Any]:
    return {"userId": {"S": one.user}, "recordKey": {"S": one.record_key}}


def query(user: str) -> dict[str, Any]:
    """The request for all savings goals of a user, in DynamoDB's JSON."""
    return {
        "TableName": TABLE,
        "KeyConditionExpression": "userId = :u AND begins_with(recordKey, :k)",
        "ExpressionAttributeValues": {":u": {"S": user}, ":k": {"S": PREFIX}},
    }
