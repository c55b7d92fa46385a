"""Run the package's coroutines from synchronous calls.

What reads and writes is written once, as coroutines. A synchronous driver returns from every
request and every wait, so that nothing suspends them: they run to their end in one step.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of a synchronous store and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine of a synchronous store was suspended")


def drive_each(generator: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """Yield the values of an asynchronous generator of a synchronous store."""
    try:
        while True:
            try:
                value = drive(generator.__anext__())
            except StopAsyncIteration:
                return
            yield value
    finally:
        drive(generator.aclose())


def documented_as(twin: type) -> Callable[[type[T]], type[T]]:
    """Decorate a class whose methods have the docstrings of the methods of its synchronous twin."""

    def decorate(cls: type[T]) -> type[T]:
        for name, member in vars(cls).items():
            if not name.startswith("_") and getattr(member, "__doc__", "") is None:
                member.__doc__ = getattr(twin, name).__doc__
        return cls

    return decorate
