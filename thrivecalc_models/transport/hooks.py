"""What stands between botocore and the network in this process: patches, wrappers and handlers.

Mocks, recorders and tracers hook botocore, or the sockets beneath it. Requests of the direct
transport would pass them by.
"""

from __future__ import annotations

import socket
import sys
from operator import is_
from types import FunctionType
from typing import Any

import botocore.awsrequest
import botocore.handlers
from botocore.client import BaseClient
from botocore.endpoint import Endpoint
from botocore.exceptions import BotoCoreError, HTTPClientError
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import HTTPError

from thrivecalc_models.transport.advice import causes_of

_FUNCTIONS: tuple[tuple[type, str], ...] = (
    (BaseClient, "__init__"),
    (BaseClient, "_make_api_call"),
    (BaseClient, "_make_request"),
    (Endpoint, "make_request"),
    (Endpoint, "prepare_request"),
    (Endpoint, "_send"),
    (URLLib3Session, "send"),
)
_POOLS = (
    (botocore.awsrequest.AWSHTTPConnectionPool, botocore.awsrequest.AWSHTTPConnection),
    (botocore.awsrequest.AWSHTTPSConnectionPool, botocore.awsrequest.AWSHTTPSConnection),
)
_SLOTS = [(vars(owner).get, name) for owner, name in _FUNCTIONS]
_PLAIN = frozenset({"botocore", "urllib3", "thrivecalc_models"} | sys.stdlib_module_names) - {
    "unittest"
}


class Watch:
    """Notices whether anything was hooked, or unhooked, since it looked last."""

    def __init__(self) -> None:
        self._switches: list[Any] = []
        self._seen: tuple[Any, ...] = ()
        self._handlers = -1

    def changed(self) -> bool:
        """Compare by identity: a wrapper may say of itself that it equals what it wraps."""
        seen = self._seen
        now = self._state()
        return not (
            self._handlers == len(botocore.handlers.BUILTIN_HANDLERS)
            and len(seen) == len(now)
            and all(map(is_, seen, now))
        )

    def look(self) -> None:
        """Remember what is there now."""
        self._switches = [one for one in _foreign_handlers() if hasattr(one, "enabled")]
        self._seen = self._state()
        self._handlers = len(botocore.handlers.BUILTIN_HANDLERS)

    def _state(self) -> tuple[Any, ...]:
        return (
            *[get(name) for get, name in _SLOTS],
            *[pool.ConnectionCls for pool, _ in _POOLS],
            socket.getaddrinfo,
            socket.socket,
            socket.socket.connect,
            *[bool(switch.enabled) for switch in self._switches],
        )


def find_hook() -> str | None:
    """What hooks botocore, or the sockets beneath it, in this process; None for nothing."""
    patch = find_patch()
    if patch is not None:
        return patch
    if socket.socket.__module__ != "socket":
        return f"sockets are patched ({socket.socket.__module__})"
    if not _is_original(socket.getaddrinfo):
        return "sockets are patched (getaddrinfo)"
    if socket.socket.connect is not socket.SocketType.connect:
        return "sockets are patched (socket.connect)"
    for handler in _foreign_handlers():
        if getattr(handler, "enabled", True):
            return f"botocore has a handler of {_module_of(handler)}"
    return None


def raised_by(error: BaseException) -> str | None:
    """The module of a hook in which an exception was raised; None if it was botocore or Python."""
    step = error.__traceback__
    if step is None:
        return None
    while step.tb_next is not None:
        step = step.tb_next
    module = str(step.tb_frame.f_globals.get("__name__") or "an unknown module")
    return None if module.partition(".")[0] in _PLAIN else module


def find_patch() -> str | None:
    """The part of botocore that was replaced and so may send its requests itself, or None."""
    for owner, name in _FUNCTIONS:
        if not _is_original(vars(owner).get(name)):
            return f"botocore is patched ({owner.__name__}.{name})"
    for pool, connection in _POOLS:
        if pool.ConnectionCls is not connection:
            return f"botocore's connections are patched ({pool.__name__}.ConnectionCls)"
    return None


def hook_advice(error: Exception) -> str:
    """The message for an exception that a hook raised; "" if the network raised it."""
    for cause in causes_of(error):
        hook = raised_by(cause)
        if hook is not None and not isinstance(cause, (BotoCoreError, HTTPError, OSError)):
            return (
                f"{type(cause).__name__} is an exception of {hook}, which hooks botocore or its"
                " sockets; correct it there, or take it away"
            )
    return ""


def before_connected(error: Exception) -> bool:
    """Whether botocore's HTTP session failed before a connection could carry a request."""
    begun = False
    for cause in causes_of(error):
        step = cause.__traceback__
        while step is not None:
            module = str(step.tb_frame.f_globals.get("__name__"))
            function = step.tb_frame.f_code.co_name
            if module == "urllib3.connection" and function == "connect":
                return True
            begun = begun or module == "urllib3.response"
            begun = begun or (module == "urllib3.connectionpool" and function == "_make_request")
            step = step.tb_next
    return not begun and isinstance(error, HTTPClientError)


def _is_original(function: Any) -> bool:
    """Whether a function is botocore's or Python's.

    A wrapper may copy all but a function's globals, and a proxy may even say that it is a function.
    """
    if type(function) is not FunctionType:
        return False
    module = function.__globals__.get("__name__") or ""
    return module.partition(".")[0] in ("botocore", "socket")


def _foreign_handlers() -> list[Any]:
    return [
        handler
        for _, handler, *_ in botocore.handlers.BUILTIN_HANDLERS
        if _module_of(handler).partition(".")[0] != "botocore"
    ]


def _module_of(handler: Any) -> str:
    return getattr(handler, "__module__", None) or type(handler).__module__
