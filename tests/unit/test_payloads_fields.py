"""`field`: names in the table that are not the camelCase of Python's, and descriptions."""

from __future__ import annotations

from decimal import Decimal

import attrs
import pytest

from thrivecalc_models import (
    Amount,
    InvalidRecordError,
    PayloadAttribute,
    UserRecord,
    field,
    json_schema,
    payload,
    typescript,
)


@payload
class LegacyPartData:
    amount: Amount = field(stored_as="amt")


def not_long(instance, attribute, value):
    if value == "long":
        raise ValueError("too long")


@payload
class LegacyData:
    """A type whose names are those of another program."""

    amount: Amount = field(stored_as="amt", default=5, doc="In euros.\n\nNever */ negative.")
    label: str = field(stored_as="Label Text", doc="What is shown.")
    parts: list[LegacyPartData] = field(stored_as="p's", factory=list)
    words: list[str] = field(default=(), converter=sorted, metadata={"mine": 1})
    plain_name: str = field(default="", validator=not_long)


@payload
class LaterData(LegacyData):
    """A type that inherits its names."""

    more: str = ""


class Legacy(UserRecord, discriminator="x-legacy"):
    data = PayloadAttribute[LegacyData](LegacyData)


class Later(UserRecord, discriminator="x-legacy-later"):
    data = PayloadAttribute[LaterData](LaterData)


@pytest.mark.parametrize(
    ("record_class", "payload_class"), [(Legacy, LegacyData), (Later, LaterData)]
)
def test_a_field_is_stored_under_its_own_name(table, user, record_class, payload_class):
    """A name given by stored_as is that of the table, in nested payloads and subclasses, too."""
    made = payload_class(label="a", parts=[LegacyPartData(amount=1)], words=["b", "a"])
    record = user.add(made, record_id="1")
    content = table.get(record.user_id, record.record_key)["data"]["M"]
    assert content["amt"] == {"N": "5"}
    assert content["Label Text"] == {"S": "a"}
    assert content["p's"] == {"L": [{"M": {"amt": {"N": "1"}}}]}
    assert {"words", "plainName"} < content.keys()
    assert not {"amount", "label", "parts", "labelText"} & content.keys()
    again = user.get(record_class, "1")
    assert again.data == made
    assert again.extra_data == {}
    again.data.amount += 1
    again.data.parts[0].amount = Decimal("0.5")
    user.update(again)
    assert user.get(record_class, "1").data == again.data


def test_paths_and_mappings_have_the_stored_name(user):
    """Errors name the table's spelling, mappings use it, and Python's name is refused."""
    good = {"Label Text": "a", "amt": 7}
    assert user.add("x-legacy", good).data.amount == 7
    for attempt, path in (
        (lambda: LegacyData(label=5), "data.Label Text"),
        (lambda: LegacyData(label="a", parts=[5]), "data.p's[0]"),
        (lambda: LegacyData(label="a", plain_name="long"), "data.plainName"),
        (lambda: user.add("x-legacy", {"amt": 1}), "data.Label Text"),
        (lambda: user.add("x-legacy", good | {"amount": 1}), "data.amount"),
        (lambda: user.add("x-legacy", good | {"p's": [{"amt": "x"}]}), "data.p's[0].amt"),
    ):
        with pytest.raises(InvalidRecordError) as caught:
            attempt()
        assert caught.value.path == path


def test_descriptions_are_printed():
    """A field's doc is in the JSON Schema and, as a comment that it cannot end, in TypeScript."""
    legacy = json_schema.document()["$defs"]["LegacyData"]["properties"]
    assert legacy["amt"]["description"] == "In euros.\n\nNever */ negative."
    assert legacy["amt"]["default"] == 5
    assert legacy["Label Text"]["description"] == "What is shown."
    assert "description" not in legacy["plainName"]
    module = typescript.module()
    assert '  /** What is shown. */\n  "Label Text": string;' in module
    assert "   * Never *\\/ negative.\n   * Absent or null reads as 5.\n" in module


@pytest.mark.parametrize("name", ["", "__proto__", "\ud83d", "x" * 65_536, 5])
def test_names_that_the_table_cannot_hold(name):
    """A stored name that DynamoDB or JavaScript would not keep is a TypeError at once."""
    with pytest.raises(TypeError):
        field(stored_as=name)


def test_two_fields_of_one_stored_name():
    """Two fields that are stored under one name are a TypeError at the definition."""
    with pytest.raises(TypeError, match="same name"):

        @payload
        class Twice:
            first: str = field(stored_as="b")
            b: str


def test_what_attrs_takes_is_handed_on():
    """Metadata, converters, validators and defaults are those of attrs."""
    made = LegacyData(label="a", words=("b", "a"))
    assert made.words == ["a", "b"]
    assert attrs.fields(LegacyData).words.metadata["mine"] == 1
    with pytest.raises(TypeError):
        field(bogus=1)
