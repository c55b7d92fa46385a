"""Reading and writing across users: whole or an error, in as few requests as that takes."""

from __future__ import annotations

import tracemalloc
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrivecalc_models import (
    AccessDeniedError,
    DataStore,
    InvalidRecordError,
    TableNotFoundError,
    ThrottledError,
    UnavailableError,
)
from thrivecalc_models.errors import RefusedError
from thrivecalc_models.testing import SimulatedTable, faults, simulated_store
from thrivecalc_models.whole_table import WholeTable

SEGMENTS = 4


def item(user: int, number: int = 0, *, size: int = 20) -> dict:
    return {
        "userId": {"S": f"user-{user}"},
        "recordKey": {"S": f"note#{number}"},
        "dataType": {"S": "note"},
        "recordId": {"S": str(number)},
        "data": {"M": {"text": {"S": "x" * size}}},
    }


def key_of(found):
    return found["userId"]["S"], found["recordKey"]["S"]


def keys_of(pages):
    return [key_of(found) for page in pages for found in page.items]


def filled(*, users: int = 20, each: int = 3, page_bytes: int = 1 << 20, size: int = 20):
    table = SimulatedTable(page_bytes=page_bytes)
    for user in range(users):
        for number in range(each):
            table.put(item(user, number, size=size))
    return table, WholeTable(simulated_store(table))


def scans(table):
    return [entry.request for entry in table.log if entry.operation == "Scan"]


# --- reading the whole table ----------------------------------------------------------------------


@given(
    users=st.integers(0, 12),
    each=st.integers(1, 4),
    segments=st.integers(1, 7),
    page_bytes=st.sampled_from([1, 200, 1000, 1 << 20]),
    limit=st.sampled_from([None, 1, 3]),
)
def test_the_segments_are_the_table(users, each, segments, page_bytes, limit):
    """All segments together have every item once, whatever their number and the size of pages."""
    table, whole = filled(users=users, each=each, page_bytes=page_bytes)
    pages = list(whole.scan(segments=segments, limit=limit))
    assert sorted(keys_of(pages)) == sorted(table.items)
    ended = [page.number for page in pages if page.after is None]
    assert sorted(ended) == list(range(segments))


@given(
    stop=st.integers(0, 30),
    segments=st.integers(1, 5),
    page_bytes=st.sampled_from([1, 300]),
)
def test_a_scan_goes_on_where_it_stopped(stop, segments, page_bytes):
    """What was read before a stop and what is read after it is the table, with nothing twice."""
    table, whole = filled(users=6, each=2, page_bytes=page_bytes)
    after, before = {}, []
    for number, page in enumerate(whole.scan(segments=segments)):
        if number == stop:
            break
        before.append(page)
        after[page.number] = page.after
    behind = list(whole.scan(segments=segments, after=after))
    found = keys_of(before) + keys_of(behind)
    assert sorted(found) == sorted(table.items)


def test_a_finished_scan_sends_nothing():
    """Going on where every segment has ended is no request."""
    table, whole = filled()
    assert list(whole.scan(segments=SEGMENTS, after=dict.fromkeys(range(SEGMENTS)))) == []
    assert table.sent() == 0


def test_the_requests_of_a_scan():
    """One consistent request for each page of each segment, side by side, and their capacity."""
    table, whole = filled(users=8, each=4, page_bytes=400)
    pages = list(whole.scan(segments=SEGMENTS))
    sent = scans(table)
    assert table.sent() == len(sent) == len(pages)
    assert [request["Segment"] for request in sent[:SEGMENTS]] == [0, 1, 2, 3]
    assert all(request["TotalSegments"] == SEGMENTS for request in sent)
    assert all(request["ConsistentRead"] is True for request in sent)
    assert not any("FilterExpression" in request for request in sent)
    told = [entry.result.body["ConsumedCapacity"]["CapacityUnits"] for entry in table.log]
    assert [page.units for page in pages] == told
    assert sum(told) >= len([page for page in pages if page.items])


def test_an_eventually_consistent_scan_costs_half():
    """Consistency is a choice, since it doubles the cost."""
    _, whole = filled(users=1, each=40, size=200)
    ((consistent,), (cheap,)) = (
        [page.units for page in whole.scan(segments=1, consistent=choice)]
        for choice in (True, False)
    )
    assert consistent == 2 * cheap > 0


@given(data=st.data())
def test_trouble_that_passes_is_not_seen(data):
    """Throttled and failing pages are read again, those beside them are not, and all is whole."""
    table, whole = filled(users=8, each=3, page_bytes=300)
    expected = len(list(whole.scan(segments=SEGMENTS)))
    fault = st.sampled_from(
        [faults.Throttle(), faults.ServerError(), faults.LoseReply(applied=False)]
    )
    numbers = st.sets(st.integers(expected + 1, 2 * expected), max_size=6)
    planned = {number: data.draw(fault) for number in data.draw(numbers)}
    table.faults = planned
    pages = list(whole.scan(segments=SEGMENTS))
    assert sorted(keys_of(pages)) == sorted(table.items)
    assert len(pages) == expected
    assert table.sent() == 2 * expected + len(planned)


def test_a_page_that_fails_for_good_names_its_segment():
    """A scan is never short: the pages beside the failing one come first, then the error."""
    table, whole = filled(users=12)
    table.faults = lambda number, operation, request: (
        faults.Throttle() if request["Segment"] == 2 else None
    )
    found = []
    with pytest.raises(ThrottledError, match="Scan of segment 2 of 4 was throttled") as caught:
        found.extend(page.number for page in whole.scan(segments=SEGMENTS))
    assert sorted(found) == [0, 1, 3]
    assert caught.value.operation == "Scan"
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert table.sent() == 3 + 8  # three pages, and eight tries of the fourth


@pytest.mark.parametrize(
    ("fault", "error", "sent"),
    [
        (faults.Denied(), AccessDeniedError, 1),
        (faults.NoTable(), TableNotFoundError, 1),
        (faults.ServerError(), UnavailableError, 8),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_trouble_that_stays_is_an_error(fault, error, sent):
    """What no further try can mend is told at once, and all else after the tries are spent."""
    table, whole = filled()
    table.fail_always(fault, "Scan")
    with pytest.raises(error):
        list(whole.scan(segments=1))
    assert table.sent() == sent


def test_denied_scans_say_who_may():
    """A scan is for operators: the message says where their policy is, and no unit needs it."""
    table, whole = filled()
    table.fail_always(faults.Denied())
    with pytest.raises(AccessDeniedError, match=r"dynamodb:Scan.*--for operator") as caught:
        list(whole.scan())
    assert "units of work" not in str(caught.value)
    assert caught.value.action == "dynamodb:Scan"


@pytest.mark.parametrize("segments", [0, -1, 1_000_001])
def test_a_number_of_segments_that_there_cannot_be(segments):
    """It is refused before anything is sent."""
    table, whole = filled()
    with pytest.raises(InvalidRecordError, match="segments"):
        whole.scan(segments=segments)
    assert table.sent() == 0


class Unlogged(list):
    """The log of a simulated table would keep every page."""

    def append(self, entry):
        pass


def test_memory_is_flat():
    """A scan holds a round of pages, not the table: twenty times the items take no more memory."""

    def peak(items):
        table, whole = filled(users=items // 20, each=20, page_bytes=20_000, size=500)
        table.log = Unlogged()
        pages = whole.scan(segments=2)
        next(pages)
        tracemalloc.start()
        try:
            count = sum(len(page.items) for page in pages)
            return count, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, little = peak(400)
    many, much = peak(8000)
    assert many > 15 * few
    assert much < 1.5 * little


# --- one user, and writing ------------------------------------------------------------------------


def test_the_items_of_one_user():
    """All of one user, page by page, consistently, and nothing of another's."""
    table, whole = filled(users=3, each=5, page_bytes=1)
    pages = list(whole.user_items("user-1"))
    assert [key_of(found) for page in pages for found in page] == [
        ("user-1", f"note#{number}") for number in range(5)
    ]
    assert all(entry.request["ConsistentRead"] for entry in table.log)


def test_put_sends_25_at_a_time():
    """Items of any users go 25 to a request, whole, over what is stored; units are returned."""
    table = SimulatedTable()
    whole = WholeTable(simulated_store(table))
    items = [item(user, number) for user in range(20) for number in range(3)]
    units = whole.put(items)
    batches = [entry.request["RequestItems"][table.table_name] for entry in table.log]
    assert [len(batch) for batch in batches] == [25, 25, 10]
    assert list(table.items.values()) == items
    assert units == sum(
        entry["CapacityUnits"]
        for logged in table.log
        for entry in logged.result.body["ConsumedCapacity"]
    )
    assert whole.put([]) == 0
    assert table.sent() == 3


def test_put_goes_on_until_nothing_is_left():
    """Unprocessed items, lost replies and throttled batches are sent again, only those."""
    table = SimulatedTable()
    whole = WholeTable(simulated_store(table))
    items = [item(user) for user in range(30)]
    table.faults = {
        1: faults.Partial(keep=10),
        2: faults.LoseReply(applied=True),
        3: faults.Throttle(),
    }
    whole.put(items)
    assert sorted(table.items) == sorted(map(key_of, items))
    sizes = [len(entry.request["RequestItems"][table.table_name]) for entry in table.log]
    assert sizes == [25, 5, 20, 20]


def test_the_same_record_key_of_two_users_is_two_items():
    """What is unprocessed is told by user and record key, not by record key alone."""
    table = SimulatedTable()
    whole = WholeTable(simulated_store(table))
    table.faults = {1: faults.Partial(keep=1)}
    whole.put([item(1), item(2)])
    assert sorted(table.items) == [("user-1", "note#0"), ("user-2", "note#0")]
    assert table.sent() == 2


def test_put_says_when_it_cannot():
    """A refused batch and one that stays unprocessed are errors without what was sent."""
    table = SimulatedTable()
    whole = WholeTable(simulated_store(table))
    with pytest.raises(RefusedError) as refused:
        whole.put([item(1), item(1)])
    table.fail_always(faults.Partial(keep=0))
    with pytest.raises(ThrottledError) as throttled:
        whole.put([item(1), item(2)])
    for caught in (refused, throttled):
        assert "user-1" not in str(caught.value)
    assert not table.items


def test_any_call():
    """Any operation goes through the store's retries, and its failure is a public error."""
    table, whole = filled()
    table.fail_next(faults.Throttle())
    body = whole.call("DescribeTable", TableName=table.table_name)
    assert body["Table"]["TableStatus"] == "ACTIVE"
    assert table.sent("DescribeTable") == 2
    with pytest.raises(TableNotFoundError):
        whole.call("DescribeTable", TableName="another")
    table.fail_always(faults.Denied())
    with pytest.raises(AccessDeniedError, match="dynamodb:DescribeTable"):
        whole.call("DescribeTable", TableName=table.table_name)


# --- on the engines -------------------------------------------------------------------------------


@pytest.fixture
def whole(engine):
    name = f"whole-{uuid.uuid4()}"
    with DataStore(table_name=name, endpoint=engine.endpoint) as store:
        store.create_table()
        yield WholeTable(store)


def test_an_engine_is_filled_and_read_whole(whole):
    """Items that are put come back from the segments, each once and as it was, binary too."""
    items = [item(user, number) for user in range(17) for number in range(3)]
    items[0]["data"]["M"]["bin"] = {"B": "AAEC"}
    whole.put(items)
    for segments in (1, 4):
        pages = list(whole.scan(segments=segments))
        found = {key_of(each): each for page in pages for each in page.items}
        assert sum(len(page.items) for page in pages) == len(items)
        assert found == {key_of(each): each for each in items}
        assert {page.number for page in pages} == set(range(segments))


def test_an_engine_is_read_on(whole):
    """A scan in small pages goes on behind the last key of each segment."""
    items = [item(user, number) for user in range(6) for number in range(3)]
    whole.put(items)
    after, found = {}, []
    for page in whole.scan(segments=2, limit=2):
        found += [key_of(each) for each in page.items]
        after[page.number] = page.after
        if len(found) > 5:
            break
    found += keys_of(whole.scan(segments=2, limit=2, after=after))
    assert sorted(found) == sorted(map(key_of, items))


@pytest.mark.not_on("moto", reason="reports constant capacity")
def test_an_engine_tells_its_capacity(whole):
    """A megabyte read consistently is reported as what DynamoDB counts: 4 KB a unit."""
    whole.put(item(user, size=40_000) for user in range(25))
    units = sum(page.units for page in whole.scan(segments=1))
    assert 25 * 40_000 / 4096 < units < 25 * 40_300 / 4096 + 2
