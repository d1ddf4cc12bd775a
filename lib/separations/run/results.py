"""What a run leaves: its result and its sentinel, written after it, and read again by whoever needs them.

`SUCCESS` is written last and holds the SHA-256 of `result.json`, which holds that of the executed notebook and those of the
tables that it recorded; these lie in `tables/`. Results also come from clusters and colleagues: what is not of this shape, or
names a file outside of its folder, is no result.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from ..files import file_hash, sha256, write_whole
from ..ledger.ledger import check_record, strict_json
from ..ledger.tables import check_name
from .executed import Outcome, hide_paths, mark_failure, unfinished, without_papermill, without_paths
from .folder import PRIVATE, remove, remove_tables

NUMBER = int | float
# Fields of a result, with their types; those that a run without a kernel or of a reader's own making may lack stand below.
NEEDED = {"notebook": str, "status": str, "error": str, "seconds": NUMBER, "hashes": dict, "evidence": list}
OPTIONAL = {
    "format": int,
    "profile": str,
    "parameters": dict,
    "overrides": dict,
    "peak_memory_mb": NUMBER,
    "threads": int,
}
OPTIONAL |= {"versions": dict, "machine": dict, "tables": dict, "file": str, "executed": str, "library": str}


def is_success(out: str | Path) -> bool:
    """Whether `out` holds a finished run: sentinel, result, executed notebook and tables are there, inside of it, and agree."""
    out = Path(out)
    try:
        content = _inside(out, out / "result.json").read_bytes()
        if _inside(out, out / "SUCCESS").read_text(encoding="utf-8").strip() != sha256(content):
            return False
        result = _checked(content)
        if result["status"] != "ok" or result["executed"] != file_hash(_inside(out, out / result["file"])):
            return False
        return all(file_hash(_inside(out, table_path(out, name))) == mark for name, mark in result["tables"].items())
    except (OSError, ValueError, KeyError):
        return False


def table_path(out: str | Path, name: str) -> Path:
    """File of a table in a run folder. ValueError for a name that could lead out of it."""
    return Path(out) / "tables" / f"{check_name(name)}.csv"


def read_result(out: str | Path) -> dict | None:
    """`result.json` of a run folder, or None where there is none that can be read, or none of a result's shape."""
    try:
        return _checked((Path(out) / "result.json").read_bytes())
    except (OSError, ValueError):
        return None


def _inside(out: Path, path: Path) -> Path:
    """The path, if it leads to a file in the folder `out`, links followed. ValueError otherwise."""
    if not path.resolve().is_relative_to(out.resolve()):
        raise ValueError(f"{path} leads out of {out}")
    return path


def _checked(content: bytes) -> dict:
    """A result, if the text is strict JSON and has its shape. ValueError otherwise."""
    result = strict_json(content)
    if not isinstance(result, dict):
        raise ValueError(f"a result is a mapping, not a {type(result).__name__}")
    for name, kind in {**NEEDED, **OPTIONAL}.items():
        value = result.get(name)
        if name not in result and name in OPTIONAL:
            continue
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise ValueError(f"{name} = {value!r} is no {name} of a result")
    for record in result["evidence"]:
        check_record(record)
    result.setdefault("tables", {})
    for name, mark in result["tables"].items():
        if not isinstance(mark, str):
            raise ValueError(f"table {name!r} has no digest")
        check_name(name)
    file = result.get("file", "x")
    if file != os.path.basename(file) or file in ("", ".", ".."):
        raise ValueError(f"file = {file!r} is no name of a file in the folder")
    if not 0 <= result["seconds"] < 1e10 or not all(
        isinstance(item, str) for item in result.get("versions", {}).values()
    ):
        raise ValueError("seconds or versions are none of a result")
    return result


def finish(out: Path, source: Path, outcome: Outcome, result: dict) -> Outcome:
    """Write notebook, result and, only where all went well, the sentinel last. Returns how the run ended after all.

    source: the notebook that was run; outcome: what the execution says; result: what `result.json` is to hold besides.
    OSError, with how the run ended, where not even the result can be written.
    """
    running = out / f"{source.stem}.running.ipynb"
    notebook, (outcome, evidence, tables) = _read_json(running), _evidence(out, running, outcome)
    result = {"status": outcome.status, "error": hide_paths(outcome.error, source), **result}
    result |= {"evidence": evidence, "tables": tables}
    try:
        if notebook:
            result |= _keep_notebook(out, source, outcome, notebook)
        _clear(out, running)
        _write_result(out, result)
    except OSError as error:
        return _without_room(out, running, outcome, result, error)
    return outcome


def _write_result(out: Path, result: Mapping) -> None:
    content = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    content = content.encode("utf-8", "backslashreplace")  # half a character stays what JSON escapes it as
    write_whole(out / "result.json", content)
    if result["status"] == "ok":
        write_whole(out / "SUCCESS", sha256(content) + "\n")


def _without_room(out: Path, running: Path, outcome: Outcome, result: dict, error: OSError) -> Outcome:
    """What to do where the results cannot be written: make room, and leave the result alone, with the reason."""
    reason = f"what the run left cannot be written: {error.strerror or error}"
    reason = f"{outcome.error}; {reason}" if outcome.error else reason
    outcome = Outcome("failed" if outcome.status == "ok" else outcome.status, reason, outcome.code or 1)
    result = {name: value for name, value in result.items() if name not in ("file", "executed")}
    result |= {"status": outcome.status, "error": hide_paths(reason, running), "tables": {}}
    try:
        for name in (
            "SUCCESS",
            running.name,
            running.name.replace(".running.", "."),
            running.name.replace(".running.", ".failed."),
        ):
            (out / name).unlink(missing_ok=True)
        remove_tables(out, _tables_of(result["evidence"]))
        _clear(out, running)
        _write_result(out, result)
    except OSError as second:
        raise OSError(
            second.errno, f"{second.strerror}: no result can be written; the run {outcome.status}: {reason}"
        ) from None
    return outcome


def _clear(out: Path, running: Path) -> None:
    running.unlink(missing_ok=True)
    for folder in PRIVATE:
        remove(out / folder)


def _keep_notebook(out: Path, source: Path, outcome: Outcome, notebook: dict) -> dict:
    """Write the executed notebook; returns the fields of the result that name it."""
    if outcome.status != "ok":
        mark_failure(notebook, outcome)
    target = out / (f"{source.stem}.ipynb" if outcome.status == "ok" else f"{source.stem}.failed.ipynb")
    notebook = without_paths(without_papermill(notebook), source)
    content = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    write_whole(target, content.encode("utf-8", "backslashreplace"))
    return {"file": target.name, "executed": file_hash(target)}


def _evidence(out: Path, running: Path, outcome: Outcome) -> tuple[Outcome, list[dict], dict[str, str]]:
    """How the run ended, judged by what it left; its evidence and, of one that went well, its tables."""
    records, problem = [], ""
    for path in sorted((out / ".evidence").glob("*.json")):
        try:
            record = strict_json(path.read_text(encoding="utf-8"))
            check_record(record)
            records.append(record)
        except (OSError, ValueError) as error:
            problem = f"the evidence that the notebook left cannot be read: {error}"
    if outcome.status != "ok":
        return outcome, records, {}  # of a run that failed nobody knows how much of a table is there
    notebook = _read_json(running)
    problem = (unfinished(notebook) if notebook else "the execution left no notebook that can be read") or problem
    tables: dict[str, str] = {}
    if not problem:
        try:
            tables = _keep_tables(out, records)
        except (OSError, ValueError) as error:
            remove_tables(out, _tables_of(records))
            problem = f"the tables that the notebook left cannot be kept: {getattr(error, 'strerror', None) or error}"
    return (Outcome("failed", problem, 1) if problem else outcome), records, tables


def _tables_of(evidence: list[dict]) -> list[str]:
    return [name for record in evidence for name in record.get("tables", [])]


def _keep_tables(out: Path, evidence: list[dict]) -> dict[str, str]:
    """Move the tables that the evidence names into `tables/`; returns name -> SHA-256. Others are of no known run."""
    kept: dict[str, str] = {}
    for record in evidence:
        for name in record.get("tables", []):
            if name in kept:
                raise ValueError(f"two ledgers have a table {name!r}")
            target = table_path(out, name)
            target.parent.mkdir(exist_ok=True)
            _inside(out, target.parent)
            os.replace(out / ".evidence" / f"{record['notebook'].replace('/', '__')}.{name}.csv", target)
            kept[name] = file_hash(target)
    return kept


def _read_json(path: Path) -> dict | None:
    """A JSON object, or None: a signal may have stopped papermill in the middle of writing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
