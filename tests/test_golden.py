"""Golden numbers: what the notebooks measured, compared with expected values and their tolerances.

tests/golden/<notebook path with __>.json maps each measure to {"value": v, "rtol": r} or {"value": v, "atol": a}. The
evidence is what the nbval run of `make test` left behind; the variable SEPARATIONS_GOLDEN names its folder.
"""

import json
import math
import os
from pathlib import Path

import pytest

from separations.book.chapters import notebook_keys
from separations.book.summary import deviations, read_summary
from separations.ledger.ledger import read_evidence
from separations.run.profiles import Book

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
KEYS = notebook_keys(Book(ROOT))


def evidence_folder() -> str:
    """Where the notebooks left their evidence; without `make test` behind us there is none, and that is no failure."""
    folder = os.environ.get("SEPARATIONS_GOLDEN")
    if folder is None:
        pytest.skip("no evidence of an nbval run: `make test` makes it and sets SEPARATIONS_GOLDEN")
    return folder


def evidence_of(name: str) -> dict:
    """Measures that a notebook left."""
    path = Path(evidence_folder()) / f"{name}.json"
    assert path.is_file(), f"{path.name}: the notebook left no evidence; does it open a Ledger?"
    return read_evidence(path)["measures"]


@pytest.mark.parametrize("name", [key.replace("/", "__") for key in KEYS])
def test_measures_agree_with_the_golden_numbers(name):
    measures = evidence_of(name)
    path = GOLDEN / f"{name}.json"
    assert path.is_file(), f"tests/golden/{name}.json is missing; measured: {json.dumps(measures, indent=1)}"
    golden = json.loads(path.read_text())
    assert sorted(measures) == sorted(golden), "measures without golden number, or golden numbers without measure"
    wrong = []
    for measure, entry in golden.items():
        allowed = entry.get("atol", 0.0) + entry.get("rtol", 0.0) * abs(entry["value"])
        if not abs(measures[measure] - entry["value"]) <= allowed:
            wrong.append(f"{measure} = {measures[measure]!r}, expected {entry['value']!r} within {allowed:.3g}")
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_golden_file_has_a_notebook_and_finite_values_with_a_tolerance(path):
    assert path.stem.replace("__", "/") in KEYS
    for measure, entry in json.loads(path.read_text()).items():
        tolerances = set(entry) - {"value", "why"}
        assert tolerances and tolerances <= {"rtol", "atol"}, f"{measure}: a tolerance (rtol or atol) is needed"
        assert math.isfinite(entry["value"]) and all(entry[name] >= 0 for name in tolerances), measure


def test_every_notebook_has_a_golden_file():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {key.replace("/", "__") for key in KEYS}


def test_the_summary_of_the_book_agrees_with_the_evidence():
    folder = Path(evidence_folder())
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    assert deviations(read_summary(Book(ROOT)), records) == {}
