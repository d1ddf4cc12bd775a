"""Staging: `_build/stage` is a copy of the book in which each chapter is the executed copy of its run, or says why not.

A notebook may carry its claim in one line in its metadata, under `separations.claim`: it stands in the map of chapters.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..files import PACKAGE, write_whole
from ..run.notebooks import read_notebook, source_of, tags_of
from ..run.profiles import Book
from ..yaml_files import read_yaml
from . import api, field_map, front_page, house, pages, reading, speed
from .card import About, card, read_about
from .chapters import Chapter, chapters, toc_entries
from .committed import STATE as COMMITTED
from .committed import committed_chapters
from .evidence import larger
from .records import file_inside
from .results_page import results_page
from .summary import read_summary
from .sweep_pages import report_files, reported, toc_with_sweeps

ERROR_TAG = "papermill-error-cell-tag"
MARK = ".staged"  # all that lies beside it is ours to replace
UNMARKED = ("_config.yml", "_toc.yml", "book/_generated/chapters.md")  # in copies that carry no mark yet
MARK_TEXT = "A staged copy of the book: whatever lies in this folder is replaced by the next rendering.\n"


def markdown_cell(text: str, name: str) -> dict:
    """A Markdown cell as nbformat stores it."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def entry(holder: object, *names: str) -> dict:
    """A mapping inside of mappings, as a cell's `metadata`, `mystnb`, `figure`; empty where there is none of that kind."""
    for name in names:
        holder = holder.get(name) if isinstance(holder, Mapping) else None
    return dict(holder) if isinstance(holder, Mapping) else {}


def title_of(notebook: Mapping) -> str:
    """Text of the first heading of a notebook."""
    for cell in notebook["cells"]:
        for line in source_of(cell).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return ""


def claim_of(notebook: Mapping) -> str:
    """One-line claim of a chapter, from the notebook's metadata (`separations.claim`)."""
    return str(entry(notebook, "metadata", "separations").get("claim") or "")


def staged_notebook(item: Chapter) -> dict:
    """What the book shows for a chapter: the executed copy, the partial copy with a notice, or the bare source with one."""
    source = read_notebook(item.path)
    if item.state == COMMITTED:
        notebook = source
        notebook["cells"].append(markdown_cell(pages.kept_note(item.result, item.error), "run-note"))
    elif item.state == "fresh":
        notebook = with_outputs(source, read_notebook(item.run / f"{item.path.name}"), item.key)
        notebook["cells"].append(markdown_cell(pages.run_note(item.result), "run-note"))
    elif partial := _partial(item):
        notebook = partial
        notebook["cells"] = [c for c in notebook["cells"] if ERROR_TAG not in tags_of(c)]
        _insert_below_title(notebook, pages.failed_notice(item.error, _failing_cell(notebook)))
    else:
        notebook = source
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        failed = item.state == "failed"
        notice = pages.failed_notice(item.error, None, partial=False) if failed else pages.missing_notice(item.error)
        _insert_below_title(notebook, notice)
    notebook["metadata"] = {**entry(source, "metadata"), **entry(notebook, "metadata")}
    return notebook


def with_outputs(source: Mapping, executed: Mapping, key: str) -> dict:
    """A notebook with the outputs of its executed copy, whose code does the same, and the cell of the parameters that this run was given.

    Text, comments and the spelling of the code are those of the present source. ValueError where the copy has other code cells.
    """
    injected = [cell for cell in executed["cells"] if "injected-parameters" in tags_of(cell)]
    done = [cell for cell in executed["cells"] if cell["cell_type"] == "code" and cell not in injected]
    code = [cell for cell in source["cells"] if cell["cell_type"] == "code"]
    if len(code) != len(done):
        raise ValueError(f"the executed copy of book/{key}.ipynb has other code than the notebook: execute it again")
    outputs = iter(
        {"outputs": cell.get("outputs", []), "execution_count": cell.get("execution_count")} for cell in done
    )
    cells = []
    for cell in source["cells"]:
        cells.append(dict(cell) | (next(outputs) if cell["cell_type"] == "code" else {}))
        cells += injected if "parameters" in tags_of(cell) else []
    return dict(executed) | {"cells": cells}


def _partial(item: Chapter) -> dict | None:
    """What a failed run computed until then; None where it left nothing that can be read, or a link to elsewhere."""
    path = file_inside(item.run, f"{item.path.stem}.failed.ipynb") if item.state == "failed" and item.result else None
    try:
        return read_notebook(path) if path else None
    except ValueError:
        return None


def _failing_cell(notebook: Mapping) -> int | None:
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    failing = [
        i for i, cell in enumerate(code, 1) if any(out["output_type"] == "error" for out in cell.get("outputs", []))
    ]
    return failing[0] if failing else None


def _insert_below_title(notebook: dict, notice: str) -> None:
    if not notebook["cells"]:
        notebook["cells"].append(markdown_cell("", "title"))
    first = notebook["cells"][0]
    head, mark, rest = source_of(first).partition("\n")
    if head.startswith("(") and head.endswith(")="):  # a label stands above the title
        title, mark, rest = rest.partition("\n")
        head = f"{head}\n{title}"
    if first["cell_type"] == "markdown" and head.rpartition("\n")[2].startswith("# "):
        first["source"] = f"{head}\n\n{notice}\n{rest}"
    else:
        notebook["cells"].insert(0, markdown_cell(notice, "notice"))


def figure_names(notebook: Mapping) -> list[str]:
    """Names of the figures that a notebook's cells declare."""
    names = [entry(cell, "metadata", "mystnb", "figure").get("name") for cell in notebook["cells"]]
    return [name for name in names if name and isinstance(name, str)]


def load_registered_claims(path: Path = PACKAGE / "ledger" / "claims.yml") -> dict:
    """The table of claims as written in claims.yml. ValueError where it is no table of claims."""
    if not path.is_file():
        return {}
    table = read_yaml(path, "table of claims")
    if not isinstance(table, dict):
        raise ValueError(f"{path.name} holds a {type(table).__name__}: a mapping from ids to claims is needed")
    for key, claim in table.items():
        if not isinstance(key, str) or not isinstance(claim, dict):
            raise ValueError(
                f"{path.name}: {key!r} holds {claim!r}: a mapping with source, where and statement is needed"
            )
    return table


def check_settings(book: Book) -> None:
    """ValueError where `_config.yml` is missing or no mapping."""
    settings = read_yaml(book.root / "_config.yml", "file of settings")
    if not isinstance(settings, dict):
        raise ValueError(f"_config.yml holds a {type(settings).__name__}: a mapping of settings is needed")


def book_files(book: Book) -> list[Path]:
    """Pages, pictures and tables in `book/`, all that is no notebook and not hidden, by name."""
    inside = sorted((book.root / "book").rglob("*"))
    return [
        path
        for path in inside
        if path.is_file()
        and path.suffix != ".ipynb"
        and not any(p.startswith(".") for p in path.relative_to(book.root).parts)
    ]


def staged_files(book: Book, committed: bool = False) -> dict[str, bytes]:
    """Everything that the staged book holds: relative path -> content. committed: with the outputs of the notebooks, whatever was run."""
    check_settings(book)
    files = {name: (book.root / name).read_bytes() for name in ("_config.yml", "_toc.yml")}
    files |= {path.relative_to(book.root).as_posix(): path.read_bytes() for path in book_files(book)}
    items = committed_chapters(book) if committed else chapters(book)
    listed = [name for _, name in toc_entries(book)]
    claims, about = load_registered_claims(), read_about(book)
    evidence, places, rows, shown = [], {}, [], []
    for item in items:
        notebook = staged_notebook(item)
        shown.append((item.key, notebook))
        fresh = item.result if item.state in ("fresh", COMMITTED) else None
        page, pictures = _page(item, notebook, fresh, about.get(item.key), claims, listed)
        files |= pictures
        files[f"book/{item.key}.ipynb"] = page
        evidence += [{**record, "notebook": item.key} for record in fresh["evidence"]] if fresh else []
        places |= {name: item.key for name in figure_names(notebook)}
        rows.append(
            {
                "key": item.key,
                "claim": claim_of(notebook) or title_of(notebook),
                "state": item.state,
                "seconds": fresh["seconds"] if fresh else None,
                "peak_memory_mb": fresh["peak_memory_mb"] if fresh else None,
            }
        )
    files["book/_generated/chapters.md"] = pages.chapter_map(rows).encode()
    files |= (sweeps := report_files(book))
    files["_toc.yml"] = toc_with_sweeps(files["_toc.yml"], reported(sweeps))
    beyond, summary = larger(book), read_summary(book)
    files |= front_page.front_files(shown, summary, evidence)
    results = results_page(claims, evidence, places, beyond, summary)
    files["book/appendix/results.md"] = results.encode()
    for name, made in (("house", house.page), ("api", api.page), ("speed", speed.page)):
        if f"book/appendix/{name}" in listed:
            files[f"book/appendix/{name}.md"] = made(book).encode()
    if field_map.PAGE in listed:
        text = field_map.page(book, claims, evidence)
        files[f"{field_map.PAGE}.md"] = reading.numbered(text, field_map.PAGE).encode()
    return files


def _page(
    item: Chapter,
    notebook: dict,
    run: Mapping | None,
    about: About | None,
    claims: Mapping[str, Mapping],
    listed: Sequence[str],
) -> tuple[bytes, dict[str, bytes]]:
    """A chapter as its readers see it, and the pictures of its card."""
    text, pictures = "", {}
    if about:
        about = replace(about, needs=tuple(key for key in about.needs if f"book/{key}" in listed))
        text, pictures = card(item.key, notebook, about, run, claims, "book/appendix/results" in listed)
    page = reading.readable(notebook, item.key, text)
    page["cells"].append(markdown_cell(pages.beside(listed), "beside")) if pages.beside(listed) else None
    return (json.dumps(page, indent=1, ensure_ascii=False) + "\n").encode(), pictures


def stage(book: Book, committed: bool = False) -> Path:
    """Bring `_build/stage` (or `_build/stage-PROFILE`) up to date; only what differs is written. Returns the folder.

    committed: with the outputs that the notebooks carry, in `_build/stage-committed`.
    ValueError where the folder holds files and is none that was staged before, or where a page of `_toc.yml` is missing.
    """
    target = book.folder("stage-committed" if committed else "stage")
    _check_ours(target)
    files = staged_files(book, committed)
    listed = [name for _, name in toc_entries(book)]
    absent = [name for name in listed if not any(f"{name}{end}" in files for end in (".ipynb", ".md"))]
    if absent:
        raise ValueError(f"_toc.yml lists {', '.join(absent)}: no such notebook or page")
    files[MARK] = MARK_TEXT.encode()
    for path in [item for item in target.rglob("*") if item.is_file() or item.is_symlink()]:
        if path.relative_to(target).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        path = target / name
        if not path.is_file() or path.read_bytes() != content:
            write_whole(path, content)
    return target


def _check_ours(target: Path) -> None:
    ours = (target / MARK).is_file() or all((target / name).is_file() for name in UNMARKED)
    if target.exists() and not ours and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{str(target)!r} holds files that are not ours, and would be replaced: move it away")
