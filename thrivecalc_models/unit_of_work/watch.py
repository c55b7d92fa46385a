"""Warn of pending changes that would be lost with their unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from weakref import finalize

from thrivecalc_models.errors import CorruptItemError, InvalidRecordError, IsolationError
from thrivecalc_models.records.scope import Scope
from thrivecalc_models.signals import warn
from thrivecalc_models.unit_of_work.entries import Entry, pending_writes


def watch(
    unit: object, entries: Mapping[str, Entry], scope: Scope, *, lock: bool
) -> finalize[..., object]:
    """Warn when a unit is dropped with changes that were never sent, until `detach` is called.

    That is called at each commit: what is raised in a finalizer is lost, and a Ctrl-C that comes
    while garbage is collected is raised in the first one that is left.
    """
    watching = finalize(unit, _warn_if_pending, entries, scope, lock)
    watching.atexit = False
    return watching


def _warn_if_pending(entries: Mapping[str, Entry], scope: Scope, lock: bool) -> None:
    if has_pending(entries.values(), scope, lock=lock):
        warn_of_loss("dropped")


def has_pending(entries: Collection[Entry], scope: Scope, *, lock: bool) -> bool:
    """Whether any of a unit's entries waits to be sent; what cannot be written does, too."""
    try:
        return any(entry.attempt is not None for entry in entries) or bool(
            entries and pending_writes(entries, scope, lock=lock, in_doubt=set())
        )
    except (InvalidRecordError, CorruptItemError, IsolationError):
        return True


def warn_of_loss(how: str) -> None:
    warn(
        f"a unit of work was {how} with pending changes, which were not sent; commit it, or roll it"
        " back",
        ResourceWarning,
    )
