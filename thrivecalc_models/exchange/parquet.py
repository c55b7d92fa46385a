"""Parquet: typed columns, `data` a struct of its fields, and `rest`; needs pyarrow.

Amounts are decimals of 38 digits, 18 behind the point; what has more stays in `rest`. A Parquet
file cannot grow, so an export appends lines of JSON, and makes the file of them at its end.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrivecalc_models import table
from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange import jsontext
from thrivecalc_models.exchange.cells import NoCell, cell_of, python_scalar
from thrivecalc_models.exchange.columns import (
    REST,
    TOP,
    Columns,
    Mapped,
    cells_of,
    layout,
    registered_columns,
)
from thrivecalc_models.exchange.jsonlines import JsonLinesReader, line_of
from thrivecalc_models.exchange.rows import Row
from thrivecalc_models.payloads import fields_of, kinds
from thrivecalc_models.wire import AttributeValue, Item

if TYPE_CHECKING:
    import pyarrow

ROWS_WRITTEN = 20_000  # of a row group
ROWS_READ = 2_000
_DIGITS, _DECIMALS = 38, 18
_LONGEST_INT = 2**63 - 1
_WRITING: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


class Parquet:
    name = "Parquet"

    def __init__(self) -> None:
        self._arrow = import_pyarrow()

    def head(self) -> bytes:
        return b""

    def line(self, item: Item) -> bytes:
        return line_of(item)

    def pack(self, lines: bytes) -> bytes:
        return lines

    def finish(self, lines: Path, write: Callable[[bytes], None]) -> None:
        """Write the file of the lines that were appended."""
        columns = registered_columns()
        schema = _schema(columns)
        with (
            closing(JsonLinesReader(lines, packed=False)) as reader,
            self._arrow.PythonFile(_Sink(write), mode="w") as sink,
            self._arrow.parquet.ParquetWriter(sink, schema, **_WRITING) as writer,
        ):
            rows = (_row_of(row.item, columns) for row in reader.rows(after=0) if row.item)
            while some := list(islice(rows, ROWS_WRITTEN)):
                writer.write_batch(self._arrow.RecordBatch.from_pylist(some, schema=schema))

    def reader(self, path: Path, mapped: Mapped, stamp: str) -> ParquetReader:
        return ParquetReader(path, mapped, stamp)


def import_pyarrow() -> Any:
    """The module pyarrow with its Parquet part. Raises FileProblem where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        missing = FileProblem(
            'Parquet files need pyarrow: pip install "thrivecalc-models[arrow]"; or take .jsonl.gz'
        )
    else:
        return pyarrow
    raise missing


# --- writing --------------------------------------------------------------------------------------


class _Sink(io.RawIOBase):
    """A file for Arrow whose bytes are written by someone else."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._write(bytes(content))
        return len(content)


def _schema(columns: Columns) -> pyarrow.Schema:
    import pyarrow as pa

    data = [
        (name.removeprefix("data."), _type(kind))
        for name, kind in columns.kinds.items()
        if name not in TOP
    ]
    top = [(name, _type(kind)) for name, kind in TOP.items()]
    return pa.schema([*top, (table.DATA, pa.struct(data)), (REST, pa.string())])


def _type(kind: kinds.Kind) -> pyarrow.DataType:
    import pyarrow as pa

    match kind:
        case kinds.Optional(inner):
            return _type(inner)
        case kinds.AmountKind():
            return pa.decimal128(_DIGITS, _DECIMALS)
        case kinds.Integer():
            return pa.int64()
        case kinds.Boolean():
            return pa.bool_()
        case kinds.Date():
            return pa.date32()
        case kinds.DateTime():
            return pa.timestamp("ms", "UTC")
        case kinds.Binary():
            return pa.binary()
        case kinds.SetOfText():
            return pa.list_(pa.string())
        case kinds.ListOf(element):
            return pa.list_(_type(element))
        case kinds.DictOf(element):
            return pa.map_(pa.string(), _type(element))
        case kinds.Nested(payload_class):
            fields = fields_of(payload_class)
            return pa.struct([(field.wire_name, _type(field.kind)) for field in fields])
    return pa.string()


def _row_of(item: Item, columns: Columns) -> dict[str, Any]:
    cells, rest = cells_of(item, columns, _cell)
    row = {name: cell for name, cell in cells.items() if name in TOP}
    fields = {name.removeprefix("data."): cell for name, cell in cells.items() if name not in TOP}
    if fields:
        row[table.DATA] = fields
    if rest:
        row[REST] = jsontext.dumps(rest).decode()
    return row


def _scalar(kind: kinds.Kind, form: AttributeValue) -> Any:
    value = python_scalar(kind, form)
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if value.adjusted() >= _DIGITS - _DECIMALS or int(exponent) < -_DECIMALS:
            raise NoCell
    elif isinstance(value, int) and not -_LONGEST_INT <= value <= _LONGEST_INT:
        raise NoCell
    return value


_cell = partial(cell_of, scalar=_scalar)


# --- reading --------------------------------------------------------------------------------------


class ParquetReader:
    def __init__(self, path: Path, mapped: Mapped, stamp: str) -> None:
        arrow = import_pyarrow()
        with path.open("rb"):
            pass  # an OSError that says what is wrong, where Arrow's do not
        self._path = path
        self._read = 0
        self._errors: tuple[type[Exception], ...] = (arrow.ArrowException, OSError, ValueError)
        self._file = self._opened(arrow)
        self.total: int = self._file.metadata.num_rows
        try:
            self._layout = layout(path, self._paths(), mapped, stamp)
        except FileProblem:
            self.close()
            raise
        self.stamped = self._layout.stamped

    def _opened(self, arrow: Any) -> Any:
        try:
            return arrow.parquet.ParquetFile(self._path, page_checksum_verification=True)
        except self._errors:
            problem = FileProblem(
                f"{self._path} is no Parquet file, or a part of one; get it again"
            )
        raise problem

    def rows(self, *, after: int) -> Iterator[Row]:
        for batch in self._batches():
            first = self._read + 1
            self._read += len(batch)
            if self._read > after:
                for number, row in enumerate(_rows_of(batch), first):
                    if number > after:
                        yield self._row(number, row)

    def done(self) -> int:
        return self._read

    def close(self) -> None:
        self._file.close()

    def _paths(self) -> list[str]:
        """The columns; those of a struct `data` are named like ours."""
        found: list[str] = []
        for field in self._file.schema_arrow:
            if field.name == table.DATA and import_pyarrow().types.is_struct(field.type):
                inner = (field.type.field(at).name for at in range(field.type.num_fields))
                found += [f"{table.DATA}.{name}" for name in inner]
            else:
                found.append(field.name)
        return found

    def _batches(self) -> Iterator[Any]:
        batches = self._file.iter_batches(batch_size=ROWS_READ)
        while True:
            try:
                batch = next(batches, None)
            except self._errors:
                break
            if batch is None:
                return
            yield batch
        raise FileProblem(f"{self._path} is damaged behind row {self._read:,}; get it again")

    def _row(self, number: int, row: dict[str, Any] | None) -> Row:
        if row is None:
            return Row(number, problem="the row has a value that cannot be read")
        fields = row.pop(table.DATA, None)
        if isinstance(fields, dict):
            row |= {f"{table.DATA}.{name}": value for name, value in fields.items()}
        return self._layout.row(number, row)


def _rows_of(batch: Any) -> Iterable[dict[str, Any] | None]:
    """The rows as dicts; None for one that Python cannot hold."""
    try:
        rows: list[dict[str, Any] | None] = _in_microseconds(batch).to_pylist()
    except (ValueError, OverflowError):
        if batch.num_rows == 1:
            return [None]
        return (row for at in range(batch.num_rows) for row in _rows_of(batch.slice(at, 1)))
    return rows


def _in_microseconds(batch: Any) -> Any:
    """The same with moments as Python holds them; the table keeps milliseconds."""
    arrow = import_pyarrow()
    for at, field in enumerate(batch.schema):
        if arrow.types.is_timestamp(field.type) and field.type.unit == "ns":
            wanted = arrow.timestamp("us", field.type.tz)
            batch = batch.set_column(at, field.name, batch.column(at).cast(wanted, safe=False))
    return batch
