"""Exercises of chapter 3, a pool of threads."""

import re
import time
from collections import Counter
from pathlib import Path

from checks import EXERCISES, exercise, pool_runs, probe
from server import Server, Tree, eventually, read, require, reset, status

exercise("3.2", "stage3", stage=3, kept=[3], orders=["jobs", "queue"])


def require_names(server: Server, count: int) -> None:
    wanted = Counter(f"worker {number}" for number in range(count)) + Counter(["stage3"])
    # A thread may get to its name only after main() has printed "Listening".
    named = eventually(lambda: Counter(server.threads()) == wanted, limit=3)
    missing, others = wanted - Counter(server.threads()), Counter(server.threads()) - wanted
    few = f"No thread is named {', '.join([*missing][:3])}" if missing else "There are too many threads"
    require(named, f"{few}. (Workers: {count}; unexpected names: {', '.join([*others][:3]) or 'none'}.)")
    main = Path(f"/proc/{server.pid}/comm").read_text().strip()
    require(main == "stage3", f"The main thread is named {main!r}, not 'stage3'.")


@probe("3.2")
def names(tree: Tree) -> None:
    for count in 4, 12, 60:
        with Server(tree, 3, "--workers", str(count)) as server:
            require_names(server, count)


@probe("3.2")
def names_in_any_order(tree: Tree) -> None:
    """The threads begin in the opposite order; and is the name that of the log?"""
    if tree.sanitizer != "none":
        return  # what slows the threads down does not go with a sanitizer
    slow = {"SLOW_START": "360", "SLOW_START_LESS": "30"}
    with Server(tree, 3, "--workers", "12", "--sleep-ms", "500", slow=slow) as server:
        require_names(server, 12)
        eventually(lambda: not server.asleep())  # a thread may have its name before it begins
        for _ in range(4):
            before = len(re.findall(r"Worker \d+ got", server.stdout()))
            client = server.ask("/sleep")
            eventually(lambda: len(re.findall(r"Worker \d+ got", server.stdout())) > before)
            time.sleep(0.1)
            number = re.findall(r"Worker (\d+) got", server.stdout())[-1]
            asleep = server.asleep()
            read(client)
            named = ", ".join(asleep) or "none"
            said = f"The log says that Worker {number} runs the job, but the thread that sleeps in it is {named}."
            require(asleep == [f"worker {number}"], said)


exercise("3.3", "stage3", stage=3, kept=[3, 13], orders=["jobs", "queue", "throws"])


@probe("3.3")
def rude_clients(tree: Tree) -> None:
    for workers in 1, 4:
        with Server(tree, 3, "--workers", str(workers), "--sleep-ms", "300") as server:
            for number in range(1, 9):
                client = server.ask("/sleep")
                eventually(lambda: server.has_read(client))
                reset(client)
                told = eventually(lambda: len(server.stderr().splitlines()) >= number, limit=3)
                require(server.process.poll() is None, f"A client's reset ends the server. {server.stderr()}")
                lines = len(server.stderr().splitlines())
                require(told, f"stderr should have one line for each failed job. Jobs: {number}; lines: {lines}.")
            answered = status(read(server.ask("/"), limit=4)) == 200
            require(answered, f"With --workers {workers}, GET / is not answered after the resets of 8 clients.")
            left = workers + 1 - len(server.threads())
            require(left == 0, f"With --workers {workers}, 8 failed jobs have ended {left} of the workers' threads.")


for _scene in "throws", "many", "together":
    EXERCISES["3.3"].probes.append(lambda tree, scene=_scene: pool_runs(tree, scene))


exercise("3.4", "stage3", stage=3, kept=[3, 17], orders=["jobs"])


@probe("3.4")
def grows(tree: Tree) -> None:
    with Server(tree, 3, "--workers", "4") as server:
        for _ in range(50):
            server.get("/")
        threads = len(server.threads())
        require(threads < 10, f"50 requests, one after another, make the server grow from 5 threads to {threads}.")
        silent = [server.connect() for _ in range(100)]
        grown = eventually(lambda: len(server.threads()) > 64, limit=5)
        crowd, most = "100 clients at the same time make", "64 workers and the main thread make 65"
        require(grown, f"{crowd} only {len(server.threads())} threads; {most}.")
        too_many = eventually(lambda: len(server.threads()) > 65, limit=1)
        require(not too_many, f"{crowd} {len(server.threads())} threads; {most}.")
        for client in silent:
            client.close()


@probe("3.4")
def the_fifth_does_not_wait(tree: Tree) -> None:
    with Server(tree, 3, "--workers", "4", "--sleep-ms", "2500") as server:
        for _ in range(4):
            server.ask("/sleep")
            time.sleep(0.15)
        start = time.monotonic()
        server.get("/")
        took = time.monotonic() - start
        said = "While 4 clients that came one after another wait for /sleep"
        require(took < 1, f"{said}, GET / takes {took:.1f} s; a fifth worker should answer it immediately.")


@probe("3.4")
def grows_again(tree: Tree) -> None:
    with Server(tree, 3, "--workers", "4", "--sleep-ms", "1200") as server:
        for _ in range(2):
            crowd = [server.ask("/sleep") for _ in range(80)]
            answered = sum(status(read(client)) == 200 for client in crowd)
            require(answered == 80, f"Of 80 clients at the same time, only {answered} are answered.")
            slow = [server.ask("/sleep") for _ in range(20)]
            start = time.monotonic()
            quick = status(read(server.ask("/"), limit=5))
            took = time.monotonic() - start
            said = f"After a crowd of 80 clients, and with 20 on /sleep, GET / takes {took:.1f} s, not less than 1."
            require(quick == 200 and took < 1, said)
            for client in slow:
                read(client)


@probe("3.4")
def does_not_grow_for_nothing(tree: Tree) -> None:
    with Server(tree, 3, "--workers", "4", "--sleep-ms", "200") as server:
        for _ in range(10):
            for client in [server.ask("/sleep") for _ in range(5)]:
                read(client)
            time.sleep(0.2)
        threads = len(server.threads())
        said = f"5 clients at the same time, ten times over, make {threads} threads"
        require(threads < 10, f"{said}; a fifth worker is enough.")


for _scene in "pairs", "race":
    EXERCISES["3.4"].probes.append(lambda tree, scene=_scene: pool_runs(tree, scene))
