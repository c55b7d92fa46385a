"""A unit's lists with conditions: its own pending changes are judged in memory."""

from __future__ import annotations

from typing import Any

import pytest
from machines import EXPIRED, goal_data, goal_item, user_of
from stored import ids

from thrivecalc_models import InvalidRecordError, SavingsGoal, UserRecord
from thrivecalc_models.testing import SimulatedTable

pytestmark = pytest.mark.usefixtures("shell")

CURRENT = SavingsGoal.data.current_amount


@pytest.fixture
def table() -> SimulatedTable:
    """A table with goals of 5, 50 and 500, and an expired one."""
    table = SimulatedTable()
    for record_id, amount in {"a": "5", "b": "50", "c": "500"}.items():
        table.put(goal_item(record_id, amount))
    table.put(goal_item("expired", "50", ttl=EXPIRED))
    return table


@pytest.fixture
def work(table: SimulatedTable) -> Any:
    return user_of(table).unit_of_work()


def test_a_units_list_asks_the_table_for_what_matches(table, work):
    """`where` is a filter of the unit's query, which reads consistently."""
    assert ids(work.list(SavingsGoal, where=CURRENT >= 50)) == ["b", "c"]
    assert ids(work.list_all(where=CURRENT >= 50)) == ["b", "c"]
    assert work.count(SavingsGoal, where=CURRENT >= 50) == 2
    assert (work.count(SavingsGoal), work.count()) == (3, 3)
    assert ids(work.list(SavingsGoal, where=SavingsGoal.record_id == "b")) == ["b"]
    request = table.log[0].request
    assert request["ConsistentRead"] is True
    assert request["FilterExpression"].endswith(">= :2")
    assert "FilterExpression" not in table.log[-1].request
    assert table.sent() == 6


def test_pending_changes_are_judged_in_memory(table, work):
    """What was edited, added, put or deleted in the unit counts as a commit would leave it."""
    a, b = work.get(SavingsGoal, "a"), work.get(SavingsGoal, "b")
    a.data.current_amount, b.data.current_amount = 60, 6
    work.add(goal_data(70), record_id="d")
    work.add(goal_data(7), record_id="e")
    work.put(goal_data(80), record_id="f")
    work.delete(SavingsGoal, "c")
    found = work.list(SavingsGoal, where=CURRENT >= 50)
    assert ids(found) == ["a", "d", "f"]
    assert found[0] is a
    assert ids(work.list(SavingsGoal, where=(CURRENT < 50) & (UserRecord.record_id < "e"))) == ["b"]
    now = UserRecord.updated_at >= table.clock()
    assert ids(work.list_all(where=now)) == ["a", "b", "d", "e", "f"]
    assert work.count(SavingsGoal, where=CURRENT >= 50) == 3


def test_a_loaded_record_is_judged_as_the_unit_has_it(table, work):
    """A record that the unit read before is listed as it was read, whatever others wrote since."""
    work.get(SavingsGoal, "b")
    table.put(goal_item("b", "5000"))
    assert ids(work.list(SavingsGoal, where=CURRENT > 50)) == ["c"]
    assert ids(work.list(SavingsGoal, where=CURRENT > 5)) == ["b", "c"]


def test_a_unit_knows_order_limit_and_reverse(work):
    """`order_by`, `limit` and `reverse` are those of the user's lists, with what is pending."""
    work.add(goal_data(55), record_id="d")
    assert ids(work.list(SavingsGoal, order_by="-data.current_amount")) == ["c", "d", "b", "a"]
    assert ids(work.list("savings-goal", order_by="data.current_amount", limit=2)) == ["a", "b"]
    assert ids(work.list(SavingsGoal, reverse=True, limit=3)) == ["d", "c", "b"]
    assert ids(work.list_all(limit=1)) == ["a"]


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("where", lambda work: work.list(SavingsGoal, where=True)),
        ("limit", lambda work: work.list_all(limit=0)),
        ("data.nmae", lambda work: work.list(SavingsGoal, order_by="data.nmae")),
        ("recordKey", lambda work: work.count(where=UserRecord.record_key == "a")),
    ],
)
def test_a_unit_refuses_what_cannot_be(table, work, path, call):
    """A wrong condition, order or limit is refused before anything is sent."""
    with pytest.raises(InvalidRecordError) as caught:
        call(work)
    assert caught.value.path == path
    assert table.sent() == 0
