"""What only the direct transport does itself: the way to the service, its clock, connections kept.

What it has in common with botocore's is in test_transport_wire.py.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest
from botocore.credentials import ReadOnlyCredentials
from loops import any_transport
from sending import ask
from servers import Service, meaning

from thrivecalc_models.operations import FailureKind, Reply
from thrivecalc_models.operations.effects import Send
from thrivecalc_models.operations.requests import Call
from thrivecalc_models.table import Settings
from thrivecalc_models.transport import Driver
from thrivecalc_models.transport.configuration import configured
from thrivecalc_models.wire.json_text import encode

pycurl = pytest.importorskip("pycurl")

from thrivecalc_models.transport.direct.replies import transfer_failure  # noqa: E402
from thrivecalc_models.transport.direct.route import find_route  # noqa: E402

GET = {"TableName": "t", "Key": {"k": {"S": "1"}}}
LOST = (FailureKind.UNAVAILABLE, True, True)
NOTHING_SENT = (FailureKind.UNAVAILABLE, True, False)


class Chosen:
    transport = "direct"


@pytest.fixture(params=["direct", "async direct", "uvloop direct"], autouse=True)
def chosen(request, monkeypatch):
    """Every test of this module that sends runs in a thread, and on event loops."""
    sends = {"answering", "transport_to"} & set(request.function.__code__.co_names)
    if request.param != "direct" and not sends:
        pytest.skip("nothing is sent")
    if request.param.startswith("uvloop"):
        pytest.importorskip("uvloop")
    monkeypatch.setattr(Chosen, "transport", request.param)
    return request.param


def transport_to(endpoint, **options):
    options = {"timeout": 5, "max_concurrency": 4} | options
    to = settings(endpoint, allow_http=options.pop("allow_http", False))
    return closing(any_transport(Chosen.transport, to, **options))


def settings(endpoint=None, region="us-east-1", allow_http=False):
    return Settings(table_name="t", region=region, endpoint=endpoint, allow_http=allow_http)


@contextmanager
def answering(answer=None, *, certificate=None, **options):
    with (
        closing(Service(answer, certificate)) as service,
        transport_to(service.endpoint, **options) as transport,
    ):
        yield service, transport


# Never twice


def test_a_kept_connection_that_breaks():
    """A write whose kept connection breaks is not sent again behind our back: it is in doubt."""

    def first_only(service, number, request):
        return (200, {}) if number == 0 else None

    with answering(first_only) as (service, transport):
        assert isinstance(ask(transport, "PutItem", GET), Reply)
        assert meaning(ask(transport, "PutItem", GET)) == LOST
        assert len(service.requests) == 2


def test_a_kept_connection_that_was_closed():
    """A kept connection that the service closed meanwhile is replaced before anything is sent."""

    def closing_it(service, number, request):
        return 200, {}, {"Connection": "close"}

    with answering(closing_it) as (service, transport):
        for _ in range(3):
            assert isinstance(ask(transport, "PutItem", GET), Reply)
    assert len(set(service.peers)) == 3


# The way to the service


def with_keys(monkeypatch, **more):
    for name, value in (
        {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"} | more
    ).items():
        monkeypatch.setenv(name, value)


def route(**options):
    return find_route(configured(settings(**options)), timeout=1, max_concurrency=1)


@pytest.mark.parametrize(
    ("region", "environment", "host"),
    [
        ("us-east-1", {}, "dynamodb.us-east-1.amazonaws.com"),
        ("cn-north-1", {}, "dynamodb.cn-north-1.amazonaws.com.cn"),
        ("us-iso-east-1", {}, "dynamodb.us-iso-east-1.c2s.ic.gov"),
        ("us-east-1", {"AWS_USE_FIPS_ENDPOINT": "true"}, "dynamodb-fips.us-east-1.amazonaws.com"),
        ("eu-west-1", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "dynamodb.eu-west-1.api.aws"),
        pytest.param(
            "us-east-1",
            {"AWS_ACCOUNT_ID": "123456789012"},
            "123456789012.ddb.us-east-1.amazonaws.com",
            marks=pytest.mark.skipif(
                "account_id" not in ReadOnlyCredentials._fields,
                reason="this botocore knows no endpoints of accounts",
            ),
        ),
        (
            "us-east-1",
            {"AWS_ENDPOINT_URL_DYNAMODB": "https://db.example.com:8443/x"},
            "db.example.com:8443",
        ),
        ("us-east-1", {"AWS_ENDPOINT_URL": "https://db.example.com"}, "db.example.com"),
    ],
)
def test_the_endpoint_is_botocores(monkeypatch, region, environment, host):
    """Partitions, FIPS, dual stack, accounts and endpoints of the environment count as ever."""
    with_keys(monkeypatch, **environment)
    found = route(region=region)
    assert found.signer.host == host
    assert found.url.startswith("https://")


def test_proxies_are_those_of_botocore(monkeypatch):
    """HTTPS_PROXY is used for the real service, unless NO_PROXY names it."""
    with_keys(monkeypatch, HTTPS_PROXY="proxy.example.com:3128")
    assert route().proxy == "http://proxy.example.com:3128"
    monkeypatch.setenv("NO_PROXY", "amazonaws.com")
    assert route().proxy is None


def test_the_bundle_of_certificates(monkeypatch, tmp_path):
    """AWS_CA_BUNDLE, else botocore's own bundle, says whom to trust."""
    with_keys(monkeypatch)
    assert Path(route().ca_file).exists()
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(Path(route().ca_file).read_bytes())
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    assert route().ca_file == str(bundle)


def test_by_way_of_a_proxy(monkeypatch):
    """A request by way of a proxy names the service, and the proxy gets its password."""
    with closing(Service()) as proxy:
        with_keys(monkeypatch, HTTP_PROXY=f"http://me:pa%24s@{proxy.address}")
        with transport_to("http://db.example.com", allow_http=True) as transport:
            assert isinstance(ask(transport, "GetItem", GET), Reply)
    assert proxy.paths == ["http://db.example.com/"]
    assert proxy.headers[0]["Host"] == "db.example.com"
    assert proxy.headers[0]["Proxy-Authorization"] == "Basic bWU6cGEkcw=="


def test_a_proxy_that_refuses(monkeypatch):
    """Where a proxy does not connect, nothing was sent."""
    with closing(Service()) as proxy:  # it knows no CONNECT
        with_keys(monkeypatch, HTTPS_PROXY=f"http://{proxy.address}")
        with transport_to("https://db.example.com") as transport:
            failure = ask(transport, "PutItem", GET)
    assert meaning(failure) == NOTHING_SENT
    assert proxy.requests == []


@pytest.mark.parametrize("code", [pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT])
def test_before_the_body(code):
    """Whatever fails before libcurl asks for the body, such as a name, means nothing was sent."""
    assert meaning(transfer_failure(code, "", begun=False)) == NOTHING_SENT
    assert meaning(transfer_failure(code, "", begun=True)) == LOST


def test_the_environment_of_libcurl_does_not_count(monkeypatch):
    """A proxy that only libcurl would take from the environment is not used."""
    with answering() as (_, transport):
        monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert isinstance(ask(transport, "GetItem", GET), Reply)


def test_a_certificate_of_the_given_bundle(monkeypatch, certificates):
    """A server with a certificate of AWS_CA_BUNDLE is trusted, and its connection kept."""
    authority, own = certificates
    monkeypatch.setenv("AWS_CA_BUNDLE", authority)
    with answering(certificate=own) as (service, transport):
        for _ in range(2):
            assert isinstance(ask(transport, "GetItem", GET), Reply)
    assert len(set(service.peers)) == 1


def test_a_certificate_for_another_name(monkeypatch, certificates):
    """A trusted certificate for another name is refused, and nothing was sent."""
    authority, own = certificates
    monkeypatch.setenv("AWS_CA_BUNDLE", authority)
    with closing(Service(certificate=own)) as service:
        endpoint = service.endpoint.replace("127.0.0.1", "localhost")
        with transport_to(endpoint) as transport:
            failure = ask(transport, "PutItem", GET)
    assert meaning(failure) == (FailureKind.UNAVAILABLE, False, False)
    assert failure.code == "SSLError"
    assert service.requests == []


def test_no_tls_at_the_other_end():
    """Where the handshake fails, nothing was sent."""
    with closing(Service()) as service, transport_to(f"https://{service.address}") as transport:
        failure = ask(transport, "PutItem", GET)
    assert meaning(failure) == NOTHING_SENT


def test_nobody_accepts():
    """A connection that is not made in time means that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as mute:  # it answers no handshake
        endpoint = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with transport_to(endpoint, timeout=0.2) as transport:
            failure = ask(transport, "PutItem", GET)
    assert meaning(failure) == NOTHING_SENT
    assert failure.code == "ConnectTimeoutError"


# Who asks


def test_a_session_token(monkeypatch):
    """A session token is sent and signed; credentials of the environment beat the stand-ins."""
    with_keys(monkeypatch, AWS_SESSION_TOKEN="to/ken==")
    with answering() as (service, transport):
        ask(transport, "GetItem", GET)
    (headers,) = service.headers
    assert headers["X-Amz-Security-Token"] == "to/ken=="
    assert "Credential=key/" in headers["Authorization"]
    assert "x-amz-security-token" in headers["Authorization"]


def test_credentials_of_a_container(monkeypatch):
    """Credentials that a container is given are renewed before they end, without a failure."""

    def hand_out(service, number, request):
        ends = formatdate_iso(time.time() + (60 if number == 0 else 3600))
        return 200, {
            "AccessKeyId": f"key{number}",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": ends,
        }

    with closing(Service(hand_out)) as container, answering() as (service, transport):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.endpoint}/keys")
        for _ in range(3):
            assert isinstance(ask(transport, "GetItem", GET), Reply)
    used = [
        headers["Authorization"].partition("=")[2].partition("/")[0] for headers in service.headers
    ]
    assert used[-1] != "key0"
    assert len(container.requests) < 4


def formatdate_iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def test_no_credentials(monkeypatch):
    """Without credentials several requests at once are not sent, as one would not be."""
    with transport_to(None) as transport:
        results = dict(
            transport.send_many([(n, "GetItem", encode(GET)) for n in (0, 1)], lambda: 2)
        )
        assert results == dict.fromkeys((0, 1), ask(transport, "GetItem", GET))
    assert (results[0].kind, results[0].code) == (FailureKind.CREDENTIALS, "NoCredentialsError")


# The clock


def refusing(offset):
    """A service whose clock is so many seconds ahead, and which looks at it."""

    def answer(service, number, request):
        server = time.time() + offset
        stamp = service.headers[number]["X-Amz-Date"]
        sent = time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone
        headers = {"Date": formatdate(server, usegmt=True)}
        if abs(sent - server) < 300:
            return 200, {}, headers
        return 400, {"__type": "x#InvalidSignatureException", "message": "expired"}, headers

    return answer


def test_a_wrong_clock_side_by_side():
    """Several requests at once that are refused for our clock go again by the service's."""
    with answering(refusing(7200)) as (_, transport):
        wanted = [(number, "PutItem", encode(GET)) for number in range(5)]
        results = dict(transport.send_many(wanted, lambda: 2))
    assert sorted(results) == [0, 1, 2, 3, 4]
    assert all(isinstance(result, bytes) for result in results.values())


@pytest.mark.parametrize("offset", [0, 100, 100_000])
def test_a_wrong_key(offset):
    """A request refused for another reason, or refused again, is not sent for ever."""

    def refuse(service, number, request):
        headers = {"Date": formatdate(time.time() + offset * (number + 1), usegmt=True)}
        return 400, {"__type": "x#InvalidSignatureException", "message": "wrong"}, headers

    with answering(refuse) as (service, transport):
        assert meaning(ask(transport, "PutItem", GET)) == (FailureKind.CREDENTIALS, False, False)
    assert len(service.requests) == (2 if offset > 300 else 1)


# Replies


def test_after_rubbish_a_new_connection(chosen):
    """A connection that brought rubbish is not used again, by itself or beside others."""

    def rubbish(service, number, request):
        return 200, ["no object"]

    with answering(rubbish) as (service, transport):
        ask(transport, "GetItem", GET)
        ask(transport, "GetItem", GET)
        assert len(set(service.peers)) == 2
        # A synchronous driver over a loop says a moment later that it was rubbish.
        run(transport, Send(operations(8)), max_concurrency=4 if chosen == "direct" else 1)
    assert len(set(service.peers)) == 10


def test_a_reply_without_end():
    """A reply that is larger than any of DynamoDB's is given up, not read into memory."""

    def endless(service, number, request):
        return 200, {}, {"Content-Length": str(2**40)}

    with answering(endless) as (_, transport):
        failure = ask(transport, "PutItem", GET)
    assert meaning(failure) == LOST
    assert failure.code == "GarbledReplyError"


def test_a_large_reply():
    """A reply of 16 MB arrives whole."""
    item = {"k": {"S": "x" * 16 * 2**20}}
    with answering(lambda *_: (200, {"Item": item})) as (_, transport):
        assert ask(transport, "GetItem", GET).body == {"Item": item}


def test_a_large_request():
    """A request of 16 MB arrives whole, without a question in advance."""
    request = GET | {"Item": {"k": {"S": "x" * 16 * 2**20}}}
    with answering() as (service, transport):
        assert isinstance(ask(transport, "PutItem", request), Reply)
    assert service.requests == [request]
    assert "Expect" not in service.headers[0]


def test_nothing_is_compressed():
    """No reply is asked for in gzip, since of that nobody could check the sum."""
    with answering() as (service, transport):
        ask(transport, "GetItem", GET)
    assert service.headers[0]["Accept-Encoding"] == "identity"


# Side by side


def operations(number):
    return tuple(Call("GetItem", GET | {"Number": each}) for each in range(number))


def run(transport, send, **options):
    def protocol():
        received = yield send
        return received.results

    with closing(Driver(transport, "t", **options)) as driver:
        return driver.run(protocol())


def test_several_in_flight():
    """One thread keeps as many in flight as it may and never more, each with its own reply."""

    def slowly(service, number, request):
        service.released.wait(0.02)
        return 200, {"Item": {"n": {"N": str(request["Number"])}}}

    with answering(slowly) as (service, transport):
        results = run(transport, Send(operations(20)), max_concurrency=4)
    assert [result.body["Item"]["n"]["N"] for result in results] == [str(n) for n in range(20)]
    assert service.most_flying == 4
    assert len(set(service.peers)) == 4


def test_nothing_more_is_started():
    """After a refusal that meets every request nothing more is started; the rest says so."""

    def deny(service, number, request):
        service.released.wait(0.02)
        return 400, {"__type": "x#AccessDeniedException"}

    with answering(deny) as (service, transport):
        results = run(transport, Send(operations(20)), max_concurrency=4)
    kinds = [result.kind for result in results]
    assert kinds[0] is FailureKind.DENIED
    assert kinds.count(FailureKind.NOT_STARTED) >= 12
    assert len(service.requests) == 20 - kinds.count(FailureKind.NOT_STARTED)


def test_an_operation_that_cannot_be_made():
    """An error of ours lets what is in flight end, and passes through."""

    class Broken(Exception):
        pass

    class Never:
        name = "GetItem"

        def request(self, table_name):
            raise Broken

    with answering() as (service, transport), pytest.raises(Broken):
        run(transport, Send((*operations(2), Never(), *operations(2))), max_concurrency=2)
    assert len(service.requests) == 2


def test_a_request_that_is_no_json():
    """What cannot be written as JSON is not sent, and harms nobody beside it."""
    with answering() as (service, transport):
        bad = Call("GetItem", {"x": object()})
        results = run(transport, Send((*operations(1), bad, *operations(1))))
    assert [isinstance(result, Reply) for result in results] == [True, False, True]
    assert not results[1].applied_maybe
    assert len(service.requests) == 2


def test_a_lost_reply_beside_others():
    """A connection that breaks concerns its own request only."""

    def some(service, number, request):
        return None if request["Number"] % 3 == 0 else (200, {})

    with answering(some) as (service, transport):
        results = run(transport, Send(operations(9)), max_concurrency=3)
    assert [isinstance(one, Reply) for one in results] == [n % 3 != 0 for n in range(9)]
    assert {meaning(one) for one in results if not isinstance(one, Reply)} == {LOST}
    assert len(service.requests) == 9


def test_many_threads():
    """Threads share the transport, and none gets another's reply."""

    def echo(service, number, request):
        return 200, {"Item": {"n": {"N": str(request["Number"])}}}

    with (
        answering(echo, max_concurrency=8) as (service, transport),
        ThreadPoolExecutor(8) as threads,
    ):
        replies = list(
            threads.map(lambda n: ask(transport, "GetItem", GET | {"Number": n}), range(200))
        )
    assert [reply.body["Item"]["n"]["N"] for reply in replies] == [str(n) for n in range(200)]
    assert len(set(service.peers)) <= 8


# Interrupts and forks


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no such signals")
def test_an_interrupt(chosen):
    """Ctrl-C ends a single request at once, although no reply comes; the next one is untouched."""
    if chosen != "direct":
        pytest.skip("the loop is not in the main thread here; see test_async_driver.py")

    def second_is_slow(service, number, request):
        if number == 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            service.released.wait(20)
        return 200, {}

    with answering(second_is_slow, timeout=20) as (_, transport):
        assert isinstance(ask(transport, "GetItem", GET), Reply)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ask(transport, "GetItem", GET)
        assert time.monotonic() - started < 5
        assert isinstance(ask(transport, "GetItem", GET), Reply)


FORKING = """
    import os, sys
    from thrivecalc_models.table import Settings
    from thrivecalc_models.transport.direct import DirectTransport

    settings = Settings(table_name="t", region="us-east-1", endpoint=sys.argv[1])
    transport = DirectTransport(settings, timeout=5, max_concurrency=2)
    request = b'{"TableName":"t"}'
    assert isinstance(transport.send("GetItem", request), bytes)
    child = os.fork()
    if child == 0:
        assert isinstance(transport.send("GetItem", request), bytes)
        transport.close()
        del transport
        sys.exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert isinstance(transport.send("GetItem", request), bytes)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("tls", [False, True])
def test_a_fork(certificates, tls):
    """A child opens its own connection, and its end does not break its parent's."""
    authority, own = certificates
    with closing(Service(certificate=own if tls else None)) as service:
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKING), service.endpoint],
            env=os.environ | {"AWS_CA_BUNDLE": authority},
            check=False,
            timeout=60,
        )
    assert ran.returncode == 0
    first, of_the_child, last = service.peers
    assert first == last != of_the_child
