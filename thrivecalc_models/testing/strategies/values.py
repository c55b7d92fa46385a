"""Values of one attribute: as Python has them, and in DynamoDB's JSON."""

from __future__ import annotations

import functools
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from thrivecalc_models.wire import AttributeValue, number_text
from thrivecalc_models.wire.numbers import MAX_SAFE_INTEGER

LEVELS = 3
"""How deep values lie within values, and payloads within payloads of their own class."""

LAST_SECOND = 253_402_300_799
"""The last second of the year 9999, since 1970."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDE = Context(prec=60)  # of which no number here has more digits, so that none is rounded
_LEAST = 1e-130  # DynamoDB holds no number that is nearer to 0


@functools.cache
def texts(*, min_size: int = 0, max_size: int = 20) -> SearchStrategy[str]:
    """Text that UTF-8 can hold: any character but halves of surrogate pairs."""
    return st.text(st.characters(codec="utf-8"), min_size=min_size, max_size=max_size)


@functools.cache
def user_ids() -> SearchStrategy[str]:
    """User ids, mostly such as Google's: `google-oauth2|123456789`."""
    digits = st.text("0123456789", min_size=1, max_size=21)
    return digits.map("google-oauth2|".__add__) | texts(min_size=1)


@functools.cache
def record_ids() -> SearchStrategy[str]:
    """Record ids: UUIDs, and given ones such as `abc123`, `a#b` and any other text."""
    given = st.sampled_from(["abc123", "a#b", "#", "pay-1", "é", "e\u0301"])  # NFC and NFD differ
    return st.uuids(version=4).map(str) | given | texts(min_size=1)


@functools.cache
def names() -> SearchStrategy[str]:
    """Names of attributes: any text but the empty one, reserved words and odd characters too.

    `__proto__` is not among them, since the library refuses it as a new name.
    """
    odd = ["ttl", "data", "name", "a.b", "a[0]", "#n", ":v", "N", "B", "S", "NULL", "$", " "]
    written = texts(min_size=1, max_size=12).filter(lambda name: name != "__proto__")
    return st.sampled_from(odd) | written


def names_except(taken: Collection[str]) -> SearchStrategy[str]:
    """Names of attributes that are none of these."""
    return names().filter(lambda name: name not in taken)


def safe_integers() -> SearchStrategy[int]:
    """Integers that JavaScript's Number holds exactly, up to 2^53 - 1 in magnitude."""
    return st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)


@functools.cache
def amounts() -> SearchStrategy[Decimal]:
    """Decimals that JavaScript's Number holds exactly, up to 2^53 - 1 in magnitude."""
    cents = st.builds(_scaled, st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 15))
    doubles = st.floats(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER).map(
        lambda double: Decimal(repr(double if abs(double) >= _LEAST else 0.0))
    )
    edges = ["0", "-0", "0.00", "1.50", "-1E-130", "1E+3", "9007199254740991", "0.1"]
    return cents | safe_integers().map(Decimal) | doubles | st.sampled_from(edges).map(Decimal)


@functools.cache
def stored_numbers() -> SearchStrategy[Decimal]:
    """Decimals of up to 38 digits, which DynamoDB holds and JavaScript may not."""
    digits = st.integers(1, 38).flatmap(lambda count: st.integers(0, 10**count - 1))
    signed = st.builds(int.__mul__, digits, st.sampled_from([1, -1]))
    wide = st.builds(_scaled, signed, st.integers(-30, 60))
    return amounts() | wide | st.just(Decimal("12345678901234567890.123456789012345678"))


def _scaled(digits: int, places: int) -> Decimal:
    return Decimal(digits).scaleb(-places, _WIDE)


def dates() -> SearchStrategy[date]:
    """Dates of the years 1 to 9999."""
    return st.dates()


@functools.cache
def timestamps() -> SearchStrategy[datetime]:
    """Aware datetimes, in any zone and to the microsecond, whose UTC year is 1 to 9999."""
    zones = st.just(UTC) | st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: timezone(timedelta(minutes=minutes))
    )
    day = timedelta(days=1)  # so that no zone leads out of the years that there are
    moments = st.datetimes(datetime.min + day, datetime.max - day, timezones=st.just(UTC))
    return st.builds(lambda moment, zone: moment.astimezone(zone), moments, zones)


@functools.cache
def times_to_live() -> SearchStrategy[datetime]:
    """Aware datetimes of 1970 to 9999, as `ttl` takes them, in whole seconds."""
    return st.integers(0, LAST_SECOND).map(lambda s: _EPOCH + timedelta(seconds=s))


def plain_values() -> SearchStrategy[Any]:
    """What extras and `Any` hold: None, bool, text, Decimal, bytes, lists, dicts, sets."""
    return _plain_values(LEVELS)


@functools.cache
def _plain_values(levels: int) -> SearchStrategy[Any]:
    # Levels of our own: those of st.recursive() are counted at every draw, and cost half of it.
    scalars: SearchStrategy[Any] = st.one_of(
        st.none(), st.booleans(), texts(), amounts(), st.binary(max_size=20)
    )
    distinct = sets(texts()) | sets(amounts()) | sets(st.binary(max_size=8))
    values = scalars | distinct
    return values | _containers(_plain_values(levels - 1)) if levels else values


def sets(members: SearchStrategy[Any]) -> SearchStrategy[set[Any]]:
    """Sets that DynamoDB can hold, which are not empty."""
    return st.sets(members, min_size=1, max_size=3)


def _containers(members: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.lists(members, max_size=3) | st.dictionaries(names(), members, max_size=3)


# --- in DynamoDB's JSON ---------------------------------------------------------------------------


def stored_values() -> SearchStrategy[AttributeValue]:
    """Any value in DynamoDB's JSON, as other programs may have left it: every type, 38 digits."""
    return _stored_values(LEVELS)


@functools.cache
def _stored_values(levels: int) -> SearchStrategy[AttributeValue]:
    if not levels:
        return SCALARS
    containers = _containers(_stored_values(levels - 1))
    return SCALARS | containers.map(lambda held: {"M" if isinstance(held, dict) else "L": held})


def tagged(tag: str, contents: SearchStrategy[Any]) -> SearchStrategy[AttributeValue]:
    """Attribute values of one type, such as `{"S": "text"}`."""
    return contents.map(lambda content: {tag: content})


def number(value: Decimal) -> str:
    """A number as it is written under `N`."""
    return number_text(value, path="N", js_safe=False)


def base64(content: bytes) -> str:
    """Bytes as they are written under `B`."""
    return b64encode(content).decode()


def set_contents(
    members: SearchStrategy[str], order: Callable[[str], Any] = str
) -> SearchStrategy[list[str]]:
    """Contents of sets, in the order in which a SimulatedTable returns them."""
    return sets(members).map(lambda distinct: sorted(distinct, key=order))


def utc_text(moment: datetime, timespec: str = "milliseconds") -> str:
    """A moment as JavaScript writes it: `2025-01-07T12:30:00.000Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def _offset_texts(moment: datetime) -> SearchStrategy[str]:
    return st.sampled_from(
        [
            moment.isoformat(),
            moment.isoformat(timespec="minutes"),
            moment.isoformat(sep=" ", timespec="milliseconds"),
            utc_text(moment, timespec="seconds"),
        ]
    )


STAMPS = timestamps().map(utc_text)
"""Timestamps as this library writes them."""

OFFSET_STAMPS = (
    timestamps()
    .filter(lambda moment: 99 < moment.year < 9999)  # earlier ones JavaScript does not always read
    .flatmap(_offset_texts)
)
"""Timestamps as other programs write them, which are read as well."""

ODD_DATES = st.one_of(
    dates().map(lambda day: f"{day.year:04}-{day.month}-{day.day}"),
    dates().map(lambda day: f"{day.isoformat()}T23:59:59.000Z"),
    dates().map(lambda day: f"{day.isoformat()}T00:00:00+02:00"),
    dates().map(lambda day: f"{day.isoformat()} 12:30"),
)
"""Dates as other programs write them, which are read as well."""

_NUMBERS = stored_numbers().map(number)
_BINARIES = st.binary(max_size=8).map(base64)

SCALARS: SearchStrategy[AttributeValue] = st.one_of(
    tagged("S", texts()),
    tagged("N", _NUMBERS),
    tagged("BOOL", st.booleans()),
    st.just({"NULL": True}),
    tagged("B", _BINARIES),
    tagged("SS", set_contents(texts())),
    tagged("NS", set_contents(_NUMBERS, Decimal)),
    tagged("BS", set_contents(_BINARIES, b64decode)),
)
"""Attribute values of every type but lists and maps."""
