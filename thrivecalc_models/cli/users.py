"""`thrivecalc users`: the users of the table."""

from __future__ import annotations

import click

from thrivecalc_models.cli.common import Session, table_options
from thrivecalc_models.cli.reading import SEGMENTS, counted
from thrivecalc_models.upkeep.users import Survey, Usage, total
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.wire import masked_user
from thrivecalc_models.words import plural


@click.command(
    help="""The user ids in the table, with counts and sizes by type.

    Reads the whole table. Sizes are bytes as DynamoDB counts them, without the index. Audits and
    logs show a user as MASKED.
    """
)
@SEGMENTS
@table_options
def users(session: Session, segments: int) -> None:
    """Count the items of every user, and print counts and sizes by type."""
    session.leaves("nothing was changed; run the same command again.")
    survey = Survey()
    pages = WholeTable(session.store()).scan(segments=segments)
    for page in counted(session, pages, lambda page: len(page.items)):
        survey.add(page.items)
    by_user = dict(sorted(survey.by_user.items()))
    if session.json:
        session.emit([_as_json(user_id, types) for user_id, types in by_user.items()])
        return
    rows = [
        (user_id, masked_user(user_id), data_type, usage.items, usage.size)
        for user_id, types in by_user.items()
        for data_type, usage in sorted(types.items())
    ]
    session.table("", ["user", "masked", "type", "records", "bytes"], rows, keep={"user"})
    everything = total(survey.by_type().values())
    session.say(
        f"{plural(len(by_user), 'user')}, {plural(everything.items, 'record')},"
        f" {everything.size:,} bytes"
    )


def _as_json(user_id: str, types: dict[str, Usage]) -> dict[str, object]:
    everything = total(types.values())
    return {
        "userId": user_id,
        "masked": masked_user(user_id),
        "records": everything.items,
        "bytes": everything.size,
        "types": {
            data_type: {"records": usage.items, "bytes": usage.size}
            for data_type, usage in sorted(types.items())
        },
    }
