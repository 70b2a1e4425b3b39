#!/usr/bin/env python3
"""Puts each mutant of notes/mutants.md into a copy of the tree, builds it, and runs the tests until one fails.

Judges two mutants at the same time. Verdicts are kept in the build folder until a source changes, so an interrupted run
goes on. Exit status: 0 if every mutant is judged, and each verdict is that of the page.
"""

import argparse
import contextlib
import hashlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import names
import patches

ROOT = patches.ROOT
PAGE = ROOT / "notes/mutants.md"
UNIT = ["channel", "thread_pool", "http", "options", "incoming", "connection"]
STAGES = ["stage1", "stage2", "stage3", "stage4"]
SIMULATED = ["explore", "failures", "every_failure"]
IN_POOL = ("common/channel.hpp", "stage4_graceful_shutdown/thread_pool.cpp")  # explore --pool builds these by itself
ALIVE = ("survives", "equivalent")
NOT_JUDGED = "not judged: "
running: set[subprocess.Popen] = set()
ended = threading.Event()


class NotJudged(Exception):
    """Why nothing can be said of a mutant."""


@dataclass(frozen=True)
class Mutant:
    """One row of the page."""

    number: int
    file: str
    old: str
    new: str
    known: str  # what kills it: "http: fields, §5", "explore: hang"; or one of ALIVE

    def judges(self, only: str) -> list[list[str]]:
        """What may kill it: first of all what the page names, then whatever costs least. Some run at the same time."""
        if only:
            return [[only]]
        groups = [*([judge] for judge in UNIT), ["explore"], ["failures"]]
        groups += [["stage4", "deadline"], ["late_packets", "process_one"], ["rights"]]
        if self.file.startswith("common/"):
            groups += [["stage1", "stage2"], ["stage3"]]
        groups += [["every_failure"]]
        if stage := re.match("stage[123]", self.file):
            groups = [[stage[0], "deadline"], ["process_one"]]
        return [[judge] for group in groups for judge in group if self.known.startswith(judge)] + groups

    def __str__(self) -> str:
        return f"{self.number} {self.file}: {self.old[:60]} -> {self.new[:60] or 'nothing'}"


CONTROL = Mutant(0, "common/log.cpp", "void prepare_log()", "void prepare_log()", "survives")  # or nothing is proved
ROW = re.compile(r"\| (\d+) +\| `([^`]+)` +\| `([^`]+)` → (?:`([^`]+)`|nothing) +\| (.+?) +\|")


def read_page(page: str) -> list[Mutant]:
    """In a cell, \\| stands for |, and ⏎ for the end of a line."""
    rows = [ROW.fullmatch(line) for line in page.splitlines()]
    found = [Mutant(int(r[1]), r[2], *((r[i] or "").replace("\\|", "|") for i in (3, 4)), r[5]) for r in rows if r]
    if [mutant.number for mutant in found] != list(range(1, len(re.findall(r"^\| \d", page, re.MULTILINE)) + 1)):
        raise ValueError("a row of the table is malformed, or the numbers have a gap")
    return found


SCORE = r"kill \d+ of the \d+ \*mutants\* below: [\d.]+ %"


def score(mutants: list[Mutant]) -> str:
    """In the words of the page."""
    real = [mutant for mutant in mutants if mutant.known != "equivalent"]
    killed = sum(mutant.known != "survives" for mutant in real)
    return f"kill {killed} of the {len(real)} *mutants* below: {100 * killed / max(1, len(real)):.1f} %"


def applied(mutant: Mutant, root: Path) -> tuple[str, str]:
    """The text of its file, before and after. Space at the end and at the beginning of a line does not count."""
    before = (root / mutant.file).read_text() if (root / mutant.file).is_file() else ""
    pattern = r"\s*\n\s*".join(re.escape(line) for line in mutant.old.split(" ⏎ "))
    after, count = re.subn(pattern, lambda _: mutant.new.replace(" ⏎ ", "\n"), before)
    if count != 1:
        raise NotJudged(f"{mutant} no longer applies: what it changes is there {count} times")
    return before, after


@contextlib.contextmanager
def put_into(folder: Path, mutant: Mutant) -> Iterator[None]:
    before, after = applied(mutant, folder)
    (folder / mutant.file).write_text(after)
    try:
        yield
    finally:
        (folder / mutant.file).write_text(before)


def make(copy: patches.Copy, group: list[str], mutant: Mutant) -> None:
    """Builds what these judges need."""
    wanted = {"tests/doctests", *([] if group[0] in UNIT else STAGES)}
    if group[0] in SIMULATED:
        wanted = {"tests/stage4_server.so"} if group != ["explore"] or mutant.file not in IN_POOL else set()
    command = ["ninja", "-C", "build", *wanted]
    made = wanted and subprocess.run(command, cwd=copy.folder, capture_output=True, text=True)
    if made and made.returncode != 0:
        errors = [line for line in made.stdout.splitlines() if "error" in line]
        raise NotJudged(f"does not build: {(errors or [made.stderr])[0].strip()}")


def end(process: subprocess.Popen) -> None:
    """With the processes that it has started. The tests end their servers."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(timeout=5)


def run(limit: float, *command: str | Path) -> str | None:
    """Waits for the first failure that it prints, and returns which one; None if it succeeds, or skips all (77)."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    process = subprocess.Popen(command, start_new_session=True, **pipes)
    running.add(process)
    if ended.is_set():
        end(process)
    timer = threading.Timer(limit, end, [process])
    timer.start()
    begin, printed = time.monotonic(), [""]
    try:
        for line in process.stdout:
            printed.append(line.strip())
            if found := re.match(r"stage 4: (.+)|TEST CASE:  (.+)", line):
                return found[found.lastindex]
            if found := re.match(r"  (.+), in order ", line):  # the line before begins with the scenario
                return f"{found[1]}, in {printed[-2].split(':')[0]}"
        status = process.wait()
    finally:
        timer.cancel()
        end(process)
        running.discard(process)
    if time.monotonic() - begin >= limit:
        return "time limit"
    if "does not compile" in printed[-1] or "No test ran" in printed[-1]:
        raise NotJudged(printed[-1])
    return None if status in (0, 77) else printed[-1].removeprefix("explore: ").removeprefix("failures: ").split(":")[0]


def ask(judge: str, mutant: Mutant, folder: Path, tools: Path) -> str | None:
    """What it says against the mutant, which is in that folder; None if nothing."""
    library = folder / "build/tests/stage4_server.so"
    server = folder / "build/stage4_graceful_shutdown/stage4"
    command = {
        "explore": [tools / "explore", "--server", "--module", library],
        "failures": [tools / "failures", "--quick", "--module", library],
        "every_failure": [tools / "failures", "--module", library],
        "late_packets": [sys.executable, folder / "tests/checker/late_packets.py", "--stage4", server],
    }.get(judge, [folder / "build/tests/doctests", "--at-once", f"--test-suite={judge}"])
    if judge == "explore" and mutant.file in IN_POOL:
        command = [tools / "explore", "--pool", folder / "stage4_graceful_shutdown"]
    limit = 10 if judge in UNIT else 240 if judge in SIMULATED else 60
    scenario = re.fullmatch(r"explore: .+, in (\S+)", mutant.known)
    # It takes a second to try one scenario, and a minute to try all.
    said = run(limit, *command, scenario[1]) if judge == "explore" and scenario else None
    said = said or run(limit, *command)
    return said and f"{judge}: {said}"


def verdict(mutant: Mutant, only: str, copy: patches.Copy, tools: Path) -> str:
    try:
        with put_into(copy.folder, mutant), ThreadPoolExecutor() as pool:
            for group in mutant.judges(only):
                make(copy, group, mutant)
                said = list(pool.map(lambda judge: ask(judge, mutant, copy.folder, tools), group))
                if any(said):
                    return next(filter(None, said))
            return "survives"
    except NotJudged as reason:
        return f"{NOT_JUDGED}{reason}"


def judge_all(mutants: list[Mutant], only: str, tools: Path) -> Iterator[tuple[Mutant, str]]:
    """Two at a time, each in a copy of its own."""
    copies: queue.SimpleQueue[patches.Copy] = queue.SimpleQueue()

    def judge(mutant: Mutant) -> str:
        copy = copies.get()
        try:
            return verdict(mutant, only, copy, tools)
        finally:
            copies.put(copy)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        for side in ("left", "right")[: len(mutants)]:
            copies.put(patches.Copy(Path(folder) / side))
        waiting = {pool.submit(judge, mutant): mutant for mutant in mutants}
        try:
            yield from ((waiting[done], done.result()) for done in as_completed(waiting))
        finally:  # which a Ctrl-C may bring
            ended.set()
            for process in list(running):
                end(process)
            pool.shutdown(cancel_futures=True)


def agree(known: str, seen: str) -> bool:
    """Of several tests that fail, any may be the first; explore always says the same."""
    if known in ALIVE or seen.startswith("explore"):
        return seen == ("survives" if known in ALIVE else known)
    return seen.split(":")[0] == known.split(":")[0]


def tell(seen: dict[Mutant, str]) -> bool:
    """The score, and what is not as the page says. True if all is."""
    unknown = [mutant for mutant, said in seen.items() if said.startswith(NOT_JUDGED)]
    wrong = [mutant for mutant, said in seen.items() if mutant not in unknown and not agree(mutant.known, said)]
    for mutant in [*wrong, *unknown]:
        print(f"{mutant}\n   {seen[mutant]}, and should be {mutant.known}")
    real = [mutant for mutant in seen if mutant.known != "equivalent" and mutant not in [*unknown, CONTROL]]
    killed = sum(seen[mutant] != "survives" for mutant in real)
    share = f" ({100 * killed / len(real):.1f} %)" if real else ""
    print(f"killed {killed} of {len(real)} that are not equivalent{share}")
    print(f"{len(unknown)} not judged, {len(wrong)} not as the page says.")
    return not unknown and not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where explore is built (build)")
    parser.add_argument("--fresh", action="store_true", help="judge again what has been judged before")
    parser.add_argument("--write", action="store_true", help="write into the page what has killed each")
    parser.add_argument("--by", default="", help="judged by this suite alone: what it kills, or the numbers given")
    parser.add_argument("number", type=int, nargs="*", help="only these; 0 is one that changes nothing")
    arguments = parser.parse_args()
    page = PAGE.read_text()
    try:
        every = read_page(page)
    except ValueError as why:
        parser.error(f"notes/mutants.md: {why}")
    if unknown := set(arguments.number) - {mutant.number for mutant in [CONTROL, *every]}:
        parser.error(f"there is no mutant {min(unknown)}, only 1 to {len(every)}")
    chosen = [mutant for mutant in [CONTROL, *every] if mutant.number in arguments.number]
    if not arguments.number:  # what nobody can tell apart is tried only if it is asked for
        chosen = [CONTROL, *(m for m in every if m.known.startswith(arguments.by) and m.known != "equivalent")]
    sources = [path.read_bytes() for path in names.tree(ROOT) if "notes" not in path.parts and path.suffix != ".md"]
    tree = hashlib.sha256(b"\0".join(sources)).hexdigest()
    key = {mutant: f"{tree} {arguments.by} {mutant.file}: {mutant.old} -> {mutant.new}" for mutant in chosen}
    kept = arguments.build.resolve() / "mutants.jsonl"
    before = {} if arguments.fresh or not kept.exists() else dict(map(json.loads, kept.read_text().splitlines()))
    seen = {mutant: before[key[mutant]] for mutant in chosen if key[mutant] in before}
    print(f"{len(chosen)} to judge, {len(seen)} of them judged before.", flush=True)
    new = judge_all([m for m in chosen if m not in seen], arguments.by, arguments.build.resolve() / "tests")
    with kept.open("a") as file, contextlib.closing(new):
        for mutant, said in new:
            seen[mutant] = said
            print(f"{said:30} {mutant}", flush=True)
            if not said.startswith(NOT_JUDGED):
                print(json.dumps([key[mutant], said]), file=file, flush=True)
    for mutant, said in seen.items():
        if arguments.write and not said.startswith(NOT_JUDGED) and not agree(mutant.known, said):
            page = re.sub(rf"(?m)^(\| {mutant.number} .*\| )[^|]+ \|$", lambda row: f"{row[1]}{said} |", page)
    if arguments.write:
        PAGE.write_text(re.sub(SCORE, score(read_page(page)), page))
    return 0 if tell(seen) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Interrupted: the next run goes on from here.")
