"""What a crash report shows: it prints every local of every frame, finished or not."""

from __future__ import annotations

import enum
import inspect
import traceback

import pytest

import thrivecalc_models
from thrivecalc_models import (
    DataStore,
    InvalidKeyError,
    InvalidRecordError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
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
