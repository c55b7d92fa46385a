"""Annotations of payload fields: what can be known at the definition, and what is said later."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types
import typing
from decimal import Decimal
from typing import Any

import attrs
import pytest

from thrivecalc_models import (
    Amount,
    InvalidRecordError,
    payload,
)

# In a process of its own, since its class breaks whatever uses all registered ones.
UNRESOLVED = """
from __future__ import annotations

from typing import TYPE_CHECKING

from thrivecalc_models import ConfigurationError, PayloadAttribute, UserRecord, payload, read_item
from thrivecalc_models.testing import SimulatedTable, simulated_store

if TYPE_CHECKING:
    from datetime import date

@payload
class UnresolvedData:
    name: str
    on: date

class Unresolved(UserRecord, discriminator="x-unresolved"):
    data = PayloadAttribute(UnresolvedData)

item = {
    "userId": {"S": "u"},
    "recordKey": {"S": "x-unresolved#1"},
    "dataType": {"S": "x-unresolved"},
    "recordId": {"S": "1"},
    "createdAt": {"S": "2025-01-07T12:30:00.000Z"},
    "updatedAt": {"S": "2025-01-07T12:30:00.000Z"},
    "data": {"M": {"name": {"S": "a"}, "on": {"S": "2025-01-07"}}},
}
table = SimulatedTable()
table.put(item)
user = simulated_store(table).user("u")

records = [user.get(Unresolved, "1"), *user.list(Unresolved), *user.list_all(), read_item(item)]
for record in records:
    assert isinstance(record, Unresolved)
    assert record.record_id == "1"
    for use in (
        lambda: record.data,
        lambda: record.malformed,
        lambda: record.malformed,
        lambda: record.problems,
        lambda: record.extra_data,
        lambda: UnresolvedData(name="a", on="2025-01-07"),
        lambda: user.add("x-unresolved", {"name": "a"}),
    ):
        try:
            use()
        except ConfigurationError as error:
            assert "UnresolvedData.on uses date" in str(error), error
            assert "TYPE_CHECKING" in str(error), error
            assert error.__context__ is None
        else:
            raise AssertionError("nothing was said")
    assert record.item == item
user.delete(record)
"""


def test_an_annotation_that_names_nothing_says_where_and_what_to_do():
    """Every use of the class names class, field and the way out; stored items become records."""
    subprocess.run([sys.executable, "-c", UNRESOLVED], check=True, timeout=60)


def test_classes_of_a_function_can_name_each_other():
    """Classes in a function are found where an annotation is text, and so is the class itself."""

    @payload
    class Leaf:
        weight: Amount

    @payload
    class Tree:
        leaves: list[Leaf]
        trees: list[Tree] | None = None

    @payload
    class Forest(Tree):
        oldest: Leaf | None = None

    leaf = Leaf(weight=1)
    forest = Forest(leaves=(leaf,), trees=[Tree(leaves=[leaf])], oldest=leaf)
    assert forest.leaves[0].weight == Decimal(1)
    with pytest.raises(InvalidRecordError) as caught:
        Tree(leaves=[leaf], trees=[leaf])
    assert caught.value.path == "data.trees[0]"


def test_a_known_annotation_is_refused_at_once_whatever_the_others_are():
    """A field that the table cannot hold is a TypeError at the definition, beside unknown names."""
    with pytest.raises(TypeError, match=r"Odd\.number: a payload field cannot be"):

        @payload
        class Odd:
            later: list[NotYetDefined]  # type: ignore[name-defined]  # noqa: F821
            number: complex


def test_an_annotation_that_is_no_code_is_refused_at_once():
    """Text that is no annotation is a TypeError at the definition, with class and field."""
    with pytest.raises(TypeError, match=r"Odd\.number has an annotation that cannot be read"):
        payload(type("Odd", (), {"__annotations__": {"number": "no code"}}))


def test_a_field_without_an_annotation_is_refused():
    """A field whose class does not say what it holds is a TypeError with class and field."""
    with pytest.raises(TypeError, match=r"Odd\.number has no annotation"):
        payload(type("Odd", (), {"number": attrs.field(default=1)}))


def test_a_class_inherits_annotations_of_another_module():
    """An inherited field is read with the names of the module that defines it."""
    module = types.ModuleType("x_module_of_a_payload")
    sys.modules[module.__name__] = module
    code = """
        from __future__ import annotations
        from datetime import date as day
        from thrivecalc_models import payload

        @payload
        class Base:
            on: day
            others: list[Other] | None = None

        @payload
        class Other:
            name: str
    """
    exec(textwrap.dedent(code), vars(module))

    @payload
    class Derived(module.Base):  # type: ignore[misc,name-defined]
        name: str = ""

    made: Any = Derived(on="2025-01-07", others=[module.Other(name="a")])
    assert made.on.year == 2025
    assert made.others[0].name == "a"
    del sys.modules[module.__name__]


def test_hints_of_a_payload_class_can_be_read_where_it_is_defined():
    """Whoever reads the hints of `__init__` needs no name that the module does not have."""
    module = types.ModuleType("x_module_with_few_names")
    sys.modules[module.__name__] = module
    code = """
        from __future__ import annotations
        from attrs import field
        from thrivecalc_models import Amount, payload

        @payload
        class Few:
            name: str
            amount: Amount
            lengths: list[Amount]
            other: Later | None = None
            stripped: str = field(default="", converter=str.strip)

        class Later: pass
    """
    exec(textwrap.dedent(code), vars(module))
    hints = typing.get_type_hints(module.Few.__init__)
    assert set(hints) == {"name", "amount", "lengths", "other", "stripped", "return"}
    del sys.modules[module.__name__]


Label = typing.NewType("Label", str)
Money = typing.NewType("Money", Amount)  # type: ignore[misc]
Bonus = typing.NewType("Bonus", Money)  # type: ignore[misc]


@payload
class NamedKinds:
    label: Label
    bonus: Bonus
    labels: set[Label]
    by_label: dict[Label, Money | None]
    maybe: Money | None = None


def test_a_new_type_is_what_it_stands_for():
    """A NewType of a kind of field takes and reads what that kind does, wherever it stands."""
    made = NamedKinds(
        label=Label("a"),
        bonus=5,  # type: ignore[arg-type]
        labels={Label("b")},
        by_label={Label("c"): "2"},  # type: ignore[dict-item]
    )
    assert (made.bonus, made.by_label) == (Decimal(5), {"c": Decimal(2)})
    with pytest.raises(InvalidRecordError):
        made.label = 5  # type: ignore[assignment]
    with pytest.raises(TypeError, match="a payload field cannot be"):
        payload(type("Odd", (), {"__annotations__": {"x": typing.NewType("X", complex)}}))


ALIASES = """
from thrivecalc_models import Amount, payload

type Shares = Amount
type Maybe = Shares | None
type Names = list[str]
type Later = list[Defined]
type Circle = list[Circle]

@payload
class Aliased:
    maybe: Maybe = None
    names: Names = ()
    more: Maybe | None = None
    later: Later = ()

@payload
class Defined:
    name: str
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is of Python 3.12")
def test_an_alias_is_what_it_stands_for():
    """`type X = ...` is its value, one that is defined later too; one of itself is refused."""
    module = types.ModuleType("x_module_of_aliases")
    sys.modules[module.__name__] = module
    names = vars(module)
    exec(ALIASES, names)
    made = names["Aliased"](maybe="5", names=("a",), later=[names["Defined"](name="b")])
    assert (made.maybe, made.names, made.later[0].name) == (Decimal(5), ["a"], "b")
    with pytest.raises(TypeError, match="holds itself"):
        payload(type("Odd", (), {"__annotations__": {"x": names["Circle"]}}))
    del sys.modules[module.__name__]
