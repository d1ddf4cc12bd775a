"""The whole book for reading without a network: one zip that opens from a stick, and one PDF, printed by headless Chromium.

For the PDF the pages are put together into one, so that links between chapters lead to pages of paper; it is laid out in light colours,
with formulas drawn by the MathJax that the book brings along.
"""

import os
import re
import tempfile
import zipfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..files import write_whole
from ..run.profiles import Book
from .browser import browser, chromium
from .chapters import toc_entries
from .rendered import CONTENTS

NAME = "memorization-and-generalization"
WIDTH = 680  # of the printed column, CSS pixels
PATIENCE = 1800.0  # seconds for the formulas of a whole book, on a slow core
HIDDEN = (".rendered", ".rendered-strict", ".buildinfo", ".nojekyll", CONTENTS)
READ_ME = """The book opens with index.html, in any browser, without a network.
"""
ARTICLE = re.compile(r'<article class="bd-article"[^>]*>(.*)</article>', re.DOTALL)
ADDRESS = re.compile(r'\b(href|src)="([^"]*)"')
MARK = re.compile(r'\b(id|for|aria-labelledby|aria-describedby|aria-controls|name)="([^"]+)"')
HEAD = re.compile(
    r'<link\b[^>]*rel="stylesheet"[^>]*>|<script>window\.MathJax[^<]*</script>|<script[^>]*(?:mathjax/|fit\.js)[^>]*></script>'
)
PAPER = "<style>body{background:#fff}.bd-article{padding:0;max-width:none}section.page{break-before:page}</style>"


def offline(book: Book, committed: bool = False) -> tuple[list[Path], list[str]]:
    """The zip and the PDF of the rendered book, in `_build/offline`.

    Args:
        book: rendered under its profile.
        committed: whether the book with the outputs of the notebooks is meant.

    Returns:
        The files that were made, and what could not be made and why, in a line each.

    Raises:
        ValueError: the book is not rendered.
    """
    html = book.folder("html-committed" if committed else "html")
    if not (html / "index.html").is_file():
        raise ValueError(f"{html.relative_to(book.root)} holds no rendered book: make book renders it")
    target = book.build / "offline"
    made, missing = [zipped(html, target / f"{NAME}.zip")], []
    if chromium() is None:
        missing.append(
            "no PDF: it is printed by Chromium or Chrome, and neither was found; the zip is whole without it"
        )
        return made, missing
    pages = [name for _, name in toc_entries(book) if (html / f"{name}.html").is_file()]
    made.append(printed(html, pages, target / f"{NAME}.pdf"))
    return made, missing


def zipped(html: Path, path: Path) -> Path:
    """All files of a rendered book in one zip, under one folder; the same files give the same zip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.writestr(zipfile.ZipInfo(f"{NAME}/READ ME.txt"), READ_ME)
        for file in sorted(path for path in html.rglob("*") if path.is_file() and path.name not in HIDDEN):
            entry = zipfile.ZipInfo(f"{NAME}/{file.relative_to(html).as_posix()}")
            packed = file.suffix in (".png", ".jpg", ".webp", ".woff2")
            entry.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    os.replace(part, path)
    return path


def printed(html: Path, pages: Sequence[str], path: Path) -> Path:
    """A PDF of pages of a rendered book, one after another."""
    whole = html / f".{NAME}-print.html"  # beside the pages, so that pictures and formulas are found
    write_whole(whole, one_page(html, pages))
    try:
        with browser(PATIENCE) as window, tempfile.TemporaryDirectory(dir=path.parent) as folder:
            window.window(WIDTH)
            window.open(whole)
            part = Path(folder) / path.name
            window.pdf(part)
            os.replace(part, path)
    finally:
        whole.unlink(missing_ok=True)
    return path


def one_page(html: Path, pages: Sequence[str]) -> str:
    """Pages of a rendered book as one, with a table of contents.

    Args:
        html: folder of the book.
        pages: their paths without the extension, in order.

    Returns:
        HTML that stands beside them.
    """
    marks = {name: f"p{number}" for number, name in enumerate(pages)}
    parts, titles = [], []
    for name in pages:
        text = (html / f"{name}.html").read_text(encoding="utf-8")
        found = ARTICLE.search(text)
        if not found:
            continue
        article = _moved(found[1], name, marks)
        article = article.replace('<details class="sd-', '<details open class="sd-')
        parts.append(f'<section class="page" id="{marks[name]}">{article}</section>')
        title = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
        titles.append((marks[name], title[1].split(" &#8212; ")[0].split(" — ")[0].strip() if title else escape(name)))
    first = (html / f"{pages[0]}.html").read_text(encoding="utf-8") if pages else ""
    base = Path(pages[0]).parent.as_posix() if pages else ""
    head = "\n".join(
        ADDRESS.sub(lambda found: f'{found[1]}="{_from_root(found[2], base)}"', one[0]) for one in HEAD.finditer(first)
    )
    contents = "".join(f'<li><a href="#{mark}">{title}</a></li>' for mark, title in titles)
    return (
        '<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f'<title>{NAME}</title>{head}{PAPER}</head><body><main class="bd-article"><nav><ul>{contents}</ul></nav>'
        f"{''.join(parts)}</main></body></html>\n"
    )


def _moved(article: str, name: str, marks: dict[str, str]) -> str:
    """The article of a page with its names and addresses as they are in the page of all pages."""
    base, mark = Path(name).parent.as_posix(), marks[name]

    def address(found: re.Match) -> str:
        link = found[2]
        if link.startswith("#"):
            return f'{found[1]}="#{f"{mark}-{link[1:]}" if len(link) > 1 else mark}"'
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            return found[0]
        file, _, inside = _from_root(link, base).partition("#")
        if file.removesuffix(".html") in marks and file.endswith(".html"):
            other = marks[file.removesuffix(".html")]
            return f'{found[1]}="#{f"{other}-{inside}" if inside else other}"'
        return f'{found[1]}="{file}"'

    article = MARK.sub(lambda found: f'{found[1]}="{" ".join(f"{mark}-{word}" for word in found[2].split())}"', article)
    return ADDRESS.sub(address, article)


def _from_root(link: str, base: str) -> str:
    """An address of a page as it is from the folder of the book."""
    file, sign, inside = link.partition("#")
    file, question, version = file.partition("?")
    path = os.path.normpath(f"{base}/{file}") if file else ""
    return f"{path}{question}{version}{sign}{inside}"
