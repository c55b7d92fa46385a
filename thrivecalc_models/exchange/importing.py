"""Fill a table from a file: every row is checked first, and no newer record is overwritten.

By default each item is written by its own conditional put, and only if its key is free. With
`replace` items are written without a condition, 25 a request, and overwrite stored records.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import FileProblem, InvalidRecordError, RefusedError
from thrivecalc_models.exchange import files, jsontext
from thrivecalc_models.exchange.columns import Mapped
from thrivecalc_models.exchange.exporting import OnProgress
from thrivecalc_models.exchange.files import Disk, Growing, beside
from thrivecalc_models.exchange.formats import Reader, format_of
from thrivecalc_models.exchange.pace import Pace
from thrivecalc_models.exchange.parquet import Parquet
from thrivecalc_models.exchange.rows import Refusal, Row, RowProblem, key_of
from thrivecalc_models.exchange.sniff import check_regular, fingerprint
from thrivecalc_models.exchange.source import item_count, whereabouts
from thrivecalc_models.operations import Key
from thrivecalc_models.protocol.puts import PutOutcome
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.wire import (
    Item,
    check_item,
    format_timestamp,
    same_item,
    write_units,
)
from thrivecalc_models.wire.keys import MAX_PARTITION_KEY, MAX_SORT_KEY

ITEMS = 100
"""Most items of a round: the keys of one BatchGetItem, and four batches of puts."""

ROWS = 1000
"""Most rows of a round, including those that are refused or belong to other users."""

ROUNDS_A_RECORD = 10
"""Rounds between two saves of the progress; a later run repeats them without effect."""

COPIES = 2
"""An item is written to the table and to its index."""

SHOWN = 20
"""Most refusals in the result; the file has all."""

_ELSEWHERE = "put the progress file elsewhere, with --progress FILE"
_TAKEN = "another record has this key; --replace would overwrite it"
_INVALID = "the service refused it as invalid"


@attrs.define
class Counts:
    """The rows so far, each counted once.

    `written` includes what a check would write, `same` was already stored, `others` belong to other
    users than the one asked for.
    """

    written: int = 0
    same: int = 0
    refused: int = 0
    others: int = 0


@attrs.frozen
class Imported:
    """A complete import. `refusals` are the first `SHOWN`; the file `refused_path` has all."""

    path: Path
    counts: Counts
    refusals: list[Refusal]
    refused_path: Path | None
    resumed: bool


@attrs.frozen(kw_only=True)
class Options:
    """How to import: only one user's rows, overwriting, as a check, by which columns, how fast.

    `max_write_units` are units a second. `progress` is the path of the progress file, beside which
    refused rows are listed; None puts both beside the imported file.
    """

    user_id: str | None = None
    replace: bool = False
    check: bool = False
    mapped: Mapped = attrs.field(factory=Mapped)
    max_write_units: float | None = None
    progress: Path | None = None


@attrs.define
class _ImportState:
    """The progress of an import: what it is, its timestamp, and the rows up to `line`."""

    what: dict[str, Any]
    stamp: str
    of: str = "import"
    line: int = 0
    refused_size: int = 0
    counts: dict[str, int] = attrs.field(factory=dict)


def import_file(
    whole: WholeTable,
    path: Path,
    options: Options,
    *,
    disk: Disk | None = None,
    on_progress: OnProgress = lambda done, total: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Imported:
    """Write the items of a file to the table; continue where an earlier run stopped.

    Raises FileProblem, ConfigurationError for a table with other keys, and ServiceError; afterwards
    the same call continues.
    """
    form = format_of(path)
    pace = Pace(options.max_write_units, monotonic, sleep)
    work = _Import(whole, path, options, disk or Disk(), pace)
    with files.naming_errors(path, "imported"):
        _check_path(path)
        with nullcontext() if options.check else files.exclusive(work.base, otherwise=_ELSEWHERE):
            state, resumed = work.begin()
            with closing(form.reader(path, options.mapped, state.stamp)) as reader:
                item_count(whole)
                return work.run(reader, state, on_progress, resumed=resumed)


def check_file(path: Path) -> None:
    """Check what can be checked of a file without a table. Raises FileProblem."""
    form = format_of(path)
    with files.naming_errors(path, "imported"):
        _check_path(path)
        form.reader(path, Mapped(), "").close()


def _check_path(path: Path) -> None:
    check_regular(path)
    if path.is_dir() and not isinstance(format_of(path), Parquet):
        raise FileProblem(f"{path} is a folder; import its files one by one")


_Record = Callable[[int, list[Refusal], Counts], None]
"""Records a settled round: its last line, its refusals, and the counts so far."""


class _Import:
    """One run of an import."""

    def __init__(
        self, whole: WholeTable, path: Path, options: Options, disk: Disk, pace: Pace
    ) -> None:
        self._whole = whole
        self._path = path
        self._options = options
        self._disk = disk
        self._pace = pace
        self.base = base = path if options.progress is None else options.progress
        if options.progress is not None and (
            base.absolute() == path.absolute() or not base.parent.is_dir()
        ):
            raise FileProblem(f"--progress {base}: name a new file in an existing directory")
        self._refused = beside(base, ".refused.jsonl")
        self._progress = options.progress or beside(path, ".imported")
        self._shown: list[Refusal] = []
        self._planned: _Planned | None = None
        self._stamped: frozenset[str] = frozenset()

    def begin(self) -> tuple[_ImportState, bool]:
        """Return the state of an earlier run of the same import and True, else a new state."""
        options = self._options
        what = {
            **whereabouts(self._whole, options.user_id),
            "replace": options.replace,
            "names": dict(options.mapped.names),
            "ignored": sorted(options.mapped.ignored),
            "delimiter": options.mapped.delimiter,
            "file": fingerprint(self._path),
        }
        saved = None if options.check else files.load(self._progress, _ImportState, of="import")
        if saved is not None and saved.get("what") == what:
            return _ImportState(**saved), True
        return _ImportState(what, format_timestamp(self._whole.session.clock())), False

    def run(
        self, reader: Reader, state: _ImportState, on_progress: OnProgress, *, resumed: bool
    ) -> Imported:
        """Settle the rows that earlier runs have not settled, round by round."""
        counts = Counts(**state.counts)
        self._stamped = reader.stamped
        with self._recording(state, resumed=resumed) as record:
            for rows in self._rounds(reader, state.line, counts):
                refusals = self._settle(rows, counts)
                counts.refused += len(refusals)
                self._shown += refusals[: SHOWN - len(self._shown)]
                record(rows.line, refusals, counts)
                on_progress(reader.done(), reader.total)
        found = self._refused if counts.refused and not self._options.check else None
        return Imported(self._path, counts, self._shown, found, resumed)

    @contextmanager
    def _recording(self, state: _ImportState, *, resumed: bool) -> Iterator[_Record]:
        """Keep refusals and progress on disk during the block; a check keeps only a plan."""
        if self._options.check:
            with closing(_Planned()) as self._planned:
                yield lambda line, refusals, counts: None
            return
        if not resumed:  # so that a later run sets the same timestamps
            self._save(state)
        with Growing(self._disk, self._refused, state.refused_size) as refused:
            rounds = itertools.count(1)

            def record(line: int, refusals: list[Refusal], counts: Counts) -> None:
                if refusals:
                    refused.add(b"".join(each.line_of_json() for each in refusals))
                state.line, state.counts = line, attrs.asdict(counts)
                if next(rounds) % ROUNDS_A_RECORD == 0:
                    refused.sync()  # before the progress counts it
                    state.refused_size = refused.size
                    self._save(state)

            yield record
            refused.sync()
        files.forget(self._disk, self._progress)

    def _save(self, state: _ImportState) -> None:
        files.save(self._disk, self._progress, attrs.asdict(state, recurse=False))

    # Rows

    def _rounds(self, reader: Reader, after: int, counts: Counts) -> Iterator[_Round]:
        """Group rows into rounds, which can be settled at once."""
        current = _Round(after)
        for row in reader.rows(after=after):
            try:
                key, units = _checked(row)
            except RowProblem as problem:
                current.refuse(row, str(problem))
            else:
                if self._options.user_id not in (None, key.user_id):
                    counts.others += 1
                else:
                    if not current.has_room(key, units, self._pace.most):
                        yield current
                        current = _Round(current.line)
                    current.add(row, key, units)
            current.line = row.line
            current.rows += 1
            if current.rows == ROWS:
                yield current
                current = _Round(row.line)
        yield current

    def _settle(self, rows: _Round, counts: Counts) -> list[Refusal]:
        """Write the items of a round, or plan to, and return all its refusals in order of lines."""
        outcomes = self._outcomes([item for _, item in rows.items.values()], list(rows.items))
        refusals = list(rows.refusals)
        for (line, item), outcome in zip(rows.items.values(), outcomes, strict=True):
            if outcome is PutOutcome.WRITTEN:
                counts.written += 1
            elif outcome is PutOutcome.SAME:
                counts.same += 1
            else:
                reason = _TAKEN if outcome is PutOutcome.TAKEN else _INVALID
                refusals.append(Refusal(line, key_of(item), reason))
        return sorted(refusals, key=lambda each: each.line or 0)

    def _outcomes(self, items: list[Item], keys: list[Key]) -> list[PutOutcome]:
        """Write items, or plan to, and return the outcome of each."""
        if not items:
            return []
        if self._planned is not None:
            return self._foreseen(items, keys, self._planned)
        self._pace.wait()
        if self._options.replace:
            try:
                self._pace.spent(self._whole.put(items))
            except RefusedError:  # one invalid item fails its whole request: put each by itself
                pass
            else:
                return [PutOutcome.WRITTEN] * len(items)
        puts = self._whole.put_each(items, only_free=not self._options.replace, same=self._is_same)
        self._pace.spent(puts.units)
        return puts.outcomes

    def _foreseen(self, items: list[Item], keys: list[Key], planned: _Planned) -> list[PutOutcome]:
        """Return the outcomes that writing these items would have if the table stays as it is."""
        if self._options.replace:
            return [PutOutcome.WRITTEN] * len(items)
        found = planned.of(keys)
        found |= {Key.of(item): item for item in self._whole.get(set(keys) - found.keys())}
        outcomes = []
        for key, item in zip(keys, items, strict=True):
            there = found.get(key)
            if there is None:
                planned.add(key, item)
                outcomes.append(PutOutcome.WRITTEN)
            else:
                same = self._is_same(there, item)
                outcomes.append(PutOutcome.SAME if same else PutOutcome.TAKEN)
        return outcomes

    def _is_same(self, stored: Item, item: Item) -> bool:
        """Whether nothing needs writing: timestamps that an import sets may differ."""
        return same_item(_without(stored, self._stamped), _without(item, self._stamped))


class _Planned:
    """The items that a check would have written so far, in a temporary database on disk."""

    def __init__(self) -> None:
        self._items = sqlite3.connect("", isolation_level=None)  # a temporary file
        self._items.execute("PRAGMA synchronous = OFF")
        self._items.execute(
            "CREATE TABLE items (user TEXT, record TEXT, item BLOB, PRIMARY KEY (user, record))"
            " WITHOUT ROWID"
        )

    def add(self, key: Key, item: Item) -> None:
        """Plan to write an item."""
        row = (key.user_id, key.record_key, jsontext.dumps(item))
        self._items.execute("INSERT INTO items VALUES (?, ?, ?)", row)

    def of(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Return the planned items of these keys."""
        found = {}
        for key in keys:
            row = self._items.execute(
                "SELECT item FROM items WHERE user = ? AND record = ?",
                (key.user_id, key.record_key),
            ).fetchone()
            if row is not None:
                found[key] = jsontext.loads(row[0])
        return found

    def close(self) -> None:
        self._items.close()


@attrs.define
class _Round:
    """Consecutive rows up to `line`: the items to be written, and what was refused."""

    line: int
    rows: int = 0
    units: float = 0.0
    items: dict[Key, tuple[int, Item]] = attrs.field(factory=dict)
    refusals: list[Refusal] = attrs.field(factory=list)

    def has_room(self, key: Key, units: float, most: float | None) -> bool:
        """Whether one more item fits: keys must differ, and units not exceed those of a second."""
        if not self.items:
            return True
        within = most is None or self.units + units <= most
        return key not in self.items and len(self.items) < ITEMS and within

    def refuse(self, row: Row, reason: str) -> None:
        """Add a refused row."""
        self.refusals.append(Refusal(row.line, row.key or key_of(row.item), reason))

    def add(self, row: Row, key: Key, units: float) -> None:
        """Add a row whose item is to be written."""
        assert row.item is not None
        self.items[key] = (row.line, row.item)
        self.units += units


def _checked(row: Row) -> tuple[Key, float]:
    """Return the key of a row's item, and the write units it costs. Raises RowProblem."""
    if row.item is None:
        raise RowProblem(row.problem)
    try:
        size = check_item(row.item, describe="the item")
    except InvalidRecordError as error:
        raise RowProblem(str(error)) from None
    _check_keys(row.item)
    return Key.of(row.item), float(write_units(size) * COPIES)


def _check_keys(item: Item) -> None:
    """Check the keys of table and index as DynamoDB does. Raises RowProblem.

    Odd keys that DynamoDB accepts pass, so that an export can be restored.
    """
    for name, most in _KEYS.items():
        text = item.get(name, {}).get("S")
        if name == table.DATA_TYPE and name not in item:
            continue
        if not text:
            raise RowProblem(f"{name} is missing, empty or not text; it is a part of the key")
        if len(text.encode()) > most:
            raise RowProblem(f"{name} has over {most:,} bytes, the most that a key can have")


_KEYS = {
    table.USER_ID: MAX_PARTITION_KEY,
    table.RECORD_KEY: MAX_SORT_KEY,
    table.DATA_TYPE: MAX_SORT_KEY,  # of the index
}


def _without(item: Item, names: frozenset[str]) -> Item:
    return {name: form for name, form in item.items() if name not in names} if names else item
