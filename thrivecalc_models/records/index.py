"""The global secondary index, which lists a user's records by type."""

from __future__ import annotations

from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex

from thrivecalc_models import table
from thrivecalc_models.plain import plain_text


class _TypeKey(UnicodeAttribute):
    """`dataType` as a key, given as text or as a record class."""

    def serialize(self, value: Any) -> str:
        return plain_text(value) if isinstance(value, str) else str(value.own_data_type())


class DataTypeIndex(GlobalSecondaryIndex[Any]):  # type: ignore[no-untyped-call]
    """`DataTypeIndex`: partition key `userId`, sort key `dataType`, every attribute projected.

    `SavingsGoal.by_type.query(user_id)` reads one type, `UserRecord.by_type.query(user_id)` all.
    An index is never read consistently, so `consistent_read=True` is refused.
    """

    class Meta:
        index_name = table.INDEX_NAME
        projection = AllProjection()

    user_id = UnicodeAttribute(hash_key=True, attr_name=table.USER_ID)
    data_type = _TypeKey(range_key=True, attr_name=table.DATA_TYPE)
