"""What the checker needs of Markdown: lines of prose, and fenced blocks."""

import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, order=True)
class Fault:
    """Something in the notes that is not true, and where: notes/3_pool.md:12: ..."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass
class Block:
    """A fenced block. `line` is that of its first line of text, counted from 1."""

    language: str
    line: int
    lines: list[str] = field(default_factory=list)


@dataclass
class Document:
    """One Markdown file, named relative to the project's root."""

    file: Path
    lines: list[str]
    prose: list[tuple[int, str]]  # number, line
    blocks: list[Block]
    faults: list[Fault]

    def fault(self, line: int, message: str) -> Fault:
        return Fault(self.file, line, message)

    def write(self, root: Path) -> None:
        (root / self.file).write_text("\n".join(self.lines))

    def headings(self) -> list[tuple[int, int, str]]:
        """Line, depth and text of each."""
        found = [(number, re.fullmatch(r"(#+) (.*)", line)) for number, line in self.prose]
        return [(number, len(match[1]), match[2]) for number, match in found if match]

    def exercises(self) -> list[tuple[str, str, int, list[str]]]:
        """Number ("1.2"), title, line and text of each exercise, or answer."""
        ends = [*(line for line, _, _ in self.headings()), len(self.lines) + 1][1:]
        return [
            (match[1], match[2], line, self.lines[line : end - 1])
            for (line, _, heading), end in zip(self.headings(), ends)
            if (match := re.fullmatch(r"(\d+\.\d+) (.*)", heading))
        ]


def read(root: Path, file: Path) -> Document:
    document = Document(file, (root / file).read_text().split("\n"), [], [], [])
    block = None
    for number, line in enumerate(document.lines, 1):
        fence = re.fullmatch(r"```(.*)", line)
        if block is None and fence:
            block = Block(fence[1], number + 1)
            document.blocks.append(block)
        elif block is None:
            document.prose.append((number, line))
        elif fence:
            block = None
        else:
            block.lines.append(line)
    if block is not None:
        document.faults.append(document.fault(block.line - 1, "this block has no end"))
    return document


def slug(heading: str) -> str:
    """The anchor that code hosts make of a heading: small letters, no punctuation, - for a space."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
