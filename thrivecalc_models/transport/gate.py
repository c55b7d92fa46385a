"""The gate through which requests go, for as long as it is open."""

from __future__ import annotations

import threading
import time

from thrivecalc_models.transport.process import PerProcess

_LOOK = 0.002  # seconds between two looks whether somebody is still inside

Pass = tuple[int, object]
"""A thread and something of its own: one round of requests."""


class Gate:
    """Lets rounds of requests through until it is closed; closing waits for those inside.

    There is no lock that a signal handler, or a fork in another thread, could find held: adding to
    a set and taking from it are single steps.
    """

    def __init__(self) -> None:
        self.closed = False
        self._inside: PerProcess[set[Pass]] = PerProcess(set)

    @staticmethod
    def new_pass() -> Pass:
        return threading.get_ident(), object()

    def enter(self, own: Pass) -> None:
        """Be inside until `leave`, which must follow in any case. Look at `closed` only then."""
        self._inside.get().add(own)

    def leave(self, own: Pass) -> None:
        self._inside.get().discard(own)

    def is_inside(self) -> bool:
        """Whether this very thread is inside, as within a signal handler or an observer."""
        own = threading.get_ident()
        return any(thread == own for thread, _ in self._inside.get().copy())

    def is_empty(self) -> bool:
        return not self._inside.get()

    def close(self, *, wait: bool) -> None:
        """Let nothing more in; with `wait` nothing is inside any more afterwards."""
        self.closed = True
        while wait and not self.is_empty():
            time.sleep(_LOOK)
