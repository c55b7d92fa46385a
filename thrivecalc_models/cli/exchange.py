"""`thrivecalc export` and `thrivecalc import`: the table to a file and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from thrivecalc_models.cli.common import Findings, Session, UsageProblem, members, table_options
from thrivecalc_models.exchange import (
    Exported,
    Imported,
    Mapped,
    Options,
    export_table,
    import_file,
)
from thrivecalc_models.stdio import printable
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.words import plural

_FILE = click.Path(path_type=Path)


def _delimiter(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """The delimiter as one character. Raises UsageProblem."""
    if value is None:
        return None
    found = "\t" if value.lower() in ("tab", "\\t") else value
    if len(found) != 1 or found.isalnum() or found in '"\r\n':
        raise UsageProblem(f"--delimiter {value}: give one character such as ';', or tab")
    return found


@click.command(
    "export",
    help="""Write the table, or one user's records, to FILE.

    The extension names the format: .jsonl or .jsonl.gz (DynamoDB's JSON, an item a line, as in its
    own export to S3), .csv, or .parquet (needs pyarrow). Nothing is lost: what has no typed column
    is in a column of JSON, and `thrivecalc import` restores the same items.

    After a stop, even a kill, the same command continues. FILE appears when it is complete; only
    its owner can read it.
    """,
)
@click.argument("file", type=_FILE)
@click.option("--user", metavar="USER", help="Only the records of this user id.")
@table_options
def export_command(session: Session, file: Path, user: str | None) -> None:
    """Export to the file, and print how many records it has."""
    session.leaves(f"{file} is not complete; the same command continues where this one stopped.")
    with _bar(session, f"Exporting to {file.name}") as on_progress:
        done = export_table(
            WholeTable(session.store()), file, user_id=user, on_progress=on_progress
        )
    refused_file = str(done.refused_path) if done.refused else None
    if session.json:
        result = {"file": str(done.path), "records": done.records, "refused": done.refused}
        session.emit(result | {"refusedFile": refused_file, "resumed": done.resumed})
    else:
        session.say(f"{done.path}: {plural(done.records, 'record')}{_continued(done)}")
    if done.refused:
        raise Findings(
            f"{plural(done.refused, 'record')} could not be exported; {refused_file} says which and"
            " why"
        )


@click.command(
    "import",
    help="""Fill the table from FILE: .jsonl, .jsonl.gz, .csv or .parquet.

    Every row is checked before it is written. A record is written only if its key is free. If the
    key has another record, that one stays and the row is refused, unless --replace is given.
    Refused rows are listed in FILE.refused.jsonl, and the exit code is 1.

    Columns have the table's names: userId, recordKey, dataType, recordId, createdAt, updatedAt,
    ttl, data.name and so on, and rest for DynamoDB's JSON. A file without recordKey counts as a
    file of another program: its keys are made of dataType and recordId, and every record must fit
    its type. A folder NAME.parquet is read as its parts.

    After a stop, even a kill, the same command continues.
    """,
)
@click.argument("file", type=_FILE)
@click.option("--user", metavar="USER", help="Only the records of this user id.")
@click.option("--check", is_flag=True, help="Write nothing; show what an import would do.")
@click.option("--replace", is_flag=True, help="Overwrite other records under the same keys.")
@click.option(
    "--map",
    "mapped",
    metavar="STORED=COLUMN",
    multiple=True,
    help="A column with another name than the table's, such as data.targetAmount=target_amount.",
)
@click.option("--ignore", "ignored", metavar="COLUMN", multiple=True, help="A column to leave out.")
@click.option(
    "--delimiter",
    metavar="CHAR",
    callback=_delimiter,
    help="What separates the cells of CSV, such as ';' or tab. Default: as in its header.",
)
@click.option(
    "--progress",
    type=_FILE,
    metavar="PATH",
    help="Where to keep the progress. Default: beside FILE.",
)
@click.option(
    "--max-write-units",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Use at most N write units a second.",
)
@table_options
def import_command(
    session: Session,
    file: Path,
    user: str | None,
    check: bool,
    replace: bool,
    mapped: Sequence[str],
    ignored: Sequence[str],
    delimiter: str | None,
    progress: Path | None,
    max_write_units: float | None,
) -> None:
    """Import the file, and print how many rows were written and which were refused."""
    options = Options(
        user_id=user,
        replace=replace,
        check=check,
        mapped=Mapped(names=_names(mapped), ignored=frozenset(ignored), delimiter=delimiter),
        progress=progress,
        max_write_units=max_write_units,
    )
    stays = "what was written stays; the same command continues where this one stopped."
    session.leaves("nothing was written." if check else stays)
    with _bar(session, f"Importing {file.name}") as on_progress:
        done = import_file(WholeTable(session.store()), file, options, on_progress=on_progress)
    if session.json:
        session.emit(_as_json(done, check=check))
    else:
        _show(session, done, check=check)
    refused = done.counts.refused
    if refused:
        where = f"; {done.refused_path} has all of them" if done.refused_path else ""
        verb = "would be" if check else "was" if refused == 1 else "were"
        raise Findings(f"{plural(refused, 'row')} {verb} refused{where}")


def _as_json(done: Imported, *, check: bool) -> dict[str, Any]:
    return {
        "file": str(done.path),
        "check": check,
        **members(done.counts),
        "refusals": [members(each) for each in done.refusals],
        "refusedFile": str(done.refused_path) if done.refused_path else None,
        "resumed": done.resumed,
    }


def _show(session: Session, done: Imported, *, check: bool) -> None:
    counts = done.counts
    parts = [
        f"{counts.written:,} would be written" if check else f"{counts.written:,} written",
        f"{counts.same:,} already stored",
        f"{counts.refused:,} refused",
    ]
    if counts.others:
        parts.append(f"{counts.others:,} of other users left out")
    session.say(f"{done.path}: {', '.join(parts)}{_continued(done)}")
    if done.refusals:
        rows = [
            (each.line, each.key["recordKey"] if each.key else None, each.reason)
            for each in done.refusals
        ]
        session.table("", ["line", "record", "refused because"], rows, keep={"record"})


def _continued(done: Exported | Imported) -> str:
    return " (continued where an earlier run stopped)" if done.resumed else ""


def _names(mapped: Sequence[str]) -> dict[str, str]:
    """The columns of --map by their names in the table. Raises UsageProblem."""
    names: dict[str, str] = {}
    for each in mapped:
        stored, equals, column = each.partition("=")
        if not (stored and equals and column):
            raise UsageProblem(f"--map {each}: give it as STORED=COLUMN, such as userId=user_id")
        if stored in names:
            raise UsageProblem(f"--map {stored} is given twice; give it once")
        names[stored] = column
    return names


@contextmanager
def _bar(session: Session, title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, and the function that moves it."""
    with session.progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    ) as bar:
        task = bar.add_task(printable(title), total=None)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=max(done, total) or None)

        yield on_progress
