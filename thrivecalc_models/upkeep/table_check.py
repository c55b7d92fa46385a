"""Check that the table is as it should be, and fix it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import AccessDeniedError, RefusedError
from thrivecalc_models.operations import Call, FailureKind, Flow, Reply, Wait
from thrivecalc_models.protocol import ServiceFailure, persist
from thrivecalc_models.protocol.tables import NO_SUCH_OPERATION
from thrivecalc_models.synchronous import drive
from thrivecalc_models.table import Settings
from thrivecalc_models.upkeep.commands import Commands
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.wire import Json

AspectState = Literal["ok", "differs", "unknown"]

_UNKNOWN_AT_FIRST = 12
"""How many times in a row a table that was just created may be reported as missing."""

STREAM_VIEW = "NEW_AND_OLD_IMAGES"


@attrs.frozen
class Aspect:
    """One aspect of the table: what it should be, what it is, and the command that fixes it.

    It is "unknown" if the service does not report it, or not to these credentials.
    """

    name: str
    state: AspectState
    should: str
    found: str
    fix: str = ""


def check_table(whole: WholeTable) -> list[Aspect]:
    """Compare the table with `table.schema()` and what `make_table` sets beside it.

    Sends DescribeTable, DescribeTimeToLive and DescribeContinuousBackups. Raises ServiceError,
    TableNotFoundError if there is no table.
    """
    return list(_Comparison(whole).aspects())


def differences(aspects: list[Aspect]) -> list[Aspect]:
    """Return the aspects that are known to be wrong."""
    return [aspect for aspect in aspects if aspect.state == "differs"]


def make_table(whole: WholeTable) -> None:
    """Create the table or its missing parts, and switch its deletion protection on.

    Returns when all of it is active; a repetition changes nothing. Raises ServiceError, and
    ConfigurationError for a table with other keys.
    """
    whole.store.create_table()
    if _described(whole).get("DeletionProtectionEnabled") is not False:
        return
    whole.call("UpdateTable", TableName=whole.store.table_name, DeletionProtectionEnabled=True)
    wait_until_active(whole)


def wait_until_active(whole: WholeTable, *, every: float = 1.0) -> None:
    """Send DescribeTable every so many seconds until the table and its indexes are active.

    A table that was just created may be reported as missing at first. Raises ServiceError.
    """
    drive(whole.session.execute(_until_active(whole, every)))


def _until_active(whole: WholeTable, every: float) -> Flow[None]:
    session = whole.session
    call = Call("DescribeTable", {"TableName": whole.store.table_name})
    patience = _UNKNOWN_AT_FIRST
    while True:
        result = yield from persist(call, session.retry, session.rng)
        if isinstance(result, Reply):
            if _is_active(result.body["Table"]):
                return
        elif result.kind is FailureKind.NO_TABLE and patience > 0:
            patience -= 1
        else:
            raise ServiceFailure(call.name, result)
        yield Wait(every)


def _is_active(description: Json) -> bool:
    parts = [description, *_indexes(description)]
    statuses = [part.get("TableStatus") or part.get("IndexStatus", "ACTIVE") for part in parts]
    return set(statuses) == {"ACTIVE"}


def _described(whole: WholeTable) -> Json:
    body = whole.call("DescribeTable", TableName=whole.store.table_name)
    description: Json = body["Table"]
    return description


def _indexes(description: Json) -> list[Json]:
    indexes: list[Json] = description.get("GlobalSecondaryIndexes") or []
    return indexes


class _Comparison:
    """The table as it is described, and as it should be."""

    def __init__(self, whole: WholeTable) -> None:
        self._whole = whole
        self._commands = Commands(whole.store.settings)
        self._create = self._commands.thrivecalc("table", "create")
        self._schema = table.schema()
        self._is = _described(whole)

    def aspects(self) -> Iterator[Aspect]:
        yield self._status()
        yield self._keys()
        yield from self._index()
        yield self._billing()
        yield self._ttl()
        yield self._recovery()
        yield self._encryption()
        yield self._protection()
        yield self._stream()

    def _status(self) -> Aspect:
        found = self._is.get("TableStatus", "")
        fix = f"wait, and look again: {self._commands.thrivecalc('table', 'check')}"
        return _compare("status", "ACTIVE", found, fix=fix)

    def _keys(self) -> Aspect:
        types = _types(self._is)
        return _compare(
            "keys",
            _key_text(self._schema["KeySchema"], _types(self._schema)),
            _key_text(self._is["KeySchema"], types),
            fix="keys cannot be changed: make another table and copy; "
            + self._commands.thrivecalc("table", "create", table="ANOTHER-NAME"),
        )

    def _index(self) -> Iterator[Aspect]:
        (should,) = self._schema["GlobalSecondaryIndexes"]
        indexes = [one for one in _indexes(self._is) if one["IndexName"] == table.INDEX_NAME]
        if not indexes:
            yield Aspect("index", "differs", table.INDEX_NAME, "none", self._create)
            return
        yield from self._found_index(indexes[0], should)

    def _found_index(self, found: Json, should: Json) -> Iterator[Aspect]:
        yield _compare(
            "index",
            f"{table.INDEX_NAME} ACTIVE",
            f"{table.INDEX_NAME} {found.get('IndexStatus', 'ACTIVE')}",
            fix=self._create,
        )
        delete = json.dumps([{"Delete": {"IndexName": table.INDEX_NAME}}], separators=(",", ":"))
        again = (
            self._commands.aws("update-table", "--global-secondary-index-updates", delete)
            + f" and, when it is gone, {self._create}"
        )
        yield _compare(
            "index keys",
            _key_text(should["KeySchema"], _types(self._schema)),
            _key_text(found["KeySchema"], _types(self._is)),
            fix=again,
        )
        yield _compare(
            "projection",
            should["Projection"]["ProjectionType"],
            found.get("Projection", {}).get("ProjectionType", ""),
            fix=again,
        )

    def _billing(self) -> Aspect:
        units = self._is.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0)
        found = (self._is.get("BillingModeSummary") or {}).get("BillingMode", "")
        if not found and units:
            found = "PROVISIONED"  # a table that never was anything else has no summary
        fix = self._commands.aws("update-table", "--billing-mode", "PAY_PER_REQUEST")
        return _compare("billing", self._schema["BillingMode"], found, fix=fix)

    def _ttl(self) -> Aspect:
        should = f"on {table.TTL}"
        body = self._ask("DescribeTimeToLive")
        if isinstance(body, str):
            return Aspect("ttl", "unknown", should, body)
        described = body.get("TimeToLiveDescription") or {}
        status, attribute = described.get("TimeToLiveStatus", ""), described.get("AttributeName")
        if status in ("ENABLED", "ENABLING"):
            off = self._commands.aws(
                "update-time-to-live",
                "--time-to-live-specification",
                f"Enabled=false,AttributeName={attribute}",
            )
            return _compare(
                "ttl", should, f"on {attribute}", fix=f"{off} and, an hour later, {self._create}"
            )
        fix = self._create + (" an hour later" if status == "DISABLING" else "")
        return _compare("ttl", should, {"DISABLED": "off"}.get(status, status.lower()), fix=fix)

    def _recovery(self) -> Aspect:
        name = "point-in-time recovery"
        body = self._ask("DescribeContinuousBackups")
        if isinstance(body, str):
            return Aspect(name, "unknown", "on", body)
        described = body.get("ContinuousBackupsDescription", {})
        status = described.get("PointInTimeRecoveryDescription", {}).get(
            "PointInTimeRecoveryStatus", ""
        )
        return _compare(name, "on", _on_or_off(status), fix=self._create)

    def _encryption(self) -> Aspect:
        """Compare the key: DynamoDB encrypts every table, with its own key or one of AWS KMS."""
        should = "at rest, with a key that can be used"
        described = self._is.get("SSEDescription") or {}
        if not described and not _is_aws(self._whole.store.settings):
            return Aspect("encryption", "unknown", should, _NOT_KNOWN)
        if described.get("InaccessibleEncryptionDateTime"):
            fix = (
                f"let DynamoDB use the key {described.get('KMSMasterKeyArn', '')} of AWS KMS again"
            )
            return Aspect("encryption", "differs", should, "the key cannot be used", fix)
        key = "the account's key" if described.get("Status") == "ENABLED" else "DynamoDB's own key"
        return Aspect("encryption", "ok", should, key)

    def _protection(self) -> Aspect:
        found = self._is.get("DeletionProtectionEnabled")
        text = "" if found is None else _on_or_off("ENABLED" if found else "DISABLED")
        return _compare("deletion protection", "on", text, fix=self._create)

    def _stream(self) -> Aspect:
        should = f"off, or {STREAM_VIEW}"
        described = self._is.get("StreamSpecification") or {}
        view = described.get("StreamViewType", "")
        if not described.get("StreamEnabled"):
            return Aspect("stream", "ok", should, "off")
        if view == STREAM_VIEW:
            return Aspect("stream", "ok", should, view)
        off, on = (
            self._commands.aws("update-table", "--stream-specification", text)
            for text in (
                "StreamEnabled=false",
                f"StreamEnabled=true,StreamViewType={STREAM_VIEW}",
            )
        )
        return Aspect("stream", "differs", should, view, f"{off} and then {on}")

    def _ask(self, operation: str) -> Json | str:
        """Return the reply, or why these credentials or this engine get none."""
        try:
            return self._whole.call(operation, TableName=self._whole.store.table_name)
        except AccessDeniedError as error:
            if error.action is None:
                raise
            return f"{error.action} is denied"
        except RefusedError as error:
            if error.code not in NO_SUCH_OPERATION:
                raise
            return _NOT_KNOWN


_NOT_KNOWN = "this endpoint does not tell"


def _compare(name: str, should: str, found: str, *, fix: str) -> Aspect:
    if found == should:
        return Aspect(name, "ok", should, found)
    if not found:
        return Aspect(name, "unknown", should, _NOT_KNOWN)
    return Aspect(name, "differs", should, found, fix)


def _types(description: Json) -> dict[str, str]:
    return {
        one["AttributeName"]: one["AttributeType"] for one in description["AttributeDefinitions"]
    }


def _key_text(keys: list[Json], types: dict[str, str]) -> str:
    """Return the keys with their types, partition key first: "userId (S), recordKey (S)"."""
    names = [key["AttributeName"] for key in sorted(keys, key=lambda key: str(key["KeyType"]))]
    return ", ".join(f"{name} ({types.get(name, '?')})" for name in names)


def _on_or_off(status: str) -> str:
    return {"ENABLED": "on", "DISABLED": "off"}.get(status, status.lower())


def _is_aws(settings: Settings) -> bool:
    """Whether the endpoint is the real service's, which encrypts every table."""
    if settings.endpoint is None:
        return True
    host = urlsplit(settings.endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
