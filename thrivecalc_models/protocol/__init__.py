"""What to send next: generators without I/O, run by a driver."""

from thrivecalc_models.protocol.commit import Account, Outcome, State, Transaction, commit, transact
from thrivecalc_models.protocol.failures import PageError, ServiceFailure, service_error
from thrivecalc_models.protocol.plan import (
    Intent,
    PendingWrite,
    Plan,
    PlannedRequest,
    plan_requests,
    plan_transaction,
)
from thrivecalc_models.protocol.reads import ItemPage, get_item, get_many, read_page, read_pages
from thrivecalc_models.protocol.retry import Backoff, RetryPolicy, persist
from thrivecalc_models.protocol.tables import ensure_table

__all__ = [
    "Account",
    "Backoff",
    "Intent",
    "ItemPage",
    "Outcome",
    "PageError",
    "PendingWrite",
    "Plan",
    "PlannedRequest",
    "RetryPolicy",
    "ServiceFailure",
    "State",
    "Transaction",
    "commit",
    "ensure_table",
    "get_item",
    "get_many",
    "persist",
    "plan_requests",
    "plan_transaction",
    "read_page",
    "read_pages",
    "service_error",
    "transact",
]
