"""What a compiler or a sanitizer has reported, cut down to the student's own lines."""

import re
from pathlib import Path

_FRAME = re.compile(r" +#\d+ (?:0x[0-9a-f]+ in )?(?P<function>.*?) (?P<file>[^ :]+\.[ch]pp):(?P<line>\d+)")
# A section says what somebody did: "Write of size 4 at 0x7b by thread T1 (mutexes: write M0):"
_DOES = {"read": "reads", "write": "writes", "freed": "frees", "direct leak": "allocates what nobody frees"}
_DONE = "read|write|freed|allocated|previously allocated|direct leak|indirect leak|mutex M\\d+ acquired|cycle in lock"
_SECTION = re.compile(rf" *(?:Previous )?(?:atomic )?({_DONE})\b", re.IGNORECASE)
_WHO = re.compile(r"by ([^(:]*)|\b(thread T\d+)")
_KIND = re.compile(r"(?:WARNING|ERROR): \w+: (?P<kind>[^(\n]*?)(?: on | \(|\n|$)")


def _own(match: re.Match, source: Path, build: Path) -> tuple[Path, int] | None:
    """The file and line, if they are the tree's."""
    file = (build / match["file"]).resolve()
    return (file, int(match["line"])) if file.is_relative_to(source) and file.is_file() else None


def _quoted(file: Path, line: int) -> str:
    lines = file.read_text(errors="replace").splitlines()
    return f"{file.name}:{line}: `{lines[line - 1].strip()}`" if line <= len(lines) else f"{file.name}:{line}"


def _sections(report: str, source: Path, build: Path) -> list[tuple[str, str]]:
    """The line that says what was done, and the innermost line of the student's in which it was."""
    found: list[tuple[str, str]] = []
    section = ""
    for line in report.splitlines():
        if frame := _FRAME.match(line):
            own = _own(frame, source, build)
            if section and own:
                found.append((section, _quoted(*own)))
                section = ""
        elif _SECTION.match(line):
            section = line
        elif line.rstrip().endswith(":"):
            section = ""
    return found


def _told(section: str, place: str) -> str:
    """the main thread writes at thread_pool.cpp:42: `--free_;`"""
    what, who = _SECTION.match(section)[1].lower(), _WHO.search(section)
    name = next(filter(None, who.groups()), "").strip() if who else ""
    name = re.sub(r"^thread T(\d+).*", r"thread \1", name)
    name = "the main thread" if name in ("main thread", "thread 0") else name
    return f"{name} {_DOES.get(what, what)} at {place}".strip()


def explain(report: str, source: Path, build: Path) -> str:
    """One report as a sentence; "" if it is none."""
    if fault := re.search(r"([^ \n]+\.[ch]pp):(\d+):\d+: runtime error: (.*)", report):
        return f"{fault[3]}, at {Path(fault[1]).name}:{fault[2]}"
    kind = _KIND.search(report)
    sections = _sections(report, source, build)
    if not kind and not sections:
        return ""
    told = [_told(section, place) for section, place in sections[:3]]
    name = kind["kind"] if kind else "a leak"
    if kind and kind["kind"] == "data race":
        shared = [set(re.findall(r"M\d+", section)) for section, _ in sections[:2]]
        told.append("they hold no mutex in common" if len(shared) == 2 and not shared[0] & shared[1] else "")
    return f"{name}: {'; '.join(filter(None, told))}"


def explain_all(folder: Path, source: Path, build: Path) -> list[str]:
    """Each report that sanitizers have left in a folder, once."""
    texts = "\n".join(file.read_text(errors="replace") for file in sorted(folder.iterdir()))
    begins = r"(?m)^(?==+\n(?:WARNING|==\d+==)|[^ \n]+:\d+:\d+: runtime error|(?:Direct|Indirect) leak of)"
    told = (explain(report, source, build) for report in re.split(begins, texts))
    return list(dict.fromkeys(filter(None, told)))


def first_error(output: str, source: Path, build: Path) -> str:
    """Of a compiler's output: the first error, at the line of the student's that it is about."""
    errors = re.findall(r"^([^ \n:]+):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$", output, re.MULTILINE)
    errors += re.findall(r"^([^ \n:]+):(\d+):(?:\d+:)?   required from", output, re.MULTILINE) if not errors else []
    for file, line, what in errors:
        path = (build / file).resolve()
        if path.is_relative_to(source):
            return f"{path.relative_to(source)}:{line}: {what}"
    undefined = re.search(r"undefined reference to [`'](.*)'", output)
    if undefined:
        return f"{undefined[1]} is declared and used, but not defined anywhere."
    # The error is in a header of the library: whose line has asked for it?
    for file, line in re.findall(r"^([^ \n:]+):(\d+):\d+:   required from", output, re.MULTILINE):
        path = (build / file).resolve()
        if path.is_relative_to(source):
            return f"{path.relative_to(source)}:{line}: {errors[0][2] if errors else 'does not compile'}"
    return errors[0][2] if errors else (output.strip().splitlines() or ["The compiler gave no reason."])[-1]
