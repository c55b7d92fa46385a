"""What tests of exports and imports share: simulated tables, files, and a disk that breaks."""

from __future__ import annotations

import errno
import math
import os
import random
from pathlib import Path
from typing import Any

from thrivecalc_models.exchange import Disk, Options, export_table, import_file
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.whole_table import WholeTable

FORMATS = ["jsonl", "jsonl.gz", "csv", "parquet"]


class Killed(BaseException):
    """The process ends here, as after SIGKILL: nothing of ours runs any more."""


class BreakingDisk(Disk):
    """Kills, or is full, at the `at`-th thing that is done to a file; a write is half done.

    A kill loses what was not synchronised, or a random part of it, as a power cut does.
    """

    def __init__(self, at: float = math.inf, error: BaseException | None = None) -> None:
        self.done = 0
        self._at = at
        self._error = error
        self._safe: dict[Path, int] = {}
        self._paths: dict[int, Path] = {}
        self._rng = random.Random(str(at))

    def open(self, path):
        self._count()
        file = super().open(path)
        self._paths[file.fileno()] = path
        self._safe.setdefault(path, path.stat().st_size)
        return file

    def cut(self, file, size):
        self._count()
        super().cut(file, size)

    def write(self, file, content):
        self._count(lambda: super(BreakingDisk, self).write(file, content[: len(content) // 2]))
        super().write(file, content)

    def sync(self, file):
        self._count()
        self._safe[self._paths[file.fileno()]] = os.fstat(file.fileno()).st_size

    def rename(self, old, new):
        self._count()
        os.replace(old, new)
        self._safe.pop(old, None)

    def remove(self, path):
        self._count()
        super().remove(path)
        self._safe.pop(path, None)

    def _count(self, before=lambda: None):
        self.done += 1
        if self.done == self._at:
            before()
            if self._error is not None:
                raise self._error
            self._lose()
            raise Killed

    def _lose(self):
        for path, safe in self._safe.items():
            size = path.stat().st_size if path.exists() else 0
            if size > safe:
                os.truncate(path, self._rng.choice([safe, self._rng.randint(safe, size), size]))


def full(at: int) -> BreakingDisk:
    return BreakingDisk(at, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def table_of(items: list[dict[str, Any]], **options: Any) -> SimulatedTable:
    table = SimulatedTable(**options)
    for item in items:
        table.put(item)
    return table


def whole(table: SimulatedTable, **options: Any) -> WholeTable:
    return WholeTable(simulated_store(table, **options))


def export(table: SimulatedTable, path: Path, **options: Any):
    return export_table(whole(table), path, **options)


def fill(table: SimulatedTable, path: Path, *, disk: Disk | None = None, **options: Any):
    """Import a file in the table's virtual time."""
    return import_file(
        whole(table),
        path,
        Options(**options),
        disk=disk,
        monotonic=table.monotonic,
        sleep=table.sleep,
    )


def goals(count: int, *, users: int = 7) -> list[dict[str, Any]]:
    """Savings goals of some users, an extra in each third one."""
    return [goal(f"google-oauth2|{n % users}", f"g{n:04}", n) for n in range(count)]


def goal(user_id: str, record_id: str, n: int) -> dict[str, Any]:
    data = {"name": {"S": f"Goal {n}"}, "targetAmount": {"N": str(n + 0.25)}}
    return {
        "userId": {"S": user_id},
        "recordKey": {"S": f"savings-goal#{record_id}"},
        "dataType": {"S": "savings-goal"},
        "recordId": {"S": record_id},
        "createdAt": {"S": "2025-01-01T00:00:00.000Z"},
        "updatedAt": {"S": "2025-01-07T12:30:00.000Z"},
        "data": {"M": data | ({} if n % 3 else {"colour": {"S": "green"}})},
    }
