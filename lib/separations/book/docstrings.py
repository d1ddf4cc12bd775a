"""Docstrings of the library as reStructuredText, for Sphinx's autodoc: they are written to be read in a terminal."""

import re

MARKS = re.compile(r"([\\*_|])")
BEGINS = re.compile(
    r"\(?(\d+|[A-Za-z]|[ivxlcdm]+|[IVXLCDM]+|#)[.)](\s|$)|[-+]\s|:\w|\.\.|>>>|--?\w"
)  # a list, a field, a directive, a session, an option

SECTIONS = ("Args:", "Attributes:", "Returns:", "Raises:")  # of Google's style


def as_rst(lines: list[str]) -> list[str]:
    """A docstring in reStructuredText: `names` become code, indented paragraphs blocks, sections lists, and no other sign has a meaning."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    found: list[str] = []
    for paragraph in paragraphs:
        head, _, body = paragraph.partition("\n")
        if head in SECTIONS and body.startswith("    "):
            found += [f"**{head}**", "", *_entries(body), ""]
        elif paragraph.startswith("    "):
            found += ["::", "", *paragraph.split("\n"), ""]
        elif paragraph.strip():
            found += [_marked(line.strip()) for line in paragraph.split("\n")] + [""]
    return found


def _entries(body: str) -> list[str]:
    """The indented part of a section as a list; an entry is a line and those that stand deeper."""
    entries = [" ".join(entry.split()) for entry in re.split(r"\n    (?!\s)", body[4:])]
    named = (re.match(r"([\w, *]+): (.*)", entry) for entry in entries)
    return [
        f"* ``{one[1]}``: {_marked(one[2])}" if one else f"* {_marked(entry)}" for one, entry in zip(named, entries)
    ]


def _marked(line: str) -> str:
    parts = re.split(r"`+([^`]+)`+", line)
    text = ("\\" if BEGINS.match(line) else "") + MARKS.sub(r"\\\1", parts[0])
    for code, after in zip(parts[1::2], parts[2::2]):
        before = "" if not text or text[-1] in " ([{-/" else r"\ "
        gap = r"\ " if after[:1].isalnum() else ""
        text += f"{before}``{code}``{gap}" + MARKS.sub(r"\\\1", after)
    return text


def setup(app) -> dict:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", lambda app, what, name, one, options, lines: _replace(lines))
    return {"parallel_read_safe": True}


def _replace(lines: list[str]) -> None:
    lines[:] = as_rst(lines)
