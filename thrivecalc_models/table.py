"""The table: its attribute names, its index, and the settings that say where it is."""

from __future__ import annotations

import os
import re
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final
from urllib.parse import urlsplit

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.plain import plain_value
from thrivecalc_models.value import frozen

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
"""Keys, type and timestamps: set by the library alone, and fixed once a store has a record."""

DEFAULT_TABLE_NAME: Final = "thrivecalc-user-data"
DEFAULT_REGION: Final = "us-east-1"
REAL_SERVICE: Final = "the real service"


def schema() -> dict[str, Any]:
    """Return the keys, the index and the billing of the table, as CreateTable spells them."""
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


@frozen(kw_only=True)
class Settings:
    """Where the table is. Endpoint None is the real service.

    `endpoint_source` names the origin of the endpoint: "endpoint", "AWS_ENDPOINT" or a setting of
    botocore; empty before botocore's settings are read. `other_region` is a sentence about a
    configured region that is not used.
    """

    table_name: str
    region: str
    endpoint: str | None
    endpoint_source: str = ""
    other_region: str = ""
    allow_http: bool = False

    @property
    def stand_in_credentials(self) -> bool:
        """Whether any credentials will do: on this machine, or on a host name without a dot."""
        return self.endpoint is not None and _is_near(urlsplit(self.endpoint).hostname or "")

    @property
    def place(self) -> str:
        """The endpoint for messages, with its origin unless that was an argument."""
        if self.endpoint is None:
            return REAL_SERVICE
        if self.endpoint_source in ("", "endpoint"):
            return self.endpoint
        return f"{self.endpoint} from {self.endpoint_source}"


def resolve_settings(
    *,
    table_name: str | None = None,
    region: str | None = None,
    endpoint: str | None = None,
    allow_http: bool = False,
) -> Settings:
    """Return the settings from the arguments, else the environment, else the defaults.

    The environment is that of the web application: `DYNAMODB_TABLE_NAME`, `AWS_REGION` and
    `AWS_ENDPOINT`. Raises ConfigurationError for blanks and control characters, for an endpoint
    that is no URL, and for plain `http://` to another host than this machine or a name without a
    dot, unless `allow_http` or `THRIVECALC_ALLOW_HTTP=1` is set.
    """
    found, _ = _found("table_name", table_name, "DYNAMODB_TABLE_NAME")
    region, _ = _found("region", region, "AWS_REGION")
    endpoint, source = _found("endpoint", endpoint, "AWS_ENDPOINT")
    settings = Settings(
        table_name=found or DEFAULT_TABLE_NAME,
        region=region or DEFAULT_REGION,
        endpoint=endpoint,
        endpoint_source=source,
        allow_http=allow_http or os.environ.get("THRIVECALC_ALLOW_HTTP") == "1",
    )
    check_endpoint(settings)
    return settings


def _found(argument: str, given: str | None, variable: str) -> tuple[str | None, str]:
    """Return the value of a setting and its source; None and "" if it is not set."""
    source, value = (argument, given) if given else (variable, os.environ.get(variable))
    if not value:
        return None, ""
    text = plain_value(value)
    if type(text) is not str:
        raise ConfigurationError(f"{source} takes text")
    check_text(source, text)
    return text, source


def check_text(source: str, value: str) -> None:
    """Raise ConfigurationError for a blank or a control character, without showing the value."""
    if not value.isprintable() or any(character.isspace() for character in value):
        raise ConfigurationError(
            f"{source} has a blank, a line break or another control character in it, perhaps at its"
            " end; remove it (an .env file with Windows line ends leaves one in every value)"
        )


# --- endpoints ------------------------------------------------------------------------------------

_HOST = re.compile(r"[a-z0-9._-]+", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.ASCII | re.IGNORECASE)


def check_endpoint(settings: Settings) -> None:
    """Raise ConfigurationError for an endpoint that is no URL, or that plain http may not reach."""
    endpoint, source = settings.endpoint, settings.endpoint_source or "endpoint"
    if endpoint is None:
        return
    check_text(source, endpoint)
    scheme, host = _scheme_and_host(endpoint, source)
    try:
        address = _resolved(host)
    except ValueError as error:
        raise ConfigurationError(
            f"{source} names a host that cannot exist ({error}): {endpoint!r}; give a plain host"
            " name"
        ) from None
    if scheme == "http" and not settings.allow_http and not _is_near(host):
        shown = host if str(address) == host else f"{host}, which is {address},"
        by = "" if source == "endpoint" else f" (from {source})"
        raise ConfigurationError(
            f"plain http to {shown}{by} would show records to the network; use https, or pass"
            " allow_http=True (or set THRIVECALC_ALLOW_HTTP=1) if that is meant"
        )


def _scheme_and_host(endpoint: str, source: str) -> tuple[str, str]:
    if "@" in endpoint:
        raise ConfigurationError(
            f"{source} has a user name or a password in it; take them out, since credentials come"
            " from the AWS chain and every log would show the URL"
        )
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationError(
            f"{source} is no URL that can be used ({error}): {endpoint!r}"
        ) from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(
            f"the endpoint {endpoint!r} ({source}) is no http or https URL; give one such as"
            " http://localhost:8000, or none for the real service"
        )
    return parts.scheme, host


def _is_near(host: str) -> bool:
    """Whether a host is this machine, or a name without a dot, as of another container."""
    found = _resolved(host)
    if isinstance(found, str):
        return found == "localhost." or found.endswith(".localhost") or "." not in found
    return found.is_loopback or found.is_unspecified


def _resolved(host: str) -> str | IPv4Address | IPv6Address:
    """Return the address that a resolver reads in a host without DNS, else the name in ASCII.

    134744072, 0x8.8.8.8 and full-width digits are addresses too, so that a public host cannot
    pass for a near one. Raises ValueError.
    """
    if ":" in host:
        address = IPv6Address(host)
        return address.ipv4_mapped or address
    name = host.encode("idna").decode("ascii")
    if not _HOST.fullmatch(name):
        raise ValueError("it has characters that no host name has")
    labels = name.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(labels[-1]):
        return name
    return _ipv4(labels)


def _ipv4(labels: list[str]) -> IPv4Address:
    """Return the address that C's inet_aton reads: the last number fills the bytes left."""
    if len(labels) > 4 or not all(map(_NUMBER.fullmatch, labels)):
        raise ValueError("it ends in a number, and is no address")
    try:
        *first, last = [_number(label) for label in labels]
        if max(first, default=0) > 255 or last >= 256 ** (4 - len(first)):
            raise ValueError
    except ValueError:
        raise ValueError("it is a number, and no address") from None
    return IPv4Address(sum(byte << 24 - 8 * place for place, byte in enumerate(first)) + last)


def _number(label: str) -> int:
    """Read a number as C writes it: 0x is hexadecimal, a leading 0 octal."""
    if label[:2] in ("0x", "0X"):
        return int(label[2:], 16)
    return int(label, 8 if label[0] == "0" else 10)
