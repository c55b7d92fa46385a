"""A limit of capacity units a second."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Delays requests so that they use at most so many capacity units a second; None is no limit.

    The cost of a request is known after it, so the next one waits until it is paid.
    """

    def __init__(
        self,
        units_a_second: float | None,
        monotonic: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        self.most = units_a_second
        self._monotonic = monotonic
        self._sleep = sleep
        self._free_at = monotonic()

    def wait(self) -> None:
        """Sleep until what was spent is paid."""
        seconds = self._free_at - self._monotonic()
        if seconds > 0:
            self._sleep(seconds)

    def spent(self, units: float) -> None:
        """Count the units of a request."""
        if self.most is not None:
            self._free_at = max(self._free_at, self._monotonic()) + units / self.most
