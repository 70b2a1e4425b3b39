#!/usr/bin/env python3
"""Draws what `measure growth` prints, as a figure: growth.py <FILE >growth.svg. The file may hold other text as well."""

import math
import re
import sys
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, TOP = 205, 220, 60  # of a panel, and where it begins
FIRST, STEP = 48, 242  # where the panels are, from the left

STYLE = """<style>
text { fill: #222; stroke: #fff; stroke-width: 3; paint-order: stroke }
.paper { fill: #fff }
.grid { stroke: #ccc }
.curve { fill: none; stroke-width: 2 }
.subject0 { stroke: #777; stroke-dasharray: 2 3 }
.subject1 { stroke: #c04a00 }
.subject2 { stroke: #9a4a8a; stroke-dasharray: 8 3 }
.subject3 { stroke: #0072b2; stroke-dasharray: 4 2 }
.subject4 { stroke: #007a5a }
.m0 { fill: #777 } .m1 { fill: #c04a00 } .m2 { fill: #9a4a8a } .m3 { fill: #0072b2 } .m4 { fill: #007a5a }
@media (prefers-color-scheme: dark) {
text { fill: #eee; stroke: #111 }
.paper { fill: #111 }
.grid { stroke: #444 }
.subject1 { stroke: #ff9a5a } .subject2 { stroke: #e0a0d0 } .subject3 { stroke: #56b4e9 } .subject4 { stroke: #3cc99a }
.m0 { fill: #aaa } .m1 { fill: #ff9a5a } .m2 { fill: #e0a0d0 } .m3 { fill: #56b4e9 } .m4 { fill: #3cc99a }
}
</style>
<defs>
<g id="mark0"><circle class="m0" r="3"/></g>
<g id="mark1"><path class="m1" d="M-4 -4h8v8h-8z"/></g>
<g id="mark2"><path class="m2" d="M0 -5L5 4H-5z"/></g>
<g id="mark3"><path class="m3" d="M0 -6L6 0L0 6L-6 0z"/></g>
<g id="mark4"><circle class="m4" r="4"/></g>
</defs>"""


@dataclass
class Panel:
    """One quantity, and where it is on paper: both axes are logarithmic, in whole powers of ten upwards."""

    name: str
    columns: list[str]
    rows: dict[int, list[float]]  # by the number of clients
    left: int

    @property
    def powers(self) -> range:
        values = [value for row in self.rows.values() for value in row]
        low = math.floor(math.log10(min(values)))
        return range(low, max(math.ceil(math.log10(max(values))), low + 1) + 1)

    def x(self, clients: int) -> int:
        return self.left + round(WIDTH * math.log2(clients) / math.log2(max(self.rows)))

    def y(self, value: float) -> int:
        low, *_, high = self.powers
        return TOP + HEIGHT - round(HEIGHT * (math.log10(value) - low) / (high - low))


def read(text: str) -> list[Panel]:
    panels = []
    for name, heads, rows in re.findall(r"^(\S.*)\n  clients  (.*)\n((?: +[\d,]+ .*\n)+)", text, re.MULTILINE):
        plain = re.sub(r"x[\d.,]+", "", rows.replace(",", ""))  # without the ratios
        figures = [[float(word) for word in line.split()] for line in plain.splitlines()]
        columns = re.split(r"  +", heads.strip())
        panels.append(Panel(name, columns, {int(row[0]): row[1:] for row in figures}, FIRST + STEP * len(panels)))
    return panels


def label(x: int, y: int, text: str, attributes: str = "") -> str:
    return f'<text x="{x}" y="{y}" {attributes}>{escape(text)}</text>'


def axes(panel: Panel) -> list[str]:
    bottom = TOP + HEIGHT
    parts = [label(panel.left - 34, TOP - 14, panel.name, 'font-weight="700"')]
    for power in panel.powers:
        y = panel.y(10.0**power)
        parts.append(f'<path class="grid" d="M{panel.left} {y}h{WIDTH}"/>')
        parts.append(label(panel.left - 6, y + 4, f"{10.0**power:,.{max(0, -power)}f}", 'text-anchor="end" font-size="11"'))
    for clients in panel.rows:
        parts.append(label(panel.x(clients), bottom + 16, f"{clients:,}", 'text-anchor="middle" font-size="11"'))
    return [*parts, label(panel.left + WIDTH // 2, bottom + 34, "clients", 'text-anchor="middle"')]


def curve(panel: Panel, subject: int) -> list[str]:
    points = [(panel.x(clients), panel.y(row[subject])) for clients, row in panel.rows.items()]
    path = "M" + "L".join(f"{x} {y}" for x, y in points)
    marks = [f'<use href="#mark{subject}" x="{x}" y="{y}"/>' for x, y in points]
    return [f'<path class="curve subject{subject}" d="{path}"/>', *marks]


def ends(panel: Panel) -> list[str]:
    """At the ends of the curves, who it is: moved apart where curves end together."""
    parts = []
    next_y = 0
    for y, subject in sorted((panel.y(value) + 4, subject) for subject, value in enumerate(panel.rows[max(panel.rows)])):
        next_y = max(y, next_y)
        parts.append(label(panel.left + WIDTH + 9, next_y, str(subject or "L"), 'font-weight="700"'))
        next_y += 13
    return parts


def legend(columns: list[str], y: int) -> list[str]:
    parts = []
    for subject, (x, name) in enumerate(zip(range(FIRST, 760, 130), columns)):
        parts.append(f'<path class="curve subject{subject}" d="M{x} {y}h34"/><use href="#mark{subject}" x="{x + 17}" y="{y}"/>')
        parts.append(label(x + 42, y + 4, name))
    return parts


def draw(panels: list[Panel]) -> str:
    title = "How four servers grow with their clients, half of them slow"
    # For who hears the figure instead of seeing it.
    told = [
        f"{panel.name}, {name}: from {panel.rows[min(panel.rows)][i]:,g} to {panel.rows[max(panel.rows)][i]:,g}."
        for panel in panels
        for i, name in enumerate(panel.columns)
    ]
    bottom = TOP + HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {bottom + 86}" role="img" '
        'aria-labelledby="title description" font-family="system-ui, sans-serif" font-size="13">',
        f'<title id="title">{title}</title>',
        '<desc id="description">' + escape("\n".join(told)) + "</desc>",
        STYLE,
        '<rect class="paper" width="100%" height="100%"/>',
    ]
    for panel in panels:
        parts += axes(panel)
        for subject in range(len(panel.columns)):
            parts += curve(panel, subject)
        parts += ends(panel)
    return "\n".join([*parts, *legend(panels[0].columns, bottom + 62), "</svg>\n"])


if __name__ == "__main__":
    found = read(sys.stdin.read())
    if not found:
        sys.exit("There is no table of `measure growth` in this.")
    sys.stdout.write(draw(found))
