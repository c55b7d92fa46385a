"""What belongs to one event loop, and waits that a cancellation does not cut short."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from thrivecalc_models.errors import ConfigurationError
from thrivecalc_models.transport.process import PerProcess

T = TypeVar("T")


class Hold(asyncio.Future[None]):
    """A future that `release` ends, and no cancellation.

    A task that awaits it and is cancelled gets its CancelledError once the future is done: a future
    that refuses to be cancelled has the task wait on.
    """

    def cancel(self, msg: object = None) -> bool:
        """Refuse, which leaves the cancellation to the end of the wait."""
        return False

    def release(self) -> None:
        """Let whoever waits go on."""
        if not self.done():
            self.set_result(None)


class PerLoop(Generic[T]):
    """One value for the event loop that is running, made when it is first needed.

    It belongs to that loop until the loop is closed. A forked child makes its own on a loop of its
    own: neither uses what the other opened. `leave` is called with the value of a closed loop.
    """

    def __init__(
        self,
        make: Callable[[asyncio.AbstractEventLoop], T],
        *,
        leave: Callable[[T], object] = lambda value: None,
    ) -> None:
        self._make = make
        self._leave = leave
        self._lock = PerProcess(threading.Lock)
        self._owned: tuple[asyncio.AbstractEventLoop, int, T] | None = None

    def get(self) -> T:
        """This loop's value. Raises ConfigurationError while another loop has one."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise ConfigurationError(
                "an asynchronous store is used where its event loop runs: await the call in a"
                " coroutine, or take a DataStore"
            ) from error
        owned = self._owned
        if owned is None or owned[0] is not loop:  # a forked child cannot run its parent's
            owned = self._own(loop)
        return owned[2]

    def _own(self, loop: asyncio.AbstractEventLoop) -> tuple[asyncio.AbstractEventLoop, int, T]:
        with self._lock.get():
            owned = self._owned
            if owned is not None and owned[1] == os.getpid():
                if not owned[0].is_closed():
                    raise ConfigurationError(
                        "this store belongs to another event loop, which is still open; make one"
                        " store for each loop, or close that loop first"
                    )
                self._leave(owned[2])
            self._owned = owned = loop, os.getpid(), self._make(loop)
            return owned
