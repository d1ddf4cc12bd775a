"""Docstrings of the library as reStructuredText, for Sphinx's autodoc: they are written to be read in a terminal."""

import re

MARKS = re.compile(r"([\\*_|])")
BEGINS = re.compile(
    r"\(?(\d+|[A-Za-z]|[ivxlcdm]+|[IVXLCDM]+|#)[.)](\s|$)|[-+]\s|:\w|\.\.|>>>|--?\w"
)  # a list, a field, a directive, a session, an option


def as_rst(lines: list[str]) -> list[str]:
    """A docstring in reStructuredText: `names` become code, indented paragraphs blocks, and no other sign has a meaning."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    found: list[str] = []
    for paragraph in paragraphs:
        if paragraph.startswith("    "):
            found += ["::", "", *paragraph.split("\n"), ""]
        elif paragraph.strip():
            found += [_marked(line.strip()) for line in paragraph.split("\n")] + [""]
    return found


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
