"""Notebook files: read as Jupyter's format 4, with what may be missing filled in; and which book and name a path stands for."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


def read_notebook(path: str | Path) -> dict:
    """The notebook at `path` as a dictionary (nbformat 4). ValueError where it is missing or is no notebook.

    What may be missing or null is there afterwards: metadata, outputs, execution counts.
    """
    name = f"notebook {str(path)!r}"
    if not os.path.isfile(path):
        raise ValueError(f"{name} {'is a folder' if os.path.isdir(path) else 'does not exist'}")
    try:
        notebook = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        notebook = None
    cells = notebook.get("cells") if isinstance(notebook, dict) and notebook.get("nbformat") == 4 else None
    if not isinstance(cells, list):
        raise ValueError(f"{name} is not a Jupyter notebook of format 4")
    cells = [_cell(cell, f"{name}: cell {index}") for index, cell in enumerate(cells)]
    minor = notebook.get("nbformat_minor")
    minor = minor if isinstance(minor, int) else 5
    return {**notebook, "metadata": _metadata(notebook, name), "cells": cells, "nbformat_minor": minor}


def _cell(cell: object, name: str) -> dict:
    """A cell with all that one has. name: for the error."""
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        raise ValueError(f"{name} has no cell_type")
    source = cell.get("source")
    if not isinstance(source, str) and not (isinstance(source, list) and all(isinstance(line, str) for line in source)):
        raise ValueError(f"{name} has a source of type {type(source).__name__}: text, or a list of lines, is needed")
    cell = {**cell, "metadata": _metadata(cell, name)}
    tags = cell["metadata"].get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise ValueError(f"{name} has tags = {tags!r}: a list of texts is needed")
    if cell["cell_type"] != "code":
        return cell
    outputs = cell.get("outputs") or []
    if not isinstance(outputs, list) or not all(isinstance(one, dict) and "output_type" in one for one in outputs):
        raise ValueError(f"{name} has outputs that are none of Jupyter's")
    return {**cell, "outputs": outputs, "execution_count": cell.get("execution_count")}


def _metadata(holder: Mapping, name: str) -> dict:
    metadata = holder.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError(f"{name} has metadata of type {type(metadata).__name__}: a mapping is needed")
    metadata = metadata or {}
    return {key: value for key, value in metadata.items() if not (key == "tags" and value is None)}


def source_of(cell: Mapping) -> str:
    """Source of a cell as one string; files may store it as a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def tags_of(cell: Mapping) -> list[str]:
    """Tags of a cell; none where its metadata have none."""
    tags = (cell.get("metadata") or {}).get("tags")
    return tags if isinstance(tags, list) else []


def resolved(path: str | Path, name: str = "notebook") -> Path:
    """The path from the root, without links. ValueError where that cannot be said: links in a circle, no working folder."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{name} = {str(path)!r}: this path cannot be followed ({reason})") from None


def book_root(notebook: str | Path) -> Path:
    """Folder that holds the notebook's `book/`; the notebook's own folder where there is none."""
    path = resolved(notebook)
    for parent in path.parents:
        if parent.name == "book":
            return parent.parent
    return path.parent


def notebook_key(notebook: str | Path) -> str:
    """Name of a notebook in profiles and evidence: its path in `book/` without the extension."""
    path = resolved(notebook)
    root = book_root(path)
    base = root / "book" if path.is_relative_to(root / "book") else root
    return path.relative_to(base).with_suffix("").as_posix()
