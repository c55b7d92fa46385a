"""A record: its version, its item, its problems, and what it never shows."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from leaks import USER

from thrivecalc_models import (
    BudgetData,
    CommitError,
    ConflictError,
    CorruptItemError,
    ProfileData,
    RecordExistsError,
    RecordNotFoundError,
    SavingsGoal,
    SavingsGoalData,
    ThriveCalcError,
    TransactionData,
    payload,
    read_item,
)
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.testing import SimulatedTable, faults, simulated_store
from thrivecalc_models.testing import strategies as own

CANARIES = ("998877665544332211", "Canary", "canary@", "31337", "cánary")


# Here the variety counts, not the number.
FEWER = settings(max_examples=min(100, settings.default.max_examples))


def canary_goal():
    return SavingsGoalData(name="Canary Fund", target_amount="31337.31337")


def canary_profile():
    return ProfileData(display_name="cánary", email="canary@example.com", annual_income=31337)


def told_by(error):
    """Every text of an error and of those it carries along."""
    texts, seen = [], set()
    queue = [error]
    while queue:
        each = queue.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        texts += [str(each), repr(each)]
        queue += [each.__cause__, each.__context__]
        queue += list(getattr(each, "errors", {}).values())
        queue += list(getattr(each, "causes", {}).values())
    return "\n".join(texts)


def assert_discreet(text):
    for canary in CANARIES:
        assert canary not in text


# --- version, item --------------------------------------------------------------------------------


@FEWER
@given(own.stored_items(user_id=USER))
def test_the_version_changes_with_every_write(item):
    """A version is opaque text: equal for readers of one state, another after each write."""
    table = SimulatedTable()
    table.put(item)
    user = simulated_store(table).user(USER)
    (one,) = user.list_all(include_expired=True)
    (other,) = user.list_all(include_expired=True)
    assert one.version == other.version
    versions = {one.version}
    for _ in range(3):
        user.put(one)
        versions.add(one.version)
    assert len(versions) == 4
    assert user.list_all(include_expired=True)[0].version == one.version
    assert all(version.isalnum() for version in versions)
    assert other.version in versions - {one.version}


def test_a_record_never_stored_has_no_version_and_no_item():
    """Before it is stored a record has neither version nor item."""
    record = SavingsGoal(USER, data=canary_goal())
    assert record.version == ""
    assert record.item is None
    assert record.problems == []
    assert not record.malformed


@FEWER
@given(own.stored_items())
def test_the_item_is_a_copy(item):
    """Changing record.item changes nothing about the record."""
    record = read_item(item)
    before, version = copy.deepcopy(item), record.version
    record.item["data"]["M"].clear()
    record.item.clear()
    assert record.item == before
    assert record.version == version


@FEWER
@given(own.stored_items())
def test_reading_values_does_not_touch_the_item(item):
    """Values that are read and edited are the caller's; the stored item stays what was read."""
    before = copy.deepcopy(item)
    record = read_item(item)
    record.extra_data.clear()
    record.extra_attributes.clear()
    if isinstance(record.data, dict):
        record.data.clear()
    assert record.item == before


def test_a_record_compares_by_identity(user):
    """Two records of one key are two objects, whose payloads are equal by value."""
    added = user.add(canary_goal())
    one, other = user.get(SavingsGoal, added.record_id), user.get(SavingsGoal, added.record_id)
    assert one != other
    assert one.data == other.data
    assert len({one, other, one}) == 2


def test_data_of_a_derived_class(user):
    """A payload of a derived class can replace `data`; its further fields are written, too."""

    @payload
    class WithNote(SavingsGoalData):
        note: str = ""

    user.add(SavingsGoalData(name="House", target_amount=5), record_id="g")
    goal = user.get(SavingsGoal, "g")
    values = {"name": goal.data.name, "target_amount": 5, "current_amount": 0}
    goal.data = WithNote(**values, note="roof")
    user.update(goal)
    goal.data.note = "door"
    user.update(goal)
    assert user.get(SavingsGoal, "g").extra_data == {"note": "door"}


def test_a_record_belongs_to_its_store(user):
    """A record is neither pickled nor copied: it belongs to its store."""
    record = user.add(canary_goal())
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            attempt(record)
        assert_discreet(told_by(caught.value))


def test_the_key_of_a_type():
    """`SavingsGoal.key(id)` is the record key; a given id may hold a '#'."""
    assert SavingsGoal.key("a#b") == "savings-goal#a#b"
    record = SavingsGoal(USER, record_id="a#b", data=canary_goal())
    assert record.record_key == "savings-goal#a#b"
    assert record.data_type == "savings-goal"
    assert SavingsGoal(USER, "savings-goal#a#b").record_id == "a#b"
    fresh = SavingsGoal(USER, data=canary_goal())
    assert fresh.record_id != SavingsGoal(USER, data=canary_goal()).record_id
    assert fresh.record_id[14] == "4"


# --- what is shown --------------------------------------------------------------------------------


@FEWER
@given(own.stored_items())
def test_the_repr_is_type_and_record_id(item):
    """A record's repr shows its type and record id, and nothing else."""
    record = read_item(item)
    assert repr(record) == f"<{type(record).__name__} {item['recordId']['S']}>"


@FEWER
@given(own.odd_items(user_id=USER))
def test_problems_and_errors_show_no_values(item):
    """What is told about a malformed item shows paths and reasons, not what is stored."""
    item["source"] = {"S": "Canary"}
    if "M" in item.get("data", {}):
        item["data"]["M"]["more"] = {"S": "Canary"}
    record = read_item(item)
    with pytest.raises(CorruptItemError) as caught:
        record.data  # noqa: B018
    assert_discreet("\n".join([*record.problems, repr(record), told_by(caught.value)]))


def test_reprs_are_discreet(table, user):
    """Nothing that a log may show has an amount, a name, an e-mail or a user id in it."""
    goal = user.add(canary_goal())
    profile = user.add(canary_profile())
    with user.unit_of_work() as work:
        loaded = work.get(SavingsGoal, goal.record_id)
        loaded.data.target_amount += 1
        work.add(canary_goal())
        shown = [repr(work), repr(work.plan().requests), str(work.plan())]
    page = user.page(SavingsGoal)
    shown += [repr(each) for each in (goal, goal.data, profile, profile.data, user, page)]
    shown += [
        repr(SavingsGoal(USER, data=canary_goal())),
        repr(Scope(simulated_store(table).session, USER)),
    ]
    shown += [page.cursor or "", goal.version]
    assert_discreet("\n".join(shown))


def every_bad_thing(table, user):
    """Calls that raise, each with canaries within reach of its message."""
    goal = user.add(canary_goal(), record_id="taken")
    stale = user.get(SavingsGoal, "taken")
    goal.data.current_amount = 1
    user.update(goal)
    stale.data.name = "Canary two"
    other = simulated_store(table).user("google-oauth2|1").add(canary_profile())
    bad_limits = BudgetData(name="Canary", period="p", limits={})
    bad_limits.limits["food"] = "31337 canary@"

    def atomic():
        with user.unit_of_work(atomic=True) as work:
            work.add(canary_goal(), record_id="taken")
            work.add(canary_profile())

    def several():
        with user.unit_of_work() as work:
            for number in range(3):
                work.add(SavingsGoalData(name=f"Canary {number}", target_amount="31337" * 8))

    def lost():
        table.fail_always(faults.LoseReply(applied=True))
        try:
            user.add(canary_goal())
        finally:
            table.heal()

    def denied():
        table.fail_next(faults.Denied())
        user.put(canary_profile())

    yield lambda: user.update(stale), ConflictError
    yield lambda: user.delete(stale), ConflictError
    yield lambda: user.add(canary_goal(), record_id="taken"), RecordExistsError
    yield (
        lambda: user.replace_data("profile", "none", {"displayName": "Canary"}),
        RecordNotFoundError,
    )
    yield lambda: user.put(other), ThriveCalcError
    yield lambda: user.add(bad_limits), ThriveCalcError
    yield lambda: SavingsGoalData(name="x", target_amount="31337 Canary"), ThriveCalcError
    yield lambda: SavingsGoalData(name=("Canary", 31337), target_amount=1), ThriveCalcError
    yield lambda: TransactionData(date="31337 canary@", amount=1), ThriveCalcError
    yield (
        lambda: user.add("savings-goal", {"name": "Canary", "targetAmount": "31337"}),
        (ThriveCalcError),
    )
    yield lambda: user.add(("x-note", {"Canary" * 1: {31337}})) and None, None
    yield lambda: SavingsGoalData(name="Canary" + "\ud83d", target_amount=1), ThriveCalcError
    yield lambda: user.add(ProfileData(email="canary@" + "x" * 409_600)), ThriveCalcError
    yield lambda: simulated_store(table).user(USER * 200), ThriveCalcError
    yield atomic, CommitError
    yield several, ThriveCalcError
    yield lost, ThriveCalcError
    yield denied, ThriveCalcError


def test_messages_are_discreet(table, user):
    """No message, nor that of a cause or context, shows an amount, a name or a user id."""
    for call, error in every_bad_thing(table, user):
        if error is None:
            call()
            continue
        with pytest.raises(error) as caught:
            call()
        assert_discreet(told_by(caught.value))
        assert str(caught.value)


# --- odd stamps -----------------------------------------------------------------------------------


def test_stamps_go_on_from_what_was_read(table, user):
    """updated_at of a write is after the one that was read, even if a clock was ahead."""
    record = user.add(canary_goal())
    item = record.item
    item["updatedAt"] = {"S": "2099-01-01T00:00:00.500Z"}
    table.put(item)
    loaded = user.get(SavingsGoal, record.record_id)
    loaded.data.current_amount = 5
    user.update(loaded)
    read = datetime(2099, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    assert timedelta(milliseconds=1) <= loaded.updated_at - read <= timedelta(milliseconds=16)
    assert loaded.created_at == record.created_at
    assert loaded.data.current_amount == Decimal(5)


def test_problems_name_what_is_odd(table, user):
    """Odd stamps read as None, are named as problems, and stay as they are stored."""
    record = user.add(canary_goal())
    item = record.item | {"createdAt": {"S": "canary@"}, "ttl": {"S": "31337"}}
    del item["updatedAt"]
    table.put(item)
    loaded = user.get(SavingsGoal, record.record_id)
    assert (loaded.created_at, loaded.updated_at, loaded.ttl) == (None, None, None)
    assert [problem.split()[0] for problem in loaded.problems] == ["createdAt", "updatedAt", "ttl"]
    assert_discreet("\n".join(loaded.problems))
    loaded.data.current_amount = 1
    user.update(loaded)
    after = table.get(USER, record.record_key)
    assert after["createdAt"] == {"S": "canary@"}
    assert after["ttl"] == {"S": "31337"}
    assert loaded.updated_at is not None
