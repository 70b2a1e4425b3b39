#!/usr/bin/env python3
"""Builds stage 4 with a wrong turn: turn.py PATCH OUTPUT COMPILER...

In a copy, so that nobody's tree has it for a while.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "tests/bench"))
from patching import apply  # noqa: E402


def main() -> int:
    patch, output, *compiler = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for part in "common", "stage4_graceful_shutdown":
            shutil.copytree(ROOT / part, Path(folder) / part)
        apply(Path(folder), Path(patch).read_text())
        sources = [*Path(folder).glob("common/*.cpp"), *Path(folder).glob("stage4_graceful_shutdown/*.cpp")]
        flags = ["-std=c++20", "-pthread", f"-I{folder}", f'-DHTML_IN_SOURCE="{ROOT}/common/html"', '-DHTML_INSTALLED=""']
        return subprocess.run([*compiler, *flags, *sorted(sources), "-o", output], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
