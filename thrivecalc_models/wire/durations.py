"""Times of day, durations and UUIDs as text, in the forms that ISO 8601 and RFC 9562 have."""

from __future__ import annotations

import re
from datetime import time, timedelta
from uuid import UUID

TIME_PATTERN = r"^([01][0-9]|2[0-3]):([0-5][0-9])(:([0-5][0-9])(\.[0-9]+)?)?$"
DURATION_PATTERN = (
    r"^-?P(?=[0-9T])([0-9]+W)?([0-9]+D)?"
    r"(T(?=[0-9])([0-9]+H)?([0-9]+M)?(([0-9]+)(\.[0-9]+)?S)?)?$"
)
UUID_PATTERN = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"

_TIME, _DURATION, _UUID = map(re.compile, (TIME_PATTERN, DURATION_PATTERN, UUID_PATTERN))


def parse_time(text: object) -> time | None:
    """Read `HH:MM`, `HH:MM:SS` or `HH:MM:SS.sss` without a zone; None for all else."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    hour, minute, _, second, fraction = match.groups()
    return time(int(hour), int(minute), int(second or 0), _microseconds(fraction))


def parse_duration(text: object) -> timedelta | None:
    """Read an ISO 8601 duration such as `P1DT2H` or `-PT0.5S`; None for all else.

    Years and months have no fixed length and are not read.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    weeks, days, _, hours, minutes, _, seconds, fraction = match.groups()
    try:
        length = timedelta(
            weeks=_count(weeks),
            days=_count(days),
            hours=_count(hours),
            minutes=_count(minutes),
            seconds=int(seconds or 0),
            microseconds=_microseconds(fraction),
        )
        return -length if match[0].startswith("-") else length
    except (ValueError, OverflowError):  # longer than a timedelta can be
        return None


def _count(part: str | None) -> int:
    return 0 if part is None else int(part[:-1])


def _microseconds(fraction: str | None) -> int:
    return 0 if fraction is None else int(f"{fraction[1:]}000000"[:6])


def format_duration(length: timedelta) -> str:
    """Write a duration as ISO 8601 text with days, hours, minutes and seconds: `P1DT2H0.5S`."""
    sign, length = ("-", -length) if length < timedelta() else ("", length)
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{length.microseconds:06}".rstrip("0") if length.microseconds else ""
    days = f"{length.days}D" if length.days else ""
    clock = f"{hours}H" if hours else ""
    clock += f"{minutes}M" if minutes else ""
    if seconds or fraction or not (days or clock):
        clock += f"{seconds}{fraction}S"
    return f"{sign}P{days}" + (f"T{clock}" if clock else "")


def parse_uuid(text: object) -> UUID | None:
    """Read a UUID with its hyphens, in either case; None for all else."""
    if isinstance(text, str) and _UUID.fullmatch(text):
        return UUID(text)
    return None
