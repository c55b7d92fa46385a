"""Timestamps: written as JavaScript writes them, read as others left them."""

import itertools
import json
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.wire import (
    WriteTime,
    floor_ms,
    format_timestamp,
    format_ttl,
    next_stamp,
    parse_date,
    parse_timestamp,
    parse_ttl,
)

FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)

ZONES = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
INSTANTS = st.datetimes(timezones=st.just(UTC))
MOMENTS = st.datetimes(
    min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=ZONES
)
RUBBISH = st.text(max_size=40) | st.from_regex(
    r"[0-9٣-]{4,6}-[0-9]{1,3}-[0-9]{1,3}[T ]?[0-9:.]{0,12}[Zz+-]?[0-9:]{0,6}", fullmatch=True
)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, rounded down: what JavaScript's Date holds."""
    return (moment - EPOCH) // MS


def to_iso_string(millis: int) -> str:
    """ToISOString, from milliseconds alone, by integers alone."""
    days, rest = divmod(millis, 86_400_000)
    day = date.fromordinal(EPOCH.toordinal() + days)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return (
        f"{day.year:04}-{day.month:02}-{day.day:02}"
        f"T{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}Z"
    )


@given(INSTANTS | MOMENTS)
@example(FIRST)
@example(LAST)
@example(EPOCH - timedelta(microseconds=1))
def test_timestamps_are_those_of_to_iso_string(moment):
    """Any instant from year 1 to 9999 is spelled as toISOString spells it, rounded down."""
    assert format_timestamp(moment) == to_iso_string(milliseconds(moment))


def test_timestamps_are_those_of_node():
    """Node's own toISOString agrees, across the years and around their ends."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    span = (LAST - FIRST) // 331
    moments = [FIRST + span * step for step in range(331)]
    moments += [FIRST, LAST, EPOCH, EPOCH - timedelta(microseconds=1), EPOCH + MS]
    script = (
        "const ms = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(ms.map(m => new Date(m).toISOString())))"
    )
    done = subprocess.run(
        [node, "-e", script],
        input=json.dumps([milliseconds(moment) for moment in moments]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [format_timestamp(moment) for moment in moments] == json.loads(done.stdout)


@given(INSTANTS | MOMENTS)
def test_timestamps_come_back(moment):
    """What was written is read as the same moment, rounded down to the millisecond, in UTC."""
    back = parse_timestamp(format_timestamp(moment))
    assert back == floor_ms(moment) == EPOCH + milliseconds(moment) * MS
    assert back.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-01T00:00:00.123Z",
        "2025-01-01T02:00:00.123+02:00",
        "2025-01-01T00:00:00.123000+0000",
        "2025-01-01 00:00:00.123Z",
        "2025-01-01 00:00:00.123 +00",
        "2024-12-31T19:00:00.123-05:00",
        "2025-01-01t00:00:00.123z",
        "2025-01-01T00:00:00.1230000009Z",
    ],
)
def test_timestamps_of_other_programs_are_read(text):
    """Offsets, spaces and other precisions name the same moment."""
    back = parse_timestamp(text)
    assert back == datetime(2025, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)
    assert back.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-01T00:00:00+01",
        "2025-01-01T00:00:00 Z",
        "2025-01-01T00:00:00 +01:00",
        "2025-01-01T00:00:00,123Z",
        "2025-01-01 00:00:00,123Z",
        "0099-01-01 00:00:00Z",
        "2025-01-01T00:00:00.0012222222Z",
    ],
)
def test_what_javascript_does_not_read(text):
    """A text that is no date, or another one, in JavaScript names no moment here either."""
    assert parse_timestamp(text) is None


def test_every_moment_is_that_of_javascript():
    """What is a moment here is the same in JavaScript, of every spelling of date, time and zone."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    years = ("0001", "0050", "0099", "0100", "1969", "2025", "9999")
    times = ("12:30", "23:59:59", "23:59:59.1", "00:00:00.123456", "00:00:00,5")
    times += ("00:00:00.001222222", "00:00:00.0012222222", "00:00:00.123456789012345")
    zones = ("", "Z", "z", "+01:00", "-0130", "+01", " Z", " +01:00", " -0130", " +01", "+23:59")
    texts = [
        f"{year}-{day}{mark}{time}{zone}"
        for year, day, mark, time, zone in itertools.product(
            years, ("02-28", "12-31", "02-29", "04-31"), "Tt ", times, zones
        )
    ]
    done = subprocess.run(
        [
            node,
            "-e",
            "const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
            "console.log(JSON.stringify(texts.map(text => Date.parse(text))))",
        ],
        input=json.dumps(texts),
        env={"TZ": "America/New_York"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    ours = {text: moment for text in texts if (moment := parse_timestamp(text)) is not None}
    theirs = dict(zip(texts, json.loads(done.stdout), strict=True))
    assert len(ours) > 1000
    assert {text: milliseconds(moment) for text, moment in ours.items()} == {
        text: theirs[text] for text in ours
    }


def test_timestamps_need_no_seconds():
    """Seconds and their fraction may be absent."""
    moment = datetime(2025, 1, 1, 12, 30, tzinfo=UTC)
    assert parse_timestamp("2025-01-01T12:30Z") == moment
    assert parse_timestamp("2025-01-01T12:30:00Z") == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-01-01",
        "2025-01-01T00:00:00.000",
        "2025-01-01T24:00:00.000Z",
        "2025-02-29T00:00:00.000Z",
        "2025-W01-1T00:00:00.000Z",
        "2025-01-01T00:00:60.000Z",
        "2025-01-01T00:00:00.000Z ",
        "2025-01-01T00:00:00.000+24:00",
        "2025-01-01T00:00:00.000+01:60",
        "٢٠٢٥-01-01T00:00:00.000Z",
        "2025-01-01T00:00:00.00٣Z",
        "0000-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00.000+01:00",
        "9999-12-31T23:59:59.000-01:00",
        "+002025-01-01T00:00:00.000Z",
        "20250101T000000Z",
        None,
        1735689600,
    ],
)
def test_odd_timestamps_are_none(text):
    """Naive date-times, impossible ones, other forms and other types name no moment."""
    assert parse_timestamp(text) is None


@given(RUBBISH)
def test_reading_never_raises(text):
    """Whatever lies in the table, reading it gives a value or None."""
    moment, day, ttl = parse_timestamp(text), parse_date(text), parse_ttl(text)
    assert moment is None or moment.tzinfo is UTC
    assert day is None or type(day) is date
    assert ttl is None or ttl.tzinfo is UTC


@pytest.mark.parametrize("write", [format_timestamp, format_ttl, floor_ms])
def test_naive_datetimes_are_refused(write):
    """A datetime without a zone is an error, and not taken for local time."""
    with pytest.raises(InvalidRecordError, match="no time zone"):
        write(datetime(2025, 1, 1))


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=2))),
    ],
)
def test_years_beyond_four_digits_are_refused(moment):
    """An instant outside the years 1 to 9999 in UTC is an error, with the path it was given."""
    with pytest.raises(InvalidRecordError) as caught:
        format_timestamp(moment, path="data.seenAt")
    assert caught.value.path == "data.seenAt"
    assert caught.value.__context__ is None


@given(MOMENTS, MOMENTS | st.none(), st.integers(1, 16))
def test_stamps_never_go_back_and_never_repeat(now, loaded, skip):
    """The next stamp is now, or the loaded one and the random part where now is not later."""
    stamp = next_stamp(WriteTime(now, skip), loaded)
    if loaded is None or floor_ms(now) > floor_ms(loaded):
        assert stamp == floor_ms(now)
    else:
        assert stamp == floor_ms(loaded) + skip * MS
    assert stamp.tzinfo is UTC
    assert loaded is None or format_timestamp(stamp) > format_timestamp(loaded)


def test_nothing_follows_the_last_stamp():
    """After the last millisecond of 9999 there is no stamp, and the error names the attribute."""
    assert next_stamp(WriteTime(EPOCH, 1), LAST - MS) == floor_ms(LAST)
    assert next_stamp(WriteTime(EPOCH, 16), LAST - MS) == floor_ms(LAST)
    with pytest.raises(InvalidRecordError) as caught:
        next_stamp(WriteTime(EPOCH, 1), LAST)
    assert caught.value.path == "updatedAt"


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30), timezones=ZONES)
)
def test_ttl_is_rounded_up(moment):
    """A record never expires before its time, and less than a second after it."""
    back = parse_ttl(format_ttl(moment))
    assert timedelta(0) <= back - moment < timedelta(seconds=1)


@pytest.mark.parametrize("moment", [EPOCH - timedelta(microseconds=1), FIRST, LAST])
def test_ttl_outside_its_years_is_refused(moment):
    """A time before 1970, or rounded up past 9999, is no time to live."""
    with pytest.raises(InvalidRecordError) as caught:
        format_ttl(moment)
    assert caught.value.path == "ttl"


def test_ttl_ends():
    """The first and the last second of 1970 to 9999 can be written and read."""
    for moment, text in [(EPOCH, "0"), (LAST.replace(microsecond=0), "253402300799")]:
        assert format_ttl(moment) == text
        assert parse_ttl(text) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1893456000.5", datetime(2030, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("1893456000.0", datetime(2030, 1, 1, tzinfo=UTC)),
        ("1893456E3", datetime(2030, 1, 1, tzinfo=UTC)),
        ("0.00000000000000000000000000000000000001", EPOCH + timedelta(seconds=1)),
        ("1893456000000", None),
        ("253402300799.5", None),
        ("-0.5", None),
        ("soon", None),
        ("NaN", None),
        ("1E999999", None),
        (1893456000, None),
    ],
)
def test_stored_ttl(text, moment):
    """A stored time to live counts in seconds, fractions up; all else is None."""
    assert parse_ttl(text) == moment


@given(st.dates())
def test_dates_are_read(day):
    """A date is read from its ISO form, from one-digit months and days, and from date-times."""
    assert parse_date(day.isoformat()) == day
    assert parse_date(f"{day.year:04}-{day.month}-{day.day}") == day
    assert parse_date(f"{day.isoformat()}T23:59:59.999-11:00") == day
    assert parse_date(f"{day.isoformat()} 00:00") == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2025-02-29",
        "2025-13-1",
        "25-1-7",
        "2025-1-7T00:00:00Z",
        "2025-01-07T",
        "2025-01-07T99:00",
        "2025-W01-1",
        "20250107",
        "2025/01/07",
        "07.01.2025",
        "2025-01-07\n",
        "٢٠٢٥-01-07",
        None,
        20250107,
    ],
)
def test_other_forms_are_no_dates(text):
    """Impossible dates and forms with more than one reading are None."""
    assert parse_date(text) is None
