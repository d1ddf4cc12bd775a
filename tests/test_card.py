"""The card of a chapter: every chapter has one, and nothing on it can drift from the run."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from separations.book import card, chapters, front_page
from separations.ledger.ledger import load_claims
from separations.ledger.verdicts import VERDICTS
from separations.run.notebooks import read_notebook, source_of
from separations.run.profiles import Book

ROOT = Path(__file__).resolve().parents[1]
BOOK = Book(ROOT)
ABOUT = card.read_about(BOOK)
KEYS = chapters.notebook_keys(BOOK)
each_chapter = pytest.mark.parametrize("key", KEYS)
RUN = {
    "seconds": 61.0,
    "evidence": [
        {
            "claims": [
                {"id": "sep.prop-4.1", "ours": "ratio 1.02 (1.01 to 1.03)", "verdict": "holds"},
                {"id": "sep.thm-4.3", "ours": "slope 2", "verdict": "differs"},
                {"id": "sep.fig-1", "ours": "[x]($y$) <b>", "verdict": "holds in part"},
            ]
        }
    ],
}
CLAIMS = {"sep.prop-4.1": {"where": "Section 4, Prop. 4.1", "statement": "A."}}


def drawn(colour=(200, 30, 30), size=(900, 450)):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def notebook(name="fig-a"):
    figure = {"figure": {"name": name, "caption": "c"}, "image": {"alt": "A [red] box."}}
    output = {"output_type": "display_data", "data": {"image/png": base64.b64encode(drawn()).decode()}}
    return {
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": "# T\n\n" + "word " * 540 + "$a + b = c$"},
            {"cell_type": "markdown", "metadata": {"tags": ["solution"]}, "source": "word " * 900},
            {"cell_type": "code", "metadata": {"mystnb": figure}, "source": "", "outputs": [output]},
        ]
    }


def test_every_chapter_is_described_and_nothing_else_is():
    assert list(ABOUT) == KEYS


@each_chapter
def test_a_chapter_says_itself_in_one_plain_sentence(key):
    says = ABOUT[key].says
    assert says.endswith(".") and says.count(". ") == 0 and says[0].isupper()
    assert 8 <= len(says.split()) <= 40 and not set("$`*_<>") & set(says)


@each_chapter
def test_the_picture_of_a_card_is_a_figure_of_its_chapter(key):
    found = front_page.figure_png(read_notebook(ROOT / "book" / f"{key}.ipynb"), ABOUT[key].picture)
    assert found and card.thumbnail(found[0])


@each_chapter
def test_the_claims_of_a_card_are_registered_and_recorded_by_its_chapter(key):
    source = "\n".join(
        source_of(cell)
        for cell in read_notebook(ROOT / "book" / f"{key}.ipynb")["cells"]
        if cell["cell_type"] == "code"
    )
    for claim in ABOUT[key].found:
        assert claim in load_claims()
        assert f'"{claim}"' in source or f"{claim.rpartition('-')[0]}-{{" in source, claim
    assert ABOUT[key].found or "notes.record(" not in source


def test_what_a_chapter_needs_stands_in_the_book_and_never_leads_back():
    def before(key, path=()):
        assert key in KEYS and key not in path, (*path, key)
        for one in ABOUT[key].needs:
            before(one, (*path, key))

    for key in KEYS:
        before(key)


def test_a_card_has_sentence_picture_numbers_words_and_times():
    about = card.About("It is so.", "fig-a", ("part/01_a",), ("sep.prop-4.1",))
    text, files = card.card("part/02_b", notebook(), about, RUN, CLAIMS)
    assert "It is so." in text and "**3 min** to read" in text and "**1 min 1 s** to run" in text
    assert "- [✓ holds]{.verdict .verdict-holds} Section 4, Prop. 4.1: ratio 1.02 (1.01 to 1.03)" in text
    assert (
        "2 more on record here: 1 [◐ holds in part]{.verdict .verdict-holds-in-part}, 1 [✗ differs]{.verdict .verdict-differs}"
        in text
    )
    assert (
        "needs {doc}`/book/part/01_a`" in text and "{image} /book/_generated/cards/02_b.png\n:alt: A [red] box." in text
    )
    picture = Image.open(io.BytesIO(files["book/_generated/cards/02_b.png"]))
    assert picture.size == (card.PICTURE_WIDTH, card.PICTURE_WIDTH // 2)


def test_without_a_run_a_card_gives_no_number_and_no_verdict():
    text, files = card.card("part/02_b", notebook("other"), card.About("It is so.", "fig-a"), None, {})
    assert not files and "verdict-" not in text and "not timed yet" in text and "needs no other chapter" in text


def test_what_was_recorded_shows_as_it_is():
    text, _ = card.card("p/02_b", notebook(), card.About("A.", "", (), ("sep.fig-1",)), RUN, {})
    assert r"\[x\](\$y\$) \<b>" in text


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("one; two", "one; two"),
        ("a" * 100 + "; " + "b" * 100, "a" * 100 + " …"),
        ("a" * 300, "a" * 300),
        ("ratio (1.0, " + "c" * 250 + ")", "ratio (1.0, " + "c" * 250 + ")"),
    ],
)
def test_a_long_finding_ends_with_a_clause_or_not_at_all(text, short):
    assert card.shortened(text) == short


@pytest.mark.parametrize(
    "content",
    ["- a", "a/b: {says: x}", "a/b: {says: 'x', picture: p, needs: [], found: [], more: 1}", "a/b: {says: '', picture: p, needs: [], found: []}",
     "a/b: {says: x, picture: p, needs: 1, found: []}", "a/b: {says: x, picture: p, needs: [], found: [a, b, c, d]}"],
)  # fmt: skip
def test_an_odd_entry_is_named(tmp_path, content):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "chapters.yml").write_text(content)
    with pytest.raises(ValueError, match=r"book/chapters.yml"):
        card.read_about(Book(tmp_path))


def test_a_book_without_such_a_file_has_no_cards(tmp_path):
    assert card.read_about(Book(tmp_path)) == {}


def test_a_picture_that_is_none_is_left_out():
    assert card.thumbnail(b"no picture") is None
    assert set(card.MARKS) == set(VERDICTS)
