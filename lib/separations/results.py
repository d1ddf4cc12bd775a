"""The folder of a run: locked and emptied before, its result and sentinel written after, and read again by whoever needs it.

`SUCCESS` is written last and holds the SHA-256 of `result.json`, which holds that of the executed notebook and those of the
tables that it recorded; these lie in `tables/`.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from glob import escape
from pathlib import Path

from .dependencies import file_hash, sha256
from .executed import Outcome, hide_paths, mark_failure, unfinished, without_papermill, without_paths
from .files import write_whole


def is_success(out: str | Path) -> bool:
    """Whether `out` holds a finished run: sentinel, result, executed notebook and tables are there and agree."""
    out = Path(out)
    try:
        content = (out / "result.json").read_bytes()
        if (out / "SUCCESS").read_text(encoding="utf-8").strip() != sha256(content):
            return False
        result = json.loads(content)
        executed = out / Path(result["file"]).name
        tables = all(file_hash(table_path(out, name)) == mark for name, mark in result.get("tables", {}).items())
        return result["status"] == "ok" and result["executed"] == file_hash(executed) and tables
    except (OSError, ValueError, KeyError, TypeError):
        return False


def table_path(out: str | Path, name: str) -> Path:
    """File of a table in a run folder."""
    return Path(out) / "tables" / f"{name}.csv"


def read_result(out: str | Path) -> dict | None:
    """`result.json` of a run folder, or None where there is none that can be read."""
    return _read_json(Path(out) / "result.json")


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a second run out of the folder. The system frees the lock when the process ends, however it ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise ValueError(f"out = {str(out)!r}: no folder that can be written to ({error.strerror})") from None
    with lock as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"out = {str(out)!r}: another run is at work in this folder") from None
        yield


def clean(out: Path, name: str) -> None:
    """Remove what an earlier run of the notebook `name` left, half-written files of a killed one included."""
    # the sentinel first: from here on the folder is no success, whatever happens
    for leftover in (
        "SUCCESS",
        "result.json",
        f"{name}.ipynb",
        f"{name}.failed.ipynb",
        f"{name}.running.ipynb",
        "run.log",
    ):
        for path in (out / leftover, *out.glob(f".{escape(leftover)}.*.tmp")):
            path.unlink(missing_ok=True)
    for folder in ("tables", ".evidence", ".ipython"):
        shutil.rmtree(out / folder, ignore_errors=True)
    for folder in (".evidence", ".ipython"):
        (out / folder).mkdir()


def finish(out: Path, source: Path, outcome: Outcome, result: dict) -> Outcome:
    """Write notebook, result and, only where all went well, the sentinel last. Returns how the run ended after all.

    source: the notebook that was run; outcome: what the execution says; result: what `result.json` is to hold besides.
    """
    running = out / f"{source.stem}.running.ipynb"
    notebook, evidence = _read_json(running), [_read_json(path) for path in sorted((out / ".evidence").glob("*.json"))]
    if outcome.status == "ok":
        problem = unfinished(notebook) if notebook else "the execution left no notebook that can be read"
        if None in evidence:
            problem = problem or "the evidence that the notebook left cannot be read"
        outcome = Outcome("failed", problem, 1) if problem else outcome
    evidence = [record for record in evidence if record is not None]
    tables = {}
    if outcome.status == "ok":  # of a run that failed nobody knows how much of a table is there
        try:
            tables = _keep_tables(out, evidence)
        except (OSError, ValueError) as problem:
            shutil.rmtree(out / "tables", ignore_errors=True)
            reason = getattr(problem, "strerror", None) or problem  # without the path
            outcome = Outcome("failed", f"the tables that the notebook left cannot be kept: {reason}", 1)
    error = hide_paths(outcome.error, source)
    result = {"status": outcome.status, "error": error, **result, "evidence": evidence, "tables": tables}
    if notebook:
        if outcome.status != "ok":
            mark_failure(notebook, outcome)
        target = out / (f"{source.stem}.ipynb" if outcome.status == "ok" else f"{source.stem}.failed.ipynb")
        notebook = without_paths(without_papermill(notebook), source)
        write_whole(target, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
        result |= {"file": target.name, "executed": file_hash(target)}
    running.unlink(missing_ok=True)
    for folder in (".evidence", ".ipython"):
        shutil.rmtree(out / folder, ignore_errors=True)
    content = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    write_whole(out / "result.json", content)
    if outcome.status == "ok":
        write_whole(out / "SUCCESS", sha256(content) + "\n")
    return outcome


def _keep_tables(out: Path, evidence: list[dict]) -> dict[str, str]:
    """Move the tables that the evidence names into `tables/`; returns name -> SHA-256. Others are of no known run."""
    kept: dict[str, str] = {}
    for record in evidence:
        for name in record.get("tables", []):
            if name in kept:
                raise ValueError(f"two ledgers have a table {name!r}")
            target = table_path(out, name)
            target.parent.mkdir(exist_ok=True)
            os.replace(out / ".evidence" / f"{record['notebook'].replace('/', '__')}.{name}.csv", target)
            kept[name] = file_hash(target)
    return kept


def _read_json(path: Path) -> dict | None:
    """A JSON object, or None: a signal may have stopped papermill in the middle of writing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
