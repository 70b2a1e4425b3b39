"""Whatever the notes name is there: links, files, functions, Meson's targets, tests and suites, options, promises."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Iterator

from completeness import read_all
from markdown import Document, Fault, read, slug


@dataclass
class Known:
    """What can be named."""

    root: Path
    files: set[str]  # relative to the root
    targets: set[str]
    tests: set[str]
    suites: set[str]
    programs: set[str]  # relative to the build folder: "stage3_pool/stage3"
    options: dict[str, set[str]]  # of each program, by its last name: "stage3", "exercises.py"
    sources: str  # all C++ there is, to look for a function in
    exercises: set[str]  # "1.2"
    promises: int


WORDS = "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
BUILT_IN = {"all", "benchmark", "clean", "install", "test"}  # targets of every Meson project
PROGRAMS = ["stage1", "stage2", "stage3", "stage4", "lab", "promises", "measure", "explore"]
BENCH = ["tests/bench/exercises.py", "tests/bench/hunts.py"]
SCRIPTS = [*BENCH, "tests/notes/check.py", "tests/notes/mutants.py", "tests/measure/last_packet.py"]


def known(root: Path, build: Path) -> Known:
    """Asks the tree and what Meson knows of it."""
    info = build / "meson-info"
    targets = json.loads((info / "intro-targets.json").read_text())
    tests = [
        test
        for kind in ("tests", "benchmarks")
        for test in json.loads((info / f"intro-{kind}.json").read_text())
    ]
    binaries = {target["name"]: target["filename"][0] for target in targets if target["type"] == "executable"}
    files = {str(path.relative_to(root)) for path in tree(root)}
    options = {program: options_of(binaries[program]) for program in PROGRAMS}
    options |= {script.rpartition("/")[2]: options_of(sys.executable, str(root / script)) for script in SCRIPTS}
    options["demo"] = options["lab"]
    answers = "".join(patch.read_text() for patch in (root / "notes/answers").glob("*.patch"))
    options["the answers"] = set(re.findall(r'^\+.*Flag{"(--[a-z][a-z-]*)"', answers, re.MULTILINE))
    return Known(
        root,
        files,
        {target["name"] for target in targets} | BUILT_IN,
        {test["name"] for test in tests},
        {suite.split(":")[-1] for test in tests for suite in test["suite"]},
        {str(Path(binary).relative_to(build)) for binary in binaries.values()} | {"tests/demo", "tests/why"},
        options,
        "\n".join((root / file).read_text() for file in sorted(files) if file.endswith((".cpp", ".hpp"))),
        {name for document in read_all(root, "notes") for name, _, _, _ in document.exercises()},
        len(re.findall(r'^      \{\d+, "', (root / "tests/checker/promises.cpp").read_text(), re.MULTILINE)),
    )


def tree(root: Path) -> Iterator[Path]:
    """The project's files, without build folders and what begins with a dot."""
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or (path / "meson-info").is_dir() or path.name == "__pycache__":
            continue
        if path.is_dir():
            yield from tree(path)
        else:
            yield path


def options_of(*command: str) -> set[str]:
    text = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"--[a-z][a-z-]*", text))


def check(known: Known, document: Document) -> Iterator[Fault]:
    for number, line in document.prose:
        yield from check_links(known, document, number, line)
        yield from check_numbers(known, document, number, line)
        for span in re.findall(r"`([^`]+)`", line):
            for message in dict.fromkeys([*check_span(known, span), *check_command(known, span)]):
                yield document.fault(number, message)
    for block in document.blocks:
        if block.language in ("console", "sh"):
            for number, line in enumerate(block.lines, block.line):
                for message in check_command(known, line):
                    yield document.fault(number, message)


def check_numbers(known: Known, document: Document, number: int, line: str) -> Iterator[Fault]:
    for several in re.findall(r"\b[Pp]romises? (\d+(?:(?:, | and | to |, and )\d+)*)", line):
        for promise in re.findall(r"\d+", several):
            if not 1 <= int(promise) <= known.promises:
                yield document.fault(number, f"there is no promise {promise}")
    turns = sum(file.startswith("notes/wrong_turns/") for file in known.files)
    for word, what in re.findall(rf"\b({'|'.join(WORDS)})\s+(promises|wrong turns)\b", line, re.IGNORECASE):
        count = known.promises if what == "promises" else turns
        if WORDS.index(word.lower()) + 11 != count:
            yield document.fault(number, f"there are {count} {what}, not {word}")
    for exercise in re.findall(r"(?:[Ee]xercise |exercises\.py )(\d+\.\d+)", line):
        if exercise not in known.exercises:
            yield document.fault(number, f"there is no exercise {exercise}")


def check_links(known: Known, document: Document, number: int, line: str) -> Iterator[Fault]:
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", line):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (known.root / document.file.parent / path).resolve() if path else known.root / document.file
        if not file.exists():
            yield document.fault(number, f"the link leads nowhere: {target}")
        elif anchor and anchor not in anchors(file):
            yield document.fault(number, f"{path or document.file.name} has no heading #{anchor}")


def anchors(file: Path) -> set[str]:
    return {slug(text) for _, _, text in read(file.parent, Path(file.name)).headings()}


def check_span(known: Known, span: str) -> Iterator[str]:
    """A word or two in `...`: is it a file, or a function?"""
    if re.fullmatch(r"[\w./]*\w\.(cpp|hpp|md|patch|py|html|sh|svg|build)|(common|notes|stage\d|tests)\w*/[\w./]*", span):
        if not is_file(known, span) and not any(file.endswith("/" + span) for file in known.files):
            yield f"there is no file {span}"
    # POSIX's own are written as in its manual, poll(2); what stands here with () is in the sources.
    function = re.fullmatch(r"(?:[\w:]*::)?(~?\w+)\(\)", span)
    if function and not re.search(rf"(?<!\w){re.escape(function[1])}(<\w+>)?\(", known.sources):
        yield f"no function of ours is called {span}"
    if re.fullmatch(r"--[a-z][a-z-]*( \S+)?", span):
        option = span.split()[0]
        if not any(option in options for options in known.options.values()):
            yield f"none of the programs knows {option}"


def check_command(known: Known, line: str) -> Iterator[str]:
    """Commands may follow each other in a line."""
    for command in re.split(r"&&|\|\||[|;&()]", line):
        words = command.split("#")[0].split()
        if "meson" in words[:3] and "test" in words:
            yield from check_test(known, words[words.index("test") + 1 :])
        elif "ninja" in words[:3] or ("meson" in words[:3] and "compile" in words):
            builder = words.index("ninja" if "ninja" in words else "compile")
            names = arguments(words[builder:], {"-C"})[1:]
            yield from (f"there is no target {name}" for name in names if not is_target(known, name))
        for at, word in enumerate(words):
            yield from check_word(known, word.strip("`'\""), words[at + 1 :])


def check_word(known: Known, word: str, after: list[str]) -> Iterator[str]:
    """A word of a command: a program and its options, a path, or a wrong turn."""
    built = re.fullmatch(r"build[\w-]*/([\w-]+/\w+)", word)
    if built and built[1] not in known.programs:
        yield f"there is no program {word}"
    if built or word in SCRIPTS:
        yield from check_options(known, word.rpartition("/")[2], after)
    is_path = re.match(r"(stage\d|common|notes|tests)[\w-]*(/|$)", word) and not word.endswith("_")
    if is_path and word not in known.targets | known.tests | known.suites | known.programs:
        if not is_file(known, re.sub(r"/?\$.*|:\d+$|\.was$", "", word)):
            yield f"there is no file {word}"
    if word in ("put_in", "take_out") and after and re.fullmatch(r"\w+", after[0]):
        if f"notes/wrong_turns/{after[0]}.patch" not in known.files:
            yield f"there is no wrong turn {after[0]}"


def is_file(known: Known, path: str) -> bool:
    """Is there such a file, or folder? A shell would know what * stands for."""
    return any(fnmatch(file, path) or file.startswith(path.rstrip("/") + "/") for file in known.files)


def is_target(known: Known, name: str) -> bool:
    return name in known.targets or name.rpartition("/")[2] in known.targets or not re.fullmatch(r"[\w./-]+", name)


def check_test(known: Known, words: list[str]) -> Iterator[str]:
    for suite in (after for flag, after in zip(words, words[1:]) if flag == "--suite"):
        if suite not in known.suites:
            yield f"there is no suite {suite}"
    for name in arguments(words, {"-C", "--suite", "--repeat", "--timeout-multiplier"}):
        if name not in known.tests and re.fullmatch(r"\w+", name):
            yield f"there is no test {name}"


def arguments(words: list[str], with_value: set[str]) -> list[str]:
    """What is neither a flag nor a flag's value, up to a redirection."""
    found = []
    skip = False
    for word in words:
        if re.match(r"\d?[<>]", word):
            break
        if not skip and not word.startswith("-"):
            found.append(word.strip("`.,:"))
        skip = word in with_value
    return found


def check_options(known: Known, program: str, words: list[str]) -> Iterator[str]:
    for word in words:
        if word == "--":  # what follows is told to somebody else
            return
        option = word.split("=")[0]
        if re.fullmatch(r"--[a-z][a-z-]*", option) and option not in known.options.get(program, {option}):
            yield f"{program} does not know {option}"
