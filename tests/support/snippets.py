"""The Python snippets of a page as one program, and programs run as a user runs them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SHOWN = re.compile(r"^(?P<indent> *)(?P<code>.*?) *# -> (?P<shown>.*)$")


def program_of(page: Path) -> tuple[str, list[str]]:
    """The snippets, each line under its number on the page, and the lines that they print."""
    program: list[str] = []
    shown: list[str] = []
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            program.append("")
            continue
        match = SHOWN.match(line) if inside else None
        if match is not None:
            shown.append(match["shown"].strip())
            line = match["indent"] + printing(match["code"])
        program.append(line if inside else "")
    return "\n".join(program), shown


def printing(code: str) -> str:
    """The code, printing what it evaluates to."""
    if not code or code.startswith("print("):
        return code
    ast.parse(code, mode="eval")
    return f"print(repr({code}))"


def output_of(script: Path, *, cwd: Path | None = None, env: Mapping[str, str]) -> str:
    """What a script prints in a process of its own; it must end well and print no error."""
    ended = subprocess.run(
        [sys.executable, script],
        cwd=cwd,
        env=env,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=120,  # seconds, far more than any takes; a busy machine shall not fail the test
    )
    assert ended.stderr == ""
    assert ended.returncode == 0
    return ended.stdout
