"""Signatures that the service finds too old or too new, on either transport."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from contextlib import closing, contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sending import ask

from thrivecalc_models.operations import FailureKind, Reply
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.auto import make_transport

SECRET = "thrivecalc"  # what stands in for credentials on this machine
PUT = {"TableName": "t", "Item": {"k": {"S": "1"}}}


class Server(ThreadingHTTPServer):
    """Verifies every signature, and then answers with what `answer(signed, number)` returns.

    `signed` is the time of the signature in Unix seconds; the answer is the service's time, and
    the code and text of an error, or None.
    """

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.signed = []

    def handle_error(self, request, client_address):
        raise AssertionError("a request that this server does not understand")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert verifies(self.path, self.headers, body)
        stamp = self.headers["X-Amz-Date"]
        signed = time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone
        self.server.signed.append(signed)
        now, error = self.server.answer(signed, len(self.server.signed))
        content = {"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 1.0}}
        if error is not None:
            content = {"__type": f"x#{error[0]}", "message": error[1]}
        reply = json.dumps(content).encode()
        self.send_response_only(200 if error is None else 400)
        self.send_header("Date", formatdate(now, usegmt=True))
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


def verifies(path, headers, body):
    """Whether the signature is right, by the rules of Signature Version 4."""
    parts = headers["Authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(",")
    given = dict(part.strip().split("=", 1) for part in parts)
    scope = given["Credential"].split("/", 1)[1]
    names = given["SignedHeaders"].split(";")
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join(["POST", path, "", *lines, "", ";".join(names), digest])
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["X-Amz-Date"], scope, hashed])
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex() == given["Signature"]


@contextmanager
def answering(transport, answer):
    server = Server(answer)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    settings = Settings(table_name="t", region="us-east-1", endpoint=endpoint)
    made = make_transport(transport, settings, timeout=5, max_concurrency=1)
    try:
        with closing(made):
            yield server, made
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


EXPIRED = ("InvalidSignatureException", "Signature expired: 1 is now earlier than 2 (3 - 5 min.)")
TOO_NEW = ("InvalidSignatureException", "Signature not yet current: 2 is still later than 1")
SKEWED = ("RequestTimeTooSkewed", "The difference is too large.")
WRONG = ("InvalidSignatureException", "The signature does not match.")


@pytest.mark.parametrize("error", [EXPIRED, SKEWED])
def test_a_process_that_stood_still(transport, error):
    """A request refused as signed too long ago, by a service whose clock agrees with ours, was not
    applied: it is signed anew and sent once more."""

    def first_was_late(signed, number):
        return time.time(), error if number == 1 else None

    with answering(transport, first_was_late) as (server, made):
        assert isinstance(ask(made, "PutItem", PUT), Reply)
        assert isinstance(ask(made, "PutItem", PUT), Reply)
    assert len(server.signed) == 3
    assert max(server.signed) - min(server.signed) < 60


def test_only_once_more(transport):
    """Refused again for its time, it ends as not applied."""
    with answering(transport, lambda signed, number: (time.time(), EXPIRED)) as (server, made):
        failure = ask(made, "PutItem", PUT)
    assert (failure.kind, failure.applied_maybe) == (FailureKind.CREDENTIALS, False)
    assert len(server.signed) == 2


def test_a_signature_that_is_wrong(transport):
    """What was refused for anything but its time is not sent again."""
    with answering(transport, lambda signed, number: (time.time(), WRONG)) as (server, made):
        assert ask(made, "PutItem", PUT).kind is FailureKind.CREDENTIALS
    assert len(server.signed) == 1


@pytest.mark.parametrize("offset", [-3600, 86_400])
def test_a_clock_that_is_wrong(transport, offset):
    """Where the service's clock disagrees with ours its time is taken over: for the request that
    was refused, and for all that follow."""

    def strict(signed, number):
        now = time.time() + offset
        error = EXPIRED if signed < now - 300 else TOO_NEW if signed > now + 300 else None
        return now, error

    with answering(transport, strict) as (server, made):
        for _ in range(3):
            assert isinstance(ask(made, "PutItem", PUT), Reply)
    assert len(server.signed) == 4
