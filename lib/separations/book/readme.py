"""What the README takes from the book: the sentences that say what was found, and figures as they are committed in the notebooks.

`make refresh` writes both; a test fails where they are others than those of the book.
"""

import re
import textwrap

from ..files import write_whole
from ..run.notebooks import read_notebook
from ..run.profiles import Book
from .chapters import chapters
from .figures import figure_png
from .summary import read_summary

FILE = "README.md"
HEADING = "## What it found"
BELOW = "Verdicts, numbers and intervals behind each sentence are on the results page of the book."
FOLDER = "book/_static/readme"
SHOWN = re.compile(rf"\({re.escape(FOLDER)}/([\w-]+)\.png\)")
WIDTH = 128


def with_findings(text: str, says: list[str]) -> str:
    """The text of the README with these sentences, numbered, below their heading. ValueError where it has no such heading."""
    if text.count(f"\n{HEADING}\n") != 1:
        raise ValueError(f"{FILE} has {text.count(HEADING)} headings {HEADING!r}: one is needed")
    before, _, rest = text.partition(f"\n{HEADING}\n")
    _, mark, after = rest.partition("\n## ")
    look = {"width": WIDTH, "break_long_words": False, "break_on_hyphens": False}
    lines = [
        textwrap.fill(one, initial_indent=f"{i}. ", subsequent_indent=" " * len(f"{i}. "), **look)
        for i, one in enumerate(says, 1)
    ]
    return f"{before}\n{HEADING}\n\n" + "\n".join(lines) + f"\n\n{BELOW}\n{mark}{after}"


def pictures(book: Book, text: str) -> dict[str, bytes]:
    """The figures that the README shows, by path. ValueError for a figure that no committed notebook has."""
    notebooks = [read_notebook(item.path) for item in chapters(book)]
    files = {}
    for name in SHOWN.findall(text):
        found = [picture for notebook in notebooks if (picture := figure_png(notebook, name))]
        if not found:
            raise ValueError(f"{FILE} shows {FOLDER}/{name}.png: no notebook has a figure {name!r} with an output")
        files[f"{FOLDER}/{name}.png"] = found[0][0]
    return files


def readme_files(book: Book) -> dict[str, bytes]:
    """The README and its pictures as they should be: path -> content. ValueError as `with_findings` and `pictures`."""
    text = (book.root / FILE).read_text(encoding="utf-8")
    made = with_findings(text, [one.says for one in read_summary(book).sentences])
    return {FILE: made.encode(), **pictures(book, made)}


def write_readme(book: Book) -> list[str]:
    """Bring the README and its pictures up to date; returns the paths that changed."""
    changed = []
    for name, content in readme_files(book).items():
        path = book.root / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
            changed.append(name)
    return changed
