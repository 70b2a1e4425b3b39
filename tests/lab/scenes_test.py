#!/usr/bin/env python3
"""Each scene, played by itself, shows what it is there to show; and every program reads its figure.

What was seen is held against golden/scenes.txt, without the times: of each client how its line goes on, and its end.
--figures has the figures drawn by rsvg-convert, Chromium and LibreOffice, whichever are there, and looks at the pixels:
behind each label of the SVG there is ink, and no label's box overlaps another.
"""

import argparse
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCENES = sorted(path.stem for path in (HERE / "scenes").glob("*.keys"))
SVG = "{http://www.w3.org/2000/svg}"


def play(lab: Path, scene: str, folder: Path, *options: str) -> str:
    command = [lab, "--scene", scene, "--save", folder / scene, *options]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    if result.returncode != 0:
        raise AssertionError(f"{scene}: {result.stderr}")
    return result.stdout


def without_times(timeline: str) -> str:
    """ " 5 slow  ....====#  200 OK" becomes "5 slow .=# 200 OK"; how a server that hangs explains it is left out."""
    lines = []
    for line in timeline.splitlines():
        if client := re.fullmatch(r" ([\d-]+ \w+) +([:.=#x!R-]+)(.*)", line):
            served = re.sub(r"^[.:]{1,3}(?==)", "", client[2])  # the moment before it is served
            course = re.sub(r"(.)\1+", r"\1", served)
            line = f"{client[1]} {course} {client[3].strip()}"
        if not re.match(" (main|thread|worker|No circle)", line):
            line = re.sub(r"Worker \d", "Worker N", " ".join(line.split()))
            lines.append(re.sub(r"; 1 cell.*| -+$", "", line))
    return without_luck("\n".join(lines))


def without_luck(told: str) -> str:
    """A server that was stopped may accept a client or two before another of its threads takes the signal: all but
    the last of the five count as reset."""
    server = "stage 4 with listener_closed_first: exit 0, answered "
    before, found, after = told.partition(server)
    after = re.sub("^[0-4] of 5", "0 of 5", after)
    return before + found + re.sub(r"(?m)^([1-4] get :)# 200 OK \(in kernel at \^C\)$", r"\1x reset: never accepted", after)


def check_scenes(lab: Path, folder: Path) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        seen = dict(zip(SCENES, pool.map(lambda scene: without_times(play(lab, scene, folder)), SCENES)))
    text = "".join(f"{scene}: {told}\n\n" for scene, told in seen.items())
    golden = HERE / "golden/scenes.txt"
    if text == golden.read_text():
        return check_stored(folder / "ctrl-c.svg")
    Path("scenes.txt").write_text(text)
    difference = subprocess.run(["diff", golden, "scenes.txt"], capture_output=True, text=True).stdout
    return [f"./scenes.txt is not tests/lab/golden/scenes.txt:\n{difference}"]


def check_stored(played: Path) -> list[str]:
    """The README shows what is played here, but for the times: what stands above the axis."""
    figures = [played, *(HERE.parent.parent / f"notes/figures/ctrl_c_{theme}.svg" for theme in ("light", "dark"))]
    now, *stored = [[label.text for label in labels(figure) if label.y < 480] for figure in figures]
    return [
        f"notes/figures/{figure.name}: '{old}' is '{new}' now; demo --theme --save draws it again"
        for figure, texts in zip(figures[1:], stored)
        for old, new in zip_longest(texts, now)
        if old != new
    ]


@dataclass
class Label:
    text: str
    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: "Label") -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def labels(svg: Path) -> list[Label]:
    """Their boxes, with letters of half their height: an average of sans-serif."""
    found = []
    for text in ElementTree.parse(svg).iter(f"{SVG}text"):
        size = float(text.get("font-size", "14"))
        width = 0.5 * size * len(text.text or "")
        x = float(text.get("x", "0")) - {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor", "start")] * width
        found.append(Label(text.text or "", x, float(text.get("y", "0")) - 0.75 * size, width, 0.75 * size))
    return found


def pixels(png: Path) -> tuple[int, int, list[list[int]]]:
    """Width, height, and the brightness of each pixel (PNG specification, sections 5, 9 and 11)."""
    data = png.read_bytes()
    at, body = 8, b""
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body += data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    assert depth == 8, f"{png}: {depth} bits"
    raw, line, rows = zlib.decompress(body), bytearray(width * channels), []
    for row in range(height):
        start = row * (width * channels + 1)
        line = unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + width * channels]), line, channels)
        rows.append([sum(line[i : i + min(channels, 3)]) // min(channels, 3) for i in range(0, len(line), channels)])
    return width, height, rows


def unfilter(kind: int, line: bytearray, above: bytearray, channels: int) -> bytearray:
    for i, value in enumerate(line):
        left = line[i - channels] if i >= channels else 0
        corner = above[i - channels] if i >= channels else 0
        estimate = left + above[i] - corner
        paeth = min((abs(estimate - left), 0, left), (abs(estimate - above[i]), 1, above[i]), (abs(estimate - corner), 2, corner))
        line[i] = (value + [0, left, above[i], (left + above[i]) // 2, paeth[2]][kind]) & 255
    return line


def chromium(svg: Path, png: Path) -> list[str | Path]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    size = ["--window-size=960,540", "--force-device-scale-factor=1", "--hide-scrollbars"]
    return [program, "--headless", "--no-sandbox", "--disable-gpu", *size, f"--screenshot={png}", f"file://{svg}"]


def libreoffice(svg: Path, png: Path) -> list[str | Path]:
    home = f"-env:UserInstallation=file://{png.parent}/office"
    return ["soffice", home, "--headless", "--convert-to", "png", "--outdir", png.parent, svg]


PROGRAMS = {
    "rsvg-convert": lambda svg, png: ["rsvg-convert", svg, "-o", png],
    "chromium": chromium,
    "soffice": libreoffice,
}


def look_at(svg: Path, png: Path) -> list[str]:
    """What is wrong with the drawing."""
    width, height, rows = pixels(png)
    paper = rows[2][2]
    faults = []
    if abs(width / height - 16 / 9) > 0.02:
        faults.append(f"{width}x{height} is not 16:9")
    scale = width / 960
    for label in labels(svg):
        top, bottom = int(label.y * scale), int((label.y + label.height) * scale) + 1
        left, right = int(label.x * scale), int((label.x + label.width) * scale) + 1
        inked = sum(abs(value - paper) > 80 for row in rows[top:bottom] for value in row[left:right])
        # A letter covers a fifth of its box or so; more than two thirds are a blob.
        share = inked / max((bottom - top) * (right - left), 1)
        if not 0.04 < share < 0.67:
            faults.append(f"{share:.0%} of the box of '{label.text}' is ink")
    return faults


def check_figures(lab: Path, folder: Path) -> list[str]:
    faults = []
    for theme in "light", "dark":
        play(lab, "ctrl-c", folder, "--theme", theme)
        svg = folder / "ctrl-c.svg"
        all_labels = labels(svg)
        for i, label in enumerate(all_labels):
            faults += [f"'{label.text}' overlaps '{o.text}'" for o in all_labels[i + 1 :] if label.overlaps(o)]
        for name, command in PROGRAMS.items():
            png = svg.with_suffix(".png")
            png.unlink(missing_ok=True)
            if not shutil.which(name):
                print(f"{theme}, {name}: not here")
                continue
            subprocess.run(command(svg, png), check=True, capture_output=True, timeout=180)
            found = look_at(svg, png)
            print(f"{theme}, {name}: {'; '.join(found) or 'every label can be read'}")
            faults += [f"{theme}, {name}: {fault}" for fault in found]
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--figures", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check = check_figures if arguments.figures else check_scenes
        faults = check(arguments.lab.resolve(), Path(folder))
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
