#!/usr/bin/env python3
"""Gives the lectures of notes/instructor.md, in a terminal of 80x24 that tmux draws.

Each row of the plans is a step: its keys are pressed, and what it says is on the screen has to be there within a second,
or within the time that the row allows. The picture is never larger than the screen.
"""

import argparse
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

sys.path.append(str(Path(__file__).resolve().parent))
from tmux import Tmux, children, eventually, is_gone  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "notes/instructor.md"
SPAN = re.compile("`([^`]+)`")


@dataclass
class Step:
    line: int
    keys: list[str]
    shown: list[tuple[float, str]] = field(default_factory=list)  # seconds that it may take; the words


def steps(page: str, heading: str) -> Iterator[Step]:
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    first = page[: page.index(section)].count("\n") + 1
    for number, line in enumerate(section.splitlines(), first):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or not cells[0].isdigit():
            continue
        step = Step(number, [key for keys in SPAN.findall(cells[2]) for key in keys.split()])
        limit = 1.0
        for part in cells[3].split("`"):
            if after := re.search(r"(?:after|within) (\d+) s: $", part):
                limit = float(after[1])
            elif re.fullmatch("[,; then]*", part) is None:
                step.shown.append((limit, part))
        if step.keys or step.shown:
            yield step


def take(tmux: Tmux, step: Step) -> str:
    """What is wrong with it; "" if nothing is."""
    start = time.monotonic()
    for key in step.keys:
        # "r" of "4 d r" belongs to the servers that d starts.
        tmux.press({"^C": "C-c"}.get(key, key))
    for limit, words in step.shown:
        if not eventually(lambda: words in tmux.screen(), max(start + limit - time.monotonic(), 0.05)):
            return f"'{words}' was not there within {limit:.0f} s:\n{tmux.screen()}"
    screen = tmux.screen().splitlines()
    if len(screen) > 24 or max(map(len, screen)) > 80 or not screen[-1].strip() or not screen[0].strip():
        return "it does not fit the screen:\n" + "\n".join(screen)
    return ""


def lecture(lab: Path, command: str, plan: list[Step]) -> Iterator[str]:
    with Tmux("bash --norc") as tmux:
        tmux.press(command.replace("build/tests/lab", str(lab)), "Enter")
        eventually(lambda: "Listening on" in tmux.screen(), 5)
        program = children(tmux.shell)[0]
        for step in plan[:-1]:
            start = time.monotonic()
            fault = take(tmux, step)
            print(f"{PAGE.name}:{step.line} {' '.join(step.keys) or '...'}: {time.monotonic() - start:.1f} s", flush=True)
            if fault:
                yield f"{PAGE.name}:{step.line}: {fault}"
        tmux.press(*plan[-1].keys)
        if not eventually(lambda: is_gone(program), 3):
            yield f"{PAGE.name}:{plan[-1].line}: the lab has not ended"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", type=Path, required=True)
    lab = parser.parse_args().lab.resolve()
    page = PAGE.read_text()
    command = next(span for span in SPAN.findall(page.partition("\n## 50 minutes\n")[2]))
    short = list(steps(page, "50 minutes"))
    longer = list(steps(page, "90 minutes"))
    faults = [*lecture(lab, command, short), *lecture(lab, command, longer)]
    print("\n".join(faults))
    if len(short) < 15 or len(longer) < 8:
        print(f"Only {len(short)} and {len(longer)} steps were found.")
        return 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
