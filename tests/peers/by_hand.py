#!/usr/bin/env python3
"""Do the lines that `promises` gives "by hand" show what they claim? Has servers judged that break a promise, types the
line beside them, and then beside one that keeps the promise.

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
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from peers import HERE, PYTHON, free_port

LIMIT = 16  # seconds for a line and its answers


@dataclass
class Seen:
    """What somebody sees who has typed a line."""

    said: str  # by the line
    seconds: float  # until the prompt was back
    status: int | None  # the server's, as subprocess has it; None: it still runs; -SIGKILL: it had to be ended
    errors: str  # of the server

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.said, re.MULTILINE))

    def numbers(self) -> list[int]:
        return [int(line) for line in re.findall(r"^\d+$", self.said, re.MULTILINE)]

    def ticks(self) -> list[int]:
        return [int(a) + int(b) for a, b in re.findall(r"^(\d+) (\d+)$", self.said, re.MULTILINE)]


Shows = Callable[[Seen], bool]
LOST = r"curl: \((52|56)\)"
REFUSED = r"curl: \(7\)"
SILENCE = r"curl: \(28\)"


def ended_by(name: str) -> Shows:
    return lambda seen: seen.status == -getattr(signal, name)


def answered(count: int) -> Shows:
    return lambda seen: seen.count("<h1>Hello!") == count and seen.count(r"curl: \(") == 0


def says(pattern: str) -> Shows:
    return lambda seen: seen.count(pattern) > 0


def both(one: Shows, other: Shows) -> Shows:
    return lambda seen: one(seen) and other(seen)


def exits(status: int) -> Shows:
    return lambda seen: seen.status == status


def stage(number: int) -> list[str]:
    folder = ["1_single_thread", "2_thread_per_request", "3_pool", "4_graceful_shutdown"][number - 1]
    return [f"BUILD/stage{folder}/stage{number}", "--port", "{port}", "--sleep-ms", "{sleep}"]


def python(*ways: str) -> list[str]:
    return [*map(str, PYTHON), "1.1", "graceful", *ways]


CPP = ["FOLDER/cpp", "{port}", "{sleep}", "fixed"]
# The stage 4 that it has nine times; after that it is stage 3.
TURNS = """#!/bin/sh
echo >>"$0.turns"
[ "$(wc -l <"$0.turns")" -le 9 ] && exec BUILD/stage4_graceful_shutdown/stage4 "$@"
exec BUILD/stage3_pool/stage3 "$@"
"""
# Without a terminal curl tells of its progress, and what several say at once is mixed.
CURL = """#!/bin/sh
exec 3>&1
said=$({curl} -sS "$@" 2>&1 >&3 3>&-)
status=$?
[ -z "$said" ] || echo "$said" >&2
exit $status
"""


@dataclass
class Case:
    promise: int
    breaker: list[str]
    evidence: str  # in its verdict
    shown: Shows  # by its line
    kept: Shows | None = None  # by the same line, beside a server that keeps the promise
    flags: tuple[str, ...] = ()  # of that one
    keeper: int = 4  # the stage


CASES = [
    Case(1, python(), "a half-close within", lambda seen: "DOCTYPE" in seen.said and "HTTP/1." not in seen.said,
         exits(None)),
    Case(1, python("fragile"), "^exit 3, before 'an empty", exits(3), exits(None)),
    Case(1, CPP, "HEAD /: 404", both(says("404 Not Found"), says("Oops!")), lambda seen: "<h1>" not in seen.said),
    Case(1, python("pieces"), "a request in three pieces", lambda seen: "200 OK" not in seen.said, says("200 OK")),
    Case(2, stage(1), "an earlier slow one", lambda seen: seen.seconds > 2.5 and says("<h1>Hello!")(seen),
         lambda seen: seen.seconds < 2.5),
    Case(2, python("waits"), "despite a silent client", says(SILENCE), answered(1)),
    Case(3, stage(2), "threads for 200", lambda seen: seen.numbers()[-1] > 100, lambda seen: seen.numbers()[-1] < 10),
    Case(3, python("pool", "tires"), "3 of 4 workers have left", says("^real\t0m(9|1[0-9])"), says("^real\t0m3")),
    Case(4, stage(3), "SIGINT: 0 of 4", lambda seen: seen.count(LOST) == 4, answered(4)),
    Case(4, python("only-int"), "SIGTERM: 0 of 4", lambda seen: seen.count(LOST) == 4, both(answered(4), exits(0))),
    Case(5, stage(3), "0 of 10", lambda seen: seen.count(LOST) == 10, both(answered(10), exits(0))),
    Case(6, stage(3), "0 of 50", lambda seen: seen.count(LOST) == 50, both(answered(50), exits(0))),
    Case(7, stage(3), "with a request in progress", lambda seen: seen.count(LOST) == 1 and seen.count(REFUSED) == 1,
         lambda seen: seen.count(REFUSED) == 1 and seen.count("<h1>Hello!") == 1),
    Case(7, python("owner"), "(?s)did not start.*Address already in use", says("Address already in use"), answered(2)),
    Case(8, stage(3), "ended by SIGTERM", ended_by("SIGTERM"), both(says("^real\t0m[0-2]"), exits(0))),
    Case(9, stage(3), "ended by SIGTERM", ended_by("SIGTERM"),
         lambda seen: seen.status == 1 and seen.errors.startswith("Gave up"), ("--grace-ms", "300")),
    Case(10, stage(3), "the first Ctrl-C", ended_by("SIGINT"), exits(130)),
    Case(10, python("impatient"), "SIGTERM, then others", exits(130), both(answered(1), exits(0))),
    Case(11, stage(3), "SIGINT on an idle server, start 1", ended_by("SIGINT"), exits(0)),
    Case(11, python(), "SIGTERM, which its parent had blocked", exits(None), exits(0)),
    Case(11, ["FOLDER/turns", *stage(3)[1:]], "start 9", lambda seen: seen.numbers() == [129] * 42,
         lambda seen: seen.numbers() == [0] * 42),
    Case(12, python("generous", "--take", "{take}"), "the port is open", lambda seen: seen.count("<h1>Hello!") == 3,
         lambda seen: seen.count(REFUSED) == 1 and seen.count("<h1>Hello!") == 2, ("--take", "2")),
    Case(12, python("--take", "{take}"), "with a silent client", exits(-signal.SIGKILL), both(answered(1), exits(0)),
         ("--take", "2")),
    Case(13, stage(3), "^RST: 0 of 4", ended_by("SIGABRT"), answered(4)),
    Case(13, python("pipe"), "^FIN, then RST: .* SIGPIPE", ended_by("SIGPIPE"), answered(4)),
    Case(14, stage(3), "ended by SIGABRT", ended_by("SIGABRT"), exits(None)),
    Case(14, python(), "spins", lambda seen: seen.ticks()[1] - seen.ticks()[0] > 15,
         lambda seen: seen.ticks()[1] - seen.ticks()[0] < 15),
    Case(14, python("gives-up"), "does not recover", says(SILENCE), answered(1)),
    Case(14, python("naps"), "a stop without descriptors: [01] of 5", lambda seen: seen.count(LOST) > 3,
         both(answered(5), exits(0))),
    Case(15, stage(3), "SIGTERM does not end it", exits(None), both(answered(1), exits(0))),
    Case(16, stage(3), " lost of ", says("^(52|56)$"), lambda seen: seen.count("^7$") == 16 and seen.status == 0),
    Case(17, stage(3), "waited for 4 slow", lambda seen: seen.seconds > 2.5, lambda seen: seen.seconds < 2.5, keeper=2),
]


def is_open(port: int) -> bool:
    """Is somebody listening there? To connect would spend one of its connections."""
    tables = (Path("/proc/net") / name for name in ("tcp", "tcp6"))
    return any(re.search(rf":{port:04X} 0+:0000 0A ", table.read_text()) for table in tables if table.exists())


class Typed:
    """A server in one terminal, and a line in another. All of it is ended at the end of the block."""

    def __init__(self, line: str, command: str, home: Path):
        self.port = free_port()
        self.home = home
        line, _, started = line.replace("7878", str(self.port)).partition("  # started as: ")
        self.line = line
        started = started or command.replace("7878", str(self.port))
        self.errors = tempfile.TemporaryFile("w+")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": self.errors}
        # A line that starts its own servers leaves nothing to do here.
        program = "sleep 100" if " & until " in line else f"exec {started}"
        self.server = subprocess.Popen(["bash", "-c", program], start_new_session=True, **quiet)
        while program != "sleep 100" and not is_open(self.port):
            if self.server.poll() is not None:
                raise RuntimeError(f"{program} has ended")
            time.sleep(0.02)
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        # A shell reaps what it has started, and `tail --pid` waits for that.
        threading.Thread(target=self.server.wait).start()
        self.pid = children[0] if "unshare" in started else str(self.server.pid)

    def __enter__(self) -> "Typed":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.server, getattr(self, "shell", self.server):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.errors.close()

    def see(self) -> Seen:
        environment = {**os.environ, "PID": self.pid, "PATH": f"{self.home}:{os.environ['PATH']}"}
        start = time.time()
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        script = f'{self.line}\necho "prompt at $EPOCHREALTIME"; wait'
        self.shell = subprocess.Popen(["bash", "-c", script], start_new_session=True, env=environment, **pipes)
        try:
            said, _ = self.shell.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:  # as 200 slow requests: more than anybody waits for
            os.killpg(self.server.pid, signal.SIGKILL)
            time.sleep(1)
            os.killpg(self.shell.pid, signal.SIGTERM)
            said, _ = self.shell.communicate()
        prompts = re.findall("^prompt at (.*)$", said, re.MULTILINE) or ["inf"]
        try:
            status = self.server.wait(timeout=4)  # a /sleep longer
        except subprocess.TimeoutExpired:
            status = None
        self.errors.seek(0)
        return Seen(said, float(prompts[0]) - start, status, self.errors.read())


def typed(words: list[str]) -> str:
    """A command as somebody types it, as `promises` puts it into its lines."""
    values = {"{port}": "7878", "{sleep}": "3000", "{take}": "2"}
    return " ".join(values.get(word, word) for word in words)


def verdict(case: Case, words: list[str], build: Path) -> dict:
    command = [build / "tests/promises", "--json", "--only", str(case.promise), "--", *words]
    told = subprocess.run(command, capture_output=True, text=True).stdout
    return next(one for one in map(json.loads, told.splitlines()) if "verdict" in one or "error" in one)


def faults(case: Case, build: Path, home: Path) -> list[str]:
    """What is not as it should be."""

    def here(words: list[str]) -> list[str]:
        return [word.replace("FOLDER", str(home)).replace("BUILD", str(build)) for word in words]

    words = here(case.breaker)
    told = verdict(case, words, build)
    if told.get("verdict") != "broken" or not re.search(case.evidence, told["evidence"]):
        return [f"should be broken, by '{case.evidence}': {told}"]
    line = told["by_hand"]
    plain = typed(words).removesuffix(" --take 2")
    keeper = " ".join([typed(here(stage(case.keeper))), *case.flags])
    found = []
    for command, is_right in ((plain, case.shown), (keeper, case.kept)):
        with Typed(re.sub(re.escape(plain) + "( --take 2)?", lambda _: command, line), command, home) as beside:
            seen = beside.see()
        if not is_right(seen):
            found.append(f"beside {command}, {line}\nshows something else: {seen}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    build = parser.parse_args().build.resolve()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is started has it as from a terminal
    namespaces = subprocess.run(["unshare", "-Ur", "--pid", "--fork", "true"], capture_output=True).returncode == 0

    def look(case: Case) -> bool:
        if case.promise == 15 and not namespaces:
            print("15: left out, there are no namespaces here")
            return True
        found = faults(case, build, home)
        for fault in found:
            print(f"BUT {case.promise}: {fault}", flush=True)
        return not found

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as pool:
        home = Path(folder)
        scripts = {"curl": CURL.format(curl=shutil.which("curl")), "turns": TURNS.replace("BUILD", str(build))}
        for name, text in scripts.items():
            (home / name).write_text(text)
            (home / name).chmod(0o755)
        subprocess.run(["g++", "-std=c++20", "-o", home / "cpp", HERE / "server.cpp"], check=True)
        right = list(pool.map(look, CASES))
    print(f"{sum(right)} of {len(CASES)} faults are shown by their lines")
    if not all(right):
        return 1
    return 0 if namespaces else 77


if __name__ == "__main__":
    sys.exit(main())
