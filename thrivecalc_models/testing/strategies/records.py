"""Records that were never stored, stored items, and payloads of every registered type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from typing import Any, TypeVar

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from thrivecalc_models import table
from thrivecalc_models.payloads import Field, kinds
from thrivecalc_models.records import UserRecord
from thrivecalc_models.testing.strategies import values
from thrivecalc_models.testing.strategies.fields import (
    NULL,
    checked_fields,
    payloads,
    stored_maps,
    unfit_forms,
)
from thrivecalc_models.wire import AttributeValue, Item, record_key

R = TypeVar("R", bound=UserRecord)
T = TypeVar("T")


def any_payload() -> SearchStrategy[Any]:
    """Payloads of every type that has a record class when an example is drawn."""
    return _of_class(None, lambda each: payloads(_payload_class(each)))


def records(
    record_class: type[R] | None = None, user_id: str | SearchStrategy[str] | None = None
) -> SearchStrategy[R]:
    """New records, never stored, with payload and id, and some with extras and a ttl.

    Of every registered class, unless one is given; of any user, unless one is given. The id is
    drawn, not made by the library, so that a failure can be replayed.
    """
    return _of_class(record_class, lambda each: _records(each, user_id))


@cache
def _records(record_class: type[R], user_id: str | SearchStrategy[str] | None) -> SearchStrategy[R]:
    return st.builds(
        _record,
        st.just(record_class),
        _given_or(user_id, values.user_ids()),
        payloads(_payload_class(record_class)),
        values.record_ids(),
        st.none() | values.times_to_live(),
        _extras(_undeclared(record_class)),
        _extras(_undeclared(None)),
    )


def _extras(undeclared: SearchStrategy[str]) -> SearchStrategy[dict[str, Any]]:
    # Every other record has none: extras cost as much as all the rest of it.
    none: SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({})
    return none | st.dictionaries(undeclared, values.plain_values(), min_size=1, max_size=2)


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


# --- stored items ---------------------------------------------------------------------------------

_UNREGISTERED = ["x-note", "x-é", "x y", "X"]

_TIMES = values.tagged("S", values.STAMPS)
_ODD_TIMES: SearchStrategy[AttributeValue] = values.tagged(
    "S", values.OFFSET_STAMPS
) | st.sampled_from(
    [
        {"S": "yesterday"},
        {"S": ""},
        {"S": "2025-01-07T12:30:00"},
        {"N": "1736253000000"},
        {"NULL": True},
    ]
)
_TTLS = values.tagged("N", st.integers(0, values.LAST_SECOND).map(str))
_ODD_TTLS = st.one_of(
    values.tagged("S", st.sampled_from(["soon", "1893456000"])),
    values.tagged("N", st.sampled_from(["1893456000.5", "1893456000000", "-1"])),
    NULL,
)


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
    users, ids = _given_or(user_id, values.user_ids()), _given_or(record_id, values.record_ids())
    return _of_class(record_class, lambda each: _stored_items(each, users, ids, odd), UserRecord)


def _stored_items(
    record_class: type[UserRecord], users: SearchStrategy[str], ids: SearchStrategy[str], odd: bool
) -> SearchStrategy[Item]:
    own = record_class.own_data_type()
    items = st.builds(
        _item,
        users,
        st.sampled_from(_UNREGISTERED) if own is None else st.just(own),
        ids,
        _data(record_class.payload_class(), odd),
        _stamps(odd),
        st.dictionaries(_undeclared(None), values.stored_values(), max_size=2 if odd else 0),
    )

    @st.composite
    def items_of(draw: st.DrawFn) -> Item:
        item = draw(items)
        if UserRecord.from_item(item).malformed:  # for validators of the class
            reject()
        return item

    return items_of()


def _data(payload_class: type | None, odd: bool) -> SearchStrategy[Item]:
    if payload_class is None:
        return st.dictionaries(values.names(), values.stored_values(), max_size=4)
    return stored_maps(payload_class, values.LEVELS, odd)


def _stamps(odd: bool) -> SearchStrategy[Item]:
    if not odd:
        times = {table.CREATED_AT: _TIMES, table.UPDATED_AT: _TIMES}
        return st.fixed_dictionaries(times, optional={table.TTL: _TTLS})
    times = dict.fromkeys((table.CREATED_AT, table.UPDATED_AT), _TIMES | _ODD_TIMES)
    return st.fixed_dictionaries({}, optional={**times, table.TTL: _TTLS | _ODD_TTLS})


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


# --- malformed items ------------------------------------------------------------------------------


def odd_items(
    record_class: type[UserRecord] | None = None,
    user_id: str | SearchStrategy[str] | None = None,
) -> SearchStrategy[Item]:
    """Malformed items, which read as records whose `malformed` is true.

    Their `data` is missing or no map, fields are missing or of a wrong type, or keys disagree.
    """
    return _of_class(record_class, lambda each: _odd_items(each, user_id))


def _odd_items(
    record_class: type[UserRecord], user_id: str | SearchStrategy[str] | None
) -> SearchStrategy[Item]:
    damages = _damages(str(record_class.own_data_type()))
    for field in checked_fields(_payload_class(record_class)):
        damages += _damages_of(field)
    ids = values.record_ids().filter(lambda text: len(text) != _WRONG_ID_LENGTH)
    items = stored_items(record_class, user_id, record_id=ids)
    return st.sampled_from(damages).flatmap(items.flatmap)


Damage = Callable[[Item], SearchStrategy[Item]]
"""Gives the ways in which an item can be damaged."""

_ABSENT: SearchStrategy[AttributeValue | None] = st.none()
_WRONG_ID_LENGTH = 21  # which no id has that is right


def _damages(data_type: str) -> list[Damage]:
    wrong_ids = values.texts(min_size=_WRONG_ID_LENGTH, max_size=_WRONG_ID_LENGTH)
    return [
        _with(table.DATA, _ABSENT),
        _with(table.DATA, values.stored_values().filter(lambda value: "M" not in value)),
        _with(table.DATA_TYPE, _ABSENT),
        _with(table.DATA_TYPE, values.names().map(lambda name: {"S": f"other {name}"})),
        _with(table.RECORD_ID, _ABSENT),
        _with(table.RECORD_ID, values.stored_values().filter(lambda value: "S" not in value)),
        _with(table.RECORD_ID, values.tagged("S", wrong_ids)),
        # One without a # is of the length of no type, so that it cannot be a key by chance.
        _with(table.RECORD_KEY, st.just({"S": data_type})),
    ]


def _damages_of(field: Field) -> list[Damage]:
    kind = kinds.unwrapped(field.kind)
    unfit = [_ABSENT] if field.required else []
    if not isinstance(kind, kinds.Anything):
        unfit += [unfit_forms(kind), *([NULL] if field.required else [])]
    return [_with_field(field.wire_name, forms) for forms in unfit]


def _with(name: str, forms: SearchStrategy[AttributeValue | None]) -> Damage:
    return lambda item: forms.map(partial(_replaced, item, name))


def _with_field(name: str, forms: SearchStrategy[AttributeValue | None]) -> Damage:
    return lambda item: forms.map(
        lambda form: {**item, table.DATA: {"M": _replaced(item[table.DATA]["M"], name, form)}}
    )


def _replaced(attributes: Item, name: str, form: AttributeValue | None) -> Item:
    others = {each: value for each, value in attributes.items() if each != name}
    return others if form is None else {**others, name: form}


# --- what both need -------------------------------------------------------------------------------


def _of_class(
    record_class: type[Any] | None, make: Callable[[Any], SearchStrategy[T]], *more: type[Any]
) -> SearchStrategy[T]:
    """What `make` returns for a class: for every registered one, and `more`, if none is given."""
    if record_class is not None:
        return make(record_class)
    # Deferred: a type can be defined after the strategy was made.
    return st.deferred(lambda: st.sampled_from([*_registered(), *more])).flatmap(make)


def _registered() -> list[type[UserRecord]]:
    classes = UserRecord.data_type.get_registered_subclasses(UserRecord)
    found = [each for each in classes if each.payload_class() is not None]
    return sorted(found, key=lambda each: str(each.own_data_type()))


def _payload_class(record_class: type[UserRecord]) -> type[Any]:
    """The payload class of a record class. TypeError if it has none."""
    payload_class = record_class.payload_class()
    if payload_class is None:
        raise TypeError(f"{record_class.__name__} has no payload class; give one that has")
    return payload_class


def _undeclared(record_class: type[UserRecord] | None) -> SearchStrategy[str]:
    """Names for extras: of the top level without a class, else of the payload."""
    if record_class is None:
        return values.names_except(table.DECLARED)
    fields = checked_fields(_payload_class(record_class))
    return values.names_except({field.wire_name for field in fields})


def _given_or(
    given: str | SearchStrategy[str] | None, default: SearchStrategy[str]
) -> SearchStrategy[str]:
    """What a caller gave, a text or a strategy, or the default if nothing was given."""
    if given is None:
        return default
    return st.just(given) if isinstance(given, str) else given
