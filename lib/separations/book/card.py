"""The card at the top of a chapter: what it says in a sentence, a picture, what its run found, and what it asks of a reader.

The sentence, the picture and what should have been read before stand in `book/chapters.yml`; numbers and verdicts come from what the run
recorded, and the words of the chapter are counted.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..readable import duration
from ..run.notebooks import source_of, tags_of
from ..run.profiles import Book
from ..yaml_files import read_yaml
from .figures import figure_png
from .markup import directive, one_line, plain, prose
from .pages import chapter_link

FILE = "book/chapters.yml"
PICTURES = "book/_generated/cards"
FIELDS = {"says": str, "picture": str, "needs": list, "found": list}
MOST_FOUND = 3
LONGEST = 190  # signs of a finding on the card
WORDS_A_MINUTE = 180  # of a text with formulas
PICTURE_WIDTH = 360  # pixels
MARKS = {"holds": "✓", "holds in part": "◐", "differs": "✗", "not decided": "○"}


@dataclass(frozen=True)
class About:
    """What `book/chapters.yml` says of a chapter: see there."""

    says: str
    picture: str = ""
    needs: tuple[str, ...] = ()
    found: tuple[str, ...] = ()


def read_about(book: Book) -> dict[str, About]:
    """What the book says of its chapters, by key; nothing where it has no such file. ValueError names the entry that is odd."""
    path = book.root / FILE
    if not path.exists():
        return {}
    table = read_yaml(path, "file of chapters")
    if not isinstance(table, dict):
        raise ValueError(f"{FILE} holds a {type(table).__name__}: a mapping from chapters to what they say is needed")
    return {str(key): _about(key, entry) for key, entry in table.items()}


def _about(key: object, entry: object) -> About:
    whole = isinstance(entry, dict) and set(entry) == set(FIELDS)
    if not whole or not all(isinstance(entry[name], kind) for name, kind in FIELDS.items()):
        raise ValueError(
            f"{FILE}: {key}: texts says and picture and lists needs and found are needed, and nothing else"
        )
    if not entry["says"].strip() or "\n" in entry["says"].strip() or len(entry["found"]) > MOST_FOUND:
        raise ValueError(f"{FILE}: {key}: says is one sentence, found has at most {MOST_FOUND} claims")
    return About(
        entry["says"].strip(),
        entry["picture"],
        tuple(str(one) for one in entry["needs"]),
        tuple(str(one) for one in entry["found"]),
    )


def verdict_word(word: str) -> str:
    """A verdict as MyST: a sign and the word, in the colour of its class."""
    name = word.replace(" ", "-")
    return f"[{MARKS.get(word, '–')} {plain(word)}]{{.verdict .verdict-{name}}}" if word in MARKS else plain(word)


def words_of(notebook: Mapping) -> int:
    """Words of a chapter's prose, without solutions, code and the inside of formulas."""
    texts = [
        source_of(cell)
        for cell in notebook["cells"]
        if cell["cell_type"] == "markdown" and "solution" not in tags_of(cell)
    ]
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", " x ", "\n".join(texts), flags=re.DOTALL)
    return len(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", re.sub(r"^[`:]{3,}.*$", " ", text, flags=re.MULTILINE)))


def reading_minutes(notebook: Mapping) -> int:
    """Minutes that it takes to read a chapter, at least one."""
    return max(1, round(words_of(notebook) / WORDS_A_MINUTE))


def thumbnail(png: bytes) -> bytes | None:
    """A picture made small, as a PNG of few colours; None for what is no picture."""
    from PIL import Image  # (a quarter of a second, and only where a book is rendered)

    try:
        picture = Image.open(io.BytesIO(png)).convert("RGB")
    except (OSError, ValueError):
        return None
    height = max(1, round(picture.height * PICTURE_WIDTH / picture.width))
    small = picture.resize((PICTURE_WIDTH, height), Image.Resampling.LANCZOS).quantize(128)
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return out.getvalue()


def card(
    key: str,
    notebook: Mapping,
    about: About,
    run: Mapping | None,
    claims: Mapping[str, Mapping],
    results: bool = True,
) -> tuple[str, dict[str, bytes]]:
    """The card of a chapter as MyST, and the files that it shows.

    Args:
        key: of the chapter, as 'foundations/13_two_scores'.
        notebook: the chapter with its outputs.
        about: what `book/chapters.yml` says of it.
        run: the result of its run, with seconds and evidence; None where there is none.
        claims: the table of claims.
        results: whether the book has a page of results.

    Returns:
        Text, and relative path -> content.
    """
    files, parts = {}, []
    found = figure_png(notebook, about.picture)
    small = thumbnail(found[0]) if found else None
    if found and small:
        name = f"{PICTURES}/{key.rpartition('/')[2]}.png"
        files[name] = small
        picture = directive("image", f"/{name}", "", alt=one_line(found[1] or "A figure of this chapter."))
        parts.append(directive("container", "card-picture", picture))
    parts.append(directive("container", "card-says", prose(about.says)))
    parts.append(directive("container", "card-found", _found(about, run, claims, results)))
    parts.append(directive("container", "card-facts", _facts(notebook, about, run)))
    return directive("container", "chapter-card", "\n".join(parts)), files


def _found(about: About, run: Mapping | None, claims: Mapping[str, Mapping], results: bool) -> str:
    """What the run found on the claims of the card, and how many others there are."""
    recorded = [entry for record in (run or {}).get("evidence", []) for entry in record.get("claims", [])]
    by_id = {entry["id"]: entry for entry in recorded}
    page = "{doc}`the results </book/appendix/results>`" if results else "the results"
    if not recorded:
        return f"What we found, with numbers, stands here once the chapter has been run; {page} collect it."
    shown = [by_id[one] for one in about.found if one in by_id] or recorded[:MOST_FOUND]
    lines = [
        f"- {verdict_word(entry['verdict'])} {_where(entry['id'], claims)}: {plain(shortened(entry['ours']))}"
        for entry in shown
    ]
    others = [entry for entry in recorded if entry not in shown]
    counts = {word: sum(entry["verdict"] == word for entry in others) for word in MARKS}
    more = ", ".join(f"{count} {verdict_word(word)}" for word, count in counts.items() if count)
    closing = f"{len(others)} more on record here: {more}. All stand in {page}." if others else f"More in {page}."
    return "\n".join([*lines, "", closing])


def _where(claim: str, claims: Mapping[str, Mapping]) -> str:
    """What a claim is called: its place in its source, or its statement in a few words where that says little."""
    entry = claims.get(claim, {})
    place = one_line(entry.get("where", ""))
    named = re.search(r"(?:Prop|Thm|Theorem|Lemma|Figure|Table|Algorithm|Assumption|eq|Claim)\b.*\d", place)
    text = place if named else shortened(one_line(entry.get("statement", claim)), 130)
    return prose(text.rstrip("."))


def shortened(text: str, most: int = LONGEST) -> str:
    """The first clauses of a text, as many as fit; all of it where it has no clauses."""
    text = one_line(text).rstrip(". ")
    if len(text) <= most:
        return text
    pieces = re.split(r"(?<=[;:,])\s", text)
    kept = pieces[0]
    for piece in pieces[1:]:
        if len(kept) + 1 + len(piece) > most or (kept.count("$") % 2 and len(piece) > most):
            break
        kept += f" {piece}"
    if kept == text:
        return text
    whole = kept.count("$") % 2 == 0 and kept.count("(") == kept.count(")")
    return f"{kept.rstrip(';:, ')} …" if whole and len(kept) <= 2 * most else text


def _facts(notebook: Mapping, about: About, run: Mapping | None) -> str:
    """Reading time, run time and what should have been read before."""
    facts = [f"**{reading_minutes(notebook)} min** to read"]
    facts.append(
        f"**{duration(run['seconds'])}** to run" if run and run.get("seconds") is not None else "not timed yet"
    )
    needs: Sequence[str] = [chapter_link(key) for key in about.needs]
    facts.append(f"needs {', '.join(needs)}" if needs else "needs no other chapter")
    return " [·]{.card-dot} ".join(facts)
