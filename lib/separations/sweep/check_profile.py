"""Whether the chapters start under a profile: parameters valid, first steps run without error, memory so far. On a CPU.

Each chapter that the profile names is executed for a while and then stopped. That a run of hours would end well is not
shown by this; that it does not fail at once is.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import readable
from ..command_line import tell
from ..files import write_whole
from ..machine import threads_in_use
from ..run.fingerprint import fingerprint
from ..run.notebooks import read_notebook, source_of
from ..run.profiles import Book
from .file import check_profile_name
from .local import worker_environment
from .standing import NOTE, checked_result

OTHERS = {"papermill-error-cell-tag", "injected-parameters"}  # cells that papermill added
ON_CPU = {"device": "cpu"}  # instead of what the profile says, where a notebook has such a parameter


def check_chapter(book: Book, key: str, seconds: int) -> dict:
    """Start a chapter under a profile and stop it after some seconds; how it stood then."""
    profile = book.profile
    row = {
        "chapter": key,
        "state": "refused",
        "seconds": None,
        "peak_memory_mb": None,
        "cells": "",
        "at": "",
        "reason": "",
    }
    try:
        overrides = book.overrides(key)
    except ValueError as error:
        return row | {"reason": str(error)}
    overrides |= {name: value for name, value in ON_CPU.items() if overrides.get(name, value) != value}
    folder = book.build / "check" / profile / key
    mark = f"check of {profile}"
    _clear(folder, mark)
    task = {
        "sweep": mark,
        "notebook": key,
        "overrides": overrides,
        "literal": repr(overrides),
        "limit": seconds,
        "timeout": 10 * seconds,
    }
    task |= {"key": fingerprint(book.notebook(key), overrides)["key"], "cores": threads_in_use()}
    write_whole(folder / "run.json", json.dumps(task))
    with (folder / "worker.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "separations.sweep.worker", str(folder), "--root", str(book.root)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=worker_environment(),
        )  # fmt: skip
    return row | _outcome(folder, seconds)


LEFT = (
    "SUCCESS",
    "result.json",
    "run.json",
    NOTE,
    "run.log",
    "worker.log",
)  # by an earlier check; a run clears the rest


def _clear(folder: Path, mark: str) -> None:
    """Remove what an earlier check left. ValueError where the folder holds anything else: it is not ours to remove."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"{folder} was not left by a check: move it away")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        ours = json.loads((folder / "run.json").read_text(encoding="utf-8"))["sweep"] == mark
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise ValueError(f"{folder} was not left by a check: move it away")
    for name in LEFT:
        (folder / name).unlink(missing_ok=True)


def _outcome(folder: Path, seconds: int) -> dict:
    try:
        result = checked_result(folder)
    except ValueError as error:
        return {"state": "failed", "reason": str(error)}
    if not result:
        with contextlib.suppress(OSError):  # stopped before its kernel ran
            return {"state": "failed", "reason": (folder / NOTE).read_text(encoding="utf-8").strip()}
        return {"state": "failed", "reason": "the run left no result"}
    ended = {"seconds": result["seconds"], "peak_memory_mb": result.get("peak_memory_mb")}
    if result["status"] == "ok":
        return ended | {"state": "finished"}
    state = "started" if "took longer than" in result["error"] else "failed"
    at = {}
    if "file" in result and (folder / result["file"]).is_file():
        at = _place(read_notebook(folder / result["file"])["cells"])
    return ended | at | {"state": state, "reason": "" if state == "started" else result["error"]}


def _place(cells: Sequence[dict]) -> dict:
    """How many code cells were done, and under which heading the next one stands."""
    code = [
        cell for cell in cells if cell["cell_type"] == "code" and not OTHERS & set(cell["metadata"].get("tags", []))
    ]
    ended = [cell for cell in code if cell.get("execution_count") and not any(o["output_type"] == "error" for o in cell["outputs"])]  # fmt: skip
    heading, waiting = "", len(ended)
    for cell in cells:
        if cell["cell_type"] == "markdown":
            heads = [line.lstrip("# ") for line in source_of(cell).splitlines() if line.startswith("#")]
            heading = heads[-1] if heads else heading
        elif cell in code:
            if waiting == 0:
                break
            waiting -= 1
    return {"cells": f"{len(ended)} of {len(code)}", "at": heading}


def check_profile(book: Book, keys: Sequence[str], seconds: int) -> int:
    """Check the chapters that a profile names, or some of them, and print a table; 1 if any did not start."""
    check_profile_name(book.profile)
    named = book.named()
    for key in keys:
        if key not in named:
            raise ValueError(f"notebook = {key!r}: profile {book.profile!r} names {', '.join(named) or 'none'}")
    bad = 0
    tell(f"{'chapter':48} {'state':9} {'after':>7} {'memory':>8}  cells done, then")
    for key in keys or named:
        row = check_chapter(book, key, seconds)
        bad += row["state"] not in ("started", "finished")
        after = "" if row["seconds"] is None else f"{row['seconds']:.0f} s"
        memory = readable.memory(row["peak_memory_mb"])
        said = f"{row['cells']}, {row['at']}" if row["cells"] else ""
        reason = f"  {' '.join(row['reason'].split())[:200]}" if row["reason"] else ""
        tell(f"{key:48} {row['state']:9} {after:>7} {memory:>8}  {said}{reason}")
    return 1 if bad else 0
