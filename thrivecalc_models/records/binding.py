"""What a record needs of the store it belongs to, below the store itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

import attrs

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.protocol import RetryPolicy
from thrivecalc_models.signals import Observer
from thrivecalc_models.table import Settings, resolve_settings
from thrivecalc_models.transport import Driver
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.wire import MAX_SKIP, WriteTime, fresh_id


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.define(kw_only=True, eq=False, repr=False)
class Binding:
    """Where a record's requests go, and by which rules: settings, driver, clock, retry."""

    settings: Settings
    driver: Driver
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    js_safe_numbers: bool = True
    clock: Callable[[], datetime] = _now
    new_id: Callable[[], str] = fresh_id
    rng: random.Random = attrs.field(factory=random.SystemRandom)  # a fork does not copy its state
    observer: Observer | None = None
    engine: Any = None
    """An embedded engine, which lives as long as anything that can reach its table."""

    def write_time(self, now: datetime | None = None) -> WriteTime:
        """The time of a write that is made now, with a random part of its own."""
        skip = 1 + int(self.rng.random() * MAX_SKIP)
        return WriteTime(self.clock() if now is None else now, skip)


class _Default:
    """The binding of class methods: made from the environment when first needed, or given."""

    binding: Binding | None = None
    of_environment = False


_LOCAL: WeakSet[Binding] = WeakSet()


def default_binding() -> Binding:
    """The binding of everything that belongs to no store yet.

    Raises ConfigurationError where that would be the real service's, made from an environment that
    names no endpoint, while a store on an embedded engine is open.
    """
    if _Default.binding is None:
        set_default_binding(connect(resolve_settings()), of_environment=True)
    binding = _Default.binding
    assert binding is not None
    if _Default.of_environment and _LOCAL and binding.settings.endpoint is None:
        raise ConfigurationError(
            "class methods of the models and the functions of data_store would go to the real"
            " service here, while a DataStore.local() is open in this process; for them to use that"
            " one, call data_store.configure(store), or name an endpoint in AWS_ENDPOINT"
        )
    return binding


def set_default_binding(binding: Binding | None, *, of_environment: bool = False) -> None:
    """Use this one from now on; None goes back to the environment."""
    _Default.binding, _Default.of_environment = binding, of_environment


def local_opened(binding: Binding) -> None:
    """Note that a store on an embedded engine is open, until `local_closed` or its end."""
    _LOCAL.add(binding)


def local_closed(binding: Binding) -> None:
    _LOCAL.discard(binding)


def connect(settings: Settings, *, timeout: float = 10.0, max_concurrency: int = 8) -> Binding:
    with forks_wait:  # not needed to define models
        from thrivecalc_models.transport.choice import make_transport
        from thrivecalc_models.transport.configuration import configured

    settings = configured(settings)
    transport = make_transport("auto", settings, timeout=timeout, max_concurrency=max_concurrency)
    driver = Driver(transport, settings.table_name, max_concurrency=max_concurrency)
    return Binding(settings=settings, driver=driver)
