"""The runs of a sweep on disk: a folder each, named by what the run is, and the plan that lists them.

`_build/sweeps/NAME/runs/<hash>/run.json` says what the run is, `result.json` and `SUCCESS` come from `separations.run`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType

from ..files import sha256, write_whole
from ..run.fingerprint import fingerprint, with_parameters
from ..run.profiles import Book
from .file import Sweep
from .point_checks import watched

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
