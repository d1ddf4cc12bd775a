"""Ledger: evidence is checked, written whole, and only where asked."""

import json
import math
import warnings

import pytest

import separations
from separations import Ledger, written_for
from separations.ledger.findings import counted
from separations.ledger.ledger import load_claims, read_evidence
from separations.ledger.verdicts import verdict


def test_every_claim_is_complete():
    claims = load_claims()
    assert {"sep.empirical-minimiser", "sep.prop-4.1", "essay.thm-3-early-stopping", "control.eq-3-snr"} <= set(claims)
    for claim in claims.values():
        assert claim.source and claim.where and claim.kind and claim.statement


def test_evidence_is_written_after_each_call(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPARATIONS_EVIDENCE", str(tmp_path))
    notes = Ledger("foundations/13_two_scores")
    lowest = verdict(counted("losses above the least one", 50, 50), "50 perturbations")
    assert notes.record("sep.empirical-minimiser", ours="lowest of 50", verdict=lowest, figure="fig-x") == "holds"
    assert notes.measure("gap", 0.5) == 0.5
    notes.record("sep.empirical-minimiser", ours="lowest of 100", verdict=lowest)
    assert [p.name for p in tmp_path.iterdir()] == ["foundations__13_two_scores.json"]
    evidence = read_evidence(tmp_path / "foundations__13_two_scores.json")
    (entry,) = evidence["claims"]
    (part,) = entry.pop("findings")
    assert entry == {
        "id": "sep.empirical-minimiser", "ours": "lowest of 100", "verdict": "holds", "figure": "",
        "scale": "50 perturbations", "analogue": "",
    }  # fmt: skip
    assert part["what"] == "losses above the least one" and part["estimate"] == 1.0 and part["verdict"] == "holds"
    assert evidence["measures"] == {"gap": 0.5} and evidence["version"] == separations.__version__


def test_nothing_is_written_without_the_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("SEPARATIONS_EVIDENCE", raising=False)
    monkeypatch.chdir(tmp_path)
    Ledger("foundations/13_two_scores").measure("gap", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPARATIONS_EVIDENCE", str(tmp_path))
    notes = Ledger("a/b")
    notes.measure("x", 1)
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        notes.measure("y", 2)
    assert [p.name for p in tmp_path.iterdir()] == ["a__b.json"]
    assert json.loads((tmp_path / "a__b.json").read_text())["measures"] == {"x": 1}


ROWS = [
    {"n": 16, "optimiser": "Adam", "loss": 0.1, "step": None},
    {"optimiser": "a, b", "n": 2, "loss": 1e-300, "step": 5},
]


def test_a_table_is_written_whole_beside_the_evidence_and_named_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPARATIONS_EVIDENCE", str(tmp_path))
    notes = Ledger("foundations/13_two_scores")
    notes.table("runs", ROWS)
    notes.table("other", ROWS)
    notes.table("runs", ROWS[:1])  # the same name again: replaced
    name = "foundations__13_two_scores"
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.json", f"{name}.runs.csv", f"{name}.other.csv"}
    assert (tmp_path / f"{name}.runs.csv").read_text() == "n,optimiser,loss,step\n16,Adam,0.1,\n"
    assert read_evidence(tmp_path / f"{name}.json")["tables"] == ["other", "runs"]
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        notes.table("third", ROWS)
    assert len(list(tmp_path.iterdir())) == 3 and "third" not in notes.tables


def test_a_table_is_checked_where_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("SEPARATIONS_EVIDENCE", raising=False)
    monkeypatch.chdir(tmp_path)
    notes = Ledger("a/b")
    notes.table("runs", ROWS)
    with pytest.raises(ValueError, match="rows is empty"):
        notes.table("runs", [])
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_for_another_version_is_told_in_one_line():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        written_for(separations.__version__)
        assert not caught
        written_for("0.0.1")
    assert len(caught) == 1 and "0.0.1" in str(caught[0].message) and "\n" not in str(caught[0].message)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda n: n.record("sep.nothing", ours="x", verdict=verdict(counted("x", 1, 1), "d = 1")),
            "claim = 'sep.nothing' is not registered",
        ),
        (lambda n: n.record("sep.prop-4.1", ours="x", verdict="holds"), "verdict = .holds.: a verdict is made by"),
        (lambda n: n.record("sep.prop-4.1", ours=" ", verdict=verdict(counted("x", 1, 1), "d = 1")), "ours is empty"),
        (lambda n: n.measure("x", math.nan), "value = nan"),
        (lambda n: n.table("a b", [{"x": 1}]), "name = 'a b'"),
        (lambda n: n.table("../x", [{"x": 1}]), "name = '../x'"),
        (lambda n: n.table("Runs", [{"x": 1}]), "name = 'Runs': small letters"),
        (lambda n: n.table("x", [{"x": math.inf}]), r"rows\[0\]\['x'\] = inf: a finite number is needed, or None"),
        (lambda n: Ledger("13_two_scores.ipynb"), "notebook = "),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(Ledger("a/b"))
