"""Make backups on demand, and restore one, or a point in time, into a new table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs

from thrivecalc_models.errors import (
    ConfigurationError,
    RefusedError,
    TableNotFoundError,
    ThriveCalcError,
    UnavailableError,
)
from thrivecalc_models.operations import Call, Failure, Flow, Reply, Wait
from thrivecalc_models.protocol import persist, service_error
from thrivecalc_models.protocol.tables import NO_SUCH_OPERATION
from thrivecalc_models.synchronous import drive
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.wire import Json

POLL_SECONDS = 5.0


@attrs.frozen(kw_only=True)
class Backup:
    """A backup as DynamoDB lists it. `size` is in bytes, None while the backup is being made."""

    arn: str
    name: str
    created: datetime
    status: str
    kind: str
    size: int | None


@attrs.frozen
class OfBackup:
    """A restore of what a backup has."""

    arn: str


@attrs.frozen
class OfTime:
    """A restore of what the table had at a time; None is the latest possible."""

    at: datetime | None


Source = OfBackup | OfTime


def create_backup(whole: WholeTable, name: str) -> Backup:
    """Make a backup and wait until it is available.

    Raises ServiceError; an UnavailableError says so if the backup may have been begun.
    """
    parameters = {"TableName": whole.store.table_name, "BackupName": name}
    body = _begin(whole, "CreateBackup", parameters, "`thrivecalc backup list` shows it if it was")
    waiting = _until_available(whole, body["BackupDetails"]["BackupArn"])
    return drive(whole.session.execute(waiting))


def list_backups(whole: WholeTable) -> Iterator[Backup]:
    """Yield every backup of a table of this name, also AWS Backup's; the table may be gone."""
    page: Json = {"TableName": whole.store.table_name, "BackupType": "ALL"}
    while True:
        try:
            body = whole.call("ListBackups", **page)
        except RefusedError as error:
            raise _explained(error, whole, None) from None
        yield from (_backup(summary) for summary in body.get("BackupSummaries", []))
        last = body.get("LastEvaluatedBackupArn")
        if not last:
            return
        page["ExclusiveStartBackupArn"] = last


def begin_restore(whole: WholeTable, source: Source, target: WholeTable) -> bool:
    """Begin to restore into the table of `target`; return False if that was begun already.

    A table that DynamoDB names as restored from this source counts as begun, so after an
    interruption the same call continues. Raises ConfigurationError if any other table of that name
    exists.
    """
    try:
        described = target.call("DescribeTable", TableName=target.store.table_name)["Table"]
    except TableNotFoundError:
        _restore(whole, source, target.store.table_name)
        return True
    _check_begun(described, source, whole, target.store.table_name)
    return False


def count_items(whole: WholeTable) -> int:
    """Count the items of the table by a scan, which transfers no item but costs its read units."""
    count: int = 0
    page: Json = {
        "TableName": whole.store.table_name,
        "Select": "COUNT",
        "ConsistentRead": True,
    }
    while True:
        body = whole.call("Scan", **page)
        count += int(body["Count"])
        if not body.get("LastEvaluatedKey"):
            return count
        page["ExclusiveStartKey"] = body["LastEvaluatedKey"]


def _restore(whole: WholeTable, source: Source, into: str) -> None:
    if isinstance(source, OfBackup):
        operation = "RestoreTableFromBackup"
        parameters: Json = {"TargetTableName": into, "BackupArn": source.arn}
    else:
        operation = "RestoreTableToPointInTime"
        parameters = {"SourceTableName": whole.store.table_name, "TargetTableName": into}
        if source.at is None:
            parameters["UseLatestRestorableTime"] = True
        else:
            parameters["RestoreDateTime"] = source.at.timestamp()
    _begin(whole, operation, parameters, "the same command goes on with it if it was", into=into)


def _check_begun(described: Json, source: Source, whole: WholeTable, into: str) -> None:
    """Raise ConfigurationError unless an existing table was restored from this source."""
    summary = described.get("RestoreSummary") or {}
    exists = f"the table {into!r} exists already, and nothing is restored over it"
    if isinstance(source, OfBackup):
        if summary.get("SourceBackupArn") == source.arn:
            return
    elif str(summary.get("SourceTableArn", "")).endswith(f":table/{whole.store.table_name}"):
        at = _moment(summary["RestoreDateTime"])
        if source.at is None and not summary.get("RestoreInProgress"):
            raise ConfigurationError(
                f"{exists}; it was restored from this table as of {text_of(at)}: give --at with"
                " that time to finish it, or another name for a later one"
            )
        if source.at is None or abs((at - source.at).total_seconds()) < 1:
            return
    raise ConfigurationError(f"{exists}; choose another name")


def _begin(
    whole: WholeTable,
    operation: str,
    parameters: Json,
    fix: str,
    *,
    into: str | None = None,
) -> Json:
    """Send a request that must not be applied twice: again only if it was not applied."""
    session = whole.session
    call = Call(operation, parameters)
    result = drive(session.execute(persist(call, session.retry, session.rng, twice=False)))
    if isinstance(result, Reply):
        return result.body
    if result.applied_maybe:
        raise UnavailableError(
            f"{operation} got no good answer ({result.code}), and may have been begun; {fix}",
            operation=operation,
            code=result.code,
            request_id=result.request_id,
        )
    error = service_error(operation, result, whole.store.settings)
    raise _explained(error, whole, into) if isinstance(error, RefusedError) else error


def _until_available(whole: WholeTable, arn: str) -> Flow[Backup]:
    session = whole.session
    call = Call("DescribeBackup", {"BackupArn": arn})
    while True:
        result = yield from persist(call, session.retry, session.rng)
        if isinstance(result, Failure):
            raise service_error(call.name, result, whole.store.settings)
        backup = _backup(result.body["BackupDescription"]["BackupDetails"])
        if backup.status != "CREATING":
            return backup
        yield Wait(POLL_SECONDS)


def _explained(error: RefusedError, whole: WholeTable, into: str | None) -> ThriveCalcError:
    """Return the error to raise for a code of these operations, with the fix."""
    name = whole.store.table_name
    if error.code in NO_SUCH_OPERATION:
        return ConfigurationError(
            f"the endpoint {whole.store.endpoint} has no backups ({error.operation}); the real"
            " service has, and among the local engines moto"
        )
    meaning = {
        "BackupNotFoundException": "there is no such backup; see `thrivecalc backup list`",
        "BackupInUseException": "the backup is being made or deleted; try again when it is done",
        "TableAlreadyExistsException": f"the table {into!r} exists already; choose another name",
        "TableInUseException": f"the table {into or name!r} is being made or deleted; try later",
        "InvalidRestoreTimeException": "this time cannot be restored; `thrivecalc backup list`"
        " shows from when to when can be",
        "PointInTimeRecoveryUnavailableException": f"point-in-time recovery of {name!r} is off;"
        " `thrivecalc table create` switches it on, from then",
        "ContinuousBackupsUnavailableException": f"backups of {name!r} cannot be made yet; try"
        " again in a few minutes",
    }.get(error.code or "")
    return error if meaning is None else ConfigurationError(f"{error.operation}: {meaning}")


def recoverable(whole: WholeTable) -> tuple[datetime, datetime] | None:
    """Return the first and the last time that can be restored; None if there is none."""
    try:
        body = whole.call("DescribeContinuousBackups", TableName=whole.store.table_name)
    except (RefusedError, TableNotFoundError):
        return None
    described = body["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if described.get("PointInTimeRecoveryStatus") != "ENABLED":
        return None
    ends = [described.get(f"{end}RestorableDateTime") for end in ("Earliest", "Latest")]
    return None if None in ends else (_moment(ends[0]), _moment(ends[1]))


def _backup(details: Json) -> Backup:
    return Backup(
        arn=details["BackupArn"],
        name=details["BackupName"],
        created=_moment(details["BackupCreationDateTime"]),
        status=details["BackupStatus"],
        kind=details["BackupType"],
        size=details.get("BackupSizeBytes"),
    )


def _moment(value: Any) -> datetime:
    """Convert a time of the service: seconds since 1970, or already botocore's datetime."""
    return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


def text_of(time: datetime) -> str:
    """Return a time as `--at` takes it, in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
