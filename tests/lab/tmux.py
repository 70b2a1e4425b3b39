"""A terminal that nobody looks at: tmux draws it, and tells what it shows."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

if not shutil.which("tmux"):
    print("There is no tmux, so nobody presses a key.")
    sys.exit(77)  # to Meson: skipped

signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Meson's limit: what runs here is to end as well

_counter = 0


def eventually(condition: Callable[[], object], limit: float) -> bool:
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_gone(pid: int) -> bool:
    """Or has ended, and nobody has noticed yet."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


class Tmux:
    """A window of its own server, with nothing of the user's settings."""

    def __init__(self, command: str = "bash --norc", columns: int = 80, rows: int = 24):
        global _counter
        _counter += 1
        self.command, self.size = command, (columns, rows)
        self.name = f"lab-{os.getpid()}-{_counter}"
        self.socket = Path(os.environ.get("TMUX_TMPDIR", "/tmp")) / f"tmux-{os.getuid()}" / self.name

    def run(self, *words: str) -> str:
        command = ["tmux", "-L", self.name, "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout

    def __enter__(self) -> "Tmux":
        columns, rows = map(str, self.size)
        # -u: the locale may say that there is no UTF-8. remain-on-exit keeps the screen to be looked at.
        self.run("-u", "new-session", "-d", "-x", columns, "-y", rows, self.command, ";", "set", "status", "off", ";",
                 "set", "-g", "remain-on-exit", "on", ";", "resize-window", "-x", columns, "-y", rows)
        return self

    def __exit__(self, *_) -> None:
        subprocess.run(["tmux", "-L", self.name, "kill-server"], check=False, capture_output=True, timeout=20)
        self.socket.unlink(missing_ok=True)

    @property
    def shell(self) -> int:
        return int(self.run("display-message", "-p", "#{pane_pid}"))

    def press(self, *keys: str) -> None:
        """Enter, Space, C-c and Up are keys, "-H 1b 5b" are bytes, anything else is typed."""
        for key in keys:
            self.run("send-keys", *(key.split() if key.startswith("-H ") else [key]))

    def screen(self, *options: str) -> str:
        return self.run("capture-pane", "-p", *options)

    def resize(self, columns: int, rows: int) -> None:
        self.run("resize-window", "-x", str(columns), "-y", str(rows))

    def cursor_is_shown(self) -> bool:
        return self.run("display-message", "-p", "#{cursor_flag}").strip() == "1"
