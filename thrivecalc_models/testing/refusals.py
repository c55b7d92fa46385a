"""How the simulated service refuses a request: exceptions inside it, failures outside.

Failures are classified by the same code that classifies those of the real service.
"""

from __future__ import annotations

from typing import Final

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from thrivecalc_models.operations import Failure, Reason
from thrivecalc_models.transport.failures import classify_error, classify_exception
from thrivecalc_models.wire import Item

CONDITION_FAILED: Final = "ConditionalCheckFailed"
VALIDATION_ERROR: Final = "ValidationError"
NO_REASON: Final = "None"

_ENDPOINT: Final = "https://dynamodb.simulated"


class Refusal(Exception):
    """The service refuses a request; `failure` is what the caller receives."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Invalid(Refusal):
    """A request that breaks a rule: nothing of it was applied, and it never will be."""

    def __init__(
        self, message: str, *, code: str = "ValidationException", status: int = 400
    ) -> None:
        super().__init__(classify_error(code, status, message))


class ConditionFailed(Refusal):
    """A condition that does not hold; `item` is what is stored, where that was asked for."""

    def __init__(self, item: Item | None) -> None:
        code, message = "ConditionalCheckFailedException", "The conditional request failed"
        super().__init__(classify_error(code, 400, message, item=item))


NO_TABLE: Final = classify_error("ResourceNotFoundException", 400, "Requested resource not found")
REFUSED_WHOLE: Final = classify_error(
    "ValidationException", 400, "Provided list of item keys contains duplicates"
)
EXPIRED_CREDENTIALS: Final = classify_error(
    "ExpiredTokenException", 400, "The security token included in the request is expired"
)
THROTTLED: Final = classify_error(
    "ProvisionedThroughputExceededException", 400, "The table's throughput was exceeded"
)
TOKEN_MISMATCH: Final = classify_error(
    "IdempotentParameterMismatchException", 400, "The token was used with another payload"
)
TRANSACTION_IN_PROGRESS: Final = classify_error(
    "TransactionInProgressException", 400, "A transaction with this token is in progress"
)
TRANSACTION_CONFLICT: Final = classify_error(
    "TransactionConflictException", 400, "Transaction is ongoing for the item"
)
LOST_REPLY: Final = classify_exception(ConnectionClosedError(endpoint_url=_ENDPOINT))
NO_CONNECTION: Final = classify_exception(
    EndpointConnectionError(endpoint_url=_ENDPOINT, error="simulated")
)


def denied(operation: str) -> Failure:
    """The credentials are valid and may not do this."""
    message = f"User is not authorized to perform: dynamodb:{operation}"
    return classify_error("AccessDeniedException", 400, message)


def server_error(status: int) -> Failure:
    """HTTP 500 or 503: the request may have been applied."""
    code = "ServiceUnavailable" if status == 503 else "InternalServerError"
    return classify_error(code, status, "The server could not complete the request")


def cancelled(reasons: tuple[Reason, ...]) -> Failure:
    """A transaction of which nothing was applied, with a reason for each entry, in order."""
    codes = ", ".join(reason.code for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons [{codes}]"
    return classify_error("TransactionCanceledException", 400, message, reasons=reasons)
