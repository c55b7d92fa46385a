"""Convert failures that end a protocol to public errors."""

from __future__ import annotations

from collections.abc import Sequence

from thrivecalc_models.errors import (
    AccessDeniedError,
    ConfigurationError,
    CorruptItemError,
    RefusedError,
    ServiceError,
    TableNotFoundError,
    ThriveCalcError,
    ThrottledError,
    UnavailableError,
)
from thrivecalc_models.operations import Failure, FailureKind, is_too_large
from thrivecalc_models.table import Settings

GUIDE_ACTIONS = frozenset({"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query"})
"""What the web application's guide lets a service do; batches and transactions need more."""

SERVICE_ACTIONS = GUIDE_ACTIONS | {"BatchGetItem", "BatchWriteItem", "ConditionCheckItem"}
"""What a service needs; other actions are for operators of the table."""

STATEMENT_ACTIONS = frozenset({"PartiQLUpdate", "PartiQLDelete"})
"""What a service with `batch_updates` needs besides."""


class ServiceFailure(Exception):
    """A request that failed for good, inside the library; users get `service_error` of it."""

    def __init__(self, operation: str, failure: Failure) -> None:
        super().__init__(operation, failure.code)
        self.operation = operation
        self.failure = failure
        self.where = ""


class PageError(ServiceFailure):
    """A page of a list that could not be read; pages are numbered from 1."""

    def __init__(self, operation: str, failure: Failure, page: int) -> None:
        super().__init__(operation, failure)
        self.page = page
        self.where = f" of page {page}"


class SegmentError(ServiceFailure):
    """A page of one segment of a scan that could not be read; segments are numbered from 0."""

    def __init__(self, operation: str, failure: Failure, segment: int, segments: int) -> None:
        super().__init__(operation, failure)
        self.segment = segment
        self.where = f" of segment {segment} of {segments}"


def service_error(
    operation: str,
    failure: Failure,
    settings: Settings,
    *,
    where: str = "",
    parts: Sequence[str] = (),
) -> ThriveCalcError:
    """Return the public error of a failed request, whose message says what to do.

    `parts` are the operations in a transaction: it needs the permissions for them.
    """
    what = f"{operation}{where}"
    if failure.kind is FailureKind.CLOSED:
        return ConfigurationError(f"{what} was not sent: this store is closed; make another one")
    if failure.kind is FailureKind.NO_TABLE:
        return _with_facts(TableNotFoundError, _no_table(what, settings), operation, failure)
    if failure.kind is FailureKind.DENIED:
        return _denied(what, operation, failure, settings, parts or (operation,))
    if failure.code == ConfigurationError.__name__:
        return ConfigurationError(f"{what} was not sent: {failure.advice}")
    if failure.kind is FailureKind.CREDENTIALS:
        return _with_facts(AccessDeniedError, _credentials(what, failure), operation, failure)
    if failure.kind is FailureKind.THROTTLED:
        return _with_facts(ThrottledError, _throttled(what, failure), operation, failure)
    if failure.kind is FailureKind.NOT_UNDERSTOOD:
        return _with_facts(ServiceError, _not_understood(what, failure), operation, failure)
    if failure.kind is FailureKind.ITEM_OF_ANOTHER:
        return CorruptItemError(
            f"the reply to {what} cannot be used: {failure.advice}; look for a proxy or a cache"
            " between this program and DynamoDB",
            path=failure.path,
        )
    if failure.kind in (FailureKind.INVALID, FailureKind.TOKEN_MISMATCH):
        return _refused(what, operation, failure)
    return _with_facts(UnavailableError, _unavailable(what, failure, settings), operation, failure)


def _with_facts(
    cls: type[ServiceError], message: str, operation: str, failure: Failure
) -> ServiceError:
    return cls(
        message,
        operation=operation,
        code=failure.code,
        request_id=failure.request_id,
        service_message=failure.message,
    )


def _place(settings: Settings) -> str:
    return f"region {settings.region}, endpoint {settings.place}"


def _no_table(what: str, settings: Settings) -> str:
    other = f"; {settings.other_region}" if settings.other_region else ""
    return (
        f"{what} found no table {settings.table_name!r} ({_place(settings)}); check"
        " DYNAMODB_TABLE_NAME, AWS_REGION and AWS_ENDPOINT, or make it with store.create_table()"
        f"{other}"
    )


def _denied(
    what: str, operation: str, failure: Failure, settings: Settings, needed: Sequence[str]
) -> AccessDeniedError:
    actions = [f"dynamodb:{name}" for name in needed]
    extra = [name for name in actions if name.removeprefix("dynamodb:") not in GUIDE_ACTIONS]
    hint = (
        f"; the guide's policy has no {' and no '.join(extra)}, {_who_needs(extra)}"
        if extra
        else ""
    )
    error = AccessDeniedError(
        f"{what} was denied on table {settings.table_name!r} ({_place(settings)}); the credentials"
        f" need {', '.join(actions)} on the table and its index{hint}",
        operation=operation,
        code=failure.code,
        request_id=failure.request_id,
        service_message=failure.message,
    )
    error.action = (extra or actions)[0]
    return error


def _who_needs(actions: list[str]) -> str:
    if all(name.removeprefix("dynamodb:") in SERVICE_ACTIONS for name in actions):
        return "which units of work need"
    if all(name.removeprefix("dynamodb:") in STATEMENT_ACTIONS for name in actions):
        return (
            "which batch_updates=True needs (thrivecalc infra iam-policy --batch-updates); without"
            " that option each update and delete is a request of its own"
        )
    return "which is for looking after the table (thrivecalc infra iam-policy --for operator)"


def _credentials(what: str, failure: Failure) -> str:
    if failure.advice:
        return f"{what} was not sent ({failure.code}): {failure.advice}"
    if "Expired" in failure.code:
        advice = "the credentials have expired; renew them"
    elif failure.code in ("InvalidSignatureException", "RequestExpired", "SignatureDoesNotMatch"):
        advice = "check that this machine's clock is right, then the secret key"
    else:
        advice = "the service does not know these credentials; check the access key"
    return f"{what} was not accepted ({failure.code}): {advice}"


def _throttled(what: str, failure: Failure) -> str:
    return (
        f"{what} was throttled until the tries or the time were spent ({failure.code}); send less"
        f" at a time, raise the table's capacity, or give a longer RetryPolicy"
    )


def _refused(what: str, operation: str, failure: Failure) -> ServiceError:
    if is_too_large(failure):
        message = (
            f"{what} was refused for its length (HTTP {failure.status}), nothing of it was applied;"
            " shorten the item, or split it into several records"
        )
    elif failure.advice:
        message = f"{what} was not sent ({failure.code}): {failure.advice}"
    else:
        message = (
            f"{what} was refused by the service as invalid ({failure.code}); its own words are in"
            " .service_message"
        )
    return _with_facts(RefusedError, message, operation, failure)


def _not_understood(what: str, failure: Failure) -> str:
    return (
        f"the reply to {what} cannot be understood: {failure.advice}; look for a proxy, a load"
        " balancer or a mock between this program and DynamoDB, and try again"
    )


def _unavailable(what: str, failure: Failure, settings: Settings) -> str:
    sent = "" if failure.applied_maybe else "; nothing was applied"
    if failure.advice:
        if failure.again:
            ended = f"got no good answer until the tries or the time were spent ({failure.code})"
        elif failure.applied_maybe:
            ended = f"got no good answer ({failure.code})"
        else:
            ended, sent = f"was not sent ({failure.code})", ""
        return f"{what} {ended}{sent}: {failure.advice} ({_place(settings)})"
    return (
        f"{what} got no good answer until the tries or the time were spent ({failure.code}){sent};"
        f" check the network, the place ({_place(settings)}) and the service's health, and try"
        " again"
    )
