"""Exercises of the page What it costs."""

import os
import time
from pathlib import Path

from checks import exercise, probe
from server import Server, Tree, got, how, read, require, run, status

exercise("5.1", "stage4", twins=False)


@probe("5.1")
def no_rest(tree: Tree) -> None:
    program = tree.link(Path(__file__).with_name("rest_probe.cpp"), 4, "acceptor", "grace_period", "stop_signal")
    ended = run([program], 30)
    said = ended.stdout.replace("Shutting down.\n", "").strip() or f"{how(ended.returncode)}."
    require(ended.returncode == 0, f"Your Acceptor, with three clients and then the stop: {said}")
    with Server(tree, 4) as server:
        require(status(server.get("/")) == 200, "GET / is not answered.")


exercise("5.4", "stage1", "stage3", stage=1, kept=[1])


@probe("5.4")
def burns(tree: Tree) -> None:
    for asked in 0.4, 1.5:
        with Server(tree, 1, "--sleep-ms", str(int(asked * 1000))) as server:
            start, before = time.monotonic(), server.wanted_cpu()
            quick = status(server.get("/")) == 200 and time.monotonic() - start < 0.3
            require(quick, "GET / burns CPU time, too; only /sleep should.")
            start, before = time.monotonic(), server.wanted_cpu()
            answer = server.get("/sleep")
            took, wanted = time.monotonic() - start, server.wanted_cpu() - before
            require(status(answer) == 200, f"/sleep gets {got(answer)} instead of 200.")
            require(took > asked * 0.98, f"A /sleep of {asked} s is over after only {took:.2f} s.")
            slow = took < asked * 1.3 + 0.2 or tree.sanitizer != "none"
            require(slow, f"A /sleep of {asked} s takes {took:.2f} s.")
            require(wanted > 0.85 * asked, f"A /sleep of {asked} s burns only {wanted:.2f} s of CPU time.")
            require(len(server.threads()) == 1, f"Stage 1 has {len(server.threads())} threads, not 1.")


@probe("5.4")
def each_for_its_own_time(tree: Tree) -> None:
    for asked, shared in (1.0, False), (0.5, True):
        with Server(tree, 3, "--sleep-ms", str(int(asked * 1000))) as server:
            # On one CPU: a number of turns that takes as long on this machine takes four times that there.
            for task in Path(f"/proc/{server.pid}/task").iterdir() if shared else []:
                os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})
            start = time.monotonic()
            slow = [server.ask("/sleep") for _ in range(4)]
            answers = [(status(read(client)), time.monotonic() - start) for client in slow]
            first, last = (choose(took for _, took in answers) for choose in (min, max))
            four = f"In stage 3, with four /sleep of {asked:g} s at the same time"
            require(all(code == 200 for code, _ in answers), f"{four}, one is not answered.")
            require(first > 0.98 * asked, f"{four}, the first is over after only {first:.2f} s.")
            require(not shared or last < 2 * asked, f"{four} and on one CPU, the last takes {last:.2f} s.")
