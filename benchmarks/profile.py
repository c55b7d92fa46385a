"""Where the CPU of the five operations goes, in the library on its direct transport.

    python -m benchmarks.profile [--write]

The whole is measured against the canned endpoint, what is ours once more with the recorded replies
in place of the transport, and each other part by itself; what is left of the whole is libcurl's and
the system's. `--write` puts the table into docs/performance.md.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks import goal, report
from benchmarks.clients import ThriveCalc
from benchmarks.endpoint import running
from benchmarks.operations import COLUMNS, HEADER, operations
from thrivecalc_models import SavingsGoalData
from thrivecalc_models.codec import Origins, decode_payload
from thrivecalc_models.operations import Reply
from thrivecalc_models.transport.direct_replies import result_of
from thrivecalc_models.transport.signing import Signer
from thrivecalc_models.wire import Item

ROUNDS = 7
SECONDS = 0.15  # of a round

Requests = list[tuple[str, dict[str, Any], Reply]]


class Recorded:
    """A transport that notes what it sends, and then answers from its notes."""

    name = "recorded"

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._replies: dict[bytes, Reply] = {}
        self.requests: Requests = []
        self.answering = False

    def send(self, operation: str, request: dict[str, Any]) -> Any:
        if self.answering:
            if operation in ("GetItem", "Query", "BatchGetItem"):
                return self._replies[self._key(operation, request)]
            return self.requests[0][2]
        reply = self._transport.send(operation, request)
        self.requests.append((operation, request, reply))
        self._replies[self._key(operation, request)] = reply
        return reply

    def close(self) -> None:
        self._transport.close()

    @staticmethod
    def _key(operation: str, request: dict[str, Any]) -> bytes:
        return operation.encode() + orjson.dumps(request)


class Counted(ThriveCalc):
    """The client of the other benchmarks, one request at a time, on a transport that records."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, "direct", max_concurrency=1)
        exchange = self._store._binding.driver._exchange
        self.recorded = Recorded(exchange.transport)
        object.__setattr__(exchange, "transport", self.recorded)


def cpu(call: Callable[[], Any], items: int = 1) -> float:
    """Microseconds of CPU an item: the least of some rounds."""
    call()
    gc.collect()
    best = float("inf")
    for _ in range(ROUNDS):
        calls, began = 0, time.process_time()
        while (taken := time.process_time() - began) < SECONDS:
            call()
            calls += 1
        best = min(best, taken / calls)
    return best / items * 1e6


def parts(endpoint: str, column: str) -> dict[str, float]:
    whole = ThriveCalc(endpoint, "direct")
    counted = Counted(endpoint)
    try:
        call, _, items = operations(whole)[column]
        total = cpu(call, items)
        call = operations(counted)[column][0]
        call()
        counted.recorded.answering = True
        requests = list(counted.recorded.requests)
        ours = cpu(call, items)
    finally:
        whole.close()
        counted.close()
    payloads = cpu(payload_work(counted, column, requests), items)
    json = cpu(json_work(requests), items)
    signature = cpu(signing_work(endpoint, requests), items)
    return {
        "all of it": total,
        "libcurl and the system": max(0.0, total - ours - json - signature),
        "signature": signature,
        "JSON, and the checks of a reply": json,
        "payloads: made, or decoded": payloads,
        "records, conditions, plan, account": ours - payloads,
    }


def payload_work(client: Any, column: str, requests: Requests) -> Callable[[], Any]:
    if column in ("put", "batch write"):
        return client._new if column == "put" else lambda: [client._new() for _ in range(1000)]
    contents = [item["data"]["M"] for _, _, reply in requests for item in items_of(reply)]
    return lambda: [decode_payload(SavingsGoalData, content, Origins()) for content in contents]


def items_of(reply: Reply) -> list[Item]:
    body = reply.body
    if "Item" in body:
        return [body["Item"]]
    return body.get("Items") or [item for found in body["Responses"].values() for item in found]


def json_work(requests: Requests) -> Callable[[], Any]:
    bodies = [
        (operation, request, orjson.dumps(reply.body)) for operation, request, reply in requests
    ]

    def work() -> None:
        for operation, request, body in bodies:
            orjson.dumps(request)
            result_of(operation, request, 200, b"HTTP/1.1 200 OK\r\n\r\n", body)

    return work


def signing_work(endpoint: str, requests: Requests) -> Callable[[], Any]:
    signer = Signer(endpoint, region=goal.REGION)
    bodies = [(operation, orjson.dumps(request)) for operation, request, _ in requests]

    class Credentials:
        access_key = goal.ACCESS_KEY
        secret_key = goal.SECRET_KEY
        token = None

    def work() -> None:
        for operation, body in bodies:
            signer.headers(operation, body, Credentials, time.time())

    return work


def main() -> None:
    with running() as endpoint:
        columns = [parts(endpoint, column) for column in COLUMNS]
    rows = [[name, *(report.number(column[name]) for column in columns)] for name in columns[0]]
    report.publish(
        "profile",
        f"{report.machine()}; least of {ROUNDS}, microseconds of CPU:\n\n"
        + report.table(HEADER, rows),
    )


if __name__ == "__main__":
    main()
