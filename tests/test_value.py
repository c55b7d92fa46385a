"""Frozen values compare, hash and print by their fields."""

from __future__ import annotations

import importlib
import inspect
import traceback

import attrs
import pytest

from thrivecalc_models import ConfigurationError, DataStore
from thrivecalc_models.value import Value


@attrs.frozen(eq=False, repr=False)
class Point(Value):
    x: int
    y: int = attrs.field(default=0, repr=False)
    seen: float = attrs.field(default=0.0, eq=False)


@attrs.frozen(eq=False, repr=False)
class Other(Value):
    x: int
    y: int = 0


class Nothing(Value):
    __slots__ = ()


def test_a_value_is_what_its_fields_say():
    """Values of one class are equal, and hash alike, where the fields that count are."""
    assert Point(1, 2, 3.0) == Point(1, 2, 4.0) != Point(1, 3, 3.0)
    assert len({Point(1, 2, 3.0), Point(1, 2, 4.0), Point(1, 3)}) == 2
    assert Nothing() == Nothing()


def test_values_of_two_classes_differ():
    """Two classes have no value in common, whatever their fields."""
    assert Point(1) != Other(1)
    assert Point(1) != (1, 0)


def test_a_repr_leaves_out_what_is_not_to_be_shown():
    """A field with `repr=False` is not printed."""
    assert repr(Point(1, 2)) == "Point(x=1, seen=0.0)"
    assert repr(Nothing()) == "Nothing()"


MODULES = ["", ".signals", ".testing", ".table", ".transport", ".operations", ".protocol", ".local"]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_half_made_can_be_printed(module):
    """No class has a repr that raises where `__init__` has not run, or has ended early."""
    found = 0
    for name, cls in vars(importlib.import_module(f"thrivecalc_models{module}")).items():
        if not (inspect.isclass(cls) and cls.__module__.startswith("thrivecalc_models")):
            continue
        if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False):
            continue
        try:
            empty = cls.__new__(cls)
        except TypeError:  # an enum, or one whose __new__ takes arguments
            continue
        assert isinstance(repr(empty), str), name
        found += 1
    assert found


def test_a_crash_reporter_that_shows_locals():
    """What shows the locals of a traceback can show those of a store that was refused."""
    try:
        DataStore(endpoint="http://127.0.0.1:9", max_concurrency=0)
    except ConfigurationError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        text = "".join(shown.format())
    assert "<DataStore, half made>" in text
    assert "repr() failed" not in text
