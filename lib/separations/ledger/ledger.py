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
from pathlib import Path
from textwrap import shorten

from ..files import write_whole
from ..version import __version__
from ..yaml_files import read_yaml
from .tables import check_name, table_text
from .verdicts import VERDICTS, Finding, Verdict, combined

FIELDS = {"claims": list, "measures": dict, "tables": list}


@dataclass(frozen=True)
class Claim:
    """A statement of a source: where it stands, our wording of it, what the source reports, and whose it is in the landscape."""

    id: str
    source: str
    where: str
    kind: str
    statement: str
    reported: str = ""
    paper: str = ""


@cache
def load_claims() -> dict[str, Claim]:
    """All registered claims by id, in the order of claims.yml."""
    table = read_yaml(Path(__file__).with_name("claims.yml"), "claims")
    return {key: Claim(id=key, **{name: str(value) for name, value in entry.items()}) for key, entry in table.items()}


@dataclass
class Ledger:
    """Evidence of one notebook.

    Attributes:
        notebook: its path in book/ without extension, as 'foundations/13_two_scores'.
        version: of the library.
        claims: records of `record`, the last one for each claim.
        measures: numbers by name, of `measure`.
        tables: names of those that `table` wrote.

    Raises:
        ValueError: for a notebook that is empty, absolute or with its extension.
    """

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

    def record(self, claim: str, ours: str, verdict: Verdict, figure: str = "") -> str:
        """Record what this notebook found about a claim, and return the word for it.

        ours: what was found, in a few words with the numbers; verdict: made by `verdicts.verdict` from findings; figure: the
        name of the figure that shows it.
        """
        if claim not in load_claims():
            raise ValueError(f"claim = {claim!r} is not registered in claims.yml; known: {', '.join(load_claims())}")
        if not isinstance(verdict, Verdict):
            raise ValueError(f"verdict = {verdict!r}: a verdict is made by verdicts.verdict, from findings")
        if not ours.strip():
            raise ValueError("ours is empty: say in a few words, with the number, what was found")
        entry = {"id": claim, "ours": ours, "verdict": verdict.word, "figure": figure}
        entry |= {"scale": verdict.scale, "analogue": verdict.analogue}
        entry |= {"findings": [found.as_record() for found in verdict.findings]}
        self.claims = [c for c in self.claims if c["id"] != claim] + [entry]
        self._write()
        return verdict.word

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
    """Evidence file of one notebook as a dictionary with notebook, version, claims and measures. ValueError names the file."""
    try:
        evidence = strict_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"path = {path}: no evidence file that can be read ({error})") from None
    try:
        check_record(evidence)
        missing = {"notebook", "version", "claims", "measures"} - set(evidence)
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except ValueError as error:
        raise ValueError(f"path = {path}: no evidence file, {error}") from None
    return evidence


def strict_json(text: str | bytes):
    """The value of a JSON text as the standard has it, without NaN and infinities. ValueError for anything else."""

    def refuse(word: str):
        raise ValueError(f"{word} is no JSON number")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def check_record(record: object) -> None:
    """ValueError where a notebook's evidence has not the shape that `Ledger` writes; fields may be missing, but for the notebook."""
    if not isinstance(record, dict) or not isinstance(record.get("notebook"), str) or not record["notebook"]:
        raise ValueError("the evidence does not name its notebook")
    claims, measures, tables = (record.get(name, kind()) for name, kind in FIELDS.items())
    if not all(isinstance(record.get(name, kind()), kind) for name, kind in FIELDS.items()):
        raise ValueError(
            f"claims and tables are to be lists, measures a mapping, in the evidence of {record['notebook']}"
        )
    for claim in claims:
        fields = (
            [claim.get(name, "") for name in ("id", "ours", "verdict", "figure")] if isinstance(claim, dict) else [None]
        )
        if not all(isinstance(field, str) for field in fields) or fields[2] not in VERDICTS or not fields[0]:
            raise ValueError(
                f"claim {shorten(str(claim), 80)}: an id and one of the verdicts {', '.join(VERDICTS)} are needed"
            )
        check_findings(claim)
    for name, value in measures.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (isinstance(value, float) and not math.isfinite(value))
        ):
            raise ValueError(f"measure {name!r} = {shorten(repr(value), 80)}: a finite number is needed")
    for name in tables:
        check_name(name)


def check_findings(claim: Mapping) -> None:
    """ValueError where the verdict of a recorded claim does not follow from its findings. Old records have none, and pass."""
    for name in ("scale", "analogue"):
        if not isinstance(claim.get(name, ""), str):
            raise ValueError(f"claim {claim['id']}: {name} = {shorten(repr(claim[name]), 80)}: a text is needed")
    if "findings" not in claim:
        return
    found = claim["findings"]
    if not isinstance(found, list) or not found:
        raise ValueError(
            f"claim {claim['id']}: findings = {shorten(repr(found), 80)}: a list of at least one is needed"
        )
    word = combined(Finding.from_record(record).verdict for record in found)
    if word != claim["verdict"]:
        raise ValueError(f"claim {claim['id']}: its verdict is said to be {claim['verdict']!r}: {word!r} follows")


def written_for(version: str) -> None:
    """Warn in one line if the installed library is not the version a notebook was written for."""
    if version != __version__:
        message = (
            f"this notebook was written for separations {version}, and {__version__} is installed: results may differ"
        )
        warnings.warn(message, stacklevel=2)
