"""Frozen values compare, hash and print by their fields."""

from __future__ import annotations

import attrs

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
