"""Exercises of chapter 4, a graceful shutdown."""

import contextlib
import json
import os
import re
import signal
import socket
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from checks import exercise, probe, require_rest, wait_until
from server import STAGES, NotYet, Server, Tree, eventually, got, how, read, read_whole, require, run, say, status

exercise("4.2", "stage4", stage=4, kept=[3, 11])


@probe("4.2")
def stops_without_notice(tree: Tree) -> None:
    with Server(tree, 4) as server:
        server.send(signal.SIGTERM)
        ended = server.exit_status(2)
        said = "Without --notice-ms, SIGTERM should make an idle server exit with status 0 within 2 s"
        require(ended == 0, f"{said}, but {how(ended)}.")


@probe("4.2")
def an_idle_notice(tree: Tree) -> None:
    with Server(tree, 4, "--notice-ms", "1500") as server:
        server.send(signal.SIGTERM)
        require_rest(server, "During a notice")
        ended = server.exit_status(0.4)
        require(ended is None, "With --notice-ms 1500, an idle server exits before the notice is over.")
        server.awaited = False
        ended = server.exit_status(1.1)
        said = "With --notice-ms 1500, SIGTERM should make an idle server exit with status 0 within 2.5 s"
        require(ended == 0, f"{said}, but {how(ended)}.")


@probe("4.2")
def served_during_the_notice(tree: Tree) -> None:
    with Server(tree, 4, "--notice-ms", "2500", "--sleep-ms", "4000") as server:
        others = [server.connect() for _ in range(2)]  # and they say nothing
        running = server.ask("/sleep")
        eventually(lambda: server.has_read(running))
        start = time.monotonic()
        server.send(signal.SIGTERM)
        wait_until(start + 0.5)
        try:
            times = []
            for _ in range(9):
                asked = time.monotonic()
                require(status(server.get("/")) == 200, "A request 0.5 s into a notice of 2.5 s is not answered.")
                times.append(time.monotonic() - asked)
            median = sorted(times)[4]
            require(median < 0.1, f"During a notice, GET / takes {median:.2f} s. Does it look for clients too seldom?")
            wait_until(start + 2)
            slow, silent = server.connect(), server.connect()
        except ConnectionRefusedError:
            raise NotYet("The server refuses a client before its notice of 2.5 s is over.") from None
        wait_until(start + 2.3)
        answer = say(slow)
        said = "A client that connects 2 s into a notice of 2.5 s, and sends its request 0.3 s later"
        require(status(answer) == 200, f"{said}, gets {got(answer)} instead of 200.")
        wait_until(start + 2.9)
        with contextlib.suppress(ConnectionRefusedError):
            late = got(server.get("/"))
            raise NotYet(f"A client that connects 0.4 s after a notice of 2.5 s is not refused, but gets {late}.")
        read(silent, limit=9)
        took = time.monotonic() - start
        require(took > 2.4, f"A silent client is closed {took:.1f} s after the stop, during a notice of 2.5 s.")
        require(took < 4.3, f"A silent client keeps its worker until {took:.1f} s after the stop; the notice is 2.5 s.")
        answered = status(read(running)) == 200
        require(answered, "A /sleep that is running at the stop, and takes longer than the notice, is cut off.")
        ended = server.exit_status()
        require(ended == 0, f"After a notice, the server should exit with status 0, but {how(ended)}.")
        for client in others:
            client.close()


@probe("4.2")
def grace_counts_from_the_stop(tree: Tree) -> None:
    with Server(tree, 4, "--notice-ms", "1500", "--grace-ms", "2500", "--sleep-ms", "9000") as server:
        running = server.ask("/sleep")
        eventually(lambda: server.has_read(running))
        start = time.monotonic()
        server.send(signal.SIGTERM)
        ended = server.exit_status(3.5)
        took = time.monotonic() - start
        said = "--grace-ms 2500 should count from the stop, and then end the server with exit status 1"
        require(ended == 1, f"{said}. But {took:.1f} s after the stop {how(ended)}.")
        require(took > 2.4, f"With --grace-ms 2500, the server gives up too early, {took:.1f} s after the stop.")


@probe("4.2")
def a_silent_one_ends_with_the_grace(tree: Tree) -> None:
    with Server(tree, 4, "--notice-ms", "1500", "--grace-ms", "2000") as server:
        start = time.monotonic()
        server.send(signal.SIGTERM)
        wait_until(start + 1.35)
        silent = server.connect()
        ended = server.exit_status(4)
        said = "With --notice-ms 1500 --grace-ms 2000, and a silent client that connects 1.35 s after the stop"
        require(ended == 0, f"{said}, the server should exit with status 0, but {how(ended)}. {server.stderr()}")
        silent.close()


@probe("4.2")
def a_second_ctrl_c(tree: Tree) -> None:
    with Server(tree, 4, "--notice-ms", "9000") as server:
        server.send(signal.SIGINT)
        time.sleep(0.6)
        server.send(signal.SIGINT)
        ended = server.exit_status(3)
        said = "A second Ctrl-C, 0.6 s into a notice, should end the server with exit status 130"
        require(ended == 130, f"{said}, but {how(ended)}.")


@probe("4.2")
def no_more_threads(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "4", "--notice-ms", "1000") as server:
        server.get("/")
        threads, before = len(server.threads()), server.wakes()
        require(threads == 6, f"With 4 workers the server has {threads} threads; 6 are enough, as before.")
        time.sleep(1)
        wakes = server.wakes() - before
        require(wakes < 20, f"With no client connected, the main thread wakes {wakes} times in a second.")


exercise("4.3", "stage4", stage=4, kept=[3])


def overload(server: Server) -> list[socket.socket]:
    clients = [server.ask("/sleep") for _ in range(4)]
    clients += [server.ask("/sleep", fields="Content-Length: 20000\r\n"), server.ask("/sleep", "HEAD")]
    clients[4].sendall(b"x" * 20000)
    return clients


def whole_answers(clients: list[socket.socket]) -> list[str]:
    try:
        return [read_whole(client) for client in clients]
    except ConnectionResetError:
        said = "A connection was reset. Before it closes, does the server read the whole request"
        raise NotYet(f"{said}, and wait for the client to close its side?") from None


@probe("4.3")
def patience(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "1", "--sleep-ms", "700") as server:
        start = time.monotonic()
        seen = whole_answers(overload(server))
        took = time.monotonic() - start
        statuses = [status(answer) for answer in seen]
        # They wait 0, 0.7, 1.4... seconds.
        said = f"6 clients on /sleep, 0.7 s each, got {statuses}"
        require(statuses == [200, 200, 503, 503, 503, 503], f"{said}; it should be two 200, and then 503 only.")
        require(took < 3.5, f"A 503 should come immediately, but all 6 clients took {took:.1f} s.")
        late = seen[statuses.index(503)]
        retry = re.search(r"^Retry-After: *1\r$", late, re.M | re.I)
        require(retry is not None, f"The 503 has no 'Retry-After: 1': {late!r}.")
        require(seen[5].endswith("\r\n\r\n"), f"The answer to HEAD has a body: {seen[5]!r}.")
        answer = server.get("/")
        require(status(answer) == 200, f"GET / to an idle server gets {got(answer)} instead of 200.")

        clients = overload(server)
        first = whole_answers(clients[:1])
        server.send(signal.SIGTERM)
        statuses = [status(answer) for answer in first + whole_answers(clients[1:])]
        said = f"6 clients on /sleep, and SIGTERM after the first answer: they got {statuses}"
        require(set(statuses) <= {200, 503}, f"{said}; it should be 200 and 503 only.")
        ended = server.exit_status()
        require(ended == 0, f"After SIGTERM, the server should exit with status 0, but {how(ended)}.")


@probe("4.3")
def who_asks_late_has_not_waited(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "2") as server:
        client = server.connect()
        time.sleep(1.3)
        answer = say(client)
        said = "A client of an idle server sends its request 1.3 s after it has connected"
        require(status(answer) == 200, f"{said}, and gets {got(answer)} instead of 200.")
        with ThreadPoolExecutor(50) as clients:
            answers = Counter(clients.map(lambda _: status(server.get("/")), range(1000)))
        require(answers[503] == 0, f"Of 1,000 quick requests, 50 at a time, {answers[503]} get 503; none should.")


@probe("4.3")
def refusals_do_not_wait_for_each_other(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "1", "--sleep-ms", "1300") as server:
        clients = [server.ask("/sleep") for _ in range(5)]
        read(clients[0])
        start = time.monotonic()
        for client in clients[1:]:
            client.settimeout(9)
            refused = client.recv(12).endswith(b"503")
            require(refused, "Of 5 clients on a /sleep of 1.3 s, all but the first should get 503; one does not.")
        took = time.monotonic() - start  # none of them has closed its side
        said = f"Four 503 that are due at the same time take {took:.1f} s"
        require(took < 0.8, f"{said}: after one, the server waits for that client to close.")


@probe("4.3")
def the_wait_is_its_own(tree: Tree) -> None:
    """Another one that comes later does not make the wait of this one shorter."""
    with Server(tree, 4, "--workers", "1", "--sleep-ms", "700") as server:
        slow = [server.ask("/sleep") for _ in range(3)]
        time.sleep(1.2)
        last = server.ask("/")
        third = [read(client) for client in slow][2]
        require(status(third) == 503, f"A request that has waited for 1.4 s gets {got(third)} instead of 503.")
        answer = read(last)
        require(status(answer) == 200, f"A request that has waited for 0.2 s gets {got(answer)} instead of 200.")


exercise("4.4", "stage4_graceful_shutdown/primes")
PRIMES = "78498 primes below 1,000,000"


def run_primes(program: Path, tree: Tree) -> tuple[str, str]:
    """Its last line, and all it has printed."""
    try:
        result = run([program], 30, env={**os.environ, **tree.environment})
    except NotYet as late:
        raise NotYet(f"{late} Does recv() wait for a Sender that nobody destroys?") from None
    said = f"primes should exit with status 0, but {how(result.returncode)}. {result.stderr.strip()}"
    require(result.returncode == 0, said)
    return (result.stdout.splitlines() or [""])[-1], result.stdout + result.stderr


@probe("4.4")
def primes(tree: Tree) -> None:
    last, said = run_primes(tree.build / STAGES[4] / "primes", tree)
    require(last == PRIMES, f"The last line of primes is {last!r}, not {PRIMES!r}.")
    workers = set(re.findall(r"^Worker (\d+) got a job", said, re.M))
    require(len(workers) > 1, f"Of the workers of primes, {len(workers)} got a job; it should be two or more.")
    ended = set(re.findall(r"^Shutting down worker (\d+)", said, re.M))
    require(len(ended) == 4, f"The ThreadPool of primes shuts down {len(ended)} workers, not four.")


@probe("4.4")
def results_come_over_the_channel(tree: Tree) -> None:
    """With a channel that loses the first result: the sum has to change, and the loop still has to end by itself."""
    if tree.again:
        return
    targets = json.loads((tree.build / "meson-info/intro-targets.json").read_text())
    sources = [file for target in targets if target["name"] == "primes" for part in target["target_sources"]
               for file in part.get("sources", []) if file.endswith(".cpp")]  # fmt: skip
    require(bool(sources), "stage4_graceful_shutdown/meson.build does not build a program primes.")
    with tempfile.TemporaryDirectory() as folder:
        altered = Path(folder) / "common/channel.hpp"
        altered.parent.mkdir()
        altered.write_text(LOSING_RECV.join((tree.source / "common/channel.hpp").read_text().split(RECV)))
        program = tree.compile(Path(folder) / "losing_primes", [f"-I{folder}", *sources])
        last, said = run_primes(program, tree)
    same = "When recv() loses one result, primes still prints the right number. Do the results come by recv()?"
    require(last != PRIMES, same)
    endless = "The loop ends, but not because recv() returned nothing: does anybody close the second channel?"
    require("no more results" in said, endless)


RECV = "  std::optional<T> recv() {\n"
LOSING_RECV = """  std::optional<T> recv() {
    if constexpr (!std::is_invocable_v<T&>) {  // no job
      static bool lost = false;
      if (!std::exchange(lost, true)) receive();
      std::optional<T> result = receive();
      if (!result) std::fputs("no more results\\n", stderr);
      return result;
    } else {
      return receive();
    }
  }

  std::optional<T> receive() {
"""

exercise("4.5", "stage4", stage=4, kept=[3, 6])


def passed(tree: Tree, listener: socket.socket, pid: str = "$$", count: int = 1, *flags: str, slow=None) -> Server:
    command = f'exec env LISTEN_PID={pid} LISTEN_FDS={count} "$0" "$@" 3<&0 </dev/null'
    return Server(tree, 4, *flags, through=["sh", "-c", command], slow=slow, stdin=listener)


@probe("4.5")
def restarts_under_load(tree: Tree) -> None:
    answered: list[str] = []
    failed: list[str] = []

    def visit() -> None:
        while not failed and len(answered) < 1200:
            try:
                answer = read_whole(connect())
                (answered if status(answer) == 200 else failed).append(repr(answer[:15]))
            except OSError as error:
                failed.append(str(error))

    def connect() -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return client

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, ThreadPoolExecutor(32) as clients:
        port = listener.getsockname()[1]
        early = connect()
        for goal in 200, 400, 600, 800, 1200:
            with passed(tree, listener) as server:
                require(server.port == port, f"Passed a socket on port {port}, the server listens on {server.port}.")
                if goal == 200:
                    served = status(read(early)) == 200
                    require(served, "A client that connected before the server was started is not answered.")
                    for _ in range(32):
                        clients.submit(visit)
                while len(answered) < goal and not failed:
                    time.sleep(0.002)
                server.send(signal.SIGTERM)
                ended = server.exit_status()
                require(ended == 0, f"Stopped under load, the server should exit with status 0, but {how(ended)}.")
        said = f"Restarted under load, the server answers {len(answered)} requests. Then one fails"
        require(not failed, f"{said}: {', '.join(failed)}.")


@probe("4.5")
def leaves_the_rest_to_its_successor(tree: Tree) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        with passed(tree, listener, "$$", 1, "--grace-ms", "3000", slow={"SLOW_ACCEPT": "20"}) as server:
            clients = [server.ask("/") for _ in range(10)]
            server.send(signal.SIGTERM)
            while server.process.poll() is None and len(clients) < 120:  # faster than it accepts
                clients.append(server.ask("/"))
                time.sleep(0.01)
            ended = server.exit_status(1)
            said = f"After SIGTERM, while clients keep coming, the server should exit with status 0, but {how(ended)}"
            require(ended == 0, f"{said}. Who should answer the clients in the accept queue?")
        with passed(tree, listener):
            answered = sum(status(read(client, limit=5)) == 200 for client in clients)
        said = f"Of {len(clients)} clients, the server and its successor together answer only {answered}."
        require(answered == len(clients), said)


@probe("4.5")
def only_what_is_meant_for_it(tree: Tree) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for pid, count, said in [("1", 1, "LISTEN_PID names another process"), ("$$", 0, "LISTEN_FDS is 0")]:
            with passed(tree, listener, pid, count) as server:
                require(server.port != port, f"The server takes the socket although {said}.")


@probe("4.5")
def the_socket_is_as_its_own(tree: Tree) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with passed(tree, listener, "$$", 1, "--sleep-ms", "1500") as server:
            flags = server.listening()
            require(len(flags) == 1, f"The server has {len(flags)} descriptors for the socket it was passed, not 1.")
            blocks = "The socket that the server was passed is still a blocking one: accept() may hang."
            require(bool(flags[0] & os.O_NONBLOCK), blocks)
            inherited = "The socket has no FD_CLOEXEC: a program that the server starts would inherit it."
            require(bool(flags[0] & os.O_CLOEXEC), inherited)
            slow = server.ask("/sleep")
            eventually(lambda: server.has_read(slow))
            server.send(signal.SIGTERM)
            closed = eventually(lambda: not server.listening(), limit=1)
            said = "While the server finishes its last request, it still has the socket open"
            require(closed, f"{said}: clients connect in vain.")
            read(slow)
