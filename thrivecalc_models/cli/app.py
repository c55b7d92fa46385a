"""The command `thrivecalc`: its list of commands, and the exit code of each error."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem

from thrivecalc_models import stdio
from thrivecalc_models.cli.common import (
    TYPES,
    Findings,
    Group,
    ServiceProblem,
    UsageProblem,
    exit_code,
    left,
    take_types,
)
from thrivecalc_models.errors import ServiceError, ThriveCalcError
from thrivecalc_models.interrupts import INTERRUPTED

HELP_WIDTH = 78
_PACKAGE = "thrivecalc-models"


@attrs.frozen
class Entry:
    """A command: its name, the module and attribute that it is loaded from, and its help line."""

    name: str
    module: str
    attribute: str
    help: str


COMMANDS = [
    Entry(
        "table", "table_commands", "table", "Make the table, and compare it with what it should be."
    ),
    Entry("backup", "backups", "backup", "Make backups, list them, restore into a new table."),
    Entry("users", "users", "users", "The user ids in the table, with counts and sizes."),
    Entry("show", "show", "show", "One user's records; amounts and names are masked."),
    Entry("audit", "audit", "audit", "Look for items that break the table's rules."),
    Entry("export", "exchange", "export_command", "Write the table, or one user, to a file."),
    Entry("import", "exchange", "import_command", "Fill the table from a file."),
    Entry("erase", "erase", "erase", "Delete everything that is stored of one user."),
    Entry("cost", "cost", "cost", "What the table costs, by user and month."),
    Entry("infra", "infra", "infra", "A CloudFormation template, alarms, IAM policies."),
    Entry("local", "local", "local", "Start an engine on this machine, with the table."),
    Entry("doctor", "doctor", "doctor", "Find out what is wrong, and how to fix it."),
]


class App(Group):
    """The group of all commands. It imports a command only when it is used: help needs none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        for entry in COMMANDS:
            if entry.name == cmd_name:
                module = importlib.import_module(f"thrivecalc_models.cli.{entry.module}")
                command: click.Command = getattr(module, entry.attribute)
                return take_types(command)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.help) for entry in COMMANDS])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [e for e in COMMANDS if e.name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(entry.name, help=entry.help) for entry in names] + options

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        if not sys.stdout.isatty():
            extra.setdefault("terminal_width", HELP_WIDTH)  # COLUMNS is for terminals
        with _ending(None):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; an error becomes one line and an exit code."""
        with _ending(ctx):
            return super().invoke(ctx)


@contextmanager
def _ending(ctx: click.Context | None) -> Iterator[None]:
    """Turn the exception that ends a command into one line on standard error and an exit code."""
    try:
        yield
        return
    except Findings as findings:
        if str(findings):
            stdio.print_error(str(findings))
        code = 1
    except (ThriveCalcError, UsageProblem, ServiceProblem) as error:
        stdio.print_error(f"Error: {_one_line(error)}")
        code = exit_code(error)
    except click.ClickException as error:  # click's own, which shows the usage too
        shown = io.StringIO()
        error.show(shown)
        stdio.print_error(shown.getvalue().rstrip("\n"))
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        stdio.print_error(f"\nStopped: {left(ctx) if ctx else 'nothing was begun.'}")
        code = INTERRUPTED
    except OSError as error:
        code = stdio.after(error)
    raise click.exceptions.Exit(code)


def _one_line(error: Exception) -> str:
    """The message on one line; a call that it advises is the command that does the same."""
    text = " ".join(line.strip() for line in str(error).splitlines())
    if isinstance(error, ServiceError):
        text = text.replace("store.create_table()", "`thrivecalc table create`")
    return text


def _show_version(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    """Print the version and exit, if --version is given. Raises UsageProblem if it is unknown."""
    if not value or ctx.resilient_parsing:
        return
    try:
        version = metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        raise UsageProblem(
            f"the version is unknown, because the metadata of {_PACKAGE} is not installed here:"
            f" pip install {_PACKAGE}"
        ) from None
    click.echo(f"thrivecalc, version {version}")
    ctx.exit()


@click.group(
    cls=App,
    help="""Look after the DynamoDB table of ThriveCalc's records.

    Every command takes --table, --region and --endpoint. Their defaults are the environment
    variables DYNAMODB_TABLE_NAME, AWS_REGION and AWS_ENDPOINT.
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes: 0 success, 1 differences, findings or refused rows, 2 wrong usage, 3 a"
    " problem with the service, 130 stopped by Ctrl-C, 141 the reader of the output has gone.",
)
@TYPES
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def app() -> None:
    """Run one of COMMANDS."""
