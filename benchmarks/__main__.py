"""Everything in one run, on one processor.

    python -m benchmarks [--quick] [--write]

Prints whether each goal is reached. With `--write` it keeps the results beside
docs/performance.md, and writes the page's tables and its picture anew. `--quick` takes few and
short samples, to see that all of it works.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from typing import Any

from benchmarks import goals, latency, memory, operations, page, profile, report


def measure(*, quick: bool) -> dict[str, Any]:
    began = os.getloadavg()[0]
    measured = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    result: dict[str, Any] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "measured": measured,
    }
    _say("the five operations")
    result |= operations.collect(**({"rounds": 1, "sample": 0.02} if quick else {}))
    _say("where their CPU goes")
    result["profile"] = profile.collect(**({"seconds": 0.1} if quick else {}))
    _say("latency")
    result["latency"] = latency.collect(**({"rounds": 1} if quick else {}))
    _say("memory and imports")
    result["memory"] = memory.collect(**({"rounds": 1, "records": 4000} if quick else {}))
    return result | {"load": [began, os.getloadavg()[0]]}


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what} ...", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the library and its peers.")
    parser.add_argument("--quick", action="store_true", help="few and short samples")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md anew")
    options = parser.parse_args()
    report.share_a_processor()
    result = measure(quick=options.quick)
    for name, text in page.sections([result]).items():
        if name not in ("opening", "runs"):
            print(f"{text}\n")
    reached, judged = goals.reached(result)
    print(f"{reached} of {judged} goals reached")
    if options.write:
        page.keep(result)
        page.write()


if __name__ == "__main__":
    main()
