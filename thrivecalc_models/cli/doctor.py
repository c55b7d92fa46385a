"""`thrivecalc doctor`: problems, and how to fix them."""

from __future__ import annotations

import click

from thrivecalc_models.cli.common import Session, members, table_options
from thrivecalc_models.upkeep.doctor import diagnose


@click.command(
    help="""Find out what is wrong between this machine and its table, and the way out.

    Looks at the settings and where each came from, credentials (which are never shown), the
    endpoint, the clock, the table, what these credentials may do, and versions. Changes nothing:
    the writes that it tries are of an unused key, under a condition that cannot hold.

    Exits with 1 where something is to be fixed here, with 3 where the service does not answer.
    """
)
@table_options
def doctor(session: Session) -> None:
    session.leaves("nothing was changed.")
    diagnosis = diagnose(session.given)
    if session.json:
        session.emit(
            {
                "ok": diagnosis.reached and not diagnosis.troubles,
                "reached": diagnosis.reached,
                "rows": [members(row) for row in diagnosis.rows],
            }
        )
    else:
        session.table(
            "",
            ["check", "state", "what"],
            [(row.check, row.state, row.what) for row in diagnosis.rows],
        )
        for row in diagnosis.rows:
            if row.way_out:
                session.say(f"{row.check}: {row.way_out}")
    if not diagnosis.reached:
        session.exit(3)
    if diagnosis.troubles:
        session.exit(1)
