"""Exercises of chapter 2, a thread for each request."""

import contextlib
import re
import signal
import time
from collections import Counter
from pathlib import Path

from checks import exercise, probe, require_rest
from server import STAGES, Server, Tree, eventually, how, read, require, reset, status

exercise("2.2", "stage2", stage=2, kept=[2, 3])


@probe("2.2")
def exactly_64(tree: Tree) -> None:
    with Server(tree, 2) as server:
        silent = [server.connect() for _ in range(80)]
        eventually(lambda: len(server.threads()) > 65, limit=1)  # it should not come to that
        threads = len(server.threads())
        require(threads == 65, f"80 clients make {threads} threads. With 64 and the main thread, it should be 65.")
        require_rest(server, "With 80 silent clients")
        for client in silent:
            client.close()


@probe("2.2")
def nobody_is_sent_away(tree: Tree) -> None:
    with Server(tree, 2, "--sleep-ms", "300") as server:
        silent = [server.connect() for _ in range(80)]
        for client in silent:
            client.close()
        answers = Counter(status(read(client, limit=6)) for client in [server.ask("/sleep") for _ in range(100)])
        said = "Of 100 clients that ask for /sleep at the same time, only"
        require(answers == {200: 100}, f"{said} {answers[200]} are answered.")


@probe("2.2")
def a_place_is_given_back_after_a_reset(tree: Tree) -> None:
    with Server(tree, 2, "--sleep-ms", "1500") as server:
        for _ in range(2):  # on a busy machine some may get their answer before they reset
            with contextlib.suppress(ConnectionError):
                for _ in range(7):
                    rude = [server.ask("/sleep") for _ in range(10)]
                    eventually(lambda: all(map(server.has_read, rude)), limit=0.5)
                    for client in rude:
                        reset(client)
            if eventually(lambda: server.process.poll() is not None, limit=2.5):
                return  # as before the exercise: a failed send ends stage 2
        answered = status(read(server.ask("/"), limit=4)) == 200
        require(answered, "After many clients have reset their connections, GET / is no longer answered.")


@probe("2.2")
def one_slow_holds_nobody_up(tree: Tree) -> None:
    with Server(tree, 2, "--sleep-ms", "6000") as server:
        server.ask("/sleep")
        for number in range(1, 201):
            answered = status(read(server.ask("/"), limit=3)) == 200
            require(answered, f"During one /sleep of 6 s, quick request number {number} is not answered within 3 s.")


exercise("2.3", "stage2", stage=2, kept=[1, 3], broken=[2, 17])


@probe("2.3")
def a_thread_of_its_own(tree: Tree) -> None:
    with Server(tree, 2, "--sleep-ms", "800") as server:
        slow = [server.ask("/sleep") for _ in range(2)]
        eventually(lambda: server.has_read(slow[0]))
        threads = len(server.threads())
        said = f"While a /sleep is served, stage 2 has {threads} threads"
        require(threads == 2, f"{said}, not 2: the main thread, and the request's.")
        for client in slow:
            require(status(read(client)) == 200, "Of two clients that ask for /sleep, one is not answered.")
        gone = eventually(lambda: len(server.threads()) == 1)
        require(gone, "The request's thread is still there 10 s after the request is over.")


@probe("2.3")
def joined(tree: Tree) -> None:
    code = re.sub("//.*", "", (tree.source / STAGES[2] / "main.cpp").read_text())
    require("detach" not in code, "stage2_thread_per_request/main.cpp still detaches a thread.")
    require("join()" in code or "jthread" in code, "Nothing in stage2_thread_per_request/main.cpp joins a thread.")


@probe("2.3")
def no_memory_is_lost(tree: Tree) -> None:
    if tree.sanitizer != "none":
        return  # a sanitizer needs memory of its own, and finds leaks itself
    with Server(tree, 2) as server:
        for _ in range(2000):
            server.get("/")
        before = server.memory()
        for _ in range(12000):
            server.get("/")
        grown = server.memory() - before
        require(grown < 200, f"12,000 more requests take {grown} kB of memory that is never freed.")


exercise("2.4", "stage2", stage=2, kept=[2, 4])


@probe("2.4")
def stops_when_idle(tree: Tree) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        with Server(tree, 2) as server:
            require(status(server.get("/")) == 200, "GET / is not answered.")
            server.send(stop)
            ended = server.exit_status()
            require(ended == 0, f"{stop.name} should make an idle server exit with status 0, but {how(ended)}.")


@probe("2.4")
def finishes_what_runs(tree: Tree) -> None:
    with Server(tree, 2, "--sleep-ms", "2500") as server:
        first = server.ask("/sleep")
        time.sleep(1)
        second = server.ask("/sleep")
        eventually(lambda: server.has_read(second))
        server.send(signal.SIGTERM)
        require_rest(server, "While the server finishes the last requests after SIGTERM")
        for client in first, second:
            require(status(read(client)) == 200, "SIGTERM cuts off a request that is being served.")
        ended = server.exit_status()
        require(ended == 0, f"After the last request, the server should exit with status 0, but {how(ended)}.")


@probe("2.4")
def half_a_head(tree: Tree) -> None:
    with Server(tree, 2, "--sleep-ms", "50") as server:
        client = server.connect()
        client.sendall(b"GET / HTTP/1.1\r\n")
        eventually(lambda: server.has_read(client))
        server.send(signal.SIGTERM)
        time.sleep(1.5)
        with contextlib.suppress(OSError):
            client.sendall(b"Host: a\r\n\r\n")
        require(status(read(client)) == 200, "A request whose head had only half arrived at SIGTERM is cut off.")
        ended = server.exit_status()
        require(ended == 0, f"After a head in two pieces, the server should exit with status 0, but {how(ended)}.")


@probe("2.4")
def blocked_in_each_thread(tree: Tree) -> None:
    with Server(tree, 2) as server:
        client = server.connect()
        eventually(lambda: len(server.threads()) >= 3)
        for task in Path(f"/proc/{server.pid}/task").glob("*"):
            if int(task.name) == server.pid:
                continue  # in sigwait() they are not blocked
            blocked = int(re.search(r"SigBlk:\s+(\w+)", (task / "status").read_text())[1], 16)
            both = blocked >> (signal.SIGINT - 1) & 1 and blocked >> (signal.SIGTERM - 1) & 1
            said = "A thread that does not wait for the signals does not block SIGINT and SIGTERM"
            require(bool(both), f"{said}: the kernel may deliver one to it, and that ends the process.")
        client.close()


@probe("2.4")
def a_thread_that_has_not_begun(tree: Tree) -> None:
    if tree.sanitizer != "none":
        return  # what slows the threads down does not go with a sanitizer
    with Server(tree, 2, slow={"SLOW_START": "400"}) as server:
        time.sleep(0.6)
        client = server.ask("/")
        eventually(lambda: len(server.threads()) == 3)
        server.send(signal.SIGTERM)
        answered = status(read(client)) == 200
        require(answered, "At SIGTERM, a request whose thread was started but has not run yet is cut off.")
        ended = server.exit_status()
        require(ended == 0, f"With a thread that begins late, the server should exit with status 0, but {how(ended)}.")


@probe("2.4")
def a_client_during_exit(tree: Tree) -> None:
    if tree.sanitizer != "none":
        return
    with Server(tree, 2, slow={"SLOW_EXIT": "600"}) as server:
        server.get("/")
        server.send(signal.SIGTERM)
        time.sleep(0.3)
        for _ in range(3):
            with contextlib.suppress(OSError):
                server.connect().close()
        ended = server.exit_status()
        said = "When clients connect while it exits, the server should exit with status 0"
        require(ended == 0, f"{said}, but {how(ended)}. {server.stderr()}")
