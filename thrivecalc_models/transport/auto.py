"""Choose the transport of a store, and say why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import Failure
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.base import AsyncTransport, Request, Transport
from thrivecalc_models.transport.botocore import BotocoreTransport
from thrivecalc_models.transport.configuration import configured
from thrivecalc_models.transport.hooks import Watch, find_hook
from thrivecalc_models.transport.in_threads import InThreads
from thrivecalc_models.transport.process import PerProcess, forks_wait

_MISSING = 'pycurl is not usable here: pip install "thrivecalc-models[fast]"'


def make_transport(name: str, settings: Settings, **options: Any) -> Transport:
    """Make the transport of "auto", "botocore" or "direct"; options as of BotocoreTransport.

    Raises ConfigurationError for any other name, for "direct" without the extra `fast`, and for
    settings that botocore refuses.
    """
    if not settings.endpoint_source:
        settings = configured(settings)
    if name == "auto":
        return AutoTransport(settings, **options)
    if name == "botocore":
        return BotocoreTransport(settings, **options)
    if name == "direct":
        try:
            return _direct(settings, **options)
        except ImportError as missing:
            raise ConfigurationError(f"transport='direct' cannot be used: {_MISSING}") from missing
    raise ConfigurationError(f"transport={name!r} is not known; use 'auto', 'botocore' or 'direct'")


def explain(transport: Transport | AsyncTransport) -> str:
    """The name of the transport in use, a colon, and the reason."""
    if isinstance(transport, InThreads):
        transport = transport.transport
    if isinstance(transport, AutoTransport):
        return transport.explanation()
    return f"{transport.name}: as asked for"


class AutoTransport(Transport):
    """The direct transport if the extra is installed and nothing hooks botocore, else botocore's.

    It chooses at the first request, and again when a hook is added or removed: a test that begins
    moto's `mock_aws` late must not reach the real service.
    """

    name = "auto"

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._settings = settings
        self._options = options
        self._lock = PerProcess(threading.Lock)
        self._made: dict[str, Transport] = {}
        self._watch = Watch()
        self._chosen: Transport
        self._why: str

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        return self.chosen().send(operation, body)

    def send_many(
        self, requests: Iterable[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, bytes | Failure]]:
        return self.chosen().send_many(requests, limit)

    def close(self) -> None:
        for transport in list(self._made.values()):
            transport.close()

    def chosen(self) -> Transport:
        """The transport in use."""
        if self._watch.changed():
            with self._lock.get():
                watch = Watch()
                watch.look()  # before the choice: a hook that comes meanwhile is noticed next time
                self._chosen, self._why = self._choose()
                self._watch = watch
        return self._chosen

    def explanation(self) -> str:
        """Return the chosen transport and the reason, as one line."""
        return f"{self.chosen().name}: {self._why}"

    def _choose(self) -> tuple[Transport, str]:
        hook = find_hook()
        if hook is not None:
            return self._make(
                "botocore", BotocoreTransport
            ), f"{hook}, which the direct transport bypasses"
        try:
            made = self._make("direct", _direct)
        except ImportError:
            return self._make("botocore", BotocoreTransport), _MISSING
        return made, "pycurl is installed, and nothing hooks botocore"

    def _make(self, name: str, make: Any) -> Transport:
        if name not in self._made:
            self._made[name] = make(self._settings, **self._options)
        return self._made[name]


def _direct(settings: Settings, **options: Any) -> Transport:
    with forks_wait:
        from thrivecalc_models.transport.direct import DirectTransport

    return DirectTransport(settings, **options)
