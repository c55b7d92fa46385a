"""What an import writes, what it refuses and why, and how fast it goes."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shlex
import struct
import tempfile
import tracemalloc
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exchanging import export, fill, goal, goals, table_of

from thrivecalc_models import AccessDeniedError, SavingsGoal
from thrivecalc_models.exchange import FileProblem, Mapped
from thrivecalc_models.operations import Failure, FailureKind
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.testing.faults import (
    Denied,
    Interrupt,
    LoseReply,
    OtherWriter,
    Partial,
    Throttle,
)

ITEM = goal("google-oauth2|1", "g1", 1)


def lines_of(items):
    return "".join(json.dumps({"Item": item}) + "\n" for item in items)


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def refusals(done):
    return [json.loads(line) for line in done.refused_path.read_text().splitlines()]


# --- keys that are taken --------------------------------------------------------------------------


def test_a_free_key_is_written_and_nothing_else(tmp_path):
    """One request a record; a record that is there already is left alone, and counts as that."""
    items = goals(10)
    path = written(tmp_path / "a.jsonl", lines_of(items))
    table = table_of(items[:4])
    counts = fill(table, path).counts
    assert (counts.written, counts.same, counts.refused) == (6, 4, 0)
    assert table.sent("PutItem") == 10
    assert table.sent() == 11  # and DescribeTable
    assert all(len(table.versions(*key)) == 1 for key in table.items)


def test_another_record_under_the_key_stays(tmp_path):
    """What the web application wrote since stays; the row is refused, with its key."""
    path = written(tmp_path / "a.jsonl", lines_of([ITEM]))
    newer = {**ITEM, "updatedAt": {"S": "2026-01-01T00:00:00.000Z"}}
    table = table_of([newer])
    done = fill(table, path)
    assert done.counts.refused == 1
    assert list(table.items.values()) == [newer]
    assert refusals(done) == [
        {
            "line": 1,
            "key": {"userId": "google-oauth2|1", "recordKey": "savings-goal#g1"},
            "reason": "another record has this key; --replace would overwrite it",
        }
    ]


def test_a_record_written_in_the_last_moment_stays(tmp_path):
    """There is no gap between looking and writing: the put itself is conditional."""
    path = written(tmp_path / "a.jsonl", lines_of([ITEM]))
    newer = {**ITEM, "updatedAt": {"S": "2026-01-01T00:00:00.000Z"}}
    table = SimulatedTable()
    table.fail_next(OtherWriter(lambda table: table.put(newer)), operation="PutItem")
    assert fill(table, path).counts.refused == 1
    assert list(table.items.values()) == [newer]


@pytest.mark.parametrize("applied", [True, False])
def test_a_lost_reply_is_no_other_record(tmp_path, applied):
    """A put that meets itself counts as there."""
    path = written(tmp_path / "a.jsonl", lines_of([ITEM]))
    table = SimulatedTable()
    table.fail_next(LoseReply(applied=applied), operation="PutItem")
    counts = fill(table, path).counts
    assert (counts.written + counts.same, counts.refused) == (1, 0)
    assert list(table.items.values()) == [ITEM]


def test_replace_overwrites_25_a_request(tmp_path):
    """With replace what is there is overwritten, in batches, and what is unprocessed goes again."""
    items = goals(60)
    path = written(tmp_path / "a.jsonl", lines_of(items))
    table = table_of([{**item, "source": {"S": "x"}} for item in items[:30]])
    table.fail_next(Partial(keep=5), operation="BatchWriteItem")
    table.fail_next(Throttle(), operation="BatchWriteItem")
    counts = fill(table, path, replace=True).counts
    assert (counts.written, counts.same, counts.refused) == (60, 0, 0)
    assert table.items == table_of(items).items
    assert table.sent("PutItem") == 0


@pytest.mark.parametrize("replace", [False, True])
def test_a_key_may_come_twice_in_a_file(tmp_path, replace):
    """Of two rows with one key the first is written, and with replace the last."""
    later = {**ITEM, "updatedAt": {"S": "2026-01-01T00:00:00.000Z"}}
    path = written(tmp_path / "a.jsonl", lines_of([ITEM, later, later]))
    table = SimulatedTable()
    done = fill(table, path, replace=replace)
    assert list(table.items.values()) == [later if replace else ITEM]
    assert done.counts.refused == (0 if replace else 2)


def test_check_writes_nothing(tmp_path):
    """It says what an import would do, from the file and the table, and leaves no file either."""
    items = goals(250)
    newer = {**items[1], "updatedAt": {"S": "2026-01-01T00:00:00.000Z"}}
    path = written(tmp_path / "a.jsonl", lines_of(items) + "{}\n")
    table = table_of([items[0], newer])
    before = table.items
    done = fill(table, path, check=True)
    assert (done.counts.written, done.counts.same, done.counts.refused) == (248, 1, 2)
    assert {entry.operation for entry in table.log} == {"DescribeTable", "BatchGetItem"}
    assert table.items == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]
    assert [each.line for each in done.refusals] == [2, 251]


# --- rows that are refused ------------------------------------------------------------------------

BAD_LINES = [
    ("not json", "not JSON"),
    ('{"Item": {"userId"', "not JSON"),
    ("[]", "no item"),
    ('{"item": {}}', "no item"),
    ('{"Item": []}', "no item"),
    (json.dumps({"Item": {k: v for k, v in ITEM.items() if k != "userId"}}), "userId is missing"),
    (json.dumps({"Item": {**ITEM, "userId": {"N": "1"}}}), "userId is missing, empty or not text"),
    (json.dumps({"Item": {**ITEM, "recordKey": {"S": ""}}}), "recordKey is missing, empty"),
    (json.dumps({"Item": {**ITEM, "recordKey": {"S": "é" * 513}}}), "recordKey has over 1,024"),
    (json.dumps({"Item": {**ITEM, "dataType": {"N": "1"}}}), "dataType is missing, empty or not"),
    (json.dumps({"Item": {**ITEM, "data": "x"}}), "data is not in DynamoDB's JSON"),
    (json.dumps({"Item": {**ITEM, "n": {"N": "1e200"}}}), "n is no number that DynamoDB can hold"),
    (json.dumps({"Item": {**ITEM, "n": {"SS": []}}}), "n is an empty set"),
    (json.dumps({"Item": {**ITEM, "n": {"B": "?"}}}), "n is not base64"),
    (json.dumps({"Item": {**ITEM, "n": {"S": "x" * 410_000}}}), "DynamoDB takes 409,600"),
    ("[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_is_refused_and_the_others_are_not(tmp_path, line, reason):
    """A refused line is named with its number and why, without values; the rest is imported."""
    path = written(tmp_path / "a.jsonl", f"\n{line}\n{lines_of([ITEM])}")
    table = SimulatedTable()
    done = fill(table, path)
    assert (done.counts.written, done.counts.refused) == (1, 1)
    (refusal,) = refusals(done)
    assert refusal["line"] == 2
    assert reason in refusal["reason"]
    assert "Goal" not in refusal["reason"]


def test_an_endless_line_is_not_kept(tmp_path):
    """A line over 16 MB is refused without being read into memory; what follows it is read."""
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(200_000_000)
        file.seek(0, 2)
        file.write(b"\n" + lines_of([ITEM]).encode())
    tracemalloc.start()
    done = fill(SimulatedTable(), path)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()
    assert (done.counts.written, done.counts.refused) == (1, 1)
    assert [(each.line, each.reason) for each in done.refusals] == [
        (1, "the line has over 16,777,216 bytes; an item has fewer")
    ]


class Choosy(SimulatedTable):
    """A table that finds an item invalid where this library finds nothing."""

    def answer(self, operation, request):
        if operation.endswith(("PutItem", "WriteItem")) and "'g0007'" in str(request):
            return Failure(kind=FailureKind.INVALID, code="ValidationException")
        return super().answer(operation, request)


@pytest.mark.parametrize("replace", [False, True])
def test_what_the_service_finds_invalid_is_refused(tmp_path, replace):
    """One item that the service will not have keeps none of the others out."""
    path = written(tmp_path / "a.jsonl", lines_of(goals(60)))
    table = Choosy()
    done = fill(table, path, replace=replace)
    assert (done.counts.written, done.counts.refused) == (59, 1)
    assert len(table.items) == 59
    (refusal,) = refusals(done)
    assert (refusal["line"], refusal["reason"]) == (8, "the service refused it as invalid")


@pytest.mark.parametrize("replace", [False, True])
def test_trouble_with_the_service_ends_it(tmp_path, replace):
    """What may be tried again is; a denied action is an error at once, and nothing is refused."""
    path = written(tmp_path / "a.jsonl", lines_of(goals(60)))
    table = SimulatedTable()
    operation = "BatchWriteItem" if replace else "PutItem"
    table.fail_next(Throttle(), operation=operation, times=3)
    assert fill(table, path, replace=replace).counts.written == 60
    table.fail_always(Denied(), operation=operation)
    before = table.sent(operation)
    with pytest.raises(AccessDeniedError):
        fill(table, path, replace=replace)
    assert table.sent(operation) == before + 1
    assert not (tmp_path / "a.jsonl.refused.jsonl").exists()


def with_cells(tmp_path, **cells):
    """The CSV file of the item with some cells edited."""
    export(table_of([ITEM]), tmp_path / "whole.csv")
    with (tmp_path / "whole.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        writer.writeheader()
        writer.writerow(row | cells)
    return tmp_path / "a.csv"


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("data.targetAmount", "a lot", "data.targetAmount is text that is no number"),
        ("data.targetAmount", "1,000", "data.targetAmount is text that is no number"),
        ("data.targetDate", "soon", "data.targetDate takes a date such as 2025-12-31"),
        ("data.tags", "a, b", "data.tags is not a field of this dataType"),
        ("data.currentAge", "1.5", "data.currentAge is not a field of this dataType"),
        ("createdAt", "2025-01-01", "createdAt takes a date-time with its zone"),
        ("ttl", "1.5", "ttl takes a whole number"),
        ("rest", "{", "rest is not an item"),
        ("rest", '{"userId": {"S": "u"}}', "userId is given twice"),
        ("rest", '{"data": {"M": {"name": {"S": "n"}}}}', "data.name is given twice"),
        ("rest", '{"data": {"S": "n"}}', "data is given twice"),
        ("userId", "", "userId is missing"),
    ],
)
def test_a_cell_of_the_wrong_type_is_refused(tmp_path, column, cell, reason):
    """An edited cell must be what its column takes; the row is refused, nothing is guessed."""
    table = SimulatedTable()
    done = fill(table, with_cells(tmp_path, **{column: cell}))
    assert table.items == {}
    assert [each.line for each in done.refusals] == [2]
    assert reason in done.refusals[0].reason


def test_an_edited_cell_is_imported(tmp_path):
    """Numbers and dates may be written in other ways that say the same."""
    path = with_cells(tmp_path, **{"data.targetAmount": "1.50", "data.targetDate": "2027-1-2"})
    table = SimulatedTable()
    assert fill(table, path).counts.written == 1
    (item,) = table.items.values()
    assert item["data"]["M"]["targetAmount"] == {"N": "1.5"}
    assert item["data"]["M"]["targetDate"] == {"S": "2027-01-02"}


# --- files of other programs ----------------------------------------------------------------------

AS_STORED = {
    "userId": "user_id",
    "dataType": "type",
    "recordId": "id",
    "data.name": "name",
    "data.targetAmount": "target_amount",
    "data.targetDate": "due",
}
FOREIGN = {
    "user_id": "google-oauth2|1",
    "type": "savings-goal",
    "id": 17,
    "name": "Car",
    "target_amount": 28000.5,
    "due": date(2027, 6, 30),
    "partition": "2025-01",
}


def foreign_file(tmp_path, *rows):
    path = tmp_path / "lake.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def mapped(**more):
    return Mapped(names=AS_STORED | more, ignored=frozenset({"partition"}))


def test_a_file_of_other_columns_is_mapped(tmp_path):
    """Keys are made of type and id, stamps are the time of the import, all reads well."""
    path = foreign_file(tmp_path, FOREIGN, FOREIGN | {"id": 18, "due": None})
    table = SimulatedTable()
    done = fill(table, path, mapped=mapped())
    assert (done.counts.written, done.counts.refused) == (2, 0)
    with simulated_store(table) as store:
        record = store.user("google-oauth2|1").get(SavingsGoal, "17")
        other = store.user("google-oauth2|1").get(SavingsGoal, "18")
    assert record.problems == []
    assert record.data.name == "Car"
    assert record.data.target_amount == Decimal("28000.5")
    assert record.data.target_date == date(2027, 6, 30)
    assert record.created_at == record.updated_at
    assert record.created_at.replace(microsecond=0) == datetime(2025, 1, 7, 12, 30, tzinfo=UTC)
    assert other.data.target_date is None


def test_a_file_of_other_columns_can_be_imported_again(tmp_path):
    """The stamps of the first import stay, and no record counts as another one for them."""
    path = foreign_file(tmp_path, FOREIGN)
    table = SimulatedTable()
    fill(table, path, mapped=mapped())
    before = table.items
    table.sleep(3600)
    for check in (True, False):
        counts = fill(table, path, mapped=mapped(), check=check).counts
        assert (counts.written, counts.same, counts.refused) == (0, 1, 0)
    assert table.items == before


def test_a_stopped_import_goes_on_with_its_stamps(tmp_path):
    """All records of a file have one stamp, however often its import was stopped."""
    path = foreign_file(tmp_path, *(FOREIGN | {"id": number} for number in range(150)))
    table = SimulatedTable()
    table.faults = {60: Interrupt(applied=True)}
    with pytest.raises(KeyboardInterrupt):
        fill(table, path, mapped=mapped())
    table.sleep(3600)
    assert fill(table, path, mapped=mapped()).counts.refused == 0
    assert len({item["updatedAt"]["S"] for item in table.items.values()}) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"target_amount": None}, "data.targetAmount"),
        ({"target_amount": 1e17}, "above 2^53 - 1"),
        ({"type": None}, "dataType is missing"),
        ({"id": None}, "recordId is missing"),
        (
            {"type": "no-such-type"},
            "data.name is given, but the fields of this dataType are not known",
        ),
        ({"type": "budget"}, "data.targetAmount is not a field of this dataType"),
    ],
)
def test_a_record_of_another_program_must_fit_its_type(tmp_path, change, reason):
    """What would be malformed in the table, or unreadable for JavaScript, is refused."""
    path = foreign_file(tmp_path, FOREIGN, FOREIGN | {"id": 18} | change)
    table = SimulatedTable()
    done = fill(table, path, mapped=mapped())
    assert done.counts.written == 1
    assert [each.line for each in done.refusals] == [2]
    assert reason in done.refusals[0].reason
    (refusal,) = refusals(done)
    type_, id_ = change.get("type", "savings-goal"), change.get("id", 18)
    key = {"userId": "google-oauth2|1", "recordKey": f"{type_ or ''}#{id_ or ''}"}
    assert refusal["key"] == key


def test_unknown_columns_are_named_with_the_way_out(tmp_path):
    """Nothing is left out silently: the message has the options to be added."""
    path = foreign_file(tmp_path, FOREIGN)
    with pytest.raises(FileProblem) as caught:
        fill(SimulatedTable(), path)
    options = str(caught.value).partition("say what they are: ")[2]
    assert options == (
        "--map userId=user_id --map dataType=type --map recordId=id --map data.name=name"
        " --map data.targetAmount=target_amount --ignore due --ignore partition"
    )


def test_stamps_of_other_programs(tmp_path):
    """Moments in any zone and precision become the table's; one without a zone is none."""
    stamp = datetime(2025, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    path = foreign_file(
        tmp_path, FOREIGN | {"made": stamp}, FOREIGN | {"id": 18, "made": stamp + timedelta(1)}
    )
    table = SimulatedTable()
    fill(table, path, mapped=mapped(createdAt="made"))
    stamps = {item["recordId"]["S"]: item["createdAt"]["S"] for item in table.items.values()}
    assert stamps == {"17": "2025-01-01T12:00:00.123Z", "18": "2025-01-02T12:00:00.123Z"}
    other = tmp_path / "naive"
    other.mkdir()
    path = foreign_file(other, FOREIGN | {"made": stamp.replace(tzinfo=None)})
    done = fill(SimulatedTable(), path, mapped=mapped(createdAt="made"))
    assert done.refusals[0].reason.startswith("createdAt takes a date-time with its zone")


def test_moments_of_nanoseconds(tmp_path):
    """What pandas and Spark write is read down to the millisecond, as the table keeps it."""
    table = pa.Table.from_pylist([FOREIGN])
    moments = pa.array([1577836800123456789], pa.timestamp("ns", "Europe/Berlin"))
    pq.write_table(table.append_column("made", moments), tmp_path / "lake.parquet")
    there = SimulatedTable()
    fill(there, tmp_path / "lake.parquet", mapped=mapped(createdAt="made"))
    (item,) = there.items.values()
    assert item["createdAt"] == {"S": "2020-01-01T00:00:00.123Z"}


def test_a_damaged_parquet_file_is_noticed(tmp_path):
    """Wherever a byte of a file is changed, nothing else than what was exported is imported."""
    table = table_of(goals(20))
    export(table, tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    path = tmp_path / "a.parquet"
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        other = SimulatedTable()
        with suppress(FileProblem):
            fill(other, path)
        assert other.items.items() <= table.items.items()


def test_an_export_to_s3_is_imported_as_it_is(tmp_path):
    """A data file of DynamoDB's own export: packed, in another order of attributes."""
    items = goals(30)
    path = tmp_path / "ab7qkj6cnu5hzd2n2xqwypqz7y.json.gz"
    path.write_bytes(gzip.compress(lines_of(dict(reversed(i.items())) for i in items).encode()))
    table = SimulatedTable()
    assert fill(table, path).counts.written == 30
    assert table.items == table_of(items).items


def test_a_spreadsheets_csv_is_read(tmp_path):
    """A byte order mark, other line ends and columns in another order do no harm."""
    text = (
        "\ufeffrecordId,dataType,userId,data.name,data.targetAmount\n"
        "g1,savings-goal,google-oauth2|1,Car,28000.50\n"
    )
    table = SimulatedTable()
    assert fill(table, written(tmp_path / "a.csv", text)).counts.written == 1
    (item,) = table.items.values()
    assert item["recordKey"] == {"S": "savings-goal#g1"}
    assert item["data"] == {"M": {"name": {"S": "Car"}, "targetAmount": {"N": "28000.5"}}}


# --- pace -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("units", [7, 50, 300])
def test_no_more_units_a_second_than_asked_for(tmp_path, units, replace):
    """Of what the table says it consumed, no second has more than the limit and one item."""
    path = written(tmp_path / "a.jsonl", lines_of(goals(300)))
    table = SimulatedTable(latency=0.0)
    fill(table, path, replace=replace, max_write_units=units)
    assert len(table.items) == 300
    consumed = 300 * 2  # an item of under 1 KB, in the table and in the index
    assert consumed / units - 1 <= table.now <= consumed / units + 1


def test_without_a_limit_nothing_waits(tmp_path):
    """No time passes between the requests."""
    path = written(tmp_path / "a.jsonl", lines_of(goals(300)))
    table = SimulatedTable(latency=0.0)
    fill(table, path)
    assert table.now == 0.0


# --- checking first -------------------------------------------------------------------------------

OTHER = {**ITEM, "updatedAt": {"S": "2026-01-01T00:00:00.000Z"}}
TWICE = {**ITEM, "marks": {"BS": ["QQ==", "QR=="]}}


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize(
    "items",
    [
        [ITEM, ITEM],
        [ITEM, OTHER, ITEM],
        [ITEM, *goals(120, users=3)[1:], OTHER],
        [TWICE, ITEM],
        [{**ITEM, "mark": {"B": "QQ=="}}, {**ITEM, "mark": {"B": "QR=="}}],
    ],
    ids=["the same twice", "another", "far apart", "a member twice", "two spellings"],
)
def test_a_check_counts_as_the_import_does(tmp_path, items, replace):
    """A key that comes twice in a file, and what no table takes, count the same with check."""
    path = written(tmp_path / "a.jsonl", lines_of(items))
    checked = fill(SimulatedTable(), path, check=True, replace=replace)
    done = fill(SimulatedTable(), path, replace=replace)
    assert checked.counts == done.counts
    assert [each.line for each in checked.refusals] == [each.line for each in done.refusals]


# --- what a file really is ------------------------------------------------------------------------

INCREMENTAL = json.dumps(
    {"Metadata": {"WriteTimestampMicros": {"N": "1"}}, "Keys": {}, "NewImage": ITEM}
)
SCAN = {"Items": [ITEM], "Count": 1, "ScannedCount": 1}


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.jsonl", f"{INCREMENTAL}\n", ["an incremental export", "a full export"]),
        ("my scan.json", json.dumps(SCAN), ["`aws dynamodb scan`", "jq -c", "/my scan.json' >"]),
        ("a.json", json.dumps(SCAN, indent=4), ["`aws dynamodb scan`", ".Items[]"]),
        ("a.json", json.dumps([ITEM], indent=4), ["is one list"]),
        ("a.json", json.dumps([ITEM]), ["is one list"]),
        ("a.json", json.dumps({"Item": ITEM}, indent=4), ["over several lines", "{Item}"]),
        ("manifest.json", '{"itemCount":1,"dataFileS3Key":"x"}', ["a manifest of an export"]),
        ("a.jsonl.gz", lines_of([ITEM]), ["is not a gzip file: it is text", "end in .jsonl"]),
        ("a.jsonl", gzip.compress(b"{}"), ["packed with gzip"]),
        ("a.csv", gzip.compress(b"{}"), ["is not a CSV file", "packed with gzip"]),
        ("a.csv", b"PK\x03\x04rest", ["a spreadsheet"]),
        ("a.csv", "userId,recordKey\n".encode("utf-16"), ["UTF-16"]),
        ("a.jsonl", lines_of([ITEM]).encode("utf-16"), ["UTF-16"]),
        ("a.jsonl", b"PAR1rest", ["a Parquet file"]),
        ("a.parquet", b"{}", ["is not a Parquet file"]),
        ("a.csv", None, ["is a folder"]),
    ],
)
def test_a_file_that_is_something_else(tmp_path, name, content, texts):
    """What a file really is is named with the way out, before a request is sent."""
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = SimulatedTable()
    with pytest.raises(FileProblem) as raised:
        fill(table, path)
    assert str(path) in str(raised.value)
    assert all(text in str(raised.value) for text in texts)
    assert not table.log
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_change_among_items_is_refused(tmp_path):
    """A line of an incremental export among items is refused, and named."""
    done = fill(SimulatedTable(), written(tmp_path / "a.jsonl", lines_of([ITEM]) + INCREMENTAL))
    assert (done.counts.written, done.counts.refused) == (1, 1)
    assert "incremental export" in done.refusals[0].reason


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_before_json_lines(tmp_path, pack):
    """JSON lines with a mark before them, as some programs write, are read."""
    path = tmp_path / ("a.jsonl" if pack is bytes else "a.jsonl.gz")
    path.write_bytes(pack(b"\xef\xbb\xbf" + lines_of([ITEM]).encode()))
    assert fill(SimulatedTable(), path).counts.written == 1


def test_a_pipe_is_no_file(tmp_path):
    """A named pipe is refused at once, and nothing waits for a writer."""
    path = tmp_path / "a.jsonl"
    os.mkfifo(path)
    with pytest.raises(FileProblem, match=r"is a pipe or a device; .* write it to one first"):
        fill(SimulatedTable(), path)


@pytest.mark.parametrize(("name", "content"), [("no.jsonl", None), ("a.csv", "nonsense\n")])
def test_a_bad_file_is_found_before_the_network(tmp_path, name, content):
    """A file that cannot be imported is refused before a request is sent, with check too."""
    if content is not None:
        written(tmp_path / name, content)
    table = SimulatedTable()
    for check in (False, True):
        with pytest.raises(FileProblem):
            fill(table, tmp_path / name, check=check)
    assert not table.log


# --- other dialects of CSV ------------------------------------------------------------------------

CSV = (
    "userId{0}dataType{0}recordId{0}data.name{0}data.targetAmount\n"
    "u{0}savings-goal{0}g1{0}Car{0}9.5"
)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        (CSV.format(";"), None),
        (CSV.format("\t"), None),
        ("sep=;\r\n" + CSV.format(";"), None),
        ("\ufeffsep=|\n" + CSV.format("|"), None),
        (CSV.format("|"), "|"),
        (CSV.format(",").replace("\n", "\r"), None),
        (CSV.format(";").replace("\n", "\r") + "\r", None),
        (CSV.format(",").replace("\n", "\r\r\n"), None),
    ],
)
def test_other_delimiters_and_line_ends(tmp_path, text, delimiter):
    """Semicolons, tabs and what `sep=` says are recognised; others are named; CR ends lines too."""
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    table = SimulatedTable()
    done = fill(table, path, mapped=Mapped(delimiter=delimiter))
    assert (done.counts.written, done.counts.refused) == (1, 0)
    (item,) = table.items.values()
    assert item["data"] == {"M": {"name": {"S": "Car"}, "targetAmount": {"N": "9.5"}}}


def test_lines_are_counted_behind_a_line_of_sep(tmp_path):
    """The line that a refusal names is that of the file, also behind `sep=`."""
    text = "sep=;\n" + CSV.format(";").replace("9.5", "9,5")
    done = fill(SimulatedTable(), written(tmp_path / "a.csv", text))
    assert [each.line for each in done.refusals] == [3]


@pytest.mark.parametrize("cell", ["1234,56", "1.234,56", "1 234,56", "-0,5", "1,234.56"])
def test_a_decimal_comma_is_refused_with_the_way_out(tmp_path, cell):
    """A comma in a number is not guessed at: the row is refused, and says how to write it."""
    text = CSV.format(";").replace("9.5", cell)
    done = fill(SimulatedTable(), written(tmp_path / "a.csv", text))
    assert "decimal comma" in done.refusals[0].reason
    assert "with a point" in done.refusals[0].reason


def test_one_bare_carriage_return_refuses_its_row(tmp_path):
    """A carriage return in a cell without quotes refuses that row alone; in quotes it is text."""
    rows = ["u,savings-goal,g2,A\rB,1", 'u,savings-goal,g3,"A\rB",1', "u,savings-goal,g4,C,1"]
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join([CSV.format(","), *rows]).encode())
    table = SimulatedTable()
    done = fill(table, path)
    assert (done.counts.written, [each.line for each in done.refusals]) == (3, [3])
    assert "carriage return" in done.refusals[0].reason
    assert {"S": "A\rB"} in [item["data"]["M"]["name"] for item in table.items.values()]


def test_suggested_options_are_words_for_the_shell(tmp_path):
    """A column's name is quoted in the options to be added, whatever is in it."""
    header = "userId,dataType,recordId,$(rm -rf ~),target amount,it's,esc\x1b[0m\n"
    with pytest.raises(FileProblem) as raised:
        fill(SimulatedTable(), written(tmp_path / "a.csv", header))
    options = str(raised.value).partition("say what they are: ")[2]
    assert shlex.split(options.replace("$'", "'")) == [
        *("--ignore", "$(rm -rf ~)"),
        *("--ignore", "target amount"),
        *("--ignore", "it's"),
        *("--ignore", "esc\\x1b[0m"),
    ]


# --- Parquet of other programs --------------------------------------------------------------------


def typed(tmp_path, **columns):
    """What an import makes of one goal whose columns have types of their own."""
    table = pa.Table.from_pylist([{k: v for k, v in FOREIGN.items() if k not in columns}])
    for name, values in columns.items():
        table = table.append_column(name, values)
    path = tmp_path / "lake.parquet"
    pq.write_table(table, path)
    there = SimulatedTable()
    return fill(there, path, mapped=mapped()), there


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        (pa.float32(), 19.99, "19.99"),
        (pa.float32(), 1e-7, "0.0000001"),
        (pa.float32(), 16777216, "16777216"),
        (pa.float64(), 19.989999771118164, "19.989999771118164"),
    ],
)
def test_a_small_float_is_read_by_its_own_shortest_text(tmp_path, kind, value, stored):
    """A float32 is the shortest number that is this float32, not the float64 of the same value."""
    done, there = typed(tmp_path, target_amount=pa.array([value], kind))
    assert done.counts.written == 1
    (item,) = there.items.values()
    assert item["data"]["M"]["targetAmount"] == {"N": stored}


def test_a_float16_is_read_by_its_own_shortest_text(tmp_path):
    """A float16 likewise, up to the largest one."""
    for text in ("0.1", "19.98", "65504"):
        value = struct.unpack("e", struct.pack("e", float(text)))[0]
        column = pa.array([value], pa.float64()).cast(pa.float16())
        there = typed(tmp_path, target_amount=column)[1]
        (item,) = there.items.values()
        stored = float(item["data"]["M"]["targetAmount"]["N"])
        assert struct.pack("e", stored) == struct.pack("e", value)
        assert len(item["data"]["M"]["targetAmount"]["N"]) <= len(text)


BERLIN = ZoneInfo("Europe/Berlin")
MOMENTS = [
    (datetime(2027, 6, 30), None, True),
    (datetime(2027, 6, 30, tzinfo=BERLIN), "Europe/Berlin", True),  # 22:00Z of the day before
    (datetime(2027, 6, 30, tzinfo=UTC), "UTC", True),
    (datetime(2027, 6, 30, tzinfo=BERLIN), "UTC", False),
    (datetime(2027, 6, 30, 9), None, False),
    (datetime(2027, 6, 30, 0, 0, 1), None, False),
]


@pytest.mark.parametrize("inside", [False, True], ids=["flat", "in a struct"])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize(("moment", "zone", "is_day"), MOMENTS)
def test_a_timestamp_is_a_date_only_at_midnight(tmp_path, moment, zone, is_day, unit, inside):
    """Midnight in the column's own zone is that day; a time of day is refused, not dropped."""
    column = pa.array([moment], pa.timestamp(unit, zone))
    name = "due"
    if inside:
        name = "data"
        column = pa.StructArray.from_arrays([column], ["targetDate"])
    table = pa.Table.from_pylist([{k: v for k, v in FOREIGN.items() if k != "due"}])
    path = tmp_path / "lake.parquet"
    pq.write_table(table.append_column(name, column), path)
    names = {k: v for k, v in AS_STORED.items() if v != "due"} if inside else AS_STORED
    there = SimulatedTable()
    done = fill(there, path, mapped=Mapped(names=names, ignored=frozenset({"partition"})))
    assert (done.counts.written, done.counts.refused) == (is_day, not is_day)
    if is_day:
        (item,) = there.items.values()
        assert item["data"]["M"]["targetDate"] == {"S": "2027-06-30"}
    else:
        assert "cast the column to a date" in done.refusals[0].reason


def test_a_zone_that_is_not_known_here(tmp_path):
    """Moments in an unknown time zone are named, with the way out, before anything is sent."""
    with pytest.raises(FileProblem, match=r"time zone Mars/Base, in due, .* tzdata"):
        typed(tmp_path, due=pa.array([0], pa.timestamp("ms", "Mars/Base")))


def test_members_that_are_none_are_absent(tmp_path):
    """A column of dicts is a struct of all their keys; a key that a row has not is None there."""
    rows = [{"limits": {"food": 300.0}}, {"limits": {"rent": 900.0}}, {"limits": None}]
    both = {"userId": "u", "dataType": "budget", "data.name": "n", "data.period": "monthly"}
    table = pa.Table.from_pylist(
        [both | {"recordId": str(at), "data.limits": row["limits"]} for at, row in enumerate(rows)]
    )
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    there = SimulatedTable()
    assert fill(there, path).counts.refused == 0
    found = [item["data"]["M"].get("limits") for item in there.items.values()]
    assert found == [{"M": {"food": {"N": "300"}}}, {"M": {"rent": {"N": "900"}}}, None]


def parts(tmp_path, *columns_of_parts):
    folder = tmp_path / "goals.parquet"
    folder.mkdir()
    for number, rows in enumerate(columns_of_parts):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"part-{number:05}.parquet")
    return folder


def test_a_folder_of_parts_is_read_as_one_file(tmp_path):
    """The parts of a folder are read in order of their names, with rows counted through."""
    folder = parts(tmp_path, [FOREIGN], [FOREIGN | {"id": 18}, FOREIGN | {"id": 19, "name": None}])
    (folder / "_SUCCESS").write_text("")
    (folder / ".part-00000.parquet.crc").write_text("x")
    there = SimulatedTable()
    done = fill(there, folder, mapped=mapped())
    assert (done.counts.written, [each.line for each in done.refusals]) == (2, [3])
    assert done.refused_path == tmp_path / "goals.parquet.refused.jsonl"


def test_a_folder_can_be_imported_again(tmp_path):
    """What a folder had is there already at the second time, however many parts it has."""
    folder = parts(tmp_path, [FOREIGN | {"id": at} for at in range(150)], [FOREIGN | {"id": 999}])
    there = SimulatedTable()
    done = fill(there, folder, mapped=mapped())
    assert done.counts.written == 151
    again = fill(there, folder, mapped=mapped())
    assert (again.counts.same, again.counts.refused) == (151, 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "without Parquet files"),
        (lambda folder: (folder / "dataType=budget").mkdir(), "write it again without partitions"),
        (lambda folder: (folder / "a.parquet").write_text("x"), "a.parquet is not a Parquet file"),
    ],
)
def test_a_folder_that_cannot_be_read(tmp_path, make, words):
    """An empty folder, one with partitions, and one of other files are named for what they are."""
    folder = tmp_path / "goals.parquet"
    folder.mkdir()
    make(folder)
    with pytest.raises(FileProblem, match=words):
        fill(SimulatedTable(), folder)


def test_parts_with_other_columns(tmp_path):
    """Parts that do not have the same columns are refused as a whole, with the part's name."""
    folder = parts(tmp_path, [FOREIGN], [FOREIGN | {"more": 1}])
    with pytest.raises(FileProblem, match=r"part-00001.parquet has other columns"):
        fill(SimulatedTable(), folder, mapped=mapped())


# --- where the progress is kept -------------------------------------------------------------------


def test_progress_elsewhere(tmp_path):
    """The progress file and the refused rows can be put elsewhere; nothing lies beside the file."""
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    path = written(own / "a.jsonl", lines_of([ITEM]) + "x\n")
    done = fill(SimulatedTable(), path, progress=other / "mine")
    assert done.refused_path == other / "mine.refused.jsonl"
    assert [each.name for each in own.iterdir()] == ["a.jsonl"]
    assert [each.name for each in other.iterdir()] == ["mine.refused.jsonl"]
    for wrong in (path, tmp_path / "no" / "mine"):
        with pytest.raises(FileProblem, match="--progress"):
            fill(SimulatedTable(), path, progress=wrong)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")
def test_a_folder_that_cannot_be_written():
    """It says that the progress cannot be kept beside the file, and how to keep it elsewhere."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        os.chmod(folder, 0o555)
        os.chmod(other, 0o777)
        path = written(Path(folder) / "a.jsonl", lines_of([ITEM]))
        os.seteuid(65534)
        try:
            with pytest.raises(
                FileProblem,
                match=r"a.jsonl.lock cannot be created: .*; put the progress file .* --progress",
            ):
                fill(SimulatedTable(), path)
            assert fill(SimulatedTable(), path, check=True).counts.written == 1
            done = fill(SimulatedTable(), path, progress=Path(other) / "mine")
            assert done.counts.written == 1
        finally:
            os.seteuid(0)


def test_nanoseconds_in_a_struct_are_read_as_in_a_flat_column(tmp_path):
    """A moment with nanoseconds is the same record, whether `data` is a struct or flat columns."""
    import own_types  # noqa: F401  (its types have columns then)

    moments = pa.array([1577836800123456789], pa.timestamp("ns", "UTC"))
    keys = {
        "userId": "u",
        "recordKey": "x-everything#1",
        "dataType": "x-everything",
        "recordId": "1",
    }
    flat = pa.Table.from_pylist([keys]).append_column("data.moment", moments)
    inside = pa.StructArray.from_arrays([moments], ["moment"])
    struct_ = pa.Table.from_pylist([keys]).append_column("data", inside)
    found = []
    for table in (flat, struct_):
        pq.write_table(table, tmp_path / "a.parquet")
        there = SimulatedTable()
        fill(there, tmp_path / "a.parquet")
        found += there.items.values()
    assert found[0] == found[1]
    assert found[0]["data"] == {"M": {"moment": {"S": "2020-01-01T00:00:00.123Z"}}}


def test_two_spellings_of_bytes_are_the_same_record(tmp_path):
    """A row whose binary value is spelt otherwise than the stored one is there already."""
    table = table_of([{**ITEM, "mark": {"B": "QQ=="}, "marks": {"BS": ["QQ==", "Qg=="]}}])
    row = {**ITEM, "mark": {"B": "QR=="}, "marks": {"BS": ["Qh==", "QR=="]}}
    done = fill(table, written(tmp_path / "a.jsonl", lines_of([row])))
    assert (done.counts.same, done.counts.refused) == (1, 0)
