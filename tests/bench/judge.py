"""Judges a solution as a marker would: by clients, by promises, in every order, and with each sanitizer."""

import functools
import os
import re
import shutil
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Iterator

from checks import Exercise, missing
from reports import explain_all, first_error
from server import STAGES, Server, Tree, adopt_orphans, end_orphans, eventually, read, require, run, status

NOT_ALL = "not all"  # says explore of a scenario with too many orders: nothing is proved, and nothing held against it
SANITIZERS = {"ThreadSanitizer": "thread", "AddressSanitizer": "address,undefined"}


@dataclass
class Part:
    """One of the things that are judged, and what is missing; "" if nothing is."""

    name: str
    missing: str


def configure(tree: Tree, *options: str) -> None:
    """Makes the build folder, unless there is one."""
    if (tree.build / "build.ninja").exists():
        return
    require(shutil.which("meson") is not None, "Meson is not installed (apt install meson).")
    above = next(folder for folder in tree.build.parents if folder.exists())
    require(os.access(above, os.W_OK), f"{above} cannot be written to. Name a build folder elsewhere: --build DIR")
    made = run(["meson", "setup", tree.build, tree.source, *options], 120)
    said = f"{made.stdout}{made.stderr}"
    told = re.findall(r"^.*ERROR: (.*)$", said, re.MULTILINE) or said.strip().splitlines()[-1:] or ["it gave no reason"]
    require(made.returncode == 0, f"There is no build folder, and Meson cannot set up {tree.build}: {told[0]}")


def build(tree: Tree, *targets: str) -> None:
    # Else Meson would not know a target that is new in a meson.build.
    run(["ninja", "-C", tree.build, "build.ninja"], 120)
    made = run(["ninja", "-C", tree.build, *targets], 900)
    unknown = re.search("unknown target '(.*?)'", made.stderr)
    require(unknown is None, f"No meson.build defines a program {unknown and unknown[1].rpartition('/')[2]}.")
    said = f"{made.stdout}{made.stderr}"
    require(made.returncode == 0, f"Your code does not build. {first_error(said, tree.source, tree.build)}")


def twin(tree: Tree, sanitizer: str, reports: Path) -> Tree:
    """The same tree, built with a sanitizer that leaves its reports in a folder. They are what counts, not how the
    program ends."""
    settings = f"log_path={reports}/report exitcode=0 halt_on_error=0 report_thread_leaks=0 atexit_sleep_ms=0"
    told = dict.fromkeys(("TSAN_OPTIONS", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"), settings)
    return replace(tree, build=tree.build / f"with-{sanitizer}", sanitizer=SANITIZERS[sanitizer], environment=told)


def reported(tree: Tree, reports: Path) -> None:
    told = explain_all(reports, tree.source, tree.build)
    require(not told, "\n".join(told[:3]))


def checked_with(exercise: Exercise, tree: Tree, sanitizer: str) -> None:
    """The same clients again. What only takes too long now is no fault: a sanitizer makes it several times slower."""
    with tempfile.TemporaryDirectory() as folder:
        slow = replace(twin(tree, sanitizer, Path(folder)), again=True)
        for check in (exercise.check, *([load(exercise.stage)] if exercise.stage else [])):
            missing(functools.partial(check, slow))
        reported(slow, Path(folder))


def load(stage: int) -> Callable[[Tree], None]:
    """Many quick clients, eight at a time; and does it have as many threads and descriptors as before?"""

    def check(tree: Tree) -> None:
        with Server(tree, stage) as server:
            require(status(server.get("/")) == 200, "GET / is not answered.")
            eventually(lambda: server.accepted() == 0)
            if stage == 2:
                eventually(lambda: len(server.threads()) == 1, limit=2)
            threads, descriptors = len(server.threads()), server.descriptors()
            with ThreadPoolExecutor(8) as clients:
                for _ in range(10):  # one that hangs is not asked 400 times
                    answered = sum(clients.map(lambda _: status(read(server.ask("/"), limit=5)) == 200, range(40)))
                    require(answered == 40, f"Of 40 quick clients, 8 at a time, only {answered} are answered.")
            # One more may be a sanitizer's, for its report.
            back = eventually(lambda: server.descriptors() <= descriptors + 1 and server.accepted() == 0, limit=6)
            more = server.descriptors() - descriptors
            require(back, f"After 400 clients, {more} more file descriptors are open than before: who closes them?")
            if stage == 2:
                gone = eventually(lambda: len(server.threads()) <= threads, limit=6)
                require(gone, f"After 400 clients it has {len(server.threads())} threads; before, it had {threads}.")
            left = threads - len(server.threads())
            require(left <= 0, f"{left} of {threads} threads have ended during 400 requests. What ended them?")

    return check


def promises(exercise: Exercise, tree: Tree) -> None:
    """That the stage keeps these promises, and breaks those."""
    wanted = {**dict.fromkeys(exercise.kept, "+ kept"), **dict.fromkeys(exercise.broken, "x broken")}
    command = [str(tree.binary(exercise.stage)), "--port", "{port}", "--sleep-ms", "{sleep}"]
    command += ["--workers", "{workers}"] if exercise.stage >= 3 else []
    command += ["--take", "{take}", "--grace-ms", "{grace}"] if exercise.stage == 4 else []
    judged = run([tree.tools / "promises", "--only", ",".join(map(str, sorted(wanted))), "--", *command], 180)
    for number, verdict in sorted(wanted.items()):
        found = re.search(rf"^ ?{number} .*(\+ kept|x broken|-)\n((?: {{3,}}.*\n)+)", judged.stdout, re.MULTILINE)
        require(found is not None, f"The checker cannot judge it: {(judged.stdout + judged.stderr).strip()}")
        evidence = found[2].partition("   by hand:")[0].strip()
        should = f"Promise {number} should be {verdict[2:]}, but is {found[1][2:] or 'not judged'}"
        require(found[1] == verdict, f"{should}: {evidence}\nSee build/tests/promises --only {number}")


def every_order(exercise: Exercise, tree: Tree) -> None:
    """That explore finds no order in which the stage's pool fails. Stage 3's is never destroyed."""
    endless = ["--endless"] if exercise.stage == 3 else []
    pool = ["--pool", tree.source / STAGES[exercise.stage], *endless]
    told = run([tree.tools / "explore", *pool, *exercise.orders], 300)
    well = told.returncode == 0 or told.returncode == 2 and NOT_ALL in told.stdout
    require(well, f"explore finds an order of the threads in which the pool fails.\n{told.stdout}{told.stderr}")


def parts_of(exercise: Exercise, tree: Tree) -> Iterator[tuple[str, Callable[[], None]]]:
    yield "clients", lambda: exercise.check(tree)
    if exercise.stage:
        yield "load", lambda: load(exercise.stage)(tree)
    if exercise.kept or exercise.broken:
        yield "promises", lambda: promises(exercise, tree)
    if exercise.orders:
        yield "every order", lambda: every_order(exercise, tree)


def attempt(name: str, part: Callable[[], None]) -> Part:
    try:
        return Part(name, missing(part))
    finally:
        end_orphans()


def judge(exercise: Exercise, tree: Tree, once: bool, tell: Callable[[Part], None]) -> list[Part]:
    """Builds, judges, and tells each part as soon as it is known: what one finds does not keep the next from being
    tried. `once`: only the build with ThreadSanitizer is made, and judged by everything."""
    # As from a terminal: what a script starts in the background has SIGINT ignored, what nohup starts SIGHUP. What is
    # handled here is back at its default in a server.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sanitizers = SANITIZERS if exercise.twins else {}
    with tempfile.TemporaryDirectory() as folder:
        if once and exercise.twins:
            sanitizers = {"ThreadSanitizer": SANITIZERS["ThreadSanitizer"]}
            plain = twin(tree, "ThreadSanitizer", Path(folder))
        else:
            plain = tree

        def make() -> None:
            if plain is tree:
                configure(tree)
                build(tree, *exercise.targets)
            for sanitizer, option in sanitizers.items():
                slow = twin(tree, sanitizer, tree.build)
                configure(slow, f"-Db_sanitize={option}", "-Db_lundef=false")
                build(slow, *exercise.targets)

        todo = list(parts_of(exercise, plain))
        if plain is not tree:
            todo.append(("ThreadSanitizer", lambda: reported(plain, Path(folder))))
        else:
            todo += [(name, functools.partial(checked_with, exercise, tree, name)) for name in sanitizers]
        parts = [attempt("build", make)]
        tell(parts[0])
        adopt_orphans()
        for name, part in todo:
            parts.append(Part(name, "was not judged") if parts[0].missing else attempt(name, part))
            if not parts[0].missing:
                tell(parts[-1])
        return parts
