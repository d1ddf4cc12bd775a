"""The taxonomy of the field as a drawing: a branch is a tree of its leaves, and each work a square."""

from collections.abc import Collection, Sequence
from html import escape

from .papers import Field, Leaf, Paper

SQUARE, GAP, ROW, HEAD, LEFT, WIDE = 13, 4, 44, 26, 22, 340  # in units of the drawing


def drawing(field: Field, tested: Collection[str]) -> str:
    """The branches with their leaves as SVG in the colours of the page: a square for each work. tested: titles of those with a verdict."""
    branches = dict.fromkeys(leaf.branch for leaf in field.leaves.values())
    drawn = [
        _branch(title, [leaf for leaf in field.leaves.values() if leaf.branch == title], field, tested)
        for title in branches
    ]
    return '<div class="field-tree">\n' + "\n".join(drawn) + "\n</div>"


def _branch(title: str, leaves: Sequence[Leaf], field: Field, tested: Collection[str]) -> str:
    high = HEAD + ROW * len(leaves)
    last = HEAD + ROW * (len(leaves) - 1) + 15
    lines, told = [f'<path d="M8 {HEAD - 4}V{last}" class="trunk"/>'], []
    for i, leaf in enumerate(leaves):
        top = HEAD + ROW * i
        works = sorted(
            (paper for paper in field.papers if paper.category == leaf.name), key=lambda one: _rank(one, tested)
        )
        number = sum(paper.title in tested for paper in works)
        told.append(f"{leaf.title}: {len(works)} work{'s' if len(works) != 1 else ''}, {number} tested")
        lines.append(
            f'<path d="M8 {top + 15}H{LEFT - 5}" class="trunk"/><text x="{LEFT}" y="{top + 19}">{escape(leaf.title)}</text>'
        )
        for k, paper in enumerate(works):
            x = LEFT + k * (SQUARE + GAP)
            lines.append(f"{_square(x, top + 26, _kind(paper, tested))}<title>{escape(paper.title)}</title></rect>")
        lines.append(
            f'<text x="{LEFT + len(works) * (SQUARE + GAP) + 4}" y="{top + 37}" class="count">{len(works)}, {number} tested</text>'
        )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {high}" role="img" aria-label="{escape(title)}. {escape("; ".join(told))}.">'
    return "\n".join([head, f'<text x="2" y="16" class="branch">{escape(title)}</text>', *lines, "</svg>"])


def _kind(paper: Paper, tested: Collection[str]) -> str:
    """How a work is drawn."""
    if paper.title in tested:
        return "tested"
    return "work" if paper.memorization in ("yes", "partly") else "other"


def _rank(paper: Paper, tested: Collection[str]) -> int:
    return ("tested", "work", "other").index(_kind(paper, tested))


def _square(x: float, y: float, kind: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{SQUARE}" height="{SQUARE}" rx="2" class="{kind}">'


def legend() -> str:
    """The three kinds of squares in a line of text."""
    says = {
        "tested": "with a verdict in this build",
        "work": "without one",
        "other": "not about memorization, or not to be identified",
    }
    size = SQUARE + 2
    return ", ".join(
        f'<svg class="field-key" viewBox="0 0 {size} {size}" width="{size}" height="{size}" aria-hidden="true">{_square(1, 1, kind)}</rect></svg> '
        f"{'filled' if kind == 'tested' else 'empty' if kind == 'work' else 'dotted'}, {text}"
        for kind, text in says.items()
    )
