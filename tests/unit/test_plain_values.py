"""Text that is more than text, numbers that are more than numbers: stored as what they hold."""

from __future__ import annotations

import enum
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from numbers import Integral
from typing import Any

import pytest

from thrivecalc_models import (
    BudgetData,
    DataStore,
    InvalidKeyError,
    InvalidRecordError,
    ProfileData,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UserRecord,
    payload,
    read_item,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store


class Word(str, enum.Enum):  # noqa: UP042 - what StrEnum replaced, and what many services have
    """An enum of text whose members print, and hash, as something else."""

    USER = "u"
    TYPE = "note"
    KEY = "savings-goal#monthly"
    MONTHLY = "monthly"
    TEXT = "text"
    NAME = "name"

    def __str__(self) -> str:
        return "what nobody stores"


class Kind(enum.StrEnum):
    MONTHLY = "monthly"


class Number(enum.IntEnum):
    SEVEN = 7


class Int64(int):
    """As bson's, which is an int with a name."""

    def __str__(self) -> str:
        return "1"


class Float64(float):
    """As numpy's, whose repr is a call."""

    def __repr__(self) -> str:
        return f"np.float64({float(self)})"


class Money(Decimal):
    def __str__(self) -> str:
        return "1"


class Int32:
    """As numpy's, which is no int at all but registered as one."""

    numerator, denominator = 7, 1

    def __index__(self) -> int:
        return 7


Integral.register(Int32)


class Timestamp(datetime):
    """As pandas': a datetime with more behind its microseconds."""

    nanosecond = 5

    def replace(self, *args: Any, **fields: Any) -> Any:
        raise AssertionError("what is finer than a microsecond would stay")


class Day(date):
    def isoformat(self) -> str:
        return "1.1.2025"


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "?"


class Unequal(Text):
    """A text that no dict finds under its plain text."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


@payload
class EverythingData:
    text: str = ""
    number: int = 0
    day: date | None = None
    at: datetime | None = None
    raw: bytes = b""
    anything: Any = None


@pytest.fixture
def user(table: SimulatedTable) -> Any:
    return simulated_store(table).user(Word.USER)


def stored(table: SimulatedTable, key: str) -> Any:
    item = table.get("u", key)
    assert item is not None
    return item


def test_a_key_is_its_plain_text(table: SimulatedTable, user: Any) -> None:
    """User id, type and record id of an enum of text are its values, wherever they are given."""
    assert type(user.user_id) is str
    record = user.add(Word.TYPE, {Word.TEXT: Word.MONTHLY}, record_id=Word.MONTHLY)
    item = stored(table, "note#monthly")
    assert item["recordId"] == {"S": "monthly"}
    assert item["dataType"] == {"S": "note"}
    assert item["data"] == {"M": {"text": {"S": "monthly"}}}
    assert type(record.record_id) is type(record.data_type) is type(record.record_key) is str
    for found in (
        user.get(Word.TYPE, Word.MONTHLY),
        *user.get_many([(Word.TYPE, Word.MONTHLY)]),
        *user.list(Word.TYPE),
    ):
        assert found.data == {"text": "monthly"}
    made = SavingsGoal(Word.USER, record_id=Word.MONTHLY)
    assert (made.user_id, made.record_key) == ("u", "savings-goal#monthly")
    assert SavingsGoal.key(Word.MONTHLY) == made.record_key
    assert SavingsGoal(Word.USER, Word.KEY).record_id == "monthly"
    user.delete(Word.TYPE, Word.MONTHLY)
    assert table.get("u", "note#monthly") is None


@pytest.mark.parametrize(
    ("given", "form"),
    [
        (Word.MONTHLY, {"S": "monthly"}),
        (Text("é"), {"S": "é"}),
        (Number.SEVEN, {"N": "7"}),
        (Int64(7), {"N": "7"}),
        (Int32(), {"N": "7"}),
        (Float64(0.1), {"N": "0.1"}),
        (Money("1.5"), {"N": "1.5"}),
        (OrderedDict({Word.TEXT: [Kind.MONTHLY]}), {"M": {"text": {"L": [{"S": "monthly"}]}}}),
        ([Number.SEVEN, (Word.MONTHLY,)], {"L": [{"N": "7"}, {"L": [{"S": "monthly"}]}]}),
        ({Word.MONTHLY, Text("a")}, {"SS": ["a", "monthly"]}),
        ({Number.SEVEN, Float64(0.5)}, {"NS": ["0.5", "7"]}),
    ],
)
def test_a_value_is_what_it_holds(
    table: SimulatedTable, user: Any, given: Any, form: dict[str, Any]
) -> None:
    """A subclass of a built-in type is stored as that type, in mappings, extras and Any fields."""
    user.add(Word.TYPE, {"x": given}, record_id="a")
    assert stored(table, "note#a")["data"] == {"M": {"x": form}}
    goal = user.add(SavingsGoalData(name="House", target_amount=1), record_id="b")
    goal.extra_data[Word.TEXT] = given
    goal.extra_attributes[Word.TEXT] = given
    user.update(goal)
    item = stored(table, "savings-goal#b")
    assert item["data"]["M"]["text"] == item["text"] == form
    user.update(goal)
    assert table.sent() == 3, "what was just written is no change"


def test_a_field_holds_the_plain_value() -> None:
    """A field of a payload takes a subclass as the plain value that it is, at once."""
    data = EverythingData(
        text=Word.MONTHLY,
        number=Int64(7),
        day=Day(2025, 1, 7),
        at=Timestamp(2025, 1, 7, 12, 30, 0, 999_999, tzinfo=UTC),
        raw=type("Binary", (bytes,), {})(b"x"),
    )
    held = (data.text, data.number, data.day, data.at, data.raw)
    assert held == (
        "monthly",
        7,
        date(2025, 1, 7),
        datetime(2025, 1, 7, 12, 30, 0, 999_000, UTC),
        b"x",
    )
    assert [type(each) for each in held] == [str, int, date, datetime, bytes]
    data.number = Int32()
    assert type(data.number) is int
    amounts = [Number.SEVEN, Int64(7), Int32(), Float64(7), Money(7)]
    for amount in amounts:
        goal = SavingsGoalData(name=Text("House"), target_amount=amount)
        assert type(goal.name) is str
        assert (type(goal.target_amount), goal.target_amount) == (Decimal, 7)


@pytest.mark.parametrize(
    "limits", [{Word.MONTHLY: 300}, {Kind.MONTHLY: 300}, OrderedDict({Text("monthly"): 300})]
)
def test_keys_of_dicts_are_plain_text(table: SimulatedTable, user: Any, limits: Any) -> None:
    """A dict may be keyed by an enum of text: its values are the names in the table."""
    budget = user.add(BudgetData(name="Home", period=Word.MONTHLY, limits=limits), record_id="b")
    assert stored(table, "budget#b")["data"]["M"]["limits"] == {"M": {"monthly": {"N": "300"}}}
    assert user.get("budget", "b").data == budget.data
    budget.data.limits[Word.TEXT] = 5
    user.update(budget)
    assert set(stored(table, "budget#b")["data"]["M"]["limits"]["M"]) == {"monthly", "text"}


def test_two_keys_of_one_text_are_refused(user: Any, table: SimulatedTable) -> None:
    """Where an enum and a text name the same member, neither is dropped in silence."""
    twice = {Unequal("monthly"): 1, "monthly": 2}
    with pytest.raises(InvalidRecordError, match="two keys") as caught:
        user.add("note", {"x": twice})
    assert caught.value.path == "data.x"
    with pytest.raises(InvalidRecordError, match="two keys"):
        user.add(BudgetData(name="a", period="monthly", limits=twice))
    assert not table.sent()


@pytest.mark.parametrize(
    "value",
    [object(), enum.Enum("Plain", "A").A, type("NaT", (datetime,), {"year": None})(1, 1, 1)],
)
def test_what_no_built_in_type_holds_is_refused(
    user: Any, table: SimulatedTable, value: Any
) -> None:
    """What cannot be encoded is refused with its path before the first request of the commit."""
    work = user.unit_of_work()
    work.add(ProfileData(), record_id="main")
    note = work.add("note", {})
    note.data["list"] = [1, {"deep": value}]
    with pytest.raises(InvalidRecordError) as caught:
        work.commit()
    work.rollback()
    assert caught.value.path == "data.list[1].deep"
    for field in ("text", "number", "day", "at", "raw"):
        with pytest.raises(InvalidRecordError, match=f"data.{field} takes"):
            EverythingData(**{field: value})
    assert not table.sent()


def test_a_uuid_is_its_text(table: SimulatedTable, user: Any) -> None:
    """A record id may be given as a UUID, and is its text from then on."""
    given = uuid.uuid4()
    record = user.add(SavingsGoalData(name="House", target_amount=1), record_id=given)
    assert record.record_id == str(given)
    assert user.get(SavingsGoal, given).record_key == SavingsGoal.key(given)
    assert user.get_many([(SavingsGoal, given)])[0].record_id == str(given)
    assert SavingsGoal("u", record_id=given).record_id == str(given)
    user.delete(SavingsGoal, given)
    assert user.get(SavingsGoal, given) is None


def test_a_record_key_is_a_key(user: Any) -> None:
    """get_many takes record keys as text beside pairs, and says what to write for anything else."""
    goal = user.add(SavingsGoalData(name="House", target_amount=1), record_id="g#1")
    keys = [SavingsGoal.key("g#1"), (SavingsGoal, "g#1"), "savings-goal#none"]
    assert [each and each.record_key for each in user.get_many(keys)] == [goal.record_key] * 2 + [
        None
    ]
    with user.unit_of_work() as work:
        assert work.get_many([goal.record_key])[0].data == goal.data
    for wrong in (
        "g",
        "#g",
        "savings-goal#",
        goal,
        5,
        None,
        (SavingsGoal,),
        (SavingsGoal, "a", "b"),
    ):
        with pytest.raises(InvalidKeyError, match=r"SavingsGoal|empty"):
            user.get_many([wrong])


def test_a_timedelta_counts_from_now(user: Any, table: SimulatedTable) -> None:
    """A ttl may be given as a timedelta, which counts from the clock of the store."""
    now = datetime(2025, 1, 7, 12, tzinfo=UTC)
    user = simulated_store(table, clock=lambda: now).user("u")
    record = user.add(ProfileData(), record_id="a", ttl=timedelta(days=3))
    assert record.ttl == now + timedelta(days=3)
    record.ttl = timedelta(hours=1)
    assert record.ttl == now + timedelta(hours=1)
    with user.unit_of_work() as work:
        assert work.put(ProfileData(), ttl=timedelta(days=3)).ttl == now + timedelta(days=3)
    for wrong in (timedelta.max, timedelta.min, 5, "2025-01-07", now.replace(tzinfo=None)):
        with pytest.raises(InvalidRecordError, match="ttl") as caught:
            user.add(ProfileData(), ttl=wrong)
        assert caught.value.path == "ttl"


def test_a_datetime_for_a_date_says_what_to_write() -> None:
    """A datetime has a time and perhaps a zone: which day it means is the caller's to say."""
    moment = datetime(2025, 1, 7, 23, 30, tzinfo=UTC)
    with pytest.raises(InvalidRecordError, match=r"give its \.date\(\)"):
        TransactionData(date=moment, amount=1)
    assert TransactionData(date=moment.date(), amount=1).date == date(2025, 1, 7)


def test_a_stored_item_of_subclasses_is_read(user: Any) -> None:
    """An item whose texts are of somebody's own class is read as the item that it is."""
    item = {
        "userId": {"S": Word.USER},
        "recordKey": {"S": "note#a"},
        "dataType": {"S": Word.TYPE},
        "recordId": {"S": Text("a")},
        "data": {"M": {Word.TEXT: {"S": Word.MONTHLY}}},
    }
    record = read_item(OrderedDict(item))
    assert type(record.user_id) is str
    assert record.data == {"text": "monthly"}
    user.put(record)


@pytest.mark.parametrize("deep", [32, 2_000])
@pytest.mark.parametrize("tag", ["M", "L"])
def test_an_item_that_is_too_deep_is_refused(deep: int, tag: str) -> None:
    """An item nested deeper than DynamoDB stores is an InvalidRecordError at every door."""
    value: Any = {"S": "x"}
    for _ in range(deep):
        value = {"M": {"a": value}} if tag == "M" else {"L": [value]}
    item = {"userId": {"S": "u"}, "recordKey": {"S": "note#a"}, "data": value}
    record = SavingsGoal("u")
    for read in (read_item, SavingsGoal.from_raw_data, record.from_dynamodb_dict):
        with pytest.raises(InvalidRecordError, match="deeper") as caught:
            read(item)
        assert str(caught.value.path).startswith("data")


@pytest.mark.parametrize("given", [None, "x", [], {}, {"userId": None}, {"userId": {"S": "u"}}])
def test_what_is_no_item_is_refused_with_words(given: Any) -> None:
    """read_item says of anything else what an item is."""
    with pytest.raises(InvalidRecordError, match="item"):
        read_item(given)


def test_a_lifetime_that_no_date_can_hold_is_refused() -> None:
    """A keep_for without end is refused where the class is defined."""
    for keep_for in (timedelta.max, timedelta(days=365 * 6000), timedelta(0), 5):
        with pytest.raises(TypeError, match="keep_for"):
            type(UserRecord)("Forever", (UserRecord,), {"keep_for": keep_for})


def test_conditions_and_settings_take_plain_text(user: Any, table: SimulatedTable) -> None:
    """Names and values of conditions and actions, and settings, are the plain text of an enum."""
    for given, plain in [
        (SavingsGoal.data[Word.NAME] == Word.MONTHLY, SavingsGoal.data["name"] == "monthly"),
        (UserRecord.data_type == Word.TYPE, UserRecord.data_type == "note"),
        (UserRecord.data[Word.TEXT].startswith(Text("a")), UserRecord.data["text"].startswith("a")),
        (
            SavingsGoal.data[Word.NAME].set(Day(2025, 1, 7)),
            SavingsGoal.data["name"].set("2025-01-07"),
        ),
    ]:
        assert str(given) == str(plain)
    with DataStore(table_name=Word.TYPE, region=Text("eu-west-1")) as store:
        assert (type(store.table_name), store.table_name) == (str, "note")
        assert (type(store.region), store.region) == (str, "eu-west-1")
    goal = user.add(SavingsGoalData(name="a", target_amount=1), record_id="g")
    assert user.page(SavingsGoal, cursor=None).records[0].data == goal.data
    user.add("note", {"x": 1})
    cursor = user.page(limit=1).cursor
    assert len(user.page(limit=1, cursor=Text(cursor)).records) == 1
