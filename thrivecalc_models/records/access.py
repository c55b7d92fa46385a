"""One user's way to the table: every key that is sent and every item that returns is checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import attrs

from thrivecalc_models import codec, table
from thrivecalc_models.errors import (
    InvalidKeyError,
    InvalidRecordError,
    IsolationError,
)
from thrivecalc_models.operations import GetItem, Key, Protocol, Query, Write
from thrivecalc_models.payloads import is_payload
from thrivecalc_models.protocol import (
    ItemPage,
    get_item,
    get_many,
    read_page,
    read_pages,
)
from thrivecalc_models.records.model import DATA_TYPES, RecordMeta, UnknownRecord, UserRecord
from thrivecalc_models.records.session import Session
from thrivecalc_models.wire import (
    Item,
    check_data_type,
    check_record_id,
    check_user_id,
    describe,
    later,
    plain_value,
    record_key,
    split_key,
)

T = TypeVar("T")

DataTypeLike = str | type[UserRecord]
RecordId = str | UUID
KeyLike = tuple[DataTypeLike, RecordId] | str


@attrs.frozen(eq=False, repr=False)
class Access:
    """Reads for one user, and the checks of everything that is to be written for them."""

    session: Session
    user_id: str = attrs.field(converter=check_user_id)

    # --- keys -------------------------------------------------------------------------------------

    def data_type(self, data_type: DataTypeLike) -> str:
        """The text of a type given as text or as a record class. Raises InvalidKeyError.

        Warns of one that nobody registered but that is close to one that is.
        """
        text = self._type_text(data_type)
        DATA_TYPES.warn_if_unknown(text)
        return text

    def _type_text(self, data_type: DataTypeLike) -> str:
        if isinstance(data_type, RecordMeta):
            own = data_type._own_data_type
            if own is None:
                raise InvalidKeyError(
                    f"{data_type.__name__} has no data type of its own; name one",
                    path=table.DATA_TYPE,
                )
            return own
        given: object = data_type
        if isinstance(given, type):
            raise InvalidKeyError(
                f"{given.__name__} is no record class; give one, such as SavingsGoal, or the"
                " data type as text",
                path=table.DATA_TYPE,
            )
        return check_data_type(data_type)

    def key(self, data_type: DataTypeLike, record_id: RecordId) -> Key:
        """The key of a record of this user. Raises InvalidKeyError."""
        text = self.data_type(data_type)
        return Key(self.user_id, record_key(text, check_record_id(record_id, text)))

    def check_write(self, write: Write, record_key: str) -> None:
        """Raises IsolationError for a write of another key: whatever made it, it is not sent."""
        key = write.key
        if key.user_id != self.user_id or key.record_key != record_key:
            raise IsolationError(
                f"the write of {describe(record_key)} was made for another user or key than it was"
                " queued for; nothing was sent"
            )

    def key_of(self, given: KeyLike) -> Key:
        """The key that a pair of type and record id, or the text of a record key, stands for.

        Raises InvalidKeyError.
        """
        pair: Any = given if isinstance(given, tuple | list) else None
        text = plain_value(given)
        if type(text) is str:
            pair = split_key(text)
        if pair is None or len(pair) != 2:
            raise InvalidKeyError(
                "a key is a pair of type and record id, such as (SavingsGoal, record_id), or the"
                " text of a record key, such as SavingsGoal.key(record_id)",
                path=table.RECORD_KEY,
            )
        return self.key(*pair)

    def check_owner(self, record: UserRecord) -> None:
        """Raises IsolationError for a record of another user."""
        if not isinstance(record, UserRecord):
            raise TypeError(f"a record is needed here, not {type(record).__name__}")
        if not record.user_id:
            raise InvalidRecordError(
                f"{describe(record.record_key)} was never stored; use add or put",
                path=table.USER_ID,
            )
        if record.user_id != self.user_id:
            raise IsolationError(
                f"{describe(record.record_key)} belongs to another user than this scope; use that"
                " user's own"
            )

    # --- items and records ------------------------------------------------------------------------

    def record(self, item: Item) -> UserRecord:
        return UserRecord.from_item(item, session=self.session)

    def seen(self, item: Item, *, include_expired: bool) -> UserRecord | None:
        """The record of an item, unless its ttl has passed: DynamoDB sweeps it later."""
        record = UserRecord.from_item(item, session=self.session)
        if table.TTL not in item or include_expired:
            return record
        ttl = record.ttl
        return None if ttl is not None and ttl < self.session.clock() else record

    # --- reading ----------------------------------------------------------------------------------

    def fetch(self, key: Key, *, consistent: bool) -> Item | None:
        operation = GetItem(key=key, consistent=consistent)
        return self.run(get_item(operation, self.session.retry, self.session.rng))

    def fetch_many(
        self, keys: Mapping[str, Key], *, consistent: bool, include_expired: bool
    ) -> dict[str, UserRecord]:
        """The records that are there of some keys, both by record key."""
        wanted = keys.values()
        items = self.run(
            get_many(wanted, consistent=consistent, policy=self.session.retry, rng=self.session.rng)
        )
        found = {}
        for item in items:
            name = item[table.RECORD_KEY]["S"]
            record = self.seen(item, include_expired=include_expired)
            if record is not None:
                found[name] = record
        return found

    def records(self, query: Query, *, include_expired: bool) -> list[UserRecord]:
        """The records of all pages, but those whose ttl has passed."""
        records = []
        for page in self.pages(query):
            for item in page.items:
                record = self.seen(item, include_expired=include_expired)
                if record is not None:
                    records.append(record)
        return records

    def pages(self, query: Query) -> Iterator[ItemPage]:
        """Page after page, as the service orders them."""
        reading = read_pages(query, self.session.retry, self.session.rng)
        return self.session.stream(reading, user_id=self.user_id)

    def page(self, query: Query) -> ItemPage:
        return self.run(read_page(query, self.session.retry, self.session.rng))

    def run(self, protocol: Protocol[T]) -> T:
        return self.session.execute(protocol, user_id=self.user_id)

    # --- what callers give ------------------------------------------------------------------------

    def make(
        self,
        given: Any,
        data: Any = None,
        *,
        record_id: RecordId | None = None,
        ttl: datetime | timedelta | None = None,
    ) -> UserRecord:
        """The record of a payload, of a record, or of a type with a camelCase mapping.

        Raises InvalidRecordError, InvalidKeyError, and IsolationError for another user's record.
        """
        if isinstance(given, UserRecord):
            if data is not None or record_id is not None:
                raise TypeError("a record has its own data and record id; give no others")
            if not given.user_id:
                given.user_id = self.user_id
            self.check_owner(given)
            record = given
        else:
            generated = record_id is None
            record = self._new(given, data, self.session.new_id() if generated else record_id)
            record._has_fresh_id = generated
        if isinstance(ttl, timedelta):
            ttl = later(self.session.clock(), ttl, path=table.TTL)
        if ttl is not None:
            record.ttl = ttl
        record._belong_to(record._session or self.session, self.user_id)
        return record

    def _new(self, given: Any, data: Any, record_id: Any) -> UserRecord:
        if data is None:
            if is_payload(given, table.DATA):
                return _class_of_payload(type(given))._of_payload(self.user_id, record_id, given)
            if isinstance(given, tuple) and len(given) == 2:
                given, data = given
        if data is None:
            raise InvalidRecordError(
                "give a payload, a record, or a type and a mapping in the table's spelling, not"
                f" {type(given).__name__}",
                path=table.DATA,
            )
        data_type = self._type_text(given)
        record_class = UserRecord.data_type.class_of(data_type)
        if record_class is None:
            record: UserRecord = UnknownRecord(
                self.user_id, data_type=data_type, record_id=record_id
            )
        else:
            record = record_class(self.user_id, record_id=record_id)
        if is_payload(data, table.DATA):
            record.data = data
        else:
            content = codec.check_mapping(
                record.payload_class(), data, js_safe=self.session.js_safe_numbers
            )
            record._state.base = {table.DATA: {"M": content}}
        return record


def distinct(keys: Iterable[Key]) -> dict[str, Key]:
    """The keys of one user, each once, by record key."""
    return {key.record_key: key for key in keys}


def _class_of_payload(payload_class: type) -> type[UserRecord]:
    classes = DATA_TYPES.classes_of_payload(payload_class)
    if len(classes) != 1:
        found = "no record class has" if not classes else "several record classes have"
        raise InvalidRecordError(
            f"{found} the payload {payload_class.__name__}; give the type, too", path=table.DATA
        )
    return classes[0]
