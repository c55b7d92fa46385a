"""How sending ends: no threads, a closed store, silence, and a host that raises on the way."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading

import pytest
from fakes import MOMENT, Fake, FakeMany, kinds, ops, sending
from leaks import NAME, USER
from machines import goal_data
from places import SUPPORT
from pynamodb.transactions import TransactWrite

from thrivecalc_models import (
    CommitError,
    ConfigurationError,
    OutcomeUnknownError,
    RetryPolicy,
    SavingsGoal,
    ThrottledError,
    UnavailableError,
    UnitOfWorkStateError,
    data_store,
)
from thrivecalc_models.operations import Emit, FailureKind, Wait
from thrivecalc_models.signals import LOGGER, CommitEvent, RequestEvent, RetryEvent
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing.faults import LoseReply, ServerError, Throttle
from thrivecalc_models.transport import Driver

RETRY = Wait(MOMENT, "UpdateItem", 1, "ThrottlingException")


def pages(names):
    for name in names:
        received = yield ops(name)
        yield Emit(received.results[0].body["Op"], ahead=name != names[-1])


# --- without helpers ------------------------------------------------------------------------------


@pytest.fixture
def no_threads(monkeypatch):
    """No thread can be started, as under a container's limit of them."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.parametrize("kind", [Fake, FakeMany])
def test_without_threads_the_caller_sends(no_threads, kind):
    """Where no thread can be started the caller's thread sends one request after the other."""
    transport = kind()
    driver = Driver(transport, "t")
    with driver.shield() as shield:
        (received,) = driver.run(sending(ops(*"abcdefghijkl")), shield=shield)
    assert kinds(received) == ["replied"] * 12
    assert shield.interrupt is None
    assert transport.sent == list("abcdefghijkl")
    assert transport.threads == {threading.current_thread()}
    driver.close()


def test_without_threads_the_caller_reads_ahead_of_nobody(no_threads):
    """Where no thread can be started an iteration reads each page when it is wanted."""
    transport = Fake()
    driver = Driver(transport, "t")
    assert list(driver.stream(pages("abc"))) == ["a", "b", "c"]
    assert transport.threads == {threading.current_thread()}
    driver.close()


def test_a_page_that_no_helper_has_begun_is_the_callers():
    """Where all helpers are busy the caller reads the next page itself, once."""
    both_busy, release = threading.Barrier(3), threading.Event()
    transport = Fake(
        lambda name: name in "xy" and both_busy.wait(MOMENT) and release.wait(MOMENT) and None
    )
    driver = Driver(transport, "t", max_concurrency=2)
    blocked = threading.Thread(target=lambda: driver.run(sending(ops("x", "y"))))
    blocked.start()
    both_busy.wait(MOMENT)
    assert list(driver.stream(pages("abc"))) == ["a", "b", "c"]
    release.set()
    blocked.join(MOMENT)
    driver.close()
    assert sorted(transport.sent) == ["a", "b", "c", "x", "y"]


AFTER_MAIN = """
import atexit, sys, threading
from fakes import Fake, kinds, ops, sending
from thrivecalc_models.transport import Driver

driver = Driver(Fake(), "t")
driver.run(sending(ops("a", "b")))

def commit(where):
    with driver.shield() as shield:
        (received,) = driver.run(sending(ops("a", "b", "c")), shield=shield)
    print(where, kinds(received), shield.interrupt, flush=True)

def late():
    threading.main_thread().join()
    commit("thread")

atexit.register(commit, "atexit")
threading.Thread(target=late).start()
"""


def test_after_the_main_threads_end():
    """After the main thread's end, and at exit, a commit of several requests is complete."""
    done = subprocess.run(
        [sys.executable, "-c", AFTER_MAIN],
        cwd=SUPPORT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    replied = "['replied', 'replied', 'replied'] None"
    assert done.stdout.splitlines() == [f"thread {replied}", f"atexit {replied}"]
    assert done.stderr == ""


# --- closing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["a", "ab"])
@pytest.mark.parametrize("kind", [Fake, FakeMany])
def test_closing_waits_for_what_is_in_flight(kind, names):
    """close() returns once nothing is in flight; what was in flight has its answer."""
    asked, answer, told = threading.Event(), threading.Event(), []
    transport = kind(lambda name: asked.set() or (answer.wait(MOMENT) and None))
    driver = Driver(transport, "t")
    before = threading.active_count()
    caller = threading.Thread(target=lambda: told.extend(driver.run(sending(ops(*names)))))
    caller.start()
    assert asked.wait(MOMENT)
    closer = threading.Thread(target=driver.close)
    closer.start()
    closer.join(0.02)
    assert closer.is_alive()
    assert transport.closed == 0
    answer.set()
    closer.join(MOMENT)
    caller.join(MOMENT)
    assert transport.closed == 1
    assert "replied" in kinds(told[0])
    assert threading.active_count() == before


def test_a_closed_store_starts_no_new_try():
    """A commit that waits for its next try when the store is closed ends at once, as not sent."""
    transport, told = Fake(), []
    driver = Driver(transport, "t")
    waiting = threading.Event()

    def protocol():
        told.append((yield ops("a")))
        waiting.set()
        told.append((yield RETRY))
        told.append((yield ops("b", "c")))

    def work():
        with driver.shield() as shield:
            driver.run(protocol(), shield=shield)
        told.append(shield.interrupt)

    caller = threading.Thread(target=work)
    caller.start()
    assert waiting.wait(MOMENT)
    driver.close()
    caller.join(MOMENT / 2)
    assert not caller.is_alive()
    assert transport.sent == ["a"]
    assert kinds(told[2]) == [FailureKind.CLOSED] * 2
    assert told[3] is None


@pytest.mark.parametrize("kind", [Fake, FakeMany])
def test_a_store_may_be_closed_from_within(kind):
    """An observer may close the store: what is in flight ends, and nothing waits for itself."""
    transport = kind()
    events = []

    def observer(event):
        events.append(event)
        driver.close()

    driver = Driver(transport, "t", max_concurrency=2, observer=observer)
    (received,) = driver.run(sending(ops(*"abcdefgh")))
    assert 1 <= len(transport.sent) <= 2
    assert kinds(received).count(FailureKind.CLOSED) == 8 - len(transport.sent)
    assert len(events) == len(transport.sent)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_closes_without_waiting_for_its_parent():
    """A child that closes its store does not wait for what its parent has in flight."""
    asked, answer = threading.Event(), threading.Event()
    driver = Driver(Fake(lambda name: asked.set() or (answer.wait(MOMENT) and None)), "t")
    caller = threading.Thread(target=lambda: driver.run(sending(ops("a"))))
    caller.start()
    assert asked.wait(MOMENT)
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(MOMENT)
            driver.close()
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    answer.set()
    caller.join(MOMENT)
    driver.close()


def closing(table, store, number, fault):
    """A schedule: during the request of this number the store is closed, and meets the fault."""

    def schedule(now, operation, request):
        if now != number:
            return None
        store.close()
        return fault

    table.faults = schedule


@pytest.mark.parametrize(("applied", "stored"), [(True, 1), (False, 0)])
@pytest.mark.parametrize("method", ["add", "put"])
def test_a_write_whose_store_is_closed_is_unknown(table, method, applied, stored):
    """A single write whose reply is lost while its store is closed is unknown, not unapplied."""
    store = simulated_store(table)
    closing(table, store, 1, LoseReply(applied=applied))
    with pytest.raises(OutcomeUnknownError) as caught:
        getattr(store.user(USER), method)(goal_data(), record_id="g")
    assert caught.value.outcome == "unknown"
    assert caught.value.record.record_id == "g"
    assert len(table.items) == stored
    assert table.sent() == 1


def test_a_write_that_its_closed_store_did_not_send_again(table):
    """A write that was throttled, and not sent again since its store is closed, is not applied."""
    store = simulated_store(table)
    closing(table, store, 1, Throttle())
    with pytest.raises(ConfigurationError, match="closed") as caught:
        store.user(USER).add(goal_data())
    assert caught.value.outcome == "not applied"
    assert table.sent() == 1


def test_a_unit_whose_store_is_closed_between_its_parts(table):
    """A second commit keeps its account where the store is closed after its unknown part."""
    store = simulated_store(table, retry=RetryPolicy(attempts=1))
    work = store.user(USER).unit_of_work()
    first = work.add(goal_data(), record_id="first")
    table.fail_next(LoseReply(applied=True))
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert caught.value.unknown == [first.record_key]
    first.data.current_amount = 20
    closing(table, store, 2, None)
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert caught.value.applied == []
    assert caught.value.not_applied == [first.record_key]
    assert isinstance(caught.value.causes[first.record_key], ConfigurationError)
    assert table.sent() == 2


def test_a_closed_store_is_refused_before_the_first_request(table):
    """Whether the store is open is asked before the first request, and then an error of its own."""
    store = simulated_store(table)
    user = store.user(USER)
    work = user.unit_of_work()
    work.add(goal_data())
    store.close()
    for call in (work.commit, lambda: user.add(goal_data()), user.delete_all, user.list_all):
        with pytest.raises(ConfigurationError, match="closed"):
            call()
    assert table.sent() == 0
    work.rollback()


# --- silence --------------------------------------------------------------------------------------


@pytest.fixture
def silent():
    """A table that takes ten seconds over each request."""
    return SimulatedTable(latency=10.0)


def test_nothing_is_started_after_the_deadline(silent):
    """Where nothing answers, a commit starts no write after its deadline; those are not applied."""
    user = simulated_store(silent).user(USER)
    work = user.unit_of_work()
    goals = [work.add(goal_data(), record_id=f"g{n}") for n in range(200)]
    silent.fail_always(LoseReply(applied=True))
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert silent.sent() == 3  # at 0, 10 and 20 seconds
    assert caught.value.unknown == [goal.record_key for goal in goals[:3]]
    assert caught.value.not_applied == [goal.record_key for goal in goals[3:]]
    assert silent.monotonic() <= 30.0


def test_a_reading_keeps_its_deadline(silent):
    """Where nothing answers, a reading of many keys ends with its deadline."""
    user = simulated_store(silent).user(USER)
    silent.fail_always(LoseReply(applied=False))
    with pytest.raises(UnavailableError):
        user.get_many([(SavingsGoal, f"g{n}") for n in range(10_000)])
    assert silent.sent() == 3


def test_a_reading_is_whole_after_a_silence(silent):
    """What a silence kept from being asked for is asked for afterwards: no reading is short."""
    user = simulated_store(silent).user(USER)
    stored = [user.put(goal_data(), record_id=f"g{n}") for n in range(0, 1000, 99)]
    asked = silent.sent()
    silent.faults = {asked + n: LoseReply(applied=False) for n in (2, 3, 4)}
    found = user.get_many([(SavingsGoal, f"g{n}") for n in range(1000)])
    assert [each.record_id for each in found if each] == [each.record_id for each in stored]


@pytest.mark.parametrize("attempts", [1, 2000])
def test_silence_ends_whatever_the_number_of_tries(silent, attempts):
    """With one try as with two thousand, a commit that meets silence ends with its account."""
    user = simulated_store(silent, retry=RetryPolicy(attempts=attempts)).user(USER)
    work = user.unit_of_work()
    for n in range(10):
        work.add(goal_data(), record_id=f"g{n}")
    silent.fail_always(LoseReply(applied=False))
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert len(caught.value.unknown) == 3
    assert len(caught.value.not_applied) == 7


@pytest.mark.parametrize("fault", [None, ServerError(status=500)])
def test_answers_keep_a_commit_going(silent, fault):
    """A deadline is one without an answer: while the service says anything, all is sent."""
    user = simulated_store(silent, retry=RetryPolicy(attempts=1)).user(USER)
    work = user.unit_of_work()
    for n in range(30):
        work.add(goal_data(), record_id=f"g{n}")
    if fault is None:
        assert len(work.commit().applied) == 30
    else:
        silent.fail_always(fault)
        with pytest.raises(CommitError) as caught:
            work.commit()
        assert len(caught.value.unknown) == 30
    assert silent.sent() == 30


def test_two_thousand_tries(table):
    """A policy of two thousand tries ends with an outcome, however often it failed."""
    retry = RetryPolicy(attempts=2000, deadline=1e9, ceiling=0.01)
    user = simulated_store(table, retry=retry).user(USER)
    table.fail_always(LoseReply(applied=False))
    with pytest.raises(OutcomeUnknownError):
        user.add(goal_data())
    assert table.sent() == 2000


# --- every retry is seen --------------------------------------------------------------------------


def save(store, goal):
    goal.data.current_amount += 5
    goal.save()


def batch_write(store, goal):
    with SavingsGoal.batch_write() as batch:
        batch.save(goal)
        batch.save(SavingsGoal(USER, data=goal_data()))


def transact_write(store, goal):
    with TransactWrite(connection=goal._get_connection().connection) as transaction:
        transaction.delete(goal)


CALLS = {
    "PutItem": [
        lambda store, goal: store.user(USER).add(goal_data()),
        lambda store, goal: SavingsGoal(USER, data=goal_data()).save(),
        save,
    ],
    "UpdateItem": [
        lambda store, goal: goal.update(actions=[SavingsGoal.ttl.set(goal.created_at)]),
        lambda store, goal: store.user(USER).replace_data(
            SavingsGoal, "g", {"name": NAME, "targetAmount": 5}
        ),
    ],
    "DeleteItem": [
        lambda store, goal: goal.delete(),
        lambda store, goal: store.user(USER).delete(goal),
    ],
    "BatchWriteItem": [
        batch_write,
        lambda store, goal: store.user(USER).delete_all(),
    ],
    "TransactWriteItems": [
        transact_write,
        lambda store, goal: store.user(USER).run(lambda work: work.add(goal_data())),
    ],
    "GetItem": [
        lambda store, goal: goal.refresh(),
        lambda store, goal: SavingsGoal.get(USER, goal.record_key),
    ],
    "BatchGetItem": [
        lambda store, goal: list(SavingsGoal.batch_get([(USER, goal.record_key)])),
        lambda store, goal: store.user(USER).get_many([(SavingsGoal, "g"), (SavingsGoal, "h")]),
    ],
    "Query": [
        lambda store, goal: list(SavingsGoal.query(USER)),
        lambda store, goal: SavingsGoal.count(USER),
        lambda store, goal: store.user(USER).list_all(),
    ],
    "Scan": [lambda store, goal: list(SavingsGoal.scan())],
}


@pytest.mark.parametrize(
    ("operation", "call"), [(name, call) for name, calls in CALLS.items() for call in calls]
)
def test_every_retry_is_seen(table, caplog, operation, call):
    """Whatever sends reports its retries: one event and one line for each throttled try."""
    events = []
    store = simulated_store(table, observer=events.append)
    data_store.configure(store)
    goal = store.user(USER).add(goal_data(), record_id="g")
    store.user(USER).add(goal_data(), record_id="h")
    events.clear()
    table.fail_next(Throttle(), operation)
    try:
        with caplog.at_level(logging.INFO, logger="thrivecalc_models"):
            call(store, goal)
    finally:
        data_store.configure(None)
    retries = [event for event in events if isinstance(event, RetryEvent)]
    assert [(event.operation, event.attempt) for event in retries] == [(operation, 1)]
    assert "Throttling" in retries[0].code or "Throughput" in retries[0].code
    assert f"{operation} failed at try 1" in caplog.text


# --- what the host raises -------------------------------------------------------------------------


class Sabotage(BaseException):
    """What is no Exception, as a test runner's or a worker's own way to end."""


@pytest.fixture
def bad_filter():
    class Bad(logging.Filter):
        def filter(self, record):
            raise LookupError(NAME)

    bad = Bad()
    level = LOGGER.level
    LOGGER.addFilter(bad)
    LOGGER.setLevel(logging.DEBUG)
    yield
    LOGGER.removeFilter(bad)
    LOGGER.setLevel(level)


def test_logging_that_raises_changes_nothing(table, bad_filter):
    """A logging filter that raises, at a retry and at the end, leaves commit and account alone."""
    user = simulated_store(table, retry=RetryPolicy(attempts=3)).user(USER)
    work = user.unit_of_work()
    for _ in range(30):
        work.add(goal_data())
    table.fail_next(Throttle())
    assert len(work.commit().applied) == 30
    work.add(goal_data())
    table.fail_always(Throttle())
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert len(caught.value.not_applied) == 1
    work.rollback()


def test_a_reading_that_is_given_up_is_told_as_such(table, bad_filter):
    """A logging filter that raises does not take the place of the error of a reading."""
    user = simulated_store(table, retry=RetryPolicy(attempts=2)).user(USER)
    table.fail_always(Throttle())
    with pytest.raises(ThrottledError):
        user.list_all()


@pytest.mark.parametrize("at", [RequestEvent, RetryEvent, CommitEvent])
def test_an_observer_that_raises_an_exception_changes_nothing(table, at):
    """An Exception of an observer, at a request, a retry or the end, changes nothing."""

    def observer(event):
        if isinstance(event, at):
            raise LookupError(NAME)

    work = simulated_store(table, observer=observer).user(USER).unit_of_work()
    for n in range(61):
        work.add(goal_data(), record_id=f"g{n}")
    table.fail_next(Throttle())
    assert len(work.commit().applied) == 61


@pytest.mark.parametrize("kind", [Fake, FakeMany])
def test_what_is_in_flight_beside_a_raising_observer_is_known(kind):
    """Where an observer raises at one request, those in flight beside it have their answers."""
    events = []

    def observer(event):
        events.append(event)
        if len(events) == 1:
            raise Sabotage

    transport = kind()
    driver = Driver(transport, "t", max_concurrency=4, observer=observer)
    with driver.shield() as shield:
        (received,) = driver.run(sending(ops(*"abcdefghijkl")), shield=shield)
    assert isinstance(shield.interrupt, Sabotage)
    assert kinds(received).count("replied") == len(transport.sent)
    assert kinds(received).count(FailureKind.NOT_STARTED) == 12 - len(transport.sent)
    driver.close()


def test_a_unit_is_closed_though_an_observer_raised(table):
    """A block whose commit is complete is closed, whatever an observer of its end raises."""

    def observer(event):
        if isinstance(event, CommitEvent):
            raise Sabotage

    work = simulated_store(table, observer=observer).user(USER).unit_of_work()
    with pytest.raises(Sabotage), work:
        work.add(goal_data())
    with pytest.raises(UnitOfWorkStateError, match="closed"):
        work.list_all()


def test_a_clock_that_raises_between_two_parts(table):
    """What a host's clock raises in the middle of a commit leaves the account of the first part."""
    ticks = []

    def clock():
        ticks.append(None)
        if len(ticks) == broken:
            raise LookupError("no time")
        return table.clock()

    broken = None
    store = simulated_store(table, retry=RetryPolicy(attempts=1), clock=clock)
    work = store.user(USER).unit_of_work()
    first = work.add(goal_data(), record_id="first")
    table.fail_next(LoseReply(applied=True))
    with pytest.raises(CommitError):
        work.commit()
    first.data.current_amount = 20
    ticks.clear()
    broken = 2  # the second time that this commit encodes what is pending
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.not_applied == [first.record_key]
    work.commit()
    assert len(work.plan()) == 0


@pytest.mark.parametrize("at", [RequestEvent, RetryEvent, CommitEvent])
def test_what_an_observer_raises_comes_out_after_the_account(table, at):
    """A BaseException of an observer comes out with the CommitError as cause, or none if all is."""
    seen = []

    def observer(event):
        if isinstance(event, at):
            seen.append(event)
            if len(seen) == 1:
                raise Sabotage

    work = simulated_store(table, observer=observer).user(USER).unit_of_work()
    goals = [work.add(goal_data(), record_id=f"g{n}") for n in range(61)]
    table.fail_next(Throttle())
    with pytest.raises(Sabotage) as caught:
        work.commit()
    account = caught.value.__cause__
    stored = {key for _, key in table.items}
    if at is CommitEvent:
        assert account is None
        assert len(stored) == 61
        assert len(work.plan()) == 0
    else:
        assert isinstance(account, CommitError)
        assert set(account.applied) == stored
        assert set(account.applied) | set(account.not_applied) == {g.record_key for g in goals}
        assert not account.unknown
        assert len(work.commit().applied) == 61 - len(stored)
    assert len(table.items) == 61
