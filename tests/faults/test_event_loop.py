"""The direct transport on an event loop: what is cancelled, closed or thrown away, and whose it is.

What it has in common with the others is in test_transport_wire.py and test_direct_wire.py.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import random
import sys
import threading
import time
from contextlib import asynccontextmanager, closing

import botocore.handlers
import pytest
from loops import turns
from servers import Service, meaning

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import Failure, FailureKind, Reply
from thrivecalc_models.operations.effects import Send
from thrivecalc_models.operations.requests import Call
from thrivecalc_models.table import Settings
from thrivecalc_models.transport import make_async_transport
from thrivecalc_models.transport.async_driver import AsyncDriver
from thrivecalc_models.transport.auto import explain
from thrivecalc_models.wire.json_text import encode

pytest.importorskip("pycurl")

from thrivecalc_models.transport.direct import event_loop

LOST = (FailureKind.UNAVAILABLE, True, True)
SOON = 0.02  # seconds in which a service answers that takes its time


def on(loop_kind, main):
    """Run `main()` on a loop of this kind, in asyncio's debug mode."""
    factory = asyncio.new_event_loop
    if loop_kind == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(debug=True, loop_factory=factory) as runner:
        return runner.run(main())


@pytest.fixture(params=["asyncio", "uvloop"])
def kind(request):
    return request.param


def settings(endpoint):
    return Settings(table_name="t", region="us-east-1", endpoint=endpoint)


def transport_to(endpoint, name="direct", **options):
    options = {"timeout": 5, "max_concurrency": 8} | options
    return make_async_transport(name, settings(endpoint), **options)


@asynccontextmanager
async def driver_to(endpoint, name="direct", **options):
    driver = AsyncDriver(transport_to(endpoint, name, **options), "t", **options)
    try:
        yield driver
    finally:
        await driver.close()


def request(number):
    return {"TableName": "t", "Key": {"n": {"N": str(number)}}}


def asking(*numbers, operation="GetItem"):
    def protocol():
        received = yield Send(tuple(Call(operation, request(number)) for number in numbers))
        return received.results

    return protocol()


def echo(service, number, request):
    return 200, {"ConsumedCapacity": None, "Item": request["Key"]}


def slow_echo(service, number, request):
    service.released.wait(SOON)
    return echo(service, number, request)


def number_in(result):
    return int(result.body["Item"]["n"]["N"])


# --- side by side, and cancelled ------------------------------------------------------------------


def test_a_thousand_tasks_of_fifty_users(kind):
    """A thousand tasks share eight connections: each gets its own reply, and none is lost."""

    async def main():
        async with driver_to(service.endpoint) as driver:
            told = await asyncio.gather(*(driver.run(asking(n)) for n in range(1000)))
        assert [number_in(result) for (result,) in told] == list(range(1000))

    with closing(Service(echo)) as service:
        on(kind, main)
        assert len(set(service.peers)) <= 8
        assert service.most_flying <= 8


def test_events_have_the_context_of_their_call(kind):
    """An observer is called in the context of the call, whoever's socket had the reply."""
    name_of = contextvars.ContextVar("name_of", default="nobody")
    seen = []

    async def call(driver, number):
        name_of.set(number)
        await driver.run(asking(number))

    async def main():
        transport = transport_to(service.endpoint)
        driver = AsyncDriver(
            transport, "t", max_concurrency=2, observer=lambda event: seen.append(name_of.get())
        )
        await asyncio.gather(*(call(driver, number) for number in range(10)))
        await driver.close()

    with closing(Service(echo)) as service:
        on(kind, main)
    assert sorted(seen) == list(range(10))


def test_cancelled_within_a_reply(kind):
    """A task cancelled at any moment of its request leaves the pool fit for use by the others."""
    rng = random.Random(7)

    async def main():
        loop = asyncio.get_running_loop()
        async with driver_to(service.endpoint, max_concurrency=4) as driver:

            async def call(number):
                (result,) = await driver.run(asking(number))
                assert number_in(result) == number
                return number

            tasks = [asyncio.create_task(call(number)) for number in range(300)]
            for task in tasks[::2]:
                loop.call_later(rng.uniform(0, 0.5), task.cancel)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert ended[1::2] == list(range(1, 300, 2))
            assert all(
                one == number or isinstance(one, asyncio.CancelledError)
                for number, one in enumerate(ended)
            )
            assert any(isinstance(one, asyncio.CancelledError) for one in ended)
            assert await call(1000) == 1000

    def answer(service, number, request):
        service.released.wait(rng.uniform(0, 0.005))
        return echo(service, number, request)

    with closing(Service(answer)) as service:
        on(kind, main)
        assert len(set(service.peers)) <= 4  # no connection was thrown away


def test_a_cancelled_call_awaits_its_reply(kind):
    """The CancelledError comes after the reply, and the connection serves the next request."""

    async def main():
        async with driver_to(service.endpoint) as driver:
            await driver.run(asking(1))
            task = asyncio.create_task(driver.run(asking(2)))
            while len(service.requests) < 2:
                await asyncio.sleep(SOON / 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert service.flying == 0
            await driver.run(asking(3))

    with closing(Service(slow_echo)) as service:
        on(kind, main)
        assert len(service.requests) == 3
        assert len(set(service.peers)) == 1


def test_a_service_that_does_not_answer(kind):
    """A cancelled call ends with the time limit, in doubt, and nothing is in flight any more."""

    async def main():
        async with driver_to(service.endpoint, timeout=0.3) as driver:
            shield = driver.shield()
            protocol = asking(1, operation="PutItem")
            task = asyncio.create_task(driver.run(protocol, shield=shield))
            await asyncio.sleep(SOON)
            started = time.monotonic()
            task.cancel()
            (result,) = await task
            assert time.monotonic() - started < 3
            assert result.applied_maybe
            assert isinstance(shield.interrupt, asyncio.CancelledError)

    def mute(service, number, request):
        service.released.wait(5)

    with closing(Service(mute)) as service:
        on(kind, main)


def test_a_send_of_ones_own_that_is_cancelled(kind):
    """Who awaits `send` itself and is cancelled breaks the request off, with its connection."""

    async def main():
        transport = transport_to(service.endpoint)
        await transport.send("GetItem", encode(request(1)))
        task = asyncio.create_task(transport.send("GetItem", encode(request(2))))
        while len(service.requests) < 2:
            await asyncio.sleep(SOON / 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for number in (3, 4):
            sent = await transport.send("GetItem", encode(request(number)))
            assert f'"N": "{number}"'.encode() in sent
        await transport.close()

    with closing(Service(slow_echo)) as service:
        on(kind, main)
        assert service.peers[0] == service.peers[1] != service.peers[2] == service.peers[3]


def test_at_the_end_of_the_loop(kind):
    """asyncio.run cancels what is left; requests in flight have their replies first."""

    async def commit(driver, told):
        with driver.shield() as shield:
            told.extend(await driver.run(asking(1, 2), shield=shield))
            shield.conclude(None)

    async def main():
        driver = AsyncDriver(transport_to(service.endpoint), "t")
        await driver.run(asking(0))
        task = asyncio.create_task(commit(driver, told))
        await turns(3)
        return task

    told = []
    with closing(Service(slow_echo)) as service:
        assert on(kind, main).cancelled()
    assert [number_in(result) for result in told] == [1, 2]


# --- after rubbish --------------------------------------------------------------------------------


def test_after_rubbish_a_new_connection(kind):
    """A connection that brought rubbish is not used again, by itself or beside others."""

    async def main():
        async with driver_to(service.endpoint, max_concurrency=4) as driver:
            await driver.run(asking(1))
            await driver.run(asking(2))
            assert len(set(service.peers)) == 2
            await driver.run(asking(*range(8)))
            # One that was started before the rubbish was read may have taken its connection.
            assert len(set(service.peers)) >= 2 + 4
            await driver.run(asking(9))
            assert service.peers[-1] not in service.peers[:-1]

    with closing(Service(lambda *_: (200, ["no object"]))) as service:
        on(kind, main)


def test_a_callback_that_fails(kind, monkeypatch, capfd):
    """Where the loop cannot watch a socket the request is lost, and the next one is not."""

    async def main():
        loop = asyncio.get_running_loop()
        async with driver_to(service.endpoint) as driver:
            await driver.run(asking(1))
            with monkeypatch.context() as patch:
                patch.setattr(event_loop.Watched, "watch", broken)
                driver_of_its_own = AsyncDriver(transport_to(service.endpoint), "t")
                (result,) = await driver_of_its_own.run(asking(2))
            assert meaning(result) == LOST
            (result,) = await driver_of_its_own.run(asking(3))
            assert number_in(result) == 3
            await driver_of_its_own.close()
        assert loop.is_running()

    def broken(self, *_):
        raise OSError("no descriptors left")

    with closing(Service(echo)) as service:
        on(kind, main)


# --- whose connections ----------------------------------------------------------------------------


def test_after_close_the_next_request_makes_others(kind):
    """close() closes what is kept; the transport may be used again."""

    async def main():
        transport = transport_to(service.endpoint)
        for _ in range(2):
            assert isinstance(await transport.send("GetItem", encode(request(1))), bytes)
            await transport.close()

    with closing(Service(echo)) as service:
        on(kind, main)
        assert len(set(service.peers)) == 2


def test_a_closed_loop_takes_its_connections_along(kind):
    """On the next loop a store opens new connections, whatever the last one had in flight."""

    async def main():
        (result,) = await driver.run(asking(1))
        assert number_in(result) == 1

    async def leave_one():
        task = asyncio.create_task(driver.run(asking(2)))
        while len(service.requests) < 2:
            await asyncio.sleep(SOON / 20)
        return task

    async def close():
        await driver.run(asking(3))
        await driver.close()

    with closing(Service(slow_echo)) as service:
        driver = AsyncDriver(transport_to(service.endpoint), "t")
        on(kind, main)
        loop = asyncio.new_event_loop()
        task = loop.run_until_complete(leave_one())
        task._log_destroy_pending = False  # it is our doing
        loop.close()
        on(kind, close)
        del task
        gc.collect()
        assert len(set(service.peers)) == 3


def test_the_way_is_found_once(kind, monkeypatch):
    """A store that goes from loop to loop looks for its endpoint and credentials once."""
    found = []
    find_route = event_loop.find_route

    def find(*arguments, **options):
        found.append(arguments)
        return find_route(*arguments, **options)

    monkeypatch.setattr(event_loop, "find_route", find)

    async def main():
        await driver.run(asking(1, 2))

    with closing(Service(echo)) as service:
        driver = AsyncDriver(transport_to(service.endpoint), "t")
        for _ in range(3):
            on(kind, main)
        on(kind, driver.close)
    assert len(found) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's sockets")
def test_connections_of_closed_loops_are_closed(kind, capfd):
    """A store that goes from loop to loop holds no more connections than on one."""

    async def main():
        await driver.run(asking(1))

    with closing(Service(echo)) as service:
        driver = AsyncDriver(transport_to(service.endpoint), "t")
        on(kind, main)
        before = len(os.listdir("/proc/self/fd"))
        gc.disable()
        try:
            for _ in range(10):
                on(kind, main)
            assert len(os.listdir("/proc/self/fd")) < before + 10
        finally:
            gc.enable()
        on(kind, driver.close)
    assert capfd.readouterr().err == ""  # where libcurl's callbacks complain


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's sockets")
def test_connections_that_brought_rubbish_are_closed(kind):
    """Connections that are not used again are closed once nothing is in flight on them."""

    async def main():
        async with driver_to(service.endpoint) as driver:
            await driver.run(asking(1))
            before = len(os.listdir("/proc/self/fd"))
            for number in range(20):
                await driver.run(asking(number))
            assert len(os.listdir("/proc/self/fd")) < before + 30  # the service's are slower

    with closing(Service(lambda *_: (200, ["no object"]))) as service:
        gc.disable()
        try:
            on(kind, main)
        finally:
            gc.enable()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's sockets")
def test_closed_while_requests_are_in_flight(kind):
    """Requests in flight when their transport is closed end well, and their connections close."""

    async def main():
        transport = transport_to(service.endpoint)
        await transport.send("GetItem", encode(request(0)))
        await transport.close()
        await asyncio.sleep(SOON)
        before = len(os.listdir("/proc/self/fd"))
        tasks = [
            asyncio.create_task(transport.send("GetItem", encode(request(n)))) for n in range(8)
        ]
        while len(service.requests) < 9:
            await asyncio.sleep(SOON / 20)
        await transport.close()
        assert all(isinstance(sent, bytes) for sent in await asyncio.gather(*tasks))
        async with asyncio.timeout(5):
            while len(os.listdir("/proc/self/fd")) > before:  # the service is a moment later
                await asyncio.sleep(SOON)
        await transport.close()

    with closing(Service(slow_echo)) as service:
        gc.disable()
        try:
            on(kind, main)
        finally:
            gc.enable()


def test_another_open_loop(kind):
    """A transport serves one open loop at a time."""

    async def send():
        await transport.send("GetItem", encode(request(1)))

    with closing(Service(echo)) as service:
        transport = transport_to(service.endpoint)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(send())
        with pytest.raises(ConfigurationError, match="another event loop"):
            on(kind, send)
        loop.run_until_complete(transport.close())
        loop.close()
        on(kind, send)
        on(kind, transport.close)


# --- before the first request ---------------------------------------------------------------------


def test_the_loop_goes_on_while_credentials_are_looked_for(monkeypatch, kind):
    """To ask a provider for credentials, or to renew them, holds up no other task."""

    def hand_out(container, number, request):
        container.released.wait(0.2)
        ends = time.time() + (60 if len(sent.requests) < 4 else 3600)  # the first ones end soon
        return 200, {
            "AccessKeyId": f"key{number}",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends)),
        }

    async def main():
        loop = asyncio.get_running_loop()
        longest = 0.0

        async def tick():
            nonlocal longest
            last = loop.time()
            while True:
                await asyncio.sleep(0.005)
                longest, last = max(longest, loop.time() - last), loop.time()

        async with driver_to(sent.endpoint) as driver:
            ticking = asyncio.create_task(tick())
            for _ in range(6):
                results = await driver.run(asking(1, 2))
                assert [number_in(result) for result in results] == [1, 2]
            ticking.cancel()
        return longest

    with closing(Service(echo)) as sent, closing(Service(hand_out)) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.endpoint}/keys")
        assert on(kind, main) < 0.15
        used = [headers["Authorization"].partition("/")[0] for headers in sent.headers]
        assert used[0] == used[1] != used[2] == used[3] != used[4]
        assert len(set(used[4:])) == 1


def test_no_credentials(kind):
    """Without credentials nothing is sent, and the next request looks for them again."""

    async def main():
        async with driver_to(None) as driver:
            return [await driver.run(asking(1, 2)) for _ in range(2)]

    for results in on(kind, main):
        assert [result.kind for result in results] == [FailureKind.CREDENTIALS] * 2
        assert not any(result.applied_maybe for result in results)


def test_without_threads_the_route_is_found_all_the_same(kind, monkeypatch):
    """Where no thread can be started the loop's own finds the way."""

    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith("thrivecalc"):
            raise RuntimeError("can't start new thread")
        start(thread)  # one of the service's

    async def main():
        async with driver_to(service.endpoint) as driver:
            with monkeypatch.context() as patch:
                patch.setattr(event_loop.threading.Thread, "start", refuse)
                (result,) = await driver.run(asking(1))
        assert number_in(result) == 1

    with closing(Service(echo)) as service:
        on(kind, main)


def test_abandoned_before_the_route_is_known(kind, monkeypatch):
    """A call that is given up before the way is known sends nothing at all."""
    known = threading.Event()
    find_route = event_loop.find_route

    def find(*arguments, **options):
        known.wait(5)
        return find_route(*arguments, **options)

    monkeypatch.setattr(event_loop, "find_route", find)

    async def main():
        async with driver_to(service.endpoint, timeout=0.05) as driver:
            task = asyncio.create_task(driver.run(asking(1)))
            await turns()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            known.set()
            (result,) = await driver.run(asking(2))
            assert number_in(result) == 2

    with closing(Service(echo)) as service:
        on(kind, main)
        assert service.requests == [request(2)]


# --- which transport ------------------------------------------------------------------------------


class NoReaders(asyncio.SelectorEventLoop):
    """A loop that watches no sockets for others, as that of Windows."""

    add_reader = asyncio.AbstractEventLoop.add_reader


def test_a_loop_that_watches_no_sockets():
    """On such a loop requests travel in threads: botocore's, or the direct ones if asked for."""

    async def main():
        for name, says in (
            ("auto", "botocore: the event loop watches no sockets"),
            ("direct", "direct: as asked for"),
            ("botocore", "botocore: as asked for"),
        ):
            async with driver_to(service.endpoint, name) as driver:
                (result,) = await driver.run(asking(1))
                assert isinstance(result, Reply)
                assert explain(driver.transport) == says

    with (
        closing(Service(echo)) as service,
        asyncio.Runner(debug=True, loop_factory=NoReaders) as runner,
    ):
        runner.run(main())


def test_the_next_loop_may_be_of_another_kind(pytestconfig):
    """A store that may choose does so again on the next loop."""
    if pytestconfig.getoption("--transport") == "botocore":
        pytest.skip("botocore is hooked")

    async def main():
        await driver.run(asking(1))
        return explain(driver.transport).partition(":")[0]

    with closing(Service(echo)) as service:
        driver = AsyncDriver(transport_to(service.endpoint, "auto"), "t")
        with asyncio.Runner(loop_factory=NoReaders) as runner:
            assert runner.run(main()) == "botocore"
        assert on("asyncio", main) == "direct"
        on("asyncio", driver.close)


def test_a_hook_of_botocore_counts(kind, pytestconfig):
    """A store that may choose takes botocore from the moment that something hooks it."""
    if pytestconfig.getoption("--transport") == "botocore":
        pytest.skip("botocore is hooked already")
    seen = []
    hook = ("before-send.dynamodb", lambda **_: seen.append("seen"))

    async def main():
        async with driver_to(service.endpoint, "auto") as driver:
            await driver.run(asking(1))
            assert explain(driver.transport).startswith("direct: ")
            botocore.handlers.BUILTIN_HANDLERS.append(hook)
            try:
                await driver.run(asking(2))
                assert explain(driver.transport).startswith("botocore: ")
            finally:
                botocore.handlers.BUILTIN_HANDLERS.remove(hook)
            await driver.run(asking(3))
            assert explain(driver.transport).startswith("direct: ")

    with closing(Service(echo)) as service:
        on(kind, main)
    assert seen == ["seen"]


def test_without_the_extra(monkeypatch, pytestconfig):
    """Without pycurl botocore sends in threads; "direct" is refused with the way out."""
    for name in [name for name in sys.modules if ".transport.direct" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pycurl", None)
    with pytest.raises(ConfigurationError, match=r"thrivecalc-models\[fast\]"):
        transport_to("http://127.0.0.1:9", "direct")

    async def main():
        async with driver_to(service.endpoint, "auto") as driver:
            (result,) = await driver.run(asking(1))
            assert isinstance(result, Reply)
            assert explain(driver.transport).startswith("botocore: ")

    with closing(Service(echo)) as service:
        on("asyncio", main)


def test_an_unknown_name():
    """A name that no transport has is refused, with those that there are."""
    with pytest.raises(ConfigurationError, match="use 'auto', 'botocore' or 'direct'"):
        transport_to(None, "fast")


def test_a_failure_of_the_network(kind):
    """Where nobody listens nothing was sent, and the next try finds who listens by then."""

    async def main():
        transport = transport_to("http://127.0.0.1:9", timeout=1)
        sent = await transport.send("PutItem", b"{}")
        await transport.close()
        assert isinstance(sent, Failure)
        assert meaning(sent) == (FailureKind.UNAVAILABLE, True, False)

    on(kind, main)
