"""Data of one user never reaches another by a payload class: defaults, factories, converters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from own_types import Person

from thrivecalc_models import Amount, PayloadAttribute, UserRecord, payload
from thrivecalc_models.codec import Origins, decode_payload
from thrivecalc_models.testing import SimulatedTable, simulated_store

MOMENT = datetime(2025, 1, 7, tzinfo=UTC)


def made_once(value):
    """Functions that give one object each time: a factory, and a converter of whatever is given."""
    return attrs.field(factory=lambda: value), attrs.field(
        default=None, converter=lambda given: value if given is None else given
    )


def with_converter(value, converter):
    return attrs.field(default=value, converter=converter)


def keep(given):
    return given


@payload
class Inner:
    words: list[str] = ["inner"]  # noqa: RUF012
    person: Person = Person(name="inner")


# Every kind of field, with every spelling of a default that it takes.
DEFAULTS: dict[Any, list[Any]] = {
    str: ["a", attrs.field(factory=lambda: "a")],
    int: [1, attrs.field(factory=lambda: 1)],
    bool: [True],
    Amount: [1, 0.1, "5", Decimal(2), attrs.field(factory=lambda: 5)],
    date: ["2025-1-7", date(2025, 1, 7), attrs.field(factory=lambda: "2025-1-7")],
    datetime: [MOMENT],
    bytes: [b"a", bytearray(b"a"), memoryview(b"a"), *made_once(bytearray(b"a"))],
    list[str]: [[], (), ["a"], ("a",), attrs.field(factory=list), *made_once(["a"])],
    list[Amount]: [(0.1, "5"), *made_once(("5",))],
    list[date]: [("2025-1-7",)],
    list[list[Amount]]: [((1,), [2]), *made_once([[1]])],
    set[str]: [set(), frozenset(), {"a"}, frozenset("a"), attrs.field(factory=set)],
    dict[str, Amount]: [{}, {"a": 0.1}, OrderedDict(a=1), *made_once({"a": "5"})],
    dict[str, list[str]]: [{"a": ("b",)}, *made_once({"a": ["b"]})],
    dict[str, Person]: [{"a": Person(name="a")}, *made_once({"a": Person(name="a")})],
    Person: [Person(name="a"), *made_once(Person(name="a"))],
    Inner: [Inner(), *made_once(Inner()), attrs.field(factory=Inner)],
    list[Person]: [[Person(name="a")], (Person(name="a"),), *made_once([Person(name="a")])],
    list[Inner]: [(Inner(),), *made_once([Inner()])],
    Any: [None, [], (), {"a": [1, {"b": (2,)}]}, {1, 2}, (0.5, bytearray(b"a")), {"a": {"b"}}],
    list[str] | None: [None, (), with_converter(("b", "a"), sorted), with_converter([], keep)],
    Person | None: [Person(name="a"), with_converter(Person(name="a"), keep)],
    list[Any]: [([1],), *made_once([{"a": [1]}])],
}

FIELDS = {
    f"field{number}": (annotation, default)
    for number, (annotation, default) in enumerate(
        (annotation, default) for annotation, each in DEFAULTS.items() for default in each
    )
}


def class_of(name: str, **more: Any) -> type:
    annotations = {field: annotation for field, (annotation, _) in FIELDS.items()}
    defaults = {field: default for field, (_, default) in FIELDS.items()}
    body = {"__annotations__": annotations, "__module__": __name__, **defaults, **more}
    return payload(type(name, (), body))


ONE_LIST = ["shared"]
ONE_INNER = Inner()


def set_what_is_shared(self: Any) -> None:
    self.set_later = ONE_LIST
    self.inner_later = ONE_INNER


PlainData = class_of("PlainData")


@payload
class SettingData(PlainData):  # type: ignore[valid-type,misc]
    """A class whose hook sets one object each time."""

    set_later: list[str] | None = None
    inner_later: Inner | None = None

    __attrs_post_init__ = set_what_is_shared


@payload
class NoteData:
    text: str = ""
    tags: list[str] = ()  # type: ignore[assignment]
    marks: set[str] = frozenset()  # type: ignore[assignment]
    limits: dict[str, Amount] = OrderedDict(food=0.1)  # noqa: RUF012
    people: list[Person] = (Person(name="nobody"),)  # type: ignore[assignment]
    anything: Any = ([],)


class Note(UserRecord, discriminator="x-note-with-defaults"):
    data = PayloadAttribute[NoteData](NoteData)


def mutable_objects(value: Any) -> Iterator[Any]:
    """Every object within a value that can change in place."""
    if attrs.has(type(value)):
        yield value
        for field in attrs.fields(type(value)):
            yield from mutable_objects(getattr(value, field.name))
    elif isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from mutable_objects(inner)
    elif isinstance(value, list | tuple | set):
        if not isinstance(value, tuple):
            yield value
        for inner in value:
            yield from mutable_objects(inner)
    elif isinstance(value, bytearray):
        yield value


def edit(thing: Any) -> None:
    """Change an object in place."""
    match thing:
        case list():
            thing.append(thing[0] if thing else "edited")
        case set():
            thing.add("edited")
        case dict():
            thing["edited"] = next(iter(thing.values()), 1)
        case Person():
            thing.name = "edited"
        case Inner():
            thing.words.append("edited")


def read(payload_class: type) -> Any:
    """A payload of an item that lacks every field."""
    return decode_payload(payload_class, {}, Origins())


def made(payload_class: type) -> Any:
    return payload_class()


WAYS = [(read, read), (made, made), (read, made)]


@pytest.mark.parametrize(("one_way", "other_way"), WAYS)
@pytest.mark.parametrize("payload_class", [PlainData, SettingData])
def test_payloads_share_no_object(payload_class, one_way, other_way):
    """Two payloads hold no object in common that can change, however they came about."""
    one, other = one_way(payload_class), other_way(payload_class)
    of_one = {id(each) for each in mutable_objects(one)}
    assert len(of_one) > len(FIELDS)
    assert not of_one & {id(each) for each in mutable_objects(other)}
    written = [default for _, default in FIELDS.values()] + [ONE_LIST, ONE_INNER]
    assert not of_one & {id(each) for each in mutable_objects(written)}


@pytest.mark.parametrize(("one_way", "other_way"), WAYS)
@pytest.mark.parametrize("payload_class", [PlainData, SettingData])
def test_an_edit_in_place_stays_where_it_is_made(payload_class, one_way, other_way):
    """What is edited in place within one payload is seen in no other, earlier or later."""
    one, other, untouched = one_way(payload_class), other_way(payload_class), made(payload_class)
    for thing in list(mutable_objects(one)):
        edit(thing)
    assert one != untouched
    assert other == other_way(payload_class) == untouched


@pytest.mark.parametrize("payload_class", [PlainData, SettingData])
def test_defaults_are_read_as_they_are_made(payload_class):
    """A field that is absent reads as what a new payload has there, of the same type."""
    new, one = made(payload_class), read(payload_class)
    for name in FIELDS:
        assert getattr(one, name) == getattr(new, name)
        assert type(getattr(one, name)) is type(getattr(new, name))
    amounts = [name for name, (annotation, _) in FIELDS.items() if annotation is Amount]
    assert all(type(getattr(one, name)) is Decimal for name in amounts)
    days = [name for name, (annotation, _) in FIELDS.items() if annotation is date]
    assert all(getattr(one, name) == date(2025, 1, 7) for name in days)


def item(user_id: str) -> dict[str, Any]:
    return {
        "userId": {"S": user_id},
        "recordKey": {"S": "x-note-with-defaults#1"},
        "dataType": {"S": "x-note-with-defaults"},
        "recordId": {"S": "1"},
        "createdAt": {"S": "2025-01-07T12:30:00.000Z"},
        "updatedAt": {"S": "2025-01-07T12:30:00.000Z"},
        "data": {"M": {"text": {"S": "a"}}},
    }


EDITS = {
    "tags": lambda data: data.tags.append("x"),
    "marks": lambda data: data.marks.add("x"),
    "limits": lambda data: data.limits.update(rent=5),
    "people": lambda data: setattr(data.people[0], "name", "x"),
    "anything": lambda data: data.anything[0].append("x"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_a_default_is_stored_for_its_owner_alone(name):
    """What one user edits in a default is stored for that user, and no other user reads it."""
    table = SimulatedTable()
    store = simulated_store(table)
    for user_id in ("a", "b"):
        table.put(item(user_id))
    one, other = (store.user(user_id).get(Note, "1") for user_id in ("a", "b"))
    EDITS[name](one.data)
    store.user("a").update(one)
    assert set(table.get("a", one.record_key)["data"]["M"]) == {"text", name}
    assert store.user("a").get(Note, "1").data == one.data != NoteData(text="a")
    assert other.data == store.user("b").get(Note, "1").data == NoteData(text="a")
    store.user("b").update(other)
    assert table.get("b", one.record_key) == item("b")
    assert table.sent("UpdateItem") == 1
