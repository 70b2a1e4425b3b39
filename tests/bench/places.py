"""A place for each exercise: a copy of the workbook beside it, with a build of its own. What is tried there cannot harm
the workbook, nor whatever repository that lies in."""

import filecmp
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator

from patching import apply, changed, difference, parse, read, write
from server import NotYet, require

SOURCE = Path(__file__).resolve().parent.parent.parent
WRONG_TURNS = SOURCE / "notes/wrong_turns"
ANSWERS = SOURCE / "notes/answers"


def files_of(tree: Path) -> Iterator[str]:
    """The tree's files, without build folders and what begins with a dot; relative to it."""
    return (file for file in _all_files(tree) if not any(part.startswith(".") for part in Path(file).parts))


def _all_files(tree: Path) -> Iterator[str]:
    for path in sorted(tree.rglob("*")):
        within = path.relative_to(tree)
        built = any((tree / folder / "meson-info").is_dir() for folder in list(within.parents)[:-1])
        if path.is_file() and "__pycache__" not in within.parts and not built:
            yield str(within)


def place_of(name: str) -> Path:
    return SOURCE.parent / f"{SOURCE.name}-{name}"


def patch_of(name: str) -> Path:
    """Where `back` keeps what was changed."""
    return SOURCE.parent / f"{SOURCE.name}-{name}.patch"


def _command(verb: str, name: str) -> str:
    tool = "hunts.py" if name.startswith("hunt-") else "exercises.py"
    return f"{tool} {verb} {name.removeprefix('hunt-')}"


def start(name: str, patch: str = "") -> Path:
    """Makes the place, with what an earlier `back` has kept; else with a patch, which a wrong turn has of its own."""
    place = place_of(name)
    require(not place.exists(), f"{place} already exists: work there, or put it away with: {_command('back', name)}")
    for file in sorted(WRONG_TURNS.glob("*.patch")):
        there = (changed(read(SOURCE / one), change.hunks, reverse=True) for one, change in parse(file.read_text()).items())
        require(None in there, f"The wrong turn {file.stem} is still in. First: {_command('take_out', file.stem)}")
    patch = read(patch_of(name)) or patch or read(WRONG_TURNS / f"{name}.patch")
    try:
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f"{place.name}.") as folder:
            whole = copied(Path(folder) / place.name)
            apply(whole, patch)
            whole.rename(place)
    except OSError as error:
        raise NotYet(f"{place} cannot be created: {error.strerror}.") from None
    return place


def copied(place: Path) -> Path:
    for file in files_of(SOURCE):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(SOURCE / file, place / file)
    return place


def changes(name: str) -> str:
    """What was changed in the place, as a patch."""
    place = place_of(name)
    require(place.is_dir(), f"There is no {place}: {_command('start', name)} makes it.")
    files = sorted({*files_of(SOURCE), *files_of(place)})
    different = [file for file in files if not _same(SOURCE / file, place / file)]
    return difference(SOURCE, place, different)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def back(name: str) -> str:
    """Removes the place, and keeps what was changed as a patch. What a patch cannot hold, as the mode of a file, keeps
    the place from being removed. Returns what was done."""
    place, changed, kept = place_of(name), changes(name), patch_of(name)
    if not _gives_back(place, changed):
        number = next(n for n in range(1, 1000) if not place.with_name(f"{place.name}.{n}").exists())
        aside = place.rename(place.with_name(f"{place.name}.{number}"))
        return f"A patch cannot hold everything that you have changed: your work stays in {aside}"
    if changed:
        write(kept, changed)
    else:
        kept.unlink(missing_ok=True)
    shutil.rmtree(place)
    return f"Your changes are in {kept}; start applies them again." if changed else "You had changed nothing."


def _gives_back(place: Path, patch: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        again = copied(Path(folder) / "again")
        apply(again, patch)
        files = list(_all_files(place))
        return files == list(_all_files(again)) and all(
            _same(place / file, again / file) and os.access(place / file, os.X_OK) == os.access(again / file, os.X_OK)
            for file in files
        )


def turn(name: str, out: bool) -> list[Path]:
    """Puts a wrong turn into this tree, or takes it out."""
    file = WRONG_TURNS / f"{name}.patch"
    known = ", ".join(sorted(one.stem for one in WRONG_TURNS.glob("*.patch")))
    require(file.exists(), f"There is no wrong turn {name}. The wrong turns are {known}.")
    return apply(SOURCE, file.read_text(), reverse=out)
