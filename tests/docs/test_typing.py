"""Type checkers see the types that the design promises."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import subprocess
import sys
import typing

import pytest
from places import ROOT
from snippets import program_of

from thrivecalc_models import DataStore

MYPY = ["--strict", "--follow-imports=silent"]
PYRIGHT = ["--pythonpath", sys.executable]


@pytest.mark.parametrize(
    ("checker", "arguments"),
    [
        ("mypy", [*MYPY, "tests/typing"]),
        ("pyright", [*PYRIGHT, "--project", "tests/typing"]),
    ],
)
def test_type_checkers_agree(checker, arguments):
    """mypy and pyright, both strict, accept every assert_type and refuse what is wrong."""
    accept(checker, arguments)


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_accept_the_readme(checker, tmp_path):
    """What the README shows, as one program, passes mypy and pyright, both strict."""
    program = tmp_path / "readme.py"
    program.write_text(program_of(ROOT / "README.md")[0], encoding="utf-8")
    if checker == "mypy":
        accept(checker, [*MYPY, str(program)])
        return
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    accept(checker, [*PYRIGHT, "--project", str(tmp_path)])


def accept(checker: str, arguments: list[str]) -> None:
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


def test_the_local_store_has_the_options_of_a_store():
    """What type checkers let `DataStore.local` take is what `DataStore` takes, but the endpoint."""
    options = set(inspect.signature(DataStore).parameters) - {"endpoint"}
    (taken,) = typing.get_args(typing.get_type_hints(DataStore.local)["options"])
    assert set(taken.__annotations__) == options
