"""What a user costs is reckoned exactly, and what is measured does not depend on how it is read."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrivecalc_models import ConfigurationError
from thrivecalc_models.infra import (
    GUIDE,
    PRICE_LISTS,
    Sample,
    Usage,
    estimate,
    operation_costs,
    read_price,
    read_prices,
)
from thrivecalc_models.wire import item_size

ITS_USER = Usage(reads=Decimal(3000), writes=Decimal(300), bytes=Decimal(10_240))


def test_the_guides_example():
    """3,000 reads, 300 writes and 10 KB cost less than 0.002 USD, and with the index too."""
    found = estimate(ITS_USER, GUIDE)
    assert found.reads == Decimal("0.00075")
    assert found.writes == Decimal("0.000375")
    assert found.storage == Decimal(10_240) / 2**30 / 4
    assert found.simple == Decimal("0.001127384185791015625") < Decimal("0.002")
    assert found.index_writes == found.writes
    assert found.simple + found.index == Decimal("0.00150476837158203125") < Decimal("0.002")


def test_what_else_it_takes():
    """The index doubles writes and storage, atomic units double writes, batches change nothing."""
    found = estimate(ITS_USER, GUIDE)
    assert found.index == found.writes + found.storage
    assert found.if_eventually_consistent == -found.reads / 2
    assert found.if_atomic == 2 * found.writes
    assert found.if_batched == 0
    assert found.total == found.simple + found.index + found.recovery


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**15))
def test_nothing_is_rounded_on_the_way(reads, writes, size):
    """A thousand users cost exactly a thousand times as much, and no part is lost."""
    usage = Usage(reads=Decimal(reads), writes=Decimal(writes), bytes=Decimal(size))
    one = estimate(usage, GUIDE)
    more = {
        name: 1000 * value for name, value in attrs.asdict(usage).items() if "units" not in name
    }
    thousand = estimate(Usage(**more), GUIDE)
    for name in attrs.fields_dict(type(one)):
        assert getattr(thousand, name) == 1000 * getattr(one, name)


def test_a_million_of_each_operation():
    """Half a unit a read, two a write with its index, twice that in a transaction."""
    by_name = {(each.operation, each.what): each for each in operation_costs(GUIDE)}
    assert by_name["GetItem", "a record"].units == Decimal("0.5")
    assert by_name["GetItem", "a record, consistent"].usd_million == Decimal("0.25")
    assert by_name["PutItem", "a record"].units == 2
    assert by_name["PutItem", "a record"].of_index == 1
    assert by_name["TransactWriteItems", "2 records"].usd_million == Decimal("10")
    assert not any(each.operation == "Query" for each in operation_costs(GUIDE))


def test_the_prices_are_dated():
    """Every list has its day, the latest is the last, and the guide's is among them."""
    days = [prices.since for prices in PRICE_LISTS]
    assert days == sorted(set(days))
    assert GUIDE in PRICE_LISTS
    assert (GUIDE.read_million, GUIDE.write_million) == (Decimal("0.25"), Decimal("1.25"))


# --- price files ----------------------------------------------------------------------------------

FILE = {
    "since": "2030-01-01",
    "region": "eu-west-1",
    "read_million": 0.1234567890123456789,
    "write_million": "1.5",
    "storage_gb_month": 1,
    "recovery_gb_month": 0,
}


def test_a_price_file():
    """Prices are read exactly as they are written, as numbers or as text."""
    text = json.dumps(FILE).replace("0.12345678901234568", "0.1234567890123456789")
    prices = read_prices(text)
    assert prices.read_million == Decimal("0.1234567890123456789")
    assert prices.write_million == Decimal("1.5")
    assert (prices.storage_gb_month, prices.recovery_gb_month) == (1, 0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"read_million": None}, "read_million"),
        ({"read_million": True}, "read_million"),
        ({"read_million": [1]}, "read_million"),
        ({"read_million": "NaN"}, "read_million"),
        ({"read_million": "sNaN"}, "read_million"),
        ({"read_million": "Infinity"}, "read_million"),
        ({"write_million": -1}, "write_million"),
        ({"write_million": "1e9"}, "write_million"),
        ({"write_million": "0." + "1" * 5000}, "write_million"),
        ({"storage_gb_month": ""}, "storage_gb_month"),
        ({"since": "yesterday"}, "since"),
        ({"since": 2030}, "since"),
        ({"region": "eu west"}, "region"),
        ({"more": 1}, "names"),
    ],
    ids=str,
)
def test_a_wrong_price_file(change, named):
    """What is wrong is named; the value is not shown."""
    with pytest.raises(ConfigurationError, match=named) as caught:
        read_prices(json.dumps({**FILE, **change}))
    assert "1111" not in str(caught.value)


@pytest.mark.parametrize("name", list(FILE))
def test_an_incomplete_price_file(name):
    """A price that is missing is named: no estimate mixes lists unnoticed."""
    rest = {each: value for each, value in FILE.items() if each != name}
    with pytest.raises(ConfigurationError, match=f"lacks {name};"):
        read_prices(json.dumps(rest))


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{", '{"since": NaN}', "[" * 100_000, "1" * 5000, "null"], ids=len
)
def test_no_price_file(text):
    """Anything but a JSON object is refused as such."""
    with pytest.raises(ConfigurationError, match="not a JSON object"):
        read_prices(text)


@given(st.text() | st.floats() | st.none() | st.decimals())
def test_any_price(value):
    """A price is a number from 0 to a million, or refused; nothing else happens."""
    try:
        price = read_price(value, "it")
    except ConfigurationError:
        return
    assert 0 <= price <= 1_000_000


# --- samples --------------------------------------------------------------------------------------


def item(user, name, text, data_type=...):
    stored = {"userId": {"S": user}, "recordKey": {"S": name}, "data": {"S": text}}
    if data_type is not ...:
        stored["dataType"] = data_type
    return stored


USERS = st.dictionaries(
    st.text("abc", min_size=1),
    st.lists(
        st.tuples(
            st.sampled_from(["a#1", "b#2", "nothing"]),
            st.integers(0, 9000),
            st.sampled_from([..., {"S": "a"}, {"N": "5"}]),
        ),
        min_size=1,
        max_size=5,
    ),
    max_size=5,
)


@given(USERS, st.data())
def test_pages_do_not_matter(users, data):
    """However a scan is cut into pages, what is measured is the same, and it is all there."""
    items = [
        item(user, key, "x" * size, data_type)
        for user, rows in users.items()
        for key, size, data_type in rows
    ]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(items)))))
    sample = Sample()
    for start, end in zip([0, *cuts], [*cuts, len(items)], strict=True):
        sample.add(items[start:end])
    sample.end(complete=True)

    assert sample.all.items == len(items)
    assert sample.all.users == len(users)
    assert sample.all.bytes == sum(map(item_size, items))
    assert sample.all.stored == sample.all.bytes + 100 * len(items)
    types = Counter(
        {"a": "a", "b": "b"}.get(each["recordKey"]["S"][0], "(none)")
        if each.get("dataType", {}).get("S") is None
        else "a"
        for each in items
    )
    assert {name: counted.items for name, counted in sample.types} == types
    for counted in (sample.all, *sample.by_type.values()):
        assert counted.items <= counted.write_units
        assert counted.users <= counted.together <= counted.read_units
    for total in ("items", "bytes", "read_units", "write_units"):
        parts = sum(getattr(each, total) for each in sample.by_type.values())
        assert getattr(sample.all, total) == parts


def test_a_user_that_may_be_cut_is_left_out():
    """The last user of an incomplete scan does not make the others look smaller."""
    sample = Sample()
    sample.add([item("a", "a#1", "x"), item("a", "a#2", "x"), item("b", "a#1", "x")])
    sample.end(complete=False)
    assert (sample.all.users, sample.all.items) == (1, 2)


def test_a_single_user_counts():
    """Where there is only one user, what was read of it is better than nothing."""
    sample = Sample()
    sample.add([item("a", "a#1", "x")])
    sample.end(complete=False)
    assert (sample.all.users, sample.all.items) == (1, 1)


def test_units_of_items():
    """Units are rounded up for each item; those of a user's items together are fewer."""
    sample = Sample()
    sample.add([item("a", f"a#{number}", "x" * 1_500) for number in range(4)])
    sample.end(complete=True)
    assert (sample.all.read_units, sample.all.write_units, sample.all.together) == (4, 8, 2)
