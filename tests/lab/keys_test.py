#!/usr/bin/env python3
"""The lab, used as a person would: by keys, in a terminal that is drawn by tmux.

What a key brings must be on the screen a tenth of a second later; here a second is allowed, since other tests may run
beside it. --lab names the program.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

sys.path.append(str(Path(__file__).resolve().parent))
from tmux import Tmux, children, eventually, is_gone  # noqa: E402


def expect(tmux: Tmux, what: str, condition: Callable[[str], object], limit: float = 1.0) -> str:
    """The screen once it is so."""
    if not eventually(lambda: condition(tmux.screen()), limit):
        raise AssertionError(f"{what}, within {limit} s, not:\n{tmux.screen()}")
    return tmux.screen()


def is_there(screen: str) -> bool:
    return "Listening on" in screen


def queue(length: int) -> Callable[[str], object]:
    return lambda screen: f"accept queue: {length} of" in screen


def frozen_server(lab: str) -> None:
    """Five clients of a server that stands still are the kernel's; Ctrl-C loses them in stage 3, not in stage 4."""
    for stage, fate, end in ("3", "reset", "ended by SIGINT"), ("4", "200 OK (in kernel at ^C)", "exit 0"):
        with Tmux(f"{lab} {stage}") as tmux:
            expect(tmux, "the server is there", is_there, 5)
            tmux.press("S", "c", "c", "c", "c", "c")
            screen = expect(tmux, "five are in the accept queue", queue(5))
            assert len(re.findall(r"get, \d\d B unread", screen)) == 5, screen
            assert screen.count("stopped") >= 5, screen
            tmux.press("C-c")
            expect(tmux, "nothing has happened yet", lambda screen: "^C at" in screen and queue(5)(screen))
            tmux.press("C")
            screen = expect(tmux, "all have their end", lambda screen: screen.count(fate) == 5 and end in screen, 3)


def fifty(lab: str) -> None:
    """Fifty at once are one line, and 1,000 more are no trouble."""
    with Tmux(f"{lab} --sleep-ms 500 2") as tmux:
        expect(tmux, "the server is there", is_there, 5)
        tmux.press("s", "b")
        expect(tmux, "50 are served", lambda screen: "2-51 slow" in screen)
        expect(tmux, "50 are answered", lambda screen: "50 200 OK" in screen, 4)
        tmux.press("4", "S", "c", *["b"] * 20)
        expect(tmux, "1,001 are in the accept queue", queue(1001), 5)
        assert "and 99" in tmux.screen(), tmux.screen()
        tmux.press("C")
        expect(tmux, "all are answered", lambda screen: screen.count("50 200 OK") >= 5, 15)


def other_sizes(lab: str) -> None:
    """Two side by side, one above the other, too small, and back."""
    with Tmux(f"{lab} 3 4", 100, 30) as tmux:
        expect(tmux, "the server is there", is_there, 5)
        tmux.press("s")
        expect(tmux, "side by side", lambda screen: re.search("1 slow .*1 slow", screen))
        tmux.resize(80, 24)
        expect(tmux, "one above the other", lambda screen: len(re.findall("^ 1 slow", screen, re.MULTILINE)) == 2)
        tmux.resize(79, 24)
        expect(tmux, "words", lambda screen: "needs 80x24, and here are 79x24" in screen and "slow" not in screen)
        tmux.resize(120, 40)
        screen = expect(tmux, "side by side again", lambda screen: re.search("1 slow .*1 slow", screen))
        assert len(screen.splitlines()) == 40, screen


def held(lab: str) -> None:
    """The picture is held while the server goes on; steps go back and on."""
    with Tmux(f"{lab} --sleep-ms 1000 4") as tmux:
        expect(tmux, "the server is there", is_there, 5)
        tmux.press("s")
        expect(tmux, "it is served", lambda screen: re.search("worker . /sleep, 0.[0-8] s left ~1", screen))
        tmux.press("Space")
        before = expect(tmux, "it is held", lambda screen: "The picture is held" in screen)
        time.sleep(1.2)
        assert tmux.screen() == before, tmux.screen()
        tmux.press(".")
        expect(tmux, "a step on", lambda screen: screen != before)
        tmux.press(",")
        expect(tmux, "a step back", lambda screen: screen == before)
        tmux.press("Space")
        expect(tmux, "now", lambda screen: "200 OK" in screen)


def menus(lab: str) -> None:
    """Help, scenes and wrong turns; an unknown key; what is kept."""
    Path(lab).with_name("stage4_with_detach").unlink(missing_ok=True)  # it is to be built
    with Tmux(f"{lab} --save {os.getcwd()}/kept --sleep-ms 500 4") as tmux:
        expect(tmux, "the server is there", is_there, 5)
        tmux.press("?")
        expect(tmux, "help", lambda screen: "Any key goes back." in screen)
        tmux.press("x")
        expect(tmux, "no help", lambda screen: "Any key goes back." not in screen)
        tmux.press("x")
        expect(tmux, "words", lambda screen: "There is no key 'x'" in screen)
        tmux.press("Up", "F3", "w", "Escape", "S", "-H 1b 5b 5b 43", "c")  # F3 of Linux' console
        screen = expect(tmux, "only SIGSTOP", lambda screen: "SIGSTOP at" in screen and "1 get" in screen)
        assert "SIGCONT" not in screen, screen
        tmux.press("a")
        tmux.press("w")
        letter = re.search("(?m)^ ([a-z])  detach", expect(tmux, "turns", lambda screen: "Which wrong turn?" in screen))
        assert letter, tmux.screen()
        tmux.press(letter[1])
        expect(tmux, "it is built", lambda screen: "Building stage 4 with detach" in screen)
        tmux.press("c")
        expect(tmux, "meanwhile all goes on", lambda screen: "200 OK" in screen)
        expect(tmux, "it is in", lambda screen: "-- stage 4 with detach, pid" in screen, 90)
        tmux.press("s")
        expect(tmux, "it serves", lambda screen: "/sleep, 0." in screen)
        tmux.press("C-c")
        expect(tmux, "it loses it", lambda screen: "closed without" in screen and "exit 0" in screen)
        tmux.press("v")
        expect(tmux, "kept", lambda screen: "Saved as" in screen)
        tmux.press("4")
        expect(tmux, "it is out", lambda screen: "-- stage4_graceful_shutdown, pid" in screen)
        tmux.press("l")
        expect(tmux, "scenes", lambda screen: "Which scene?" in screen and "  ctrl-c" in screen)
        tmux.press("a")
        expect(tmux, "200 clients", lambda screen: "200 clients, a thread each" in screen)
        expect(tmux, "200 threads", lambda screen: re.search(r"\d\d+ threads: /sleep", screen))
    film = Path("kept.cast").read_text().splitlines()
    assert film[0].startswith('{"version": 2') and len(film) >= 3, len(film)
    assert "# " in Path("kept.keys").read_text() and "w=detach s" in Path("kept.keys").read_text()
    assert "stage 4 with detach: exit 0, answered 0 of 1" in Path("kept.txt").read_text()
    assert "<title" in Path("kept.svg").read_text()


def ways_to_end(lab: str) -> None:
    """However it ends: no process is left, and the terminal is as before."""

    def by_signal(number: int) -> Callable[[Tmux, int], None]:
        return lambda tmux, pid: os.kill(pid, number)

    ways = {"q": lambda tmux, pid: tmux.press("q")}
    ways |= {number.name: by_signal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV)}
    for name, end in ways.items():
        with Tmux() as tmux:
            # A wrapper that has a child: in an orderly end that is to end as well.
            server = f"{Path(lab).parent.with_name('stage3_pool')}/stage3 --port 0"
            command = server if name == "SIGSEGV" else f"sh -c '{server}; true'"
            tmux.press("stty -a > before", "Enter", f"{lab} -- {command}", "Enter")
            expect(tmux, "the server is there", is_there, 5)
            pid = children(tmux.shell)[0]
            servers = [child for wrapper in children(pid) for child in [wrapper, *children(wrapper)]]
            assert len(servers) == (1 if name == "SIGSEGV" else 2), servers
            tmux.press("s")
            end(tmux, pid)
            assert eventually(lambda: all(map(is_gone, [pid, *servers])), 3), f"{name}: something is left"
            tmux.press("stty -a > after; cmp before after && echo as be''fore", "Enter")
            expect(tmux, f"{name}: the terminal as before", lambda screen: "as before" in screen and "OUTPUT" not in screen)
            assert tmux.cursor_is_shown(), f"{name}: the cursor is not shown"


def stopped(lab: str) -> None:
    """Somebody stops the lab, and lets it go on."""
    with Tmux() as tmux:
        tmux.press("set -m", "Enter", f"{lab} 4", "Enter")
        expect(tmux, "the server is there", is_there, 5)
        os.kill(children(tmux.shell)[0], signal.SIGSTOP)
        expect(tmux, "the shell is back", lambda screen: "Stopped" in screen, 3)
        tmux.press("fg", "Enter")
        expect(tmux, "the picture is back", lambda screen: "-- OUTPUT" in screen and "Stopped" not in screen, 3)
        tmux.press("c")
        expect(tmux, "and its keys", lambda screen: "1 get" in screen)


def poor_terminals(lab: str) -> None:
    """Too small, dumb, without colours: words, and the timeline."""
    with Tmux("bash --norc", 60, 20) as tmux:
        tmux.press(f"{lab} --script c 4", "Enter")
        expect(tmux, "words", lambda screen: "60x20. From 80x24 on it is drawn" in screen and "1 of 1" in screen, 5)
    with Tmux("bash --norc") as tmux:
        tmux.press(f"TERM=dumb {lab} --script c 4", "Enter")
        expect(tmux, "words", lambda screen: "There is no terminal to draw on" in screen and "1 of 1" in screen, 5)
    for no_colour in "", "NO_COLOR=1 ":
        with Tmux("bash --norc") as tmux:
            tmux.press(f"{no_colour}{lab} 4", "Enter")
            expect(tmux, "the server is there", is_there, 5)
            assert ("\033[1m" in tmux.screen("-e")) == (not no_colour), tmux.screen("-e")


def no_terminal(lab: str) -> None:
    """With its output in a file there is nobody to press a key for."""
    with Tmux("bash --norc") as tmux:
        tmux.press(f"{lab} 4 > file 2> words; echo status $? $(wc -c < file); head -1 words", "Enter")
        expect(tmux, "words", lambda screen: "no terminal to read keys" in screen and "status 2 0" in screen)


def quick_and_idle(lab: str) -> None:
    """From key to picture in a tenth of a second, at the median; and hardly any processor while nothing happens."""
    with Tmux(f"{lab} 4") as tmux:
        expect(tmux, "the server is there", is_there, 5)
        times = []
        for count in range(1, 8):
            start = time.monotonic()
            tmux.press("z")
            while f" {count} silent" not in tmux.screen():
                assert time.monotonic() < start + 3, tmux.screen()
            times.append(time.monotonic() - start)
        assert sorted(times)[3] < 0.1, times
        tmux.press("a")
        time.sleep(0.5)
        pid = tmux.shell
        ticks = [sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))]
        time.sleep(3)
        ticks.append(sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])))
        share = (ticks[1] - ticks[0]) / os.sysconf("SC_CLK_TCK") / 3
        print(f"{sorted(times)[3]:.3f} s from key to picture, {share:.1%} of a CPU while nothing happens")
        assert share < 0.1, f"{share:.0%} of a CPU"


TESTS = [frozen_server, fifty, other_sizes, held, menus, ways_to_end, stopped, poor_terminals, no_terminal, quick_and_idle]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("name", nargs="*", help="only these")
    arguments = parser.parse_args()
    lab = str(arguments.lab.resolve())
    failed = 0
    for test in TESTS:
        if arguments.name and test.__name__ not in arguments.name:
            continue
        start = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                test(lab)
            verdict = "ok"
        except (AssertionError, subprocess.SubprocessError) as error:
            verdict = f"FAILED: {error}"
            failed += 1
        os.chdir("/")
        print(f"{test.__name__}: {verdict}, {time.monotonic() - start:.1f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
