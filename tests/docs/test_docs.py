"""README and docs: their snippets run and print what they say, their links lead somewhere.

The snippets of a page are one program, in a process of its own. `# -> text` behind a `print`, or on
lines of its own below, is a line that is printed; behind any other expression it is the repr of it.
`...` stands for anything. Nothing else is printed.
"""

from __future__ import annotations

import os
import pkgutil
import re
from itertools import zip_longest
from pathlib import Path

import measures
import pytest
from places import PACKAGE, ROOT, TESTS
from snippets import output_of, program_of

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
SIDE_BY_SIDE = "<!-- side by side"  # run in both languages by tests/docs/test_typescript_docs.py


def has_own_snippets(page: Path) -> bool:
    text = page.read_text(encoding="utf-8")
    return "```python" in text and SIDE_BY_SIDE not in text


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WITH_SNIPPETS = [page for page in PAGES if has_own_snippets(page)]


def is_like(printed: str | None, shown: str | None) -> bool:
    if printed is None or shown is None:
        return False
    pattern = ".*".join(map(re.escape, shown.split("...")))
    return re.fullmatch(pattern, printed.strip()) is not None


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=lambda page: page.name)
def test_snippets(page, tmp_path):
    """What a page shows works when it is pasted, and prints what the page says."""
    program, shown = program_of(page)
    script = tmp_path / f"{page.name}.py"
    script.write_text(program, encoding="utf-8")
    printed = output_of(script, cwd=tmp_path, env=os.environ | {"PYTHONUTF8": "1"})
    lines = zip_longest(printed.splitlines(), shown)
    assert [pair for pair in lines if not is_like(*pair)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page):
    """Every link to a file of the repository leads to one."""
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    files = [page.parent / target for target in targets if "://" not in target]
    assert [file for file in files if not exists(os.path.relpath(file, ROOT))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files(page):
    """Every file of the repository that a page names by its path exists."""
    folders = "benchmarks|docs|examples|tests|thrivecalc_models"
    named = re.findall(rf"`(?:python )?((?:{folders})/[\w./-]+)", page.read_text(encoding="utf-8"))
    assert [path for path in named if not exists(path)] == []


def exists(path: str) -> bool:
    """Whether a path from the project's root leads to a file of it, or of the library."""
    return (ROOT / path).exists() or (PACKAGE.parent / path).exists()


def test_commands():
    """Every `make` command that a page names is a target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for page in PAGES:
        named = re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named) <= targets


def test_every_module_has_its_line():
    """The table of modules in docs/architecture.md names exactly those that there are."""
    table = ARCHITECTURE.partition("## The modules")[2].partition("\n## ")[0]
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == modules - {"__init__"}


def test_rooms_and_functions_exist():
    """Every dotted name on docs/architecture.md that begins with a module is one of the package."""
    modules = re.findall(r"^\| `(\w+)` \|", ARCHITECTURE, re.MULTILINE)
    names = re.findall(rf"`((?:{'|'.join(modules)})\.[\w.]+)`", ARCHITECTURE)
    assert len(names) > 40
    for name in names:
        pkgutil.resolve_name(f"thrivecalc_models.{name}")


def test_figures():
    """The figures of docs/architecture.md are those of `make lint`, within 5 %."""
    table = ARCHITECTURE.partition("## Figures")[2].partition("\n## ")[0]
    shown = {
        name: [int(count.replace(",", "")) for count in counts]
        for name, *counts in re.findall(r"^\| ([a-z ]+) \| ([\d,]+) \| ([\d,]+) \|$", table, re.M)
    }
    counted = [measures.figures(measures.modules_in(folder)) for folder in (PACKAGE, TESTS)]
    assert shown == {
        name: [pytest.approx(one[name], rel=0.05) for one in counted] for name in counted[0]
    }
