"""The table to export or fill: its identity, and the check that it has our keys."""

from __future__ import annotations

from typing import Any

from thrivecalc_models import table
from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.whole_table import WholeTable
from thrivecalc_models.wire import check_user_id, masked_user


def whereabouts(whole: WholeTable, user_id: str | None) -> dict[str, Any]:
    """Return what a progress file records of its table and user."""
    settings = whole.store.settings
    return {
        "table": settings.table_name,
        "region": settings.region,
        "endpoint": settings.endpoint,
        "user": None if user_id is None else masked_user(check_user_id(user_id)),
    }


def item_count(whole: WholeTable) -> int:
    """Return about how many items the table has: DynamoDB counts every six hours.

    Raises ConfigurationError for a table with other keys, and ServiceError. Source:
    "TableDescription", Amazon DynamoDB API Reference.
    """
    name = whole.store.table_name
    description = whole.call("DescribeTable", TableName=name)["Table"]
    keys = {key["KeyType"]: key["AttributeName"] for key in description["KeySchema"]}
    defined = description.get("AttributeDefinitions", [])
    types = {each["AttributeName"]: each["AttributeType"] for each in defined}
    wanted = {"HASH": table.USER_ID, "RANGE": table.RECORD_KEY}
    if keys != wanted or any(types.get(key, "S") != "S" for key in keys.values()):
        raise ConfigurationError(
            f"the table {name!r} has other keys than {table.USER_ID} and {table.RECORD_KEY}, both"
            " text; name the right one with --table"
        )
    return int(description.get("ItemCount", 0))
