"""What can be imported from the package: all that the pages use, documented, and nothing else."""

from __future__ import annotations

import inspect
import re

import pytest
from places import PACKAGE, ROOT

import thrivecalc_models
from thrivecalc_models import errors, payloads, records

PAGES = "\n".join(
    path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
)
ALIASES = PACKAGE / "payloads" / "aliases.py"
IMPORTED = re.compile(r"from thrivecalc_models import (\([^)]*\)|.*)")
MODULES = {path.stem for path in PACKAGE.iterdir()}
NAMES = thrivecalc_models.__all__
OF_MODULES = {"FileProblem"}  # of `exchange`, which is imported as a module


def imported_by_pages() -> set[str]:
    """The names of the package that a snippet of the pages imports, without its modules."""
    lists = IMPORTED.findall(PAGES)
    return {name for names in lists for name in re.findall(r"\w+", names)} - MODULES


@pytest.mark.parametrize(
    ("module", "base"),
    [
        (errors, errors.ThriveCalcError),
        (errors, Warning),
        (records, thrivecalc_models.UserRecord),
    ],
    ids=["errors", "warnings", "records"],
)
def test_every_class_of_a_kind_is_exported(module, base):
    """Whatever a caller may catch, filter, read or write by its class is imported from the top."""
    found = {
        name
        for name, one in vars(module).items()
        if inspect.isclass(one) and issubclass(one, base) and one.__module__ != "builtins"
        if not name.startswith("_")
    }
    assert found
    assert found - OF_MODULES <= set(NAMES)


def test_everything_about_payloads_is_exported():
    """Payload classes, aliases of types, and what makes a class of one's own are exported."""
    made = {"Amount", "Amounts", "Day", "OptionalAmount", "OptionalAmounts", "OptionalDay"}
    made |= {"field", "payload"} | {name for name in payloads.__all__ if name.endswith("Data")}
    assert len(made) == 14
    assert made <= set(NAMES)


def test_the_pages_import_what_is_exported():
    """Each name that a page imports from the package is exported; the list has no name twice."""
    assert len(imported_by_pages()) > 10
    assert imported_by_pages() <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    for name in NAMES:
        getattr(thrivecalc_models, name)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_documented(name):
    """Each name has a docstring of a sentence, for an alias where it is made, and is on a page."""
    named = getattr(thrivecalc_models, name)
    if getattr(named, "__module__", "").startswith("thrivecalc_models."):
        words = vars(named).get("__doc__") if inspect.isclass(named) else named.__doc__
    else:
        made = re.compile(rf'class {name}\(.*\):\n +"""(.*)"""')
        (words,) = made.findall(ALIASES.read_text("utf-8"))
    assert re.search(r"\w.*\.", words or "", re.DOTALL)
    assert re.search(rf"\b{name}\b", PAGES)
