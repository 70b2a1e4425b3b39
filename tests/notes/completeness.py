"""Each exercise of the notes has a hint and an answer; if it changes code, a patch, and a check that tells."""

import re
from pathlib import Path
from typing import Iterator

from markdown import Document, Fault, read


def check(root: Path) -> Iterator[Fault]:
    patches = sorted((root / "notes/answers").glob("*.patch"))
    chapters = "".join(file.read_text() for file in sorted((root / "tests/bench").glob("chapter_*.py")))
    checked = re.findall(r'^exercise\("(\d+\.\d+)"', chapters, re.MULTILINE)
    titles: dict[str, str] = {}  # of the answers
    for document in read_all(root, "notes/answers"):
        for name, title, line, text in document.exercises():
            titles[name] = title
            yield from check_answer(document, name, line, "\n".join(text), patches_of(name, patches))
    asked: set[str] = set()
    index = (root / "notes/README.md").read_text()
    for document in read_all(root, "notes"):
        if f"({document.file.name})" not in index and document.file.name not in ("README.md", "handout.md"):
            yield document.fault(1, "notes/README.md does not name it")
        for name, title, line, text in document.exercises():
            if name in asked:
                yield document.fault(line, f"there is another exercise {name}")
            asked.add(name)
            yield from check_exercise(document, name, line, "\n".join(text), patches_of(name, patches), name in checked)
            if titles.get(name) != title:
                yield document.fault(line, f"exercise {name} has no answer of that title")
    for name in sorted({*titles, *checked, *(patch.name.split("_")[0] for patch in patches)} - asked):
        yield Fault(Path("notes"), 1, f"there is no exercise {name}, but an answer, a check or a patch for it")


def read_all(root: Path, folder: str) -> list[Document]:
    return [read(root, file.relative_to(root)) for file in sorted((root / folder).glob("*.md"))]


def patches_of(name: str, patches: list[Path]) -> list[Path]:
    return [patch for patch in patches if patch.name.startswith(name + "_")]


def check_answer(document: Document, name: str, line: int, text: str, patches: list[Path]) -> Iterator[Fault]:
    if not text.strip():
        yield document.fault(line, f"the answer to {name} is empty")
    for patch in patches:
        if f"({patch.name})" not in text:
            yield document.fault(line, f"the answer to {name} does not name {patch.name}")


def check_exercise(
    document: Document, name: str, line: int, text: str, patches: list[Path], has_check: bool
) -> Iterator[Fault]:
    if not re.search(r"<details><summary>Hint</summary>\n\n\S[\s\S]*\n\n</details>", text):
        yield document.fault(line, f"exercise {name} has no hint")
    tells = re.search(rf"exercises\.py {re.escape(name)}\b", text) is not None
    if len({tells, has_check, bool(patches)}) != 1:
        yield document.fault(
            line,
            f"exercise {name} changes code, or it does not: its text {'names' if tells else 'does not name'} a check, "
            f"tests/bench has {'one' if has_check else 'none'}, answers/ has {len(patches)} patches",
        )
    for patch in patches:
        for added in re.findall(r"^\+(?!\+\+)(.*)", patch.read_text(), re.MULTILINE):
            code = squeeze(added).removesuffix("{")
            if len(code) > 15 and not code.startswith(("//", "#include")) and code in squeeze(text):
                yield document.fault(line, f"the hint of {name} is the answer: {added.strip()}")


def squeeze(text: str) -> str:
    return re.sub(r"\s", "", text)
