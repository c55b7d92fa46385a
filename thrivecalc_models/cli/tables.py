"""Rows under columns, in a pipe and in a terminal; what is copied from them stays whole.

In a pipe every row is one line. In a terminal that is too narrow, text goes on below itself, but no
word is ever broken; where that is not enough, each row becomes a few lines of their own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
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
    """The texts of a table. The columns of `keep` are never broken, not at blanks either."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int]
    keep: frozenset[int]

    def print_to(self, out: Console) -> None:
        """Print it as wide as the terminal allows; in a pipe as wide as it is."""
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
            out.print(self._made(_shared(least, natural, room)))
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

    def _made(self, widths: Sequence[int]) -> Table:
        made = Table(
            title=Text(self.title) if self.title else None,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            show_edge=False,
            pad_edge=False,
        )
        for at, column in enumerate(self.columns):
            made.add_column(
                Text(column),
                justify="right" if at in self.right else "left",
                overflow="fold",
                width=widths[at],
            )
        for row in self.rows:
            made.add_row(*map(Text, row))
        return made

    def _print_to_pipe(self, out: Console, widths: Sequence[int]) -> None:
        out.width = max(cell_len(self.title), sum(widths) + _GAP * (len(widths) - 1))
        with out.capture() as printed:
            out.print(self._made(widths))
        for line in printed.get().splitlines():
            out.file.write(line.rstrip() + "\n")
        out.file.flush()

    def _stacked(self, width: int) -> Iterator[Text]:
        """Each row as lines: the first cell, and below it the others with their columns' names."""
        if self.title:
            yield Text(self.title, style="italic")
        for row in self.rows:
            yield Text(row[0].strip(), style="bold")
            for at, (column, cell) in enumerate(zip(self.columns[1:], row[1:], strict=True), 1):
                if cell.strip():
                    yield from map(Text, _below(column, cell, width, whole=at in self.keep))


def _below(column: str, cell: str, width: int, *, whole: bool) -> Iterator[str]:
    lines = [line.strip() for line in cell.splitlines()]
    label = f"{_INDENT}{column}:" if column else _INDENT
    if len(lines) == 1 and cell_len(f"{label} {lines[0]}") <= width:
        yield f"{label} {lines[0]}"
        return
    yield label
    for line in lines:
        if cell_len(_INDENT * 2 + line) <= width:
            yield _INDENT * 2 + line
        elif whole:
            yield line  # by itself, so that the terminal alone breaks it, and copies it whole
        else:
            yield from textwrap.wrap(
                line,
                width,
                initial_indent=_INDENT * 2,
                subsequent_indent=_INDENT * 2,
                break_long_words=False,
                break_on_hyphens=False,
            )


def _shared(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Widths between the least and the natural ones, which share the room that is left."""
    widths = list(least)
    left = room - sum(least)
    growing = sorted(range(len(widths)), key=lambda at: natural[at] - least[at])
    for number, at in enumerate(growing):
        more = min(natural[at] - least[at], left // (len(growing) - number))
        widths[at] += more
        left -= more
    return widths
