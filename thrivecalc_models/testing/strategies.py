"""Hypothesis strategies: payloads, records and stored items, of the six types and of your own.

    from hypothesis import given
    from thrivecalc_models.testing.strategies import payloads, stored_items

    @given(payloads(SavingsGoalData))
    def test_a_goal_is_shown(goal): ...

Whatever these generate can be written and is read back equal, unless a docstring says otherwise.
Needs hypothesis, which is in the extra `test`.
"""

from __future__ import annotations

import functools
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any, TypeVar, cast

try:
    from hypothesis import reject
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError as missing:
    raise ImportError(
        "thrivecalc_models.testing.strategies needs hypothesis; pip install"
        ' "thrivecalc-models[test]"'
    ) from missing

from thrivecalc_models import table
from thrivecalc_models.payloads import (
    Field,
    fields_of,
    is_payload_class,
    kinds,
    why_no_payload_class,
)
from thrivecalc_models.records import UserRecord
from thrivecalc_models.wire import AttributeValue, Item, floor_ms, number_text, record_key

T = TypeVar("T")
R = TypeVar("R", bound=UserRecord)

MAX_SAFE_INTEGER = 2**53 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDE = Context(prec=60)
_LEVELS = 3  # of payload classes that contain themselves, and of values in values


# --- single values --------------------------------------------------------------------------------


@functools.cache
def texts(*, min_size: int = 0, max_size: int = 20) -> SearchStrategy[str]:
    """Text that UTF-8 can hold: any character but halves of surrogate pairs."""
    return st.text(st.characters(codec="utf-8"), min_size=min_size, max_size=max_size)


@functools.cache
def user_ids() -> SearchStrategy[str]:
    """User ids, mostly such as Google's: `google-oauth2|123456789`."""
    digits = st.text("0123456789", min_size=1, max_size=21)
    return digits.map("google-oauth2|".__add__) | texts(min_size=1)


@functools.cache
def record_ids() -> SearchStrategy[str]:
    """Record ids: UUIDs, and given ones such as `abc123`, `a#b` and any other text."""
    given = st.sampled_from(["abc123", "a#b", "#", "pay-1", "é", "e\u0301"])  # NFC and NFD differ
    return st.uuids(version=4).map(str) | given | texts(min_size=1)


@functools.cache
def amounts() -> SearchStrategy[Decimal]:
    """Decimals that JavaScript's Number holds exactly, up to 2^53 - 1 in magnitude."""
    cents = st.tuples(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 15)).map(
        lambda drawn: Decimal(drawn[0]).scaleb(-drawn[1], _WIDE)
    )
    whole = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER).map(Decimal)
    doubles = st.floats(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER).map(_storable)
    edges = ["0", "-0", "0.00", "1.50", "-1E-130", "1E+3", "9007199254740991", "0.1"]
    return (
        cents
        | whole
        | doubles.map(lambda double: Decimal(repr(double)))
        | st.sampled_from(edges).map(Decimal)
    )


@functools.cache
def stored_numbers() -> SearchStrategy[Decimal]:
    """Decimals of up to 38 digits, which DynamoDB holds and JavaScript may not."""
    digits = st.integers(1, 38).flatmap(lambda count: st.integers(0, 10**count - 1))
    wide = st.builds(
        lambda number, negative, places: Decimal(-number if negative else number).scaleb(
            -places, _WIDE
        ),
        digits,
        st.booleans(),
        st.integers(-30, 60),
    )
    return amounts() | wide | st.just(Decimal("12345678901234567890.123456789012345678"))


def dates() -> SearchStrategy[date]:
    """Dates of the years 1 to 9999."""
    return st.dates()


@functools.cache
def timestamps() -> SearchStrategy[datetime]:
    """Aware datetimes, in any zone and to the microsecond, whose UTC year is 1 to 9999."""
    zones = st.just(UTC) | st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: timezone(timedelta(minutes=minutes))
    )
    day = timedelta(days=1)
    moments = st.datetimes(datetime.min + day, datetime.max - day, timezones=st.just(UTC))
    return st.builds(lambda moment, zone: moment.astimezone(zone), moments, zones)


@functools.cache
def times_to_live() -> SearchStrategy[datetime]:
    """Aware datetimes of 1970 to 9999, as `ttl` takes them, in whole seconds."""
    return st.integers(0, 253_402_300_799).map(lambda s: _EPOCH + timedelta(seconds=s))


def plain_values() -> SearchStrategy[Any]:
    """What extras and `Any` hold: None, bool, text, Decimal, bytes, lists, dicts, sets."""
    return _plain_values(_LEVELS)


@functools.cache
def _plain_values(levels: int) -> SearchStrategy[Any]:
    # Levels of our own: those of st.recursive() are counted at every draw, and cost half of it.
    values = (
        st.none()
        | st.booleans()
        | texts()
        | amounts()
        | st.binary(max_size=20)
        | st.sets(texts(), min_size=1, max_size=3)
        | st.sets(amounts(), min_size=1, max_size=3)
        | st.sets(st.binary(max_size=8), min_size=1, max_size=3)
    )
    if not levels:
        return values
    inner = _plain_values(levels - 1)
    return values | st.lists(inner, max_size=3) | st.dictionaries(names(), inner, max_size=3)


@functools.cache
def names() -> SearchStrategy[str]:
    """Names of attributes: any text but the empty one, reserved words and odd characters too.

    `__proto__` is not among them, since the library refuses it as a new name.
    """
    odd = ["ttl", "data", "name", "a.b", "a[0]", "#n", ":v", "N", "B", "S", "NULL", "$", " "]
    written = texts(min_size=1, max_size=12).filter(lambda name: name != "__proto__")
    return st.sampled_from(odd) | written


def _storable(double: float) -> float:
    return double if abs(double) >= 1e-130 else 0.0


# --- payloads and records -------------------------------------------------------------------------


def payloads(payload_class: type[T], **fields: SearchStrategy[Any]) -> SearchStrategy[T]:
    """Payloads of any class made by `@payload`, nested ones included.

    A field given by name is drawn from that strategy, which a class with validators of its own may
    need: what they refuse with a ValueError is not generated. TypeError for what is no payload
    class, and for names that it does not have.
    """
    known = {field.name for field in _fields(payload_class)}
    if not fields.keys() <= known:
        raise TypeError(f"{payload_class.__name__} has no field {min(fields.keys() - known)!r}")
    if fields:
        return _payloads(payload_class, _LEVELS, fields)
    known_class: Any = payload_class
    return cast(SearchStrategy[T], _any_of(known_class, _LEVELS))


@functools.cache
def _any_of(payload_class: type[Any], levels: int) -> SearchStrategy[Any]:
    return _payloads(payload_class, levels, {})


@st.composite
def any_payload(draw: st.DrawFn) -> Any:
    """Payloads of every type that has a record class when an example is drawn."""
    return draw(payloads(_payload_class(draw(st.sampled_from(_registered())))))


def records(
    record_class: type[R] | None = None, user_id: str | SearchStrategy[str] | None = None
) -> SearchStrategy[R]:
    """New records, never stored, with payload and id, and some with extras and a ttl.

    Of every registered class, unless one is given; of any user, unless one is given. The id is
    drawn, not made by the library, so that a failure can be replayed.
    """
    if record_class is None:
        classes: SearchStrategy[Any] = st.deferred(lambda: st.sampled_from(_registered()))
        return classes.flatmap(lambda each: _records(each, user_id))
    return _records(record_class, user_id)


@functools.cache
def _records(record_class: type[R], user_id: str | SearchStrategy[str] | None) -> SearchStrategy[R]:
    return st.builds(
        _record,
        st.just(record_class),
        _strategy(user_id, user_ids),
        payloads(_payload_class(record_class)),
        record_ids(),
        st.none() | times_to_live(),
        _extras(_undeclared(record_class)),
        _extras(_undeclared(None)),
    )


def _extras(undeclared: SearchStrategy[str]) -> SearchStrategy[dict[str, Any]]:
    """None for every other record: they cost as much as all the rest of it."""
    none: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({})
    return none | st.dictionaries(undeclared, plain_values(), min_size=1, max_size=2)


def _record(
    record_class: type[R],
    user_id: str,
    payload: Any,
    record_id: str,
    ttl: datetime | None,
    extra_data: dict[str, Any],
    extra_attributes: dict[str, Any],
) -> R:
    record = record_class(user_id, data=payload, record_id=record_id, ttl=ttl)
    record.extra_data.update(extra_data)
    record.extra_attributes.update(extra_attributes)
    return record


def _fields(payload_class: type) -> tuple[Field, ...]:
    if not is_payload_class(payload_class):
        raise TypeError(why_no_payload_class(payload_class))
    return fields_of(payload_class)


def _registered() -> list[type[UserRecord]]:
    classes = UserRecord.data_type.get_registered_subclasses(UserRecord)
    found = [each for each in classes if each.payload_class() is not None]
    return sorted(found, key=lambda each: str(each.own_data_type()))


def _payload_class(record_class: type[UserRecord]) -> type[Any]:
    payload_class = record_class.payload_class()
    if payload_class is None:
        raise TypeError(f"{record_class.__name__} has no payload class; give one that has")
    return payload_class


def _payloads(
    payload_class: type[T], levels: int, given: dict[str, SearchStrategy[Any]]
) -> SearchStrategy[T]:
    values = {
        field.name: given.get(field.name, _values_of(field, levels))
        for field in _fields(payload_class)
    }
    chosen = st.fixed_dictionaries(values)

    @st.composite  # which prints as its name: Hypothesis warns of a long repr
    def payloads_of(draw: st.DrawFn) -> T:
        return _made(payload_class, draw(chosen))

    return payloads_of()


def _made(payload_class: type[T], values: dict[str, Any]) -> T:
    try:
        return payload_class(**values)
    except ValueError:
        reject()


def values_of(field: Field) -> SearchStrategy[Any]:
    """What can be given for a field of a payload class and comes back."""
    return _values_of(field, _LEVELS)


def _values_of(field: Field, levels: int) -> SearchStrategy[Any]:
    """What can be given for a field and comes back: the default, and whatever its kind takes."""
    if field.required:
        return _values(field.kind, levels)
    default = st.builds(field.default)
    kind = field.kind
    if isinstance(kind, kinds.Optional | kinds.Anything) and field.default() is not None:
        # None removes the attribute, and what is absent reads as the default.
        some = _values(kind.kind if isinstance(kind, kinds.Optional) else kind, levels)
        return default | some.filter(lambda value: value is not None)
    return default | _values(kind, levels)


@functools.cache
def _values(kind: kinds.FieldKind, levels: int) -> SearchStrategy[Any]:
    match kind:
        case kinds.Text():
            return texts()
        case kinds.Integer():
            return st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
        case kinds.Boolean():
            return st.booleans()
        case kinds.AmountKind():
            return amounts()
        case kinds.Date():
            return dates()
        case kinds.DateTime():
            return timestamps().map(floor_ms)  # finer ones in a list are not what is read back
        case kinds.Binary():
            return st.binary(max_size=20)
        case kinds.SetOfText():
            return st.sets(texts(), min_size=1, max_size=3)
        case kinds.ListOf(element):
            return st.lists(_values(element, levels), max_size=3 if levels else 0)
        case kinds.DictOf(element):
            inner = _values(element, levels)
            return st.dictionaries(names(), inner, max_size=3 if levels else 0)
        case kinds.Nested(payload_class):
            return st.deferred(lambda: _any_of(payload_class, levels - 1))
        case kinds.Optional(inner_kind):
            return st.none() | _values(inner_kind, levels) if levels else st.none()
        case kinds.Anything():
            return plain_values()


# --- stored items ---------------------------------------------------------------------------------


def stored_values() -> SearchStrategy[AttributeValue]:
    """Any value in DynamoDB's JSON, as other programs may have left it: every type, 38 digits."""
    return _stored_values(_LEVELS)


@functools.cache
def _stored_values(levels: int) -> SearchStrategy[AttributeValue]:
    if not levels:
        return _SCALARS
    inner = _stored_values(levels - 1)
    lists = st.lists(inner, max_size=3).map(lambda members: {"L": members})
    maps = st.dictionaries(names(), inner, max_size=3).map(lambda members: {"M": members})
    return _SCALARS | lists | maps


def stored_items(
    record_class: type[UserRecord] | None = None,
    user_id: str | SearchStrategy[str] | None = None,
    *,
    record_id: str | SearchStrategy[str] | None = None,
    odd: bool = True,
) -> SearchStrategy[Item]:
    """Items in DynamoDB's JSON as the table can hold them, all of which read as records.

    Of every registered type and of unregistered ones, unless a class is given. With `odd` they also
    have what other programs leave: extras at every level, NULL for absent, one-digit dates, dates
    with a time, 38 digits, timestamps with an offset or missing, a `ttl` that is none. What the
    validators of a class refuse is not generated.
    """
    if record_class is None:
        classes: SearchStrategy[Any] = st.deferred(
            lambda: st.sampled_from([*_registered(), UserRecord])
        )
        return classes.flatmap(lambda each: _stored_items(each, user_id, record_id, odd))
    return _stored_items(record_class, user_id, record_id, odd)


@functools.cache
def _stored_items(
    record_class: type[UserRecord],
    user_id: str | SearchStrategy[str] | None,
    record_id: str | SearchStrategy[str] | None,
    odd: bool,
) -> SearchStrategy[Item]:
    own = record_class.own_data_type()
    data_types = st.sampled_from(_UNREGISTERED) if own is None else st.just(own)
    payload_class = record_class.payload_class()
    if payload_class is None:
        data = st.dictionaries(names(), stored_values(), max_size=4)
    else:
        data = _stored_map(payload_class, _LEVELS, odd)
    items = st.builds(
        _item,
        _strategy(user_id, user_ids),
        data_types,
        _strategy(record_id, record_ids),
        data,
        st.fixed_dictionaries(
            {} if odd else {table.CREATED_AT: _STAMPS, table.UPDATED_AT: _STAMPS},
            optional={
                table.CREATED_AT: _STAMPS | _ODD_STAMPS,
                table.UPDATED_AT: _STAMPS | _ODD_STAMPS,
                table.TTL: _TTLS | _ODD_TTLS,
            }
            if odd
            else {table.TTL: _TTLS},
        ),
        st.dictionaries(_undeclared(None), stored_values(), max_size=2 if odd else 0),
    )

    @st.composite
    def items_of(draw: st.DrawFn) -> Item:
        item = draw(items)
        if UserRecord.from_item(item).malformed:  # for validators of the class
            reject()
        return item

    return items_of()


def odd_items(
    record_class: type[UserRecord] | None = None,
    user_id: str | SearchStrategy[str] | None = None,
) -> SearchStrategy[Item]:
    """Malformed items: `data` missing or no map, fields missing or of a wrong type, keys that
    disagree. They read as records whose `malformed` is true."""
    if record_class is None:
        classes: SearchStrategy[Any] = st.deferred(lambda: st.sampled_from(_registered()))
        return classes.flatmap(lambda each: odd_items(each, user_id))
    damages = [
        _without(table.DATA),
        _with(table.DATA, stored_values().filter(lambda value: "M" not in value)),
        _without(table.DATA_TYPE),
        _with(table.DATA_TYPE, names().map(lambda name: {"S": f"other {name}"})),
        _without(table.RECORD_ID),
        _with(table.RECORD_ID, stored_values().filter(lambda value: "S" not in value)),
        _with(table.RECORD_ID, texts(min_size=21, max_size=21).map(lambda text: {"S": text})),
        # One without a # is of the length of no type, so that it cannot be a key by chance.
        _with(table.RECORD_KEY, st.just({"S": str(record_class.own_data_type())})),
    ]
    for field in _fields(_payload_class(record_class)):
        kind = _unwrapped(field.kind)
        if field.required:
            damages.append(_without_field(field.wire_name))
        if isinstance(kind, kinds.Anything):
            continue
        unfit = _SCALARS.filter(_of_none(_TAGS_OF[type(kind)])) | _UNFIT.get(
            type(kind), st.nothing()
        )
        damages.append(_with_field(field.wire_name, unfit))
        if field.required:
            damages.append(_with_field(field.wire_name, st.just({"NULL": True})))
    short = record_ids().filter(lambda text: len(text) != 21)  # differs from the wrong ones
    items = stored_items(record_class, user_id, record_id=short)
    return st.sampled_from(damages).flatmap(items.flatmap)


def _item(
    user_id: str, data_type: str, record_id: str, data: Item, stamps: Item, extras: Item
) -> Item:
    return {
        table.USER_ID: {"S": user_id},
        table.RECORD_KEY: {"S": record_key(data_type, record_id)},
        table.DATA_TYPE: {"S": data_type},
        table.RECORD_ID: {"S": record_id},
        table.DATA: {"M": data},
        **stamps,
        **extras,
    }


@functools.cache
def _stored_map(payload_class: type, levels: int, odd: bool) -> SearchStrategy[Item]:
    fields = _fields(payload_class)
    null = st.just({"NULL": True}) if odd else st.nothing()
    required = {f.wire_name: _forms(f.kind, levels, odd) for f in fields if f.required}
    optional = {f.wire_name: _forms(f.kind, levels, odd) | null for f in fields if not f.required}
    declared = st.fixed_dictionaries(required, optional=optional)
    if not odd:
        return declared
    taken = {field.wire_name for field in fields}
    others = names().filter(lambda name: name not in taken)
    extras = st.dictionaries(others, stored_values(), max_size=2)
    return st.builds(lambda content, more: {**content, **more}, declared, extras)


@functools.cache
def _forms(kind: kinds.FieldKind, levels: int, odd: bool) -> SearchStrategy[AttributeValue]:
    """The forms that a value of a kind can have in the table."""
    match kind:
        case kinds.Text():
            return texts().map(lambda text: {"S": text})
        case kinds.Integer():
            return st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER).map(lambda n: {"N": str(n)})
        case kinds.Boolean():
            return st.booleans().map(lambda value: {"BOOL": value})
        case kinds.AmountKind():
            return (stored_numbers() if odd else amounts()).map(_number)
        case kinds.Date():
            texts_of_dates = dates().map(date.isoformat)
            return (texts_of_dates | (_ODD_DATES if odd else st.nothing())).map(lambda t: {"S": t})
        case kinds.DateTime():
            return _STAMPS | (_OFFSET_STAMPS if odd else st.nothing())
        case kinds.Binary():
            return st.binary(max_size=20).map(lambda content: {"B": _base64(content)})
        case kinds.SetOfText():
            return _sets(texts(), "SS")
        case kinds.ListOf(element):
            forms = _forms(element, levels, odd)
            return st.lists(forms, max_size=3 if levels else 0).map(lambda forms: {"L": forms})
        case kinds.DictOf(element):
            forms = _forms(element, levels, odd)
            return st.dictionaries(names(), forms, max_size=3 if levels else 0).map(
                lambda forms: {"M": forms}
            )
        case kinds.Nested(payload_class):
            return st.deferred(
                lambda: _stored_map(payload_class, levels - 1, odd).map(lambda m: {"M": m})
            )
        case kinds.Optional(inner):
            null = st.just({"NULL": True})
            return null | _forms(inner, levels, odd) if levels else null
        case kinds.Anything():
            return stored_values()


def _number(number: Decimal) -> AttributeValue:
    return {"N": number_text(number, path="N", js_safe=False)}


def _base64(content: bytes) -> str:
    return b64encode(content).decode()


def _sets(members: SearchStrategy[str], tag: str) -> SearchStrategy[AttributeValue]:
    """Sets with their members in the order in which a SimulatedTable gives them back."""
    orders: dict[str, Callable[[str], Any]] = {"SS": str, "NS": Decimal, "BS": b64decode}
    distinct = st.sets(members, min_size=1, max_size=3)
    return distinct.map(lambda texts: {tag: sorted(texts, key=orders[tag])})


_NUMBER_TEXTS = stored_numbers().map(lambda number: str(_number(number)["N"]))
_BINARY_TEXTS = st.binary(max_size=8).map(_base64)
_SCALARS: SearchStrategy[AttributeValue] = (
    texts().map(lambda text: {"S": text})
    | _NUMBER_TEXTS.map(lambda text: {"N": text})
    | st.booleans().map(lambda value: {"BOOL": value})
    | st.just({"NULL": True})
    | _BINARY_TEXTS.map(lambda text: {"B": text})
    | _sets(texts(), "SS")
    | _sets(_NUMBER_TEXTS, "NS")
    | _sets(_BINARY_TEXTS, "BS")
)

_STAMPS = timestamps().map(
    lambda moment: {
        "S": moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    }
)
_OFFSET_STAMPS = (
    timestamps()
    .filter(lambda moment: 99 < moment.year < 9999)  # earlier ones JavaScript does not always read
    .flatmap(
        lambda moment: st.sampled_from(
            [
                moment.isoformat(),
                moment.isoformat(timespec="minutes"),
                moment.isoformat(sep=" ", timespec="milliseconds"),
                moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z",
            ]
        )
    )
    .map(lambda text: {"S": text})
)
_ODD_STAMPS: SearchStrategy[AttributeValue] = _OFFSET_STAMPS | st.sampled_from(
    [
        {"S": "yesterday"},
        {"S": ""},
        {"S": "2025-01-07T12:30:00"},
        {"N": "1736253000000"},
        {"NULL": True},
    ]
)
_TTLS = st.integers(0, 253_402_300_799).map(lambda seconds: {"N": str(seconds)})
_ODD_TTLS: SearchStrategy[AttributeValue] = st.sampled_from(
    [
        {"S": "soon"},
        {"S": "1893456000"},
        {"N": "1893456000.5"},
        {"N": "1893456000000"},
        {"N": "-1"},
        {"NULL": True},
    ]
)
_ODD_DATES = st.builds(
    lambda day, form: form(day),
    dates(),
    st.sampled_from(
        [
            lambda day: f"{day.year:04}-{day.month}-{day.day}",
            lambda day: f"{day.isoformat()}T23:59:59.000Z",
            lambda day: f"{day.isoformat()}T00:00:00+02:00",
            lambda day: f"{day.isoformat()} 12:30",
        ]
    ),
)
_UNREGISTERED = ["x-note", "x-é", "x y", "X"]

_TAGS_OF: dict[type, frozenset[str]] = {
    kinds.Text: frozenset({"S"}),
    kinds.Integer: frozenset({"N"}),
    kinds.Boolean: frozenset({"BOOL"}),
    kinds.AmountKind: frozenset({"N"}),
    kinds.Date: frozenset({"S"}),
    kinds.DateTime: frozenset({"S"}),
    kinds.Binary: frozenset({"B"}),
    kinds.SetOfText: frozenset({"SS"}),
    kinds.ListOf: frozenset({"L"}),
    kinds.DictOf: frozenset({"M"}),
    kinds.Nested: frozenset({"M"}),
}

_UNFIT: dict[type, SearchStrategy[AttributeValue]] = {
    kinds.Integer: st.just({"N": "1.5"}),
    kinds.Date: st.sampled_from([{"S": "soon"}, {"S": ""}, {"S": "2025-02-30"}]),
    kinds.DateTime: st.sampled_from([{"S": "soon"}, {"S": "2025-01-07T12:30:00"}]),
    kinds.ListOf: st.just({"M": {}}),
    kinds.DictOf: st.just({"L": []}),
    kinds.Nested: st.just({"L": []}),
}


def _of_none(tags: frozenset[str]) -> Callable[[AttributeValue], bool]:
    return lambda value: value.keys().isdisjoint(tags | {"NULL"})


def _unwrapped(kind: kinds.FieldKind) -> kinds.FieldKind:
    return kind.kind if isinstance(kind, kinds.Optional) else kind


def _strategy(
    given: str | SearchStrategy[str] | None, default: Callable[[], SearchStrategy[str]]
) -> SearchStrategy[str]:
    if given is None:
        return default()
    return st.just(given) if isinstance(given, str) else given


def _undeclared(record_class: type[UserRecord] | None) -> SearchStrategy[str]:
    """Names for extras: of the top level without a class, else of the payload."""
    if record_class is None:
        taken = set(table.DECLARED)
    else:
        taken = {field.wire_name for field in _fields(_payload_class(record_class))}
    return names().filter(lambda name: name not in taken)


Damage = Callable[[Item], SearchStrategy[Item]]


def _without(name: str) -> Damage:
    return lambda item: st.just({each: form for each, form in item.items() if each != name})


def _with(name: str, forms: SearchStrategy[AttributeValue]) -> Damage:
    return lambda item: forms.map(lambda form: {**item, name: form})


def _without_field(name: str) -> Damage:
    def damage(item: Item) -> SearchStrategy[Item]:
        content = {each: form for each, form in item[table.DATA]["M"].items() if each != name}
        return st.just({**item, table.DATA: {"M": content}})

    return damage


def _with_field(name: str, forms: SearchStrategy[AttributeValue]) -> Damage:
    def damage(item: Item) -> SearchStrategy[Item]:
        content = item[table.DATA]["M"]
        return forms.map(lambda form: {**item, table.DATA: {"M": {**content, name: form}}})

    return damage
