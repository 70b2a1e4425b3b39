#!/usr/bin/env python3
"""The checker of the notes finds each kind of fault, and says where."""

import tempfile
import textwrap
import unittest
from pathlib import Path
from unittest import mock

import completeness
import names
import quotations
import words
from comparison import agree
from markdown import Document, read
from transcripts import Transcript

SOURCE = """\
// Adds up.
int add(int a, int b);

int twice(int a) { return add(a, a); }

int add(int a, int b) {
  const int sum = a + b;
  if (sum < 0) {
    return 0;
  }
  return sum;
}

struct Pair {
  int first;
};
"""

CHECKS = """\
exercise("1.1", "stage1")
"""

EXERCISE = """\
### 1.1 Pages

Check: `python3 tests/bench/exercises.py 1.1`

<details><summary>Hint</summary>

HINT

</details>
"""

ANSWER = """\
### 1.1 Pages

[1.1_pages.patch](1.1_pages.patch)
"""

# A server that says it listens, and ends at a Ctrl-C.
SERVER = """\
#!/bin/sh
echo "Listening on http://127.0.0.1:4711"
echo "$@" >>arguments
sleep 60
"""


class Notes(unittest.TestCase):
    """A small project in a folder of its own, and a page of notes about it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("common/sum.cpp", SOURCE)
        self.write("common/other.cpp", SOURCE.replace("sum < 0", "sum < 1"))
        self.write("common/sum.patch", "-  a\n+  b\n+  int a_long_name_for_the_answer = 42;\n")
        self.write("tests/bench/exercises.py", "")
        self.write("tests/bench/chapter_1.py", CHECKS)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def page(self, text: str) -> Document:
        self.write("notes/page.md", textwrap.dedent(text))
        return read(self.root, Path("notes/page.md"))

    def known(self) -> names.Known:
        files = {str(path.relative_to(self.root)) for path in names.tree(self.root)}
        options = {"stage1": {"--port"}, "promises": {"--only"}, "exercises.py": {"--build"}}
        programs = {"stage1_single_thread/stage1", "tests/promises"}
        return names.Known(
            self.root, files, {"demo", "stage1"}, {"http"}, {"unit"}, programs, options, SOURCE, {"1.1"}, promises=17
        )

    def faults(self, text: str) -> list[str]:
        page = self.page(text)
        found = [*page.faults, *quotations.check(self.root, page), *names.check(self.known(), page)]
        return [str(fault) for fault in sorted(found)]

    def assert_fault(self, text: str, line: int, words: str) -> None:
        found = self.faults(text)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"notes/page.md:{line}: "), found[0])
        self.assertIn(words, found[0])


class Quotations(Notes):
    def quote(self, text: str) -> str:
        return f"# Page\n\n```cpp\n{textwrap.dedent(text)}```\n"

    def test_true_ones(self):
        for text in (
            "// common/sum.cpp\nint add(int a, int b);\n",
            "// common/sum.cpp, add()\n// ...\n  const int sum = a + b;\n// ...\n  }\n  return sum;\n}\n",
            "// common/sum.cpp, add()\nif (sum < 0) {\n  return 0;\n}\n",
            "// common/sum.cpp, twice()\nint twice(int a) { return add(a, a); }\n",
            "// common/sum.cpp, Pair\nstruct Pair {\n  int first;\n",
        ):
            self.assertEqual(self.faults(self.quote(text)), [])

    def test_wrong_ones(self):
        for text, line, words in (
            ("// common/sum.cpp\nint add(int a, int b) {\n  int sum = a + b;\n", 6, "not in common/sum.cpp: int sum"),
            # A line left out in silence, lines in another order, indented in another way, of another function.
            ("// common/sum.cpp, add()\nint add(int a, int b) {\n  return sum;\n", 6, "not in common/sum.cpp, add"),
            ("// common/sum.cpp, add()\n  return sum;\n// ...\n  if (sum < 0) {\n", 7, "if (sum < 0)"),
            ("// common/sum.cpp, add()\nif (sum < 0) {\nreturn 0;\n", 6, "return 0;"),
            ("// common/sum.cpp, add()\nint first;\n", 5, "not in common/sum.cpp, add"),
            ("// common/sum.cpp, subtract()\nint a;\n", 4, "has no subtract"),
            ("// common/product.cpp\nint a;\n", 4, "there is no file common/product.cpp"),
            ("int add(int a, int b);\n", 4, "name what is quoted"),
        ):
            self.assert_fault(self.quote(text), line, words)

    def test_diffs(self):
        true = "\n".join(quotations.diff(self.root, "common/sum.cpp", "common/other.cpp"))
        block = f"```diff\n{true}\n```\n"
        self.assertEqual(self.faults(block), [])
        self.assert_fault(block.replace("+  if (sum < 1)", "+  if (sum < 2)"), 7, "+  if (sum < 1)")
        self.assert_fault(block.replace("common/other.cpp", "common/gone.cpp"), 2, "there is no file common/gone.cpp")
        self.assert_fault("```diff\n-a\n+b\n```\n", 2, "name the two files")

    def test_a_diff_is_refreshed(self):
        page = self.page("```diff\n--- common/sum.cpp\n+++ common/other.cpp\n```\n")
        quotations.refresh(self.root, page)
        self.assertEqual(self.faults("\n".join(page.lines)), [])

    def test_patches(self):
        self.assertEqual(self.faults("```diff\n# common/sum.patch\n-  a\n```\n"), [])
        self.assert_fault("```diff\n# common/sum.patch\n-  c\n```\n", 3, "not in common/sum.patch")
        self.assert_fault("```diff\n# common/sum.patch\n+  b\n-  a\n```\n", 4, "not in common/sum.patch: -  a")

    def test_blocks(self):
        self.assert_fault("```\nwhat is it?\n```\n", 1, "not ''")
        self.assert_fault("```cpp\n```\n", 1, "empty")
        for language in ("text", "sh"):
            self.assert_fault(f"```{language}\n$ ls\n```\n", 2, "console")
            self.assert_fault(f"```{language}\n2| $ ls\n```\n", 2, "console")
        self.assertEqual(self.faults("```rust\n" + "f();\n" * 4 + "```\n"), [])
        self.assert_fault("```rust\n" + "f();\n" * 5 + "```\n", 6, "four lines at most")
        self.assert_fault("```text\nno end\n", 1, "has no end")


class Names(Notes):
    def test_true_ones(self):
        text = """\
            # A heading, with `code`
            [here](page.md#a-heading-with-code), [there](../common/sum.cpp), [far](https://example.org/x)
            `common/sum.cpp` `sum.cpp` `add()` `poll(2)` `--port N` promise 6 `ninja -C build demo`
            ```sh
            meson test -C build --suite unit && meson test -C build http --repeat 50
            build/stage1_single_thread/stage1 --port 1 | tail; build/tests/promises --only 1 -- ./mine --what {port}
            git diff --no-index common/sum.cpp common; python3 tests/bench/exercises.py --build x 1.1
            ```
            Exercise 1.1, and promises 1, 2 and 17.
            """
        self.assertEqual(self.faults(text), [])

    def test_wrong_ones(self):
        for text, words in (
            ("[a](gone.md)", "the link leads nowhere: gone.md"),
            ("[a](page.md#gone)", "has no heading #gone"),
            ("[a](#gone)", "has no heading #gone"),
            ("`common/gone.cpp`", "there is no file common/gone.cpp"),
            ("`gone.hpp`", "there is no file gone.hpp"),
            ("`subtract()`", "no function of ours is called subtract()"),
            ("`--gone`", "none of the programs knows --gone"),
            ("promise 18", "there is no promise 18"),
            ("promises 4 to 19", "there is no promise 19"),
            ("the eighteen promises", "there are 17 promises, not eighteen"),
            ("fifteen wrong turns", "there are 0 wrong turns, not fifteen"),
            ("exercise 4.8", "there is no exercise 4.8"),
            ('[a](gone.md "title")', "the link leads nowhere: gone.md"),
            ("`ninja -C build gone`", "there is no target gone"),
            ("`meson compile -C build gone`", "there is no target gone"),
            ("`meson test -C build --suite gone`", "there is no suite gone"),
            ("`meson test -C build gone`", "there is no test gone"),
        ):
            self.assert_fault(f"# Page\n\n{text}\n", 3, words)

    def test_commands_in_blocks(self):
        for command, words in (
            ("build/stage1_single_thread/stage1 --gone 1", "stage1 does not know --gone"),
            ("build/stage1/stage1 --port 1", "there is no program build/stage1/stage1"),
            ("python3 tests/bench/exercises.py --gone", "exercises.py does not know --gone"),
            ("cat common/gone.cpp | head", "there is no file common/gone.cpp"),
            ("git diff stage9_gone", "there is no file stage9_gone"),
            ("put_in gone", "there is no wrong turn gone"),
        ):
            self.assert_fault(f"```sh\nls\n{command}\n```\n", 3, words)
            self.assert_fault(f"```console\n1| $ ls\n2| $ {command}\n```\n", 3, words)


class Words(Notes):
    def test_each_kind_of_fault(self):
        of_40, of_41 = ("One" + " more" * (count - 1) + "." for count in (40, 41))
        for text, fault in (
            ("The accept queue, a page fault, `the queue`, [here](at_once.md). It waits for it.", None),
            (f"{of_40} {of_40}", None),
            (f"Short.\n\nShort, too. {of_41}", "3: a sentence of 41 words: One more"),
            ("- It is\n  done at\n  once.", "1: 'at once': immediately"),
            ("| a | the queue |", "1: 'the queue': the accept queue, or the job queue"),
            ("One.\n\n## A fault\n", "3: 'fault': bug"),
            ("It waits, for it is slow.", "1: ', for it': because"),
            ("The kernel accepts it.", "1: 'kernel accepts': the kernel completes"),
            ("Then main waits.", "1: 'main waits': the main thread"),
        ):
            with self.subTest(text):
                found = [str(one) for one in words.check(self.page(text))]
                self.assertEqual(len(found), 1 if fault else 0, found)
                self.assertIn(fault or "", "".join(found))


class Exercises(Notes):
    def test_each_kind_of_fault(self):
        chapter, answer = "notes/chapter.md", "notes/answers/1.md"
        changes = "exercise 1.1 changes code, or it does not"
        long_hint = EXERCISE.replace("HINT", "Write `int a_long_name_for_the_answer\n= 42;`")
        for files, fault in (
            ({}, None),
            ({answer: "nothing\n"}, "notes/chapter.md:1: exercise 1.1 has no answer of that title"),
            ({answer: ANSWER.replace("Pages", "Threads")}, "notes/chapter.md:1: exercise 1.1 has no answer of that title"),
            ({answer: ANSWER + "### 1.10 More\n\nYes.\n"}, "notes:1: there is no exercise 1.10, but an answer"),
            ({answer: "### 1.1 Pages\n\nYes.\n"}, "notes/answers/1.md:1: the answer to 1.1 does not name 1.1_pages.patch"),
            ({answer: "### 1.1 Pages\n"}, "notes/answers/1.md:1: the answer to 1.1 is empty"),
            ({chapter: EXERCISE + EXERCISE}, "notes/chapter.md:10: there is another exercise 1.1"),
            ({chapter: EXERCISE.replace("HINT", "")}, "notes/chapter.md:1: exercise 1.1 has no hint"),
            ({chapter: EXERCISE.replace("</details>", "")}, "notes/chapter.md:1: exercise 1.1 has no hint"),
            ({chapter: long_hint}, "notes/chapter.md:1: the hint of 1.1 is the answer"),
            ({"notes/other.md": ""}, "notes/other.md:1: notes/README.md does not name it"),
            ({"notes/answers/1.1_pages.patch": None}, f"notes/chapter.md:1: {changes}"),
            ({"tests/bench/chapter_1.py": ""}, f"notes/chapter.md:1: {changes}"),
            ({"notes/answers/1.3_gone.patch": ""}, "notes:1: there is no exercise 1.3"),
        ):
            with self.subTest(files):
                self.setUp()
                self.write(chapter, EXERCISE)
                self.write("notes/README.md", "[a](chapter.md)")
                self.write(answer, ANSWER)
                self.write("notes/answers/1.1_pages.patch", "+++ b/x\n+  int a_long_name_for_the_answer = 42;\n")
                for name, text in files.items():
                    self.write(name, text or "")
                    if text is None:
                        (self.root / name).unlink()
                found = [str(one) for one in completeness.check(self.root)]
                self.assertEqual(any(one.startswith(fault) for one in found) if fault else not found, True, found)


class Transcripts(Notes):
    def setUp(self):
        super().setUp()
        hurry = mock.patch("transcripts.HAND", 0.3)  # shell commands begin faster than servers
        hurry.start()
        self.addCleanup(hurry.stop)
        self.write("build/stage1_single_thread/stage1", SERVER)
        (self.root / "build/stage1_single_thread/stage1").chmod(0o755)

    def run_page(self, text: str, patience: float = 60) -> list[str]:
        document = self.page(f"```console\n{textwrap.dedent(text)}```\n")
        return [str(fault) for fault in Transcript(self.root, document, patience=patience).run()]

    def assert_run(self, text: str, start: str) -> None:
        found = self.run_page(text, patience=1.5)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(start), found[0])

    def test_true_ones(self):
        self.assertEqual(self.run_page("$ echo a; echo b\na\nb\n$ cd common; ls -1\nother.cpp\n...\n$ echo 'a\n> b'\na\nb\n"), [])

    def test_what_comes_late_where_the_end_is_open(self):
        self.assertEqual(self.run_page("1| $ echo a; sleep 1; echo b\n1| a\n1| ...\n2| $ echo c\n2| c\n"), [])

    def test_what_differs(self):
        for text, start in (
            ("$ echo a; echo b\na\nc\n", "notes/page.md:4: terminal 1 printed something else"),
            ("$ echo a; echo b\na\n$ echo c\nc\n", "notes/page.md:3: terminal 1 printed something else"),
            ("$ echo a\na\nb\n", "notes/page.md:4: terminal 1 printed something else"),
            ("$ echo a\na\n$ sleep 1; echo b\n", "notes/page.md:6: terminal 1 printed something else"),
            ("$ sleep 9\n$ echo a\na\n", "notes/page.md:3: 'sleep 9' still runs in terminal 1"),
        ):
            self.assert_run(text, start)

    def test_what_is_left_running(self):
        self.assert_run("1| $ sleep 9\n2| $ echo a\n2| a\n", "notes/page.md:6: terminal 1 is left with 'sleep 9' running")

    def test_nothing_to_end(self):
        self.assert_run("1| $ echo a\n1| a\n1| ^C\n", "notes/page.md:4: nothing runs in terminal 1 that ^C could end")

    def test_a_server_gets_a_port_of_its_own(self):
        text = """\
            1| $ build/stage1_single_thread/stage1 --sleep-ms 5
            1| Listening on http://127.0.0.1:7878
            2| $ cat arguments; echo 127.0.0.1:7878 | tr 0-9 a-j
            2| --port 0 --sleep-ms 5
            2| bch.a.a.b:ehbb
            1| ^C
            """
        # "--port 0" is what bash repeats of a job, and so left out of what was printed.
        self.assertEqual(self.run_page(text.replace("--port 0 --sleep-ms", "...\n2| ").replace("2|  5\n", "")), [])
        self.assertIn("--port 0 --sleep-ms 5", (self.root / "arguments").read_text())

    def test_refreshed(self):
        document = self.page("```console\n$ echo a; echo b\nx\n$ echo c\n```\n")
        self.assertEqual(Transcript(self.root, document, refresh=True).run(), [])
        self.assertEqual(document.lines[:6], ["```console", "$ echo a; echo b", "a", "b", "$ echo c", "c"])

    def test_refreshed_where_terminals_alternate(self):
        document = self.page("```console\n1| $ cat\n2| $ cat <<.\n> x\n> .\n2| y\n1| ^C\n1| $ echo b\n1| z\n```\n".replace("> ", "2| > "))
        self.assertEqual(Transcript(self.root, document, refresh=True).run(), [])
        self.assertEqual(document.lines[5:9], ["2| x", "1| ^C", "1| $ echo b", "1| b"])


class Scrubbing(unittest.TestCase):
    def assert_same(self, one: str, other: str, same: bool = True) -> None:
        self.assertEqual(agree(one.split("\n"), other.split("\n"), measured=False), same, (one, other))

    def test_what_may_differ(self):
        self.assert_same("Worker 0 got a job; executing.", "Worker 3 got a job; executing.")
        self.assert_same("Worker 1 disconnected\nShutting down worker 2", "Shutting down worker 2\nWorker 1 disconnected")
        self.assert_same("200 after 4.000711 s", "200 after 4.2 s")
        self.assert_same(" client 1  ==========x    cut off", " client 1  .=======x cut off")
        self.assert_same("[1] 123", "[1] 4567")
        self.assert_same("curl: (56) Recv failure", "curl: (56) something else")
        self.assert_same("a\n...\nd", "a\nb\nc\nd")
        self.assert_same("VmRSS: 6572 kB", "VmRSS:  3400 kB")

    def test_what_may_not(self):
        self.assert_same("200 after 0.001 s", "200 after 4.0 s", same=False)
        self.assert_same("5.0 s", "10.0 s", same=False)
        self.assert_same("4.98 s", "2.6 s", same=False)
        self.assert_same("curl: (56) Recv failure", "curl: (52) Recv failure", same=False)
        self.assert_same("Shutting down.\nWorker 1 a", "Worker 1 a\nShutting down.", same=False)
        self.assert_same(" client 5  ..........x", " client 5  ==========x", same=False)
        self.assert_same("answered 6 of 6", "answered 5 of 6", same=False)
        self.assert_same("a\n...\nd", "a\nb\nc", same=False)
        self.assert_same("VmSize: 1645048 kB", "VmSize:  87644 kB", same=False)

    def test_what_is_measured(self):
        self.assertTrue(agree(["p50, ms  1.31  x0.96"], ["p50, ms  2.42   x1.85"], measured=True))
        self.assertTrue(agree(["   1,024    36.9 2,627.6 x71.1   8.7 x2.67"], ["   1,024    3.9 27.6 x1.1   18.7 x0.67"], measured=True))
        self.assertFalse(agree(["p50, ms  1.31  x0.96"], ["p99, ms  2.42   x1.85"], measured=True))
        self.assertFalse(agree(["    limit     stage 1     stage 2"], ["    limit     stage 2     stage 1"], measured=True))
        self.assertFalse(agree(["   1,024    36.9"], ["     256    36.9"], measured=True))


if __name__ == "__main__":
    unittest.main()
