"""Conditions judged in memory are judged as DynamoDB does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thrivecalc_models.operations import Filter, Reply, evaluate, matches
from thrivecalc_models.operations.conditions import Expressions
from thrivecalc_models.operations.filters import (
    At,
    Begins,
    Between,
    Compared,
    Contains,
    Every,
    Fixed,
    In,
    IsStored,
    Not,
    OfType,
    PathTo,
    SizeOf,
    Some,
)
from thrivecalc_models.testing.simulation import SimulatedTable
from thrivecalc_models.wire import AttributeValue, Item, with_bytes

TABLE = "filters"
ON_ENGINES = settings(
    max_examples=min(60, settings().max_examples),
    suppress_health_check=list(HealthCheck),
    deadline=None,
)
users = count()


# --- items and conditions -------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "a", "ab", "b", "é", "\uffff", "\U0001f600"])
NUMBERS = st.sampled_from(["0", "1", "1.5", "-1", "100", "12345678901234567890123456789012345678"])
BINARY = st.sampled_from(["AA==", "AAE=", "/w==", "gA=="])
SCALARS = st.one_of(
    TEXTS.map(lambda text: {"S": text}),
    NUMBERS.map(lambda text: {"N": text}),
    BINARY.map(lambda text: {"B": text}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
)
SETS = st.one_of(
    st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(lambda texts: {"SS": texts}),
    st.lists(NUMBERS, min_size=1, max_size=3, unique=True).map(lambda texts: {"NS": texts}),
    st.lists(BINARY, min_size=1, max_size=3, unique=True).map(lambda texts: {"BS": texts}),
)
NAMES = st.sampled_from(["a", "b", "data"])
VALUES = st.recursive(
    SCALARS | SETS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda members: {"L": members}),
        st.dictionaries(NAMES, inner, max_size=3).map(lambda members: {"M": members}),
    ),
    max_leaves=4,
)
ITEMS = st.lists(
    st.fixed_dictionaries({"a": VALUES}, optional={"b": VALUES}), min_size=4, max_size=8
)
PATHS: st.SearchStrategy[PathTo] = st.sampled_from(
    [("a",), ("a",), ("a",), ("b",), ("a", "b"), ("a", 0), ("a", 1, "b"), ("c",)]
)


@st.composite
def filters(draw: st.DrawFn, items: list[Item]) -> list[Filter]:
    """One condition of each sort that DynamoDB takes, mostly on values that the items have."""
    stored = [value for item in items for value in item.values()]
    within = [form for value in stored for form in islice(parts(value), 1, None)] or stored
    forms = stored + within
    ordered = [form for form in forms if not form.keys().isdisjoint(("S", "N", "B"))]
    texts = [form for form in ordered if "N" not in form]

    def one_of(forms: list[AttributeValue]) -> Fixed:
        return Fixed(draw(st.sampled_from(forms or [{"S": "a"}])))

    def here() -> At:
        return At(draw(PATHS))

    def sign(*signs: str) -> str:
        return draw(st.sampled_from(signs))

    low, high = one_of(ordered), one_of(ordered)
    if low.value.keys() != high.value.keys():
        high = low
    elif not evaluate.compare("<=", low.value, high.value):
        low, high = high, low
    orders = ("<", "<=", ">", ">=")
    length = Fixed({"N": str(draw(st.integers(0, 2)))})
    singles: list[Filter] = [
        Compared(sign("=", "<>"), here(), one_of(stored)),
        Compared("<>", here(), one_of(forms)),
        Compared(sign(*orders), here(), one_of(ordered)),
        Compared(sign("=", "<>", *orders), At(("a",)), At(("b",))),
        Compared(sign("=", *orders), SizeOf(("a",)), length),
        Between(here(), low, high),
        In(here(), (one_of(stored), one_of(forms))),
        In(At(("a",)), (At(("b",)), At(("c",)))),
        Begins(here(), one_of(texts)),
        Contains(here(), one_of(within)),
        Contains(At(("a",)), At(("b",))),
        OfType(here(), next(iter(one_of(stored).value))),
        IsStored(draw(PATHS), draw(st.booleans())),
    ]

    def joined(depth: int) -> Filter:
        if not depth:
            return draw(st.sampled_from(singles))
        both = (joined(depth - 1), joined(depth - 1))
        return draw(st.sampled_from([Every(both), Some(both), Not(both[0]), Not(Every(both))]))

    return [*singles, joined(1), joined(2)]


def parts(value: AttributeValue) -> Iterator[AttributeValue]:
    """A value, and what is in it: elements, members of sets, beginnings of texts."""
    yield value
    [(kind, content)] = value.items()
    if kind in ("L", "M"):
        for inner in content if kind == "L" else content.values():
            yield from parts(inner)
    elif kind in evaluate.SETS:
        yield from ({evaluate.SETS[kind]: member} for member in content)
    elif kind == "S":
        yield {"S": content[:1]}


CASES = ITEMS.flatmap(lambda items: st.tuples(st.just(items), filters(items)))


# --- the tables -----------------------------------------------------------------------------------


@attrs.frozen
class RealTable:
    """A table on an engine, with the key of this library's tables."""

    client: Any
    name = TABLE

    def send(self, operation: str, request: dict[str, Any]) -> Any:
        return getattr(self.client, operation)(**with_bytes(request))


@attrs.frozen
class InMemory:
    """The simulated table."""

    table: SimulatedTable
    name = "thrivecalc-user-data"

    def send(self, operation: str, request: dict[str, Any]) -> Any:
        name = {"query": "Query", "put_item": "PutItem"}[operation]
        reply = self.table.answer(name, request | {"ReturnConsumedCapacity": "TOTAL"})
        assert isinstance(reply, Reply)
        return reply.body


@pytest.fixture(scope="module")
def real(engine: Any) -> Iterator[RealTable]:
    client = engine.client()
    names = ("userId", "HASH"), ("recordKey", "RANGE")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in names],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in names],
    )
    yield RealTable(client)
    client.delete_table(TableName=TABLE)
    client.close()


def stored(table: Any, items: list[Item]) -> str:
    """Store items for a new user, and return the user id."""
    user = f"u{next(users)}"
    for number, item in enumerate(items):
        key = {"userId": {"S": user}, "recordKey": {"S": f"note#{number}"}}
        table.send("put_item", {"TableName": table.name, "Item": item | key})
    return user


def found(table: Any, user: str, condition: Filter) -> list[int]:
    """The positions of the items that a filtered query returns."""
    expressions = Expressions()
    path, value = expressions.path(("userId",)), expressions.value({"S": user})
    request = {
        "TableName": table.name,
        "KeyConditionExpression": f"{path} = {value}",
        "FilterExpression": expressions.filter(condition),
    }
    reply = table.send("query", request | expressions.placeholders())
    return [int(item["recordKey"]["S"].removeprefix("note#")) for item in reply["Items"]]


def check(table: Any, items: list[Item], conditions: list[Filter]) -> None:
    user = stored(table, items)
    for condition in conditions:
        expected = [number for number, item in enumerate(items) if matches(condition, item)]
        assert found(table, user, condition) == expected, condition


@pytest.mark.not_on("moto", reason="it compares other types, text and binary by rules of its own")
@ON_ENGINES
@given(CASES)
def test_an_engine_finds_what_matches_in_memory(
    real: RealTable, case: tuple[list[Item], list[Filter]]
) -> None:
    """A filter of DynamoDB finds the items that the evaluator finds, whatever they hold."""
    check(real, *case)


@ON_ENGINES
@given(CASES)
def test_the_simulated_table_finds_what_matches_in_memory(
    case: tuple[list[Item], list[Filter]],
) -> None:
    """The simulated table judges by the same rules, from the text of the condition."""
    check(InMemory(SimulatedTable()), *case)
