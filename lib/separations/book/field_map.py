"""The page "Map of the field": each work with its claim and what this book found about it, the taxonomy, and the assessment answered.

Works stand in `book/landscape/papers.yml`; verdicts come from the evidence of the build. The table is a table without JavaScript;
`book/_static/field_map.js` puts filters above it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..run.profiles import Book
from .field_tree import drawing, legend
from .markup import block, code, plain, prose
from .pages import chapter_link, list_table
from .papers import BIBLIOGRAPHY, MEMORIZATION, READ, Field, Leaf, Paper, Statement, bibliography, read_papers
from .results_page import SOURCES, VERDICT_MARKS, cited

PAGE = "book/landscape/67_map_of_the_field"
MAIN = "ye2026separations"
NOT_YET = "No chapter tests it yet."

TOP = """---
html_theme.sidebar_secondary.remove: true
---
(map-of-the-field)=
# Map of the field

Who says what on memorization and generalization in diffusion models, and which of it was put to the test here? An automatic assessment of the
main paper's novelty sorted fifty works into 19 leaves. The map starts from its list, corrects it, and adds central works that it lacks.

{counts}

Claims are in our words. *Read* says what they rest on: a claim of which only an abstract or a title was read may be more careful in its text than it
looks here. Verdicts come from what the chapters recorded when this book was built; {{doc}}`/book/appendix/results` has the findings behind them.
"""

TABLE = """(field-table)=
## The works

One row a work. With JavaScript, filters stand above the table; without it, the search of the browser does.
"""

TREE = """(field-tree)=
## The taxonomy

A square is a work, in the leaf in which we put it:
{legend}.
Of the course of training the taxonomy has no leaf of its own: works on it stand under *{dynamics}*.
"""

ANSWERS = """(field-answers)=
## What the assessment says of the main paper

In our words, with what was compared, and what we found. It names no earlier work that would refute a contribution, and neither do we; neither search
was exhaustive. What we add is who comes nearest, and what became of a statement when it was run.
"""

ERRORS = """(field-errors)=
## What is wrong in the assessment

The list was made by a program and says so. Whoever cites from it should know:
"""

CITING = """(field-citing)=
## How to cite the main paper

{{cite:t}}`{key}`, in this order of authors, which has been seen reversed:
"""


@dataclass(frozen=True)
class FoundHere:
    """What a chapter found about a claim; without a chapter where nothing was recorded in this build."""

    claim: str
    chapter: str = ""
    word: str = ""


def page(book: Book, claims: Mapping[str, Mapping], evidence: Sequence[Mapping]) -> str:
    """The page in MyST. claims: all registered ones, by id; evidence: of the fresh runs, as the ledger writes it.

    ValueError names the entry of the file of works that is not as it must be.
    """
    field = read_papers(book, claims)
    recorded = [
        (one["id"], record["notebook"], one["verdict"]) for record in evidence for one in record.get("claims", [])
    ]
    found = {paper.title: verdicts(paper, claims, recorded) for paper in field.papers}
    parts = [
        TOP.format(counts=_counts(field, found)),
        TREE.format(
            legend=legend(), dynamics=field.leaves["dynamics"].title if "dynamics" in field.leaves else "dynamics"
        ),
        f"```{{raw}} html\n{drawing(field, {title for title, one in found.items() if tested(one)})}\n```\n",
        TABLE,
        _table(field, found),
        '```{raw} html\n<script src="../../_static/field_map.js" defer></script>\n```\n',
        _beside(field, claims, recorded),
        ANSWERS,
        *(_answer(one, i, field, found, recorded) for i, one in enumerate(field.statements, 1)),
        ERRORS,
        *_errors(field),
        CITING.format(key=MAIN),
        block(bibliography(book).get(MAIN, f"% {MAIN} is missing in {BIBLIOGRAPHY}"), "bibtex"),
    ]
    return "\n".join(parts) + "\n"


def verdicts(paper: Paper, claims: Mapping[str, Mapping], recorded: Sequence[tuple[str, str, str]]) -> list[FoundHere]:
    """What this build says of the claims of a paper: those that name it, and those that its entry names.

    recorded: id, chapter and verdict.
    """
    own = [key for key, claim in claims.items() if paper.key and claim.get("source") == paper.key]
    return _of_claims((*own, *paper.claims), recorded)


def _of_claims(ids: Sequence[str], recorded: Sequence[tuple[str, str, str]]) -> list[FoundHere]:
    found = []
    for key in ids:
        there = [FoundHere(key, chapter, word) for claim, chapter, word in recorded if claim == key]
        found += there or [FoundHere(key)]
    return found


def tested(found: Sequence[FoundHere]) -> bool:
    """Whether any chapter reached a verdict."""
    return any(one.word for one in found)


def _counts(field: Field, found: Mapping[str, Sequence[FoundHere]]) -> str:
    """How many works there are, and of how many a claim has a verdict in this build."""
    listed = sum(paper.number > 0 for paper in field.papers)
    about = sum(paper.memorization in ("yes", "partly") for paper in field.papers)
    met = sum(bool(paper.met) and not tested(found[paper.title]) for paper in field.papers)
    return (
        f"{len(field.papers)} works: the {listed} of the assessment and {len(field.papers) - listed} more; {about} of them are about memorization, at "
        f"least in part. {sum(map(tested, found.values()))} have a claim with a verdict in this build, and {met} other{'s are' if met != 1 else ' is'} met in a chapter."
    )


def _table(field: Field, found: Mapping[str, Sequence[FoundHere]]) -> str:
    place = list(field.leaves)
    rows = [
        (_work(paper), _leaf(field.leaves[paper.category], paper), prose(paper.claim), _read(paper), _here(paper, found[paper.title]))
        for paper in sorted(field.papers, key=lambda one: place.index(one.category))
    ]  # fmt: skip
    return list_table(
        ("Work", "Leaf", "Claim, in our words", "Read", "Tested here"), rows, "29 14 26 9 22", "wide results field-map"
    )


def _beside(field: Field, claims: Mapping[str, Mapping], recorded: Sequence[tuple[str, str, str]]) -> str:
    """The works that claims name and that are not on the map, with their verdicts."""
    there = {paper.key for paper in field.papers} | {MAIN, *SOURCES}
    keys = dict.fromkeys(str(claim.get("source", "")) for claim in claims.values())
    lines = []
    for key in (key for key in keys if key not in there):
        own = [name for name, claim in claims.items() if claim.get("source") == key]
        lines.append(f"- {cited(key)}: {'; '.join(map(_verdict, _of_claims(own, recorded)))}.")
    return "\n".join(["Works beside the map of which a chapter tests a claim:\n", *lines, ""]) if lines else ""


def _work(paper: Paper) -> str:
    number = f" {plain(f'[{paper.number}]')}" if paper.number else " *Missing in the assessment.*"
    cited = f" {{cite}}`{paper.key}`" if paper.key else ""
    doubt = f" *Not checked: {plain(paper.unsure)}.*" if paper.unsure else ""
    return f"**{plain(paper.title)}**. {plain(paper.authors.removesuffix('.'))}. {plain(paper.where)} ({paper.year}).{number}{cited}{doubt}"


def _leaf(leaf: Leaf, paper: Paper) -> str:
    note = MEMORIZATION[paper.memorization]
    return f"**{plain(leaf.title)}** ({plain(leaf.branch)}){f'; *{note}*' if note else ''}"


def _read(paper: Paper) -> str:
    return ", ".join(READ[name] for name in paper.read) or "nothing could be reached"


def _here(paper: Paper, found: Sequence[FoundHere]) -> str:
    """What the book has on a work: verdicts, claims that were not run, chapters that meet it, or why there is nothing."""
    said = ["; ".join(map(_verdict, found))] if found else []
    said += [f"Met in {chapter_link(chapter)}: {prose(what)}" for chapter, what in paper.met]
    said += [] if tested(found) else [prose(paper.untested or NOT_YET).rstrip(".")]
    return ". ".join(said) + "."


def _verdict(one: FoundHere) -> str:
    return f"{VERDICT_MARKS[one.word]} {code(one.claim)} in {chapter_link(one.chapter)}" if one.word else f"{code(one.claim)} not run"  # fmt: skip


def _answer(one: Statement, number: int, field: Field, found: Mapping, recorded: Sequence[tuple[str, str, str]]) -> str:
    """A statement of the assessment, what it rests on, and what was found here."""
    by_key = {paper.key: paper for paper in field.papers if paper.key}
    near = [f"{{cite:t}}`{key}` ({_short(found[by_key[key].title])})" for key in one.nearest]
    lines = [
        f"**{number}. {prose(one.says)}**\n",
        f"- *Compared with.* {prose(one.compared)}",
        f"- *Found here.* {prose(one.found)}",
    ]
    lines += [f"- *Nearest.* {'; '.join(near)}."] if near else []
    words = "; ".join(_verdict(verdict) for verdict in _of_claims(one.claims, recorded))
    lines += [f"- *Verdicts.* {words}."] if words else []
    lines += [f"- *Where.* {', '.join(chapter_link(key) for key in one.chapters)}."] if one.chapters else []
    return "\n".join(lines) + "\n"


def _short(found: Sequence[FoundHere]) -> str:
    """The verdicts on a work, with their chapters."""
    return (
        ", ".join(f"{VERDICT_MARKS[one.word]} in {chapter_link(one.chapter)}" for one in found if one.word)
        or "no verdict here"
    )


def _errors(field: Field) -> list[str]:
    """The lists of what is wrong: by kind, each with the number that the assessment gives the work."""
    title = {name: leaf.title for name, leaf in field.leaves.items()}

    listed = sorted((paper for paper in field.papers if paper.number), key=lambda one: one.number)
    missing = [paper for paper in field.papers if not paper.number]

    def named(kind: str) -> list[str]:
        return [f"{_name(paper)}: {prose(says)}" for paper in listed for one, says in paper.errors if one == kind]

    lists = {
        "Authors": named("authors"),
        "Titles": named("title"),
        "Filed under a leaf to which it does not belong": [
            f"{_name(paper)}: under *{plain(title[paper.filed])}*; it belongs under *{plain(title[paper.category])}*" for paper in listed if paper.filed
        ],
        "Not about memorization": [_name(paper) for paper in listed if paper.memorization == "no"],
        "About memorization only in part": [_name(paper) for paper in listed if paper.memorization == "partly"],
        "Not to be found": [_name(paper) for paper in listed if not paper.read],
        "Central, and missing": [_name(paper) for paper in missing],
        "Other": [*named("text"), *map(prose, field.corrections)],
    }  # fmt: skip
    return [
        f"**{head}** ({len(lines)})\n\n" + "\n".join(f"- {line.rstrip('.')}." for line in lines) + "\n"
        for head, lines in lists.items()
        if lines
    ]


def _name(paper: Paper) -> str:
    """A work in a few words: its number, its first author, and its title."""
    first = paper.authors.split(",")[0].removesuffix(" et al.")
    others = " et al." if first != paper.authors else ""
    number = plain(f"[{paper.number}]") + " " if paper.number else ""
    cited = f" {{cite}}`{paper.key}`" if paper.key and not paper.number else ""
    return f"{number}{plain(first + others)}, *{plain(paper.title)}*{cited}"
