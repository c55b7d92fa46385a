"""What a crash report shows: it prints every local of every frame, finished or not."""

from __future__ import annotations

import enum
import inspect
import traceback

import pytest
from pynamodb.exceptions import PynamoDBException

import thrivecalc_models
from thrivecalc_models import (
    DataStore,
    InvalidKeyError,
    InvalidRecordError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    ThriveCalcError,
    data_store,
    errors,
    local,
    operations,
    protocol,
    signals,
    table,
    testing,
    transport,
    whole_table,
)
from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.testing import faults, simulated_store
from thrivecalc_models.wire import masked_user

MODULES = [
    thrivecalc_models,
    errors,
    faults,
    local,
    operations,
    protocol,
    signals,
    table,
    testing,
    transport,
    whole_table,
]
CLASSES = sorted(
    {
        each
        for module in MODULES
        for each in vars(module).values()
        if inspect.isclass(each)
        and each.__module__.startswith("thrivecalc_models")
        and not issubclass(each, enum.Enum)
    },
    key=lambda each: (each.__module__, each.__qualname__),
)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualname__)
def test_a_half_made_object_can_be_shown(cls):
    """The repr of an object of any public class raises nothing, however little is in it yet."""
    if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False):
        pytest.skip("there are no objects of this class")
    assert isinstance(repr(cls.__new__(cls)), str)


def test_the_repr_of_a_record():
    """The repr of a record shows its class and record id, and nothing else."""
    record = SavingsGoal(
        "u", record_id="rainy-day", data=SavingsGoalData(name="n", target_amount=1)
    )
    assert repr(record) == "<SavingsGoal rainy-day>"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: DataStore(max_concurrency=0), ConfigurationError),
        (lambda: DataStore(transport="x"), ConfigurationError),
        (lambda: DataStore(endpoint="http://example.com"), ConfigurationError),
        (lambda: simulated_store(testing.SimulatedTable()).user(""), InvalidKeyError),
        (lambda: SavingsGoal("", data=SavingsGoalData(name="n", target_amount=1)), InvalidKeyError),
        (lambda: SavingsGoalData(name="n", target_amount="x"), InvalidRecordError),
        (lambda: RetryPolicy(attempts=0), ConfigurationError),
        (lambda: faults.Late(after=0), ValueError),
        (lambda: SavingsGoal.data["target_amount"] == 5, InvalidRecordError),
    ],
)
def test_a_report_of_a_failed_call(make, error):
    """A report with all locals can be made of whatever a constructor raises."""
    with pytest.raises(error) as caught:
        make()
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "repr() failed" not in "".join(report.format())


METHODS = {
    "save": lambda user, record: record.save(),
    "save a new one": lambda user, record: SavingsGoal("u", data=record.data).save(),
    "update": lambda user, record: record.update(actions=[SavingsGoal.data["priority"].set(1)]),
    "delete": lambda user, record: record.delete(),
    "refresh": lambda user, record: record.refresh(),
    "get": lambda user, record: SavingsGoal.get("u", record.record_key),
    "batch write": lambda user, record: save_in_a_batch(record),
    "user.update": lambda user, record: user.update(record),
    "user.put": lambda user, record: user.put(record),
    "a unit": lambda user, record: user.run(lambda work: work.put(record)),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("fault", [faults.Denied(), faults.LoseReply(applied=True)], ids=str)
def test_frames_hold_no_items(method, fault):
    """A report with all locals of a request that failed shows nothing of the record, in our
    frames."""
    simulated = testing.SimulatedTable()
    store = simulated_store(simulated, retry=RetryPolicy(attempts=1))
    data_store.configure(store)
    try:
        user = store.user("u")
        user.put(SavingsGoalData(name="Zebra", target_amount=98765), record_id="a")
        record = user.get(SavingsGoal, "a")
        record.data.current_amount = 12345
        simulated.fail_always(fault)
        with pytest.raises((ThriveCalcError, PynamoDBException)) as caught:
            method(user, record)
    finally:
        data_store.configure(None)
    shown = "".join(
        f"{name}={value!r}" for frame in frames_of(caught.value) for name, value in frame.items()
    )
    for secret in ("Zebra", "98765", "12345"):
        assert secret not in shown


def save_in_a_batch(record):
    with SavingsGoal.batch_write() as batch:
        batch.save(record)


def frames_of(error):
    """The locals of our own frames, in the tracebacks of an error and of what is behind it."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals["__name__"].startswith("thrivecalc_models"):
                yield dict(frame.f_locals)
        error = error.__cause__ or error.__context__


def test_the_key_of_an_item_shows_its_record():
    """A key shows which record it names, and its user only as the hash that logs have, too."""
    key = operations.Key("google-oauth2|123456789", "savings-goal#fund")
    assert repr(key) == f"Key({masked_user('google-oauth2|123456789')}, savings-goal#fund)"
