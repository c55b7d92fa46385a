"""Calls that spare a unit of work: exists, add_many, patch, upsert and others, in both shells."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leaks import AMOUNT, USER
from machines import EXPIRED, changed, goal_item, item, payment, requests, user_of
from small_calls import COSTS, prepare

from thrivecalc_models import (
    AccessDeniedError,
    Budget,
    CommitError,
    CommitResult,
    ConflictError,
    CorruptItemError,
    InvalidKeyError,
    InvalidRecordError,
    OutcomeUnknownError,
    PayloadAttribute,
    Profile,
    ProfileData,
    RecordExistsError,
    RecordNotFoundError,
    RetryPolicy,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    UserRecord,
    payload,
)
from thrivecalc_models.signals import RequestEvent
from thrivecalc_models.testing import SimulatedTable, faults

KEY = "savings-goal#g"

pytestmark = pytest.mark.usefixtures("shell", "a_stored_goal")


def goal(amount=1):
    return SavingsGoalData(name="n", target_amount=amount)


# --- exists ---------------------------------------------------------------------------------------


def test_exists_is_one_reading(table, user):
    """exists is one GetItem, and says whether get would give a record."""
    table.put(goal_item("old", ttl=EXPIRED))
    assert user.exists(SavingsGoal, "g") is True
    assert user.exists("savings-goal", "none") is False
    assert user.exists(SavingsGoal, "old") is False
    assert user.exists(SavingsGoal, "old", consistent=True, include_expired=True) is True
    assert [operation for operation, _ in requests(table)] == ["GetItem"] * 4
    assert [bool(entry.request.get("ConsistentRead")) for entry in table.log] == [
        False,
        False,
        False,
        True,
    ]


def test_a_malformed_record_exists(table, user):
    """What cannot be read as its class exists all the same."""
    table.put(item("savings-goal", "bad", {}))
    assert user.exists(SavingsGoal, "bad")


# --- add_many -------------------------------------------------------------------------------------


def test_add_many_is_one_unit(table, user):
    """60 records are 3 BatchWriteItem, and come back in order, each stored."""
    records = user.add_many(goal(amount) for amount in range(60))
    assert [operation for operation, _ in requests(table)] == ["BatchWriteItem"] * 3
    assert sorted(len(keys) for _, keys in requests(table)) == [10, 25, 25]
    assert [record.data.target_amount for record in records] == list(range(60))
    for record in records:
        assert table.get(USER, record.record_key) == record.item


def test_add_many_takes_what_add_takes(table, user):
    """Payloads, records, and pairs of a type and a mapping may stand side by side."""
    given = Transaction(data=payment())
    records = user.add_many([goal(), given, ("budget", {"name": "n", "period": "p", "x": 1})])
    assert [type(record) for record in records] == [SavingsGoal, Transaction, Budget]
    assert records[1] is given
    assert table.get(USER, records[2].record_key)["data"]["M"]["x"] == {"N": "1"}


def test_add_many_of_nothing(table, user):
    """No records are no request."""
    assert user.add_many([]) == []
    assert table.sent() == 0


def test_add_many_checks_everything_first(table, user):
    """One bad record of three is refused before anything is sent."""
    with pytest.raises(InvalidRecordError):
        user.add_many([goal(), goal(2**60), goal()])
    assert table.sent() == 0


def test_add_many_says_what_was_not_added(table, user):
    """A taken key does not stop the rest; the CommitError has every key in its place."""
    taken = SavingsGoal(record_id="g", data=goal())
    with pytest.raises(CommitError) as failed:
        user.add_many([goal(), taken, goal()])
    assert len(failed.value.applied) == 2
    assert failed.value.not_applied == [KEY]
    assert failed.value.causes[KEY].record is taken
    assert table.get(USER, KEY) == goal_item()


# --- delete_many ----------------------------------------------------------------------------------


def test_delete_many_is_one_unit(table, user):
    """30 keys, of which some are not stored or named twice, are 2 BatchWriteItem."""
    names = [str(number) for number in range(28)]
    for name in names[:20]:
        table.put(goal_item(name))
    keys = [(SavingsGoal, name) for name in names]
    result = user.delete_many([*keys, ("savings-goal", "g"), KEY, ("budget", "b"), keys[0]])
    assert isinstance(result, CommitResult)
    assert len(result.applied) == 30
    assert result.requests == 2
    assert [operation for operation, _ in requests(table)] == ["BatchWriteItem"] * 2
    assert table.items == {}


def test_delete_many_of_one_and_of_none(table, user):
    """One key is a DeleteItem, as the guide's policy allows; none is no request."""
    assert user.delete_many([]) == CommitResult()
    assert user.delete_many([(SavingsGoal, "g")]).applied == [KEY]
    assert requests(table) == [("DeleteItem", (KEY,))]


@pytest.mark.parametrize("key", ["text", ("savings-goal",), ("savings-goal", ""), 5])
def test_delete_many_refuses_a_bad_key(table, user, key):
    """What is no key is refused before anything is sent."""
    with pytest.raises(InvalidKeyError):
        user.delete_many([(SavingsGoal, "g"), key])
    assert table.sent() == 0


def test_lost_replies_of_many(table, user):
    """Replies that are lost are found again: nothing is twice, and nothing is unknown."""
    table.fail_next(faults.LoseReply(applied=True), "BatchWriteItem", 2)
    records = user.add_many([goal(), goal()])
    assert len(table.items) == 3
    table.fail_next(faults.LoseReply(applied=True), "BatchWriteItem", 1)
    result = user.delete_many([record.record_key for record in records])
    assert len(result.applied) == 2
    assert set(table.items) == {(USER, KEY)}


# --- patch ----------------------------------------------------------------------------------------

LIMITS = {"M": {"food": {"N": "250"}, "rent": {"N": "900"}}}


def budget_item(record_id="b", **data):
    return item("budget", record_id, {"name": {"S": "n"}, "period": {"S": "monthly"}, **data})


def data_of(table, key):
    return table.get(USER, key)["data"]["M"]


def sent(table):
    return [operation for operation, _ in requests(table)]


def test_patch_is_one_update(table, user):
    """null removes, mappings merge, the rest is set: one UpdateItem; the record comes back."""
    table.put(budget_item(limits=LIMITS, startDate={"S": "2025-1-7"}, colour={"S": "teal"}))
    patch = {"limits": {"food": 300, "rent": None}, "period": "weekly", "colour": None, "x": [1]}
    record = user.patch("budget", "b", patch)
    assert requests(table) == [("UpdateItem", ("budget#b",))]
    assert data_of(table, "budget#b") == {
        "name": {"S": "n"},
        "period": {"S": "weekly"},
        "startDate": {"S": "2025-1-7"},
        "limits": {"M": {"food": {"N": "300"}}},
        "x": {"L": [{"N": "1"}]},
    }
    assert isinstance(record, Budget)
    assert record.item == table.get(USER, "budget#b")
    assert record.data.limits == {"food": 300}
    assert table.get(USER, "budget#b")["updatedAt"] == {"S": "2025-01-07T12:30:00.000Z"}


def test_patch_reaches_maps_at_any_depth(table, user):
    """Undeclared maps merge too, as deep as they are stored, and keep what the patch leaves out."""
    stored = {"M": {"a": {"M": {"b": {"M": {"c": {"N": "1"}, "d": {"N": "2"}}}}}}}
    table.put(budget_item(more=stored))
    user.patch(Budget, "b", {"more": {"a": {"b": {"c": None, "e": "x"}}}})
    assert sent(table) == ["UpdateItem"]
    inner = {"M": {"d": {"N": "2"}, "e": {"S": "x"}}}
    assert data_of(table, "budget#b")["more"] == {"M": {"a": {"M": {"b": inner}}}}


@pytest.mark.parametrize("stored", [{}, {"limits": {"NULL": True}}])
def test_patch_into_a_map_that_is_absent(table, user, stored):
    """Where a map is not stored it is made, without its nulls: a second UpdateItem under a lock."""
    table.put(budget_item(**stored))
    record = user.patch("budget", "b", {"limits": {"food": 300, "rent": None}})
    assert sent(table) == ["UpdateItem", "UpdateItem"]
    condition = table.log[1].request["ConditionExpression"]
    assert "updatedAt" in table.log[1].request["ExpressionAttributeNames"].values(), condition
    assert data_of(table, "budget#b")["limits"] == {"M": {"food": {"N": "300"}}}
    assert record.data.limits == {"food": 300}
    assert record.item == table.get(USER, "budget#b")


def test_patch_replaces_what_is_no_map(table, user):
    """A mapping merged into a value that is no map takes its place, as RFC 7396 says."""
    table.put(budget_item(more={"S": "text"}))
    user.patch("budget", "b", {"more": {"a": {"b": 1, "c": None}}})
    assert data_of(table, "budget#b")["more"] == {"M": {"a": {"M": {"b": {"N": "1"}}}}}


def test_patch_of_nothing_reads(table, user):
    """A patch that sets and removes nothing is one consistent reading, and changes no stamp."""
    before = table.get(USER, KEY)
    assert user.patch(SavingsGoal, "g", {}).item == before
    assert sent(table) == ["GetItem"]
    assert table.log[0].request["ConsistentRead"] is True
    assert table.get(USER, KEY) == before
    with pytest.raises(RecordNotFoundError) as refused:
        user.patch(SavingsGoal, "none", {})
    assert refused.value.outcome == "not applied"


@pytest.mark.parametrize("patch", [{"name": "x"}, {"more": {"a": 1}}])
def test_patching_what_is_not_there(table, user, patch):
    """A missing record is a RecordNotFoundError after one request, and nothing is created."""
    with pytest.raises(RecordNotFoundError) as refused:
        user.patch(SavingsGoal, "none", patch)
    assert refused.value.outcome == "not applied"
    assert sent(table) == ["UpdateItem"]
    assert set(table.items) == {(USER, KEY)}


REFUSED = [
    ({"target_amount": 5}, "data.target_amount"),
    ({"targetAmount": None}, "data.targetAmount"),
    ({"targetAmount": "a lot"}, "data.targetAmount"),
    ({"targetAmount": {"a": 1}}, "data.targetAmount"),
    ({"targetAmount": 2**60}, "data.targetAmount"),
    ({"name": 5}, "data.name"),
    ({"targetDate": "soon"}, "data.targetDate"),
    ({"x": {"__proto__": 1}}, "data.x"),
    ({"x": {"y": object()}}, "data.x.y"),
    ("text", "data"),
    (None, "data"),
]


@pytest.mark.parametrize(("patch", "path"), REFUSED)
def test_a_patch_that_does_not_fit_is_refused(table, user, patch, path):
    """Names and values that the table should not have are refused before anything is sent."""
    for call in (user, user.unit_of_work()):
        with pytest.raises(InvalidRecordError) as refused:
            call.patch(SavingsGoal, "g", patch)
        assert refused.value.path == path
    assert refused.value.outcome in (None, "not applied")
    assert table.sent() == 0


def test_all_that_is_wrong_with_a_patch_is_said(table, user):
    """One error names every bad path."""
    with pytest.raises(InvalidRecordError) as refused:
        user.patch("budget", "b", {"name": None, "limits": {"food": "x", "rent": 1}, "period": 1})
    assert set(refused.value.errors) == {"data.name", "data.limits.food", "data.period"}
    assert table.sent() == 0


def test_a_patch_nested_too_deep(table, user):
    """A patch that goes round in a circle, or deeper than DynamoDB stores, is refused."""
    circle = {}
    circle["a"] = circle
    with pytest.raises(InvalidRecordError):
        user.patch(SavingsGoal, "g", {"x": circle})
    assert table.sent() == 0


def test_a_patch_takes_values_of_the_fields_kind(table, user):
    """A date may be given as a date, an amount as any number."""
    user.patch(SavingsGoal, "g", {"targetDate": date(2030, 1, 7), "currentAmount": 0.1})
    assert data_of(table, KEY)["targetDate"] == {"S": "2030-01-07"}
    assert data_of(table, KEY)["currentAmount"] == {"N": "0.1"}


def test_a_patch_longer_than_an_expression(table, user):
    """A patch that does not fit 4 KB of expression is read first, and merged under the lock."""
    patch = {f"name{number}" * 3: number for number in range(400)}
    record = user.patch(SavingsGoal, "g", patch)
    assert sent(table) == ["GetItem", "UpdateItem"]
    assert record.extra_data.keys() == {"colour", *patch}
    assert data_of(table, KEY).keys() == {*goal_item()["data"]["M"], *patch}


def test_a_patch_of_an_unregistered_type(table, user):
    """Where no class is registered, any names and values go, and are merged alike."""
    table.put(item("note-of-mine", "n", {"a": {"M": {"b": {"N": "1"}}}, "c": {"S": "x"}}))
    record = user.patch("note-of-mine", "n", {"a": {"some_name": True}, "c": None})
    assert sent(table) == ["UpdateItem"]
    assert record.data == {"a": {"b": 1, "some_name": True}}


@payload
class PatchedBoundsData:
    lowest: int
    highest: int

    def __attrs_post_init__(self):
        if self.lowest > self.highest:
            raise ValueError("out of order")


class PatchedBounds(UserRecord, discriminator="x-patched-bounds"):
    data: PayloadAttribute[PatchedBoundsData] = PayloadAttribute(PatchedBoundsData)


def test_a_class_with_checks_of_its_own_is_read_first(table, user):
    """What only the author's own check can judge is judged whole, before it is written."""
    table.put(item("x-patched-bounds", "p", {"lowest": {"N": "1"}, "highest": {"N": "5"}}))
    assert user.patch(PatchedBounds, "p", {"lowest": 4}).data.lowest == 4
    assert sent(table) == ["GetItem", "UpdateItem"]
    with pytest.raises(InvalidRecordError) as refused:
        user.patch(PatchedBounds, "p", {"lowest": 6})
    assert refused.value.outcome == "not applied"
    assert sent(table)[2:] == ["GetItem"]


def test_a_malformed_record_is_not_merged_into(table, user):
    """Where a patch has to read what does not fit its class, it is a CorruptItemError."""
    table.put(goal_item() | {"data": {"S": "oops"}})
    with pytest.raises(CorruptItemError) as refused:
        user.patch(SavingsGoal, "g", {"name": "n"})
    assert refused.value.outcome == "not applied"
    assert sent(table) == ["UpdateItem"]


def disturb(table, times, act=None):
    """Let another writer change the budget before each of the next locked updates."""

    def change(_):
        stored = table.get(USER, "budget#b")
        amount = str(len(table.log))
        table.put(changed(stored, stamp=f"2025-01-06T00:00:00.{amount:>03}Z", y={"N": amount}))

    table.fail_next(faults.OtherWriter(act or change), "UpdateItem", times)


def test_a_patch_that_was_outrun_starts_again(table, user):
    """Between reading and writing another writer came: it is merged anew into what is stored."""
    table.put(budget_item())
    disturb(table, 4)
    record = user.patch("budget", "b", {"limits": {"food": 1}})
    assert sent(table) == ["UpdateItem"] * 6  # two times in vain
    assert record.data.limits == {"food": 1}
    assert record.extra_data == {"y": 3}


def test_a_patch_gives_up(table, user):
    """After eight tries the ConflictError of the last one is raised."""
    table.put(budget_item())
    disturb(table, 100)
    with pytest.raises(ConflictError) as refused:
        user.patch("budget", "b", {"limits": {"food": 1}})
    assert refused.value.outcome == "not applied"
    assert sent(table) == ["UpdateItem"] * 16


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_reply_of_a_patch(table, user, applied):
    """A patch whose reply was lost is sent again, and done once."""
    table.put(budget_item(limits=LIMITS))
    table.fail_next(faults.LoseReply(applied=applied), "UpdateItem", 1)
    assert user.patch("budget", "b", {"limits": {"rent": None}}).data.limits == {"food": 250}
    assert sent(table) == ["UpdateItem"] * 2


def test_a_patch_of_unknown_outcome(table):
    """Where replies are lost to the end, the outcome is unknown, and repeating the call is safe."""
    user = user_of(table, retry=RetryPolicy(attempts=2))
    table.fail_next(faults.LoseReply(applied=True), "UpdateItem", 2)
    with pytest.raises(OutcomeUnknownError) as unknown:
        user.patch(SavingsGoal, "g", {"name": "x"})
    assert unknown.value.outcome == "unknown"
    user.patch(SavingsGoal, "g", {"name": "x"})
    assert data_of(table, KEY)["name"] == {"S": "x"}


# --- if_version -----------------------------------------------------------------------------------

NEW = {"name": "n", "targetAmount": 3}
VERSIONED = {
    "patch": lambda user, **given: user.patch(SavingsGoal, "g", {"name": "x"}, **given),
    "replace_data": lambda user, **given: user.replace_data(SavingsGoal, "g", NEW, **given),
    "delete": lambda user, **given: user.delete(SavingsGoal, "g", **given),
}


@pytest.mark.parametrize("call", VERSIONED)
def test_a_version_that_is_stored(table, user, call):
    """With the stored version the write is a consistent GetItem and the write, under the lock."""
    version = user.get(SavingsGoal, "g").version
    record = VERSIONED[call](user, if_version=version)
    write = "DeleteItem" if call == "delete" else "UpdateItem"
    assert sent(table)[1:] == ["GetItem", write]
    assert table.log[1].request["ConsistentRead"] is True
    assert "updatedAt" in table.log[2].request["ExpressionAttributeNames"].values()
    assert (record is None) == (call == "delete")
    if record is not None:
        assert record.item == table.get(USER, KEY)
        assert record.version != version
        VERSIONED[call](user, if_version=record.version)  # that of one's own write
    else:
        assert table.items == {}


@pytest.mark.parametrize("call", VERSIONED)
def test_another_version_is_a_conflict(table, user, call):
    """With another version nothing is written, and the error has what is stored."""
    version = user.get(SavingsGoal, "g").version
    table.put(changed(goal_item()))
    with pytest.raises(ConflictError) as refused:
        VERSIONED[call](user, if_version=version)
    assert refused.value.stored.item == table.get(USER, KEY)
    assert refused.value.outcome == "not applied"
    assert sent(table)[1:] == ["GetItem"]


@pytest.mark.parametrize("call", VERSIONED)
def test_a_version_of_what_is_gone_is_a_conflict(table, user, call):
    """A record that is gone is a conflict without a stored record, for delete too."""
    version = user.get(SavingsGoal, "g").version
    table.delete(USER, KEY)
    with pytest.raises(ConflictError) as refused:
        VERSIONED[call](user, if_version=version)
    assert refused.value.stored is None
    assert refused.value.outcome == "not applied"
    assert table.items == {}


@pytest.mark.parametrize("call", VERSIONED)
def test_a_version_that_changes_after_it_was_read(table, user, call):
    """Another writer between the reading and the write is a conflict, too; its write stays."""
    version = user.get(SavingsGoal, "g").version
    other = changed(goal_item(), currentAmount={"N": "7"})
    write = "DeleteItem" if call == "delete" else "UpdateItem"
    table.fail_next(faults.OtherWriter(lambda _: table.put(other)), write, 1)
    with pytest.raises(ConflictError) as refused:
        VERSIONED[call](user, if_version=version)
    assert refused.value.stored.item == table.get(USER, KEY) == other


@pytest.mark.parametrize("call", ["patch", "replace_data"])
def test_a_version_that_is_deleted_after_it_was_read(table, user, call):
    """A record that vanishes between the reading and the write is a conflict without a record."""
    version = user.get(SavingsGoal, "g").version
    table.fail_next(faults.OtherWriter(lambda _: table.delete(USER, KEY)), "UpdateItem", 1)
    with pytest.raises(ConflictError) as refused:
        VERSIONED[call](user, if_version=version)
    assert refused.value.stored is None
    assert table.items == {}


def test_a_version_does_not_depend_on_the_order_of_sets(table, user):
    """DynamoDB may give names and members of sets in any order; the version is the same."""
    members = {"SS": ["a", "b"]}
    versions = set()
    for tags in (members, {"SS": ["b", "a"]}):
        data = {"x": {"L": [tags]}, "y": {"M": {"SS": tags}}}
        table.put(item("note-of-mine", "n", data))
        table.items[USER, "note-of-mine#n"]["data"]["M"] |= data
        versions.add(user.get("note-of-mine", "n").version)
    assert len(versions) == 1
    user.patch("note-of-mine", "n", {"x": None}, if_version=versions.pop())


@pytest.mark.parametrize("call", VERSIONED)
def test_an_error_of_the_reading_is_not_applied(table, user, call):
    """Where the version cannot be read nothing is applied, and the error says so."""
    table.fail_next(faults.Denied(), "GetItem", 1)
    with pytest.raises(AccessDeniedError) as refused:
        VERSIONED[call](user, if_version="x")
    assert refused.value.outcome == "not applied"
    assert sent(table) == ["GetItem"]


def test_a_version_goes_with_a_type_and_id(table, user):
    """A record has its own lock, so that if_version with it is a TypeError."""
    goal = user.get(SavingsGoal, "g")
    with pytest.raises(TypeError, match="if_version"):
        user.delete(goal, if_version=goal.version)
    assert sent(table) == ["GetItem"]


# --- upsert ---------------------------------------------------------------------------------------


def test_upsert_over_what_is_stored(table, user):
    """The declared fields are written over what is stored by one UpdateItem; the rest stays."""
    record = user.upsert(SavingsGoalData(name="n", target_amount=7), record_id="g")
    assert requests(table) == [("UpdateItem", (KEY,))]
    assert isinstance(record, SavingsGoal)
    assert record.item == table.get(USER, KEY)
    assert data_of(table, KEY) == {
        "name": {"S": "n"},
        "targetAmount": {"N": "7"},
        "currentAmount": {"N": "0"},
        "colour": {"S": "green"},
    }


def test_upsert_of_what_is_not_there(table, user):
    """Where nothing is stored a PutItem follows, if the key is free: two requests."""
    record = user.upsert(ProfileData(display_name="n"), record_id="main")
    assert sent(table) == ["UpdateItem", "PutItem"]
    assert "attribute_not_exists" in table.log[1].request["ConditionExpression"]
    assert isinstance(record, Profile)
    assert record.item == table.get(USER, "profile#main")
    record.data.locale = "de"
    assert user.update(record) is record


def test_upsert_that_loses_a_race_starts_again(table, user):
    """A key that is taken meanwhile is updated after all."""
    other = item("profile", "main", {"locale": {"S": "de"}, "x": {"N": "1"}})
    table.fail_next(faults.OtherWriter(lambda _: table.put(other)), "PutItem", 1)
    record = user.upsert(ProfileData(display_name="n"), record_id="main")
    assert sent(table) == ["UpdateItem", "PutItem", "UpdateItem"]
    assert record.extra_data == {"x": 1}
    assert record.data.locale is None


def test_upsert_takes_a_payload_and_an_id(table, user):
    """Without a record id, or with a record that is stored, upsert is refused at the call."""
    with pytest.raises(InvalidKeyError):
        user.upsert(goal())
    stored = user.get(SavingsGoal, "g")
    with pytest.raises(RecordExistsError):
        user.upsert(stored)
    for wrong in (("savings-goal", NEW), "text", None):
        with pytest.raises((InvalidRecordError, TypeError)):
            user.upsert(wrong, record_id="g")
    with pytest.raises(InvalidRecordError) as refused:
        user.upsert(goal(2**60), record_id="g")
    assert refused.value.outcome == "not applied"
    assert sent(table) == ["GetItem"]


def test_upsert_over_data_that_is_no_map(table, user):
    """Where data is no map any more, upsert is a conflict, as a change of a field is."""
    table.put(goal_item() | {"data": {"S": "oops"}})
    with pytest.raises(ConflictError):
        user.upsert(goal(), record_id="g")
    assert sent(table) == ["UpdateItem"]


LOST = [("g", "UpdateItem"), ("new", "UpdateItem"), ("new", "PutItem")]


@pytest.mark.parametrize(("record_id", "operation"), LOST)
def test_an_upsert_of_unknown_outcome(table, record_id, operation):
    """An upsert whose replies are lost is unknown; with the record of its error it is repeated."""
    user = user_of(table, retry=RetryPolicy(attempts=2))
    table.fail_next(faults.LoseReply(applied=True), operation, 2)
    with pytest.raises(OutcomeUnknownError) as unknown:
        user.upsert(goal(9), record_id=record_id)
    assert unknown.value.outcome == "unknown"
    assert unknown.value.record.record_id == record_id
    user.upsert(unknown.value.record)
    assert data_of(table, f"savings-goal#{record_id}")["targetAmount"] == {"N": "9"}
    assert table.applied_writes("savings-goal#new") == (record_id == "new")


# --- edits by mappings in a unit ------------------------------------------------------------------


def test_a_unit_patches_what_it_reads(table, user):
    """In a unit patch is the reading of get and an edit, written with the rest at the end."""
    table.put(budget_item(limits=LIMITS, colour={"S": "teal"}, startDate={"S": "2025-1-7"}))
    with user.unit_of_work() as work:
        record = work.patch(Budget, "b", {"limits": {"food": 300, "rent": None}, "colour": None})
        assert record is work.get(Budget, "b")
        assert record.data.limits == {"food": 300}
        assert record.extra_data == {}
        assert sent(table) == ["GetItem"]
        assert [request.keys for request in work.plan().requests] == [("budget#b",)]
    assert sent(table) == ["GetItem", "UpdateItem"]
    assert data_of(table, "budget#b") == {
        "name": {"S": "n"},
        "period": {"S": "monthly"},
        "startDate": {"S": "2025-1-7"},
        "limits": {"M": {"food": {"N": "300"}}},
    }
    assert record.item == table.get(USER, "budget#b")
    assert work.commit() == CommitResult()


def test_a_patch_in_a_unit_keeps_objects_and_edits(table, user):
    """The payload and the extras that the caller holds are edited in place; other edits stay."""
    table.put(budget_item(limits=LIMITS))
    with user.unit_of_work() as work:
        record = work.get(Budget, "b")
        payload, extras = record.data, record.extra_data
        payload.name, extras["x"] = "mine", 1
        work.patch("budget", "b", {"limits": {"rent": 1}, "y": 2})
        payload.period = "weekly"
        assert record.data is payload
        assert record.extra_data is extras
        assert extras == {"x": 1, "y": 2}
        assert payload.limits == {"food": 250, "rent": 1}
    assert data_of(table, "budget#b") == {
        "name": {"S": "mine"},
        "period": {"S": "weekly"},
        "limits": {"M": {"food": {"N": "250"}, "rent": {"N": "1"}}},
        "x": {"N": "1"},
        "y": {"N": "2"},
    }


def test_a_default_that_a_patch_removes_is_removed(table, user):
    """null removes a field with a default, which reads as its default then, and stays absent."""
    for write in (user, user.unit_of_work()):
        table.put(goal_item())
        record = write.patch(SavingsGoal, "g", {"currentAmount": None})
        assert record.data.current_amount == 0
    write.commit()
    assert "currentAmount" not in data_of(table, KEY)
    assert record.item == table.get(USER, KEY)


def test_replace_data_in_a_unit(table, user):
    """All of data is as given, and only what differs is written, under the lock."""
    with user.unit_of_work() as work:
        record = work.get(SavingsGoal, "g")
        record.data.current_amount = 5
        given = {"name": "n", "targetAmount": 3, "targetDate": None, "x": [1]}
        assert work.replace_data(SavingsGoal, "g", given) is record
        assert (record.data.current_amount, record.extra_data) == (0, {"x": [1]})
    assert sent(table) == ["GetItem", "UpdateItem"]
    assert data_of(table, KEY) == {
        "name": {"S": "n"},
        "targetAmount": {"N": "3"},
        "targetDate": {"NULL": True},
        "x": {"L": [{"N": "1"}]},
    }


@pytest.mark.parametrize("call", ["patch", "replace_data"])
def test_an_edit_that_changes_nothing_sends_nothing(table, user, call):
    """A patch, or data, of what is stored already is no change."""
    table.put(item("savings-goal", "h", {"name": {"S": "n"}, "targetAmount": {"N": AMOUNT}}))
    with user.unit_of_work() as work:
        getattr(work, call)(SavingsGoal, "h", {"name": "n", "targetAmount": Decimal(AMOUNT)})
    assert sent(table) == ["GetItem"]


@pytest.mark.parametrize("call", ["patch", "replace_data"])
def test_an_edit_of_what_a_unit_does_not_find(table, user, call):
    """What is not stored, has expired or is being deleted is a RecordNotFoundError at the call."""
    table.put(goal_item("old", ttl=EXPIRED))
    with user.unit_of_work() as work:
        work.delete(SavingsGoal, "g")
        for record_id in ("none", "old", "g"):
            with pytest.raises(RecordNotFoundError):
                getattr(work, call)(SavingsGoal, record_id, NEW)
        work.rollback()


def test_an_edit_of_a_pending_add(table, user):
    """A record that is still to be added is edited without a reading, and added as edited."""
    with user.unit_of_work() as work:
        record = work.add(goal(), record_id="new")
        assert work.patch(SavingsGoal, "new", {"currentAmount": None, "x": 1}) is record
        assert record.extra_data == {"x": 1}
    assert sent(table) == ["PutItem"]
    assert data_of(table, "savings-goal#new") == {
        "name": {"S": "n"},
        "targetAmount": {"N": "1"},
        "x": {"N": "1"},
    }


def test_a_patch_in_a_unit_is_under_its_lock(table, user):
    """A record that another writer changed since is a conflict of the commit."""
    work = user.unit_of_work()
    record = work.patch(SavingsGoal, "g", {"name": "mine"})
    table.put(changed(goal_item(), name={"S": "theirs"}))
    with pytest.raises(CommitError) as failed:
        work.commit()
    assert failed.value.not_applied == [KEY]
    work.refresh(record)
    assert record.data.name == "theirs"
    assert work.commit() == CommitResult()


def test_rollback_of_a_patch(table, user):
    """rollback gives the record what is stored, in place, and sends nothing."""
    work = user.unit_of_work()
    record = work.patch(SavingsGoal, "g", {"currentAmount": None, "colour": None, "x": 1})
    payload = record.data
    work.rollback()
    assert record.data is payload
    assert payload.current_amount == 100
    assert record.extra_data == {"colour": "green"}
    assert sent(table) == ["GetItem"]


def test_a_malformed_record_in_a_unit_is_not_edited(table, user):
    """A malformed record can only be deleted."""
    table.put(item("savings-goal", "bad", {}))
    work = user.unit_of_work()
    for call in (work.patch, work.replace_data):
        with pytest.raises(CorruptItemError):
            call(SavingsGoal, "bad", NEW)


@payload
class PatchedPlaceData:
    city: str
    street: str | None = None
    zip_code: str | None = None


@payload
class PatchedHomeData:
    place: PatchedPlaceData | None = None
    places: dict[str, PatchedPlaceData] = attrs.field(factory=dict)
    former: list[PatchedPlaceData] = attrs.field(factory=list)


class PatchedHome(UserRecord, discriminator="x-patched-home"):
    data: PayloadAttribute[PatchedHomeData] = PayloadAttribute(PatchedHomeData)


PLACE = {"M": {"city": {"S": "Ulm"}, "street": {"S": "A"}, "lat": {"N": "1.5"}}}


def test_a_patch_of_nested_payloads(table, user):
    """Nested payloads merge by the table's names, and keep what no class declares."""
    home = item("x-patched-home", "h", {"place": PLACE, "places": {"M": {"a": PLACE}}})
    patch = {"place": {"street": None}, "places": {"a": {"city": "Bonn"}, "b": {"city": "Trier"}}}
    expected = {
        "place": {"M": {"city": {"S": "Ulm"}, "lat": {"N": "1.5"}}},
        "places": {
            "M": {
                "a": {"M": PLACE["M"] | {"city": {"S": "Bonn"}}},
                "b": {"M": {"city": {"S": "Trier"}}},
            }
        },
    }
    for write in (user, user.unit_of_work()):
        table.put(home)
        record = write.patch(PatchedHome, "h", patch)
        assert record.data.places["a"].city == "Bonn"
        assert write is not user or data_of(table, "x-patched-home#h") == expected
    record.data.place.city = "Jena"
    write.commit()
    expected["place"]["M"]["city"] = {"S": "Jena"}
    assert data_of(table, "x-patched-home#h") == expected


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"place": {"city": None}}, "data.place.city"),
        ({"places": {"a": {"city": 5}}}, "data.places.a.city"),
        ({"places": {"b": {"street": "B"}}}, "data.places.b.city"),
        ({"former": [{"city": "Ulm", "zip_code": "1"}]}, "data.former[0].zip_code"),
    ],
)
def test_a_patch_leaves_nested_payloads_whole(table, user, patch, path):
    """A required field of a nested payload is not removed, and not left out of a new one."""
    table.put(item("x-patched-home", "h", {"place": PLACE, "places": {"M": {"a": PLACE}}}))
    for write in (user, user.unit_of_work()):
        with pytest.raises(InvalidRecordError) as refused:
            write.patch(PatchedHome, "h", patch)
        assert refused.value.path == path
    assert write.get(PatchedHome, "h").data.places.keys() == {"a"}
    assert not write.plan().requests


# --- any patch ------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "camelCase", "snake_case", "a.b"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


def merged(target, patch):
    """MergePatch of RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(OBJECTS, OBJECTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_patch_is_merged_as_the_rfc_says(table, user, target, patch):
    """By one update, by two, and in a unit of work, the result is that of RFC 7396."""
    for write in (user, user.unit_of_work()):
        user.put(("note-of-mine", target), record_id="n")
        record = write.patch("note-of-mine", "n", patch)
        assert record.data == merged(target, patch)
        if write is not user:
            write.commit()
        stored = user.get("note-of-mine", "n")
        assert stored.data == merged(target, patch)
        assert stored.item == record.item


# --- interrupts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", VERSIONED)
def test_ctrl_c_before_the_write(table, user, call):
    """Ctrl-C while a version is read passes through; its cause says that nothing was applied."""
    table.fail_next(faults.Interrupt(applied=True), "GetItem")
    with pytest.raises(KeyboardInterrupt) as caught:
        VERSIONED[call](user, if_version="x")
    account = caught.value.__cause__
    assert isinstance(account, CommitError)
    assert (account.outcome, account.not_applied, account.unknown) == ("not applied", [KEY], [])
    assert table.get(USER, KEY) == goal_item()


class Stopped(SimulatedTable):
    """A table whose waits are interrupted."""

    def sleep(self, seconds):
        raise KeyboardInterrupt


def test_ctrl_c_between_two_tries():
    """Ctrl-C while a patch waits to start again has that account, too."""
    table = Stopped()
    table.put(budget_item())
    disturb(table, 2)
    with pytest.raises(KeyboardInterrupt) as caught:
        user_of(table).patch("budget", "b", {"limits": {"food": 1}})
    account = caught.value.__cause__
    assert isinstance(account, CommitError)
    assert (account.outcome, account.not_applied) == ("not applied", ["budget#b"])
    assert "limits" not in data_of(table, "budget#b")


# --- what they cost -------------------------------------------------------------------------------


@pytest.mark.parametrize("call", COSTS)
def test_requests_and_capacity(table, call):
    """Each small call sends the requests, and consumes the capacity, that are stated for it."""
    events = []
    user = user_of(table, "somebody-else", observer=events.append)
    prepare(user)
    events.clear()
    before = table.sent()
    COSTS[call].call(user)
    assert tuple(sent(table)[before:]) == COSTS[call].requests
    told = [event for event in events if isinstance(event, RequestEvent)]
    assert sum(event.read_units for event in told) == COSTS[call].read_units
    assert sum(event.write_units for event in told) == COSTS[call].write_units
