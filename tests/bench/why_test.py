#!/usr/bin/env python3
"""Does `why` tell the cause? Tried on ten programs that wait and ten that die, as they are built and with -O2.

None of them has a line or a name of the stages: what is told comes from what was read.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Iterator

HERE = Path(__file__).resolve().parent
TRIALS = HERE / "trials"

# What `why` has to say of each, and what of one that may still go on.
STUCK = "stuck forever."
OPEN = "No circle"
HANGS = {
    "pool_joined_first": ("wake_ (of Pool). Pool has jobs_ = 0 elements, done_ = false", "main could notify", STUCK),
    "semaphore_released_once": ("for the semaphore jobs (of Pool)", "stopped = true", "main could release it", STUCK),
    "locks_crossed": ("mutex to.mutex, which thread 3 holds", "circle: thread 2 -> thread 3 -> thread 2", ". every"),
    "locked_twice": ("main waits for the mutex counter_mutex, which it holds itself", f". main is {STUCK}"),
    "promise_forgotten": ("main waits for the result of result. thread 2 could set it", "thread 2 sleeps", OPEN),
    "reader_becomes_writer": ("cache_mutex, which a reader holds", "main could release it", STUCK),
    "silent_client": ("main waits for thread 2 to end", "for the client at 127.0.0.1:", "to send", OPEN),
    "hidden_sender": ("main sleeps", OPEN),
    "behind_a_callback": ("nobody can wake main and thread 3, unless thread 2 can.",),
    "latch_left": ("thread 2 waits for the latch all", "main could count it down", STUCK),
}
DIES = {
    0: ("It ended by itself, with exit status 0.",),
    1: ("SIGABRT, in main, here", "A std::thread was destroyed, or assigned to, while it was joinable."),
    2: ("SIGSEGV", " visit ", "a null pointer was followed", "-Db_sanitize=address,undefined"),
    3: ("SIGABRT", " job ", "An exception was thrown here"),
    4: ("SIGABRT", " give_back ", "Memory was freed twice", "-Db_sanitize=address,undefined"),
    5: ("SIGPIPE", " answer ", "a client or a pipe that has gone"),
    6: ("SIGSEGV", " recurse ", "The stack is full: these functions call each other without end."),
    7: ("SIGABRT", " free ", "abort() was called."),
    8: ("SIGABRT", " stop ", "An exception left a function that is noexcept, or a destructor."),
    9: ("SIGSEGV", " fill ", "The stack is full: a local variable is too large for it."),
    10: ("SIGSEGV", " visit ", "It followed a pointer that holds no valid address"),
}


def why(*words: object, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess:
    command = [sys.executable, HERE / "why.py", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path})


@contextlib.contextmanager
def running(*command: object) -> Iterator[int]:
    """The program, once none of its threads has used the CPU for a while; ended at the end of the block."""
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_idle(process.pid)
            yield process.pid
        finally:
            process.kill()


def wait_until_idle(pid: int) -> None:
    last, since, end = "", time.monotonic(), time.monotonic() + 10
    while time.monotonic() < min(since + 0.3, end):
        now = "".join(task.read_text().partition(") ")[2] for task in sorted(Path(f"/proc/{pid}/task").glob("*/stat")))
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.02)


def built(folder: Path, trial: str, *flags: str) -> Path:
    program = folder / "".join([trial, *flags])
    compiler = os.environ.get("CXX", "g++").split()
    command = [*compiler, "-std=c++20", "-g", *flags, "-pthread", TRIALS / f"{trial}.cpp", "-o", program]
    subprocess.run(command, check=True)
    return program


@unittest.skipUnless(shutil.which("gdb"), "there is no gdb")
class Why(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)

    def assert_says(self, said: subprocess.CompletedProcess, *parts: str):
        self.assertEqual(said.returncode, 0, said.stderr)
        for part in parts:
            self.assertIn(part, " ".join(said.stdout.split()))

    def test_hangs(self):
        self.assertEqual({*HANGS, "dies"}, {file.stem for file in TRIALS.glob("*.cpp")})
        for trial, parts in HANGS.items():
            for optimization in "-O0", "-O2":
                with self.subTest(trial, built=optimization):
                    with running(built(self.folder, trial, optimization)) as pid:
                        before = os.times().children_user
                        self.assert_says(why("--brief", pid), *parts)
                        self.assertLess(os.times().children_user - before, 2)
                        state = Path(f"/proc/{pid}/stat").read_text().split()[2]
                        self.assertNotIn(state, "Tt", "it does not go on")  # T: stopped, t: by a debugger

    def test_it_fits_on_a_screen(self):
        with running(built(self.folder, "pool_joined_first")) as pid:
            said = why(pid)
            self.assert_says(said, "pool_joined_first.cpp:", "Pool::run", "3 threads")
            self.assertLessEqual(len(said.stdout.splitlines()), 24)
            self.assertLessEqual(max(map(len, said.stdout.splitlines())), 80)

    def test_asked_twice(self):
        with running(built(self.folder, "promise_forgotten")) as pid:
            self.assertEqual(why("--brief", pid).stdout, why("--brief", pid).stdout)

    def test_deaths(self):
        program = built(self.folder, "dies", "-O0")
        for way, parts in DIES.items():
            with self.subTest(way=way):
                self.assert_says(why("--", program, way), *parts)

    def test_a_core_file(self):
        program, core = built(self.folder, "pool_joined_first"), self.folder / "core"
        with running(program) as pid:
            gdb = ["gdb", "-nx", "-batch", "-p", str(pid), "-ex", f"gcore {core}"]
            subprocess.run(gdb, capture_output=True, check=True)
        self.assert_says(why(core), "Pool::~Pool")
        self.assert_says(why(core, program), "Pool::~Pool")

    def test_a_stopped_one(self):
        with running(built(self.folder, "promise_forgotten")) as pid:
            os.kill(pid, signal.SIGSTOP)
            wait_until_idle(pid)
            self.assert_says(why(pid), f"is stopped, as by Ctrl-Z. This lets it go on: kill -CONT {pid}")

    def test_without_gdb(self):
        nothing = self.folder / "nothing"
        nothing.mkdir()
        with running(built(self.folder, "pool_joined_first")) as pid:
            said = why(pid, path=str(nothing))
            self.assert_says(said, "main waits for thread 2 to end", "There is no gdb (apt install gdb)")

    def test_without_symbols(self):
        program = built(self.folder, "pool_joined_first", "-s")
        with running(program) as pid:
            self.assert_says(why(pid), "main waits for thread 2 to end", OPEN, "Was it built with -g?")

    def test_another_language(self):
        with running(sys.executable, "-c", "import time; time.sleep(60)") as pid:
            self.assert_says(why(pid), "main sleeps", "This is python: pip install py-spy")

    def test_mistakes(self):
        with subprocess.Popen(["true"]) as zombie:
            os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
            for words, reason in [
                ((2**22 + 1,), "There is no process"),
                ((zombie.pid,), "has ended"),
                (("nonsense",), "neither the number of a process nor a core file"),
                ((), "why PID"),
                (("--what",), "why PID"),
                (("--",), "why PID"),
                ((HERE / "why.py",), "Which program left"),
                (("--", "/no/such/program"), "It cannot be started"),
                (("--", HERE / "why.py"), "is a script"),
            ]:
                with self.subTest(words=words):
                    said = why(*words)
                    self.assertEqual(said.returncode, 2)
                    self.assertIn(reason, said.stderr)
                    self.assertNotIn("Traceback", said.stderr)


if __name__ == "__main__":
    unittest.main()
