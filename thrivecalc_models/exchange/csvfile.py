"""CSV: one row for each item, in UTF-8, with the columns of `columns`; containers are JSON text.

An empty cell is an absent attribute. Empty texts, and texts that a spreadsheet would run as a
formula, go to `rest`. Files that are read may have other delimiters and line ends.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from thrivecalc_models.codec import scalar_of
from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange import jsontext
from thrivecalc_models.exchange.cells import NoCell, cell_of, text_scalar
from thrivecalc_models.exchange.columns import (
    REST,
    Mapped,
    cells_of,
    layout,
    registered_columns,
)
from thrivecalc_models.exchange.jsonlines import MAX_LINE
from thrivecalc_models.exchange.rows import Row, RowProblem
from thrivecalc_models.exchange.sniff import HEAD, MARK, check_beginning
from thrivecalc_models.payloads import kinds
from thrivecalc_models.wire import AttributeValue, Item
from thrivecalc_models.words import plural

DELIMITERS = (",", ";", "\t")
"""Delimiters that are detected in the header; others must be given."""

_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_PARTS = re.compile(r"[;\t\r\n]")
_SEPARATOR = re.compile(rb'"?sep=([^\r\n])"?\r?\n', re.IGNORECASE)


class Csv:
    """The format of CSV files."""

    name = "CSV"

    def __init__(self) -> None:
        self._columns = registered_columns()
        self._names = [*self._columns.kinds, REST]

    def head(self) -> bytes:
        return _line(self._names)

    def line(self, item: Item) -> bytes:
        cells, rest = cells_of(item, self._columns, _cell)
        try:
            if rest:
                cells[REST] = _without_delimiters(jsontext.dumps(rest).decode())
            return _line([cells.get(name, "") for name in self._names])
        except (jsontext.NotJsonError, UnicodeEncodeError):
            raise RowProblem("the item holds text that UTF-8 cannot hold") from None

    def pack(self, lines: bytes) -> bytes:
        return lines

    def reader(self, path: Path, mapped: Mapped, stamp: str) -> CsvReader:
        return CsvReader(path, mapped, stamp)


def _line(cells: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()


def _cell(kind: kinds.FieldKind, form: AttributeValue) -> str:
    """The text of a cell. Raises NoCell for what would not be read as the same value."""
    cell = cell_of(kind, form, text_scalar)
    if scalar_of(kind) is None:
        return _without_delimiters(_plain_json(cell))
    if isinstance(cell, bool):
        return "true" if cell else "false"
    text = str(cell)
    if not text or "\0" in text or ("S" in form and _is_formula(text)):
        raise NoCell
    return text


def _is_formula(text: str) -> bool:
    """Whether a spreadsheet may run the text, or a part of it if it separates cells at `;`."""
    parts = _PARTS.split(text)
    return text.startswith(("\t", "\r", "\n")) or any(
        part.lstrip(" '\"").startswith(_FORMULA) for part in parts
    )


def _without_delimiters(text: str) -> str:
    """Escape `;` in JSON text: some spreadsheets begin another cell at it."""
    return text.replace(";", "\\u003b")


def _plain_json(value: Any) -> str:
    """JSON text that keeps the digits of every `Number`, which `json.dumps` would quote."""
    if isinstance(value, jsontext.Number):
        return str(value)
    if isinstance(value, dict):
        members = (
            f"{json.dumps(n, ensure_ascii=False)}: {_plain_json(v)}" for n, v in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_plain_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


class CsvReader:
    """The rows of a CSV file. Raises FileProblem for a file that is not CSV in UTF-8."""

    def __init__(self, path: Path, mapped: Mapped, stamp: str) -> None:
        csv.field_size_limit(MAX_LINE)
        self._path = path
        self._file = path.open("rb")
        self.total = path.stat().st_size
        self._last = ""
        self._header: list[str] = []
        try:
            self._begin(mapped.delimiter)
            self._header = self._next() or []
            self._layout = layout(path, self._header, mapped, stamp)
        except FileProblem:
            self.close()
            raise
        self.stamped = self._layout.stamped
        kinds_of = self._layout.columns.kinds
        self._containers = {
            source
            for name, source in self._layout.sources.items()
            if name in kinds_of and scalar_of(kinds_of[name]) is None
        }

    def _begin(self, delimiter: str | None) -> None:
        """Detect the line end and the delimiter, and position the file before the header."""
        head = self._file.read(HEAD)
        check_beginning(self._path, head, wanted="CSV file")
        said = _SEPARATOR.match(head.removeprefix(MARK))
        start = 0
        if said:  # a line `sep=;` for spreadsheets
            start = len(head) - len(head.removeprefix(MARK)) + said.end()
        self._file.seek(start)
        self._lines_before = 1 if said else 0
        self._ends = _line_end(head[start:])
        header = _text_of_line(head[start:], self._ends)
        own = said[1].decode("latin-1") if said else _delimiter_of(header)
        self._delimiter = delimiter or own
        self._reader = csv.reader(self._lines(), strict=True, delimiter=self._delimiter)

    def rows(self, *, after: int) -> Iterator[Row]:
        while True:
            line = self._line()
            try:
                cells = self._next()
            except _BareReturnError:
                if line > after:
                    yield Row(line, problem=_BARE_RETURN)
                continue
            if cells is None:
                return
            if line > after and cells:
                yield self._row(line, cells)

    def done(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    def _line(self) -> int:
        """The number of the next line."""
        return self._reader.line_num + self._lines_before + 1

    def _lines(self) -> Iterator[str]:
        """Lines as text for the reader of the csv module, which joins those of a quoted cell."""
        encoding = "utf-8-sig"  # spreadsheets write a byte order mark
        for line in _lines_of(self._file, self._ends):
            self._last = line.decode(encoding)
            yield self._last
            encoding = "utf-8"
        self._last = ""

    def _next(self) -> list[str] | None:
        """The cells of the next row, or None at the end. Raises FileProblem, _BareReturnError."""
        line = self._line()
        try:
            return next(self._reader, None)
        except UnicodeDecodeError:
            reason = "is not in UTF-8; save it as CSV UTF-8"
        except csv.Error:
            if self._header and self._ends == b"\n" and "\r" in self._last.rstrip("\r\n"):
                raise _BareReturnError from None
            reason = "is not CSV: a quote is missing, or the file was cut off; correct the line"
        raise FileProblem(f"{self._path}, line {line} {reason}")

    def _row(self, line: int, cells: list[str]) -> Row:
        """The row of a line's cells, refused if their number is not that of the columns."""
        if len(cells) != len(self._header):
            reason = (
                f"the row has {plural(len(cells), 'cell')} for"
                f" {plural(len(self._header), 'column')}; a cell with the delimiter in it needs"
                " quotes"
            )
            return Row(line, problem=reason)
        row: dict[str, Any] = {}
        for name, text in zip(self._header, cells, strict=True):
            if text:
                row[name] = self._value(name, text)
        return self._layout.row(line, row)

    def _value(self, column: str, text: str) -> Any:
        """The text of a cell, or the value of its JSON; bad JSON is refused later, as text."""
        if column not in self._containers:
            return text
        try:
            return jsontext.loads_exactly(text)
        except jsontext.NotJsonError:
            return text


class _BareReturnError(Exception):
    """Raised for a carriage return by itself in a cell without quotes."""


_BARE_RETURN = "a cell has a carriage return by itself; put the cell in quotes, or remove it"


def _line_end(head: bytes) -> bytes:
    """The line end of the first line: `\\n`, also after `\\r`, or `\\r` by itself."""
    found = re.search(rb"\r+\n|\n|\r", head)
    return b"\r" if found and found[0] == b"\r" else b"\n"


def _text_of_line(head: bytes, ends: bytes) -> str:
    return head.partition(ends)[0].decode("utf-8-sig", "replace").rstrip("\r\n")


def _delimiter_of(header: str) -> str:
    """The delimiter that splits a header into the most columns."""

    def columns(delimiter: str) -> int:
        return len(next(csv.reader([header], delimiter=delimiter), []))

    return max(DELIMITERS, key=columns)


def _lines_of(file: BinaryIO, ends: bytes) -> Iterator[bytes]:
    """Yield every line with its end. Raises csv.Error for one longer than MAX_LINE."""
    if ends == b"\n":
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise csv.Error("line too long")
            yield line
        return
    kept = b""
    while some := file.read(HEAD):
        *lines, kept = (kept + some).split(ends)
        for line in lines:
            yield line + ends
        if len(kept) > MAX_LINE:
            raise csv.Error("line too long")
    if kept:
        yield kept
