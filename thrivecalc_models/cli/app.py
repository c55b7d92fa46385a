"""The command `thrivecalc` itself: which commands there are, and how each of them may end."""

from __future__ import annotations

import errno
import importlib
import os
import sys

import attrs
import click
from click.shell_completion import CompletionItem

from thrivecalc_models.cli.common import Findings, UsageProblem, exit_code, left
from thrivecalc_models.errors import ServiceError, ThriveCalcError

INTERRUPTED = 130


@attrs.frozen
class Entry:
    """A command, where it is found when it is used, and its line of the help."""

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
    Entry("erase", "erase", "erase", "Delete all that is stored of one user."),
    Entry("cost", "cost", "cost", "What the table costs, by user and month."),
    Entry("infra", "infra", "infra", "A CloudFormation template, alarms, IAM policies."),
    Entry("local", "local", "local", "Start an engine on this machine, with the table."),
    Entry("doctor", "doctor", "doctor", "Find out what is wrong, and the way out."),
]


class App(click.Group):
    """Imports a command only when it is used: help and completion need none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for entry in COMMANDS:
            if entry.name == cmd_name:
                module = importlib.import_module(f"thrivecalc_models.cli.{entry.module}")
                command: click.Command = getattr(module, entry.attribute)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.help) for entry in COMMANDS])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [e for e in COMMANDS if e.name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(entry.name, help=entry.help) for entry in names] + options

    def invoke(self, ctx: click.Context) -> object:
        """Run it, and turn what it ends with into one line and an exit code."""
        try:
            return super().invoke(ctx)
        except Findings as findings:
            if str(findings):
                click.echo(str(findings), err=True)
            ctx.exit(1)
        except ThriveCalcError as error:
            _say(error)
            ctx.exit(exit_code(error))
        except (KeyboardInterrupt, click.Abort):
            click.echo(f"\nStopped: {left(ctx)}", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever was reading has gone, and click ends quietly
            click.echo(f"Error: {_of_file(error)}", err=True)
            ctx.exit(2)


def _say(error: ThriveCalcError) -> None:
    text = " ".join(str(error).split())
    if isinstance(error, ServiceError):
        text = text.replace("store.create_table()", "`thrivecalc table create`")
    click.echo(f"Error: {text}", err=True)


def _of_file(error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


@click.group(
    cls=App,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Exit codes: 0 fine, 1 differences, findings or refused rows, 2 usage, 3 trouble with"
    " the service, 130 stopped by Ctrl-C.",
)
@click.version_option(package_name="thrivecalc-models", prog_name="thrivecalc")
@click.option(
    "--import",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="A module that defines types of your own, such as my_service.types; may be repeated.",
)
def app(modules: tuple[str, ...]) -> None:
    """Look after the DynamoDB table of ThriveCalc's records.

    Every command takes --table, --region and --endpoint; where they are not given, the environment
    variables DYNAMODB_TABLE_NAME, AWS_REGION and AWS_ENDPOINT count.
    """
    for module in modules:
        _import(module)


def _import(module: str) -> None:
    """Import a module as `python -m` would find it, from the working directory too."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        importlib.import_module(module)
    except ImportError as error:
        problem = UsageProblem(f"--import {module}: {error}")
    else:
        return
    raise problem
