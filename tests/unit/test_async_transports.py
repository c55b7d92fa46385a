"""Which transports an asynchronous store takes, and those that send in threads."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading

import pytest
from fakes import MOMENT, Fake, FakeAsync, kinds, ops, sending
from loops import runs, turns

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import FailureKind
from thrivecalc_models.transport import AsyncTransport, as_async_transport, as_transport
from thrivecalc_models.transport.async_driver import AsyncDriver


def driver_in_threads(answer=lambda name: None, *, max_concurrency=8, **options):
    transport = answer if isinstance(answer, Fake) else Fake(answer)
    wrapped = as_async_transport(transport, max_concurrency=max_concurrency)
    return AsyncDriver(wrapped, "t", max_concurrency=max_concurrency, **options)


# --- one's own ------------------------------------------------------------------------------------


def test_an_asynchronous_transport_is_taken_as_it_is():
    """A transport whose `send` is to be awaited is used itself."""
    transport = FakeAsync()
    assert as_async_transport(transport) is transport


@runs
async def test_send_alone_is_enough():
    """Any object with an `async def send` will do; what it lacks is added."""

    class Own:
        async def send(self, operation, body):
            return body

    transport = as_async_transport(Own())
    assert isinstance(transport, AsyncTransport)
    assert transport.name == "Own"
    assert await transport.send("GetItem", b"{}") == b"{}"
    await transport.close()


@pytest.mark.parametrize("given", [object(), FakeAsync, "rubbish", None])
def test_what_cannot_send_is_refused(given):
    """An object without `send` is a ConfigurationError that says what is taken."""
    with pytest.raises(ConfigurationError, match="has none"):
        as_async_transport(given)


def test_a_synchronous_store_cannot_await():
    """A transport that is to be awaited is refused by a synchronous store, with the way out."""
    with pytest.raises(ConfigurationError, match="AsyncDataStore"):
        as_transport(FakeAsync())


# --- in threads -----------------------------------------------------------------------------------


@runs
async def test_a_synchronous_transport_sends_in_threads():
    """A transport that blocks is called in other threads, side by side up to the limit."""
    together = threading.Barrier(3)
    transport = Fake(lambda name: together.wait(MOMENT) and None)
    driver = driver_in_threads(transport, max_concurrency=3)
    (received,) = await driver.run(sending(ops(*"abcdef")))
    assert kinds(received) == ["replied"] * 6
    assert threading.current_thread() not in transport.threads
    assert len(transport.threads) == 3
    await driver.close()
    assert transport.closed == 1
    assert not any(thread.is_alive() for thread in transport.threads)


@runs
async def test_a_thread_has_the_context_of_the_call():
    """A request that a thread sends has the context in which its call began."""
    name_of = contextvars.ContextVar("name_of", default="nobody")
    seen = {}

    def answer(name):
        seen[name] = name_of.get()

    driver = driver_in_threads(answer)

    async def call(name):
        name_of.set(name)
        await driver.run(sending(ops(name)))

    await asyncio.gather(*(call(name) for name in "abc"))
    assert seen == {"a": "a", "b": "b", "c": "c"}
    await driver.close()


@runs
async def test_without_threads_the_loop_sends(monkeypatch):
    """Where no thread can be started requests are sent all the same, each once."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    transport = Fake()
    driver = driver_in_threads(transport)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        (received,) = await driver.run(sending(ops(*"abc")))
    assert kinds(received) == ["replied"] * 3
    await driver.run(sending(ops("d")))  # by a thread, which finds the others done
    assert transport.sent == list("abcd")
    await driver.close()


@pytest.mark.parametrize("error", [LookupError("no such"), SystemExit(1)])
@runs
async def test_what_a_thread_raises(error):
    """What a transport raises in a thread comes out of the call."""

    def answer(name):
        raise error

    driver = driver_in_threads(answer)
    with pytest.raises(type(error)) as caught:
        await driver.run(sending(ops("a")))
    assert caught.value is error
    await driver.close()


@runs
async def test_a_cancelled_call_awaits_its_thread():
    """A cancelled call ends once its thread has its reply; what waits for a thread is not sent."""
    release = threading.Event()
    transport = Fake(lambda name: release.wait(MOMENT) and None)
    driver = driver_in_threads(transport, max_concurrency=2)
    task = asyncio.create_task(driver.run(sending(ops(*"abc"))))
    await turns()
    task.cancel()
    await turns()
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(transport.sent) == ["a", "b"]
    await driver.close()


@runs
async def test_a_thread_that_does_not_end_is_given_up():
    """A cancelled call waits for a thread no longer than the time limit; it holds nobody up."""
    release = threading.Event()
    transport = Fake(lambda name: release.wait(MOMENT) and None)
    driver = driver_in_threads(transport, max_concurrency=1, timeout=0.02)
    shield = driver.shield()
    task = asyncio.create_task(driver.run(sending(ops("a")), shield=shield))
    await asyncio.sleep(0.01)
    task.cancel()
    (received,) = await task
    assert kinds(received) == [FailureKind.INTERRUPTED]
    release.set()
    (received,) = await driver.run(sending(ops("b")))
    assert kinds(received) == ["replied"]
    await driver.close()


@runs
async def test_what_no_thread_has_begun_is_not_sent():
    """A request that waits for a thread when its call is given up is not sent at all."""
    release = threading.Event()
    transport = Fake(lambda name: release.wait(MOMENT) and None)
    wrapped = as_async_transport(transport, max_concurrency=1)
    driver = AsyncDriver(wrapped, "t", max_concurrency=2, timeout=0.02)
    first = asyncio.create_task(driver.run(sending(ops("a"))))
    await turns()
    second = asyncio.create_task(driver.run(sending(ops("b"))))
    await turns()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    await first
    (received,) = await driver.run(sending(ops("c", "d")))
    assert kinds(received) == ["replied"] * 2
    await driver.close()
    assert sorted(transport.sent) == ["a", "c", "d"]


def test_a_loop_that_is_closed_before_the_reply():
    """A reply to a loop that is closed by now goes to nobody, and nobody is warned."""
    entered, release = threading.Event(), threading.Event()

    def answer(name):
        entered.set()
        release.wait(MOMENT)

    driver = driver_in_threads(answer)
    loop = asyncio.new_event_loop()
    task = loop.create_task(driver.run(sending(ops("a"))))
    task._log_destroy_pending = False  # it is our doing
    loop.run_until_complete(turns())
    assert entered.wait(MOMENT)
    loop.close()
    release.set()

    async def on_the_next():
        (received,) = await driver.run(sending(ops("b")))
        await driver.close()
        return kinds(received)

    assert asyncio.run(on_the_next()) == ["replied"]
    del task
    gc.collect()
