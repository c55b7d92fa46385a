"""PynamoDB's methods that read: each stored item becomes a record of the class of its type.

Class methods use the default session, methods of a record the session of its store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pynamodb.expressions.condition import Condition
from pynamodb.pagination import PageIterator, ResultIterator

from thrivecalc_models import table
from thrivecalc_models.errors import InvalidKeyError
from thrivecalc_models.operations import Key
from thrivecalc_models.protocol import get_many
from thrivecalc_models.protocol.reads import BATCH_GET_KEYS
from thrivecalc_models.records.pynamo.connection import table_of
from thrivecalc_models.records.pynamo.lookups import (
    absent,
    check_index,
    check_start,
    checked_key,
    checked_pairs,
    is_of_type,
    projected,
    projection,
    query_arguments,
    type_read_by,
    whole,
)
from thrivecalc_models.records.pynamo.tables import PynamoTable
from thrivecalc_models.records.session import Session, default_session
from thrivecalc_models.transport.process import forks_wait
from thrivecalc_models.wire import Item, StoredItem, check_user_id

if TYPE_CHECKING:
    from thrivecalc_models.records.model import UserRecord
    from thrivecalc_models.records.pynamo.batch import RecordBatch

R = TypeVar("R", bound="PynamoReads")
Json = dict[str, Any]

KEYS_AT_ONCE = 8 * BATCH_GET_KEYS
"""Keys of a `batch_get` that are requested together. It bounds memory."""


class PynamoReads(PynamoTable):
    """PynamoDB's methods that read, and `batch_write`."""

    @classmethod
    def get(
        cls: type[R],
        hash_key: str,
        range_key: str | None = None,
        consistent_read: bool = False,
        attributes_to_get: Sequence[str] | None = None,
    ) -> R:
        """Return the record under a user id and a record key, as `SavingsGoal.key(record_id)`.

        Its class follows the stored type. Raises DoesNotExist, and before anything is sent
        InvalidKeyError for an impossible key.
        """
        session = default_session()
        key = checked_key(hash_key, range_key)
        reply = table_of(session).get_item(
            key.user_id, key.record_key, consistent_read, projection(attributes_to_get)
        )
        item = reply.get("Item")
        if item is None:
            raise cls.DoesNotExist(absent(cls, key.record_key))
        return _record(cls, item, session, attributes_to_get)

    @classmethod
    def batch_get(
        cls: type[R],
        items: Iterable[Any],
        consistent_read: bool | None = None,
        attributes_to_get: Sequence[str] | None = None,
    ) -> Iterator[R]:
        """Return the records under (user id, record key) pairs, in no order, without absent ones.

        A key given twice is read once. Raises GetError if the service leaves keys unprocessed
        for longer than the retry policy allows.
        """
        keys = iter(dict.fromkeys(checked_pairs(items)))
        return _many(cls, keys, bool(consistent_read), attributes_to_get, default_session())

    @classmethod
    def query(
        cls: type[R],
        hash_key: str,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        index_name: str | None = None,
        scan_index_forward: bool | None = None,
        limit: int | None = None,
        last_evaluated_key: Json | None = None,
        attributes_to_get: Iterable[str] | None = None,
        page_size: int | None = None,
        rate_limit: float | None = None,
    ) -> ResultIterator[R]:
        """Return a user's records of this type; `UserRecord.query` returns those of all types.

        A range key condition replaces the one on the type, and the type is then filtered.
        """
        session, hash_key = default_session(), check_user_id(hash_key)
        asked = query_arguments(
            cls, range_key_condition, filter_condition, index_name, consistent_read
        )
        check_start(hash_key, last_evaluated_key)
        return ResultIterator(
            table_of(session).query,
            (hash_key,),
            asked
            | {
                "exclusive_start_key": last_evaluated_key,
                "scan_index_forward": scan_index_forward,
                "limit": limit if page_size is None else page_size,
                "attributes_to_get": projection(attributes_to_get),
            },
            map_fn=lambda item: _record(cls, item, session, attributes_to_get),
            limit=limit,
            rate_limit=rate_limit,
        )

    @classmethod
    def scan(
        cls: type[R],
        filter_condition: Condition | None = None,
        segment: int | None = None,
        total_segments: int | None = None,
        limit: int | None = None,
        last_evaluated_key: Json | None = None,
        page_size: int | None = None,
        consistent_read: bool | None = None,
        index_name: str | None = None,
        rate_limit: float | None = None,
        attributes_to_get: Sequence[str] | None = None,
    ) -> ResultIterator[R]:
        """Read the whole table or index, and return the records of this type of every user."""
        session = default_session()
        check_index(cls, index_name, consistent_read)
        data_type = type_read_by(cls)
        if data_type is not None:
            filter_condition &= is_of_type(data_type)
        return ResultIterator(
            table_of(session).scan,
            (),
            {
                "filter_condition": filter_condition,
                "exclusive_start_key": last_evaluated_key,
                "segment": segment,
                "limit": limit if page_size is None else page_size,
                "total_segments": total_segments,
                "consistent_read": consistent_read,
                "index_name": index_name,
                "attributes_to_get": projection(attributes_to_get),
            },
            map_fn=lambda item: _record(cls, item, session, attributes_to_get),
            limit=limit,
            rate_limit=rate_limit,
        )

    @classmethod
    def count(
        cls: type[R],
        hash_key: str | None = None,
        range_key_condition: Condition | None = None,
        filter_condition: Condition | None = None,
        consistent_read: bool = False,
        index_name: str | None = None,
        limit: int | None = None,
        rate_limit: float | None = None,
    ) -> int:
        """Count the records that `query` would return, up to `limit`.

        Without a user id `UserRecord.count()` is the item count of the table, which DynamoDB
        updates about every six hours. A type has no such count.
        """
        if hash_key is None:
            return _count_of_table(cls, filter_condition)
        hash_key = check_user_id(hash_key)
        asked = query_arguments(
            cls, range_key_condition, filter_condition, index_name, consistent_read
        )
        pages: PageIterator[Json] = PageIterator(
            table_of(default_session()).query,
            (hash_key,),
            asked | {"limit": limit, "select": "COUNT"},
            rate_limit,
        )
        total = 0
        for page in pages:
            total += page["Count"]
            if limit is not None and total >= limit:
                return limit
        return total

    @classmethod
    def batch_write(cls: type[R], auto_commit: bool = True) -> RecordBatch[R]:
        """Return a context manager that writes up to 25 records in a request."""
        with forks_wait:
            from thrivecalc_models.records.pynamo.batch import RecordBatch  # seldom used

        return RecordBatch(cls, auto_commit=auto_commit)

    @classmethod
    def from_raw_data(cls: type[R], data: Json) -> R:
        """Make the record of an item in botocore's form; its class follows the type."""
        if data is None:
            raise ValueError("Received no data to construct object")
        return cast(R, _class(cls).from_item(whole(data)))

    @classmethod
    def get_operation_kwargs_from_class(
        cls,
        hash_key: str,
        range_key: str | None = None,
        condition: Condition | None = None,
    ) -> Json:
        """Return the arguments of an entry of PynamoDB's `TransactGet`, or of a condition check."""
        key = checked_key(hash_key, range_key)
        return cls._get_connection().get_operation_kwargs(
            key.user_id, range_key=key.record_key, condition=condition
        )


def _class(cls: type[PynamoReads]) -> type[UserRecord]:
    return cast("type[UserRecord]", cls)


def _record(cls: type[R], item: Item | StoredItem, session: Session, attributes_to_get: Any) -> R:
    in_part = attributes_to_get is not None
    if isinstance(item, StoredItem):
        if not in_part:
            return cast(R, _class(cls).from_stored(item, session))
        item = item.item
    return cast(R, _class(cls).from_item(item, session=session, projected=in_part))


def _many(
    cls: type[R], keys: Iterator[Key], consistent: bool, attributes_to_get: Any, session: Session
) -> Iterator[R]:
    connection = table_of(session)
    names = projection(attributes_to_get)
    shape = connection.get_operation_kwargs("-", "-", attributes_to_get=names)
    members = {name: form for name, form in shape.items() if name not in ("TableName", "Key")}
    while chunk := list(islice(keys, KEYS_AT_ONCE)):
        reading = get_many(chunk, consistent=consistent, policy=session.retry, rng=session.rng)
        if members:
            reading = projected(reading, members, session.settings.table_name)
        for item in connection.connection.read_many(reading):
            yield _record(cls, item, session, attributes_to_get)


def _count_of_table(cls: type[PynamoReads], filter_condition: Condition | None) -> int:
    if filter_condition is not None:
        raise ValueError("A hash_key must be given to use filters")
    if type_read_by(cls) is not None:
        raise InvalidKeyError(
            f"{cls.__name__}.count() needs a user id: the table's own counter knows no types;"
            " UserRecord.count() is the number of all items",
            path=table.USER_ID,
        )
    return int(cls.describe_table().get("ItemCount", 0))
