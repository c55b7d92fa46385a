"""CSV: a row an item, in UTF-8, with the columns of `columns`; containers are JSON text.

An empty cell is an absent attribute. Texts that a spreadsheet would take for a formula stay in
`rest`, as empty ones do.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from thrivecalc_models.payloads import kinds
from thrivecalc_models.wire import AttributeValue, Item

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CONTAINERS = (kinds.ListOf, kinds.DictOf, kinds.SetOfText, kinds.Nested)


class Csv:
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
                cells[REST] = jsontext.dumps(rest).decode()
            return _line([cells.get(name, "") for name in self._names])
        except (jsontext.NotJsonError, UnicodeEncodeError):
            problem = RowProblem("the item holds text that UTF-8 cannot hold")
        raise problem

    def pack(self, lines: bytes) -> bytes:
        return lines

    def reader(self, path: Path, mapped: Mapped, stamp: str) -> CsvReader:
        return CsvReader(path, mapped, stamp)


def _line(cells: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()


def _cell(kind: kinds.Kind, form: AttributeValue) -> str:
    cell = cell_of(kind, form, text_scalar)
    if isinstance(kind, _CONTAINERS):
        return _plain_json(cell)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    text = str(cell)
    if not text or "\0" in text or (isinstance(kind, kinds.Text) and text.startswith(_FORMULA)):
        raise NoCell
    return text


def _plain_json(value: Any) -> str:
    """JSON text with numbers as they are, which no `json.dumps` can write."""
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
    def __init__(self, path: Path, mapped: Mapped, stamp: str) -> None:
        csv.field_size_limit(MAX_LINE)
        self._path = path
        self._file = path.open("rb")
        self.total = path.stat().st_size
        self._reader = csv.reader(self._lines(), strict=True)
        self._header: list[str] = []
        try:
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
            if isinstance(kinds_of.get(name), _CONTAINERS)
        }

    def rows(self, *, after: int) -> Iterator[Row]:
        line = self._reader.line_num + 1
        while (cells := self._next()) is not None:
            if line > after and cells:
                yield self._row(line, cells)
            line = self._reader.line_num + 1

    def done(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    def _lines(self) -> Iterator[str]:
        """Lines as text, for a reader that knows itself where a quoted one goes on."""
        encoding = "utf-8-sig"  # spreadsheets write a mark in front
        while line := self._file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise csv.Error("line too long")
            yield line.decode(encoding)
            encoding = "utf-8"

    def _next(self) -> list[str] | None:
        line = self._reader.line_num + 1
        try:
            return next(self._reader, None)
        except UnicodeDecodeError:
            reason = "is not in UTF-8; save it as CSV UTF-8"
        except csv.Error:
            reason = "is no CSV: a quote is missing, or the file was cut off; mend the line"
        raise FileProblem(f"{self._path}, line {line} {reason}")

    def _row(self, line: int, cells: list[str]) -> Row:
        if len(cells) != len(self._header):
            reason = f"the row has {len(cells)} cells, and there are {len(self._header)} columns"
            return Row(line, problem=reason)
        row: dict[str, Any] = {}
        for name, text in zip(self._header, cells, strict=True):
            if text:
                row[name] = self._value(name, text)
        return self._layout.row(line, row)

    def _value(self, column: str, text: str) -> Any:
        """The text, or what its JSON says; text that is none is refused with the other cells."""
        if column not in self._containers:
            return text
        try:
            return jsontext.loads_exactly(text)
        except jsontext.NotJsonError:
            return text
