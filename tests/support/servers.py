"""Servers on this machine, for what networks and services do: one of replies, one of sockets."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
PATIENCE = 5.0
"""Seconds; bounds waits for threads and connections."""


class Service:
    """Answers every request with what `answer(service, number, request)` returns.

    That is a status, content (bytes, or what becomes JSON) and headers, or None for a connection
    that is closed without a reply. A `certificate` makes it HTTPS.
    """

    def __init__(self, answer=None, certificate=None, methods=("GET", "POST")):
        self.requests, self.bodies, self.headers = [], [], []
        self.paths, self.peers = [], []
        self.flying, self.most_flying = 0, 0
        self.lock = threading.Lock()
        self.released = threading.Event()
        self._answer = answer or (lambda service, number, request: (200, {}))
        served = {f"do_{each}": lambda handler: self.serve(handler) for each in methods}
        self._server = _Server((HOST, 0), type("Handler", (_Handler,), served))
        if certificate is not None:
            # In the handlers' threads: a client that says nothing must not hold up the others.
            self._server.socket = server_context(certificate).wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.address = f"{HOST}:{self._server.server_port}"
        self.endpoint = f"{'https' if certificate else 'http'}://{self.address}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def serve(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self.lock:
            number = len(self.requests)
            self.requests.append(json.loads(body) if body else None)
            self.bodies.append(body)
            self.headers.append(handler.headers)
            self.paths.append(handler.path)
            self.peers.append(handler.client_address)
            self.flying += 1
            self.most_flying = max(self.most_flying, self.flying)
        answer = self._answer(self, number, self.requests[number])
        with self.lock:
            self.flying -= 1
        if answer is None:
            handler.close_connection = True
            return
        status, content, *more = answer
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        headers = {"Content-Length": str(len(content)), **(more[0] if more else {})}
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def close(self):
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def server_context(certificate):
    """TLS of a server with this certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


class Listener:
    """Sockets of this machine; `converse` has each connection in a thread of its own.

    It gets the number of the connection, from 0, the connection, and its incoming bytes as a file.
    """

    def __init__(self, address=HOST, port=0, tls=None):
        self.released = threading.Event()
        self._tls = tls
        self._listener = socket.create_server((address, port))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"{'https' if tls else 'http'}://{address}:{self.port}"
        self._sockets = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def converse(self, number, connection, incoming):
        raise NotImplementedError

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(connection)
            arguments = (len(self._sockets) - 1, connection)
            self._threads.append(threading.Thread(target=self._serve, args=arguments, daemon=True))
            self._threads[-1].start()

    def _serve(self, number, connection):
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as incoming:
                self.converse(number, connection, incoming)

    def reset_all(self):
        """Close all connections, as who restarts does."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.released.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset_all()
        for thread in self._threads:
            thread.join(PATIENCE)


def read_request(incoming):
    """The operation and the JSON of the next request, or None at the end of the connection."""
    if not incoming.readline():
        return None
    length, operation = 0, ""
    while (line := incoming.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif name.lower() == b"x-amz-target":
            operation = value.decode().rpartition(".")[2]
    return operation, json.loads(incoming.read(length))


def http(status, body=b"{}", *headers):
    """The bytes of a reply; a body that is not bytes becomes JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def meaning(failure):
    """What a failure means to whoever sent the request."""
    return failure.kind, failure.again, failure.applied_maybe
