"""Every error of the library.

    ThriveCalcError
    ├── InvalidRecordError (ValueError)      bad input, found before the network
    │   ├── UnsafeNumberError                a number that JavaScript cannot hold
    │   ├── ItemTooLargeError                over 400 KB
    │   ├── InvalidKeyError                  bad user id, type, record id or cursor
    │   └── MissingFieldError (AttributeError)  a field of a payload without a value
    ├── RecordExistsError                    create on a taken key
    ├── RecordNotFoundError (LookupError)    the record to replace does not exist
    ├── ConflictError                        changed since it was read
    ├── OutcomeUnknownError                  a reply was lost; the outcome is unknown
    ├── CorruptItemError                     a stored item breaks the table's rules
    ├── IsolationError                       another user's record, key or cursor
    ├── CommitError                          a commit that did not apply completely
    ├── UnitOfWorkStateError (RuntimeError)  used after close, after a failed commit, by two threads
    ├── ConfigurationError                   settings that cannot work
    ├── FileProblem                          a file that cannot be read or written
    └── ServiceError                         the service or the network failed a request
        ├── TableNotFoundError               no such table in this region, at this endpoint
        ├── AccessDeniedError                credentials are not valid or lack a permission
        ├── ThrottledError                   the service asked to slow down, for too long
        ├── UnavailableError                 the service or the network failed, for too long
        └── RefusedError (InvalidRecordError)  invalid to the service, but passed our checks

    UserWarning
    ├── UnknownTypeWarning                   an unregistered type, close to a registered one
    └── UnattachedRecordWarning              edited in the block of a unit that does not have it

Messages name the object, what was tried and the fix. Facts are attributes, and only attributes can
hold personal data: no message shows an amount, a name, an e-mail address or a full user id.

An error pickles and copies. It arrives with its message, its facts and its outcome. Its records
arrive unbound, as their items say. Task queues keep `args`, and `type(error)(*error.args)` gives
the same error without its records and items: `args` is the message and, if there are any, the facts
that JSON can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeAlias

Outcome = Literal["not applied", "unknown"]

Rebuilding: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments; called in another process, it makes the record again."""


class StoredRecord(Protocol):
    """What an error uses of a record: its attributes, and how to make it in another process."""

    @property
    def user_id(self) -> str: ...
    @property
    def record_key(self) -> str: ...
    @property
    def data_type(self) -> str: ...
    @property
    def record_id(self) -> str: ...
    @property
    def data(self) -> Any: ...
    @property
    def created_at(self) -> datetime | None: ...
    @property
    def updated_at(self) -> datetime | None: ...
    @property
    def ttl(self) -> datetime | None: ...
    @property
    def version(self) -> str: ...
    @property
    def item(self) -> dict[str, Any] | None: ...
    @property
    def malformed(self) -> bool: ...
    def rebuilding(self) -> Rebuilding: ...


class ThriveCalcError(Exception):
    """Root of all errors of this library.

    An error of a single write has `record`, the record that was to be written, and `outcome`:
    "not applied" or "unknown". Repeating the call with that record is the same write.
    """

    record: StoredRecord | None = None
    outcome: Outcome | None = None

    def __init__(self, message: str = "", facts: object = None, /) -> None:
        super().__init__(escape_surrogates(message))
        self._take(facts)

    def _take(self, facts: object) -> None:
        """Set the facts from `args` of another error, after the class has set its defaults."""
        if isinstance(facts, Mapping):
            for name in _FACTS & facts.keys():
                setattr(self, name, _from_plain(facts[name]))

    @property
    def args(self) -> tuple[Any, ...]:
        """The message and the facts in JSON's types, from which the error can be made again."""
        facts = {
            name: form
            for name in sorted(_FACTS)
            if (form := _plain(getattr(self, name, None), self)) is not None
        }
        return (str(self), facts) if facts else (str(self),)

    @args.setter
    def args(self, args: tuple[Any, ...]) -> None:
        message, *facts = args or ("",)
        BaseException.args.__set__(self, (message,))  # type: ignore[attr-defined]  # a descriptor
        self._take(facts[0] if facts else None)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _made, (type(self), str(self)), self.__getstate__()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value if name not in _RECORDS or value is None else _Parcel(value)
            for name, value in vars(self).items()
        }

    def __setstate__(self, state: Mapping[str, Any] | None) -> None:
        for name, value in (state or {}).items():
            setattr(self, name, value.record if isinstance(value, _Parcel) else value)


_FACTS: Final = frozenset(
    {
        *("action", "applied", "causes", "code", "errors", "existing", "not_applied", "operation"),
        *("outcome", "path", "record_key", "request_id", "size", "unknown"),
    }
)
_RECORDS: Final = ("record", "stored")


def escape_surrogates(text: str) -> str:
    """Escape halves of surrogate pairs, which no terminal, log, file or JSON can hold."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _made(cls: type[ThriveCalcError], message: str) -> ThriveCalcError:
    return cls.__new__(cls, message)


class _Parcel:
    """A record in a pickle: unpickling or copying it makes the record again."""

    def __init__(self, record: StoredRecord) -> None:
        self.record = record

    def __reduce_ex__(self, protocol: Any) -> Rebuilding:
        return self.record.rebuilding()


def _plain(value: Any, owner: ThriveCalcError) -> Any:
    """Return a fact in JSON's types, None if there is none; leave out the error itself."""
    if isinstance(value, Mapping):
        return {
            key: [type(error).__name__, *error.args]
            for key, error in value.items()
            if error is not owner
        } or None
    return list(value) or None if isinstance(value, list) else value


def _from_plain(form: Any) -> Any:
    if isinstance(form, Mapping):
        return {key: _named_error(*parts) for key, parts in form.items()}
    return form


def _named_error(name: str, *args: Any) -> ThriveCalcError:
    cls = globals().get(name)
    if isinstance(cls, type) and issubclass(cls, ThriveCalcError):
        return cls(*args)
    return InvalidRecordError(*args[:1])


class InvalidRecordError(ThriveCalcError, ValueError):
    """Bad input, found before anything was sent.

    `path` is the first bad place, in the table's spelling (`data.limits.food`). `errors` maps every
    bad path to its exception, or for a unit of work every bad record key.
    """

    def __init__(
        self,
        message: str = "",
        facts: object = None,
        /,
        *,
        path: str | None = None,
        errors: Mapping[str, Exception] | None = None,
    ) -> None:
        super().__init__(message)
        self.path = None if path is None else escape_surrogates(path)
        self._errors = dict(errors or {})
        self._take(facts)

    @property
    def errors(self) -> Mapping[str, Exception]:
        """The exceptions by path or record key; this error itself if it is the only one."""
        if self._errors or self.path is None:
            return self._errors
        return {self.path: self}

    @errors.setter
    def errors(self, errors: Mapping[str, Exception]) -> None:
        self._errors = dict(errors)


class UnsafeNumberError(InvalidRecordError):
    """A number above 2^53 - 1, or with more digits than JavaScript's `Number` keeps."""


class ItemTooLargeError(InvalidRecordError):
    """An item over 409,600 bytes; `size` is what DynamoDB would count."""

    def __init__(
        self,
        message: str = "",
        facts: object = None,
        /,
        *,
        size: int = 0,
        path: str | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.size = size
        self._take(facts)


class InvalidKeyError(InvalidRecordError):
    """A user id, type, record id or cursor that no record can have."""


class MissingFieldError(InvalidRecordError, AttributeError):
    """A field without a value: a pickle, or an `__init__` of a payload's class, set none."""


class _OfOneKey(ThriveCalcError):
    """What the errors of a write of one key have in common."""

    def __init__(
        self,
        message: str = "",
        facts: object = None,
        /,
        *,
        record_key: str = "",
        stored: StoredRecord | None = None,
    ) -> None:
        super().__init__(message)
        self.record_key = record_key
        self.stored = stored
        self._take(facts)


class RecordExistsError(_OfOneKey):
    """The key of a new record is taken: `record_key` is that key, `stored` the stored record."""


class RecordNotFoundError(ThriveCalcError, LookupError):
    """The record to replace does not exist."""

    def __init__(self, message: str = "", facts: object = None, /, *, record_key: str = "") -> None:
        super().__init__(message)
        self.record_key = record_key
        self._take(facts)


class ConflictError(_OfOneKey):
    """The record was changed since it was read.

    `stored` is the record as it is stored now, or None if it is gone.
    """


class OutcomeUnknownError(_OfOneKey):
    """A reply was lost, so it is unknown whether the write was applied.

    `stored` is the record as it was read afterwards, if it was.
    """


class CorruptItemError(ThriveCalcError):
    """A stored item that breaks the table's rules: `record_key`, `path` and the `item` itself."""

    def __init__(
        self,
        message: str = "",
        facts: object = None,
        /,
        *,
        record_key: str | None = None,
        path: str | None = None,
        item: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.record_key = record_key
        self.path = path
        self.item = item
        self._take(facts)


class IsolationError(ThriveCalcError):
    """Another user's record, key or cursor."""


class CommitError(ThriveCalcError):
    """A commit that was not applied completely.

    Every pending record key is in exactly one of `applied`, `existing`, `not_applied`, `unknown`.
    `causes` maps every unknown key, and every key that caused the failure, to its exception.
    """

    def __init__(
        self,
        message: str = "",
        facts: object = None,
        /,
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
        self._take(facts)


class UnitOfWorkStateError(ThriveCalcError, RuntimeError):
    """A unit of work used after it was closed, after a failed commit, or by two threads."""


class ConfigurationError(ThriveCalcError):
    """Settings that cannot work."""


class FileProblem(ThriveCalcError):
    """A file that cannot be read or written; the message names the fix."""


class ServiceError(ThriveCalcError):
    """The service refused or failed the request, or the network did.

    `operation` is DynamoDB's name of the call, `code` its error code, `request_id` its id if one
    came back, and `service_message` the service's own words, which may repeat what was sent.
    """

    def __init__(
        self,
        message: str = "",
        facts: object = None,
        /,
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
        self._take(facts)


class RefusedError(ServiceError, InvalidRecordError):
    """The service refused a request as invalid that this library should have refused."""


class TableNotFoundError(ServiceError):
    """No such table in this region, at this endpoint."""


class AccessDeniedError(ServiceError):
    """The credentials are not valid or lack a permission; `action` is the IAM action."""

    action: str | None = None


class ThrottledError(ServiceError):
    """The service asked to slow down until the tries or the time were spent."""


class UnavailableError(ServiceError):
    """The service or the network failed until the tries or the time were spent."""


class UnknownTypeWarning(UserWarning):
    """An unregistered type that is close to a registered one."""


class UnattachedRecordWarning(UserWarning):
    """A record was edited in the block of a unit of work that does not have it."""
