"""Classify every failure of a request: what went wrong, and whether it may have been applied.

Source: "Error handling with DynamoDB" and "Common errors", Amazon DynamoDB Developer Guide and API
reference. Where the truth is unknown the answer is "may have been applied", never "failed".
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import attrs
import botocore.exceptions as aws
from botocore.parsers import ResponseParserError

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations.replies import TOO_LARGE, Failure, FailureKind, Reason
from thrivecalc_models.transport.advice import (
    LATE_PATCH,
    NOT_MADE,
    UNFIT,
    causes_of,
    certificate_advice,
    network_advice,
    reply_advice,
)
from thrivecalc_models.transport.bodies import object_in
from thrivecalc_models.transport.botocore_pool import StaleConnectionError
from thrivecalc_models.transport.checks import GarbledReplyError, check_refusal
from thrivecalc_models.transport.hooks import hook_advice
from thrivecalc_models.transport.identity import NoCredentials
from thrivecalc_models.wire import Item
from thrivecalc_models.wire.binary import with_text


class Verdict(NamedTuple):
    """What kind of failure, whether the same request can succeed later, and what may have been."""

    kind: FailureKind
    again: bool = False
    applied_maybe: bool = False


THROTTLED = Verdict(FailureKind.THROTTLED, again=True)
LOST = Verdict(FailureKind.UNAVAILABLE, again=True, applied_maybe=True)
NEVER_SENT = Verdict(FailureKind.UNAVAILABLE, again=True)
NOT_TRUSTED = UNMADE = Verdict(FailureKind.UNAVAILABLE)
UNEXPLAINED = Verdict(FailureKind.UNAVAILABLE, applied_maybe=True)
CONFLICT = Verdict(FailureKind.TRANSACTION_CONFLICT, again=True)
IN_PROGRESS = Verdict(FailureKind.TRANSACTION_IN_PROGRESS, again=True, applied_maybe=True)
INVALID = Verdict(FailureKind.INVALID)
DENIED = Verdict(FailureKind.DENIED)
CREDENTIALS = Verdict(FailureKind.CREDENTIALS)

_BY_VERDICT = {
    THROTTLED: """Throttling Throttled ThrottledException RequestThrottled RequestLimitExceeded
        ProvisionedThroughputExceeded LimitExceeded TooManyRequests BandwidthLimitExceeded
        PriorRequestNotComplete SlowDown""",
    LOST: "InternalServerError InternalServer InternalFailure ServiceUnavailable RequestTimeout",
    CONFLICT: "TransactionConflict ReplicatedWriteConflict",
    IN_PROGRESS: "TransactionInProgress",
    INVALID: """Validation ValidationError Serialization ItemCollectionSizeLimitExceeded
        ResourceInUse""",
    Verdict(FailureKind.CONDITION_FAILED): "ConditionalCheckFailed",
    Verdict(FailureKind.TOKEN_MISMATCH): "IdempotentParameterMismatch",
    Verdict(FailureKind.NO_TABLE): "ResourceNotFound TableNotFound",
    DENIED: "KMSAccessDenied UnauthorizedOperation",
    CREDENTIALS: """MissingAuthenticationToken IncompleteSignature SignatureDoesNotMatch
        RequestExpired RequestTimeTooSkewed InvalidClientTokenId InvalidAccessKeyId AuthFailure
        NotAuthorized""",
}
_BY_CODE = {code: verdict for verdict, codes in _BY_VERDICT.items() for code in codes.split()}
_BY_PREFIX = {
    "AccessDenied": DENIED,
    "ExpiredToken": CREDENTIALS,
    "UnrecognizedClient": CREDENTIALS,
    "InvalidSignature": CREDENTIALS,
}

# The first row that matches counts: some of these are subclasses of later ones.
_BY_EXCEPTION: tuple[tuple[tuple[type[Exception], ...], Verdict], ...] = (
    (
        (
            aws.EndpointConnectionError,
            aws.ConnectTimeoutError,
            aws.ProxyConnectionError,
            ConnectionRefusedError,
            socket.gaierror,
        ),
        NEVER_SENT,
    ),
    (
        (
            aws.NoCredentialsError,
            aws.PartialCredentialsError,
            aws.CredentialRetrievalError,
            aws.MetadataRetrievalError,
            aws.TokenRetrievalError,
            aws.UnknownCredentialError,
            aws.SSOError,
            getattr(aws, "LoginError", aws.SSOError),  # newer than the oldest botocore we take
            aws.ProfileNotFound,
            aws.ConfigNotFound,
            aws.ConfigParseError,
            NoCredentials,
            ConfigurationError,
        ),
        CREDENTIALS,
    ),
    (
        (
            aws.HTTPClientError,
            aws.ConnectionError,
            aws.ChecksumError,
            aws.IncompleteReadError,
            ResponseParserError,
            GarbledReplyError,
            ConnectionError,
            TimeoutError,
            ssl.SSLError,
        ),
        LOST,
    ),
)

_TRANSACTION_CANCELLED = "TransactionCanceled"
_PASSING_REASONS = {
    "TransactionConflict": CONFLICT,
    "ThrottlingError": THROTTLED,
    "ProvisionedThroughputExceeded": THROTTLED,
    "RequestLimitExceeded": THROTTLED,
}


def classify_error(
    code: str,
    status: int | None,
    message: str = "",
    *,
    item: Item | None = None,
    reasons: Sequence[Reason] = (),
    request_id: str | None = None,
) -> Failure:
    """Classify an error reply of the service by its code and status."""
    kind, again, applied_maybe = _verdict_of_code(code, status, reasons)
    return Failure(
        kind=kind,
        code=code,
        again=again,
        applied_maybe=applied_maybe,
        message=message,
        item=item,
        reasons=tuple(reasons),
        request_id=request_id,
        status=status,
    )


def classify(status: int, body: bytes, *, request_id: str | None = None) -> Failure:
    """Classify an error reply of the service: an HTTP status of 300 or more, and its body."""
    content = object_in(body)
    if content is None and (status >= 500 or status == TOO_LARGE):
        content = {}
    try:
        if content is None:
            raise GarbledReplyError(
                f"HTTP {status} with a body that is no JSON object", advice=reply_advice(status)
            )
        check_refusal(status, content)
    except GarbledReplyError as error:
        return classify_exception(error)
    message = content.get("message") or content.get("Message")
    return classify_error(
        _code_of(content, status),
        status,
        message if isinstance(message, str) else "",
        item=content.get("Item"),
        reasons=[
            Reason(code=reason.get("Code") or "None", item=reason.get("Item"))
            for reason in content.get("CancellationReasons") or ()
        ],
        request_id=request_id,
    )


def classify_response(response: Mapping[str, Any]) -> Failure:
    """The failure in an error response of the form that botocore gives it."""
    details = response.get("Error", {})
    metadata = response.get("ResponseMetadata", {})
    item = response.get("Item")
    message = details.get("Message") or response.get("Message")
    return classify_error(
        str(details.get("Code") or "Unknown"),
        metadata.get("HTTPStatusCode"),
        message if isinstance(message, str) else "",
        item=None if item is None else with_text(item),
        reasons=[_reason(reason) for reason in _listed(response.get("CancellationReasons"))],
        request_id=metadata.get("RequestId"),
    )


def classify_exception(error: Exception) -> Failure:
    """Classify an exception of botocore or of the network as a `Failure`."""
    if isinstance(error, aws.ClientError):
        return classify_response(error.response)
    if isinstance(error, NoCredentials):
        return failure_of(CREDENTIALS, error.code, advice=error.advice)
    if isinstance(error, ConfigurationError):
        return failure_of(CREDENTIALS, type(error).__name__, advice=str(error))
    return failure_of(
        _verdict_of_exception(error),
        type(error).__name__,
        str(error),
        stale=any(isinstance(cause, StaleConnectionError) for cause in causes_of(error)),
        advice=_advice(error),
    )


def not_sent(error: Exception) -> Failure:
    """Classify an exception that came before anything was sent."""
    failure = classify_exception(error)
    if failure.advice or _verdict_of_exception(error) != UNEXPLAINED:
        return attrs.evolve(failure, applied_maybe=False)
    if isinstance(error, aws.BotoCoreError):
        return failure_of(CREDENTIALS, ConfigurationError.__name__, advice=str(error))
    if isinstance(error, (TypeError, ValueError, OverflowError)):
        return failure_of(INVALID, failure.code, failure.message, advice=UNFIT)
    how = LATE_PATCH if isinstance(error, RecursionError) else NOT_MADE
    return failure_of(UNMADE, failure.code, failure.message, advice=how)


def failure_of(
    verdict: Verdict, code: str, message: str = "", *, stale: bool = False, advice: str = ""
) -> Failure:
    """The failure of a request to which the service gave no answer."""
    kind, again, applied_maybe = verdict
    return Failure(
        kind=kind,
        code=code,
        again=again,
        applied_maybe=applied_maybe,
        stale=stale,
        message=message,
        advice=advice,
    )


def _code_of(content: Mapping[str, Any], status: int) -> str:
    """`AccessDeniedException` of `com.amazonaws...#AccessDeniedException`; else the HTTP status."""
    kind = content.get("__type")
    code = kind.partition(":")[0].rpartition("#")[2] if isinstance(kind, str) else ""
    return code or str(status)


def _advice(error: Exception) -> str:
    if isinstance(error, GarbledReplyError):
        return error.advice
    return network_advice(error) or hook_advice(error)


def _verdict_of_code(code: str, status: int | None, reasons: Sequence[Reason]) -> Verdict:
    base = code.removesuffix("Exception")
    if base == _TRANSACTION_CANCELLED:
        return _verdict_of_reasons(reasons)
    if base in _BY_CODE:
        return _BY_CODE[base]
    for prefix, verdict in _BY_PREFIX.items():
        if code.startswith(prefix):
            return verdict
    return _verdict_of_status(status)


def _verdict_of_status(status: int | None) -> Verdict:
    if status is None or status < 400:
        return UNEXPLAINED
    if status == 429:
        return THROTTLED
    return LOST if status >= 500 else INVALID


def _verdict_of_reasons(reasons: Sequence[Reason]) -> Verdict:
    """A transaction can succeed later if its entries only met a conflict or were too fast."""
    codes = {reason.code for reason in reasons} - {"None"}
    if not codes or not codes <= _PASSING_REASONS.keys():
        return Verdict(FailureKind.TRANSACTION_CANCELLED)
    passing = {_PASSING_REASONS[code] for code in codes}
    return THROTTLED if THROTTLED in passing else CONFLICT


def _verdict_of_exception(error: Exception) -> Verdict:
    if certificate_advice(list(causes_of(error))):
        return NOT_TRUSTED
    for kinds, verdict in _BY_EXCEPTION:
        if isinstance(error, kinds):
            return verdict
    return UNEXPLAINED


def _listed(reasons: Any) -> list[Any]:
    return reasons if isinstance(reasons, list) else []


def _reason(reason: Any) -> Reason:
    if not isinstance(reason, dict):
        return Reason(code="Unknown")
    item = reason.get("Item")
    code = str(reason.get("Code") or "None")
    return Reason(code=code, item=None if item is None else with_text(item))
