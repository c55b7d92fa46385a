"""Batched updates on real engines, on both transports: DynamoDB Local has all of it.

dynoxide brings no item with a failed condition, so that what is stored is read, and takes one
REMOVE a statement. moto answers 500 to every statement.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from proxy import FaultyProxy, in_turn
from stored import ODD, Table, goal, new_user_id

from thrivecalc_models import CommitError, ConflictError, DataStore, RefusedError, SavingsGoal
from thrivecalc_models.testing import faults
from thrivecalc_models.transport import Failure, Transport, make_transport

pytestmark = pytest.mark.not_on("moto", reason="answers 500 to every statement")

STATEMENTS = "BatchExecuteStatement"


@pytest.fixture(scope="module", params=["direct", "botocore"])
def store(engine: Any, proxy: FaultyProxy, request: pytest.FixtureRequest) -> Iterator[DataStore]:
    if request.param == "direct":
        pytest.importorskip("pycurl")
    with DataStore(
        endpoint=proxy.endpoint,
        region=engine.region,
        table_name=f"batched-{request.param}",
        transport=request.param,
        batch_updates=True,
    ) as store:
        store.create_table()
        yield store


@pytest.fixture
def user(store: DataStore, proxy: FaultyProxy) -> Any:
    proxy.schedule = None
    return store.user(new_user_id())


def edited(user: Any, count: int) -> tuple[Any, list[Any]]:
    """A unit in which so many stored goals were changed, and the goals."""
    with user.unit_of_work() as adding:
        for number in range(count):
            adding.add(goal(f"goal {number}"), record_id=f"{number:03}")
    work = user.unit_of_work()
    goals = work.list(SavingsGoal)
    for each in goals:
        each.data.current_amount += 5
    return work, goals


def sent(proxy: FaultyProxy) -> list[str]:
    return [operation for operation, _ in proxy.requests]


def failed(work: Any) -> CommitError:
    with pytest.raises(CommitError) as caught:
        work.commit()
    return caught.value


def account(work: Any) -> tuple[list[str], dict[str, Any]]:
    """What a commit applied, and the causes of the rest, of which nothing is unknown."""
    try:
        return work.commit().applied, {}
    except CommitError as error:
        work.rollback()
        return error.applied, dict.fromkeys(error.unknown) | error.causes


def test_300_changed_records_are_12_requests(user: Any, proxy: FaultyProxy) -> None:
    """300 changed records are 12 requests, and all of them are stored as meant."""
    work, goals = edited(user, 300)
    proxy.schedule = None
    result = work.commit()
    assert result.requests == 12
    assert sent(proxy) == [STATEMENTS] * 12
    assert len(result.applied) == 300
    found = user.list(SavingsGoal, consistent=True)
    assert [each.data.current_amount for each in found] == [5] * 300
    assert [each.version for each in found] == [each.version for each in goals]


def test_each_statement_has_its_own_outcome(user: Any, proxy: FaultyProxy) -> None:
    """Conflicts are those of their records, with what is stored; a delete of nothing is applied."""
    work, goals = edited(user, 6)
    for each in goals[3:]:
        work.delete(each)
    for changed in ("001", "004"):
        theirs = user.get(SavingsGoal, changed)
        theirs.data.name = "theirs"
        user.update(theirs)
    user.delete(SavingsGoal, "002")
    user.delete(SavingsGoal, "005")
    proxy.schedule = None
    error = failed(work)
    assert error.applied == [goals[number].record_key for number in (0, 3, 5)]
    assert error.not_applied == [goals[number].record_key for number in (1, 2, 4)]
    assert all(isinstance(cause, ConflictError) for cause in error.causes.values())
    stored = [error.causes[goals[number].record_key].stored for number in (1, 2, 4)]
    assert [each and each.data.name for each in stored] == ["theirs", None, "theirs"]
    assert sent(proxy) == [STATEMENTS, "BatchGetItem"]  # of the one that is gone, at the least
    assert [each.record_id for each in user.list(SavingsGoal, consistent=True)] == [
        "000",
        "001",
        "004",
    ]
    work.rollback()


@pytest.mark.parametrize("applied", [True, False])
def test_a_batch_meets_itself(user: Any, proxy: FaultyProxy, applied: bool) -> None:
    """A batch whose reply was lost is sent again and counts once, whether it was applied or not."""
    work, goals = edited(user, 30)
    work.delete(goals[0])
    proxy.schedule = in_turn(faults.LoseReply(applied=applied))
    assert len(work.commit().applied) == 30
    found = user.list(SavingsGoal, consistent=True)
    assert [each.data.current_amount for each in found] == [5] * 29


class Doubling(Transport):
    """Names the first key of a batch twice, which this library never does."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.sent: list[str] = []

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        self.sent.append(operation)
        content = json.loads(body)
        if operation == STATEMENTS:
            content["Statements"].append(content["Statements"][0])
        return self.inner.send(operation, json.dumps(content).encode())

    def close(self) -> None:
        self.inner.close()


def test_a_batch_that_is_refused_as_a_whole(user: Any, store: DataStore) -> None:
    """One key twice refuses a batch, which was applied on DynamoDB Local: the table decides."""
    doubling = Doubling(make_transport("botocore", store.settings))
    with DataStore(
        endpoint=store.endpoint,
        region=store.region,
        table_name=store.table_name,
        transport=doubling,
        batch_updates=True,
    ) as other:
        work, goals = edited(other.user(user.user_id), 3)
        doubling.sent.clear()
        applied, causes = account(work)
        assert doubling.sent == [STATEMENTS, "BatchGetItem"]
    assert all(isinstance(cause, RefusedError) for cause in causes.values())
    found = {each.record_key: each.data.current_amount for each in user.list(SavingsGoal)}
    assert found == {each.record_key: 5 if each.record_key in applied else 0 for each in goals}


@pytest.mark.not_on("dynoxide", reason="takes dots and brackets in a name for a path")
def test_names_of_every_kind(user: Any, store: DataStore, engine: Any) -> None:
    """Names with quotation marks, dots, brackets and signs are set, compared and removed."""
    names = ['"', '""', 'a"b', ".", "a.b", "[0]", "?", "'", "\\", "\n", "select", "é", " ", "a#:"]
    with user.unit_of_work() as work:
        for number in range(2):
            record = work.add(goal("odd"), record_id=f"{number}")
            for name in names:
                record.extra_data[name] = "before"
                record.extra_attributes[f"{name}x"] = "before"
    with user.unit_of_work() as work:
        first, second = work.list(SavingsGoal)
        for name in names:
            first.extra_data[name] = first.extra_attributes[f"{name}x"] = "after"
            del second.extra_data[name], second.extra_attributes[f"{name}x"]
        assert [request.operation for request in work.plan().requests] == [STATEMENTS]
    first, second = user.list(SavingsGoal, consistent=True)
    assert first.extra_data == dict.fromkeys(names, "after")
    assert first.extra_attributes == {f"{name}x": "after" for name in names}
    assert not second.extra_data
    assert not second.extra_attributes


@pytest.mark.parametrize("name", ["#a", ":a"])
def test_a_name_like_a_placeholder(user: Any, proxy: FaultyProxy, name: str) -> None:
    """A name that begins with # or : is written all the same: its record goes by itself."""
    work, goals = edited(user, 3)
    goals[0].extra_data[name] = 1
    proxy.schedule = None
    assert len(work.commit().applied) == 3
    assert sorted(sent(proxy)) == [STATEMENTS, "UpdateItem"]
    stored = user.get(SavingsGoal, "000", consistent=True)
    assert stored.extra_data == {name: 1}
    assert stored.version == goals[0].version


@pytest.mark.not_on("dynoxide", reason="keeps the spelling of numbers")
def test_odd_items(user: Any, store: DataStore, engine: Any) -> None:
    """Odd stored items are changed and deleted under their conditions, in every stored form."""
    table = Table(engine, store.table_name)
    items = [
        row["Item"] | {"userId": {"S": user.user_id}}
        for row in ODD
        if row["Item"].get("dataType") == {"S": "savings-goal"}
    ]
    table.put(*{item["recordKey"]["S"]: item for item in items}.values())
    work = user.unit_of_work(include_expired=True)
    records = [each for each in work.list_all() if not each.malformed]
    assert len(records) > 3
    for number, each in enumerate(records):
        if number % 3 == 2:
            work.delete(each)
        else:
            each.extra_attributes["seen"] = True
    assert {request.operation for request in work.plan().requests} == {STATEMENTS}
    work.commit()
    stored = table.items(user.user_id)
    for number, each in enumerate(records):
        item = stored.get(each.record_key)
        assert (item is None) == (number % 3 == 2)
        assert item is None or item["seen"] == {"BOOL": True}
    table.close()


def test_data_that_is_no_map_any_more(user: Any, store: DataStore, engine: Any) -> None:
    """Where `data` is no map any more, a change of a field of it is a conflict."""
    work, goals = edited(user, 3)
    table = Table(engine, store.table_name)
    item = user.get(SavingsGoal, goals[1].record_id).item
    table.put(item | {"data": {"S": "text"}})
    error = failed(work)
    assert list(error.causes) == [goals[1].record_key]
    (cause,) = error.causes.values()
    assert isinstance(cause, ConflictError)
    assert cause.stored.malformed
    work.rollback()
    table.close()


@pytest.mark.not_on("dynamodb-local", reason="takes more than one REMOVE, as AWS does")
def test_a_statement_that_an_engine_cannot_read(user: Any) -> None:
    """A statement that the engine finds invalid is refused, and the others are applied."""
    with user.unit_of_work() as work:
        for number in range(3):
            record = work.add(goal("x"), record_id=f"{number}")
            record.extra_data.update(a=1, b=2)
    work = user.unit_of_work()
    goals = work.list(SavingsGoal)
    for each in goals:
        each.data.current_amount += 5
    del goals[1].extra_data["a"], goals[1].extra_data["b"]
    error = failed(work)
    assert list(error.causes) == error.not_applied == [goals[1].record_key]
    assert isinstance(error.causes[goals[1].record_key], RefusedError)
    work.rollback()
