"""What cannot be encoded never reaches the wire: the same refusal on both transports."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from thrivecalc_models import (
    BudgetData,
    DataStore,
    InvalidRecordError,
    ProfileData,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
)

COUNTER = itertools.count()
pytestmark = pytest.mark.parametrize("engine", ["dynoxide"], indirect=True)

ITSELF: list[Any] = []
ITSELF.append(ITSELF)


class Proxy:
    """As lazy texts and mocks: it says that it is text, but is none."""

    @property
    def __class__(self) -> Any:
        return str

    def __str__(self) -> str:
        return "proxy"


NO_VALUES = {
    "object": object(),
    "class": SavingsGoalData,
    "function": len,
    "generator": (each for each in ()),
    "itself": ITSELF,
    "proxy": Proxy(),
    "complex": 1j,
    "nan": float("nan"),
    "infinity": Decimal("-Infinity"),
    "signal": Decimal("sNaN"),
    "surrogate": "\ud800",
    "surrogates in a list": ["a", "\udfff"],
    "a surrogate as a name": {"\ud800": 1},
    "a number as a name": {1: 2},
    "None as a name": {None: 2},
    "an empty name": {"": 1},
    "an empty set": set(),
    "a set of all": {1, "a"},
    "date": date(2025, 1, 7),
    "time": time(1),
    "timedelta": timedelta(1),
    "uuid": uuid4(),
    "path": Path("x"),
    "view": memoryview(b"x"),
    "range": range(3),
    "payload": SavingsGoalData(name="x", target_amount=1),
}


@pytest.fixture(scope="module", params=["direct", "botocore"])
def store(request: pytest.FixtureRequest, engine: Any) -> Iterator[DataStore]:
    if request.param == "direct":
        pytest.importorskip("pycurl")
    with DataStore(
        endpoint=engine.endpoint,
        region=engine.region,
        table_name="unencodable",
        transport=request.param,
        observer=lambda event: OPERATIONS.append(getattr(event, "operation", None)),
    ) as store:
        store.create_table()
        yield store


OPERATIONS: list[str | None] = []


@pytest.fixture
def sent(store: DataStore) -> tuple[Any, list[str | None]]:
    """A user, and the operations that are sent from now on."""
    user = store.user(f"unencodable|{next(COUNTER)}")
    OPERATIONS.clear()
    return user, OPERATIONS


def put_and_commit(put: Any, work: Any) -> None:
    """Refused at the call, or at the latest when it is committed."""
    put(work)
    work.commit()


@pytest.mark.parametrize("name", NO_VALUES)
def test_what_cannot_be_encoded_is_refused_before_anything_is_sent(
    sent: tuple[Any, list[str | None]], name: str
) -> None:
    """Wherever a value is put, it is an InvalidRecordError, and nothing of the commit is sent."""
    user, operations = sent
    value = NO_VALUES[name]
    for put in (
        lambda work: work.add("note", {"x": value}),
        lambda work: work.add("note", {"x": [{"y": value}]}),
        lambda work: work.add("note", {"a": 1}).data.update(x=value),
        lambda work: work.add(ProfileData()).extra_data.update(x=value),
        lambda work: work.add(ProfileData()).extra_attributes.update(x=value),
        lambda work: work.add(
            TransactionData(date="2025-01-07", amount=1, tags=["a"])
        ).data.tags.append(value),
        lambda work: work.add(BudgetData(name="a", period="b", limits={"a": 1})).data.limits.update(
            x=value
        ),
    ):
        work = user.unit_of_work()
        work.add(SavingsGoalData(name="House", target_amount=1))
        with pytest.raises(InvalidRecordError):
            put_and_commit(put, work)
        work.rollback()
        work.close()
    for set_it in (
        lambda: user.add(SavingsGoalData(name=value, target_amount=1)),
        lambda: user.add(SavingsGoalData(name="a", target_amount=value)),
    ):
        with pytest.raises(InvalidRecordError):
            set_it()
    if name in ("date", "time", "payload"):  # which have a form in conditions and actions
        return
    for compare in (
        lambda: SavingsGoal.data["x"].set(value),
        lambda: SavingsGoal.data["x"] == value,
    ):
        with pytest.raises(InvalidRecordError):
            compare()
    assert operations == []


NO_KEYS = ["\ud800", "", b"x", 5, None, object(), ["a"], Proxy()]


@pytest.mark.parametrize("name", NO_KEYS, ids=lambda value: type(value).__name__)
def test_keys_that_cannot_be_are_refused_before_anything_is_sent(
    sent: tuple[Any, list[str | None]], name: Any
) -> None:
    """A type or record id that is no text that UTF-8 holds is refused at each call."""
    user, operations = sent
    calls = [
        lambda: user.add(name, {"x": 1}),
        lambda: user.get("note", name),
        lambda: user.get(name, "a"),
        lambda: user.get_many([(name, "a")]),
        lambda: user.get_many([("note", name)]),
        lambda: user.list(name),
        lambda: user.delete(name, "a"),
        lambda: user.replace_data("note", name, {}),
        lambda: SavingsGoal.key(name),
        lambda: SavingsGoal.get(user.user_id, name),
        lambda: SavingsGoal.get(name, SavingsGoal.key("a")),
        lambda: list(SavingsGoal.query(name)),
    ]
    if name is not None:
        calls += [lambda: user.add("note", {"x": 1}, record_id=name)]
    for call in calls:
        with pytest.raises(InvalidRecordError) as caught:
            call()
        assert str(caught.value).encode()
    assert operations == []
