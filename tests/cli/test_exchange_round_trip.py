"""Export then import gives the same table, item by item, in every format."""

from __future__ import annotations

import csv
import gzip
import json
import re
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli import sample_items
from exchanging import FORMATS, export, fill, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from own_types import Everything, Household

from thrivecalc_models import SavingsGoal, TransactionData
from thrivecalc_models.exchange import Mapped
from thrivecalc_models.exchange.formats import format_of
from thrivecalc_models.payloads import fields_of
from thrivecalc_models.testing import SimulatedTable
from thrivecalc_models.testing.strategies import odd_items, stored_items

EXAMPLES = min(settings.default.max_examples // 2, 60)
QUICK = settings(max_examples=EXAMPLES, deadline=None)
SAMPLES = sample_items()


def key_of(item):
    return (item["userId"]["S"], item["recordKey"]["S"])


def can_be_indexed(item):
    """DynamoDB takes no other type for a key of the index."""
    return "S" in item.get("dataType", {"S": ""})


TABLES = st.lists(
    (stored_items() | odd_items(SavingsGoal) | odd_items(Household)).filter(can_be_indexed),
    max_size=6,
    unique_by=key_of,
)


def through_a_file(table, ending):
    """What a table is after it went to a file and back, and whether all of it was written."""
    other = SimulatedTable()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"table.{ending}"
        exported = export(table, path)
        counts = fill(other, path).counts
        assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert (exported.records, exported.refused) == (len(table.items), 0)
    assert (counts.written, counts.same, counts.refused) == (len(table.items), 0, 0)
    return other.items


@pytest.mark.parametrize("ending", FORMATS)
@given(items=TABLES)
@QUICK
def test_any_table_goes_through(ending, items):
    """Any table, of all types, unknown and malformed items included, comes back item by item."""
    table = table_of(items, page_bytes=400)
    assert through_a_file(table, ending) == table.items


@given(
    delimiter=st.sampled_from(",;\t|"),
    items=TABLES,
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    sep=st.booleans(),
)
@QUICK
def test_any_table_goes_through_other_dialects_of_csv(delimiter, items, ends, sep):
    """Any table comes back from CSV that another program wrote again with its own delimiter."""
    other = SimulatedTable()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.csv"
        export(table_of(items), path)
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        with path.open("w", newline="", encoding="utf-8") as file:
            said = sep and ends != "\r"
            file.write(f"sep={delimiter}{ends}" if said else "")
            own = csv.writer(file, delimiter=delimiter, lineterminator=ends, quoting=csv.QUOTE_ALL)
            own.writerows(rows)
        named = Mapped(delimiter="|" if delimiter == "|" and not said else None)
        counts = fill(other, path, mapped=named).counts
    assert (counts.written, counts.refused) == (len(items), 0)
    assert other.items == table_of(items).items


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@given(items=st.lists(stored_items(Everything), max_size=3, unique_by=key_of))
@QUICK
def test_every_kind_of_field_goes_through(ending, items):
    """So do fields of every kind, nested and repeated, of types of a service's own."""
    table = table_of(items)
    assert through_a_file(table, ending) == table.items


@pytest.mark.parametrize("ending", FORMATS)
def test_the_samples_go_through(ending):
    """All samples, the odd ones too, come back item by item."""
    table = table_of(SAMPLES)
    assert through_a_file(table, ending) == table.items


def test_json_lines_are_those_of_the_export_to_s3(tmp_path):
    """Each line is {"Item": {...}} in DynamoDB's JSON, and packed ones are gzip of the same."""
    table = table_of(SAMPLES)
    export(table, tmp_path / "a.jsonl")
    export(table, tmp_path / "a.jsonl.gz")
    text = (tmp_path / "a.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == text
    lines = [json.loads(line) for line in text.splitlines()]
    assert {key_of(line["Item"]): line["Item"] for line in lines} == table.items
    assert all(line.keys() == {"Item"} for line in lines)


GOAL = {
    "userId": {"S": "google-oauth2|1"},
    "recordKey": {"S": "savings-goal#g1"},
    "dataType": {"S": "savings-goal"},
    "recordId": {"S": "g1"},
    "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
    "updatedAt": {"S": "2025-01-07T12:30:00.123Z"},
    "ttl": {"N": "1893456000"},
    "data": {
        "M": {
            "name": {"S": "Car"},
            "targetAmount": {"N": "28000.5"},
            "targetDate": {"S": "2027-06-30"},
        }
    },
}
BUDGET = {
    "userId": {"S": "google-oauth2|1"},
    "recordKey": {"S": "budget#b1"},
    "dataType": {"S": "budget"},
    "recordId": {"S": "b1"},
    "data": {
        "M": {
            "name": {"S": "Home"},
            "period": {"S": "monthly"},
            "limits": {"M": {"food": {"N": "400.25"}, "rent": {"N": "1200"}}},
            "note": {"S": "by hand"},
        }
    },
}


def test_parquet_has_typed_columns(tmp_path):
    """Amounts are decimals, dates are dates, stamps are UTC, maps are maps; extras are JSON."""
    export(table_of([GOAL, BUDGET]), tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    data = table.schema.field("data").type
    assert data.field("targetAmount").type == pa.decimal128(38, 18)
    assert data.field("targetDate").type == pa.date32()
    assert data.field("tags").type == pa.list_(pa.string())
    assert data.field("limits").type == pa.map_(pa.string(), pa.decimal128(38, 18))
    assert data.field("currentAge").type == pa.int64()
    assert data.field("person").type.field("born").type == pa.date32()
    assert table.schema.field("updatedAt").type == pa.timestamp("ms", "UTC")
    budget, goal = sorted(table.to_pylist(), key=lambda row: row["recordKey"])
    assert goal["updatedAt"] == datetime(2025, 1, 7, 12, 30, 0, 123000, tzinfo=UTC)
    assert goal["data"]["targetAmount"] == Decimal("28000.5")
    assert goal["data"]["targetDate"] == date(2027, 6, 30)
    assert goal["ttl"] == 1893456000
    assert goal["rest"] is None
    assert dict(budget["data"]["limits"]) == {"food": Decimal("400.25"), "rent": Decimal(1200)}
    assert json.loads(budget["rest"]) == {"data": {"M": {"note": {"S": "by hand"}}}}


def test_csv_can_be_read_by_people(tmp_path):
    """Cells are as they would be written by hand, and maps are JSON."""
    export(table_of([GOAL, BUDGET]), tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        budget, goal = sorted(csv.DictReader(file), key=lambda row: row["recordKey"])
    assert goal["data.name"] == "Car"
    assert goal["data.targetAmount"] == "28000.5"
    assert goal["data.targetDate"] == "2027-06-30"
    assert goal["updatedAt"] == "2025-01-07T12:30:00.123Z"
    assert goal["rest"] == ""
    assert budget["data.limits"] == '{"food": 400.25, "rent": 1200}'
    assert json.loads(budget["rest"]) == {"data": {"M": {"note": {"S": "by hand"}}}}


@pytest.mark.parametrize("name", ["=1+1", "@x", "+1", "-1", "\tx", "\rx", "", "a\0b"])
def test_no_cell_is_a_formula(tmp_path, name):
    """Texts that a spreadsheet would run, or lose, are in the column of JSON, as they were."""
    item = {**GOAL, "data": {"M": {"name": {"S": name}, "targetAmount": {"N": "-1"}}}}
    cells = format_of(tmp_path / "a.csv").line(item).decode()
    (row,) = csv.reader([cells])
    assert json.loads(row[-1]) == {"data": {"M": {"name": {"S": name}}}}
    assert through_a_file(table_of([item]), "csv") == {key_of(item): item}


@pytest.mark.parametrize(
    "text",
    [";=1+1", "\t=1", "\n=1", "; @x", "a;=1", "a\n-1", "a\t+1", ";;'=1", 'x;"=1', "\uff1d1", ";x"],
)
def test_no_cell_is_a_formula_where_semicolons_part_cells(tmp_path, text):
    """Nor does a text become one where a spreadsheet begins cells at `;`, tabs or line feeds."""
    data = {"name": {"S": text}, "targetAmount": {"N": "1"}, "more": {"L": [{"S": text}]}}
    budget = {**BUDGET, "data": {"M": BUDGET["data"]["M"] | {"limits": {"M": {text: {"N": "1"}}}}}}
    for item in ({**GOAL, "data": {"M": data}}, budget):
        line = format_of(tmp_path / "a.csv").line(item).decode()
        for cell in re.split(r"[;,\t\r\n]", line.removesuffix("\r\n")):
            assert not cell.lstrip(" '\"").startswith(("=", "+", "-", "@", "\uff1d"))
        assert through_a_file(table_of([item]), "csv") == {key_of(item): item}


def test_one_user_is_exported(tmp_path):
    """With a user id only that user's items are read and written, by Query."""
    table = table_of(SAMPLES)
    user_id = "google-oauth2|123456789"
    done = export(table, tmp_path / "a.jsonl", user_id=user_id)
    own = {key: item for key, item in table.items.items() if key[0] == user_id}
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert {key_of(each): each for each in (json.loads(line)["Item"] for line in lines)} == own
    assert done.records == len(own)
    assert table.sent("Scan") == 0


def test_one_user_is_imported(tmp_path):
    """With a user id the rows of others are left out and counted."""
    table = table_of(SAMPLES)
    export(table, tmp_path / "a.jsonl")
    other = SimulatedTable()
    user_id = "google-oauth2|123456789"
    counts = fill(other, tmp_path / "a.jsonl", user_id=user_id).counts
    own = {key: item for key, item in table.items.items() if key[0] == user_id}
    assert other.items == own
    assert (counts.written, counts.others) == (len(own), len(table.items) - len(own))


@pytest.mark.parametrize("ending", FORMATS)
def test_an_empty_table_is_a_file_without_records(tmp_path, ending):
    """An empty table makes a file of its format that imports nothing."""
    assert through_a_file(SimulatedTable(), ending) == {}


def test_what_cannot_be_written_down_is_refused(tmp_path, monkeypatch):
    """An item with text that no file can hold is listed with its key; the others are exported."""

    class Broken(SimulatedTable):
        def send(self, operation, body):
            result = self.answer(operation, json.loads(body))
            if operation == "Scan":
                for item in result.body["Items"]:
                    if item["recordId"] == {"S": "b1"}:
                        item["data"] = {"S": "\ud800"}
            return json.dumps(result.body).encode()

    # Our JSON holds no half of a surrogate pair, the standard library's does.
    monkeypatch.setattr("thrivecalc_models.transport.bodies.decode", json.loads)
    table = Broken()
    for item in (GOAL, BUDGET):
        table.put(item)
    for ending in FORMATS:
        path = tmp_path / f"a.{ending}"
        done = export(table, path)
        assert (done.records, done.refused) == (1, 1)
        (line,) = done.refused_path.read_text().splitlines()
        refusal = json.loads(line)
        assert refusal["key"] == {"userId": "google-oauth2|1", "recordKey": "budget#b1"}
        assert "UTF-8" in refusal["reason"]


def test_what_the_classes_declare_has_columns(tmp_path):
    """Of what the web application wrote, only undeclared fields and NULL are in the JSON."""
    items = [item for item in SAMPLES if item["recordKey"]["S"].startswith("transaction#")]
    assert len(items) > 100
    export(table_of(items), tmp_path / "a.parquet")
    declared = {field.wire_name for field in fields_of(TransactionData)}
    for rest in pq.read_table(tmp_path / "a.parquet").column("rest").to_pylist():
        left = json.loads(rest or "{}")
        assert left.keys() <= {"data", "source", "schemaVersion"}
        for name, form in left.get("data", {"M": {}})["M"].items():
            assert name not in declared or form == {"NULL": True}
