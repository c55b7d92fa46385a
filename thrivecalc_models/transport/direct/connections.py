"""Connections that libcurl keeps open, and requests on them, for one thread or loop at a time.

If a kept connection breaks before the first byte of the reply, libcurl sends the request again,
silently, although the first one may have been applied. It cannot do so if it gets the body from a
function that does not go back to its beginning, which is why there is one here.
"""

from __future__ import annotations

import os
import time
import weakref
from contextlib import suppress
from io import BytesIO
from typing import Final

import pycurl

from thrivecalc_models.transport.direct.route import Route
from thrivecalc_models.transport.kept import KEEPALIVE_SECONDS, MAX_IDLE_SECONDS
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.transport.signing import CONTENT_TYPE

MAX_REPLY_BYTES: Final = 128 * 2**20
"""DynamoDB returns up to 16 MB of items; their JSON is at most some seven times as long."""

_NAME_SECONDS = 5  # for which the address of a host name is kept
_LONGEST_WAIT = 1.0  # seconds without Python code, which alone can notice a signal
_NAP = 0.0005  # seconds, if select() cannot wait: for file descriptors above 1023
_MIN_LIBCURL = 0x080400  # the first that limits a reply of unknown length, too

if pycurl.version_info()[2] < _MIN_LIBCURL:
    raise ImportError("libcurl 8.4 or later is needed")


class Handle:
    """One request at a time, and its reply."""

    __slots__ = (
        "body",
        "curl",
        "lines",
        "number",
        "operation",
        "parts",
        "signed_anew",
        "skew",
        "source",
    )

    number: int
    operation: str
    body: bytes
    signed_anew: bool
    skew: float

    def __init__(self, route: Route, timeout: float) -> None:
        self.lines: list[bytes] = []
        self.parts: list[bytes] = []
        self.source = BytesIO()
        self.curl = _make_curl(route, timeout)
        self.curl.setopt(pycurl.READFUNCTION, self.source.read)
        self.curl.setopt(pycurl.HEADERFUNCTION, self.lines.append)
        self.curl.setopt(pycurl.WRITEFUNCTION, self.parts.append)

    def load(self, headers: list[str], skew: float) -> None:
        """Prepare the request; `skew` is the correction of our clock in its signature."""
        self.lines.clear()
        self.parts.clear()
        self.skew = skew
        body, source, curl = self.body, self.source, self.curl
        source.seek(0)
        source.truncate(source.write(body))
        source.seek(0)
        curl.setopt(pycurl.HTTPHEADER, headers)
        curl.setopt(pycurl.POSTFIELDSIZE, len(body))

    def reply(self) -> bytes:
        """The body of the reply, once: a spare handle keeps none in memory."""
        whole = b"".join(self.parts)
        self.parts.clear()
        return whole

    @property
    def begun(self) -> bool:
        """Whether libcurl has taken any of the body; before that nothing can be applied."""
        return self.source.tell() > 0

    @property
    def stale(self) -> bool:
        """Whether a kept connection broke, before the first line of a reply."""
        return self.begun and not self.lines and self.curl.getinfo(pycurl.NUM_CONNECTS) == 0

    @property
    def proxy_status(self) -> int:
        """The HTTP status with which a proxy answered CONNECT; 0 if none did."""
        return int(self.curl.getinfo(pycurl.HTTP_CONNECTCODE))


Ended = list[tuple[Handle, int, str]]
"""Requests that have ended, with libcurl's error code and its text; 0 is success."""


class Connections:
    """The connections of one thread or event loop, and its requests in flight on them.

    A thread calls `wait`. A loop has libcurl say which sockets of `multi` to watch, and calls
    `ended` after each step.
    """

    def __init__(
        self, route: Route, timeout: float, connections: int, *, generation: int = 0
    ) -> None:
        self.generation = generation
        self.used = time.monotonic()
        self._route = route
        self._timeout = timeout
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAXCONNECTS, connections)
        self.trusted = True
        self._spare: list[Handle] = []
        self._in_flight: dict[pycurl.Curl, Handle] = {}
        _OPEN.add(self)

    def handle(self, number: int, operation: str, body: bytes) -> Handle:
        """A handle for a request, which is known by its number."""
        spare = self._spare
        handle = spare.pop() if spare else Handle(self._route, self._timeout)
        handle.number, handle.operation, handle.body, handle.signed_anew = (
            number,
            operation,
            body,
            False,
        )
        return handle

    def distrust(self) -> None:
        """Use none of these connections again: a reply on one of them was no answer."""
        self.trusted = False

    def start(self, handle: Handle) -> None:
        if not self.trusted:  # the address of the host may be out of date, too
            handle.curl.setopt(pycurl.FRESH_CONNECT, 1)
            handle.curl.setopt(pycurl.DNS_CACHE_TIMEOUT, 0)
        self.multi.add_handle(handle.curl)
        self._in_flight[handle.curl] = handle

    def wait(self) -> Ended:
        """Wait until at least one request has ended."""
        multi = self.multi
        while True:
            multi.perform()
            ended = self.ended()
            if ended:
                return ended
            milliseconds = multi.timeout()
            seconds = _LONGEST_WAIT if milliseconds < 0 else milliseconds / 1000
            if seconds and multi.select(min(seconds, _LONGEST_WAIT)) == 0:
                time.sleep(_NAP)

    def ended(self) -> Ended:
        """The requests that have ended since the last call; nothing of them is libcurl's now."""
        _, good, bad = self.multi.info_read()
        ended = [(curl, 0, "") for curl in good] + bad
        return [(self._take(curl), code, text) for curl, code, text in ended]

    @property
    def in_flight(self) -> int:
        """How many requests have been started and have not ended."""
        return len(self._in_flight)

    def put_back(self, handle: Handle) -> None:
        """Keep a handle whose request has ended, for the next one."""
        handle.body = b""
        self._spare.append(handle)

    def drop(self, handle: Handle) -> None:
        """Break off a request, with its connection."""
        curl = handle.curl
        if self._in_flight.pop(curl, None) is not None:
            self.multi.remove_handle(curl)
            curl.close()

    def close(self) -> None:
        """Close all connections; the requests in flight are lost."""
        for curl in self._in_flight:
            with suppress(pycurl.error):  # an interrupt may have come between adding and noting it
                self.multi.remove_handle(curl)
            curl.close()
        self._in_flight.clear()
        for handle in self._spare:
            handle.curl.close()
        self._spare.clear()
        self.multi.close()

    def _take(self, curl: pycurl.Curl) -> Handle:
        self.multi.remove_handle(curl)
        return self._in_flight.pop(curl)


def fixed_headers(route: Route) -> list[str]:
    """Headers of every request. Without the empty ones libcurl would add its own."""
    return [
        f"Host: {route.signer.host}",
        f"Content-Type: {CONTENT_TYPE}",
        "Accept-Encoding: identity",
        "Accept:",
        "Expect:",
    ]


def _make_curl(route: Route, timeout: float) -> pycurl.Curl:
    curl = pycurl.Curl()
    milliseconds = max(1, round(timeout * 1000))
    for option, value in (
        (pycurl.URL, route.url),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.POST, 1),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.USERAGENT, route.user_agent),
        (pycurl.NOSIGNAL, 1),
        (pycurl.CONNECTTIMEOUT_MS, milliseconds),
        (pycurl.TIMEOUT_MS, milliseconds),
        (pycurl.MAXAGE_CONN, round(MAX_IDLE_SECONDS)),
        (pycurl.TCP_KEEPALIVE, 1),
        (pycurl.TCP_KEEPIDLE, KEEPALIVE_SECONDS),
        (pycurl.TCP_KEEPINTVL, KEEPALIVE_SECONDS),
        (pycurl.DNS_CACHE_TIMEOUT, _NAME_SECONDS),
        (pycurl.BUFFERSIZE, 512 * 1024),
        (pycurl.MAXFILESIZE_LARGE, MAX_REPLY_BYTES),
        (pycurl.PROXY, route.proxy or ""),  # "": none, even if the environment names one
        (pycurl.NOPROXY, ""),  # botocore has looked at NO_PROXY already
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.CAINFO, route.ca_file),
        (pycurl.PROXY_CAINFO, route.ca_file),
    ):
        curl.setopt(option, value)
    # Some builds trust the system's directory besides the given file.
    curl.unsetopt(pycurl.CAPATH)
    curl.unsetopt(pycurl.PROXY_CAPATH)
    return curl


# --- after a fork ---------------------------------------------------------------------------------

_OPEN: weakref.WeakSet[Connections] = weakref.WeakSet()


def _prepare() -> None:
    with forks_wait:
        import ctypes  # noqa: F401 - importing it in the child could wait for a lock for ever


def _abandon() -> None:
    """In a child, never free the parent's connections: closing TLS would end them for both."""
    import ctypes

    for connections in _OPEN:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connections))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_prepare, after_in_child=_abandon)
