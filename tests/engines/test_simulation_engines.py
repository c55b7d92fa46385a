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

from thrivecalc_models.operations import (
    Absent,
    AllOf,
    AnyOf,
    BatchStatements,
    Condition,
    DeleteItem,
    Equal,
    Exists,
    Key,
    Reply,
    UpdateItem,
)
from thrivecalc_models.testing.simulation import SimulatedTable

Json = dict[str, Any]

TABLE = "compared"
COUNTER = itertools.count()
ON_ENGINES = settings(
    max_examples=min(200, settings().max_examples),
    suppress_health_check=list(HealthCheck),
    deadline=None,
)


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
    result = table.answer(operation, request)
    if isinstance(result, Reply):
        return answer_of_body(operation, request, result.body)
    reasons = [(each.code, each.item) for each in result.reasons]
    return Answer(result.code, plain([result.item, reasons]))


def answer_of_body(operation: str, request: Json, body: Json) -> Answer:
    capacity = body.pop("ConsumedCapacity", None)
    body.pop("ItemCollectionMetrics", None)  # moto's, unasked
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
def everyday_requests(draw: Any, run: str) -> tuple[str, Json]:
    """One request as a service sends it most of the time."""
    kind = draw(st.integers(0, 6))
    user, record_key = draw(keys)
    where = key(run + user, record_key)
    exists = {
        "ConditionExpression": f"attribute_{draw(st.sampled_from(('', 'not_')))}exists(#k)",
        "ExpressionAttributeNames": {"#k": "recordKey"},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if kind == 0:
        return "PutItem", {"TableName": TABLE, "Item": where | draw(attributes)}
    if kind == 1:
        return "PutItem", {"TableName": TABLE, "Item": where | draw(attributes)} | exists
    if kind == 2:
        return "DeleteItem", {"TableName": TABLE, "Key": where, "ReturnValues": "ALL_OLD"}
    if kind == 3:
        update = {
            "UpdateExpression": "SET #s = :s REMOVE #n",
            "ExpressionAttributeNames": {"#s": "s", "#n": "n", "#k": "recordKey"},
            "ExpressionAttributeValues": {":s": draw(values)},
            "ReturnValues": "ALL_NEW",
        }
        return "UpdateItem", {"TableName": TABLE, "Key": where} | exists | update
    if kind == 4:
        chosen = draw(st.lists(keys, min_size=1, max_size=4, unique=True))
        puts = [{"PutRequest": {"Item": key(run + u, r) | draw(attributes)}} for u, r in chosen]
        return "BatchWriteItem", {"RequestItems": {TABLE: puts}}
    if kind == 5:
        chosen = draw(st.lists(keys, min_size=1, max_size=4, unique=True))
        return "BatchGetItem", {
            "RequestItems": {TABLE: {"Keys": [key(run + u, r) for u, r in chosen]}}
        }
    page = {
        "TableName": TABLE,
        "KeyConditionExpression": "#u = :u AND begins_with(#k, :p)",
        "ExpressionAttributeNames": {"#u": "userId", "#k": "recordKey"},
        "ExpressionAttributeValues": {":u": {"S": run + user}, ":p": {"S": "a#"}},
    }
    return "Query", page


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


@pytest.mark.not_on("moto", reason="reads conditions and updates in ways of its own")
@given(data=st.data())
@ON_ENGINES
def test_replies_are_those_of_the_engine(real: RealTable, data: st.DataObject) -> None:
    """Whatever is asked, in whatever order, the simulation and the engine give the same answers."""
    run = f"run-{next(COUNTER)}-"
    compare(real, data.draw(st.lists(requests(run), min_size=1, max_size=12)))


@given(data=st.data())
@ON_ENGINES
def test_everyday_replies_are_those_of_every_engine(real: RealTable, data: st.DataObject) -> None:
    """Unconditional writes, keyed reads and pages have the same answers on every engine."""
    run = f"everyday-{next(COUNTER)}-"
    compare(real, data.draw(st.lists(everyday_requests(run), min_size=1, max_size=12)))


STATEMENT_PATHS = (("n",), ("s",), ("m", "x"), ("m", "y"), ("t",), ('a "b"',), ("m", "é.x"))


@st.composite
def typed_conditions(draw: Any) -> Condition:
    """Conditions as the lock has them."""
    some_paths = st.sampled_from(STATEMENT_PATHS)
    each = st.one_of(
        st.builds(Exists, some_paths),
        st.builds(Absent, some_paths),
        st.builds(Equal, some_paths, values),
    )
    parts = draw(st.lists(each, max_size=3))
    if draw(st.booleans()):
        parts.append(AnyOf((draw(each), AllOf((draw(each), draw(each))))))
    return AllOf((Exists(("recordKey",)), *parts))


@st.composite
def batches_of_statements(draw: Any, run: str) -> tuple[str, Json]:
    """Updates and deletes of distinct keys, as the library writes them."""
    writes: list[UpdateItem | DeleteItem] = []
    for record_key in draw(st.lists(st.sampled_from(RECORD_KEYS), min_size=1, unique=True)):
        key = Key(f"{run}u", record_key)
        condition = draw(typed_conditions())
        if draw(st.booleans()):
            writes.append(DeleteItem(key=key, condition=AnyOf((Absent(("recordKey",)), condition))))
            continue
        chosen = draw(st.lists(st.sampled_from(STATEMENT_PATHS), min_size=1, unique=True))
        middle = draw(st.integers(0, len(chosen)))
        sets = tuple((path, draw(values)) for path in chosen[:middle])
        writes.append(
            UpdateItem(key=key, sets=sets, removes=tuple(chosen[middle:]), condition=condition)
        )
    return BatchStatements.name, BatchStatements(writes=tuple(writes)).request(TABLE)


@pytest.mark.not_on("moto", reason="answers 500 to every statement")
@pytest.mark.not_on("dynoxide", reason="shows no item, and takes one REMOVE a statement")
@given(data=st.data())
@ON_ENGINES
def test_statements_have_the_engines_outcomes(real: RealTable, data: st.DataObject) -> None:
    """Each statement that the library writes ends in the simulation as on DynamoDB Local."""
    run = f"statements-{next(COUNTER)}-"
    stored = st.sampled_from(RECORD_KEYS[:4])
    simulated = SimulatedTable(table_name=TABLE)
    for record_key in data.draw(st.lists(stored, unique=True)):
        item = key(f"{run}u", record_key) | data.draw(attributes)
        assert real.answer(*put(item)) == simulated_answer(simulated, *put(item))
    for batch in data.draw(st.lists(batches_of_statements(run), min_size=1, max_size=3)):
        assert outcomes(real.answer(*batch)) == outcomes(simulated_answer(simulated, *batch))


def outcomes(answer: Answer) -> Answer:
    """The codes and items of statements; the words of an error are each engine's own."""
    for response in answer.content["Responses"]:
        response.pop("TableName", None)
        response.get("Error", {}).pop("Message", None)
    return answer


def compare(real: RealTable, asked: list[tuple[str, Json]]) -> None:
    """Ask both, and hold their answers and their counts of capacity against each other."""
    simulated = SimulatedTable(table_name=TABLE)
    for operation, request in asked:
        ours = simulated_answer(simulated, operation, request)
        if not_worth_asking(real.engine.name, ours):
            continue
        theirs = real.answer(operation, request)
        if ours.code is theirs.code is None and forgets_the_last_key(real.engine.name, request):
            theirs.content.pop("LastEvaluatedKey", None)
            ours.content.pop("LastEvaluatedKey", None)
        assert theirs == ours
        if comparable(real.engine.name, operation, request, ours):
            assert theirs.capacity == ours.capacity


def not_worth_asking(name: str, ours: Answer) -> bool:
    """Whether the engine is known to do something else with a request that was refused here."""
    if name == "dynamodb-local":  # it refuses the call, and gives no reasons
        return ours.code == "TransactionCanceledException" and "ValidationError" in str(ours)
    return name == "moto" and ours.code == "ValidationException"  # it lets much pass


def forgets_the_last_key(name: str, request: Json) -> bool:
    """Whether DynamoDB Local may end a page at its limit without a key: at an upper bound."""
    condition = request.get("KeyConditionExpression", "")
    return name == "dynamodb-local" and ("BETWEEN" in condition or "<=" in condition)


def comparable(name: str, operation: str, request: Json, ours: Answer) -> bool:
    """Whether the engine's count of capacity units is right, by the tables of AWS's own guide."""
    if "ReturnConsumedCapacity" not in request or ours.code is not None:
        return False
    if name == "dynamodb-local":
        # It counts nothing for keys and queries without an item, and deletes in a batch twice.
        if operation in ("BatchGetItem", "BatchWriteItem", "TransactWriteItems"):
            return False
        return operation != "Query" or ours.content["ScannedCount"] > 0
    # dynoxide counts only what a projection lets through, and the index of a transaction once.
    return operation != "TransactWriteItems" and "ProjectionExpression" not in request


def put(item: Json, **more: Any) -> tuple[str, Json]:
    return "PutItem", {"TableName": TABLE, "Item": item} | more


def update(expression: str, values: Json | None = None, **more: Any) -> tuple[str, Json]:
    request = {"TableName": TABLE, "Key": key("refused", "a#1"), "UpdateExpression": expression}
    return "UpdateItem", request | ({"ExpressionAttributeValues": values} if values else {}) | more


def checked(condition: str, values: Json | None = None, **more: Any) -> tuple[str, Json]:
    return update("SET zz = n", values, ConditionExpression=condition, **more)


def query(condition: str, values: Json, **more: Any) -> tuple[str, Json]:
    request = {"TableName": TABLE, "KeyConditionExpression": f"userId = :u{condition}"}
    return "Query", request | {
        "ExpressionAttributeValues": {":u": {"S": "refused"}} | values
    } | more


def nested(levels: int) -> Json:
    value: Json = {"S": "x"}
    for _ in range(levels):
        value = {"M": {"a": value}}
    return value


ITEM = key("refused", "a#1")
ONE = {":v": {"N": "1"}}
TWO = {":v": {"N": "2"}, ":w": {"N": "1"}}
BATCH_DELETE = {"DeleteRequest": {"Key": ITEM}}
BATCH_PUT = {"PutRequest": {"Item": ITEM}}
TRANSACT_PUT = {"Put": {"TableName": TABLE, "Item": ITEM}}

REFUSED: dict[str, tuple[str, Json]] = {
    "an empty sort key": put(key("refused", "")),
    "a sort key of 1025 bytes": put(key("refused", "x" * 1025)),
    "a sort key of 513 characters of two bytes": put(key("refused", "é" * 513)),
    "a partition key of 2049 bytes": put(key("x" * 2049, "a")),
    "a key that is a number": put({"userId": {"N": "1"}, "recordKey": {"S": "a"}}),
    "a missing sort key": put({"userId": {"S": "refused"}}),
    "a data type that is a number": put(ITEM | {"dataType": {"N": "1"}}),
    "an empty data type": put(ITEM | {"dataType": {"S": ""}}),
    "a number of 39 digits": put(ITEM | {"n": {"N": "1" * 39}}),
    "a number of 1E126": put(ITEM | {"n": {"N": "1E126"}}),
    "a number that is none": put(ITEM | {"n": {"N": "one"}}),
    "an empty set": put(ITEM | {"s": {"SS": []}}),
    "a set with equal numbers": put(ITEM | {"s": {"NS": ["1", "1.0"]}}),
    "NULL that is false": put(ITEM | {"s": {"NULL": False}}),
    "two types at once": put(ITEM | {"s": {"S": "a", "N": "1"}}),
    "32 maps": put(ITEM | {"data": nested(32)}),
    "409,601 bytes": put(ITEM | {"b": {"S": "x" * (409_601 - 22)}}),
    "ALL_NEW of a put": put(ITEM, ReturnValues="ALL_NEW"),
    "an unused value": checked("attribute_exists(n)", ONE),
    "an unused name": checked("attribute_exists(n)", ExpressionAttributeNames={"#a": "b"}),
    "an unknown value": checked("n = :nowhere"),
    "an unknown name": checked("#nowhere = n"),
    "an empty condition": checked(""),
    "names without an expression": put(ITEM, ExpressionAttributeNames={"#a": "b"}),
    "doubled parentheses": checked("((attribute_exists(n)))"),
    "a literal": checked("n = 5"),
    "a prefix that is a number": checked("begins_with(n, :v)", ONE),
    "bounds the wrong way round": checked("n BETWEEN :v AND :w", TWO),
    "an unknown function": checked("is_there(n)"),
    "4097 bytes": checked(f"attribute_exists({'x' * 4079})"),
    "a value beneath nothing": update("SET q.x = :v", ONE),
    "a value beneath a number": update("SET n.x = :v", ONE),
    "an operand that is not there": update("SET n = q"),
    "a sum with text": update("SET n = n + :v", {":v": {"S": "1"}}),
    "a path within another": update("SET m = :v, m.x = :v", ONE),
    "a path twice": update("SET n = :v REMOVE n", ONE),
    "a clause twice": update("SET n = :v SET s = :v", ONE),
    "a key attribute": update("SET userId = :v", {":v": {"S": "else"}}),
    "an empty data type by update": update("SET dataType = :v", {":v": {"S": ""}}),
    "ADD of text": update("ADD n :v", {":v": {"S": "a"}}),
    "DELETE of another kind of set": update("DELETE ns :v", {":v": {"SS": ["a"]}}),
    "a sum of over 38 digits": update("SET n = n + :v", {":v": {"N": "1E-60"}}),
    "a filter on the sort key": query("", {}, FilterExpression="recordKey = :u"),
    "a filter on the index key": query(
        "", {}, FilterExpression="dataType = :u", IndexName="DataTypeIndex"
    ),
    "a consistent read of the index": query("", {}, ConsistentRead=True, IndexName="DataTypeIndex"),
    "an unknown index": query("", {}, IndexName="Other"),
    "a key condition with OR": query(" OR recordKey = :v", {":v": {"S": "a"}}),
    "a key condition with <>": query(" AND recordKey <> :v", {":v": {"S": "a"}}),
    "a condition on no key": query(" AND other = :v", {":v": {"S": "a"}}),
    "a limit of 0": query("", {}, Limit=0),
    "half a start key": query("", {}, ExclusiveStartKey={"userId": {"S": "refused"}}),
    "a start key of another user": query("", {}, ExclusiveStartKey=key("other", "a")),
    "an empty batch": ("BatchWriteItem", {"RequestItems": {TABLE: []}}),
    "a key twice in a batch": (
        "BatchWriteItem",
        {"RequestItems": {TABLE: [BATCH_DELETE, BATCH_PUT]}},
    ),
    "26 writes": (
        "BatchWriteItem",
        {
            "RequestItems": {
                TABLE: [{"DeleteRequest": {"Key": key("refused", str(n))}} for n in range(26)]
            }
        },
    ),
    "one bad key in a batch": (
        "BatchWriteItem",
        {"RequestItems": {TABLE: [BATCH_PUT, {"PutRequest": {"Item": key("refused", "")}}]}},
    ),
    "101 keys": (
        "BatchGetItem",
        {"RequestItems": {TABLE: {"Keys": [key("refused", str(n)) for n in range(101)]}}},
    ),
    "a key twice": ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": [ITEM, ITEM]}}}),
    "no keys": ("BatchGetItem", {"RequestItems": {TABLE: {"Keys": []}}}),
    "a transaction with a key twice": (
        "TransactWriteItems",
        {"TransactItems": [TRANSACT_PUT, TRANSACT_PUT]},
    ),
    "an empty transaction": ("TransactWriteItems", {"TransactItems": []}),
    "a token of 37 characters": (
        "TransactWriteItems",
        {"TransactItems": [TRANSACT_PUT], "ClientRequestToken": "x" * 37},
    ),
    "another table": ("GetItem", {"TableName": "nowhere", "Key": ITEM}),
}
ACCEPTED_BY_DYNOXIDE = {"a start key of another user"}


@pytest.mark.not_on("moto", reason="accepts much that AWS refuses")
@pytest.mark.parametrize("what", REFUSED)
def test_what_an_engine_refuses_is_refused(real: RealTable, what: str) -> None:
    """A request that breaks a rule is refused with the engine's own code, and changes nothing."""
    operation, request = REFUSED[what]
    if real.engine.name == "dynoxide" and what in ACCEPTED_BY_DYNOXIDE:
        pytest.skip("dynoxide accepts it")
    simulated = SimulatedTable(table_name=TABLE)
    item = ITEM | {"n": {"N": "5"}, "s": {"S": "a"}, "ns": {"NS": ["1"]}, "m": {"M": {}}}
    setup = put(item)
    assert real.answer(*setup) == simulated_answer(simulated, *setup)
    theirs = real.answer(operation, request)
    ours = simulated_answer(simulated, operation, request)
    assert theirs.code is not None
    assert ours.code == theirs.code
    assert simulated.get("refused", "a#1") == item
