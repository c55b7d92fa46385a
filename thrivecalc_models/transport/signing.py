"""Signature Version 4 for DynamoDB's one kind of request: a POST of JSON.

Source: "Create a signed AWS API request", AWS Identity and Access Management User Guide. Tests
compare with botocore's SigV4Auth. What is the same all day is computed once a day.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import attrs
from botocore.utils import normalize_url_path

CONTENT_TYPE = "application/x-amz-json-1.0"
TARGET = "DynamoDB_20120810."

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Credentials(Protocol):
    """What botocore calls frozen credentials."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


@attrs.frozen(repr=False)
class _Day:
    """The common part of all signatures of a day with the same credentials."""

    credentials: Credentials
    date: str
    keyed: hmac.HMAC
    scope: str
    authorization: str
    token_line: str
    token_headers: tuple[str, ...]


@attrs.frozen(eq=False, repr=False)
class _Moment:
    """The common part of all signatures of a second, for each operation."""

    second: int
    day: _Day
    stamp: str
    before_digest: str
    parts: dict[str, tuple[str, list[str]]] = attrs.field(factory=dict)


class Signer:
    """Signs requests to one URL; safe to share between threads."""

    def __init__(self, url: str, *, region: str, service: str = "dynamodb") -> None:
        self.host = host_of(url)
        path = quote(normalize_url_path(urlsplit(url).path), safe="/~")
        self._scope = f"{region}/{service}/aws4_request"
        self._before_date = (
            f"POST\n{path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{self.host}\nx-amz-date:"
        )
        self._moment: _Moment | None = None

    def headers(
        self, operation: str, body: bytes, credentials: Credentials, now: float
    ) -> list[str]:
        """The headers of a request at a time in Unix seconds, the signature among them."""
        second = int(now)
        moment = self._moment
        if moment is None or moment.second != second or moment.day.credentials != credentials:
            moment = self._moment = self._new_moment(second, credentials)
        parts = moment.parts.get(operation)
        if parts is None:
            parts = moment.parts[operation] = self._parts(moment, operation)
        before_body, headers = parts
        canonical = before_body + sha256(body).hexdigest()
        text = moment.before_digest + sha256(canonical.encode()).hexdigest()
        day = moment.day
        signature = day.keyed.copy()  # its key is the same all day
        signature.update(text.encode())
        return [*headers, day.authorization + signature.hexdigest()]

    def _new_moment(self, second: int, credentials: Credentials) -> _Moment:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = None if self._moment is None else self._moment.day
        if day is None or day.credentials != credentials or not stamp.startswith(day.date):
            day = self._new_day(credentials, stamp[:8])
        return _Moment(second, day, stamp, f"AWS4-HMAC-SHA256\n{stamp}\n{day.scope}\n")

    def _parts(self, moment: _Moment, operation: str) -> tuple[str, list[str]]:
        """The canonical request up to the digest of its body, and the headers but the signature."""
        day, stamp, target = moment.day, moment.stamp, TARGET + operation
        before_body = (
            f"{self._before_date}{stamp}\n{day.token_line}x-amz-target:{target}\n\n"
            f"{_names(day.token_line)}\n"
        )
        headers = [f"X-Amz-Date: {stamp}", f"X-Amz-Target: {target}", *day.token_headers]
        return before_body, headers

    def _new_day(self, credentials: Credentials, date: str) -> _Day:
        key = f"AWS4{credentials.secret_key}".encode()
        for part in (date, *self._scope.split("/")):
            key = hmac.digest(key, part.encode(), "sha256")
        token = credentials.token
        token_line = f"x-amz-security-token:{_folded(token)}\n" if token else ""
        scope = f"{date}/{self._scope}"
        return _Day(
            credentials,
            date,
            hmac.new(key, digestmod="sha256"),
            scope,
            f"Authorization: AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope},"
            f" SignedHeaders={_names(token_line)}, Signature=",
            token_line,
            (f"X-Amz-Security-Token: {token}",) if token else (),
        )


def signed_for(headers: Any) -> tuple[str, str]:
    """Region and service that the headers of a request of botocore are signed for.

    They are in `Credential=key/date/region/service/aws4_request, ...`.
    """
    credential = text_of(headers["Authorization"]).partition(",")[0]
    _, _, region, service, _ = credential.rsplit("/", 4)
    return region, service


def text_of(value: str | bytes) -> str:
    """A header's value as text."""
    return value.decode() if isinstance(value, bytes) else value


def host_of(url: str) -> str:
    """The Host header of a URL, without the scheme's default port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    return host


def _names(token_line: str) -> str:
    token = "x-amz-security-token;" if token_line else ""
    return f"content-type;host;x-amz-date;{token}x-amz-target"


def _folded(text: str) -> str:
    return " ".join(text.split())
