#!/usr/bin/env python3
"""How large may it be? Prints what there is and what is allowed, and fails if something is over.

A stage is to be read in ten minutes, and a diff of two stages in one. What a budget leaves out of the count, nobody has
to read to understand the code: comments, blank lines, includes.
"""

import re
import sys
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
STAGES = ["stage1_single_thread", "stage2_thread_per_request", "stage3_pool", "stage4_graceful_shutdown"]

# Lines of code, or lines changed from one stage to the next: removed and added ones.
AT_MOST = {
    "main.cpp, from stage 1 to 2": 5,
    "main.cpp, from stage 2 to 3": 6,
    "main.cpp, from stage 3 to 4": 18,
    "thread_pool.*, from stage 3 to 4": 30,
    "the longest function of the stages and common/": 25,
    "the longest file of the stages and common/, http.* aside": 120,
    "the stages and common/": 1200,
    "tests/explore/, C++, every line": 6700,
    "tests/peers/, every line": 880,
    "tests/lab/, every line": 4050,
    "the rest of tests/, C++, every line": 9500,
    "tests/bench/, every line": 4455,
    "the rest of tests/, Python, every line": 4260,
}


def code(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if not re.match(r" *(//|#include|#pragma once|$)", line)]


def changed(old: Path, new: Path) -> int:
    """By their longest common subsequence, as diff does it."""
    a, b = code(old), code(new)
    common = [[0] * (len(b) + 1)]  # of the first i lines of one, and the first j of the other
    for i, line in enumerate(a):
        row = [0]
        for j, other in enumerate(b):
            row.append(common[i][j] + 1 if line == other else max(common[i][j + 1], row[j]))
        common.append(row)
    return len(a) + len(b) - 2 * common[-1][-1]


# The first line of a function as clang-format lays it out: no statement, and nothing that goes on from the line before.
FUNCTION = re.compile(r"( *)(?! |:|}|if|for|while|switch|return|throw|const |static_|#|//)[^=;]*?([\w:~]+)\([^;]*")


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Each one that has a line of its own to end on: its name, and its lines without comments and blank ones."""
    lines = file.read_text().splitlines()
    for at, line in enumerate(lines):
        begins = FUNCTION.fullmatch(line)
        if not begins or (at > 0 and lines[at - 1].endswith((",", "(", "=", "&&", "||"))):
            continue
        head = next((n for n in range(at, len(lines)) if lines[n].endswith(("{", ";", "}"))), at)
        ends = [n for n in range(head, len(lines)) if re.match(begins[1] + r"\}( catch .*)?$", lines[n])]
        if lines[head].endswith("{") and ends:
            body = [text for text in lines[at : ends[0] + 1] if not re.match(" *(//|$)", text)]
            yield f"{file.parent.name}/{file.name}, {begins[2]}()", len(body)


def largest(sizes: Iterator[tuple[str, int]]) -> tuple[int, str]:
    name, size = max(sizes, key=lambda one: one[1])
    return size, name


def all_lines(folder: str, suffix: str) -> int:
    return sum(len(file.read_text().splitlines()) for file in (ROOT / folder).rglob(f"*.{suffix}"))


def measured() -> Iterator[tuple[int, str]]:
    """In the order of AT_MOST: how large it is, and which one it is."""
    stages = [ROOT / stage for stage in STAGES]
    for old, new in zip(stages, stages[1:]):
        yield changed(old / "main.cpp", new / "main.cpp"), ""
    yield sum(changed(stages[2] / name, stages[3] / name) for name in ("thread_pool.hpp", "thread_pool.cpp")), ""
    files = [file for folder in [ROOT / "common", *stages] for file in sorted(folder.glob("*.?pp"))]
    yield largest(function for file in files for function in functions(file))
    yield largest((file.name, len(code(file))) for file in files if file.stem != "http")
    yield sum(len(code(file)) for file in files), ""
    yield all_lines("tests/explore", "?pp"), ""
    rooms = ("tests/bench", "tests/peers", "tests/lab")
    bench, peers, lab = ((all_lines(room, "?pp"), all_lines(room, "py")) for room in rooms)
    yield sum(all_lines("tests/peers", suffix) for suffix in ("?pp", "conf", "go", "js", "py")), ""
    yield sum(lab), ""
    yield all_lines("tests", "?pp") - all_lines("tests/explore", "?pp") - bench[0] - peers[0] - lab[0], ""
    yield sum(bench), ""
    yield all_lines("tests", "py") - bench[1] - peers[1] - lab[1], ""


def main() -> int:
    over = []
    print(f"{'':65} now  at most")
    for (name, limit), (size, which) in zip(AT_MOST.items(), measured(), strict=True):
        print(f"{name:62} {size:6,}   {limit:6,}  {'OVER' if size > limit else which}")
        if size > limit:
            over.append(f"{name}{which and ' (' + which + ')'}: {size - limit} too many")
    print("\n".join(["", *over]) if over else "", end="\n" if over else "")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
