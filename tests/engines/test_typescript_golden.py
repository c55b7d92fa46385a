"""What is stored, and what both languages make of it, is what was reviewed."""

from __future__ import annotations

import pytest
from conformance import differences
from golden import cases
from peer import TypeScriptError

from thrivecalc_models import read_item

FILES = {path.stem: path.read_text(encoding="utf-8") for path in cases.FILES.glob("*.txt")}
ANEW = "; if that is meant, `make golden` and let the change be reviewed"

each_case = pytest.mark.parametrize("name", sorted(FILES))


@pytest.fixture(scope="module")
def found():
    """What each case stores now."""
    return {name: record.item for name, record in cases.records()}


def test_every_case_has_its_file(found):
    """There is a golden file for each case and no other."""
    assert FILES.keys() == found.keys(), f"golden files are missing or left over{ANEW}"


@each_case
def test_the_stored_form_is_as_reviewed(found, name):
    """Python stores what the golden file says, byte for byte."""
    stored, _, _ = cases.parts(FILES[name])
    assert found[name] == stored, "; ".join(differences(stored, found[name])) + ANEW


@each_case
def test_python_reads_what_was_reviewed(name):
    """The stored item of the golden file reads as the Python value beside it."""
    stored, python, _ = cases.parts(FILES[name])
    assert cases.python_value(read_item(stored)) == python, f"it reads otherwise{ANEW}"


@each_case
def test_typescript_reads_what_was_reviewed(peer, name):
    """The AWS SDK makes of the stored item the TypeScript value beside it."""
    stored, _, typescript = cases.parts(FILES[name])
    assert peer.call("shown", stored) == typescript, f"it reads otherwise{ANEW}"


@each_case
def test_typescript_would_store_the_same(peer, name):
    """Read and written by the AWS SDK, the item is what it was."""
    stored, _, _ = cases.parts(FILES[name])
    assert numbers_apart(peer.call("again", stored)) == numbers_apart(stored)


def numbers_apart(value):
    """The item with numbers for their texts, since JavaScript writes 1e-7, and sets in order."""
    if isinstance(value, list):
        return [numbers_apart(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"N"} and isinstance(value["N"], str):
        return {"N": float(value["N"])}
    if value.keys() & {"SS", "NS", "BS"} and all(isinstance(v, list) for v in value.values()):
        return {tag: sorted(members) for tag, members in value.items()}
    return {name: numbers_apart(inner) for name, inner in value.items()}


def test_an_unsafe_number_is_why_python_refuses_it(peer):
    """The AWS SDK refuses the whole item for one number that JavaScript cannot hold."""
    stored, _, _ = cases.parts(FILES["savings-goal"])
    stored["data"]["M"]["targetAmount"] = {"N": "12345678901234567890.5"}
    with pytest.raises(TypeScriptError, match=r"can't be converted"):
        peer.call("shown", stored)
