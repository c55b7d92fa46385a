"""Find names in Python's spelling that the table spells differently."""

from __future__ import annotations

from collections.abc import Iterator

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import FieldKind, fields_of, kinds
from thrivecalc_models.table import DATA
from thrivecalc_models.wire import AttributeValue, Item


def meant_by(cls: type, name: str) -> str | None:
    """Return the wire name of the field whose Python name this undeclared name is, if any."""
    meant = None
    for field in fields_of(cls):
        if field.wire_name == name:
            return None
        if field.name == name:
            meant = field.wire_name
    return meant


def misspelt(cls: type, content: Item, path: str = DATA) -> Iterator[tuple[str, str]]:
    """Find every Python spelling in a map of the class and in nested ones: path and wire name."""
    known = {field.wire_name: field.kind for field in fields_of(cls)}
    for name, form in content.items():
        if name in known:
            yield from _misspelt_in(known[name], form, f"{path}.{name}")
        elif (meant := meant_by(cls, name)) is not None:
            yield f"{path}.{name}", meant


def check_spelling(cls: type, content: Item, path: str = DATA) -> None:
    """Refuse Python's spelling in a map that a caller gave. Raises InvalidRecordError."""
    for at, meant in misspelt(cls, content, path):
        raise wrong_spelling(at, meant)


def wrong_spelling(path: str, meant: str) -> InvalidRecordError:
    """Return the error for a name in Python's spelling, which names the one in the table."""
    return InvalidRecordError(f"{path} is spelt {meant} in the table; write that", path=path)


def kind_below(kind: FieldKind | None, name: str | int, path: str) -> FieldKind | None:
    """Return the kind of a member, None for an undeclared one. Raises InvalidRecordError."""
    match kind:
        case kinds.Optional(inner):
            return kind_below(inner, name, path)
        case kinds.ListOf(element) | kinds.TupleOf(element) if isinstance(name, int):
            return element
        case kinds.DictOf(element):
            return element
        case kinds.Nested(cls) if isinstance(name, str):
            meant = meant_by(cls, name)
            if meant is not None:
                raise wrong_spelling(f"{path}.{name}", meant)
            return next((each.kind for each in fields_of(cls) if each.wire_name == name), None)
    return None


def check_form(kind: FieldKind | None, form: AttributeValue, path: str) -> None:
    """Refuse Python's spelling in a value that a caller gave. Raises InvalidRecordError."""
    for at, meant in _misspelt_in(kind, form, path):
        raise wrong_spelling(at, meant)


def _misspelt_in(
    kind: FieldKind | None, form: AttributeValue, path: str
) -> Iterator[tuple[str, str]]:
    match kind:
        case kinds.Optional(inner):
            yield from _misspelt_in(inner, form, path)
        case kinds.Nested(cls):
            yield from misspelt(cls, form.get("M", {}), path)
        case kinds.ListOf(element) | kinds.TupleOf(element):
            for index, inner in enumerate(form.get("L", ())):
                yield from _misspelt_in(element, inner, f"{path}[{index}]")
        case kinds.DictOf(element):
            for name, inner in form.get("M", {}).items():
                yield from _misspelt_in(element, inner, f"{path}.{name}")
