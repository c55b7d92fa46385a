"""The mark of a payload class, which `@payload` sets on this very class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thrivecalc_models.errors import InvalidRecordError

_MARK = "__thrivecalc_payload__"

_DEFINED: list[type] = []
_LISTENERS: list[Callable[[type], object]] = []


def when_defined(listener: Callable[[type], object]) -> None:
    """Call this with every payload class: those that there are, and later ones when defined."""
    _LISTENERS.append(listener)
    for cls in _DEFINED:
        listener(cls)


def defined(cls: type) -> None:
    """Notify the listeners of a payload class that is ready."""
    _DEFINED.append(cls)
    for listener in _LISTENERS:
        listener(cls)


def mark(cls: type) -> None:
    setattr(cls, _MARK, True)


def is_payload_class(candidate: Any) -> bool:
    """Whether `@payload` made this class; one that only derives from such a class is none."""
    return isinstance(candidate, type) and _MARK in vars(candidate)


def is_payload(value: Any, path: str) -> bool:
    """Whether a value is a payload. Raises InvalidRecordError where its class lacks the mark."""
    cls = type(value)
    if derives_from_one(cls) and not is_payload_class(cls):
        raise InvalidRecordError(f"{path}: {why_no_payload_class(cls)}", path=path)
    return is_payload_class(cls)


def why_no_payload_class(candidate: Any) -> str:
    """A sentence for somebody who gave something else than a payload class."""
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
    return hasattr(cls, _MARK)
