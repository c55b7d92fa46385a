"""A fuzzer of replies: something between us and the service answers nonsense, now and then.

A round is one piece of work of one user: a commit, a single call, a reading. The first of its
replies are changed as a proxy or a bug might: a member is dropped, retyped, nested, cut short or
there twice, an item is another's, the whole is a page of a load balancer. Then every outcome that
the caller was told must agree with the table, nothing may be raised that has no outcome, and the
same work, repeated in peace, must end as it was meant.

    python tests/support/fuzz_replies.py --engine simulation --seconds 60 --seed 1
"""

from __future__ import annotations

import copy
import http.client
import itertools
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import attrs
import engines
import fuzzing
from leaks import AMOUNT, NAME
from pynamodb.exceptions import PynamoDBException
from schedules import LawBroken, law

from thrivecalc_models import (
    CommitError,
    CorruptItemError,
    DataStore,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ServiceError,
    ThriveCalcError,
    UserRecord,
    data_store,
)
from thrivecalc_models.operations import Failure, Key, Reply
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing.faults import Partial
from thrivecalc_models.testing.refusals import LOST_REPLY
from thrivecalc_models.transport.failures import classify_response
from thrivecalc_models.whole_table import WholeTable

ATTEMPTS = 4
QUICK = RetryPolicy(
    attempts=ATTEMPTS, deadline=30, base=0.0001, throttled_base=0.0001, ceiling=0.0001
)
HOUR = timedelta(hours=1)
"""By which the clock of whoever was there before is behind, so that no two stamps are the same."""
ANOTHER = "google-oauth2|another"
COUNTER = itertools.count()

Json = dict[str, Any]
Wire = tuple[int, bytes]
"""A reply as it travels: its status and its body."""


# --- what is done to a reply ----------------------------------------------------------------------

JUNK: tuple[Any, ...] = (
    None, True, False, 0, 5, -1, 1.5, 10**30, "", "x", [], ["x"], [None], [[]], {}, [{}],
    {"S": 5}, {"S": "x"}, {"N": "abc"}, {"N": "٣"}, {"M": []}, {"x": {"x": {}}}, {"L": {}},
)  # fmt: skip
WHOLE: tuple[Wire, ...] = (
    (200, b""),
    (200, b"{}"),
    (200, b"[]"),
    (200, b'"x"'),
    (200, b"null"),
    (200, b'{"status": "maintenance"}'),
    (200, b"<html>maintenance</html>"),
    (200, b"[" * 20_000),
    (200, b'{"ConsumedCapacity": null}'),
    (302, b""),
    (400, b"{}"),
    (400, b'{"__type": 5}'),
    (400, b'{"__type": "x#TransactionCanceledException"}'),
    (400, b'{"__type": "x#TransactionCanceledException", "CancellationReasons": "x"}'),
    (400, b'{"__type": "x#TransactionCanceledException", "CancellationReasons": [{}]}'),
    (500, b"<html>oops</html>"),
    (502, b'{"message": []}'),
    (503, b"{}"),
)


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of the JSON, as its container and its name or number."""
    if isinstance(node, dict):
        for name, member in node.items():
            yield node, name
            yield from places(member)
    elif isinstance(node, list):
        for number, member in enumerate(node):
            yield node, number
            yield from places(member)


def changed(rng: random.Random, wire: Wire) -> tuple[str, Wire]:
    """A reply that something between has changed, and what was done."""
    status, raw = wire
    body = json.loads(raw)
    how = rng.choice(("drop", "retype", "retype", "nest", "truncate", "double", "swap", "whole"))
    found = list(places(body))
    if how == "whole" or not found:
        return "whole", rng.choice(WHOLE)
    if how == "truncate" and rng.random() < 0.3:
        return how, (status, raw[: rng.randrange(len(raw))])
    place, name = rng.choice(found if rng.random() < 0.6 else found[: 1 + len(found) // 8])
    match how:
        case "drop":
            del place[name]
        case "retype":
            place[name] = copy.deepcopy(rng.choice(JUNK))
        case "nest":
            place[name] = rng.choice(([place[name]], {"x": place[name]}, {"S": place[name]}))
        case "truncate":
            _truncate(place, name)
        case "double":
            return how, (status, _doubled(rng, body, place, name))
        case "swap":
            _swap(rng, found)
    return how, (status, json.dumps(body).encode())


def _truncate(place: Any, name: Any) -> None:
    member = place[name]
    if isinstance(member, str | list):
        place[name] = member[: len(member) // 2]
    elif isinstance(member, dict) and member:
        del member[next(iter(member))]
    else:
        place[name] = None


def _doubled(rng: random.Random, body: Any, place: Any, name: Any) -> bytes:
    if isinstance(place, list):
        place.append(copy.deepcopy(place[name]))
        return json.dumps(body).encode()
    place["\0twice"] = copy.deepcopy(rng.choice((place[name], *JUNK)))
    return json.dumps(body).replace('"\\u0000twice"', json.dumps(name)).encode()


def _swap(rng: random.Random, found: list[tuple[Any, Any]]) -> None:
    """Some item becomes another's, or that of another record."""
    keys = [
        (place[name], name)
        for place, name in found
        if name in ("userId", "recordKey") and isinstance(place[name], dict)
    ]
    if keys:
        form, name = rng.choice(keys)
        form["S"] = ANOTHER if name == "userId" else "savings-goal#of-another"


def is_a_lie_that_nothing_tells(operation: str, wire: Wire) -> bool:
    """Whether a change of this reply could make it say something else that is as good an answer.

    What a batch left undone is nowhere else in the reply, nor is the error of a statement.
    """
    told_once = {"BatchWriteItem": b"Request", "BatchExecuteStatement": b'"Error"'}
    return operation in told_once and told_once[operation] in wire[1]


@attrs.define
class Spoiler:
    """Changes the replies to the next `left` requests, by what `rng` says, but those `spared`."""

    rng: random.Random
    spared: Collection[str] = ()
    left: int = 0
    done: list[str] = attrs.field(factory=list)

    def spoil(self, operation: str, wire: Wire) -> Wire:
        if self.left <= 0:
            return wire
        self.left -= 1
        if operation in self.spared or is_a_lie_that_nothing_tells(operation, wire):
            return wire
        how, spoilt = changed(self.rng, wire)
        self.done.append(f"{operation} {how}: {spoilt[0]} {spoilt[1][:300]!r}")
        return spoilt


NOT_ON: dict[str, dict[str, str]] = {
    "moto": {"TransactWriteItems": "applies a transaction twice whose reply was lost"}
}
"""Where an engine does not keep what AWS promises: replies that are left alone there, and why."""


# --- how it travels -------------------------------------------------------------------------------


def wire_of(result: Any) -> Wire | None:
    """A result of the simulated table as it would travel; None where the reply was lost."""
    if isinstance(result, Reply):
        return 200, json.dumps(result.body).encode()
    assert isinstance(result, Failure)
    if result.status is None:
        return None
    body: Json = {"__type": f"com.amazonaws.dynamodb.v20120810#{result.code}", "message": "no"}
    if result.item is not None:
        body["Item"] = result.item
    if result.reasons:
        body["CancellationReasons"] = [
            {"Code": reason.code} | ({"Item": reason.item} if reason.item is not None else {})
            for reason in result.reasons
        ]
    return result.status, json.dumps(body).encode()


def result_of(wire: Wire) -> Any:
    """What a simple transport makes of a reply: every body of a good one is passed on."""
    status, raw = wire
    if status < 300:
        return raw
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return LOST_REPLY
    if not isinstance(body, dict) or not isinstance(body.get("__type"), str):
        return LOST_REPLY
    return classify_response(
        body | {"Error": {"Code": body["__type"].rpartition("#")[2]}, "Message": None}
    )


class SpoiltTable(SimulatedTable):
    """A simulated table whose replies are spoilt on their way."""

    spoiler: Spoiler

    def send(self, operation: str, body: bytes) -> Any:
        result = self.answer(operation, json.loads(body))
        wire = wire_of(result)
        if wire is None:
            return result
        return result_of(self.spoiler.spoil(operation, wire))


class Spoiling(ThreadingHTTPServer):
    """An HTTP server before a simulated table or an engine, which spoils replies."""

    daemon_threads = True

    def __init__(self, upstream: SimulatedTable | str, spoiler: Spoiler) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.spoiler = spoiler
        self.endpoint = f"http://127.0.0.1:{self.server_port}"

    def answer(self, operation: str, headers: Any, body: bytes) -> Wire | None:
        if isinstance(self.upstream, SimulatedTable):
            return wire_of(self.upstream.answer(operation, json.loads(body)))
        place = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        try:
            kept = ("Content-Type", "X-Amz-Target", "Authorization", "X-Amz-Date")
            sent = {name: headers[name] for name in kept if headers[name]}
            connection.request("POST", "/", body, sent)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Spoiling

    def do_POST(self) -> None:
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        wire = self.server.answer(operation, self.headers, body)
        if wire is None:
            self.close_connection = True
            return
        status, content = self.server.spoiler.spoil(operation, wire)
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def handle(self) -> None:
        with suppress(OSError):  # the library went away before the end
            super().handle()

    def log_message(self, *arguments: Any) -> None:
        """In silence."""


@attrs.define
class World:
    """A store whose replies are spoilt, a straight one to the same table, and the spoiler."""

    store: DataStore
    straight: DataStore
    spoiler: Spoiler
    table: SimulatedTable | None = None


def simulated(rng: random.Random, *, batched: bool = False) -> World:
    table = SpoiltTable(shows_stored=not batched)
    table.spoiler = Spoiler(rng)
    ids = itertools.count(1)
    store = simulated_store(
        table, retry=QUICK, batch_updates=batched, new_id=lambda: f"fresh-{next(ids)}"
    )
    earlier = simulated_store(table, clock=lambda: table.clock() - HOUR)
    return World(store, earlier, table.spoiler, table)


@contextmanager
def served(
    upstream: SimulatedTable | str,
    rng: random.Random,
    transport: str,
    spared: Collection[str] = (),
    *,
    batched: bool = False,
) -> Iterator[World]:
    """The same over HTTP, on a transport by its name."""
    spoiler = Spoiler(rng, spared)
    server = Spoiling(upstream, spoiler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        options: Json = {"region": "us-east-1", "transport": transport}
        with (
            DataStore(
                endpoint=server.endpoint,
                table_name="fuzzed",
                retry=QUICK,
                timeout=10,
                batch_updates=batched,
                **options,
            ) as store,
            DataStore(
                endpoint=server.endpoint,
                table_name="fuzzed",
                clock=lambda: datetime.now(UTC) - HOUR,
                **options,
            ) as straight,
        ):
            if isinstance(upstream, str):
                straight.create_table()
            yield World(store, straight, spoiler)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- the work -------------------------------------------------------------------------------------


def goal(amount: int) -> SavingsGoalData:
    return SavingsGoalData(name=NAME, target_amount=AMOUNT, current_amount=amount)


@attrs.define
class Part:
    """One write of a round: its key, the amount before it, and after it (None: no record)."""

    key: str
    before: int | None
    after: int | None


class Round:
    """One user's round: records that are there, the work, and what must be true afterwards."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.user_id = f"google-oauth2|{next(COUNTER)}"
        self.user = world.store.user(self.user_id)
        self.straight = world.straight.user(self.user_id)
        self.outcomes: Counter[str] = Counter()

    def spoil(self, most: int = 3) -> None:
        self.world.spoiler.left = self.rng.randrange(1, most + 1)

    def peace(self) -> None:
        self.world.spoiler.left = 0

    def seed(self, count: int) -> None:
        self.peace()
        for number in range(count):
            self.straight.add(goal(number), record_id=f"id-{number}")

    def stored(self, key: str) -> int | None:
        self.peace()
        record = self.straight.get(SavingsGoal, key.partition("#")[2], consistent=True)
        return None if record is None else int(record.data.current_amount)

    def check(self, part: Part, outcome: str, *, spoilt: bool = True) -> None:
        """That the table agrees with what was said of a write."""
        self.outcomes[outcome] += 1
        found = self.stored(part.key)
        if outcome in ("applied", "existing"):
            wanted = part.before if outcome == "existing" else part.after
            law("applied is in the table", found == wanted, (part, found))
        elif outcome == "not applied":
            law("not applied is not in the table", found == part.before, (part, found))
        else:
            law("an outcome", outcome == "unknown", outcome)
            law("unknown is one or the other", found in (part.before, part.after), (part, found))

    # Units of work

    def unit(self, *, atomic: bool) -> None:
        self.seed(4)
        work = self.user.unit_of_work(atomic=atomic, lock=self.rng.random() < 0.8)
        records = [work.get(SavingsGoal, f"id-{number}") for number in range(4)]
        parts = [self._queue(work, records, number) for number in range(4)]
        parts += [self._queue_new(work, number, atomic=atomic) for number in range(5, 8)]
        self.spoil(4)
        self._end(work, parts)

    def _queue(self, work: Any, records: list[Any], number: int) -> Part:
        record = records[number]
        key, after = record.record_key, 100 + number
        match self.rng.choice(("update", "update", "put", "delete", "delete any", "leave")):
            case "update":
                record.data.current_amount = Decimal(after)
            case "put":
                record.data.current_amount = Decimal(after)
                work.put(record)
            case "delete":
                work.delete(record)
                return Part(key, number, None)
            case "delete any":
                work.delete(SavingsGoal, record.record_id)
                return Part(key, number, None)
            case _:
                return Part(key, number, number)
        return Part(key, number, after)

    def _queue_new(self, work: Any, number: int, *, atomic: bool) -> Part:
        match self.rng.choice(("add", "add", "add given", "add taken", "put")):
            case "add":
                return Part(work.add(goal(number)).record_key, None, number)
            case "add given":
                work.add(goal(number), record_id=f"id-{number}")
            case "add taken" if not atomic:
                self.straight.add(goal(90), record_id=f"id-{number}")
                work.add(goal(number), record_id=f"id-{number}", exist_ok=True)
                return Part(f"savings-goal#id-{number}", 90, 90)
            case _:
                work.put(goal(number), record_id=f"id-{number}")
        return Part(f"savings-goal#id-{number}", None, number)

    def _end(self, work: Any, parts: list[Part]) -> None:
        pending = {part.key: part for part in parts if part.before != part.after}
        pending |= {part.key: part for part in parts if part.before == 90}
        try:
            result = work.commit()
        except CommitError as error:
            self._told(error, pending)
        else:
            self._told(result, pending)
            return
        self.peace()
        result = work.commit()
        for key in (*result.applied, *result.existing):
            law("a second commit finishes the rest", key in pending, key)
        for part in pending.values():
            self.check(part, "existing" if part.before == 90 else "applied")

    def _told(self, account: Any, pending: dict[str, Part]) -> None:
        names = ("applied", "existing", "not_applied", "unknown")
        told = {key: name for name in names for key in getattr(account, name, ())}
        law("every key has an outcome", told.keys() == pending.keys(), (told, list(pending)))
        for key, name in told.items():
            self.check(pending[key], name.replace("_", " "))
        for key, cause in getattr(account, "causes", {}).items():
            law("a cause says the outcome", cause.outcome == told[key].replace("_", " "), cause)
            stored = getattr(cause, "stored", None)
            law("stored is what was asked for", _is_of(stored, self.user_id, key), cause)

    # Single calls

    def single(self) -> None:
        self.seed(1)
        kind = self.rng.choice(("add", "given", "put", "update", "delete", "any", "replace"))
        record = self.straight.get(SavingsGoal, "id-0")
        assert record is not None
        if kind in ("update", "delete"):
            record = self._own(record)
        calls: dict[str, tuple[Callable[[Any], Any], int | None]] = {
            "add": (lambda again: self.user.add(again or goal(5)), 5),
            "given": (lambda again: self.user.add(again or goal(5), **_named(again)), 5),
            "put": (lambda again: self.user.put(again or goal(5), **_named(again)), 5),
            "update": (lambda again: self.user.update(record), 7),
            "delete": (lambda again: self.user.delete(record), None),
            "any": (lambda again: self.user.delete(SavingsGoal, "id-0"), None),
            "replace": (lambda again: self._replace(), 8),
        }
        call, after = calls[kind]
        if kind == "update":
            record.data.current_amount = Decimal(7)
        stored = kind in ("update", "delete", "any", "replace")
        self.spoil()
        self._call(call, stored=stored, after=after)

    def _own(self, record: Any) -> Any:
        self.peace()
        return self.user.get(SavingsGoal, record.record_id, consistent=True)

    def _replace(self) -> Any:
        data = {"name": NAME, "targetAmount": Decimal(AMOUNT), "currentAmount": 8}
        return self.user.replace_data(SavingsGoal, "id-0", data)

    def _call(self, call: Callable[[Any], Any], *, stored: bool, after: int | None) -> None:
        key = "savings-goal#id-0"
        outcome, again = "applied", None
        try:
            done = call(None)
        except ThriveCalcError as error:
            law("an error has an outcome", error.outcome in ("unknown", "not applied"), repr(error))
            outcome, again = str(error.outcome), error.record
        else:
            again = done
        if not stored:
            law("the error of an add has its record", again is not None, outcome)
            key = again.record_key
        part = Part(key, 0 if stored else None, after)
        self.check(part, outcome)
        if outcome != "applied":
            self.peace()
            call(again)
            self.check(part, "applied")

    def pynamo(self) -> None:
        """PynamoDB's own methods of a record."""
        self.seed(1)
        record = self._own(self.straight.get(SavingsGoal, "id-0"))
        kind = self.rng.choice(("save", "update", "delete"))
        record.data.current_amount = Decimal(7)
        action = SavingsGoal.data["currentAmount"].set(7)
        part = Part(record.record_key, 0, None if kind == "delete" else 7)
        call = {
            "save": record.save,
            "update": lambda: record.update(actions=[action]),
            "delete": record.delete,
        }[kind]
        self.spoil()
        outcome = "applied"
        try:
            call()
        except PynamoDBException as error:
            outcome = str(vars(error).get("outcome"))
        self.check(part, outcome)
        if outcome != "applied":
            self.peace()
            call()
            self.check(part, "applied")

    def pynamo_batch(self) -> None:
        """PynamoDB's batch of records."""
        self.seed(1)
        records = [
            SavingsGoal(self.user_id, data=goal(5), record_id=f"id-{number}") for number in range(3)
        ]
        parts = {
            record.record_key: Part(record.record_key, 0 if number == 0 else None, 5)
            for number, record in enumerate(records)
        }
        self.spoil()
        try:
            with SavingsGoal.batch_write() as batch:
                for record in records:
                    batch.save(record)
        except CommitError as error:
            self._told(error, parts)
        else:
            for part in parts.values():
                self.check(part, "applied")

    def pynamo_reading(self) -> None:
        """PynamoDB's methods that read."""
        self.seed(2)
        keys = [(self.user_id, SavingsGoal.key(f"id-{number}")) for number in range(2)]
        calls: list[Callable[[], Any]] = [
            lambda: [SavingsGoal.get(*keys[0])],
            lambda: SavingsGoal.batch_get(keys),
            lambda: SavingsGoal.query(self.user_id),
            lambda: UserRecord.by_type.query(self.user_id, UserRecord.data_type == SavingsGoal),
            lambda: SavingsGoal.scan(),
            lambda: [SavingsGoal.count(self.user_id)][:0],
            lambda: SavingsGoal.query(self.user_id, attributes_to_get=["ttl"]),
        ]
        self.spoil(4)
        try:
            for record in self.rng.choice(calls)():
                with_data(record)
        except (PynamoDBException, ServiceError, CorruptItemError) as error:
            self.outcomes[type(error).__name__] += 1

    def transfer(self) -> None:
        """`run`: once or not at all."""
        self.seed(1)

        def move(work: Any) -> None:
            self.peace()
            work.get(SavingsGoal, "id-0").data.current_amount += 7
            work.add(goal(7), record_id="id-1")
            self.spoil()

        try:
            self.user.run(move)
        except CommitError as error:
            outcome = "unknown" if error.unknown else "not applied"
        else:
            outcome = "applied"
        self.check(Part("savings-goal#id-0", 0, 7), outcome)
        self.check(Part("savings-goal#id-1", None, 7), outcome)

    # The whole table

    def whole_table(self) -> None:
        whole = WholeTable(self.world.store)
        self.seed(2)
        items = list(next(WholeTable(self.world.straight).user_items(self.user_id)))
        moved = [
            item | {"recordKey": {"S": f"savings-goal#m{n}"}, "recordId": {"S": f"m{n}"}}
            for n, item in enumerate(items)
        ]
        keys = [Key.of(item) for item in items]
        calls: list[Callable[[], Any]] = [
            lambda: [page for page in whole.scan(segments=2)],
            lambda: list(whole.user_items(self.user_id)),
            lambda: whole.get(keys),
            lambda: whole.put(moved),
            lambda: whole.put_each(moved, only_free=True),
            self.world.store.create_table if self.world.table is None else list,
        ]
        self.spoil(4)
        try:
            self.rng.choice(calls)()
        except (ServiceError, CorruptItemError) as error:
            self.outcomes[type(error).__name__] += 1

    # Everything of a user

    def delete_all(self) -> None:
        self.seed(5)
        self.spoil(4)
        parts = {f"savings-goal#id-{number}": Part("", number, None) for number in range(5)}
        try:
            self.user.delete_all()
        except CommitError as error:
            for name in ("applied", "not_applied", "unknown"):
                for key in getattr(error, name):
                    if key not in parts:  # a key that an answer spoke of, and nothing has
                        continue
                    part = attrs.evolve(parts[key], key=key)
                    self.check(part, name.replace("_", " "))
        except (ServiceError, CorruptItemError):
            self.outcomes["unread"] += 1
        self.peace()
        self.user.delete_all()
        law("nothing is left", not self.straight.list_all(), self.user_id)

    # Readings

    def reading(self) -> None:
        self.seed(3)
        wanted: list[tuple[Any, str]] = [(SavingsGoal, f"id-{number}") for number in range(4)]
        calls: list[Callable[[], Any]] = [
            lambda: [self.user.get(SavingsGoal, "id-0")],
            lambda: [self.user.get(SavingsGoal, "no")],
            lambda: self.user.get_many(wanted),
            lambda: self.user.list(SavingsGoal),
            lambda: self.user.list(SavingsGoal, consistent=True),
            self.user.list_all,
            lambda: list(self.user.iterate()),
            lambda: self.user.page(SavingsGoal, limit=2).records,
            lambda: self.user.unit_of_work().list(SavingsGoal),
            lambda: self.user.unit_of_work().get_many(wanted),
        ]
        self.spoil(4)
        try:
            found = self.rng.choice(calls)()
        except (ServiceError, CorruptItemError) as error:
            self.outcomes[type(error).__name__] += 1
            return
        self.outcomes["read"] += 1
        for record in found:
            if record is not None:
                law("nothing of another comes through", record.user_id == self.user_id, "")
                with_data(record)

    def play(self) -> None:
        kinds: list[Callable[[], None]] = [
            lambda: self.unit(atomic=False),
            lambda: self.unit(atomic=False),
            lambda: self.unit(atomic=True),
            self.single,
            self.single,
            self.pynamo,
            self.pynamo_batch,
            self.pynamo_reading,
            self.transfer,
            self.whole_table,
            self.delete_all,
            self.reading,
            self.reading,
        ]
        table = self.world.table
        if table is not None and self.rng.random() < 0.15:
            table.fail_next(Partial(keep=1), times=2)
        self.rng.choice(kinds)()


def _named(again: Any) -> Json:
    return {} if again is not None else {"record_id": "id-5"}


def _is_of(record: Any, user_id: str, key: str) -> bool:
    return record is None or (record.user_id == user_id and record.record_key == key)


def with_data(record: UserRecord) -> None:
    """All that can be asked of a record can be asked of a damaged one."""
    assert record.problems is not None
    for ask in (lambda: record.data, lambda: record.extra_data, lambda: record.extra_attributes):
        try:
            ask()
        except CorruptItemError:
            law("what cannot be read is malformed", record.malformed, record.problems)
    assert repr(record)
    assert record.item is not None
    assert (record.created_at, record.updated_at, record.ttl) is not None


def play(world: World, seed: int, tally: Counter[str]) -> None:
    """The round of a seed. Raises LawBroken, or whatever came out that must not."""
    rng = random.Random(f"{seed}")
    world.spoiler.rng = rng
    world.spoiler.done.clear()
    if world.table is not None:
        world.table.heal()
    turn = Round(world, rng)
    data_store.configure(world.store)  # where PynamoDB's class methods go
    try:
        turn.play()
    except BaseException as error:
        error.add_note(f"seed {seed}; " + "; ".join(world.spoiler.done))
        raise
    finally:
        world.spoiler.left = 0
        data_store.configure(None)
    tally.update(turn.outcomes)
    tally["rounds"] += 1
    tally["replies spoilt"] += len(world.spoiler.done)


# --- for as long as one likes ---------------------------------------------------------------------


def worlds(
    engine: engines.Engine | None,
) -> Iterator[tuple[str, AbstractContextManager[World]]]:
    """What to fuzz on an engine: in this process, or over HTTP on both transports."""
    rng = random.Random(0)
    upstream: SimulatedTable | str
    if engine is None:
        yield "in this process", nullcontext(simulated(rng))
        upstream, spared = SimulatedTable(table_name="fuzzed"), {}
    else:
        upstream, spared = engine.endpoint, NOT_ON.get(engine.name, {})
        for operation, reason in spared.items():
            print(f"{engine.name}: replies to {operation} are left alone, since it {reason}")
    for transport in fuzzing.TRANSPORTS:
        yield transport, served(upstream, rng, transport, spared)


def main() -> int:
    options = fuzzing.options(__doc__)
    seed, tally = options.seed, Counter[str]()
    with fuzzing.started(options) as engine:
        ends = list(worlds(engine))
        for name, entered in ends:
            until = time.monotonic() + options.seconds / len(ends)
            with entered as world:
                while time.monotonic() < until:
                    try:
                        play(world, seed, tally)
                    except (Exception, LawBroken) as broken:
                        print(f"{options.engine}, {name}, seed {seed}: {broken!r}")
                        raise
                    seed += 1
            print(f"{options.engine}, {name}: seeds up to {seed}")
    for what, count in tally.most_common():
        print(f"  {count:>9}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
