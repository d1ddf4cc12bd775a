"""Pieces of HTML that every part of the audit's page uses. What they take as `cells` or `body` is HTML already; all else is escaped."""

import re
from collections.abc import Iterable, Mapping, Sequence

from .words import plain, shown


def part(report: object, key: str) -> dict:
    """A part of the report; an empty one where it is missing, null, or something else."""
    found = report.get(key) if isinstance(report, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def rows(report: object, key: str) -> list[dict]:
    """A list of parts of the report; an empty one where it is missing, null, or something else."""
    found = report.get(key) if isinstance(report, Mapping) else None
    return [dict(one) for one in found if isinstance(one, Mapping)] if isinstance(found, list | tuple) else []


def texts(report: object, key: str) -> list[str]:
    """A list of sentences of the report, or the one that stands there."""
    found = report.get(key) if isinstance(report, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [one for one in found if isinstance(one, str)] if isinstance(found, list | tuple) else []


def section(key: str, title: str, body: Iterable[str]) -> str:
    """A section with its heading and an address of its own."""
    return f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{plain(title)}</h2>{"".join(body)}</section>'


def said(text: object, kind: str = "") -> str:
    """A paragraph of any text."""
    return f"<p{_kind(kind)}>{sentence(text)}</p>"


def sentence(text: object) -> str:
    """Any text as HTML; a number and its percent sign stay on one line."""
    return plain(re.sub(r"(?<=\d) (?=%)", "\u00a0", shown(text, 4000)), 4000)


def bullets(sentences: Sequence[str]) -> str:
    """A list of any texts; nothing for none."""
    return "".join(["<ul>", *(f"<li>{sentence(one)}</li>" for one in sentences), "</ul>"]) if sentences else ""


def table(caption: str, heads: Sequence[str], cells: Sequence[Sequence[str]], kinds: Sequence[str]) -> str:
    """A table in a box of its own that scrolls sideways where it is too wide; the first cell of a row is its head.

    heads: plain text; cells: HTML; kinds: a class for each column, "num" for numbers, "words" for sentences, "" for others.
    """
    top = "".join(f'<th scope="col"{_kind(kind)}>{plain(head)}</th>' for head, kind in zip(heads, kinds))
    body = "".join(
        "<tr>"
        + f'<th scope="row">{row[0]}</th>'
        + "".join(f"<td{_kind(kind)}>{cell}</td>" for cell, kind in zip(row[1:], kinds[1:]))
        + "</tr>"
        for row in cells
    )
    label = plain(caption)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table><caption class="note" style="text-align:left">{label}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names with their values: (plain text, HTML)."""
    inside = "".join(f"<dt>{plain(key)}</dt><dd>{value}</dd>" for key, value in pairs)
    return f'<dl class="facts">{inside}</dl>' if inside else ""


def figure(drawing: str, caption: str) -> str:
    """A drawing with a caption of any text under it."""
    return f"<figure>{drawing}<figcaption>{sentence(caption)}</figcaption></figure>"


def folded(summary: str, body: str) -> str:
    """What is shown on request, and always on paper."""
    return f"<details><summary>{plain(summary)}</summary>{body}</details>"


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
