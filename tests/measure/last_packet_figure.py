#!/usr/bin/env python3
"""Draws what last_packet.py prints: last_packet_figure.py <FILE >last_packet.svg. The file may hold other text, too."""

import math
import re
import sys
from typing import Iterator, NamedTuple
from xml.sax.saxutils import escape

from growth import label

LEFT, TOP, WIDTH, HEIGHT = 62, 68, 520, 320
FEWEST, MOST = 1.0, 2000.0  # ms, if the table has no others
ASIDE = 4  # so far from each other are the points at one round trip, unless
APART = range(5, 97)  # per cent: there nobody else is, and the law is steep
PAPER, INK, GREY = "#ffffff", "#222222", "#888888"

# Colours that differ in brightness as well; whoever sees none has the marks and the names.
LOOKS = {
    "stage 4": ("#007a5a", "M-5 -5h10v10h-10z", "stage 4: waits as needed, up to 1 s"),
    "no window": ("#c04a00", "M0 -6L6 5H-6z", "stage 4 that does not wait"),
    "waits 2 ms": ("#9a4a8a", "M0 -6L6 0L0 6L-6 0z", "stage 4 that waits 2 ms"),
    "waits 100 ms": ("#0072b2", "M-5 0h10M0 -5v10", "stage 4 that waits 100 ms"),
    "waits 1 s": ("#555555", "M-4 -4L4 4M-4 4L4 -4", "stage 4 that waits 1 s"),
    "nginx": ("#1a7f37", "M0 6L6 -5H-6z", "nginx"),
    "HAProxy": ("#1f4e9e", "M-5 0h10M0 -5v10M-4 -4L4 4M-4 4L4 -4", "HAProxy"),
    "Go": ("#00838f", "M-5 -3h10v6h-10z", "Go"),
    "Node": ("#6b6b00", "M-3 -5h6v10h-6z", "Node"),
}
WAITS = {"0": 0.0, "2 ms": 2.0, "100 ms": 100.0, "1 s": 1000.0}


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


def line(path: str, colour: str, width: float = 1.0) -> str:
    return f'<path fill="none" stroke="{colour}" stroke-width="{width}" d="{path}"/>'


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
    name = "round trip in ms, on a logarithmic scale: how long a handshake takes"
    yield label(LEFT + WIDTH // 2, TOP + HEIGHT + 42, name, 'text-anchor="middle"')
    yield label(14, 22, "Clients lost, of those whose handshake was under way at the stop")
    told = "Grey: the law, 1 - w / round trip, if a server waits w. Bars: 95 %."
    yield label(14, 40, told, 'font-size="11" fill="#555555"')


def law() -> "Iterator[str]":
    for name, wait in WAITS.items():
        steps = [FEWEST * (MOST / FEWEST) ** (i / 200) for i in range(201)]
        yield line(path([(x(step), y(100 * max(0.0, 1 - wait / step))) for step in steps]), GREY, 0.7)
        place = (x(wait / 0.6) - 8, y(40), "end") if wait else (x(math.sqrt(FEWEST * MOST)), TOP - 9, "middle")
        look = f'text-anchor="{place[2]}" font-size="11" fill="#555555"'
        yield label(round(place[0]), round(place[1]), f"w = {name}", look)


def place(row: Measured, aside: float) -> float:
    return x(row.round_trip) + (0 if round(row.lost) in APART else aside)


def marks(name: str, aside: float, rows: "list[Measured]") -> "Iterator[str]":
    colour, mark, _ = LOOKS[name]
    for row in rows:
        at, low, high = place(row, aside), y(max(0.0, row.lost - row.interval)), y(min(100.0, row.lost + row.interval))
        yield line(f"M{at:.1f} {low:.1f}V{high:.1f}M{at - 3:.1f} {low:.1f}h6M{at - 3:.1f} {high:.1f}h6", colour)
        yield sign(mark, at, y(row.lost), colour)


def key(rows: "dict[str, list[Measured]]") -> "Iterator[str]":
    for i, name in enumerate(rows):
        colour, mark, meaning = LOOKS[name]
        yield sign(mark, LEFT + WIDTH + 40, TOP + 60 + 22 * i, colour)
        yield label(LEFT + WIDTH + 54, TOP + 64 + 22 * i, meaning)


def draw(rows: "dict[str, list[Measured]]") -> str:
    title = "Clients lost at a stop, by round trip and by how long the server waits"
    told = [
        f"{name}: " + ", ".join(f"{row.lost:g} % at {row.round_trip:g} ms" for row in points) + "."
        for name, points in rows.items()
    ]
    asides = {name: ASIDE * (i - (len(rows) - 1) / 2) for i, name in enumerate(rows)}
    points = [part for name in rows for part in marks(name, asides[name], rows[name])]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {TOP + HEIGHT + 58}" role="img" '
        f'aria-labelledby="title description" font-family="sans-serif" font-size="13" fill="{INK}">',
        f'<title id="title">{title}</title>',
        '<desc id="description">' + escape("\n".join(told)) + "</desc>",
        f'<rect width="900" height="{TOP + HEIGHT + 58}" fill="{PAPER}"/>',
        *axes(sorted({row.round_trip for points in rows.values() for row in points})),
    ]
    return "\n".join([*parts, *law(), *points, *key(rows), "</svg>\n"])


if __name__ == "__main__":
    found = read(sys.stdin.read())
    if not found:
        sys.exit("There is no table of last_packet.py in this.")
    sys.stdout.write(draw(found))
