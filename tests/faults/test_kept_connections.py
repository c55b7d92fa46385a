"""Connections that were kept and are no good any more: no call fails for them, on either transport.

A table in memory answers over sockets of this machine; what a connection does wrong is said for
each of its requests.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from contextlib import closing, contextmanager, suppress

import pytest
from loops import any_transport
from places import TESTS
from proxy import make_certificates
from sending import ask
from servers import PATIENCE, Listener, http, read_request

from thrivecalc_models import (
    DataStore,
    OutcomeUnknownError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ThriveCalcError,
)
from thrivecalc_models.operations import FailureKind, Reply
from thrivecalc_models.table import Settings
from thrivecalc_models.testing import SimulatedTable


@pytest.fixture(params=["direct", "botocore", "async direct", "async botocore", "uvloop direct"])
def transport(request):
    """Each transport in turn, the asynchronous ones as such of one's own."""
    if request.param.startswith("uvloop"):
        pytest.importorskip("uvloop")
    return request.param


ONE_TRY = RetryPolicy(attempts=1)
USER = "google-oauth2|1"


class Wire(Listener):
    """A table in memory behind sockets.

    `fault(connection, request)` says what goes wrong with the request of this number on the
    connection of that number, both from 0: None for nothing, or one of the functions below, which
    gets the socket and the reply that was due.
    """

    def __init__(self, *address, tls=None):
        self.table = SimulatedTable()
        self.fault = lambda connection, request: None
        self.served = []  # numbers of connections, one a request
        self.last = b""
        self.idle, self.sent_again = threading.Event(), threading.Event()
        super().__init__(*address, tls=tls)

    def converse(self, number, connection, incoming):
        count = 0
        while (asked := read_request(incoming)) is not None:
            self.served.append(number)
            fault = self.fault(number, count)
            count += 1
            if fault in (reset, nothing, one_late_and_lost):
                fault(self, connection, b"")
                return
            reply = self._answer(*asked)
            if fault is not None:
                fault(self, connection, reply)
            else:
                connection.sendall(reply)
            self.last = reply

    def _answer(self, operation, request):
        result = self.table.answer(operation, request)
        request_id = f"x-amzn-RequestId: {uuid.uuid4()}"  # each has its own, as of the service
        if isinstance(result, Reply):
            return http(200, result.body, request_id)
        item = {} if result.item is None else {"Item": result.item}
        return http(400, {"__type": f"x#{result.code}", "message": "no", **item}, request_id)


def reset(wire, connection, reply):
    """A NAT gateway that knows the connection no more."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def nothing(wire, connection, reply):
    """What is sent is dropped in silence."""
    wire.released.wait(PATIENCE)


def close_after(wire, connection, reply):
    """The service closes after every reply, without saying so."""
    connection.sendall(reply)
    connection.shutdown(socket.SHUT_RDWR)


def given(transport, endpoint, *, timeout=PATIENCE, max_concurrency=8):
    """What a store is given for a transport: its name, or an asynchronous one as one's own."""
    if " " not in transport:
        return transport
    to = Settings(table_name="t", region="us-east-1", endpoint=endpoint)
    return any_transport(transport, to, timeout=timeout, max_concurrency=max_concurrency)


@contextmanager
def wired(transport, *, tls=None, **options):
    with closing(Wire(tls=tls)) as wire:
        options = {"timeout": PATIENCE, "max_concurrency": 8} | options
        limits = {name: options[name] for name in ("timeout", "max_concurrency")}
        transport = given(transport, wire.endpoint, **limits)
        with DataStore(endpoint=wire.endpoint, transport=transport, **options) as store:
            yield wire, store.user(USER)


def open_eight(wire, user):
    """Let the store have eight connections, each of which has served a request."""
    barrier = threading.Barrier(8)

    def together(connection, request):
        with suppress(threading.BrokenBarrierError):
            barrier.wait(1)

    wire.fault = together
    user.get_many([(SavingsGoal, str(number)) for number in range(800)])
    assert len(set(wire.served)) == 8
    wire.fault = lambda connection, request: None
    wire.served.clear()


def goal(name="n"):
    return SavingsGoalData(name=name, target_amount=1)


def old_ones(fault):
    """Goes wrong on the first eight connections, and on no later one."""
    return lambda connection, request: fault if connection < 8 else None


@pytest.mark.parametrize("fault", [reset, nothing])
def test_a_dead_pool(transport, fault):
    """When all kept connections are dead, a write has one try that does not count, and the next
    one goes over a new connection, even where a single try is all that is allowed."""
    with wired(transport, timeout=1.0, retry=ONE_TRY) as (wire, user):
        open_eight(wire, user)
        wire.fault = old_ones(fault)
        record = user.add(goal())
        assert len(wire.served) == 2
        assert wire.served[1] >= 8
        assert user.get(SavingsGoal, record.record_id).data == goal()
        assert user.get_many([(SavingsGoal, record.record_id)] * 2)[1].data == goal()
        assert all(number >= 8 for number in wire.served[1:])


def test_a_dead_pool_and_many_requests(transport):
    """A commit of many requests over dead connections has a true account: all applied, once."""
    with wired(transport, retry=ONE_TRY) as (wire, user):
        open_eight(wire, user)
        wire.fault = old_ones(reset)
        with user.unit_of_work() as work:
            for number in range(200):
                work.add(goal(), record_id=str(number))
        wire.fault = lambda connection, request: None
        assert len(user.list(SavingsGoal)) == 200


def test_connections_that_were_closed(transport):
    """Connections that the service has closed meanwhile cost no try."""
    with wired(transport, retry=ONE_TRY) as (wire, user):
        open_eight(wire, user)
        wire.reset_all()
        user.add(goal())
        assert len(wire.served) <= 2


def test_a_service_that_closes_after_every_reply(transport):
    """A service that closes its connection after every reply is used like any other."""
    with wired(transport, retry=ONE_TRY) as (wire, user):
        wire.fault = lambda connection, request: close_after if request == 0 else reset
        for number in range(30):
            user.add(goal(), record_id=str(number))
        assert len(user.list(SavingsGoal)) == 30


def test_a_service_that_resets_every_kept_connection(transport):
    """The same where it closes only once the next request has come in, and from many threads."""
    with wired(transport, retry=ONE_TRY) as (wire, user):
        wire.fault = lambda connection, request: None if request == 0 else reset
        for number in range(20):
            user.add(goal(), record_id=str(number))
        with user.unit_of_work() as work:
            for number in range(100, 140):
                work.add(goal(), record_id=str(number))
        assert len(user.list(SavingsGoal)) == 60


# More than was asked for


def twice(wire, connection, reply):
    """A reply that is sent twice, at once."""
    connection.sendall(reply + reply)


def twice_later(wire, connection, reply):
    """A reply that is sent again when the connection is idle."""
    connection.sendall(reply)
    wire.idle.wait(PATIENCE)
    connection.sendall(reply)
    wire.sent_again.set()


def one_late(wire, connection, reply):
    """The reply before is sent again, in the place of the one that is due, which comes after it."""
    connection.sendall(wire.last + reply)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    pytest.importorskip("cryptography")
    authority, own = make_certificates(tmp_path_factory.mktemp("certificates"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*own)
    return authority, context


@pytest.mark.parametrize("fault", [twice, twice_later, one_late])
@pytest.mark.parametrize("tls", [False, True])
def test_a_reply_that_is_sent_twice(transport, tls, fault, certificates, monkeypatch):
    """A reply that comes twice is never taken for the reply to the next request."""
    authority, context = certificates
    monkeypatch.setenv("AWS_CA_BUNDLE", authority)
    with wired(transport, tls=context if tls else None) as (wire, user):
        records = [user.put(goal(name), record_id=name) for name in "abc"]
        assert wire.served == [0, 0, 0]
        wire.fault = lambda connection, request: fault if connection == 0 else None
        for record in records:
            assert user.get(SavingsGoal, record.record_id).data == record.data
            wire.idle.set()
            assert fault is not twice_later or wire.sent_again.wait(PATIENCE)
        assert user.get(SavingsGoal, "nothing") is None
        assert len(set(wire.served)) == 2
        assert len(wire.served) <= 8  # one more where the old reply was seen too late


def test_a_write_that_gets_the_reply_of_another(transport):
    """A write that gets an old reply is not taken for applied: it is sent again."""
    with wired(transport) as (wire, user):
        user.put(goal("first"), record_id="a")
        wire.fault = lambda connection, request: one_late_and_lost if connection == 0 else None
        user.put(goal("second"), record_id="b")
        assert [record.record_id for record in user.list(SavingsGoal)] == ["a", "b"]
        assert wire.served == [0, 0, 1, 1]


def one_late_and_lost(wire, connection, reply):
    """The same, of a request that is never performed."""
    connection.sendall(wire.last)


# How long


def test_an_idle_connection_is_not_kept_for_ever(transport, monkeypatch):
    """A connection that was idle for a minute is not used again: who is between may forget it."""
    passed = [0.0]
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + passed[-1])
    with wired(transport, retry=ONE_TRY) as (wire, user):
        for seconds in (0.0, 20.0, 80.0, 100.0):
            passed.append(seconds)
            user.add(goal())
    assert wire.served == [0, 0, 1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's sockets")
def test_an_idle_connection_is_watched(transport):
    """TCP asks from time to time whether the other end of an idle connection is still there."""
    with wired(transport) as (wire, user):
        user.add(goal())
        watched, after = keepalive_to(wire.port)
        assert watched
        assert after < 60


def keepalive_to(port):
    """Whether TCP watches this process's connection to a port, and after how many seconds."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError, IndexError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name))) as one:
                    if one.getpeername()[1] == port:
                        return (
                            one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                            one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                        )
    raise AssertionError("there is no connection to this port")


def drip(wire, connection, reply):
    """Byte by byte, each long before anybody would give up waiting for the next one."""
    for each in reply:
        wire.released.wait(0.1)
        connection.sendall(bytes([each]))


def drip_the_body(wire, connection, reply):
    head, _, body = reply.partition(b"\r\n\r\n")
    head = head.replace(b"Length: ", b"Length: 1")
    connection.sendall(head + b"\r\n\r\n")
    drip(wire, connection, body + b" " * 100)


@pytest.mark.parametrize("fault", [drip, drip_the_body])
def test_a_reply_that_comes_byte_by_byte(transport, fault):
    """`timeout` limits all of a request: a reply that drips in is lost once it is over."""
    with wired(transport, timeout=0.8, retry=ONE_TRY) as (wire, user):
        wire.fault = lambda connection, request: fault
        with pytest.raises(OutcomeUnknownError):
            user.add(goal())
        with pytest.raises(ThriveCalcError):
            user.get(SavingsGoal, "x")
        assert len(wire.served) == 2


def test_a_request_that_is_taken_byte_by_byte(transport):
    """The same holds for a request that the other end takes in too slowly."""
    settings = {"table_name": "t", "region": "us-east-1"}
    released = threading.Event()

    def take(listener):
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                while not released.wait(0.05) and connection.recv(1):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        taking = threading.Thread(target=take, args=(listener,))
        taking.start()
        made = any_transport(
            transport, Settings(**settings, endpoint=endpoint), timeout=0.4, max_concurrency=1
        )
        with closing(made) as sender:
            failure = ask(sender, "PutItem", {"Item": {"k": {"S": "x" * 2**24}}})
        released.set()
        taking.join(PATIENCE)
    assert (failure.kind, failure.applied_maybe) == (FailureKind.UNAVAILABLE, True)


MOVING = """
    import sys
    from pathlib import Path
    from test_kept_connections import USER, Wire, given
    from thrivecalc_models import DataStore, RetryPolicy, SavingsGoal

    hosts = Path("/etc/hosts")  # of this process alone
    hosts.write_text("127.0.0.2 moving")
    old = Wire("127.0.0.2")
    endpoint = f"http://moving:{old.port}"
    transport = given(sys.argv[1], endpoint)
    store = DataStore(endpoint=endpoint, transport=transport, retry=RetryPolicy(attempts=2))
    store.user(USER).get(SavingsGoal, "x")
    old.close()
    hosts.write_text("127.0.0.3 moving")
    new = Wire("127.0.0.3", old.port)
    store.user(USER).get(SavingsGoal, "x")
    print(len(old.served), len(new.served))
    store.close()
    new.close()
"""
OWN_HOSTS = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"']


def test_a_name_that_moves(transport, tmp_path):
    """When a name means another address, the second try after a failed connect finds it."""
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    command = [*OWN_HOSTS, str(hosts)]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("this user cannot have an /etc/hosts of its own")
    path = os.pathsep.join([*sys.path, str(TESTS / "faults")])
    ran = subprocess.run(
        [*command, sys.executable, "-c", textwrap.dedent(MOVING), transport],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.split() == ["1", "1"]
