"""One reply means one thing: both transports read the same bytes as the same result."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sending import ask
from servers import Listener, read_request

from thrivecalc_models.operations import Reply
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.auto import make_transport

pytest.importorskip("pycurl")

KEY = {"userId": {"S": "u"}, "recordKey": {"S": "a#1"}}
REQUESTS = {
    "GetItem": {"TableName": "t", "Key": KEY},
    "PutItem": {"TableName": "t", "Item": KEY},
    "UpdateItem": {"TableName": "t", "Key": KEY, "ReturnValues": "ALL_NEW"},
    "Query": {"TableName": "t"},
    "BatchGetItem": {"RequestItems": {"t": {"Keys": [KEY]}}},
    "BatchWriteItem": {"RequestItems": {"t": [{"PutRequest": {"Item": KEY}}]}},
    "TransactWriteItems": {"TransactItems": [{"Put": {"TableName": "t", "Item": KEY}}]},
}
ITEM = KEY | {"n": {"N": "1"}, "b": {"B": "AA=="}}
CAPACITY = {"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 1.0}}
TYPE = "com.amazonaws.dynamodb.v20120810#"


class Answering(Listener):
    """Gives every request the same reply, over a connection of its own."""

    reply = b""

    def converse(self, number, connection, incoming):
        read_request(incoming)
        connection.sendall(self.reply)


@pytest.fixture(scope="module")
def both():
    with closing(Answering()) as service:
        chosen = Settings(table_name="t", region="us-east-1", endpoint=service.endpoint)
        transports = [
            make_transport(name, chosen, timeout=5, max_concurrency=1)
            for name in ("direct", "botocore")
        ]
        yield service, transports
        for transport in transports:
            transport.close()


def error(code, **more):
    return {"__type": TYPE + code, "message": "no", **more}


def reasons(*given):
    return error("TransactionCanceledException", CancellationReasons=list(given))


ORDINARY = [
    (200, "GetItem", CAPACITY | {"Item": ITEM}),
    (200, "PutItem", CAPACITY),
    (200, "UpdateItem", CAPACITY | {"Attributes": ITEM}),
    (200, "Query", CAPACITY | {"Items": [ITEM], "Count": 1, "LastEvaluatedKey": {"k": {"S": "1"}}}),
    (200, "BatchGetItem", CAPACITY | {"Responses": {"t": [ITEM]}, "UnprocessedKeys": {}}),
    (200, "BatchWriteItem", CAPACITY | {"UnprocessedItems": {}}),
    (400, "PutItem", error("ConditionalCheckFailedException", Item=ITEM)),
    (400, "PutItem", error("ThrottlingException")),
    (400, "PutItem", error("ValidationException")),
    (
        400,
        "TransactWriteItems",
        reasons({"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": ITEM}),
    ),
    (400, "TransactWriteItems", reasons({"Code": "TransactionConflict", "Message": "m"})),
    (500, "PutItem", error("InternalServerError")),
]
RUBBISH = [None, "x", "", [], {}, 7, 1.5, True, [None], {"x": None}, [{}], [[]], {"S": 1}]


@st.composite
def replies(draw):
    """An ordinary reply of which a member somewhere is dropped, or is something else."""
    status, operation, content = draw(st.sampled_from(ORDINARY))
    status = draw(st.sampled_from([status, status, status, 200, 400, 413, 503, 302]))
    content = json.loads(json.dumps(content))
    holder = content
    for _ in range(draw(st.integers(0, 4))):
        inner = [v for v in (holder.values() if isinstance(holder, dict) else holder)]
        inner = [each for each in inner if isinstance(each, dict | list) and each]
        if not inner:
            break
        holder = draw(st.sampled_from(inner))
    if isinstance(holder, dict):
        place = draw(st.sampled_from(sorted(holder)))
    else:
        place = draw(st.integers(0, len(holder) - 1))
    if draw(st.booleans()):
        holder[place] = draw(st.sampled_from(RUBBISH))
    elif draw(st.booleans()):
        del holder[place]
    elif isinstance(holder, dict):
        names = ["ResponseMetadata", "Error", "Message", "Item", "__type", "x"]
        holder[draw(st.sampled_from(names))] = draw(st.sampled_from(RUBBISH))
    return status, operation, json.dumps(content).encode()


def meaning(result):
    if isinstance(result, Reply):
        return "reply", result.body, result.proven, result.request_id
    return (
        result.kind,
        result.again,
        result.applied_maybe,
        result.item,
        [(reason.code, reason.item) for reason in result.reasons],
        result.message if isinstance(result.message, str) else TypeError,
        result.status,
    )


def compare(both, status, operation, body):
    service, transports = both
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
    service.reply = "\r\n".join([*head, "x-amzn-RequestId: r-1", "", ""]).encode() + body
    direct, botocore = (
        meaning(ask(transport, operation, REQUESTS[operation])) for transport in transports
    )
    assert direct == botocore


@given(reply=replies())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_reply(both, reply):
    """Whatever member of a reply is dropped, retyped or added, it raises nothing, and means the
    same on both transports."""
    compare(both, *reply)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'"x"',
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a": ' + b"1" * 10_000 + b"}",
    ],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_body_that_is_hardly_json(both, status, body):
    """What only some parsers of JSON take means the same on both transports."""
    compare(both, status, "PutItem", body)
