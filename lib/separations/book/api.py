"""The API page: every public name of the library, a section a room, with its docstring and the chapters that use it.

Sphinx's autodoc writes signatures and docstrings (see `docstrings`); what stands here is the list, read from the syntax trees.
"""

import ast
from collections.abc import Mapping
from pathlib import Path

from ..definitions import NAME, WHOLE, Key, Library, library
from ..files import PACKAGE
from ..run.fingerprint import code_of
from ..run.notebooks import read_notebook
from ..run.profiles import Book
from .chapters import notebook_keys
from .house import TOWERS, Room, rooms
from .markup import plain

INSIDE = ("run", "sweep", "book", "version", "shipped_models")  # rooms that are used by their commands


def public(room: str, folder: Path = PACKAGE) -> list[str]:
    """Public names of a room: what the face of a package gives, or the functions and classes of a module; sorted."""
    path = folder / room / "__init__.py" if (folder / room).is_dir() else folder / f"{room}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return sorted(ast.literal_eval(node.value), key=str.lower)
    made = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return sorted((name for name in made if not name.startswith("_")), key=str.lower)


def users(book: Book) -> dict[Key, list[str]]:
    """Which chapters use a definition directly, by their keys."""
    found: dict[Key, list[str]] = {}
    for key in notebook_keys(book):
        try:
            used = library().uses(code_of(read_notebook(book.notebook(key))), key)
        except ValueError:  # the chapter's own page says what is wrong with it
            continue
        for one in used:
            found.setdefault(one, []).append(key)
    return found


def _number(key: str) -> str:
    """Number of a chapter, by its key."""
    return key.rpartition("/")[2].partition("_")[0]


def _entry(room: str, name: str, there: Library, used: Mapping[Key, list[str]]) -> str:
    key = there.resolve(room, name)
    if not isinstance(key, tuple) or key[1] in ("", WHOLE):
        return ""
    kind = {ast.ClassDef: "autoclass", ast.FunctionDef: "autofunction"}.get(
        type(there.names(key[0]).definitions[key[1]][0])
    )
    lines = [f".. {kind or 'autodata'}:: {NAME}.{room}.{name}"]
    lines += (
        ["   :members:", "   :member-order: bysource"] if kind == "autoclass" else ["   :no-value:"] if not kind else []
    )
    chapters = [f"{{doc}}`{_number(key)} <../{key}>`" for key in sorted(set(used.get(key, [])), key=_number)]
    note = f"\n\nUsed in {', '.join(chapters)}." if chapters else ""
    return "```{eval-rst}\n" + "\n".join(lines) + "\n```" + note


def section(room: Room, used: Mapping[Key, list[str]]) -> str:
    """The section of a room."""
    there = library()
    entries = [text for name in public(room.name) if (text := _entry(room.name, name, there, used))]
    return "\n\n".join([f"## `{room.name}`", plain(room.says), *entries])


def page(book: Book) -> str:
    """The API page in MyST."""
    used, found = users(book), [room for room in rooms(book) if room.name not in INSIDE]
    parts = [
        "# The library, name by name",
        "What each room of {doc}`house` gives to a notebook: `from separations.ROOM import NAME`. Modules inside a room have more, "
        "which its docstrings describe. Rooms that are used by commands (`python -m separations.run`, `.sweep`, `.book`, `.data`) stand in {doc}`batch`.",
    ]
    for tower in ("science", "engine", "ground"):
        parts.append(f"**{TOWERS[tower]}**")
        parts += [section(room, used) for room in found if room.tower == tower]
    return "\n\n".join(parts) + "\n"
