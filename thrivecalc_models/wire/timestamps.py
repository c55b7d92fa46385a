"""Timestamps, times to live and dates, as JavaScript writes them and as other programs left them.

Writing is exact and refuses what cannot be written. Reading never raises; it returns None for what
it cannot read. Digits are ASCII only.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.table import TTL, UPDATED_AT
from thrivecalc_models.value import internal
from thrivecalc_models.wire.numbers import parse_number

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TTL: Final = 253_402_300_799  # 9999-12-31T23:59:59Z

_LAST_STAMP = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
_LONGEST_LIFETIME = timedelta(days=365 * 5000)
_MILLISECOND = timedelta(milliseconds=1)
# Few texts get as far as these, so they are compiled by the first that does.
_DATE_TIME = (
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]"
    r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?: ?(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?))?"
)
_LOOSE_DATE = r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"


def format_timestamp(moment: datetime, *, path: str | None = None) -> str:
    """Print a moment as JavaScript's `toISOString()` does, rounded down to the millisecond.

    Raises InvalidRecordError for a naive datetime, and for one whose UTC year is not 1 to 9999.
    Source: "Date Time String Format", ECMAScript Language Specification.
    """
    utc = _in_utc(moment, path=path)
    return utc.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_timestamp(text: object) -> datetime | None:
    """Read an ISO date-time with an offset or `Z` as a moment in UTC; None for all else.

    Seconds, fractions and the colon of the offset may be absent, and a space may replace the `T`.
    Digits beyond the microsecond are cut off. A date-time without offset gives None. So does a text
    that JavaScript's `Date.parse` refuses or reads as another moment.
    """
    if not isinstance(text, str):
        return None
    if len(text) == 24 and text[10] == "T" and text[19] == "." and text[23] == "Z":
        canonical = _parse_canonical(text)
        if canonical is not None:
            return canonical
    match = re.fullmatch(_DATE_TIME, text)
    if match is None or not _is_javascripts(text, match):
        return None
    moment = _moment(match)
    return None if moment is None or moment.tzinfo is None else _shifted_to_utc(moment)


def floor_ms(moment: datetime) -> datetime:
    """Return the moment in UTC, rounded down to the millisecond, as fine as the table keeps it.

    Raises InvalidRecordError for a naive datetime.
    """
    utc = _in_utc(moment, path=None)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


MAX_SKIP = 16
"""The most milliseconds that a stamp is later than a replaced one that is ahead of the clock."""


@internal
class WriteTime:
    """When a write is made: the clock, and a random number of milliseconds from 1 to MAX_SKIP.

    The random part is for a record whose stamp is not earlier than the clock. Two writers who read
    the same record would otherwise give the same stamp, and each would take the other's write for
    its own.
    """

    now: datetime
    skip: int


def next_stamp(at: WriteTime, loaded: datetime | None) -> datetime:
    """Return the stamp of a write: now, or the replaced stamp plus the skip if that is later.

    Raises InvalidRecordError if the replaced stamp is the last moment of the year 9999.
    """
    stamp = floor_ms(at.now)
    if loaded is None:
        return stamp
    previous = floor_ms(loaded)
    if stamp > previous:
        return stamp
    if previous >= _LAST_STAMP:
        raise InvalidRecordError(
            f"{UPDATED_AT} as stored is the last moment of the year 9999, nothing can follow it;"
            " write the record without its lock, or repair the stored stamp",
            path=UPDATED_AT,
        )
    return previous + min(at.skip * _MILLISECOND, _LAST_STAMP - previous)


def format_ttl(moment: datetime) -> str:
    """Print a time to live as whole Unix seconds, fractions rounded up.

    Raises InvalidRecordError for a naive datetime and for a time outside 1970 to 9999. Source:
    "Using time to live (TTL) in DynamoDB", Amazon DynamoDB Developer Guide.
    """
    if moment.utcoffset() is None:
        raise _naive(TTL)
    since = moment - EPOCH
    seconds = since.days * 86_400 + since.seconds + (1 if since.microseconds else 0)
    if moment < EPOCH or seconds > MAX_TTL:
        raise InvalidRecordError(
            f"{TTL} lies outside the years 1970 to 9999; give a moment in between, or None for a"
            " record that stays",
            path=TTL,
        )
    return str(seconds)


def later(now: datetime, wait: timedelta, *, path: str) -> datetime:
    """Return the moment after a wait. Raises InvalidRecordError if no datetime can hold it."""
    try:
        return now + wait
    except OverflowError:
        pass
    raise InvalidRecordError(
        f"{path} lies outside the years 1 to 9999; give a shorter timedelta, or none", path=path
    )


def is_lifetime(value: object) -> bool:
    """Return whether a lifetime is valid: a positive timedelta of at most 5,000 years."""
    return isinstance(value, timedelta) and timedelta(0) < value <= _LONGEST_LIFETIME


def parse_ttl(text: object) -> datetime | None:
    """Read a stored time to live as a moment in UTC, fractions of a second rounded up.

    Return None for text that is not a number or lies outside 1970 to 9999, as milliseconds do.
    """
    if not isinstance(text, str):
        return None
    try:
        number = parse_number(text)
    except ValueError:
        return None
    if not 0 <= number <= MAX_TTL:
        return None
    seconds = int(number)
    return EPOCH + timedelta(seconds=seconds if seconds == number else seconds + 1)


def parse_date(text: object) -> date | None:
    """Read `YYYY-MM-DD`, `YYYY-M-D` or the date of an ISO date-time; None for all else."""
    if not isinstance(text, str):
        return None
    if len(text) == 10 and text[4] == text[7] == "-":
        try:
            return date.fromisoformat(text)
        except ValueError:
            return None
    loose = re.fullmatch(_LOOSE_DATE, text)
    if loose is not None:
        year, month, day = loose.groups()
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            return None
    match = re.fullmatch(_DATE_TIME, text)
    moment = None if match is None else _moment(match)
    return None if moment is None else moment.date()


def _in_utc(moment: datetime, *, path: str | None) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    # astimezone would take a naive datetime for local time.
    if moment.utcoffset() is None:
        raise _naive(path)
    utc = _shifted_to_utc(moment)
    if utc is None:
        raise InvalidRecordError(
            f"{path or 'the datetime'} lies outside the years 1 to 9999 in UTC; give a moment"
            " in between",
            path=path,
        )
    return utc


def _shifted_to_utc(moment: datetime) -> datetime | None:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None


def _naive(path: str | None) -> InvalidRecordError:
    return InvalidRecordError(
        f"{path or 'the datetime'} has no time zone; give an aware one, such as datetime.now(UTC)",
        path=path,
    )


def _parse_canonical(text: str) -> datetime | None:
    # fromisoformat also reads week dates, and from Python 3.14 on the hour 24: neither is meant.
    if not text.isascii() or text[4] != "-" or text[7] != "-" or text[11:13] == "24":
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _is_javascripts(text: str, match: re.Match[str]) -> bool:
    """Return whether `Date.parse` (V8's, as of Node 20) reads the text as this moment."""
    year, fraction, sign, minutes = match[1], match[7] or "", match[9], match[11]
    if "," in text or (fraction.startswith("0") and len(fraction) > 9):
        return False
    if text[10] == " ":  # a form that V8 reads by older rules, with years of two digits
        return int(year) > 99
    return " " not in text and not (sign and minutes is None)


def _moment(match: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second, fraction, zulu, sign, hours, minutes = match.groups()
    zone = None
    if zulu:
        zone = UTC
    elif sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if int(minutes or 0) > 59 or offset >= timedelta(days=1):
            return None
        zone = timezone(-offset if sign == "-" else offset)
    try:
        return datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            int(f"{fraction or ''}000000"[:6]),
            tzinfo=zone,
        )
    except ValueError:
        return None
