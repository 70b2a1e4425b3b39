#!/usr/bin/env python3
"""Have you solved that exercise of the notes? Builds what it needs, and tries it.

Exit status: 0 if all that are named are solved, 1 if not.
"""

import argparse
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

SOURCE = Path(__file__).resolve().parent.parent.parent
STAGES = {
    1: "stage1_single_thread",
    2: "stage2_thread_per_request",
    3: "stage3_pool",
    4: "stage4_graceful_shutdown",
}


class NotYet(Exception):
    """What is missing, in words for the student."""


@dataclass
class Exercise:
    """One exercise that changes code, and how to see that it has been solved."""

    name: str  # "1.2": chapter and number
    targets: list[str]  # what to build
    check: Callable[[Path], None]  # takes the build folder; raises NotYet


EXERCISES: dict[str, Exercise] = {}


def exercise(name: str, *targets: str):
    """Registers the check of an exercise, and the Meson targets it needs."""

    def register(check):
        EXERCISES[name] = Exercise(name, list(targets), check)
        return check

    return register


def require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise NotYet(otherwise)


class Server:
    """A stage that listens on a free port; killed and reaped at the end of the block. `through` is a command
    that turns into the server: ["nohup"]."""

    def __init__(self, build: Path, stage: int, *flags: str, through: Sequence[str] = (), **popen):
        binary = build / STAGES[stage] / f"stage{stage}"
        self.process = subprocess.Popen(
            [*through, binary, "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **popen,
        )
        line = self.process.stdout.readline()
        found = re.fullmatch(r"Listening on http://127\.0\.0\.1:(\d+)\n", line)
        if not found:
            self.process.kill()
            raise NotYet(f"stage {stage} does not start: {self.process.communicate()[1].strip()}")
        self.port = int(found[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, signal_number: int) -> None:
        self.process.send_signal(signal_number)

    def threads(self) -> list[str]:
        """The names of its threads."""
        names = []
        for task in Path(f"/proc/{self.pid}/task").glob("*"):
            with contextlib.suppress(OSError):  # it has just ended
                names.append((task / "comm").read_text().strip())
        return names

    def cpu_seconds(self) -> float:
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def has_read(self, client: socket.socket) -> bool:
        """Whether it has taken all that the client has sent, as the kernel's table says."""
        address = f":{client.getsockname()[1]:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if local.endswith(f":{self.port:04X}") and remote.endswith(address):
                return queues.endswith(":00000000")
        return False

    def accepted(self) -> int:
        """How many connections it has, not counting those in the accept queue: these have no inode yet."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(f":{self.port:04X}") and row[3] == "01" and row[9] != "0" for row in rows)

    def stop_and_read_stderr(self) -> str:
        self.process.kill()
        return self.process.communicate()[1]

    def exit_status(self, limit: float = 5) -> int | None:
        """As subprocess has it (-2 for a death by SIGINT); None if it still runs after `limit` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(limit)
        return None

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=15)

    def ask(self, target: str, method: str = "GET", fields: str = "") -> socket.socket:
        """Sends a request; the answer is still to be read."""
        client = self.connect()
        client.sendall(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        return client

    def get(self, target: str, method: str = "GET", fields: str = "") -> str:
        """One whole conversation: the answer, head and body."""
        return read(self.ask(target, method, fields))


def read(client: socket.socket, limit: float = 15) -> str:
    """What comes up to the end of the connection, or until nothing comes for `limit` seconds; less after a reset."""
    answer = b""
    client.settimeout(limit)
    with client, contextlib.suppress(ConnectionResetError, TimeoutError):
        while piece := client.recv(65536):
            answer += piece
    return answer.decode("latin-1")


def read_whole(client: socket.socket) -> str:
    """The same, but a reset is a ConnectionResetError."""
    with client:
        return b"".join(iter(lambda: client.recv(65536), b"")).decode("latin-1")


def status(answer: str) -> int:
    """200; 0 if there is no status line."""
    found = re.match(r"HTTP/1\.1 (\d\d\d) ", answer)
    return int(found[1]) if found else 0


def body(answer: str) -> str:
    return answer.partition("\r\n\r\n")[2]


def reset(client: socket.socket) -> None:
    """Goes away without a FIN: what the server sends from now on fails."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def eventually(condition: Callable[[], bool], limit: float = 10) -> bool:
    """Waits until that holds; False if it does not within `limit` seconds."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def promises(build: Path, stage: int, *numbers: int) -> str:
    """What the checker says of these promises: "kept" or "broken", and the evidence."""
    command = [str(build / STAGES[stage] / f"stage{stage}"), "--port", "{port}", "--sleep-ms", "{sleep}"]
    if stage >= 3:
        command += ["--workers", "{workers}"]
    only = ",".join(map(str, numbers))
    result = subprocess.run(
        [build / "tests" / "promises", "--only", only, "--", *command], capture_output=True, text=True
    )
    return result.stdout + result.stderr


def require_verdicts(build: Path, stage: int, kept: Sequence[int] = (), broken: Sequence[int] = ()) -> None:
    """That the stage keeps these promises, and breaks those."""
    said = promises(build, stage, *kept, *broken)
    wanted = {**dict.fromkeys(kept, "+ kept"), **dict.fromkeys(broken, "x broken")}
    for number, verdict in sorted(wanted.items()):
        found = re.search(rf"^ ?{number} .*(\+ kept|x broken|-)\n +(.*)", said, re.MULTILINE)
        require(found is not None, f"The checker cannot judge it: {said.strip()}")
        should = f"Promise {number} should be {verdict[2:]}, and is {found[1][2:]}"
        require(found[1] == verdict, f"{should}: {found[2]}. See build/tests/promises --only {number}")


def require_every_order(build: Path, stage: int, *scenarios: str) -> None:
    """That explore finds no order in which the stage's pool fails. Stage 3's is never destroyed."""
    endless = ["--endless"] if stage == 3 else []
    command = [build / EXPLORE, "--pool", SOURCE / STAGES[stage], *endless, *scenarios]
    result = subprocess.run(command, capture_output=True, text=True)
    require(result.returncode == 0, f"In some order of its threads, the pool fails.\n{result.stdout}{result.stderr}")


# The exercises, in the order of the notes.


CHECKER = "tests/promises"  # `promises` alone is what `ninja -C build promises` runs
EXPLORE = "tests/explore"


@exercise("1.2", "stage1")
def own_page(build: Path) -> None:
    with Server(build, 1) as server:
        answer = server.get("/about")
        require(status(answer) == 200, f"GET /about is answered with {status(answer)}, not with 200.")
        require("About" in body(answer), "The page of GET /about does not say About.")
        require(body(answer) != body(server.get("/")), "GET /about and GET / show the same page.")
        head = server.get("/about", "HEAD")
        require(status(head) == 200 and not body(head), "HEAD /about should be a 200 without a body.")
        require("Hello!" in server.get("/"), "GET / no longer says Hello!.")
        for method, target in [("GET", "/nope"), ("GET", "/about/us"), ("POST", "/about")]:
            answer = status(server.get(target, method))
            require(answer == 404, f"{method} {target} is answered with {answer}, not with 404.")


@exercise("1.3", "stage1", CHECKER)
def wrong_method(build: Path) -> None:
    with Server(build, 1, "--sleep-ms", "3000") as server:
        for method, target in [("POST", "/"), ("DELETE", "/"), ("PUT", "/sleep")]:
            start = time.monotonic()
            answer = server.get(target, method)
            require(time.monotonic() - start < 2.5, f"{method} {target} is refused only after the sleep.")
            asked = f"{method} {target} is answered with {status(answer)}"
            require(status(answer) == 405, f"{asked}, not with 405.")
            allowed = re.findall(r"(?im)^Allow:(.*)$", answer.partition("\r\n\r\n")[0])
            methods = {method.strip() for method in ",".join(allowed).split(",")}
            require(methods == {"GET", "HEAD"}, f"{asked}, but Allow names {', '.join(allowed) or 'nothing'}.")
        require(status(server.get("/nope", "POST")) == 404, "POST /nope is no longer a 404.")
        require(status(server.get("/")) == 200, "GET / is no longer a 200.")
        require(status(server.get("/", "HEAD")) == 200, "HEAD / is no longer a 200.")
    require_verdicts(build, 1, kept=[1])  # with a body, too


@exercise("1.4", "stage1", CHECKER)
def who_speaks_first(build: Path) -> None:
    with Server(build, 1, "--sleep-ms", "5500") as server:
        silent = [server.connect() for _ in range(20)]
        answer = read(server.ask("/"), limit=3)  # else the first of them holds it up for 5 s
        require(status(answer) == 200, "With 20 silent clients before it, GET / is not answered within 3 s.")
        threads = len(server.threads())
        require(threads == 1, f"It takes {threads} threads; one is enough.")
        for client in silent[1:]:
            with contextlib.suppress(OSError):  # it has been closed
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            require(status(read(client)) == 200, "Who is silent for a moment, and then asks, is not answered.")
        start = time.monotonic()
        read(silent[0], limit=9)
        require(time.monotonic() - start < 8.5, "Who stays silent is not closed, not even after 8 s.")
        in_time = server.connect()
        slow = server.ask("/sleep")
        eventually(lambda: server.has_read(slow))
        in_time.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        read(slow)
        require(status(read(in_time)) == 200, "Who speaks at once, while another's /sleep takes 5.5 s, is thrown out.")
    require_verdicts(build, 1, kept=[1])


@exercise("2.2", "stage2", CHECKER)
def at_most_64(build: Path) -> None:
    with Server(build, 2, "--sleep-ms", "50") as server:
        silent = [server.connect() for _ in range(80)]
        # 64, main's, and one to spare
        too_many = eventually(lambda: len(server.threads()) > 66, limit=1)
        require(not too_many, f"80 clients make {len(server.threads())} threads.")
        for client in silent:
            client.close()
        for client in [server.ask("/sleep") for _ in range(100)]:
            served = status(read(client, limit=5)) == 200
            require(served, "After 80 clients left without a word, of 100 others not all are answered.")
    require_verdicts(build, 2, kept=[2, 3])


@exercise("2.3", "stage2", CHECKER)
def join(build: Path) -> None:
    require_verdicts(build, 2, kept=[1, 3], broken=[2, 17])


@exercise("2.4", "stage2", CHECKER)
def sigwait(build: Path) -> None:
    for stop in (signal.SIGINT, signal.SIGTERM):
        with Server(build, 2) as server:
            require(status(server.get("/")) == 200, "GET / is not answered.")
            server.send(stop)
            ended = server.exit_status()
            require(ended == 0, f"{stop.name} to an idle server: the exit status is {ended}, not 0.")
    with Server(build, 2, "--sleep-ms", "4000") as server:
        slow = server.ask("/sleep")
        eventually(lambda: server.has_read(slow))
        server.send(signal.SIGTERM)
        require(status(read(slow)) == 200, "SIGTERM cuts off a request that takes 4 s.")
        require(server.exit_status() == 0, "After a /sleep of 4 s it does not exit with 0.")
    require_verdicts(build, 2, kept=[2, 4])


@exercise("3.2", "stage3", EXPLORE)
def thread_names(build: Path) -> None:
    names = {f"worker {id}" for id in range(4)}
    with Server(build, 3, "--workers", "4") as server:
        # A thread may get to its name only after main() has printed "Listening".
        named = eventually(lambda: names <= set(server.threads()))
        require(named, f"The threads are named {', '.join(sorted(server.threads()))}.")
    require_every_order(build, 3, "jobs", "queue")


@exercise("3.3", "stage3", CHECKER, EXPLORE)
def failed_job(build: Path) -> None:
    require_verdicts(build, 3, kept=[13])
    with Server(build, 3, "--workers", "1", "--sleep-ms", "1500") as server:
        rude = server.ask("/sleep")
        eventually(lambda: server.has_read(rude))
        reset(rude)
        require(status(server.get("/")) == 200, "After a client's reset nobody is answered.")
        require(server.stop_and_read_stderr() != "", "A job fails, and stderr does not say so.")
    require_every_order(build, 3, "jobs", "queue", "throws")


@exercise("3.4", "stage3", CHECKER, EXPLORE)
def growing_pool(build: Path) -> None:
    with Server(build, 3, "--workers", "4") as server:
        for _ in range(50):
            server.get("/")
        threads = len(server.threads())
        require(threads < 25, f"50 requests, one after the other, make {threads} threads of 5.")
        silent = [server.connect() for _ in range(100)]
        grown = eventually(lambda: len(server.threads()) > 60, limit=5)
        require(grown, f"100 clients at once make only {len(server.threads())} threads.")
        too_many = eventually(lambda: len(server.threads()) > 70, limit=1)
        require(not too_many, f"100 clients at once make {len(server.threads())} threads.")
    require_verdicts(build, 3, kept=[3, 17])
    require_every_order(build, 3, "jobs")


@exercise("4.2", "stage4")
def give_notice(build: Path) -> None:
    with Server(build, 4) as server:
        server.send(signal.SIGTERM)
        require(server.exit_status(1) == 0, "Without --notice-ms an idle server does not exit with 0, and immediately.")

    with Server(build, 4, "--notice-ms", "1500") as server:
        server.send(signal.SIGTERM)
        ended = server.exit_status(1.4)
        require(ended is None, "With --notice-ms 1500 an idle server ends before the notice is over.")
        used = server.cpu_seconds()
        require(server.exit_status(1.1) == 0, "With --notice-ms 1500 an idle server does not exit with 0 within 2.5 s.")
        require(used < 0.4, f"In 1.4 s of a notice an idle server used {used:.1f} s of CPU time. Does it wait?")

    def say(client: socket.socket) -> str:
        with contextlib.suppress(OSError):  # it has been closed
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return read(client)

    with Server(build, 4, "--notice-ms", "2000", "--sleep-ms", "4000") as server:
        running = server.ask("/sleep")
        eventually(lambda: server.has_read(running))
        server.send(signal.SIGTERM)
        start = time.monotonic()

        def wait_until(after_stop: float) -> None:
            time.sleep(max(0.0, start + after_stop - time.monotonic()))

        wait_until(0.5)
        try:
            require(status(server.get("/")) == 200, "A request 0.5 s into a notice of 2 s is not answered.")
            took = time.monotonic() - start
            require(took < 1.4, f"A request 0.5 s into a notice of 2 s is answered only {took:.1f} s after the stop.")
            wait_until(1.5)
            slow, silent = server.connect(), server.connect()
        except ConnectionRefusedError:
            raise NotYet("It refuses a client before its notice of 2 s is over.") from None
        wait_until(1.8)
        answer = say(slow)
        require(
            status(answer) == 200,
            f"A client that connects 1.5 s into a notice of 2 s, and asks 0.3 s later, gets {answer[:15]!r}.",
        )
        wait_until(2.4)
        try:
            late = status(server.get("/"))
            raise NotYet(f"A client 0.4 s after a notice of 2 s is not refused. Its answer's status is {late}.")
        except ConnectionRefusedError:
            pass
        read(silent, limit=9)
        took = time.monotonic() - start
        require(took > 1.9, f"A client that is silent from 1.5 s on is closed {took:.1f} s after the stop.")
        require(took < 3.8, f"A silent client holds its worker until {took:.1f} s after the stop, with a notice of 2 s.")
        require(status(read(running)) == 200, "A /sleep that ran at the stop, and took longer than the notice, is cut.")
        require(server.exit_status() == 0, "After a notice it answers all, but does not exit with 0.")

    with Server(build, 4, "--notice-ms", "1500", "--grace-ms", "2500", "--sleep-ms", "9000") as server:
        running = server.ask("/sleep")
        eventually(lambda: server.has_read(running))
        start = time.monotonic()
        server.send(signal.SIGTERM)
        ended = server.exit_status(3.5)
        took = time.monotonic() - start
        require(ended == 1, f"--grace-ms 2500 should count from the stop. {took:.1f} s after it: exit status {ended}.")
        require(took > 2.4, f"With --grace-ms 2500 it gives up {took:.1f} s after the stop.")

    with Server(build, 4, "--notice-ms", "9000") as server:
        server.send(signal.SIGINT)
        time.sleep(0.6)
        server.send(signal.SIGINT)
        ended = server.exit_status(3)
        require(ended == 130, f"A second Ctrl-C, 0.6 s into a notice: the exit status is {ended}, not 130.")


@exercise("4.3", "stage4")
def patience(build: Path) -> None:
    def overload(server: Server) -> list[socket.socket]:
        clients = [server.ask("/sleep") for _ in range(4)]
        clients += [server.ask("/sleep", fields="Content-Length: 20000\r\n"), server.ask("/sleep", "HEAD")]
        clients[4].sendall(b"x" * 20000)
        return clients

    def answers(clients: list[socket.socket]) -> list[str]:
        try:
            return [read_whole(client) for client in clients]
        except ConnectionResetError:
            raise NotYet("A connection was reset. Was the request read before it was answered?") from None

    with Server(build, 4, "--workers", "1", "--sleep-ms", "700") as server:
        start = time.monotonic()
        seen = answers(overload(server))
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
        first = answers(clients[:1])
        server.send(signal.SIGTERM)
        statuses = [status(answer) for answer in first + answers(clients[1:])]
        require(set(statuses) <= {200, 503}, f"6 clients on /sleep, and SIGTERM after the first: they got {statuses}.")
        require(server.exit_status() == 0, "After a SIGTERM it answers, but does not exit with 0.")


@exercise("4.4", "stage4_graceful_shutdown/primes")
def primes(build: Path) -> None:
    try:
        result = subprocess.run([build / STAGES[4] / "primes"], capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        raise NotYet("It still runs after 30 s. Does recv() wait for a Sender that nobody destroys?") from None
    require(result.returncode == 0, f"Its exit status is {result.returncode}, not 0. {result.stderr.strip()}")
    last = (result.stdout.splitlines() or [""])[-1]
    require(last == "78498 primes below 1,000,000", f"Its last line is {last!r}, not '78498 primes below 1,000,000'.")
    workers = set(re.findall(r"^Worker (\d+) got a job", result.stdout, re.M))
    require(len(workers) > 1, f"{len(workers)} of its workers got a job: not two or more.")


@exercise("4.5", "stage4")
def socket_activation(build: Path) -> None:
    answered: list[str] = []
    failed: list[str] = []

    def visit() -> None:
        while not failed and len(answered) < 1200:  # the log of so many still fits into a pipe
            try:
                answer = read_whole(connect())
                (answered if status(answer) == 200 else failed).append(repr(answer[:15]))
            except OSError as error:
                failed.append(str(error))

    def connect() -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return client

    def activated(pid: str) -> Server:
        command = f'exec env LISTEN_PID={pid} LISTEN_FDS=1 "$0" "$@" 3<&0 </dev/null'
        return Server(build, 4, through=["sh", "-c", command], stdin=listener)

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, ThreadPoolExecutor(4) as clients:
        port = listener.getsockname()[1]
        early = connect()
        with activated("1") as server:
            require(server.port != port, "It takes the socket although LISTEN_PID is another process.")
        for goal in 200, 400, 600, 800, 1200:
            with activated("$$") as server:
                require(server.port == port, f"Passed a socket on port {port}, it listens on {server.port}.")
                if goal == 200:
                    require(status(read(early)) == 200, "Who had connected before it was started was not answered.")
                    for _ in range(4):
                        clients.submit(visit)
                while len(answered) < goal and not failed:
                    time.sleep(0.002)
                server.send(signal.SIGTERM)
                require(server.exit_status() == 0, "Stopped by SIGTERM under load it does not exit with 0.")
        require(not failed, f"Restarted under load, it answered {len(answered)} requests, then: {', '.join(failed)}.")


@exercise("5.1", "tests/doctests")
def no_rest(build: Path) -> None:
    case = "stage 4 may rest when nobody is there, and not after the stop"
    command = [build / "tests" / "doctests", "--test-suite=incoming", f"--test-case={case.replace(',', '*')}"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except subprocess.TimeoutExpired:
        return  # It hangs, and Meson would end it after 20 s.
    require(result.returncode != 0, f"Still green, in the Meson test 'incoming': {case!r}.")
    require("No test ran" not in result.stderr, f"There is no test {case!r} any more.")


@exercise("5.4", "stage1")
def busy_sleep(build: Path) -> None:
    with Server(build, 1, "--sleep-ms", "1500") as server:
        start = time.monotonic()
        before = server.cpu_seconds()
        answer = server.get("/sleep")
        used = server.cpu_seconds() - before
        require(time.monotonic() - start > 1.4, "A /sleep of 1.5 s is over before.")
        require(status(answer) == 200, f"/sleep is answered with {answer[:15]!r}.")
        # Of 1.5 s, since others may want the CPU, too.
        require(used >= 0.3, f"A /sleep of 1.5 s took only {used:.2f} s of CPU time.")


@exercise("6.2", "stage4", EXPLORE)
def bounded_channel(build: Path) -> None:
    with Server(build, 4, "--workers", "1", "--sleep-ms", "2000") as server:
        clients = [server.ask("/sleep") for _ in range(10)]
        # One runs, one waits, and the main thread holds one for which there is no room.
        too_many = eventually(lambda: server.accepted() > 3, limit=1)
        require(not too_many, f"10 clients on /sleep, 1 worker: it has accepted {server.accepted()}, and not 3.")
        for client in clients:
            client.close()
    require_every_order(build, 4, "idle", "jobs", "queue", "job-sends", "senders", "ahead")


@exercise("6.3", "tests/doctests")
def kill_a_survivor(build: Path) -> None:
    tests = [build / "tests/doctests", "--test-suite=incoming", "--no-intro"]
    own = subprocess.run(tests, capture_output=True, text=True)
    require(own.returncode == 0, f"Without the mutant, the tests should pass.\n{own.stdout}{own.stderr}")
    listed = subprocess.run([*tests, "--list-test-cases"], capture_output=True, text=True).stdout
    for case in (line for line in listed.splitlines() if not line.startswith(("[doctest]", "==="))):
        alone = subprocess.run([*tests, f"--test-case={case.replace(',', '*')}"], capture_output=True, text=True)
        require(alone.returncode == 0, f"The test {case!r} fails if it runs alone.\n{alone.stdout}")
    number = re.search(r"Number (\d+) survives", (SOURCE / "notes/mutants.md").read_text())[1]
    command = [sys.executable, SOURCE / "tests/notes/mutants.py", "--build", build, "--by", "incoming", number]
    result = subprocess.run(command, capture_output=True, text=True)
    killed = re.search("^incoming: ", result.stdout, re.MULTILINE)
    require(killed is not None, f"Number {number} survives. (Is no request waiting or running?)\n{result.stdout}{result.stderr}")


def solved(build: Path, names: list[str]) -> bool:
    """Builds, checks, and says what came out."""
    # Else Meson would not know a target that is new in a meson.build.
    subprocess.run(["ninja", "-C", build, "build.ninja"], stdout=subprocess.DEVNULL)
    for name in names:
        targets = EXERCISES[name].targets
        made = subprocess.run(["ninja", "-C", build, *targets], capture_output=True, text=True)
        if "unknown target" in made.stderr:
            print(f"{name}: not yet. Meson knows no program {targets[0].rpartition('/')[2]}.")
            return False
        if made.returncode != 0:
            print(f"{name}: does not build.\n{made.stdout}{made.stderr}")
            return False
        try:
            EXERCISES[name].check(build)
        except (NotYet, OSError) as missing:
            print(f"{name}: not yet. {missing}")
            return False
        print(f"{name}: solved.")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=SOURCE / "build", help="the build folder (build)")
    parser.add_argument("exercise", nargs="+", choices=EXERCISES, metavar="EXERCISE", help=", ".join(EXERCISES))
    arguments = parser.parse_args()
    # As from a terminal: what a script starts in the background has SIGINT ignored, what nohup starts SIGHUP. What is
    # handled here is back at its default in a server.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    return 0 if solved(arguments.build.resolve(), arguments.exercise) else 1


if __name__ == "__main__":
    sys.exit(main())
