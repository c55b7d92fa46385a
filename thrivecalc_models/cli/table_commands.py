"""`thrivecalc table`: make the table, and check it."""

from __future__ import annotations

from typing import Any

from thrivecalc_models.cli.common import Findings, Group, Session, members, table_options
from thrivecalc_models.upkeep.table_check import Aspect, check_table, differences, make_table
from thrivecalc_models.whole_table import WholeTable

table = Group("table", help="Make the table, and compare it with what it should be.")


@table.command(
    help="""Make the table, or what is missing of it, and wait until it is active.

    It gets its index, on-demand billing, TTL, point-in-time recovery and deletion protection.
    Existing parts are left as they are. Then the table is checked.
    """
)
@table_options
def create(session: Session) -> None:
    """Make what is missing of the table, then check it."""
    whole = WholeTable(session.store())
    session.leaves("what was made stays; the same command adds what is missing.")
    make_table(whole)
    report(session, check_table(whole))


@table.command(
    help="""Compare the table with what it should be. Changes nothing.

    Exits with 1 if something differs, and says how to fix it. What the service does not report, or
    not to these credentials, is "unknown".
    """
)
@table_options
def check(session: Session) -> None:
    """Check the table."""
    report(session, check_table(WholeTable(session.store())))


def report(session: Session, aspects: list[Aspect]) -> None:
    """Print the aspects of the table. Raises Findings if one differs."""
    if session.json:
        session.emit(as_json(session.store().table_name, aspects))
    else:
        show(session, session.store().table_name, aspects)
    if differences(aspects):
        raise Findings


def as_json(name: str, aspects: list[Aspect]) -> dict[str, Any]:
    """The aspects of a table as `--json` prints them."""
    return {
        "table": name,
        "ok": not differences(aspects),
        "aspects": [found | {"wayOut": found.pop("fix")} for found in map(members, aspects)],
    }


def show(session: Session, name: str, aspects: list[Aspect]) -> None:
    """Print the aspects as a table, and below it the fix of each that differs."""
    rows = [(aspect.name, aspect.state, aspect.found, aspect.should) for aspect in aspects]
    session.table(f"Table {name}", ["aspect", "state", "found", "should be"], rows)
    wrong = differences(aspects)
    for aspect in wrong:
        session.say(f"{aspect.name}: {aspect.fix}")
    unknown = ", ".join(aspect.name for aspect in aspects if aspect.state == "unknown")
    count = f"{len(wrong)} of {len(aspects)} differ" if wrong else "nothing differs"
    session.say(f"{count}; not known: {unknown}" if unknown else count)
