"""The registered types with their names, for `typescript`, `json_schema` and the command."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Sequence

import attrs

from thrivecalc_models import stdio
from thrivecalc_models.codec.json_schema import doc_of
from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.payloads import Field, fields_of
from thrivecalc_models.payloads.kinds import (
    DictOf,
    FieldKind,
    ListOf,
    Nested,
    Optional,
    TupleOf,
)
from thrivecalc_models.records import UserRecord


@attrs.frozen
class RecordType:
    """A registered type: its `dataType`, and the names of its record and payload classes."""

    data_type: str
    name: str
    payload: str | None
    doc: str


@attrs.frozen
class PayloadType:
    """A payload class: of a record, or nested in another one."""

    name: str
    cls: type
    fields: tuple[Field, ...]
    doc: str


@attrs.frozen
class Catalogue:
    """Every registered type in the order of `dataType`, and every payload class that they use."""

    records: tuple[RecordType, ...]
    payloads: tuple[PayloadType, ...]

    def name_of(self, payload_class: type) -> str:
        """Return the unique name of a payload class."""
        return next(each.name for each in self.payloads if each.cls is payload_class)


def catalogue(*, reserved: Iterable[str] = ()) -> Catalogue:
    """Return the types that are registered now, with unique names that are not `reserved`.

    Of classes of one name, those that were defined later get a number appended.
    """
    classes = _registered()
    payload_classes = _reachable(each.payload_class() for each in classes)
    names = _unique_names([*classes, *payload_classes], reserved)
    records = [
        RecordType(
            data_type=str(each.own_data_type()),
            name=names[each],
            payload=None if (held := each.payload_class()) is None else names[held],
            doc=doc_of(each),
        )
        for each in classes
    ]
    payloads = (
        PayloadType(names[each], each, fields_of(each), doc_of(each)) for each in payload_classes
    )
    return Catalogue(tuple(sorted(records, key=lambda each: each.data_type)), tuple(payloads))


def parse_arguments(description: str, arguments: Sequence[str] | None) -> None:
    """Parse the command line, and import the modules of --types, so that their types register."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--types",
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module that defines types of your own, such as my_service.types; may be repeated",
    )
    if not stdio.prepare():
        parser.error("standard output is closed; redirect it")
    for module in parser.parse_args(arguments).modules:
        try:
            import_types(module)
        except ConfigurationError as error:
            parser.error(str(error))


def import_types(module: str) -> None:
    """Import a module as `python -m` finds it, from the working directory too.

    Raises ConfigurationError, which says what the module raised and where.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = None  # the directory was removed; installed modules are still found
    if here is not None and here not in sys.path:
        sys.path.insert(0, here)
    try:
        importlib.import_module(module)
    except ImportError as error:
        problem = ConfigurationError(f"--types {module}: {error}")
    except SystemExit as error:
        problem = ConfigurationError(f"--types {module}: it ended the process ({error.code})")
    except Exception as error:
        raise ConfigurationError(f"--types {module}: {_described(error)}") from error
    else:
        return
    raise problem


def _described(error: Exception) -> str:
    """An exception on one line, with the place where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text} ({last.filename}, line {last.lineno})"


def print_document(text: str) -> None:
    """Print to standard output; end the process if that fails."""
    try:
        print(text, end="", flush=True)
    except OSError as error:
        code = stdio.after(error)
    else:
        return
    raise SystemExit(code)


def _registered() -> list[type[UserRecord]]:
    """The record classes that have a type, in the order of their definition."""
    classes = UserRecord.data_type.get_registered_subclasses(UserRecord)
    return [each for each in classes if each.own_data_type() is not None]


def _reachable(roots: Iterable[type | None]) -> list[type]:
    """The classes and those nested in them, each once, an outer one before its nested ones."""
    found: list[type] = []

    def visit(payload_class: type | None) -> None:
        if payload_class is None or payload_class in found:
            return
        found.append(payload_class)
        for field in fields_of(payload_class):
            visit(_nested(field.kind))

    for root in roots:
        visit(root)
    return found


def _nested(kind: FieldKind) -> type | None:
    """The payload class that a kind of field contains, if any."""
    match kind:
        case Nested(payload_class):
            return payload_class
        case Optional(inner) | ListOf(inner) | TupleOf(inner) | DictOf(inner):
            return _nested(inner)
    return None


def _unique_names(classes: Iterable[type], reserved: Iterable[str]) -> dict[type, str]:
    """The name of each class, with a number appended if another one has it."""
    taken = set(reserved)
    names = {}
    for each in classes:
        name, number = each.__name__, 2
        while name in taken:
            name, number = f"{each.__name__}{number}", number + 1
        taken.add(name)
        names[each] = name
    return names
