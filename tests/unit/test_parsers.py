"""What strangers can reach is bounded: no parser does more than its input is long."""

from __future__ import annotations

import json
import tracemalloc
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest

from thrivecalc_models import (
    CorruptItemError,
    InvalidKeyError,
    InvalidRecordError,
    IsolationError,
    RetirementPlan,
    RetirementPlanData,
    SavingsGoal,
    SavingsGoalData,
    TransactionData,
    UnknownRecord,
    read_item,
)
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.wire import parse_date, parse_number, parse_timestamp, parse_ttl

MEGABYTE = 1_000_000
OVERHEAD = 200_000  # bytes, of messages and frames

NO_NUMBERS = [
    "1e999999",
    "-1e999999",
    "1e-999999",
    "1e126",
    "1e" + "9" * 20,
    "1" * 39,
    "9" * MEGABYTE,
    "0." + "0" * MEGABYTE + "1",
    "NaN",
    "Infinity",
    "1_000",
    "٣",
    " 1",
    "0x1",
    "",
    "abc",
]


NO_MOMENTS = [*NO_NUMBERS, "1" * MEGABYTE + "Z", "2025-01-07T" + "1" * MEGABYTE]


def short(value: object) -> str:
    """A name for a case."""
    return str(value)[:12] if isinstance(value, str | bytes) else type(value).__name__


def memory_of(call: Callable[[], object]) -> int:
    """Bytes at the peak of a call: what took long by its result alone shows there, too."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "parse", [parse_number, parse_ttl, parse_date, parse_timestamp], ids=lambda each: each.__name__
)
@pytest.mark.parametrize("text", NO_MOMENTS, ids=short)
def test_parsers_do_no_more_than_their_input_is_long(parse: Any, text: str) -> None:
    """A text of a megabyte, or one that names a huge number, costs no more than its length."""

    def attempt() -> None:
        with suppress(ValueError):
            assert parse(text) is None

    assert memory_of(attempt) <= 8 * len(text) + OVERHEAD


def item_of(data_type: str, **data: Any) -> dict[str, Any]:
    return {
        "userId": {"S": "u"},
        "recordKey": {"S": f"{data_type}#a"},
        "dataType": {"S": data_type},
        "recordId": {"S": "a"},
        "data": {"M": data},
        "createdAt": {"S": "2025-01-07T12:30:00.000Z"},
        "updatedAt": {"S": "2025-01-07T12:30:00.000Z"},
    }


GOAL = {"name": {"S": "x"}, "targetAmount": {"N": "1"}}
PLAN = {"name": {"S": "x"}, "currentAge": {"N": "30"}, "retirementAge": {"N": "67"}}


def goal_of(**data: Any) -> dict[str, Any]:
    return item_of("savings-goal", **GOAL | data)


def plan_of(**data: Any) -> dict[str, Any]:
    return item_of("retirement-plan", **PLAN | data)


@pytest.mark.parametrize("number", NO_NUMBERS, ids=short)
@pytest.mark.parametrize(
    ("item", "path"),
    [
        (
            lambda form: goal_of(targetAmount=form),
            "data.targetAmount",
        ),
        (lambda form: plan_of(currentAge=form), "data.currentAge"),
        (lambda form: goal_of(extra={"L": [form]}), "data.extra[0]"),
        (lambda form: item_of("note", x={"M": {"deep": form}}), "data.x.deep"),
        (lambda form: goal_of() | {"more": form}, "more"),
    ],
)
def test_a_stored_number_that_is_none_is_malformed(item: Any, path: str, number: str) -> None:
    """A number that DynamoDB cannot hold makes the record malformed, with its path, at once."""
    classes = {"savings-goal": SavingsGoal, "retirement-plan": RetirementPlan}
    stored = item({"N": number})
    record_class = classes.get(stored["dataType"]["S"], UnknownRecord)

    def attempt() -> None:
        record = record_class.from_raw_data(stored)
        assert record.malformed
        assert [problem.split()[0] for problem in record.problems] == [path]
        for touch in ("data", "extra_data"):
            with pytest.raises(CorruptItemError) as caught:
                getattr(record, touch)
            assert caught.value.path == path
        with pytest.raises(InvalidRecordError):
            read_item(stored)

    assert memory_of(attempt) <= 40 * len(number) + 10 * OVERHEAD


def test_good_numbers_at_the_edges_are_exact() -> None:
    """What DynamoDB does hold is read with all its digits, whatever its notation."""
    for text in ("9" * 38, "9" * 38 + "0" * 88, "0." + "0" * 129 + "1", "1E-130", "9.99e125", "-0"):
        record = SavingsGoal.from_raw_data(goal_of(targetAmount={"N": text}))
        assert not record.malformed
        assert record.data.target_amount == parse_number(text)
    whole = RetirementPlan.from_raw_data(plan_of(currentAge={"N": "3E1"}))
    assert whole.data.current_age == 30


HUGE = [10**1_000_000, -(10**1_000_000), "1e999999", "1e" + "9" * 20]


@pytest.mark.parametrize("number", HUGE, ids=short)
def test_given_numbers_without_bounds_are_refused_at_once(number: Any) -> None:
    """A number that no item can hold is refused with its path, however it is given."""
    user = simulated_store(SimulatedTable()).user("u")
    plan = {"name": "x", "currentAge": number, "retirementAge": 67}

    def attempt() -> None:
        for give in (
            lambda: user.add(RetirementPlanData(name="x", current_age=number, retirement_age=1)),
            lambda: user.add(SavingsGoalData(name="x", target_amount=number)),
            lambda: user.add("savings-goal", {"name": "x", "targetAmount": number}),
            lambda: user.add("retirement-plan", plan),
        ):
            with pytest.raises(InvalidRecordError) as caught:
                give()
            assert str(caught.value.path).startswith("data.")
            assert len(str(caught.value)) < 300

    assert memory_of(attempt) <= 10 * OVERHEAD


# --- cursors --------------------------------------------------------------------------------------


@pytest.fixture
def user() -> Any:
    user = simulated_store(SimulatedTable()).user("u")
    with user.unit_of_work() as work:
        for number in range(3):
            payload = TransactionData(date="2025-01-07", amount=number)
            work.add(payload, record_id=f"{number}é\x00#" + "x" * 1000)
    return user


def cursor_of(content: bytes, *, form: bytes = b"cursor 2 ") -> str:
    """A cursor whose checksum holds, whatever is in it; `form` is what its layout adds to that."""
    check = sha256(form + content).digest()[:6]
    return urlsafe_b64encode(check + content).decode().rstrip("=")


def test_a_cursor_goes_on_after_any_key(user: Any) -> None:
    """Pages follow each other by their cursors, whatever the keys are made of."""
    cursor, seen = None, []
    while True:
        page = user.page("transaction", limit=1, cursor=cursor)
        seen += [record.record_id for record in page.records]
        cursor = page.cursor
        if cursor is None:
            break
        assert cursor.isascii()
        assert len(cursor) < 1_500
    assert len(set(seen)) == 3


DEEP = json.dumps("x").encode() + b"[" * 6_000
RUBBISH = ["", "x", "é", "[" * MEGABYTE, "A" * MEGABYTE, b"AAAA", 5, None.__class__, ["a"]]


@pytest.mark.parametrize(
    "cursor", [*RUBBISH, cursor_of(DEEP), cursor_of(b""), cursor_of(b"[[[[" * 100)]
)
def test_rubbish_is_no_cursor(user: Any, cursor: Any) -> None:
    """Anything that is no cursor is an InvalidKeyError before anything of it is parsed."""

    def attempt() -> None:
        with pytest.raises((InvalidKeyError, IsolationError)):
            user.page("transaction", cursor=cursor)

    assert memory_of(attempt) <= OVERHEAD


def test_a_cursor_of_an_earlier_form_is_no_cursor(user: Any) -> None:
    """A cursor that earlier code made is rubbish, and no other user's."""
    content = b'["0123456789abcdef","transaction index eventual","transaction#a"]'
    with pytest.raises(InvalidKeyError):
        user.page("transaction", cursor=cursor_of(content, form=b""))


def test_a_cursor_of_another_is_refused(user: Any) -> None:
    """Another user's cursor is an IsolationError, another query's an InvalidKeyError."""
    cursor = user.page("transaction", limit=1).cursor
    other = simulated_store(SimulatedTable()).user("v")
    with pytest.raises(IsolationError):
        other.page("transaction", cursor=cursor)
    for data_type, consistent in [("budget", False), ("transaction", True), (None, False)]:
        with pytest.raises(InvalidKeyError):
            user.page(data_type, cursor=cursor, consistent=consistent)
    for place in range(0, len(cursor), 50):
        wrong = "A" if cursor[place] != "A" else "B"
        with pytest.raises(InvalidKeyError):
            user.page("transaction", cursor=cursor[:place] + wrong + cursor[place + 1 :])


# --- items of callers -----------------------------------------------------------------------------

ODD_FORMS: list[Any] = [
    *(None, 5, "x", [], {}, {"X": 1}, {"S": "a", "N": "1"}),
    *({tag: content} for tag in ("S", "N", "B", "BOOL", "NULL") for content in (5, None, ["a"])),
    *(
        {tag: content}
        for tag in ("SS", "NS", "BS", "M", "L")
        for content in (5, "x", [5], {"a": 5})
    ),
    *({"B": "%%%"}, {"BS": ["%"]}, {"M": {5: {"S": "a"}}}, {"L": [{"S": "a", "N": "1"}]}),
]


@pytest.mark.parametrize("odd", ODD_FORMS, ids=repr)
def test_what_is_not_in_dynamodbs_json_is_refused_at_the_door(odd: Any) -> None:
    """A value that is none is an InvalidRecordError with its path, wherever it is in an item."""
    goal = item_of("savings-goal", **GOAL)
    places = [
        (lambda: goal | {"extra": odd}, "extra"),
        (lambda: goal | {"ttl": odd}, "ttl"),
        (lambda: item_of("savings-goal", **GOAL, note=odd), "data.note"),
        (lambda: item_of("note", x={"L": [{"S": "a"}, {"M": {"y": odd}}]}), "data.x[1].y"),
    ]
    record = SavingsGoal("u")
    for place, path in places:
        for read in (read_item, SavingsGoal.from_raw_data, record.from_dynamodb_dict):
            with pytest.raises(InvalidRecordError) as caught:
                read(place())
            assert str(caught.value.path).startswith(path)
