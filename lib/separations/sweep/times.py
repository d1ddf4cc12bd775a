"""How long runs will take, from those that have finished here."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..run.profiles import Book
from ..run.results import read_result
from .file import Sweep
from .point_checks import watched
from .standing import entries, is_size


def past_seconds(book: Book, notebook: str) -> dict[str, list[float]]:
    """Seconds of finished runs of a notebook: by sweep, by profile, and by run id where a sweep made it."""
    found: dict[str, list[float]] = {}
    sweeps = book.build / "sweeps"
    for name in sorted(_folders(sweeps)):
        ids = sorted(_folders(sweeps / name / "runs"))
        for run in watched(ids, len(ids), f"times of {name}"):
            result = _ok_result(sweeps / name / "runs" / run)
            if result and result.get("notebook") == notebook:
                for key in (name, run):
                    found.setdefault(key, []).append(float(result["seconds"]))
    runs = book.build / "runs"
    for name in sorted(_folders(runs)):
        result = _ok_result(runs / name / notebook)
        if result:
            found.setdefault(f"profile {result.get('profile')}", []).append(float(result["seconds"]))
    return found


def _folders(path: Path) -> set[str]:
    try:
        return entries(path)
    except ValueError:  # a file among the folders is nothing of ours
        return set()


def _ok_result(folder: Path) -> dict | None:
    """The result of a run that ended well, if it says how long it took."""
    try:
        result = read_result(folder) or {}
    except (RecursionError, OverflowError):
        return None
    return result if result.get("status") == "ok" and is_size(result.get("seconds")) else None


def expected_seconds(sweep: Sweep, past: Mapping[str, Sequence[float]]) -> Callable[[str], float] | None:
    """Seconds that a run will take, by its id, from past runs of the notebook; None where there is none.

    The nearest counts: the same run, else the median of the same sweep, of the same profile, of all.
    """
    if not past:
        return None
    near = past.get(sweep.name) or past.get(f"profile {sweep.book.profile}")
    usual = statistics.median(near or [seconds for values in past.values() for seconds in values])
    return lambda name: statistics.median(past[name]) if name in past else usual
