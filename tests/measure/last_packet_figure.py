#!/usr/bin/env python3
"""Draws what last_packet.py prints: last_packet_figure.py <FILE >last_packet.svg. The file may hold other text, too."""

import math
import re
import sys
from typing import Iterator, NamedTuple
from xml.sax.saxutils import escape

from growth import label

LEFT, TOP, WIDTH, HEIGHT = 62, 44, 520, 320
FEWEST, MOST = 0.2, 1000.0  # ms, if the table has no others
ASIDE = 4  # the points of several servers at one round trip are so far from each other
BETWEEN = 15  # two names
PAPER, INK, GREY = "#ffffff", "#222222", "#888888"

# Colours that differ in brightness as well; whoever sees none has the dashes, the marks and the names.
LOOKS = {
    "stage 4": ("#007a5a", "", "M-5 -5h10v10h-10z"),
    "no window": ("#c04a00", "7 3", "M0 -6L6 5H-6z"),
    "waits 2 ms": ("#9a4a8a", "2 3", "M0 -6L6 0L0 6L-6 0z"),
    "waits 100 ms": ("#0072b2", "9 3 2 3", "M-5 0h10M0 -5v10"),
    "waits 1 s": ("#555555", "4 2", "M-4 -4L4 4M-4 4L4 -4"),
    "nginx": ("#1a7f37", "1 2", "M0 6L6 -5H-6z"),
    "HAProxy": ("#1f4e9e", "12 3", "M-5 0h10M0 -5v10M-4 -4L4 4M-4 4L4 -4"),
    "Go": ("#00838f", "5 5", "M-5 -3h10v6h-10z"),
    "Node": ("#6b6b00", "10 2 2 2 2 2", "M-3 -5h6v10h-6z"),
}
WAITS = {"no wait": 0.0, "2 ms": 2.0, "100 ms": 100.0, "1 s": 1000.0}


class Measured(NamedTuple):
    round_trip: float  # ms
    lost: float  # per cent
    interval: float


def read(text: str) -> "dict[str, list[Measured]]":
    rows: "dict[str, list[Measured]]" = {}
    names = "|".join(map(re.escape, LOOKS))
    for name, *figures in re.findall(rf"^({names}) +([\d.]+) ms +([\d.]+) % ± +([\d.]+)", text, re.MULTILINE):
        rows.setdefault(name, []).append(Measured(*map(float, figures)))
    return rows


def x(round_trip: float) -> float:
    return LEFT + WIDTH * math.log(round_trip / FEWEST) / math.log(MOST / FEWEST)


def y(lost: float) -> float:
    return TOP + HEIGHT * (1 - lost / 100)


def line(path: str, colour: str, width: float = 1.0, dashes: str = "") -> str:
    pen = f'stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes or "none"}"'
    return f'<path fill="none" {pen} d="{path}"/>'


def sign(mark: str, at: float, height: float, colour: str) -> str:
    place = f'transform="translate({at:.1f} {height:.1f})"'
    return f'<path {place} fill="{PAPER}" stroke="{colour}" stroke-width="1.5" d="{mark}"/>'


def path(points: "list[tuple[float, float]]") -> str:
    return "M" + "L".join(f"{at:.1f} {height:.1f}" for at, height in points)


def axes(round_trips: "list[float]") -> "Iterator[str]":
    for lost in range(0, 101, 20):
        yield line(f"M{LEFT - 20} {y(lost):.1f}h{WIDTH + 40}", "#dddddd")
        yield label(LEFT - 26, round(y(lost)) + 4, f"{lost} %", 'text-anchor="end" font-size="11"')
    for round_trip in round_trips:
        yield line(f"M{x(round_trip):.1f} {TOP + HEIGHT}v6", GREY)
        yield label(round(x(round_trip)), TOP + HEIGHT + 20, f"{round_trip:g}", 'text-anchor="middle" font-size="11"')
    name = "round trip, ms: how long a handshake takes"
    yield label(LEFT + WIDTH // 2, TOP + HEIGHT + 42, name, 'text-anchor="middle"')
    yield label(14, 22, "Clients lost, of those whose handshake was under way at the stop")


def law() -> "Iterator[str]":
    for name, wait in WAITS.items():
        steps = [FEWEST * (MOST / FEWEST) ** (i / 200) for i in range(201)]
        yield line(path([(x(step), y(100 * max(0.0, 1 - wait / step))) for step in steps]), GREY, 0.7)
        if 0 < wait < MOST:  # where it rises most
            at = 2.4 * wait
            below = round(y(100 * (1 - wait / at))) + 12
            yield label(round(x(at)) + 8, below, f"law: {name}", 'font-size="11" fill="#555555"')


def curve(name: str, aside: float, rows: "list[Measured]") -> "Iterator[str]":
    colour, dashes, mark = LOOKS[name]
    points = [(x(row.round_trip) + aside, y(row.lost)) for row in rows]
    yield line(path(points), colour, 1.5, dashes)
    for (at, height), row in zip(points, rows):
        low, high = y(max(0.0, row.lost - row.interval)), y(min(100.0, row.lost + row.interval))
        yield line(f"M{at:.1f} {low:.1f}V{high:.1f}M{at - 3:.1f} {low:.1f}h6M{at - 3:.1f} {high:.1f}h6", colour)
        yield sign(mark, at, height, colour)


def names(asides: "dict[str, float]", rows: "dict[str, list[Measured]]") -> "Iterator[str]":
    """At the ends of the lines, moved apart where they end together."""
    left = LEFT + WIDTH + 44
    next_y = 0.0
    for height, _, name in sorted((y(round(rows[name][-1].lost)), -asides[name], name) for name in rows):
        next_y = max(height, next_y)
        colour, dashes, mark = LOOKS[name]
        end = x(rows[name][-1].round_trip) + asides[name] + 5
        yield line(f"M{end:.1f} {height:.1f}L{left - 4} {next_y:.1f}", GREY, 0.5)
        yield line(f"M{left} {next_y:.1f}h36", colour, 1.5, dashes)
        yield sign(mark, left + 18, next_y, colour)
        yield label(left + 42, round(next_y) + 4, name)
        next_y += BETWEEN


def draw(rows: "dict[str, list[Measured]]") -> str:
    title = "Clients lost at a stop, by round trip and by how long the server waits"
    told = [
        f"{name}: " + ", ".join(f"{row.lost:g} % at {row.round_trip:g} ms" for row in points) + "."
        for name, points in rows.items()
    ]
    asides = {name: ASIDE * (i - (len(rows) - 1) / 2) for i, name in enumerate(rows)}
    curves = [part for name in rows for part in curve(name, asides[name], rows[name])]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {TOP + HEIGHT + 58}" role="img" '
        f'aria-labelledby="title description" font-family="sans-serif" font-size="13" fill="{INK}">',
        f'<title id="title">{title}</title>',
        '<desc id="description">' + escape("\n".join(told)) + "</desc>",
        f'<rect width="760" height="{TOP + HEIGHT + 58}" fill="{PAPER}"/>',
        *axes(sorted({row.round_trip for points in rows.values() for row in points})),
    ]
    return "\n".join([*parts, *law(), *curves, *names(asides, rows), "</svg>\n"])


if __name__ == "__main__":
    found = read(sys.stdin.read())
    if not found:
        sys.exit("There is no table of last_packet.py in this.")
    sys.stdout.write(draw(found))
