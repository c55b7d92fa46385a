"""A gate that lets requests through until the store is closed."""

from __future__ import annotations

import threading
import time

from thrivecalc_models.transport.process import PerProcess

_LOOK = 0.002  # seconds between two looks whether a request is still in flight

Pass = tuple[int, object]
"""One round of requests: its thread, and an object, since a thread can have several."""


class Gate:
    """Lets rounds of requests through until it is closed; closing waits for those inside.

    There is no lock, which a signal handler or a fork in another thread could find held: adding to
    a set and removing from it are atomic.
    """

    def __init__(self) -> None:
        self.closed = False
        self._inside: PerProcess[set[Pass]] = PerProcess(set)

    @staticmethod
    def new_pass() -> Pass:
        """Return a pass for this thread, which no other call has."""
        return threading.get_ident(), object()

    def enter(self, own: Pass) -> None:
        """Be inside until `leave`, which must follow. Read `closed` only after this.

        In the other order, `close` could find the gate empty between the two steps.
        """
        self._inside.get().add(own)

    def leave(self, own: Pass) -> None:
        """Be inside no longer."""
        self._inside.get().discard(own)

    def is_inside(self) -> bool:
        """Whether this thread is inside, as it is in a signal handler or an observer."""
        own = threading.get_ident()
        return any(thread == own for thread, _ in self._inside.get().copy())

    def is_empty(self) -> bool:
        """Whether no thread of this process is inside."""
        return not self._inside.get()

    def close(self, *, wait: bool) -> None:
        """Let nothing more in; with `wait`, return when nothing is inside any more."""
        self.closed = True
        while wait and not self.is_empty():
            time.sleep(_LOOK)
