"""Requests by what travels: batches are cut by the bytes of their JSON, and what is too long."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import USER, goal_item
from pynamodb.exceptions import PutError

from thrivecalc_models import (
    Budget,
    CommitError,
    ItemTooLargeError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    UserData,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.transport.failures import classify_error
from thrivecalc_models.wire import encoded_size, encodes_within

LIMIT = 16 * 1024 * 1024


class Narrow(SimulatedTable):
    """A simulated table behind something that takes no request of more than so many bytes."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.refused: list[int] = []

    def answer(self, operation: str, request: dict[str, Any]) -> Any:
        if len(json.dumps(request)) > self.most:
            self.refused.append(entries_of(request))
            return classify_error("413", 413)
        return super().answer(operation, request)


def entries_of(request: dict[str, Any]) -> int:
    return sum(map(len, request.get("RequestItems", {}).values()))


def user_of(table: SimulatedTable) -> UserData:
    return simulated_store(table, retry=RetryPolicy(attempts=2)).user(USER)


def long_goal(text: str) -> SavingsGoalData:
    return SavingsGoalData(name=text, target_amount=1)


@pytest.mark.parametrize("letter", ['"', "\x01", "\N{GRINNING FACE}", "x"])
def test_a_batch_is_cut_by_the_bytes_that_travel(letter: str) -> None:
    """Of 25 records of 409,000 bytes as many go together as their JSON has room for."""
    table = SimulatedTable()
    name = letter * (409_000 // len(letter.encode()))
    with user_of(table).unit_of_work() as work:
        records = [work.add(long_goal(name)) for _ in range(25)]
        planned = [request.operation for request in work.plan().requests]
    assert all(table.get(USER, record.record_key) for record in records)
    assert [entry.operation for entry in table.log] == planned
    assert all(len(json.dumps(entry.request)) <= LIMIT for entry in table.log)
    together = 25 if letter == "x" else LIMIT // len(json.dumps(name))
    assert len(table.log) == -(-25 // together)


def test_small_records_go_25_to_a_request() -> None:
    """Where nothing is long the number alone counts."""
    table = SimulatedTable()
    with user_of(table).unit_of_work() as work:
        for _ in range(50):
            work.add(long_goal("x" * 1000))
    assert table.sent() == 2


@given(
    st.lists(
        st.dictionaries(st.text(max_size=9), st.text(max_size=9).map(lambda text: {"S": text})),
        max_size=4,
    ),
    st.integers(-60, 400),
)
def test_the_quick_answer_is_the_exact_one(items: list[Any], spare: int) -> None:
    """Whether JSON has at most so many bytes is answered as if all of it were written."""
    size = encoded_size(items)
    assert encodes_within(items, size)
    assert not encodes_within(items, size - 1)
    assert encodes_within(items, size + spare) == (spare >= 0)


def test_a_batch_that_is_refused_for_its_length_goes_in_parts() -> None:
    """HTTP 413: nothing of it was applied, and smaller parts are sent at once, each write once."""
    table = Narrow(9_000)
    with user_of(table).unit_of_work() as work:
        records = [work.add(long_goal("x" * 1000)) for _ in range(25)]
    assert table.refused == [25, 12, 12]
    assert [table.applied_writes(record.record_key) for record in records] == [1] * 25
    assert table.now < 1  # without a wait


@pytest.mark.parametrize("alone", [True, False])
def test_an_item_that_is_too_long_is_not_applied(alone: bool) -> None:
    """A single item that meets a 413 is an ItemTooLargeError; its neighbours are written."""
    table = Narrow(8_000)
    user = user_of(table)
    if alone:
        with pytest.raises(ItemTooLargeError) as caught:
            user.add(long_goal("x" * 9_000))
        error = caught.value
        assert error.record is not None
    else:
        work = user.unit_of_work()
        small = [work.add(long_goal("x")) for _ in range(5)]
        large = work.add(long_goal("x" * 9_000))
        with pytest.raises(CommitError) as failed:
            work.commit()
        assert failed.value.not_applied == [large.record_key]
        assert sorted(failed.value.applied) == sorted(record.record_key for record in small)
        cause = failed.value.causes[large.record_key]
        assert isinstance(cause, ItemTooLargeError)
        error = cause
    assert error.outcome == "not applied"
    assert 9_000 < error.size < 9_500


def test_an_update_that_is_too_long_is_not_applied() -> None:
    """So is an update, of a record that was read or of one that was not."""
    table = Narrow(8_000)
    table.put(goal_item())
    user = user_of(table)
    goal = user.get(SavingsGoal, "g")
    assert goal is not None
    goal.data.name = "x" * 9_000
    with pytest.raises(ItemTooLargeError):
        user.update(goal)
    with pytest.raises(ItemTooLargeError) as caught:
        user.replace_data(SavingsGoal, "g", {"name": "x" * 9_000, "targetAmount": 1})
    assert caught.value.size > 9_000
    assert table.applied_writes(goal.record_key) == 0


def test_a_transaction_that_is_too_long_is_not_applied() -> None:
    """Nothing of a transaction that meets a 413 is applied, and each write has the cause."""
    table = Narrow(8_000)
    work = user_of(table).unit_of_work(atomic=True)
    records = [work.add(long_goal("x" * 3_000)) for _ in range(3)]
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert caught.value.not_applied == [record.record_key for record in records]
    causes = caught.value.causes.values()
    assert all(isinstance(cause, ItemTooLargeError) and cause.size > 3_000 for cause in causes)
    assert not table.items


@pytest.mark.parametrize("letter", ["x", '"'])
def test_a_transaction_counts_items_as_dynamodb_does(letter: str) -> None:
    """4 MB of items in DynamoDB's bytes are a transaction, whatever their JSON takes."""
    table = SimulatedTable()
    with user_of(table).unit_of_work(atomic=True) as work:
        for _ in range(10):
            work.add(long_goal(letter * 400_000))
    assert len(table.items) == 10


def test_deletes_beside_long_records_fit_too() -> None:
    """The keys of deletes count as well."""
    table = SimulatedTable()
    with user_of(table).unit_of_work() as work:
        for number in range(20):
            work.add(long_goal('"' * 400_000))
            work.delete(Budget, string.ascii_letters * 10 + str(number))
    assert all(len(json.dumps(entry.request)) <= LIMIT for entry in table.log)


def test_a_save_of_pynamodbs_that_is_too_long() -> None:
    """PynamoDB's own method raises its own error, whose words say what was wrong."""
    table = Narrow(8_000)
    table.put(goal_item())
    goal = user_of(table).get(SavingsGoal, "g")
    assert goal is not None
    goal.data.name = "x" * 9_000
    with pytest.raises(PutError, match="refused for its length") as caught:
        goal.save()
    assert vars(caught.value)["outcome"] == "not applied"
