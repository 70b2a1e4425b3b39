"""A stage as a process, and clients of it: what the checks of the exercises are made of."""

import contextlib
import ctypes
import fcntl
import json
import os
import re
import resource
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Sequence

from process import CALLS, read as read_file

WHY = Path(__file__).resolve().parent / "why.py"
STAGES = {
    1: "stage1_single_thread",
    2: "stage2_thread_per_request",
    3: "stage3_pool",
    4: "stage4_graceful_shutdown",
}
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG, _PR_SET_PTRACER, _PR_SET_PTRACER_ANY = 1, 0x59616D61, ctypes.c_ulong(-1)
_PR_SET_CHILD_SUBREAPER = 36
_MOST = 1 << 25  # bytes of an answer


class NotYet(Exception):
    """What is missing, in words for the student."""


def require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise NotYet(otherwise)


@dataclass
class Tree:
    """What is judged: a tree, where it is built, and where the programs are that judge it."""

    source: Path
    build: Path
    tools: Path
    sanitizer: str = "none"  # Meson's b_sanitize
    again: bool = False  # judged already, without the sanitizer
    environment: dict[str, str] = field(default_factory=dict)  # what the sanitizer is told

    def binary(self, stage: int) -> Path:
        return self.build / STAGES[stage] / f"stage{stage}"

    def link(self, main: Path, stage: int, *parts: str) -> Path:
        """A program of ours with parts of their stage. Throws NotYet."""
        objects = [next((self.build / STAGES[stage]).rglob(f"{part}.cpp.o")) for part in parts]
        program = self.build / main.stem
        with _LINKING:  # two probes want the same
            newest = max(file.stat().st_mtime for file in [main, *objects, self.build / "common/libcommon.a"])
            if not program.exists() or program.stat().st_mtime < newest:
                self.compile(program, [main, *objects])
        return program

    def compiler(self) -> list[str]:
        """The one that Meson has chosen, and with which library."""
        commands = json.loads((self.build / "compile_commands.json").read_text())
        words = shlex.split(commands[0]["command"])
        first = next(at for at, word in enumerate(words) if word.startswith("-"))
        return words[:first] + [word for word in words if word.startswith("-stdlib=")]

    def compile(self, program: Path, parts: Sequence[str | Path]) -> Path:
        """Builds it as the tree is built, with their common/. Throws NotYet."""
        compiler = [*self.compiler(), "-std=c++20", "-O1", "-g", "-pthread"]
        sanitizer = [] if self.sanitizer == "none" else [f"-fsanitize={self.sanitizer}"]
        common = [f"-I{self.source}", self.build / "common/libcommon.a"]
        made = run([*compiler, *sanitizer, *parts, *common, "-o", program], 120)
        said = made.stderr.strip()
        require(made.returncode == 0, f"A program of the judge does not build with your code: {said[-400:]}")
        return program


_LINKING = threading.Lock()


def run(command: Sequence[str | Path], limit: float, **popen) -> subprocess.CompletedProcess:
    """Its output as text. Throws NotYet if it takes more than `limit` seconds."""
    pipes = {"capture_output": True, "text": True, "errors": "replace", "stdin": subprocess.DEVNULL}
    try:
        return subprocess.run(list(map(str, command)), timeout=limit, **pipes, **popen)
    except subprocess.TimeoutExpired:
        raise NotYet(f"{Path(command[0]).name} is still running after {limit:.0f} s.") from None


def adopt_orphans() -> None:
    """From here on, what a process of ours leaves behind is our child."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_orphans() -> None:
    """Ends what we have adopted, and what that leaves behind in turn."""
    while left := _children():
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _children() -> list[int]:
    """Those that have not ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    lists = (read_file(f"{task}/children") for task in Path("/proc/self/task").glob("*"))
    return [int(pid) for pids in lists for pid in pids.split()]


def how(status: int | None) -> str:
    """An exit status as subprocess has it: -11 is "it was killed by SIGSEGV"."""
    if status is None:
        return "it is still running"
    return f"it was killed by {signal.Signals(-status).name}" if status < 0 else f"it exited with status {status}"


def _in_child() -> None:
    """Between fork and exec: it ends with us, any debugger may look at it, and it fills no disk."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _LIBC.prctl(_PR_SET_PTRACER, _PR_SET_PTRACER_ANY)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))  # what it prints goes into a file


class Server:
    """A stage that listens on a free port; ended and reaped at the end of the block. `through` is a command that turns
    into the server: ["nohup"]. `slow` says what slow_threads.cpp delays: {"SLOW_START": "400"}, in milliseconds."""

    def __init__(self, tree: Tree, stage: int, *flags: str, through: Sequence[str] = (), slow=None, **popen):
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        slowed = {"LD_PRELOAD": tree.tools / "slow_threads.so", **slow} if slow else {}
        self.process = subprocess.Popen(
            [*through, tree.binary(stage), "--port", "0", *flags],
            stdout=self.out,
            stderr=self.err,
            env={**os.environ, **tree.environment, **slowed},
            preexec_fn=_in_child,
            **popen,
        )
        self.stops = stage == 4
        self.awaited = False  # its end, in vain
        self.has_a_watcher = tree.sanitizer == "thread"
        eventually(lambda: b"\n" in self._text(self.out) or self.process.poll() is not None)
        found = re.match(rb"Listening on http://127\.0\.0\.1:(\d+)\n", self._text(self.out))
        if not found:
            self.process.kill()
            ended, first = self.process.wait(), self._text(self.out).decode(errors="replace").partition("\n")[0]
            seen = f"its first line is {first!r}" if first else "it prints nothing within 10 s"
            seen = how(ended) if ended != -signal.SIGKILL else seen
            raise NotYet(f"Stage {stage} does not start: {seen}. {self.stderr()}".strip())
        self.port = int(found[1])

    def __enter__(self):
        return self

    def __exit__(self, _, error: BaseException | None, __) -> None:
        """What is missing is told with its cause: who waits for whom, or how the server has died meanwhile."""
        more, ended = "", self.process.poll()
        if isinstance(error, (NotYet, OSError)):
            died = [f"Meanwhile {how(ended)}.", self.stderr()] if (ended or 0) < 0 else []
            new = [said for said in died if said.removeprefix("Meanwhile ").rstrip(".") not in str(error)]
            more = self.why() if ended is None else "".join(f" {said}" for said in new)
        if ended is None and self.stops:  # a sanitizer tells at the end what has not been given back
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1 if error else 5)
        self.process.kill()
        self.process.wait()
        if more:
            raise NotYet(f"{error}{more}") from None

    def why(self) -> str:
        """Who waits for whom, if that has no end, or if the server's end was awaited in vain."""
        command = [sys.executable, "-B", WHY, "--brief", str(self.pid)]
        told = subprocess.run(command, capture_output=True, text=True).stdout
        matters = self.awaited or re.search("forever|never|nobody can wake", told)
        return "".join(f"\n    {line}" for line in told.splitlines()) if matters else ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, signal_number: int) -> None:
        self.process.send_signal(signal_number)

    def threads(self) -> list[str]:
        """The names of its threads."""
        names = [read_file(f"{task}/comm").strip() for task in Path(f"/proc/{self.pid}/task").glob("*")]
        names = [name for name in names if name]  # else it has just ended
        if self.has_a_watcher and len(names) > 1:  # ThreadSanitizer's own thread comes with the first other one
            names.remove(read_file(f"/proc/{self.pid}/comm").strip())
        return names

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").glob("*")))

    def has_read(self, client: socket.socket) -> bool:
        """Whether it has taken all that the client has sent, as the kernel says."""
        if any(fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4))):
            return False  # some of it is still on its way
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

    def memory(self) -> int:
        """In kB: what is its own, and resident."""
        return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1])

    def wakes(self) -> int:
        """How often its main thread has waited."""
        return int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())[1])

    def wanted_cpu(self) -> float:
        """Seconds for which its threads had a CPU, or waited for one."""
        lines = [read_file(str(file)).split() for file in Path(f"/proc/{self.pid}/task").glob("*/schedstat")]
        return sum(int(line[0]) + int(line[1]) for line in lines if line) / 1e9

    def listening(self) -> list[int]:
        """The flags of each descriptor of a listening socket."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
        found = []
        for link in Path(f"/proc/{self.pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                if os.readlink(link) in sockets:
                    info = Path(f"/proc/{self.pid}/fdinfo/{link.name}").read_text()
                    found.append(int(re.search(r"flags:\s+(\d+)", info)[1], 8))
        return found

    def asleep(self) -> list[str]:
        """The names of the threads that sleep for a time."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").glob("*"):
            number = read_file(f"{task}/syscall").partition(" ")[0]
            if number.isdigit() and CALLS.get(int(number), "").endswith("nanosleep"):
                found.append(read_file(f"{task}/comm").strip())
        return found

    def stdout(self) -> str:
        return self._text(self.out).decode(errors="replace")

    def stderr(self) -> str:
        return self._text(self.err).decode(errors="replace").strip()

    @staticmethod
    def _text(file) -> bytes:
        return os.pread(file.fileno(), 1 << 20, 0)

    def exit_status(self, limit: float = 5) -> int | None:
        """As subprocess has it (-2 for a death by SIGINT); None if it still runs after `limit` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(limit)
        self.awaited = True
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
    """What comes up to the end of the connection, but within `limit` seconds; less after a reset."""
    answer = bytearray()
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        _read(client, answer, limit)
    return answer.decode("latin-1")


def read_whole(client: socket.socket) -> str:
    """The same, but a reset is a ConnectionResetError."""
    answer = bytearray()
    _read(client, answer, 15)
    return answer.decode("latin-1")


def _read(client: socket.socket, answer: bytearray, limit: float) -> None:
    end = time.monotonic() + limit
    with client:
        while len(answer) < _MOST and (left := end - time.monotonic()) > 0:
            client.settimeout(left)
            if not (piece := client.recv(65536)):
                return
            answer += piece


def say(client: socket.socket) -> str:
    """Asks for the first page, on a connection that is there already; "" if it has been closed."""
    with contextlib.suppress(OSError):
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return read(client)


def status(answer: str) -> int:
    """200; 0 if there is no status line."""
    found = re.match(r"HTTP/1\.1 (\d\d\d) ", answer)
    return int(found[1]) if found else 0


def got(answer: str) -> str:
    """The status in words: "404", or "no answer"."""
    return str(status(answer) or "no answer")


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
