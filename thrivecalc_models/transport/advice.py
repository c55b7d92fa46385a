"""Messages for network failures, for both transports and for `thrivecalc doctor`."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import botocore.exceptions as aws
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_match_hostname import CertificateError

NOT_TRUSTED = (
    "its certificate is not trusted here; check the URL, the proxy, and AWS_CA_BUNDLE, which names"
    " the file of the authorities that are trusted"
)
OTHER_HOST = (
    "its certificate is that of another host; check the host name in the endpoint, and the proxy"
)
NO_TLS = (
    "the TLS handshake failed; check that the endpoint speaks TLS at that port (https or http), and"
    " the proxy"
)
NO_NAME = "its host name is not known here; check region and endpoint"
NOT_CONNECTED = (
    "no connection was made; check region and endpoint, whether this network lets requests out"
    " (proxy, VPC endpoint, security group), and for a local engine whether it runs (thrivecalc"
    " local)"
)
REDIRECT = (
    "the answer was a redirect (HTTP {status}), which DynamoDB never sends and which is not"
    " followed; check the endpoint, and what stands between (a proxy, a login page of the network)"
)
UNFIT = "it could not be made into a request, since a value in it cannot be written as JSON"
NOT_MADE = "the request could not be made; nothing was sent, and the network is not the reason"
LATE_PATCH = (
    "ssl calls itself for ever, as it does where gevent patches it too late; patch before botocore"
    " or this library is imported"
)

_PROXY_SAYS = {
    407: "it wants a user name and a password, or another one; write them into HTTPS_PROXY",
    403: "it does not let requests through to this endpoint; have it allowed, or name it in"
    " NO_PROXY",
}
_STATUS = re.compile(r"\b([1-5][0-9]{2})\b")


def proxy_says(status: int | None, proxy: str | None = None) -> str:
    """The message for a proxy that did not connect: its HTTP status, None if it did not answer."""
    shown = f" {_without_user(proxy)}".rstrip() if proxy else ""
    if status is None:
        return (
            f"the proxy{shown} does not answer; check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, and"
            " whether it runs"
        )
    why = _PROXY_SAYS.get(
        status, "it could not reach the endpoint; check HTTPS_PROXY, NO_PROXY and the endpoint"
    )
    return f"the proxy{shown} answered {status}: {why}"


def status_in(text: str) -> int | None:
    """The HTTP status in a sentence about a proxy."""
    found = _STATUS.search(text.rpartition("proxy")[2] if "://" in text else text)
    return int(found[1]) if found else None


def reply_advice(status: int) -> str:
    """The message for a reply that is not DynamoDB's, by its status; "" if there is none."""
    if 300 <= status < 400:
        return REDIRECT.format(status=status)
    return proxy_says(status) if status == 407 else ""


def network_advice(error: BaseException) -> str:
    """The message for an exception of botocore's network; "" if there is none."""
    causes = list(causes_of(error))
    if isinstance(error, aws.ProxyConnectionError):
        tunnel = [str(cause) for cause in causes if "Tunnel connection failed" in str(cause)]
        status = status_in(tunnel[-1].partition("failed")[2]) if tunnel else None
        return proxy_says(status, error.kwargs.get("proxy_url"))
    untrusted = certificate_advice(causes)
    if untrusted:
        return untrusted
    if isinstance(error, aws.SSLError):
        return NO_TLS
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return NO_NAME
    if isinstance(error, (aws.EndpointConnectionError, aws.ConnectTimeoutError)):
        return NOT_CONNECTED
    return ""


def certificate_advice(causes: list[BaseException]) -> str:
    """The message for a refused certificate; "" if the causes are others."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return OTHER_HOST if "ostname mismatch" in str(cause) else NOT_TRUSTED
        if isinstance(cause, CertificateError):
            return OTHER_HOST
    return ""


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it; urllib3 keeps some as an argument."""
    while error is not None:
        yield error
        reason = getattr(error, "reason", None) if isinstance(error, HTTPError) else None
        error = (
            error.__cause__
            or error.__context__
            or (reason if isinstance(reason, BaseException) else None)
        )


def _without_user(url: str) -> str:
    """A proxy's URL for a message; "" for what is no URL."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}"
