"""The book without a run: outputs of the notebooks, and only what was recorded with exactly these outputs."""

import json
from pathlib import Path

import pytest

from separations.book import command as book
from separations.book import committed, staging
from separations.run.notebooks import read_notebook
from separations.run.profiles import Book
from test_staging import CLAIM, leave_run, root  # noqa: F401  (a fixture)

REPOSITORY = Path(__file__).resolve().parents[1]
EVIDENCE = [{"notebook": "part/01_a", "claims": [{"id": CLAIM, "ours": "OURS", "verdict": "holds"}]}]


def page(root):
    return (staging.stage(Book(root), committed=True) / "book" / "part" / "01_a.ipynb").read_text()


def test_the_outputs_of_the_notebook_are_shown_without_a_run(root):
    text = page(root)
    assert "STALE" in text and "not executed" not in text and "kept with the notebook" in text
    assert committed.committed_chapters(Book(root))[0].result is None
    assert not (root / "_build" / "stage").exists()


def test_refresh_keeps_what_the_run_recorded_and_the_page_shows_it_with_these_outputs(root):
    leave_run(root, evidence=EVIDENCE)
    book.refresh(Book(root))
    item = committed.committed_chapters(Book(root))[0]
    assert item.result["evidence"] == EVIDENCE and item.result["seconds"] == 61
    text = page(root)
    assert "NEW" in text and "in 1 min 1 s" in text
    assert "OURS" in (root / "_build" / "stage-committed" / "book" / "appendix" / "results.md").read_text()


@pytest.mark.parametrize("change", ["NEW", "png"])
def test_numbers_of_other_outputs_are_left_out(root, change):
    leave_run(root, evidence=EVIDENCE)
    book.refresh(Book(root))
    path = root / "book" / "part" / "01_a.ipynb"
    notebook = read_notebook(path)
    if change == "NEW":
        path.write_text(path.read_text().replace("NEW", "OTHER"))
    else:
        notebook["cells"][2]["outputs"].append(
            {"output_type": "display_data", "data": {"image/png": "x"}, "metadata": {}}
        )
        path.write_text(json.dumps(notebook))
    assert committed.committed_chapters(Book(root))[0].result is None
    assert "OURS" not in page(root)
    assert "OURS" not in (root / "_build" / "stage-committed" / "book" / "appendix" / "results.md").read_text()


def test_a_changed_comment_leaves_the_numbers(root):
    leave_run(root, evidence=EVIDENCE)
    book.refresh(Book(root))
    path = root / "book" / "part" / "01_a.ipynb"
    path.write_text(path.read_text().replace("Text.", "Other text."))
    assert committed.committed_chapters(Book(root))[0].result


def test_a_kept_record_that_somebody_changed_is_refused(root):
    leave_run(root, evidence=EVIDENCE)
    book.refresh(Book(root))
    path = root / "book" / "appendix" / "evidence" / "laptop.json"
    path.write_text(path.read_text().replace("OURS", "MINE"))
    with pytest.raises(ValueError, match="not as it was written"):
        committed.committed_chapters(Book(root))


def test_keeping_again_changes_nothing_and_keeps_the_others(root):
    leave_run(root, evidence=EVIDENCE)
    book.refresh(Book(root))
    path = root / "book" / "appendix" / "evidence" / "laptop.json"
    before = path.read_bytes()
    committed.keep(Book(root), [])
    assert path.read_bytes() == before


def test_how_a_file_splits_its_lines_does_not_matter():
    def made(text):
        return {
            "cells": [
                {
                    "cell_type": "code",
                    "metadata": {},
                    "source": "",
                    "outputs": [{"output_type": "stream", "text": text}],
                }
            ]
        }

    assert (
        committed.outputs_digest(made("a\nb"))
        == committed.outputs_digest(made(["a\n", "b"]))
        != committed.outputs_digest(made("a"))
    )


def test_the_kept_records_are_of_chapters_of_the_book():
    for key, record in committed.kept_records(Book(REPOSITORY)).items():
        assert (REPOSITORY / "book" / f"{key}.ipynb").is_file() and len(record["outputs"]) == 64
