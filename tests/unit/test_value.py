"""Frozen values compare, hash and print by their fields, and cannot be changed."""

from __future__ import annotations

import attrs
import pytest

from thrivecalc_models.operations import Failure, FailureKind
from thrivecalc_models.value import frozen, internal


@frozen
class Point:
    x: int
    y: int = attrs.field(default=0, repr=False)
    seen: float = attrs.field(default=0.0, eq=False)


@frozen(kw_only=True)
class Named:
    name: str

    def __repr__(self):
        return f"<{self.name}>"


@internal
class Place:
    x: int
    y: int = attrs.field(default=0, repr=False)
    seen: float = attrs.field(default=0.0, eq=False)


@frozen
class Nothing:
    pass


@pytest.mark.parametrize("cls", [Point, Place])
def test_a_value_is_what_its_fields_say(cls):
    """Values of one class are equal, and hash alike, where the fields that count are."""
    assert cls(1, 2, 3.0) == cls(1, 2, 4.0) != cls(1, 3, 3.0)
    assert len({cls(1, 2, 3.0), cls(1, 2, 4.0), cls(1, 3)}) == 2
    assert Nothing() == Nothing()
    assert len({Point(1), Place(1), Nothing()}) == 3


@pytest.mark.parametrize(
    "value", [Point(1), Named(name="a"), Failure(kind=FailureKind.CLOSED, code="")]
)
def test_a_value_cannot_be_changed(value):
    """No field of a value can be set, and none can be added."""
    for name in (*attrs.asdict(value), "other"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, name, 2)


def test_a_repr_leaves_out_what_is_not_to_be_shown():
    """A field with `repr=False` is not printed."""
    assert repr(Point(1, 2)) == "Point(x=1, seen=0.0)"
    assert repr(Place(1, 2)) == "Place(x=1, seen=0.0)"
    assert repr(Named(name="a")) == "<a>"


@pytest.mark.parametrize("cls", [Point, Place, Named])
def test_a_half_made_value_has_a_repr(cls):
    """A value whose fields are not set yet is printed as half made, by a repr of its own, too."""
    assert repr(cls.__new__(cls)) == f"<{cls.__name__}, half made>"
