"""A proxy between library and engine that loses, delays, cuts and refuses what it is told to.

It listens on loopback, speaks HTTP/1.1 with kept connections (TLS with a certificate), and asks its
schedule at every request what is to go wrong. The faults are those of
`thrivecalc_models.testing.faults`, and three that only a wire has.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import attrs

from thrivecalc_models.testing import faults

Json = dict[str, Any]


@attrs.frozen
class WrongChecksum:
    """The request is performed; the reply does not match its `x-amz-crc32`."""


@attrs.frozen
class Truncated:
    """The request is performed; the reply ends after half of its body."""

    length_kept: bool = True  # the headers still announce all of it


@attrs.frozen
class Slow:
    """The request is performed; the reply comes after so many seconds."""

    seconds: float


@attrs.frozen
class Answer:
    """The request is not performed; this is what comes back."""

    content: Json
    status: int = 200


@attrs.frozen
class Amended:
    """The request is performed, and its reply changed."""

    amend: Callable[[Json], object]


Fault = faults.Fault | WrongChecksum | Truncated | Slow | Answer | Amended
Schedule = Callable[[int, str, Json], Fault | None]
"""Gives the fault of a request from its number (from 0), operation and JSON."""


def in_turn(*planned: Fault | None) -> Schedule:
    """These faults for the next requests, one each; nothing goes wrong afterwards."""
    left = iter(planned)
    return lambda number, operation, request: next(left, None)


def always(fault: Fault, *operations: str) -> Schedule:
    """This fault for every request of these operations (of any without a name)."""
    return lambda number, operation, request: (
        fault if not operations or operation in operations else None
    )


@attrs.frozen
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = attrs.field(factory=dict)


class LostConnection(Exception):
    """There will be no reply."""


class FaultyProxy:
    """In front of the engine at `upstream`; `schedule` may be set at any time.

    `requests` has what arrived, `forwarded` what the engine got: pairs of operation and JSON.
    """

    def __init__(self, upstream: str, *, certificate: tuple[str, str] | None = None) -> None:
        self.requests: list[tuple[str, Json]] = []
        self.forwarded: list[tuple[str, Json]] = []
        self.closing = threading.Event()
        self._upstream = urlsplit(upstream)
        self._schedule: Schedule | None = None
        self._number = 0
        self._lock = threading.Lock()
        self._server = _Server(self)
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.tls = context
        self.endpoint = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def schedule(self) -> Schedule | None:
        return self._schedule

    @schedule.setter
    def schedule(self, schedule: Schedule | None) -> None:
        """Start over: what arrived before is forgotten, and counting begins at 0."""
        with self._lock:
            self._schedule, self._number = schedule, 0
            self.requests, self.forwarded = [], []

    def sent(self, operation: str | None = None) -> int:
        """How many requests arrived since the schedule was set."""
        return sum(operation in (None, name) for name, _ in self.requests)

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def __enter__(self) -> FaultyProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- what the handlers call, each in its own thread -------------------------------------------

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port)

    def fault_of(self, operation: str, request: Json) -> Fault | None:
        with self._lock:
            number, self._number = self._number, self._number + 1
            self.requests.append((operation, request))
            if self._schedule is None:
                return None
            fault = self._schedule(number, operation, request)
        if isinstance(fault, faults.Fault) and not faults.concerns(fault, operation):
            return None
        return fault

    def note_forwarded(self, operation: str, request: Json) -> None:
        with self._lock:
            self.forwarded.append((operation, request))


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that server_close() waits for them
    request_queue_size = 64
    tls: ssl.SSLContext | None = None

    def __init__(self, proxy: FaultyProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:  # shaking hands here keeps nobody else waiting
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                self.shutdown_request(request)
                return
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client hung up


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._engine = self.server.proxy.connect()

    def finish(self) -> None:
        self._engine.close()
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        request = json.loads(body)
        fault = self.server.proxy.fault_of(operation, request)
        try:
            self._reply(fault, self._answer(fault, operation, request, body))
        except LostConnection:
            self.close_connection = True

    def _answer(self, fault: Fault | None, operation: str, request: Json, body: bytes) -> Reply:
        """The engine's reply or one of our own; LostConnection for none."""
        match fault:
            case faults.Throttle():
                return refusal("ThrottlingException")
            case faults.Denied():
                return refusal("AccessDeniedException")
            case faults.ExpiredCredentials():
                return refusal("ExpiredTokenException")
            case faults.NoTable():
                return refusal("ResourceNotFoundException")
            case faults.TransactionConflict() if operation != "TransactWriteItems":
                return refusal("TransactionConflictException")
            case faults.TransactionConflict(code=code):
                return cancelled(code, len(request["TransactItems"]))
            case faults.TransactionInProgress(applied=applied):
                if applied:
                    self._forward(operation, request, body)
                return refusal("TransactionInProgressException")
            case faults.ServerError(status=status, applied=applied):
                if applied:
                    self._forward(operation, request, body)
                return Reply(status, b'{"__type": "InternalServerError", "message": "planned"}')
            case faults.LoseReply(applied=applied):
                if applied:
                    self._forward(operation, request, body)
                raise LostConnection
            case faults.Partial(keep=keep):
                return self._part(operation, request, keep)
            case Answer(content=content, status=status):
                return Reply(status, json.dumps(content).encode())
            case Amended(amend=amend):
                reply = self._forward(operation, request, body)
                content = json.loads(reply.body)
                amend(content)
                return Reply(reply.status, json.dumps(content).encode())
            case None | WrongChecksum() | Truncated() | Slow():
                return self._forward(operation, request, body)
            case _:
                raise NotImplementedError(f"{fault} has no meaning on the wire")

    def _forward(self, operation: str, request: Json, body: bytes) -> Reply:
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ("host", "content-length", "connection")
        }
        self.server.proxy.note_forwarded(operation, request)
        self._engine.request("POST", "/", body, headers)
        response = self._engine.getresponse()
        kept = {
            name: value
            for name in ("Content-Type", "x-amz-crc32", "x-amzn-RequestId")
            if (value := response.getheader(name)) is not None
        }
        return Reply(response.status, response.read(), kept)

    def _part(self, operation: str, request: Json, keep: int) -> Reply:
        """The first entries as the engine answers them, the rest named as not processed."""
        ((table_name, wanted),) = request["RequestItems"].items()
        if operation == "BatchWriteItem":
            kept, left = wanted[:keep], wanted[keep:]
            empty, unprocessed, rest = {}, "UnprocessedItems", left
        else:
            kept = wanted | {"Keys": wanted["Keys"][:keep]} if keep else None
            left = wanted["Keys"][keep:]
            empty, unprocessed = {"Responses": {table_name: []}}, "UnprocessedKeys"
            rest = wanted | {"Keys": left}
        content = empty | {unprocessed: {}, "ConsumedCapacity": []}
        if kept:
            part = request | {"RequestItems": {table_name: kept}}
            reply = self._forward(operation, part, json.dumps(part).encode())
            if reply.status != 200:
                return reply
            content = json.loads(reply.body)
        if left:
            content[unprocessed] = {table_name: rest}
        return Reply(200, json.dumps(content).encode())

    def _reply(self, fault: Fault | None, reply: Reply) -> None:
        body, headers = reply.body, dict(reply.headers)
        length = len(body)
        match fault:
            case WrongChecksum():
                headers["x-amz-crc32"] = str(crc32(body) ^ 1)
            case Truncated(length_kept=kept):
                body = body[: len(body) // 2]
                length = length if kept else len(body)
                self.close_connection = True
            case Slow(seconds=seconds):
                self.server.proxy.closing.wait(seconds)
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)


def refusal(code: str, **content: Any) -> Reply:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "planned", **content}
    return Reply(400, json.dumps(body).encode())


def cancelled(code: str, entries: int) -> Reply:
    reasons = [{"Code": code, "Message": "planned"}] + [{"Code": "None"}] * (entries - 1)
    return refusal("TransactionCanceledException", CancellationReasons=reasons)


# A certificate for 127.0.0.1, and the authority that signed it.


def make_certificates(directory: Any) -> tuple[str, tuple[str, str]]:
    """Paths of the authority's certificate, and of a server's certificate and key."""
    # moto brings cryptography, which is slow to import and seldom needed.
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    usages = """digital_signature content_commitment key_encipherment data_encipherment
        key_agreement key_cert_sign crl_sign encipher_only decipher_only"""
    usage = dict.fromkeys(usages.split(), False)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = ("Authority of the tests", authority_key)
    authority = _certificate(
        *issuer,
        issuer,
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.KeyUsage(**usage | {"key_cert_sign": True, "crl_sign": True}), True),
    )
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    own = _certificate(
        "127.0.0.1",
        key,
        issuer,
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(**usage | {"digital_signature": True}), True),
        (x509.SubjectAlternativeName([address]), False),
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = []
    for name, content in (("ca.pem", authority), ("own.pem", own), ("own.key", private)):
        path = directory / name
        path.write_bytes(content)
        paths.append(str(path))
    return paths[0], (paths[1], paths[2])


def _certificate(name: str, key: Any, issuer: tuple[str, Any], *extensions: Any) -> bytes:
    """A certificate that is valid for half a day, signed with the key of the issuer."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    def named(name: str) -> Any:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    now = datetime.datetime.now(datetime.UTC)
    issuer_name, issuer_key = issuer
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=12))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(signer, False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
