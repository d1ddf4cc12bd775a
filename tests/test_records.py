"""What is read back is checked: the table of contents, settings, claims, results of runs, stored evidence. And the commands that read it."""

import copy
import json
import os
import subprocess
import sys

import pytest

from separations.book import chapters, evidence, records, staging, store_tables
from separations.book import command as book
from separations.files import sha256
from separations.run.profiles import Book
from test_evidence import paper  # noqa: F401
from test_staging import CLAIM, leave_run, root  # noqa: F401


def one_line(capsys) -> str:
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said, said
    return said


# stored evidence


@pytest.fixture
def stored(paper):
    """A book with stored evidence of two chapters; returns its root, the file and the records."""
    other = paper / "book" / "part" / "02_b.ipynb"
    other.write_bytes((paper / "book" / "part" / "01_a.ipynb").read_bytes())
    toc = paper / "_toc.yml"
    toc.write_text(
        toc.read_text().replace("  - file: book/part/01_a\n", "  - file: book/part/01_a\n  - file: book/part/02_b\n")
    )
    path, _ = evidence.store(Book(paper, "paper"))
    [record] = json.loads(path.read_text())
    second = {**record, "notebook": "part/02_b"}
    both = [record, second | {"sha256": evidence.record_hash(second)}]
    write(path, both)
    return paper, path, both


def write(path, content: list) -> None:
    seal = evidence.file_digest(content)
    path.write_text(json.dumps([record | {"file_sha256": seal} for record in content]))


def test_evidence_as_it_was_written_is_read(stored):
    root, _, both = stored
    assert [record["notebook"] for record in evidence.read_stored(Book(root, "paper"))] == ["part/01_a", "part/02_b"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[]",
        "[null]",
        "[[]]",
        "3",
        '"x"',
        "{",
        "[{}]",
        '[{"notebook": "part/01_a"}]',
        "[NaN]",
        "\xff",
        "[" * 5000,
    ],
)
def test_a_file_of_evidence_that_is_none_is_named(stored, text, capsys):
    root, path, _ = stored
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"book/appendix/evidence/paper\.json"):
        evidence.read_stored(Book(root, "paper"))
    assert evidence.main(["--root", str(root), "--profile", "paper"]) == 2
    assert "book/appendix/evidence/paper.json" in one_line(capsys)


@pytest.mark.parametrize(
    "change", ["removed", "first removed", "moved", "twice", "unsealed", "other seal", "of another profile"]
)
def test_a_record_that_is_missing_moved_or_twice_there_is_noticed(stored, change):
    root, path, both = stored
    content = json.loads(path.read_text())
    if change == "removed":
        del content[1]
    elif change == "first removed":
        del content[0]
    elif change == "moved":
        content.reverse()
    elif change == "twice":
        write(path, [both[0], both[0]])
        content = json.loads(path.read_text())
    elif change == "unsealed":
        for record in content:
            del record["file_sha256"]
    elif change == "other seal":
        content[0]["file_sha256"] = sha256("x")
    else:
        path = path.rename(path.with_name("longer.json"))
        (root / "params" / "longer.yml").write_text("{}")
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"{path.stem}\.json"):
        evidence.larger(Book(root))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("claims", {}), ("claims", [None]), ("claims", [{"id": CLAIM}]), ("claims", [{"id": CLAIM, "ours": "x", "verdict": "proved", "figure": ""}]),
        ("claims", [{"id": CLAIM, "ours": "x", "verdict": ["holds"], "figure": ""}]), ("claims", [{"id": 3, "ours": "x", "verdict": "holds"}]),
        ("claims", [{"id": CLAIM, "ours": "x", "verdict": "holds", "figure": 3}]), ("notebook", "../../etc"), ("notebook", "/etc/x"), ("notebook", 3),
        ("notebook", "a b"), ("seconds", "3"), ("parameters", None), ("machine", []), ("versions", "x"), ("key", "x"), ("result", None), ("profile", None),
    ],
)  # fmt: skip
def test_a_record_of_another_form_is_refused_even_with_the_right_hashes(stored, key, value):
    root, path, both = stored
    odd = copy.deepcopy(both[1]) | {key: value}
    write(path, [both[0], odd | {"sha256": evidence.record_hash(odd)}])
    with pytest.raises(ValueError, match=rf"paper\.json: record 1.*{key}"):
        evidence.read_stored(Book(root, "paper"))
    del odd[key]
    write(path, [both[0], odd | {"sha256": evidence.record_hash(odd)}])
    with pytest.raises(ValueError, match=rf"paper\.json: record 1.*{key}"):
        evidence.read_stored(Book(root, "paper"))


def test_evidence_of_a_chapter_that_is_gone_is_not_shown(stored):
    root, *_ = stored
    toc = root / "_toc.yml"
    toc.write_text(toc.read_text().replace("  - file: book/part/02_b\n", ""))
    assert [record["notebook"] for record in evidence.larger(Book(root))] == ["part/01_a"]


# results of runs


def seal(out, **changes) -> None:
    content = json.dumps(json.loads((out / "result.json").read_text()) | changes)
    (out / "result.json").write_text(content)
    (out / "SUCCESS").write_text(sha256(content))


ENTRY = {"id": CLAIM, "ours": "x", "verdict": "holds", "figure": ""}
ODD_RESULTS = [
    {"evidence": None}, {"evidence": {}}, {"evidence": [3]}, {"evidence": [{"claims": None}]}, {"evidence": [{"claims": [ENTRY | {"verdict": "x"}]}]},
    {"evidence": [{"claims": [ENTRY | {"figure": ["a"]}]}]}, {"evidence": [{"measures": {"x": "<b>"}}]}, {"evidence": [{"measures": []}]},
    {"seconds": "<b>"}, {"seconds": None}, {"seconds": 10**400}, {"peak_memory_mb": []}, {"threads": "2"}, {"overrides": []}, {"versions": None},
    {"hashes": None}, {"hashes": []}, {"status": ["ok"]},
]  # fmt: skip


@pytest.mark.parametrize("changes", ODD_RESULTS, ids=lambda c: json.dumps(c)[:40])
def test_a_result_of_another_form_is_not_shown_and_breaks_nothing(root, changes):
    out = leave_run(root)
    seal(out, **changes)
    assert chapters.chapter(Book(root), "part/01_a").state != "fresh"
    staged = staging.stage(Book(root))
    assert "NEW" not in (staged / "book" / "part" / "01_a.ipynb").read_text()
    assert (staged / "book" / "appendix" / "results.md").is_file()


def test_a_file_is_found_only_inside_its_folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.ipynb").write_text("x")
    (tmp_path / "b.ipynb").write_text("x")
    (tmp_path / "run" / "link.ipynb").symlink_to(tmp_path / "b.ipynb")
    assert records.file_inside(tmp_path / "run", "a.ipynb") == tmp_path / "run" / "a.ipynb"
    for name in (
        "../b.ipynb",
        str(tmp_path / "b.ipynb"),
        "link.ipynb",
        "no.ipynb",
        "",
        ".",
        "..",
        None,
        3,
        ["a.ipynb"],
        "a.ipynb/",
        "./a.ipynb",
    ):
        assert records.file_inside(tmp_path / "run", name) is None, name


def test_tables_that_would_be_stored_elsewhere_are_refused(root, capsys):
    (root / "params" / "longer.yml").write_text("part/01_a: {n: 1}\n")
    out = leave_run(root)
    place = Book(root, "longer").run_folder("part/01_a")
    place.parent.mkdir(parents=True)
    out.rename(place)
    (place / "tables").mkdir()
    for name in ("../x", "../../../../x", "A"):
        table = place / "tables" / f"{name}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("a\n1\n")
        seal(
            place,
            overrides={"n": 1},
            hashes=Book(root, "longer").expected("part/01_a"),
            tables={name: sha256(b"a\n1\n")},
        )
        assert chapters.chapter(Book(root, "longer"), "part/01_a", tables=False).state == "missing"  # no result of ours
        assert store_tables.main(["--root", str(root)]) == 1
        assert "MISSING: book/part/01_a.ipynb" in one_line(capsys)
    assert not (root / "book" / "part" / "data").exists()


# the table of contents, settings and claims


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "text", "3", "{}", "root: 3", "root: [a]", "root: book/index\nparts: 3", "root: book/index\nparts: [3]",
        "root: book/index\nparts: [{chapters: 3}]", "root: book/index\nparts: [{chapters: [book/part/01_a]}]", "root: book/index\nchapters: [{file: 3}]",
        "root: book/index\nchapters: [{file: ../x}]", "root: book/index\nchapters: [{file: /etc/passwd}]", "root: book/index\nchapters: [{file: book/no}]",
        "root: book/no", "root: ''", "root: a\nroot: b", "a: [", "root: book/index\nchapters: [{file: book/part/01_a, sections: 3}]", "\xff\xfe",
    ],
)  # fmt: skip
def test_a_table_of_contents_that_is_none_is_an_error_of_one_line(root, text, capsys):
    (root / "_toc.yml").write_bytes(text.encode("latin-1"))
    for task in ("check", "render", "where", "student", "finish", "refresh"):
        assert book.main([task, "--root", str(root)]) == 2
        assert "_toc.yml" in one_line(capsys)
    assert not (root / "_build").exists()


def test_endings_in_the_table_of_contents_are_allowed(root):
    (root / "_toc.yml").write_text("root: book/index.md\nchapters:\n- file: book/part/01_a.ipynb\n  sections:\n")
    assert chapters.notebook_keys(Book(root)) == ["part/01_a"]
    chapters.check_pages(Book(root))


def test_the_page_of_a_run_shows_the_notebook_that_its_result_vouches_for(root):
    out = leave_run(root)
    (out / "other.ipynb").write_bytes((out / "01_a.ipynb").read_bytes())
    (out / "01_a.ipynb").write_text((out / "01_a.ipynb").read_text().replace("NEW", "FORGED"))
    seal(out, file="other.ipynb")
    assert chapters.chapter(Book(root), "part/01_a").state == "missing"
    assert "FORGED" not in (staging.stage(Book(root)) / "book" / "part" / "01_a.ipynb").read_text()


@pytest.mark.parametrize("left", ["link", "damaged"])
def test_a_partial_notebook_that_cannot_be_shown_leaves_the_chapter_and_the_book(root, left):
    out = leave_run(root, "failed", "ValueError: no")
    partial = out / "01_a.failed.ipynb"
    (root / "secret.ipynb").write_text(partial.read_text().replace("NEW", "SECRET"))
    partial.unlink() if left == "link" else partial.write_text('{"cells": [')
    if left == "link":
        partial.symlink_to(root / "secret.ipynb")
    text = (staging.stage(Book(root)) / "book" / "part" / "01_a.ipynb").read_text()
    assert "This chapter failed" in text and "ValueError: no" in text and "SECRET" not in text and "STALE" not in text


@pytest.mark.parametrize("text", ["", "null", "[]", "3", "a: [", "a: 1\na: 2", None])
def test_settings_that_are_none_are_an_error_of_one_line(root, text, capsys):
    path = root / "_config.yml"
    path.write_text(text) if text is not None else path.unlink()
    assert book.main(["render", "--root", str(root)]) == 2
    assert "_config.yml" in one_line(capsys)


@pytest.mark.parametrize(
    "text", ["null", "[]", "3", "a: 3", "a: [1]", "3: {source: x}", "a: {source: x}\na: {source: y}", "a: ["]
)
def test_a_table_of_claims_that_is_none_is_named(tmp_path, text):
    path = tmp_path / "claims.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"claims\.yml"):
        staging.load_registered_claims(path)


def test_odd_metadata_of_a_notebook_end_in_no_traceback(root):
    path = root / "book" / "part" / "01_a.ipynb"
    content = json.loads(path.read_text())
    for odd in (None, 3, [], {"separations": None}, {"separations": {"claim": None}}, {"separations": []}):
        assert staging.claim_of(content | {"metadata": odd}) == ""
    cells = [
        cell | {"metadata": odd}
        for cell, odd in zip(content["cells"], (None, [], {"tags": None, "mystnb": None}, {"mystnb": {"figure": 3}}))
    ]
    assert staging.figure_names({"cells": cells}) == [] and [staging.tags_of(cell) for cell in cells] == [[]] * 4


def test_a_folder_that_we_did_not_stage_is_left_alone(root):
    place = root / "_build" / "stage"
    place.mkdir(parents=True)
    (place / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files that are not ours"):
        staging.stage(Book(root))
    assert [path.name for path in place.iterdir()] == ["thesis.txt"]


def test_refresh_refuses_an_executed_copy_with_other_code_and_writes_nothing(root, capsys):
    out = leave_run(root)
    executed = json.loads((out / "01_a.ipynb").read_text())
    del executed["cells"][2]
    (out / "01_a.ipynb").write_text(json.dumps(executed))
    seal(out, executed=sha256((out / "01_a.ipynb").read_bytes()))
    before = (root / "book" / "part" / "01_a.ipynb").read_bytes()
    assert book.main(["refresh", "--root", str(root)]) == 2
    assert "has other code than the notebook" in one_line(capsys)
    assert (root / "book" / "part" / "01_a.ipynb").read_bytes() == before


# command lines


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "separations.book", "where"],
        ["-m", "separations.book.evidence", "--profile", "paper"],
        ["-m", "separations.book.store_tables"],
    ],
    ids=lambda a: a[1],
)
def test_a_command_in_another_folder_or_without_an_output_says_so_in_one_line(tmp_path, root, arguments):
    def call(*options, **settings):
        return subprocess.run(
            [sys.executable, *options], capture_output=True, text=True, env=os.environ, timeout=60, **settings
        )

    for options in ([], ["-OO"]):
        done = call(*options, *arguments, cwd=root / "params")
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        done = call(*options, *arguments, "--root", "~nosuchuser", cwd=tmp_path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert call(*options, *arguments, "--help").returncode == 0
    command = " ".join(f"'{word}'" for word in (sys.executable, *arguments))
    for ending in (">&-", "2>&-", ">&- 2>&-", "| true"):
        done = subprocess.run(
            ["bash", "-c", f"{command} {ending}"], cwd=root, capture_output=True, text=True, env=os.environ, timeout=60
        )
        assert "Traceback" not in done.stderr and "Exception" not in done.stderr, (ending, done.stderr)
