"""A chapter as its page shows it: number and card on top, parameters as a table, code folded to its idea, solutions closed.

It works on the staged copy; the notebook in `book/` stays as its author wrote it.
"""

import re
from collections.abc import Mapping

from ..run.notebooks import source_of, tags_of
from ..run.parameters import described_parameters
from .folding import folded
from .markup import code, directive, prose
from .pages import list_table

NUMBER = re.compile(r"(\d+)_")
TITLE = re.compile(r"^# (?=\S)", re.MULTILINE)
SOLUTION = re.compile(
    r"^(?P<fence>[`:]{3,})\{solution-start\}(?P<label>[^\n]*)\n(?P<options>(?::[\w-]+:[^\n]*\n)*)", re.MULTILINE
)
FEW = 8  # parameters that stand open in the table


def numbered(text: str, key: str) -> str:
    """A page whose title begins with the number of its file: '# Two scores' of 13_two_scores becomes '# 13 · Two scores'."""
    found = NUMBER.match(key.rpartition("/")[2])
    return TITLE.sub(f"# {found[1]} · ", text, count=1) if found else text


def readable(notebook: dict, key: str, card: str) -> dict:
    """A staged chapter for readers.

    Args:
        notebook: with its outputs.
        key: of the chapter.
        card: MyST of the card; it goes below the title.

    Returns:
        Another notebook; this one stays as it is.
    """
    cells: list[dict] = []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown":
            text = closed_solutions(source_of(cell))
            if number == 0:
                text = below_title(numbered(text, key), card)
            cells.append({**cell, "source": text})
            continue
        if "parameters" in tags_of(cell) and (table := parameter_table(notebook, key)):
            cells.append({"cell_type": "markdown", "id": "parameter-table", "metadata": {}, "source": table})
        cells += folded(cell)
    return {**notebook, "cells": cells}


def below_title(text: str, more: str) -> str:
    """A page with more text between its title and the rest; before all of it where it has no title."""
    found = re.search(r"^# \S[^\n]*\n?", text, re.MULTILINE)
    if not found or not more:
        return f"{more}\n{text}" if more else text
    return f"{text[: found.end()].rstrip()}\n\n{more}\n{text[found.end() :]}"


def closed_solutions(text: str) -> str:
    """MyST in which every solution is closed until a reader opens it."""

    def close(found: re.Match) -> str:
        options = found["options"]
        return (
            found[0]
            if ":class:" in options
            else f"{found['fence']}{{solution-start}}{found['label']}\n:class: dropdown\n{options}"
        )

    return SOLUTION.sub(close, text)


def parameter_table(notebook: Mapping, key: str) -> str:
    """The parameters of a chapter as a table: name, value, meaning, unit; many stand behind a fold after the first. Empty for none."""
    try:
        rows = [
            (code(one.name), code(one.value), prose(one.meaning), prose(one.unit))
            for one in described_parameters(notebook, key)
        ]
    except ValueError:  # the page of a chapter that was refused says why
        return ""
    header = ("Parameter", "Value", "Meaning", "Unit")
    widths, kind = "21 21 42 16", "parameters"
    shown = rows if len(rows) <= FEW + 2 else rows[:FEW]
    parts = [list_table(header, shown, widths, kind)]
    if rest := rows[len(shown) :]:
        table = list_table(header, rest, widths, kind)
        parts.append(
            directive("dropdown", f"{len(rest)} more parameters", table, **{"class-container": "more-parameters"})
        )
    return "\n".join(parts)
