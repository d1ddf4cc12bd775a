"""The folder of a run: locked and emptied before, its result and sentinel written after, and read again by whoever needs it.

`SUCCESS` is written last and holds the SHA-256 of `result.json`, which holds that of the executed notebook.
"""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from .dependencies import file_hash, sha256
from .executed import Outcome, hide_paths, mark_failure, unfinished, without_papermill
from .files import write_whole


def is_success(out: str | Path) -> bool:
    """Whether `out` holds a finished run: sentinel, result and executed notebook are there and agree."""
    out = Path(out)
    try:
        content = (out / "result.json").read_bytes()
        if (out / "SUCCESS").read_text(encoding="utf-8").strip() != sha256(content):
            return False
        result = json.loads(content)
        executed = out / f"{Path(result['notebook']).name}.ipynb"
        return result["status"] == "ok" and result["executed"] == file_hash(executed)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_result(out: str | Path) -> dict | None:
    """`result.json` of a run folder, or None where there is none that can be read."""
    try:
        result = json.loads((Path(out) / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a second run out of the folder. The system frees the lock when the process ends, however it ends."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"out = {str(out)!r}: another run is at work in this folder") from None
        yield


def clean(out: Path, name: str) -> None:
    # the sentinel first: from here on the folder is no success, whatever happens
    for leftover in (
        "SUCCESS",
        "result.json",
        f"{name}.ipynb",
        f"{name}.failed.ipynb",
        f"{name}.running.ipynb",
        "run.log",
    ):
        (out / leftover).unlink(missing_ok=True)
    for folder in (".evidence", ".ipython"):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir()


def evidence_in(out: Path) -> list[dict]:
    """What the ledger wrote during the run."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / ".evidence").glob("*.json"))]


def finish(out: Path, source: Path, outcome: Outcome, result: dict) -> Outcome:
    """Write notebook, result and, only where all went well, the sentinel last."""
    name = source.stem
    running = out / f"{name}.running.ipynb"
    if running.is_file():
        notebook = json.loads(running.read_text(encoding="utf-8"))
        problem = unfinished(notebook) if outcome.status == "ok" else ""
        if problem:
            outcome = Outcome("failed", problem, 1)
            result.update(status="failed", error=problem)
        if outcome.status != "ok":
            mark_failure(notebook, outcome)
        target = out / (f"{name}.ipynb" if outcome.status == "ok" else f"{name}.failed.ipynb")
        text = json.dumps(without_papermill(notebook), indent=1, ensure_ascii=False) + "\n"
        write_whole(target, text if outcome.status == "ok" else hide_paths(text, source))
        result["executed"] = file_hash(target)
        running.unlink()
    for folder in (".evidence", ".ipython"):
        shutil.rmtree(out / folder, ignore_errors=True)
    content = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    write_whole(out / "result.json", content)
    if outcome.status == "ok":
        write_whole(out / "SUCCESS", sha256(content) + "\n")
    return outcome
