"""A terminal, as a reader has it before them."""

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from pathlib import Path

PROMPT = "\x1e"


class Terminal:
    """A shell of its own, at a pseudo-terminal: ^C is a signal to what runs in the foreground."""

    def __init__(self, folder: Path):
        self._fd, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)

        environment = {**os.environ, "PS1": PROMPT, "PS2": "", "TERM": "xterm", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
        self._shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "--noediting", "-i"],
            stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment,
            start_new_session=True, preexec_fn=take_terminal,
        )  # fmt: skip
        os.close(slave)
        self._text = ""  # an unfinished line
        self.new: list[str] = []  # lines printed since they were last looked at
        self.idle = False
        self.jobs = 0  # in the background: they may still print something when the shell is idle
        self.port: str | None = None  # of the server that was started here last
        self.update_until(self.is_idle, 10)
        self.type("ulimit -c 0")  # no core files
        self.update_until(self.is_idle, 10)

    def type(self, command: str) -> None:
        self.idle = False
        os.write(self._fd, (command + "\n").encode())

    def interrupt(self) -> None:
        os.write(self._fd, b"\x03")

    def is_idle(self) -> bool:
        return self.idle

    def update(self, wait: float) -> None:
        while select.select([self._fd], [], [], wait)[0]:
            try:
                text = os.read(self._fd, 65536).decode(errors="replace")
            except OSError:  # the shell has gone
                return
            wait = 0
            for piece in re.split(f"(\n|{PROMPT})", text):
                self._take(piece)

    def _take(self, piece: str) -> None:
        if piece not in ("\n", PROMPT):
            self._text += piece
            return
        # What was on the other screen is gone when the program leaves it.
        text = re.sub(r"\x1b\[\?1049h.*\x1b\[\?1049l", "", self._text)
        plain = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", text)
        line = plain.rstrip("\r").rpartition("\r")[2]  # what a progress bar leaves
        if piece == "\n" or line:
            self.new.append(line)
            self.jobs += len(re.findall(r"^\[\d+\] \d+$", line))
            self.jobs -= len(re.findall(r"^\[\d+\][+-]? +(?!Stopped|Running)[A-Z]", line))
            if found := re.fullmatch(r"Listening on http://127\.0\.0\.1:(\d+)", line):
                self.port = found[1]
        self._text = ""
        self.idle = self.idle or piece == PROMPT

    def update_until(self, done, limit: float) -> bool:
        end = time.monotonic() + limit
        while not done():
            if time.monotonic() > end:
                return False
            self.update(0.02)
        return True

    def close(self) -> None:
        """Hangs up: the shell ends all it has started."""
        os.close(self._fd)
        try:
            self._shell.wait(5)
        except subprocess.TimeoutExpired:
            self._shell.kill()
            self._shell.wait()
