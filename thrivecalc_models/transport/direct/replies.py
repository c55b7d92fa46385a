"""Convert a transfer by libcurl to a reply, or to the failure that botocore's would be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import pycurl

from thrivecalc_models.operations.replies import Failure
from thrivecalc_models.transport.advice import (
    NO_NAME,
    NO_TLS,
    NOT_CONNECTED,
    OTHER_HOST,
    proxy_says,
)
from thrivecalc_models.transport.advice import NOT_TRUSTED as NOT_TRUSTED_HERE
from thrivecalc_models.transport.base import ReplyBody
from thrivecalc_models.transport.checks import Answered, check_sum
from thrivecalc_models.transport.failures import (
    LOST,
    NEVER_SENT,
    NOT_TRUSTED,
    classify,
    classify_exception,
    failure_of,
)

_UNTRUSTED: Final = {
    pycurl.E_PEER_FAILED_VERIFICATION,
    pycurl.E_SSL_CACERT_BADFILE,
    pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_SSL_INVALIDCERTSTATUS,
    pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
}
_BEFORE = {
    pycurl.E_OPERATION_TIMEDOUT: "ConnectTimeoutError",
    pycurl.E_SSL_CONNECT_ERROR: "SSLError",
}
_ADVICE = {
    pycurl.E_SSL_CONNECT_ERROR: NO_TLS,
    pycurl.E_COULDNT_RESOLVE_HOST: NO_NAME,
}
_AT_THE_PROXY = {
    pycurl.E_COULDNT_RESOLVE_PROXY,
    pycurl.E_COULDNT_CONNECT,
    pycurl.E_RECV_ERROR,
    97,  # CURLE_PROXY, which pycurl has no name for
}
_AFTER = {
    pycurl.E_OPERATION_TIMEDOUT: "ReadTimeoutError",
    pycurl.E_FILESIZE_EXCEEDED: "GarbledReplyError",
    pycurl.E_PARTIAL_FILE: "IncompleteReadError",
    pycurl.E_UNSUPPORTED_PROTOCOL: "GarbledReplyError",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "GarbledReplyError",
}


def head_of(lines: Sequence[bytes]) -> bytes:
    """The header of the last of the responses to one request.

    Earlier ones are a proxy's, and those that only say "continue".
    """
    head = b"".join(lines)
    last = head.rfind(b"\r\n\r\nHTTP/")
    return head if last < 0 else head[last + 4 :]


def field_of(head: bytes, name: bytes, usual: bytes | None = None) -> str | None:
    """The value of a header field.

    `name` is in lower case, begins with a line break and ends with a colon; `usual` is how
    DynamoDB spells it.
    """
    start = head.find(usual or name)
    if start < 0:
        start = head.lower().find(name)
    if start < 0:
        return None
    return head[start + len(name) : head.find(b"\r", start + 1)].strip().decode("latin-1")


def result_of(
    head: bytes, body: bytes, answered: Answered, distrust: Callable[[], object]
) -> ReplyBody | Failure:
    """The body of a good HTTP response, or the failure that another one means."""
    try:
        status = int(head[9:12])  # behind "HTTP/1.1 "
        request_id = field_of(head, b"\nx-amzn-requestid:", b"\nx-amzn-RequestId:")
        answered.check(request_id)
        expected = field_of(head, b"\nx-amz-crc32:")
        check_sum(expected, body, encoding=lambda: field_of(head, b"\ncontent-encoding:"))
    except Exception as error:  # noqa: BLE001 - a transport returns failures
        return classify_exception(error)
    if status >= 300:
        return classify(status, body, request_id=request_id)
    return ReplyBody(body, request_id=request_id, distrust=distrust)


def transfer_failure(
    code: int,
    message: str,
    *,
    begun: bool,
    stale: bool = False,
    proxy: str | None = None,
    proxy_status: int = 0,
) -> Failure:
    """Classify libcurl's error `code`.

    `begun` says whether sending had begun, `stale` whether a kept connection broke before the reply
    began. `proxy_status` is the HTTP status with which the proxy answered, 0 if it did not.
    """
    if begun:
        return failure_of(LOST, _AFTER.get(code, "ConnectionClosedError"), message, stale=stale)
    if code in _UNTRUSTED:
        other = "subject name" in message or "not match" in message
        return failure_of(
            NOT_TRUSTED, "SSLError", message, advice=OTHER_HOST if other else NOT_TRUSTED_HERE
        )
    if proxy is not None and (code in _AT_THE_PROXY or proxy_status >= 300):
        advice = proxy_says(proxy_status or None, proxy)
        return failure_of(NEVER_SENT, "ProxyConnectionError", message, advice=advice)
    name = _BEFORE.get(code, "EndpointConnectionError")
    return failure_of(NEVER_SENT, name, message, advice=_ADVICE.get(code, NOT_CONNECTED))
