#!/usr/bin/env python3
"""The handout, for the printer: handout.pdf for the class, handout-answers.pdf for who teaches it.

From notes/handout.md and the questions of notes/instructor.md, with a figure that is played for it. The PDF is made by
weasyprint or Chromium; where neither is there, the pages are left as HTML, which a browser prints.
"""

import argparse
import html
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent

STYLE = """
@page { size: A4; margin: 14mm 18mm; @bottom-right { content: counter(page) " of " counter(pages); font: 8pt sans-serif } }
body { font: 9.5pt/1.3 "DejaVu Sans", sans-serif; color: black }
h1 { font-size: 16pt; margin: 0 0 2mm }
h2 { font-size: 11.5pt; margin: 4mm 0 1mm }
p, ul, ol { margin: 1mm 0 }
table { border-collapse: collapse; margin: 1mm 0 }
td, th { border: 0.4pt solid #999; padding: 0.6mm 2mm; text-align: left; vertical-align: top }
code { font-size: 9pt }
figure { margin: 2mm 0 }
img { width: 82% }
.name { border-bottom: 0.4pt solid black; margin: 0 0 3mm; padding-bottom: 1mm }
.questions { break-before: page }
.line { border-bottom: 0.4pt solid #777; height: 8mm }
.answer { margin-left: 5mm; color: #333 }
li, tr, .question { break-inside: avoid }
"""


def inline(text: str) -> str:
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"\*([^*]+)\*", r"<i>\1</i>", text)
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text)  # nobody follows a link on paper


def table(lines: list[str]) -> str:
    rows = [[inline(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    head, body = rows[0], rows[2:]
    made = "".join(f"<th>{cell}</th>" for cell in head) if any(head) else ""
    return f"<table><tr>{made}</tr>" + "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in body) + "</table>"


def listed(lines: list[str]) -> str:
    kind = "ul" if lines[0].startswith("- ") else "ol"
    items = re.split(r"(?m)^(?:- |\d+\. )", "\n".join(lines))[1:]
    return f"<{kind}>" + "".join(f"<li>{inline(' '.join(item.split()))}</li>" for item in items) + f"</{kind}>"


def converted(markdown: str) -> Iterator[str]:
    """The little of Markdown that a handout needs."""
    for block in re.split(r"\n{2,}", markdown.strip()):
        lines = block.splitlines()
        if heading := re.fullmatch("(#+) (.*)", block):
            yield f"<h{len(heading[1])}>{inline(heading[2])}</h{len(heading[1])}>"
        elif lines[0].startswith("|"):
            yield table(lines)
        elif re.match(r"- |\d+\. ", lines[0]):
            yield listed(lines)
        else:
            yield f"<p>{inline(' '.join(lines))}</p>"


def questions(page: str) -> Iterator[tuple[str, str]]:
    """Each with its answer, which stands there in bold."""
    section = page.partition("\n## Questions, and what you will hear\n")[2].partition("\n## ")[0]
    for item in re.split(r"(?m)^\d+\. ", section)[1:]:
        question, _, rest = " ".join(item.split())[1:].partition('"* ')
        yield question.strip('"'), rest.split("**")[1]


def handout(figure: str, answers: bool) -> str:
    title, _, rest = (ROOT / "notes/handout.md").read_text().partition("\n\n")
    body = [*converted(title), '<p class="name">Name, date:</p>' if not answers else "<p><i>With answers</i></p>"]
    body += [f'<figure><img alt="{html.escape(title)}" src="{figure}"></figure>', *converted(rest)]
    body += ['<h2 class="questions">Seven questions</h2>']
    for number, (question, answer) in enumerate(questions((ROOT / "notes/instructor.md").read_text()), 1):
        room = f'<p class="answer">{inline(answer)}</p>' if answers else '<div class="line"></div>' * 3
        body.append(f'<div class="question"><p>{number}. {inline(question)}</p>{room}</div>')
    page = "\n".join(body)
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Handout</title><style>{STYLE}</style>{page}</html>'


def to_pdf(page: Path, pdf: Path) -> bool:
    """False if nothing here can."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if shutil.which("weasyprint"):
        subprocess.run(["weasyprint", "-q", page, pdf], check=True)
    elif chromium:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={pdf}"]
        subprocess.run([chromium, *flags, page.as_uri()], check=True, capture_output=True)
    else:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="the folder for it")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    command = [arguments.lab.resolve(), "--scene", "ctrl-c", "--save", output / "handout"]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    for name, answers in ("handout", False), ("handout-answers", True):
        page = output / f"{name}.html"
        page.write_text(handout("handout.svg", answers))
        if to_pdf(page, output / f"{name}.pdf"):
            print(output / f"{name}.pdf")
        else:
            print(f"{page}: print it from a browser; for a PDF, install weasyprint or chromium.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
