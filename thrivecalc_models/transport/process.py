"""Things that must never be shared with a child process: connections, threads, locks, imports."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

forks_wait: Final = threading.RLock()
"""Held where the library imports something late, or makes TLS contexts. A fork waits for its end.

A lock of Python's import system, or of OpenSSL, that another thread held at the fork stays locked
in the child for ever.
"""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=forks_wait.acquire,
        after_in_parent=forks_wait.release,
        after_in_child=forks_wait.release,
    )


class PerProcess(Generic[T]):
    """One value a process: made when first wanted, and made anew by the child after a fork.

    A connection used on both sides of a fork hands one process's replies to the other. The child
    takes neither the parent's value nor its lock, which some thread may have held at the fork.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._slots: dict[int, _Slot[T]] = {}

    def get(self) -> T:
        slot = self._slot()
        value = slot.value
        if value is None:
            with slot.lock:
                value = slot.value
                if value is None:
                    value = slot.value = self._make()
        return value

    def take(self) -> T | None:
        """This process's value, if there is one, which is then forgotten."""
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
