"""Sizes, numbers and nesting: the engines count as we do."""

from __future__ import annotations

import base64
import uuid

import pytest
from botocore.exceptions import ClientError

from thrivecalc_models.wire import MAX_ITEM_SIZE, check_item, item_size, number_text

NUMBERS = [
    "0",
    "-5",
    "100",
    "1000",
    "12000",
    "0.001",
    "0.00123",
    "123.45",
    "-0.5",
    "1E-130",
    "1E+125",
    "9" * 38,
    "-1.2345678901234567890123456789012345678",
]
VALUES = [
    {"S": ""},
    {"S": "é日😀"},
    {"B": ""},
    {"B": base64.b64encode(b"12345").decode()},
    {"BOOL": False},
    {"NULL": True},
    {"SS": ["", "é"]},
    {"BS": [base64.b64encode(b"1234").decode(), ""]},
    {"L": []},
    {"M": {}},
    {"M": {"é": {"L": [{"N": "12"}, {"M": {"a": {"S": "b"}}}]}, "b": {"NULL": True}}},
]


def raw(value):
    """The value as botocore takes it, which makes base64 of bytes itself."""
    ((kind, content),) = value.items()
    if kind == "B":
        return {"B": base64.b64decode(content)}
    if kind == "BS":
        return {"BS": [base64.b64decode(member) for member in content]}
    if kind == "M":
        return {"M": {name: raw(member) for name, member in content.items()}}
    if kind == "L":
        return {"L": [raw(member) for member in content]}
    return value


@pytest.fixture
def table(engine):
    """Put and get of one item, in a table of its own."""
    client, name = engine.client(), f"wire-{uuid.uuid4().hex}"
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )

    class Table:
        def takes(self, item):
            try:
                client.put_item(TableName=name, Item={key: raw(v) for key, v in item.items()})
            except ClientError as error:
                if error.response["Error"]["Code"] != "ValidationException":
                    raise
                return False
            return True

        def stored(self, item):
            return client.get_item(TableName=name, Key={"k": item["k"]})["Item"]

    yield Table()
    client.delete_table(TableName=name)
    client.close()


def padded(value, size):
    """An item of exactly `size` bytes with the value in it."""
    item = {"k": {"S": "1"}, "é": value, "p": {"S": ""}}
    item["p"] = {"S": "x" * (size - item_size(item))}
    return item


@pytest.mark.not_on("moto", reason="refuses an item of exactly 409,600 bytes")
@pytest.mark.parametrize("value", VALUES, ids=str)
def test_engines_count_the_same_bytes(table, value):
    """An item that we count as 409,600 bytes is stored, one of a byte more is not."""
    assert check_item(padded(value, MAX_ITEM_SIZE), describe="x") == MAX_ITEM_SIZE
    assert table.takes(padded(value, MAX_ITEM_SIZE))
    assert not table.takes(padded(value, MAX_ITEM_SIZE + 1))


@pytest.mark.not_on("moto", reason="refuses an item of exactly 409,600 bytes")
@pytest.mark.not_on("dynoxide", reason="counts pairs of digits from the first one, not the point")
@pytest.mark.parametrize(
    "value", [*({"N": number} for number in NUMBERS), {"NS": ["1", "1000", "-12.5"]}], ids=str
)
def test_engines_count_the_same_bytes_for_numbers(table, value):
    """A number has the bytes that we count, to the one."""
    assert table.takes(padded(value, MAX_ITEM_SIZE))
    assert not table.takes(padded(value, MAX_ITEM_SIZE + 1))


@pytest.mark.not_on("moto", reason="gives numbers back as they were spelled")
@pytest.mark.parametrize("text", [*NUMBERS, "1.50", "-0", "+007", "5e3", "1.5E-100"])
def test_engines_give_back_the_canonical_text(table, text):
    """A number comes back in the text that we would have written."""
    item = {"k": {"S": "1"}, "n": {"N": text}}
    assert table.takes(item)
    assert table.stored(item)["n"] == {"N": number_text(text, path="n", js_safe=False)}


@pytest.mark.not_on("moto", reason="accepts any depth")
@pytest.mark.parametrize("kind", ["M", "L"])
@pytest.mark.parametrize("leaf", [{"S": "a"}, {"NS": ["1"]}])
def test_engines_nest_as_deep(table, kind, leaf):
    """31 maps or lists around a value are stored, 32 are not."""
    for _ in range(31):
        leaf = {"M": {"a": leaf}} if kind == "M" else {"L": [leaf]}
    assert table.takes({"k": {"S": "1"}, "n": leaf})
    assert not table.takes({"k": {"S": "1"}, "n": {"L": [leaf]}})
