"""What all commands share: the options that name the table, printing, and how to end."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, NoReturn

import click
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from thrivecalc_models.errors import (
    ConfigurationError,
    CorruptItemError,
    InvalidRecordError,
    IsolationError,
    ServiceError,
    ThriveCalcError,
)
from thrivecalc_models.store import DataStore

NARROWEST = 80
_LEFT = "thrivecalc.left"


class Findings(Exception):
    """Ends a command with exit code 1: it ran well, and what it found needs looking at.

    A text goes to standard error first.
    """


class UsageProblem(click.ClickException):
    """One line on standard error, and exit code 2: the arguments, or a file, cannot be used."""

    exit_code = 2


class ServiceProblem(click.ClickException):
    """One line on standard error, and exit code 3: the service, or the way to it, said no."""

    exit_code = 3


def exit_code(error: ThriveCalcError) -> int:
    """The exit code of a command that ends with this error."""
    if isinstance(error, ServiceError):
        return 3
    if isinstance(error, ConfigurationError | InvalidRecordError):
        return 2
    return 1 if isinstance(error, CorruptItemError | IsolationError) else 3


def left(ctx: click.Context) -> str:
    """What Ctrl-C leaves, as the command has said it last."""
    return str(ctx.meta.get(_LEFT, "run the same command again to go on."))


class Session:
    """One run of a command: which table, and where results and notes go."""

    def __init__(
        self, *, table: str | None, region: str | None, endpoint: str | None, json: bool
    ) -> None:
        self.given = {"table_name": table, "region": region, "endpoint": endpoint}
        self.json = json
        self.out = console(sys.stdout)
        self.err = console(sys.stderr)
        self._stores: dict[str | None, DataStore] = {}

    def store(self, table: str | None = None) -> DataStore:
        """The table, or another one beside it; made when first asked for and closed at the end."""
        if table not in self._stores:
            own, region, endpoint = self.given.values()
            store = DataStore(table_name=table or own, region=region, endpoint=endpoint)
            self._stores[table] = store
        return self._stores[table]

    def close(self) -> None:
        for store in self._stores.values():
            store.close()

    def leaves(self, what: str) -> None:
        """Say what Ctrl-C would leave from here on, and how to go on: the end of one line."""
        click.get_current_context().meta[_LEFT] = what

    def say(self, text: str) -> None:
        """A line of the result, for people."""
        self.out.print(safe(text), soft_wrap=True)

    def note(self, text: str) -> None:
        """A line beside the result: on standard error, so that output can be piped."""
        self.err.print(safe(text), soft_wrap=True)

    def emit(self, value: object) -> None:
        """The result as JSON."""
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows under columns. Numbers stand on the right; without a terminal no line is broken."""
        cells = [list(row) for row in rows]
        made = Table(
            title=safe(title) if title else None,
            box=box.SIMPLE_HEAD,
            title_justify="left",
            show_edge=False,
            pad_edge=False,
        )
        for index, column in enumerate(columns):
            numbers = cells and all(isinstance(row[index], int | float) for row in cells)
            made.add_column(safe(column), justify="right" if numbers else "left", overflow="fold")
        for row in cells:
            made.add_row(*(safe(_shown(cell)) for cell in row))
        if not self.out.is_terminal and "COLUMNS" not in os.environ:
            natural = Measurement.get(self.out, self.out.options.update(max_width=10_000), made)
            self.out.width = max(NARROWEST, natural.maximum)
        self.out.print(made)

    def progress(self, *columns: str | ProgressColumn) -> Progress:
        """A progress bar on standard error, where that is a terminal, and nothing elsewhere."""
        return Progress(
            *columns, console=self.err, disable=not self.err.is_terminal, transient=True
        )

    def exit(self, code: int) -> NoReturn:
        click.get_current_context().exit(code)


def console(stream: IO[str]) -> Console:
    """Prints plain text, and in colours only to a terminal."""
    terminal = stream.isatty()
    width = None if terminal or "COLUMNS" in os.environ else NARROWEST
    return Console(
        file=stream,
        force_terminal=terminal,
        force_jupyter=False,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )


def safe(text: str) -> Text:
    """Text of which nothing can steer a terminal: what is stored is somebody else's."""
    return Text("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text))


def _shown(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --table, --region, --endpoint and --json, and pass the command its Session first."""

    @click.option(
        "--table", metavar="NAME", help="Default: DYNAMODB_TABLE_NAME, else thrivecalc-user-data."
    )
    @click.option("--region", metavar="REGION", help="Default: AWS_REGION, else us-east-1.")
    @click.option("--endpoint", metavar="URL", help="Default: AWS_ENDPOINT, else the real service.")
    @click.option("--json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def with_session(
        *args: Any,
        table: str | None,
        region: str | None,
        endpoint: str | None,
        json: bool,
        **options: Any,
    ) -> Any:
        session = Session(table=table, region=region, endpoint=endpoint, json=json)
        try:
            return command(session, *args, **options)
        finally:
            session.close()

    return with_session
