"""Exercises of chapter 1, one thread."""

import contextlib
import re
import shutil
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from checks import exercise, probe, require_rest, wait_until
from server import NotYet, Server, Tree, body, eventually, got, read, read_whole, require, reset, run, say, status

exercise("1.2", "stage1", stage=1, kept=[1])


@probe("1.2")
def pages(tree: Tree) -> None:
    hello, missing = ((tree.source / "common/html" / name).read_text() for name in ("hello.html", "404.html"))
    with Server(tree, 1, "--sleep-ms", "50") as server:
        answer = server.get("/about")
        require(status(answer) == 200, f"GET /about gets {got(answer)} instead of 200.")
        require("About" in body(answer), "The page for GET /about does not contain the word About.")
        require(body(answer) != hello, "GET /about and GET / return the same page.")
        head = server.get("/about", "HEAD")
        seen = f"{got(head)} {'with' if body(head) else 'without'} a body"
        require(seen == "200 without a body", f"HEAD /about should get 200 without a body, but gets {seen}.")
        for target in "/", "/sleep", "/about":
            answer = server.get(target)
            require(target == "/about" or body(answer) == hello, f"GET {target} no longer returns hello.html.")
            whole = f"Content-Length: {len(body(answer))}\r\n" in answer and body(answer).startswith("<!DOCTYPE")
            require(whole, f"The page for GET {target}, or its Content-Length, is wrong: {body(answer)[:20]!r}.")
        descriptors = server.descriptors()
        for _ in range(30):
            server.get("/about")
        opened = server.descriptors() - descriptors
        require(opened < 2, f"After 30 requests for /about, {opened} more file descriptors are open than before.")
        for target in "GET /nope", "GET /nope/about", "GET /about/", "GET /aboutx", "GET /about?x", "POST /about":
            method, path = target.split()
            answer = server.get(path, method)
            require(status(answer) == 404, f"{target} gets {got(answer)} instead of 404.")
            require(body(answer) == missing, f"The 404 for {target} does not return 404.html.")


@probe("1.2")
def about_from_anywhere(tree: Tree) -> None:
    with Server(tree, 1, cwd="/") as server:
        answer = server.get("/about")
        require(status(answer) == 200, f"If the server is started in /, GET /about gets {got(answer)} instead of 200.")


@probe("1.2")
def about_installed(tree: Tree) -> None:
    told = run(["meson", "introspect", "--installed", tree.build], 60).stdout
    pages = {Path(page) for page in re.findall(r'"([^"]*/html/[^"]*)": ', told)}
    with tempfile.TemporaryDirectory() as folder:
        for page in pages:
            shutil.copy2(page, folder)
        with Server(tree, 1, "--html", folder) as server:
            answer = server.get("/about")
            installed = "With the pages that `ninja install` would install"
            require(status(answer) == 200, f"{installed}, GET /about gets {got(answer)} instead of 200.")


exercise("1.3", "stage1", "stage2", stage=1, kept=[1])
METHODS = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "GETS", "BREW"]


@probe("1.3")
def methods(tree: Tree) -> None:
    with Server(tree, 1, "--sleep-ms", "2500") as server:
        for method in METHODS:
            for target in "/", "/sleep":
                start = time.monotonic()
                answer = server.get(target, method)
                require(time.monotonic() - start < 2, f"{method} {target} is refused only after the sleep.")
                asked = f"{method} {target} gets {got(answer)}"
                require(status(answer) == 405, f"{asked} instead of 405.")
                allowed = re.findall(r"(?im)^Allow:(.*)$", answer.partition("\r\n\r\n")[0])
                named = {one.strip() for one in ",".join(allowed).split(",")}
                listed = f"Allow lists {', '.join(allowed) or 'nothing'}, not GET and HEAD"
                require(named == {"GET", "HEAD"}, f"{asked}, but {listed}.")
                length = f"Content-Length: {len(body(answer))}\r\n" in answer
                require(length, f"{asked}, but its Content-Length is not {len(body(answer))}, the length of its body.")
            answer = server.get("/nope", method)
            require(status(answer) == 404, f"{method} /nope gets {got(answer)} instead of 404.")
            require("Allow:" not in answer, f"The 404 for {method} /nope has a field Allow.")
        require(status(server.get("/")) == 200, "GET / no longer gets 200.")
        require(status(server.get("/", "HEAD")) == 200, "HEAD / no longer gets 200.")


@probe("1.3")
def a_body_that_comes_late(tree: Tree) -> None:
    with Server(tree, 1) as server:
        client = server.ask("/", "POST", "Content-Length: 300000\r\n")
        try:
            for _ in range(30):
                client.sendall(b"x" * 10000)
                time.sleep(0.005)
            answer = read_whole(client)
        except OSError:
            raise NotYet("A POST whose body takes 0.2 s to arrive is reset, and its answer is lost.") from None
        require(status(answer) == 405, f"A POST whose body arrives late gets {got(answer)} instead of 405.")


@probe("1.3")
def methods_side_by_side(tree: Tree) -> None:
    """In stage 2, which shares the function: whoever keeps the method in a global mixes them up."""
    with Server(tree, 2, "--sleep-ms", "300") as server:
        slow = [server.ask("/sleep") for _ in range(30)]
        with ThreadPoolExecutor(8) as clients:
            asked = ["GET", "POST", "HEAD", "PUT"] * 30
            answers = list(clients.map(lambda method: server.get("/", method), asked))
        right = all(status(answer) == (405 if method in METHODS else 200) for method, answer in zip(asked, answers))
        require(right, "In stage 2, with many clients at the same time, some get the answer to another's method.")
        mixed = any("Allow:" in read(client) for client in slow)
        require(not mixed, "In stage 2, a GET that runs at the same time as a POST gets the POST's field Allow.")


exercise("1.4", "stage1", stage=1, kept=[1])


@probe("1.4")
def many_silent(tree: Tree) -> None:
    with Server(tree, 1) as server:
        silent = [server.connect() for _ in range(100)]
        answer = read(server.ask("/"), limit=3)  # else the first of them holds it up for 5 s
        require(status(answer) == 200, "With 100 silent clients connected before it, GET / is not answered within 3 s.")
        threads = len(server.threads())
        require(threads == 1, f"The server has {threads} threads; it should have one.")
        for client in silent[:20]:
            answered = status(say(client)) == 200
            require(answered, "A client that is silent at first and then sends a request is not answered.")
        for _ in range(5):
            server.get("/")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        require(not children, f"After a few requests the server has {len(children)} child processes, not 0.")


@probe("1.4")
def many_speak_at_once(tree: Tree) -> None:
    """The server sleeps meanwhile, so that it finds them all in one look, with silent ones between."""
    with Server(tree, 1) as server:
        clients = [server.connect() for _ in range(31)]
        eventually(lambda: server.accepted() == len(clients), limit=2)
        server.send(signal.SIGSTOP)
        speaking = [client for number, client in enumerate(clients) if number % 5 in (0, 1, 3)]
        for client in speaking:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.send(signal.SIGCONT)
        for client in speaking:
            answered = status(read(client, limit=3)) == 200
            said = f"{len(speaking)} of 31 clients send a request at the same time, and one of them is not answered"
            require(answered, f"{said} within 3 s.")
        for client in clients:
            if client not in speaking:
                client.settimeout(0.01)
                with contextlib.suppress(TimeoutError):
                    closed = client.recv(1) == b""
                    require(not closed, "While others send requests, a silent client is closed before its 5 s end.")


@probe("1.4")
def many_come_while_it_serves(tree: Tree) -> None:
    """What was found by one look is out of date after a /sleep in which 60 more have come."""
    with Server(tree, 1, "--sleep-ms", "700") as server:
        clients = [server.connect() for _ in range(20)]
        eventually(lambda: server.accepted() == len(clients), limit=2)
        server.send(signal.SIGSTOP)
        for client in clients:
            target = "/sleep" if client is clients[0] else "/"
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        server.send(signal.SIGCONT)
        eventually(lambda: server.has_read(clients[0]))
        late = [server.ask("/") for _ in range(60)]
        for client in [*clients, *late]:
            answered = status(read(client, limit=6)) == 200
            require(answered, "60 more clients connect during a /sleep, and one client is not answered within 6 s.")


@probe("1.4")
def the_silent_are_closed_in_time(tree: Tree) -> None:
    with Server(tree, 1) as server:
        silent = server.connect()
        start = time.monotonic()
        silent.setblocking(False)
        while time.monotonic() - start < 8:
            server.get("/")
            time.sleep(0.3)
            with contextlib.suppress(BlockingIOError):
                silent.recv(1)
                break
        else:
            raise NotYet("Under steady traffic, a client that stays silent is not closed, even after 8 s.")
        took = time.monotonic() - start
        require(4.5 < took < 7, f"Under steady traffic, a silent client is closed after {took:.1f} s, not after 5.")


@probe("1.4")
def another_silent_one_renews_nothing(tree: Tree) -> None:
    with Server(tree, 1) as server:
        silent, start = server.connect(), time.monotonic()
        wait_until(start + 4)
        other = server.connect()
        read(silent, limit=9)
        took = time.monotonic() - start
        said = "When a second silent client connects after 4 s, the first"
        require(4.5 < took < 7, f"{said} is closed after {took:.1f} s, not after 5.")
        other.close()


@probe("1.4")
def speaks_in_time(tree: Tree) -> None:
    with Server(tree, 1, "--sleep-ms", "5500") as server:
        in_time = server.connect()
        slow = server.ask("/sleep")
        eventually(lambda: server.has_read(slow))
        in_time.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        read(slow)
        answered = status(read(in_time)) == 200
        require(answered, "A client that speaks immediately is thrown out during another's 5.5 s /sleep.")


@probe("1.4")
def rests_and_gives_back(tree: Tree) -> None:
    with Server(tree, 1) as server:
        server.get("/")
        eventually(lambda: server.accepted() == 0)
        descriptors = server.descriptors()
        require_rest(server, "With no client connected")
        silent = server.connect()
        require_rest(server, "With one silent client")
        reset(silent)
        require_rest(server, "After a silent client's reset")
        for _ in range(30):
            server.get("/")
            reset(server.connect())
            server.connect().close()
        back = eventually(lambda: server.descriptors() <= descriptors, limit=2)
        stay = server.descriptors() - descriptors
        require(back, f"After 60 clients that left without a request, {stay} more file descriptors are open.")
