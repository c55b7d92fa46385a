"""A DynamoDB table in memory, in virtual time, where every fault can be made to happen.

    table = SimulatedTable()
    table.fail_next(LoseReply(applied=True), operation="UpdateItem")
    store = simulated_store(table)

It stands where a transport does and answers as DynamoDB does for one table with `DataTypeIndex`:
the rules of keys, items, expressions, batches, transactions, pages and capacity are AWS's. The same
requests and faults always give the same replies. Nothing sleeps.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from thrivecalc_models import table
from thrivecalc_models.operations import Failure, Reason, Reply, Result
from thrivecalc_models.table import (
    DATA_TYPE,
    DEFAULT_TABLE_NAME,
    INDEX_NAME,
)
from thrivecalc_models.testing import faults as fault_kinds
from thrivecalc_models.testing.faults import Fault, Schedule, concerns
from thrivecalc_models.testing.reads import (
    batch_get_item,
    get_item,
    query,
    scan,
    transact_get_items,
)
from thrivecalc_models.testing.refusals import (
    EXPIRED_CREDENTIALS,
    LOST_REPLY,
    NO_CONNECTION,
    NO_REASON,
    NO_TABLE,
    REFUSED_WHOLE,
    THROTTLED,
    TRANSACTION_CONFLICT,
    TRANSACTION_IN_PROGRESS,
    Invalid,
    Refusal,
    cancelled,
    denied,
    server_error,
)
from thrivecalc_models.testing.requests import (
    KEY_NAMES,
    check_index_key,
    check_parameters,
    check_table,
    stored_item,
)
from thrivecalc_models.testing.state import Key, Storage
from thrivecalc_models.testing.statements import (
    NO_ERRORS,
    THROTTLED_STATEMENT,
    StatementErrors,
    batch_execute_statement,
    keys_of_statement,
)
from thrivecalc_models.testing.values import copied
from thrivecalc_models.testing.writes import (
    Tokens,
    batch_write_item,
    delete_item,
    put_item,
    transact_write_items,
    update_item,
)
from thrivecalc_models.transport import ReplyBody, Transport
from thrivecalc_models.transport.process import PerProcess
from thrivecalc_models.value import frozen
from thrivecalc_models.wire import Item, Json
from thrivecalc_models.wire.json_text import decode, encode

START: Final = datetime(2025, 1, 7, 12, 30, tzinfo=UTC)

_WRITES: Final = frozenset(
    {
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "BatchExecuteStatement",
        "TransactWriteItems",
    }
)


@frozen(kw_only=True)
class LoggedRequest:
    """One request as it was sent, and the reply to its sender: None if it was interrupted."""

    number: int
    operation: str
    request: Json
    result: Result | None


@attrs.define
class _Planned:
    fault: Fault
    operation: str | None
    times: int | None

    def meets(self, operation: str) -> bool:
        return self.operation in (None, operation) and concerns(self.fault, operation)


@attrs.frozen
class _OnItsWay:
    due: int
    operation: str
    request: Json


class SimulatedTable(Transport):
    """One table behind the `Transport` seam. Requests are numbered from 1.

    `faults` is a schedule: a mapping from request number to fault, or a function of number,
    operation and request; it comes before `fail_next`, and that before `fail_always`. `page_bytes`
    is what a query reads before it filters, `latency` how many virtual seconds a request takes.
    With `stale_reads=n`, reads of the index and eventually consistent ones see the table as it was
    n writes ago. Without `shows_stored` no item comes with a statement whose condition failed, as
    on some engines. `stores` counts the stores that were made on it.
    """

    name = "simulated"

    def __init__(
        self,
        *,
        table_name: str = DEFAULT_TABLE_NAME,
        page_bytes: int = 1024 * 1024,
        stale_reads: int = 0,
        shows_stored: bool = True,
        latency: float = 0.005,
        start: datetime = START,
        faults: Mapping[int, Fault] | Schedule | None = None,
    ) -> None:
        self._storage = Storage(table_name, page_bytes, stale_reads)
        self._tokens = Tokens()
        self._lock = PerProcess(threading.RLock)  # OtherWriter sends from within a request
        self.latency = latency
        self.shows_stored = shows_stored
        self.now = 0.0
        self.stores = 0
        self.log: list[LoggedRequest] = []
        self.faults: Mapping[int, Fault] | Schedule = {} if faults is None else faults
        self._next_faults: deque[_Planned] = deque()
        self._lasting_faults: list[_Planned] = []
        self._on_their_way: list[_OnItsWay] = []
        self._overtaken: list[tuple[str, Json]] = []
        self._number = 0
        self._others_turn = False
        self.set_clock(start)

    # A transport

    def send(self, operation: str, body: bytes) -> bytes | Failure:
        """Answer one request, as `answer` does, with the body of the reply or a failure."""
        return _returned(self.answer(operation, decode(body)))

    def answer(self, operation: str, request: Json) -> Result:
        """Perform a request, or whatever fault is due instead. The reply is the caller's.

        Raises only for `Interrupt`. What `OtherWriter` sends is performed at once: it has no
        number, meets no fault, takes no time and is not in the log.
        """
        with self._lock.get():
            if self._others_turn:
                return _copy_of(self._performed(operation, request))
            request = copied(request)  # the log keeps what was sent, though the caller changes it
            self._number += 1
            number = self._number
            self.now += self.latency
            # What is due comes in before this request; what this overtakes, before the next one.
            self._deliver(number)
            self._overtake(number, operation, request)
            result: Result | None = None
            try:
                result = self._result(number, operation, request)
            finally:  # an interrupted request was sent, too
                self.log.append(
                    LoggedRequest(
                        number=number, operation=operation, request=request, result=result
                    )
                )
            return _copy_of(result)

    # Virtual time

    def sleep(self, seconds: float) -> None:
        """Let virtual seconds pass."""
        with self._lock.get():
            self.now += max(0.0, seconds)

    def monotonic(self) -> float:
        """Virtual seconds since the start: for what measures durations."""
        return self.now

    def clock(self) -> datetime:
        """The time of day, in UTC: it goes on with virtual time."""
        return self._clock_set_to + timedelta(seconds=self.now - self._clock_set_at)

    def set_clock(self, time: datetime) -> None:
        """Put the clock forward or back; durations do not notice."""
        if time.tzinfo is None:
            raise ValueError("the clock of a simulated table needs an aware datetime")
        self._clock_set_to = time.astimezone(UTC)
        self._clock_set_at = self.now

    # Faults

    def fail_next(self, fault: Fault, operation: str | None = None, times: int = 1) -> None:
        """Let the next requests fail, or the next of one operation. Several calls queue up."""
        self._next_faults.append(_Planned(fault, operation, times))

    def fail_always(self, fault: Fault, operation: str | None = None) -> None:
        """Let every request fail until `heal`, or every one of an operation."""
        self._lasting_faults.append(_Planned(fault, operation, None))

    def heal(self) -> None:
        """Forget all faults planned. Writes still on their way come in as planned."""
        self.faults = {}
        self._next_faults.clear()
        self._lasting_faults.clear()

    def deliver_late(self) -> None:
        """Perform now all writes that are still on their way."""
        with self._lock.get():
            self._deliver(None)

    # Observation, and what other programs do

    @property
    def table_name(self) -> str:
        """The name that requests give; another is answered as no such table."""
        return self._storage.table_name

    @property
    def page_bytes(self) -> int:
        """Bytes that one page of a query or scan reads at most."""
        return self._storage.page_bytes

    @page_bytes.setter
    def page_bytes(self, size: int) -> None:
        self._storage.page_bytes = size

    @property
    def stale_reads(self) -> int:
        """How many writes behind an eventually consistent read is."""
        return self._storage.stale_reads

    @stale_reads.setter
    def stale_reads(self, writes: int) -> None:
        self._storage.stale_reads = writes

    @property
    def items(self) -> dict[Key, Item]:
        """All items by user id and record key, as they are now; not to be changed."""
        return dict(self._storage.state.items)

    def get(self, user_id: str, record_key: str) -> Item | None:
        """A copy of a stored item, or None."""
        item = self._storage.state.items.get((user_id, record_key))
        return None if item is None else _copied_item(item)

    def put(self, item: Item) -> None:
        """Store an item as another program would, unconditionally.

        Raises ValueError for what DynamoDB would refuse.
        """
        with self._lock.get():
            try:
                key, stored, size = stored_item(item)
                check_index_key(stored)
            except Invalid as refusal:
                raise ValueError(str(refusal)) from None
            self._storage.state.write(key, stored, size, by_request=False)

    def delete(self, user_id: str, record_key: str) -> None:
        """Delete an item as another program would; there may be none."""
        with self._lock.get():
            self._storage.state.write((user_id, record_key), None, 0, by_request=False)

    def sent(self, operation: str | None = None) -> int:
        """How many requests were sent, or how many of one operation."""
        return sum(operation in (None, entry.operation) for entry in self.log)

    def applied_writes(self, record_key: str, *, user_id: str | None = None) -> int:
        """How many writes of requests took effect on a record, of this user or of any.

        The writes of `put`, `delete` and `OtherWriter` do not count; nor does a delete of nothing,
        or a transaction repeated with its token.
        """
        return sum(
            count
            for (user, key), count in self._storage.state.applied.items()
            if key == record_key and user_id in (None, user)
        )

    def versions(self, user_id: str, record_key: str) -> list[Item | None]:
        """Every item there ever was under a key, oldest first; None for a deletion."""
        return list(self._storage.state.versions.get((user_id, record_key), ()))

    # How a request fares

    def _result(self, number: int, operation: str, request: Json) -> Result:
        fault = self._fault(number, operation, request)
        match fault:
            case None:
                return self._performed(operation, request, number=number)
            case fault_kinds.OtherWriter(act):
                self._let_other_write(act)
                return self._performed(operation, request, number=number)
            case fault_kinds.Partial(keep=keep):
                return self._performed(operation, request, number=number, keep=keep)
            case fault_kinds.TransactionConflict(code=code) if operation == _STATEMENTS:
                errors = StatementErrors(codes={0: code})
                return self._performed(operation, request, number=number, errors=errors)
            case fault_kinds.StatementFailed(code=code, at=at, applied=applied):
                errors = StatementErrors(codes={at: code}, applied=applied)
                return self._performed(operation, request, number=number, errors=errors)
            case fault_kinds.Late(after=after):
                if operation in _WRITES:
                    self._on_their_way.append(_OnItsWay(number + after, operation, request))
                return LOST_REPLY
            case fault_kinds.Overtaken():
                if operation in _WRITES:
                    self._overtaken.append((operation, request))
                return LOST_REPLY
            case fault_kinds.Interrupt(applied=applied):
                if applied:
                    self._performed(operation, request)
                raise KeyboardInterrupt
        if getattr(fault, "applied", False):
            self._performed(operation, request)
        failure = _failure(fault, operation, request)
        return failure if failure.status is None else attrs.evolve(failure, request_id=_id(number))

    def _fault(self, number: int, operation: str, request: Json) -> Fault | None:
        schedule = self.faults
        fault = (
            schedule.get(number)
            if isinstance(schedule, Mapping)
            else schedule(number, operation, request)
        )
        if fault is not None:
            # A fault of the schedule is for this request alone: it does not wait for the next.
            return fault if concerns(fault, operation) else None
        for planned in self._next_faults:
            if planned.meets(operation):
                planned.times = (planned.times or 1) - 1
                if planned.times <= 0:
                    self._next_faults.remove(planned)
                return planned.fault
        return next((each.fault for each in self._lasting_faults if each.meets(operation)), None)

    def _let_other_write(self, act: Callable[[SimulatedTable], object]) -> None:
        self._others_turn = True
        try:
            act(self)
        finally:
            self._others_turn = False

    def _overtake(self, number: int, operation: str, request: Json) -> None:
        """A request about the same keys is the retry that what was lost comes after."""
        if not self._overtaken:
            return
        keys = _written_keys(operation, request)
        for each in [each for each in self._overtaken if keys & _written_keys(*each)]:
            self._overtaken.remove(each)
            self._on_their_way.append(_OnItsWay(number + 1, *each))

    def _deliver(self, number: int | None) -> None:
        if number is None:
            self._on_their_way += [_OnItsWay(0, *each) for each in self._overtaken]
            self._overtaken.clear()
        due = [each for each in self._on_their_way if number is None or each.due <= number]
        self._on_their_way = [each for each in self._on_their_way if each not in due]
        for each in due:
            self._performed(each.operation, each.request)

    def _performed(
        self,
        operation: str,
        request: Json,
        *,
        number: int | None = None,
        keep: int | None = None,
        errors: StatementErrors = NO_ERRORS,
    ) -> Result:
        request_id = None if number is None else _id(number)
        try:
            body = self._body(operation, request, keep, errors)
        except Refusal as refusal:
            return attrs.evolve(refusal.failure, request_id=request_id)
        return Reply(body=body, request_id=request_id)

    def _body(
        self, operation: str, request: Json, keep: int | None, errors: StatementErrors
    ) -> Json:
        storage = self._storage
        match operation:
            case "BatchGetItem":
                return batch_get_item(storage, request, keep=keep)
            case "BatchWriteItem":
                return batch_write_item(storage, request, keep=keep)
            case "BatchExecuteStatement":
                if keep is not None:
                    left = range(keep, len(request.get("Statements", ())))
                    errors = StatementErrors(codes=dict.fromkeys(left, THROTTLED_STATEMENT))
                return batch_execute_statement(
                    storage, request, errors=errors, shows_stored=self.shows_stored
                )
            case "TransactWriteItems":
                return transact_write_items(storage, request, self._tokens, self.now)
            case "DescribeTable":
                return self._description(request)
        perform = _OPERATIONS.get(operation)
        if perform is None:
            raise Invalid(f"{operation} is not simulated", code="UnknownOperationException")
        return perform(storage, request)

    def _description(self, request: Json) -> Json:
        check_parameters(request, ("TableName",))
        check_table(request.get("TableName"), self.table_name)
        sizes = self._storage.state.sizes
        indexed = [
            size for key, size in sizes.items() if DATA_TYPE in self._storage.state.items[key]
        ]
        return {"Table": _description(self.table_name, list(sizes.values()), indexed)}


_STATEMENTS: Final = "BatchExecuteStatement"

_OPERATIONS: Final[dict[str, Callable[[Storage, Json], Json]]] = {
    "GetItem": get_item,
    "TransactGetItems": transact_get_items,
    "Query": query,
    "Scan": scan,
    "PutItem": put_item,
    "UpdateItem": update_item,
    "DeleteItem": delete_item,
}


def _written_keys(operation: str, request: Json) -> set[tuple[Any, ...]]:
    """The keys that a write is about, as it names them; none where it is no write."""
    contents: list[Any] = []
    match operation:
        case "BatchExecuteStatement":
            return {key for entry in request["Statements"] for key in keys_of_statement(entry)}
        case "PutItem" | "UpdateItem" | "DeleteItem":
            contents = [request]
        case "BatchWriteItem":
            entries = [entry for part in request["RequestItems"].values() for entry in part]
            contents = [content for entry in entries for content in entry.values()]
        case "TransactWriteItems":
            contents = [part for entry in request["TransactItems"] for part in entry.values()]
    items = [content.get("Item") or content["Key"] for content in contents]
    return {tuple(item.get(name, {}).get("S") for name in KEY_NAMES) for item in items}


def _failure(fault: Fault, operation: str, request: Json) -> Failure:
    match fault:
        case fault_kinds.Throttle():
            return THROTTLED
        case fault_kinds.ServerError(status=status):
            return server_error(status)
        case fault_kinds.Denied():
            return denied(operation)
        case fault_kinds.ExpiredCredentials():
            return EXPIRED_CREDENTIALS
        case fault_kinds.NoTable():
            return NO_TABLE
        case fault_kinds.BatchRefused():
            return REFUSED_WHOLE
        case fault_kinds.Refused():
            return NO_CONNECTION
        case fault_kinds.TransactionInProgress():
            return TRANSACTION_IN_PROGRESS
        case fault_kinds.TransactionConflict(code=code):
            return _conflict(code, operation, request)
        case _:
            return LOST_REPLY


def _conflict(code: str, operation: str, request: Json) -> Failure:
    if not operation.startswith("Transact"):
        return TRANSACTION_CONFLICT
    others = len(request.get("TransactItems", ())) - 1
    return cancelled((Reason(code=code), *[Reason(code=NO_REASON)] * others))


def _copy_of(result: Result) -> Result:
    """What the caller gets is theirs: changing it changes neither the table nor the log."""
    if isinstance(result, Reply):
        return Reply(body=copied(result.body), request_id=result.request_id)
    if result.item is None and not result.reasons:
        return result
    return attrs.evolve(
        result,
        item=copied(result.item),
        reasons=tuple(Reason(code=each.code, item=copied(each.item)) for each in result.reasons),
    )


def _returned(result: Result) -> bytes | Failure:
    if isinstance(result, Reply):
        return ReplyBody(encode(result.body), request_id=result.request_id)
    return result


def _copied_item(item: Item) -> Item:
    copy: Item = copied(item)
    return copy


def _id(number: int) -> str:
    return f"simulated-{number}"


def _description(table_name: str, sizes: list[int], indexed: list[int]) -> Json:
    schema = table.schema()
    (index,) = schema["GlobalSecondaryIndexes"]
    arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{table_name}"
    on_demand = {
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": 0,
        "WriteCapacityUnits": 0,
    }
    return {
        "TableName": table_name,
        "TableArn": arn,
        "TableStatus": "ACTIVE",
        "CreationDateTime": START.timestamp(),
        "AttributeDefinitions": schema["AttributeDefinitions"],
        "KeySchema": schema["KeySchema"],
        "BillingModeSummary": {"BillingMode": schema["BillingMode"]},
        "ProvisionedThroughput": on_demand,
        "ItemCount": len(sizes),
        "TableSizeBytes": sum(sizes),
        "GlobalSecondaryIndexes": [
            {
                **index,
                "IndexArn": f"{arn}/index/{INDEX_NAME}",
                "IndexStatus": "ACTIVE",
                "ProvisionedThroughput": on_demand,
                "ItemCount": len(indexed),
                "IndexSizeBytes": sum(indexed),
            }
        ],
    }
