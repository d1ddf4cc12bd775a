"""The chapters of the book and how the last run of each stands, judged by content: fresh, failed, stale or missing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..run.profiles import Book
from ..run.results import is_success, read_result
from ..yaml_files import read_yaml
from .records import check_result

NO_PAGE = re.compile(r"[`<>{}\x00-\x1f\x7f]")  # no reference or rule can hold these
GENERATED = (
    *(f"book/appendix/{name}" for name in ("results", "sweeps", "house", "api", "speed")),
    "book/landscape/67_map_of_the_field",
)  # pages that have no file in book/


@dataclass(frozen=True)
class Chapter:
    """A notebook of the book and how its last run stands.

    state: 'fresh' (its outputs belong to the present sources), 'failed', 'stale' or 'missing'; error: why not fresh.
    """

    key: str
    path: Path
    run: Path
    state: str
    error: str
    result: dict | None


def toc_entries(book: Book) -> list[tuple[str, str]]:
    """Documents of `_toc.yml` in order, each with the caption of its part. ValueError where it is no table of contents."""
    return entries_of(read_toc(book))


def read_toc(book: Book) -> dict:
    """`_toc.yml` of a book, as far as it is a mapping with a root page. ValueError otherwise."""
    path = book.root / "_toc.yml"
    if not path.is_file():
        raise ValueError(
            f"there is no _toc.yml in {str(book.root)!r}: the folder of the book is needed (cd there, or --root)"
        )
    toc = read_yaml(path, "table of contents")
    if not isinstance(toc, dict) or not isinstance(toc.get("root"), str):
        raise ValueError("_toc.yml is no table of contents: a mapping with 'root' and 'parts' or 'chapters' is needed")
    return toc


def entries_of(toc: Mapping) -> list[tuple[str, str]]:
    """Documents of a table of contents in order, each with the caption of its part. ValueError names what is odd."""
    found = [("", _page(toc["root"]))]
    parts = toc.get("parts", [{"chapters": toc.get("chapters")}])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"_toc.yml: parts = {parts!r}: a list of mappings with 'chapters' is needed")
    for part in parts:
        found += [(str(part.get("caption", "")), name) for name in _files(part.get("chapters"), "chapters")]
    return found


def _files(entries: object, name: str) -> Iterator[str]:
    if entries is None:
        return
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"_toc.yml: {name} = {entries!r}: a list of mappings with 'file' is needed")
    for entry in entries:
        if "file" in entry:
            yield _page(entry["file"])
        yield from _files(entry.get("sections"), "sections")


def _page(name: object) -> str:
    """The path of a page without its extension. ValueError where it leads out of the repository."""
    parts = name.split("/") if isinstance(name, str) else [".."]
    if not isinstance(name, str) or name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"_toc.yml: file = {name!r}: the path of a page of the book is needed, as book/index")
    if odd := NO_PAGE.search(name):
        raise ValueError(f"_toc.yml: file = {name!r}: {odd[0]!r} is not allowed in the name of a page")
    return name.removesuffix(".ipynb").removesuffix(".md")


def check_pages(book: Book) -> None:
    """ValueError where `_toc.yml` lists a page that is neither there nor generated, or none at all."""
    absent = [
        name
        for _, name in toc_entries(book)
        if name not in GENERATED and not any((book.root / f"{name}{end}").is_file() for end in (".ipynb", ".md"))
    ]
    if absent:
        raise ValueError(f"_toc.yml lists {', '.join(absent)}: no such notebook or page")
    if dotted := [key for key in notebook_keys(book) if "." in key]:
        raise ValueError(f"_toc.yml lists {', '.join(dotted)}: no dot is allowed in the name of a notebook")


def notebook_keys(book: Book) -> list[str]:
    """Keys of the notebooks that `_toc.yml` lists, in order."""
    return [name.removeprefix("book/") for _, name in toc_entries(book) if (book.root / f"{name}.ipynb").is_file()]


def chapter(book: Book, key: str, tables: bool = True) -> Chapter:
    """A chapter and the state of its run, judged by content: the sentinel, the result and all its inputs.

    tables: whether the stored tables that the chapter shows are inputs. They are not for a run that makes such tables:
    otherwise storing them would make it stale.
    """
    run = book.run_folder(key)
    result = read_result(run)
    name = "key" if tables else "key_without_tables"
    state, error = "missing", "It has not been executed under this profile."
    try:
        wanted = book.expected(key)[name]
    except ValueError as problem:
        return Chapter(key, book.notebook(key), run, "failed", str(problem), None)
    hashes = result.get("hashes") if result else None
    if result and (not isinstance(hashes, dict) or hashes.get(name) != wanted):
        state, error = "stale", "The run on disk belongs to other sources or parameters than the present ones."
    elif result and result.get("status") != "ok":
        state, error = "failed", str(result.get("error"))
    elif result and is_success(run) and result["file"] == f"{Path(key).name}.ipynb":
        state, error = _judged(result)
    elif result:
        error = "The run on disk is not whole: its sentinel, its result and its notebook do not belong together."
    return Chapter(key, book.notebook(key), run, state, error, result if state in ("fresh", "failed") else None)


def _judged(result: Mapping) -> tuple[str, str]:
    """State and error of a run whose files belong together: what it recorded must be what a run records."""
    try:
        check_result(result, "result.json")
    except ValueError as problem:
        return "missing", f"The run on disk cannot be shown: {problem}."
    return "fresh", ""


def chapters(book: Book) -> list[Chapter]:
    """All chapters of the book, in the order of `_toc.yml`. ValueError for an unknown profile."""
    book.params_file()
    return [chapter(book, key) for key in notebook_keys(book)]
