"""Frozen attrs classes that can be printed at any time, and are quick to define."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

__all__ = ["even_half_made", "frozen", "internal"]


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
    # The names by which type checkers know attrs' classes.
    from attrs import frozen
    from attrs import frozen as internal
else:

    def frozen(cls=None, **options):
        """`attrs.frozen`, with a repr that never raises. See `even_half_made`."""
        return _made(attrs.frozen, cls, options)

    def internal(cls=None, **options):
        """The same for values that only the library holds, frozen to type checkers alone.

        Thousands of them are made. attrs sets each field of a class that is frozen at run time by
        a call, which is a tenth of the time of a small request.
        """
        return _made(attrs.define, cls, options)


def _made(make: Callable[..., Any], cls: type | None, options: dict[str, Any]) -> Any:
    """Make a class, and give it methods that attrs would write and compile for each at import."""
    if cls is None:
        return functools.partial(_made, make, options=options)
    made = make(cls, eq=False, repr=False, **options)
    names = [field.name for field in attrs.fields(made) if field.eq]
    compared = operator.attrgetter(*names) if names else type

    def __eq__(self: Any, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(compared(self) == compared(other))

    def __hash__(self: Any) -> int:
        return hash((self.__class__, compared(self)))

    made.__eq__, made.__hash__ = __eq__, __hash__
    made.__repr__ = even_half_made(vars(cls).get("__repr__", _repr))
    return made


def _repr(self: Any) -> str:
    shown = [
        f"{field.name}={getattr(self, field.name)!r}"
        for field in attrs.fields(type(self))
        if field.repr
    ]
    return f"{type(self).__qualname__.rpartition('>.')[2]}({', '.join(shown)})"
