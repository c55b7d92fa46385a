"""The state machine of edits, with one seed after another for as long as one likes.

python tests/support/fuzz_edits.py --seconds 3600 --seed 1
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from places import TESTS

sys.path.append(str(TESTS / "unit"))
from test_records_origins import OriginsMachine

EXAMPLES = 200
"""Of each seed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    until = time.monotonic() + arguments.seconds
    for number in itertools.count(arguments.seed):
        run_state_machine_as_test(
            seed(number)(OriginsMachine),
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=30,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
        print(f"seed {number}: {EXAMPLES} histories of edits, none lost or misplaced anything")
        if time.monotonic() > until:
            return


if __name__ == "__main__":
    main()
