"""Connections, threads, locks and imports, which a child process must not share."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

forks_wait: Final = threading.RLock()
"""Held during late imports, and while TLS contexts are made. A fork waits until it is free.

A lock of Python's import system, or of OpenSSL, that another thread holds at the fork stays locked
in the child for ever.
"""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=forks_wait.acquire,
        after_in_parent=forks_wait.release,
        after_in_child=forks_wait.release,
    )


class PerProcess(Generic[T]):
    """One value for each process, made when it is first needed; a forked child makes its own.

    A connection used on both sides of a fork gives one process's replies to the other. The child
    uses neither the parent's value nor its lock, which a thread may have held at the fork.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._slots: dict[int, _Slot[T]] = {}

    def get(self) -> T:
        """Return this process's value, made now if there is none."""
        slot = self._slot()
        value = slot.value
        if value is None:
            with slot.lock:
                value = slot.value
                if value is None:
                    value = slot.value = self._make()
        return value

    def take(self) -> T | None:
        """Remove and return this process's value, or None."""
        slot = self._slot()
        with slot.lock:
            value, slot.value = slot.value, None
        return value

    def _slot(self) -> _Slot[T]:
        pid = os.getpid()
        # setdefault is atomic, so two threads of a fresh child agree on one slot.
        return self._slots.get(pid) or self._slots.setdefault(pid, _Slot())


class _Slot(Generic[T]):
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: T | None = None
