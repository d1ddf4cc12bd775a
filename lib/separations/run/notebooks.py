"""Notebook files as they are read: of Jupyter's format 4, with what may be missing or null filled in."""

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
