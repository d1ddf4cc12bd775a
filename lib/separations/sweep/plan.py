"""The runs of a sweep on disk: a folder each, named by what the run is; how each stands is read from the folder alone.

`_build/sweeps/NAME/runs/<hash>/run.json` says what the run is, `result.json` and `SUCCESS` come from `separations.run`. A run
is done when they agree and belong to the present sources; so whoever looks, after whatever happened, sees the same.
"""

import fcntl
import json
import os
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

from ..files import sha256, write_whole
from ..ledger.tables import check_name
from ..run.fingerprint import fingerprint, with_parameters
from ..run.profiles import Book
from ..run.results import is_success, read_result
from .file import Sweep, one_line, watched

STATES = ("done", "running", "failed", "waiting")
CLAIM = ".claim"  # locked by whoever executes the run
OTHER = "the run on disk belongs to other sources than the present ones"
NOTE = "note.txt"  # why a run ended that could not say so itself
OWN = ("run", "state", "reason", "seconds", "peak_memory_mb")  # columns of the tables that are no parameters
PLAN = {
    "file": str,
    "sha256": str,
    "title": str,
    "notebook": str,
    "profile": str,
    "swept": list,
    "seed": (str, NoneType),
}
PLAN |= {"measures": list, "resources": dict, "retries": int, "runs": dict}  # what plan.json holds


class Run:
    """One run of a sweep: its `id`, and all that follows from its place in the plan, looked up when it is asked for."""

    __slots__ = ("_at", "_plan", "id")

    def __init__(self, name: str, plan: "_Planned | _Read", at: int):
        self.id, self._plan, self._at = name, plan, at

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return self._plan.folder / self.id

    @property
    def overrides(self) -> Mapping:
        """Parameters that differ from the notebook's defaults."""
        return self._plan.overrides(self._at)

    @property
    def swept(self) -> Mapping:
        """The parameters that the sweep varies."""
        return self._plan.swept(self._at)

    @property
    def key(self) -> str:
        """Fingerprint of notebook, library, parameters and requirements that a finished run has."""
        return self._plan.key(self._at)


class _Planned:
    """The runs of a sweep file, under the sources as they are now."""

    def __init__(self, sweep: Sweep):
        self.sweep, self.folder = sweep, sweep.folder / "runs"
        self.hashes = fingerprint(sweep.book.notebook(sweep.notebook))

    def overrides(self, at: int) -> Mapping:
        return self.sweep.points[at]

    def swept(self, at: int) -> Mapping:
        full = {**self.sweep.defaults, **self.sweep.points[at]}
        return {name: full[name] for name in self.sweep.swept}

    def key(self, at: int) -> str:
        return with_parameters(self.hashes, self.sweep.points[at])["key"]


class _Read:
    """The runs of a plan on disk."""

    def __init__(self, folder: Path, entries: Sequence[Mapping]):
        self.folder, self.entries = folder, entries

    def overrides(self, at: int) -> Mapping:
        return self.entries[at]["overrides"]

    def swept(self, at: int) -> Mapping:
        return self.entries[at]["swept"]

    def key(self, at: int) -> str:
        return self.entries[at]["key"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands: one of STATES, why, and how long it took."""

    state: str
    reason: str = ""
    seconds: float | None = None


WAITING = Standing("waiting")


def run_id(notebook: str, overrides: dict) -> str:
    """Name of a run's folder: 12 digits of the SHA-256 of notebook and parameters."""
    return sha256(_SORTED.encode([notebook, overrides]))[:12]


_SORTED = json.JSONEncoder(sort_keys=True)  # one for all: a million runs are named in seconds


def runs_of(sweep: Sweep) -> list[Run]:
    """The runs of a sweep, in the order of its file. ValueError where two of them would have one folder."""
    plan, runs, seen = _Planned(sweep), [], set()
    for at, point in enumerate(watched(sweep.points, len(sweep.points), "planning")):
        name = run_id(sweep.notebook, point)
        runs.append(Run(name, plan, at))
        seen.add(name)
    if len(seen) < len(runs):  # 48 bits: once in 500 sweeps of a million runs
        raise ValueError(f"{sweep.file}: two of its {len(runs)} runs would have one folder: run it in two parts")
    return runs


def write_plan(sweep: Sweep, runs: Sequence[Run]) -> Path:
    """Write `plan.json` and each run's `run.json`, as far as they differ from what is there; returns the former."""
    path = sweep.folder / "plan.json"
    for run in runs:
        _write_json(
            run.folder / "run.json",
            {
                "sweep": sweep.name,
                "notebook": sweep.notebook,
                "profile": sweep.book.profile,
                "overrides": dict(run.overrides),
                "literal": repr(dict(run.overrides)),  # JSON makes text of all keys
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
        "profile": sweep.book.profile,
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
    data = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    if not path.is_file() or path.read_bytes() != data:
        write_whole(path, data)


def read_plan(book: Book, name: str, keys: Iterable[str] = tuple(PLAN)) -> tuple[dict, list[Run]]:
    """A sweep as it was last planned, for whoever reads its outcome. keys: what is needed of it, 'swept', 'seed', 'runs' at least.

    ValueError where there is none, or where it is damaged.
    """
    path = book.sweep_folder(name) / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"sweep {name!r} has not run here: there is no {path}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is damaged: it is no JSON; {_AGAIN}") from None
    problem = _plan_fault(plan, keys)
    if problem:
        raise ValueError(f"{path} is damaged: {problem}; {_AGAIN}")
    source = _Read(path.parent / "runs", list(plan["runs"].values()))
    return plan, [Run(key, source, at) for at, key in enumerate(plan["runs"])]


_AGAIN = "remove it and start the sweep again, its finished runs stay"


def _plan_fault(plan, keys: Iterable[str]) -> str:
    """What is wrong with the content of plan.json; nothing where it is sound."""
    if not isinstance(plan, dict):
        return f"it holds a {type(plan).__name__}, not a mapping"
    for key in (key for key in PLAN if key in plan or key in keys):
        if key not in plan:
            return f"{key!r} is missing"
        if not isinstance(plan[key], PLAN[key]) or isinstance(plan[key], bool):
            return f"{key!r} is of another type"
    if not all(isinstance(name, str) for name in (*plan["swept"], *plan.get("measures", []))):
        return "'swept' and 'measures' hold names"
    if ".." in Path(plan.get("notebook", "")).parts or Path(plan.get("notebook", "")).is_absolute():
        return f"'notebook' is {plan['notebook']!r}, outside the book"
    if plan["seed"] is not None and plan["seed"] not in plan["swept"]:
        return f"'seed' is {plan['seed']!r}, which is not in 'swept'"
    if not all(type(value) in (int, NoneType) for value in plan.get("resources", {}).values()):
        return "'resources' are whole numbers"
    return next(
        (f"run = {name!r} is none" for name, run in plan["runs"].items() if not _sound_run(name, run, plan["swept"])),
        "",
    )


def _sound_run(name: str, run, swept: Sequence[str]) -> bool:
    return (
        bool(re.fullmatch(r"[0-9a-f]{12,64}", name))  # a folder, and never another one
        and isinstance(run, dict)
        and isinstance(run.get("key"), str)
        and isinstance(run.get("overrides"), dict)
        and isinstance(run.get("swept"), dict)
        and all(parameter in run["swept"] for parameter in swept)
    )


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
    if not _is_size(result["seconds"]) or not (memory is None or _is_size(memory)):
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


def _is_size(value) -> bool:
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
    there = _entries(runs[0].folder.parent)
    return [standing(run) if run.id in there else WAITING for run in watched(runs, len(runs), "looking")]


def _entries(folder: Path) -> set[str]:
    """Names in a folder; none where it is not there. ValueError where it is no folder that can be read."""
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise ValueError(f"{folder} cannot be read: {error.strerror}") from None


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
        return _entries(path)
    except ValueError:  # a file among the folders is nothing of ours
        return set()


def _ok_result(folder: Path) -> dict | None:
    """The result of a run that ended well, if it says how long it took."""
    try:
        result = read_result(folder) or {}
    except (RecursionError, OverflowError):
        return None
    return result if result.get("status") == "ok" and _is_size(result.get("seconds")) else None


def estimate(sweep: Sweep, runs: Sequence[Run], past: Mapping[str, Sequence[float]]) -> float | None:
    """Seconds that runs will take one after another, from past runs of the notebook; None where there is none.

    The nearest counts: the same run, else the median of the same sweep, of the same profile, of all.
    """
    expected = expected_seconds(sweep, past)
    return None if expected is None else sum(expected(run.id) for run in runs)


def expected_seconds(sweep: Sweep, past: Mapping[str, Sequence[float]]) -> Callable[[str], float] | None:
    """What `estimate` takes for one run, by its id; None where the notebook has not run yet."""
    if not past:
        return None
    near = past.get(sweep.name) or past.get(f"profile {sweep.book.profile}")
    usual = statistics.median(near or [seconds for values in past.values() for seconds in values])
    return lambda name: statistics.median(past[name]) if name in past else usual
