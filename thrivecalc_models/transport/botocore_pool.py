"""Connections of botocore's transport, with limits that urllib3 does not have.

urllib3 limits each single read, so that a reply that comes byte by byte has no limit at all. It
keeps an idle connection for ever, and does not say whether what broke was an old connection.
"""

from __future__ import annotations

import io
import math
import socket
import time
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any

import urllib3.exceptions
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.httpsession import URLLib3Session

from thrivecalc_models.transport.kept import KEEPALIVE_SECONDS, MAX_IDLE_SECONDS

_KEEPALIVE = [
    (level, getattr(socket, name), value)
    for level, name, value in (
        (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEPALIVE_SECONDS),
        (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEPALIVE_SECONDS),
    )
    if hasattr(socket, name)
]


class StaleConnectionError(Exception):
    """A kept connection broke before the first byte of a reply."""


class _Broken(StaleConnectionError, urllib3.exceptions.ProtocolError):
    pass


class _TimedOut(StaleConnectionError, urllib3.exceptions.ReadTimeoutError):
    pass


class Trust:
    """Which kept connections of a client may be used again: those that were used since then."""

    def __init__(self) -> None:
        self.since = -math.inf

    def end(self) -> None:
        """Use none of those again that are idle now."""
        self.since = time.monotonic()


def limit_connections(client: Any, trust: Trust) -> None:
    """Give a client of botocore these connections, unless other ones were put in place."""
    session = client._endpoint.http_session
    if type(session) is not URLLib3Session:
        return
    pools = session._pool_classes_by_scheme
    if pools == _BOTOCORES and all(pool.ConnectionCls in _ORIGINALS for pool in pools.values()):
        # The dict that its manager looks into.
        pools.update(http=partial(_Pool, trust), https=partial(_TLSPool, trust))


class _Limit:
    """When the whole of a request must be done, and what was heard of its reply."""

    def __init__(self) -> None:
        self.until = math.inf
        self.heard = False
        self.too_much = False  # bytes came that belong to no reply

    def begin(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.heard = self.too_much = False

    def apply(self, sock: Any) -> None:
        """Let the next step take no longer than what is left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the request is over")
        if left < math.inf:
            sock.settimeout(left)


class _Incoming(io.RawIOBase):
    """What a socket receives, within the limit."""

    def __init__(self, raw: io.RawIOBase, sock: Any, limit: _Limit) -> None:
        self._raw = raw
        self._sock = sock
        self._limit = limit
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return 0
        self._limit.apply(self._sock)
        count = self._raw.readinto(buffer)
        self._limit.heard = self._limit.heard or bool(count)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Buffered(io.BufferedReader):
    """Notices at its end whether more has come than was asked for."""

    def __init__(self, incoming: _Incoming, limit: _Limit) -> None:
        super().__init__(incoming)
        self._incoming = incoming
        self._limit = limit

    def close(self) -> None:
        if not self.closed:
            self._incoming.ended = True
            self._limit.too_much = bool(self.peek(1))
        super().close()


class _Reply(HTTPResponse):
    def __init__(self, limit: _Limit, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = _Buffered(_Incoming(self.fp.detach(), sock, limit), limit)


class _Limited:
    """What the connections below have besides botocore's."""

    sock: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        self.limit = _Limit()
        self.used = -math.inf
        self.kept = False
        self.response_class = partial(_Reply, self.limit)
        super().__init__(*args, **options)

    def _new_conn(self) -> Any:
        sock = super()._new_conn()  # type: ignore[misc]
        self.limit.apply(sock)  # shaking hands counts, too
        return sock

    def send(self, data: Any) -> Any:
        if self.sock is not None:
            self.limit.apply(self.sock)
        return super().send(data)  # type: ignore[misc]


class _Connection(_Limited, AWSHTTPConnection):  # type: ignore[misc]
    pass


class _TLSConnection(_Limited, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _LimitedPool:
    """What the pools below have besides botocore's.

    After a kept connection broke without a reply all that were idle at that moment are suspect:
    a server that forgot one has probably forgotten all. The next try gets a new one.
    """

    timeout: Any
    pool: Any
    _new_ones = 0

    def __init__(self, trust: Trust, *args: Any, **options: Any) -> None:
        self._trust = trust
        options["socket_options"] = [*(options.get("socket_options") or ()), *_KEEPALIVE]
        super().__init__(*args, **options)

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if connection.sock is not None and not self._trusts(connection):
            connection.close()
        connection.kept = connection.sock is not None
        connection.limit.begin(self.timeout.read_timeout)
        return connection

    def _trusts(self, connection: Any) -> bool:
        if self._new_ones:
            self._new_ones -= 1
            return False
        since = max(self._trust.since, time.monotonic() - MAX_IDLE_SECONDS)
        return connection.used > since and not _has_bytes(connection)

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.used = time.monotonic()
        super()._put_conn(connection)  # type: ignore[misc]

    def _make_request(self, connection: Any, method: str, url: str, **options: Any) -> Any:
        try:
            return super()._make_request(connection, method, url, **options)  # type: ignore[misc]
        except (OSError, HTTPException, urllib3.exceptions.HTTPError) as error:
            if not connection.kept or connection.limit.heard:
                raise
            self._trust.end()
            self._new_ones += 1
            if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError):
                raise _TimedOut(self, url, "a kept connection timed out") from error  # type: ignore[arg-type]
            raise _Broken("a kept connection broke", error) from error


class _Pool(_LimitedPool, AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _TLSPool(_LimitedPool, AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _TLSConnection


def _has_bytes(connection: Any) -> bool:
    """Whether an idle connection holds bytes; urllib3 itself looks only at what is undecrypted."""
    pending = getattr(connection.sock, "pending", None)
    return connection.limit.too_much or (pending is not None and pending() > 0)


_BOTOCORES = {"http": AWSHTTPConnectionPool, "https": AWSHTTPSConnectionPool}
_ORIGINALS = (AWSHTTPConnection, AWSHTTPSConnection)
