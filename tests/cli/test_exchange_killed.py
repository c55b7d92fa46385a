"""Killed at any moment and run again, an export or an import ends as one that was not stopped."""

from __future__ import annotations

import gzip
import json
import random
from contextlib import suppress

import pyarrow.parquet as pq
import pytest
from exchanging import FORMATS, BreakingDisk, Killed, export, fill, full, goals, table_of

from thrivecalc_models.exchange import FileProblem, files, importing
from thrivecalc_models.testing import SimulatedTable
from thrivecalc_models.testing.faults import Interrupt, OtherWriter

ITEMS = goals(40)
TIMES = 50
PAGE = 700


def content(path):
    """What a file says, however it is packed."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return path.read_bytes()


def killed(run, rng, *, steps, requests, table):
    """Run until it ends, killed at random moments; gives how often it was."""
    kills = 0
    while True:
        table.heal()
        disk = BreakingDisk(rng.randint(1, steps * 3 // 2))
        if rng.random() < 0.3:
            number = table.sent() + rng.randint(1, requests)
            table.faults = {number: Interrupt(applied=rng.random() < 0.5)}
        try:
            return run(disk), kills
        except (Killed, KeyboardInterrupt):
            kills += 1


def names(directory):
    return sorted(each.name for each in directory.iterdir())


@pytest.mark.parametrize("ending", FORMATS)
def test_an_export_can_be_killed(tmp_path, ending):
    """After kills at random moments, at files and at requests, the file is the same, and alone."""
    table, disk = table_of(ITEMS, page_bytes=PAGE), BreakingDisk()
    export(table, tmp_path / f"whole.{ending}", disk=disk)
    whole, requests = content(tmp_path / f"whole.{ending}"), table.sent()
    assert requests > 8
    total = 0
    for seed in range(TIMES):
        path = tmp_path / str(seed) / f"a.{ending}"
        path.parent.mkdir()

        def run(disk, path=path):
            done = export(table, path, disk=disk)
            assert names(path.parent) == [path.name]
            return done

        def check(disk, path=path, run=run):
            try:
                return run(disk)
            finally:
                assert not path.exists() or content(path) == whole

        rng = random.Random(f"{ending} {seed}")
        with suppress(FileProblem):  # it is there already: it was killed when all was done
            done, kills = killed(check, rng, steps=disk.done, requests=requests, table=table)
            assert (done.records, done.refused) == (len(ITEMS), 0)
            total += kills
        assert content(path) == whole
        assert names(path.parent) == [path.name]
    assert total > TIMES


def test_an_export_goes_on_behind_what_it_has(tmp_path):
    """What was read before a kill is not read again."""
    table, disk = table_of(ITEMS, page_bytes=PAGE), BreakingDisk()
    export(table, tmp_path / "whole.jsonl", disk=disk)
    requests = table.sent()
    with pytest.raises(Killed):
        export(table, tmp_path / "a.jsonl", disk=BreakingDisk(disk.done - 8))
    before = table.sent()
    assert export(table, tmp_path / "a.jsonl").resumed
    assert table.sent() - before < requests / 2


def test_no_file_is_written_over(tmp_path):
    """A file that somebody put there meanwhile stays as it is."""
    path = tmp_path / "a.jsonl"

    def other(table):
        path.write_text("somebody else's")

    table = table_of(ITEMS)
    table.fail_next(OtherWriter(other), operation="Scan")
    for _ in range(2):
        with pytest.raises(FileProblem, match="exists already"):
            export(table, path)
        assert path.read_text() == "somebody else's"
    path.unlink()
    assert export(table, path).records == len(ITEMS)


def test_progress_of_something_else_is_not_taken(tmp_path):
    """A stopped export of another user, or a file that is none, is named with the way out."""
    table, path = table_of(ITEMS, page_bytes=PAGE), tmp_path / "a.jsonl"
    with pytest.raises(Killed):
        export(table, path, disk=BreakingDisk(20))
    with pytest.raises(FileProblem, match="belongs to an export of something else"):
        export(table, path, user_id="google-oauth2|1")
    (tmp_path / "a.jsonl.part").unlink()
    with pytest.raises(FileProblem, match=r"a\.jsonl\.part is shorter than what was written"):
        export(table, path)
    for text in ("{}", "", '{"of": "export"}', '{"of": "import"}', "[]"):
        (tmp_path / "a.jsonl.progress").write_text(text)
        with pytest.raises(FileProblem, match="is not a progress file of an export; remove it"):
            export(table, path)


FILE_ITEMS = goals(450, users=3)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Rows of which some are no items, some are there already, and some differ from what is."""
    path = tmp_path_factory.mktemp("source") / "source.jsonl"
    lines = [json.dumps({"Item": item}) for item in FILE_ITEMS]
    lines[100:100] = ["{}", "no json"]
    lines[420:420] = ['{"Item": {"userId": {"S": "u"}}}']
    path.write_text("\n".join(lines) + "\n")
    return path


def half_filled():
    table = SimulatedTable()
    for item in FILE_ITEMS[:50]:
        table.put(item)
    for item in FILE_ITEMS[300:320]:
        table.put({**item, "updatedAt": {"S": "2030-01-01T00:00:00.000Z"}})
    return table


@pytest.mark.parametrize("replace", [False, True], ids=["free keys only", "replace"])
def test_an_import_can_be_killed(source, tmp_path, monkeypatch, replace):
    """After kills at random moments, at files and at requests, table and refused rows are the same.

    No record is written over by a run that goes on, unless it is asked to.
    """
    monkeypatch.setattr(importing, "ROUNDS_A_RECORD", 2)
    whole = half_filled()
    disk = BreakingDisk()
    done = fill(whole, source, disk=disk, replace=replace)
    refused = done.refused_path.read_bytes()
    assert done.counts.refused == (3 if replace else 23)
    assert len(refused.splitlines()) == done.counts.refused
    requests = whole.sent()
    total = 0
    for seed in range(TIMES // 2):
        table = half_filled()
        path = tmp_path / str(seed) / source.name
        path.parent.mkdir()
        path.write_bytes(source.read_bytes())
        done, kills = killed(
            lambda disk, table=table, path=path: fill(table, path, disk=disk, replace=replace),
            random.Random(seed),
            steps=disk.done,
            requests=requests,
            table=table,
        )
        assert table.items == whole.items
        assert done.refused_path.read_bytes() == refused
        assert done.counts.written + done.counts.same == 450 - (0 if replace else 20)
        assert names(path.parent) == [path.name, f"{path.name}.refused.jsonl"]
        total += kills
    assert total > TIMES // 2


def test_an_import_goes_on_behind_what_it_did(source, tmp_path, monkeypatch):
    """Rows that were recorded as done are not sent again."""
    monkeypatch.setattr(importing, "ROUNDS_A_RECORD", 2)
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    table = half_filled()
    with pytest.raises(Killed):
        fill(table, path, disk=BreakingDisk(18))
    before = table.sent("PutItem")
    assert fill(table, path).resumed
    assert table.sent("PutItem") - before < 400


@pytest.mark.parametrize("ending", FORMATS)
def test_a_full_disk_leaves_no_half_file(tmp_path, ending):
    """Wherever the disk is full there is no file of that name, one line of advice, and a way on."""
    table, disk = table_of(ITEMS, page_bytes=PAGE), BreakingDisk()
    export(table, tmp_path / f"whole.{ending}", disk=disk)
    whole = content(tmp_path / f"whole.{ending}")
    for at in range(1, disk.done - 3, 3):
        path = tmp_path / str(at) / f"a.{ending}"
        path.parent.mkdir()
        with pytest.raises(FileProblem, match="No space left on device; make room") as caught:
            export(table, path, disk=full(at))
        assert "\n" not in str(caught.value)
        assert not path.exists()
        export(table, path)
        assert content(path) == whole


def test_two_runs_at_once(tmp_path):
    """While a file is written or imported nobody else may; afterwards there is no trace of it."""
    path = tmp_path / "a.jsonl"
    with files.exclusive(path):
        with pytest.raises(FileProblem, match="another run"):
            export(table_of(ITEMS), path)
        with pytest.raises(FileProblem, match="another run"), files.exclusive(path):
            pass
    assert names(tmp_path) == []
    export(table_of(ITEMS), path)
    with files.exclusive(path), pytest.raises(FileProblem, match="another run"):
        fill(table_of([]), path)
    assert names(tmp_path) == [path.name]
