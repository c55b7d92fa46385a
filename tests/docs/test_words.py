"""Counts in messages are of one thing or of several."""

from __future__ import annotations

import ast
import re
from decimal import Decimal
from pathlib import Path

import pytest

import thrivecalc_models
from thrivecalc_models import CommitError, SavingsGoalData
from thrivecalc_models.testing import SimulatedTable, simulated_store
from thrivecalc_models.words import plural


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 writes"),
        (1, "1 write"),
        (2, "2 writes"),
        (1024, "1,024 writes"),
        (Decimal("0.5"), "0.5 writes"),
        (Decimal(1), "1 write"),
    ],
)
def test_one_and_several(count, said):
    """One is singular, all else is plural, thousands are set apart."""
    assert plural(count, "write") == said


_COUNTED = re.compile(
    r"\A,?:?[^ ]* (of )?(writes|records|items|requests|keys|rows|users|reads|cells|tables|tries)\b"
)


def test_no_message_counts_by_itself():
    """In the package no noun that is counted stands behind a number that may be one."""
    found = []
    for path in Path(thrivecalc_models.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.JoinedStr):
                continue
            for value, text in zip(node.values, node.values[1:], strict=False):
                if not (isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant)):
                    continue
                counts = "len(" in ast.unparse(value.value) or ast.unparse(value.value) == "count"
                if counts and _COUNTED.match(str(text.value)):
                    found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    known = ("entries.py", "batch.py")  # of several errors only; one is raised itself
    assert [line for line in found if not line.startswith(known)] == []


def test_a_commit_of_one_write():
    """A commit of one write that was not applied speaks of one write, and so does its unit."""
    user = simulated_store(SimulatedTable()).user("u")
    goal = SavingsGoalData(name="x", target_amount=1)
    user.add(goal, record_id="g")
    work = user.unit_of_work()
    work.add(goal, record_id="g")
    with pytest.raises(CommitError, match="not complete: 1 write, 1 not applied"):
        work.commit()
    assert "1 record>" in repr(work)
