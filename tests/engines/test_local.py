"""The embedded engine: a table in this process, seen by nobody else and gone afterwards."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from contextlib import closing, suppress

import pytest
from sending import ask

from thrivecalc_models import (
    AccessDeniedError,
    ConfigurationError,
    DataStore,
    SavingsGoal,
    SavingsGoalData,
    data_store,
)
from thrivecalc_models.local import EmbeddedEngine
from thrivecalc_models.operations import FailureKind, Reply
from thrivecalc_models.table import Settings
from thrivecalc_models.transport.botocore import BotocoreTransport

TABLE = {
    "TableName": "t",
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
KEY = {"k": {"S": "1"}}


def transport_to(engine):
    settings = Settings(table_name="t", region="us-east-1", endpoint=engine.endpoint)
    return closing(BotocoreTransport(settings, timeout=10, max_concurrency=8))


def test_engines_are_apart():
    """Two engines in one process have tables of the same name, and neither sees the other's."""
    with (
        EmbeddedEngine() as one,
        EmbeddedEngine() as other,
        transport_to(one) as to_one,
        transport_to(other) as to_other,
    ):
        for transport in (to_one, to_other):
            assert isinstance(ask(transport, "CreateTable", TABLE), Reply)
        ask(to_one, "PutItem", {"TableName": "t", "Item": KEY})
        read = {"TableName": "t", "Key": KEY}
        assert ask(to_one, "GetItem", read).body["Item"] == KEY
        assert "Item" not in ask(to_other, "GetItem", read).body


def test_the_address_is_this_machines():
    """An engine listens on this machine only, and each on a port of its own."""
    with EmbeddedEngine() as one, EmbeddedEngine() as other:
        assert one.endpoint.startswith("http://127.0.0.1:")
        assert one.endpoint != other.endpoint


def test_closing():
    """A closed engine answers no more, has no thread left, and may be closed twice."""
    before = threading.active_count()
    engine = EmbeddedEngine()
    engine.close()
    engine.close()
    assert threading.active_count() == before
    with transport_to(engine) as transport:
        assert ask(transport, "ListTables", {}).kind is FailureKind.UNAVAILABLE


def test_one_of_many_wins():
    """Of many threads that create one key, exactly one is told that it did."""
    put = {"TableName": "t", "Item": KEY, "ConditionExpression": "attribute_not_exists(k)"}
    results = []
    with EmbeddedEngine() as engine, transport_to(engine) as transport:
        ask(transport, "CreateTable", TABLE)
        threads = [
            threading.Thread(target=lambda: results.append(ask(transport, "PutItem", put)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sum(isinstance(result, Reply) for result in results) == 1
    assert len(results) == 8


def test_quiet(capfd, caplog):
    """An engine prints nothing and logs no requests."""
    with (
        caplog.at_level(logging.INFO),
        EmbeddedEngine() as engine,
        transport_to(engine) as transport,
    ):
        ask(transport, "CreateTable", TABLE)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.name == "werkzeug"] == []


def test_without_the_extra(monkeypatch):
    """Without moto the error names the command that installs it."""
    monkeypatch.setitem(sys.modules, "moto.moto_server.werkzeug_app", None)
    with pytest.raises(ConfigurationError, match=r'pip install "thrivecalc-models\[local\]"'):
        EmbeddedEngine()


def test_moto_is_loaded_when_it_is_needed():
    """Importing the module does not import moto."""
    code = "import sys, thrivecalc_models.local; sys.exit('moto' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


UNDER_MOTO = """
from moto import mock_aws
from thrivecalc_models.table import resolve_settings
from thrivecalc_models.transport.botocore import BotocoreTransport

with mock_aws():
    transport = BotocoreTransport(resolve_settings(), timeout=1, max_concurrency=1)
    print(transport.send("ListTables", b"{}"))
"""


def test_motos_own_mock():
    """Under moto's `mock_aws` the transport to the real service is answered by moto."""
    # In a process of its own: entering the mock empties every moto engine of this one.
    ran = subprocess.run(
        [sys.executable, "-c", UNDER_MOTO], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout == "b'{\"TableNames\": []}'\n", ran.stderr


def test_a_wrong_option_is_refused():
    """An option that a store does not have is a TypeError, and no engine stays behind."""
    threads = threading.active_count()
    with pytest.raises(TypeError, match="bogus"):
        DataStore.local(bogus=1)
    assert threading.active_count() == threads


CLASS_CALLS = [
    lambda: SavingsGoal.get("u", "savings-goal#g"),
    lambda: list(SavingsGoal.query("u")),
    lambda: list(SavingsGoal.by_type.query("u")),
    lambda: SavingsGoal.count("u"),
    lambda: SavingsGoal("u", data=SavingsGoalData(name="x", target_amount=1)).save(),
    lambda: list(SavingsGoal.batch_get([("u", "savings-goal#g")])),
    lambda: data_store.get_user_data("u", "savings-goal", "g"),
    lambda: data_store.save_user_data("u", "savings-goal", {"name": "x", "targetAmount": 1}),
]


@pytest.fixture
def _unconfigured():
    data_store.configure(None)
    yield
    data_store.configure(None)


@pytest.mark.parametrize("call", CLASS_CALLS)
@pytest.mark.usefixtures("_unconfigured")
def test_class_methods_beside_a_local_store(monkeypatch, call):
    """Beside a `DataStore.local()` what nobody configured does not go to the real service.

    The error says `data_store.configure(store)`, after which it works.
    """
    with DataStore.local() as store:
        with pytest.raises(ConfigurationError, match=r"data_store\.configure\(store\)"):
            call()
        data_store.configure(store)
        with suppress(SavingsGoal.DoesNotExist):
            call()


@pytest.mark.usefixtures("_unconfigured")
def test_class_methods_that_began_before_the_local_store(monkeypatch):
    """So it is where the environment's store was made before; with an endpoint in the environment
    there is no error, and none after the local store was closed."""
    with DataStore.local() as first:
        monkeypatch.setenv("AWS_ENDPOINT", first.endpoint)
        assert data_store.get_user_data("u", "savings-goal", "g") is None
        assert list(SavingsGoal.query("u")) == []
    data_store.configure(None)
    monkeypatch.delenv("AWS_ENDPOINT")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing leaves this machine
    with pytest.raises(AccessDeniedError):
        data_store.get_user_data("u", "savings-goal", "g")
    with DataStore.local(), pytest.raises(ConfigurationError):
        data_store.get_user_data("u", "savings-goal", "g")
    with pytest.raises(AccessDeniedError):
        data_store.get_user_data("u", "savings-goal", "g")


def test_a_local_store_that_is_dropped():
    """A local store that is dropped without `close()` warns, and its thread and socket go.

    As long as something of it is left, such as a scope, it stays.
    """
    before = threading.active_count()
    left = [DataStore.local().user("u")]
    gc.collect()
    assert left[0].add(SavingsGoalData(name="x", target_amount=1)).data.target_amount == 1

    def drop():
        left.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match=r"dropped without close\(\)"):
        drop()
    assert threading.active_count() == before
