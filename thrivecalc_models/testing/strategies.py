"""Hypothesis strategies: payloads, records and stored items, of the six types and of your own.

    from hypothesis import given
    from thrivecalc_models.testing.strategies import payloads, stored_items

    @given(payloads(SavingsGoalData))
    def test_a_goal_is_shown(goal): ...

Whatever these generate can be written and is read back equal, unless a docstring says otherwise.
Needs hypothesis, which is in the extra `test`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any, TypeVar

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
from thrivecalc_models.payloads import Field, fields_of, is_payload_class, kinds
from thrivecalc_models.records import UserRecord
from thrivecalc_models.wire import AttributeValue, Item, number_text, record_key

T = TypeVar("T")
R = TypeVar("R", bound=UserRecord)

MAX_SAFE_INTEGER = 2**53 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDE = Context(prec=60)
_LEVELS = 3  # of payload classes that contain themselves


# --- single values --------------------------------------------------------------------------------


def texts(*, min_size: int = 0, max_size: int = 20) -> SearchStrategy[str]:
    """Text that UTF-8 can hold: any character but halves of surrogate pairs."""
    return st.text(st.characters(codec="utf-8"), min_size=min_size, max_size=max_size)


def user_ids() -> SearchStrategy[str]:
    """User ids, mostly such as Google's: `google-oauth2|123456789`."""
    digits = st.text("0123456789", min_size=1, max_size=21)
    return digits.map("google-oauth2|".__add__) | texts(min_size=1)


def record_ids() -> SearchStrategy[str]:
    """Record ids: UUIDs, and given ones such as `abc123`, `a#b` and any other text."""
    given = st.sampled_from(["abc123", "a#b", "#", "pay-1", "é", "e\u0301"])  # NFC and NFD differ
    return st.uuids(version=4).map(str) | given | texts(min_size=1)


def amounts() -> SearchStrategy[Decimal]:
    """Decimals that JavaScript's Number holds exactly, up to 2^53 - 1 in magnitude."""
    cents = st.integers(-(10**15) + 1, 10**15 - 1).flatmap(
        lambda digits: st.integers(0, 15).map(lambda places: Decimal(digits).scaleb(-places))
    )
    whole = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER).map(Decimal)
    doubles = st.floats(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER).filter(_is_storable)
    edges = ["0", "-0", "0.00", "1.50", "-1E-130", "1E+3", "9007199254740991", "0.1"]
    return (
        cents
        | whole
        | doubles.map(lambda double: Decimal(repr(double)))
        | st.sampled_from(edges).map(Decimal)
    )


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


def timestamps() -> SearchStrategy[datetime]:
    """Aware datetimes, in any zone and to the microsecond, whose UTC year is 1 to 9999."""
    zones = st.just(UTC) | st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: timezone(timedelta(minutes=minutes))
    )
    day = timedelta(days=1)
    moments = st.datetimes(datetime.min + day, datetime.max - day, timezones=st.just(UTC))
    return st.builds(lambda moment, zone: moment.astimezone(zone), moments, zones)


def times_to_live() -> SearchStrategy[datetime]:
    """Aware datetimes of 1970 to 9999, as `ttl` takes them, in whole seconds."""
    return st.integers(0, 253_402_300_799).map(lambda s: _EPOCH + timedelta(seconds=s))


def plain_values() -> SearchStrategy[Any]:
    """What extras and fields of `Any` hold: None, bool, text, Decimal, bytes, lists, dicts, sets."""
    scalars = st.none() | st.booleans() | texts() | amounts() | st.binary(max_size=20)
    sets = (
        st.sets(texts(), min_size=1, max_size=3)
        | st.sets(amounts(), min_size=1, max_size=3)
        | st.sets(st.binary(max_size=8), min_size=1, max_size=3)
    )
    return st.recursive(
        scalars | sets,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names(), inner, max_size=3),
        max_leaves=6,
    )


def names() -> SearchStrategy[str]:
    """Names of attributes: any text but the empty one, reserved words and odd characters too."""
    odd = ["ttl", "data", "name", "a.b", "a[0]", "#n", ":v", "N", "B", "S", "NULL", "$", " "]
    return st.sampled_from(odd) | texts(min_size=1, max_size=12)


def _is_storable(double: float) -> bool:
    return double == 0 or abs(double) >= 1e-130


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
    return _payloads(payload_class, _LEVELS, fields)


def any_payload() -> SearchStrategy[Any]:
    """Payloads of every type that has a record class when the first example is drawn."""
    return st.deferred(
        lambda: st.sampled_from(_registered()).flatmap(
            lambda record_class: payloads(_payload_class(record_class))
        )
    )


def records(
    record_class: type[R] | None = None, user_id: str | SearchStrategy[str] | None = None
) -> SearchStrategy[R]:
    """New records, never stored, with payload, and some with extras, a ttl and a given id.

    Of every registered class, unless one is given; of any user, unless one is given.
    """
    if record_class is None:
        classes: SearchStrategy[Any] = st.deferred(lambda: st.sampled_from(_registered()))
        return classes.flatmap(lambda each: records(each, user_id))
    return st.builds(
        _record,
        st.just(record_class),
        _strategy(user_id, user_ids),
        payloads(_payload_class(record_class)),
        st.none() | record_ids(),
        st.none() | times_to_live(),
        st.dictionaries(_undeclared(record_class), plain_values(), max_size=2),
        st.dictionaries(_undeclared(None), plain_values(), max_size=2),
    )


def _record(
    record_class: type[R],
    user_id: str,
    payload: Any,
    record_id: str | None,
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
        raise TypeError(f"{payload_class!r} is no payload class; decorate it with @payload")
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
    return st.fixed_dictionaries(values).map(lambda chosen: _made(payload_class, chosen))


def _made(payload_class: type[T], values: dict[str, Any]) -> T:
    try:
        return payload_class(**values)
    except ValueError:
        reject()


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


def _values(kind: kinds.Kind, levels: int) -> SearchStrategy[Any]:
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
            return timestamps()
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
            return st.deferred(lambda: _payloads(payload_class, levels - 1, {}))
        case kinds.Optional(inner_kind):
            return st.none() | _values(inner_kind, levels) if levels else st.none()
        case kinds.Anything():
            return plain_values()
