"""How a run of a sweep stands: done, running, failed or waiting, read from its folder alone.

A run is done when its result and sentinel agree and belong to the present sources; so whoever looks, after whatever happened, sees the same.
"""

import fcntl
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..ledger.tables import check_name
from ..run.results import is_success, read_result
from .plan import Run
from .point_checks import watched

STATES = ("done", "running", "failed", "waiting")

CLAIM = ".claim"  # locked by whoever executes the run

OTHER = "the run on disk belongs to other sources than the present ones"

NOTE = "note.txt"  # why a run ended that could not say so itself


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands: one of STATES, why, and how long it took."""

    state: str
    reason: str = ""
    seconds: float | None = None


WAITING = Standing("waiting")


def claimed(folder: Path) -> bool:
    """Whether somebody executes the run at this moment. The system frees the lock however a process ends."""
    try:
        with (folder / CLAIM).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, or none that anybody could lock
        return False
    return False


def checked_result(folder: Path) -> dict:
    """`result.json` of a run; empty where there is none. ValueError where it is damaged or names a file outside the folder."""
    try:
        result = read_result(folder)
    except (RecursionError, OverflowError):
        result = None
    if result is None:
        if (folder / "result.json").exists():
            raise ValueError("its result is damaged: result.json cannot be read, or is none of a run")
        return {}
    try:
        problem = _result_fault(result, folder)
    except (OSError, RuntimeError, ValueError) as error:  # names that no file can have, links in a circle
        problem = f"{error}"
    if problem:
        raise ValueError(f"its result is damaged: {problem}")
    return result


_FIELDS = {"status": str, "hashes": dict, "error": str, "seconds": int | float}  # of every result

_FIELDS_DONE = {"parameters": dict, "evidence": list, "tables": dict, "file": str, "executed": str}


def _result_fault(result: Mapping, folder: Path) -> str:
    """What is wrong with a result; nothing where it is sound."""
    fields = _FIELDS | (_FIELDS_DONE if result.get("status") == "ok" else {})
    for name, kind in fields.items():
        if not isinstance(result.get(name), kind) or isinstance(result.get(name), bool):
            return f"{name!r} is {'of another type' if name in result else 'missing'}"
    memory = result.get("peak_memory_mb")
    if not is_size(result["seconds"]) or not (memory is None or is_size(memory)):
        return "'seconds' and 'peak_memory_mb' are no sizes"
    tables = result.get("tables", {})
    for name in tables:
        check_name(name)
    files = [f"tables/{name}.csv" for name in tables]
    if "file" in result:
        if not isinstance(result["file"], str) or not result["file"] or Path(result["file"]).name != result["file"]:
            return f"it names the file {result['file']!r}"
        files.append(result["file"])
    place = folder.resolve()
    outside = [name for name in files if not (folder / name).resolve().is_relative_to(place)]
    if outside:
        return f"{outside[0]} leads out of its folder"
    return "" if all(map(_is_record, result.get("evidence", []))) else "its evidence is none"


def is_size(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300


def _is_record(record) -> bool:
    """Whether something is the evidence of a notebook: measures by name, verdicts on claims."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("measures", {}), dict)
        and isinstance(record.get("claims", []), list)
        and all(
            isinstance(claim, dict) and isinstance(claim.get("id"), str) and isinstance(claim.get("verdict"), str)
            for claim in record.get("claims", [])
        )
    )


def standing(run: Run) -> Standing:
    """How a run stands, read from its folder."""
    folder = run.folder
    if claimed(folder):
        return Standing("running")
    try:
        result = checked_result(folder)
    except ValueError as error:
        return Standing("failed", str(error))
    ours = result.get("hashes", {}).get("key") == run.key
    if ours and result["status"] == "ok" and is_success(folder):
        return Standing("done", "", result["seconds"])
    note = folder / NOTE
    if note.is_file():
        return Standing("failed", note.read_text(encoding="utf-8", errors="replace").strip())
    if ours and result["status"] == "ok":
        return Standing("failed", "its files do not belong together: something changed or cut them")
    if ours:
        reason = " ".join(str(result["error"]).split())
        return Standing("waiting" if reason.startswith("stopped by") else "failed", reason, result["seconds"])
    if result:
        return Standing("waiting", OTHER)
    if (folder / "run.log").is_file():
        return Standing("failed", "its process ended without a result: it was killed")
    return WAITING


def standings(runs: Sequence[Run]) -> list[Standing]:
    """How many runs stand. Folders that are not there are not looked for one by one."""
    if not runs:
        return []
    there = entries(runs[0].folder.parent)
    return [standing(run) if run.id in there else WAITING for run in watched(runs, len(runs), "looking")]


def entries(folder: Path) -> set[str]:
    """Names in a folder; none where it is not there. ValueError where it is no folder that can be read."""
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise ValueError(f"{folder} cannot be read: {error.strerror}") from None
