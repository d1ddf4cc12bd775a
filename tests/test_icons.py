"""The theme's icons: those that the book shows stay, whatever name they are called by; the file stays a script."""

import pytest

from separations.book.icons import FILE, slim_icons

SCRIPT = 'var a={bars:[448,512,["navicon"],"f0c9","M0 96"],"circle-half-stroke":[512,512,[9680,"adjust"],"f042","M448"],0:[320,512,[],"30","M0"],two:[1,2,[],"e1",["M1","M2"]]},b={c:[1,2]};'


@pytest.fixture
def html(tmp_path):
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(SCRIPT)
    return tmp_path


def test_only_icons_that_are_named_stay(html):
    (html / "a.html").write_text('<i class="fa-solid fa-navicon"></i>')
    (html / "_static" / "a.js").write_text('x.className = "fa-circle-half-stroke"')
    taken = slim_icons(html)
    text = (html / FILE).read_text()
    assert text == SCRIPT.replace('0:[320,512,[],"30","M0"],', "").replace('two:[1,2,[],"e1",["M1","M2"]]', "")
    assert taken == len(SCRIPT) - len(text) and slim_icons(html) == 0


def test_a_theme_without_such_a_file_or_with_another_stays_as_it_is(tmp_path, html):
    assert slim_icons(tmp_path / "nothing") == 0
    (html / FILE).write_text("var icons = load();")
    assert slim_icons(html) == 0 and (html / FILE).read_text() == "var icons = load();"
