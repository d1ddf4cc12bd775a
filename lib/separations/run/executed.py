"""The executed notebook: how it ended, whether it is whole, and what of it is kept."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .notebooks import book_root, tags_of

OUTPUT_TEXT = ("text", "evalue", "traceback", "text/plain", "text/html", "text/markdown", "text/latex")


@dataclass(frozen=True)
class Outcome:
    """How a run ended: status ('ok', 'failed', 'timeout', 'stopped'), the error in one line, the exit status."""

    status: str
    error: str = ""
    code: int = 0


def unfinished(notebook: Mapping) -> str:
    """Why an executed notebook is not whole, or ''. Jupyter's own tags say which cells are skipped, and which may fail."""
    for index, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip() or "skip-execution" in tags_of(cell):
            continue
        if cell.get("execution_count") is None:
            return f"cell {index} was not executed"
        if _errors(cell):
            return f"cell {index} ended with an error"
    return ""


def _errors(cell: Mapping) -> list:
    """The errors that a cell put out, and was not to put out."""
    if "raises-exception" in tags_of(cell):
        return []
    return [output for output in cell.get("outputs", []) if output["output_type"] == "error"]


def mark_failure(notebook: dict, outcome: Outcome) -> None:
    """Put the reason into the cell that was running, unless it is the cell's own error, which papermill kept."""
    if outcome.status == "failed" and any(_errors(cell) for cell in notebook["cells"]):
        return
    started = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and cell["metadata"].get("papermill", {}).get("start_time")
    ]
    if started:
        name, _, value = outcome.error.partition(": ")
        error = {"output_type": "error", "ename": name, "evalue": value, "traceback": [outcome.error]}
        started[-1]["outputs"].append(error)


def without_papermill(notebook: dict) -> dict:
    """Drop the metadata of the execution: it holds paths of this machine and times that differ from run to run."""
    for holder in (notebook, *notebook["cells"]):
        for name in ("papermill", "execution"):
            holder["metadata"].pop(name, None)
    return notebook


def hide_paths(text: str, source: Path) -> str:
    """Replace this machine's folders by short names, also where IPython has written the home folder as '~'.

    source: the notebook; its book, the interpreter, the working folder and the home folder are replaced.
    """
    return _hidden(text, _spellings(source))


def _hidden(text: str, spellings: list[tuple[str, re.Pattern, str]]) -> str:
    for spelling, pattern, name in spellings:
        if spelling in text:  # much faster than the pattern, and there may be a hundred thousand lines
            text = pattern.sub(rf"\g<1>{name}", text)
    return re.sub(r"(?:/[\w.+-]+)*/ipykernel_\d+/", "", text) if "/ipykernel_" in text else text


def _spellings(source: Path) -> list[tuple[str, re.Pattern, str]]:
    """The folders to be hidden as they may be written, each with its pattern and the short name."""
    home, here = _folder(Path.home), _folder(Path.cwd)
    python = [(Path(sys.prefix), "<python>")] if sys.prefix != sys.base_prefix else []
    python.append((Path(os.__file__).parent, "<python>"))
    found = []
    for folder, name in [(book_root(source), "."), *python, (here, "."), (home, "~")]:
        if not folder:
            continue
        spellings = [str(folder)] if len(folder.parts) > 1 else []
        if home and home in folder.parents:
            spellings.append(f"~/{folder.relative_to(home)}")
        for spelling in spellings:
            start = r"(^|[^\w.]|\x1b\[[\d;]*m)"  # a colour may stand before it; 'example.org/root' is no folder of ours
            found.append((spelling, re.compile(rf"{start}{re.escape(spelling)}(?![\w-])"), name))
    return found


def _folder(where: Callable[[], Path]) -> Path | None:
    """The home or the working folder; None where there is none."""
    with contextlib.suppress(OSError, RuntimeError, KeyError):
        return where()
    return None


def without_paths(notebook: dict, source: Path) -> dict:
    """Hide this machine's folders in all text that the cells put out; sources and images stay as they are."""
    spellings = _spellings(source)
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for holder in (output, output.get("data", {})):
                for name, value in holder.items():
                    if name in OUTPUT_TEXT and isinstance(value, str):
                        holder[name] = _hidden(value, spellings)
                    elif name in OUTPUT_TEXT and isinstance(value, list):
                        holder[name] = [_hidden(line, spellings) for line in value]
    return notebook
