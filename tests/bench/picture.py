"""Who waits for what in a process, who could end that, and who never can go on."""

import ctypes
import re
import textwrap
from dataclasses import dataclass, field

from process import Process, Thread, read, short

_WRITES = {"write", "sendto", "sendmsg"}
_ON_DESCRIPTOR = _WRITES | {"read", "recvfrom", "recvmsg", "accept", "accept4"}  # their first argument
_LOCKING = ("pthread_mutex_lock", "pthread_mutex_timedlock", "pthread_mutex_cond_lock")
_SHARING = ("pthread_rwlock_rdlock", "pthread_rwlock_wrlock")
_NOTIFIED = ("pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait")
# What a thread waits for, by the end of the object's type, and what another does to end that.
_WAKERS = {
    "condition_variable": ("waits for a notification of the condition variable", "notify it"),
    "condition_variable_any": ("waits for a notification of the condition variable", "notify it"),
    "semaphore": ("waits for the semaphore", "release it"),
    "latch": ("waits for the latch", "count it down"),
    "barrier": ("waits at the barrier", "arrive there"),
    "futex_unsigned": ("waits for the result of", "set it"),
}
_PRIVATE = 128  # FUTEX_PRIVATE_FLAG: not set where it is the kernel that wakes, at the end of a thread
# glibc's layout: the mutex's owner is its third int, the writer of a read-write lock its seventh.
_OWNER, _WRITER = 8, 24
_WIDE, _PLACE = 80, 56


@dataclass
class Wait:
    """What keeps a thread, and what could end that."""

    text: str
    by: set[int] = field(default_factory=set)  # the threads that could end it
    outside: bool = False  # or a client could, or the time, or something that cannot be known
    what: tuple = ()  # the same for all that wait for the same
    ends: str = ""  # what another thread would have to do, if any thread that has the object may: "notify it"
    owner: tuple[str, int] = ("", 0)  # the object that it is a part of: type and address
    timed: bool = False


class Picture:
    def __init__(self, process: Process, seen: dict):
        self.process = process
        self.threads = process.threads
        self.cut = seen.get("cut", False)
        self.values = {(kind, address): values for kind, address, values in seen.get("owners", [])}
        for one in seen.get("threads", []):
            if thread := self.threads.get(one["tid"]):
                thread.frames, thread.receivers = one["frames"], one["receivers"]
                thread.objects = {int(start): what for start, what in one["objects"].items()}
        self.labels = self._labels()
        self.waits = {tid: self._wait(thread) for tid, thread in self.threads.items()}
        self._tell_apart()
        self.stuck = self._stuck()

    def _tell_apart(self) -> None:
        """Two objects may have the same name, and are not to be taken for one."""
        objects: dict[str, dict[tuple, None]] = {}
        for wait in self.waits.values():
            objects.setdefault(wait.text, {})[wait.what] = None
        for wait in self.waits.values():
            if wait.owner[1] and len(same := [*objects[wait.text]]) > 1:
                wait.text += f" (number {same.index(wait.what) + 1} of that name)"

    def knows_lines(self) -> bool:
        return any(thread.own() for thread in self.threads.values())

    def _labels(self) -> dict[int, str]:
        """main, and the names of the others if those tell them apart."""
        names = [thread.name for thread in self.threads.values()]
        labels = {}
        for number, (tid, thread) in enumerate(self.threads.items(), 1):
            named = names.count(thread.name) == 1 and thread.name != self.process.name
            labels[tid] = "main" if tid == self.process.pid else thread.name if named else f"thread {number}"
        return labels

    # --- what one thread waits for ---

    def _wait(self, thread: Thread) -> Wait:
        arguments, call = thread.arguments, self._call(thread)
        if thread.runs:
            return Wait("runs: it does not wait", outside=True)
        if call == "futex":
            return self._futex(thread, arguments[0], timed=arguments[3] != 0)
        if call in _ON_DESCRIPTOR:
            return Wait(f"waits {self.process.awaited(arguments[0], call not in _WRITES)}", outside=True)
        if call in ("poll", "ppoll"):
            return Wait(self._poll(arguments[0], arguments[1], arguments[2] if call == "poll" else -1), outside=True)
        if "nanosleep" in call:
            return Wait("sleeps", outside=True)
        return Wait(f"waits in {call}()" if call else "waits, but what for cannot be read", outside=True)

    def _call(self, thread: Thread) -> str:
        """A call that goes on after the process was stopped has another number, but the same arguments."""
        if thread.call != "restart_syscall" or not thread.frames:
            return thread.call
        return next((call for call in ("futex", "nanosleep", "poll") if call in thread.frames[0]["function"]), "")

    def _poll(self, where: int, count: int, limit: int) -> str:
        values = self.process.memory(where, "ihh" * min(count, 8))
        awaited = [self.process.awaited(fd, bool(events & 1)) for fd, events in zip(values[::3], values[1::3])]
        milliseconds = ctypes.c_int(limit & 0xFFFFFFFF).value
        if 0 <= milliseconds < 1e8:  # a longer time is forever
            awaited.append(f"for {milliseconds / 1000:g} s to pass")
        return "waits " + (", or ".join(dict.fromkeys(awaited)) or "in poll()")

    def _object(self, thread: Thread, where: int) -> tuple[int, str, str, tuple[str, int]]:
        """Of the object that it waits on: where it begins, its type and name, and what it is a part of."""
        frames = [thread.objects, *(other.objects for other in self.threads.values() if other is not thread)]
        found = [(start, what) for one in frames for start, what in one.items() if start <= where < start + what[0]]
        if found:
            start, (_, kind, name, *owner) = min(found, key=lambda one: not one[1][2])  # the first that has a name
            return start, kind, name.removeprefix("this."), (owner[0], owner[1])
        for start, size, kind in reversed(thread.receivers):
            if start <= where < start + size:
                return start, kind, "", ("", 0)
        return where, "", "", ("", 0)

    def _having(self, thread: Thread, where: int) -> set[int]:
        """The other threads whose frames lead to it."""
        return {tid for tid, other in self.threads.items() if other is not thread and other.has(where)}

    def _futex(self, thread: Thread, where: int, timed: bool) -> Wait:
        value = self.process.number(where)
        if value in self.threads and not thread.arguments[1] & _PRIVATE:
            return Wait(f"waits for {self.labels[value]} to end", {value}, timed, ("end", value))
        start, kind, name, owner = self._object(thread, where)
        called = f" {name}" if name and name != "this" else ""
        called += f" (of {short(owner[0])})" if called and owner[0] and "." not in name else ""
        kind = re.sub("<.*", "", kind)
        if "mutex" in kind or (not kind and thread.is_in(*_LOCKING)):
            return self._lock(thread, start, "shared" in kind, called, timed)
        if not kind and thread.is_in(*_SHARING):  # where that begins, is not known
            return Wait("waits for a read-write lock", outside=True)
        unknown = "waits for a change of" if called else "waits to be woken"
        unknown = "waits for a notification" if thread.is_in(*_NOTIFIED) else unknown
        text, ends = next((how for end, how in _WAKERS.items() if kind.endswith(end)), (unknown, "wake it"))
        text = f"{text}{called}{', or for its time to run out' if timed else ''}"
        by = self._having(thread, where)
        # Where nobody is seen to have it, somebody may all the same: the optimizer keeps no more than it needs.
        return Wait(text, by, timed or not by or self.cut, ("wake", start), ends, owner, timed)

    def _lock(self, thread: Thread, start: int, shared: bool, called: str, timed: bool) -> Wait:
        text, what = f"waits for the mutex{called}", ("lock", start)
        holder = self.process.number(start + (_WRITER if shared else _OWNER))
        if holder == thread.tid:
            return Wait(f"{text}, which it holds itself", {holder}, timed, what)
        if holder in self.threads:
            return Wait(f"{text}, which {self.labels[holder]} holds", {holder}, timed, what)
        if holder and not read(f"/proc/{holder}/comm"):
            return Wait(f"{text}, which thread {holder} held when it ended", set(), timed, what)
        if holder:  # either it lies in shared memory, or it was copied
            shares = not thread.arguments[1] & _PRIVATE
            held = "holds" if shares else "held at the fork()"
            return Wait(f"{text}, which thread {holder} of another process {held}", set(), timed or shares, what)
        if shared:
            readers = self._having(thread, start)
            return Wait(f"{text}, which a reader holds", readers, timed or not readers, what, "release it")
        return Wait(text, set(), True, what)

    # --- who can go on ---

    def _stuck(self) -> set[int]:
        """What is left when all have been taken out that somebody who can go on might wake. Where only those that wait
        are seen to have the object, others may have it: in a register, or behind a pointer that was not followed."""
        stuck = {tid for tid, wait in self.waits.items() if not wait.outside and (not wait.ends or self._others(wait))}
        while freed := {tid for tid in stuck if self.waits[tid].by - stuck}:
            stuck -= freed
        return stuck

    def _others(self, wait: Wait) -> set[int]:
        """Who has the object, and does not wait for it too."""
        return {tid for tid in wait.by if self.waits[tid].what != wait.what}

    # --- in words ---

    def rows(self) -> list[str]:
        """Threads that stand in the same line, and wait for the same, are one row."""
        groups: dict[tuple[str, str], list[str]] = {}
        for tid, thread in self.threads.items():
            groups.setdefault((_line(thread.path() or [""]), self.waits[tid].text), []).append(self.labels[tid])
        rows = [
            (_listed(labels), place, _agreeing(labels, text))
            for (place, text), labels in groups.items()
        ]
        width = min(18, max(len(name) for name, _, _ in rows))
        lines: list[str] = []
        for name, place, text in rows:
            first, following = f"  {name:{width}}  ", " " * (width + 4)
            lines += textwrap.wrap(text, _WIDE, initial_indent=first, subsequent_indent=following)
            lines += [f"{'':{width}}    at {place}"] if place else []
        return lines

    def story(self) -> list[str]:
        """From main on, or from the first that is stuck: why does it not go on?"""
        lines: list[str] = []
        chain: list[int] = []
        candidates = self.stuck or self.threads.keys()
        tid = self.process.pid if self.process.pid in candidates else min(candidates)
        while tid not in chain:
            chain.append(tid)
            wait = self.waits[tid]
            lines.append(f"{self.labels[tid]} {wait.text}.{self._about(wait)}")
            following = sorted(wait.by & self.stuck or wait.by, key=lambda one: one not in chain)
            if not following:
                return [*lines, *self._others_that_wait(chain), self._verdict(self._lonely(wait))]
            tid = next((one for one in following if one in chain), following[0])
        circle = [self.labels[one] for one in [*chain[chain.index(tid) :], tid]]
        return [*lines, *([f"This is a circle: {' -> '.join(circle)}."] if tid in self.stuck else []), self._verdict()]

    def _lonely(self, wait: Wait) -> bool:
        """Nobody is seen who could end it, nor does time."""
        return bool(wait.ends) and not wait.timed and not self._others(wait) and self.knows_lines()

    def _others_that_wait(self, chain: list[int]) -> list[str]:
        """Those that main does not wait for, and that wait for a lock, or for what nobody is seen to have."""
        groups: dict[str, list[int]] = {}
        for tid, wait in self.waits.items():
            if tid not in chain and (wait.what[:1] == ("lock",) or self._lonely(wait)):
                groups.setdefault(wait.text, []).append(tid)
        lines = []
        for text, group in groups.items():
            labels = [self.labels[tid] for tid in group]
            lines.append(f"{_listed(labels)} {_agreeing(labels, text)}.{self._about(self.waits[group[0]])}")
        return lines

    def _about(self, wait: Wait) -> str:
        """Who may wake it, and what is known of the object that it is a part of."""
        if not wait.ends or not self.knows_lines():
            return ""
        values = [f"{name} = {value}" for name, value in self.values.get(wait.owner, {}).items()][:4]
        shown = f" {short(wait.owner[0])} has {', '.join(values)}." if values else ""
        if others := [self.labels[tid] for tid in sorted(self._others(wait))]:
            return f"{shown} {_listed(others)} could {wait.ends}."
        return f"{shown} No other thread is seen to have it: who is left to {wait.ends}?" if not wait.timed else shown

    def _verdict(self, lonely: bool = False) -> str:
        stuck = [label for tid, label in self.labels.items() if tid in self.stuck]
        free = [label for tid, label in self.labels.items() if tid not in self.stuck]
        # Who holds a mutex, and whom a join awaits, is known. Who may notify is what the stacks show.
        guessed = any(self.waits[tid].ends for tid in self.stuck)
        seen = "As far as the stacks show, " if guessed else ""
        if not self.stuck and self.cut:
            return "There was no time to look at everything that they hold, so it is not known who could wake whom."
        if not self.stuck and lonely:
            return "No circle is seen, and no thread is seen that could end that."
        if not self.stuck:
            return "No circle: what each of them waits for may still come."
        if not free:
            return f"{seen}{'every thread' if len(self.threads) > 1 else 'main'} is stuck forever."
        if guessed:
            return f"{seen}nobody can wake {_listed(stuck)}, unless {_listed(free)} can."
        return f"{_listed(stuck)} can never go on; {_listed(free)} can."


def _line(path: list[str]) -> str:
    """Outermost and innermost; all between, if there is room."""
    shorter = [path, [path[0], "...", path[-1]], ["...", path[-1]]] if len(path) > 1 else [path]
    return next((line for line in map(" > ".join, shorter) if len(line) <= _PLACE), shorter[-1][-1])[:_PLACE]


def _agreeing(labels: list[str], text: str) -> str:
    """waits for the latch -> wait for the latch, if several do."""
    return re.sub(r"^(wait|sleep|run)s", r"\1", text) if len(labels) > 1 else text


def _listed(labels: list[str]) -> str:
    """thread 3, thread 4, thread 5 -> threads 3 to 5."""
    parts = [label.rpartition(" ") for label in labels]
    numbers = [int(number) for _, _, number in parts if number.isdigit()]
    if len(labels) > 1 and len(numbers) == len(labels) and len({name for name, _, _ in parts}) == 1:
        if len(labels) > 2 and numbers == list(range(numbers[0], numbers[0] + len(labels))):
            return f"{parts[0][0]}s {numbers[0]} to {numbers[-1]}"
        return f"{parts[0][0]}s {_and([str(number) for number in numbers])}"
    return _and(labels if len(labels) < 4 else [*labels[:2], f"{len(labels) - 2} more"])


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
