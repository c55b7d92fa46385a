"""One commit of an identity map: what is sent in which order, and the report of every key."""

from __future__ import annotations

import uuid
from collections.abc import Coroutine, Sequence
from typing import Any

from thrivecalc_models.errors import CommitError
from thrivecalc_models.protocol import (
    AtomicWrites,
    CommitReport,
    PendingWrite,
    WriteOutcome,
    WriteStatus,
    transact,
)
from thrivecalc_models.transport import Shield
from thrivecalc_models.unit_of_work.identity_map import IdentityMap
from thrivecalc_models.unit_of_work.outcomes import commit_error, write_error

_UNKNOWN = WriteOutcome(state=WriteStatus.UNKNOWN)
_NOT_APPLIED = WriteOutcome(state=WriteStatus.NOT_APPLIED)


class Commit:
    """The sending of what is pending in a map. `report` has an outcome for every key at the end."""

    def __init__(self, identity_map: IdentityMap) -> None:
        self._map = identity_map
        self._session = identity_map.scope.session
        self._under_way: dict[str, PendingWrite] = {}
        self.report = CommitReport()

    async def send(self, pending: Sequence[PendingWrite], shield: Shield) -> None:
        """Send unknown writes first, exactly as before, then the pending ones.

        A write of unknown outcome may still be on its way to the service. A later write of the same
        key must not overtake it, so it is encoded only once the outcome is known.
        """
        identity_map, report = self._map, self.report
        attempts = identity_map.attempts()
        if identity_map.transaction is not None or attempts:
            shield.hold_signals()  # more requests may follow
            if identity_map.transaction is not None:
                await self._send_transaction(identity_map.transaction, shield)
            else:
                self._settle(attempts, await self._sent(attempts, shield), shield)
            pending = identity_map.pending_writes()
        if report.halted or identity_map.transaction is not None:
            report.outcomes |= {write.key: _NOT_APPLIED for write in pending}
        elif pending and identity_map.atomic:
            # Kept before it is sent: the next commit needs its token if this one is interrupted.
            identity_map.transaction = AtomicWrites(writes=tuple(pending), token=str(uuid.uuid4()))
            await self._send_transaction(identity_map.transaction, shield)
        elif pending:
            self._settle(pending, await self._sent(pending, shield), shield)

    def _sent(
        self, writes: Sequence[PendingWrite], shield: Shield
    ) -> Coroutine[Any, Any, CommitReport]:
        self._under_way = {write.key: write for write in writes}
        return self._session.commit(writes, shield)

    async def _send_transaction(self, transaction: AtomicWrites, shield: Shield) -> None:
        session = self._session
        self._under_way = {write.key: write for write in transaction.writes}
        sending = transact(transaction, session.retry, session.rng)
        found = await session.run(sending, shield=shield)
        self._settle(transaction.writes, found, shield)
        if not self._under_way and not found.keys(WriteStatus.UNKNOWN):
            self._map.transaction = None

    def _settle(self, writes: Sequence[PendingWrite], found: CommitReport, shield: Shield) -> None:
        self.report.merge(found)
        for write in writes:
            shield.guard(self._settle_one, write, found.outcomes[write.key])

    def _settle_one(self, write: PendingWrite, outcome: WriteOutcome) -> None:
        self._map.settle(write, outcome)
        self._under_way.pop(write.key, None)

    def settle_rest(self) -> None:
        """Give every key an outcome if an exception came between two steps of the commit.

        A write that was under way and did not get into the map is unknown to it: the next commit
        sends it first. What is still pending in the map is not applied.
        """
        outcomes = self.report.outcomes
        for write in list(self._under_way.values()):
            outcomes.setdefault(write.key, _UNKNOWN)
            self._settle_one(write, _UNKNOWN)
        for write in (*self._map.attempts(), *self._map.unknown_writes):
            outcomes.setdefault(write.key, _UNKNOWN)
        for key in self._map.pending_keys():
            if key not in outcomes or outcomes[key].state is WriteStatus.APPLIED:
                outcomes[key] = _NOT_APPLIED

    def error(self) -> CommitError | None:
        """Return the error of an incomplete commit, with its causes; None if it is complete."""
        if self.report.complete:
            return None
        causes = {}
        for key, outcome in self.report.outcomes.items():
            entry = self._map.entries.get(key)
            cause = write_error(
                self._map.scope,
                key,
                outcome,
                record=entry.record if entry is not None else None,
                adding=entry is not None and entry.action == "add",
            )
            if cause is not None:
                causes[key] = cause
        return commit_error(self.report, causes)
