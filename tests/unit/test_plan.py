"""The plan: which requests a commit becomes, in which order, and that just those are sent."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import USER, goal_item, item, planned, requests, user_of

from thrivecalc_models import (
    Budget,
    InvalidRecordError,
    Plan,
    SavingsGoal,
    SavingsGoalData,
    Transaction,
    TransactionData,
    UnknownRecord,
)
from thrivecalc_models.testing import SimulatedTable


def payment(amount=-5):
    return TransactionData(date=date(2025, 1, 7), amount=amount)


def stocked(count):
    """A table with `count` goals, and its user."""
    table = SimulatedTable()
    for number in range(count):
        table.put(goal_item(f"{number:03}"))
    return table, user_of(table)


def test_sixty_adds_are_three_batches(user, table):
    """Sixty new records go in three BatchWriteItem of 25, 25 and 10, as first queued."""
    with user.unit_of_work() as work:
        keys = [work.add(payment()).record_key for _ in range(60)]
    assert requests(table) == [
        ("BatchWriteItem", tuple(keys[:25])),
        ("BatchWriteItem", tuple(keys[25:50])),
        ("BatchWriteItem", tuple(keys[50:])),
    ]


def test_a_batch_of_one_is_a_put(user, table):
    """The twenty-sixth of 26 new records goes as PutItem, which the guide's policy allows."""
    with user.unit_of_work() as work:
        keys = [work.add(payment()).record_key for _ in range(26)]
    assert requests(table) == [("BatchWriteItem", tuple(keys[:25])), ("PutItem", (keys[25],))]


def test_a_single_delete_by_id_is_a_delete(user, table):
    """One deletion by id goes as DeleteItem, without a condition."""
    with user.unit_of_work() as work:
        work.delete(SavingsGoal, "g")
    assert requests(table) == [("DeleteItem", ("savings-goal#g",))]
    assert "ConditionExpression" not in table.log[0].request


def test_nothing_changed_is_nothing_sent(user, table):
    """A unit that only read and compared sends nothing at its end, and says so."""
    table.put(goal_item())
    with user.unit_of_work() as work:
        goal = work.get(SavingsGoal, "g")
        goal.data.current_amount += 500
        goal.data.current_amount -= 500
        goal.extra_data["colour"] = "green"
        sent = table.sent()
        assert work.plan() == Plan(())
        assert str(work.plan()) == "nothing to send"
        assert work.commit().requests == 0
    assert table.sent() == sent
    assert table.get(USER, "savings-goal#g") == goal_item()


def test_the_order_of_operations(user, table):
    """BatchWriteItem first, then PutItem, UpdateItem and DeleteItem, each as first queued."""
    for name in "abcdef":
        table.put(goal_item(name))
    with user.unit_of_work() as work:
        a, b, c, d = (work.get(SavingsGoal, name) for name in "abcd")
        work.delete(d)
        b.data.current_amount = 1
        work.add(payment(), record_id="p1")
        fresh = work.add(payment())
        work.delete(c)
        a.data.current_amount = 2
        work.put(payment(), record_id="p2")
        work.add(payment(), record_id="p0")
        work.delete(SavingsGoal, "e")
        plan = work.plan()
        sent = table.sent()
    assert planned(plan) == [
        ("BatchWriteItem", (fresh.record_key, "transaction#p2", "savings-goal#e")),
        ("PutItem", ("transaction#p1",)),
        ("PutItem", ("transaction#p0",)),
        ("UpdateItem", ("savings-goal#a",)),
        ("UpdateItem", ("savings-goal#b",)),
        ("DeleteItem", ("savings-goal#d",)),
        ("DeleteItem", ("savings-goal#c",)),
    ]
    assert requests(table, sent) == planned(plan)


def test_planning_sends_nothing(user, table):
    """A plan is computed from what is pending: no request, and the same twice."""
    with user.unit_of_work() as work:
        work.add(payment(), record_id="p")
        assert work.plan() == work.plan()
        assert len(work.plan()) == 1
        assert table.sent() == 0
        assert str(work.plan()) == ("  1  PutItem  transaction#p\n1 request for 1 record")


OPERATIONS = st.lists(
    st.sampled_from(["fresh", "given", "put", "put loaded", "edit", "delete", "delete id"]),
    max_size=90,
)


@given(operations=OPERATIONS)
def test_a_plan_is_whole_legal_and_the_smallest(operations):
    """Every pending key is planned once, no batch is too long, no plan of fewer requests exists."""
    table, user = stocked(len(operations))
    work = user.unit_of_work()
    loaded = {each.record_id: each for each in work.list(SavingsGoal)}
    pending = set()
    for number, operation in enumerate(operations):
        goal = loaded[f"{number:03}"]
        pending.add(queue(work, operation, goal, number))
    plan = work.plan()
    keys = [key for request in plan.requests for key in request.keys]
    assert sorted(keys) == sorted(pending)
    assert len(set(keys)) == len(keys)
    assert all(len(request.keys) <= 25 for request in plan.requests)
    assert all(
        len(request.keys) > 1 for request in plan.requests if request.operation == "BatchWriteItem"
    )
    free = sum(each in ("fresh", "put", "put loaded", "delete id") for each in operations)
    conditional = len(operations) - free
    assert len(plan) == conditional + -(-free // 25)
    order = ["BatchWriteItem", "PutItem", "UpdateItem", "DeleteItem"]
    ranks = [order.index(request.operation) for request in plan.requests]
    assert ranks == sorted(ranks)
    sent = table.sent()
    result = work.commit()
    assert requests(table, sent) == planned(plan)
    assert result.requests == len(plan)
    assert sorted(result.applied) == sorted(pending)


def queue(work, operation, goal, number):
    """Queue one operation and return its record key."""
    match operation:
        case "fresh":
            return work.add(payment()).record_key
        case "given":
            return work.add(payment(), record_id=f"given-{number}").record_key
        case "put":
            return work.put(payment(), record_id=f"put-{number}").record_key
        case "put loaded":
            return work.put(goal).record_key
        case "edit":
            goal.data.current_amount += 1
        case "delete":
            work.delete(goal)
        case "delete id":
            work.delete(SavingsGoal, goal.record_id)
    return goal.record_key


# --- one transaction ------------------------------------------------------------------------------


def test_an_atomic_unit_is_one_transaction(user, table):
    """What is pending in an atomic unit goes as one TransactWriteItems with its own token."""
    for name in "abc":
        table.put(goal_item(name))
    tokens = set()
    for _ in range(2):
        with user.unit_of_work(atomic=True) as work:
            a, b, c = (work.get(SavingsGoal, name) for name in "abc")
            a.data.current_amount += 1
            work.check(b)
            work.put(c)
            fresh = work.add(payment())
            plan = work.plan()
        expected = ["savings-goal#a", "savings-goal#b", "savings-goal#c", fresh.record_key]
        assert len(plan) == 1
        assert plan.requests[0].operation == "TransactWriteItems"
        assert sorted(plan.requests[0].keys) == sorted(expected)
        assert requests(table)[-1] == planned(plan)[0]
        assert [next(iter(each)) for each in table.log[-1].request["TransactItems"]] == [
            {"savings-goal#a": "Update", "savings-goal#b": "ConditionCheck"}.get(key, "Put")
            for key in plan.requests[0].keys
        ]
        tokens.add(table.log[-1].request["ClientRequestToken"])
    assert len(tokens) == 2
    assert all(len(token) == 36 for token in tokens)


def test_an_atomic_unit_of_nothing_sends_nothing(user, table):
    """No pending operation, no transaction."""
    with user.unit_of_work(atomic=True):
        pass
    assert table.sent() == 0


def test_a_hundred_operations_are_one_transaction(user, table):
    """A transaction holds a hundred operations; with one more nothing is sent."""
    work = user.unit_of_work(atomic=True)
    added = [work.add(payment()) for _ in range(101)]
    for call in (work.plan, work.commit):
        with pytest.raises(InvalidRecordError, match="100 operations, this one has 101"):
            call()
    assert table.sent() == 0
    work.delete(added[-1])
    assert work.commit().requests == 1
    assert len(table.items) == 100


def test_four_megabytes_are_one_transaction(user, table):
    """Over 4 MB of items an atomic unit is refused before anything is sent."""
    work = user.unit_of_work(atomic=True)
    added = [work.add("note", {"text": "x" * 399_000}) for _ in range(11)]
    for call in (work.plan, work.commit):
        with pytest.raises(InvalidRecordError, match="4 MB"):
            call()
    assert table.sent() == 0
    work.delete(added[0])
    assert work.commit().requests == 1


def test_batches_stay_below_sixteen_megabytes(user, table):
    """Twenty-five of the largest items fit one batch."""
    with user.unit_of_work() as work:
        for _ in range(25):
            work.add("note", {"text": "x" * 409_000})
    assert table.sent("BatchWriteItem") == 1
    assert table.sent() == 1


# --- what an update carries -----------------------------------------------------------------------


def expressions(request):
    """Update and condition of a logged request, with the placeholders put in."""
    meanings = dict(request["ExpressionAttributeNames"])
    for placeholder, value in request.get("ExpressionAttributeValues", {}).items():
        meanings[placeholder] = str(next(iter(value.values())))

    def plain(text):
        return re.sub(r"[#:]\d+", lambda found: meanings[found.group()], text)

    return plain(request["UpdateExpression"]), plain(request["ConditionExpression"])


def test_one_changed_field_is_one_update(user, table):
    """An edit of one field sends that field, updatedAt, and the condition on what was read."""
    table.put(goal_item(current="100"))
    with user.unit_of_work() as work:
        work.get(SavingsGoal, "g").data.current_amount += 500
        sent = table.sent()
    (entry,) = table.log[sent:]
    assert entry.operation == "UpdateItem"
    assert entry.request["Key"] == {"userId": {"S": USER}, "recordKey": {"S": "savings-goal#g"}}
    assert entry.request["ReturnValues"] == "ALL_NEW"
    assert entry.request["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"
    update, condition = expressions(entry.request)
    assert update == "SET data.currentAmount = 600, updatedAt = 2025-01-07T12:30:00.005Z"
    assert condition == (
        "(attribute_exists(recordKey) AND attribute_type(data, M))"
        " AND updatedAt = 2025-01-02T03:04:05.678Z AND data.currentAmount = 100"
    )


def test_a_field_set_to_none_is_removed(user, table):
    """None takes a field out of the table, if it still is what was read."""
    table.put(
        item(
            "transaction",
            "t",
            {
                "date": {"S": "2025-01-07"},
                "amount": {"N": "-5"},
                "category": {"S": "food"},
            },
        )
    )
    with user.unit_of_work() as work:
        work.get(Transaction, "t").data.category = None
    update, condition = expressions(table.log[-1].request)
    assert update == "SET updatedAt = 2025-01-07T12:30:00.005Z REMOVE data.category"
    assert condition.endswith("AND data.category = food")


def test_a_new_field_must_still_be_absent(user, table):
    """A field that was absent when read is set only if it still is."""
    table.put(goal_item())
    with user.unit_of_work() as work:
        work.get(SavingsGoal, "g").data.monthly_contribution = 50
    assert expressions(table.log[-1].request)[1].endswith(
        "AND attribute_not_exists(data.monthlyContribution)"
    )


@pytest.mark.parametrize("stamp", [{"S": "yesterday"}, {"N": "17"}, {"NULL": True}, None])
def test_an_odd_stamp_is_compared_as_it_is(user, table, stamp):
    """The lock condition takes updatedAt in the form in which it was read, or missing as it was."""
    stored = goal_item()
    del stored["updatedAt"]
    table.put(stored | ({} if stamp is None else {"updatedAt": stamp}))
    with user.unit_of_work() as work:
        goal = work.get(SavingsGoal, "g")
        assert goal.updated_at is None
        goal.data.current_amount = 7
    assert goal.updated_at == table.clock().replace(microsecond=5000)
    request = table.log[-1].request
    if stamp is None:
        assert "attribute_not_exists(" in request["ConditionExpression"]
    else:
        assert stamp in request["ExpressionAttributeValues"].values()


def test_one_changed_name_of_a_dict_sends_the_dict(user, table):
    """A nested value is one field: it is compared and written as a whole."""
    table.put(
        item(
            "budget",
            "b",
            {
                "name": {"S": "Home"},
                "period": {"S": "monthly"},
                "limits": {"M": {"food": {"N": "400"}}},
            },
        )
    )
    with user.unit_of_work() as work:
        work.get(Budget, "b").data.limits["rent"] = 900
    values = table.log[-1].request["ExpressionAttributeValues"].values()
    assert {"M": {"food": {"N": "400"}, "rent": {"N": "900"}}} in values
    assert {"M": {"food": {"N": "400"}}} in values


@pytest.mark.parametrize("lock", [True, False])
def test_an_over_long_update_sets_data_whole(user, table, lock):
    """Where fields do not fit 4 KB of expression, data is set whole, if it is what was read."""
    fields = {f"field{number:03}": {"N": str(number)} for number in range(400)}
    stored = item("note", "n", fields)
    table.put(stored)
    with user.unit_of_work(lock=lock) as work:
        note = work.get("note", "n")
        for name in note.data:
            note.data[name] += 1
        sent = table.sent()
    assert requests(table, sent) == [("UpdateItem", ("note#n",))]
    request = table.log[-1].request
    assert len(request["UpdateExpression"]) < 100
    assert {"M": fields} in request["ExpressionAttributeValues"].values()
    assert table.get(USER, "note#n")["data"]["M"]["field007"] == {"N": "8"}


def test_every_expression_sent_is_within_the_limits(user, table):
    """However many fields change, no expression is over 4 KB or 300 operators."""
    for count in (50, 73, 74, 75, 99, 100, 140, 149, 150, 300):
        table.put(item("note", "n", {f"f{number}": {"N": "1"} for number in range(count)}))
        with user.unit_of_work() as work:
            note = work.get("note", "n")
            note.data = {f"g{number}": 1 for number in range(count)}
        assert isinstance(note, UnknownRecord)
        request = table.log[-1].request
        for name in ("UpdateExpression", "ConditionExpression"):
            assert len(request[name].encode()) <= 4096


# --- the account ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("atomic", "units"), [(False, 2.0), (True, 4.0)])
def test_the_result_counts_what_the_service_reports(user, table, atomic, units):
    """Requests and write units of a commit are those of the replies, the index included."""
    table.put(goal_item("a"))
    table.put(goal_item("b"))
    with user.unit_of_work(atomic=atomic) as work:
        a, b = work.get(SavingsGoal, "a"), work.get(SavingsGoal, "b")
        a.data.current_amount += 1
        work.delete(b)
        added = [work.add(payment()) for _ in range(3)]
        result = work.commit()
    assert result.requests == (1 if atomic else 3)
    assert result.capacity.write_units == 5 * units
    assert result.capacity.read_units == 0
    assert sorted(result.applied) == sorted(
        [a.record_key, b.record_key, *(each.record_key for each in added)]
    )
    assert result.existing == []


def test_a_payload_makes_the_same_request_again():
    """The same unit on the same table sends the same bytes: nothing depends on chance."""

    def sent():
        ids = iter("xyz")
        table = SimulatedTable()
        with user_of(table, new_id=lambda: next(ids)).unit_of_work() as work:
            work.add(SavingsGoalData(name="Car", target_amount=9000))
            work.add(payment())
        return [entry.request for entry in table.log]

    assert sent() == sent()
