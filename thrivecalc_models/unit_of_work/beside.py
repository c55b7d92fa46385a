"""Records that a user's scope returns in the block of a unit of work that does not have them.

The unit keeps track of them, so that it can warn if one was edited.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import ReferenceType, ref

from thrivecalc_models.records import UserRecord
from thrivecalc_models.records.scope import Scope

if TYPE_CHECKING:
    from thrivecalc_models.unit_of_work.unit import UnitOfWork

_BLOCKS: ContextVar[tuple[ReferenceType[UnitOfWork], ...]] = ContextVar("blocks", default=())


def enter(work: UnitOfWork) -> None:
    _BLOCKS.set((*_BLOCKS.get(), ref(work)))


def leave(work: UnitOfWork) -> None:
    """End a block, which may be in another context than it began in: there it is not known."""
    if _BLOCKS.get():
        _BLOCKS.set(tuple(each for each in _BLOCKS.get() if each() not in (None, work)))


def give(scope: Scope, record: UserRecord | None) -> None:
    """Note a record that a scope gives, if a block of a unit of the same user is open around it."""
    if not _BLOCKS.get() or record is None:
        return
    for each in _BLOCKS.get():
        work = each()
        if work is not None:
            work.note_beside(scope, record)


def give_all(scope: Scope, records: Iterable[UserRecord | None]) -> None:
    if _BLOCKS.get():
        for record in records:
            give(scope, record)
