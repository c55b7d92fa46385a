"""Examine every item of the table, or of one user, and repair what can be repaired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

from thrivecalc_models.protocol import WriteStatus
from thrivecalc_models.upkeep.findings import Finding, FindingKind, findings
from thrivecalc_models.upkeep.repairs import Repair, Repaired, perform, repair_of
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.wire import Item

EXAMPLES = 5


@attrs.frozen(kw_only=True)
class Examined:
    """One page of items: its findings, its repairs and their outcomes.

    `items` counts the items, `units` the read units. `fixed` are the findings that repairs removed.
    """

    items: int
    units: float
    findings: list[Finding]
    repairs: list[Repair] = attrs.field(factory=list)
    repaired: list[Repaired] = attrs.field(factory=list)
    fixed: list[Finding] = attrs.field(factory=list)


@attrs.define
class Tally:
    """What an audit found: counts, and at most five examples of each kind."""

    items: int = 0
    units: float = 0.0
    found: dict[FindingKind, int] = attrs.field(factory=lambda: dict.fromkeys(FindingKind, 0))
    fixed: dict[FindingKind, int] = attrs.field(factory=lambda: dict.fromkeys(FindingKind, 0))
    examples: dict[FindingKind, list[Finding]] = attrs.field(
        factory=lambda: {kind: [] for kind in FindingKind}
    )
    repairs: int = 0
    outcomes: dict[str, int] = attrs.field(
        factory=lambda: {
            state.value: 0 for state in WriteStatus if state is not WriteStatus.EXISTING
        }
    )

    @property
    def remaining(self) -> int:
        """Findings that were not repaired."""
        return sum(self.found.values()) - sum(self.fixed.values())

    def add(self, page: Examined) -> None:
        """Count the items, findings and repairs of a page."""
        self.items += page.items
        self.units += page.units
        self.repairs += len(page.repairs)
        for finding in page.findings:
            self.found[finding.kind] += 1
            if len(self.examples[finding.kind]) < EXAMPLES:
                self.examples[finding.kind].append(finding)
        for finding in page.fixed:
            self.fixed[finding.kind] += 1
        for repaired in page.repaired:
            self.outcomes[repaired.outcome] += 1


def audit(
    whole: WholeTable, *, user_id: str | None = None, segments: int = 4, apply: bool = False
) -> Iterator[Examined]:
    """Yield page after page; with `apply`, send the repairs of a page before the next is read.

    An error or an interrupt is raised after the page that has the outcome of every repair.
    """
    for items, units in _pages(whole, user_id, segments):
        now = whole.session.clock()
        found = [finding for item in items for finding in findings(item, now)]
        repairs = [repair for item in items if (repair := repair_of(item, now)) is not None]
        page = Examined(items=len(items), units=units, findings=found, repairs=repairs)
        if not (apply and repairs):
            yield page
            continue
        repaired, end = perform(whole.store, repairs)
        yield attrs.evolve(page, repaired=repaired, fixed=list(_fixed(repaired, now)))
        if end is not None:
            raise end


def _pages(
    whole: WholeTable, user_id: str | None, segments: int
) -> Iterator[tuple[list[Item], float]]:
    if user_id is None:
        for segment in whole.scan(segments=segments):
            yield segment.items, segment.units
    else:
        for page in whole.user_pages(user_id):
            yield [item.item for item in page.items], page.units


def _fixed(repaired: Iterable[Repaired], now: datetime) -> Iterator[Finding]:
    """Yield the findings of the item before a repair that the item after it does not have."""
    for each in repaired:
        if each.outcome == WriteStatus.APPLIED.value:
            assert each.item is not None
            left = findings(each.item, now)
            yield from (found for found in findings(each.repair.item, now) if found not in left)
