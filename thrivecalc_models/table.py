"""The table: its attribute names, its index, and the settings that say where it is."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.value import Value

USER_ID: Final = "userId"
RECORD_KEY: Final = "recordKey"
DATA_TYPE: Final = "dataType"
RECORD_ID: Final = "recordId"
DATA: Final = "data"
CREATED_AT: Final = "createdAt"
UPDATED_AT: Final = "updatedAt"
TTL: Final = "ttl"

INDEX_NAME: Final = "DataTypeIndex"
DECLARED: Final = frozenset(
    {USER_ID, RECORD_KEY, DATA_TYPE, RECORD_ID, DATA, CREATED_AT, UPDATED_AT, TTL}
)
IDENTITY: Final = DECLARED - {DATA, TTL}
"""Keys, type and stamps: fixed once a store has a record, and set by the library alone."""

DEFAULT_TABLE_NAME: Final = "thrivecalc-user-data"
DEFAULT_REGION: Final = "us-east-1"


def schema() -> dict[str, Any]:
    """What the table is made with, and checked against: keys, index and billing.

    As CreateTable and CloudFormation spell it; a fresh value each time.
    """
    return {
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": "S"}
            for name in (USER_ID, RECORD_KEY, DATA_TYPE)
        ],
        "KeySchema": _keys(USER_ID, RECORD_KEY),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": INDEX_NAME,
                "KeySchema": _keys(USER_ID, DATA_TYPE),
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Settings(Value):
    """Where the table is and how it may be reached. Endpoint None is the real service."""

    table_name: str
    region: str
    endpoint: str | None

    @property
    def stand_in_credentials(self) -> bool:
        """True where nobody checks credentials: this machine, or a neighbour without a dot."""
        return self.endpoint is not None and _is_near(self.endpoint)


def resolve_settings(
    *,
    table_name: str | None = None,
    region: str | None = None,
    endpoint: str | None = None,
    allow_http: bool = False,
) -> Settings:
    """Settings from the arguments, else the environment, else the defaults.

    `DYNAMODB_TABLE_NAME`, `AWS_REGION` and `AWS_ENDPOINT` are read, as the web application does.
    Raises ConfigurationError for an endpoint that is no URL, and for plain `http://` to anything
    but this machine or a host name without a dot, unless `allow_http` or `THRIVECALC_ALLOW_HTTP=1`.
    """
    settings = Settings(
        table_name=table_name or os.environ.get("DYNAMODB_TABLE_NAME") or DEFAULT_TABLE_NAME,
        region=region or os.environ.get("AWS_REGION") or DEFAULT_REGION,
        endpoint=endpoint or os.environ.get("AWS_ENDPOINT") or None,
    )
    if settings.endpoint is not None:
        _check_endpoint(
            settings.endpoint,
            allow_http=allow_http or os.environ.get("THRIVECALC_ALLOW_HTTP") == "1",
        )
    return settings


def _check_endpoint(endpoint: str, *, allow_http: bool) -> None:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"the endpoint {endpoint!r} is no http or https URL; give one such as"
            " http://localhost:8000, or none for the real service"
        )
    if parts.scheme == "http" and not allow_http and not _is_near(endpoint):
        raise ConfigurationError(
            f"plain http to {parts.hostname} would show records to the network; use https, or pass"
            " allow_http=True (or set THRIVECALC_ALLOW_HTTP=1) if that is meant"
        )


def _is_near(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.endswith(".localhost")
