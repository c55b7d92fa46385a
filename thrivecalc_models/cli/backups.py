"""`thrivecalc backup`: backups on demand, and restoring into a new table."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import click

from thrivecalc_models.cli.common import (
    Findings,
    Group,
    Session,
    UsageProblem,
    check_name,
    table_options,
)
from thrivecalc_models.cli.table_commands import as_json, show
from thrivecalc_models.upkeep import backups
from thrivecalc_models.upkeep.backups import Backup, OfBackup, OfTime, Source, text_of
from thrivecalc_models.upkeep.commands import Commands
from thrivecalc_models.upkeep.table_check import (
    Aspect,
    check_table,
    differences,
    make_table,
    wait_until_active,
)
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.words import plural

backup = Group("backup", help="Make backups, list them, restore into a new table.")


@backup.command(help="Back the table up, and wait until the backup is available.")
@click.option("--name", help="Default: thrivecalc- and the time.")
@table_options
def create(session: Session, name: str | None) -> None:
    """Make a backup, and print its ARN and the command that restores it."""
    if name is not None:
        check_name("backup", name)
    whole = WholeTable(session.store())
    session.leaves("a backup that was begun continues; `thrivecalc backup list` shows it.")
    made = backups.create_backup(
        whole, name or f"thrivecalc-{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}"
    )
    if session.json:
        session.emit(_as_json(made))
        return
    session.say(f"{made.name} is {made.status.lower()}: {made.arn}")
    words = ("backup", "restore", "--backup", made.arn, "--into", "NEW-TABLE")
    session.say(f"To restore it: {Commands(whole.store.settings).thrivecalc(*words)}")


@backup.command(
    "list",
    help="""List the backups of the table, and the points in time that it can be restored to.

    Backups outlive their table: this works for a deleted table too.
    """,
)
@table_options
def list_command(session: Session) -> None:
    """Print the backups, the oldest first, and the window of point-in-time recovery."""
    whole = WholeTable(session.store())
    found = sorted(backups.list_backups(whole), key=lambda backup: backup.created)
    window = backups.recoverable(whole)
    if session.json:
        ends = None if window is None else [text_of(end) for end in window]
        session.emit({"backups": [_as_json(one) for one in found], "pointsInTime": ends})
        return
    rows = [
        (one.name, text_of(one.created), one.status, one.kind, one.size, one.arn) for one in found
    ]
    session.table(
        f"Backups of {whole.store.table_name}",
        ["name", "made", "status", "type", "bytes", "arn"],
        rows,
        keep={"name", "arn"},
    )
    if window is None:
        session.say("It cannot be restored to a point in time.")
    else:
        session.say(f"Any time can be restored from {text_of(window[0])} to {text_of(window[1])}.")


@backup.command(
    help="""Restore a backup, or the table at a point in time, into a new table.

    An existing table is never overwritten. The policy of `thrivecalc infra iam-policy --for
    operator` allows names that begin with this table's name and a dash. DynamoDB restores no TTL,
    no point-in-time recovery and no deletion protection: this command sets them afterwards. Then it
    checks the new table and counts its items, which reads all of it.
    """
)
@click.option("--backup", "arn", metavar="ARN", help="Restore this backup.")
@click.option("--at", metavar="TIME", help="Restore the table as of 2026-01-07T12:30:00Z, say.")
@click.option("--latest", is_flag=True, help="Restore the table at the latest time possible.")
@click.option("--into", required=True, metavar="NAME", help="The new table; it must not exist.")
@table_options
def restore(session: Session, arn: str | None, at: str | None, latest: bool, into: str) -> None:
    """Restore into a new table, set what DynamoDB does not restore, and check the result."""
    source = _source(arn, at, latest)
    whole, target = WholeTable(session.store()), WholeTable(session.store(into))
    if into == whole.store.table_name:
        raise UsageProblem(f"--into {into} is the table itself; name a new one")
    session.leaves("a restore that was begun continues; the same command finishes it.")
    begun = backups.begin_restore(whole, source, target)
    state = "is being restored" if begun else "was begun before, and this run finishes it"
    session.note(f"{into} {state}; it takes minutes to hours until it is active.")
    wait_until_active(target, every=backups.POLL_SECONDS)
    aspects, added = _add_missing(target)
    items = backups.count_items(target)
    if session.json:
        session.emit({**as_json(into, aspects), "items": items, "notRestored": added})
    else:
        show(session, into, aspects)
        if added:
            session.say(f"Not restored by DynamoDB, and set now: {', '.join(added)}")
        session.say(plural(items, "item"))
    if differences(aspects):
        raise Findings


def _add_missing(target: WholeTable) -> tuple[list[Aspect], list[str]]:
    """Set what DynamoDB does not restore; return the aspects, and the names of those it set."""
    before = [aspect.name for aspect in differences(check_table(target))]
    make_table(target)
    aspects = check_table(target)
    after = {aspect.name for aspect in differences(aspects)}
    return aspects, [name for name in before if name not in after]


def _source(arn: str | None, at: str | None, latest: bool) -> Source:
    """What to restore, from the one of three options that is given. Raises UsageProblem."""
    if [arn is not None, at is not None, latest].count(True) != 1:
        raise UsageProblem("give one of --backup ARN, --at TIME and --latest")
    if arn is None:
        return OfTime(None if at is None else _time(at))
    if not _ARN.fullmatch(arn):
        raise UsageProblem(
            f"--backup takes the ARN of a backup, not {arn!r}; `thrivecalc backup list` shows it"
        )
    return OfBackup(arn)


def _time(text: str) -> datetime:
    """A past moment with its zone. Raises UsageProblem."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise UsageProblem(
            f"--at takes a time with its zone, such as 2026-01-07T12:30:00Z, not {text!r}"
        )
    if time > datetime.now(UTC):
        raise UsageProblem(
            f"--at {text} is in the future; give a time that has passed, or --latest"
        )
    return time


_ARN = re.compile(r"arn:[a-z0-9-]+:dynamodb:\S+:table/\S+/backup/\S+")


def _as_json(backup: Backup) -> dict[str, Any]:
    return {
        "name": backup.name,
        "arn": backup.arn,
        "created": text_of(backup.created),
        "status": backup.status,
        "type": backup.kind,
        "bytes": backup.size,
    }
