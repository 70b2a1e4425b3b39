"""Blocks that quote: code of the tree, a diff between two of its files, a patch.

A quotation names its source where the reader sees it, in its first line:

    // stage3_pool/thread_pool.cpp, work()       then lines of that function; // ... leaves some out
    --- stage1_single_thread/main.cpp            then +++ the other file, and the whole diff
    # notes/wrong_turns/detach.patch    then lines of the patch
"""

import difflib
import re
from pathlib import Path
from typing import Iterator

from markdown import Block, Document, Fault

# Commands that are run, with what they print; quotations; a little Rust of our own; commands that are not run, since
# they install something, or do not end; pictures.
LANGUAGES = ("console", "cpp", "diff", "rust", "sh", "text")
TYPED = re.compile(r"(\d\| )?(\$ |> |\^C)")  # what only a console block may have


def check(root: Path, document: Document) -> Iterator[Fault]:
    for block in document.blocks:
        if block.language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            yield document.fault(block.line - 1, f"a block is one of {known}, not '{block.language}'")
        elif not block.lines:
            yield document.fault(block.line - 1, "this block is empty")
        elif block.language == "cpp":
            yield from check_code(root, document, block)
        elif block.language == "diff":
            yield from check_diff(root, document, block)
        elif block.language == "rust" and len(block.lines) > 4:  # then it may well be the book's
            yield document.fault(block.line + 4, "Rust: four lines at most in a block; name the listing, describe it")
        elif block.language in ("sh", "text") and any(TYPED.match(line) for line in block.lines):
            yield document.fault(block.line, "commands with what they print belong into a console block, which is run")


def check_code(root: Path, document: Document, block: Block) -> Iterator[Fault]:
    named = re.fullmatch(r"(?://|#) ([\w./]+)(?:, ([\w:~]+)(\(\))?)?", block.lines[0])
    if not named:
        yield document.fault(block.line, "name what is quoted: // common/tcp.hpp, or // common/tcp.hpp, Incoming")
        return
    path, name = named[1], named[2]
    if not (root / path).is_file():
        yield document.fault(block.line, f"there is no file {path}")
        return
    source = (root / path).read_text().split("\n")
    if name:
        source = body_of(name, source)
        if not source:
            yield document.fault(block.line, f"{path} has no {name}")
            return
    wrong = first_not_in(source, block.lines[1:])
    if wrong is not None:
        where = f"{path}, {name}" if name else path
        yield document.fault(block.line + 1 + wrong, f"not in {where}: {block.lines[1 + wrong].strip()}")


def first_not_in(source: list[str], quoted: list[str]) -> int | None:
    """The index of the first quoted line that the source does not have there; None if it is a true quotation.

    Lines that follow each other in a quotation do so in the source. A line // ... stands for any number of lines, and
    the whole may be moved to the left.
    """
    at = 0  # in the source: what is quoted later has to come later
    start = 0  # of the piece, in the quotation
    shift = None
    while start < len(quoted):
        end = next((i for i in range(start, len(quoted)) if is_gap(quoted[i])), len(quoted))
        piece = quoted[start:end]
        matches = {i: length_of_match(source, i, piece, shift) for i in range(at, len(source))}
        where = max(matches, key=lambda i: matches[i], default=None)  # the first of the longest
        if piece and (where is None or matches[where] < len(piece)):
            return start + (0 if where is None else matches[where])
        if piece:
            shift = indentation(source[where]) - indentation(piece[0]) if shift is None else shift
            at = where + len(piece)
        start = end + 1
    return None


def is_gap(line: str) -> bool:
    return line.strip() in ("// ...", "# ...")


def length_of_match(source: list[str], at: int, piece: list[str], shift: int | None) -> int:
    """How many lines of `piece` stand at `at`."""
    if shift is None and piece:
        shift = indentation(source[at]) - indentation(piece[0])
    for i, line in enumerate(piece):
        moved = " " * (indentation(line) + shift) + line.strip() if line.strip() else ""
        if at + i >= len(source) or source[at + i] != moved:
            return i
    return len(piece)


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def body_of(name: str, source: list[str]) -> list[str]:
    """The lines of a class, or a function, from its name to its last brace."""
    name = re.escape(name)
    for pattern in (rf"\b(class|struct) {name}\b", rf"(?<![\w~]){name}\("):
        for start, line in enumerate(source):
            found = re.search(pattern, line)
            if found and (length := length_of_body([line[found.start() :], *source[start + 1 :]])):
                return source[start : start + length]
    return []


def length_of_body(lines: list[str]) -> int:
    """In lines. 0 if a semicolon comes before the first brace: then it is only declared, or called, here."""
    depth = 0
    for number, line in enumerate(lines, 1):
        for character in line.partition("//")[0]:
            if character == ";" and depth == 0:
                return 0
            depth += {"{": 1, "}": -1}.get(character, 0)
            if character == "}" and depth == 0 and not line.endswith("{"):  # } catch (...) {
                return number
    return 0


def diff(root: Path, old: str, new: str) -> list[str]:
    """The difference between two files of the tree, with one line of context."""
    texts = [(root / name).read_text().splitlines() for name in (old, new)]
    return list(difflib.unified_diff(*texts, old, new, lineterm="", n=1))


def check_diff(root: Path, document: Document, block: Block) -> Iterator[Fault]:
    patch = re.fullmatch(r"# ([\w./]+\.patch)", block.lines[0])
    names = [re.fullmatch(r"(?:---|\+\+\+) ([\w./]+)", line) for line in block.lines[:2]]
    files = [patch[1]] if patch else [name[1] for name in names if name]
    missing = [file for file in files if not (root / file).is_file()]
    if missing:
        yield document.fault(block.line, f"there is no file {missing[0]}")
    elif patch:
        # In a patch the first column is not indentation.
        wrong = first_not_in(mark((root / patch[1]).read_text().split("\n")), mark(block.lines[1:]))
        if wrong is not None:
            yield document.fault(block.line + 1 + wrong, f"not in {patch[1]}: {block.lines[1 + wrong]}")
    elif len(files) != 2:
        yield document.fault(block.line, "name the two files in lines that begin with --- and +++, or a patch: # x.patch")
    else:
        yield from compare(document, block, diff(root, *files))


def mark(lines: list[str]) -> list[str]:
    return [line[:1] + "|" + line[1:] for line in lines]


def compare(document: Document, block: Block, true: list[str]) -> Iterator[Fault]:
    for i in range(max(len(block.lines), len(true))):
        quoted = block.lines[i] if i < len(block.lines) else "(the end)"
        line = true[i] if i < len(true) else "(the end)"
        if quoted.rstrip() != line.rstrip():
            yield document.fault(block.line + min(i, len(block.lines)), f"the files differ in another way: {line}")
            return


def refresh(root: Path, document: Document) -> None:
    """Puts the true diffs in. Code that is quoted has to be chosen anew by hand."""
    for block in reversed(document.blocks):  # so that the numbers of the lines before stay true
        if block.language == "diff" and not block.lines[0].startswith("#") and list(check_diff(root, document, block)):
            files = [line[4:] for line in block.lines[:2]]
            start = block.line - 1
            document.lines[start : start + len(block.lines)] = diff(root, *files)
