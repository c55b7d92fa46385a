"""`thrivecalc local`: an engine on this machine, with the table, until Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import click

from thrivecalc_models.cli.common import ServiceProblem, Session, UsageProblem
from thrivecalc_models.exchange import Options, check_file, import_file
from thrivecalc_models.local import Dynoxide, EmbeddedEngine, LocalEngine
from thrivecalc_models.whole_table import WholeTable

_FILE = click.Path(path_type=Path, dir_okay=False)
_POLL_SECONDS = 0.2


@click.command(
    help="""Start an engine on this machine, with the table, until Ctrl-C.

    Prints the three environment variables by which the library, this command and the web
    application find it. Any credentials work. Only this machine can reach it.
    """
)
@click.option(
    "--engine",
    type=click.Choice(["moto", "dynoxide"]),
    default="moto",
    show_default=True,
    help="moto stores nothing on disk; dynoxide, a separate program, can.",
)
@click.option("--path", type=_FILE, help="Where dynoxide keeps its data.")
@click.option("--program", type=_FILE, help="Where dynoxide is. Default: on PATH.")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: any that is free.")
@click.option("--seed", type=_FILE, help="A file to import: .jsonl, .jsonl.gz, .csv, .parquet.")
@click.option(
    "--table", metavar="NAME", help="Default: DYNAMODB_TABLE_NAME, else thrivecalc-user-data."
)
@click.option("--region", metavar="REGION", help="Default: AWS_REGION, else us-east-1.")
@click.option("--json", is_flag=True, help="Print the variables as JSON.")
def local(
    engine: str,
    path: Path | None,
    program: Path | None,
    port: int | None,
    seed: Path | None,
    table: str | None,
    region: str | None,
    json: bool,
) -> None:
    """Start the engine, make and fill the table, print the settings, and wait for the end."""
    if engine == "moto" and (path or program):
        raise UsageProblem("--path and --program are for --engine dynoxide; moto stores nothing")
    if seed is not None:
        check_file(seed)  # before an engine starts, which takes seconds
    with _ending_on_sigterm(), started(engine, path, program, port or 0) as running:
        session = Session(table=table, region=region, endpoint=running.endpoint, json=json)
        session.leaves(
            f"{path} has the data; the same command uses it again."
            if path
            else "the engine has ended, and what it held is gone."
        )
        try:
            session.store().create_table()
            if seed is not None:
                _fill(session, seed)
            _print_variables(session)
        finally:
            session.close()
        _wait(running)


@contextmanager
def started(
    engine: str, path: Path | None, program: Path | None, port: int
) -> Iterator[LocalEngine]:
    """Run the engine of that name during the block; port 0 is any that is free."""
    if engine == "moto":
        with EmbeddedEngine(port=port) as embedded:
            yield embedded
    else:
        with Dynoxide(program=program, path=path, port=port) as dynoxide:
            yield dynoxide


def _fill(session: Session, seed: Path) -> None:
    """Import the file into the empty table, and note the counts."""
    done = import_file(WholeTable(session.store()), seed, Options())
    counts = attrs.asdict(done.counts)
    session.note(
        f"{seed}: {', '.join(f'{count} {what}' for what, count in counts.items() if count)}"
    )
    if done.refused_path:
        session.note(f"{done.refused_path} says why rows were refused.")


def _print_variables(session: Session) -> None:
    """Print the settings that find the engine, as lines for a shell or as JSON."""
    settings = session.store().settings
    variables = {
        "DYNAMODB_TABLE_NAME": settings.table_name,
        "AWS_REGION": settings.region,
        "AWS_ENDPOINT": settings.endpoint or "",
    }
    if session.json:
        session.emit(variables)
    else:
        for name, value in variables.items():
            click.echo(f"export {name}={shlex.quote(value)}")
    sys.stdout.flush()
    session.note("Ready, until Ctrl-C.")


def _wait(running: LocalEngine) -> None:
    """Wait until Ctrl-C. Raises ServiceProblem if the engine ends first."""
    while not (isinstance(running, Dynoxide) and running.ended()):
        time.sleep(_POLL_SECONDS)
    raise ServiceProblem("dynoxide has ended unexpectedly; start it again")


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Handle SIGTERM as Ctrl-C during the block, so that no engine keeps running."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
