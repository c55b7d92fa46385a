"""The tutorial of `docs/operations.md`, run as it is written: it prints what the page shows.

Blocks marked `console` are one shell session, in a directory that has the samples. A line that
begins with `$` is a command, to the next line if it ends with a backslash; the lines below are what
it prints, on either stream. `...` stands for any lines, or for anything within a line. Times,
ports, ids of backups, and capacity (which moto makes up) may differ; so may the width of columns.
Blocks behind `<!-- on moto -->` need what only that engine has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import warm
from cli import warm_process
from places import ROOT

from thrivecalc_models import DataStore
from thrivecalc_models.cli.app import COMMANDS
from thrivecalc_models.table import DEFAULT_TABLE_NAME

PAGE = ROOT / "docs" / "operations.md"
BLOCK = re.compile(r"(?P<on_moto><!-- on moto -->\n)?```console\n(?P<lines>.*?)\n```", re.DOTALL)
START = "thrivecalc local"
LONGEST = 300  # seconds for the whole page
END = "\x1e"

MAY_DIFFER = [
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME"),
    (r"backup/\d+-[0-9a-f]+", "backup/ID"),
    (r"[\d,.]+ read units", "N read units"),
    (r"─+", "─"),
    (r" +", " "),
]


@attrs.frozen
class Step:
    """A command of the page, and the lines that are shown below it."""

    command: str
    shown: list[str]
    on_moto: bool


def steps(page: str) -> list[Step]:
    found: list[Step] = []
    for block in BLOCK.finditer(page):
        for line in block["lines"].splitlines():
            if found and found[-1].command.endswith("\\"):
                found[-1] = attrs.evolve(found[-1], command=f"{found[-1].command}\n{line}")
            elif line.startswith("$ "):
                found.append(Step(line.removeprefix("$ "), [], block["on_moto"] is not None))
            else:
                found[-1].shown.append(line)
    return found


def normalised(lines: list[str]) -> list[str]:
    text = "\n".join(line.rstrip() for line in lines)
    for pattern, name in MAY_DIFFER:
        text = re.sub(pattern, name, text)
    return text.strip("\n").splitlines()


def is_like(printed: list[str], shown: list[str]) -> bool:
    """Whether the lines are those that are shown."""
    parts = [re.escape(line).replace(r"\.\.\.", "[^\n]*") for line in normalised(shown)]
    pattern = "".join("(?:[^\n]*\n)*" if part == "[^\n]*" else part + "\n" for part in parts)
    text = "".join(line + "\n" for line in normalised(printed))
    return re.fullmatch(pattern, text) is not None


def run_all(commands: list[str], directory: Path, env: dict[str, str]) -> list[list[str]]:
    """What each command prints, all of them in one shell."""
    script = "".join(
        f"(exit ${{code:-0}}); {command}\ncode=$?; printf '{END}'\n" for command in commands
    )
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=directory,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST,
    )
    *printed, rest = done.stdout.split(END)
    assert not rest
    assert len(printed) == len(commands)
    return [text.splitlines() for text in printed]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A directory with the samples, and a `thrivecalc` that runs this source, already imported."""
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    command = tmp_path / "bin" / "thrivecalc"
    command.parent.mkdir()
    called = f'"{sys.executable}" -I -S "{warm.__file__}" "{warm_process()}"'
    command.write_text(f'#!/bin/sh\nexec {called} "$@"\n')
    command.chmod(0o755)
    return tmp_path


def environment(desk: Path, **variables: str) -> dict[str, str]:
    path = f"{desk / 'bin'}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return {**kept, "PATH": path, **variables}


def local_engine(env: dict[str, str]) -> Iterator[list[str]]:
    """`thrivecalc local` as it is started in the other terminal: gives what it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", "thrivecalc_models.cli", *START.split()[1:]],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            printed: list[str] = []
            while not printed or not printed[-1].startswith("Ready"):
                line = process.stdout.readline()
                assert line, printed
                printed.append(line.rstrip())
            yield printed
        finally:
            process.terminate()
            process.wait()


def check(steps: list[Step], printed: list[list[str]]) -> None:
    wrong = [
        "\n".join([f"$ {step.command}", *(line.rstrip() for line in lines)])
        for step, lines in zip(steps, printed, strict=True)
        if not is_like(lines, step.shown)
    ]
    assert not wrong, "the page shows something else than this:\n\n" + "\n\n".join(wrong)


def test_the_tutorial_on_the_embedded_engine(desk):
    """Every command of the page, from `thrivecalc local` on, prints what is shown below it."""
    first, *others = steps(PAGE.read_text("utf-8"))
    assert first.command == START
    env = environment(desk)
    for started in local_engine(env):
        check([first], [started])
        variables = dict(line.removeprefix("export ").split("=", 1) for line in started[:3])
        check(others, run_all([step.command for step in others], desk, env | variables))


@pytest.fixture
def default_table(engine):
    """The table of the default name on an engine; gone afterwards."""
    with DataStore(endpoint=engine.endpoint) as store:
        store.create_table()
    yield
    client = engine.client()
    client.delete_table(TableName=DEFAULT_TABLE_NAME)
    client.close()


@pytest.mark.parametrize("engine", ["dynamodb-local"], indirect=True)
@pytest.mark.usefixtures("default_table")
def test_the_tutorial_on_another_engine(desk, engine):
    """What needs nothing but items prints the same on DynamoDB Local."""
    _, *others = steps(PAGE.read_text("utf-8"))
    shared = [step for step in others if not step.on_moto]
    env = environment(desk, AWS_REGION=engine.region, AWS_ENDPOINT=engine.endpoint)
    check(shared, run_all([step.command for step in shared], desk, env))


def test_a_page_that_shows_something_else_is_found():
    """The comparison forgives what may differ, and nothing else."""
    shown = ["a  12 ... c", "...", "made 2026-01-01T00:00:00Z"]
    assert is_like(["a 12 b c", "x", "y", "made 2027-02-02T00:00:00.000Z  "], shown)
    assert is_like(["a 12 b c", "made 2027-02-02T00:00:00.000Z"], shown)
    for printed in (
        ["a 13 b c", "made 2027-02-02T00:00:00Z"],
        ["a 12 b c", "x"],
        ["a 12 b c", "made 2027-02-02T00:00:00Z", "more"],
        [],
    ):
        assert not is_like(printed, shown)


def test_the_page_shows_what_every_command_does():
    """Each command is run somewhere on the page."""
    commands = " ".join(step.command for step in steps(PAGE.read_text("utf-8")))
    for entry in COMMANDS:
        assert f"thrivecalc {entry.name}" in commands
