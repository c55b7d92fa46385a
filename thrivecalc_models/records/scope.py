"""The scope of one user: its keys, and checks that refuse records and keys of others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import InvalidKeyError, InvalidRecordError, IsolationError
from thrivecalc_models.operations import Key, WriteOperation
from thrivecalc_models.records.model import DATA_TYPES, RecordMeta, UserRecord
from thrivecalc_models.records.session import Session
from thrivecalc_models.wire import (
    check_data_type,
    check_record_id,
    check_user_id,
    describe,
    plain_value,
    record_key,
    split_key,
)

DataTypeLike = str | type[UserRecord]
RecordId = str | UUID
KeyLike = tuple[DataTypeLike, RecordId] | str


@attrs.frozen(eq=False, repr=False)
class Scope:
    """One user of one store. Every key that is sent is made or checked here."""

    session: Session
    user_id: str = attrs.field(converter=check_user_id)

    def data_type(self, data_type: DataTypeLike) -> str:
        """Return the text of a type given as text or as a record class. Raises InvalidKeyError.

        Warns of an unregistered type that is close to a registered one.
        """
        text = type_text(data_type)
        DATA_TYPES.warn_if_unknown(text)
        return text

    def key(self, data_type: DataTypeLike, record_id: RecordId) -> Key:
        """Return the key of a record of this user. Raises InvalidKeyError."""
        text = self.data_type(data_type)
        return Key(self.user_id, record_key(text, check_record_id(record_id, text)))

    def check_write(self, write: WriteOperation, record_key: str) -> None:
        """Raise IsolationError for a write of another key: a last check before it is sent."""
        key = write.key
        if key.user_id != self.user_id or key.record_key != record_key:
            raise IsolationError(
                f"the write of {describe(record_key)} was made for another user or key than it was"
                " queued for; nothing was sent"
            )

    def key_of(self, given: KeyLike) -> Key:
        """Return the key of a (type, record id) pair or of a record key. Raises InvalidKeyError."""
        return self.key(*self.pair_of(given))

    def pair_of(self, given: KeyLike) -> tuple[DataTypeLike, RecordId]:
        """Return a pair of type and record id as it is, or that of a record key.

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
        data_type, record_id = pair
        return data_type, record_id

    def check_owner(self, record: UserRecord) -> None:
        """Raise IsolationError for a record of another user, InvalidRecordError for one of none."""
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


def type_text(data_type: DataTypeLike) -> str:
    """Return the text of a type given as text or as a record class. Raises InvalidKeyError."""
    if isinstance(data_type, RecordMeta):
        own = data_type.own_data_type()
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


def distinct(keys: Iterable[Key]) -> dict[str, Key]:
    """Return the keys of one user by record key, each once."""
    return {key.record_key: key for key in keys}
