"""The book to take along: a zip that opens from a folder, and a PDF whose links stay inside."""

import re
import zipfile

import pytest

from separations.book import browser, offline
from separations.run.profiles import Book

HEAD = (
    '<head><title>{title} &#8212; Book</title><link rel="stylesheet" type="text/css" href="../_static/a.css?v=1" />'
    '<script src="../_static/other.js"></script></head>'
)
PAGE = (
    '<!DOCTYPE html><html>{head}<body><nav>menu</nav><article class="bd-article"><h1 id="top">{title}<a href="#top">#</a></h1>'
    '<p id="x">See <a href="b.html#x">there</a>, <a href="../genindex.html">index</a>, <a href="https://example.org/">out</a>, '
    '<a href="b.html">B</a> <img src="../_images/i.png" alt="i"></p><details class="sd-sphinx-override"><summary>s</summary>deep</details>'
    "</article></body></html>"
)


@pytest.fixture
def rendered(tmp_path):
    """A rendered book of two pages, as far as reading it goes."""
    html = tmp_path / "_build" / "html"
    (html / "book").mkdir(parents=True)
    (html / "_static").mkdir()
    (html / "_static" / "a.css").write_text("p { color: black }")
    (html / "index.html").write_text("<p>start</p>")
    (html / ".rendered").write_text("x")
    for name in "ab":
        (html / "book" / f"{name}.html").write_text(
            PAGE.format(head=HEAD.format(title=name.upper()), title=name.upper())
        )
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/a\nparts:\n- caption: P\n  chapters:\n  - file: book/b\n"
    )
    return tmp_path


def test_the_zip_holds_the_pages_and_no_marks_of_the_build_and_is_the_same_again(rendered):
    html = rendered / "_build" / "html"
    path = offline.zipped(html, rendered / "x.zip")
    first = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert {f"{offline.NAME}/{name}" for name in ("index.html", "book/a.html", "_static/a.css", "READ ME.txt")} == {
        name for name in names if "b.html" not in name
    }
    assert offline.zipped(html, path).read_bytes() == first and len(list(rendered.glob(".*.part"))) == 0


def test_links_between_pages_become_links_inside_the_one_page(rendered):
    text = offline.one_page(rendered / "_build" / "html", ["book/a", "book/b"])
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) == 6
    inside = {link for link in re.findall(r'href="#([^"]+)"', text)}
    assert inside <= set(ids) and {"p1-x", "p1", "p0-top"} <= inside
    assert 'href="https://example.org/"' in text and 'src="_images/i.png"' in text and 'href="genindex.html"' in text
    assert 'href="_static/a.css?v=1"' in text and "other.js" not in text and "menu" not in text
    assert '<li><a href="#p0">A</a></li><li><a href="#p1">B</a></li>' in text and "<details open" in text


def test_without_chromium_there_is_the_zip_and_a_clear_line(rendered, monkeypatch):
    monkeypatch.setattr(offline, "chromium", lambda: None)
    made, missing = offline.offline(Book(rendered))
    assert [path.suffix for path in made] == [".zip"] and "Chromium" in missing[0] and "zip is whole" in missing[0]


def test_a_book_that_is_not_rendered_is_said_to_be_so(tmp_path):
    with pytest.raises(ValueError, match="make book"):
        offline.offline(Book(tmp_path))


@pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed")
def test_the_pdf_has_the_pages_and_nothing_is_left_beside_them(rendered):
    html = rendered / "_build" / "html"
    before = sorted(path.name for path in html.iterdir())
    path = offline.printed(html, ["book/a", "book/b"], rendered / "x.pdf")
    content = path.read_bytes()
    assert content.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", content)) == 3  # contents, A, B
    assert sorted(path.name for path in html.iterdir()) == before


def test_a_machine_without_chromium_is_told_what_was_looked_for(monkeypatch):
    monkeypatch.setattr(browser, "chromium", lambda: None)
    with pytest.raises(ValueError, match="chromium"), browser.browser():
        pass


@pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed")
def test_the_browser_answers_and_says_what_went_wrong(tmp_path):
    page = tmp_path / "p q.html"
    page.write_text("<!DOCTYPE html><title>T</title><p>x")
    with browser.browser() as window:
        window.window(390, dark=True)
        window.open(page)
        assert window.evaluate("[document.title, innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]") == [
            "T",
            390,
            True,
        ]
        with pytest.raises(ValueError, match="nothing_here"):
            window.evaluate("nothing_here")
        window.picture(tmp_path / "p.png")
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
        with pytest.raises(ValueError, match=r"Page\.none"):
            window.ask("Page.none")
