"""Payloads from a pickle that was made before their class got a further field."""

from __future__ import annotations

import copy
import pickle
from datetime import date
from decimal import Decimal

import attrs
import pytest
from own_types import Person

from thrivecalc_models import Amount, InvalidRecordError, PayloadAttribute, UserRecord, payload


@payload
class OldMember:
    label: str


@payload
class OldData:
    name: str
    members: list[OldMember] = ()  # type: ignore[assignment]


@payload
class NewMember:
    label: str
    share: Amount = 5
    on: date | None = None


@payload
class NewData:
    """As OldData, and more, of which none is required."""

    name: str
    members: list[NewMember] = ()  # type: ignore[assignment]
    amount: Amount = 1
    tags: list[str] = ()  # type: ignore[assignment]
    person: Person = attrs.field(factory=lambda: Person(name="nobody"))
    maybe: str | None = None


@payload
class StricterMember:
    label: str
    weight: Amount


@payload
class StricterData:
    """As OldData, with a further field that is required."""

    name: str
    members: list[StricterMember] = ()  # type: ignore[assignment]
    total: Amount = attrs.field()


class Newer(UserRecord, discriminator="x-pickled-newer"):
    data = PayloadAttribute[NewData](NewData)


class Stricter(UserRecord, discriminator="x-pickled-stricter"):
    data = PayloadAttribute[StricterData](StricterData)


def unpickled(monkeypatch, given, **now):
    """A payload of an old class, pickled, and unpickled where its name means a newer class."""
    raw = pickle.dumps(given)
    for name, cls in now.items():
        monkeypatch.setitem(globals(), name, cls)
    return pickle.loads(raw)


def test_a_field_that_was_not_there_has_its_default(monkeypatch, user):
    """An unpickled payload has the defaults of fields that were added since, and works as any."""
    old = OldData(name="a", members=[OldMember(label="b")])
    again = unpickled(monkeypatch, old, OldData=NewData, OldMember=NewMember)
    assert type(again) is NewData
    assert again == NewData(name="a", members=[NewMember(label="b")])
    assert type(again.amount) is Decimal
    record = user.add(again, record_id="1")
    assert user.get(Newer, "1").data == record.data == copy.deepcopy(again)
    record.data = unpickled(monkeypatch, OldData(name="c"), OldData=NewData)
    user.update(record)
    assert user.get(Newer, "1").data == NewData(name="c")


def test_defaults_that_an_old_pickle_gets_are_not_shared(monkeypatch):
    """Two old payloads get their own lists and payloads."""
    one = unpickled(monkeypatch, OldData(name="a"), OldData=NewData)
    monkeypatch.undo()
    other = unpickled(monkeypatch, OldData(name="a"), OldData=NewData)
    one.tags.append("x")
    one.person.name = "x"
    assert other == NewData(name="a")


def test_a_required_field_that_was_not_there_is_named(monkeypatch, user):
    """Without a default, the first use of the field is an InvalidRecordError with its path."""
    record = user.add(StricterData(name="a", total=1), record_id="1")
    again = unpickled(monkeypatch, OldData(name="a"), OldData=StricterData)
    for use in (
        lambda: again.total,
        lambda: again == StricterData(name="a", total=1),
        lambda: user.add(again),
        lambda: user.put(again),
        lambda: user.set_fields(Stricter, "1", again),
        lambda: (setattr(record, "data", again), user.update(record)),
    ):
        with pytest.raises(InvalidRecordError) as caught:
            use()
        assert caught.value.path == "data.total"
    record.data.total = 5  # a copy: `again` was given to another record before
    user.update(record)
    assert user.get(Stricter, "1").data == StricterData(name="a", total=5)


def test_a_required_field_of_a_nested_payload_is_named_by_its_path(monkeypatch, user):
    """The path of a missing field leads through lists and dicts to it."""
    again = unpickled(monkeypatch, OldMember(label="b"), OldMember=StricterMember)
    with pytest.raises(InvalidRecordError) as caught:
        user.add(StricterData(name="a", total=1, members=[again]))
    assert caught.value.path == "data.members[0].weight"


def test_other_names_stay_unknown():
    """A name that no field has is an AttributeError, as of any object."""
    assert not hasattr(NewData(name="a"), "nmae")
    with pytest.raises(AttributeError, match="'NewData' object has no attribute 'nmae'"):
        NewData(name="a").nmae  # noqa: B018
