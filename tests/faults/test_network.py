"""What goes wrong on the way to the service: the same sentence on both transports and in doctor."""

from __future__ import annotations

import socket
from contextlib import closing, contextmanager
from unittest import mock

import pytest
from sending import ask
from servers import Service

from thrivecalc_models import (
    ConfigurationError,
    DataStore,
    OutcomeUnknownError,
    RetryPolicy,
    SavingsGoalData,
    UnavailableError,
)
from thrivecalc_models.operations import FailureKind
from thrivecalc_models.transport.auto import make_transport
from thrivecalc_models.upkeep.doctor import diagnose

AWAY = "https://db.example.com"
GOAL = SavingsGoalData(name="x", target_amount=1)


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")


@contextmanager
def answering(status, *, certificate=None, **headers):
    """A server, or a proxy, that answers everything with a status and a page; its address."""
    reply = (status, b"<html>no</html>", headers)
    service = Service(lambda *_: reply, certificate, methods=("POST", "CONNECT"))
    with closing(service):
        yield service.address


def failing(transport, endpoint, **options):
    """The error of an add that is tried twice."""
    retry = RetryPolicy(attempts=2, base=0.001)
    options = {"timeout": 5, "retry": retry} | options
    with (
        DataStore(endpoint=endpoint, transport=transport, **options) as store,
        pytest.raises((UnavailableError, OutcomeUnknownError)) as caught,
    ):
        store.user("u").add(GOAL)
    return caught.value


def reachable(endpoint):
    """What doctor says of the way to an endpoint."""
    rows = {row.check: row for row in diagnose({"endpoint": endpoint}).rows}
    return rows["reachable"].what + rows["reachable"].way_out


@pytest.mark.parametrize(
    ("status", "says"),
    [(407, "a user name and a password"), (403, "does not let requests through"), (502, "502")],
)
def test_a_proxy_that_refuses(monkeypatch, transport, status, says):
    """A proxy's answer is told as that, with its status and the settings; nothing was applied."""
    with answering(status) as address:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hidden@{address}")
        error = failing(transport, AWAY)
        told = reachable(AWAY)
    for text in (str(error), told):
        assert f"the proxy http://{address} answered {status}" in text
        assert says in text
        assert "HTTPS_PROXY" in text or "NO_PROXY" in text
        assert "hidden" not in text
    assert error.outcome == "not applied"


def test_a_proxy_that_is_dead(monkeypatch, transport):
    """A proxy that does not answer is named, without its password."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hidden@127.0.0.1:9")
    error = failing(transport, AWAY)
    for text in (str(error), reachable(AWAY)):
        assert "the proxy http://127.0.0.1:9 does not answer" in text
        assert "HTTPS_PROXY" in text
        assert "hidden" not in text
    assert error.outcome == "not applied"


@pytest.mark.parametrize("proxy", ["http://not there:3128", "http://[::1", "gopher://127.0.0.1:9"])
def test_a_proxy_that_cannot_be(monkeypatch, transport, proxy):
    """A proxy that is no proxy at all means that nothing was applied."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert failing(transport, AWAY).outcome == "not applied"


def test_a_proxy_that_wants_a_password_of_plain_http(monkeypatch, transport):
    """So is one that wants a password before it passes plain http on."""
    monkeypatch.setenv("THRIVECALC_ALLOW_HTTP", "1")
    with answering(407) as address:
        monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
        error = failing(transport, "http://db.example.com")
    assert "answered 407" in str(error)


def test_a_certificate_that_is_not_trusted(transport, certificates):
    """A certificate that is not trusted: the error names AWS_CA_BUNDLE; nothing was applied."""
    _, own = certificates
    with answering(200, certificate=own) as address:
        error = failing(transport, f"https://{address}")
        told = reachable(f"https://{address}")
    for text in (str(error), told):
        assert "its certificate is not trusted here" in text
        assert "AWS_CA_BUNDLE" in text
    assert error.outcome == "not applied"


def test_a_certificate_of_another_host(monkeypatch, transport, certificates):
    """A certificate of another host is told as that."""
    authority, own = certificates
    monkeypatch.setenv("AWS_CA_BUNDLE", authority)
    with answering(200, certificate=own) as address:
        endpoint = f"https://{address}".replace("127.0.0.1", "localhost")
        error = failing(transport, endpoint)
        told = reachable(endpoint)
    for text in (str(error), told):
        assert "that of another host" in text
    assert error.outcome == "not applied"


def test_a_port_that_speaks_no_tls(transport):
    """https to a plain port: the handshake failed, and nothing was applied."""
    with answering(200) as address:
        error = failing(transport, f"https://{address}")
        told = reachable(f"https://{address}")
    for text in (str(error), told):
        assert "TLS handshake failed" in text
    assert error.outcome == "not applied"


def test_a_handshake_that_never_ends(transport):
    """Time that runs out before a connection is there means that nothing was applied."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        error = failing(transport, f"https://{address}", timeout=0.2)
    assert error.outcome == "not applied"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect(transport, status):
    """A redirect is told with its status, and is not followed."""
    with answering(status, Location="http://127.0.0.1:9/") as address:
        error = failing(transport, f"http://{address}")
    assert f"a redirect (HTTP {status})" in str(error)


def test_nobody_listens(transport):
    """Where nothing listens, the error says that no connection was made."""
    error = failing(transport, "http://127.0.0.1:9")
    assert "no connection was made" in str(error)
    assert "thrivecalc local" in str(error)
    assert error.outcome == "not applied"


@pytest.mark.parametrize("value", [object(), b"x"])
def test_what_cannot_be_written_is_not_the_networks(transport, value):
    """A request that cannot be made at all is no network error, and nothing was sent."""
    with (
        DataStore(endpoint="http://127.0.0.1:9") as store,
        closing(make_transport(transport, store.settings, timeout=1, max_concurrency=1)) as way,
    ):
        failure = ask(way, "PutItem", {"TableName": "t", "Item": {"k": {"S": value}}})
    assert (failure.kind, failure.again, failure.applied_maybe) == (
        FailureKind.INVALID,
        False,
        False,
    )
    assert "cannot be written as JSON" in failure.advice


def test_a_monkey_patch_that_came_too_late(transport):
    """ssl that calls itself for ever is told as that, with the way out, when the store is made."""

    def endless(*_, **__):
        raise RecursionError("maximum recursion depth exceeded")

    with (
        mock.patch("botocore.httpsession.create_urllib3_context", endless),
        pytest.raises(ConfigurationError, match="gevent patches it too late"),
    ):
        DataStore(endpoint=f"https://{transport}.example.com", transport=transport)
