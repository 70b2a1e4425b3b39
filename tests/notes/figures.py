#!/usr/bin/env python3
"""Draws the figures of figures.json into notes/figures/, each for light and for dark paper.

What stands for code there names a piece of it, as "FILE: CODE". A figure is not drawn if that file has no such piece, if
words overlap or leave their box, or if notes/figures.md does not show it. With --check, nothing is written: the files are
compared with what would be drawn.
"""

import argparse
import json
import sys
from itertools import combinations
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = Path(__file__).with_suffix(".json")
PAGE = ROOT / "notes/figures.md"
WIDTH, SIZE, SMALL, LINE = 800, 13, 11, 17  # of a figure; of letters, and of the name of a file; from line to line
Point = tuple[float, float]
Lanes = dict[str, tuple[float, str]]  # where each is, and its colour

# For each owner, its line and its surface. The line of the paper is the ink.
THEMES = {
    "light": {
        "paper": ("#1a1a1a", "#ffffff"),
        "pale": ("#666666", "#ffffff"),
        "kernel": ("#5a5a5a", "#efefef"),
        "main": ("#7a3a90", "#f6ecf9"),
        "jobs": ("#9a6a00", "#fdf3d8"),
        "worker": ("#0072b2", "#e4f1f9"),
        "stop": ("#b03a00", "#fdebe3"),
    },
    "dark": {
        "paper": ("#eeeeee", "#111111"),
        "pale": ("#a6a6a6", "#111111"),
        "kernel": ("#b8b8b8", "#242424"),
        "main": ("#d3a0e6", "#2b1b31"),
        "jobs": ("#e6b03a", "#30250c"),
        "worker": ("#56b4e9", "#0e2a3a"),
        "stop": ("#ff8c50", "#381d0e"),
    },
}


class Refused(Exception):
    """The figure would not be true, or could not be read."""


def file_of(code: str) -> str:
    """Its name, if the code is there. White space does not count: a formatter may break the line elsewhere."""
    file, _, piece = code.partition(": ")
    source = (ROOT / file).read_text() if (ROOT / file).is_file() else ""
    if not piece or "".join(piece.split()) not in "".join(source.split()):
        raise Refused(f"{file} has no '{piece}'")
    return file.rpartition("/")[2]


class Pen:
    """Plain shapes and attributes only, as in the lab's figures: every program reads those."""

    def __init__(self, colours: dict[str, tuple[str, str]]) -> None:
        self.colours = colours
        self.parts: list[str] = []
        self.texts: list[tuple[float, float, float, float, str]] = []  # from where to where, and what

    def rect(self, x: float, y: float, width: float, height: float, line: str, fill: str, more: str = "") -> None:
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self.parts.append(f'<rect {place} fill="{fill}" stroke="{line}"{more}/>')

    def line(self, points: list[Point], colour: str, more: str) -> None:
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        self.parts.append(f'<path d="{path}" fill="none" stroke="{self.colours[colour][0]}" {more}/>')

    def text(self, x: float, y: float, text: str, anchor: str, kind: str = "plain", colour: str = "paper") -> None:
        """`kind`: plain, bold, file, or clear, with paper behind it."""
        if not text:
            return
        size = SMALL if kind == "file" else SIZE
        width = size * len(text) * (0.61 if kind in ("file", "bold") else 0.56)  # a wide letter's
        left = x - {"start": 0, "middle": 0.5, "end": 1}[anchor] * width
        self.texts.append((left, y - 0.75 * size, left + width, y + 0.2 * size, text))
        if kind == "clear":
            self.rect(left, y - 12, width, 16, "none", self.colours["paper"][1])
        look = {"file": ' font-family="monospace"', "bold": ' font-weight="bold"'}.get(kind, "")
        place = f'x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}"'
        self.parts.append(f'<text {place}{look} fill="{self.colours[colour][0]}">{escape(text)}</text>')

    def words(self, x: float, y: float, text: str, anchor: str = "middle", code: str = "", **look: str) -> None:
        """Of several lines. `code`: what they stand for."""
        if code:
            file_of(code)
        for at, line in enumerate(text.split("\n")):
            self.text(x, y + LINE * at, line, anchor, **look)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        name: str = "",
        text: str = "",
        colour: str = "paper",
        code: str = "",
        frame: bool = False,
        dashed: bool = False,
    ) -> None:
        """Its name, its text, and the file of its code. A frame has them at its top, and other shapes within."""
        line, fill = self.colours[colour]
        self.rect(x, y, width, height, line, fill, ' rx="4"' + ' stroke-dasharray="5 4"' * dashed)
        lines = [(name, "bold"), *((line, "plain") for line in text.split("\n")), (code and file_of(code), "file")]
        lines = [(line, kind) for line, kind in lines if line]
        top = y + (21 if frame else (height - LINE * len(lines)) / 2 + 13)
        for at, (line, kind) in enumerate(lines):
            place, anchor = (x + 10, "start") if frame else (x + width / 2, "middle")
            self.text(place, top + LINE * at, line, anchor, kind, "pale" if kind == "file" else "paper")
            left, _, right, bottom, _ = self.texts[-1]
            if left < x or right > x + width or bottom > y + height:
                raise Refused(f"'{line}' does not fit into its box")

    def cells(self, x: float, y: float, width: float, height: float, texts: list[str], colour: str) -> None:
        """Of a queue. An empty place is dashed."""
        for at, text in enumerate(texts):
            place = x + at * width, y, width - 6, height
            self.box(*place, text=text, colour=colour if text else "pale", dashed=not text)

    def arrow(
        self,
        points: list[Point],
        colour: str = "paper",
        heads: tuple[int, ...] = (-1,),
        code: str = "",
        dashed: bool = False,
    ) -> None:
        """Along the axes. `heads`: at which of its points it has one."""
        if code:
            file_of(code)
        self.line(points, colour, 'stroke-width="2"' + ' stroke-dasharray="7 5"' * dashed)
        for at in heads:
            (a, b), (x, y) = points[at - 1 if at else 1], points[at]
            dx, dy = ((x > a) - (x < a)) * 10, ((y > b) - (y < b)) * 10
            corners = [(x, y), (x - dx - dy / 2, y - dy - dx / 2), (x - dx + dy / 2, y - dy + dx / 2)]
            tip = " ".join(f"{a:g},{b:g}" for a, b in corners)
            self.parts.append(f'<polygon points="{tip}" fill="{self.colours[colour][0]}"/>')

    def step(self, lanes: Lanes, y: float, lane: str, to: str, text: str, *codes: str) -> None:
        """From one lane to others, or in one, if it goes nowhere."""
        for code in codes:
            file_of(code)
        x, colour = lanes[lane]
        lines = text.split("\n")
        if not to:
            width, height = 16 + 0.58 * SIZE * max(map(len, lines)), LINE * len(lines) + 5
            self.box(x - width / 2, y + 4 - height, width, height, text=text, colour=colour)
            return
        ends = [lanes[end][0] for end in to.split(", ")]
        side = 6 if ends[0] > x else -6
        points = [(x + side, y), *((end - side, y) for end in ends)]
        self.arrow(points, colour, tuple(range(1, len(points))))
        self.words((x + ends[0]) / 2, y - 7 - LINE * (len(lines) - 1), text, kind="clear")

    def sequence(self, lanes: Lanes, rows: list[list[list[str]]], spans: list[list[str]]) -> float:
        """Time goes down. A span is a bar in a lane, from one step to another or to the end. Returns the height."""
        y, file = 46.0, ""
        at: dict[str, float] = {}  # each step, by its text
        for row in rows:
            top, y = y + 8, y + LINE * max(step[2].count("\n") + 1 for step in row) + 19
            at |= {step[2]: y for step in row}
            before, file = file, file_of(row[0][3]) if row[0][3:] else ""
            if file != before:
                self.line([(8, top), (WIDTH - 8, top)], "pale", 'stroke-opacity="0.4"')
                self.text(10, top + 16, file, "start", "file", "pale")
        bottom = at[""] = y + 26
        for lane, (x, colour) in lanes.items():
            self.line([(x, 40), (x, bottom)], colour, 'stroke-dasharray="2 4"')
            self.box(x - 56, 12, 112, 28, lane, colour=colour)
        for lane, colour, first, last, _ in spans:
            self.box(lanes[lane][0] - 5, at[first], 10, at[last] - at[first], colour=colour)
        for row in rows:
            for step in row:
                self.step(lanes, at[step[2]], *step)
        for lane, colour, first, last, name in spans:
            self.words(lanes[lane][0] + 10, at[first] + 20, name, "start", kind="clear", colour=colour)
        return bottom + 8


def draw(figure: dict, theme: str) -> str:
    """Draws its shapes one over the other, or its sequence."""
    pen = Pen(THEMES[theme])
    height, told = figure.get("height"), figure.get("told", "")
    for shape in figure.get("shapes", []):
        kind, place = next(iter(shape.items()))
        getattr(pen, kind)(*place, **{key: value for key, value in shape.items() if key != kind})
    if "rows" in figure:
        height = pen.sequence(figure["lanes"], figure["rows"], figure["spans"])
        steps = [step for row in figure["rows"] for step in row]
        told = " ".join(f"{lane}{to and ' to ' + to}: {' '.join(text.split())}." for lane, to, text, *_ in steps)
    for a, b in combinations(pen.texts, 2):
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
            raise Refused(f"'{a[4]}' and '{b[4]}' overlap")
    size = f'width="{WIDTH}" height="{height:g}" viewBox="0 0 {WIDTH} {height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description" '
        'font-family="sans-serif">',
        f'<title id="title">{escape(figure["title"])}</title>',
        f'<desc id="description">{escape(told)}</desc>',
        f'<rect width="{WIDTH}" height="{height:g}" fill="{THEMES[theme]["paper"][1]}"/>',
    ]
    return "\n".join([*parts, *pen.parts, "</svg>\n"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not what would be drawn")
    check = parser.parse_args().check
    faults = []
    for name, figure in json.loads(DATA.read_text()).items():
        for theme in THEMES:
            file = PAGE.with_suffix("") / f"{name}_{theme}.svg"
            try:
                drawn = draw(figure, theme)
            except Refused as why:
                faults.append(f"{name}: {why}")
                break
            if f'"figures/{file.name}"' not in PAGE.read_text():
                faults.append(f"{PAGE.relative_to(ROOT)} does not show {file.name}")
            if not check:
                file.write_text(drawn)
            elif not file.exists() or file.read_text() != drawn:
                faults.append(f"{file.relative_to(ROOT)} is old: python3 tests/notes/figures.py draws it again")
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
