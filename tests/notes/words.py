"""Terms that notes/glossary.md has replaced, the archaic and the ambiguous, and sentences that are too long to follow."""

import re
from typing import Iterator

from markdown import Document, Fault

LONGEST = 40  # words in a sentence

# What is not written any more, and what is instead.
RETIRED = {
    r"kernel's queue": "accept queue",
    r"\b[Tt]he queue\b": "the accept queue, or the job queue",
    r"quiet close": "clean close",
    r"processors?\b": "CPU",
    r"(?<!page )(?<!segmentation )\bfaults?\b": "bug, failure or wrong turn",
    r"at once": "immediately, or at the same time",
    r"for ever\b": "forever",
    r"all the same\b": "nevertheless",
    r"but for\b": "except",
    r"\blest\b": "so that ... not",
    r"\bshall\b": "will, or must",
    r"\b(mends?|mended|mending)\b": "fix",
    r"\b(cures?|cured)\b": "fix",
    r"\b(dear|dearer)\b": "expensive",
    r"\banew\b": "again",
    r"\b([Ww]hoever|[Ww]homever)\b": "the client, the thread, the program that",
    r"[,;] for (he|it|she|there|they|we|you)\b": "because",
    r"\blook(s|ed)? (whether|at the (clock|flag))\b": "check",
    r"\bkernel (has |had )?accept(s|ed)?\b": "the kernel completes a connection, the program accepts it",
    r"\b(is|are) told (of|that|when|which|how)\b": "who reports it?",
    r"(?<![\w/`])[Mm]ain (accepts|calls|does|hands|has|is|only|returns|sat|sits|sleeps|waits|was|wakes)\b": "the main thread",
}


def check(document: Document) -> Iterator[Fault]:
    for line, text in passages(document):
        for pattern, instead in RETIRED.items():
            for found in re.finditer(pattern, text):
                yield document.fault(line, f"'{found[0]}': {instead}")
        for sentence in re.split(r"(?<=[.!?])[)\"*]* +(?=[\"(*]*[A-Z0-9`])", text):
            if (length := len(sentence.split())) > LONGEST:
                yield document.fault(line, f"a sentence of {length} words: {sentence[:50]}...")


def passages(document: Document) -> Iterator[tuple[int, str]]:
    """Each paragraph, list item and cell of a table, in one line, without its code and its links; and where it begins."""
    start, lines = 0, []
    for number, line in [*document.prose, (0, "")]:
        is_row = line.startswith("|")
        if lines and (not line.strip() or is_row or re.match(r" *([-*]|\d+\.) |#|<", line) or number != start + len(lines)):
            yield start, plain(" ".join(lines))
            lines = []
        if is_row:
            yield from ((number, plain(cell)) for cell in line.split("|"))
        elif line.strip():
            start = start if lines else number
            lines.append(line.strip())


def plain(text: str) -> str:
    text = re.sub(r"`[^`]*`", "CODE", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)

