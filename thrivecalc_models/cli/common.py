"""What all commands share: the options that name the table, printing, and exits."""

from __future__ import annotations

import difflib
import functools
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from typing import IO, Any

import attrs
import click
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.text import Text

from thrivecalc_models.catalogue import import_types
from thrivecalc_models.cli.tables import Grid
from thrivecalc_models.errors import (
    ConfigurationError,
    CorruptItemError,
    FileProblem,
    InvalidRecordError,
    IsolationError,
    ServiceError,
    ThriveCalcError,
)
from thrivecalc_models.payloads.define import camel_case
from thrivecalc_models.stdio import json_text, printable
from thrivecalc_models.store import DataStore

NARROWEST = 80
_LEFT = "thrivecalc.left"


class Findings(Exception):
    """Ends a command with exit code 1: it succeeded, and what it found needs attention.

    Its text, if it has one, is printed to standard error.
    """


class UsageProblem(click.ClickException):
    """One line on standard error, and exit code 2: the arguments, or a file, cannot be used."""

    exit_code = 2


class ServiceProblem(click.ClickException):
    """One line on standard error, and exit code 3: a problem with the service."""

    exit_code = 3


def exit_code(error: ThriveCalcError | click.ClickException) -> int:
    """Return the exit code of a command that ends with this error."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, ServiceError):
        return 3
    if isinstance(error, ConfigurationError | FileProblem | InvalidRecordError):
        return 2
    return 1 if isinstance(error, CorruptItemError | IsolationError) else 3


class Group(click.Group):
    """A group that suggests the nearest command for an unknown one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. An unknown name is an error that suggests the nearest."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-"):
            names = self.list_commands(ctx)
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f" Did you mean `{ctx.command_path} {near[0]}`?" if near else ""
                ctx.fail(f"No such command {name!r}.{hint}")
        return super().resolve_command(ctx, args)


def left(ctx: click.Context) -> str:
    """What Ctrl-C leaves, as the command stated it last with `Session.leaves`."""
    return str(ctx.meta.get(_LEFT, "run the same command again to go on."))


def check_name(of: str, name: str) -> None:
    """Refuse a name that no table or backup can have. Raises UsageProblem.

    Source: "Naming rules", Amazon DynamoDB Developer Guide; tables can be named by their ARN too.
    """
    if not (_NAME.fullmatch(name) or _TABLE_ARN.fullmatch(name)):
        raise UsageProblem(
            f"no {of} can be called {name!r}: a name has 3 to 255 letters, digits, '_', '-', '.'"
        )


_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_TABLE_ARN = re.compile(r"arn:[a-z0-9-]+:dynamodb:[^:\s]*:[^:\s]*:table/[A-Za-z0-9_.-]{3,255}")


class Session:
    """One run of a command: its tables, and where results and notes go."""

    def __init__(
        self, *, table: str | None, region: str | None, endpoint: str | None, json: bool
    ) -> None:
        self.given = {"table_name": table, "region": region, "endpoint": endpoint}
        self.json = json
        self.out = console(sys.stdout)
        self.err = console(sys.stderr)
        self._stores: dict[str | None, DataStore] = {}

    def store(self, table: str | None = None) -> DataStore:
        """The store of the table, or of another one in the same place; `close` closes all."""
        if table not in self._stores:
            own, region, endpoint = self.given.values()
            store = DataStore(table_name=table or own, region=region, endpoint=endpoint)
            self._stores[table] = store
            check_name("table", store.table_name)
        return self._stores[table]

    def close(self) -> None:
        """Close the stores that were used."""
        for store in self._stores.values():
            store.close()

    def leaves(self, what: str) -> None:
        """State what Ctrl-C leaves from here on, and how to continue: the end of one line."""
        click.get_current_context().meta[_LEFT] = what

    def say(self, text: str) -> None:
        """Print a line of the result, for people."""
        self.out.print(Text(printable(text)), soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line beside the result: on standard error, so that output can be piped."""
        self.err.print(Text(printable(text)), soft_wrap=True)

    def emit(self, value: object) -> None:
        """Print the result as JSON."""
        click.echo(json_text(value))

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        keep: Collection[str] = (),
        right: Collection[str] = (),
    ) -> None:
        """Print rows under columns; a list is the lines of a cell.

        Numbers, and the columns of `right`, are aligned to the right. The columns of `keep` are
        copied into other commands and never broken.
        """
        found = [list(row) for row in rows]
        numbers = (
            at
            for at, column in enumerate(columns)
            if column in right or (found and all(isinstance(row[at], int | float) for row in found))
        )
        Grid(
            title=printable(title),
            columns=[printable(column) for column in columns],
            rows=[[printable(_shown(cell)) for cell in row] for row in found],
            right=frozenset(numbers),
            keep=frozenset(at for at, column in enumerate(columns) if column in keep),
        ).print_to(self.out)

    def progress(self, *columns: str | ProgressColumn) -> Progress:
        """A progress bar on standard error if that is a terminal, else nothing."""
        return Progress(
            *columns, console=self.err, disable=not self.err.is_terminal, transient=True
        )


class _Console(Console):
    """A console that leaves a closed pipe to the command, which has its own exit code for it."""

    def on_broken_pipe(self) -> None:
        raise


def console(stream: IO[str]) -> Console:
    """A console for plain text; only a terminal gets colours and the width that COLUMNS says."""
    terminal = stream.isatty()
    return _Console(
        file=stream,
        force_terminal=terminal,
        force_jupyter=False,
        width=None if terminal else NARROWEST,
        highlight=False,
        markup=False,
        emoji=False,
    )


def members(value: Any) -> dict[str, Any]:
    """The fields of an attrs value by their names in JSON, in camelCase as in the table."""
    return {
        camel_case(field.name): getattr(value, field.name) for field in attrs.fields(type(value))
    }


def one_line(text: str) -> str:
    """Text with its line breaks as escapes, for use within a line."""
    return text.replace("\n", "\\n")


def _shown(cell: object) -> str:
    """The text of a cell: None is empty, and integers have commas between thousands."""
    if cell is None:
        return ""
    if isinstance(cell, list):
        return "\n".join(map(one_line, cell))
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return one_line(str(cell))


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --table, --region, --endpoint and --json to a command, and pass it a Session first."""

    @click.option(
        "--table", metavar="NAME", help="Default: DYNAMODB_TABLE_NAME, else thrivecalc-user-data."
    )
    @click.option("--region", metavar="REGION", help="Default: AWS_REGION, else us-east-1.")
    @click.option("--endpoint", metavar="URL", help="Default: AWS_ENDPOINT, else the real service.")
    @click.option("--json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def with_session(**options: Any) -> Any:
        own = {name: options.pop(name) for name in ("table", "region", "endpoint", "json")}
        with closing(Session(**own)) as session:
            return command(session, **options)

    return with_session


# --- types of a service ---------------------------------------------------------------------------


def _import_all(ctx: click.Context, option: click.Parameter, modules: tuple[str, ...]) -> None:
    """Import the modules of --types. Raises ConfigurationError, except while a shell completes."""
    for module in modules:
        try:
            import_types(module)
        except ConfigurationError:
            if not ctx.resilient_parsing:
                raise


TYPES = click.option(
    "--types",
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    is_eager=True,
    expose_value=False,
    callback=_import_all,
    help="A module that defines types of your own, such as my_service.types; may be repeated.",
)


def take_types(command: click.Command) -> click.Command:
    """Add the option --types to a command and to its subcommands."""
    if not any(option.name == "modules" for option in command.params):
        TYPES(command)
    if isinstance(command, click.Group):
        for part in command.commands.values():
            take_types(part)
    return command
