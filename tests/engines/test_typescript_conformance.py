"""The web application never notices that Python writes to its table, nor Python that it does."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import own_types
import pytest
from conformance import (
    Sides,
    assert_same,
    camel_case,
    check_record,
    data,
    iso_string,
    of_payload,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peer import UNDEFINED, BigInt, TypeScriptError

from thrivecalc_models import (
    Budget,
    BudgetData,
    CommitError,
    ConflictError,
    DataStore,
    InvalidRecordError,
    PortfolioHolding,
    Profile,
    RetirementPlan,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    TransactionData,
    UnsafeNumberError,
    payload,
)
from thrivecalc_models.codec import Origins, encode_data
from thrivecalc_models.payloads import fields_of
from thrivecalc_models.testing import strategies

MAX_SAFE_INTEGER = 2**53 - 1
ENGINES = ["dynamodb-local", "dynoxide"]
TYPES = [
    Budget,
    PortfolioHolding,
    Profile,
    RetirementPlan,
    SavingsGoal,
    Transaction,
    own_types.Everything,
    own_types.Household,
]

# Each example is a handful of requests: fewer of them than where nothing is sent.
on_the_wire = settings(
    max_examples=max(20, settings.default.max_examples // 10),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)


@pytest.fixture(scope="module")
def sides(engine, peer):
    with DataStore(endpoint=engine.endpoint, table_name=f"sides-{uuid.uuid4().hex}") as store:
        store.create_table()
        client = engine.client()
        yield Sides(peer, store, client)
        client.close()


# Each example is a list of values in one call of the peer.
in_batches = settings(max_examples=max(20, settings.default.max_examples // 5), deadline=None)

on_engines = pytest.mark.parametrize("engine", ENGINES, indirect=True, scope="session")


@st.composite
def datas(draw):
    """`data` as TypeScript writes it: payloads in camelCase with null, undefined and extras."""
    record_class = draw(st.sampled_from(TYPES))
    payload = draw(strategies.payloads(record_class.payload_class()))
    content = of_payload(payload)
    optional = [field for field in fields_of(type(payload)) if not field.required]
    for field in optional:
        choice = draw(st.sampled_from(["as it is"] * 4 + [None, UNDEFINED]))
        if choice != "as it is":
            content[camel_case(field.name)] = choice
            setattr(payload, field.name, field.default())
    extras = draw(st.dictionaries(strategies.names(), strategies.plain_values(), max_size=3))
    extras = {name: value for name, value in extras.items() if name not in names_of(payload)}
    return record_class, payload, content, extras


def names_of(payload):
    return {camel_case(field.name) for field in fields_of(type(payload))}


@on_engines
@on_the_wire
@given(record=st.data())
def test_typescript_reads_what_python_wrote(sides, record):
    """What Python wrote, `getUserData` reads as the same value, and JSON.stringify takes it."""
    user = sides.user()
    written = user.put(record.draw(strategies.records(user_id=user.user_id)))
    check_record(sides, written)
    listed = sides.typescript("listUserData", user.user_id, written.data_type)
    assert listed == sides.typescript("listAllUserData", user.user_id)
    assert [each["recordId"] for each in listed] == [written.record_id]


@on_engines
@on_the_wire
@given(written=datas())
def test_python_reads_what_typescript_wrote(sides, written):
    """What `saveUserData` wrote, Python reads as the same payload, extras and stamps."""
    record_class, payload, content, extras = written
    user = sides.user()
    record_id = sides.typescript(
        "saveUserData", user.user_id, record_class.own_data_type(), content | extras
    )
    record = user.get(record_class, record_id)
    assert record is not None, "key format: Python finds nothing where TypeScript wrote"
    assert record.problems == [], "timestamp form: Python finds the stamps of TypeScript odd"
    assert_same(of_payload(payload), of_payload(record.data))
    assert_same(extras, record.extra_data)
    assert [each.record_id for each in user.list(record_class)] == [record_id]
    check_stamps(sides, record)


def check_stamps(sides, record):
    stored = sides.stored(record.user_id, record.record_key)
    for name, moment in [("createdAt", record.created_at), ("updatedAt", record.updated_at)]:
        assert stored[name] == {"S": iso_string(moment)}, f"timestamp form: {name} reads wrong"


@on_engines
@on_the_wire
@given(start=datas(), turns=st.data())
def test_both_take_turns(sides, start, turns):
    """Whoever edits a record, the other side finds that edit and everything else as it was."""
    record_class, _, content, extras = start
    user = sides.user()
    data_type = record_class.own_data_type()
    record_id = sides.typescript("saveUserData", user.user_id, data_type, content | extras)
    now = content | extras
    for turn in turns.draw(st.lists(st.sampled_from(["TypeScript", "Python"]), max_size=4)):
        name = turns.draw(st.sampled_from(["seenBy", "labels", "a.b"]))
        value = turns.draw(strategies.plain_values())
        if turn == "TypeScript":
            edits = {name: value}
            sides.typescript("readModifyWrite", user.user_id, data_type, record_id, edits)
        else:
            with user.unit_of_work() as work:
                work.get(record_class, record_id).extra_data[name] = value
        now = now | {name: value}
        seen = sides.typescript("getUserData", user.user_id, data_type, record_id)
        assert_same(now, seen["data"])
        assert_same(now.get(name), user.get(record_class, record_id).extra_data[name])


@on_engines
@on_the_wire
@given(record=st.data())
def test_typescript_edits_what_python_wrote(sides, record):
    """Read, changed in one place and written back by TypeScript, a Python record loses nothing."""
    user = sides.user()
    written = user.put(record.draw(strategies.records(user_id=user.user_id)))
    before = sides.stored(user.user_id, written.record_key)
    key = (user.user_id, written.data_type, written.record_id)
    sides.typescript("readModifyWrite", *key, {"seenBy": "web"})
    after = sides.stored(user.user_id, written.record_key)
    before["data"]["M"]["seenBy"] = {"S": "web"}
    before["updatedAt"] = after["updatedAt"]
    assert_same(same_numbers(before), same_numbers(after))
    with user.unit_of_work(include_expired=True) as work:
        found = work.get(written.data_type, written.record_id)
        assert_same(data(written) | {"seenBy": "web"}, data(found))


@on_engines
@on_the_wire
@given(record=st.data())
def test_python_edits_what_others_wrote(sides, record):
    """Read, changed in one place and written back by Python, any item keeps the rest as stored."""
    user = sides.user()
    item = record.draw(strategies.stored_items(user_id=user.user_id))
    sides.leave(item)
    before = sides.stored(user.user_id, item["recordKey"]["S"])
    with user.unit_of_work(include_expired=True) as work:
        found = work.get(item["dataType"]["S"], item["recordId"]["S"])
        (found.data if isinstance(found.data, dict) else found.extra_data)["seenBy"] = "web"
    after = sides.stored(user.user_id, item["recordKey"]["S"])
    before["data"]["M"]["seenBy"] = {"S": "web"}
    before["updatedAt"] = after["updatedAt"]
    assert_same(in_order(before), in_order(after))


def same_numbers(value):
    """The item with numbers for their texts, and sets in order.

    DynamoDB Local keeps the 1e-7 that JavaScript writes for 0.0000001 where that is in an update.
    """
    return _mapped(value, {"N": Decimal, "NS": lambda texts: sorted(map(Decimal, texts))} | SETS)


def in_order(value):
    """The item with its sets sorted, whose order means nothing; else byte for byte."""
    return _mapped(value, {"NS": sorted} | SETS)


SETS = {"SS": sorted, "BS": sorted}


def _mapped(value, by_tag):
    """What stands under a tag of DynamoDB's JSON, changed; attributes of such names hold dicts."""
    if isinstance(value, list):
        return [_mapped(inner, by_tag) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        name: by_tag[name](inner)
        if name in by_tag and not isinstance(inner, dict)
        else _mapped(inner, by_tag)
        for name, inner in value.items()
    }


# --- numbers --------------------------------------------------------------------------------------


@given(numbers=st.lists(strategies.stored_numbers(), min_size=1, max_size=50))
@in_batches
def test_numbers_keep_their_value(peer, numbers):
    """A number that Python writes is the same through JavaScript's Number, and Python refuses one
    exactly where it would not be, or would have to be a bigint."""
    texts = [format(number, "f") for number in numbers]
    for number, again in zip(numbers, peer.call("numbers", texts), strict=True):
        fits = Decimal(again) == number and abs(number) <= MAX_SAFE_INTEGER
        assert taken(number) is fits, f"number rule: {number} is {again} in JavaScript"


def taken(number):
    goal = SavingsGoal("google-oauth2|1", data=SavingsGoalData(name="x", target_amount=number))
    with DataStore(endpoint="http://127.0.0.1:1").user(goal.user_id).unit_of_work() as work:
        work.put(goal)
        try:
            work.plan()
        except UnsafeNumberError:
            return False
        finally:
            work.rollback()
    return True


@on_engines
@pytest.mark.parametrize(
    "number", ["1e21", "9007199254740992", "0.1234567890123456789", "12345678901234567890.5"]
)
def test_unsafe_numbers_are_refused(sides, number):
    """A number that JavaScript cannot hold is refused wherever it stands, and nothing is sent."""
    user = sides.user()
    for write in [
        lambda: user.add(SavingsGoalData(name="x", target_amount=number)),
        lambda: user.add(BudgetData(name="x", period="monthly", limits={"food": Decimal(number)})),
        lambda: user.add("x-note", {"deep": [{"in": {Decimal(number)}}]}),
    ]:
        with pytest.raises(UnsafeNumberError):
            write()
    assert sides.typescript("listAllUserData", user.user_id) == []


@on_engines
def test_a_bigint_survives(sides):
    """An integer that TypeScript wrote as a bigint is kept by Python's edits of other fields."""
    user = sides.user()
    content = {"name": "x", "targetAmount": 1, "big": BigInt(2**60)}
    record_id = sides.typescript("saveUserData", user.user_id, "savings-goal", content)
    goal = user.get(SavingsGoal, record_id)
    goal.data.name = "y"
    user.update(goal)
    seen = sides.typescript("getUserData", user.user_id, "savings-goal", record_id)
    assert seen["data"]["big"] == BigInt(2**60)
    assert isinstance(seen["data"]["big"], BigInt)


# --- timestamps and conflicts ---------------------------------------------------------------------


@given(moments=st.lists(strategies.timestamps(), min_size=1, max_size=50))
@in_batches
def test_timestamps_are_spelled_alike(peer, moments):
    """Python spells a moment as `toISOString()` does, so that text sorts as time does."""
    written = [stamped(moment) for moment in moments]
    milliseconds = [
        (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        for moment in moments
    ]
    spelled = peer.call("isoStrings", milliseconds)
    assert written == spelled, "timestamp form: not what toISOString() prints"
    in_time = [text for _, text in sorted(zip(milliseconds, spelled, strict=True))]
    assert peer.call("sorted", written) == in_time, "timestamp form: text does not sort as time"


@payload
class Visit:
    at: datetime


def stamped(moment):
    return encode_data(Visit(at=moment), {}, None, Origins())["at"]["S"]


@on_engines
def test_records_of_both_sort_together(sides):
    """Records written in turns by both sides are in the order of writing when sorted as text."""
    user = sides.user()
    ids = []
    for turn in range(6):
        if turn % 2:
            ids.append(user.add(SavingsGoalData(name="x", target_amount=turn)).record_id)
        else:
            content = {"name": "x", "targetAmount": turn}
            ids.append(sides.typescript("saveUserData", user.user_id, "savings-goal", content))
        wait_for_the_next_millisecond()
    listed = sides.typescript("listAllUserData", user.user_id)
    in_text = [each["recordId"] for each in sorted(listed, key=lambda each: each["createdAt"])]
    assert in_text == ids, "timestamp form: the stamps of both do not sort together"
    in_python = [each.record_id for each in user.list_all(order_by="created_at")]
    assert in_python == ids


def wait_for_the_next_millisecond():
    before = iso_string(datetime.now(UTC))
    while iso_string(datetime.now(UTC)) == before:
        pass


@on_engines
def test_pythons_stamp_is_greater(sides):
    """Python's `updatedAt` is greater than that of TypeScript's write, even in one millisecond."""
    user = sides.user()
    content = {"name": "x", "targetAmount": 1}
    record_id = sides.typescript("saveUserData", user.user_id, "savings-goal", content)
    stamp = sides.typescript("getUserData", user.user_id, "savings-goal", record_id)["updatedAt"]
    moment = datetime.fromisoformat(stamp)
    at_the_same_time = DataStore(
        endpoint=sides.store.endpoint, table_name=sides.store.table_name, clock=lambda: moment
    )
    with at_the_same_time as store:
        goal = store.user(user.user_id).get(SavingsGoal, record_id)
        goal.data.current_amount = 5
        store.user(user.user_id).update(goal)
    seen = sides.typescript("getUserData", user.user_id, "savings-goal", record_id)
    allowed = [iso_string(moment + timedelta(milliseconds=skip)) for skip in range(1, 17)]
    assert seen["updatedAt"] in allowed, (
        "timestamp form: updatedAt should be 1 to 16 milliseconds after TypeScript's"
    )


def edit(sides, key):
    sides.typescript("readModifyWrite", *key, {"currentAmount": 7})


def edit_elsewhere(sides, key):
    sides.typescript("readModifyWrite", *key, {"seenBy": "web"})


def delete(sides, key):
    sides.typescript("deleteUserData", *key)


@on_engines
@pytest.mark.parametrize("change", [edit, edit_elsewhere, delete])
@pytest.mark.parametrize("atomic", [False, True])
def test_an_edit_by_typescript_is_a_conflict(sides, change, atomic):
    """What TypeScript changed between load and commit makes the commit a conflict, and stays."""
    user = sides.user()
    goal = user.add(SavingsGoalData(name="x", target_amount=1))
    key = (user.user_id, "savings-goal", goal.record_id)
    wait_for_the_next_millisecond()
    work = user.unit_of_work(atomic=atomic)
    work.get(SavingsGoal, goal.record_id).data.current_amount = 5
    change(sides, key)
    left = sides.typescript("getUserData", *key)
    with pytest.raises(CommitError) as caught:
        work.commit()
    assert isinstance(caught.value.causes[goal.record_key], ConflictError)
    work.rollback()
    assert sides.typescript("getUserData", *key) == left


# --- what is easily lost --------------------------------------------------------------------------


@on_engines
def test_null_and_absent_stay_apart(sides):
    """null is NULL and undefined is absent on both sides; None of an optional field is absent."""
    user = sides.user()
    content = {"name": "x", "targetAmount": 1, "targetDate": None, "monthlyContribution": UNDEFINED}
    record_id = sides.typescript("saveUserData", user.user_id, "savings-goal", content)
    goal = user.get(SavingsGoal, record_id)
    goal.data.name = "y"
    user.update(goal)
    seen = sides.typescript("getUserData", user.user_id, "savings-goal", record_id)
    assert_same({"name": "y", "targetAmount": 1, "targetDate": None}, seen["data"])

    spent = user.add(TransactionData(date="2025-01-07", amount=-5, category="food"))
    spent.data.category = None
    user.update(spent)
    check_record(sides, spent)

    given_null = user.add("transaction", {"date": "2025-01-07", "amount": 1, "category": None})
    seen = sides.typescript("getUserData", user.user_id, "transaction", given_null.record_id)
    assert_same({"date": "2025-01-07", "amount": 1, "category": None}, seen["data"])


@on_engines
def test_odd_record_ids_are_found(sides):
    """A record id with a #, a space or accents is found by either side under the same key."""
    user = sides.user()
    for record_id in ["abc123", "a#b", "#", "é", "e\u0301", " "]:
        goal = user.add(SavingsGoalData(name=record_id, target_amount=1), record_id=record_id)
        check_record(sides, goal)
        sides.typescript(
            "updateUserData",
            user.user_id,
            "savings-goal",
            record_id,
            {
                "name": "seen",
                "targetAmount": 2,
            },
        )
        assert user.get(SavingsGoal, record_id).data.name == "seen"
    assert len(sides.typescript("listUserData", user.user_id, "savings-goal")) == 6


@on_engines
def test_what_typescript_refuses_python_refuses(sides):
    """An empty set, NaN, infinity and 2^53 are refused on both sides."""
    user = sides.user()
    for value in [set(), float("nan"), float("inf"), 2**53]:
        with pytest.raises(InvalidRecordError):
            user.add("x-note", {"value": value})
        with pytest.raises(TypeScriptError):
            sides.typescript("saveUserData", user.user_id, "x-note", {"value": value})
    assert user.list_all() == []
