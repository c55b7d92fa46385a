"""The models on real engines: PynamoDB's calls do what they say on this table."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from leaks import USER
from pynamodb.connection import Connection
from pynamodb.exceptions import DeleteError, PutError, TransactWriteError, UpdateError
from pynamodb.transactions import TransactGet, TransactWrite

from thrivecalc_models import (
    Budget,
    BudgetData,
    DataStore,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    TransactionData,
    UnknownRecord,
    UserRecord,
    data_store,
)

OTHER = "google-oauth2|987654321"
NOON = datetime(2025, 1, 7, 12, tzinfo=UTC)

numbers = itertools.count()


@pytest.fixture
def table(engine):
    """A client of the engine and the name of a table, which the models use."""
    name = f"pynamo-{next(numbers)}"
    store = DataStore(table_name=name, region=engine.region, endpoint=engine.endpoint)
    data_store.configure(store)
    UserRecord.create_table()
    client = engine.client()
    yield Table(engine, client, name)
    data_store.configure(None)
    store.close()
    client.delete_table(TableName=name)
    client.close()


class Table:
    """What another program does with the table."""

    def __init__(self, engine, client, name):
        self.engine = engine
        self.client = client
        self.name = name

    def put(self, record_key, user_id=USER, **attributes):
        data_type, record_id = record_key.split("#", 1)
        item = {
            "userId": {"S": user_id},
            "recordKey": {"S": record_key},
            "dataType": {"S": data_type},
            "recordId": {"S": record_id},
            "data": {"M": {"name": {"S": "x"}, "targetAmount": {"N": "100"}}},
            "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
            "updatedAt": {"S": "2025-01-01T00:00:00.000Z"},
        } | attributes
        self.client.put_item(TableName=self.name, Item=item)
        return item

    def item(self, record_key, user_id=USER):
        key = {"userId": {"S": user_id}, "recordKey": {"S": record_key}}
        reply = self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True)
        return reply.get("Item")

    def connection(self):
        """PynamoDB's own connection, made with the store's settings."""
        return Connection(
            region=self.engine.region,
            host=self.engine.endpoint,
            aws_access_key_id=self.engine.access_key,
            aws_secret_access_key=self.engine.secret_key,
        )


def test_the_table_is_made_whole(table):
    """`create_table` makes index, on-demand billing and TTL, and does nothing the second time."""
    UserRecord.create_table(wait=True)
    described = table.client.describe_table(TableName=table.name)["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    [index] = described["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "DataTypeIndex"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["userId", "dataType"]
    assert index["Projection"] == {"ProjectionType": "ALL"}
    ttl = table.client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    assert (ttl["AttributeName"], ttl["TimeToLiveStatus"]) == ("ttl", "ENABLED")
    assert SavingsGoal.exists()


def test_reads_find_what_they_name(table):
    """`query`, `scan`, `count` and the index give a type's records, or all of them."""
    table.put("savings-goal#a")
    table.put("savings-goal#b")
    table.put("savings-plan#c")
    table.put("savings-goal#a", OTHER)
    goals = {"savings-goal#a", "savings-goal#b"}
    everything = goals | {"savings-plan#c"}

    def keys(records):
        return {record.record_key for record in records}

    assert keys(SavingsGoal.query(USER)) == goals
    assert keys(SavingsGoal.query(USER, SavingsGoal.record_key > "savings-goal#a")) == {
        "savings-goal#b"
    }
    assert keys(UserRecord.query(USER)) == everything
    assert keys(SavingsGoal.by_type.query(USER)) == goals
    assert keys(UserRecord.by_type.query(USER, UserRecord.data_type == SavingsGoal)) == goals
    assert keys(UserRecord.by_type.query(USER)) == everything
    assert len(list(SavingsGoal.scan())) == len(list(SavingsGoal.by_type.scan())) == 3
    assert len(list(UserRecord.scan())) == len(list(UserRecord.by_type.scan())) == 4
    assert (SavingsGoal.count(USER), UserRecord.count(USER)) == (2, 3)
    assert (SavingsGoal.by_type.count(USER), UserRecord.by_type.count(USER)) == (2, 3)
    assert UserRecord.count() == 4
    cheap = SavingsGoal.data["targetAmount"] < Decimal("100.5")
    assert keys(SavingsGoal.query(USER, filter_condition=cheap)) == goals
    assert keys(SavingsGoal.scan(SavingsGoal.data.target_amount < "100.5")) == goals
    assert SavingsGoal.count(USER, filter_condition=~cheap) == 0
    asked = [(USER, "savings-goal#a"), (USER, "savings-plan#c"), (USER, "savings-goal#none")]
    assert keys(UserRecord.batch_get(asked)) == {"savings-goal#a", "savings-plan#c"}


def test_conditions_on_fields_hold_as_they_say(table):
    """Every comparison of a field finds the records that it holds for, and no others."""
    for name, day, limit in [("a", "2025-01-07", 5), ("b", "2025-02-07", 50)]:
        data = TransactionData(date=day, amount=-limit, description=name, tags=[name, "all"])
        Transaction(USER, record_id=name, data=data).save()
        limits = {"food": limit} if name == "a" else None
        Budget(
            USER, record_id=name, data=BudgetData(name=name, period="monthly", limits=limits)
        ).save()

    def found(condition, record_class=Transaction):
        records = record_class.query(USER, filter_condition=condition)
        return "".join(record.record_id for record in records)

    amount, day = Transaction.data.amount, Transaction.data.date
    assert found(amount > "-50") == "a"
    assert found(amount.between(-50, -50)) == "b"
    assert found(day.between("2025-1-1", "2025-1-31")) == "a"
    assert found(day.startswith("2025-0")) == "ab"
    assert found(day.is_in("2025-02-07", "2025-03-07")) == "b"
    assert found(Transaction.data.tags.contains("a") | (amount == -50)) == "ab"
    assert found(Transaction.data.tags[0] == "b") == "b"
    assert found(~Transaction.data.description.contains("a")) == "b"
    assert found(Transaction.data.category.exists()) == ""
    assert found(Transaction.record_id > "a") == "b"
    assert found((Transaction.ttl.exists()) | (Transaction.updated_at > NOON)) == "ab"
    assert found(Budget.data.limits["food"].exists(), Budget) == "a"
    assert found(Budget.data.limits == {"food": 5}, Budget) == "a"
    record = Transaction.get(USER, Transaction.key("a"))
    record.update([amount.set(amount - "0.5")], condition=amount == -5)
    assert record.data.amount == Decimal("-5.5")
    with pytest.raises(UpdateError):
        record.update([amount.set(amount - 1)], condition=amount == -5)


def test_pages_are_the_list(table):
    """Pages of any size, put together by the last key, are the whole list."""
    for number in range(7):
        table.put(f"savings-goal#{number}")
    for index in (SavingsGoal, SavingsGoal.by_type):
        found, start = [], None
        while True:
            page = index.query(USER, limit=3, page_size=2, last_evaluated_key=start)
            found += [record.record_id for record in page]
            start = page.last_evaluated_key
            if start is None:
                break
        assert sorted(found) == list("0123456")


def test_load_then_save_changes_the_stamp_only(table):
    """Undeclared attributes, odd stamps, NULLs, sets and long numbers survive a load and a save."""
    before = table.put(
        "savings-goal#a",
        data={
            "M": {
                "name": {"S": "x"},
                "targetAmount": {"N": "12345678901234567890.123456789"},
                "currentAmount": {"NULL": True},
                "targetDate": {"S": "2025-1-7"},
                "deep": {"M": {"list": {"L": [{"B": b"\x00"}, {"BS": [b"\x01"]}]}}},
            }
        },
        createdAt={"S": "yesterday"},
        ttl={"N": "-5"},
        owner={"NS": ["1", "2"]},
    )
    SavingsGoal.get(USER, "savings-goal#a").save()
    after = table.item("savings-goal#a")
    after["owner"]["NS"].sort()
    before["updatedAt"] = after["updatedAt"]
    assert after == before


def test_a_stale_record_writes_nothing(table):
    """A loaded record that was changed elsewhere is neither saved, updated nor deleted."""
    table.put("savings-goal#a")
    stale = SavingsGoal.get(USER, "savings-goal#a")
    SavingsGoal.get(USER, "savings-goal#a").save()
    stored = table.item("savings-goal#a")
    with pytest.raises(PutError) as put:
        stale.save()
    with pytest.raises(UpdateError) as update:
        stale.update([SavingsGoal.data["name"].set("y")])
    with pytest.raises(DeleteError) as delete:
        stale.delete()
    for caught in (put, update, delete):
        assert caught.value.cause_response_code == "ConditionalCheckFailedException"
        assert caught.value.outcome == "not applied"
    assert table.item("savings-goal#a") == stored
    stale.refresh(consistent_read=True)
    stale.delete()
    assert table.item("savings-goal#a") is None


def test_updates_do_what_their_actions_say(table):
    """`set`, `add`, `remove`, `append` and binary values reach the table and the record."""
    goal = SavingsGoal(USER, data=SavingsGoalData(name="x", target_amount=1), record_id="a")
    goal.save()
    goal.update(
        [
            SavingsGoal.data["targetAmount"].add(Decimal("0.1")),
            SavingsGoal.data["targetDate"].set(datetime(2030, 1, 7, tzinfo=UTC).date()),
            SavingsGoal.data["photo"].set(b"\x00\x01"),
            SavingsGoal.data["tags"].set(["a"]),
            SavingsGoal.ttl.set(datetime(2030, 1, 7, tzinfo=UTC)),
        ]
    )
    goal.update(
        [
            SavingsGoal.data["tags"].set(SavingsGoal.data["tags"].append(["b"])),
            SavingsGoal.data["targetDate"].remove(),
        ]
    )
    stored = table.item("savings-goal#a")
    assert stored["data"]["M"]["targetAmount"] == {"N": "1.1"}
    assert stored["data"]["M"]["photo"] == {"B": b"\x00\x01"}
    assert stored["data"]["M"]["tags"] == {"L": [{"S": "a"}, {"S": "b"}]}
    assert stored["ttl"] == {"N": "1893974400"}
    assert goal.data.target_amount == Decimal("1.1")
    assert goal.data.target_date is None
    assert goal.extra_data == {"photo": b"\x00\x01", "tags": ["a", "b"]}
    goal.save()


def test_whatever_is_stored_comes_back(table):
    """Unknown types and malformed items are in lists, and break none."""
    table.put("savings-goal#a", data={"S": "text"})
    table.put("gadget#b")
    table.put("savings-goal#c", dataType={"S": "budget"})
    records = {record.record_id: record for record in UserRecord.query(USER)}
    assert records["a"].malformed
    assert isinstance(records["b"], UnknownRecord)
    assert records["b"].data == {"name": "x", "targetAmount": 100}
    assert isinstance(records["c"], Budget)
    assert records["c"].malformed
    for record in records.values():
        record.delete()
    assert list(UserRecord.query(USER)) == []


def test_a_batch_of_saves_and_deletes(table):
    """`batch_write` stores and deletes any number of records."""
    goals = [
        SavingsGoal(USER, data=SavingsGoalData(name="x", target_amount=number))
        for number in range(60)
    ]
    with SavingsGoal.batch_write() as batch:
        for goal in goals:
            batch.save(goal)
    assert SavingsGoal.count(USER) == 60
    goals[0].save()
    with SavingsGoal.batch_write() as batch:
        for goal in goals:
            batch.delete(goal)
    assert SavingsGoal.count(USER) == 0


def test_transactions_of_pynamodb(table):
    """TransactWrite and TransactGet work over PynamoDB's own connection, with lock and stamps."""
    table.put(
        "savings-goal#a",
        data={
            "M": {
                "name": {"S": "x"},
                "targetAmount": {"N": "1"},
                "photo": {"B": b"\x00"},
            }
        },
    )
    table.put("savings-goal#b")
    connection = table.connection()
    with TransactGet(connection=connection) as transaction:
        future = transaction.get(SavingsGoal, USER, "savings-goal#a")
    saved = future.get()
    updated = SavingsGoal.get(USER, "savings-goal#b")
    saved.data.target_amount += 1
    new = Budget(USER, data=BudgetData(name="b", period="monthly"), record_id="c")
    with TransactWrite(connection=connection) as transaction:
        transaction.save(saved)
        transaction.update(updated, [SavingsGoal.data["photo"].set(b"\x01")])
        transaction.save(new, condition=UserRecord.record_key.does_not_exist())
        transaction.condition_check(
            SavingsGoal, USER, "savings-goal#d", condition=UserRecord.record_key.does_not_exist()
        )
    stored = table.item("savings-goal#a")
    assert stored["data"]["M"]["photo"] == {"B": b"\x00"}
    assert stored["updatedAt"]["S"] > "2025-01-01T00:00:00.000Z"
    assert table.item("savings-goal#b")["data"]["M"]["photo"] == {"B": b"\x01"}
    saved.save()
    new.save()
    updated.save()
    table.put("savings-goal#b")

    def delete_both():
        with TransactWrite(connection=connection) as transaction:
            transaction.delete(saved)
            transaction.delete(updated)

    with pytest.raises(TransactWriteError) as caught:
        delete_both()
    assert [reason and reason.code for reason in caught.value.cancellation_reasons] == [
        None,
        "ConditionalCheckFailed",
    ]
    assert table.item("savings-goal#a") is not None


@pytest.mark.parametrize("whose", ["the library's", "PynamoDB's"])
def test_a_record_that_a_transaction_deleted(table, whose):
    """It can be saved anew; where PynamoDB's connection said nothing, once it was refreshed."""
    table.put("savings-goal#a")
    table.put("savings-goal#b")
    ours = SavingsGoal._get_connection().connection
    connection = ours if whose == "the library's" else table.connection()
    record = SavingsGoal.get(USER, "savings-goal#a")
    stale = SavingsGoal.get(USER, "savings-goal#b")
    table.put("savings-goal#b", updatedAt={"S": "2025-02-02T00:00:00.000Z"})

    def delete(*records):
        with TransactWrite(connection=connection) as transaction:
            for each in records:
                transaction.delete(each)

    with pytest.raises(TransactWriteError):
        delete(record, stale)
    record.data.name = "after a transaction that failed"
    record.save()
    delete(record)
    assert table.item("savings-goal#a") is None
    record.data.name = "anew"
    if whose == "PynamoDB's":
        with pytest.raises(PutError, match=r"a TransactWrite was to delete it.*refresh") as caught:
            record.save()
        assert caught.value.outcome == "not applied"
        with pytest.raises(SavingsGoal.DoesNotExist):
            record.refresh()
    record.save()
    assert table.item("savings-goal#a")["data"]["M"]["name"] == {"S": "anew"}
    record.save()
    record.update([SavingsGoal.data["name"].set("updated")])
    assert table.item("savings-goal#a")["data"]["M"]["name"] == {"S": "updated"}


def test_delete_table(engine):
    """`delete_table(wait=True)` returns when the table is gone."""
    name = f"pynamo-gone-{next(numbers)}"
    with DataStore(table_name=name, region=engine.region, endpoint=engine.endpoint) as store:
        data_store.configure(store)
        UserRecord.create_table()
        UserRecord.delete_table(wait=True)
        assert not UserRecord.exists()
        data_store.configure(None)
