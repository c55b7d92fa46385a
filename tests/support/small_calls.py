"""What each small call costs: its requests, and the capacity units that the service counts.

An item of at most 1 KB is written for one unit on the table and one on the index. A consistent
reading of at most 4 KB is one unit, any other half a unit. A request whose condition failed says
nothing of capacity, though DynamoDB counts one unit for it.
Source: "DynamoDB on-demand and provisioned capacity", Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from thrivecalc_models import Budget, BudgetData, ProfileData, SavingsGoalData


@attrs.frozen
class Cost:
    """A call on a user who has the budgets `a`, with limits, and `b`, without; what it costs."""

    call: Callable[[Any], Any]
    requests: tuple[str, ...]
    read_units: float = 0.0
    write_units: float = 0.0


def prepare(user: Any) -> None:
    """Store the records that the calls are about."""
    user.put(BudgetData(name="n", period="monthly", limits={"food": 1, "rent": 2}), record_id="a")
    user.put(BudgetData(name="n", period="monthly"), record_id="b")


def version(user: Any) -> str:
    """The version of the budget `a`, read by a GetItem that is not consistent."""
    return str(user.get(Budget, "a").version)


def patched_in_a_unit(user: Any) -> None:
    with user.unit_of_work() as work:
        work.patch(Budget, "b", PATCH)


PATCH = {"limits": {"food": 300, "rent": None}}
DATA = {"name": "m", "period": "weekly"}
KEYS = [(Budget, "a"), (Budget, "b")]

COSTS = {
    "exists": Cost(lambda user: user.exists(Budget, "a"), ("GetItem",), 0.5),
    "exists, consistent": Cost(
        lambda user: user.exists(Budget, "a", consistent=True), ("GetItem",), 1.0
    ),
    "patch": Cost(lambda user: user.patch("budget", "a", PATCH), ("UpdateItem",), 0.0, 2.0),
    "patch into a map that is absent": Cost(
        lambda user: user.patch("budget", "b", PATCH), ("UpdateItem", "UpdateItem"), 0.0, 2.0
    ),
    "patch of nothing": Cost(lambda user: user.patch("budget", "a", {}), ("GetItem",), 1.0),
    "patch of a version": Cost(
        lambda user: user.patch("budget", "a", PATCH, if_version=version(user)),
        ("GetItem", "GetItem", "UpdateItem"),
        1.5,
        2.0,
    ),
    "replace_data of a version": Cost(
        lambda user: user.replace_data("budget", "a", DATA, if_version=version(user)),
        ("GetItem", "GetItem", "UpdateItem"),
        1.5,
        2.0,
    ),
    "delete of a version": Cost(
        lambda user: user.delete(Budget, "a", if_version=version(user)),
        ("GetItem", "GetItem", "DeleteItem"),
        1.5,
        2.0,
    ),
    "upsert over what is stored": Cost(
        lambda user: user.upsert(BudgetData(name="m", period="weekly"), record_id="a"),
        ("UpdateItem",),
        0.0,
        2.0,
    ),
    "upsert of what is not": Cost(
        lambda user: user.upsert(ProfileData(locale="de"), record_id="main"),
        ("UpdateItem", "PutItem"),
        0.0,
        2.0,
    ),
    "add_many": Cost(
        lambda user: user.add_many(SavingsGoalData(name="n", target_amount=n) for n in range(30)),
        ("BatchWriteItem", "BatchWriteItem"),
        0.0,
        60.0,
    ),
    "delete_many": Cost(lambda user: user.delete_many(KEYS), ("BatchWriteItem",), 0.0, 4.0),
    "patch in a unit": Cost(patched_in_a_unit, ("GetItem", "UpdateItem"), 1.0, 2.0),
}
