"""Hold back interrupts of a commit until its report is complete."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from types import FrameType, TracebackType


class Shield:
    """A context for one commit: it keeps an interrupt, and `interrupt` asks the commit to end.

    From `hold_signals` to the end of the context Ctrl-C is only noted. Other interrupts are
    exceptions, which their catcher gives to `keep`. The shield itself raises nothing and suppresses
    no exception. A shield is used once, by one thread.
    """

    def __init__(self) -> None:
        self._kept: BaseException | None = None
        self._pressed = False
        self._holds = False

    @property
    def interrupt(self) -> BaseException | None:
        """The first exception that was kept, or KeyboardInterrupt if Ctrl-C came before any."""
        if self._kept is None and self._pressed:
            self._kept = KeyboardInterrupt()
        return self._kept

    def keep(self, error: BaseException) -> None:
        """Remember `error` as the interrupt, unless there is one already."""
        if self.interrupt is None:
            self._kept = error

    def guard(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function, and keep what it raises."""
        try:
            function(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised by the shield's owner, at the end
            self.keep(error)

    def hold_signals(self) -> None:
        """From now on Ctrl-C is noted, where Python's own handler would raise KeyboardInterrupt.

        Another handler, such as asyncio's, stays as it is. So does Python's where only someone else
        may replace it: outside the main thread, which alone gets signals, and in a subinterpreter.
        """
        if self._holds or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, self._note)
            self._holds = True

    def conclude(self, error: Exception | None) -> None:
        """Raise the interrupt, or `error`, which is the report of the work; nothing if neither.

        An interrupt that is no Exception, such as KeyboardInterrupt, is raised with the report as
        its cause. Any other is only the cause of an incomplete report.
        """
        interrupt = self.interrupt
        if interrupt is not None and (error is None or not isinstance(interrupt, Exception)):
            raise interrupt from error
        if error is None:
            return
        if interrupt is not None:
            raise error from interrupt
        raise error

    def __enter__(self) -> Shield:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # If the host set another handler in the meantime, that one stays.
        if self._holds and signal.getsignal(signal.SIGINT) == self._note:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            except KeyboardInterrupt as pressed:
                self.keep(pressed)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        # No lock, no event, no queue: this may run inside any step of the thread that waits.
        self._pressed = True
