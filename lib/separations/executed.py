"""The executed notebook: how it ended, whether it is whole, and what of it is kept."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .dependencies import book_root


@dataclass(frozen=True)
class Outcome:
    """How a run ended: status ('ok', 'failed', 'timeout', 'stopped'), the error in one line, the exit status."""

    status: str
    error: str = ""
    code: int = 0


def unfinished(notebook: Mapping) -> str:
    """Why an executed notebook is not whole, or ''. papermill marks cells as completed that never ran."""
    for index, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        if cell.get("execution_count") is None:
            return f"cell {index} was not executed"
        if "raises-exception" in cell["metadata"].get("tags", []):
            continue
        if any(output["output_type"] == "error" for output in cell["outputs"]):
            return f"cell {index} ended with an error"
    return ""


def mark_failure(notebook: dict, outcome: Outcome) -> None:
    """Put the reason into the cell that was running, unless it is the cell's own error, which papermill kept."""
    errors = [out for cell in notebook["cells"] for out in cell.get("outputs", []) if out["output_type"] == "error"]
    if errors and outcome.status == "failed":
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
    """Replace this machine's folders, which stand in tracebacks, by short names."""
    folders = [(book_root(source), "."), (Path(sys.prefix), "<python>"), (Path(sys.base_prefix), "<python>")]
    for path, name in [*folders, (Path.cwd(), "."), (Path.home(), "~")]:
        if len(path.parts) > 1:
            text = text.replace(str(path), name)
    return re.sub(r"/tmp/ipykernel_\d+/", "", text)
