"""The driver of an event loop: order, limit, turns, and honest ends of cancelled tasks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import multiprocessing
import signal
import threading
import time

import pytest
from fakes import MOMENT, FakeAsync, Op, kinds, ops, sending
from loops import runs, turns

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import Emit, Failure, FailureKind, Received, Reply, Send, Wait
from thrivecalc_models.signals import RequestEvent, RetryEvent
from thrivecalc_models.transport.async_driver import AsyncDriver

RETRY = Wait(MOMENT, "UpdateItem", 1, "ThrottlingException")


def driver_on(transport, **options):
    return AsyncDriver(transport, "t", **options)


def failure(kind):
    return Failure(kind=kind, code=kind.value)


def pages(names):
    for name in names:
        received = yield ops(name)
        yield Emit(received.results[0].body["Op"], ahead=name != names[-1])


# --- sending --------------------------------------------------------------------------------------


@runs
async def test_a_request_and_its_reply():
    """One operation becomes JSON for the driver's table, and its reply the protocol's result."""
    (received,) = await driver_on(FakeAsync(), monotonic=lambda: 7.0).run(sending(ops("a")))
    assert received == Received((Reply(body={"TableName": "t", "Op": "a"}),), at=7.0)


@runs
async def test_results_keep_the_order():
    """Whatever ends first, results come in the order of the operations."""
    transport = FakeAsync(held="abc")
    running = asyncio.create_task(driver_on(transport).run(sending(ops("a", "b", "c"))))
    for name in "cab":
        await turns()
        transport.release(name)
    (received,) = await running
    assert [reply.body["Op"] for reply in received.results] == ["a", "b", "c"]


@pytest.mark.parametrize("limit", [1, 2, 3])
@runs
async def test_the_limit_is_of_the_whole_store(limit):
    """However many tasks send however much, no more requests are in flight than the limit says."""
    transport = FakeAsync()
    driver = driver_on(transport, max_concurrency=limit)
    told = await asyncio.gather(*(driver.run(sending(ops(*"abcdef"))) for _ in range(20)))
    assert transport.most_flying == limit
    assert all(kinds(received) == ["replied"] * 6 for (received,) in told)


@runs
async def test_a_thousand_tasks_get_their_own_replies():
    """A thousand tasks on one store: each gets its own reply, in the order in which they came."""
    transport = FakeAsync()
    driver = driver_on(transport)
    names = [f"n{number}" for number in range(1000)]
    told = await asyncio.gather(*(driver.run(sending(ops(name))) for name in names))
    assert [received.results[0].body["Op"] for (received,) in told] == names
    assert transport.sent == names


@runs
async def test_one_request_does_not_wait_for_anothers_hundred():
    """Tasks take turns: a single request is the next but one, however many wait before it."""
    transport = FakeAsync()
    driver = driver_on(transport, max_concurrency=1)
    many = asyncio.create_task(driver.run(sending(ops(*(f"m{n}" for n in range(100))))))
    await turns(1)
    await driver.run(sending(ops("single")))
    assert transport.sent.index("single") <= 2
    await many


@runs
async def test_operations_become_requests_when_it_is_their_turn():
    """An operation is turned into JSON only when its turn has come."""
    happened = []

    class Late(Op):
        def request(self, table_name):
            happened.append(f"made {self.name}")
            return {}

    transport = FakeAsync(lambda name: happened.append(f"sent {name}"))
    driver = driver_on(transport, max_concurrency=1)
    await driver.run(sending(Send((Late("a"), Late("b")))))
    assert happened == ["made a", "sent a", "made b", "sent b"]


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize(
    "kind", [FailureKind.NO_TABLE, FailureKind.DENIED, FailureKind.CREDENTIALS]
)
@runs
async def test_after_a_final_failure_nothing_is_started(kind, limit):
    """After denied access, a missing table or bad credentials no further operation is started."""
    transport = FakeAsync(lambda name: failure(kind))
    driver = driver_on(transport, max_concurrency=limit)
    (received,) = await driver.run(sending(ops(*"abcdef")))
    assert 1 <= len(transport.sent) <= limit
    assert kinds(received).count(kind) == len(transport.sent)
    assert kinds(received).count(FailureKind.NOT_STARTED) == 6 - len(transport.sent)


@runs
async def test_silence_ends_a_round():
    """After so many seconds without an answer nothing more is started; an answer begins anew."""
    clock = iter(range(1000))
    silent = FakeAsync(lambda name: failure(FailureKind.UNAVAILABLE))
    driver = driver_on(silent, max_concurrency=1, monotonic=lambda: float(next(clock)))
    (received,) = await driver.run(sending(Send(ops(*"abcdef").operations, deadline=3.0)))
    assert 1 <= len(silent.sent) < 6
    assert kinds(received)[-1] is FailureKind.NOT_STARTED
    answering = FakeAsync()
    driver = driver_on(answering, max_concurrency=1, monotonic=lambda: float(next(clock)))
    (received,) = await driver.run(sending(Send(ops(*"abcdef").operations, deadline=3.0)))
    assert kinds(received) == ["replied"] * 6


@runs
async def test_waiting_for_ones_turn_is_no_silence():
    """Who waited long for a free connection has all of its time for its own requests."""
    now = [0.0]
    transport = FakeAsync(held="a")
    driver = driver_on(transport, max_concurrency=1, monotonic=lambda: now[0])
    first = asyncio.create_task(driver.run(sending(ops("a"))))
    await turns()
    second = asyncio.create_task(driver.run(sending(Send(ops("b").operations, deadline=3.0))))
    await turns()
    now[0] = 100.0
    transport.release("a")
    (received,) = await second
    assert kinds(received) == ["replied"]
    assert received.since == 100.0
    await first


@runs
async def test_a_transport_that_raises():
    """An exception of the transport passes through, once nothing is in flight any more."""

    def answer(name):
        if name == "a":
            raise LookupError("no such")

    transport = FakeAsync(answer, held="b")
    driver = driver_on(transport)
    running = asyncio.create_task(driver.run(sending(ops("a", "b"))))
    await turns()
    assert not running.done()
    transport.release("b")
    with pytest.raises(LookupError, match="no such"):
        await running
    assert transport.ended == ["a", "b"]


@pytest.mark.parametrize("error", [LookupError("no such"), KeyboardInterrupt(), SystemExit()])
@runs
async def test_under_a_shield_an_exception_ends_in_an_account(error):
    """Under a shield an exception stops the rest, and the protocol ends with its account."""

    class Bad(Op):
        def request(self, table_name):
            raise error

    transport = FakeAsync(held="a")
    driver = driver_on(transport)
    with driver.shield() as shield:
        protocol = sending(Send((Op("a"), Bad("b"), Op("c"))), ops("never"))
        running = asyncio.create_task(driver.run(protocol, shield=shield))
        await turns()
        transport.release("a")
        (received,) = await running
    assert kinds(received) == ["replied", FailureKind.NOT_STARTED, FailureKind.NOT_STARTED]
    assert received.interrupt is error
    assert transport.sent == ["a"]


@runs
async def test_requests_have_the_context_of_their_call():
    """Each request is sent in the context of its own call, whoever made room for it."""
    name_of = contextvars.ContextVar("name_of", default="nobody")
    seen, events = {}, []

    def answer(name):
        seen[name] = name_of.get()

    driver = driver_on(
        FakeAsync(answer),
        max_concurrency=1,
        observer=lambda event: events.append((event.operation, name_of.get())),
    )

    async def call(name):
        name_of.set(name)
        await driver.run(sending(ops(name)))

    await asyncio.gather(*(call(name) for name in "abc"))
    assert seen == {"a": "a", "b": "b", "c": "c"}
    assert events == [("a", "a"), ("b", "b"), ("c", "c")]


# --- waiting and watching -------------------------------------------------------------------------


@runs
async def test_waiting_is_left_to_the_clock_given():
    """A sleep of one's own replaces every wait, whether it is awaited or not."""
    slept = []

    async def awaited(seconds):
        slept.append(seconds)

    for sleep in (slept.append, awaited):
        driver = driver_on(FakeAsync(), sleep=sleep, monotonic=lambda: float(len(slept)))
        await driver.run(sending(Wait(60)))
    assert slept == [60, 60]


@runs
async def test_waiting_for_real():
    """Without a sleep of one's own the loop's time passes, and other tasks go on."""
    loop = asyncio.get_running_loop()
    driver, started = driver_on(FakeAsync()), loop.time()
    waited, _ = await asyncio.gather(driver.run(sending(Wait(0.01))), turns())
    assert loop.time() - started >= 0.01
    assert waited[0].at - started >= 0.01


@runs
async def test_an_observer_sees_requests_and_retries():
    """The observer gets an event for each request that ended, and one before each retry."""
    events = []
    driver = driver_on(FakeAsync(), observer=events.append, sleep=lambda seconds: None)
    await driver.run(sending(ops("a", "b"), RETRY))
    requests = [event.operation for event in events if isinstance(event, RequestEvent)]
    assert sorted(requests) == ["a", "b"]
    assert [event.attempt for event in events if isinstance(event, RetryEvent)] == [1]


@runs
async def test_what_an_observer_raises():
    """What an observer raises comes out after all that is in flight has its answer."""

    class Sabotage(BaseException):
        pass

    def observer(event):
        raise Sabotage

    transport = FakeAsync(held="b")
    driver = driver_on(transport, observer=observer)
    with driver.shield() as shield:
        running = asyncio.create_task(driver.run(sending(ops("a", "b")), shield=shield))
        await turns()
        assert not running.done()
        transport.release("b")
        (received,) = await running
    assert kinds(received) == ["replied", "replied"]
    assert isinstance(received.interrupt, Sabotage)


# --- cancellation ---------------------------------------------------------------------------------


async def cancelled(task):
    """Await a task, which must be cancelled."""
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@runs
async def test_cancelled_before_its_first_step():
    """A task that is cancelled before it begins sends nothing."""
    transport = FakeAsync()
    task = asyncio.create_task(driver_on(transport).run(sending(ops("a"))))
    task.cancel()
    await cancelled(task)
    assert transport.sent == []


@pytest.mark.parametrize("times", [1, 2, 3])
@runs
async def test_cancelled_within_requests(times):
    """What is in flight is awaited, nothing more is started, however often it is cancelled."""
    transport = FakeAsync(held="abcd")
    driver = driver_on(transport, max_concurrency=2)
    task = asyncio.create_task(driver.run(sending(ops(*"abcd"))))
    for _ in range(times):
        await turns()
        task.cancel()
    await turns()
    assert not task.done()
    transport.release("b")
    await turns()
    assert not task.done()
    transport.release("a")
    await cancelled(task)
    assert transport.sent == ["a", "b"]
    assert transport.interrupted == 0


@pytest.mark.parametrize("times", [1, 2])
@runs
async def test_under_a_shield_a_cancellation_ends_in_an_account(times):
    """Under a shield the protocol receives the results and the interrupt, and ends itself."""
    transport = FakeAsync(held="ab")
    driver = driver_on(transport, max_concurrency=2)

    async def commit():
        with driver.shield() as shield:
            told.extend(await driver.run(sending(ops(*"abcd"), ops("never")), shield=shield))
            shield.conclude(None)

    told = []
    task = asyncio.create_task(commit())
    for _ in range(times):
        await turns()
        task.cancel()
    transport.release("a")
    transport.release("b")
    await cancelled(task)
    (received,) = told
    assert kinds(received) == ["replied"] * 2 + [FailureKind.NOT_STARTED] * 2
    assert isinstance(received.interrupt, asyncio.CancelledError)
    assert transport.sent == ["a", "b"]


@runs
async def test_after_an_interrupt_nothing_is_started():
    """Under a shield that holds an interrupt already nothing is sent, and nothing waits."""
    transport = FakeAsync()
    driver = driver_on(transport)
    shield = driver.shield()
    shield.keep(KeyboardInterrupt())
    (received,) = await driver.run(sending(ops("a", "b")), shield=shield)
    (waited,) = await driver.run(sending(Wait(MOMENT)), shield=shield)
    assert kinds(received) == [FailureKind.NOT_STARTED] * 2
    assert isinstance(waited.interrupt, KeyboardInterrupt)
    assert transport.sent == []


@runs
async def test_a_coroutine_that_is_closed():
    """A call whose coroutine is closed in the middle ends at once, under a shield too."""
    driver = driver_on(FakeAsync(held="a"))
    for shield in (None, driver.shield()):
        call = driver.run(sending(ops("a")), shield=shield)
        call.send(None)
        call.close()
    driver.transport.release("a")


@pytest.mark.parametrize("shielded", [False, True])
@runs
async def test_cancelled_while_waiting_for_its_turn(shielded):
    """A task that waits for a free connection ends at once, and takes nobody's turn."""
    transport = FakeAsync(held="a")
    driver = driver_on(transport, max_concurrency=1)
    first = asyncio.create_task(driver.run(sending(ops("a"))))
    await turns()
    shield = driver.shield() if shielded else None
    second = asyncio.create_task(driver.run(sending(ops("b")), shield=shield))
    third = asyncio.create_task(driver.run(sending(ops("c"))))
    await turns()
    second.cancel()
    await turns()
    assert second.done()
    if shielded:
        assert kinds(second.result()[0]) == [FailureKind.NOT_STARTED]
    else:
        assert second.cancelled()
    transport.release("a")
    await first
    await third
    assert transport.sent == ["a", "c"]


@pytest.mark.parametrize("shielded", [False, True])
@runs
async def test_cancelled_during_a_wait(shielded):
    """A wait for the next try ends at once."""
    driver = driver_on(FakeAsync())
    shield = driver.shield() if shielded else None
    task = asyncio.create_task(driver.run(sending(RETRY, ops("never")), shield=shield))
    await turns()
    task.cancel()
    await turns()
    assert task.done()
    if shielded:
        (received,) = task.result()
        assert isinstance(received.interrupt, asyncio.CancelledError)
    else:
        assert task.cancelled()


@runs
async def test_cancelled_by_itself():
    """A task that has cancelled itself awaits what it starts, and no more than that."""
    transport = FakeAsync()
    driver = driver_on(transport, max_concurrency=1)

    async def itself():
        asyncio.current_task().cancel()
        await driver.run(sending(ops("a", "b")))

    await cancelled(asyncio.create_task(itself()))
    assert transport.sent == transport.ended == ["a"]


@runs
async def test_asyncios_timeout():
    """asyncio.timeout ends a call once what is in flight has ended, as a TimeoutError."""
    transport = FakeAsync(held="a")
    driver = driver_on(transport)
    asyncio.get_running_loop().call_later(0.05, transport.release, "a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await driver.run(sending(ops("a")))
    assert transport.ended == ["a"]
    await driver.run(sending(ops("b")))


@runs
async def test_a_task_group():
    """Where one task of a group fails the others are cancelled, and the store is fit for use."""
    transport = FakeAsync(held="abc")
    driver = driver_on(transport, max_concurrency=2)

    async def fail():
        await turns()
        asyncio.get_running_loop().call_later(0.01, lambda: [transport.release(n) for n in "abc"])
        raise LookupError

    async def one_for_all():
        async with asyncio.TaskGroup() as group:
            for name in "abc":
                group.create_task(driver.run(sending(ops(name))))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as caught:
        await one_for_all()
    assert [type(error) for error in caught.value.exceptions] == [LookupError]
    assert sorted(transport.ended) == ["a", "b"]
    (received,) = await driver.run(sending(ops("d")))
    assert kinds(received) == ["replied"]


@runs
async def test_a_cancellation_is_not_lost_beside_another_exception():
    """A cancelled task ends as cancelled, even if its transport raises meanwhile."""

    def answer(name):
        raise LookupError

    transport = FakeAsync(answer, held="a")
    task = asyncio.create_task(driver_on(transport).run(sending(ops("a"))))
    await turns()
    task.cancel()
    await turns()
    transport.release("a")
    await cancelled(task)


@pytest.mark.parametrize("shielded", [False, True])
@runs
async def test_what_never_ends_is_given_up(shielded):
    """A cancelled call waits for its request no longer than the time limit; it is in doubt then."""
    transport = FakeAsync(held="a")
    driver = driver_on(transport, timeout=0.05)
    shield = driver.shield() if shielded else None
    task = asyncio.create_task(driver.run(sending(ops("a")), shield=shield))
    await turns()
    started = time.monotonic()
    task.cancel()
    if shielded:
        (received,) = await task
        assert kinds(received) == [FailureKind.INTERRUPTED]
        assert received.results[0].applied_maybe
    else:
        await cancelled(task)
    assert 0.04 <= time.monotonic() - started < MOMENT
    await turns()
    assert transport.interrupted == 1
    await driver.close()


def test_at_the_end_of_the_loop():
    """asyncio.run cancels what is left, a transport's own tasks too: in doubt, nobody is warned."""
    transport = FakeAsync(held="a")
    told = []

    async def commit():
        driver = driver_on(transport, max_concurrency=1)
        with driver.shield() as shield:
            told.extend(await driver.run(sending(ops("a", "b"), ops("never")), shield=shield))
            shield.conclude(None)

    async def main():
        task = asyncio.create_task(commit())
        await turns()
        return task

    assert asyncio.run(main(), debug=True).cancelled()
    (received,) = told
    assert kinds(received) == [FailureKind.INTERRUPTED, FailureKind.NOT_STARTED]
    assert transport.interrupted == 1


def test_ctrl_c_on_a_loop_that_handles_it():
    """Ctrl-C within asyncio.run is a cancellation: the account comes first."""
    told = []

    async def main():
        driver = driver_on(transport)
        with driver.shield() as shield:
            protocol = sending(ops("a", "b", "c"), ops("never"))
            told.extend(await driver.run(protocol, shield=shield))
            shield.conclude(None)

    def answer(name):
        if name == "a":
            signal.raise_signal(signal.SIGINT)

    transport = FakeAsync(answer)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main(), debug=True)
    finally:
        signal.signal(signal.SIGINT, before)
    (received,) = told
    assert isinstance(received.interrupt, asyncio.CancelledError)
    assert kinds(received).count("replied") == len(transport.sent)


# --- page after page ------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2])
@runs
async def test_the_next_page_is_read_ahead(limit):
    """While the caller works on one page, the next is read; with a limit of one it is not."""
    transport = FakeAsync()
    seen = []
    async for name in driver_on(transport, max_concurrency=limit).stream(pages("abcd")):
        await turns(10)
        seen.append((name, len(transport.sent)))
    ahead = 0 if limit == 1 else 1
    assert seen == [("a", 1 + ahead), ("b", 2 + ahead), ("c", 3 + ahead), ("d", 4)]


@pytest.mark.parametrize("how", ["close", "drop"])
@runs
async def test_a_page_that_nobody_wants(how):
    """An iteration that is left early cancels what it reads ahead, and waits for it."""
    transport = FakeAsync(held="b")
    driver = driver_on(transport)
    pages_ = driver.stream(pages("abcd"))
    assert await anext(pages_) == "a"
    await turns()
    asyncio.get_running_loop().call_later(0.01, transport.release, "b")
    if how == "close":
        await pages_.aclose()
    else:
        del pages_
        gc.collect()
        await asyncio.sleep(0.05)
    assert transport.sent == transport.ended == ["a", "b"]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await driver.close()


@runs
async def test_cancelled_while_a_page_is_awaited():
    """A task that is cancelled while it waits for a page gets no page; nothing is in flight."""
    transport = FakeAsync(held="b")
    driver = driver_on(transport)

    async def read():
        async for name in driver.stream(pages("abcd")):
            seen.append(name)

    seen = []
    task = asyncio.create_task(read())
    await turns(10)
    task.cancel()
    await turns(10)
    task.cancel()
    await turns(10)
    assert not task.done()
    transport.release("b")
    await cancelled(task)
    assert seen == ["a"]
    assert transport.sent == transport.ended == ["a", "b"]


@runs
async def test_cancelled_while_an_iteration_is_closed():
    """A cancellation during the close of an iteration waits for what is in flight, too."""
    transport = FakeAsync(held="b")
    driver = driver_on(transport)
    pages_ = driver.stream(pages("abcd"))
    await anext(pages_)
    await turns()
    closing = asyncio.create_task(pages_.aclose())
    await turns()
    closing.cancel()
    await turns()
    assert not closing.done()
    transport.release("b")
    await cancelled(closing)
    assert transport.ended == ["a", "b"]


@runs
async def test_an_exception_read_ahead_is_raised_in_its_turn():
    """An error of the next page is raised when that page is asked for, and not before."""

    def broken():
        received = yield ops("a")
        yield Emit(received, ahead=True)
        raise LookupError

    driver = driver_on(FakeAsync())
    stream = driver.stream(broken())
    await anext(stream)
    await turns(10)
    with pytest.raises(LookupError):
        await anext(stream)
    left = driver.stream(broken())
    await anext(left)
    await turns(10)
    await left.aclose()  # of the error that nobody asked for nobody is warned


# --- closing, and whose loop it is ----------------------------------------------------------------


@runs
async def test_closing_waits_for_what_is_in_flight():
    """close() starts nothing more, waits for what is in flight, then closes the transport."""
    transport = FakeAsync(held="a")
    driver = driver_on(transport, max_concurrency=1)
    running = asyncio.create_task(driver.run(sending(ops("a", "b"))))
    waiting = asyncio.create_task(driver.run(sending(ops("c"))))
    sleeping = asyncio.create_task(driver.run(sending(RETRY, ops("d"))))
    await turns()
    started = time.monotonic()
    closing = asyncio.create_task(driver.close())
    await turns()
    assert not closing.done()
    assert transport.closed == 0
    transport.release("a")
    await closing
    assert transport.closed == 1
    (received,) = await running
    assert kinds(received) == ["replied", FailureKind.CLOSED]
    (received,) = await waiting
    assert kinds(received) == [FailureKind.CLOSED]
    assert kinds((await sleeping)[1]) == [FailureKind.CLOSED]
    assert time.monotonic() - started < MOMENT / 2
    await driver.close()
    assert transport.closed == 1


@runs
async def test_cancelled_while_closing():
    """A close() that is cancelled has closed all the same."""
    transport = FakeAsync(held="a")
    driver = driver_on(transport)
    running = asyncio.create_task(driver.run(sending(ops("a"))))
    await turns()
    closing = asyncio.create_task(driver.close())
    await turns()
    closing.cancel()
    await turns()
    transport.release("a")
    await cancelled(closing)
    await running
    assert transport.closed == 1


@runs
async def test_after_close():
    """After close() every call is a ConfigurationError, an iteration in progress too."""
    driver = driver_on(FakeAsync())
    stream = driver.stream(pages("abc"))
    await anext(stream)
    await driver.close()
    with pytest.raises(ConfigurationError, match="closed"):
        await driver.run(sending(ops("a")))
    with pytest.raises(ConfigurationError, match="closed"):
        await anext(stream)
    with pytest.raises(ConfigurationError, match="closed"):
        await anext(driver.stream(pages("abc")))
    with pytest.raises(ConfigurationError, match="closed"):
        driver.shield()


def test_a_second_open_loop():
    """On another loop the store is refused while its own is open, in another thread too."""
    transport = FakeAsync()
    driver = driver_on(transport)
    refused = []

    async def use():
        await driver.run(sending(ops("a")))

    async def use_elsewhere():
        for call in (use(), driver.close(), anext(driver.stream(pages("a")))):
            with pytest.raises(ConfigurationError, match="another event loop") as caught:
                await call
            refused.append(caught.value)
        with pytest.raises(ConfigurationError, match="another event loop"):
            driver.shield()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(use())
    asyncio.run(use_elsewhere())
    thread = threading.Thread(target=asyncio.run, args=(use_elsewhere(),))
    thread.start()
    thread.join(MOMENT)
    assert len(refused) == 6
    loop.run_until_complete(use())
    loop.close()
    asyncio.run(use())
    assert transport.sent == ["a"] * 3


def test_outside_of_a_loop():
    """A shield without a running loop is refused, with the way out."""
    with pytest.raises(ConfigurationError, match="event loop runs"):
        driver_on(FakeAsync()).shield()


def test_an_iteration_does_not_outlive_its_loop():
    """An iteration that began on a loop that is closed by now is refused on the next."""
    driver = driver_on(FakeAsync())
    stream = driver.stream(pages("abc"))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(stream))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()

    async def go_on():
        with pytest.raises(ConfigurationError, match="began on another event loop"):
            await anext(stream)

    asyncio.run(go_on())


def in_child(driver, told):
    (received,) = asyncio.run(driver.run(sending(ops("child"))))
    told.put(kinds(received))


def test_a_forked_child_has_a_loop_of_its_own():
    """A child of a process whose loop is open may use the store on its own loop."""
    driver = driver_on(FakeAsync())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(driver.run(sending(ops("parent"))))
    fork = multiprocessing.get_context("fork")
    told = fork.SimpleQueue()
    child = fork.Process(target=in_child, args=(driver, told))
    child.start()
    child.join(MOMENT)
    assert told.get() == ["replied"]
    loop.run_until_complete(driver.run(sending(ops("parent"))))
    loop.close()


def test_a_loop_that_is_thrown_away():
    """A loop closed in the middle of a request takes nothing along: the next one works."""
    transport = FakeAsync(held="a")
    driver = driver_on(transport, max_concurrency=1)
    loop = asyncio.new_event_loop()
    task = loop.create_task(driver.run(sending(ops("a"))))
    task._log_destroy_pending = False  # it is our doing
    loop.run_until_complete(turns())
    for other in asyncio.all_tasks(loop):
        other._log_destroy_pending = False
    loop.close()
    (received,) = asyncio.run(driver.run(sending(ops("b"))))
    assert kinds(received) == ["replied"]
    del task, other
    gc.collect()
