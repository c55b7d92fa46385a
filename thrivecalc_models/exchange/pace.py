"""A limit of capacity units a second."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Waits so long that units come to no more than so many a second; None is no limit.

    What a request costs is known after it: the next one waits until that much time has passed.
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
        seconds = self._free_at - self._monotonic()
        if seconds > 0:
            self._sleep(seconds)

    def spent(self, units: float) -> None:
        if self.most is not None:
            self._free_at = max(self._free_at, self._monotonic()) + units / self.most
