"""Runs the console blocks of a document as its reader would, in terminals, and compares what they print.

    $ build/tests/promises --only 4          a command, in the only terminal
    > its next line
    what it prints; ... stands for anything

    1| $ build/stage3_pool/stage3            the same in several terminals, in the order of time
    2| $ curl http://127.0.0.1:7878/sleep
    1| ^C

What was printed so far has to be there before the next command, or ^C, is typed. Terminals, and what runs in
them, stay from block to block, up to the end of the document.
"""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from comparison import agree, scrub
from markdown import Document, Fault
from terminal import Terminal

HAND = 1.0  # seconds from one terminal to another: by then has begun what was typed there
PORT = "7878"  # what the notes call it; here the kernel picks one


@dataclass
class Expected:
    """What a terminal should have printed before the next input: the lines, and where they stand."""

    lines: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def open_end(self) -> bool:
        return self.lines[-1:] == ["..."]


class Transcript:
    """One document, as it is run."""

    def __init__(self, root: Path, document: Document, refresh: bool = False, patience: float = 60):
        self._root = root
        self._document = document
        self._refresh = refresh
        self._patience = patience
        self._terminals: dict[str, Terminal] = {}
        self._expected: dict[str, Expected] = {}
        self._last: dict[str, str] = {}  # the last command of each terminal
        self._hand: str | None = None  # the terminal that was typed in last
        self._margins: dict[str, str] = {}  # "2| "
        self._ports: dict[str, Terminal] = {}  # by the number in the notes
        self._written: set[int] = set()  # lines that have been replaced
        self._true: list[tuple[int, list[int], list[str]]] = []  # after which line, lines to replace, with what
        self.faults: list[Fault] = []

    def run(self) -> list[Fault]:
        try:
            for block in self._document.blocks:
                if block.language == "console":
                    self._run_block(block.line, block.lines)
                if self.faults and not self._refresh:
                    return self.faults
            for name, terminal in self._terminals.items():
                if not terminal.update_until(terminal.is_idle, self._patience):
                    self._fault(len(self._document.lines), f"terminal {name} is left with '{self._last[name]}' running")
            self._settle(len(self._document.lines))
        finally:
            for terminal in self._terminals.values():
                terminal.close()
        self._write()
        return self.faults

    def _run_block(self, first: int, lines: list[str]) -> None:
        number, i = first, 0
        while i < len(lines):
            number = first + i
            margin, name, text = self._split(lines[i])
            self._margins[name] = margin
            i += 1
            if text.startswith("$ "):
                command = [text[2:]]
                while i < len(lines) and self._split(lines[i])[2].startswith("> "):
                    command.append(self._split(lines[i])[2][2:])
                    i += 1
                self._terminal(name).update_until(self._terminal(name).is_idle, self._patience)
                self._settle(number - 1)
                self._type(number, name, command)
            elif text == "^C":
                self._reach_for(name)
                self._settle(number - 1)
                terminal = self._terminal(name)
                if terminal.update_until(terminal.is_idle, 0.5):
                    self._fault(number, f"nothing runs in terminal {name} that ^C could end")
                terminal.interrupt()
            else:
                expected = self._expected.setdefault(name, Expected())
                expected.lines.append(text)
                expected.numbers.append(number)
            if self.faults and not self._refresh:
                return
        if self._refresh:  # what the last command printed belongs into this block
            self._wait_a_little()
            self._settle(number)

    @staticmethod
    def _split(line: str) -> tuple[str, str, str]:
        """The margin "2| ", the terminal's name, and the rest."""
        found = re.fullmatch(r"((\d)\| ?)(.*)", line)
        return (found[1], found[2], found[3]) if found else ("", "1", line)

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = Terminal(self._root)
        return self._terminals[name]

    def _type(self, number: int, name: str, command: list[str]) -> None:
        terminal = self._terminal(name)
        if not terminal.idle:
            self._fault(number, f"'{self._last[name]}' still runs in terminal {name}")
            return
        self._reach_for(name)
        self._last[name] = command[0]
        self._expected[name] = Expected()
        terminal.type(self._with_true_ports(terminal, "\n".join(command)))

    def _reach_for(self, name: str) -> None:
        """As a reader does, to whom it takes a moment."""
        if self._hand not in (None, name):
            time.sleep(HAND)
        self._hand = name

    def _with_true_ports(self, terminal: Terminal, command: str) -> str:
        server = find_server(command)
        if server:
            flag = re.search(r"--port (\d+)", command)
            port = flag[1] if flag else PORT
            owner = self._ports.get(port)
            taken = owner is not None and not owner.idle and owner is not terminal
            true_port = owner.port if taken else "0"
            if not taken:
                self._ports[port] = terminal
            if flag:
                command = command.replace(flag[0], f"--port {true_port}")
            else:
                command = command.replace(server[0], f"{server[0]} --port {true_port}")
        for port, owner in self._ports.items():
            if owner.port:
                command = re.sub(rf"(?<!--port )\b{port}\b", owner.port, command)
        return command

    def _as_in_the_notes(self, line: str) -> str:
        line = line.replace(" --port 0", "")  # bash repeats the command of a job
        for port, owner in self._ports.items():
            if owner.port:
                line = re.sub(rf"\b{owner.port}\b", port, line)
        return line

    def _settle(self, number: int) -> None:
        """Waits until each terminal has printed what it should have by the line `number`, and no more."""
        # What is written down wrong, or not yet, need not be waited for as long as what should come.
        end = time.monotonic() + (min(12, self._patience) if self._refresh else self._patience)
        for name, terminal in self._terminals.items():
            expected = self._expected.setdefault(name, Expected())
            measured = "build/tests/measure" in self._last.get(name, "")

            def printed() -> list[str]:
                return [self._as_in_the_notes(line) for line in terminal.new]

            def settled() -> bool:
                for other in self._terminals.values():
                    other.update(0)
                finished = terminal.idle and terminal.jobs == 0
                return agree(expected.lines, printed(), measured) or finished

            limit = 600.0 if measured else max(0.1, end - time.monotonic())
            terminal.update_until(settled, limit)
            if not agree(expected.lines, printed(), measured):
                self._disagree(number, name, expected, printed())
            terminal.new = []
            # What "..." at the end stands for may still come, until the next command.
            self._expected[name] = Expected(["..."], expected.numbers[-1:]) if expected.open_end() else Expected()

    def _wait_a_little(self) -> None:
        """For what nobody has written down yet."""
        if any(expected.lines for expected in self._expected.values()):
            return
        for name, terminal in self._terminals.items():
            if not find_server(self._last.get(name, "")):
                terminal.update_until(terminal.is_idle, 8)
            terminal.update(0.5)

    def _disagree(self, number: int, name: str, expected: Expected, printed: list[str]) -> None:
        if self._refresh:
            margin = self._margins.get(name, "")
            numbers = [n for n in expected.numbers if n not in self._written]
            self._written.update(numbers)
            self._true.append((number, numbers, [margin + line for line in printed]))
            return
        pairs = [(at, scrub([line])) for at, line in zip(expected.numbers, expected.lines) if line.strip()]
        clean = scrub(printed)
        wrong = (at for i, (at, line) in enumerate(pairs) if clean[i : i + 1] != line)
        at = next(wrong, expected.numbers[-1] if expected.numbers else number)
        seen = "\n    ".join(printed) or "(nothing)"
        self._fault(at, f"terminal {name} printed something else:\n    {seen}")

    def _write(self) -> None:
        """Puts in what was printed, in place of what should have been."""
        gone = {number for _, numbers, _ in self._true for number in numbers}
        added: dict[int, list[str]] = {}  # after which line
        for after, numbers, printed in self._true:
            added.setdefault(numbers[-1] if numbers else after, []).extend(printed)
        lines = list(enumerate(self._document.lines, 1))
        self._document.lines = [
            text for number, line in lines for text in [*([] if number in gone else [line]), *added.get(number, [])]
        ]

    def _fault(self, number: int, message: str) -> None:
        self.faults.append(self._document.fault(number, message))


def find_server(command: str) -> re.Match | None:
    """The path of the stage that it starts; what starts one by itself, as promises does, gives it a port as well."""
    return None if "build/tests/" in command else re.search(r"build[\w-]*/stage\w+/stage\d(?=\s|\)|$)", command)

