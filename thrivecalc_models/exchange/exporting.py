"""Write the table, or one user's part of it, to a file: in flat memory, completely or not at all.

The file grows under another name, beside a small file with the progress, which is saved only after
the content is on the disk. The file gets its name in one step, when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import attrs

from thrivecalc_models.errors import FileProblem
from thrivecalc_models.exchange import files
from thrivecalc_models.exchange.files import Disk, Growing, beside
from thrivecalc_models.exchange.formats import Format, format_of
from thrivecalc_models.exchange.parquet import Parquet
from thrivecalc_models.exchange.rows import Refusal, RowProblem, key_of
from thrivecalc_models.exchange.source import item_count, whereabouts
from thrivecalc_models.whole_table import Segment, WholeTable
from thrivecalc_models.wire import Item

SEGMENTS = 4

OnProgress = Callable[[int, int], object]
"""Called with how much is done, and of how much: bytes, rows or items."""


@attrs.frozen
class Exported:
    """A complete export: how many records the file has, and how many it could not hold."""

    path: Path
    records: int
    refused: int
    refused_path: Path
    resumed: bool


@attrs.define
class _ExportState:
    """The progress of an export; everything that it counts is on the disk."""

    what: dict[str, Any]
    of: str = "export"
    stage: str = "read"  # then "make" if the format converts what was read; then "rename"
    size: int = 0
    refused_size: int = 0
    records: int = 0
    refused: int = 0
    after: dict[str, Item | None] = attrs.field(factory=dict)


def export_table(
    whole: WholeTable,
    path: Path,
    *,
    user_id: str | None = None,
    disk: Disk | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Exported:
    """Write every item, or those of one user, to a file; continue where an earlier run stopped.

    It is not a snapshot: the file may miss what is written to the table meanwhile. Raises
    FileProblem (also if the file exists already), ConfigurationError for a table with other keys,
    and ServiceError; afterwards the same call continues.
    """
    if not path.parent.is_dir():
        raise FileProblem(f"{path.parent} is not a directory; create it first")
    export = _Export(whole, path, user_id, disk or Disk())
    with (
        files.naming_errors(export.growing, "written"),
        files.exclusive(path),
    ):
        return export.run(on_progress)


class _Export:
    """One run of an export. Paths beside the file hold what grows, the refusals, the progress."""

    def __init__(self, whole: WholeTable, path: Path, user_id: str | None, disk: Disk) -> None:
        self._whole = whole
        self._path = path
        self._user_id = user_id
        self._disk = disk
        self._format: Format = format_of(path)
        self.growing = beside(path, ".part")
        self._made = beside(path, ".made") if isinstance(self._format, Parquet) else self.growing
        self._refused = beside(path, ".not-exported.jsonl")
        self._progress = beside(path, ".progress")

    def run(self, on_progress: OnProgress) -> Exported:
        """Do the stages that earlier runs have not finished."""
        what = {**whereabouts(self._whole, self._user_id), "head": crc32(self._format.head())}
        state, resumed = self._state(what)
        if state.stage == "read":
            self._read(state, on_progress)
        if state.stage == "make":
            self._make(state)
        self._rename()
        return Exported(self._path, state.records, state.refused, self._refused, resumed)

    def _state(self, what: dict[str, Any]) -> tuple[_ExportState, bool]:
        """The state that was saved, or a new one, and which of these it is. Raises FileProblem."""
        saved = files.load(self._progress, _ExportState, of="export")
        if saved is None:
            self._check_free()
            return _ExportState(what), False
        if saved.get("what") != what:
            raise FileProblem(
                f"{self._progress} belongs to an export of something else; finish that with its own"
                f" command, or remove {self._progress.name} and {self.growing.name}"
            )
        return _ExportState(**saved), True

    def _check_free(self) -> None:
        """Raise FileProblem if the file exists: an export never overwrites one."""
        if self._path.is_symlink() and not self._path.exists():
            raise FileProblem(
                f"{self._path} is a link to a file that is not there; name that file instead"
            )
        if self._path.exists():
            raise FileProblem(f"{self._path} exists already; choose another name, or remove it")

    def _save(self, state: _ExportState) -> None:
        files.save(self._disk, self._progress, attrs.asdict(state, recurse=False))

    # Reading the table

    def _read(self, state: _ExportState, on_progress: OnProgress) -> None:
        total = item_count(self._whole)
        if self._user_id is not None:  # one user is read again: the part is small
            state.size = state.refused_size = state.records = state.refused = 0
        with (
            Growing(self._disk, self.growing, state.size) as growing,
            Growing(self._disk, self._refused, state.refused_size) as refused,
        ):
            if not state.size:
                growing.add(self._format.pack(self._format.head()))
            for items, after in self._rounds(state):
                self._append(items, state, growing, refused)
                state.after |= after
                self._settle(state, growing, refused)
                on_progress(state.records, total)
            state.stage = "make" if self._made != self.growing else "rename"
            self._settle(state, growing, refused)

    def _rounds(self, state: _ExportState) -> Iterator[tuple[list[Item], dict[str, Item | None]]]:
        """Yield items with the key after which each segment continues.

        A round has a page of every unfinished segment, in order. So a run that continues writes the
        same file as one that was not stopped, however the segments were interleaved.
        """
        if self._user_id is not None:
            for items in self._whole.user_items(self._user_id):
                yield items, {}
            return
        known = {int(number): key for number, key in state.after.items()}
        for pages in _in_rounds(self._whole.scan(segments=SEGMENTS, after=known), known):
            items = [item for page in pages for item in page.items]
            yield items, {str(page.number): page.after for page in pages}

    def _append(
        self, items: list[Item], state: _ExportState, growing: Growing, refused: Growing
    ) -> None:
        lines, problems = [], []
        for item in items:
            try:
                lines.append(self._format.line(item))
            except RowProblem as problem:
                problems.append(Refusal(None, key_of(item), str(problem)).line_of_json())
        if lines:
            growing.add(self._format.pack(b"".join(lines)))
        if problems:
            refused.add(b"".join(problems))
        state.records += len(lines)
        state.refused += len(problems)

    def _settle(self, state: _ExportState, growing: Growing, refused: Growing) -> None:
        growing.sync()
        refused.sync()
        state.size, state.refused_size = growing.size, refused.size
        self._save(state)

    # Completing the file

    def _make(self, state: _ExportState) -> None:
        """Convert the lines to a file of the format."""
        with self._disk.open(self._made) as made:
            self._disk.cut(made, 0)
            if isinstance(self._format, Parquet):
                self._format.finish(self.growing, lambda some: self._disk.write(made, some))
            self._disk.sync(made)
        state.stage = "rename"
        self._save(state)

    def _rename(self) -> None:
        """Give the file its name, if no earlier run has done so, and remove the others."""
        if self._made.exists():
            self._check_free()
            self._disk.rename(self._made, self._path)
        elif not self._path.exists():
            raise FileProblem(f"{self._made} is missing; remove {self._progress} to start again")
        self._disk.remove(self.growing)
        files.forget(self._disk, self._progress)


def _in_rounds(
    pages: Iterable[Segment], after: Mapping[int, Item | None]
) -> Iterator[list[Segment]]:
    """Collect pages into rounds of one page of every unfinished segment."""
    unfinished = {number for number in range(SEGMENTS) if after.get(number, True) is not None}
    held: list[Segment] = []
    for page in pages:
        held.append(page)
        if page.number == max(unfinished):
            yield held
            unfinished -= {each.number for each in held if each.after is None}
            held = []
    if held:
        yield held
