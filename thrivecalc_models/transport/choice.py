"""Which transport a store uses, and why."""

from __future__ import annotations

import socket
import threading
from types import FunctionType
from typing import Any

import botocore.handlers
from botocore.client import BaseClient
from botocore.endpoint import Endpoint
from botocore.httpsession import URLLib3Session

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import Result
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.botocore import BotocoreTransport
from thrivecalc_models.transport.seam import SendMany, Transport

_MISSING = 'pycurl and orjson are not usable here: pip install "thrivecalc-models[fast]"'


def make_transport(choice: str, settings: Settings, **options: Any) -> Transport:
    """The transport of "auto", "botocore" or "direct"; options as of BotocoreTransport.

    Raises ConfigurationError for any other, and for "direct" without the extra `fast`.
    """
    if choice == "auto":
        return AutoTransport(settings, **options)
    if choice == "botocore":
        return BotocoreTransport(settings, **options)
    if choice == "direct":
        try:
            return _direct(settings, **options)
        except ImportError as missing:
            raise ConfigurationError(f"transport='direct' cannot be used: {_MISSING}") from missing
    raise ConfigurationError(
        f"transport={choice!r} is not known; use 'auto', 'botocore' or 'direct'"
    )


def explain(transport: Transport) -> str:
    """The name of the transport in use, a colon, and the reason."""
    if isinstance(transport, AutoTransport):
        return transport.explanation()
    return f"{transport.name}: as asked for"


class AutoTransport:
    """The direct transport where the extra is there and nothing hooks botocore, else botocore's.

    It decides at the first request, and again when botocore is hooked, or no longer, afterwards: a
    test that begins moto's `mock_aws` late must not reach the real service.
    """

    name = "auto"

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._settings = settings
        self._options = options
        self._lock = threading.Lock()
        self._made: dict[str, Transport] = {}
        self._switches: list[Any] = []
        self._seen: tuple[Any, ...] | None = None
        self._way: Transport
        self._why: str

    def send(self, operation: str, request: dict[str, Any]) -> Result:
        return self.way().send(operation, request)

    @property
    def send_many(self) -> SendMany | None:
        """As the transport in use: botocore's has none."""
        return getattr(self.way(), "send_many", None)

    def close(self) -> None:
        for transport in list(self._made.values()):
            transport.close()

    def way(self) -> Transport:
        """The transport in use."""
        if self._seen != _hookable(self._switches):
            with self._lock:
                self._switches = [one for one in _foreign_handlers() if hasattr(one, "enabled")]
                seen = _hookable(self._switches)
                self._way, self._why = self._decide()
                self._seen = seen
        return self._way

    def explanation(self) -> str:
        return f"{self.way().name}: {self._why}"

    def _decide(self) -> tuple[Transport, str]:
        hook = find_hook()
        if hook is not None:
            return self._make("botocore", BotocoreTransport), f"{hook}, which the other way misses"
        try:
            made = self._make("direct", _direct)
        except ImportError:
            return self._make("botocore", BotocoreTransport), _MISSING
        return made, "pycurl and orjson are there, and nothing hooks botocore"

    def _make(self, name: str, make: Any) -> Transport:
        if name not in self._made:
            self._made[name] = make(self._settings, **self._options)
        return self._made[name]


def find_hook() -> str | None:
    """What hooks botocore, or the sockets beneath it, in this process; None for nothing."""
    for patched in (*_entrances(), socket.getaddrinfo):
        if not _is_original(patched):
            name = getattr(patched, "__qualname__", None) or "a part of it"
            return f"botocore is patched ({name})"
    if socket.socket.__module__ != "socket":
        return f"sockets are patched ({socket.socket.__module__})"
    for handler in _foreign_handlers():
        if getattr(handler, "enabled", True):
            return f"botocore has a handler of {_module_of(handler)}"
    return None


def _hookable(switches: list[Any]) -> tuple[Any, ...]:
    """What changes when botocore is hooked, or no longer; compared at every request."""
    return (
        *_entrances(),
        socket.getaddrinfo,
        socket.socket,
        len(botocore.handlers.BUILTIN_HANDLERS),
        *[switch.enabled for switch in switches],
    )


def _entrances() -> tuple[Any, ...]:
    return (
        BaseClient._make_api_call,
        Endpoint.make_request,
        Endpoint.prepare_request,
        URLLib3Session.send,
    )


def _is_original(function: Any) -> bool:
    """Whether a function is botocore's or Python's; a wrapper may copy all but its globals."""
    if not isinstance(function, FunctionType):
        return False
    return function.__globals__["__name__"].partition(".")[0] in ("botocore", "socket")


def _foreign_handlers() -> list[Any]:
    return [
        handler
        for _, handler, *_ in botocore.handlers.BUILTIN_HANDLERS
        if _module_of(handler).partition(".")[0] != "botocore"
    ]


def _module_of(handler: Any) -> str:
    return getattr(handler, "__module__", None) or type(handler).__module__


def _direct(settings: Settings, **options: Any) -> Transport:
    from thrivecalc_models.transport.direct import DirectTransport

    return DirectTransport(settings, **options)
