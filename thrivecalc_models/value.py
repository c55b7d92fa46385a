"""Values of which thousands are made: frozen to type checkers, and as cheap as attrs has them.

A class that is frozen at run time, too, takes more than twice as long to make. What callers can get
hold of is frozen there as well, by `attrs.frozen`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen as value
else:
    import functools

    import attrs

    value = functools.partial(attrs.define, unsafe_hash=True)

__all__ = ["value"]
