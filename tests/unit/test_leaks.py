"""What is personal stays where it was put: no amount, name, e-mail address or user id is shown.

The watch of `leaks` holds the whole suite to that; here every way to say no is asked for it.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import attrs
import pynamodb.signals
import pytest
from leaks import AMOUNT, CANARY, EMAIL, HUGE_AMOUNT, NAME, UNSAFE_AMOUNT, USER, Watch, chain_of
from places import SUPPORT
from pynamodb.transactions import TransactWrite
from shells import store_on

from thrivecalc_models import (
    BudgetData,
    DataStore,
    Profile,
    ProfileData,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ThriveCalcError,
    TransactionData,
    UserRecord,
    data_store,
    errors,
    read_item,
)
from thrivecalc_models.operations import (
    BatchWrite,
    Failure,
    GetItem,
    Key,
    PutItem,
    Query,
    Reply,
)
from thrivecalc_models.operations import (
    TransactWrite as Transaction,
)
from thrivecalc_models.records import default_session
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.signals import CommitEvent, RetryEvent
from thrivecalc_models.testing import SimulatedTable, faults, simulated_store
from thrivecalc_models.transport.failures import classify_error

OTHER = f"{USER}0"
TAKEN = "savings-goal#taken"
ODD = "savings-goal#odd"


class EchoingTable(SimulatedTable):
    """A service whose every refusal repeats what was sent, as DynamoDB's own words can.

    With `invalid` it refuses everything so; with `swapped` it answers with another user's items.
    """

    invalid = False
    swapped = False

    def answer(self, operation: str, request: dict[str, Any]) -> Reply | Failure:
        result = super().answer(operation, request)
        echo = f"cannot do this for {USER}, {EMAIL}, {AMOUNT}: {json.dumps(request)}"
        if self.invalid:
            return classify_error("ValidationException", 400, echo)
        if isinstance(result, Failure):
            return attrs.evolve(result, message=echo)
        if self.swapped and "Item" in result.body:
            result.body["Item"]["userId"] = {"S": OTHER}
        return result


def goal(**fields: Any) -> SavingsGoalData:
    return SavingsGoalData(**({"name": NAME, "target_amount": AMOUNT} | fields))


def person() -> ProfileData:
    return ProfileData(display_name=NAME, email=EMAIL, annual_income=AMOUNT)


@pytest.fixture
def table() -> EchoingTable:
    """A table with a goal of the user, and an item that is no goal."""
    table = EchoingTable()
    simulated_store(table).user(USER).add(goal(), record_id="taken")
    stored = table.get(USER, TAKEN)
    data = {"name": {"N": AMOUNT}, "targetAmount": {"S": EMAIL}, "note": {"S": NAME}}
    table.put(stored | {"recordKey": {"S": ODD}, "recordId": {"S": "odd"}, "data": {"M": data}})
    return table


@pytest.fixture
def events() -> list[object]:
    return []


@pytest.fixture
def user(table: EchoingTable, events: list[object]) -> Any:
    policy = RetryPolicy(attempts=2)
    return store_on(table, retry=policy, observer=events.append).user(USER)


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Whatever logger it goes through."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def told_by(error: BaseException) -> str:
    """Everything that is shown of an error, of what led to it, and of what it names as causes."""
    texts, waiting, seen = [], [error], set()
    while waiting:
        for each in chain_of(waiting.pop()):
            if id(each) in seen:
                continue
            seen.add(id(each))
            texts += [str(each), repr(each), repr(each.args), repr(getattr(each, "__notes__", ""))]
            texts += traceback.format_exception(each)
            texts += [repr(getattr(each, name, "")) for name in ("record", "stored", "causes")]
            texts += [repr(getattr(each, name, "")) for name in ("cause", "errors", "path")]
            named = (*getattr(each, "causes", {}).values(), *getattr(each, "errors", {}).values())
            waiting += [one for one in (*named, getattr(each, "cause", None)) if one is not None]
    return "\n".join(texts)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(f"{each.getMessage()} {each.args} {each.exc_text}" for each in caplog.records)


# --- the library's own calls ----------------------------------------------------------------------


def stale(user: Any, table: EchoingTable) -> SavingsGoal:
    """A goal that someone has changed since it was read, with an edit of its own."""
    record: SavingsGoal = user.get(SavingsGoal, "taken")
    item = table.get(USER, TAKEN)
    item["data"]["M"]["currentAmount"] = {"N": AMOUNT}
    table.put(item | {"updatedAt": {"S": "2025-02-01T00:00:00.000Z"}})
    record.data.current_amount = AMOUNT
    return record


def failing(
    fault: faults.Fault, call: Callable[[Any], object], operation: str | None = None
) -> Callable[..., object]:
    """The call, while every request, or every one of an operation, meets a fault."""

    def fail(user: Any, table: EchoingTable) -> object:
        table.fail_always(fault, operation)
        return call(user)

    return fail


def committed(*queue: Callable[[Any], object], atomic: bool = False) -> Callable[[Any], object]:
    """A unit of work of these steps."""

    def commit(user: Any) -> object:
        work = user.unit_of_work(atomic=atomic)
        for step in queue:
            step(work)
        return work.commit()

    return commit


def changed(user: Any, table: EchoingTable, *, atomic: bool = False, lost: bool = False) -> object:
    """A commit of adds and of a change that meets somebody else's."""
    work = user.unit_of_work(atomic=atomic)
    record = work.get(SavingsGoal, "taken")
    stale(user, table)
    record.data.current_amount = UNSAFE_AMOUNT[:10]
    work.add(person())
    work.add(goal(), record_id="taken too")
    if lost:
        table.fail_always(faults.LoseReply(applied=True))
    return work.commit()


def never_whole(user: Any, table: EchoingTable) -> object:
    table.fail_next(faults.Partial(keep=1))
    table.fail_always(faults.Partial())
    return committed(*[lambda work: work.add(goal())] * 3)(user)


def of_another(user: Any, table: EchoingTable) -> Any:
    return store_on(table).user(OTHER)


def refused(call: Callable[[Any], object]) -> Callable[..., object]:
    def refuse(user: Any, table: EchoingTable) -> object:
        table.invalid = True
        return call(user)

    return refuse


def swapped(user: Any, table: EchoingTable) -> object:
    table.swapped = True
    return user.get(SavingsGoal, "taken")


def closed(user: Any, table: EchoingTable) -> object:
    work = user.unit_of_work()
    work.close()
    return work.get(SavingsGoal, "taken")


def alone(call: Callable[[Any], object]) -> Callable[..., object]:
    return lambda user, table: call(user)


def item_with(data: dict[str, Any]) -> dict[str, Any]:
    key = {"userId": {"S": USER}, "recordKey": {"S": "profile#main"}}
    return key | {"data": {"M": data}}


LOST = faults.LoseReply(applied=True)
INVALID, UNSAFE = errors.InvalidRecordError, errors.UnsafeNumberError
CALLS: list[tuple[type[BaseException], Callable[..., object]]] = [
    (INVALID, alone(lambda user: goal(target_amount=NAME))),
    (INVALID, alone(lambda user: goal(target_amount=[AMOUNT, EMAIL]))),
    (INVALID, alone(lambda user: goal(name=(NAME, EMAIL)))),
    (INVALID, alone(lambda user: goal(target_date=EMAIL))),
    (INVALID, alone(lambda user: TransactionData(date=f"{NAME} {USER}", amount=1))),
    (INVALID, alone(lambda user: user.add(goal(target_amount=AMOUNT + "1" * 39)))),
    (INVALID, alone(lambda user: user.add(goal(name=NAME + "\ud83d")))),
    (INVALID, alone(lambda user: user.add("profile", {"email": [EMAIL], "displayName": {NAME}}))),
    (INVALID, alone(lambda user: user.add("savings-goal", {"name": NAME, "targetAmount": EMAIL}))),
    (INVALID, alone(lambda user: user.add(EMAIL))),
    (INVALID, alone(lambda user: user.add("x-note", {"a": {EMAIL, 5}}))),
    (INVALID, alone(lambda user: goal(name=5, target_amount=NAME, target_date=EMAIL))),
    (INVALID, alone(lambda user: user.add("profile", {"email": 5, "displayName": {EMAIL: NAME}}))),
    (INVALID, alone(lambda user: user.add("x-note", {"a": {1: NAME}, "b": [EMAIL, object()]}))),
    (INVALID, alone(lambda user: goal().__setattr__("name", NAME.encode()))),
    (INVALID, alone(lambda user: read_item(item_with({"email": {"S": EMAIL, "N": "1"}})))),
    (INVALID, alone(lambda user: read_item(item_with({"email": {"N": EMAIL}})))),
    (INVALID, alone(lambda user: UserRecord.from_raw_data(item_with({"b": {"B": NAME + "%"}})))),
    (INVALID, alone(lambda user: user.list(SavingsGoal, order_by="name"))),
    (INVALID, alone(lambda user: user.page(SavingsGoal, limit=AMOUNT))),
    (INVALID, alone(lambda user: user.add(goal(), ttl=EMAIL))),
    (
        INVALID,
        alone(lambda user: user.add(BudgetData(name=NAME, period="p", limits={"food": EMAIL}))),
    ),
    (INVALID, alone(committed(*[lambda work: work.add(goal(target_amount=HUGE_AMOUNT))] * 3))),
    (UNSAFE, alone(lambda user: user.add(goal(target_amount=UNSAFE_AMOUNT)))),
    (UNSAFE, alone(lambda user: user.add(goal(target_amount=float(HUGE_AMOUNT))))),
    (UNSAFE, alone(committed(lambda work: work.add(goal(target_amount=int(HUGE_AMOUNT)))))),
    (errors.ItemTooLargeError, alone(lambda user: user.add(goal(name=NAME * 30_000)))),
    (errors.InvalidKeyError, lambda user, table: simulated_store(table).user(USER * 200)),
    (errors.InvalidKeyError, lambda user, table: simulated_store(table).user(USER + "\ud83d")),
    (errors.InvalidKeyError, alone(lambda user: user.page(SavingsGoal, cursor=NAME))),
    (errors.InvalidKeyError, alone(lambda user: user.page(SavingsGoal, cursor=[EMAIL]))),
    (errors.InvalidKeyError, alone(lambda user: user.get_many([EMAIL, NAME]))),
    (errors.InvalidKeyError, alone(lambda user: user.get_many([(SavingsGoal, NAME, EMAIL)]))),
    (errors.InvalidKeyError, alone(lambda user: read_item(EMAIL))),
    (errors.InvalidKeyError, alone(lambda user: SavingsGoal(USER * 200, data=goal()))),
    (errors.RecordExistsError, alone(lambda user: user.add(goal(), record_id="taken"))),
    (
        errors.RecordNotFoundError,
        alone(lambda user: user.replace_data("profile", "none", {"displayName": NAME})),
    ),
    (errors.ConflictError, lambda user, table: user.update(stale(user, table))),
    (errors.ConflictError, lambda user, table: user.delete(stale(user, table))),
    (errors.OutcomeUnknownError, failing(LOST, lambda user: user.add(goal()))),
    (errors.OutcomeUnknownError, failing(LOST, lambda user: user.put(person()))),
    (errors.CorruptItemError, alone(lambda user: user.get(SavingsGoal, "odd").data)),
    (errors.CorruptItemError, alone(lambda user: user.put(user.get(SavingsGoal, "odd")))),
    (errors.CorruptItemError, swapped),
    (errors.IsolationError, lambda user, table: user.put(of_another(user, table).add(goal()))),
    (
        errors.IsolationError,
        lambda user, table: user.page(SavingsGoal, cursor=cursor_of(of_another(user, table))),
    ),
    (errors.CommitError, changed),
    (errors.CommitError, lambda user, table: changed(user, table, atomic=True)),
    (errors.CommitError, lambda user, table: changed(user, table, lost=True)),
    (errors.CommitError, lambda user, table: changed(user, table, atomic=True, lost=True)),
    (errors.CommitError, never_whole),
    (errors.CommitError, refused(committed(lambda work: work.add(goal())))),
    (errors.CommitError, refused(committed(lambda work: work.add(person()), atomic=True))),
    (
        errors.CommitError,
        failing(faults.Denied(), lambda user: user.delete_all(), "BatchWriteItem"),
    ),
    (
        KeyboardInterrupt,
        failing(faults.Interrupt(applied=True), committed(lambda work: work.add(goal()))),
    ),
    (errors.UnitOfWorkStateError, closed),
    (
        errors.ConfigurationError,
        lambda user, table: DataStore(endpoint="http://db.example.com", region="us-east-1"),
    ),
    (errors.TableNotFoundError, failing(faults.NoTable(), lambda user: user.add(goal()))),
    (errors.AccessDeniedError, failing(faults.Denied(), lambda user: user.put(person()))),
    (errors.AccessDeniedError, failing(faults.ExpiredCredentials(), lambda user: user.list_all())),
    (errors.ThrottledError, failing(faults.Throttle(), lambda user: user.add(goal()))),
    (errors.ThrottledError, failing(faults.Partial(), lambda user: user.get_many(many()))),
    (errors.UnavailableError, failing(faults.Refused(), lambda user: user.add(person()))),
    (errors.UnavailableError, failing(faults.ServerError(), lambda user: user.list(SavingsGoal))),
    (errors.RefusedError, refused(lambda user: user.add(goal()))),
    (errors.RefusedError, refused(lambda user: user.list_all())),
]


def cursor_of(user: Any) -> str:
    for number in range(3):
        user.add(goal(), record_id=str(number))
    cursor: str = user.page(SavingsGoal, limit=1).cursor
    assert not CANARY.search(cursor)
    return cursor


def many() -> list[tuple[type[UserRecord], str]]:
    return [(SavingsGoal, "taken"), (Profile, "none")]


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(("error", "call"), CALLS)
def test_errors_are_discreet(user, table, events, every_line, error, call):
    """Nothing that is shown of an error is personal, even if the service repeats what was sent."""
    with pytest.raises(error) as caught:
        call(user, table)
    assert type(caught.value) is error
    assert not CANARY.search(told_by(caught.value))
    assert not CANARY.search(logged(every_line))
    assert not CANARY.search(repr(events))


def test_every_error_is_asked_for():
    """No class of error is left out above but the roots, and those of files and pickles."""
    own = {each for name, each in vars(errors).items() if isinstance(each, type) and name[0] != "_"}
    roots = {errors.ThriveCalcError, errors.ServiceError}
    asked = {error for error, _ in CALLS} | {errors.FileProblem, errors.MissingFieldError}
    assert {each for each in own if issubclass(each, ThriveCalcError)} - roots <= asked


def test_what_the_service_said_is_a_fact_and_not_shown(user, table):
    """The service's own words are kept for who asks for them by name."""
    table.invalid = True
    with pytest.raises(errors.RefusedError) as caught:
        user.add(goal())
    assert EMAIL in caught.value.service_message
    assert not CANARY.search(told_by(caught.value))


@pytest.mark.usefixtures("shell")
def test_events_and_lines_are_discreet(user, table, events, every_line):
    """An observer and the log hear of requests, retries and commits, and of nobody in them."""
    table.fail_next(faults.Throttle())
    with user.unit_of_work() as work:
        work.add(goal())
        work.add(person())
    table.fail_always(LOST)
    with pytest.raises(errors.CommitError), user.unit_of_work() as work:
        work.add(goal(), record_id="again")
    assert {RetryEvent, CommitEvent} <= {type(event) for event in events}
    assert not CANARY.search(repr(events))
    assert {"INFO", "WARNING"} <= {line.levelname for line in every_line.records}
    assert not CANARY.search(logged(every_line))


def test_reprs_are_discreet(user, table):
    """No repr or str of what callers get to hold shows what is in it, or whose it is."""
    shown: list[Any] = [goal(), person(), user, user.unit_of_work(), data_store]
    shown += [user.page(SavingsGoal, limit=1), user.get(SavingsGoal, "odd"), user.list_all()]
    shown += [SavingsGoal(USER, data=goal()), read_item(table.get(USER, ODD)), table]
    noted = user.add("x-note", {"name": NAME, "amount": 73421, "mail": EMAIL})
    noted.extra_attributes["owner"] = NAME
    work = user.unit_of_work()
    record = work.get(SavingsGoal, "taken")
    record.data.current_amount = AMOUNT
    work.add(person())
    work.put(SavingsGoal(USER, data=goal()))
    shown += [noted, work, work.plan(), work.plan().requests, record, simulated_store(table)]
    shown += [record.problems, user.get(SavingsGoal, "odd").problems, record.version]
    shown += [work.commit(), user.iterate(SavingsGoal), user.run(lambda work: work.list_all())]
    shown.append(user.delete_all())
    for thing in shown:
        assert not CANARY.search(f"{thing} {thing!r} {[thing]}"), type(thing)


def test_requests_and_replies_are_discreet():
    """The values inside show no content, since error trackers collect the locals of every frame."""
    key = Key(USER, TAKEN)
    put = PutItem(item=key.item() | {"name": {"S": NAME}, "amount": {"N": AMOUNT}})
    inside = [key, put, GetItem(key=key), Query(user_id=USER), BatchWrite(writes=(put, put))]
    inside += [Transaction(writes=(put,), token="t"), Reply(body={"Item": {"a": {"S": EMAIL}}})]
    inside.append(classify_error("ValidationException", 400, EMAIL, item=put.item))
    for thing in inside:
        assert not CANARY.search(f"{thing!r}"), type(thing)


# --- PynamoDB's calls -----------------------------------------------------------------------------


@pytest.fixture
def model(table: EchoingTable) -> Iterator[SavingsGoal]:
    """A goal as PynamoDB reads it, from a service that repeats what was sent."""
    data_store.configure(simulated_store(table, retry=RetryPolicy(attempts=2)))
    record = SavingsGoal.get(USER, TAKEN)
    record.data.current_amount = AMOUNT
    yield record
    data_store.configure(None)


def batch(record: SavingsGoal) -> None:
    with SavingsGoal.batch_write() as writer:
        writer.save(record)
        writer.save(SavingsGoal(USER, data=goal()))


def transaction(record: SavingsGoal) -> None:
    with TransactWrite(connection=table_of(default_session()).connection) as writer:
        writer.save(record)
        writer.save(SavingsGoal(USER, data=goal()))


def unfitting(record: SavingsGoal) -> None:
    record.update([SavingsGoal.data["targetAmount"].set(UNSAFE_AMOUNT), SavingsGoal.ttl.set(NAME)])


MODEL_CALLS = [
    lambda record: record.save(),
    lambda record: record.update([SavingsGoal.data["name"].set(NAME)]),
    lambda record: record.update([SavingsGoal.data["name"].set(EMAIL)], SavingsGoal.ttl.exists()),
    lambda record: record.delete(),
    lambda record: record.refresh(),
    lambda record: SavingsGoal.get(USER, TAKEN),
    lambda record: SavingsGoal.get(USER, "savings-goal#none"),
    lambda record: list(SavingsGoal.query(USER, filter_condition=SavingsGoal.ttl.exists())),
    lambda record: list(SavingsGoal.by_type.query(USER)),
    lambda record: list(SavingsGoal.batch_get([(USER, TAKEN)])),
    lambda record: SavingsGoal.count(USER),
    lambda record: list(SavingsGoal.scan()),
    lambda record: SavingsGoal.describe_table(),
    batch,
    transaction,
    unfitting,
]


def invalid(user: Any, table: EchoingTable) -> None:
    table.invalid = True


def always(fault: faults.Fault) -> Callable[..., object]:
    return lambda user, table: table.fail_always(fault)


TROUBLES = {
    "invalid": invalid,
    "changed": stale,
    "lost": always(LOST),
    "denied": always(faults.Denied()),
    "throttled": always(faults.Throttle()),
    "no table": always(faults.NoTable()),
    "no connection": always(faults.Refused()),
    "expired": always(faults.ExpiredCredentials()),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("call", MODEL_CALLS)
def test_the_models_errors_are_discreet(model, user, table, every_line, call, trouble):
    """PynamoDB's exceptions, signals and log lines show no more of a record than ours."""
    heard: list[object] = []

    def hear(sender: object, **payload: object) -> None:
        heard.append((sender, payload))

    TROUBLES[trouble](user, table)
    error: Exception | None = None
    with (
        pynamodb.signals.pre_dynamodb_send.connected_to(hear),
        pynamodb.signals.post_dynamodb_send.connected_to(hear),
    ):
        try:
            call(model)
        except Exception as caught:  # noqa: BLE001 - which one it is does not matter here
            error = caught
    assert error is not None or trouble == "changed"
    assert error is None or not CANARY.search(told_by(error))
    assert not CANARY.search(logged(every_line))
    assert not CANARY.search(repr(heard))


# --- the watch over the whole suite ---------------------------------------------------------------

LEAKING = """
    import pytest
    from leaks import AMOUNT, EMAIL, NAME, USER
    from pynamodb.exceptions import PutError
    from thrivecalc_models import ThriveCalcError, signals
    from thrivecalc_models.errors import InvalidRecordError

    def test_message():
        with pytest.raises(InvalidRecordError):
            raise InvalidRecordError(f"{AMOUNT} is too much")

    def test_context():
        with pytest.raises(ThriveCalcError):
            try:
                {}[NAME]
            except KeyError:
                raise ThriveCalcError("nobody") from None

    def test_never_raised():
        ThriveCalcError("nobody").__cause__ = ValueError(EMAIL)

    def test_pynamodb():
        with pytest.raises(PutError):
            raise PutError(f"cannot put {USER}")

    def test_line():
        signals.LOGGER.debug("trying %s", NAME)

    def test_event():
        signals.RetryEvent(operation="PutItem", attempt=1, wait=1.0, code=f"of {EMAIL}")

    def test_discreet():
        signals.LOGGER.debug("trying")
        assert str(ThriveCalcError("nothing personal")) == "nothing personal"
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run tests with the watch, and nothing else of ours, in a process of their own."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))

    def run(*options: str) -> Any:
        pytester.makepyfile(LEAKING)
        return pytester.runpytest_subprocess("-p", "leaks", "-p", "no:cacheprovider", *options)

    return run


def test_a_leak_fails_the_run(run):
    """A run whose tests all pass fails for a leak, and its summary says in which test and what."""
    result = run()
    result.assert_outcomes(passed=7)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    summary = result.stdout.str().partition("= leaks =")[2]
    for name in ("message", "context", "never_raised", "pynamodb", "line", "event"):
        assert f"::test_{name}: " in summary
    assert "test_discreet" not in summary
    assert "6 in 5 errors, 2 log lines, 1 events" in summary


def test_a_run_without_leaks_passes(run):
    """Where nothing is shown the watch says how much it has looked at, and changes nothing."""
    result = run("-k", "discreet")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines("no leaks in 1 errors, 1 log lines, 0 events")


@pytest.mark.parametrize("text", [AMOUNT, UNSAFE_AMOUNT, HUGE_AMOUNT, NAME, EMAIL, USER])
def test_the_watch_knows_the_canaries(text):
    """Every canary is noticed: in a message, in a cause, in an argument of a log line."""
    for shown in (text, repr([text]), json.dumps({"S": text})):
        watch = Watch()
        error = Exception("discreet")
        error.__cause__ = KeyError(shown)
        watch.error(error)
        watch.line(logging.makeLogRecord({"msg": "%s", "args": (shown,)}))
        watch.event(shown)
        assert len(watch.leaks) == 3


@pytest.mark.parametrize("number", [Decimal(AMOUNT), float(AMOUNT), float(HUGE_AMOUNT)])
def test_the_watch_knows_amounts_as_python_writes_them(number):
    """An amount is noticed as a Decimal and as a float, with and without separators."""
    assert CANARY.search(repr(number))
    assert CANARY.search(f"{number}")
    assert CANARY.search(f"{number:,}")
