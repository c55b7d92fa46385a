"""`thrivecalc export` and `thrivecalc import` on every engine: what they print and how they end."""

from __future__ import annotations

import json

import pytest

from cli import made, place, filled, run, run_alone, sample_items  # noqa: F401

FORMATS = ["jsonl", "jsonl.gz", "csv", "parquet"]


@pytest.mark.parametrize("ending", FORMATS)
def test_the_samples_go_to_a_file_and_back(filled, tmp_path, ending):
    """All samples, the odd ones too, are exported and imported again, item by item."""
    path = tmp_path / f"records.{ending}"
    before = filled.items()
    assert f"{path}: 353 records\n" in filled.run("export", str(path)).stdout
    for item in before:
        filled.client.delete_item(
            TableName=filled.name, Key={n: item[n] for n in ("userId", "recordKey")}
        )
    assert filled.items() == []
    done = filled.json("import", str(path))
    assert (done["written"], done["same"], done["refused"]) == (353, 0, 0)
    assert filled.items() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
