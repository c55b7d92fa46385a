"""Holding back what would interrupt a commit, until its account is complete."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from signal import SIGINT
from types import FrameType, TracebackType
from typing import Any

try:
    # What the functions of `signal` wrap. Before Python 3.13 the wrappers look in vain for an
    # enum's member of each handler, which takes ten times as long.
    from _signal import getsignal, signal  # type: ignore[import-not-found]
except ImportError:
    from signal import getsignal, signal

Handler = Callable[[int, FrameType | None], Any]

_SLICE = 0.05  # seconds until a wait notices that it is not wanted any more


class Shield:
    """A context in which Ctrl-C is only noted, and what a transport raises is kept.

    `interrupt` is what asks for the end: while the shield is up, the first exception that was kept,
    or a KeyboardInterrupt once SIGINT came; afterwards what the old SIGINT handler raised when it
    was called at the end. The shield itself raises nothing and ends no exception. A shield is for
    one thread, and for once; outside the main thread, which alone gets signals, it only keeps.
    """

    def __init__(self) -> None:
        self._kept: BaseException | None = None
        self._signalled: BaseException | None = None
        self._old_handler: Handler | None = None

    @property
    def interrupt(self) -> BaseException | None:
        return self._signalled if self._kept is None else self._kept

    def keep(self, error: BaseException) -> None:
        """Remember `error` as the interrupt, unless there is one already."""
        if self._kept is None:
            self._kept = error

    def wait(self, seconds: float) -> None:
        """Let so many seconds pass, or fewer if SIGINT comes or came.

        It sleeps in slices, since an Event that a signal handler sets can lock its own thread, and
        `SimpleQueue.get(timeout=...)` of Python 3.11 and 3.12 can block for ever.
        """
        end = time.monotonic() + seconds
        while self.interrupt is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))

    def __enter__(self) -> Shield:
        if threading.get_ident() == threading.main_thread().ident:
            handler = getsignal(SIGINT)
            if callable(handler):
                self._old_handler = handler
                signal(SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._old_handler is None:
            return
        try:
            # Where somebody set another handler in the meantime, that one stays.
            if getsignal(SIGINT) == self._note:
                signal(SIGINT, self._old_handler)
            if self._signalled is not None:
                self._signalled = None
                self._old_handler(SIGINT, None)
        except BaseException as raised:  # noqa: BLE001 - the unit of work raises it, when it is ready
            self._signalled = raised

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._signalled = KeyboardInterrupt()
