"""Parquet: typed columns, `data` a struct of its fields, and `rest`; needs pyarrow.

Amounts are decimals of 38 digits, 18 behind the point; longer ones stay in `rest`. A Parquet file
cannot grow, so an export appends lines of JSON and converts them at its end.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from thrivecalc_models import table
from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange import jsontext
from thrivecalc_models.exchange.cells import (
    AMOUNT_DECIMALS,
    AMOUNT_DIGITS,
    SCALARS,
    NoCell,
    cell_of,
    python_scalar,
)
from thrivecalc_models.exchange.columns import (
    REST,
    TOP,
    Columns,
    Layout,
    Mapped,
    cells_of,
    layout,
    registered_columns,
)
from thrivecalc_models.exchange.jsonlines import JsonLinesReader, line_of
from thrivecalc_models.exchange.rows import Row
from thrivecalc_models.exchange.sniff import HEAD, PARQUET, check_beginning
from thrivecalc_models.payloads import fields_of, kinds
from thrivecalc_models.wire import AttributeValue, Item

if TYPE_CHECKING:
    import pyarrow

ROWS_WRITTEN = 20_000  # of a row group
ROWS_READ = 2_000
_LONGEST_INT = 2**63 - 1
_WRITING: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}


class Parquet:
    """The format of Parquet files. Raises FileProblem without pyarrow."""

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
        """Convert the appended lines to a Parquet file, which goes to `write`."""
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
    """Import pyarrow with its Parquet part. Raises FileProblem if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        missing = FileProblem(
            'Parquet files need pyarrow: pip install "thrivecalc-models[arrow]"; or use .jsonl.gz'
        )
    else:
        return pyarrow
    raise missing


# --- writing --------------------------------------------------------------------------------------


class _Sink(io.RawIOBase):
    """A file for Arrow that passes its bytes to a function."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._write(bytes(content))
        return len(content)


def _schema(columns: Columns) -> pyarrow.Schema:
    """The schema: the top columns, the struct `data`, and `rest`."""
    import pyarrow as pa

    data = [
        (name.removeprefix("data."), _type(kind))
        for name, kind in columns.kinds.items()
        if name not in TOP
    ]
    top = [(name, _type(kind)) for name, kind in TOP.items()]
    return pa.schema([*top, (table.DATA, pa.struct(data)), (REST, pa.string())])


def _type(kind: kinds.FieldKind) -> pyarrow.DataType:
    """The type of column for a kind of field."""
    import pyarrow as pa

    match kind:
        case kinds.Optional(inner):
            return _type(inner)
        case kinds.SetOfText():
            return pa.list_(pa.string())
        case kinds.ListOf(element) | kinds.TupleOf(element):
            return pa.list_(_type(element))
        case kinds.DictOf(element):
            return pa.map_(pa.string(), _type(element))
        case kinds.Nested(payload_class):
            fields = fields_of(payload_class)
            return pa.struct([(field.wire_name, _type(field.kind)) for field in fields])
    return SCALARS[type(kind)].arrow(pa)


def _row_of(item: Item, columns: Columns) -> dict[str, Any]:
    """The row of an item, whose struct `data` is absent if it has no typed field."""
    cells, rest = cells_of(item, columns, _cell)
    row = {name: cell for name, cell in cells.items() if name in TOP}
    fields = {name.removeprefix("data."): cell for name, cell in cells.items() if name not in TOP}
    if fields:
        row[table.DATA] = fields
    if rest:
        row[REST] = jsontext.dumps(rest).decode()
    return row


def _scalar(kind: kinds.FieldKind, form: AttributeValue) -> Any:
    """A scalar as Arrow takes it. Raises NoCell for a number out of the column's range."""
    value = python_scalar(kind, form)
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if value.adjusted() >= AMOUNT_DIGITS - AMOUNT_DECIMALS or int(exponent) < -AMOUNT_DECIMALS:
            raise NoCell
    elif isinstance(value, int) and not -_LONGEST_INT <= value <= _LONGEST_INT:
        raise NoCell
    return value


_cell = partial(cell_of, scalar=_scalar)


# --- reading --------------------------------------------------------------------------------------


class ParquetReader:
    """The rows of a file, or of the parts in a folder in order of their names."""

    def __init__(self, path: Path, mapped: Mapped, stamp: str) -> None:
        self._arrow = import_pyarrow()
        if mapped.delimiter is not None:
            raise FileProblem(f"{path}: --delimiter is for CSV; Parquet files have none")
        self._errors = (self._arrow.ArrowException, OSError, ValueError)
        self._read = 0
        self.total: int = 0
        self._parts: list[tuple[Path, Layout]] = []
        columns: list[str] = []
        for part in parts_of(path):
            with closing(self._opened(part)) as file:
                own = _columns_of(file.schema_arrow)
                self.total += file.metadata.num_rows
            columns = columns or own
            if set(own) != set(columns):
                raise FileProblem(
                    f"{part} has other columns than {self._parts[0][0]}; import each by itself"
                )
            self._parts.append((part, layout(path, own, mapped, stamp)))
        self.stamped = self._parts[0][1].stamped

    def _opened(self, part: Path) -> Any:
        """Open a part. Raises FileProblem, and an OSError that is clearer than Arrow's."""
        with part.open("rb") as file:
            check_beginning(part, file.read(HEAD), wanted="Parquet file", own=PARQUET)
        try:
            return self._arrow.parquet.ParquetFile(part, page_checksum_verification=True)
        except self._errors:
            problem = FileProblem(f"{part} is not a Parquet file, or is damaged; get it again")
        raise problem

    def rows(self, *, after: int) -> Iterator[Row]:
        for part, part_layout in self._parts:
            with closing(self._opened(part)) as file:
                for batch in self._batches(file, part):
                    first = self._read + 1
                    self._read += len(batch)
                    if self._read > after:
                        for number, row in enumerate(_rows_of(batch), first):
                            if number > after:
                                yield _row(part_layout, number, row)

    def done(self) -> int:
        return self._read

    def close(self) -> None:
        """Do nothing: each part is closed after its last row."""

    def _batches(self, file: Any, part: Path) -> Iterator[Any]:
        """Yield the batches of an open part. Raises FileProblem if it is damaged."""
        _check_zones(file.schema_arrow, part)
        batches = file.iter_batches(batch_size=ROWS_READ)
        while True:
            try:
                batch = next(batches, None)
            except self._errors:
                break
            if batch is None:
                return
            yield batch
        raise FileProblem(f"{part} is damaged after row {self._read:,}; get it again")


def parts_of(path: Path) -> list[Path]:
    """Return the file, or the parts of a folder in order of their names. Raises FileProblem."""
    if not path.is_dir():
        return [path]
    parts = []
    for found in sorted(path.rglob("*")):
        names = found.relative_to(path).parts
        if any(name.startswith(("_", ".")) for name in names):
            continue  # marks and checksums that Spark and others write beside the parts
        if found.is_dir() and "=" in found.name:
            raise FileProblem(
                f"{path} has partitions such as {found.name}, whose values are in no file; write"
                " it again without partitions"
            )
        if found.is_file():
            parts.append(found)
    if not parts:
        raise FileProblem(f"{path} is a folder without Parquet files")
    return parts


def _columns_of(schema: pyarrow.Schema) -> list[str]:
    """The columns of a file, with the members of a struct `data` as `data.name`."""
    import pyarrow as pa

    found: list[str] = []
    for field in schema:
        if field.name == table.DATA and pa.types.is_struct(field.type):
            inner = (field.type.field(at).name for at in range(field.type.num_fields))
            found += [f"{table.DATA}.{name}" for name in inner]
        else:
            found.append(field.name)
    return found


def _row(part_layout: Layout, number: int, row: dict[str, Any] | None) -> Row:
    """The row of a dict, or a refused row for None."""
    if row is None:
        return Row(number, problem="the row has a value that cannot be read")
    fields = row.pop(table.DATA, None)
    if isinstance(fields, dict):
        row |= {f"{table.DATA}.{name}": value for name, value in fields.items()}
    return part_layout.row(number, row)


def _rows_of(batch: Any) -> Iterable[dict[str, Any] | None]:
    """The rows as dicts; None for one with a value that Python cannot hold."""
    try:
        rows: list[dict[str, Any] | None] = _in_microseconds(batch).to_pylist()
    except (ValueError, OverflowError):
        if batch.num_rows == 1:
            return [None]
        return (row for at in range(batch.num_rows) for row in _rows_of(batch.slice(at, 1)))
    changes = {
        field.name: change for field in batch.schema if (change := _change(field.type)) is not None
    }
    for row in rows:
        assert row is not None
        for name, change in changes.items():
            if row[name] is not None:
                row[name] = change(row[name])
    return rows


# --- Arrow's values as Python's -------------------------------------------------------------------


def _in_microseconds(batch: Any) -> Any:
    """Cast nanoseconds, which Python cannot hold; the table keeps milliseconds anyway."""
    for at, field in enumerate(batch.schema):
        wanted = _microseconds(field.type)
        if wanted != field.type:
            batch = batch.set_column(at, field.name, batch.column(at).cast(wanted, safe=False))
    return batch


def _microseconds(kind: pyarrow.DataType) -> pyarrow.DataType:
    """The type with microseconds for nanoseconds, nested ones included."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if pa.types.is_struct(kind):
        fields = (kind.field(at) for at in range(kind.num_fields))
        return pa.struct([field.with_type(_microseconds(field.type)) for field in fields])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_microseconds(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, kind.item_field.with_type(_microseconds(kind.item_type)))
    return kind


def _change(kind: pyarrow.DataType) -> Callable[[Any], Any] | None:
    """The conversion that values of a type need, or None.

    A float of less than 64 bits is read by its own shortest text. Members of a struct that are None
    are absent: a struct has all names in every row.
    """
    import pyarrow as pa

    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        code = "f" if pa.types.is_float32(kind) else "e"
        return partial(_shortest, code=code)
    if pa.types.is_struct(kind):
        fields = [kind.field(at) for at in range(kind.num_fields)]
        changes = {field.name: _change(field.type) for field in fields}
        return lambda value: {
            name: change(member) if (change := changes[name]) else member
            for name, member in value.items()
            if member is not None
        }
    if pa.types.is_map(kind):
        of_item = _change(kind.item_type)
        return of_item and (lambda pairs: [(name, _apply(of_item, each)) for name, each in pairs])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        of_member = _change(kind.value_type)
        return of_member and (lambda members: [_apply(of_member, each) for each in members])
    return None


def _apply(change: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else change(value)


def _shortest(value: float, *, code: str) -> float:
    """The number with the fewest digits that has this value as a float of the format `code`."""
    for digits in range(1, 10):
        number = float(f"{value:.{digits}g}")
        try:
            if struct.unpack(code, struct.pack(code, number)) == (value,):
                return number
        except OverflowError:  # rounded up, it exceeds such a float
            continue
    return value


def _check_zones(schema: pyarrow.Schema, part: Path) -> None:
    """Raise FileProblem for timestamps in a time zone that is unknown on this machine."""
    import pyarrow as pa

    for field in schema:
        waiting = [field.type]
        while waiting:
            kind = waiting.pop()
            waiting += [kind.field(at).type for at in range(kind.num_fields)]
            if pa.types.is_timestamp(kind) and kind.tz is not None and not _is_known(kind.tz):
                raise FileProblem(
                    f"{part} has timestamps in the time zone {kind.tz}, in {field.name}, which is"
                    " unknown on this machine: pip install tzdata, or write them in UTC"
                )


def _is_known(zone: str) -> bool:
    """Whether a time zone, by name or as an offset, is known on this machine."""
    if re.fullmatch(r"[+-]\d\d:?\d\d", zone):
        return True
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
