"""Bad input: the right error, with the path in the table's spelling, before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaks import AMOUNT, EMAIL, HUGE_AMOUNT, NAME, UNSAFE_AMOUNT, USER
from own_types import Household, HouseholdData, Person

from thrivecalc_models import (
    BudgetData,
    CorruptItemError,
    InvalidKeyError,
    InvalidRecordError,
    IsolationError,
    ItemTooLargeError,
    PayloadAttribute,
    Profile,
    ProfileData,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    TransactionData,
    UnitOfWorkStateError,
    UnknownRecord,
    UnsafeNumberError,
    UserRecord,
    payload,
    read_item,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing import strategies as own
from thrivecalc_models.wire import item_size

HALF = "\ud83d"
DEEP = 31


@payload
class BagData:
    anything: Any = None
    amounts: list[Any] | None = None


class Bag(UserRecord, discriminator="x-bag"):
    data: PayloadAttribute[BagData] = PayloadAttribute(BagData)


def goal(**fields: Any) -> SavingsGoalData:
    return SavingsGoalData(**({"name": NAME, "target_amount": AMOUNT} | fields))


def nested(levels, kind):
    value = 1
    for _ in range(levels):
        value = {"a": value} if kind == "maps" else [value]
    return value


def every_way_to_write(user, payload):
    """The calls that write a payload, none of which may send this one."""
    yield lambda: user.add(payload)
    yield lambda: user.add(payload, record_id="given")
    yield lambda: user.put(payload)

    def unit(atomic):
        with user.unit_of_work(atomic=atomic) as work:
            work.add(payload)

    yield lambda: unit(False)
    yield lambda: unit(True)

    def plan():
        work = user.unit_of_work()
        work.add(payload)
        work.plan()

    yield plan
    yield lambda: user.run(lambda work: work.put(payload))


def budget(name, limit):
    """A budget into whose limits something was put later."""
    made = BudgetData(name="b", period="p", limits={})
    made.limits[name] = limit
    return made


def spent(*tags):
    made = TransactionData(date="2025-01-07", amount=1, tags=[])
    made.tags.extend(tags)
    return made


def household(**members):
    made = HouseholdData(people=[])
    made.people.extend(members.pop("people", ()))
    made.by_role.update(members)
    return made


BAD_CONTENTS = [
    (goal(target_amount=2**53), UnsafeNumberError, "data.targetAmount"),
    (goal(target_amount=-(2**53)), UnsafeNumberError, "data.targetAmount"),
    (goal(target_amount=float(HUGE_AMOUNT)), UnsafeNumberError, "data.targetAmount"),
    (goal(current_amount=UNSAFE_AMOUNT), UnsafeNumberError, "data.currentAmount"),
    (goal(target_amount="9007199254740990.5"), UnsafeNumberError, "data.targetAmount"),
    (goal(target_amount=AMOUNT + "1" * 39), InvalidRecordError, "data.targetAmount"),
    (goal(target_amount="0." + "1" * 39), InvalidRecordError, "data.targetAmount"),
    (goal(target_amount="1E126"), InvalidRecordError, "data.targetAmount"),
    (goal(target_amount="1E-131"), InvalidRecordError, "data.targetAmount"),
    (goal(target_amount=int(HUGE_AMOUNT) * 10**150), InvalidRecordError, "data.targetAmount"),
    (budget("food", NAME), InvalidRecordError, "limits.food"),
    (budget("food", True), InvalidRecordError, "limits.food"),
    (budget("food", float("nan")), InvalidRecordError, "limits.food"),
    (budget("food", None), InvalidRecordError, "limits.food"),
    (budget("food", 2**53), UnsafeNumberError, "limits.food"),
    (budget(5, 1), InvalidRecordError, "limits"),
    (budget("", 1), InvalidRecordError, "limits"),
    (budget(HALF, 1), InvalidRecordError, "limits"),
    (spent(NAME, 5), InvalidRecordError, "tags[1]"),
    (spent(HALF), InvalidRecordError, "tags[0]"),
    (BagData(anything=[float("inf")]), InvalidRecordError, "anything[0]"),
    (BagData(anything={"a": HALF}), InvalidRecordError, "anything.a"),
    (BagData(anything={"a": {HALF: 1}}), InvalidRecordError, "anything.a"),
    (BagData(anything={"a": {HALF}}), InvalidRecordError, "anything.a"),
    (BagData(anything={"a": set()}), InvalidRecordError, "anything.a"),
    (BagData(anything={"a": {1, "x"}}), InvalidRecordError, "anything.a"),
    (BagData(anything={"a": {True}}), InvalidRecordError, "anything.a"),
    (BagData(anything={"a": {2**53}}), UnsafeNumberError, "anything.a"),
    (BagData(anything=object()), InvalidRecordError, "anything"),
    (BagData(anything=1 + 2j), InvalidRecordError, "anything"),
    (BagData(anything=datetime(2025, 1, 7, tzinfo=UTC)), InvalidRecordError, "anything"),
    (BagData(anything={"a": Decimal("NaN")}), InvalidRecordError, "anything.a"),
    (BagData(amounts=[2**53]), UnsafeNumberError, "amounts[0]"),
    (BagData(anything=nested(DEEP, "maps")), InvalidRecordError, "anything.a"),
    (BagData(anything=nested(DEEP, "lists")), InvalidRecordError, "anything[0]"),
    (BagData(anything=nested(500, "maps")), InvalidRecordError, "anything.a"),
    (
        HouseholdData(people=[Person(name="a"), Person(name="b", share="1" * 39)]),
        InvalidRecordError,
        "people[1].share",
    ),
    (household(people=["a"]), InvalidRecordError, "people[0]"),
    (household(a=None), InvalidRecordError, "byRole.a"),
]


@pytest.mark.parametrize(
    ("bad", "error", "path"),
    BAD_CONTENTS,
    ids=[f"{path} {number}" for number, (_, _, path) in enumerate(BAD_CONTENTS)],
)
def test_what_lies_in_a_payload_is_checked_before_anything_is_sent(table, user, bad, error, path):
    """Numbers, and what lies in containers, are refused at every way to write, with the path."""
    for write in every_way_to_write(user, bad):
        with pytest.raises(InvalidRecordError) as caught:
            write()
        assert type(caught.value) is error
        assert caught.value.path is not None
        assert caught.value.path.startswith("data.")
        assert path in caught.value.path
        assert caught.value.path.isprintable()
        caught.value.path.encode()
        str(caught.value).encode()
    assert table.sent() == 0


def test_mappings_are_checked_too(table, user):
    """A mapping is checked against its class: wrong types, missing fields, unsafe numbers."""
    for mapping, path in [
        ({"name": "x"}, "data.targetAmount"),
        ({"name": "x", "targetAmount": None}, "data.targetAmount"),
        ({"name": "x", "targetAmount": "5"}, "data.targetAmount"),
        ({"name": 5, "targetAmount": 5}, "data.name"),
        ({"name": "x", "targetAmount": True}, "data.targetAmount"),
        ({"name": "x", "targetAmount": 2**53}, "data.targetAmount"),
        ({"name": "x", "targetAmount": 5, "more": {"deep": [2**53]}}, "data.more.deep[0]"),
        ({"name": "x", "targetAmount": 5, "targetDate": "soon"}, "data.targetDate"),
        ({"name": "x", "targetAmount": 5, 7: 1}, "data"),
        ({"name": HALF, "targetAmount": 5}, "data.name"),
    ]:
        for write in (
            lambda m=mapping: user.add("savings-goal", m),
            lambda m=mapping: user.add((SavingsGoal, m)),
            lambda m=mapping: user.put("savings-goal", m, record_id="1"),
            lambda m=mapping: user.replace_data("savings-goal", "1", m),
        ):
            with pytest.raises(InvalidRecordError) as caught:
                write()
            assert caught.value.path == path, mapping
    assert table.sent() == 0


@pytest.mark.parametrize("given", [None, 5, "text", [], object()])
def test_what_is_no_payload_is_refused(table, user, given):
    """What is neither payload, record nor a type with a mapping is refused."""
    for write in (user.add, user.put):
        with pytest.raises((InvalidRecordError, TypeError)):
            write(given)
    record = SavingsGoal(USER, data=goal())
    with pytest.raises(InvalidRecordError) as caught:
        record.data = given
    assert caught.value.path == "data"
    assert table.sent() == 0


def test_a_record_without_data_is_refused(table, user):
    """A record that was given no payload is refused, not stored without data."""
    with pytest.raises(InvalidRecordError) as caught:
        user.add(SavingsGoal(USER))
    assert caught.value.path == "data"
    assert table.sent() == 0


# --- sizes and levels -----------------------------------------------------------------------------


@given(st.sampled_from(["name", "extra_data", "extra_attributes"]), st.sampled_from("aé東🚕"))
def test_the_largest_item(where, character):
    """An item of 409,600 bytes is stored, one of 409,601 is refused with its size."""
    table = SimulatedTable()
    user = simulated_store(table).user(USER)

    def made(size):
        text = character * (size // len(character.encode()))
        text += "a" * (size - len(text.encode()))
        record = SavingsGoal(USER, record_id="1", data=goal())
        if where == "name":
            record.data.name = text
        else:
            getattr(record, where)["more"] = text
        return record

    user.put(made(100))
    room = 409_600 - item_size(table.get(USER, "savings-goal#1"))
    before = table.sent()
    with pytest.raises(ItemTooLargeError) as caught:
        user.put(made(100 + room + 1))
    assert caught.value.size == 409_601
    assert table.sent() == before
    record = user.put(made(100 + room))
    assert item_size(table.get(USER, "savings-goal#1")) == 409_600
    record.extra_data["x"] = "y"
    with pytest.raises(ItemTooLargeError):
        user.update(record)
    assert table.sent() == before + 1


@pytest.mark.parametrize("kind", ["maps", "lists"])
def test_the_deepest_item(table, user, kind):
    """32 levels are stored, `data` and the value in it included; 33 are refused."""
    user.add(BagData(anything=nested(DEEP - 1, kind)), record_id="1")
    assert user.get(Bag, "1").data.anything == nested(DEEP - 1, kind)
    before = table.sent()
    record = user.get(Bag, "1")
    record.data.anything = nested(DEEP, kind)
    with pytest.raises(InvalidRecordError):
        user.update(record)
    record = SavingsGoal(USER, data=goal())
    record.extra_attributes["deep"] = nested(DEEP + 1, kind)
    with pytest.raises(InvalidRecordError):
        user.add(record)
    assert table.sent() == before + 1


# --- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("user_id", ["", None, 5, b"u", HALF, "u" * 2049, "é" * 1025, "🚕" * 513])
def test_user_ids_that_cannot_be(table, user_id):
    """An empty, over-long (in bytes) or untyped user id is refused, and never shown."""
    store = simulated_store(table)
    for make in (lambda: store.user(user_id), lambda: SavingsGoal(user_id, data=goal())):
        with pytest.raises(InvalidKeyError) as caught:
            make()
        assert caught.value.path == "userId"
        if isinstance(user_id, str) and user_id:
            assert user_id not in str(caught.value)
    store.user("é" * 1024)
    assert table.sent() == 0


@pytest.mark.parametrize("record_id", ["", 5, b"x", HALF, "x" * 1012, "é" * 506, "🚕" * 253])
def test_record_ids_that_cannot_be(table, user, record_id):
    """An empty, over-long (in bytes, with its type) or untyped record id is refused everywhere."""
    for call in (
        lambda: user.get(SavingsGoal, record_id),
        lambda: user.get("savings-goal", record_id),
        lambda: user.get_many([(SavingsGoal, "fine"), (SavingsGoal, record_id)]),
        lambda: user.delete(SavingsGoal, record_id),
        lambda: user.add(goal(), record_id=record_id),
        lambda: user.put(goal(), record_id=record_id),
        lambda: user.replace_data("savings-goal", record_id, {}),
        lambda: SavingsGoal(USER, record_id=record_id, data=goal()),
        lambda: SavingsGoal.key(record_id),
        lambda: user.unit_of_work().get(SavingsGoal, record_id),
        lambda: user.unit_of_work().delete(SavingsGoal, record_id),
    ):
        with pytest.raises(InvalidKeyError) as caught:
            call()
        assert caught.value.path == "recordId"
    assert table.sent() == 0
    user.add(goal(), record_id="x" * 1011)
    user.add(goal(), record_id="é" * 505)


@pytest.mark.parametrize("data_type", ["", "a#b", "#", HALF, "x" * 1025, 5, dict, UserRecord])
def test_data_types_that_cannot_be(table, user, data_type):
    """An empty type, one with '#', over-long or of no record class is refused everywhere."""
    for call in (
        lambda: user.get(data_type, "1"),
        lambda: user.list(data_type),
        lambda: user.page(data_type),
        lambda: next(user.iterate(data_type)),
        lambda: user.get_many([(data_type, "1")]),
        lambda: user.add(data_type, {"a": 1}),
        lambda: user.delete(data_type, "1"),
        lambda: user.replace_data(data_type, "1", {}),
    ):
        with pytest.raises(InvalidKeyError) as caught:
            call()
        assert caught.value.path == "dataType"
    assert table.sent() == 0


def test_the_identity_of_a_stored_record_is_fixed(table, user):
    """Keys and stamps of a stored record cannot be set: they are its identity and history."""
    record = user.add(goal())
    for name, value in [
        ("user_id", "other"),
        ("record_id", "other"),
        ("record_key", "savings-goal#x"),
        ("data_type", "budget"),
        ("created_at", datetime.now(UTC)),
        ("updated_at", datetime.now(UTC)),
    ]:
        with pytest.raises(InvalidRecordError):
            setattr(record, name, value)
    assert table.sent() == 1


def test_constructors_take_no_nonsense():
    """A record class takes its attributes only, and its own type only."""
    with pytest.raises(TypeError, match="goal"):
        SavingsGoal(USER, goal=1)
    with pytest.raises(InvalidKeyError):
        SavingsGoal(USER, data_type="budget", data=goal())
    with pytest.raises(InvalidKeyError):
        SavingsGoal(USER, "budget#1", data=goal())
    with pytest.raises(InvalidRecordError):
        SavingsGoal(USER, data=ProfileData())
    with pytest.raises(TypeError):
        UserRecord(USER)
    with pytest.raises(TypeError):
        UnknownRecord(USER, data={})
    with pytest.raises(InvalidKeyError):
        UnknownRecord(USER, data_type="savings-goal", data={})
    with pytest.raises(InvalidKeyError):
        UnknownRecord(USER, data_type="a#b", data={})
    with pytest.raises(InvalidKeyError):
        read_item({})
    with pytest.raises(InvalidKeyError):
        read_item({"userId": {"N": "1"}, "recordKey": {"S": "a#b"}})


# --- other users ----------------------------------------------------------------------------------


def test_another_users_record_is_refused(table, user):
    """No call takes a record of another user, new or stored."""
    other = simulated_store(table).user("google-oauth2|111222333444555666")
    theirs = other.add(goal())
    fresh = SavingsGoal(other.user_id, data=goal())
    before = table.sent()
    unit, atomic = user.unit_of_work(), user.unit_of_work(atomic=True)
    for record in (theirs, fresh):
        for call in (
            user.add,
            user.put,
            user.update,
            user.delete,
            unit.add,
            unit.put,
            unit.delete,
            unit.refresh,
            unit.expunge,
            atomic.check,
        ):
            with pytest.raises(IsolationError) as caught:
                call(record)
            assert other.user_id not in str(caught.value)
            assert USER not in str(caught.value)
    unit.commit()
    assert table.sent() == before


def test_another_users_cursor_is_refused(table, user):
    """A cursor works for its user and its query only."""
    other = simulated_store(table).user("google-oauth2|111222333444555666")
    for owner in (user, other):
        for number in range(3):
            owner.add(goal(), record_id=str(number))
    cursor = other.page(SavingsGoal, limit=1).cursor
    before = table.sent()
    with pytest.raises(IsolationError):
        user.page(SavingsGoal, limit=1, cursor=cursor)
    for call in (
        lambda: other.page("budget", limit=1, cursor=cursor),
        lambda: other.page(SavingsGoal, limit=1, cursor=cursor, consistent=True),
        lambda: other.page(limit=1, cursor=cursor),
    ):
        with pytest.raises(InvalidKeyError):
            call()
    assert table.sent() == before
    assert other.page(SavingsGoal, limit=1, cursor=cursor).records


@given(st.text() | st.binary() | st.none().map(lambda _: 5))
def test_rubbish_is_no_cursor(rubbish):
    """Whatever is given as a cursor and is none is an InvalidKeyError."""
    table = SimulatedTable()
    user = simulated_store(table).user(USER)
    with pytest.raises(InvalidKeyError) as caught:
        user.page(SavingsGoal, cursor=rubbish)
    assert caught.value.path == "cursor"
    assert table.sent() == 0


# --- times ----------------------------------------------------------------------------------------

BAD_TIMES = [
    datetime(2030, 1, 1),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
    timedelta.max,
    1893456000,
    "2030-01-01",
]


@pytest.mark.parametrize("ttl", BAD_TIMES)
def test_times_to_live_that_cannot_be(table, user, ttl):
    """A naive ttl, or one before 1970 or after 9999, is refused with its path."""
    stored = SavingsGoal(USER, data=goal())
    for call in (
        lambda: user.add(goal(), ttl=ttl),
        lambda: user.put(goal(), ttl=ttl),
        lambda: user.unit_of_work().add(goal(), ttl=ttl),
        lambda: SavingsGoal(USER, data=goal(), ttl=ttl),
        lambda: setattr(stored, "ttl", ttl),
    ):
        with pytest.raises(InvalidRecordError) as caught:
            call()
        assert caught.value.path == "ttl"
    assert stored.ttl is None
    assert table.sent() == 0


def test_created_at_takes_aware_datetimes(table, user):
    """A naive created_at is refused; an aware one is kept."""
    with pytest.raises(InvalidRecordError) as caught:
        SavingsGoal(USER, data=goal(), created_at=datetime(2025, 1, 7))
    assert caught.value.path == "createdAt"
    made = user.add(SavingsGoal(USER, data=goal(), created_at=datetime(2020, 1, 7, tzinfo=UTC)))
    assert made.item["createdAt"] == {"S": "2020-01-07T00:00:00.000Z"}


def test_keep_for_gives_new_records_their_ttl(table, user):
    """A new record of a type with keep_for gets that ttl, unless one is given."""
    made = user.add(HouseholdData(people=[]))
    assert made.ttl == datetime(2025, 1, 7, 12, 30, tzinfo=UTC) + timedelta(days=30)
    given = datetime(2026, 1, 1, tzinfo=UTC)
    assert user.add(HouseholdData(people=[]), ttl=given).ttl == given
    made.ttl = None
    user.update(made)
    assert user.get(Household, made.record_id).ttl is None


# --- malformed records, closed units --------------------------------------------------------------


@given(own.odd_items(user_id=USER))
def test_a_malformed_record_cannot_be_changed(item):
    """No change to a malformed record is accepted, and nothing is sent."""
    table = SimulatedTable()
    table.put(item)
    user = simulated_store(table).user(USER)
    (record,) = user.list_all(include_expired=True)
    before = table.sent()
    for change in (
        lambda: record.data,
        lambda: record.extra_data,
        lambda: setattr(record, "data", goal()),
        lambda: setattr(record, "ttl", datetime(2030, 1, 1, tzinfo=UTC)),
        lambda: user.put(record),
        lambda: user.unit_of_work().put(record),
    ):
        with pytest.raises(CorruptItemError) as caught:
            change()
        assert caught.value.record_key == item["recordKey"]["S"]
        assert caught.value.item == item
    record.extra_attributes["more"] = 1
    with pytest.raises(CorruptItemError):
        user.update(record)
    assert table.sent() == before


def test_a_closed_unit_is_refused(table, user):
    """After the block, or close(), every call but an empty commit() is refused."""
    with user.unit_of_work() as after_block:
        pass
    closed = user.unit_of_work()
    closed.close()
    record = SavingsGoal(USER, data=goal())
    for work in (after_block, closed):
        for call in (
            lambda w=work: w.get(SavingsGoal, "1"),
            lambda w=work: w.get_many([(SavingsGoal, "1")]),
            lambda w=work: w.list(SavingsGoal),
            lambda w=work: w.list_all(),
            lambda w=work: w.add(goal()),
            lambda w=work: w.put(record),
            lambda w=work: w.delete(SavingsGoal, "1"),
            lambda w=work: w.check(record),
            lambda w=work: w.refresh(record),
            lambda w=work: w.expunge(record),
            lambda w=work: w.rollback(),
            lambda w=work: w.plan(),
            lambda w=work: w.__enter__(),
        ):
            with pytest.raises(UnitOfWorkStateError):
                call()
        assert work.commit().requests == 0
    assert table.sent() == 0


# --- one bad record among sixty -------------------------------------------------------------------


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("bad", [[59], [0, 7, 58]])
def test_one_bad_record_stops_the_unit(table, user, bad, atomic):
    """With any bad record of sixty nothing is sent, and all that are bad are named."""
    records = []
    work = user.unit_of_work(atomic=atomic)
    for number in range(60):
        amount = AMOUNT + "1" * 39 if number in bad else number
        records.append(
            work.add(TransactionData(date="2025-01-07", amount=amount), record_id=f"r{number}")
        )
    for attempt in (work.plan, work.commit):
        with pytest.raises(InvalidRecordError) as caught:
            attempt()
        if len(bad) > 1:
            assert set(caught.value.errors) == {f"transaction#r{number}" for number in bad}
            for key, error in caught.value.errors.items():
                assert isinstance(error, InvalidRecordError)
                assert error.path == "data.amount"
                assert key in str(caught.value)
        else:
            assert caught.value.path == "data.amount"
        assert "1111" not in str(caught.value)
        assert table.sent() == 0
    for number in bad:
        records[number].data.amount = number
    assert len(work.commit().applied) == 60
    assert len(user.list(Transaction)) == 60


def test_a_bad_edit_stops_the_unit(table, user):
    """A bad edit of a stored record stops a unit of good ones, and can be mended."""
    with user.unit_of_work() as work:
        profile = work.add(ProfileData(email=EMAIL))
    work = user.unit_of_work()
    loaded = work.get(Profile, profile.record_id)
    loaded.data.annual_income = 2**60
    work.add(goal())
    before = table.sent()
    with pytest.raises(UnsafeNumberError) as caught:
        work.commit()
    assert caught.value.path == "data.annualIncome"
    assert table.sent() == before
    loaded.data.annual_income = 2**50
    work.commit()
    assert user.get(Profile, profile.record_id).data.annual_income == 2**50


@pytest.mark.parametrize("name", ["__proto__", "", "x" * 65_536, "\ud800"])
def test_new_names_that_would_not_last_are_refused(table, user, name):
    """A new name that DynamoDB or JavaScript would not keep is refused at both levels, unsent."""
    for place in ("extra_data", "extra_attributes"):
        made = SavingsGoal(USER, data=goal())
        getattr(made, place)[name] = 1
        with pytest.raises(InvalidRecordError):
            user.add(made)
    with pytest.raises(InvalidRecordError):
        user.add("x-note", {"inner": {name: 1}})
    assert table.sent() == 0


def test_a_stored_name_that_javascript_misreads_is_kept(table, user):
    """What another program stored under __proto__ survives a change beside it."""
    added = user.add("x-note", {"inner": {"a": 1}})
    stored = added.item
    stored["data"]["M"]["inner"]["M"]["__proto__"] = {"S": "odd"}
    stored["__proto__"] = {"S": "odd"}
    table.put(stored)
    found = user.get("x-note", added.record_id)
    found.data["inner"]["a"] = 2
    found.extra_attributes["b"] = 1
    user.update(found)
    kept = table.get(USER, found.record_key)
    assert kept["data"]["M"]["inner"]["M"] == {"a": {"N": "2"}, "__proto__": {"S": "odd"}}
    assert kept["__proto__"] == {"S": "odd"}
