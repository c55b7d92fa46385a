"""Reading and writing back loses nothing: whatever the table holds, only what was meant changes."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from leaks import USER
from own_types import (
    NEW_TYPES,
    Branch,
    Everything,
    EverythingData,
    Household,
    HouseholdData,
    Person,
)
from stored import but_stamp, touch

from thrivecalc_models import (
    Budget,
    CorruptItemError,
    InvalidRecordError,
    PayloadAttribute,
    SavingsGoal,
    SavingsGoalData,
    UserRecord,
    data_store,
    payload,
    read_item,
)
from thrivecalc_models.table import DECLARED
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own
from thrivecalc_models.wire import same_item

HUGE = "12345678901234567890.123456789012345678"


def stored(table, item):
    """The item as the table has it now."""
    return table.get(item["userId"]["S"], item["recordKey"]["S"])


def loaded(item, *, record_class=UserRecord):
    """A table with this item, its user, and the item's record."""
    table = SimulatedTable()
    table.put(item)
    user = simulated_store(table).user(item["userId"]["S"])
    (record,) = user.list_all(include_expired=True)
    assert isinstance(record, record_class)
    return table, user, record


# --- nothing changed ------------------------------------------------------------------------------


@given(own.stored_items())
def test_putting_back_changes_nothing_but_the_stamp(item):
    """A record that is read and put back is, byte for byte, what it was, but for updatedAt."""
    table, user, record = loaded(item)
    assert stored(table, item) == item
    touch(record)
    user.put(record)
    after = stored(table, item)
    assert but_stamp(after) == but_stamp(item)
    assert after["updatedAt"]["S"].endswith("Z")


@given(own.stored_items())
def test_updating_nothing_sends_nothing(item):
    """A record whose values were only read is not written at all."""
    table, user, record = loaded(item)
    touch(record)
    sent = table.sent()
    user.update(record)
    with user.unit_of_work(include_expired=True) as work:
        for each in work.list_all():
            touch(each)
        assert not work.plan().requests
    assert table.sent("UpdateItem") == table.sent("PutItem") == 0
    assert table.sent() == sent + 1  # the reading of the unit
    assert stored(table, item) == item


def can_be_set(payload_class):
    """Whether there are fields, and none is frozen, as of a class of another test."""
    return payload_class is not None and all(
        field.on_setattr is not attrs.setters.frozen for field in attrs.fields(payload_class)
    )


@given(own.stored_items())
def test_setting_what_is_there_sends_nothing(item):
    """Assigning to each field the value that it has is no change."""
    table, user, record = loaded(item)
    assume(can_be_set(record.payload_class()))
    for name in type(record.data).__slots__:
        if not name.startswith("__"):
            setattr(record.data, name, getattr(record.data, name))
    record.extra_data.update(dict(record.extra_data))
    record.ttl = record.ttl
    user.update(record)
    assert table.sent("UpdateItem") == 0


@given(own.odd_items())
def test_malformed_items_are_only_read_or_deleted(item):
    """A malformed record shows its item, refuses changes and writes, and can be deleted."""
    table, user, record = loaded(item)
    before = table.sent()
    with pytest.raises(CorruptItemError) as caught:
        record.data  # noqa: B018
    assert caught.value.path
    assert caught.value.record_key == record.record_key
    assert record.item == item
    with pytest.raises(CorruptItemError):
        record.ttl = None
    with pytest.raises(CorruptItemError):
        user.put(record)
    assert table.sent() == before
    assert stored(table, item) == item
    user.delete(record)
    assert stored(table, item) is None


# --- one change -----------------------------------------------------------------------------------


@given(own.stored_items(SavingsGoal), own.amounts())
def test_one_field_changes_alone(item, amount):
    """Changing one field changes its stored form, and nothing else but the stamp."""
    table, user, record = loaded(item)
    assume(amount != record.data.target_amount)
    record.data.target_amount = amount
    user.update(record)
    after = stored(table, item)
    assert Decimal(after["data"]["M"].pop("targetAmount")["N"]) == amount
    expected = copy.deepcopy(item)
    del expected["data"]["M"]["targetAmount"]
    assert but_stamp(after) == but_stamp(expected)
    assert table.sent("UpdateItem") == 1


@given(own.stored_items(SavingsGoal))
def test_an_optional_field_set_to_none_is_removed(item):
    """None removes the attribute; where it was NULL or absent there is nothing to change."""
    table, user, record = loaded(item)
    before = item["data"]["M"].get("targetDate")
    record.data.target_date = None
    user.update(record)
    after = stored(table, item)["data"]["M"].get("targetDate")
    assert after == (before if before == {"NULL": True} else None)


@settings(max_examples=min(200, settings.default.max_examples))
@given(st.data())
def test_every_edit_is_what_the_next_reader_finds(data):
    """After any edit of any field the next reader finds the edited payload and the same extras."""
    item = data.draw(own.stored_items(Household, USER))
    table, user, record = loaded(item)
    fresh = data.draw(own.payloads(HouseholdData))
    names = [name for name in HouseholdData.__slots__ if not name.startswith("__")]
    for name in data.draw(st.sets(st.sampled_from(names))):
        setattr(record.data, name, getattr(fresh, name))
    extras = copy.deepcopy(record.extra_data)
    user.update(record)
    again = user.get(Household, record.record_id, include_expired=True)
    assert again.data == record.data
    assert again.extra_data == extras
    assert again.item == record.item == stored(table, item)


def household(people=(), **more):
    """A household's item, whose people have extras that name their owner."""
    return {
        "userId": {"S": USER},
        "recordKey": {"S": "x-household#1"},
        "dataType": {"S": "x-household"},
        "recordId": {"S": "1"},
        "data": {"M": {"people": {"L": [person(name) for name in people]}, **more}},
        "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
        "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
    }


def person(name):
    return {
        "M": {
            "name": {"S": name},
            "born": {"S": "2025-1-7"},
            "share": {"N": HUGE},
            "mark": {"S": f"of {name}"},
            "deep": {"M": {"huge": {"N": HUGE}, "of": {"S": name}}},
        }
    }


NAMES = "abcde"

list_edits = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 5)),
        st.tuples(st.just("remove"), st.integers(0, 5)),
        st.tuples(st.just("rename"), st.integers(0, 5)),
        st.tuples(st.just("swap"), st.integers(0, 5), st.integers(0, 5)),
        st.tuples(st.just("reverse")),
        st.tuples(st.just("commit")),
    ),
    max_size=8,
)


@given(st.integers(0, 5), list_edits, st.sampled_from(["people", "gaps"]))
def test_extras_move_with_their_payload(count, edits, field):
    """In a list that is reordered, shortened and extended, extras stay with their payload."""
    item = household()
    item["data"]["M"][field] = {"L": [person(name) for name in NAMES[:count]]}
    table, user, record = loaded(item, record_class=Household)
    people = getattr(record.data, field)
    owner = {id(each): each.name for each in people}
    made = list(people)  # kept alive, so that no id is used twice
    for edit in [*edits, ("commit",)]:
        match edit:
            case ("insert", at):
                made.append(Person(name="new"))
                people.insert(at, made[-1])
            case ("remove", at) if at < len(people):
                del people[at]
            case ("rename", at) if at < len(people):
                people[at].name += "!"
            case ("swap", at, to) if at < len(people) and to < len(people):
                people[at], people[to] = people[to], people[at]
            case ("reverse",):
                people.reverse()
            case ("commit",):
                user.update(record)
                forms = stored(table, item)["data"]["M"][field]["L"]
                assert [form["M"]["name"]["S"] for form in forms] == [p.name for p in people]
                for each, form in zip(people, forms, strict=True):
                    name = owner.get(id(each))
                    if name is not None:
                        assert but_name(form) == but_name(person(name))
                    else:
                        assert form == {"M": {"name": {"S": each.name}}}
                    assert in_step(form)


def but_name(form):
    return {name: inner for name, inner in form["M"].items() if name != "name"}


def in_step(form):
    """Whether all extras of a person are of the same owner."""
    mark = form["M"].get("mark", {"S": "of None"})["S"].removeprefix("of ")
    return mark == form["M"].get("deep", {"M": {"of": {"S": "None"}}})["M"]["of"]["S"]


def test_a_new_payload_never_takes_a_removed_neighbours_extras():
    """Where one was removed, one that is added later does not inherit what belonged to another."""
    for field in ("people", "gaps"):
        item = household()
        item["data"]["M"][field] = {"L": [person("a"), person("b"), person("c")]}
        table, user, record = loaded(item)
        people = getattr(record.data, field)
        del people[:2]
        people.append(Person(name="new"))
        user.update(record)
        form_of_c, form_of_new = stored(table, item)["data"]["M"][field]["L"]
        assert form_of_c == person("c")
        assert form_of_new == {"M": {"name": {"S": "new"}}}


def test_a_new_payload_in_the_place_of_another_has_nothing_of_it():
    """What a payload was read with belongs to it, and leaves the list when it does."""
    item = household("ab")
    table, user, record = loaded(item)
    record.data.people[0] = Person(name="A", born="2025-01-07", share="0.5")
    user.update(record)
    fresh = {"name": {"S": "A"}, "born": {"S": "2025-01-07"}, "share": {"N": "0.5"}}
    assert stored(table, item)["data"]["M"]["people"]["L"] == [{"M": fresh}, person("b")]


def test_extras_move_with_their_payload_in_dicts():
    """A payload that moves to another name of a dict takes its extras along, and leaves none."""
    item = household(byRole={"M": {"owner": person("a"), "child": person("b")}})
    table, user, record = loaded(item)
    roles = record.data.by_role
    roles["parent"] = roles.pop("owner")
    roles["owner"] = Person(name="new")
    user.update(record)
    assert stored(table, item)["data"]["M"]["byRole"]["M"] == {
        "parent": person("a"),
        "child": person("b"),
        "owner": {"M": {"name": {"S": "new"}}},
    }


def test_a_stored_payload_without_any_attribute_stays_so():
    """An empty map that reads as a payload of defaults is not filled with them."""
    item = household("a", owner=person("b"))
    data_type = next(NEW_TYPES)
    item["dataType"], item["recordKey"] = {"S": data_type}, {"S": f"{data_type}#1"}
    item["data"] = {"M": {"root": {"M": {}}, "branches": {"L": [{"M": {}}, {"M": {}}]}}}

    @payload
    class DefaultsData:
        root: Branch
        branches: list[Branch]
        note: str = ""

    class Defaults(UserRecord, discriminator=data_type):
        data: PayloadAttribute[DefaultsData] = PayloadAttribute(DefaultsData)

    table, user, record = loaded(item, record_class=Defaults)
    record.data.note = "changed"
    record.data.branches.reverse()
    user.update(record)
    expected = {"M": {**item["data"]["M"], "note": {"S": "changed"}}}
    assert stored(table, item)["data"] == expected


def test_extras_move_with_their_payload_between_fields():
    """A payload that goes from a list to a field of its own takes its extras along."""
    item = household("ab", owner=person("c"))
    table, user, record = loaded(item)
    record.data.owner = record.data.people.pop(0)
    user.update(record)
    after = stored(table, item)["data"]["M"]
    assert after["owner"] == person("a")
    assert after["people"] == {"L": [person("b")]}


def test_equal_payloads_with_different_extras_can_change_places():
    """Two payloads that are equal but for their extras are swapped, extras and all."""
    one, other = person("a"), person("a")
    other["M"]["mark"] = {"S": "other"}
    item = household()
    item["data"]["M"]["people"] = {"L": [one, other]}
    table, user, record = loaded(item)
    record.data.people.reverse()
    user.update(record)
    assert stored(table, item)["data"]["M"]["people"]["L"] == [other, one]


def test_a_payload_taken_to_another_record_takes_its_extras_along():
    """What a payload was read with follows it into another record of the same user."""
    item, table = household("a"), SimulatedTable()
    other = household("b") | {"recordId": {"S": "2"}, "recordKey": {"S": "x-household#2"}}
    table.put(item)
    table.put(other)
    user = simulated_store(table).user(USER)
    first, second = user.list(Household)
    second.data.people.append(first.data.people[0])
    user.update(second)
    assert stored(table, other)["data"]["M"]["people"]["L"] == [person("b"), person("a")]


# --- neighbours of a changed entry ----------------------------------------------------------------


def budget(**limits):
    return {
        "userId": {"S": USER},
        "recordKey": {"S": "budget#1"},
        "dataType": {"S": "budget"},
        "recordId": {"S": "1"},
        "data": {
            "M": {
                "name": {"S": "b"},
                "period": {"S": "monthly"},
                "limits": {"M": {name: {"N": text} for name, text in limits.items()}},
            }
        },
        "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
    }


def test_a_38_digit_neighbour_stays():
    """A number that JavaScript cannot hold stays next to a changed entry, and is not refused."""
    item = budget(food="1", huge=HUGE)
    table, user, record = loaded(item, record_class=Budget)
    record.data.limits["food"] = 2
    record.data.limits["rent"] = 3
    user.update(record)
    assert stored(table, item)["data"]["M"]["limits"]["M"] == {
        "food": {"N": "2"},
        "huge": {"N": HUGE},
        "rent": {"N": "3"},
    }
    del record.data.limits["food"]
    user.update(record)
    assert stored(table, item)["data"]["M"]["limits"]["M"] == {
        "huge": {"N": HUGE},
        "rent": {"N": "3"},
    }


def test_entries_of_a_list_keep_their_forms():
    """A changed date of a list leaves the odd spelling of its neighbours."""
    item = household(days={"L": [{"S": "2025-1-7"}, {"S": "2025-2-8"}]})
    table, user, record = loaded(item)
    record.data.days[1] = date(2026, 3, 9)
    record.data.days.append(date(2027, 1, 1))
    user.update(record)
    assert stored(table, item)["data"]["M"]["days"]["L"] == [
        {"S": "2025-1-7"},
        {"S": "2026-03-09"},
        {"S": "2027-01-01"},
    ]


def test_equal_numbers_in_another_spelling_are_no_change():
    """1.50 is 1.5: numbers are compared as numbers."""
    item = budget(food="1.5")
    table, user, record = loaded(item)
    record.data.limits["food"] = Decimal("1.50")
    user.update(record)
    assert table.sent("UpdateItem") == 0


def test_extras_deep_inside_keep_their_forms():
    """A changed entry inside an extra leaves its neighbours there as they are."""
    note = {"M": {"huge": {"N": HUGE}, "list": {"L": [{"N": HUGE}, {"S": "x"}]}, "n": {"N": "1"}}}
    item = household(legacy=note)
    item["source"] = copy.deepcopy(note)
    table, user, record = loaded(item)
    record.extra_data["legacy"]["n"] = 2
    record.extra_data["legacy"]["list"][1] = "y"
    record.extra_attributes["source"]["n"] = 3
    user.update(record)
    after = stored(table, item)
    note["M"]["n"] = {"N": "2"}
    note["M"]["list"]["L"][1] = {"S": "y"}
    assert after["data"]["M"]["legacy"] == note
    assert after["source"]["M"] == item["source"]["M"] | {"n": {"N": "3"}}


def test_a_changed_unsafe_number_is_refused():
    """An unsafe number stays while it is unchanged; a new one is refused with its path."""
    item = budget(huge=HUGE)
    table, user, record = loaded(item)
    record.data.limits["huge"] += 1
    before = table.sent()
    with pytest.raises(InvalidRecordError) as caught:
        user.update(record)
    assert caught.value.path == "data.limits.huge"
    assert table.sent() == before


# --- defaults, NULL and absence -------------------------------------------------------------------


@given(own.stored_items(SavingsGoal))
def test_null_and_absent_read_as_the_default(item):
    """NULL reads as the default, as absence does, and both stay what they are."""
    for form in (None, {"NULL": True}):
        content = item["data"]["M"]
        content.pop("currentAmount", None)
        if form is not None:
            content["currentAmount"] = form
        table, user, record = loaded(item)
        assert record.data.current_amount == 0
        record.data.name += "x"
        user.update(record)
        assert stored(table, item)["data"]["M"].get("currentAmount") == form
        record.data.current_amount = 1
        user.update(record)
        assert stored(table, item)["data"]["M"]["currentAmount"] == {"N": "1"}


# --- replacing data, extras -----------------------------------------------------------------------


@given(own.stored_items(SavingsGoal), own.payloads(SavingsGoalData))
def test_replacing_data_keeps_the_extras(item, fresh):
    """A new payload takes the place of the declared fields only."""
    table, user, record = loaded(item)
    extras = read_item(item).extra_data  # those of the record itself stay unread
    record.data = fresh
    user.update(record)
    again = user.get(SavingsGoal, record.record_id, include_expired=True)
    assert again.data == fresh
    assert again.extra_data == extras
    assert but_stamp(again.item) | {"data": 0} == but_stamp(item) | {"data": 0}
    declared = {"name", "targetAmount", "currentAmount", "targetDate", "monthlyContribution"}
    after = stored(table, item)["data"]["M"]
    for name, form in item["data"]["M"].items():
        assert name in declared or after[name] == form


@given(own.stored_items(SavingsGoal), own.names(), own.plain_values())
def test_extras_are_written(item, name, value):
    """Extras inside data and at the top level are mutable dicts that are written back."""
    taken = {"name", "targetAmount", "currentAmount", "targetDate", "monthlyContribution"}
    assume(name not in taken | DECLARED)
    table, user, record = loaded(item)
    record.extra_data[name] = value
    record.extra_attributes[name] = value
    user.update(record)
    again = user.get(SavingsGoal, record.record_id, include_expired=True)
    assert again.extra_data[name] == value
    assert again.extra_attributes[name] == value
    del record.extra_data[name], record.extra_attributes[name]
    user.update(record)
    after = stored(table, item)
    assert name not in after
    assert name not in after["data"]["M"]


@pytest.mark.parametrize(
    ("where", "name", "path"),
    [
        ("extra_data", "targetAmount", "data.targetAmount"),
        ("extra_attributes", "ttl", "ttl"),
        ("extra_attributes", "userId", "userId"),
        ("extra_attributes", "data", "data"),
    ],
)
def test_declared_names_are_no_extras(where, name, path):
    """A declared name among the extras is refused, with its path, before anything is sent."""
    table = SimulatedTable()
    user = simulated_store(table).user("u")
    record = user.add(SavingsGoalData(name="x", target_amount=1))
    getattr(record, where)[name] = 5
    before = table.sent()
    with pytest.raises(InvalidRecordError) as caught:
        user.update(record)
    assert caught.value.path == path
    assert table.sent() == before


def test_mappings_are_stored_as_given():
    """A camelCase mapping that fits its class is stored as it is: NULL, absence and extras."""
    table = SimulatedTable()
    user = simulated_store(table).user("u")
    given: dict[str, Any] = {"name": "x", "targetAmount": 1, "targetDate": None, "more": [1, None]}
    record = user.add(("savings-goal", given), record_id="1")
    content = table.get("u", "savings-goal#1")["data"]["M"]
    assert content == {
        "name": {"S": "x"},
        "targetAmount": {"N": "1"},
        "targetDate": {"NULL": True},
        "more": {"L": [{"N": "1"}, {"NULL": True}]},
    }
    assert record.extra_data == {"more": [1, None]}
    assert record.data.current_amount == 0
    user.update(record)
    assert table.sent() == 1


@given(own.stored_items())
def test_an_item_as_from_a_stream_reads_the_same(item):
    """`read_item` makes the same record of an item as the store does."""
    _, _, record = loaded(item)
    read = read_item(copy.deepcopy(item))
    assert type(read) is type(record)
    assert read.data == record.data
    assert read.version == record.version
    assert read.problems == record.problems


# --- after a write --------------------------------------------------------------------------------

WRITES = {
    "update": lambda user, record: user.update(record),
    "put": lambda user, record: user.put(record),
    "save": lambda user, record: record.save(),
    "PynamoDB's update": lambda user, record: record.update([type(record).ttl.set(LATER)]),
    "batch": lambda user, record: in_a_batch(record),
}
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def in_a_batch(record):
    with type(record).batch_write() as batch:
        batch.save(record)


@settings(max_examples=min(100, settings.default.max_examples))
@given(st.data(), st.sampled_from(sorted(WRITES)))
def test_after_every_write_a_record_is_its_own_snapshot(data, write):
    """Whatever was edited and however it was written, nothing is left to send afterwards."""
    record_class, payload_class = data.draw(
        st.sampled_from([(Household, HouseholdData), (Everything, EverythingData)])
    )
    table, user, record = loaded(data.draw(own.stored_items(record_class, USER)))
    data_store.configure(simulated_store(table))
    fresh = data.draw(own.payloads(payload_class))
    names = [name for name in payload_class.__slots__ if not name.startswith("__")]
    for name in data.draw(st.sets(st.sampled_from(names))):
        setattr(record.data, name, getattr(fresh, name))
    if data.draw(st.booleans()):
        record.data = fresh
    record.extra_data["more"] = data.draw(own.plain_values())
    record.extra_attributes["more"] = data.draw(own.plain_values())
    WRITES[write](user, record)
    user.update(record)  # what PynamoDB's update left as an edit
    sent = table.sent()
    user.update(record)
    with user.unit_of_work(include_expired=True) as work:
        work.attach(record)
        assert not work.plan().requests
    assert table.sent() == sent
    assert same_item(record.item, table.get(USER, record.record_key))
    data_store.configure(None)
