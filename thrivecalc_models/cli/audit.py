"""`thrivecalc audit`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from thrivecalc_models.cli.common import Findings, Session, UsageProblem, one_line, table_options
from thrivecalc_models.cli.reading import SEGMENTS, counted
from thrivecalc_models.upkeep.audit import Examined, Tally
from thrivecalc_models.upkeep.audit import audit as examine
from thrivecalc_models.upkeep.findings import MEANING, Finding, FindingKind
from thrivecalc_models.upkeep.repairs import Repair
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.words import plural

_DRY = "not tried"


@click.command(
    help="""Look for items that break the table's rules.

    Prints counts and a few examples by kind, no values; with --all every finding. Exits with 1 if
    anything was found that is not repaired.

    --repair shows what would fix an item and follows from it alone: a dataType or recordId that is
    missing and stands in the key, a ttl in milliseconds. --apply writes that, each item only if
    it is unchanged since it was read; run it again for those that were changed.
    """
)
@click.option("--user", metavar="USER", help="Look at one user's items only.")
@click.option("--all", "every", is_flag=True, help="List every finding, not a few of each kind.")
@click.option("--repair", is_flag=True, help="Show what follows from the items themselves.")
@click.option("--apply", is_flag=True, help="With --repair: write it.")
@SEGMENTS
@table_options
def audit(
    session: Session,
    user: str | None,
    every: bool,
    repair: bool,
    apply: bool,
    segments: int,
) -> None:
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
    listed: list[dict[str, str]] = []
    complete = False
    try:
        for page in pages if repair else counted(session, pages):
            tally.add(page)
            for finding in page.findings if every else ():
                if session.json:
                    listed.append({"kind": finding.kind.value, **_example(finding)})
                else:
                    session.say(_text_of_finding(finding))
            for line in _repair_lines(page) if repair else ():
                if session.json:
                    lines.append(line)
                else:
                    session.say(_text_of(line))
        complete = True
    finally:
        if session.json:
            result = _as_json(tally, complete=complete)
            if every:
                result["findings"] = listed
            if repair:
                result["repairs"] = lines
            session.emit(result)
        elif complete or apply:
            _print(session, tally, examples=not every, repair=repair, apply=apply)
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
        "changes": repair.descriptions(now),
        "outcome": outcome,
        "why": why,
    }


def _text_of(line: dict[str, object]) -> str:
    changes = line["changes"]
    assert isinstance(changes, list)
    outcome = "would set" if line["outcome"] == _DRY else f"{line['outcome']}:"
    why = f" ({line['why']})" if line["why"] else ""
    key = one_line(str(line["recordKey"]))
    return f"{line['user']} {key}  {outcome} {', '.join(changes)}{why}"


def _text_of_finding(finding: Finding) -> str:
    key = one_line(finding.record_key)
    return f"{finding.kind.value} {finding.user} {key}  {finding.what}"


def _print(session: Session, tally: Tally, *, examples: bool, repair: bool, apply: bool) -> None:
    found = [kind for kind in FindingKind if tally.found[kind]]
    if found:
        columns = ["kind", "found", *(["mended"] if apply else []), "meaning"]
        rows = [
            (kind.value, tally.found[kind], *([tally.fixed[kind]] if apply else []), MEANING[kind])
            for kind in found
        ]
        session.table("", columns, rows)
        if examples:
            _print_examples(session, tally, found)
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


def _print_examples(session: Session, tally: Tally, found: list[FindingKind]) -> None:
    rows = [
        (kind.value, each.user, each.record_key, each.what)
        for kind in found
        for each in tally.examples[kind]
    ]
    session.say("")
    session.table("examples", ["kind", "user", "record key", "what"], rows, keep={"record key"})
    more = sum(tally.found.values()) - len(rows)
    if more:
        session.say(f"{more:,} more; --all lists every one")


def _as_json(tally: Tally, *, complete: bool) -> dict[str, object]:
    return {
        "complete": complete,
        "items": tally.items,
        "readUnits": tally.units,
        "found": {kind.value: count for kind, count in tally.found.items()},
        "mended": {kind.value: count for kind, count in tally.fixed.items()},
        "examples": {
            kind.value: [_example(each) for each in examples]
            for kind, examples in tally.examples.items()
        },
    }


def _example(finding: Finding) -> dict[str, str]:
    return {"user": finding.user, "recordKey": finding.record_key, "what": finding.what}
