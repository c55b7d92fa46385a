"""Warn of records that were edited in the block of a unit of work that does not have them.

Inside `with user.unit_of_work() as work`, `user.get` returns a record that is not attached to
`work`: its edits are not committed. Each open block collects such records, and the commit warns of
the edited ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from weakref import ReferenceType, WeakSet, ref

import attrs

from thrivecalc_models.errors import UnattachedRecordWarning
from thrivecalc_models.records import UserRecord, writing
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.signals import warn
from thrivecalc_models.unit_of_work.identity_map import IdentityMap
from thrivecalc_models.wire import describe


@attrs.define(eq=False, repr=False)
class Unattached:
    """The records that scopes of the same user returned in the block of one unit."""

    attached: IdentityMap
    _records: WeakSet[UserRecord] = attrs.field(factory=WeakSet, init=False)

    def enter_block(self) -> None:
        """Collect records from now on, in this context."""
        _BLOCKS.set((*_BLOCKS.get(), ref(self)))

    def leave_block(self) -> None:
        """Stop collecting. A block may end in another context, where it has no effect."""
        if _BLOCKS.get():
            _BLOCKS.set(tuple(each for each in _BLOCKS.get() if each() not in (None, self)))

    def note(self, scope: Scope, record: UserRecord) -> None:
        """Collect a record of the unit's user and store."""
        own = self.attached.scope
        if scope.user_id == own.user_id and scope.session is own.session:
            self._records.add(record)

    def warn_of_edits(self) -> None:
        """Warn of each edited record once, and forget them all."""
        js_safe = self.attached.scope.session.js_safe_numbers
        while self._records:
            record = self._records.pop()
            if not self.attached.has(record) and writing.is_edited(record, js_safe=js_safe):
                warn(
                    f"{describe(record.record_key)} was edited in the block of a unit of work that"
                    " has not got it, so the edit is not written; read it with the unit's own get,"
                    " or write it with update",
                    UnattachedRecordWarning,
                )


# References are weak: a unit whose block was never left must not live as long as its context.
_BLOCKS: ContextVar[tuple[ReferenceType[Unattached], ...]] = ContextVar("blocks", default=())


def note_returned(scope: Scope, records: Iterable[UserRecord | None]) -> None:
    """Let every open block collect the records that a scope returns."""
    blocks = [found for each in _BLOCKS.get() if (found := each()) is not None]
    if blocks:
        for record in records:
            for block in blocks:
                if record is not None:
                    block.note(scope, record)
