"""DynamoDB's JSON, one item a line: `{"Item": {...}}`, as its export to S3 writes it; gzip or not.

Source: "DynamoDB table export output format", Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange import jsontext
from thrivecalc_models.exchange.columns import Mapped
from thrivecalc_models.exchange.rows import Row, RowProblem
from thrivecalc_models.exchange.sniff import (
    GZIP,
    HEAD,
    MARK,
    change_in,
    check_beginning,
    check_json_lines,
)
from thrivecalc_models.wire import Item

MAX_LINE = 16 * 1024 * 1024
"""Most bytes of a line; an item of 400 KB has at most a fifth of that in any notation."""


@attrs.frozen
class JsonLines:
    """The format of JSON lines, packed with gzip or not."""

    packed: bool

    @property
    def name(self) -> str:
        """The format as messages name it."""
        return "DynamoDB JSON lines, gzip" if self.packed else "DynamoDB JSON lines"

    def head(self) -> bytes:
        return b""

    def line(self, item: Item) -> bytes:
        return line_of(item)

    def pack(self, lines: bytes) -> bytes:
        """Compress lines as a gzip member: a file may have many members, so it can grow."""
        return gzip.compress(lines, 6, mtime=0) if self.packed else lines

    def reader(self, path: Path, mapped: Mapped, stamp: str) -> JsonLinesReader:
        if mapped != Mapped():
            raise FileProblem(
                f"{path}: --map, --ignore and --delimiter are for columns; JSON lines have none"
            )
        return JsonLinesReader(path, packed=self.packed)


def line_of(item: Item) -> bytes:
    """Encode an item as a line. Raises RowProblem for text that UTF-8 cannot hold."""
    try:
        return jsontext.dumps({"Item": item}) + b"\n"
    except jsontext.NotJsonError as error:
        raise RowProblem(f"the item {error}") from None


class JsonLinesReader:
    """The rows of a file of JSON lines. Raises FileProblem for a file of another format."""

    stamped: frozenset[str] = frozenset()

    def __init__(self, path: Path, *, packed: bool) -> None:
        self._path = path
        self._file = path.open("rb")
        self._lines = gzip.GzipFile(fileobj=self._file) if packed else self._file
        self.total = path.stat().st_size
        try:
            self._check(packed=packed)
        except FileProblem:
            self.close()
            raise

    def _check(self, *, packed: bool) -> None:
        """Raise FileProblem for a file of another format, or one that cannot be unpacked."""
        head = self._file.read(HEAD)
        check_beginning(self._path, head, wanted="file of JSON lines", own=GZIP if packed else b"")
        self._file.seek(0)
        if packed:
            head = self._unpacked(lambda: self._lines.read(HEAD))
            self._lines.seek(0)
        check_json_lines(self._path, head)

    def rows(self, *, after: int) -> Iterator[Row]:
        for number, line in enumerate(self._whole_lines(), 1):
            if number == 1:
                line = line.removeprefix(MARK)
            if number > after and line.strip():
                yield _row(number, line)

    def done(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._lines.close()
        self._file.close()

    def _whole_lines(self) -> Iterator[bytes]:
        """Yield every line; of one longer than MAX_LINE only the beginning."""
        while line := self._readline():
            yield line
            while len(line) > MAX_LINE and not line.endswith(b"\n"):
                line = self._readline()

    def _readline(self) -> bytes:
        return self._unpacked(lambda: self._lines.readline(MAX_LINE + 1))

    def _unpacked(self, read: Callable[[], bytes]) -> bytes:
        """Call `read`. Raises FileProblem for a gzip file that is damaged or cut off."""
        try:
            return read()
        except EOFError:
            reason = "is cut off; get it again, and the same command continues"
        except (gzip.BadGzipFile, zlib.error):
            reason = "is damaged, or not a gzip file; get it again"
        raise FileProblem(f"{self._path} {reason}")


def _row(number: int, line: bytes) -> Row:
    if len(line) > MAX_LINE:
        return Row(number, problem=f"the line has over {MAX_LINE:,} bytes; an item has fewer")
    try:
        content: Any = jsontext.loads(line)
    except jsontext.NotJsonError:
        return Row(number, problem="the line is not JSON, or cut off")
    item = content.get("Item") if isinstance(content, dict) else None
    change = change_in(content) if isinstance(content, dict) else None
    if change is not None:
        return Row(number, problem=f"the line {change}")
    if not isinstance(item, dict):
        return Row(number, problem='the line has no item, as {"Item": {…}} has')
    return Row(number, item)
