"""The works of the field, from `book/landscape/papers.yml`: read strictly, so that an entry that names what does not exist is an error of one line.

The head of that file says what an entry holds.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..run.profiles import Book
from ..yaml_files import read_yaml
from .chapters import notebook_keys

FILE = "book/landscape/papers.yml"
BIBLIOGRAPHY = "book/references.bib"
READ = {  # as the file says it -> as the page does
    "text": "full text", "code": "code", "abstract": "abstract", "readme": "readme of the code", "notes": "notes of others", "title": "title only",
}  # fmt: skip
MEMORIZATION = {"yes": "", "partly": "in part about memorization", "no": "not about memorization", "unknown": "subject unknown"}  # fmt: skip
ERRORS = ("authors", "title", "text")


@dataclass(frozen=True)
class Leaf:
    """A leaf of the taxonomy, and the title of its branch."""

    name: str
    title: str
    branch: str


@dataclass(frozen=True)
class Paper:
    """A work; see the head of the file. number: 0 for one that the assessment does not have; met and errors: pairs."""

    title: str
    authors: str
    year: int
    where: str
    category: str
    claim: str
    memorization: str
    read: tuple[str, ...]
    number: int = 0
    key: str = ""
    filed: str = ""
    claims: tuple[str, ...] = ()
    met: tuple[tuple[str, str], ...] = ()
    untested: str = ""
    unsure: str = ""
    errors: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Statement:
    """What the assessment says of the main paper, with what it compared, what was found here, and on what that rests."""

    says: str
    compared: str
    found: str
    nearest: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    chapters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Field:
    """Leaves by name, in the order of their branches; works, statements and corrections in the order of the file."""

    leaves: Mapping[str, Leaf]
    papers: tuple[Paper, ...]
    statements: tuple[Statement, ...]
    corrections: tuple[str, ...]


def bibliography(book: Book) -> dict[str, str]:
    """The entries of the bibliography as they stand there: key -> text."""
    text = (book.root / BIBLIOGRAPHY).read_text(encoding="utf-8")
    return {found[1]: found[0] for found in re.finditer(r"^@\w+\{([^,\s]+),\n.*?^\}", text, re.M | re.S)}


def read_papers(book: Book, claims: Mapping[str, Mapping]) -> Field:
    """The works of the field. claims: all registered ones, by id. ValueError names the entry that is not as the head of the file says."""
    content = read_yaml(book.root / FILE, "map of the field")
    _keys(content, ("branches", "papers", "statements", "corrections"), (), "the file")
    leaves = _leaves(content["branches"])
    known = _Known(leaves, claims, bibliography(book), notebook_keys(book))
    papers = tuple(_paper(entry, i, known) for i, entry in enumerate(_list(content["papers"], "papers"), 1))
    for name in ("number", "key", "title"):
        values = [getattr(paper, name) for paper in papers if getattr(paper, name)]
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise ValueError(f"{FILE}: two papers have {name} = {twice[0]!r}")
    listed = [paper.key for paper in papers if paper.key]
    statements = tuple(
        _statement(entry, i, known, listed) for i, entry in enumerate(_list(content["statements"], "statements"), 1)
    )
    texts = enumerate(_list(content["corrections"], "corrections"), 1)
    return Field(leaves, papers, statements, tuple(_text(one, f"correction {i}", "the entry") for i, one in texts))


@dataclass(frozen=True)
class _Known:
    """What an entry may name."""

    leaves: Mapping[str, Leaf]
    claims: Mapping[str, Mapping]
    references: Collection[str]
    chapters: Collection[str]


def _leaves(branches: object) -> dict[str, Leaf]:
    found: dict[str, Leaf] = {}
    if not isinstance(branches, dict) or not branches:
        raise ValueError(f"{FILE}: branches = {branches!r}: a mapping from names to title and leaves is needed")
    for name, branch in branches.items():
        where = f"branch {name!r}"
        _keys(branch, ("title", "leaves"), (), where)
        if not isinstance(branch["leaves"], dict) or not branch["leaves"]:
            raise ValueError(
                f"{FILE}: {where}: leaves = {branch['leaves']!r}: a mapping from names to titles is needed"
            )
        for leaf, title in branch["leaves"].items():
            if leaf in found:
                raise ValueError(f"{FILE}: {where}: leaf {leaf!r} stands in two branches")
            found[leaf] = Leaf(leaf, _text(title, where, f"leaf {leaf!r}"), _text(branch["title"], where, "title"))
    return found


def _paper(entry: object, place: int, known: _Known) -> Paper:
    must = ("title", "authors", "year", "where", "category", "claim", "memorization", "read")
    may = ("number", "key", "filed", "claims", "met", "untested", "unsure", "errors")
    where = f"paper {place}"
    if isinstance(entry, dict) and isinstance(entry.get("title"), str):
        where += f" ({entry['title'][:50]})"
    _keys(entry, must, may, where)
    for name in ("year", "number"):
        value = entry.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{FILE}: {where}: {name} = {value!r}: a whole number above 0 is needed")
    texts = {name: _text(entry[name], where, name) for name in (*must, *may) if name in entry and name in _TEXTS}
    for name in ("category", "filed"):
        _one_of(texts.get(name), known.leaves, where, name)
    if texts.get("filed") == texts["category"]:
        raise ValueError(f"{FILE}: {where}: filed = {texts['filed']!r} is the category: leave it out")
    _one_of(texts["memorization"], MEMORIZATION, where, "memorization")
    _one_of(texts.get("key"), known.references, where, "key", f"a key of {BIBLIOGRAPHY}")
    read = _names(entry["read"], READ, where, "read")
    claims = _names(entry.get("claims", []), known.claims, where, "claims", "ids of registered claims")
    for claim in claims:
        if texts.get("key") and known.claims[claim].get("source") == texts["key"]:
            raise ValueError(f"{FILE}: {where}: claims: {claim!r} names this paper itself: leave it out")
    met = _pairs(entry.get("met", []), ("chapter", "what"), where, "met")
    for chapter, _ in met:
        _one_of(chapter, known.chapters, where, "met: chapter", "a chapter of _toc.yml")
    errors = _pairs(entry.get("errors", []), ("kind", "says"), where, "errors")
    for kind, _ in errors:
        _one_of(kind, ERRORS, where, "errors: kind")
    return Paper(**texts, year=entry["year"], number=entry.get("number", 0), read=read, claims=claims, met=met, errors=errors)  # fmt: skip


_TEXTS = {"title", "authors", "where", "category", "claim", "memorization", "key", "filed", "untested", "unsure"}


def _statement(entry: object, place: int, known: _Known, listed: Sequence[str]) -> Statement:
    where = f"statement {place}"
    _keys(entry, ("says", "compared", "found"), ("nearest", "claims", "chapters"), where)
    return Statement(
        *(_text(entry[name], where, name) for name in ("says", "compared", "found")),
        _names(entry.get("nearest", []), listed, where, "nearest", "keys of papers of the map"),
        _names(entry.get("claims", []), known.claims, where, "claims", "ids of registered claims"),
        _names(entry.get("chapters", []), known.chapters, where, "chapters", "chapters of _toc.yml"),
    )


def _keys(entry: object, must: Sequence[str], may: Sequence[str], where: str) -> None:
    """A mapping that has all of the one kind of keys, and no others than these and the other kind."""
    if not isinstance(entry, dict):
        raise ValueError(f"{FILE}: {where}: a {type(entry).__name__} stands there: a mapping is needed")
    if absent := [name for name in must if name not in entry]:
        raise ValueError(f"{FILE}: {where}: {', '.join(absent)} is missing")
    if odd := [name for name in entry if name not in (*must, *may)]:
        raise ValueError(f"{FILE}: {where}: {odd[0]!r} is no key here: {', '.join((*must, *may))} are")


def _list(value: object, where: str) -> list:
    if not isinstance(value, list):
        raise ValueError(f"{FILE}: {where} = {str(value)[:60]!r}: a list is needed")
    return value


def _text(value: object, where: str, name: str) -> str:
    """A text in one line."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{FILE}: {where}: {name} = {value!r}: a text is needed")
    return " ".join(value.split())


def _one_of(value: str | None, allowed: Collection[str], where: str, name: str, what: str = "") -> None:
    if value is not None and value not in allowed:
        raise ValueError(f"{FILE}: {where}: {name} = {value!r}: {what or 'one of ' + ', '.join(allowed)} is needed")


def _names(value: object, allowed: Collection[str], where: str, name: str, what: str = "") -> tuple[str, ...]:
    """A list of names, each once."""
    names = _list(value, f"{where}: {name}")
    for one in names:
        _one_of(_text(one, where, name), allowed, where, name, what)
        if names.count(one) > 1:
            raise ValueError(f"{FILE}: {where}: {name}: {one!r} stands there twice")
    return tuple(names)


def _pairs(value: object, names: tuple[str, str], where: str, name: str) -> tuple[tuple[str, str], ...]:
    """A list of mappings with exactly two texts."""
    found = []
    for entry in _list(value, f"{where}: {name}"):
        _keys(entry, names, (), f"{where}: {name}")
        found.append((_text(entry[names[0]], where, name), _text(entry[names[1]], where, name)))
    return tuple(found)
