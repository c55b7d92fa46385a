"""What each failure means: may it be tried again, and may it have been applied?"""

from __future__ import annotations

import socket
import ssl

import pytest
from botocore import exceptions as aws
from servers import meaning

from thrivecalc_models.operations import FATAL, FailureKind, Reason
from thrivecalc_models.transport.failures import classify_error, classify_exception

ENDPOINT = "http://127.0.0.1:1/"


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "Throttling",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "LimitExceededException",
    ],
)
def test_throttled(code):
    """A request that was throttled did nothing and may go again."""
    assert meaning(classify_error(code, 400)) == (FailureKind.THROTTLED, True, False)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InternalServerError", 500),
        ("InternalFailure", 500),
        ("ServiceUnavailable", 503),
        ("ServiceUnavailableException", None),
        ("NeverHeardOfIt", 500),
        ("502", 502),
    ],
)
def test_the_service_failed(code, status):
    """After an error of the service itself nobody knows whether the request was applied."""
    assert meaning(classify_error(code, status)) == (FailureKind.UNAVAILABLE, True, True)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", FailureKind.NO_TABLE),
        ("AccessDeniedException", FailureKind.DENIED),
        ("AccessDenied", FailureKind.DENIED),
        ("ExpiredTokenException", FailureKind.CREDENTIALS),
        ("ExpiredToken", FailureKind.CREDENTIALS),
        ("UnrecognizedClientException", FailureKind.CREDENTIALS),
        ("InvalidSignatureException", FailureKind.CREDENTIALS),
        ("MissingAuthenticationTokenException", FailureKind.CREDENTIALS),
        ("IncompleteSignatureException", FailureKind.CREDENTIALS),
        ("RequestExpired", FailureKind.CREDENTIALS),
        ("SignatureDoesNotMatch", FailureKind.CREDENTIALS),
    ],
)
def test_what_every_further_request_would_meet(code, kind):
    """A missing table, denied access and bad credentials are final, and nothing was applied."""
    failure = classify_error(code, 400)
    assert meaning(failure) == (kind, False, False)
    assert failure.kind in FATAL


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ConditionalCheckFailedException", FailureKind.CONDITION_FAILED),
        ("IdempotentParameterMismatchException", FailureKind.TOKEN_MISMATCH),
        ("ValidationException", FailureKind.INVALID),
        ("ItemCollectionSizeLimitExceededException", FailureKind.INVALID),
        ("NeverHeardOfItException", FailureKind.INVALID),
    ],
)
def test_refused(code, kind):
    """A request that was refused did nothing and would be refused again."""
    assert meaning(classify_error(code, 400)) == (kind, False, False)


@pytest.mark.parametrize(
    "code", ["TransactionConflictException", "ReplicatedWriteConflictException"]
)
def test_in_the_way_of_a_transaction(code):
    """A write that met a transaction did nothing and may go again."""
    assert meaning(classify_error(code, 400)) == (FailureKind.TRANSACTION_CONFLICT, True, False)


def test_a_transaction_in_progress():
    """While our own transaction is in progress it may have been applied, and is asked for again."""
    failure = classify_error("TransactionInProgressException", 400)
    assert meaning(failure) == (FailureKind.TRANSACTION_IN_PROGRESS, True, True)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["None", "TransactionConflict"], (FailureKind.TRANSACTION_CONFLICT, True, False)),
        (["ThrottlingError", "None"], (FailureKind.THROTTLED, True, False)),
        (["ProvisionedThroughputExceeded"], (FailureKind.THROTTLED, True, False)),
        (["TransactionConflict", "ThrottlingError"], (FailureKind.THROTTLED, True, False)),
        (
            ["TransactionConflict", "ConditionalCheckFailed"],
            (FailureKind.TRANSACTION_CANCELLED, False, False),
        ),
        (["ValidationError", "None"], (FailureKind.TRANSACTION_CANCELLED, False, False)),
        ([], (FailureKind.TRANSACTION_CANCELLED, False, False)),
    ],
)
def test_a_cancelled_transaction(codes, expected):
    """A cancelled transaction may go again only if all its reasons pass by themselves."""
    reasons = [Reason(code=code) for code in codes]
    failure = classify_error("TransactionCanceledException", 400, reasons=reasons)
    assert meaning(failure) == expected
    assert failure.reasons == tuple(reasons)


def test_an_unknown_error_without_a_status():
    """An error nobody has heard of, with no status, is never called not applied."""
    failure = classify_error("Mystery", None)
    assert meaning(failure) == (FailureKind.UNAVAILABLE, False, True)


@pytest.mark.parametrize(
    "error",
    [
        aws.EndpointConnectionError(endpoint_url=ENDPOINT, error="refused"),
        aws.ConnectTimeoutError(endpoint_url=ENDPOINT),
        aws.ProxyConnectionError(proxy_url=ENDPOINT),
        ConnectionRefusedError(),
        socket.gaierror(),
    ],
)
def test_never_sent(error):
    """A request that found no connection was not applied, and may go again."""
    assert meaning(classify_exception(error)) == (FailureKind.UNAVAILABLE, True, False)


@pytest.mark.parametrize(
    "error",
    [
        aws.ReadTimeoutError(endpoint_url=ENDPOINT),
        aws.ConnectionClosedError(endpoint_url=ENDPOINT),
        aws.HTTPClientError(error="something"),
        aws.SSLError(endpoint_url=ENDPOINT, error="bad record"),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
def test_lost_on_the_way(error):
    """When a connection breaks under a request nobody knows whether it was applied."""
    assert meaning(classify_exception(error)) == (FailureKind.UNAVAILABLE, True, True)


@pytest.mark.parametrize(
    "error",
    [
        aws.NoCredentialsError(),
        aws.PartialCredentialsError(provider="env", cred_var="x"),
        aws.CredentialRetrievalError(provider="x", error_msg="y"),
        aws.ProfileNotFound(profile="x"),
    ],
)
def test_no_credentials(error):
    """Without credentials nothing was sent, and nothing further is started."""
    assert meaning(classify_exception(error)) == (FailureKind.CREDENTIALS, False, False)


def test_a_certificate_that_is_not_trusted():
    """A certificate that does not verify is final, and nothing was sent."""
    error = aws.SSLError(endpoint_url=ENDPOINT, error="x")
    error.__context__ = ssl.SSLCertVerificationError()
    assert meaning(classify_exception(error)) == (FailureKind.UNAVAILABLE, False, False)


def test_an_exception_nobody_expected():
    """An unknown exception is not tried again, and never called not applied."""
    failure = classify_exception(RuntimeError("what?"))
    assert meaning(failure) == (FailureKind.UNAVAILABLE, False, True)
    assert failure.code == "RuntimeError"


def test_an_error_reply_is_told_whole():
    """Of an error reply, code, status, request id, reasons and stored items all arrive."""
    response = {
        "Error": {"Code": "TransactionCanceledException", "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "r-1"},
        "CancellationReasons": [
            {"Code": "None"},
            {"Code": "ConditionalCheckFailed", "Item": {"b": {"B": b"\x00"}}},
        ],
    }
    failure = classify_exception(aws.ClientError(response, "TransactWriteItems"))
    assert (failure.status, failure.request_id, failure.message) == (400, "r-1", "no")
    assert failure.reasons == (
        Reason(code="None"),
        Reason(code="ConditionalCheckFailed", item={"b": {"B": "AA=="}}),
    )
