"""Write the golden files anew: `python -m tests.golden`, from the root of the project."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests")]  # as for pytest

import peer  # noqa: E402
from golden import cases  # noqa: E402

home = ROOT / ".engines/typescript"
missing = peer.why_missing(home)
if missing:
    sys.exit(f"The golden files need the TypeScript peer: {missing}")
with peer.running(home) as running:
    files = cases.write(running)
print(f"{len(files)} golden files written; `git diff` shows what changed")
