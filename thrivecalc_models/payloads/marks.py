"""The mark of a payload class, which `@payload` sets on this very class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thrivecalc_models.errors import InvalidRecordError

_MARK = "__thrivecalc_payload__"

_DEFINED: list[type] = []
_LISTENERS: list[Callable[[type], object]] = []


def when_defined(listener: Callable[[type], object]) -> None:
    """Call a listener with every payload class: existing ones now, later ones when defined."""
    _LISTENERS.append(listener)
    for cls in _DEFINED:
        listener(cls)


def defined(cls: type) -> None:
    """Notify the listeners of a payload class that is ready."""
    _DEFINED.append(cls)
    for listener in _LISTENERS:
        listener(cls)


def mark(cls: type) -> None:
    """Mark a class as made by `@payload`; classes that derive from it have no mark themselves."""
    setattr(cls, _MARK, True)


def is_payload_class(candidate: Any) -> bool:
    """Return whether `@payload` made this very class, and not only a base of it."""
    return isinstance(candidate, type) and _MARK in vars(candidate)


def is_payload(value: Any, path: str) -> bool:
    """Return whether a value is a payload.

    Raises InvalidRecordError for an undecorated class that derives from a payload class.
    """
    cls = type(value)
    if derives_from_one(cls) and not is_payload_class(cls):
        raise InvalidRecordError(f"{path}: {why_no_payload_class(cls)}", path=path)
    return is_payload_class(cls)


def why_no_payload_class(candidate: Any) -> str:
    """Return the sentence of a message that refuses something which is not a payload class."""
    if not isinstance(candidate, type):
        return (
            f"this {type(candidate).__name__} is no payload class; decorate a class with @payload"
        )
    if derives_from_one(candidate):
        return (
            f"{candidate.__name__} derives from a payload class but is none, so that its own fields"
            " would not be stored; decorate it with @payload"
        )
    return f"{candidate.__name__} is no payload class; decorate it with @payload"


def derives_from_one(cls: type) -> bool:
    """Return whether a class is a payload class or derives from one."""
    return hasattr(cls, _MARK)
