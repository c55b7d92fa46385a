"""JSON Merge Patch (RFC 7396) over the map under `data`: what it sets, removes and enters.

Source: https://www.rfc-editor.org/rfc/rfc7396
"""

from __future__ import annotations

from typing import Any

import attrs

from thrivecalc_models.codec.data import Origins, errors_of_class, form_given
from thrivecalc_models.codec.numbers import encoding_of
from thrivecalc_models.codec.plans import plan_of
from thrivecalc_models.codec.spelling import check_form, kind_below
from thrivecalc_models.codec.values import check_name, encode_plain, misfits
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.payloads import FieldKind, fields_of, kinds
from thrivecalc_models.payloads.faults import together
from thrivecalc_models.table import DATA
from thrivecalc_models.value import internal
from thrivecalc_models.wire import AttributeValue, Item, plain_value

Path = tuple[str, ...]


@internal
class MergePatch:
    """A checked merge patch; its paths begin at the top of `data`.

    `maps` are the maps that it merges into, each before those within. With `needs_whole` the result
    can only be checked whole: the author of a class has validators or converters of their own.
    """

    sets: tuple[tuple[Path, AttributeValue], ...] = attrs.field(repr=False)
    removes: tuple[Path, ...]
    maps: tuple[Path, ...]
    needs_whole: bool = False


def read_patch(cls: type | None, given: Any, *, js_safe: bool = True) -> MergePatch:
    """Check a merge patch against a payload class, None for an unregistered type.

    Raises one InvalidRecordError of all that is wrong.
    """
    given = plain_value(given)
    if not isinstance(given, dict):
        raise InvalidRecordError(
            f"a patch of {DATA} is a mapping in the table's spelling, not {type(given).__name__}",
            path=DATA,
        )
    reading = _Reading(js_safe)
    reading.enter(None if cls is None else kinds.Nested(cls), given, (), DATA)
    if reading.errors:
        raise together(reading.errors)
    return MergePatch(
        tuple(reading.sets), tuple(reading.removes), tuple(reading.maps), reading.needs_whole
    )


def merged(cls: type | None, content: Item, patch: MergePatch) -> Item:
    """Return a map with a patch merged into it. Raises InvalidRecordError if it does not fit."""
    result = apply_patch(patch, content)
    errors = [] if cls is None else errors_of_class(cls, result, Origins())
    if errors:
        raise together(errors)
    return result


def apply_patch(patch: MergePatch, content: Item) -> Item:
    """Return a map with a patch merged into it, without checking that it fits."""
    root: AttributeValue = {"M": content}
    made: dict[Path, Item] = {}
    for path in patch.maps:
        form = root if not path else made[path[:-1]].get(path[-1], {})
        made[path] = dict(form.get("M", {}))
        if path:
            made[path[:-1]][path[-1]] = {"M": made[path]}
    for path, form in patch.sets:
        made[path[:-1]][path[-1]] = form
    for path in patch.removes:
        made[path[:-1]].pop(path[-1], None)
    return made[()]


class _Reading:
    """The walk through a given patch: what was found, and every error."""

    def __init__(self, js_safe: bool) -> None:
        self._encoding = encoding_of(js_safe)
        self._nested = Origins()
        self.sets: list[tuple[Path, AttributeValue]] = []
        self.removes: list[Path] = []
        self.maps: list[Path] = []
        self.needs_whole = False
        self.errors: list[InvalidRecordError] = []

    def enter(self, kind: FieldKind | None, given: dict[Any, Any], at: Path, path: str) -> None:
        """Read the members of a mapping that is merged into the map at a path."""
        kinds.check_depth(len(at) + 1, path)
        self.maps.append(at)
        cls = kind.payload_class if isinstance(kind, kinds.Nested) else None
        required = set()
        if cls is not None:
            required = {field.wire_name for field in fields_of(cls) if field.required}
            self.needs_whole = self.needs_whole or not plan_of(cls).plain_init
        for name, value in kinds.plain_names(given, path).items():
            inner = f"{path}.{name}"
            try:
                check_name(name, path)
                below = kind_below(kind, name, path)
                self._member(below, plain_value(value), (*at, name), inner, name in required)
            except InvalidRecordError as error:
                self.errors.append(error.with_traceback(None))

    def _member(
        self, kind: FieldKind | None, value: Any, at: Path, path: str, required: bool
    ) -> None:
        if value is None and required:
            raise InvalidRecordError(f"{path} is required and cannot be removed", path=path)
        if value is None:
            self.removes.append(at)
        elif isinstance(value, dict) and _has_members(kind):
            self.enter(None if kind is None else kinds.unwrapped(kind), value, at, path)
        else:
            self.sets.append((at, self._form(kind, value, path, depth=len(at) + 1)))

    def _form(self, kind: FieldKind | None, value: Any, path: str, depth: int) -> AttributeValue:
        if kind is None:
            return encode_plain(value, path, encoding=self._encoding, depth=depth)
        form = form_given(kind, value, path, self._nested, self._encoding, depth)
        check_form(kind, form, path)
        errors = [*misfits(kind, form, path, self._nested)]
        if errors:
            raise together(errors)
        return form


def _has_members(kind: FieldKind | None) -> bool:
    """Whether a mapping for this kind is merged; for any other kind it is a wrong value."""
    return kind is None or isinstance(
        kinds.unwrapped(kind), kinds.Nested | kinds.DictOf | kinds.Anything
    )
