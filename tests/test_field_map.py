"""The map of the field: what its file may hold, where verdicts come from, and what the page shows of it."""

import re
import unicodedata
import xml.etree.ElementTree as xml
from collections import Counter
from pathlib import Path

import pytest
from pybtex.database import parse_file

from separations.book import field_map, papers, staging
from separations.book.chapters import GENERATED, check_pages
from separations.book.field_tree import drawing
from separations.book.papers import FILE, bibliography, read_papers
from separations.book.results_page import SOURCES, VERDICT_MARKS
from separations.run.profiles import Book
from test_staging import leave_run, root  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = {
    "land.one": {"source": "one2024", "where": "abstract", "statement": "One.", "reported": "1"},
    "essay.two": {"source": "essay", "where": "Theorem 2", "statement": "Two.", "reported": "2"},
    "sep.main": {"source": "separations", "where": "Theorem 1", "statement": "Main.", "reported": "3"},
}
BIB = """@misc{one2024,
  author = {One, Anne},
  title  = {The {First}}
}

@inproceedings{ye2026separations,
  author = {Ye, Zeqi and Zhu, Qijie},
  title  = {Separations}
}
"""
TEXT = """branches:
  theory:
    title: Theory
    leaves: {scores: Scores, size: Size}
  uses:
    title: Uses
    leaves: {depth: Depth}
papers:
  - {number: 1, key: one2024, title: The First, authors: "Anne One, Bob Two", year: 2024, where: arXiv 1, category: scores, claim: It is $O(n)$.,
     memorization: yes, read: [abstract, code]}
  - {number: 2, title: "A <b> `b` *c*", authors: C. Three et al., year: 2023, where: not found, category: size, filed: scores, claim: Unknown.,
     memorization: partly, read: [], claims: [essay.two], met: [{chapter: part/01_a, what: a rule}], unsure: all of it,
     errors: [{kind: authors, says: swapped}, {kind: text, says: garbled}]}
  - {title: Other, authors: D. Four, year: 2022, where: X, category: depth, claim: Depth., memorization: no, read: [title], untested: It is about something else.}
statements:
  - {says: That is new., compared: Ten works., found: It is not., nearest: [one2024], claims: [sep.main], chapters: [part/01_a]}
corrections: [It counts twice.]
"""  # fmt: skip


@pytest.fixture
def field(root):
    """A repository with a small map."""
    (root / FILE).parent.mkdir(parents=True)
    (root / FILE).write_text(TEXT)
    (root / "book" / "references.bib").write_text(BIB)
    toc = root / "_toc.yml"
    toc.write_text(toc.read_text() + f"  - file: {field_map.PAGE}\n")
    return root


def evidence(**verdicts: str) -> list[dict]:
    """What a chapter recorded, by claims with their dots as underscores."""
    found = [{"id": name.replace("_", "."), "verdict": word, "ours": "x", "figure": ""} for name, word in verdicts.items()]  # fmt: skip
    return [{"notebook": "part/01_a", "claims": found}]


def page(root: Path, **verdicts: str) -> str:
    return field_map.page(Book(root), CLAIMS, evidence(**verdicts))


def row(text: str, title: str) -> str:
    table = text.partition("{list-table}")[2].partition(":::\n::::")[0]
    return next(part for part in table.split("* - ") if title in part)


def test_a_verdict_comes_from_the_evidence_of_the_build_and_not_from_the_file(field):
    text = page(field, land_one="holds in part", essay_two="differs")
    assert "[◐ holds in part]{.verdict .verdict-holds-in-part} `land.one` in {doc}`/book/part/01_a`." in row(
        text, "The First"
    )
    assert "[✗ differs]{.verdict .verdict-differs} `essay.two` in {doc}`/book/part/01_a`" in row(text, "`b")
    assert "2 have a claim with a verdict" in text and "0 others are met" in text
    text = page(field)
    assert "`land.one` not run. No chapter tests it yet." in row(text, "The First")
    assert "`essay.two` not run. Met in {doc}`/book/part/01_a`: a rule. No chapter" in row(text, "`b")
    assert "It is about something else." in row(text, "Other")
    assert "0 have a claim with a verdict" in text and "1 other is met" in text


def test_a_row_says_who_where_what_was_read_and_what_is_doubtful(field):
    text = page(field)
    first = row(text, "The First")
    assert "**The First**. Anne One, Bob Two. arXiv 1 (2024). \\[1\\] {cite}`one2024`" in first
    assert "  - It is $O(n)$.\n  - abstract, code\n" in first and "**Scores** (Theory)\n" in first
    second = row(text, "`b")
    assert "*Not checked: all of it.*" in second and "nothing could be reached" in second and "in part about" in second
    assert "*Missing in the assessment.*" in row(text, "Other") and "*not about memorization*" in row(text, "Other")


def test_text_from_the_file_shows_as_it_is(field):
    text = page(field)
    assert "A \\<b> \\`b\\` \\*c\\*" in row(text, "`b")
    assert "<title>A &lt;b&gt; `b` *c*</title>" in text and "<b>" not in text.replace("\\<b>", "")


def test_the_statements_are_answered_with_the_nearest_works_and_verdicts(field):
    text = page(field, land_one="holds", sep_main="not decided").partition("(field-answers)=")[2]
    assert "**1. That is new.**" in text and "- *Compared with.* Ten works." in text
    assert "- *Nearest.* {cite:t}`one2024` ([✓ holds]{.verdict .verdict-holds} in {doc}`/book/part/01_a`)." in text
    assert "- *Verdicts.* [○ not decided]{.verdict .verdict-not-decided} `sep.main` in {doc}`/book/part/01_a`." in text
    assert "- *Where.* {doc}`/book/part/01_a`." in text
    assert "{cite:t}`one2024` (no verdict here)" in page(field)


def test_a_work_that_only_claims_name_stands_below_the_table(field):
    claims = CLAIMS | {"land.new": {"source": "new2026", "where": "x", "statement": "y", "reported": "z"}}
    text = field_map.page(Book(field), claims, evidence(land_new="holds"))
    assert "- {cite:t}`new2026`: [✓ holds]{.verdict .verdict-holds} `land.new` in {doc}`/book/part/01_a`.\n" in text
    assert "beside the map" not in page(field)


def test_what_is_wrong_is_listed_by_kind(field):
    text = page(field).partition("(field-errors)=")[2].partition("(field-citing)=")[0]
    lists = dict(re.findall(r"\*\*([^*\n]+)\*\* \(\d+\)\n\n((?:- .*\n)+)", text))
    assert "swapped" in lists["Authors"] and "garbled" in lists["Other"] and "It counts twice." in lists["Other"]
    assert "under *Scores*; it belongs under *Size*." in lists["Filed under a leaf to which it does not belong"]
    assert lists["About memorization only in part"] == lists["Not to be found"]
    assert lists["Central, and missing"] == "- D. Four, *Other*.\n"
    assert "Not about memorization" not in lists  # the one that is not about it is not of the assessment


def test_the_main_paper_is_cited_as_the_bibliography_has_it(field):
    text = page(field).partition("(field-citing)=")[2]
    assert "{cite:t}`ye2026separations`" in text and "```bibtex\n@inproceedings{ye2026separations,\n  author = {Ye, Zeqi and Zhu, Qijie}" in text  # fmt: skip


def squares(drawn: xml.Element) -> Counter:
    return Counter(one.get("class") for one in drawn.iter() if one.tag.endswith("rect"))


def test_the_drawing_has_a_square_for_each_work_and_says_the_numbers(field):
    known = read_papers(Book(field), CLAIMS)
    drawn = xml.fromstring(drawing(known, {"The First"}))  # well formed
    assert squares(drawn) == {"tested": 1, "work": 1, "other": 1}
    said = [one.get("aria-label") for one in drawn if one.get("role") == "img"]
    assert said == ["Theory. Scores: 1 work, 1 tested; Size: 1 work, 0 tested.", "Uses. Depth: 1 work, 0 tested."]
    assert "#" not in re.sub(r"&#\w+;", "", drawing(known, {}))  # no colours but those of the page


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("category: scores", "category: score", r"paper 1 \(The First\): category = 'score': one of scores, size, depth is"),
        ("filed: scores", "filed: x", r"paper 2 .*: filed = 'x': one of"),
        ("filed: scores", "filed: size", r"paper 2 .*: filed = 'size' is the category"),
        ("claims: [essay.two]", "claims: [essay.three]", r"paper 2 .*: claims = 'essay.three': ids of registered claims"),
        ("claims: [essay.two]", "claims: [essay.two, essay.two]", r"claims: 'essay.two' stands there twice"),
        ("read: [abstract, code]", "read: [abstract, code], claims: [land.one]", "'land.one' names this paper itself"),
        ("chapter: part/01_a, what", "chapter: part/02_b, what", r"paper 2 .*: met: chapter = 'part/02_b': a chapter of _toc"),
        ("key: one2024, title", "key: two2024, title", "paper 1 .*: key = 'two2024': a key of book/references.bib"),
        ("memorization: yes", "memorization: maybe", "paper 1 .*: memorization = 'maybe': one of yes, partly, no, unknown"),
        ("memorization: yes", "memorization: true", "paper 1 .*: memorization = True: a text is needed"),
        ("read: [title]", "read: [cover]", r"paper 3 \(Other\): read = 'cover': one of text, code"),
        ("read: [title]", "read: title", r"paper 3 \(Other\): read = 'title': a list is needed"),
        ("year: 2024", "year: 2024.5", "paper 1 .*: year = 2024.5: a whole number"),
        ("number: 2", "number: 1", "two papers have number = 1"),
        ("title: Other,", "title: The First,", "two papers have title = 'The First'"),
        ("number: 2", "number: 0", "paper 2 .*: number = 0: a whole number above 0"),
        ("where: X, ", "", r"paper 3 \(Other\): where is missing"),
        ("untested: It", "why: It", r"paper 3 \(Other\): 'why' is no key here: title, authors"),
        ("kind: authors", "kind: spelling", "paper 2 .*: errors: kind = 'spelling': one of authors, title, text"),
        ("says: swapped", "says: ''", "paper 2 .*: errors: says = '': a text|paper 2 .*: errors = '': a text"),
        ("nearest: [one2024]", "nearest: [two]", "statement 1: nearest = 'two': keys of papers of the map"),
        ("chapters: [part/01_a]", "chapters: [part/09]", "statement 1: chapters = 'part/09': chapters of _toc.yml"),
        ("claims: [sep.main]", "claims: [sep.x]", "statement 1: claims = 'sep.x': ids of registered claims"),
        ("found: It is not., ", "", "statement 1: found is missing"),
        ("leaves: {depth: Depth}", "leaves: {size: Depth}", "branch 'uses': leaf 'size' stands in two branches"),
        ("leaves: {depth: Depth}", "leaves: []", "branch 'uses': leaves = "),
        ("corrections: [It counts twice.]", "corrections: [3]", "correction 1: the entry = 3: a text"),
        ("corrections: [It counts twice.]", "", "the file: corrections is missing"),
        ("corrections: [It", "papers: [It", "key 'papers' stands there twice"),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_of_its_shape_is_named_in_one_line(field, old, new, message):
    assert old in TEXT
    (field / FILE).write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as error:
        page(field)
    assert "\n" not in str(error.value)


def test_it_is_staged_where_the_table_of_contents_lists_it_and_with_the_evidence_of_the_runs(field, monkeypatch):
    monkeypatch.setattr(staging, "load_registered_claims", lambda: CLAIMS)
    leave_run(field, evidence=evidence(land_one="holds"))
    check_pages(Book(field))
    place = f"{field_map.PAGE}.md"
    assert (
        "[✓ holds]{.verdict .verdict-holds} `land.one` in {doc}`/book/part/01_a`."
        in (staging.stage(Book(field)) / place).read_text()
    )
    toc = field / "_toc.yml"
    toc.write_text(toc.read_text().replace(f"  - file: {field_map.PAGE}\n", ""))
    (field / FILE).unlink()
    assert not (staging.stage(Book(field)) / place).exists()  # a book without a map


# ---------------------------------------------------------------- the book's own


@pytest.fixture(scope="module")
def own() -> papers.Field:
    return read_papers(Book(ROOT), staging.load_registered_claims())


def test_the_books_own_has_the_fifty_works_in_nineteen_leaves_and_central_ones_beside_them(own):
    numbers = [paper.number for paper in own.papers if paper.number]
    assert sorted(numbers) == list(range(1, 51)) and len(own.leaves) == 19
    assert len({leaf.branch for leaf in own.leaves.values()}) == 5
    filed = Counter(paper.filed or paper.category for paper in own.papers if paper.number)
    assert [filed[name] for name in own.leaves] == [
        3,
        3,
        2,
        2,
        3,
        4,
        2,
        5,
        4,
        2,
        2,
        3,
        1,
        2,
        3,
        2,
        1,
        3,
        3,
    ]  # the assessment's own counts
    missing = {paper.key for paper in own.papers if not paper.number}
    assert missing >= {
        "biroli2024dynamical", "kamb2024", "song2025selective", "scarvelis2025", "somepalli2023", "carlini2023extracting", "george2025",
        "kowalczuk2025", "wu2025bigstep", "qiao2024", "duan2023secmi",
    }  # fmt: skip
    assert field_map.PAGE in GENERATED


def plain_letters(text: str) -> str:
    """Letters and digits alone, without accents and TeX."""
    text = re.sub(r"\\[`'\"^~=.]?", "", text)
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode().lower())


def test_works_and_bibliography_agree(own):
    entries = parse_file(str(ROOT / papers.BIBLIOGRAPHY)).entries
    assert set(bibliography(Book(ROOT))) == set(entries)
    for paper in own.papers:
        if not paper.key:
            continue
        entry = entries[paper.key]
        assert plain_letters(entry.fields["title"]) == plain_letters(paper.title), paper.key
        assert int(entry.fields["year"]) == paper.year, paper.key
        names = [plain_letters(" ".join([*one.first_names, *one.middle_names, *one.prelast_names, *one.last_names])) for one in entry.persons["author"]]  # fmt: skip
        assert names == [plain_letters(name) for name in paper.authors.split(", ")], paper.key
        if "eprint" in entry.fields:
            assert f"arXiv {entry.fields['eprint']}" in paper.where, paper.key


def test_every_claim_of_the_landscape_names_a_work_of_the_bibliography():
    keys = bibliography(Book(ROOT))
    for name, claim in staging.load_registered_claims().items():
        assert claim["source"] in SOURCES or claim["source"] in keys, (
            f"{name}: source = {claim['source']!r} is not in references"
        )


def test_a_work_that_is_not_about_memorization_or_not_to_be_found_says_so(own):
    for paper in own.papers:
        assert paper.memorization in ("yes", "partly") or paper.untested, paper.title
        assert paper.read or paper.unsure, paper.title


def test_the_script_is_small_loads_nothing_and_knows_the_columns_and_marks():
    script = (ROOT / "book" / "_static" / "field_map.js").read_text(encoding="utf-8")
    assert len(script.encode()) < 5000 and not re.search(r"https?:|fetch|import|require|innerHTML|eval", script)
    header = field_map.page(Book(ROOT), staging.load_registered_claims(), []).partition(":widths:")[2]
    names = re.findall(r"^ *\*? - (.*)$", header, re.M)[:5]
    columns = dict(re.findall(r"([A-Z]+) = (\d)", script))
    assert [names[int(columns[name])] for name in ("LEAF", "HERE")] == ["Leaf", "Tested here"]
    marks = dict(re.findall(r'"(.)": "([a-z ]+)"', script))
    assert {f"{mark} {word}" for mark, word in marks.items()} == {
        re.sub(r"\[(.*)\]\{.*\}", r"\1", mark) for mark in VERDICT_MARKS.values()
    }
