"""The simulated table answers as real engines do, request by request."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thrivecalc_models.operations import Reply
from thrivecalc_models.testing.simulation import SimulatedTable

Json = dict[str, Any]

TABLE = "compared"
COUNTER = itertools.count()
INVALID = {"ValidationException", "SerializationException", "ParamValidationError"}


@attrs.frozen
class Answer:
    """A reply or a failure, in a form in which two engines can be compared."""

    code: str | None
    content: Any
    capacity: Any = attrs.field(default=None, eq=False)


class RealTable:
    """A table on an engine, reached without an SDK so that binary values stay as they are."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self._connection = http.client.HTTPConnection(urlsplit(engine.endpoint).netloc)
        self.answer("DeleteTable", {"TableName": TABLE})
        schema = [("userId", "HASH"), ("recordKey", "RANGE")]
        index_schema = [("userId", "HASH"), ("dataType", "RANGE")]
        created = self.answer(
            "CreateTable",
            {
                "TableName": TABLE,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": name, "AttributeType": "S"}
                    for name in ("userId", "recordKey", "dataType")
                ],
                "KeySchema": key_schema(schema),
                "GlobalSecondaryIndexes": [
                    {
                        "IndexName": "DataTypeIndex",
                        "KeySchema": key_schema(index_schema),
                        "Projection": {"ProjectionType": "ALL"},
                    }
                ],
            },
        )
        assert created.code is None

    def answer(self, operation: str, request: Json) -> Answer:
        credential = f"{self.engine.access_key}/20250101/{self.engine.region}/dynamodb/aws4_request"
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "X-Amz-Date": "20250101T000000Z",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, "
            "Signature=00",
        }
        self._connection.request("POST", "/", json.dumps(request), headers)
        response = self._connection.getresponse()
        body = json.loads(response.read())
        if response.status == 200:
            return answer_of_body(operation, request, body)
        reasons = [(each["Code"], each.get("Item")) for each in body.get("CancellationReasons", ())]
        return Answer(body["__type"].split("#")[-1], plain([body.get("Item"), reasons]))

    def close(self) -> None:
        self._connection.close()


def key_schema(names: list[tuple[str, str]]) -> list[Json]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in names]


def simulated_answer(table: SimulatedTable, operation: str, request: Json) -> Answer:
    result = table.send(operation, request)
    if isinstance(result, Reply):
        return answer_of_body(operation, request, result.body)
    reasons = [(each.code, each.item) for each in result.reasons]
    return Answer(result.code, plain([result.item, reasons]))


def answer_of_body(operation: str, request: Json, body: Json) -> Answer:
    capacity = body.pop("ConsumedCapacity", None)
    if operation == "BatchGetItem":
        for items in body["Responses"].values():
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
    if operation == "Query" and "IndexName" in request and "Items" in body:
        # The order of items of one data type is nobody's promise.
        body["Items"].sort(key=lambda item: json.dumps(item, sort_keys=True))
    return Answer(None, plain(body), capacity)


def plain(value: Any) -> Any:
    """Sets sorted, and numbers by value, since DynamoDB Local keeps the zeros of a sum."""
    if isinstance(value, dict):
        return {
            name: Decimal(inner)
            if name == "N" and isinstance(inner, str)
            else sorted(inner)
            if name in ("SS", "NS", "BS") and isinstance(inner, list)
            else plain(inner)
            for name, inner in value.items()
        }
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


@pytest.fixture(scope="module")
def real(engine: Any) -> Iterator[RealTable]:
    table = RealTable(engine)
    yield table
    table.close()


# Requests

RECORD_KEYS = ("a#1", "a#10", "a#2", "b#1", "é#1", "😀#1")
NUMBERS = ("0", "1", "-1", "1.50", "2", "1e3", "-0.0", "123456789012345678901234567890.12345678")
NAMES = ("n", "s", "ns", "l", "m", "t")

numbers = st.sampled_from(NUMBERS).map(lambda text: {"N": text})
texts = st.sampled_from(("", "a", "ab", "é😀", "b")).map(lambda text: {"S": text})
binaries = st.binary(max_size=3).map(lambda raw: {"B": base64.b64encode(raw).decode()})
number_sets = st.lists(st.sampled_from(("1", "2", "3.5")), min_size=1, unique=True).map(
    lambda members: {"NS": members}
)
text_sets = st.lists(st.sampled_from(("a", "b", "é")), min_size=1, unique=True).map(
    lambda members: {"SS": members}
)
scalars = numbers | texts | binaries | st.sampled_from(({"BOOL": True}, {"NULL": True}))
lists = st.lists(numbers | texts, max_size=3).map(lambda each: {"L": each})
maps = st.dictionaries(st.sampled_from(("x", "y", "é")), scalars | lists, max_size=3).map(
    lambda each: {"M": each}
)
values = scalars | lists | maps | number_sets | text_sets
data_types = st.sampled_from(("a", "b", "ab")).map(lambda text: {"S": text})
filler = st.sampled_from((900, 2100, 4200)).map(lambda size: {"S": "x" * size})
attributes = st.fixed_dictionaries(
    {},
    optional={
        "dataType": data_types,
        "n": numbers,
        "s": texts,
        "ns": number_sets,
        "l": lists,
        "m": maps,
        "t": values,
        "big": filler,
    },
)
paths = st.sampled_from(
    ("#n", "#s", "#ns", "#l", "#m", "#t", "#m.#x", "#m.#y", "#l[0]", "#l[1]", "#t.#x", "#t[0]")
)
top_paths = st.sampled_from(("#n", "#s", "#ns", "#l", "#m", "#t"))


@attrs.define
class Expressions:
    """Placeholders as a request is put together."""

    values: Json = attrs.field(factory=dict)

    def value(self, value: Json) -> str:
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = value
        return placeholder

    def request(self, **expressions: str | None) -> Json:
        request: Json = {name: text for name, text in expressions.items() if text}
        text = " ".join(request.values())
        names = {f"#{name}": name for name in (*NAMES, "x", "y") if uses(text, f"#{name}")}
        if names:
            request["ExpressionAttributeNames"] = names
        if self.values:
            request["ExpressionAttributeValues"] = self.values
        return request


def uses(text: str, placeholder: str) -> bool:
    parts = text.split(placeholder)
    return any(not part[:1].isalnum() for part in parts[1:])


@st.composite
def conditions(draw: Any, expressions: Expressions, depth: int = 2) -> str:
    """A condition that every engine can read; operands of one comparison are of any types."""
    kind = draw(st.integers(0, 9 if depth else 6))
    path = draw(paths)
    if kind == 0:
        return f"attribute_exists({path})"
    if kind == 1:
        return f"attribute_not_exists({path})"
    if kind == 2:
        return f"{path} {draw(st.sampled_from(('=', '<>')))} {expressions.value(draw(values))}"
    if kind == 3:
        operator = draw(st.sampled_from(("<", "<=", ">", ">=")))
        return f"{path} {operator} {expressions.value(draw(numbers | texts | binaries))}"
    if kind == 4:
        return f"begins_with({path}, {expressions.value(draw(texts))})"
    if kind == 5:
        return f"contains({path}, {expressions.value(draw(numbers | texts))})"
    if kind == 6:
        return f"size({path}) > {expressions.value(draw(numbers))}"
    inner = draw(conditions(expressions, depth - 1))
    if kind == 7:
        return f"NOT ({inner})" if not inner.startswith("(") else f"NOT {inner}"
    other = draw(conditions(expressions, depth - 1))
    return f"({inner} {'AND' if kind == 8 else 'OR'} {other})"


@st.composite
def updates(draw: Any, expressions: Expressions) -> str:
    """An update of up to three attributes, or of places within them."""
    chosen = draw(st.lists(top_paths, min_size=1, max_size=3, unique=True))
    clauses: dict[str, list[str]] = {}
    for path in chosen:
        clause, action = draw(actions(expressions, path))
        clauses.setdefault(clause, []).append(action)
    return " ".join(f"{clause} {', '.join(each)}" for clause, each in clauses.items())


@st.composite
def actions(draw: Any, expressions: Expressions, path: str) -> tuple[str, str]:
    place = path + draw(st.sampled_from(("", "", ".#x", "[0]", "[5]")))
    kind = draw(st.integers(0, 7))
    if kind == 0:
        return "SET", f"{place} = {expressions.value(draw(values))}"
    if kind == 1:
        number = expressions.value(draw(st.sampled_from(({"N": "1"}, {"N": "2.5"}))))
        return "SET", f"{path} = {path} {draw(st.sampled_from('+-'))} {number}"
    if kind == 2:
        return "SET", f"{path} = if_not_exists({path}, {expressions.value(draw(values))})"
    if kind == 3:
        return "SET", f"{path} = list_append({path}, {expressions.value(draw(lists))})"
    if kind == 4:
        return "ADD", f"{path} {expressions.value(draw(numbers | number_sets))}"
    if kind == 5:
        return "DELETE", f"{path} {expressions.value(draw(number_sets | text_sets))}"
    if kind == 6:
        return "SET", f"{path} = {draw(paths)}"
    return "REMOVE", path


Request = tuple[str, Callable[[str], Json]]


def key(user: str, record_key: str) -> Json:
    return {"userId": {"S": user}, "recordKey": {"S": record_key}}


users = st.sampled_from(("A", "B"))
record_keys = st.sampled_from(RECORD_KEYS)
keys = st.tuples(users, record_keys)


@st.composite
def single_writes(
    draw: Any, run: str, place: tuple[str, str], *, in_transaction: bool = False
) -> tuple[str, Json]:
    """A put, update, delete or check, with or without a condition."""
    user, record_key = place
    where = key(run + user, record_key)
    member = draw(st.sampled_from(("Put", "Put", "Update", "Update", "Delete", "ConditionCheck")))
    if member == "ConditionCheck" and not in_transaction:
        member = "Put"
    expressions = Expressions()
    update = draw(updates(expressions)) if member == "Update" else None
    condition = None
    if member == "ConditionCheck" or draw(st.booleans()):
        condition = draw(conditions(expressions))
    entry = {"TableName": TABLE} | expressions.request(
        UpdateExpression=update, ConditionExpression=condition
    )
    if condition and draw(st.booleans()):
        entry["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if member == "Put":
        return member, entry | {"Item": where | draw(attributes)}
    return member, entry | {"Key": where}


@st.composite
def requests(draw: Any, run: str) -> tuple[str, Json]:
    """One request on the records of a run."""
    kind = draw(st.integers(0, 9))
    capacity = {"ReturnConsumedCapacity": "INDEXES"}
    if kind <= 3:
        member, entry = draw(single_writes(run, draw(keys)))
        returns = {"Put": ("NONE", "ALL_OLD"), "Update": ("NONE", "ALL_NEW")}
        entry["ReturnValues"] = draw(st.sampled_from(returns.get(member, ("NONE", "ALL_OLD"))))
        return f"{member}Item", entry | capacity
    if kind == 4:
        chosen = draw(st.lists(keys, min_size=1, max_size=4, unique=True))
        puts = [{"PutRequest": {"Item": key(run + u, r) | draw(attributes)}} for u, r in chosen[1:]]
        writes = [{"DeleteRequest": {"Key": key(run + chosen[0][0], chosen[0][1])}}, *puts]
        return "BatchWriteItem", {"RequestItems": {TABLE: writes}} | capacity
    if kind == 5:
        chosen = draw(st.lists(keys, min_size=1, max_size=3, unique=True))
        entries = [draw(single_writes(run, place, in_transaction=True)) for place in chosen]
        items = [{member: entry} for member, entry in entries]
        return "TransactWriteItems", {"TransactItems": items} | capacity
    if kind == 6:
        chosen = draw(st.lists(keys, min_size=1, max_size=5, unique=True))
        wanted = {"Keys": [key(run + u, r) for u, r in chosen], "ConsistentRead": True}
        return "BatchGetItem", {"RequestItems": {TABLE: wanted}} | capacity
    if kind == 7:
        projection = draw(st.lists(top_paths, max_size=2, unique=True))
        request = Expressions().request(ProjectionExpression=", ".join(projection))
        place = key(run + draw(users), draw(record_keys))
        consistent = {"ConsistentRead": draw(st.booleans())}
        return "GetItem", {"TableName": TABLE, "Key": place} | consistent | request | capacity
    return "Query", draw(queries(run)) | capacity


@st.composite
def queries(draw: Any, run: str) -> Json:
    """Pages of a user, from the table or the index."""
    expressions = Expressions()
    by_index = draw(st.booleans())
    name = "dataType" if by_index else "recordKey"
    condition = f"userId = {expressions.value({'S': run + draw(users)})}"
    sort = st.sampled_from(("a", "a#", "a#1", "b")).map(lambda text: {"S": text})
    kind = draw(st.integers(0, 3))
    if kind == 1:
        condition += f" AND begins_with({name}, {expressions.value(draw(sort))})"
    elif kind == 2:
        operator = draw(st.sampled_from(("=", "<", "<=", ">", ">=")))
        condition += f" AND {name} {operator} {expressions.value(draw(sort))}"
    elif kind == 3:
        low, high = sorted((draw(sort)["S"], draw(sort)["S"]))
        bounds = f"{expressions.value({'S': low})} AND {expressions.value({'S': high})}"
        condition += f" AND {name} BETWEEN {bounds}"
    filtered = draw(conditions(expressions, 1)) if draw(st.booleans()) else None
    request = expressions.request(KeyConditionExpression=condition, FilterExpression=filtered)
    if by_index:
        return {"TableName": TABLE, "IndexName": "DataTypeIndex"} | request
    request["ScanIndexForward"] = draw(st.booleans())
    if draw(st.booleans()):
        request["Limit"] = draw(st.integers(1, 4))
    return {"TableName": TABLE, "ConsistentRead": draw(st.booleans())} | request


@given(data=st.data())
@settings(max_examples=4000, suppress_health_check=list(HealthCheck), deadline=None)
def test_replies_are_those_of_the_engine(real: RealTable, data: st.DataObject) -> None:
    """Whatever is asked, in whatever order, the simulation and the engine give the same answers."""
    run = f"run-{next(COUNTER)}-"
    simulated = SimulatedTable(table_name=TABLE)
    for operation, request in data.draw(st.lists(requests(run), min_size=1, max_size=12)):
        ours = simulated_answer(simulated, operation, request)
        if not_worth_asking(real.engine.name, operation, ours):
            continue
        theirs = real.answer(operation, request)
        assert theirs == ours
        if comparable(real.engine.name, operation, request, ours):
            assert theirs.capacity == ours.capacity


def not_worth_asking(name: str, operation: str, ours: Answer) -> bool:
    """Whether the engine is known to do something else with a request that was refused here."""
    in_transaction = ours.code == "TransactionCanceledException" and "ValidationError" in str(ours)
    return in_transaction and name == "dynamodb-local"  # refuses the call, and gives no reasons


def comparable(name: str, operation: str, request: Json, ours: Answer) -> bool:
    """Whether the engine's count of capacity units is right, by the tables of AWS's own guide."""
    if name == "moto" or ours.code is not None:
        return False
    if name == "dynamodb-local":
        # It counts nothing for keys and queries without an item, and deletes in a batch twice.
        if operation in ("BatchGetItem", "BatchWriteItem", "TransactWriteItems"):
            return False
        return operation != "Query" or ours.content["ScannedCount"] > 0
    # dynoxide counts only what a projection lets through, and the index of a transaction once.
    return operation != "TransactWriteItems" and "ProjectionExpression" not in request
