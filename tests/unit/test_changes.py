"""Changes of the table: records of its stream become typed changes, handled in order."""

from __future__ import annotations

import asyncio
import copy
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from printed import RECORDS

from thrivecalc_models import SavingsGoal, Transaction, UnknownRecord, UserRecord, read_item
from thrivecalc_models.changes import Change, Changes
from thrivecalc_models.errors import ConfigurationError, InvalidRecordError

GOAL = next(item for item in RECORDS if item["dataType"]["S"] == "savings-goal")
TTL = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
AS_OF_GET_RECORDS = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


def keys_of(item: Any) -> Any:
    return {name: item[name] for name in ("userId", "recordKey")}


def entry(name: str, old: Any = None, new: Any = None, number: int = 1, **others: Any) -> Any:
    """A record of an event of the stream, in the shape that AWS documents."""
    detail: dict[str, Any] = {
        "ApproximateCreationDateTime": 1736252999.0 + number,
        "Keys": keys_of(new or old),
        "SequenceNumber": f"{number:021d}",
        "SizeBytes": 100,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    if old is not None:
        detail["OldImage"] = old
    if new is not None:
        detail["NewImage"] = new
    return {
        "eventID": f"event-{number}",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": detail,
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:111122223333:table/t/stream/2025-01-07",
    } | others


def edited(item: Any, **fields: Any) -> Any:
    again = copy.deepcopy(item)
    again["data"]["M"] |= fields
    return again


def of(item: Any, user_id: str, record_id: str = "r") -> Any:
    """The same item of another user, under another id."""
    key = f"{item['dataType']['S']}#{record_id}"
    return copy.deepcopy(item) | {
        "userId": {"S": user_id},
        "recordKey": {"S": key},
        "recordId": {"S": record_id},
    }


def handled(*entries: Any, **options: Any) -> tuple[list[Change[Any]], Any]:
    """The changes that a handler of all types gets, and the reply of the function."""
    changes, seen = Changes(), []
    changes.on()(seen.append)
    return seen, changes.lambda_handler(**options)({"Records": list(entries)}, None)


def test_a_change_has_both_records_and_what_differs():
    """A changed record comes as it was and as it is, with the paths that differ."""
    new = edited(GOAL, currentAmount={"N": "12.50"}) | {
        "updatedAt": {"S": "2025-01-08T00:00:00.000Z"}
    }
    (change,), reply = handled(entry("MODIFY", GOAL, new))
    assert reply == {"batchItemFailures": []}
    assert change.kind == "changed"
    assert isinstance(change.old, SavingsGoal)
    assert change.old.data == read_item(GOAL).data
    assert change.new.data.current_amount * 2 == 25
    assert set(change.fields) == {"data.currentAmount", "updatedAt"}
    assert change.user_id == GOAL["userId"]["S"]
    assert (change.data_type, change.record_key) == ("savings-goal", GOAL["recordKey"]["S"])
    assert change.at == datetime(2025, 1, 7, 12, 30, tzinfo=UTC)
    assert (change.event_id, change.sequence) == ("event-1", f"{1:021d}")


def test_kinds_of_change():
    """INSERT, MODIFY and REMOVE are created, changed and removed; TTL's deletions are expired."""
    seen, _ = handled(
        entry("INSERT", None, GOAL, 1),
        entry("MODIFY", GOAL, GOAL, 2),
        entry("REMOVE", GOAL, None, 3),
        entry("REMOVE", GOAL, None, 4, userIdentity=TTL),
        entry(
            "REMOVE",
            GOAL,
            None,
            5,
            userIdentity={"PrincipalId": TTL["principalId"], "Type": "Service"},
        ),
        entry("REMOVE", GOAL, None, 6, userIdentity={"type": "IAMUser", "principalId": "x"}),
    )
    assert [change.kind for change in seen] == [
        "created",
        "changed",
        "removed",
        "expired",
        "expired",
        "removed",
    ]
    assert seen[0].old is None
    assert seen[1].fields == ()
    assert seen[2].new is None


def test_maps_are_compared_member_by_member():
    """A field within a map has its own path, and numbers compare by value."""
    budget = next(item for item in RECORDS if item["dataType"]["S"] == "budget")
    old = edited(budget, limits={"M": {"food": {"N": "1"}, "rent": {"N": "2"}}})
    new = edited(budget, limits={"M": {"food": {"N": "1.0"}, "car": {"N": "3"}}})
    (change,), _ = handled(entry("MODIFY", old, new))
    assert change.fields == ("data.limits.rent", "data.limits.car")


def test_types_and_kinds_are_chosen():
    """A handler is called for its types and kinds, in the order of registration."""
    changes, seen = Changes(), []

    @changes.on(SavingsGoal, kinds={"changed"})
    def goals(change: Change[SavingsGoal]) -> None:
        seen.append(("goal", change.kind))

    changes.on("transaction", Transaction)(lambda change: seen.append(("spent", change.kind)))
    changes.on(kinds=["created"])(lambda change: seen.append(("all", change.kind)))
    spent = next(item for item in RECORDS if item["dataType"]["S"] == "transaction")
    changes.lambda_handler()(
        {
            "Records": [
                entry("INSERT", None, GOAL, 1),
                entry("MODIFY", GOAL, GOAL, 2),
                entry("INSERT", None, spent, 3),
            ]
        },
        None,
    )
    assert goals.__name__ == "goals"  # the function as it was
    assert seen == [
        ("all", "created"),
        ("goal", "changed"),
        ("spent", "created"),
        ("all", "created"),
    ]


@pytest.mark.parametrize(
    ("types", "kinds", "message"),
    [
        (["savings_goal"], ["changed"], "is 'savings-goal' meant"),
        (["gadget"], ["changed"], "define a record class"),
        ([UserRecord], ["changed"], "takes record classes"),
        ([int], ["changed"], "takes record classes"),
        ([SavingsGoal], ["edited"], "kinds takes some of"),
        ([SavingsGoal], [], "kinds takes some of"),
    ],
)
def test_a_handler_of_nothing_is_refused(types, kinds, message):
    """A type that nobody registered, or another kind, is said where the handler is registered."""
    with pytest.raises(ConfigurationError, match=message):
        Changes().on(*types, kinds=kinds)


def test_unknown_and_malformed_records_arrive():
    """A type without a class and a record that cannot be read arrive as `read_item` makes them."""
    unknown = of(GOAL, "u") | {"dataType": {"S": "gadget"}, "recordKey": {"S": "gadget#r"}}
    broken = edited(of(GOAL, "u"), targetAmount={"S": "much"})
    seen, _ = handled(entry("INSERT", None, unknown, 1), entry("INSERT", None, broken, 2))
    assert isinstance(seen[0].new, UnknownRecord)
    assert seen[1].new.malformed


# --- order and failures ---------------------------------------------------------------------------


def failing(*numbers: int, **options: Any) -> tuple[list[str], Any]:
    """What is handled of six changes of two users, the handler of some of which raises."""
    changes, seen = Changes(), []

    @changes.on()
    def handler(change: Change[Any]) -> None:
        if int(change.sequence) in numbers:
            raise ValueError("12345.67 EUR")
        seen.append(f"{change.user_id}{int(change.sequence)}")

    users = ["a", "b", "a", "b", "a", "b"]
    entries = [entry("INSERT", None, of(GOAL, user), n) for n, user in enumerate(users, 1)]
    return seen, changes.lambda_handler(**options)({"Records": entries}, None)


def test_the_first_failure_stops_the_batch(caplog):
    """Nothing after the first failure is handled; its number is reported, and no content logged."""
    with caplog.at_level(logging.ERROR, logger="thrivecalc_models"):
        seen, reply = failing(3, 5)
    assert seen == ["a1", "b2"]
    assert reply == {"batchItemFailures": [{"itemIdentifier": f"{3:021d}"}]}
    assert "ValueError" in caplog.text
    assert "12345" not in caplog.text


def test_other_users_go_on():
    """With `by_user` a failed user's changes stop there, and the other's are handled."""
    seen, reply = failing(3, by_user=True)
    assert seen == ["a1", "b2", "b4", "b6"]
    assert reply == {"batchItemFailures": [{"itemIdentifier": f"{3:021d}"}]}
    seen, reply = failing(3, 4, by_user=True)
    assert seen == ["a1", "b2"]
    assert [each["itemIdentifier"] for each in reply["batchItemFailures"]] == [
        f"{3:021d}",
        f"{4:021d}",
    ]


def without(holder: Any, *path: str) -> Any:
    again = copy.deepcopy(holder)
    inner = again
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return again


def with_other_keys() -> Any:
    """A record whose image is of another user than its keys."""
    mixed = entry("INSERT", None, GOAL)
    mixed["dynamodb"]["Keys"] = keys_of(of(GOAL, "u"))
    return mixed


@pytest.mark.parametrize(
    "broken",
    [
        without(entry("INSERT", None, GOAL), "eventName"),
        without(entry("INSERT", None, GOAL), "eventID"),
        without(entry("INSERT", None, GOAL), "dynamodb", "Keys", "userId"),
        without(entry("INSERT", None, GOAL), "dynamodb", "ApproximateCreationDateTime"),
        entry("TRUNCATE", None, GOAL),
        with_other_keys(),
    ],
)
def test_what_cannot_be_understood_is_a_failure(broken):
    """A malformed record of the stream is reported by its number, and never shown to a handler."""
    seen, reply = handled(broken, entry("INSERT", None, GOAL, 2))
    assert seen == []
    assert reply == {"batchItemFailures": [{"itemIdentifier": f"{1:021d}"}]}


@pytest.mark.parametrize("event", [None, [], "x", {"Records": None}, {"Records": {}}])
def test_another_event_is_refused(event):
    """What is no event of a stream is an error, since nothing could be reported."""
    with pytest.raises(InvalidRecordError):
        Changes().lambda_handler()(event, None)


def test_a_failure_without_a_number_is_raised():
    """A record that no reply can name fails the whole invocation."""
    with pytest.raises(InvalidRecordError, match="eventName"):
        handled({"dynamodb": {}})
    assert handled()[1] == {"batchItemFailures": []}


def test_async_handlers_run_to_their_end():
    """An async handler is awaited before the next change, and a plain one may have its own loop."""
    changes, seen = Changes(), []

    @changes.on()
    async def slow(change: Change[Any]) -> None:
        await asyncio.sleep(0)
        seen.append(("async", change.kind))

    changes.on()(
        lambda change: asyncio.run(asyncio.sleep(0)) or seen.append(("plain", change.kind))
    )
    function = changes.lambda_handler()
    for _ in range(2):
        function(
            {"Records": [entry("INSERT", None, GOAL, 1), entry("REMOVE", GOAL, None, 2)]}, None
        )
    assert seen == 2 * [
        ("async", "created"),
        ("plain", "created"),
        ("async", "removed"),
        ("plain", "removed"),
    ]


def test_the_state_of_a_window_is_given_back():
    """In a tumbling window the state comes back as it came, beside the failures."""
    changes = Changes()
    event = {
        "Records": [entry("INSERT", None, GOAL)],
        "state": {"sum": 5},
        "isFinalInvokeForWindow": False,
    }
    assert changes.lambda_handler()(event, None) == {"batchItemFailures": [], "state": {"sum": 5}}


def test_missing_images_are_said_once(caplog):
    """With KEYS_ONLY a change has its keys and no records, and one line of the log says so."""
    bare = entry("MODIFY", GOAL, GOAL)
    bare["dynamodb"] = without(without(bare, "dynamodb", "OldImage"), "dynamodb", "NewImage")[
        "dynamodb"
    ]
    bare["dynamodb"]["StreamViewType"] = "KEYS_ONLY"
    with caplog.at_level(logging.WARNING, logger="thrivecalc_models"):
        seen, _ = handled(bare, bare)
    assert [(change.old, change.new, change.fields) for change in seen] == [(None, None, ())] * 2
    assert seen[0].record_id == GOAL["recordId"]["S"]
    assert caplog.text.count("KEYS_ONLY") == 1


def test_a_change_shows_no_data():
    """The repr of a change has neither the user nor what is in the records."""
    (change,), _ = handled(entry("MODIFY", GOAL, edited(GOAL, name={"S": "Secret"})))
    assert GOAL["userId"]["S"] not in repr(change)
    assert "Secret" not in repr(change)
