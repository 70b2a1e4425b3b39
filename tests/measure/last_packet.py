#!/usr/bin/env python3
"""The law of the last packet: whom does a stop lose while handshakes are under way?

A client that has a SYN-ACK takes itself for connected. Its last packet, the ACK with the request directly behind it,
arrives a round trip after its SYN did. If the server has closed its listening socket meanwhile, the client is lost. So
of the clients that arrive evenly, a server that waits for w after the stop loses 1 - w / round trip of those whose
handshake is under way at the stop: this measures how many it is, for our server and those of others.

A point is a server and a round trip, in a network of its own (own_network.py) with clients made by hand. In each of its
stops n clients arrive in the last round trip before the stop, the k-th at (k + u) / n of it, where u, from 0 to 1, is
new for each stop (pseudo-random, the same in each run of this program); the SYN-ACK of each has left the server before
the signal is sent. Before that, two controls: calm, the same without a stop; early, the same with the stop only after
all last packets.

Exit status: 0 if all was measured; 1 if clients were lost where nobody should be (stage 4 before its last call is over;
calm); 2 if something was left out, which the last lines name; 77 if this machine refuses the network.
"""

import argparse
import asyncio
import collections
import contextlib
import gc
import json
import math
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Optional, Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ROOT / "tests/measure/peers"
sys.path.insert(0, str(ROOT / "tests/checker"))

import late_packets  # noqa: E402
import own_network  # noqa: E402
from late_packets import FAIR, PATIENCE, SKIPPED, Fault, NotJudged  # noqa: E402
from own_network import ACK, RST, Client, Segment, Wire  # noqa: E402

PORT = 7899  # in a network of its own any is free
LISTEN = "0A"  # in /proc/net/tcp
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
ROUND_TRIPS = "1,5,20,100,300,1000,2000"  # ms
ALONE = 20.0  # ms: a point with so short a round trip is measured alone
LATE = 0.0002  # seconds: a stop in which a packet is later than this, and than a tenth of the round trip, is not fair
APART = 0.1  # ms at least from one client to the next: it takes us up to 0.08 to send the last packets
# What else could lose a client, or explain a loss away: the kernel counts it, for this network alone.
COUNTERS = ("SyncookiesSent", "ListenOverflows", "TCPReqQFullDrop", "TCPMigrateReqSuccess", "TCPSynRetrans")
WATCH = 0.0003  # seconds: so long before a packet is due we do not sleep any more
FAULT = "FAULT: "
SILENCE = 3.0  # seconds without an answer
CONTROLS = 4  # of each kind
INTERRUPTED = 130
COMPILING = 180.0  # seconds at most, for one of the servers
FEWEST_STOPS = 10  # or Student's t is more than 2 % off
MOST_CLIENTS = 50_000  # of a point: each has a port of its own
TRIES = 50  # a stop is repeated until it is fair, whatever became of its clients

# Stage 4, but it closes after a time that is given: what it is told by WAIT_US, instead of looking who is still there.
WINDOW = """  if (wait_readable(listener_.fd(), Clock::now() + handshake_pause)) return true;
  return is_handshake_under_way() && Clock::now() < grace_.last_call();
"""
FIXED_WAIT = """  static const auto end = Clock::now() + std::chrono::microseconds(std::atol(std::getenv("WAIT_US")));
  return wait_readable(listener_.fd(), end) || Clock::now() < end;
"""
FIXED_WAITS = {"no window": 0.0, "waits 2 ms": 2.0, "waits 100 ms": 100.0, "waits 1 s": 1000.0}


class Subject(NamedTuple):
    """A server, and its own documented graceful stop."""

    name: str
    command: "list[str]"
    signal: int
    environment: "dict[str, str]" = {}


class Point(NamedTuple):
    subject: Subject
    round_trip: float  # ms
    stops: int
    clients: int
    real_time: bool


class Visitor(Client):
    """Notes whether a reset was the answer to its last packet (then it has no ACK, RFC 9293 §3.5.2: nobody listened
    any more), or ended a connection that there was: one in the accept queue, mostly."""

    nobody_listened = False

    def receive(self, segment: Segment) -> None:
        if segment.flags & RST and not self.was_reset:
            self.nobody_listened = not segment.flags & ACK
        super().receive(segment)

    def acknowledge(self) -> None:
        if not self.is_over.done() and self.wire.socket.fileno() != -1:  # closed, if we were interrupted
            super().acknowledge()

    def fate(self) -> str:
        if self.was_reset and self.was_let_in:
            return "no listener" if self.nobody_listened else "reset"
        return late_packets.fate(self)


class Server:
    """A process, and those it starts: they are a group."""

    def __init__(self, subject: Subject):
        self.subject = subject
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            subject.command,
            cwd=ROOT,
            env={**os.environ, **subject.environment},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=late_packets.ends_with(os.getpid()),
        )

    async def answers(self, wire: Wire) -> None:
        """Returns once it has answered a client, and sleeps: or the set-up is at fault."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        client = None
        while self.process.poll() is None and loop.time() < end:
            if client is None and late_packets.rows(PORT, LISTEN):
                client = Visitor(wire, PORT)
                await late_packets.all_let_in([client])
                client.finish_handshake(REQUEST)
                await asyncio.wait([client.is_over], timeout=SILENCE)
            if client and client.fate() == "answered" and late_packets.states(self.process.pid) == {"S"}:
                return
            await asyncio.sleep(0.002)
        self.output.seek(0)
        words = self.output.read()[-300:].decode(errors="replace")
        raise Fault(f"it does not answer a plain request, and says {words!r}")

    async def end(self) -> str:
        """The exit status."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while self.process.poll() is None and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.002)
        return "runs on" if self.process.returncode is None else str(self.process.returncode)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.output.close()


async def until(moment: float) -> None:
    """To the microsecond, if this machine lets us."""
    loop = asyncio.get_running_loop()
    if moment - loop.time() > 2 * WATCH:
        await asyncio.sleep(moment - loop.time() - WATCH)
    while loop.time() < moment:
        pass


async def stop_once(wire: Wire, point: Point, kind: str, offset: float) -> "dict[str, Any]":
    """What became of each client, as (when its last packet was due, when it was sent, fate): ms after the stop."""
    loop = asyncio.get_running_loop()
    round_trip = point.round_trip / 1000
    server = Server(point.subject)
    frames_lost = wire.lost()
    try:
        await server.answers(wire)
        clients = [Visitor(wire, PORT, round_trip) for _ in range(point.clients)]
        due = [(k + offset) / len(clients) * round_trip for k in range(len(clients))]
        start = loop.time() + 2 * WATCH
        for client, after in zip(clients, due):
            await until(start + after)
            client.connect()
        await until(start + round_trip)
        are_let_in = all(client.was_let_in for client in clients)
        if kind == "stop":
            os.kill(server.process.pid, point.subject.signal)
        stop = loop.time()  # the signal has been sent
        for client, after in zip(clients, due):
            await until(stop + after)
            client.finish_handshake(REQUEST)
        if kind == "early":
            await until(stop + round_trip)
            os.kill(server.process.pid, point.subject.signal)
        await asyncio.wait([client.is_over for client in clients], timeout=SILENCE + round_trip)
        status = await server.end() if kind != "calm" else ""
    finally:
        server.close()
    sent = [client.last_sent_at - stop for client in clients]
    taken = [client.last_sent_at - client.connected_at for client in clients]
    late = max(*(at - after for at, after in zip(sent, due)), *(abs(time - round_trip) for time in taken))
    visits = [(1000 * after, 1000 * at, client.fate()) for after, at, client in zip(due, sent, clients)]
    fair = are_let_in and late <= max(LATE, round_trip / 10) and wire.lost() == frames_lost
    return {"kind": kind, "status": status, "fair": fair, "late": 1000 * late, "clients": visits}


def counters() -> "dict[str, int]":
    names, values = Path("/proc/net/netstat").read_text().splitlines()[:2]
    found = dict(zip(names.split(), values.split()))
    return {name: int(found.get(name, 0)) for name in COUNTERS}


async def measure(point: Point) -> "dict[str, Any]":
    """All that was tried, what was not fair as well."""
    chance = random.Random(f"{point.subject.name} {point.round_trip}")
    tried = []
    with contextlib.closing(Wire()) as wire, late_packets.reading(wire.socket, wire.receive):
        await late_packets.cable_carries(wire)
        for kind in ["calm"] * CONTROLS + ["early"] * CONTROLS + ["stop"] * point.stops:
            offset = chance.random()
            for _ in range(TRIES):
                tried.append(await stop_once(wire, point, kind, offset))
                if tried[-1]["fair"]:
                    break
            else:
                raise Fault(f"{TRIES} times in a row this machine was too busy to send packets in time")
    return {"tried": tried, "counters": counters()}


running: "set[subprocess.Popen[str]]" = set()


def in_own_process(point: Point) -> "tuple[Point, int, str]":
    """A process can enter one network only."""
    command = [sys.executable, __file__, "--point", json.dumps(point)]
    ends = late_packets.ends_with(os.getpid(), signal.SIGTERM)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=ends) as process:
        running.add(process)
        output, _ = process.communicate()
        running.discard(process)
    return point, process.returncode, output


def be_that_process(text: str) -> int:
    """Prints what it has measured, or why it has not."""
    subject, *rest = json.loads(text)
    point = Point(Subject(*subject), *rest)
    gc.disable()  # it would make our packets late
    loop = asyncio.SelectorEventLoop(late_packets.selectors.SelectSelector())
    try:
        if point.real_time:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        own_network.enter()
        measuring = loop.create_task(measure(point))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, measuring.cancel)
        print(json.dumps(loop.run_until_complete(measuring)))
        return 0
    except NotJudged as refused:
        print(refused)
        return SKIPPED
    except (Fault, PermissionError) as fault:
        print(fault)
        return 1
    except asyncio.CancelledError:
        return INTERRUPTED
    finally:
        loop.close()


def interval(shares: Sequence[float]) -> float:
    """Half of the 95 % interval of their mean, by Student's t (Cornish and Fisher's approximation)."""
    z = statistics.NormalDist().inv_cdf(0.975)
    t = z + (z**3 + z) / (4 * (len(shares) - 1))
    return t * statistics.stdev(shares) / math.sqrt(len(shares))


HEADER = (
    "server        round trip     lost (95 %)  answered  no listener  reset  ended early  silence"
    "  answered to, lost from   late  unfair  exit  calm, early"
)


class Result(NamedTuple):
    point: Point
    tried: "list[dict[str, Any]]"
    counters: "dict[str, int]"

    def fair(self, kind: str) -> "list[dict[str, Any]]":
        return [one for one in self.tried if one["fair"] and one["kind"] == kind]

    def answered(self, kind: str) -> "tuple[int, int]":
        """Of how many clients."""
        fates = [fate for one in self.fair(kind) for _, _, fate in one["clients"]]
        return fates.count("answered"), len(fates)

    def row(self) -> str:
        stops = self.fair("stop")
        visits = [visit for one in stops for visit in one["clients"]]
        fates = collections.Counter(fate for _, _, fate in visits)
        lost = [100 * statistics.mean(fate != "answered" for _, _, fate in one["clients"]) for one in stops]
        last = max((at for _, at, fate in visits if fate == "answered"), default=None)
        first = min((at for _, at, fate in visits if fate != "answered"), default=None)
        controls = ", ".join("{}/{}".format(*self.answered(kind)) for kind in ("calm", "early"))
        return (
            f"{self.point.subject.name:<13}{self.point.round_trip:>8g} ms"
            f"{statistics.mean(lost):>7.1f} % ± {interval(lost):>4.1f}"
            f"{fates['answered']:>10,}{fates['no listener']:>13,}{fates['reset']:>7,}{fates['ended early']:>13,}"
            f"{fates['silence']:>9,}{ms(last):>13}{ms(first):>9} ms{max(one['late'] for one in stops):>7.2f}"
            f"{sum(not one['fair'] for one in self.tried):>8}"
            f"{'/'.join(sorted({one['status'] for one in stops})):>6}  {controls}"
        )

    def verdicts(self) -> "Iterator[str]":
        """How many stage 4 answered, and who was lost where nobody should be."""
        name, round_trip = self.point.subject.name, self.point.round_trip
        for kind in ("calm", "early", "stop"):
            answered, clients = self.answered(kind)
            is_promised = name == "stage 4" and round_trip < 1000 * FAIR
            if answered != clients and (kind == "calm" or is_promised):
                yield f"{FAULT}{name} at {round_trip:g} ms, {kind}: {answered:,} of {clients:,} answered"
            elif kind == "stop" and name == "stage 4":
                yield f"{name} at {round_trip:g} ms: {answered:,} of {clients:,} answered"


def ms(moment: Optional[float]) -> str:
    return "-" if moment is None else f"{moment:.2f}"


def compiled(command: "list[str]", **environment: str) -> None:
    everything = {**os.environ, **environment}
    try:
        result = subprocess.run(command, cwd=ROOT, env=everything, capture_output=True, text=True, timeout=COMPILING)
    except subprocess.TimeoutExpired as error:
        raise Fault(f"{command[0]} has not ended after {COMPILING:.0f} s") from error
    except OSError as error:
        raise Fault(f"{command[0]}: {error.strerror}") from error
    if result.returncode != 0:
        raise Fault(f"{command[0]} ended with status {result.returncode}: {result.stderr.strip()}")


def fixed_wait(folder: Path, binary: Path) -> None:
    stage4 = ROOT / "stage4_graceful_shutdown"
    source = (stage4 / "acceptor.cpp").read_text()
    if source.count(WINDOW) != 1:
        raise Fault("acceptor.cpp does not wait any more as this program expects")
    changed = folder / "acceptor.cpp"
    changed.write_text("#include <cstdlib>\n" + source.replace(WINDOW, FIXED_WAIT))
    others = [file for file in (*ROOT.glob("common/*.cpp"), *stage4.glob("*.cpp")) if file.name != changed.name]
    flags = ["-O2", "-std=c++20", "-pthread", "-I", str(ROOT), "-I", str(stage4), "-o", str(binary)]
    compiled([os.environ.get("CXX", "c++"), *flags, str(changed), *map(str, others)])


def ours(name: str, stage4: str, folder: Path) -> Subject:
    options = ["--port", str(PORT), "--html", str(ROOT / "common/html")]
    if name not in FIXED_WAITS:
        return Subject(name, [stage4, *options], signal.SIGTERM)
    binary = folder / "fixed_wait"
    if not binary.exists():
        fixed_wait(folder, binary)
    return Subject(name, [str(binary), *options], signal.SIGTERM, {"WAIT_US": f"{1000 * FIXED_WAITS[name]:.0f}"})


def nginx(program: str, folder: Path) -> Subject:
    text = (PEERS / "nginx.conf").read_text().replace("/tmp/", f"{folder}/").replace("../..", str(ROOT))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(text.replace("http {\n", "http {\n" + paths))
    return Subject("nginx", [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"], signal.SIGQUIT)


def haproxy(program: str, _: Path) -> Subject:
    return Subject("HAProxy", [program, "-db", "-f", str(PEERS / "haproxy.cfg")], signal.SIGUSR1)


def go(program: str, folder: Path) -> Subject:
    binary = str(folder / "go_server")
    compiled([program, "build", "-o", binary, str(PEERS / "server.go")], GO111MODULE="off", GOCACHE=f"{folder}/cache")
    return Subject("Go", [binary, str(PORT)], signal.SIGTERM)


def node(program: str, _: Path) -> Subject:
    return Subject("Node", [program, str(PEERS / "server.js"), str(PORT)], signal.SIGTERM)


PROGRAMS = {"nginx": nginx, "HAProxy": haproxy, "Go": go, "Node": node}
VERSIONS = {"nginx": "-v", "HAProxy": "-v", "Go": "version", "Node": "--version"}
NAMES = ("stage 4", *FIXED_WAITS, *PROGRAMS)


def find(name: str) -> Optional[str]:
    return shutil.which(name.lower(), path=os.environ["PATH"] + ":/usr/sbin")


def version(name: str) -> str:
    """As it tells it: "nginx 1.22.1"."""
    said = subprocess.run([find(name) or "", VERSIONS[name]], capture_output=True, text=True)
    number = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return f"{name} {number[0] if number else 'of unknown version'}"


def set_up(names: Sequence[str], stage4: str, folder: Path, left_out: "list[str]") -> "Iterator[Subject]":
    for name in names:
        try:
            if name in PROGRAMS:
                program = find(name)
                if program is None:
                    raise Fault(f"no {name.lower()} is installed")
                yield PROGRAMS[name](program, folder)
            elif not os.access(stage4, os.X_OK):
                raise Fault(f"{stage4} is not a program: ninja -C build stage4")
            else:
                yield ours(name, stage4, folder)
        except Fault as fault:
            left_out.append(f"{name}: {fault}")


@contextlib.contextmanager
def all_ended(pool: ThreadPoolExecutor) -> "Iterator[None]":
    """Also if it is interrupted."""
    try:
        yield
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list(running):
            process.terminate()


def report(points: "Sequence[Point]", jobs: int, raw: Any, left_out: "list[str]") -> "list[str]":
    """Measures them, and prints a row for each. Returns the last lines."""
    results: "list[Result]" = []
    print(HEADER, flush=True)
    for alone in (True, False):
        chosen = [point for point in points if (point.round_trip <= ALONE) == alone]
        with ThreadPoolExecutor(1 if alone else jobs) as pool, all_ended(pool):
            for point, status, output in pool.map(in_own_process, chosen):
                name, round_trip = point.subject.name, point.round_trip
                if status == SKIPPED:
                    raise NotJudged(output.strip())
                if status != 0:
                    left_out.append(f"{name} at {round_trip:g} ms: {output.strip() or f'status {status}'}")
                    continue
                results.append(Result(point, **json.loads(output)))
                print(results[-1].row(), flush=True)
                raw.write(json.dumps({"server": name, "round_trip_ms": round_trip, **json.loads(output)}) + "\n")
    counted = [f"{name} {sum(result.counters[name] for result in results)}" for name in COUNTERS]
    lines = [line for result in results for line in result.verdicts()]
    return [*lines, f"the kernel's counters: {', '.join(counted)}", f"{len(results)} of {len(points)} points measured"]


def numbers(text: str) -> "list[float]":
    return [float(word) for word in text.split(",")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stage4 = ROOT / "build/stage4_graceful_shutdown/stage4"
    parser.add_argument("--stage4", default=str(stage4), metavar="PATH", help="the server")
    parser.add_argument("--only", default=",".join(NAMES), metavar="NAMES", help=f"of {','.join(NAMES)}")
    parser.add_argument("--round-trips", type=numbers, default=numbers(ROUND_TRIPS), metavar="MS", help=ROUND_TRIPS)
    parser.add_argument("--stops", type=int, default=40, help="for each point (40)")
    parser.add_argument("--clients", type=int, default=25, help="for each stop (25, fewer if they were too close)")
    parser.add_argument("--jobs", type=int, default=6, help=f"points at the same time, if over {ALONE:g} ms (6)")
    parser.add_argument("--real-time", action="store_true", help="before all else on a busy machine, if you are root")
    raw = argparse.FileType("w")
    parser.add_argument("--raw", type=raw, default=os.devnull, metavar="FILE", help="each client, a JSON line a point")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.only = list(dict.fromkeys(given.only.split(",")))
    given.round_trips = list(dict.fromkeys(given.round_trips))
    unknown = set(given.only) - set(NAMES)
    if unknown:
        parser.error(f"no such server: {', '.join(sorted(unknown))}")
    if not all(0 < round_trip <= 10_000 for round_trip in given.round_trips) or min(given.clients, given.jobs) < 1:
        parser.error("each number has to be positive, and a round trip at most 10 s")
    if not FEWEST_STOPS <= given.stops <= MOST_CLIENTS // given.clients:
        parser.error(f"{FEWEST_STOPS} stops at least have an interval, and a point has {MOST_CLIENTS:,} clients at most")
    return given


def most(clients: int, round_trip: float) -> int:
    """Fewer in a short round trip: we could not send their packets in time."""
    return min(clients, max(1, round(round_trip / APART)))


def interrupt(*_: Any) -> None:
    """Once, so that what was started is ended in peace: it comes to the whole group, and then from our parent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    given = arguments()
    if given.point:
        return be_that_process(given.point)
    begun = time.monotonic()
    left_out: "list[str]" = []
    with tempfile.TemporaryDirectory() as folder, given.raw as raw:
        subjects = list(set_up(given.only, os.path.abspath(given.stage4), Path(folder), left_out))
        points = [
            Point(subject, round_trip, given.stops, most(given.clients, round_trip), given.real_time)
            for round_trip in given.round_trips
            for subject in subjects
        ]
        try:
            lines = report(points, given.jobs, raw, left_out)
        except NotJudged as refused:
            print(f"not measured here: {refused}")
            return SKIPPED
    print(*lines, *(f"left out: {what}" for what in left_out), sep="\n")
    print("versions:", ", ".join(version(subject.name) for subject in subjects if subject.name in PROGRAMS) or "ours")
    print(f"{len(left_out)} left out; {time.monotonic() - begun:.0f} s")
    return 1 if any(line.startswith(FAULT) for line in lines) else 2 if left_out else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
