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
from server import NotYet, Server, Tree, body, eventually, read, read_whole, require, reset, run, say, status

exercise("1.2", "stage1", stage=1, kept=[1])


@probe("1.2")
def pages(tree: Tree) -> None:
    hello, missing = ((tree.source / "common/html" / name).read_text() for name in ("hello.html", "404.html"))
    with Server(tree, 1, "--sleep-ms", "50") as server:
        answer = server.get("/about")
        require(status(answer) == 200, f"GET /about is answered with {status(answer)}, not with 200.")
        require("About" in body(answer), "The page of GET /about does not say About.")
        require(body(answer) != hello, "GET /about and GET / show the same page.")
        head = server.get("/about", "HEAD")
        require(status(head) == 200 and not body(head), "HEAD /about should be a 200 without a body.")
        for target in "/", "/sleep", "/about":
            answer = server.get(target)
            require(target == "/about" or body(answer) == hello, f"GET {target} no longer shows hello.html.")
            whole = f"Content-Length: {len(body(answer))}\r\n" in answer and body(answer).startswith("<!DOCTYPE")
            require(whole, f"The page of GET {target} is not whole: it begins with {body(answer)[:20]!r}.")
        descriptors = server.descriptors()
        for _ in range(30):
            server.get("/about")
        opened = server.descriptors() - descriptors
        require(opened < 2, f"30 times GET /about leave {opened} descriptors open.")
        for target in "GET /nope", "GET /nope/about", "GET /about/", "GET /aboutx", "GET /about?x", "POST /about":
            method, path = target.split()
            answer = server.get(path, method)
            require(status(answer) == 404, f"{target} is answered with {status(answer)}, not with 404.")
            require(body(answer) == missing, f"The 404 of {target} does not show 404.html.")


@probe("1.2")
def about_from_anywhere(tree: Tree) -> None:
    with Server(tree, 1, cwd="/") as server:
        require(status(server.get("/about")) == 200, "Started in another folder, it does not answer GET /about.")


@probe("1.2")
def about_installed(tree: Tree) -> None:
    told = run(["meson", "introspect", "--installed", tree.build], 60).stdout
    pages = {Path(page) for page in re.findall(r'"([^"]*/html/[^"]*)": ', told)}
    with tempfile.TemporaryDirectory() as folder:
        for page in pages:
            shutil.copy2(page, folder)
        with Server(tree, 1, "--html", folder) as server:
            answered = status(server.get("/about")) == 200
            require(answered, "With the pages that `ninja install` would install, GET /about is not answered.")


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
                asked = f"{method} {target} is answered with {status(answer)}"
                require(status(answer) == 405, f"{asked}, not with 405.")
                allowed = re.findall(r"(?im)^Allow:(.*)$", answer.partition("\r\n\r\n")[0])
                named = {one.strip() for one in ",".join(allowed).split(",")}
                require(named == {"GET", "HEAD"}, f"{asked}, but Allow names {', '.join(allowed) or 'nothing'}.")
                length = f"Content-Length: {len(body(answer))}\r\n" in answer
                require(length, f"{asked}, but its Content-Length is not {len(body(answer))}.")
            answer = server.get("/nope", method)
            require(status(answer) == 404, f"{method} /nope is answered with {status(answer)}, not with 404.")
            require("Allow:" not in answer, "The 404 has a field Allow.")
        require(status(server.get("/")) == 200, "GET / is no longer a 200.")
        require(status(server.get("/", "HEAD")) == 200, "HEAD / is no longer a 200.")


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
            raise NotYet("A POST whose body takes 0.2 s to come is reset: its answer is lost.") from None
        require(status(answer) == 405, f"A POST whose body comes late is answered with {status(answer)}, not with 405.")


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
        require(not mixed, "In stage 2, a GET that runs beside a POST gets the Allow of the POST.")


exercise("1.4", "stage1", stage=1, kept=[1])


@probe("1.4")
def many_silent(tree: Tree) -> None:
    with Server(tree, 1) as server:
        silent = [server.connect() for _ in range(100)]
        answer = read(server.ask("/"), limit=3)  # else the first of them holds it up for 5 s
        require(status(answer) == 200, "With 100 silent clients before it, GET / is not answered within 3 s.")
        threads = len(server.threads())
        require(threads == 1, f"It takes {threads} threads; one is enough.")
        for client in silent[:20]:
            require(status(say(client)) == 200, "A client that is silent for a moment, and then asks, is not answered.")
        for _ in range(5):
            server.get("/")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        require(not children, f"After a few requests it has {len(children)} child processes.")


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
            require(answered, f"{len(speaking)} of 31 clients speak at once, and one of them waits in vain.")
        for client in clients:
            if client not in speaking:
                client.settimeout(0.01)
                with contextlib.suppress(TimeoutError):
                    require(client.recv(1) != b"", "While others speak, a silent client is closed too early.")


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
            require(answered, "60 clients come while a /sleep is served, and then one of them waits in vain.")


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
        took = time.monotonic() - start
        require(4.5 < took < 7, f"Under steady traffic a silent client is closed after {took:.1f} s, not after 5.")


@probe("1.4")
def another_silent_one_renews_nothing(tree: Tree) -> None:
    with Server(tree, 1) as server:
        silent, start = server.connect(), time.monotonic()
        wait_until(start + 4)
        other = server.connect()
        read(silent, limit=9)
        took = time.monotonic() - start
        require(4.5 < took < 7, f"Another comes after 4 s, and the first silent client is closed after {took:.1f} s.")
        other.close()


@probe("1.4")
def speaks_in_time(tree: Tree) -> None:
    with Server(tree, 1, "--sleep-ms", "5500") as server:
        in_time = server.connect()
        slow = server.ask("/sleep")
        eventually(lambda: server.has_read(slow))
        in_time.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        read(slow)
        require(status(read(in_time)) == 200, "Who speaks at once, while another's /sleep takes 5.5 s, is thrown out.")


@probe("1.4")
def rests_and_gives_back(tree: Tree) -> None:
    with Server(tree, 1) as server:
        server.get("/")
        eventually(lambda: server.accepted() == 0)
        descriptors = server.descriptors()
        require_rest(server, "With nobody there")
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
        require(back, f"After 60 clients that left without a word, {stay} descriptors stay open.")
