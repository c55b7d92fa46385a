"""Play many schedules of faults and print what they met.

    python benchmarks/schedules.py --schedules 200000 --seed 1

Ends with 1 and the schedule of the first seed that broke a law.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from schedules import LawBroken, Tally
from schedules_calls import KINDS, MIX, play_seed
from shells import SHELLS, set_shell


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=20_000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the first; each has the next one")
    parser.add_argument("--batched", action="store_true", help="of stores with batch_updates")
    parser.add_argument("--shell", choices=SHELLS, default="sync", help="of the stores")
    options = parser.parse_args()
    set_shell(options.shell)
    tally, began = Tally(), time.perf_counter()
    for seed in range(options.seed, options.seed + options.schedules):
        try:
            play_seed(seed, tally, batched=options.batched)
        except LawBroken as broken:
            print(f"seed {seed} broke a law: {broken}\n{_schedule(seed, options.batched)}")
            return 1
    seconds = time.perf_counter() - began
    print(
        f"{options.schedules} schedules from seed {options.seed}, {tally.requests} requests,"
        f" no law broken; {seconds:.0f} s, {options.schedules / seconds:.0f} a second"
    )
    for name in ("schedules", "outcomes", "faults"):
        _show(name, getattr(tally, name))
    return 0


def _schedule(seed: int, batched: bool) -> object:
    make, _ = KINDS[MIX[seed % len(MIX)]]
    return make(random.Random(seed), batched=batched)  # a schedule, not a secret


def _show(name: str, counts: Counter[str]) -> None:
    print(f"\n{name}")
    for what, count in counts.most_common():
        print(f"  {count:>9}  {what}")


if __name__ == "__main__":
    sys.exit(main())
