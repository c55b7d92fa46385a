"""Threads, forks and Ctrl-C: one store among many threads, none across processes, and an honest
account whenever a commit is cut short."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from proxy import FaultyProxy, Slow, always, make_certificates

from thrivecalc_models import (
    CommitError,
    DataStore,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    UnitOfWorkStateError,
)

COUNTER = itertools.count()
FULL = os.environ.get("CI") == "true"
THREADS = 16
on_dynoxide = pytest.mark.parametrize("engine", ["dynoxide"], indirect=True)


@pytest.fixture(scope="module")
def store(engine: Any) -> Iterator[DataStore]:
    with DataStore(endpoint=engine.endpoint, region=engine.region, table_name="processes") as store:
        store.create_table()
        yield store


def new_user_id() -> str:
    return f"process|{next(COUNTER)}"


def goal(target: int = 1) -> SavingsGoalData:
    return SavingsGoalData(name=f"Goal {target}", target_amount=target)


@pytest.mark.not_on("moto", reason="checks a condition and then writes, with no lock")
def test_ten_threads_add_one_each(store: DataStore) -> None:
    """Ten threads that add one to the same goal by `run` all come through, and none is lost."""
    user = store.user(new_user_id())
    user.add(goal(), record_id="g")

    def add_one(work: Any) -> None:
        work.get(SavingsGoal, "g").data.current_amount += 1

    with ThreadPoolExecutor(10) as pool:
        for done in [pool.submit(user.run, add_one) for _ in range(10)]:
            done.result(60)
    record = user.get(SavingsGoal, "g", consistent=True)
    assert record is not None
    assert record.data.current_amount == 10


def sockets() -> int:
    names = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(name) and "socket:" in os.readlink(name) for name in names)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="sockets are counted in /proc")
@pytest.mark.parametrize("transport", ["direct", "botocore"])
def test_a_service_that_never_answers(transport: str) -> None:
    """Against silence a commit keeps its deadline; closing leaves neither threads nor sockets."""
    accepted: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted.append(listener.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        before = threading.active_count(), sockets()
        store = DataStore(
            endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}",
            transport=transport,
            timeout=0.1,
            retry=RetryPolicy(deadline=0.15),
        )
        work = store.user(new_user_id()).unit_of_work()
        keys = [work.add(goal(), record_id=str(number)).record_key for number in range(100)]
        with pytest.raises(CommitError) as caught:
            work.commit()
        store.close()
        assert (threading.active_count(), sockets() - len(accepted)) == before
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(60)
    for connection in accepted:
        connection.close()
    assert caught.value.unknown == keys[: len(caught.value.unknown)]
    assert caught.value.not_applied == keys[len(caught.value.unknown) :]
    assert 1 <= len(caught.value.unknown) <= 16  # two waves of eight begin within the deadline


def run_script(script: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Python in a process of its own: what forks or is interrupted there is not this one."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | options,
    )


# Threads


def test_sixteen_threads(store: DataStore) -> None:
    """Sixteen threads on one store, each at another user's records, get nobody else's."""

    def work_for(number: int) -> None:
        user = store.user(f"{user_id}|{number}")
        for turn in range(2):
            added = [user.add(goal(number), record_id=f"{turn}-{n}") for n in range(2)]
            added[0].data.current_amount += 1
            user.update(added[0])
            with user.unit_of_work() as work:
                for _ in range(26):
                    work.add(goal(number))
            listed = user.list(SavingsGoal)
            assert len(listed) == 28 * (turn + 1)
            assert {record.data.target_amount for record in listed} == {number}
            assert {record.user_id for record in listed} == {user.user_id}
            keys = [(SavingsGoal, record.record_id) for record in listed]
            found = user.get_many(keys)
            assert [r and r.record_key for r in found] == [r.record_key for r in listed]
            assert user.get(SavingsGoal, f"{turn}-0").version == added[0].version  # type: ignore[union-attr]

    user_id = new_user_id()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work_for, range(THREADS)))


@pytest.mark.not_on("moto", reason="checks a condition and then writes, with no lock")
def test_sixteen_threads_on_one_record(store: DataStore) -> None:
    """Of sixteen threads that all add to one amount, none loses its part."""
    user = store.user(new_user_id())
    user.add(goal(), record_id="one")

    def deposit(work: Any) -> None:
        work.get(SavingsGoal, "one").data.current_amount += 1

    with ThreadPoolExecutor(THREADS) as pool:
        runs = [pool.submit(user.run, deposit, attempts=1000, atomic=False) for _ in range(48)]
        for run in runs:
            run.result()
    assert user.get(SavingsGoal, "one").data.current_amount == 48  # type: ignore[union-attr]


@pytest.mark.not_on("moto", reason="checks a condition and then writes, with no lock")
def test_one_of_sixteen_creates(store: DataStore) -> None:
    """Of sixteen threads that add under one id, exactly one is told that it did."""
    user = store.user(new_user_id())
    barrier = threading.Barrier(THREADS)

    def add(number: int) -> bool:
        work = user.unit_of_work()
        work.add(goal(number), record_id="one")
        barrier.wait(30)
        try:
            work.commit()
        except CommitError:
            return False
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        told = list(pool.map(add, range(THREADS)))
    assert sum(told) == 1
    assert user.get(SavingsGoal, "one").data.target_amount == told.index(True)  # type: ignore[union-attr]


@on_dynoxide
def test_two_threads_in_one_unit(engine: Any, store: DataStore) -> None:
    """A unit in use by one thread refuses another, whatever it calls, and goes on unharmed; when
    nobody is inside any thread may use it."""
    inside, go_on = threading.Event(), threading.Event()

    def slow_id() -> str:
        inside.set()
        assert go_on.wait(30)
        return "slow"

    with DataStore(
        endpoint=engine.endpoint,
        region=engine.region,
        table_name=store.table_name,
        new_id=slow_id,
    ) as slow:
        work = slow.user(new_user_id()).unit_of_work()
        busy = threading.Thread(target=work.add, args=(goal(),))
        busy.start()
        assert inside.wait(30)
        calls = [
            lambda: work.get(SavingsGoal, "a"),
            lambda: work.get_many([]),
            lambda: work.list(SavingsGoal),
            work.list_all,
            lambda: work.add(goal(), record_id="a"),
            lambda: work.put(goal(), record_id="a"),
            lambda: work.delete(SavingsGoal, "a"),
            work.plan,
            work.commit,
            work.rollback,
            work.close,
        ]
        for call in calls:
            with pytest.raises(UnitOfWorkStateError, match="thread"):
                call()
        go_on.set()
        busy.join(30)
        assert work.commit().applied == ["savings-goal#slow"]  # from this thread now


# Nothing travels to another process


@on_dynoxide
def test_nothing_can_be_pickled(store: DataStore) -> None:
    """Store, user, unit, records and pages refuse to be pickled or copied."""
    user = store.user(new_user_id())
    record = user.add(goal(), record_id="one")
    unknown = user.add("strange", {"x": 1})
    work = user.unit_of_work()
    listed = work.list(SavingsGoal)
    things = [
        store,
        user,
        work,
        record,
        unknown,
        listed,
        user.page(),
        user.iterate(),
        SavingsGoal(user.user_id, data=goal()),
    ]
    for thing in things:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(thing, protocol)
        with pytest.raises(TypeError):
            copy.deepcopy(thing)


# Forks

FORKS = """
    import os, random, signal, sys, threading, time
    from thrivecalc_models import DataStore, SavingsGoal, ThriveCalcError

    endpoint, table, user_id, reads = sys.argv[1:4] + [int(sys.argv[4])]
    RECORDS, THREADS = 100, 2

    store = DataStore(endpoint=endpoint, table_name=table)
    user = store.user(user_id)
    wrong = []

    def check(record, number):
        if number >= RECORDS:
            right = record is None
        else:
            right = record is not None and record.data.target_amount == number
        if not right:
            wrong.append((number, record))

    def read_some(rng):
        # One after the other, and several requests at the same time, through the helpers.
        for _ in range(10):
            number = rng.randrange(RECORDS)
            check(user.get(SavingsGoal, str(number)), number)
        numbers = rng.sample(range(RECORDS), 40) + list(range(RECORDS, RECORDS + 261))
        rng.shuffle(numbers)
        keys = [(SavingsGoal, str(number)) for number in numbers]
        for number, record in zip(numbers, user.get_many(keys), strict=True):
            check(record, number)

    def read(seed, start_at):
        rng = random.Random(seed)
        time.sleep(max(0, start_at - time.monotonic()))
        try:
            for _ in range(reads // THREADS // 50):
                read_some(rng)
        except ThriveCalcError as error:
            wrong.append((seed, repr(error)))

    def start_reading(label, start_at):
        threads = [
            threading.Thread(target=read, args=(f"{label} {number}", start_at))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        return threads

    # More connections are open than the parent needs, and requests are in flight when it forks.
    user.get_many([(SavingsGoal, str(number)) for number in range(800)])
    # All begin at the same moment, when a connection that they shared would get all their requests.
    start_at = time.monotonic() + 0.5
    busy = start_reading("parent", start_at - 0.49)
    children = []
    for number in range(3):
        child = os.fork()
        if child == 0:
            wrong.clear()
            signal.alarm(60)  # a child that hangs is a failure, too
            for thread in start_reading(f"child {number}", start_at):
                thread.join()
            store.close()
            if wrong:
                print("child", len(wrong), wrong[:3], file=sys.stderr)
            sys.stderr.flush()
            os._exit(bool(wrong))
        children.append(child)
    for thread in busy:
        thread.join()
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    check(user.get(SavingsGoal, "1"), 1)  # what the children closed was theirs
    store.close()
    if wrong:
        print("parent", len(wrong), wrong[:3], file=sys.stderr)
    print(len(wrong), *statuses)
"""


@on_dynoxide
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_forks(engine: Any, store: DataStore, scheme: str, tmp_path: Path) -> None:
    """After a fork with connections open and requests in flight, parent and children read their own
    replies: not one wrong record in 10,000 reads (in CI, fewer otherwise)."""
    user = store.user(new_user_id())
    with user.unit_of_work() as work:
        for number in range(100):
            work.put(goal(number), record_id=str(number))
    authority, certificate = make_certificates(tmp_path)
    options = {"AWS_CA_BUNDLE": authority} if scheme == "https" else {}
    with FaultyProxy(
        engine.endpoint, certificate=certificate if scheme == "https" else None
    ) as proxy:
        assert proxy.endpoint.startswith(f"{scheme}://")
        proxy.schedule = always(Slow(0.003))  # so that replies are waited for while others ask
        reads = 2500 if FULL else 500  # in each of four processes
        process = run_script(
            FORKS, proxy.endpoint, store.table_name, user.user_id, str(reads), **options
        )
        output, _ = process.communicate(timeout=180)
        sent = proxy.sent()
    assert process.returncode == 0
    assert output.split() == ["0"] * 4
    # 10 GetItem and 4 BatchGetItem for every 50 reads, and none of them had to be sent again.
    assert sent == 8 + 4 * reads // 50 * 14 + 1


FORKED_STAMPS = """
    import os, sys
    from thrivecalc_models import DataStore, data_store, read_item

    item = {
        "userId": {"S": "u"},
        "recordKey": {"S": "savings-goal#g"},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": "g"},
        "createdAt": {"S": "2099-01-01T00:00:00.000Z"},
        "updatedAt": {"S": "2099-01-01T00:00:00.000Z"},
        "data": {"M": {"name": {"S": "n"}, "targetAmount": {"N": "1"}}},
    }
    data_store.configure(DataStore(endpoint="http://127.0.0.1:9"))
    goal = read_item(item)
    for _ in range(3):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            sent = [goal.get_save_kwargs_from_instance() for _ in range(20)]
            print(*[each["Item"]["updatedAt"]["S"] for each in sent], flush=True)
            os._exit(0)
        os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_children_of_one_process_draw_stamps_of_their_own() -> None:
    """A fork copies no random source: workers of one parent rarely write the same stamp."""
    process = run_script(FORKED_STAMPS)
    output, _ = process.communicate(timeout=60)
    drawn = output.splitlines()
    assert len(set(drawn)) == len(drawn) == 3
    assert all(len(set(line.split())) > 1 for line in drawn)


FORK_IN_AN_IMPORT = """
    import os, signal, sys, threading

    begun, forking = threading.Event(), threading.Event()

    class Slow:
        # The first import of pycurl takes until the process forks, and a little longer.
        def find_spec(self, name, path=None, target=None):
            if name == "pycurl" and not begun.is_set():
                begun.set()
                forking.wait(20)
                threading.Event().wait(0.2)

    sys.meta_path.insert(0, Slow())
    from thrivecalc_models import DataStore, RetryPolicy, SavingsGoal, ThriveCalcError, data_store

    def ask():
        try:
            if sys.argv[1] == "a store":
                store.user("google-oauth2|1").get(SavingsGoal, "1")
            else:
                data_store.get_user_data("google-oauth2|1", SavingsGoal, "1")
        except ThriveCalcError:
            pass  # nobody is there

    store = DataStore(retry=RetryPolicy(attempts=1))
    asking = threading.Thread(target=ask)
    asking.start()
    while asking.is_alive() and not begun.wait(0.05):
        pass
    forking.set()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        ask()
        os._exit(0)
    asking.join()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("who", ["a store", "data_store"])
def test_a_fork_during_the_first_request(who: str) -> None:
    """A child of a process whose first request was on its way at the fork can send requests."""
    process = run_script(FORK_IN_AN_IMPORT, who, AWS_ENDPOINT="http://127.0.0.1:1")
    output, _ = process.communicate(timeout=60)
    assert output.split() == ["0"]


@on_dynoxide
def test_an_unknown_authority(
    engine: Any, store: DataStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate is checked: without the authority that signed it nothing is sent, with it all
    is well."""
    authority, certificate = make_certificates(tmp_path)
    user_id = new_user_id()
    with FaultyProxy(engine.endpoint, certificate=certificate) as proxy:

        def behind() -> DataStore:
            return DataStore(
                endpoint=proxy.endpoint, region=engine.region, table_name=store.table_name
            )

        with behind() as strict, pytest.raises(Exception, match="SSL"):
            strict.user(user_id).add(goal())
        assert proxy.requests == []
        monkeypatch.setenv("AWS_CA_BUNDLE", authority)
        with behind() as trusting:
            trusting.user(user_id).add(goal())
    assert len(store.user(user_id).list(SavingsGoal)) == 1


# Ctrl-C

INTERRUPTED = """
    import json, sys, time
    from thrivecalc_models import CommitError, DataStore, SavingsGoalData

    endpoint, table = sys.argv[1:]
    store = DataStore(endpoint=endpoint, table_name=table)

    def tell(**facts):
        print(json.dumps(facts), flush=True)

    def one_round(user_id):
        work = store.user(user_id).unit_of_work()
        keys = [
            work.add(SavingsGoalData(name="x", target_amount=n)).record_key for n in range(1000)
        ]
        done, cause = False, None
        try:
            tell(keys=keys)
            work.commit()
            done = True
            tell(committed=True)
            for _ in range(3000):  # the interrupt comes here at the latest; one that comes just
                time.sleep(0.01)   # before a blocking read would not be noticed until its end
            raise SystemExit("no interrupt came")
        except KeyboardInterrupt as error:
            cause = error.__cause__
        lists = None
        if cause is not None:
            assert isinstance(cause, CommitError)
            lists = [cause.applied, cause.existing, cause.not_applied, cause.unknown]
            cause = None  # its traceback would keep this unit until some later round
        tell(interrupted=True, done=done, lists=lists)
        sys.stdin.readline()
        if not done:
            work.commit()
        tell(finished=True)

    for line in sys.stdin:
        one_round(line.strip())
    store.close()
"""


@on_dynoxide
def test_ctrl_c(engine: Any, store: DataStore) -> None:
    """Ctrl-C at any moment of a commit of 1,000 records passes through with an account that agrees
    with the table, and a second commit writes exactly the rest."""
    rng = random.Random()
    process = run_script(INTERRUPTED, engine.endpoint, store.table_name)
    assert process.stdin is not None
    assert process.stdout is not None

    def say(text: str) -> None:
        assert process.stdin is not None
        print(text, file=process.stdin, flush=True)

    def hear() -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the process has ended"
        told: dict[str, Any] = json.loads(line)
        return told

    def stored(user_id: str) -> set[str]:
        return {record.record_key for record in store.user(user_id).list_all(consistent=True)}

    cut_short = 0
    duration = 0.5  # seconds that a commit takes here, learned from those that came to their end
    try:
        for _ in range(100 if FULL else 10):
            user_id = new_user_id()
            say(user_id)
            keys = set(hear()["keys"])
            began = time.monotonic()
            time.sleep(rng.uniform(0, duration))
            process.send_signal(signal.SIGINT)
            told = hear()
            if told.get("committed"):
                duration = max(0.02, 0.8 * duration)
                told = hear()
            else:
                duration = max(duration, time.monotonic() - began)
            assert told["interrupted"]
            there = stored(user_id)
            if told["lists"] is None:  # it came before the first request or after the last
                assert there == (keys if told["done"] or there else set())
            else:
                applied, existing, not_applied, unknown = told["lists"]
                reported = [*applied, *not_applied, *unknown]
                assert existing == []
                assert len(reported) == len(set(reported))
                assert set(reported) == keys
                assert set(applied) <= there
                assert not set(not_applied) & there
                assert there <= keys
                cut_short += bool(not_applied and applied)
            say("finish")
            assert hear() == {"finished": True}
            assert stored(user_id) == keys
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(30)
    assert process.returncode == 0
    assert cut_short  # some of them did hit the middle
