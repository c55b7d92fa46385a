"""Print rows under columns, in a pipe or in a terminal.

In a pipe every row is one line. In a narrow terminal a cell continues on the next line, but no word
is broken; if that is not enough, each row becomes several lines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 3  # columns between two cells
_INDENT = "  "


@attrs.frozen
class Grid:
    """The texts of a table, with the indexes of columns aligned right and of those never broken."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int]
    keep: frozenset[int]

    def print_to(self, out: Console) -> None:
        """Print the table: as wide as the terminal allows, and in a pipe as wide as it is."""
        natural = self._widths(lambda text: [text])
        if not out.is_terminal:
            self._print_to_pipe(out, natural)
            return
        room = out.width - _GAP * (len(self.columns) - 1)
        least = [
            natural[at] if at in self.keep | self.right else width
            for at, width in enumerate(self._widths(str.split))
        ]
        if sum(least) <= room:
            out.print(self._rich_table(_shared(least, natural, room)))
        else:
            for line in self._stacked(out.width):
                out.print(line, soft_wrap=True)

    def _widths(self, parts_of: Any) -> list[int]:
        """The widest part of each column's cells."""
        return [
            max(
                cell_len(part)
                for cell in [column, *(row[at] for row in self.rows)]
                for line in cell.splitlines() or [""]
                for part in parts_of(line) or [""]
            )
            for at, column in enumerate(self.columns)
        ]

    def _rich_table(self, widths: Sequence[int]) -> Table:
        table = Table(
            title=Text(self.title) if self.title else None,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            show_edge=False,
            pad_edge=False,
        )
        for at, column in enumerate(self.columns):
            table.add_column(
                Text(column),
                justify="right" if at in self.right else "left",
                overflow="fold",
                width=widths[at],
            )
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def _print_to_pipe(self, out: Console, widths: Sequence[int]) -> None:
        out.width = max(cell_len(self.title), sum(widths) + _GAP * (len(widths) - 1))
        with out.capture() as printed:
            out.print(self._rich_table(widths))
        for line in printed.get().splitlines():
            out.file.write(line.rstrip() + "\n")
        out.file.flush()

    def _stacked(self, width: int) -> Iterator[Text]:
        """Each row as lines: the first cell, and below it the others with their columns' names."""
        if self.title:
            yield Text(self.title, style="italic")
        for row in self.rows:
            yield Text(row[0].strip(), style="bold")
            cells = [
                _below(column, cell, width, whole=at in self.keep)
                for at, (column, cell) in enumerate(zip(self.columns, row, strict=True))
                if at and cell.strip()
            ]
            yield from map(Text, _joined(cells, width))


def _joined(cells: Iterable[list[str]], width: int) -> Iterator[str]:
    """The lines of all cells; cells of one line share a line as long as they fit."""
    line = ""
    for lines in cells:
        longer = f"{line}{' ' * _GAP}{lines[0].strip()}"
        if line and len(lines) == 1 and cell_len(longer) <= width:
            line = longer
            continue
        if line:
            yield line
        line = lines[0] if len(lines) == 1 else ""
        if len(lines) > 1:
            yield from lines
    if line:
        yield line


def _below(column: str, cell: str, width: int, *, whole: bool) -> list[str]:
    """The lines of a cell below its row: with its column's name in front, or indented below it."""
    lines = [line.strip() for line in cell.splitlines()]
    label = f"{_INDENT}{column}:" if column else _INDENT
    if len(lines) == 1 and cell_len(f"{label} {lines[0]}") <= width:
        return [f"{label} {lines[0]}"]
    shown = [label]
    for line in lines:
        if cell_len(_INDENT * 2 + line) <= width:
            shown.append(_INDENT * 2 + line)
        elif whole:
            shown.append(line)  # without indent: a terminal copies the line that it breaks whole
        else:
            wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
            wrapper.initial_indent = wrapper.subsequent_indent = _INDENT * 2
            shown += wrapper.wrap(line)
    return shown


def _shared(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Widths between the least and the natural ones that together fill the room."""
    widths = list(least)
    left = room - sum(least)
    growing = sorted(range(len(widths)), key=lambda at: natural[at] - least[at])
    for number, at in enumerate(growing):
        more = min(natural[at] - least[at], left // (len(growing) - number))
        widths[at] += more
        left -= more
    return widths
