"""Every error of the library.

    ThriveCalcError
    ├── InvalidRecordError (ValueError)      bad input, found before the network
    │   ├── UnsafeNumberError                a number that JavaScript cannot hold
    │   ├── ItemTooLargeError                over 400 KB
    │   └── InvalidKeyError                  bad user id, type, record id or cursor
    ├── RecordExistsError                    create on a taken key
    ├── RecordNotFoundError (LookupError)    replacing what is not there
    ├── ConflictError                        changed since it was read
    ├── OutcomeUnknownError                  nobody can say whether it was applied
    ├── CorruptItemError                     what is stored breaks the table's rules
    ├── IsolationError                       another user's record, key or cursor
    ├── CommitError                          a commit that did not apply completely
    ├── UnitOfWorkStateError (RuntimeError)  used after close, after a failed commit, by two threads
    ├── ConfigurationError                   settings that cannot work
    └── ServiceError                         what the service, or the way to it, said no with
        ├── TableNotFoundError               no such table in this region, at this endpoint
        ├── AccessDeniedError                credentials that may not, or are not valid
        ├── ThrottledError                   the service asked to slow down, for too long
        ├── UnavailableError                 the service or the network failed, for too long
        └── RefusedError (InvalidRecordError)  the service found invalid what passed here

Messages name the object, what was tried and the way out. Facts are attributes, and only there can
anything personal be found: no message shows an amount, a name, an e-mail address or a full user id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from thrivecalc_models.records import UserRecord

Outcome = Literal["not applied", "unknown"]


class ThriveCalcError(Exception):
    """Root of all errors of this library.

    An error of a single write has `record`, the record that was to be written, and `outcome`:
    "not applied" or "unknown". Repeating the call with that record is the same write.
    """

    record: UserRecord | None = None
    outcome: Outcome | None = None


class InvalidRecordError(ThriveCalcError, ValueError):
    """Bad input, found before anything was sent.

    `path` is where, in the table's spelling (`data.limits.food`). `errors` maps record keys to
    their exceptions when several records of a unit of work are bad.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        errors: Mapping[str, Exception] | None = None,
    ) -> None:
        super().__init__(message)
        self.path = path
        self.errors: Mapping[str, Exception] = dict(errors or {})


class UnsafeNumberError(InvalidRecordError):
    """A number above 2^53 - 1, or with more digits than JavaScript's `Number` keeps."""


class ItemTooLargeError(InvalidRecordError):
    """An item over 409,600 bytes; `size` is what DynamoDB would count."""

    def __init__(self, message: str, *, size: int, path: str | None = None) -> None:
        super().__init__(message, path=path)
        self.size = size


class InvalidKeyError(InvalidRecordError):
    """A user id, type, record id or cursor that no record can have."""


class RecordExistsError(ThriveCalcError):
    """Creating a record whose key is taken; `record_key` says which, `stored` what is there."""

    def __init__(self, message: str, *, record_key: str, stored: UserRecord | None = None) -> None:
        super().__init__(message)
        self.record_key = record_key
        self.stored = stored


class RecordNotFoundError(ThriveCalcError, LookupError):
    """Replacing a record that is not there."""

    def __init__(self, message: str, *, record_key: str) -> None:
        super().__init__(message)
        self.record_key = record_key


class ConflictError(ThriveCalcError):
    """The record was changed since it was read.

    `stored` is the record as it is stored now, or None if it is gone.
    """

    def __init__(self, message: str, *, record_key: str, stored: UserRecord | None = None) -> None:
        super().__init__(message)
        self.record_key = record_key
        self.stored = stored


class OutcomeUnknownError(ThriveCalcError):
    """A reply was lost, and nobody can say whether the write was applied.

    `stored` is the record as it was seen afterwards, where it was seen.
    """

    def __init__(self, message: str, *, record_key: str, stored: UserRecord | None = None) -> None:
        super().__init__(message)
        self.record_key = record_key
        self.stored = stored


class CorruptItemError(ThriveCalcError):
    """A stored item that breaks the table's rules: `record_key`, `path` and the `item` itself."""

    def __init__(
        self,
        message: str,
        *,
        record_key: str | None = None,
        path: str | None = None,
        item: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.record_key = record_key
        self.path = path
        self.item = item


class IsolationError(ThriveCalcError):
    """Another user's record, key or cursor."""


class CommitError(ThriveCalcError):
    """A commit that did not apply completely.

    Every pending record key is in exactly one of `applied`, `existing`, `not_applied`, `unknown`.
    `causes` maps every unknown key, and the culprits of the others, to its exception.
    """

    def __init__(
        self,
        message: str,
        *,
        applied: Sequence[str] = (),
        existing: Sequence[str] = (),
        not_applied: Sequence[str] = (),
        unknown: Sequence[str] = (),
        causes: Mapping[str, ThriveCalcError] | None = None,
    ) -> None:
        super().__init__(message)
        self.applied = list(applied)
        self.existing = list(existing)
        self.not_applied = list(not_applied)
        self.unknown = list(unknown)
        self.causes: dict[str, ThriveCalcError] = dict(causes or {})


class UnitOfWorkStateError(ThriveCalcError, RuntimeError):
    """A unit of work used after it was closed, after a failed commit, or by two threads."""


class ConfigurationError(ThriveCalcError):
    """Settings that cannot work."""


class ServiceError(ThriveCalcError):
    """What the service, or the way to it, said no with.

    `operation` is DynamoDB's name of the call, `code` its error code, `request_id` its id where
    one came back, `service_message` its own words, which may repeat what was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        service_message: str | None = None,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.code = code
        self.request_id = request_id
        self.service_message = service_message


class RefusedError(ServiceError, InvalidRecordError):
    """A request that the service itself found invalid, where this library should have."""


class TableNotFoundError(ServiceError):
    """No such table in this region, at this endpoint."""


class AccessDeniedError(ServiceError):
    """Credentials that may not do this, or that are not valid; `action` is the IAM action."""

    action: str | None = None


class ThrottledError(ServiceError):
    """The service asked to slow down until the tries or the time were spent."""


class UnavailableError(ServiceError):
    """The service or the network failed until the tries or the time were spent."""
