"""`thrivecalc doctor`: problems, and how to fix them."""

from __future__ import annotations

import click

from thrivecalc_models.cli.common import Findings, Session, members, table_options
from thrivecalc_models.upkeep.doctor import diagnose


@click.command(
    help="""Find out what is wrong, and how to fix it.

    Checks the settings and where each comes from, the credentials (never shown), the endpoint, the
    clock, the table, the actions that these credentials allow, and versions. Changes nothing: the
    writes that it tries have an unused key and a condition that cannot hold.

    Exits with 1 if something here needs a fix, with 3 if the service does not answer.
    """
)
@table_options
def doctor(session: Session) -> None:
    """Print the diagnosis of this machine's access to the table."""
    session.leaves("nothing was changed.")
    diagnosis = diagnose(session.given)
    if session.json:
        ok = diagnosis.reached and not diagnosis.troubles
        rows = [members(row) for row in diagnosis.rows]
        session.emit({"ok": ok, "reached": diagnosis.reached, "rows": rows})
    else:
        cells = [(row.check, row.state, row.what) for row in diagnosis.rows]
        session.table("", ["check", "state", "what"], cells)
        for row in diagnosis.rows:
            if row.way_out:
                session.say(f"{row.check}: {row.way_out}")
    if not diagnosis.reached:
        click.get_current_context().exit(3)
    if diagnosis.troubles:
        raise Findings
