"""Does a program print what the notes say? What differs from run to run is left out."""

import re

ANYTHING = "(anything)"
RACING = re.compile(r"Worker N |Shutting down worker N|Worker N's")


def scrub(lines: list[str]) -> list[str]:
    """Leaves out what differs from run to run: numbers of processes and workers, times, how long a bar is, and the like.

    Lines that several threads write at the same time come in any order, and so are sorted.
    """
    found: list[str] = []
    for line in lines:
        if line == "...":
            line = ANYTHING
        if line == "ninja: no work to do.":  # since another page has built it
            continue
        line = re.sub(r"^\[\d+\] \d+$", "[1] PID", line)
        line = re.sub(r"\b([Ww]orker) \d+", r"\1 N", line)
        line = re.sub(r"\b(\d+(?:\.\d+)?) ?(ms|s|seconds?)\b", in_seconds, line)
        line = re.sub(r"\bprocess \d+", "process N", line)
        line = re.sub(r"(\d+) kB", how_much, line)
        line = re.sub(r"^(Date: ).*", r"\1DAY", line)
        line = re.sub(r"^(curl: \(\d+\)).*", r"\1", line)  # its words differ from version to version
        line = re.sub(r"\bstart \d+", "start N", line)
        line = re.sub(r"(nobody read stdout:) \d+", r"\1 N", line)  # it depends on how the lines fill the pipe
        line = line.replace(" (core dumped)", "")
        line = re.sub(r"(?<![.:])[.:]{1,3}(?==)", "", line)  # the moment before somebody is served
        line = re.sub(r"([=.:])\1+", r"\1", line)
        line = re.sub(r"\s+", " ", line).strip()
        line = re.sub(r"^(15 .*?)( ([+x] \w+|-)){4}$", r"\1", line)  # process 1 cannot be had everywhere
        if line:
            found.append(line)
    return sort_racing(found)


def in_seconds(time: re.Match) -> str:
    return f"{float(time[1]) / (1000 if time[2] == 'ms' else 1):.6f} s"


def how_much(size: re.Match) -> str:
    return f"{len(size[1])} digits of kB"


def sort_racing(lines: list[str]) -> list[str]:
    found: list[str] = []
    racing: list[str] = []
    for line in [*lines, ""]:
        if RACING.match(line):
            racing.append(line)
        else:
            found += sorted(racing) + [line]
            racing = []
    return found[:-1]


def scrub_figures(lines: list[str]) -> list[str]:
    """What is measured: in a table, all figures but those of the first column differ. "stage 1" is a name."""
    found = []
    for line in lines:
        label, row = re.fullmatch(r"( *\S+(?: \S+)*)?((?:  .*)?)", line).groups("")
        found.append(label + re.sub(r"(?<!stage )(?<= )x?\d[\d,.]*(-[\d.]+)?(?= |$)", "#", row))
    return scrub(found)


SECONDS = re.compile(r"(\d+\.\d{6}) s")


def agree(expected: list[str], printed: list[str], measured: bool) -> bool:
    clean = scrub_figures if measured else scrub
    wanted = clean(expected)
    # A line "..." stands for any number of lines, so all are compared as one text.
    pattern = "".join("(?:.*\n)*" if line == ANYTHING else without_times(line) + "\n" for line in wanted)
    found = re.fullmatch(pattern, "".join(line + "\n" for line in clean(printed)))
    times = [float(time) for line in wanted for time in SECONDS.findall(line)]
    return found is not None and all(is_about(time, float(other)) for time, other in zip(times, found.groups()))


def without_times(line: str) -> str:
    """A pattern for the line that captures each of its times."""
    return r"(\d+\.\d{6}) s".join(re.escape(part) for part in SECONDS.split(line)[::2])


def is_about(time: float, other: float) -> bool:
    """In seconds, as exactly as a busy machine allows."""
    return abs(time - other) <= max(0.7, 0.3 * time)
