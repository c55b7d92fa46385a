"""Reading with conditions: what is sent for them, what it costs, and what comes back."""

from __future__ import annotations

import functools
import operator
from datetime import timedelta
from typing import Any

import pytest
from machines import EXPIRED, USER, goal_item, item, user_of
from stored import ids

from thrivecalc_models import (
    Budget,
    InvalidKeyError,
    InvalidRecordError,
    SavingsGoal,
    Transaction,
    UserRecord,
)
from thrivecalc_models.testing import SimulatedTable

pytestmark = pytest.mark.usefixtures("shell")

CURRENT = SavingsGoal.data.current_amount
GOALS = {"a": "5", "b": "50", "c": "500", "d": "50"}


@pytest.fixture
def table() -> SimulatedTable:
    """A table with four goals, one expired, one malformed, and a budget."""
    table = SimulatedTable()
    for record_id, amount in GOALS.items():
        table.put(goal_item(record_id, amount))
    table.put(goal_item("expired", "50", ttl=EXPIRED))
    table.put(item("savings-goal", "odd", {"name": {"S": "x"}}))
    table.put(item("budget", "a", {"name": {"S": "x"}, "period": {"S": "y"}}))
    return table


@pytest.fixture
def user(table: SimulatedTable) -> Any:
    return user_of(table)


def asked(table: SimulatedTable, since: int) -> list[dict[str, Any]]:
    """What was sent, with names and values in the place of their placeholders."""
    return [spelled(entry.request) for entry in table.log[since:]]


def spelled(request: dict[str, Any]) -> dict[str, Any]:
    def text(expression: str) -> str:
        for placeholder, name in request["ExpressionAttributeNames"].items():
            expression = expression.replace(placeholder, name)
        for placeholder, value in reversed(request["ExpressionAttributeValues"].items()):
            expression = expression.replace(placeholder, next(iter(value.values())))
        return expression

    return {
        name: text(value) if name.endswith("Expression") else value
        for name, value in request.items()
        if name not in ("ExpressionAttributeNames", "ExpressionAttributeValues", "TableName")
    }


def units(entry: Any) -> float:
    """The read units that a request cost."""
    return entry.result.body["ConsumedCapacity"]["CapacityUnits"]


BY_INDEX = {
    "KeyConditionExpression": f"userId = {USER} AND dataType = savings-goal",
    "IndexName": "DataTypeIndex",
    "ReturnConsumedCapacity": "TOTAL",
}
BY_KEY = {
    "KeyConditionExpression": f"userId = {USER} AND begins_with(recordKey, savings-goal#)",
    "ConsistentRead": False,
    "ReturnConsumedCapacity": "TOTAL",
}


def test_a_list_is_filtered_by_the_service(table, user):
    """`where` is one query of the index with a filter expression."""
    sent = table.sent()
    assert ids(user.list(SavingsGoal, where=(CURRENT > 5) & (CURRENT < 500))) == ["b", "d"]
    assert asked(table, sent) == [
        BY_INDEX | {"FilterExpression": "data.currentAmount > 5 AND data.currentAmount < 500"}
    ]


def test_a_filter_saves_no_read_units(table, user):
    """A filtered list costs the read units of the whole list."""
    user.list(SavingsGoal)
    user.list(SavingsGoal, where=CURRENT > 5)
    user.list(SavingsGoal, where=CURRENT > 5000)
    user.count(SavingsGoal, where=CURRENT > 5000)
    assert [units(entry) for entry in table.log[-4:]] == [0.5] * 4


@pytest.mark.parametrize(
    ("where", "keys", "rest", "found"),
    [
        (SavingsGoal.record_id == "b", "recordKey = savings-goal#b", None, "b"),
        (
            SavingsGoal.record_id.startswith("b"),
            "begins_with(recordKey, savings-goal#b)",
            None,
            "b",
        ),
        (
            SavingsGoal.record_id.between("a", "c"),
            "recordKey BETWEEN savings-goal#a AND savings-goal#c",
            None,
            "abc",
        ),
        (
            SavingsGoal.record_id < "c",
            "recordKey BETWEEN savings-goal# AND savings-goal#c",
            "recordId < c",
            "ab",
        ),
        (
            SavingsGoal.record_id <= "c",
            "recordKey BETWEEN savings-goal# AND savings-goal#c",
            None,
            "abc",
        ),
        (
            (SavingsGoal.record_id > "a") & (SavingsGoal.record_id <= "c"),
            "recordKey BETWEEN savings-goal#a AND savings-goal#c",
            "recordId > a",
            "bc",
        ),
        (
            (CURRENT == 50) & (SavingsGoal.record_id <= "c") & (SavingsGoal.ttl.does_not_exist()),
            "recordKey BETWEEN savings-goal# AND savings-goal#c",
            "data.currentAmount = 50 AND attribute_not_exists(ttl)",
            "b",
        ),
    ],
)
def test_a_condition_on_the_record_id_is_a_key_condition(table, user, where, keys, rest, found):
    """What the sort key can answer is asked of the key of the table; only the rest is a filter."""
    sent = table.sent()
    assert "".join(ids(user.list(SavingsGoal, where=where))) == found
    filtered = {} if rest is None else {"FilterExpression": rest}
    assert asked(table, sent) == [
        BY_KEY | {"KeyConditionExpression": f"userId = {USER} AND {keys}"} | filtered
    ]


@pytest.mark.parametrize(
    "where",
    [
        SavingsGoal.record_id > "c",
        (SavingsGoal.record_id == "b") | (CURRENT == 5),
        ~(SavingsGoal.record_id == "b"),
        SavingsGoal.record_id == "b" * 1100,
        (SavingsGoal.record_id > "c") & (SavingsGoal.record_id < "b"),
    ],
)
def test_what_the_key_cannot_say_is_a_filter(table, user, where):
    """No key condition is made of a part of an OR, of a NOT, or of bounds that DynamoDB refuses."""
    sent = table.sent()
    user.list(SavingsGoal, where=where)
    (request,) = asked(table, sent)
    assert request["KeyConditionExpression"] == BY_INDEX["KeyConditionExpression"]


def test_a_key_condition_saves_read_units():
    """A condition on the record id is paid for what it finds."""
    table = SimulatedTable()
    for number in range(200):
        table.put(goal_item(f"{number:03}"))
    user = user_of(table)
    user.list(SavingsGoal)
    user.list(SavingsGoal, where=SavingsGoal.record_id.startswith("00"))
    whole, part = map(units, table.log[-2:])
    assert (whole, part) == (6.0, 0.5)


def test_all_types_are_filtered(table, user):
    """`list_all` filters what every type has; a record id is no key without its type."""
    sent = table.sent()
    assert len(user.list_all(where=UserRecord.record_id == "a")) == 2
    assert user.list_all(where=UserRecord.updated_at > table.clock()) == []
    first, _ = asked(table, sent)
    assert first["KeyConditionExpression"] == f"userId = {USER}"
    assert first["FilterExpression"] == "recordId = a"


def test_a_limit_stops_reading(table, user):
    """A list with a limit reads a type from the table in key order, and no page too many."""
    sent = table.sent()
    assert ids(user.list(SavingsGoal, limit=2)) == ["a", "b"]
    assert asked(table, sent) == [BY_KEY | {"Limit": 2}]
    assert ids(user.list(SavingsGoal, limit=2, reverse=True)) == ["odd", "d"]
    # The first page has the expired one, so that one record is missing.
    assert asked(table, sent + 1) == [
        BY_KEY | {"Limit": 2, "ScanIndexForward": False},
        BY_KEY
        | {
            "Limit": 1,
            "ScanIndexForward": False,
            "ExclusiveStartKey": {
                "userId": {"S": USER},
                "recordKey": {"S": "savings-goal#expired"},
            },
        },
    ]
    sent = table.sent()
    assert ids(user.list(SavingsGoal, limit=1, where=CURRENT == 50)) == ["b"]
    assert asked(table, sent) == [BY_KEY | {"FilterExpression": "data.currentAmount = 50"}]
    assert ids(user.list_all(limit=1)) == ["a"]


def test_a_filtered_list_with_a_limit_reads_only_as_far_as_it_must():
    """Pages are read one after the other until there are enough records; none is read ahead."""
    table = SimulatedTable(page_bytes=2_000)
    for number in range(60):
        table.put(goal_item(f"{number:03}", str(number)))
    sent = table.sent()
    assert ids(user_of(table).list(SavingsGoal, where=CURRENT >= 10, limit=3)) == [
        "010",
        "011",
        "012",
    ]
    assert 1 < table.sent() - sent < 5


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("data.current_amount", ["a", "b", "d", "c", "odd"]),
        ("-data.current_amount", ["c", "b", "d", "a", "odd"]),
        ("-data.target_date", ["a", "b", "c", "d", "odd"]),
        ("-updated_at", ["a", "b", "c", "d", "odd"]),
    ],
)
def test_a_list_in_the_order_of_a_field(table, user, order, found):
    """Records without the field come last, malformed ones too; equal ones in order of their key."""
    assert ids(user.list(SavingsGoal, order_by=order)) == found
    assert ids(user.list("savings-goal", order_by=order, limit=2)) == found[:2]
    assert table.log[-1].request["IndexName"] == "DataTypeIndex"


def test_reverse_is_the_order_of_keys_from_the_last(table, user):
    """`reverse` reads the table backwards, in lists, iterations and pages."""
    backwards = ["odd", "d", "c", "b", "a"]
    sent = table.sent()
    assert ids(user.list(SavingsGoal, reverse=True)) == backwards
    assert ids(user.iterate(SavingsGoal, reverse=True)) == backwards
    assert asked(table, sent) == [BY_KEY | {"ScanIndexForward": False}] * 2
    page = user.page(SavingsGoal, limit=3, reverse=True)
    rest = user.page(SavingsGoal, limit=9, reverse=True, cursor=page.cursor)
    assert ids(page.records) + ids(rest.records) == backwards
    assert ids(user.list_all(reverse=True)) == [*backwards, "a"]


def test_iterations_and_pages_are_filtered(table, user):
    """`iterate` and `page` take `where`; a page may be empty while a cursor remains."""
    assert sorted(ids(user.iterate(SavingsGoal, where=CURRENT == 50))) == ["b", "d"]
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = user.page(SavingsGoal, limit=1, where=CURRENT == 50, cursor=cursor)
        found += ids(page.records)
        cursor, pages = page.cursor, pages + 1
    assert sorted(found) == ["b", "d"]
    assert pages >= 6
    assert table.log[-1].request["Limit"] == 1


def test_a_cursor_is_bound_to_its_condition_and_direction(user):
    """A cursor of another condition, of another value in it, or direction is refused."""
    cursor = user.page(SavingsGoal, limit=1, where=CURRENT > 5).cursor
    assert user.page(SavingsGoal, limit=1, where=CURRENT > "5.0", cursor=cursor)
    others = [
        {},
        {"where": CURRENT > 6},
        {"where": CURRENT >= 5},
        {"where": SavingsGoal.data.target_amount > 5},
        {"where": (CURRENT > 5) & SavingsGoal.record_id.startswith("a")},
        {"where": CURRENT > 5, "reverse": True},
    ]
    for other in others:
        with pytest.raises(InvalidKeyError, match="another query"):
            user.page(SavingsGoal, limit=1, cursor=cursor, **other)


def test_count_is_the_length_of_the_list_and_reads_no_items(table, user):
    """`count` asks for the number alone; a filter leaves out what has expired."""
    sent = table.sent()
    assert user.count(SavingsGoal) == len(user.list(SavingsGoal)) == 5
    request = asked(table, sent)[0]
    assert request == BY_INDEX | {
        "Select": "COUNT",
        "FilterExpression": request["FilterExpression"],
    }
    assert request["FilterExpression"].startswith("NOT (ttl BETWEEN 0 AND ")
    assert table.log[sent].result.body["Count"] == 5
    assert user.count() == len(user.list_all()) == 6
    assert user.count(SavingsGoal, where=CURRENT == 50) == 2
    assert user.count(SavingsGoal, where=CURRENT == 50, include_expired=True) == 3
    sent = table.sent()
    assert user.count(SavingsGoal, where=SavingsGoal.record_id == "b", include_expired=True) == 1
    assert user.count(SavingsGoal, consistent=True, include_expired=True) == 6
    assert asked(table, sent) == [
        BY_KEY
        | {
            "KeyConditionExpression": f"userId = {USER} AND recordKey = savings-goal#b",
            "Select": "COUNT",
        },
        BY_KEY | {"ConsistentRead": True, "Select": "COUNT"},
    ]


@pytest.mark.parametrize("ttl", ["-1", "0", "0.5", "{now}", "1735689600000", "1e20"])
@pytest.mark.parametrize("later", [-1, -0.5, -0.25, 0, 0.5, 1])
def test_count_and_list_agree_on_what_has_expired(ttl, later):
    """Whatever the ttl and the fraction of the second, a count is the length of the list."""
    table = SimulatedTable()
    now = table.clock().replace(microsecond=250_000)
    stored = {"N": ttl.format(now=now.replace(microsecond=0).timestamp())}
    table.put(goal_item("g", ttl=stored))
    user = user_of(table, clock=lambda: now + timedelta(seconds=later))
    assert user.count(SavingsGoal) == len(user.list(SavingsGoal))


def test_pages_of_a_count_are_added():
    """A count goes on until the service names no next key."""
    table = SimulatedTable(page_bytes=2_000)
    for number in range(60):
        table.put(goal_item(f"{number:03}", str(number)))
    assert user_of(table).count(SavingsGoal, where=CURRENT >= 10) == 50
    assert table.sent() > 3


def one_of(count: int) -> Any:
    """A condition with twice as many operators, less one."""
    return functools.reduce(operator.or_, (number == CURRENT for number in range(count)))


def test_a_condition_may_be_as_long_as_dynamodb_takes(user):
    """149 comparisons are 297 operators, and those of the ttl make 300, which is the limit."""
    assert user.count(SavingsGoal, where=one_of(149)) == 3


REFUSED = {
    "where": [
        lambda user: user.list(SavingsGoal, where=True),
        lambda user: user.list(SavingsGoal, where=CURRENT.set(5)),
        lambda user: user.count(where=CURRENT == CURRENT + 1),
        lambda user: user.iterate(where="x"),
        lambda user: user.page(where=one_of(150), limit=1),
    ],
    "recordKey": [lambda user: user.list(SavingsGoal, where=UserRecord.record_key == "x")],
    "userId": [lambda user: user.list_all(where=UserRecord.user_id == USER)],
    "dataType": [lambda user: user.list(SavingsGoal, where=UserRecord.data_type == Budget)],
    "limit": [
        lambda user: user.list(SavingsGoal, limit=0),
        lambda user: user.list_all(limit=True),
        lambda user: user.list_all(limit="5"),
    ],
    "order_by": [
        lambda user: user.list(SavingsGoal, order_by="target_amount"),
        lambda user: user.list(SavingsGoal, order_by=5),
    ],
    "data.target_amuont": [lambda user: user.list(SavingsGoal, order_by="data.target_amuont")],
    "data.targetAmount": [lambda user: user.list(SavingsGoal, order_by="-data.targetAmount")],
    "data.tags": [lambda user: user.list(Transaction, order_by="data.tags")],
    "data.name": [
        lambda user: user.list_all(order_by="data.name"),
        lambda user: user.list("x-no-type-at-all", order_by="data.name"),
    ],
    "reverse": [lambda user: user.list(SavingsGoal, order_by="created_at", reverse=True)],
}
CASES = [(path, call) for path, calls in REFUSED.items() for call in calls]


@pytest.mark.parametrize(("path", "call"), CASES)
def test_what_cannot_be_is_refused_before_anything_is_sent(table, user, path, call):
    """A wrong condition, order or limit is an InvalidRecordError with its path."""
    sent = table.sent()
    with pytest.raises(InvalidRecordError) as caught:
        call(user)
    assert caught.value.path == path
    assert table.sent() == sent
