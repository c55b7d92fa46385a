"""One change of one record, made of a record of the table's stream."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar, get_args

import attrs

from thrivecalc_models import table
from thrivecalc_models.errors import InvalidRecordError
from thrivecalc_models.operations import Key
from thrivecalc_models.records import UserRecord
from thrivecalc_models.value import frozen
from thrivecalc_models.wire import Item, describe, is_item, same_value, split_key

R = TypeVar("R", bound=UserRecord, covariant=True)

Kind = Literal["created", "changed", "removed", "expired"]
KINDS: frozenset[str] = frozenset(get_args(Kind))

_KIND_OF: dict[str, Kind] = {"INSERT": "created", "MODIFY": "changed", "REMOVE": "removed"}
_TTL = ("Service", "dynamodb.amazonaws.com")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(kw_only=True)
class Change(Generic[R]):
    """One change of one record.

    `old` and `new` are the record before and after, as `read_item` makes them: of unknown types and
    malformed ones too. They are None where there was none, and where the stream's view type leaves
    the image out. `fields` are the paths that differ, in the table's spelling (`data.limits.food`).
    `at` is when it was written, to the second. `event_id` is the same when a change is delivered
    again. `expired` is a deletion by the table's TTL; `removed` is any other.
    """

    kind: Kind
    user_id: str = attrs.field(repr=False)
    data_type: str
    record_id: str
    at: datetime
    event_id: str
    sequence: str
    old: R | None = attrs.field(default=None, repr=False)
    new: R | None = attrs.field(default=None, repr=False)
    fields: tuple[str, ...] = ()

    @property
    def record_key(self) -> str:
        """The record key: `dataType#recordId`."""
        return f"{self.data_type}#{self.record_id}"


def change_of(entry: Any) -> Change[UserRecord]:
    """Make the change of a record of the stream, from Lambda's event or from GetRecords.

    Raises InvalidRecordError, which shows no content, for what is no record of this table's stream.
    """
    detail = _member(entry, "dynamodb", dict)
    name = _member(entry, "eventName", str)
    if name not in _KIND_OF:
        raise InvalidRecordError(f"a stream record has the event name {describe(name)!r}")
    user_id, key = _key(_member(detail, "Keys", dict))
    old, new = _image(detail, "OldImage", user_id, key), _image(detail, "NewImage", user_id, key)
    data_type, record_id = split_key(key) or ("", key)
    return Change(
        kind="expired" if name == "REMOVE" and _is_ttl(entry) else _KIND_OF[name],
        user_id=user_id,
        data_type=data_type,
        record_id=record_id,
        at=_moment(_member(detail, "ApproximateCreationDateTime", int, float)),
        event_id=_member(entry, "eventID", str),
        sequence=_member(detail, "SequenceNumber", str),
        old=None if old is None else UserRecord.from_item(old),
        new=None if new is None else UserRecord.from_item(new),
        fields=tuple(_differing(old, new)),
    )


def sequence_of(entry: Any) -> str | None:
    """The sequence number of a record of the stream, None if it has none."""
    detail = entry.get("dynamodb") if isinstance(entry, dict) else None
    number = detail.get("SequenceNumber") if isinstance(detail, dict) else None
    return number if isinstance(number, str) else None


def user_of(entry: Any) -> str | None:
    """The user of a record of the stream, None if it does not say."""
    try:
        user_id: object = entry["dynamodb"]["Keys"][table.USER_ID]["S"]
    except (KeyError, TypeError):
        return None
    return user_id if isinstance(user_id, str) else None


def view_type_of(entry: Any) -> str | None:
    """The view type of the stream that a record comes from, None if it does not say."""
    detail = entry.get("dynamodb") if isinstance(entry, dict) else None
    return detail.get("StreamViewType") if isinstance(detail, dict) else None


def _member(holder: Any, name: str, *kinds: type) -> Any:
    content = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(content, kinds) or isinstance(content, bool):
        raise InvalidRecordError(f"a stream record has no {name}, or a malformed one", path=name)
    return content


def _key(keys: Item) -> tuple[str, str]:
    try:
        key = Key.of(keys)
    except (KeyError, TypeError):
        raise InvalidRecordError(
            "a stream record has other keys than userId and recordKey: it is of another table",
            path="Keys",
        ) from None
    return key.user_id, key.record_key


def _image(detail: Item, name: str, user_id: str, key: str) -> Item | None:
    """The image of that name, which is of the record whose keys are given."""
    image: Any = detail.get(name)
    if image is None:
        return None
    if not is_item(image) or (
        image.get(table.USER_ID) != {"S": user_id} or image.get(table.RECORD_KEY) != {"S": key}
    ):
        raise InvalidRecordError(f"the {name} of a stream record is no item of its keys", path=name)
    return image  # type: ignore[no-any-return]


def _is_ttl(entry: Any) -> bool:
    """Whether DynamoDB deleted the record since its ttl had passed."""
    identity = entry.get("userIdentity")
    if not isinstance(identity, dict):
        return False
    lower = {str(name).lower(): content for name, content in identity.items()}
    return (lower.get("type"), lower.get("principalid")) == _TTL


def _moment(seconds: float) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        pass
    raise InvalidRecordError(
        "a stream record has an ApproximateCreationDateTime that is no time",
        path="ApproximateCreationDateTime",
    )


def _differing(old: Item | None, new: Item | None, prefix: str = "") -> Iterator[str]:
    """Give the paths that differ; maps that both have are compared member by member."""
    old, new = old or {}, new or {}
    for name in [*old, *(name for name in new if name not in old)]:
        one, other = old.get(name), new.get(name)
        if one is not None and other is not None and "M" in one and "M" in other:
            yield from _differing(one["M"], other["M"], f"{prefix}{name}.")
        elif not same_value(one, other):
            yield f"{prefix}{name}"
