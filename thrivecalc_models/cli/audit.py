"""`thrivecalc audit`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import attrs
import click

from thrivecalc_models.cli.common import Findings, Session, UsageProblem, table_options
from thrivecalc_models.cli.reading import SEGMENTS, counted, plural
from thrivecalc_models.upkeep.audit import Examined, Tally
from thrivecalc_models.upkeep.audit import audit as examine
from thrivecalc_models.upkeep.findings import MEANING, Kind
from thrivecalc_models.upkeep.repairs import Repair
from thrivecalc_models.whole_table import WholeTable

_DRY = "not tried"


@click.command()
@click.option("--user", metavar="USER", help="Look at one user's items only.")
@click.option("--repair", is_flag=True, help="Show what follows from the items themselves.")
@click.option("--apply", is_flag=True, help="With --repair: write it.")
@SEGMENTS
@table_options
def audit(session: Session, user: str | None, repair: bool, apply: bool, segments: int) -> None:
    """Look for items that break the table's rules.

    Prints counts and examples by kind, no values. Exits with 1 if anything was found that is not
    mended.

    --repair shows what would mend an item and follows from it alone: a dataType or recordId that is
    missing and stands in the key, a ttl in milliseconds. --apply writes that, each item only if
    nobody has changed it since it was read; run it again for those that somebody has.
    """
    if apply and not repair:
        raise UsageProblem("--apply writes repairs; give --repair, too")
    session.leaves(
        "what is listed as applied is applied; run the same command again to go on."
        if apply
        else "nothing was changed; run the same command again."
    )
    whole = WholeTable(session.store())
    pages = examine(whole, user_id=user, segments=segments, apply=apply)
    tally = Tally()
    lines: list[dict[str, object]] = []
    complete = False
    try:
        for page in pages if repair else counted(session, pages):
            tally.add(page)
            for line in _repair_lines(page) if repair else ():
                if session.json:
                    lines.append(line)
                else:
                    session.say(_text_of(line))
        complete = True
    finally:
        if session.json:
            session.emit(_as_json(tally, lines if repair else None, complete=complete))
        elif complete or apply:
            _print(session, tally, repair=repair, apply=apply)
    if tally.remaining:
        raise Findings


def _repair_lines(page: Examined) -> Iterator[dict[str, object]]:
    now = datetime.now(UTC)
    if page.repaired:
        for each in page.repaired:
            yield _line(each.repair, now, each.outcome, each.why)
    else:
        for repair in page.repairs:
            yield _line(repair, now, _DRY, "")


def _line(repair: Repair, now: datetime, outcome: str, why: str) -> dict[str, object]:
    return {
        "user": repair.user,
        "recordKey": repair.record_key,
        "changes": repair.told(now),
        "outcome": outcome,
        "why": why,
    }


def _text_of(line: dict[str, object]) -> str:
    changes = line["changes"]
    assert isinstance(changes, list)
    outcome = "would set" if line["outcome"] == _DRY else f"{line['outcome']}:"
    why = f" ({line['why']})" if line["why"] else ""
    return f"{line['user']} {line['recordKey']}  {outcome} {', '.join(changes)}{why}"


def _print(session: Session, tally: Tally, *, repair: bool, apply: bool) -> None:
    found = [kind for kind in Kind if tally.found[kind]]
    if found:
        columns = ["kind", "found", *(["mended"] if apply else []), "meaning"]
        rows = [
            (kind.value, tally.found[kind], *([tally.mended[kind]] if apply else []), MEANING[kind])
            for kind in found
        ]
        session.table("", columns, rows)
        examples = [
            (kind.value, each.user, each.record_key, each.what)
            for kind in found
            for each in tally.examples[kind]
        ]
        session.say("")
        session.table("examples", ["kind", "user", "record key", "what"], examples)
        session.say("")
    session.say(
        f"{plural(tally.items, 'item')} read for {tally.units:,.1f} read units,"
        f" {plural(sum(tally.found.values()), 'finding')}"
    )
    if apply:
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in tally.outcomes.items())
        session.say(f"{plural(tally.repairs, 'repair')}: {outcomes}")
    elif repair:
        session.say(
            f"{plural(tally.repairs, 'item')} would be mended; nothing was written."
            " --apply writes it"
        )


def _as_json(
    tally: Tally, lines: list[dict[str, object]] | None, *, complete: bool
) -> dict[str, object]:
    result: dict[str, object] = {
        "complete": complete,
        "items": tally.items,
        "readUnits": tally.units,
        "found": {kind.value: count for kind, count in tally.found.items()},
        "mended": {kind.value: count for kind, count in tally.mended.items()},
        "examples": {
            kind.value: [_example(attrs.asdict(each)) for each in examples]
            for kind, examples in tally.examples.items()
        },
    }
    return result if lines is None else result | {"repairs": lines}


def _example(finding: dict[str, str]) -> dict[str, str]:
    return {"user": finding["user"], "recordKey": finding["record_key"], "what": finding["what"]}
