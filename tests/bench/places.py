"""A place for each exercise: a copy of the workbook beside it, with a build of its own. What is tried there cannot harm
the workbook, nor whatever repository that lies in."""

import filecmp
import shutil
from pathlib import Path
from typing import Iterator

from patching import apply, difference
from server import NotYet, require

SOURCE = Path(__file__).resolve().parent.parent.parent
WRONG_TURNS = SOURCE / "notes/wrong_turns"
ANSWERS = SOURCE / "notes/answers"


def files_of(tree: Path) -> Iterator[str]:
    """The tree's files, without build folders and what begins with a dot; relative to it."""
    for path in sorted(tree.rglob("*")):
        within = path.relative_to(tree)
        folders = [tree / folder for folder in list(within.parents)[:-1]]
        hidden = any(part.startswith(".") or part == "__pycache__" for part in within.parts)
        if path.is_file() and not hidden and not any((folder / "meson-info").is_dir() for folder in folders):
            yield str(within)


def place_of(name: str) -> Path:
    return SOURCE.parent / f"{SOURCE.name}-{name}"


def patch_of(name: str) -> Path:
    """Where `back` keeps what was changed."""
    return SOURCE.parent / f"{SOURCE.name}-{name}.patch"


def start(name: str) -> Path:
    """Makes the place. What an earlier `back` has kept is put in again; a wrong turn is put in."""
    place = place_of(name)
    require(not place.exists(), f"{place} is there already: work there, or put it away with: exercises.py back {name}")
    try:
        for file in files_of(SOURCE):
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / file, place / file)
    except OSError as error:
        raise NotYet(f"{place} cannot be made: {error.strerror}.") from None
    kept, turn = patch_of(name), WRONG_TURNS / f"{name}.patch"
    if kept.exists():
        apply(place, kept.read_text())
    elif turn.exists():
        apply(place, turn.read_text())
    return place


def changes(name: str) -> str:
    """What was changed in the place, as a patch."""
    place = place_of(name)
    require(place.is_dir(), f"There is no {place}. Make it with: exercises.py start {name}")
    files = sorted({*files_of(SOURCE), *files_of(place)})
    different = [file for file in files if not _same(SOURCE / file, place / file)]
    return difference(SOURCE, place, different)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def back(name: str) -> Path | None:
    """Removes the place, and returns the file in which its changes are kept; None if there were none."""
    changed, kept = changes(name), patch_of(name)
    if changed:
        kept.write_text(changed)
    else:
        kept.unlink(missing_ok=True)
    shutil.rmtree(place_of(name))
    return kept if changed else None


def turn(name: str, out: bool) -> list[Path]:
    """Puts a wrong turn into this tree, or takes it out."""
    file = WRONG_TURNS / f"{name}.patch"
    known = ", ".join(sorted(one.stem for one in WRONG_TURNS.glob("*.patch")))
    require(file.exists(), f"There is no wrong turn {name}. There are {known}.")
    return apply(SOURCE, file.read_text(), reverse=out)
