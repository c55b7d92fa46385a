"""Type checkers see the types that the design promises."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("checker", "arguments"),
    [
        ("mypy", ["--strict", "--follow-imports=silent", "tests/typing"]),
        ("pyright", ["--project", "tests/typing", "--pythonpath", sys.executable]),
    ],
)
def test_type_checkers_agree(checker, arguments):
    """mypy and pyright, both strict, accept every assert_type and refuse what is wrong."""
    if importlib.util.find_spec(checker) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{checker} is missing; CI installs it")
        pytest.skip(f"{checker} is missing")
    run = subprocess.run(
        [sys.executable, "-m", checker, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
