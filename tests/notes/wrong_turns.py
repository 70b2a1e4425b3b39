"""The wrong turns: what is wrong with each, and what the checker must say of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WrongTurn:
    name: str  # of its patch in notes/wrong_turns
    fault: str
    # Promises that it breaks, and what the evidence says then; "..." stands for anything. The most telling one first.
    symptoms: dict[tuple[int, ...], str]
    # Promises that it breaks now and then. 9 is one if the main thread has to be faster than the grace period.
    by_luck: tuple[int, ...] = ()
    explored: tuple[str, str] = ("", "")  # a scenario of explore --server, and the kind of failure in it

    def symptom(self, promise: int) -> str | None:
        return next((evidence for promises, evidence in self.symptoms.items() if promise in promises), None)


WRONG_TURNS = [
    WrongTurn(
        "no_join",
        "the threads are not joined",
        {
            (4,): "0 of 4 answered, ended by SIGABRT (...terminat",
            (5, 6, 8, 10, 11, 12, 14, 16): "SIGABRT",
            (7,): "",
            (15,): "ended by SIG",
        },
        by_luck=(9,),
        explored=("one", "terminate"),
    ),
    WrongTurn(
        "detach",
        "the threads are detached instead of joined",
        {(4, 5, 12): "0 of ... answered, exit 0", (7,): "", (10, 16): "exit 0", (15,): "cut off, exit 0"},
        by_luck=(6, 9, 14),
        explored=("one", "not joined"),
    ),
    WrongTurn(
        "join_before_close",
        "the workers are joined before the channel is closed",
        {
            (11,): "on an idle server, start 1: still running",
            (4,): "4 of 4 answered, still running",
            (5,): "10 of 10 answered, still running",
            (6,): "50 of 50 answered, still running",
            (7, 8, 10, 12, 14, 16): "still running",
            (15,): "SIGTERM does not end it: still running",
        },
        explored=("one", "exit status"),
    ),
    WrongTurn(
        "end_taken_for_a_job",
        "a worker takes the end of the channel for a job",
        {
            (11,): "ended by SIGABRT (...terminat",
            (4, 5, 6, 8, 10, 12, 14, 16): "SIGABRT",
            (7,): "",
            (15,): "ended by SIG",
        },
        explored=("one", "terminate"),
    ),
    WrongTurn(
        "lock_held",
        "a lock is held while the job runs",
        {(2,): "a fast request waited for an earlier slow one"},
        explored=("fast", "too slow"),
    ),
    WrongTurn(
        "increment_accepts",
        "++ accepts the next connection",
        {(12,): "the port is open after 2 connections"},
        explored=("take", "never ends"),
    ),
    WrongTurn(
        "flag_before_accept",
        "a flag is checked before the wait for a client",
        {
            (11,): "on an idle server, start ...: still running",
            (4,): "4 of 4 answered, still running",
            (5,): "10 of 10 answered, still running",
            (8,): "still running",
            (10,): "3 s after a first Ctrl-C its port is still open",
            (15,): "SIGTERM does not end it: still running",
        },
        explored=("one", "exit status"),
    ),
    WrongTurn(
        "exit_in_handler",
        "the handler itself ends the process, with status 0",
        {(4, 5, 6, 14): "0 of ... answered, exit 0", (7,): "", (9, 10, 16): "exit 0", (15,): "cut off, exit 0"},
        explored=("sleep", "request lost"),
    ),
    WrongTurn(
        "listener_closed_first",
        "the listener is closed before the accept queue is empty",
        {(6,): "of 50 answered, exit 0", (14,): "0 of 5 answered, exit 0", (16,): "lost of ...; exit 0"},
        explored=("one", "request lost"),
    ),
    WrongTurn(
        "no_catch",
        "nobody catches what a job throws",
        {(13,): "RST: 0 of 4 others answered, ended by SIGABRT (...terminat"},
        explored=("rude", "terminate"),
    ),
    WrongTurn(
        "catch_around_the_loop",
        "the exception is caught around the loop, not around the job",
        {(13,): "RST: 0 of 4 others answered"},
        explored=("rude", "request lost"),
    ),
    WrongTurn(
        "closed_without_mutex",
        "the closed flag is set without the mutex",
        {},
        by_luck=(4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16),
        explored=("one", "data race"),
    ),
    WrongTurn(
        "sigpipe",
        "SIGPIPE does what it does by default",
        {(13,): "FIN, then RST: 0 of 4 others answered, ended by SIGPIPE"},
        explored=("rude", "request lost"),
    ),
    WrongTurn(
        "no_last_call",
        "the workers do not hear of the stop",
        {(8,): "still running 4", (12,): "with a silent client: ... still running", (14,): "still running"},
        explored=("silent", "too slow"),
    ),
    WrongTurn(
        "busy_without_descriptors",
        "without descriptors, accept() is called again immediately",
        {(14,): "spins while out of descriptors"},
        explored=("full", "never ends"),
    ),
]
