"""What tests without an engine share: a simulated table, its user, transports, certificates."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from machines import goal_item, user_of
from proxy import make_certificates

from thrivecalc_models import DataStore, data_store
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.store import AsyncUserData
from thrivecalc_models.synchronous import drive
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.unit_of_work import AsyncUnitOfWork


@contextmanager
def configured(store: DataStore) -> Iterator[DataStore]:
    """Let class methods and `data_store` use a store, and forget it afterwards."""
    data_store.configure(store)
    try:
        yield store
    finally:
        data_store.configure(None)


class Driven:
    """The calls of an asynchronous shell over a synchronous store, which never suspends them."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.shell, name)
        return self._call(member) if callable(member) else member

    def _call(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            found = method(*arguments, **options)
            result = drive(found) if inspect.iscoroutine(found) else found
            return Driven(result) if isinstance(result, AsyncUnitOfWork) else result

        return call

    def __enter__(self) -> Any:
        drive(self.shell.__aenter__())
        return self

    def __exit__(self, *error: Any) -> None:
        drive(self.shell.__aexit__(*error))


def in_shell(shell: str, store: DataStore, user_id: str) -> Any:
    """The data of a user through one of the two shells."""
    if shell == "UserData":
        return store.user(user_id)
    return Driven(AsyncUserData(Scope(store.session, user_id)))


@pytest.fixture
def table() -> SimulatedTable:
    """A simulated table without items."""
    return SimulatedTable()


@pytest.fixture
def a_stored_goal(table: SimulatedTable) -> None:
    """The table has a savings goal with the id `g`."""
    table.put(goal_item())


@pytest.fixture
def user(table: SimulatedTable) -> Any:
    """The data of a user in the simulated table."""
    return user_of(table)


@pytest.fixture
def work(user: Any) -> Any:
    """A unit of work of that user."""
    return user.unit_of_work()


@pytest.fixture
def configured_store(table: SimulatedTable) -> Iterator[DataStore]:
    """A store of the simulated table, which the class methods of the models use."""
    with configured(simulated_store(table)) as store:
        yield store


@pytest.fixture
def service(table: SimulatedTable, configured_store: DataStore) -> SimulatedTable:
    """The simulated table, which the class methods of the models use."""
    return table


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Writes the AWS configuration file."""

    def write(text: str) -> None:
        path = tmp_path / "config"
        path.write_text(textwrap.dedent(text))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(path))

    return write


@pytest.fixture(params=["direct", "botocore"])
def transport(request: pytest.FixtureRequest) -> str:
    """The name of each transport in turn."""
    if request.param == "direct":
        pytest.importorskip("pycurl")
    return str(request.param)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The files of an authority, and of a service of this machine that it vouches for."""
    pytest.importorskip("cryptography")
    return make_certificates(tmp_path_factory.mktemp("certificates"))
