"""Exercises of the pages Every order and Mutants."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator

from checks import exercise, probe, require_rest
from patching import difference
from places import SOURCE
from server import STAGES, Server, Tree, eventually, require, run

exercise("6.2", "stage4", stage=4, kept=[3])
SCENARIOS = ["idle", "jobs", "queue", "job-sends", "senders", "ahead"]
INTO_THE_QUEUE = re.compile(r"^ *state_->queue\.(?:splice\(state_->queue\.|push|emplace).*;\n", re.MULTILINE)
MORE_THAN_ONE = "if (state_->queue.size() > 1) std::abort();  // more than one\n"


@probe("6.2")
def a_sender_waits(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "1", "--sleep-ms", "3000") as server:
        clients = [server.ask("/sleep") for _ in range(10)]
        # One runs, one waits, and the main thread holds one for which there is no room.
        too_many = eventually(lambda: server.accepted() > 3, limit=1)
        require(not too_many, f"With 10 clients on /sleep and 1 worker, it accepts {server.accepted()}, not 3.")
        require_rest(server, "While the main thread waits for room")
        for client in clients:
            client.close()


@probe("6.2")
def never_more_than_one(tree: Tree) -> None:
    """In every order, with an assertion of ours where a value enters the job queue."""
    if tree.again:
        return
    channel = (tree.source / "common/channel.hpp").read_text()
    with tempfile.TemporaryDirectory() as folder:
        for part in "common", STAGES[4]:
            shutil.copytree(tree.source / part, Path(folder) / part)
        checked = INTO_THE_QUEUE.sub(lambda entry: f"{{{entry[0]}{MORE_THAN_ONE}}}\n", channel)
        (Path(folder) / "common/channel.hpp").write_text(f"#include <cstdlib>\n{checked}")
        told = run([tree.tools / "explore", "--pool", Path(folder) / STAGES[4], *SCENARIOS], 400)
    failed = re.search(r"^(\S+): .*\n  (.+), in order ", told.stdout, re.MULTILINE)
    require(failed is None, f"explore finds an order of the threads in which the channel fails.\n{told.stdout[-3000:]}")
    require("orders" in told.stdout, f"explore cannot run it: {told.stdout}{told.stderr}")


exercise("6.3", "tests/doctests", twins=False)


@probe("6.3")
def kill_a_survivor(tree: Tree) -> None:
    tests = [tree.build / "tests/doctests", "--test-suite=incoming", "--no-intro"]
    own = run(tests, 60)
    require(own.returncode == 0, f"Without the mutant, the tests should pass, but they fail.\n{own.stdout}{own.stderr}")
    listed = run([*tests, "--list-test-cases"], 60).stdout
    cases = [line for line in listed.splitlines() if not line.startswith(("[doctest]", "==="))]
    with busy_processors():
        for case in cases:
            alone = run([*tests, f"--test-case={case.replace(',', '*')}"], 60)
            fails = f"The test {case!r} fails when it runs alone on a busy machine.\n{alone.stdout}"
            require(alone.returncode == 0, fails)
    require_no_reading(tree)
    number = re.search(r"Number (\d+) survives", (tree.source / "notes/mutants.md").read_text())[1]
    mutants = [sys.executable, tree.source / "tests/notes/mutants.py", "--build", tree.build, "--by", "incoming"]
    result = run([*mutants, "0", number], 400)
    said = f"{result.stdout}{result.stderr}"
    control = re.search("^incoming: .* 0 common/", result.stdout, re.MULTILINE)
    require(control is None, f"In another folder, the tests fail even without a mutant.\n{said}")
    killed = re.search(f"^incoming: .* {number} stage4", result.stdout, re.MULTILINE)
    require(killed is not None, f"Mutant {number} survives. (Is no request waiting or running in your test?)\n{said}")


@contextlib.contextmanager
def busy_processors() -> Iterator[None]:
    """Twice as many processes as processors, that do nothing else."""
    command = [sys.executable, "-c", "while True: pass"]
    burning = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def require_no_reading(tree: Tree) -> None:
    """That the new lines look at what the program does, and not at its text."""
    name = "tests/unit/incoming_test.cpp"
    added = re.findall(r"^\+(?!\+\+)(.*)", difference(SOURCE, tree.source, [name]), re.MULTILINE)
    reads = next((line.strip() for line in added if re.search(r"ifstream|fopen|::open\(|SOURCE\b", line)), "")
    require(not reads, f"A test that reads the source does not test what the program does: `{reads}`")
