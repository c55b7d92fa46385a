"""Columns of CSV and Parquet files, and the conversion of an item to a row.

Columns have the table's names: `userId`, …, `ttl`, then `data.` and the name of every field of the
registered payload classes. The last column is `rest`: an item in DynamoDB's JSON with everything
that the other columns cannot hold exactly. What is in no column is not in the item.
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
    """The typed columns: the kind of each, and which fields of each registered type have one."""

    kinds: Mapping[str, kinds.FieldKind]
    fields: Mapping[str, frozenset[str]]

    def of(self, item: Item) -> frozenset[str] | None:
        """The fields of the item's `data` that have columns; None where its type is unknown."""
        data_type = item.get(table.DATA_TYPE, {}).get("S")
        return self.fields.get(data_type) if isinstance(data_type, str) else None


def registered_columns() -> Columns:
    """The columns of the types that are registered now.

    Where types have a field of one name in two kinds, the column is the first type's.
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
    found = {field.wire_name: _bare(field.kind) for field in fields_of(payload_class)}
    return {name: kind for name, kind in found.items() if has_column(kind, ())}


def _bare(kind: kinds.FieldKind) -> kinds.FieldKind:
    """Nothing in a column stands for absent, whether or not NULL may be there, too."""
    return kind.kind if isinstance(kind, kinds.Optional) else kind


def has_column(kind: kinds.FieldKind, inside: tuple[type, ...]) -> bool:
    """Whether a kind has a type of column: neither `Any`, nor classes that hold themselves."""
    match kind:
        case kinds.Anything():
            return False
        case kinds.Optional(inner) | kinds.ListOf(inner) | kinds.DictOf(inner):
            return has_column(inner, inside)
        case kinds.Nested(payload_class):
            return payload_class not in inside and all(
                has_column(field.kind, (*inside, payload_class))
                for field in fields_of(payload_class)
            )
    return True


# --- items to cells -------------------------------------------------------------------------------

MakeCell = Callable[[kinds.FieldKind, AttributeValue], Any]
"""Makes the cell of a stored value; raises NoCell where none can hold it exactly."""


def cells_of(item: Item, columns: Columns, make: MakeCell) -> tuple[dict[str, Any], Item]:
    """The cells of an item by column, and the rest of it, which no cell holds exactly."""
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
            left = {
                field: value
                for field, value in form["M"].items()
                if not (field in own and put(_IN_DATA + field, value))
            }
            if left or not form["M"]:
                rest[name] = {"M": left}
        elif not (name in TOP and put(name, form)):
            rest[name] = form
    return cells, rest


# --- cells to items -------------------------------------------------------------------------------


@attrs.frozen
class Layout:
    """Where a file has what: a column of the file for each of ours.

    Without a column for `recordKey` the file is foreign: keys are made of `dataType` and
    `recordId`, missing stamps are `stamp`, and a record must fit its class.
    """

    columns: Columns
    sources: Mapping[str, str]
    stamp: str

    @property
    def foreign(self) -> bool:
        return table.RECORD_KEY not in self.sources

    @property
    def stamped(self) -> frozenset[str]:
        """The stamps that every record gets from the import: the file has none."""
        return _STAMPS - self.sources.keys() if self.foreign else frozenset()

    def row(self, line: int, cells: Mapping[str, Any]) -> Row:
        """The item of a row's cells, or why there is none."""
        try:
            return Row(line, self.item(cells))
        except RowProblem as problem:
            return Row(line, problem=str(problem), key=self._key(cells))

    def _key(self, cells: Mapping[str, Any]) -> dict[str, str] | None:
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
        """The item of a row, given by the file's own column names. Raises RowProblem."""
        cells = {name: row.get(source) for name, source in self.sources.items()}
        given = {name: cell for name, cell in cells.items() if cell is not None}
        item = _rest_of(given.pop(REST, None))
        for name in [name for name in given if not name.startswith(_IN_DATA)]:
            value = _as_text(given[name]) if name in _IDS else given[name]
            if name in item:
                raise RowProblem(f"{name} is given twice: in its column and in {REST}")
            item[name] = form_of(TOP[name], value, name, js_safe=False)
        if not self.foreign:
            self._add_data(item, given)
            return item
        _check_ids(item)
        self._add_data(item, given)
        return _completed(item, self.stamp)

    def _add_data(self, item: Item, given: Mapping[str, Any]) -> None:
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
                raise RowProblem(f"{path} is no field of this {table.DATA_TYPE}")
            if name in content:
                raise RowProblem(f"{path} is given twice: in its column and in {REST}")
            content[name] = form_of(
                self.columns.kinds[path], given[path], path, js_safe=self.foreign
            )


_STAMPS: Final = frozenset({table.CREATED_AT, table.UPDATED_AT})
_IDS: Final = (table.USER_ID, table.RECORD_ID)


def _as_text(value: Any) -> Any:
    """Ids are text here; other programs have numbers."""
    return str(value) if type(value) is int else value


def _rest_of(text: Any) -> Item:
    if text is None:
        return {}
    try:
        rest = jsontext.loads(text) if isinstance(text, str) else None
    except jsontext.NotJsonError:
        rest = None
    if not isinstance(rest, dict) or not all(isinstance(form, dict) for form in rest.values()):
        raise RowProblem(f"{REST} is no item in DynamoDB's JSON")
    return rest


def _check_ids(item: Item) -> None:
    for name in (table.USER_ID, table.DATA_TYPE, table.RECORD_ID):
        if not isinstance(item.get(name, {}).get("S"), str):
            raise RowProblem(f"{name} is missing")


def _completed(item: Item, stamp: str) -> Item:
    """An item of a foreign file with its key and stamps, if it fits its class."""
    item[table.RECORD_KEY] = {
        "S": record_key(item[table.DATA_TYPE]["S"], item[table.RECORD_ID]["S"])
    }
    for name in _STAMPS:
        item.setdefault(name, {"S": stamp})
    try:
        check_item(item, describe="the item")
    except InvalidRecordError as error:
        problem = RowProblem(str(error))
    else:
        record = read_item(item)
        if not record.malformed:
            return item
        problem = RowProblem("; ".join(record.problems))
    raise problem


# --- finding the columns of a file ----------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Mapped:
    """What was said about the columns of a file: our name to its name, and those left out.

    The delimiter is that of CSV; None is the one that the file seems to have.
    """

    names: Mapping[str, str] = attrs.field(factory=dict)
    ignored: frozenset[str] = frozenset()
    delimiter: str | None = None


def layout(path: Path, found: Sequence[str], mapped: Mapped, stamp: str) -> Layout:
    """Assign the columns of a file. Raises FileProblem for columns that have no assignment."""
    columns = registered_columns()
    known = {*columns.kinds, REST}
    _check_names(path, found, mapped, known)
    spoken_for = {*mapped.names.values(), *mapped.ignored}
    own = [name for name in found if name not in spoken_for]
    sources = {name: name for name in own if name in known} | dict(mapped.names)
    unknown = [name for name in own if name not in known]
    if unknown:
        options = " ".join(_suggestion(name, known - set(sources)) for name in unknown)
        raise FileProblem(
            f"{path} has columns that the table has no name for: {', '.join(unknown)}; say what"
            f" they are: {options}"
        )
    needed = [table.USER_ID, table.RECORD_KEY]
    if table.RECORD_KEY not in sources:
        needed = [table.USER_ID, table.DATA_TYPE, table.RECORD_ID]
    missing = [name for name in needed if name not in sources]
    if missing:
        options = " ".join(f"--map {name}=COLUMN" for name in missing)
        raise FileProblem(f"{path} has no column for {', '.join(missing)}; say which: {options}")
    return Layout(columns, sources, stamp)


def _check_names(path: Path, found: Sequence[str], mapped: Mapped, known: set[str]) -> None:
    for stored in mapped.names:
        if stored not in known:
            raise FileProblem(
                f"--map {stored}=…: the table has no {stored}; there are {', '.join(sorted(known))}"
            )
    for column in (*mapped.names.values(), *mapped.ignored):
        if column not in found:
            raise FileProblem(f"{path} has no column {column}; it has {', '.join(found)}")
    if len(set(found)) < len(found):
        raise FileProblem(f"{path} has two columns of one name; rename one")


def _suggestion(column: str, free: set[str]) -> str:
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
    return (
        f"--map {shell_word(f'{alike[0]}={column}')}" if alike else f"--ignore {shell_word(column)}"
    )


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(".", "").lower()
