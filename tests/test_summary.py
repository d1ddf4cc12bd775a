"""The sentences on top of the results page and the list of changes: their shape; test_golden holds them against the evidence."""

from pathlib import Path

import pytest

from separations.book import results_page
from separations.book.chapters import notebook_keys
from separations.book.summary import FILE, Change, Reading, Sentence, Summary, deviations, read_summary
from separations.ledger.ledger import load_claims
from separations.run.profiles import Book

ROOT = Path(__file__).resolve().parents[1]
TEXT = """summary:
  - says: One holds.
    rests on:
      - {claim: a.one, chapter: part/01_a, verdict: holds}
changes:
  - {claim: a.one, chapter: part/01_a, before: "", now: holds, why: It was not measured.}
"""


def put(root: Path, text: str) -> Path:
    (root / FILE).parent.mkdir(parents=True, exist_ok=True)
    (root / FILE).write_text(text)
    return root


def evidence(verdict: str) -> list[dict]:
    return [{"notebook": "part/01_a", "claims": [{"id": "a.one", "ours": "x", "verdict": verdict, "figure": ""}]}]


def test_it_is_read_and_held_against_the_evidence(tmp_path):
    assert read_summary(Book(tmp_path)) == Summary()
    found = read_summary(Book(put(tmp_path, TEXT)))
    one = Reading("a.one", "part/01_a", "holds")
    assert found == Summary(
        (Sentence("One holds.", (one,)),), (Change("a.one", "part/01_a", "", "holds", "It was not measured."),)
    )
    assert deviations(found, evidence("holds")) == {} and deviations(found, evidence("differs")) == {one: "differs"}
    assert deviations(found, []) == {one: "not run"}


def test_the_page_says_where_a_build_reads_otherwise(tmp_path):
    claims = {"a.one": {"source": "s", "where": "Thm 1", "statement": "One.", "reported": "1"}}
    summary = read_summary(Book(put(tmp_path, TEXT)))
    text = results_page.results_page(claims, evidence("holds"), {}, (), summary)
    assert "1. One holds. ({doc}`/book/part/01_a`)" in text and "In this build" not in text
    assert "It was not measured." in text and "  - none" in text
    assert "**In this build `a.one` reads *not decided*.**" in results_page.results_page(
        claims, evidence("not decided"), {}, (), summary
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("- a\n", "a mapping with summary and changes"),
        ("summary: {}\nother: 1\n", "a mapping with summary and changes"),
        ("summary: {a: 1}\n", "summary holds a dict"),
        ("summary:\n  - says: x\n", "sentence 1: a mapping with says and rests on"),
        ("summary:\n  - {says: x, rests on: []}\n", "sentence 1 rests on nothing"),
        (TEXT.replace("verdict: holds", "verdict: perhaps"), "sentence 1: verdict = 'perhaps'"),
        (TEXT.replace("now: holds, ", ""), "change 1: a mapping with claim, chapter, before, now, why"),
    ],
)
def test_what_is_not_of_its_shape_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_summary(Book(put(tmp_path, text)))


def test_the_books_own_names_claims_and_chapters_that_exist():
    summary, keys = read_summary(Book(ROOT)), set(notebook_keys(Book(ROOT)))
    assert len(summary.sentences) == 10
    readings = [one for sentence in summary.sentences for one in sentence.rests_on] + list(summary.changes)
    assert {one.claim for one in readings} <= set(load_claims()) and {one.chapter for one in readings} <= keys
    assert all(change.before != change.now and change.why for change in summary.changes)
    named = [(change.claim, change.chapter) for change in summary.changes]
    assert len(set(named)) == len(named)
