"""What a deadly signal and the functions on the stack mean."""

import signal
from pathlib import Path

from process import CannotTell, Thread, short

DEADLY = "SIGSEGV SIGABRT SIGBUS SIGFPE SIGILL SIGTRAP SIGSYS SIGPIPE"
_BUILD = "\n  meson setup build-{0} -Db_sanitize={1} && ninja -C build-{0}"
_ADDRESS = f"AddressSanitizer says which object, and who freed it:{_BUILD.format('asan', 'address,undefined')}"
_THREADS = f"ThreadSanitizer says whether another thread used it meanwhile:{_BUILD.format('tsan', 'thread')}"


def _of_abort(is_there) -> tuple[str, list[str]]:
    if is_there("std::terminate", "__terminate"):
        if is_there("std::thread::~thread", "std::thread::operator="):
            return "A std::thread was destroyed, or assigned to, while it was joinable.", []
        if is_there("__cxa_throw", "__cxa_rethrow"):
            return "An exception was thrown here, and nothing in this thread catches it.", []
        if is_there("__cxa_pure_virtual"):
            return "A pure virtual function was called: the object is not yet made, or is gone.", [_ADDRESS]
        return "std::terminate() was called.", []
    if is_there("__assert_fail", "__glibcxx_assert_fail"):
        return "An assertion does not hold; the program has printed which.", []
    if is_there("free", "malloc", "__libc_message", "__stack_chk_fail", "__fortify_fail"):
        return "Memory was freed twice, or was written past its end, here or earlier.", [_ADDRESS]
    return "abort() was called.", []


def cause(number: int, address: int, called: list[str]) -> tuple[str, list[str]]:
    """What happened, and who would say more."""
    if number == signal.SIGABRT:
        return _of_abort(lambda *parts: any(part in function for function in called for part in parts))
    if number in (signal.SIGSEGV, signal.SIGBUS) and len(called) >= 99:
        return "The stack is full: these functions call each other without end.", []
    if number in (signal.SIGSEGV, signal.SIGBUS):
        which = "a null pointer was followed" if address < 4096 else f"address 0x{address:x}"
        return f"It used memory that is not there: {which}.", [_ADDRESS, _THREADS]
    known = {
        signal.SIGPIPE: "It wrote to a client that has gone. Ignore SIGPIPE, or send with MSG_NOSIGNAL.",
        signal.SIGFPE: "An integer was divided by 0, or the result is too large.",
        signal.SIGILL: "This is no instruction: did a function end without a return?",
    }
    return known.get(number, ""), []


def tell(seen: dict) -> None:
    """Prints how it died, by what inside_gdb.py has found."""
    died = seen["died"]
    if not seen["threads"]:
        by = died["exit_signal"]
        if not by and died["exit"] < 0:
            raise CannotTell("It cannot be started.")
        how = f"was ended by {signal.Signals(by).name}" if by else f"ended by itself, with exit status {died['exit']}"
        print(f"It {how}.")
        return
    one = next(one for one in seen["threads"] if one["tid"] == died["thread"])
    thread = Thread(one["tid"], one["name"] or "?", frames=one["frames"])
    name = signal.Signals(died["signal"]).name if died["signal"] else "a signal"
    own = [frame for frame in thread.frames if frame["own"]]
    print(f"It died of {name}, in thread {thread.name}, here:" if own else f"It died of {name}. (Built with -g?)")
    for frame in (own or thread.frames)[:6]:
        place = f"{Path(frame['file']).name}:{frame['line']}  " if frame["file"] else ""
        print(f"  {place}{short(frame['function'])}")
    what, advice = cause(died["signal"], died["address"], [frame["function"] for frame in thread.frames])
    alone = len(seen["threads"]) == 1
    print("\n".join([what, *(line for line in advice if not (alone and line is _THREADS))]))
