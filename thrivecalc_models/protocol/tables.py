"""Create the table, or its missing parts, and wait until all of it is active."""

from __future__ import annotations

import itertools
import random
from typing import Any

from thrivecalc_models import table
from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.operations import Call, Failure, FailureKind, Flow, Reply, Wait
from thrivecalc_models.protocol.failures import ServiceFailure
from thrivecalc_models.protocol.retry import RetryPolicy, persist

POLL_SECONDS = 1.0
_BACKUP_POLLS = 60  # a new table is active some seconds before backups of it can be made

NO_SUCH_OPERATION = frozenset(
    {"UnknownOperationException", "UnknownOperation", "InvalidAction", "NotImplemented"}
)
"""Error codes of engines that do not have an operation."""


def ensure_table(name: str, policy: RetryPolicy, rng: random.Random) -> Flow[None]:
    """Create the table, its index, TTL and point-in-time recovery, as far as they are missing.

    Return when table and index are active. Point-in-time recovery is left out on engines without
    it. Raises ServiceFailure, and ConfigurationError for a table with other keys.
    """
    steps = _Steps(name, policy, rng)
    description = yield from steps.describe()
    if description is None:
        yield from steps.create()
        description = yield from steps.until_active()
    _check_keys(name, description)
    if not _has_index(description):
        yield from steps.until_active()
        yield from steps.add_index()
    yield from steps.until_active()
    yield from steps.enable_ttl()
    yield from steps.enable_recovery()


def _check_keys(name: str, description: dict[str, Any]) -> None:
    keys = sorted(description["KeySchema"], key=lambda key: str(key["KeyType"]))
    if keys != table.schema()["KeySchema"]:
        raise ConfigurationError(
            f"the table {name!r} exists with other keys than {table.USER_ID} and"
            f" {table.RECORD_KEY}; choose another table name"
        )


def _indexes(description: dict[str, Any]) -> list[dict[str, Any]]:
    indexes: list[dict[str, Any]] = description.get("GlobalSecondaryIndexes") or []
    return indexes


def _has_index(description: dict[str, Any]) -> bool:
    return any(index["IndexName"] == table.INDEX_NAME for index in _indexes(description))


class _Steps:
    def __init__(self, name: str, policy: RetryPolicy, rng: random.Random) -> None:
        self._name = name
        self._policy = policy
        self._rng = rng

    def _call(self, operation: str, **parameters: Any) -> Flow[Reply | Failure]:
        call = Call(operation, {"TableName": self._name, **parameters})
        return (yield from persist(call, self._policy, self._rng))

    def _must(self, operation: str, **parameters: Any) -> Flow[dict[str, Any]]:
        result = yield from self._call(operation, **parameters)
        if isinstance(result, Failure):
            raise ServiceFailure(operation, result)
        return result.body

    def describe(self) -> Flow[dict[str, Any] | None]:
        result = yield from self._call("DescribeTable")
        if isinstance(result, Reply):
            description: dict[str, Any] = result.body["Table"]
            return description
        if result.kind is FailureKind.NO_TABLE:
            return None
        raise ServiceFailure("DescribeTable", result)

    def create(self) -> Flow[None]:
        result = yield from self._call("CreateTable", **table.schema())
        if isinstance(result, Failure) and result.code != "ResourceInUseException":
            raise ServiceFailure("CreateTable", result)

    def add_index(self) -> Flow[None]:
        schema = table.schema()
        (index,) = schema["GlobalSecondaryIndexes"]
        description = yield from self.describe()
        if description is not None and not _on_demand(description):
            index["ProvisionedThroughput"] = {
                name: description["ProvisionedThroughput"][name]
                for name in ("ReadCapacityUnits", "WriteCapacityUnits")
            }
        yield from self._must(
            "UpdateTable",
            AttributeDefinitions=schema["AttributeDefinitions"],
            GlobalSecondaryIndexUpdates=[{"Create": index}],
        )

    def until_active(self) -> Flow[dict[str, Any]]:
        while True:
            description = yield from self.describe()
            if description is not None and _is_active(description):
                return description
            yield Wait(POLL_SECONDS)

    def enable_ttl(self) -> Flow[None]:
        body = yield from self._must("DescribeTimeToLive")
        current = body.get("TimeToLiveDescription", {})
        if current.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
            if current.get("AttributeName") != table.TTL:
                raise ConfigurationError(
                    f"the table {self._name!r} has its TTL on {current.get('AttributeName')!r}, not"
                    f" on {table.TTL!r}; switch that off first"
                )
            return
        yield from self._must(
            "UpdateTimeToLive",
            TimeToLiveSpecification={"AttributeName": table.TTL, "Enabled": True},
        )

    def enable_recovery(self) -> Flow[None]:
        described = yield from self._call("DescribeContinuousBackups")
        if isinstance(described, Failure):
            if described.code in NO_SUCH_OPERATION:
                return
            raise ServiceFailure("DescribeContinuousBackups", described)
        if _recovery_status(described.body) == "ENABLED":
            return
        for attempt in itertools.count(1):
            result = yield from self._call(
                "UpdateContinuousBackups",
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            )
            if isinstance(result, Reply):
                return
            too_early = result.code == "ContinuousBackupsUnavailableException"
            if not too_early or attempt > _BACKUP_POLLS:
                raise ServiceFailure("UpdateContinuousBackups", result)
            yield Wait(POLL_SECONDS, "UpdateContinuousBackups", attempt, result.code)


def _on_demand(description: dict[str, Any]) -> bool:
    mode = description.get("BillingModeSummary", {}).get("BillingMode")
    return bool(mode == "PAY_PER_REQUEST")


def _is_active(description: dict[str, Any]) -> bool:
    statuses = [description.get("TableStatus")]
    statuses += [index.get("IndexStatus", "ACTIVE") for index in _indexes(description)]
    return all(status == "ACTIVE" for status in statuses)


def _recovery_status(body: dict[str, Any]) -> Any:
    backups = body.get("ContinuousBackupsDescription", {})
    return backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
