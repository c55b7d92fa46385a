"""Checks that every request goes through: parameters, table, keys and items.

Source: "Service, account, and table quotas in Amazon DynamoDB", Developer Guide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from thrivecalc_models import table
from thrivecalc_models.testing.refusals import NO_TABLE, Invalid, Refusal
from thrivecalc_models.testing.state import Key
from thrivecalc_models.testing.values import normalised_item
from thrivecalc_models.wire import MAX_ITEM_SIZE, Item, Json, item_size, nesting_depth

KEY_NAMES: Final = (table.USER_ID, table.RECORD_KEY)
MAX_KEY_BYTES: Final = {table.USER_ID: 2048, table.RECORD_KEY: 1024, table.DATA_TYPE: 1024}
MAX_NESTING: Final = 31
MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024
MAX_TRANSACTION: Final = 100
MAX_TRANSACTION_BYTES: Final = 4 * 1024 * 1024

REPEATED_IN_BATCH: Final = "Provided list of item keys contains duplicates"
REPEATED_IN_TRANSACTION: Final = (
    "Transaction request cannot include multiple operations on one item"
)


def check_parameters(
    request: object, known: Iterable[str], *, required: Iterable[str] = ()
) -> Json:
    """The request itself; raises Invalid for parameters that it cannot have, or lacks.

    The service would ignore an unknown one, but botocore refuses it before it is sent.
    """
    if not isinstance(request, dict):
        raise Invalid("a request is a map", code="SerializationException")
    for name in request:
        if name not in known:
            raise Invalid(f'Unknown parameter in input: "{name}"', code="ParamValidationError")
    for name in required:
        if request.get(name) is None:
            raise Invalid(f"Value null at '{name}' failed to satisfy constraint: must not be null")
    return request


def check_table(name: object, table_name: str) -> None:
    """Refuse any table but the one that is simulated."""
    if not isinstance(name, str) or not name:
        raise Invalid("TableName must be at least 1 character long")
    if name != table_name:
        raise Refusal(NO_TABLE)


def list_of(value: object, what: str, *, at_most: int) -> list[Any]:
    """The entries of a batch or transaction: at least one, at most so many."""
    if not isinstance(value, list):
        raise Invalid(f"{what} is no list", code="SerializationException")
    if not value:
        raise Invalid(f"{what}: Member must have length greater than or equal to 1")
    if len(value) > at_most:
        raise Invalid(f"{what}: Member must have length less than or equal to {at_most}")
    return value


def only_table(request_items: object, table_name: str) -> Any:
    """What a batch asks of the simulated table, the only one that it may name."""
    if not isinstance(request_items, dict) or not request_items:
        raise Invalid("The RequestItems parameter is required")
    for name in request_items:
        check_table(name, table_name)
    return request_items[table_name]


def transaction_entries(request: Json) -> list[Any]:
    """The entries of a transaction: 1 to 100."""
    return list_of(request["TransactItems"], "TransactItems", at_most=MAX_TRANSACTION)


def check_transaction_size(size: int) -> None:
    """Raise Invalid for items of more than 4 MB in all."""
    if size > MAX_TRANSACTION_BYTES:
        raise Invalid("the aggregate size of the items in the transaction exceeds the 4MB limit")


def flag(request: Json, name: str) -> bool:
    """A parameter that is true or false; false by default."""
    value = request.get(name, False)
    if not isinstance(value, bool):
        raise Invalid(f"{name} is no boolean", code="SerializationException")
    return value


def one_of(request: Json, name: str, choices: tuple[str, ...]) -> str:
    """One of the choices, the first of them by default."""
    value = request.get(name, choices[0])
    if value not in choices:
        raise Invalid(f"Value at '{name}' must satisfy enum value set: {list(choices)}")
    return str(value)


def positive(request: Json, name: str) -> int | None:
    """A parameter that is a whole number from 1 on; None by default."""
    value = request.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(f"{name} is no integer", code="SerializationException")
    if value < 1:
        raise Invalid(f"{name} must be greater than or equal to 1")
    return value


def key_of(value: object, *, names: tuple[str, ...] = KEY_NAMES) -> Key:
    """The key in a request: exactly these attributes, each text of the length a key can have."""
    key = normalised_item(value)
    if set(key) != set(names):
        raise Invalid("The provided key element does not match the schema")
    for name in names:
        check_key_attribute(key, name)
    return _key(key)


def stored_item(value: object) -> tuple[Key, Item, int]:
    """An item as it would be stored, with its key and size.

    `dataType` is not looked at: a transaction reports it elsewhere than a plain write does.
    """
    item = normalised_item(value)
    for name in KEY_NAMES:
        if name not in item:
            raise Invalid(f"One or more parameter values were invalid: Missing the key {name}")
        check_key_attribute(item, name)
    size = item_size(item)
    if size > MAX_ITEM_SIZE:
        raise Invalid("Item size has exceeded the maximum allowed size")
    return _key(item), item, size


def check_index_key(item: Item) -> None:
    """Raise Invalid for a `dataType` that the index cannot hold; it may be absent."""
    if table.DATA_TYPE in item:
        check_key_attribute(item, table.DATA_TYPE)


def check_key_attribute(item: Item, name: str) -> None:
    """Raise Invalid unless the attribute is text of a length that a key can have."""
    text = item[name].get("S")
    if text is None:
        raise Invalid(f"One or more parameter values were invalid: Type mismatch for key {name}")
    if not text:
        raise Invalid(
            "One or more parameter values are not valid. The AttributeValue for a key attribute"
            f" cannot contain an empty string value. Key: {name}"
        )
    if len(text.encode()) > MAX_KEY_BYTES[name]:
        raise Invalid(
            f"One or more parameter values were invalid: Size of {name} has exceeded the maximum"
            f" size limit of {MAX_KEY_BYTES[name]} bytes"
        )


def check_updated(item: Item, touched: Iterable[str]) -> int:
    """The size of an updated item; raises Invalid if it became too large or too deep."""
    for name in touched:
        if name in item and nesting_depth(item[name]) > MAX_NESTING:
            raise Invalid("Nesting Levels have exceeded supported limits")
    size = item_size(item)
    if size > MAX_ITEM_SIZE:
        raise Invalid("Item size to update has exceeded the maximum allowed size")
    return size


def check_distinct(keys: list[Key], message: str) -> None:
    """Raise Invalid with this message if a request names one key twice."""
    if len(set(keys)) != len(keys):
        raise Invalid(message)


def _key(item: Item) -> Key:
    return item[table.USER_ID]["S"], item[table.RECORD_KEY]["S"]
