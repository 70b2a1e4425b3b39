#!/usr/bin/env python3
"""Hunts: a bug without a name, and what a user reports about it. You find the line, and a test that proves it.

  hunts.py list               all hunts, and which bugs you have found
  hunts.py start N            makes a copy of the workbook with bug N in it, and prints the report
  hunts.py hint N [1|2|3]     1 (the default): a tool; 2: a place; 3: nearly the answer
  hunts.py found N FILE:LINE -- COMMAND...
                              is it that line, and does COMMAND fail with the bug and succeed without it?
  hunts.py back N             removes the copy, and keeps your changes as a patch
  hunts.py give_up N          shows what it was

COMMAND runs in the copy's folder, three times with the bug and three times without it; what has been built there is
rebuilt first. Exit status: 0 if all is well, 1 if the bug was not found, 2 for a mistake in the command line.
"""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import zlib
from dataclasses import dataclass
from pathlib import Path

import places
from judge import build, configure
from patching import DoesNotApply, apply
from places import SOURCE
from server import NotYet, Tree, require

FILE = Path(__file__).resolve().parent / "hunts.json"
DONE = SOURCE / "build/hunts.json"
TARGETS = ["stage1", "stage2", "stage3", "stage4", "tests/promises", "tests/lab", "tests/doctests", "tests/explore"]
TARGETS += [f"tests/{module}.so" for module in ("pool_scenarios", "stage3_server", "stage4_server")]


@dataclass
class Hunt:
    level: str
    report: str
    patch: str
    lines: list[str]  # "common/channel.hpp:55": each that counts as found
    fault: str
    hints: list[str]
    proof: str  # a command that fails with the fault, and succeeds without it


def packed(hunt: Hunt) -> dict[str, str]:
    """So that nobody reads in passing what it is."""
    hidden = {name: value for name, value in vars(hunt).items() if name not in ("level", "report")}
    text = base64.b85encode(zlib.compress(json.dumps(hidden).encode(), 9)).decode()
    return {"level": hunt.level, "report": hunt.report, "packed": text}


def hunts() -> dict[str, Hunt]:
    found = {}
    for number, one in json.loads(FILE.read_text()).items():
        hidden = json.loads(zlib.decompress(base64.b85decode(one["packed"])))
        found[number] = Hunt(one["level"], one["report"], **hidden)
    return found


def solved() -> list[str]:
    return json.loads(DONE.read_text()) if DONE.exists() else []


def place(number: str) -> str:
    return f"hunt-{number}"


def start(number: str, hunt: Hunt) -> None:
    folder = places.start(place(number), hunt.patch)  # what was kept has the fault in it
    configure(Tree(folder, folder / "build", folder))
    print(textwrap.fill(f"Report {number} ({hunt.level}): {hunt.report}", 80) + "\n")
    print(f"Search in {folder}; build there: ninja -C build stage3 stage4")


def succeeds(command: list[str], folder: Path) -> bool:
    """Whether it ends with 0 within two minutes, three times out of three; a NotYet if it is not always the same."""
    words = ["sh", "-c", *command] if len(command) == 1 else ["sh", "-c", 'exec "$@"', "sh", *command]
    results = set()
    for _ in range(3):
        process = subprocess.Popen(words, cwd=folder, start_new_session=True)
        try:
            results.add(process.wait(120) == 0)
            found = process.returncode not in (126, 127)  # as the shell says
            said = f"No such program: {' '.join(command)}\nIf it has not been built there yet: ninja -C build"
            require(found, said)
        except subprocess.TimeoutExpired:
            results.add(False)
        finally:  # with all that it has started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    require(len(results) == 1, "The three runs did not all come out the same. Make the command try more often.")
    return results.pop()


def found(number: str, hunt: Hunt, line: str, command: list[str]) -> None:
    """Throws NotYet."""
    folder = places.place_of(place(number))
    require(folder.is_dir(), f"There is no {folder}: hunts.py start {number} makes it.")
    file, _, at = line.rpartition(":")
    require(bool(file) and at.isdigit(), f"'{line}' is not of the form FILE:LINE.")
    ends = [known for known in hunt.lines if known.rpartition(":")[0].endswith(file)]
    near = any(abs(int(known.rpartition(":")[2]) - int(at)) <= 2 for known in ends)
    require(near, f"The bug is not at {line}{', but the file is right' if ends else ''}.")
    print("That is the line. Now the command:", flush=True)
    tree = Tree(folder, folder / "build", folder)
    built = [target for target in TARGETS if list((folder / "build").rglob(Path(target).name))]
    build(tree, *built)
    require(not succeeds(command, folder), "The command succeeds although the bug is there.")
    apply(folder, hunt.patch, reverse=True)
    try:
        build(tree, *built)
        require(succeeds(command, folder), "The command fails although the bug is gone.")
    finally:
        apply(folder, hunt.patch)
    DONE.parent.mkdir(exist_ok=True)
    DONE.write_text(json.dumps(sorted({*solved(), number}, key=int)))
    print(f"Found. {hunt.fault}")


def obey(verb: str, words: list[str]) -> None:
    """Throws NotYet, DoesNotApply, OSError."""
    every = hunts()
    if verb == "list":
        for number, hunt in every.items():
            head = f"{number:>2} {hunt.level:6} {'found' if number in solved() else '     '} "
            print(textwrap.fill(hunt.report, 80, initial_indent=head, subsequent_indent=" " * len(head)))
        return
    require(bool(words) and words[0] in every, f"Which hunt? They are numbered {', '.join(every)}.")
    number, *rest = words
    hunt = every[number]
    if verb == "start":
        start(number, hunt)
    elif verb == "hint":
        step = int(rest[0]) if rest and rest[0] in ("1", "2", "3") else 1
        print(textwrap.fill(hunt.hints[step - 1], 80))
    elif verb == "give_up":
        print(f"{hunt.fault}\n\n{hunt.patch}\nThis command shows it: {hunt.proof}")
    elif verb == "back":
        print(places.back(place(number)))
    elif verb == "found" and len(rest) > 2 and rest[1] == "--":
        found(number, hunt, rest[0], rest[2:])
    else:
        raise ValueError


def main() -> int:
    verb, *words = sys.argv[1:] or ["--help"]
    if verb in ("--help", "-h"):
        print(__doc__.strip())
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the fault is put in again
    try:
        obey(verb, words)
    except NotYet as missing:
        print(missing, file=sys.stderr)
        return 1
    except ValueError:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    except (DoesNotApply, OSError) as reason:
        print(reason, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
