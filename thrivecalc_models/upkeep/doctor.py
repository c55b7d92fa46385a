"""Diagnose problems between this machine and its table, without changing anything."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import Any, Literal

import attrs
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from thrivecalc_models import table
from thrivecalc_models.errors import (
    AccessDeniedError,
    ConfigurationError,
    ServiceError,
    TableNotFoundError,
    UnavailableError,
)
from thrivecalc_models.operations import Call, Failure, FailureKind, Reply, Result
from thrivecalc_models.protocol import RetryPolicy, persist
from thrivecalc_models.store import DataStore
from thrivecalc_models.table import Settings, resolve_settings
from thrivecalc_models.transport.advice import NOT_CONNECTED, network_advice
from thrivecalc_models.transport.botocore import STAND_IN, make_client, new_session
from thrivecalc_models.transport.configuration import configured
from thrivecalc_models.transport.identity import NONE_FOUND, PROVIDERS, NoCredentials
from thrivecalc_models.upkeep.commands import Commands
from thrivecalc_models.upkeep.table_check import Aspect, check_table
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.wire import Json

RowState = Literal["ok", "trouble", "unknown"]
Clock = Callable[[], datetime]

TIMEOUT = 5.0
SKEW_THAT_MATTERS = 60.0
"""Seconds. AWS refuses signatures five minutes off, and records get their stamps from here."""

PACKAGES = ("thrivecalc-models", "pynamodb", "botocore", "pycurl", "msgspec")

_SOURCES = {
    "table_name": ("table name", "--table", "DYNAMODB_TABLE_NAME"),
    "region": ("region", "--region", "AWS_REGION"),
    "endpoint": ("endpoint", "--endpoint", "AWS_ENDPOINT"),
}


@attrs.frozen
class Row:
    """One thing that was examined, and how to fix it if it is wrong."""

    check: str
    state: RowState
    what: str
    way_out: str = ""


@attrs.frozen
class Diagnosis:
    """All rows, and whether the service answered at all."""

    rows: list[Row]
    reached: bool

    @property
    def troubles(self) -> list[Row]:
        """The rows of what is wrong."""
        return [row for row in self.rows if row.state == "trouble"]


class _Unreachable(Exception):
    """The service does not answer, so nothing further can be examined."""


class _Stop(Exception):
    """Nothing further can be examined; the reason has its row."""


def diagnose(
    given: Mapping[str, str | None], *, clock: Clock = lambda: datetime.now(UTC)
) -> Diagnosis:
    """Examine settings, credentials, endpoint, clock, table, actions and versions, in this order.

    `given` has the arguments for DataStore: table_name, region, endpoint. No request changes
    anything: reads ask for a key that no user has, conditional writes have a condition that
    contradicts itself, and the one write without a condition deletes such a key.
    """
    rows: list[Row] = []
    reached = True
    try:
        for row in _rows(given, clock):
            rows.append(row)
    except _Stop:
        pass
    except ConfigurationError as error:  # one that only a request could find
        rows.append(_trouble("settings", error))
    except _Unreachable:
        reached = False
    rows.append(_versions())
    return Diagnosis(rows, reached)


def _rows(given: Mapping[str, str | None], clock: Clock) -> Iterator[Row]:
    try:
        settings = configured(resolve_settings(**given))  # type: ignore[arg-type]
    except ConfigurationError as error:
        yield _trouble("settings", error)
        raise _Stop from error
    yield from _settings(settings, given)
    url, row = _credentials(settings)
    yield row
    if url is None:
        raise _Stop
    yield from _reach(settings, url, clock)
    if row.state == "trouble":
        raise _Stop
    retry = RetryPolicy(attempts=2, deadline=TIMEOUT)
    with DataStore(**given, timeout=TIMEOUT, retry=retry) as store:  # type: ignore[arg-type]
        yield Row("transport", "ok", store.transport)
        yield from _table(WholeTable(store))
        yield from _actions(store)


def _trouble(check: str, error: Exception) -> Row:
    """Return the row of an error; what follows its first semicolon or colon is the fix."""
    text = str(error)
    for mark in ("; ", ": "):
        what, found, way_out = text.partition(mark)
        if found:
            return Row(check, "trouble", what, way_out)
    return Row(check, "trouble", text)


# Settings and credentials


def _settings(settings: Settings, given: Mapping[str, str | None]) -> Iterator[Row]:
    for name, (check, argument, variable) in _SOURCES.items():
        if given.get(name):
            source = argument
        elif os.environ.get(variable):
            source = variable
        else:
            source = "default"
        value = getattr(settings, name) or "the real service"
        if name == "endpoint" and source == "default":
            source = settings.endpoint_source or source
        way_out = settings.other_region if name == "region" else ""
        yield Row(check, "ok", f"{value} ({source})", way_out)


def _credentials(settings: Settings) -> tuple[str | None, Row]:
    """Return the URL that requests go to, None if unknown, and the row of the credentials."""
    try:
        _, identity, client = make_client(settings, timeout=TIMEOUT, max_concurrency=1)
        with closing(client):
            url = str(client.meta.endpoint_url)
    except NoCredentials as missing:
        return None, _missing(missing)
    try:
        found = identity.frozen()
    except NoCredentials as missing:
        return url, _missing(missing)
    if found.access_key == STAND_IN:
        return url, Row("credentials", "ok", "none needed at this endpoint; a stand-in is sent")
    provider = PROVIDERS.get(identity.provider or "", identity.provider or "")
    profile = os.environ.get("AWS_PROFILE")
    return url, Row("credentials", "ok", provider + (f", profile {profile}" if profile else ""))


def _missing(missing: NoCredentials) -> Row:
    what, _, way_out = missing.advice.rpartition("; ")
    if missing.advice == NONE_FOUND:
        what = "none found"
    return Row("credentials", "trouble", f"{what} ({missing.code})", way_out)


# Endpoint and clock


def _reach(settings: Settings, url: str, clock: Clock) -> Iterator[Row]:
    """Send one request without a signature: any answer is enough, and has the service's time."""
    try:
        date = _date_of_answer(settings, url)
    except BotoCoreError as error:
        yield Row(
            "reachable",
            "trouble",
            f"{url} does not answer ({type(error).__name__})",
            network_advice(error) or NOT_CONNECTED,
        )
        raise _Unreachable from error
    yield Row("reachable", "ok", f"{url} answers")
    if date is None:
        yield Row("clock", "unknown", "the answer has no date")
    else:
        yield _clock((clock() - date).total_seconds())


def _clock(skew: float) -> Row:
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service"
    if abs(skew) < SKEW_THAT_MATTERS:
        return Row("clock", "ok", text)
    return Row(
        "clock",
        "trouble",
        text,
        "set this machine's clock (timedatectl set-ntp true): signatures five minutes off are"
        " refused, and records get wrong times",
    )


def _date_of_answer(settings: Settings, url: str) -> datetime | None:
    dates: list[str] = []

    def note(response_dict: Json | None, **_: Any) -> None:
        if response_dict is not None:
            dates.append(response_dict["headers"].get("date", ""))

    client = _unsigned_client(settings, url)
    client.meta.events.register("response-received.dynamodb", note)
    with closing(client), suppress(ClientError):  # a refusal is an answer
        client.list_tables(Limit=1)
    try:
        return parsedate_to_datetime(dates[-1]) if dates else None
    except ValueError:
        return None


def _unsigned_client(settings: Settings, url: str) -> Any:
    session = new_session()
    session.set_credentials("none", "none")  # otherwise botocore searches for some
    return session.create_client(
        "dynamodb",
        region_name=settings.region,
        endpoint_url=url,
        config=Config(
            signature_version=UNSIGNED,
            connect_timeout=TIMEOUT,
            read_timeout=TIMEOUT,
            retries={"total_max_attempts": 1},
            proxies={} if settings.stand_in_credentials else None,
        ),
    )


# The table


def _table(whole: WholeTable) -> Iterator[Row]:
    try:
        aspects = check_table(whole)
    except TableNotFoundError as error:
        yield _no_table(whole)
        raise _Stop from error
    except AccessDeniedError as error:
        if error.action is None:
            yield _trouble("credentials", error)
            raise _Stop from error
        yield _not_allowed_to_describe(error.action)
    except ServiceError as error:
        yield _trouble("table", error)
        raise (_Unreachable if isinstance(error, UnavailableError) else _Stop) from error
    else:
        yield from map(_of_aspect, aspects)


def _not_allowed_to_describe(action: str) -> Row:
    return Row(
        "table",
        "unknown",
        f"{action} is denied",
        "a service does not need it; to see the table here, use the policy of `thrivecalc infra"
        " iam-policy --for operator`",
    )


def _of_aspect(aspect: Aspect) -> Row:
    check = f"table: {aspect.name}"
    if aspect.state == "differs":
        what = f"{aspect.found}, and should be {aspect.should}"
        return Row(check, "trouble", what, aspect.fix)
    return Row(check, aspect.state, aspect.found, aspect.fix)


def _no_table(whole: WholeTable) -> Row:
    settings = whole.store.settings
    hint = settings.other_region or (
        "check DYNAMODB_TABLE_NAME, AWS_REGION and the account of the credentials"
    )
    create = Commands(settings).thrivecalc("table", "create")
    return Row(
        "table",
        "trouble",
        f"no table {settings.table_name} in {settings.region}{_tables_there(whole)}",
        f"{hint}; if it is to be there: {create}",
    )


def _tables_there(whole: WholeTable) -> str:
    try:
        names = whole.call("ListTables", Limit=5)["TableNames"]
    except ServiceError:
        return ""
    return f"; there are {', '.join(names)}" if names else "; there is none at all"


# What these credentials may do


@attrs.frozen
class _Probe:
    """A request that changes nothing, which IAM decides by one action."""

    operation: str
    request: Json
    action: str = attrs.field()
    for_service: bool = True
    where: str = ""

    @action.default
    def _same_as_operation(self) -> str:
        return self.operation


def _probes(name: str) -> list[_Probe]:
    """Return the probes of all actions. Their key is random, so that no user has it.

    IAM decides before DynamoDB looks at keys and conditions.
    """
    user = {"S": f"thrivecalc-doctor-{uuid.uuid4()}"}
    key = {table.USER_ID: user, table.RECORD_KEY: {"S": f"probe#{uuid.uuid4()}"}}
    scan = {"TableName": name, "Select": "COUNT", "Limit": 1}
    return [*_reads(name, key), *_writes(name, key), _Probe("Scan", scan, for_service=False)]


def _reads(name: str, key: Json) -> list[_Probe]:
    query: Json = {
        "TableName": name,
        "KeyConditionExpression": "#user = :user",
        "ExpressionAttributeNames": {"#user": table.USER_ID},
        "ExpressionAttributeValues": {":user": key[table.USER_ID]},
        "Limit": 1,
    }
    return [
        _Probe("GetItem", {"TableName": name, "Key": key}),
        _Probe("Query", query),
        _Probe("Query", {**query, "IndexName": table.INDEX_NAME}, where="the index"),
        _Probe("BatchGetItem", {"RequestItems": {name: {"Keys": [key]}}}),
    ]


def _writes(name: str, key: Json) -> list[_Probe]:
    """Writes with a condition that holds for no item, and the deletion of a key that is not stored.

    BatchWriteItem takes no condition.
    """
    never: Json = {
        "TableName": name,
        "ConditionExpression": "attribute_exists(#key) AND attribute_not_exists(#key)",
        "ExpressionAttributeNames": {"#key": table.USER_ID},
    }
    check = {"TransactItems": [{"ConditionCheck": {**never, "Key": key}}]}
    delete = {"RequestItems": {name: [{"DeleteRequest": {"Key": key}}]}}
    return [
        _Probe("PutItem", {**never, "Item": key}),
        _Probe("UpdateItem", {**never, "Key": key}),
        _Probe("DeleteItem", {**never, "Key": key}),
        _Probe("BatchWriteItem", delete),
        _Probe("TransactWriteItems", check, action="ConditionCheckItem"),
    ]


def _actions(store: DataStore) -> Iterator[Row]:
    session = store.session
    commands = Commands(store.settings)
    for probe in _probes(store.table_name):
        call = Call(probe.operation, probe.request)
        result = session.blocking_driver().run(persist(call, session.retry, session.rng))
        if isinstance(result, Failure) and result.kind is FailureKind.NO_TABLE and not probe.where:
            yield _no_table(WholeTable(store))
            raise _Stop
        yield _outcome(probe, result, commands)
        if isinstance(result, Failure) and result.kind is FailureKind.UNAVAILABLE:
            raise _Unreachable


def _outcome(probe: _Probe, result: Result, commands: Commands) -> Row:
    check = f"dynamodb:{probe.action}" + (f" on {probe.where}" if probe.where else "")
    if isinstance(result, Reply) or _condition_failed(result):
        return Row(check, "ok", "allowed")
    if result.kind is FailureKind.DENIED:
        return _denied(check, probe, result, commands)
    if result.kind is FailureKind.THROTTLED:
        return Row(
            check,
            "trouble",
            f"throttled ({result.code})",
            "send less at a time; see the alarms of `thrivecalc infra alarms`, and the table's"
            " limits (aws dynamodb describe-limits)",
        )
    if result.kind is FailureKind.CREDENTIALS:
        return Row(check, "trouble", f"not accepted ({result.code})", "renew the credentials")
    if probe.where and result.kind in (FailureKind.INVALID, FailureKind.NO_TABLE):
        return Row(check, "trouble", "the index is missing", commands.thrivecalc("table", "create"))
    return Row(check, "unknown", f"could not be tried ({result.code})")


def _denied(check: str, probe: _Probe, failure: Failure, commands: Commands) -> Row:
    if not probe.for_service:
        return Row(check, "ok", "denied, as for a service; export, audit and users need it")
    if failure.code.startswith("KMS"):
        return Row(check, "trouble", "the table's key is denied", "allow kms:Decrypt on that key")
    role = commands.thrivecalc("infra", "iam-policy", "--for", "service")
    return Row(
        check,
        "trouble",
        "denied",
        f"give these credentials the policy of `{role}`; those of one user"
        " (dynamodb:LeadingKeys) are denied here, since the probe has another user's key",
    )


def _condition_failed(failure: Failure) -> bool:
    """Whether the condition that cannot hold did not: the action itself was allowed."""
    return failure.kind is FailureKind.CONDITION_FAILED or [
        reason.code for reason in failure.reasons
    ] == ["ConditionalCheckFailed"]


def _versions() -> Row:
    found = [f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return Row("versions", "ok", ", ".join(found))
