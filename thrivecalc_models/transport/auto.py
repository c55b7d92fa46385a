"""Choose the transport of a store, and say why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import Failure
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.base import AsyncTransport, Request, Transport
from thrivecalc_models.transport.botocore import BotocoreTransport
from thrivecalc_models.transport.configuration import configured
from thrivecalc_models.transport.hooks import Watch, find_hook
from thrivecalc_models.transport.process import PerProcess, forks_wait

MISSING = 'pycurl is not usable here: pip install "thrivecalc-models[fast]"'

T = TypeVar("T", bound=Transport | AsyncTransport)


def make_transport(name: str, settings: Settings, **options: Any) -> Transport:
    """Make the transport of "auto", "botocore" or "direct"; options as of BotocoreTransport.

    Raises ConfigurationError for any other name, for "direct" without the extra `fast`, and for
    settings that botocore refuses.
    """
    settings = checked(name, settings)
    if name == "auto":
        return AutoTransport(settings, **options)
    if name == "botocore":
        return BotocoreTransport(settings, **options)
    try:
        return make_direct(settings, **options)
    except ImportError as missing:
        raise no_direct() from missing


def checked(name: str, settings: Settings) -> Settings:
    """The settings with botocore's own. Raises ConfigurationError for the name of no transport."""
    if name not in ("auto", "botocore", "direct"):
        raise ConfigurationError(
            f"transport={name!r} is not known; use 'auto', 'botocore' or 'direct'"
        )
    return settings if settings.endpoint_source else configured(settings)


def no_direct() -> ConfigurationError:
    """The error of a direct transport that was asked for without the extra."""
    return ConfigurationError(f"transport='direct' cannot be used: {MISSING}")


def make_direct(settings: Settings, **options: Any) -> Transport:
    """Make the direct transport. Raises ImportError without the extra `fast`."""
    with forks_wait:
        from thrivecalc_models.transport.direct import DirectTransport

    return DirectTransport(settings, **options)


def explain(transport: Transport | AsyncTransport) -> str:
    """The name of the transport in use, a colon, and the reason."""
    if isinstance(transport, Choosing):
        return transport.explanation()
    return f"{transport.name}: as asked for"


class Choosing(Generic[T]):
    """Chooses the direct transport if the extra is installed and nothing hooks botocore.

    It chooses at the first request, and again when a hook is added or removed: a test that begins
    moto's `mock_aws` late must not reach the real service.
    """

    def __init__(self, *, direct: Callable[[], T], botocore: Callable[[], T]) -> None:
        self._makers: dict[str, Callable[[], T]] = {"direct": direct, "botocore": botocore}
        self._lock = PerProcess(threading.Lock)
        self._made: dict[str, T] = {}
        self._watch = Watch()
        self._chosen: T
        self._why: str

    def chosen(self) -> T:
        """The transport in use."""
        if self._watch.changed():
            with self._lock.get():
                watch = Watch()
                watch.look()  # before the choice: a hook that comes meanwhile is noticed next time
                self._chosen, self._why = self._choose()
                self._watch = watch
        return self._chosen

    def explanation(self) -> str:
        """The name of the transport in use, and why it is."""
        return f"{self.chosen().name}: {self._why}"

    def made(self) -> list[T]:
        """The transports that were in use."""
        return list(self._made.values())

    def _choose(self) -> tuple[T, str]:
        hook = find_hook()
        if hook is not None:
            return self._make("botocore"), f"{hook}, which the direct transport bypasses"
        try:
            return self._make("direct"), "pycurl is installed, and nothing hooks botocore"
        except ImportError:
            return self._make("botocore"), MISSING

    def _make(self, name: str) -> T:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]


class AutoTransport(Choosing[Transport], Transport):
    """The direct transport if the extra is installed and nothing hooks botocore, else botocore's.

    Options as of BotocoreTransport.
    """

    name = "auto"

    def __init__(self, settings: Settings, **options: Any) -> None:
        super().__init__(
            direct=lambda: make_direct(settings, **options),
            botocore=lambda: BotocoreTransport(settings, **options),
        )

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        return self.chosen().send(operation, body)

    def send_many(
        self, requests: Iterable[Request], limit: Callable[[], int]
    ) -> Iterator[tuple[int, bytes | Failure]]:
        return self.chosen().send_many(requests, limit)

    def close(self) -> None:
        for transport in self.made():
            transport.close()
