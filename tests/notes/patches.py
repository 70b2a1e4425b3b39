#!/usr/bin/env python3
"""Puts patches into a copy of the tree, builds it, judges it, and takes them out again.

A wrong turn must break just the promises it is known to break, in the way it is known to. An exercise must be
unsolved as it stands, and solved by its answer.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import names
from exercises import EXERCISES
from wrong_turns import WRONG_TURNS, WrongTurn

ROOT = Path(__file__).resolve().parent.parent.parent
SERVER = "--port {port} --sleep-ms {sleep} --workers {workers} --take {take} --grace-ms {grace}".split()


class Copy:
    """A tree to change, like a reader's own: a repository with one commit, to be built in build/."""

    def __init__(self, folder: Path):
        self.folder = folder
        for path in names.tree(ROOT):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        author = ["-c", "user.name=reader", "-c", "user.email=reader@localhost"]
        self.run("git", "init", "-q")
        self.run("git", "add", ".")
        self.run("git", *author, "commit", "-qm", "as it was")
        self.run("meson", "setup", "build")

    def run(self, *command: str | Path) -> None:
        """Throws subprocess.CalledProcessError, after it has shown what was printed."""
        result = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            print(result.stdout, file=sys.stderr)
        result.check_returncode()

    def build(self, *targets: str) -> None:
        self.run("ninja", "-C", "build", *targets)

    @contextlib.contextmanager
    def patched(self, patch: Path) -> Iterator[None]:
        self.run("git", "apply", patch)
        yield
        self.run("git", "apply", "-R", patch)


@contextlib.contextmanager
def temporary_copy() -> Iterator[Copy]:
    with tempfile.TemporaryDirectory() as folder:
        yield Copy(Path(folder) / "workbook")


def matches(pattern: str, evidence: str) -> bool:
    return re.search(".*".join(re.escape(part) for part in pattern.split("...")), evidence) is not None


def judge(checker: Path, binary: Path) -> list[dict]:
    """All judgements, in the order of the promises; none that stage 4 does not keep by itself."""
    command = [checker, "--json", "--", binary, *SERVER]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return [judgement for judgement in json.loads(result.stdout) if judgement["promise"] != 17]


def surprise(turn: WrongTurn, judgement: dict) -> str | None:
    """What should have been seen instead; None if it was."""
    promise, verdict = judgement["promise"], judgement["verdict"]
    # Only process 1 cannot be had everywhere.
    if promise in turn.by_luck or (promise == 15 and verdict == "not judged here"):
        return None
    symptom = turn.symptom(promise)
    if symptom is None:
        return None if verdict == "kept" else "kept"
    return None if verdict == "broken" and matches(symptom, judgement["evidence"]) else f"broken ({symptom})"


def explored(explore: Path, copy: Copy, turn: WrongTurn) -> str:
    """The kind of failure that explore tells of."""
    module = copy.folder / "build/tests/stage4_server.so"
    command = [explore, "--server", "--module", module, turn.explored[0]]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    return next(iter(re.findall("^  (.+), in order ", result.stdout, re.MULTILINE)), "all well")


def tell(turn: WrongTurn, judgements: list[dict], kind: str) -> bool:
    """The most telling of what was seen, what else the fault breaks, and what is not as known. True if all is."""
    print(f"\n{turn.name}: {turn.fault}")
    seen = None
    if turn.symptoms:
        seen = judgements[next(iter(turn.symptoms))[0] - 1]
        # A title may be the second half of a sentence that the row above it began.
        title = re.sub("^  ", "a stop: ", seen["title"])
        print(f"  {seen['promise']} {title}: {seen['verdict']}\n    {seen['evidence']}")
    others = [str(j["promise"]) for j in judgements if j["verdict"] == "broken" and j is not seen]
    if others:
        print("  also broken:", *others)
    print(f"  explore --server {turn.explored[0]}: {kind}")
    if kind != turn.explored[1]:
        print(f"  BUT explore should say {turn.explored[1]}")
    wrong = [(j, other) for j in judgements if (other := surprise(turn, j))]
    for j, other in wrong:
        print(f"  BUT promise {j['promise']} is {j['verdict']} ({j['evidence']}), and should be {other}")
    sys.stdout.flush()
    return not wrong and kind == turn.explored[1]


def try_wrong_turns(chosen: list[str], checker: Path, explore: Path) -> bool:
    """While the checker judges one, which is mostly waiting, the next is built."""
    turns = [turn for turn in WRONG_TURNS if turn.name in chosen or not chosen]
    judging: list[Future[list[dict]]] = []
    kinds: list[str] = []
    with temporary_copy() as copy, ThreadPoolExecutor(4) as pool:
        for turn in turns:
            binary = copy.folder.parent / turn.name
            with copy.patched(Path("notes/wrong_turns") / f"{turn.name}.patch"):
                copy.build("stage4_graceful_shutdown/stage4", "tests/stage4_server.so")
                shutil.copy2(copy.folder / "build/stage4_graceful_shutdown/stage4", binary)
                judging.append(pool.submit(judge, checker, binary))
                kinds.append(explored(explore, copy, turn))
        as_known = [tell(turn, future.result(), kind) for turn, future, kind in zip(turns, judging, kinds)]
    print("\nThe numbers are those of the promises: build/tests/promises lists them.")
    return all(as_known)


def ask(copy: Copy, name: str) -> tuple[bool, str]:
    """What the reader is told who asks whether the exercise is solved."""
    command = [sys.executable, "tests/notes/exercises.py", name]
    result = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True)
    print(result.stdout + result.stderr, end="", flush=True)
    return result.returncode == 0, result.stdout


def try_answers(chosen: list[str]) -> bool:
    wrong = []
    with temporary_copy() as copy:
        for name in chosen or EXERCISES:
            solved_before, before = ask(copy, name)
            with copy.patched(next((copy.folder / "notes/answers").glob(f"{name}_*.patch"))):
                solved_after, _ = ask(copy, name)
            if solved_before or "not yet" not in before or not solved_after:
                wrong.append(name)
    for name in wrong:
        print(f"{name}: has to be 'not yet' before its answer, and 'solved' after it")
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where the checker is built (build)")
    parser.add_argument("kind", choices=["wrong_turns", "answers"])
    parser.add_argument("name", nargs="*", help="only these")
    arguments = parser.parse_args()
    known = EXERCISES if arguments.kind == "answers" else [turn.name for turn in WRONG_TURNS]
    for name in arguments.name:
        if name not in known:
            parser.error(f"there is no '{name}' among {', '.join(known)}")
    # A build folder may be in a repository itself, and git must not take that one for the copy's.
    os.environ["GIT_CEILING_DIRECTORIES"] = tempfile.gettempdir()
    if arguments.kind == "answers":
        return 0 if try_answers(arguments.name) else 1
    return 0 if try_wrong_turns(arguments.name, *(arguments.build.resolve() / f"tests/{tool}" for tool in ("promises", "explore"))) else 1


if __name__ == "__main__":
    sys.exit(main())
