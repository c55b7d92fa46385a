"""Enums, literals, UUIDs, times, durations, floats and tuples as fields of payloads."""

from __future__ import annotations

import copy
from datetime import UTC, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_types import Colour, Pace, Person

from thrivecalc_models import (
    InvalidRecordError,
    PayloadAttribute,
    UnsafeNumberError,
    UserRecord,
    from_json,
    payload,
    to_json,
)
from thrivecalc_models.errors import CorruptItemError
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.wire import format_duration, parse_duration

TOKEN = "550e8400-e29b-41d4-a716-446655440000"


@payload
class FurtherData:
    colour: Colour
    pace: Pace | None = None
    size: Literal["s", "m"] = "m"
    token: UUID | None = None
    opens: time | None = None
    length: timedelta | None = None
    share: float = 0.5
    marks: tuple[Colour, ...] = ()
    crew: tuple[Person, ...] | None = None
    rows: tuple[list[Person], ...] = ()


class Further(UserRecord, discriminator="x-further-kinds"):
    data: PayloadAttribute[FurtherData] = PayloadAttribute(FurtherData)


def user_of(table: SimulatedTable, name: str = "u") -> Any:
    return simulated_store(table).user(name)


def put(table: SimulatedTable, **content: Any) -> Any:
    """A record whose data has this content, as `u` reads it."""
    record = user_of(table).add(FurtherData(colour="red"), record_id="a")
    item = dict(record.item)
    item["data"] = {"M": {"colour": {"S": "red"}} | content}
    table.put(item)
    return user_of(table).get(Further, "a")


VALUES: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("colour", Colour.DARK_BLUE, "dark blue", {"S": "dark blue"}),
    ("colour", Colour.RED, Colour.CRIMSON, {"S": "red"}),
    ("pace", Pace.FAST, "=fast", {"S": "=fast"}),
    ("size", "s", "s", {"S": "s"}),
    ("token", UUID(TOKEN), TOKEN.upper(), {"S": TOKEN}),
    ("opens", time(12, 30), "12:30", {"S": "12:30:00"}),
    ("opens", time(12, 30, 1, 500_000), "12:30:01.5", {"S": "12:30:01.500000"}),
    ("length", timedelta(days=1, hours=2), "P1DT2H", {"S": "P1DT2H"}),
    ("length", timedelta(), "PT0S", {"S": "PT0S"}),
    ("length", timedelta(days=14), "P2W", {"S": "P14D"}),
    ("length", -timedelta(minutes=1, milliseconds=500), "-PT60.5S", {"S": "-PT1M0.5S"}),
    ("share", 0.1, "0.1", {"N": "0.1"}),
    ("share", 3.0, 3, {"N": "3"}),
    ("share", 0.25, Decimal("0.250"), {"N": "0.25"}),
    ("marks", (Colour.RED,), ["red"], {"L": [{"S": "red"}]}),
]


@pytest.mark.parametrize(("name", "value", "text", "form"), VALUES)
def test_a_field_takes_its_value_and_its_text(name, value, text, form):
    """The value and its text are held, stored, read and shown as one and the same."""
    table = SimulatedTable()
    for given_value in (value, text):
        data = FurtherData(**{"colour": "red", name: given_value})
        assert getattr(data, name) == value
        assert type(getattr(data, name)) is type(value)
        record = user_of(table).put(data, record_id="a")
        assert record.item["data"]["M"][name] == form
        found = user_of(table).get(Further, "a").data
        assert (found, type(getattr(found, name))) == (data, type(value))
        assert from_json(FurtherData, to_json(data)) == data


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("colour", "canary", "data.colour"),
        ("colour", None, "data.colour"),
        ("colour", Pace.SLOW, "data.colour"),
        ("pace", "SLOW", "data.pace"),
        ("size", "canary", "data.size"),
        ("size", ["s"], "data.size"),
        ("token", "canary", "data.token"),
        ("token", 5, "data.token"),
        ("opens", "25:00", "data.opens"),
        ("opens", "12:30Z", "data.opens"),
        ("opens", time(12, tzinfo=UTC), "data.opens"),
        ("length", "P1M", "data.length"),
        ("length", "P", "data.length"),
        ("length", 60, "data.length"),
        ("length", f"P{'9' * 30}D", "data.length"),
        ("share", True, "data.share"),
        ("share", float("nan"), "data.share"),
        ("share", Decimal("1E+400"), "data.share"),
        ("share", "canary", "data.share"),
        ("marks", "red", "data.marks"),
        ("marks", ["red", "canary"], "data.marks[1]"),
        ("crew", [Person(name="a"), {"name": "canary"}], "data.crew[1]"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(name, value, path):
    """A wrong value is refused where it is given, and the message does not show it."""
    good = FurtherData(colour="red")
    for attempt in (
        lambda: FurtherData(**{"colour": "red", name: value}),
        lambda: setattr(good, name, value),
    ):
        with pytest.raises(InvalidRecordError) as caught:
            attempt()
        assert caught.value.path == path
        assert "canary" not in str(caught.value)
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "form", "path"),
    [
        ("colour", {"S": "green"}, "data.colour"),
        ("pace", {"S": "FAST"}, "data.pace"),
        ("size", {"S": "xl"}, "data.size"),
        ("token", {"S": TOKEN[:-1]}, "data.token"),
        ("opens", {"S": "noon"}, "data.opens"),
        ("length", {"S": "P1Y"}, "data.length"),
        ("share", {"S": "0.5"}, "data.share"),
        ("marks", {"L": [{"S": "red"}, {"S": "green"}]}, "data.marks[1]"),
        ("marks", {"S": "red"}, "data.marks"),
    ],
)
def test_what_no_member_has_makes_a_record_malformed(name, form, path):
    """A stored form that the kind does not have is a malformed record, with its path."""
    record = put(SimulatedTable(), **{name: form})
    assert record.malformed
    with pytest.raises(CorruptItemError) as caught:
        _ = record.data
    assert caught.value.path == path
    assert "green" not in str(caught.value)


def test_what_was_not_edited_keeps_its_form():
    """A form that another program wrote stays byte for byte while its value does."""
    odd = {
        "token": {"S": TOKEN.upper()},
        "opens": {"S": "12:30"},
        "length": {"S": "PT36H"},
        "share": {"N": "0.12345678901234567890123456789"},
    }
    table = SimulatedTable()
    record = put(table, **odd)
    assert (record.data.opens, record.data.length) == (time(12, 30), timedelta(hours=36))
    record.data.pace = "slow"
    user_of(table).update(record)
    stored = table.get("u", record.record_key)["data"]["M"]
    assert stored == odd | {"colour": {"S": "red"}, "pace": {"S": "slow"}}
    record.data.share = 0.25
    user_of(table).update(record)
    assert table.get("u", record.record_key)["data"]["M"]["share"] == {"N": "0.25"}


def test_a_float_that_javascript_cannot_hold_is_refused():
    """A float is a number as any other: above 2^53 - 1 it is not written."""
    with pytest.raises(UnsafeNumberError) as caught:
        user_of(SimulatedTable()).add(FurtherData(colour="red", share=2.0**60))
    assert caught.value.path == "data.share"


def test_json_has_numbers_for_floats():
    """Text for a float, and a text that no member has, are refused in JSON, with all paths."""
    with pytest.raises(InvalidRecordError) as caught:
        from_json(FurtherData, {"colour": "green", "share": "0.5", "marks": ["red", "x"]})
    assert list(caught.value.errors) == ["data.colour", "data.share", "data.marks[1]"]


@given(st.timedeltas())
def test_every_duration_has_a_text(length):
    """A duration of any length is read back from its text."""
    assert parse_duration(format_duration(length)) == length


# --- tuples ---------------------------------------------------------------------------------------


def with_crew(table: SimulatedTable) -> Any:
    people = [{"M": {"name": {"S": name}, "extra": {"S": name}}} for name in ("a", "b")]
    return put(table, crew={"L": people}, rows={"L": [{"L": people}]})


def test_payloads_in_a_tuple_keep_what_they_were_read_with():
    """A payload in a tuple keeps its undeclared attributes in place, moved, copied and edited."""
    table = SimulatedTable()
    record = with_crew(table)
    first, second = record.data.crew
    first.name = "edited"
    record.data.crew = (second, first, Person(name="new"))
    record.data.rows[0][1] = copy.deepcopy(second)
    user_of(table).update(record)
    stored = table.get("u", record.record_key)["data"]["M"]
    assert stored["crew"]["L"] == [
        {"M": {"name": {"S": "b"}, "extra": {"S": "b"}}},
        {"M": {"name": {"S": "edited"}, "extra": {"S": "a"}}},
        {"M": {"name": {"S": "new"}}},
    ]
    assert stored["rows"]["L"][0]["L"][1] == stored["crew"]["L"][0]


def test_an_edit_within_a_tuple_is_written():
    """What is changed within a member of a tuple is a change of the record, converted."""
    table = SimulatedTable()
    record = with_crew(table)
    user_of(table).update(record)
    record.data.rows[0].append(Person(name="c"))
    record.data.crew[1].share = 0.5
    user_of(table).update(record)
    again = user_of(table).get(Further, "a").data
    assert [each.name for each in again.rows[0]] == ["a", "b", "c"]
    assert again.crew[1].share == Decimal("0.5")
    record.data.rows[0].append("c")
    with pytest.raises(InvalidRecordError) as caught:
        user_of(table).update(record)
    assert caught.value.path == "data.rows[0][3]"


def test_what_others_add_within_a_tuple_is_kept():
    """What another writer gave a payload in a tuple goes with it after the next write."""
    table = SimulatedTable()
    record_key = with_crew(table).record_key
    work = user_of(table).unit_of_work(lock=False)
    record = work.get(Further, "a")
    item = copy.deepcopy(table.get("u", record_key))
    item["data"]["M"]["crew"]["L"][0]["M"]["later"] = {"S": "x"}
    table.put(item)
    record.data.pace = "slow"
    work.commit()
    first, second = record.data.crew
    record.data.crew = (second, first)
    work.commit()
    stored = table.get("u", record_key)["data"]["M"]["crew"]["L"]
    assert stored[1]["M"] == {"name": {"S": "a"}, "extra": {"S": "a"}, "later": {"S": "x"}}
    work.rollback()


def test_a_payload_in_a_tuple_belongs_to_one_record():
    """Given to a second record, it is copied; into another user's nothing undeclared goes."""
    table = SimulatedTable()
    record = with_crew(table)
    second = user_of(table).add(
        FurtherData(colour="red", crew=record.data.crew, rows=record.data.rows)
    )
    assert second.data.crew == record.data.crew
    assert second.data.crew[0] is not record.data.crew[0]
    assert second.data.rows[0][0] is not record.data.rows[0][0]
    stored = table.get("u", second.record_key)["data"]["M"]
    assert stored["crew"]["L"][0]["M"]["extra"] == {"S": "a"}
    others = user_of(table, "other").add(FurtherData(colour="red", crew=record.data.crew))
    stored = table.get("other", others.record_key)["data"]["M"]
    assert stored["crew"]["L"] == [{"M": {"name": {"S": name}}} for name in ("a", "b")]
    assert record.data.crew[0].name == "a"


def test_a_default_may_be_a_tuple():
    """A tuple as a default, with a payload in it, is made anew for each payload."""

    @payload
    class TeamData:
        crew: tuple[Person, ...] = (Person(name="a"),)
        marks: tuple[Colour, ...] = attrs.field(factory=tuple)

    one, other = TeamData(), TeamData()
    assert one == other
    assert one.crew[0] is not other.crew[0]


# --- conditions -----------------------------------------------------------------------------------


def test_conditions_take_these_kinds_too():
    """A condition converts and checks by the kind of its field; within a tuple, too."""
    data: Any = Further.data
    assert (data.colour == "red").serialize({}, {}) == (data.colour == Colour.RED).serialize({}, {})
    for refused in (
        lambda: data.colour == "green",
        lambda: data.length > timedelta(hours=1),
        lambda: data.token == "x",
        lambda: data.marks.contains("green"),
        lambda: data.marks == (Colour.RED,),
    ):
        with pytest.raises(InvalidRecordError):
            refused()
    for taken in (
        data.opens >= "08:00",
        data.share.between(0.25, 1),
        data.marks.contains(Colour.RED),
        data.marks[0] == "red",
        data.crew[0].name == "a",
    ):
        assert taken.serialize({}, {})
