"""The TypeScript module that the library prints says what is in the table."""

from __future__ import annotations

import json

import pytest
from places import ROOT
from printed import RECORDS, STRICTEST, printed, without_extras

from thrivecalc_models import typescript

KNOWN = [item for item in RECORDS if item["dataType"]["S"] != "net-worth-snapshot"]

RIGHT = """
import * as t from "./records.js";

export const byType: t.RecordsByType["budget"] = sample("budget");
declare function sample<T extends t.DataType>(dataType: T): t.RecordsByType[T];

export function total(records: t.UserRecord[]): number {
  return records.reduce((sum, record) => {
    switch (record.dataType) {
      case "savings-goal":
        return sum + (record.data.currentAmount ?? 0);
      case "portfolio-holding":
        return sum + record.data.shares * (record.data.currentPrice ?? 0);
      default:
        return sum;
    }
  }, 0);
}

export function names(records: t.RecordEnvelope[]): string[] {
  return records.filter(t.isSavingsGoal).map((goal) => goal.data.name);
}

export const everything: t.EverythingData = {
  text: "", whole: 1, flag: true, amount: 0.5, day: "2025-01-07", moment: new Date().toISOString(),
  blob: new Uint8Array(), words: [""], marks: new Set(["x"]), limits: { food: 1 },
  person: { name: "x", born: null }, anything: [1, null], gaps: [null, 1],
  peopleOrGaps: [{ name: "x" }, null], branch: { branches: [{ trunk: { label: "x" } }] },
  colour: "dark blue", paces: ["slow"], size: "x l", sizeOr: null, opens: "12:30", length: "PT1H",
  share: 0.5, shares: [0.1, null], scores: [1], rows: [[{ name: "x" }]],
};
"""

# A line to be refused, each by a rule.
WRONG = {
    "a required field": 'const d: t.SavingsGoalData = { name: "x" };',
    "undefined given": (
        'const d: t.SavingsGoalData = { name: "x", targetAmount: 1, currentAmount: undefined };'
    ),
    "text for a number": 'const d: t.SavingsGoalData = { name: "x", targetAmount: "1" };',
    "Python's spelling": 'const d: t.SavingsGoalData = { name: "x", target_amount: 1 };',
    "null for required": "const d: t.SavingsGoalData = { name: null, targetAmount: 1 };",
    "a Date": (
        'const d: t.SavingsGoalData = { name: "x", targetAmount: 1, targetDate: new Date() };'
    ),
    "another type's key": 'const k: t.Budget["recordKey"] = "savings-goal#1";',
    "an unknown type": 'const k: t.DataType = "net-worth";',
    "a list for a set": 'const d: Pick<t.EverythingData, "marks"> = { marks: ["x"] };',
    "a text that no member has": (
        'const d: Pick<t.EverythingData, "colour"> = { colour: "green" };'
    ),
    "ttl as text": 'const r: Pick<t.Budget, "ttl"> = { ttl: "2025-01-07" };',
    "a field of another type": "const f = (g: t.UserRecord) => g.data.shares;",
}


def compiled(peer, folder, **modules):
    """What the compiler complains of in modules that lie in one folder."""
    (folder / "tsconfig.json").write_text(json.dumps(STRICTEST))
    (folder / "package.json").write_text('{"type": "module"}')
    for name, text in modules.items():
        (folder / f"{name}.ts").write_text(text, encoding="utf-8")
    return peer.tsc(folder)


@pytest.fixture
def compiles(peer, tmp_path):
    """Compile some modules beside the generated one; gives back what the compiler complains of."""
    records = printed("typescript", "--import", "own_types")
    return lambda **modules: compiled(peer, tmp_path, records=records, **modules)


def test_the_module_compiles(compiles):
    """The printed module, and a program that uses it, compile under the strictest settings."""
    assert compiles(right=RIGHT) == ""


def test_real_records_have_these_types(compiles):
    """Every real record, its extras aside, is of its interface, and `UserRecord` holds them all."""
    literal = json.dumps([without_extras(item) for item in KNOWN], indent=1)
    use = 'import type * as t from "./records.js";\n'
    use += f"export const all: t.UserRecord[] = {literal};\n"
    assert compiles(samples=use) == ""


def test_what_does_not_fit_is_refused(compiles):
    """The compiler refuses what the table's rules do."""
    lines = [f"// @ts-expect-error {why}\nexport {line}" for why, line in WRONG.items()]
    modules = {
        f"wrong{number}": f'import type * as t from "./records.js";\n{line}\n'
        for number, line in enumerate(lines)
    }
    assert compiles(**modules) == ""


def test_guards_know_their_type(compiles, peer, tmp_path):
    """Each record passes the guard of its type and no other; one of an unknown type passes none."""
    assert compiles() == ""
    records = [without_extras(item) for item in RECORDS]
    passed = peer.call("guards", str(tmp_path / "build/records.js"), records)
    expected = {
        "budget": ["isBudget", "isUserRecord"],
        "portfolio-holding": ["isPortfolioHolding", "isUserRecord"],
        "profile": ["isProfile", "isUserRecord"],
        "retirement-plan": ["isRetirementPlan", "isUserRecord"],
        "savings-goal": ["isSavingsGoal", "isUserRecord"],
        "transaction": ["isTransaction", "isUserRecord"],
        "net-worth-snapshot": [],
    }
    assert [sorted(names) for names in passed] == [expected[each["dataType"]] for each in records]


ODD_TYPES = """
from thrivecalc_models import PayloadAttribute, UserRecord, payload

@payload
class SavingsGoalData:
    \"\"\"Ends */ the comment.

    And has `${more}`.
    \"\"\"

    größe: int = 1
    text: str = "*/ `"

class RecordEnvelope(UserRecord, discriminator='a `${type}` "x"\\n\\\\'):
    data: PayloadAttribute[SavingsGoalData] = PayloadAttribute(SavingsGoalData)
"""


def test_no_name_breaks_the_module(peer, tmp_path):
    """Types with odd text, or with the name of another one, are printed so that all compile."""
    (tmp_path / "odd_types.py").write_text(ODD_TYPES)
    use = (
        'import * as t from "./records.js";\n'
        "export const one: t.SavingsGoalData2 = { 'größe': 1, text: null };\n"
        "export const two: t.SavingsGoalData = { name: 'x', targetAmount: 1 };\n"
        "export const is: (r: t.RecordEnvelope) => boolean = t.isRecordEnvelope2;\n"
    )
    records = printed("typescript", "--import", "odd_types", folder=tmp_path)
    assert compiled(peer, tmp_path, records=records, odd=use) == ""


def test_the_command_prints_types_of_your_own():
    """`--import` names a module whose types are printed, too; nothing else changes."""
    without = printed("typescript")
    with_own = printed("typescript", "--import", "own_types")
    assert "HouseholdData" not in without
    assert "export interface Household extends RecordEnvelope" in with_own
    assert lines_of(without) <= lines_of(with_own)


def lines_of(text):
    return {line.rstrip(";") for line in text.splitlines()}


def test_docs_are_those_of_the_classes():
    """Docstrings of payload classes are the comments, and defaults are named."""
    text = typescript.module()
    assert "/** An amount to be saved, by a date. */\nexport interface SavingsGoalData {" in text
    assert '/** Absent or null reads as "USD". */\n  currency?: string | null;' in text


def test_nothing_of_this_machine_is_printed():
    """The module names no path, no time and no version, so that it changes with the types only."""
    assert typescript.module() == typescript.module()
    assert str(ROOT) not in typescript.module()
