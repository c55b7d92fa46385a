"""Where things are: the project, its tests, and the samples."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SUPPORT = TESTS / "support"
DATA = TESTS / "data"
