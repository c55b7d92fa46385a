"""The picture at the top of docs/performance.md: a panel of bars for each operation, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from benchmarks import report

WIDTH = 840
LABELS = 200  # for the clients' names, on the left
COLUMNS = 3
GAP, NUMBERS = 18, 38  # between panels; for the number at the end of a bar
BAR, STEP, HEAD, TOP = 11, 17, 30, 52

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.panel { font-weight: 600 }
.ours { font-weight: 600 }
.number { font-size: 11px }
.paper { fill: #ffffff }
rect.peer { fill: #afb8c1 }
rect.ours { fill: #1a7f64 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .paper { fill: #0d1117 }
  rect.peer { fill: #57606a }
  rect.ours { fill: #3fb68b }
}
"""

Panel = tuple[str, Mapping[str, float]]
"""A title, and the value of each client that has one."""


def svg(title: str, names: Mapping[str, str], panels: Sequence[Panel], ours: str) -> str:
    """Bars are as long as their values, from zero, each panel in a scale of its own."""
    width = (WIDTH - LABELS - COLUMNS * GAP) / COLUMNS
    height = HEAD + len(names) * STEP
    rows = -(-len(panels) // COLUMNS)
    parts = [
        f'<text class="title" x="12" y="26">{escape(title)}</text>',
        *(
            part
            for number, panel in enumerate(panels)
            for part in _panel(
                panel,
                names,
                ours,
                LABELS + (number % COLUMNS) * (width + GAP),
                TOP + (number // COLUMNS) * (height + GAP),
                width,
            )
        ),
        *(
            f'<text{_class(short, ours)} x="12" y="{_line(row, line, height):.0f}">'
            f"{escape(name)}</text>"
            for row in range(rows)
            for line, (short, name) in enumerate(names.items())
        ),
    ]
    bottom = TOP + rows * (height + GAP)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}"'
            f' width="{WIDTH}" height="{bottom}" role="img" aria-label="{escape(title)}">',
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{bottom}" rx="6"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _line(row: int, line: int, height: float) -> float:
    return TOP + row * (height + GAP) + HEAD - 8 + line * STEP + BAR - 1


def _class(short: str, ours: str) -> str:
    return ' class="ours"' if short == ours else ""


def _panel(
    panel: Panel, names: Mapping[str, str], ours: str, x: float, y: float, width: float
) -> list[str]:
    title, values = panel
    scale = (width - NUMBERS) / max(values.values())
    parts = [f'<text class="panel" x="{x:.0f}" y="{y + 8:.0f}">{escape(title)}</text>']
    for line, short in enumerate(names):
        if short in values:
            value, top = values[short], y + HEAD - 8 + line * STEP
            length = max(1.0, value * scale)
            kind = "ours" if short == ours else "peer"
            parts += [
                f'<rect class="{kind}" x="{x:.0f}" y="{top:.0f}" width="{length:.1f}"'
                f' height="{BAR}" rx="2"/>',
                f'<text class="number" x="{x + length + 5:.1f}" y="{top + BAR - 1:.0f}">'
                f"{report.number(value)}</text>",
            ]
    return parts
