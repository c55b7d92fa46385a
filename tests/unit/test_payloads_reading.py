"""Reading writes nothing, whatever a payload class does when one is made."""

from __future__ import annotations

import copy
import itertools
import warnings
from datetime import date
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_types import Person

from thrivecalc_models import (
    Amount,
    CorruptItemError,
    InvalidRecordError,
    PayloadAttribute,
    UserRecord,
    payload,
    read_item,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own

NUMBERS = itertools.count()


def fresh() -> str:
    """Another text each time, as a uuid would be."""
    return f"made {next(NUMBERS)}"


def another(value: Any) -> Any:
    """A converter that gives another value whenever it runs."""
    match value:
        case bool() | None:
            return value
        case str():
            return f"{value}{next(NUMBERS)}"
        case int() | Decimal():
            return (value + 1) % 1000
        case list() | tuple():
            return [*reversed(value)]
        case set():
            return {*value, fresh()}
        case dict():
            return dict(reversed(value.items()))
        case Person():
            return Person(name=fresh(), share=1)
    return value


def same(value: Any) -> Any:
    return value


def accept(instance: Any, attribute: Any, value: Any) -> None:
    pass


@payload
class Ticket:
    """A payload that is made anew each time, in every way."""

    number: str = attrs.field(factory=fresh)
    words: list[str] = attrs.field(default=(), converter=another)
    note: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.note is None:
            self.note = fresh()


DEFAULTS: dict[Any, list[Any]] = {
    str: ["a", attrs.Factory(fresh)],
    str | None: [None, "a", attrs.Factory(fresh)],
    int: [1, attrs.Factory(lambda: next(NUMBERS))],
    bool: [True],
    Amount: [0, "1.50", attrs.Factory(lambda: next(NUMBERS))],
    date: [date(2025, 1, 7)],
    bytes: [b"a"],
    list[str]: [(), ["a"], attrs.Factory(lambda: [fresh()])],
    set[str]: [frozenset(), {"a"}, attrs.Factory(lambda: {fresh()})],
    dict[str, Amount]: [{}, {"a": "5"}, attrs.Factory(lambda: {fresh(): 1})],
    list[Person]: [(), attrs.Factory(lambda: [Person(name=fresh())])],
    Person | None: [None, Person(name="a"), attrs.Factory(lambda: Person(name=fresh()))],
    Ticket: [Ticket(), attrs.Factory(Ticket)],
    list[Ticket]: [(), attrs.Factory(lambda: [Ticket()])],
    dict[str, Ticket]: [{}],
    Any: [None, attrs.Factory(fresh), [1, {"a": (0.5,)}]],
}
SETTING = [None, None, attrs.setters.NO_OP, attrs.setters.convert, attrs.setters.validate]


def touch_all(self: Any) -> None:
    """A hook that sets and edits what it finds."""
    for field in attrs.fields(type(self)):
        value = getattr(self, field.name)
        if isinstance(value, str):
            setattr(self, field.name, fresh())
        elif isinstance(value, list):
            value.extend(value[:1])
        elif isinstance(value, dict) and value:
            value[fresh()] = next(iter(value.values()))


def set_past_attrs(self: Any) -> None:
    """A hook that sets values which were not converted."""
    for field in attrs.fields(type(self)):
        value = getattr(self, field.name)
        if isinstance(value, date):
            object.__setattr__(self, field.name, value.isoformat())
        elif isinstance(value, Decimal):
            object.__setattr__(self, field.name, "31337")


HOOKS = [None, None, same, touch_all, set_past_attrs]


@st.composite
def fields(draw) -> tuple[Any, Any]:
    annotation = draw(st.sampled_from([*DEFAULTS]))
    return annotation, attrs.field(
        default=draw(st.sampled_from([attrs.NOTHING, *DEFAULTS[annotation]])),
        converter=draw(st.sampled_from([None, None, same, another])),
        validator=draw(st.sampled_from([None, None, accept])),
        on_setattr=draw(st.sampled_from(SETTING)),
    )


@st.composite
def payload_classes(draw) -> type:
    """A payload class of any fields, with any factories, converters, validators and hook."""
    drawn = draw(st.lists(fields(), min_size=1, max_size=4))
    body: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    for number, (annotation, field) in enumerate(drawn):
        body["__annotations__"][f"field{number}"] = annotation
        body[f"field{number}"] = field
    hook = draw(st.sampled_from(HOOKS))
    if hook is not None:
        body["__attrs_post_init__"] = hook
    return payload(type("DrawnData", (), body))


def record_class_of(payload_class: type) -> type[UserRecord]:
    """A record class of a payload class, which takes the place of the one before it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)

        class Drawn(UserRecord, discriminator="x-drawn"):
            data = PayloadAttribute[Any](payload_class)

    return Drawn


@pytest.fixture(scope="module", autouse=True)
def _nothing_odd_is_left():
    """Other tests draw from all registered classes."""
    yield
    record_class_of(Person)


MEMBERS: dict[Any, Any] = {
    list[Person]: Person(name="edited"),
    list[Ticket]: Ticket(),
    dict[str, Amount]: 31337,
    dict[str, Ticket]: Ticket(),
}


def edit(data: Any, field: Any) -> None:
    """Change a field, in place where it can be."""
    name, value = field.name, getattr(data, field.name)
    member = copy.deepcopy(MEMBERS.get(field.type, "edited"))
    match value:
        case list():
            value.append(member)
        case set() if field.type is not Any:
            value.add(member)
        case set():
            setattr(data, name, member)
        case dict():
            value[member if isinstance(member, str) else "edited"] = member
        case Person():
            value.name = f"{value.name} edited"
        case Ticket():
            value.number = f"{value.number} edited"
        case None:
            setattr(data, name, Person(name="x") if field.type == Person | None else "x")
        case bool():
            setattr(data, name, not value)
        case str():
            setattr(data, name, "2001-02-03" if field.type is date else f"{value} edited")
        case int() | Decimal():
            setattr(data, name, 5 if value != 5 else 6)
        case date():
            setattr(data, name, date(2001, 2, 3))
        case bytes():
            setattr(data, name, value + b"edited")


@st.composite
def stored(draw) -> tuple[SimulatedTable, type[UserRecord], dict[str, Any]]:
    """A table with one item of a drawn class."""
    record_class = record_class_of(draw(payload_classes()))
    item = draw(own.stored_items(record_class, "u", record_id="1"))
    table = SimulatedTable()
    table.put(item)
    return table, record_class, item


def read_all(record: Any) -> None:
    _ = (record.data, record.extra_data, record.extra_attributes, record.problems, record.ttl)
    for field in attrs.fields(type(record.data)):
        getattr(record.data, field.name)


@given(stored())
def test_reading_writes_nothing(drawn):
    """A record that was only read is not written, whatever its class makes of it."""
    table, record_class, item = drawn
    user = simulated_store(table).user("u")
    with user.unit_of_work(include_expired=True) as work:
        (record,) = work.list(record_class)
        read_all(record)
        assert not work.plan().requests
    record = user.get(record_class, "1", include_expired=True)
    read_all(record)
    user.update(record)
    assert table.get("u", record.record_key) == item
    assert table.sent("UpdateItem") == table.sent("PutItem") == 0
    user.put(record)
    after = table.get("u", record.record_key)
    assert {**after, "updatedAt": None} == {**item, "updatedAt": None}


@given(stored(), st.data())
def test_one_edited_field_is_written_alone(drawn, data):
    """Of a record with one edit that field is written; all else stays as stored, byte for byte."""
    table, record_class, item = drawn
    user = simulated_store(table).user("u")
    work = user.unit_of_work(include_expired=True)
    (record,) = work.list(record_class)
    field = data.draw(st.sampled_from(attrs.fields(type(record.data))))
    name = field.name
    edit(record.data, field)
    work.commit()
    after = table.get("u", record.record_key)
    assert {**after, "updatedAt": None, "data": None} == {**item, "updatedAt": None, "data": None}
    before, content = item["data"]["M"], after["data"]["M"]
    assert {**before, name: None} == {**content, name: None}
    assert not work.plan().requests
    sent = table.sent()
    user.update(record)
    read_all(record)
    assert not work.plan().requests
    assert table.sent() == sent


@given(stored(), st.data())
def test_a_rollback_makes_an_edit_undone(drawn, data):
    """After a rollback a record says what was read, and nothing is left to send."""
    table, record_class, _ = drawn
    user = simulated_store(table).user("u")
    work = user.unit_of_work(include_expired=True)
    record = work.get(record_class, "1")
    edit(record.data, data.draw(st.sampled_from(attrs.fields(type(record.data)))))
    work.rollback()
    user.update(record)
    assert table.sent("UpdateItem") == 0


@given(payload_classes())
@settings(max_examples=20)
def test_what_was_added_is_its_own_snapshot(payload_class):
    """After an add nothing is left to send, whatever the class makes of its fields."""
    record_class = record_class_of(payload_class)
    table = SimulatedTable()
    user = simulated_store(table).user("u")
    values = {
        field.name: None for field in attrs.fields(payload_class) if field.default is attrs.NOTHING
    }
    try:
        made = payload_class(**values)
    except ValueError:  # a required field
        return
    record = user.add(made, record_id="1")
    user.update(record)
    assert table.sent("UpdateItem") == 0
    with user.unit_of_work() as work:
        read_all(work.get(record_class, "1"))
    assert table.sent("UpdateItem") == 0


@payload
class LooseData:
    """A class whose assignments attrs neither converts nor validates."""

    day: date = attrs.field(default="2025-1-7", on_setattr=attrs.setters.NO_OP)
    amount: Amount = attrs.field(default=0, on_setattr=attrs.setters.NO_OP)
    name: str = attrs.field(default="", on_setattr=attrs.setters.NO_OP)


class Loose(UserRecord, discriminator="x-loose"):
    data = PayloadAttribute[LooseData](LooseData)


def test_what_was_assigned_without_conversion_is_converted_at_the_write():
    """A field with on_setattr=NO_OP takes anything; the write converts it or says what is wrong."""
    table = SimulatedTable()
    user = simulated_store(table).user("u")
    record = Loose("u", data=LooseData(), record_id="1")
    for number, write in enumerate((user.add, user.update, user.put)):
        record.data.day, record.data.amount = f"2025-2-{number + 1}", number + 0.5
        write(record)
        assert record.data == LooseData(day=date(2025, 2, number + 1), amount=number + 0.5)
        assert type(record.data.amount) is Decimal
        assert user.get(Loose, "1").data == record.data
    sent = table.sent()
    for name, value in (("day", "soon"), ("amount", None), ("name", 5)):
        record = user.get(Loose, "1")
        setattr(record.data, name, value)
        with pytest.raises(ValueError, match=f"data.{name}"):
            user.update(record)
    assert table.sent("UpdateItem") == 1
    assert table.sent() == sent + 3


def test_what_others_changed_is_taken_on_without_a_further_change():
    """An update beside one of somebody else leaves nothing to send, and each field as stored."""
    record_class = record_class_of(Ticket)
    table = SimulatedTable()
    user = simulated_store(table).user("u")
    added = user.add(Ticket(number="1", words=["a", "b"], note="n"), record_id="1")
    table.put({**table.get("u", added.record_key), "data": {"M": {"words": {"L": [{"S": "a"}]}}}})
    work = user.unit_of_work(lock=False)
    record = work.get(record_class, "1")
    number = record.data.number
    record.data.note = "mine"
    other = user.get(record_class, "1")
    other.data.words = ["c", "d"]
    user.update(other)
    work.commit()
    assert not work.plan().requests
    assert record.data.number == number
    assert set(record.data.words) == {"c", "d"}
    stored = table.get("u", added.record_key)["data"]["M"]
    assert set(stored) == {"words", "note"}
    assert stored["note"] == {"S": "mine"}


def refuse(*_: Any) -> Any:
    raise KeyError("no such thing")


RAISING: dict[str, tuple[dict[str, Any], str, str]] = {
    "factory": ({"field0": attrs.field(factory=refuse)}, "data.field0", "data.field0"),
    "validator": ({"field0": attrs.field(default="", validator=refuse)}, "data.field0", "data"),
    "converter": ({"field0": attrs.field(default="", converter=refuse)}, "data.field0", "data"),
    "pre-init": ({"field0": "", "__attrs_pre_init__": refuse}, "data", "data"),
    "post-init": ({"field0": "", "__attrs_post_init__": refuse}, "data", "data"),
}


@pytest.mark.parametrize("what", RAISING)
def test_what_a_function_of_the_class_raises_is_told_with_its_place(what):
    """A class whose own function raises refuses a new payload, and reads as malformed."""
    body, path_of_input, path_of_stored = RAISING[what]
    cls = payload(type("Refusing", (), {"__annotations__": {"field0": str}, **body}))
    with pytest.raises(InvalidRecordError, match="no such thing") as caught:
        cls()
    assert caught.value.path == path_of_input
    record_class = record_class_of(cls)
    item = {
        "userId": {"S": "u"},
        "recordKey": {"S": "x-drawn#1"},
        "dataType": {"S": "x-drawn"},
        "recordId": {"S": "1"},
        "data": {"M": {}},
    }
    record = read_item(item)
    assert isinstance(record, record_class)
    assert record.malformed
    with pytest.raises(CorruptItemError) as corrupt:
        record.data  # noqa: B018
    assert corrupt.value.path == path_of_stored
    assert record.item == item
