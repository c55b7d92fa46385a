"""Plan the requests for a set of pending writes: the fewest that DynamoDB's operations allow."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import attrs

from thrivecalc_models.operations import (
    BatchStatements,
    BatchWrite,
    Call,
    DeleteItem,
    Operation,
    PutItem,
    TransactWrite,
    UpdateItem,
    WriteOperation,
    has_fitting_text,
    statement_request,
)
from thrivecalc_models.value import frozen, internal
from thrivecalc_models.wire import (
    Json,
    WriteTime,
    describe,
    encoded_size,
    encodes_within,
    most_encoded,
)

BATCH_WRITES = 25
"""Source: BatchWriteItem and BatchExecuteStatement, Amazon DynamoDB API Reference."""

BATCH_BYTES = 16 * 1024 * 1024 - 1024
"""Bytes of JSON that the entries of a BatchWriteItem may take: 16 MB, less what is around them.

They count as they travel: 25 items of 400 KB are below it, but not where their text is full of
quotation marks or control characters.
"""


class Intent(enum.Enum):
    """What a pending write is for; it decides how it is sent and what a failure means."""

    ADD_FRESH = "add under a generated id"
    ADD = "add under a given id"
    PUT = "put"
    UPDATE = "update"
    DELETE = "delete if unchanged"
    DELETE_ANY = "delete in any case"
    CHECK = "check"


@internal(kw_only=True)
class PendingWrite:
    """One pending write of one key.

    `maybe` says that an earlier try may have been applied. `after` is the whole item that the write
    produces, None for deletes and checks, and if it is not known.

    `call` is the request if PynamoDB made it, with stamps as of `at`. `write` is then its effect:
    it has no condition, and sets nothing if the result depends on what is stored. A write that is
    not `repeatable` is never sent again once it may have been applied.
    """

    key: str
    intent: Intent
    write: WriteOperation
    exist_ok: bool = False
    maybe: bool = False
    after: dict[str, dict[str, object]] | None = attrs.field(default=None, repr=False)
    call: Call | None = None
    at: WriteTime | None = None
    repeatable: bool = True

    def operation(self) -> PutItem | UpdateItem | DeleteItem | Call:
        """The request of this write alone."""
        if self.call is not None:
            return self.call
        assert isinstance(self.write, PutItem | UpdateItem | DeleteItem)
        return self.write

    @property
    def batchable(self) -> bool:
        """Whether it may go into a BatchWriteItem, which takes no conditions.

        A generated add that may have been applied must not: another writer may have changed the
        item since, so it is sent again only if the key is free.
        """
        if self.intent is Intent.ADD_FRESH:
            return not self.maybe
        return self.call is None and self.intent in (Intent.PUT, Intent.DELETE_ANY)

    @property
    def is_lockable(self) -> bool:
        """Whether it may go, under its condition, into a BatchExecuteStatement.

        Sent again after a lost reply it is judged by the stored item, as if it had gone alone.
        """
        return self.call is None and self.intent in (Intent.UPDATE, Intent.DELETE)


@internal
class Group:
    """The writes that travel in one request."""

    writes: tuple[PendingWrite, ...]

    def operation(self) -> Operation:
        if len(self.writes) == 1:
            return self.writes[0].operation()
        if self.writes[0].is_lockable:
            return BatchStatements(writes=tuple(map(statement_write, self.writes)))
        return BatchWrite(writes=tuple(map(batch_entry, self.writes)))


def batch_entry(pending: PendingWrite) -> PutItem | DeleteItem:
    """The write as an entry of a batch, without its condition."""
    assert isinstance(pending.write, PutItem | DeleteItem)
    return pending.write


def statement_write(pending: PendingWrite) -> UpdateItem | DeleteItem:
    """The write that becomes a statement, with its condition."""
    assert isinstance(pending.write, UpdateItem | DeleteItem)
    return pending.write


def groups_of(
    writes: Sequence[PendingWrite],
    *,
    most: int = BATCH_WRITES,
    statements_on: str | None = None,
) -> list[Group]:
    """Batches first, then single puts, statements, updates and deletes, each as first queued.

    A batch has at most `most` entries, and no more bytes than a request may have. With the name of
    their table in `statements_on`, conditional updates and deletes share requests as statements.
    """
    if len(writes) == 1:
        return [Group(tuple(writes))] if writes[0].intent is not Intent.CHECK else []
    batches = _shared([(w, batch_entry(w).write_request()) for w in writes if w.batchable], most)
    left = _without(writes, batches)
    groups = [*batches, *_singles(left, PutItem)]
    if statements_on is not None:
        statements = _shared(_statements(left, statements_on), most)
        groups += statements
        left = _without(left, statements)
    return [*groups, *_singles(left, UpdateItem), *_singles(left, DeleteItem)]


def _singles(writes: Sequence[PendingWrite], kind: type) -> list[Group]:
    return [Group((write,)) for write in writes if isinstance(write.write, kind)]


def _without(writes: Sequence[PendingWrite], groups: list[Group]) -> list[PendingWrite]:
    grouped = {write.key for group in groups for write in group.writes}
    return [write for write in writes if write.key not in grouped]


_Entry = tuple[PendingWrite, Json]
"""A write, and its JSON as an entry of a request."""


def _statements(writes: Sequence[PendingWrite], table_name: str) -> list[_Entry]:
    """Updates and then deletes that fit a statement; a longer one goes as itself."""
    entries = [
        (write, statement_request(statement_write(write), table_name))
        for kind in (UpdateItem, DeleteItem)
        for write in writes
        if write.is_lockable and isinstance(write.write, kind)
    ]
    return [(write, entry) for write, entry in entries if has_fitting_text(entry)]


def _shared(entries: list[_Entry], most: int) -> list[Group]:
    """The groups of two or more that share a request; what is left over goes as itself."""
    chunks = [
        chunk
        for start in range(0, len(entries), most)
        for chunk in _cut_to_size(entries[start : start + most])
    ]
    return [Group(tuple(chunk)) for chunk in chunks if len(chunk) > 1]


def _cut_to_size(entries: list[_Entry]) -> list[list[PendingWrite]]:
    """A chunk, cut where its JSON would be longer than a request may be."""
    encoded = [write.write.encoded for write, _ in entries if isinstance(write.write, PutItem)]
    known = [each for each in encoded if each is not None]
    rest = entries if len(known) < len(entries) else []
    if encodes_within([entry for _, entry in rest], BATCH_BYTES - most_encoded(known)):
        return [[write for write, _ in entries]]
    chunks: list[list[PendingWrite]] = []
    left = 0
    for write, entry in entries:
        size = encoded_size(entry) + len(", ")
        if size > left:
            chunks.append([])
            left = BATCH_BYTES
        chunks[-1].append(write)
        left -= size
    return chunks


@frozen
class PlannedRequest:
    """One request of a plan: DynamoDB's name for it, and the record keys it is about."""

    operation: str
    keys: tuple[str, ...]


@frozen
class Plan:
    """The requests that a commit would send, in order. Printing it shows a table."""

    requests: tuple[PlannedRequest, ...]

    def __len__(self) -> int:
        return len(self.requests)

    def __str__(self) -> str:
        if not self.requests:
            return "nothing to send"
        width = max(len(request.operation) for request in self.requests)
        lines = [
            f"{number:>3}  {request.operation:<{width}}  {_shown(request.keys)}"
            for number, request in enumerate(self.requests, 1)
        ]
        keys = sum(len(request.keys) for request in self.requests)
        total = f"{len(self.requests)} request{'s' * (len(self.requests) != 1)}"
        return "\n".join([*lines, f"{total} for {keys} record{'s' * (keys != 1)}"])


def _shown(keys: tuple[str, ...]) -> str:
    first = ", ".join(describe(key) for key in keys[:3])
    return first if len(keys) <= 3 else f"{first} and {len(keys) - 3} more"


def plan_requests(
    writes: Sequence[PendingWrite], *, statements_on: str | None = None
) -> Iterable[PlannedRequest]:
    """The requests of a commit that is not atomic."""
    for group in groups_of(writes, statements_on=statements_on):
        yield PlannedRequest(group.operation().name, tuple(write.key for write in group.writes))


def plan_transaction(writes: Sequence[PendingWrite]) -> Iterable[PlannedRequest]:
    """The one request of an atomic commit."""
    if writes:
        yield PlannedRequest(TransactWrite.name, tuple(write.key for write in writes))
