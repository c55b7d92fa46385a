"""A transport of one's own: handed to a store, it carries everything that the store sends."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading

import pytest
from simulated import configured

from thrivecalc_models import (
    CommitError,
    ConfigurationError,
    DataStore,
    OutcomeUnknownError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ThrottledError,
)
from thrivecalc_models.errors import ServiceError
from thrivecalc_models.testing import SimulatedTable
from thrivecalc_models.transport import (
    AsyncTransport,
    Failure,
    FailureKind,
    Transport,
    classify,
    make_transport,
)

USER = "google-oauth2|1"
GOAL = SavingsGoalData(name="Car", target_amount=20_000)
ONCE = RetryPolicy(attempts=1)


class Recorder(Transport):
    """Notes every operation, and passes it on."""

    name = "recorder"

    def __init__(self, inner):
        self.inner, self.seen, self.closed = inner, [], 0

    def send(self, operation, body):
        assert json.loads(body)
        self.seen.append(operation)
        return self.inner.send(operation, body)

    def close(self):
        self.closed += 1
        self.inner.close()


class OneItemAKey(Transport):
    """A table in memory that can put and get."""

    name = "memory"

    def __init__(self):
        self.items = {}

    def send(self, operation, body):
        request = json.loads(body)
        if operation == "PutItem":
            self.items[request["Item"]["recordKey"]["S"]] = request["Item"]
            return b'{"ConsumedCapacity": null}'
        item = self.items.get(request["Key"]["recordKey"]["S"])
        return json.dumps({"Item": item, "ConsumedCapacity": None}).encode()


class Answers(Transport):
    """Gives every request the same answer, or raises it."""

    def __init__(self, answer):
        self.answer = answer

    def send(self, operation, body):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def test_a_recorder_around_botocores():
    """What a wrapper of botocore's transport sees is all that the store sends, PynamoDB's too."""
    with DataStore.local() as local:
        recorder = Recorder(make_transport("botocore", local.settings))
        with DataStore(endpoint=local.endpoint, transport=recorder) as store:
            user = store.user(USER)
            goal = user.add(GOAL)
            assert user.get(SavingsGoal, goal.record_id).data == GOAL
            goal.data.current_amount += 1
            goal.save()
            goal.refresh()
            goal.update(actions=[SavingsGoal.ttl.remove()])
            goal.delete()
            with user.unit_of_work() as work:
                for _ in range(3):
                    work.add(GOAL)
            assert store.transport == "recorder: as asked for"
        assert recorder.closed == 1
    assert recorder.seen == [
        *("PutItem", "GetItem", "PutItem", "GetItem", "UpdateItem", "DeleteItem"),
        "BatchWriteItem",
    ]


def test_a_table_in_memory():
    """A transport of ten lines is a table: nothing else is asked, no network and no credentials."""
    with DataStore(transport=OneItemAKey()) as store:
        goal = store.user(USER).add(GOAL)
        assert store.user(USER).get(SavingsGoal, goal.record_id).data == GOAL
        assert store.user(USER).get(SavingsGoal, "another") is None


def test_the_simulated_table_is_one():
    """The simulated table goes in by the same door."""
    table = SimulatedTable()
    with DataStore(transport=table, clock=table.clock) as store:
        goal = store.user(USER).add(GOAL)
        with store.user(USER).unit_of_work() as work:
            work.get(SavingsGoal, goal.record_id).data.current_amount = 5
    assert [entry.operation for entry in table.log] == ["PutItem", "GetItem", "UpdateItem"]


def test_class_methods_of_models_travel_it_too():
    """What PynamoDB's class methods send goes by the transport of the store they belong to."""
    table = SimulatedTable()
    with DataStore(transport=table) as store:
        goal = store.user(USER).add(GOAL)
        with configured(store):
            assert SavingsGoal.get(USER, goal.record_key).data == GOAL
            assert SavingsGoal.count(USER) == 1
            assert [each.record_id for each in SavingsGoal.scan()] == [goal.record_id]
    assert [entry.operation for entry in table.log] == ["PutItem", "GetItem", "Query", "Scan"]


def test_an_object_that_only_sends():
    """What has `send` alone is enough, and is not closed."""

    class Sends:
        send = OneItemAKey().send

    with DataStore(transport=Sends()) as store:
        store.user(USER).add(GOAL)
        assert store.transport == "Sends: as asked for"


@pytest.mark.parametrize("given", [object(), None, 5, SimulatedTable])
def test_what_cannot_send_is_refused(given):
    """An object without `send`, or a class instead of an object, is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match=r"Transport"):
        DataStore(transport=given)


def test_what_send_raises_leaves_the_write_unknown():
    """An exception of a transport says nothing about the write, which is then unknown."""
    broken = RuntimeError("broken")
    with DataStore(transport=Answers(broken), retry=ONCE) as store:
        with pytest.raises(OutcomeUnknownError) as unknown:
            store.user(USER).add(GOAL)
        assert unknown.value.outcome == "unknown"
        work = store.user(USER).unit_of_work()
        records = [work.add(GOAL) for _ in range(2)]
        with pytest.raises(CommitError) as failed:
            work.commit()
        assert failed.value.__cause__ is broken
        assert len(failed.value.unknown) == len(records)
        with pytest.raises(RuntimeError, match="broken"):
            store.user(USER).get(SavingsGoal, "x")


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{", b"{}", b'{"ConsumedCapacity": NaN}', None, {"Item": {}}, "text"]
)
def test_what_is_no_reply_is_a_lost_one(answer):
    """Bytes without the JSON that was asked for, or no bytes at all, leave a write unknown."""
    with DataStore(transport=Answers(answer), retry=ONCE) as store:
        with pytest.raises(OutcomeUnknownError):
            store.user(USER).add(GOAL)
        with pytest.raises(ServiceError):
            store.user(USER).get(SavingsGoal, "x")


def test_a_failure_says_what_may_have_happened():
    """A Failure that a transport returns becomes the error of its kind."""
    throttled = Failure(kind=FailureKind.THROTTLED, code="Slow", again=True)
    store = DataStore(transport=Answers(throttled), retry=ONCE)
    with store, pytest.raises(ThrottledError):
        store.user(USER).add(GOAL)


@pytest.mark.parametrize(
    ("status", "body", "kind", "maybe"),
    [
        (400, b'{"__type": "x#ConditionalCheckFailedException"}', "CONDITION_FAILED", False),
        (400, b'{"__type": "x#ThrottlingException"}', "THROTTLED", False),
        (400, b'{"__type": "x#ResourceNotFoundException"}', "NO_TABLE", False),
        (500, b"<html>", "UNAVAILABLE", True),
        (400, b"<html>", "UNAVAILABLE", True),
    ],
)
def test_error_replies_are_classified(status, body, kind, maybe):
    """`classify` reads an error reply of the service as the library's own transports do."""
    failure = classify(status, body)
    assert (failure.kind, failure.applied_maybe) == (FailureKind[kind], maybe)


def test_several_threads_may_send():
    """Threads that share a store call its transport at the same time."""
    together = threading.Barrier(2)

    class Waiting(OneItemAKey):
        def send(self, operation, body):
            together.wait(10)
            return super().send(operation, body)

    with DataStore(transport=Waiting()) as store:
        other = threading.Thread(target=lambda: store.user(USER).get(SavingsGoal, "a"))
        other.start()
        assert store.user(USER).get(SavingsGoal, "b") is None
        other.join()


@pytest.mark.parametrize("observer", [None, lambda event: None, lambda event: 1 / 0])
def test_an_observer_changes_no_path(observer):
    """The same requests go the same way without an observer, with one, and with one that fails."""
    seen = []

    class Several(Transport):
        name = "several"

        def __init__(self):
            self.table = SimulatedTable()

        def send(self, operation, body):
            seen.append(("send", operation))
            return self.table.send(operation, body)

        def send_many(self, requests, limit):
            assert limit() == 8
            for number, operation, body in requests:
                seen.append(("send_many", operation))
                yield number, self.table.send(operation, body)

    with DataStore(transport=Several(), observer=observer) as store:
        user = store.user(USER)
        work = user.unit_of_work()
        records = [work.add(GOAL) for _ in range(60)]
        assert len(work.commit().applied) == len(records)
        assert all(user.get_many([(SavingsGoal, each.record_id) for each in records]))
        assert user.get(SavingsGoal, records[0].record_id) is not None
    assert seen == [
        *[("send_many", "BatchWriteItem")] * 3,
        ("send", "BatchGetItem"),
        ("send", "GetItem"),
    ]


def test_several_requests_go_one_after_the_other_unless_a_transport_says_how():
    """An inherited `send_many` sends a request when the reply to the one before has come."""
    flying, most = 0, 0

    class Counting(Transport):
        table = SimulatedTable()

        def send(self, operation, body):
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            sent = self.table.send(operation, body)
            flying -= 1
            return sent

    with DataStore(transport=Counting()) as store:
        result = store.user(USER).unit_of_work()
        for _ in range(60):
            result.add(GOAL)
        assert result.commit().requests == 3
    assert most == 1


class AnswersAsync(AsyncTransport):
    """Gives every request its own body as the answer, later."""

    async def send(self, operation, body):
        await asyncio.sleep(0)
        return body


def test_an_asynchronous_transport_is_a_transport_awaited():
    """AsyncTransport asks for `send` and `close`, awaited, with Transport's arguments and name."""
    transport = AnswersAsync()

    async def use():
        sent = await transport.send("GetItem", b"{}")
        await transport.close()
        return sent

    assert asyncio.run(use()) == b"{}"
    assert transport.name == Transport.name
    for method in ("send", "close"):
        awaited, plain = getattr(AsyncTransport, method), getattr(Transport, method)
        assert inspect.iscoroutinefunction(awaited)
        assert inspect.signature(awaited) == inspect.signature(plain)


@pytest.mark.parametrize("lacking", [{"send"}, {"close"}, {"name"}])
def test_what_lacks_a_part_is_no_asynchronous_transport(lacking):
    """An object without `name`, `send` or `close` is no AsyncTransport."""
    parts = {"name": "mine", "send": AnswersAsync.send, "close": AnswersAsync.close}
    assert isinstance(type("Whole", (), parts)(), AsyncTransport)
    some = {name: part for name, part in parts.items() if name not in lacking}
    assert not isinstance(type("Part", (), some)(), AsyncTransport)
