"""Read from the simulated table: GetItem, BatchGetItem, TransactGetItems, Query and Scan."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from zlib import crc32

import attrs

from thrivecalc_models import table
from thrivecalc_models.testing.capacity import Consumed, reported
from thrivecalc_models.testing.conditions import (
    BeginsWith,
    Between,
    Compare,
    Condition,
    Every,
    Operand,
    PathOperand,
    ValueOperand,
    top_names,
)
from thrivecalc_models.testing.expressions import bound_condition, bound_projection
from thrivecalc_models.testing.paths import Path, project
from thrivecalc_models.testing.placeholders import Placeholders
from thrivecalc_models.testing.refusals import Invalid
from thrivecalc_models.testing.requests import (
    KEY_NAMES,
    REPEATED_IN_BATCH,
    REPEATED_IN_TRANSACTION,
    check_distinct,
    check_key_attribute,
    check_parameters,
    check_table,
    check_transaction_size,
    flag,
    key_of,
    list_of,
    one_of,
    only_table,
    positive,
    transaction_entries,
)
from thrivecalc_models.testing.state import (
    Entry,
    Key,
    Storage,
    TableState,
    index_entry,
    table_entry,
)
from thrivecalc_models.testing.values import normalised_item
from thrivecalc_models.wire import Item, Json, read_units

MAX_BATCH_GET: Final = 100
MAX_BATCH_GET_BYTES: Final = 16 * 1024 * 1024
MAX_SEGMENTS: Final = 1_000_000

_PROJECTION: Final = ("ProjectionExpression", "ExpressionAttributeNames")
_GET: Final = ("TableName", "Key", "ConsistentRead", "ReturnConsumedCapacity", *_PROJECTION)
_BATCH_GET: Final = ("RequestItems", "ReturnConsumedCapacity")
_BATCH_GET_TABLE: Final = ("Keys", "ConsistentRead", *_PROJECTION)
_TRANSACT_GET: Final = ("TransactItems", "ReturnConsumedCapacity")
_TRANSACT_GET_ENTRY: Final = ("TableName", "Key", *_PROJECTION)
_PAGED: Final = (
    "TableName",
    "IndexName",
    "ConsistentRead",
    "FilterExpression",
    "ExpressionAttributeValues",
    "ExclusiveStartKey",
    "Limit",
    "Select",
    "ReturnConsumedCapacity",
    *_PROJECTION,
)
_QUERY: Final = (*_PAGED, "KeyConditionExpression", "ScanIndexForward")
_SCAN: Final = (*_PAGED, "Segment", "TotalSegments")
_SELECTIONS: Final = (
    "ALL_ATTRIBUTES",
    "ALL_PROJECTED_ATTRIBUTES",
    "SPECIFIC_ATTRIBUTES",
    "COUNT",
)

Seek = Callable[[Sequence[Entry]], tuple[int, int]]
"""Gives the range of entries that a key condition selects."""


def get_item(storage: Storage, request: Json) -> Json:
    """One item, or a reply without any."""
    check_parameters(request, _GET, required=("Key",))
    check_table(request.get("TableName"), storage.table_name)
    paths = _projection(request)
    key = key_of(request["Key"])
    consistent = flag(request, "ConsistentRead")
    view = storage.view(consistent=consistent)
    item = view.items.get(key)
    body: Json = {} if item is None else {"Item": _projected(item, paths)}
    units = read_units(view.sizes.get(key, 0), consistent=consistent)
    return _with_capacity(body, reported(Consumed(units), request, storage.table_name))


def batch_get_item(storage: Storage, request: Json, *, keep: int | None = None) -> Json:
    """Items in no order. Keys past `keep`, or past the size limits, come back as not processed.

    A reply has at most 16 MB, and less than a page more than 1 MB of one partition ("BatchGetItem",
    API Reference).
    """
    check_parameters(request, _BATCH_GET, required=("RequestItems",))
    part = only_table(request["RequestItems"], storage.table_name)
    check_parameters(part, _BATCH_GET_TABLE, required=("Keys",))
    paths = _projection(part)
    raw_keys = list_of(part["Keys"], "Keys", at_most=MAX_BATCH_GET)
    keys = [key_of(key) for key in raw_keys]
    check_distinct(keys, REPEATED_IN_BATCH)
    consistent = flag(part, "ConsistentRead")
    view = storage.view(consistent=consistent)
    served = _served(view, keys, storage.page_bytes, keep)
    items = [(key, view.items[key]) for key in served if key in view.items]
    # The service promises no order; this one is stable, and not the order asked for.
    items.sort(key=lambda found: crc32("".join(found[0]).encode()))
    units = sum(read_units(view.sizes.get(key, 0), consistent=consistent) for key in served)
    left = [raw for raw, key in zip(raw_keys, keys, strict=True) if key not in served]
    body: Json = {
        "Responses": {storage.table_name: [_projected(item, paths) for _, item in items]},
        "UnprocessedKeys": {storage.table_name: {**part, "Keys": left}} if left else {},
    }
    return _with_list(body, reported(Consumed(units), request, storage.table_name))


def transact_get_items(storage: Storage, request: Json) -> Json:
    """Up to 100 items as they are at one moment, in the order asked for."""
    check_parameters(request, _TRANSACT_GET, required=("TransactItems",))
    wanted = [_transaction_get(storage, entry) for entry in transaction_entries(request)]
    check_distinct([key for key, _ in wanted], REPEATED_IN_TRANSACTION)
    state = storage.state
    sizes = [state.sizes.get(key, 0) for key, _ in wanted]
    check_transaction_size(sum(sizes))
    units = 2 * sum(read_units(size, consistent=True) for size in sizes)
    body: Json = {
        "Responses": [
            {"Item": _projected(state.items[key], paths)} if key in state.items else {}
            for key, paths in wanted
        ]
    }
    capacity = reported(Consumed(units), request, storage.table_name)
    if capacity is not None:
        capacity["ReadCapacityUnits"] = capacity["CapacityUnits"]
    return _with_list(body, capacity)


def _transaction_get(storage: Storage, entry: Json) -> tuple[Key, tuple[Path, ...] | None]:
    get = check_parameters(entry, ("Get",), required=("Get",))["Get"]
    check_parameters(get, _TRANSACT_GET_ENTRY, required=("Key",))
    check_table(get.get("TableName"), storage.table_name)
    return key_of(get["Key"]), _projection(get)


def query(storage: Storage, request: Json) -> Json:
    """One page of a user's items, in the order of the table or of its index."""
    check_parameters(request, _QUERY)
    if request.get("KeyConditionExpression") is None:
        raise Invalid("Either the KeyConditions or KeyConditionExpression parameter is required")
    page = _page(storage, request)
    condition = bound_condition(request["KeyConditionExpression"], page.placeholders)
    user_id, seek = _key_condition(condition, page)
    page.placeholders.check_all_used()
    page.check_filter()
    entries = page.view.entries(user_id, by_index=page.by_index)
    first, last = seek(entries)
    forward = request.get("ScanIndexForward", True) is not False
    if page.start is not None:
        # A key that the condition does not select cannot come from an earlier page of this query.
        start_user, start = page.start
        if start_user != user_id or seek([start]) != (0, 1):
            raise Invalid("The provided starting key does not match the range key predicate")
        if forward:
            first = max(first, bisect_right(entries, start))
        else:
            last = min(last, bisect_left(entries, start))
    chosen = range(first, last) if forward else range(last - 1, first - 1, -1)
    return page.read((user_id, entries[at]) for at in chosen)


def scan(storage: Storage, request: Json) -> Json:
    """Users in the order of their hash; a segment has the users that fall into it."""
    check_parameters(request, _SCAN)
    page = _page(storage, request)
    page.placeholders.check_all_used()
    segment, segments = _segment(request)
    if page.start is not None and _segment_of(page.start[0], segments) != segment:
        raise Invalid("The provided starting key is not in the segment that is scanned")
    return page.read(_scanned(page, segment, segments))


@attrs.define
class _Page:
    """One page of a query or scan, up to where it is read."""

    storage: Storage
    request: Json
    by_index: bool
    consistent: bool
    view: TableState
    placeholders: Placeholders
    condition: Condition | None
    paths: tuple[Path, ...] | None
    limit: int | None
    count_only: bool
    start: tuple[str, Entry] | None

    @property
    def sort_name(self) -> str:
        return table.DATA_TYPE if self.by_index else table.RECORD_KEY

    def check_filter(self) -> None:
        """A query's filter may not look at the keys of what it reads."""
        if self.condition is not None:
            names = top_names(self.condition, self.placeholders)
            for name in (table.USER_ID, self.sort_name):
                if name in names:
                    raise Invalid(
                        "Filter Expression can only contain non-primary key attributes:"
                        f" Primary key attribute: {name}"
                    )

    def read(self, entries: Iterator[tuple[str, Entry]]) -> Json:
        """Read to the limit or to the size of a page, then filter what was read.

        A page that ends so names its last key, even if nothing follows.
        """
        found: list[Item] = []
        size = scanned = 0
        last: tuple[str, Entry] | None = None
        for user_id, entry in entries:
            key = (user_id, entry.record_key)
            item = self.view.items[key]
            scanned += 1
            size += self.view.sizes[key]
            if self.condition is None or self.condition.holds(item, self.placeholders):
                found.append(item)
            if scanned == self.limit or size >= self.storage.page_bytes:
                last = (user_id, entry)
                break
        return self._body(found, scanned, size, last)

    def _body(
        self, found: list[Item], scanned: int, size: int, last: tuple[str, Entry] | None
    ) -> Json:
        body: Json = {"Count": len(found), "ScannedCount": scanned}
        if not self.count_only:
            body["Items"] = [_projected(item, self.paths) for item in found]
        if last is not None:
            body["LastEvaluatedKey"] = _start_key(*last, by_index=self.by_index)
        units = read_units(size, consistent=self.consistent)
        consumed = Consumed(0.0, units) if self.by_index else Consumed(units)
        return _with_capacity(
            body,
            reported(consumed, self.request, self.storage.table_name, by_index=self.by_index),
        )


def _page(storage: Storage, request: Json) -> _Page:
    check_table(request.get("TableName"), storage.table_name)
    index = request.get("IndexName")
    if index not in (None, table.INDEX_NAME):
        raise Invalid(f"The table does not have the specified index: {index}")
    consistent = flag(request, "ConsistentRead")
    if index and consistent:
        raise Invalid("Consistent reads are not supported on global secondary indexes")
    placeholders = Placeholders.of(request, _PAGED_EXPRESSIONS)
    filter_text = request.get("FilterExpression")
    projection = request.get("ProjectionExpression")
    count_only = _selection(request, projection is not None) == "COUNT"
    return _Page(
        storage=storage,
        request=request,
        by_index=index is not None,
        consistent=consistent,
        view=storage.view(consistent=consistent),
        placeholders=placeholders,
        condition=None if filter_text is None else bound_condition(filter_text, placeholders),
        paths=None if projection is None else bound_projection(projection, placeholders),
        limit=positive(request, "Limit"),
        count_only=count_only,
        start=_start(request.get("ExclusiveStartKey"), by_index=index is not None),
    )


_PAGED_EXPRESSIONS: Final = ("KeyConditionExpression", "FilterExpression", "ProjectionExpression")


def _projection(request: Json) -> tuple[Path, ...] | None:
    placeholders = Placeholders.of(request, ("ProjectionExpression",))
    text = request.get("ProjectionExpression")
    if text is None:
        return None
    paths = bound_projection(text, placeholders)
    placeholders.check_all_used()
    return paths


def _projected(item: Item, paths: tuple[Path, ...] | None) -> Item:
    return item if paths is None else project(item, paths)


def _selection(request: Json, projected: bool) -> str:
    default = "SPECIFIC_ATTRIBUTES" if projected else "ALL_ATTRIBUTES"
    selection = one_of({"Select": default} | request, "Select", _SELECTIONS)
    if projected and selection != "SPECIFIC_ATTRIBUTES":
        raise Invalid(f"Cannot specify the ProjectionExpression when choosing to get {selection}")
    if selection == "SPECIFIC_ATTRIBUTES" and not projected:
        raise Invalid("Must specify the ProjectionExpression when choosing SPECIFIC_ATTRIBUTES")
    if selection == "ALL_PROJECTED_ATTRIBUTES" and not request.get("IndexName"):
        raise Invalid("ALL_PROJECTED_ATTRIBUTES can be used only when querying an index")
    return selection


def _start(value: object, *, by_index: bool) -> tuple[str, Entry] | None:
    if value is None:
        return None
    names = (*KEY_NAMES, table.DATA_TYPE) if by_index else KEY_NAMES
    user_id, record_key = key_of(value, names=names)
    if not by_index:
        return user_id, table_entry(record_key)
    return user_id, index_entry(normalised_item(value)[table.DATA_TYPE]["S"], record_key)


def _start_key(user_id: str, entry: Entry, *, by_index: bool) -> Item:
    key: Item = {table.USER_ID: {"S": user_id}, table.RECORD_KEY: {"S": entry.record_key}}
    if by_index:
        key[table.DATA_TYPE] = {"S": entry.sort}
    return key


def _key_condition(condition: Condition, page: _Page) -> tuple[str, Seek]:
    """The user of a query and the range of sort keys, from its key condition."""
    conditions = condition.conditions if isinstance(condition, Every) else (condition,)
    found: dict[str, Condition] = {}
    for each in conditions:
        name = _key_name(each, page)
        if name in found:
            raise Invalid("KeyConditionExpressions must only contain one condition per key")
        found[name] = each
    user = found.pop(table.USER_ID, None)
    if (
        not isinstance(user, Compare)
        or user.operator != "="
        or not found.keys() <= {page.sort_name}
    ):
        raise Invalid("Query condition missed key schema element, or is not supported")
    sort = found.get(page.sort_name)
    [user_id] = _key_values(table.USER_ID, user.operands(), page.placeholders)
    return user_id, _everything if sort is None else _seek(sort, page)


def _key_name(condition: Condition, page: _Page) -> str:
    if not isinstance(condition, Compare | Between | BeginsWith):
        raise Invalid("Invalid operator used in KeyConditionExpression")
    paths = [operand for operand in condition.operands() if isinstance(operand, PathOperand)]
    if len(paths) != 1:
        raise Invalid("A key condition compares one key attribute with values")
    path = paths[0].resolve(page.placeholders)
    if len(path) != 1:
        raise Invalid("Key attributes must be scalars; list and map access are not allowed")
    return str(path[0])


def _seek(condition: Condition, page: _Page) -> Seek:
    values = _key_values(page.sort_name, condition.operands(), page.placeholders)
    if isinstance(condition, Between):
        if not isinstance(condition.operand, PathOperand):
            raise Invalid("A key condition has its attribute before BETWEEN")
        low, high = values
        return lambda entries: (_before(entries, low), _behind(entries, high))
    [value] = values
    if isinstance(condition, BeginsWith):
        if not isinstance(condition.operand, PathOperand):
            raise Invalid("A key condition has its attribute first in begins_with")
        return lambda entries: _prefixed(entries, value)
    assert isinstance(condition, Compare)
    operator = condition.operator
    if isinstance(condition.left, ValueOperand):
        operator = _MIRRORED.get(operator, operator)
    if operator not in _SEEKS:
        raise Invalid(f"Invalid operator used in KeyConditionExpression: {operator}")
    return lambda entries: _SEEKS[operator](entries, value)


def _key_values(
    name: str, operands: Iterator[Operand], placeholders: Placeholders
) -> tuple[str, ...]:
    values = []
    for operand in operands:
        if isinstance(operand, ValueOperand):
            value = placeholders.value(operand.placeholder)
            check_key_attribute({name: value}, name)
            values.append(value["S"])
        elif not isinstance(operand, PathOperand):
            raise Invalid("KeyConditionExpressions cannot contain nested operations")
    return tuple(values)


def _everything(entries: Sequence[Entry]) -> tuple[int, int]:
    return 0, len(entries)


def _before(entries: Sequence[Entry], value: str) -> int:
    return bisect_left(entries, value, key=lambda entry: entry.sort)


def _behind(entries: Sequence[Entry], value: str) -> int:
    return bisect_right(entries, value, key=lambda entry: entry.sort)


def _prefixed(entries: Sequence[Entry], prefix: str) -> tuple[int, int]:
    first = _before(entries, prefix)
    past = bisect_left(entries, True, lo=first, key=lambda entry: not entry.sort.startswith(prefix))
    return first, past


_SEEKS: Final[dict[str, Callable[[Sequence[Entry], str], tuple[int, int]]]] = {
    "=": lambda entries, value: (_before(entries, value), _behind(entries, value)),
    "<": lambda entries, value: (0, _before(entries, value)),
    "<=": lambda entries, value: (0, _behind(entries, value)),
    ">": lambda entries, value: (_behind(entries, value), len(entries)),
    ">=": lambda entries, value: (_before(entries, value), len(entries)),
}
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _segment(request: Json) -> tuple[int, int]:
    segment, segments = request.get("Segment"), request.get("TotalSegments")
    if segment is None and segments is None:
        return 0, 1
    if not isinstance(segment, int) or not isinstance(segments, int):
        raise Invalid("Segment and TotalSegments are needed together")
    if not 1 <= segments <= MAX_SEGMENTS or not 0 <= segment < segments:
        raise Invalid("Segment is zero-based and must be less than TotalSegments")
    return segment, segments


def _segment_of(user_id: str, segments: int) -> int:
    return crc32(user_id.encode()) % segments


def _scanned(page: _Page, segment: int, segments: int) -> Iterator[tuple[str, Entry]]:
    start_user, start = page.start or (None, None)
    behind = None if start_user is None else _scan_order(start_user)
    for user_id in page.view.users():
        if _segment_of(user_id, segments) != segment:
            continue
        entries = page.view.entries(user_id, by_index=page.by_index)
        if behind is not None and _scan_order(user_id) < behind:
            continue
        first = bisect_right(entries, start) if user_id == start_user and start else 0
        for entry in entries[first:]:
            yield user_id, entry


def _scan_order(user_id: str) -> tuple[int, str]:
    return crc32(user_id.encode()), user_id


def _served(view: TableState, keys: list[Key], page_bytes: int, keep: int | None) -> set[Key]:
    served: set[Key] = set()
    total = 0
    of_user: dict[str, int] = {}
    for key in keys[:keep]:
        size = view.sizes.get(key, 0)
        read = of_user.get(key[0], 0)
        # The first item is served whatever its size: a reply without any would never end.
        if served and (total + size > MAX_BATCH_GET_BYTES or (read and read + size > page_bytes)):
            break
        served.add(key)
        total += size
        of_user[key[0]] = read + size
    return served


def _with_capacity(body: Json, capacity: Json | None) -> Json:
    return body if capacity is None else body | {"ConsumedCapacity": capacity}


def _with_list(body: Json, capacity: Json | None) -> Json:
    return body if capacity is None else body | {"ConsumedCapacity": [capacity]}
