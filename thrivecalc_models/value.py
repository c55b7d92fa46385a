"""Frozen attrs classes that can be printed at any time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

__all__ = ["even_half_made", "frozen"]


def even_half_made(describe: Callable[[Any], str]) -> Callable[[Any], str]:
    """Decorate a `__repr__` for objects whose `__init__` has not come to its end.

    A crash report that shows the local variables of every frame shows them, too.
    """

    @functools.wraps(describe)
    def __repr__(self: Any) -> str:
        try:
            return describe(self)
        except AttributeError:
            return f"<{type(self).__qualname__}, half made>"

    return __repr__


if TYPE_CHECKING:
    from attrs import frozen  # the name by which type checkers know attrs' classes
else:

    def frozen(cls=None, **options):
        """`attrs.frozen`, with a repr that never raises. See `even_half_made`."""
        if cls is None:
            return functools.partial(frozen, **options)
        made = attrs.frozen(cls, **options)
        made.__repr__ = even_half_made(made.__repr__)
        return made
