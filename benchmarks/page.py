"""docs/performance.md and its picture, written from the results that are kept beside them.

    python -m benchmarks.page

Each Python that was measured has its results in docs/performance-3.13.json or the like.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import chart, goals, latency, memory, operations, profile, report
from benchmarks.goals import Result

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
PICTURE = DOCS / "performance.svg"
OURS = "direct"
BUSY = 2.5  # a load average that the benchmark does not explain


def results() -> list[Result]:
    """What was measured, the newest Python first."""
    found = [json.loads(path.read_text()) for path in DOCS.glob("performance-*.json")]
    return sorted(found, key=lambda result: _release(result), reverse=True)


def _release(result: Result) -> list[int]:
    return [int(part) for part in str(result["python"]).split(".")[:2]]


def short(result: Result) -> str:
    """Such as 3.13."""
    return ".".join(map(str, _release(result)))


def keep(result: Result) -> None:
    """Write the results of a run into their file."""
    path = DOCS / f"performance-{short(result)}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


def picture(result: Result) -> str:
    """The CPU of the five operations, and the wall time of a large commit."""
    names = {name: _without_notes(full) for name, full in result["names"].items()}
    panels = [
        *(
            (
                f"{operation.title}, µs",
                {name: result["cpu"][name][column] for name in names},
            )
            for column, operation in operations.OPERATIONS.items()
        ),
        (f"{latency.TITLES[0]} at 5 ms, ms", {name: _bulk(result, name)[0] for name in names}),
    ]
    title = f"CPU, and wall time at 5 ms; less is better. Python {short(result)}, one run"
    return chart.svg(title, names, panels, OURS)


def _without_notes(name: str) -> str:
    return name.partition(" (")[0]


def _bulk(result: Result, name: str) -> list[float]:
    """Milliseconds of the commit and the get_many; ours with the default, 8 in flight."""
    bulk = result["latency"]["bulk"]
    taken = bulk.get(name) or bulk[f"thrivecalc_models, {name}, 8 in flight"]
    return [seconds * 1000 for seconds in taken]


def opening(found: list[Result]) -> str:
    newest = found[0]
    rows = [
        [
            full,
            *(report.number(newest["cpu"][name][column]) for column in operations.OPERATIONS),
            *(f"{ms:,.0f}" for ms in _bulk(newest, name)),
        ]
        for name, full in newest["names"].items()
    ]
    header = (
        "",
        *operations.HEADER[1:],
        *(f"{title} at 5 ms" for title in latency.TITLES),
    )
    return "\n\n".join(
        [
            "![CPU and wall time of the library and of other clients](performance.svg)",
            f"Microseconds of CPU for the five operations, milliseconds of wall time for the last"
            f" two; {_machine(newest)}. {_how(newest)}",
            report.table(header, rows),
        ]
    )


def _machine(result: Result) -> str:
    return f"CPython {result['python']}, {result['system']}, {result['processors']} processors"


def _how(result: Result) -> str:
    begin, end = result["load"]
    text = (
        f"Measured {result['measured']} on one processor. The load average of the machine was"
        f" {begin:.1f} before and {end:.1f} after; the benchmark alone makes about 1."
    )
    if max(begin, end) > BUSY:
        text += (
            " Other programs ran at the same time, so the figures are too high, and more so for"
            " Python code than for compiled code."
        )
    return text


def goal_table(found: list[Result]) -> str:
    ordered = found[::-1]
    header = ("goal", "limit", *(f"Python {short(result)}" for result in ordered))
    rows = [
        [goal.what, goal.text, *(goal.verdict(result) for result in ordered)]
        for goal in goals.GOALS
    ]
    counts = "; ".join(
        f"Python {short(result)}: {yes} of {judged}"
        for result in ordered
        for yes, judged in [goals.reached(result)]
    )
    return f"Reached: {counts}.\n\n{report.table(header, rows)}"


def sections(found: list[Result]) -> dict[str, str]:
    """The text between each pair of markers of the page."""
    newest = found[0]

    def each(text: str, make: object) -> str:
        assert callable(make)
        return "\n\n".join(f"Python {short(result)}{text}:\n\n{make(result)}" for result in found)

    return {
        "opening": opening(found),
        "runs": "\n".join(f"- {_machine(result)}. {_how(result)}" for result in found),
        "goals": goal_table(found),
        "cpu": each(
            ", microseconds of CPU",
            lambda result: operations.table(result["names"], result["cpu"]),
        ),
        "wall": each(
            ", microseconds of wall time",
            lambda result: operations.table(result["names"], result["wall"]),
        ),
        "bulk": each("", lambda result: latency.bulk_table(result["latency"]["bulk"])),
        "updates": each("", lambda result: latency.updates_table(result["latency"]["updates"])),
        "imports": each("", lambda result: memory.imports_table(result["memory"]["imports"])),
        "reading": each("", lambda result: memory.reading_table(result["names"], result["memory"])),
        "profile": f"Python {short(newest)}, microseconds of CPU:\n\n"
        + profile.table(newest["profile"]),
    }


def render(page: str, found: list[Result]) -> str:
    """The page with its sections written anew."""
    for name, text in sections(found).items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
        before, marker, rest = page.partition(begin)
        _, other, after = rest.partition(end)
        if not (marker and other):
            raise ValueError(f"{PAGE.name} has no place for {name}")
        page = f"{before}{begin}\n{text}\n\n{end}{after}"
    return page


def write() -> None:
    found = results()
    PAGE.write_text(render(PAGE.read_text(), found))
    PICTURE.write_text(picture(found[0]))


if __name__ == "__main__":
    write()
