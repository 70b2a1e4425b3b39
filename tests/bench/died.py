"""What a deadly signal and the functions on the stack mean."""

import re
import signal
from pathlib import Path

from process import CannotTell, Thread, short

DEADLY = "SIGSEGV SIGABRT SIGBUS SIGFPE SIGILL SIGTRAP SIGSYS SIGPIPE"
_BUILD = "\n  meson setup build-{0} -Db_sanitize={1} && ninja -C build-{0}"
_ADDRESS = f"AddressSanitizer says which object, and who freed it:{_BUILD.format('asan', 'address,undefined')}"
_THREADS = f"ThreadSanitizer says whether another thread used it meanwhile:{_BUILD.format('tsan', 'thread')}"
_ACCESS_DENIED, _NO_ADDRESS = 2, 128  # si_code: SEGV_ACCERR; SI_KERNEL, if the CPU itself refuses the address
_HEAP = ("__libc_message", "malloc_printerr", "free", "malloc", "calloc", "realloc", "operator delete", "operator new")


def _of_abort(is_there) -> tuple[str, list[str]]:
    if is_there("__cxa_call_terminate", "__gxx_personality_v0", "__clang_call_terminate"):
        return "An exception left a function that is noexcept, or a destructor.", []
    if is_there("std::terminate", "__cxxabiv1::__terminate"):
        if is_there("std::thread::~thread", "std::thread::operator="):
            return "A std::thread was destroyed, or assigned to, while it was joinable.", []
        if is_there("__cxa_throw"):
            return "An exception was thrown here, and nothing in this thread catches it.", []
        if is_there("__cxa_rethrow"):
            return "`throw;` ran where no exception was being handled, or nothing catches what it rethrows.", []
        if is_there("__cxa_pure_virtual"):
            return "A pure virtual function was called: its object does not exist yet, or no longer does.", [_ADDRESS]
        return "std::terminate() was called.", []
    if is_there("__assert_fail", "std::__glibcxx_assert_fail"):
        return "An assertion failed; the program has printed which.", []
    if is_there(*_HEAP, "__stack_chk_fail", "__fortify_fail"):
        return "Memory was freed twice, or written past its end, here or earlier.", [_ADDRESS]
    if is_there("??"):  # the standard library, without its symbols
        return "abort() was called, most likely because nothing catches an exception: its what() is printed above.", []
    return "abort() was called.", []


def _plain(function: str) -> str:
    """std::thread::operator=(std::thread&&) -> std::thread::operator=."""
    return re.sub(r"^__(GI_+)?(libc_)?(?=free|malloc|calloc|realloc)|[(<@].*", "", function).removeprefix("__GI_")


def _of_memory(died: dict, depth: int) -> tuple[str, list[str]]:
    address, code = died["address"], died["code"]
    if abs(address - died["stack"]) < 1 << 20 and code != _NO_ADDRESS:
        endless = "these functions call each other without end"
        return f"The stack is full: {endless if depth > 98 else 'a local variable is too large for it'}.", []
    if code == _NO_ADDRESS:
        return "It followed a pointer that holds no valid address: never set, or overwritten.", [_ADDRESS, _THREADS]
    if code == _ACCESS_DENIED:
        return f"It wrote to memory that may only be read, or the like, at address 0x{address:x}.", [_ADDRESS]
    which = "a null pointer was followed" if address < 4096 else f"address 0x{address:x}"
    return f"It used memory that does not exist: {which}.", [_ADDRESS, _THREADS]


def cause(died: dict, frames: list[dict]) -> tuple[str, list[str]]:
    """What happened, and who would say more."""
    number, called = died["signal"], {_plain(frame["function"]) for frame in frames if not frame["own"]}
    if number == signal.SIGABRT:
        return _of_abort(lambda *functions: not called.isdisjoint(functions))
    if number in (signal.SIGSEGV, signal.SIGBUS):
        return _of_memory(died, len(frames))
    known = {
        signal.SIGPIPE: "It wrote to a client or a pipe that has gone. Ignore SIGPIPE, or send() with MSG_NOSIGNAL.",
        signal.SIGFPE: "An integer was divided by 0, or the result is too large.",
        signal.SIGILL: "It ran into an illegal instruction: did a function end without a return?",
    }
    return known.get(number, ""), []


def tell(seen: dict) -> None:
    """Prints how it died, by what inside_gdb.py has found."""
    died = seen["died"]
    if not seen["threads"]:
        by = died["exit_signal"]
        if not by and died["exit"] < 0:
            raise CannotTell("It cannot be started.")
        how = f"was killed by {signal.Signals(by).name}" if by else f"ended by itself, with exit status {died['exit']}"
        print(f"It {how}.")
        return
    number, one = next((i, one) for i, one in enumerate(seen["threads"], 1) if one["tid"] == died["thread"])
    thread = Thread(one["tid"], "main" if number == 1 else f"thread {number}", frames=one["frames"])
    name = signal.Signals(died["signal"]).name if died["signal"] else "a signal"
    own = [frame for frame in thread.frames if frame["own"]]
    print(f"It died of {name}, in {thread.name}, here:" if own else f"It died of {name}. (Was it built with -g?)")
    for frame in (own or thread.frames)[:6]:
        place = f"{Path(frame['file']).name}:{frame['line']}  " if frame["file"] else ""
        print(f"  {place}{short(frame['function'])}")
    what, advice = cause(died, thread.frames)
    alone = len(seen["threads"]) == 1
    print("\n".join([what, *(line for line in advice if not (alone and line is _THREADS))]))
