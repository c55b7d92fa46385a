"""Errors travel: to other processes, through copies, and through queues that keep args alone."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any

import pytest

import thrivecalc_models
from thrivecalc_models import (
    Budget,
    BudgetData,
    CommitError,
    ConflictError,
    InvalidRecordError,
    ItemTooLargeError,
    ProfileData,
    RecordExistsError,
    SavingsGoal,
    SavingsGoalData,
    ThriveCalcError,
    errors,
    read_item,
)
from thrivecalc_models.records.pynamo.batch import BatchWriteError
from thrivecalc_models.testing import SimulatedTable, simulated_store

LISTS = ("applied", "existing", "not_applied", "unknown")
FACTS = {
    **{name: [f"profile#{name}"] for name in LISTS},
    "action": "dynamodb:Query",
    "code": "ThrottlingException",
    "errors": {"data.name": InvalidRecordError("data.name takes text", path="data.name")},
    "causes": {
        "profile#unknown": errors.OutcomeUnknownError("unknown", record_key="profile#unknown")
    },
    "item": {"userId": {"S": "u"}},
    "operation": "Query",
    "path": "data.name",
    "record_key": "profile#1",
    "request_id": "abc",
    "service_message": "slow down",
    "size": 409_601,
}
RECORDS = ("record", "stored")


def public_errors() -> list[type[ThriveCalcError]]:
    """All that a caller can catch, by the classes that exist."""
    found = [ThriveCalcError]
    for cls in found:  # grows as subclasses are met
        found += [each for each in cls.__subclasses__() if each not in found]
    return found


def stored_item(**data: Any) -> dict[str, Any]:
    return {
        "userId": {"S": "u"},
        "recordKey": {"S": "savings-goal#g"},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": "g"},
        "data": {"M": {"name": {"S": "House"}, "targetAmount": {"N": "5"}} | data},
        "createdAt": {"S": "2025-01-07T12:30:00.000Z"},
        "updatedAt": {"S": "2025-01-07T12:30:00.000Z"},
    }


def an_error(cls: type[ThriveCalcError]) -> ThriveCalcError:
    """One with every fact that its class has."""
    error = cls("savings-goal#g was changed; refresh it")
    names = {name for name in FACTS if hasattr(error, name)}
    for name in names:
        setattr(error, name, FACTS[name])
    error.outcome = "not applied"
    error.record = read_item(stored_item())
    if hasattr(error, "stored"):
        error.stored = read_item(stored_item(note={"S": "x"}))
    return error


def facts(error: ThriveCalcError) -> dict[str, Any]:
    """What is to be equal: class, message, facts, and records by their items."""

    def plain(value: Any) -> Any:
        if value is error:
            return "itself"
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items()}
        return facts(value) if isinstance(value, ThriveCalcError) else value

    known = {name: plain(getattr(error, name)) for name in FACTS if hasattr(error, name)}
    records = {name: getattr(error, name, None) for name in RECORDS}
    items = {name: each and (type(each), each.item) for name, each in records.items()}
    return known | items | {"class": type(error), "says": str(error), "outcome": error.outcome}


def pickled(error: ThriveCalcError) -> Any:
    return pickle.loads(pickle.dumps(error))


def oldest_pickle(error: ThriveCalcError) -> Any:
    return pickle.loads(pickle.dumps(error, 0))


@pytest.mark.parametrize("way", [pickled, oldest_pickle, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("cls", public_errors())
def test_every_error_arrives_equal(cls: type[ThriveCalcError], way: Callable[..., Any]) -> None:
    """Every error pickles, copies and deep-copies with message, facts, outcome and records."""
    error = an_error(cls)
    assert facts(way(error)) == facts(error)
    assert facts(way(cls("only a message"))) == facts(cls("only a message"))


@pytest.mark.parametrize("cls", public_errors())
def test_an_error_of_the_args_of_another_says_the_same(cls: type[ThriveCalcError]) -> None:
    """What task queues keep, `type(error)(*error.args)`, also as JSON, is the same account."""
    error = an_error(cls)
    without = (
        facts(error)
        | {"record": None}
        | {name: None for name in ("stored", "item", "service_message") if hasattr(error, name)}
    )
    for args in (error.args, json.loads(json.dumps(error.args))):
        assert facts(type(error)(*args)) == without
    assert type(error)("only this").args[:1] == ("only this",)


def test_all_errors_live_in_one_place() -> None:
    """Every error of the library is in `errors`, but the one that is PynamoDB's as well."""
    ours = [cls for cls in public_errors() if cls.__module__.startswith("thrivecalc_models")]
    assert {cls for cls in ours if cls.__module__ != errors.__name__} <= {BatchWriteError}
    listed = {name for name, cls in vars(errors).items() if cls in ours and name[0] != "_"}
    assert listed - {"FileProblem"} <= set(thrivecalc_models.__all__)


def conflict(user: Any) -> ConflictError:
    user.add(SavingsGoalData(name="House", target_amount=5), record_id="g")
    mine, theirs = user.get(SavingsGoal, "g"), user.get(SavingsGoal, "g")
    theirs.data.target_amount = 7
    user.update(theirs)
    mine.data.target_amount = 9
    mine.extra_data["note"] = "mine"
    mine.ttl = datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(ConflictError) as caught:
        user.update(mine)
    return caught.value


@pytest.mark.parametrize("way", [pickled, copy.deepcopy])
def test_records_of_an_error_arrive_as_they_were(user: Any, way: Callable[..., Any]) -> None:
    """`.stored` arrives as what is stored, `.record` with what was read and what was edited."""
    arrived = way(conflict(user))
    assert arrived.outcome == "not applied"
    assert arrived.stored.data == SavingsGoalData(name="House", target_amount=7)
    record = arrived.record
    assert record.data == SavingsGoalData(name="House", target_amount=9)
    assert record.item["data"]["M"]["targetAmount"] == {"N": "5"}
    assert record.extra_data == {"note": "mine"}
    assert record.ttl == datetime(2030, 1, 1, tzinfo=UTC)
    again = user.put(record)
    assert user.get(SavingsGoal, "g").data == again.data == record.data


@pytest.mark.parametrize("way", [pickled, copy.deepcopy])
def test_a_record_that_was_never_stored_arrives_as_new(user: Any, way: Callable[..., Any]) -> None:
    """The record of a failed add arrives as one that can still be added, unstored."""
    user.add("note", {"text": "a"}, record_id="n")
    with pytest.raises(RecordExistsError) as caught:
        user.add("note", {"text": "b"}, record_id="n", ttl=datetime(2030, 1, 1, tzinfo=UTC))
    record = way(caught.value).record
    assert record.item is None
    assert (record.record_key, record.data) == ("note#n", {"text": "b"})
    assert record.ttl == datetime(2030, 1, 1, tzinfo=UTC)
    user.delete("note", "n")
    user.add(record)
    assert user.get("note", "n").data == {"text": "b"}


def test_a_record_that_cannot_be_stored_arrives_with_its_key(user: Any) -> None:
    """What no item can hold stays behind; what one could but for its size or numbers arrives."""
    user.add("note", {"y": 1}, record_id="n")
    for value, kept in [(object(), None), (2**60, 2**60)]:
        record = user.get("note", "n")
        record.data["x"] = value
        with pytest.raises(InvalidRecordError) as caught:
            user.update(record)
        arrived = pickled(caught.value).record
        assert (arrived.record_key, arrived.data.get("x")) == ("note#n", kept)
    with pytest.raises(ItemTooLargeError) as large:
        user.add(ProfileData(display_name="x" * 410_000), record_id="main")
    assert pickled(large.value).record.data.display_name == "x" * 410_000


def fail_at_work(kind: str) -> None:
    user = simulated_store(SimulatedTable()).user("u")
    if kind == "conflict":
        raise conflict(user)
    user.add(Budget, {"name": "Home", "period": "monthly"}, record_id="b")
    with user.unit_of_work() as work:
        work.add(Budget, {"name": "Home", "period": "monthly"}, record_id="b")
        work.add(ProfileData(currency="EUR"), record_id="main")


def test_a_process_pool_survives_errors() -> None:
    """A job of a process pool that raises our errors hands them over, and the pool goes on."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(ConflictError) as one:
            pool.submit(fail_at_work, "conflict").result()
        with pytest.raises(CommitError) as other:
            pool.submit(fail_at_work, "commit").result()
    assert one.value.stored is not None
    assert one.value.stored.data.target_amount == 7
    assert (other.value.applied, other.value.not_applied) == (["profile#main"], ["budget#b"])
    assert isinstance(other.value.causes["budget#b"], RecordExistsError)


def test_a_message_can_always_be_printed(user: Any) -> None:
    """Half of a surrogate pair in a name is escaped in the message and in the path."""
    odd = "a\ud800"
    calls: list[Callable[[], object]] = [
        lambda: BudgetData(name="a", period="b", limits={odd: "x"}),
        lambda: user.add("note", {odd: {"b": object()}}),
        lambda: user.get("note", odd),
        lambda: user.add(odd, {"b": 1}),
        lambda: setattr(SavingsGoal("u"), odd, 1),
        lambda: user.list(SavingsGoal, order_by=odd),
        lambda: SavingsGoal.key(odd),
    ]
    for call in calls:
        with pytest.raises((ThriveCalcError, AttributeError)) as caught:
            call()
        texts = [str(caught.value), str(getattr(caught.value, "path", "")), *caught.value.args[:1]]
        assert all(text.encode() for text in texts if text)
    assert str(ThriveCalcError(odd)) == "a\\ud800"
    assert InvalidRecordError("", path=odd).path == "a\\ud800"
