"""`thrivecalc export` and `thrivecalc import` on every engine: what they print and how they end."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from io import FileIO

import attrs
import pytest
from cli import DATA, needs_full, on_moto, run, run_alone, sample_items
from exchanging import FORMATS, goals
from proxy import FaultyProxy, always

from thrivecalc_models.exchange import Disk
from thrivecalc_models.testing import faults


def second(place, name="second"):
    """Another table beside it, empty."""
    other = attrs.evolve(place, name=f"{place.name}-{name}")
    with other.store() as store:
        store.create_table()
    return other


@pytest.fixture
def few(made):
    """The table with a few records."""
    made.fill(goals(12))
    return made


def in_any_order(items):
    """Engines give sets in an order of their own."""
    return json.loads(json.dumps(items), object_hook=sorted_sets)


def sorted_sets(value):
    return {
        tag: sorted(content) if tag in ("SS", "NS", "BS") and isinstance(content, list) else content
        for tag, content in value.items()
    }


def test_the_samples_go_to_a_file_and_back(filled, tmp_path):
    """All samples, the odd ones too, are exported in each format and imported, item by item."""
    before = in_any_order(filled.items())
    for ending in FORMATS:
        path = tmp_path / f"records.{ending}"
        assert filled.run("export", str(path)).stdout == f"{path}: 353 records\n"
        other = second(filled, ending)
        done = other.json("import", str(path), "--replace")  # which is faster
        assert (done["written"], done["same"], done["refused"]) == (353, 0, 0)
        assert in_any_order(other.items()) == before
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {each.name for each in tmp_path.iterdir()} == {f"records.{each}" for each in FORMATS}


@pytest.mark.parametrize("name", ["records.jsonl", "odd-items.jsonl"])
def test_the_samples_are_imported_as_they_are(made, tmp_path, name):
    """The files of the samples, as another program wrote them, become the table; twice is once."""
    path = tmp_path / name
    path.write_bytes((DATA / name).read_bytes())
    items = sample_items(name)
    counts = f"{len(items)} written, 0 already stored, 0 refused"
    assert made.run("import", str(path)).stdout == f"{path}: {counts}\n"
    expected = sorted(items, key=lambda item: (item["userId"]["S"], item["recordKey"]["S"]))
    assert in_any_order(made.items()) == in_any_order(expected)
    counts = f"0 written, {len(items)} already stored, 0 refused"
    assert made.run("import", str(path)).stdout == f"{path}: {counts}\n"


def test_another_record_stays_unless_replaced(few, tmp_path):
    """A changed record is not overwritten: its row is refused, with exit code 1; --replace does."""
    path = tmp_path / "a.jsonl"
    few.run("export", str(path), "--user", "google-oauth2|1")
    before = few.items()
    with few.store() as store:
        user = store.user("google-oauth2|1")
        goal = user.list("savings-goal", consistent=True)[0]
        goal.data.name = "Changed"
        user.update(goal)
    newer = few.items()
    checked = few.json("import", str(path), "--check", exit_code=1)
    result = few.run("import", str(path), exit_code=1)
    refused = tmp_path / "a.jsonl.refused.jsonl"
    assert "1 refused" in result.stdout
    assert result.stderr == f"1 row was refused; {refused} has all of them\n"
    (line,) = map(json.loads, refused.read_text().splitlines())
    assert line["key"]["recordKey"] == goal.record_key
    assert [each["key"]["recordKey"] for each in checked["refusals"]] == [goal.record_key]
    assert few.items() == newer
    few.run("import", str(path), "--replace")
    assert few.items() == before
    assert not refused.exists()


@on_moto
def test_what_stopped_goes_on_after_a_real_kill(made, tmp_path):
    """Processes killed at random moments, then run again: file and table are as they should be."""
    made.fill(goals(250))
    rng, kills = random.Random(7), 0
    other = second(made)
    path = tmp_path / "a.jsonl.gz"
    for command in (["export", *made.options], ["import", *other.options]):
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-m", "thrivecalc_models.cli", *command, str(path)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(0.3 + rng.random() * 0.5)
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
            assert not path.exists() or len(gzip.decompress(path.read_bytes()).splitlines()) == 250
        if not path.exists() or command[0] == "import":
            run(*command, str(path))
    assert kills > 1
    assert other.items() == made.items()


@on_moto
def test_no_colours_no_traceback_and_the_exit_codes(few, tmp_path):
    """As a user runs it: 0 for a whole export, 1 for refused rows, 2 for a file that is there."""
    path = tmp_path / "a.csv"
    done = run_alone("export", str(path), *few.options)
    assert (done.stdout, done.stderr) == (f"{path}: 12 records\n", "")
    done = run_alone("export", str(path), *few.options, exit_code=2)
    assert done.stderr == f"Error: {path} exists already; choose another name, or remove it\n"
    bad = tmp_path / "bad.jsonl"
    bad.write_text("nonsense\n")
    done = run_alone("import", str(bad), *few.options, exit_code=1)
    assert "not JSON" in done.stdout
    assert "1 row was refused" in done.stderr


def one_line(result, *texts):
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for text in texts:
        assert text in result.stderr


@on_moto
@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("missing.jsonl", None, ["No such file", "check the name"]),
        ("a.txt", b"", ["has no known extension", ".parquet"]),
        ("a.jsonl.gz", b"no gzip", ["is not a gzip file"]),
        ("cut.jsonl.gz", gzip.compress(b'{"Item": {}}\n' * 99)[:-12], ["is cut off"]),
        ("a.parquet", b"no parquet", ["is not a Parquet file"]),
        ("empty.csv", b"", ["has no column for userId, dataType, recordId", "--map userId=COLUMN"]),
        ("a.csv", b"userId,recordKey,unheardOf\n", ["unheardOf", "--ignore unheardOf"]),
        ("latin.csv", "userId,recordKey\né,é\n".encode("latin-1"), ["line 2", "UTF-8"]),
        ("quote.csv", b'userId,recordKey\n"u,k\n', ["line 2", "a quote is missing"]),
    ],
)
def test_a_file_that_cannot_be_read(made, tmp_path, name, content, texts):
    """One line that names the file and the way out, and exit code 2."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    one_line(made.run("import", str(path), exit_code=2), str(path), *texts)


@on_moto
def test_options_that_cannot_be_meant(made, tmp_path):
    """A --map without a name, twice, of unknown names; --map of a file without columns."""
    path = tmp_path / "a.csv"
    path.write_text("userId,recordKey\n")
    for options, text in [
        (("--map", "userId"), "STORED=COLUMN"),
        (("--map", "userId=a", "--map", "userId=b"), "given twice"),
        (("--map", "x=userId"), "the table has no x"),
        (("--map", "userId=x"), "has no column x"),
        (("--ignore", "x"), "has no column x"),
    ]:
        one_line(made.run("import", str(path), *options, exit_code=2), text)
    lines = tmp_path / "a.jsonl"
    lines.write_text("")
    one_line(made.run("import", str(lines), "--ignore", "x", exit_code=2), "have none")
    one_line(made.run("export", str(tmp_path / "no" / "a.csv"), exit_code=2), "not a directory")
    one_line(made.run("export", str(tmp_path / "b.csv"), "--user", "", exit_code=2), "user id")


@on_moto
def test_a_table_with_other_keys(place, tmp_path):
    """Exit code 2 before anything is read or written, and no file is left."""
    place.client.create_table(
        TableName=place.name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    one_line(
        place.run("export", str(tmp_path / "a.csv"), exit_code=2), "has other keys than userId"
    )
    (tmp_path / "a.jsonl").write_text("")
    one_line(place.run("import", str(tmp_path / "a.jsonl"), exit_code=2), "has other keys")
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


@on_moto
@pytest.mark.parametrize("operation", ["Scan", "PutItem"])
def test_a_denied_action(few, tmp_path, operation):
    """Exit code 3, the action is named, there is no file; allowed, the same command continues."""
    path = tmp_path / "a.jsonl"
    command = "export" if operation == "Scan" else "import"
    if command == "import":
        path.write_text("".join(json.dumps({"Item": item}) + "\n" for item in goals(12)))
    with FaultyProxy(few.engine.endpoint) as proxy:
        proxy.schedule = always(faults.Denied(), operation)
        through = few.through(proxy.endpoint)
        one_line(through.run(command, str(path), exit_code=3), f"dynamodb:{operation}")
        assert path.exists() == (command == "import")
        proxy.schedule = None
        through.run(command, str(path))


@on_moto
def test_no_table_and_no_credentials(place, tmp_path, monkeypatch):
    """Both are exit code 3, and leave no file."""
    path = tmp_path / "a.jsonl"
    one_line(place.run("export", str(path), exit_code=3), "thrivecalc table create")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    result = run("export", str(path), "--endpoint", "https://dynamodb.invalid", exit_code=3)
    one_line(result, "no credentials were found")
    assert list(tmp_path.iterdir()) == []


@needs_full
@on_moto
def test_a_full_disk(few, tmp_path, monkeypatch):
    """A real "No space left on device" is one line and exit code 2, and no file of that name."""
    open_file = Disk.open

    def without_room(disk, path):
        return FileIO("/dev/full", "r+") if path.suffix == ".part" else open_file(disk, path)

    for ending in FORMATS:
        path = tmp_path / f"a.{ending}"
        with monkeypatch.context() as patch:
            patch.setattr(Disk, "open", without_room)
            one_line(
                few.run("export", str(path), exit_code=2), "No space left on device; make room"
            )
        assert not path.exists()
        assert few.run("export", str(path)).stdout == f"{path}: 12 records\n"


@on_moto
def test_ctrl_c(few, tmp_path):
    """One line says what is left, exit code 130, and the same command continues."""
    path = tmp_path / "a.jsonl"
    with FaultyProxy(few.engine.endpoint) as proxy:

        def interrupt(number, operation, request):
            if operation == "Scan":
                os.kill(os.getpid(), signal.SIGINT)

        proxy.schedule = interrupt
        through = few.through(proxy.endpoint)
        result = through.run("export", str(path), exit_code=130)
        assert "the same command continues" in result.stderr
        assert not path.exists()
        proxy.schedule = None
        through.run("export", str(path))
    assert len(path.read_text().splitlines()) == 12


@on_moto
def test_json(few, tmp_path):
    """With --json the result is all that is on standard output."""
    path = tmp_path / "a.parquet"
    assert few.json("export", str(path)) == {
        "file": str(path),
        "records": 12,
        "refused": 0,
        "refusedFile": None,
        "resumed": False,
    }
    assert few.json("import", str(path)) == {
        "file": str(path),
        "check": False,
        "written": 0,
        "same": 12,
        "refused": 0,
        "others": 0,
        "refusals": [],
        "refusedFile": None,
        "resumed": False,
    }


def test_without_pyarrow(tmp_path, monkeypatch):
    """Parquet without pyarrow is one line with the command that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    one_line(run("export", str(tmp_path / "a.parquet"), exit_code=2), "thrivecalc-models[arrow]")


@pytest.mark.parametrize("command", ["export", "import"])
def test_the_help_fits_80_columns(command):
    """Every line of the help fits a narrow terminal."""
    lines = run(command, "--help").stdout.splitlines()
    assert max(map(len, lines)) <= 80


@on_moto
def test_what_is_said_about_a_csv_file(made, tmp_path):
    """--delimiter names what parts cells, --progress where it is kept; both are checked first."""
    path = tmp_path / "a.csv"
    path.write_text("userId|recordKey|dataType\nu|note#1|note\n")
    progress = tmp_path / "elsewhere" / "mine"
    progress.parent.mkdir()
    command = ["import", str(path), "--progress", str(progress)]
    result = made.run(*command, "--delimiter", "|")
    assert result.stdout == f"{path}: 1 written, 0 already stored, 0 refused\n"
    for wrong in ("||", "a", "", '"'):
        one_line(made.run(*command, "--delimiter", wrong, exit_code=2), "--delimiter", "or tab")
    lines = tmp_path / "a.jsonl"
    lines.write_text("")
    one_line(made.run("import", str(lines), "--delimiter", "tab", exit_code=2), "have none")


NOWHERE = ("--endpoint", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("import", "nope.jsonl"), "nope.jsonl cannot be imported: No such file"),
        (("import", "a.txt"), "has no known extension"),
        (("import", "a.csv"), "has columns that the table has no name for"),
        (("import", "a.csv", "--check"), "has columns that the table has no name for"),
        (("import", "a.csv", "--map", "userId"), "STORED=COLUMN"),
        (("import", "a.csv", "--user", ""), "user id"),
        (("export", "a.csv"), "exists already"),
        (("export", "no/a.csv"), "not a directory"),
        (("export", "b.csv", "--user", ""), "user id"),
        (("export", "dangling.csv"), "is a link to a file that is not there"),
        (("erase", ""), "user id"),
        (("show", ""), "user id"),
        (("show", "u", "--type", "a#b"), "#"),
        (("audit", "--user", ""), "user id"),
        (("audit", "--apply"), "--repair"),
        (("users", "--table", "no name"), "table"),
        (("backup", "create", "--name", "no name"), "backup"),
        (("backup", "restore", "--backup", "no-arn", "--into", "other"), "ARN"),
        (("backup", "restore", "--latest", "--into", "no name"), "table"),
        (("backup", "restore", "--at", "2999-01-01T00:00:00Z", "--into", "other"), "future"),
        (("backup", "restore", "--latest", "--into", "one", "--table", "one"), "a new one"),
        (("cost", "--measure", "--prices", "nope.json"), "nope.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_given_is_checked_before_the_network(tmp_path, monkeypatch, words, text):
    """Files, settings and arguments are refused with 2 where nothing listens at the endpoint."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("who,what\n")
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "not-there.csv")
    before = sorted(each.name for each in tmp_path.iterdir())
    one_line(run(*words, *NOWHERE, exit_code=2), text)
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_a_seed_is_checked_before_an_engine_starts(tmp_path, monkeypatch):
    """`local` refuses a file that cannot be imported before it starts anything."""

    def started(*args):
        raise AssertionError("an engine was started")

    monkeypatch.setattr("thrivecalc_models.cli.local.started", started)
    one_line(run("local", "--seed", str(tmp_path / "no.jsonl"), exit_code=2), "No such file")
    (tmp_path / "a.csv").write_text("who,what\n")
    one_line(run("local", "--seed", str(tmp_path / "a.csv"), exit_code=2), "who, what")


@on_moto
def test_an_export_to_a_link_goes_through_it_or_not_at_all(few, tmp_path):
    """A link to a file that is not there is refused and stays a link."""
    link = tmp_path / "a.csv"
    link.symlink_to(tmp_path / "target.csv")
    one_line(few.run("export", str(link), exit_code=2), "name that file instead")
    assert link.is_symlink()
    assert not link.exists()
