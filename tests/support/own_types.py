"""Data types of a service's own, for tests: every kind of field, nested and repeated."""

from __future__ import annotations

import enum
import itertools
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID

import attrs

from thrivecalc_models import Amount, OptionalAmount, PayloadAttribute, UserRecord, payload

NEW_TYPES = map("x-new-{}".format, itertools.count())
"""For classes that a test defines: another each, so that it can run twice in a process."""


class Colour(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark blue"
    CRIMSON = "red"


class Pace(enum.StrEnum):
    SLOW = "slow"
    FAST = "=fast"


@payload
class Person:
    name: str
    born: date | None = None
    share: OptionalAmount = None


@payload
class Branch:
    """A payload that contains itself."""

    label: str = ""
    weight: Amount | None = None
    branches: list[Branch] | None = None
    trunk: Branch | None = None


@payload
class EverythingData:
    """One field of every kind, required and optional, and every way to nest them."""

    text: str
    whole: int
    flag: bool
    amount: Amount
    day: date
    moment: datetime
    blob: bytes
    words: list[str]
    marks: set[str]
    limits: dict[str, Amount]
    person: Person
    anything: Any
    maybe_without_default: str | None
    text_or: str | None = None
    whole_or: int | None = None
    flag_or: bool | None = None
    amount_or: OptionalAmount = None
    day_or: date | None = None
    moment_or: datetime | None = None
    blob_or: bytes | None = None
    words_or: list[str] | None = None
    marks_or: set[str] | None = None
    person_or: Person | None = None
    anything_or: Any = None
    label: str = "label"
    number: Amount = 7
    switched_on: bool = True
    days: list[date] = attrs.field(factory=list)
    moments: list[datetime] = attrs.field(factory=list)
    amounts: list[Amount] = attrs.field(factory=list)
    blobs: list[bytes] = attrs.field(factory=list)
    tags: set[str] = attrs.field(factory=set)
    tag_sets: list[set[str]] = attrs.field(factory=list)
    people: list[Person] = attrs.field(factory=list)
    people_or_gaps: list[Person | None] = attrs.field(factory=list)
    by_role: dict[str, Person] = attrs.field(factory=dict)
    teams: dict[str, list[Person]] = attrs.field(factory=dict)
    grid: list[list[Amount]] = attrs.field(factory=list)
    gaps: list[Amount | None] = attrs.field(factory=list)
    branch: Branch | None = None
    colour: Colour = Colour.RED
    colour_or: Colour | None = None
    paces: list[Pace] = attrs.field(factory=list)
    size: Literal["s", "m", "x l"] = "m"
    size_or: Literal["s", "m", None] = None
    token: UUID | None = None
    tokens: dict[str, UUID] = attrs.field(factory=dict)
    opens: time = time(9)
    closes: time | None = None
    length: timedelta | None = None
    lengths: list[timedelta] = attrs.field(factory=list)
    share: float = 0.5
    shares: list[float | None] = attrs.field(factory=list)
    scores: tuple[Amount, ...] = ()
    crew: tuple[Person, ...] | None = None
    rows: tuple[list[Person], ...] = ()


@payload
class HouseholdData:
    people: list[Person]
    gaps: list[Person | None] = attrs.field(factory=list)
    by_role: dict[str, Person] = attrs.field(factory=dict)
    limits: dict[str, Amount] = attrs.field(factory=dict)
    days: list[date] = attrs.field(factory=list)
    owner: Person | None = None
    note: Any = None


class Everything(UserRecord, discriminator="x-everything"):
    data: PayloadAttribute[EverythingData] = PayloadAttribute(EverythingData)


class Household(UserRecord, discriminator="x-household"):
    data: PayloadAttribute[HouseholdData] = PayloadAttribute(HouseholdData)
    keep_for = timedelta(days=30)
