"""Generators without I/O that decide what to send next; a driver runs them."""

from thrivecalc_models.protocol.commit import (
    AtomicWrites,
    CommitReport,
    WriteOutcome,
    WriteStatus,
    commit,
    transact,
)
from thrivecalc_models.protocol.failures import (
    PageError,
    SegmentError,
    ServiceFailure,
    service_error,
)
from thrivecalc_models.protocol.plan import (
    Intent,
    PendingWrite,
    Plan,
    PlannedRequest,
    batch_entry,
    plan_requests,
    plan_transaction,
)
from thrivecalc_models.protocol.reads import (
    ItemPage,
    Segment,
    get_item,
    get_many,
    read_page,
    read_pages,
    scan_segments,
)
from thrivecalc_models.protocol.retry import Backoff, RetryPolicy, full_jitter, pause, persist

__all__ = [
    "AtomicWrites",
    "Backoff",
    "CommitReport",
    "Intent",
    "ItemPage",
    "PageError",
    "PendingWrite",
    "Plan",
    "PlannedRequest",
    "RetryPolicy",
    "Segment",
    "SegmentError",
    "ServiceFailure",
    "WriteOutcome",
    "WriteStatus",
    "batch_entry",
    "commit",
    "full_jitter",
    "get_item",
    "get_many",
    "pause",
    "persist",
    "plan_requests",
    "plan_transaction",
    "read_page",
    "read_pages",
    "scan_segments",
    "service_error",
    "transact",
]
