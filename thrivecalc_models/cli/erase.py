"""`thrivecalc erase`: delete everything of one user."""

from __future__ import annotations

import sys

import click

from thrivecalc_models.cli.common import (
    Findings,
    ServiceProblem,
    Session,
    UsageProblem,
    table_options,
)
from thrivecalc_models.errors import CommitError
from thrivecalc_models.upkeep.users import Survey, Usage, total
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.words import plural


@click.command(
    help="""Delete everything that is stored of USER: expired, unknown and malformed items too.

    Shows counts by type before and after. Backups and exports keep what they have.
    """
)
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
@table_options
def erase(session: Session, user: str, yes: bool) -> None:
    """Count the records of a user, ask, delete them, and count again."""
    session.leaves("nothing was deleted.")
    before = _counts(session, user)
    if before and not session.json:
        rows = [(data_type, usage.items, usage.size) for data_type, usage in before.items()]
        session.say(f"Stored of {user}:")
        session.table("", ["type", "records", "bytes"], rows)
    if before:
        if not yes:
            _ask(session, total(before.values()).items)
        session.leaves("some records are deleted; run the same command again for the rest.")
        _delete(session, user)
    after = _counts(session, user) if before else {}
    _report(session, user, before, after)
    if after:
        raise Findings("Records were written meanwhile; run the same command again")


def _counts(session: Session, user: str) -> dict[str, Usage]:
    """Records and bytes of a user, by type."""
    survey = Survey()
    for items in WholeTable(session.store()).user_items(user):
        survey.add(items)
    return survey.by_type()


def _ask(session: Session, records: int) -> None:
    """Go on only if the answer is yes. Raises UsageProblem without an answer, else Findings."""
    session.note(f"Delete {plural(records, 'record')} for good? Type yes:")
    answer = sys.stdin.readline()
    if not answer:
        raise UsageProblem("nothing was deleted, because standard input has no answer; give --yes")
    if answer.strip() != "yes":
        raise Findings("Nothing was deleted")


def _delete(session: Session, user: str) -> None:
    """Delete all records of a user. Raises ServiceProblem unless every one is deleted."""
    try:
        session.store().user(user).delete_all()
    except CommitError as error:
        raise ServiceProblem(
            f"{plural(len(error.applied), 'record')} deleted, {len(error.not_applied):,} not"
            f" deleted, {len(error.unknown):,} unknown; run the same command again"
        ) from None


def _report(session: Session, user: str, before: dict[str, Usage], after: dict[str, Usage]) -> None:
    if session.json:
        session.emit({"userId": user, "before": _as_json(before), "after": _as_json(after)})
        return
    gone, left = total(before.values()), total(after.values())
    if not before:
        session.say(f"Nothing is stored of {user}")
    else:
        session.say(f"{plural(gone.items, 'record')} before, {left.items:,} after")


def _as_json(counts: dict[str, Usage]) -> dict[str, object]:
    return {
        data_type: {"records": usage.items, "bytes": usage.size}
        for data_type, usage in counts.items()
    }
