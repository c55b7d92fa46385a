"""The file formats, chosen by the extension, and what each must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange.columns import Mapped
from thrivecalc_models.exchange.csvfile import Csv
from thrivecalc_models.exchange.jsonlines import JsonLines
from thrivecalc_models.exchange.parquet import Parquet
from thrivecalc_models.exchange.rows import Row
from thrivecalc_models.wire import Item


class Reader(Protocol):
    """An open file: its rows, and the progress of reading it."""

    total: int  # bytes, or rows
    stamped: frozenset[str]  # timestamps that the file lacks and the import sets

    def rows(self, *, after: int) -> Iterator[Row]:
        """Yield the rows after that line. Raises FileProblem and OSError."""

    def done(self) -> int:
        """Return how much of `total` was read."""

    def close(self) -> None: ...


class Format(Protocol):
    """A file format. An export appends its lines to a file, so that it can be resumed.

    A Parquet file cannot grow: its lines are those of a file that is converted at the end.
    """

    @property
    def name(self) -> str: ...

    def head(self) -> bytes:
        """Return what the file begins with, before the first item."""

    def line(self, item: Item) -> bytes:
        """Encode one item. Raises RowProblem if the format cannot hold it exactly."""

    def pack(self, lines: bytes) -> bytes:
        """Return lines as they are appended to the file: compressed, if the format is."""

    def reader(self, path: Path, mapped: Mapped, stamp: str) -> Reader:
        """Open a file for reading. Raises FileProblem and OSError."""


def format_of(path: Path) -> Format:
    """Return the format that the file's extension names. Raises FileProblem."""
    name = path.name.lower()
    for ends, made in _FORMATS:
        if name.endswith(ends):
            return made()
    raise FileProblem(
        f"{path}: the name has no known extension; use .jsonl, .jsonl.gz, .csv or .parquet"
    )


_FORMATS: tuple[tuple[tuple[str, ...], Callable[[], Format]], ...] = (
    ((".jsonl.gz", ".json.gz"), lambda: JsonLines(packed=True)),
    ((".jsonl", ".json"), lambda: JsonLines(packed=False)),
    ((".csv",), Csv),
    ((".parquet",), Parquet),
)
