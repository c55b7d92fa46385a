"""What the models send: which operations, how many, with which keys and conditions."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from leaks import USER
from pynamodb.exceptions import DeleteError, GetError, QueryError, UpdateError
from pynamodb.expressions.operand import Path

from thrivecalc_models import (
    Budget,
    BudgetData,
    InvalidKeyError,
    InvalidRecordError,
    IsolationError,
    SavingsGoal,
    SavingsGoalData,
    UnknownRecord,
    UnsafeNumberError,
    UserRecord,
)
from thrivecalc_models.testing import faults, simulated_store


def goal(record_id="g1", **fields):
    data = SavingsGoalData(**{"name": "House", "target_amount": 100} | fields)
    return SavingsGoal(USER, data=data, record_id=record_id)


def stored_goal(service, record_id="g1", **attributes):
    item = {
        "userId": {"S": USER},
        "recordKey": {"S": f"savings-goal#{record_id}"},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": record_id},
        "data": {"M": {"name": {"S": "House"}, "targetAmount": {"N": "100"}}},
        "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
        "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
    } | attributes
    service.put({name: form for name, form in item.items() if form is not None})
    return SavingsGoal.get(USER, item["recordKey"]["S"])


def last(service):
    return service.log[-1].request


def spelled(request, name):
    """An expression with its names and values in place."""
    text = request[name]
    for placeholder, attribute in request.get("ExpressionAttributeNames", {}).items():
        text = text.replace(placeholder, attribute)
    for placeholder, value in request.get("ExpressionAttributeValues", {}).items():
        text = text.replace(placeholder, next(iter(value.values())))
    return text


@pytest.mark.parametrize("record_key", ["note#", "#1", "note"])
def test_an_item_under_an_odd_key_is_read_and_deleted(service, record_key):
    """A key without a type, without an id or without '#' is no record's; its item is still read."""
    service.put({"userId": {"S": USER}, "recordKey": {"S": record_key}})
    record = UserRecord.get(USER, record_key)
    assert record.record_key == record_key
    record.delete()
    assert service.get(USER, record_key) is None


def test_a_query_of_a_type_reads_that_type_only(service):
    """`SavingsGoal.query` asks for keys that begin with its type, and filters nothing."""
    assert list(SavingsGoal.query(USER)) == []
    assert "begins_with (recordKey, savings-goal#)" in spelled(
        last(service), "KeyConditionExpression"
    )
    assert "FilterExpression" not in last(service)


def test_a_range_key_condition_takes_the_place_of_the_type(service):
    """With the caller's condition on the key the type is filtered instead."""
    list(SavingsGoal.query(USER, SavingsGoal.record_key > "savings-goal#m"))
    assert "begins_with" not in last(service)["KeyConditionExpression"]
    assert spelled(last(service), "FilterExpression") == "dataType = savings-goal"


def test_all_types_are_read_without_a_filter(service):
    """`UserRecord.query` and `UserRecord.scan` filter nothing."""
    list(UserRecord.query(USER))
    assert "FilterExpression" not in last(service)
    list(UserRecord.scan())
    assert "FilterExpression" not in last(service)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: list(SavingsGoal.by_type.query(USER)),
        lambda: list(UserRecord.by_type.query(USER, UserRecord.data_type == SavingsGoal)),
        lambda: list(SavingsGoal.by_type.query(USER, SavingsGoal.data_type == "savings-goal")),
        lambda: SavingsGoal.by_type.count(USER),
        lambda: UserRecord.by_type.count(USER, UserRecord.data_type == SavingsGoal),
    ],
)
def test_the_index_is_asked_by_its_key(service, ask):
    """On the index the type is a key condition, never a filter, which DynamoDB refuses there."""
    ask()
    key_condition = spelled(last(service), "KeyConditionExpression")
    assert f"userId = {USER}" in key_condition
    assert "dataType = savings-goal" in key_condition
    assert "FilterExpression" not in last(service)


def test_an_index_reads_one_type_only(service):
    """Another type on the index of a class is refused before anything is sent."""
    with pytest.raises(InvalidRecordError, match=r"UserRecord\.by_type"):
        SavingsGoal.by_type.query(USER, UserRecord.data_type == Budget)
    assert service.sent() == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda: SavingsGoal.by_type.query(USER, consistent_read=True),
        lambda: SavingsGoal.by_type.scan(consistent_read=True),
        lambda: SavingsGoal.by_type.count(USER, consistent_read=True),
        lambda: SavingsGoal.query(USER, index_name="Other"),
        lambda: SavingsGoal.get("", "savings-goal#a"),
        lambda: SavingsGoal.get(USER),
        lambda: SavingsGoal.get(USER, ""),
        lambda: SavingsGoal.get(USER, "savings-goal#" + "x" * 1024),
        lambda: SavingsGoal.get(USER, "\ud800"),
        lambda: SavingsGoal.query(None),
        lambda: SavingsGoal.count(),
        lambda: UnknownRecord.query(USER),
        lambda: next(UserRecord.batch_get(["savings-goal#a"])),
        lambda: next(UserRecord.batch_get([(USER, "a#b"), (USER, "")])),
        lambda: UserRecord.create_table(billing_mode="PROVISIONED"),
    ],
)
def test_what_cannot_work_is_not_sent(service, ask):
    """Impossible keys and reads are refused with a ValueError before anything is sent."""
    with pytest.raises(ValueError, match=r"\w"):
        ask()
    assert service.sent() == 0


def test_a_start_key_of_another_user_is_refused(service):
    """A query cannot be made to go on in another user's records."""
    start = {"userId": {"S": "someone else"}, "recordKey": {"S": "a#b"}}
    with pytest.raises(IsolationError):
        SavingsGoal.query(USER, last_evaluated_key=start)


def test_a_part_of_an_item_says_what_it_is(service):
    """With `attributes_to_get` the keys and the type are fetched too."""
    stored_goal(service)
    [part] = SavingsGoal.query(USER, attributes_to_get=["data.name"])
    names = last(service)["ExpressionAttributeNames"].values()
    assert set(names) == {"data", "name", "userId", "recordKey", "dataType"}
    assert isinstance(part, SavingsGoal)


@pytest.mark.parametrize(
    "write",
    [
        lambda record: record.save(),
        lambda record: record.delete(),
        lambda record: record.update([SavingsGoal.data["name"].set("x")]),
    ],
)
def test_a_part_of_an_item_is_read_only(service, write):
    """A record read in part cannot be written, so that it cannot wipe the rest."""
    stored_goal(service)
    part = SavingsGoal.get(USER, "savings-goal#g1", attributes_to_get=["data"])
    assert part.data.name == "House"
    sent = service.sent()
    with pytest.raises(InvalidRecordError, match="read in part"):
        write(part)
    assert service.sent() == sent


def test_250_keys_with_duplicates_are_three_requests(service):
    """`batch_get` asks for each key once, 100 to a request, and carries ConsistentRead."""
    keys = [(USER, f"savings-goal#{number}") for number in range(250)]
    list(UserRecord.batch_get([*keys, *keys[:30]], consistent_read=True))
    assert service.sent("BatchGetItem") == service.sent() == 3
    for entry in service.log:
        assert entry.request["RequestItems"][service.table_name]["ConsistentRead"] is True


def test_unprocessed_keys_are_asked_for_again(service):
    """Keys left unprocessed are asked for again, consistently and with the same attributes."""
    for number in range(4):
        stored_goal(service, str(number))
    keys = [(USER, f"savings-goal#{number}") for number in range(4)]
    service.fail_next(faults.Partial(keep=1), "BatchGetItem")
    parts = list(UserRecord.batch_get(keys, consistent_read=True, attributes_to_get=["ttl"]))
    assert {part.record_id for part in parts} == {"0", "1", "2", "3"}
    asked = last(service)["RequestItems"][service.table_name]
    assert len(asked["Keys"]) == 3
    assert asked["ConsistentRead"] is True
    assert asked["ProjectionExpression"]


def test_keys_unprocessed_for_ever_are_an_error(service):
    """`batch_get` ends with an error, not with a short list and not never."""
    service.fail_always(faults.Partial(keep=0), "BatchGetItem")
    with pytest.raises(GetError) as caught:
        list(UserRecord.batch_get([(USER, "savings-goal#a")]))
    assert caught.value.cause_response_code == "ProvisionedThroughputExceededException"
    assert service.sent() < 20


def test_a_throttled_page_is_asked_for_again(service):
    """A list that was throttled is whole, and one that stays throttled an error."""
    stored_goal(service)
    service.fail_next(faults.Throttle(), "Query", times=3)
    assert len(list(SavingsGoal.query(USER))) == 1
    service.fail_always(faults.Throttle(), "Query")
    with pytest.raises(QueryError):
        list(SavingsGoal.query(USER))


def test_limits_and_pages(service):
    """`limit` bounds the records and `page_size` the pages; the last key goes on from there."""
    for number in range(7):
        stored_goal(service, str(number))
    first = SavingsGoal.query(USER, limit=4, page_size=3)
    assert [record.record_id for record in first] == ["0", "1", "2", "3"]
    assert [entry.request["Limit"] for entry in service.log[-2:]] == [3, 3]
    rest = SavingsGoal.query(USER, last_evaluated_key=first.last_evaluated_key, rate_limit=1000)
    assert [record.record_id for record in rest] == ["4", "5", "6"]
    assert SavingsGoal.count(USER) == 7
    assert SavingsGoal.count(USER, limit=5) == 5


def test_what_is_stored_comes_back_whatever_it_is(service):
    """Unknown types, malformed items and items of another type are in every answer."""
    stored_goal(service, "broken", data={"S": "no map"})
    stored_goal(service, "odd", dataType={"S": "budget"})
    stored_goal(service, "new", recordKey={"S": "gadget#new"}, dataType={"S": "gadget"})
    records = {record.record_id: record for record in UserRecord.query(USER)}
    assert records["broken"].malformed
    assert isinstance(records["odd"], Budget)
    assert isinstance(records["new"], UnknownRecord)
    assert {record.record_id for record in SavingsGoal.query(USER)} == {"broken", "odd"}
    assert SavingsGoal.get(USER, "savings-goal#odd").malformed
    with pytest.raises(SavingsGoal.DoesNotExist):
        SavingsGoal.get(USER, "savings-goal#none")


def test_save_keeps_what_the_class_does_not_declare(service):
    """Load then save changes nothing in the table but `updatedAt`."""
    content = {
        "name": {"S": "House"},
        "targetAmount": {"N": "100.10"},
        "currentAmount": {"NULL": True},
        "mood": {"M": {"colour": {"B": "AAEC"}}},
    }
    record = stored_goal(service, data={"M": content}, flags={"SS": ["a", "b"]})
    before = service.get(USER, record.record_key)
    record.save()
    after = service.get(USER, record.record_key)
    assert after.pop("updatedAt") != before.pop("updatedAt")
    assert after == before


def test_save_is_over_what_was_read(service):
    """A loaded record is saved only if its stamp and its data are as they were read."""
    stored_goal(service).save()
    condition = spelled_names(last(service), "ConditionExpression")
    assert condition.startswith("((attribute_exists (recordKey) AND updatedAt = ")
    assert " AND data = " in condition


def spelled_names(request, name):
    text = request[name]
    for placeholder, attribute in request["ExpressionAttributeNames"].items():
        text = text.replace(placeholder, attribute)
    return text


def test_a_new_record_is_put_with_the_callers_condition_only(service):
    """A new record is a plain PutItem, but for a condition that the caller gives."""
    goal().save()
    assert "ConditionExpression" not in last(service)
    goal("g2").save(UserRecord.record_key.does_not_exist())
    assert last(service)["ConditionExpression"] == "attribute_not_exists (#0)"


def test_the_lock_can_be_left_out(service):
    """`add_version_condition=False` is last-writer-wins."""
    record = stored_goal(service)
    record.save(add_version_condition=False)
    assert "ConditionExpression" not in last(service)
    record.delete(add_version_condition=False)
    assert "ConditionExpression" not in last(service)


def test_an_update_sends_its_actions_the_stamp_and_the_lock(service):
    """`update` sets `updatedAt` and holds the attributes that it touches to what was read."""
    record = stored_goal(service)
    record.update([SavingsGoal.data["targetAmount"].set(Decimal("0.10"))])
    request = last(service)
    assert spelled_names(request, "UpdateExpression").startswith("SET data.targetAmount = ")
    assert "updatedAt = " in spelled_names(request, "UpdateExpression")
    condition = spelled_names(request, "ConditionExpression")
    assert "attribute_type (data" in condition
    assert "data.targetAmount = " in condition
    assert "data.name" not in condition
    assert record.data.target_amount == Decimal("0.1")
    assert record.updated_at > datetime(2025, 1, 7, tzinfo=UTC)


def test_edits_beside_an_update_stay_edits(service):
    """What was edited and is no part of the actions is still to be written."""
    record = stored_goal(service)
    record.data.name = "Boat"
    record.update([SavingsGoal.data["targetAmount"].add(5)])
    assert (record.data.name, record.data.target_amount) == ("Boat", 105)
    record.save()
    stored = service.get(USER, record.record_key)["data"]["M"]
    assert stored["name"] == {"S": "Boat"}
    assert stored["targetAmount"] == {"N": "105"}


def test_an_update_without_a_load_makes_a_whole_item(service):
    """`update` of a record that was not read creates it well-formed, or not at all."""
    record = SavingsGoal(USER, record_id="g9")
    with pytest.raises(Exception, match="conditional request failed"):
        record.update([SavingsGoal.data["name"].set("x")])
    record.update([SavingsGoal.data.set(SavingsGoalData(name="x", target_amount=1))])
    assert SavingsGoal.get(USER, "savings-goal#g9").problems == []
    assert record.data.name == "x"


@pytest.mark.parametrize(
    "action",
    [
        SavingsGoal.updated_at.set(datetime(2025, 1, 1, tzinfo=UTC)),
        SavingsGoal.created_at.remove(),
        SavingsGoal.data_type.set("budget"),
        SavingsGoal.data.remove(),
        SavingsGoal.data["targetAmount"].remove(),
        SavingsGoal.data["targetAmount"].set("much"),
        SavingsGoal.data["targetDate"].set("soon"),
        SavingsGoal.data["anything"].set(2**60),
        SavingsGoal.data["targetAmount"].add(2**60),
    ],
)
def test_actions_that_would_break_the_record_are_refused(service, action):
    """An update is checked before it is sent, with the path in the error."""
    record = stored_goal(service)
    sent = service.sent()
    with pytest.raises(InvalidRecordError) as caught:
        record.update([action])
    assert caught.value.path
    assert service.sent() == sent


def test_numbers_that_javascript_cannot_hold_may_be_compared(service):
    """A condition takes any number that DynamoDB holds; an update does not."""
    record = stored_goal(service)
    record.update(
        [SavingsGoal.data["name"].set("x")],
        condition=SavingsGoal.data["targetAmount"] < Decimal("12345678901234567890.5"),
    )
    with pytest.raises(UnsafeNumberError):
        record.update([SavingsGoal.data["targetAmount"].set(Decimal("12345678901234567890.5"))])


def test_a_malformed_record_is_only_deleted(service):
    """A malformed record is never written, and deleted only as it was read."""
    record = stored_goal(service, data={"S": "no map"})
    sent = service.sent()
    for write in (record.save, lambda: record.update([SavingsGoal.data["name"].set("x")])):
        with pytest.raises(Exception, match="no map"):
            write()
    assert service.sent() == sent
    record.delete()
    assert service.get(USER, record.record_key) is None


def test_what_is_gone_is_deleted(service):
    """Deleting a loaded record that is gone succeeds; one that came back changed stays."""
    record = stored_goal(service)
    SavingsGoal.get(USER, record.record_key).delete()
    record.delete()
    record.delete()
    stored_goal(service, updatedAt={"S": "2025-03-01T00:00:00.000Z"})
    with pytest.raises(DeleteError) as caught:
        record.delete()
    assert caught.value.outcome == "not applied"


@pytest.mark.parametrize("delete", ["delete", "batch"])
def test_what_was_deleted_can_be_saved_anew(service, delete):
    """`save` of a record that was deleted is a plain put, with all that the record had."""
    record = stored_goal(service, flags={"SS": ["a"]})
    if delete == "batch":
        with SavingsGoal.batch_write() as batch:
            batch.delete(record)
    else:
        record.delete()
    record.save()
    assert "ConditionExpression" not in last(service)
    assert service.get(USER, record.record_key)["flags"] == {"SS": ["a"]}
    record.save()
    assert "ConditionExpression" in last(service)


def test_a_unit_of_work_does_not_bring_a_deleted_record_back(service):
    """A record of a unit that is deleted by its own method stays deleted."""
    stored_goal(service)
    with simulated_store(service).user(USER).unit_of_work() as work:
        work.get(SavingsGoal, "g1").delete()
    assert not service.items


def test_an_update_after_a_delete_makes_a_whole_item(service):
    """`update` of a record that was deleted creates it well-formed, or not at all."""
    record = stored_goal(service)
    record.delete()
    with pytest.raises(UpdateError):
        record.update([SavingsGoal.data["name"].set("x")])
    record.update([SavingsGoal.data.set(SavingsGoalData(name="x", target_amount=1))])
    assert SavingsGoal.get(USER, record.record_key).problems == []


@pytest.mark.parametrize("ttl", ["soon", -1, 10**12])
def test_an_action_cannot_set_a_ttl_that_is_no_time(service, ttl):
    """`update` refuses a `ttl` that DynamoDB would never act on, before anything is sent."""
    record = stored_goal(service)
    sent = service.sent()
    with pytest.raises(InvalidRecordError, match="ttl takes a time between 1970 and 9999"):
        record.update([Path(["ttl"]).set(ttl)])
    assert service.sent() == sent


def test_an_action_sets_and_removes_a_ttl(service):
    """`update` takes an expiry as an action, and no expiry too."""
    record = stored_goal(service)
    record.update([Path(["ttl"]).set(1_900_000_000)])
    assert service.get(USER, record.record_key)["ttl"] == {"N": "1900000000"}
    record.update([SavingsGoal.ttl.remove()])
    assert "ttl" not in service.get(USER, record.record_key)


def test_refresh_reads_again_and_drops_edits(service):
    """`refresh` makes the record what is stored, in place."""
    record = stored_goal(service)
    payload = record.data
    record.data.name = "Boat"
    stored_goal(service, data={"M": {"name": {"S": "Car"}, "targetAmount": {"N": "1"}}})
    record.refresh(consistent_read=True)
    assert last(service)["ConsistentRead"] is True
    assert record.data is payload
    assert payload.name == "Car"


def test_dicts_there_and_back(service):
    """A record goes through each of PynamoDB's dicts unchanged."""
    record = stored_goal(service, ttl={"N": "1900000000"})
    for there, back in (
        ("serialize", "deserialize"),
        ("to_dynamodb_dict", "from_dynamodb_dict"),
        ("to_simple_dict", "from_simple_dict"),
    ):
        other = SavingsGoal(USER, record_id="g1")
        getattr(other, back)(getattr(record, there)())
        assert other.item == record.item


def test_simple_dicts_do_not_round(service):
    """Plain JSON is refused for a number that it would round, and for sets unless forced."""
    content = {"name": {"S": "x"}, "targetAmount": {"N": "12345678901234567.25"}}
    with pytest.raises(ValueError, match="more digits"):
        stored_goal(service, data={"M": content}).to_simple_dict()
    record = stored_goal(service, flags={"SS": ["a"]})
    with pytest.raises(ValueError, match="force"):
        record.to_simple_dict()
    assert record.to_simple_dict(force=True)["flags"] == ["a"]


def test_a_new_record_shows_no_stamps_in_dicts(service):
    """A record that was never written has no stamps, and no data unless it was given some."""
    assert "updatedAt" not in goal().to_dynamodb_dict()
    assert "data" not in SavingsGoal(USER).to_dynamodb_dict()
    with pytest.raises(InvalidRecordError):
        SavingsGoal(USER).serialize()


def test_sixty_saves_are_three_requests(service):
    """`batch_write` sends 25 to a request, stamped, and each record is its own snapshot."""
    records = [goal(f"g{number}") for number in range(60)]
    with SavingsGoal.batch_write() as batch:
        for record in records:
            batch.save(record)
    assert service.sent("BatchWriteItem") == service.sent() == 3
    assert len(service.items) == 60
    records[59].data.name = "Boat"
    records[59].save()


def test_the_later_operation_on_a_key_wins(service):
    """No batch has a key twice: the later operation takes the place of the earlier one."""
    record = stored_goal(service)
    other = goal("g2")
    with UserRecord.batch_write() as batch:
        batch.save(record)
        batch.save(other)
        batch.save(Budget(USER, data=BudgetData(name="b", period="monthly"), record_id="g1"))
        batch.delete(record)
    [requests] = last(service)["RequestItems"].values()
    assert [next(iter(request)) for request in requests] == [
        "DeleteRequest",
        "PutRequest",
        "PutRequest",
    ]


def test_two_users_may_have_the_same_record_key(service):
    """Records of two users under one record key are two operations of a batch."""
    with UserRecord.batch_write() as batch:
        batch.save(goal())
        batch.save(SavingsGoal("other", data=goal().data, record_id="g1"))
    assert len(service.items) == 2


def test_a_bad_record_in_a_batch_sends_nothing(service):
    """A batch is checked completely before it is sent."""
    bad = goal("g2")
    bad.extra_data["big"] = 2**60
    batch = SavingsGoal.batch_write(auto_commit=False)
    batch.save(goal())
    batch.save(bad)
    with pytest.raises(UnsafeNumberError):
        batch.commit()
    assert service.sent() == 0
    del bad.extra_data["big"]
    batch.commit()
    assert len(service.items) == 2


def test_nothing_is_sent_after_an_exception_in_the_block(service):
    """An exception in the block of a batch leaves what is pending unsent."""

    def interrupted():
        with SavingsGoal.batch_write() as batch:
            batch.save(goal())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert service.sent() == 0


def test_without_auto_commit_a_batch_has_25(service):
    """PynamoDB's ValueError stays: without auto_commit a batch takes 25 keys."""
    batch = SavingsGoal.batch_write(auto_commit=False)
    for number in range(25):
        batch.save(goal(str(number)))
    with pytest.raises(ValueError, match="25"):
        batch.save(goal("25"))


def test_keys_are_spelled_out_for_those_who_give_half_of_them(service):
    """A record id in the place of a record key is answered with what a key looks like."""
    with pytest.raises(SavingsGoal.DoesNotExist, match="type#id"):
        SavingsGoal.get(USER, "g1")


def test_invalid_key_errors_are_about_keys(service):
    """A missing record key says which call makes one."""
    with pytest.raises(InvalidKeyError, match=r"SavingsGoal\.key"):
        SavingsGoal.get(USER)
