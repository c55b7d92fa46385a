"""File formats by file extension, and what each supports."""

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
    """An open file: its rows, and how far reading it is."""

    total: int  # bytes, or rows
    stamped: frozenset[str]  # attributes that the file has not, and the import makes

    def rows(self, *, after: int) -> Iterator[Row]:
        """The rows behind that line. Raises FileProblem and OSError."""

    def done(self) -> int:
        """How much of `total` was read."""

    def close(self) -> None: ...


class Format(Protocol):
    """One way to write items down, of which the file grows at its end, so that it can be resumed.

    The file of Parquet cannot grow: for it these are the lines that the file is made of at last.
    """

    @property
    def name(self) -> str: ...

    def head(self) -> bytes:
        """What stands before the first item."""

    def line(self, item: Item) -> bytes:
        """One item. Raises RowProblem for one that cannot be written down exactly."""

    def pack(self, lines: bytes) -> bytes:
        """Some lines as they are appended to the file."""

    def reader(self, path: Path, mapped: Mapped, stamp: str) -> Reader:
        """Open a file for reading. Raises FileProblem and OSError."""


def format_of(path: Path) -> Format:
    """The format of a file's name. Raises FileProblem."""
    name = path.name.lower()
    for ends, made in _FORMATS:
        if name.endswith(ends):
            return made()
    raise FileProblem(
        f"{path}: the name says no format; let it end in .jsonl, .jsonl.gz, .csv or .parquet"
    )


_FORMATS: tuple[tuple[tuple[str, ...], Callable[[], Format]], ...] = (
    ((".jsonl.gz", ".json.gz"), lambda: JsonLines(packed=True)),
    ((".jsonl", ".json"), lambda: JsonLines(packed=False)),
    ((".csv",), Csv),
    ((".parquet",), Parquet),
)
