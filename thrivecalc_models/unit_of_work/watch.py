"""Warn of pending changes that would be lost with their unit."""

from __future__ import annotations

from weakref import finalize

from thrivecalc_models.signals import warn
from thrivecalc_models.unit_of_work.identity_map import IdentityMap


def watch(unit: object, identity_map: IdentityMap) -> finalize[..., object]:
    """Warn when a unit is dropped with changes that were never sent, until `detach` is called.

    Each commit calls `detach`: what is raised in a finalizer is lost, and a Ctrl-C that arrives
    during garbage collection is raised in the first finalizer that is left.
    """
    watching = finalize(unit, _warn_if_pending, identity_map)
    watching.atexit = False
    return watching


def _warn_if_pending(identity_map: IdentityMap) -> None:
    if identity_map.has_pending():
        warn_of_loss("dropped")


def warn_of_loss(how: str) -> None:
    """Send a ResourceWarning for pending changes of a unit that was closed or dropped."""
    warn(
        f"a unit of work was {how} with pending changes, which were not sent; commit it, or roll it"
        " back",
        ResourceWarning,
    )
