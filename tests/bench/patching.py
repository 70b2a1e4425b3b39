"""Unified diffs, made and applied without git: a student may have none, or have the workbook inside another repository,
where `git apply` does nothing and says nothing."""

import difflib
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

_CUT_OFF = "\\ No newline at end of file\n"


class DoesNotApply(Exception):
    """Which file has changed too much, in words for the student."""


@dataclass
class Hunk:
    start: int  # line of the old file, from 1; 0 if that is empty
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


@dataclass
class Change:
    """What a patch does to one file."""

    before: bool  # is there such a file before, and after?
    after: bool
    hunks: list[Hunk] = field(default_factory=list)


def read(file: Path) -> str:
    """Every byte of it, whatever they are; "" if there is no such file."""
    return file.read_bytes().decode(errors="surrogateescape") if file.is_file() else ""


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode(errors="surrogateescape"))


def _lines(text: str) -> list[str]:
    return list(io.StringIO(text, newline="\n"))


def parse(patch: str) -> dict[str, Change]:
    """By the name of the file; what stands before the first file is no part of the patch."""
    files: dict[str, Change] = {}
    hunks: list[Hunk] = []
    left = 0  # lines of the hunk that are still to come
    names = ["", ""]
    sides: list[list[str]] = []  # that the last line belongs to
    for line in _lines(patch):
        if line == _CUT_OFF:
            for side in sides:
                side[-1] = side[-1].removesuffix("\n")
        elif left > 0:
            sides = [hunks[-1].old] * (line[0] in " -\n") + [hunks[-1].new] * (line[0] in " +\n")
            for side in sides:
                side.append(line[1:] or "\n")
            left -= len(sides)
        elif line.startswith(("--- ", "+++ ")):
            names[line[0] == "+"] = re.sub("^[ab]/", "", line[4:].split("\t")[0].strip())
        elif begins := re.match(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line):
            name = names[names[1] != "/dev/null"]
            change = Change(names[0] != "/dev/null", names[1] != "/dev/null")
            hunks = files.setdefault(name, change).hunks
            hunks.append(Hunk(int(begins[1])))
            left = int(begins[2] or 1) + int(begins[4] or 1)
    return files


def changed(text: str, hunks: list[Hunk], reverse: bool) -> str | None:
    """The text with all hunks applied; None if one does not fit. A hunk may have moved."""
    lines = _lines(text)
    grown = 0
    for hunk in hunks:
        old, new = (hunk.new, hunk.old) if reverse else (hunk.old, hunk.new)
        guess = max(hunk.start - 1, 0) + grown
        places = sorted(range(len(lines) - len(old) + 1), key=lambda at: abs(at - guess))
        at = next((at for at in places if lines[at : at + len(old)] == old), None)
        if at is None or not old and lines:  # a file that is made is not there before
            return None
        lines[at : at + len(old)] = new
        grown += len(new) - len(old)
    return "".join(lines)


def apply(tree: Path, patch: str, reverse: bool = False) -> list[Path]:
    """Changes the files, all or none; returns them. Throws DoesNotApply."""
    after: dict[Path, str | None] = {}
    for name, change in parse(patch).items():
        file = tree / name
        if not file.resolve().is_relative_to(tree.resolve()):
            raise DoesNotApply(f"{name} is not in {tree}.")
        text = changed(read(file), change.hunks, reverse)
        if text is None:
            there = file.exists() and changed(read(file), change.hunks, not reverse) is not None
            why = f"is {'not' if reverse else 'already'} applied" if there else "does not fit: the file has changed"
            raise DoesNotApply(f"{name}: the patch {why}.")
        after[file] = text if text or (change.before if reverse else change.after) else None
    for file, text in after.items():
        if text is None:
            file.unlink()
        else:
            write(file, text)
    return list(after)


def difference(before: Path, after: Path, files: list[str]) -> str:
    """What has changed from one tree to the other, as a patch."""
    text = ""
    for name in files:
        old, new = (tree / name for tree in (before, after))
        names = [f"{side}/{name}" if file.is_file() else "/dev/null" for side, file in (("a", old), ("b", new))]
        for line in difflib.unified_diff(_lines(read(old)), _lines(read(new)), *names):
            text += line if line.endswith("\n") else f"{line}\n{_CUT_OFF}"
    return text
