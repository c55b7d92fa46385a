"""Memory stays flat: four times as many records take no more of it."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from exchanging import FORMATS, export, fill, goal

from thrivecalc_models.exchange import parquet
from thrivecalc_models.operations import Reply
from thrivecalc_models.testing import SimulatedTable

PAGE = 40
PAGES = 3  # of each segment


class Endless(SimulatedTable):
    """A table whose pages are made when they are read, and that keeps nothing."""

    def __init__(self, pages: int) -> None:
        super().__init__()
        self.pages = pages

    def answer(self, operation, request):
        if operation == "Scan":
            return Reply(body=self.page(request))
        if operation in ("PutItem", "BatchWriteItem"):
            return Reply(body={"ConsumedCapacity": None})
        return super().answer(operation, request)

    def page(self, request):
        number = int(request.get("ExclusiveStartKey", {"page": {"N": "0"}})["page"]["N"])
        user_id = f"google-oauth2|{request['Segment']}"
        items = [goal(user_id, f"g{n:07}", n) for n in range(number * PAGE, (number + 1) * PAGE)]
        last = {"LastEvaluatedKey": {"page": {"N": str(number + 1)}}}
        return {
            "ConsumedCapacity": None,
            "Items": items,
            **(last if number + 1 < self.pages else {}),
        }


def peak(run) -> int:
    tracemalloc.start()
    run()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("ending", FORMATS)
def test_an_export_takes_no_more_memory_for_more(tmp_path, monkeypatch, ending):
    """What an export holds is a page of each segment, and of Parquet a group of rows."""
    monkeypatch.setattr(parquet, "ROWS_WRITTEN", 2 * PAGE)
    export(Endless(1), tmp_path / f"first.{ending}")  # imports and caches
    some = peak(lambda: export(Endless(PAGES), tmp_path / f"some.{ending}"))
    many = peak(lambda: export(Endless(4 * PAGES), tmp_path / f"many.{ending}"))
    assert many < 1.25 * some


@pytest.mark.parametrize("ending", FORMATS)
def test_an_import_takes_no_more_memory_for_more(tmp_path, monkeypatch, ending):
    """What an import holds is a round of rows."""
    monkeypatch.setattr(parquet, "ROWS_READ", 2 * PAGE)
    for name, pages in (("some", PAGES), ("many", 4 * PAGES)):
        export(Endless(pages), tmp_path / f"{name}.{ending}")
    fill(Endless(0), tmp_path / f"some.{ending}")
    some = peak(lambda: fill(Endless(0), tmp_path / f"some.{ending}"))
    many = peak(lambda: fill(Endless(0), tmp_path / f"many.{ending}"))
    assert many < 1.25 * some


def test_refused_rows_are_not_kept(tmp_path):
    """A file of nothing but bad rows takes no more memory for more of them."""
    row = json.dumps({"Item": {"userId": {"S": "u"}}}) + "\n"
    found = []
    for count in (2_000, 8_000):
        path = tmp_path / f"{count}.jsonl"
        path.write_text(row * count)
        found.append(peak(lambda path=path: fill(Endless(0), path)))
    assert found[1] < 1.25 * found[0]
