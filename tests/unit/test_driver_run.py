"""The driver: what protocols ask for happens in order, at once, and to an honest end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import threading
import time

import pytest
from fakes import MOMENT, Fake, Op, kinds, ops, sending

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import Emit, Failure, FailureKind, Received, Reply, Send, Wait
from thrivecalc_models.signals import RequestEvent, RetryEvent
from thrivecalc_models.transport import Driver


@pytest.fixture
def driver_for():
    drivers = []

    def make(answer=lambda name: None, **options):
        transport = answer if isinstance(answer, Fake) else Fake(answer)
        driver = Driver(transport, "t", **options)
        drivers.append(driver)
        return driver

    yield make
    for driver in drivers:
        driver.close()


def failure(kind):
    return Failure(kind=kind, code=kind.value)


def test_one_operation_stays_in_the_thread(driver_for):
    """A single operation is sent by the calling thread, as JSON for the driver's table."""
    transport = Fake()
    (received,) = driver_for(transport, monotonic=lambda: 7.0).run(sending(ops("a")))
    assert received == Received((Reply(body={"TableName": "t", "Op": "a"}),), at=7.0)
    assert transport.threads == {threading.current_thread()}


def test_operations_become_requests_when_they_are_sent(driver_for):
    """An operation is turned into JSON only when its turn has come."""
    happened = []

    class Late(Op):
        def request(self, table_name):
            happened.append(f"made {self.name}")
            return {}

    driver = driver_for(lambda name: happened.append(f"sent {name}"), max_concurrency=1)
    driver.run(sending(Send((Late("a"), Late("b")))))
    assert happened == ["made a", "sent a", "made b", "sent b"]


def test_results_keep_the_order(driver_for):
    """Whatever ends first, results come in the order of the operations."""
    second_is_done = threading.Event()

    def answer(name):
        if name == "a":
            assert second_is_done.wait(MOMENT)
        else:
            second_is_done.set()

    (received,) = driver_for(answer).run(sending(ops("a", "b", "c")))
    assert [reply.body["Op"] for reply in received.results] == ["a", "b", "c"]


def test_side_by_side_up_to_the_limit(driver_for):
    """As many requests are on their way at once as the limit says, and never more."""
    together = threading.Barrier(3)
    lock = threading.Lock()
    now = most = 0

    def answer(name):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(MOMENT)
        with lock:
            now -= 1

    driver_for(answer, max_concurrency=3).run(sending(ops(*"abcdef")))
    assert most == 3


def test_two_threads_share_a_driver(driver_for):
    """Several threads may run protocols on one driver, and each gets its own results."""
    driver = driver_for(max_concurrency=2)
    told = {}

    def work(letter):
        (received,) = driver.run(sending(ops(*(f"{letter}{n}" for n in range(20)))))
        told[letter] = [reply.body["Op"] for reply in received.results]

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(MOMENT)
    assert told == {letter: [f"{letter}{n}" for n in range(20)] for letter in "abcd"}


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize(
    "kind", [FailureKind.NO_TABLE, FailureKind.DENIED, FailureKind.CREDENTIALS]
)
def test_after_a_final_failure_nothing_is_started(driver_for, kind, limit):
    """After denied access, a missing table or bad credentials no further operation is started."""
    transport = Fake(lambda name: failure(kind))
    (received,) = driver_for(transport, max_concurrency=limit).run(sending(ops(*"abcdef")))
    assert 1 <= len(transport.sent) <= limit
    assert kinds(received).count(kind) == len(transport.sent)
    assert kinds(received).count(FailureKind.NOT_STARTED) == 6 - len(transport.sent)


def test_other_failures_do_not_stop_the_rest(driver_for):
    """A conflict or a lost reply does not keep the other operations from being sent."""
    driver = driver_for(lambda name: failure(FailureKind.UNAVAILABLE) if name == "a" else None)
    (received,) = driver.run(sending(ops(*"abc")))
    assert kinds(received) == [FailureKind.UNAVAILABLE, "replied", "replied"]


def test_waiting_is_left_to_the_clock_given(driver_for):
    """With a clock and a sleep of one's own nothing waits for real, under a shield or not."""
    slept = []
    driver = driver_for(sleep=slept.append, monotonic=lambda: float(len(slept)))
    assert driver.run(sending(Wait(60))) == [Received((), at=1.0)]
    with driver.shield() as shield:
        assert driver.run(sending(Wait(90)), shield=shield) == [Received((), at=2.0)]
    assert slept == [60, 90]


def test_waiting_for_real(driver_for):
    """Without a sleep of one's own the time really passes, under a shield too."""
    driver = driver_for()
    started = time.monotonic()
    driver.run(sending(Wait(0.01)))
    with driver.shield() as shield:
        driver.run(sending(Wait(0.01)), shield=shield)
    assert time.monotonic() - started >= 0.02


def test_no_wait_outlasts_its_time(driver_for):
    """A hundred thousand tiny waits, as full jitter draws them, all end, however signals fall."""
    driver, waits = driver_for(), [0] * 10

    def draw(number):
        rng = random.Random(number)
        for waits[number] in range(1, 10_001):
            yield Wait(rng.uniform(0, 1e-5))

    def work(number):
        with driver.shield() as shield:
            driver.run(draw(number), shield=shield)
        assert shield.interrupt is None

    seen = [0, time.monotonic()]

    def tick(signum, frame):
        now = time.monotonic()
        if seen[0] != waits[0]:
            seen[:] = waits[0], now
        elif now - seen[1] > MOMENT:
            raise TimeoutError(f"wait {waits[0]} does not end")

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(1, 10)]
    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        work(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert waits == [10_000] * 10


class Boom(BaseException):
    pass


def raising(error):
    def answer(name):
        if name == "a":
            raise error

    return answer


@pytest.mark.parametrize("limit", [1, 4])
def test_without_a_shield_an_exception_passes(driver_for, limit):
    """Without a shield an exception passes through, once nothing is on its way any more."""
    entered, finished = threading.Event(), []

    def answer(name):
        if name == "a":
            assert limit == 1 or entered.wait(MOMENT)
            raise Boom
        entered.set()
        finished.append(name)

    driver = driver_for(answer, max_concurrency=limit)
    with pytest.raises(Boom):
        driver.run(sending(ops(*"ab")))
    assert finished == ([] if limit == 1 else ["b"])


@pytest.mark.parametrize("error", [Boom(), KeyboardInterrupt(), RuntimeError()])
@pytest.mark.parametrize("names", ["a", "abcdef"])
def test_under_a_shield_an_exception_ends_in_an_account(driver_for, names, error):
    """Under a shield an exception stops the rest, and the protocol ends with its account."""
    transport = Fake(raising(error))
    driver = driver_for(transport, max_concurrency=1)
    with driver.shield() as shield:
        told = driver.run(sending(ops(*names), ops("never")), shield=shield)
    (received,) = told
    assert received.results[0] == Failure(
        kind=FailureKind.INTERRUPTED, code=type(error).__name__, applied_maybe=True
    )
    assert kinds(received)[1:] == [FailureKind.NOT_STARTED] * (len(names) - 1)
    assert transport.sent == ["a"]
    assert received.interrupt is error
    assert shield.interrupt is error


def test_under_a_shield_those_on_their_way_are_awaited(driver_for):
    """When one of several is interrupted, the results of those on their way still count."""
    on_their_way, raised = threading.Barrier(2), threading.Event()

    def answer(name):
        on_their_way.wait(MOMENT)
        if name == "a":
            raised.set()
            raise Boom
        assert raised.wait(MOMENT)

    driver = driver_for(answer, max_concurrency=2)
    with driver.shield() as shield:
        (received,) = driver.run(sending(ops("a", "b")), shield=shield)
    assert kinds(received) == [FailureKind.INTERRUPTED, "replied"]


def test_what_cannot_be_encoded_was_not_started(driver_for):
    """An operation that fails to become a request is not started, and so not in doubt."""

    class Bad(Op):
        def request(self, table_name):
            raise ValueError

    transport = Fake()
    driver = driver_for(transport)
    with driver.shield() as shield:
        (received,) = driver.run(sending(Send((Bad("a"),))), shield=shield)
    assert kinds(received) == [FailureKind.NOT_STARTED]
    assert isinstance(received.interrupt, ValueError)
    assert transport.sent == []


@pytest.fixture
def ctrl_c():
    """Press Ctrl-C, under Python's own handler whatever the test runner has set."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("limit", [1, 2])
def test_ctrl_c_within_requests(driver_for, ctrl_c, limit):
    """Ctrl-C lets requests on their way finish, starts no more, and is handled afterwards."""

    def answer(name):
        if name == "a":
            os.kill(os.getpid(), signal.SIGINT)
            while shield.interrupt is None:  # the main thread notes it when it gets its turn
                time.sleep(0.001)
            pressed.set()
        else:
            assert pressed.wait(MOMENT)

    pressed = threading.Event()
    transport = Fake(answer)
    driver = driver_for(transport, max_concurrency=limit)
    with driver.shield() as shield:
        (received,) = driver.run(sending(ops(*"abcdefghij"), ops("never")), shield=shield)
        assert isinstance(received.interrupt, KeyboardInterrupt)
    assert kinds(received).count("replied") == len(transport.sent)
    assert kinds(received).count(FailureKind.NOT_STARTED) == 10 - len(transport.sent) > 0
    assert isinstance(shield.interrupt, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()


def test_ctrl_c_ends_a_wait_early(driver_for, ctrl_c):
    """Ctrl-C ends a wait for the next try at once, and a second one changes nothing."""
    driver = driver_for()
    alarm = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
    started = time.monotonic()
    with driver.shield() as shield:
        alarm.start()
        retry = Wait(MOMENT, "UpdateItem", 1, "ThrottlingException")
        (received,) = driver.run(sending(retry, Wait(MOMENT)), shield=shield)
        ctrl_c()
    alarm.join()
    assert isinstance(received.interrupt, KeyboardInterrupt)
    assert isinstance(shield.interrupt, KeyboardInterrupt)
    assert time.monotonic() - started < MOMENT / 2


def test_ctrl_c_before_the_first_request(driver_for, ctrl_c):
    """After Ctrl-C nothing is started, however much was asked for."""
    transport = Fake()
    driver = driver_for(transport)
    with driver.shield() as shield:
        shield.hold_signals()
        ctrl_c()
        (received,) = driver.run(sending(ops("a", "b")), shield=shield)
        (waited,) = driver.run(sending(Wait(MOMENT)), shield=shield)
    assert kinds(received) == [FailureKind.NOT_STARTED] * 2
    assert isinstance(waited.interrupt, KeyboardInterrupt)
    assert transport.sent == []


def test_a_single_request_leaves_ctrl_c_alone(driver_for, ctrl_c):
    """For a single request SIGINT's handler stays Python's own, and Ctrl-C is raised at once."""
    seen = []

    def answer(name):
        seen.append(signal.getsignal(signal.SIGINT))
        ctrl_c()

    driver = driver_for(answer)
    with driver.shield() as shield:
        (received,) = driver.run(sending(ops("a"), ops("never")), shield=shield)
    assert seen == [signal.default_int_handler]
    assert kinds(received) == [FailureKind.INTERRUPTED]
    assert isinstance(received.interrupt, KeyboardInterrupt)


def hosts_own(signum, frame):
    raise AssertionError("SIGINT was not sent")


@pytest.mark.parametrize("handler", [hosts_own, signal.SIG_IGN, signal.SIG_DFL])
def test_a_handler_of_the_hosts_own_stays(driver_for, ctrl_c, handler):
    """Any other handler of SIGINT than Python's own is the host's, and is never replaced."""
    signal.signal(signal.SIGINT, handler)
    seen = []
    driver = driver_for(
        lambda name: seen.append(signal.getsignal(signal.SIGINT)), max_concurrency=1
    )
    with driver.shield() as shield:
        driver.run(sending(ops("a", "b"), Wait(0, "UpdateItem", 1, "x"), ops("c")), shield=shield)
        seen.append(signal.getsignal(signal.SIGINT))
    assert seen == [handler] * 4
    assert signal.getsignal(signal.SIGINT) is handler


def test_asyncio_keeps_its_handler(driver_for, ctrl_c):
    """Where asyncio handles SIGINT a commit of many requests puts nothing in its place."""
    pressed = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, pressed.append, "pressed")
        driver = driver_for(lambda name: (name == "a" and ctrl_c()) or None, max_concurrency=1)
        with driver.shield() as shield:
            (received,) = driver.run(sending(ops("a", "b")), shield=shield)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop.remove_signal_handler(signal.SIGINT)
        return received

    assert kinds(asyncio.run(main())) == ["replied", "replied"]
    assert pressed == ["pressed"]


def test_where_no_handler_can_be_set_none_is(driver_for, ctrl_c, monkeypatch):
    """In a subinterpreter, where setting a handler raises ValueError, a commit goes without."""

    def refuse(signum, handler):
        raise ValueError("signal only works in main thread of the main interpreter")

    driver = driver_for()
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", refuse)
        with driver.shield() as shield:
            (received,) = driver.run(sending(ops("a", "b")), shield=shield)
    assert kinds(received) == ["replied", "replied"]


def test_a_handler_set_meanwhile_stays(driver_for, ctrl_c):
    """A handler that the host sets while a commit runs is there afterwards."""
    driver = driver_for(
        lambda name: name == "a" and signal.signal(signal.SIGINT, hosts_own) and None,
        max_concurrency=1,
    )
    with driver.shield() as shield:
        driver.run(sending(ops("a", "b")), shield=shield)
    assert signal.getsignal(signal.SIGINT) is hosts_own


def test_shields_within_shields(driver_for, ctrl_c):
    """Of nested shields the outermost is the one whose end Ctrl-C waits for."""
    driver = driver_for()
    with driver.shield() as outer:
        outer.hold_signals()
        with driver.shield() as inner:
            inner.hold_signals()
            ctrl_c()
        assert inner.interrupt is None
        assert isinstance(outer.interrupt, KeyboardInterrupt)
    assert isinstance(outer.interrupt, KeyboardInterrupt)


def test_a_shield_in_another_thread(driver_for):
    """In another thread, which gets no signals, a shield leaves the handler alone and works."""
    driver, told = driver_for(raising(Boom())), []

    def work():
        with driver.shield() as shield:
            told.extend(driver.run(sending(Wait(0), ops("a")), shield=shield))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(MOMENT)
    assert signal.getsignal(signal.SIGINT) is before
    assert [kinds(received) for received in told] == [[], [FailureKind.INTERRUPTED]]


def pages(closed, names="abc", *, ahead=False):
    """A protocol that emits what it reads, and says when it is closed."""
    try:
        for name in names:
            received = yield ops(name)
            yield Emit(received.results[0].body["Op"], ahead=ahead and name != names[-1])
    finally:
        closed.append(True)


def test_a_stream_reads_as_it_is_wanted(driver_for):
    """A stream sends the next request only when the next value is wanted."""
    transport, closed = Fake(), []
    stream = driver_for(transport).stream(pages(closed))
    assert next(stream) == "a"
    assert transport.sent == ["a"]
    assert list(stream) == ["b", "c"]
    assert closed == [True]


def test_an_abandoned_stream_is_closed(driver_for):
    """A stream that is left early closes its protocol."""
    closed = []
    stream = driver_for().stream(pages(closed))
    next(stream)
    stream.close()
    assert closed == [True]


def test_a_stream_that_fails_is_closed(driver_for):
    """An exception within a stream passes through, and its protocol is closed."""
    closed = []
    stream = driver_for(raising(Boom())).stream(pages(closed))
    with pytest.raises(Boom):
        next(stream)
    assert closed == [True]


def test_the_next_value_is_got_ahead(driver_for):
    """While the caller works on one value, the next one is asked for."""
    asked = threading.Event()
    transport = Fake(lambda name: asked.set() if name == "b" else None)
    stream = driver_for(transport).stream(pages([], ahead=True))
    assert next(stream) == "a"
    assert asked.wait(MOMENT)
    assert list(stream) == ["b", "c"]
    assert transport.sent == ["a", "b", "c"]


def test_nothing_is_got_ahead_one_at_a_time(driver_for):
    """Where only one request may be on its way, nothing is asked for before it is wanted."""
    transport = Fake()
    stream = driver_for(transport, max_concurrency=1).stream(pages([], ahead=True))
    next(stream)
    assert transport.sent == ["a"]
    assert transport.threads == {threading.current_thread()}
    stream.close()


def test_independent_streams_go_side_by_side(driver_for):
    """Two iterations that take turns have their next requests on their way at the same time."""
    together = threading.Barrier(2)
    driver = driver_for(lambda name: name in "by" and together.wait(MOMENT) and None)
    one, other = (driver.stream(pages([], names, ahead=True)) for names in ("abc", "xyz"))
    assert list(zip(one, other, strict=True)) == [("a", "x"), ("b", "y"), ("c", "z")]


def test_what_fails_ahead_is_raised_in_its_place(driver_for):
    """A value that could not be got ahead is an error where it is asked for, not before."""
    closed = []
    fails = raising(Boom())
    transport = Fake(lambda name: fails("a") if name == "b" else None)
    stream = driver_for(transport).stream(pages(closed, ahead=True))
    assert next(stream) == "a"
    with pytest.raises(Boom):
        next(stream)
    assert transport.sent == ["a", "b"]
    assert closed == [True]


def test_a_stream_left_early_starts_nothing_more(driver_for):
    """A stream that is left while the next value is on its way does not wait for it, and ends."""
    asked, go_on, closed = threading.Event(), threading.Event(), []

    def answer(name):
        if name == "b":
            asked.set()
            assert go_on.wait(MOMENT)

    transport = Fake(answer)
    driver = driver_for(transport)
    stream = driver.stream(pages(closed, ahead=True))
    next(stream)
    assert asked.wait(MOMENT)
    stream.close()
    assert closed == []
    go_on.set()
    driver.close()
    assert closed == [True]
    assert transport.sent == ["a", "b"]


def test_a_stream_of_a_closed_driver(driver_for):
    """An iteration whose store was closed meanwhile is refused, and opens nothing again."""
    transport = Fake()
    driver = driver_for(transport)
    stream = driver.stream(pages([]))
    next(stream)
    driver.close()
    with pytest.raises(ConfigurationError, match="closed"):
        next(stream)
    assert transport.sent == ["a"]


def test_running_what_should_be_streamed(driver_for):
    """A protocol that emits values is refused by run(), which would lose them."""
    with pytest.raises(TypeError, match="stream"):
        driver_for().run(pages([]))


def test_what_a_protocol_raises_passes(driver_for):
    """An error that a protocol raises reaches the caller as it is."""

    def protocol():
        yield ops("a")
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        driver_for().run(protocol())


def test_each_request_is_reported(driver_for):
    """An observer hears of every request: its name, duration, attempt and outcome."""
    seen, ticks = [], iter(range(100))
    driver = driver_for(observer=seen.append, monotonic=lambda: float(next(ticks)))
    driver.run(sending(Send((Op("a"),), attempt=3)))
    assert seen == [RequestEvent(operation="a", duration=1.0, attempt=3, outcome="ok")]


def test_each_retry_is_reported(driver_for, caplog):
    """An observer and the log hear what is going to be sent again, why, and after how long."""
    seen = []
    driver = driver_for(observer=seen.append, sleep=lambda seconds: None)

    def protocol():
        yield Wait(0.5, "UpdateItem", 2, "ThrottlingException")

    with caplog.at_level(logging.INFO, logger="thrivecalc_models"):
        driver.run(protocol())
    assert seen == [
        RetryEvent(operation="UpdateItem", attempt=2, wait=0.5, code="ThrottlingException")
    ]
    assert "UpdateItem failed at try 2 (ThrottlingException)" in caplog.text


def test_an_observer_cannot_break_anything(driver_for, caplog):
    """An observer that raises is logged by the type of its error, and the work goes on."""

    def observer(*event):
        raise ValueError(f"canary {event}")

    driver = driver_for(observer=observer)
    with caplog.at_level(logging.DEBUG):
        (received,) = driver.run(sending(ops("a", "b")))
    assert kinds(received) == ["replied", "replied"]
    assert {record.name for record in caplog.records} == {"thrivecalc_models"}
    assert "ValueError" in caplog.text
    assert "canary" not in caplog.text


def test_an_interrupted_observer_does_not_change_the_result(driver_for):
    """Ctrl-C within an observer does not put a request in doubt that was answered."""

    def observer(*event):
        raise KeyboardInterrupt

    driver = driver_for(observer=observer)
    with driver.shield() as shield:
        (received,) = driver.run(sending(ops("a")), shield=shield)
    assert kinds(received) == ["replied"]
    assert isinstance(received.interrupt, KeyboardInterrupt)


def test_a_closed_driver_leaves_no_threads(driver_for):
    """Closing a driver ends its threads; used again, it says that it is closed."""
    before = threading.active_count()
    driver = driver_for()
    driver.run(sending(ops("a", "b")))
    assert threading.active_count() > before
    driver.close()
    assert threading.active_count() == before
    with pytest.raises(ConfigurationError, match="closed"):
        driver.run(sending(ops("a", "b")))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_the_parents_page(driver_for):
    """A value on its way to the parent never comes to a child, which is told so."""
    asked, go_on = threading.Event(), threading.Event()
    driver = driver_for(lambda name: name == "b" and (asked.set() or go_on.wait(MOMENT)) and None)
    stream = driver.stream(pages([], ahead=True))
    next(stream)
    assert asked.wait(MOMENT)
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(MOMENT)
            with pytest.raises(ConfigurationError, match="forked"):
                next(stream)
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go_on.set()
    assert list(stream) == ["b", "c"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_its_own_threads(driver_for):
    """After a fork the child sends side by side with threads of its own."""
    driver = driver_for()
    driver.run(sending(ops("a", "b")))
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(MOMENT)
            (received,) = driver.run(sending(ops("a", "b")))
            os._exit(0 if kinds(received) == ["replied", "replied"] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
