"""Fields of payload classes: what can be assigned to one, and how the table can hold it.

A new kind of field needs a row in `_KINDS`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, time
from typing import Any, TypeVar, cast

import attrs
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from thrivecalc_models.payloads import (
    Field,
    fields_of,
    is_payload_class,
    kinds,
    why_no_payload_class,
)
from thrivecalc_models.testing.strategies import values
from thrivecalc_models.wire import AttributeValue, Item, floor_ms, format_duration

T = TypeVar("T")

NULL = st.just({"NULL": True})


def checked_fields(payload_class: type) -> tuple[Field, ...]:
    """The fields of a payload class. TypeError for any other class."""
    if not is_payload_class(payload_class):
        raise TypeError(why_no_payload_class(payload_class))
    return fields_of(payload_class)


def payloads(payload_class: type[T], **fields: SearchStrategy[Any]) -> SearchStrategy[T]:
    """Payloads of any class made by `@payload`, nested ones included.

    A field given by name is drawn from that strategy, which a class with validators of its own may
    need: what they refuse with a ValueError is not generated. TypeError for what is no payload
    class, and for names that it does not have.
    """
    known = {field.name for field in checked_fields(payload_class)}
    if not fields.keys() <= known:
        raise TypeError(f"{payload_class.__name__} has no field {min(fields.keys() - known)!r}")
    if fields:
        return _payloads(payload_class, values.LEVELS, fields)
    return _any_payloads(cast(Any, payload_class), values.LEVELS)


@functools.cache
def _any_payloads(payload_class: type, levels: int) -> SearchStrategy[Any]:
    return _payloads(payload_class, levels, {})


def _payloads(
    payload_class: type[T], levels: int, given: dict[str, SearchStrategy[Any]]
) -> SearchStrategy[T]:
    chosen = st.fixed_dictionaries(
        {
            field.name: given.get(field.name, values_of(field, levels=levels))
            for field in checked_fields(payload_class)
        }
    )

    @st.composite  # which prints as its name: Hypothesis warns of a long repr
    def payloads_of(draw: st.DrawFn) -> T:
        content = draw(chosen)
        try:
            return payload_class(**content)
        except ValueError:
            reject()

    return payloads_of()


def values_of(field: Field, *, levels: int = values.LEVELS) -> SearchStrategy[Any]:
    """What can be given for a field of a payload class and comes back, the default included."""
    kind = field.kind
    if field.required:
        return _values(kind, levels)
    default = st.builds(field.default)
    if isinstance(kind, kinds.Optional | kinds.Anything) and field.default() is not None:
        # None removes the attribute, and what is absent reads as the default.
        some = _values(kinds.unwrapped(kind), levels)
        return default | some.filter(lambda value: value is not None)
    return default | _values(kind, levels)


@functools.cache
def stored_maps(payload_class: type, levels: int, odd: bool) -> SearchStrategy[Item]:
    """The content of `M` in which the table can hold a payload."""
    fields = checked_fields(payload_class)
    null = NULL if odd else st.nothing()
    required = {f.wire_name: _forms(f.kind, levels, odd) for f in fields if f.required}
    optional = {f.wire_name: _forms(f.kind, levels, odd) | null for f in fields if not f.required}
    declared = st.fixed_dictionaries(required, optional=optional)
    if not odd:
        return declared
    others = values.names_except({field.wire_name for field in fields})
    extras = st.dictionaries(others, values.stored_values(), max_size=2)
    return st.builds(dict.__or__, declared, extras)


def unfit_forms(kind: kinds.FieldKind) -> SearchStrategy[AttributeValue]:
    """What the table can hold and a field of this kind cannot, but NULL; not of `Anything`."""
    row = _KINDS[type(kind)]
    return row.unfit | values.SCALARS.filter(lambda form: form.keys().isdisjoint({row.tag, "NULL"}))


@functools.cache
def _values(kind: kinds.FieldKind, levels: int) -> SearchStrategy[Any]:
    match kind:
        case kinds.Optional(inner):
            return st.none() | _values(inner, levels) if levels else st.none()
        case kinds.Anything():
            return values.plain_values()
    return _KINDS[type(kind)].values(kind, levels)


@functools.cache
def _forms(kind: kinds.FieldKind, levels: int, odd: bool) -> SearchStrategy[AttributeValue]:
    """How the table can hold a value of this kind."""
    match kind:
        case kinds.Optional(inner):
            return NULL | _forms(inner, levels, odd) if levels else NULL
        case kinds.Anything():
            return values.stored_values()
    row = _KINDS[type(kind)]
    return values.tagged(row.tag, row.contents(kind, levels, odd))


@attrs.frozen
class _Kind:
    """How a kind of field is drawn.

    `tag` is its type in DynamoDB, `values` what can be assigned, `contents` what can be stored
    under the tag, and `unfit` what is nearly that and malformed. `levels` says how deep values lie
    within it at most; `odd` adds what other programs store.
    """

    tag: str
    values: Callable[[Any, int], SearchStrategy[Any]]
    contents: Callable[[Any, int, bool], SearchStrategy[Any]]
    unfit: SearchStrategy[AttributeValue]


def _scalar(
    tag: str,
    given: SearchStrategy[Any],
    contents: SearchStrategy[Any],
    *,
    odd: SearchStrategy[Any] | None = None,
    unfit: SearchStrategy[Any] | None = None,
) -> _Kind:
    with_odd = contents if odd is None else contents | odd
    return _Kind(
        tag,
        lambda kind, levels: given,
        lambda kind, levels, odd: with_odd if odd else contents,
        st.nothing() if unfit is None else values.tagged(tag, unfit),
    )


def _few(levels: int) -> int:
    return 3 if levels else 0


_INTEGERS, _BOOLEANS, _BINARIES = values.safe_integers(), st.booleans(), st.binary(max_size=20)

_KINDS: dict[type, _Kind] = {
    kinds.Text: _scalar("S", values.texts(), values.texts()),
    kinds.Integer: _scalar("N", _INTEGERS, _INTEGERS.map(str), unfit=st.just("1.5")),
    kinds.Boolean: _scalar("BOOL", _BOOLEANS, _BOOLEANS),
    kinds.AmountKind: _scalar(
        "N",
        values.amounts(),
        values.amounts().map(values.number),
        odd=values.stored_numbers().map(values.number),
    ),
    kinds.Float: _scalar(
        "N",
        values.amounts().map(float),
        values.amounts().map(values.number),
    ),
    kinds.Date: _scalar(
        "S",
        values.dates(),
        values.dates().map(date.isoformat),
        odd=values.ODD_DATES,
        unfit=st.sampled_from(["soon", "", "2025-02-30"]),
    ),
    kinds.DateTime: _scalar(
        "S",
        values.timestamps().map(floor_ms),  # finer ones in a list are not what is read back
        values.STAMPS,
        odd=values.OFFSET_STAMPS,
        unfit=st.sampled_from(["soon", "2025-01-07T12:30:00"]),
    ),
    kinds.TimeOfDay: _scalar(
        "S",
        st.times(),
        st.times().map(time.isoformat),
        odd=st.sampled_from(["12:30", "12:30:00.5", "23:59:59.1234567"]),
        unfit=st.sampled_from(["noon", "24:00", "12:30:00+02:00"]),
    ),
    kinds.Duration: _scalar(
        "S",
        st.timedeltas(),
        st.timedeltas().map(format_duration),
        odd=st.sampled_from(["P2W", "PT36H", "P0D", "-PT90S", "PT0.50S"]),
        unfit=st.sampled_from(["an hour", "P", "P1DT", "P1M"]),
    ),
    kinds.Uuid: _scalar(
        "S",
        st.uuids(),
        st.uuids().map(str),
        odd=st.uuids().map(lambda drawn: str(drawn).upper()),
        unfit=st.sampled_from(["", "550e8400"]),
    ),
    kinds.MemberOf: _Kind(
        "S",
        lambda kind, levels: st.sampled_from(list(kind.by_text.values())),
        lambda kind, levels, odd: st.sampled_from(list(kind.by_text)),
        st.just({"S": "no member's text"}),
    ),
    kinds.OneOf: _Kind(
        "S",
        lambda kind, levels: st.sampled_from(kind.texts),
        lambda kind, levels, odd: st.sampled_from(kind.texts),
        st.just({"S": "another text"}),
    ),
    kinds.Binary: _scalar("B", _BINARIES, _BINARIES.map(values.base64)),
    kinds.SetOfText: _scalar(
        "SS", values.sets(values.texts()), values.set_contents(values.texts())
    ),
    kinds.ListOf: _Kind(
        "L",
        lambda kind, levels: st.lists(_values(kind.element, levels), max_size=_few(levels)),
        lambda kind, levels, odd: st.lists(
            _forms(kind.element, levels, odd), max_size=_few(levels)
        ),
        st.just({"M": {}}),
    ),
    kinds.TupleOf: _Kind(
        "L",
        lambda kind, levels: _values(kinds.ListOf(kind.element), levels).map(tuple),
        lambda kind, levels, odd: st.lists(
            _forms(kind.element, levels, odd), max_size=_few(levels)
        ),
        st.just({"M": {}}),
    ),
    kinds.DictOf: _Kind(
        "M",
        lambda kind, levels: st.dictionaries(
            values.names(), _values(kind.element, levels), max_size=_few(levels)
        ),
        lambda kind, levels, odd: st.dictionaries(
            values.names(), _forms(kind.element, levels, odd), max_size=_few(levels)
        ),
        st.just({"L": []}),
    ),
    kinds.Nested: _Kind(
        "M",
        lambda kind, levels: st.deferred(lambda: _any_payloads(kind.payload_class, levels - 1)),
        lambda kind, levels, odd: st.deferred(
            lambda: stored_maps(kind.payload_class, levels - 1, odd)
        ),
        st.just({"L": []}),
    ),
}
