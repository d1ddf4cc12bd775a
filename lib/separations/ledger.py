"""Claims and evidence: every claim of a source has an id; a notebook records what it found.

Claims are registered in claims.yml. A notebook opens one `Ledger` under its own path and records evidence (a verdict on a
claim), measures (raw numbers, compared with the golden ones by the tests) and tables (all that is behind a figure). If the
environment variable SEPARATIONS_EVIDENCE names a folder, each call rewrites one JSON file there, whole, and a table its own
CSV file beside it; otherwise nothing is written.
"""

import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from .files import write_whole
from .tables import check_name, table_text
from .version import __version__

VERDICTS = ("holds", "holds in part", "differs")


@dataclass(frozen=True)
class Claim:
    """A statement of a source: where it stands, our wording of it, and what the source reports."""

    id: str
    source: str
    where: str
    kind: str
    statement: str
    reported: str = ""


@cache
def load_claims() -> dict[str, Claim]:
    """All registered claims by id, in the order of claims.yml."""
    table = yaml.safe_load(files("separations").joinpath("claims.yml").read_text(encoding="utf-8"))
    return {key: Claim(id=key, **{name: str(value) for name, value in entry.items()}) for key, entry in table.items()}


@dataclass
class Ledger:
    """Evidence of one notebook, named by its path in book/ without extension, as 'foundations/13_two_scores'."""

    notebook: str
    version: str = __version__
    claims: list[dict] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)

    def __post_init__(self):
        if not self.notebook or self.notebook.endswith(".ipynb") or self.notebook.startswith("/"):
            raise ValueError(
                f"notebook = {self.notebook!r}: its path in book/ without extension is needed, as 'foundations/13_two_scores'"
            )
        self._write()

    def record(self, claim: str, ours: str, verdict: str, figure: str = "") -> None:
        """Record what this notebook found about a claim. verdict: 'holds', 'holds in part' or 'differs'."""
        if claim not in load_claims():
            raise ValueError(f"claim = {claim!r} is not registered in claims.yml; known: {', '.join(load_claims())}")
        if verdict not in VERDICTS:
            raise ValueError(f"verdict = {verdict!r}: one of {', '.join(VERDICTS)} is needed")
        if not ours.strip():
            raise ValueError("ours is empty: say in a few words, with the number, what was found")
        entry = {"id": claim, "ours": ours, "verdict": verdict, "figure": figure}
        self.claims = [c for c in self.claims if c["id"] != claim] + [entry]
        self._write()

    def measure(self, name: str, value: float) -> float:
        """Record a raw number under a name that is unique in the notebook, and return it."""
        value = float(value)
        if not math.isfinite(value):
            raise ValueError(f"value = {value} for the measure {name!r}: a finite number is needed")
        self.measures[name] = value
        self._write()
        return value

    def table(self, name: str, rows: Sequence[Mapping], digits: int | None = None) -> None:
        """Record a table under a name that is unique in the notebook: `<notebook with __>.<name>.csv`, whole or not at all.

        rows: mappings with the same keys to finite numbers, text or None (nothing there: never reached, not measured);
        digits: significant digits of floats, None for all that it takes to read the same number back. ValueError for no
        rows, differing keys, other values, or a name that is not of small letters, digits and _.
        """
        text, path = table_text(rows, digits), evidence_path(self.notebook, f".{check_name(name)}.csv")
        if path:
            write_whole(path, text)
        self.tables = [other for other in self.tables if other != name] + [name]
        self._write()  # after the table: what the evidence names is there

    def _write(self) -> None:
        path = evidence_path(self.notebook, ".json")
        if path:
            write_whole(path, json.dumps(asdict(self), indent=1) + "\n")


def evidence_path(notebook: str, ending: str) -> Path | None:
    """File of a notebook in the folder that SEPARATIONS_EVIDENCE names; None where it names none."""
    folder = os.environ.get("SEPARATIONS_EVIDENCE")
    return Path(folder) / (notebook.replace("/", "__") + ending) if folder else None


def read_evidence(path: Path) -> dict:
    """Evidence file of one notebook as a dictionary with notebook, version, claims and measures."""
    evidence = json.loads(Path(path).read_text(encoding="utf-8"))
    missing = {"notebook", "version", "claims", "measures"} - set(evidence)
    if missing:
        raise ValueError(f"path = {path}: no evidence file, it lacks {', '.join(sorted(missing))}")
    return evidence


def written_for(version: str) -> None:
    """Warn in one line if the installed library is not the version a notebook was written for."""
    if version != __version__:
        message = (
            f"this notebook was written for separations {version}, and {__version__} is installed: results may differ"
        )
        warnings.warn(message, stacklevel=2)
