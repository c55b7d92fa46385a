"""Columns of CSV and Parquet files, and the conversion of an item to a row.

Columns have the table's names: `userId`, …, `ttl`, then `data.` and the name of every field of the
registered payload classes. The last column is `rest`: an item in DynamoDB's JSON with everything
that the other columns cannot hold exactly. An attribute without a cell is absent from the item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from thrivecalc_models import table
from thrivecalc_models.catalogue import catalogue
from thrivecalc_models.errors import FileProblem, InvalidRecordError
from thrivecalc_models.exchange import jsontext
from thrivecalc_models.exchange.cells import NoCell, form_of
from thrivecalc_models.exchange.rows import Row, RowProblem
from thrivecalc_models.exchange.sniff import shell_word
from thrivecalc_models.payloads import fields_of, kinds
from thrivecalc_models.records import UserRecord, read_item
from thrivecalc_models.wire import AttributeValue, Item, check_item, record_key

REST: Final = "rest"
_IN_DATA: Final = "data."

TOP: Final[dict[str, kinds.FieldKind]] = {
    table.USER_ID: kinds.Text(),
    table.RECORD_KEY: kinds.Text(),
    table.DATA_TYPE: kinds.Text(),
    table.RECORD_ID: kinds.Text(),
    table.CREATED_AT: kinds.DateTime(),
    table.UPDATED_AT: kinds.DateTime(),
    table.TTL: kinds.Integer(),
}


@attrs.frozen
class Columns:
    """The typed columns: the kind of each, and the fields of each registered type that have one."""

    kinds: Mapping[str, kinds.FieldKind]
    fields: Mapping[str, frozenset[str]]

    def of(self, item: Item) -> frozenset[str] | None:
        """Return the fields of the item's `data` that have columns; None if its type is unknown."""
        data_type = item.get(table.DATA_TYPE, {}).get("S")
        return self.fields.get(data_type) if isinstance(data_type, str) else None


def registered_columns() -> Columns:
    """Return the columns of the types that are registered now.

    If two types have a field of one name in different kinds, the first type gets the column.
    """
    columns = dict(TOP)
    fields = {}
    for record in catalogue().records:
        own = _kinds_of(record.data_type)
        for name, kind in own.items():
            columns.setdefault(_IN_DATA + name, kind)
        fields[record.data_type] = frozenset(
            name for name, kind in own.items() if columns[_IN_DATA + name] == kind
        )
    return Columns(columns, fields)


def _kinds_of(data_type: str) -> dict[str, kinds.FieldKind]:
    """The fields of a type that can have columns, by name."""
    record_class = UserRecord.data_type.class_of(data_type)
    payload_class = None if record_class is None else record_class.payload_class()
    if payload_class is None:
        return {}
    # An empty cell is an absent field, and NULL goes to `rest`.
    found = {field.wire_name: kinds.unwrapped(field.kind) for field in fields_of(payload_class)}
    return {name: kind for name, kind in found.items() if has_column(kind, ())}


def has_column(kind: kinds.FieldKind, inside: tuple[type, ...]) -> bool:
    """Whether a kind can be a column: not `Any`, nor a payload class that contains itself."""
    match kind:
        case kinds.Anything():
            return False
        case (
            kinds.Optional(inner) | kinds.ListOf(inner) | kinds.TupleOf(inner) | kinds.DictOf(inner)
        ):
            return has_column(inner, inside)
        case kinds.Nested(payload_class):
            return payload_class not in inside and all(
                has_column(field.kind, (*inside, payload_class))
                for field in fields_of(payload_class)
            )
    return True


# --- items to cells -------------------------------------------------------------------------------

MakeCell = Callable[[kinds.FieldKind, AttributeValue], Any]
"""Makes the cell of a stored value; raises NoCell if none can hold it exactly."""


def cells_of(item: Item, columns: Columns, make: MakeCell) -> tuple[dict[str, Any], Item]:
    """Return the cells of an item by column, and the rest, which no cell holds exactly."""
    cells: dict[str, Any] = {}
    rest: Item = {}
    own = columns.of(item) or ()

    def put(column: str, form: AttributeValue) -> bool:
        try:
            cells[column] = make(columns.kinds[column], form)
        except NoCell:
            return False
        return True

    for name, form in item.items():
        if name == table.DATA and "M" in form:
            fields = form["M"]
            left = {f: v for f, v in fields.items() if not (f in own and put(_IN_DATA + f, v))}
            if left or not fields:
                rest[name] = {"M": left}
        elif not (name in TOP and put(name, form)):
            rest[name] = form
    return cells, rest


# --- cells to items -------------------------------------------------------------------------------


@attrs.frozen
class Layout:
    """Maps the table's columns to those of a file, and converts its rows to items.

    `sources` has the file's name of each column. A file without a column for `recordKey` is
    foreign: keys are made of `dataType` and `recordId`, missing timestamps are `stamp`, and every
    record must fit its class.
    """

    columns: Columns
    sources: Mapping[str, str]
    stamp: str

    @property
    def foreign(self) -> bool:
        """Whether the file comes from another program."""
        return table.RECORD_KEY not in self.sources

    @property
    def stamped(self) -> frozenset[str]:
        """The timestamps that the file lacks and the import sets."""
        return _STAMPS - self.sources.keys() if self.foreign else frozenset()

    def row(self, line: int, cells: Mapping[str, Any]) -> Row:
        """Convert the cells of a line to a row: with its item, or with the reason to refuse it."""
        try:
            return Row(line, self.item(cells))
        except RowProblem as problem:
            return Row(line, problem=str(problem), key=self._key(cells))

    def _key(self, cells: Mapping[str, Any]) -> dict[str, str] | None:
        """The key of a refused row, as far as its cells say it."""
        names = (table.USER_ID, table.DATA_TYPE, table.RECORD_ID, table.RECORD_KEY)
        found = {name: cells.get(self.sources.get(name, "")) for name in names}
        if self.foreign:
            found[table.RECORD_KEY] = (
                f"{found[table.DATA_TYPE] or ''}#{found[table.RECORD_ID] or ''}"
            )
        user_id, key = found[table.USER_ID], found[table.RECORD_KEY]
        if user_id is None or not isinstance(key, str):
            return None
        return {table.USER_ID: str(user_id), table.RECORD_KEY: key}

    def item(self, row: Mapping[str, Any]) -> Item:
        """Convert a row, by the file's own column names, to an item. Raises RowProblem."""
        cells = {name: row.get(source) for name, source in self.sources.items()}
        given = {name: cell for name, cell in cells.items() if cell is not None}
        item = _rest_of(given.pop(REST, None))
        for name in [name for name in given if not name.startswith(_IN_DATA)]:
            value = _as_text(given[name]) if name in _IDS else given[name]
            if name in item:
                raise RowProblem(f"{name} is given twice: in its column and in {REST}")
            item[name] = form_of(TOP[name], value, name, js_safe=False)
        if self.foreign:
            _check_ids(item)
        self._add_data(item, given)
        return _completed(item, self.stamp) if self.foreign else item

    def _add_data(self, item: Item, given: Mapping[str, Any]) -> None:
        """Add the cells of fields to the item's `data`. Raises RowProblem."""
        paths = [name for name in given if name.startswith(_IN_DATA)]
        if not paths:
            return
        content = item.setdefault(table.DATA, {"M": {}}).get("M")
        if not isinstance(content, dict):
            raise RowProblem(f"data is given twice: in columns and in {REST}")
        own = self.columns.of(item)
        if own is None:
            raise RowProblem(
                f"{paths[0]} is given, but the fields of this {table.DATA_TYPE} are not known"
            )
        for path in paths:
            name = path.removeprefix(_IN_DATA)
            if name not in own:
                raise RowProblem(f"{path} is not a field of this {table.DATA_TYPE}")
            if name in content:
                raise RowProblem(f"{path} is given twice: in its column and in {REST}")
            content[name] = form_of(
                self.columns.kinds[path], given[path], path, js_safe=self.foreign
            )


_STAMPS: Final = frozenset({table.CREATED_AT, table.UPDATED_AT})
_IDS: Final = (table.USER_ID, table.RECORD_ID)


def _as_text(value: Any) -> Any:
    """An integer as text: ids of other programs may be numbers."""
    return str(value) if type(value) is int else value


def _rest_of(text: Any) -> Item:
    """The attributes of a cell of `rest`. Raises RowProblem."""
    if text is None:
        return {}
    try:
        rest = jsontext.loads(text) if isinstance(text, str) else None
    except jsontext.NotJsonError:
        rest = None
    if not isinstance(rest, dict) or not all(isinstance(form, dict) for form in rest.values()):
        raise RowProblem(f"{REST} is not an item in DynamoDB's JSON")
    return rest


def _check_ids(item: Item) -> None:
    for name in (table.USER_ID, table.DATA_TYPE, table.RECORD_ID):
        if not isinstance(item.get(name, {}).get("S"), str):
            raise RowProblem(f"{name} is missing")


def _completed(item: Item, stamp: str) -> Item:
    """Add key and timestamps to an item of a foreign file. Raises RowProblem if it is malformed."""
    item[table.RECORD_KEY] = {
        "S": record_key(item[table.DATA_TYPE]["S"], item[table.RECORD_ID]["S"])
    }
    for name in _STAMPS:
        item.setdefault(name, {"S": stamp})
    try:
        check_item(item, describe="the item")
    except InvalidRecordError as error:
        raise RowProblem(str(error)) from None
    record = read_item(item)
    if record.malformed:
        raise RowProblem("; ".join(record.problems))
    return item


# --- finding the columns of a file ----------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Mapped:
    """The caller's assignments: the table's names to those of the file, and ignored columns.

    `delimiter` is that of CSV; None detects it in the header.
    """

    names: Mapping[str, str] = attrs.field(factory=dict)
    ignored: frozenset[str] = frozenset()
    delimiter: str | None = None


def layout(path: Path, found: Sequence[str], mapped: Mapped, stamp: str) -> Layout:
    """Assign the columns of a file. Raises FileProblem for columns that have no assignment."""
    columns = registered_columns()
    known = {*columns.kinds, REST}
    _check_names(path, found, mapped, known)
    assigned = {*mapped.names.values(), *mapped.ignored}
    own = [name for name in found if name not in assigned]
    sources = {name: name for name in own if name in known} | dict(mapped.names)
    unknown = [name for name in own if name not in known]
    if unknown:
        options = " ".join(_suggestion(name, known - set(sources)) for name in unknown)
        raise FileProblem(
            f"{path} has columns that the table has no name for: {', '.join(unknown)}; say what"
            f" they are: {options}"
        )
    _check_ids_assigned(path, sources)
    return Layout(columns, sources, stamp)


def _check_ids_assigned(path: Path, sources: Mapping[str, str]) -> None:
    """Raise FileProblem if a column is missing that the keys are made of."""
    needed = [table.USER_ID]
    if table.RECORD_KEY not in sources:
        needed += [table.DATA_TYPE, table.RECORD_ID]
    missing = [name for name in needed if name not in sources]
    if missing:
        options = " ".join(f"--map {name}=COLUMN" for name in missing)
        raise FileProblem(f"{path} has no column for {', '.join(missing)}; say which: {options}")


def _check_names(path: Path, found: Sequence[str], mapped: Mapped, known: set[str]) -> None:
    """Raise FileProblem for options that name unknown columns, and for duplicate columns."""
    for stored in mapped.names:
        if stored not in known:
            raise FileProblem(
                f"--map {stored}=…: the table has no {stored}; it has {', '.join(sorted(known))}"
            )
    for column in (*mapped.names.values(), *mapped.ignored):
        if column not in found:
            raise FileProblem(f"{path} has no column {column}; it has {', '.join(found)}")
    if len(set(found)) < len(found):
        raise FileProblem(f"{path} has two columns of the same name; rename one")


def _suggestion(column: str, free: set[str]) -> str:
    """The option for an unknown column: --map to a name that is spelt alike, else --ignore."""
    plain = _plain(column)
    alike = [
        name
        for name in sorted(free)
        if plain in (_plain(name), _plain(name.removeprefix(_IN_DATA)))
    ]
    if plain == "type":
        alike = [table.DATA_TYPE]
    if plain == "id":
        alike = [table.RECORD_ID]
    if alike:
        return f"--map {shell_word(f'{alike[0]}={column}')}"
    return f"--ignore {shell_word(column)}"


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(".", "").lower()
