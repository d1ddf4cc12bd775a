"""The runs of a sweep on disk: a folder each, named by what the run is; how each stands is read from the folder alone.

`_build/sweeps/NAME/runs/<hash>/run.json` says what the run is, `result.json` and `SUCCESS` come from `separations.run`. A run
is done when they agree and belong to the present sources; so whoever looks, after whatever happened, sees the same.
"""

import csv
import fcntl
import io
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .dependencies import fingerprint, sha256, with_parameters
from .files import write_whole
from .results import is_success, read_result
from .sweep_file import Sweep

STATES = ("done", "running", "failed", "waiting")
CLAIM = ".claim"  # locked by whoever executes the run
OTHER = "the run on disk belongs to other sources than the present ones"
NOTE = "note.txt"  # why a run ended that could not say so itself


@dataclass(frozen=True)
class Run:
    """One run of a sweep. key: fingerprint of notebook, library, parameters and requirements that a finished run has."""

    id: str
    folder: Path
    overrides: Mapping
    swept: Mapping  # the parameters that the sweep varies
    key: str


@dataclass(frozen=True)
class Standing:
    """How a run stands: one of STATES, why, and how long it took."""

    state: str
    reason: str = ""
    seconds: float | None = None


def sweep_folder(root: Path, name: str) -> Path:
    """Folder of a sweep."""
    return root / "_build" / "sweeps" / name


def run_id(notebook: str, overrides: Mapping) -> str:
    """Name of a run's folder: 12 digits of the SHA-256 of notebook and parameters."""
    return sha256(json.dumps([notebook, dict(overrides)], sort_keys=True))[:12]


def runs_of(sweep: Sweep, root: Path) -> list[Run]:
    """The runs of a sweep, in the order of its file. ValueError where its folder belongs to another file."""
    folder = sweep_folder(root, sweep.name)
    base = fingerprint(root / "book" / f"{sweep.notebook}.ipynb")
    runs = []
    for overrides in sweep.points:
        name, full = run_id(sweep.notebook, overrides), {**sweep.defaults, **overrides}
        swept = {parameter: full[parameter] for parameter in sweep.swept}
        runs.append(Run(name, folder / "runs" / name, overrides, swept, with_parameters(base, overrides)["key"]))
    return runs


def write_plan(sweep: Sweep, root: Path, runs: Sequence[Run]) -> Path:
    """Write `plan.json` and each run's `run.json`, as far as they differ from what is there; returns the former."""
    path = sweep_folder(root, sweep.name) / "plan.json"
    for run in runs:
        _write_json(
            run.folder / "run.json",
            {
                "sweep": sweep.name,
                "notebook": sweep.notebook,
                "profile": sweep.profile,
                "overrides": dict(run.overrides),
                "key": run.key,
                "timeout": sweep.timeout,
                "limit": sweep.limit,
                "cores": sweep.resources["cores"],
            },
        )
    plan = {
        "file": sweep.file,
        "sha256": sweep.sha256,
        "title": sweep.title,
        "notebook": sweep.notebook,
        "profile": sweep.profile,
        "swept": list(sweep.swept),
        "seed": sweep.seed,
        "measures": list(sweep.measures),
        "resources": dict(sweep.resources),
        "retries": sweep.retries,
        "runs": {run.id: {"key": run.key, "swept": dict(run.swept), "overrides": dict(run.overrides)} for run in runs},
    }
    _write_json(path, plan)
    return path


def _write_json(path: Path, content: Mapping) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text)


def read_plan(root: Path, name: str) -> tuple[dict, list[Run]]:
    """A sweep as it was last planned, for whoever reads its outcome. ValueError where there is none."""
    folder = sweep_folder(root, name)
    try:
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError(f"sweep {name!r} has not run here: there is no {folder / 'plan.json'}") from None
    runs = [
        Run(key, folder / "runs" / key, entry["overrides"], entry["swept"], entry["key"])
        for key, entry in plan["runs"].items()
    ]
    return plan, runs


def claimed(folder: Path) -> bool:
    """Whether somebody executes the run at this moment. The system frees the lock however a process ends."""
    try:
        with (folder / CLAIM).open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def standing(run: Run) -> Standing:
    """How a run stands, read from its folder."""
    if claimed(run.folder):
        return Standing("running")
    result = read_result(run.folder) or {}
    ours = result.get("hashes", {}).get("key") == run.key
    if ours and result["status"] == "ok" and is_success(run.folder):
        return Standing("done", "", result["seconds"])
    note = run.folder / NOTE
    if note.is_file():
        return Standing("failed", note.read_text(encoding="utf-8").strip())
    if ours and result["status"] == "ok":
        return Standing("failed", "its files do not belong together: something changed or cut them")
    if ours:
        reason = " ".join(str(result["error"]).split())
        return Standing("waiting" if reason.startswith("stopped by") else "failed", reason, result["seconds"])
    if result:
        return Standing("waiting", OTHER)
    if (run.folder / "run.log").is_file():
        return Standing("failed", "its process ended without a result: it was killed")
    return Standing("waiting")


def index_text(swept: Sequence[str], rows: Iterable[tuple[Run, Standing]]) -> str:
    """The readable index as CSV: run, state, seconds, the parameters that vary, the reason."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "state", "seconds", *swept, "reason"])
    for run, how in rows:
        values = [_cell(run.swept[name]) for name in swept]
        writer.writerow([run.id, how.state, "" if how.seconds is None else how.seconds, *values, how.reason])
    return text.getvalue()


def _cell(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def said(run: Run) -> str:
    """The parameters that vary, in a line: 'n=16 width=64'."""
    return " ".join(f"{name}={_cell(value)}" for name, value in run.swept.items())


def past_seconds(root: Path, notebook: str) -> dict[str, list[float]]:
    """Seconds of finished runs of a notebook: by sweep, by profile, and by run id where a sweep made it."""
    found: dict[str, list[float]] = {}
    for path in sorted((root / "_build" / "sweeps").glob("*/runs/*/result.json")):
        result = read_result(path.parent)
        if result and result.get("notebook") == notebook and result.get("status") == "ok":
            for name in (path.parents[2].name, path.parent.name):
                found.setdefault(name, []).append(float(result["seconds"]))
    for path in sorted((root / "_build" / "runs").glob(f"*/{notebook}/result.json")):
        result = read_result(path.parent)
        if result and result.get("status") == "ok":
            found.setdefault(f"profile {result['profile']}", []).append(float(result["seconds"]))
    return found


def estimate(sweep: Sweep, runs: Sequence[Run], past: Mapping[str, Sequence[float]]) -> float | None:
    """Seconds that runs will take one after another, from past runs of the notebook; None where there is none.

    The nearest counts: the same run, else the median of the same sweep, of the same profile, of all.
    """
    everything = [seconds for values in past.values() for seconds in values]
    if not everything:
        return None
    near = past.get(sweep.name) or past.get(f"profile {sweep.profile}") or everything
    return sum(statistics.median(past.get(run.id) or near) for run in runs)
