"""What needs msgspec, which is imported at its first use: models are defined without it."""

from __future__ import annotations

from functools import cache
from types import ModuleType


@cache
def json_text() -> ModuleType:
    """Return the module of that name."""
    from thrivecalc_models.wire import json_text as module

    return module
