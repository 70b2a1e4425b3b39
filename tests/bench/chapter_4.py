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
from server import STAGES, NotYet, Server, Tree, eventually, how, read, read_whole, require, run, say, status

exercise("4.2", "stage4", stage=4, kept=[3, 11])


@probe("4.2")
def stops_without_notice(tree: Tree) -> None:
    with Server(tree, 4) as server:
        server.send(signal.SIGTERM)
        ended = server.exit_status(2)
        require(ended == 0, f"Without --notice-ms, 2 s after a SIGTERM to an idle server: {how(ended)}, not 0.")


@probe("4.2")
def an_idle_notice(tree: Tree) -> None:
    with Server(tree, 4, "--notice-ms", "1500") as server:
        server.send(signal.SIGTERM)
        require_rest(server, "During a notice")
        ended = server.exit_status(0.4)
        require(ended is None, "With --notice-ms 1500 an idle server ends before the notice is over.")
        server.awaited = False
        ended = server.exit_status(1.1)
        require(ended == 0, f"With --notice-ms 1500, 2.5 s after a SIGTERM to an idle server: {how(ended)}, not 0.")


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
            require(median < 0.1, f"During a notice, GET / takes {median:.2f} s. Does it look only now and then?")
            wait_until(start + 2)
            slow, silent = server.connect(), server.connect()
        except ConnectionRefusedError:
            raise NotYet("It refuses a client before its notice of 2.5 s is over.") from None
        wait_until(start + 2.3)
        answer = say(slow)
        said = f"A client that connects 2 s into a notice of 2.5 s, and asks 0.3 s later, gets {answer[:15]!r}."
        require(status(answer) == 200, said)
        wait_until(start + 2.9)
        with contextlib.suppress(ConnectionRefusedError):
            late = status(server.get("/"))
            raise NotYet(f"A client 0.4 s after a notice of 2.5 s is not refused. Its answer's status is {late}.")
        read(silent, limit=9)
        took = time.monotonic() - start
        require(took > 2.4, f"A client that is silent from 2 s on is closed {took:.1f} s after the stop.")
        require(took < 4.3, f"A silent client holds its worker until {took:.1f} s after the stop; the notice is 2.5 s.")
        require(status(read(running)) == 200, "A /sleep that ran at the stop, and took longer than the notice, is cut.")
        ended = server.exit_status()
        require(ended == 0, f"After a notice it answers all, but {how(ended)}, not 0.")
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
        require(ended == 1, f"--grace-ms 2500 should count from the stop. {took:.1f} s after it: {how(ended)}.")
        require(took > 2.4, f"With --grace-ms 2500 it gives up {took:.1f} s after the stop.")


@probe("4.2")
def a_silent_one_ends_with_the_grace(tree: Tree) -> None:
    with Server(tree, 4, "--notice-ms", "1500", "--grace-ms", "2000") as server:
        start = time.monotonic()
        server.send(signal.SIGTERM)
        wait_until(start + 1.35)
        silent = server.connect()
        ended = server.exit_status(4)
        said = "With --notice-ms 1500 --grace-ms 2000 and a client that is silent from 1.35 s on"
        require(ended == 0, f"{said}: {how(ended)}, not 0. {server.stderr()}")
        silent.close()


@probe("4.2")
def a_second_ctrl_c(tree: Tree) -> None:
    with Server(tree, 4, "--notice-ms", "9000") as server:
        server.send(signal.SIGINT)
        time.sleep(0.6)
        server.send(signal.SIGINT)
        ended = server.exit_status(3)
        require(ended == 130, f"A second Ctrl-C, 0.6 s into a notice: {how(ended)}, and it should be 130.")


@probe("4.2")
def no_more_threads(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "4", "--notice-ms", "1000") as server:
        server.get("/")
        threads, before = len(server.threads()), server.wakes()
        require(threads == 6, f"With 4 workers it has {threads} threads. Stage 4 has 6, and one notice needs no more.")
        time.sleep(1)
        wakes = server.wakes() - before
        require(wakes < 20, f"With nobody there, its main thread wakes {wakes} times in a second.")


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
        said = "A connection was reset. Was the whole request read, and the client's end awaited, before the close?"
        raise NotYet(said) from None


@probe("4.3")
def patience(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "1", "--sleep-ms", "700") as server:
        start = time.monotonic()
        seen = whole_answers(overload(server))
        took = time.monotonic() - start
        statuses = [status(answer) for answer in seen]
        # They wait 0, 0.7, 1.4... seconds.
        said = f"6 clients on /sleep, 0.7 s each, got {statuses}"
        require(statuses == [200, 200, 503, 503, 503, 503], f"{said}: not two 200, and then 503.")
        require(took < 3.5, f"A 503 should come at once, but the 6 clients took {took:.1f} s, as if all were served.")
        late = seen[statuses.index(503)]
        require(re.search(r"^Retry-After: *1\r$", late, re.M | re.I) is not None, f"No 'Retry-After: 1' in {late!r}.")
        require(seen[5].endswith("\r\n\r\n"), f"The answer to a HEAD has a body: {seen[5]!r}.")
        require(status(server.get("/")) == 200, "A request to an idle server was not answered with 200.")

        clients = overload(server)
        first = whole_answers(clients[:1])
        server.send(signal.SIGTERM)
        statuses = [status(answer) for answer in first + whole_answers(clients[1:])]
        require(set(statuses) <= {200, 503}, f"6 clients on /sleep, and SIGTERM after the first: they got {statuses}.")
        ended = server.exit_status()
        require(ended == 0, f"After a SIGTERM it answers, but {how(ended)}, not 0.")


@probe("4.3")
def who_asks_late_has_not_waited(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "2") as server:
        client = server.connect()
        time.sleep(1.3)
        answer = status(say(client))
        require(answer == 200, f"A client of an idle server asks 1.3 s after it has connected, and gets {answer}.")
        with ThreadPoolExecutor(50) as clients:
            answers = Counter(clients.map(lambda _: status(server.get("/")), range(1000)))
        require(answers[503] == 0, f"Of 1,000 quick requests, 50 at a time, {answers[503]} are refused with 503.")


@probe("4.3")
def refusals_do_not_wait_for_each_other(tree: Tree) -> None:
    with Server(tree, 4, "--workers", "1", "--sleep-ms", "1300") as server:
        clients = [server.ask("/sleep") for _ in range(5)]
        read(clients[0])
        start = time.monotonic()
        for client in clients[1:]:
            client.settimeout(9)
            require(client.recv(12).endswith(b"503"), "Of 5 clients on /sleep of 1.3 s, not all but the first get 503.")
        took = time.monotonic() - start  # none of them has closed its side
        require(took < 0.8, f"Four 503 that are due at the same time take {took:.1f} s: one waits for another's close.")


@probe("4.3")
def the_wait_is_its_own(tree: Tree) -> None:
    """Another one that comes later does not make the wait of this one shorter."""
    with Server(tree, 4, "--workers", "1", "--sleep-ms", "700") as server:
        slow = [server.ask("/sleep") for _ in range(3)]
        time.sleep(1.2)
        last = server.ask("/")
        statuses = [status(read(client)) for client in slow]
        require(statuses[2] == 503, f"A request that has waited for 1.4 s gets {statuses[2]}, not 503.")
        require(status(read(last)) == 200, "A request that has waited for 0.2 s is not answered with 200.")


exercise("4.4", "stage4_graceful_shutdown/primes")
PRIMES = "78498 primes below 1,000,000"


def run_primes(program: Path, tree: Tree) -> tuple[str, str]:
    """Its last line, and all it has printed."""
    try:
        result = run([program], 30, env={**os.environ, **tree.environment})
    except NotYet as late:
        raise NotYet(f"{late} Does recv() wait for a Sender that nobody destroys?") from None
    require(result.returncode == 0, f"Of primes, {how(result.returncode)}, not 0. {result.stderr.strip()}")
    return (result.stdout.splitlines() or [""])[-1], result.stdout + result.stderr


@probe("4.4")
def primes(tree: Tree) -> None:
    last, said = run_primes(tree.build / STAGES[4] / "primes", tree)
    require(last == PRIMES, f"Its last line is {last!r}, not {PRIMES!r}.")
    workers = set(re.findall(r"^Worker (\d+) got a job", said, re.M))
    require(len(workers) > 1, f"{len(workers)} of its workers got a job: not two or more.")
    ended = set(re.findall(r"^Shutting down worker (\d+)", said, re.M))
    require(len(ended) == 4, f"Its ThreadPool shuts down {len(ended)} workers, not four.")


@probe("4.4")
def results_come_over_the_channel(tree: Tree) -> None:
    """With a channel that loses the first result: the sum has to change, and the loop still has to end by itself."""
    if tree.again:
        return
    targets = json.loads((tree.build / "meson-info/intro-targets.json").read_text())
    sources = [file for target in targets if target["name"] == "primes" for part in target["target_sources"]
               for file in part.get("sources", []) if file.endswith(".cpp")]  # fmt: skip
    require(bool(sources), "stage4_graceful_shutdown/meson.build builds no primes.")
    with tempfile.TemporaryDirectory() as folder:
        altered = Path(folder) / "common/channel.hpp"
        altered.parent.mkdir()
        altered.write_text(LOSING_RECV.join((tree.source / "common/channel.hpp").read_text().split(RECV)))
        program = tree.compile(Path(folder) / "losing_primes", [f"-I{folder}", *sources])
        last, said = run_primes(program, tree)
    require(last != PRIMES, "With one result lost on its way, primes prints the same. Do the results come by recv()?")
    require("no more results" in said, "Its loop ends, but recv() has never said so: nobody closes the second channel.")


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
                require(server.port == port, f"Passed a socket on port {port}, it listens on {server.port}.")
                if goal == 200:
                    require(status(read(early)) == 200, "Who had connected before it was started was not answered.")
                    for _ in range(32):
                        clients.submit(visit)
                while len(answered) < goal and not failed:
                    time.sleep(0.002)
                server.send(signal.SIGTERM)
                ended = server.exit_status()
                require(ended == 0, f"Stopped by SIGTERM under load, {how(ended)}, not 0.")
        require(not failed, f"Restarted under load, it answered {len(answered)} requests, then: {', '.join(failed)}.")


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
            require(ended == 0, f"SIGTERM, and clients keep coming: {how(ended)}. Whose are those in the accept queue?")
        with passed(tree, listener):
            answered = sum(status(read(client, limit=5)) == 200 for client in clients)
        require(answered == len(clients), f"Of {len(clients)} clients, it and its successor answer {answered}.")


@probe("4.5")
def only_what_is_meant_for_it(tree: Tree) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for pid, count, said in [("1", 1, "LISTEN_PID is another process"), ("$$", 0, "LISTEN_FDS is 0")]:
            with passed(tree, listener, pid, count) as server:
                require(server.port != port, f"It takes the socket although {said}.")


@probe("4.5")
def the_socket_is_as_its_own(tree: Tree) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with passed(tree, listener, "$$", 1, "--sleep-ms", "1500") as server:
            flags = server.listening()
            require(len(flags) == 1, f"It has {len(flags)} descriptors of the socket it was passed, and needs one.")
            require(bool(flags[0] & os.O_NONBLOCK), "The socket that it was passed still blocks: accept() may hang.")
            require(bool(flags[0] & os.O_CLOEXEC), "A program that it starts would inherit the socket: no FD_CLOEXEC.")
            slow = server.ask("/sleep")
            eventually(lambda: server.has_read(slow))
            server.send(signal.SIGTERM)
            closed = eventually(lambda: not server.listening(), limit=1)
            require(closed, "While it finishes the last request it still holds the socket: clients come in vain.")
            read(slow)
