"""A process, as /proc shows it: its threads, what each waits in, its memory and its connections."""

import contextlib
import os
import platform
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path


class CannotTell(Exception):
    """What is missing, in words for the student."""


# asm/unistd.h: the system calls in which a thread may wait.
_X86_64 = (
    "0 read, 1 write, 7 poll, 23 select, 34 pause, 35 nanosleep, 42 connect, 43 accept, 44 sendto, 45 recvfrom, "
    "46 sendmsg, 47 recvmsg, 61 wait4, 72 fcntl, 73 flock, 128 rt_sigtimedwait, 202 futex, 219 restart_syscall, "
    "230 clock_nanosleep, 232 epoll_wait, 247 waitid, 270 pselect6, 271 ppoll, 281 epoll_pwait, 288 accept4"
)
_AARCH64 = (
    "22 epoll_pwait, 25 fcntl, 32 flock, 63 read, 64 write, 72 pselect6, 73 ppoll, 95 waitid, 98 futex, "
    "101 nanosleep, 115 clock_nanosleep, 128 restart_syscall, 137 rt_sigtimedwait, 202 accept, 203 connect, "
    "206 sendto, 207 recvfrom, 211 sendmsg, 212 recvmsg, 242 accept4, 260 wait4"
)
_TABLE = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(platform.machine(), "")
CALLS = {int(number): name for number, name in (one.split() for one in _TABLE.split(", ") if one)}

_ASK_INSTEAD = {
    "python": "pip install py-spy, and then: py-spy dump --pid {}",
    "node": "kill -USR1 {} opens its debugger; then: node inspect -p {}",
    "java": "jstack {} prints each thread, and a deadlock.",
}


@dataclass
class Thread:
    """One thread. What gdb has seen of it is added later."""

    tid: int
    name: str
    call: str = ""  # what it waits in: "futex"; "" if that cannot be read
    arguments: list[int] = field(default_factory=list)
    runs: bool = False
    frames: list[dict] = field(default_factory=list)  # from the innermost on
    # What it has in hand, by address: size, type, path, and the type and address of what it is a part of.
    objects: dict[int, list] = field(default_factory=dict)
    receivers: list[list] = field(default_factory=list)  # the `this` of the standard library's frames

    def own(self) -> list[dict]:
        """The frames of the reader's code, from the innermost on."""
        return [frame for frame in self.frames if frame["own"]]

    def path(self) -> list[str]:
        """The lines of the reader's code that it stands in, from the outermost on; else where the library is."""
        own = [f"{Path(frame['file']).name}:{frame['line']} {short(frame['function'])}" for frame in self.own()]
        return own[::-1] or [short(frame["function"]) for frame in self.frames[:1]]

    def is_in(self, *functions: str) -> bool:
        return any(frame["function"].split("(")[0].endswith(functions) for frame in self.frames[:12])

    def has(self, address: int) -> bool:
        """Whether one of its frames leads to the object there."""
        return any(start <= address < start + what[0] for start, what in self.objects.items())


def short(function: str) -> str:
    """std::vector<int>::size(int) const -> vector::size."""
    name = function.replace("(anonymous namespace)::", "")
    while (fewer := re.sub(r"<[^<>]*>", "", name)) != name:
        name = fewer
    name = re.sub(r"\(.*", "", name)
    call = "()" if name.endswith("::operator") else ""
    return "a lambda" if name in ("operator", "") else "::".join(name.split("::")[-2:]) + call


def read(path: str) -> str:
    """"" if it cannot be read."""
    with contextlib.suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""


class Process:
    def __init__(self, pid: int):
        if not Path(f"/proc/{pid}").exists():
            raise CannotTell(f"There is no process {pid}. Has it ended?")
        status = read(f"/proc/{pid}/status")
        pid = self.pid = int(re.search(r"Tgid:\s+(\d+)", status)[1])  # the number may have been a thread's
        self.stopped = re.search(r"State:\s+T", status) is not None
        self.name = read(f"/proc/{pid}/comm").strip()
        before = self._times()
        if not before:
            raise CannotTell(f"Process {pid} has ended; its parent has not yet collected its exit status.")
        self.threads = {tid: self._thread(tid) for tid in sorted(before)}
        time.sleep(0.05)
        for tid, used in self._times().items():
            if tid in self.threads and used > before.get(tid, used) + 1:
                self.threads[tid].runs = True

    def _times(self) -> dict[int, int]:
        """The CPU time that each thread has used, in ticks. One that has ended is no thread any more."""
        used = {}
        for task in Path(f"/proc/{self.pid}/task").glob("*"):
            values = read(f"{task}/stat").rpartition(")")[2].split()
            if values and values[0] not in "ZX":
                used[int(task.name)] = int(values[11]) + int(values[12])
        return used

    def _thread(self, tid: int) -> Thread:
        folder = f"/proc/{self.pid}/task/{tid}"
        thread = Thread(tid, read(f"{folder}/comm").strip())
        number, *rest = read(f"{folder}/syscall").split() or [""]
        thread.runs = number == "running"
        if number.isdigit():
            thread.call = CALLS.get(int(number), f"system call {number}")
            thread.arguments = [int(value, 16) for value in rest[:6]]
        return thread

    def memory(self, address: int, layout: str) -> tuple:
        """Values that lie there; none if it cannot be read."""
        with contextlib.suppress(OSError, ValueError, OverflowError, struct.error):
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
                memory.seek(address)
                return struct.unpack(layout, memory.read(struct.calcsize(layout)))
        return ()

    def number(self, address: int) -> int:
        """The int that lies there; 0 if it cannot be read."""
        return next(iter(self.memory(address, "i")), 0)

    def awaited(self, fd: int, reads: bool) -> str:
        """What has to happen to that descriptor: "for a client on port 7878"."""
        try:
            target = os.readlink(f"/proc/{self.pid}/fd/{fd}")
        except OSError:
            return f"for descriptor {fd}"
        if not (inode := re.fullmatch(r"socket:\[(\d+)\]", target)):
            return "for bytes in a pipe" if target.startswith("pipe:") and reads else f"for {target}"
        tables = [read(f"/proc/{self.pid}/net/{kind}") for kind in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table.splitlines()[1:]]
        row = next((row for row in rows if row[9] == inode[1]), None)
        if row is None:
            return "for a socket"
        if row[3] == "0A":  # LISTEN
            return f"for a client on port {_port(row[1])}"
        other = next((r[9] for r in rows if r[1] == row[2] and r[2] == row[1]), "0")
        gone = ", which has closed its side," if row[3] == "08" else ""  # CLOSE_WAIT
        client = "the client" if any(r[3] == "0A" and _port(r[1]) == _port(row[1]) for r in rows) else "the other side"
        return f"for {client} at {_address(row[2])}{_owner(other)}{gone} to {'send' if reads else 'read'}"


def _address(text: str) -> str:
    """0100007F:1EC6 -> 127.0.0.1:7878."""
    words = [struct.pack("=I", int(word, 16)) for word in re.findall("[0-9A-F]{8}", text.partition(":")[0])]
    if len(words) == 1 or words[:3] == [bytes(4), bytes(4), b"\0\0\xff\xff"]:  # of IPv4, also in a socket of IPv6
        return f"{socket.inet_ntoa(words[-1])}:{_port(text)}"
    return f"[{socket.inet_ntop(socket.AF_INET6, b''.join(words))}]:{_port(text)}"


def _port(text: str) -> int:
    return int(text.rpartition(":")[2], 16)


def _owner(inode: str) -> str:
    """Who has this socket, if we may know: " (curl, process 77)"."""
    for link in Path("/proc").glob("[0-9]*/fd/*") if inode != "0" else ():
        with contextlib.suppress(OSError):
            if os.readlink(link) == f"socket:[{inode}]":
                return f" ({read(f'/proc/{link.parts[2]}/comm').strip()}, process {link.parts[2]})"
    return ""


def language(pid: int) -> str:
    """What to ask instead, of a program that is not C or C++; "" if it may be."""
    with contextlib.suppress(OSError):
        program = os.readlink(f"/proc/{pid}/exe")
        for name, advice in _ASK_INSTEAD.items():
            if Path(program).name.startswith(name):
                return f"This is {name}: {advice.format(pid)}"
        if b"\xff Go buildinf:" in Path(program).read_bytes():
            return f"This is Go: kill -QUIT {pid} makes it print every goroutine, and ends it."
    return ""
