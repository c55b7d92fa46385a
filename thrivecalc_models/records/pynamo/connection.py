"""PynamoDB's connection over our driver: its requests and exceptions, our retries.

Messages of exceptions raised here are this library's or AWS's constant texts. The service's own
message may repeat what was sent, so it is kept apart: `error.cause.failure.message`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import botocore.exceptions as aws
from pynamodb.connection.base import Connection, MetaTable
from pynamodb.connection.table import TableConnection
from pynamodb.exceptions import (
    CancellationReason,
    GetError,
    TransactWriteError,
    VerboseClientError,
)

from thrivecalc_models.operations import (
    CONSUMED,
    Call,
    Failure,
    FailureKind,
    Flow,
    Reason,
    Reply,
    consumed_units,
)
from thrivecalc_models.protocol import (
    ServiceFailure,
    pause,
    persist,
    service_error,
)
from thrivecalc_models.records.session import Session
from thrivecalc_models.table import Settings, schema
from thrivecalc_models.value import even_half_made
from thrivecalc_models.wire import StoredItem, with_bytes, with_text

R = TypeVar("R")
Json = dict[str, Any]

_READS = frozenset(
    {
        "GetItem",
        "BatchGetItem",
        "Query",
        "Scan",
        "TransactGetItems",
        "DescribeTable",
        "DescribeTimeToLive",
        "ListTables",
    }
)
_PAGED = ("Query", "Scan")
_WITHOUT_CAPACITY = frozenset(
    {
        "CreateTable",
        "DeleteTable",
        "DescribeTable",
        "DescribeTimeToLive",
        "ListTables",
        "UpdateTable",
        "UpdateTimeToLive",
    }
)


class Entry(dict[str, Any]):
    """An entry of a transaction, with a function that is called at its end.

    `ended` takes whether the transaction was applied, or None if that is unknown.
    """

    def __init__(self, request: Json, ended: Callable[[bool | None], None]) -> None:
        super().__init__(request)
        self.ended = ended


class StoreConnection(Connection):
    """PynamoDB's connection to the one table of a store."""

    def __init__(self, session: Session) -> None:
        super().__init__(region=session.settings.region, host=session.settings.endpoint)
        # Not the session itself: it is the key under which this connection is kept.
        self._settings = session.settings
        self._driver = session.blocking_driver()
        self._policy = session.retry
        self._rng = session.rng
        # Else PynamoDB asks the service for the schema before its first request.
        self.add_meta_table(MetaTable({"TableName": session.settings.table_name} | schema()))

    @even_half_made
    def __repr__(self) -> str:
        return f"StoreConnection<{self._settings.endpoint or self._settings.region}>"

    def dispatch(self, operation_name: str, operation_kwargs: Json) -> Json:
        """Send one operation and return the reply, as PynamoDB does; arguments are never logged."""
        if operation_name not in _WITHOUT_CAPACITY:
            operation_kwargs.setdefault("ReturnConsumedCapacity", "TOTAL")
        call = Call(operation_name, operation_kwargs)
        del operation_kwargs  # a report of an error may show the variables of its frames
        return self.signalling(call.name, lambda: self._make_api_call(call.name, call.parameters))

    def read_many(self, protocol: Flow[list[StoredItem]]) -> list[StoredItem]:
        """Run a protocol that reads, and return its items. Raises GetError."""
        try:
            return self.perform("BatchGetItem", protocol)
        except ServiceFailure as failed:
            cause = self.exception(failed.operation, failed.failure)
        raise GetError(f"Failed to batch get items: {cause}", cause) from cause

    def transact_write_items(
        self,
        condition_check_items: Sequence[Json],
        delete_items: Sequence[Json],
        put_items: Sequence[Json],
        update_items: Sequence[Json],
        client_request_token: str | None = None,
        return_consumed_capacity: str | None = None,
        return_item_collection_metrics: str | None = None,
    ) -> Json:
        """As PynamoDB's own; every record of it learns how the transaction ended."""
        applied: bool | None = None
        try:
            reply = super().transact_write_items(
                condition_check_items,
                delete_items,
                put_items,
                update_items,
                client_request_token,
                return_consumed_capacity,
                return_item_collection_metrics,
            )
            applied = True
        except TransactWriteError as error:
            failure: Failure = vars(error.cause)["failure"]
            applied = None if failure.applied_maybe else False
            raise
        finally:
            for entry in (*delete_items, *put_items, *update_items):
                if isinstance(entry, Entry):
                    entry.ended(applied)
        return reply

    def perform(self, operation: str, protocol: Flow[R]) -> R:
        """Run a protocol and return its result; PynamoDB's signals are sent before and after."""
        return self.signalling(operation, lambda: self._driver.run(protocol))

    def wait(self, seconds: float) -> None:
        """Wait by the driver's clock, which may be a virtual one."""
        self._driver.run(pause(seconds))

    def signalling(self, operation: str, call: Callable[[], R]) -> R:
        """Return what a call returns; PynamoDB's signals are sent before and after it."""
        request_id = uuid.uuid4()
        self.send_pre_boto_callback(  # type: ignore[no-untyped-call]
            operation, request_id, self._settings.table_name
        )
        result = call()
        self.send_post_boto_callback(  # type: ignore[no-untyped-call]
            operation, request_id, self._settings.table_name
        )
        return result

    def _make_api_call(self, operation_name: str, operation_kwargs: Json) -> Json:
        call = Call(operation_name, with_text(operation_kwargs))
        del operation_kwargs
        result = self._driver.run(self._protocol(call))
        if isinstance(result, Reply):
            return _with_units(result.body) if call.name in _PAGED else result.body
        raise self._exception(call, result)

    def _protocol(self, call: Call) -> Flow[Reply | Failure]:
        if call.name == "TransactWriteItems":
            # By its token DynamoDB applies a transaction once, however often it is sent.
            call = Call(call.name, {"ClientRequestToken": str(uuid.uuid4())} | call.parameters)
        twice = _same_twice(call.name, call.parameters)
        return persist(call, self._policy, self._rng, twice=twice)

    def exception(self, operation: str, failure: Failure) -> Exception:
        """Return botocore's exception for a failure, with our message and with `.failure`."""
        return self._exception(Call(operation, {"TableName": self._settings.table_name}), failure)

    def _exception(self, call: Call, failure: Failure) -> Exception:
        if _before_any_reply(failure):
            error = _network_error(failure, self._settings)
            if failure.advice and failure.kind is FailureKind.UNAVAILABLE:
                error.args = (f"{error}: {failure.advice}",)
            vars(error)["response"] = {}  # PynamoDB looks for a code in it, and cannot take None
        else:
            error = self._client_error(call, failure)
        vars(error)["failure"] = failure
        return error

    def _client_error(self, call: Call, failure: Failure) -> Exception:
        response: Json = {
            "Error": {
                "Code": _CODES.get(failure.code, failure.code),
                "Message": _message(call, failure, self._settings),
            },
            "ResponseMetadata": {
                "RequestId": failure.request_id or "",
                "HTTPStatusCode": failure.status,
            },
        }
        if failure.item is not None:
            response["Item"] = with_bytes(failure.item)
        facts = {
            "request_id": failure.request_id or "",
            "table_name": self._get_table_name_for_error_context(call.parameters),
        }
        reasons = [_cancellation_reason(reason) for reason in failure.reasons]
        return VerboseClientError(response, call.name, facts, cancellation_reasons=reasons)


class StoreTable(TableConnection):
    """PynamoDB's table connection to the one table of a store."""

    connection: StoreConnection

    def __init__(self, session: Session) -> None:
        super().__init__(session.settings.table_name)
        self.connection = StoreConnection(session)


_tables: WeakKeyDictionary[Session, StoreTable] = WeakKeyDictionary()


def table_of(session: Session) -> StoreTable:
    """Return the table connection of a session, the same one each time."""
    found = _tables.get(session)
    return _tables.setdefault(session, StoreTable(session)) if found is None else found


def _with_units(body: Json) -> Json:
    """Give a page the capacity that PynamoDB's `rate_limit` needs; some engines report none."""
    capacity = body.get(CONSUMED)
    known = capacity if isinstance(capacity, dict) else {}
    return body | {CONSUMED: known | {"CapacityUnits": consumed_units(body)}}


def _same_twice(operation: str, request: Json) -> bool:
    """Whether a request of PynamoDB's can be sent again after its reply was lost.

    A batch has no conditions, and a transaction its token. The expression of an UpdateItem is not
    looked at here, and it may add.
    """
    if operation in _READS:
        return True
    if operation in ("PutItem", "DeleteItem"):
        return "ConditionExpression" not in request
    return operation in ("BatchWriteItem", "TransactWriteItems")


# --- the exceptions that PynamoDB expects ---------------------------------------------------------


_CODES = {
    "UnprocessedKeys": "ProvisionedThroughputExceededException",
    "UnprocessedItems": "ProvisionedThroughputExceededException",
}
_CONSTANT_TEXTS = {"ConditionalCheckFailedException": "The conditional request failed"}


def _cancellation_reason(reason: Reason) -> CancellationReason | None:
    """A reason in PynamoDB's terms; "None" is the code of an entry that did not fail."""
    if reason.code == "None":
        return None
    return CancellationReason(
        code=reason.code,
        message=_CONSTANT_TEXTS.get(f"{reason.code}Exception"),
        raw_item=with_bytes(reason.item),
    )


def _message(call: Call, failure: Failure, settings: Settings) -> str:
    if failure.code in _CONSTANT_TEXTS:
        return _CONSTANT_TEXTS[failure.code]
    if failure.kind is FailureKind.TRANSACTION_CANCELLED:
        codes = ", ".join(reason.code for reason in failure.reasons)
        if failure.applied_maybe:  # a key that is taken can be free again
            return (
                "the transaction was cancelled when it was sent again, for these reasons:"
                f" [{codes}]; whether its first request is applied is unknown"
            )
        return f"the transaction was cancelled, nothing was applied; for these reasons: [{codes}]"
    text = str(service_error(call.name, failure, settings, parts=call.parts)).replace(
        "its own words are in .service_message", "its own words are in .cause.failure.message"
    )
    in_doubt = failure.applied_maybe and call.name not in _READS
    return f"{text}; whether it was applied is unknown" if in_doubt else text


def _before_any_reply(failure: Failure) -> bool:
    """Whether the network, or the credential chain, failed before the service said anything."""
    return (
        failure.kind in (FailureKind.UNAVAILABLE, FailureKind.CREDENTIALS)
        and failure.status is None
        and failure.request_id is None
    )


_BY_ENDPOINT: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        aws.EndpointConnectionError,
        aws.ConnectTimeoutError,
        aws.ReadTimeoutError,
        aws.ConnectionClosedError,
    )
}


def _network_error(failure: Failure, settings: Settings) -> Exception:
    code = failure.code
    if failure.kind is FailureKind.CREDENTIALS:
        if code == "NoCredentialsError":
            return aws.NoCredentialsError()  # type: ignore[no-any-return]
        return aws.CredentialRetrievalError(  # type: ignore[no-any-return]
            provider="the credential chain", error_msg=failure.advice or code
        )
    endpoint = settings.endpoint or f"https://dynamodb.{settings.region}.amazonaws.com"
    if "SSL" in code:
        return aws.SSLError(  # type: ignore[no-any-return]
            endpoint_url=endpoint, error="the certificate or the handshake was refused"
        )
    if code in _BY_ENDPOINT:
        cls = _BY_ENDPOINT[code]
    elif not failure.applied_maybe:
        cls = aws.EndpointConnectionError
    else:
        cls = aws.ReadTimeoutError if "Timeout" in code else aws.ConnectionClosedError
    error: Exception = cls(endpoint_url=endpoint)
    return error
