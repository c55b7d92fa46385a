"""Keys: the spelling of user ids, types and record ids, what is refused, and how keys are shown."""

from __future__ import annotations

from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

from thrivecalc_models.errors import InvalidKeyError
from thrivecalc_models.plain import plain_value
from thrivecalc_models.table import DATA_TYPE, RECORD_ID, USER_ID
from thrivecalc_models.wire.text import HALF_PAIR, utf8_size

SEPARATOR: Final = "#"
MAX_PARTITION_KEY: Final = 2048
MAX_SORT_KEY: Final = 1024

_SHOWN = 60


def fresh_id() -> str:
    """Return a new record id: a random UUID, version 4 (RFC 9562)."""
    return str(uuid4())


def record_key(data_type: str, record_id: str) -> str:
    """The sort key of a record, `dataType#recordId`."""
    return f"{data_type}{SEPARATOR}{record_id}"


def split_key(record_key: str) -> tuple[str, str] | None:
    """Type and record id of a sort key, split at its first `#`; None where there is no `#`."""
    data_type, separator, record_id = record_key.partition(SEPARATOR)
    return (data_type, record_id) if separator else None


def keys_agree(key: str, data_type: str, record_id: str) -> bool:
    """Whether a sort key is that of a type and a record id, neither of them empty."""
    return (
        key == record_key(data_type, record_id)
        and SEPARATOR not in data_type
        and data_type != ""
        and record_id != ""
    )


def check_user_id(value: object) -> str:
    """Return the text of a user id that can be a partition key: 1 to 2,048 bytes in UTF-8.

    Raises InvalidKeyError, whose message never shows the user id. Source: "Constraints in Amazon
    DynamoDB", Amazon DynamoDB Developer Guide.
    """
    text, size = _text_and_size(value, "the user id", path=USER_ID)
    if size > MAX_PARTITION_KEY:
        raise InvalidKeyError(
            f"the user id has {size:,} bytes in UTF-8, a partition key holds {MAX_PARTITION_KEY:,};"
            " give the id as the identity provider issued it",
            path=USER_ID,
        )
    return text


def check_data_type(value: object) -> str:
    """Return the text of a type that can be the index's sort key: 1 to 1,024 bytes, without `#`.

    Raises InvalidKeyError. Source: "Constraints in Amazon DynamoDB", Amazon DynamoDB Developer
    Guide; a `#` would move the border between type and record id.
    """
    text, size = _text_and_size(value, "the data type", path=DATA_TYPE)
    if SEPARATOR in text:
        raise InvalidKeyError(
            f"the data type {describe(text)} contains '{SEPARATOR}', which separates it from the"
            " record id; give the type alone",
            path=DATA_TYPE,
        )
    if size > MAX_SORT_KEY:
        raise InvalidKeyError(
            f"the data type {describe(text)} has {size:,} bytes in UTF-8, an index key holds"
            f" {MAX_SORT_KEY:,}; shorten it",
            path=DATA_TYPE,
        )
    return text


def check_record_id(value: object, data_type: str) -> str:
    """Return the text of a record id with which `data_type#id` has at most 1,024 bytes in UTF-8.

    A UUID is given as its text. Raises InvalidKeyError. Source: "Constraints in Amazon DynamoDB",
    Amazon DynamoDB Developer Guide.
    """
    given = str(value) if isinstance(value, UUID) else value
    text, size = _text_and_size(given, "the record id", path=RECORD_ID)
    size += len(record_key(data_type, "").encode("utf-8", "surrogatepass"))
    if size > MAX_SORT_KEY:
        raise InvalidKeyError(
            f"the record key {describe(record_key(data_type, text))} has {size:,} bytes in UTF-8,"
            f" a sort key holds {MAX_SORT_KEY:,}; shorten the record id",
            path=RECORD_ID,
        )
    return text


def masked_user(user_id: str) -> str:
    """Return the twelve hex digits that stand for a user in logs, the same ones every time."""
    return sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def describe(record_key: str) -> str:
    """A key as messages show it: one printable line of at most 60 characters."""
    shown = record_key[:_SHOWN]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)
    if len(record_key) > _SHOWN or len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 1] + "…"
    return shown


def _text_and_size(value: object, what: str, *, path: str) -> tuple[str, int]:
    value = plain_value(value)
    if type(value) is not str:
        raise InvalidKeyError(f"{what} is {_kind(value)}; give non-empty text", path=path)
    if not value:
        raise InvalidKeyError(f"{what} is empty; give non-empty text", path=path)
    size = utf8_size(value)
    if size is None:
        raise InvalidKeyError(
            f"{what} contains {HALF_PAIR}, which UTF-8 cannot hold; repair the text",
            path=path,
        )
    return value, size


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
