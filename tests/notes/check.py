#!/usr/bin/env python3
"""Does what the notes quote, name and run still hold, and do they keep to the glossary?"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import completeness
import mutants
import names
import patches
import quotations
import words
from markdown import Document, Fault, read
from transcripts import Transcript

ROOT = Path(__file__).resolve().parent.parent.parent


def documents(root: Path, files: list[str]) -> list[Document]:
    """What a reader reads, or those that are named."""
    all_of_them = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "notes").rglob("*.md"))]
    found = [read(root, file.relative_to(root)) for file in all_of_them]
    return [document for document in found if not files or str(document.file) in files]


def check(root: Path, files: list[str], build: Path) -> list[Fault]:
    """All that can be told without running anything."""
    known = names.known(root, build)
    found = [] if files else [*completeness.check(root), *check_figures(root), *check_mutants(root)]
    for document in documents(root, files):
        found += document.faults
        found += quotations.check(root, document)
        found += names.check(known, document)
        found += words.check(document)
    return sorted(found)


def check_figures(root: Path) -> Iterator[Fault]:
    """Each is that of the table on its page."""
    page = root / "notes/measurements.md"
    for figure, script in {"growth.svg": "growth.py", "last_packet.svg": "last_packet_figure.py"}.items():
        command = [sys.executable, root / "tests/measure" / script]
        drawn = subprocess.run(command, input=page.read_text(), capture_output=True, text=True, check=True).stdout
        if drawn != (root / "notes" / figure).read_text():
            how = f"python3 tests/measure/{script} <notes/measurements.md >notes/{figure}"
            yield Fault(page.relative_to(root), 1, f"{figure} is not the figure of this table: {how}")


def check_mutants(root: Path) -> Iterator[Fault]:
    """Each changes something that is there once, those that nothing kills have an argument, and the score is right."""
    page = (root / mutants.PAGE.relative_to(mutants.ROOT)).read_text()
    every = mutants.read_page(page)
    wrong = [] if mutants.score(every) in page else [f"not '{mutants.score(every)}'"]
    for mutant in every:
        try:
            mutants.applied(mutant, root)
        except mutants.NotJudged as why:
            wrong.append(f"{mutant}: {why}")
        if mutant.known in mutants.ALIVE and f"\n- **{mutant.number}** " not in page:
            wrong.append(f"{mutant}: why does nothing kill it?")
    yield from (Fault(mutants.PAGE.relative_to(mutants.ROOT), 1, text) for text in wrong)


def run(root: Path, files: list[str], refresh: bool, copy: Path) -> list[Fault]:
    """All console blocks, in a copy of the tree. With `refresh`, writes down what was printed instead."""
    found = []
    for document in documents(root, files):
        if not any(block.language == "console" for block in document.blocks):
            continue
        print(document.file, flush=True)
        found += Transcript(copy, document, refresh).run()
        if refresh:
            document.write(root)
        for file in (path for path in names.tree(ROOT) if path.suffix != ".md"):
            ours = copy / file.relative_to(ROOT)
            if not ours.exists() or ours.read_bytes() != file.read_bytes():
                found.append(document.fault(len(document.lines), f"its commands leave {file.relative_to(ROOT)} changed"))
                shutil.copy2(file, ours)
    return found


def refresh_diffs(root: Path, files: list[str]) -> None:
    for document in documents(root, files):
        quotations.refresh(root, document)
        document.write(root)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="the build folder (build)")
    parser.add_argument("--run", action="store_true", help="run the console blocks instead, in a copy of the tree")
    parser.add_argument("--refresh", action="store_true", help="put in what the commands print, and the diffs")
    parser.add_argument("--copy", type=Path, help="run them in this copy, built in its build/, instead of a fresh one")
    parser.add_argument("file", nargs="*", help="only these: notes/3_pool.md")
    arguments = parser.parse_args()
    if len(documents(ROOT, arguments.file)) < len(arguments.file):
        parser.error(f"not among the notes: {' '.join(arguments.file)}")
    if arguments.refresh:
        refresh_diffs(ROOT, arguments.file)
    if not arguments.run and not arguments.refresh:
        found = check(ROOT, arguments.file, arguments.build.resolve())
    elif arguments.copy:
        found = run(ROOT, arguments.file, arguments.refresh, arguments.copy)
    else:
        with patches.temporary_copy() as copy:
            copy.build()
            found = run(ROOT, arguments.file, arguments.refresh, copy.folder)
    for fault in found:
        print(fault)
    print(f"{len(found)} faults." if len(found) != 1 else "1 fault.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
