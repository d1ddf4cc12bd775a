"""Evidence of larger profiles: from finished runs alone, stored with hashes, shown beside that of the book."""

import json
from pathlib import Path

import pytest

from separations.book import chapters, evidence, results_page, staging
from separations.files import sha256
from separations.ledger.ledger import load_claims
from separations.run.fingerprint import fingerprint
from separations.run.profiles import Book
from test_staging import CLAIM, leave_run, root, staged  # noqa: F401

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def paper(root):
    """A book whose chapter ran under the profile paper as well."""
    (root / "params" / "paper.yml").write_text("part/01_a: {n: 5}\n")
    entry = {"id": CLAIM, "ours": "ELSEWHERE", "verdict": "holds in part", "figure": ""}
    out = leave_run(root, evidence=[{"notebook": "part/01_a", "claims": [entry]}])
    place = Book(root, "paper").run_folder("part/01_a")
    place.parent.mkdir(parents=True)
    out.rename(place)
    result = json.loads((place / "result.json").read_text())
    result |= {
        "profile": "paper",
        "overrides": {"n": 5},
        "machine": {"system": "Linux", "cores": 8},
        "hashes": fingerprint(root / "book" / "part" / "01_a.ipynb", {"n": 5}),
        "tables": {},
    }
    (place / "result.json").write_text(json.dumps(result))
    (place / "SUCCESS").write_text(sha256(json.dumps(result)))
    return root


def page(root):
    return (staging.stage(Book(root)) / "book" / "appendix" / "results.md").read_text()


def test_a_finished_run_of_another_profile_stands_beside_the_books_own(paper):
    text = page(paper)
    assert "`paper`: [◐ holds in part]{.verdict .verdict-holds-in-part}; ELSEWHERE." in text and "`paper`: 1." in text
    leave_run(
        paper, evidence=[{"notebook": "part/01_a", "claims": [{"id": CLAIM, "ours": "HERE", "verdict": "holds"}]}]
    )
    row = page(paper).partition(f"`{CLAIM}`")[2].partition("* -")[0]
    assert "HERE" in row and "ELSEWHERE" in row


def test_what_is_not_there_says_not_run_and_smoke_is_no_evidence(root):
    text = page(root)
    assert "no evidence of a larger profile yet" in text and "  - not run\n  - not run\n" in text
    for profile in ("smoke", "laptop"):
        with pytest.raises(ValueError, match="no evidence beside the book"):
            evidence.store(Book(root, profile))


def test_evidence_is_stored_from_runs_and_outlives_them(paper, capsys):
    assert evidence.main(["--root", str(paper), "--profile", "paper"]) == 0
    assert capsys.readouterr().out == "book/appendix/evidence/paper.json\n"
    for path in Book(paper, "paper").run_folder("part/01_a").iterdir():
        path.unlink()
    assert "ELSEWHERE" in page(paper) and "earlier sources:" not in page(paper)
    assert evidence.main(["--root", str(paper), "--profile", "paper"]) == 1  # no run here; what is stored stays
    assert "NOT RUN: book/part/01_a.ipynb" in capsys.readouterr().err and "ELSEWHERE" in page(paper)
    notebook = paper / "book" / "part" / "01_a.ipynb"
    notebook.write_text(notebook.read_text().replace("print(n)", "print(n, n)"))
    assert "`paper`, earlier sources: [◐ holds in part]{.verdict .verdict-holds-in-part}; ELSEWHERE." in page(paper)


def test_a_record_that_was_edited_by_hand_is_refused(paper):
    path, _ = evidence.store(Book(paper, "paper"))
    path.write_text(path.read_text().replace("ELSEWHERE", "BETTER"))
    with pytest.raises(ValueError, match=r"paper\.json: the record of 'part/01_a' is not as it was written"):
        page(paper)


def test_a_failed_or_stale_run_is_no_evidence(paper):
    place = Book(paper, "paper").run_folder("part/01_a")
    (place / "SUCCESS").unlink()
    assert evidence.from_runs(Book(paper, "paper")) == [] and evidence.store(Book(paper, "paper")) == (
        None,
        ["part/01_a"],
    )


def test_an_unknown_profile_is_refused(root, capsys):
    assert evidence.main(["--root", str(root), "--profile", "huge"]) == 2
    assert "allowed are" in capsys.readouterr().err


def test_the_repositorys_stored_evidence_is_as_it_was_written_and_names_registered_claims():
    for path in (REPOSITORY / "book" / "appendix" / "evidence").glob("*.json"):
        for record in evidence.read_stored(Book(REPOSITORY, path.stem)):
            assert record["notebook"] in chapters.notebook_keys(Book(REPOSITORY))
            for claim in record["claims"]:
                assert claim["id"] in load_claims() and claim["verdict"] in results_page.VERDICT_MARKS
