#!/usr/bin/env python3
"""Puts patches into a copy of the tree, builds it, judges it, and takes them out again.

A wrong turn must break just the promises it is known to break, in the way it is known to. An exercise must be
unsolved as it stands, and solved by its answer and by the right solutions in tests/bench/solutions; each wrong one must
be refused in the words that stand on top of it.
"""

import argparse
import contextlib
import json
import queue
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Iterator

import names
from wrong_turns import WRONG_TURNS, WrongTurn

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / "tests/bench"
sys.path.append(str(BENCH))
from chapters import EXERCISES  # noqa: E402
from patching import apply  # noqa: E402

SERVER = "--port {port} --sleep-ms {sleep} --workers {workers} --take {take} --grace-ms {grace}".split()


class Copy:
    """A tree to change, like a reader's own, to be built in build/."""

    def __init__(self, folder: Path):
        self.folder = folder
        for path in names.tree(ROOT):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
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
        apply(self.folder, patch.read_text())
        yield
        apply(self.folder, patch.read_text(), reverse=True)


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
    told = [json.loads(line) for line in result.stdout.splitlines()]
    judgements = [one for one in told if one.get("promise", 17) != 17]
    return sorted(judgements, key=lambda one: one["promise"])


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
        # The rows below promise 4 are about a shutdown, too, and leave the word out.
        title = re.sub("^  ", "on shutdown: ", seen["title"])
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
            with copy.patched(ROOT / "notes/wrong_turns" / f"{turn.name}.patch"):
                copy.build("stage4_graceful_shutdown/stage4", "tests/stage4_server.so")
                shutil.copy2(copy.folder / "build/stage4_graceful_shutdown/stage4", binary)
                judging.append(pool.submit(judge, checker, binary))
                kinds.append(explored(explore, copy, turn))
        as_known = [tell(turn, future.result(), kind) for turn, future, kind in zip(turns, judging, kinds)]
    print("\nThe numbers are those of the promises: build/tests/promises lists them.")
    return all(as_known)


def solutions(name: str, every: bool) -> Iterator[Path | None]:
    """What is judged of an exercise: the tree as it stands (None), its answer, and solutions; all of them, or two wrong
    ones and a right one."""
    yield None
    yield next((ROOT / "notes/answers").glob(f"{name}_*.patch"))
    right, wrong = (sorted((BENCH / "solutions" / name).glob(f"{kind}_*.patch")) for kind in ("right", "wrong"))
    found_once = [patch for patch in wrong if re.search("^Refused: ", patch.read_text(), re.MULTILINE)]
    yield from [*right, *wrong] if every else [*right[:1], *found_once[:2]]


def refusal(patch: Path) -> str:
    """The words that the judge has to find; "" for a right solution."""
    told = re.search("^Refused(?: by the builds all together)?: (.*)$", patch.read_text(), re.MULTILINE)
    return told[1] if told and patch.name.startswith("wrong_") else ""


def try_solution(name: str, patch: Path | None, copy: Copy, build: Path, once: bool) -> str:
    """What is wrong with the verdict; "" if nothing is."""
    command = [sys.executable, BENCH / "exercises.py", "--json", "--build", build, "--source", copy.folder]
    with copy.patched(patch) if patch else contextlib.nullcontext():
        result = subprocess.run([*command, *["--once"] * once, name], capture_output=True, text=True)
    try:
        verdict = json.loads(result.stdout)
    except json.JSONDecodeError:
        return f"no verdict: {result.stdout}{result.stderr}"
    told = [f"{part['name']}: {' '.join(part['missing'].split())}" for part in verdict["parts"] if part["missing"]]
    said = "; ".join(told) or "solved"
    print(f"{name} {patch.stem if patch else 'as it stands'}: {said[:300]}", flush=True)
    if patch and not patch.name.startswith("wrong_"):
        return "" if verdict["solved"] else f"is right, and was refused: {said}"
    if verdict["solved"]:
        return "is wrong, and was accepted"
    return "" if not patch or matches(refusal(patch), said) else f"should be refused as '{refusal(patch)}', not: {said}"


def try_solutions(chosen: list[str], build: Path, every: bool) -> bool:
    """In two copies at a time."""
    todo = [(name, patch) for name in chosen or EXERCISES for patch in solutions(name, every)]
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()

    def judge_one(one: tuple[str, Path | None]) -> str:
        copy = copies.get()
        told = try_solution(*one, copy, build, once=not every)
        copies.put(copy)
        return told

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        for side in "left", "right":
            copies.put(Copy(Path(folder) / side))
        verdicts = list(pool.map(judge_one, todo))
    for (name, patch), wrong in zip(todo, verdicts):
        if wrong:
            print(f"BUT {name} {patch.stem if patch else 'as it stands'} {wrong}")
    return not any(verdicts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where the checker is built (build)")
    parser.add_argument("kind", choices=["wrong_turns", "exercises", "solutions"])
    parser.add_argument("name", nargs="*", help="only these")
    arguments = parser.parse_args()
    known = [turn.name for turn in WRONG_TURNS] if arguments.kind == "wrong_turns" else EXERCISES
    for name in arguments.name:
        if name not in known:
            parser.error(f"there is no '{name}' among {', '.join(known)}")
    build = arguments.build.resolve()
    if arguments.kind == "wrong_turns":
        return 0 if try_wrong_turns(arguments.name, build / "tests/promises", build / "tests/explore") else 1
    return 0 if try_solutions(arguments.name, build, arguments.kind == "solutions") else 1


if __name__ == "__main__":
    sys.exit(main())
