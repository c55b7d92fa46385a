"""Read and write across users, for maintenance of the table only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.operations import Call, Failure, Key, Query, Scan
from thrivecalc_models.protocol import (
    ItemPage,
    Segment,
    get_many,
    persist,
    scan_segments,
    service_error,
)
from thrivecalc_models.protocol.puts import Puts, put_each, put_items
from thrivecalc_models.records import reading
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.store import DataStore
from thrivecalc_models.synchronous import drive, drive_each
from thrivecalc_models.wire import Item, same_item

__all__ = ["Segment", "WholeTable"]


class WholeTable:
    """The items of all users of one table, for maintenance and never for serving users.

    Items are DynamoDB's JSON as the service sent them, with binary values as base64 text. Raises
    ConfigurationError for an AsyncDataStore.
    """

    def __init__(self, store: DataStore) -> None:
        self.store = store
        self.session = store.session
        self.session.blocking_driver()

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Send one request of any operation and return the body of the reply.

        It may be sent, and applied, more than once. Nothing is added to the parameters, so they
        need the table's name. Raises ServiceError.
        """
        session = self.session
        request = Call(operation, parameters)
        result = drive(session.execute(persist(request, session.retry, session.rng)))
        if isinstance(result, Failure):
            raise service_error(operation, result, session.settings)
        return result.body

    def scan(
        self,
        *,
        segments: int = 4,
        after: Mapping[int, Item | None] | None = None,
        consistent: bool = True,
        limit: int | None = None,
    ) -> Iterator[Segment]:
        """Yield page after page of all segments, which are read at the same time.

        `after` resumes a scan of as many segments: by the number of each segment, the last
        `Segment.after` that it gave, None for one that was read to its end. `limit` is the greatest
        number of items in a page. Raises ServiceError, which names the segment.
        """
        if not 1 <= segments <= _MAX_SEGMENTS:
            raise InvalidRecordError(f"segments takes a number from 1 to {_MAX_SEGMENTS:,}")
        session = self.session
        scan = Scan(segments=segments, consistent=consistent, limit=limit)
        scanning = scan_segments(scan, after or {}, session.retry, session.rng)
        return drive_each(session.stream(scanning))

    def user_items(self, user_id: str) -> Iterator[list[Item]]:
        """Yield the items of one user, page by page, by consistent reads."""
        return ([item.item for item in page.items] for page in self.user_pages(user_id))

    def user_pages(self, user_id: str) -> Iterator[ItemPage]:
        """Yield the pages of one user's items, each with the read units that it cost."""
        scope = Scope(self.session, user_id)
        return drive_each(reading.pages(scope, Query(user_id=user_id, consistent=True)))

    def put(self, items: Iterable[Item]) -> float:
        """Write items of distinct keys over what is stored; return the write units consumed.

        Items are neither checked nor stamped. After a ServiceError any of them may have been
        written; it is safe to put them again.
        """
        session = self.session
        return drive(session.execute(put_items(items, session.retry, session.rng)))

    def put_each(
        self,
        items: Sequence[Item],
        *,
        only_free: bool,
        same: Callable[[Item, Item], bool] = same_item,
    ) -> Puts:
        """Write items of distinct keys one by one, with `only_free` only under free keys.

        `same` compares a stored item and the one to be written. The outcomes are in the order of
        the items; an item that the service finds invalid is one of them, and raises nothing. After
        a ServiceError any of the items may have been written.
        """
        session = self.session
        putting = put_each(
            items, only_free=only_free, policy=session.retry, rng=session.rng, same=same
        )
        return drive(session.execute(putting))

    def get(self, keys: Iterable[Key]) -> list[Item]:
        """Return the stored items of distinct keys, in any order, by consistent reads.

        Raises ServiceError.
        """
        session = self.session
        reading = get_many(keys, consistent=True, policy=session.retry, rng=session.rng)
        return [item.item for item in drive(session.execute(reading))]


_MAX_SEGMENTS = 1_000_000
