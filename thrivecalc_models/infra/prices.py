"""DynamoDB's prices as dated lists, and as read from a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

import attrs

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.payloads.define import camel_case


@attrs.frozen(kw_only=True)
class Prices:
    """Prices in USD of on-demand tables of the class Standard in one region, valid since a day.

    They are for a million read units, a million write units, and a GB (2^30 bytes) stored, or kept
    recoverable, for a month.
    """

    since: str
    region: str
    read_million: Decimal
    write_million: Decimal
    storage_gb_month: Decimal
    recovery_gb_month: Decimal


GUIDE: Final = Prices(
    since="2018-11-28",
    region="us-east-1",
    read_million=Decimal("0.25"),
    write_million=Decimal("1.25"),
    storage_gb_month=Decimal("0.25"),
    recovery_gb_month=Decimal("0.20"),
)
"""The prices of the guide's example."""

# Source: "Amazon DynamoDB pricing for on-demand capacity", aws.amazon.com/dynamodb/pricing.
PRICE_LISTS: Final = (
    GUIDE,
    attrs.evolve(
        GUIDE,
        since="2024-11-01",
        read_million=Decimal("0.125"),
        write_million=Decimal("0.625"),
    ),
)
"""All lists, the latest last."""

_AMOUNTS = ("read_million", "write_million", "storage_gb_month", "recovery_gb_month")
_NAMES = ("since", "region", *_AMOUNTS)
_SPELLED = {name: camel_case(name) for name in _NAMES}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HIGHEST = Decimal(1_000_000)
_LONGEST = 40  # characters


def read_prices(text: str) -> Prices:
    """Read prices from a JSON object with exactly the names of `Prices`.

    Amounts are numbers or text. The names are in camelCase (`readMillion`) or as in Python
    (`read_million`). Raises ConfigurationError, which never shows the value.
    """
    given = _object(text)
    in_python = any(name in given for name in _AMOUNTS)
    names = {name: name if in_python else _SPELLED[name] for name in _NAMES}
    needed = f"it needs {', '.join(names.values())}"
    missing = [name for name in names.values() if name not in given]
    unknown = given.keys() - set(names.values())
    if missing:
        raise ConfigurationError(f"it lacks {', '.join(missing)}; {needed}")
    if unknown:
        raise ConfigurationError(f"it has unknown names ({len(unknown)}); {needed}")
    return Prices(
        since=_since(given["since"]),
        region=_region(given["region"]),
        **{name: read_price(given[names[name]], names[name]) for name in _AMOUNTS},
    )


def read_price(value: object, name: str) -> Decimal:
    """Return an amount of USD exactly as given: 0 to a million. Raises ConfigurationError."""
    try:
        if not isinstance(value, str | Decimal) or len(str(value)) > _LONGEST:
            raise InvalidOperation
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal("NaN")
    if amount.is_finite() and 0 <= amount <= _HIGHEST:
        return amount
    raise ConfigurationError(f"{name} must be USD, a number from 0 to {_HIGHEST:,} such as 0.25")


def _object(text: str) -> Mapping[str, Any]:
    """The JSON object, with exact numbers. Raises ConfigurationError."""
    try:
        given = json.loads(
            text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant
        )
    except (ValueError, RecursionError, InvalidOperation):
        given = None
    if not isinstance(given, dict):
        needed = ", ".join(_SPELLED.values())
        raise ConfigurationError(f"it is not a JSON object; it needs {needed}")
    return given


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and infinities are not JSON")


def _since(value: object) -> str:
    if isinstance(value, str) and _DAY.fullmatch(value):
        return value
    raise ConfigurationError("since must be a day such as 2024-11-01")


def _region(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[a-z0-9-]{1,40}", value):
        return value
    raise ConfigurationError("region must be a name such as us-east-1")
