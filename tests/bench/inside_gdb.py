"""Runs inside gdb: prints, as one line of JSON, what each thread's stack holds. picture.py makes sense of it."""

import json
import os
import re
import time

import gdb

# What threads wait on: these are found by the walk, and not gone into.
SYNCHRONIZES = tuple(
    f"std::{inline}{name}"
    for inline in ("", "__1::")
    for name in (
        "mutex", "timed_mutex", "recursive_mutex", "shared_mutex", "shared_timed_mutex", "condition_variable",
        "counting_semaphore", "latch", "barrier", "atomic", "__atomic_base", "__atomic_futex_unsigned",
    )
) + ("pthread_",)  # fmt: skip
DEEP = 12  # members and pointers followed
MANY = 4000  # values looked at for each frame
FRAMES = 100  # of a thread
END = time.monotonic() + 1.5  # the process is stopped all the while
CUT = []  # what has not been looked at for lack of time: then others may have an object


def is_own(file):
    """Of the reader's sources: they are on this machine, and not where the system's are."""
    return bool(file) and not file.startswith("/usr/") and os.path.exists(file)


def line_of(frame):
    """Its file and line. An optimizer may give a call the line of what is inlined just before it; then it is the last
    line before it that is the function's own."""
    sal, function = frame.find_sal(), frame.function()
    file = sal.symtab.fullname() if sal.symtab is not None and sal.line > 0 else ""
    standard = (frame.name() or "std::").startswith(("std::", "__gnu")) or frame.type() != gdb.NORMAL_FRAME
    if is_own(file) or standard or function is None or not is_own(function.symtab.fullname()):
        return file, sal.line
    begin, here = int(frame.block().start), frame.pc()
    lines = [(entry.pc, entry.line) for entry in function.symtab.linetable() if begin <= entry.pc < here and entry.line]
    return function.symtab.fullname(), max(lines)[1] if lines else function.line


def place(frame):
    file, line = line_of(frame)
    return {"function": frame.name() or "??", "file": file, "line": line, "own": is_own(file)}


def symbols_of(frame):
    """What its function can name: the variables of its files, then its own, from the inside out."""
    symtab = frame.function().symtab
    yield from (symbol for block in (symtab.global_block(), symtab.static_block()) for symbol in block)
    block = frame.block()
    while block is not None:
        yield from block
        block = None if block.function is not None else block.superblock


def variables(frame):
    """Names and values; none that the optimizer has removed."""
    try:
        for symbol in symbols_of(frame):
            if symbol.is_variable or symbol.is_argument:
                try:
                    yield symbol.name, symbol.value(frame)
                except (gdb.error, RuntimeError, TypeError):
                    pass
    except RuntimeError:
        pass  # no block: without symbols


class Walk:
    """Follows a value's members, bases and pointers, to the objects that threads wait on."""

    def __init__(self):
        self.found = {}  # by address: size, type, path, type and address of what it is a part of
        self.left = MANY
        self.seen = set()

    def look(self, value, path, owner=("", 0), depth=0):
        self.left -= 1
        if self.left < 0 or time.monotonic() > END:
            CUT.append(path)
            return
        if depth > DEEP:
            return
        try:
            kind = value.type.strip_typedefs()
            if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
                self.look(value.referenced_value(), path, owner, depth)
            elif kind.code == gdb.TYPE_CODE_PTR:
                self.look_at(value, kind.target().strip_typedefs(), path, owner, depth)
            elif kind.code == gdb.TYPE_CODE_ARRAY:
                low, high = kind.range()
                for i in range(low, min(high, low + 31) + 1):
                    self.look(value[i], f"{path}[{i}]", owner, depth + 1)
            elif kind.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION) and not value.is_optimized_out:
                self.look_into(value, kind, path, owner, depth)
        except (gdb.error, RuntimeError, OverflowError):
            pass  # it points nowhere

    def look_at(self, pointer, target, path, owner, depth):
        if target.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_PTR) and int(pointer) > 4096:
            self.look(pointer.dereference(), path, owner, depth + 1)

    def look_into(self, value, kind, path, owner, depth):
        address = int(value.address) if value.address is not None else 0
        name = kind.unqualified().name or ""
        if address and (address, name) in self.seen:
            return
        self.seen.add((address, name))
        if address and name.startswith(SYNCHRONIZES):
            before = self.found.get(address, [0, "", ""])
            if before[0] < kind.sizeof or before[0] == kind.sizeof and not before[2]:
                self.found[address] = [kind.sizeof, name, path, *owner]
            return
        if re.match(r"std::(__1::)?(lock_guard|unique_lock|scoped_lock|shared_lock)<", name):
            path = ""  # its name is not the mutex's
        fields = [field for field in kind.fields() if hasattr(field, "bitpos")]  # no static ones
        named = {field.name for field in fields}
        if "_M_engaged" in named and not value["_M_engaged"]:
            return  # an empty std::optional
        if {"_M_start", "_M_finish"} <= named:
            return self.look_through(value, path, owner, depth)
        own = not name.startswith("std::")
        owner = (name, address) if own and address else owner
        for field in fields:
            if field.is_base_class and not address:
                continue  # gdb 13 ends by an internal error, for a value that lies in several registers
            plain = own and field.name and not field.is_base_class
            self.look(value[field], f"{path}.{field.name}" if plain else path, owner, depth + 1)

    def look_through(self, vector, path, owner, depth):
        first, last = vector["_M_start"], vector["_M_finish"]
        for i in range(min(max(0, int(last - first)), 64)):
            self.look((first + i).dereference(), f"{path}[{i}]", owner, depth + 1)


def size(container):
    """How many elements a container of libstdc++ has; None if it is none that we know."""
    kind = container.type.strip_typedefs()
    name = (kind.name or "").partition("<")[0].replace("__cxx11::", "")
    if name in ("std::queue", "std::stack", "std::priority_queue"):
        return size(container["c"])
    if name == "std::list":
        return int(container["_M_impl"]["_M_node"]["_M_size"])
    if name == "std::vector":
        return int(container["_M_impl"]["_M_finish"] - container["_M_impl"]["_M_start"])
    if name == "std::deque":
        start, finish = container["_M_impl"]["_M_start"], container["_M_impl"]["_M_finish"]
        full = int(finish["_M_node"] - start["_M_node"]) - 1
        chunk = int(start["_M_last"] - start["_M_first"])
        return full * chunk + int(finish["_M_cur"] - finish["_M_first"]) + int(start["_M_last"] - start["_M_cur"])
    return None


def shown(value):
    """closed = true, queue = 3 elements; None for what is not shown."""
    kind = value.type.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_INT, gdb.TYPE_CODE_ENUM):
        return str(value)
    if kind.code == gdb.TYPE_CODE_STRUCT and (count := size(value)) is not None:
        return f"{count} element{'s' * (count != 1)}"
    return None


def state(type_name, address):
    """Flags, numbers and sizes of an object."""
    told = {}
    try:
        value = gdb.Value(address).cast(gdb.lookup_type(type_name).pointer()).dereference()
        for field in value.type.strip_typedefs().fields():
            if (text := shown(value[field])) is not None:
                told[field.name] = text
    except (gdb.error, RuntimeError):
        pass
    return told


def frames_of(thread):
    thread.switch()
    frame = gdb.newest_frame()
    for _ in range(FRAMES):
        if frame is None:
            return
        yield frame
        try:
            frame = frame.older()
        except gdb.error:
            return


def thread_of(thread):
    places, objects, receivers = [], {}, []
    for frame in frames_of(thread):
        here = place(frame)
        walk = Walk()
        for name, value in variables(frame) if here["file"] else ():
            if here["own"]:
                walk.look(value, name)
            elif name == "this" and not value.is_optimized_out:
                target = value.type.target()
                receivers.append([int(value), target.sizeof, target.unqualified().name or ""])
        for address, what in walk.found.items():
            if not objects.get(address, ["", "", ""])[2]:
                objects[address] = what
        places.append(here)
    tid = thread.ptid[1] or thread.ptid[0]
    return {"tid": tid, "name": thread.name, "frames": places, "objects": objects, "receivers": receivers}


def number(expression, otherwise=0):
    """An integer that gdb knows."""
    try:
        return int(gdb.parse_and_eval(expression))
    except (gdb.error, RuntimeError):
        return otherwise


def main():
    here = gdb.selected_thread()
    died = {
        "thread": (here.ptid[1] or here.ptid[0]) if here else 0,
        "signal": number("$_siginfo.si_signo"),
        "code": number("$_siginfo.si_code"),
        "stack": number("(unsigned long)$sp"),
        "address": number("$_siginfo._sifields._sigfault.si_addr"),
        "exit": number("$_exitcode", -1),
        "exit_signal": number("$_exitsignal"),
    }
    threads = [thread_of(thread) for thread in sorted(gdb.selected_inferior().threads(), key=lambda one: one.num)]
    owners = {tuple(what[3:5]) for one in threads for what in one["objects"].values() if what[4]}
    values = [[kind, address, state(kind, address)] for kind, address in owners]
    print("\nWHY " + json.dumps({"died": died, "threads": threads, "owners": values, "cut": bool(CUT)}), flush=True)


main()
