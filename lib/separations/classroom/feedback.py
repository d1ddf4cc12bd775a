"""A page for each student: what counted, what did not, and why."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..files import write_whole
from .grading import Mark

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h2{margin:2rem 0 .3rem;font-size:1.15rem}pre{background:#f3f3f3;padding:.6rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere}
.right{color:#1b6e3c}.wrong{color:#9b2c1f}.open{color:#555}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}.right{color:#7fd49b}.wrong{color:#f09a8c}.open{color:#aaa}}"""


def page(student: str, marks: Sequence[Mark]) -> str:
    """The page of one student, as HTML that needs nothing else."""
    total, of = sum(mark.points for mark in marks), sum(mark.of for mark in marks)
    parts = [f"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{escape(student)}</title>",
             '<meta name="viewport" content="width=device-width,initial-scale=1">', f"<style>{STYLE}</style></head><body>",
             f"<h1>{escape(student)}</h1><p><strong>{total} of {of} points</strong></p>"]  # fmt: skip
    for mark in marks:
        kind = "right" if mark.of and mark.points == mark.of else ("wrong" if mark.answer else "open")
        parts.append(f"<h2>{escape(mark.title or mark.notebook)} <small>{escape(mark.notebook)}</small></h2>")
        parts.append(f'<p class="{kind}">{mark.points} of {mark.of}: {escape(mark.status)}</p>')
        if mark.answer:
            code = "\n\n".join(piece.strip() for piece in mark.answer)[:4000]
            parts.append(f"<details><summary>Your answer</summary><pre>{escape(code)}</pre></details>")
        if mark.output.strip():
            parts.append(f"<details><summary>What it printed</summary><pre>{escape(mark.output)}</pre></details>")
    return "\n".join([*parts, "</body></html>\n"])


def write_pages(marks: Sequence[Mark], folder: Path) -> list[Path]:
    """A page for each student into a folder, named after the student; returns the files."""
    found, taken = [], set()
    for student in dict.fromkeys(mark.student for mark in marks):
        stem = re.sub(r"[^\w.-]+", "_", student).strip("._") or "student"
        name, count = stem, 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.casefold())
        path = folder / f"{name}.html"
        write_whole(path, page(student, [mark for mark in marks if mark.student == student]))
        found.append(path)
    return found
