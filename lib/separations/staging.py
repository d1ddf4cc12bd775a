"""Staging: `_build/stage` is a copy of the book in which each chapter is the executed copy of its run, or says why not.

A notebook may carry its claim in one line in its metadata, under `separations.claim`: it stands in the map of chapters.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from . import pages
from .chapters import Chapter, chapters, profile_folder, toc_entries
from .dependencies import PACKAGE, read_notebook, source_of
from .evidence import larger
from .files import write_whole
from .sweep_report import report_files, reported, toc_with_sweeps

ERROR_TAG = "papermill-error-cell-tag"


def markdown_cell(text: str, name: str) -> dict:
    """A Markdown cell as nbformat stores it."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def title_of(notebook: Mapping) -> str:
    """Text of the first heading of a notebook."""
    for cell in notebook["cells"]:
        for line in source_of(cell).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return ""


def claim_of(notebook: Mapping) -> str:
    """One-line claim of a chapter, from the notebook's metadata (`separations.claim`)."""
    return notebook["metadata"].get("separations", {}).get("claim", "")


def staged_notebook(item: Chapter) -> dict:
    """What the book shows for a chapter: the executed copy, the partial copy with a notice, or the bare source with one."""
    source = read_notebook(item.path)
    if item.state == "fresh":
        notebook = read_notebook(item.run / f"{item.path.name}")
        notebook["cells"].append(markdown_cell(pages.run_note(item.result), "run-note"))
    else:
        partial = item.run / f"{item.path.stem}.failed.ipynb"
        if item.state == "failed" and item.result and partial.is_file():
            notebook = read_notebook(partial)
            notebook["cells"] = [c for c in notebook["cells"] if ERROR_TAG not in c["metadata"].get("tags", [])]
            notice = pages.failed_notice(item.error, _failing_cell(notebook))
        else:
            notebook = source
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    cell.update(outputs=[], execution_count=None)
            failed = item.state == "failed"
            notice = (
                pages.failed_notice(item.error, None, partial=False) if failed else pages.missing_notice(item.error)
            )
        _insert_below_title(notebook, notice)
    notebook["metadata"] = {**source["metadata"], **notebook["metadata"]}
    return notebook


def _failing_cell(notebook: Mapping) -> int | None:
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    failing = [i for i, cell in enumerate(code, 1) if any(out["output_type"] == "error" for out in cell["outputs"])]
    return failing[0] if failing else None


def _insert_below_title(notebook: dict, notice: str) -> None:
    first = notebook["cells"][0]
    head, mark, rest = source_of(first).partition("\n")
    if head.startswith("(") and head.endswith(")="):  # a label stands above the title
        title, mark, rest = rest.partition("\n")
        head = f"{head}\n{title}"
    if first["cell_type"] == "markdown" and head.splitlines()[-1].startswith("# "):
        first["source"] = f"{head}\n\n{notice}\n{rest}"
    else:
        notebook["cells"].insert(0, markdown_cell(notice, "notice"))


def figure_names(notebook: Mapping) -> list[str]:
    """Names of the figures that a notebook's cells declare."""
    figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in notebook["cells"]]
    return [figure["name"] for figure in figures if figure.get("name")]


def load_registered_claims() -> dict:
    """The table of claims as written in claims.yml."""
    path = PACKAGE / "claims.yml"
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}


def staged_files(root: Path, profile: str) -> dict[str, bytes]:
    """Everything that the staged book holds: relative path -> content."""
    files = {name: (root / name).read_bytes() for name in ("_config.yml", "_toc.yml")}
    for path in sorted((root / "book").rglob("*")):
        inside = path.relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and path.suffix != ".ipynb" and not hidden:
            files[inside.as_posix()] = path.read_bytes()
    items = chapters(root, profile)
    evidence, places, rows = [], {}, []
    for item in items:
        notebook = staged_notebook(item)
        files[f"book/{item.key}.ipynb"] = (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()
        fresh = item.result if item.state == "fresh" else None
        evidence += fresh["evidence"] if fresh else []
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
    files |= (sweeps := report_files(root))
    files["_toc.yml"] = toc_with_sweeps(files["_toc.yml"], reported(sweeps))
    results = pages.results_page(load_registered_claims(), evidence, places, larger(root, profile))
    files["book/appendix/results.md"] = results.encode()
    return files


def stage(root: Path, profile: str) -> Path:
    """Bring `_build/stage` (or `_build/stage-PROFILE`) up to date; only what differs is written. Returns the folder."""
    target = profile_folder(root, "stage", profile)
    files = staged_files(root, profile)
    listed = [name for _, name in toc_entries(root)]
    absent = [name for name in listed if not any(f"{name}{end}" in files for end in (".ipynb", ".md"))]
    if absent:
        raise ValueError(f"_toc.yml lists {', '.join(absent)}: no such notebook or page")
    for path in [item for item in target.rglob("*") if item.is_file()]:
        if path.relative_to(target).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        path = target / name
        if not path.is_file() or path.read_bytes() != content:
            write_whole(path, content)
    return target
