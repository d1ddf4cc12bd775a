"""From runs to the staged book: what a reader sees of a chapter that ran, failed, or has only stale outputs."""

import json

import pytest

from separations.book import chapters, pages, results_page, staging
from separations.book import command as book
from separations.files import file_hash, sha256
from separations.run.fingerprint import FORMAT, fingerprint
from separations.run.profiles import Book

CLAIM = "sep.forward-marginals"


def cell(source, kind="code", tags=(), outputs=(), count=None):
    extra = {"outputs": list(outputs), "execution_count": count} if kind == "code" else {}
    return {
        "cell_type": kind,
        "id": f"c{abs(hash(source))}",
        "metadata": {"tags": list(tags)},
        "source": source,
        **extra,
    }


def printed(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def notebook(*cells):
    metadata = {"separations": {"claim": "It holds."}}
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


CELLS = (
    cell("# A title\n\nText.", "markdown"),
    cell("n = 1", tags=["parameters"], outputs=[printed("STALE")], count=1),
    cell("print(n)", outputs=[printed("STALE")], count=2),
    cell("the answer", "markdown", tags=["solution"]),
)


@pytest.fixture
def root(tmp_path):
    """A repository with one chapter, two pages and no run."""
    (tmp_path / "book" / "part").mkdir(parents=True)
    (tmp_path / "params").mkdir()
    (tmp_path / "_config.yml").write_text("title: t\n")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n- caption: P\n  chapters:\n  - file: book/part/01_a\n"
        "  - file: book/appendix/results\n"
    )
    (tmp_path / "book" / "index.md").write_text("# Index\n")
    (tmp_path / "book" / "part" / "01_a.ipynb").write_text(json.dumps(notebook(*CELLS)))
    return tmp_path


def leave_run(root, status="ok", error="", evidence=()):
    """What a run of the chapter leaves behind, without running anything."""
    out = Book(root).run_folder("part/01_a")
    out.mkdir(parents=True, exist_ok=True)
    executed = notebook(CELLS[0], cell("n = 1", count=1), cell("print(n)", outputs=[printed("NEW")], count=2), CELLS[3])
    if status != "ok":
        executed["cells"][2]["outputs"] = [{"output_type": "error", "ename": "E", "evalue": "v", "traceback": [error]}]
    path = out / ("01_a.ipynb" if status == "ok" else "01_a.failed.ipynb")
    path.write_text(json.dumps(executed))
    result = {
        "format": FORMAT, "notebook": "part/01_a", "status": status, "error": error, "profile": "laptop", "overrides": {},
        "evidence": list(evidence), "seconds": 61.0, "peak_memory_mb": 1234.0, "threads": 2,
        "executed": file_hash(path), "file": path.name,
        "versions": {"python": "3.11", "torch": "2.4"}, "hashes": fingerprint(root / "book" / "part" / "01_a.ipynb"),
    }  # fmt: skip
    content = json.dumps(result)
    (out / "result.json").write_text(content)
    (out / "SUCCESS").unlink(missing_ok=True)
    if status == "ok":
        (out / "SUCCESS").write_text(sha256(content))
    return out


def staged(root, name="book/part/01_a.ipynb"):
    return (staging.stage(Book(root)) / name).read_text()


def test_a_fresh_run_is_shown_with_a_closing_note(root):
    leave_run(root)
    assert chapters.chapter(Book(root), "part/01_a").state == "fresh"
    text = staged(root)
    assert "NEW" in text and "STALE" not in text and "in 1 min 1 s with 2 threads; peak memory 1.2 GB" in text
    assert "It holds." in (index := staged(root, "book/_generated/chapters.md")) and "1 min 1 s" in index


def test_a_chapter_without_a_run_says_so_and_shows_no_output(root):
    assert chapters.chapter(Book(root), "part/01_a").state == "missing"
    text = staged(root)
    assert "This chapter was not executed" in text and "STALE" not in text
    assert "not run" in staged(root, "book/_generated/chapters.md")


def test_a_run_without_its_sentinel_is_never_shown(root):
    out = leave_run(root)
    (out / "SUCCESS").unlink()  # killed between the result and the sentinel
    item = chapters.chapter(Book(root), "part/01_a")
    assert item.state == "missing" and "not whole" in item.error and item.result is None
    assert "NEW" not in staged(root)


def test_a_run_of_other_sources_is_never_shown(root):
    leave_run(root, evidence=[{"notebook": "part/01_a", "claims": [{"id": CLAIM, "ours": "OURS", "verdict": "holds"}]}])
    assert "OURS" in staged(root, "book/appendix/results.md")
    path = root / "book" / "part" / "01_a.ipynb"
    path.write_text(path.read_text().replace("n = 1", "n = 2"))
    assert chapters.chapter(Book(root), "part/01_a").state == "stale"
    assert "NEW" not in staged(root) and "This chapter was not executed" in staged(root)
    assert "OURS" not in staged(root, "book/appendix/results.md")


def test_a_failed_run_is_shown_as_far_as_it_came_under_a_notice(root, capsys):
    leave_run(root, "failed", "ZeroDivisionError: division by zero")
    cells = json.loads(staged(root))["cells"]
    assert cells[0]["source"].startswith("# 01 · A title\n\n::::{admonition} This chapter failed")
    assert "division by zero" in cells[0]["source"] and "code cell 2" in cells[0]["source"]
    assert [item.key for item in book.report(Book(root))] == ["part/01_a"]
    assert "FAILED: book/part/01_a.ipynb: ZeroDivisionError" in capsys.readouterr().err
    assert "**failed**" in staged(root, "book/_generated/chapters.md")


def test_bad_parameters_in_a_profile_are_a_failure_of_their_chapter(root):
    (root / "params" / "smoke.yml").write_text("part/01_a: {m: 1}\n")
    item = chapters.chapter(Book(root, "smoke"), "part/01_a")
    assert item.state == "failed" and "unknown parameter 'm'" in item.error
    text = (staging.stage(Book(root, "smoke")) / "book" / "part" / "01_a.ipynb").read_text()
    assert "This chapter failed" in text and "Below stands" not in text and "STALE" not in text
    with pytest.raises(ValueError, match="allowed are laptop, smoke"):
        chapters.chapters(Book(root, "huge"))


def test_staging_writes_only_what_differs_and_removes_what_is_gone(root):
    leave_run(root)
    target = staging.stage(Book(root))
    (target / "book" / "leftover.md").write_text("x")
    before = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.is_file()}
    staging.stage(Book(root))
    after = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.is_file()}
    assert set(before) - set(after) == {target / "book" / "leftover.md"}
    assert all(before[path] == stamp for path, stamp in after.items())


def test_a_page_that_the_table_of_contents_lists_must_exist(root):
    (root / "book" / "index.md").unlink()
    with pytest.raises(ValueError, match="book/index: no such notebook or page"):
        staging.stage(Book(root))


def test_refresh_writes_outputs_back_and_needs_a_fresh_run(root):
    with pytest.raises(ValueError, match="no fresh run for part/01_a"):
        book.refresh(Book(root))
    leave_run(root)
    assert book.refresh(Book(root)) == ["part/01_a"] and book.refresh(Book(root)) == []
    content = json.loads((root / "book" / "part" / "01_a.ipynb").read_text())
    assert content["cells"][2]["outputs"] == [printed("NEW")] and content["cells"][2]["execution_count"] == 2
    assert content["metadata"]["separations"] == {"claim": "It holds."}
    assert chapters.chapter(Book(root), "part/01_a").state == "fresh"  # outputs are not part of the fingerprint


def test_the_student_edition_has_no_solutions_and_no_outputs(root):
    (root / "book" / "part" / "data").mkdir()
    (root / "book" / "part" / "data" / "01_runs.csv").write_text("a\n1\n")
    assert (book.student_edition(Book(root)) / "part" / "data" / "01_runs.csv").read_text() == "a\n1\n"
    text = (root / "_build" / "student" / "part" / "01_a.ipynb").read_text()
    assert "the answer" not in text and "STALE" not in text and "print(n)" in text


def test_claims_without_evidence_say_not_run_and_figures_are_linked():
    claims = {
        "a.one": {"source": "s", "where": "Thm 1", "statement": "One.", "reported": "1"},
        "a.two": {"source": "s", "where": "Thm 2", "statement": "Two.", "reported": "2"},
    }
    entry = {"id": "a.one", "ours": "one\nline", "verdict": "differs", "figure": "fig-x"}
    text = results_page.results_page(claims, [{"notebook": "part/01_a", "claims": [entry]}], {"fig-x": "part/01_a"})
    assert "2 claims are registered, 1 have evidence" in text and "1 differs" in text
    assert "- one line" in text and "{numref}`fig-x`" in text and "{doc}`/book/part/01_a`" in text
    assert text.count("- not run") == 3  # one claim here, and both at larger profiles


def test_verdicts_of_several_notebooks_keep_their_notebook():
    claims = {"a.one": {"source": "s", "where": "Thm 1", "statement": "One.", "reported": "1"}}

    def entry(ours, verdict):
        return {"id": "a.one", "ours": ours, "verdict": verdict, "figure": ""}

    found = [
        {"notebook": "part/01_a", "claims": [entry("x", "holds")]},
        {"notebook": "part/02_b", "claims": [entry("y", "differs")]},
    ]
    larger = {"notebook": "part/02_b", "profile": "paper", "outdated": False, "claims": [entry("z", "differs")]}
    lines = results_page.results_page(claims, found, {}, [larger]).splitlines()
    assert (
        "  - (1) x. (2) y." in lines
        and "  - (1) [✓ holds]{.verdict .verdict-holds} (2) [✗ differs]{.verdict .verdict-differs}" in lines
    )
    assert "  - (2) `paper`: [✗ differs]{.verdict .verdict-differs}; z." in lines
    assert "  - (1) {doc}`/book/part/01_a`; (2) {doc}`/book/part/02_b`" in lines
    found[1]["claims"] = [entry("y", "holds")]
    assert (
        "  - [✓ holds]{.verdict .verdict-holds}" in results_page.results_page(claims, found, {}, [larger]).splitlines()
    )


def test_a_claim_of_the_landscape_names_its_paper_by_citation():
    claims = {
        "land.one": {"source": "wen2024", "where": "Section 3", "statement": "One.", "reported": "1"},
        "land.two": {"source": "no key`", "where": "abstract", "statement": "Two.", "reported": "2"},
        "land.three": {"source": "landscape", "where": "asked here", "statement": "Four.", "reported": "4"},
        "sep.one": {"source": "separations", "where": "Thm 1", "statement": "Three.", "reported": "3"},
    }  # fmt: skip
    text = results_page.results_page(claims, [], {})
    landscape = text.partition("## The landscape")[2].partition("\n## ")[0]
    assert "* - {cite:t}`wen2024`, Section 3 `land.one`" in landscape and "sep.one" not in landscape
    assert "* - `` no key` ``, abstract `land.two`" in landscape  # shown as it is, and no role
    assert "* - asked here `land.three`" in landscape
    assert "* - Thm 1 `sep.one`" in text


@pytest.mark.parametrize(("seconds", "said"), [(None, "not run"), (0.2, "1 s"), (59.4, "59 s"), (119.6, "2 min 0 s")])
def test_durations_are_said_in_words(seconds, said):
    assert pages.duration(seconds) == said
