"""Unified diffs, made and applied without git: a student may have none, or have the workbook inside another repository,
where `git apply` does nothing and says nothing."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path


class DoesNotApply(Exception):
    """Which file has changed too much, in words for the student."""


@dataclass
class Hunk:
    start: int  # line of the old file, from 1; 0 if that is empty
    old: list[str]
    new: list[str]


def parse(patch: str) -> dict[str, list[Hunk]]:
    """The hunks of each file, by its new name; what stands before the first file is no part of the patch."""
    files: dict[str, list[Hunk]] = {}
    hunks: list[Hunk] = []
    left = 0  # lines of the hunk that are still to come
    names = ["", ""]
    for line in patch.splitlines(keepends=True):
        if left > 0:
            if line[0] in " -" or line == "\n":
                hunks[-1].old.append(line[1:] or "\n")
            if line[0] in " +" or line == "\n":
                hunks[-1].new.append(line[1:] or "\n")
            left -= 2 if line[0] == " " or line == "\n" else 1 if line[0] in "+-" else 0
        elif line.startswith(("--- ", "+++ ")):
            names[line[0] == "+"] = re.sub("^[ab]/", "", line[4:].split("\t")[0].strip())
        elif begins := re.match(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line):
            name = names[0] if names[1] == "/dev/null" else names[1]
            hunks = files.setdefault(name, [])
            hunks.append(Hunk(int(begins[1]), [], []))
            left = int(begins[2] or 1) + int(begins[4] or 1)
    return files


def changed(text: str, hunks: list[Hunk], reverse: bool) -> str | None:
    """The text with all hunks applied; None if one does not fit. A hunk may have moved."""
    lines = text.splitlines(keepends=True)
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
    after: dict[Path, str] = {}
    for name, hunks in parse(patch).items():
        file = tree / name
        text = changed(file.read_text() if file.exists() else "", hunks, reverse)
        if text is None:
            there = changed(file.read_text(), hunks, not reverse) is not None if file.exists() else False
            why = f"is {'not ' if reverse else ''}in there already" if there else "does not fit: the file has changed"
            raise DoesNotApply(f"{name}: the patch {why}.")
        after[file] = text
    for file, text in after.items():
        if text or not reverse:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        else:
            file.unlink()  # the patch had made it
    return list(after)


def difference(before: Path, after: Path, files: list[str]) -> str:
    """What has changed from one tree to the other, as a patch."""
    text = ""
    for name in files:
        old, new = (tree / name for tree in (before, after))
        texts = [file.read_text(errors="replace") if file.is_file() else "" for file in (old, new)]
        lines = [text.splitlines(keepends=True) for text in texts]
        names = [f"{side}/{name}" if file.is_file() else "/dev/null" for side, file in (("a", old), ("b", new))]
        for line in difflib.unified_diff(*lines, *names):
            text += line if line.endswith("\n") else line + "\n"
    return text
