"""Faults on a real wire, before real engines: the account of every write agrees with the table."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leaks import AMOUNT, EMAIL, NAME, USER
from proxy import FaultyProxy, Slow, Truncated, WrongChecksum, always, in_turn

from thrivecalc_models import (
    AccessDeniedError,
    Budget,
    BudgetData,
    CommitError,
    DataStore,
    OutcomeUnknownError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    TableNotFoundError,
    ThriveCalcError,
    ThrottledError,
    UnavailableError,
)
from thrivecalc_models.testing import faults

PATIENCE = 5.0  # seconds a request, where nothing is slow
LITTLE_PATIENCE = 0.15
ATTEMPTS = 3
QUICK = RetryPolicy(attempts=ATTEMPTS, deadline=60, base=0.001, throttled_base=0.001, ceiling=0.002)
CONCURRENCY = 4
EXAMPLES = min(settings.default.max_examples // 5, 40)
COUNTER = itertools.count()

# moto has no x-amz-crc32 to be wrong and applies a transaction's token twice: as section 6 of the
# rules says, faults are put before the two engines that are right about what they keep.
on_true_engines = pytest.mark.parametrize("engine", ["dynamodb-local", "dynoxide"], indirect=True)
pytestmark = on_true_engines

AFTER_APPLYING = [
    faults.LoseReply(applied=True),
    faults.ServerError(500, applied=True),
    faults.ServerError(503, applied=True),
    WrongChecksum(),
    Truncated(),
    Truncated(length_kept=False),
    Slow(2 * LITTLE_PATIENCE),
]
BEFORE_APPLYING = [
    faults.LoseReply(applied=False),
    faults.ServerError(500),
    faults.ServerError(503),
    faults.Throttle(),
    faults.TransactionConflict(),
]
FINAL = [faults.Denied(), faults.ExpiredCredentials(), faults.NoTable()]


@pytest.fixture(scope="module")
def proxy(engine: Any) -> Iterator[FaultyProxy]:
    with FaultyProxy(engine.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def table_name() -> str:
    return "wire-faults"


@pytest.fixture(scope="module")
def straight(engine: Any, table_name: str) -> Iterator[DataStore]:
    """A store with nothing between it and the engine."""
    with DataStore(endpoint=engine.endpoint, region=engine.region, table_name=table_name) as store:
        store.create_table()
        yield store


def store_behind(proxy: FaultyProxy, straight: DataStore, timeout: float) -> DataStore:
    return DataStore(
        endpoint=proxy.endpoint,
        region=straight.region,
        table_name=straight.table_name,
        timeout=timeout,
        retry=QUICK,
        max_concurrency=CONCURRENCY,
    )


@pytest.fixture(scope="module")
def patient(proxy: FaultyProxy, straight: DataStore) -> Iterator[DataStore]:
    with store_behind(proxy, straight, PATIENCE) as store:
        yield store


@pytest.fixture(scope="module")
def hasty(proxy: FaultyProxy, straight: DataStore) -> Iterator[DataStore]:
    with store_behind(proxy, straight, LITTLE_PATIENCE) as store:
        yield store


@pytest.fixture
def store(request: pytest.FixtureRequest, patient: DataStore, hasty: DataStore) -> DataStore:
    """A store behind the proxy, which waits long enough for all but a slow reply."""
    callspec = getattr(request.node, "callspec", None)
    slow = callspec is not None and isinstance(callspec.params.get("fault"), Slow)
    return hasty if slow else patient


@pytest.fixture(autouse=True)
def nothing_wrong(proxy: FaultyProxy) -> Iterator[None]:
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    proxy.schedule = None
    yield
    proxy.schedule = None


def new_user_id() -> str:
    return f"{USER}{next(COUNTER)}"


def goal(number: int = 0) -> SavingsGoalData:
    return SavingsGoalData(name=f"{NAME} {number}", target_amount=1000 + number)


def stored(store: DataStore, user_id: str) -> dict[str, Any]:
    """What the table has of a user: payloads by record key."""
    records = store.user(user_id).list_all(consistent=True, include_expired=True)
    return {record.record_key: record.data for record in records}


class Work:
    """A unit of work with one write of every kind, the table before it and the table it means."""

    def __init__(
        self, straight: DataStore, store: DataStore, *, atomic: bool = False, lock: bool = True
    ) -> None:
        self.user_id = new_user_id()
        self.table = straight
        with straight.user(self.user_id).unit_of_work() as first:
            for number in range(6):
                first.put(goal(number), record_id=f"old-{number}")
            first.put(
                BudgetData(name=EMAIL, period="monthly", limits={"food": AMOUNT}), record_id="food"
            )
        self.before = stored(straight, self.user_id)
        self.unit = store.user(self.user_id).unit_of_work(atomic=atomic, lock=lock)
        goals = self.unit.list(SavingsGoal)
        assert len(goals) == 6
        self.means = dict(self.before)
        self.pending: set[str] = set()
        for record in goals[:2]:
            record.data.current_amount += 500
            self._write(record)
        self.unit.delete(goals[2])
        self.unit.delete(SavingsGoal, "old-3")
        self.unit.delete(SavingsGoal, "never-was")
        for key in (goals[2].record_key, SavingsGoal.key("old-3"), SavingsGoal.key("never-was")):
            self.pending.add(key)
            self.means.pop(key, None)
        for number in range(30 if not atomic else 5):
            self._write(self.unit.add(goal(100 + number)))
        for number in range(2):
            self._write(self.unit.add(goal(200 + number), record_id=f"given-{number}"))
        self._write(self.unit.put(goal(300), record_id="old-5"))
        self._write(self.unit.put(BudgetData(name="Rent", period="monthly"), record_id="rent"))

    def _write(self, record: Any) -> None:
        self.pending.add(record.record_key)
        self.means[record.record_key] = record.data

    def check(self, error: CommitError) -> None:
        """The three lists are the pending keys, each once, and tell the truth about the table."""
        reported = [*error.applied, *error.existing, *error.not_applied, *error.unknown]
        assert len(reported) == len(set(reported))
        assert set(reported) == self.pending
        assert set(error.unknown) <= set(error.causes) <= {*error.unknown, *error.not_applied}
        now = stored(self.table, self.user_id)
        assert error.existing == []
        for key in error.applied:
            assert now.get(key) == self.means.get(key), key
        for key in error.not_applied:
            assert now.get(key) == self.before.get(key), key
        for key in error.unknown:
            assert now.get(key) in (self.before.get(key), self.means.get(key)), key
        for key in self.before.keys() - self.pending:
            assert now[key] == self.before[key]
        assert now.keys() <= self.before.keys() | self.means.keys()

    def check_done(self) -> None:
        assert stored(self.table, self.user_id) == self.means


def failure_of(work: Work) -> CommitError | None:
    try:
        work.unit.commit()
    except CommitError as error:
        return error
    return None


possible_faults = st.sampled_from(
    [*AFTER_APPLYING[:-1], *BEFORE_APPLYING, faults.Partial(keep=0), faults.Partial(keep=7)]
)
schedules = st.lists(
    st.none() | possible_faults | st.sampled_from([*FINAL, AFTER_APPLYING[-1]]), max_size=12
)


@given(planned=schedules, for_ever=st.none() | possible_faults, lock=st.booleans())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_account_is_true(
    straight: DataStore,
    patient: DataStore,
    hasty: DataStore,
    proxy: FaultyProxy,
    planned: Any,
    for_ever: Any,
    lock: bool,
) -> None:
    """Whatever goes wrong, applied is in the table, not applied is not, and a second commit ends
    with exactly what was meant."""
    slow = any(isinstance(fault, Slow) for fault in planned)
    proxy.schedule = None
    work = Work(straight, hasty if slow else patient, lock=lock)
    left = iter(planned)
    proxy.schedule = lambda number, operation, request: next(left, for_ever)
    error = failure_of(work)
    if error is not None:
        work.check(error)
        proxy.schedule = None
        again = work.unit.commit()
        assert set(again.applied) == {*error.not_applied, *error.unknown}
        assert again.existing == []
    work.check_done()
    assert work.unit.commit().requests == 0


@given(
    planned=st.lists(
        st.none()
        | st.sampled_from([*AFTER_APPLYING[:-1], *BEFORE_APPLYING, *FINAL])
        | st.builds(faults.TransactionInProgress, applied=st.booleans()),
        max_size=2 * ATTEMPTS,
    )
)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_account_of_an_atomic_unit_is_true(
    straight: DataStore, store: DataStore, proxy: FaultyProxy, planned: Any
) -> None:
    """A transaction is applied whole, not at all, or unknown, and once however often it is sent."""
    proxy.schedule = None
    work = Work(straight, store, atomic=True)
    proxy.schedule = in_turn(*planned)
    while (error := failure_of(work)) is not None:
        work.check(error)
        assert work.pending in (set(error.not_applied), set(error.unknown))
    work.check_done()
    tokens = [request["ClientRequestToken"] for _, request in proxy.forwarded]
    assert len(tokens) - len(set(tokens)) <= len(planned)


@pytest.mark.parametrize("fault", AFTER_APPLYING, ids=str)
def test_a_lost_reply_is_met_again(
    straight: DataStore, store: DataStore, proxy: FaultyProxy, fault: Any
) -> None:
    """A commit of which every first reply is lost applies completely, each write once."""
    work = Work(straight, store)
    seen: set[Any] = set()

    def first_of_each(number: int, operation: str, request: Any) -> Any:
        batch = request.get("RequestItems", {}).get(store.table_name, ())
        names = {str(key_of(entry)) for entry in batch} or {str(key_of(request))}
        fresh = not names & seen
        seen.update(names)
        return fault if fresh else None

    proxy.schedule = first_of_each
    assert set(work.unit.commit().applied) == work.pending
    work.check_done()


def key_of(entry: Any) -> Any:
    (entry,) = entry.values() if len(entry) == 1 else (entry,)
    return (entry.get("Item") or entry["Key"])["recordKey"]["S"]


@pytest.mark.parametrize("fault", AFTER_APPLYING, ids=str)
def test_an_add_is_applied_once(
    straight: DataStore, store: DataStore, proxy: FaultyProxy, fault: Any
) -> None:
    """An add whose replies are all lost is unknown; what somebody else made of it meanwhile stays,
    since it is never written a second time."""
    user_id = new_user_id()
    unit = store.user(user_id).unit_of_work()
    added = [unit.add(goal(number)) for number in range(5)]
    proxy.schedule = always(fault)
    with pytest.raises(CommitError) as caught:
        unit.commit()
    assert set(caught.value.unknown) == {record.record_key for record in added}
    assert all(isinstance(e, OutcomeUnknownError) for e in caught.value.causes.values())
    other = straight.user(user_id).get(SavingsGoal, added[0].record_id)
    assert other is not None
    other.data.current_amount = 77
    straight.user(user_id).update(other)
    proxy.schedule = None
    unit.commit()
    now = stored(straight, user_id)
    assert len(now) == 5
    assert now[added[0].record_key].current_amount == 77


@pytest.mark.parametrize("fault", BEFORE_APPLYING, ids=str)
def test_what_was_never_performed_is_not_in_the_table(
    straight: DataStore, store: DataStore, proxy: FaultyProxy, fault: Any
) -> None:
    """Where every request fails before it is performed nothing is called applied, and the next
    commit does all of it."""
    work = Work(straight, store)
    proxy.schedule = always(fault)
    sure = isinstance(fault, faults.Throttle | faults.TransactionConflict)
    if isinstance(fault, faults.TransactionConflict):
        proxy.schedule = always(fault, "PutItem", "UpdateItem", "DeleteItem")
    with pytest.raises(CommitError) as caught:
        work.unit.commit()
    work.check(caught.value)
    if not isinstance(fault, faults.TransactionConflict):
        assert caught.value.applied == []
    assert bool(caught.value.unknown) is not sure
    proxy.schedule = None
    work.unit.commit()
    work.check_done()


@pytest.mark.parametrize("fault", FINAL, ids=str)
def test_a_final_refusal_midway(
    straight: DataStore, store: DataStore, proxy: FaultyProxy, fault: Any
) -> None:
    """Denied access in the middle of a commit ends it: what went before stays applied, and nothing
    more is started."""
    work = Work(straight, store)
    proxy.schedule = lambda number, operation, request: fault if number >= 2 else None
    with pytest.raises(CommitError) as caught:
        work.unit.commit()
    work.check(caught.value)
    assert caught.value.applied
    assert caught.value.unknown == []
    kinds = (AccessDeniedError, TableNotFoundError)
    assert all(isinstance(cause, kinds) for cause in caught.value.causes.values())
    assert proxy.sent() <= 2 + CONCURRENCY
    proxy.schedule = None
    work.unit.commit()
    work.check_done()


def test_a_batch_that_shrinks_goes_on(
    straight: DataStore, store: DataStore, proxy: FaultyProxy
) -> None:
    """A batch of which the service takes one entry at a time is finished, however many tries it
    takes."""
    user_id = new_user_id()
    unit = store.user(user_id).unit_of_work()
    for number in range(25):
        unit.add(goal(number))
    proxy.schedule = always(faults.Partial(keep=1))
    result = unit.commit()
    assert result.requests == proxy.sent() == 25
    assert proxy.sent("BatchWriteItem") == 24  # the last entry alone is a PutItem
    assert len(stored(straight, user_id)) == 25


def test_a_batch_that_does_not_shrink_ends(
    straight: DataStore, store: DataStore, proxy: FaultyProxy
) -> None:
    """A batch of which nothing is ever processed ends as throttled, and not applied."""
    user_id = new_user_id()
    unit = store.user(user_id).unit_of_work()
    keys = {unit.add(goal(number)).record_key for number in range(5)}
    proxy.schedule = always(faults.Partial(keep=0))
    with pytest.raises(CommitError) as caught:
        unit.commit()
    assert set(caught.value.not_applied) == keys
    assert all(isinstance(cause, ThrottledError) for cause in caught.value.causes.values())
    assert proxy.sent() == ATTEMPTS
    assert stored(straight, user_id) == {}


def test_keys_left_unprocessed(straight: DataStore, store: DataStore, proxy: FaultyProxy) -> None:
    """A batch get is whole however few keys a reply answers, consistent in every retry, and
    ThrottledError where none is answered."""
    user_id = new_user_id()
    with straight.user(user_id).unit_of_work() as work:
        records = [work.add(goal(number)) for number in range(30)]
    keys = [(SavingsGoal, record.record_id) for record in records]
    proxy.schedule = always(faults.Partial(keep=9))
    found = store.user(user_id).get_many(keys, consistent=True)
    assert [record.data for record in found] == [record.data for record in records]
    assert proxy.sent("BatchGetItem") == 4
    for _, request in proxy.requests:
        (wanted,) = request["RequestItems"].values()
        assert wanted["ConsistentRead"] is True
    proxy.schedule = always(faults.Partial(keep=0))
    with pytest.raises(ThrottledError):
        store.user(user_id).get_many(keys)
    assert proxy.sent() == ATTEMPTS


READING = [*AFTER_APPLYING, *BEFORE_APPLYING[:4]]


@pytest.mark.parametrize("fault", READING, ids=str)
def test_reading_again(
    straight: DataStore, store: DataStore, proxy: FaultyProxy, fault: Any
) -> None:
    """A read that failed on its way is sent again and whole; a reply that is cut or changed is
    never taken for the truth."""
    user_id = new_user_id()
    with straight.user(user_id).unit_of_work() as work:
        records = [work.put(goal(number), record_id=f"{number:02}") for number in range(12)]
    user = store.user(user_id)
    means = [record.data for record in records]
    proxy.schedule = in_turn(fault)
    assert [record.data for record in user.list(SavingsGoal)] == means
    proxy.schedule = in_turn(fault)
    got = user.get(SavingsGoal, "03")
    assert got is not None
    assert got.data == means[3]
    proxy.schedule = in_turn(fault)
    assert [r.data for r in user.get_many([(SavingsGoal, f"{n:02}") for n in range(12)])] == means
    assert proxy.sent() == 2


def test_a_list_is_whole_or_an_error(
    straight: DataStore, store: DataStore, proxy: FaultyProxy
) -> None:
    """A second page that cannot be read raises, naming the page, and gives no short list."""
    user_id = new_user_id()
    with straight.user(user_id).unit_of_work() as work:
        for number in range(4):
            data = SavingsGoalData(name="x" * 390_000, target_amount=number)
            work.put(data, record_id=str(number))
    pages = itertools.count(1)
    proxy.schedule = lambda number, operation, request: (
        None if next(pages) == 1 else faults.ServerError(503)
    )
    with pytest.raises(UnavailableError, match="page 2"):
        store.user(user_id).list_all()
    assert proxy.sent() == 1 + ATTEMPTS
    proxy.schedule = None
    assert len(store.user(user_id).list_all()) == 4


# Single writes


def do_add(user: Any, record: Any) -> Any:
    return user.add(record) if record is not None else user.add(goal(1))


def do_add_given(user: Any, record: Any) -> Any:
    return user.add(record) if record is not None else user.add(goal(1), record_id="given")


def do_put(user: Any, record: Any) -> Any:
    return user.put(record) if record is not None else user.put(goal(1), record_id="put")


def do_update(user: Any, record: Any) -> Any:
    if record is None:
        record = user.get(SavingsGoal, "old")
        record.data.current_amount += 500
    return user.update(record)


def do_delete(user: Any, record: Any) -> Any:
    return user.delete(record if record is not None else user.get(SavingsGoal, "old"))


ENDS = {
    do_add: ({1000, 1001}, 0),
    do_add_given: ({1000, 1001}, 0),
    do_put: ({1000, 1001}, 0),
    do_update: ({1000}, 500),
    do_delete: (set(), 0),
}
WRITES = ["PutItem", "UpdateItem", "DeleteItem"]


def targets(store: DataStore, user_id: str) -> tuple[set[int], int]:
    """The target amounts of a user's goals, and the sum of what they have."""
    data = stored(store, user_id).values()
    amounts = [int(each.target_amount) for each in data]
    assert len(amounts) == len(set(amounts))
    return set(amounts), int(sum(each.current_amount for each in data))


@pytest.mark.parametrize(
    ("write", "fault"),
    [
        pytest.param(write, fault, id=f"{write.__name__}-{fault}")
        for write in ENDS
        for fault in [*AFTER_APPLYING, *BEFORE_APPLYING, *FINAL]
        if write is do_update or not isinstance(fault, Slow)  # it takes its time
    ],
)
def test_the_outcome_of_a_single_write(
    straight: DataStore, store: DataStore, proxy: FaultyProxy, write: Any, fault: Any
) -> None:
    """The error of a single write says what is known, and the call repeated with its record is the
    same write: applied once, never a conflict with itself."""
    user_id = new_user_id()
    straight.user(user_id).put(goal(0), record_id="old")
    before = targets(straight, user_id)
    user = store.user(user_id)
    proxy.schedule = always(fault, *WRITES)
    with pytest.raises(ThriveCalcError) as caught:
        write(user, None)
    error = caught.value
    performed = fault in AFTER_APPLYING
    sure = isinstance(fault, (faults.Throttle, faults.TransactionConflict, *map(type, FINAL)))
    assert error.outcome == ("not applied" if sure else "unknown")
    assert targets(straight, user_id) == (ENDS[write] if performed else before)
    assert error.record is not None
    # Once more in vain, then for good.
    proxy.schedule = always(fault, *WRITES)
    with suppress(ThriveCalcError):
        write(user, error.record)
    proxy.schedule = None
    write(user, error.record)
    assert targets(straight, user_id) == ENDS[write]


@pytest.mark.parametrize("fault", AFTER_APPLYING, ids=str)
def test_replacing_data_twice(
    straight: DataStore, store: DataStore, proxy: FaultyProxy, fault: Any
) -> None:
    """A replacement whose reply was lost is sent again and applied; one that never gets a reply is
    unknown."""
    user_id = new_user_id()
    straight.user(user_id).put(goal(0), record_id="old")
    new = {"name": "New", "targetAmount": 5}
    proxy.schedule = in_turn(fault)
    record = store.user(user_id).replace_data(SavingsGoal, "old", new)
    assert record.data.target_amount == 5
    assert proxy.sent("UpdateItem") == 2
    proxy.schedule = always(fault)
    with pytest.raises(OutcomeUnknownError) as caught:
        store.user(user_id).replace_data(SavingsGoal, "old", new | {"targetAmount": 6})
    assert caught.value.outcome == "unknown"
    assert targets(straight, user_id) == ({6}, 0)


def test_closing_an_account_in_a_storm(
    straight: DataStore, store: DataStore, proxy: FaultyProxy
) -> None:
    """delete_all with lost replies either leaves nothing or says what it deleted; called again it
    leaves nothing."""
    user_id = new_user_id()
    with straight.user(user_id).unit_of_work() as work:
        keys = {work.add(goal(number)).record_key for number in range(60)}
        keys.add(
            work.add(BudgetData(name=EMAIL, period="monthly", limits={"food": AMOUNT})).record_key
        )
    proxy.schedule = lambda number, operation, request: (
        faults.LoseReply(applied=number % 2 == 0) if operation != "Query" else None
    )
    with pytest.raises(CommitError) as caught:
        store.user(user_id).delete_all()
    now = stored(straight, user_id)
    assert not set(caught.value.applied) & now.keys()
    assert set(caught.value.not_applied) <= now.keys()
    proxy.schedule = None
    store.user(user_id).delete_all()
    assert stored(straight, user_id) == {}
    assert store.user(user_id).list(Budget) == []
