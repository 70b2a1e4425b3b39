#!/usr/bin/env python3
"""Do the lines that `promises` gives "by hand" show what they claim? Types each of them beside a stage that breaks the
promise, and beside one that keeps it.

by_hand.py --build DIR. Exit status 77 if only process 1 could not be had, 1 if a line shows something else.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

STAGES = {1: "stage1_single_thread", 2: "stage2_thread_per_request", 3: "stage3_pool", 4: "stage4_graceful_shutdown"}
LIMIT = 12  # seconds for a line and its answers


@dataclass
class Seen:
    """What somebody sees who has typed a line."""

    said: str  # by the line
    seconds: float  # until the prompt was back
    status: int | None  # the server's, as subprocess has it; None: it still runs
    answers_after: bool
    errors: str  # of the server

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.said, re.MULTILINE))

    def number(self) -> int:
        return int(re.findall(r"^\d+$", self.said, re.MULTILINE)[-1])


def ended_by(name: str) -> Callable[[Seen], bool]:
    return lambda seen: seen.status == -getattr(signal, name)


def answered(count: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.count("<h1>Hello!") == count and seen.status == 0


LOST = r"curl: \((52|56)\)"
REFUSED = r"curl: \(7\)"
# Without a terminal curl tells of its progress, and what several say at once is mixed.
CURL = """#!/bin/sh
exec 3>&1
said=$({curl} -sS "$@" 2>&1 >&3 3>&-)
status=$?
[ -z "$said" ] || echo "$said" >&2
exit $status
"""

# The promise, the stage, what it is started with, and what is to be seen.
CASES: list[tuple[int, int, list[str], Callable[[Seen], bool]]] = [
    (1, 1, [], lambda seen: seen.count("^HTTP/1.1 431 ") == 1),
    (2, 1, [], lambda seen: seen.seconds > 2.5 and seen.count("<h1>Hello!") > 0),
    (2, 4, [], lambda seen: seen.seconds < 2.5),
    (3, 2, [], lambda seen: seen.number() > 100),
    (3, 4, [], lambda seen: seen.number() < 10),
    (4, 3, [], lambda seen: seen.count(LOST) == 1 and seen.status == -signal.SIGINT),
    (4, 4, [], answered(1)),
    (5, 3, [], lambda seen: seen.count(LOST) == 5 and seen.status == -signal.SIGINT),
    (5, 4, [], answered(5)),
    (6, 3, [], lambda seen: seen.count(LOST) == 3 and seen.status == -signal.SIGTERM),
    (6, 4, [], answered(3)),
    (7, 3, [], lambda seen: seen.count(LOST) == 1 and seen.count(REFUSED) == 1),
    (7, 4, [], lambda seen: seen.count(REFUSED) == 1 and answered(1)(seen)),
    (8, 3, [], ended_by("SIGTERM")),
    (8, 4, [], lambda seen: seen.status == 0),
    (9, 3, [], ended_by("SIGTERM")),
    (9, 4, ["--grace-ms", "300"], lambda seen: seen.status == 1 and seen.errors.startswith("Gave up")),
    (10, 3, [], ended_by("SIGINT")),
    (10, 4, [], lambda seen: seen.status == 130),
    (11, 3, [], ended_by("SIGTERM")),
    (11, 4, [], lambda seen: seen.status == 0),
    (12, 4, ["--take", "2"], lambda seen: seen.count(REFUSED) == 1 and answered(2)(seen)),
    (13, 3, [], ended_by("SIGABRT")),
    (13, 4, [], lambda seen: seen.answers_after),
    (14, 3, [], ended_by("SIGABRT")),
    (14, 4, [], lambda seen: seen.status is None),
    (15, 3, [], lambda seen: seen.status is None),
    (15, 4, [], lambda seen: seen.status == 0),
    (16, 3, [], lambda seen: seen.count("^(52|56)$") > 0),
    (16, 4, [], lambda seen: seen.count("^7$") == 16 and seen.status == 0),
    (17, 3, [], lambda seen: seen.seconds > 2.5),
    (17, 2, [], lambda seen: seen.seconds < 2.5),
]


def lines(build: Path) -> dict[int, str]:
    stage = build / STAGES[4] / "stage4"
    command = [build / "tests/promises", "--json", "--time-limit", "1", "--", stage, "--port", "{port}"]
    told = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return {one["promise"]: one["by_hand"] for one in map(json.loads, told) if "promise" in one}


class Typed:
    """A server in one terminal, and a line in another. All of it is ended at the end of the block."""

    def __init__(self, build: Path, stage: int, flags: list[str], line: str, home: Path):
        self.home = home
        self.binary = build / STAGES[stage] / f"stage{stage}"
        self.line = line
        started = line.partition("  # started so; then ") if "  # started so" in line else ("", "", line)
        through = started[0].replace("./my_server", "").split()
        command = [*through, self.binary, "--port", "0", "--sleep-ms", "3000", *flags]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.server = subprocess.Popen(command, start_new_session=True, **pipes)
        self.first_line = self.server.stdout.readline()
        self.typed = started[2]

    def __enter__(self) -> "Typed":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.server, getattr(self, "shell", self.server):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    def see(self) -> Seen:
        port = self.first_line.rpartition(":")[2].strip()
        line = self.typed.partition("  # ")[0].replace("7878", port)
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        pid = children[0] if "unshare" in self.line else str(self.server.pid)
        line = line.replace("pkill -TERM my_server", f"kill -TERM {pid}")
        environment = {**os.environ, "PID": pid, "PATH": f"{self.home}:{os.environ['PATH']}"}
        start = time.time()
        self.shell = subprocess.Popen(["bash", "-c", f'{line}\necho "prompt at $EPOCHREALTIME"; wait'], text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                      env=environment)
        try:
            said, _ = self.shell.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:  # 200 slow requests are more than anybody waits for
            os.killpg(self.server.pid, signal.SIGKILL)
            said, _ = self.shell.communicate(timeout=LIMIT)
        seconds = float(re.findall("^prompt at (.*)$", said, re.MULTILINE)[0]) - start
        try:
            status = self.server.wait(timeout=4)  # a /sleep longer
        except subprocess.TimeoutExpired:
            status = None
        ask = ["curl", "-s", "-m", "10", f"127.0.0.1:{port}/"]
        answers = status is None and "Hello!" in subprocess.run(ask, capture_output=True, text=True).stdout
        return Seen(said, seconds, status, answers, self.server.stderr.read() if status is not None else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    build = parser.parse_args().build.resolve()
    by_hand = lines(build)
    namespaces = subprocess.run(["unshare", "-Ur", "--pid", "--fork", "true"], capture_output=True).returncode == 0

    def look(case: tuple[int, int, list[str], Callable[[Seen], bool]]) -> bool:
        number, stage, flags, is_right = case
        if number == 15 and not namespaces:
            print("15: left out, there are no namespaces here")
            return True
        with Typed(build, stage, flags, by_hand[number], home) as typed:
            seen = typed.see()
        if is_right(seen):
            return True
        print(f"{number}, beside stage {stage}: {by_hand[number]}\nshows something else: {seen}", flush=True)
        return False

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(8) as pool:
        home = Path(folder)
        (home / "curl").write_text(CURL.format(curl=shutil.which("curl")))
        (home / "curl").chmod(0o755)
        right = list(pool.map(look, CASES))
    missing = set(by_hand) ^ {case[0] for case in CASES}
    print(f"{sum(right)} of {len(CASES)} lines show what they claim", f"; not tried: {missing}" if missing else "")
    if not all(right) or missing:
        return 1
    return 0 if namespaces else 77


if __name__ == "__main__":
    sys.exit(main())
