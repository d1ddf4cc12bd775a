"""Pages as a browser shows them: nothing scrolls sideways, open code is short, nothing is too heavy, and everybody can read them.

Reads _build/html (or $SEPARATIONS_HTML) in headless Chromium; skipped where there is none of them. The accessibility of the pages is
judged by axe-core, where $SEPARATIONS_AXE names its `axe.min.js` (`npm install axe-core`, anywhere).
"""

import json
import os
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from separations.book import browser

ROOT = Path(__file__).resolve().parents[1]
HTML = Path(os.environ.get("SEPARATIONS_HTML", ROOT / "_build" / "html"))
PAGES = sorted(HTML.glob("book/**/*.html")) if HTML.is_dir() else []
CHAPTERS = [path for path in PAGES if re.match(r"\d\d_", path.name)]
AXE = Path(os.environ.get("SEPARATIONS_AXE", ROOT / "node_modules" / "axe-core" / "axe.min.js"))
WIDTHS = {"desk": 1300, "phone": 390}
HEAVIEST = 2.5e6  # bytes of a chapter without MathJax
OPEN = 15  # lines of a cell

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
needs_browser = pytest.mark.skipif(browser.chromium() is None, reason="Chromium is not installed")
pytestmark = pytest.mark.skipif(not PAGES, reason="no rendered book in _build/html (make book)")

WIDE = """(() => {
  const found = [], name = (e) => `${e.tagName.toLowerCase()}.${e.className.baseVal ?? e.className}: ${e.textContent.trim().slice(0, 60)}`;
  const seen = (e) => e.getClientRects().length > 0;
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth + 1) found.push(`the page: ${root.scrollWidth} of ${innerWidth}`);
  document.querySelectorAll('.bd-article pre, .bd-article div.highlight, .bd-article div.math').forEach((e) => {
    if (seen(e) && e.scrollWidth > e.clientWidth + 1) found.push(`${name(e)} (${e.scrollWidth} of ${e.clientWidth})`);
  });
  const edge = document.querySelector('.bd-article').getBoundingClientRect();
  document.querySelectorAll('.bd-article mjx-container').forEach((e) => {
    const box = (e.querySelector('svg') ?? e).getBoundingClientRect();
    if (seen(e) && box.width && !e.closest('.wide, .pst-scrollable-table-container') && (box.right > edge.right + 1 || box.left < edge.left - 1))
      found.push(`formula ${e.closest('p, div')?.textContent.trim().slice(0, 60)} (${Math.round(box.left)} to ${Math.round(box.right)} of ${Math.round(edge.right)})`);
  });
  return found;
})()"""

FITTED = """new Promise((done) => {
  const end = performance.now() + 20000;
  const look = () => {
    const fitted = document.documentElement.dataset.fitted === "yes";
    if (fitted || performance.now() > end) done(fitted);
    else setTimeout(look, 50);
  };
  setTimeout(look, 400);  // a change of the width is heard by then; the formulas may take longer
})"""

THEME = "Object.assign(document.documentElement.dataset, {mode: '%s', theme: '%s'}).theme"

OPEN_CODE = """[...document.querySelectorAll('.bd-article div.cell_input pre')]
  .filter((e) => e.checkVisibility() && !e.closest('details:not([open])') && !e.closest('.toggle, .toggle-hidden, .solution'))
  .map((e) => e.textContent.replace(/\\n+$/, '').split('\\n').length)"""


@pytest.fixture(scope="module")
def window():
    with browser.browser() as one:
        yield one


@needs_browser
@each_page
def test_nothing_scrolls_sideways_at_a_desk_and_on_a_phone_by_day_and_by_night(path, window):
    window.window(WIDTHS["desk"])
    window.open(path)
    for dark in (False, True):
        theme = "dark" if dark else "light"
        window.evaluate(THEME % (theme, theme))
        for name, width in WIDTHS.items():
            window.window(width, dark=dark)
            assert window.evaluate(FITTED), f"{name}, {theme}: fit.js has not come to its end within 20 seconds"
            assert window.evaluate(WIDE) == [], f"{name}, {theme}"


@needs_browser
@each_chapter
def test_open_code_is_the_idea_and_short(path, window):
    window.window(WIDTHS["desk"])
    window.open(path)
    lines = window.evaluate(OPEN_CODE)
    assert max(lines, default=0) <= OPEN
    assert window.evaluate("document.querySelectorAll('.chapter-card').length") == 1 or "67_" in path.name


@needs_browser
@each_chapter
def test_solutions_are_closed(path, window):
    window.window(WIDTHS["desk"])
    window.open(path)
    script = "[...document.querySelectorAll('.bd-article .solution')].filter((e) => !e.matches('.toggle-hidden, .toggle')).length"
    assert window.evaluate(script) == 0


@needs_browser
@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core (SEPARATIONS_AXE)")
@each_page
def test_axe_has_no_serious_finding(path, window):
    window.window(WIDTHS["desk"])
    window.open(path)
    window.evaluate(AXE.read_text(encoding="utf-8") + "; true")
    for dark in (False, True):
        theme = "dark" if dark else "light"
        window.window(WIDTHS["desk"], dark=dark)
        window.evaluate(THEME % (theme, theme))
        found = window.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations.filter((v) => ['serious', 'critical'].includes(v.impact))"
            ".map((v) => [v.id, v.nodes.length, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 150))]))"
        )
        assert found == [], theme + json.dumps(found, indent=1)


def parts_of(path: Path) -> set[Path]:
    """The files of the book that a page loads."""
    text = re.sub(r"<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r'<(?:img|script|source)\b[^>]*?\bsrc="([^"]+)"', text)
    links += re.findall(r'<link\b[^>]*?rel="(?:stylesheet|icon|preload)"[^>]*?href="([^"]+)"', text)
    files = {
        (path.parent / unquote(unescape(link)).partition("?")[0]).resolve()
        for link in links
        if not link.startswith("data:")
    }
    return {file for file in files if file.is_file() and "mathjax" not in file.parts}


@each_chapter
def test_a_chapter_is_light(path):
    weight = path.stat().st_size + sum(file.stat().st_size for file in parts_of(path))
    assert weight <= HEAVIEST, f"{weight / 1e6:.2f} MB"


@each_chapter
def test_the_sidebar_and_the_title_show_the_number(path):
    text = path.read_text(encoding="utf-8")
    number = path.name[:2]
    assert re.search(rf"<h1>{number} · ", text) and re.search(rf'class="[^"]*current[^"]*"[^>]*>\s*{number} · ', text)
