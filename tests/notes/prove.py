#!/usr/bin/env python3
"""Is each exercise unsolved as it stands, and solved by its answer?"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import check

sys.path.append(str(check.ROOT / "tests"))
from exercises import EXERCISES  # noqa: E402


def tell(copy: Path, name: str) -> tuple[bool, str]:
    """What the reader is told who asks whether the exercise is solved."""
    command = [sys.executable, "tests/exercises.py", name]
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    return result.returncode == 0, result.stdout + result.stderr


def prove(copy: Path, name: str) -> bool:
    patch = next((copy / "notes/answers").glob(f"{name}_*.patch"))
    solved_before, before = tell(copy, name)
    print(before, end="", flush=True)
    subprocess.run(["git", "apply", patch], cwd=copy, check=True)
    solved_after, after = tell(copy, name)
    print(after, end="", flush=True)
    subprocess.run(["git", "apply", "-R", patch], cwd=copy, check=True)
    return not solved_before and "not yet" in before and solved_after


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exercise", nargs="*", help=", ".join(EXERCISES))
    names = parser.parse_args().exercise or list(EXERCISES)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "workbook"
        check.copy_and_build(check.ROOT, copy)
        wrong = [name for name in names if not prove(copy, name)]
    for name in wrong:
        print(f"{name}: has to be 'not yet' before its answer, and 'solved' after it")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
