"""The rendered book is complete: no page loads anything from elsewhere, every picture has a text, no number of the prose is missing.

Reads _build/html (or $SEPARATIONS_HTML); skipped where no book has been rendered.
"""

import json
import os
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from myst_nb.core.variables import format_plain_text

HTML = Path(os.environ.get("SEPARATIONS_HTML", Path(__file__).parents[1] / "_build" / "html"))
PAGES = sorted(p for p in HTML.rglob("*.html") if "_static" not in p.parts) if HTML.is_dir() else []
if not PAGES and "SEPARATIONS_HTML" in os.environ:
    raise FileNotFoundError(f"SEPARATIONS_HTML = {str(HTML)!r}: no rendered book there")
pytestmark = pytest.mark.skipif(not PAGES, reason="no rendered book in _build/html (make book)")
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
}
LINKS_THAT_LOAD = {
    "stylesheet",
    "preload",
    "icon",
    "shortcut icon",
    "modulepreload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
}


class Page(HTMLParser):
    """Collects what a page loads from elsewhere, pictures without a text, and its own links."""

    def __init__(self, path: Path):
        super().__init__()
        self.foreign, self.without_alt, self.local = [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        target = attributes.get(LOADS.get(tag, ""), "") or ""
        if tag == "link" and (attributes.get("rel") or "").lower() in LINKS_THAT_LOAD:
            target = attributes.get("href") or ""
        if re.match(r"(https?:)?//", target):
            self.foreign.append(f"{tag}: {target}")
        elif target and not target.startswith(("data:", "#")):
            self.local.append(target)
        if tag == "img" and not (attributes.get("alt") or "").strip():
            self.without_alt.append(target)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(HTML)))
def test_a_page_loads_only_what_lies_beside_it(path):
    page = Page(path)
    assert page.foreign == []
    assert page.without_alt == []
    missing = [t for t in page.local if not (path.parent / re.sub(r"[?#].*", "", t)).exists()]
    assert missing == []


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(HTML)))
def test_inline_scripts_name_no_foreign_module(path):
    scripts = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", path.read_text(encoding="utf-8"), re.S)
    calls = [
        s for s in scripts if re.search(r"""(import\s*\(?|fetch\(|require\(|\.src\s*=|from)\s*["'`](https?:)?//""", s)
    ]
    assert calls == []


def test_style_sheets_load_nothing_from_elsewhere():
    for sheet in HTML.rglob("*.css"):
        found = re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", sheet.read_text(encoding="utf-8"))
        assert found == [], sheet.name


def test_mathematics_is_set_by_the_vendored_mathjax():
    with_maths = [p for p in PAGES if 'class="math' in p.read_text(encoding="utf-8")]
    assert with_maths
    for path in with_maths:
        assert "mathjax/tex-svg-full.js" in path.read_text(encoding="utf-8"), path.name
    assert (HTML / "_static" / "mathjax" / "tex-svg-full.js").stat().st_size > 2_000_000


ROLE = re.compile(r"\{glue:text\}`([^`]+)`")
NOTEBOOKS = sorted((HTML / "_sources").rglob("*.ipynb")) if HTML.is_dir() else []


def text_of(value) -> str:
    return value if isinstance(value, str) else "".join(value)


def glued(notebook: dict) -> dict[str, str]:
    """What the cells of an executed notebook keep for the prose: name -> plain text."""
    outputs = [out for cell in notebook["cells"] if cell["cell_type"] == "code" for out in cell["outputs"]]
    kept = [(out["metadata"]["scrapbook"], out["data"]) for out in outputs if "scrapbook" in out.get("metadata", {})]
    return {book["name"]: text_of(data[f"{book['mime_prefix']}text/plain"]) for book, data in kept}


def wanted(notebook: dict) -> Counter:
    """Each number that the prose and the captions ask for, as the page is to show it."""
    values, texts = glued(notebook), []
    for cell in notebook["cells"]:
        caption = cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption", "")
        texts.append(text_of(cell["source"]) if cell["cell_type"] == "markdown" else caption)
    found = Counter()
    for role in ROLE.findall("\n".join(texts)):
        name, _, form = role.rpartition(":") if ":" in role else (role, "", "s")
        found[set_signs(format_plain_text(values[name], form))] += 1
    return found


def set_signs(text: str) -> str:
    """Quotation marks, dashes and dots alike, whether Sphinx has set them or not."""
    text = text.translate(str.maketrans("‘’“”", "''\"\""))
    return re.sub(r"-{2,3}|—", "–", text).replace("...", "…")


def shown(page: str) -> Counter:
    """Each number that a page shows from the cells."""
    return Counter(set_signs(unescape(text)) for text in re.findall(r'<span class="pasted-text">([^<]*)</span>', page))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: str(p.relative_to(HTML / "_sources")))
def test_no_number_of_the_prose_is_missing(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    if not any(cell.get("outputs") for cell in notebook["cells"]):
        pytest.skip("a chapter without outputs says so")
    page = (HTML / path.relative_to(HTML / "_sources")).with_suffix(".html").read_text(encoding="utf-8")
    assert wanted(notebook) - shown(page) == Counter()
    assert not ROLE.search(page), "a role that was not read"
