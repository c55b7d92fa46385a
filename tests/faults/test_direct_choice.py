"""Which transport a store takes, and what it says about it."""

from __future__ import annotations

import functools
import logging
import socket
import subprocess
import sys
import textwrap
from contextlib import closing
from unittest import mock

import botocore.awsrequest
import botocore.client
import botocore.endpoint
import botocore.handlers
import botocore.httpsession
import pytest
import wrapt
from sending import ask

from thrivecalc_models import (
    ConfigurationError,
    DataStore,
    OutcomeUnknownError,
    SavingsGoal,
    SavingsGoalData,
    UnavailableError,
)
from thrivecalc_models.operations import Reply
from thrivecalc_models.table import Settings
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.transport.auto import make_transport

pytest.importorskip("pycurl")


@pytest.fixture(autouse=True)
def _undisturbed(pytestconfig):
    if pytestconfig.getoption("--transport") != "auto":
        pytest.skip("the tests are told which transport to run on")


REPLY = {"Item": {"k": {"S": "1"}}, "ResponseMetadata": {"RequestId": "r-1"}}
GET = {"TableName": "t", "Key": {"k": {"S": "1"}}}


@pytest.fixture
def store():
    with DataStore(endpoint="http://127.0.0.1:9") as store:
        yield store


def without_the_extra():
    return mock.patch.dict(sys.modules, {"thrivecalc_models.transport.direct": None})


def test_with_the_extra(store):
    """With the extra, and nothing that hooks botocore, a store takes the direct way."""
    assert store.transport.startswith("direct: ")


def test_without_the_extra(store):
    """Without the extra a store takes botocore's way, and says what to install."""
    with without_the_extra():
        assert store.transport.startswith("botocore: ")
        assert 'pip install "thrivecalc-models[fast]"' in store.transport


def test_insisting():
    """ "botocore" and "direct" are taken as asked for."""
    for choice in ("botocore", "direct"):
        with DataStore(endpoint="http://127.0.0.1:9", transport=choice) as store:
            assert store.transport == f"{choice}: as asked for"


def test_insisting_without_the_extra():
    """Who insists on the direct way without the extra is told what to install."""
    with (
        without_the_extra(),
        pytest.raises(ConfigurationError, match=r'pip install "thrivecalc-models\[fast\]"'),
    ):
        DataStore(transport="direct")


def test_a_transport_that_is_not_known():
    """Any other name is refused with the names there are."""
    with pytest.raises(ConfigurationError, match="'auto', 'botocore' or 'direct'"):
        DataStore(transport="carrier pigeon")


def test_a_simulated_store():
    """A simulated store says so."""
    assert simulated_store(SimulatedTable()).transport.startswith("simulat")


def wrapped():
    original = botocore.client.BaseClient._make_api_call

    @functools.wraps(original)
    def traced(*args, **kwargs):
        return original(*args, **kwargs)

    return traced


@pytest.mark.parametrize("patch", [mock.Mock(return_value=REPLY), wrapped()])
def test_a_patched_botocore(store, patch):
    """Who patches botocore, as test and tracing tools do, is not passed by, even if late."""
    assert store.transport.startswith("direct: ")
    with mock.patch.object(botocore.client.BaseClient, "_make_api_call", patch):
        assert store.transport.startswith("botocore: botocore is patched")
    assert store.transport.startswith("direct: ")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (botocore.client.BaseClient, "__init__"),
        (botocore.client.BaseClient, "_make_api_call"),
        (botocore.endpoint.Endpoint, "make_request"),
        (botocore.endpoint.Endpoint, "prepare_request"),
        (botocore.httpsession.URLLib3Session, "send"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_proxy_that_passes_for_what_it_wraps(store, owner, name):
    """A wrapper of wrapt says of itself that it is the function, and equals it; tracing tools wrap
    so, and are not passed by, begun early or late."""
    assert store.transport.startswith("direct: ")

    def trace(wrapped, instance, args, kwargs):
        return wrapped(*args, **kwargs)

    with mock.patch.object(owner, name, wrapt.FunctionWrapper(vars(owner)[name], trace)):
        assert store.transport.startswith(f"botocore: botocore is patched ({owner.__name__}.{name}")
    assert store.transport.startswith("direct: ")


def test_a_mock_with_the_signature(store):
    """A mock made with `autospec` is noticed, though its function has no module."""
    with mock.patch.object(
        botocore.client.BaseClient, "_make_api_call", autospec=True, return_value=REPLY
    ):
        assert store.transport.startswith("botocore: botocore is patched")


def test_a_recorder_of_connections(store):
    """Who puts connections of its own into botocore's pools, as vcrpy does, is noticed."""

    class Recorded(botocore.awsrequest.AWSHTTPSConnection):
        pass

    pool = botocore.awsrequest.AWSHTTPSConnectionPool
    with mock.patch.object(pool, "ConnectionCls", Recorded):
        assert store.transport.startswith("botocore: botocore's connections are patched")


class BlockedError(RuntimeError):
    pass


def guarded(self, address):
    self.close()
    raise BlockedError


def test_a_guard_of_addresses(store):
    """A guard of `socket.connect`, as of pytest-socket, is noticed; what it raises is its own, and
    not the network's, and means that nothing was sent."""
    with mock.patch.object(socket.socket, "connect", guarded):
        assert store.transport.startswith("botocore: sockets are patched (socket.connect)")
        with pytest.raises(UnavailableError) as caught:
            store.user("u").add(SavingsGoalData(name="x", target_amount=1))
    assert caught.value.outcome == "not applied"
    assert f"BlockedError is an exception of {__name__}" in str(caught.value)
    assert "check the network" not in str(caught.value)


def test_what_a_hook_raises():
    """An exception of a hook is told as that hook's; what may have been applied is unknown."""

    def fail(*_, **__):
        raise KeyError("trace")

    with (
        DataStore(endpoint="http://127.0.0.1:9") as store,
        mock.patch.object(botocore.client.BaseClient, "_make_api_call", fail),
        pytest.raises(OutcomeUnknownError) as caught,
    ):
        store.user("u").add(SavingsGoalData(name="x", target_amount=1))
    assert f"KeyError is an exception of {__name__}" in str(caught.value)
    assert "check the network" not in str(caught.value)


def test_what_a_handler_raises_before_anything_is_sent():
    """What a handler raises while the request is made is its own, and nothing was applied."""

    def fail(**_):
        raise KeyError("trace")

    with (
        mock.patch.object(
            botocore.handlers,
            "BUILTIN_HANDLERS",
            [*botocore.handlers.BUILTIN_HANDLERS, ("request-created.dynamodb", fail)],
        ),
        DataStore(endpoint="http://127.0.0.1:9") as store,
        pytest.raises(UnavailableError) as caught,
    ):
        store.user("u").add(SavingsGoalData(name="x", target_amount=1))
    assert caught.value.outcome == "not applied"
    assert f"KeyError is an exception of {__name__}" in str(caught.value)


@pytest.mark.parametrize("transport", ["botocore", "direct"])
def test_only_what_is_sent_is_seen(transport):
    """Nothing appears in a trace that is not sent: one call is one request, also at the start."""
    calls = []

    def trace(wrapped, instance, args, kwargs):
        calls.append(args[0])
        return wrapped(*args, **kwargs)

    owner = botocore.client.BaseClient
    wrapper = wrapt.FunctionWrapper(vars(owner)["_make_api_call"], trace)
    with (
        DataStore.local() as local,
        DataStore(endpoint=local.endpoint, transport=transport) as store,
        mock.patch.object(owner, "_make_api_call", wrapper),
    ):
        store.user("u").get(SavingsGoal, "g")
    assert calls == (["GetItem"] if transport == "botocore" else [])


def test_nothing_is_logged_that_is_not_sent(monkeypatch, caplog):
    """With the root logger at DEBUG the direct transport has botocore log no request, and neither
    access key nor session token."""
    keys = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
        "AWS_SESSION_TOKEN": "FQoGZXIvYXdzE",
    }
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    with DataStore.local() as local, caplog.at_level(logging.DEBUG):
        caplog.clear()
        with DataStore(endpoint=local.endpoint, transport="direct") as store:
            store.user("u").get(SavingsGoal, "g")
    assert not any(value in caplog.text for value in keys.values())
    assert "botocore" in caplog.text
    for words in ("Making request", "CanonicalRequest", "Sending http request", "Authorization"):
        assert words not in caplog.text


def test_a_patched_botocore_answers():
    """The patch is what answers the very next request."""
    settings = Settings(table_name="t", region="us-east-1", endpoint="http://127.0.0.1:9")
    with closing(make_transport("auto", settings, timeout=1, max_concurrency=1)) as transport:
        assert not isinstance(ask(transport, "GetItem", GET), Reply)
        with mock.patch.object(
            botocore.client.BaseClient, "_make_api_call", return_value=dict(REPLY)
        ):
            assert ask(transport, "GetItem", GET).body["Item"] == {"k": {"S": "1"}}
        assert not isinstance(ask(transport, "GetItem", GET), Reply)


def test_patched_sockets(store):
    """Where sockets are replaced, as gevent does, libcurl would pass them by."""

    class Green(socket.socket):
        pass

    with mock.patch.object(socket, "socket", Green):
        assert store.transport.startswith("botocore: sockets are patched")


def test_a_handler(store):
    """A handler that somebody gave all sessions of botocore counts, unless it is switched off."""

    class Handler:
        enabled = False

        def __call__(self, **_):
            pass

    handler = Handler()
    with mock.patch.object(
        botocore.handlers,
        "BUILTIN_HANDLERS",
        [*botocore.handlers.BUILTIN_HANDLERS, ("before-send", handler)],
    ):
        assert store.transport.startswith("direct: ")
        handler.enabled = True
        assert store.transport.startswith("botocore: botocore has a handler")
        handler.enabled = False
        assert store.transport.startswith("direct: ")


UNDER_MOTO = """
    from moto import mock_aws
    from thrivecalc_models import DataStore, SavingsGoalData

    store = DataStore()
    print(store.transport.partition(":")[0])
    with mock_aws():
        print(store.transport.partition(":")[0])
        store.create_table()
        print(store.user("u").add(SavingsGoalData(name="x", target_amount=1)).data.target_amount)
    print(store.transport.partition(":")[0])
"""


def test_motos_mock():
    """Under moto's `mock_aws`, begun before or after the first use, moto answers."""
    # In a process of its own: entering the mock empties every moto engine of this one.
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(UNDER_MOTO)],
        env={},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.split() == ["direct", "botocore", "1", "direct"], ran.stderr
