#!/usr/bin/env python3
"""The places to work in, patches without git, and reports cut down to the student's lines."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import hunts
import patching
import reports
from chapters import EXERCISES
from places import SOURCE, files_of
from server import NotYet, how

RACE = """\
==================
WARNING: ThreadSanitizer: data race (pid=7)
  Write of size 4 at 0x7b by main thread:
    #0 ThreadPool::execute(Job) ../stage3_pool/pool.cpp:2 (stage3+0x1)
    #1 main ../stage3_pool/pool.cpp:9 (stage3+0x2)

  Previous write of size 4 at 0x7b by thread T1 (mutexes: write M1):
    #0 std::function<void ()>::operator()() const /usr/include/c++/12/bits/std_function.h:591 (stage3+0x3)
    #1 work ../stage3_pool/pool.cpp:4 (stage3+0x4)

SUMMARY: ThreadSanitizer: data race ../stage3_pool/pool.cpp:2 in ThreadPool::execute(Job)
==================
"""
FREED = """\
=================================================================
==9==ERROR: AddressSanitizer: heap-use-after-free on address 0x60 at pc 0x55 bp 0x7f sp 0x7f
READ of size 4 at 0x60 thread T0
    #0 0x55 in run() ../stage3_pool/pool.cpp:2

0x60 is located 0 bytes inside of 4-byte region
freed by thread T0 here:
    #0 0x7f in operator delete(void*, unsigned long) ../../../../src/libsanitizer/asan/asan_new_delete.cpp:164
    #1 0x55 in stop() ../stage3_pool/pool.cpp:4
"""
ERROR = """\
In file included from /usr/include/c++/12/thread:43,
../stage3_pool/pool.cpp: In function 'int main()':
../stage3_pool/pool.cpp:4:3: error: 'free' was not declared in this scope
"""


class Reports(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Path(folder.name).resolve()
        (self.tree / "stage3_pool").mkdir()
        (self.tree / "build").mkdir()
        (self.tree / "stage3_pool/pool.cpp").write_text("one\n  --free_;\nthree\n  ++free_;\n")

    def test_a_data_race(self):
        self.assertEqual(
            reports.explain(RACE, self.tree, self.tree / "build"),
            "data race: the main thread writes at pool.cpp:2: `--free_;`; thread 1 writes at pool.cpp:4: "
            "`++free_;`; they hold no mutex in common",
        )

    def test_used_after_it_was_freed(self):
        said = reports.explain(FREED, self.tree, self.tree / "build")
        self.assertEqual(
            said,
            "heap-use-after-free: the main thread reads at pool.cpp:2: `--free_;`; "
            "the main thread frees at pool.cpp:4: `++free_;`",
        )

    def test_each_report_once(self):
        folder = self.tree / "reports"
        folder.mkdir()
        (folder / "report.1").write_text(RACE + RACE + FREED)
        self.assertEqual(len(reports.explain_all(folder, self.tree, self.tree / "build")), 2)

    def test_the_first_error(self):
        said = reports.first_error(ERROR, self.tree, self.tree / "build")
        self.assertEqual(said, "stage3_pool/pool.cpp:4: 'free' was not declared in this scope")

    def test_signals_have_names(self):
        said = [how(-11), how(1), how(None)]
        self.assertEqual(said, ["it was killed by SIGSEGV", "it exited with status 1", "it is still running"])


class Patches(unittest.TestCase):
    def test_there_and_back(self):
        """Each patch of the project, and what is made of it."""
        every = [*(SOURCE / "notes").rglob("*.patch"), *(SOURCE / "tests/bench/solutions").rglob("*.patch")]
        self.assertGreater(len(every), 150)
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "tree"
            for file in files_of(SOURCE):
                if not file.startswith("tests/bench/solutions"):
                    (tree / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(SOURCE / file, tree / file)
            for patch in every:
                with self.subTest(patch.name):
                    files = patching.apply(tree, patch.read_text())
                    names = [str(file.relative_to(tree)) for file in files]
                    again = patching.difference(SOURCE, tree, names)
                    with self.assertRaisesRegex(patching.DoesNotApply, "is already applied"):
                        patching.apply(tree, patch.read_text())
                    patching.apply(tree, again, reverse=True)
                    self.assertEqual(patching.difference(SOURCE, tree, names), "")

    def test_what_does_not_fit_changes_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder)
            (tree / "a").write_text("1\n")
            (tree / "b").write_text("other\n")
            patch = "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n--- a/b\n+++ b/b\n@@ -1 +1 @@\n-3\n+4\n"
            with self.assertRaisesRegex(patching.DoesNotApply, "b: the patch does not fit"):
                patching.apply(tree, patch)
            self.assertEqual((tree / "a").read_text(), "1\n")

    def test_every_byte_comes_back(self):
        pairs = [(b"a\n", b"a"), (b"a\nb", b"a\nc"), (b"a\n", None), (None, b"a\n"), (b"\xe9\n", b"\xe8\n")]
        pairs += [(b"a\r\nb\r\n", b"a\r\nc\r\n"), (b"a\x0cb\n", b"c\x0cb\n"), (b"\xc2\x85a\n", b"\xc2\x85b\n")]
        for contents in pairs:
            with self.subTest(contents), tempfile.TemporaryDirectory() as folder:
                trees = [Path(folder) / side for side in ("old", "new")]
                for tree, content in zip(trees, contents):
                    tree.mkdir()
                    if content is not None:
                        (tree / "file").write_bytes(content)
                patch = patching.difference(*trees, ["file"])
                for reverse in False, True:
                    patching.apply(trees[reverse], patch, reverse)
                    there = trees[reverse] / "file"
                    self.assertEqual(there.read_bytes() if there.exists() else None, contents[not reverse])

    def test_it_stays_in_its_tree(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(patching.DoesNotApply, "is not in"):
                patching.apply(Path(folder), "--- /dev/null\n+++ b/../evil\n@@ -0,0 +1 @@\n+x\n")


class Places(unittest.TestCase):
    """In a workbook that lies in another repository, under a name with a space, and without git in reach."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name) / "my homework"
        self.book = self.home / "work book"
        for file in files_of(SOURCE):
            (self.book / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / file, self.book / file)
        subprocess.run(["git", "init", "-q", self.home], check=False)
        (self.home / "sheet2.cpp").write_text("mine\n")

    def type(self, script: str, *words: str, expect: int = 0) -> str:
        command = [sys.executable, "-B", self.book / "tests/bench" / script, *words]
        told = subprocess.run(command, capture_output=True, text=True, cwd=self.home)
        self.assertEqual(told.returncode, expect, told.stdout + told.stderr)
        return told.stdout + told.stderr

    def test_an_exercise(self):
        pool = "stage3_pool/thread_pool.cpp"
        place = self.home / "work book-3.4"
        self.assertIn(str(place), self.type("exercises.py", "start", "3.4"))
        self.assertIn("already exists", self.type("exercises.py", "start", "3.4", expect=2))
        (place / pool).write_text((place / pool).read_text() + "// mine\n")
        self.assertIn("+// mine", self.type("exercises.py", "diff", "3.4"))
        self.assertIn("3.4.patch", self.type("exercises.py", "back", "3.4"))
        self.assertFalse(place.exists())
        self.assertNotIn("// mine", (self.book / pool).read_text())
        self.type("exercises.py", "start", "3.4")
        self.assertIn("// mine", (place / pool).read_text())
        (place / pool).write_text("int main() { return nothing; }\n")
        said = self.type("exercises.py", "3.4", expect=1)
        self.assertIn("3.4: not yet, 0 of 7 points", said)
        self.assertIn(f"{pool}:1: ", said)
        self.assertIn("0 of 7 points", self.type("exercises.py", "list"))
        self.assertEqual((self.home / "sheet2.cpp").read_text(), "mine\n")

    def test_nothing_is_lost(self):
        pool, place = "stage3_pool/thread_pool.cpp", self.home / "work book-3.4"
        kept = self.home / "work book-3.4.patch"
        self.type("exercises.py", "start", "3.4")
        (place / "run_me.sh").write_text("#!/bin/sh\n")
        (place / "run_me.sh").chmod(0o755)
        self.assertIn("your work stays in", self.type("exercises.py", "back", "3.4"))
        self.assertTrue((self.home / "work book-3.4.1/run_me.sh").exists())
        self.type("exercises.py", "start", "3.4")
        (place / pool).write_text("mine\n")
        self.type("exercises.py", "back", "3.4")
        (self.book / pool).write_text("the next edition\n")
        before = kept.read_text()
        self.assertIn("does not fit", self.type("exercises.py", "start", "3.4", expect=2))
        self.assertFalse(place.exists())
        self.assertEqual(kept.read_text(), before)

    def test_a_wrong_turn(self):
        pool = self.book / "stage4_graceful_shutdown/thread_pool.cpp"
        before = pool.read_text()
        self.type("exercises.py", "put_in", "detach")
        self.assertIn(".detach()", pool.read_text())
        self.assertIn("is already applied", self.type("exercises.py", "put_in", "detach", expect=2))
        self.assertIn("detach is still in", self.type("exercises.py", "start", "3.4", expect=2))
        self.type("exercises.py", "take_out", "detach")
        self.assertEqual(pool.read_text(), before)
        self.assertIn("is not applied", self.type("exercises.py", "take_out", "detach", expect=2))
        self.assertIn("There is no wrong turn", self.type("exercises.py", "put_in", "gone", expect=2))

    def test_mistakes(self):
        for words in [("9.9",), ("start",), ("start", "9.9"), ("diff", "3.4"), ("back", "1.2"), ("hint", "x"), ()]:
            with self.subTest(words):
                self.assertNotIn("Traceback", self.type("exercises.py", *words, expect=2))

    def test_told_of_each(self):
        for name in EXERCISES:
            with self.subTest(name):
                hints = [self.type("exercises.py", "hint", name, step) for step in "123"]
                self.assertGreater(min(map(len, hints)), 20)
                self.assertIn("+++ b/", self.type("exercises.py", "show", name))
        self.assertIn("1.2 A page of its own", self.type("exercises.py", "next"))

    def test_a_read_only_tree(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        self.home.chmod(0o555)
        try:
            self.assertIn("cannot be created", self.type("exercises.py", "start", "3.4", expect=2))
            self.book.chmod(0o555)
            self.assertIn("cannot be written to", self.type("exercises.py", "1.2", expect=1))
        finally:
            self.home.chmod(0o755)
            self.book.chmod(0o755)


class Hunts(unittest.TestCase):
    def test_what_is_packed(self):
        page = " ".join((SOURCE / "notes/hunts.md").read_text().split())
        every = hunts.hunts()
        self.assertGreaterEqual(len(every), 12)
        for number, hunt in every.items():
            with self.subTest(number):
                self.assertIn(f"**{number}** ({hunt.level}). {hunt.report}", page)
                self.assertEqual(json.loads(hunts.FILE.read_text())[number], hunts.packed(hunt))
                patched = patching.parse(hunt.patch)
                for line in hunt.lines:
                    file, at = line.split(":")
                    self.assertLessEqual(int(at), len((SOURCE / file).read_text().splitlines()) + 5)
                self.assertTrue(patched.keys() & {line.split(":")[0] for line in hunt.lines})
                self.assertEqual(len(hunt.hints), 3)

    def test_a_command_is_tried_three_times(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertTrue(hunts.succeeds(["true"], Path(folder)))
            self.assertFalse(hunts.succeeds(["sh", "-c", "exit 3"], Path(folder)))
            with self.assertRaises(NotYet):
                hunts.succeeds(["mkdir", "once"], Path(folder))


if __name__ == "__main__":
    unittest.main()
