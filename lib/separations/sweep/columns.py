"""Runs in lines of text: the columns of the tables, fields of CSV, and what tells a run from the others."""

import json
from collections.abc import Iterable, Sequence

from .plan import Run
from .points import one_line
from .standing import Standing

OWN = ("run", "state", "reason", "seconds", "peak_memory_mb")  # columns of the tables that are no parameters


def column(name: str, own: Iterable[str] = OWN) -> str:
    """The column of a parameter in a table: its name, or `parameter.NAME` where the table has a column of that name itself."""
    return f"parameter.{name}" if name in own else name


def csv_lines(rows: Iterable[Iterable]) -> str:
    """Rows of fields as CSV. Text with a line break of any kind stands in quotes, so that it comes back as it was."""
    return "".join(",".join(map(_field, row)) + "\n" for row in rows)


def _field(value) -> str:
    text = "" if value is None else str(value)
    text = text.encode("utf-8", "backslashreplace").decode()  # half a character cannot be written
    if any(mark in text for mark in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text


def index_text(swept: Sequence[str], rows: Iterable[tuple[Run, Standing]]) -> str:
    """The readable index as CSV: run, state, seconds, the parameters that vary, the reason."""
    lines = [["run", "state", "seconds", *map(column, swept), "reason"]]
    for run, how in rows:
        values = run.swept
        lines.append([run.id, how.state, how.seconds, *(_cell(values[name]) for name in swept), how.reason])
    return csv_lines(lines)


def _cell(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def said(run: Run) -> str:
    """The parameters that vary, in a line: 'n=16 width=64'."""
    return " ".join(f"{name}={json.dumps(value) if isinstance(value, str) and not one_line(value) else _cell(value)}" for name, value in run.swept.items())  # fmt: skip
