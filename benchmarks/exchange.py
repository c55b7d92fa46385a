"""What exporting and importing 200,000 records takes: time, and the memory of the process.

    python -m benchmarks.exchange [--records 200000]

Against an endpoint that answers at once, each run in a process of its own. Peak memory is that of
the whole process, over what it has when it has read and written one record of the same format.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import goal, report
from benchmarks.endpoint import running

FORMATS = ("jsonl", "jsonl.gz", "csv", "parquet")
FEW = 4  # records that show what a process has before it works

RUN = """
import json, resource, sys, time
from pathlib import Path
from thrivecalc_models import DataStore
from thrivecalc_models.exchange import Options, export_table, import_file
from thrivecalc_models.whole_table import WholeTable
what, endpoint, table, path = sys.argv[1:]
with DataStore(endpoint=endpoint, table_name=table) as store:
    whole, path = WholeTable(store), Path(path)
    started, cpu = time.perf_counter(), time.process_time()
    if what == "export":
        export_table(whole, path)
    else:
        import_file(whole, path, Options(replace=what == "replace"))
    took = time.perf_counter() - started, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([*took, peak / 1024, path.stat().st_size / 1e6]))
"""


def run(what: str, endpoint: str, records: int, path: Path) -> list[float]:
    """Seconds, seconds of CPU, peak MB of memory, MB of the file."""
    ran = subprocess.run(
        [sys.executable, "-c", RUN, what, endpoint, f"{goal.TABLE}-{records}", str(path)],
        cwd=Path(__file__).parents[1],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [float(each) for each in json.loads(ran.stdout)]


def rows(endpoint: str, records: int, directory: Path) -> list[list[str]]:
    found = []
    for ending in FORMATS:
        path, small = directory / f"all.{ending}", directory / f"few.{ending}"
        for what, name in (
            ("export", "export"),
            ("import", "import, free keys only"),
            ("replace", "import --replace"),
        ):
            _, _, before, _ = run(what, endpoint, FEW, small)
            seconds, cpu, peak, size = run(what, endpoint, records, path)
            found.append(
                [
                    f"{name}, `.{ending}`",
                    f"{records / seconds:,.0f}",
                    f"{cpu:.1f}",
                    f"{size:.1f}",
                    f"{peak:.0f}",
                    f"{peak - before:.0f}",
                ]
            )
        path.unlink()
        small.unlink()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=200_000)
    records = parser.parse_args().records
    with running() as endpoint, tempfile.TemporaryDirectory() as directory:
        found = rows(endpoint, records, Path(directory))
    header = ("", "records a second", "s of CPU", "MB of file", "peak MB", "MB over a few records")
    print(f"{report.machine()}; {records:,} records of about 430 bytes:\n")
    print(report.table(header, found))


if __name__ == "__main__":
    main()
