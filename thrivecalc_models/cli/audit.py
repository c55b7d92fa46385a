"""`thrivecalc audit`: find items that break the table's rules, and repair them."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
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

    Prints counts and examples by kind, without values; with --all every finding. Exits with 1 if
    anything was found that is not repaired.

    --repair shows the repairs that follow from an item alone: a missing dataType or recordId that
    the key contains, and a ttl in milliseconds. --apply writes them, each item only if it is
    unchanged since it was read; run it again for those that were changed.
    """
)
@click.option("--user", metavar="USER", help="Look at one user's items only.")
@click.option("--all", "every", is_flag=True, help="List every finding, not a few of each kind.")
@click.option("--repair", is_flag=True, help="Show the repairs that follow from the items alone.")
@click.option("--apply", is_flag=True, help="With --repair: write the repairs.")
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
    """Examine the items, print what was found, and repair it if asked."""
    if apply and not repair:
        raise UsageProblem("--apply writes repairs; give --repair too")
    session.leaves(
        "what is listed as applied is applied; run the same command again to go on."
        if apply
        else "nothing was changed; run the same command again."
    )
    pages = examine(WholeTable(session.store()), user_id=user, segments=segments, apply=apply)
    report = _Report(session, every=every, repair=repair, apply=apply)
    complete = False
    try:
        for page in pages if repair else counted(session, pages, lambda page: page.items):
            report.add(page)
        complete = True
    finally:  # what was repaired before an error is reported too
        report.end(complete=complete)
    if report.tally.remaining:
        raise Findings


@attrs.define
class _Report:
    """What an audit prints: lines while it reads if they are asked for, then a summary or JSON."""

    session: Session
    every: bool = attrs.field(kw_only=True)
    repair: bool = attrs.field(kw_only=True)
    apply: bool = attrs.field(kw_only=True)
    tally: Tally = attrs.field(factory=Tally)
    findings: list[dict[str, str]] = attrs.field(factory=list)
    repairs: list[dict[str, object]] = attrs.field(factory=list)

    def add(self, page: Examined) -> None:
        """Count a page, and print its lines, or keep them for the JSON."""
        self.tally.add(page)
        findings = page.findings if self.every else ()
        repairs = _repair_lines(page) if self.repair else ()
        if self.session.json:
            self.findings += [{"kind": each.kind.value, **_example(each)} for each in findings]
            self.repairs += repairs
        else:
            for text in (*map(_text_of_finding, findings), *map(_text_of, repairs)):
                self.session.say(text)

    def end(self, *, complete: bool) -> None:
        """Print the summary. Of an audit that stopped early, text is printed only of repairs."""
        if self.session.json:
            result = _as_json(self.tally, complete=complete)
            if self.every:
                result["findings"] = self.findings
            if self.repair:
                result["repairs"] = self.repairs
            self.session.emit(result)
        elif complete or self.apply:
            self._print()

    def _print(self) -> None:
        tally = self.tally
        found = [kind for kind in FindingKind if tally.found[kind]]
        if found:
            self._print_counts(found)
            if not self.every:
                _print_examples(self.session, tally, found)
            self.session.say("")
        self.session.say(
            f"{plural(tally.items, 'item')} read for {tally.units:,.1f} read units,"
            f" {plural(sum(tally.found.values()), 'finding')}"
        )
        if self.apply:
            outcomes = [f"{count:,} {outcome}" for outcome, count in tally.outcomes.items()]
            self.session.say(f"{plural(tally.repairs, 'repair')}: {', '.join(outcomes)}")
        elif self.repair:
            self.session.say(
                f"{plural(tally.repairs, 'item')} would be repaired; nothing was written."
                " --apply writes it"
            )

    def _print_counts(self, found: list[FindingKind]) -> None:
        """Print a row of each kind; a run that repairs also counts what is repaired."""
        tally, apply = self.tally, self.apply
        rows = [
            (kind.value, tally.found[kind], *([tally.fixed[kind]] if apply else []), MEANING[kind])
            for kind in found
        ]
        columns = ["kind", "found", *(["repaired"] if apply else []), "meaning"]
        self.session.table("", columns, rows)


def _repair_lines(page: Examined) -> list[dict[str, object]]:
    """The repairs of a page: with their outcomes if they were written, else as they would be."""
    now = datetime.now(UTC)
    if page.repaired:
        return [_line(each.repair, now, each.outcome, each.why) for each in page.repaired]
    return [_line(repair, now, _DRY, "") for repair in page.repairs]


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
