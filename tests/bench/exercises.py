#!/usr/bin/env python3
"""The exercises of the notes: a place to work in, hints, and a judge for your solutions.

  exercises.py NAME...            judges your solution, e.g. of 3.4
  exercises.py list               all exercises, and how far you are
  exercises.py next               the first one that you have not solved
  exercises.py start NAME         makes a copy of the workbook to work in, next to it
  exercises.py diff NAME          shows what you have changed there
  exercises.py back NAME          removes that copy, and keeps your changes as a patch
  exercises.py hint NAME [1|2|3]  1 (the default): a hint; 2: where to look; 3: how it is done
  exercises.py show NAME          shows the answer
  exercises.py watch NAME         judges your solution each time you save a file
  exercises.py put_in TURN        puts a wrong turn of chapter 4 into this tree; take_out TURN removes it

If an exercise has a copy, the copy is judged, otherwise this tree. Exit status: 0 if all exercises named are solved, 1
if not, 2 for a mistake in the command line.
"""

import argparse
import contextlib
import json
import os
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path

import places
from chapters import EXERCISES
from judge import Part, attempt, build, configure, judge
from patching import DoesNotApply
from places import SOURCE
from server import NotYet, Tree, require


def titles() -> dict[str, tuple[str, str, str]]:
    """Of each exercise that is judged: its title, where it is told, and its hint."""
    found = {}
    for page in sorted((SOURCE / "notes").glob("*.md")):
        for part in re.split(r"^(?=#+ )", page.read_text(), flags=re.MULTILINE):
            if (head := re.match(r"#+ (\d+\.\d+) (.*)", part)) and head[1] in EXERCISES:
                hint = re.search(r"<summary>Hint</summary>\s*(.*?)\s*</details>", part, re.DOTALL)
                found[head[1]] = (head[2], f"notes/{page.name}", hint[1] if hint else "")
    return {name: found[name] for name in EXERCISES if name in found}


def without_a_judge() -> dict[str, str]:
    """The exercises that are a question, or a program of one's own; and where they are told."""
    pages = {f"notes/{page.name}": page.read_text() for page in SOURCE.glob("notes/*.md")}
    heads = {head: name for name, page in pages.items() for head in re.findall(r"^### (\d\.\d) ", page, re.M)}
    return {head: name for head, name in heads.items() if head not in EXERCISES}


def no_such(name: str) -> str:
    if page := without_a_judge().get(name):
        return f"{name} has no judge: its hint and a link to its answer are in {page}."
    return f"There is no exercise {name}. The exercises are {', '.join(EXERCISES)}."


class Progress:
    """What has been judged, kept in the build folder."""

    def __init__(self, folder: Path):
        self.file = folder / "exercises.json"
        self.results = json.loads(self.file.read_text()) if self.file.exists() else {}

    def add(self, name: str, parts: list[Part]) -> None:
        self.results[name] = [sum(not part.missing for part in parts), len(parts)]
        with contextlib.suppress(OSError):  # a verdict is worth telling, where it cannot be kept
            whole = self.file.with_suffix(f".{os.getpid()}")  # two may judge at the same time
            whole.write_text(json.dumps(self.results, indent=2))
            whole.replace(self.file)

    def of(self, name: str) -> str:
        points, most = self.results.get(name, (0, 0))
        return "solved" if most and points == most else f"{points} of {most} points" if most else ""


def tree_of(name: str, arguments: argparse.Namespace) -> Tree:
    """A tree that is named, else the exercise's own place, else this one."""
    place = places.place_of(name)
    source = arguments.source or (place if place.is_dir() else SOURCE)
    own = arguments.build if source == SOURCE else source / "build"
    return Tree(source.resolve(), own.resolve(), arguments.build.resolve() / "tests")


def check(name: str, arguments: argparse.Namespace) -> bool:
    """Judges one exercise, and says what came out."""
    tree = tree_of(name, arguments)
    quiet = arguments.json
    if tree.source == SOURCE and not arguments.source:
        print(f"{name} has no copy (start {name} makes one), so this judges the workbook itself.", file=sys.stderr)

    def tell(part: Part) -> None:
        if not quiet:
            missing = part.missing.replace("\n", "\n    ")
            print(f"  {part.name:16} {'ok' if not missing else f'not yet: {missing}'}", flush=True)

    tools = attempt("build", lambda: make_tools(arguments.build.resolve(), name))
    parts = [tools] if tools.missing else judge(EXERCISES[name], tree, arguments.once, tell)
    points = sum(not part.missing for part in parts)
    missing = next((f"{part.name}: {part.missing}" for part in parts if part.missing), "")
    if not tools.missing and not arguments.source:  # another's solution is no progress of mine
        Progress(arguments.build).add(name, parts)
    if quiet:
        told = {"exercise": name, "tree": str(tree.source), "solved": not missing, "points": points, "of": len(parts)}
        print(json.dumps(told | {"parts": [asdict(part) for part in parts]}), flush=True)
    elif missing:
        place = f" (in {tree.source})" if tree.source != SOURCE else ""
        print(f"{name}: not yet, {points} of {len(parts)} points{place}. {missing}", flush=True)
    else:
        print(f"{name}: solved.", flush=True)
    return not missing


def make_tools(folder: Path, name: str) -> None:
    """The programs that judge are this tree's own, also where another is judged."""
    tools = Tree(SOURCE, folder, folder)
    configure(tools)
    exercise = EXERCISES[name]
    needed = ["tests/promises"] * bool(exercise.kept or exercise.broken) + ["tests/explore"] * bool(exercise.orders)
    build(tools, *needed, "tests/slow_threads.so")


def list_all(arguments: argparse.Namespace) -> None:
    progress = Progress(arguments.build)
    for name, (title, _, _) in titles().items():
        place = places.place_of(name)
        print(f"{name}  {title:38} {progress.of(name):16} {place.name if place.is_dir() else ''}".rstrip())


def next_one(arguments: argparse.Namespace) -> None:
    progress = Progress(arguments.build)
    for name, (title, page, _) in titles().items():
        if progress.of(name) != "solved":
            print(f"{name} {title}: {page}\nFor a copy to work in: python3 tests/bench/exercises.py start {name}")
            return
    print("All exercises are solved.")


def answer_of(name: str) -> tuple[str, str]:
    """What the notes say of it, and its patch."""
    page = (places.ANSWERS / f"{name.partition('.')[0]}.md").read_text()
    text = re.search(rf"^#+ {re.escape(name)} .*?\n(.*?)(?=^#|\Z)", page, re.DOTALL | re.MULTILINE)
    patch = next(places.ANSWERS.glob(f"{name}_*.patch")).read_text()
    return text[1].strip() if text else "", patch


def hint(name: str, step: int) -> None:
    text, patch = answer_of(name)
    if step == 1:
        print(titles()[name][2])
    elif step == 2:
        for file, rest in re.findall(r"^\+\+\+ b/(\S+)\n((?:(?!^diff ).*\n)*)", patch, re.MULTILINE):
            changes = len(re.findall(r"^[-+]", rest, re.MULTILINE))
            hunks = re.findall(r"^@@ -(\d+).*\n((?: .*\n)*)", rest, re.MULTILINE)  # up to the first change
            near = [str(int(start) + before.count("\n")) for start, before in hunks if start != "0"]
            print(f"{file}, lines to change: {changes}{', near line ' if near else ''}{', '.join(near)}")
    else:
        print(text)


def watch(name: str, arguments: argparse.Namespace) -> int:
    """Until Ctrl-C."""
    source = tree_of(name, arguments).source

    def state() -> list[float]:
        return [(source / file).stat().st_mtime for file in places.files_of(source) if (source / file).exists()]

    seen = None
    try:
        while True:
            if (now := state()) != seen:
                seen = now
                check(name, arguments)
                print(f"Watching {source}. Ctrl-C ends it.", flush=True)
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0


def place_verb(verb: str, name: str) -> None:
    if verb == "start":
        place = places.start(name)
        configure(Tree(place, place / "build", place))
        judge = f"\nJudge it from this folder: python3 tests/bench/exercises.py {name}" if name in EXERCISES else ""
        targets = " ".join(["", *EXERCISES[name].targets]) if name in EXERCISES else ""
        print(f"Work in {place}\nBuild there: ninja -C build{targets}{judge}")
    elif verb == "back":
        print(places.back(name))
    else:
        print(places.changes(name), end="")


def obey(verb: str, words: list[str], arguments: argparse.Namespace) -> int:
    """One of the verbs. Throws NotYet, DoesNotApply, OSError."""
    if verb in ("list", "next"):
        list_all(arguments) if verb == "list" else next_one(arguments)
        return 0
    require(bool(words), f"Which one? exercises.py {verb} NAME")
    name = words[0]
    if verb in ("put_in", "take_out"):
        places.turn(name, out=verb == "take_out")
        return 0
    unjudged = name in without_a_judge() or (places.WRONG_TURNS / f"{name}.patch").exists()
    known = name in EXERCISES or unjudged and verb in ("start", "back", "diff")
    require(known, no_such(name))
    if verb in ("start", "back", "diff"):
        place_verb(verb, name)
    elif verb == "hint":
        hint(name, int(words[1]) if words[1:] and words[1] in "123" else 1)
    elif verb == "show":
        print("\n\n".join(answer_of(name)))
    else:
        return watch(name, arguments)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=SOURCE / "build", help="this tree's build folder (build/)")
    parser.add_argument("--source", type=Path, help="judge the tree in this folder, with this tree's judge")
    parser.add_argument("--once", action="store_true", help="build with ThreadSanitizer only: quicker, but finds less")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line, for a script")
    parser.add_argument("words", nargs="+", metavar="WORD", help="see above")
    arguments = parser.parse_args()
    verb, *words = arguments.words
    try:
        if verb in ("list", "next", "start", "diff", "back", "hint", "show", "watch", "put_in", "take_out"):
            return obey(verb, words, arguments)
    except (NotYet, DoesNotApply, OSError) as reason:
        print(reason, file=sys.stderr)
        return 2
    for name in arguments.words:
        if name not in EXERCISES:
            parser.error(no_such(name))
    try:
        return 0 if all([check(name, arguments) for name in arguments.words]) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
