"""A canned DynamoDB on loopback that answers at once, from bodies it has made before.

    python -m benchmarks.endpoint [--latency 0.005]

It checks nothing, keeps nothing, and sends right checksums. It prints its URL, and ends with its
standard input.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

from benchmarks import goal

PAGE = 2000  # items of about 430 bytes: just under DynamoDB's 1 MB
_TARGET = re.compile(rb"(?i)\r\nx-amz-target: *\w+\.(\w+)")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_KEY = re.compile(rb'"recordKey"\s*:\s*\{\s*"S"\s*:\s*"([^"]*)"')
_USER = re.compile(rb'"(google-oauth2\|[^"]+)"')


@contextmanager
def running(latency: float = 0.0) -> Iterator[str]:
    """The URL of an endpoint in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.endpoint", "--latency", str(latency)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def respond(operation: str, body: bytes) -> bytes:
    match operation:
        case "GetItem":
            return _one(_user(body), _KEY.findall(body)[0])
        case "Query":
            return _page(body)
        case "Scan":
            return _segment(body)
        case "DescribeTable":
            return _reply(_json({"Table": {"KeySchema": _KEYS, "ItemCount": _size(body)}}))
        case "BatchGetItem":
            return _some(body)
        case "BatchWriteItem":
            return _reply(_json({"UnprocessedItems": {}, "ConsumedCapacity": [_CAPACITY]}))
        case "BatchExecuteStatement":
            return _statements(body)
        case "UpdateItem":
            return _updated(body)
        case "TransactWriteItems":
            return _reply(_json({"ConsumedCapacity": [_CAPACITY]}))
        case _:
            return _reply(_json({"ConsumedCapacity": _CAPACITY}))


_CAPACITY = {"TableName": goal.TABLE, "CapacityUnits": 1.0}
"""What proves that a reply is one: every request asks for it."""


@cache
def _one(user: str, key: bytes) -> bytes:
    capacity = _json(_CAPACITY)
    return _reply(b'{"Item":' + _item(user, key) + b',"ConsumedCapacity":' + capacity + b"}")


def _statements(body: bytes) -> bytes:
    """All of them are applied to the items as they are at first; each shows what became of it."""
    responses = []
    for statement in json.loads(body)["Statements"]:
        names, conditions = statement["Statement"].partition(" SET ")[2].split(" WHERE ")
        values = iter(statement["Parameters"])
        sets = {path: next(values) for path in re.findall(r"(\S+) = \?", names)}
        wheres = {path: next(values) for path in re.findall(r"(\S+) = \?", conditions)}
        item = _with(
            wheres['"userId"']["S"],
            wheres['"recordKey"']["S"],
            {path.replace('"', ""): value for path, value in sets.items()},
        )
        responses.append({"TableName": goal.TABLE, "Item": item})
    return _reply(_json({"Responses": responses, "ConsumedCapacity": [_CAPACITY]}))


def _updated(body: bytes) -> bytes:
    """The same for one update with an expression such as `SET #0.#1 = :0, #2 = :1`."""
    request = json.loads(body)
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    sets = {
        re.sub(r"#\w+", lambda found: str(names[found[0]]), path): values[placeholder]
        for path, placeholder in re.findall(r"([#.\w]+) = (:\w+)", request["UpdateExpression"])
    }
    key = request["Key"]
    item = _with(key["userId"]["S"], key["recordKey"]["S"], sets)
    return _reply(_json({"Attributes": item, "ConsumedCapacity": _CAPACITY}))


def _with(user: str, key: str, sets: dict[str, Any]) -> dict[str, Any]:
    item = goal.item(goal.goal(user, goal.number_of(key)))
    for path, value in sets.items():
        first, _, second = path.partition(".")
        if second:
            item[first]["M"][second] = value
        else:
            item[first] = value
    return item


def _user(body: bytes) -> str:
    found = _USER.search(body)
    assert found is not None
    return found[1].decode()


def _page(body: bytes) -> bytes:
    request = json.loads(body)
    values = request.get("ExpressionAttributeValues", {}).values()
    user = next(value["S"] for value in values if "|" in value.get("S", ""))
    after = request.get("ExclusiveStartKey")
    start = goal.number_of(after["recordKey"]["S"]) + 1 if after else 0
    return _items_from(user, start)


_KEYS = [
    {"AttributeName": "userId", "KeyType": "HASH"},
    {"AttributeName": "recordKey", "KeyType": "RANGE"},
]


def _size(body: bytes) -> int:
    """The records of a table, whose name ends with their number."""
    return goal.records_of(str(json.loads(body)["TableName"]))


def _segment(body: bytes) -> bytes:
    """A page of a scan: each segment is a user of its own."""
    request = json.loads(body)
    records = _size(body) // int(request["TotalSegments"])
    after = request.get("ExclusiveStartKey")
    start = goal.number_of(after["recordKey"]["S"]) + 1 if after else 0
    return _items_from(goal.user_id(records, int(request["Segment"])), start)


@cache
def _items_from(user: str, start: int) -> bytes:
    end = min(goal.records_of(user), start + PAGE)
    items = [goal.item(goal.goal(user, number)) for number in range(start, end)]
    content: dict[str, Any] = {
        "Items": items,
        "Count": len(items),
        "ScannedCount": len(items),
        "ConsumedCapacity": _CAPACITY,
    }
    if end < goal.records_of(user):
        last = items[-1]
        content["LastEvaluatedKey"] = {
            name: last[name] for name in ("userId", "recordKey", "dataType")
        }
    return _reply(_json(content))


def _some(body: bytes) -> bytes:
    user = _user(body)
    items = b",".join(_item(user, key) for key in _KEY.findall(body))
    table = json.dumps(goal.TABLE).encode()
    capacity = _json([_CAPACITY])
    return _reply(
        b'{"Responses":{'
        + (table + b":[" + items)
        + b']},"UnprocessedKeys":{},"ConsumedCapacity":'
        + capacity
        + b"}"
    )


@cache
def _item(user: str, key: bytes) -> bytes:
    return _json(goal.item(goal.goal(user, goal.number_of(key.decode()))))


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


_NO_ID = "A" * 52
_IDS = itertools.count()  # the service gives no id twice


def _reply(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 07 Jan 2025 12:30:00 GMT\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n"
        f"Connection: keep-alive\r\nx-amzn-RequestId: {_NO_ID}\r\nx-amz-crc32: {crc32(body)}\r\n"
    )
    return head.encode() + b"\r\n" + body


def _serve(connection: socket.socket, latency: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            more = connection.recv(262_144)
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        wanted = _LENGTH.search(head)
        length = int(wanted[1]) if wanted else 0
        while len(body) < length:
            body += connection.recv(262_144)
        body, data = body[:length], body[length:]
        target = _TARGET.search(head)
        reply = respond(target[1].decode() if target else "", body)
        if latency:
            time.sleep(latency)
        connection.sendall(reply.replace(_NO_ID.encode(), b"%052d" % next(_IDS), 1))


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="A canned DynamoDB on loopback.")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    latency = parser.parse_args().latency
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, latency), daemon=True).start()


if __name__ == "__main__":
    main()
