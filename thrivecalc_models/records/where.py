"""Conditions of callers as filters of reads, and what of them the sort key can answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pynamodb.expressions import condition as pynamo
from pynamodb.expressions.operand import Path, Value

from thrivecalc_models import table
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.operations import Filter, filters
from thrivecalc_models.operations.conditions import Expressions
from thrivecalc_models.wire import record_key, with_text
from thrivecalc_models.wire.keys import MAX_SORT_KEY

MAX_BYTES = 4000
MAX_OPERATORS = 297
"""DynamoDB takes 4,096 bytes and 300 operators; the rest is for `not_expired`.

Source: "Service, account, and table quotas", Amazon DynamoDB Developer Guide.
"""


def filter_of(condition: Any) -> Filter:
    """Return a condition as a filter. Raises InvalidRecordError for what no filter can be."""
    if not isinstance(condition, pynamo.Condition):
        raise InvalidRecordError(
            "where takes a condition, such as SavingsGoal.data.target_amount > 5, not"
            f" {type(condition).__name__}",
            path="where",
        )
    found = _filter(condition)
    expressions = Expressions()
    text = expressions.filter(found)
    if len(text.encode()) > MAX_BYTES or expressions.operators > MAX_OPERATORS:
        raise InvalidRecordError(
            f"where is longer than DynamoDB takes ({MAX_BYTES:,} bytes, {MAX_OPERATORS} operators);"
            " read with a part of it, and judge the rest yourself",
            path="where",
        )
    return found


def by_key(condition: Filter, data_type: str) -> tuple[Filter | None, Filter | None]:
    """Split a filter of a type's records into a condition on the sort key and the rest.

    What is asked of the record id is asked of the key, where one condition on it says as much; the
    key condition is None where none does. It saves read units, which a filter does not.
    """
    parts = condition.parts if isinstance(condition, filters.Every) else (condition,)
    for find in (_equal, _between, _prefix, _range):
        found = find(parts, data_type)
        if found is not None:
            keys, used = found
            rest = tuple(part for part in parts if not any(part is each for each in used))
            return keys, _joined(rest)
    return None, condition


def both(one: Filter | None, other: Filter) -> Filter:
    """Return the filter that two make together."""
    return other if one is None else filters.Every((one, other))


def not_expired(now: int) -> Filter:
    """Return the filter of records whose ttl has not passed at the end of a Unix second.

    A ttl that cannot be read, as milliseconds, has not passed.
    """
    ttl = filters.At((table.TTL,))
    bounds = filters.Fixed({"N": "0"}), filters.Fixed({"N": str(now)})
    return filters.Not(filters.Between(ttl, *bounds))


# --- PynamoDB's conditions ------------------------------------------------------------------------


def _filter(condition: pynamo.Condition) -> Filter:
    values = condition.values
    match condition:
        case pynamo.And():
            return filters.Every(tuple(_flat(condition, pynamo.And)))
        case pynamo.Or():
            return filters.Some(tuple(_flat(condition, pynamo.Or)))
        case pynamo.Not():
            return filters.Not(_filter(values[0]))
        case pynamo.Exists():
            return filters.IsStored(_path(values[0]))
        case pynamo.NotExists():
            return filters.IsStored(_path(values[0]), wanted=False)
        case pynamo.IsType():
            return filters.OfType(_operand(values[0]), values[1].value["S"])
    operands = tuple(map(_operand, values))
    match condition:
        case pynamo.Comparison():
            return filters.Compared(condition.operator, *operands)
        case pynamo.Between():
            return filters.Between(*operands)
        case pynamo.In():
            return filters.In(operands[0], operands[1:])
        case pynamo.BeginsWith():
            return filters.Begins(*operands)
        case pynamo.Contains():
            return filters.Contains(*operands)
    raise InvalidRecordError(f"where knows no {type(condition).__name__}", path="where")


def _flat(condition: pynamo.Condition, joined_by: type[pynamo.Condition]) -> Iterator[Filter]:
    for part in condition.values:
        if isinstance(part, joined_by):
            yield from _flat(part, joined_by)
        else:
            yield _filter(part)


def _operand(operand: Any) -> filters.Operand:
    if isinstance(operand, Path):
        return filters.At(_path(operand))
    if isinstance(operand, Value):
        return filters.Fixed(with_text(operand.value))
    if isinstance(operand, _SIZE):
        return filters.SizeOf(_path(operand.values[0]))
    raise InvalidRecordError("where compares fields and values, and no calculations", path="where")


_SIZE = type(pynamo.size(Path(table.DATA)))  # type: ignore[no-untyped-call]
_KEYS = {
    table.USER_ID: "every record here is of one user",
    table.RECORD_KEY: "DynamoDB filters by no key; name the type, and use record_id",
    table.DATA_TYPE: "name the type as the first argument",
}


def _path(path: Path) -> filters.PathTo:
    parts: list[str | int] = []
    for segment in path.path:
        name, *positions = re.split(r"\[(\d+)\]", segment)
        parts += [name, *map(int, filter(None, positions))]
    if parts[0] in _KEYS:
        raise InvalidRecordError(f"where on {parts[0]}: {_KEYS[str(parts[0])]}", path=str(parts[0]))
    return tuple(parts)


# --- the sort key ---------------------------------------------------------------------------------

Parts = tuple[Filter, ...]
Found = tuple[Filter, Parts] | None
_RECORD_ID = filters.At((table.RECORD_ID,))
_RECORD_KEY = filters.At((table.RECORD_KEY,))


def _key(data_type: str, operand: filters.Operand) -> filters.Fixed | None:
    """Return the record key of the record id that an operand is; None if no key can be that."""
    text = operand.value.get("S") if isinstance(operand, filters.Fixed) else None
    key = None if text is None else record_key(data_type, text)
    return None if key is None or len(key.encode()) > MAX_SORT_KEY else filters.Fixed({"S": key})


def _equal(parts: Parts, data_type: str) -> Found:
    for part in parts:
        match part:
            case filters.Compared("=", left, right) if left == _RECORD_ID:
                key = _key(data_type, right)
                if key is not None:
                    return filters.Compared("=", _RECORD_KEY, key), (part,)
    return None


def _between(parts: Parts, data_type: str) -> Found:
    for part in parts:
        match part:
            case filters.Between(operand, low, high) if operand == _RECORD_ID:
                first, last = _key(data_type, low), _key(data_type, high)
                if first is not None and last is not None:
                    return filters.Between(_RECORD_KEY, first, last), (part,)
    return None


def _prefix(parts: Parts, data_type: str) -> Found:
    for part in parts:
        match part:
            case filters.Begins(operand, prefix) if operand == _RECORD_ID:
                key = _key(data_type, prefix)
                if key is not None:
                    return filters.Begins(_RECORD_KEY, key), (part,)
    return None


def _range(parts: Parts, data_type: str) -> Found:
    """Find an upper bound; with a lower one beside it, both. `<` and `>` remain as filters."""
    first, used = filters.Fixed({"S": record_key(data_type, "")}), []
    last: filters.Fixed | None = None
    for part in parts:
        match part:
            case filters.Compared("<" | "<=", left, right) if left == _RECORD_ID and last is None:
                last = _key(data_type, right)
                used += [part] if last is not None and part.sign == "<=" else []
            case filters.Compared(">" | ">=", left, right) if left == _RECORD_ID:
                key = _key(data_type, right)
                if key is not None and key.value["S"] > first.value["S"]:
                    first = key
    if last is None or first.value["S"] > last.value["S"]:
        return None
    return filters.Between(_RECORD_KEY, first, last), tuple(used)


def _joined(parts: Parts) -> Filter | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return filters.Every(parts)
