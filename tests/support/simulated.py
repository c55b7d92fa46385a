"""A simulated table, and a store that the class methods of the models use for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from thrivecalc_models import DataStore, data_store
from thrivecalc_models.testing import SimulatedTable, simulated_store


@contextmanager
def configured(store: DataStore) -> Iterator[DataStore]:
    """Let class methods and `data_store` use a store, and forget it afterwards."""
    data_store.configure(store)
    try:
        yield store
    finally:
        data_store.configure(None)


@pytest.fixture
def service() -> Iterator[SimulatedTable]:
    """A simulated table, which the class methods of the models use."""
    table = SimulatedTable()
    with configured(simulated_store(table)):
        yield table
