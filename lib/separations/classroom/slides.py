"""Slides for each hour from the chapters as they are stored: title and claim, a question, figures with what to notice, a prediction.

Plain HTML that needs no network; pictures are in the file, formulas are set by the copy of MathJax that the book has.
"""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from ..book.chapters import notebook_keys
from ..files import write_whole
from ..run.notebooks import read_notebook, source_of, tags_of
from ..run.profiles import Book
from .tasks import START

MATHJAX = "tex-svg-full.js"
ROW = re.compile(r"^\| *(\d+) *\| *\{doc\}`[^<`]*<\.\./([^>`]+)>` *\| *(.*?) *\|", re.MULTILINE)
ASK = re.compile(r"^- \*Hour (\d+)\.\* *(.*)$", re.MULTILINE)
STYLE = """:root{--paper:#fff;--ink:#1c1c1c;--soft:#5c5c5c;--line:#0072b2}
@media(prefers-color-scheme:dark){:root{--paper:#141414;--ink:#e8e8e8;--soft:#a8a8a8;--line:#6db6e8}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:clamp(17px,2.1vw,30px)/1.4 system-ui,sans-serif}
section{min-height:100vh;padding:4vh 5vw;display:none;flex-direction:column;justify-content:center}section.now{display:flex}
h1{font-size:1.9em;line-height:1.15;margin:0 0 .6em}h2{font-size:1.25em;margin:0 0 .5em}p{margin:.35em 0}
img{display:block;max-width:100%;max-height:62vh;margin:0 auto .5em;background:#fff;border-radius:4px}
.claim{border-left:.2em solid var(--line);padding-left:.7em;font-size:1.15em}.soft{color:var(--soft);font-size:.75em}
.caption{font-size:.78em}.notice{font-size:.78em;color:var(--soft)}footer{position:fixed;right:1em;bottom:.5em;font-size:14px;color:var(--soft)}
@media print{section{display:flex;page-break-after:always;min-height:0;height:98vh}footer{display:none}}"""
SCRIPT = """const all=[...document.querySelectorAll("section")];let at=Math.min(Math.max(+location.hash.slice(1)||1,1),all.length)-1;
function show(i){at=Math.min(Math.max(i,0),all.length-1);all.forEach((s,j)=>s.classList.toggle("now",j===at));
history.replaceState(null,"","#"+(at+1));document.querySelector("footer").textContent=(at+1)+" / "+all.length}
addEventListener("keydown",e=>{if(["ArrowRight","PageDown"," "].includes(e.key)){e.preventDefault();show(at+1)}
if(["ArrowLeft","PageUp"].includes(e.key)){e.preventDefault();show(at-1)}if(e.key==="Home")show(0);if(e.key==="End")show(all.length-1)});
let x0=null;addEventListener("pointerdown",e=>x0=e.clientX);addEventListener("pointerup",e=>{const d=e.clientX-x0;
if(Math.abs(d)>40)show(at-Math.sign(d));else if(e.target.tagName!=="A")show(at+(e.clientX>innerWidth/3?1:-1))});show(at)"""


def hours(book: Book) -> dict[str, tuple[int, str, str]]:
    """Hour, what students can do afterwards, and the question to open with, by chapter: from the page on teaching."""
    page = (book.root / "book/appendix/teaching.md").read_text(encoding="utf-8")
    asked = {int(hour): text for hour, text in ASK.findall(page)}
    return {key: (int(hour), goal, asked.get(int(hour), "")) for hour, key, goal in ROW.findall(page)}


def plain(text: str) -> str:
    """A piece of MyST as HTML: references become words, formulas stay for MathJax."""
    text = re.sub(r"\{cite(?::\w+)?\}`([^`]*)`", "", text)
    text = re.sub(r"\{(?:numref|eq|prf:ref|ref)\}`([^`]*)`", "the chapter", text)
    text = re.sub(r"\{[\w:]+\}`([^`<]*?) *(?:<[^>`]*>)?`", r"\1", text)
    text = escape(text, quote=False)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    text = re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<em>\1</em>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text).replace(" ,", ",").replace(" .", ".")


def figures_of(notebook: Mapping) -> list[tuple[str, str, str]]:
    """Picture (PNG in base64), caption and alternative text of each figure that is stored as a picture."""
    found = []
    for cell in notebook["cells"]:
        entry = cell["metadata"].get("mystnb") or {}
        pictures = [out["data"]["image/png"] for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
        if "figure" in entry and pictures:
            picture = pictures[0] if isinstance(pictures[0], str) else "".join(pictures[0])
            found.append(
                (
                    picture.replace("\n", ""),
                    entry["figure"].get("caption", ""),
                    (entry.get("image") or {}).get("alt", ""),
                )
            )
    return found


def deck(key: str, notebook: Mapping, hour: tuple[int, str, str] | None, mathjax: str) -> str:
    """The slides of a chapter as one page. mathjax: where the script lies, seen from the page."""
    title = re.search(r"^# (.+)$", source_of(notebook["cells"][0]), re.MULTILINE)
    name = title[1].strip() if title else key
    claim = (notebook["metadata"].get("separations") or {}).get("claim", "")
    number = key.rpartition("/")[2].partition("_")[0]
    first = f'<p class="soft">Chapter {escape(number)}{f", hour {hour[0]}" if hour else ""}</p><h1>{plain(name)}</h1>'
    slides = [first + (f'<p class="claim">{plain(claim)}</p>' if claim else "")]
    if hour and hour[2]:
        slides.append(f"<h2>Before we begin</h2><h1>{plain(hour[2])}</h1>")
    slides += _predictions(notebook)
    for picture, caption, alt in figures_of(notebook):
        notice = f'<p class="notice">What to notice: {escape(alt)}</p>' if alt else ""
        slides.append(
            f'<img src="data:image/png;base64,{picture}" alt="{escape(alt)}"><p class="caption">{plain(caption)}</p>{notice}'
        )
    if hour:
        slides.append(
            f"<h2>Afterwards you can</h2><p>{plain(hour[1])}</p>"
            + (f'<p class="claim">{plain(claim)}</p>' if claim else "")
        )
    body = "\n".join(f"<section>{slide}</section>" for slide in slides)
    setting = 'MathJax={tex:{inlineMath:[["$","$"]]},svg:{fontCache:"none"}}'
    return "\n".join(
        ['<!doctype html><html lang="en"><head><meta charset="utf-8">', f"<title>{escape(name)}</title>",
         '<meta name="viewport" content="width=device-width,initial-scale=1">', f"<style>{STYLE}</style>",
         f'<script>{setting}</script><script defer src="{escape(mathjax)}"></script></head><body>', body,
         f"<footer></footer><script>{SCRIPT}</script></body></html>", ""]
    )  # fmt: skip


def _predictions(notebook: Mapping) -> list[str]:
    """The exercises that ask for a prediction, a slide each."""
    found = []
    for cell in notebook["cells"]:
        text = source_of(cell)
        if (start := START.search(text)) and "predict" in text.lower() and "solution" not in tags_of(cell):
            body = text[start.end() :].split("```", 2)[1 if text[start.end() :].lstrip().startswith("```") else 0]
            found.append(f"<h2>Predict: {plain(start[1].strip())}</h2><p>{plain(' '.join(body.split()))}</p>")
    return found[:1]


def write_slides(book: Book, folder: Path) -> list[Path]:
    """A page of slides for each chapter, an index, and MathJax beside them; returns the pages."""
    known, pages, lines = hours(book), [], []
    for key in notebook_keys(book):
        notebook, path = read_notebook(book.notebook(key)), folder / f"{key}.html"
        write_whole(path, deck(key, notebook, known.get(key), f"../{MATHJAX}"))
        pages.append(path)
        hour = f"Hour {known[key][0]}: " if key in known else ""
        title = re.search(r"^# (.+)$", source_of(notebook["cells"][0]), re.MULTILINE)
        lines.append(f'<li>{hour}<a href="{escape(key)}.html">{plain(title[1] if title else key)}</a></li>')
    index = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Slides</title><style>{STYLE} body{{padding:2em}}</style></head>'
    write_whole(folder / "index.html", f"{index}<body><h1>Slides</h1><ul>{''.join(lines)}</ul></body></html>\n")
    script = book.root / "book/_static/mathjax" / MATHJAX
    if script.is_file():
        write_whole(folder / MATHJAX, script.read_bytes())
    return pages
