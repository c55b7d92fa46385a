"""Reading: whole or an error, one user's only, in few requests, whatever the pages look like."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import EXPIRED, USER, goal_item, item, requests, user_of
from shells import store_on
from stored import ids

from thrivecalc_models import (
    Budget,
    CorruptItemError,
    InvalidKeyError,
    InvalidRecordError,
    IsolationError,
    SavingsGoal,
)
from thrivecalc_models.operations import Emit, Query, Received, Send
from thrivecalc_models.protocol import RetryPolicy, read_pages
from thrivecalc_models.testing import SimulatedTable
from thrivecalc_models.wire.json_text import decode, encode

pytestmark = pytest.mark.usefixtures("shell")


def test_250_keys_with_duplicates_are_three_batches(table, user):
    """A key asked for twice is sent once; at most 100 keys go in a request."""
    for number in range(200):
        table.put(goal_item(str(number)))
    wanted = [(SavingsGoal, str(number)) for number in range(250)]
    for reader in (user, user.unit_of_work()):
        sent = table.sent()
        found = reader.get_many([*wanted, *reversed(wanted), *wanted])
        batches = requests(table, sent)
        assert [name for name, _ in batches] == ["BatchGetItem"] * 3
        assert [len(keys) for _, keys in batches] == [100, 100, 50]
        assert len({key for _, keys in batches for key in keys}) == 250
        assert len(found) == 750
        assert ids(found[:200]) == [str(number) for number in range(200)]
        assert found[200:250] == [None] * 50
        assert found[250:500] == found[:250][::-1]
        assert found[500:] == found[:250]


def test_a_unit_reads_consistently_and_a_user_does_not(table, user):
    """Units of work read what was written last; single reads take the cheaper way unless asked."""
    for reader, consistent in ((user, False), (user.unit_of_work(), True)):
        reader.get(SavingsGoal, "g")
        assert table.log[-1].request["ConsistentRead"] is consistent
        reader.get_many([(SavingsGoal, "g")])
        ((_, keys),) = table.log[-1].request["RequestItems"].items()
        assert keys["ConsistentRead"] is consistent
        reader.list(SavingsGoal)
        assert table.log[-1].request.get("ConsistentRead", False) is consistent
        assert ("IndexName" in table.log[-1].request) is not consistent


def test_no_keys_are_no_request(table, user):
    """Asking for nothing, or only for what the unit has, sends nothing."""
    assert user.get_many([]) == user.unit_of_work().get_many([]) == []
    assert table.sent() == 0


KEYS = st.lists(st.integers(0, 299), max_size=400)


@given(keys=KEYS, page_bytes=st.sampled_from([1, 400, 5_000, 1 << 20]))
def test_get_many_is_many_gets(keys, page_bytes):
    """get_many answers in the order asked for, however partial the replies."""
    table = SimulatedTable(page_bytes=page_bytes)
    for number in range(0, 300, 2):
        table.put(goal_item(str(number)))
    found = user_of(table).get_many([(SavingsGoal, str(number)) for number in keys])
    assert [record and record.record_id for record in found] == [
        str(number) if number % 2 == 0 else None for number in keys
    ]
    if page_bytes == 1 << 20:
        assert table.sent() == -(-len(set(keys)) // 100)


STORED = st.lists(
    st.tuples(st.sampled_from(["savings-goal", "budget", "note"]), st.text(max_size=3)),
    max_size=20,
    unique=True,
).map(lambda pairs: [(kind, record_id) for kind, record_id in pairs if fits(record_id)])


def fits(record_id):
    return bool(record_id) and not any("\ud800" <= letter <= "\udfff" for letter in record_id)


@given(
    stored=STORED,
    expired=st.sets(st.integers(0, 19)),
    page_bytes=st.sampled_from([1, 100, 300, 1000, 1 << 20]),
    limit=st.integers(1, 7),
    data_type=st.sampled_from([None, "savings-goal", SavingsGoal, "note"]),
    consistent=st.booleans(),
    include_expired=st.booleans(),
)
def test_pages_put_together_are_the_list(
    stored, expired, page_bytes, limit, data_type, consistent, include_expired
):
    """Pages, iteration, lists and units give the same records, whatever the size of the pages."""
    table = SimulatedTable(page_bytes=page_bytes)
    for number, (kind, record_id) in enumerate(stored):
        data = {"name": {"S": "n" * 50}}
        ttl = {"ttl": EXPIRED} if number in expired else {}
        table.put(item(kind, record_id, data, **ttl))
    user = user_of(table)
    how = {"consistent": consistent, "include_expired": include_expired}
    listed = user.list_all(**how) if data_type is None else user.list(data_type, **how)
    text = "savings-goal" if data_type is SavingsGoal else data_type
    expected = sorted(
        f"{kind}#{record_id}".encode()
        for number, (kind, record_id) in enumerate(stored)
        if text in (None, kind) and (include_expired or number not in expired)
    )
    keys = [record.record_key.encode() for record in listed]
    assert keys == expected

    paged, cursor = [], None
    while True:
        sent = table.sent()
        page = user.page(data_type, limit=limit, cursor=cursor, **how)
        assert table.sent() == sent + 1
        assert len(page.records) <= limit
        paged += page.records
        cursor = page.cursor
        if cursor is None:
            break
        assert cursor.isascii()
        assert cursor.replace("-", "").replace("_", "").isalnum()
        assert USER not in cursor
    iterated = list(user.iterate(data_type, **how))
    for records in (paged, iterated):
        assert sorted(record.record_key.encode() for record in records) == expected
    if data_type is None or consistent:
        assert [record.record_key.encode() for record in paged] == expected
    work = user.unit_of_work(**how)
    in_unit = work.list_all() if data_type is None else work.list(data_type)
    assert [record.record_key.encode() for record in in_unit] == expected


def test_an_empty_page_is_not_the_end(table, user):
    """A page may have no record while a cursor remains, since expired ones are left out."""
    for name in "abc":
        table.put(goal_item(name, ttl=EXPIRED))
    table.put(goal_item("d"))
    first = user.page(SavingsGoal, limit=1, consistent=True)
    assert first.records == []
    assert first.cursor is not None
    assert ids(user.list(SavingsGoal)) == ids(user.iterate(SavingsGoal)) == ["d"]


def test_iteration_reads_a_page_when_it_is_needed(table, user):
    """The next page is asked for only when the records before it are used up."""
    table.page_bytes = 1
    for name in "abc":
        table.put(goal_item(name))
    records = user.iterate(SavingsGoal)
    assert table.sent() == 0
    next(records)
    assert table.sent() == 1


def test_all_pages_but_the_first_may_be_read_ahead(table):
    """Behind each page that is not the last, the next one may be asked for before it is wanted."""
    table.page_bytes = 1
    for name in "abc":
        table.put(goal_item(name))
    emitted = []
    protocol = read_pages(Query(user_id=USER), RetryPolicy(), random.Random(0))
    effect = next(protocol)
    with suppress(StopIteration):
        while True:
            results = ()
            if isinstance(effect, Emit):
                emitted.append((bool(effect.value.after), effect.ahead))
                effect = next(protocol)
                continue
            if isinstance(effect, Send):
                results = tuple(
                    table.answer(one.name, one.request(table.table_name))
                    for one in effect.operations
                )
            effect = protocol.send(Received(results, at=0.0))
    assert emitted[:3] == [(True, True)] * 3
    assert emitted[-1] == (False, False)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "10", None])
def test_a_limit_is_a_whole_number_of_records(table, user, limit):
    """A limit that is no whole number from 1 is refused before anything is sent."""
    with pytest.raises(InvalidRecordError):
        user.page(SavingsGoal, limit=limit)
    assert table.sent() == 0


# --- cursors --------------------------------------------------------------------------------------


@pytest.fixture
def cursor(table, user):
    for name in "abc":
        table.put(goal_item(name))
    return user.page(SavingsGoal, limit=1).cursor


def test_a_cursor_of_another_user_is_refused(table, cursor):
    """A cursor does not lead into another user's records."""
    sent = table.sent()
    with pytest.raises(IsolationError) as refused:
        user_of(table, "another").page(SavingsGoal, cursor=cursor)
    assert USER not in str(refused.value)
    assert table.sent() == sent


@pytest.mark.parametrize(
    "other", [{"data_type": Budget}, {"data_type": None}, {"consistent": True}], ids=str
)
def test_a_cursor_of_another_query_is_refused(table, user, cursor, other):
    """A cursor goes on only with the type and consistency that it came from."""
    sent = table.sent()
    with pytest.raises(InvalidKeyError) as refused:
        user.page(**({"data_type": SavingsGoal, "cursor": cursor} | other))
    assert refused.value.path == "cursor"
    assert table.sent() == sent


def test_a_cursor_goes_on_by_type_name_and_any_limit(table, user, cursor):
    """The same query, however its type is spelled and whatever its limit, takes the cursor."""
    assert len(user.page("savings-goal", limit=50, cursor=cursor).records) == 2
    assert user.page("savings-goal", include_expired=True, cursor=cursor).cursor is None


@given(rubbish=st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_rubbish_is_no_cursor(rubbish):
    """Whatever is passed as a cursor and is none is an InvalidKeyError, not a crash or a page."""
    table = SimulatedTable()
    with pytest.raises(InvalidKeyError):
        user_of(table).page(SavingsGoal, cursor=rubbish)
    assert table.sent() == 0


@given(data=st.data())
def test_a_damaged_cursor_is_no_cursor(data):
    """A cursor in which any letter was changed is refused."""
    table = SimulatedTable()
    for name in "ab":
        table.put(goal_item(name))
    user = user_of(table)
    cursor = user.page(SavingsGoal, limit=1).cursor
    place = data.draw(st.integers(0, len(cursor) - 2))
    letter = data.draw(st.sampled_from("Ab9-_").filter(lambda each: each != cursor[place]))
    with pytest.raises(InvalidKeyError):
        user.page(SavingsGoal, cursor=cursor[:place] + letter + cursor[place + 1 :])


# --- order ----------------------------------------------------------------------------------------


def test_order_by_stamps(table, user):
    """Lists come in the order of created_at or updated_at, either way; what has none comes last."""
    stamps = {"a": "2025-01-03", "b": "2025-01-01", "c": "2025-01-02"}
    for name, day in stamps.items():
        table.put(goal_item(name, createdAt={"S": f"{day}T00:00:00.000Z"}))
    table.put(goal_item("d", createdAt={"S": "long ago"}))
    assert ids(user.list(SavingsGoal)) == ["a", "b", "c", "d"]
    assert ids(user.list(SavingsGoal, order_by="created_at")) == ["b", "c", "a", "d"]
    assert ids(user.list_all(order_by="-created_at")) == ["a", "c", "b", "d"]
    assert ids(user.list(SavingsGoal, order_by="-updated_at")) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("order_by", ["name", "updatedAt", "+created_at", "--created_at", "", 1])
def test_other_orders_are_refused(table, user, order_by):
    """Only the stamps order a list; anything else is refused before anything is read."""
    with pytest.raises(InvalidRecordError, match="order_by"):
        user.list(SavingsGoal, order_by=order_by)
    assert table.sent() == 0


# --- what must not come back ----------------------------------------------------------------------


class Mixed:
    """A transport whose replies have something of another user in them."""

    name = "mixed"

    def __init__(self, table, **swapped):
        self.table, self.swapped = table, swapped

    def send(self, operation, body):
        result = self.table.answer(operation, decode(body))
        for found in self._items(result.body):
            found.update(self.swapped)
        return encode(result.body)

    def _items(self, body):
        if "Item" in body:
            return [body["Item"]]
        return [
            *body.get("Items", ()),
            *(each for one in body.get("Responses", {}).values() for each in one),
        ]

    def close(self):
        pass

    def __getattr__(self, name):
        return getattr(self.table, name)


@pytest.mark.parametrize(
    "swapped", [{"userId": {"S": "another"}}, {"recordKey": {"S": "budget#x"}}]
)
@pytest.mark.parametrize("in_unit", [True, False])
def test_another_users_item_never_comes_through(table, swapped, in_unit):
    """An item with another key than was asked for is an error on every way of reading."""
    table.put(goal_item("g"))
    user = store_on(Mixed(table, **swapped)).user(USER)
    reader = user.unit_of_work() if in_unit else user
    calls = [
        lambda: reader.get(SavingsGoal, "g"),
        lambda: reader.get_many([(SavingsGoal, "g")]),
    ]
    if "userId" in swapped:
        calls += [lambda: reader.list(SavingsGoal), lambda: reader.list_all()]
        if not in_unit:
            calls += [lambda: user.page(SavingsGoal), lambda: list(user.iterate())]
    for call in calls:
        with pytest.raises(CorruptItemError) as refused:
            call()
        assert "another" not in str(refused.value).replace("another userId", "").replace(
            "another recordKey", ""
        )
