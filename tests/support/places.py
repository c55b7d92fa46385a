"""Where things are: the project, its tests, the samples, and the library that is imported."""

from __future__ import annotations

from pathlib import Path

import thrivecalc_models

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SUPPORT = TESTS / "support"
DATA = TESTS / "data"
PACKAGE = Path(thrivecalc_models.__file__).parent  # of an installed wheel, not of the project
