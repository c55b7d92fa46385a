"""Read and write across users: only for looking after the table."""

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
from thrivecalc_models.wire import Item, same_item

__all__ = ["Segment", "WholeTable"]


class WholeTable:
    """Every user's items of one table: for looking after it, never for serving users.

    Items are DynamoDB's JSON, as the service sent them, with binary values as base64 text.
    """

    def __init__(self, store: DataStore) -> None:
        self.store = store
        self.session = store.session

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The reply to one request, of any operation that may be applied twice without harm.

        Nothing is added to the parameters, the table's name neither. Raises ServiceError.
        """
        session = self.session
        request = Call(operation, parameters)
        result = session.execute(persist(request, session.retry, session.rng))
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
        """Page after page of all segments, which are read side by side; memory stays flat.

        A segment of `after` goes on behind its key, or is left out where that is None: so the last
        `Segment.after` of each number resumes a scan of as many segments. `limit` is the most items
        of a page. A page that cannot be read is a ServiceError that names its segment.
        """
        if not 1 <= segments <= _MAX_SEGMENTS:
            raise InvalidRecordError(f"segments takes a number from 1 to {_MAX_SEGMENTS:,}")
        session = self.session
        scan = Scan(segments=segments, consistent=consistent, limit=limit)
        return session.stream(scan_segments(scan, after or {}, session.retry, session.rng))

    def user_items(self, user_id: str) -> Iterator[list[Item]]:
        """All items of one user, page by page, as they are now (a consistent read)."""
        return (page.items for page in self.user_pages(user_id))

    def user_pages(self, user_id: str) -> Iterator[ItemPage]:
        """The same, each page with the read units that it cost."""
        scope = Scope(self.session, user_id)
        return reading.pages(scope, Query(user_id=user_id, consistent=True))

    def put(self, items: Iterable[Item]) -> float:
        """Write items of distinct keys as they are, over what is stored; returns write units.

        Nothing is checked, and no stamp is set. Raises ServiceError, after which any of the items
        may have been written; putting them again is harmless.
        """
        session = self.session
        return session.execute(put_items(items, session.retry, session.rng))

    def put_each(
        self,
        items: Sequence[Item],
        *,
        only_free: bool,
        same: Callable[[Item, Item], bool] = same_item,
    ) -> Puts:
        """Write items of distinct keys one by one, with `only_free` where the key is free.

        `same` says of a stored item and the one to be written whether they are the same. The
        outcomes are in their order: one that the service finds invalid is told, not raised. Raises
        ServiceError, after which any of the items may have been written.
        """
        session = self.session
        return session.execute(
            put_each(items, only_free=only_free, policy=session.retry, rng=session.rng, same=same)
        )

    def get(self, keys: Iterable[Key]) -> list[Item]:
        """The items under distinct keys, as they are now, in no order. Raises ServiceError."""
        session = self.session
        return session.execute(
            get_many(keys, consistent=True, policy=session.retry, rng=session.rng)
        )


_MAX_SEGMENTS = 1_000_000
